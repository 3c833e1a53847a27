"""A POST says whether anything was sent, and never waits longer than it was told."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from gateway.transports.errors import DeliveryError, InDoubt, Refused, Unreachable
from gateway.transports.http import MAX_ANSWER_BYTES, post
from partners.profiles import HttpTerms
from tests.gateway.transports.conftest import OK, requested, says

TERMS = HttpTerms(timeout_s=5)


def test_the_request_is_exactly_what_was_given(serve):
    seen: list[bytes] = []

    def script(connection: socket.socket, _over: threading.Event) -> None:
        seen.append(requested(connection, 4))
        connection.sendall(OK)

    url = serve(script)
    answer = post(url, {"AS2-From": '"A  b"', "message-ID": "<1@x>", "Subject": "für"}, b"\0\r\n\xff", TERMS)
    host = url.removeprefix("http://").removesuffix("/as2").encode()
    assert seen == [
        b"POST /as2 HTTP/1.1\r\nHost: " + host + b'\r\nAS2-From: "A  b"\r\nmessage-ID: <1@x>\r\nSubject: f\xfcr\r\n'
        b"Content-Length: 4\r\nConnection: close\r\n\r\n\0\r\n\xff"
    ]
    assert (answer.status, answer.body) == (200, b"hi")


def test_an_empty_body_has_a_length_too(serve):
    seen: list[bytes] = []

    def script(connection: socket.socket, _over: threading.Event) -> None:
        seen.append(requested(connection, 0))
        connection.sendall(OK)

    post(serve(script), {}, b"", TERMS)
    assert b"Content-Length: 0\r\n" in seen[0]


@pytest.mark.parametrize("status", [204, 301, 302, 404, 500])
def test_every_status_is_an_answer_and_no_redirect_is_followed(serve, status):
    url = serve(says(b"HTTP/1.1 %d X\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n" % status))
    answer = post(url, {}, b"hello", TERMS)
    assert (answer.status, answer.headers["location"]) == (status, "http://127.0.0.1:9/")


def test_interim_answers_and_chunks_are_understood_and_repeated_headers_joined(serve):
    url = serve(
        says(
            b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: 2\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        )
    )
    answer = post(url, {}, b"hello", TERMS)
    assert (answer.status, answer.body, answer.headers["x-a"]) == (200, b"abcde", "1, 2")


# ----------------------------------------------------------------------------------------------------- nothing left
def test_a_closed_port_is_unreachable():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Unreachable):
        post(f"http://127.0.0.1:{port}/as2", {}, b"hello", TERMS)


@pytest.mark.parametrize(
    "url", ["", "as2", "ftp://127.0.0.1/as2", "http://", "http://127.0.0.1:x/", "http://exämple/", "http:///x"]
)
def test_an_address_that_is_none_is_unreachable(url):
    with pytest.raises(Unreachable):
        post(url, {}, b"hello", TERMS)


@pytest.mark.parametrize("headers", [{"X": "a\r\nb"}, {"X": "a\0"}, {"X y": "a"}, {"X": "€"}, {"Ä": "a"}], ids=repr)
def test_a_header_that_cannot_be_written_is_unreachable(serve, headers):
    seen: list[bytes] = []

    def script(connection: socket.socket, _over: threading.Event) -> None:
        seen.append(requested(connection, 5))

    url = serve(script)
    with pytest.raises(Unreachable):
        post(url, headers, b"hello", TERMS)
    assert b"".join(seen) == b""


def test_plain_http_behind_https_is_unreachable(serve):
    def script(connection: socket.socket, _over: threading.Event) -> None:
        connection.recv(100)
        connection.sendall(OK)

    url = serve(script).replace("http:", "https:")
    with pytest.raises(Unreachable):
        post(url, {}, b"hello", TERMS)


# ------------------------------------------------------------------------------------------------------- in doubt
@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        b"this is not HTTP\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",
    ],
    ids=lambda answer: repr(answer[:40]),
)
def test_half_an_answer_or_none_leaves_us_in_doubt(serve, answer):
    with pytest.raises(InDoubt):
        post(serve(says(answer)), {}, b"hello", TERMS)


def test_an_answer_without_end_leaves_us_in_doubt(serve):
    with pytest.raises(InDoubt, match="longer than"):
        post(serve(says(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (MAX_ANSWER_BYTES + 1))), {}, b"hello", TERMS)


@pytest.mark.parametrize(
    "first", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\n\r\n"], ids=["at once", "header", "body"]
)
def test_an_answer_that_drips_does_not_stretch_the_time(serve, first):
    def script(connection: socket.socket, over: threading.Event) -> None:
        requested(connection, 5)
        connection.sendall(first)
        while not over.wait(0.05) and first:
            connection.sendall(b"x")

    begun = time.monotonic()
    with pytest.raises(InDoubt):
        post(serve(script), {}, b"hello", TERMS, timeout_s=0.3)
    assert time.monotonic() - begun < 2


def test_a_peer_that_does_not_read_does_not_stretch_the_time(serve):
    def script(connection: socket.socket, over: threading.Event) -> None:
        while not over.wait(0.02):
            connection.recv(4096)

    begun = time.monotonic()
    with pytest.raises(InDoubt):
        post(serve(script), {}, bytes(20_000_000), TERMS, timeout_s=0.3)
    assert time.monotonic() - begun < 2


def test_a_refusal_carries_status_and_words():
    refused = Refused("certificate expired", status=403)
    assert isinstance(refused, DeliveryError)
    assert (refused.status, refused.text, str(refused)) == (403, "certificate expired", "certificate expired")
