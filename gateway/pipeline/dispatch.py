"""Dispatch: a document that leaves for a partner gets its wire bytes, its control numbers and its delivery in one commit."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from datetime import datetime

from edi_maps import canonical, x12
from edi_maps.canonical import CanonicalRecord, PurchaseOrder
from gateway import events, exception_queue, order_book, outbox, states
from gateway.models import (
    Blob,
    DeliveryKind,
    Document,
    DocumentState,
    Interchange,
    Order,
    Transmission,
    TransmissionState,
)
from partners import control_numbers
from partners.profiles import Agreement, Channel, Direction, Profile


def order(profile: Profile, agreement: Agreement, record: PurchaseOrder, document: Document, *, now: datetime) -> None:
    """Send an order to its supplier by the way both agreed on.

    On AS2 it is written and delivered: as an 850, or, of an order the supplier knows, as an 860 where that is agreed. Where
    the supplier fetches its orders it is there from this commit on.
    """
    # Suppliers ask for what changed since they last asked, and this may have been held by a person for days.
    Order.objects.filter(documents=document).update(updated_at=now)
    if agreement.channel is not Channel.AS2:
        states.advance(document, DocumentState.RELAYED)
        events.record("order.offered", document=document, channel=agreement.channel)
        return
    change = order_book.as_change(document, record) if _takes_changes(profile) else None
    lane = f"partner:order:{document.order_id}"
    _write(profile, change or record, document, lane, now=now)


def document(profile: Profile, record: CanonicalRecord, document: Document, *, now: datetime) -> None:
    """Send a document that is no order to its supplier as X12."""
    _write(profile, record, document, f"partner:{document.type}:{profile.id}:{document.number}", now=now)


def _write(profile: Profile, record: CanonicalRecord, document: Document, lane: str, *, now: datetime) -> None:
    """Write a record and queue it for its partner; what cannot be written waits for a person."""
    try:
        envelope = envelope_for(profile, now=now)
        data = x12.write(record, envelope)
    except ValueError as refused:
        # It cannot be said in X12 on this partner's terms: a person changes one or the other.
        hold_unwritable(document, str(refused))
        return
    document.code, document.version = x12.set_of(record.type) or "", profile.x12.version
    if record.type != document.type:  # of a whole order, what changed in it
        document.type, document.record = record.type, canonical.dump(record)
    send_x12(
        profile,
        data,
        envelope,
        documents=[document],
        key=f"partner:{document.uid}",
        lanes=[lane],
        correlation_id=document.correlation_id,
    )


def _takes_changes(profile: Profile) -> bool:
    agreement = profile.agreement("purchase_order_change", Direction.OUTBOUND)
    return agreement is not None and agreement.format == "x12"


def functional_acknowledgment(
    profile: Profile, make: Callable[[x12.Envelope], bytes | None], *, answered: Transmission, key: str, now: datetime
) -> None:
    """Send the 997 or 999 (and TA1 where due) that ``make`` writes into the envelope it is given; None sends nothing."""
    if profile.as2 is None or profile.as2.url is None:
        return
    try:
        envelope = envelope_for(profile, now=now)
        data = make(envelope)
        if data is None:
            return
        x12.read_back(data)
    except ValueError as refused:
        _unanswerable(profile, answered, str(refused))
        return
    code, version = _acknowledgment_in(data)
    document = Document(
        direction=Direction.OUTBOUND,
        channel=Channel.AS2,
        partner_id=profile.id,
        type="functional_acknowledgment",
        format="x12",
        code=code,
        version=version,
        correlation_id=answered.correlation_id,
    )
    send_x12(profile, data, envelope, documents=[document], key=key, lanes=[], correlation_id=answered.correlation_id)


def _acknowledgment_in(data: bytes) -> tuple[str, str]:
    """The transaction set and version of an acknowledgment of ours: 997, 999, or TA1 where there is nothing but that."""
    for interchange in x12.scan(data):
        for group in interchange.groups:
            for one in group.sets:
                return one.code, group.version
    return "TA1", ""


def send_x12(
    profile: Profile,
    data: bytes,
    envelope: x12.Envelope,
    *,
    documents: Iterable[Document],
    key: str,
    lanes: Iterable[str],
    correlation_id: uuid.UUID,
) -> Transmission:
    """Keep the interchange that is to go out, and its delivery."""
    transmission = Transmission.objects.create(
        direction=Direction.OUTBOUND,
        channel=Channel.AS2,
        partner_id=profile.id,
        format="x12",
        state=TransmissionState.PREPARED,
        content_type="application/edi-x12",
        file_name=f"{envelope.interchange_number:09d}.edi",
        correlation_id=correlation_id,
        raw=(blob := Blob.put(data)),
        payload=blob,
    )
    interchange = Interchange.objects.create(
        transmission=transmission,
        partner_id=profile.id,
        direction=Direction.OUTBOUND,
        sender=f"{envelope.sender_qualifier}:{envelope.sender_id}",
        receiver=f"{envelope.receiver_qualifier}:{envelope.receiver_id}",
        control_number=f"{envelope.interchange_number:09d}",
        usage=envelope.usage,
    )
    for position, document in enumerate(documents):
        document.transmission, document.interchange = transmission, interchange
        document.group_code = x12.group_of(document.code) or ""
        document.group_control = str(envelope.group_number)
        document.set_control = f"{envelope.set_number + position:04d}"
        if document._state.adding:
            states.begin(document, DocumentState.TRANSLATED)
            continue
        document.save(
            update_fields=[
                "type", "record", "transmission", "interchange", "code", "version", "group_code", "group_control",
                "set_control",
            ]
        )  # fmt: skip
    events.record("transmission.prepared", transmission=transmission, document=document, document_seal=document.seal())
    outbox.enqueue(DeliveryKind.PARTNER, key, transmission=transmission, document=document, lanes=lanes)
    return transmission


def envelope_for(profile: Profile, *, now: datetime) -> x12.Envelope:
    """The next envelope to this partner: its terms and fresh control numbers. Inside the transaction of what is sent."""
    terms = profile.x12
    return x12.Envelope(
        sender_qualifier=terms.our_qualifier,
        sender_id=terms.our_id,
        sender_group_id=terms.our_group_id,
        receiver_qualifier=terms.their_qualifier,
        receiver_id=terms.their_id,
        receiver_group_id=terms.their_group_id,
        interchange_number=control_numbers.allocate(profile.id, "interchange"),
        group_number=control_numbers.allocate(profile.id, "group"),
        version=terms.version,
        version_suffix=terms.version_suffix,
        usage=terms.usage,
        delimiters=x12.Delimiters(
            element=terms.element,
            segment=terms.segment,
            component=terms.component,
            repetition=terms.repetition if terms.version >= "004020" else None,
        ),
        newline_after_segment=terms.newline_after_segment,
        at=now,
    )


def _unanswerable(profile: Profile, answered: Transmission, why: str) -> None:
    """What came in counts, whatever becomes of our answer to it."""
    exception_queue.open_case(
        "acknowledgment_unwritable",
        summary=f"No functional acknowledgment can be written for {profile.code}: {why}",
        fingerprint=f"acknowledgment_unwritable:{profile.id}",
        detail={"why": why},
        partner_id=profile.id,
        transmission=answered,
    )


def hold_unwritable(document: Document, why: str) -> None:
    """A record that cannot be written for its partner waits for a person."""
    states.advance(document, DocumentState.HELD)
    exception_queue.open_case(
        "document_unwritable",
        summary=f"{document.type} {document.number} cannot be written for the supplier",
        fingerprint=f"document_unwritable:{document.uid}",
        detail={"why": why},
        document=document,
        order=document.order,
        partner_id=document.partner_id,
    )
