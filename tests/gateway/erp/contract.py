"""What every ERP adapter must do, against its real counterpart: each adapter's test class inherits all of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from itertools import count
from typing import Any, Protocol
from uuid import uuid4

import pytest

from edi_maps.canonical import (
    CanonicalRecord,
    Disposition,
    InventoryAdvice,
    InventoryItem,
    Invoice,
    OrderAcknowledgment,
    PlannedItem,
    PlannedQuantity,
    PlanningSchedule,
    ProductId,
    Purpose,
    ShipNotice,
    ShippedItem,
    StockQuantity,
)
from gateway.erp.port import (
    AuthFailed,
    ChangeKind,
    ErpPort,
    InDoubt,
    NeedsHuman,
    OrderFact,
    Permanent,
    Submission,
    Submitted,
    Transient,
)


@dataclass(frozen=True)
class Placed:
    """An order the buyer has released: line 10 with the quantity asked for, line 20 with 5.5."""

    order_key: str
    company: str
    supplier_number: str
    number: str


class Counterpart(Protocol):
    """The ERP behind the adapter, and the buyer who works in it."""

    def release(self, quantity: str = "100") -> Placed: ...
    def change(self, order: Placed, quantity: str) -> None: ...
    def cancel(self, order: Placed) -> None: ...
    def close_order(self, order: Placed) -> None: ...
    def issue(self, record: CanonicalRecord) -> Placed: ...  # not an order; ``order_key`` is the document's
    def post_pending(self) -> None: ...
    def misbehave(self, kind: str, **terms: Any) -> None: ...
    def applications(self, key: str) -> int: ...
    def requests(self, key: str) -> list[tuple[str, str]]: ...
    def start(self) -> None: ...
    def kill(self) -> None: ...


Connect = Callable[..., ErpPort]  # (counterpart, **changed settings) -> port


class ErpContract:
    """What a subclass gives as fixtures: ``other_side`` (shared, free of faults when a test begins), ``own_other_side``
    (for one test, which may kill it) and ``connect``, which makes a port to either."""

    @pytest.fixture
    def erp(self, other_side: Counterpart, connect: Connect) -> ErpPort:
        return connect(other_side)

    # -- changes

    def test_a_released_order_is_announced_loaded_whole_and_settled(self, erp: ErpPort, other_side: Counterpart):
        placed = other_side.release("100")
        [change] = _changes(erp, placed)
        assert (change.kind, change.revision) == (ChangeKind.RELEASE, 1)

        order = erp.load(change.order_key)
        assert (order.company, order.supplier_number) == (placed.company, placed.supplier_number)
        assert (order.record.number, order.revision, order.record.revision) == (placed.number, 1, 1)
        assert [(line.line_number, line.quantity) for line in order.record.lines] == [
            ("10", Decimal(100)),
            ("20", Decimal("5.5")),
        ]
        assert not order.cancelled

        erp.settle([change.token])
        assert _changes(erp, placed) == []

    def test_an_unsettled_change_is_announced_again(self, erp: ErpPort, other_side: Counterpart):
        placed = other_side.release()
        assert _changes(erp, placed) == _changes(erp, placed) != []

    def test_settling_again_changes_nothing(self, erp: ErpPort, other_side: Counterpart):
        tokens = [change.token for change in _changes(erp, other_side.release())]
        erp.settle(tokens)
        erp.settle(tokens)
        erp.settle([])

    def test_a_settlement_whose_answer_was_lost_is_made_again(self, erp: ErpPort, other_side: Counterpart):
        placed = other_side.release()
        tokens = [change.token for change in _changes(erp, placed)]
        other_side.misbehave("lose_answer", routes=["settle"])
        with pytest.raises(Transient):
            erp.settle(tokens)
        erp.settle(tokens)
        assert _changes(erp, placed) == []

    def test_a_changed_order_is_one_revision_further_and_whole(self, erp: ErpPort, other_side: Counterpart):
        placed = other_side.release("100")
        other_side.change(placed, "80")
        assert [(c.kind, c.revision) for c in _changes(erp, placed)] == [
            (ChangeKind.RELEASE, 1),
            (ChangeKind.CHANGE, 2),
        ]
        order = erp.load(placed.order_key)
        assert order.revision == 2
        assert [line.quantity for line in order.record.lines] == [Decimal(80), Decimal("5.5")]

    def test_a_cancelled_order_says_so(self, erp: ErpPort, other_side: Counterpart):
        placed = other_side.release()
        other_side.cancel(placed)
        assert _changes(erp, placed)[-1].kind is ChangeKind.CANCEL
        assert erp.load(placed.order_key).cancelled

    def test_no_more_changes_than_asked_for(self, erp: ErpPort, other_side: Counterpart):
        for _ in range(3):
            other_side.release()
        assert len(erp.changes(2)) == 2

    def test_what_we_write_is_not_announced_as_a_change(self, erp: ErpPort, other_side: Counterpart):
        placed = other_side.release()
        before = _changes(erp, placed)
        erp.submit(acknowledgment(placed))
        erp.submit(ship_notice(placed, "60"))
        assert _changes(erp, placed) == before

    # -- documents for suppliers

    def test_a_document_for_a_supplier_is_announced_loaded_whole_and_settled(
        self, erp: ErpPort, other_side: Counterpart
    ):
        placed = other_side.issue(schedule(f"FC-{uuid4()}"))
        [change] = _changes(erp, placed)
        assert (change.kind, change.revision) == (ChangeKind.DOCUMENT, 1)

        found = erp.document(change.order_key)
        assert (found.document_key, found.company, found.supplier_number, found.revision) == (
            placed.order_key,
            placed.company,
            placed.supplier_number,
            1,
        )
        assert isinstance(found.record, PlanningSchedule)
        assert (found.record.number, found.record.items[0].schedules[0].quantity) == (placed.number, Decimal(120))

        erp.settle([change.token])
        assert _changes(erp, placed) == []

    def test_a_document_released_again_is_one_revision_further(self, erp: ErpPort, other_side: Counterpart):
        number = f"FC-{uuid4()}"
        other_side.issue(schedule(number))
        placed = other_side.issue(schedule(number, quantity="80"))
        assert [change.revision for change in _changes(erp, placed)] == [1, 2]
        found = erp.document(placed.order_key)
        assert isinstance(found.record, PlanningSchedule)
        assert (found.revision, found.record.items[0].schedules[0].quantity) == (2, Decimal(80))

    def test_a_document_that_is_not_there_is_permanent(self, erp: ErpPort):
        with pytest.raises(Permanent, match="unknown_document"):
            erp.document("no such document")

    # -- documents, once

    @pytest.mark.parametrize("make", ["acknowledgment", "ship_notice", "invoice", "inventory_advice"])
    def test_a_document_arrives_and_can_be_found(self, erp: ErpPort, other_side: Counterpart, make: str):
        submission = _MAKERS[make](other_side.release())
        assert erp.find(submission.kind, submission.key) is None

        submitted = erp.submit(submission)

        assert submitted.state == "done"
        assert not submitted.replayed
        assert submitted.erp_ref is not None
        assert erp.find(submission.kind, submission.key) == submitted.erp_ref
        assert erp.outcome(submission.kind, submission.key).state == "done"
        assert other_side.applications(submission.key) == 1

    @pytest.mark.parametrize("make", ["invoice", "inventory_advice"])
    def test_a_document_that_does_not_say_whose_it_is_arrives_all_the_same(
        self, erp: ErpPort, other_side: Counterpart, make: str
    ):
        submission = replace(_MAKERS[make](other_side.release()), company="")
        assert erp.submit(submission).state == "done"
        assert other_side.applications(submission.key) == 1

    def test_documents_of_two_kinds_with_one_number_are_two(self, erp: ErpPort, other_side: Counterpart):
        placed = other_side.release()
        bill, stock = invoice(placed), inventory_advice(placed)
        erp.submit(bill)
        erp.submit(stock)
        assert [other_side.applications(one.key) for one in (bill, stock)] == [1, 1]
        assert erp.find(bill.kind, stock.key) is None

    def test_an_invoice_twice_is_one_effect(self, erp: ErpPort, other_side: Counterpart):
        submission = invoice(other_side.release())
        assert [erp.submit(submission).replayed for _ in range(2)] == [False, True]
        assert other_side.applications(submission.key) == 1

    def test_submitting_twice_is_one_effect(self, erp: ErpPort, other_side: Counterpart):
        submission = ship_notice(other_side.release(), "60")
        first, second = erp.submit(submission), erp.submit(submission)
        assert second == Submitted(state="done", erp_ref=first.erp_ref, replayed=True)
        assert other_side.applications(submission.key) == 1

    def test_eight_at_once_with_one_key_are_one_effect(self, erp: ErpPort, other_side: Counterpart):
        submission = ship_notice(other_side.release(), "60")
        with ThreadPoolExecutor(8) as workers:
            answers = list(workers.map(erp.submit, [submission] * 8))
        assert sorted(answer.replayed for answer in answers) == [False] + [True] * 7
        assert other_side.applications(submission.key) == 1

    def test_a_key_does_not_serve_a_second_content(self, erp: ErpPort, other_side: Counterpart):
        placed = other_side.release()
        first = ship_notice(placed, "60")
        erp.submit(first)
        with pytest.raises(NeedsHuman):
            erp.submit(ship_notice(placed, "40", key=first.key))
        assert other_side.applications(first.key) == 1

    # -- in doubt

    @pytest.mark.parametrize("fault", ["lose_answer", "late_500", "garbage"])
    def test_a_document_whose_answer_is_no_use_is_found(self, erp: ErpPort, other_side: Counterpart, fault: str):
        submission = acknowledgment(other_side.release())
        other_side.misbehave(fault, routes=["submit"])
        with pytest.raises(InDoubt):
            erp.submit(submission)
        assert erp.find(submission.kind, submission.key) is not None
        assert other_side.applications(submission.key) == 1

    @pytest.mark.parametrize("fault", ["error_500", "down"])
    def test_a_document_that_got_nowhere_is_not_found_and_sent_again(
        self, erp: ErpPort, other_side: Counterpart, fault: str
    ):
        submission = acknowledgment(other_side.release())
        other_side.misbehave(fault, routes=["submit"])
        with pytest.raises(InDoubt):
            erp.submit(submission)
        assert erp.find(submission.kind, submission.key) is None
        assert not erp.submit(submission).replayed
        assert other_side.applications(submission.key) == 1

    def test_a_slow_write_that_lands_after_its_repeat_changes_nothing(
        self, erp: ErpPort, other_side: Counterpart, connect: Connect
    ):
        hasty = connect(other_side, read_timeout_s=0.2)
        submission = ship_notice(other_side.release(), "60")
        other_side.misbehave("slow", routes=["submit"], seconds=0.6)
        with pytest.raises(InDoubt):
            hasty.submit(submission)
        erp.submit(submission)
        eventually(lambda: len(other_side.requests(submission.key)) == 2)
        assert other_side.applications(submission.key) == 1

    @pytest.mark.parametrize("fault", ["lose_answer", "late_500", "garbage", "error_500", "down"])
    def test_the_same_trouble_with_a_read_is_transient(self, erp: ErpPort, other_side: Counterpart, fault: str):
        placed = other_side.release()
        other_side.misbehave(fault, routes=["load"])
        with pytest.raises(Transient):
            erp.load(placed.order_key)
        assert erp.load(placed.order_key).record.number == placed.number

    def test_a_lookup_that_gets_no_answer_is_not_a_no(self, erp: ErpPort, other_side: Counterpart):
        submission = acknowledgment(other_side.release())
        erp.submit(submission)
        other_side.misbehave("error_500", routes=["find"])
        with pytest.raises(Transient):
            erp.find(submission.kind, submission.key)

    # -- refusals

    def test_a_busy_erp_says_how_long_to_wait(self, erp: ErpPort, other_side: Counterpart):
        submission = acknowledgment(other_side.release())
        other_side.misbehave("busy_429", routes=["submit"], seconds=7)
        with pytest.raises(Transient) as later:
            erp.submit(submission)
        assert later.value.retry_after_s == 7
        assert erp.find(submission.kind, submission.key) is None

    def test_a_refusal_speaks_in_the_erps_own_words(self, erp: ErpPort, other_side: Counterpart):
        submission = acknowledgment(other_side.release())
        other_side.misbehave("reject", routes=["submit"])
        with pytest.raises(Permanent, match="Posting period 10 is closed"):
            erp.submit(submission)

    def test_an_answer_to_an_older_revision_needs_a_person(self, erp: ErpPort, other_side: Counterpart):
        placed = other_side.release()
        other_side.change(placed, "80")
        with pytest.raises(NeedsHuman, match="revision 1 is answered, it stands at 2"):
            erp.submit(acknowledgment(placed, revision=1))
        assert erp.submit(acknowledgment(placed, revision=2)).state == "done"

    def test_more_than_ordered_needs_a_person_and_leaves_nothing_behind(self, erp: ErpPort, other_side: Counterpart):
        placed = other_side.release("100")
        erp.submit(ship_notice(placed, "60"))
        too_much = ship_notice(placed, "40.5")
        with pytest.raises(NeedsHuman, match=r"line 10: 100\.5 shipped in all, 100 ordered"):
            erp.submit(too_much)
        assert erp.find(too_much.kind, too_much.key) is None
        assert erp.submit(ship_notice(placed, "40")).state == "done"

    def test_an_answer_to_a_closed_order_needs_a_person(self, erp: ErpPort, other_side: Counterpart):
        placed = other_side.release()
        other_side.close_order(placed)
        with pytest.raises(NeedsHuman, match="closed"):
            erp.submit(ship_notice(placed, "1"))

    def test_a_cancellation_can_be_acknowledged_but_not_shipped(self, erp: ErpPort, other_side: Counterpart):
        placed = other_side.release()
        other_side.cancel(placed)
        assert erp.submit(acknowledgment(placed, revision=2)).state == "done"
        with pytest.raises(NeedsHuman, match="cancelled"):
            erp.submit(ship_notice(placed, "1", revision=2))

    def test_an_order_the_erp_does_not_know_is_permanent(self, erp: ErpPort, other_side: Counterpart):
        placed = other_side.release()
        stranger = Placed(placed.order_key, placed.company, placed.supplier_number, "no such order")
        with pytest.raises(Permanent, match="unknown_order"):
            erp.submit(acknowledgment(stranger))
        with pytest.raises(Permanent):
            erp.load("no such order")

    def test_an_order_of_another_supplier_is_as_unknown(self, erp: ErpPort, other_side: Counterpart):
        placed = other_side.release()
        with pytest.raises(Permanent, match="unknown_order"):
            erp.submit(acknowledgment(Placed(placed.order_key, placed.company, "S-999", placed.number)))

    def test_a_line_that_was_never_ordered_is_permanent(self, erp: ErpPort, other_side: Counterpart):
        with pytest.raises(Permanent, match="no line 30"):
            erp.submit(ship_notice(other_side.release(), "1", line="30"))

    # -- corrections

    def test_a_replacing_ship_notice_takes_the_place_of_the_first(self, erp: ErpPort, other_side: Counterpart):
        placed = other_side.release("100")
        erp.submit(ship_notice(placed, "90", shipment="SHIP-7"))
        erp.submit(ship_notice(placed, "70", shipment="SHIP-7", purpose=Purpose.REPLACE))
        assert erp.submit(ship_notice(placed, "30", shipment="SHIP-8")).state == "done"
        with pytest.raises(NeedsHuman):
            erp.submit(ship_notice(placed, "1", shipment="SHIP-9"))

    def test_a_cancelled_ship_notice_gives_its_quantities_back(self, erp: ErpPort, other_side: Counterpart):
        if not erp.capabilities().cancel_ship_notice:
            pytest.skip("declared as a degradation of this ERP")
        placed = other_side.release("100")
        erp.submit(ship_notice(placed, "100", shipment="SHIP-1"))
        erp.submit(ship_notice(placed, "100", shipment="SHIP-1", purpose=Purpose.CANCEL))
        assert erp.submit(ship_notice(placed, "100", shipment="SHIP-2")).state == "done"

    # -- accepted is not done

    def test_a_pending_document_is_done_once_it_is_posted(self, erp: ErpPort, other_side: Counterpart):
        submission = acknowledgment(other_side.release())
        other_side.misbehave("later", routes=["submit"])
        assert erp.submit(submission).state == "pending"
        assert erp.outcome(submission.kind, submission.key).state == "pending"
        with pytest.raises(Transient):
            erp.find(submission.kind, submission.key)
        assert erp.submit(submission) == Submitted(
            state="pending", erp_ref=erp.outcome(submission.kind, submission.key).erp_ref, replayed=True
        )

        other_side.post_pending()

        assert erp.outcome(submission.kind, submission.key).state == "done"
        assert erp.find(submission.kind, submission.key) is not None
        assert other_side.applications(submission.key) == 1

    def test_a_pending_document_may_be_refused_with_reasons(self, erp: ErpPort, other_side: Counterpart):
        placed = other_side.release("100")
        submission = ship_notice(placed, "120")
        other_side.misbehave("later", routes=["submit"])
        erp.submit(submission)
        other_side.post_pending()

        outcome = erp.outcome(submission.kind, submission.key)

        assert (outcome.state, outcome.lines) == ("refused", (("10", "120 shipped in all, 100 ordered"),))
        for again in (lambda: erp.find(submission.kind, submission.key), lambda: erp.submit(submission)):
            with pytest.raises(Permanent, match="line 10: 120 shipped in all"):
                again()
        assert other_side.applications(submission.key) == 0
        assert erp.submit(ship_notice(placed, "100")).state == "done", "what was refused still counts as shipped"

    def test_there_is_no_outcome_of_a_document_that_never_came(self, erp: ErpPort, other_side: Counterpart):
        with pytest.raises(Permanent):
            erp.outcome("acknowledgment", "never sent")

    # -- reconciliation

    def test_a_snapshot_names_every_order_once_over_its_pages(self, erp: ErpPort, other_side: Counterpart):
        placed = [other_side.release() for _ in range(erp.capabilities().max_page + 1)]
        ack, notice = acknowledgment(placed[0]), ship_notice(placed[0], "5")
        erp.submit(ack)
        erp.submit(notice)
        other_side.close_order(placed[1])

        facts = _whole_snapshot(erp)

        keys = [fact.order_key for fact in facts]
        assert len(keys) == len(set(keys))
        assert {order.order_key for order in placed} <= set(keys)
        by_key = {fact.order_key: fact for fact in facts}
        first = by_key[placed[0].order_key]
        assert (first.acknowledged_keys, first.shipped_keys) == ((ack.key,), (notice.key,))
        assert first.open
        assert not by_key[placed[1].order_key].open

    # -- the connection

    def test_a_wrong_token_stops_the_connection(self, other_side: Counterpart, connect: Connect):
        stranger = connect(other_side, token="guessed")
        with pytest.raises(AuthFailed):
            stranger.changes(1)
        with pytest.raises(AuthFailed):
            stranger.submit(acknowledgment(other_side.release()))

    def test_nothing_is_lost_or_doubled_when_the_erp_is_killed(self, own_other_side: Counterpart, connect: Connect):
        erp = connect(own_other_side)
        placed = own_other_side.release("100")
        [change] = _changes(erp, placed)
        kept = acknowledgment(placed)
        erp.submit(kept)

        own_other_side.kill()
        with pytest.raises(Transient):  # refused: nothing was sent, so not even a write is in doubt
            erp.submit(ship_notice(placed, "10"))
        own_other_side.start()

        assert _changes(erp, placed) == [change]
        assert erp.find(kept.kind, kept.key) is not None
        assert own_other_side.applications(kept.key) == 1

    def test_a_kill_amid_writes_leaves_each_of_them_done_or_not_there(
        self, own_other_side: Counterpart, connect: Connect
    ):
        erp = connect(own_other_side)
        submissions = [ship_notice(own_other_side.release("100"), "60") for _ in range(40)]
        some_are_through = threading.Event()
        landed = count(1)

        def deliver_once(submission: Submission) -> bool:
            try:
                erp.submit(submission)
            except (InDoubt, Transient):
                return False
            if next(landed) == 10:
                some_are_through.set()
            return True

        with ThreadPoolExecutor(4) as workers:
            answers = workers.map(deliver_once, submissions)
            assert some_are_through.wait(20)
            own_other_side.kill()
            answered = list(answers)
        own_other_side.start()

        for submission, was_answered in zip(submissions, answered, strict=True):
            found = erp.find(submission.kind, submission.key)
            assert found is not None or not was_answered, "an answered write is gone"
            if found is None:
                erp.submit(submission)
        assert [own_other_side.applications(submission.key) for submission in submissions] == [1] * 40

    def test_find_first_makes_forty_documents_forty_effects_through_every_fault(
        self, own_other_side: Counterpart, connect: Connect
    ):
        erp = connect(own_other_side)
        submissions = [ship_notice(own_other_side.release("100"), "60") for _ in range(20)]
        submissions += [acknowledgment(own_other_side.release()) for _ in range(10)]
        submissions += [invoice(own_other_side.release()) for _ in range(10)]
        for seed, fault in enumerate(("lose_answer", "late_500", "garbage", "error_500", "down")):
            own_other_side.misbehave(fault, count=None, probability=0.1, seed=seed)

        attempts = sum(_deliver(erp, submission) for submission in submissions)

        assert attempts > 40, "no fault happened: the test proves nothing"
        assert [own_other_side.applications(submission.key) for submission in submissions] == [1] * 40


def acknowledgment(placed: Placed, *, revision: int | None = 1, key: str | None = None) -> Submission:
    record = OrderAcknowledgment(
        order_number=placed.number, order_revision=revision, disposition=Disposition.ACCEPTED, seller_reference="SO-1"
    )
    return Submission(
        key=key or f"erp1:ack:{uuid4()}",
        company=placed.company,
        supplier_number=placed.supplier_number,
        record=record,
    )


def ship_notice(
    placed: Placed,
    quantity: str = "60",
    *,
    revision: int | None = 1,
    line: str = "10",
    shipment: str = "SHIP-1",
    purpose: Purpose = Purpose.ORIGINAL,
    key: str | None = None,
) -> Submission:
    item = ShippedItem(
        order_number=placed.number, order_line=line, order_revision=revision, quantity=Decimal(quantity), unit="EA"
    )
    # The shipment number is the supplier's; with the order in it, tests that share an ERP do not meet.
    record = ShipNotice(shipment_number=f"{shipment}/{placed.number}", purpose=purpose, items=(item,))
    return Submission(
        key=key or f"erp1:notice:{uuid4()}",
        company=placed.company,
        supplier_number=placed.supplier_number,
        record=record,
    )


def invoice(placed: Placed) -> Submission:
    record = Invoice(number=f"INV/{placed.number}", invoiced_on=date(2026, 11, 20), order_number=placed.number)
    return Submission(
        key=f"erp1:invoice:{uuid4()}",
        company=placed.company,
        supplier_number=placed.supplier_number,
        record=record,
    )


def inventory_advice(placed: Placed) -> Submission:
    item = InventoryItem(quantities=(StockQuantity(kind="on_hand", quantity=Decimal(7), unit="EA"),))
    return Submission(
        key=f"erp1:stock:{uuid4()}",
        company=placed.company,
        supplier_number=placed.supplier_number,
        record=InventoryAdvice(number=f"INV/{placed.number}", items=(item,)),
    )


def schedule(number: str, *, quantity: str = "120") -> PlanningSchedule:
    planned = PlannedQuantity(quantity=Decimal(quantity), certainty="firm", bucket="week", on=date(2026, 12, 7))
    part = ProductId(kind="buyer_part", value="VALVE-7")
    return PlanningSchedule(number=number, items=(PlannedItem(product_ids=(part,), unit="EA", schedules=(planned,)),))


_MAKERS: dict[str, Callable[[Placed], Submission]] = {
    "acknowledgment": acknowledgment,
    "ship_notice": ship_notice,
    "invoice": invoice,
    "inventory_advice": inventory_advice,
}


def eventually(happened: Callable[[], bool], limit_s: float = 20.0) -> None:
    """Look again until it has happened; fail when the limit is over."""
    deadline = time.monotonic() + limit_s
    while not happened():
        assert time.monotonic() < deadline, "it never happened"


def _changes(erp: ErpPort, placed: Placed) -> list[Any]:
    return [change for change in erp.changes(1000) if change.order_key == placed.order_key]


def _whole_snapshot(erp: ErpPort) -> list[OrderFact]:
    facts: list[OrderFact] = []
    for page in count():
        found = erp.snapshot(page)
        assert len(found) <= erp.capabilities().max_page
        if not found:
            return facts
        facts += found
    return facts


def _deliver(erp: ErpPort, submission: Submission) -> int:
    """What a relay does, without the waiting: how many tries it took."""
    in_doubt = False
    for tries in count(1):
        try:
            if in_doubt and erp.find(submission.kind, submission.key) is not None:
                return tries
            erp.submit(submission)
        except InDoubt:
            in_doubt = True
        except Transient:
            assert tries < 100
        else:
            return tries
    raise AssertionError("never delivered")
