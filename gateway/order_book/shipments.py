"""What a ship notice takes from the open quantities: compared with the orders, and written into the book."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

from django.db.models import QuerySet

from edi_maps.canonical import Purpose, ShipNotice, ShippedItem
from edi_maps.findings import Severity
from gateway import events
from gateway.models import Document, Event, Order, OrderLine, OrderState, ShippedQuantity
from gateway.order_book.differences import Difference
from gateway.order_book.lines import LineFinder, lines_of, other_item, plain, same_unit, save_lines, storable
from gateway.order_book.lookup import hold
from gateway.order_book.readings import is_stale
from partners.profiles import AckTerms

#: A notice of such a purpose takes the place of all earlier ones of its shipment number.
_SUPERSEDES: Final = frozenset({Purpose.REPLACE, Purpose.CANCEL})


def orders_of(record: ShipNotice) -> list[str]:
    """The numbers of the orders a notice ships for, in order of appearance; empty when it names none."""
    return list(dict.fromkeys(number for item in record.items if (number := (item.order_number or "").strip())))


def compare_ship_notice(record: ShipNotice, orders: Sequence[Order], terms: AckTerms) -> list[Difference]:
    """What differs between a ship notice and what is open on its orders, by the partner's quantity tolerance.

    Reads only. A notice that replaces or cancels is compared as if the earlier ones of its shipment number were gone.
    """
    found = list(_shipment_differences(record, orders))
    if record.purpose is not Purpose.CANCEL:
        found += _order_differences(record, orders)
        places = _Places(record, orders)
        found += places.differences
        found += _line_differences(record, places, terms)
    found += _package_differences(record)
    return found


def apply_ship_notice(record: ShipNotice, document: Document, orders: Sequence[Order], *, now: datetime) -> None:
    """Write a ship notice into the book, in the caller's transaction; the same document again changes nothing.

    A replacing or cancelling notice first takes back what earlier notices of this shipment number shipped, on whatever
    order. An item that names no line of an order, or counts in another unit, is not counted; the event says how many.
    """
    before = _earlier(record, document.partner_id) if record.purpose in _SUPERSEDES else ShippedQuantity.objects.none()
    taken_back = set(before.values_list("line__order", flat=True))
    hold(Order.objects.filter(pk__in=taken_back | {order.pk for order in orders}))
    if Event.objects.filter(name="order.shipped", document=document).exists():
        return
    touched = set(OrderLine.objects.filter(shipments__in=before))
    before.update(active=False)
    uncounted = 0
    if record.purpose is not Purpose.CANCEL:
        places = _Places(record, orders)
        uncounted = len(record.items) - len(places.counted)
        ShippedQuantity.objects.bulk_create(
            ShippedQuantity(
                line=line,
                document=document,
                position=position,
                shipment_number=record.shipment_number[:64],
                quantity=quantity,
            )
            for position, (line, quantity) in places.counted.items()
        )
        touched |= {line for line, _ in places.counted.values()}
    recompute_shipped(touched)
    for order in Order.objects.filter(pk__in={line.order_id for line in touched} | {order.pk for order in orders}):
        order.save(update_fields=["updated_at"])
        events.record(
            "order.shipped",
            order=order,
            document=document,
            at=now,
            shipment=record.shipment_number[:64],
            purpose=record.purpose,
            lines=sum(line.order_id == order.pk for line in touched),
            uncounted=uncounted,
        )


def recompute_shipped(lines: Iterable[OrderLine]) -> None:
    """Make the sums of these lines anew from their active rows."""
    lines = list(lines)
    shipped = _sums(ShippedQuantity.objects.filter(line__order__in={line.order_id for line in lines}, active=True))
    for line in lines:
        line.shipped = shipped.get(line.pk, Decimal(0))
    save_lines(lines, ["shipped"])


def _sums(rows: QuerySet[ShippedQuantity]) -> dict[int, Decimal]:
    """Line → quantity. Not in SQL: SQLite adds up floats."""
    sums: dict[int, Decimal] = {}
    for line, quantity in rows.values_list("line", "quantity"):
        sums[line] = sums.get(line, Decimal(0)) + quantity
    return sums


def sscc_is_valid(sscc: str) -> bool:
    """Whether the last of the 18 digits is their check digit.

    Source: GS1 General Specifications, 7.9.1: weights 3 and 1 in turn over the 17 digits, modulo 10.

    >>> sscc_is_valid("106141411234567897")
    True
    """
    if len(sscc) != 18 or not (sscc.isascii() and sscc.isdigit()):
        return False
    total = sum(int(digit) * (3 if index % 2 == 0 else 1) for index, digit in enumerate(sscc[:17]))
    return (10 - total % 10) % 10 == int(sscc[17])


class _Places:
    """Where each item of a notice belongs."""

    def __init__(self, record: ShipNotice, orders: Sequence[Order]) -> None:
        self.differences: list[Difference] = []
        #: position of the item, from 1 → its line and quantity
        self.counted: dict[int, tuple[OrderLine, Decimal]] = {}
        by_number = {order.number: order for order in orders}
        finders = {order.number: LineFinder(lines_of(order)) for order in orders}
        for position, item in enumerate(record.items, start=1):
            number = (item.order_number or "").strip()
            if number not in by_number:
                continue  # said once for the order, not for each of its items
            line = finders[number].find(item.order_line, item.product_ids)
            wrong = _item_difference(by_number[number], line, item)
            if wrong is not None:
                self.differences.append(wrong)
            quantity = storable(item.quantity)
            if line is not None and quantity is not None and quantity > 0 and same_unit(item.unit, line.unit):
                self.counted[position] = line, quantity


def _item_difference(order: Order, line: OrderLine | None, item: ShippedItem) -> Difference | None:
    """What is wrong with one item by itself."""
    name = item.order_line or ", ".join(f"{one.kind} {one.value}" for one in item.product_ids) or "without a name"
    if line is None:
        return Difference(
            order=order.number,
            line=item.order_line,
            field="line",
            answered=name,
            text=f"Order {order.number} has no line {name}.",
        )
    where = f"Order {order.number}, line {line.line_number}"
    if line.deleted:
        return Difference(
            order=order.number,
            line=line.line_number,
            field="line",
            ordered="deleted",
            answered=plain(item.quantity),
            text=f"{where} was deleted and is shipped all the same.",
        )
    if not same_unit(item.unit, line.unit):
        return Difference(
            order=order.number,
            line=line.line_number,
            field="unit",
            ordered=line.unit,
            answered=item.unit,
            text=f"{where} was ordered in {line.unit} and is shipped in {item.unit}.",
        )
    quantity = storable(item.quantity)
    if quantity is None or quantity < 0:
        return Difference(
            order=order.number,
            line=line.line_number,
            field="quantity",
            ordered=plain(line.ordered),
            answered=plain(item.quantity),
            text=f"{where} is shipped with {plain(item.quantity) or 'no quantity'}, which is not a quantity.",
        )
    if other_item(line, item.product_ids):
        ours = ", ".join(f"{entry['kind']} {entry['value']}" for entry in line.product_ids)
        theirs = ", ".join(f"{one.kind} {one.value}" for one in item.product_ids)
        return Difference(
            order=order.number,
            line=line.line_number,
            field="item",
            ordered=ours,
            answered=theirs,
            text=f"{where} was ordered as {ours} and is shipped as {theirs}.",
        )
    return None


def _order_differences(record: ShipNotice, orders: Sequence[Order]) -> Iterator[Difference]:
    known = {order.number: order for order in orders}
    if not record.items:
        yield Difference(field="shipment", text=f"Shipment {record.shipment_number} has no items.")
    nameless = sum(not (item.order_number or "").strip() for item in record.items)
    if nameless:
        yield Difference(field="order", text=f"{nameless} of {len(record.items)} items name no order.")
    for number in orders_of(record):
        order = known.get(number)
        if order is None:
            yield Difference(
                order=number, field="order", answered=number, text=f"Order {number} is not known for this supplier."
            )
        elif order.state != OrderState.OPEN:
            yield Difference(
                order=number,
                field="order",
                ordered=order.state,
                text=f"Order {number} is {order.state} and is shipped.",
            )
    revisions = dict.fromkeys((item.order_number, item.order_revision) for item in record.items)
    for named, revision in revisions:
        order = known.get((named or "").strip())
        if order is not None and is_stale(order, revision):
            yield Difference(
                order=order.number,
                field="revision",
                ordered=str(order.revision),
                answered=str(revision),
                text=f"Order {order.number} is shipped by revision {revision}; it stands at revision {order.revision}.",
                severity=Severity.WARNING,
            )


def _shipment_differences(record: ShipNotice, orders: Sequence[Order]) -> Iterator[Difference]:
    if not orders:
        return
    earlier = _earlier(record, orders[0].partner_id)
    if record.purpose in _SUPERSEDES:
        if not earlier.exists():
            yield Difference(
                field="shipment",
                answered=record.shipment_number,
                text=f"There is no shipment {record.shipment_number} to {record.purpose.value}.",
            )
        return
    mine = {line.pk for line, _ in _Places(record, orders).counted.values()}
    again = earlier.filter(line__in=mine).select_related("line").order_by("line_id").first()
    if again is not None:
        yield Difference(
            field="shipment",
            line=again.line.line_number,
            answered=record.shipment_number,
            text=f"Shipment {record.shipment_number} was announced before, with line {again.line.line_number} in it. A "
            "correction has to come as a replacement.",
        )


def _line_differences(record: ShipNotice, places: _Places, terms: AckTerms) -> Iterator[Difference]:
    shipping: dict[int, Decimal] = {}
    lines: dict[int, OrderLine] = {}
    for line, quantity in places.counted.values():
        lines[line.pk] = line
        shipping[line.pk] = shipping.get(line.pk, Decimal(0)) + quantity
    taken_back: dict[int, Decimal] = {}
    if record.purpose in _SUPERSEDES and lines:
        taken_back = _sums(_earlier(record, next(iter(lines.values())).order.partner_id))
    for pk, line in lines.items():
        shipped = line.shipped - taken_back.get(pk, Decimal(0))
        still_open = max(line.ordered - shipped, Decimal(0))
        if not line.deleted and shipped + shipping[pk] > line.ordered * (1 + terms.quantity_tolerance):
            yield Difference(
                order=line.order.number,
                line=line.line_number,
                field="quantity",
                ordered=plain(still_open),
                answered=plain(shipping[pk]),
                text=f"Order {line.order.number}, line {line.line_number}: {plain(shipping[pk])} {line.unit} shipped, "
                f"{plain(still_open)} of {plain(line.ordered)} are open.",
            )


def _package_differences(record: ShipNotice) -> Iterator[Difference]:
    for package in record.packages:
        if package.sscc is not None and not sscc_is_valid(package.sscc):
            yield Difference(
                field="package",
                answered=package.sscc,
                text=f"Package {package.id}: {package.sscc} is not a valid SSCC, its check digit is wrong.",
                severity=Severity.WARNING,
            )
    for sscc, count in Counter(package.sscc for package in record.packages if package.sscc).items():
        if count > 1:
            yield Difference(
                field="package",
                answered=sscc,
                text=f"{count} packages bear the same SSCC {sscc}.",
                severity=Severity.WARNING,
            )


def _earlier(record: ShipNotice, partner_id: int) -> QuerySet[ShippedQuantity]:
    """What stands in the book of this shipment number."""
    return ShippedQuantity.objects.filter(
        shipment_number=record.shipment_number[:64], line__order__partner_id=partner_id, active=True
    )
