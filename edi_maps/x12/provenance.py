"""Where in the file a value stands, and which value a byte belongs to.

Nothing of this is noted while a document is read for its record. Who wants to know has the set read once more, see ``trace``.

    provenance = trace(transaction_set, group.version)
    provenance.places("lines/0/quantity")          # PO102 of segment 6, bytes 312 to 314
    provenance.fields_at(6, 2)                     # ("lines/0/quantity",)
    provenance.place_at(313)                       # PO102 of segment 6
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

from edi_maps import canonical
from edi_maps.x12 import records
from edi_maps.x12.collector import collection_paused
from edi_maps.x12.envelope import TransactionSet, bounded
from edi_maps.x12.extraction import Reader, Spot
from edi_maps.x12.received_acknowledgments import ACKNOWLEDGMENTS, read_functional_acknowledgment
from edi_maps.x12.received_acknowledgments import places as places_in_acknowledgment
from edi_maps.x12.segments import Loop, cut
from edi_maps.x12.structure import guide, nearest_version
from edi_maps.x12.validation import validate

#: (position of the segment, element, component; None: the whole element).
_Where = tuple[int, int, int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An element, or a component of one, and the bytes it stands on."""

    position: int  #: of the segment in its transaction set, ST = 1
    segment: str
    element: int  #: 1 is the first after the identifier; 0 the identifier
    component: int | None  #: None: the whole element
    start: int  #: byte offset in the file
    end: int  #: behind the last byte; of a hard-wrapped file the line ends between are included


class Ignored(StrEnum):
    """Why an element is in no field, in the words of a page."""

    ENVELOPE = "part of the envelope"
    HIERARCHY = "builds the hierarchy"
    CONSTANT = "adds nothing"
    ALONE = "its value is missing"
    REPEATED = "said elsewhere already"
    INCOMPLETE = "belongs to what could not be read"


#: Fields of the records that stand nowhere on the wire, and why: what a document leaves to its reader.
CONCLUDED: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(r"schema_version"), "version of this record"),
    (re.compile(r"type"), "kind of the set"),
    (re.compile(r"packages/\d+/id"), "numbered by level"),
    (re.compile(r"packages/\d+/parent_id|items/\d+/package_id|items/\d+/extra/packages/\d+"), "hierarchy"),
    (re.compile(r"lines/\d+/responses/\d+/(status|quantity|unit)"), "accepted as it stands"),
    (re.compile(r"purpose|disposition|lines/\d+/action"), "not said"),
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Provenance:
    """Where every value of the record of one transaction set stands.

    Addresses are those of ``canonical.dump``, its keys and indexes joined by slashes: ``parties/1/address/city``.
    """

    record: Mapping[str, Any]  #: as ``canonical.dump`` gives it
    fields: Mapping[str, tuple[_Where, ...]]  #: by address; what is concluded has no entry
    values: Mapping[str, Any]  #: of these fields
    #: The other way, by (position, element): addresses of the values it is, or is part of; …
    elements: Mapping[tuple[int, int], tuple[str, ...]]
    #: … of those it tells the meaning of, as a qualifier does, where it is no value itself; …
    meanings: Mapping[tuple[int, int], tuple[str, ...]]
    #: … and of all other filled elements why they are none.
    ignored: Mapping[tuple[int, int], Ignored]
    transaction_set: TransactionSet
    spans: Sequence[tuple[int, int]]  #: of its segments, in the file

    def places(self, address: str) -> tuple[Place, ...]:
        """Where the value of a field stands; more than one for a text of several segments and for a day with its time, none for
        what is concluded."""
        return tuple(self.place(*where) for where in self.fields.get(address, ()))

    def fields_at(self, position: int, element: int, component: int | None = None) -> tuple[str, ...]:
        """The fields that an element, or one of its components, is the value of."""
        found = self.elements.get((position, element), ())
        if component is None:
            return found
        wanted = {(position, element, component), (position, element, None)}
        return tuple(address for address in found if not wanted.isdisjoint(self.fields[address]))

    def place(self, position: int, element: int, component: int | None = None) -> Place:
        """An element with its bytes. IndexError: the set has no such segment."""
        identifier = self.identifier(position)
        start, end = element_span(self.transaction_set, position, element, component, self.spans)
        return Place(position=position, segment=identifier, element=element, component=component, start=start, end=end)

    def identifier(self, position: int) -> str:
        """Of the segment at a position. IndexError: the set has no such segment."""
        _, text = segment_text(self.transaction_set, *self.spans[position - 1])
        return text.partition(self.transaction_set.delimiters.element)[0]

    def place_at(self, offset: int) -> Place | None:
        """What stands at a byte of the file; a separator counts with what it ends. None: outside the segments of the set."""
        position = bisect_right(self.spans, offset, key=lambda span: span[0])
        if not position or offset >= self.spans[position - 1][1]:
            return None
        segment_end = self.spans[position - 1][1]
        element = 0
        while (place := self.place(position, element)).end < offset and place.end < segment_end:
            element += 1
        component = 1
        while element and (inner := self.place(position, element, component)).end < place.end:
            if offset <= inner.end:
                return inner
            component += 1
        return inner if element and component > 1 else place


def trace(transaction_set: TransactionSet, version: str, positions: Container[int] | None = None) -> Provenance | None:
    """Read a set once more, and note where every value of its record comes from.

    Args:
        transaction_set: as ``reader.read`` returns it, its text included.
        version: GS08 of its group.
        positions: of the segments that are asked about; None: all. Of a long set, to ask about few costs a small part of all.

    Returns:
        None when no record can be made of it. Of a 997 or 999 the record is what it says, see ``received_acknowledgments``.
    """
    code, delimiters = transaction_set.code, transaction_set.delimiters
    if code in ACKNOWLEDGMENTS:
        return _of_acknowledgment(transaction_set)
    nearest = nearest_version(code, version)
    rules = None if nearest is None else guide(code, nearest)
    building = records.building(code, delimiters.component, traced=True)
    if rules is None or building is None:
        return None
    segments: dict[int, tuple[int, list[str]]] = {}  #: by identity, for which they are held

    def note(loop: Loop) -> None:
        for position, segment in loop.everything():
            if positions is None or position in positions:
                segments[id(segment)] = position, segment
                building.reader.wanted.add(id(segment))

    def take(loop: Loop) -> bool:
        note(loop)
        return building.take(loop)

    with collection_paused(len(transaction_set.text)):
        pieces = bounded(cut(transaction_set.text, delimiters), delimiters)
        tree, _ = validate(pieces, rules, delimiters, take=take)
        note(tree)
        record = building.finish(tree)
        if record is None:
            return None
        return _Resolution(building.reader, segments, canonical.dump(record)).provenance(transaction_set)


def _of_acknowledgment(transaction_set: TransactionSet) -> Provenance | None:
    segments = transaction_set.segments
    acknowledgment = read_functional_acknowledgment(segments)
    if acknowledgment is None:
        return None
    fields: dict[str, tuple[_Where, ...]] = {}
    elements: dict[tuple[int, int], tuple[str, ...]] = {}
    for address, position, element in places_in_acknowledgment(segments):
        fields[address] = (*fields.get(address, ()), (position, element, None))
        elements[position, element] = (address,)
    ignored = {
        (segment.position, element): _STRUCTURE[segment.id]
        for segment in segments
        if segment.id in _STRUCTURE
        for element in range(1, len(segment.elements))
    }
    record = _said(asdict(acknowledgment))
    said = dict(leaves(record))
    return Provenance(
        record=record,
        fields=fields,
        values={address: said.get(address) for address in fields},
        elements=elements,
        meanings={},
        ignored=ignored,
        transaction_set=transaction_set,
        spans=transaction_set.spans(),
    )


def _said(value: Any) -> Any:
    """As JSON has it, without what was not said."""
    if isinstance(value, dict):
        return {name: _said(item) for name, item in value.items() if item not in (None, "", ())}
    return [_said(item) for item in value] if isinstance(value, tuple) else value


def leaves(data: Any, address: str = "") -> Iterator[tuple[str, Any]]:
    """The single values of a record as ``canonical.dump`` gives it, with their addresses.

    >>> [*leaves({"number": "7", "lines": [{"unit": "EA"}]})]
    [('number', '7'), ('lines/0/unit', 'EA')]
    """
    inner: Iterator[tuple[Any, Any]]
    if isinstance(data, dict):
        inner = iter(data.items())
    elif isinstance(data, list):
        inner = enumerate(data)
    else:
        yield address, data
        return
    for step, value in inner:
        below = f"{address}/{step}" if address else str(step)
        if isinstance(value, dict | list):
            yield from leaves(value, below)
        else:
            yield below, value


class _Resolution:
    """From what a reader has noted to addresses and positions."""

    def __init__(
        self, reader: Reader, segments: Mapping[int, tuple[int, list[str]]], record: Mapping[str, Any]
    ) -> None:
        self.reader = reader
        self.segments = segments
        self.record = record
        self.spots = self.addressed()

    def addressed(self) -> dict[str, list[Spot]]:
        """The spots by their address in the whole record."""
        found: dict[str, list[Spot]] = {}
        waiting = [("", self.reader.root)]
        while waiting:
            above, data = waiting.pop()
            if (source := self.reader.sources.get(id(data))) is not None:
                found.update((above + field, spots) for field, spots in source.values.items())
                waiting.extend((f"{above}{address}/", inner) for address, inner in source.inner.items())
        return found

    def provenance(self, transaction_set: TransactionSet) -> Provenance:
        fields: dict[str, tuple[_Where, ...]] = {}
        values: dict[str, Any] = {}
        for address, value in leaves(self.record):
            if value != "" and (spots := self.spots_of(address)):
                places = ((self.position(segment), element, component) for segment, element, component in spots)
                fields[address], values[address] = tuple(dict.fromkeys(places)), value
        elements: dict[tuple[int, int], list[str]] = {}
        for address, wheres in fields.items():
            for position, element, _ in wheres:
                elements.setdefault((position, element), []).append(address)
        meanings = self.meanings(elements)
        return Provenance(
            record=self.record,
            fields=fields,
            values=values,
            elements={place: tuple(addresses) for place, addresses in elements.items()},
            meanings={place: tuple(addresses) for place, addresses in meanings.items() if addresses},
            ignored=self.ignored(elements, meanings),
            transaction_set=transaction_set,
            spans=transaction_set.spans(),
        )

    def position(self, segment: list[str]) -> int:
        return self.segments[id(segment)][0]

    def spots_of(self, address: str) -> list[Spot]:
        """Those of the value itself, or its part in the list of components, or of elements, that was kept whole."""
        if (spots := self.spots.get(address)) is not None:
            return spots
        above, _, last = address.rpartition("/")
        for segment, element, _ in self.spots.get(above, ()):
            return [(segment, int(last), None) if element == 0 else (segment, element, int(last) + 1)]
        above, _, middle = above.rpartition("/")
        return [
            (segment, int(middle), int(last) + 1) for segment, element, _ in self.spots.get(above, ()) if not element
        ]

    def meanings(self, elements: Mapping[tuple[int, int], list[str]]) -> dict[tuple[int, int], list[str]]:
        """What each qualifier tells the meaning of, where it is no value itself."""
        of_segment: dict[int, dict[int, list[str]]] = {}
        for (position, element), addresses in elements.items():
            of_segment.setdefault(position, {})[element] = addresses
        found: dict[tuple[int, int], list[str]] = {}
        for segment, qualifiers in self.reader.qualifiers:
            if id(segment) not in self.segments:
                continue
            position = self.position(segment)
            values = of_segment.get(position, {})
            for element, about in qualifiers:
                if (position, element) not in elements:
                    told = found.setdefault((position, element), [])
                    for number in values if about is None else (about,):
                        told += [address for address in values.get(number, ()) if address not in told]
        return found

    def ignored(
        self, elements: Mapping[tuple[int, int], list[str]], meanings: Mapping[tuple[int, int], list[str]]
    ) -> dict[tuple[int, int], Ignored]:
        reasons = {place: Ignored.ALONE for place, addresses in meanings.items() if not addresses}
        reasons |= {
            (self.position(segment), element): Ignored.CONSTANT
            for segment, element in self.reader.constants
            if id(segment) in self.segments
        }
        for noted, reason in (
            ((spots for source in self.reader.sources.values() for spots in source.values.values()), Ignored.REPEATED),
            (self.spots.values(), Ignored.INCOMPLETE),
        ):
            reasons |= {
                (self.position(segment), number): reason
                for spots in noted
                for segment, element, _ in spots
                for number in ((element,) if element else range(1, len(segment)))
            }
        component = self.reader.component
        for position, segment in self.segments.values():
            for element, value in enumerate(segment):
                if component and value and not value.strip(component):
                    reasons[position, element] = Ignored.CONSTANT
            if segment[0] in _STRUCTURE:
                reason = _STRUCTURE[segment[0]]
                reasons |= {(position, element): reason for element in range(1, len(segment))}
        segments = dict(self.segments.values())
        return {
            (position, element): reason
            for (position, element), reason in reasons.items()
            if (position, element) not in elements and not meanings.get((position, element))
            if element < len(segments[position]) and segments[position][element]
        }


_STRUCTURE: Final = {"ST": Ignored.ENVELOPE, "SE": Ignored.ENVELOPE, "HL": Ignored.HIERARCHY}


def element_span(
    transaction_set: TransactionSet,
    position: int,
    element: int,
    component: int | None = None,
    spans: Sequence[tuple[int, int]] = (),
) -> tuple[int, int]:
    """The bytes an element of a set stands on in the file.

    Args:
        position: of the segment, ST = 1.
        element: 1 is the first after the identifier, 0 the identifier; one beyond the last gives the end of the segment.
        component: 1 is the first; None: the whole element.
        spans: ``transaction_set.spans()``, where the caller has them already.

    Returns:
        Offsets of its first byte and behind its last.

    Raises:
        IndexError: the set has no such segment.
    """
    start, end = (spans or transaction_set.spans())[position - 1]
    marks, to_byte = transaction_set.delimiters, transaction_set.place
    at, text = segment_text(transaction_set, start, end)
    first, last = _nth(text, marks.element, element)
    if component and marks.component:
        inner_first, inner_last = _nth(text[first:last], marks.component, component - 1)
        first, last = first + inner_first, first + inner_last
    if to_byte is None:
        return start + first, start + last
    return to_byte(at + first), to_byte(at + last - 1) + 1 if last > first else to_byte(at + first)


def segment_text(transaction_set: TransactionSet, start: int, end: int) -> tuple[int, str]:
    """What stands at some bytes of the file: where it starts in the text of its set, and what it says."""
    text, to_byte = transaction_set.text, transaction_set.place
    at, stop = start - transaction_set.start, end - transaction_set.start
    if to_byte is not None:
        # Bytes rise with the index, so the index of a byte is found without unwrapping the file again.
        at, stop = (bisect_left(range(len(text)), byte, key=to_byte) for byte in (start, end))
    return at, text[at:stop]


def _nth(text: str, separator: str, number: int) -> tuple[int, int]:
    """Start and end of piece ``number`` (0 is the first) of ``text``; behind the last one, the end."""
    first = 0
    for _ in range(number):
        found = text.find(separator, first)
        if found < 0:
            return len(text), len(text)
        first = found + 1
    last = text.find(separator, first)
    return first, last if last >= 0 else len(text)
