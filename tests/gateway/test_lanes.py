"""Lanes: oldest first, whoever waits is woken, and however long a lane is a claim meets two of it."""

from __future__ import annotations

import re
import threading
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import breakers, outbox
from gateway.models import Breaker, Delivery, DeliveryKind, DeliveryState, ErpConnection, QueueEntry, QueueLane
from tests.gateway.rows import a_document

pytestmark = pytest.mark.django_db


def queued(key: str, *lanes: str) -> Delivery:
    with transaction.atomic():
        return outbox.enqueue(DeliveryKind.APPLY, key, lanes=lanes)


def claimed() -> outbox.Claim:
    claim = outbox.claim(DeliveryKind.APPLY, "one")
    assert claim is not None
    return claim


def due() -> list[str]:
    rows = QueueEntry.objects.filter(due_at__lte=Now()).order_by("pk")
    return list(rows.values_list("delivery__key", flat=True))


def test_of_a_lane_the_first_two_are_due_and_the_others_wait():
    for key in "abcd":
        queued(key, "order:1")
    queued("x", "order:2")
    queued("y", "order:2", "order:1")
    queued("z")
    assert due() == ["a", "b", "x", "z"]


def test_of_many_at_once_too(monkeypatch):
    monkeypatch.setattr(outbox, "_ENTER_AT_ONCE", 5)
    documents = [a_document(number=str(number)) for number in range(12)]
    work = [outbox.Work(key=f"k{one.number}", document=one, lanes=[f"of:{int(one.number) % 2}"]) for one in documents]
    with transaction.atomic():
        outbox.enqueue_all(DeliveryKind.APPLY, work)
    assert due() == ["k0", "k1", "k2", "k3"]


def test_a_lane_goes_on_by_itself_to_its_end():
    keys = [f"{number:02d}" for number in range(12)]
    for key in keys:
        queued(key, "order:1", f"partner:{int(key) % 2}")
    done = []
    while (claim := outbox.claim(DeliveryKind.APPLY, "one")) is not None:
        done.append(claim.delivery.key)
        outbox.finish(claim)
    assert done == keys


def test_who_comes_first_while_nobody_sees_it_is_woken_by_the_next_look():
    for key in "abc":
        queued(key, "order:1")
    # What two leave behind who write at the same time, and do not see each other.
    QueueLane.objects.filter(entry__delivery__key__in="ab").delete()
    QueueEntry.objects.filter(delivery__key__in="ab").delete()
    assert outbox.claim(DeliveryKind.APPLY, "one") is None
    outbox.set_aside()
    assert claimed().delivery.key == "c"


def test_a_look_leaves_alone_who_waits_for_another_lane():
    for key in "abc":
        queued(key, "order:1", *(["order:2"] if key == "c" else []))
    outbox.set_aside()
    assert due() == ["a"]


def test_a_dead_letter_that_waited_for_its_lane_is_not_tried_when_it_is_the_first():
    for key in "abc":
        queued(key, "order:1")
    outbox.conclude(Delivery.objects.get(key="c"), DeliveryState.DEAD, "given up")
    outbox.finish(claimed())
    outbox.finish(claimed())
    outbox.set_aside()
    assert outbox.claim(DeliveryKind.APPLY, "one") is None


def test_a_remote_that_answers_again_wakes_nobody_who_waits_for_a_lane():
    erp = ErpConnection.objects.create(code="main", base_url="https://erp.example/")
    with transaction.atomic():
        for key in "abcd":
            outbox.enqueue(DeliveryKind.ERP, key, erp=erp, lanes=["order:1"])
    Breaker.objects.create(remote=f"erp:{erp.pk}", opened_at=Now(), open_until=Now(), good_probes=2)
    outbox.set_aside()
    breakers.succeeded(f"erp:{erp.pk}")
    assert breakers.may_call(f"erp:{erp.pk}")
    outbox.set_aside()
    assert due() == ["a"]


def test_one_more_costs_three_statements_in_whatever_lanes(django_assert_num_queries):
    for key in "abc":
        queued(key, "order:1")
    with transaction.atomic(), django_assert_num_queries(3):  # the record, its lanes, its entry
        outbox.enqueue(DeliveryKind.APPLY, "d", lanes=["order:1", "order:2"])


#: A delivery into lanes; or what becomes of the oldest that is due.
STEPS = st.lists(
    st.one_of(
        st.sets(st.sampled_from("abc"), max_size=2).map(sorted),
        st.sampled_from(["finished", "finished", "finished", "buried", "revived", "cancelled", "held", "looked"]),
    ),
    max_size=40,
)


@given(steps=STEPS)
@settings(max_examples=60, deadline=None)
def test_whatever_happens_in_whatever_order_each_lane_is_in_order_and_nobody_is_forgotten(steps):
    with transaction.atomic():
        lanes: dict[str, list[str]] = {}
        held: list[outbox.Claim] = []
        for number, step in enumerate(steps):
            if isinstance(step, list):
                lanes[f"{number:03d}"] = step
                queued(f"{number:03d}", *step)
            else:
                happens(step, held, lanes)
        for claim in held:
            outbox.finish(claim)
        rest(lanes)
        transaction.set_rollback(True)


def happens(step: str, held: list[outbox.Claim], lanes: dict[str, list[str]]) -> None:
    dead = Delivery.objects.filter(state=DeliveryState.DEAD).order_by("pk").first()
    if step == "looked":
        outbox.set_aside()
    elif step == "revived" and dead is not None:
        outbox.revive(dead, actor="ann")
    elif step == "cancelled" and dead is not None:
        outbox.cancel(dead, actor="ann")
    elif step in {"finished", "buried", "held"} and (claim := outbox.claim(DeliveryKind.APPLY, "one")) is not None:
        is_first(claim, lanes)
        if step == "held":
            held.append(claim)
        else:
            outbox.finish(claim) if step == "finished" else outbox.bury(claim, "no")


def rest(lanes: dict[str, list[str]]) -> None:
    """One look, then all that can be done is done without another: whoever is left stands behind a dead letter."""
    outbox.set_aside()
    while (claim := outbox.claim(DeliveryKind.APPLY, "one")) is not None:
        is_first(claim, lanes)
        outbox.finish(claim)
    left = Delivery.objects.exclude(state__in=[DeliveryState.DELIVERED, DeliveryState.CANCELLED]).order_by("pk")
    behind: dict[str, str] = defaultdict(str)
    for row in left:
        if row.state != DeliveryState.DEAD:
            assert any(behind[lane] for lane in lanes[row.key]), f"{row.key} is forgotten"
        for lane in lanes[row.key]:
            behind[lane] = row.key


def is_first(claim: outbox.Claim, lanes: dict[str, list[str]]) -> None:
    open_before = Delivery.objects.filter(key__lt=claim.delivery.key, key__in=lanes).exclude(
        state__in=[DeliveryState.DELIVERED, DeliveryState.CANCELLED]
    )
    shared = [row.key for row in open_before if set(lanes[row.key]) & set(lanes[claim.delivery.key])]
    assert not shared, f"{claim.delivery.key} overtook {shared}"


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has one writer at a time")
def test_who_enters_while_those_before_it_end_is_found_by_a_look():
    queued("a", "order:1")
    queued("b", "order:1")
    entered, may_commit = threading.Event(), threading.Event()

    def enter() -> None:
        with transaction.atomic():
            outbox.enqueue(DeliveryKind.APPLY, "c", lanes=["order:1"])
            entered.set()
            may_commit.wait(20)
        connection.close()

    thread = threading.Thread(target=enter)
    thread.start()
    assert entered.wait(20)
    outbox.finish(claimed())
    outbox.finish(claimed())
    may_commit.set()
    thread.join()
    assert outbox.claim(DeliveryKind.APPLY, "one") is None
    outbox.set_aside()
    assert claimed().delivery.key == "c"


def test_what_is_in_very_many_lanes_frees_all_of_them_bit_by_bit():
    lanes = [f"order:{number}" for number in range(2 * outbox._WAKE_AT_ONCE + 1)]
    with transaction.atomic():
        for key in "abc":
            outbox.enqueue(DeliveryKind.APPLY, key, lanes=lanes)
    with CaptureQueriesContext(connection) as asked:
        outbox.finish(claimed())
    assert sum("SET waits" in one["sql"] for one in asked) == 3
    outbox.finish(claimed())
    assert claimed().delivery.key == "c"


#: Rows that a step may look at: the queue once, and a few for each of the 500 entries that one look goes through.
MOST_TOUCHED = 15_000


@pytest.fixture
def long_lanes() -> None:
    """A lane of thousands as they were entered, and one that is all due, as an earlier release left it."""
    rows = Delivery.objects.bulk_create(Delivery(key=str(number), kind=DeliveryKind.APPLY) for number in range(8000))
    outbox._open(rows, [[f"lane:{number % 2}"] for number in range(8000)])
    QueueEntry.objects.filter(lanes__key="lane:1").update(waits=False, due_at=Now())
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE gateway_queueentry, gateway_queuelane")


def test_however_long_a_lane_is_no_statement_goes_through_it(long_lanes, monkeypatch):
    asked: dict[str, list[str]] = {}

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if re.match(r"\s*(UPDATE|DELETE|INSERT)", sql) and "gateway_queue" in sql and sql not in asked:
            asked[sql] = through_lanes(sql, params)
        return execute(sql, params, many, context)

    monkeypatch.setattr(outbox, "_ASIDE_TIMES", 1)
    with connection.execute_wrapper(note):
        outbox.finish(claimed())
        outbox.set_aside()
    assert len(asked) > 3
    assert not {sql: steps for sql, steps in asked.items() if steps}


#: In the words of SQLite: from end to end, or in the order of an index until something fits, with no bound said in brackets.
_THROUGH = r"SCAN (mine|ahead|other|gateway_queuelane)|SEARCH (mine|ahead|other|gateway_queuelane) [^(]*$"


def through_lanes(sql: str, params: Any) -> list[str]:
    """The steps of a statement that go through a lane for each of its entries."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}", params)
            return [row[-1] for row in cursor.fetchall() if re.search(_THROUGH, row[-1])]
        with transaction.atomic():  # it is done, and undone
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", params)
            [[[plan]]] = cursor.fetchall()
            transaction.set_rollback(True)
    return [f"{name}: {rows} rows" for name, rows in touched(plan["Plan"]) if rows > MOST_TOUCHED]


def touched(node: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Each step of a plan, and how many rows it looked at in all."""
    removed = sum(count for name, count in node.items() if name.startswith("Rows Removed"))
    yield node["Node Type"], (node["Actual Rows"] + removed) * node["Actual Loops"]
    for part in node.get("Plans", ()):
        yield from touched(part)
