"""X12 on the way out: transaction sets put into a functional group and an interchange, byte for byte.

Segments are lists of text, identifier first, and know nothing of separators: a composite element joins its components with
``COMPONENT``, and the envelope decides which byte that becomes. No clock and no counter here: the time and every control
number come with the ``Envelope``.

A value must never break the structure around it. Free text (descriptions, names, notes: ``TEXT``) gives way: a separator or
control character in it becomes a blank. Anything else identifies something, and a part number or an amount with a character
changed is another part number: it is refused.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from edi_maps.canonical import CanonicalRecord
from edi_maps.x12 import records
from edi_maps.x12.segments import COMPONENT, Delimiters

#: Elements that are read by people: (segment, element).
TEXT: Final = frozenset(
    {
        *(("AK4", 4), ("IK4", 4), ("TED", 2), ("TED", 7), ("NTE", 2), ("MSG", 1), ("MTX", 2), ("PID", 5), ("REF", 3)),
        *(
            ("N1", 2),
            ("N2", 1),
            ("N2", 2),
            ("N3", 1),
            ("N3", 2),
            ("N4", 1),
            ("PER", 2),
            ("ITD", 12),
            ("TD5", 5),
            ("N9", 3),
        ),
        *(("ACK", 30), ("SAC", 15), ("FOB", 3), ("FOB", 7), ("PKG", 5), ("MTX", 3), ("TD1", 5)),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """Who writes to whom, under which numbers and with which separators: all that ISA, GS and ST say.

    Raises:
        ValueError: separators that are not four different, non-alphanumeric characters, identifiers or control numbers that do
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
        if len(set(used)) != len(used) or any(len(mark) != 1 or mark.isalnum() or ord(mark) > 255 for mark in used):
            raise ValueError(f"separators must be different single characters, not letters or digits: {used!r}")
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
            if len(value) > longest or not value.isprintable() or any(mark in value for mark in used):
                raise ValueError(f"{name}: {value!r} does not fit its element ({longest} characters, no separators)")
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
        ValueError: no set, too many for the control numbers, or an identifier, code or number that holds a separator, a
            control character or a character beyond latin-1: ``REF02 of '850' …``.
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
    """Write one record as an interchange of its own.

    Raises:
        ValueError: the record says something X12 has no code or no room for, or lacks what the set must have.
    """
    functional_id, set_code, body = records.segments(record, envelope.version)
    return envelop(functional_id, [(set_code, body)], envelope)


class _Cleaner:
    """Joins segments, looking twice only at those that hold a character which does not belong."""

    def __init__(self, marks: Delimiters) -> None:
        structural = marks.element + marks.segment + marks.component + (marks.repetition or "")
        self._marks = marks
        self._foreign = re.compile(f"[{re.escape(structural)}\x00-\x1e\x7f-\x9f\u0100-\U0010ffff]")
        self._suspect = re.compile(
            f"[{re.escape(structural.replace(marks.element, ''))}\x00-\x1f\x7f-\x9f\u0100-\U0010ffff]"
        )

    def __call__(self, code: str, body: Iterable[Sequence[str]]) -> Iterable[str]:
        separator = self._marks.element
        for segment in body:
            line = separator.join(segment).rstrip(separator)
            if self._suspect.search(line) or separator.join(segment).count(separator) != len(segment) - 1:
                line = separator.join(
                    self._element(code, segment[0], number, value) for number, value in enumerate(segment)
                ).rstrip(separator)
            yield line

    def _element(self, code: str, segment_id: str, number: int, value: str) -> str:
        if (segment_id, number) in TEXT:
            plain = self._foreign.sub(lambda found: _nearest(found.group()), value)
            return self._foreign.sub(" ", plain).replace(COMPONENT, " ").rstrip()
        if found := self._foreign.search(value):
            raise ValueError(
                f"{segment_id}{number:02d} of {code!r}: {value!r} holds {found.group()!r}, which cannot be written"
            )
        return value.replace(COMPONENT, self._marks.component)


def in_latin_1(text: str) -> str:
    """``text`` as it can be written: whoever fits a text into an element counts these characters."""
    return "".join(character if character <= "\xff" else _nearest(character) for character in text)


def _nearest(character: str) -> str:
    """What latin-1 has for a character beyond it: its usual substitute, the letter without its accent, or ``?``."""
    if character <= "\xff":
        return " "
    plain = unicodedata.normalize("NFKD", character).encode("latin-1", errors="ignore").decode("latin-1")
    return _SUBSTITUTES.get(character) or plain or "?"


_SUBSTITUTES: Final = {
    "‐": "-",
    "‑": "-",
    "–": "-",
    "—": "-",
    "−": "-",
    "‘": "'",
    "’": "'",
    "“": '"',
    "”": '"',
    "€": "EUR",
    "Ł": "L",
    "ł": "l",
}


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
