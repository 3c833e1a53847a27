"""The AS2 link of a partner: where it is, how messages are protected, how receipts come, what our requests need to get there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from partners import certificates
from partners.certificates import CertificateError
from partners.models import choices
from partners.models.grammar import (
    validate_as2_name,
    validate_http_user,
    validate_origins,
    validate_proxy_url,
    validate_retry_minutes,
    validate_url,
)
from partners.models.identity import OwnIdentity, only_own_identity
from partners.models.partner import TradingPartner
from partners.models.secret import SealedSecret
from partners.profiles import MAX_MESSAGE_MEGABYTES, Algorithms


class As2Link(models.Model):
    """The AS2 link between one of our identities and the partner. What is ticked is demanded inbound, done outbound."""

    partner = models.OneToOneField(TradingPartner, models.CASCADE, related_name="as2")
    own_identity = models.ForeignKey(
        OwnIdentity,
        models.PROTECT,
        related_name="+",
        default=only_own_identity,
        verbose_name="we are",
        help_text="Which of our identities they talk to: its AS2 name and its certificates.",
    )
    their_name = models.CharField(
        "their AS2 name",
        max_length=128,
        validators=[validate_as2_name],
        help_text="AS2-From of what they send, exactly as they spell it: upper and lower case differ.",
    )
    url = models.CharField(
        "their address",
        max_length=500,
        blank=True,
        validators=[validate_url],
        help_text="Where we post, e.g. https://as2.example.com/receive. Empty: they send, we cannot.",
    )

    # Protection
    signed = models.BooleanField(
        default=True, help_text="We sign, and refuse what comes unsigned. Leave it on: a signature says who sent it."
    )
    encrypted = models.BooleanField(
        default=True, help_text="We encrypt, and refuse what comes in clear. Leave it on unless both of you agreed."
    )
    compressed = models.BooleanField(default=False, help_text="Outbound only; inbound we read both.")
    compressed_after_signing = models.BooleanField(
        default=False,
        help_text="Compress the signature too. Only where the partner asks for it: most compress before signing.",
    )
    algorithms = models.CharField(
        max_length=8,
        choices=choices.algorithms,
        default=Algorithms.SECURE.value,
        help_text="What both sides may use. Legacy lets SHA-1 and 3DES pass, which can be broken: only until the partner "
        "has renewed its software. Modern refuses whatever is not AES-GCM with OAEP and SHA-2.",
    )
    digest = models.CharField(
        max_length=16,
        choices=choices.digests,
        default="sha256",
        help_text="Of our signatures and of the receipts we ask for.",
    )
    cipher = models.CharField(
        max_length=16,
        choices=choices.ciphers,
        default="aes256_cbc",
        help_text="What we encrypt with. AES-GCM notices any change on the way; ask whether their software reads it.",
    )
    signature_scheme = models.CharField(
        max_length=16,
        choices=choices.signature_schemes,
        default="pkcs1v15",
        help_text="How an RSA key of ours signs; PSS only where the partner reads it. An elliptic-curve key signs with ECDSA.",
    )
    key_transport = models.CharField(
        max_length=16,
        choices=choices.key_transports,
        default="pkcs1v15",
        help_text="How the key of a message is wrapped for them. OAEP is safer; ask whether their software reads it.",
    )
    all_recipients = models.BooleanField(
        "encrypt for all their certificates",
        default=False,
        help_text="While they change certificates, either of their keys opens what we send. Some software reads only the "
        "first recipient: leave it off then, and we use the certificate taken into use last.",
    )
    as2_version = models.CharField(
        "AS2 version",
        max_length=8,
        choices=choices.as2_versions,
        default="1.2",
        help_text="What we say we speak. 1.2 is what nearly everybody expects.",
    )
    expired_grace_days = models.PositiveIntegerField(
        "days of grace",
        default=0,
        validators=[MaxValueValidator(90)],
        help_text="So many days after it expired a certificate of theirs is still accepted, with a warning, 0 to 90. 0 refuses "
        "it at once. One that you ended is refused whatever stands here.",
    )

    # Receipts
    signed_mdn = models.BooleanField(
        "signed receipts",
        default=True,
        help_text="We ask for a signed MDN. Without one nothing proves that they have it.",
    )
    async_mdn = models.BooleanField(
        "receipts come later",
        default=False,
        help_text="We ask for an asynchronous MDN, posted to the address of our identity. For partners whose server cannot "
        "answer while we wait.",
    )
    mdn_timeout_minutes = models.PositiveIntegerField(
        "receipt is missed after minutes",
        default=76,
        validators=[MinValueValidator(1), MaxValueValidator(7 * 24 * 60)],
        help_text="From our message to their asynchronous MDN, 1 to 10080. Then the same bytes are sent again.",
    )
    receipt_origins = models.TextField(
        "where our receipts may go",
        blank=True,
        validators=[validate_origins],
        help_text="Scheme, host and port, one a line, e.g. https://mdn.example.com:8443, for partners that ask for asynchronous "
        "receipts at another host than their address. A receipt to any other host is not sent.",
    )

    # Retries and limits
    retry_minutes = models.CharField(
        "pauses between tries, in minutes",
        max_length=200,
        blank=True,
        validators=[validate_retry_minutes],
        help_text="E.g. 5, 10, 20, 40. When the last is over, somebody is told. Empty: as for everybody.",
    )
    timeout_s = models.PositiveIntegerField(
        "time-out in seconds",
        default=30,
        validators=[MinValueValidator(1), MaxValueValidator(110)],
        help_text="How long we wait for their answer, 1 to 110. Longer than a worker holds its work would send twice.",
    )
    max_megabytes = models.PositiveIntegerField(
        "largest message in MB",
        default=25,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_MESSAGE_MEGABYTES)],
        help_text="What they may send at most, 1 to 100.",
    )

    # Network
    verify_tls = models.BooleanField(
        "check their TLS certificate",
        default=True,
        help_text="Off only for a test partner on your own machine: nobody then proves who answers.",
    )
    authorities_pem = models.TextField(
        "their authorities",
        blank=True,
        help_text="PEM certificates of whoever issued their server's certificate, for a private authority or a self-signed "
        "server; trusted for this partner instead of the public ones. Empty: the public ones.",
    )
    present_client_certificate = models.BooleanField(
        "we present a client certificate",
        default=False,
        help_text="For servers that ask for one: the TLS certificate on the page of our identity.",
    )
    demand_client_certificate = models.BooleanField(
        "they must present a client certificate",
        default=False,
        help_text="Every request of theirs must come with one of their TLS certificates below; the proxy in front of the "
        "gateway passes it on. When all of them have ended, nothing is let in.",
    )
    http_user = models.CharField(
        "user name",
        max_length=200,
        blank=True,
        validators=[validate_http_user],
        help_text="HTTP Basic, if their server asks for it.",
    )
    proxy_url = models.CharField(
        "proxy",
        max_length=200,
        blank=True,
        validators=[validate_proxy_url],
        help_text="http://host:port of the proxy our requests to them leave by. Empty: none.",
    )
    proxy_user = models.CharField(
        "user name at the proxy",
        max_length=200,
        blank=True,
        validators=[validate_http_user],
        help_text="If the proxy asks for it.",
    )
    private_network = models.BooleanField(
        "in a network of ours",
        default=False,
        help_text="Their addresses may be private ones, e.g. 10.1.2.3. Only for partners behind a VPN or in our own "
        "network: off, nobody can make the gateway post into it.",
    )

    class Meta:
        verbose_name = "AS2 link"
        constraints = [
            models.UniqueConstraint(
                fields=["own_identity", "their_name"],
                name="as2_link_pair",
                violation_error_message="Another partner already uses this pair of AS2 names; a pair is one partner.",
            )
        ]

    def __str__(self) -> str:
        return self.their_name

    def clean(self) -> None:
        """Refuse terms that contradict each other, and put the authorities into plain PEM.

        Raises:
            ValidationError: by field, with what to change.
        """
        found = dict(self._contradictions())
        if self.authorities_pem.strip():
            try:
                self.authorities_pem = certificates.read_authorities(self.authorities_pem.encode("ascii", "replace"))
            except CertificateError as error:
                found["authorities_pem"] = str(error)
                if "PRIVATE KEY-----" in self.authorities_pem:
                    self.authorities_pem = ""
        if found:
            raise ValidationError(found)

    def keep_password(self, kind: type[LinkPassword], password: str) -> None:
        """Seal a password, in place of the former of its kind; this link must be saved already.

        Raises:
            KeystoreError: the wrapping key is not the one this database was sealed with.
        """
        row = kind.objects.filter(link=self).first() or kind(link=self)
        row.seal(password.encode())
        row.save()

    def _contradictions(self) -> Iterator[tuple[str, str]]:
        if self.algorithms != Algorithms.LEGACY:
            for name, weak, called in (("digest", "sha1", "SHA-1"), ("cipher", "des_ede3_cbc", "3DES")):
                if getattr(self, name) == weak:
                    yield (
                        name,
                        f"{called} can be broken: choose another, or legacy algorithms if the partner can do no better.",
                    )
        elif self.as2_version == "1.3":
            yield "as2_version", "AS2 1.3 knows no legacy algorithms: choose 1.2, or secure algorithms."
        if self.algorithms == Algorithms.MODERN:
            if not self.cipher.endswith("_gcm"):
                yield "cipher", "Modern algorithms are AES-GCM only: choose an AES-GCM cipher, or secure algorithms."
            if self.key_transport in ("pkcs1v15", "oaep_sha1"):
                yield (
                    "key_transport",
                    "Modern algorithms need SHA-256 or better: choose an OAEP one with it, or secure algorithms.",
                )
        if self.compressed_after_signing and not (self.compressed and self.signed):
            yield "compressed_after_signing", "It needs both: tick signed and compressed too, or take this one away."
        if self.async_mdn and self.own_identity_id is not None and not self.own_identity.as2_url:
            yield (
                "async_mdn",
                f"Enter our AS2 address on the page of {self.own_identity} first: later receipts are posted there.",
            )
        if self.proxy_user and not self.proxy_url:
            yield "proxy_user", "There is no proxy to give it to: enter its address, or leave the name out."
        if self.http_user and self.url.startswith("http:") and not self.private_network:
            yield "http_user", "Over http:// anybody on the way reads the password: use an https:// address."


class HttpPassword(SealedSecret):
    """The password their server asks of us, sealed."""

    PURPOSE = "HTTP password"

    link = models.OneToOneField(As2Link, models.CASCADE, related_name="http_password", editable=False)


class ProxyPassword(SealedSecret):
    """The password the proxy on the way asks of us, sealed."""

    PURPOSE = "proxy password"

    link = models.OneToOneField(As2Link, models.CASCADE, related_name="proxy_password", editable=False)


LinkPassword = HttpPassword | ProxyPassword
#: By the name forms and files give them, each with the column of the user name it goes with.
LINK_PASSWORDS: Final[Mapping[str, tuple[type[LinkPassword], str]]] = {
    "http_password": (HttpPassword, "http_user"),
    "proxy_password": (ProxyPassword, "proxy_user"),
}
