"""The outbox: claims, leases, fences, schedules and lanes, on the real rows."""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from gateway import outbox, states
from gateway.models import (
    Breaker,
    Delivery,
    DeliveryKind,
    DeliveryState,
    EntryState,
    ErpConnection,
    Event,
    QueueEntry,
    QueueLane,
)
from gateway.pipeline import relay
from tests.gateway.queue_rows import due_in, lease_runs_out, make_due
from tests.gateway.rivals import rival_claim
from tests.gateway.rows import a_document

pytestmark = pytest.mark.django_db(transaction=True)


def queued(key: str, *lanes: str) -> Delivery:
    with transaction.atomic():
        return outbox.enqueue(DeliveryKind.APPLY, key, lanes=lanes)


def claimed(owner: str = "one") -> outbox.Claim:
    claim = outbox.claim(DeliveryKind.APPLY, owner)
    assert claim is not None
    return claim


def test_enqueue_outside_a_transaction_is_refused():
    with pytest.raises(transaction.TransactionManagementError):
        outbox.enqueue(DeliveryKind.APPLY, "k")


def test_the_same_key_is_one_delivery():
    assert queued("k").pk == queued("k").pk


def test_many_are_queued_at_once_in_their_order_and_each_key_once():
    documents = [a_document(number=number) for number in "123"]
    work = [outbox.Work(key=f"k{one.number}", document=one, lanes=["lane", f"of:{one.number}"]) for one in documents]
    with transaction.atomic():
        outbox.enqueue_all(DeliveryKind.APPLY, work[1:])
        outbox.enqueue_all(DeliveryKind.APPLY, work)
    rows = Delivery.objects.order_by("pk")
    assert [(row.key, row.document, row.partner_id, row.standing) for row in rows] == [
        (f"k{one.number}", one, one.partner_id, "pending") for one in [*documents[1:], documents[0]]
    ]
    assert outbox.lanes_of(rows[0]) == ["lane", "of:2"]
    assert claimed().delivery.key == "k2"
    assert outbox.claim(DeliveryKind.APPLY, "x") is None


def test_many_are_rung_for_once():
    rung: list[str] = []
    outbox.on_due(rung.append)
    try:
        with transaction.atomic():
            outbox.enqueue_all(DeliveryKind.APPLY, [outbox.Work(key=key, document=a_document()) for key in "abc"])
    finally:
        outbox._listeners.remove(rung.append)
    assert rung == ["apply"]


def test_many_outside_a_transaction_are_refused():
    with pytest.raises(transaction.TransactionManagementError):
        outbox.enqueue_all(DeliveryKind.APPLY, [outbox.Work(key="k", document=a_document())])


def test_a_rolled_back_transaction_rings_for_nobody_and_leaves_nothing():
    rung: list[str] = []
    outbox.on_due(rung.append)
    try:
        with pytest.raises(RuntimeError), transaction.atomic():
            outbox.enqueue(DeliveryKind.APPLY, "k")
            raise RuntimeError
    finally:
        outbox._listeners.remove(rung.append)
    assert rung == []
    assert not Delivery.objects.exists()


def test_a_claim_counts_the_attempt_before_the_work_begins():
    queued("k")
    claim = claimed()
    row = QueueEntry.objects.get()
    assert (row.state, row.attempts, row.token, row.owner) == ("sending", 1, claim.token, "one")
    [under_way] = outbox.tries(claim.delivery)
    assert (under_way.token, under_way.owner, under_way.outcome) == (1, "one", "")


def test_what_is_claimed_is_nobody_elses():
    queued("k")
    claimed()
    assert outbox.claim(DeliveryKind.APPLY, "two") is None


def test_what_somebody_holds_who_is_gone_is_due_at_once_and_counts_as_a_crash():
    queued("a")
    queued("b")
    dead, living = claimed("gone"), claimed("there")
    assert outbox.end_leases(lambda owner: owner == "gone") == 1
    again = claimed("two")
    assert again.delivery == dead.delivery
    assert again.doubtful
    assert QueueEntry.objects.get(pk=dead.delivery.pk).crashes == 1
    with pytest.raises(outbox.Fenced):
        outbox.finish(dead)
    outbox.finish(living)


def test_of_two_threads_that_claim_at_once_one_wins():
    queued("k")
    won: list[outbox.Claim | None] = []
    gate = threading.Barrier(4)

    def rival(name: str) -> None:
        gate.wait()
        won.append(outbox.claim(DeliveryKind.APPLY, name))
        connection.close()

    threads = [threading.Thread(target=rival, args=(str(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(claim is not None for claim in won) == 1


def test_an_expired_lease_is_claimable_and_in_doubt():
    lease_runs_out(pk=queued_and_claimed().delivery.pk)
    again = claimed("two")
    assert again.doubtful
    assert QueueEntry.objects.get().crashes == 1


def queued_and_claimed() -> outbox.Claim:
    queued("k")
    return claimed()


def test_a_worker_paused_beyond_its_lease_changes_nothing():
    late = queued_and_claimed()
    lease_runs_out(pk=late.delivery.pk)
    second = claimed("two")
    with pytest.raises(outbox.Fenced):
        outbox.finish(late, "late")
    outbox.finish(second, "in time")
    assert Delivery.objects.get().result == "in time"


def test_a_held_claim_is_nobody_elses_though_its_lease_has_run_out():
    claim = queued_and_claimed()
    lease_runs_out(pk=claim.delivery.pk)
    with transaction.atomic():
        outbox.hold(claim)
        assert rival_claim(DeliveryKind.APPLY) is None
        outbox.finish(claim)
    assert Delivery.objects.get().state == DeliveryState.DELIVERED


def test_a_hold_ends_with_its_transaction():
    claim = queued_and_claimed()
    lease_runs_out(pk=claim.delivery.pk)
    with pytest.raises(RuntimeError), transaction.atomic():
        outbox.hold(claim)
        raise RuntimeError("the worker died")
    assert rival_claim(DeliveryKind.APPLY) is not None


def test_a_claim_that_was_lost_is_not_held():
    late = queued_and_claimed()
    lease_runs_out(pk=late.delivery.pk)
    claimed("two")
    with pytest.raises(outbox.Fenced), transaction.atomic():
        outbox.hold(late)


def test_a_finished_delivery_is_finished_once():
    claim = queued_and_claimed()
    outbox.finish(claim)
    with pytest.raises(outbox.Fenced):
        outbox.finish(claim)
    assert Event.objects.filter(name="delivery.delivered").count() == 1


def test_a_retry_waits_for_its_time():
    claim = queued_and_claimed()
    assert outbox.retry(claim, "later")
    assert outbox.claim(DeliveryKind.APPLY, "two") is None
    make_due()
    assert not claimed("two").doubtful


def test_a_retry_in_doubt_stays_in_doubt_until_it_is_settled():
    claim = queued_and_claimed()
    outbox.retry(claim, "no answer", in_doubt=True)
    make_due()
    second = claimed("two")
    assert second.doubtful
    outbox.retry(second, "could not connect to look it up")
    make_due()
    assert claimed("three").doubtful


def test_the_schedule_ends_in_a_dead_letter(settings):
    settings.RETRY_SCHEDULE_MIN = {"apply": [1]}
    claim = queued_and_claimed()
    assert outbox.retry(claim, "first")
    make_due()
    assert not outbox.retry(claimed(), "second")
    row = Delivery.objects.get()
    assert (row.state, row.last_error) == (DeliveryState.DEAD, "second")


def test_a_schedule_of_the_callers_own_replaces_that_of_the_kind():
    claim = queued_and_claimed()
    assert outbox.retry(claim, "first", schedule=(60,))
    assert timedelta(minutes=47) < due_in() < timedelta(minutes=73)
    make_due()
    assert not outbox.retry(claimed(), "second", schedule=(60,))


def test_what_was_taken_is_due_when_its_verdict_should_have_come():
    claim = queued_and_claimed()
    outbox.expect(claim, timedelta(minutes=76))
    assert QueueEntry.objects.get().state == EntryState.IN_DOUBT
    assert timedelta(minutes=75) < due_in() < timedelta(minutes=77)
    assert outbox.claim(DeliveryKind.APPLY, "two") is None
    make_due()
    second = claimed("two")
    assert second.doubtful
    assert outbox.was_taken(second)
    outbox.retry(second, "no connection")
    make_due()
    assert not outbox.was_taken(claimed("three"))


@pytest.mark.parametrize("to", [DeliveryState.DELIVERED, DeliveryState.DEAD])
def test_a_verdict_from_elsewhere_settles_what_waits_and_frees_or_blocks_its_lane(to):
    queued("first", "order:1")
    queued("second", "order:1")
    outbox.expect(claimed(), timedelta(minutes=76))
    assert outbox.conclude(Delivery.objects.get(key="first"), to, "by letter")
    assert Delivery.objects.get(key="first").state == to
    assert (outbox.claim(DeliveryKind.APPLY, "x") is None) == (to == DeliveryState.DEAD)


def test_a_verdict_from_elsewhere_leaves_a_delivery_to_the_worker_who_holds_it():
    claim = queued_and_claimed()
    assert not outbox.conclude(Delivery.objects.get(), DeliveryState.DELIVERED, "by letter")
    outbox.finish(claim, "by answer")
    assert Delivery.objects.get().result == "by answer"
    assert not outbox.conclude(Delivery.objects.get(), DeliveryState.DEAD, "by letter")


def test_a_verdict_from_elsewhere_settles_what_a_dead_worker_held_and_fences_the_paused_one():
    claim = queued_and_claimed()
    lease_runs_out(pk=claim.delivery.pk)
    assert outbox.conclude(Delivery.objects.get(), DeliveryState.DELIVERED, "by letter")
    with pytest.raises(outbox.Fenced):
        outbox.finish(claim)
    assert Delivery.objects.get().result == "by letter"


def test_an_uncharged_retry_never_uses_up_the_schedule(settings):
    settings.RETRY_SCHEDULE_MIN = {"apply": [1]}
    queued("k")
    for _ in range(5):
        make_due()
        assert outbox.retry(claimed(), "closed for maintenance", charged=False)
    assert QueueEntry.objects.get().attempts == 0


def test_work_that_kills_its_worker_three_times_is_buried_and_its_neighbour_goes_on():
    queued("poison")
    for _ in range(3):
        claim = claimed()
        assert claim.delivery.key == "poison"
        lease_runs_out(pk=claim.delivery.pk)
    queued("neighbour")
    assert claimed().delivery.key == "neighbour"
    assert Delivery.objects.get(key="poison").state == DeliveryState.DEAD


def test_one_lane_is_handed_over_in_order():
    queued("first", "order:1")
    queued("second", "order:1")
    queued("other", "order:2")
    first, other = claimed(), claimed()
    assert (first.delivery.key, other.delivery.key) == ("first", "other")
    assert outbox.claim(DeliveryKind.APPLY, "x") is None
    outbox.finish(first)
    assert claimed().delivery.key == "second"


def test_a_delivery_of_two_lanes_waits_for_both():
    queued("a", "order:1")
    queued("b", "order:2")
    queued("both", "order:1", "order:2")
    a, b = claimed(), claimed()
    outbox.finish(a)
    assert outbox.claim(DeliveryKind.APPLY, "x") is None
    outbox.finish(b)
    assert claimed().delivery.key == "both"


def test_a_dead_letter_blocks_its_own_lane_only():
    queued("dead", "order:1")
    queued("behind", "order:1")
    queued("beside", "order:2")
    outbox.bury(claimed(), "no")
    assert claimed().delivery.key == "beside"
    assert outbox.claim(DeliveryKind.APPLY, "x") is None


def test_a_revived_dead_letter_keeps_its_key_and_counts_anew():
    claim = queued_and_claimed()
    outbox.bury(claim, "no")
    dead = Delivery.objects.get()
    with transaction.atomic():
        outbox.revive(dead, actor="ann")
    again = claimed()
    assert (again.delivery.key, again.attempts) == ("k", 1)
    assert again.token > claim.token


def test_who_revives_locks_as_who_settles_does():
    outbox.bury(queued_and_claimed(), "no")
    with transaction.atomic(), CaptureQueriesContext(connection) as asked:
        outbox.revive(Delivery.objects.get(), actor="ann")
    written = [one["sql"].split()[1].strip('"') for one in asked if one["sql"].startswith("UPDATE")]
    assert written == ["gateway_queueentry", "gateway_delivery"]


def test_the_last_try_that_failed_after_its_ending_is_a_dead_letter_all_the_same(monkeypatch):
    def ends_and_fails(claim, *, now):
        with transaction.atomic():
            outbox.finish(claim, "its reference")
            raise OSError("before the commit")

    monkeypatch.setitem(relay._HANDLERS, DeliveryKind.APPLY, ends_and_fails)
    queued("k")
    QueueEntry.objects.update(attempts=len(settings.RETRY_SCHEDULE_MIN["apply"]))
    relay.handle(claimed(), now=timezone.now())
    dead = Delivery.objects.get()
    assert (dead.state, dead.standing, dead.result) == ("dead", "dead", "")
    assert Event.objects.get(name="delivery.dead").data["seal"] == dead.seal()


def test_a_cancelled_dead_letter_frees_its_lane():
    queued("dead", "order:1")
    queued("behind", "order:1")
    outbox.bury(claimed(), "no")
    with transaction.atomic():
        outbox.cancel(Delivery.objects.get(key="dead"), actor="ann")
    assert claimed().delivery.key == "behind"


def test_what_is_being_tried_cannot_be_cancelled():
    claim = queued_and_claimed()
    with pytest.raises(states.StaleState), transaction.atomic():
        outbox.cancel(claim.delivery, actor="ann")


def test_every_try_ends_once_in_the_log_and_every_token_is_there():
    claim = queued_and_claimed()
    outbox.retry(claim, "later")
    make_due()
    lease_runs_out(pk=claimed("two").delivery.pk)
    outbox.expect(claimed("three"), timedelta(0))
    make_due()
    outbox.finish(claimed("four"), "ref")
    assert [(one.token, one.outcome, one.detail) for one in outbox.tries(claim.delivery)] == [
        (1, "retry", "later"),
        (2, "crashed", ""),
        (3, "taken", ""),
        (4, "delivered", "ref"),
    ]
    assert [one.owner for one in outbox.tries(claim.delivery)] == ["one", "", "three", "four"]


def test_what_is_over_leaves_nothing_in_the_queue_and_its_record_stays():
    queued("done", "order:1")
    outbox.finish(claimed(), "ref")
    assert not QueueEntry.objects.exists()
    assert not QueueLane.objects.exists()
    row = Delivery.objects.get()
    assert (row.state, row.result, row.attempts) == ("delivered", "ref", 1)
    assert row.finished_at is not None


def test_no_writer_can_open_again_what_is_over():
    outbox.finish(queued_and_claimed())
    with pytest.raises(DatabaseError, match="stays so"), transaction.atomic():
        Delivery.objects.update(state="open")


def test_what_waits_for_its_lane_is_put_aside_and_woken_by_the_one_before_it():
    queued("first", "order:1")
    queued("second", "order:1")
    queued("third", "order:1")
    outbox.set_aside()
    assert [(row.delivery.key, row.waits) for row in QueueEntry.objects.order_by("pk")] == [
        ("first", False),
        ("second", True),
        ("third", True),
    ]
    outbox.finish(claimed())
    assert claimed().delivery.key == "second"
    assert QueueEntry.objects.get(delivery__key="third").waits


def test_a_timers_next_turn_is_no_attempt_and_no_event():
    queued("k")
    for _ in range(5):
        make_due()
        outbox.again(claimed(), timedelta(seconds=30), "the ERP is away")
    row = QueueEntry.objects.get()
    assert (row.state, row.attempts, row.token) == ("pending", 0, 5)
    assert Delivery.objects.get().last_error == "the ERP is away"
    assert not Event.objects.exists()


APPLY_ONLY = frozenset({DeliveryKind.APPLY})


def rung_for(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    heard: list[str] = []
    monkeypatch.setattr(outbox, "_listeners", [heard.append])
    return heard


def test_a_hand_goes_on_with_what_it_makes_due_and_nobody_is_rung_for(monkeypatch):
    heard = rung_for(monkeypatch)
    with outbox.going_on("one", APPLY_ONLY, lambda: True) as hand, transaction.atomic():
        queued("next")
        assert hand.claim() is None  # not before it is committed
    step = hand.claim()
    assert step is not None
    assert (step.delivery.key, step.token, step.attempts, step.doubtful, step.owner) == ("next", 1, 1, False, "one")
    assert heard == []
    assert outbox.claim(DeliveryKind.APPLY, "two") is None
    outbox.finish(step)
    assert not QueueEntry.objects.exists()


def test_it_goes_on_with_one_thing_and_rings_for_the_others(monkeypatch):
    heard = rung_for(monkeypatch)
    with outbox.going_on("one", APPLY_ONLY, lambda: True) as hand:
        queued("next")
        queued("another")
        with transaction.atomic():
            outbox.enqueue(DeliveryKind.TRANSLATE, "of another kind")
    assert heard == ["apply", "translate"]
    assert getattr(hand.claim(), "delivery", None) == Delivery.objects.get(key="next")
    assert claimed("two").delivery.key == "another"


def test_it_goes_on_with_nothing_that_was_rolled_back():
    with outbox.going_on("one", APPLY_ONLY, lambda: True) as hand, suppress(InterruptedError), transaction.atomic():
        queued("next")
        raise InterruptedError
    assert hand.claim() is None
    assert not QueueEntry.objects.exists()


@pytest.mark.parametrize("why", ["not willing", "a lane with another before it", "no hand"])
def test_what_nobody_goes_on_with_is_due_for_everybody(why, monkeypatch):
    queued("before", "lane")
    heard = rung_for(monkeypatch)
    with outbox.going_on("one", APPLY_ONLY, lambda: why != "not willing") as hand:
        if why != "no hand":
            queued("next", "lane" if why != "not willing" else "")
    if why == "no hand":
        queued("next")
    assert hand.claim() is None
    assert heard == ["apply"]
    assert Delivery.objects.get(key="next").standing == "pending"


def test_a_remote_that_is_left_alone_is_nothing_to_go_on_with():
    left_alone("erp:7", minutes=5)
    ErpConnection.objects.create(pk=7, code="ERP7", base_url="https://erp.example")
    with outbox.going_on("one", {DeliveryKind.ERP}, lambda: True) as hand, transaction.atomic():
        outbox.enqueue(DeliveryKind.ERP, "next", erp=ErpConnection.objects.get())
    assert hand.claim() is None


def test_a_hand_that_dies_before_it_goes_on_is_a_crash_like_any_other():
    with outbox.going_on("one", APPLY_ONLY, lambda: True):
        queued("next")
    lease_runs_out()
    step = claimed("two")
    assert (step.token, step.attempts, step.doubtful, step.crashes) == (2, 2, True, 1)


def left_alone(remote: str, *, minutes: float) -> None:
    now = timezone.now()
    Breaker.objects.create(remote=remote, opened_at=now, open_until=now + timedelta(minutes=minutes))


def test_nothing_goes_to_a_remote_that_is_left_alone():
    of_erp("k")
    left_alone("erp:7", minutes=1)
    assert outbox.claim(DeliveryKind.ERP, "one") is None
    assert outbox.due_kinds() == [DeliveryKind.ERP]
    outbox.set_aside()
    assert outbox.due_kinds() == []


def test_after_the_pause_one_goes_there_as_a_probe_and_nothing_else_does():
    of_erp("a")
    of_erp("b")
    left_alone("erp:7", minutes=1)
    outbox.set_aside()
    Breaker.objects.update(open_until=timezone.now() - timedelta(seconds=1))
    assert outbox.due_kinds() == [DeliveryKind.ERP]
    probe = outbox.claim(DeliveryKind.ERP, "one")
    assert probe is not None
    assert probe.delivery.key == "a"
    assert outbox.claim(DeliveryKind.ERP, "two") is None


def test_a_probe_that_said_nothing_of_its_remote_is_followed_by_another():
    of_erp("a")
    of_erp("b")
    left_alone("erp:7", minutes=-1)
    probe = outbox.claim(DeliveryKind.ERP, "one")
    assert probe is not None
    outbox.end_probe(probe)
    assert outbox.claim(DeliveryKind.ERP, "two") is not None


def test_a_dead_letter_that_was_set_aside_is_no_probe():
    of_erp("k")
    left_alone("erp:7", minutes=1)
    outbox.set_aside()
    outbox.conclude(Delivery.objects.get(), DeliveryState.DEAD, "given up")
    Breaker.objects.update(open_until=timezone.now() - timedelta(seconds=1))
    assert outbox.claim(DeliveryKind.ERP, "one") is None


def test_what_fails_at_once_is_tried_again_one_by_one(settings):
    settings.ERP_CALLS_AT_ONCE = 20
    settings.RETRY_SCHEDULE_MIN = {"erp": [0.001]}
    erp = ErpConnection.objects.create(code="main", base_url="https://erp.example/")
    for number in range(10):
        with transaction.atomic():
            outbox.enqueue(DeliveryKind.ERP, str(number), erp=erp)
    while (claim := outbox.claim(DeliveryKind.ERP, "one")) is not None:
        outbox.retry(claim, "HTTP 500", after_s=30)
    due = [due_in(pk=row.pk).total_seconds() for row in QueueEntry.objects.order_by("due_at")]
    assert due[-1] - due[0] == pytest.approx(9, abs=2)


def test_one_remote_has_so_many_calls_at_once_and_others_go_on(settings):
    settings.ERP_CALLS_AT_ONCE = 2
    for key in "abc":
        of_erp(key)
    of_erp("elsewhere", remote="erp:8")
    taken = [outbox.claim(DeliveryKind.ERP, "one") for _ in range(3)]
    assert [one.delivery.key for one in taken if one] == ["a", "b", "elsewhere"]
    assert outbox.claim(DeliveryKind.ERP, "one") is None
    lease_runs_out(delivery__key="a")
    again = outbox.claim(DeliveryKind.ERP, "one")
    assert again is not None
    assert again.delivery.key == "a"


def of_erp(key: str, remote: str = "erp:7") -> None:
    with transaction.atomic():
        delivery = outbox.enqueue(DeliveryKind.ERP, key)
    QueueEntry.objects.filter(pk=delivery.pk).update(remote=remote)


def test_due_kinds_names_the_queues_that_have_work():
    queued("k")
    assert outbox.due_kinds() == [DeliveryKind.APPLY]
    claimed()
    assert outbox.due_kinds() == []


def test_who_stands_still_in_a_transaction_is_ended_after_two_leases():
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no server that could")
    with connection.cursor() as cursor:
        cursor.execute("SHOW idle_in_transaction_session_timeout")
        assert cursor.fetchone() == ("4min",)
        cursor.execute("SET idle_in_transaction_session_timeout = '50ms'")
    with pytest.raises(DatabaseError), transaction.atomic():
        queued("k")
        threading.Event().wait(0.5)
        queued("l")
    connection.close()
    assert not Delivery.objects.exists()
