"""Order changes on their way: where 860 is agreed a new revision leaves as one, and the 865 that answers it comes to the ERP."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from edi_maps import canonical, x12
from edi_maps.canonical import LineAction, PurchaseOrderChange
from gateway.models import Delivery, Document, ExceptionCase, Order, OrderLine
from gateway.pipeline import decide, escalate
from partners import onboarding
from tests.gateway.erp.contract import Placed
from tests.gateway.erp.counterpart import order_record
from tests.gateway.pipeline.conftest import poll_erp

pytestmark = pytest.mark.django_db

CHANGES = [
    {"document": "purchase_order_change", "direction": "outbound", "channel": "as2", "format": "x12"},
    {"document": "change_acknowledgment", "direction": "inbound", "channel": "as2", "format": "x12"},
]


@pytest.fixture
def order(connection, erp, acme, drain) -> Placed:
    """An order ACME has received over AS2; changes are agreed as 860 and answered as 865."""
    onboarding.set_up({"code": "ACME", "agreements": CHANGES})
    placed: Placed = erp.release()
    poll_erp()
    drain()
    return placed


def change(erp: Any, order: Placed, *lines: dict[str, Any]) -> None:
    """The buyer puts the order so in the ERP; what a line does not say is as it was."""
    record = order_record(order.number)
    before = {line["line_number"]: line for line in record["lines"]}  # type: ignore[attr-defined]  # the order's own JSON
    record["lines"] = [{**before.get(line["line_number"], before["10"]), **line} for line in lines]
    erp.admin("POST", f"orders/{order.order_key}/change", {"record": record})
    poll_erp()


def of_erp() -> Delivery:
    """The newest delivery to the ERP."""
    return Delivery.objects.filter(kind="erp").order_by("pk").reverse()[0]


def sent() -> list[Document]:
    return list(Document.objects.filter(direction="outbound", code__startswith="8").order_by("pk"))


def on_the_wire(document: Document) -> list[str]:
    assert document.transmission is not None
    assert document.transmission.payload is not None
    [transaction_set] = x12.read(document.transmission.payload.content)[0].groups[0].sets
    return [segment.raw for segment in transaction_set.segments]


def interchange(code: str, group: str, *body: str, control: int) -> bytes:
    return "~".join(
        [
            f"ISA*00*          *00*          *ZZ*ACMEEDI        *ZZ*PLANTEDI       *261120*1012*U*00401*{control:09d}*0*P*>",
            f"GS*{group}*ACMEEDI*PLANTEDI*20261120*1012*{control}*X*004010",
            f"ST*{code}*0001",
            *body,
            f"SE*{len(body) + 2}*0001",
            f"GE*1*{control}",
            f"IEA*1*{control:09d}~",
        ]
    ).encode()


def acceptance(order: Placed) -> bytes:
    return interchange("855", "PR", f"BAK*00*AT*{order.number}*20261120", "CTT*0", control=1)


def answer(order: Placed, disposition: str, *lines: str) -> bytes:
    bca = f"BCA*00*{disposition}*{order.number}**2*20261120"
    return interchange("865", "CA", bca, *lines, "CTT*0", control=2)


class TestChangesLeave:
    def test_a_change_leaves_as_an_860_with_the_changed_line_alone(self, order, erp):
        change(erp, order, {"line_number": "10", "quantity": "120"}, {"line_number": "20"})
        first, second = sent()
        assert [(one.code, one.group_code, one.type) for one in (first, second)] == [
            ("850", "PO", "purchase_order"),
            ("860", "PC", "purchase_order_change"),
        ]
        bch, *rest = on_the_wire(second)[1:]
        assert bch.startswith(f"BCH*04*SA*{order.number}**2*")
        assert "REF*YB*2" in rest
        assert [one for one in rest if one.startswith("POC")] == ["POC*10*QI*120*120*EA*9.95**BP*VALVE-7"]

    def test_what_is_kept_of_it_is_what_it_says(self, order, erp):
        change(erp, order, {"line_number": "10", "unit_price": "9.90"}, {"line_number": "20"})
        record = canonical.load(sent()[-1].record)
        assert isinstance(record, PurchaseOrderChange)
        assert [(line.line_number, line.action) for line in record.lines] == [("10", LineAction.CHANGE_PRICE)]

    def test_a_line_more_and_a_line_less(self, order, erp):
        change(erp, order, {"line_number": "10"}, {"line_number": "30", "quantity": "7"})
        lines = [one for one in on_the_wire(sent()[-1]) if one.startswith("POC")]
        assert lines == ["POC*30*AI*7*7*EA*9.95**BP*VALVE-7", "POC*20*DI*0*0*EA***BP*VALVE-7"]

    def test_a_cancellation_is_an_860_without_lines(self, order, erp):
        erp.cancel(order)
        poll_erp()
        wire = on_the_wire(sent()[-1])
        assert wire[1].startswith(f"BCH*01*SA*{order.number}**2*")
        assert not [one for one in wire if one.startswith("POC")]

    def test_without_an_agreement_for_changes_the_whole_order_leaves_again(self, connection, erp, acme):
        placed = erp.release()
        poll_erp()
        erp.change(placed, "120")
        poll_erp()
        assert [(one.code, one.record["purpose"]) for one in sent()] == [("850", "original"), ("850", "replace")]

    def test_an_order_the_supplier_could_not_read_is_sent_whole_at_its_next_change(self, order, erp):
        Document.objects.filter(code="850").update(acknowledged="rejected")
        erp.change(order, "120")
        poll_erp()
        assert [one.code for one in sent()] == ["850", "850"]

    def test_an_order_whose_delivery_was_given_up_is_sent_whole_at_its_next_change(
        self, connection, erp, acme, supplier, drain
    ):
        onboarding.set_up({"code": "ACME", "agreements": CHANGES})
        supplier.answer = lambda headers, body: (403, {}, b"")
        placed = erp.release()
        poll_erp()
        drain()
        escalate.sweep(now=timezone.now())
        decide.close(ExceptionCase.objects.get(), actor="ann", note="sent by mail")
        erp.change(placed, "120")
        poll_erp()
        assert [one.code for one in sent()] == ["850", "850"]

    def test_a_change_that_is_held_is_told_with_the_next_one(self, order, erp):
        onboarding.set_up({"code": "ACME", "state": "suspended"})
        change(erp, order, {"line_number": "10", "quantity": "120"}, {"line_number": "20"})
        decide.discard(ExceptionCase.objects.get(), actor="ann")
        onboarding.set_up({"code": "ACME", "state": "live"})
        change(erp, order, {"line_number": "10", "quantity": "120"}, {"line_number": "20", "quantity": "6"})
        lines = [one for one in on_the_wire(sent()[-1]) if one.startswith("POC")]
        assert lines == ["POC*10*QI*120*120*EA*9.95**BP*VALVE-7", "POC*20*QI*6*6*EA*9.95**BP*VALVE-7"]

    def test_a_change_a_person_lets_go_leaves_as_an_860(self, order, erp):
        onboarding.set_up({"code": "ACME", "state": "suspended"})
        change(erp, order, {"line_number": "10", "quantity": "120"}, {"line_number": "20"})
        onboarding.set_up({"code": "ACME", "state": "live"})
        decide.replay(ExceptionCase.objects.get(), actor="ann")
        assert [one.code for one in sent()] == ["850", "860"]


class TestAnswersCome:
    @pytest.fixture
    def changed(self, order: Placed, erp: Any, acme: Any, take: Any, drain: Any) -> Placed:
        """ACME has accepted the order by an 855; then the buyer wants more of line 10."""
        take(acceptance(order), partner=acme, message_id="855")
        drain()
        change(erp, order, {"line_number": "10", "quantity": "120"}, {"line_number": "20"})
        drain()
        return order

    def test_a_change_that_is_accepted_line_by_line_reaches_the_erp_without_a_person(
        self, changed, erp, acme, take, drain
    ):
        take(answer(changed, "AC", "POC*10*QI*120*120*EA*9.95**BP*VALVE-7", "ACK*IA*120*EA"), partner=acme)
        drain()
        document = Document.objects.get(type="change_acknowledgment")
        assert (document.code, document.group_code, document.state) == ("865", "CA", "relayed")
        assert erp.applications(of_erp().key) == 1
        assert [line.confirmed for line in OrderLine.objects.order_by("line_number")] == [120, Decimal("5.5")]
        assert Order.objects.get().acknowledged_revision == 2
        assert not ExceptionCase.objects.exists()

    def test_a_change_that_is_accepted_as_a_whole_needs_no_lines(self, changed, erp, acme, take, drain):
        take(answer(changed, "AT"), partner=acme)
        drain()
        assert erp.applications(of_erp().key) == 1
        assert OrderLine.objects.get(line_number="10").confirmed == 120

    def test_another_quantity_waits_for_a_person_and_goes_on_when_accepted(self, changed, erp, acme, take, drain):
        take(answer(changed, "AC", "POC*10*QI*120*120*EA", "ACK*IQ*110*EA"), partner=acme)
        drain()
        case = ExceptionCase.objects.get()
        assert case.reason == "acknowledgment_differs"
        decide.accept(case, actor="ann")
        drain()
        assert erp.applications(of_erp().key) == 1
        assert OrderLine.objects.get(line_number="10").confirmed == 110

    def test_a_rejected_change_waits_for_a_person(self, changed, acme, take, drain):
        take(answer(changed, "RJ"), partner=acme)
        drain()
        case = ExceptionCase.objects.get()
        assert "rejects the change as a whole" in case.summary
        assert OrderLine.objects.get(line_number="10").confirmed == 100
        assert Delivery.objects.filter(kind="erp").count() == 1  # of the 855

    def test_received_is_passed_on_and_decides_nothing(self, changed, acme, take, drain):
        take(answer(changed, "AK"), partner=acme)
        drain()
        assert Document.objects.get(type="change_acknowledgment").state == "relayed"
        assert Order.objects.get().acknowledged_revision == 1
        assert not ExceptionCase.objects.exists()

    def test_an_answer_to_the_change_before_the_last_is_out_of_date(self, changed, erp, acme, take, drain):
        change(erp, changed, {"line_number": "10", "quantity": "130"}, {"line_number": "20"})
        take(answer(changed, "AT"), partner=acme)
        drain()
        assert ExceptionCase.objects.get().reason == "acknowledgment_stale"

    def test_a_cancellation_the_supplier_accepts_reaches_the_erp(self, order, erp, acme, take, drain):
        erp.cancel(order)
        poll_erp()
        drain()
        take(answer(order, "AT"), partner=acme)
        drain()
        assert erp.applications(of_erp().key) == 1
        assert not ExceptionCase.objects.exists()

    def test_without_an_agreement_an_865_is_refused(self, connection, erp, acme, take, drain):
        placed = erp.release()
        poll_erp()
        take(answer(placed, "AT"), partner=acme)
        drain()
        assert ExceptionCase.objects.get().reason == "no_agreement"
