"""Which order a supplier means."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from edi_maps.canonical import CanonicalRecord
from gateway import statements
from gateway.models import Order
from gateway.order_book.lines import lines_of


class AmbiguousOrder(Exception):
    """Several companies have an order of this number with this partner, and the document does not say which is meant."""

    def __init__(self, number: str, companies: tuple[str, ...]) -> None:
        super().__init__(f"Order {number} exists in {len(companies)} companies: {', '.join(companies)}.")
        self.number = number
        self.companies = companies


def find(partner_id: int, number: str, *, company: str | None = None) -> Order | None:
    """The partner's order of this number, None when there is none.

    Args:
        company: narrows it down where the document says whose order it answers.

    Raises:
        AmbiguousOrder: more than one; guessing would post the answer to another plant's order.
    """
    found = _BY_NUMBER.all(partner=partner_id, number=number.strip())
    if company is not None:
        found = [order for order in found if order.company == company]
    if len(found) > 1:
        raise AmbiguousOrder(number, tuple(f"{order.connection.code}/{order.company}" for order in found))
    return found[0] if found else None


_BY_NUMBER: Final = statements.Query(
    lambda: (
        Order.objects.select_related("connection")
        .filter(partner_id=statements.Given("partner"), number=statements.Given("number"))
        .order_by("connection__code", "company")
    )
)
_HELD: Final = statements.Query(
    # Not FOR UPDATE: rows that merely refer to the order (documents, events) hold a key share on it already.
    lambda: Order.objects.select_for_update(no_key=True).filter(pk=statements.Given("pk"))
)


def named(partner_id: int, record: CanonicalRecord) -> list[Order]:
    """The orders in the book that a document names, at its head or in its parts, whatever it says of them."""
    parts = [record, *getattr(record, "lines", ()), *getattr(record, "items", ())]
    numbers = {(getattr(part, "order_number", None) or "").strip() for part in parts}
    # No order number holds a control character, and PostgreSQL refuses to be asked for NUL.
    asked = sorted(number for number in numbers if number and number.isprintable())
    return list(Order.objects.filter(partner_id=partner_id, number__in=asked).order_by("pk"))


def hold(orders: Iterable[Order]) -> None:
    """Hold the rows of these orders until the transaction ends, and read them as they stand now.

    Whoever compares before applying holds first, or a change may come in between. Taken in the order of their keys, so
    that two documents about the same orders cannot wait for each other. SQLite has no row locks and needs none: it has one
    writer at a time, from the first statement of a transaction (BEGIN IMMEDIATE).
    """
    for order in sorted(orders, key=lambda order: order.pk):
        [now] = _HELD.all(pk=order.pk)
        for field in Order._meta.concrete_fields:
            setattr(order, field.attname, getattr(now, field.attname))


def hold_with_lines(orders: Iterable[Order]) -> None:
    """As ``hold``; their lines are read once, for all that compares an answer with them and applies it."""
    held = list(orders)
    hold(held)
    for order in held:
        order.held_lines = None
        order.held_lines = lines_of(order)
        for line in order.held_lines:
            line.order = order
