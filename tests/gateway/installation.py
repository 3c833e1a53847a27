"""An installation of the gateway in a folder of its own, with its processes, for tests that need them to be real."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Installation:
    """SQLite in ``folder``, unless the environment given says otherwise."""

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

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """One command of ``manage.py`` to its end."""
        return self._run(["manage.py", *command], environment)

    def python(self, code: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Code that begins with the models ready; raises when it fails."""
        done = self._run(["-c", self._prepared(code)], environment)
        if done.returncode:
            raise AssertionError(done.stderr)
        return done

    def begin(self, *command: str, **environment: str) -> subprocess.Popen[str]:
        """A command that goes on; the caller ends it."""
        return self._begin(["manage.py", *command], environment)

    def begin_python(self, code: str, **environment: str) -> subprocess.Popen[str]:
        return self._begin(["-c", self._prepared(code)], environment)

    def migrated(self) -> Installation:
        done = self.run("migrate", "--verbosity", "0")
        assert done.returncode == 0, done.stderr
        return self

    def _prepared(self, code: str) -> str:
        return "import django; django.setup()\n" + textwrap.dedent(code)

    def _run(self, arguments: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def _begin(self, arguments: list[str], environment: dict[str, str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env={**self.environment, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
