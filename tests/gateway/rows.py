"""Rows for tests: the least that hangs together."""

from __future__ import annotations

from typing import Any

from gateway.models import Document
from partners.models import TradingPartner


def a_partner(code: str = "ACME", **fields: Any) -> TradingPartner:
    return TradingPartner.objects.get_or_create(code=code, defaults={"name": f"{code} Ltd", "state": "live", **fields})[
        0
    ]


def a_document(**fields: Any) -> Document:
    given = {
        "direction": "inbound",
        "channel": "as2",
        "type": "order_acknowledgment",
        "format": "x12",
        "number": "4711",
        "partner": fields.pop("partner", None) or a_partner(),
    }
    return Document.objects.create(**(given | fields))
