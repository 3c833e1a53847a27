"""What the supplier of an order was told of it: the documents that left, each whole or as a change to the one before.

The order book may be ahead: a change that a person still holds is not the supplier's business yet, and revisions that only
echo the supplier's own answers were never sent.
"""

from __future__ import annotations

from typing import Any, Final

from django.db.models import QuerySet

from edi_maps import canonical
from edi_maps.canonical import PurchaseOrder, PurchaseOrderChange, Purpose
from edi_maps.findings import Verdict
from gateway.models import DeliveryState, Document, DocumentState, OrderRevision
from gateway.order_book.amendments import amendment
from gateway.order_book.lines import line_key
from partners.profiles import Direction

_TYPES: Final = ("purchase_order", "purchase_order_change")
_UNTOLD: Final = (DocumentState.HELD, DocumentState.DISCARDED, DocumentState.REJECTED, DocumentState.REPLAYED)


def told() -> QuerySet[Document]:
    """What left for suppliers about their orders, newest revision first."""
    return (
        Document.objects.filter(direction=Direction.OUTBOUND, type__in=_TYPES, order_revision__isnull=False)
        .exclude(state__in=_UNTOLD)
        .order_by("-order_revision", "-pk")
    )


def as_told(document: Document) -> dict[str, Any]:
    """The whole order, JSON-ready, as it stands since this document of ``told``."""
    record: dict[str, Any] = document.record
    if document.type != "purchase_order_change":
        return record
    purpose = Purpose.CANCEL if record["purpose"] == Purpose.CANCEL else Purpose.REPLACE
    whole = OrderRevision.objects.get(order=document.order_id, number=document.order_revision or 0).record
    return {**whole, "revision": document.order_revision, "purpose": purpose, "ordered_on": record["ordered_on"]}


def _is_known(document: Document) -> bool:
    """Whether the supplier has read this, or will have read it before whatever leaves next."""
    on_its_way = document.deliveries.exclude(state=DeliveryState.CANCELLED)
    arrives = document.state == DocumentState.RELAYED or on_its_way.exists()
    return arrives and document.acknowledged != Verdict.REJECTED


def as_change(document: Document, record: PurchaseOrder) -> PurchaseOrderChange | None:
    """The order that ``document`` is to bring to its supplier, as the change to what the supplier knows of it.

    Returns:
        None when there is nothing it could be the change of: the supplier knows no earlier revision, does not get or could
        not read the last one, or was told last that the order is cancelled.
    """
    order = document.order
    last = told().filter(order=order, order_revision__lt=document.order_revision).first()
    if order is None or last is None or not _is_known(last):
        return None
    known = canonical.load(as_told(last))
    if not isinstance(known, PurchaseOrder) or known.purpose is Purpose.CANCEL:
        return None
    return amendment(
        known,
        record,
        shipped={line_key(line.line_number): line.shipped for line in order.lines.all()},
        changed_on=order.revisions.get(number=document.order_revision or 0).released_at.date(),
    )
