"""Do the settings make sense together? What is wrong in itself, settings.py refuses."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from django.conf import settings
from django.db import connection

from gateway.doctor.findings import Finding, Role, Severity

_HERE_ONLY: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
_NAME: Final = re.compile(r"""["'](GATEWAY_[A-Z0-9_]+)["']""")
#: Longer than any exchange with an ERP: its time-outs, and a little.
_SHORTEST_LEASE_S: Final = 30


def web_side(role: Role) -> Iterator[Finding]:
    """Hosts, TLS, proxies, debugging, leases."""
    if settings.DEBUG:
        yield Finding(
            check="configuration.debug",
            severity=Severity.WARNING,
            where="GATEWAY_DEBUG is 1",
            what="Errors are shown with their local variables.",
            why="Whoever causes one reads addresses, prices and perhaps more.",
            remedy="Unset GATEWAY_DEBUG wherever others can reach the gateway.",
        )
    if "*" in settings.ALLOWED_HOSTS:
        yield Finding(
            check="configuration.hosts",
            severity=Severity.WARNING,
            where="GATEWAY_HOSTS is *",
            what="Any name in a request counts as ours.",
            why="Links in pages and mails can be made to point elsewhere.",
            remedy="Name the hosts: GATEWAY_HOSTS=b2b.example.com.",
        )
    elif settings.BEHIND_TLS and set(settings.ALLOWED_HOSTS) <= _HERE_ONLY:
        yield Finding(
            check="configuration.hosts",
            severity=Severity.WARNING,
            where="GATEWAY_HOSTS",
            what="GATEWAY_TLS is 1, and only this machine's own names are answered.",
            why="Every request by the public name gets 400.",
            remedy="Name the host partners use: GATEWAY_HOSTS=b2b.example.com.",
        )
    if settings.BEHIND_TLS and not settings.TRUSTED_PROXIES:
        yield Finding(
            check="configuration.proxies",
            severity=Severity.WARNING,
            where="GATEWAY_TRUSTED_PROXIES",
            what="GATEWAY_TLS is 1 and GATEWAY_TRUSTED_PROXIES names nobody: no request will count as secure.",
            why="Nobody can sign in, and every caller has the proxy's address.",
            remedy="Name the address of the TLS proxy: GATEWAY_TRUSTED_PROXIES=10.0.0.5.",
        )
    if settings.TRUSTED_PROXIES and not settings.BEHIND_TLS:
        yield Finding(
            check="configuration.tls",
            severity=Severity.NOTE,
            where="GATEWAY_TLS is 0",
            what="A proxy is trusted, and TLS is not expected.",
            why="Cookies go without the Secure mark; passwords and API keys may cross the network in the open.",
            remedy="Set GATEWAY_TLS=1 when the proxy speaks TLS with callers.",
        )
    if settings.LEASE.total_seconds() < _SHORTEST_LEASE_S:
        yield Finding(
            check="configuration.lease",
            severity=Severity.WARNING,
            where=f"GATEWAY_LEASE_S is {settings.LEASE.total_seconds():g}",
            what="Work is held for less time than an ERP has to answer.",
            why="A second worker begins what the first still does: every slow answer is looked up and sent again.",
            remedy="Leave it at 120, or set the time-outs lower too.",
        )


def names(role: Role) -> Iterator[Finding]:
    """Variables that look like ours and are not."""
    yield from unknown(os.environ)


def unknown(environment: Mapping[str, str]) -> Iterator[Finding]:
    known = set(_NAME.findall((Path(settings.BASE_DIR) / "gateway" / "settings.py").read_text("utf-8")))
    for name in sorted(name for name in environment if name.startswith("GATEWAY_") and name not in known):
        near = difflib.get_close_matches(name, known, n=1)
        yield Finding(
            check="configuration.unknown",
            severity=Severity.WARNING if near else Severity.NOTE,
            where=name,
            what="No setting has this name" + (f"; {near[0]} has a similar one." if near else "."),
            why="Its value changes nothing.",
            remedy=f"Say {near[0]}, or remove it." if near else "Remove it, if it was meant for the gateway.",
        )


def processes(role: Role) -> Iterator[Finding]:
    """A broker in memory belongs to one process."""
    if role.is_one_of_several and settings.CELERY_BROKER_URL.startswith("memory:"):
        yield Finding(
            check="configuration.broker",
            severity=Severity.NOTE,
            where="GATEWAY_BROKER_URL is not set",
            what="The broker is in the memory of each process, so no process hears another.",
            why=f"Nothing is lost; work that one process leaves to another is found within {settings.POLL_S:g} s.",
            remedy="Nothing, if that is soon enough; else name RabbitMQ (amqp://…) or Redis (redis://…).",
        )
    if role is Role.UP and connection.vendor == "sqlite" and not settings.CELERY_BROKER_URL.startswith("memory:"):
        yield Finding(
            check="configuration.broker",
            severity=Severity.NOTE,
            where="GATEWAY_BROKER_URL",
            what="A broker is named, and all work is in one process.",
            why="It is not needed, and one thing more that may be away.",
            remedy="Unset GATEWAY_BROKER_URL, unless other processes use the same database.",
        )
