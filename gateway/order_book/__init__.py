"""The order book: what was ordered, promised, shipped and is still open, revision by revision.

release          an order as the ERP has it now → the book; tells a change from an echo
compare_…        what differs between a supplier's answer and the book; reads only
apply_…          writes an answer into the book; the same document twice changes nothing
changes          what one revision changed of the one before, in words
as_ordered       an answer with the order's own line numbers, for the ERP

told             the documents that brought orders to their suppliers
as_told          the whole order as one of them left it
as_change        a new revision as the change to what the supplier knows

hold             orders that are about to be compared and written

Whoever writes holds the order's row first, so one order has one writer at a time; sums are always made anew from the rows
behind them, so they cannot drift.
"""

from gateway.order_book.addressing import as_ordered
from gateway.order_book.answers import compare_acknowledgment
from gateway.order_book.differences import Difference
from gateway.order_book.history import changes
from gateway.order_book.lookup import AmbiguousOrder, find, hold_with_lines, named
from gateway.order_book.promises import apply_acknowledgment
from gateway.order_book.releases import Released, UnusableOrder, release
from gateway.order_book.shipments import apply_ship_notice, compare_ship_notice, orders_of
from gateway.order_book.told import as_change, as_told, told

__all__ = [
    "AmbiguousOrder",
    "Difference",
    "Released",
    "UnusableOrder",
    "apply_acknowledgment",
    "apply_ship_notice",
    "as_change",
    "as_ordered",
    "as_told",
    "changes",
    "compare_acknowledgment",
    "compare_ship_notice",
    "find",
    "hold_with_lines",
    "named",
    "orders_of",
    "release",
    "told",
]
