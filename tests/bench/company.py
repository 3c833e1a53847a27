"""Onboards the supplier of the whole way and releases orders to it: ``python -m tests.bench.company``, facts as JSON on stdin.

The orders stand in the order book as if they had left long ago: what is measured begins with the supplier's answer.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import django

LINES: Final = 20  #: of every order and its acknowledgment
SUPPLIER_NUMBER: Final = "100017"
COMPANY: Final = "PLANT-01"
_AT_ONCE: Final = 50  #: orders in one transaction


def order(number: str) -> dict[str, Any]:
    """One order as the ERP has it."""
    lines = [
        {
            "line_number": str(line),
            "quantity": str(10 * line),
            "unit": "EA",
            "unit_price": "4.20",
            "product_ids": [{"kind": "buyer_part", "value": f"MW-{line:05d}"}],
            "dates": {"delivery_requested": "2027-01-15"},
        }
        for line in range(1, LINES + 1)
    ]
    return {"type": "purchase_order", "number": number, "ordered_on": "2026-11-16", "currency": "USD", "lines": lines}


def set_up(facts: dict[str, Any]) -> None:
    """Migrate; then ourselves, the ERP, the supplier and its orders."""
    from django.core.management import call_command

    from gateway.models import ErpConnection
    from partners import onboarding

    call_command("migrate", interactive=False, verbosity=0)
    onboarding.own_identity(facts["identity"])
    supplier = onboarding.set_up(facts["supplier"])
    connection = ErpConnection.objects.create(code="erp", base_url=facts["erp_url"])
    connection.set_token(facts["erp_token"])
    _release(facts["orders"], connection, supplier.pk)


def _release(numbers: Sequence[str], connection: Any, partner_id: int) -> None:
    from django.db import transaction
    from django.utils import timezone

    from edi_maps.canonical import PurchaseOrder
    from gateway import order_book

    now = timezone.now()
    for start in range(0, len(numbers), _AT_ONCE):
        with transaction.atomic():
            for number in numbers[start : start + _AT_ONCE]:
                order_book.release(
                    connection=connection,
                    company=COMPANY,
                    number=number,
                    erp_key=f"{COMPANY}:{number}",
                    revision=1,
                    cancelled=False,
                    record=PurchaseOrder.model_validate(order(number)),
                    partner_id=partner_id,
                    ack_due_at=now + timedelta(days=30),
                    now=now,
                )


if __name__ == "__main__":
    django.setup()
    set_up(json.load(sys.stdin))
