"""Decide: what a person chose about an exception case, carried out and recorded in one transaction.

accept    the document goes on as it is, differences and all
replay    the stored bytes are read anew, with the maps and terms of today
discard   the document ends here
retry     a dead letter is tried again under its old key
close     nothing to do any more; says why in the note
"""

from __future__ import annotations

import io
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial, wraps
from typing import Any, Concatenate, ParamSpec

from django.db import transaction
from django.utils import timezone

from edi_maps import canonical, formats, x12
from edi_maps.findings import Finding, Verdict
from gateway import events, exception_queue, order_book, outbox, states
from gateway.erp.port import ErpDocument, ErpError, ErpOrder
from gateway.models import (
    CaseState,
    Delivery,
    DeliveryKind,
    DeliveryState,
    Document,
    DocumentState,
    ErpConnection,
    ExceptionCase,
    Transmission,
    TransmissionState,
)
from gateway.pipeline import advise, apply, dispatch, issue, release
from gateway.pipeline.judge import Reading, judge
from partners import directory
from partners.profiles import Channel, Direction, Profile


class NotPossible(Exception):
    """The choice does not fit the case as it stands now; the words are for the screen."""


_P = ParamSpec("_P")

#: What an ERP released, loaded again.
_Released = tuple[ErpConnection, ErpOrder | ErpDocument]


def _one_transaction(
    choice: Callable[Concatenate[ExceptionCase, _P], None],
) -> Callable[Concatenate[ExceptionCase, _P], None]:
    """Run a choice in one transaction on the case as it stands; of two people one wins, the other is told."""

    @wraps(choice)
    def decided(case: ExceptionCase, /, *args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            with transaction.atomic():
                case.refresh_from_db()
                if case.state != CaseState.OPEN:
                    raise NotPossible("This case was resolved meanwhile; look at its history.")
                choice(case, *args, **kwargs)
        except (states.StaleState, states.IllegalMove) as moved:
            raise NotPossible(f"Something moved while you were deciding ({moved}). Look again.") from moved

    return decided


@_one_transaction
def accept(case: ExceptionCase, *, actor: str, note: str = "") -> None:
    """Let the held document go on with its differences: into the order book and to the ERP, or out to the supplier."""
    document = _held(case)
    record = canonical.load(document.record)
    document.approved_by = actor
    document.save(update_fields=["approved_by"])
    if document.direction == Direction.OUTBOUND:
        _send_held(document, record, actor)
    else:
        orders = apply.orders_of(document)
        if orders is None:
            raise NotPossible("Its order is not in the order book: it can be replayed when the order is there.")
        order_book.hold_with_lines(orders)
        states.advance(document, DocumentState.TRANSLATED, actor=actor)
        apply.carry_out(document, record, orders, now=timezone.now())
    exception_queue.resolve(case, exception_queue.Resolution.ACCEPTED, actor=actor, note=note)


def replay(case: ExceptionCase, *, actor: str, note: str = "") -> None:
    """Read the stored bytes, or what the ERP released, again, with the maps and the partner's terms as they are now."""
    # The network is asked before the transaction, never inside.
    found = _load_again(case) if case.detail.keys() & {"order_key", "document_key"} else None
    _replay(case, found, actor=actor, note=note)


@_one_transaction
def _replay(case: ExceptionCase, found: _Released | None, *, actor: str, note: str) -> None:
    if found is not None:
        connection, released = found
        if isinstance(released, ErpOrder):
            release.take_in(connection, released, now=timezone.now())
        else:
            release.take_in_document(connection, released, now=timezone.now())
    elif case.document is not None:
        _replay_document(case.document, actor)
    elif case.transmission is not None:
        _replay_transmission(case.transmission, actor)
    else:
        raise NotPossible("This case names nothing that could be read again.")
    exception_queue.resolve(case, exception_queue.Resolution.REPLAYED, actor=actor, note=note)


@_one_transaction
def discard(case: ExceptionCase, *, actor: str, note: str = "") -> None:
    """End the document here: nothing of it reaches the order book, the ERP or the supplier. Its bytes are kept.

    A supplier with whom application advices are agreed on is told so, and why.
    """
    if case.document is not None and case.document.state != DocumentState.DISCARDED:
        unfinished = [DeliveryState.OPEN, DeliveryState.DEAD]
        for delivery in case.document.deliveries.filter(state__in=unfinished):
            outbox.cancel(delivery, actor=actor)
        states.advance(case.document, DocumentState.DISCARDED, actor=actor)
        advise.refuse(case.document, advise.reasons(case), now=timezone.now())
    exception_queue.resolve(case, exception_queue.Resolution.DISCARDED, actor=actor, note=note)


@_one_transaction
def retry(case: ExceptionCase, *, actor: str, note: str = "") -> None:
    """Try a dead letter again; a message the partner's receipt rejected leaves as a new one, with a new id."""
    delivery = case.delivery
    if case.reason == "erp_auth_failed":
        _unblock(case)
    elif delivery is None:
        raise NotPossible("This case has no delivery to try again.")
    elif delivery.state != DeliveryState.DEAD:
        raise NotPossible(f"The delivery is {delivery.state}; only one that was given up can be tried again.")
    elif delivery.transmission is not None and delivery.transmission.state == TransmissionState.REJECTED:
        _resubmit(delivery, delivery.transmission, actor)
    else:
        outbox.revive(delivery, actor=actor)
    exception_queue.resolve(case, exception_queue.Resolution.RETRIED, actor=actor, note=note)


@_one_transaction
def close(case: ExceptionCase, *, actor: str, note: str = "") -> None:
    """Nothing is to be done any more. A dead letter is closed with its case, so that its lane goes on."""
    if case.delivery is not None and case.delivery.state == DeliveryState.DEAD:
        outbox.cancel(case.delivery, actor=actor)
    exception_queue.resolve(case, exception_queue.Resolution.CLOSED, actor=actor, note=note)


def _held(case: ExceptionCase) -> Document:
    document = case.document
    if document is None or document.state != DocumentState.HELD or document.record is None:
        raise NotPossible("There is no held document to accept.")
    return document


def _send_held(document: Document, record: canonical.CanonicalRecord, actor: str) -> None:
    profile = directory.profile(document.partner_id)
    if isinstance(record, canonical.PurchaseOrder):
        agreement = profile.agreement(document.type, Direction.OUTBOUND)
    else:
        agreement = issue.agreed(profile, document.type)
    if agreement is None:
        raise NotPossible(
            f"No agreement lets a {document.type.replace('_', ' ')} leave for {profile.code}; add one first."
        )
    states.advance(document, DocumentState.TRANSLATED, actor=actor)
    document.channel, document.format = agreement.channel, agreement.format
    document.save(update_fields=["channel", "format"])
    if isinstance(record, canonical.PurchaseOrder):
        dispatch.order(profile, agreement, record, document, now=timezone.now())
    else:
        dispatch.document(profile, record, document, now=timezone.now())


def _replay_document(document: Document, actor: str) -> None:
    if document.direction == Direction.INBOUND:
        _replay_received([document], actor)
        return
    if document.state != DocumentState.HELD or document.record is None:
        raise NotPossible(f"The document is {document.state}; only a held one can be sent again.")
    _send_held(document, canonical.load(document.record), actor)


def _replay_received(documents: Sequence[Document], actor: str) -> None:
    """Successors take the place of documents of one transmission; one with effects in the order book is not replayed."""
    for document in documents:
        if document.state not in {DocumentState.HELD, DocumentState.REJECTED, DocumentState.PARKED}:
            raise NotPossible(
                f"The document is {document.state}; only one that is held, parked or rejected can be replayed."
            )
    first = documents[0]
    if first.transmission is None or first.transmission.payload is None:
        raise NotPossible("Its bytes are not in the store.")
    profile = directory.profile(first.partner_id)
    data = first.transmission.payload.content
    if first.format == "x12":
        for document, found in _same_sets(documents, data, profile):
            verdict = found.verdict or Verdict.REJECTED
            _succeed(document, profile, found.record, found.findings, verdict, actor)
        return
    for document in documents:
        reading = formats.read(document.format, data, sheet=first.transmission.sheet)
        _succeed(document, profile, reading.record, reading.findings, reading.verdict, actor)


def _succeed(
    document: Document,
    profile: Profile,
    record: canonical.CanonicalRecord | None,
    findings: Sequence[Finding],
    verdict: Verdict,
    actor: str,
) -> None:
    states.advance(document, DocumentState.REPLAYED, actor=actor)
    successor = Document.objects.get(pk=document.pk)
    successor.pk, successor.uid, successor.successor_of = None, uuid.uuid4(), document
    successor._state.adding = True
    successor.state, successor.parked_until, successor.approved_by = DocumentState.RECEIVED, None, ""
    judge([Reading(document=successor, record=record, findings=findings, verdict=verdict)], profile)


def _same_sets(
    documents: Iterable[Document], data: bytes, profile: Profile
) -> Iterator[tuple[Document, x12.TransactionSet]]:
    """The transaction sets these documents were made from, found by their numbers and their places, in the order they came."""
    wanted: dict[tuple[str, str, int], list[Document]] = {}
    for document in documents:
        wanted.setdefault((document.group_control, document.set_control, document.position), []).append(document)
    for _, sets in x12.in_two_passes(partial(io.BytesIO, data), relaxed=profile.x12.relaxed):
        for _, group, found in sets:
            place = group.control_number[:20], found.control_number[:20], len(group.sets) - 1
            for document in wanted.pop(place, ()):
                yield document, found
            if not wanted:
                return
    raise NotPossible("Its transaction set is not found in the stored bytes any more.")


def _replay_transmission(transmission: Transmission, actor: str) -> None:
    """Documents that came in a repeated interchange are taken all the same; an unreadable message is read again."""
    if transmission.payload is None:
        raise NotPossible(
            "It was never unwrapped: without a good signature its content counts for nothing. Ask for it again."
        )
    if transmission.state == TransmissionState.REFUSED:
        raise NotPossible("It was refused at the door and its sender told so: ask for it again.")
    rejected = list(transmission.documents.filter(state=DocumentState.REJECTED).order_by("pk"))
    if rejected:
        _replay_received(rejected, actor)
        return
    if transmission.documents.exists():
        raise NotPossible("Its documents are in work already; replay them one by one.")
    outbox.enqueue(
        DeliveryKind.TRANSLATE, f"translate:{transmission.uid}:{uuid.uuid4().hex[:8]}", transmission=transmission
    )


def _load_again(case: ExceptionCase) -> _Released:
    connection = ErpConnection.objects.filter(code=case.detail.get("connection")).first()
    if connection is None:
        raise NotPossible("The ERP connection of this case is gone.")
    try:
        port = release.port_of(connection)
        found: ErpOrder | ErpDocument
        if "order_key" in case.detail:
            found = port.load(str(case.detail["order_key"]))
        else:
            found = port.document(str(case.detail["document_key"]))
    except ErpError as error:
        raise NotPossible(f"The ERP does not give it: {error}") from error
    if directory.by_supplier_number(found.supplier_number) is None:
        raise NotPossible(f"Still no partner has supplier number {found.supplier_number}; add it to one first.")
    return connection, found


def _unblock(case: ExceptionCase) -> None:
    connection = ErpConnection.objects.filter(pk=case.fingerprint.rpartition(":")[2]).first()
    if connection is None:
        raise NotPossible("The ERP connection of this case is gone.")
    ErpConnection.objects.filter(pk=connection.pk).update(blocked_reason="")
    release.resume(connection)


def _resubmit(delivery: Delivery, rejected: Transmission, actor: str) -> None:
    """The same payload as a new message ``about`` the old one, whose id has its verdict and keeps it."""
    again = Transmission.objects.create(
        direction=Direction.OUTBOUND,
        channel=Channel.AS2,
        partner_id=rejected.partner_id,
        format=rejected.format,
        state=TransmissionState.PREPARED,
        content_type=rejected.content_type,
        file_name=rejected.file_name,
        correlation_id=rejected.correlation_id,
        raw=rejected.payload or rejected.raw,
        payload=rejected.payload,
        about=rejected,
    )
    sealed: dict[str, Any] = {}
    if (document := delivery.document) is not None:
        document.transmission = again
        document.save(update_fields=["transmission"])
        sealed = {"document_seal": document.seal()}
    events.record(
        "transmission.prepared",
        transmission=again,
        document=document,
        actor=actor,
        sends_again=str(rejected.uid),
        rejected_id=rejected.message_id,
        **sealed,
    )
    lanes = outbox.lanes_of(delivery)
    outbox.cancel(delivery, actor=actor)
    outbox.enqueue(
        DeliveryKind.PARTNER,
        f"partner:again:{again.uid}",
        transmission=again,
        document=delivery.document,
        lanes=lanes,
    )
