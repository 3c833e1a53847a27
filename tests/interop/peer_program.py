"""What the Python peers have in common: questions and answers by line, AS2 by HTTP and HTTPS. Standard library only.

A peer is a program. It gets a folder of keys as its one argument, prints ``{"ports": {"http": …, "https-self": …}}`` and then
answers each line of JSON with a line of JSON, until its input ends:

    {"do": "agree", "terms": {…}}           the terms of the exchanges to come, see ``peers.Terms``
    {"do": "send", "file": …, "content_type": …, "altered": false}
                                            post one file; answers message_id, status, mic and receipt (or null)
    {"do": "inbox", "message_id": …}        what became of a message: verdict, sha256 and size of the payload, mic
    {"do": "settle"}                        post the asynchronous receipts that wait; answers their HTTP statuses
    {"do": "receipt", "message_id": …}      what the asynchronous receipt for a message we sent said: verdict, mic_agrees

An error of the peer is answered as {"error": …}.
"""

from __future__ import annotations

import http.client
import json
import ssl
import sys
import threading
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

TIMEOUT_S = 60.0
Headers = list[tuple[str, str]]
Answer = tuple[int, Headers, bytes]


class Peer(ABC):
    """One implementation of AS2 behind the questions above."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.terms: dict[str, Any] = {}
        self.inbox: dict[str, dict[str, Any]] = {}
        self.receipts: dict[str, dict[str, Any]] = {}

    def agree(self, terms: dict[str, Any]) -> None:
        self.terms = terms

    @abstractmethod
    def send(self, file: Path, content_type: str, altered: bool) -> dict[str, Any]:
        """Post one file, altered on its way if so asked; what ``send`` answers above."""

    @abstractmethod
    def server(self) -> HTTPServer:
        """A server on a free port of loopback."""

    @abstractmethod
    def settle(self) -> list[int]:
        """Post the asynchronous receipts that wait; the HTTP statuses they met."""

    def pem(self, name: str) -> bytes:
        return Path(self.folder, name).read_bytes()

    def answer(self, question: dict[str, Any]) -> dict[str, Any]:
        match question["do"]:
            case "agree":
                self.agree(question["terms"])
                return {}
            case "send":
                return self.send(Path(question["file"]), question["content_type"], question["altered"])
            case "settle":
                return {"statuses": self.settle()}
            case "inbox":
                return self.inbox.get(question["message_id"], {})
            case "receipt":
                return self.receipts.get(question["message_id"], {})
            case unknown:
                raise ValueError(f"nobody asks {unknown!r}")


def altered(body: bytes) -> bytes:
    """The body with one octet changed near the middle, where the document is."""
    at = len(body) // 2
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]


def post(url: str, headers: dict[str, str], body: bytes, *, trusted: Path | None, client: Path | None) -> Answer:
    """POST once; ``trusted`` and ``client`` are PEM files, the second a certificate with its key."""
    target = urlsplit(url)
    host = target.hostname or ""
    if target.scheme == "https":
        context = ssl.create_default_context(cafile=trusted)
        if client is not None:
            context.load_cert_chain(client)
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, target.port, timeout=TIMEOUT_S, context=context
        )
    else:
        connection = http.client.HTTPConnection(host, target.port, timeout=TIMEOUT_S)
    try:
        connection.request("POST", target.path or "/", body=body, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.getheaders(), answer.read()
    finally:
        connection.close()


def server_for(receive: Callable[[Headers, bytes], Answer]) -> HTTPServer:
    """A server on a free port of loopback that hands what comes to ``receive``."""
    return ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"receive": staticmethod(receive)}))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    receive: ClassVar[staticmethod[[Headers, bytes], Answer]]

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: standard output is for answers."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            status, headers, content = self.receive(list(self.headers.items()), body)
        except Exception as exc:  # noqa: BLE001  # a library's fault is an answer too
            traceback.print_exc()
            status, headers, content = 500, [], f"{type(exc).__name__}: {exc}".encode()
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)


KINDS = ("http", "https-self", "https-ca", "mtls")


def _tls(folder: Path, kind: str) -> ssl.SSLContext | None:
    """How a server of one kind shows itself; None for plain HTTP. "mtls" asks for a certificate of the clients' authority."""
    if kind == "http":
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / ("tls-self.pem" if kind == "https-self" else "tls-server.pem"))
    if kind == "mtls":
        context.load_verify_locations(folder / "tls-client-authority.pem")
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def run(peer: Peer) -> None:
    """Serve until standard input ends."""
    servers = {}
    for kind in KINDS:
        servers[kind] = server = peer.server()
        if context := _tls(peer.folder, kind):
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
    _say({"ports": {kind: server.server_address[1] for kind, server in servers.items()}})
    for line in sys.stdin:
        try:
            answer = peer.answer(json.loads(line))
        except Exception as exc:  # noqa: BLE001  # the same
            traceback.print_exc()
            answer = {"error": f"{type(exc).__name__}: {exc}"}
        _say(answer)


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
