"""Our side of a row: the gateway with one partner whose terms are the row's, its door over HTTP, its outbox by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.db import transaction

from gateway import outbox
from gateway.models import Blob, DeliveryKind, Transmission, TransmissionState
from gateway.pipeline import relay
from partners import onboarding
from partners.models import TradingPartner
from partners.models.choices import CertificateRole
from partners.profiles import Algorithms, As2Terms, CertificateRef, Channel, Direction
from tests.interop.cases import Case
from tests.interop.credentials import Credentials
from tests.interop.peers import GATEWAY, PEER

#: Terms of ours for each value of a row's algorithms.
ALGORITHMS: dict[str, dict[str, str]] = {
    "legacy": {"algorithms": Algorithms.LEGACY, "digest": "sha1", "cipher": "des_ede3_cbc"},
    "aes128": {"digest": "sha256", "cipher": "aes128_cbc"},
    "aes256": {"digest": "sha512", "cipher": "aes256_cbc"},
    "gcm": {"digest": "sha384", "cipher": "aes256_gcm"},
    "pss": {"digest": "sha256", "cipher": "aes256_cbc", "signature_scheme": "pss"},
    "oaep": {"digest": "sha256", "cipher": "aes256_cbc", "key_transport": "oaep_sha256"},
    "ec": {"digest": "sha256", "cipher": "aes128_cbc"},
}


def agreed(case: Case) -> dict[str, Any]:
    """The columns of ``As2Link`` that follow from a row."""
    return {
        "signed": case.is_signed,
        "encrypted": case.is_encrypted,
        "compressed": case.compression != "none",
        "compressed_after_signing": case.compression == "after",
        "signed_mdn": case.receipt in {"signed", "async"},
        "async_mdn": case.receipt == "async",
        **ALGORITHMS[case.algorithms],
        **({"key_transport": "oaep_sha1"} if case.algorithms == "oaep" and case.peer == "pyas2lib" else {}),
    }


def terms(case: Case, credentials: Credentials) -> As2Terms:
    """The same for the engine alone, where no partner is."""
    columns = agreed(case)
    ours, theirs = (
        (credentials.gateway_curve, credentials.peer_curve)
        if case.algorithms == "ec"
        else (credentials.gateway, credentials.peer)
    )
    return As2Terms(
        our_name=GATEWAY,
        their_name=PEER,
        url="http://127.0.0.1:9/as2",
        our_signing=(ours,),
        our_decryption=(credentials.gateway,),
        their_signing=(replace(theirs, private_key_pem=None),),
        their_encryption=(replace(credentials.peer, private_key_pem=None),),
        max_bytes=100 * 1024 * 1024,
        **{**columns, "algorithms": Algorithms(columns.get("algorithms", Algorithms.SECURE))},
    )


class Door:
    """The gateway with one partner."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._partner = TradingPartner()

    def agree(self, case: Case, *, their_url: str, our_url: str, **wrong: CertificateRef) -> None:
        """Set the gateway up as the row says.

        Args:
            wrong: what it takes instead of the right one: ``our_key``, ``their_encryption``, ``their_authority``,
                ``their_client``.
        """
        ours = wrong.get("our_key", self._credentials.gateway)
        theirs = [_certificate(self._credentials.peer)]
        if other := wrong.get("their_encryption"):
            theirs = [
                {**theirs[0], "role": CertificateRole.SIGN},
                {**_certificate(other), "role": CertificateRole.ENCRYPT},
            ]
        ours_tls = [self._credentials.client.ref] if case.transport == "mtls" else []
        theirs_tls = [wrong.get("their_client", ref) for ref in ours_tls]
        onboarding.own_identity(
            {
                "name": "Main plant",
                "as2_name": GATEWAY,
                "as2_url": our_url,
                "isa_qualifier": "ZZ",
                "isa_id": "PLANTEDI",
                "certificates": [_certificate(ours, key=True), *(_tls(ref, key=True) for ref in ours_tls)],
            }
        )
        authorities = {"https-self": self._credentials.self_signed, "https-ca": self._credentials.authority}
        authority = wrong.get("their_authority", authorities.get(case.transport, self._credentials.authority).ref)
        trusted = authority.certificate_pem.decode()
        self._partner = onboarding.set_up(
            {
                "code": "PEER",
                "name": "Peer",
                "state": "live",
                "as2": {
                    "their_name": PEER,
                    "url": their_url,
                    "max_megabytes": 100,
                    "private_network": True,
                    "authorities_pem": "" if case.transport == "http" else trusted,
                    "present_client_certificate": case.transport == "mtls",
                    "demand_client_certificate": case.transport == "mtls",
                    **agreed(case),
                },
                "certificates": [*theirs, *(_tls(ref) for ref in theirs_tls)],
            }
        )

    def send(self, payload: bytes, *, content_type: str, file_name: str) -> Transmission:
        """Hand one file to the outbox, post it, and return what became of it."""
        with transaction.atomic():
            blob = Blob.put(payload)
            row = Transmission.objects.create(
                direction=Direction.OUTBOUND,
                channel=Channel.AS2,
                partner=self._partner,
                format="x12",
                state=TransmissionState.PREPARED,
                content_type=content_type,
                file_name=file_name,
                raw=blob,
                payload=blob,
            )
            outbox.enqueue(DeliveryKind.PARTNER, f"interop:{row.uid}", transmission=row)
        self.work(DeliveryKind.PARTNER)
        row.refresh_from_db()
        return row

    @staticmethod
    def received(message_id: str) -> Transmission:
        return Transmission.objects.get(direction=Direction.INBOUND, message_id=message_id)

    @staticmethod
    def work(kind: DeliveryKind) -> int:
        """Do what is due of one kind, once."""
        return relay.work(kind, "interop", most=10)


def _certificate(ref: CertificateRef, *, key: bool = False) -> dict[str, str]:
    spec = {"certificate": ref.certificate_pem.decode()}
    return {**spec, "private_key": (ref.private_key_pem or b"").decode()} if key else spec


def _tls(ref: CertificateRef, *, key: bool = False) -> dict[str, str]:
    return {**_certificate(ref, key=key), "role": CertificateRole.TLS}
