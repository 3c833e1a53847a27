"""Planning schedules, shipping schedules and inventory advices: what a pair of fixture and record does not show."""

from datetime import date, time
from decimal import Decimal

import pytest

from edi_maps.canonical import (
    CalledOffItem,
    CalledOffQuantity,
    DeliveryPattern,
    InventoryAdvice,
    InventoryItem,
    PlannedItem,
    PlannedQuantity,
    PlanningSchedule,
    ProductId,
    Reference,
    ShippingSchedule,
    StockQuantity,
    TimedQuantity,
    dump,
    load,
)
from edi_maps.findings import Verdict
from edi_maps.x12 import read
from edi_maps.x12.records import segments
from edi_maps.x12.structure import code_meaning
from tests.services import CORPUS, need

from .documents import codes, document

FORECAST = "BFR*00*FC-1**DL*A*20261130*20270131*20261127"
CALL_OFF = "BSS*00*SS-1*20261130*DL*20261201*20261203"
STOCK = "BIA*00*SI*INV-1*20261130"
PART = (ProductId(kind="buyer_part", value="1042-77"),)


def read_set(code, *body):
    [interchange] = read(document(*body, code=code))
    [transaction_set] = interchange.groups[0].sets
    return transaction_set


def item_of(code, beginning, *body):
    transaction_set = read_set(code, beginning, "LIN**BP*1042-77", *body, "CTT*1")
    [item] = transaction_set.record.items
    return item


class TestPlanningSchedules:
    @pytest.mark.parametrize(
        ("numbers", "business_number"), [("FC-1*REL-2", "FC-1"), ("*REL-2", "REL-2"), ("FC-1*", "FC-1"), ("*", "")]
    )
    def test_people_call_it_by_its_number_or_else_its_release(self, numbers, business_number):
        read_here = read_set("830", f"BFR*00*{numbers}*DL*A*20261130*20270131*20261127", "LIN**BP*A1", "CTT*1")
        assert read_here.verdict is Verdict.ACCEPTED
        assert read_here.record.business_number == business_number

    def test_quantities_of_all_patterns_are_found_together(self):
        item = item_of(
            "830", FORECAST, "FST*5*C*D*20261130", "SDP*A*D", "FST*.5*D*W*20261207", "SDP*Y*Y", "FST*7*D*W*20261214"
        )
        assert [one.quantity for one in item.all_schedules] == [Decimal(5), Decimal("0.5"), Decimal(7)]
        assert [(pattern.days, len(pattern.schedules)) for pattern in item.patterns] == [
            ("monday_to_friday", 1),
            ("none", 1),
        ]

    def test_the_order_stands_among_the_identifiers_of_the_item_and_goes_back_there(self):
        [item] = read_set("830", FORECAST, "LIN*1*PO*BPO-8*BP*A1*PL*10*VN*V1", "CTT*1").record.items
        assert (item.order_number, item.order_line) == ("BPO-8", "10")
        assert [one.kind for one in item.product_ids] == ["buyer_part", "vendor_part"]
        record = PlanningSchedule(
            basis="delivery", starts_on=date(2026, 11, 30), issued_on=date(2026, 11, 27), items=(item,)
        )
        assert segments(record, "004010")[2][1] == ["LIN", "1", "BP", "A1", "VN", "V1", "PO", "BPO-8", "PL", "10"]

    def test_codes_without_a_name_stay_as_they_were_sent(self):
        schedule = item_of("830", FORECAST, "FST*5*G*X*20261130").schedules[0]
        assert (schedule.certainty, schedule.bucket) == ("G", "X")

    def test_a_reference_number_without_its_kind_is_kept_apart(self):
        transaction_set = read_set("830", FORECAST, "LIN**BP*A1", "FST*5*C*D*20261130*****DO-1", "CTT*1")
        [schedule] = transaction_set.record.items[0].schedules
        assert (schedule.reference, schedule.extra) == (None, {"FST09": "DO-1"})
        assert load(dump(transaction_set.record)) == transaction_set.record

    @pytest.mark.parametrize(
        ("changes", "named"),
        [
            ({"basis": None}, "basis is needed for BFR04"),
            ({"issued_on": None}, "issued_on is needed for BFR08"),
            ({"items": (PlannedItem(line_number="1"),)}, "items.0.product_ids is needed for LIN02"),
            (
                {"items": (PlannedItem(product_ids=PART, schedules=(PlannedQuantity(quantity=Decimal(5)),)),)},
                "items.0.schedules.0.certainty is needed for FST02",
            ),
        ],
    )
    def test_what_a_planning_schedule_must_say_is_named_when_it_is_not_said(self, changes, named):
        record = PlanningSchedule(
            number="FC-1", basis="delivery", starts_on=date(2026, 11, 30), issued_on=date(2026, 11, 27)
        )
        with pytest.raises(ValueError, match=named):
            segments(record.model_copy(update=changes), "004010")

    def test_certainty_and_period_are_told_in_words(self):
        assert code_meaning("FST", 2, "C") == "firm"
        assert code_meaning("FST", 3, "W") == "in this week"


class TestShippingSchedules:
    def test_parts_of_a_day_have_their_hour_and_their_references(self):
        [schedule] = item_of(
            "862", CALL_OFF, "UIT*EA", "FST*9*C*D*20261201", "JIT*4*0600", "REF*DK*D14", "JIT*5*113015"
        ).schedules
        assert schedule.times == (
            TimedQuantity(quantity=Decimal(4), time=time(6), references=(Reference(kind="dock", value="D14"),)),
            TimedQuantity(quantity=Decimal(5), time=time(11, 30, 15)),
        )

    def test_an_hour_that_is_none_is_one_finding_and_kept(self):
        transaction_set = read_set("862", CALL_OFF, "LIN**BP*A1", "UIT*EA", "FST*9*C*D*20261201", "JIT*4*2460", "CTT*1")
        assert codes(transaction_set.findings) == ["element_time"]
        [timed] = transaction_set.record.items[0].schedules[0].times
        assert (timed.quantity, timed.time, timed.extra) == (Decimal(4), None, {"JIT02": "2460"})

    def test_a_second_delivery_pattern_is_kept_and_written_back(self):
        item = item_of("862", CALL_OFF, "UIT*EA", "SDP*A*D*D*E", "SDP*J*A", "FST*9*C*D*20261201")
        assert item.pattern == DeliveryPattern(days="monday_to_friday", shift="morning")
        assert item.extra == {"SDP03": "D", "SDP04": "E", "SDP": [["SDP", "J", "A"]]}
        record = ShippingSchedule(
            number="SS-1",
            basis="delivery",
            issued_on=date(2026, 11, 30),
            starts_on=date(2026, 12, 1),
            ends_on=date(2026, 12, 3),
            items=(item,),
        )
        assert segments(record, "004010")[2][3:5] == [["SDP", "A", "D", "D", "E"], ["SDP", "J", "A"]]

    def test_a_part_of_a_day_without_its_hour_is_not_written(self):
        timed = CalledOffQuantity(
            quantity=Decimal(4),
            certainty="firm",
            bucket="day",
            on=date(2026, 12, 1),
            times=(TimedQuantity(quantity=Decimal(4)),),
        )
        record = ShippingSchedule(
            number="SS-1",
            basis="delivery",
            issued_on=date(2026, 11, 30),
            starts_on=date(2026, 12, 1),
            ends_on=date(2026, 12, 3),
            items=(CalledOffItem(product_ids=PART, schedules=(timed,)),),
        )
        with pytest.raises(ValueError, match=r"items\.0\.schedules\.0\.times\.0\.time is needed for JIT02"):
            segments(record, "004010")

    def test_a_time_of_day_names_no_zone(self):
        with pytest.raises(ValueError, match="a time of day without a zone is wanted"):
            load({"type": "inventory_advice", "number": "INV-1", "reported_at": "18:15:00Z"})


class TestInventoryAdvices:
    def test_a_quantity_may_be_below_nothing(self):
        [stock] = item_of("846", STOCK, "QTY*33*-3*CA").quantities
        assert (stock.kind, stock.quantity, stock.unit) == ("available", Decimal(-3), "CA")

    def test_the_lots_of_one_quantity_lend_it_neither_their_dates_nor_their_places(self):
        lots = ["LS*REF", "REF*LT*L-1", "DTM*036*20281231", "N1*WH*Hall 2", "REF*LT*L-2", "LE*REF"]
        item = item_of("846", STOCK, "QTY*17*50*EA", *lots, "N1*OW*Keld Foods")
        [stock] = item.quantities
        assert stock.dates == {}
        assert [party.role for party in item.parties] == ["OW"]
        record = InventoryAdvice(number="INV-1", kind="seller", reported_on=date(2026, 11, 30), items=(item,))
        assert ["*".join(segment) for segment in segments(record, "004010")[2][3:9]] == lots

    def test_what_an_advice_must_say_is_named_when_it_is_not_said(self):
        item = InventoryItem(product_ids=PART, quantities=(StockQuantity(kind="no such kind"),))
        advice = InventoryAdvice(number="INV-1", reported_on=date(2026, 11, 30), items=(item,))
        with pytest.raises(ValueError, match="kind is needed for BIA02"):
            segments(advice, "004010")
        with pytest.raises(ValueError, match=r"items\.0\.quantities\.0\.kind: 'no such kind' has no code here"):
            segments(advice.model_copy(update={"kind": "seller"}), "004010")


#: Of every sample document what people call it, and of each item how many quantities are wanted. One grocer's names neither
#: number nor release.
SAMPLES = {
    "830": [
        ("", [12]),
        ("0259083902", [6, 1]),
        ("070101", [6]),
        ("501-1", [1]),
        ("PlanningScheduleID", [1]),
        ("REL1", [1]),
    ],
    "862": [("12345", [3]), ("12345", [3]), ("1234567890", [1, 1]), ("REL1", [1]), ("REL1", [2])],
}


@pytest.mark.parametrize(("code", "wanted"), [("830", "all_schedules"), ("862", "schedules")])
def test_every_sample_schedule_of_the_field_gives_its_number_and_its_items(code, wanted):
    need(CORPUS, "no folder of sample documents (GATEWAY_CORPUS)")
    assert CORPUS is not None
    found = []
    for path in sorted((CORPUS / f"x12-{code}").iterdir()):
        for interchange in read(path.read_bytes()):
            for each in (each for group in interchange.groups for each in group.sets):
                assert each.verdict is not None
                record = each.record
                assert isinstance(record, PlanningSchedule | ShippingSchedule)
                assert load(dump(record)) == record
                assert all(item.product_ids for item in record.items)
                found.append((record.business_number, [len(getattr(item, wanted)) for item in record.items]))
    assert sorted(found) == SAMPLES[code]
