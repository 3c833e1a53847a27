"""Input made to break a reader of X12: each ends in a finding and an answer, within bounds of time and memory.

The numbers S30 to S36 are those of the security checklist. The bounds of time are ten times what is wanted: they catch what is
quadratic, not a busy machine.
"""

import time
import tracemalloc
from decimal import Decimal

import pytest

from edi_maps.findings import Verdict
from edi_maps.x12 import acknowledge, read, reply_envelope
from edi_maps.x12.explain import as_html, as_text, explain

from .documents import GS, ISA, ORDER, codes, document, interchange, places, transaction_set, wire
from .test_acknowledgments import AT

GOOD = interchange(*transaction_set(*ORDER))
CPU_S = 20.0
MEMORY = 200 * 1024 * 1024


def changed(old, new):
    return wire([line.replace(old, new) for line in GOOD])


def sets(data):
    return [one for part in read(data) for group in part.groups for one in group.sets]


def everything(part):
    return [
        *codes(part.findings),
        *(code for group in part.groups for code in codes(group.findings)),
        *(code for group in part.groups for one in group.sets for code in codes(one.findings)),
    ]


# -- S30: the header


@pytest.mark.parametrize(
    ("data", "note"),
    [
        (changed("*KELDERCO       *ZZ", "*KELDERCO      *ZZ"), "006"),
        (changed("*KELDERCO       *ZZ", "*KELDERCO        *ZZ"), "006"),
        (changed("*ZZ*KELDERCO       ", "*Z*KELDERCO       "), "005"),
        (wire(GOOD).replace(b"*", b">"), "027"),
    ],
    ids=["105 characters", "107 characters", "an element too short", "separator and component separator equal"],
)
def test_a_header_that_can_be_repaired_is_repaired_and_said(data, note):
    (part,) = read(data)
    assert (part.note, codes(part.findings), [one.verdict for one in sets(data)]) == (
        note,
        ["isa_width"],
        [Verdict.ACCEPTED],
    )


@pytest.mark.parametrize("terminator", [b"*", b">", b"A", b"0", b" ", b"-"])
def test_a_terminator_that_cannot_end_a_segment_refuses_the_interchange(terminator):
    (part,) = read(wire(GOOD).replace(b"~\n", terminator))
    assert (part.note, codes(part.findings)[0], part.groups) == ("004", "delimiter_invalid", [])


@pytest.mark.parametrize("separator", [b"A", b"0", b" ", b"\n"])
def test_a_separator_that_is_data_leaves_no_header_to_read(separator):
    (part,) = read(wire(GOOD).replace(b"*", separator))
    assert (part.has_header, codes(part.findings), part.groups) == (False, ["unreadable"], [])


def test_a_terminator_inside_data_cuts_the_segment_there_and_rejects_the_set():
    (one,) = sets(changed("PO-1", "PO~1"))
    assert one.verdict is Verdict.REJECTED
    assert {"segment_count", "segment_unknown"} <= set(codes(one.findings))


# -- S31: what is missing or miscounted takes all it holds along


def two_groups():
    first = interchange(*transaction_set(*ORDER), *transaction_set(*ORDER, number="0002"), sets=2)[1:-1]
    second = [line.replace("101", "102") for line in interchange(*transaction_set(*ORDER))[1:-1]]
    return [ISA, *first, *second, "IEA*2*000000101"]


@pytest.mark.parametrize(
    ("old", "new", "verdicts"),
    [
        ("IEA*2*000000101", None, "RRR"),
        ("GE*2*101", None, "RRA"),
        ("GE*2*101", "GE*3*101", "RRA"),
        ("GE*2*101", "GE*2*999", "RRA"),
        ("SE*5*0002", None, "ARA"),
        ("SE*5*0002", "SE*6*0002", "ARA"),
        ("SE*5*0002", "SE*5*0003", "ARA"),
        ("IEA*2*000000101", "IEA*2*000000101", "AAA"),
    ],
    ids=["no IEA", "no GE", "GE01", "GE02", "no SE", "SE01", "SE02", "nothing"],
)
def test_a_broken_envelope_rejects_exactly_what_it_holds(old, new, verdicts):
    lines = [new if line == old else line for line in two_groups()]
    found = [one.verdict for one in sets(wire([line for line in lines if line is not None]))]
    assert "".join("R" if verdict is Verdict.REJECTED else "A" for verdict in found) == verdicts


# -- S32: size and depth

MILLION = 10**6


def around(body, *, group="PO", code="850", count=0):
    head = wire([ISA, GS.format(group=group, version="004010"), f"ST*{code}*0001"], "~")
    return head + body + wire([f"SE*{count}*0001", "GE*1*101", "IEA*1*000000101"], "~")


def levels(parents):
    body = b"".join(b"HL*%d*%s*I~" % (number, parent) for number, parent in enumerate(parents, start=1))
    return around(b"BSN*00*S1*20260924*1030~" + body, group="SH", code="856", count=len(parents) + 3)


LARGE = {
    "a million segments": (lambda: around(b"PO1*1*5*EA~" * MILLION), "too_large"),
    "a million bad segments": (lambda: around(b"ZZZ*\x00*x~" * MILLION), "too_large"),
    "a million elements": (lambda: around(b"PO1" + b"*1" * MILLION + b"~"), "segment_too_long"),
    "a million components": (lambda: around(b"SLN*1**I*5*EA" + b">1" * MILLION + b"~"), "segment_too_long"),
    "an element of 50 MB": (lambda: around(b"MSG*" + b"x" * 50 * MILLION + b"~"), "too_large"),
    "an element of 30 MB": (lambda: around(b"MSG*" + b"x" * 30 * MILLION + b"~"), "segment_too_long"),
    "20 MB of terminators": (lambda: wire([ISA], "~") + b"~" * 20 * MILLION, "interchange_trailer_missing"),
    "20 MB of separators": (lambda: wire([ISA], "~") + b"*" * 20 * MILLION, "interchange_trailer_missing"),
    "20 MB of line breaks": (lambda: wire([ISA], "~") + b"\n" * 20 * MILLION, "interchange_trailer_missing"),
    "fifty thousand stray trailers": (
        lambda: wire([ISA], "~") + b"SE*1*0001~" * 50_000,
        "segment_outside_set",
    ),
    "five thousand levels deep": (lambda: levels([b"", *(b"%d" % n for n in range(1, 5_000))]), "hl_depth"),
    "a level under itself": (lambda: levels([b"", b"2"]), "hl_cycle"),
    "levels under each other": (lambda: levels([b"2", b"1"]), "hl_parent_unknown"),
    "a level under nothing": (lambda: levels([b"", b"9"]), "hl_parent_unknown"),
}


@pytest.mark.parametrize("name", LARGE)
def test_size_and_depth_end_in_a_finding_within_bounds(name):
    make, wanted = LARGE[name]
    data = make()
    read(document(*ORDER))  # guides are compiled once for all
    tracemalloc.start()
    try:
        began = time.process_time()
        parts = read(data)
        answers = [
            acknowledge(part, reply_envelope(part, interchange_number=1, group_number=1, at=AT))
            for part in parts
            if part.has_header
        ]
        spent = time.process_time() - began
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    found = [code for part in parts for code in everything(part)]
    assert wanted in found
    assert all(one.verdict is Verdict.REJECTED for part in parts for group in part.groups for one in group.sets)
    assert None not in answers
    assert sum(map(len, filter(None, answers))) < 2 * MILLION
    assert (peak < MEMORY, spent < CPU_S) == (True, True), f"{peak / 2**20:.0f} MB, {spent:.1f} s"


# -- S33: several interchanges in one file


def test_two_interchanges_with_other_delimiters_are_each_judged_by_their_own():
    other = [line.replace("*", "|").replace(">", "<").replace("000000101", "000000102") for line in GOOD]
    broken = [line.replace("SE|5|", "SE|9|") for line in other]
    first, second = read(wire(GOOD) + wire(broken, "\x15"))
    assert (first.delimiters.element, second.delimiters.element) == ("*", "|")
    assert [part.groups[0].sets[0].verdict for part in (first, second)] == [Verdict.ACCEPTED, Verdict.REJECTED]
    sent = acknowledge(second, reply_envelope(second, interchange_number=1, group_number=1, at=AT))
    assert sent is not None
    assert b"AK5|R|4\x15" in sent


# -- S35: text that does something where it is shown

ACTIVE = "<script>alert(1)</script>\x1b[2J\x07\x9b31m&amp;\"'"


def test_active_text_is_kept_and_never_shown_raw():
    data = document(ORDER[0], f"N1*BY*{ACTIVE}", *ORDER[1:]).replace(b"PO-1", b"PO\x00-1")
    parts = read(data)
    (one,) = [one for group in parts[0].groups for one in group.sets]
    assert one.verdict is Verdict.REJECTED
    assert "element_characters" in codes(one.findings)
    # 9B starts a control sequence in latin-1; no document means one, and Windows has a quotation mark there.
    assert one.segments[2].get(2) == ACTIVE.replace("\x9b", "›")
    page = explain("<b>name</b>", parts)
    for shown in (as_text(page), as_html(page)):
        assert not any(character in shown for character in "\x00\x1b\x07\x9b")
    assert "<script>" not in as_html(page)
    assert "<b>name" not in as_html(page)
    sent = acknowledge(parts[0], reply_envelope(parts[0], interchange_number=1, group_number=1, at=AT))
    assert sent is not None
    assert not any(byte in sent for byte in b"\x00\x1b\x07\x9b")


# -- S36: numbers


@pytest.mark.parametrize(
    "number", ["1E9999", "1e400", "NaN", "Infinity", "+5", "1,000", "1_000", "0x10", "--5", "-", ".", " 5", "\xb2"]
)
def test_what_is_no_number_of_x12_is_a_finding_and_never_a_float(number):
    (one,) = sets(document(ORDER[0], f"PO1*1*{number}*EA*{number}", "CTT*1"))
    assert {("element_number", "PO1", 3, 2), ("element_number", "PO1", 3, 4)} <= set(places(one.findings))
    assert one.verdict is Verdict.REJECTED
    for value in (one.record.lines[0].quantity, one.record.lines[0].unit_price):
        assert value is None or (isinstance(value, Decimal) and value.is_finite())


def test_thirty_digits_are_too_long_and_stay_exact():
    (one,) = sets(document(ORDER[0], f"PO1*1*{'9' * 30}*EA", "CTT*1"))
    assert ("element_long", "PO1", 3, 2) in places(one.findings)
    assert one.record.lines[0].quantity == Decimal("9" * 30)


def test_a_negative_quantity_is_read_as_it_is():
    """X12 allows the sign; whether less than nothing can be ordered or shipped is for the order book to say."""
    (one,) = sets(document(ORDER[0], "PO1*1*-5*EA", "CTT*1"))
    assert (one.record.lines[0].quantity, one.verdict) == (Decimal(-5), Verdict.ACCEPTED)
