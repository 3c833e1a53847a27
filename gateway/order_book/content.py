"""What of an order the buyer owns: the content whose change is a change of the order."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from edi_maps import canonical
from edi_maps.canonical import PurchaseOrder
from gateway.order_book import days
from gateway.order_book.lines import line_key, plain


def fingerprint(record: PurchaseOrder, *, cancelled: bool) -> str:
    """SHA-256 over what the buyer owns: quantity, unit, price, requested days, ship-to, item, cancellation.

    What suppliers and ERPs write back (promised days, their item numbers, notes, descriptions) is left out.
    """
    if cancelled:
        return hashlib.sha256(b"cancelled").hexdigest()
    content = {
        "currency": record.currency,
        "ship_to": _ship_to(record.parties),
        "lines": sorted((owned(line, record) for line in record.lines), key=lambda line: str(line["number"])),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def owned(line: canonical.OrderLine, record: PurchaseOrder) -> dict[str, Any]:
    """What the buyer owns of one line, JSON-ready; what its order says for all lines included."""
    return {
        "number": line_key(line.line_number or ""),
        "quantity": plain(line.quantity),
        "unit": line.unit,
        "price": plain(line.unit_price),
        "basis": line.price_basis,
        "items": sorted([product.kind, product.value] for product in _buyer_ids(line)),
        "due": [[due.on.isoformat(), plain(due.quantity), due.family] for due in days.required(line, record)],
        "to": sorted([place.location, plain(place.quantity), place.unit or ""] for place in line.destinations),
        "ship_to": _ship_to(line.parties),
    }


def _buyer_ids(line: canonical.OrderLine) -> list[canonical.ProductId]:
    """Without the supplier's own number, which ERPs learn from answers; unless the line names nothing else."""
    ids = [product for product in line.product_ids if product.kind != "vendor_part"]
    return ids or list(line.product_ids)


def _ship_to(parties: tuple[canonical.Party, ...]) -> list[dict[str, Any]]:
    return [
        party.model_dump(mode="json", include={"id", "id_type", "name", "address"})
        for party in parties
        if party.role == "ship_to"
    ]
