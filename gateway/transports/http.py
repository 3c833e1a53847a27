"""One HTTP POST whose failures say whether anything was sent.

This drives httpcore, the engine inside httpx, because two things matter here that httpx does not offer: one deadline over
the whole exchange (httpx starts its time-out anew with every byte, so a dripping peer could outlive a worker's lease), and
a request that carries our headers and no others.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import httpcore

from gateway.transports.errors import InDoubt, Unreachable

#: The longest answer that is read. A receipt has a few kilobytes.
MAX_ANSWER_BYTES: Final = 1024 * 1024

#: What httpcore raises before the first byte of a request is written.
_NOTHING_SENT: Final = (
    httpcore.ConnectError,
    httpcore.ConnectTimeout,
    httpcore.PoolTimeout,
    httpcore.UnsupportedProtocol,
    httpcore.LocalProtocolError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """What came back, whatever the status."""

    status: int
    headers: Mapping[str, str]  #: names in lower case; a repeated one joined with ", "
    body: bytes


def post(url: str, headers: Mapping[str, str], body: bytes, *, timeout_s: float, verify_tls: bool = True) -> HttpAnswer:
    """Send ``body`` once, with exactly these headers and Host, Content-Length and Connection beside them.

    Redirects are not followed: a redirected message is a message at an address nobody agreed on. Proxies in the
    environment are not used.

    Args:
        timeout_s: for the whole exchange, from looking the name up to the last byte of the answer.
        verify_tls: False accepts any certificate; the payload is protected by its own signature and encryption.

    Raises:
        Unreachable: nothing was sent.
        InDoubt: something may have been sent, and no whole answer of at most ``MAX_ANSWER_BYTES`` came in time.
    """
    try:
        target = httpcore.URL(url.encode("ascii"))
        wire_headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers.items()]
    except ValueError as exc:  # UnicodeError is one
        raise Unreachable(f"the request cannot be written: {exc}") from exc
    if not target.host:
        raise Unreachable(f"{url!r} names no host")
    wire_headers += [
        (b"Host", _authority(target)),
        (b"Content-Length", str(len(body)).encode()),
        (b"Connection", b"close"),
    ]
    deadline = _Deadline(timeout_s)
    with (
        _told_apart(),
        httpcore.ConnectionPool(ssl_context=_tls(verify_tls), network_backend=_Backend(deadline), retries=0) as pool,
        pool.stream("POST", target, headers=wire_headers, content=body) as answer,
    ):
        received = bytearray()
        for piece in answer.iter_stream():
            received += piece
            if len(received) > MAX_ANSWER_BYTES:
                raise InDoubt(f"the answer (HTTP {answer.status}) is longer than {MAX_ANSWER_BYTES} bytes")
        return HttpAnswer(status=answer.status, headers=_readable(answer.headers), body=bytes(received))


@contextmanager
def _told_apart() -> Iterator[None]:
    try:
        yield
    except _NOTHING_SENT as exc:
        raise Unreachable(f"{type(exc).__name__}: {exc}") from exc
    except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as exc:
        raise InDoubt(f"{type(exc).__name__}: {exc}") from exc


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


@cache
def _tls(verify: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()  # TLS 1.2 and newer, the system's authorities
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class _Deadline:
    """The moment after which no operation of one exchange may begin or go on."""

    def __init__(self, seconds: float) -> None:
        self.at = time.monotonic() + seconds

    def left(self, expired: type[httpcore.TimeoutException]) -> float:
        seconds = self.at - time.monotonic()
        if seconds <= 0:
            raise expired("the time for the whole exchange is over")
        return seconds


class _Backend(httpcore.NetworkBackend):
    """httpcore's own network, with every time-out cut to what is left of the deadline."""

    def __init__(self, deadline: _Deadline) -> None:
        self._deadline = deadline
        self._network = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        left = self._deadline.left(httpcore.ConnectTimeout)
        stream = self._network.connect_tcp(host, port, left, local_address, socket_options)
        return _Stream(stream, self._deadline)


class _Stream(httpcore.NetworkStream):
    #: One write call loops over partial sends and starts its time-out anew each time: hand it little at once.
    _PIECE_BYTES: Final = 64 * 1024

    def __init__(self, stream: httpcore.NetworkStream, deadline: _Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.left(httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), self._PIECE_BYTES):
            piece = buffer[start : start + self._PIECE_BYTES]
            self._stream.write(piece, self._deadline.left(httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = self._deadline.left(httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, left), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
