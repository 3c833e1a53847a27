"""One order: what was ordered, promised, shipped and is open, and everything that happened to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.text import Truncator
from django.views.decorators.http import require_POST, require_safe

from edi_maps import canonical
from edi_maps.canonical import PurchaseOrder
from gateway import archives, order_book, paging
from gateway.console.access import row_of, show, staff, staff_page
from gateway.console.inspection import visible
from gateway.events import EVENTS, UNREAD
from gateway.models import Delivery, Document, Event, Order, OrderLine, OrderRevision, OrderState, Transmission
from gateway.order_book.lines import plain
from gateway.pipeline import closing
from partners.profiles import Direction

_MAX_EVENTS: Final = 400
_MAX_REVISIONS: Final = 20
_BAR: Final = 120  #: width of a line's bar, in units of its SVG
#: Steps of the machinery that say nothing to a buyer, unless asked for.
_TECHNICAL: Final = frozenset(
    {
        "delivery.pending",
        "delivery.retry",
        "delivery.sending",
        "delivery.taken",
        "delivery.delivered",
        "transmission.answered",
        "document.translated",
        "payload.viewed",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One event in the picture."""

    event: Event
    title: str
    lane: str
    gap: str  #: since the event before, in words; '' when it is short
    facts: str
    links: list[tuple[str, str]]  #: words, address


@dataclass(frozen=True, slots=True, kw_only=True)
class LineRow:
    """A line with its numbers as they are written."""

    line: OrderLine
    state: str
    ordered: str
    confirmed: str
    backordered: str
    refused: str
    shipped: str
    open: str
    price: str
    promised_price: str  #: '' when it is the one ordered
    confirmed_width: int  #: of its bar, in units of its SVG
    shipped_width: int


@require_safe
@staff_page("gateway.view_order")
def page(request: HttpRequest, pk: int) -> HttpResponse:
    order = row_of(Order.objects.select_related("partner", "connection"), pk)
    everything = request.GET.get("all") == "1"
    try:
        found = _events(order, everything=everything, cursor=request.GET.get("before", ""))
    except paging.BadCursor:
        messages.warning(request, "The address names no part of this timeline; this is the newest.")
        found = _events(order, everything=everything)
    return show(
        request,
        "console/order.html",
        title=f"Order {order.number}",
        order=order,
        lines=[_row(line) for line in order.lines.order_by("pk")],
        revisions=list(_revisions(order)),
        documents=order.documents.order_by("-pk")[:50],
        cases=order.cases.order_by("state", "-pk")[:20],
        moments=list(_moments(found.rows[::-1])),
        older=found.next,
        paged="before" in request.GET,
        archives=archives.about_order(order.pk),
        everything=everything,
        late=_late(order),
        answered=_answered(order),
        may_close=staff(request).has_perm("gateway.change_order"),
        bar=_BAR,
    )


@require_POST
@staff_page("gateway.change_order")
def close(request: HttpRequest, pk: int) -> HttpResponse:
    """Nothing more is expected of an order."""
    return _moved(request, pk, OrderState.CLOSED, "It is closed. A shipment that still comes is a case for a person.")


@require_POST
@staff_page("gateway.change_order")
def open_again(request: HttpRequest, pk: int) -> HttpResponse:
    """The undo of ``close``."""
    return _moved(request, pk, OrderState.OPEN, "It is open again: what is open on its lines is expected.")


def _moved(request: HttpRequest, pk: int, to: OrderState, words: str) -> HttpResponse:
    order = row_of(Order.objects.all(), pk)
    if closing.by_hand(order, to, actor=staff(request).get_username(), now=timezone.now()):
        messages.success(request, words)
    else:
        messages.warning(request, f"Nothing was changed: the order is {order.state} by now.")
    return HttpResponseRedirect(reverse("console:order", args=[order.pk]))


def _revisions(order: Order) -> Iterator[tuple[OrderRevision, list[str]]]:
    """The newest revisions, newest first, each with what it changed of the one before."""
    rows = list(order.revisions.order_by("-number")[: _MAX_REVISIONS + 1])
    records = [canonical.load(row.record) for row in rows]
    for index, row in enumerate(rows[:_MAX_REVISIONS]):
        new, old = records[index], records[index + 1] if index + 1 < len(records) else None
        if isinstance(new, PurchaseOrder) and isinstance(old, PurchaseOrder):
            yield row, list(order_book.changes(old, new)) or ["Nothing the supplier needs to know."]
        else:
            yield row, []


def _late(order: Order) -> bool:
    due_at = order.ack_due_at if order.state == OrderState.OPEN else None
    return due_at is not None and due_at < timezone.now() and not _answered(order)


def _answered(order: Order) -> bool:
    return order.acknowledged_revision is not None and order.acknowledged_revision >= order.revision


def _row(line: OrderLine) -> LineRow:
    return LineRow(
        line=line,
        state=_state(line),
        ordered=plain(line.ordered),
        confirmed=plain(line.confirmed) if line.answered else "–",
        backordered=plain(line.backordered) if line.backordered else "",
        refused=plain(line.refused) if line.refused else "",
        shipped=plain(line.shipped),
        open=plain(line.open),
        price=_price(line.unit_price),
        promised_price="" if line.promised_price == line.unit_price else _price(line.promised_price),
        confirmed_width=_width(line.confirmed, line.ordered),
        shipped_width=_width(line.shipped, line.ordered),
    )


def _width(quantity: Decimal, ordered: Decimal) -> int:
    return int(min(quantity / ordered, Decimal(1)) * _BAR) if ordered else 0


def _price(price: Decimal | None) -> str:
    """With cents, and with as many more decimals as it has."""
    if price is None:
        return ""
    whole, _, decimals = plain(price).partition(".")
    return f"{whole}.{decimals.ljust(2, '0')}"


def _state(line: OrderLine) -> str:
    if line.deleted:
        return "deleted"
    if line.ordered and not line.open:
        return "shipped"
    if not line.answered:
        return "unanswered"
    if line.refused:
        return "refused"
    return "backordered" if line.backordered else "confirmed"


def _events(order: Order, *, everything: bool, cursor: str = "") -> paging.Page[Event]:
    """What happened to an order, newest first, from ``cursor`` on.

    A message knows its order only once it has been read, so its own events are found by way of its documents.
    """
    documents = list(Document.objects.filter(order=order).values_list("pk", flat=True))
    transmissions = list(Transmission.objects.filter(documents__in=documents).values_list("pk", flat=True))
    deliveries = list(
        Delivery.objects.filter(Q(document__in=documents) | Q(transmission__in=transmissions)).values_list(
            "pk", flat=True
        )
    )
    rows = Event.objects.filter(
        Q(order=order) | Q(document__in=documents) | Q(transmission__in=transmissions) | Q(delivery__in=deliveries)
    )
    if not everything:
        rows = rows.exclude(name__in=_TECHNICAL)
    rows = rows.select_related("document", "transmission", "case", "delivery")
    return paging.page(rows, ("-id",), size=_MAX_EVENTS, cursor=cursor)


def _moments(events: Iterable[Event]) -> Iterator[Moment]:
    before: datetime | None = None
    for event in events:
        title, lane = _told(event)
        yield Moment(
            event=event,
            title=title,
            lane=lane,
            gap=_span(event.at - before) if before else "",
            facts=facts_of(event),
            links=list(_links(event)),
        )
        before = event.at


def _told(event: Event) -> tuple[str, str]:
    """Title and lane. Where a document arrived depends on which way it went."""
    if (
        event.name == "document.relayed"
        and event.document is not None
        and event.document.direction == Direction.INBOUND
    ):
        return "Arrived in the ERP", "erp"
    kind = EVENTS.get(event.name)
    return (kind.title, kind.lane) if kind else (event.name, "gateway")


def facts_of(event: Event) -> str:
    """What an event says beside its title, short enough to be read in passing."""
    return ", ".join(_fact(name, value) for name, value in event.data.items() if value and name not in UNREAD)


def _fact(name: str, value: object) -> str:
    text = ", ".join(str(one) for one in value) if isinstance(value, list) else str(value)
    return f"{name.replace('_', ' ')} {visible(Truncator(text).chars(24))}"


def _links(event: Event) -> Iterator[tuple[str, str]]:
    if event.document is not None:
        words = event.document.code or event.document.type.replace("_", " ") or "document"
        yield words, reverse("console:document", args=[event.document.pk])
    elif event.transmission is not None:
        yield "message", reverse("admin:gateway_transmission_change", args=[event.transmission.pk])
    if event.case is not None:
        yield "case", reverse("console:case", args=[event.case.pk])


def _span(gap: timedelta) -> str:
    """``2 h 5 min``; '' for less than a minute."""
    minutes = int(gap.total_seconds() // 60)
    if minutes < 1:
        return ""
    days, rest = divmod(minutes, 24 * 60)
    hours, minutes = divmod(rest, 60)
    parts = [
        f"{days} d" if days else "",
        f"{hours} h" if hours else "",
        f"{minutes} min" if minutes and not days else "",
    ]
    return " ".join(part for part in parts if part)
