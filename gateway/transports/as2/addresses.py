"""Where an asynchronous receipt may go: the address in a partner's header against the origins agreed with it.

Anybody can write an address into a header, so it only chooses among what was agreed. Compared is the origin: scheme, host
and port, with the scheme's own port where none is said. There is one way to write an address here; every other spelling of
a host (numbers that are not four, letters beyond ASCII, a user in front, a dot at the end) is refused, because two programs
that read an address differently are how such lists are got round. Which network address a name leads to is not decided
here but when the connection is made, by ``gateway.transports.http``.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final

from partners.profiles import As2Terms

MAX_ADDRESS: Final = 2000

_ADDRESS: Final = re.compile(
    r"(?P<scheme>https?)://"
    r"(?:(?P<name>[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?)*)|\[(?P<ipv6>[0-9a-f:.]+)\])"
    r"(?::(?P<port>[1-9][0-9]{0,4}))?"
    r"(?:[/?](?:[a-z0-9._~:/?@!$&'()*+,;=-]|%[0-9a-f]{2})*)?",  # no fragment: it is never sent
    re.IGNORECASE,
)
_USUAL_PORT: Final = {"http": 80, "https": 443}


def may_go_to(terms: As2Terms, address: str) -> bool:
    """Whether a receipt may be posted to ``address``: its origin is that of the partner's own URL, or a listed one."""
    origin = origin_of(address)
    return origin is not None and origin in {origin_of(agreed) for agreed in (terms.url or "", *terms.receipt_origins)}


def origin_of(address: str) -> str | None:
    """Scheme, host and port of an http or https address, in one spelling; None when it is not written as one here.

    >>> origin_of("HTTPS://AS2.Bolt.example/in?from=acme")
    'https://as2.bolt.example:443'
    >>> origin_of("http://2130706433/") is origin_of("http://bolt.example@127.0.0.1/") is None
    True
    """
    found = _ADDRESS.fullmatch(address) if len(address) <= MAX_ADDRESS else None
    if found is None or not address.isascii():
        return None
    scheme = found["scheme"].lower()
    port = int(found["port"] or _USUAL_PORT[scheme])
    host = _ipv6(found["ipv6"]) if found["ipv6"] else _name_or_ipv4(found["name"].lower())
    return None if host is None or port > 65535 else f"{scheme}://{host}:{port}"


def _name_or_ipv4(host: str) -> str | None:
    """The host when it is a name, or four plain numbers; ``127.1``, ``0x7f000001`` and the like lead elsewhere than they look."""
    if len(host) > 253:
        return None
    if not re.fullmatch(r"[0-9]+|0x[0-9a-f]*", host.rpartition(".")[2]):
        return host
    try:
        return str(IPv4Address(host))
    except AddressValueError:
        return None


def _ipv6(host: str) -> str | None:
    try:
        return f"[{IPv6Address(host)}]"
    except AddressValueError:
        return None
