"""Where a host name leads: its addresses, within a time, and which of them are nobody's on the public internet.

What counts is the address that is connected to, never how it was written: a name, ``2130706433`` and ``0x7f.1`` are all looked
up first.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

#: Not for servers on the public internet. Source: IANA IPv4 Special-Purpose Address Registry, and multicast.
_SPECIAL_V4: Final = {
    ipaddress.IPv4Network(network): what
    for network, what in (
        ("0.0.0.0/8", "unspecified"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared by a carrier's customers"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "for documentation"),
        ("192.88.99.0/24", "reserved"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "for benchmarks"),
        ("198.51.100.0/24", "for documentation"),
        ("203.0.113.0/24", "for documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
}
#: The same for IPv6, where only 2000::/3 is in public use at all. Source: IANA IPv6 Special-Purpose Address Registry.
_SPECIAL_V6: Final = {
    ipaddress.IPv6Network(network): what
    for network, what in (
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("64:ff9b:1::/48", "private"),
        ("2001::/23", "reserved"),
        ("2001:db8::/32", "for documentation"),
        ("3fff::/20", "for documentation"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "private"),
        ("ff00::/8", "multicast"),
    )
}
_PUBLIC_V6: Final = ipaddress.IPv6Network("2000::/3")
#: Translated to the IPv4 address in the last 32 bits. Source: RFC 6052, 2.1.
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
#: The deprecated "IPv4-compatible" form. Source: RFC 4291, 2.5.5.1.
_COMPATIBLE: Final = ipaddress.IPv6Network("::/96")
_TEREDO: Final = ipaddress.IPv6Network("2001::/32")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One address a name leads to, as a socket takes it."""

    family: socket.AddressFamily
    sockaddr: tuple[Any, ...]

    @property
    def ip(self) -> IpAddress:
        return ipaddress.ip_address(self.sockaddr[0])

    def __str__(self) -> str:
        return f"{self.ip} port {self.sockaddr[1]}"


def look_up(host: str, port: int, *, timeout_s: float) -> tuple[Address, ...]:
    """Every address of ``host``, in the order they are to be tried; at least one.

    Raises:
        TimeoutError: not within ``timeout_s``.
        OSError: there is none, or nobody could say.
        UnicodeError: no host can have this name.
    """
    found: list[tuple[Any, ...]] = []
    failed: list[OSError | UnicodeError] = []

    def ask() -> None:
        try:
            found.extend(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as exc:
            failed.append(exc)

    # The system's resolver takes no time-out and may try its servers for half a minute. A thread can be left behind.
    asking = threading.Thread(target=ask, name=f"look up {host}", daemon=True)
    asking.start()
    asking.join(timeout_s)
    if failed:
        raise failed[0]
    if not found:
        raise TimeoutError(f"nobody said in time which address {host} has")
    addresses = [Address(family=family, sockaddr=sockaddr) for family, _, _, _, sockaddr in found]
    return tuple(dict.fromkeys(addresses))


def why_not_public(address: IpAddress) -> str | None:
    """What an address is that is not a server's on the public internet, for a sentence; None for one that is.

    An IPv6 address that only wraps an IPv4 one (mapped, compatible, NAT64, 6to4, Teredo) is as good as what it wraps.

    >>> why_not_public(ipaddress.ip_address("::ffff:10.0.0.1"))
    'private (10.0.0.1)'
    """
    if isinstance(address, ipaddress.IPv4Address):
        return next((what for network, what in _SPECIAL_V4.items() if address in network), None)
    wrapped = list(_wrapped(address))
    for inner in wrapped:
        if why := why_not_public(inner):
            return f"{why} ({inner})"
    if wrapped:
        return None
    special = next((what for network, what in _SPECIAL_V6.items() if address in network), None)
    return special or (None if address in _PUBLIC_V6 else "reserved")


def _wrapped(address: ipaddress.IPv6Address) -> Iterator[ipaddress.IPv4Address]:
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    elif address.sixtofour is not None:
        yield address.sixtofour
    elif address in _TEREDO and address.teredo is not None:
        yield from address.teredo
    elif address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
