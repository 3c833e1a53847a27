"""Every certificate a link ever had, ended and expired ones too: for proving old exchanges, never for new ones."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from partners import certificates
from partners.keystore import KeystoreError
from partners.models import Certificate
from partners.profiles import CertificateRef


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptCertificate:
    """One certificate as it stands in its row."""

    partner_id: int | None  #: whose it is; None with the next: it is in no row
    own_identity_id: int | None  #: … or which identity of ours
    ref: CertificateRef  #: with its private key when it is ours and the key still opens
    subject: str
    not_before: datetime
    not_after: datetime
    used_until: datetime | None  #: when a person ended it; None: nobody has

    def was_good_at(self, moment: datetime) -> bool:
        """Whether it was valid at ``moment`` and not taken out of use before."""
        return self.not_before <= moment <= self.not_after and (self.used_until is None or moment < self.used_until)


def certificates_of(partner_id: int) -> list[KeptCertificate]:
    """The partner's certificates, the newest first."""
    return [_kept(row) for row in Certificate.objects.filter(partner=partner_id).order_by("-not_before", "-pk")]


def own_certificates() -> list[KeptCertificate]:
    """Those of all our identities, the newest first: a link may have changed its identity since."""
    rows = Certificate.objects.filter(partner=None).select_related("private_key").order_by("-not_before", "-pk")
    return [_kept(row) for row in rows]


def read(pem: bytes) -> KeptCertificate:
    """A certificate that is in no row, as somebody kept it in a file.

    Raises:
        CertificateError: it cannot be read. The text says what to do.
    """
    facts = certificates.read(pem)
    return KeptCertificate(
        partner_id=None,
        own_identity_id=None,
        ref=CertificateRef(fingerprint=facts.fingerprint, certificate_pem=facts.pem.encode("ascii")),
        subject=facts.subject,
        not_before=facts.not_before,
        not_after=facts.not_after,
        used_until=None,
    )


def called(fingerprints: set[str]) -> dict[str, KeptCertificate]:
    """Those with these fingerprints, without private keys; what is in no row is left out."""
    rows = Certificate.objects.filter(fingerprint__in=fingerprints).order_by("pk")
    return {row.fingerprint: _kept(row, with_key=False) for row in rows}


def _kept(row: Certificate, *, with_key: bool = True) -> KeptCertificate:
    return KeptCertificate(
        partner_id=row.partner_id,
        own_identity_id=row.own_identity_id,
        ref=CertificateRef(
            fingerprint=row.fingerprint,
            certificate_pem=row.certificate_pem.encode("ascii"),
            private_key_pem=_key(row) if with_key else None,
        ),
        subject=row.subject,
        not_before=row.not_before,
        not_after=row.not_after,
        used_until=row.active_until,
    )


def _key(row: Certificate) -> bytes | None:
    """The private key in clear; None when there is none or its wrapping key was lost: what it opened stays closed."""
    try:
        return row.sealed_key.reveal() if row.sealed_key else None
    except KeystoreError:
        return None
