"""Receive: stored once, with its answer and its work, or kept as refused."""

from __future__ import annotations

import hashlib

import pytest
from django.db import connection as database

from gateway.models import Blob, Delivery, Event, ExceptionCase, Transmission
from gateway.pipeline import own_receipts, receive
from gateway.pipeline.own_receipts import OwnReceipt
from gateway.pipeline.receive import Answer, Attachment, Incoming
from partners.profiles import Channel

pytestmark = pytest.mark.django_db


def test_the_message_its_answer_and_its_work_are_one_commit(take):
    accepted = take(b"{}")
    row = Transmission.objects.get()
    assert row.state == "stored"
    assert row.answer is not None
    assert row.answer.content == accepted.answer.body
    assert Delivery.objects.get().key == f"translate:{row.uid}"


def test_a_fault_while_answering_stores_nothing(take, castra):
    incoming = Incoming(
        channel=Channel.REST, partner_id=castra.pk, format="canonical_json", message_id="m", raw=b"x", payload=b"x"
    )

    def fails(row: Transmission) -> Answer:
        raise OSError("the key store is away")

    with pytest.raises(OSError, match="key store"):
        receive.receive(incoming, fails)
    assert not Transmission.objects.exists()
    assert not Delivery.objects.exists()


def test_a_repeat_gets_the_stored_answer_byte_for_byte(take):
    first, again = take(b"{}"), take(b"{}")
    assert again.repeated
    assert again.answer.body == first.answer.body
    assert Transmission.objects.count() == Delivery.objects.count() == 1


def test_of_very_many_repeats_some_are_noted(take, monkeypatch):
    monkeypatch.setattr(receive, "MOST_REPEATS_NOTED", 2)
    for _ in range(5):
        take(b"{}")
    assert Event.objects.filter(name="transmission.repeated").count() == 2


def test_the_same_id_with_other_content_is_a_conflict(take):
    take(b"{}")
    with pytest.raises(receive.Conflict):
        take(b"[]")
    assert Transmission.objects.count() == 1


def test_a_refused_message_is_kept_and_its_id_stays_free(take, castra):
    incoming = Incoming(
        channel=Channel.REST, partner_id=castra.pk, format="canonical_json", message_id="m1", raw=b"no", payload=b"no"
    )
    answer = Answer(status=400, body=b"what is this")
    receive.refuse(incoming, answer, reason="unreadable_message", summary="not JSON", why="byte 0")
    assert take(b"{}").repeated is False
    assert sorted(Transmission.objects.values_list("state", flat=True)) == ["refused", "stored"]
    assert ExceptionCase.objects.get().reason == "unreadable_message"
    assert Transmission.objects.get(state="refused").payload.content == b"no"


def test_equal_bytes_are_kept_once(take):
    take(b"{}", message_id="a")
    take(b"{}", message_id="b")
    assert Blob.objects.filter(sha256=hashlib.sha256(b"{}").hexdigest()).count() == 1


def test_a_nul_in_what_a_sender_calls_its_documents_is_no_reason_to_turn_it_away(castra):
    content_type, file_name = "application/x\0y", "a\0b"
    incoming = Incoming(
        channel=Channel.AS2,
        partner_id=castra.pk,
        format="file",
        raw=b"x",
        payload=b"x",
        attachments=[Attachment(format="file", payload=b"y", content_type=content_type, file_name=file_name)],
        content_type=content_type,
        file_name=file_name,
    )
    receive.receive(incoming, lambda row: Answer(status=200))
    receive.refuse(incoming, Answer(status=400), reason="unreadable_message", summary="no", why="it says \0")
    stored = Transmission.objects.values_list("content_type", "file_name").distinct()
    assert list(stored) == [("application/x\ufffdy", "a\ufffdb")]
    assert Transmission.objects.get(state="refused").reason == "it says \ufffd"


# -- the same document again


def test_the_same_document_under_another_id_is_noticed(take):
    first, again = take(b"{}", message_id="a"), take(b"{}", message_id="b")
    event = Event.objects.get(name="transmission.same_content")
    assert event.transmission == again.transmission
    assert event.data == {"first": str(first.transmission.uid)}


def test_what_was_refused_is_not_the_first_of_anything(take, castra):
    incoming = Incoming(
        channel=Channel.REST, partner_id=castra.pk, format="canonical_json", message_id="m1", raw=b"{}", payload=b"{}"
    )
    receive.refuse(incoming, Answer(status=400), reason="unreadable_message", summary="not JSON", why="byte 0")
    take(b"{}")
    assert not Event.objects.filter(name="transmission.same_content").exists()


def test_two_partners_may_say_the_same(take, acme):
    take(b"{}")
    take(b"{}", partner=acme)
    assert not Event.objects.filter(name="transmission.same_content").exists()


# -- several documents in one message


def _with(castra, *attachments: Attachment, format: str = "x12", message_id: str = "m1") -> Incoming:
    return Incoming(
        channel=Channel.AS2,
        partner_id=castra.pk,
        format=format,
        message_id=message_id,
        raw=b"all of it",
        payload=b"the first",
        attachments=attachments,
    )


X12 = Attachment(format="x12", payload=b"ISA...", content_type="application/edi-x12", file_name="2.edi")
DRAWING = Attachment(format="file", payload=b"%PDF", content_type="application/pdf", file_name="drawing.pdf")


def test_each_attachment_is_a_row_of_its_own_about_its_message(castra):
    message = receive.receive(_with(castra, X12, DRAWING), lambda row: Answer(status=200)).transmission
    edi, drawing = message.belongings.order_by("pk")
    assert (edi.format, edi.file_name, edi.content_type) == ("x12", "2.edi", "application/edi-x12")
    assert (drawing.format, drawing.file_name, drawing.content_type) == ("file", "drawing.pdf", "application/pdf")
    assert edi.payload.content == b"ISA..."
    assert drawing.payload.content == b"%PDF"
    assert {row.state for row in (message, edi, drawing)} == {"stored"}
    assert {row.correlation_id for row in (edi, drawing)} == {message.correlation_id}


def test_what_is_to_be_translated_is_and_a_file_is_kept(castra):
    message = receive.receive(_with(castra, X12, DRAWING, format="file"), lambda row: Answer(status=200)).transmission
    assert [one.transmission.file_name for one in Delivery.objects.all()] == ["2.edi"]
    assert message.state == "stored"


def test_other_attachments_under_a_used_id_are_a_conflict(castra):
    receive.receive(_with(castra, X12, DRAWING), lambda row: Answer(status=204, receipt=MDN))
    with pytest.raises(receive.Conflict):
        receive.receive(_with(castra, X12), lambda row: Answer(status=200))
    with pytest.raises(receive.Conflict):
        receive.receive(_with(castra, DRAWING, X12), lambda row: Answer(status=200))
    assert receive.receive(_with(castra, X12, DRAWING), lambda row: Answer(status=200)).repeated


def test_a_repeat_stores_its_attachments_no_second_time(castra):
    for _ in range(2):
        receive.receive(_with(castra, X12, DRAWING), lambda row: Answer(status=200))
    assert Transmission.objects.count() == 3
    assert Delivery.objects.count() == 2


# -- a receipt that goes by a request of its own


MDN = OwnReceipt(headers={"Message-ID": "<r1@plant>", "Content-Type": "multipart/signed"}, body=b"the receipt")


def _asking(castra, to: str = "http://as2.castra.example/mdn") -> Incoming:
    return Incoming(
        channel=Channel.AS2, partner_id=castra.pk, format="x12", message_id="m1", raw=b"x", payload=b"x", receipt_to=to
    )


def _receive(incoming: Incoming) -> receive.Accepted:
    return receive.receive(incoming, lambda row: Answer(status=204, receipt=MDN))


def test_the_receipt_is_queued_in_the_commit_of_its_message(castra):
    message = _receive(_asking(castra)).transmission
    receipt = message.belongings.get()
    assert (receipt.direction, receipt.format, receipt.state) == ("outbound", "mdn", "prepared")
    assert (receipt.message_id, receipt.raw.content) == ("<r1@plant>", b"the receipt")
    assert receipt.evidence == {"to": "http://as2.castra.example/mdn"}
    assert Delivery.objects.get(kind="receipt").transmission == receipt
    assert Event.objects.get(name="receipt.asked_at").transmission == message


def test_a_refused_message_has_its_receipt_queued_too(castra):
    answer = Answer(status=204, receipt=MDN)
    row = receive.refuse(_asking(castra), answer, reason="signature_refused", summary="unsigned", why="unsigned")
    assert Delivery.objects.get().transmission.about == row


def test_a_repeat_does_not_double_a_receipt_on_its_way(castra):
    _receive(_asking(castra))
    assert _receive(_asking(castra)).repeated
    assert Delivery.objects.filter(kind="receipt").count() == 1


@pytest.mark.parametrize("state", ["delivered", "dead", "cancelled"])
def test_a_repeat_queues_the_same_receipt_when_it_was_sent_or_given_up(state, castra):
    _receive(_asking(castra))
    for tries in (2, 3):
        Delivery.objects.filter(kind="receipt", state="open").update(state=state)
        _receive(_asking(castra))
        assert Delivery.objects.filter(kind="receipt").count() == tries
    assert Transmission.objects.filter(format="mdn").count() == 1


def test_a_captured_message_does_not_send_its_receipt_for_ever(castra, monkeypatch):
    monkeypatch.setattr(own_receipts, "MOST_TIMES", 3)
    for _ in range(5):
        _receive(_asking(castra))
        Delivery.objects.filter(kind="receipt", state="open").update(state="delivered")
    assert Delivery.objects.filter(kind="receipt").count() == 3


def test_a_repeat_may_name_another_address(castra):
    _receive(_asking(castra))
    _receive(_asking(castra, to="http://as2.castra.example/mended"))
    assert Transmission.objects.get(format="mdn").evidence == {"to": "http://as2.castra.example/mended"}
    _receive(_asking(castra, to=""))
    assert Transmission.objects.get(format="mdn").evidence == {"to": "http://as2.castra.example/mended"}


@pytest.mark.django_db(transaction=True)
def test_a_queued_receipt_rings_its_worker_at_the_commit(castra, monkeypatch):
    from gateway import outbox

    rung: list[str] = []
    monkeypatch.setattr(outbox, "_listeners", [rung.append])
    _receive(_asking(castra))
    assert "receipt" in rung


@pytest.mark.django_db(transaction=True)
def test_a_wake_up_that_fails_does_not_undo_what_was_committed(take, monkeypatch):
    from gateway import outbox

    def broken(queue: str) -> None:
        raise ConnectionError("no broker")

    monkeypatch.setattr(outbox, "_listeners", [broken])
    take(b"{}")
    assert Transmission.objects.get().state == "stored"
    assert not database.in_atomic_block
