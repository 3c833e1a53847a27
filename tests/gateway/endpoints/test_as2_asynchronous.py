"""Receipts that partners want at an address of their own: what the door takes on, and where it sends nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.http import HttpResponse

from gateway.models import Blob, Delivery, DeliveryKind, ExceptionCase, Transmission
from gateway.pipeline import relay
from gateway.transports import as2
from partners.models import As2Link, Certificate, OwnIdentity, TradingPartner
from partners.profiles import As2Terms, CertificateRef
from tests.gateway.endpoints.conftest import ACK, Message

Make = Callable[..., Message]
Post = Callable[[Message], HttpResponse]

pytestmark = pytest.mark.django_db

MDN_URL = "https://as2.acme.example/mdn?from=PLANT"


@pytest.fixture
def acme(acme: TradingPartner) -> TradingPartner:
    """ACME with an address of its own, and receipts taken by another server."""
    acme.as2.url = "https://as2.acme.example/in"
    acme.as2.receipt_origins = "https://mdn.acme.example:8443"
    acme.as2.save()
    return acme


def judged(receipt: Transmission, sent: as2.Outgoing, terms: As2Terms) -> as2.Receipt:
    return as2.read_mdn(
        receipt.headers, receipt.raw.content, message_id=sent.message_id, digests=sent.digests, terms=terms
    )


@pytest.mark.parametrize("address", [MDN_URL, "https://mdn.acme.example:8443/as2/receipts", "HTTPS://AS2.ACME.EXAMPLE"])
def test_a_receipt_wanted_at_an_agreed_address_is_signed_stored_and_queued(
    address: str, acme: TradingPartner, their_terms: As2Terms, post_as2: Post
) -> None:
    sent = as2.build_message(ACK, terms=their_terms, message_id="<m1@acme.example>", file_name="855.edi")
    answer = post_as2(Message({**sent.headers, "Receipt-Delivery-Option": address}, sent.body))
    assert (answer.status_code, answer.content, answer["Content-Length"]) == (204, b"", "0")
    message = Transmission.objects.get(direction="inbound")
    assert (message.state, message.answer_status, message.answer.content) == ("stored", 204, b"")
    receipt = message.belongings.get()
    assert (receipt.direction, receipt.format, receipt.state) == ("outbound", "mdn", "prepared")
    assert receipt.evidence == {"to": address}
    assert receipt.partner == acme
    assert "Content-Length" not in receipt.headers
    assert judged(receipt, sent, their_terms).verdict == as2.Verdict.DELIVERED
    assert list(Delivery.objects.order_by("kind").values_list("kind", flat=True)) == ["receipt", "translate"]
    assert ExceptionCase.objects.count() == 0


def test_a_message_below_the_terms_gets_its_error_at_that_address(
    acme: TradingPartner, other_key: CertificateRef, their_terms: As2Terms, post_as2: Post
) -> None:
    forged = replace(their_terms, our_signing=(other_key,))
    sent = as2.build_message(ACK, terms=forged, message_id="<m1@acme.example>", file_name="855.edi")
    answer = post_as2(Message({**sent.headers, "Receipt-Delivery-Option": MDN_URL}, sent.body))
    assert (answer.status_code, answer.content) == (204, b"")
    message = Transmission.objects.get(direction="inbound")
    assert message.state == "refused"
    said = judged(message.belongings.get(), sent, their_terms)
    assert said.verdict == as2.Verdict.REJECTED
    assert said.text.startswith("processed/error: authentication-failed")
    assert Delivery.objects.get().kind == "receipt"
    assert ExceptionCase.objects.get().reason == "signature_refused"


def test_other_content_under_a_used_id_gets_its_error_at_that_address(
    acme: TradingPartner, message: Make, post_as2: Post
) -> None:
    post_as2(message(Receipt_Delivery_Option=MDN_URL))
    answer = post_as2(message(payload=ACK.replace(b"*40*EA", b"*41*EA"), Receipt_Delivery_Option=MDN_URL))
    assert answer.status_code == 204
    refused = Transmission.objects.get(state="refused")
    assert b"processed/error: unexpected-processing-error" in refused.belongings.get().raw.content
    assert Delivery.objects.filter(kind="receipt").count() == 2


def test_an_unsigned_receipt_may_be_wanted_there_too(acme: TradingPartner, message: Make, post_as2: Post) -> None:
    post_as2(message(Receipt_Delivery_Option=MDN_URL, Disposition_Notification_Options=None))
    assert Transmission.objects.get(format="mdn").content_type.startswith("multipart/report")


def test_an_address_without_a_receipt_wanted_means_nothing(acme: TradingPartner, message: Make, post_as2: Post) -> None:
    made = message(
        Disposition_Notification_To=None, Disposition_Notification_Options=None, Receipt_Delivery_Option=MDN_URL
    )
    answer = post_as2(made)
    assert (answer.status_code, answer.content) == (200, b"")
    assert not Transmission.objects.filter(format="mdn").exists()


# -- repeats


def test_a_repeat_gets_the_stored_answer_and_the_same_receipt_once_more(
    acme: TradingPartner, message: Make, post_as2: Post
) -> None:
    same = message(Receipt_Delivery_Option=MDN_URL)
    first = post_as2(same)
    Delivery.objects.filter(kind="receipt").update(state="delivered")
    again = post_as2(same)
    assert (again.status_code, again.content, dict(again.items())) == (204, first.content, dict(first.items()))
    receipt = Transmission.objects.get(format="mdn")
    assert [one.transmission for one in Delivery.objects.filter(kind="receipt")] == [receipt, receipt]
    assert Delivery.objects.filter(kind="translate").count() == 1


def test_a_repeat_encrypted_anew_queues_nothing_beside_a_receipt_on_its_way(
    acme: TradingPartner, message: Make, post_as2: Post
) -> None:
    for _ in range(3):
        assert post_as2(message(Receipt_Delivery_Option=MDN_URL)).status_code == 204
    assert Transmission.objects.filter(format="mdn").count() == 1
    assert Delivery.objects.filter(kind="receipt").count() == 1


def test_a_repeat_of_what_was_answered_at_once_is_answered_at_once(
    acme: TradingPartner, message: Make, post_as2: Post
) -> None:
    first = post_as2(message())
    again = post_as2(message(Receipt_Delivery_Option=MDN_URL))
    assert (again.status_code, again.content) == (200, first.content)
    assert not Transmission.objects.filter(format="mdn").exists()


# -- nothing goes anywhere else


NOT_AGREED = [
    "http://169.254.169.254/latest/meta-data/",
    "http://127.0.0.1:6379/",
    "http://as2.acme.example/in",
    "https://as2.acme.example:8443/",
    "https://as2.acme.example.evil.example/",
    "https://as2.acme.example@evil.example/",
    "https://evil.example/#https://as2.acme.example/",
    "mailto:edi@acme.example",
    "file:///etc/passwd",
    "not an address",
]


@pytest.mark.parametrize("address", NOT_AGREED)
def test_an_address_that_is_not_agreed_is_refused_before_anything_is_stored(
    address: str, acme: TradingPartner, message: Make, post_as2: Post
) -> None:
    answer = post_as2(message(Receipt_Delivery_Option=address))
    assert answer.status_code == 400
    assert b"Receipt-Delivery-Option" in answer.content
    assert (Transmission.objects.count(), Blob.objects.count(), Delivery.objects.count()) == (0, 0, 0)
    case = ExceptionCase.objects.get()
    assert (case.reason, case.partner) == ("receipt_address", acme)


def test_addresses_that_are_not_agreed_share_one_case_that_shows_the_last(
    acme: TradingPartner, message: Make, post_as2: Post
) -> None:
    for host in ("a.example", "b.example"):
        post_as2(message(Receipt_Delivery_Option=f"https://user:S3CRET@{host}/mdn\x1b[2J\x85?token=S3CRET"))
    case = ExceptionCase.objects.get()
    assert case.occurrences == 2
    assert case.summary == "ACME wants its receipts at an address that is not agreed: https://b.example/mdn?[2J?"


def test_a_stranger_is_sent_nothing_anywhere(acme: TradingPartner, message: Make, post_as2: Post) -> None:
    answer = post_as2(message(AS2_From="NOBODY", Receipt_Delivery_Option="http://169.254.169.254/"))
    assert (answer.status_code, answer.content) == (403, b"No trading partnership covers this message.\n")
    assert Delivery.objects.count() == 0
    assert [case.reason for case in ExceptionCase.objects.all()] == ["unknown_partner"]


def test_what_we_cannot_open_ourselves_is_answered_at_once_so_that_it_comes_again(
    acme: TradingPartner, plant: OwnIdentity, message: Make, post_as2: Post
) -> None:
    made = message(Receipt_Delivery_Option=MDN_URL)
    Certificate.objects.filter(own_identity=plant).delete()
    assert post_as2(made).status_code == 503
    assert Delivery.objects.count() == 0


# -- the whole way: a real server of theirs


class MdnServer(ThreadingHTTPServer):
    """Where ACME takes receipts; keeps what came."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taker)
        self.taken: list[tuple[dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/mdn"


class _Taker(BaseHTTPRequestHandler):
    server: MdnServer

    def do_POST(self) -> None:
        self.server.taken.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def mdn_server() -> Iterator[MdnServer]:
    server = MdnServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_receipt_reaches_their_server_and_again_when_they_repeat(
    mdn_server: MdnServer, acme: TradingPartner, their_terms: As2Terms, post_as2: Post
) -> None:
    As2Link.objects.update(url=mdn_server.url, private_network=True)
    sent = as2.build_message(ACK, terms=their_terms, message_id="<m1@acme.example>", file_name="855.edi")
    made = Message({**sent.headers, "Receipt-Delivery-Option": mdn_server.url}, sent.body)
    for times in (1, 2):
        assert post_as2(made).status_code == 204
        relay.work(DeliveryKind.RECEIPT, "test")
        assert len(mdn_server.taken) == times
    (headers, first), (_, again) = mdn_server.taken
    assert first == again
    said = as2.read_mdn(headers, first, message_id=sent.message_id, digests=sent.digests, terms=their_terms)
    assert said.verdict == as2.Verdict.DELIVERED
    receipt = Transmission.objects.get(format="mdn")
    assert receipt.state == "sent"
    assert set(receipt.deliveries.values_list("state", flat=True)) == {"delivered"}


def test_a_forged_message_has_its_error_told_there_and_nowhere_else(
    mdn_server: MdnServer, acme: TradingPartner, message: Make, post_as2: Post
) -> None:
    As2Link.objects.update(url=mdn_server.url, private_network=True)
    made = message(Receipt_Delivery_Option=mdn_server.url)
    elsewhere = {**made.headers, "Receipt-Delivery-Option": mdn_server.url.replace("127.0.0.1", "127.0.0.2")}
    assert post_as2(Message(made.headers, b"garbage")).status_code == 204
    assert post_as2(Message(elsewhere, b"garbage")).status_code == 400
    relay.work(DeliveryKind.RECEIPT, "test")
    [(_, said)] = mdn_server.taken
    assert b"processed/error: authentication-failed" in said
