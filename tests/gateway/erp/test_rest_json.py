"""The REST/JSON adapter: the shared contract against the reference ERP, then what only a bad counterpart does."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.erp import ErpEndpoint, connect, rest_json
from gateway.erp.port import AuthFailed, ErpPort, InDoubt, Permanent, Transient
from gateway.erp.rest_json import RestJsonErp
from tests.gateway.erp.contract import Connect, ErpContract, Placed, acknowledgment
from tests.gateway.erp.counterpart import ReferenceProcess


class TestRestJsonAgainstTheReferenceErp(ErpContract):
    @pytest.fixture
    def other_side(self, reference_erp: ReferenceProcess) -> ReferenceProcess:
        return reference_erp

    @pytest.fixture
    def own_other_side(self, own_reference_erp: ReferenceProcess) -> ReferenceProcess:
        return own_reference_erp

    @pytest.fixture
    def connect(self) -> Connect:
        def port(other_side: ReferenceProcess, **changed: Any) -> ErpPort:
            return connect("rest_json", other_side.endpoint(**changed))

        return port

    @pytest.mark.parametrize("key", ["..", ".", "a/b", "a%2Fb", "a?b#c", "a b+c", "Stück:4711", "k" * 255, "é" * 255])
    def test_any_key_travels_unchanged(self, erp: ErpPort, other_side: ReferenceProcess, key: str):
        submission = acknowledgment(other_side.release(), key=f"{key}")
        erp.submit(submission)
        assert erp.find("acknowledgment", key) is not None
        assert other_side.applications(key) == 1


PLACED = Placed("P:1", "P", "S", "1")
NOT_JSON = b"<html>Welcome to your new web server</html>"


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (b'{"order_key": "P:1"}', "company: Field required"),
        (b"[]", "the answer"),
        (
            b'{"order_key": "P:1", "company": "P", "supplier_number": "S", "revision": 1, "cancelled": false,'
            b' "record": {"type": "purchase_order", "number": "1", "lines": [{"quantity": "many"}]}}',
            "record/lines/0/quantity: Input should be a valid decimal",
        ),
        (
            b'{"order_key": "P:1", "company": "P", "supplier_number": "S", "revision": 1, "cancelled": false,'
            b' "record": {"type": "purchase_order", "number": "1", "colour": "red"}}',
            "record/colour: Extra inputs are not permitted",
        ),
        (
            b'{"order_key": "P:2", "company": "P", "supplier_number": "S", "revision": 1, "cancelled": false,'
            b' "record": {"type": "purchase_order", "number": "2"}}',
            "Asked for order P:1, the ERP sent P:2",
        ),
    ],
)
def test_an_order_that_breaks_the_contract_is_permanent_and_says_where(answer: bytes, complaint: str):
    with canned(ok(answer)) as endpoint, pytest.raises(Permanent, match=complaint):
        connect("rest_json", endpoint).load("P:1")


def test_members_the_contract_does_not_know_are_ignored():
    with canned(
        ok(b'[{"token": "1", "order_key": "P:1", "revision": 1, "kind": "release", "weather": "fine"}]')
    ) as endpoint:
        assert [change.token for change in connect("rest_json", endpoint).changes(1)] == ["1"]


@pytest.mark.parametrize(
    "answer",
    [
        b'{"key": "another", "state": "done", "erp_ref": "1"}',
        b'{"key": "k", "state": "done", "erp_ref": ""}',
        b'{"key": "k", "state": "finished", "erp_ref": "1"}',
        b'{"state": "done"}',
        b"[]",
        b"null",
        NOT_JSON,
    ],
)
def test_only_a_receipt_for_this_key_settles_a_write(answer: bytes):
    with canned(ok(answer)) as endpoint:
        erp = connect("rest_json", endpoint)
        with pytest.raises(InDoubt):
            erp.submit(acknowledgment(PLACED, key="k"))
        with pytest.raises(Transient):
            erp.find("acknowledgment", "k")


def test_a_404_that_is_not_the_erps_own_does_not_say_that_a_document_is_missing():
    lost_route = b"HTTP/1.1 404 Not Found\r\nContent-Length: 22\r\n\r\ndefault backend - 404\n"
    with canned(lost_route) as endpoint, pytest.raises(Permanent, match="default backend"):
        connect("rest_json", endpoint).find("acknowledgment", "k")


def test_an_answer_without_end_is_given_up_at_the_limit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rest_json, "MAX_ANSWER_BYTES", 100_000)
    with canned(ok(b"[" + b" " * 200_000 + b"]")) as endpoint:
        with pytest.raises(Transient, match="larger than 100000 bytes"):
            connect("rest_json", endpoint).changes(1)
        with pytest.raises(InDoubt):
            connect("rest_json", endpoint).submit(acknowledgment(PLACED))


def test_an_answer_that_drips_is_given_up_in_time():
    finished = threading.Event()

    def drip(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(1000):
            if finished.wait(0.02):
                return
            connection.sendall(b" ")

    with canned(drip) as endpoint:
        erp = RestJsonErp(ErpEndpoint(code="drip", base_url=endpoint.base_url, token="t", read_timeout_s=0.5))
        with pytest.raises(InDoubt, match="did not end in time"):
            erp.submit(acknowledgment(PLACED))
        finished.set()


def test_a_broken_off_answer_to_a_write_is_in_doubt():
    with canned(b'HTTP/1.1 201 Created\r\nContent-Length: 500\r\n\r\n{"key": "k", "state": "done"') as endpoint:
        with pytest.raises(InDoubt):
            connect("rest_json", endpoint).submit(acknowledgment(PLACED))
        with pytest.raises(Transient):
            connect("rest_json", endpoint).changes(1)


def test_a_compressed_answer_nobody_asked_for_is_not_inflated():
    gzip_of_zeros = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\n\x1f\x8b\x08\x00\x00"
    with canned(gzip_of_zeros) as endpoint, pytest.raises(Transient, match="not JSON"):
        connect("rest_json", endpoint).changes(1)


def test_a_request_goes_where_the_endpoint_says_as_whom_it_says(monkeypatch: pytest.MonkeyPatch):
    asked: list[bytes] = []

    def listen(connection: socket.socket, request: bytes) -> None:
        asked.append(request)
        connection.sendall(ok(b"[]"))

    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    with canned(listen) as endpoint:
        connect("rest_json", replace(endpoint, base_url=f"{endpoint.base_url}/erp/api/")).changes(7)
    [request] = asked
    assert request.startswith(b"GET /erp/api/v1/changes?limit=7 HTTP/1.1\r\n")
    assert b"authorization: bearer t\r\n" in request.lower()
    assert b"accept-encoding: identity\r\n" in request.lower()


def test_a_redirect_is_not_followed_with_our_token():
    moved = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://elsewhere.example/\r\nContent-Length: 0\r\n\r\n"
    with canned(moved) as endpoint, pytest.raises(Permanent, match="answered 307"):
        connect("rest_json", endpoint).submit(acknowledgment(PLACED))


def test_an_untrusted_certificate_stops_the_connection(tmp_path: Path):
    with canned(ok(b"[]"), tls=self_signed(tmp_path)) as endpoint, pytest.raises(AuthFailed, match="certificate"):
        connect("rest_json", endpoint).changes(1)


def test_nobody_listening_is_transient_even_for_a_write():
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # taken, and nobody listens
        endpoint = ErpEndpoint(code="x", base_url=f"http://127.0.0.1:{reserved.getsockname()[1]}", token="t")
        with pytest.raises(Transient, match="could not be reached"):
            connect("rest_json", endpoint).submit(acknowledgment(PLACED))


def test_the_same_settings_give_the_same_port_and_other_settings_another():
    endpoint = ErpEndpoint(code="x", base_url="http://erp.example", token="t")
    assert connect("rest_json", endpoint) is connect("rest_json", ErpEndpoint(**SETTINGS))
    assert connect("rest_json", endpoint) is not connect("rest_json", ErpEndpoint(**{**SETTINGS, "token": "new"}))


def test_an_unknown_adapter_is_named_with_those_there_are():
    with pytest.raises(ValueError, match="no ERP adapter 'abacus'; known: rest_json"):
        connect("abacus", ErpEndpoint(**SETTINGS))


SETTINGS: dict[str, Any] = {"code": "x", "base_url": "http://erp.example", "token": "t"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"base_url": "erp.example"},
        {"base_url": "ftp://erp.example"},
        {"base_url": "https://"},
        {"base_url": "https://erp.example:port"},
        {"base_url": "https://erp.example/?company=1"},
        {"base_url": "https://user:secret@erp.example"},
        {"base_url": "http://[::1"},
        {"token": ""},
        {"token": "two words"},
        {"token": "line\r\nX-Injected: 1"},
        {"connect_timeout_s": 0},
        {"read_timeout_s": -1},
        {"page_size": 0},
    ],
)
def test_settings_that_could_never_work_are_refused_in_words(wrong: dict[str, Any]):
    with pytest.raises(ValueError, match="ERP x: "):
        ErpEndpoint(**{**SETTINGS, **wrong})


def test_the_token_is_not_shown():
    assert "s3cret" not in repr(ErpEndpoint(code="x", base_url="http://erp.example", token="s3cret"))


# -- a counterpart that says one thing


def ok(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


@contextmanager
def canned(
    answer: bytes | Callable[[socket.socket, bytes], None], tls: ssl.SSLContext | None = None
) -> Iterator[ErpEndpoint]:
    """A server that reads each request and says ``answer``, whatever was asked, then closes the connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    speak = answer if callable(answer) else lambda connection, _request: connection.sendall(answer)

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            try:
                if tls is not None:
                    connection = tls.wrap_socket(connection, server_side=True)
                speak(connection, _read_request(connection))
            except OSError:  # the client hung up: some are tested for just that
                pass
            finally:
                connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    scheme = "http" if tls is None else "https"
    try:
        yield ErpEndpoint(code="canned", base_url=f"{scheme}://127.0.0.1:{listener.getsockname()[1]}", token="t")
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def _read_request(connection: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536) or b"\r\n\r\n"
    head, body = received.split(b"\r\n\r\n", 1)
    lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
    missing = int(lengths[0]) - len(body) if lengths else 0
    while missing > 0:
        missing -= len(connection.recv(65536)) or missing
    return received


def self_signed(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = folder / "erp.pem"
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context
