"""The reference ERP over HTTP: ``/v1`` is the contract, ``/admin`` plays the buyer and asks for trouble.

One bearer token opens both; ``/admin`` answers only to this machine.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
import os
import secrets
import socketserver
import sqlite3
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final, NoReturn
from urllib.parse import parse_qsl, unquote

from gateway.erp.reference.faults import Fault, FaultBox, FaultKind, read_fault
from gateway.erp.reference.ledger import NUMBERS, Ledger
from gateway.erp.reference.problems import Problem

MAX_BODY_BYTES: Final = 32 * 1024 * 1024
MAX_PAGE: Final = 1000

#: Status and what to send: JSON, or a text for a page of HTML, or None to drop the connection without an answer.
Answer = tuple[int, object]

_KINDS: Final = {f"{kind.replace('_', '-')}s": kind for kind in NUMBERS}


@dataclass(frozen=True, slots=True)
class Request:
    """One request, read and authorised."""

    method: str
    path: tuple[str, ...]  #: decoded segments
    query: Mapping[str, str]
    body: Mapping[str, object]

    def whole_number(self, name: str, default: int, least: int, most: int) -> int:
        value = self.query.get(name, str(default))
        if not (value.isascii() and value.isdecimal() and len(value) < 10 and least <= int(value) <= most):
            raise Problem(400, "malformed", f"{name} must be a whole number from {least} to {most}.")
        return int(value)


class ReferenceErp(ThreadingHTTPServer):
    """The server: one thread per connection, one ledger, one box of faults."""

    request_queue_size = 128

    def __init__(self, address: tuple[str, int], ledger: Ledger, token: str) -> None:
        self.ledger = ledger
        self.token = token
        self.faults = FaultBox()
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # Not HTTPServer's: it asks the name service who we are, which can take seconds and is never used.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exc_info()[1], OSError):  # a caller that hung up is no error of ours
            super().handle_error(request, client_address)  # type: ignore[arg-type]  # typeshed wants its own alias

    def answer(self, request: Request) -> Answer:
        """What to say, faults included.

        Raises:
            Problem: the answer is a refusal.
        """
        match request.path:
            case ["v1", *rest]:
                return self._contract(request, rest)
            case ["admin", *rest]:
                return self._admin(request, rest)
        _no_route(request)

    def _contract(self, request: Request, path: Sequence[str]) -> Answer:
        operation, act = self._operation(request, path)
        fault = self.faults.draw(operation)
        if fault is None:
            return act(None)
        if fault.kind is FaultKind.SLOW:
            time.sleep(fault.seconds)  # reviewed sleep: to be slow is the fault that was asked for
            return act(fault)
        if fault.kind is FaultKind.LATER:
            return act(fault)
        if fault.kind in {FaultKind.LOSE_ANSWER, FaultKind.LATE_500, FaultKind.GARBAGE}:
            act(fault)
        elif operation in {"submit", "settle"}:
            self.ledger.note(_KINDS.get(path[0], operation), path[-1], "not done", fault.kind)
        return _misbehave(fault)

    def _operation(self, request: Request, path: Sequence[str]) -> tuple[str, Callable[[Fault | None], Answer]]:
        """The operation a request means, and what carries it out."""
        ledger = self.ledger
        match request.method, path:
            case "GET", ["changes"]:
                limit = request.whole_number("limit", 100, 1, MAX_PAGE)
                return "changes", lambda _: (200, ledger.changes(limit))
            case "POST", ["changes", "settle"]:
                tokens = request.body.get("tokens")
                if not isinstance(tokens, list) or not all(isinstance(t, str) and t.isdecimal() for t in tokens):
                    raise Problem(422, "invalid", "tokens must be a list of tokens as listed by GET /v1/changes.")
                return "settle", lambda fault: (200, {"settled": ledger.settle(tokens, _name(fault))})
            case "GET", ["orders", order_key]:
                return "load", lambda _: (200, ledger.order(order_key))
            case "GET", ["documents", document_key]:
                return "load", lambda _: (200, ledger.document(document_key))
            case "PUT", [collection, key] if collection in _KINDS:
                return "submit", lambda fault: ledger.submit(
                    _KINDS[collection],
                    key,
                    request.body,
                    fault=_name(fault),
                    later=fault is not None and fault.kind is FaultKind.LATER,
                )
            case "GET", [collection, key] if collection in _KINDS:
                return "find", lambda _: (200, ledger.receipt(_KINDS[collection], key))
            case "GET", ["snapshot"]:
                page = request.whole_number("page", 0, 0, 10**8)
                page_size = request.whole_number("page_size", 200, 1, MAX_PAGE)
                return "snapshot", lambda _: (200, ledger.snapshot(page, page_size))
        _no_route(request)

    def _admin(self, request: Request, path: Sequence[str]) -> Answer:
        ledger = self.ledger
        match request.method, path:
            case "POST", ["release"]:
                return 201, ledger.release(request.body)
            case "POST", ["orders", order_key, "change"]:
                return 200, ledger.change(order_key, request.body)
            case "POST", ["orders", order_key, "cancel"]:
                return 200, ledger.cancel(order_key)
            case "POST", ["orders", order_key, "close"]:
                return 200, ledger.close_order(order_key)
            case "POST", ["documents"]:
                return 201, ledger.issue(request.body)
            case "POST", ["post"]:
                return 200, {"posted": ledger.post_pending()}
            case "GET", ["effects"]:
                return 200, ledger.effects()
            case "GET", ["journal"]:
                return 200, ledger.journal(request.whole_number("after", 0, 0, 10**8), MAX_PAGE)
            case "GET", ["faults"]:
                return 200, self.faults.listing()
            case "POST", ["faults"]:
                self.faults.add(read_fault(request.body))
                return 201, self.faults.listing()
            case "DELETE", ["faults"]:
                self.faults.clear()
                return 200, []
        _no_route(request)


class _Handler(BaseHTTPRequestHandler):
    """Bytes to requests, answers to bytes."""

    server: ReferenceErp
    protocol_version = "HTTP/1.1"
    server_version = "reference-erp"
    sys_version = ""
    timeout = 60  # seconds an idle connection may stay open
    wbufsize = -1  # head and body leave together
    disable_nagle_algorithm = True  # or the second packet of a long answer waits 40 ms for the first one's receipt

    def do_GET(self) -> None:
        try:
            status, answer = self.server.answer(self._read())
        except Problem as problem:
            self._send(problem.status, problem.body(), problem)
        except RecursionError:
            self._send(400, Problem(400, "malformed", "The body is nested too deep.").body())
        except sqlite3.Error as error:
            self._send(500, Problem(500, "internal", f"The database said: {error}.").body())
        else:
            self._send(status, answer)

    do_PUT = do_POST = do_DELETE = do_GET

    def _read(self) -> Request:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not (length.isascii() and length.isdecimal() and len(length) < 10):
            self.close_connection = True
            raise Problem(411, "length_required", "Send the body with its Content-Length.")
        if int(length) > MAX_BODY_BYTES:
            self.close_connection = True
            raise Problem(413, "too_large", f"A body has at most {MAX_BODY_BYTES} bytes.")
        body = self.rfile.read(int(length))
        address, _, query = self.path.partition("?")
        path = tuple(unquote(segment) for segment in address.split("/")[1:])
        self._authorise(path)
        return Request(self.command, path, dict(parse_qsl(query)), _decode(body))

    def _authorise(self, path: Sequence[str]) -> None:
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        # As bytes: compare_digest refuses other text than ASCII.
        if scheme.lower() != "bearer" or not hmac.compare_digest(token.encode(), self.server.token.encode()):
            raise Problem(401, "unauthorized", "The bearer token is missing or wrong.")
        if path[:1] == ("admin",) and not ipaddress.ip_address(self.client_address[0]).is_loopback:
            raise Problem(403, "forbidden", "/admin answers only to this machine.")

    def _send(self, status: int, answer: object, problem: Problem | None = None) -> None:
        if answer is None:
            self.close_connection = True
            return
        body = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        kind = "text/html" if isinstance(answer, str) else "application/json"
        self.send_response(status)
        self.send_header("Content-Type", "application/problem+json" if status >= 400 else kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        if problem and problem.retry_after_s is not None:
            self.send_header("Retry-After", str(problem.retry_after_s))
        if status == 401:
            self.send_header("WWW-Authenticate", "Bearer")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the journal says what came, and a terminal is for the one line that we listen."""


def serve(
    database: Path,
    *,
    host: str,
    port: int,
    token_file: Path | None,
    seed: Path | None,
    announce: Callable[[str], object],
) -> None:
    """Listen until interrupted.

    Args:
        database: the SQLite file; made when it is not there.
        port: 0 takes a free one; the announced line names it.
        token_file: holds the bearer token; None: ``<database>.token``. Made, with a random token, when it is not there.
        seed: a JSON list of orders to release, as for POST /admin/release; those released already are left alone.
        announce: told once, when requests are answered.

    Raises:
        OSError: a file or the port cannot be used.
        ValueError: a file does not hold what it should.
    """
    token = _token(token_file or database.with_name(database.name + ".token"))
    try:
        ledger = Ledger(database)
    except sqlite3.Error as error:
        raise ValueError(f"{database} cannot be used: {error}.") from error
    try:
        if seed:
            _release_all(ledger, seed)
        with ReferenceErp((host, port), ledger, token) as server:
            announce(f"reference ERP listening on http://{host}:{server.server_port}")
            server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        ledger.close()


def _release_all(ledger: Ledger, seed: Path) -> None:
    try:
        orders = json.loads(seed.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{seed} is not JSON: {error}") from None
    if not isinstance(orders, list) or not all(isinstance(order, dict) for order in orders):
        raise ValueError(f"{seed} must hold a list of orders: {{company, supplier_number, record}}.")
    for place, order in enumerate(orders):
        try:
            ledger.release(order)
        except Problem as problem:
            if problem.code != "order_exists":
                raise ValueError(f"{seed}, order {place}: {problem.detail}") from None


def _token(path: Path) -> str:
    """The token in this file; a new random one, readable only by us, when there is no such file."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        token = path.read_text("utf-8").strip()
        if not token:
            raise ValueError(f"{path} holds no token.") from None
        return token
    with os.fdopen(descriptor, "w") as file:
        token = secrets.token_urlsafe(32)
        file.write(token)
    return token


def _misbehave(fault: Fault) -> Answer:
    match fault.kind:
        case FaultKind.ERROR_500 | FaultKind.LATE_500:
            raise Problem(500, "internal", "Something went wrong.")
        case FaultKind.BUSY_429:
            raise Problem(429, "busy", "Too many requests; later.", retry_after_s=round(fault.seconds))
        case FaultKind.REJECT:
            raise Problem(422, "rejected", "Posting period 10 is closed.")
        case FaultKind.GARBAGE:
            return 200, "<html><title>Gateway time-out</title></html>"
    return 0, None


def _name(fault: Fault | None) -> str:
    return fault.kind if fault else ""


def _decode(body: bytes) -> Mapping[str, object]:
    try:
        decoded = json.loads(body or b"{}", parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Problem(400, "malformed", f"The body is not JSON: {error}.") from None
    if not isinstance(decoded, dict):
        raise Problem(400, "malformed", "The body must be a JSON object.")
    return decoded


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _no_route(request: Request) -> NoReturn:
    raise Problem(404, "no_such_route", f"There is no {request.method} /{'/'.join(request.path)}.")
