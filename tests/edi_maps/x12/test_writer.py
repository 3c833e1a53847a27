"""The envelope on the way out."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from edi_maps.x12.segments import COMPONENT, Delimiters
from edi_maps.x12.writer import Envelope, envelop

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
        {"receiver_qualifier": "123"},
    ],
)
def test_an_envelope_that_cannot_be_written_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong)).replace("delimiters", "separators")):
        replace(ENVELOPE, **wrong)


def test_an_interchange_without_sets_is_refused():
    with pytest.raises(ValueError, match="without a transaction set"):
        envelop("PO", [], ENVELOPE)
