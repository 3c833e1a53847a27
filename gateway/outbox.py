"""The outbox: is a delivery due, whose is it, what came of it.

The rows are the queue; a lost wake-up costs one poll interval. A claim is one statement that counts the attempt, so a crash
counts too. The lease runs by the database's clock; an expired one is claimable by the same statement, so nobody has to rescue
anything. An ending names the token of its claim: a worker that was paused beyond its lease changes nothing.

What is open has an entry in the queue (``QueueEntry``, narrow) beside its delivery (the lasting record); what is over has
none. Of every try the audit trail holds one end, with its token: ``ENDS``.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db import connection, transaction
from django.db.models import DateTimeField, ExpressionWrapper, F, Min, Q, Value
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Now
from django.utils import timezone

from gateway import breakers, events, metrics, statements, states
from gateway.models import (
    Delivery,
    DeliveryKind,
    DeliveryState,
    Document,
    EntryState,
    ErpConnection,
    Event,
    QueueEntry,
    QueueLane,
    Transmission,
)

log = logging.getLogger(__name__)

#: Events that end a try. ``taken``: the consumer has it, and its verdict comes later.
ENDS: Final = ("delivered", "retry", "in_doubt", "taken", "dead", "crashed")

#: Of an ending's words so many characters go into the audit trail; the delivery keeps all of them.
_DETAIL: Final = 400

#: Entries that ``set_aside`` goes through in one statement, and how often in one look, of each queue.
_ASIDE_AT_ONCE: Final = 500
_ASIDE_TIMES: Final = 10

#: Told after a commit that a queue has work; set by the process that has an alarm clock (gateway.tasks).
_listeners: Final[list[Callable[[str], None]]] = []


class Fenced(Exception):
    """The claim is somebody else's by now: drop the result, roll back what was done under it."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to try one delivery until the lease ends."""

    delivery: Delivery
    token: int
    doubtful: bool  #: an earlier try may have had its effect: look it up before sending again
    attempts: int  #: tries that were charged, this one included
    owner: str
    began: datetime
    #: Of which remote with an open breaker this is the probe, and until when; see ``end_probe``.
    probe: tuple[str, datetime] | None = None
    crashes: int = 0  #: tries in a row before this one that ended without a word


@dataclass(frozen=True, slots=True)
class Try:
    """One try of a delivery, for people to look at."""

    token: int
    owner: str
    began: datetime | None
    ended: datetime | None  #: None: under way, or its worker never came back
    outcome: str  #: one of ``ENDS``; empty while it is under way
    detail: str


def on_due(listener: Callable[[str], None]) -> None:
    """Call ``listener(queue)`` after each commit that made work due. Its errors are logged, never raised."""
    if listener not in _listeners:
        _listeners.append(listener)


# ------------------------------------------------------------------------------------------------------------- coming in
def enqueue(
    kind: DeliveryKind,
    key: str,
    *,
    transmission: Transmission | None = None,
    document: Document | None = None,
    erp: ErpConnection | None = None,
    company: str = "",
    lanes: Iterable[str] = (),
) -> Delivery:
    """Add a delivery in the transaction of the work it stands for; a key that is there already changes nothing.

    Args:
        key: idempotency key, at most 255 characters, the same for the same work however often it is asked for.
        lanes: deliveries that share one are handed over one at a time, oldest first; a lane belongs to one kind.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("enqueue inside the transaction of what is to be delivered")
    source = document or transmission
    delivery = Delivery(
        key=key,
        kind=kind,
        transmission=transmission,
        document=document,
        connection=erp,
        company=company,
        partner_id=source.partner_id if source else None,
    )
    if not statements.insert(delivery, unless="key"):
        return Delivery.objects.get(key=key)
    _open([delivery], [lanes])
    _go_on_or_ring(kind, [delivery])
    return delivery


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is to be delivered, see ``enqueue``."""

    key: str
    document: Document
    lanes: Iterable[str] = ()


def enqueue_all(kind: DeliveryKind, work: Sequence[Work]) -> None:
    """As ``enqueue``, of many documents in as many statements as of one, oldest first."""
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("enqueue inside the transaction of what is to be delivered")
    lanes = {one.key: one.lanes for one in work}
    fresh = statements.insert_all(
        [Delivery(key=one.key, kind=kind, document=one.document, partner_id=one.document.partner_id) for one in work],
        unless="key",
    )
    if fresh:
        _open(fresh, [lanes[delivery.key] for delivery in fresh])
        _go_on_or_ring(kind, fresh)


#: Due at once are the first two of a lane: the second is next, and nobody need wake it. Whoever stands farther back waits until
#: it is the first, so that a claim meets one entry of a lane, or two, however long the lane is.
_ENTER: Final = """
INSERT INTO gateway_queueentry
    (delivery_id, kind, remote, state, due_at, waits, token, owner, attempts, crashes, doubtful)
SELECT id, kind, remote, 'pending', CASE WHEN waits THEN NULL ELSE {now} END, waits, 0, '', 0, 0, {false} FROM (
    SELECT column1 AS id, column2 AS kind, column3 AS remote, EXISTS (
        SELECT 1 FROM gateway_queuelane mine JOIN gateway_queuelane ahead
        ON ahead.key = mine.key AND ahead.entry_id < mine.entry_id WHERE mine.entry_id = column1 LIMIT 1 OFFSET 1) AS waits
    FROM (VALUES {rows}) new) placed
"""
_ENTER_AT_ONCE: Final = 300


def _open(deliveries: Sequence[Delivery], lanes: Sequence[Iterable[str]]) -> None:
    statements.insert_all(
        [
            QueueLane(entry_id=one.pk, key=lane)
            for one, some in zip(deliveries, lanes, strict=True)
            for lane in sorted(set(some))
        ]
    )
    for start in range(0, len(deliveries), _ENTER_AT_ONCE):
        batch = deliveries[start : start + _ENTER_AT_ONCE]
        rows = ", ".join(["(%s, %s, %s)"] * len(batch))
        with connection.cursor() as cursor:
            # reviewed SQL: one statement that looks who stands before it and enters; values are bound
            cursor.execute(
                _ENTER.format(**_CLOCK[connection.vendor], rows=rows),
                [value for one in batch for value in (one.pk, one.kind, remote_of(one))],
            )


def lanes_of(delivery: Delivery) -> list[str]:
    """The lanes an open or dead delivery is in."""
    return list(QueueLane.objects.filter(entry_id=delivery.pk).order_by("key").values_list("key", flat=True))


def remote_of(delivery: Delivery) -> str:
    """The system outside that a delivery goes to; empty when it stays inside."""
    if delivery.kind == DeliveryKind.ERP and delivery.connection_id is not None:
        return breakers.erp(delivery.connection_id)
    if delivery.kind == DeliveryKind.PARTNER and delivery.partner_id is not None:
        return breakers.as2(delivery.partner_id)
    if delivery.kind == DeliveryKind.RECEIPT and delivery.partner_id is not None:
        return breakers.receipt(delivery.partner_id)
    return ""


def wake_on_commit(queue: str) -> None:
    """Ring for ``queue`` once this transaction is committed. A broker that is down must not undo what was committed."""

    def ring() -> None:
        for listener in _listeners:
            listener(queue)

    transaction.on_commit(ring, robust=True)


# --------------------------------------------------------------------------------------------------------------- going on
class Hand:
    """Somebody who is at work and would do the next step of it as well; made by ``going_on``."""

    def __init__(self, owner: str, kinds: Collection[DeliveryKind], is_willing: Callable[[], bool]) -> None:
        self._owner, self._kinds, self._is_willing = owner, kinds, is_willing
        self._asked = False
        self._taken: tuple[DeliveryKind, tuple[int, int, int, int, bool]] | None = None

    def takes(self, delivery: Delivery) -> bool:
        """Claim a delivery that has just come in, in its transaction, if it is claimable and this hand is free for it."""
        kind = DeliveryKind(delivery.kind)
        if self._asked or kind not in self._kinds or not self._is_willing():
            return False
        taken = _take(kind, self._owner, only=delivery.pk)
        if taken is None:
            return False
        self._asked = True  # even if it is rolled back: one step, one next step
        transaction.on_commit(lambda: setattr(self, "_taken", (kind, taken)))
        return True

    def claim(self) -> Claim | None:
        """What it goes on with; None: nothing."""
        if self._taken is None:
            return None
        kind, (pk, token, attempts, _, doubtful) = self._taken
        [delivery] = _READ[kind].all(pk=pk)
        return Claim(delivery, token, bool(doubtful), attempts, self._owner, timezone.now())


@contextmanager
def going_on(owner: str, kinds: Collection[DeliveryKind], is_willing: Callable[[], bool]) -> Iterator[Hand]:
    """Within, the first delivery of these kinds that this thread enqueues, and that nothing holds up, is claimed by the
    transaction it comes in with: nobody has to be rung for, and it is begun at once by who knows of it.

    It is a claim like any other: counted, leased and fenced, and found by its lease should its hand die.
    """
    _hands.hand = hand = Hand(owner, kinds, is_willing)
    try:
        yield hand
    finally:
        _hands.hand = None


_hands: Final = threading.local()


def _go_on_or_ring(kind: DeliveryKind, deliveries: Sequence[Delivery]) -> None:
    hand: Hand | None = getattr(_hands, "hand", None)
    if hand is None or len(deliveries) > 1 or not hand.takes(deliveries[0]):
        wake_on_commit(kind)


# --------------------------------------------------------------------------------------------------------------- claiming
#: An entry with an older one in a lane of its own. By the first of the lane, which is one look at an index; as a join it is one
#: of a lane with itself to some planners.
_BEHIND: Final = """EXISTS (SELECT 1 FROM gateway_queuelane mine WHERE mine.entry_id = entry.delivery_id
        AND (SELECT min(ahead.entry_id) FROM gateway_queuelane ahead WHERE ahead.key = mine.key) < mine.entry_id)"""

#: Pick, lock and take the oldest that is due: of what is pending by its time, of what was claimed by the end of its lease.
#: Not while one of its lanes has an older entry, its remote's breaker is open or has as many calls as it may.
_CLAIM: Final = """
UPDATE gateway_queueentry SET
    crashes = CASE WHEN state = 'sending' THEN crashes + 1 ELSE 0 END,
    doubtful = doubtful OR state IN ('sending', 'in_doubt'),
    state = 'sending', token = token + 1, attempts = attempts + 1, waits = {false},
    owner = %(owner)s, claimed_at = {now}, due_at = {lease_end}
WHERE delivery_id = (
    SELECT entry.delivery_id FROM gateway_queueentry entry
    WHERE entry.kind = %(kind)s AND {due} AND {remote}
    AND NOT {behind}
    ORDER BY entry.due_at, entry.delivery_id LIMIT 1 {lock})
RETURNING delivery_id, token, attempts, crashes, doubtful
"""
#: Every remote but those whose breaker is open or that have as many calls as they may: a short list, made once for a claim,
#: however many entries it is held against.
_ANY_REMOTE: Final = """entry.remote NOT IN (
        SELECT b.remote FROM gateway_breaker b WHERE b.open_until IS NOT NULL
        UNION ALL
        SELECT busy.remote FROM gateway_queueentry busy
        WHERE busy.remote <> '' AND busy.state = 'sending' AND busy.due_at > {now}
        GROUP BY busy.remote HAVING count(*) >= %(at_once)s)"""
_THIS_REMOTE: Final = "entry.remote = %(remote)s"
_THIS_ONE: Final = "entry.delivery_id = %(only)s"
_DUE: Final = "entry.due_at <= {now}"
#: A probe may be one that was set aside.
_DUE_OR_ASIDE: Final = "entry.due_at IS NOT NULL AND (entry.due_at <= {now} OR entry.waits)"

_CLOCK: Final[Mapping[str, Mapping[str, str]]] = {
    "postgresql": {
        "now": "statement_timestamp()",
        "lease_end": "statement_timestamp() + %(lease_s)s * interval '1 second'",
        "true": "true",
        "false": "false",
        "lock": "FOR UPDATE OF entry SKIP LOCKED",
    },
    "sqlite": {
        "now": "strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now')",
        "lease_end": "strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now', %(lease_s)s || ' seconds')",
        "true": "1",
        "false": "0",
        "lock": "",  # one writer at a time
    },
}


def _read(*related: str) -> statements.Query[Delivery]:
    return statements.Query(lambda: Delivery.objects.select_related(*related).filter(pk=statements.Given("pk")))


#: What the consumer of a kind reads of a delivery, in the statement that reads it.
_READ: Final[Mapping[DeliveryKind, statements.Query[Delivery]]] = {
    DeliveryKind.TRANSLATE: _read("transmission__payload"),
    DeliveryKind.APPLY: _read("document"),
    DeliveryKind.ERP: _read("document__order", "connection"),
    DeliveryKind.PARTNER: _read("transmission", "document__order"),
    DeliveryKind.RECEIPT: _read("transmission"),
    DeliveryKind.TIMER: _read(),
}


def claim(kind: DeliveryKind, owner: str) -> Claim | None:
    """Take the oldest due delivery of ``kind`` whose lanes and remote are free; None when there is none.

    A remote with an open breaker gets one when its pause is over: a probe.
    A delivery that crashed ``settings.POISON_AFTER`` times in a row is buried here instead of being tried again.
    """
    for remote in breakers.probe_due(kind):
        if (until := breakers.take_probe(remote)) is not None:
            if (claimed := _claim(kind, owner, remote)) is not None:
                return replace(claimed, probe=(remote, until))
            breakers.give_back(remote, until)
    return _claim(kind, owner)


def end_probe(claimed: Claim) -> None:
    """A claim was handled; should it have been a probe that said nothing of its remote, another may follow at once."""
    if claimed.probe is not None:
        breakers.give_back(*claimed.probe)


def _claim(kind: DeliveryKind, owner: str, remote: str = "") -> Claim | None:
    """Take one for any remote that is free, or for this one, whose probe we have."""
    while True:
        with transaction.atomic():
            taken = _take(kind, owner, remote)
            if taken is None:
                return None
            pk, token, attempts, crashes, doubtful = taken
            [delivery] = _READ[kind].all(pk=pk)
            claimed = Claim(delivery, token, bool(doubtful), attempts, owner, timezone.now(), crashes=crashes)
            if not crashes:
                return claimed
            # The try before this one ended without a word: its end is written by who notices.
            events.record("delivery.crashed", delivery=delivery, token=token - 1)
            _count(kind, "crashed")
            if crashes < settings.POISON_AFTER or kind == DeliveryKind.TIMER:
                return claimed
            why = f"The worker died in {settings.POISON_AFTER} tries in a row; the last was try {token - 1}."
            # Nothing is tried under this claim: its token ends here, so that no late ending fits.
            _bury(claimed, why, reason="poison")


def _take(
    kind: DeliveryKind, owner: str, remote: str = "", only: int | None = None
) -> tuple[int, int, int, int, bool] | None:
    dialect = _CLOCK[connection.vendor]
    due, where = (_DUE_OR_ASIDE, _THIS_REMOTE) if remote else (_DUE, _ANY_REMOTE)
    if only is not None:
        where = f"{where} AND {_THIS_ONE}"
    statement = _CLAIM.format(**dialect, due=due.format(**dialect), remote=where.format(**dialect), behind=_BEHIND)
    at_once = settings.ERP_CALLS_AT_ONCE if kind == DeliveryKind.ERP else settings.SENDS_AT_ONCE
    given: dict[str, Any] = {
        "kind": kind,
        "owner": owner[:100],
        "remote": remote,
        "only": only,
        "at_once": at_once,
        "lease_s": settings.LEASE.total_seconds(),
    }
    with connection.cursor() as cursor:
        # reviewed SQL: one statement that picks, locks and takes; the ORM cannot return what an UPDATE took. Values are bound.
        cursor.execute(statement, given)
        row: tuple[int, int, int, int, bool] | None = cursor.fetchone()
    return row


def set_aside() -> None:
    """Put aside what is due and has another before it in its lane, so that claims need not look at it each time.

    It is due again when it is the first of its lanes. Whoever comes to be that while somebody else writes, and is seen by
    neither, is woken here. What is due for a remote that is left alone waits for that. For the poll of a worker.
    """
    breakers.set_aside()
    first = QueueLane.objects.order_by().values("key").annotate(first=Min("entry_id")).values("first")
    waiting = QueueEntry.objects.filter(waits=True, due_at__isnull=True).exclude(state=EntryState.DEAD)
    if waiting.exists() and (found := list(waiting.filter(pk__in=first).values_list("pk", flat=True))):
        _change(_FREE, entries=", ".join(str(pk) for pk in found))
    for kind in DeliveryKind:
        for _ in range(_ASIDE_TIMES):
            if not _change(_SET_ASIDE, kind=kind):
                break


#: Of the oldest that are due, those behind another.
_SET_ASIDE: Final = """
UPDATE gateway_queueentry SET waits = {true}, due_at = NULL
WHERE due_at <= {now} AND state <> 'sending' AND delivery_id IN (
    SELECT delivery_id FROM (
        SELECT delivery_id FROM gateway_queueentry WHERE kind = '{kind}' AND due_at <= {now} AND state <> 'sending'
        ORDER BY due_at, delivery_id LIMIT {at_once}) entry
    WHERE {behind})
"""
_FREE: Final = """
UPDATE gateway_queueentry AS entry SET waits = {false}, due_at = {now}
WHERE waits AND due_at IS NULL AND state <> 'dead' AND delivery_id IN ({entries}) AND NOT {behind}
"""


def _change(statement: str, **words: object) -> bool:
    """Whether the statement changed a row."""
    asked = statement.format(**_CLOCK[connection.vendor], behind=_BEHIND, at_once=_ASIDE_AT_ONCE, **words)
    with connection.cursor() as cursor:
        cursor.execute(asked, [])  # reviewed SQL: the words are ours: names of kinds, keys of rows
        return bool(cursor.rowcount > 0)


def due_kinds() -> list[DeliveryKind]:
    """The kinds that have something due now, or a remote to be probed: what a poll rings for."""
    probed = {breakers.kind_of(remote) for remote in breakers.probe_due()}
    return [kind for kind in DeliveryKind if kind in probed or QueueEntry.objects.filter(_is_due(), kind=kind).exists()]


def hold(claimed: Claim) -> None:
    """Keep a claim, whatever becomes of its lease, until the transaction it is called in ends.

    For work whose effects are one transaction, however long that takes: its entry stays locked, and a claim passes
    over locked rows. A worker that dies ends its transaction, and what it had claimed is due when the lease runs out. SQLite
    has no row locks and needs none: nobody can claim while a transaction writes.

    Raises:
        Fenced: the claim was lost already.
    """
    if not _HELD.all(pk=claimed.delivery.pk, token=claimed.token):
        raise _fenced(claimed)


_HELD: Final = statements.Query(
    lambda: (
        QueueEntry.objects.only("pk")
        .select_for_update(no_key=True)
        .filter(pk=statements.Given("pk"), token=statements.Given("token"), state=EntryState.SENDING)
    )
)


def lease(claimed: Claim, span: timedelta) -> None:
    """Let a claim end ``span`` from now, instead of when it would have.

    Raises:
        Fenced: the claim was lost already.
    """
    if not _mine(claimed).update(due_at=_from_now(span)):
        raise _fenced(claimed)


def end_leases(is_gone: Callable[[str], bool]) -> int:
    """Let what is held by owners that are gone be due now, instead of when their leases end; returns how much that was.

    A claim of a dead process would count as a call to its remote until then. The next claim counts the crash as ever, and a
    mistake about who is gone would only fence off a result. For the poll of a worker.
    """
    with connection.cursor() as cursor:
        # reviewed SQL: with the word in it, as the index of what is claimed has it; of a bound value no database knows that it fits
        cursor.execute("SELECT DISTINCT owner FROM gateway_queueentry WHERE state = 'sending'")
        gone = [owner for (owner,) in cursor.fetchall() if is_gone(owner)]
    if not gone:
        return 0
    held = QueueEntry.objects.filter(state=EntryState.SENDING, due_at__gt=Now(), owner__in=gone)
    return held.update(due_at=Now())


# ----------------------------------------------------------------------------------------------------------------- ending
def finish(claimed: Claim, result: str = "") -> None:
    """The consumer has it. Raises Fenced when the claim was lost meanwhile."""
    with transaction.atomic(savepoint=False):
        _over(
            claimed.delivery,
            DeliveryState.DELIVERED,
            note=_end(claimed, result),
            result=result[:255],
            last_error="",
            attempts=claimed.attempts,
            claimed=claimed,
        )
        _count(claimed.delivery.kind, "delivered")


def retry(
    claimed: Claim,
    error: str,
    *,
    in_doubt: bool = False,
    after_s: float | None = None,
    charged: bool = True,
    schedule: Sequence[float] = (),
) -> bool:
    """Try again by the schedule of the delivery's kind, or bury it when the schedule is used up.

    Args:
        in_doubt: the try may have had its effect; the next one begins with a look-up.
        after_s: the other side's own wish, e.g. Retry-After; the later of both counts.
        charged: False leaves the attempt uncounted: the other side is known to be closed, the delivery is not to blame.
        schedule: minutes between tries, instead of those of the kind.

    Returns:
        False when that was the last try and the delivery is dead now.
    """
    schedule = schedule or settings.RETRY_SCHEDULE_MIN[claimed.delivery.kind]
    if charged and claimed.attempts > len(schedule):
        bury(claimed, error, doubtful=in_doubt)
        return False
    step = schedule[min(claimed.attempts, len(schedule)) - 1] * 60
    pause_s = max(step * random.uniform(0.8, 1.2), after_s or 0)  # noqa: S311  # jitter, not a secret
    with transaction.atomic(savepoint=False):
        if remote := remote_of(claimed.delivery):
            pause_s = breakers.spaced(remote, pause_s)
        _back(claimed, timedelta(seconds=pause_s), in_doubt=in_doubt, charged=charged)
        Delivery.objects.filter(pk=claimed.delivery.pk).update(last_error=error)
        outcome = "in_doubt" if in_doubt else "retry"
        events.record(f"delivery.{outcome}", delivery=claimed.delivery, **_end(claimed, error))
        _count(claimed.delivery.kind, outcome)
    return True


def again(claimed: Claim, after: timedelta, error: str = "") -> None:
    """The turn of a timer is over: its next comes ``after`` this, and nothing is counted against it.

    Args:
        error: what went wrong at this turn, for operators; empty: nothing.
    """
    with transaction.atomic(savepoint=False):
        _back(claimed, after, charged=False)
        _count(claimed.delivery.kind, "failed" if error else "again")
        Delivery.objects.filter(pk=claimed.delivery.pk).exclude(last_error=error).update(last_error=error)


def expect(claimed: Claim, within: timedelta) -> None:
    """The consumer took it and says what becomes of it in its own time: due again when that has not come by then."""
    with transaction.atomic(savepoint=False):
        _back(claimed, within, in_doubt=True)
        Delivery.objects.filter(pk=claimed.delivery.pk).update(last_error="")
        events.record("delivery.taken", delivery=claimed.delivery, **_end(claimed, ""))
        _count(claimed.delivery.kind, "taken")


def was_taken(claimed: Claim) -> bool:
    """Whether the try before this one ended with ``expect``: what was expected has not come in time."""
    ends = Event.objects.filter(delivery=claimed.delivery, name__startswith="delivery.").order_by("-pk")
    return ends.values_list("name", flat=True).first() == "delivery.taken"


def bury(claimed: Claim, error: str, *, doubtful: bool = False) -> None:
    """Give up: a dead letter that blocks its own lanes until a person acts."""
    with transaction.atomic(savepoint=False):
        _bury(claimed, error, doubtful=doubtful)


def conclude(delivery: Delivery, to: DeliveryState, detail: str) -> bool:
    """Settle a delivery that nobody is trying now, because what became of it came to be known some other way.

    Args:
        to: delivered or dead.
        detail: the consumer's own reference, or why it is given up.

    Returns:
        False when a worker holds it, which finds out by itself, or when it has ended already.
    """
    # A claim whose worker died is nobody's; one that is paused beyond its lease is fenced by the entry.
    free = QueueEntry.objects.filter(~Q(state=EntryState.SENDING) | Q(due_at__lte=Now()), pk=delivery.pk)
    try:
        with transaction.atomic():
            entry = free.select_for_update().first()
            if entry is None:
                return False
            if entry.state == EntryState.SENDING:
                events.record("delivery.crashed", delivery=delivery, token=entry.token, owner=entry.owner)
            note = {"detail": detail[:_DETAIL]}
            if to == DeliveryState.DELIVERED:
                _over(delivery, to, note=note, result=detail[:255], last_error="")
            else:
                # With another state its worker, if it was only paused, cannot end it any more.
                free.update(state=EntryState.DEAD, due_at=None, waits=False)
                states.advance(delivery, to, note=note, last_error=detail, finished_at=timezone.now())
    except (states.StaleState, states.IllegalMove):
        return False
    wake_on_commit(delivery.kind)
    return True


def revive(delivery: Delivery, *, actor: str) -> None:
    """Try a dead letter again, from a fresh count and under its old key."""
    with transaction.atomic():
        # The entry first, as everybody does who ends a delivery: two that lock in another order wait for each other.
        QueueEntry.objects.filter(pk=delivery.pk, state=EntryState.DEAD).update(
            state=EntryState.PENDING, attempts=0, crashes=0, due_at=Now(), waits=False
        )
        states.advance(delivery, DeliveryState.OPEN, actor=actor, attempts=0, finished_at=None)
        wake_on_commit(delivery.kind)


def cancel(delivery: Delivery, *, actor: str) -> None:
    """Close a delivery that is not being tried right now; younger ones of its lanes go on.

    Raises:
        StaleState: a worker has it at this moment.
    """
    free = QueueEntry.objects.filter(pk=delivery.pk).exclude(state=EntryState.SENDING)
    with transaction.atomic():
        if free.select_for_update().first() is None:
            raise states.StaleState(f"{delivery} is being tried at this moment, or is over")
        _over(delivery, DeliveryState.CANCELLED, actor=actor)


def tries(delivery: Delivery) -> list[Try]:
    """Every try of a delivery, in order, from the audit trail; the one under way, if there is one, comes last."""
    names = ["delivery.tried", *(f"delivery.{end}" for end in ENDS)]  # "tried": kept elsewhere until 0.1
    found = []
    for event in Event.objects.filter(delivery=delivery, name__in=names, data__has_key="token").order_by("pk"):
        said = event.data
        began = datetime.fromisoformat(said["began"]) if said.get("began") else None
        outcome = said.get("outcome") or event.name.removeprefix("delivery.")
        ended = None if outcome == "crashed" else event.at
        found.append(Try(said["token"], said.get("owner", ""), began, ended, outcome, said.get("detail", "")))
    entry = QueueEntry.objects.filter(pk=delivery.pk, state=EntryState.SENDING).first()
    if entry is not None:
        found.append(Try(entry.token, entry.owner, entry.claimed_at, None, "", ""))
    return found


# ------------------------------------------------------------------------------------------------------------------ inside
def _is_due() -> Q:
    return Q(due_at__lte=Now())


def _mine(claimed: Claim) -> Any:
    return QueueEntry.objects.filter(pk=claimed.delivery.pk, token=claimed.token, state=EntryState.SENDING)


def _fenced(claimed: Claim) -> Fenced:
    return Fenced(f"{claimed.delivery}: the claim with token {claimed.token} is no longer ours")


def _end(claimed: Claim, detail: str) -> dict[str, Any]:
    """What the audit trail says of the end of one try."""
    said = {"token": claimed.token, "owner": claimed.owner, "began": claimed.began.isoformat()}
    return said | ({"detail": detail[:_DETAIL]} if detail else {})


def _count(kind: str, outcome: str) -> None:
    """Count the end of a try, once it is committed."""
    transaction.on_commit(lambda: metrics.TRIES.labels(kind, outcome).inc(), robust=True)


def _back(claimed: Claim, after: timedelta, *, in_doubt: bool = False, charged: bool = True) -> None:
    """Out of our hands and into the queue again, due ``after`` now."""
    put_back = _mine(claimed).update(
        state=EntryState.IN_DOUBT if in_doubt else EntryState.PENDING,
        doubtful=Value(True) if in_doubt else F("doubtful"),
        attempts=F("attempts") - (0 if charged else 1),
        crashes=0,
        due_at=_from_now(after),
    )
    if not put_back:
        raise _fenced(claimed)
    if claimed.delivery.kind != DeliveryKind.TIMER:  # nothing waits for a timer to be out of our hands
        wake_on_commit(claimed.delivery.kind)


def _bury(claimed: Claim, error: str, *, doubtful: bool = False, reason: str = "") -> None:
    buried = _mine(claimed).update(
        state=EntryState.DEAD, due_at=None, doubtful=Value(True) if doubtful else F("doubtful")
    )
    if not buried:
        raise _fenced(claimed)
    states.advance(
        claimed.delivery,
        DeliveryState.DEAD,
        note=_end(claimed, error) | ({"reason": reason} if reason else {}),
        attempts=claimed.attempts,
        last_error=error,
        finished_at=timezone.now(),
    )
    _count(claimed.delivery.kind, "dead")
    wake_on_commit(claimed.delivery.kind)


#: The first of a lane is one look at an index, and not a count of the lane.
_WAKE: Final = """
UPDATE gateway_queueentry SET waits = {false}, due_at = {now} WHERE waits AND state <> 'dead' AND delivery_id IN (
    SELECT (SELECT min(entry_id) FROM gateway_queuelane WHERE key = freed.column1) FROM (VALUES {lanes}) freed)
"""
_WAKE_AT_ONCE: Final = 300
#: Which lanes it was in, and whether anybody stands behind it there: a look at the end of the lane. What is returned has no type
#: in SQLite, which would go through all lanes to compare it.
_LEAVE: Final = """
DELETE FROM gateway_queuelane WHERE entry_id = %s RETURNING key, entry_id < (
    SELECT max(other.entry_id) FROM gateway_queuelane other WHERE other.key = CAST(gateway_queuelane.key AS varchar))
"""
_OURS: Final = " AND token = %s AND state = 'sending'"


def _over(
    delivery: Delivery,
    to: DeliveryState,
    *,
    claimed: Claim | None = None,
    note: Mapping[str, Any] | None = None,
    actor: str = "gateway",
    **also: Any,
) -> None:
    """Take a delivery out of the queue for good, and wake what waited behind it.

    Args:
        claimed: whose claim it is; None: nobody's, and the caller has its entry locked.
    """
    with connection.cursor() as cursor:
        # reviewed SQL: one statement instead of two, for every delivery there is; values are bound
        cursor.execute(_LEAVE, [delivery.pk])
        freed = [key for key, has_more in cursor.fetchall() if has_more]
        ours, values = (_OURS, [claimed.token]) if claimed else ("", [])
        # reviewed SQL: as above
        cursor.execute(f"DELETE FROM gateway_queueentry WHERE delivery_id = %s{ours}", [delivery.pk, *values])  # noqa: S608
        if not cursor.rowcount:
            raise Fenced(f"{delivery} is somebody else's by now")
        for start in range(0, len(freed), _WAKE_AT_ONCE):  # a notice may ship for as many orders as a partner likes
            lanes = freed[start : start + _WAKE_AT_ONCE]
            # reviewed SQL: one statement for all the lanes of a usual delivery; values are bound
            cursor.execute(_WAKE.format(**_CLOCK[connection.vendor], lanes=", ".join(["(%s)"] * len(lanes))), lanes)
    states.advance(delivery, to, actor=actor, note=note, finished_at=timezone.now(), **also)
    if freed or remote_of(delivery):  # what stood behind it in a lane, or waited for one call less to its remote
        wake_on_commit(delivery.kind)


def _from_now(span: timedelta) -> ExpressionWrapper[CombinedExpression]:
    return ExpressionWrapper(Now() + Value(span), output_field=DateTimeField())
