"""X12 on the way out: transaction sets put into a functional group and an interchange, byte for byte.

Segments are lists of text, identifier first, and know nothing of separators: a composite element joins its components with
``COMPONENT``, and the envelope decides which byte that becomes. No clock and no counter here: the time and every control
number come with the ``Envelope``.

A value must never break the structure around it. Free text (descriptions, names, notes: elements of type TX in the tables of
the guides) gives way: a separator or control character in it becomes a blank. Anything else identifies something, and a part
number or an amount with a character changed is another part number: it is refused.

Nothing leaves that we would refuse ourselves: ``write`` has our own engine read what it has written, and names the field that
cannot be said.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Final

from edi_maps.canonical import CanonicalRecord
from edi_maps.findings import Finding, Severity
from edi_maps.x12 import records
from edi_maps.x12.composition import Origin
from edi_maps.x12.guides.tables import element_at
from edi_maps.x12.latin_1 import in_latin_1
from edi_maps.x12.reader import read
from edi_maps.x12.segments import COMPONENT, Delimiters

#: Faults of one document that are told; whoever has corrected those asks again.
MAX_FAULTS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """Who writes to whom, under which numbers and with which separators: all that ISA, GS and ST say.

    Raises:
        ValueError: separators that are not four different characters (no letters, digits or blanks), identifiers or control numbers that do
            not fit their element, or a version that is not six digits.
    """

    sender_qualifier: str
    sender_id: str
    sender_group_id: str = ""  #: GS02; empty: as ISA06
    receiver_qualifier: str
    receiver_id: str
    receiver_group_id: str = ""  #: GS03; empty: as ISA08
    interchange_number: int  #: ISA13, 1 to 999,999,999
    group_number: int  #: GS06, 1 to 999,999,999
    set_number: int = 1  #: ST02 of the first set; the following count on
    version: str = "004010"  #: GS08 without suffix; ISA12 follows from it
    version_suffix: str = ""  #: VICS, UCS …
    usage: str = "P"  #: ISA15: P production, T test, I information
    acknowledgment_requested: bool = False  #: ISA14: a TA1 is wanted
    delimiters: Delimiters = field(default_factory=Delimiters)
    newline_after_segment: bool = False
    at: datetime  #: written as it stands: X12 has no zone here

    def __post_init__(self) -> None:
        marks = self.delimiters
        used = [mark for mark in (marks.element, marks.segment, marks.component, marks.repetition) if mark is not None]
        if len(set(used)) != len(used) or any(
            len(mark) != 1 or mark.isalnum() or mark == " " or ord(mark) > 255 for mark in used
        ):
            raise ValueError(f"separators must be different single characters, not letters, digits or blanks: {used!r}")
        if not re.fullmatch(r"\d{6}", self.version):
            raise ValueError(f"version: {self.version!r} is not six digits")
        if self.usage not in {"P", "T", "I"}:
            raise ValueError(f"usage: {self.usage!r} is not P, T or I")
        for name, value, longest in (
            ("sender_qualifier", self.sender_qualifier, 2),
            ("receiver_qualifier", self.receiver_qualifier, 2),
            ("sender_id", self.sender_id, 15),
            ("receiver_id", self.receiver_id, 15),
            ("sender_group_id", self.sender_group_id or self.sender_id, 15),
            ("receiver_group_id", self.receiver_group_id or self.receiver_id, 15),
            ("version_suffix", self.version_suffix, 6),
        ):
            beyond = max(value, default="") > "\xff"
            if len(value) > longest or beyond or not value.isprintable() or any(mark in value for mark in used):
                raise ValueError(
                    f"{name}: {value!r} does not fit its element ({longest} characters of latin-1, no separators)"
                )
        if not (self.sender_id.strip() and self.receiver_id.strip()):
            raise ValueError("sender_id and receiver_id must say who writes to whom")
        for number_name, number in (
            ("interchange_number", self.interchange_number),
            ("group_number", self.group_number),
            ("set_number", self.set_number),
        ):
            if not 0 < number <= 999_999_999:
                raise ValueError(f"{number_name}: {number} is not between 1 and 999,999,999")


def envelop(
    functional_id: str,
    sets: Sequence[tuple[str, Sequence[Sequence[str]]]],
    envelope: Envelope,
    *,
    acknowledgments: Sequence[Sequence[str]] = (),
) -> bytes:
    """Wrap transaction sets into one functional group in one interchange.

    Args:
        functional_id: GS01, e.g. ``"PO"``.
        sets: of each set its ST01, e.g. ``"850"``, and its segments between ST and SE.
        envelope: the addresses, numbers and separators.
        acknowledgments: TA1 segments, which stand between ISA and GS; with one of them an interchange may do without sets.

    Returns:
        The interchange in latin-1. Of text, what lies beyond latin-1 is written as the nearest character within.

    Raises:
        ForeignCharacter: an identifier, code or number holds a separator, a control character or a character beyond
            latin-1: ``REF02 of '850' …``.
        ValueError: no set, or too many for the control numbers.
    """
    if not sets and not acknowledgments:
        raise ValueError("an interchange without a transaction set says nothing")
    if envelope.set_number + len(sets) - 1 > 999_999_999:
        raise ValueError(f"set_number: {envelope.set_number} leaves no numbers for {len(sets)} sets")
    marks = envelope.delimiters
    join = marks.element.join
    clean = _Cleaner(marks)
    lines = [_isa(envelope), *clean("TA1", acknowledgments)]
    if sets:
        lines.append(join(_gs(functional_id, envelope)))
    for number, (code, body) in enumerate(sets, envelope.set_number):
        control = f"{number:04d}"
        lines.append(join(("ST", code, control)))
        lines.extend(clean(code, body))
        lines.append(join(("SE", str(len(body) + 2), control)))
    if sets:
        lines.append(join(("GE", str(len(sets)), str(envelope.group_number))))
    lines.append(join(("IEA", "1" if sets else "0", f"{envelope.interchange_number:09d}")))
    end = marks.segment + ("\n" if envelope.newline_after_segment and marks.segment not in "\r\n" else "")
    return (end.join(lines) + end).encode("latin-1")


def write(record: CanonicalRecord, envelope: Envelope) -> bytes:
    """Write one record as an interchange of its own, which our own engine accepts.

    Raises:
        ValueError: the record says something X12 has no code or no room for, or lacks what the set must have; each fault begins
            with the field: ``lines.0.description: PID05 (segment 8): …``.
    """
    functional_id, set_code, body = records.segments(record, envelope.version)
    try:
        data = envelop(functional_id, [(set_code, body)], envelope)
    except ForeignCharacter as refused:
        origin = records.origins(record, envelope.version)[refused.index]
        raise ValueError(f"{origin.named(refused.element)}: {refused}") from refused
    if found := _faults(data):
        raise ValueError(" ".join(_told(found, records.origins(record, envelope.version))))
    return data


def read_back(data: bytes) -> None:
    """Make sure of a document that was not written by ``write``, an acknowledgment, that nobody needs to refuse it.

    Raises:
        ValueError: what our own engine finds wrong with it, in words.
    """
    if found := _faults(data):
        raise ValueError(" ".join(_told(found, ())))


def _faults(data: bytes) -> list[Finding]:
    """What our own engine would refuse ``data`` for."""
    found: list[Finding] = []
    for interchange in read(data):
        found += interchange.findings
        for group in interchange.groups:
            found += group.findings
            for one in group.sets:
                found += one.findings
    return [each for each in found if each.severity is Severity.ERROR]


def _told(found: Iterable[Finding], origins: Sequence[Origin]) -> Iterator[str]:
    """The words of the first faults, each behind the field it is about. Segment 1 is ST, so the body starts with 2."""
    for fault in islice(found, MAX_FAULTS):
        index = (fault.position or 0) - 2
        field_name = origins[index].named(fault.element) if 0 <= index < len(origins) else ""
        yield f"{field_name}: {fault.text}" if field_name else fault.text


class ForeignCharacter(ValueError):
    """A value that identifies something holds a character that cannot be written."""

    def __init__(self, code: str, segment: str, index: int, element: int, value: str, character: str) -> None:
        super().__init__(f"{segment}{element:02d} of {code!r}: {value!r} holds {character!r}, which cannot be written")
        self.index = index  #: of the segment in its set, 0 the first between ST and SE
        self.element = element


#: Say nothing at either end of a value, and readers take them off.
_BLANKS: Final = " \xa0"

#: Latin-1 that may be read as the UTF-8 many partners send: text survives that, an identifier becomes another one.
_LIKE_UTF_8: Final = re.compile("[\xc2-\xf4][\xa0-\xbf]")


class _Cleaner:
    """Joins segments, looking twice only at those that hold a character which does not belong."""

    def __init__(self, marks: Delimiters) -> None:
        structural = marks.element + marks.segment + marks.component + (marks.repetition or "")
        self._marks = marks
        self._foreign = re.compile(f"[{re.escape(structural)}\x00-\x1f\x7f-\x9f\u0100-\U0010ffff]")
        separator = re.escape(marks.element)
        self._suspect = re.compile(
            f"[{re.escape(structural.replace(marks.element, ''))}\x00-\x1f\x7f-\x9f\u0100-\U0010ffff]"
            f"|{separator}[{_BLANKS}]|[{_BLANKS}](?:{separator}|$)|{_LIKE_UTF_8.pattern}"
        )

    def __call__(self, code: str, body: Iterable[Sequence[str]]) -> Iterable[str]:
        separator = self._marks.element
        for index, segment in enumerate(body):
            line = separator.join(segment).rstrip(separator)
            if self._suspect.search(line) or separator.join(segment).count(separator) != len(segment) - 1:
                line = separator.join(
                    self._element(code, segment[0], index, number, value) for number, value in enumerate(segment)
                ).rstrip(separator)
            yield line

    def _element(self, code: str, segment_id: str, index: int, number: int, value: str) -> str:
        described = element_at(segment_id, number)
        if described is not None and described.kind == "TX":
            return self._foreign.sub(" ", in_latin_1(value)).strip()
        # Only a composite may hold components: anywhere else their separator would be one more foreign character.
        value = value.strip(_BLANKS)
        pieces = value.split(COMPONENT) if described is None or described.components else [value]
        for piece in pieces:
            if found := self._foreign.search(piece) or _LIKE_UTF_8.search(piece):
                raise ForeignCharacter(code, segment_id, index, number, value, found.group())
        return self._marks.component.join(pieces)


def _isa(envelope: Envelope) -> str:
    repeats = envelope.version[:5] >= "00402" and envelope.delimiters.repetition
    elements = (
        *("ISA", "00", " " * 10, "00", " " * 10),
        *(f"{envelope.sender_qualifier:<2}", f"{envelope.sender_id:<15}"),
        *(f"{envelope.receiver_qualifier:<2}", f"{envelope.receiver_id:<15}"),
        *(f"{envelope.at:%y%m%d}", f"{envelope.at:%H%M}"),
        repeats or "U",
        envelope.version[:5],
        f"{envelope.interchange_number:09d}",
        "1" if envelope.acknowledgment_requested else "0",
        envelope.usage,
        envelope.delimiters.component,
    )
    return envelope.delimiters.element.join(elements)


def _gs(functional_id: str, envelope: Envelope) -> tuple[str, ...]:
    return (
        *("GS", functional_id),
        (envelope.sender_group_id or envelope.sender_id).strip(),
        (envelope.receiver_group_id or envelope.receiver_id).strip(),
        *(f"{envelope.at:%Y%m%d}", f"{envelope.at:%H%M}", str(envelope.group_number)),
        *("X", envelope.version + envelope.version_suffix),
    )
