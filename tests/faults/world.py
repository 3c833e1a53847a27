"""Onboards everybody of a soak: ``python -m tests.faults.world FOLDER``, with the facts in FOLDER/world.json.

Prints the API key of the supplier on REST.
"""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import django

_USUAL: Final = (("purchase_order", "outbound"), ("order_acknowledgment", "inbound"), ("ship_notice", "inbound"))


def set_up(folder: Path, facts: dict[str, Any]) -> str:
    """Migrate, then the ERP, ourselves and the suppliers, as an import file would have them."""
    from django.core.management import call_command
    from django.utils import timezone

    from gateway.models import ErpConnection
    from partners import certificates, onboarding
    from partners.models import ApiKey
    from partners.models.choices import ApiEnvironment
    from tests.faults.documents import OUR_ID
    from tests.faults.plan import NUMBERS, Supplier
    from tests.faults.suppliers import OUR_AS2_NAME

    call_command("migrate", interactive=False, verbosity=0)
    own = {"name": "Soak Works", "as2_name": OUR_AS2_NAME, "isa_qualifier": "ZZ", "isa_id": OUR_ID}
    identity = onboarding.own_identity({**own, "make_certificate": True}, now=timezone.now())
    (folder / "our.pem").write_text(str(identity.certificates.order_by("pk")[0].certificate_pem))
    connection = ErpConnection.objects.create(code="erp", base_url=facts["erp_url"])
    connection.set_token(facts["erp_token"])
    for code, one in facts["suppliers"].items():
        certificate, key = certificates.self_signed(
            one["as2_name"], now=timezone.now(), valid_for=timedelta(days=365), bits=2048
        )
        (folder / one["certificate"]).write_text(certificate)
        (folder / one["key"]).write_bytes(key)
        onboarding.set_up(
            {
                "code": code,
                "name": code.title(),
                "state": "live",
                "supplier_numbers": [NUMBERS[Supplier(code)]],
                "x12": {"their_qualifier": "ZZ", "their_id": one["isa"], "usage": "T"},
                "as2": {"their_name": one["as2_name"], "url": one["url"], "private_network": True},
                "agreements": _agreed("as2", "x12"),
                "certificates": [{"certificate": certificate, "role": "both"}],
            }
        )
    rest = onboarding.set_up(
        {
            "code": Supplier.REST.value,
            "name": "Castra",
            "state": "live",
            "supplier_numbers": [NUMBERS[Supplier.REST]],
            "agreements": _agreed("rest", "canonical_json"),
        }
    )
    return ApiKey.issue(rest, ApiEnvironment.LIVE, label="soak")[1]


def _agreed(channel: str, format: str) -> list[dict[str, str]]:
    return [
        {"document": document, "direction": direction, "channel": channel, "format": format, "sheet": ""}
        for document, direction in _USUAL
    ]


if __name__ == "__main__":
    django.setup()
    folder = Path(sys.argv[1])
    sys.stdout.write(set_up(folder, json.loads((folder / "world.json").read_text())))
