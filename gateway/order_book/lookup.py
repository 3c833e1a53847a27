"""Which order a supplier means."""

from __future__ import annotations

from gateway.models import Order


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
    rows = Order.objects.select_related("connection").filter(partner_id=partner_id, number=number.strip())
    if company is not None:
        rows = rows.filter(company=company)
    found = list(rows.order_by("connection__code", "company")[:10])
    if len(found) > 1:
        raise AmbiguousOrder(number, tuple(f"{order.connection.code}/{order.company}" for order in found))
    return found[0] if found else None


def lock(order: Order) -> None:
    """Hold the order's row until the transaction ends, and read it as it stands now.

    SQLite has no row locks and needs none: it has one writer at a time, from the first statement (BEGIN IMMEDIATE).
    """
    Order.objects.select_for_update().only("pk").get(pk=order.pk)
    order.refresh_from_db()
