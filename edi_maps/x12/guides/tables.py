"""The tables the guides are made of: the elements of each segment, the same wherever it stands.

A guide tells what may stand at one place of one set and takes pyx12 to load; these are the facts that need neither.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_SOURCE: Final = Path(__file__).parent / "source"


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """What one element, or one component of a composite, may hold."""

    name: str
    number: str  #: of the data element, e.g. "353"
    kind: str  #: AN, TX (text that people read; AN to X12), ID, DT, TM, R, N0 to N9; '' for a composite
    least: int = 1  #: characters; of a number, digits
    most: int = 1
    required: bool = False
    components: tuple[Element, ...] = ()


@functools.cache
def table(name: str) -> dict[str, Any]:
    """One source file as it stands: ``elements``, ``segments`` or ``codes``."""
    return tomllib.loads((_SOURCE / f"{name}.toml").read_text(encoding="utf-8"))


@functools.cache
def code_lists() -> dict[str, dict[str, str]]:
    """Place, e.g. ``BEG01`` → its codes and what they mean; ``"*"`` among them: any other code passes as well."""
    lists = table("codes")
    return {place: lists[codes] if isinstance(codes, str) else codes for place, codes in lists.items()}


@functools.cache
def elements_of(segment: str) -> tuple[Element, ...]:
    """The elements of a segment, in order; none for a segment that no guide uses."""
    described = table("segments")["segments"].get(segment)
    return tuple(_element(word) for word in numbers(described["elements"])) if described else ()


def element_at(segment: str, number: int, component: int = 0) -> Element | None:
    """Element ``number`` (from 1) of a segment, or a component of it; None where the segment has none."""
    elements = elements_of(segment)
    if not 0 < number <= len(elements):
        return None
    element = elements[number - 1]
    if not component:
        return element
    return element.components[component - 1] if component <= len(element.components) else None


def numbers(elements: str) -> Iterator[str]:
    """Expand ``"350 2x235+234!"`` to 350 235 234! 235 234!."""
    for word in elements.split():
        times, mark, group = word.partition("x")
        yield from group.split("+") * int(times) if mark else [word]


def _element(word: str) -> Element:
    number = word.rstrip("!")
    required = word.endswith("!")
    if number.startswith("{"):
        composite = table("segments")["composites"][number.strip("{}")]
        parts = tuple(_element(part) for part in numbers(composite["elements"]))
        return Element(name=composite["name"], number=composite["number"], kind="", required=required, components=parts)
    kind, least, most, name = table("elements")[number].split(" ", 3)
    return Element(name=name, number=number, kind=kind, least=int(least), most=int(most), required=required)
