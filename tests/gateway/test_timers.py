"""Timers: turns that come again and again, one worker at a time, whatever becomes of a turn."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.db.models.functions import Now
from django.utils import timezone

from gateway import outbox, timers
from gateway.models import Delivery, DeliveryKind, ErpConnection, QueueEntry
from gateway.timers import TIMERS, Timer

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """``only(turn)`` leaves one timer, named tick, of a minute; returns the list its turns are noted in."""

    def leave(turn: Callable[[], timedelta | None] = lambda: None) -> list[str]:
        turns: list[str] = []

        def noted(now: Any) -> timedelta | None:
            turns.append("tick")
            return turn()

        monkeypatch.setattr(
            timers, "TIMERS", {"tick": Timer(turn=noted, every=lambda: MINUTE, lease=timedelta(seconds=30))}
        )
        timers.ensure()
        return turns

    return leave


def claim(key: str = "") -> outbox.Claim:
    """The next turn that is due; of one timer, when it is named."""
    if key:
        QueueEntry.objects.filter(kind="timer").exclude(delivery__key=f"timer:{key}").update(due_at=None)
    found = outbox.claim(DeliveryKind.TIMER, "test")
    assert found is not None
    return found


def run(claimed: outbox.Claim) -> timedelta | None:
    return timers.run(claimed, now=timezone.now())


def due_in(key: str = "tick") -> timedelta:
    due = QueueEntry.objects.get(delivery__key=f"timer:{key}").due_at
    assert due is not None
    return due - timezone.now()


def make_due(key: str = "timer:tick") -> None:
    QueueEntry.objects.filter(delivery__key=key).update(due_at=Now())


def near(span: timedelta, wanted: timedelta) -> bool:
    return wanted - timedelta(seconds=5) < span < wanted + timedelta(seconds=5)


def test_timers_that_are_missing_are_made_once_and_due_at_once():
    timers.ensure()
    timers.ensure()
    assert sorted(Delivery.objects.values_list("key", flat=True)) == sorted(f"timer:{name}" for name in TIMERS)
    assert outbox.due_kinds() == [DeliveryKind.TIMER]


def test_when_none_is_missing_two_queries_say_so(django_assert_num_queries):
    timers.ensure()
    with django_assert_num_queries(2):
        timers.ensure()


@pytest.mark.parametrize("name", sorted(TIMERS))
def test_every_timer_has_a_turn_and_another_after_it(name):
    timers.ensure()
    after = run(claim(name))
    assert Delivery.objects.get(key=f"timer:{name}").last_error == ""
    assert after == TIMERS[name].every()
    assert near(due_in(name), after)


def test_a_turn_that_wants_to_come_again_soon_does(only):
    only(lambda: timedelta(seconds=20))
    assert run(claim()) == timedelta(seconds=20)
    assert near(due_in(), timedelta(seconds=20))


def test_of_long_turns_a_process_has_one_at_a_time_and_short_ones_do_not_wait(monkeypatch):
    turns: list[str] = []

    def timer(name: str, lease: timedelta) -> Timer:
        def turn(now: Any) -> None:
            turns.append(name)
            while len(turns) == 1 and (other := outbox.claim(DeliveryKind.TIMER, "another hand")) is not None:
                run(other)

        return Timer(turn=turn, every=lambda: MINUTE, lease=lease)

    long, short = timedelta(hours=1), timedelta(seconds=30)
    monkeypatch.setattr(timers, "TIMERS", {"a": timer("a", long), "b": timer("b", long), "c": timer("c", short)})
    timers.ensure()
    run(claim())
    assert turns == ["a", "c"]
    assert near(due_in("b"), MINUTE)
    make_due("timer:b")
    run(claim())
    assert turns == ["a", "c", "b"]


def test_a_turn_that_has_more_to_do_comes_again_at_once(only):
    only(lambda: timedelta(0))
    assert run(claim()) == timedelta(0)
    assert near(due_in(), timedelta(0))


def test_a_turn_that_fails_is_told_and_the_next_one_comes_as_usual(only, caplog):
    failing = [True]

    def turn() -> None:
        if failing:
            raise ValueError("the shelf is full")

    only(turn)
    for _ in range(5):  # more often than anything else may fail
        assert run(claim()) == MINUTE
        make_due()
    delivery = Delivery.objects.get()
    assert delivery.state == "open"
    assert "ValueError" in delivery.last_error
    assert "the turn failed" in caplog.text
    failing.clear()
    run(claim())
    delivery.refresh_from_db()
    assert delivery.last_error == ""


def test_a_worker_that_dies_in_a_turn_costs_the_timers_lease_and_never_makes_a_dead_letter(only, settings):
    def dies() -> None:
        raise KeyboardInterrupt

    only(dies)
    for _ in range(settings.POISON_AFTER + 2):
        with pytest.raises(KeyboardInterrupt):
            run(claim())
        assert near(due_in(), timedelta(seconds=30))
        make_due()
    assert Delivery.objects.get().state == "open"


def test_a_turn_in_which_the_database_went_away_is_begun_again_after_its_lease(only):
    def away() -> None:
        raise OperationalError("server closed the connection unexpectedly")

    only(away)
    with pytest.raises(OperationalError):
        run(claim())
    assert near(due_in(), timedelta(seconds=30))


def test_a_turn_that_outlived_its_lease_leaves_the_next_one_to_whoever_has_it(only):
    turns = only()
    slow = claim()
    make_due()
    claim()
    assert run(slow) is None
    assert turns == []


def test_each_active_erp_has_a_timer_of_its_own_which_goes_with_it(settings):
    settings.ERP_POLL_S = 7
    first = ErpConnection.objects.create(code="one", base_url="http://127.0.0.1:1/", blocked_reason="not today")
    ErpConnection.objects.create(code="two", base_url="http://127.0.0.1:1/", active=False)
    timers.ensure()
    keys = Delivery.objects.filter(key__startswith="timer:erp_poll:").values_list("key", flat=True)
    assert list(keys) == [f"timer:erp_poll:{first.pk}"]
    assert run(claim(f"erp_poll:{first.pk}")) == timedelta(seconds=7)
    first.delete()
    make_due(keys[0])
    assert run(claim()) is None
    assert Delivery.objects.get(key__startswith="timer:erp_poll:").state == "delivered"


def test_an_erp_is_asked_for_its_changes_at_its_turn():
    erp = ErpConnection.objects.create(code="one", base_url="http://127.0.0.1:1/")
    erp.set_token("a-token-that-is-long-enough")
    timers.ensure()
    assert run(claim(f"erp_poll:{erp.pk}")) is not None
    erp.refresh_from_db()
    assert erp.polled_at is not None


def test_the_timer_of_a_newer_release_is_left_alone(only):
    only()
    Delivery.objects.update(key="timer:of-next-year")
    assert run(claim()) == MINUTE
    assert Delivery.objects.get().state == "open"
