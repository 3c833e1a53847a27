"""What we write: the envelope, the separators, and nothing that we would refuse ourselves."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from edi_maps.canonical import Address, OrderLine, Packaging, Party, ProductId, PurchaseOrder, Reference, load
from edi_maps.x12.segments import COMPONENT, Delimiters
from edi_maps.x12.writer import Envelope, envelop, read_back, write

from .documents import FIXTURES

ENVELOPE = Envelope(
    sender_qualifier="ZZ",
    sender_id="NORTHPLANT",
    receiver_qualifier="01",
    receiver_id="123456789",
    interchange_number=7,
    group_number=42,
    at=datetime(2026, 11, 30, 9, 5, tzinfo=UTC),
)
ORDER = [["BEG", "00", "SA", "PO-1", "", "20261130"], ["REF", "DP", "12", ""]]


def test_an_interchange_is_written_byte_for_byte():
    assert envelop("PO", [("850", ORDER)], ENVELOPE) == (
        b"ISA*00*          *00*          *ZZ*NORTHPLANT     *01*123456789      *261130*0905*U*00401*000000007*0*P*>~"
        b"GS*PO*NORTHPLANT*123456789*20261130*0905*42*X*004010~"
        b"ST*850*0001~BEG*00*SA*PO-1**20261130~REF*DP*12~SE*4*0001~"
        b"GE*1*42~IEA*1*000000007~"
    )


def test_the_isa_is_106_bytes_long_with_its_terminator():
    assert envelop("PO", [("850", ORDER)], ENVELOPE).index(b"~") == 105


def test_several_sets_share_the_group_and_count_on():
    written = envelop("PO", [("850", ORDER), ("850", ORDER)], replace(ENVELOPE, set_number=9)).decode()
    assert "ST*850*0009~" in written
    assert "ST*850*0010~" in written
    assert "SE*4*0010~GE*2*42~" in written


def test_from_00402_on_isa11_is_the_repetition_separator():
    marks = Delimiters(element="|", segment="\n", component=":", repetition="^")
    written = envelop(
        "PO", [("850", ORDER)], replace(ENVELOPE, version="005010", version_suffix="VICS", delimiters=marks)
    )
    assert written[82:84] == b"^|"
    assert b"|00501|" in written
    assert b"|X|005010VICS\nST|850|0001\n" in written


def test_in_4010_isa11_stays_u_even_when_a_repetition_separator_is_agreed():
    written = envelop("PO", [("850", ORDER)], replace(ENVELOPE, delimiters=Delimiters(repetition="^")))
    assert written[82:84] == b"U*"


def test_newlines_follow_the_terminator_when_asked():
    lines = envelop("PO", [("850", ORDER)], replace(ENVELOPE, newline_after_segment=True)).split(b"\n")
    assert lines[2] == b"ST*850*0001~"
    assert lines[-1] == b""


def test_separators_in_text_become_blanks():
    body = [["MSG", "3*4 pcs ~ fit > slack\nsecond line\x1f", "", "x"]]
    assert b"MSG*3 4 pcs   fit   slack second line**x~" in envelop("PO", [("850", body)], ENVELOPE)


def test_latin_1_text_is_kept_and_what_lies_beyond_becomes_the_nearest_character():
    body = [["N1", "ST", "Łódź – Müller 数"]]
    assert "N1*ST*Lódz - Müller ?~".encode("latin-1") in envelop("PO", [("850", body)], ENVELOPE)


@pytest.mark.parametrize("value", ["A*B", "A~B", "A>B", "A\nB", "Ł1"])
def test_an_identifier_that_would_break_the_structure_is_refused(value):
    with pytest.raises(ValueError, match="REF02 of '850'"):
        envelop("PO", [("850", [["REF", "DP", value]])], ENVELOPE)


def test_components_are_joined_by_the_separator_of_the_envelope():
    written = envelop("FA", [("997", [["AK4", f"2{COMPONENT}1", "330", "6", "t*n"]])], ENVELOPE)
    assert b"AK4*2>1*330*6*t n~" in written


@pytest.mark.parametrize(
    "wrong",
    [
        {"sender_id": "A" * 16},
        {"receiver_id": " "},
        {"sender_group_id": "A*B"},
        {"interchange_number": 0},
        {"group_number": 1_000_000_000},
        {"version": "4010"},
        {"usage": "X"},
        {"delimiters": Delimiters(component="*")},
        {"delimiters": Delimiters(segment="A")},
        {"delimiters": Delimiters(element=" ")},
        {"receiver_qualifier": "123"},
    ],
)
def test_an_envelope_that_cannot_be_written_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong)).replace("delimiters", "separators")):
        replace(ENVELOPE, **wrong)


def test_an_interchange_without_sets_is_refused():
    with pytest.raises(ValueError, match="without a transaction set"):
        envelop("PO", [], ENVELOPE)


def test_only_a_composite_may_hold_components():
    with pytest.raises(ValueError, match=r"REF02 of '850': 'A\\x1fB' holds '\\x1f'"):
        envelop("PO", [("850", [["REF", "DP", f"A{COMPONENT}B"]])], ENVELOPE)


def test_a_component_separator_may_be_any_byte():
    marks = Delimiters(element="\x07", segment="\n", component=COMPONENT)
    written = envelop("FA", [("997", [["AK4", f"2{COMPONENT}1", "330", "6"]])], replace(ENVELOPE, delimiters=marks))
    assert b"AK4\x072\x1f1\x07330\x076\n" in written


def test_blanks_around_a_value_say_nothing_and_are_not_sent():
    body = [["REF", "DP", " 12 ", ""], ["N1", "ST", " North  Plant\t"]]
    assert b"~REF*DP*12~N1*ST*North  Plant~" in envelop("PO", [("850", body)], ENVELOPE)


def test_text_of_every_set_gives_way_because_its_data_element_says_that_it_is_text():
    body = [["TD4", "", "", "", "Keep > 5 C"], ["SAC", "C", "D240", *[""] * 12, "Freight * 2"], ["TXI", "ST", "1"]]
    assert b"TD4****Keep   5 C~SAC*C*D240*************Freight   2~TXI*ST*1~" in envelop("IN", [("810", body)], ENVELOPE)


# -- whole records


def order(*lines, **fields):
    return PurchaseOrder(**{"number": "PO-1", "ordered_on": date(2026, 11, 30), "lines": lines} | fields)


def line(**fields):
    return OrderLine(**{"line_number": "1", "quantity": Decimal(5), "unit": "EA"} | fields)


@pytest.mark.parametrize(
    ("record", "refusal"),
    [
        (order(line(product_ids=(ProductId(kind="sku", value="A*1"),))), r"lines\.0\.product_ids\.0\.value: PO107 of"),
        (order(line(product_ids=(ProductId(kind="sku", value="9" * 81),))), r"lines\.0\.product_ids\.0\.value: PO107 "),
        (order(line(), line(unit="PIECES")), r"lines\.1\.unit: PO103 \(segment 4\): 'PIECES' is longer than the 2"),
        (order(line(packaging=Packaging(size=Decimal("0.123456789")))), r"lines\.0\.packaging\.size: PO402 "),
        (
            order(line(packaging=Packaging(units_per_pack=Decimal("2.5")))),
            r"lines\.0\.packaging\.units_per_pack: 2\.5 has",
        ),
        (order(number="PO-" + "1" * 30), r"number: BEG03 \(segment 2\): .* longer than the 22 characters"),
        (order(ordered_on=date(812, 1, 1)), r"ordered_on: BEG05 \(segment 2\)"),
        (
            order(references=(Reference(kind="department"),)),
            r"references\.0\.value: REF02 \(segment 3\): .* must be sent",
        ),
        (order(parties=(Party(role="buyer", name="N" * 61),)), r"parties\.0\.name: N102 \(segment 3\)"),
        (order(parties=(Party(role="buyer"),)), r"parties\.0\.name: N102 \(segment 3\)"),
        (
            order(parties=(Party(role="buyer", name="N", address=Address(city="X")),)),
            r"parties\.0\.address\.city: N401 \(segment 4\): 'X' is shorter than the 2 characters of City",
        ),
        (
            order(parties=tuple(Party(role="ship_to", id=f"{n:03d}", id_type="gln") for n in range(201))),
            r"parties\.200: N1 ",
        ),
        (order(extra={"BEG07": "A~"}), r"extra: BEG07 of '850': 'A~' holds '~'"),
        (order(extra={"TD4": [["TD4", "", "", "", "x" * 81]]}), r"extra: TD404 \(segment 3\)"),
        (order(extra={"TD4": [["SE", "2", "0001"]]}), r"extra\.TD4: 'SE' is no segment of TD4"),
        (order(extra={"TD4": "TD4"}), r"extra\.TD4: a list of segments is wanted"),
    ],
)
def test_what_cannot_be_said_is_refused_by_the_name_of_its_field(record, refusal):
    with pytest.raises(ValueError, match=rf"^{refusal}"):
        write(record, ENVELOPE)


def test_an_item_of_a_ship_notice_is_named_where_it_stands_in_the_record():
    data = json.loads((FIXTURES / "856_mixed_pallet.json").read_text())
    data["items"][1]["unit"] = "PIECES"
    data["packages"][0]["marks"] = [{"kind": "case_code", "value": "1~2"}]
    with pytest.raises(ValueError, match=r"^packages\[1\]\.marks\.\d\.value: MAN02 of '856'"):
        write(load(data), ENVELOPE)
    del data["packages"][0]["marks"]
    with pytest.raises(ValueError, match=r"^items\.1\.unit: SN103 \(segment \d+\)"):
        write(load(data), ENVELOPE)


def test_several_faults_are_told_together():
    with pytest.raises(ValueError, match=r"^lines\.0\.unit: .* lines\.1\.unit: .*"):
        write(order(line(unit="PIECES"), line(unit="PIECES")), ENVELOPE)


def test_long_text_is_wrapped_as_it_will_stand_on_the_wire():
    written = write(order(line(description="€" * 81)), ENVELOPE)
    texts = [segment.split(b"*")[5] for segment in written.split(b"~") if segment.startswith(b"PID")]
    assert [len(text) for text in texts] == [80, 80, 80, 3]


def test_a_whole_number_is_written_without_decimals_where_there_is_no_room_for_them():
    assert b"PO4*12~" in write(order(line(packaging=Packaging(units_per_pack=Decimal("12.0")))), ENVELOPE)


def test_a_document_of_another_origin_is_read_back_before_it_leaves():
    good = envelop("FA", [("997", [["AK1", "PO", "7"], ["AK9", "A", "1", "1", "1"]])], ENVELOPE)
    read_back(good)
    with pytest.raises(ValueError, match=r"AK901 \(segment 3\): 'Q' is not a code"):
        read_back(good.replace(b"AK9*A", b"AK9*Q"))
    with pytest.raises(ValueError, match="GE01"):
        read_back(good.replace(b"GE*1*42", b"GE*2*42"))
