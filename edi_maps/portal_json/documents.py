"""How map sheets see JSON: a wire part is a key of an object, a key below it is a dotted path (``carrier.scac``).

``Reader`` makes canonical values from an object by a block, ``Writer`` makes the object. Both follow ``edi_maps.mapping``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from edi_maps.findings import Finding, Severity, finding
from edi_maps.json_text import MAX_DEPTH, MAX_FINDINGS, pointer
from edi_maps.mapping import (
    Block,
    Cell,
    Codes,
    Condition,
    Entries,
    Keep,
    Key,
    Part,
    Texts,
    Values,
    ValueType,
    grouped,
    missing,
    put,
    take,
)

_NUMBER = re.compile(r"-?(?=[0-9.]{1,31}$)[0-9]+(?:\.[0-9]+)?")


class JsonWire:
    """What ``mapping.load`` has to know about one partner's JSON.

    Args:
        days: how days are written, as ``strptime`` has it.
        moments: how moments are written; one without a zone is UTC.
        numbers: ``"number"`` or ``"string"``: how quantities and prices are written. Both are read.

    Raises:
        ValueError: ``numbers`` is neither.
    """

    def __init__(self, days: str = "%Y-%m-%d", moments: str = "", numbers: str = "string") -> None:
        if numbers not in {"number", "string"}:
            raise ValueError(f"numbers is 'number' or 'string', not {numbers!r}")
        self.types: Mapping[str, ValueType] = {
            "text": ValueType(read_text, str, "json_type", "text"),
            "number": ValueType(
                read_number, _number if numbers == "number" else _digits, "value_not_number", "a number"
            ),
            "integer": ValueType(read_integer, int, "value_not_integer", "a whole number"),
            "day": ValueType(_reads_day(days), lambda day: day.strftime(days), "value_not_date", "a date as text"),
            "clock": ValueType(_read_clock, _write_clock, "value_not_time", "a time of day as text"),
            "moment": ValueType(_reads_moment(moments), _writes_moment(moments), "value_not_moment", "a time as text"),
        }

    def type_at(self, kind: str, _name: str, _key: Key) -> ValueType:
        return self.types[kind]

    def address(self, at: str) -> tuple[str, Key]:
        name, *below = at.split(".")
        if not all((name, *below)):
            raise ValueError(f"{at!r} is not a path like carrier.scac")
        return name, tuple(below)

    def prepare(self, part: Part) -> None:
        if isinstance(part, Keep) or (isinstance(part, Values) and part.pairs is not None):
            raise ValueError("JSON has neither pairs nor parts to keep: all that is unknown is kept and written back")

    def plan(self, parts: Sequence[Part]) -> None:
        """Nothing: the rows are followed as they stand."""


# -- values


def read_text(value: Any) -> str:
    """Text; a number is taken as its digits, since many systems send their identifiers so. Raises TypeError."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise TypeError
    return str(value)


def read_number(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise TypeError
    if isinstance(value, str) and not _NUMBER.fullmatch(value.strip()):
        raise ValueError(value)
    return Decimal(value)


def read_integer(value: Any) -> int:
    number = read_number(value)
    if number != number.to_integral_value():
        raise ValueError(value)
    return int(number)


def _reads_day(form: str) -> Callable[[Any], date]:
    def read(value: Any) -> date:
        if not isinstance(value, str):
            raise TypeError
        return datetime.strptime(value.strip(), form).replace(tzinfo=UTC).date()

    return read


def _read_clock(value: Any) -> time:
    if not isinstance(value, str):
        raise TypeError
    clock = time.fromisoformat(value.strip())
    if clock.tzinfo:
        raise ValueError(value)
    return clock


def _write_clock(value: time) -> str:
    return value.isoformat("minutes" if not (value.second or value.microsecond) else "auto")


def _reads_moment(form: str) -> Callable[[Any], datetime]:
    def read(value: Any) -> datetime:
        if not isinstance(value, str):
            raise TypeError
        text = value.strip()
        moment = datetime.strptime(text, form) if form else datetime.fromisoformat(text)  # noqa: DTZ007 - the next line
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

    return read


def _writes_moment(form: str) -> Callable[[datetime], str]:
    return lambda moment: moment.astimezone(UTC).strftime(form) if form else moment.isoformat().replace("+00:00", "Z")


def _digits(value: Decimal) -> str:
    return format(value, "f")


def _number(value: Decimal) -> int | float | str:
    """A JSON number where that keeps every digit, else text."""
    if value == value.to_integral_value() and abs(value) < 2**53:
        return int(value)
    return float(value) if Decimal(repr(float(value))) == value else _digits(value)


# -- reading

_Place = tuple[str | int, ...]


class Reader:
    """Reads one document; every value that is not what it should be is one finding, and the rest is still read."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []

    def problem(self, code: str, place: _Place, **facts: Any) -> None:
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(finding(code, pointer=pointer(*place), **facts))

    def read(self, block: Block, scope: Mapping[str, Any], data: dict[str, Any], place: _Place = ()) -> dict[str, Any]:
        """Fill ``data`` with the fields that ``block`` finds in ``scope``, and return what it has no home for."""
        left: dict[str, Any] = {}
        for name, thing in scope.items():
            here = (*place, name)
            known: set[Key] = set()
            for part in block.parts.get(name, ()):
                if not holds(part.where, scope):
                    continue
                if isinstance(part, Values):
                    known.update(key for cell in part.cells for key in cell.keys)
                    for cell in part.cells:
                        self._value(part, cell, dig(thing, cell.keys[0]), data, left, here)
                elif isinstance(part, Entries):
                    known.add(())
                    self._entries(part, thing, data, left, here)
                elif isinstance(part, Texts):
                    known.add(())
                    self._texts(part, thing, data, left, here)
            for path, value in _unknown(thing, known):
                self.problem("json_unknown_key", (*here, *path))
                left[address(name, *path)] = as_sent(value)
        return left

    def _value(
        self, part: Values, cell: Cell, value: Any, data: dict[str, Any], left: dict[str, Any], place: _Place
    ) -> None:
        if value is None or value == "" or not cell.reads:
            return
        key = cell.keys[0]
        if cell.const is not None and value == cell.const:
            return
        if cell.const is None:
            try:
                read = read_text(value) if cell.codes is not None else value
                if (decode := cell.decode) is not None:
                    read = decode(read)
            except TypeError:
                self.problem("json_type", (*place, *key), expected=cell.type.expected)
            except ValueError:
                self.problem(cell.type.finding, (*place, *key), value=str(value)[:80])
            else:
                if not cell.again or take(data, cell.path) in (None, read):
                    put(data, cell.path, read)
                    data.update(cell.implies)
                    if cell.codes is None or not cell.codes.closed or cell.codes.returns(str(value)):
                        return
                    if any(other.codes is None and other.keys == cell.keys for other in part.cells):
                        return  # a row beside this one keeps the code as sent
        left[address(part.name, *key)] = as_sent(value)

    def _entries(self, part: Entries, thing: Any, data: dict[str, Any], left: dict[str, Any], place: _Place) -> None:
        maker = part.block.maker
        if thing is None:
            return
        if not isinstance(thing, list) or maker is None:
            self.problem("json_type", place, expected="a list of objects")
            left[part.name] = as_sent(thing)
            return
        for index, each in enumerate(thing):
            here = (*place, index)
            if not isinstance(each, dict):
                self.problem("json_type", here, expected="an object")
                left.setdefault(part.name, []).append(as_sent(each))
                continue
            entry: dict[str, Any] = {}
            before = len(self.findings)
            inner = self.read(part.block, each, entry, here)
            if lacking := missing(maker, entry):
                if not any(found.severity is Severity.ERROR for found in self.findings[before:]):
                    self.problem("entry_incomplete", here, expected=", ".join(lacking))
                left.setdefault(part.name, []).append(as_sent(each))
                continue
            entries = data.setdefault(part.field, [])
            if inner and maker.has_extra:
                entry["extra"] = inner
            else:
                left.update({f"{part.field}/{len(entries)}/{name}": value for name, value in inner.items()})
            entries.append(maker.make(entry))

    def _texts(self, part: Texts, thing: Any, data: dict[str, Any], left: dict[str, Any], place: _Place) -> None:
        if thing is None:
            return
        texts = [each.strip() for each in thing if isinstance(each, str)] if isinstance(thing, list) else []
        if not isinstance(thing, list) or len(texts) != len(thing):
            self.problem("json_type", place, expected="a list of texts")
            left[part.name] = as_sent(thing)
        elif texts:
            put(data, part.field, texts if part.is_list else "\n".join(texts))


def holds(conditions: tuple[Condition, ...], scope: Mapping[str, Any]) -> bool:
    for name, key, wanted in conditions:
        value = dig(scope.get(name), key)
        text = "" if value is None else str(value)
        if (
            text not in wanted
            and not (text and "*" in wanted)
            and not ("#" in wanted and text.isascii() and text.isdecimal())
        ):
            return False
    return True


def dig(thing: Any, path: Key) -> Any:
    """What stands at ``path`` below ``thing``, None for nothing."""
    for step in path:
        if not isinstance(thing, dict):
            return None
        thing = thing.get(step)
    return thing


def address(*path: str) -> str:
    """Where a single value stood, for ``extra``: a dotted path in which a slash stays apart from those between entries."""
    return ".".join(path).replace("~", "~0").replace("/", "~1")


def as_sent(value: Any) -> Any:
    """The value as JSON can hold it: decimals as text, which keeps their digits."""
    if isinstance(value, dict):
        return {key: as_sent(below) for key, below in value.items()}
    if isinstance(value, list):
        return [as_sent(below) for below in value]
    return str(value) if isinstance(value, Decimal) else value


def _unknown(thing: Any, known: set[Key]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """What stands below ``thing`` that no row knows: the highest places whose path begins no known one."""
    waiting: list[tuple[tuple[str, ...], Any]] = [((), thing)]
    while waiting:
        path, value = waiting.pop()
        if value is None or path in known:
            continue
        if isinstance(value, dict) and any(key[: len(path)] == path for key in known):
            waiting.extend(((*path, name), below) for name, below in reversed(value.items()))
        else:
            yield path, value


# -- writing


class Writer:
    """Writes a record as an object, keys in the order of the rows.

    Raises (from ``write``):
        ValueError: the record lacks what this JSON must have, or says something it has no code for; says which field.
    """

    def write(
        self, block: Block, data: Mapping[str, Any], extra: Mapping[str, Mapping[str, Any]], below: str = ""
    ) -> dict[str, Any]:
        """Make the object of ``data``; ``extra`` is grouped by entry, and ``below`` is the group of the record at hand."""
        made: dict[str, Any] = {}
        coded: dict[str, tuple[Codes, Any]] = {}
        for part in block.order:
            if not part.writes:
                continue
            if isinstance(part, Values):
                for cell in part.cells:
                    self._value(part, cell, data, made, coded, below)
            elif isinstance(part, Entries):
                entries = data.get(part.field) or ()
                if entries:
                    made[part.name] = [
                        self._entry(part, entry, extra, f"{below}/{part.field}/{index}".lstrip("/"))
                        for index, entry in enumerate(entries)
                    ]
            elif isinstance(part, Texts) and (value := take(data, part.field)):
                made[part.name] = value.split("\n") if isinstance(value, str) else list(value)
        for where, value in extra.get(below, {}).items():
            _restore(made, where, value, coded.get(where))
        return made

    def _entry(
        self, part: Entries, entry: Mapping[str, Any], extra: Mapping[str, Mapping[str, Any]], place: str
    ) -> dict[str, Any]:
        if own := entry.get("extra"):
            extra = {f"{place}/{name}".rstrip("/"): group for name, group in grouped(own).items()}
        return self.write(part.block, entry, extra, place)

    def _value(
        self,
        part: Values,
        cell: Cell,
        data: Mapping[str, Any],
        made: dict[str, Any],
        coded: dict[str, tuple[Codes, Any]],
        below: str,
    ) -> None:
        if not cell.writes or any(data.get(field, implied) != implied for field, implied in cell.implies.items()):
            return
        where = address(part.name, *cell.keys[0])
        value = cell.const if cell.const is not None else take(data, cell.path)
        if value is None:
            value = cell.default
        if value is None:
            if cell.required:
                raise ValueError(
                    f"{'.'.join([*below.split('/'), *map(str, cell.path)]).lstrip('.')} is needed for {where}"
                )
            return
        try:
            sent = value if cell.const is not None else cell.encode(value)
        except ValueError as exc:
            raise ValueError(f"{where}: {exc}") from exc
        if cell.codes is not None and cell.codes.closed:
            coded[where] = (cell.codes, value)
        if sent is not None:
            _set(made, (part.name, *cell.keys[0]), sent)


def _set(made: dict[str, Any], path: Sequence[str], value: Any) -> None:
    *above, last = path
    for step in above:
        made = made.setdefault(step, {})
    made[last] = value


def _restore(made: dict[str, Any], where: str, value: Any, coded: tuple[Codes, Any] | None) -> None:
    """Put a value of extra back where nothing else stands, or where the same was said by another code."""
    *above, last = (step.replace("~1", "/").replace("~0", "~") for step in where.split("."))
    if len(above) > MAX_DEPTH:  # no reading gives such an address
        return
    for step in above:
        below = made.setdefault(step, {})
        if not isinstance(below, dict):
            return
        made = below
    if last not in made or (coded is not None and coded[0][str(value)] == coded[1]):
        made[last] = value
    elif isinstance(made[last], list) and isinstance(value, list):
        made[last] = [*made[last], *value]
