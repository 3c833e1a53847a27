"""Finds trading partners: the only way the rest of the gateway learns who somebody is and on what terms.

Every answer is a frozen ``Profile``, built from a handful of rows, with the certificates usable at that moment; a process
that serves partners may remember it for a moment (``remember_for``).
Suspended partners are found too: the doors must tell "suspended" from "unknown".
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import quote

from django.db.models import Q
from django.utils import timezone

from partners import models, profiles
from partners.models import ApiKey, Certificate, OwnIdentity, TradingPartner, grammar
from partners.models.api_key import digest_of, prefix_of
from partners.models.choices import ApiEnvironment, CertificateRole
from partners.profiles import CertificateRef, Profile

#: A busy key is not a busy row: its last use is written at most this often.
LAST_USED_EVERY: Final = timedelta(minutes=1)
_MEGABYTE: Final = 1024 * 1024
#: Profiles that are remembered at the same time; beyond it all are forgotten.
_MOST_REMEMBERED: Final = 1000


class _Memory:
    """Profiles by what they were asked for with, until when (by the monotonic clock)."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.profiles: dict[tuple[tuple[str, str | int | bool], ...], tuple[float, Profile]] = {}


_memory: Final = _Memory()


class UnknownPartner(LookupError):
    """No trading partner has this primary key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiCaller:
    """Who called with an API key."""

    profile: Profile
    env: ApiEnvironment
    key_id: int
    prefix: str  #: what may be logged of the key


def profile(partner_id: int, *, now: datetime | None = None) -> Profile:
    """The partner with this primary key.

    Args:
        now: decides which certificates are usable; the present moment when not given.

    Raises:
        UnknownPartner: there is none.
        KeystoreError: a private key of ours does not open.
    """
    found = _find({"pk": partner_id}, now)
    if found is None:
        raise UnknownPartner(f"no trading partner has the key {partner_id}")
    return found


def remember_for(seconds: float) -> None:
    """Answer from memory for so long: one message asks for its partner at every step. Zero, as it begins: never.

    A change of terms, a revoked certificate too, reaches this process when what it remembers is that old.
    """
    _memory.seconds = seconds
    _memory.profiles.clear()


def by_code(code: str, *, now: datetime | None = None) -> Profile | None:
    return _find({"code": code}, now)


def by_as2_pair(our_name: str, their_name: str, *, now: datetime | None = None) -> Profile | None:
    """The partner whose AS2 link joins exactly these two names; upper and lower case differ (RFC 4130, 6.2)."""
    return _find(
        {"as2__own_identity__as2_name": our_name, "as2__own_identity__active": True, "as2__their_name": their_name}, now
    )


def by_isa(qualifier: str, identifier: str, *, now: datetime | None = None) -> Profile | None:
    """The partner that sends under this ISA05 and ISA06, padded or not."""
    return _find({"x12__their_qualifier": qualifier.rstrip(" "), "x12__their_id": identifier.rstrip(" ")}, now)


def by_supplier_number(number: str, *, now: datetime | None = None) -> Profile | None:
    """The partner that the ERP knows by this number."""
    return _find({"supplier_numbers__number": number}, now)


def by_api_key(secret: str, *, now: datetime | None = None) -> ApiCaller | None:
    """Who this API key belongs to; None for a wrong, expired or revoked one, without saying which.

    Writes the key's last use, at most once a minute.
    """
    moment = now or timezone.now()
    prefix = prefix_of(secret)
    key = ApiKey.objects.filter(prefix=prefix).first() if prefix else None
    if key is None:
        digest_of(secret)  # the same work as for a known prefix
        return None
    if not key.opens_with(secret) or not key.usable(moment):
        return None
    if key.last_used_at is None or moment - key.last_used_at >= LAST_USED_EVERY:
        ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(last_used_at=moment)
    return ApiCaller(
        profile=profile(key.partner_id, now=now), env=ApiEnvironment(key.env), key_id=key.pk, prefix=key.prefix
    )


def own_as2_names() -> frozenset[str]:
    """The AS2 names that are ours: what an AS2-To may say."""
    return frozenset(OwnIdentity.objects.filter(active=True).values_list("as2_name", flat=True))


def _find(where: Mapping[str, str | int | bool], now: datetime | None) -> Profile | None:
    asked = tuple(where.items())
    known = _memory.profiles.get(asked) if now is None else None
    if known is not None and known[0] > time.monotonic():
        return known[1]
    found = _read(where, now)
    if found is not None and now is None and _memory.seconds:
        if len(_memory.profiles) >= _MOST_REMEMBERED:
            _memory.profiles.clear()
        _memory.profiles[asked] = (time.monotonic() + _memory.seconds, found)
    return found


def _read(where: Mapping[str, str | int | bool], now: datetime | None) -> Profile | None:
    # What a stranger's header or envelope says is looked up here: no name of ours holds a control character or half a
    # surrogate pair, and PostgreSQL refuses to be asked for one.
    if any(isinstance(value, str) and not value.isprintable() for value in where.values()):
        return None
    # In steps: all in one statement is a join of a dozen tables, and PostgreSQL thinks longer about that than it reads.
    pk = where.get("pk") or TradingPartner.objects.filter(**where).values_list("pk", flat=True).first()
    partner = TradingPartner.objects.select_related("x12__own_identity", "ack").filter(pk=pk).first() if pk else None
    return None if partner is None else _profile(partner, now or timezone.now())


def _profile(partner: TradingPartner, now: datetime) -> Profile:
    x12: models.X12Terms | None = getattr(partner, "x12", None)
    ack: models.AckTerms | None = getattr(partner, "ack", None)
    links = models.As2Link.objects.select_related("own_identity", "http_password", "proxy_password")
    as2 = links.filter(partner=partner).first()
    return Profile(
        id=partner.pk,
        code=partner.code,
        name=partner.name,
        state=profiles.PartnerState(partner.state),
        supplier_numbers=tuple(partner.supplier_numbers.values_list("number", flat=True)),
        agreements=tuple(_agreement(row) for row in partner.agreements.all()),
        x12=_x12_terms(x12) if x12 else profiles.X12Terms(),
        ack=_ack_terms(ack) if ack else profiles.AckTerms(),
        as2=_as2_terms(as2, now) if as2 else None,
    )


def _agreement(row: models.DocumentAgreement) -> profiles.Agreement:
    return profiles.Agreement(
        document=row.document,
        direction=profiles.Direction(row.direction),
        channel=profiles.Channel(row.channel),
        format=row.format,
        sheet=row.sheet,
    )


def _x12_terms(row: models.X12Terms) -> profiles.X12Terms:
    return profiles.X12Terms(
        our_qualifier=row.own_identity.isa_qualifier,
        our_id=row.own_identity.isa_id,
        our_group_id=row.own_identity.group_id,
        their_qualifier=row.their_qualifier,
        their_id=row.their_id,
        their_group_id=row.their_group_id,
        version=row.version,
        version_suffix=row.version_suffix,
        element=row.element,
        segment=row.segment,
        component=row.component,
        repetition=row.repetition,
        newline_after_segment=row.newline_after_segment,
        usage=row.usage,
        functional_ack=profiles.FunctionalAck(row.functional_ack),
        relaxed=frozenset(row.relaxed),
    )


def _ack_terms(row: models.AckTerms) -> profiles.AckTerms:
    price = row.price_tolerance_percent
    return profiles.AckTerms(
        due_after=timedelta(hours=row.due_after_hours),
        quantity_tolerance=row.quantity_tolerance_percent / 100,
        price_tolerance=None if price is None else price / 100,
        days_early=row.days_early,
        days_late=row.days_late,
    )


def _as2_terms(row: models.As2Link, now: datetime) -> profiles.As2Terms:
    ours, theirs = _Certificates(now), _Certificates(now)
    rows = Certificate.objects.accepted(now, grace=timedelta(days=row.expired_grace_days)).select_related("private_key")
    for certificate in rows.filter(Q(partner=row.partner_id) | Q(own_identity=row.own_identity_id)):
        if certificate.partner_id is not None:
            theirs.add(certificate)
        elif certificate.sealed_key is not None:  # one of ours without its key can neither sign nor decrypt
            ours.add(certificate)
    return profiles.As2Terms(
        our_name=row.own_identity.as2_name,
        their_name=row.their_name,
        url=row.url or None,
        signed=row.signed,
        encrypted=row.encrypted,
        compressed=row.compressed,
        compressed_after_signing=row.compressed_after_signing,
        algorithms=profiles.Algorithms(row.algorithms),
        digest=row.digest,
        cipher=row.cipher,
        signature_scheme=row.signature_scheme,
        key_transport=row.key_transport,
        all_recipients=row.all_recipients,
        as2_version=row.as2_version,
        signed_mdn=row.signed_mdn,
        async_mdn=row.async_mdn,
        our_url=row.own_identity.as2_url or None,
        mdn_timeout=timedelta(minutes=row.mdn_timeout_minutes),
        retry_minutes=grammar.retry_minutes(row.retry_minutes),
        receipt_origins=grammar.origins(row.receipt_origins),
        private_network=row.private_network,
        our_signing=ours.in_use(CertificateRole.SIGN),
        our_decryption=ours.accepted(CertificateRole.ENCRYPT),
        their_signing=theirs.accepted(CertificateRole.SIGN),
        their_encryption=theirs.in_use(CertificateRole.ENCRYPT),
        their_tls=theirs.accepted(CertificateRole.TLS) if row.demand_client_certificate else None,
        http=_http_terms(row, ours),
        max_bytes=row.max_megabytes * _MEGABYTE,
    )


def _http_terms(row: models.As2Link, ours: _Certificates) -> profiles.HttpTerms:
    presented = ours.in_use(CertificateRole.TLS) if row.present_client_certificate else ()
    return profiles.HttpTerms(
        timeout_s=float(row.timeout_s),
        verify_tls=row.verify_tls,
        authorities_pem=row.authorities_pem.encode("ascii"),
        presents_certificate=row.present_client_certificate,
        client_certificate=presented[0] if presented else None,
        proxy_url=_proxy_url(row),
        user=row.http_user,
        password=_password(row, "http_password") if row.http_user else "",
    )


def _proxy_url(row: models.As2Link) -> str:
    """With name and password in it, percent-encoded, when the proxy asks for them."""
    if not (row.proxy_url and row.proxy_user):
        return row.proxy_url
    name, password = quote(row.proxy_user, safe=""), quote(_password(row, "proxy_password"), safe="")
    return row.proxy_url.replace("://", f"://{name}:{password}@", 1)


def _password(row: models.As2Link, kind: str) -> str:
    sealed: models.LinkPassword | None = getattr(row, kind, None)
    return sealed.reveal().decode() if sealed else ""


class _Certificates:
    """One side's certificates, best first, each key opened once."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._rows: list[tuple[Certificate, CertificateRef]] = []

    def add(self, row: Certificate) -> None:
        key = row.sealed_key
        ref = CertificateRef(
            fingerprint=row.fingerprint,
            certificate_pem=row.certificate_pem.encode("ascii"),
            private_key_pem=key.reveal() if key else None,
            expired=row.not_after < self._now,
        )
        self._rows.append((row, ref))

    def accepted(self, role: CertificateRole) -> tuple[CertificateRef, ...]:
        """What may arrive: everything with that role, from the day it is here."""
        return tuple(ref for row, ref in self._rows if CertificateRole(row.role).serves(role))

    def in_use(self, role: CertificateRole) -> tuple[CertificateRef, ...]:
        """What we use ourselves: from the day it is taken into use; an expired one only when there is no other."""
        used = [ref for row, ref in self._rows if CertificateRole(row.role).serves(role) and row.used_at(self._now)]
        return tuple([ref for ref in used if not ref.expired] or used)
