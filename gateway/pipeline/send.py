"""Send: a prepared transmission goes to its partner over AS2.

Id, bytes and digests are fixed before the first byte leaves; every retry and every resend is the same bytes under the same id,
so that a partner who has the message already answers with the receipt it gave the first time.
"""

from __future__ import annotations

import base64
import logging
from datetime import datetime
from typing import Final

from django.conf import settings
from django.db import transaction

from gateway import outbox
from gateway.models import Blob, Transmission
from gateway.pipeline import receipts
from gateway.transports import as2, http
from gateway.transports.errors import InDoubt, Refused, Unreachable
from partners import directory
from partners.profiles import As2Terms

log = logging.getLogger(__name__)


def to_partner(claim: outbox.Claim, *, now: datetime) -> None:
    """Post a prepared transmission to its partner over AS2 and read the receipt."""
    transmission = claim.delivery.transmission
    if transmission is None or transmission.payload is None:
        raise ValueError(f"{claim.delivery} names no transmission")
    terms = directory.profile(transmission.partner_id).as2
    if terms is None or terms.url is None:
        outbox.bury(claim, "the partner has no AS2 address: enter its URL, then retry")
        return
    if not transmission.message_id:
        _fix_bytes(transmission, terms)
    try:
        answer = http.post(
            terms.url,
            transmission.headers,
            transmission.raw.content,
            terms.http,
            timeout_s=min(terms.http.timeout_s, settings.LEASE.total_seconds() / 2),
        )
    except Unreachable as error:
        outbox.retry(claim, str(error), in_doubt=claim.doubtful)
        return
    except InDoubt as error:
        outbox.retry(claim, str(error), in_doubt=True)
        return
    except Refused as error:
        outbox.bury(claim, str(error))
        return
    if answer.status in _RETRY_STATUS or answer.status >= 500:
        outbox.retry(claim, f"HTTP {answer.status}", in_doubt=answer.status >= 500)
    elif answer.status >= 300:
        outbox.bury(claim, f"HTTP {answer.status}: the partner's server refuses the message")
    else:
        receipts.in_the_answer(claim, transmission, terms, answer)


#: Request time-out, too early, too many requests: the partner says "again, later".
_RETRY_STATUS: Final = frozenset({408, 425, 429})


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
    with transaction.atomic():
        kept = Transmission.objects.filter(pk=transmission.pk, message_id="").update(
            message_id=message_id,
            headers=dict(message.headers),
            raw=Blob.put(message.body),
            covered=Blob.put(message.covered),
            evidence={"signed_with": message.signed_with, "encrypted_for": list(message.encrypted_for)},
            digests={name: base64.b64encode(digest).decode() for name, digest in message.digests.items()},
        )
    if not kept:
        log.info("transmission=%s was prepared by another worker", transmission.pk)
    transmission.refresh_from_db()


def _domain(name: str) -> str:
    """Our AS2 name as the right side of a Message-ID."""
    return "".join(mark if mark.isalnum() else "-" for mark in name.lower()).strip("-") or "gateway"
