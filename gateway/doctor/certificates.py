"""Certificates in use that have expired or soon will, ours and theirs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from django.db.models import Q
from django.utils import timezone

from gateway.doctor.findings import Finding, Role, Severity
from partners.models import Certificate
from partners.profiles import PartnerState

_SOON: Final = timedelta(days=30)
#: More of them are one finding.
_MOST_NAMED: Final = 20


def ending(role: Role) -> Iterator[Finding]:
    now = timezone.now()
    in_use = Certificate.objects.not_ended(now).filter(
        Q(partner__state__in=(PartnerState.TESTING, PartnerState.LIVE))
        | Q(own_identity__active=True, private_key__isnull=False)
    )
    rows = (
        in_use.filter(not_after__lt=now + _SOON).select_related("partner", "own_identity").order_by("not_after", "pk")
    )
    for row in rows[:_MOST_NAMED]:
        expired = row.not_after < now
        owner = f"partner {row.partner.code}" if row.partner else f"our identity {row.own_identity}"
        successor = in_use.filter(
            partner=row.partner_id, own_identity=row.own_identity_id, role=row.role, not_after__gt=row.not_after
        ).exists()
        yield Finding(
            check="certificates.expired" if expired else "certificates.ending",
            severity=Severity.NOTE if successor else Severity.ERROR if expired else Severity.WARNING,
            where=f"{owner}, {row.role}, {row.fingerprint[:16]}…",
            what=f"It {'expired' if expired else 'expires'} on {row.not_after:%Y-%m-%d}"
            + (", and a later one is there." if successor else "."),
            why="It is out of use, or soon will be."
            if successor
            else "Messages under it are refused, by us or by the partner."
            if expired
            else "From then on messages under it are refused.",
            remedy="End the old one once the partner has changed over."
            if successor
            else "Enter the partner's new certificate."
            if row.partner
            else "Make a new key on the page of our own identity and send partners its certificate.",
        )
    more = rows.count() - _MOST_NAMED
    if more > 0:
        yield Finding(
            check="certificates.ending",
            severity=Severity.WARNING,
            where="certificates",
            what=f"{more} more have expired or will within {_SOON.days} days.",
            why="Messages under them are refused then.",
            remedy="See the certificates in the admin, by their last day.",
        )
