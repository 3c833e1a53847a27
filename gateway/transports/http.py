"""One HTTP POST whose failures say whether anything was sent.

This drives httpcore, the engine inside httpx, because two things matter here that httpx does not offer: one deadline over
the whole exchange (httpx starts its time-out anew with every byte, so a dripping peer could outlive a worker's lease), and
a request that carries our headers and no others.
"""

from __future__ import annotations

import base64
import ssl
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

import httpcore

from gateway.transports import tls
from gateway.transports.errors import InDoubt, Unreachable
from gateway.transports.network import Network
from partners.profiles import HttpTerms

#: The longest answer that is read. A receipt has a few kilobytes.
MAX_ANSWER_BYTES: Final = 1024 * 1024

_FAILURES: Final = (
    httpcore.NetworkError,
    httpcore.TimeoutException,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """What came back, whatever the status."""

    status: int
    headers: Mapping[str, str]  #: names in lower case; a repeated one joined with ", "
    body: bytes


def post(
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    terms: HttpTerms,
    *,
    timeout_s: float | None = None,
    public_only: bool = False,
) -> HttpAnswer:
    """Send ``body`` once, with exactly these headers and Host, Content-Length, Connection and Authorization beside them.

    Redirects are not followed: a redirected message is a message at an address nobody agreed on. Proxies in the
    environment are not used.

    Name and password of the terms go along at once, to the host of ``url`` and no other, over plain HTTP too: AS2 over HTTP
    is common, and a person who enters a password for such a link has chosen so.

    Args:
        timeout_s: for the whole exchange, from looking the name up to the last byte of the answer; None: as the terms say.
        public_only: connect to addresses on the public internet only, and to exactly the one that was checked. Through a
            proxy the name is looked up and checked here too, but the proxy looks it up again by itself: it needs rules of
            its own against names that change their address.

    Raises:
        Unreachable: nothing was sent; NotPublic, which is one, when ``public_only`` forbids every address of the name.
        InDoubt: something may have been sent, and no whole answer of at most ``MAX_ANSWER_BYTES`` came in time.
    """
    target, wire_headers = _request(url, headers, len(body), terms)
    secure = target.scheme == b"https"
    try:
        context = tls.context(terms) if secure else _PLACE_HOLDER
    except tls.UnusableTls as exc:
        raise Unreachable(str(exc)) from exc
    timeout_s = terms.timeout_s if timeout_s is None else timeout_s
    network = Network(timeout_s=timeout_s, context=context, secure=secure, public_only=public_only)
    with (
        _told_apart(network),
        _pool(network, target, terms) as pool,
        pool.stream("POST", target, headers=wire_headers, content=body) as answer,
    ):
        if answer.status == 407 and terms.proxy_url and not secure:
            raise Unreachable("the proxy wants a name and password, or others: HTTP 407")
        received = bytearray()
        for piece in answer.iter_stream():
            received += piece
            if len(received) > MAX_ANSWER_BYTES:
                raise InDoubt(f"the answer (HTTP {answer.status}) is longer than {MAX_ANSWER_BYTES} bytes")
        return HttpAnswer(status=answer.status, headers=_readable(answer.headers), body=bytes(received))


def _request(
    url: str, headers: Mapping[str, str], length: int, terms: HttpTerms
) -> tuple[httpcore.URL, list[tuple[bytes, bytes]]]:
    """The address and the header lines, as httpcore takes them.

    Raises:
        Unreachable: it cannot be written.
    """
    try:
        if "@" in urlsplit(url).netloc:
            # Not quoted: what is before the sign is a secret.
            raise Unreachable("the address holds a name or password: they belong into fields of their own")
        target = httpcore.URL(url.encode("ascii"))
        lines = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers.items()]
    except ValueError as exc:  # UnicodeError is one
        raise Unreachable(f"the request cannot be written: {exc}") from exc
    if not target.host:
        raise Unreachable(f"{url!r} names no host")
    lines += [
        (b"Host", _authority(target)),
        (b"Content-Length", str(length).encode()),
        (b"Connection", b"close"),
    ]
    if terms.user:
        lines.append((b"Authorization", _basic(terms)))
    return target, lines


def _basic(terms: HttpTerms) -> bytes:
    """Source: RFC 7617."""
    if ":" in terms.user:
        raise Unreachable("the name for HTTP Basic has a colon, which it cannot have")
    return b"Basic " + base64.b64encode(f"{terms.user}:{terms.password}".encode())


def _pool(network: Network, target: httpcore.URL, terms: HttpTerms) -> httpcore.ConnectionPool:
    """What opens the one connection, straight or through the proxy of the terms.

    Raises:
        Unreachable: the proxy's address cannot be used, or is none for this target.
    """
    if not terms.proxy_url:
        return httpcore.ConnectionPool(ssl_context=_PLACE_HOLDER, network_backend=network, retries=0)
    try:
        parts = urlsplit(terms.proxy_url)
        host, port = parts.hostname, parts.port or 80
    except ValueError:
        host, port = None, 0
    if host is None or not host.isascii() or parts.scheme != "http":
        raise Unreachable("the address of the proxy is not one: say http://host:port")
    if b":" in target.host:
        raise Unreachable("an IPv6 address cannot be asked of a proxy: give the server's name")
    if network.public_only:
        network.look_up(target.host.decode("ascii"), target.port or (443 if network.secure else 80))
        network.public_only = False  # the proxy itself is ours, and inside
    name, password = unquote(parts.username or ""), unquote(parts.password or "")
    return httpcore.HTTPProxy(
        httpcore.URL(scheme=b"http", host=host.encode("ascii"), port=port, target=b"/"),
        proxy_auth=(name.encode(), password.encode()) if name else None,
        ssl_context=_PLACE_HOLDER,
        network_backend=network,
        retries=0,
    )


#: httpcore wants one and changes it at every connection; ``Network`` takes that of the terms. This one trusts nobody.
_PLACE_HOLDER: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@contextmanager
def _told_apart(network: Network) -> Iterator[None]:
    try:
        yield
    except _FAILURES as exc:
        told = InDoubt if network.request_began else Unreachable
        text = f"the proxy refuses: HTTP {exc}" if isinstance(exc, httpcore.ProxyError) else str(exc)
        raise told(text or type(exc).__name__) from exc


def _authority(target: httpcore.URL) -> bytes:
    """Host header of an absolute URL, with the port only when it is not the scheme's own."""
    host = b"[%s]" % target.host if b":" in target.host else target.host
    usual = {b"http": 80, b"https": 443}.get(target.scheme)
    return host if target.port in (None, usual) else b"%s:%d" % (host, target.port)


def _readable(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    out: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        out[name] = f"{out[name]}, {value}" if name in out else value
    return out
