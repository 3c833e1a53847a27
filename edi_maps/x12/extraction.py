"""Canonical values out of X12 trees: the reading half of the map sheets.

A sheet is compiled once: every part of every block becomes one function, its *taker*, that knows its elements by number and asks
no questions that its rows have answered already. Reading a document is handing its segments, in the order of the wire, to the
takers of their name. ``edi_maps.mapping`` tells the language of the sheets, ``takers`` writes the functions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final

from edi_maps.findings import Finding, finding
from edi_maps.mapping import Block, Entries, Key, Part, Texts, Values, ValueType
from edi_maps.x12 import elements, takers
from edi_maps.x12.elements import only
from edi_maps.x12.segments import Loop
from edi_maps.x12.takers import ANY, Data, Taker

#: Findings of one set about its values; beyond, more of them tell nobody anything.
MAX_FINDINGS: Final = 1_000


class X12Wire:
    """What ``mapping.load`` has to know about X12."""

    def type_at(self, kind: str, name: str, key: Key) -> ValueType:
        return elements.type_at(kind, name, key)

    def address(self, at: str) -> tuple[str, Key]:
        return elements.address(at)

    def prepare(self, part: Part) -> None:
        """Compile the part to its taker."""
        qualifiers = [only(wanted) for name, _, wanted in part.where if name == part.name]
        if qualifier := next(filter(None, qualifiers), ""):
            part.label = f"{part.name}({qualifier})"

    def plan(self, parts: Sequence[Part]) -> Takers:
        """Compile the parts to their takers."""
        return _takers(parts, traced=False)


class Reader:
    """Reads one transaction set; every value that is not what it should be is one finding, and the rest is still read."""

    def __init__(self, component: str = "", *, traced: bool = False) -> None:
        """
        Args:
            component: the component separator, to keep composite elements apart under ``extra``.
            traced: note where every value comes from, see ``source``.
        """
        self.findings: list[Finding] = []
        self.most = MAX_FINDINGS  #: findings that are listed
        self.component = component
        self.traced = traced
        self.sources: dict[int, Source] = {}  #: by the identity of the record at hand
        self.wanted: set[int] = set()  #: identities of the segments that values are traced to
        self.qualifiers: list[tuple[list[str], Qualifiers]] = []  #: of every segment taken that has any
        self.constants: list[tuple[list[str], int]] = []  #: elements that are always the same, and say nothing
        self.root: Data = {}  #: the values of the document itself, once it is read
        self._scope: Loop | None = None
        self._positions: dict[int, int] | None = None

    def within(self, scope: Loop) -> None:
        """What is read from here on stands in ``scope``: that is where positions are looked up."""
        self._scope, self._positions = scope, None

    def position(self, segment: list[str]) -> int | None:
        """The position of a segment in its set, ST = 1; None when it is not of the scope that is being read."""
        if self._positions is None:
            scope = self._scope
            self._positions = {} if scope is None else {id(each): place for place, each in scope.everything()}
        return self._positions.get(id(segment))

    def read(self, block: Block, scope: Loop | list[str], data: Data) -> Data:
        """Fill ``data`` with the fields that ``block`` finds in ``scope``, and return what it has no home for."""
        left: Data = {}
        self.fill(block, scope, data, left)
        return left

    def fill(self, block: Block, scope: Loop | list[str], data: Data, left: Data) -> None:
        """As ``read``, into a ``left`` that is there already."""
        if isinstance(scope, Loop):
            self.walk(block, scope, data, left, set())
            return
        takers = self.plans(block).get(scope[0])
        if takers is None or not self.hand(takers, scope, scope, data, left, set()):
            self.keep(scope, left)

    def walk(self, block: Block, scope: Loop, data: Data, left: Data, taken: set[Part]) -> None:
        """Hand the segments of a loop, then the loops in it, to the takers of their name."""
        plans = self.plans(block)
        for segment in scope.segments:
            name = segment[0]
            takers = plans.get(name)
            if takers is not None:
                for taker in takers.get(segment[1] if len(segment) > 1 else "") or takers[None]:
                    if taker(self, segment, data, left, taken):
                        break
                else:
                    self.keep(segment, left)
            elif name not in _PASSED_OVER:
                # The envelope, and levels: whoever knows their order places those, never a row.
                self.keep(segment, left)
        for loop in scope.loops:
            if loop.id != "HL":
                self.enter(block, loop, data, left, taken)

    def enter(self, block: Block, loop: Loop, data: Data, left: Data, taken: set[Part]) -> None:
        """Hand a loop to the takers of its name; one that is only a wrapper to the sheet, such as CTT around CTT and AMT, to
        those of its segments."""
        if loop.id not in block.entered or not loop.segments:
            self.walk(block, loop, data, left, taken)
            return
        takers = self.plans(block).get(loop.id)
        if takers is None or not self.hand(takers, loop, loop.segments[0], data, left, taken):
            self.keep(loop, left)

    def hand(
        self, takers: Takers, thing: Loop | list[str], first: list[str], data: Data, left: Data, taken: set[Part]
    ) -> bool:
        """Offer a segment or a loop, which begins with the segment ``first``, to the takers; whether one took it."""
        for taker in takers.get(first[1] if len(first) > 1 else "") or takers[None]:
            if taker(self, thing, data, left, taken):
                return True
        return False

    def plans(self, block: Block) -> Mapping[str, Takers]:
        """The takers of a block by the name of what they take."""
        return _traced_plans(block) if self.traced else block.plans

    def problem(self, code: str, segment: list[str], element: int | None, value: str | None, **facts: Any) -> None:
        if len(self.findings) < self.most:
            position = self.position(segment)
            self.findings.append(
                finding(code, segment=segment[0], element=element, value=value, position=position, **facts)
            )

    def keep(self, thing: Loop | list[str], left: Data) -> None:
        """Put a whole part under extra: a list of segments, those of a loop in the order of the wire."""
        name = thing.id if isinstance(thing, Loop) else thing[0]
        kept = left.setdefault(name, [])
        for segment in every_segment(thing):
            if self.traced:
                self.source(left).note(f"{name}/{len(kept)}", segment, 0)
            kept.append([self.as_sent(value) for value in segment])

    def as_sent(self, value: str) -> Any:
        """A single value for extra; a composite as the list of its components."""
        return value.split(self.component) if self.component and self.component in value else value

    def source(self, data: Data) -> Source:
        """Where the values of the record at hand come from; kept for as long as the reader."""
        found = self.sources.get(id(data))
        if found is None:
            found = self.sources[id(data)] = Source(data, self.wanted)
        return found


#: Segment, element (0: all of the segment) and component (None: all of the element).
Spot = tuple[list[str], int, int | None]

#: Elements that say what others mean: (element, the one it is about; None: all of the segment).
Qualifiers = Sequence[tuple[int, int | None]]


class Source:
    """Where the values of one record come from, and which records stand in it."""

    __slots__ = ("_wanted", "data", "inner", "values")

    def __init__(self, data: Data, wanted: Collection[int]) -> None:
        self._wanted = wanted
        self.data = data  #: held, so that no other record gets its identity
        self.values: dict[str, list[Spot]] = {}  #: field → where it stands, in the order of the wire
        self.inner: dict[str, Data] = {}  #: address of an entry below this record → the record it was made of

    def note(self, field: str, segment: list[str], element: int, component: int | None = None) -> None:
        """``field`` stands, or goes on, in an element of ``segment``; 0: it is the whole segment."""
        if id(segment) in self._wanted:
            self.values.setdefault(field, []).append((segment, element, component))


_PASSED_OVER: Final = frozenset({"HL", "ST", "SE"})


#: The takers of one name by the value of element 1, in their order; under None all of them, for every other value.
Takers = Mapping[str | None, tuple[Taker, ...]]


@cache
def _traced_plans(block: Block) -> Mapping[str, Takers]:
    """The takers of a block that note where their values come from."""
    return {name: _takers(parts, traced=True) for name, parts in block.parts.items()}


def _takers(parts: Sequence[Part], *, traced: bool) -> Takers:
    compiled = [(_qualifiers(part), _taker(part, traced=traced)) for part in parts]
    everyone = frozenset[str]().union(*(asked for asked, _ in compiled if asked is not None))
    table: dict[str | None, tuple[Taker, ...]] = {
        value: tuple(taker for asked, taker in compiled if asked is None or value in asked) for value in everyone
    }
    table[None] = tuple(taker for _, taker in compiled)
    return table


def _qualifiers(part: Part) -> frozenset[str] | None:
    """The values element 1 must have for the part; None: it may have any."""
    return next(
        (wanted for name, key, wanted in part.where if name == part.name and key == 1 and not wanted & ANY), None
    )


def _taker(part: Part, *, traced: bool) -> Any:
    if isinstance(part, Values):
        return takers.takes_values(part, traced=traced)
    if isinstance(part, Entries):
        return takers.takes_entry(part, traced=traced)
    if isinstance(part, Texts):
        return takers.takes_texts(part, traced=traced)
    return None


def every_segment(thing: Loop | list[str]) -> Iterable[list[str]]:
    """The segments of a part, those of loops within it included."""
    return (segment for _, segment in thing.everything()) if isinstance(thing, Loop) else (thing,)
