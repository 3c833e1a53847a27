"""What a segment may hold: one regular expression per place of the guide, and the words when it does not match.

A good segment costs one ``fullmatch``, relational conditions included. Only a bad one is taken apart element by element, by the same rules written out once
more; the tests hold the two against each other. Source: X12.6 (types, relational conditions) and X12.5.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any, Final

from edi_maps.x12.segments import Delimiters, Segment
from edi_maps.x12.structure import UNLIMITED, Element, SegmentNode

#: (code, facts): a finding that does not know yet where its segment stands.
Fault = tuple[str, dict[str, Any]]

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_TIME: Final = r"(?:[01]\d|2[0-3])[0-5]\d(?:[0-5]\d\d{0,2})?"
#: Every day of the calendar but 29 February, which takes the slow path.
_MONTH_DAY: Final = (
    r"(?:(?:0[13578]|1[02])(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)(?:0[1-9]|[12]\d|30)|02(?:0[1-9]|1\d|2[0-8]))"
)
_WHOLE: Final = re.compile(r"-?\d+", re.ASCII)
_DECIMAL: Final = re.compile(r"-?(?:\d+\.?\d*|\.\d+)", re.ASCII)


def compile_pattern(node: SegmentNode, delimiters: Delimiters, *, short_dates: bool) -> Callable[[str], object]:
    """The test a segment must pass at ``node``.

    Args:
        short_dates: dates of six digits pass as well, as versions before 004010 send them.

    Returns:
        A function from the segment as it came (without terminator) to something true or None.
    """
    separator = re.escape(delimiters.element)
    units = list(_units(node, delimiters, short_dates))
    required = max((number for number, (_, needed) in enumerate(units, start=1) if needed), default=0)
    head = "".join(pattern for pattern, _ in units[:required])
    tail = ""
    # Nothing in an element holds a separator, so what has matched is never tried another way: hence "?+".
    for pattern, _ in reversed(units[required:]):
        tail = f"(?:{pattern}{tail})?+"
    # Empty elements at the end say nothing and are let pass.
    # ASCII: the digits of other scripts are no digits here.
    return re.compile(f"{re.escape(node.id)}{head}{tail}{separator}*+", re.ASCII).fullmatch


def _units(node: SegmentNode, delimiters: Delimiters, short_dates: bool) -> Iterator[tuple[str, bool]]:
    """Pattern and necessity of each element in turn, separator included; two that go together are one unit.

    A relational condition is looked up ahead where the first of its elements would start: a few characters away at most. One that
    is not reached, because the segment ends before it, holds; but for R, whose unit is necessary therefore.
    """
    separator = re.escape(delimiters.element)
    paired = _paired(node)
    number = 1
    while number <= len(node.elements):
        element = node.elements[number - 1]
        pattern = _pattern(element, delimiters, short_dates)
        here = range(number, number + 2) if number in paired else range(number, number + 1)
        conditions = [(kind, places) for kind, places in _conditions(node) if min(places) in here]
        ahead = "".join(_ahead(kind, places, number, separator) for kind, places in conditions)
        needed = any(kind == "R" for kind, _ in conditions)
        if number in paired:
            other = _pattern(node.elements[number], delimiters, short_dates)
            yield f"{ahead}(?:{separator}{pattern}{separator}{other}|{separator}{separator})", needed
        elif element.required:
            yield f"{ahead}{separator}{pattern}", True
        else:
            yield f"{ahead}{separator}(?:{pattern})?+", needed
        number = here.stop


@functools.cache
def _paired(node: SegmentNode) -> frozenset[int]:
    """First elements of neighbours that are tied as all or none: the pattern itself holds these together."""
    return frozenset(
        places[0]
        for kind, places in node.rules
        if kind == "P"
        and len(places) == 2
        and places[1] == places[0] + 1 <= len(node.elements)
        and not any(node.elements[place - 1].required for place in places)
    )


@functools.cache
def _conditions(node: SegmentNode) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """The other relational conditions. One on an element that is not there is none."""
    paired = _paired(node)
    return tuple(
        (kind, places)
        for kind, places in node.rules
        if max(places) <= len(node.elements) and not (kind == "P" and len(places) == 2 and places[0] in paired)
    )


def _ahead(kind: str, places: tuple[int, ...], start: int, separator: str) -> str:
    """A condition looked up from the separator in front of element ``start``."""

    def path(place: int) -> str:
        return f"{f'{separator}[^{separator}]*' * (place - start)}{separator}[^{separator}]"

    def filled(place: int) -> str:
        return f"(?={path(place)})"

    def empty(place: int) -> str:
        return f"(?!{path(place)})"

    first, *others = places
    if kind == "R":
        return f"(?:{'|'.join(map(filled, places))})"
    if kind == "P":
        return f"(?:{''.join(map(filled, places))}|{''.join(map(empty, places))})"
    if kind == "C":
        return f"(?:{empty(first)}|{''.join(map(filled, others))})"
    if kind == "L":
        return f"(?:{empty(first)}|{'|'.join(map(filled, others))})"
    pairs = ((place, other) for number, place in enumerate(places) for other in places[number + 1 :])
    return "".join(f"(?!{filled(place)}{filled(other)})" for place, other in pairs)


def _pattern(element: Element, delimiters: Delimiters, short_dates: bool) -> str:
    one = _single_pattern(element, delimiters, short_dates)
    if element.repeat == 1 or not delimiters.repetition:
        return one
    most = "*" if element.repeat == UNLIMITED else f"{{0,{element.repeat - 1}}}"
    return f"{one}(?:{re.escape(delimiters.repetition)}{one}){most}"


def _single_pattern(element: Element, delimiters: Delimiters, short_dates: bool) -> str:
    if element.components:
        return _composite_pattern(element, delimiters, short_dates)
    least, most = element.least, element.most
    if element.codes:
        return "(?:" + "|".join(re.escape(code) for code in sorted(element.codes, key=len, reverse=True)) + ")"
    if element.kind == "DT" and most == 8:
        return (
            rf"(?:(?:1[89]|2\d)\d\d{_MONTH_DAY}|\d\d{_MONTH_DAY})" if short_dates else rf"(?:1[89]|2\d)\d\d{_MONTH_DAY}"
        )
    if element.kind == "TM":
        return _TIME
    if element.kind == "R":
        digits = rf"\d{{{least},{most}}}(?![\d.])"
        return rf"-?(?:{digits}|(?=(?:\.?\d){{{least},{most}}}\.?(?![\d.]))(?:\d+\.?\d*|\.\d+))"
    if element.kind[0] == "N":
        return rf"-?\d{{{least},{most}}}"
    structural = re.escape(delimiters.element + (delimiters.repetition or ""))
    return rf"[^{structural}\x00-\x1f\x7f]{{{least},{most}}}"


def _composite_pattern(element: Element, delimiters: Delimiters, short_dates: bool) -> str:
    inside = Delimiters(element=delimiters.element + delimiters.component, repetition=delimiters.repetition)
    separator = re.escape(delimiters.component)
    first, *others = (_pattern(component, inside, short_dates) for component in element.components)
    if not delimiters.component:
        return first
    tail = ""
    for pattern in reversed(others):
        tail = f"(?:{separator}(?:{pattern})?+{tail})?+"
    return first + tail


# -- what exactly is wrong


def faults(node: SegmentNode, segment: Segment, delimiters: Delimiters, *, short_dates: bool) -> Iterator[Fault]:
    """Every fault of a segment at its place, element by element, then the conditions between elements."""
    for number, element in enumerate(node.elements, start=1):
        value = segment.get(number)
        if not value:
            if element.required:
                yield "element_missing", {"element": number, "name": element.name}
        else:
            yield from _element_faults(element, number, value, delimiters, short_dates)
    for number in range(len(node.elements) + 1, len(segment.elements)):
        if segment.get(number):
            yield "element_extra", {"element": number, "value": segment.get(number), "limit": len(node.elements)}
            break
    for kind, places in node.rules:
        yield from _rule_faults(kind, places, node, segment)


def _element_faults(
    element: Element, number: int, value: str, delimiters: Delimiters, short_dates: bool
) -> Iterator[Fault]:
    repeated = value.split(delimiters.repetition) if delimiters.repetition else [value]
    if len(repeated) > element.repeat:
        facts = {"element": number, "value": value, "name": element.name}
        yield "element_repeat", {**facts, "repetition": element.repeat + 1, "limit": element.repeat}
    for one in repeated[: element.repeat]:
        if element.components:
            yield from _composite_faults(element, number, one, delimiters, short_dates)
        elif one or len(repeated) > 1:
            fault = value_fault(element, one, short_dates=short_dates)
            if fault:
                yield fault[0], {"element": number, **fault[1]}


def _composite_faults(
    element: Element, number: int, value: str, delimiters: Delimiters, short_dates: bool
) -> Iterator[Fault]:
    parts = value.split(delimiters.component) if delimiters.component else [value]
    for position, component in enumerate(element.components, start=1):
        part = parts[position - 1] if position <= len(parts) else ""
        place = {"element": number, "component": position}
        if not part:
            # In a segment only the first component is taken as required: the others depend on each other by pairs.
            if component.required and position == 1:
                yield "element_missing", {**place, "name": component.name}
            continue
        fault = value_fault(component, part, short_dates=short_dates)
        if fault:
            yield fault[0], {**place, **fault[1]}
    if len(parts) > len(element.components):
        yield "element_extra", {"element": number, "value": value, "limit": len(element.components)}


def value_fault(element: Element, value: str, *, short_dates: bool) -> Fault | None:
    """What is wrong with one filled element or component."""
    facts: dict[str, Any] = {"value": value, "name": element.name}
    if element.codes:
        if value in element.codes:
            return None
        return "element_code", {**facts, "codes": ", ".join(sorted(element.codes))}
    if element.kind == "DT":
        return None if _is_date(value, short=short_dates) else ("element_date", facts)
    if element.kind == "TM":
        return None if re.fullmatch(_TIME, value, re.ASCII) else ("element_time", facts)
    length = len(value)
    if element.kind == "R" or element.kind[0] == "N":
        if not (_DECIMAL if element.kind == "R" else _WHOLE).fullmatch(value):
            return "element_number", facts
        length = len(value.lstrip("-").replace(".", ""))
    elif _CONTROL.search(value):
        return "element_characters", facts
    if length < element.least:
        return "element_short", {**facts, "limit": element.least}
    if length > element.most:
        return "element_long", {**facts, "limit": element.most}
    return None


def _is_date(value: str, *, short: bool) -> bool:
    if not value.isascii() or not value.isdigit():
        return False
    if short and len(value) == 6:
        value = f"20{value}"  # leap years repeat: any century will do
    if len(value) != 8 or not "18" <= value[:2] <= "29":
        return False
    try:
        date(int(value[:4]), int(value[4:6]), int(value[6:]))
    except ValueError:
        return False
    return True


def _rule_faults(kind: str, places: tuple[int, ...], node: SegmentNode, segment: Segment) -> Iterator[Fault]:
    if any(place > len(node.elements) for place in places):
        return
    filled = [place for place in places if segment.get(place)]
    empty = [place for place in places if not segment.get(place)]

    def reference(place: int) -> str:
        return f"{node.id}{place:02d}"

    def fault(place: int, condition: str) -> Fault:
        return "element_condition", {"element": place, "name": node.elements[place - 1].name, "condition": condition}

    if kind == "P" and filled and empty:
        yield fault(empty[0], f"because {reference(filled[0])} is")
    elif kind == "R" and not filled:
        yield fault(places[0], "unless " + " or ".join(reference(place) for place in places[1:]) + " is")
    elif kind == "C" and places[0] in filled and empty:
        yield fault(empty[0], f"because {reference(places[0])} is")
    elif kind == "L" and filled == [places[0]]:
        others = " or ".join(reference(place) for place in places[1:])
        yield fault(places[1], f"(or another of {others}) because {reference(places[0])} is")
    elif kind == "E" and len(filled) > 1:
        listed = " and ".join(reference(place) for place in places)
        yield "element_exclusion", {"element": filled[1], "value": segment.get(filled[1]), "condition": listed}
