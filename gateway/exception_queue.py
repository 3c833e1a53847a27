"""The exception queue: what a person must settle, whose it is, until when, and what became of it.

Every case belongs to a team from its first second and has a time it is due; a person takes it by being assigned. The same
trouble again counts the open case up instead of opening a second one, so that a partner who repeats a mistake a hundred
times costs one decision. Only this module writes cases and their history; what a decision *does* is
``gateway.pipeline.decide``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.utils import timezone

from gateway import events, statements, states
from gateway.models import CaseEntry, CaseState, ExceptionCase
from gateway.models.fields import storable

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from gateway.models import Delivery, Document, Order, Transmission


class Team(StrEnum):
    PROCUREMENT = "procurement"  #: decides about orders: quantities, days, prices, suppliers
    OPERATIONS = "operations"  #: decides about the machinery: links, certificates, maps, the ERP's interface


class Choice(StrEnum):
    """What a person may do with a case; each is a function of the same name in ``gateway.pipeline.decide``."""

    ACCEPT = "accept"  #: the document goes on, differences and all
    REPLAY = "replay"  #: the stored bytes are read anew, e.g. after terms or a map were mended
    DISCARD = "discard"  #: the document ends here; nothing of it reaches the order book or the ERP
    RETRY = "retry"  #: the dead delivery is tried again under its old key
    CLOSE = "close"  #: settled outside the gateway; nothing is sent


class Resolution(StrEnum):
    ACCEPTED = "accepted"
    REPLAYED = "replayed"
    DISCARDED = "discarded"
    RETRIED = "retried"
    CLOSED = "closed"
    SETTLED = "settled"  #: by itself: what was missing came


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One kind of trouble: what it is called, who answers for it, how soon, and what they may do."""

    title: str
    team: Team
    hours: int  #: from opening until it is overdue
    choices: tuple[Choice, ...]
    runbook: str  #: what to look at and what usually helps, for whoever opens the case


_P, _O = Team.PROCUREMENT, Team.OPERATIONS
_ACCEPT, _REPLAY, _DISCARD, _RETRY, _CLOSE = Choice.ACCEPT, Choice.REPLAY, Choice.DISCARD, Choice.RETRY, Choice.CLOSE

#: One entry is all it takes to add a reason. In the order a document meets them.
REASONS: Final[Mapping[str, Reason]] = {
    # -- at the door
    "unreadable_message": Reason(
        title="Message cannot be read",
        team=_O,
        hours=8,
        choices=(_REPLAY, _CLOSE),
        runbook="Look at the raw bytes. A wrong format, a damaged envelope or a test message: ask the partner to send it "
        "again. If our terms for this partner were wrong, mend them and replay.",
    ),
    "unknown_partner": Reason(
        title="Sender is not a trading partner",
        team=_O,
        hours=8,
        choices=(_REPLAY, _CLOSE),
        runbook="Compare the identifier as sent with the partner's identities. A new or mistyped identifier: add it and "
        "replay. A stranger: close.",
    ),
    "signature_refused": Reason(
        title="Signature or encryption refused",
        team=_O,
        hours=4,
        choices=(_CLOSE,),
        runbook="Usually a certificate that was renewed on one side only. Ask the partner which certificate signs, compare "
        "the fingerprint, add it. The partner then sends again; a refused message holds no message id.",
    ),
    "id_conflict": Reason(
        title="Message id used twice for different content",
        team=_O,
        hours=8,
        choices=(_CLOSE,),
        runbook="The first message counts, the second was refused. Ask the partner to send the second one under an id of "
        "its own.",
    ),
    "partner_inactive": Reason(
        title="Message of a partner that is not active",
        team=_O,
        hours=8,
        choices=(_CLOSE,),
        runbook="It came well signed from a partner that is suspended or still being set up, and was refused; the partner was "
        "told. If it should count, make the partner active and ask for it again.",
    ),
    "refused_unread": Reason(
        title="Message refused unread",
        team=_O,
        hours=8,
        choices=(_CLOSE,),
        runbook="It came with more bytes than agreed, or not over TLS with a client certificate agreed with this partner. Nothing "
        "of it was stored and nothing proves who sent it. Raise the limit, or add the certificate, as agreed with the partner.",
    ),
    "terms_unusable": Reason(
        title="Our terms for this partner cannot be used",
        team=_O,
        hours=2,
        choices=(_CLOSE,),
        runbook="A certificate or private key of ours is missing or unfit, or the map sheet of an agreement is gone. Mend it "
        "at our identity or at the agreement. Over AS2 the partner's system was told to try again and does so by itself; a "
        "partner on portal JSON must send again.",
    ),
    # -- in translation
    "document_rejected": Reason(
        title="Document breaks its guide",
        team=_O,
        hours=8,
        choices=(_REPLAY, _DISCARD, _CLOSE),
        runbook="The partner has been told in the functional acknowledgment. The findings say at which place and who acts. "
        "If the partner is right and our guide or terms are not, mend them and replay.",
    ),
    "interchange_repeated": Reason(
        title="Interchange control number used again",
        team=_O,
        hours=24,
        choices=(_REPLAY, _DISCARD, _CLOSE),
        runbook="Nothing of the repeat was applied. The same content: discard it. Other content under an old number: the "
        "partner's counter was reset; replay when the documents are new.",
    ),
    "no_agreement": Reason(
        title="No agreement covers this document",
        team=_O,
        hours=24,
        choices=(_REPLAY, _DISCARD, _CLOSE),
        runbook="Add a document agreement for this partner and replay, or discard and ask the partner to stop sending it.",
    ),
    "functional_ack_rejected": Reason(
        title="Supplier could not read our document",
        team=_O,
        hours=4,
        choices=(_CLOSE,),
        runbook="The supplier's 997, 999 or TA1 rejects what we sent, so the supplier does not have the order. The findings "
        "say at which of our elements and why. Mend the map or the terms, then have the ERP release the order again. The case "
        "settles itself when a later acknowledgment accepts the document after all.",
    ),
    "acknowledgment_unmatched": Reason(
        title="Acknowledgment of something we did not send",
        team=_O,
        hours=72,
        choices=(_CLOSE,),
        runbook="The supplier acknowledges control numbers we did not use with them. Mostly harmless: a test, or the answer to "
        "another sender. When the supplier says that one of our documents got no answer, ask whether this was meant.",
    ),
    "advice_rejected": Reason(
        title="Supplier's system refuses our document",
        team=_P,
        hours=4,
        choices=(_CLOSE,),
        runbook="The supplier could read what we sent and does not use it (824); their words are below. Mend the order in the "
        "ERP, which sends it again, or settle it with the supplier. The case settles itself when they accept it after all.",
    ),
    "advice_unmatched": Reason(
        title="Advice about a document we cannot find",
        team=_O,
        hours=24,
        choices=(_CLOSE,),
        runbook="The supplier's 824 names no document of ours by control numbers, order number or shipment number. Ask which "
        "one is meant; their words are below.",
    ),
    "advice_unwritable": Reason(
        title="Supplier cannot be told why a document is refused",
        team=_O,
        hours=8,
        choices=(_CLOSE,),
        runbook="No valid 824 can be written: a separator in a number, or X12 terms that make no envelope. Mend the terms, and "
        "tell the supplier about this document.",
    ),
    # -- against the order book
    "order_unknown": Reason(
        title="Answer to an order we do not know",
        team=_P,
        hours=8,
        choices=(_REPLAY, _DISCARD),
        runbook="It waited for its order until the deadline. Look the number up in the ERP: a typing mistake of the "
        "supplier, an order never released, or an order of another supplier. Replay once the order is there.",
    ),
    "document_unwritable": Reason(
        title="Document cannot be written for the supplier",
        team=_O,
        hours=4,
        choices=(_REPLAY, _DISCARD),
        runbook="A value of it does not fit the partner's format, mostly a separator inside a part number. Change the "
        "separators in the partner's X12 terms, or the value in the ERP, then replay.",
    ),
    "acknowledgment_unwritable": Reason(
        title="Functional acknowledgment cannot be written",
        team=_O,
        hours=8,
        choices=(_CLOSE,),
        runbook="The partner's X12 terms make no valid envelope: identifiers, separators or version. Mend them; the next "
        "acknowledgment is written with them. Tell the partner about this one if they ask.",
    ),
    "order_ambiguous": Reason(
        title="Several companies have an order of this number",
        team=_P,
        hours=8,
        choices=(_REPLAY, _DISCARD),
        runbook="The document does not say which company it answers. Ask the supplier to name the ship-to or buyer, or "
        "settle it by telephone and discard.",
    ),
    "acknowledgment_differs": Reason(
        title="Supplier's answer differs from the order",
        team=_P,
        hours=24,
        choices=(_ACCEPT, _REPLAY, _DISCARD),
        runbook="Ordered and answered stand side by side. Accept: the ERP gets the answer as it is. Otherwise change the "
        "order in the ERP or talk to the supplier, and discard; a new answer replaces this one.",
    ),
    "acknowledgment_stale": Reason(
        title="Supplier answered an old revision",
        team=_P,
        hours=24,
        choices=(_ACCEPT, _DISCARD),
        runbook="The order changed after the revision the supplier answers. Normally discard and wait for the answer to the "
        "change; accept only if the answer holds for the newest revision too.",
    ),
    "ship_notice_differs": Reason(
        title="Shipment differs from what is open",
        team=_P,
        hours=8,
        choices=(_ACCEPT, _REPLAY, _DISCARD),
        runbook="More than is open, an unknown line or another unit. The goods may be under way already: decide before "
        "they arrive. Accept, or discard and ask for a replacing notice (purpose 05).",
    ),
    "change_after_ship": Reason(
        title="Order changed after it was shipped",
        team=_P,
        hours=4,
        choices=(_ACCEPT, _DISCARD),
        runbook="The ERP changed an order of which the supplier has shipped goods. Nothing was sent to the supplier. "
        "Accept: the change goes out. Discard: the change stays with us; undo it in the ERP.",
    ),
    "ack_late": Reason(
        title="Supplier has not answered in time",
        team=_P,
        hours=24,
        choices=(_CLOSE,),
        runbook="Ask the supplier. The timeline shows whether they have the order (receipt, 997). The case settles itself "
        "when the answer comes.",
    ),
    # -- from the ERP
    "order_unusable": Reason(
        title="ERP released something that cannot be kept",
        team=_P,
        hours=4,
        choices=(_REPLAY, _CLOSE),
        runbook="The words say what is wrong with it, e.g. two lines of one number, or other content under an old revision. "
        "The supplier has heard nothing. Mend the order in the ERP and have it released again.",
    ),
    # -- on the way to the partner
    "partner_unreachable": Reason(
        title="Supplier's system does not take our message",
        team=_O,
        hours=4,
        choices=(_RETRY, _CLOSE),
        runbook="Every try failed; the attempts say how. Check address, certificate and the partner's notices, then retry: "
        "same bytes, same message id.",
    ),
    "receipt_rejected": Reason(
        title="Supplier's receipt rejects our message",
        team=_O,
        hours=4,
        choices=(_RETRY, _CLOSE),
        runbook="The receipt names the cause, mostly a certificate or a MIC that differs. The same bytes will be refused "
        "again until that is mended; then retry.",
    ),
    "receipt_overdue": Reason(
        title="Supplier's receipt is overdue",
        team=_O,
        hours=4,
        choices=(_CLOSE,),
        runbook="The supplier's server took the message and the receipt it owes us by a request of its own has not come in the "
        "agreed time. The same bytes are sent again by the retry schedule, and the case settles itself when a receipt comes. Ask "
        "the supplier whether its receipts can reach our address.",
    ),
    "receipt_unmatched": Reason(
        title="Receipt that proves nothing",
        team=_O,
        hours=24,
        choices=(_CLOSE,),
        runbook="It is for no message of ours, is not signed as agreed, or names no usable MIC; the words are below. Nothing was "
        "changed by it. One that repeats points at a certificate that was renewed on one side only, or at somebody forging.",
    ),
    "receipt_contradicts": Reason(
        title="Second receipt says something else",
        team=_O,
        hours=4,
        choices=(_CLOSE,),
        runbook="The first receipt counts and nothing was changed. Both are kept. Ask the supplier which of the two is right; "
        "when the message did not arrive after all, have the ERP release the order again.",
    ),
    "receipt_undeliverable": Reason(
        title="Our receipt cannot be delivered",
        team=_O,
        hours=4,
        choices=(_RETRY, _CLOSE),
        runbook="The supplier asked for its receipt at an address of its own and that address does not take it. The message "
        "itself is stored and goes on; the supplier will send it again until the receipt arrives. Check the address, then retry.",
    ),
    "receipt_address": Reason(
        title="Receipt wanted at an address that is not agreed",
        team=_O,
        hours=8,
        choices=(_CLOSE,),
        runbook="Nothing was stored and nothing was sent there: anybody can write an address into a header. When it is the "
        "supplier's, enter its scheme, host and port at the AS2 link, and ask for the message again.",
    ),
    "certificate_expiring": Reason(
        title="Certificate expires soon",
        team=_O,
        hours=72,
        choices=(_CLOSE,),
        runbook="Ours: make the next key and certificate, send it to the partners and enter the day we begin to use it. Theirs: "
        "ask for the next one and add it beside the old; both are accepted meanwhile.",
    ),
    "certificate_expired": Reason(
        title="Certificate has expired",
        team=_O,
        hours=2,
        choices=(_CLOSE,),
        runbook="What arrives under it is refused, or accepted with a warning for the days of grace the AS2 link grants. Ask for "
        "the successor today.",
    ),
    "transport_failed": Reason(
        title="Message cannot be sent",
        team=_O,
        hours=4,
        choices=(_RETRY, _CLOSE),
        runbook="Sending failed for a reason that another try does not cure, such as a missing address or an expired "
        "certificate of ours. Mend it and retry.",
    ),
    # -- on the way to the ERP
    "erp_unknown": Reason(
        title="Document for an ERP nobody can tell",
        team=_O,
        hours=8,
        choices=(_REPLAY, _DISCARD),
        runbook="It names no order that we know, and this partner has orders in several ERPs, or none and there are several "
        "ERPs, or no active one. Ask the supplier to name the order, or set up the ERP connection and replay. Otherwise enter it "
        "in the ERP by hand and discard it here.",
    ),
    "erp_refused": Reason(
        title="ERP refuses the document",
        team=_P,
        hours=8,
        choices=(_RETRY, _CLOSE),
        runbook="The ERP's own words are below. Mend the order or the master data there and retry. Until then later "
        "documents of this order wait behind it; those of other orders do not.",
    ),
    "erp_question": Reason(
        title="ERP asks for a decision",
        team=_P,
        hours=8,
        choices=(_RETRY, _CLOSE),
        runbook="Over-delivery, tolerance, a closed order: the ERP wants a person. Decide it there, then retry.",
    ),
    "erp_auth_failed": Reason(
        title="ERP refuses our credentials",
        team=_O,
        hours=2,
        choices=(_RETRY, _CLOSE),
        runbook="The connection is stopped, so that tries do not lock the account. Enter the new token at the connection: that "
        "opens it and settles this case. Retry when the ERP takes the old one again.",
    ),
    "erp_unreachable": Reason(
        title="ERP does not answer",
        team=_O,
        hours=4,
        choices=(_RETRY, _CLOSE),
        runbook="It was down for longer than the retry schedule. Nothing is lost: everything waits. Retry when it is up.",
    ),
    # -- anywhere
    "poison": Reason(
        title="Work that kills its worker",
        team=_O,
        hours=4,
        choices=(_RETRY, _CLOSE),
        runbook="The process died several times at this document and was kept from trying again. Look at the log of those "
        "tries before you retry.",
    ),
}

#: So many occurrences of one case are in its history; all are counted. Some trouble anybody can make, any number of times.
MOST_REPEATS_NOTED: Final = 100

_SUMMARY_LENGTH: Final = 255
_FINGERPRINT_LENGTH: Final = 200


def open_case(
    reason: str,
    *,
    summary: str,
    fingerprint: str,
    detail: Mapping[str, Any] | None = None,
    partner_id: int | None = None,
    order: Order | None = None,
    document: Document | None = None,
    transmission: Transmission | None = None,
    delivery: Delivery | None = None,
    now: datetime | None = None,
) -> ExceptionCase:
    """Open a case in the transaction of what caused it, or count up the open one with this fingerprint.

    Args:
        reason: a key of ``REASONS``; an unknown one is a programming error and raises KeyError.
        summary: one line for the queue, in words; cut at 255 characters.
        fingerprint: equal for the same trouble, e.g. ``order_unknown:17:4711``. A long one is shortened, still unique.
        detail: JSON-ready. ``findings`` as ``Finding.as_dict`` makes them, ``lines`` with both sides of each difference:
            ``{"line": "10", "field": "quantity", "ordered": "100", "answered": "80", "text": "…"}``.
        partner_id, order: taken from the other references when not given.
        now: when it happened; the clock when not given.

    Raises:
        TransactionManagementError: called outside a transaction.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("open_case inside the transaction of what caused it")
    kind = REASONS[reason]
    now = now or timezone.now()
    document = document or (delivery.document if delivery else None)
    transmission = transmission or (delivery.transmission if delivery else None)
    transmission = transmission or (document.transmission if document else None)
    order = order or (document.order if document else None)
    if partner_id is None:
        partner_id = next((row.partner_id for row in (document, transmission, order, delivery) if row), None)
    key = _shortened(fingerprint)
    newest = {
        "summary": _cut(storable(summary)),
        "detail": None if detail is None else storable(detail),
        "partner_id": partner_id,
        "order": order,
        "document": document,
        "transmission": transmission,
        "delivery": delivery,
    }
    newest = {name: value for name, value in newest.items() if value is not None}
    if again := _count_up(key, newest, now):
        return again
    try:
        with transaction.atomic():
            case = ExceptionCase.objects.create(
                reason=reason,
                fingerprint=key,
                team=kind.team,
                opened_at=now,
                due_at=now + timedelta(hours=kind.hours),
                **newest,
            )
    except IntegrityError:
        # Of two workers with the same trouble at once one opened the case; any other integrity error goes on.
        if again := _count_up(key, newest, now):
            return again
        raise
    entry = _note(case, actor="gateway", action="opened", note=case.summary, at=now)
    events.record("case.opened", case=case, reason=reason, team=case.team, **_noted(entry))
    return case


def assign(case: ExceptionCase, owner: User | None, *, actor: str, note: str = "", now: datetime | None = None) -> None:
    """Give an open case to a person; None gives it back to its team.

    Raises:
        StaleState: it has been resolved meanwhile.
    """
    with transaction.atomic():
        rows = ExceptionCase.objects.filter(pk=case.pk, state=CaseState.OPEN)
        if rows.update(owner=owner) != 1:
            raise states.StaleState(f"{case} is no longer open")
        case.owner = owner
        to = owner.get_username() if owner else f"team {case.team}"
        entry = _note(case, actor=actor, action="assigned", note=f"To {to}. {note}".strip(), at=now)
        events.record("case.assigned", case=case, actor=actor, to=to, **_noted(entry))


def resolve(case: ExceptionCase, resolution: str, *, actor: str, note: str = "", now: datetime | None = None) -> None:
    """Close an open case with what became of it; inside the transaction of that work.

    Args:
        resolution: a value of ``Resolution``; another raises ValueError.

    Raises:
        StaleState: somebody else resolved it first.
    """
    resolution = Resolution(resolution)
    now = now or timezone.now()
    with transaction.atomic():
        entry = _note(case, actor=actor, action=resolution, note=note, at=now)
        states.advance(
            case,
            CaseState.RESOLVED,
            actor=actor,
            note={"resolution": resolution, **_noted(entry)},
            resolution=resolution,
            resolved_at=now,
        )


def settle(fingerprint: str, *, note: str, actor: str = "gateway", now: datetime | None = None) -> bool:
    """Resolve the open case with this fingerprint because its cause is gone; False when there is none."""
    case = _OPEN.first(fingerprint=_shortened(fingerprint))
    if case is None:
        return False
    try:
        resolve(case, Resolution.SETTLED, actor=actor, note=note, now=now)
    except states.StaleState:  # a person was quicker
        return False
    return True


_OPEN: Final = statements.Query(
    lambda: ExceptionCase.objects.filter(fingerprint=statements.Given("fingerprint"), state=CaseState.OPEN).order_by(
        "pk"
    )[:1]
)


def _count_up(key: str, newest: Mapping[str, Any], now: datetime) -> ExceptionCase | None:
    rows = ExceptionCase.objects.filter(fingerprint=key, state=CaseState.OPEN)
    if rows.update(occurrences=F("occurrences") + 1, **newest) != 1:
        return None
    case = rows.get()
    if case.occurrences <= MOST_REPEATS_NOTED:
        _note(case, actor="gateway", action="repeated", note=case.summary, at=now)
    return case


def _note(case: ExceptionCase, *, actor: str, action: str, note: str, at: datetime | None) -> CaseEntry:
    return CaseEntry.objects.create(
        case=case, actor=actor[:150], action=action, note=storable(note), at=at or timezone.now()
    )


def _noted(entry: CaseEntry) -> dict[str, Any]:
    """What the event of an entry says of it."""
    return {"entry": entry.pk, "entry_seal": entry.seal()}


def _shortened(fingerprint: str) -> str:
    fingerprint = storable(fingerprint)
    if len(fingerprint) <= _FINGERPRINT_LENGTH:
        return fingerprint
    digest = hashlib.sha256(fingerprint.encode()).hexdigest()
    return f"{fingerprint[: _FINGERPRINT_LENGTH - 65]}#{digest}"


def _cut(text: str) -> str:
    return text if len(text) <= _SUMMARY_LENGTH else f"{text[: _SUMMARY_LENGTH - 1]}…"
