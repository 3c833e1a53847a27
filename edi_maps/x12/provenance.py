"""Where in the file a value stands, and which value a byte belongs to."""

from __future__ import annotations

from collections.abc import Sequence

from edi_maps.x12.envelope import TransactionSet


def element_span(
    transaction_set: TransactionSet,
    position: int,
    element: int,
    component: int | None = None,
    spans: Sequence[tuple[int, int]] = (),
) -> tuple[int, int]:
    """The bytes an element of a set stands on in the file.

    Args:
        position: of the segment, ST = 1.
        element: 1 is the first after the identifier; one beyond the last gives the end of the segment.
        component: 1 is the first; None: the whole element.
        spans: ``transaction_set.spans()``, where the caller has them already.

    Returns:
        Offsets of its first byte and behind its last.

    Raises:
        IndexError: the set has no such segment.
    """
    start, end = (spans or transaction_set.spans())[position - 1]
    marks = transaction_set.delimiters
    at = start - transaction_set.start if transaction_set.place is None else -1
    if at < 0:
        return start, end  # hard-wrapped: the segment must do
    text = transaction_set.text[at : at + end - start]
    first, last = _nth(text, marks.element, element)
    if component and marks.component:
        inner_first, inner_last = _nth(text[first:last], marks.component, component - 1)
        first, last = first + inner_first, first + inner_last
    return start + first, start + last


def _nth(text: str, separator: str, number: int) -> tuple[int, int]:
    """Start and end of piece ``number`` (0 is the first) of ``text``; behind the last one, the end."""
    first = 0
    for _ in range(number):
        found = text.find(separator, first)
        if found < 0:
            return len(text), len(text)
        first = found + 1
    last = text.find(separator, first)
    return first, last if last >= 0 else len(text)
