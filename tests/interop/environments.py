"""The environments of the peers that are no libraries of ours: ``python -m tests.interop.environments`` makes them.

``var/interop/libas2`` holds node_modules as ``package-lock.json`` says, ``var/interop/django-pyas2`` a virtual environment as
``django_pyas2_requirements.txt`` says. Each is made again when its list has changed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1] / "var" / "interop"
_TIMEOUT_S: Final = 300


class Unavailable(Exception):
    """A peer's environment is not there, or cannot be made; the text says why and what to do."""


class Environment:
    """One peer's environment: the folder, what is installed in it, and how."""

    def __init__(self, name: str, lists: tuple[str, ...], install: Callable[[Path], None]) -> None:
        self.name = name
        self.folder = ROOT / name
        self._lists = [HERE / name for name in lists]
        self._install = install

    def _wanted(self) -> str:
        state = hashlib.sha256(b"".join(file.read_bytes() for file in self._lists))
        state.update(sys.version.encode())
        return state.hexdigest()

    @property
    def is_made(self) -> bool:
        mark = self.folder / "made"
        return mark.exists() and mark.read_text() == self._wanted()

    def make(self) -> None:
        """Install what the lists say, unless it is there.

        Raises:
            Unavailable: a program is missing, or the installation failed.
        """
        if self.is_made:
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        for file in self._lists:
            shutil.copy(file, self.folder)
        self._install(self.folder)
        Path(self.folder, "made").write_text(self._wanted())


def _npm(folder: Path) -> None:
    program = shutil.which("npm")
    if program is None or shutil.which("node") is None:
        raise Unavailable(
            "node and npm are needed for the libas2 peer; on Debian: apt-get install nodejs npm (as root)"
        )
    _run([program, "ci", "--no-audit", "--no-fund", "--ignore-scripts"], folder)


def _pip(folder: Path) -> None:
    venv.create(folder, with_pip=True)
    wanted = str(folder / "django_pyas2_requirements.txt")
    _run(
        [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", wanted],
        folder,
    )


def _run(command: list[str], folder: Path) -> None:
    # A virtual environment of the caller must not be what the other pip or npm looks at.
    surroundings = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "PYTHONPATH"}}
    done = subprocess.run(command, cwd=folder, env=surroundings, capture_output=True, text=True, timeout=_TIMEOUT_S)
    if done.returncode:
        raise Unavailable(
            f"{' '.join(command[:3])} failed with {done.returncode}: {(done.stderr or done.stdout)[-800:]}"
        )


LIBAS2: Final = Environment("libas2", ("package.json", "package-lock.json"), _npm)
DJANGO_PYAS2: Final = Environment("django-pyas2", ("django_pyas2_requirements.txt",), _pip)


def main() -> int:
    """Make all that are missing; the exit status says whether all are there."""
    failed = 0
    for environment in (LIBAS2, DJANGO_PYAS2):
        try:
            environment.make()
            sys.stdout.write(f"{environment.name}: {environment.folder}\n")
        except (Unavailable, OSError, subprocess.SubprocessError) as exc:
            failed = 1
            sys.stdout.write(f"{environment.name}: not made. {exc}\n")
    return failed


if __name__ == "__main__":
    sys.exit(main())
