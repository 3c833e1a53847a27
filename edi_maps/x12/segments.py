"""The shapes an X12 transaction set takes while it is read: its text, cut into segments, and the tree of loops they stand in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

#: Between the components of a composite element, in segments that have not been given their delimiters yet.
COMPONENT: Final = "\x1f"

#: What may stand around a segment without meaning anything.
BLANKS: Final = " \t\r\n"

#: Bounds of one segment. What is longer is cut: its head tells what it was.
MAX_SEGMENT_CHARACTERS: Final = 100_000
MAX_ELEMENTS: Final = 1_000


@dataclass(slots=True)
class Segment:
    """One segment as it came. ``elements[0]`` is its identifier, ``elements[n]`` is element n, empty when not sent."""

    elements: list[str]
    position: int = 0  #: in its transaction set, ST = 1
    offset: int = 0  #: byte offset in the file
    raw: str = ""  #: as it came, delimiters included, without the terminator

    @property
    def id(self) -> str:
        return self.elements[0]

    def get(self, number: int) -> str:
        """Element ``number`` (1 = first after the identifier), '' when the segment is shorter."""
        return self.elements[number] if number < len(self.elements) else ""


@dataclass(slots=True, eq=False)
class Loop:
    """One occurrence of a loop of the guide.

    ``id`` is the guide's xid without ``_LOOP``, which is the identifier of its first segment (``N1``, ``PO1``, ``ACK`` …).
    The root of a transaction set has id ``''``: it holds ST, the header and the footer segments and SE, and as loops N1,
    N9, PO1, CTT …; the header, detail and footer of the guide are not loops of the tree. An HL loop has id ``HL``, its
    level code (S, O, T, P, I …) in ``level`` and its HL children among ``loops``, placed by HL02 whatever their order on
    the wire. Segments the guide does not know are kept where the reader stood.
    """

    id: str
    segments: list[list[str]] = field(default_factory=list)  #: each as its elements, the identifier first
    positions: list[int] = field(default_factory=list)  #: of each segment in the transaction set, ST = 1
    loops: list[Loop] = field(default_factory=list)
    level: str = ""
    content: Any = None  #: what the reader made of a level already; its segments are gone then

    def all(self, segment_id: str) -> list[list[str]]:
        """The segments of this loop itself (not of its children) with that identifier."""
        return [segment for segment in self.segments if segment[0] == segment_id]

    def children(self, loop_id: str) -> list[Loop]:
        return [loop for loop in self.loops if loop.id == loop_id]

    def everything(self) -> Iterator[tuple[int, list[str]]]:
        """Every segment with its position, those of the loops within included."""
        stack = [self]
        while stack:
            loop = stack.pop()
            yield from zip(loop.positions, loop.segments, strict=True)
            stack.extend(reversed(loop.loops))


@dataclass(frozen=True, slots=True, kw_only=True)
class Delimiters:
    """The separators of an interchange, each one character (latin-1); a terminator may be one character of UTF-8."""

    element: str = "*"
    segment: str = "~"
    component: str = ">"
    repetition: str | None = None  #: from 00402 on, when ISA11 is not alphanumeric


def cut(text: str, delimiters: Delimiters) -> list[str]:
    """The segments in ``text`` (latin-1, as it came), one string each.

    Blanks around a segment are taken off and empty segments left out; a segment that is UTF-8 is decoded, and line breaks inside
    a segment are closed up: none next to a separator, a blank inside text.
    """
    pieces = cut_tidy(text, delimiters.segment)
    if pieces is not None:
        return pieces
    terminator = delimiters.segment
    blanks = _blanks(delimiters)
    pieces = [piece for piece in (piece.strip(blanks) for piece in text.split(terminator)) if piece]
    if not text.isascii():
        pieces = [decoded(piece) for piece in pieces]
    if terminator not in "\r\n" and ("\n" in text or "\r" in text):
        pieces = [
            _closed_up(piece, delimiters.element) if "\n" in piece or "\r" in piece else piece for piece in pieces
        ]
    return pieces


def cut_tidy(text: str, terminator: str) -> list[str] | None:
    """The segments of a text where there is nothing to take off, to leave out, to decode or to close up; None: this text is not so."""
    end = tidy_end(text, terminator)
    return None if end is None else text.removesuffix(end).removesuffix(terminator).split(end)


def tidy_end(text: str, terminator: str) -> str | None:
    """What ends every segment of a tidy text, the terminator alone or with a line feed; None: they differ, or blanks hide."""
    if not text.isascii() or "\r" in text:
        return None
    end = terminator
    if "\n" in text and terminator != "\n":
        end = terminator + "\n"
        lines = text.count("\n")
        if lines != text.count(end) or text.count(terminator) != lines + (not text.endswith("\n")):
            return None
    if not text.endswith((terminator, end)) or text.startswith((terminator, *BLANKS)):
        return None
    hidden = (end + end[0], f"{end} ", f"{end}\t", f" {terminator}", f"\t{terminator}")
    return None if any(blank in text for blank in hidden) else end


def is_padded(text: str, delimiters: Delimiters) -> bool:
    """Whether any element of ``text`` may begin or end with a blank of whatever kind."""
    separator = delimiters.element
    return (
        f" {separator}" in text
        or f"{separator} " in text
        or not text.isascii()
        or any(blank in text for blank in _ODD_BLANKS if blank != separator and blank != delimiters.segment)
    )


#: What Python takes for blank beside the space; in a line, so without the line breaks around segments.
_ODD_BLANKS: Final = "\t\v\f\x1c\x1d\x1e\x1f"


def places(text: str, delimiters: Delimiters) -> list[tuple[int, int]]:
    """Where in ``text`` each segment of ``cut`` starts and ends, its terminator not included."""
    blanks = _blanks(delimiters)
    found: list[tuple[int, int]] = []
    at = 0
    for piece in text.split(delimiters.segment):
        content = piece.strip(blanks)
        if content:
            start = at + len(piece) - len(piece.lstrip(blanks))
            found.append((start, start + len(content)))
        at += len(piece) + len(delimiters.segment)
    return found


def decoded(text: str) -> str:
    """Latin-1 text as the UTF-8 or Windows-1252 it may be."""
    if text.isascii():
        return text
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return text.translate(_WINDOWS_1252)


#: Where latin-1 has control characters, which nobody sends, Windows has quotation marks, dashes and the euro.
_WINDOWS_1252: Final = {
    code: character for code in range(0x80, 0xA0) if (character := bytes([code]).decode("cp1252", errors="ignore"))
}


def _blanks(delimiters: Delimiters) -> str:
    return "".join(blank for blank in BLANKS if blank not in (delimiters.element, delimiters.component))


def _closed_up(piece: str, separator: str) -> str:
    words = (re.sub(r"[ \t]*[\r\n]+[ \t]*", " ", element).strip() for element in piece.split(separator))
    return separator.join(words)
