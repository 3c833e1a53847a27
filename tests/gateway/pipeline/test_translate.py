"""Translate: an interchange of any number of sets, in flat memory, in few statements, and not twice."""

from __future__ import annotations

import gc
import logging

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from edi_maps import x12
from edi_maps.canonical import OrderAcknowledgment
from gateway import outbox
from gateway.models import Delivery, DeliveryKind, Document, ExceptionCase, Transmission
from gateway.pipeline import decide, relay, translate
from gateway.pipeline.judge import judge
from partners import onboarding
from tests.gateway.pipeline.test_answers import ack_set, interchange
from tests.gateway.queue_rows import lease_runs_out
from tests.gateway.rivals import rival_claim

pytestmark = pytest.mark.django_db

BAD = "BAK*00*ZZZ*~CTT*0~"


def answers(count: int) -> list[str]:
    return [ack_set(f"PO-{number}") for number in range(1, count + 1)]


def translated() -> None:
    """One turn of the translator, and nothing else."""
    assert relay.work(DeliveryKind.TRANSLATE, "test") == 1


def claimed(owner: str) -> outbox.Claim:
    claim = outbox.claim(DeliveryKind.TRANSLATE, owner)
    assert claim is not None
    return claim


def our_answer() -> bytes:
    return Transmission.objects.get(direction="outbound").payload.content


def acknowledged(data: bytes) -> list[str]:
    return [line for line in data.decode().split("~") if line.startswith(("AK", "TA1"))]


@pytest.fixture
def two_at_once(monkeypatch):
    monkeypatch.setattr(translate, "SETS_AT_ONCE", 2)


def test_sets_that_are_written_some_at_a_time_keep_their_order_their_verdicts_and_their_places(acme, take, two_at_once):
    sets = answers(5)
    sets[3] = BAD
    take(interchange(*sets), partner=acme)
    translated()
    rows = Document.objects.filter(direction="inbound").order_by("pk")
    assert [(row.position, row.set_control, row.number, row.state) for row in rows] == [
        (0, "0001", "PO-1", "translated"),
        (1, "0002", "PO-2", "translated"),
        (2, "0003", "PO-3", "translated"),
        (3, "0004", "", "rejected"),
        (4, "0005", "PO-5", "translated"),
    ]
    work = Delivery.objects.filter(kind="apply").order_by("pk")
    assert [row.document.number for row in work] == ["PO-1", "PO-2", "PO-3", "PO-5"]
    assert [lane for row in work for lane in outbox.lanes_of(row)] == [
        f"apply:{acme.pk}:{number}" for number in ("PO-1", "PO-2", "PO-3", "PO-5")
    ]
    assert ExceptionCase.objects.get().document.set_control == "0004"


def test_their_acknowledgment_is_that_of_the_whole(acme, take, two_at_once):
    data = interchange(*answers(3), BAD, ack_set("PO-5", quantity="ten"))
    take(data, partner=acme)
    translated()
    [whole] = x12.read(data)
    envelope = x12.reply_envelope(whole, interchange_number=1, group_number=1, at=timezone.now())
    assert acknowledged(our_answer()) == acknowledged(x12.acknowledge(whole, envelope) or b"")


def test_a_broken_envelope_rejects_the_sets_that_were_written_before_its_end_was_read(acme, take, two_at_once):
    take(interchange(*answers(5)).partition(b"IEA")[0], partner=acme)
    translated()
    assert list(Document.objects.filter(direction="inbound").values_list("state", flat=True)) == ["rejected"] * 5
    assert not Delivery.objects.filter(kind="apply").exists()
    assert [line[:4] for line in acknowledged(our_answer())] == ["TA1*"]


def test_a_repeated_interchange_is_passed_over_whole(acme, take, two_at_once):
    take(interchange(*answers(5)), partner=acme, message_id="m1")
    take(interchange(*answers(5)), partner=acme, message_id="m2")
    assert relay.work(DeliveryKind.TRANSLATE, "test") == 2
    states = list(Document.objects.filter(direction="inbound").order_by("pk").values_list("state", flat=True))
    assert states == ["translated"] * 5 + ["rejected"] * 5
    assert Delivery.objects.filter(kind="apply").count() == 5


def test_a_message_of_several_interchanges_is_read_to_its_end(acme, take, two_at_once):
    take(interchange(*answers(3)) + interchange(ack_set("PO-9"), control=2), partner=acme)
    translated()
    assert list(Document.objects.filter(direction="inbound").order_by("pk").values_list("number", flat=True)) == [
        *("PO-1", "PO-2", "PO-3"),
        "PO-9",
    ]
    assert Transmission.objects.filter(direction="outbound").count() == 2


def test_all_documents_of_a_rejected_interchange_are_read_anew_in_one_go(acme, take, two_at_once, monkeypatch):
    take(interchange(*answers(5)), partner=acme, message_id="m1")
    take(interchange(*answers(5)), partner=acme, message_id="m2")
    relay.work(DeliveryKind.TRANSLATE, "test")
    readings = []
    in_two_passes = x12.in_two_passes

    def counted(*arguments, **terms):
        readings.append(1)
        return in_two_passes(*arguments, **terms)

    monkeypatch.setattr(x12, "in_two_passes", counted)
    decide.replay(ExceptionCase.objects.get(reason="interchange_repeated"), actor="ann")
    successors = Document.objects.exclude(successor_of=None).order_by("pk")
    assert [(row.number, row.state) for row in successors] == [(f"PO-{n}", "translated") for n in range(1, 6)]
    assert len(readings) == 1


def statements(data: bytes, message_id: str, acme, take) -> int:
    take(data, partner=acme, message_id=message_id)
    claim = claimed("test")
    with CaptureQueriesContext(connection) as queries:
        translate.run(claim, now=timezone.now())
    return len(queries)


def test_many_sets_cost_as_many_statements_as_few(acme, take):
    few = statements(interchange(*answers(3), control=1), "m1", acme, take)
    many = statements(interchange(*answers(60), control=2), "m2", acme, take)
    assert many <= few + 5  # Django splits what would be too many values for one statement


def test_no_more_records_are_held_than_are_written_at_once(acme, take, two_at_once, monkeypatch):
    held = []

    def counting(*arguments):
        judge(*arguments)
        gc.collect()
        held.append(sum(isinstance(one, OrderAcknowledgment) for one in gc.get_objects()))

    monkeypatch.setattr("gateway.pipeline.translate.judge", counting)
    take(interchange(*answers(12)), partner=acme)
    translated()
    assert len(held) == 6
    assert max(held) <= 3  # two, and the one that has been read last


# -- long work


def progress(caplog):
    """What the log says of how far a translation is."""
    return [record.getMessage() for record in caplog.records if record.name == "gateway.pipeline.translate"]


@pytest.mark.django_db(transaction=True)
def test_a_translation_that_outlives_its_lease_is_not_taken_over_and_says_how_far_it_is(
    acme, take, two_at_once, settings, caplog
):
    take(interchange(*answers(6)), partner=acme)
    claim = claimed("slow")
    lease_runs_out(pk=claim.delivery.pk)
    seconds = iter(range(0, 1000, 11))
    rivals: list[outbox.Claim | None] = []

    def clock() -> float:
        """Eleven seconds later, and another worker looks for work, as soon as anything is written."""
        if connection.in_atomic_block:
            rivals.append(rival_claim(DeliveryKind.TRANSLATE))
        return next(seconds)

    with caplog.at_level(logging.INFO, logger="gateway.pipeline.translate"):
        translate.run(claim, now=timezone.now(), clock=clock)
    assert rivals == [None] * 3
    row = Delivery.objects.get(pk=claim.delivery.pk)
    assert (row.state, row.attempts) == ("delivered", 1)
    assert Document.objects.filter(direction="inbound").count() == 6
    size = claim.delivery.transmission.payload.size_bytes
    told = progress(caplog)
    assert [line.partition(": ")[2].partition(",")[0] for line in told] == ["2 sets", "4 sets", "6 sets"]
    assert all(line.endswith(f"of {size} bytes") and "PO-" not in line for line in told)


@pytest.mark.django_db(transaction=True)
def test_a_translation_whose_claim_was_lost_before_it_began_writes_nothing(acme, take):
    take(interchange(*answers(1)), partner=acme)
    late = claimed("late")
    lease_runs_out(pk=late.delivery.pk)
    claimed("second")
    with pytest.raises(outbox.Fenced):
        translate.run(late, now=timezone.now())
    assert not Document.objects.exists()


def test_a_short_translation_says_nothing(acme, take, caplog):
    take(interchange(*answers(1)), partner=acme)
    with caplog.at_level(logging.INFO, logger="gateway.pipeline.translate"):
        translated()
    assert progress(caplog) == []


def test_a_large_file_is_translated_like_a_small_one(acme, take, monkeypatch):
    monkeypatch.setattr("edi_maps.x12.envelope.MAX_BYTES", 2_000)  # of a file read at once, and of one set
    onboarding.set_up({"code": "ACME", "x12": {"functional_ack": "none"}})
    data = interchange(*answers(20))
    assert len(data) > 2_000
    take(data, partner=acme)
    translated()
    assert Document.objects.filter(state="translated").count() == 20
