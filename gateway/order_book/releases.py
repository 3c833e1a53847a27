"""What the ERP says about an order comes into the book, and an echo of our own answers is told from a change."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from django.db import IntegrityError, transaction
from django.db import connection as database

from edi_maps import canonical
from edi_maps.canonical import PurchaseOrder
from gateway import events, states
from gateway.models import ErpConnection, Order, OrderLine, OrderRevision, OrderState
from gateway.order_book import days
from gateway.order_book.content import fingerprint
from gateway.order_book.lines import line_key, plain, save_lines, storable
from gateway.order_book.lookup import hold

Change = Literal["released", "changed", "cancelled", "unchanged", "stale"]


class UnusableOrder(ValueError):
    """The ERP's order cannot be kept as it is; the words say what to mend there. Nothing was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    order: Order
    #: released: new · changed, cancelled: the supplier must be told · unchanged: a repeat, an echo, or an order that was
    #: cancelled before the supplier ever heard of it · stale: older than what we have
    change: Change
    revision_row: OrderRevision | None  #: of the revision given; None when it is stale and was never kept
    after_shipment: bool = False  #: the supplier has announced goods of this order already


@dataclass(frozen=True, slots=True, kw_only=True)
class _Version:
    """An order as it is to stand, checked."""

    revision: int
    record: PurchaseOrder
    lines: list[OrderLine]  #: not saved yet
    fingerprint: str
    cancelled: bool
    erp_key: str
    ack_due_at: datetime | None
    now: datetime


def release(
    *,
    connection: ErpConnection,
    company: str,
    number: str,
    erp_key: str,
    revision: int,
    cancelled: bool,
    record: PurchaseOrder,
    partner_id: int,
    ack_due_at: datetime | None,
    now: datetime,
) -> Released:
    """Create an order or bring it to ``revision``, in the caller's transaction.

    The same (order, revision) again changes nothing. A newer revision that differs in nothing the buyer owns is kept and is
    no change: ERPs count their own bookings of our answers as revisions. The supplier of an order is fixed when it is new.

    Args:
        record: the whole order as it stands now; its lines need numbers and quantities.
        ack_due_at: when the supplier's answer to this revision is late; None: no answer is expected.

    Raises:
        UnusableOrder: a line without number or quantity, a number twice, a value beyond what can be kept, or another
            content under a revision we hold.
        TransactionManagementError: called outside a transaction.
    """
    if not database.in_atomic_block:
        raise transaction.TransactionManagementError("release inside the transaction that sends the order on")
    version = _Version(
        revision=revision,
        record=record,
        lines=_lines(record, number=number, company=company),
        fingerprint=fingerprint(record, cancelled=cancelled),
        cancelled=cancelled,
        erp_key=erp_key,
        ack_due_at=ack_due_at,
        now=now,
    )
    known = Order.objects.filter(connection=connection, company=company, number=number)
    order = known.first()
    if order is None:
        try:
            with transaction.atomic():
                return _first(
                    Order(connection=connection, company=company, number=number, partner_id=partner_id), version
                )
        except IntegrityError:
            # Of two workers with the same new order one commits; the other finds it here. Other errors go on.
            order = known.first()
            if order is None:
                raise
    hold([order])
    return _next(order, version)


def _first(order: Order, version: _Version) -> Released:
    order.revision, order.erp_key = version.revision, version.erp_key
    order.currency = (version.record.currency or "")[:3]
    order.released_at, order.ack_due_at = version.now, version.ack_due_at
    order.save(force_insert=True)
    row = _keep(order, version)
    _write_lines(order, version.lines)
    noted = {"seal": order.seal(), **_noted(row)}
    events.record("order.released", order=order, at=version.now, **noted, lines=len(version.lines))
    if not version.cancelled:
        return Released(order=order, change="released", revision_row=row)
    states.advance(order, OrderState.CANCELLED, ack_due_at=None)
    return Released(order=order, change="unchanged", revision_row=row)


def _next(order: Order, version: _Version) -> Released:
    shipped = order.lines.filter(shipped__gt=0).exists()
    if version.revision < order.revision:
        old = order.revisions.filter(number=version.revision).first()
        return Released(order=order, change="stale", revision_row=old, after_shipment=shipped)
    current = order.revisions.get(number=order.revision)
    if version.revision == order.revision:
        if version.fingerprint != current.fingerprint:
            raise UnusableOrder(
                f"The ERP changed order {order.number} without a new revision: {version.revision} came again with other "
                "content. Have it released under a new revision."
            )
        return Released(order=order, change="unchanged", revision_row=current, after_shipment=shipped)
    row = _keep(order, version)
    order.revision, order.erp_key = version.revision, version.erp_key
    if version.fingerprint == current.fingerprint and order.acknowledged_revision == current.number:
        order.acknowledged_revision = version.revision  # what the supplier answered is what stands now
    order.save(update_fields=["revision", "erp_key", "acknowledged_revision", "updated_at"])
    if version.fingerprint == current.fingerprint:
        events.record("order.unchanged", order=order, at=version.now, **_noted(row))
        return Released(order=order, change="unchanged", revision_row=row, after_shipment=shipped)
    if version.cancelled:
        if order.state != OrderState.CANCELLED:
            states.advance(order, OrderState.CANCELLED, ack_due_at=None, note=_noted(row))
        else:  # another revision of an order that stays cancelled
            events.record("order.cancelled", order=order, at=version.now, **_noted(row))
        return Released(order=order, change="cancelled", revision_row=row, after_shipment=shipped)
    if order.state != OrderState.OPEN:  # who changes it expects something of it
        states.advance(order, OrderState.OPEN, note={"revision": version.revision})
    order.currency, order.ack_due_at = (version.record.currency or "")[:3], version.ack_due_at
    order.save(update_fields=["currency", "ack_due_at", "updated_at"])
    _write_lines(order, version.lines)
    events.record("order.changed", order=order, at=version.now, **_noted(row), lines=len(version.lines))
    return Released(order=order, change="changed", revision_row=row, after_shipment=shipped)


def _keep(order: Order, version: _Version) -> OrderRevision:
    return OrderRevision.objects.create(
        order=order,
        number=version.revision,
        record=canonical.dump(version.record),
        fingerprint=version.fingerprint,
        released_at=version.now,
    )


def _noted(row: OrderRevision) -> dict[str, Any]:
    """What the event of a revision says of it."""
    return {"revision": row.number, "revision_seal": row.seal()}


def _lines(record: PurchaseOrder, *, number: str, company: str) -> list[OrderLine]:
    """The lines as rows, not saved yet."""
    if not number.strip() or len(number) > 64 or len(company) > 32:
        raise UnusableOrder(
            f"Order {number[:80]!r} of company {company[:40]!r}: a number has 1 to 64 characters, a company 32."
        )
    rows: dict[str, OrderLine] = {}
    for position, line in enumerate(record.lines, start=1):
        row = _line(line, record, f"Order {number}, line {line.line_number or position}")
        key = line_key(row.line_number)
        if key in rows:
            raise UnusableOrder(
                f"Order {number} has two lines {row.line_number}; suppliers could not say which one they answer."
            )
        rows[key] = row
    return list(rows.values())


def _line(line: canonical.OrderLine, record: PurchaseOrder, where: str) -> OrderLine:
    if not line.line_number or not line.line_number.strip() or len(line.line_number) > 20:
        raise UnusableOrder(f"{where}: a line number has 1 to 20 characters.")
    ordered, price = storable(line.quantity), storable(line.unit_price)
    if ordered is None or ordered < 0:
        raise UnusableOrder(f"{where}: {plain(line.quantity) or 'no quantity'} is not a quantity that can be ordered.")
    if price is None and line.unit_price is not None:
        raise UnusableOrder(f"{where}: {plain(line.unit_price)} is not a price that can be kept.")
    due = days.required(line, record)
    return OrderLine(
        line_number=line.line_number.strip(),
        description=(line.description or "")[:255],
        product_ids=[product.model_dump() for product in line.product_ids],
        unit=(line.unit or "")[:10],
        ordered=ordered,
        unit_price=price,
        requested_on=due[0].on if due else None,
    )


#: What a new revision says about a line; everything else on the row is the supplier's.
_ORDERED_FIELDS: Final = (
    "line_number",
    "description",
    "product_ids",
    "unit",
    "ordered",
    "unit_price",
    "requested_on",
    "deleted",
)


def _write_lines(order: Order, lines: list[OrderLine]) -> None:
    known = {line_key(row.line_number): row for row in order.lines.all()}
    added, kept = [], []
    for line in lines:
        row = known.pop(line_key(line.line_number), None)
        if row is None:
            line.order = order
            added.append(line)
            continue
        for name in _ORDERED_FIELDS:
            setattr(row, name, getattr(line, name))
        kept.append(row)
    OrderLine.objects.bulk_create(added)
    save_lines(kept, _ORDERED_FIELDS)
    order.lines.filter(pk__in=[row.pk for row in known.values()]).update(deleted=True)
