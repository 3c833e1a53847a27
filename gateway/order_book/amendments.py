"""One revision of an order as the change it makes of another: the lines that differ, each as it stands from now on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Final

from edi_maps.canonical import ChangeLine, LineAction, OrderLine, PurchaseOrder, PurchaseOrderChange, Purpose
from gateway.order_book.content import owned
from gateway.order_book.lines import line_key, plain


def amendment(
    before: PurchaseOrder, after: PurchaseOrder, *, shipped: Mapping[str, Decimal], changed_on: date
) -> PurchaseOrderChange:
    """The change that makes ``before`` what ``after`` says; a cancellation needs no lines.

    What stands in the header is said as it is now, changed or not. The change is called by the revision it makes.

    Args:
        before: the order as the supplier knows it.
        after: the order as it would be sent, with its revision and its purpose.
        shipped: the quantity shipped of each line, by ``line_key``.
        changed_on: the day of the newer revision.
    """
    cancelled = after.purpose is Purpose.CANCEL
    return PurchaseOrderChange(
        **dict(after)
        | {
            "type": "purchase_order_change",
            "purpose": Purpose.CANCEL if cancelled else Purpose.CHANGE,
            "change_sequence": str(after.revision),
            "changed_on": changed_on,
            "lines": () if cancelled else tuple(_lines(before, after, shipped)),
            "totals": None,  # they count the lines of the whole order
            "extra": {address: value for address, value in after.extra.items() if not address.startswith("lines/")},
        }
    )


def changed_lines(before: PurchaseOrder, after: PurchaseOrder) -> set[str]:
    """The lines that differ, by ``line_key``."""
    return {line_key(line.line_number or "") for line in _lines(before, after, {})}


def _lines(before: PurchaseOrder, after: PurchaseOrder, shipped: Mapping[str, Decimal]) -> Iterator[ChangeLine]:
    former = {line_key(line.line_number or ""): line for line in before.lines}
    for line in after.lines:
        key = line_key(line.line_number or "")
        old = former.pop(key, None)
        action = LineAction.ADD if old is None else _action(owned(old, before), owned(line, after), line, old)
        if action is not LineAction.NONE:
            left = max((line.quantity or Decimal(0)) - shipped.get(key, Decimal(0)), Decimal(0))
            yield ChangeLine(**dict(line), action=action, quantity_left=Decimal(plain(left)))
    for line in former.values():
        yield ChangeLine(
            action=LineAction.DELETE, quantity=Decimal(0), quantity_left=Decimal(0), **line.model_dump(include=_NAMES)
        )


#: What names a line that is taken off the order.
_NAMES: Final = {"line_number", "unit", "product_ids", "description"}


def _action(was: dict[str, Any], now: dict[str, Any], line: OrderLine, old: OrderLine) -> LineAction:
    """What became of a line, as exactly as one word can say it. NONE: nothing the supplier must know."""
    differs = {name for name in now if was[name] != now[name]}
    if "quantity" in differs and _same_day(was["due"], now["due"]):
        differs.discard("due")  # the one day wanted is the same, and merely more or less is wanted on it
    match sorted(differs):
        case []:
            return LineAction.NONE
        case ["quantity"]:
            more = (line.quantity or Decimal(0)) > (old.quantity or Decimal(0))
            return LineAction.INCREASE_QUANTITY if more else LineAction.DECREASE_QUANTITY
        case ["price"]:
            return LineAction.CHANGE_PRICE
        case ["price", "quantity"]:
            return LineAction.CHANGE_PRICE_AND_QUANTITY
        case ["due"]:
            one_day = max(len(was["due"]), len(now["due"])) == 1
            return LineAction.CHANGE_DATE if one_day else LineAction.RESCHEDULE
    return LineAction.CHANGE


def _same_day(was: list[Any], now: list[Any]) -> bool:
    return len(was) == len(now) == 1 and (was[0][0], was[0][2]) == (now[0][0], now[0][2])
