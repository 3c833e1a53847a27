"""Single X12 elements: how their values are read and written, where they stand, and which segment a row means."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import lru_cache
from typing import Final

from edi_maps.mapping import Condition, Key, ValueType
from edi_maps.x12.guides.tables import element_at
from edi_maps.x12.segments import Loop

#: Six-digit dates: 70 to 99 are of the last century. No partner sends an order of 1969, and some date things years ahead.
PIVOT: Final = 70

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)")
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
    # Whole numbers need no closer look, and most numbers are.
    if not ((text.isdigit() and text.isascii()) or _NUMBER.fullmatch(text)) or len(text) > 30:
        raise ValueError(text)
    return Decimal(text)


def read_integer(text: str) -> int:
    number = read_number(text)
    if number != number.to_integral_value():
        raise ValueError(text)
    return int(number)


def read_clock(text: str) -> time:
    """``HHMM[SS[D[D]]]``, a time of day that names no zone. Raises ValueError for all else."""
    if not re.fullmatch(r"[0-9]{4}|[0-9]{6,8}", text, re.ASCII):
        raise ValueError(text)
    hundredths = int((text[6:] + "00")[:2])
    return time(int(text[:2]), int(text[2:4]), int(text[4:6] or 0), hundredths * 10_000)


def read_moment(parts: tuple[str, str]) -> datetime:
    """A day and ``HHMM[SS[D[D]]]``. X12 names no zone here: read, and written, as UTC. Without a time: midnight."""
    day, clock = parts
    return datetime.combine(read_day(day), read_clock(clock) if clock else time(), UTC)


def write_number(value: Decimal) -> str:
    text = format(value, "f")
    return text.removeprefix("-") if not value else text


def write_clock(value: time) -> str:
    hundredths = f"{value.microsecond // 10_000:02d}".rstrip("0")
    return f"{value:%H%M%S}{hundredths}" if value.second or hundredths else f"{value:%H%M}"


def write_moment(value: datetime) -> tuple[str, str]:
    moment = value.astimezone(UTC)
    return f"{moment:%Y%m%d}", write_clock(moment.time())


#: How the canonical types stand on this wire.
TYPES: Final[Mapping[str, ValueType]] = {
    "text": ValueType(None, str),
    "number": ValueType(read_number, write_number, "value_not_number"),
    "integer": ValueType(read_integer, str, "value_not_integer"),
    "day": ValueType(read_day, lambda day: f"{day:%Y%m%d}", "value_not_date"),
    "clock": ValueType(read_clock, write_clock, "value_not_time"),
    "moment": ValueType(read_moment, write_moment, "value_not_moment"),
}


@lru_cache
def _implied(places: int) -> ValueType:
    """Numbers whose last ``places`` digits stand behind a decimal point that is not sent: element types N0 to N9."""

    def decode(text: str) -> Decimal:
        # Who sends the point has said where it is, against the standard; validation finds it, the amount is still the amount.
        if "." in text:
            return read_number(text)
        read_number(text)
        return Decimal(f"{text}e-{places}")

    def encode(value: Decimal) -> str:
        whole, _, fraction = format(value, "f").partition(".")
        if len(fraction.rstrip("0")) > places:
            raise ValueError(f"{value} has more than {places} decimals, and there is no room for them")
        return str(int(whole + fraction[:places].ljust(places, "0")))

    return ValueType(decode if places else read_number, encode, "value_not_number")


def type_at(kind: str, segment: str, key: Key) -> ValueType:
    """How a value stands in an element: a number as its data element says, all else by ``kind`` alone."""
    if kind == "number":
        element = element_at(segment, *key) if isinstance(key, tuple) else element_at(segment, key)
        if element is not None and element.kind[:1] == "N":
            return _implied(int(element.kind[1:]))
    return TYPES[kind]


def address(at: str) -> tuple[str, Key]:
    """Split ``BEG03`` into segment and element, ``POC05-1`` into segment and (element, component). ValueError: neither."""
    found = _ADDRESS.fullmatch(at)
    if found is None:
        raise ValueError(f"{at!r} is not an element like BEG03 or POC05-1")
    number = int(found[2])
    return found[1], (number, int(found[3])) if found[3] else number


def only(wanted: frozenset[str]) -> str:
    """The one value a condition allows, '' when it allows several or any."""
    return next(iter(wanted)) if len(wanted) == 1 and not wanted & {"*", "#"} else ""


def value_at(thing: list[str] | Loop, name: str, key: Key) -> str:
    """What stands at an address in a segment or in the first such segment of a loop; '' for nothing."""
    if isinstance(thing, Loop):
        for segment in thing.segments:
            if segment[0] == name:
                return segment[key].strip() if key < len(segment) else ""
        return next((value_at(child, name, key) for child in thing.loops if child.id == name), "")
    return thing[key].strip() if thing[0] == name and key < len(thing) else ""


def holds(conditions: tuple[Condition, ...], thing: list[str] | Loop) -> bool:
    for name, key, wanted in conditions:
        value = value_at(thing, name, key)
        if (
            value not in wanted
            and not (value and "*" in wanted)
            and not ("#" in wanted and value.isascii() and value.isdecimal())
        ):
            return False
    return True
