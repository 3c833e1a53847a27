"""Release: what the ERP changes comes into the order book once and leaves for the supplier once."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection as database
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from gateway import breakers
from gateway.blob_store import Full
from gateway.blob_store.files import Files
from gateway.models import Breaker, Delivery, Document, ErpConnection, ExceptionCase, Order, OrderRevision
from gateway.pipeline import decide, release
from partners import onboarding
from tests.gateway.erp.counterpart import ReferenceProcess, order_record
from tests.gateway.pipeline.conftest import poll_erp
from tests.services import need

pytestmark = pytest.mark.django_db


def test_a_released_order_is_in_the_book_and_on_its_way(connection, erp, acme):
    placed = erp.release()
    assert poll_erp() == 1
    order = Order.objects.get(number=placed.number)
    assert (order.partner, order.company, order.revision) == (acme, "PLANT1", 1)
    document = Document.objects.get(order=order)
    assert (document.code, document.state, document.direction) == ("850", "translated", "outbound")
    assert Delivery.objects.get().kind == "partner"


def test_a_settled_change_is_not_named_again(connection, erp, acme):
    erp.release()
    poll_erp()
    assert poll_erp() == 0


def test_a_change_seen_twice_because_the_settling_was_lost_leaves_once(connection, erp, acme):
    erp.release()
    erp.misbehave("down", routes=["settle"])
    poll_erp()
    poll_erp()
    assert Document.objects.count() == Delivery.objects.count() == OrderRevision.objects.count() == 1


def test_an_order_for_which_the_disk_has_no_room_is_taken_in_once_there_is_and_is_nobodys_case(
    connection, erp, acme, monkeypatch
):
    def no_room(*_arguments):
        raise Full("no space left on device")

    erp.release()
    with monkeypatch.context() as full:
        full.setattr(Files, "put", no_room)
        assert poll_erp() == 0
    assert not ExceptionCase.objects.exists()
    assert not Order.objects.exists()
    assert poll_erp() == 1
    assert Document.objects.count() == 1


def test_a_change_is_a_replacement_that_names_its_revision(connection, erp, acme):
    placed = erp.release()
    poll_erp()
    erp.change(placed, "120")
    poll_erp()
    first, second = Document.objects.order_by("pk")
    assert (first.record["purpose"], second.record["purpose"]) == ("original", "replace")
    assert (second.record["revision"], second.record["lines"][0]["quantity"]) == (2, "120")


def test_an_erp_change_without_a_difference_for_the_supplier_leaves_nothing(connection, erp, acme):
    placed = erp.release()
    poll_erp()
    erp.change(placed, "100")
    poll_erp()
    assert Document.objects.count() == 1


def test_a_cancellation_leaves_as_one(connection, erp, acme):
    placed = erp.release()
    poll_erp()
    erp.cancel(placed)
    poll_erp()
    assert Document.objects.order_by("pk").last().record["purpose"] == "cancel"
    assert Order.objects.get().state == "cancelled"


def test_an_order_for_a_rest_supplier_is_there_to_be_fetched(connection, erp, castra):
    onboarding.set_up({"code": "CASTRA", "supplier_numbers": ["S-100"]})
    erp.release()
    poll_erp()
    assert Document.objects.get().state == "relayed"
    assert not Delivery.objects.exists()


def test_an_order_of_a_supplier_nobody_onboarded_waits_as_a_case_and_is_loaded_again(connection, erp, castra):
    erp.release()
    assert poll_erp() == 1
    case = ExceptionCase.objects.get()
    assert (case.reason, Order.objects.count()) == ("unknown_partner", 0)
    with pytest.raises(decide.NotPossible, match="S-100"):
        decide.replay(case, actor="ann")
    onboarding.set_up({"code": "CASTRA", "supplier_numbers": ["S-100"]})
    decide.replay(case, actor="ann")
    assert Order.objects.count() == 1
    case.refresh_from_db()
    assert case.state == "resolved"


def test_an_erp_that_refuses_our_token_is_left_alone_until_a_person_acts(connection, erp, acme):
    connection.set_token("wrong-token-of-some-length")
    erp.release()
    poll_erp()
    connection.refresh_from_db()
    assert connection.blocked_reason
    assert ExceptionCase.objects.get().reason == "erp_auth_failed"
    connection.set_token(erp.token)
    decide.retry(ExceptionCase.objects.get(), actor="ann")
    assert poll_erp() == 1


def test_a_new_token_opens_the_connection_and_settles_its_case(connection, erp, acme):
    connection.set_token("wrong-token-of-some-length")
    erp.release()
    poll_erp()
    release.renew_token(connection, erp.token, actor="ann")
    connection.refresh_from_db()
    assert connection.blocked_reason == ""
    assert ExceptionCase.objects.get().resolution == "settled"
    assert poll_erp() == 1


def test_a_refusal_of_the_old_token_that_comes_late_does_not_stop_the_new_one(connection, erp, acme):
    asked_with_the_old_one = timezone.now()
    release.renew_token(connection, erp.token, actor="ann")
    release.block(connection, "401", since=asked_with_the_old_one)
    assert not ExceptionCase.objects.exists()
    erp.release()
    assert poll_erp() == 1


@pytest.mark.django_db(transaction=True)
def test_a_refusal_of_the_old_token_that_comes_while_the_new_one_is_entered_does_not_stop_it(connection, erp):
    need(database.vendor == "postgresql", "DATABASE_URL names no PostgreSQL: two write at once only there")
    asked_with_the_old_one, looked = timezone.now(), threading.Event()

    def tell(execute, statement, *call):
        """The first look of the other one has been, or is kept waiting."""
        if "FOR NO KEY UPDATE" in statement:
            looked.set()
        try:
            return execute(statement, *call)
        finally:
            looked.set()

    def refused() -> None:
        with database.execute_wrapper(tell):
            release.block(connection, "401", since=asked_with_the_old_one)
        database.close()

    other = threading.Thread(target=refused)
    with transaction.atomic():
        release.renew_token(connection, erp.token, actor="ann")
        other.start()
        assert looked.wait(10)
    other.join()
    connection.refresh_from_db()
    assert connection.blocked_reason == ""


def test_an_erp_that_is_down_is_asked_again_at_the_next_turn(connection, erp, acme):
    erp.release()
    erp.misbehave("down", count=1)
    assert poll_erp() == 0
    assert poll_erp() == 1
    assert not ExceptionCase.objects.exists()


def test_a_suspended_supplier_gets_no_order_until_a_person_lets_it_go(connection, erp, acme):
    onboarding.set_up({"code": "ACME", "state": "suspended"})
    erp.release()
    poll_erp()
    assert Document.objects.get().state == "held"
    assert ExceptionCase.objects.get().reason == "no_agreement"
    onboarding.set_up({"code": "ACME", "state": "live"})
    decide.replay(ExceptionCase.objects.get(), actor="ann")
    assert Document.objects.get().state == "translated"
    assert Delivery.objects.get().kind == "partner"


def test_an_order_that_cannot_be_said_in_x12_waits_for_a_person_with_the_reason(connection, erp, acme):
    record = order_record("PO*1")
    erp.admin("POST", "release", {"company": "PLANT1", "supplier_number": "S-100", "record": record})
    poll_erp()
    case = ExceptionCase.objects.get()
    assert case.reason == "document_unwritable"
    assert "BEG03" in case.detail["why"]
    assert Document.objects.get().state == "held"
    assert not Delivery.objects.exists()


def test_nothing_leaves_that_we_would_reject_ourselves(connection, erp, acme):
    record = order_record("X" * 30)
    erp.admin("POST", "release", {"company": "PLANT1", "supplier_number": "S-100", "record": record})
    poll_erp()
    case = ExceptionCase.objects.get()
    assert case.reason == "document_unwritable"
    assert "22" in case.detail["why"]  # the longest purchase order number of X12
    assert not Delivery.objects.exists()


@pytest.mark.parametrize("extra", [{"FOB": 7}, {"BEG999999999": "X"}, {"lines/9/PO1": {"a": []}}])
def test_whatever_an_erp_keeps_under_extra_the_order_leaves_or_waits_for_a_person(connection, erp, acme, extra):
    record = order_record(f"EXTRA-{next(iter(extra))[:3]}") | {"extra": extra}
    erp.admin("POST", "release", {"company": "PLANT1", "supplier_number": "S-100", "record": record})
    assert poll_erp() == 1
    assert Delivery.objects.filter(kind="partner").count() + ExceptionCase.objects.count() == 1


def test_a_fault_of_ours_about_one_order_keeps_no_other_waiting(connection, erp, acme, monkeypatch):
    bad, good = erp.release(), erp.release()
    take_in = release.take_in

    def fails(row, found, *, now):
        if found.record.number == bad.number:
            raise RecursionError("too deep")
        return take_in(row, found, now=now)

    monkeypatch.setattr(release, "take_in", fails)
    poll_erp()
    poll_erp()
    assert Order.objects.get().number == good.number
    case = ExceptionCase.objects.get()
    assert (case.reason, case.occurrences) == ("order_unusable", 1)
    monkeypatch.setattr(release, "take_in", take_in)
    assert poll_erp() == 1
    assert Order.objects.count() == 2


def asked(erp: ReferenceProcess, turns: int) -> int:
    """How often the ERP is asked for changes in so many turns, while each call finds it down."""
    erp.behave()
    erp.misbehave("down", count=100)
    for _ in range(turns):
        poll_erp()
    left = next(fault["count"] for fault in erp.admin("GET", "faults"))
    return 100 - int(left)


def pause_ends(row: ErpConnection) -> None:
    Breaker.objects.filter(remote=breakers.erp(row.pk)).update(open_until=Now(), opened_at=Now() - timedelta(minutes=5))


def test_an_erp_that_does_not_answer_is_left_alone_after_five_turns(connection, erp):
    assert asked(erp, turns=8) == 5


def test_after_a_pause_one_turn_asks_it_again(connection, erp):
    asked(erp, turns=5)
    pause_ends(connection)
    assert asked(erp, turns=3) == 1


def test_three_turns_in_which_it_answers_end_the_pause_and_then_all_it_released_is_taken_in(connection, erp, acme):
    asked(erp, turns=5)
    erp.behave()
    erp.release()
    pause_ends(connection)
    assert [poll_erp() for _ in range(3)] == [0, 0, 1]


def test_an_erp_that_stops_to_answer_among_many_orders_is_not_asked_for_the_rest(connection, erp, acme):
    for _ in range(8):
        erp.release()
    erp.misbehave("down", routes=["load"], count=100)
    poll_erp()
    assert erp.admin("GET", "faults")[0]["count"] == 95


def test_an_erp_that_refuses_our_credentials_when_probed_is_blocked_and_the_next_probe_is_free(connection, erp):
    asked(erp, turns=5)
    erp.behave()
    pause_ends(connection)
    connection.set_token("another")
    poll_erp()
    connection.refresh_from_db()
    assert "401" in connection.blocked_reason
    assert breakers.take_probe(breakers.erp(connection.pk)) is not None


def test_a_turn_that_has_lasted_long_enough_leaves_the_rest_to_the_next(connection, erp, acme):
    erp.release()
    erp.release()
    is_over = iter([False, True])
    assert release.poll(connection, now=timezone.now(), is_over=lambda: next(is_over)) == 1
    assert poll_erp() == 1
    assert Order.objects.count() == 2
