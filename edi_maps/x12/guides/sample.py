"""Sample documents made from a guide: the least it asks for, and all it allows, once each.

A sample shows what a guide lets one say; what it says is invented and adds up to nothing. The same guide gives the same sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from edi_maps.x12.segments import COMPONENT
from edi_maps.x12.stock import composite_if, element_if, loop_if, map_if, segment_if

#: The segments of a set between ST and SE, as ``writer.envelop`` takes them.
Body = list[list[str]]

#: Values by data element, taken in turn within a segment. All else is made up from type and width, or is the element's name.
VALUES: Final[dict[str, tuple[str, ...]]] = {
    "19": ("DAYTON",),
    "26": ("US",),
    "66": ("92",),
    "67": ("100017",),
    "87": ("00001234560000000018",),
    "93": ("NORTHMILL FASTENERS",),
    "100": ("USD",),
    "103": ("CTN",),
    "110": ("TA",),
    "116": ("45402",),
    "127": ("4711",),
    "128": ("ZZ",),
    "140": ("HLGF",),
    "143": ("850",),
    "156": ("OH",),
    "166": ("14 MILL STREET",),
    "212": ("12.5",),
    "234": ("MW-00417", "AF0000417", "00012345600012"),
    "235": ("BP", "VP", "UP"),
    "324": ("PO-4711",),
    "329": ("0001",),
    "332": ("2.5",),
    "350": ("1",),
    "352": ("HEX BOLT M8",),
    "355": ("EA",),
    "364": ("555-0142",),
    "365": ("TE",),
    "374": ("002",),
    "396": ("SH-7731",),
    "479": ("PO",),
    "480": ("004010",),
    "725": ("355",),
    "1005": ("0001",),
    "1073": ("Y",),
    "1250": ("D8",),
    "1251": ("20261120",),
}
_BY_TYPE: Final = {"DT": "20261120", "TM": "1030", "R": "1", "B": "0"}


def least(guide: map_if) -> Body:
    """Every required segment once, with its required elements and those its conditions then demand."""
    return _Sample(lambda usage: usage == "R", _least_elements).body(guide)


def most(guide: map_if) -> Body:
    """Every segment and every loop once, each with all the elements that may stand together."""
    return _Sample(lambda usage: usage != "N", _most_elements).body(guide)


@dataclass(slots=True)
class _Sample:
    wants: Callable[[str | None], bool]  #: by usage: R, S or N
    elements: Callable[[segment_if], set[int]]
    segments: Body = field(default_factory=list)
    levels: int = 0

    def body(self, guide: map_if) -> Body:
        top = guide.getnodebypath("/ISA_LOOP/GS_LOOP/ST_LOOP")
        if not isinstance(top, loop_if):
            raise TypeError(f"{guide.id}: ST_LOOP is not a loop")
        self.loop(top, "")
        return [segment for segment in self.segments if segment[0] not in {"ST", "SE"}]

    def loop(self, source: loop_if, above: str) -> None:
        """Add the parts of a loop in their order. ``above``: HL01 of the level it stands in, '' outside of levels."""
        level = above
        for child in _children(source):
            if not self.wants(child.usage):
                continue
            if isinstance(child, loop_if):
                self.loop(child, level)
            elif child.id == "HL":
                self.levels += 1
                level = str(self.levels)
                self.segments.append(self.level(child, level, above, source))
            else:
                self.segments.append(_segment(child, self.elements(child)))

    def level(self, source: segment_if, number: str, parent: str, loop: loop_if) -> list[str]:
        below = any(isinstance(child, loop_if) and self.wants(child.usage) for child in _levels(loop))
        code = source.children[2]
        return ["HL", number, parent, _code(code) if isinstance(code, element_if) else "", "1" if below else "0"]


def _children(source: loop_if) -> Iterator[loop_if | segment_if]:
    for position in sorted(source.pos_map):
        yield from (child for child in source.pos_map[position] if isinstance(child, loop_if | segment_if))


def _levels(source: loop_if) -> Iterator[loop_if]:
    """The levels below this one."""
    for child in _children(source):
        if isinstance(child, loop_if) and (first := child.get_first_seg()) is not None and first.id == "HL":
            yield child


# -- which elements


def _least_elements(source: segment_if) -> set[int]:
    filled = {number for number, child in enumerate(source.children, start=1) if child.usage == "R"}
    return _completed(source, filled, set()) or {1}  # no segment is empty


def _most_elements(source: segment_if) -> set[int]:
    """All elements, but of those that exclude each other the first one only."""
    required = {number for number, child in enumerate(source.children, start=1) if child.usage == "R"}
    excluded: set[int] = set()
    for kind, *numbers in source.syntax:
        if kind == "E":
            keeps = next((number for number in numbers if number in required), numbers[0])
            excluded |= {number for number in numbers if number != keeps}
    filled = {number for number, child in enumerate(source.children, start=1) if child.usage != "N"}
    return _completed(source, filled - excluded, excluded)


def _completed(source: segment_if, filled: set[int], excluded: set[int]) -> set[int]:
    """``filled`` with what its conditions demand, as far as that may stand there."""
    before: set[int] = set()
    while filled != before:
        before = set(filled)
        for kind, *numbers in source.syntax:
            there = [number for number in numbers if number in filled]
            if kind == "R" and not there:
                filled.add(numbers[0])
            elif (kind == "P" and there) or (kind == "C" and numbers[0] in filled):
                filled.update(numbers)
            elif kind == "L" and there == [numbers[0]]:
                filled.add(numbers[1])
        filled -= excluded
    return filled


# -- what stands in them


def _segment(source: segment_if, filled: set[int]) -> list[str]:
    values = _Values()
    elements = [
        _element(child, values) if number in filled else "" for number, child in enumerate(source.children, start=1)
    ]
    while elements and not elements[-1]:
        elements.pop()
    return [source.id or "", *elements]


def _element(source: element_if | composite_if, values: _Values) -> str:
    if isinstance(source, element_if):
        return values.next(source)
    return COMPONENT.join(values.next(child) for child in source.children if child.usage != "N")


class _Values:
    """The values of one segment: an element that comes again gets the next of its values."""

    def __init__(self) -> None:
        self.taken: dict[str, int] = {}

    def next(self, source: element_if) -> str:
        if source.valid_codes:
            return _code(source)
        number = source.data_ele or ""
        turn = self.taken.get(number, 0)
        self.taken[number] = turn + 1
        if number in VALUES:
            return VALUES[number][turn % len(VALUES[number])]
        return _made_up(source)


def _code(source: element_if) -> str:
    """The first code that may stand here."""
    return next((code for code in source.valid_codes if code), "")


def _made_up(source: element_if) -> str:
    described = source.root.data_elements.get_by_elem_num(source.data_ele)
    kind: str = described["data_type"] or "AN"
    shortest: int = described["min_len"]
    longest: int = described["max_len"]
    if kind == "ID":
        return "Z" * shortest
    if kind == "AN":
        name = "".join(character for character in described["name"] or "" if character.isalnum() or character == " ")
        return name.upper()[:longest].strip().ljust(shortest, "X")
    if kind == "DT" and longest == 6:
        return _BY_TYPE["DT"][2:]
    return _BY_TYPE.get(kind, "1").rjust(shortest, "0")
