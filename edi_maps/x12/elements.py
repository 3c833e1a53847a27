"""How map sheets see X12: a wire part is a segment or a loop, a key is an element number, or element and component.

``Reader`` walks a tree of loops by a block and makes canonical values, ``Writer`` turns a record into segments by the same
block. Both follow ``edi_maps.mapping``, where the language of the sheets is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from edi_maps.findings import Finding, finding
from edi_maps.mapping import (
    Block,
    Cell,
    Codes,
    Condition,
    Entries,
    Keep,
    Key,
    Pairs,
    Part,
    Texts,
    Values,
    ValueType,
    grouped,
    missing,
    put,
    take,
    wrapped,
)
from edi_maps.x12.segments import COMPONENT, Loop, Segment

#: Six-digit dates: 70 to 99 are of the last century. No partner sends an order of 1969, and some date things years ahead.
PIVOT: Final = 70

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)")
_ADDRESS = re.compile(r"([A-Z][A-Z0-9]{1,2})(\d\d)(?:-(\d))?")


@lru_cache(maxsize=4096)
def read_day(text: str) -> date:
    """``CCYYMMDD`` or ``YYMMDD``. Raises ValueError for all else."""
    if not (text.isascii() and text.isdigit() and len(text) in (6, 8)):
        raise ValueError(text)
    if len(text) == 6:
        text = ("20" if int(text[:2]) < PIVOT else "19") + text
    return date(int(text[:4]), int(text[4:6]), int(text[6:]))


@lru_cache(maxsize=4096)
def read_number(text: str) -> Decimal:
    """A decimal as X12 writes it; also ``+5``, ``20.`` and ``.01``, which are common. Raises ValueError for all else."""
    if not _NUMBER.fullmatch(text) or len(text) > 30:
        raise ValueError(text)
    return Decimal(text)


def read_integer(text: str) -> int:
    number = read_number(text)
    if number != number.to_integral_value():
        raise ValueError(text)
    return int(number)


def read_moment(parts: tuple[str, str]) -> datetime:
    """A day and ``HHMM[SS[D[D]]]``. X12 names no zone here: read, and written, as UTC. Without a time: midnight."""
    day, clock = parts
    if not re.fullmatch(r"(?:\d{4}|\d{6,8})?", clock):
        raise ValueError(clock)
    hundredths = int((clock[6:] + "00")[:2])
    return datetime.combine(
        read_day(day),
        time(int(clock[:2] or 0), int(clock[2:4] or 0), int(clock[4:6] or 0), hundredths * 10_000),
        UTC,
    )


def write_number(value: Decimal) -> str:
    text = format(value, "f")
    return text.removeprefix("-") if not value else text


def write_moment(value: datetime) -> tuple[str, str]:
    moment = value.astimezone(UTC)
    hundredths = f"{moment.microsecond // 10_000:02d}".rstrip("0")
    return f"{moment:%Y%m%d}", f"{moment:%H%M%S}{hundredths}" if moment.second or hundredths else f"{moment:%H%M}"


class X12Wire:
    """What ``mapping.load`` has to know about X12."""

    types: Final[Mapping[str, ValueType]] = {
        "text": ValueType(None, str),
        "number": ValueType(read_number, write_number, "value_not_number"),
        "integer": ValueType(read_integer, str, "value_not_integer"),
        "day": ValueType(read_day, lambda day: f"{day:%Y%m%d}", "value_not_date"),
        "moment": ValueType(read_moment, write_moment, "value_not_moment"),
    }

    def address(self, at: str) -> tuple[str, Key]:
        found = _ADDRESS.fullmatch(at)
        if found is None:
            raise ValueError(f"{at!r} is not an element like BEG03 or POC05-1")
        number = int(found[2])
        return found[1], (number, int(found[3])) if found[3] else number

    def prepare(self, part: Part) -> None:
        """Lay the cells out by element: ``plan[n]`` is what to do with element n, None for nothing known about it.

        What to do is a tuple of (field, decode) for a plain field of the record at hand and (None, method) for all else.
        """
        if qualifier := next(
            (only for name, _, wanted in part.where if name == part.name and (only := _only(wanted))), ""
        ):
            part.label = f"{part.name}({qualifier})"
        if not isinstance(part, Values):
            return
        rows: dict[int, list[Cell]] = {}
        for cell in part.cells:
            for key in cell.keys:
                rows.setdefault(key if isinstance(key, int) else key[0], []).append(cell)
        for name, key, wanted in part.where:
            if name == part.name and _only(wanted):
                rows.setdefault(key, [])
        for cell in part.cells:
            for name, key, wanted in cell.when:
                if name == part.name and key not in rows and (only := _only(wanted)):
                    rows[key] = [Cell((key,), (), self.types["text"], const=only)]
        last = max(rows, default=0)
        end = part.pairs.first if part.pairs else last + 1
        if last >= end:
            raise ValueError("pairs must stand behind the other rows of their segment")
        plan: list[tuple[tuple[str | None, Any], ...] | None] = [()]
        for number in range(1, end):
            known = [_step(cell, rows[number]) for cell in rows.get(number, ()) if cell.reads]
            plan.append(tuple(known) if number in rows else None)
        if part.pairs:
            for key in part.pairs.shared.values():
                plan[key] = ()
        part.plan = plan


def _step(cell: Cell, beside: list[Cell]) -> tuple[str | None, Any]:
    keeps_code = cell.codes is not None and cell.codes.closed and len(beside) == 1
    simple = len(cell.path) == 1 and len(cell.keys) == 1 and isinstance(cell.keys[0], int)
    if simple and not (keeps_code or cell.when or cell.again or cell.const is not None):
        return cell.path[0], cell.decode
    return None, (cell, keeps_code)


def _only(wanted: frozenset[str]) -> str:
    """The one value a condition allows, '' when it allows several or any."""
    return next(iter(wanted)) if len(wanted) == 1 and not wanted & {"*", "#"} else ""


def value_at(thing: Segment | Loop, name: str, key: Key) -> str:
    """What stands at an address in a segment or in the first such segment of a loop; '' for nothing."""
    if isinstance(thing, Loop):
        for segment in thing.segments:
            if segment.elements[0] == name:
                return segment.get(key).strip()
        return next((value_at(child, name, key) for child in thing.loops if child.id == name), "")
    return thing.get(key).strip() if thing.elements[0] == name else ""


def holds(conditions: tuple[Condition, ...], thing: Segment | Loop) -> bool:
    for name, key, wanted in conditions:
        value = value_at(thing, name, key)
        if value not in wanted and not (value and "*" in wanted) and not ("#" in wanted and value.isdecimal()):
            return False
    return True


_PASSED_OVER: Final = frozenset({"HL", "ST", "SE"})


class Reader:
    """Reads one transaction set; every value that is not what it should be is one finding, and the rest is still read."""

    def __init__(self, component: str = "") -> None:
        self.findings: list[Finding] = []
        self._component = component

    def read(self, block: Block, scope: Loop | Segment, data: dict[str, Any]) -> dict[str, Any]:
        """Fill ``data`` with the fields that ``block`` finds in ``scope``, and return what it has no home for."""
        left: dict[str, Any] = {}
        taken: set[Part] = set()
        for name, thing in self._parts(scope, block.entered):
            for part in block.parts.get(name, ()):
                if part.where and not holds(part.where, thing):
                    continue
                if type(part) is Values:
                    if part in taken:
                        continue
                    if part.pairs is None or not part.pairs.shared:
                        taken.add(part)
                    self._values(part, thing if type(thing) is Segment else thing.segments[0], data, left)  # type: ignore[union-attr]  # not a Segment: a Loop
                elif type(part) is Entries:
                    self._entry(part, thing, data, left)
                elif not self._texts(part, thing, part is block.parts[name][-1], data, left):  # type: ignore[arg-type]  # Keep parts are never read
                    continue
                break
            else:
                self.keep(thing, left)
        return left

    def problem(self, code: str, segment: Segment, element: int | None, value: str | None, **facts: Any) -> None:
        found = finding(
            code,
            segment=segment.elements[0],
            position=segment.position or None,
            offset=segment.offset or None,
            element=element,
            value=value,
            **facts,
        )
        self.findings.append(found)

    def keep(self, thing: Loop | Segment, left: dict[str, Any], below: str = "") -> None:
        """Put a whole part under extra: a list of segments, those of a loop in the order of the wire."""
        name = thing.elements[0] if isinstance(thing, Segment) else thing.id
        kept = left.setdefault(below + name, [])
        kept.extend([self._as_sent(value) for value in segment.elements] for segment in every_segment(thing))

    def _as_sent(self, value: str) -> Any:
        return value.split(self._component) if self._component and self._component in value else value

    def _parts(self, scope: Loop | Segment, entered: frozenset[str]) -> Iterator[tuple[str, Segment | Loop]]:
        if type(scope) is Segment:
            yield scope.elements[0], scope
            return
        # HL, segment and loop, is passed over: levels are placed by whoever knows their order, never by rows. ST and SE are envelope.
        for segment in scope.segments:  # type: ignore[union-attr]  # not a Segment: a Loop
            if segment.elements[0] not in _PASSED_OVER:
                yield segment.elements[0], segment
        for loop in scope.loops:  # type: ignore[union-attr]  # as above
            if loop.id == "HL":
                continue
            # A loop that no row enters as a whole is only a wrapper around its segments (CTT around CTT and AMT).
            if loop.id in entered:
                yield loop.id, loop
            else:
                yield from self._parts(loop, entered)

    def _values(self, part: Values, segment: Segment, data: dict[str, Any], left: dict[str, Any]) -> None:
        elements = segment.elements
        plan = part.plan
        number = -1
        for value, steps in zip(elements, plan, strict=False):
            number += 1
            if not value or not (value := value.strip()):
                continue
            if steps is None:
                left[f"{part.label}{number:02d}"] = self._as_sent(value)
                continue
            for field, how in steps:
                if field is None:
                    self._step(how[0], how[1], part.label, segment, number, value, data, left)
                elif how is None:
                    data[field] = value
                else:
                    try:
                        data[field] = how(value)
                    except ValueError:
                        self._refused(part, segment, number, value, left)
        if part.pairs is not None:
            self._pairs(part.pairs, segment, data, left)
            number = part.pairs.upto + 1
        else:
            number = len(plan)
        for index in range(number, len(elements)):
            if value := elements[index].strip():
                left[f"{part.label}{index:02d}"] = self._as_sent(value)

    def _refused(self, part: Values, segment: Segment, number: int, value: str, left: dict[str, Any]) -> None:
        cell = next(cell for cell in part.cells if number in cell.keys)
        self.problem(cell.type.finding, segment, number, value)
        left[f"{part.label}{number:02d}"] = value

    def _step(
        self,
        cell: Cell,
        keeps_code: bool,
        label: str,
        segment: Segment,
        number: int,
        value: str,
        data: dict[str, Any],
        left: dict[str, Any],
    ) -> None:
        """Take one value by a row that is more than a plain field."""
        address = f"{label}{number:02d}"
        key = cell.keys[0]
        raw: Any = value
        if len(cell.keys) == 2:
            if number == cell.keys[1]:
                if not segment.get(key):
                    left[address] = value
                return
            raw = (value, segment.get(cell.keys[1]).strip())
        if isinstance(key, tuple):
            components = value.split(self._component or COMPONENT)
            raw = components[key[1] - 1] if key[1] <= len(components) else ""
            address = f"{address}-{key[1]}"
            if not raw:
                return
        if cell.const is not None:
            if value != cell.const:
                left[address] = value
            return
        if cell.when and not holds(cell.when, segment):
            left[address] = value
            return
        try:
            read = raw if cell.decode is None else cell.decode(raw)
        except ValueError:
            self.problem(cell.type.finding, segment, number, " ".join(raw) if isinstance(raw, tuple) else raw)
            left[address] = value
            return
        if cell.again and (known := take(data, cell.path)) is not None:
            if known != read:
                left[address] = value
            return
        put(data, cell.path, read)
        if keeps_code and cell.codes is not None and not cell.codes.returns(value):
            left[address] = value

    def _pairs(self, pairs: Pairs, segment: Segment, data: dict[str, Any], left: dict[str, Any]) -> None:
        elements = segment.elements
        name = elements[0]
        first, second = pairs.names
        for number in range(pairs.first, min(len(elements), pairs.upto), 2):
            qualifier = elements[number].strip()
            value = elements[number + 1].strip() if number + 1 < len(elements) else ""
            if qualifier and value:
                if (into := pairs.into.get(qualifier)) is not None:
                    if into.endswith("[]"):
                        data.setdefault(into[:-2], []).append(value)
                        continue
                    if into not in data:
                        data[into] = value
                        continue
                elif pairs.maker is not None and pairs.field is not None:
                    kind = pairs.codes[qualifier] if pairs.codes is not None else qualifier
                    try:
                        read = value if pairs.type.decode is None else pairs.type.decode(value)
                    except ValueError:
                        self.problem(pairs.type.finding, segment, number + 1, value)
                    else:
                        entry = {first: kind, second: read}
                        for field, key in pairs.shared.items():
                            if shared := segment.get(key).strip():
                                entry[field] = shared
                        data.setdefault(pairs.field, []).append(pairs.maker(entry))
                        continue
            elif not qualifier and not value:
                continue
            else:
                self.problem("value_unpaired", segment, number + 1 if value else number, value or qualifier)
            if qualifier:
                left[f"{name}{number:02d}"] = qualifier
            if value:
                left[f"{name}{number + 1:02d}"] = value

    def _entry(self, part: Entries, thing: Segment | Loop, data: dict[str, Any], left: dict[str, Any]) -> None:
        entry: dict[str, Any] = {}
        before = len(self.findings)
        inner = self.read(part.block, thing, entry)
        if part.as_map:
            place = data.setdefault(part.field, {})
            key = entry.get("key")
            if "value" not in entry or key is None or key in place:
                self.keep(thing, left)
                return
            place[key] = entry["value"]
        else:
            maker = part.block.maker
            assert maker is not None  # noqa: S101 - only a map has none, the loader has seen to it
            if not maker.required <= entry.keys():
                if len(self.findings) == before:
                    segment = next(every_segment(thing))
                    lacking = ", ".join(missing(maker, entry))
                    self.problem("entry_incomplete", segment, None, None, expected=lacking)
                self.keep(thing, left)
                return
            place = data.setdefault(part.field, [])
            key = len(place)
            if inner and maker.has_extra:
                entry["extra"] = inner
                inner = {}
            place.append(maker(entry))
        for address, value in inner.items():
            left[f"{part.field}/{key}/{address}"] = value

    def _texts(
        self, part: Texts, thing: Segment | Loop, is_last: bool, data: dict[str, Any], left: dict[str, Any]
    ) -> bool:
        """Add the texts of one segment. False: it says more than that, and a later row or extra must take it whole."""
        segment = next(every_segment(thing))
        values, more = [], {}
        for number in range(1, len(segment.elements)):
            if value := segment.elements[number].strip():
                if number in part.keys:
                    values.append(value)
                elif not any(key == number for _, key, _ in part.where):
                    more[f"{part.label}{number:02d}"] = value
        if more and not (is_last and all(left.get(address, value) == value for address, value in more.items())):
            return False
        left.update(more)
        if values:
            known = take(data, part.field)
            if part.is_list:
                put(data, part.field, [*(known or ()), *values])
            else:
                put(data, part.field, "\n".join([known, *values] if known else values))
        return True


def every_segment(thing: Loop | Segment) -> Iterator[Segment]:
    """The segments of a part, those of loops within it included."""
    if isinstance(thing, Segment):
        yield thing
        return
    stack = [thing]
    while stack:
        loop = stack.pop()
        yield from loop.segments
        stack.extend(reversed(loop.loops))


class Writer:
    """Writes one record as segments, in the order of the rows.

    Raises (from ``write``):
        ValueError: the record lacks what X12 must have, or has a value that X12 has no code or no room for; says which field.
    """

    def __init__(self, version: str) -> None:
        self.version = version
        self.segments: list[list[str]] = []

    def write(self, block: Block, data: Mapping[str, Any], extra: Mapping[str, Mapping[str, Any]], below: str) -> None:
        """Write ``data``; ``extra`` is grouped by entry, and ``below`` is the group of the record at hand."""
        left = extra.get(below, {})
        for part in block.order:
            if not part.written_in(self.version):
                continue
            if isinstance(part, Values):
                self._values(part, data, left, below)
            elif isinstance(part, Entries):
                self._entries(part, data, extra, below)
            elif isinstance(part, Texts):
                self._texts(part, data, left)
            elif isinstance(part, Keep):
                self.segments.extend([_sent(value) for value in segment] for segment in left.get(part.name, ()))

    def _values(self, part: Values, data: Mapping[str, Any], left: Mapping[str, Any], below: str) -> None:
        elements: dict[int, str] = {}
        codes: dict[int, tuple[Codes, Any]] = {}
        for cell in part.cells:
            if not cell.written_in(self.version) or not all(
                key in elements for _, key, wanted in cell.when if "*" in wanted
            ):
                continue
            value = take(data, cell.path) if cell.path else None
            if value is None:
                value = cell.default
            if value is None:
                if cell.required:
                    raise ValueError(f"{_dotted(below, cell.path)} is needed for {part.name}{cell.keys[0]:02d}")
                continue
            if any(element in elements for element in cell.keys) and cell.codes is not None:
                continue
            self._put(elements, cell, value, below)
            if cell.codes is not None and cell.codes.closed and isinstance(cell.keys[0], int):
                codes[cell.keys[0]] = (cell.codes, value)
        rest: list[Any] = self._pairs(part, part.pairs, elements, data, left, below) if part.pairs is not None else []
        self._restore(part, elements, codes, left)
        self._finish(part, elements)
        while rest:
            elements = {}
            assert part.pairs is not None  # noqa: S101 - only pairs leave a rest
            rest = self._pairs_of(part.pairs, elements, rest)
            self._restore(part, elements, codes, left)
            self._finish(part, elements)

    def _put(self, elements: dict[int, str], cell: Cell, value: Any, below: str) -> None:
        try:
            text = cell.encode(value)
        except ValueError as exc:
            raise ValueError(f"{_dotted(below, cell.path)}: {exc}") from exc
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
            if only := _only(wanted):
                elements.setdefault(key, only)

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
                if (value := data.get(field)) is not None and (number := next(free, 0)):
                    elements[number], elements[number + 1] = qualifier, value
            return []
        number = pairs.first
        entries = list(data.get(pairs.field, ()))
        if pairs.shared:
            return self._pairs_of(pairs, elements, entries)
        first, second = pairs.names
        for entry in entries:
            if number > pairs.upto:
                raise ValueError(f"{_dotted(below, (pairs.field,))}: {len(entries)} do not fit")
            try:
                elements[number] = pairs.codes.code(entry[first]) or "" if pairs.codes else entry[first]
            except ValueError as exc:
                raise ValueError(f"{_dotted(below, (pairs.field, first))}: {exc}") from exc
            elements[number + 1] = pairs.type.encode(entry[second])
            number += 2
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

    def _finish(self, part: Values, elements: dict[int, str]) -> None:
        if not elements:
            return
        for cell in part.cells:
            if cell.const is not None:
                elements.setdefault(cell.keys[0], cell.const)
        for name, key, wanted in part.where:
            if name == part.name and (only := _only(wanted)):
                elements.setdefault(key, only)
        self.segments.append([part.name, *(elements.get(number, "") for number in range(1, max(elements) + 1))])

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
                self.segments.insert(before, [part.name])

    def _texts(self, part: Texts, data: Mapping[str, Any], left: Mapping[str, Any]) -> None:
        value = take(data, part.field)
        if not value:
            return
        texts = list(value) if part.is_list else wrapped(value, part.width)
        constants = {key: only for _, key, wanted in part.where if (only := _only(wanted))}
        for number, value in _left_of(part, left):
            constants.setdefault(number, _sent(value))
        for start in range(0, len(texts), len(part.keys)):
            elements = constants | dict(zip(part.keys, texts[start : start + len(part.keys)], strict=False))
            self.segments.append([part.name, *(elements.get(number, "") for number in range(1, max(elements) + 1))])


def _left_of(part: Part, left: Mapping[str, Any]) -> Iterator[tuple[int, Any]]:
    """The single values of extra that stood in this part, by element."""
    for address, value in left.items():
        if address.startswith(part.label) and (number := address[len(part.label) :]).isdecimal():
            yield int(number), value


def _at(place: str, below: str) -> str:
    return f"{place}/{below}" if below else place


def _sent(value: Any) -> str:
    return COMPONENT.join(value) if isinstance(value, list | tuple) else str(value)


def _dotted(below: str, path: tuple[Any, ...]) -> str:
    return ".".join([*below.split("/"), *(str(step) for step in path)] if below else [str(step) for step in path])
