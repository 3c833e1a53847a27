"""The chain of the audit trail: what the database notes and refuses by itself, and what is sealed, once."""

from __future__ import annotations

import hashlib
import json
import random
import threading
import uuid
from datetime import UTC, datetime

import pytest
from django.db import IntegrityError, connection, transaction

from gateway import audit, events
from gateway.audit import chain
from gateway.models import ArchivingNow, AuditBatch, Event, UnsealedEvent
from tests.gateway.rows import a_document, a_partner
from tests.services import need

pytestmark = pytest.mark.django_db(transaction=True)

MOMENT = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)


def happened(count: int = 1) -> list[Event]:
    partner = a_partner()
    return [events.record("payload.viewed", partner_id=partner.pk, number=number) for number in range(count)]


def on_postgresql() -> None:
    need(connection.vendor == "postgresql", "DATABASE_URL names no PostgreSQL: several write at once only there")


# -- the database's own guards


def test_the_database_notes_each_new_event_by_itself():
    one, two = happened(2)
    events.record_all("document.discarded", [a_document(number=n) for n in "12"], [{}, {}])
    assert Event.objects.count() == 4
    assert set(UnsealedEvent.objects.values_list("pk", flat=True)) == set(Event.objects.values_list("pk", flat=True))
    assert {one.pk, two.pk} < set(UnsealedEvent.objects.values_list("pk", flat=True))


def test_one_event_is_one_statement(django_assert_num_queries):
    partner = a_partner()
    with django_assert_num_queries(1):
        events.record("payload.viewed", partner_id=partner.pk)


def test_what_is_rolled_back_leaves_nothing_to_seal():
    with pytest.raises(RuntimeError), transaction.atomic():
        happened()
        raise RuntimeError
    assert not UnsealedEvent.objects.exists()
    assert audit.seal() == 0


def test_an_event_cannot_be_changed():
    [event] = happened()
    with pytest.raises(IntegrityError, match=r"audit trail: .*event .*cannot be changed"):
        Event.objects.filter(pk=event.pk).update(actor="nobody")


def test_an_event_cannot_be_deleted_but_by_the_archive():
    if connection.vendor != "postgresql":
        pytest.skip("on SQLite the tests themselves empty tables by DELETE; there the chain finds it")
    [event] = happened()
    with pytest.raises(IntegrityError, match=f"audit trail: event {event.pk} cannot be deleted"):
        event.delete()
    with transaction.atomic():
        now = ArchivingNow.objects.create()
        Event.objects.filter(pk=event.pk).delete()
        now.delete()
    assert not Event.objects.exists()


def test_a_batch_cannot_be_changed_and_on_postgresql_not_deleted():
    happened()
    audit.seal()
    with pytest.raises(IntegrityError, match=r"audit trail: .*batch .*cannot be changed"):
        AuditBatch.objects.update(previous="1" * 64)
    if connection.vendor == "postgresql":
        with pytest.raises(IntegrityError, match="audit trail: batch 1 cannot be deleted"):
            AuditBatch.objects.all().delete()


# -- sealing


def test_every_event_is_sealed_once_and_each_batch_names_the_one_before():
    happened(5)
    assert [audit.seal(2), audit.seal(2), audit.seal(2), audit.seal(2)] == [2, 2, 1, 0]
    first, second, third = AuditBatch.objects.order_by("sequence")
    assert [first.sequence, second.sequence, third.sequence] == [1, 2, 3]
    assert (first.previous, second.previous, third.previous) == ("0" * 64, first.digest, second.digest)
    sealed = [number for batch in (first, second, third) for number, _ in chain.leaves_in(batch)]
    assert sealed == list(Event.objects.order_by("pk").values_list("pk", flat=True))
    assert not UnsealedEvent.objects.exists()


def test_all_of_them_are_sealed_in_as_many_batches_as_it_takes():
    happened(5)
    assert audit.seal_all(MOMENT, most=2) == 5
    assert list(AuditBatch.objects.order_by("pk").values_list("events", flat=True)) == [2, 2, 1]
    assert set(AuditBatch.objects.values_list("sealed_at", flat=True)) == {MOMENT}


def test_an_event_that_is_gone_before_it_was_sealed_holds_up_nobody():
    lost, kept = happened(2)
    with connection.cursor() as cursor, transaction.atomic():
        if connection.vendor == "postgresql":
            ArchivingNow.objects.create()
        cursor.execute("DELETE FROM gateway_event WHERE id = %s", [lost.pk])
    assert audit.seal(1) == 1
    assert audit.leaf_of(kept.pk) is not None
    assert list(UnsealedEvent.objects.values_list("pk", flat=True)) == [lost.pk]


def test_an_event_that_came_back_from_an_archive_is_not_sealed_again():
    [event] = happened()
    audit.seal()
    with transaction.atomic():
        UnsealedEvent.objects.create(pk=event.pk)  # as the database notes it when it is added again
        audit.returned([event.pk])
    assert audit.seal() == 0


def test_the_leaf_of_an_event_is_found_in_whatever_batch_it_is():
    found = happened(7)
    audit.seal_all(most=2)
    for event in found:
        assert audit.leaf_of(event.pk) == audit.digest_of(Event.objects.values(*chain.COLUMNS).get(pk=event.pk))
    assert audit.leaf_of(found[-1].pk + 1) is None
    assert set(audit.leaves_of(event.pk for event in found[1:4])) == {event.pk for event in found[1:4]}


# -- digests


def test_the_digest_of_an_event_is_the_same_in_every_database():
    """A known answer, so that a change of the encoding cannot go unnoticed: old chains would no longer fit."""
    event = {
        "id": 7,
        "at": MOMENT,
        "name": "order.shipped",
        "correlation_id": uuid.UUID(int=1),
        "actor": "Müller",
        "partner_id": 3,
        "order_id": None,
        "transmission_id": None,
        "document_id": 12,
        "delivery_id": None,
        "case_id": None,
        "data": {"b": [1.50, True, None], "a": "é ", "n": 10**22},
    }
    encoded = (
        b'\x01[7,1772368215123456,"order.shipped","00000000000000000000000000000001","M\\u00fcller",3,null,null,12,null,'
        b'null,{"a":"\\u00e9 ","b":[1.5,true,null],"n":1e+22}]'
    )

    assert audit.digest_of(event) == hashlib.sha256(encoded).digest()


@pytest.mark.parametrize(
    "number", [0, -0.0, 1, 1.0, 1.5, 0.1, 1e-7, 1e22, 1.5e300, 2**53, 2**63, -(2**70), 123456789.25]
)
def test_a_number_has_the_digest_it_had_before_the_database_took_it(number):
    [event] = [events.record("payload.viewed", partner_id=a_partner().pk, number=number)]
    audit.seal()
    given = Event.objects.values(*chain.COLUMNS).get(pk=event.pk) | {"data": json.loads(json.dumps({"number": number}))}
    assert audit.leaf_of(event.pk) == audit.digest_of(given)


def test_every_column_of_an_event_is_in_its_digest():
    assert {field.attname for field in Event._meta.concrete_fields} == set(chain.COLUMNS)


# -- several at once


def test_of_several_sealers_at_once_each_event_is_sealed_by_one():
    on_postgresql()
    happened(60)
    gate, sealed = threading.Barrier(4), []

    def sealer() -> None:
        gate.wait()
        sealed.append(sum(iter(lambda: audit.seal(7), 0)))
        connection.close()

    _together([sealer] * 4)
    audit.seal_all(most=7)
    _each_committed_event_is_sealed_once()


def test_whoever_adds_events_does_not_wait_for_the_sealer():
    """The sealer's transaction is open: its batch is written and not committed."""
    on_postgresql()
    happened(3)
    added = []

    def adder() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '2s'")
        added.append(happened()[0].pk)
        connection.close()

    with transaction.atomic():
        assert audit.seal() == 3
        _together([adder])
    assert added
    assert audit.seal() == 1


@pytest.mark.parametrize("seed", range(5))
def test_in_any_order_of_commits_rollbacks_and_seals_each_committed_event_is_sealed_once(seed):
    on_postgresql()
    partner, gate = a_partner(), threading.Barrier(5)

    def writer(number: int) -> None:
        chance = random.Random(f"{seed}-{number}")
        gate.wait()
        for _ in range(25):
            try:
                with transaction.atomic():
                    for _ in range(chance.randint(1, 4)):
                        events.record("payload.viewed", partner_id=partner.pk)
                    if chance.random() < 0.3:
                        raise RuntimeError("rolled back")
            except RuntimeError:
                continue
        connection.close()

    def sealer(number: int) -> None:
        chance = random.Random(f"{seed}-{number}")
        gate.wait()
        for _ in range(25):
            audit.seal(chance.randint(1, 9))
        connection.close()

    _together([lambda: writer(1), lambda: writer(2), lambda: writer(3), lambda: sealer(4), lambda: sealer(5)])
    audit.seal_all()
    _each_committed_event_is_sealed_once()


def _together(works) -> None:
    """A thread that raises fails its test by itself: pytest makes a warning of it, and warnings are errors here."""
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)


def _each_committed_event_is_sealed_once() -> None:
    batches = list(AuditBatch.objects.order_by("sequence"))
    assert [batch.sequence for batch in batches] == list(range(1, len(batches) + 1))
    assert [batch.previous for batch in batches] == ["0" * 64, *(batch.digest for batch in batches[:-1])]
    sealed = sorted(number for batch in batches for number, _ in chain.leaves_in(batch))
    assert sealed == list(Event.objects.order_by("pk").values_list("pk", flat=True))
    assert not UnsealedEvent.objects.exists()
