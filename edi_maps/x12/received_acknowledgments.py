"""Functional and interchange acknowledgments as we read them: what a partner said about an interchange of ours.

Source: X12 004010, transaction set 997 and segment TA1; a 999 reads alike.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edi_maps.x12.segments import Segment


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentError:
    """AK3: a segment in error, with its AK4 elements as (position, component, code, copy of the value)."""

    segment: str
    position: int | None
    code: str  #: AK304
    elements: tuple[tuple[int | None, int | None, str, str], ...] = ()


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
    sets: list[SetAcknowledgment] = []
    header: Segment | None = None
    errors: list[SegmentError] = []
    closing: Segment | None = None

    def close() -> None:
        nonlocal closing
        if header is not None:
            codes = tuple(code for code in closing.elements[2:7] if code) if closing else ()
            status = closing.get(1) if closing else ""
            sets.append(
                SetAcknowledgment(
                    code=header.get(1), control_number=header.get(2), status=status, codes=codes, errors=tuple(errors)
                )
            )
        errors.clear()
        closing = None

    for segment in segments:
        match segment.id:
            case "AK1":
                group = segment
            case "AK2":
                close()
                header = segment
            case "AK3" | "IK3":
                errors.append(SegmentError(segment=segment.get(1), position=count(segment.get(2)), code=segment.get(4)))
            case "AK4" | "IK4" if errors:
                errors[-1] = _with_element(errors[-1], segment)
            case "AK5" | "IK5":
                closing = segment
            case "AK9":
                trailer = segment
    close()
    if group is None:
        return None
    tail = trailer.elements if trailer else []
    return FunctionalAcknowledgment(
        functional_id=group.get(1),
        group_control_number=group.get(2),
        status=trailer.get(1) if trailer else "",
        claimed=count(trailer.get(2)) if trailer else None,
        received=count(trailer.get(3)) if trailer else None,
        accepted=count(trailer.get(4)) if trailer else None,
        codes=tuple(code for code in tail[5:10] if code),
        sets=tuple(sets),
    )


def read_interchange_acknowledgment(segment: Segment) -> InterchangeAcknowledgment:
    """Read one TA1 segment."""
    return InterchangeAcknowledgment(
        control_number=segment.get(1),
        date=segment.get(2),
        time=segment.get(3),
        status=segment.get(4),
        note=segment.get(5),
    )


def _with_element(error: SegmentError, segment: Segment) -> SegmentError:
    """The segment error with one more AK4, whose position may be written ``element:component``."""
    element, *rest = segment.get(1).replace(">", ":").replace("^", ":").split(":")
    component = rest[0] if rest else ""
    place = (count(element), count(component), segment.get(3), segment.get(4))
    return SegmentError(
        segment=error.segment, position=error.position, code=error.code, elements=(*error.elements, place)
    )


def count(text: str) -> int | None:
    """A count or position as sent, None when it is no number of up to nine digits."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None
