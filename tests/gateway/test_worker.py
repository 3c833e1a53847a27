"""The hands of a worker: what they take first, what they survive, how they stop."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction

from gateway import heartbeats, outbox, timers
from gateway import worker as module
from gateway.bell import bell
from gateway.models import Checkpoint, Delivery, DeliveryKind, UnsealedEvent
from gateway.pipeline import relay
from gateway.worker import ORDER, Worker
from tests.gateway.queue_rows import lease_runs_out

pytestmark = pytest.mark.django_db(transaction=True)


def until(holds: Callable[[], Any], what: str, within_s: float = 20) -> Any:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if found := holds():
            return found
        threading.Event().wait(0.01)
    pytest.fail(f"{what} within {within_s} s")


class Consumers:
    """What the hands hand over: noted, and held up where a test says so."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self.ended: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        self.fault: BaseException | None = None

    def handle(self, claim: outbox.Claim, *, now: object) -> None:
        self.began.append(claim.delivery.key)
        self.gate.wait(10)
        fault, self.fault = self.fault, None
        if fault is not None:
            raise fault
        outbox.finish(claim)
        self.ended.append(claim.delivery.key)


@pytest.fixture
def consumers(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[Consumers]:
    """In place of all consumers. Nothing is polled for but at the start, so that what works here works by ringing."""
    settings.POLL_S = 3600
    monkeypatch.setattr(timers, "TIMERS", {})
    made = Consumers()
    monkeypatch.setattr(relay, "handle", made.handle)
    yield made
    made.gate.set()


@pytest.fixture
def worker(consumers: Consumers) -> Iterator[Callable[..., Worker]]:
    started: list[Worker] = []

    def start(**options: Any) -> Worker:
        made = Worker(**options)
        made.start()
        started.append(made)
        return made

    yield start
    consumers.gate.set()
    for one in started:
        assert one.stop()


def enqueue(*keys: str, kind: DeliveryKind = DeliveryKind.TRANSLATE) -> None:
    with transaction.atomic():
        for key in keys:
            outbox.enqueue(kind, key)


def test_every_kind_of_work_has_its_place_in_the_order():
    assert sorted(ORDER) == sorted(DeliveryKind)


def test_what_is_committed_is_begun_without_a_broker_and_without_a_poll(worker, consumers):
    worker(hands=2)
    until(lambda: bell.hear("translate"), "a free hand")
    enqueue("one")
    until(lambda: consumers.ended == ["one"], "the work done")


def test_what_a_crash_left_behind_is_begun_at_the_start(worker, consumers):
    enqueue("one", "two")
    worker(hands=1)
    until(lambda: sorted(consumers.ended) == ["one", "two"], "the work done")


def test_all_hands_come_for_one_ring_when_there_is_work_for_all(worker, consumers):
    consumers.gate.clear()
    worker(hands=3)
    enqueue("one", "two", "three", "four")
    until(lambda: len(consumers.began) == 3, "three under way")
    consumers.gate.set()
    until(lambda: len(consumers.ended) == 4, "all done")


def test_what_was_begun_is_ended_before_new_work_begins(worker, consumers):
    consumers.gate.clear()
    worker(hands=1)
    enqueue("first")
    until(lambda: consumers.began == ["first"], "the hand is full")
    enqueue("new", kind=DeliveryKind.TRANSLATE)
    enqueue("checked", kind=DeliveryKind.APPLY)
    enqueue("to the ERP", kind=DeliveryKind.ERP)
    consumers.gate.set()
    until(lambda: len(consumers.ended) == 4, "all done")
    assert consumers.began == ["first", "to the ERP", "checked", "new"]


def test_a_hand_goes_on_with_the_step_that_follows(worker, consumers, monkeypatch):
    steps: list[tuple[str, int]] = []

    def handle(claim: outbox.Claim, *, now: object) -> None:
        steps.append((claim.delivery.key, threading.get_ident()))
        with transaction.atomic():
            if claim.delivery.kind == DeliveryKind.TRANSLATE:
                outbox.enqueue(DeliveryKind.APPLY, "apply")
            outbox.finish(claim)

    monkeypatch.setattr(relay, "handle", handle)
    worker(hands=3)
    enqueue("translate")
    until(lambda: len(steps) == 2, "both steps done")
    assert [key for key, _ in steps] == ["translate", "apply"]
    assert len({hand for _, hand in steps}) == 1


def test_a_queue_that_waited_for_long_goes_first(worker, consumers, monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE_S", 0.0)
    consumers.gate.clear()
    worker(hands=1)
    enqueue("first")
    until(lambda: consumers.began == ["first"], "the hand is full")
    enqueue("new")
    enqueue("to the ERP", kind=DeliveryKind.ERP)
    consumers.gate.set()
    until(lambda: len(consumers.ended) == 3, "all done")
    assert consumers.began == ["first", "new", "to the ERP"]


def test_a_worker_of_some_queues_leaves_the_others(worker, consumers):
    worker(hands=1, kinds=[DeliveryKind.ERP])
    enqueue("new")
    enqueue("to the ERP", kind=DeliveryKind.ERP)
    until(lambda: consumers.ended == ["to the ERP"], "the work done")
    assert Delivery.objects.get(key="new").standing == "pending"


def test_a_hand_that_dies_is_replaced_and_its_work_is_found_by_its_lease(worker, consumers, settings):
    settings.POLL_S = 0.1
    settings.LEASE = timedelta(seconds=0.3)
    consumers.fault = SystemExit("as if the thread had ended")
    worker(hands=1)
    enqueue("one")
    until(lambda: consumers.ended == ["one"], "the work done by another hand")
    assert consumers.began == ["one", "one"]


def test_what_hangs_becomes_a_dead_letter_and_its_neighbours_are_done(worker, consumers, monkeypatch, settings, caplog):
    settings.POLL_S = 0.1
    settings.LEASE = timedelta(seconds=0.4)
    settings.POISON_AFTER = 2
    go_on, hung = threading.Event(), []

    def handle(claim: outbox.Claim, *, now: object) -> None:
        if claim.delivery.key == "hangs":
            hung.append(threading.current_thread())
            go_on.wait(30)
            return
        consumers.handle(claim, now=now)

    monkeypatch.setattr(relay, "handle", handle)
    enqueue("hangs", "one", "two")
    worker(hands=1)
    until(lambda: sorted(consumers.ended) == ["one", "two"], "the neighbours done")
    until(lambda: Delivery.objects.get(key="hangs").standing == "dead", "a dead letter")
    assert len(hung) == settings.POISON_AFTER
    assert "a hand hangs at" in caplog.text
    go_on.set()
    until(lambda: not any(hand.is_alive() for hand in hung), "the end of hands that were replaced")


def test_what_may_have_killed_a_process_is_tried_while_nothing_else_is(worker, consumers, monkeypatch):
    beside: dict[str, int] = {}
    under_way: set[str] = set()

    def handle(claim: outbox.Claim, *, now: object) -> None:
        under_way.add(claim.delivery.key)
        threading.Event().wait(0.05)
        beside[claim.delivery.key] = len(under_way) - 1
        under_way.remove(claim.delivery.key)
        outbox.finish(claim)

    monkeypatch.setattr(relay, "handle", handle)
    suspects = ["one", "two", "three"]
    enqueue(*suspects)
    for _ in suspects:
        assert outbox.claim(DeliveryKind.TRANSLATE, "gone")
    assert outbox.end_leases(lambda owner: owner == "gone") == len(suspects)
    enqueue(*(f"new {number}" for number in range(12)))
    worker(hands=4)
    until(lambda: len(beside) == 15, "all done")
    assert [beside[key] for key in suspects] == [0, 0, 0]
    assert max(beside.values()) > 0


def test_what_a_killed_process_of_this_machine_held_does_not_wait_for_its_lease(worker, consumers):
    enqueue("one")
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    assert outbox.claim(DeliveryKind.TRANSLATE, heartbeats.owner().replace(f":{os.getpid()}:", f":{ended.pid}:"))
    worker(hands=1)
    until(lambda: consumers.ended == ["one"], "the work done")


def test_a_fault_outside_of_any_piece_of_work_does_not_end_a_hand(worker, consumers, settings, caplog):
    settings.POLL_S = 0.1
    settings.LEASE = timedelta(seconds=0.3)
    consumers.fault = RuntimeError("nobody foresaw this")
    worker(hands=1)
    enqueue("one")
    until(lambda: consumers.ended == ["one"], "the work done at the second try")
    assert "a fault nobody foresaw" in caplog.text


def test_a_database_that_is_away_is_said_once_and_found_again(worker, consumers, settings, monkeypatch, caplog):
    settings.POLL_S = 0.1
    claim, away = outbox.claim, threading.Event()
    away.set()

    def claims(*arguments: Any) -> Any:
        if away.is_set():
            raise OperationalError("server closed the connection unexpectedly")
        return claim(*arguments)

    monkeypatch.setattr(outbox, "claim", claims)
    monkeypatch.setattr(module, "_BACKOFF_S", (0.0, 0.05))
    worker(hands=2)
    enqueue("one")
    until(lambda: "does not answer" in caplog.text, "the trouble said")
    away.clear()
    until(lambda: consumers.ended == ["one"], "the work done")


def test_the_turns_of_a_timer_come_when_they_are_due_without_a_poll(worker, monkeypatch):
    turns: list[float] = []

    def turn(now: object) -> None:
        turns.append(time.monotonic())

    often = timers.Timer(turn=turn, every=lambda: timedelta(seconds=0.1), lease=timedelta(seconds=30))
    monkeypatch.setattr(timers, "TIMERS", {"often": often})
    worker(hands=2)
    until(lambda: len(turns) >= 5, "five turns")
    assert min(later - earlier for earlier, later in pairwise(turns)) >= 0.1


def test_a_turn_whose_worker_is_gone_is_found_by_another(worker, monkeypatch, settings):
    settings.POLL_S = 0.1
    turns: list[str] = []
    often = timers.Timer(
        turn=lambda now: turns.append("turn"), every=lambda: timedelta(hours=1), lease=timedelta(seconds=30)
    )
    monkeypatch.setattr(timers, "TIMERS", {"often": often})
    timers.ensure()
    lost = outbox.claim(DeliveryKind.TIMER, "a worker that is gone")
    assert lost is not None
    outbox.lease(lost, timedelta(seconds=0.2))
    worker(hands=1)
    until(lambda: turns == ["turn"], "the turn")


def test_a_stop_lets_what_is_under_way_end_and_begins_nothing_else(worker, consumers):
    consumers.gate.clear()
    running = worker(hands=1)
    enqueue("one", "two")
    until(lambda: len(consumers.began) == 1, "the first under way")
    stopped: list[bool] = []

    def stop() -> None:
        stopped.append(running.stop())
        connection.close()

    stopping = threading.Thread(target=stop)
    stopping.start()
    consumers.gate.set()
    stopping.join(10)
    assert stopped == [True]
    assert len(consumers.ended) == 1
    assert sorted(row.standing for row in Delivery.objects.all()) == ["delivered", "pending"]
    assert not UnsealedEvent.objects.exists()
    assert Checkpoint.objects.exists(), "the trail is signed when a worker ends"


def test_a_stop_does_not_wait_for_ever(worker, consumers, caplog):
    consumers.gate.clear()
    running = worker(hands=1)
    enqueue("one")
    until(lambda: consumers.began == ["one"], "the work under way")
    assert running.stop(within_s=0.1) is False
    assert "found again by their leases" in caplog.text


def test_a_full_worker_passes_a_ring_on(worker, consumers):
    consumers.gate.clear()
    worker(hands=1)
    enqueue("one")
    until(lambda: consumers.began == ["one"], "the hand full")
    assert bell.hear("erp") is False
    consumers.gate.set()
    until(lambda: bell.hear("erp"), "a free hand")


def test_a_process_without_hands_hears_nothing():
    assert bell.hear("erp") is False


def test_who_waited_for_what_is_tried_alone_begins_nothing_once_the_worker_ends(worker, consumers):
    consumers.gate.clear()
    enqueue("killed")
    assert outbox.claim(DeliveryKind.TRANSLATE, "somebody who died")
    lease_runs_out()
    one = worker(hands=2)
    until(lambda: consumers.began, "the one that is tried alone begun")
    enqueue("beside")
    until(lambda: one._claiming.locked(), "another hand that waits for it")
    assert not one.stop(within_s=0)
    consumers.gate.set()
    for hand in one._hands:
        hand.join(10)
    assert consumers.ended == ["killed"]
