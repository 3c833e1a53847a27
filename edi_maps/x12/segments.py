"""The shapes an X12 transaction set takes while it is read: segments, and the tree of loops they stand in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

#: Between the components of a composite element, in segments that have not been given their delimiters yet.
COMPONENT: Final = "\x1f"


@dataclass(slots=True)
class Segment:
    """One segment as it came. ``elements[0]`` is its identifier, ``elements[n]`` is element n, empty when not sent."""

    elements: list[str]
    position: int = 0  #: in its transaction set, ST = 1
    offset: int = 0  #: byte offset in the file
    raw: str = ""  #: as it came, delimiters included, without the terminator; '' for a segment that is being built

    @property
    def id(self) -> str:
        return self.elements[0]

    def get(self, number: int) -> str:
        """Element ``number`` (1 = first after the identifier), '' when the segment is shorter."""
        return self.elements[number] if number < len(self.elements) else ""


@dataclass(slots=True)
class Loop:
    """One occurrence of a loop of the guide.

    ``id`` is the guide's xid without ``_LOOP``, which is the identifier of its first segment (``N1``, ``PO1``, ``ACK`` …).
    The root of a transaction set has id ``''``: it holds ST, the header and the footer segments and SE, and as loops N1,
    N9, PO1, CTT …; the header, detail and footer of the guide are not loops of the tree. An HL loop has id ``HL``, its
    level code (S, O, T, P, I …) in ``level`` and its HL children among ``loops``, placed by HL02 whatever their order on
    the wire. Segments the guide does not know are kept where the reader stood.
    """

    id: str
    segments: list[Segment] = field(default_factory=list)
    loops: list[Loop] = field(default_factory=list)
    level: str = ""

    def all(self, segment_id: str) -> list[Segment]:
        """The segments of this loop itself (not of its children) with that identifier."""
        return [segment for segment in self.segments if segment.elements[0] == segment_id]

    def children(self, loop_id: str) -> list[Loop]:
        return [loop for loop in self.loops if loop.id == loop_id]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delimiters:
    """The four separators of an interchange, each one character (latin-1)."""

    element: str = "*"
    segment: str = "~"
    component: str = ">"
    repetition: str | None = None  #: from 00402 on, when ISA11 is not alphanumeric
