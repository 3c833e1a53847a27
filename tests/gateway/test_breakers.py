"""Breakers: who does not answer is left alone, by all processes, and asked again one call at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from django.conf import settings
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from gateway import breakers
from gateway.models import Breaker, Delivery, DeliveryKind, EntryState, Event, QueueEntry
from tests.gateway.rows import a_partner

pytestmark = pytest.mark.django_db
with_rivals = pytest.mark.django_db(transaction=True)

ERP = breakers.erp(1)
PARTNER = breakers.as2(1)


def the(remote: str) -> Breaker:
    return Breaker.objects.get(remote=remote)


def pass_time(seconds: float, remote: str = ERP) -> None:
    """Let everything the breaker remembers be so much longer ago."""
    span = timedelta(seconds=seconds)
    Breaker.objects.filter(remote=remote).update(
        open_until=F("open_until") - span,
        opened_at=F("opened_at") - span,
        closed_at=F("closed_at") - span,
        next_retry_at=F("next_retry_at") - span,
    )


def pause_ends(remote: str = ERP) -> None:
    pass_time(the(remote).pause_s * 1.1, remote)


def open_up(remote: str = ERP) -> None:
    for _ in range(breakers.IN_A_ROW):
        breakers.failed(remote, "HTTP 503")


def probe(remote: str = ERP) -> datetime:
    pause_ends(remote)
    until = breakers.take_probe(remote)
    assert until is not None
    return until


def queued(key: str, remote: str = ERP, **fields: object) -> QueueEntry:
    kind = breakers.kind_of(remote)
    delivery = Delivery.objects.create(kind=kind, key=key)
    due_at = Now() - timedelta(seconds=1)
    return QueueEntry.objects.create(
        **({"delivery": delivery, "kind": kind, "remote": remote, "due_at": due_at} | fields)
    )


def at_once(what: Callable[[], object], times: int = 4) -> list[object]:
    """What each of some workers with connections of their own gets, who begin at the same moment."""
    got: list[object] = []
    gate = threading.Barrier(times)

    def rival() -> None:
        try:
            gate.wait()
            got.append(what())
        finally:
            connection.close()

    threads = [threading.Thread(target=rival) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return got


# ------------------------------------------------------------------------------------------------------- it opens
def test_five_failures_in_a_row_open_it():
    assert [breakers.failed(ERP, "refused") is None for _ in range(5)] == [True, True, True, True, False]
    assert breakers.kind_of(ERP) == DeliveryKind.ERP
    assert list(breakers.open_remotes()) == [ERP]
    event = Event.objects.get(name="breaker.opened")
    assert event.data == {"remote": ERP, "reason": "in_a_row", "failures": 5, "pause_s": 30}


def test_an_answer_between_failures_begins_the_count_anew():
    for _ in range(4):
        breakers.failed(ERP, "refused")
    breakers.succeeded(ERP)
    assert breakers.failed(ERP, "refused") is None


def test_half_of_the_last_twenty_calls_open_it():
    opened = []
    for _ in range(10):
        opened.append(breakers.failed(ERP, "HTTP 503") is not None)
        breakers.succeeded(ERP)
    assert opened == [False] * 9 + [True]
    assert Event.objects.get(name="breaker.opened").data["reason"] == "of_recent"


def test_nine_failures_of_the_last_twenty_calls_do_not():
    for _ in range(60):
        for _ in range(9):
            breakers.failed(ERP, "HTTP 503")
            breakers.succeeded(ERP)
        for _ in range(11):
            breakers.succeeded(ERP)
    assert breakers.may_call(ERP)


def test_a_partners_hang_opens_it_at_once_for_ten_times_as_long():
    breakers.failed(PARTNER, "no answer in time", took_s=60, hung=True)
    row = the(PARTNER)
    assert row.pause_s == 600
    assert Event.objects.get(name="breaker.opened").data["reason"] == "hung"


def test_a_hang_of_a_worker_that_was_stopped_for_hours_does_not_close_a_partner_for_days():
    breakers.failed(PARTNER, "no answer in time", took_s=36_000, hung=True)
    assert the(PARTNER).pause_s == 900


def test_a_failure_that_took_long_with_an_answer_in_the_end_is_no_hang():
    assert breakers.failed(PARTNER, "HTTP 503", took_s=30) is None


def test_an_erps_hang_is_one_failure_of_five():
    assert breakers.failed(ERP, "no answer in time", took_s=20, hung=True) is None


def test_the_remotes_own_wish_counts_when_it_is_longer():
    for _ in range(5):
        breakers.failed(ERP, "HTTP 429", retry_after_s=3600)
    left = the(ERP).open_until - the(ERP).opened_at  # type: ignore[operator]  # open: both are there
    assert timedelta(seconds=3600) <= left <= timedelta(seconds=3960)
    assert the(ERP).pause_s == 30


def test_a_remote_that_wishes_for_next_year_is_asked_tomorrow():
    for _ in range(5):
        breakers.failed(ERP, "HTTP 429", retry_after_s=float("inf"))
    assert the(ERP).open_until - the(ERP).opened_at <= timedelta(hours=26.4)  # type: ignore[operator]


def test_one_remote_says_nothing_of_another():
    open_up(ERP)
    assert not breakers.may_call(ERP)
    assert breakers.may_call(breakers.erp(2))
    assert breakers.may_call(PARTNER)
    assert breakers.may_call(breakers.receipt(1))


def test_its_events_are_the_partners():
    partner = a_partner()
    open_up(breakers.as2(partner.pk))
    open_up(breakers.as2(partner.pk + 1))
    assert [event.partner for event in Event.objects.order_by("pk")] == [partner, None]


def test_what_a_remote_said_is_kept_in_one_short_line():
    breakers.failed(ERP, "HTTP 500\x1b[31m\r\nSet-Cookie: a\x00" + "x" * 9000)
    assert the(ERP).last_error.startswith("HTTP 500 [31m  Set-Cookie: a x")
    assert len(the(ERP).last_error) == 500


# ---------------------------------------------------------------------------------------------------- all is well
def test_a_success_while_all_is_well_is_one_look_and_no_write():
    with CaptureQueriesContext(connection) as queries:
        breakers.succeeded(ERP)
    assert len(queries) == 1
    assert not Breaker.objects.exists()


def test_a_failure_is_forgotten_after_twenty_answers_and_then_nothing_is_written():
    breakers.failed(ERP, "HTTP 503")
    for _ in range(20):
        breakers.succeeded(ERP)
    with CaptureQueriesContext(connection) as queries:
        breakers.succeeded(ERP)
    assert len(queries) == 1
    assert (the(ERP).failures, the(ERP).recent) == (0, 0)


# ------------------------------------------------------------------------------------------------- it is asked again
def test_nobody_probes_during_the_pause():
    open_up()
    pass_time(29)
    assert breakers.take_probe(ERP) is None


@with_rivals
def test_of_workers_that_look_at_once_one_may_probe():
    open_up()
    pause_ends()
    assert sum(until is not None for until in at_once(lambda: breakers.take_probe(ERP))) == 1


def test_a_probe_that_never_comes_back_is_followed_by_another_after_the_lease():
    open_up()
    probe()
    pass_time(settings.LEASE.total_seconds() - 1)
    assert breakers.take_probe(ERP) is None
    pass_time(2)
    assert breakers.take_probe(ERP) is not None


def test_each_failed_probe_doubles_the_pause_up_to_the_longest():
    open_up()
    pauses = []
    for _ in range(7):
        probe()
        breakers.failed(ERP, "HTTP 503")
        pauses.append(the(ERP).pause_s)
    assert pauses == [60, 120, 240, 480, 900, 900, 900]


def test_a_partners_breaker_closes_after_one_good_probe():
    open_up(PARTNER)
    probe(PARTNER)
    assert breakers.succeeded(PARTNER)
    assert breakers.may_call(PARTNER)
    assert Event.objects.get(name="breaker.closed").data["remote"] == PARTNER


def test_an_erps_breaker_closes_after_three_good_probes_one_right_after_the_other():
    open_up()
    probe()
    closed = [breakers.succeeded(ERP)]
    for _ in range(2):
        assert breakers.take_probe(ERP) is not None
        closed.append(breakers.succeeded(ERP))
    assert closed == [False, False, True]
    assert breakers.may_call(ERP)


def test_a_failed_probe_after_two_good_ones_begins_the_count_anew():
    open_up()
    probe()
    breakers.succeeded(ERP)
    breakers.take_probe(ERP)
    breakers.succeeded(ERP)
    breakers.take_probe(ERP)
    breakers.failed(ERP, "HTTP 503")
    assert (the(ERP).good_probes, the(ERP).pause_s) == (0, 60)


def test_an_answer_to_a_call_from_before_it_opened_does_not_close_it():
    open_up(PARTNER)
    assert not breakers.succeeded(PARTNER, took_s=5)
    assert not breakers.may_call(PARTNER)


def test_a_failure_of_a_call_from_before_it_opened_does_not_make_the_pause_longer():
    open_up()
    until = the(ERP).open_until
    breakers.failed(ERP, "HTTP 503", took_s=5)
    assert the(ERP).open_until == until


def test_who_fails_again_soon_after_it_was_trusted_again_waits_longer_than_before():
    open_up(PARTNER)
    probe(PARTNER)
    breakers.succeeded(PARTNER)
    pass_time(60, PARTNER)
    open_up(PARTNER)
    assert the(PARTNER).pause_s == 60


def test_who_was_well_for_long_begins_with_the_shortest_pause():
    open_up(PARTNER)
    probe(PARTNER)
    breakers.succeeded(PARTNER)
    pass_time(901, PARTNER)
    open_up(PARTNER)
    assert the(PARTNER).pause_s == 30


def test_a_probe_that_found_nothing_to_send_leaves_the_next_one_free():
    open_up()
    breakers.give_back(ERP, probe())
    assert breakers.take_probe(ERP) is not None


def test_a_probe_that_failed_cannot_be_given_back():
    open_up()
    until = probe()
    breakers.failed(ERP, "HTTP 503")
    breakers.give_back(ERP, until)
    assert breakers.take_probe(ERP) is None


def test_a_person_may_have_it_tried_at_once():
    open_up()
    assert breakers.probe_now(ERP, actor="olga")
    assert breakers.take_probe(ERP) is not None
    event = Event.objects.get(name="breaker.tried")
    assert (event.actor, event.data) == ("olga", {"remote": ERP})


def test_where_nothing_is_open_there_is_nothing_to_try():
    breakers.failed(ERP, "HTTP 503")
    assert not breakers.probe_now(ERP, actor="olga")
    assert not Event.objects.exists()


def test_a_remote_is_probed_when_there_is_something_for_it():
    open_up()
    pause_ends()
    later = queued("later", due_at=Now() + timedelta(hours=5))
    queued("given up", due_at=None, state=EntryState.DEAD)
    assert breakers.probe_due() == []
    QueueEntry.objects.filter(pk=later.pk).update(due_at=Now())
    assert breakers.probe_due() == [ERP]


# --------------------------------------------------------------------------------------------------- what waits for it
def test_what_is_due_for_a_closed_remote_stays_where_it_is():
    queued("a")
    assert breakers.set_aside() == 0
    assert not QueueEntry.objects.get().waits


def test_what_is_due_is_set_aside_until_a_poll_after_the_pause_and_is_charged_nothing():
    open_up()
    queued("a")
    queued("in doubt", state=EntryState.IN_DOUBT)
    assert breakers.set_aside() == 2
    until = the(ERP).open_until
    assert until is not None
    for waits, attempts, due_at in QueueEntry.objects.values_list("waits", "attempts", "due_at"):
        assert (waits, attempts) == (True, 0)
        assert due_at is not None
        assert until + timedelta(seconds=5) <= due_at <= until + timedelta(seconds=8)
    assert breakers.set_aside() == 0


def test_what_is_being_sent_or_due_later_or_for_another_is_not_set_aside():
    open_up()
    queued("sending", state=EntryState.SENDING)
    queued("later", due_at=Now() + timedelta(minutes=1))
    queued("another", PARTNER)
    assert breakers.set_aside() == 0


def test_when_it_closes_what_waited_is_due_at_once():
    open_up(PARTNER)
    queued("a", PARTNER)
    breakers.set_aside()
    probe(PARTNER)
    breakers.succeeded(PARTNER)
    assert QueueEntry.objects.filter(waits=False, due_at__lte=Now()).count() == 1


@with_rivals
def test_what_is_set_aside_while_it_closes_does_not_stay_behind():
    """Whoever comes second, the closing or the setting aside, sees what the first did."""
    open_up(PARTNER)
    for number in range(20):
        queued(str(number), PARTNER)
    probe(PARTNER)
    at_once(lambda: (breakers.succeeded(PARTNER), breakers.set_aside()), times=4)
    assert not QueueEntry.objects.filter(waits=True).exists()


# ------------------------------------------------------------------------------------------------------------ budgets
def test_retries_pass_one_by_one():
    waits = [breakers.spaced(ERP, 6) for _ in range(60)]
    assert waits[0] == pytest.approx(6, abs=0.01)
    assert waits[-1] == pytest.approx(6 + 59, abs=2)
    assert all(later - earlier < 1.001 for earlier, later in pairwise(waits))


def test_a_long_wish_of_one_retry_does_not_put_off_the_next():
    breakers.spaced(ERP, 5 * 3600)
    assert breakers.spaced(ERP, 6) == pytest.approx(7, abs=0.1)


def test_the_budget_of_an_hour_in_which_nothing_failed_is_not_saved_up():
    breakers.spaced(ERP, 6)
    pass_time(3600)
    assert breakers.spaced(ERP, 6) == pytest.approx(6, abs=0.1)
    assert breakers.spaced(ERP, 6) == pytest.approx(7, abs=0.1)


# ---------------------------------------------------------------------------------------------------- many at once
@with_rivals
def test_of_failures_at_once_none_is_lost():
    at_once(lambda: [breakers.failed(PARTNER, "refused") for _ in range(10)])
    assert the(PARTNER).failures == 40
    assert Event.objects.filter(name="breaker.opened").count() == 1


@with_rivals
def test_retries_at_once_have_turns_of_their_own():
    at_once(lambda: [breakers.spaced(ERP, 0) for _ in range(5)])
    at_the_end = breakers.spaced(ERP, 0)
    assert at_the_end == pytest.approx(20, abs=3)


@with_rivals
def test_good_probes_at_once_close_it_once():
    open_up(PARTNER)
    probe(PARTNER)
    assert at_once(lambda: breakers.succeeded(PARTNER)).count(True) == 1
    assert Event.objects.filter(name="breaker.closed").count() == 1
