"""Where our verdict and that of pyx12 may differ, and why: every case by name, with the narrowest test for it.

When pyx12 refuses what we accept, each of its errors must be explained by exactly one row of ``REFUSALS``. When it accepts what we
reject, each of our errors by one of ``ACCEPTANCES``. When it comes to no verdict, its exception by one of ``FAILURES``. Names B1
to B17 are those of its known defects; C… are more that the fuzz found; P… are ours: what a partner may do, and be told.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from edi_maps.findings import Finding
from edi_maps.x12 import TransactionSet
from edi_maps.x12.stock import StockError
from tests.fuzz.mutations import Wire, version_in_place
from tests.fuzz.verdicts import Case

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Defect(Generic[Item]):
    name: str
    sentence: str
    explains: Callable[[Case, Item], bool]


def explanations(case: Case) -> Iterator[tuple[str, str | None]]:
    """Every part of a difference, in words, with the name of the defect that explains it, or None."""
    if case.opinion.accepted is None:
        error = case.opinion.errors[-1]
        yield error.words, _first(FAILURES, case, error)
    elif case.opinion.accepted:
        for found in case.errors():
            yield f"we alone: {found.text}", _first(ACCEPTANCES, case, found)
    else:
        for error in case.opinion.errors:
            words = f"pyx12 alone: {error.segment} {error.position} [{error.code}] {error.words}"
            yield words, _first(REFUSALS, case, error)


def _first(table: tuple[Defect[Item], ...], case: Case, item: Item) -> str | None:
    return next((row.name for row in table if row.explains(case, item)), None)


# -- pyx12 fails


def _failing(pattern: str) -> Callable[[Case, StockError], bool]:
    return lambda _case, error: re.match(f"pyx12 failed: {pattern}", error.words) is not None


FAILURES: Final[tuple[Defect[StockError], ...]] = (
    Defect("B12a", "GE01 is no number", _failing("ValueError invalid literal for int")),
    Defect("B12b", "a trailer without its header", _failing("IndexError list index out of range")),
    Defect("B12c", "no guide under that GS01 and GS08", _failing("EngineError Map not found")),
    Defect("B12d", "an ISA of other than 16 elements", _failing("X12Error The ISA segment must have 16 elements")),
    Defect("B12e", "a segment of a set before any ST", _failing("AttributeError 'NoneType'")),
)


# -- pyx12 refuses, we accept


def _isa_out_of_place(case: Case, _item: object) -> bool:
    """pyx12 takes the delimiters and the version from fixed places of the ISA."""
    return version_in_place(case.data) not in {"00401", "00501"}


def _component_is_a_letter(case: Case, _error: StockError) -> bool:
    return case.data[104:105].isalnum()


def _identifier_with_blanks(case: Case, item: StockError | Finding) -> bool:
    """Blanks behind an identifier of the envelope, which is none then to pyx12."""
    trailer = re.search(rb"[^A-Z0-9](GS|ST|SE|GE|IEA) +" + re.escape(case.data[3:4]), case.data)
    return trailer is not None and (item.position is None or (item.segment or "").endswith(" "))


def _empty_segment_ends_it(case: Case, error: StockError) -> bool:
    mark = re.escape(case.data[105:106])
    return re.search(mark + rb"[\r\n]*" + mark, case.data) is not None and "Mandatory segment" in error.words


def _not_terminated(case: Case, error: StockError) -> bool:
    return error.code == "023" and not case.data.rstrip(b"\r\n").endswith(case.data[105:106])


def _interchange_itself(_case: Case, error: StockError) -> bool:
    return error.segment == "ISA" and error.code != "023"


def _envelope_too_long(case: Case, error: StockError) -> bool:
    """An element too many in the envelope: pyx12 refuses, and forgets to say so."""
    wire = Wire.of(case.data)
    most = {"GS": 8, "ST": 3, "SE": 2, "GE": 2, "IEA": 2}
    longer = (at for at in wire.places(*most) if wire.segments[at].count(wire.element) > most[wire.identifier(at)])
    return error.words == "refused without a word" and next(longer, None) is not None


def _group_header(_case: Case, error: StockError) -> bool:
    return error.segment == "GS" and error.element is not None


def _outside_a_set(case: Case, error: StockError) -> bool:
    """pyx12 counts what stands behind SE to the set before it."""
    one = case.set_of(error)
    behind = one is not None and (error.position or 0) >= len(one.segments)
    return behind and error.code in {"1", "8"} and case.warns("segment_outside_set", "bytes_outside_interchange")


def _blank(case: Case, error: StockError) -> bool:
    """The element, or one that a condition is about, holds blanks only."""
    sent = case.raw(case.set_of(error), error.position)
    if error.words.startswith("Syntax Error") and sent:
        numbers = [int(number) for number in re.findall(rf"\b{re.escape(sent[0].strip())}(\d\d)\b", error.words)]
        return any(value.isspace() for number, value in enumerate(sent) if number in numbers)
    if found := re.search(r"Has \d+, should have (\d+)", error.words):
        return bool(sent) and not "".join(sent[int(found[1]) + 1 :]).strip()
    if error.code == "HL2":
        return len(sent) > 2 and sent[2].isspace()
    if error.code not in _OF_ELEMENTS or error.element is None:
        return False
    value = sent[error.element] if error.element < len(sent) else ""
    return any(part.isspace() for part in (error.value, value, *re.split("[:>]", value)))


#: Codes of AK403 about the form of a value.
_OF_ELEMENTS: Final = frozenset({"4", "5", "6", "7", "8", "9"})


def _padded(_case: Case, error: StockError) -> bool:
    if found := re.fullmatch(r"\w+ id=(.*) does not match \w+ id=(.*)", error.words, re.DOTALL):
        return found[1].strip(" 0\r\n") == found[2].strip(" 0\r\n")
    value = error.value.strip(" \t")
    return bool(value) and value != error.value and error.code in _OF_ELEMENTS and "composite" not in error.words


def _line_break(_case: Case, error: StockError) -> bool:
    said = error.words + error.value + error.segment
    return any(mark in said for mark in ("\r", "\n", "<CR>", "<LF>"))


def _line_feed_for_both(case: Case, _error: StockError) -> bool:
    """Lines end in CR LF, which makes CR the terminator to pyx12, and one ends in LF alone."""
    return case.data[105:106] == b"\r" and re.search(rb"[^\r]\n", case.data) is not None


def _after_a_line_break(case: Case, error: StockError) -> bool:
    """A segment was not found because of a line break in it, so what follows in its set is not, or the trailer is missing."""
    of_its_trailer = error.code == "023" or error.words.startswith("Unterminated") or "trailer" in error.words
    return (of_its_trailer or error.code in {"1", "3"}) and any(
        other.code == "1" and _line_break(case, other) and (of_its_trailer or _before(other, error))
        for other in case.opinion.errors
    )


def _before(one: StockError, other: StockError) -> bool:
    return one.set == other.set and (one.position or 0) <= (other.position or 0)


def _composite_of_text(case: Case, error: StockError) -> bool:
    """A composite where there should be none; one of empty components is not even there, to the conditions."""
    if error.words.startswith("Syntax Error"):
        same = (other for other in case.opinion.errors if other.position == error.position and other is not error)
        return any("is an invalid composite" in other.words for other in same)
    return bool(error.set) and "is an invalid composite" in error.words


def _point_at_the_end(_case: Case, error: StockError) -> bool:
    return error.code == "6" and re.fullmatch(r"-?\d+\.", error.value) is not None


_PLAIN: Final = re.compile(r"""[A-Z0-9!"&'()*+,\-./:;?= a-z%~@\[\]_{}\\|<>#$]""")


def _beyond_its_characters(_case: Case, error: StockError) -> bool:
    odd = _PLAIN.sub("", error.value)
    return error.code == "6" and bool(odd) and min(odd) > " " and "invalid character" in error.words


def _parent_closed(case: Case, error: StockError) -> bool:
    """HL02 names a level that came before, and pyx12 has put it away."""
    one, named = case.set_of(error), re.match(r"HL parent \((\d+)\)", error.words)
    if error.code != "HL2" or one is None or named is None or error.position is None:
        return False
    before = [other.get(1) for other in one.segments[: error.position] if other.id == "HL"]
    return any(number.lstrip("0") == named[1].lstrip("0") for number in before)


def _no_parent(_case: Case, error: StockError) -> bool:
    return error.code == "HL2" and "HL parent (0)" in error.words


def _strange_level(case: Case, error: StockError) -> bool:
    """An HL that stands where its level is not written out, or something below one."""
    one = case.set_of(error)
    if error.words.startswith('Mandatory loop "Level') and case.warns("hl_parent_level", "hl_level_unknown"):
        return True
    if error.code not in {"1", "4", "5"} or one is None or not error.position:
        return False
    levels = [segment.position for segment in one.segments[: error.position] if segment.id == "HL"]
    return bool(levels) and any(
        other.segment == "HL" and other.code in {"1", "4"} and other.position == levels[-1]
        for other in case.opinion.errors
    )


def _later_component(_case: Case, error: StockError) -> bool:
    return error.code == "1" and (error.component or 0) > 1


REFUSALS: Final[tuple[Defect[StockError], ...]] = (
    Defect(
        "C1", "an ISA of other than 106 bytes, or another ISA12: it reads by the wrong delimiters", _isa_out_of_place
    ),
    Defect("C14", "a letter or digit in ISA16 is no separator to us", _component_is_a_letter),
    Defect("B13", "an empty segment ends the reading", _empty_segment_ends_it),
    Defect("C2", "no terminator behind the last segment", _not_terminated),
    Defect("C9", "blanks behind an identifier of the envelope", _identifier_with_blanks),
    Defect("P1", "ISA13 repeated in the file; each interchange is judged alone", lambda _, error: error.code == "025"),
    Defect("P2", "faults of ISA and IEA that leave the groups whole", _interchange_itself),
    Defect("P3", "faults of GS that leave the sets whole", _group_header),
    Defect("P11", "an element too many in the envelope", _envelope_too_long),
    Defect("P4", "segments outside of sets and interchanges, passed over", _outside_a_set),
    Defect("P5", "a segment without elements", lambda _, error: error.words.endswith("is empty")),
    Defect("P6", "an element of blanks, as good as empty", _blank),
    Defect("P7", "blanks around a value, zeros before a control number", _padded),
    Defect("P8", "blanks before a segment", lambda _, error: error.words == "Segment contains a leading space"),
    Defect("P9", "a composite without one of its later components", _later_component),
    Defect("B14", "separators of elements at the end", lambda _, error: error.code == "SEG1"),
    Defect("B15", "HL01 that does not count 1, 2, 3 …", lambda _, error: error.code == "HL1"),
    Defect("B16a", "numbers as 20.", _point_at_the_end),
    Defect("B16b", "the component separator in plain text", _composite_of_text),
    Defect("C3", "characters beyond ASCII, or ^ and `", _beyond_its_characters),
    Defect("C4", "a line break inside a segment, which we take out", _line_break),
    Defect("C12", "a line that ends in LF where the others end in CR LF", _line_feed_for_both),
    Defect("B11", "one segment not found, so none of the following is", _after_a_line_break),
    Defect("C5", "a parent level whose later brother was open already", _parent_closed),
    Defect("C13", "HL02 is 0 where it could be empty", _no_parent),
    Defect("C6", "levels nested as the guide does not write them out", _strange_level),
)


# -- pyx12 accepts, we reject


def _no_group_for_it(case: Case, _found: Finding) -> bool:
    element, terminator = case.data[3:4], case.data[105:106]
    segments = (segment.lstrip(b"\r\n") for segment in case.data.split(terminator))
    return not any(segment.startswith(b"GS" + element) for segment in segments)


def _not_its_group(case: Case, found: Finding) -> bool:
    """The set is none of its group's, and pyx12 swallows all there is to say about it."""
    swallowed = {"set_not_in_group", "set_code_missing", "set_not_supported"}
    one = _set_with(case, found)
    return one is not None and any(other.code in swallowed for other in one.findings)


def _set_with(case: Case, found: Finding) -> TransactionSet | None:
    return next((one for one in case.sets() if any(found is other for other in one.findings)), None)


def _blanks_count(case: Case, found: Finding) -> bool:
    """A value is missing, or too short, without the blanks that pyx12 takes for a part of it."""
    padded = any(value != value.strip() for value in _sent(case, found))
    return found.code in {"element_missing", "element_condition", "element_short"} and padded


def _repeated(case: Case, found: Finding) -> bool:
    marks = {interchange.delimiters.repetition or "" for interchange in case.interchanges} - {""}
    return found.element is not None and any(mark in value for mark in marks for value in _sent(case, found))


def _sent(case: Case, found: Finding) -> list[str]:
    """The segment a finding is about, as sent."""
    return case.raw(_set_with(case, found), found.position)


def _far_future(_case: Case, found: Finding) -> bool:
    """A day of a year from 3000 on."""
    value = found.value or ""
    return found.code == "element_date" and re.fullmatch(r"[3-9]\d{3}(0[1-9]|1[0-2])[0-3]\d", value) is not None


def _first_component(_case: Case, found: Finding) -> bool:
    return found.code == "element_missing" and found.component == 1


def _loop_at_once_again(case: Case, found: Finding) -> bool:
    one = _set_with(case, found)
    here = [case.raw(one, found.position), case.raw(one, (found.position or 0) - 1)]
    return found.code == "segment_missing" and all(here) and here[0][0] == here[1][0]


def _senseless(_case: Case, found: Finding) -> bool:
    return found.code.startswith("value_")


ACCEPTANCES: Final[tuple[Defect[Finding], ...]] = (
    Defect(
        "C1", "an ISA of other than 106 bytes, or another ISA12: it reads by the wrong delimiters", _isa_out_of_place
    ),
    Defect("B1", "a set that does not belong in its group", _not_its_group),
    Defect("B2", "no group at all", _no_group_for_it),
    Defect("C7", "blanks taken for a value or a part of it", _blanks_count),
    Defect("C8", "repetitions are not split", _repeated),
    Defect("C9", "blanks behind an identifier of the envelope", _identifier_with_blanks),
    Defect("C10", "the first component of an optional composite is never missed", _first_component),
    Defect(
        "C11",
        "a loop begins again straight after its first segment, and what it must hold is not missed",
        _loop_at_once_again,
    ),
    Defect("P10", "a value that is well formed and makes no sense", _senseless),
)

#: Names and sentences, each once.
ALL: Final[dict[str, str]] = (
    {row.name: row.sentence for row in FAILURES}
    | {row.name: row.sentence for row in REFUSALS}
    | {row.name: row.sentence for row in ACCEPTANCES}
)
