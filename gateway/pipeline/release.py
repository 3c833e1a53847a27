"""Release: what changed in an ERP comes into the order book and leaves for the supplier; what is no order leaves as it is.

The ERP is told that a change is settled only after our commit; until then it names the change again, and an order at a
revision we know already changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime

from django.db import DatabaseError, transaction

from edi_maps import canonical
from edi_maps.canonical import PurchaseOrder, Purpose
from gateway import archives, breakers, erp, exception_queue, logs, order_book, outbox, states
from gateway.blob_store import Full, Unreachable
from gateway.erp.port import (
    AuthFailed,
    Change,
    ChangeKind,
    ErpDocument,
    ErpError,
    ErpOrder,
    ErpPort,
    Permanent,
    Transient,
)
from gateway.models import (
    CaseState,
    DeliveryKind,
    Document,
    DocumentState,
    ErpConnection,
    ErpToken,
    ExceptionCase,
    Order,
)
from gateway.pipeline import dispatch, erp_calls, issue
from gateway.pipeline.apply import wake_parked
from partners import directory
from partners.profiles import Direction, PartnerState

log = logging.getLogger(__name__)

#: Changes asked for at once.
_PAGE = 100


def poll(connection: ErpConnection, *, now: datetime, is_over: Callable[[], bool] = lambda: False) -> int:
    """Take in all that one ERP has released or changed; returns how many changes were settled.

    To ask an ERP that is left alone for its changes is a cheap probe of it, and all that is done.

    Args:
        is_over: asked before each change; when it says so the rest is left to the next turn.
    """
    ErpConnection.objects.filter(pk=connection.pk).update(polled_at=now)
    remote = breakers.erp(connection.pk)
    if breakers.may_call(remote):
        return _take_in_changes(connection, now=now, is_over=is_over)
    probe_until = breakers.take_probe(remote)
    if probe_until is None:
        return 0
    settled = _take_in_changes(connection, now=now, is_over=is_over)
    breakers.give_back(remote, probe_until)
    return settled


def _take_in_changes(connection: ErpConnection, *, now: datetime, is_over: Callable[[], bool]) -> int:
    settled = 0
    try:
        port = port_of(connection)
        while changes := _ask(connection, port):
            done = _take_in_all(connection, port, changes, now=now, is_over=is_over)
            if done:
                with erp_calls.watched(connection.pk):
                    port.settle(done)
                settled += len(done)
            if len(done) < len(changes) or len(changes) < _PAGE:
                break
    except AuthFailed as refused:
        block(connection, str(refused), since=now)
    except ErpError as error:
        # Read again at the next turn: nothing was settled that we did not keep.
        log.warning("erp=%s changes not read: %s", connection.code, error)
    return settled


def _ask(connection: ErpConnection, port: ErpPort) -> Sequence[Change]:
    """What has changed; nothing while the ERP is on trial still."""
    with erp_calls.watched(connection.pk):
        changes = port.changes(_PAGE)
    return changes if breakers.may_call(breakers.erp(connection.pk)) else ()


def _take_in_all(
    connection: ErpConnection, port: ErpPort, changes: Sequence[Change], *, now: datetime, is_over: Callable[[], bool]
) -> list[str]:
    """The tokens of the changes that may be settled. An ERP that has stopped to answer is not asked for the rest."""
    done: list[str] = []
    for change in changes:
        if is_over():
            break
        if _take_in(connection, port, change, now=now):
            done.append(change.token)
        elif not breakers.may_call(breakers.erp(connection.pk)):
            break
    return done


def take_in(connection: ErpConnection, found: ErpOrder, *, now: datetime) -> Document | None:
    """One order as it stands in the ERP into the order book, and on to its supplier; None when nothing leaves.

    In the caller's transaction.
    """
    profile = directory.by_supplier_number(found.supplier_number)
    if profile is None:
        _unrouted(connection, found)
        return None
    _expect_not_archived(connection, found, profile.id)
    released = order_book.release(
        connection=connection,
        company=found.company,
        number=found.record.number,
        erp_key=found.order_key,
        revision=found.revision,
        cancelled=found.cancelled,
        record=found.record,
        partner_id=profile.id,
        ack_due_at=now + profile.ack.due_after,
        now=now,
    )
    wake_parked(released.order)
    if released.change in {"unchanged", "stale"}:
        return None
    record = _for_supplier(found, released.order, first=released.change == "released")
    document = Document.objects.create(
        direction=Direction.OUTBOUND,
        channel="",
        partner_id=profile.id,
        order=released.order,
        type=record.type,
        format="",
        number=record.number[:64],
        order_revision=found.revision,
        record=canonical.dump(record),
    )
    states.advance(document, DocumentState.TRANSLATED)
    if released.after_shipment:
        _hold_change_after_ship(document)
        return document
    agreement = profile.agreement(record.type, Direction.OUTBOUND)
    if agreement is None or profile.state is PartnerState.SUSPENDED:
        states.advance(document, DocumentState.HELD)
        exception_queue.open_case(
            "no_agreement",
            summary=f"Order {record.number} cannot leave: {profile.code} is suspended or takes no orders",
            fingerprint=f"no_agreement:{document.uid}",
            partner_id=profile.id,
            order=released.order,
            document=document,
        )
        return document
    document.channel, document.format = agreement.channel, agreement.format
    document.save(update_fields=["channel", "format"])
    dispatch.order(profile, agreement, record, document, now=now)
    return document


def _expect_not_archived(connection: ErpConnection, found: ErpOrder, partner_id: int) -> None:
    """An order that has left the tables must not be taken for a new one and sent a second time.

    Raises:
        UnusableOrder: it is in an archive.
    """
    gone = archives.under(archives.order_key(partner_id, found.record.number))
    if gone is None or gone.facts != {"connection": connection.pk, "company": found.company}:
        return
    if not Order.objects.filter(connection=connection, company=found.company, number=found.record.number).exists():
        raise order_book.UnusableOrder(
            f"it was finished and is in archive {gone.archive_id}; have it restored, then replay this case"
        )


def take_in_document(connection: ErpConnection, found: ErpDocument, *, now: datetime) -> Document | None:
    """One document that is no order, as it stands in the ERP, on to its supplier; None when nothing leaves.

    In the caller's transaction.
    """
    profile = directory.by_supplier_number(found.supplier_number)
    if profile is None:
        _unrouted(connection, found)
        return None
    return issue.take_in(connection, found, profile, now=now)


def port_of(connection: ErpConnection) -> ErpPort:
    """The adapter of one connection, with its credentials."""
    try:
        endpoint = erp.ErpEndpoint(code=connection.code, base_url=connection.base_url, token=connection.token())
        return erp.connect(connection.adapter, endpoint)
    except (ErpToken.DoesNotExist, ValueError) as missing:
        # Nothing to try again until a person mends the connection, exactly as with refused credentials.
        raise AuthFailed(f"ERP {connection.code} cannot be spoken to: {missing}") from missing


def adapters() -> list[str]:
    """The names of the ERP adapters there are."""
    return sorted(erp.ADAPTERS)


def what_could_never_work(*, code: str, adapter: str, base_url: str, token: str) -> str:
    """What is wrong with the settings of a connection before anything is sent; empty when they may work."""
    try:
        erp.connect(adapter, erp.ErpEndpoint(code=code, base_url=base_url, token=token))
    except ValueError as wrong:
        return str(wrong)
    return ""


def block(connection: ErpConnection, why: str, *, since: datetime) -> None:
    """Stop all traffic with an ERP that refuses our credentials: more tries could lock the account.

    Args:
        since: when the call began; a token that was entered after that is not what was refused.
    """
    with transaction.atomic():
        _locked(connection)  # before the look: a token that is being entered now is seen, or comes after this
        if ErpToken.objects.filter(connection=connection, sealed_at__gt=since).exists():
            return
        ErpConnection.objects.filter(pk=connection.pk).update(blocked_reason=why or "credentials refused")
        exception_queue.open_case(
            "erp_auth_failed",
            summary=f"ERP {connection.code} refuses our credentials; nothing is sent to it until this is settled",
            fingerprint=_refused_credentials(connection),
            detail={"why": why},
        )


def renew_token(connection: ErpConnection, token: str, *, actor: str) -> None:
    """Keep a new token and open a connection that the old one had closed, its case with it.

    Raises:
        KeystoreError: it cannot be sealed; everything stays as it was.
    """
    with transaction.atomic():
        _locked(connection)
        connection.set_token(token)
        ErpConnection.objects.filter(pk=connection.pk).update(blocked_reason="")
        exception_queue.settle(_refused_credentials(connection), note="A new token was entered.", actor=actor)
        resume(connection)


def resume(connection: ErpConnection) -> None:
    """What was held up while a connection was stopped or blocked is due at once; in the transaction that opens it."""
    breakers.resume(breakers.erp(connection.pk))
    outbox.wake_on_commit(DeliveryKind.ERP)


def _locked(connection: ErpConnection) -> None:
    """Keep everybody else from opening or closing a connection until the transaction ends."""
    ErpConnection.objects.select_for_update(no_key=True).only("pk").get(pk=connection.pk)


def _refused_credentials(connection: ErpConnection) -> str:
    return f"erp_auth_failed:{connection.pk}"


def _take_in(connection: ErpConnection, port: ErpPort, change: Change, *, now: datetime) -> bool:
    """True when the change may be settled: what it means for us is committed."""
    try:
        if change.kind is ChangeKind.DOCUMENT:
            with erp_calls.watched(connection.pk):
                document = port.document(change.order_key)
            with transaction.atomic():
                take_in_document(connection, document, now=now)
        else:
            with erp_calls.watched(connection.pk):
                order = port.load(change.order_key)
            with transaction.atomic():
                take_in(connection, order, now=now)
    except Transient as error:
        log.warning("erp=%s key=%s not loaded: %s", connection.code, change.order_key, error)
        return False
    except (AuthFailed, DatabaseError):
        raise  # about the whole connection, or about us: not this order's fault
    except (Full, Unreachable) as error:
        # A disk without room is nobody's case in procurement: the ERP names the change again, and then there is room.
        log.error("erp=%s key=%s not taken in: %s", connection.code, change.order_key, error)
        return False
    except (Permanent, order_book.UnusableOrder) as error:
        _cannot_be_taken_in(connection, change, str(error))
    except Exception as error:  # the outer edge of one order: its fault must not keep the others from their suppliers
        log.exception("erp=%s key=%s not taken in", connection.code, change.order_key)
        _cannot_be_taken_in(connection, change, logs.told(error))
        return False
    return True


def _cannot_be_taken_in(connection: ErpConnection, change: Change, why: str) -> None:
    """One open case an order or document, however often the ERP names the change again."""
    fingerprint = f"erp_load:{connection.pk}:{change.order_key}"
    if ExceptionCase.objects.filter(fingerprint=fingerprint, state=CaseState.OPEN).exists():
        return
    name = "document" if change.kind is ChangeKind.DOCUMENT else "order"
    with transaction.atomic():
        exception_queue.open_case(
            "order_unusable",
            summary=f"{name.capitalize()} {change.order_key} of ERP {connection.code} cannot be taken in: {why}",
            fingerprint=fingerprint,
            detail={"why": why, "connection": connection.code, f"{name}_key": change.order_key},
        )


def _for_supplier(found: ErpOrder, order: Order, *, first: bool) -> PurchaseOrder:
    """The order as it leaves: it names its revision and day, and says whether it is new, a replacement or an end."""
    purpose = Purpose.CANCEL if found.cancelled else Purpose.ORIGINAL if first else Purpose.REPLACE
    day = found.record.ordered_on or order.released_at.date()
    return found.record.model_copy(update={"revision": found.revision, "purpose": purpose, "ordered_on": day})


def _hold_change_after_ship(document: Document) -> None:
    states.advance(document, DocumentState.HELD, note={"reason": "change_after_ship"})
    exception_queue.open_case(
        "change_after_ship",
        summary=f"Order {document.number} changed in the ERP after goods were shipped",
        fingerprint=f"change_after_ship:{document.uid}",
        detail={"revision": document.order_revision},
        document=document,
    )


def _unrouted(connection: ErpConnection, found: ErpOrder | ErpDocument) -> None:
    """For a supplier we have no partner for: kept as a case that loads it again once there is one."""
    name, key = ("order", found.order_key) if isinstance(found, ErpOrder) else ("document", found.document_key)
    fingerprint = f"unknown_supplier:{connection.pk}:{key}"
    if ExceptionCase.objects.filter(fingerprint=fingerprint, state=CaseState.OPEN).exists():
        return
    exception_queue.open_case(
        "unknown_partner",
        summary=f"{name.capitalize()} {found.record.business_number}: no partner has supplier number {found.supplier_number}",
        fingerprint=fingerprint,
        detail={
            "connection": connection.code,
            f"{name}_key": key,
            "supplier_number": found.supplier_number,
            "fix": f"Add the supplier number to its partner, then choose replay: the {name} is loaded again.",
        },
    )
