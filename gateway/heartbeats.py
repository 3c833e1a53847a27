"""Heartbeats: each loop of each process says now and then that it is alive, and who stopped saying so is named.

A loop that died in silence loses nothing, it only delays work: that is an operator's alarm, not a case for procurement. All
ages are by the database's clock, so machines whose clocks differ agree.
"""

from __future__ import annotations

import hashlib
import os
import threading
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.db import DatabaseError, close_old_connections, connection
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now

from gateway.models import Heartbeat

#: Seconds between the beats of a loop that turns faster than that.
EVERY_S: Final = 5.0
#: A loop that missed so many of its intervals is silent.
MISSED: Final = 3
#: A silent loop is forgotten after this, unless it is the last of its kind: processes of machines that are gone.
FORGOTTEN_AFTER: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """One loop as the database knows it."""

    name: str  #: loop@host:process id
    loop: str  #: "web", "worker", …
    version: str
    started_at: datetime
    at: datetime  #: its last beat
    age_s: float  #: since then
    every_s: float
    detail: Mapping[str, Any]

    @property
    def silent(self) -> bool:
        return self.age_s > MISSED * self.every_s


def beat(loop: str, every_s: float, detail: Mapping[str, Any] | None = None) -> None:
    """Say that ``loop`` of this process is alive; its first beat clears away what earlier processes of this host left behind.

    Args:
        loop: what runs, at most 32 characters.
        every_s: seconds until the next beat.
        detail: counts and ids for the operator.

    Raises:
        DatabaseError: the database took nothing; the next beat may.
    """
    name = name_of(loop)
    row = Heartbeat(
        name=name,
        loop=loop,
        version=release(),
        started_at=Now(),  # the database's clock
        at=Now(),
        every_s=every_s,
        detail=dict(detail or {}),
    )
    first = name not in _known
    changed = ["at", "every_s", "detail", "version", *(["started_at"] if first else [])]
    Heartbeat.objects.bulk_create([row], update_conflicts=True, unique_fields=["name"], update_fields=changed)
    if first:
        _known.add(name)
        _bury_the_dead(loop)


class Pulse:
    """A thread that beats for a part of this process that has no loop of its own to beat in."""

    def __init__(self, loop: str, detail: Mapping[str, Any] | None = None) -> None:
        self._loop, self._detail = loop, detail
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"pulse of {loop}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._end.set()
        self._thread.join(EVERY_S)

    def _run(self) -> None:
        pause_s = 0.0
        while not self._end.wait(pause_s):
            pause_s = EVERY_S
            close_old_connections()
            with suppress(DatabaseError):  # who asks for the beat sees that it is missing
                beat(self._loop, EVERY_S, self._detail)
        with suppress(DatabaseError):
            gone(self._loop)
        connection.close()


def gone(loop: str) -> None:
    """Say goodbye: ``loop`` of this process ends as it should, and nobody need miss it."""
    name = name_of(loop)
    _known.discard(name)
    Heartbeat.objects.filter(name=name).delete()


def all_beats() -> list[Beat]:
    """Every loop that is known, in order of name."""
    return [
        Beat(
            name=row.name,
            loop=row.loop,
            version=row.version,
            started_at=row.started_at,
            at=row.at,
            age_s=max(0.0, (row.clock - row.at).total_seconds()),
            every_s=row.every_s,
            detail=row.detail,
        )
        for row in Heartbeat.objects.annotate(clock=Now()).order_by("name")
    ]


def silent() -> list[Beat]:
    """The loops that have missed three of their beats."""
    return [one for one in all_beats() if one.silent]


def forget() -> int:
    """Delete what has been silent for an hour and has a younger loop of its kind; returns how many.

    The last of a kind stays: that no worker is left must not look like a set-up that has none.
    """
    younger = Heartbeat.objects.filter(loop=OuterRef("loop"), at__gt=OuterRef("at"))
    old = Heartbeat.objects.filter(Exists(younger), at__lt=Now() - FORGOTTEN_AFTER)
    return Heartbeat.objects.filter(pk__in=list(old.values_list("pk", flat=True))).delete()[0]


def owner() -> str:
    """Who claims work: this thread of this process, in words that let others see that it is gone."""
    return f"{_host()[:50]}:{os.getpid()}:{threading.get_ident()}:{_kernel()}"


def is_gone(owner: str) -> bool:
    """Whether the process that claims under this name has ended for certain; False of those we cannot see from here."""
    _, process, _, kernel = [*owner.split(":"), "", "", "", ""][:4]
    return bool(kernel) and kernel == _kernel() and process.isdigit() and not _lives(int(process))


def name_of(loop: str) -> str:
    """``loop`` of this process, as its row is called."""
    return f"{loop}@{_host()[:80]}:{os.getpid()}"


@cache
def release() -> str:
    """The version of the gateway that runs."""
    try:
        return version("supplier-gateway")
    except PackageNotFoundError:  # it runs from its checkout
        described = tomllib.loads((Path(settings.BASE_DIR) / "pyproject.toml").read_text("utf-8"))
        return str(described["project"]["version"])


#: Loops of this process that have their row.
_known: Final[set[str]] = set()


def _host() -> str:
    return os.uname().nodename


@cache
def _kernel() -> str:
    """What processes share that see each other under the same numbers: one run of one system, one container of it.

    A host's name would not do, machines and containers may share it. Empty where the system does not say.
    """
    try:
        run, container = Path("/proc/sys/kernel/random/boot_id").read_text(), Path("/proc/self/ns/pid").readlink()
    except OSError:
        return ""
    return hashlib.sha256(f"{run} {container}".encode()).hexdigest()[:12]


def _bury_the_dead(loop: str) -> None:
    """Rows of processes of this host that a crash ended, of which this one is the successor."""
    of_this_host = Heartbeat.objects.filter(loop=loop, name__startswith=f"{loop}@{_host()[:80]}:")
    for name in of_this_host.exclude(name=name_of(loop)).values_list("name", flat=True):
        process = name.rpartition(":")[2]
        if process.isdigit() and not _lives(int(process)):
            Heartbeat.objects.filter(name=name).delete()


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
