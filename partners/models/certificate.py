"""Certificates, theirs and ours, with our private keys sealed beside them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.db.models.functions import Coalesce

from partners import certificates
from partners.certificates import CertificateError, CertificateFacts
from partners.models import choices
from partners.models.choices import CertificateRole
from partners.models.identity import OwnIdentity
from partners.models.partner import TradingPartner
from partners.models.secret import SealedSecret


class CertificateQuerySet(models.QuerySet["Certificate"]):
    def accepted(self, now: datetime, *, grace: timedelta = timedelta(0)) -> CertificateQuerySet:
        """Those within their validity at ``now`` and not taken out of use, the one taken into use last first.

        Args:
            grace: how long after they expired those of partners are accepted all the same.
        """
        late_enough = Q(not_after__gte=now) | Q(not_after__gte=now - grace, own_identity=None)
        return (
            self.not_ended(now)
            .filter(late_enough, not_before__lte=now)
            .order_by(Coalesce("active_from", "not_before").desc(), "-pk")
        )

    def not_ended(self, now: datetime) -> CertificateQuerySet:
        """Those that nobody has taken out of use, expired or not."""
        return self.filter(Q(active_until=None) | Q(active_until__gt=now))


class Certificate(models.Model):
    """One X.509 certificate for AS2. Several may be in use in one role: that is how a roll-over has no gap.

    None is deleted: it proves what was signed with it. It is ended by ``active_until``.
    """

    own_identity = models.ForeignKey(
        OwnIdentity, models.CASCADE, null=True, blank=True, editable=False, related_name="certificates"
    )
    partner = models.ForeignKey(
        TradingPartner, models.CASCADE, null=True, blank=True, editable=False, related_name="certificates"
    )
    role = models.CharField(
        max_length=8,
        choices=choices.certificate_roles,
        default=CertificateRole.BOTH.value,
        help_text="What it is used for. Most partners have one certificate to sign and encrypt with. TLS client: what a program "
        "shows when it connects to a server over HTTPS.",
    )
    certificate_pem = models.TextField("certificate", help_text="PEM: from BEGIN CERTIFICATE to END CERTIFICATE.")
    fingerprint = models.CharField(
        "SHA-256 fingerprint",
        max_length=64,
        editable=False,
        db_index=True,
        help_text="Compare it with the partner by telephone before going live.",
    )
    subject = models.CharField(max_length=500, editable=False)
    serial_number = models.CharField(max_length=64, editable=False)
    algorithm = models.CharField(max_length=40, editable=False)
    not_before = models.DateTimeField("valid from", editable=False)
    not_after = models.DateTimeField("valid until", editable=False, db_index=True)
    active_from = models.DateTimeField(
        "we use it from",
        null=True,
        blank=True,
        help_text="When we begin to sign or encrypt with it; empty: at once. The one taken into use last is the one used. "
        "What arrives under it is accepted as soon as it is here, so both sides may switch on different days.",
    )
    active_until = models.DateTimeField(
        "we use it until",
        null=True,
        blank=True,
        help_text="Then it neither signs nor encrypts, and what arrives under it is refused. Empty: until it expires. A "
        "certificate is never deleted, because it proves old messages: end one that is wrong or no longer safe with Now.",
    )

    announced_days = models.SmallIntegerField(
        null=True, editable=False
    )  # the last of ``expiry.ANNOUNCED_DAYS`` that was announced; null: none yet

    objects = CertificateQuerySet.as_manager()

    class Meta:
        ordering = ["-not_after"]
        constraints = [
            models.CheckConstraint(
                condition=Q(own_identity=None, partner__isnull=False) | Q(own_identity__isnull=False, partner=None),
                name="certificate_one_owner",
            ),
            models.UniqueConstraint(fields=["partner", "fingerprint"], name="certificate_once_a_partner"),
            models.UniqueConstraint(fields=["own_identity", "fingerprint"], name="certificate_once_an_identity"),
        ]

    def __str__(self) -> str:
        return f"{self.subject or 'certificate'} until {self.not_after:%Y-%m-%d}" if self.not_after else "certificate"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save with what the certificate says about itself.

        Raises:
            CertificateError: it cannot be read.
        """
        self.derive()
        super().save(*args, **kwargs)

    def clean(self) -> None:
        """Read the certificate and refuse what cannot be used.

        Raises:
            ValidationError: by field, in words.
        """
        if not self.certificate_pem or self.role not in list(CertificateRole):
            return  # the field's own error says it
        try:
            facts = self.derive()
        except CertificateError as error:
            raise ValidationError({"certificate_pem": str(error)}) from error
        if CertificateRole(self.role).serves(CertificateRole.ENCRYPT) and not facts.can_encrypt:
            raise ValidationError(
                {"role": f"A key of kind {facts.algorithm} can sign but not encrypt; choose sign, or send an RSA key."}
            )
        if self.active_from and self.active_until and self.active_from >= self.active_until:
            raise ValidationError({"active_until": "It ends before it begins; choose a later moment."})
        if self.active_from and self.active_from > facts.not_after:
            raise ValidationError({"active_from": f"The certificate has expired by then ({facts.not_after:%Y-%m-%d})."})
        twin = Certificate.objects.filter(
            partner=self.partner_id, own_identity=self.own_identity_id, fingerprint=self.fingerprint
        ).exclude(pk=self.pk)
        if twin.exists():
            raise ValidationError({"certificate_pem": "This certificate is already here; change that row instead."})

    def derive(self) -> CertificateFacts:
        """Fill fingerprint, subject and dates from the certificate.

        Raises:
            CertificateError: it cannot be read or used.
        """
        pem = self.certificate_pem.encode("ascii", "replace")  # PEM is ASCII
        facts = certificates.read(pem, for_tls=self.role == CertificateRole.TLS)
        self.certificate_pem, self.fingerprint, self.algorithm = facts.pem, facts.fingerprint, facts.algorithm
        self.subject, self.serial_number = facts.subject[:500], facts.serial_number
        self.not_before, self.not_after = facts.not_before, facts.not_after
        return facts

    def keep_private_key(self, key: certificates.PrivateKey) -> None:
        """Seal our private key beside this certificate, which must be saved already.

        Raises:
            CertificateError: the key is of another certificate, or the certificate is a partner's.
            KeystoreError: the wrapping key is not the one this database was sealed with.
        """
        if self.own_identity_id is None:
            raise CertificateError("A partner's private key has no business here; keep only its certificate.")
        if not certificates.belong_together(self.derive(), key):
            raise CertificateError(
                "The private key does not belong to this certificate. Send the key the certificate was made from."
            )
        row = PrivateKey.objects.filter(certificate=self).first() or PrivateKey(certificate=self)
        row.seal(certificates.to_pem(key))
        row.save()

    def used_at(self, now: datetime) -> bool:
        """Whether we sign or encrypt with it by ``now``; accepting what arrives under it does not wait for that."""
        return self.active_from is None or self.active_from <= now

    @property
    def sealed_key(self) -> PrivateKey | None:
        """Our private key, still sealed; None for a partner's certificate."""
        return getattr(self, "private_key", None)


class PrivateKey(SealedSecret):
    """The private key of one certificate of ours, sealed."""

    PURPOSE = "private key"

    certificate = models.OneToOneField(Certificate, models.CASCADE, related_name="private_key", editable=False)
