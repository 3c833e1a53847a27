"""Forward: a document that the order book does not judge goes to the ERP as it was said, once.

An invoice, what a supplier has in stock, what a warehouse received: its worth is the ERP's to judge. Here is only decided which
ERP it is for and whose it is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from edi_maps.canonical import CanonicalRecord
from gateway import archives, exception_queue, order_book, outbox, states
from gateway.models import DeliveryKind, Document, DocumentState, ErpConnection, Order
from partners.profiles import Profile


def forward(document: Document, record: CanonicalRecord, profile: Profile) -> None:
    """Queue a translated document for the ERP it is for, in the caller's transaction.

    What says nothing new is discarded; where nobody can tell the ERP it waits for a person.
    """
    if _repeats_an_earlier(document):
        states.advance(document, DocumentState.DISCARDED, note={"reason": "says what an earlier one said"})
        return
    orders = order_book.named(profile.id, record)
    if len(orders) == 1:
        document.order = orders[0]
        document.save(update_fields=["order"])
    connection = _erp_of(profile.id, orders)
    if connection is None:
        _hold(document, profile)
        return
    lane = f"erp:{document.type}:{document.partner_id}:{document.number}"
    to_erp(document, connection, _company_of(profile.id, orders), lanes=[lane])


def to_erp(document: Document, connection: ErpConnection, company: str, *, lanes: Iterable[str]) -> None:
    """Queue a document for one ERP, under the key it keeps there."""
    outbox.enqueue(
        DeliveryKind.ERP,
        f"{connection.code}:{company}:{document.type}:{document.number[:60]}:{document.uid}",
        document=document,
        erp=connection,
        company=company,
        lanes=lanes,
    )


def _repeats_an_earlier(document: Document) -> bool:
    """True when the partner's newest document of this number says the very same: a business duplicate."""
    earlier = Document.objects.filter(
        partner_id=document.partner_id,
        direction=document.direction,
        type=document.type,
        number=document.number,
        pk__lt=document.pk,
        state__in=[DocumentState.TRANSLATED, DocumentState.HELD, DocumentState.RELAYED],
    )
    newest = earlier.order_by("-pk").first()
    if newest is not None:
        return bool(newest.record == document.record)
    archived = archives.under(archives.document_key(document.partner_id, document.type, document.number))
    return archived is not None and archives.says_the_same(archived, document.record)


def _erp_of(partner_id: int, orders: Sequence[Order]) -> ErpConnection | None:
    """The ERP of the orders that are named; else that of all orders with this partner; else the only one there is."""
    all_of_them = ErpConnection.objects.order_by("pk")
    for likely in (
        all_of_them.filter(orders__in=orders),
        all_of_them.filter(orders__partner_id=partner_id),
        all_of_them.filter(active=True),
    ):
        found = list(likely.distinct()[:2])
        if found:
            return found[0] if len(found) == 1 else None
    return None


def _company_of(partner_id: int, orders: Sequence[Order]) -> str:
    """Whose it is in the ERP: as far as the orders that are named, or all orders with this partner, agree on it; else ''."""
    companies = {order.company for order in orders} or set(
        Order.objects.filter(partner_id=partner_id).order_by().values_list("company", flat=True).distinct()[:2]
    )
    return companies.pop() if len(companies) == 1 else ""


def _hold(document: Document, profile: Profile) -> None:
    states.advance(document, DocumentState.HELD, note={"reason": "erp_unknown"})
    exception_queue.open_case(
        "erp_unknown",
        summary=f"{profile.code}, {document.type.replace('_', ' ')} {document.number}: which ERP is it for?",
        fingerprint=f"erp_unknown:{document.uid}",
        document=document,
    )
