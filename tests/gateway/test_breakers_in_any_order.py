"""Whatever a remote does in whatever order: it is left alone in time, asked one call a pause, and trusted for good reasons."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models import F
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import breakers
from gateway.models import Breaker

pytestmark = pytest.mark.django_db

OUTCOMES = st.sampled_from(["fails", "fails", "answers", "hangs", "asks for an hour", "is lost", "is late"])
#: What happens next, and after how many seconds.
STEPS = st.lists(st.tuples(OUTCOMES, st.sampled_from([0, 1, 7, 40, 300, 1100])), max_size=60)


class Remote:
    """One remote, what workers have seen of it, and what the breaker must make of that."""

    def __init__(self, name: str) -> None:
        self.name = name
        Breaker.objects.filter(remote=name).delete()
        self.in_a_row = 0  #: failures, while closed
        self.recent: list[bool] = []  #: failures among the calls while closed, newest last
        self.good_probes = 0  #: in a row, while open
        self.needed = 3 if name.startswith("erp") else 1

    def pass_time(self, seconds: float) -> None:
        span = timedelta(seconds=seconds)
        moments = ("open_until", "opened_at", "closed_at")
        Breaker.objects.filter(remote=self.name).update(**{name: F(name) - span for name in moments})

    def call(self, outcome: str) -> None:
        """A worker calls, if it may; one call while open, after the pause."""
        if not breakers.may_call(self.name):
            if breakers.take_probe(self.name) is None:
                return
            assert breakers.take_probe(self.name) is None, "two probes of one pause"
            self._probed(outcome)
        elif outcome in {"fails", "hangs", "asks for an hour"}:
            self._fail(outcome)
            self.in_a_row += 1
            self.recent.append(True)
        elif outcome == "answers":
            breakers.succeeded(self.name)
            self.in_a_row = 0
            self.recent.append(False)
        self._is_as_it_must_be()

    def _probed(self, outcome: str) -> None:
        if outcome == "answers":
            closed = breakers.succeeded(self.name)
            self.good_probes += 1
            assert closed == (self.good_probes == self.needed), "trusted for other reasons than its good probes"
            if closed:
                self.in_a_row, self.recent, self.good_probes = 0, [], 0
        elif outcome in {"fails", "hangs", "asks for an hour"}:
            before = Breaker.objects.get(remote=self.name).pause_s
            self._fail(outcome)
            self.good_probes = 0
            assert Breaker.objects.get(remote=self.name).pause_s >= min(before * 2, 900)

    def _fail(self, outcome: str) -> None:
        if outcome == "hangs":
            breakers.failed(self.name, "no answer in time", took_s=60, hung=True)
        elif outcome == "asks for an hour":
            breakers.failed(self.name, "HTTP 503", retry_after_s=3600)
        else:
            breakers.failed(self.name, "HTTP 503")

    def late(self) -> None:
        """Calls from long ago come back, one failed and one with an answer; while closed they count like all others."""
        if not breakers.may_call(self.name):
            row = Breaker.objects.get(remote=self.name)
            breakers.failed(self.name, "HTTP 503", took_s=1e6)
            assert not breakers.succeeded(self.name, took_s=1e6)
            again = Breaker.objects.get(remote=self.name)
            assert (again.open_until, again.pause_s) == (row.open_until, row.pause_s)

    def _is_as_it_must_be(self) -> None:
        row = Breaker.objects.filter(remote=self.name).first()
        if row is None or row.open_until is None:
            assert self.in_a_row < 5, "open to calls after five failures in a row"
            assert sum(self.recent[-20:]) < 10, "open to calls after ten failures of twenty"
            return
        assert row.opened_at is not None
        assert 30 <= row.pause_s <= 900


@pytest.mark.parametrize("name", ["erp:1", "as2:1"])
@given(steps=STEPS)
@settings(max_examples=60)
def test_whatever_a_remote_does_its_breaker_keeps_its_rules(name: str, steps: list[tuple[str, int]]) -> None:
    remote = Remote(name)
    for outcome, seconds in steps:
        remote.pass_time(seconds)
        if outcome == "is late":
            remote.late()
        else:
            remote.call(outcome)


@pytest.mark.parametrize("name", ["erp:1", "as2:1"])
@given(before=st.lists(st.booleans(), max_size=40))
@settings(max_examples=60)
def test_a_remote_that_turned_bad_is_left_alone_after_five_calls_whatever_it_did_before(
    name: str, before: list[bool]
) -> None:
    remote = Remote(name)
    for good in before:
        remote.call("answers" if good else "fails")
    for _ in range(5):
        remote.call("fails")
    assert not breakers.may_call(name)
