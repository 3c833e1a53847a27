"""Child processes of the harness: each is ended, paused and killed by its own id, and nobody else's ever."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

ROOT: Final = Path(__file__).parents[2]
_READY_S: Final = 40.0
_STOPPED_S: Final = 30.0


class HarnessError(Exception):
    """Something of the harness itself did not work: the run says nothing about the gateway."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(holds: Callable[[], object], what: str, *, within_s: float = _READY_S) -> None:
    """Wait for a condition. Raises HarnessError when it does not come to hold in time."""
    deadline = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline:
            raise HarnessError(f"{what}: not within {within_s:.0f} s")
        time.sleep(0.05)


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def write_whole(file: Path, text: str) -> None:
    """So that a reader never sees half of it."""
    fresh = file.with_name(f".{file.name}")
    fresh.write_text(text)
    fresh.replace(file)


def cpu_seconds(pid: int, *, ended_children: bool = False) -> float:
    """What a process has used until now, in user and system time; 0 when it is gone."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, words[11 : 15 if ended_children else 13])) / os.sysconf("SC_CLK_TCK")


class Running(Protocol):
    """One life of a program: ``subprocess.Popen``, or a fork of the launcher."""

    pid: int

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def terminate(self) -> None: ...

    def kill(self) -> None: ...


@dataclass
class Program:
    """One program that is started again whenever it was killed."""

    name: str
    role: str  #: "web", "worker", "up" (both in one), or one of the other sides
    arguments: Sequence[str]  #: after the interpreter
    environment: Mapping[str, str] = field(repr=False)
    log: Path
    port: int = 0  #: where it listens; 0: nowhere
    begin: Callable[[Sequence[str], Path], Running] | None = None  #: its arguments, its log; None: a new interpreter
    spared: bool = False  #: never killed: what grows does so over a long life
    starts: int = 0
    paused_until: float = 0.0  #: monotonic; 0: it runs
    resumed_at: float = 0.0  #: monotonic, the last time
    peak_rss_kb: int = 0
    rss_kb_by_age: list[tuple[float, int]] = field(default_factory=list)  #: of this life, or of its last one
    cpu_s: float = 0.0  #: of the lives that are over
    started_at: float = 0.0  #: monotonic
    ends: list[int] = field(default_factory=list)  #: exit codes nobody asked for
    _process: Running | None = None

    def start(self) -> None:
        self.starts += 1
        self.started_at = time.monotonic()
        self.rss_kb_by_age = []
        if self.begin is not None:
            self._process = self.begin(self.arguments, self.log)
            return
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, *self.arguments],
                cwd=ROOT,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL, and wait for it."""
        if self._process is not None:
            self.cpu_s += self._cpu_s_now()
            self._process.kill()
            self._process.wait()
        self.paused_until = 0.0

    def pause(self, seconds: float) -> None:
        os.kill(self.pid, signal.SIGSTOP)
        self.paused_until = time.monotonic() + seconds

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)
        self.paused_until = 0.0
        self.resumed_at = time.monotonic()

    def has_ended(self) -> int | None:
        """The exit code nobody asked for; None: it runs."""
        return self._process.poll() if self._process is not None else None

    def stop(self) -> int:
        """SIGTERM; its exit code, or -9 when it had to be killed because it did not end in time."""
        if self._process is None:
            return 0
        self.cpu_s += self._cpu_s_now()
        self._process.terminate()
        try:
            return self._process.wait(_STOPPED_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return -int(signal.SIGKILL)

    def cpu_until_now_s(self) -> float:
        """Of all its lives, the one it leads now included."""
        return self.cpu_s + (self._cpu_s_now() if self.is_running else 0.0)

    def _cpu_s_now(self) -> float:
        return cpu_seconds(self.pid)

    def note_memory(self) -> None:
        """Look at its resident memory now."""
        try:
            status = Path(f"/proc/{self.pid}/status").read_text()
        except OSError:
            return  # it is gone
        lines = (line.split() for line in status.splitlines() if line.startswith("VmRSS:"))
        now = next((int(words[1]) for words in lines), 0)
        self.peak_rss_kb = max(self.peak_rss_kb, now)
        self.rss_kb_by_age.append((time.monotonic() - self.started_at, now))

    def growth(self, *, warm_s: float, least_s: float) -> tuple[int, int] | None:
        """Resident memory in KB when it was warm, and the last; None: its life was too short to tell."""
        warm = [kb for age_s, kb in self.rss_kb_by_age if age_s >= warm_s]
        return (warm[0], warm[-1]) if warm and self.rss_kb_by_age[-1][0] >= least_s else None
