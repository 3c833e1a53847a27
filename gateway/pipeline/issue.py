"""Issue: what an ERP releases for a supplier beside orders, a schedule or a receiving advice, leaves by agreement, once."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Final

from edi_maps import canonical
from edi_maps.canonical import PurchaseOrder, PurchaseOrderChange
from gateway import archives, exception_queue, order_book, states
from gateway.erp.port import ErpDocument, Permanent
from gateway.models import Document, DocumentState, ErpConnection
from gateway.pipeline import dispatch
from partners.profiles import Agreement, Direction, PartnerState, Profile

#: Makes one document of one revision in one ERP, however often it is named. Never to be changed.
_NAMESPACE: Final = uuid.UUID("6f1c2b8e-5d0a-4a53-9e1f-8f2f4f1c7a10")


def take_in(connection: ErpConnection, found: ErpDocument, profile: Profile, *, now: datetime) -> Document | None:
    """Send a document as it stands in the ERP on to its supplier, in the caller's transaction.

    Returns:
        None when this revision was taken in already.

    Raises:
        Permanent: it is an order; those have a book of their own.
    """
    record = found.record
    if isinstance(record, PurchaseOrder | PurchaseOrderChange):
        raise Permanent(f"{found.document_key} is an order and was released as a document.")
    uid = uuid.uuid5(_NAMESPACE, f"{connection.pk}:{found.document_key}:{found.revision}")
    if Document.objects.filter(uid=uid).exists() or archives.by_uid(Document, uid):
        return None
    orders = order_book.named(profile.id, record)
    document = Document.objects.create(
        uid=uid,
        direction=Direction.OUTBOUND,
        channel="",
        partner_id=profile.id,
        order=orders[0] if len(orders) == 1 else None,
        type=record.type,
        format="",
        number=record.business_number[:64],
        record=canonical.dump(record),
    )
    states.advance(document, DocumentState.TRANSLATED)
    agreement = agreed(profile, record.type)
    if agreement is None:
        _hold(document, profile)
    else:
        document.channel, document.format = agreement.channel, agreement.format
        document.save(update_fields=["channel", "format"])
        dispatch.document(profile, record, document, now=now)
    return document


def agreed(profile: Profile, document_type: str) -> Agreement | None:
    """The agreement by which a document that is no order may leave now. Only orders can be fetched, so it goes as X12."""
    agreement = profile.agreement(document_type, Direction.OUTBOUND)
    if agreement is None or agreement.format != "x12" or profile.state is PartnerState.SUSPENDED:
        return None
    return agreement


def _hold(document: Document, profile: Profile) -> None:
    states.advance(document, DocumentState.HELD, note={"reason": "no_agreement"})
    what = f"{document.type.replace('_', ' ')} {document.number}"
    exception_queue.open_case(
        "no_agreement",
        summary=f"{what} cannot leave: {profile.code} is suspended or takes none as X12",
        fingerprint=f"no_agreement:{document.uid}",
        document=document,
    )
