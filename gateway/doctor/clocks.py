"""Clocks: leases run by the database's, certificates and deadlines by this machine's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from django.db import connection
from django.utils import timezone

from gateway.doctor.findings import Finding, Role, Severity
from gateway.models import Event

#: When this was written: a clock before it was never set.
_WRITTEN: Final = datetime(2026, 11, 1, tzinfo=UTC)
_NOTABLE: Final = timedelta(seconds=5)
_GRAVE: Final = timedelta(minutes=5)


def host(role: Role) -> Iterator[Finding]:
    """A clock that was never set, or was set back behind what has happened already."""
    now = timezone.now()
    if now < _WRITTEN:
        yield Finding(
            check="clocks.unset",
            severity=Severity.ERROR,
            where="this machine",
            what=f"Its clock says {now:%Y-%m-%d %H:%M} UTC.",
            why="Every certificate would be judged by it, and every document dated.",
            remedy="Set it, and let it follow a time server.",
        )
        return
    latest = Event.objects.order_by("-pk").values_list("at", flat=True).first()
    if latest is not None and latest - now > _GRAVE:
        yield Finding(
            check="clocks.back",
            severity=Severity.WARNING,
            where="this machine",
            what=f"Its clock says {now:%Y-%m-%d %H:%M} UTC, and the last event is of {latest:%Y-%m-%d %H:%M}.",
            why="Deadlines come too late, and the timeline is out of order.",
            remedy="Compare it with a time server; if the event is wrong, another machine's clock was ahead.",
        )


def database(role: Role) -> Iterator[Finding]:
    """How far this machine is from the database."""
    if connection.vendor == "sqlite":
        return  # the same clock
    before = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")  # reviewed SQL: a constant
        theirs = cursor.fetchone()[0]
    after = timezone.now()
    difference = max(before - theirs, theirs - after)  # negative while it lies between the two
    if difference > _NOTABLE:
        yield Finding(
            check="clocks.database",
            severity=Severity.ERROR if difference > _GRAVE else Severity.WARNING,
            where="this machine and the database",
            what=f"Their clocks are {difference.total_seconds():.0f} s apart.",
            why="Leases run by the database's clock and are not in danger; certificates, deadlines and times in documents "
            "are judged by this machine's.",
            remedy="Let both follow the same time servers.",
        )
