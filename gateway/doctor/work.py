"""Work that stands still: dead letters, what is overdue, systems left alone, loops that fell silent."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from django.conf import settings
from django.db.models import Count, Min, Q
from django.db.models.functions import Now

from gateway import heartbeats
from gateway.doctor.findings import Finding, Role, Severity
from gateway.models import Breaker, QueueEntry
from gateway.models.queue import EntryState

#: Due work is taken up within a poll; older than this many polls nobody takes it.
_OVERDUE_POLLS: Final = 12


def dead_letters(role: Role) -> Iterator[Finding]:
    rows = QueueEntry.objects.filter(state=EntryState.DEAD.value)
    for row in rows.values("kind").annotate(number=Count("pk"), oldest=Min("delivery__created_at")).order_by("kind"):
        yield Finding(
            check="work.dead-letters",
            severity=Severity.WARNING,
            where=f"queue {row['kind']}",
            what=f"{row['number']} dead letters, the oldest of {row['oldest']:%Y-%m-%d %H:%M} UTC.",
            why="Each blocks what belongs to the same order, and nothing else.",
            remedy="Settle their cases in the exception queue.",
        )


def overdue(role: Role) -> Iterator[Finding]:
    """Due for long, not set aside, and no system it goes to is being left alone."""
    late = timedelta(seconds=max(60.0, _OVERDUE_POLLS * settings.POLL_S))
    left_alone = Breaker.objects.filter(open_until__isnull=False).values("remote")
    rows = QueueEntry.objects.filter(~Q(state=EntryState.DEAD.value), waits=False, due_at__lt=Now() - late)
    for row in rows.exclude(remote__in=left_alone).values("kind").annotate(number=Count("pk"), oldest=Min("due_at")):
        yield Finding(
            check="work.overdue",
            severity=Severity.WARNING,
            where=f"queue {row['kind']}",
            what=f"{row['number']} deliveries have been due since {row['oldest']:%Y-%m-%d %H:%M} UTC.",
            why="No worker takes them up, or there are more than the workers can do.",
            remedy="See that a worker runs (manage.py up, or manage.py worker), and whether it has enough threads.",
        )


def breakers(role: Role) -> Iterator[Finding]:
    for row in Breaker.objects.filter(open_until__isnull=False).order_by("remote"):
        yield Finding(
            check="work.left-alone",
            severity=Severity.WARNING,
            where=row.remote,
            what=f"It is left alone until {row.open_until:%H:%M:%S} UTC after {row.failures} failures in a row.",
            why="It does not answer, or only with errors; its work waits and is not charged a try.",
            remedy="See whether it runs; the gateway asks again by itself.",
        )


def loops(role: Role) -> Iterator[Finding]:
    for beat in heartbeats.silent():
        yield Finding(
            check="work.silent",
            severity=Severity.WARNING,
            where=beat.name,
            what=f"It has said nothing for {timedelta(seconds=round(beat.age_s))}; it should every {beat.every_s:g} s.",
            why="Its process was killed, hangs, or cannot reach the database.",
            remedy="Restart it; the row of a process that is gone for good is forgotten an hour later.",
        )
