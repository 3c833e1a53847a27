"""A prepared interpreter: it has loaded the gateway for one environment, and forks for each command it is given.

Commands are those of ``manage.py``, by its own main, or code as after ``python -c``; each is a process of its own, with its own id,
streams and exit code, and dies of its own kill. What is spared is loading everything again, a second of CPU each time.

``python -m tests.prepared`` has loaded what asks no setting, and forks an interpreter for each environment; every process of the
suite has one. It is spoken to in lines of JSON, one answer for each: ``{"environment": variables, "door": path}`` → null, and the
interpreter calls at that socket. That one is spoken to in the same way: ``{"begin": arguments, "streams": files}`` → a process id,
``{"wait": id}`` → its exit code, ``{"poll": id}`` → the same, or null. When nobody speaks to it any more it kills what still runs.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Self

ROOT: Final = Path(__file__).parents[1]
#: What is to run to its end and has not ended by then is ended; its exit code says so.
_MOST_S: Final = 120
#: What takes long to import, and asks no setting.
_SAME_EVERYWHERE: Final = (
    "celery.app",
    "cryptography.x509",
    "django.contrib.admin.options",
    "django.core.handlers.wsgi",
    "httpx",
    "prometheus_client",
    "psycopg",
    "rest_framework.fields",
    "waitress",
)
#: The guides of what is exchanged in most tests; to compile one takes a fifth of a second.
_SETS: Final = ("850", "855", "856", "997")


class Prepared:
    """Commands in one environment.

    Arguments are those after ``python``: ``manage.py`` and so on; ``-m``, a module and its own; ``-c``, code and its own.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._line: _Line | None = None

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

    def begin(self, *arguments: str, log: Path, errors: Path | None = None) -> Program:
        """A command that goes on; its outputs go to the end of ``log``, or the second one to that of ``errors``."""
        streams = [os.devnull, str(log), str(errors or log)]
        return Program(self._ask, self._ask(begin=arguments, streams=streams, most_s=0))

    def _ask(self, **what: Any) -> Any:
        self._line = self._line or _loaded().interpreter(self._environment)
        return self._line.ask(what)

    def close(self) -> None:
        """End the interpreter, and whatever it began."""
        if self._line is not None:
            self._line.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


@cache
def here() -> Prepared:
    """In the environment of the suite itself, for as long as it runs."""
    made = Prepared({**os.environ, "DJANGO_SETTINGS_MODULE": "gateway.settings"})
    atexit.register(made.close)
    return made


class _Line:
    """One end of a conversation."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lines = connection.makefile("rw", encoding="utf-8")

    def ask(self, what: Mapping[str, Any]) -> Any:
        self.say(what)
        return json.loads(self._lines.readline())

    def say(self, what: Any) -> None:
        self._lines.write(json.dumps(what) + "\n")
        self._lines.flush()

    def heard(self) -> Any:
        """What was said; None when nobody speaks any more."""
        line = self._lines.readline()
        return json.loads(line) if line else None

    def close(self) -> None:
        """Speak no more, and wait until the other end has heard it, done what it must, and is gone."""
        self._connection.shutdown(socket.SHUT_WR)
        self._lines.read()
        self.leave()

    def leave(self) -> None:
        self._lines.close()
        self._connection.close()


class _Loaded:
    """The process that forks interpreters."""

    def __init__(self) -> None:
        ours, its = socket.socketpair()
        with its:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.prepared", str(its.fileno())], cwd=ROOT, pass_fds=[its.fileno()]
            )
        self._line = _Line(ours)
        self._one_at_a_time = threading.Lock()

    def interpreter(self, environment: Mapping[str, str]) -> _Line:
        """An interpreter for this environment."""
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as door:
            path = f"{folder}/door"
            door.bind(path)
            door.listen(1)
            door.settimeout(_MOST_S)
            with self._one_at_a_time:
                self._line.ask({"environment": dict(environment), "door": path})
            connection, _ = door.accept()
        connection.settimeout(None)
        return _Line(connection)

    def close(self) -> None:
        self._line.close()
        self._process.wait()


@cache
def _loaded() -> _Loaded:
    made = _Loaded()
    atexit.register(made.close)
    return made


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


def _interpreters(line: _Line) -> Mapping[str, Any] | None:
    """Fork as asked until nobody asks; in a process that was forked, return what it was asked for with."""
    forked: set[int] = set()
    while (asked := line.heard()) is not None:
        child = os.fork()
        if child == 0:
            line.leave()
            return dict(asked)
        forked.add(child)
        line.say(None)
        forked -= {one for one in forked if os.waitpid(one, os.WNOHANG)[0]}
    return None


def _commands(line: _Line) -> list[str] | None:
    """Begin as asked until nobody asks; in a process that was begun, return its arguments."""
    running: set[int] = set()
    while (asked := line.heard()) is not None:
        match asked:
            case {"begin": arguments, "streams": streams, "most_s": most_s}:
                child = os.fork()
                if child == 0:
                    line.leave()
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
                raise ValueError(asked)
        line.say(answer)
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


def _load() -> None:
    for module in _SAME_EVERYWHERE:
        import_module(module)
    from edi_maps.x12 import structure

    for code in _SETS:
        structure.guide(code, "004010")
    if threading.active_count() != 1:
        raise RuntimeError("threads do not survive a fork")
    gc.freeze()


def _main(descriptor: int) -> None:
    _load()
    asked = _interpreters(_Line(socket.socket(fileno=descriptor)))
    if asked is None:
        return
    line = _Line(_called(asked["door"]))
    os.environ.clear()
    os.environ.update(asked["environment"])
    import django

    django.setup()
    import_module("gateway.urls")
    gc.freeze()
    arguments = _commands(line)
    if arguments is not None:
        _become(arguments)


def _called(door: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(door)
    return connection


if __name__ == "__main__":
    _main(int(sys.argv[1]))
