"""A disk that can be full: a small file system of its own for the raw bytes, where this machine lets us mount one."""

from __future__ import annotations

import errno
import os
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.faults.programs import HarnessError

_FILLER: Final = "filler"
_CHUNK: Final = 1 << 20


class SmallDisk:
    """A tmpfs under ``folder``."""

    def __init__(self, folder: Path, *, megabytes: int) -> None:
        """Raises HarnessError when we may not mount one."""
        self._folder = folder
        self._folder.mkdir()
        if os.geteuid() != 0:
            raise HarnessError("only root may mount a small disk")
        options = f"size={megabytes}m,mode=700"
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True)
        if mounted.returncode:
            raise HarnessError(f"a small disk cannot be mounted: {mounted.stderr.decode().strip()}")

    def fill(self) -> None:
        """Not one byte more fits on it."""
        with (self._folder / _FILLER).open("ab", buffering=0) as filler:
            chunk = bytes(_CHUNK)
            while chunk:
                try:
                    filler.write(chunk)
                except OSError as full:
                    if full.errno != errno.ENOSPC:
                        raise
                    chunk = chunk[: len(chunk) // 2]

    def empty(self) -> None:
        with suppress(FileNotFoundError):
            (self._folder / _FILLER).unlink()

    def close(self) -> None:
        subprocess.run(["umount", "-l", str(self._folder)], capture_output=True)
