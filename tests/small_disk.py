"""A disk that can be filled up, without harm to the one the tests run on."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[Path]:
    """A file system of this size, mounted at ``folder``; the test is skipped where that is not allowed."""
    folder.mkdir()
    options = f"size={size_bytes},mode=750"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("only root may mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path, *, leave: int = 0) -> None:
    """Take all the room there is but for so many bytes."""
    with filler(disk).open("ab", buffering=0) as file:
        for size_bytes in (2**20, 2**12):
            with suppress(OSError):  # full
                while file.write(bytes(size_bytes)) == size_bytes:
                    pass
        file.truncate(file.tell() - leave)


def filler(disk: Path) -> Path:
    """What ``fill`` fills it with; without it there is room again."""
    return disk / "filler"
