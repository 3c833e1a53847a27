"""The exception queue: one trouble is one case, with an owner and a clock from birth."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from gateway import exception_queue, states
from gateway.exception_queue import REASONS, Choice, Resolution, Team
from gateway.models import CaseState, Event, ExceptionCase
from partners.models import TradingPartner

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.fixture
def partner(db):
    return TradingPartner.objects.create(code="ACME", name="Acme Castings")


@pytest.fixture
def case(partner):
    return _opened(partner)


def _opened(
    partner: TradingPartner,
    *,
    fingerprint: str = "order_unknown:1:4711",
    summary: str = "Answer to order 4711, which we do not know",
    detail: dict[str, object] | None = None,
) -> ExceptionCase:
    with transaction.atomic():
        return exception_queue.open_case(
            "order_unknown",
            summary=summary,
            fingerprint=fingerprint,
            detail=detail,
            partner_id=partner.pk,
            now=NOON,
        )


def test_a_case_has_a_team_and_a_due_time_from_birth(case):
    assert (case.team, case.owner, case.state) == (Team.PROCUREMENT, None, CaseState.OPEN)
    assert case.due_at == NOON + timedelta(hours=REASONS["order_unknown"].hours)
    assert [(entry.actor, entry.action) for entry in case.history.all()] == [("gateway", "opened")]


def test_opening_a_case_is_an_event_that_names_it(case, partner):
    event = Event.objects.get(name="case.opened")
    entry = case.history.get()
    assert (event.case, event.partner, event.data) == (
        case,
        partner,
        {"reason": "order_unknown", "team": "procurement", "entry": entry.pk, "entry_seal": entry.seal()},
    )


def test_the_same_trouble_again_counts_up_with_the_newest_words(case, partner):
    again = _opened(partner, summary="Answer to order 4711 came once more", detail={"findings": [{"code": "x"}]})
    assert again.pk == case.pk
    assert ExceptionCase.objects.count() == 1
    assert again.occurrences == 2
    assert again.summary == "Answer to order 4711 came once more"
    assert again.detail == {"findings": [{"code": "x"}]}
    assert [entry.action for entry in again.history.all()] == ["opened", "repeated"]


def test_of_very_many_times_all_are_counted_and_some_are_in_the_history(case, partner, monkeypatch):
    monkeypatch.setattr(exception_queue, "MOST_REPEATS_NOTED", 3)
    for time in range(2, 8):
        again = _opened(partner, summary=f"time {time}")
    assert (again.occurrences, again.summary) == (7, "time 7")
    assert [entry.note for entry in again.history.all()][1:] == ["time 2", "time 3"]


def test_the_clock_of_a_counted_up_case_runs_from_the_first_time(case, partner):
    with transaction.atomic():
        again = exception_queue.open_case(
            "order_unknown", summary="later", fingerprint=case.fingerprint, now=NOON + timedelta(hours=5)
        )
    assert again.due_at == case.due_at
    assert again.partner == partner


def test_the_same_trouble_after_a_resolution_is_a_second_case(case, partner):
    exception_queue.resolve(case, "discarded", actor="kim")
    assert _opened(partner).pk != case.pk


def test_two_fingerprints_that_differ_only_beyond_the_column_are_two_cases(partner):
    first = _opened(partner, fingerprint="x" * 250 + "1")
    second = _opened(partner, fingerprint="x" * 250 + "2")
    assert first.pk != second.pk
    assert _opened(partner, fingerprint="x" * 250 + "1").pk == first.pk


def test_a_rival_who_opens_the_same_case_in_between_is_counted_up(partner, monkeypatch):
    first = _opened(partner)
    looks = iter([lambda *_: None, exception_queue._count_up])
    monkeypatch.setattr(exception_queue, "_count_up", lambda *args: next(looks)(*args))
    assert _opened(partner).pk == first.pk


def test_a_case_outside_a_transaction_is_refused(transactional_db):
    with pytest.raises(transaction.TransactionManagementError):
        exception_queue.open_case("poison", summary="x", fingerprint="x")


def test_a_reason_nobody_registered_is_a_programming_error(db):
    with transaction.atomic(), pytest.raises(KeyError):
        exception_queue.open_case("bad_mood", summary="x", fingerprint="x")


def test_a_reference_that_does_not_exist_is_not_mistaken_for_a_rival(transactional_db):
    with pytest.raises(IntegrityError), transaction.atomic():
        exception_queue.open_case("poison", summary="x", fingerprint="x", partner_id=404)


def test_nul_and_endless_text_from_a_partner_can_be_kept(partner):
    case = _opened(partner, summary="\0" + "y" * 400, detail={"lines": [{"text": "a\0b", "line": 1}]})
    assert case.summary == "\ufffd" + "y" * 253 + "…"
    assert case.detail == {"lines": [{"text": "a\ufffdb", "line": 1}]}


def test_assigning_gives_it_an_owner_and_says_so(case, db):
    kim = User.objects.create_user("kim")
    exception_queue.assign(case, kim, actor="lee", note="Your plant.")
    case.refresh_from_db()
    assert case.owner == kim
    entry = case.history.last()
    assert (entry.actor, entry.action, entry.note) == ("lee", "assigned", "To kim. Your plant.")
    assert Event.objects.get(name="case.assigned").actor == "lee"


def test_a_case_can_be_given_back_to_its_team(case, db):
    exception_queue.assign(case, User.objects.create_user("kim"), actor="lee")
    exception_queue.assign(case, None, actor="kim")
    case.refresh_from_db()
    assert case.owner is None
    assert case.history.last().note == "To team procurement."


def test_a_resolved_case_is_not_assigned(case, db):
    exception_queue.resolve(case, "closed", actor="kim")
    with pytest.raises(states.StaleState):
        exception_queue.assign(case, User.objects.create_user("lee"), actor="lee")


def test_resolving_says_what_by_whom_and_when(case):
    exception_queue.resolve(case, "accepted", actor="kim", note="Agreed by telephone.", now=NOON)
    case.refresh_from_db()
    assert (case.state, case.resolution, case.resolved_at) == (CaseState.RESOLVED, "accepted", NOON)
    entry = case.history.last()
    assert (entry.actor, entry.action, entry.note) == ("kim", "accepted", "Agreed by telephone.")


def test_of_two_people_who_resolve_at_once_the_second_is_told(case):
    rival = ExceptionCase.objects.get(pk=case.pk)
    exception_queue.resolve(case, "accepted", actor="kim")
    with pytest.raises(states.StaleState):
        exception_queue.resolve(rival, "discarded", actor="lee")
    rival.refresh_from_db()
    assert rival.resolution == "accepted"


def test_a_resolution_nobody_knows_is_refused(case):
    with pytest.raises(ValueError, match="forgotten"):
        exception_queue.resolve(case, "forgotten", actor="kim")


def test_a_cause_that_went_away_settles_its_case(case):
    assert exception_queue.settle(case.fingerprint, note="The order came.") is True
    case.refresh_from_db()
    assert case.resolution == Resolution.SETTLED
    assert exception_queue.settle(case.fingerprint, note="again") is False


@pytest.mark.parametrize("name", REASONS)
def test_every_reason_offers_a_way_out_and_says_how(name):
    reason = REASONS[name]
    assert len(name) <= 40, "the column"
    assert reason.choices
    assert reason.hours > 0
    assert reason.runbook.endswith(".")


@pytest.mark.parametrize("name", REASONS)
def test_every_reason_can_be_left_without_doing_anything(name):
    assert {Choice.CLOSE, Choice.DISCARD} & set(REASONS[name].choices)
