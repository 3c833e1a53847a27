"""What a segment may hold: the pattern and the explanation must always agree."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edi_maps.x12 import structure
from edi_maps.x12.segment_rules import compile_pattern, faults, value_fault
from edi_maps.x12.segments import Delimiters, Segment
from edi_maps.x12.structure import Element

NODES = {
    node.id: node
    for code in ("850", "855", "856", "997")
    for guide in [structure.guide(code, "004010")]
    if guide is not None
    for node in guide.nodes
}
IDENTIFIERS = st.sampled_from(sorted(NODES))
MARKS = Delimiters(element="*", segment="~", component=">")


def what_is_wrong(text, marks=MARKS, *, short_dates=False):
    segment = Segment(text.split(marks.element), 1, 0, text)
    return [
        (code, facts["element"], facts.get("component"))
        for code, facts in faults(NODES[segment.id], segment, marks, short_dates=short_dates)
    ]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("BEG*00*SA*PO-1**20260924", []),
        ("BEG*00*SA*PO-1**20260924*****", []),
        ("BEG*ZZ*SA*PO-1**20260924", [("element_code", 1, None)]),
        ("BEG*00*SA***20260924", [("element_missing", 3, None)]),
        ("BEG*00*SA*" + "P" * 23 + "**20260924", [("element_long", 3, None)]),
        ("BEG*00*SA*PO-1**20260229", [("element_date", 5, None)]),
        ("BEG*00*SA*PO-1**20280229", []),
        ("BEG*00*SA*PO-1**2026-09-24", [("element_date", 5, None)]),
        ("BEG*00*SA*PO-1**260924", [("element_date", 5, None)]),
        ("SE*5*0001*extra", [("element_extra", 3, None)]),
        ("DTM*010*20261001*2460", [("element_time", 3, None)]),
        ("DTM*010*20261001*23595999", []),
        ("DTM*010", [("element_condition", 2, None)]),
        ("DTM*010*20261001**ES", [("element_condition", 3, None)]),
        ("PO1*1*10.5*EA*.01", []),
        ("PO1*1*20.*EA", []),
        ("PO1*1*-5*EA", []),
        ("PO1*1*+5*EA", [("element_number", 2, None)]),
        ("PO1*1*1E5*EA", [("element_number", 2, None)]),
        ("PO1*1*1,5*EA", [("element_number", 2, None)]),
        ("PO1*1*1234567890123456*EA", [("element_long", 2, None)]),
        ("PO1*1*5*EA***BP*", [("element_condition", 7, None)]),
        ("PO1*1*5*EA****A-1", [("element_condition", 6, None)]),
        ("PO1*1*5*EA*****VP*K-1", []),
        ("N1*BY", [("element_condition", 2, None)]),
        ("N1*BY*North Mill*92", [("element_condition", 4, None)]),
        ("N1*BY*\x07", [("element_characters", 2, None)]),
        ("SLN*1**I*5*EA", []),
        ("SLN*1**I*5*EAX", [("element_long", 5, 1)]),
        ("SLN*1**I*5*>2", [("element_missing", 5, 1)]),
        ("SLN*1**I*5*EA>x", [("element_number", 5, 2)]),
        ("QTY*01*5**text", [("element_exclusion", 4, None)]),
        ("CTT*1.5", [("element_number", 1, None)]),
        ("HL*1**S*1", []),
    ],
)
def test_each_fault_is_named_with_its_place(text, wrong):
    assert what_is_wrong(text) == wrong


def test_versions_before_004010_send_dates_of_six_digits():
    assert what_is_wrong("BEG*00*SA*PO-1**950924", short_dates=True) == []
    assert what_is_wrong("BEG*00*SA*PO-1**951324", short_dates=True) == [("element_date", 5, None)]


def test_without_a_component_separator_a_composite_has_one_component():
    marks = Delimiters(element="*", segment="~", component="")
    assert what_is_wrong("SLN*1**I*5*EA", marks) == []


@pytest.mark.parametrize("value", ["1E9999", "NaN", "Infinity", "9" * 30, "--1", "1.2.3", "１２", "", "."])
def test_what_is_no_number_is_never_taken_for_one(value):
    element = Element(name="Quantity", number="380", kind="R", least=1, most=15)
    assert value_fault(element, value, short_dates=False) is not None


SAMPLES = """00 SA EA 20260924 20260229 20280229 260924 1200 2460 5 -5 1.5 .5 5. ABC BP VP EA>5 > \x07 ü - . 9999999999999999"""
VALUES = st.one_of(
    st.sampled_from(["", "a b", "X" * 90, *SAMPLES.split()]),
    st.text(st.characters(codec="latin-1", exclude_characters="*~\r\n"), max_size=12),
)


@settings(max_examples=800, deadline=None)
@given(IDENTIFIERS, st.lists(VALUES, max_size=14), st.booleans())
def test_the_pattern_passes_exactly_what_has_no_fault(identifier, values, short_dates):
    node = NODES[identifier]
    text = "*".join([node.id, *values])
    segment = Segment(text.split("*"), 1, 0, text)
    passes = compile_pattern(node, MARKS, short_dates=short_dates)(text) is not None
    wrong = list(faults(node, segment, MARKS, short_dates=short_dates))
    # 29 February is left to the calendar, so the pattern refuses it in every year.
    assert passes == (not wrong) or (not wrong and "0229" in text)


@settings(max_examples=200, deadline=None)
@given(
    IDENTIFIERS,
    st.tuples(st.sampled_from("*|^]\\[+$"), st.sampled_from(":>@^]\\|")).filter(lambda pair: pair[0] != pair[1]),
    st.lists(st.sampled_from(["", "A", "5", "20260924", "EA"]), max_size=8),
)
def test_no_delimiter_breaks_the_pattern(identifier, pair, values):
    node = NODES[identifier]
    marks = Delimiters(element=pair[0], segment="~", component=pair[1])
    text = pair[0].join([node.id, *values])
    segment = Segment(text.split(pair[0]), 1, 0, text)
    passes = compile_pattern(node, marks, short_dates=False)(text) is not None
    assert passes == (not list(faults(node, segment, marks, short_dates=False)))
