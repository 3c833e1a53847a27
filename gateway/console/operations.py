"""Operations: how the work stands at this moment, on one page: queues, dead letters, systems outside, loops, the seal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.contrib import messages
from django.db import connection
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from gateway import breakers, heartbeats, vitals
from gateway.console.access import show, staff, staff_page
from gateway.models import CaseState, Checkpoint, DeliveryKind, EntryState, ErpConnection, ExceptionCase, QueueEntry
from gateway.vitals import BreakerStanding, BreakerState
from partners.models import TradingPartner

#: Dead letters shown; the exception queue has all of them.
_MOST_DEAD: Final = 50
#: Work that has been due for longer is late.
_LATE_S: Final = 60
#: A seal that lags further behind is late.
_SEAL_LATE_S: Final = 300
_SYSTEM: Final = {"erp": "ERP", "as2": "AS2 server of", "receipt": "receipts to"}


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRow:
    name: str
    waiting: int
    sending: int
    in_doubt: int
    dead: int
    due_for: str  #: how long its oldest due work has been due, in words
    oldest: str
    late: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    entry: QueueEntry
    case: ExceptionCase | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerRow:
    standing: BreakerStanding
    system: str
    closed: bool
    since: str


@require_safe
@staff_page("gateway.view_queueentry")
def page(request: HttpRequest) -> HttpResponse:
    beats = heartbeats.all_beats()
    seal = vitals.seal()
    return show(
        request,
        "console/operations.html",
        title="Operations",
        queues=[_queue_row(one) for one in vitals.queues()],
        dead=_dead_letters(),
        timers=QueueEntry.objects.filter(kind=DeliveryKind.TIMER).select_related("delivery").order_by("delivery__key"),
        breakers=_breakers(),
        may_try=staff(request).has_perm("gateway.change_breaker"),
        beats=[(one, _words(one.age_s), _words(one.every_s)) for one in beats],
        no_worker=not any(one.loop == "worker" and not one.silent for one in beats),
        seal=seal,
        seal_age=_words(seal.oldest_s),
        seal_late=seal.oldest_s > _SEAL_LATE_S,
        checkpoint=Checkpoint.objects.order_by("-pk").first(),
        release=heartbeats.release(),
        versions=sorted({one.version for one in beats if one.version}),
        database=connection.vendor,
        now=timezone.now(),
    )


@require_POST
@staff_page("gateway.change_breaker")
def try_now(request: HttpRequest) -> HttpResponse:
    """End the pause of a system outside: its next delivery goes out at once, as a probe."""
    remote = request.POST.get("remote", "")
    if remote in {one.remote for one in vitals.breakers() if one.state is not BreakerState.CLOSED}:
        breakers.probe_now(remote, actor=staff(request).get_username())
        messages.success(request, f"{_systems([remote])[remote]} is tried with the next delivery that waits for it.")
    else:
        messages.warning(request, "Nothing to try: it is being called as usual, or is not known.")
    return HttpResponseRedirect(reverse("console:operations"))


def _queue_row(queue: vitals.Queue) -> QueueRow:
    return QueueRow(
        name=queue.kind,
        waiting=queue.entries.get(EntryState.PENDING, 0),
        sending=queue.entries.get(EntryState.SENDING, 0),
        in_doubt=queue.entries.get(EntryState.IN_DOUBT, 0),
        dead=queue.entries.get(EntryState.DEAD, 0),
        due_for=_words(queue.overdue_s),
        oldest=_words(queue.oldest_s),
        late=queue.overdue_s > _LATE_S,
    )


def _dead_letters() -> list[DeadLetter]:
    rows = QueueEntry.objects.filter(state=EntryState.DEAD).order_by("-pk")
    entries = list(
        rows.select_related("delivery__partner", "delivery__document", "delivery__transmission")[:_MOST_DEAD]
    )
    cases = {
        case.delivery_id: case
        for case in ExceptionCase.objects.filter(
            state=CaseState.OPEN, delivery__in=[entry.pk for entry in entries]
        ).order_by("pk")
    }
    return [DeadLetter(entry=entry, case=cases.get(entry.pk)) for entry in entries]


def _breakers() -> list[BreakerRow]:
    """Those that are not closed first."""
    found = sorted(vitals.breakers(), key=lambda one: (one.state is BreakerState.CLOSED, one.remote))
    systems = _systems(one.remote for one in found)
    return [
        BreakerRow(
            standing=one,
            system=systems[one.remote],
            closed=one.state is BreakerState.CLOSED,
            since=_words(one.not_closed_s),
        )
        for one in found
    ]


def _systems(remotes: Iterable[str]) -> Mapping[str, str]:
    """By remote, what staff call it."""
    parts = {remote: remote.partition(":") for remote in remotes}
    keys = {int(key) for _, _, key in parts.values() if key.isascii() and key.isdigit()}
    partners = dict(TradingPartner.objects.filter(pk__in=keys).values_list("pk", "code"))
    erps = dict(ErpConnection.objects.filter(pk__in=keys).values_list("pk", "code"))
    named = {}
    for remote, (kind, _, key) in parts.items():
        codes = erps if kind == "erp" else partners
        code = codes.get(int(key)) if key.isascii() and key.isdigit() else None
        named[remote] = f"{_SYSTEM[kind]} {code}" if kind in _SYSTEM and code else remote
    return named


def _words(seconds: float) -> str:
    """A span for a person, its two largest units; empty: none."""
    span = timedelta(seconds=round(seconds))
    hours, minutes, rest = span.seconds // 3600, span.seconds // 60 % 60, span.seconds % 60
    units = [(span.days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    return " ".join([f"{count} {unit}" for count, unit in units if count][:2])
