"""The functions that take one wire part each into a record, written from the rows of a map sheet.

A part of single values becomes straight-line Python source, compiled once per process: most of the work of reading is done here,
and a loop over rows costs three times what it does. A taker is called with (reader, part of the wire, record at hand, what has no
home, parts taken already) and says whether it took the part. *Traced* takers also note where each value came from.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from edi_maps.mapping import Cell, Condition, Entries, Maker, Pairs, Part, Texts, Values, missing, put, take
from edi_maps.x12.elements import TYPES, holds, only
from edi_maps.x12.segments import COMPONENT

if TYPE_CHECKING:
    from edi_maps.x12.extraction import Reader

Data = dict[str, Any]

Taker = Callable[["Reader", Any, Data, Data, set[Part]], bool]


# -- once-only parts


def takes_values(part: Values, *, traced: bool) -> Taker:
    """The taker of a segment (or of the first segment of a loop) whose values become fields of the record at hand."""
    return _ValuesSource(part, traced).compile()


class _ValuesSource:
    """Writes the source of one taker."""

    def __init__(self, part: Values, traced: bool) -> None:
        self.part = part
        self.traced = traced
        self.lines: list[str] = []
        #: What the source refers to by name. Names and values of a sheet stand here, never in the source itself.
        self.scope: dict[str, Any] = {
            "part": part,
            "label": part.label,
            "take_cell": _take_cell,
            "take_pairs": _take_pairs,
            "refuse": _refuse,
            "keep_rest": _keep_rest,
            "leave": _leave,
            "keep_components": _keep_components,
        }

    def name(self, value: Any) -> str:
        """A name for ``value`` in the source."""
        name = f"c{len(self.scope)}"
        self.scope[name] = value
        return name

    def condition(self, conditions: tuple[Condition, ...]) -> str:
        """The test of conditions as an expression over ``thing``, ``sent`` and ``size``."""
        return _expression(self.part.name, conditions, self.name)

    def compile(self) -> Taker:
        part, pairs = self.part, self.part.pairs
        add = self.lines.append
        add("def taker(reader, thing, data, left, taken):")
        add(" sent = thing if type(thing) is list else thing.segments[0]")
        add(" size = len(sent)")
        if part.where:
            add(f" if not ({self.condition(part.where)}): return False")
        if pairs is None or not pairs.shared:
            add(" if part in taken: return False")
            add(" taken.add(part)")
        if self.traced and (qualifiers := _qualifiers(part)):
            add(f" reader.qualifiers.append((sent, {self.name(qualifiers)}))")
        add(" used = 1")
        plain, special, known = _laid_out(part)
        for number, cell, weight in plain:
            self.plain(number, cell, weight)
        for number in sorted(known - {number for number, _, _ in (*plain, *special)}):
            add(f" if size > {number} and sent[{number}]: used += 1")
        for number, cell, weight in special:
            self.special(number, cell, weight)
        for number, taken in _components_read(part).items():
            add(f" if size > {number} and reader.component and reader.component in sent[{number}]:")
            add(f"  keep_components(reader, label, sent, {number}, {self.name(taken)}, left)")
        if pairs is not None:
            known |= set(range(pairs.first, pairs.upto + 1))
            # What stands once for all pairs is kept where there are none.
            add(f" if size > {min([pairs.first, *pairs.shared.values()])}:")
            if self.traced or pairs.shared or pairs.maker is None or pairs.field is None:
                add(f"  used += take_pairs(reader, {self.name(pairs)}, label, sent, data, left, {pairs.first})")
            else:
                self.pairs(pairs, pairs.maker, pairs.field)
        add(f" if used != size - sent.count(''): keep_rest(reader, label, sent, {self.name(known)}, left)")
        add(" return True")
        # reviewed exec: the text comes from our own sheets and guides, none of it from a document
        exec(compile("\n".join(self.lines), f"<taker of {part.label}>", "exec"), self.scope)  # noqa: S102 - from our own sheets
        taker: Taker = self.scope["taker"]
        return taker

    def pairs(self, pairs: Pairs, maker: Maker, field: str) -> None:
        """Pairs that are entries of one list: the first that is anything else leaves the rest to ``_take_pairs``."""
        add = self.lines.append
        qualifier, decode = "qualifier", pairs.type.decode
        known = f"qualifier not in {self.name(frozenset(pairs.into))}" if pairs.into else "qualifier"
        kind = qualifier if pairs.codes is None else f"{self.name(pairs.codes)}[qualifier]"
        first, second = (self.name(name) for name in pairs.names)
        add(f"  entries = data.get({self.name(field)}, [])")
        add(f"  for number in range({pairs.first}, size if size <= {pairs.upto} else {pairs.upto}, 2):")
        add("   qualifier = sent[number]")
        add("   value = sent[number + 1] if number + 1 < size else ''")
        add(f"   if value and qualifier and {known}:")
        if decode is not None:
            add(f"    try: value = {self.name(decode)}(value)")
            add("    except ValueError: pass")
            add("    else:")
        indent = "     " if decode is not None else "    "
        make = self.name(maker.make_whole if maker.names == set(pairs.names) else maker.make)
        add(f"{indent}entries.append({make}({{{first}: {kind}, {second}: value}}))")
        add(f"{indent}used += 2")
        add(f"{indent}continue")
        add("   elif not value and not qualifier: continue")
        add(f"   if entries: data[{self.name(field)}] = entries")
        add(f"   used += take_pairs(reader, {self.name(pairs)}, label, sent, data, left, number)")
        add("   break")
        add("  else:")
        add(f"   if entries: data[{self.name(field)}] = entries")

    def plain(self, number: int, cell: Cell, weight: int) -> None:
        """A row that fills a field of the record or of a record nested in it."""
        self.lines.append(f" if size > {number} and (value := sent[{number}]):")
        self.lines.append(f"  used += {weight}")
        self.assign(number, cell, "  ")

    def assign(self, number: int, cell: Cell, indent: str) -> None:
        """Take ``value`` for the field of a row, as it comes or through its type."""
        *within, field = (self.name(step) for step in cell.path)
        target = f"data.setdefault({within[0]}, {{}})" if within else "data"
        if cell.decode is None:
            self.lines.append(f"{indent}{target}[{field}] = value")
            self.trace(number, cell, indent)
        else:
            self.lines.append(f"{indent}try: {target}[{field}] = {self.name(cell.decode)}(value)")
            self.lines.append(f"{indent}except ValueError: refuse(reader, part, sent, {number}, value, left)")
            if self.traced:
                self.lines.append(f"{indent}else:")
                self.trace(number, cell, f"{indent} ")

    def special(self, number: int, cell: Cell, weight: int) -> None:
        """Any other row. What is said once more, and what stands beside nothing, is settled here; the rest by ``_take_cell``."""
        add = self.lines.append
        address = self.name(f"{self.part.label}{number:02d}")
        add(f" if size > {number} and (value := sent[{number}]):")
        add(f"  used += {weight}")
        indent = "  "
        if cell.when:
            add(f"  if not ({self.condition(cell.when)}):")
            leave = f"leave(reader, {address}, sent, {number}, value, left)"
            add(f"   if not ({self.spoken_for(number, cell)}): {leave}")
            add("  else:")
            indent = "   "
        keeps = _keeps_code(self.part, cell)
        if cell.const is not None and cell.keys == (number,) and not cell.path:
            add(f"{indent}if value != {self.name(cell.const)}: leave(reader, {address}, sent, {number}, value, left)")
            if self.traced:
                add(f"{indent}else: reader.constants.append((sent, {number}))")
        elif _is_simple(number, cell) and not (keeps and (cell.when or len(cell.path) > 1)):
            self.simple(number, cell, address, indent, keeps)
        else:
            add(f"{indent}take_cell(reader, {self.name(cell)}, {keeps}, {address}, sent, {number}, value, data, left)")

    def simple(self, number: int, cell: Cell, address: str, indent: str, keeps: bool) -> None:
        """One element for one field; where another row may have filled that already, what differs from it is kept."""
        assign = partial(self.closed_code, number, cell, address) if keeps else partial(self.assign, number, cell)
        if not cell.again:
            assign(indent)
            return
        path = [self.name(step) for step in cell.path]
        known = f"data.get({path[0]})" if len(path) == 1 else f"data.get({path[0]}, {{}}).get({path[1]})"
        self.lines.append(f"{indent}known = {known}")
        self.lines.append(f"{indent}if known is None:")
        assign(f"{indent} ")
        self.lines.append(f"{indent}elif known != value:")
        call = f"take_cell(reader, {self.name(cell)}, {keeps}, {address}, sent, {number}, value, data, left)"
        self.lines.append(f"{indent} {call}")
        if self.traced:
            self.lines.append(f"{indent}else:")
            self.trace(number, cell, f"{indent} ")

    def spoken_for(self, number: int, cell: Cell) -> str:
        """Whether another row takes the value that ``cell`` does not, or is held ``when`` it stands there, as an expression."""
        said = [
            self.condition(other.when) if other.when else "True"
            for other in self.part.cells
            if other is not cell and other.reads and number in other.keys
        ]
        named = {
            wanted_one
            for other in self.part.cells
            for name, key, wanted in other.when
            if other is not cell and (name, key) == (self.part.name, number) and (wanted_one := only(wanted))
        }
        if named:
            said.append(f"value in {self.name(frozenset(named))}")
        return " or ".join(f"({each})" for each in said) or "False"

    def closed_code(self, number: int, cell: Cell, address: str, indent: str) -> None:
        """A code of a closed table: its name, and the code itself where the name would be written as another."""
        codes = cell.codes
        if codes is None:
            return
        returning = frozenset(code for code in codes if codes.returns(code))
        self.lines.append(f"{indent}data[{self.name(cell.path[0])}] = {self.name(codes)}[value]")
        self.trace(number, cell, indent)
        leave = f"leave(reader, {address}, sent, {number}, value, left)"
        self.lines.append(f"{indent}if value not in {self.name(returning)}: {leave}")

    def trace(self, number: int, cell: Cell, indent: str) -> None:
        if self.traced:
            path = self.name("/".join(str(step) for step in cell.path))
            self.lines.append(f"{indent}reader.source(data).note({path}, sent, {number})")


def _laid_out(part: Values) -> tuple[list[tuple[int, Cell, int]], list[tuple[int, Cell, int]], set[int]]:
    """Plain rows and other rows, each as (element, row, weight), and all elements that are known.

    The weight counts an element once, however many rows read it: a segment whose filled elements are all counted has said
    nothing the sheet does not know.
    """
    plain: list[tuple[int, Cell, int]] = []
    special: list[tuple[int, Cell, int]] = []
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
        for number in numbers:
            weight = 0 if number in counted else 1
            counted.add(number)
            if _is_simple(number, cell) and not (cell.when or cell.again or _keeps_code(part, cell)):
                plain.append((number, cell, weight))
            else:
                special.append((number, cell, weight))
    return plain, special, known


def _qualifiers(part: Values) -> tuple[tuple[int, int | None], ...]:
    """The elements a row depends on: they say what the others, or that of one row, mean."""
    of_all = [(key, None) for name, key, _ in part.where if name == part.name and isinstance(key, int)]
    of_one = [
        (key, cell.keys[0] if isinstance(cell.keys[0], int) else cell.keys[0][0])
        for cell in part.cells
        for name, key, _ in cell.when
        if name == part.name and isinstance(key, int)
    ]
    return tuple(dict.fromkeys([*of_all, *of_one]))


def _is_simple(number: int, cell: Cell) -> bool:
    """Whether a row takes one whole element for a field of the record or of a record nested in it."""
    named = len(cell.path) in (1, 2) and all(isinstance(step, str) for step in cell.path)
    return named and cell.keys == (number,) and cell.const is None


def _keeps_code(part: Values, cell: Cell) -> bool:
    """Whether the code as sent must be kept where its name would be written as another."""
    beside = [other for other in part.cells if other.keys == cell.keys]
    return cell.codes is not None and cell.codes.closed and len(beside) == 1


def _refuse(reader: Reader, part: Values, sent: list[str], number: int, value: str, left: Data) -> None:
    cell = next(cell for cell in part.cells if number in cell.keys)
    reader.problem(cell.type.finding, sent, number, value)
    _leave(reader, f"{part.label}{number:02d}", sent, number, value, left)


def _leave(reader: Reader, address: str, sent: list[str], number: int, value: Any, left: Data) -> None:
    """Keep one value under extra."""
    left[address] = value
    if reader.traced:
        reader.source(left).note(address, sent, number)


def _keep_rest(reader: Reader, label: str, sent: list[str], known: set[int], left: Data) -> None:
    for number in range(1, len(sent)):
        if number not in known and (value := sent[number]):
            _leave(reader, f"{label}{number:02d}", sent, number, reader.as_sent(value), left)


def _components_read(part: Values) -> dict[int, set[int]]:
    """The composite elements of which rows take single components, and which."""
    found: dict[int, set[int]] = {}
    for cell in part.cells:
        for key in cell.keys if cell.reads else ():
            if isinstance(key, tuple):
                found.setdefault(key[0], set()).add(key[1])
    return found


def _keep_components(reader: Reader, label: str, sent: list[str], number: int, taken: set[int], left: Data) -> None:
    """Keep the components of an element that no row takes, in their places; writing fills in the others."""
    components = sent[number].split(reader.component)
    rest = ["" if place in taken else component.strip() for place, component in enumerate(components, start=1)]
    address = f"{label}{number:02d}"
    if any(rest) and address not in left:
        _leave(reader, address, sent, number, rest, left)


def _take_cell(
    reader: Reader,
    cell: Cell,
    keeps_code: bool,
    address: str,
    sent: list[str],
    number: int,
    value: str,
    data: Data,
    left: Data,
) -> None:
    """Take one value by a row that is more than a plain field."""
    key = cell.keys[0]
    whole_address = address
    raw: Any = value
    if len(cell.keys) == 2:
        if number == cell.keys[1]:
            if not (key < len(sent) and sent[key]):
                _leave(reader, address, sent, number, value, left)
            return
        other = cell.keys[1]
        raw = (value, sent[other] if other < len(sent) else "")
    if isinstance(key, tuple):
        components = value.split(reader.component or COMPONENT)
        raw = components[key[1] - 1] if key[1] <= len(components) else ""
        if not raw:
            return
        address = f"{address}-{key[1]}"
    if cell.const is not None and (value == cell.const or not cell.path):
        if value != cell.const:
            _leave(reader, address, sent, number, value, left)
        elif reader.traced:
            reader.constants.append((sent, number))
        return
    try:
        read = raw if cell.decode is None else cell.decode(raw)
    except ValueError:
        reader.problem(cell.type.finding, sent, number, " ".join(raw) if isinstance(raw, tuple) else raw)
        _leave(reader, address, sent, number, value, left)
        if isinstance(raw, tuple) and raw[1]:
            _leave(reader, f"{address[:-2]}{cell.keys[1]:02d}", sent, cell.keys[1], raw[1], left)
        return
    if cell.again and (known := take(data, cell.path)) is not None:
        if known != read:
            _leave(reader, address, sent, number, value, left)
        elif reader.traced:
            _note(reader, cell, sent, number, data)
        return
    put(data, cell.path, read)
    if reader.traced:
        _note(reader, cell, sent, number, data)
    if keeps_code and cell.codes is not None and not cell.codes.returns(value):
        _leave(reader, whole_address, sent, number, value, left)


def _note(reader: Reader, cell: Cell, sent: list[str], number: int, data: Data) -> None:
    """Say where the value of a row stands: in one component, or in all its elements."""
    source, path = reader.source(data), "/".join(str(step) for step in cell.path)
    source.note(path, sent, number, cell.keys[0][1] if isinstance(cell.keys[0], tuple) else None)
    for other in cell.keys[1:]:
        if other < len(sent) and sent[other]:
            source.note(path, sent, other)


def _take_pairs(reader: Reader, pairs: Pairs, label: str, sent: list[str], data: Data, left: Data, start: int) -> int:
    """Take the pairs of a segment from element ``start`` on; how many elements they are."""
    size = len(sent)
    traced = reader.traced
    first, second = pairs.names
    codes, into, decode = pairs.codes, pairs.into, pairs.type.decode
    make = pairs.maker.make if pairs.maker is not None else None
    entries: list[Any] = []
    shared: Data = {}
    for field, key in pairs.shared.items():
        if key < size and (value := sent[key]):
            shared[field] = value
    used = 0
    at = len(data.get(pairs.field, ())) if pairs.field is not None else 0
    for number in range(start, size if size <= pairs.upto else pairs.upto, 2):
        qualifier = sent[number]
        value = sent[number + 1] if number + 1 < size else ""
        if qualifier and value:
            used += 2
            if qualifier in into:
                field = into[qualifier]
                if field.endswith("[]"):
                    field = field[:-2]
                    if traced:
                        reader.source(data).note(f"{field}/{len(data.get(field, ()))}", sent, number + 1)
                        reader.qualifiers.append((sent, [(number, number + 1)]))
                    data.setdefault(field, []).append(value)
                    continue
                if field not in data:
                    data[field] = value
                    if traced:
                        reader.source(data).note(field, sent, number + 1)
                        reader.qualifiers.append((sent, [(number, number + 1)]))
                    continue
            elif make is not None:
                try:
                    read = value if decode is None else decode(value)
                except ValueError:
                    reader.problem(pairs.type.finding, sent, number + 1, value)
                else:
                    if traced:
                        source, place = reader.source(data), f"{pairs.field}/{at + len(entries)}"
                        source.note(f"{place}/{first}", sent, number)
                        source.note(f"{place}/{second}", sent, number + 1)
                        for field in shared:
                            source.note(f"{place}/{field}", sent, pairs.shared[field])
                    entry = {first: qualifier if codes is None else codes[qualifier], second: read}
                    if shared:
                        entry |= shared
                    entries.append(make(entry))
                    continue
        elif qualifier or value:
            used += 1
            reader.problem("value_unpaired", sent, number + 1 if value else number, value or qualifier)
        else:
            continue
        if qualifier:
            _leave(reader, f"{label}{number:02d}", sent, number, qualifier, left)
        if value:
            _leave(reader, f"{label}{number + 1:02d}", sent, number + 1, value, left)
    if shared and not entries:
        for key in pairs.shared.values():
            if key < size and sent[key]:
                _leave(reader, f"{label}{key:02d}", sent, key, sent[key], left)
    if entries and pairs.field is not None:
        if at:
            data[pairs.field].extend(entries)
        else:
            data[pairs.field] = entries
    return used


# -- parts that repeat


def takes_entry(part: Entries, *, traced: bool) -> Taker:
    """The taker of what becomes one entry of a list, or of a dictionary."""
    fits = fitting(part.name, part.where)
    field = part.field
    block, maker = part.block, part.block.maker
    known: dict[str, Any] = {}  #: what has been said before, and the record it made
    shares = block.repeats and not traced

    def taker(reader: Reader, thing: Any, data: Data, left: Data, _taken: set[Part]) -> bool:
        if fits is not None and not fits(thing):
            return False
        said = _said(thing) if shares else ""
        if said and (record := known.get(said)) is not None:
            data.setdefault(field, []).append(record)
            return True
        entry: Data = {}
        inner: Data = {}
        before = len(reader.findings)
        if type(thing) is list:
            reader.fill(block, thing, entry, inner)
        else:
            reader.walk(block, thing, entry, inner, set())
        key: Any
        if maker is None:
            place = data.setdefault(field, {})
            key = entry.get("key")
            if "value" not in entry or key is None or key in place:
                reader.keep(thing, left)
                return True
            place[key] = entry["value"]
            if traced:
                noted = reader.source(entry).values
                for (segment, named, _), (_, number, _) in zip(
                    noted.get("key", ()), noted.get("value", ()), strict=True
                ):
                    reader.source(data).note(f"{field}/{key}", segment, number)
                    reader.qualifiers.append((segment, [(named, number)]))
        else:
            if not maker.required <= entry.keys():
                if len(reader.findings) == before:
                    lacking = ", ".join(missing(maker, entry))
                    first = thing if type(thing) is list else thing.segments[0]
                    reader.problem("entry_incomplete", first, None, None, expected=lacking)
                reader.keep(thing, left)
                return True
            entries = data.setdefault(field, [])
            key = len(entries)
            if traced:
                reader.source(data).inner[f"{field}/{key}"] = entry
            if inner and maker.has_extra:
                entry["extra"] = inner
                if traced:
                    reader.source(entry).inner["extra"] = inner
                inner = {}
            entries.append(record := maker.make(entry))
            if said and not inner and len(reader.findings) == before:
                if len(known) >= _MAX_KNOWN:
                    known.clear()
                known[said] = record
        if inner:
            for address, value in inner.items():
                left[f"{field}/{key}/{address}"] = value
            if traced:
                for address, spots in reader.source(inner).values.items():
                    reader.source(left).values[f"{field}/{key}/{address}"] = spots
        return True

    return taker


#: Different records of one kind that are kept to be shared.
_MAX_KNOWN: Final = 2_000


def _said(thing: Any) -> str:
    """All that a segment or loop says, as one text; '' when that is too much to be said again."""
    if type(thing) is list:
        return "\x1d".join(thing)
    lines = (
        ["\x1d".join(segment) for _, segment in thing.everything()]
        if thing.loops
        else [*map("\x1d".join, thing.segments)]
    )
    return "\x1e".join(lines) if len(lines) <= 8 else ""


def takes_texts(part: Texts, *, traced: bool) -> Taker:
    """The taker of what adds to a list of texts or to one text."""
    fits = fitting(part.name, part.where)
    known = {key for name, key, wanted in part.where if name == part.name and only(wanted)}
    keys = part.keys
    all_known = known.union(keys)
    address = "/".join(str(step) for step in part.field)
    #: the one text a plain segment holds beside its identifier and its qualifiers
    single = keys[0] if len(keys) == 1 and len(part.field) == 1 and not traced else None
    filled = len(known) + 2

    def taker(reader: Reader, thing: Any, data: Data, left: Data, _taken: set[Part]) -> bool:
        """False: the segment says more than its texts, and a later row or extra must take it whole."""
        if fits is not None and not fits(thing):
            return False
        sent: list[str] = thing if type(thing) is list else thing.segments[0]
        if (
            single is not None
            and single < len(sent)
            and len(sent) - sent.count("") == filled
            and (value := sent[single])
        ):
            if part.is_list:
                data.setdefault(address, []).append(value)
            else:
                data[address] = f"{data[address]}\n{value}" if address in data else value
            return True
        if traced and known:
            reader.qualifiers.append((sent, [(number, None) for number in known]))
        values = [value for number in keys if number < len(sent) and (value := sent[number])]
        more: Data = {}
        if len(values) + len(known) + 1 != len(sent) - sent.count(""):
            _keep_rest(reader, part.label, sent, all_known, more)
        if more:
            if not part.is_last or any(left.get(address, value) != value for address, value in more.items()):
                return False
            left.update(more)
            if traced:
                for kept, spots in reader.source(more).values.items():
                    for spot in spots:
                        reader.source(left).note(kept, *spot)
        if values:
            before = take(data, part.field)
            if traced:
                for place, number in enumerate(number for number in keys if number < len(sent) and sent[number]):
                    at = f"{address}/{len(before or ()) + place}" if part.is_list else address
                    reader.source(data).note(at, sent, number)
            if part.is_list:
                put(data, part.field, [*(before or ()), *values])
            else:
                put(data, part.field, "\n".join([before, *values] if before else values))
        return True

    return taker


#: What a condition asks that is not simply to be one of some values.
ANY: Final = frozenset({"*", "#", ""})


def _expression(part_name: str, conditions: tuple[Condition, ...], name: Callable[[Any], str]) -> str:
    """The test of conditions as source over ``thing``, ``sent`` and ``size``; ``name`` names a value in it."""
    tests = []
    for condition in conditions:
        segment, key, wanted = condition
        listed = name(wanted - {"*", "#"})
        if segment != part_name or not isinstance(key, int):
            tests.append(f"{name(holds)}({name((condition,))}, thing)")
        elif "*" in wanted:
            tests.append("True" if "" in wanted else f"size > {key} and sent[{key}]")
        elif "#" in wanted:
            number = f"sent[{key}] in {listed} or sent[{key}].isascii() and sent[{key}].isdecimal()"
            tests.append(f"size <= {key} or {number}" if "" in wanted else f"size > {key} and ({number})")
        elif "" in wanted:
            tests.append(f"size <= {key} or sent[{key}] in {listed}")
        else:
            tests.append(f"size > {key} and sent[{key}] in {listed}")
    return " and ".join(f"({test})" for test in tests) or "True"


def fitting(part_name: str, conditions: tuple[Condition, ...]) -> Callable[[Any], bool] | None:
    """The test of a ``where`` for a segment or loop; None when there is none."""
    if not conditions:
        return None
    scope: dict[str, Any] = {}

    def name(value: Any) -> str:
        scope[f"c{len(scope)}"] = value
        return f"c{len(scope) - 1}"

    lines = (
        "def fits(thing):",
        " sent = thing if type(thing) is list else thing.segments[0]",
        " size = len(sent)",
        f" return bool({_expression(part_name, conditions, name)})",
    )
    # reviewed exec: as above
    exec(compile("\n".join(lines), f"<where of {part_name}>", "exec"), scope)  # noqa: S102 - from our own sheets
    fits: Callable[[Any], bool] = scope["fits"]
    return fits
