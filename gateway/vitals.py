"""Vitals: how the work stands at this moment, in figures out of the rows, for the metrics and the operations page.

Nothing here looks through history: open work, breakers and heartbeats are small tables of their own, everything else is found by
an index. Ages are by the database's clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from django.db.models import Count, Max, Min
from django.db.models.functions import Now

from gateway.models import (
    AuditBatch,
    Breaker,
    CaseState,
    Delivery,
    DeliveryKind,
    EntryState,
    Event,
    ExceptionCase,
    QueueEntry,
    UnsealedEvent,
)

#: So many unsealed events are counted; more of them are as alarming.
MOST_UNSEALED: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """One queue."""

    kind: DeliveryKind
    entries: Mapping[EntryState, int]
    overdue_s: float = 0.0  #: how long its oldest due work has been due
    oldest_s: float = (
        0.0  #: age of its oldest work that is neither finished nor given up; of timers, which never finish, 0
    )

    @property
    def open(self) -> int:
        return sum(self.entries.values())


class BreakerState(StrEnum):
    CLOSED = "closed"
    HALF_OPEN = "half open"  #: the next call is a probe, or is under way
    OPEN = "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerStanding:
    """One system outside that has failed lately."""

    remote: str
    state: BreakerState
    not_closed_s: float
    until: datetime | None  #: nothing is sent before
    failures: int
    last_error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cases:
    by_reason: Mapping[str, int] = field(default_factory=dict)
    overdue: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """How far the audit trail is sealed."""

    unsealed: int  #: events, counted up to MOST_UNSEALED
    oldest_s: float  #: age of the oldest of them
    batch: int | None  #: the last one's number
    sealed_at: datetime | None


def queues() -> list[Queue]:
    """Every queue, in the order of the kinds."""
    rows = list(
        QueueEntry.objects.order_by()
        .values("kind", "state")
        .annotate(count=Count("pk"), due=Min("due_at"), first=Min("pk"), clock=Max(Now()))
    )
    live = [row for row in rows if row["state"] != EntryState.DEAD and row["kind"] != DeliveryKind.TIMER]
    began = dict(Delivery.objects.filter(pk__in=[row["first"] for row in live]).values_list("pk", "created_at"))
    found = []
    for kind in DeliveryKind:
        mine = [row for row in rows if row["kind"] == kind]
        found.append(
            Queue(
                kind=kind,
                entries={EntryState(row["state"]): row["count"] for row in mine},
                overdue_s=max((_age(row["clock"], row["due"]) for row in mine), default=0.0),
                oldest_s=max(
                    (_age(row["clock"], began.get(row["first"])) for row in live if row["kind"] == kind), default=0.0
                ),
            )
        )
    return found


def breakers() -> list[BreakerStanding]:
    """Every system outside that has ever failed, in order of name."""
    return [
        BreakerStanding(
            remote=row.remote,
            state=_state(row.open_until, row.clock),
            not_closed_s=_age(row.clock, row.opened_at) if row.open_until else 0.0,
            until=row.open_until,
            failures=row.failures,
            last_error=row.last_error,
        )
        for row in Breaker.objects.annotate(clock=Now()).order_by("remote")
    ]


def cases() -> Cases:
    """What waits for a person."""
    rows = list(
        ExceptionCase.objects.filter(state=CaseState.OPEN).order_by().values_list("reason").annotate(Count("pk"))
    )
    late = ExceptionCase.objects.filter(state=CaseState.OPEN, due_at__lt=Now()).count()
    return Cases(by_reason=dict(rows), overdue=late)


def seal() -> Seal:
    """How far behind the sealer is."""
    count = UnsealedEvent.objects.all()[:MOST_UNSEALED].count()
    first = UnsealedEvent.objects.aggregate(first=Min("pk"))["first"]
    oldest = Event.objects.filter(pk=first).values_list("at", Now()).first() if first is not None else None
    last = AuditBatch.objects.aggregate(last=Max("pk"))["last"]
    return Seal(
        unsealed=count,
        oldest_s=_age(oldest[1], oldest[0]) if oldest else 0.0,
        batch=last,
        sealed_at=AuditBatch.objects.filter(pk=last).values_list("sealed_at", flat=True).first() if last else None,
    )


def _state(open_until: datetime | None, clock: datetime) -> BreakerState:
    if open_until is None:
        return BreakerState.CLOSED
    return BreakerState.OPEN if open_until > clock else BreakerState.HALF_OPEN


def _age(clock: datetime, since: datetime | None) -> float:
    return max(0.0, (clock - since).total_seconds()) if since is not None else 0.0
