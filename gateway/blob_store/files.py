"""The blob store in a folder: ``ab/cd/<sha256>``, on a file system that all processes of the gateway share.

A file gets its name when it is whole and on the disk, and never changes then. What is begun is under ``new``, what is being
removed under ``trash``; a crash leaves things in either, and ``tidy`` sees to them.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import Final

from gateway.blob_store.store import PIECE_BYTES, Full, Missing, Unreachable, checked, checked_pieces

_NAME: Final = re.compile(r"[0-9a-f]{64}")
_FOLDER: Final = re.compile(r"[0-9a-f]{2}")
#: EFBIG: the process may not write longer files, by its limits.
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Files:
    """A ``Store`` in a folder, which is made when it is first written to."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._new = self.folder / "new"
        self._trash = self.folder / "trash"

    def __str__(self) -> str:
        return str(self.folder)

    def put(self, data: bytes) -> str:
        sha256 = hashlib.sha256(data).hexdigest()
        path = self._path(sha256)
        with self._explained():
            if not self._is_whole_still(path):
                self._write(path, data)
        return sha256

    def get(self, sha256: str) -> bytes:
        with self._explained(), self._opened(sha256) as file:
            data = file.read()
        return checked(sha256, data, str(self))

    def pieces(self, sha256: str) -> Iterator[bytes]:
        with self._explained(), self._opened(sha256) as file:
            yield from checked_pieces(sha256, iter(lambda: file.read(PIECE_BYTES), b""), str(self))

    def put_at(self, sha256: str) -> datetime | None:
        with self._explained(), suppress(FileNotFoundError):
            return datetime.fromtimestamp(self._path(sha256).stat().st_mtime, UTC)
        return None

    def remove(self, sha256: str, *, still_garbage: Callable[[], bool]) -> bool:
        with self._explained():
            try:
                aside = self._set_aside(sha256)
            except FileNotFoundError:
                return False
            gone = False
            try:
                gone = still_garbage()
            finally:
                if gone:
                    aside.unlink(missing_ok=True)
                else:
                    self._put_back(aside)
        return gone

    def walk(self) -> Iterator[str]:
        with self._explained():
            for first in _names(self.folder, _FOLDER):
                for second in _names(self.folder / first, _FOLDER):
                    yield from _names(self.folder / first / second, _NAME)

    def tidy(self, before: datetime) -> int:
        tidied = 0
        with self._explained():
            for path in map(self._new.joinpath, _names(self._new)):
                with suppress(FileNotFoundError):  # its writer has finished
                    if path.stat().st_mtime < before.timestamp():
                        path.unlink()
                        tidied += 1
            # Whoever set these aside died before it was sure. They are judged anew, as all others are.
            for path in map(self._trash.joinpath, _names(self._trash, _NAME)):
                self._put_back(path)
                tidied += 1
        return tidied

    def probe(self) -> None:
        with self._explained():
            self._write_new(b"probe").unlink()

    # -- one file

    def _path(self, sha256: str) -> Path:
        if not _NAME.fullmatch(sha256):
            raise ValueError(f"{sha256!r} is no SHA-256 in hex")
        return self.folder / sha256[:2] / sha256[2:4] / sha256

    def _is_whole_still(self, path: Path) -> bool:
        """Whether a file is there and undamaged; then it counts as put now."""
        try:
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != path.name:
                    return False
            os.utime(path)
        except FileNotFoundError:  # never there, or collected at this moment
            return False
        # Another process may have named it a moment ago and not be as far as this.
        _sync_folder(path.parent)
        return True

    def _write(self, path: Path, data: bytes) -> None:
        new = self._write_new(data)
        try:
            try:
                new.replace(path)
            except FileNotFoundError:
                _make(path.parent)
                new.replace(path)
        except OSError:
            new.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)

    def _write_new(self, data: bytes) -> Path:
        """A file with a name of its own that holds ``data``, on the disk; none when that fails."""
        new = self._new / secrets.token_hex(16)
        try:
            file = _create(new)
        except FileNotFoundError:
            _make(self._new)
            file = _create(new)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(file, rest) :]
            os.fsync(file)
        except OSError:
            new.unlink(missing_ok=True)
            raise
        finally:
            os.close(file)
        return new

    @contextmanager
    def _opened(self, sha256: str) -> Iterator[FileIO]:
        # A collector that died, or one that looks twice at this moment, may have it set aside.
        for path in (self._path(sha256), self._trash / sha256, self._path(sha256)):
            with suppress(FileNotFoundError):
                file = path.open("rb", buffering=0)
                break
        else:
            raise Missing(sha256, str(self))
        with file:
            yield file

    def _set_aside(self, sha256: str) -> Path:
        path, aside = self._path(sha256), self._trash / sha256
        _make(self._trash)
        path.rename(aside)
        return aside

    def _put_back(self, aside: Path) -> None:
        path = self._path(aside.name)
        _make(path.parent)
        with suppress(FileExistsError, FileNotFoundError):  # it was put anew meanwhile; somebody else put it back
            path.hardlink_to(aside)
        _sync_folder(path.parent)
        aside.unlink(missing_ok=True)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """What the operating system says, as what it means for who puts or gets."""
        try:
            yield
        except OSError as error:
            what = f"{self}: {error.strerror or error}"
            raise (Full(what) if error.errno in _NO_ROOM else Unreachable(what)) from error


def _create(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)


def _make(folder: Path) -> None:
    """Make a folder, and those it is in, so that they outlast a power cut."""
    if folder.is_dir():
        return
    _make(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    """Names are on the disk when their folder is."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _names(folder: Path, form: re.Pattern[str] = re.compile(".+")) -> list[str]:
    """The names in a folder that have this form, in order; none when there is no such folder."""
    with suppress(FileNotFoundError):
        return sorted(path.name for path in folder.iterdir() if form.fullmatch(path.name))
    return []
