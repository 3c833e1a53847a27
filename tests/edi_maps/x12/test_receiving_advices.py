"""What a table cannot say of a receiving advice: its quantities in question."""

from datetime import date
from decimal import Decimal

import pytest

from edi_maps.canonical import Condition, Discrepancy, ReceivedLine, ReceivingAdvice
from edi_maps.findings import Verdict
from edi_maps.x12 import read, write
from tests.services import CORPUS, need

from .documents import document
from .test_golden import only_set
from .test_round_trip import envelope


def read_line(rcd, *more):
    record = only_set(document("BRA*R-1*20261130*00*2", rcd, *more, "CTT*1", code="861")).record
    assert isinstance(record, ReceivingAdvice)
    [line] = record.lines
    return line


def written_rcd(*discrepancies, **fields):
    record = ReceivingAdvice(
        number="R-1",
        created_on=date(2026, 11, 30),
        lines=(ReceivedLine(received=Decimal(1), unit="EA", discrepancies=discrepancies, **fields),),
    )
    [rcd] = [segment for segment in write(record, envelope("004010")).decode().split("~") if segment.startswith("RCD")]
    return rcd


def short(quantity="1"):
    return Discrepancy(quantity=Decimal(quantity), unit="EA", condition=Condition.SHORT)


def test_all_five_quantities_in_question_are_read_with_name_and_code():
    line = read_line("RCD*1*5*EA***1*EA*01*2*CA*02*3*EA*03*4*EA*08*5*EA*77")
    assert [(each.quantity, each.unit, each.condition, each.code) for each in line.discrepancies] == [
        (Decimal(1), "EA", "damaged", "01"),
        (Decimal(2), "CA", "short", "02"),
        (Decimal(3), "EA", "over", "03"),
        (Decimal(4), "EA", "rejected", "08"),
        (Decimal(5), "EA", "other", "77"),
    ]
    assert line.extra == {}


def test_a_condition_without_a_quantity_is_that_of_all():
    [all_of_it] = read_line("RCD*1*5*EA*****07").discrepancies
    assert (all_of_it.quantity, all_of_it.condition) == (None, "good")


def test_a_quantity_in_question_without_a_condition_is_kept_as_it_came():
    line = read_line("RCD*1*5*EA***2*EA")
    assert line.discrepancies == ()
    assert line.extra == {"RCD06": "2", "RCD07": "EA"}


def test_a_quantity_that_is_no_number_is_found_once_and_kept_as_it_came():
    one = only_set(document("BRA*R-1*20261130*00*2", "RCD*1*5*EA***few*EA*02", "CTT*1", code="861"))
    assert [(found.code, found.segment, found.element) for found in one.findings] == [("element_number", "RCD", 6)]
    assert one.record.lines[0].extra == {"RCD06": "few", "RCD07": "EA", "RCD08": "02"}


def test_a_unit_with_a_multiplier_keeps_its_multiplier():
    line = read_line("RCD*1*5*EA***2*LB>1>0.5*04")
    [light] = line.discrepancies
    assert light.unit == "LB"
    record = ReceivingAdvice(number="R-1", created_on=date(2026, 11, 30), lines=(line,))
    assert "*2*LB>1>0.5*04~" in write(record, envelope("004010")).decode()


def test_a_condition_is_written_by_its_code_when_none_was_sent():
    assert written_rcd(short(), short("2.5")) == "RCD**1*EA***1*EA*02*2.5*EA*02"


def test_a_code_that_contradicts_its_condition_gives_way():
    assert written_rcd(short().model_copy(update={"code": "01"})) == "RCD**1*EA***1*EA*02"


def test_a_sixth_quantity_in_question_is_refused():
    with pytest.raises(ValueError, match=r"lines\.0\.discrepancies: 6 do not fit, 5 do"):
        written_rcd(*[short()] * 6)


def test_another_condition_cannot_be_written_without_its_code():
    with pytest.raises(ValueError, match=r"lines\.0\.discrepancies\.0\.code is needed for RCD08"):
        written_rcd(short().model_copy(update={"condition": Condition.OTHER}))


def test_the_order_is_the_one_of_prf_unless_the_line_names_another_first():
    line = read_line("RCD*1*5*EA", "LIN**VN*A-1*PO*PO-2", "PRF*PO-1")
    assert line.order_number == "PO-2"
    assert line.extra == {"PRF01": "PO-1"}


def test_what_belongs_to_a_subline_is_not_said_of_the_line():
    line = read_line("RCD*1*5*EA", "PID*F****Kit", "SLN*1**A*5*EA", "PID*F****Screw")
    assert line.description == "Kit"
    assert line.extra == {"SLN": [["SLN", "1", "", "A", "5", "EA"], ["PID", "F", "", "", "", "Screw"]]}


def test_every_receiving_advice_of_the_field_is_read_with_its_number_and_its_lines():
    need(CORPUS, "GATEWAY_CORPUS names no folder of sample documents")
    assert CORPUS is not None
    told = {}
    for path in sorted((CORPUS / "x12-861").iterdir()):
        one = read(path.read_bytes())[0].groups[0].sets[0]
        assert isinstance(one.record, ReceivingAdvice), path.name
        told[path.name] = (one.record.number, len(one.record.lines), one.verdict is not Verdict.REJECTED)
    # Two come without an envelope: read all the same, and refused.
    assert told == {
        "ariba__861In.edi": ("Receiving Advice ID", 1, True),
        "x12types__861-full.edi": ("REF1", 1, False),
        "x12types__861-two-rcd.edi": ("REF1", 2, False),
    }
