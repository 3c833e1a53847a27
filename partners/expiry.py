"""Certificates that come to their end: of which somebody must be told now, and whether a successor is there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db.models import Q

from partners.models import Certificate, CertificateRole
from partners.models.certificate import CertificateQuerySet
from partners.profiles import PartnerState

#: So many days before a certificate expires it is announced, each once; 0: it has expired.
ANNOUNCED_DAYS: Final = (60, 30, 14, 7, 1, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Successor:
    """The certificate that takes over."""

    fingerprint: str
    used_from: datetime | None  #: when we begin to sign or encrypt with it; None: it is in use already


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiring:
    """One certificate in use that has come to a day on which it is announced."""

    id: int  #: primary key
    owner: str  #: the partner's code, or the name of our identity
    partner_id: int | None  #: None: it is ours
    role: str  #: a value of ``CertificateRole``
    fingerprint: str
    subject: str
    not_after: datetime
    threshold: int  #: which of ``ANNOUNCED_DAYS`` it has come to
    announced: int | None  #: the one announced before it; None: none was
    successor: Successor | None

    @property
    def expired(self) -> bool:
        return self.threshold == 0


def expiring(now: datetime, *, at_most: int = 100) -> list[Expiring]:
    """The certificates of which something is to be announced, the soonest to expire first.

    Of several days that have passed unannounced the last one counts. Certificates that a person ended, that we have no key
    for, or whose partner or identity is not in use are left out. Writes nothing: see ``announce``.
    """
    passed = Q()
    for days in ANNOUNCED_DAYS:
        passed |= _has_come(days, now) & (Q(announced_days=None) | Q(announced_days__gt=days))
    rows = _in_use(now).filter(passed).select_related("partner", "own_identity").order_by("not_after", "pk")[:at_most]
    found = list(rows)
    successors = _successors(found, now)
    return [
        Expiring(
            id=row.pk,
            owner=row.partner.code if row.partner else row.own_identity.name if row.own_identity else "",
            partner_id=row.partner_id,
            role=row.role,
            fingerprint=row.fingerprint,
            subject=row.subject,
            not_after=row.not_after,
            threshold=min(days for days in ANNOUNCED_DAYS if _days_come(row.not_after, days, now)),
            announced=row.announced_days,
            successor=successors.get(row.pk),
        )
        for row in found
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreplaced:
    """One certificate in use that has no successor yet."""

    partner: str | None  #: the partner's code; None: it is ours
    role: str  #: a value of ``CertificateRole``
    not_after: datetime


def unreplaced(now: datetime) -> list[Unreplaced]:
    """Every certificate in use that nothing takes over from, the soonest to expire first."""
    rows = list(_in_use(now).select_related("partner").defer("certificate_pem").order_by("not_after", "pk"))
    replaced = _successors(rows, now)
    return [
        Unreplaced(partner=row.partner.code if row.partner else None, role=row.role, not_after=row.not_after)
        for row in rows
        if row.pk not in replaced
    ]


def announce(certificate: Expiring) -> bool:
    """Mark it as announced, in the transaction that tells somebody; False when another sweep was quicker."""
    rows = Certificate.objects.filter(pk=certificate.id, announced_days=certificate.announced)
    return rows.update(announced_days=certificate.threshold) == 1


def settled(ids: Iterable[int], now: datetime) -> dict[int, str]:
    """Those of these certificates that need nobody any more, each with the reason in words."""
    wanted = set(ids)
    if not wanted:
        return {}
    rows = list(Certificate.objects.not_ended(now).filter(pk__in=wanted))
    reasons = {
        pk: f"Its successor {successor.fingerprint[:16]}… is in use."
        for pk, successor in _successors(rows, now).items()
        if successor.used_from is None
    }
    return reasons | dict.fromkeys(wanted - {row.pk for row in rows}, "It was taken out of use.")


def _in_use(now: datetime) -> CertificateQuerySet:
    return Certificate.objects.not_ended(now).filter(
        Q(partner__state__in=(PartnerState.TESTING, PartnerState.LIVE))
        | Q(own_identity__active=True, private_key__isnull=False)
    )


def _has_come(days: int, now: datetime) -> Q:
    return Q(not_after__lte=now + timedelta(days=days)) if days else Q(not_after__lt=now)


def _days_come(not_after: datetime, days: int, now: datetime) -> bool:
    return not_after <= now + timedelta(days=days) if days else not_after < now


def _successors(rows: list[Certificate], now: datetime) -> dict[int, Successor]:
    """By primary key, for those that have one: for a certificate of both roles the later of two may be its successor."""
    owners = Q(partner__in={row.partner_id for row in rows if row.partner_id is not None}) | Q(
        own_identity__in={row.own_identity_id for row in rows if row.own_identity_id is not None},
        private_key__isnull=False,
    )
    by_owner: defaultdict[tuple[int | None, int | None], list[Certificate]] = defaultdict(list)
    for row in Certificate.objects.not_ended(now).filter(owners, not_after__gt=now).order_by("not_after"):
        by_owner[row.partner_id, row.own_identity_id].append(row)
    found = {row.pk: _successor(row, by_owner[row.partner_id, row.own_identity_id], now) for row in rows}
    return {pk: successor for pk, successor in found.items() if successor is not None}


def _successor(row: Certificate, others: list[Certificate], now: datetime) -> Successor | None:
    handover = max(row.not_after, now)
    latest: tuple[datetime, Certificate] | None = None
    for purpose in (CertificateRole.SIGN, CertificateRole.ENCRYPT, CertificateRole.TLS):
        if not CertificateRole(row.role).serves(purpose):
            continue
        fit = [
            (max(other.active_from or other.not_before, other.not_before), other)
            for other in others
            if other.not_after > row.not_after
            and CertificateRole(other.role).serves(purpose)
            and (other.active_until is None or other.active_until > handover)
        ]
        first = min(fit, key=lambda one: one[0], default=None)
        if first is None or first[0] > handover:
            return None
        latest = first if latest is None else max(latest, first, key=lambda one: one[0])
    if latest is None:
        return None
    begins, other = latest
    return Successor(fingerprint=other.fingerprint, used_from=begins if begins > now else None)
