"""What documents of the field mean, in the many ways they say it."""

from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from edi_maps.canonical import (
    Carrier,
    Disposition,
    LineStatus,
    Mark,
    Note,
    OrderAcknowledgment,
    OrderLine,
    Package,
    Party,
    ProductId,
    PurchaseOrder,
    PurchaseOrderChange,
    Purpose,
    Reference,
    ShipNotice,
    ShippedItem,
    ShippedOrder,
    dump,
    load,
)
from edi_maps.findings import Severity
from edi_maps.x12 import Loop, read
from edi_maps.x12.map_sheets import sheet
from edi_maps.x12.records import building, segments
from edi_maps.x12.ship_notices import sscc_of, valid_sscc
from tests.services import CORPUS

from .strategies.damage import damaged

GROUPS = {"850": "PO", "855": "PR", "856": "SH"}


def loop(identifier, segments=(), loops=(), level=""):
    """A loop of (position, elements) and of loops."""
    return Loop(identifier, [each for _, each in segments], [at for at, _ in segments], list(loops), level)


def build(tree, code, component=""):
    making = building(code, component)
    return making.finish(tree), making.reader.findings


def transaction_set(code, body, version="004010"):
    """Read a set that is written one segment a line."""
    lines = [line.strip() for line in body.strip().splitlines()]
    text = "~".join(
        [
            f"ISA*00*{'':10}*00*{'':10}*ZZ*{'BOLTCO':15}*ZZ*{'NORTHPLANT':15}*261130*0905*U*{version[:5]}*000000001*0*P*>",
            f"GS*{GROUPS[code]}*BOLTCO*NORTHPLANT*20261130*0905*1*X*{version}",
            f"ST*{code}*0001",
            *lines,
            f"SE*{len(lines) + 2}*0001",
            "GE*1*1",
            "IEA*1*000000001~",
        ]
    )
    [interchange] = read(text.encode())
    return interchange.groups[0].sets[0]


def record_of(code, body, version="004010"):
    record = transaction_set(code, body, version).record
    assert load(dump(record)) == record
    return record


def order(*lines):
    return record_of("850", "\n".join(["BEG*00*SA*PO-1**20261128", *lines]))


def line(*lines):
    return order(*lines).lines[0]


def acknowledgment(*lines, bak="BAK*00*AC*PO-1*20261128"):
    return record_of("855", "\n".join([bak, *lines]))


def notice(*lines, bsn="BSN*00*SHP-1*20261130*1415"):
    return record_of("856", "\n".join([bsn, *lines]))


class TestProductIds:
    @pytest.mark.parametrize(
        ("po1", "ids"),
        [
            ("PO1*1*5*EA*2**VN*V1*BP*B1", [("vendor_part", "V1"), ("buyer_part", "B1")]),
            ("PO1*1*5*EA*2****BP*B1", [("buyer_part", "B1")]),
            ("PO1*1*5*EA*2**UP*012345678905***IB*9780306406157", [("upc", "012345678905"), ("isbn", "9780306406157")]),
            ("PO1*1*5*EA*2**XX*ODD", [("XX", "ODD")]),
            ("PO1*1*5*EA*2**IN*I1*IT*S1", [("buyer_part", "I1"), ("buyer_style", "S1")]),
        ],
    )
    def test_pairs_are_read_in_any_order_and_with_gaps(self, po1, ids):
        assert [(known.kind, known.value) for known in line(po1).product_ids] == ids

    def test_a_value_without_its_qualifier_is_said_and_kept(self):
        po1 = loop("PO1", [(3, ["PO1", "1", "5", "EA", "2", "", "", "B1", "VN", "V1"])])
        record, findings = build(loop("", [(2, ["BEG", "00", "SA", "PO-1", "", "20261128"])], [po1]), "850")
        assert [(found.code, found.position, found.element, found.value) for found in findings] == [
            ("value_unpaired", 3, 7, "B1")
        ]
        assert record.lines[0].product_ids == (ProductId(kind="vendor_part", value="V1"),)
        assert record.lines[0].extra == {"PO107": "B1"}


class TestNumbersAndDates:
    @pytest.mark.parametrize(
        ("sent", "meant"), [("10.0", "10"), ("0008", "8"), (".01", "0.01"), ("1.0000", "1"), ("20.", "20")]
    )
    def test_numbers_come_in_many_shapes(self, sent, meant):
        assert line(f"PO1*1*{sent}*EA").quantity == Decimal(meant)

    @pytest.mark.parametrize(
        ("sent", "meant"),
        [("20261214", date(2026, 12, 14)), ("261214", date(2026, 12, 14)), ("980216", date(1998, 2, 16))],
    )
    def test_dates_have_six_or_eight_digits(self, sent, meant):
        tree = loop("", [(2, ["BEG", "00", "SA", "PO-1", "", sent])])
        assert build(tree, "850")[0].ordered_on == meant

    def test_every_bad_value_is_one_finding_and_the_rest_is_read(self):
        tree = loop(
            "",
            [(2, ["BEG", "00", "SA", "PO-1", "", "20261341"]), (3, ["DTM", "002", "2026-09-24"])],
            [loop("PO1", [(4, ["PO1", "1", "ten", "EA", "1,5", "", "BP", "B1"])])],
        )
        record, findings = build(tree, "850")
        assert [(found.code, found.segment, found.position, found.element, found.value) for found in findings] == [
            ("value_not_date", "BEG", 2, 5, "20261341"),
            ("value_not_date", "DTM", 3, 2, "2026-09-24"),
            ("value_not_number", "PO1", 4, 2, "ten"),
            ("value_not_number", "PO1", 4, 4, "1,5"),
        ]
        assert record.number == "PO-1"
        assert record.lines[0].product_ids == (ProductId(kind="buyer_part", value="B1"),)
        assert record.extra == {"BEG05": "20261341", "DTM": [["DTM", "002", "2026-09-24"]]}
        assert record.lines[0].extra == {"PO102": "ten", "PO104": "1,5"}

    def test_a_bad_value_is_said_once_by_structure_and_meaning_together(self):
        read_set = transaction_set("850", "BEG*00*SA*PO-1**20261341\nPO1*1*ten*EA**CTT*1")
        wrong = [(found.segment, found.element) for found in read_set.findings if found.segment in {"BEG", "PO1"}]
        assert len(wrong) == len(set(wrong))


class TestOrders:
    def test_trailing_blanks_of_padded_elements_mean_nothing(self):
        assert record_of("850", "BEG*00*SA*PO-1   **20261128\nPO1*1*5*EA ").number == "PO-1"

    def test_references_dates_and_notes_repeat_at_header_and_line(self):
        record = order(
            "REF*DP*1",
            "REF*DP*2",
            "DTM*002*20261214",
            "N9*L1*GENERAL",
            "MSG*FIRST",
            "MSG*SECOND",
            "PO1*1*5*EA",
            "REF*ZZ**ONLY WORDS",
            "DTM*010*20261210",
            "N9*AH*SAFETY",
            "MSG*GLOVES",
        )
        assert [reference.value for reference in record.references] == ["1", "2"]
        assert record.notes == (Note(kind="L1", reference="GENERAL", text="FIRST\nSECOND"),)
        assert record.lines[0].references == (Reference(kind="mutual", description="ONLY WORDS"),)
        assert record.lines[0].dates == {"requested_ship": date(2026, 12, 10)}
        assert record.lines[0].notes[0].text == "GLOVES"

    def test_n9_without_text_is_a_reference(self):
        assert order("N9*PO*PO-1", "PO1*1*5*EA").references == (Reference(kind="purchase_order", value="PO-1"),)

    @pytest.mark.parametrize(
        ("version", "text"), [("004010", "MSG*HANDLE WITH CARE"), ("005010", "MTX**HANDLE WITH CARE")]
    )
    def test_text_is_read_from_msg_and_mtx(self, version, text):
        record = record_of("850", f"BEG*00*SA*PO-1**20261128\nN9*L1*X\n{text}\nPO1*1*5*EA", version)
        assert record.notes[0].text == "HANDLE WITH CARE"

    @pytest.mark.parametrize(("version", "segment_id"), [("004010", "MSG"), ("005010", "MTX")])
    def test_text_is_written_as_the_version_has_it(self, version, segment_id):
        record = order("N9*L1*X", "MSG*HANDLE WITH CARE", "PO1*1*5*EA")
        written = [segment[0] for segment in segments(record, version)[2]]
        assert written[written.index("N9") + 1] == segment_id

    def test_the_same_date_twice_keeps_the_first_and_the_second_as_sent(self):
        record = order("DTM*002*20261214", "DTM*002*20270104", "PO1*1*5*EA")
        assert record.dates == {"requested_delivery": date(2026, 12, 14)}
        assert record.extra == {"DTM": [["DTM", "002", "20270104"]]}

    def test_a_date_range_stays_with_its_date(self):
        record = order("DTM*002*20261214*1200**RD8*20261201-20261214", "PO1*1*5*EA")
        assert record.extra == {
            "dates/requested_delivery/DTM03": "1200",
            "dates/requested_delivery/DTM05": "RD8",
            "dates/requested_delivery/DTM06": "20261201-20261214",
        }

    def test_the_revision_is_a_whole_number_in_ref_yb(self):
        record = order("REF*YB*3", "REF*YB*B", "PO1*1*5*EA")
        assert record.revision == 3
        assert record.references == (Reference(kind="order_revision", value="B"),)

    def test_stores_of_one_line_go_over_several_segments(self):
        read_line = line("PO1*1*30*EA", "SDQ*EA*92*0001*10*0002*8", "SDQ*CA*92*0003*1")
        assert [(each.location, each.quantity, each.unit) for each in read_line.destinations] == [
            ("0001", 10, "EA"),
            ("0002", 8, "EA"),
            ("0003", 1, "CA"),
        ]

    def test_the_unit_of_stores_that_are_none_is_kept(self):
        assert line("PO1*1*30*EA", "SDQ*EA*92").extra == {"SDQ01": "EA"}

    def test_an_unknown_purpose_is_other_with_its_code_kept_and_written_back(self):
        record = record_of("850", "BEG*22*NE*PO-1**20261128\nPO1*1*5*EA")
        assert (record.purpose, record.kind) == ("other", "standalone")
        assert record.extra == {"BEG01": "22", "BEG02": "NE"}
        assert segments(record, "004010")[2][0][:3] == ["BEG", "22", "NE"]

    def test_a_changed_purpose_wins_over_the_code_once_sent(self):
        record = record_of("850", "BEG*22*NE*PO-1**20261128\nPO1*1*5*EA").model_copy(
            update={"purpose": Purpose.REPLACE}
        )
        assert segments(record, "004010")[2][0][:3] == ["BEG", "05", "NE"]

    def test_scac_is_taken_only_where_it_is_one(self):
        carrier = order("TD5**92*P3*M*TRUCK", "PO1*1*5*EA").carrier
        assert carrier == Carrier(id="P3", id_type="assigned_by_buyer", mode="motor", routing="TRUCK")
        assert order("TD5**X9*P3*M", "PO1*1*5*EA").extra == {"TD502": "X9", "TD503": "P3"}

    def test_parts_without_a_home_are_kept_and_written_back_in_place(self):
        record = order("CUR*SE*USD*1.1", "TAX*77*SP*OH", "ITD*01", "PO1*1*5*EA", "IT8*N", "CTT*1")
        assert record.extra == {"CUR01": "SE", "CUR03": "1.1", "TAX": [["TAX", "77", "SP", "OH"]]}
        written = segments(record, "004010")[2]
        assert written[1:3] == [["CUR", "SE", "USD", "1.1"], ["TAX", "77", "SP", "OH"]]
        assert ["IT8", "N"] in written

    def test_a_loop_without_a_home_is_kept_whole_and_lends_nothing_to_what_it_stands_in(self):
        sent = [["ADV", "ZZ", "TV"], ["DTM", "007", "20261201"]]
        record = order("N1*ST*DOCK", *("*".join(segment) for segment in sent), "PO1*1*5*EA", "CTT*1")
        assert record.dates == {}
        assert record.extra == {"ADV": sent}
        assert segments(record, "004010")[2][2:4] == sent

    def test_contacts_find_phone_and_mail_in_any_place(self):
        [party] = order("N1*BY*PLANT", "PER*BD*PAT*FX*555*EM*pat@example.com*TE*556", "PO1*1*5*EA").parties
        assert (party.contacts[0].phone, party.contacts[0].email) == ("556", "pat@example.com")

    def test_an_order_without_a_number_is_no_record(self):
        record, findings = build(loop("", [(2, ["BEG", "00", "SA"])]), "850")
        assert record is None
        assert [(found.code, found.segment, found.element) for found in findings] == [("value_missing", "BEG", 3)]

    def test_loops_may_stand_as_plain_segments(self):
        sch = (5, ["SCH", "5", "EA", "", "", "002", "20261214"])
        po1 = loop("PO1", [(3, ["PO1", "1", "5", "EA"]), (4, ["PID", "F", "", "", "", "BOLT"]), sch])
        record, findings = build(loop("", [(0, ["BEG", "00", "SA", "PO-1", "", "20261128"])], [po1]), "850")
        assert findings == []
        assert record.lines[0].description == "BOLT"
        assert record.lines[0].schedules[0].on == date(2026, 12, 14)

    def test_composites_are_kept_apart_and_joined_again(self):
        tree = loop("", [(0, ["BEG", "00", "SA", "PO-1", "", "20261128"]), (0, ["REF", "DP", "1", "", "PD>9"])])
        record = build(tree, "850", ">")[0]
        assert record is not None
        assert record.extra == {"references/0/REF04": ["PD", "9"]}
        assert ["REF", "DP", "1", "", "PD\x1f9"] in segments(record, "004010")[2]


class TestAcknowledgments:
    def test_several_responses_split_one_line(self):
        record = acknowledgment(
            "PO1*10*100*EA*2.5**BP*B1", "ACK*IQ*60*EA*067*20261214", "ACK*IB*40*EA*068*20270104**VP*V9", "CTT*1"
        )
        assert [
            (each.status, each.code, each.quantity, each.date_kind, each.on) for each in record.lines[0].responses
        ] == [
            (LineStatus.QUANTITY_CHANGED, "IQ", 60, "scheduled_delivery", date(2026, 12, 14)),
            (LineStatus.BACKORDERED, "IB", 40, "scheduled_ship", date(2027, 1, 4)),
        ]
        assert record.lines[0].responses[1].product_ids == (ProductId(kind="vendor_part", value="V9"),)

    def test_a_date_may_stand_in_dtm_below_the_response(self):
        [response] = acknowledgment("PO1*10*100*EA", "ACK*IA*100*EA", "DTM*068*20261214").lines[0].responses
        assert (response.date_kind, response.on) == ("scheduled_ship", date(2026, 12, 14))

    def test_an_unknown_status_is_other_with_its_code(self):
        [response] = acknowledgment("PO1*10*100*EA", "ACK*Q9*100*EA").lines[0].responses
        assert (response.status, response.code) == (LineStatus.OTHER, "Q9")

    def test_lines_without_responses_are_accepted_by_an_acceptance(self):
        [response] = acknowledgment("PO1*10*100*EA", bak="BAK*00*AD*PO-1*20261128").lines[0].responses
        assert (response.status, response.code, response.quantity) == (LineStatus.ACCEPTED, None, 100)

    def test_lines_without_responses_mean_nothing_otherwise(self):
        assert acknowledgment("PO1*10*100*EA", bak="BAK*00*AC*PO-1*20261128").lines[0].responses == ()

    @pytest.mark.parametrize(
        ("sent", "meant"),
        [
            ("AK", Disposition.RECEIVED),
            ("RJ", Disposition.REJECTED),
            ("AT", Disposition.ACCEPTED),
            ("ZZ", Disposition.OTHER),
        ],
    )
    def test_a_disposition_needs_no_lines(self, sent, meant):
        record = acknowledgment(bak=f"BAK*00*{sent}*PO-1*20261128")
        assert record.disposition is meant
        assert record.lines == ()

    def test_an_acceptance_with_a_rejected_line_contradicts_itself_and_is_read(self):
        read_set = transaction_set("855", "BAK*00*AD*PO-1*20261128\nPO1*1*5*EA\nACK*IR*5*EA")
        assert [(found.code, found.severity) for found in read_set.findings] == [
            ("response_contradiction", Severity.WARNING)
        ]
        assert read_set.record.lines[0].responses[0].status is LineStatus.REJECTED

    def test_the_revision_answered_stands_in_ref_yb(self):
        assert acknowledgment("REF*YB*2", "PO1*1*5*EA", "ACK*IA*5*EA").order_revision == 2


class TestShipNotices:
    def test_items_know_the_order_above_and_the_package_around_them(self):
        record = notice(
            "HL*1**S",
            "HL*2*1*O",
            "PRF*PO-1*7*2",
            "HL*3*2*T",
            "HL*4*3*P",
            "HL*5*4*I",
            "LIN*10*BP*B1",
            "SN1**5*EA",
            "CTT*5",
        )
        assert [(package.id, package.parent_id, package.level) for package in record.packages] == [
            ("1", None, "tare"),
            ("2", "1", "pack"),
        ]
        [item] = record.items
        assert (item.order_number, item.release_number, item.order_revision, item.order_line) == ("PO-1", "7", 2, "10")
        assert (item.package_id, item.quantity, item.unit) == ("2", 5, "EA")

    def test_hl02_places_a_level_wherever_it_stands(self):
        record = notice(
            "HL*1**S",
            "HL*2*1*O",
            "PRF*PO-1",
            "HL*3*1*O",
            "PRF*PO-2",
            "HL*4*2*I",
            "LIN*1*BP*B1",
            "SN1**5*EA",
            "HL*5*3*I",
            "LIN*1*BP*B2",
            "SN1**6*EA",
        )
        assert [(item.order_number, item.quantity) for item in record.items] == [("PO-1", 5), ("PO-2", 6)]

    def test_a_pallet_may_stand_above_its_orders(self):
        record = notice(
            "HL*1**S", "HL*2*1*T", "HL*3*2*O", "PRF*PO-1", "HL*4*3*I", "LIN*1*BP*B1", "SN1**5*EA", "HL*5*2*O", "PRF*PO-2",
            "HL*6*5*I", "LIN*1*BP*B2", "SN1**6*EA",
        )  # fmt: skip
        assert [(item.order_number, item.package_id) for item in record.items] == [("PO-1", "1"), ("PO-2", "1")]

    def test_packs_may_stand_below_the_item_they_hold(self):
        record = notice(
            "HL*1**S", "HL*2*1*O", "PRF*PO-1", "HL*3*2*I", "LIN*1*BP*B1", "SN1**5*EA", "HL*4*3*P", "MAN*CP*C1", "HL*5*3*P",
            "MAN*CP*C2",
        )  # fmt: skip
        assert record.items[0].package_id == "1"
        assert record.items[0].extra == {"packages": ["2"]}
        assert [package.marks[0].value for package in record.packages] == ["C1", "C2"]

    def test_a_carton_of_one_item_may_name_it_itself(self):
        record = notice(
            "HL*1**S", "HL*2*1*O", "PRF*PO-1", "HL*3*2*P", "LIN*10*UP*012345678905", "SN1**24*EA", "MAN*CP*C1"
        )
        assert [(item.order_number, item.order_line, item.package_id) for item in record.items] == [("PO-1", "10", "1")]

    def test_without_an_order_level_a_reference_names_the_order(self):
        record = notice("HL*1**S", "REF*PO*PO-1", "HL*2*1*I", "LIN*1*BP*B1", "SN1**5*EA")
        assert record.items[0].order_number == "PO-1"

    def test_one_order_level_per_store_keeps_the_stores_apart(self):
        record = notice(
            "HL*1**S", "HL*2*1*O", "PRF*PO-1", "N1*BY*STORE*92*0001", "HL*3*2*I", "LIN*1*BP*B1", "SN1**5*EA", "HL*4*1*O",
            "PRF*PO-1", "N1*BY*STORE*92*0002", "HL*5*4*I", "LIN*1*BP*B1", "SN1**6*EA",
        )  # fmt: skip
        assert [(item.store, item.quantity) for item in record.items] == [("0001", 5), ("0002", 6)]
        assert [order.store for order in record.orders] == ["0001", "0002"]

    @pytest.mark.parametrize(
        "mark",
        [
            "MAN*GM*00106141400000000010",
            "MAN*AA*106141400000000010",
            "MAN*GM*106141400000000010",
            "MAN*GM*(00)106141400000000010",
        ],
    )
    def test_an_sscc_is_eighteen_digits_however_it_is_marked(self, mark):
        [package] = notice("HL*1**S", "HL*2*1*P", mark, "MAN*CP*C1").packages
        assert package.sscc == "106141400000000010"
        assert [each.value for each in package.marks] == ["C1"]

    def test_a_wrong_check_digit_is_a_warning(self):
        read_set = transaction_set("856", "BSN*00*SHP-1*20261130*1415\nHL*1**S\nHL*2*1*P\nMAN*GM*00106141400000000011")
        [found] = [found for found in read_set.findings if found.code == "sscc_check_digit"]
        assert (found.severity, found.segment, found.position) == (Severity.WARNING, "MAN", 5)

    def test_a_mark_that_is_no_sscc_stays_a_mark(self):
        [package] = notice("HL*1**S", "HL*2*1*P", "MAN*GM*1061414000000000", "MAN*CP*0001*0009").packages
        assert package.sscc is None
        assert package.marks == (
            Mark(kind="sscc", value="1061414000000000"),
            Mark(kind="carrier_package", value="0001", last="0009"),
        )

    def test_lots_and_serials_come_from_lin_and_ref(self):
        [item] = notice(
            "HL*1**S",
            "HL*2*1*I",
            "LIN**BP*B1*LT*L1*SN*S1",
            "SN1*10*5*EA",
            "REF*LT*L2",
            "REF*SE*S2",
            "REF*LT*L3*WITH WORDS",
        ).items
        assert (item.lots, item.serials, item.order_line) == (("L1", "L2"), ("S1", "S2"), "10")
        assert item.references == (Reference(kind="lot", value="L3", description="WITH WORDS"),)

    def test_time_is_read_as_utc(self):
        record = notice("HL*1**S", bsn="BSN*00*SHP-1*20261130*14153025")
        assert record.created_at == datetime(2026, 11, 30, 14, 15, 30, 250_000, tzinfo=UTC)

    def test_a_second_mark_of_components_stays_as_it_came(self):
        [package] = notice("HL*1**S", "HL*2*1*P", "MAN*GM*1**CP*1Z>9").packages
        assert [mark.value for mark in package.marks] == ["1"]
        assert package.extra == {"marks/0/MAN04": "CP", "marks/0/MAN05": ["1Z", "9"]}

    def test_a_weight_whose_value_is_refused_is_no_half_weight(self):
        record = notice("HL*1**S", "TD1*CTN*2****G*ten*LB", "HL*2*1*P", "TD1*CTN*1****G**LB", "MAN*GM*1")
        assert record.weight is None
        assert record.packages[0].weight is None

    def test_levels_of_an_unknown_kind_are_kept_where_they_hang(self):
        record = notice("HL*1**S", "HL*2*1*I", "LIN*1*BP*B1", "SN1**5*EA", "HL*3*2*F", "LIN*1*BP*B1-A")
        assert record.items[0].extra == {"HL": [["HL", "3", "2", "F"], ["LIN", "1", "BP", "B1-A"]]}

    def test_a_chain_of_ten_thousand_levels_is_read(self):
        root = here = loop("", [(0, ["BSN", "00", "SHP-1", "20261130", "1415"])])
        for number in range(10_000):
            child = loop("HL", [(0, ["HL", str(number), "", "P"])], level="P")
            here.loops.append(child)
            here = child
        record, _ = build(root, "856")
        assert len(record.packages) == 10_000


class TestWriting:
    def test_packages_of_one_order_stand_below_it_and_mixed_ones_above(self):
        record = ShipNotice(
            shipment_number="SHP-1",
            created_at=datetime(2026, 11, 30, 14, 15, tzinfo=UTC),
            packages=(Package(id="a", level="tare"), Package(id="b", level="pack")),
            items=(
                ShippedItem(order_number="PO-1", package_id="a"),
                ShippedItem(order_number="PO-2", package_id="a"),
                ShippedItem(order_number="PO-2", package_id="b"),
            ),
        )
        levels = [segment[1:4] for segment in segments(record, "004010")[2] if segment[0] == "HL"]
        assert levels == [
            ["1", "", "S"],
            ["2", "1", "T"],
            ["3", "2", "O"],
            ["4", "3", "I"],
            ["5", "2", "O"],
            ["6", "5", "I"],
            ["7", "1", "O"],
            ["8", "7", "P"],
            ["9", "8", "I"],
        ]

    @pytest.mark.parametrize(
        ("packages", "items", "said"),
        [
            ([Package(id="a", parent_id="b"), Package(id="b", parent_id="a")], [], "stands in itself"),
            ([Package(id="a", parent_id="z")], [], "'z' is no package"),
            ([], [ShippedItem(package_id="z")], "'z' is no package"),
            ([Package(id="a"), Package(id="a")], [], "occurs twice"),
        ],
    )
    def test_packages_that_make_no_tree_are_refused(self, packages, items, said):
        record = ShipNotice(
            shipment_number="1",
            created_at=datetime(2026, 1, 1, tzinfo=UTC),
            packages=tuple(packages),
            items=tuple(items),
        )
        with pytest.raises(ValueError, match=said):
            segments(record, "004010")

    @pytest.mark.parametrize(
        ("record", "said"),
        [
            (PurchaseOrder(number="1"), "ordered_on is needed for BEG05"),
            (PurchaseOrder(number="1", ordered_on=date(2026, 1, 1), dates={"someday": date(2026, 1, 2)}), "someday"),
            (
                PurchaseOrder(
                    number="1",
                    ordered_on=date(2026, 1, 1),
                    lines=(OrderLine(product_ids=tuple(ProductId(kind="upc", value=str(n)) for n in range(11))),),
                ),
                "lines.0.product_ids: 11 do not fit",
            ),
            (
                ShipNotice(
                    shipment_number="1",
                    created_at=datetime(2026, 1, 1, tzinfo=UTC),
                    items=(ShippedItem(order_line="10"),),
                ),
                "items.0.product_ids is needed for LIN02",
            ),
            (PurchaseOrderChange(number="1"), "ordered_on is needed for BCH06"),
            (
                OrderAcknowledgment(type="change_acknowledgment", order_number="1", disposition=Disposition.ACCEPTED),
                "ordered_on is needed for BCA06",
            ),
        ],
    )
    def test_what_cannot_be_said_in_x12_is_refused_by_name(self, record, said):
        with pytest.raises(ValueError, match=said):
            segments(record, "004010")


def test_the_check_digit_of_an_sscc_is_computed_over_its_first_seventeen_digits():
    assert valid_sscc("106141411234567897")
    assert not valid_sscc("106141411234567898")
    assert sscc_of("00106141411234567897") == "106141411234567897"
    assert sscc_of("0106141411234567897") is None


def test_a_set_without_a_sheet_makes_no_record():
    assert building("997") is None


FIXTURES = Path(__file__).parents[2] / "fixtures" / "x12"


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(damaged(sorted(FIXTURES.glob("85*.edi"))))
def test_no_change_to_a_document_breaks_the_reader(data):
    for interchange in read(data):
        for each in (each for group in interchange.groups for each in group.sets):
            if each.record is None:
                continue
            assert load(dump(each.record)) == each.record
            with suppress(ValueError):  # a record of a broken document may well be one that cannot be written
                segments(each.record, "004010")


@pytest.mark.skipif(CORPUS is None, reason="no folder of sample documents (GATEWAY_CORPUS)")
@pytest.mark.parametrize("code", ["850", "855", "856"])
def test_sample_documents_of_the_field_give_records_that_are_valid_as_they_stand(code):
    """At least 95 of 100 that name an order and a line at all; validation finds nothing the engine has let through."""
    assert CORPUS is not None
    named = found = 0
    for path in sorted((CORPUS / f"x12-{code}").iterdir()):
        for interchange in read(path.read_bytes()):
            for each in (each for group in interchange.groups for each in group.sets if each.code == code):
                if each.record is not None:
                    assert load(dump(each.record)) == each.record
                if {"850": "PO1", "855": "PO1", "856": "PRF"}[code] not in {segment.id for segment in each.segments}:
                    continue
                named += 1
                match each.record:
                    case (
                        PurchaseOrder(number=number, lines=lines)
                        | OrderAcknowledgment(order_number=number, lines=lines)
                    ):
                        found += bool(number and lines)
                    case ShipNotice(items=items):
                        found += any(item.order_number for item in items)
    assert named > 10
    assert found >= 0.95 * named


@pytest.mark.parametrize(
    "address",
    [
        "BEG999999999",
        "BEG00",
        "BEG٠٧",
        "BEG1",
        "N1123456789",
        "HL1234567890",
        "BEG",
        "/////BEG07",
        "lines/9999999/PO199",
    ],
)
def test_an_address_of_extra_that_no_reading_gives_is_left_alone(address):
    order = PurchaseOrder(number="4711", ordered_on=date(2026, 11, 16), extra={address: "X", "HL12": [["HL12", "a"]]})
    assert all(len(segment) < 30 for segment in segments(order, "004010")[2])


@pytest.mark.parametrize("kept", [7, "FOB", [7], [[]], [["FOB", {"a": 1}]], {"FOB": 1}, [None]])
def test_segments_of_extra_that_are_none_are_refused_with_their_name(kept):
    order = PurchaseOrder(number="4711", ordered_on=date(2026, 11, 16), extra={"FOB": kept})
    with pytest.raises(ValueError, match=r"extra\.FOB"):
        segments(order, "004010")


def test_an_order_level_without_a_number_names_its_fault_all_the_same():
    nobody = Party(role="buyer", name="A", id="1", id_type="no such code")
    notice = ShipNotice(
        shipment_number="S1", created_at=datetime(2026, 11, 20, tzinfo=UTC), orders=(ShippedOrder(parties=(nobody,)),)
    )
    with pytest.raises(ValueError, match="id_type"):
        segments(notice, "004010")


def test_sheets_are_compiled_once():
    assert sheet("850") is sheet("850")
