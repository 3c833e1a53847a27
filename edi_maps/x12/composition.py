"""X12 segments out of canonical records: the writing half of the map sheets.

Rows are followed in their order, which is the order of the segments; ``edi_maps.mapping`` tells their language.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from edi_maps.mapping import Block, Cell, Codes, Entries, Pairs, Part, Texts, Values, grouped, take, wrapped
from edi_maps.x12.elements import only
from edi_maps.x12.latin_1 import in_latin_1
from edi_maps.x12.segments import COMPONENT


@dataclass(frozen=True, slots=True)
class Origin:
    """Where in the record a segment comes from, in the words of its fields: ``lines.0.quantity``."""

    place: str = ""  #: of the entry the segment tells about; empty: the record itself
    fields: Mapping[int, str] = field(default_factory=dict)  #: element → field

    def named(self, element: int | None) -> str:
        """The field that stands in an element, or should; what the sheet has no row for came from ``extra``."""
        if element is None:
            return self.place
        return self.fields.get(element) or ".".join(filter(None, (self.place, "extra")))


class Writer:
    """Writes one record as segments, in the order of the rows.

    Args:
        version: six digits of GS08.
        traced: note in ``origins`` where every segment comes from.

    Raises (from ``write``):
        ValueError: the record lacks what X12 must have, or has a value that X12 has no code or no room for; says which field.
    """

    def __init__(self, version: str, *, traced: bool = False) -> None:
        self.version = version
        self.segments: list[list[str]] = []
        self.prefix = ""  #: stands before every field that is named: where the record at hand stands in the whole
        self._traced = traced
        self._origins: dict[int, Origin] = {}  #: by identity of the segment

    @property
    def origins(self) -> list[Origin]:
        """Where each of the segments comes from, when that was traced."""
        return [self._origins.get(id(segment), Origin()) for segment in self.segments]

    def _name(self, below: str, path: tuple[Any, ...]) -> str:
        return f"{self.prefix}{_dotted(below, path)}"

    def _put_down(self, segment: list[str], part: Part, below: str) -> None:
        self.segments.append(segment)
        if self._traced:
            self._origins[id(segment)] = self._origin(part, below)

    def _origin(self, part: Part, below: str) -> Origin:
        place = self._name(below, ()).rstrip(".")
        fields: dict[int, str] = {}
        if isinstance(part, Texts):
            fields = dict.fromkeys(part.keys, self._name(below, part.field))
        elif isinstance(part, Values):
            for cell in part.cells:
                for key in cell.keys if cell.path and cell.writes else ():
                    fields.setdefault(key[0] if isinstance(key, tuple) else key, self._name(below, cell.path))
            if (pairs := part.pairs) is not None:
                into = pairs.field or " or ".join(dict.fromkeys(pairs.into.values()))
                for number in (*range(pairs.first, pairs.upto + 1), *pairs.shared.values()):
                    fields.setdefault(number, self._name(below, (into, *_entry(pairs, number))))
        return Origin(place, fields)

    def write(self, block: Block, data: Mapping[str, Any], extra: Mapping[str, Mapping[str, Any]], below: str) -> None:
        """Write ``data``; ``extra`` is grouped by entry, and ``below`` is the group of the record at hand."""
        left = extra.get(below, {})
        for part, cells, fields in _written(block, self.version):
            if not left and fields is not None and fields.isdisjoint(data):
                continue  # most of what a sheet has rows for, a record does not say
            if isinstance(part, Values):
                self._values(part, cells, data, left, below)
            elif isinstance(part, Entries):
                self._entries(part, data, extra, below)
            elif isinstance(part, Texts):
                self._texts(part, data, left, below)
            elif part.name in left:
                self._keep(part, left, below)

    def _keep(self, part: Part, left: Mapping[str, Any], below: str) -> None:
        try:
            kept = _kept(part.name, left[part.name])
        except ValueError as exc:
            raise ValueError(f"{self._name(below, ('extra', part.name))}: {exc}") from exc
        for segment in kept:
            self._put_down(segment, part, below)

    def _values(
        self, part: Values, cells: Sequence[Cell], data: Mapping[str, Any], left: Mapping[str, Any], below: str
    ) -> None:
        elements: dict[int, str] = {}
        codes: dict[int, tuple[Codes, Any]] = {}
        settled: set[Any] = set()  #: elements of rows with ``when``: another row for one of them is an alternative
        for cell in cells:
            if not settled.isdisjoint(cell.keys) or not all(
                key in elements for _, key, wanted in cell.when if "*" in wanted
            ):
                continue
            value = take(data, cell.path) if cell.path else None
            if value is None:
                value = cell.default
            if value is None:
                if cell.required:
                    raise ValueError(f"{self._name(below, cell.path)} is needed for {part.name}{cell.keys[0]:02d}")
                continue
            if any(element in elements for element in cell.keys) and cell.codes is not None:
                continue
            self._put(elements, cell, value, below)
            if cell.when:
                settled.update(cell.keys, (key for _, key, wanted in cell.when if only(wanted)))
            if cell.codes is not None and cell.codes.closed and isinstance(cell.keys[0], int):
                codes[cell.keys[0]] = (cell.codes, value)
        rest: list[Any] = self._pairs(part, part.pairs, elements, data, left, below) if part.pairs is not None else []
        self._restore(part, elements, codes, left)
        self._finish(part, elements, below)
        while rest:
            elements = {}
            assert part.pairs is not None  # noqa: S101 - only pairs leave a rest
            rest = self._pairs_of(part.pairs, elements, rest)
            self._restore(part, elements, codes, left)
            self._finish(part, elements, below)

    def _put(self, elements: dict[int, str], cell: Cell, value: Any, below: str) -> None:
        try:
            text = cell.encode(value)
        except ValueError as exc:
            raise ValueError(f"{self._name(below, cell.path)}: {exc}") from exc
        if text is None or text == "":
            return
        for key, piece in zip(cell.keys, text if isinstance(text, tuple) else (text,), strict=True):
            if isinstance(key, tuple):
                number, component = key
                components = elements.get(number, "").split(COMPONENT)
                components += [""] * (component - len(components))
                components[component - 1] = piece
                elements[number] = COMPONENT.join(components)
            else:
                elements[key] = piece
        for _, key, wanted in cell.when:
            if single := only(wanted):
                elements.setdefault(key, single)

    def _pairs(
        self,
        part: Values,
        pairs: Pairs,
        elements: dict[int, str],
        data: Mapping[str, Any],
        left: Mapping[str, Any],
        below: str,
    ) -> list[Any]:
        """Fill the pairs; what found no room, when shared values let it go on in a further segment."""
        if pairs.field is None:
            held = {number for number, _ in _left_of(part, left)}
            free = (number for number in range(pairs.first, pairs.upto, 2) if number not in held)
            for qualifier, field in pairs.into.items():
                if (value := data.get(field)) is not None:
                    if not (number := next(free, 0)):
                        raise ValueError(f"{self._name(below, (field,))}: {part.name} has no room for it")
                    elements[number], elements[number + 1] = qualifier, value
            return []
        entries = list(data.get(pairs.field, ()))
        if pairs.required and elements and not entries:
            raise ValueError(f"{self._name(below, (pairs.field,))} is needed for {part.name}{pairs.first:02d}")
        if pairs.shared:
            return self._pairs_of(pairs, elements, entries)
        first, second = pairs.names
        filled: list[tuple[str, str]] = []
        for entry in entries:
            try:
                qualifier = pairs.codes.code(entry[first]) or "" if pairs.codes else entry[first]
            except ValueError as exc:
                raise ValueError(f"{self._name(below, (pairs.field, first))}: {exc}") from exc
            filled.append((qualifier, pairs.type.encode(entry[second])))
        filled += [(qualifier, value) for qualifier in pairs.written if (value := data.get(pairs.into[qualifier]))]
        if len(filled) > (pairs.upto - pairs.first + 1) // 2:
            raise ValueError(f"{self._name(below, (pairs.field,))}: {len(filled)} do not fit")
        for number, pair in zip(range(pairs.first, pairs.upto, 2), filled, strict=False):
            elements[number], elements[number + 1] = pair
        return []

    def _pairs_of(self, pairs: Pairs, elements: dict[int, str], entries: list[Any]) -> list[Any]:
        """Fill one segment with the entries that share its shared values; the entries behind them."""
        first, second = pairs.names
        number = pairs.first
        for index, entry in enumerate(entries):
            shared = {key: entry[field] for field, key in pairs.shared.items() if field in entry}
            if number > pairs.upto or any(
                elements.get(key) != shared.get(key) for key in pairs.shared.values() if number > pairs.first
            ):
                return entries[index:]
            elements.update(shared)
            elements[number], elements[number + 1] = entry[first], pairs.type.encode(entry[second])
            number += 2
        return []

    def _restore(
        self, part: Values, elements: dict[int, str], codes: dict[int, tuple[Codes, Any]], left: Mapping[str, Any]
    ) -> None:
        """Put single values of extra back where nothing else stands, or where the same was said by another code."""
        if not elements and part.label != part.name:
            return
        for number, value in _left_of(part, left):
            if number in codes:
                table, name = codes[number]
                if table[_sent(value)] == name:
                    elements[number] = _sent(value)
            elif number not in elements or any(cell.again and number in cell.keys for cell in part.cells):
                elements[number] = _sent(value)
            elif isinstance(value, list | tuple):
                written = zip_longest(elements[number].split(COMPONENT), value, fillvalue="")
                elements[number] = COMPONENT.join(said or sent for said, sent in written)

    def _finish(self, part: Values, elements: dict[int, str], below: str) -> None:
        if not elements:
            return
        for cell in part.cells:
            if cell.const is not None:
                elements.setdefault(cell.keys[0], cell.const)
        for name, key, wanted in part.where:
            if name == part.name and (single := only(wanted)):
                elements.setdefault(key, single)
        self._put_down(_laid_out(part, elements), part, below)

    def _entries(
        self, part: Entries, data: Mapping[str, Any], extra: Mapping[str, Mapping[str, Any]], below: str
    ) -> None:
        entries: Any = data.get(part.field) or ()
        named = (
            [(key, {"key": key, "value": value}) for key, value in entries.items()]
            if part.as_map and entries
            else list(enumerate(entries))
        )
        for key, entry in named:
            place = f"{_at(below, part.field) if below else part.field}/{key}"
            before = len(self.segments)
            if own := entry.get("extra"):
                self.write(
                    part.block, entry, {_at(place, below): group for below, group in grouped(own).items()}, place
                )
            else:
                self.write(part.block, entry, extra, place)
            if len(self.segments) == before or self.segments[before][0] != part.name:
                self.segments.insert(before, opening := [part.name])
                if self._traced:
                    self._origins[id(opening)] = Origin(self._name(place, ()))

    def _texts(self, part: Texts, data: Mapping[str, Any], left: Mapping[str, Any], below: str) -> None:
        value = take(data, part.field)
        if not value:
            return
        texts = list(value) if part.is_list else wrapped(in_latin_1(value), part.width)
        constants = {key: single for _, key, wanted in part.where if (single := only(wanted))}
        for number, value in _left_of(part, left):
            constants.setdefault(number, _sent(value))
        for start in range(0, len(texts), len(part.keys)):
            elements = constants | dict(zip(part.keys, texts[start : start + len(part.keys)], strict=False))
            self._put_down(_laid_out(part, elements), part, below)


@functools.cache
def _written(block: Block, version: str) -> tuple[tuple[Part, tuple[Cell, ...], frozenset[str] | None], ...]:
    """The parts of a block that are written in a version, in order: each with its cells, and the fields it has to do with.

    Without any of those fields a part writes nothing but what ``extra`` says. None: it has a say in any case, for one of its cells
    must not be missing or has a default.
    """
    found: list[tuple[Part, tuple[Cell, ...], frozenset[str] | None]] = []
    for part in block.order:
        if not part.written_in(version):
            continue
        cells: tuple[Cell, ...] = ()
        fields: set[str] = set()
        if isinstance(part, Values):
            cells = tuple(cell for cell in part.cells if cell.written_in(version))
            if not cells and part.cells and part.pairs is None:
                continue
            fields = {cell.path[0] for cell in cells if cell.path}
            if (pairs := part.pairs) is not None:
                fields |= {pairs.field} if pairs.field else set(pairs.into.values())
                fields |= {pairs.into[qualifier] for qualifier in pairs.written}
            if any(cell.required or cell.default is not None for cell in cells):
                found.append((part, cells, None))
                continue
        elif isinstance(part, Entries):
            fields = {part.field}
        elif isinstance(part, Texts):
            fields = {part.field[0]}
        found.append((part, cells, frozenset(fields)))
    return tuple(found)


def _entry(pairs: Pairs, number: int) -> tuple[str, ...]:
    """Which entry of a list stands in an element, and which of its fields; of pairs that go on in further segments nobody knows."""
    if pairs.field is None or pairs.shared:
        return ()
    index, which = divmod(number - pairs.first, 2)
    return str(index), pairs.names[which]


def _laid_out(part: Part, elements: Mapping[int, str]) -> list[str]:
    return [part.name, *(elements.get(number, "") for number in range(1, max(elements) + 1))]


def _left_of(part: Part, left: Mapping[str, Any]) -> Iterator[tuple[int, Any]]:
    """The single values of extra that stood in this part, by element.

    ``extra`` may come from anybody, so an address is a label and two digits, as it is read, and nothing longer: the number
    decides how long the segment gets.
    """
    for address, value in left.items():
        if len(address) == len(part.label) + 2 and address.startswith(part.label) and _is_single(value):
            number = address[-2:]
            if number.isascii() and number.isdigit() and number != "00":
                yield int(number), value


def _kept(name: str, segments: Any) -> list[list[str]]:
    """Whole segments of extra: those of one part, or of the loop that starts with it.

    Raises:
        ValueError: it is not a list of segments, each a list that begins with its identifier.
    """
    if not isinstance(segments, list | tuple):
        raise ValueError("a list of segments is wanted")
    for segment in segments:
        if not isinstance(segment, list | tuple) or not segment or not all(_is_single(value) for value in segment):
            raise ValueError("each segment is a list of texts that begins with its identifier")
        if not isinstance(segment[0], str) or not _IDENTIFIER.fullmatch(segment[0]):
            raise ValueError(f"{segment[0]!r} is no segment of {name}")
    return [[_sent(value) for value in segment] for segment in segments]


#: Segments of a set; those of the envelope are nobody's to say.
_IDENTIFIER = re.compile(r"(?!(?:ISA|IEA|GS|GE|ST|SE|TA1)$)[A-Z][A-Z0-9]{1,2}", re.ASCII)


def _is_single(value: Any) -> bool:
    """Whether ``value`` is one element: a text or number, or the components of a composite."""
    if isinstance(value, list | tuple):
        return all(isinstance(component, str) for component in value)
    return isinstance(value, str | int) and not isinstance(value, bool)


def _at(place: str, below: str) -> str:
    return f"{place}/{below}" if below else place


def _sent(value: Any) -> str:
    return COMPONENT.join(value) if isinstance(value, list | tuple) else str(value)


def _dotted(below: str, path: tuple[Any, ...]) -> str:
    return ".".join([*below.split("/"), *(str(step) for step in path)] if below else [str(step) for step in path])
