"""Receipts as ACME's server makes them, and the way of one that comes by a request of its own."""

from __future__ import annotations

from typing import Any

from gateway.models import DeliveryKind, Transmission
from gateway.pipeline import receipts, relay
from gateway.pipeline.receive import Answer, Incoming
from gateway.transports import as2
from partners import directory
from partners.models import As2Link, OwnIdentity, TradingPartner
from partners.profiles import As2Terms, Channel
from tests.gateway.pipeline.conftest import SupplierServer
from tests.gateway.queue_rows import make_due


def ask_for_later_receipts(*, async_mdn: bool = True, **terms: Any) -> None:
    """From now on ACME's receipts are asked for at our address."""
    OwnIdentity.objects.update(as2_url="https://as2.plant.example/as2")
    As2Link.objects.update(async_mdn=async_mdn, **terms)


def taken(headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
    """What a server answers that gives its receipt later."""
    return 204, {}, b""


def mdn_of(
    supplier: SupplierServer, *, disposition: str = "processed", terms: As2Terms | None = None, place: int = 0
) -> as2.Mdn:
    """ACME's receipt for a message it got."""
    return receipt_for(*supplier.received[place], terms or supplier.terms, disposition)


def receipt_for(headers: dict[str, str], body: bytes, terms: As2Terms, disposition: str = "processed") -> as2.Mdn:
    received = as2.receive(headers, body, terms)
    mic = (received.mic, received.mic_algorithm) if disposition.startswith("processed") else None
    return as2.build_mdn(headers, terms=terms, disposition=disposition, mic=mic, text="Said by ACME.")


def arrive(mdn: as2.Mdn, code: str = "ACME") -> Answer:
    """Hand a receipt over as the door does, in the name of a partner."""
    partner = TradingPartner.objects.get(code=code)
    incoming = Incoming(channel=Channel.AS2, partner_id=partner.pk, format="mdn", raw=mdn.body, headers=mdn.headers)
    named = as2.original_message_id(mdn.headers, mdn.body)
    assert named is not None, "this is no receipt"
    return receipts.arrived(incoming, directory.profile(partner.pk), named)


def sent() -> Transmission:
    """The one message of ours."""
    return Transmission.objects.exclude(format="mdn").get(direction="outbound")


def try_once(kind: DeliveryKind = DeliveryKind.PARTNER) -> None:
    make_due()
    relay.work(kind, "test", most=1)


__all__ = ["arrive", "ask_for_later_receipts", "mdn_of", "receipt_for", "sent", "taken", "try_once"]
