"""Starts the gateway's commands without importing it each time: a process that has imported all of it forks one for each.

Each fork is a process of its own, with its own id, that runs what ``manage.py COMMAND…`` runs, and dies of its own kill; what it
does not do is import, which is nine tenths of a start's CPU and no part of what is proved. The process that forks has no
threads and no connection to anything.

``python -m tests.faults.launch [--mutant NAME]`` is that process; ``--mutant`` puts one bug in first: how the harness shows that
it can fail. It is spoken to in lines of JSON, one answer for each: ``{"fork": arguments, "log": file}`` → a process id,
``{"ended": id}`` → its exit code, or null; an answer names the number of its question. When nobody speaks any more it kills
what it has started.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Final, TextIO

from tests.faults import poison
from tests.faults.programs import ROOT, HarnessError

_COMMANDS: Final = ("up", "web", "worker", "reference_erp")
_SETS: Final = ("850", "855", "856", "997")


class Launcher:
    """The other end of the line."""

    def __init__(self, environment: Mapping[str, str], *, log: Path, mutant: str = "") -> None:
        self._asked = 0
        chosen = ["--mutant", mutant] if mutant else []
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.launch", *chosen],
                cwd=ROOT,
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        if self._process.stdin is None or self._process.stdout is None:
            raise HarnessError("the launcher has no line")
        self._questions, self._answers = self._process.stdin, self._process.stdout

    def start(self, arguments: Sequence[str], log: Path) -> Fork:
        """Begin ``manage.py …`` or ``-m MODULE …``; both outputs go to the end of ``log``."""
        return Fork(self, int(self._ask(fork=list(arguments), log=str(log))))

    def run(self, arguments: Sequence[str], *, log: Path, within_s: float = 120) -> str:
        """Run a command to its end and return what it said.

        Raises:
            HarnessError: it failed.
        """
        began = log.stat().st_size if log.exists() else 0
        fork = self.start(arguments, log)
        try:
            code = fork.wait(within_s)
        except subprocess.TimeoutExpired:
            fork.kill()
            code = fork.wait()
        said = log.read_bytes()[began:].decode("utf-8", "replace")
        if code:
            raise HarnessError(f"{' '.join(arguments)} ended with {code}: {said.strip()[-600:]}")
        return said

    def exit_code(self, pid: int) -> int | None:
        """None while it runs."""
        code = self._ask(ended=pid)
        return None if code is None else int(code)

    def close(self) -> None:
        """Nobody speaks any more."""
        self._process.communicate()

    def ask_and_leave(self, **question: object) -> None:
        """Ask, and do not wait for the answer."""
        self._asked += 1
        try:
            self._questions.write(json.dumps({"number": self._asked, **question}).encode() + b"\n")
            self._questions.flush()
        except OSError as error:
            raise HarnessError("the launcher is gone; see launch.log") from error

    def _ask(self, **question: object) -> Any:
        self.ask_and_leave(**question)
        number, answer = 0, None
        while number != self._asked:  # whoever asked before was interrupted, and its answer is nobody's
            try:
                number, answer = json.loads(self._answers.readline())
            except ValueError as error:
                raise HarnessError("the launcher is gone; see launch.log") from error
        return answer


class Fork:
    """One process that the launcher has forked, with the face of ``subprocess.Popen``."""

    def __init__(self, launcher: Launcher, pid: int) -> None:
        self.pid = pid
        self._launcher = launcher
        self._code: int | None = None

    def poll(self) -> int | None:
        if self._code is None:
            self._code = self._launcher.exit_code(self.pid)
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
            time.sleep(0.01)
        return code

    def terminate(self) -> None:
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        # Its id is nobody else's until the launcher has been asked for its end.
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


# --------------------------------------------------------------------------------------------------- in the launcher
def _warm_up(mutant: str) -> None:
    """Import what the commands need, and read the guides: what is the same in every process whatever happens to it."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.faults.settings")
    import django

    django.setup()  # a mutant patches modules, which need their models
    poison.weaken()
    if mutant:
        import_module("tests.faults.mutants").MUTANTS[mutant].apply()
    from django.core.management import load_command_class
    from django.urls import get_resolver

    from edi_maps.x12 import structure

    for name in _COMMANDS:
        load_command_class("gateway", name)
    get_resolver().url_patterns  # noqa: B018  # imports every view
    for code in _SETS:
        structure.guide(code, "004010")
    if threading.active_count() != 1:
        raise HarnessError("threads do not survive a fork")
    gc.collect()
    gc.freeze()


def _serve(questions: TextIO, answers: TextIO) -> list[str]:
    """Fork as told; returns, in each fork, what that one is to run."""
    children: set[int] = set()
    while line := questions.readline():
        asked = json.loads(line)
        if "fork" in asked:
            pid = os.fork()
            if not pid:
                questions.close()
                answers.close()
                _become_a_program(asked["log"])
                return [str(argument) for argument in asked["fork"]]
            children.add(pid)
            answer: int | None = pid
        else:
            found, status = os.waitpid(asked["ended"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if found else None
            children.discard(found)
        answers.write(json.dumps([asked["number"], answer]) + "\n")
        answers.flush()
    for child in children:
        os.kill(child, signal.SIGKILL)
    sys.exit()


def _become_a_program(log: str) -> None:
    os.setsid()
    nowhere = os.open(os.devnull, os.O_RDONLY)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for source, target in ((nowhere, 0), (file, 1), (file, 2)):
        os.dup2(source, target)
    os.close(nowhere)
    os.close(file)


def main(mutant: str) -> None:
    # The line has descriptors of its own, so that nothing that is printed gets onto it.
    questions, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    _warm_up(mutant)
    arguments = _serve(questions, answers)
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        from django.core.management import execute_from_command_line

        sys.argv = arguments
        execute_from_command_line(arguments)


if __name__ == "__main__":
    main(sys.argv[2] if sys.argv[1:2] == ["--mutant"] else "")
