"""The TLS server in front of the gateway, as small as it can be: ends TLS, passes one request on, says whose certificate it saw."""

from __future__ import annotations

import base64
import re
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_TIMEOUT_S: Final = 30
_PIECE: Final = 64 * 1024


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, context: ssl.SSLContext, target: tuple[str, int]) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.context, self.target = context, target


class _Request(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        self.request.settimeout(_TIMEOUT_S)
        try:
            with self.server.context.wrap_socket(self.request, server_side=True) as secure:
                self._pass_on(secure)
        except ssl.SSLError:
            pass  # whoever shows no certificate of ours gets no further: the handshake says so to him

    def _pass_on(self, secure: ssl.SSLSocket) -> None:
        came = b""
        while b"\r\n\r\n" not in came:
            if not (piece := secure.recv(_PIECE)):
                return
            came += piece
        head, _blank, body = came.partition(b"\r\n\r\n")
        head = (
            re.sub(rb"\r\n(?:connection|client-cert):[^\r]*", b"", head, flags=re.IGNORECASE) + b"\r\nConnection: close"
        )
        if certificate := secure.getpeercert(binary_form=True):
            head += b"\r\nClient-Cert: :" + base64.b64encode(certificate) + b":"  # RFC 9440
        with socket.create_connection(self.server.target, timeout=_TIMEOUT_S) as gateway:
            gateway.sendall(head + b"\r\n\r\n" + body)
            length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
            left = int(length[1]) - len(body) if length else 0
            while left > 0 and (piece := secure.recv(_PIECE)):
                gateway.sendall(piece)
                left -= len(piece)
            while piece := gateway.recv(_PIECE):
                secure.sendall(piece)


@contextmanager
def in_front_of(target: tuple[str, int], context: ssl.SSLContext) -> Iterator[int]:
    """Listen on a free port of loopback while the block runs; yields the port."""
    with _Server(context, target) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
