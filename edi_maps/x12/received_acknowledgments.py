"""Functional and interchange acknowledgments as we read them: what a partner said about an interchange of ours.

Source: X12 004010, transaction set 997 and segment TA1; 005010, transaction set 999, whose IK3, IK4 and IK5 say what AK3, AK4
and AK5 do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from edi_maps.x12.segments import Segment

#: Sets that acknowledge: they make no canonical record and are never acknowledged themselves.
ACKNOWLEDGMENTS: Final = frozenset({"997", "999"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementError:
    """AK4: an element of a segment in error."""

    position: int | None  #: in its segment, 1 = first after the identifier
    component: int | None = None
    repetition: int | None = None
    number: str = ""  #: AK402, of the data element
    code: str = ""  #: AK403
    value: str = ""  #: AK404, their copy of what we sent
    context: tuple[str, ...] = ()  #: CTX segments of a 999, as sent


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentError:
    """AK3: a segment in error, with the elements in error."""

    segment: str
    position: int | None  #: in its transaction set, ST = 1
    code: str  #: AK304
    loop: str = ""  #: AK303, of a bounded loop
    context: tuple[str, ...] = ()  #: CTX segments of a 999, as sent
    elements: tuple[ElementError, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAcknowledgment:
    """AK2 to AK5: what was said about one transaction set."""

    code: str  #: AK201, e.g. "850"
    control_number: str  #: AK202
    status: str  #: AK501: A accepted, E accepted with errors, R rejected, others as sent; '' when AK5 is missing
    codes: tuple[str, ...] = ()  #: AK502 to AK506
    errors: tuple[SegmentError, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionalAcknowledgment:
    """A 997 (or 999): what a partner said about one functional group of ours.

    Match it to what was sent by ``functional_id`` and ``group_control_number`` together, never by the set number alone.
    """

    functional_id: str  #: AK101, e.g. "PO"
    group_control_number: str  #: AK102
    status: str  #: AK901: A accepted, E with errors, P partly, R rejected; '' when AK9 is missing
    claimed: int | None = None  #: AK902, sets the GE01 counted
    received: int | None = None  #: AK903
    accepted: int | None = None  #: AK904
    codes: tuple[str, ...] = ()  #: AK905 to AK909
    sets: tuple[SetAcknowledgment, ...] = ()  #: may be empty when the whole group was accepted


@dataclass(frozen=True, slots=True, kw_only=True)
class InterchangeAcknowledgment:
    """A TA1: what a partner said about the envelope of one interchange of ours."""

    control_number: str  #: ISA13 it answers
    date: str  #: of that interchange, YYMMDD
    time: str
    status: str  #: A accepted, E accepted with errors, R rejected
    note: str  #: 000 nothing wrong, else why


def read_functional_acknowledgment(segments: Iterable[Segment]) -> FunctionalAcknowledgment | None:
    """Read the segments of a 997 or 999, ST to SE.

    Returns:
        None when there is no AK1, so that nobody can tell which group it answers.
    """
    group: Segment | None = None
    trailer: Segment | None = None
    sets: list[_Set] = []
    for segment in segments:
        match segment.id:
            case "AK1" if group is None:
                group = segment
            case "AK2":
                sets.append(_Set(segment))
            case "AK9":
                trailer = segment
            case _ if sets:
                sets[-1].take(segment)
    if group is None:
        return None
    closing = trailer or Segment([""])
    return FunctionalAcknowledgment(
        functional_id=group.get(1),
        group_control_number=group.get(2),
        status=closing.get(1),
        claimed=count(closing.get(2)),
        received=count(closing.get(3)),
        accepted=count(closing.get(4)),
        codes=_filled(closing.elements[5:10]),
        sets=tuple(one.acknowledgment() for one in sets),
    )


def places(segments: Iterable[Segment]) -> Iterator[tuple[str, int, int]]:
    """Where the fields of ``read_functional_acknowledgment`` stand: address, position of the segment, element.

    >>> [*places([Segment(["AK1", "PO", "7"], 2)])]
    [('functional_id', 2, 1), ('group_control_number', 2, 2)]
    """
    counts: dict[str, int] = {}
    whose: list[str] = []  #: the entry at hand, step by step

    def next_in(*steps: str) -> str:
        """The address of one more entry of a list."""
        address = "/".join(steps)
        counts[address] = counts.get(address, -1) + 1
        return f"{address}/{counts[address]}"

    for segment in segments:
        kind = segment.id.replace("IK", "AK")
        if kind in _LISTS:
            level = 2 * [*_LISTS].index(kind)
            whose = next_in(*whose[:level], _LISTS[kind]).split("/")
        elif kind == "AK5":
            whose = whose[:2]
        elif kind == "AK9":
            whose = []
        fields = _FIELDS.get(kind, ())
        for element, value in enumerate(segment.elements[1:], start=1):
            if not value:
                continue
            if element <= len(fields):
                yield "/".join([*whose, fields[element - 1]]), segment.position, element
            elif kind in {"AK5", "AK9"} and element <= len(fields) + 5:
                yield next_in(*whose, "codes"), segment.position, element
        if kind == "CTX" and len(whose) > 2:
            context = next_in(*whose, "context")
            yield from (
                (context, segment.position, element)
                for element, value in enumerate(segment.elements[1:], start=1)
                if value
            )


#: Segments that begin an entry of a list, each in that of the one before.
_LISTS: Final = {"AK2": "sets", "AK3": "errors", "AK4": "elements"}

#: What the elements of a segment are, in their order; codes follow in AK5 and AK9.
_FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "AK1": ("functional_id", "group_control_number"),
    "AK2": ("code", "control_number"),
    "AK3": ("segment", "position", "loop", "code"),
    "AK4": ("position", "number", "code", "value"),
    "AK5": ("status",),
    "AK9": ("status", "claimed", "received", "accepted"),
}


@dataclass(slots=True)
class _Error:
    """AK3 or AK4 with what follows it, while the segments come."""

    segment: Segment
    context: list[str] = field(default_factory=list)
    elements: list[_Error] = field(default_factory=list)


class _Set:
    """What is said about one set, while its segments come."""

    def __init__(self, header: Segment) -> None:
        self.header = header
        self.errors: list[_Error] = []
        self.verdict = Segment([""])

    def take(self, segment: Segment) -> None:
        match segment.id:
            case "AK3" | "IK3":
                self.errors.append(_Error(segment))
            case "AK4" | "IK4" if self.errors:
                self.errors[-1].elements.append(_Error(segment))
            case "CTX" if self.errors:
                # It tells more about the element before it, or else about the segment.
                latest = (self.errors[-1].elements or self.errors)[-1]
                latest.context.append("*".join(segment.elements[1:]))
            case "AK5" | "IK5":
                self.verdict = segment

    def acknowledgment(self) -> SetAcknowledgment:
        return SetAcknowledgment(
            code=self.header.get(1),
            control_number=self.header.get(2),
            status=self.verdict.get(1),
            codes=_filled(self.verdict.elements[2:7]),
            errors=tuple(_segment_error(error) for error in self.errors),
        )


def _segment_error(error: _Error) -> SegmentError:
    segment = error.segment
    return SegmentError(
        segment=segment.get(1),
        position=count(segment.get(2)),
        loop=segment.get(3),
        code=segment.get(4),
        context=tuple(error.context),
        elements=tuple(_element_error(element) for element in error.elements),
    )


def _element_error(error: _Error) -> ElementError:
    """AK4, whose place is a composite of up to three numbers under whatever separator its interchange has."""
    segment = error.segment
    element, component, repetition, *_ = [*map(count, re.split(r"\D", segment.get(1))), None, None, None]
    return ElementError(
        position=element,
        component=component,
        repetition=repetition,
        number=segment.get(2),
        code=segment.get(3),
        value=segment.get(4),
        context=tuple(error.context),
    )


def _filled(codes: Iterable[str]) -> tuple[str, ...]:
    return tuple(code for code in codes if code)


def read_interchange_acknowledgment(segment: Segment) -> InterchangeAcknowledgment:
    """Read one TA1 segment."""
    return InterchangeAcknowledgment(
        control_number=segment.get(1),
        date=segment.get(2),
        time=segment.get(3),
        status=segment.get(4),
        note=segment.get(5),
    )


def count(text: str) -> int | None:
    """A count or position as sent, None when it is no number of up to nine digits."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None
