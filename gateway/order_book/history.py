"""What a revision changed, in words."""

from __future__ import annotations

from collections.abc import Iterator

from edi_maps.canonical import OrderLine, PurchaseOrder
from gateway.order_book import days
from gateway.order_book.lines import line_key, plain


def changes(before: PurchaseOrder, after: PurchaseOrder) -> Iterator[str]:
    """What differs between two revisions of one order, line by line, e.g. ``Line 10: quantity 100 → 120``."""
    if before.currency != after.currency:
        yield f"Currency {before.currency or 'none'} → {after.currency or 'none'}"
    if _ship_to(before) != _ship_to(after):
        yield f"Ship to {_ship_to(before) or 'nowhere'} → {_ship_to(after) or 'nowhere'}"
    former = {line_key(line.line_number or ""): line for line in before.lines}
    for line in after.lines:
        old = former.pop(line_key(line.line_number or ""), None)
        if old is None:
            yield f"Line {line.line_number}: new, {plain(line.quantity)} {line.unit or ''}".rstrip()
            continue
        for what, was, now in zip(_WHAT, _said(old, before), _said(line, after), strict=True):
            if was != now:
                yield f"Line {line.line_number}: {what} {was or 'none'} → {now or 'none'}"
    for line in former.values():
        yield f"Line {line.line_number}: deleted"


_WHAT = ("quantity", "unit", "price", "wanted for", "item")


def _said(line: OrderLine, order: PurchaseOrder) -> tuple[str, ...]:
    """What of a line is compared, in the order of ``_WHAT``."""
    due = days.required(line, order)
    if len(due) > 1:
        wanted = ", ".join(f"{plain(one.quantity)} on {one.on}" for one in due)
    else:
        wanted = ", ".join(str(one.on) for one in due)
    return (
        plain(line.quantity),
        line.unit or "",
        plain(line.unit_price),
        wanted,
        ", ".join(sorted(f"{product.kind} {product.value}" for product in line.product_ids)),
    )


def _ship_to(order: PurchaseOrder) -> str:
    return ", ".join(party.name or party.id or "" for party in order.parties if party.role == "ship_to")
