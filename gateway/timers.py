"""Timers: what is done again and again is a delivery as well, of kind ``timer``, and its next turn is when that is due.

So a turn is claimed by one worker of however many, and there is no scheduler to run, to elect or to lose. A turn that fails is
told on its delivery and in the log, and the next one comes as it would have; a timer never becomes a dead letter. A turn may
be begun a second time after its lease: whatever is done here is safe to do twice, even at once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import DatabaseError, transaction

from gateway import archives, audit, blob_upkeep, heartbeats, logs, metrics, outbox, tracing
from gateway.models import Delivery, DeliveryKind, ErpConnection
from gateway.pipeline import closing, escalate, release

log = logging.getLogger(__name__)

_PREFIX: Final = "timer:"
_ERP_POLL: Final = "erp_poll:"  #: and the connection's id: an ERP that hangs holds no other
#: A turn of an ERP's poll takes in no other change after this share of its lease: nobody is to begin it a second time.
_POLLING: Final = 1 / 3
#: An archive run begins nothing else after this; what is left comes at its next turn, soon.
_ARCHIVING: Final = timedelta(minutes=20)
_SOON: Final = timedelta(minutes=1)
#: The ERPs are asked for the next page of what they have closed no longer than this.
_CLOSING: Final = timedelta(minutes=20)
#: One that could not be asked to the end is asked again after this.
_UNASKED: Final = timedelta(hours=1)
#: Of timers whose turns may take longer than this a process has one at a time: two of them, and a process of two hands would do
#: nothing else for hours.
_LONG: Final = timedelta(minutes=5)
_at_length: Final = threading.Lock()
#: The turn of a timer this release does not know, because a newer one made it, is looked at again after this.
_UNKNOWN: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timer:
    """Something that is done again and again."""

    #: One turn; returns when the next is due, when that is not as usual.
    turn: Callable[[datetime], timedelta | None]
    every: Callable[[], timedelta]  #: from the end of a turn to the next
    lease: timedelta  #: longer than a turn takes; when its worker dies the next turn comes after this


def ensure() -> None:
    """Make the timers that are missing, due now. For each poll of a worker: two queries when none is."""
    polled = ErpConnection.objects.filter(active=True).values_list("pk", flat=True)
    wanted = {f"{_PREFIX}{name}" for name in (*TIMERS, *(f"{_ERP_POLL}{pk}" for pk in polled))}
    there = Delivery.objects.filter(key__in=wanted).values_list("key", flat=True)
    for key in sorted(wanted.difference(there)):
        with transaction.atomic():
            outbox.enqueue(DeliveryKind.TIMER, key)


def run(claim: outbox.Claim, *, now: datetime) -> timedelta | None:
    """Do one claimed turn.

    Returns:
        How long until the next one; None when there is none, or it is somebody else's.

    Raises:
        DatabaseError: the database went away. The turn is begun again after its lease.
    """
    name = claim.delivery.key.removeprefix(_PREFIX)
    ids: dict[str, str | int | None] = {"queue": claim.delivery.kind, "timer": name, "token": claim.token}
    with (
        logs.bound(**ids),
        tracing.span(f"timer {name.partition(':')[0]}", **ids),
        metrics.timed_try(DeliveryKind.TIMER),
    ):
        try:
            return _run(claim, name, now=now)
        except outbox.Fenced as lost:
            metrics.FENCED.inc()
            log.warning("%s", lost)
            return None


def _run(claim: outbox.Claim, name: str, *, now: datetime) -> timedelta | None:
    timer = _erp_poll(name) if name.startswith(_ERP_POLL) else TIMERS.get(name)
    if timer is None and name.startswith(_ERP_POLL):
        outbox.finish(claim, "the ERP connection is gone")
        return None
    if timer is None:
        outbox.again(claim, _UNKNOWN)
        return _UNKNOWN
    if timer.lease > _LONG and not _at_length.acquire(blocking=False):
        outbox.again(claim, _SOON)
        return _SOON
    try:
        after, error = _turn(claim, timer, now)
    finally:
        if timer.lease > _LONG:
            _at_length.release()
    if after is None:
        after = timer.every()
    outbox.again(claim, after, error)
    return after


def _turn(claim: outbox.Claim, timer: Timer, now: datetime) -> tuple[timedelta | None, str]:
    """When the next one is due, if it says so, and what went wrong."""
    outbox.lease(claim, timer.lease)
    try:
        return timer.turn(now), ""
    except DatabaseError:
        raise
    except Exception as fault:  # the outer edge of a turn: the next one comes all the same
        log.exception("the turn failed")
        return None, logs.told(fault)


def _erp_poll(name: str) -> Timer | None:
    """The timer of one ERP connection; None when it is gone."""
    connection = ErpConnection.objects.filter(pk=name.removeprefix(_ERP_POLL)).first()
    if connection is None:
        return None

    def turn(now: datetime) -> timedelta | None:
        if not connection.active or connection.blocked_reason:
            return None
        until = time.monotonic() + settings.LEASE.total_seconds() * _POLLING
        release.poll(connection, now=now, is_over=lambda: time.monotonic() > until)
        return timedelta(0) if time.monotonic() > until else None

    return Timer(turn=turn, every=lambda: timedelta(seconds=settings.ERP_POLL_S), lease=settings.LEASE)


def _escalate(now: datetime) -> None:
    escalate.sweep(now=now)


def _seal(now: datetime) -> None:
    audit.seal_all()


def _checkpoint(now: datetime) -> None:
    audit.checkpoint()


def _archive(now: datetime) -> timedelta | None:
    return _SOON if archives.run(now, at_most=_ARCHIVING).more else None


def _close_orders(now: datetime) -> timedelta | None:
    until = time.monotonic() + _CLOSING.total_seconds()
    asked = [
        closing.ask(connection, now=now, is_over=lambda: time.monotonic() > until)
        for connection in ErpConnection.objects.filter(active=True, blocked_reason="").order_by("pk")
    ]
    return _UNASKED if None in asked else None  # an ERP may be away at the same hour every night


def _collect(now: datetime) -> None:
    blob_upkeep.collect(now)


def _forget_loops(now: datetime) -> None:
    heartbeats.forget()


#: Every timer but the ERPs', by name.
TIMERS: Final[dict[str, Timer]] = {
    "escalate": Timer(turn=_escalate, every=lambda: timedelta(seconds=settings.POLL_S), lease=timedelta(seconds=60)),
    "seal": Timer(turn=_seal, every=lambda: timedelta(seconds=2), lease=timedelta(seconds=60)),
    "checkpoint": Timer(turn=_checkpoint, every=lambda: timedelta(hours=1), lease=timedelta(minutes=1)),
    "archive": Timer(turn=_archive, every=lambda: timedelta(days=1), lease=2 * _ARCHIVING),
    "closed_orders": Timer(turn=_close_orders, every=lambda: timedelta(days=1), lease=2 * _CLOSING),
    "collect": Timer(turn=_collect, every=lambda: timedelta(days=1), lease=timedelta(hours=6)),
    "heartbeats": Timer(turn=_forget_loops, every=lambda: timedelta(hours=1), lease=timedelta(minutes=1)),
}
