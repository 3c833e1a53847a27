"""Trusted proxies: who really calls, when the connection comes from a server of our own in front.

``TrustedProxies`` runs before everything else. What a proxy says of the other side (``X-Forwarded-…``, ``Forwarded``, the client
certificate) is taken from the addresses in ``GATEWAY_TRUSTED_PROXIES``; from any other these headers do not exist for whatever
comes after. ``REMOTE_ADDR`` is the real caller's from here on, for allowances and logs alike.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Final

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

#: Where a vouched-for request keeps its proxy's address. No header can be called so: all of theirs begin with ``HTTP_``.
_VOUCHER: Final = "gateway.trusted_proxy"
#: Set where somebody we do not trust spoke of another caller: a proxy we were not told of, or one who makes believe.
_STRANGER: Final = "gateway.stranger_forwarded"
_FORWARDED: Final = (
    "HTTP_FORWARDED",
    "HTTP_X_FORWARDED_BY",
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PORT",
    "HTTP_X_FORWARDED_PROTO",
)


class TrustedProxies:
    """Middleware: believe trusted proxies, and nobody else, about who calls."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        meta = request.META
        peer = _address(meta.get("REMOTE_ADDR", ""))
        if peer is not None and _is_trusted(peer):
            meta[_VOUCHER] = str(peer)
            meta["REMOTE_ADDR"] = str(_caller(peer, meta.get("HTTP_X_FORWARDED_FOR", "")))
        else:
            said = [meta.pop(name, None) for name in (*_FORWARDED, settings.CLIENT_CERT_META)]
            meta[_STRANGER] = any(one is not None for one in said)
        return self._get_response(request)


def vouches(request: HttpRequest) -> bool:
    """Whether the request came by a trusted proxy, which says what it says for us."""
    return _VOUCHER in request.META


def came_by_stranger(request: HttpRequest) -> bool:
    """Whether the request was forwarded, or says so, by an address that is none of our proxies'."""
    return bool(request.META.get(_STRANGER))


def client_address(request: HttpRequest) -> str:
    """Address of the real caller: the last hop that is none of our proxies; empty when the server gives none."""
    return str(request.META.get("REMOTE_ADDR", ""))


def client_network(request: HttpRequest) -> str:
    """What one caller has for sure, for allowances: its IPv4 address, or the /64 network that every IPv6 caller can move in."""
    address = _address(client_address(request))
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address or "")


def _caller(peer: IpAddress, forwarded_for: str) -> IpAddress:
    """The last hop that is none of ours. What comes before it, anybody may have written.

    A hop that is no address ends the search: then the nearest of our proxies stands for the caller.
    """
    nearest = peer
    for hop in reversed(forwarded_for.split(",")):
        address = _address(hop.strip())
        if address is None:
            return nearest
        nearest = address
        if not _is_trusted(address):
            return nearest
    return nearest


def _is_trusted(address: IpAddress) -> bool:
    return any(address in network for network in settings.TRUSTED_PROXIES)


def _address(text: str) -> IpAddress | None:
    """``192.0.2.1``, ``192.0.2.1:443``, ``2001:db8::1`` or ``[2001:db8::1]:443``; an IPv4 address in IPv6 clothes is itself."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
