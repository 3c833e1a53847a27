"""Receipts for messages of ours that come to the door by a request of their own."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from django.http import HttpResponse

from gateway.models import Blob, Event, ExceptionCase, Transmission
from gateway.transports import as2
from partners import directory
from partners.models import Certificate, TradingPartner
from partners.profiles import As2Terms, CertificateRef
from tests.gateway.endpoints.conftest import ACK, Message

Post = Callable[[Message], HttpResponse]

pytestmark = pytest.mark.django_db

TAKEN = (200, b"The receipt was taken.\n")


@pytest.fixture
def ours(acme: TradingPartner) -> Transmission:
    """A message of ours that ACME's server took and that waits for its receipt."""
    terms = directory.profile(acme.pk).as2
    assert terms is not None
    terms = replace(terms, async_mdn=True, our_url="https://as2.plant.example/as2")
    made = as2.build_message(ACK, terms=terms, message_id="<ours-1@plant.example>", file_name="850.edi")
    return Transmission.objects.create(
        direction="outbound",
        channel="as2",
        partner=acme,
        format="x12",
        state="sent",
        message_id=made.message_id,
        headers=made.headers,
        raw=Blob.put(made.body),
        digests={name: base64.b64encode(digest).decode() for name, digest in made.digests.items()},
    )


def receipt(
    ours: Transmission, their_terms: As2Terms, signed_with: CertificateRef | None = None, /, **headers: str | None
) -> Message:
    """What ACME says of it, as it posts that."""
    received = as2.receive(ours.headers, ours.raw.content, their_terms)
    terms = replace(their_terms, our_signing=(signed_with,)) if signed_with else their_terms
    mdn = as2.build_mdn(ours.headers, terms=terms, mic=(received.mic, received.mic_algorithm), text="Taken.")
    changed: Mapping[str, str | None] = {**mdn.headers, **{n.replace("_", "-"): v for n, v in headers.items()}}
    return Message({name: value for name, value in changed.items() if value is not None}, mdn.body)


@pytest.mark.parametrize("own_id", [{}, {"Message_ID": None}, {"Message_ID": "an id with spaces"}])
def test_a_receipt_counts_with_and_without_an_id_of_its_own(
    own_id: dict[str, str | None], ours: Transmission, their_terms: As2Terms, post_as2: Post
) -> None:
    answer = post_as2(receipt(ours, their_terms, **own_id))
    assert (answer.status_code, answer.content) == TAKEN
    assert int(answer["Content-Length"]) == len(answer.content)
    ours.refresh_from_db()
    assert ours.state == "receipted"
    kept = ours.belongings.get()
    assert (kept.direction, kept.format, kept.state, kept.message_id) == ("inbound", "mdn", "stored", "")
    assert ExceptionCase.objects.count() == 0


def test_a_receipt_twice_changes_nothing_the_second_time(
    ours: Transmission, their_terms: As2Terms, post_as2: Post
) -> None:
    same = receipt(ours, their_terms)
    assert [(answer.status_code, answer.content) for answer in (post_as2(same), post_as2(same))] == [TAKEN, TAKEN]
    assert ours.belongings.count() == 1
    assert Event.objects.filter(name="transmission.receipted").count() == 1


def test_a_receipt_takes_no_id_from_a_message_to_come(
    ours: Transmission, their_terms: As2Terms, message: Callable[..., Message], post_as2: Post
) -> None:
    post_as2(receipt(ours, their_terms, Message_ID="<m1@acme.example>"))
    assert b"processed\r\n" in post_as2(message("<m1@acme.example>")).content


def test_a_forged_receipt_gets_the_same_answer_and_proves_nothing(
    ours: Transmission, their_terms: As2Terms, other_key: CertificateRef, post_as2: Post
) -> None:
    answer = post_as2(receipt(ours, their_terms, other_key))
    assert (answer.status_code, answer.content) == TAKEN
    ours.refresh_from_db()
    assert ours.state == "sent"
    assert Transmission.objects.get(format="mdn").state == "refused"
    assert [case.reason for case in ExceptionCase.objects.all()] == ["receipt_unmatched"]


def test_a_receipt_of_a_stranger_is_a_strangers_request(
    ours: Transmission, their_terms: As2Terms, post_as2: Post
) -> None:
    answer = post_as2(receipt(ours, their_terms, AS2_From="NOBODY"))
    assert (answer.status_code, answer.content) == (403, b"No trading partnership covers this message.\n")
    assert Transmission.objects.filter(format="mdn").count() == 0


def test_a_receipt_we_cannot_judge_is_to_come_again(ours: Transmission, their_terms: As2Terms, post_as2: Post) -> None:
    said = receipt(ours, their_terms)
    Certificate.objects.filter(partner=ours.partner).update(certificate_pem="broken")
    answer = post_as2(said)
    assert (answer.status_code, answer["Retry-After"]) == (503, "60")
    ours.refresh_from_db()
    assert ours.state == "sent"
    assert [case.reason for case in ExceptionCase.objects.all()] == ["terms_unusable"]


def test_a_message_without_an_id_is_still_no_message(ours: Transmission, their_terms: As2Terms, post_as2: Post) -> None:
    made = as2.build_message(ACK, terms=their_terms, message_id="<x@y>", file_name=None)
    headers = {name: value for name, value in made.headers.items() if name != "Message-ID"}
    assert post_as2(Message(headers, made.body)).status_code == 400
    assert Transmission.objects.filter(direction="inbound").count() == 0
