"""Receive: stored once, with its answer and its work, or kept as refused."""

from __future__ import annotations

import pytest
from django.db import connection as database

from gateway.models import Blob, Delivery, ExceptionCase, Transmission
from gateway.pipeline import receive
from gateway.pipeline.receive import Answer, Incoming
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
    assert Blob.objects.filter(data=b"no").exists()


def test_equal_bytes_are_kept_once(take):
    take(b"{}", message_id="a")
    take(b"{}", message_id="b")
    assert Blob.objects.filter(data=b"{}").count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_wake_up_that_fails_does_not_undo_what_was_committed(take, monkeypatch):
    from gateway import outbox

    def broken(queue: str) -> None:
        raise ConnectionError("no broker")

    monkeypatch.setattr(outbox, "_listeners", [broken])
    take(b"{}")
    assert Transmission.objects.get().state == "stored"
    assert not database.in_atomic_block
