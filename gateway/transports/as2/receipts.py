"""What receipt a request asks for. Source: RFC 4130 section 7.3."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.transports.as2.algorithms import MICALG, Policy, digest_called
from gateway.transports.as2.headers import value_of

_DEFAULT_DIGEST: Final = "sha256"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptRequest:
    """One request for an MDN."""

    signed: bool
    micalgs: tuple[str, ...]  #: as spelled by the asker, in his order; empty when he named none
    delivery_url: str | None  #: where an asynchronous MDN would go, unchecked; None: in the answer to this request

    def digest(self, policy: Policy) -> str | None:
        """The first digest asked for that the link allows; None when there is none among them."""
        if not self.micalgs:
            return _DEFAULT_DIGEST
        return next((name for spelling in self.micalgs if (name := digest_called(spelling)) in policy.digests), None)

    def label(self, digest: str) -> str:
        """``digest`` in the asker's own spelling, else in MIME's."""
        return next((spelling for spelling in self.micalgs if digest_called(spelling) == digest), MICALG[digest])


def requested_receipt(headers: Mapping[str, str]) -> ReceiptRequest | None:
    """Read the request for a receipt; None when no MDN is wanted.

    Disposition-Notification-To counts by its presence alone. The options come in any order, case and spacing, with or
    without a semicolon at the end.

    Raises:
        MalformedRequest: one of the three headers is repeated or too long.
    """
    if value_of(headers, "Disposition-Notification-To") is None:
        return None
    signed = False
    micalgs: tuple[str, ...] = ()
    for option in (value_of(headers, "Disposition-Notification-Options") or "").split(";"):
        name, _equals, value = option.partition("=")
        _importance, *values = [item.strip() for item in value.split(",")]
        match name.strip().lower():
            case "signed-receipt-protocol":
                signed = "pkcs7-signature" in (item.lower() for item in values)
            case "signed-receipt-micalg":
                micalgs = tuple(item for item in values if item)
    delivery_url = value_of(headers, "Receipt-Delivery-Option")
    return ReceiptRequest(signed=signed, micalgs=micalgs, delivery_url=delivery_url or None)
