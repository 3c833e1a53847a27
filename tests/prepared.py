"""A prepared interpreter: it has loaded the gateway for one environment, and forks for each command it is given.

Commands are those of ``manage.py``, by its own main, or code as after ``python -c``; each is a process of its own, with its own id,
streams and exit code, and dies of its own kill. What is spared is loading everything again, a second of CPU each time.

``python -m tests.prepared`` is that interpreter. It is spoken to in lines of JSON, one answer for each: ``{"begin": arguments,
"streams": files}`` → a process id, ``{"wait": id}`` → its exit code, ``{"poll": id}`` → the same, or null. When nobody speaks any
more it kills what still runs.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Self

ROOT: Final = Path(__file__).parents[1]
#: What is to run to its end and has not ended by then is ended; its exit code says so.
_MOST_S: Final = 120


class Prepared:
    """Commands in one environment.

    Arguments are those after ``python``: ``manage.py`` and so on; ``-m``, a module and its own; ``-c``, code and its own.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._process: subprocess.Popen[str] | None = None

    def run(self, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """One command to its end; ``given`` is what it can read."""
        with tempfile.TemporaryDirectory() as folder:
            streams = [Path(folder, name) for name in ("stdin", "stdout", "stderr")]
            streams[0].write_text(given)
            code = self._ask(wait=self._ask(begin=arguments, streams=[str(file) for file in streams], most_s=_MOST_S))
            said = [file.read_text(errors="replace") for file in streams[1:]]
        return subprocess.CompletedProcess(arguments, code, *said)

    def printed(self, *arguments: str, given: str = "") -> str:
        """What a command printed. Raises AssertionError when it fails."""
        done = self.run(*arguments, given=given)
        if done.returncode:
            raise AssertionError(f"{done.stdout}{done.stderr}")
        return done.stdout

    def begin(self, *arguments: str, log: Path) -> Program:
        """A command that goes on; both its outputs go to the end of ``log``."""
        return Program(self._ask, self._ask(begin=arguments, streams=[os.devnull, str(log), str(log)], most_s=0))

    def _ask(self, **what: Any) -> Any:
        process = self._process = self._process or self._begun()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(what) + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    def _begun(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.prepared"],
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def close(self) -> None:
        """End the interpreter, and whatever it began."""
        if self._process is not None:
            self._process.communicate(timeout=60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class Program:
    """A command that goes on, as its interpreter began it."""

    def __init__(self, ask: Callable[..., Any], pid: int) -> None:
        self._ask = ask
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit code, -9 when it was killed; None while it runs."""
        if self.returncode is None:
            self.returncode = self._ask(poll=self.pid)
        return self.returncode

    def wait(self, within_s: float = 60) -> int:
        """Its exit code, once it has ended. Raises AssertionError when that takes longer."""
        deadline = time.monotonic() + within_s
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise AssertionError(f"process {self.pid} has not ended within {within_s:.0f} s")
            time.sleep(0.01)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:  # its id is nobody else's before its end was asked for
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _serve() -> list[str] | None:
    """Answer until the input ends; in a process that was begun, return its arguments."""
    running: set[int] = set()
    for line in sys.stdin:
        asked = json.loads(line)
        match asked:
            case {"begin": arguments, "streams": streams, "most_s": most_s}:
                child = os.fork()
                if child == 0:
                    signal.alarm(most_s)
                    for descriptor, file in enumerate(streams):
                        opened = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
                        os.dup2(opened, descriptor)
                        os.close(opened)
                    return list(arguments)
                running.add(child)
                answer: int | None = child
            case {"wait": child} | {"poll": child}:
                ended, status = os.waitpid(child, 0 if "wait" in asked else os.WNOHANG)
                running.discard(ended)
                answer = os.waitstatus_to_exitcode(status) if ended else None
            case _:
                raise ValueError(line)
        sys.stdout.write(f"{json.dumps(answer)}\n")
        sys.stdout.flush()
    for child in running:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return None


def _become(arguments: list[str]) -> None:
    """What ``python`` does with these arguments."""
    program, *rest = arguments
    if program == "-c":
        sys.argv = ["-c", *rest[1:]]
        here: dict[str, Any] = {"__name__": "__main__"}
        exec(compile(rest[0], "<string>", "exec"), here)  # noqa: S102  # the test's own code
    elif program == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    import django

    django.setup()
    import_module("gateway.urls")
    gc.freeze()
    arguments = _serve()
    if arguments is not None:
        _become(arguments)
