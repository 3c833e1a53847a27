"""The AS2 door behind the server we ship: what only real sockets show."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from gateway.models import Delivery, Transmission
from partners.models import TradingPartner
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


def test_senders_who_never_finish_hold_nobody_up(served: tuple[str, int], acme: TradingPartner, message: Make) -> None:
    made = message()
    with ExitStack() as open_sockets:
        for _ in range(30):  # the server has 8 threads
            wire = open_sockets.enter_context(socket.create_connection(served, timeout=20))
            wire.sendall(b"POST /as2 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nonly this")
        status, answer = post(served, made, body=made.body)
    assert status == 200
    assert b"processed\r\n" in answer


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


def test_twenty_repeats_at_once_are_one_message_with_one_receipt(
    served: tuple[str, int], acme: TradingPartner, message: Make
) -> None:
    made = message()
    with ThreadPoolExecutor(20) as senders:
        answers = list(senders.map(lambda _: post(served, made, body=made.body), range(20)))
    assert {status for status, _ in answers} == {200}
    assert len({body for _, body in answers}) == 1
    assert Transmission.objects.get().state == "stored"
    assert Delivery.objects.count() == 1


def test_twenty_senders_who_encrypt_each_time_anew_are_one_message_too(
    served: tuple[str, int], acme: TradingPartner, message: Make
) -> None:
    made = [message() for _ in range(20)]
    with ThreadPoolExecutor(20) as senders:
        answers = list(senders.map(lambda one: post(served, one, body=one.body), made))
    assert {status for status, _ in answers} == {200}
    assert len({body for _, body in answers}) == 1
    assert Transmission.objects.get().state == "stored"
