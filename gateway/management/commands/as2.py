"""``manage.py as2``: what the stored rows prove about an AS2 exchange, without the network."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError

from gateway import blob_store
from gateway.pipeline import evidence, exhibits
from gateway.pipeline.evidence import Proof, Step
from partners import history
from partners.certificates import CertificateError
from partners.history import KeptCertificate

#: Exit codes.
PROVED: Final = 0
NOT_PROVED: Final = 1
UNUSABLE: Final = 2

_MARKS: Final = {True: "✔", False: "✘", None: "?"}
_VERIFY: Final = """\
Goes through one exchange step by step, from the stored bytes, certificates and audit trail alone: ✔ holds, ✘ does not,
? cannot be shown any more. For a message of ours: that the partner's signed receipt is about exactly these bytes. For a
message of a partner: that it signed exactly these bytes, and that the receipt we gave says so.

Exit code: 0 proved, 1 not proved, 2 no such message, or nothing to go by.
"""


class Command(BaseCommand):
    help = "Prove AS2 exchanges from what is stored. Nothing is sent and nothing is changed."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        verify = actions.add_parser(
            "verify-receipt",
            help="who signed what, and does everything still fit together?",
            description=_VERIFY,
            formatter_class=RawDescriptionHelpFormatter,
        )
        verify.add_argument("id", metavar="ID", help="number or uid of the transmission, or its Message-ID")
        verify.add_argument(
            "--certificate",
            type=Path,
            action="append",
            default=[],
            metavar="FILE",
            help="a certificate of the partner that is no longer here (PEM or DER); may be given several times",
        )
        verify.add_argument("--json", action="store_true", dest="as_json", help="one JSON object instead of text")
        verify.add_argument(
            "--export",
            type=Path,
            metavar="DIR",
            help="write what somebody else needs to check it with openssl; no private key among it",
        )

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        outcome = {"verify-receipt": self.verify_receipt}[action](**options)
        if outcome:
            sys.exit(outcome)

    def verify_receipt(self, *, id: str, certificate: list[Path], as_json: bool, export: Path | None, **_: Any) -> int:
        extra = [_certificate(path) for path in certificate]
        try:
            proof = evidence.prove(evidence.find(id), extra)
            written = exhibits.write(proof, export, extra) if export else []
        except evidence.Unusable as exc:
            raise CommandError(str(exc), returncode=UNUSABLE) from exc
        except blob_store.StoreError as exc:
            raise CommandError(f"The stored bytes cannot be read: {exc}", returncode=UNUSABLE) from exc
        except OSError as exc:
            raise CommandError(f"{export}: {exc.strerror}", returncode=UNUSABLE) from exc
        if as_json:
            self.stdout.write(json.dumps(_as_data(proof), ensure_ascii=True))
        else:
            self.stdout.write("\n".join([_title(proof), *map(_line, proof.steps), "", proof.conclusion]))
            if written:
                self.stdout.write(f"Written to {export}: {', '.join(written)}")
        return PROVED if proof.proved else NOT_PROVED


def _certificate(path: Path) -> KeptCertificate:
    try:
        return history.read(path.read_bytes())
    except OSError as exc:
        raise CommandError(f"{path}: {exc.strerror}", returncode=UNUSABLE) from exc
    except CertificateError as exc:
        raise CommandError(f"{path}: {exc}", returncode=UNUSABLE) from exc


def _title(proof: Proof) -> str:
    row = proof.transmission
    way = "to" if row.direction == "outbound" else "from"
    return f"Transmission {row.pk} {way} {row.partner.code}, {row.at:%Y-%m-%d %H:%M:%S} UTC, {row.message_id}\n"


def _line(step: Step) -> str:
    if step.held:
        return f"✔ {step.what}"
    told = [f"{_MARKS[step.held]} {step.what}", f"    but {step.why}", f"    {step.todo}"]
    return "\n".join(line for line in told if line.strip())


def _as_data(proof: Proof) -> dict[str, Any]:
    row = proof.transmission
    return {
        "transmission": row.pk,
        "uid": str(row.uid),
        "message_id": row.message_id,
        "direction": row.direction,
        "partner": row.partner.code,
        "proved": proof.proved,
        "conclusion": proof.conclusion,
        "steps": [
            {"held": step.held, "what": step.what} | ({} if step.held else {"why": step.why, "todo": step.todo})
            for step in proof.steps
        ],
    }
