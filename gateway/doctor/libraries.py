"""Are the libraries underneath new enough, and sound?"""

from __future__ import annotations

import re
import sqlite3
import ssl
from collections.abc import Iterator
from typing import Final

from cryptography.hazmat.backends.openssl import backend as openssl
from django.conf import settings
from django.db import connection
from lxml import etree

from gateway.doctor.findings import Finding, Role, Severity

#: CVE-2026-41066: before it some of lxml's parsers read files that a document names.
LEAST_LXML: Final = (6, 1, 0)
#: Below this SQLite may lose pages when several connections check-point at once (sqlite.org/wal.html#walresetbug).
SAFE_SQLITE: Final = (3, 51, 3)
#: Since 3.2 a wrong RSA padding is answered with noise instead of an error: no oracle for Bleichenbacher's attack.
GOOD_OPENSSL: Final = (3, 2)


def floors(role: Role) -> Iterator[Finding]:
    """lxml, and the OpenSSL that opens partners' messages."""
    if lxml_version() < LEAST_LXML:
        yield Finding(
            check="libraries.lxml",
            severity=Severity.ERROR,
            where=f"lxml {spelled(lxml_version())}",
            what=f"lxml is older than {spelled(LEAST_LXML)}.",
            why="Some of its parsers read files of this machine that a partner's document names (CVE-2026-41066).",
            remedy="Install what requirements.lock says: pip install --require-hashes -r requirements.lock",
        )
    if openssl_version(ours := openssl.openssl_version_text()) < GOOD_OPENSSL:
        yield Finding(
            check="libraries.openssl",
            severity=Severity.WARNING,
            where=f"the OpenSSL of cryptography: {ours}",
            what="It is older than 3.2.",
            why="It tells wrong RSA padding from right, which helps whoever holds a captured message.",
            remedy="Install cryptography as requirements.lock says; its wheels bring a newer OpenSSL.",
        )
    if openssl_version(ssl.OPENSSL_VERSION) < GOOD_OPENSSL:
        yield Finding(
            check="libraries.openssl-tls",
            severity=Severity.NOTE,
            where=f"the OpenSSL of Python: {ssl.OPENSSL_VERSION}",
            what="It is older than 3.2.",
            why="It does TLS only, not the messages themselves; those are opened by another one.",
            remedy="Nothing, as long as the system's security updates are installed.",
        )


def sqlite(role: Role) -> Iterator[Finding]:
    """The WAL-reset bug: a matter of two connections, so of every set-up, and most of several processes."""
    if connection.vendor != "sqlite" or sqlite_version() >= SAFE_SQLITE:
        return
    shared = role.is_one_of_several and not settings.SHARE_SQLITE
    yield Finding(
        check="libraries.sqlite",
        severity=Severity.ERROR if shared else Severity.WARNING,
        where=f"SQLite {spelled(sqlite_version())}",
        what=f"SQLite is older than {spelled(SAFE_SQLITE)}"
        + (f", and {role} is one of several processes on its file." if role.is_one_of_several else "."),
        why="When two connections check-point at the same moment it may lose pages (sqlite.org/wal.html#walresetbug): "
        "very rare, and not to be mended afterwards.",
        remedy="Use PostgreSQL, or a Python with a newer SQLite, or one process (manage.py up) and a daily "
        "manage.py backup. GATEWAY_SHARE_SQLITE=1 starts several processes all the same.",
    )


def lxml_version() -> tuple[int, ...]:
    major, minor, patch, _ = etree.LXML_VERSION
    return major, minor, patch


def sqlite_version() -> tuple[int, ...]:
    return sqlite3.sqlite_version_info


def openssl_version(text: str) -> tuple[int, ...]:
    """
    >>> openssl_version("OpenSSL 3.0.19 27 Jan 2026")
    (3, 0)
    """
    found = re.search(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def spelled(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
