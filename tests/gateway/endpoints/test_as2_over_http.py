"""The AS2 door behind the server we ship: what only real sockets show."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from django.db import DatabaseError

from gateway.models import Delivery, Event, Transmission
from partners import directory
from partners.models import As2Link, TradingPartner
from tests.gateway.endpoints.conftest import ACK, Message

Make = Callable[..., Message]
pytestmark = pytest.mark.django_db(transaction=True)


def post(address: tuple[str, int], message: Message, **how: object) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(*address, timeout=20)
    try:
        connection.request("POST", "/as2", headers=message.headers, **how)  # type: ignore[arg-type]  # body, encode_chunked
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def asked(
    address: tuple[str, int],
    method: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection(*address, timeout=20)
    try:
        connection.request(method, path, headers=dict(headers or {}), body=body)
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


def test_a_chunked_message_arrives_whole(served: tuple[str, int], acme: TradingPartner, message: Make) -> None:
    made = message()
    pieces = (made.body[start : start + 700] for start in range(0, len(made.body), 700))
    chunked = Message({**made.headers, "Transfer-Encoding": "chunked"}, b"")
    status, answer = post(served, chunked, body=pieces, encode_chunked=True)
    assert status == 200
    assert b"processed\r\n" in answer
    row = Transmission.objects.get()
    assert row.payload is not None and row.payload.content == ACK


def test_folded_headers_are_read_as_one(served: tuple[str, int], acme: TradingPartner, message: Make) -> None:
    made = message()
    folded = {
        **made.headers,
        "Disposition-Notification-Options": made.headers["Disposition-Notification-Options"].replace("; ", ";\r\n  "),
        "Content-Length": str(len(made.body)),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in folded.items())
    with socket.create_connection(served, timeout=20) as wire:
        wire.sendall(f"POST /as2 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{head}\r\n".encode() + made.body)
        answer = b"".join(iter(lambda: wire.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"processed\r\n" in answer


def test_a_header_repeated_is_refused(served: tuple[str, int], acme: TradingPartner, message: Make) -> None:
    made = message()
    head = "".join(f"{name}: {value}\r\n" for name, value in made.headers.items())
    with socket.create_connection(served, timeout=20) as wire:
        wire.sendall(
            f"POST /as2 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{head}AS2-From: ACME-AS2\r\n"
            f"Content-Length: {len(made.body)}\r\n\r\n".encode()
            + made.body
        )
        answer = b"".join(iter(lambda: wire.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 400")


def test_while_fifty_senders_drip_a_message_is_taken(
    served: tuple[str, int], acme: TradingPartner, message: Make
) -> None:
    made = message()
    with ExitStack() as open_sockets:
        drippers = [open_sockets.enter_context(socket.create_connection(served, timeout=20)) for _ in range(50)]
        for wire in drippers:  # the server has 8 threads
            wire.sendall(b"POST /as2 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nonly this")
        status, answer = post(served, made, body=made.body)
        for wire in drippers:
            wire.setblocking(False)
            with pytest.raises(BlockingIOError):  # all of them hang still
                wire.recv(1)
    assert status == 200
    assert b"processed\r\n" in answer


def test_a_sender_who_waits_to_be_invited_is(served: tuple[str, int], acme: TradingPartner, message: Make) -> None:
    made = message()
    lines = [f"{name}: {value}" for name, value in made.headers.items()]
    head = "\r\n".join(["POST /as2 HTTP/1.1", "Host: localhost", "Connection: close", "Expect: 100-continue", *lines])
    with socket.create_connection(served, timeout=20) as wire:
        wire.sendall(f"{head}\r\nContent-Length: {len(made.body)}\r\n\r\n".encode())
        assert wire.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        wire.sendall(made.body)
        answer = b"".join(iter(lambda: wire.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b"processed\r\n" in answer


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/healthz", 200),
        ("HEAD", "/healthz", 200),
        ("GET", "/favicon.ico", 302),
        ("GET", "/admin/", 302),
        ("POST", "/as2", 400),
        ("GET", "/v1/purchase-orders", 401),
        ("POST", "/v1/acknowledgments", 401),
        ("POST", "/admin/login/", 403),
        ("GET", "/nowhere", 404),
        ("GET", "/v1/nowhere", 404),
        ("HEAD", "/nowhere", 404),
        ("GET", "/as2", 405),
        ("HEAD", "/as2", 405),
        ("PUT", "/as2/", 405),
        ("DELETE", "/healthz", 403),
        ("OPTIONS", "/as2", 405),
    ],
)
def test_every_answer_has_its_length(served: tuple[str, int], method: str, path: str, status: int) -> None:
    answer, body = asked(served, method, path)
    assert answer.status == status
    announced = answer.headers.get_all("Content-Length", [])
    assert len(announced) == 1
    assert method == "HEAD" or int(announced[0]) == len(body)
    assert "Transfer-Encoding" not in answer.headers


def test_a_stranger_a_defect_and_a_flood_have_their_length(
    served: tuple[str, int], acme: TradingPartner, message: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = message()
    answers = [asked(served, "POST", "/as2", {**made.headers, "AS2-From": "NOBODY"}, made.body)]
    for _ in range(21):
        answers.append(asked(served, "POST", "/as2", made.headers, b"not what was signed"))

    def defect(**_: object) -> None:
        raise DatabaseError("a table is gone")

    monkeypatch.setattr(directory, "by_as2_pair", defect)
    answers.append(asked(served, "POST", "/as2", made.headers, made.body))
    assert {answer.status for answer, _ in answers} == {403, 200, 429, 503}
    assert all(int(answer.headers["Content-Length"]) == len(body) for answer, body in answers)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_beyond_the_agreed_size_is_413(
    chunked: bool, served: tuple[str, int], acme: TradingPartner, message: Make
) -> None:
    made = message()
    body = b"x" * (1024 * 1024 + 1)
    if chunked:
        headers = {**made.headers, "Transfer-Encoding": "chunked"}
        pieces = (body[start : start + 65536] for start in range(0, len(body), 65536))
        status, _ = post(served, Message(headers, b""), body=pieces, encode_chunked=True)
    else:
        status, _ = post(served, made, body=body)
    assert status == 413
    assert Transmission.objects.count() == 0


REPEATS = 50


def at_once(address: tuple[str, int], messages: list[Message]) -> list[tuple[int, bytes]]:
    with ThreadPoolExecutor(len(messages)) as senders:
        return list(senders.map(lambda one: post(address, one, body=one.body), messages))


@pytest.mark.parametrize("encrypted_anew", [False, True])
def test_fifty_repeats_at_once_are_one_message_with_one_receipt(
    encrypted_anew: bool, served: tuple[str, int], acme: TradingPartner, message: Make
) -> None:
    made = [message() for _ in range(REPEATS)] if encrypted_anew else [message()] * REPEATS
    answers = at_once(served, made)
    assert {status for status, _ in answers} == {200}
    assert len({body for _, body in answers}) == 1
    assert b"processed\r\n" in answers[0][1]
    assert Transmission.objects.get().state == "stored"
    assert [delivery.kind for delivery in Delivery.objects.all()] == ["translate"]
    assert Event.objects.filter(name="transmission.stored").count() == 1
    assert Event.objects.filter(name="transmission.repeated").count() == REPEATS - 1


@pytest.mark.parametrize("encrypted_anew", [False, True])
def test_fifty_repeats_that_want_their_receipt_elsewhere_have_one_on_its_way(
    encrypted_anew: bool, served: tuple[str, int], acme: TradingPartner, message: Make
) -> None:
    As2Link.objects.update(url="https://as2.acme.example/in")
    there = {"Receipt_Delivery_Option": "https://as2.acme.example/mdn"}
    made = [message(**there) for _ in range(REPEATS)] if encrypted_anew else [message(**there)] * REPEATS
    assert set(at_once(served, made)) == {(204, b"")}
    assert sorted(Transmission.objects.values_list("format", flat=True)) == ["mdn", "x12"]
    assert sorted(Delivery.objects.values_list("kind", flat=True)) == ["receipt", "translate"]


def test_of_one_id_with_two_contents_at_once_one_is_taken_and_one_refused(
    served: tuple[str, int], acme: TradingPartner, message: Make
) -> None:
    other = ACK.replace(b"*40*EA*3.15", b"*41*EA*3.15")
    answers = at_once(served, [message(), message(payload=other)] * 5)
    assert {status for status, _ in answers} == {200}
    assert len({body for _, body in answers if b"; processed\r\n" in body}) == 1
    taken = Transmission.objects.get(state="stored")
    assert Transmission.objects.filter(state="refused").count() == 5
    assert Delivery.objects.get().transmission == taken


def test_every_answer_says_its_length(served: tuple[str, int], acme: TradingPartner, message: Make) -> None:
    made = message()
    stranger = {**made.headers, "AS2-From": "NOBODY"}
    nameless = {name: value for name, value in made.headers.items() if name != "AS2-To"}
    requests: list[tuple[str, dict[str, str], bytes, int]] = [
        ("POST", made.headers, made.body, 200),
        ("POST", made.headers, b"garbage", 200),
        ("POST", nameless, made.body, 400),
        ("POST", {**made.headers, "Host": "elsewhere.example"}, made.body, 400),
        ("POST", stranger, made.body, 403),
        ("POST", made.headers, b"x" * (1024 * 1024 + 1), 413),
        ("GET", {}, b"", 405),
        ("HEAD", {}, b"", 405),
        ("DELETE", made.headers, b"", 405),
    ]
    for method, headers, body, status in requests:
        connection = http.client.HTTPConnection(*served, timeout=20)
        connection.request(method, "/as2", headers=headers, body=body)
        answer = connection.getresponse()
        length, said = answer.headers.get_all("Content-Length"), answer.read()
        connection.close()
        assert (answer.status, length) == (status, [str(len(said))] if method != "HEAD" else length), method
        assert answer.headers["Transfer-Encoding"] is None
        assert length is not None


def test_no_content_is_said_without_a_length_and_ends_there(
    served: tuple[str, int], acme: TradingPartner, message: Make
) -> None:
    """HTTP forbids the header beside 204 (RFC 9110, 8.6), so the server takes ours off: the empty line is the end."""
    As2Link.objects.update(url="https://as2.acme.example/in")
    made = message(Receipt_Delivery_Option="https://as2.acme.example/mdn")
    head = "".join(f"{name}: {value}\r\n" for name, value in made.headers.items())
    with socket.create_connection(served, timeout=20) as wire:
        wire.sendall(
            f"POST /as2 HTTP/1.1\r\nHost: localhost\r\n{head}Content-Length: {len(made.body)}\r\n\r\n".encode()
        )
        wire.sendall(made.body)
        answer = b"".join(iter(lambda: wire.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 204 ")
    assert answer.endswith(b"\r\n\r\n")
    assert answer.lower().count(b"content-length") == answer.lower().count(b"transfer-encoding") == 0
