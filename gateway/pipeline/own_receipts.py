"""Own receipts: our asynchronous MDNs, from the commit that stores the message they are for to the outbox.

Such a receipt is a transmission of its own, signed and fixed before that commit. A partner repeats a message because its
receipt did not arrive, so a repeat sends the same bytes again, unless they are on their way already.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from django.db import transaction

from gateway import events, outbox
from gateway.models import Blob, DeliveryKind, DeliveryState, Transmission, TransmissionState
from partners.profiles import Direction

#: A captured message can be posted any number of times; its receipt goes out so often at most.
MOST_TIMES: Final = 50
#: It will be tried without anybody asking for it.


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnReceipt:
    """A signed or unsigned MDN of ours, ready to post."""

    headers: Mapping[str, str]
    body: bytes = field(repr=False)


def queue(message: Transmission, receipt: OwnReceipt, *, to: str) -> Transmission:
    """Keep the receipt for ``message`` and queue it, in the transaction that stores the message.

    Args:
        to: the address it was asked for at, which the partner's terms allow.
    """
    row = Transmission.objects.create(
        direction=Direction.OUTBOUND,
        channel=message.channel,
        partner_id=message.partner_id,
        correlation_id=message.correlation_id,
        about=message,
        format="mdn",
        state=TransmissionState.PREPARED,
        message_id=receipt.headers.get("Message-ID", ""),
        content_type=receipt.headers.get("Content-Type", "")[:255],
        headers=dict(receipt.headers),
        raw=Blob.put(receipt.body),
        evidence={"to": to},
    )
    events.record("receipt.asked_at", transmission=message, to=to)
    outbox.enqueue(DeliveryKind.RECEIPT, f"receipt:{row.uid}", transmission=row)
    return row


def queue_again(message: Transmission, *, to: str) -> None:
    """Send the stored receipt for a repeated ``message`` once more, if it has one that is not on its way.

    Args:
        to: where the repeat asks for it: a partner that mended its address names the new one. Empty: nowhere, so that it
            goes where it went.
    """
    with transaction.atomic():
        row = message.belongings.filter(direction=Direction.OUTBOUND, format="mdn").first()
        if row is None:
            return
        if to and to != row.evidence.get("to"):
            row.evidence = {**row.evidence, "to": to}
            row.save(update_fields=["evidence"])
            events.record("receipt.asked_at", transmission=message, to=to)
        times = row.deliveries.count()
        if times >= MOST_TIMES or row.deliveries.filter(state=DeliveryState.OPEN).exists():
            return
        # Of two repeats at once both count the same, and the second finds the key taken.
        outbox.enqueue(DeliveryKind.RECEIPT, f"receipt:{row.uid}:{times}", transmission=row)
