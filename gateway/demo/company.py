"""The invented company of the demo: one manufacturer with two plants, and three suppliers, each with its own way in."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from gateway.models import ErpConnection
from partners import certificates, onboarding
from partners.models import ApiKey, OwnIdentity
from partners.models.choices import ApiEnvironment

FILES: Final = Path(__file__).parent / "files"
OUR_AS2_NAME: Final = "MERIDIAN-AS2"
THEIR_AS2_NAME: Final = "ACME-AS2"


def set_up(*, folder: Path, erp_url: str, erp_token: str, supplier_url: str, now: datetime) -> dict[str, str]:
    """Onboard everybody, as procurement would with an import file.

    Returns:
        The API keys of the suppliers that have one, by partner code: shown once, kept only as a hash.
    """
    certificate, key = certificates.self_signed(THEIR_AS2_NAME, now=now, valid_for=timedelta(days=365), bits=2048)
    (folder / "acme.pem").write_text(certificate)
    (folder / "acme.key").write_bytes(key)
    (folder / "acme.key").chmod(0o600)
    identity = onboarding.own_identity(
        {
            "name": "Meridian Works",
            "as2_name": OUR_AS2_NAME,
            "isa_qualifier": "ZZ",
            "isa_id": "MERIDIANMFG",
            "make_certificate": True,
        },
        now=now,
    )
    (folder / "meridian.pem").write_text(_our_certificate(identity))
    connection = ErpConnection.objects.create(code="erp-main", base_url=erp_url)
    connection.set_token(erp_token)
    partners = [onboarding.set_up(spec) for spec in _suppliers(certificate, supplier_url)]
    return {
        partner.code: ApiKey.issue(partner, ApiEnvironment.LIVE, label="demo")[1]
        for partner in partners
        if partner.code != "ACME"
    }


def supplier_config(*, folder: Path, port: int, gateway_url: str, mdn: str = "sync") -> Path:
    """Write the configuration of the program that plays the AS2 supplier; returns its file.

    Args:
        mdn: how it asks for our receipts: "sync" in the answer, "async" by a request of their own.
    """
    file = folder / "acme.json"
    config = {
        "as2_name": THEIR_AS2_NAME,
        "certificate": "acme.pem",
        "key": "acme.key",
        "peer_as2_name": OUR_AS2_NAME,
        "peer_signing_certificate": "meridian.pem",
        "peer_url": f"{gateway_url}/as2",
        "listen": f"127.0.0.1:{port}",
        "data": "acme",
        "mdn": mdn,
        "receipt_address": f"http://127.0.0.1:{port}/receipts",
    }
    file.write_text(json.dumps(config, indent=1))
    return file


def _our_certificate(identity: OwnIdentity) -> str:
    return str(identity.certificates.order_by("pk")[0].certificate_pem)


def _suppliers(certificate: str, supplier_url: str) -> list[dict[str, Any]]:
    usual = (("purchase_order", "outbound"), ("order_acknowledgment", "inbound"), ("ship_notice", "inbound"))
    changes = (("purchase_order_change", "outbound"), ("change_acknowledgment", "inbound"))

    def agreed(
        documents: Iterable[tuple[str, str]], channel: str, format: str, sheet: str = ""
    ) -> list[dict[str, str]]:
        return [
            {"document": document, "direction": direction, "channel": channel, "format": format, "sheet": sheet}
            for document, direction in documents
        ]

    return [
        {
            "code": "ACME",
            "name": "Acme Fastening",
            "state": "live",
            "supplier_numbers": ["100017"],
            "x12": {"their_qualifier": "ZZ", "their_id": "ACMEFASTEN", "usage": "T"},
            "as2": {"their_name": THEIR_AS2_NAME, "url": f"{supplier_url}/as2", "private_network": True},
            "ack": {"days_late": 3},
            "agreements": agreed((*usual, *changes), "as2", "x12"),
            "certificates": [{"certificate": certificate, "role": "both"}],
        },
        {
            "code": "CASTRA",
            "name": "Castra Foundry",
            "state": "live",
            "supplier_numbers": ["100023"],
            "agreements": agreed(usual, "rest", "canonical_json"),
        },
        {
            "code": "BOLTCO",
            "name": "Boltco Supply",
            "state": "live",
            "supplier_numbers": ["100031"],
            "agreements": agreed(usual, "portal_json", "portal_json", "boltco"),
        },
    ]
