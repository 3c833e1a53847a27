"""Apply: a supplier's answer meets the order it answers.

It is compared first. What the partner's tolerances allow goes into the order book and on to the ERP; what they do not waits
for a person with both sides shown. An answer that came before its order is parked, with a deadline. What is no answer to an order
is forwarded as it is.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from django.conf import settings
from django.db import transaction

from edi_maps import canonical
from edi_maps.canonical import OrderAcknowledgment, ShipNotice
from edi_maps.findings import Severity
from gateway import archives, exception_queue, order_book, outbox, statements, states
from gateway.models import DeliveryKind, Document, DocumentState, Order, OrderRevision
from gateway.pipeline import forward
from gateway.pipeline.judge import apply_lanes
from partners import directory
from partners.profiles import Profile


def run(claim: outbox.Claim, *, now: datetime) -> None:
    """Handle one claimed delivery of kind ``apply``.

    Raises:
        outbox.Fenced: the claim was lost; nothing was written.
    """
    document = claim.delivery.document
    if document is None:
        raise ValueError(f"{claim.delivery} names no document")
    with transaction.atomic():
        outbox.hold(claim)
        if document.state in {DocumentState.TRANSLATED, DocumentState.PARKED}:
            apply(document, now=now)
        # Any other state: a person or an earlier try has decided already, and there is nothing left to do here.
        outbox.finish(claim)


def apply(document: Document, *, now: datetime) -> None:
    """Compare, then apply, hold or park; in the caller's transaction."""
    record = canonical.load(document.record)
    profile = directory.profile(document.partner_id)
    if not is_answer(record):
        forward.forward(document, record, profile)
        return
    try:
        orders = _orders(profile.id, record)
    except order_book.AmbiguousOrder as ambiguous:
        _hold(document, "order_ambiguous", str(ambiguous), {"why": str(ambiguous)})
        return
    if orders is None:
        if archive := _archive_of(profile.id, record):
            summary = f"{profile.code}, {document.type.replace('_', ' ')} {document.number}: its order is in {archive}"
            _hold(document, "order_unknown", summary, {"why": f"{summary}. Restore it and replay, or discard."})
            return
        _park(document, now=now)
        return
    if document.state == DocumentState.PARKED:
        states.advance(document, DocumentState.TRANSLATED, parked_until=None)
    # From here to the commit the ERP cannot change what is compared.
    order_book.hold_with_lines(orders)
    document.order = orders[0]
    if _repeats_the_last(document, orders):
        note = {"reason": "says what the last one said"}
        states.advance(document, DocumentState.DISCARDED, note=note, order=document.order)
        return
    if not document.approved_by:
        reason, differences = compare(record, orders, profile)
        if differences:
            held = [found for found in differences if found.severity is Severity.ERROR]
            if held:
                _hold(document, reason, _summary(document, profile, held), _both_sides(document, differences))
                return
    carry_out(document, record, orders, now=now)


def is_answer(record: canonical.CanonicalRecord) -> bool:
    """Whether the order book judges a document."""
    return isinstance(record, OrderAcknowledgment | ShipNotice)


def compare(
    record: canonical.CanonicalRecord, orders: Sequence[Order], profile: Profile
) -> tuple[str, list[order_book.Difference]]:
    """What differs between an answer and its orders, and the reason a case about it would have."""
    if isinstance(record, OrderAcknowledgment):
        differences = order_book.compare_acknowledgment(orders[0], record, profile.ack)
        stale = any(found.field == "revision" for found in differences)
        return ("acknowledgment_stale" if stale else "acknowledgment_differs"), differences
    if isinstance(record, ShipNotice):
        return "ship_notice_differs", order_book.compare_ship_notice(record, orders, profile.ack)
    raise ValueError(f"a {record.type} is not an answer to an order")


def carry_out(document: Document, record: canonical.CanonicalRecord, orders: Sequence[Order], *, now: datetime) -> None:
    """Write the answer into the order book and queue it for the ERP, in the caller's transaction."""
    if isinstance(record, OrderAcknowledgment):
        order_book.apply_acknowledgment(orders[0], record, document, now=now)
        if orders[0].acknowledged_revision == orders[0].revision:
            exception_queue.settle(f"ack_late:{orders[0].pk}", note=f"Answered by {document}.", now=now)
    elif isinstance(record, ShipNotice):
        order_book.apply_ship_notice(record, document, orders, now=now)
    states.advance(document, DocumentState.APPLIED, order=orders[0])
    relayed_to = {(order.connection_id, order.company): order for order in orders}
    for order in relayed_to.values():
        mine = [one for one in orders if (one.connection_id, one.company) == (order.connection_id, order.company)]
        forward.to_erp(document, order.connection, order.company, lanes=[f"erp:order:{one.pk}" for one in mine])


def orders_of(document: Document) -> list[Order] | None:
    """The orders a document answers, None when one of them is not known."""
    return _orders(document.partner_id, canonical.load(document.record))


def wake_parked(order: Order) -> None:
    """Queue what waited for this order, in the transaction that makes the order."""
    lane = f"apply:{order.partner_id}:{order.number[:100]}"
    parked = Document.objects.filter(partner_id=order.partner_id, state=DocumentState.PARKED).order_by("pk")
    for document in parked:
        record = canonical.load(document.record)
        lanes = apply_lanes(document, record)
        if lane in lanes:
            outbox.enqueue(DeliveryKind.APPLY, f"apply:{document.uid}:order:{order.pk}", document=document, lanes=lanes)


def wake_overlooked() -> int:
    """Queue parked documents whose orders are known by now; returns how many.

    An answer may be parked in the very moment its order is made: neither transaction sees the other, and nobody wakes it.
    """
    parked = Document.objects.filter(state=DocumentState.PARKED)
    until = time.monotonic() + _LOOKING_S
    ready = []
    # What is overlooked was parked a moment ago. One at a time: a supplier says how large they are.
    for pk in parked.order_by("-pk").values_list("pk", flat=True)[:_PARKED_AT_ONCE]:
        if time.monotonic() > until:
            break
        document = parked.filter(pk=pk).first()
        if document is None:
            continue
        try:
            if orders_of(document) is not None:
                ready.append(pk)
        except order_book.AmbiguousOrder:
            ready.append(pk)  # applying it makes the case
    for document in (Document.objects.get(pk=pk) for pk in sorted(ready)):  # in the order they came
        lanes = apply_lanes(document, canonical.load(document.record))
        with transaction.atomic():
            outbox.enqueue(DeliveryKind.APPLY, f"apply:{document.uid}:overlooked", document=document, lanes=lanes)
    return len(ready)


#: Parked documents looked at in one sweep, the newest first, and for how long: a sweep is shorter than the lease of its timer.
_PARKED_AT_ONCE: Final = 1000
_LOOKING_S: Final = 10.0


def _orders(partner_id: int, record: canonical.CanonicalRecord) -> list[Order] | None:
    numbers = order_book.orders_of(record) if isinstance(record, ShipNotice) else [getattr(record, "order_number", "")]
    orders = [_find(partner_id, number, record) for number in numbers]
    known = [order for order in orders if order is not None]
    return known if known and len(known) == len(orders) else None


def _archive_of(partner_id: int, record: canonical.CanonicalRecord) -> str:
    """The archive of an order that a document answers and that has left the tables, in words; empty when there is none."""
    numbers = order_book.orders_of(record) if isinstance(record, ShipNotice) else [getattr(record, "order_number", "")]
    for number in numbers:
        if (gone := archives.under(archives.order_key(partner_id, number))) is not None:
            return f"archive {gone.archive_id}"
    return ""


def _find(partner_id: int, number: str, record: canonical.CanonicalRecord) -> Order | None:
    """The order of this number; of several companies' the one whose code the document's own parties name."""
    try:
        return order_book.find(partner_id, number)
    except order_book.AmbiguousOrder as several:
        named = {party.id for party in record.parties if party.role in {"buyer", "ship_to", "bill_to"}}
        companies = named & {company.rpartition("/")[2] for company in several.companies}
        if len(companies) != 1:
            raise
        return order_book.find(partner_id, number, company=companies.pop())


def _repeats_the_last(document: Document, orders: Sequence[Order]) -> bool:
    """True when the newest document about these orders as they stand says the very same: a business duplicate.

    What was said before the newest revision does not count: saying it again is the answer to that revision.
    """
    said = [
        last
        for order in orders
        if (last := _LAST.first(order=order.pk, type=document.type, number=document.number, pk=document.pk)) is not None
    ]
    last = max(said, key=lambda one: one.pk, default=None)
    if last is None or last.record != document.record:
        return False
    return not OrderRevision.objects.filter(order__in=orders, released_at__gt=last.at).exists()


_LAST: Final = statements.Query(
    lambda: (
        Document.objects.filter(
            order_id=statements.Given("order"),
            type=statements.Given("type"),
            number=statements.Given("number"),
            state__in=[DocumentState.HELD, DocumentState.APPLIED, DocumentState.RELAYED],
        )
        .exclude(pk=statements.Given("pk"))
        .order_by("-pk")[:1]
    )
)


def _park(document: Document, *, now: datetime) -> None:
    if document.state != DocumentState.PARKED:
        states.advance(document, DocumentState.PARKED, parked_until=now + settings.PARK_FOR)


def _hold(document: Document, reason: str, summary: str, detail: dict[str, object]) -> None:
    states.advance(document, DocumentState.HELD, note={"reason": reason}, order=document.order)
    exception_queue.open_case(
        reason,
        summary=summary[:255],
        fingerprint=f"{reason}:{document.uid}",
        detail=detail,
        partner_id=document.partner_id,
        order=document.order,
        document=document,
        transmission=document.transmission,
    )


def _summary(document: Document, profile: Profile, held: Sequence[order_book.Difference]) -> str:
    more = f" (and {len(held) - 1} more)" if len(held) > 1 else ""
    return f"{profile.code}, {document.type.replace('_', ' ')} {document.number}: {held[0].text}{more}"


def _both_sides(document: Document, differences: Sequence[order_book.Difference]) -> dict[str, object]:
    return {"lines": [found.as_dict() for found in differences], "findings": document.findings}
