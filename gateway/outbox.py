"""The outbox: is a delivery due, whose is it, what came of it.

The rows are the queue; a lost wake-up costs one poll interval. A claim is one short transaction that counts the attempt,
so a crash counts too. The lease runs by the database's clock; an expired one is claimable by the same query, so nobody
has to rescue anything. A finish names the token of its claim: a worker that was paused beyond its lease changes nothing.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, DateTimeField, Exists, ExpressionWrapper, F, OuterRef, Q, Value
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Now

from gateway import states
from gateway.models import (
    Attempt,
    Delivery,
    DeliveryKind,
    DeliveryLane,
    DeliveryState,
    Document,
    ErpConnection,
    Transmission,
)
from gateway.models.deliveries import OPEN_STATES

log = logging.getLogger(__name__)

#: How a try ended that was taken and whose verdict comes later.
TAKEN: Final = "taken"

#: Their consumer is a partner's server: ``settings.SENDS_AT_ONCE`` at a time for each partner, so that a server that hangs holds
#: up so many workers and not all. Workers that look at the same moment may go beyond it; that does no harm.
_TO_PARTNERS: Final = frozenset({DeliveryKind.PARTNER, DeliveryKind.RECEIPT})

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


def on_due(listener: Callable[[str], None]) -> None:
    """Call ``listener(queue)`` after each commit that made work due. Its errors are logged, never raised."""
    if listener not in _listeners:
        _listeners.append(listener)


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
        lanes: deliveries that share one are handed over one at a time, oldest first.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("enqueue inside the transaction of what is to be delivered")
    source = document or transmission
    delivery, created = Delivery.objects.get_or_create(
        key=key,
        defaults={
            "kind": kind,
            "transmission": transmission,
            "document": document,
            "connection": erp,
            "company": company,
            "partner_id": source.partner_id if source else None,
            "due_at": Now(),
        },
    )
    if created:
        DeliveryLane.objects.bulk_create(DeliveryLane(delivery=delivery, key=lane) for lane in sorted(set(lanes)))
        wake_on_commit(kind)
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
    known = set(Delivery.objects.filter(key__in=[one.key for one in work]).values_list("key", flat=True))
    fresh = [one for one in work if one.key not in known]
    if not fresh:
        return
    rows = Delivery.objects.bulk_create(
        Delivery(key=one.key, kind=kind, document=one.document, partner_id=one.document.partner_id, due_at=Now())
        for one in fresh
    )
    DeliveryLane.objects.bulk_create(
        DeliveryLane(delivery=row, key=lane)
        for row, one in zip(rows, fresh, strict=True)
        for lane in sorted(set(one.lanes))
    )
    wake_on_commit(kind)


def wake_on_commit(queue: str) -> None:
    """Ring for ``queue`` once this transaction is committed. A broker that is down must not undo what was committed."""

    def ring() -> None:
        for listener in _listeners:
            listener(queue)

    transaction.on_commit(ring, robust=True)


def claim(kind: DeliveryKind, owner: str, *, erp_ids: Iterable[int] | None = None) -> Claim | None:
    """Take the oldest due delivery of ``kind`` whose lanes are free; None when there is none.

    A delivery that crashed ``settings.POISON_AFTER`` times is buried here instead of being tried again.
    """
    while True:
        with transaction.atomic():
            delivery = _next_due(kind, erp_ids)
            if delivery is None:
                return None
            crashed = delivery.state == DeliveryState.SENDING
            if crashed and delivery.crashes + 1 >= settings.POISON_AFTER:
                states.advance(
                    delivery,
                    DeliveryState.DEAD,
                    crashes=F("crashes") + 1,
                    last_error=f"The worker died in {settings.POISON_AFTER} tries in a row; the last was try {delivery.token}.",
                    finished_at=Now(),
                    note={"reason": "poison"},
                )
                continue
            doubtful = delivery.doubtful or crashed or delivery.state == DeliveryState.IN_DOUBT
            states.advance(
                delivery,
                DeliveryState.SENDING,
                token=F("token") + 1,
                attempts=F("attempts") + 1,
                crashes=F("crashes") + (1 if crashed else 0),
                doubtful=doubtful,
                owner=owner,
                lease_until=_from_now(settings.LEASE),
            )
            Attempt.objects.create(delivery=delivery, token=delivery.token, owner=owner)
            return Claim(delivery, delivery.token, doubtful)


def hold(claimed: Claim) -> None:
    """Keep a claim, whatever becomes of its lease, until the transaction it is called in ends.

    For work whose effects are one transaction, however long that takes: its delivery's row stays locked, and a claim passes
    over locked rows. A worker that dies ends its transaction, and what it had claimed is due when the lease runs out. SQLite
    has no row locks and needs none: nobody can claim while a transaction writes.

    Raises:
        Fenced: the claim was lost already.
    """
    mine = Delivery.objects.filter(pk=claimed.delivery.pk, token=claimed.token, state=DeliveryState.SENDING)
    if not mine.select_for_update(no_key=True).values_list("pk").first():
        raise Fenced(f"{claimed.delivery}: the claim with token {claimed.token} is no longer ours")


def finish(claimed: Claim, result: str = "") -> None:
    """The consumer has it. Raises Fenced when the claim was lost meanwhile."""
    _settle(
        claimed,
        DeliveryState.DELIVERED,
        "delivered",
        result,
        result=result[:255],
        last_error="",
        doubtful=False,
        lease_until=None,
        finished_at=Now(),
    )


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
    delivery = claimed.delivery
    schedule = schedule or settings.RETRY_SCHEDULE_MIN[delivery.kind]
    if charged and delivery.attempts > len(schedule):
        bury(claimed, error, doubtful=in_doubt)
        return False
    step = schedule[min(delivery.attempts, len(schedule)) - 1] * 60
    pause_s = max(step * random.uniform(0.8, 1.2), after_s or 0)  # noqa: S311  # jitter, not a secret
    _settle(
        claimed,
        DeliveryState.IN_DOUBT if in_doubt else DeliveryState.PENDING,
        "in_doubt" if in_doubt else "retry",
        error,
        doubtful=Value(True) if in_doubt else F("doubtful"),
        attempts=F("attempts") - (0 if charged else 1),
        last_error=error,
        due_at=_from_now(timedelta(seconds=pause_s)),
        lease_until=None,
    )
    return True


def hold_back(claimed: Claim, span: timedelta) -> None:
    """Let what else is due for the same partner wait: its server did not answer, and would hang each of them as long."""
    delivery = claimed.delivery
    Delivery.objects.filter(
        kind=delivery.kind,
        partner_id=delivery.partner_id,
        state__in=[DeliveryState.PENDING, DeliveryState.IN_DOUBT],
        due_at__lte=Now(),
    ).update(due_at=_from_now(span))


def expect(claimed: Claim, within: timedelta) -> None:
    """The consumer took it and says what becomes of it in its own time: due again when that has not come by then."""
    _settle(
        claimed,
        DeliveryState.IN_DOUBT,
        TAKEN,
        "",
        doubtful=True,
        last_error="",
        due_at=_from_now(within),
        lease_until=None,
    )


def was_taken(claimed: Claim) -> bool:
    """Whether the try before this one ended with ``expect``: what was expected has not come in time."""
    return Attempt.objects.filter(delivery=claimed.delivery, token=claimed.token - 1, outcome=TAKEN).exists()


def conclude(delivery: Delivery, to: DeliveryState, detail: str) -> bool:
    """Settle a delivery that nobody is trying now, because what became of it came to be known some other way.

    Args:
        to: delivered or dead.
        detail: the consumer's own reference, or why it is given up.

    Returns:
        False when a worker holds it, which finds out by itself, or when it has ended already.
    """
    delivered = to == DeliveryState.DELIVERED
    try:
        states.advance(
            delivery,
            to,
            # A claim whose worker died is nobody's; one that is paused beyond its lease is fenced by the state.
            only_if=Q(lease_until=None) | Q(lease_until__lte=Now()),
            result=detail[:255] if delivered else "",
            last_error="" if delivered else detail,
            doubtful=Value(False) if delivered else F("doubtful"),
            lease_until=None,
            finished_at=Now(),
        )
    except (states.StaleState, states.IllegalMove):
        return False
    wake_on_commit(delivery.kind)
    return True


def bury(claimed: Claim, error: str, *, doubtful: bool = False) -> None:
    """Give up: a dead letter that blocks its own lanes until a person acts."""
    _settle(
        claimed,
        DeliveryState.DEAD,
        "dead",
        error,
        doubtful=Value(True) if doubtful else F("doubtful"),
        last_error=error,
        lease_until=None,
        finished_at=Now(),
    )


def revive(delivery: Delivery, *, actor: str) -> None:
    """Try a dead letter again, from a fresh count and under its old key."""
    states.advance(
        delivery,
        DeliveryState.PENDING,
        actor=actor,
        attempts=0,
        crashes=0,
        due_at=Now(),
        finished_at=None,
    )
    wake_on_commit(delivery.kind)


def cancel(delivery: Delivery, *, actor: str) -> None:
    """Close a delivery that is not being tried right now; younger ones of its lanes go on."""
    states.advance(delivery, DeliveryState.CANCELLED, actor=actor, finished_at=Now())
    wake_on_commit(delivery.kind)


def due_kinds() -> list[DeliveryKind]:
    """The kinds that have something due now: what a poll rings for."""
    kinds = Delivery.objects.filter(_is_due()).order_by().values_list("kind", flat=True).distinct()
    return [DeliveryKind(kind) for kind in kinds]


def _is_due() -> Q:
    waiting = Q(state__in=[DeliveryState.PENDING, DeliveryState.IN_DOUBT], due_at__lte=Now())
    return waiting | Q(state=DeliveryState.SENDING, lease_until__lte=Now())


def _next_due(kind: DeliveryKind, erp_ids: Iterable[int] | None) -> Delivery | None:
    mine = DeliveryLane.objects.filter(delivery=OuterRef(OuterRef("pk"))).values("key")
    ahead = DeliveryLane.objects.filter(
        key__in=mine, delivery_id__lt=OuterRef("pk"), delivery__kind=kind, delivery__state__in=OPEN_STATES
    )
    rows = Delivery.objects.filter(_is_due(), ~Exists(ahead), kind=kind).order_by("due_at", "pk")
    if erp_ids is not None:
        rows = rows.filter(connection_id__in=list(erp_ids))
    if kind in _TO_PARTNERS:
        sending = Delivery.objects.filter(kind=kind, state=DeliveryState.SENDING, lease_until__gt=Now())
        busy = sending.values("partner_id").annotate(sends=Count("pk")).filter(sends__gte=settings.SENDS_AT_ONCE)
        rows = rows.exclude(partner_id__in=list(busy.values_list("partner_id", flat=True)))
    if connection.features.has_select_for_update_skip_locked:
        rows = rows.select_for_update(skip_locked=True, of=("self",))
    return rows.first()


def _settle(claimed: Claim, to: DeliveryState, outcome: str, detail: str, **also: Any) -> None:
    delivery = claimed.delivery
    with transaction.atomic():
        try:
            states.advance(delivery, to, only_if=Q(token=claimed.token), **also)
        except (states.StaleState, states.IllegalMove) as lost:
            raise Fenced(f"{delivery}: the claim with token {claimed.token} is no longer ours") from lost
        Attempt.objects.filter(delivery=delivery, token=claimed.token).update(
            ended_at=Now(), outcome=outcome, detail=detail[:2000]
        )
        wake_on_commit(delivery.kind)


def _from_now(span: timedelta) -> ExpressionWrapper[CombinedExpression]:
    return ExpressionWrapper(Now() + Value(span), output_field=DateTimeField())
