"""A supplier as a program of its own, speaking AS2 through pyas2lib and nothing of our engine.

It is the other side in the demonstration, in partner rehearsals and in the interoperability tests, so it shares no code
with what it is there to check. It keeps what it received under one folder::

    inbox/000001-po.edi    payloads, numbered in the order of arrival
    mdn/000001.mdn         the receipt given, header and body
    journal.jsonl          one line for each thing that happened, see its ``direction``

| direction | what |
|---|---|
| received | a message came |
| sending, sent | a message of ours is about to leave; it has left, and what came in the answer |
| answered | a receipt of ours went by a request of its own, and how its server took it |
| receipt | a receipt for a message of ours came by a request of its own |

and answers on one address: ``POST /as2`` for messages and ``POST /receipts`` for receipts of partners; ``POST /control/send``
and ``GET /control/journal`` for whoever runs it, from the same machine only.
"""

from __future__ import annotations

import hashlib
import http.client
import ipaddress
import json
import os
import re
import ssl
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from gateway.transports.as2 import independent

MAX_BODY_BYTES: Final = 50 * 1024 * 1024
MAX_CONTROL_BYTES: Final = 64 * 1024
TIMEOUT_S: Final = 60.0
_HEADER_END: Final = b"\r\n\r\n"


# --------------------------------------------------------------------------------------------------- configuration
class ConfigurationError(Exception):
    """The file cannot be used; the text says which entry and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """Who this supplier is and whom it trades with. Paths in the file are relative to the file."""

    as2_name: str
    key: Path  #: PEM, PKCS #8, not encrypted
    certificate: Path  #: PEM
    peer_as2_name: str
    peer_signing_certificate: Path
    peer_encryption_certificate: Path  #: may be left out: the signing certificate
    peer_url: str
    listen: str  #: host:port; port 0 takes a free one
    data: Path
    digest: str = "sha256"
    cipher: str = "aes_256_cbc"  #: as pyas2lib calls it
    compressed: bool = False
    mdn: str = "sync"  #: the receipts we ask for: "sync" in the answer, "async" by a request of their own
    receipt_address: str = ""  #: where those reach us, e.g. http://host:port/receipts; needed for "async"


_TEXTS: Final = ("as2_name", "peer_as2_name", "peer_url", "listen")
_PATHS: Final = ("key", "certificate", "peer_signing_certificate", "data")
_OPTIONAL: Final = {"peer_encryption_certificate", "digest", "cipher", "compressed", "mdn", "receipt_address"}


def read_configuration(path: Path) -> Configuration:
    """Read the JSON file.

    Raises:
        ConfigurationError: it is unreadable, an entry is missing, unknown or of the wrong type.
    """
    try:
        entries = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as exc:
        raise ConfigurationError(f"{path}: {exc}") from exc
    if not isinstance(entries, dict):
        raise ConfigurationError(f"{path}: not a JSON object")
    if unknown := entries.keys() - {*_TEXTS, *_PATHS} - _OPTIONAL:
        raise ConfigurationError(f"{path}: unknown {', '.join(sorted(unknown))}")
    for name in (*_TEXTS, *_PATHS, *(_OPTIONAL & entries.keys() - {"compressed"})):
        if not isinstance(entries.get(name), str) or not entries[name]:
            raise ConfigurationError(f"{path}: {name} must be a text")
    if not isinstance(entries.get("compressed", False), bool):
        raise ConfigurationError(f"{path}: compressed must be true or false")
    if entries.get("mdn", "sync") not in {"sync", "async"}:
        raise ConfigurationError(f"{path}: mdn must be sync or async")
    if entries.get("mdn") == "async" and "receipt_address" not in entries:
        raise ConfigurationError(f"{path}: receipt_address must be a text, as mdn is async")
    if not re.fullmatch(r"\S+:\d{1,5}", entries["listen"]):
        raise ConfigurationError(f"{path}: listen must be host:port")
    entries.setdefault("peer_encryption_certificate", entries["peer_signing_certificate"])
    for name in (*_PATHS, "peer_encryption_certificate"):
        entries[name] = path.parent / entries[name]
    return Configuration(**entries)


# --------------------------------------------------------------------------------------------------------- journal
class Journal:
    """What this supplier has received and sent, on disk before anybody is told."""

    def __init__(self, folder: Path) -> None:
        self._inbox, self._answers, self._file = folder / "inbox", folder / "mdn", folder / "journal.jsonl"
        self._inbox.mkdir(parents=True, exist_ok=True)
        self._answers.mkdir(exist_ok=True)
        self._lock = threading.Lock()
        self._lines = self._surviving()
        self._accepted = {line["message_id"]: line for line in self._lines if _is_accepted(line)}
        self._ours = {line["message_id"]: line for line in self._lines if line["direction"] == "sending"}

    def _surviving(self) -> list[dict[str, Any]]:
        """The whole lines; half a line from a crash is cut off, its message was never answered."""
        if not self._file.exists():
            return []
        written = self._file.read_bytes()
        whole = written[: written.rfind(b"\n") + 1]
        if whole != written:
            with self._file.open("r+b") as file:
                file.truncate(len(whole))
        return [json.loads(line) for line in whole.splitlines()]

    def lines(self) -> list[dict[str, Any]]:
        with self._lock:
            return list(self._lines)

    def accepted(self, message_id: str) -> dict[str, Any] | None:
        """The line of the message that was processed under this id."""
        with self._lock:
            return self._accepted.get(message_id)

    def ours(self, message_id: str) -> dict[str, Any] | None:
        """The line of the message we sent, or are sending, under this id."""
        with self._lock:
            return self._ours.get(message_id)

    def answer(self, line: Mapping[str, Any]) -> bytes:
        """The MDN given for a line; empty when none was asked for."""
        return Path(self._answers, line["mdn"]).read_bytes()

    def received(
        self,
        *,
        message_id: str,
        body_sha256: str,
        verdict: str,
        mic: str | None,
        payload: bytes | None,
        name: str,
        mdn: bytes,
    ) -> bytes:
        """Write one received message down.

        Args:
            payload: None when the message was not processed.

        Returns:
            The MDN to answer with: of two copies that arrive together, both get the first one's.
        """
        with self._lock:
            first = self._accepted.get(message_id)
            if first is not None and first["body_sha256"] == body_sha256:
                return self.answer(first)
            number = len(self._lines) + 1
            file_name = None
            if payload is not None:
                file_name = f"{number:06d}-{name}"
                _write(self._inbox / file_name, payload)
            mdn_name = f"{number:06d}.mdn"
            _write(self._answers / mdn_name, mdn)
            self._append(
                direction="received",
                message_id=message_id,
                body_sha256=body_sha256,
                verdict=verdict,
                mic=mic,
                file=file_name,
                mdn=mdn_name,
            )
            return mdn

    def note(self, direction: str, **facts: object) -> None:
        with self._lock:
            self._append(direction=direction, **facts)

    def _append(self, **facts: object) -> None:
        line: dict[str, Any] = {"number": len(self._lines) + 1, "at": datetime.now(UTC).isoformat(), **facts}
        with self._file.open("ab") as file:
            file.write(json.dumps(line).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self._lines.append(line)
        if _is_accepted(line):
            self._accepted.setdefault(line["message_id"], line)
        if line["direction"] == "sending":
            self._ours[line["message_id"]] = line


def _is_accepted(line: Mapping[str, Any]) -> bool:
    return line["direction"] == "received" and line["file"] is not None


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


# -------------------------------------------------------------------------------------------------------- supplier
@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    afterwards: Callable[[], None] | None = None  #: what is to be done once it has been given

    @classmethod
    def plain(cls, status: int, text: str) -> Answer:
        return cls(status, {"Content-Type": "text/plain; charset=utf-8"}, f"{text}\n".encode())

    @classmethod
    def json(cls, status: int, content: object) -> Answer:
        return cls(status, {"Content-Type": "application/json"}, json.dumps(content).encode() + b"\n")


class Supplier:
    """Receives and sends; pyas2lib does all of the AS2."""

    def __init__(self, configuration: Configuration) -> None:
        """Load keys and journal.

        Raises:
            ConfigurationError: a key or certificate cannot be read, or an algorithm is unknown to pyas2lib.
        """
        self.configuration = configuration
        try:
            own = configuration.key.read_bytes() + configuration.certificate.read_bytes()
            self._organization = independent.Organization(
                as2_name=configuration.as2_name,
                sign_key=own,
                decrypt_key=own,
                mdn_url=configuration.receipt_address or None,
                domain=re.sub(r"[^A-Za-z0-9.-]+", "-", configuration.as2_name).strip("-.") or "supplier",
            )
            self._peer = independent.Partner(
                as2_name=configuration.peer_as2_name,
                verify_cert=configuration.peer_signing_certificate.read_bytes(),
                encrypt_cert=configuration.peer_encryption_certificate.read_bytes(),
                sign=True,
                digest_alg=configuration.digest,
                encrypt=True,
                enc_alg=configuration.cipher,
                compress=configuration.compressed,
                mdn_mode=configuration.mdn.upper(),
                mdn_digest_alg=configuration.digest,
            )
            self.journal = Journal(configuration.data)
        except (OSError, ValueError, independent.AS2Exception) as exc:
            raise ConfigurationError(f"{configuration.as2_name}: {exc}") from exc

    def receive(self, headers: list[tuple[str, str]], body: bytes) -> Answer:
        """Take one message and give pyas2lib's MDN for it, in the answer or where it is asked for; a repeat gets the first."""
        by_name = {name.lower(): value for name, value in headers}
        if not self._is_from_peer(by_name):
            return Answer.plain(403, "no partner of ours")
        message_id = by_name.get("message-id", "").strip("<> ")
        if not message_id:
            return Answer.plain(400, "a Message-ID is needed")
        address = by_name.get("receipt-delivery-option", "").strip()
        if address and _origin(address) != _origin(self.configuration.peer_url):
            return Answer.plain(400, "receipts go to the server of peer_url only")
        body_sha256 = hashlib.sha256(body).hexdigest()
        known = self.journal.accepted(message_id)
        if known is not None and known["body_sha256"] == body_sha256:
            return self._with_receipt(self.journal.answer(known), message_id, address)
        message = independent.Message()
        try:
            status, (failure, _traceback), mdn = message.parse(
                _as_one(headers, body),
                find_org_cb=lambda name: self._organization if name == self.configuration.as2_name else None,
                find_partner_cb=lambda name: self._peer if name == self.configuration.peer_as2_name else None,
                find_message_cb=lambda *_ids: known is not None,
            )
        except (AttributeError, LookupError, RecursionError, TypeError, ValueError, independent.AS2Exception) as exc:
            return Answer.plain(400, f"pyas2lib could not read the request: {type(exc).__name__}")
        processed = failure is None
        receipt = self.journal.received(
            message_id=message_id,
            body_sha256=body_sha256,
            verdict=status if processed else f"{status}: {type(failure).__name__}",
            mic=message.mic.decode() if message.mic else None,
            payload=message.content if processed else None,
            name=_file_name(message.payload.get_filename()),
            mdn=_wire(mdn) if mdn is not None else b"",
        )
        return self._with_receipt(receipt, message_id, address)

    def take_receipt(self, headers: list[tuple[str, str]], body: bytes) -> Answer:
        """Judge a receipt that comes by a request of its own."""
        if not self._is_from_peer({name.lower(): value for name, value in headers}):
            return Answer.plain(403, "no partner of ours")
        found: list[Any] = []

        def ours(message_id: str, _recipient: object) -> Any:
            line = self.journal.ours(f"<{message_id}>")
            if line is None:
                return None
            # All that pyas2lib asks of a message when it judges a receipt: so a restart in between does no harm.
            message = independent.Message(self._organization, self._peer)
            message.message_id, message.mic = message_id, line["mic"].encode()
            found.append(message)
            return message

        mdn = independent.Mdn()
        status, detail = mdn.parse(_as_one(headers, body), find_message_cb=ours)
        if not found:
            return Answer.plain(404, "it is for no message of ours")
        self.journal.note(
            "receipt",
            message_id=f"<{found[0].message_id}>",
            mdn_status=status,
            detail=detail,
            mic_matched=_mic_matches(mdn, found[0]),
        )
        return Answer.plain(200, "taken")

    def _is_from_peer(self, headers: Mapping[str, str]) -> bool:
        peer, own = _unquoted(headers.get("as2-from", "")), _unquoted(headers.get("as2-to", ""))
        return (peer, own) == (self.configuration.peer_as2_name, self.configuration.as2_name)

    def _with_receipt(self, wire: bytes, message_id: str, address: str) -> Answer:
        """The answer to a message: its receipt, or word that the receipt goes to ``address``."""
        if not wire:
            return Answer.plain(200, "received")
        head, _blank, body = wire.partition(_HEADER_END)
        headers = dict(line.split(": ", 1) for line in head.decode("latin-1").split("\r\n") if line)
        if not address:
            return Answer(200, headers, body)

        def deliver() -> None:
            # Tried once: a partner without its receipt sends the message again, and then it goes again.
            try:
                outcome: dict[str, object] = {"http_status": _post(address, headers, body)[0], "detail": None}
            except (OSError, http.client.HTTPException) as exc:
                outcome = {"http_status": None, "detail": f"{type(exc).__name__}: {exc}"}
            self.journal.note("answered", message_id=message_id, **outcome)

        return replace(Answer.plain(202, "the receipt follows"), afterwards=deliver)

    def send(self, file: Path, content_type: str) -> dict[str, Any]:
        """Sign, encrypt and post one file, then judge the MDN that comes back in the answer, if it is to come there.

        Returns:
            message_id, http_status (None: no answer), mdn_status and detail as pyas2lib says them, mic_matched (None when
            the MDN names no MIC). All of the last three are None while a receipt by a request of its own is awaited.

        Raises:
            OSError: the file cannot be read.
        """
        message = independent.Message(self._organization, self._peer)
        message.build(
            file.read_bytes(),
            filename=file.name,
            subject="Business documents",
            content_type=content_type,
            disposition_notification_to=self.configuration.as2_name,
        )
        outcome: dict[str, Any] = {"message_id": f"<{message.message_id}>", "http_status": None}
        # Before it leaves: its receipt may come sooner than the answer.
        self.journal.note("sending", file=file.name, message_id=outcome["message_id"], mic=message.mic.decode())
        try:
            status, wire = _post(self.configuration.peer_url, _headers(message), message.content)
        except (OSError, http.client.HTTPException) as exc:
            outcome |= {"mdn_status": None, "detail": f"{type(exc).__name__}: {exc}", "mic_matched": None}
        else:
            outcome["http_status"] = status
            outcome |= self._judged(message, status, wire)
        self.journal.note("sent", file=file.name, **outcome)
        return outcome

    def _judged(self, message: Any, status: int, wire: bytes) -> dict[str, Any]:
        if self.configuration.mdn == "async" and 200 <= status < 300:
            return {"mdn_status": None, "detail": None, "mic_matched": None}
        if status != 200:
            text = wire.partition(_HEADER_END)[2][:200].decode("utf-8", "replace").strip()
            return {"mdn_status": None, "detail": text, "mic_matched": None}
        mdn = independent.Mdn()
        mdn_status, detail = mdn.parse(
            wire, find_message_cb=lambda message_id, _recipient: message if message_id == message.message_id else None
        )
        return {"mdn_status": mdn_status, "detail": detail, "mic_matched": _mic_matches(mdn, message)}


def _post(address: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
    """Status, and the answer as header and body in one."""
    target = urlsplit(address)
    host = target.hostname or ""
    connection = (
        http.client.HTTPSConnection(host, target.port, timeout=TIMEOUT_S, context=ssl.create_default_context())
        if target.scheme == "https"
        else http.client.HTTPConnection(host, target.port, timeout=TIMEOUT_S)
    )
    try:
        path = (target.path or "/") + (f"?{target.query}" if target.query else "")
        connection.request("POST", path, body=body, headers=dict(headers))
        answer = connection.getresponse()
        return answer.status, _as_one(answer.getheaders(), answer.read(MAX_BODY_BYTES))
    finally:
        connection.close()


def _as_one(headers: Iterable[tuple[str, str]], body: bytes) -> bytes:
    """Header and body in one, as pyas2lib wants them."""
    return "".join(f"{name}: {value}\r\n" for name, value in headers).encode("latin-1") + b"\r\n" + body


def _origin(address: str) -> tuple[str, str]:
    target = urlsplit(address)
    return target.scheme.lower(), target.netloc.lower()


def _mic_matches(mdn: Any, message: Any) -> bool | None:
    """Compare the MIC: pyas2lib itself is content with an MDN that has none."""
    for part in mdn.payload.walk():
        if part.get_content_type() == "message/disposition-notification":
            named = part.get_payload()[-1]["Received-Content-MIC"]
            if named is not None:
                return bool(named.partition(",")[0].strip().encode() == message.mic)
    return None


def _headers(message: Any) -> dict[str, str]:
    """HTTP headers of a pyas2lib Message or Mdn; its folded lines are no HTTP of today."""
    return {name: re.sub(r"\r?\n[ \t]+", " ", value) for name, value in message.headers.items()}


def _wire(mdn: Any) -> bytes:
    head = "".join(f"{name}: {value}\r\n" for name, value in _headers(mdn).items())
    return head.encode("latin-1") + b"\r\n" + bytes(mdn.content)


def _unquoted(name: str) -> str:
    name = name.strip()
    return re.sub(r"\\(.)", r"\1", name[1:-1]) if len(name) > 1 and name[0] == name[-1] == '"' else name


def _file_name(given: str | None) -> str:
    """A name for a file of ours: the sender's, with nothing in it that a file system could understand."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", given or "").lstrip(".-")[-80:] or "payload.bin"


# ---------------------------------------------------------------------------------------------------- HTTP and main
class _Server(ThreadingHTTPServer):
    daemon_threads = False  # a message that is being received is finished before the program ends

    def __init__(self, supplier: Supplier) -> None:
        host, _colon, port = supplier.configuration.listen.rpartition(":")
        self.supplier = supplier
        super().__init__((host, int(port)), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no error of ours; everything else is shown."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the journal is the log."""

    def do_POST(self) -> None:
        if self.path in {"/as2", "/receipts"}:
            take = self.server.supplier.receive if self.path == "/as2" else self.server.supplier.take_receipt
            body = self._body(MAX_BODY_BYTES)
            if body is not None:
                self._answer(take(list(self.headers.items()), body))
        elif self.path == "/control/send" and self._is_local():
            body = self._body(MAX_CONTROL_BYTES)
            if body is not None:
                self._answer(self._sent(body))
        else:
            self._answer(Answer.plain(404, "no such address"))

    def do_GET(self) -> None:
        if self.path == "/control/journal" and self._is_local():
            self._answer(Answer.json(200, self.server.supplier.journal.lines()))
        else:
            self._answer(Answer.plain(404, "no such address"))

    def _is_local(self) -> bool:
        return ipaddress.ip_address(self.client_address[0]).is_loopback

    def _sent(self, body: bytes) -> Answer:
        if self.headers.get_content_type() != "application/json":  # which a page in a browser cannot send unasked
            return Answer.plain(415, "send application/json")
        try:
            order = json.loads(body)
            file, content_type = Path(order["file"]), str(order.get("content_type", "application/edi-x12"))
            return Answer.json(200, self.server.supplier.send(file, content_type))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
            return Answer.json(400, {"detail": f"{type(exc).__name__}: {exc}"})

    def _body(self, most: int) -> bytes | None:
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch(r"[0-9]{1,12}", length) or "Transfer-Encoding" in self.headers:
            self._answer(Answer.plain(411, "a Content-Length is needed"))
            return None
        if int(length) > most:
            self._answer(Answer.plain(413, f"at most {most} bytes"))
            return None
        body = self.rfile.read(int(length))
        return body if len(body) == int(length) else None

    def _answer(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(answer.body)
        if answer.afterwards is not None:
            answer.afterwards()


def serve(supplier: Supplier, *, announce: Callable[[str], None], until: Callable[[Callable[[], None]], None]) -> None:
    """Listen until told to stop.

    Args:
        announce: called once with the line that says where.
        until: called once with the function that stops the server, to be hung on a signal.

    Raises:
        OSError: the address is taken.
    """
    with _Server(supplier) as server:
        # From another thread: shutdown() waits for the loop below, which a signal handler interrupts.
        until(lambda: threading.Thread(target=server.shutdown).start())
        host, port = server.server_address[:2]
        announce(f"supplier {supplier.configuration.as2_name} listens on http://{host!s}:{port}/as2")
        server.serve_forever(poll_interval=0.1)
