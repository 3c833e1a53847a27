"""Bytes to interchanges, groups, sets and segments, with whatever delimiters and damage they come."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edi_maps.x12 import window
from edi_maps.x12.envelope import scan

from .documents import ISA, ORDER, codes, document, interchange, transaction_set, wire

GOOD = interchange(*transaction_set(*ORDER))


def segments(data):
    return [found for part in scan(data) for group in part.groups for s in group.sets for found in s.segments]


def test_the_header_says_who_wrote_to_whom():
    found = scan(wire(GOOD))[0]
    assert (found.sender_qualifier, found.sender_id) == ("ZZ", "KELDERCO")
    assert (found.receiver_qualifier, found.receiver_id) == ("ZZ", "NORTHMILL")
    assert (found.control_number, found.version, found.usage, found.wants_ta1) == ("000000101", "00401", "P", False)
    assert (found.date, found.time, found.note, found.findings) == ("260924", "1030", "000", [])


def test_a_group_and_its_set_are_told_apart():
    group = scan(wire(GOOD))[0].groups[0]
    assert (group.functional_id, group.control_number, group.version, group.claimed_sets) == (
        "PO",
        "101",
        "004010",
        "1",
    )
    one = group.sets[0]
    assert (one.code, one.control_number, len(one.segments), one.segments[1].get(3)) == ("850", "0001", 5, "PO-1")
    assert [segment.position for segment in one.segments] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("element", "segment", "component"),
    [
        ("*", "~", ">"),
        ("|", "\n", ">"),
        ("*", "\r", ":"),
        ("\x1d", "\x1c", "\x1f"),
        ("\x7f", "\x15", ">"),
        ("+", "'", ":"),
        ("~", "*", "^"),
        ("*", "~\n", ">"),
        ("*", "!", "@"),
        ("*", "~ ", ">"),
        ("\x07", "\r\n", ">"),
    ],
)
def test_the_header_declares_the_delimiters_whatever_they_are(element, segment, component):
    lines = [line.replace(">", component).replace("*", element) for line in GOOD]
    found = scan(wire(lines, segment))[0]
    assert found.findings == []
    assert [one.code for one in found.groups[0].sets] == ["850"]
    assert found.delimiters.element == element
    assert found.delimiters.component == component


def test_a_terminator_of_three_bytes_is_one_terminator():
    data = "…".join([*GOOD, ""]).encode()
    found = scan(data)[0]
    assert [found.groups[0].sets[0].segments[1].id, found.findings] == ["BEG", []]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"\xef\xbb\xbf" + data,
        lambda data: b"\n\n  " + data,
        lambda data: data.replace(b"~\n", b"~\r\n"),
        lambda data: data.replace(b"~\n", b"~"),
        lambda data: data.replace(b"~\n", b"~\n\n   "),
        lambda data: data + b"\x1a\x00\x00",
    ],
    ids=["byte order mark", "blank lines first", "CR LF", "no line ends", "indented", "DOS end of file"],
)
def test_padding_between_segments_means_nothing_and_offsets_stay_true(damage):
    data = damage(wire(GOOD))
    assert scan(data)[0].findings == []
    for segment in segments(data):
        assert data[segment.offset :].startswith(segment.raw.encode())


@pytest.mark.parametrize("width", [79, 80])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_a_hard_wrap_that_ignores_segments_is_undone(width, newline):
    plain = wire(GOOD, "~")
    wrapped = newline.join(plain[at : at + width] for at in range(0, len(plain), width)) + newline
    found = scan(wrapped)[0]
    assert found.findings == []
    beginning = found.groups[0].sets[0].segments[1]
    assert beginning.elements == ["BEG", "00", "SA", "PO-1", "", "20260924"]
    assert wrapped[beginning.offset : beginning.offset + 2].replace(newline, b"") in (b"BE", b"B")


def test_a_line_break_inside_text_becomes_a_blank_and_is_said():
    data = document("BEG*00*SA*PO-1**20260924", "N9*L1*X", "MSG*first line\n   second line", "PO1*1*5*EA")
    found = scan(data)[0]
    assert found.groups[0].sets[0].segments[3].get(1) == "first line second line"
    assert codes(found.findings) == ["line_break_in_segment"]


def test_two_interchanges_keep_their_own_delimiters():
    other = [line.replace("*", "|").replace("000000101", "000000102") for line in GOOD]
    first, second = scan(wire(GOOD) + wire(other, "\n"))
    assert (first.delimiters.element, second.delimiters.element) == ("*", "|")
    assert (first.control_number, second.control_number) == ("000000101", "000000102")
    assert first.findings == second.findings == []


def test_a_missing_trailer_does_not_swallow_the_next_interchange():
    first, second = scan(wire(GOOD[:-1]) + wire(GOOD))
    assert codes(first.findings) == ["interchange_trailer_missing"]
    assert first.note == "023"
    assert second.findings == []


def test_isa_inside_text_starts_no_interchange():
    data = document("BEG*00*SA*PO-1**20260924", "N9*L1*VISA", "MSG*pay by VISA or ISA", "PO1*1*5*EA")
    assert len(scan(data)) == 1


@pytest.mark.parametrize(
    "header",
    [
        ISA.replace("          ", ""),
        ISA.replace("KELDERCO       ", "KELDERCO"),
        ISA.replace("NORTHMILL      ", "NORTHMILL         "),
        ISA.replace("NORTHMILL      ", "NORTHMILL\xa0\xa0\xa0\xa0\xa0\xa0\xa0"),
        ISA.removesuffix("*>"),
    ],
    ids=["collapsed", "one short", "one long", "hard blanks", "no component separator"],
)
@pytest.mark.parametrize("end", ["~", "~\n", "\n", "\r\n"])
def test_a_header_of_another_width_is_repaired_and_said(header, end):
    found = scan(wire(interchange(*transaction_set(*ORDER), isa=header), end))[0]
    assert codes(found.findings) == ["isa_width"]
    assert (found.sender_id, found.receiver_id) == ("KELDERCO", "NORTHMILL")
    assert [one.code for one in found.groups[0].sets] == ["850"]
    assert found.groups[0].sets[0].findings == []


def test_a_shifted_authorization_element_is_what_the_note_names():
    found = scan(wire(interchange(*transaction_set(*ORDER), isa=ISA.replace("*00*          *00*", "*00*   *00*", 1))))[
        0
    ]
    assert found.note == "011"


@pytest.mark.parametrize(
    ("version", "standard", "repetition"),
    [("00401", "^", None), ("00402", "^", "^"), ("00501", "^", "^"), ("00501", "U", None)],
)
def test_isa11_separates_repetitions_only_from_00402_on(version, standard, repetition):
    header = ISA.replace("*U*00401*", f"*{standard}*{version}*")
    assert scan(wire(interchange(*transaction_set(*ORDER), isa=header)))[0].delimiters.repetition == repetition


@pytest.mark.parametrize(
    ("old", "new"),
    [("*", "."), ("*", "-"), ("~\n", "A"), ("~\n", " "), ("~\n", "*"), ("~\n", ">")],
    ids=["decimal point", "minus", "letter", "blank", "terminator separates", "terminator is component"],
)
def test_a_delimiter_that_cannot_delimit_refuses_the_interchange(old, new):
    found = scan(wire(GOOD).replace(old.encode(), new.encode()))[0]
    assert "delimiter_invalid" in codes(found.findings)
    assert (found.note, found.groups) == ("004", [])


def test_text_is_utf_8_when_it_is_and_latin_1_otherwise():
    text = document("BEG*00*SA*PO-1**20260924", "N1*BY*M\xfcller", "PO1*1*5*EA")
    assert segments(text)[2].get(2) == "Müller"
    assert segments(text.replace(b"\xfc", "ü".encode()))[2].get(2) == "Müller"


def replaced(old, new):
    return wire([line.replace(old, new) for line in GOOD])


@pytest.mark.parametrize(
    ("data", "where", "code"),
    [
        (replaced("IEA*1*000000101", "IEA*1*000000999"), "interchange", "interchange_control_number_mismatch"),
        (replaced("IEA*1*", "IEA*2*"), "interchange", "group_count"),
        (replaced("GE*1*101", "GE*1*102"), "group", "group_control_number_mismatch"),
        (replaced("GE*1*101", "GE*3*101"), "group", "set_count"),
        (replaced("GE*1*101", "GE*x*101"), "group", "set_count"),
        (wire([line for line in GOOD if not line.startswith("GE")]), "group", "group_trailer_missing"),
        (replaced("*1030*101*X", "*1030*A1*X"), "group", "group_control_number_invalid"),
        (replaced("SE*5*", "SE*4*"), "set", "segment_count"),
        (replaced("SE*5*0001", "SE*5*0002"), "set", "set_control_number_mismatch"),
        (wire([line for line in GOOD if not line.startswith("SE")]), "set", "set_trailer_missing"),
        (replaced("*0001", "*1"), "set", "set_control_number_invalid"),
        (replaced("ST*850", "ST*"), "set", "set_code_missing"),
        (replaced("GS*PO*KELDERCO", "GS*PO*"), "interchange", "group_header_invalid"),
        (wire([line for line in GOOD if not line.startswith(("GS", "GE"))]), "group", "set_outside_group"),
        (wire([*GOOD[:2], "REF*DP*1", *GOOD[2:]]), "interchange", "segment_outside_set"),
        (wire([GOOD[0], GOOD[-1].replace("IEA*1", "IEA*0")]), "interchange", "interchange_empty"),
        (replaced("000000101", "A00000101"), "interchange", "interchange_control_number_invalid"),
    ],
)
def test_a_fault_of_the_envelope_is_one_finding_where_it_belongs(data, where, code):
    found = scan(data)[0]
    group = found.groups[0] if found.groups else None
    at = {
        "interchange": found.findings,
        "group": group.findings if group else [],
        "set": group.sets[0].findings if group and group.sets else [],
    }
    assert code in codes(at[where])
    if group and group.sets:
        assert [segment.id for segment in group.sets[0].segments][:2] == ["ST", "BEG"]


def test_counts_and_numbers_padded_with_zeros_are_equal():
    assert scan(replaced("SE*5*", "SE*0005*"))[0].groups[0].sets[0].findings == []
    assert scan(replaced("GE*1*101", "GE*01*000101"))[0].groups[0].findings == []


def test_a_control_number_repeats_between_groups_but_never_within_one():
    twice = interchange(*transaction_set(*ORDER), *transaction_set(*ORDER), sets=2)
    first, second = scan(wire(twice))[0].groups[0].sets
    assert (codes(first.findings), codes(second.findings)) == ([], ["set_control_number_repeated"])
    groups = [*GOOD[:-1], *(line.replace("101", "102") for line in GOOD[1:-1]), "IEA*2*000000101"]
    assert [codes(one.findings) for group in scan(wire(groups))[0].groups for one in group.sets] == [[], []]


@pytest.mark.parametrize("start", ["ST", "GS"])
def test_a_file_without_isa_is_read_all_the_same(start):
    lines = [line for line in GOOD if not line.startswith(("ISA", "IEA"))]
    data = wire(lines if start == "GS" else lines[1:-1])
    found = scan(data)[0]
    assert "interchange_header_missing" in codes(found.findings)
    assert not found.has_header
    assert [one.code for one in found.groups[0].sets] == ["850"]


@pytest.mark.parametrize(
    "data", [b"", b"   \n", b"hello world", b"<xml/>", b"\x00" * 50, b"UNB+UNOC:3'", "ISA".encode("utf-16")]
)
def test_what_is_no_x12_is_unreadable_in_words(data):
    found = scan(data)
    assert [codes(part.findings) for part in found] == [["unreadable"]]


def test_an_interchange_of_acknowledgments_alone_counts_no_group_or_one():
    lines = [ISA, "TA1*000000055*260924*1030*A*000"]
    for count in ("0", "1"):
        found = scan(wire([*lines, f"IEA*{count}*000000101"]))[0]
        assert (codes(found.findings), found.acknowledgments[0].get(1)) == ([], "000000055")


def test_junk_around_interchanges_is_counted():
    first, second = scan(b"From: mail\n\n" + wire(GOOD) + b"what is this\n" + wire(GOOD) + b"the end")
    assert codes(first.findings) == ["bytes_outside_interchange"]
    assert codes(second.findings) == ["bytes_outside_interchange", "bytes_outside_interchange"]


@pytest.mark.parametrize(
    "data",
    [
        wire(interchange("ST*850*0001", *["REF*DP*1"] * 600_000)),
        wire([ISA]) + b"ST*850*0001~" * 60_000,
        wire(interchange("ST*850*0001", "MSG*" + "x" * 3_000_000)),
        wire(interchange("ST*850*0001", "MSG" + "*x" * 1_000_000)),
        b"ISA*" * 500_000,
        b"ISA" * 1_000_000,
        wire([ISA]) * 12_000,
        b" " * (window.MAX_BYTES + 1),
    ],
    ids=["segments", "sets", "segment", "elements", "headers", "no header", "interchanges", "bytes"],
)
def test_a_file_beyond_the_limits_ends_in_a_finding(data):
    found = scan(data)
    every = [f for part in found for f in part.findings]
    every += [f for part in found for group in part.groups for one in group.sets for f in one.findings]
    wanted = {"too_large", "segment_too_long", "unreadable", "delimiter_invalid", "interchange_trailer_missing"}
    assert wanted & set(codes(every))
    assert len(every) < 300_000


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_no_bytes_at_all_raise(data):
    assert scan(data)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, len(wire(GOOD)) - 1), st.sampled_from([b"", b"~", b"*", b"\n", b"ISA*", b"\xff", b"0"])
        ),
        max_size=8,
    )
)
def test_no_damage_to_a_good_file_raises_and_offsets_stay_inside(edits):
    data = wire(GOOD)
    for at, piece in edits:
        data = data[:at] + piece + data[at + 1 :]
    for part in scan(data):
        assert 0 <= part.start <= part.end <= len(data)
    for segment in segments(data):
        assert 0 <= segment.offset < len(data)
