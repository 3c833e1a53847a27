"""Canonical values out of X12 trees: the reading half of the map sheets.

A sheet is compiled once: every part of every block becomes one function, its *taker*, that knows its elements by number and asks
no questions that its rows have answered already. Reading a document is handing its segments, in the order of the wire, to the
takers of their name. ``edi_maps.mapping`` tells the language of the sheets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from edi_maps.findings import Finding, finding
from edi_maps.mapping import (
    Block,
    Cell,
    Condition,
    Entries,
    Key,
    Pairs,
    Part,
    Texts,
    Values,
    ValueType,
    missing,
    put,
    take,
)
from edi_maps.x12 import elements
from edi_maps.x12.elements import TYPES, holds, only
from edi_maps.x12.segments import COMPONENT, Loop, Segment

_Data = dict[str, Any]

#: Takes one wire part: (reader, part of the wire, record at hand, what has no home, parts taken already) → whether it did.
_Taker = Callable[["Reader", Any, _Data, _Data, set[Part]], bool]

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
        if isinstance(part, Values):
            part.plan = _takes_values(part)
        elif isinstance(part, Entries):
            part.plan = _takes_entry(part)
        elif isinstance(part, Texts):
            part.plan = _takes_texts(part)


class Reader:
    """Reads one transaction set; every value that is not what it should be is one finding, and the rest is still read."""

    def __init__(self, component: str = "") -> None:
        self.findings: list[Finding] = []
        self.component = component

    def read(self, block: Block, scope: Loop | Segment, data: _Data) -> _Data:
        """Fill ``data`` with the fields that ``block`` finds in ``scope``, and return what it has no home for."""
        left: _Data = {}
        self.fill(block, scope, data, left)
        return left

    def fill(self, block: Block, scope: Loop | Segment, data: _Data, left: _Data) -> None:
        """As ``read``, into a ``left`` that is there already."""
        if isinstance(scope, Loop):
            self._walk(block, scope, data, left, set())
            return
        taken: set[Part] = set()
        for taker in block.plans.get(scope.elements[0], ()):
            if taker(self, scope, data, left, taken):
                return
        self.keep(scope, left)

    def _walk(self, block: Block, scope: Loop, data: _Data, left: _Data, taken: set[Part]) -> None:
        plans = block.plans
        for segment in scope.segments:
            name = segment.elements[0]
            for taker in plans.get(name, ()):
                if taker(self, segment, data, left, taken):
                    break
            else:
                # The envelope, and levels: whoever knows their order places those, never a row.
                if name not in _PASSED_OVER:
                    self.keep(segment, left)
        for loop in scope.loops:
            if loop.id == "HL":
                continue
            if loop.id in block.entered and loop.segments:
                for taker in plans.get(loop.id, ()):
                    if taker(self, loop, data, left, taken):
                        break
                else:
                    self.keep(loop, left)
            else:  # only a wrapper to the sheet, such as CTT around CTT and AMT
                self._walk(block, loop, data, left, taken)

    def problem(self, code: str, segment: Segment, element: int | None, value: str | None, **facts: Any) -> None:
        if len(self.findings) < MAX_FINDINGS:
            place: dict[str, Any] = {"position": segment.position or None, "offset": segment.offset or None}
            self.findings.append(
                finding(code, segment=segment.elements[0], element=element, value=value, **place, **facts)
            )

    def keep(self, thing: Loop | Segment, left: _Data) -> None:
        """Put a whole part under extra: a list of segments, those of a loop in the order of the wire."""
        name = thing.elements[0] if isinstance(thing, Segment) else thing.id
        kept = left.setdefault(name, [])
        kept.extend([self.as_sent(value) for value in segment.elements] for segment in every_segment(thing))

    def as_sent(self, value: str) -> Any:
        """A single value for extra; a composite as the list of its components."""
        return value.split(self.component) if self.component and self.component in value else value


_PASSED_OVER: Final = frozenset({"HL", "ST", "SE"})


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


# -- once-only parts


def _takes_values(part: Values) -> _Taker:
    fits = _fitting(part.name, part.where)
    plain, special, known = _laid_out(part)
    pairs = part.pairs
    once = pairs is None or not pairs.shared
    silent = sorted(known - {row[0] for row in plain} - {row[0] for row in special})
    if pairs is not None:
        known |= set(range(pairs.first, pairs.upto + 1))

    def taker(reader: Reader, thing: Any, data: _Data, left: _Data, taken: set[Part]) -> bool:
        if fits is not None and not fits(thing):
            return False
        if once:
            if part in taken:
                return False
            taken.add(part)
        sent: list[str] = (thing if type(thing) is Segment else thing.segments[0]).elements
        size = len(sent)
        used = 1
        for number, within, field, decode, weight in plain:
            if number < size and (value := sent[number].strip()):
                used += weight
                record = data if within is None else data.setdefault(within, {})
                if decode is None:
                    record[field] = value
                else:
                    try:
                        record[field] = decode(value)
                    except ValueError:
                        _refuse(reader, part, thing, number, value, left)
        for number in silent:
            if number < size and sent[number]:
                used += 1
        for number, cell, beside, keeps_code, weight in special:
            if number < size and (value := sent[number].strip()):
                used += weight
                if beside is not None and not beside(thing):
                    left[f"{part.label}{number:02d}"] = value
                elif not (cell.again and data.get(cell.path[0]) == value):
                    _take_cell(reader, cell, keeps_code, part.label, thing, number, value, data, left)
        if pairs is not None and size > pairs.first:
            used += _take_pairs(reader, pairs, part.label, thing, data, left)
        if used != size - sent.count(""):
            _keep_rest(reader, part.label, sent, known, left)
        return True

    return taker


#: A row that fills a field of the record or of a record nested in it: (element, nested record, field, decode, weight).
_Plain = tuple[int, str | None, str, Callable[[Any], Any] | None, int]

#: Any other row: (element, row, test of its ``when``, whether the code as sent must be kept, weight).
_Special = tuple[int, Cell, Callable[[Any], bool] | None, bool, int]


def _laid_out(part: Values) -> tuple[list[_Plain], list[_Special], set[int]]:
    """The rows by element, and all elements that are known.

    The weight counts an element once, however many rows read it: a segment whose filled elements are all counted has said
    nothing the sheet does not know.
    """
    plain: list[_Plain] = []
    special: list[_Special] = []
    known: set[int] = {key for name, key, wanted in part.where if name == part.name and only(wanted)}
    if part.pairs is not None:
        known |= set(part.pairs.shared.values())
    counted: set[int] = set()
    # A value that some row holds ``when`` it is there belongs to that row, as long as it is the one wanted.
    guards = [
        Cell((key,), (), TYPES["text"], const=wanted_one)
        for cell in part.cells
        for name, key, wanted in cell.when
        if name == part.name and (wanted_one := only(wanted)) and not any(key in other.keys for other in part.cells)
    ]
    for cell in (*part.cells, *guards):
        numbers = [key if isinstance(key, int) else key[0] for key in cell.keys]
        known.update(numbers)
        if not cell.reads:
            continue
        beside = [other for other in part.cells if other.keys == cell.keys]
        keeps_code = cell.codes is not None and cell.codes.closed and len(beside) == 1
        for number in numbers:
            weight = 0 if number in counted else 1
            counted.add(number)
            simple = cell.keys == (number,) and not (keeps_code or cell.when or cell.again or cell.const is not None)
            match cell.path:
                case (str(field),) if simple:
                    plain.append((number, None, field, cell.decode, weight))
                case (str(within), str(field)) if simple:
                    plain.append((number, within, field, cell.decode, weight))
                case _:
                    special.append((number, cell, _fitting(part.name, cell.when), keeps_code, weight))
    return plain, special, known


def _refuse(reader: Reader, part: Values, thing: Any, number: int, value: str, left: _Data) -> None:
    cell = next(cell for cell in part.cells if number in cell.keys)
    reader.problem(cell.type.finding, next(every_segment(thing)), number, value)
    left[f"{part.label}{number:02d}"] = value


def _keep_rest(reader: Reader, label: str, sent: list[str], known: set[int], left: _Data) -> None:
    for number in range(1, len(sent)):
        if number not in known and (value := sent[number].strip()):
            left[f"{label}{number:02d}"] = reader.as_sent(value)


def _take_cell(
    reader: Reader,
    cell: Cell,
    keeps_code: bool,
    label: str,
    thing: Any,
    number: int,
    value: str,
    data: _Data,
    left: _Data,
) -> None:
    """Take one value by a row that is more than a plain field."""
    segment: Segment = thing if type(thing) is Segment else thing.segments[0]
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
        components = value.split(reader.component or COMPONENT)
        raw = components[key[1] - 1] if key[1] <= len(components) else ""
        if not raw:
            return
        address = f"{address}-{key[1]}"
    if cell.const is not None:
        if value != cell.const:
            left[address] = value
        return
    try:
        read = raw if cell.decode is None else cell.decode(raw)
    except ValueError:
        reader.problem(cell.type.finding, segment, number, " ".join(raw) if isinstance(raw, tuple) else raw)
        left[address] = value
        return
    if cell.again and (known := take(data, cell.path)) is not None:
        if known != read:
            left[address] = value
        return
    put(data, cell.path, read)
    if keeps_code and cell.codes is not None and not cell.codes.returns(value):
        left[address] = value


def _take_pairs(reader: Reader, pairs: Pairs, label: str, thing: Any, data: _Data, left: _Data) -> int:
    """Take the pairs of a segment; how many elements they are."""
    segment: Segment = thing if type(thing) is Segment else thing.segments[0]
    sent = segment.elements
    size = len(sent)
    first, second = pairs.names
    codes, maker, decode, into = pairs.codes, pairs.maker, pairs.type.decode, pairs.into
    entries: list[Any] = []
    shared = {field: value for field, key in pairs.shared.items() if (value := segment.get(key).strip())}
    used = 0
    for number in range(pairs.first, min(size, pairs.upto), 2):
        qualifier = sent[number].strip()
        value = sent[number + 1].strip() if number + 1 < size else ""
        if qualifier and value:
            used += 2
            if qualifier in into:
                field = into[qualifier]
                if field.endswith("[]"):
                    data.setdefault(field[:-2], []).append(value)
                    continue
                if field not in data:
                    data[field] = value
                    continue
            elif maker is not None:
                try:
                    read = value if decode is None else decode(value)
                except ValueError:
                    reader.problem(pairs.type.finding, segment, number + 1, value)
                else:
                    kind = qualifier if codes is None else codes[qualifier]
                    entries.append(maker({first: kind, second: read, **shared}))
                    continue
        elif qualifier or value:
            used += 1
            reader.problem("value_unpaired", segment, number + 1 if value else number, value or qualifier)
        else:
            continue
        if qualifier:
            left[f"{label}{number:02d}"] = qualifier
        if value:
            left[f"{label}{number + 1:02d}"] = value
    if entries and pairs.field is not None:
        if pairs.field in data:
            data[pairs.field].extend(entries)
        else:
            data[pairs.field] = entries
    return used


# -- parts that repeat


def _takes_entry(part: Entries) -> _Taker:
    fits = _fitting(part.name, part.where)
    field = part.field

    def taker(reader: Reader, thing: Any, data: _Data, left: _Data, _taken: set[Part]) -> bool:
        if fits is not None and not fits(thing):
            return False
        entry: _Data = {}
        inner: _Data = {}
        before = len(reader.findings)
        reader.fill(part.block, thing, entry, inner)
        maker = part.block.maker
        key: Any
        if maker is None:
            place = data.setdefault(field, {})
            key = entry.get("key")
            if "value" not in entry or key is None or key in place:
                reader.keep(thing, left)
                return True
            place[key] = entry["value"]
        else:
            if not maker.required <= entry.keys():
                if len(reader.findings) == before:
                    lacking = ", ".join(missing(maker, entry))
                    reader.problem("entry_incomplete", next(every_segment(thing)), None, None, expected=lacking)
                reader.keep(thing, left)
                return True
            entries = data.setdefault(field, [])
            key = len(entries)
            if inner and maker.has_extra:
                entry["extra"] = inner
                inner = {}
            entries.append(maker(entry))
        if inner:
            left.update({f"{field}/{key}/{address}": value for address, value in inner.items()})
        return True

    return taker


def _takes_texts(part: Texts) -> _Taker:
    fits = _fitting(part.name, part.where)
    known = {key for name, key, wanted in part.where if name == part.name and only(wanted)}

    def taker(reader: Reader, thing: Any, data: _Data, left: _Data, _taken: set[Part]) -> bool:
        """False: the segment says more than its texts, and a later row or extra must take it whole."""
        if fits is not None and not fits(thing):
            return False
        sent = _elements(thing)
        values = [value for number in part.keys if number < len(sent) and (value := sent[number].strip())]
        more: _Data = {}
        if len(values) + len(known) + 1 != len(sent) - sent.count(""):
            _keep_rest(reader, part.label, sent, known.union(part.keys), more)
        if more:
            if not part.is_last or any(left.get(address, value) != value for address, value in more.items()):
                return False
            left.update(more)
        if values:
            before = take(data, part.field)
            if part.is_list:
                put(data, part.field, [*(before or ()), *values])
            else:
                put(data, part.field, "\n".join([before, *values] if before else values))
        return True

    return taker


def _fitting(part_name: str, conditions: tuple[Condition, ...]) -> Callable[[Any], bool] | None:
    """The test of a ``where`` or ``when``; None when there is none. Most ask for one element of the segment itself."""
    if not conditions:
        return None
    if len(conditions) == 1:
        [(name, key, wanted)] = conditions
        if name == part_name and isinstance(key, int):
            if wanted == {"*"}:
                return lambda thing: len(sent := _elements(thing)) > key and bool(sent[key].strip())
            if not wanted & {"*", "#", ""}:
                return lambda thing: len(sent := _elements(thing)) > key and sent[key].strip() in wanted
    return lambda thing: holds(conditions, thing)


def _elements(thing: Any) -> list[str]:
    """The elements of a segment, or of the first segment of a loop."""
    elements_sent: list[str] = (thing if type(thing) is Segment else thing.segments[0]).elements
    return elements_sent
