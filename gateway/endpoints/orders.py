"""Orders as their supplier was told them: the newest revision that left for the supplier, and every one before it.

The order book may be ahead. What can be read here is the outbound documents, each as the whole order, and the number of the
newest one is what ``ETag`` and ``If-Match`` speak of.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote, urlencode

from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.db.models.fields.json import KT
from django.utils import timezone
from rest_framework.request import Request

from edi_maps import canonical
from edi_maps.canonical import CanonicalRecord, PurchaseOrder, Purpose
from gateway import archives, order_book, paging
from gateway.endpoints.problems import Problem, error
from gateway.models import Document, Order, OrderLine, OrderState

PAGE: Final = 50
MOST_PER_PAGE: Final = 200
#: Orders may become visible a little after the moment they carry: whoever polls asks again from this long before.
_OVERLAP: Final = timedelta(minutes=1)
_ETAG: Final = re.compile(r'"po-(?P<number>[^"]+)-r(?P<revision>\d{1,9})"')
_FILTERS: Final = frozenset({"number", "state", "updated_since", "cursor", "limit"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One order and the newest revision its supplier was told."""

    order: Order
    document: Document

    @property
    def revision(self) -> int:
        return self.document.order_revision or 0

    @property
    def record(self) -> PurchaseOrder:
        record = canonical.load(order_book.as_told(self.document))
        if not isinstance(record, PurchaseOrder):
            raise TypeError(f"{self.document} is no purchase order")
        return record

    @property
    def state(self) -> str:
        if self.order.told_purpose == Purpose.CANCEL:  # type: ignore[attr-defined]  # an annotation of orders_of
            return OrderState.CANCELLED
        return OrderState.CLOSED if self.order.state == OrderState.CLOSED else OrderState.OPEN

    @property
    def etag(self) -> str:
        """Names the revision; the quantities promised and shipped move without changing it."""
        return etag(self.order.number, self.revision)


def etag(number: str, revision: int) -> str:
    """``"po-4500012345-r3"``, quotes included; what may not stand in an entity tag is percent-encoded."""
    return f'"po-{quote(number, safe="")}-r{revision}"'


def orders_of(partner_id: int) -> QuerySet[Order]:
    """The orders this partner was told of, each with ``told`` (primary key of the document) and ``told_purpose``."""
    newest = order_book.told().filter(order=OuterRef("pk"))
    return Order.objects.filter(partner_id=partner_id).annotate(
        told=Subquery(newest.values("pk")[:1]),
        told_purpose=Subquery(newest.annotate(purpose=KT("record__purpose")).values("purpose")[:1]),
    ).filter(told__isnull=False)  # fmt: skip


def with_documents(orders: Iterable[Order]) -> list[Told]:
    """Each of ``orders_of`` with its document, by one query; what the document holds is loaded when it is looked at."""
    rows = list(orders)
    documents = Document.objects.defer("record", "findings").in_bulk([told_key(row) for row in rows])
    return [Told(order=row, document=documents[told_key(row)]) for row in rows]


def told_key(order: Order) -> int:
    key: int = order.told  # type: ignore[attr-defined]  # an annotation of orders_of
    return key


def one(partner_id: int, uid: uuid.UUID) -> Told:
    """One order of this partner.

    Raises:
        Problem: there is none, or it is another partner's: the same answer (404).
    """
    found = with_documents(orders_of(partner_id).filter(uid=uid))
    if not found:
        left = archives.by_uid(Order, uid)
        if left is not None and left.partner_id == partner_id:
            raise Problem("archived", f"This order was finished and is in archive {left.pk}, of {left.month:%Y-%m}.")
        raise Problem("not-found", "You have no order under this address.")
    return found[0]


def revisions(told: Told) -> list[Document]:
    """Every revision the supplier was told, oldest first; of one sent again, the newest sending."""
    newest: dict[int, Document] = {}
    for document in order_book.told().filter(order=told.order):
        newest.setdefault(document.order_revision or 0, document)
    return [newest[number] for number in sorted(newest)]


# -- pages


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A stretch of the list, oldest change first."""

    orders: list[Told]
    next: str | None  #: query string of the next page; None: this is the last one
    poll_from: datetime  #: give this as ``updated_since`` next time; nothing is missed, some may be seen twice


def page(partner_id: int, request: Request) -> Page:
    """The page a query asks for.

    Ordered by (updated_at, id) and continued from the last pair seen, so that orders changed while somebody is turning
    pages are seen again rather than missed. An offset, or a position that two orders share, would lose some.

    Raises:
        Problem: a parameter is unknown or cannot be used (400), all of them at once.
    """
    now = timezone.now()
    query, errors = request.query_params, []
    rows, limit, cursor = orders_of(partner_id), PAGE, ""
    for name in query:
        value = query[name]
        try:
            if name == "limit":
                limit = _limit(value)
            elif name == "number":
                rows = _numbered(rows, value)
            elif name == "state":
                rows = rows.filter(_in_state(OrderState(value)))
            elif name == "updated_since":
                rows = rows.filter(updated_at__gte=_moment(value))
            elif name == "cursor":
                cursor = value
            else:
                raise ValueError(f"there is no such filter; there are {', '.join(sorted(_FILTERS))}")
        except ValueError as wrong:
            errors.append(error("unusable", f"{name}: {wrong}", parameter=name))
    try:
        found = paging.page(rows, ("updated_at", "pk"), size=limit, cursor=cursor)
    except paging.BadCursor as wrong:
        errors.append(error("unusable", f"cursor: {wrong}", parameter="cursor"))
    if errors:
        raise Problem("invalid-query", "; ".join(one["detail"] for one in errors), errors=errors)
    following = None
    if found.next:
        kept = {name: query[name] for name in query if name != "cursor"}
        following = urlencode({**kept, "cursor": found.next})
    return Page(orders=with_documents(found.rows), next=following, poll_from=now - _OVERLAP)


def _limit(value: str) -> int:
    if not (value.isascii() and value.isdigit() and 1 <= int(value[:6]) <= MOST_PER_PAGE):
        raise ValueError(f"a number from 1 to {MOST_PER_PAGE}")
    return int(value)


def _in_state(state: OrderState) -> Q:
    cancelled, closed = Q(told_purpose=Purpose.CANCEL), Q(state=OrderState.CLOSED)
    return {
        OrderState.CANCELLED: cancelled,
        OrderState.CLOSED: closed & ~cancelled,
        OrderState.OPEN: ~closed & ~cancelled,
    }[state]


def _moment(value: str) -> datetime:
    # A plus sign that was not percent-encoded arrives as a blank.
    moment = datetime.fromisoformat(value.replace(" ", "+"))
    if moment.tzinfo is None:
        raise ValueError("a moment with its zone, e.g. 2027-03-01T12:00:00Z")
    return moment


# -- what a supplier reads


def summary(told: Told) -> dict[str, Any]:
    """An order in a list."""
    order, address = told.order, f"/v1/purchase-orders/{told.order.uid}"
    return {
        "id": str(order.uid),
        "number": order.number,
        "company": order.company,
        "state": told.state,
        "revision": told.revision,
        "etag": told.etag,
        "acknowledged_revision": order.acknowledged_revision,
        "ack_due_at": order.ack_due_at.isoformat() if order.ack_due_at else None,
        "updated_at": order.updated_at.isoformat(),
        "url": address,
        "revisions_url": f"{address}/revisions",
    }


def detail(told: Told) -> dict[str, Any]:
    """An order whole: its record as it was sent, and how far each line is."""
    return {**summary(told), "order": order_book.as_told(told.document), "lines": status_of_lines(told)}


def status_of_lines(told: Told) -> list[dict[str, Any]]:
    """Ordered by the revision the supplier knows; promised, shipped and still open by the order book."""
    rows = {row.line_number: row for row in told.order.lines.all()}
    return [_line(line, rows.get(line.line_number or "")) for line in told.record.lines]


def _line(line: canonical.OrderLine, row: OrderLine | None) -> dict[str, Any]:
    ordered, shipped = line.quantity or Decimal(0), row.shipped if row else Decimal(0)
    status: dict[str, Any] = {
        "line_number": line.line_number,
        "unit": line.unit,
        "answered": bool(row and row.answered),
        "ordered": _plain(ordered),
        "promised": _plain(row.confirmed if row else Decimal(0)),
        "backordered": _plain(row.backordered if row else Decimal(0)),
        "refused": _plain(row.refused if row else Decimal(0)),
        "shipped": _plain(shipped),
        "open": _plain(max(ordered - shipped, Decimal(0))),
    }
    if row and row.promised_on:
        status["promised_on"] = row.promised_on.isoformat()
    return status


def _plain(number: Decimal) -> str:
    """Without the zeros that the database column adds, and never as an exponent."""
    return f"{number.normalize():f}"


# -- If-Match


def check_if_match(header: str, partner_id: int, record: CanonicalRecord) -> None:
    """Refuse an answer to an order that has changed since its sender read it (RFC 9110, 13.1.1).

    Every order the record answers must stand at one of the revisions the header names; ``*`` is any.

    Raises:
        Problem: one does not (412), with both revisions.
    """
    tags = [tag.strip() for tag in header.split(",")]
    for number in sorted(_numbers(record)):
        candidates = with_documents(_numbered(orders_of(partner_id), number))
        if candidates and (tags == ["*"] or any(told.etag in tags for told in candidates)):
            continue
        raise _changed(number, candidates, tags)


def _numbered(rows: QuerySet[Order], number: str) -> QuerySet[Order]:
    # No order number holds a control character, and PostgreSQL refuses to be asked for NUL.
    return rows.filter(number=number) if number.isprintable() else rows.none()


def _numbers(record: CanonicalRecord) -> set[str]:
    if isinstance(record, canonical.OrderAcknowledgment):
        return {record.order_number}
    if isinstance(record, canonical.ShipNotice):
        return {item.order_number for item in record.items if item.order_number}
    return set()


def _changed(number: str, candidates: list[Told], tags: list[str]) -> Problem:
    if not candidates:
        return Problem("po-revision-changed", f"You have no order {number}, so no revision of it can match.")
    current = candidates[0]
    meant = next(
        (int(m["revision"]) for m in map(_ETAG.fullmatch, tags) if m and m["number"] == quote(number, safe="")), None
    )
    yours = next((one for one in revisions(current) if one.order_revision == meant), None)
    said = f"If-Match names revision {meant}" if meant is not None else "If-Match names no revision of it"
    return Problem(
        "po-revision-changed",
        f"Order {number} is at revision {current.revision}; {said}.",
        headers={"ETag": current.etag},
        order=f"/v1/purchase-orders/{current.order.uid}",
        current={"revision": current.revision, "etag": current.etag, "order": order_book.as_told(current.document)},
        yours={"revision": meant, "order": order_book.as_told(yours)} if yours else None,
    )
