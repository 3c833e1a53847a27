"""Messages with several documents: which are translated, which are kept, and that none is taken twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.http import HttpResponse
from django.utils import timezone

from gateway import outbox
from gateway.models import DeliveryKind, Document, Event, ExceptionCase, Interchange, Transmission
from gateway.pipeline import relay
from gateway.transports import as2
from partners.models import TradingPartner
from partners.profiles import As2Terms
from tests.gateway.endpoints.conftest import ACK, Message

Post = Callable[[Message], HttpResponse]

pytestmark = pytest.mark.django_db

SECOND = ACK.replace(b"000000042", b"000000043").replace(b"4500018231", b"4500018232")
LETTER = as2.Attachment(b"Dear customer, see the attached.", "text/plain", "letter.txt")
DRAWING = as2.Attachment(b"%PDF-1.7 \x00\xff", "application/pdf", "drawing.pdf")
EDI = as2.Attachment(SECOND, "application/edi-x12", "second.edi")
UNNAMED_EDI = as2.Attachment(b"\r\n  " + SECOND, "application/octet-stream", None)


Send = Callable[..., HttpResponse]


@pytest.fixture
def send(their_terms: As2Terms, post_as2: Post) -> Send:
    """Post one message, as often as is said."""

    def post(
        root: as2.Attachment, *others: as2.Attachment, message_id: str = "<m1@acme.example>", times: int = 1
    ) -> HttpResponse:
        made = as2.build_message(
            root.content,
            terms=their_terms,
            message_id=message_id,
            content_type=root.content_type,
            file_name=root.file_name,
            attachments=others,
        )
        first, *again = [post_as2(Message(made.headers, made.body)) for _ in range(times)]
        assert {one.content for one in again} <= {first.content}
        return first

    return post


FIRST = as2.Attachment(ACK, "application/edi-x12", "first.edi")


def translate_all() -> None:
    while claim := outbox.claim(DeliveryKind.TRANSLATE, "test"):
        relay.handle(claim, now=timezone.now())


def kept() -> list[tuple[str, str, bytes]]:
    rows = Transmission.objects.filter(direction="inbound").order_by("pk")
    return [(row.format, row.file_name, row.payload.content) for row in rows]


def test_x12_beside_x12_is_translated_and_a_drawing_is_kept(acme: TradingPartner, send: Send):
    assert b"processed\r\n" in send(FIRST, EDI, DRAWING).content
    assert kept() == [
        ("x12", "first.edi", ACK),
        ("x12", "second.edi", SECOND),
        ("file", "drawing.pdf", DRAWING.content),
    ]
    message = Transmission.objects.get(about=None)
    assert list(message.belongings.order_by("pk").values_list("content_type", flat=True)) == [
        "application/edi-x12",
        "application/pdf",
    ]
    translate_all()
    assert sorted(Interchange.objects.values_list("control_number", flat=True)) == ["000000042", "000000043"]
    assert sorted(Document.objects.filter(direction="inbound").values_list("number", flat=True)) == [
        "4500018231",
        "4500018232",
    ]
    assert list(Transmission.objects.order_by("pk").values_list("state", flat=True)[:3]) == [
        "answered",
        "answered",
        "stored",
    ]


@pytest.mark.parametrize("edi", [EDI, UNNAMED_EDI], ids=["by its type", "by its content"])
def test_a_covering_letter_is_kept_and_the_x12_behind_it_translated(
    edi: as2.Attachment, acme: TradingPartner, send: Send
) -> None:
    send(LETTER, edi)
    assert [(format, content) for format, _, content in kept()] == [("file", LETTER.content), ("x12", edi.content)]
    translate_all()
    assert Interchange.objects.get().control_number == "000000043"
    assert ExceptionCase.objects.filter(reason="unreadable_message").count() == 0


def test_without_any_x12_the_first_document_fails_as_if_alone(acme: TradingPartner, send: Send) -> None:
    send(LETTER, DRAWING)
    assert [format for format, _, _ in kept()] == ["x12", "file"]
    translate_all()
    assert [case.reason for case in ExceptionCase.objects.all()] == ["unreadable_message"]


def test_a_repeat_stores_nothing_new(acme: TradingPartner, send: Send) -> None:
    send(FIRST, EDI, DRAWING, times=2)
    assert len(kept()) == 3
    assert Event.objects.filter(name="transmission.repeated").count() == 1


# -- the same document under another id


def test_the_same_content_under_a_new_id_is_noticed_and_has_no_second_effect(acme: TradingPartner, send: Send) -> None:
    """AS2 signs no Message-ID, so anybody who has the ciphertext may send it under another one."""
    send(FIRST, message_id="<m1@acme.example>")
    translate_all()
    documents = set(Document.objects.exclude(state="rejected").values_list("pk", flat=True))
    assert b"processed\r\n" in send(FIRST, message_id="<m2@acme.example>").content
    first, again = Transmission.objects.filter(direction="inbound").order_by("pk")
    event = Event.objects.get(name="transmission.same_content")
    assert (event.transmission, event.data["first"]) == (again, str(first.uid))
    translate_all()
    assert [case.reason for case in ExceptionCase.objects.filter(transmission=again)] == ["interchange_repeated"]
    inbound = Document.objects.filter(transmission=again)
    assert set(inbound.values_list("state", flat=True)) == {"rejected"}
    taken = Document.objects.filter(direction="inbound").exclude(state="rejected")
    assert set(taken.values_list("pk", flat=True)) <= documents
    assert Interchange.objects.filter(direction="inbound", repeats=None).count() == 1
