"""Breakers: is a system outside answering, and when is it asked again.

One row for each remote, shared by all processes and written under its lock, by the database's clock. It is about the system,
never about one document: no connection, no answer in time, 5xx, 429. An answer, be it "no", says that the system works.

```
closed ──5 failures in a row, 10 of the last 20 calls, or a hang──▶ open ──its pause is over──▶ one probe ─┐
   ▲                                                                 ▲                                     │
   │                                                                 └── fails: the pause doubles ─────────┤
   └───────────────── good: 1 of a partner, 3 in a row of an ERP, which may fail once more minutes later ──┘
```

While open, deliveries wait and are charged nothing. Calls that were on their way when it opened neither close it nor make
its pause longer.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from gateway import events, statements
from gateway.models import Breaker, DeliveryKind, EntryState, QueueEntry
from partners.models import TradingPartner

#: So many failures in a row open a breaker.
IN_A_ROW: Final = 5
#: So many failures of the last 20 calls do too; calls nobody wrote down, because all was well, were good ones.
OF_RECENT: Final = 10
_WINDOW: Final = (1 << 20) - 1
#: A server that keeps us waiting longer than this for nothing hangs, and would hang the next call as long.
HUNG_S: Final = 1.0
#: It is left alone for so many times as long: whatever waits for it, it costs a tenth of a worker or two.
STAND_BY: Final = 10
#: Retry-After counts up to here; a server that says next year is asked tomorrow.
_LONGEST_WISH_S: Final = 24 * 3600.0
_LONGEST_ERROR: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class _Habits:
    kind: DeliveryKind  #: the queue of what goes to it
    good_probes: int  #: in a row, until it is trusted again
    hang_opens: bool  #: one hang is enough


#: An ERP has slow calls among good ones: a hang is one failure of five, and how many calls hang together is bounded by
#: ``settings.ERP_CALLS_AT_ONCE``.
_HABITS: Final = {
    "erp": _Habits(kind=DeliveryKind.ERP, good_probes=3, hang_opens=False),
    "as2": _Habits(kind=DeliveryKind.PARTNER, good_probes=1, hang_opens=True),
    "receipt": _Habits(kind=DeliveryKind.RECEIPT, good_probes=1, hang_opens=True),
}

_KINDS: Final = frozenset(habits.kind for habits in _HABITS.values())


def erp(connection_id: int) -> str:
    """The remote that an ERP connection is."""
    return f"erp:{connection_id}"


def as2(partner_id: int) -> str:
    """The remote that a partner's AS2 server is."""
    return f"as2:{partner_id}"


def receipt(partner_id: int) -> str:
    """The remote that takes our receipts for a partner's messages: often another server than the one for messages."""
    return f"receipt:{partner_id}"


def kind_of(remote: str) -> DeliveryKind:
    """The queue of what goes to a remote."""
    return _habits(remote).kind


def failed(
    remote: str, why: str, *, took_s: float = 0.0, hung: bool = False, retry_after_s: float | None = None
) -> datetime | None:
    """Count a call that failed because of the remote.

    Args:
        why: for staff, without contents of documents.
        took_s: how long the call took.
        hung: nothing had answered in that time.
        retry_after_s: the remote's own wish.

    Returns:
        Until when nothing is sent now; None while the breaker is closed.
    """
    with _locked(remote) as (row, now):
        row.failures += 1
        row.recent = (row.recent << 1 | 1) & _WINDOW
        row.last_error = _clean(why)
        hang_s = took_s if hung and took_s > HUNG_S and _habits(remote).hang_opens else 0.0
        rule = _rule(row, hang_s) if row.opened_at is None else ""
        if rule:
            _open(row, now, rule, hang_s=hang_s, wish_s=retry_after_s or 0)
        elif row.opened_at is not None and now - timedelta(seconds=took_s) >= row.opened_at:  # it was a probe
            row.good_probes = 0
            _pause(row, now, doubled=True, hang_s=hang_s, wish_s=retry_after_s or 0)
        return row.open_until


def succeeded(remote: str, *, took_s: float = 0.0) -> bool:
    """Count a call that the remote answered; writes nothing while all is well.

    Args:
        took_s: how long the call took.

    Returns:
        Whether this closed the breaker: what had waited for the remote is due now, and its queue wants to be rung for.
    """
    if not _NOT_ALWAYS_GOOD.all(remote=remote):
        return False
    with _locked(remote) as (row, now):
        if row.opened_at is None:
            row.failures = 0
            row.recent = row.recent << 1 & _WINDOW
            return False
        if now - timedelta(seconds=took_s) < row.opened_at:
            return False
        row.good_probes += 1
        if row.good_probes < _habits(remote).good_probes:
            row.open_until = now
            return False
        _close(row, now)
        return True


def probe_due(kind: DeliveryKind | None = None) -> list[str]:
    """The remotes whose pause is over and for which something waits, or is due: of one queue, or of all."""
    if kind is not None and kind not in _KINDS:
        return []
    return [
        row.remote
        for row in _OPEN.all()
        if row.open_until <= row.now  # type: ignore[attr-defined]  # annotated
        and kind in {None, kind_of(row.remote)}
        and _has_work(row.remote)
    ]


_OPEN: Final = statements.Query(
    lambda: Breaker.objects.filter(open_until__isnull=False).annotate(now=Now()).order_by("open_until", "remote")
)
_NOT_ALWAYS_GOOD: Final = statements.Query(
    lambda: Breaker.objects.only("pk").filter(
        Q(opened_at__isnull=False) | ~Q(recent=0), remote=statements.Given("remote")
    )
)


def take_probe(remote: str) -> datetime | None:
    """Take the right to one call to a remote whose pause is over: of many workers one gets it.

    Returns:
        Until when nobody else has it, for ``give_back``; None when it is not to be had. A probe that never comes back is
        followed by another from that moment on.
    """
    with _locked(remote) as (row, now):
        if row.open_until is None or row.open_until > now:
            return None
        row.open_until = now + settings.LEASE
        return row.open_until


def give_back(remote: str, until: datetime) -> None:
    """Let another probe go at once when the one taken until then said nothing of the remote: there was nothing to send."""
    with _locked(remote) as (row, now):
        if row.open_until == until:
            row.open_until = now


def probe_now(remote: str, *, actor: str) -> bool:
    """End the pause of an open breaker, because a person says so; False when it is not open."""
    with _locked(remote) as (row, now):
        if row.open_until is None:
            return False
        row.open_until = now
        events.record("breaker.tried", actor=actor, partner_id=_partner(remote), remote=remote)
        return True


def resume(remote: str) -> None:
    """Let what waits for a remote be due at once, oldest first, because a person has mended what kept it from being sent.

    What waits for an open breaker waits on.
    """
    with _locked(remote) as (row, now):
        row.next_retry_at = None
        if row.open_until is None:
            _unlocked(_waiting(remote).filter(due_at__gt=now)).update(due_at=now, waits=False)


def may_call(remote: str) -> bool:
    """Whether the breaker is closed."""
    return not Breaker.objects.filter(remote=remote, open_until__isnull=False).exists()


def open_remotes() -> QuerySet[Breaker, str]:
    """The names of the remotes to which nothing goes now but probes, for a query over their deliveries."""
    return Breaker.objects.filter(open_until__isnull=False).values_list("remote", flat=True)


def set_aside() -> int:
    """Let what is due for a remote with an open breaker wait for it, so that no claim looks at it again; returns how many.

    It is due again when the breaker closes, and at the latest a poll after the pause.
    """
    moved = 0
    for remote in open_remotes():
        with _locked(remote) as (row, now):
            if row.open_until is None:
                continue
            due = _waiting(remote).filter(due_at__lte=now)
            again = max(row.open_until, now) + timedelta(
                seconds=settings.POLL_S + random.uniform(0, 0.1) * row.pause_s  # noqa: S311  # jitter, not a secret
            )
            moved += _unlocked(due).update(waits=True, due_at=again)
    return moved


def spaced(remote: str, wished_s: float) -> float:
    """When the next retry against a remote may start, in seconds from now: never earlier than wished.

    Retries that are asked for pass one by one, ``settings.RETRIES_PER_MINUTE``, whatever number failed at once; each then
    waits as long as it wished.
    """
    with _locked(remote) as (row, now):
        turn = max(row.next_retry_at or now, now)
        row.next_retry_at = turn + timedelta(seconds=60 / settings.RETRIES_PER_MINUTE)
        return wished_s + (turn - now).total_seconds()


def _has_work(remote: str) -> bool:
    waiting = QueueEntry.objects.filter(kind=kind_of(remote), remote=remote, due_at__isnull=False)
    return waiting.filter(Q(waits=True) | Q(due_at__lte=Now())).exists()


def _rule(row: Breaker, hang_s: float) -> str:
    """Why a closed breaker is to open, as its event says it; empty when it is not."""
    if hang_s:
        return "hung"
    if row.failures >= IN_A_ROW:
        return "in_a_row"
    return "of_recent" if row.recent.bit_count() >= OF_RECENT else ""


def _open(row: Breaker, now: datetime, rule: str, *, hang_s: float, wish_s: float) -> None:
    # A remote that fails again soon after it was trusted again goes on where it was: its pauses do not begin anew.
    relapse = row.closed_at is not None and now - row.closed_at < timedelta(seconds=settings.BREAKER_MOST_S)
    _pause(row, now, doubled=relapse, hang_s=hang_s, wish_s=wish_s)
    row.opened_at, row.good_probes = now, 0
    events.record(
        "breaker.opened",
        partner_id=_partner(row.remote),
        remote=row.remote,
        reason=rule,
        failures=row.failures,
        pause_s=round(row.pause_s, 1),
    )


def _pause(row: Breaker, now: datetime, *, doubled: bool, hang_s: float, wish_s: float) -> None:
    """Let nothing out for a pause within the bounds of the settings; for longer only when the remote wishes it."""
    step_s = max(settings.BREAKER_PAUSE_S, row.pause_s * 2 if doubled else 0, hang_s * STAND_BY)
    row.pause_s = min(step_s, settings.BREAKER_MOST_S)
    span_s = max(row.pause_s, min(wish_s, _LONGEST_WISH_S))
    row.open_until = now + timedelta(seconds=span_s * random.uniform(1, 1.1))  # noqa: S311  # jitter, not a secret


def _close(row: Breaker, now: datetime) -> None:
    """Trust the remote again: what waited for it is due, oldest first."""
    events.record(
        "breaker.closed",
        partner_id=_partner(row.remote),
        remote=row.remote,
        open_s=round((now - (row.opened_at or now)).total_seconds(), 1),
    )
    row.failures = row.recent = row.good_probes = 0
    row.open_until = row.opened_at = None
    row.closed_at, row.last_error = now, ""
    waiting = _waiting(row.remote).filter(waits=True, due_at__isnull=False)  # else it waits for its lane
    _unlocked(waiting).update(due_at=now, waits=False)


def _waiting(remote: str) -> QuerySet[QueueEntry]:
    """What is to go to a remote and is in nobody's hands; dead letters are not."""
    states = [EntryState.PENDING, EntryState.IN_DOUBT]
    return QueueEntry.objects.filter(kind=kind_of(remote), remote=remote, state__in=states)


def _unlocked(rows: QuerySet[QueueEntry]) -> QuerySet[QueueEntry]:
    """Those of the rows that nobody else is changing now: waiting for others, with a breaker held, could deadlock."""
    if not connection.features.has_select_for_update_skip_locked:
        return rows
    return QueueEntry.objects.filter(pk__in=rows.select_for_update(skip_locked=True, of=("self",)).values("pk"))


@contextmanager
def _locked(remote: str) -> Iterator[tuple[Breaker, datetime]]:
    """The row of a remote, made when it is missing, for this process alone, and the time; kept when the block is left."""
    rows = Breaker.objects.filter(remote=remote)
    with transaction.atomic():
        if not rows.exists():
            Breaker.objects.bulk_create([Breaker(remote=remote)], ignore_conflicts=True)
        row = rows.select_for_update().annotate(now=Now()).get()
        now: datetime = row.now
        before = _columns(row)
        yield row, now
        if _columns(row) != before:
            row.changed_at = now
            row.save()


def _columns(row: Breaker) -> list[object]:
    return [getattr(row, field.attname) for field in Breaker._meta.concrete_fields]


def _habits(remote: str) -> _Habits:
    return _HABITS[remote.partition(":")[0]]


def _partner(remote: str) -> int | None:
    """The partner whose server a remote is; None of an ERP, and of a partner that is gone."""
    prefix, _, number = remote.partition(":")
    if prefix == "erp":
        return None
    return TradingPartner.objects.filter(pk=int(number)).values_list("pk", flat=True).first()


def _clean(text: str) -> str:
    """In one line, without what a remote could do to a terminal or a page."""
    return "".join(mark if mark.isprintable() else " " for mark in text)[:_LONGEST_ERROR]
