"""The window through which a file is read: no more of it at once than is looked at, hard wraps undone."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import BinaryIO, Final

from edi_maps.x12.interchange_header import next_header
from edi_maps.x12.segments import BLANKS

#: Of a file that is read at once, and of one transaction set.
MAX_BYTES: Final = 32 * 1024 * 1024

#: How much of a file is looked at in one go.
WINDOW: Final = 1024 * 1024

#: What may pad a file without meaning anything: blanks, NUL, the end-of-file mark of DOS, a byte order mark.
PADDING: Final = BLANKS + "\x00\x1a\xef\xbb\xbf"
_WITHOUT_PADDING: Final = str.maketrans("", "", PADDING)


def content(text: str, start: int, stop: int) -> int:
    """How many bytes of ``text[start:stop]`` are more than padding."""
    return len(text[start:stop].translate(_WITHOUT_PADDING)) if start < stop else 0


class Window:
    """The part of a file that is looked at, as latin-1: an index in ``text`` and ``base`` make a byte offset."""

    def __init__(self, source: bytes | BinaryIO) -> None:
        self.text = ""
        self.base = 0
        self.complete = False
        self.place: Callable[[int], int] | None = None  #: for a hard-wrapped file, which is read at once
        if isinstance(source, bytes):
            self._more = None
            self.text, self.complete = source.decode("latin-1"), True
        else:
            self._more = source.read
            self.more(0)
        if self._wrapped():
            while not self.complete and len(self.text) <= MAX_BYTES:
                self.more(0)
            self.text, self.place = _unwrapped(self.text)

    def more(self, keep: int) -> None:
        """Drop what stands before index ``keep`` and read on."""
        chunk = b"" if self._more is None else self._more(WINDOW)
        self.complete = not chunk
        self.text = self.text[keep:] + chunk.decode("latin-1")
        self.base += keep

    def offset(self, index: int) -> int:
        """The byte offset of an index."""
        return self.base + index if self.place is None else self.place(index)

    def _wrapped(self) -> bool:
        return _unwrapped(self.text[:WINDOW])[1] is not None


def _unwrapped(text: str) -> tuple[str, Callable[[int], int] | None]:
    """Undo a hard wrap at a fixed column that ignores segments, as mainframe jobs do at 79 or 80.

    Returns:
        The text, and the function from an index in it to the byte offset in the file; None when it is not wrapped.
    """
    at = next_header(text, 0)
    first = re.compile(r"\r?\n").search(text, at) if at == 0 else None
    if first is None or not 40 <= first.start() < 105:
        return text, None
    width, newline = first.start(), first.group()
    lines = text.split(newline)
    while lines and not lines[-1]:
        lines.pop()
    if len(lines) < 3 or any(len(line) != width for line in lines[:-1]) or len(lines[-1]) > width:
        return text, None
    return "".join(lines), lambda index: index + index // width * len(newline)
