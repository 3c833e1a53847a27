"""ERPs and partners: is what was entered complete, and is anything blocked? Nobody is called."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from django.utils import timezone

from gateway.doctor.findings import Finding, Role, Severity
from gateway.erp import ADAPTERS, ErpEndpoint
from gateway.models import ErpConnection
from gateway.models.orders import ErpToken
from partners import directory, readiness
from partners.keystore import KeystoreError
from partners.models import ApiKey, TradingPartner
from partners.profiles import PartnerState

_THIS_MACHINE: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def erps(role: Role) -> Iterator[Finding]:
    for row in ErpConnection.objects.filter(active=True).order_by("code"):
        where = f"ERP connection {row.code}"
        if row.blocked_reason:
            yield Finding(
                check="connections.erp-blocked",
                severity=Severity.ERROR,
                where=where,
                what="It is blocked: the ERP refused our credentials.",
                why="Nothing is sent to it until a person says go on: more tries could lock the account.",
                remedy="Enter the right token, then clear the reason on its page.",
            )
        problem = _erp_problem(row)
        if problem:
            yield Finding(
                check="connections.erp",
                severity=Severity.ERROR,
                where=where,
                what=problem,
                why="No order is read from it, and nothing reaches it.",
                remedy="Correct it on its page.",
            )
        elif urlsplit(row.base_url).scheme == "http" and urlsplit(row.base_url).hostname not in _THIS_MACHINE:
            yield Finding(
                check="connections.erp-plain",
                severity=Severity.WARNING,
                where=where,
                what="Its address begins with http://.",
                why="Token, prices and orders cross the network in the open.",
                remedy="Use https://, or a network nobody else is in.",
            )


def _erp_problem(row: ErpConnection) -> str:
    if row.adapter not in ADAPTERS:
        return f"There is no adapter {row.adapter}; known: {', '.join(sorted(ADAPTERS))}."
    try:
        ErpEndpoint(code=row.code, base_url=row.base_url, token=row.token())
    except ErpToken.DoesNotExist:
        return "No token was entered."
    except (ValueError, KeystoreError) as error:
        return str(error)
    return ""


def partners(role: Role) -> Iterator[Finding]:
    """What live partners lack, as their own pages say it."""
    now = timezone.now()
    for row in TradingPartner.objects.filter(state=PartnerState.LIVE).order_by("code"):
        try:
            profile = directory.profile(row.pk)
        except KeystoreError:
            continue  # said once for all by the check of the keystore
        has_api_key = any(key.usable(now) for key in ApiKey.objects.filter(partner=row, revoked_at=None))
        for gap in readiness.gaps(profile, has_api_key=has_api_key):
            yield Finding(
                check="connections.partner",
                severity=Severity.WARNING,
                where=f"partner {row.code}",
                what=gap.partition(":")[0] + ".",
                why="It is live, and some of what was agreed cannot flow.",
                remedy=gap.partition(": ")[2].capitalize() or "See its page.",
            )
