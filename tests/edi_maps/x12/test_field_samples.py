"""What we make of the field's own broken documents and acknowledgments, and of what another product answered.

The samples are not ours and not here: with GATEWAY_CORPUS naming their folder, every file has its line in a table.
"""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edi_maps.findings import Severity
from edi_maps.x12 import acknowledge, read, read_interchange_acknowledgment, reply_envelope
from tests.services import CORPUS, need

AT = datetime(2004, 7, 14, 10, 3, tzinfo=UTC)


def files(*folders: str) -> list[Path]:
    need(CORPUS, "no folder of sample documents (GATEWAY_CORPUS)")
    assert CORPUS is not None
    return [path for folder in folders for path in sorted((CORPUS / folder).iterdir())]


def named(path: Path) -> str:
    """The name of a sample, without the mark of where it comes from."""
    return path.name.partition("__")[2]


def sample(folder: str, name: str) -> bytes:
    (path,) = [path for path in files(folder) if named(path) == name]
    return path.read_bytes()


# -- broken documents

#: file → what is wrong (notes left out), the sets with their verdicts, what we answer: TA104 and TA105, AK901 to AK909.
BROKEN = {
    "bad_file.edi": ("unreadable", "", "nobody to answer"),
    "850-sample2.edi": ("isa_width set_count", "850 rejected", "AK9 R 2 1 0 5"),
    "997-sample2.edi": (
        "interchange_control_number_mismatch group_control_number_mismatch segment_count segment_missing",
        "997 rejected",
        "TA1 E 001",
    ),
    "d01b_orders_malformed.edi": ("unreadable", "", "nobody to answer"),
    "d11a_malformed_component.edi": ("unreadable", "", "nobody to answer"),
    "d96a_orders_malformed.edi": ("unreadable", "", "nobody to answer"),
    "x12.Issue101.edi": (
        "isa_width interchange_control_number_mismatch segment_count segment_unknown segment_missing value_missing",
        "850 rejected",
        "TA1 E 001, AK9 R 1 1 0",
    ),
    "x12.Issue172.edi": (
        "isa_width interchange_control_number_mismatch segment_count segment_unknown segment_missing value_missing",
        "850 rejected",
        "TA1 E 001, AK9 R 1 1 0",
    ),
    "x12.base.edi": (
        "set_count segment_count set_not_supported",
        "AAA rejected BBB rejected YYZ rejected AAA rejected",
        "AK9 R 1 3 0 5, AK9 R 1 1 0",
    ),
    "x12.base.no.line.breaks.empty.line.edi": (
        "set_count segment_count set_not_supported",
        "AAA rejected BBB rejected YYZ rejected AAA rejected",
        "AK9 R 1 3 0 5, AK9 R 1 1 0",
    ),
    "x12.base.no.line.breaks.odd.char.edi": (
        "set_count segment_count set_not_supported",
        "AAA rejected BBB rejected YYZ rejected AAA rejected",
        "AK9 R 1 3 0 5, AK9 R 1 1 0",
    ),
    "x12.no.line.break.no.delim.edi": ("delimiter_invalid interchange_trailer_missing", "", "TA1 R 004"),
    "x12.wrong.GS.edi": (
        "segment_outside_set set_outside_group group_count set_count group_control_number_mismatch segment_count "
        "set_not_supported",
        "AAA rejected BBB rejected AAA rejected",
        "TA1 E 022, AK9 R 1 1 0",
    ),
    "inconsistent-element-separator-isa-heading.edi": ("unreadable", "", "nobody to answer"),
    "no-gs-heading.edi": (
        "segment_outside_set group_count group_not_supported",
        "",
        "TA1 E 022, AK9 R 0 0 0 1",
    ),
    "no-isa-heading.edi": ("interchange_empty bytes_outside_interchange", "", "TA1 E 024"),
    "no-matching-segment-count.edi": (
        "group_not_supported segment_count set_not_supported",
        "204 rejected",
        "AK9 R 1 1 0 1",
    ),
    "no-matching-st-count.edi": ("set_count group_not_supported", "", "AK9 R 1 0 0 1 5"),
    "no-st-heading.edi": (
        "segment_outside_set group_not_supported set_not_supported",
        "204 rejected",
        "TA1 E 022, AK9 R 1 1 0 1",
    ),
    "release-not-exist.edi": ("interchange_trailer_missing", "", "TA1 R 023"),
    "interchange-without-groups.edi": ("group_count interchange_empty", "", "TA1 E 021"),
    "EDI850.edi": (
        "segment_count segment_not_in_set segment_missing element_long element_condition value_missing",
        "850 rejected",
        "AK9 R 1 1 0",
    ),
    "broken-850.edi": (
        "segment_count element_code element_date element_number segment_unknown",
        "850 rejected",
        "AK9 R 1 1 0",
    ),
    "broken-orders.edi": ("unreadable", "", "nobody to answer"),
    "corrupt-855.edi": ("segment_count", "855 rejected", "AK9 R 1 1 0"),
    "order-test-bad-model.xml": ("unreadable", "", "nobody to answer"),
    "order-test-bad-syntax.xml": ("unreadable", "", "nobody to answer"),
    "orders.missingMandatorySegments.edi": ("unreadable", "", "nobody to answer"),
    "example_order_error.edi": ("unreadable", "", "nobody to answer"),
    "BAD_ORDERS_D.03B_Interchange.edi": ("unreadable", "", "nobody to answer"),
    "empty997.edi": ("segment_missing", "997 rejected", "nothing to answer"),
    "invalid997.edi": ("element_long", "997 rejected", "nothing to answer"),
    "invalid997_min.edi": (
        "group_header_invalid group_control_number_mismatch element_long",
        "997 rejected",
        "TA1 E 024",
    ),
    "diagnosctics.edi": (
        "interchange_control_number_mismatch group_control_number_mismatch segment_count segment_missing element_date "
        "element_long element_missing segment_unknown value_missing",
        "850 rejected",
        "TA1 E 001, AK9 R 1 1 0 4",
    ),
    "sample-invalid-version.edi": ("unreadable", "", "nobody to answer"),
    "856-pathprefixed.edi": (
        "element_date segment_unknown segment_missing",
        "856 rejected",
        "AK9 R 1 1 0",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_document_gets_its_verdict(name):
    (part,) = read(sample("malformed", name))
    sets = [one for group in part.groups for one in group.sets]
    found = [
        *part.findings,
        *(found for group in part.groups for found in group.findings),
        *(found for one in sets for found in one.findings),
    ]
    wrong = dict.fromkeys(one.code for one in found if one.severity is not Severity.NOTE)
    verdicts = " ".join(f"{one.code} {one.verdict}" for one in sets)
    assert (" ".join(wrong), verdicts, answered(part)) == BROKEN[name]


def answered(part):
    """TA104 and TA105, then AK901 and what follows of each group; our own reader finds nothing wrong with them."""
    try:
        envelope = reply_envelope(part, interchange_number=1, group_number=1, at=AT)
    except ValueError:
        return "nobody to answer"
    sent = acknowledge(part, envelope)
    if sent is None:
        return "nothing to answer"
    (received,) = read(sent)
    sets = [one for group in received.groups for one in group.sets]
    assert [found for one in sets for found in one.findings] == []
    said = [" ".join(["TA1", *segment.elements[4:]]) for segment in received.acknowledgments]
    return ", ".join([*said, *(" ".join(one.segments[-2].elements) for one in sets)])


def test_no_broken_document_is_without_a_line():
    assert sorted(map(named, files("malformed"))) == sorted(BROKEN)


# -- acknowledgments of the field


def test_every_997_and_999_says_which_group_it_answers_and_how():
    for path in files("x12-997", "x12-999"):
        sets = [one for part in read(path.read_bytes()) for group in part.groups for one in group.sets]
        assert sets, path
        for one in sets:
            said = one.acknowledgment
            assert said is not None, path
            assert said.functional_id, path
            assert said.group_control_number, path
            assert said.status in {"A", "E", "P", "R"}, path
            assert said.received is not None, path
            assert all(about.code and about.control_number and about.status for about in said.sets), path


def test_every_ta1_says_which_interchange_it_answers_and_how():
    for path in files("x12-ta1"):
        said = [
            read_interchange_acknowledgment(one) for part in read(path.read_bytes()) for one in part.acknowledgments
        ]
        assert said, path
        for one in said:
            assert one.control_number.isdigit(), path
            assert one.status in {"A", "E", "R"}, path


def test_the_999_with_context_keeps_it():
    name = "005010_X231A1_pass_response-to-functional-group-containing-3-837s.edi"
    (one,) = [one for part in read(sample("x12-999", name)) for group in part.groups for one in group.sets]
    second, third = one.acknowledgment.sets[1:]
    (error,) = second.errors
    assert (error.segment, error.position, error.context) == ("CLM", 22, ("CLM01:123456789",))
    assert [(element.position, element.number, element.code) for element in error.elements] == [(2, "782", "1")]
    assert third.errors[0].context == ("SITUATIONAL TRIGGER*CLM*43**5:3", "CLM01:987654321")


# -- what another product answers to the same bytes

ANSWERED = "chrysler824.edi"
ENVELOPE = {
    "ISA": "ISA12: theirs repeats the version it got; we know no 997 before 004010 and write that.",
    "GS": "GS04 has eight digits from 004010 on; GS06 is our own counter and unpadded; GS08 is the version we write.",
    "GE": "GE02 repeats our GS06.",
}
UNASKED = "The sender asks for a TA1 with ISA14; theirs leaves it out unless it is told to send one."
#: file → segment identifier → why ours differs.
DIFFERENCES = {
    "TEST_DATA_997.997.txt": {**ENVELOPE, "TA1": UNASKED},
    "TEST_DATA_997_4010.997.txt": {
        **ENVELOPE,
        "TA1": UNASKED,
        "GS": "GS05 has four digits, as our clock is told; GS06 is unpadded; GS08 repeats no suffix, which says nothing of a 997.",
    },
    "TEST_DATA_997_WITH_TA1.997.txt": ENVELOPE,
    "TEST_DATA_NEGATIVE_997.997.txt": {
        **ENVELOPE,
        "TA1": UNASKED,
        "AK5": "AK502 says why; theirs gives no reason.",
        "AK9": "AK904 counts the sets that were accepted: of one that was refused, none.",
    },
}


@pytest.mark.parametrize("name", DIFFERENCES)
def test_ours_is_what_another_product_answers_but_for_these_segments(name):
    data = sample("x12-824", ANSWERED)
    if "NEGATIVE" in name:
        data = data.replace(b"SE~31~", b"SE~30~")  # theirs is told to refuse; ours needs a reason
    (part,) = read(data)
    sent = acknowledge(part, reply_envelope(part, interchange_number=38449, group_number=38449, at=AT))
    assert sent is not None
    ours = _by_identifier(sent.decode("latin-1"))
    theirs = _by_identifier(sample("expected-acks", name).decode("latin-1"))
    different = {
        identifier
        for identifier in [*ours, *(one for one in theirs if one not in ours)]
        if not re.fullmatch(_wild(theirs.get(identifier, "")), ours.get(identifier, ""))
    }
    assert different == set(DIFFERENCES[name])


def _by_identifier(text):
    return {segment.partition("~")[0]: segment for segment in text.strip().split("$") if segment}


def _wild(segment):
    """A nine stands for any character: dates, times and counters are the sender's own."""
    return re.escape(segment).replace("9", ".")
