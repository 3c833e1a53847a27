"""Send: what is prepared for a partner goes to it over AS2: messages, and receipts for its messages.

Id, bytes and digests are fixed before the first byte leaves; every retry and every resend is the same bytes under the same id,
so that a partner who has the message already answers with the receipt it gave the first time. Terms and certificates of later
tries change nothing in them.

| outcome of one POST | what follows |
|---|---|
| 2xx and a valid receipt | delivered, or a dead letter when it rejects |
| 2xx, receipts come by a request of their own | waits as long as agreed; then it is overdue, and sent again |
| 2xx without a valid receipt, no connection, time-out, 5xx, 408, 425, 429 | again, by the partner's schedule |
| 3xx, any other 4xx | a dead letter that says why; redirects are not followed |

A message goes on holding its lane while its receipt is awaited: what comes after it in an order must not overtake it. Other
orders have lanes of their own and wait for nothing.

Source: RFC 4130 section 7; draft-ietf-ediint-rfc4130bis sections 5.4 and 5.5.
"""

from __future__ import annotations

import base64
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from gateway import breakers, events, exception_queue, outbox, states
from gateway.models import Blob, DeliveryKind, DeliveryState, Transmission, TransmissionState
from gateway.pipeline import receipts
from gateway.transports import as2, http
from gateway.transports.as2 import addresses
from gateway.transports.errors import InDoubt, NotPublic, Unreachable
from partners import directory
from partners.profiles import As2Terms, HttpTerms

log = logging.getLogger(__name__)

#: Request time-out, too early, too many requests: the partner says "again, later".
_AGAIN: Final = frozenset({408, 425, 429})
#: Retry-After counts up to here; a server that says next year is asked tomorrow.
_LONGEST_PAUSE_S: Final = 24 * 3600.0
_TOOK_IT: Final = "The partner's server took the receipt."


@dataclass(frozen=True, slots=True, kw_only=True)
class Setback:
    """Why a POST did not do."""

    why: str  #: for staff
    final: bool = False  #: the same again would end the same, until a person has changed something
    in_doubt: bool = False  #: the partner may have it
    asked: bool = True  #: False: no call was made
    broken: bool = False  #: the server does not work, whatever it was sent
    hung: bool = False  #: nothing had answered when it ended; another message would hang as long
    after_s: float | None = None  #: the partner's own wish for the next try


# -------------------------------------------------------------------------------------------------------- a message
def to_partner(claim: outbox.Claim, *, now: datetime) -> None:
    """Post a prepared transmission to its partner and let its receipt count, should there be one already."""
    transmission = claim.delivery.transmission
    if transmission is None or transmission.payload is None:
        raise ValueError(f"{claim.delivery} names no transmission")
    terms = directory.profile(transmission.partner_id).as2
    schedule = (terms.retry_minutes if terms else ()) or settings.RETRY_SCHEDULE_MIN[DeliveryKind.PARTNER]
    if transmission.message_id and _is_over(claim, transmission, schedule):
        return
    if terms is None or terms.url is None:
        outbox.bury(claim, "the partner has no AS2 address: enter its URL, then retry")
        return
    if not transmission.message_id:
        try:
            _fix_bytes(transmission, terms)
        except as2.UnusableTerms as unusable:
            outbox.retry(claim, f"it cannot be signed or encrypted as agreed: {unusable}", schedule=schedule)
            return
    began = time.monotonic()
    outcome = post(terms.url, transmission.headers, transmission.raw.content, terms.http, now=now)
    took_s = time.monotonic() - began
    # Read before the transaction: checking a signature takes longer than the rest.
    receipt = (
        None if isinstance(outcome, Setback) else receipts.read(transmission, terms, outcome.headers, outcome.body)
    )
    proved = receipt is not None and receipt.verdict is not as2.Verdict.INVALID
    _count(
        breakers.as2(transmission.partner_id),
        outcome,
        took_s,
        owes=not proved and not receipts.is_awaited(transmission),
    )
    with transaction.atomic():
        message = receipts.held(transmission)
        if isinstance(outcome, http.HttpAnswer) and receipt and proved:
            receipts.take(message, receipt, headers=outcome.headers, body=outcome.body, status=outcome.status)
        if receipts.close(claim, message):
            return
        if isinstance(outcome, Setback):
            _set_back(claim, outcome, schedule)
        elif receipts.is_awaited(message):
            if message.state == TransmissionState.PREPARED:
                states.advance(message, TransmissionState.SENT, answer_status=outcome.status)
            outbox.expect(claim, _patience(claim, terms, schedule))
        else:
            # Taken by HTTP without a receipt that proves it: the same again, and the partner answers a repeat alike.
            why = receipt.text if receipt else ""
            outbox.retry(claim, f"no valid receipt: {why}", in_doubt=True, schedule=schedule)


def _is_over(claim: outbox.Claim, transmission: Transmission, schedule: Sequence[float]) -> bool:
    """Whether a message that was sent before needs no further try: a receipt came meanwhile, or none came for too long."""
    with transaction.atomic():
        message = receipts.held(transmission)
        if receipts.close(claim, message):
            return True
        if not outbox.was_taken(claim):
            return False
        tries = claim.attempts - 1
        receipts.overdue(message, tries)
        if tries <= len(schedule):
            return False
        outbox.bury(claim, "the partner's server took it every time, and no receipt came", doubtful=True)
        receipts.given_up(message)
        return True


def _patience(claim: outbox.Claim, terms: As2Terms, schedule: Sequence[float]) -> timedelta:
    """How long a receipt has to come: as agreed; of a message sent again at least as long as the schedule pauses."""
    pauses = schedule[: claim.attempts - 1]
    return max(terms.mdn_timeout, timedelta(minutes=pauses[-1] if pauses else 0))


def _set_back(claim: outbox.Claim, setback: Setback, schedule: Sequence[float]) -> bool:
    """Try again or give up; returns whether it will be tried again."""
    if setback.final:
        outbox.bury(claim, setback.why)
        return False
    return outbox.retry(
        claim,
        setback.why,
        in_doubt=setback.in_doubt or claim.doubtful,
        after_s=setback.after_s,
        schedule=schedule,
    )


def _fix_bytes(transmission: Transmission, terms: As2Terms) -> None:
    """Sign and encrypt once: id, bytes and digests are kept before the first byte leaves, and every repeat is the same."""
    if transmission.payload is None:
        raise ValueError(f"{transmission} has no payload")
    message_id = f"<{transmission.uid}@{_domain(terms.our_name)}>"
    message = as2.build_message(
        transmission.payload.content,
        terms=terms,
        message_id=message_id,
        content_type=transmission.content_type,
        file_name=transmission.file_name,
        subject=f"{terms.our_name} to {terms.their_name}",
    )
    name = message.mic_algorithm
    Blob.prepare(message.body, message.covered)
    with transaction.atomic():
        raw, covered = Blob.put_all([message.body, message.covered])
        kept = Transmission.objects.filter(pk=transmission.pk, message_id="").update(
            message_id=message_id,
            headers=dict(message.headers),
            raw=raw,
            covered=covered,
            evidence={"signed_with": message.signed_with, "encrypted_for": list(message.encrypted_for)},
            digests={name: base64.b64encode(message.digests[name]).decode()},
        )
    if not kept:
        log.info("transmission=%s was prepared by another worker", transmission.pk)
    transmission.refresh_from_db()


def _domain(name: str) -> str:
    """Our AS2 name as the right side of a Message-ID."""
    return "".join(mark if mark.isalnum() else "-" for mark in name.lower()).strip("-") or "gateway"


# ---------------------------------------------------------------------------------------------- a receipt of our own
def receipt(claim: outbox.Claim, *, now: datetime) -> None:
    """Post an asynchronous receipt to the address its message asks for it at, while that address is agreed.

    The address came in a header anybody can write. It is held against the partner's terms again at each try, must be on the
    public internet unless the terms say otherwise, and gets the link's credentials because its origin is one of the link's.
    """
    mdn = claim.delivery.transmission
    if mdn is None:
        raise ValueError(f"{claim.delivery} names no transmission")
    terms = directory.profile(mdn.partner_id).as2
    address = str(mdn.evidence.get("to", ""))
    outcome: http.HttpAnswer | Setback
    if terms is None or not addresses.may_go_to(terms, address):
        outcome = Setback(
            why="its address is not one that is agreed with the partner: enter its origin at the AS2 link, then retry",
            final=True,
            asked=False,
        )
    else:
        headers = {name: value for name, value in mdn.headers.items() if name.lower() != "content-length"}
        began = time.monotonic()
        outcome = post(address, headers, mdn.raw.content, terms.http, now=now, public_only=not terms.private_network)
        _count(breakers.receipt(mdn.partner_id), outcome, time.monotonic() - began)
    with transaction.atomic():
        if isinstance(outcome, Setback):
            if not _set_back(claim, outcome, settings.RETRY_SCHEDULE_MIN[DeliveryKind.RECEIPT]):
                _open_undeliverable(claim, mdn, outcome.why)
            return
        outbox.finish(claim, mdn.message_id)
        mdn = receipts.held(mdn)
        if mdn.state == TransmissionState.PREPARED:  # a repeated message has its receipt sent again
            states.advance(mdn, TransmissionState.SENT, answer_status=outcome.status)
        events.record("receipt.sent", transmission=mdn.about or mdn, status=outcome.status)
        for given_up in mdn.deliveries.filter(state=DeliveryState.DEAD):
            outbox.conclude(given_up, DeliveryState.DELIVERED, "sent again for a repeat of the message")
            exception_queue.settle(f"dead:{given_up.pk}", note=_TOOK_IT)
        exception_queue.settle(_undeliverable(mdn), note=_TOOK_IT)


def _open_undeliverable(claim: outbox.Claim, mdn: Transmission, why: str) -> None:
    exception_queue.open_case(
        "receipt_undeliverable",
        summary=f"Our receipt for {mdn.about.message_id if mdn.about else 'a message'} cannot be delivered: {why}",
        fingerprint=_undeliverable(mdn),
        detail={"why": why, "address": str(mdn.evidence.get("to", ""))},
        transmission=mdn,
        delivery=claim.delivery,
    )


def _undeliverable(mdn: Transmission) -> str:
    return f"receipt_undeliverable:{mdn.uid}"


# ------------------------------------------------------------------------------------------------------------ both
def post(
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    terms: HttpTerms,
    *,
    now: datetime,
    public_only: bool = False,
) -> http.HttpAnswer | Setback:
    """Post once, well within the lease; a 2xx answer, or why there is none."""
    try:
        answer = http.post(
            url,
            headers,
            body,
            terms,
            timeout_s=min(terms.timeout_s, settings.LEASE.total_seconds() / 2),
            public_only=public_only,
        )
    except NotPublic as refused:
        why = f"{refused}. When the partner is in a network of ours, tick that at the AS2 link, then retry"
        return Setback(why=why, final=True, asked=False)
    except Unreachable as error:
        return Setback(why=str(error), broken=True, hung=True)
    except InDoubt as error:
        return Setback(why=str(error), in_doubt=True, broken=True, hung=True)
    status = f"HTTP {answer.status}"
    if answer.status in _AGAIN or answer.status >= 500:
        return Setback(why=status, in_doubt=answer.status >= 500, broken=True, after_s=_retry_after_s(answer, now))
    if answer.status >= 400:
        wants = answer.status in {401, 407}
        reason = (
            "the partner's server wants a name and password, or others: enter them at the AS2 link, then retry"
            if wants
            else "the partner's server refuses the message"
        )
        return Setback(why=f"{status}: {reason}", final=True)
    if answer.status >= 300:
        return Setback(why=f"{status}: {_pointer(answer)}", final=True)
    return answer


def _count(remote: str, outcome: http.HttpAnswer | Setback, took_s: float, *, owes: bool = False) -> None:
    """Tell what a POST says of the server it went to, whatever it was.

    Args:
        owes: a 2xx should have held a valid receipt and did not: a page of a proxy, a server that lost its key.
    """
    if isinstance(outcome, Setback) and not outcome.asked:
        return
    if isinstance(outcome, Setback) and outcome.broken:
        breakers.failed(remote, outcome.why, took_s=took_s, hung=outcome.hung, retry_after_s=outcome.after_s)
    elif isinstance(outcome, http.HttpAnswer) and owes:
        breakers.failed(remote, f"HTTP {outcome.status} without a valid receipt", took_s=took_s)
    elif breakers.succeeded(remote, took_s=took_s):
        outbox.wake_on_commit(breakers.kind_of(remote))


def _pointer(answer: http.HttpAnswer) -> str:
    location = "".join(mark if mark.isprintable() else "?" for mark in answer.headers.get("location", ""))[:200]
    where = f"points to {location}" if location else "points elsewhere"
    return f"the partner's server {where}, which is not followed: enter the address there if it is right, then retry"


def _retry_after_s(answer: http.HttpAnswer, now: datetime) -> float | None:
    """Retry-After in seconds, said as such or as a date; None when there is none that can be read."""
    said = answer.headers.get("retry-after", "").strip()
    if said.isascii() and said.isdigit():
        return min(float(said[:12]), _LONGEST_PAUSE_S)
    try:
        at = parsedate_to_datetime(said)
    except ValueError:
        return None
    at = at if at.tzinfo else timezone.make_aware(at)
    return min(max((at - now).total_seconds(), 0.0), _LONGEST_PAUSE_S)
