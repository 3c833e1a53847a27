"""An installation of the gateway in a folder of its own, with its processes, for tests that need them to be real."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from tests import migrated
from tests.prepared import Prepared

ROOT = Path(__file__).resolve().parents[2]


class Installation:
    """SQLite in ``folder``, unless the environment given says otherwise. ``install`` makes them, and ends what they have."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        given = {name: value for name, value in os.environ.items() if not name.startswith(("GATEWAY_", "DATABASE_"))}
        self.environment = {
            **given,
            "GATEWAY_DATA_DIR": str(folder),
            "GATEWAY_LOG_LEVEL": "ERROR",
            "GATEWAY_POLL_S": "0.5",
            "DJANGO_SETTINGS_MODULE": "gateway.settings",
            **environment,
        }
        self.prepared = Prepared(self.environment)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """One command of ``manage.py`` to its end."""
        return self.prepared.run("manage.py", *command)

    def python(self, code: str, *, given: str = "") -> str:
        """What code prints that begins with the models ready; ``given`` is its input. Raises when it fails."""
        return self.prepared.printed("-c", textwrap.dedent(code), given=given)

    def begin(self, *command: str) -> subprocess.Popen[str]:
        """A command that goes on, as a program of its own; the caller ends it."""
        return self._begin(["manage.py", *command])

    def begin_python(self, code: str) -> subprocess.Popen[str]:
        return self._begin(["-c", "import django; django.setup()\n" + textwrap.dedent(code)])

    def migrated(self) -> Installation:
        if "DATABASE_URL" in self.environment or not migrated.file_in(self.folder):
            done = self.run("migrate", "--verbosity", "0")
            assert done.returncode == 0, done.stderr
        return self

    def _begin(self, arguments: list[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
