"""Our asynchronous receipts on their way to a partner: only where that was agreed, until its server takes them."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from django.utils import timezone

from gateway.models import Delivery, DeliveryKind, Event, ExceptionCase, Transmission
from gateway.pipeline import decide, escalate, receive, send
from gateway.pipeline.own_receipts import OwnReceipt
from gateway.pipeline.receive import Answer, Incoming
from gateway.transports import as2
from partners import directory, onboarding
from partners.models import As2Link
from partners.profiles import Channel
from tests.gateway.pipeline.conftest import SupplierServer
from tests.gateway.pipeline.mdns import try_once
from tests.gateway.queue_rows import lease_runs_out

pytestmark = pytest.mark.django_db

MESSAGE_ID = "<855-1@acme.example>"


@pytest.fixture(autouse=True)
def _acme_is_on_this_machine(acme):
    As2Link.objects.update(private_network=True)


@pytest.fixture
def theirs(supplier: SupplierServer) -> as2.Outgoing:
    """A message of ACME."""
    terms = supplier.terms
    return as2.build_message(b"ISA*00*", terms=terms, message_id=MESSAGE_ID, file_name="855.edi")


@pytest.fixture
def owed(acme, supplier, theirs):
    """Store ACME's message and owe it a receipt at ``to``; ACME's server takes whatever comes."""
    supplier.answer = lambda *_: (200, {}, b"")

    def owe(to: str) -> Transmission:
        terms = directory.profile(acme.pk).as2
        assert terms is not None
        received = as2.receive(theirs.headers, theirs.body, terms)
        mic = (received.mic, received.mic_algorithm)
        mdn = as2.build_mdn(theirs.headers, terms=terms, mic=mic, text="Stored.")
        incoming = Incoming(
            channel=Channel.AS2,
            partner_id=acme.pk,
            format="x12",
            message_id=MESSAGE_ID,
            raw=theirs.body,
            payload=received.payload,
            receipt_to=to,
        )
        receipt = OwnReceipt(headers=mdn.headers, body=mdn.body)
        receive.receive(incoming, lambda row: Answer(status=204, receipt=receipt))
        return mdn_row()

    return owe


def mdn_row() -> Transmission:
    return Transmission.objects.get(format="mdn", direction="outbound")


def delivery() -> Delivery:
    return Delivery.objects.get(kind="receipt")


def try_receipt() -> None:
    try_once(DeliveryKind.RECEIPT)


def origin_of(supplier: SupplierServer) -> str:
    return supplier.url.removesuffix("/as2")


def test_it_arrives_as_it_was_signed_and_its_partner_believes_it(owed, supplier, theirs):
    mdn = owed(supplier.url + "?receipts")
    try_receipt()
    [(headers, body)] = supplier.received
    assert body == mdn.raw.content
    verdict = as2.read_mdn(headers, body, message_id=MESSAGE_ID, digests=theirs.digests, terms=supplier.terms).verdict
    assert verdict is as2.Verdict.DELIVERED
    assert (mdn_row().state, mdn_row().answer_status, delivery().standing) == ("sent", 200, "delivered")
    assert Event.objects.get(name="receipt.sent").transmission == mdn.about


def test_its_length_is_said_once(owed, supplier, monkeypatch):
    seen: list[list[str]] = []
    handler = supplier.RequestHandlerClass
    original = handler.do_POST

    def look(self: Any) -> None:
        seen.append(self.headers.get_all("Content-Length"))
        original(self)

    monkeypatch.setattr(handler, "do_POST", look)
    mdn = owed(supplier.url)
    try_receipt()
    assert seen == [[str(len(mdn.raw.content))]]


def test_a_listed_origin_gets_it_with_the_credentials_of_the_link(owed, supplier):
    As2Link.objects.update(url="https://as2.acme.example/in", receipt_origins=origin_of(supplier))
    onboarding.set_up({"code": "ACME", "as2": {"http_user": "plant", "http_password": "sesame"}})
    owed(supplier.url)
    try_receipt()
    [(headers, _)] = supplier.received
    assert headers["Authorization"] == f"Basic {base64.b64encode(b'plant:sesame').decode()}"
    assert mdn_row().state == "sent"


@pytest.mark.parametrize(
    "spell",
    [
        lambda url: url.replace("127.0.0.1", "localhost"),
        lambda url: url.replace("127.0.0.1", "2130706433"),
        lambda url: url.replace("127.0.0.1", "0x7f000001"),
        lambda url: url.replace("127.0.0.1", "127.1"),
        lambda url: url.replace("127.0.0.1", "[::ffff:127.0.0.1]"),
        lambda url: url.replace("//", "//acme@"),
        lambda url: url.replace("http:", "https:"),
        lambda url: "",
    ],
)
def test_an_address_nobody_agreed_on_gets_nothing_and_makes_a_case(owed, supplier, spell):
    owed(spell(supplier.url))
    try_receipt()
    assert supplier.received == []
    assert (mdn_row().state, delivery().standing) == ("prepared", "dead")
    assert ExceptionCase.objects.get().reason == "receipt_undeliverable"
    escalate.sweep(now=timezone.now())
    assert ExceptionCase.objects.count() == 1


def test_an_address_that_is_agreed_no_longer_gets_no_further_try(owed, supplier):
    As2Link.objects.update(url="https://as2.acme.example/in", receipt_origins=origin_of(supplier))
    supplier.answer = lambda *_: (503, {}, b"")
    owed(supplier.url)
    supplier.answer = lambda *_: (503, {}, b"")
    try_receipt()
    As2Link.objects.update(receipt_origins="")
    try_receipt()
    assert len(supplier.received) == 1
    assert delivery().standing == "dead"


def test_an_agreed_name_that_leads_into_our_network_gets_nothing(owed, supplier):
    As2Link.objects.update(private_network=False)
    owed(supplier.url)
    try_receipt()
    assert supplier.received == []
    assert delivery().standing == "dead"
    why = ExceptionCase.objects.get(reason="receipt_undeliverable").detail["why"]
    assert "127.0.0.1" in why
    assert "in a network of ours, tick that at the AS2 link" in why


def test_a_redirect_is_not_followed(owed, supplier):
    owed(supplier.url)
    supplier.answer = lambda *_: (307, {"Location": supplier.url + "/elsewhere"}, b"")
    try_receipt()
    assert len(supplier.received) == 1
    assert delivery().standing == "dead"
    assert "/elsewhere" in ExceptionCase.objects.get().detail["why"]


@pytest.mark.parametrize("status", [200, 202, 204])
def test_any_success_will_do(owed, supplier, status):
    owed(supplier.url)
    supplier.answer = lambda *_: (status, {}, b"")
    try_receipt()
    assert (mdn_row().state, delivery().standing) == ("sent", "delivered")


@pytest.mark.parametrize("answer", [(503, {}, b""), (429, {}, b""), None])
def test_a_server_that_is_busy_gets_the_same_bytes_later(owed, supplier, answer):
    mdn = owed(supplier.url)
    supplier.answer = lambda *_: answer
    try_receipt()
    assert delivery().standing in {"pending", "in_doubt"}
    supplier.answer = lambda *_: (200, {}, b"")
    try_receipt()
    assert [body for _, body in supplier.received] == [mdn.raw.content] * 2
    assert mdn_row().state == "sent"


def test_when_every_try_failed_a_person_is_told_and_may_try_again(owed, supplier, settings):
    settings.RETRY_SCHEDULE_MIN = {**settings.RETRY_SCHEDULE_MIN, "receipt": [1]}
    owed(supplier.url)
    supplier.answer = lambda *_: (500, {}, b"")
    try_receipt()
    try_receipt()
    case = ExceptionCase.objects.get()
    assert (case.reason, case.delivery, delivery().standing) == ("receipt_undeliverable", delivery(), "dead")
    assert MESSAGE_ID in case.summary
    supplier.answer = lambda *_: (200, {}, b"")
    decide.retry(case, actor="ann")
    try_receipt()
    assert (mdn_row().state, delivery().standing) == ("sent", "delivered")


def repeat(theirs: as2.Outgoing, acme: Any, to: str) -> None:
    """ACME sends its message once more."""
    incoming = Incoming(
        channel=Channel.AS2, partner_id=acme.pk, format="x12", message_id=MESSAGE_ID, raw=theirs.body, receipt_to=to
    )
    assert receive.repeated(incoming) is not None


def test_a_repeated_message_has_its_receipt_sent_again(owed, supplier, theirs, acme):
    owed(supplier.url)
    try_receipt()
    repeat(theirs, acme, supplier.url)
    try_receipt()
    first, again = supplier.received
    assert first == again
    assert {row.state for row in Delivery.objects.filter(kind="receipt")} == {"delivered"}


def test_a_repeat_that_gets_through_settles_what_was_given_up(owed, supplier, theirs, acme):
    owed(supplier.url)
    supplier.answer = lambda *_: (404, {}, b"")
    try_receipt()
    supplier.answer = lambda *_: (200, {}, b"")
    repeat(theirs, acme, supplier.url)
    try_receipt()
    escalate.sweep(now=timezone.now())
    assert {row.state for row in Delivery.objects.filter(kind="receipt")} == {"delivered"}
    assert [case.resolution for case in ExceptionCase.objects.all()] == ["settled"]


def test_a_worker_that_died_after_the_post_sends_the_same_once_more(owed, supplier, monkeypatch):
    class Killed(BaseException):
        pass

    def posts_and_dies(*args: Any, **keywords: Any) -> None:
        post(*args, **keywords)
        raise Killed

    mdn, post = owed(supplier.url), send.post
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(send, "post", posts_and_dies)
        try_receipt()
    lease_runs_out(kind="receipt")
    try_receipt()
    assert [body for _, body in supplier.received] == [mdn.raw.content] * 2
    assert delivery().standing == "delivered"
