"""What a blob store can do, and what may go wrong with it.

StoreError
├── Full           no room; nothing was kept                     room must be made; then the same again
├── Unreachable    it cannot be used at the moment               the same again later
├── Missing        bytes that a row names are not there          restore them from a backup
└── Damaged        what is there is not what was put             the same
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Final, Protocol

#: What is read at a time where not everything is wanted at once.
PIECE_BYTES: Final = 1024 * 1024


class StoreError(Exception):
    """Bytes could not be kept, or read back."""


class Full(StoreError):
    """There is no room: nothing was kept."""


class Unreachable(StoreError):
    """The store cannot be used at the moment."""


class Missing(StoreError):
    def __init__(self, sha256: str, where: str) -> None:
        super().__init__(f"blob {sha256} is not in {where}")
        self.sha256 = sha256


class Damaged(StoreError):
    def __init__(self, sha256: str, where: str, *, found: str, size_bytes: int, data: bytes = b"") -> None:
        super().__init__(f"blob {sha256} in {where} is damaged: {size_bytes} bytes with SHA-256 {found}")
        self.sha256 = sha256
        self.data = data  #: what is there, for whoever wanted it whole


class Store(Protocol):
    """Content-addressed bytes. Every method may raise ``Unreachable``; a name is a SHA-256 in hex, in lower case."""

    def put(self, data: bytes) -> str:
        """Keep ``data``; its name. When this returns, a power cut does not lose it.

        What is there already and whole is not written again, but counts as put now.

        Raises:
            Full: there is no room; nothing was kept.
        """

    def get(self, sha256: str) -> bytes:
        """The bytes of this name.

        Raises:
            Missing, Damaged
        """

    def pieces(self, sha256: str) -> Iterator[bytes]:
        """The same, a piece at a time; ``Damaged`` comes after the last one."""

    def put_at(self, sha256: str) -> datetime | None:
        """When it was last put; None: it is not here."""

    def remove(self, sha256: str, *, still_garbage: Callable[[], bool]) -> bool:
        """Take something out; whether it was. What is not there is no fault.

        Args:
            still_garbage: asked when the bytes cannot be found any more, before they are gone. Whoever puts them between the
                two writes them again; when the answer is no, they are put back.
        """

    def walk(self) -> Iterator[str]:
        """The names of everything that is here, in order."""

    def tidy(self, before: datetime) -> int:
        """Remove what crashed writers began before that moment and did not finish; how many there were."""

    def probe(self) -> None:
        """Write and remove something small.

        Raises:
            Full, Unreachable: it cannot be used, and why.
        """


def checked(sha256: str, data: bytes, where: str) -> bytes:
    """``data``, when it has this name; else ``Damaged``."""
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise Damaged(sha256, where, found=found, size_bytes=len(data), data=data)
    return data


def checked_pieces(sha256: str, pieces: Iterable[bytes], where: str) -> Iterator[bytes]:
    """The same of ``pieces``, as they go by."""
    digest, size_bytes = hashlib.sha256(), 0
    for piece in pieces:
        digest.update(piece)
        size_bytes += len(piece)
        yield piece
    if digest.hexdigest() != sha256:
        raise Damaged(sha256, where, found=digest.hexdigest(), size_bytes=size_bytes)
