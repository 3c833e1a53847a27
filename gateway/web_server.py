"""waitress as we run it: whole bodies before a thread is used, and limits on what strangers may cost us before that.

| a request | gets |
|---|---|
| whose head has more than 100 lines, or 64 KB | 400, 431 |
| whose length is said twice, in two ways, or not in digits | 400: two servers could read it in two ways |
| with another Transfer-Encoding than ``chunked`` | 501 |
| longer than any partner may send | 413 before its body is read |
| that comes slower than the slowest sender allowed | 408 |
| with more than there is room for, beside the others that are coming or on the disk | 503 |

Every one of these ends the connection, after what the caller still sends has been thrown away for a while: closed at once, the
caller would see a reset instead of the answer.

Source: RFC 9112, sections 6 and 7, RFC 9110, 10.1.1 and 15.5.
"""

from __future__ import annotations

import logging
import re
import resource
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import waitress
from django.conf import settings
from waitress.buffers import OverflowableBuffer
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError, TransferEncodingNotImplemented, get_header_lines
from waitress.server import TcpWSGIServer
from waitress.utilities import BadRequest, Error, RequestEntityTooLarge

from gateway import metrics
from partners.profiles import MAX_MESSAGE_MEGABYTES

log = logging.getLogger(__name__)

MOST_BODY_BYTES: Final = MAX_MESSAGE_MEGABYTES * 1024 * 1024
MOST_HEAD_BYTES: Final = 64 * 1024
MOST_HEADER_LINES: Final = 100
#: Of a body, in memory; what is beyond goes to a temporary file.
SPOOL_BYTES: Final = 128 * 1024
#: How long a connection is read on and nothing kept after its request was refused, and after it was too slow.
LINGER_S: Final = 10.0
SLOW_LINGER_S: Final = 1.0
#: The loop looks at every connection each second, unless the whole process stands still.
_PAUSE_S: Final = 2.0
#: A chunk's line and all trailers of a body; nobody sends extensions.
_MOST_LINE_BYTES: Final = 1024
_MOST_TRAILER_BYTES: Final = 8 * 1024
#: So many chunks may be small; of more, the average must not be: each costs us far more than its sender.
_FEW_CHUNKS: Final = 10_000
_SMALL_CHUNK_BYTES: Final = 64
_CHUNK_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;[^\r\n]*)?\r\n")
#: Anything we could hold is far shorter.
_MOST_LENGTH_DIGITS: Final = 15


def create(
    application: Callable[..., Any],
    *,
    host: str,
    port: int,
    threads: int = 8,
    connections: int = 1000,
    sockets: dict[int, Any] | None = None,
) -> Any:
    """A server that listens and does not run yet; ``run()`` and ``close()`` it.

    Args:
        connections: open at the same time; more wait to be accepted.
        sockets: where waitress keeps what its loop watches, for a caller that runs the loop itself.
    """
    sockets = {} if sockets is None else sockets
    _allow_files(2 * connections + 200)  # a connection is a socket and perhaps a temporary file
    server = waitress.create_server(
        application,
        map=sockets,
        host=host,
        port=port,
        threads=threads,
        connection_limit=connections,
        channel_timeout=60,
        asyncore_use_poll=True,  # select() ends the loop at the first descriptor beyond 1,023
        recv_bytes=64 * 1024,
        inbuf_overflow=SPOOL_BYTES,
        max_request_header_size=MOST_HEAD_BYTES,
        max_request_body_size=2 * MOST_BODY_BYTES,  # as it comes, with its chunks' lines; the body's own limit is ours
        clear_untrusted_proxy_headers=False,  # waitress trusts one address or all; see gateway/endpoints/proxies.py
        ident="supplier-gateway",
    )
    for listener in sockets.values():
        if isinstance(listener, TcpWSGIServer):
            listener.channel_class = Channel
    return server


def _allow_files(wanted: int) -> None:
    """Many systems give a process 1,024 files until it asks for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


class Room:
    """What the bodies of all requests may hold together until each has its answer. Anybody can send a body."""

    def __init__(self) -> None:
        self._held = 0
        self._lock = threading.Lock()

    def take(self, count: int) -> bool:
        """Whether there was room for so many bytes more; they are held either way."""
        with self._lock:
            self._held += count
            return self._held <= settings.MOST_SPOOLED_MB * 1024 * 1024

    def give_back(self, count: int) -> None:
        with self._lock:
            self._held -= count


_ROOM: Final = Room()


class NoRoom(Error):  # type: ignore[misc]  # waitress has no types
    code = 503
    reason = "Service Unavailable"

    def to_response(self, ident: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:
        status, headers, body = super().to_response(ident)
        return status, [*headers, ("Retry-After", "60")], body


class RequestTimeout(Error):  # type: ignore[misc]  # waitress has no types
    code = 408
    reason = "Request Timeout"


class Request(HTTPRequestParser):  # type: ignore[misc]  # waitress has no types
    """One request while it comes in. Its clock begins with its first byte."""

    path = ""  #: waitress logs it of requests whose head never came, too
    body_rcv: Any

    def __init__(self, adj: Any) -> None:
        super().__init__(adj)
        self.began = time.monotonic()
        self._held = 0

    def received(self, data: bytes) -> int:
        before = self.body_bytes_received
        try:
            taken: int = super().received(data)
        except OSError as error:
            log.error("a request cannot be taken, its temporary file cannot be written: %s", error)
            self._turn_away()
            return len(data)
        if come := self.body_bytes_received - before:
            self._held += come
            if not _ROOM.take(come):
                self._turn_away()
        return taken

    def _turn_away(self) -> None:
        self.error = NoRoom("Too much is being sent to us at the moment. Send it again.")
        self.completed = True
        self.close()  # at once, before it is answered: the next sender needs the room

    def close(self) -> None:
        _ROOM.give_back(self._held)
        self._held = 0
        with suppress(OSError):  # what its temporary file had no room for is not missed
            super().close()

    def is_too_slow(self, now: float) -> bool:
        """Whether it has taken longer than the slowest sender allowed needs for what has come, and the grace."""
        come = self.header_bytes_received + self.body_bytes_received
        return bool(now - self.began > settings.SENDER_GRACE_S + come / (settings.SLOWEST_SENDER_KB_S * 1024))

    def parse_header(self, head: bytes) -> None:
        if head.count(b"\r\n") > MOST_HEADER_LINES + 2:
            raise ParsingError(f"More than {MOST_HEADER_LINES} header lines")
        chunked = _framing(head)
        super().parse_header(head)
        if self.version not in {"1.0", "1.1"}:
            raise ParsingError("HTTP/1.0 and HTTP/1.1 are spoken here")
        if chunked and self.version != "1.1":
            raise ParsingError("HTTP/1.0 has no Transfer-Encoding")
        if self.version == "1.1" and "HOST" not in self.headers:
            raise ParsingError("HTTP/1.1 wants a Host")
        if self.content_length > MOST_BODY_BYTES:
            self.error = RequestEntityTooLarge(_TOO_LARGE)
            self.body_rcv = None  # nothing of it is read
        elif chunked:
            self.body_rcv = ChunkedBody(self.body_rcv.getbuf())


_TOO_LARGE: Final = f"A body may have {MOST_BODY_BYTES} bytes"


def _framing(head: bytes) -> bool:
    """Whether the body comes in chunks, by headers that can be read in one way only.

    Raises:
        ParsingError, TransferEncodingNotImplemented: they cannot, or are not for us.
    """
    said: dict[bytes, list[bytes]] = {b"content-length": [], b"transfer-encoding": [], b"host": []}
    for line in get_header_lines(head.partition(b"\r\n")[2]):
        name, _, value = line.partition(b":")
        if (name := name.strip().lower()) in said:
            said[name].append(value.strip(b" \t"))
    lengths, codings = said[b"content-length"], said[b"transfer-encoding"]
    if len(lengths) + len(codings) > 1:
        raise ParsingError("The length of the body is said more than once")
    if len(said[b"host"]) > 1:
        raise ParsingError("More than one Host")
    if lengths and len(lengths[0]) > _MOST_LENGTH_DIGITS:
        raise ParsingError("Content-Length is invalid")
    if codings and codings[0].lower() != b"chunked":
        raise TransferEncodingNotImplemented("Of Transfer-Encoding only chunked is taken")
    return bool(codings)


class ChunkedBody:
    """A chunked body on its way into a buffer; what the grammar does not allow is an error, never a guess.

    Takes the place of waitress's own, which keeps a line without end, moves all of it with every packet, and takes a bare
    line feed after a chunk's size.
    """

    def __init__(self, buffer: OverflowableBuffer) -> None:
        self.completed = False
        self.error: BadRequest | None = None
        self._buffer = buffer
        self._take: Callable[[bytes], None] = self._take_size
        self._line = b""  #: as much of it as has come
        self._missing = 0  #: bytes of the chunk that are still to come
        self._bytes = self._chunks = self._trailer_bytes = 0

    def __len__(self) -> int:
        return self._bytes

    def getfile(self) -> Any:
        return self._buffer.getfile()

    def getbuf(self) -> OverflowableBuffer:
        return self._buffer

    def received(self, data: bytes) -> int:
        """Take what belongs to the body; the number of bytes that did."""
        at, pieces = 0, []
        while at < len(data) and not self.completed and self.error is None:
            if self._missing:
                piece = data[at : at + self._missing]
                pieces.append(piece)
                self._missing -= len(piece)
                at += len(piece)
                continue
            end = data.find(b"\n", at, at + _MOST_LINE_BYTES) + 1
            self._line += data[
                at : end or at + _MOST_LINE_BYTES + 1
            ]  # without an end there, it is too long by one at least
            at = end or len(data)
            if len(self._line) > _MOST_LINE_BYTES:
                self.error = BadRequest("A line of the chunked body is too long")
            elif end:
                line, self._line = self._line, b""
                self._take(line)
        if pieces:
            self._buffer.append(b"".join(pieces))
        return at

    def _take_size(self, line: bytes) -> None:
        size = _CHUNK_LINE.fullmatch(line)
        if size is None:
            self.error = BadRequest("The size of a chunk is invalid")
            return
        self._missing = int(size[1], 16)
        self._bytes += self._missing
        if self._missing == 0:
            self._take = self._take_trailer
            return
        self._chunks += 1
        self._take = self._take_end
        if self._bytes > MOST_BODY_BYTES:
            self.error = RequestEntityTooLarge(_TOO_LARGE)
        elif self._chunks > _FEW_CHUNKS and self._bytes < self._chunks * _SMALL_CHUNK_BYTES:
            self.error = BadRequest("The body comes in too many small chunks")

    def _take_end(self, line: bytes) -> None:
        if line != b"\r\n":
            self.error = BadRequest("A chunk is longer than its size says")
        self._take = self._take_size

    def _take_trailer(self, line: bytes) -> None:
        self._trailer_bytes += len(line)
        if not line.endswith(b"\r\n") or self._trailer_bytes > _MOST_TRAILER_BYTES:
            self.error = BadRequest("The end of the chunked body is invalid")
        self.completed = line == b"\r\n"


class Channel(HTTPChannel):  # type: ignore[misc]  # waitress has no types
    """One connection, with what waitress does not see to: slow senders, needless invitations, refusals that are read."""

    parser_class = Request
    request: Request | None
    will_close: bool
    _linger_s: float | None = None  #: after the answer that is being given, which is a refusal
    _linger_until: float | None = None

    def __init__(self, *about: Any, **more: Any) -> None:
        self._looked_at = time.monotonic()
        super().__init__(*about, **more)

    def readable(self) -> bool:
        """Asked by the loop before each wait, a second at most: the place to look at the clock."""
        if self._linger_until is not None:
            self.will_close = self.will_close or time.monotonic() > self._linger_until
            return not self.will_close
        now = time.monotonic()
        unseen, self._looked_at = now - self._looked_at, now
        ready = bool(super().readable())
        if self.request is None:
            return ready
        if not ready:
            self.request.began = now  # we are not reading, so nobody is slow
        elif unseen > _PAUSE_S:
            self.request.began += unseen  # this process did not run, and what was sent meanwhile is not read yet
        elif self.request.is_too_slow(now):
            self._give_up(self.request)
        return ready

    def _give_up(self, request: Request) -> None:
        with self.requests_lock:
            request.error = RequestTimeout(f"{settings.SLOWEST_SENDER_KB_S:g} KB a second are the least")
            request.completed = True
            self.request = None
            self.requests.append(request)
            self.server.add_task(self)

    def send_continue(self) -> None:
        if self.request is None or self.request.completed:
            return  # refused, or without a body: waitress would invite one and wait for it
        super().send_continue()

    def service(self) -> None:
        if (error := self.requests[0].error) is not None:
            metrics.REFUSED.labels("http", str(error.code)).inc()
            self._linger_s = SLOW_LINGER_S if isinstance(error, RequestTimeout) else LINGER_S
        super().service()

    def handle_write(self) -> None:
        if self._linger_s is not None and self.close_when_flushed and not self.will_close:
            self._flush_exception(self._flush_some)
            if not self.total_outbufs_len:
                self._linger(self._linger_s)
        if self.close_when_flushed or self.will_close or self._linger_until is None:
            super().handle_write()

    def _linger(self, seconds: float) -> None:
        self.close_when_flushed = False
        self._linger_until = time.monotonic() + seconds
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.will_close = True

    def handle_read(self) -> None:
        if self._linger_until is None:
            super().handle_read()
            return
        try:
            self.recv(self.adj.recv_bytes)  # the end of the stream closes the channel
        except OSError:
            self.handle_close()

    def handle_close(self) -> None:
        if self.request is not None:
            self.request.close()  # its temporary file
            self.request = None
        super().handle_close()
