"""Small damages to an interchange: at bytes, elements, segments and the envelope.

Every mutation is a function of the segments and a source of chance; the same chance gives the same damage. Damage inside a
transaction set leaves its count right, so that what is wrong is the damage alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

#: An ISA as it should be; its version in the second group.
_HEADER: Final = re.compile(
    rb"ISA(.)..\1.{10}\1..\1.{10}(?:\1..\1.{15}){2}\1.{6}\1.{4}\1.\1(.{5})\1.{9}\1.\1.\1..", re.DOTALL
)


def version_in_place(data: bytes) -> str:
    """ISA12 when the ISA has its 106 bytes, else ''."""
    found = _HEADER.match(data)
    return found[2].decode("latin-1") if found else ""


@dataclass(slots=True)
class Wire:
    """An interchange taken apart by the delimiters of its ISA, in latin-1."""

    segments: list[str]
    element: str
    component: str
    terminator: str
    newline: str

    @classmethod
    def of(cls, data: bytes) -> Wire:
        text = data.decode("latin-1")
        terminator = text[105]
        newline = "\r\n" if text[106:108] == "\r\n" else "\n" if text[106:107] == "\n" else ""
        segments = [segment.strip("\r\n") for segment in text.split(terminator)]
        return cls([segment for segment in segments if segment], text[3], text[104], terminator, newline)

    def data(self) -> bytes:
        end = self.terminator + self.newline
        return "".join(segment + end for segment in self.segments).encode("latin-1")

    def identifier(self, at: int) -> str:
        return self.segments[at].split(self.element, 1)[0]

    def places(self, *identifiers: str) -> list[int]:
        return [at for at in range(len(self.segments)) if self.identifier(at) in identifiers]

    def is_whole(self) -> bool:
        """Whether the segments of the envelope are there, and something inside of them."""
        envelope = ("ISA", "GS", "ST", "SE", "GE", "IEA")
        return all(self.places(identifier) for identifier in envelope) and bool(self.inside())

    def inside(self) -> list[int]:
        """The segments between ST and SE."""
        envelope = {"ISA", "GS", "ST", "SE", "GE", "IEA", "TA1"}
        return [at for at in range(len(self.segments)) if self.identifier(at) not in envelope]

    def replace(self, at: int, number: int, value: str) -> None:
        elements = self.segments[at].split(self.element)
        elements += [""] * (number + 1 - len(elements))
        elements[number] = value
        self.segments[at] = self.element.join(elements)

    def recount(self) -> None:
        """Make every SE01 right."""
        start: int | None = None
        for at in range(len(self.segments)):
            match self.identifier(at):
                case "ST":
                    start = at
                case "SE" if start is not None:
                    self.replace(at, 1, str(at - start + 1))
                    start = None


Mutation = Callable[[Wire, Random], None]

VALUES: Final = (
    *(
        "",
        " ",
        "X",
        "ZZ",
        "00",
        "EA",
        "BP",
        "A B",
        "12 ",
        " 12",
        "é",
        "a",
        "^",
        "A^B",
        "A:B",
        "'",
        '"',
        "\t",
        "\x07",
        "\\",
    ),
    *("0", "1", "-5", "-", "+5", "1.5", ".5", "20.", "0.0", "1e3", "00000001", "12345678901234567890", "1,5", "1.2.3"),
    *("20261120", "20261301", "20260230", "261120", "2026112", "99999999", "2026-11-20"),
    *("1030", "2460", "103060", "10306", "25", "103045999"),
    *("A" * 81, "7" * 31, "AB" * 200),
)
SEGMENTS: Final = (
    *("ZZ*1", "NTE**HELLO", "REF*ZZ*1", "REF*ZZ", "DTM*002*20261120", "DTM*002", "N1*ST*X", "N4*DAYTON*OH", "MAN*GM*1"),
    *("HL*5*1*I", "HL*9**S", "LIN**VN*1", "PO1*1*5*EA", "PO1", "CTT*1", "PID*F****TEXT", "ACK*IA*5*EA", "SN1*1*5*EA"),
    *("MSG*HELLO", "N9*ZZ*1", "CUR*BY*USD", "BEG*00*SA*1**20261120", "PRF*4711", "SLN*1**I", "QTY*01*5", "ST*850*0009"),
    *("", "*", "po1*1*5*EA", "TD5*O*2*HLGF*M", "AMT*TT*5", "SE*5*0001", "AK2*850*0001", "FST*5*C*D*20261120"),
)


# -- bytes


def another_byte(wire: Wire, chance: Random) -> None:
    _splice(wire, chance, lambda text, at: text[:at] + chr(chance.randrange(256)) + text[at + 1 :])


def one_byte_less(wire: Wire, chance: Random) -> None:
    _splice(wire, chance, lambda text, at: text[:at] + text[at + 1 :])


def one_byte_more(wire: Wire, chance: Random) -> None:
    marks = (wire.element, wire.component, wire.terminator, "\r", "\n", " ", "A", "\x00", "\xff")
    _splice(wire, chance, lambda text, at: text[:at] + chance.choice(marks) + text[at:])


def two_bytes_swapped(wire: Wire, chance: Random) -> None:
    _splice(wire, chance, lambda text, at: text[:at] + text[at : at + 2][::-1] + text[at + 2 :])


def a_stretch_lost(wire: Wire, chance: Random) -> None:
    _splice(wire, chance, lambda text, at: text[:at] + text[at + chance.randrange(2, 60) :])


def a_stretch_twice(wire: Wire, chance: Random) -> None:
    _splice(wire, chance, lambda text, at: text[: at + chance.randrange(2, 60)] + text[at:])


def cut_off(wire: Wire, chance: Random) -> None:
    _splice(wire, chance, lambda text, at: text[:at])


def _splice(wire: Wire, chance: Random, change: Callable[[str, int], str]) -> None:
    text = wire.data().decode("latin-1")
    # What follows is cut no further: the whole is one piece without an end of its own.
    wire.segments = [change(text, chance.randrange(len(text)))]
    wire.terminator = wire.newline = ""


# -- elements, inside transaction sets


def another_value(wire: Wire, chance: Random) -> None:
    at = chance.choice(wire.inside())
    count = wire.segments[at].count(wire.element)
    wire.replace(at, chance.randrange(1, count + 1) if count else 1, chance.choice(VALUES))


def no_value(wire: Wire, chance: Random) -> None:
    at = chance.choice(wire.inside())
    count = wire.segments[at].count(wire.element)
    if count:
        number = chance.randrange(1, count + 1)
        wire.replace(at, number, "")
        if number == count:
            wire.segments[at] = wire.segments[at].rstrip(wire.element)


def a_value_more(wire: Wire, chance: Random) -> None:
    at = chance.choice(wire.inside())
    wire.segments[at] += wire.element * chance.choice((1, 1, 2, 9)) + chance.choice(VALUES)


def a_value_less(wire: Wire, chance: Random) -> None:
    at = chance.choice(wire.inside())
    wire.segments[at] = wire.segments[at].rpartition(wire.element)[0] or wire.segments[at]


def two_values_swapped(wire: Wire, chance: Random) -> None:
    at = chance.choice(wire.inside())
    elements = wire.segments[at].split(wire.element)
    if len(elements) > 2:
        number = chance.randrange(1, len(elements) - 1)
        elements[number : number + 2] = elements[number : number + 2][::-1]
        wire.segments[at] = wire.element.join(elements)


def a_composite(wire: Wire, chance: Random) -> None:
    at = chance.choice(wire.inside())
    count = wire.segments[at].count(wire.element)
    value = wire.component.join(chance.choice(VALUES) for _ in range(chance.choice((2, 2, 3, 20))))
    wire.replace(at, chance.randrange(1, count + 2), value)


def a_value_of_elsewhere(wire: Wire, chance: Random) -> None:
    at, other = chance.choice(wire.inside()), chance.choice(wire.inside())
    values = wire.segments[other].split(wire.element)[1:]
    count = wire.segments[at].count(wire.element)
    if values and count:
        wire.replace(at, chance.randrange(1, count + 1), chance.choice(values))


# -- segments, inside transaction sets


def a_segment_lost(wire: Wire, chance: Random) -> None:
    del wire.segments[chance.choice(wire.inside())]


def a_segment_twice(wire: Wire, chance: Random) -> None:
    at = chance.choice(wire.inside())
    wire.segments.insert(at, wire.segments[at])


def a_segment_often(wire: Wire, chance: Random) -> None:
    at = chance.choice(wire.inside())
    wire.segments[at:at] = [wire.segments[at]] * chance.choice((5, 30, 120))


def two_segments_swapped(wire: Wire, chance: Random) -> None:
    at = chance.choice(wire.inside())
    wire.segments[at : at + 2] = wire.segments[at : at + 2][::-1]


def a_segment_elsewhere(wire: Wire, chance: Random) -> None:
    places = wire.inside()
    segment = wire.segments.pop(chance.choice(places))
    wire.segments.insert(chance.choice(places), segment)


def a_strange_segment(wire: Wire, chance: Random) -> None:
    segment = chance.choice(SEGMENTS).replace("*", wire.element)
    wire.segments.insert(chance.choice(wire.inside()), segment)


def a_segment_of_elsewhere(wire: Wire, chance: Random) -> None:
    places = wire.inside()
    wire.segments.insert(chance.choice(places), wire.segments[chance.choice(places)])


def a_stretch_of_segments_lost(wire: Wire, chance: Random) -> None:
    at = chance.choice(wire.inside())
    del wire.segments[at : min(at + chance.randrange(2, 6), len(wire.segments) - 3)]


# -- the envelope


def another_value_of_the_envelope(wire: Wire, chance: Random) -> None:
    at = chance.choice(wire.places("ISA", "GS", "ST", "SE", "GE", "IEA"))
    number = chance.randrange(1, wire.segments[at].count(wire.element) + 1)
    wire.replace(at, number, chance.choice((*VALUES, "PO", "PR", "SH", "FA", "004010", "005010", "00501", "850", "2")))


def a_segment_of_the_envelope_lost(wire: Wire, chance: Random) -> None:
    del wire.segments[chance.choice(wire.places("GS", "ST", "SE", "GE", "IEA"))]


def a_segment_of_the_envelope_twice(wire: Wire, chance: Random) -> None:
    at = chance.choice(wire.places("ISA", "GS", "ST", "SE", "GE", "IEA"))
    wire.segments.insert(at, wire.segments[at])


def a_set_twice(wire: Wire, chance: Random) -> None:
    start, end = wire.places("ST")[0], wire.places("SE")[0]
    wire.segments[start:start] = wire.segments[start : end + 1]
    if chance.random() < 0.5:
        wire.replace(wire.places("GE")[0], 1, str(len(wire.places("ST"))))


def an_interchange_twice(wire: Wire, chance: Random) -> None:
    wire.segments += list(wire.segments)
    if chance.random() < 0.5:
        for at in wire.places("ISA")[1:]:
            wire.replace(at, 13, "000000999")
        wire.replace(len(wire.segments) - 1, 2, "000000999")


def a_group_twice(wire: Wire, chance: Random) -> None:
    start, end = wire.places("GS")[0], wire.places("GE")[0]
    wire.segments[start:start] = wire.segments[start : end + 1]
    if chance.random() < 0.5:
        wire.replace(start, 6, "999")
        wire.replace(wire.places("GE")[0], 2, "999")
    wire.replace(wire.places("IEA")[0], 1, str(len(wire.places("GS"))))


def counts_of_the_envelope_shifted(wire: Wire, chance: Random) -> None:
    at = chance.choice(wire.places("SE", "GE", "IEA"))
    wire.replace(at, 1, str(chance.randrange(0, 40)))


def zeros_before_a_count(wire: Wire, chance: Random) -> None:
    at = chance.choice(wire.places("SE", "GE", "IEA"))
    number = wire.segments[at].split(wire.element)[1]
    wire.replace(at, 1, number.rjust(5, "0"))


BYTES: Final = (another_byte, one_byte_less, one_byte_more, two_bytes_swapped, a_stretch_lost, a_stretch_twice, cut_off)
ELEMENTS: Final = (
    *(another_value, another_value, another_value, no_value, no_value, a_value_more, a_value_less, two_values_swapped),
    *(a_composite, a_value_of_elsewhere),
)
IN_SETS: Final = (
    *(a_segment_lost, a_segment_twice, a_segment_often, two_segments_swapped, a_segment_elsewhere, a_strange_segment),
    *(a_segment_of_elsewhere, a_stretch_of_segments_lost),
)
ENVELOPE: Final = (
    *(another_value_of_the_envelope, another_value_of_the_envelope, a_segment_of_the_envelope_lost),
    *(
        a_segment_of_the_envelope_twice,
        a_set_twice,
        an_interchange_twice,
        a_group_twice,
        counts_of_the_envelope_shifted,
    ),
    zeros_before_a_count,
)
LEVELS: Final[tuple[tuple[Mutation, ...], ...]] = (BYTES, ELEMENTS, ELEMENTS, IN_SETS, IN_SETS, ENVELOPE)


def mutated(data: bytes, seed: str) -> tuple[str, bytes]:
    """One damage to a document: its name, and the document.

    Args:
        data: an interchange with an ISA of 106 bytes that is whole, see ``Wire``.
        seed: decides everything.
    """
    chance = Random(seed)
    mutation = chance.choice(chance.choice(LEVELS))
    wire = Wire.of(data)
    mutation(wire, chance)
    if mutation in ELEMENTS or mutation in IN_SETS:
        wire.recount()
    return mutation.__name__, wire.data()
