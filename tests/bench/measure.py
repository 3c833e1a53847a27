"""How work is measured, and how a measurement is written down."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_STATUS: Final = Path("/proc/self/status")


class Void(Exception):
    """There is no measurement: the two sides did not do the same work, or this machine cannot tell. The text says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One figure, and what it was compared with in the same run."""

    bench: str
    value: float
    unit: str  #: of a rate, which ends in "/s", more is better; of anything else less
    peer: str = ""  #: another implementation of the same work; empty: compared with none
    peer_value: float = 0
    peers: tuple[tuple[str, float], ...] = ()  #: others that do less of the work, each with its value
    floor: str = ""  #: what the work cannot go below; empty: compared with none
    floor_value: float = 0

    def line(self) -> str:
        """As JSON: ``ratio`` times better than the peer, ``floor_ratio`` times worse than the floor.

        Further peers stand in a list ``peers``, of objects with ``peer``, ``peer_value`` and ``ratio``.
        """
        fields: dict[str, object] = {"bench": self.bench, "value": rounded(self.value), "unit": self.unit}
        if self.peer:
            better = self._times_better_than(self.peer_value)
            fields |= {"peer": self.peer, "peer_value": rounded(self.peer_value), "ratio": rounded(better)}
        if self.peers:
            fields["peers"] = [
                {"peer": name, "peer_value": rounded(value), "ratio": rounded(self._times_better_than(value))}
                for name, value in self.peers
            ]
        if self.floor:
            worse = 1 / self._times_better_than(self.floor_value)
            fields |= {"floor": self.floor, "floor_value": rounded(self.floor_value), "floor_ratio": rounded(worse)}
        return json.dumps(fields)

    def _times_better_than(self, other: float) -> float:
        return self.value / other if self.unit.endswith("/s") else other / self.value


#: Makes its inputs, measures, and gives its results as it has them. Raises Void.
Bench = Callable[[], Iterator[Result]]


def rounded(value: float) -> float:
    """To four digits: the fifth is noise."""
    return float(f"{value:.4g}")


def cpu_s(*works: Callable[[], object], rounds: int = 3, round_s: float = 0.1) -> list[float]:
    """CPU seconds that one call of each of ``works`` takes, side by side.

    CPU time leaves out what other programs do. Rounds alternate between the works, so that a slow moment of the machine falls
    on all of them, and the best round of each counts: disturbance only ever adds.

    Args:
        works: each is called once, and then in every round as often as fills ``round_s``, at least once.
    """
    best = [_cpu_s_per_call(work, 1) for work in works]
    calls = [max(1, round(round_s / max(first, 1e-6))) for first in best]
    for _ in range(rounds):
        for place, work in enumerate(works):
            best[place] = min(best[place], _cpu_s_per_call(work, calls[place]))
    return best


def _cpu_s_per_call(work: Callable[[], object], calls: int) -> float:
    started = time.process_time()
    for _ in range(calls):
        work()
    return (time.process_time() - started) / calls


def peak_mb(work: Callable[..., object], *arguments: object) -> tuple[float, float]:
    """Memory of a process of its own that calls ``work(*arguments)``.

    Args:
        work: a function of a module; only that module is imported there.

    Returns:
        MiB resident at most before the call, and after it.

    Raises:
        Void: this is not Linux.
    """
    if not _STATUS.exists():
        raise Void(f"memory is read from {_STATUS}, which this system does not have")
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_peak_mb_here, work, arguments).result()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one call took."""

    cpu_s: float
    grown_mb: float  #: MiB resident at most, beyond what was resident before


def cost(work: Callable[..., object], *arguments: object) -> Cost:
    """CPU time and memory of one call in a process of its own; see ``peak_mb``.

    Raises:
        Void: this is not Linux.
    """
    if not _STATUS.exists():
        raise Void(f"memory is read from {_STATUS}, which this system does not have")
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_cost_here, work, arguments).result()


def _cost_here(work: Callable[..., object], arguments: Sequence[object]) -> Cost:
    started = time.process_time()
    before, after = _peak_mb_here(work, arguments)
    return Cost(cpu_s=time.process_time() - started, grown_mb=after - before)


def _peak_mb_here(work: Callable[..., object], arguments: Sequence[object]) -> tuple[float, float]:
    before = _high_water_mb()
    result = work(*arguments)
    peak = _high_water_mb()
    del result  # what the work made counts as long as its caller would hold it
    return before, peak


def _high_water_mb() -> float:
    # Not getrusage(): in a child Linux counts what the parent had before the child became a program of its own.
    found = re.search(r"^VmHWM:\s+(\d+) kB$", _STATUS.read_text("ascii"), re.MULTILINE)
    if found is None:
        raise Void(f"{_STATUS} does not tell VmHWM")
    return int(found[1]) / 1024


def program_cpu_s(pid: int) -> float:
    """CPU seconds a process has used, all its threads together; steadier than throughput where others work too.

    Raises:
        Void: this is not Linux.
    """
    user, system = _status_of(pid)[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def machine_busy_s() -> float:
    """Seconds that the processors of this machine have been at work, all together.

    Raises:
        Void: this is not Linux.
    """
    try:
        user, nice, system, _, _, irq, softirq, *_ = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    except (OSError, ValueError) as error:
        raise Void("only Linux says how busy it is") from error
    return sum(map(int, (user, nice, system, irq, softirq))) / os.sysconf("SC_CLK_TCK")


def tree_cpu_s(pid: int) -> float:
    """CPU seconds a process and its children have used, those that have ended included.

    Raises:
        Void: this is not Linux.
    """
    ticks = sum(map(int, _status_of(pid)[11:15]))
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, Void):  # it has ended
            fields = _status_of(int(status.parent.name))
            ticks += sum(map(int, fields[11:13])) if int(fields[1]) == pid else 0
    return ticks / os.sysconf("SC_CLK_TCK")


def _status_of(pid: int) -> list[str]:
    """What proc(5) says of a process from its third field on, the state; utime and stime are [11] and [12]."""
    status = Path(f"/proc/{pid}/stat")
    if not status.exists():
        raise Void(f"CPU time of another process is read from {status}, which this system does not have")
    # Behind the name in parentheses, which may hold blanks.
    return status.read_text("utf-8").rpartition(")")[2].split()


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of ``values`` that ``share`` of them (0.95: 95 %) do not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
