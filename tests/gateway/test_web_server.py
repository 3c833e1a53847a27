"""The server we ship, by raw sockets: what strangers may send, and what it costs us."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any, NamedTuple

import pytest
from waitress import wasyncore

from gateway import web_server

Address = tuple[str, int]


class Running(NamedTuple):
    """A server whose application answers with the length of the body, and what it was given."""

    address: Address
    seen: list[dict[str, Any]]
    loop: threading.Thread


@pytest.fixture
def serve() -> Iterator[Callable[..., Running]]:
    with ExitStack() as running:

        def start(**how: Any) -> Running:
            seen: list[dict[str, Any]] = []

            def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
                body = environ["wsgi.input"].read()
                seen.append({**environ, "body": body})
                said = b"%d" % len(body)
                start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(said)))])
                return [said]

            sockets: dict[int, Any] = {}
            server = web_server.create(application, host="127.0.0.1", port=0, threads=2, sockets=sockets, **how)
            over = threading.Event()

            def run() -> None:
                while not over.is_set():
                    wasyncore.loop(timeout=0.05, map=sockets, count=1, use_poll=True)

            thread = threading.Thread(target=run)
            thread.start()

            def stop() -> None:
                over.set()
                thread.join(timeout=10)
                server.task_dispatcher.shutdown()
                wasyncore.close_all(sockets)

            running.callback(stop)
            return Running(("127.0.0.1", int(server.effective_port)), seen, thread)

        yield start


@pytest.fixture
def running(serve: Callable[..., Running]) -> Running:
    return serve()


def ask(address: Address, sent: bytes, *, end: bool = False) -> bytes:
    """Everything that comes back until the other side closes; ``end``: we close our half after sending."""
    with socket.create_connection(address, timeout=20) as wire:
        wire.sendall(sent)
        if end:
            wire.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: wire.recv(65536), b""))


def head(*lines: str, start: str = "POST /as2 HTTP/1.1") -> bytes:
    return "\r\n".join([start, "Host: localhost", *lines, "", ""]).encode("latin-1")


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


LAST = "Connection: close"


# ------------------------------------------------------------------------------------------------ what is read, and how
def test_a_body_arrives_by_length_and_by_chunks(running: Running) -> None:
    assert ask(running.address, head("Content-Length: 5", LAST) + b"hello").endswith(b"\r\n\r\n5")
    chunks = b"3;name=value\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: x\r\n\r\n"
    assert ask(running.address, head("Transfer-Encoding: Chunked", LAST) + chunks).endswith(b"\r\n\r\n5")
    assert [one["body"] for one in running.seen] == [b"hello", b"hello"]
    assert running.seen[1]["CONTENT_LENGTH"] == "5"


def test_chunks_may_come_byte_by_byte(running: Running) -> None:
    with socket.create_connection(running.address, timeout=20) as wire:
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in head("Transfer-Encoding: chunked", LAST) + b"a\r\n0123456789\r\n3\r\nabc\r\n0\r\n\r\n":
            wire.sendall(bytes([byte]))
        assert b"".join(iter(lambda: wire.recv(65536), b"")).endswith(b"\r\n\r\n13")
    assert running.seen[0]["body"] == b"0123456789abc"


def test_many_chunks_are_fine_when_they_are_not_tiny(running: Running) -> None:
    chunks = (b"40\r\n" + bytes(64) + b"\r\n") * 20_000 + b"0\r\n\r\n"
    answer = ask(running.address, head("Transfer-Encoding: chunked", LAST) + chunks)
    assert answer.endswith(b"\r\n\r\n1280000")


def test_what_follows_a_chunked_body_is_the_next_request(running: Running) -> None:
    first = head("Transfer-Encoding: chunked") + b"1\r\nx\r\n0\r\n\r\n"
    assert ask(running.address, first + head("Content-Length: 2", LAST) + b"yz").count(b"HTTP/1.1 200 OK") == 2
    assert [one["body"] for one in running.seen] == [b"x", b"yz"]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["Content-Length: 5", "Transfer-Encoding: chunked"], 400),
        (["Transfer-Encoding: chunked", "Content-Length: 5"], 400),
        (["Content-Length: 5", "Content-Length: 5"], 400),
        (["Content-Length: 5", "Content-Length: 6"], 400),
        (["Content-Length: 5, 5"], 400),
        (["Content-Length: +5"], 400),
        (["Content-Length: -5"], 400),
        (["Content-Length: 0x5"], 400),
        (["Content-Length: 5 5"], 400),
        (["Content-Length:"], 400),
        (["Content-Length: " + "9" * 5000], 400),
        (["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], 400),
        (["Transfer-Encoding: identity", "Transfer-Encoding: chunked"], 400),
        (["Transfer-Encoding: chunked, chunked"], 501),
        (["Transfer-Encoding: gzip, chunked"], 501),
        (["Transfer-Encoding: identity"], 501),
        (["Transfer-Encoding: chunked\x0b"], 501),
        (["Transfer-Encoding: \x85chunked"], 501),
        (["Transfer-Encoding:"], 501),
        (["Transfer-Encoding : chunked"], 400),
        (["Content-Length : 5"], 400),
        (["Content-Length", " : 5"], 400),
        (["Content-Length: 5", " 6"], 400),
        (["X: a\rContent-Length: 5"], 400),
        (["X: a\nContent-Length: 5"], 400),
        (["X: a\0b"], 400),
        (["Host: elsewhere"], 400),
        (["Content-Length: 104857601"], 413),
        (["Content-Length: 999999999999999"], 413),
        (["Expect: 100-continue", "Content-Length: 104857601"], 413),
    ],
    ids=repr,
)
def test_a_length_that_can_be_read_in_two_ways_is_refused(running: Running, lines: list[str], expected: int) -> None:
    answer = ask(running.address, head(*lines) + b"hello", end=True)
    assert status(answer) == expected
    assert answer.count(b"HTTP/1.1 ") + answer.count(b"HTTP/1.0 ") == 1  # and what came after is no request
    assert running.seen == []


@pytest.mark.parametrize("start", ["POST /as2 HTTP/1.0", "POST /as2 HTTP/1.2", "POST /as2 HTTP/2.0", "POST /as2"])
def test_chunks_are_of_http_1_1_only(running: Running, start: str) -> None:
    answer = ask(running.address, head("Transfer-Encoding: chunked", start=start) + b"0\r\n\r\n", end=True)
    assert status(answer) == 400
    assert running.seen == []


def test_a_fold_of_nothing_is_refused(running: Running) -> None:
    assert status(ask(running.address, head("Content-Length: 0", start="POST /as2 HTTP/1.1\r\n X: a"), end=True)) == 400


def test_http_1_1_without_a_host_is_refused(running: Running) -> None:
    assert status(ask(running.address, b"POST /as2 HTTP/1.1\r\nContent-Length: 0\r\n\r\n", end=True)) == 400


def test_a_folded_header_is_one_line(running: Running) -> None:
    ask(running.address, head("X-Folded: a;", "\tb", "Content-Length: 0", LAST))
    assert running.seen[0]["HTTP_X_FOLDED"] == "a;\tb"


def test_a_header_with_an_underscore_is_nobodys(running: Running) -> None:
    ask(running.address, head("Client_Cert: a", "Content_Length: 7", "Content-Length: 0", LAST))
    assert "HTTP_CLIENT_CERT" not in running.seen[0]
    assert running.seen[0]["body"] == b""


@pytest.mark.parametrize(
    "chunks",
    [
        b"5\nhello\r\n0\r\n\r\n",
        b"5\n\r\nhello\r\n0\r\n\r\n",
        b"5\rhello\r\n0\r\n\r\n",
        b"5 \r\nhello\r\n0\r\n\r\n",
        b" 5\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"+5\r\nhello\r\n0\r\n\r\n",
        b"5_0\r\nhello\r\n0\r\n\r\n",
        b"-1\r\nhello\r\n0\r\n\r\n",
        b"\r\n5\r\nhello\r\n0\r\n\r\n",
        b"5;a\nb\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhello\r\r\n0\r\n\r\n",
        b"4\r\nhello\r\n0\r\n\r\n",
        b"0\r\nX: y\n\r\n",
        b"00000000000000005\r\nhello\r\n0\r\n\r\n",
        b"5;" + b"x" * 2000 + b"\r\nhello\r\n0\r\n\r\n",
        b"0\r\n" + b"X: y\r\n" * 2000 + b"\r\n",
        b"1\r\nx\r\n" * 20_000 + b"0\r\n\r\n",
    ],
    ids=lambda chunks: repr(chunks[:40]),
)
def test_chunks_that_the_grammar_does_not_allow_are_400(running: Running, chunks: bytes) -> None:
    answer = ask(running.address, head("Transfer-Encoding: chunked") + chunks, end=True)
    assert status(answer) == 400
    assert running.seen == []


def test_a_chunk_beyond_what_any_partner_may_send_is_413_before_it_comes(running: Running) -> None:
    assert status(ask(running.address, head("Transfer-Encoding: chunked") + b"6400001\r\nx")) == 413


# --------------------------------------------------------------------------------------------------------------- invitations
def test_who_asks_before_sending_is_invited(running: Running) -> None:
    with socket.create_connection(running.address, timeout=20) as wire:
        wire.sendall(head("Expect: 100-continue", "Content-Length: 5", LAST))
        assert wire.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        wire.sendall(b"hello")
        answer = b"".join(iter(lambda: wire.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert answer.endswith(b"\r\n\r\n5")


def test_who_asks_with_nothing_to_send_is_answered(running: Running) -> None:
    answer = ask(running.address, head("Expect: 100-continue", "Content-Length: 0", LAST))
    assert answer.startswith(b"HTTP/1.1 200 OK")


def test_who_asks_with_too_much_to_send_is_not_invited(running: Running) -> None:
    answer = ask(running.address, head("Expect: 100-continue", "Content-Length: 104857601"))
    assert b"100 Continue" not in answer
    assert status(answer) == 413


def test_who_is_refused_and_sends_on_reads_the_refusal(running: Running) -> None:
    with socket.create_connection(running.address, timeout=20) as wire:
        wire.sendall(head("Content-Length: 104857601"))
        for _ in range(50):  # more than the buffers of both sides hold
            wire.sendall(bytes(1024 * 1024))
        wire.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: wire.recv(65536), b""))
    assert status(answer) == 413


# -------------------------------------------------------------------------------------------------------------------- limits
def cpu_spent(work: Callable[[], object]) -> float:
    before = resource.getrusage(resource.RUSAGE_SELF)
    work()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.parametrize(
    ("many", "expected"), [(b"a:b\r\n" * 10_000, 400), (b"a: " + b"b" * 100_000 + b"\r\n", 431), (b"a" * 70_000, 431)]
)
def test_a_head_without_end_costs_nothing(running: Running, many: bytes, expected: int) -> None:
    answers: list[bytes] = []
    sent = b"POST /as2 HTTP/1.1\r\nHost: localhost\r\n" + many + b"\r\n"
    spent = cpu_spent(lambda: answers.append(ask(running.address, sent, end=True)))
    assert status(answers[0]) == expected
    assert spent < 1


def test_a_line_without_end_in_a_chunked_body_costs_nothing(running: Running) -> None:
    answers: list[bytes] = []
    sent = head("Transfer-Encoding: chunked") + b"1;" + b"x" * 20_000_000
    spent = cpu_spent(lambda: answers.append(ask(running.address, sent, end=True)))
    assert status(answers[0]) == 400
    assert spent < 2


@pytest.fixture
def impatient(settings: Any) -> None:
    settings.SENDER_GRACE_S = 0.3


@pytest.mark.parametrize(
    "begun",
    [b"P", b"POST /as2 HTTP/1.1\r\nX: ", head("Content-Length: 104857600"), head("Transfer-Encoding: chunked") + b"5"],
    ids=["start", "head", "length", "chunk"],
)
def test_a_sender_who_drips_is_let_go(impatient: None, running: Running, begun: bytes) -> None:
    with socket.create_connection(running.address, timeout=20) as wire:
        wire.sendall(begun)
        answer = b""
        wire.settimeout(0.02)
        for _ in range(500):
            with contextlib.suppress(TimeoutError):
                answer += wire.recv(65536)
                break
            wire.sendall(b"0")
    assert status(answer) == 408
    assert b"Content-Length: " in answer


def test_a_sender_who_stops_is_let_go_and_its_connection_is_closed(impatient: None, running: Running) -> None:
    answer = ask(running.address, head("Content-Length: 100000") + b"only this", end=False)
    assert status(answer) == 408
    assert running.seen == []


def test_a_sender_who_is_fast_enough_may_take_longer_than_the_grace(
    settings: Any, impatient: None, running: Running
) -> None:
    settings.SLOWEST_SENDER_KB_S = 100
    with socket.create_connection(running.address, timeout=20) as wire:
        wire.sendall(head("Content-Length: 1000000", LAST))
        begun, pause = time.monotonic(), threading.Event()
        for _ in range(10):
            wire.sendall(bytes(100_000))  # worth a second each
            pause.wait(0.1)
        assert time.monotonic() - begun > 0.3
        answer = b"".join(iter(lambda: wire.recv(65536), b""))
    assert answer.endswith(b"\r\n\r\n1000000")


def test_while_fifty_drip_a_normal_sender_is_served_at_once(running: Running) -> None:
    with ExitStack() as open_sockets:
        drippers = [
            open_sockets.enter_context(socket.create_connection(running.address, timeout=20)) for _ in range(50)
        ]
        for wire in drippers:
            wire.sendall(head("Content-Length: 100000") + b"x")
        answer = ask(running.address, head("Content-Length: 5", LAST) + b"hello")
        assert answer.endswith(b"\r\n\r\n5")
        for wire in drippers:
            wire.setblocking(False)
            with pytest.raises(BlockingIOError):  # all of them hang still
                wire.recv(1)


def test_drippers_who_take_every_connection_give_them_back(impatient: None, serve: Callable[..., Running]) -> None:
    running = serve(connections=12)
    with ExitStack() as open_sockets:
        for _ in range(20):
            wire = open_sockets.enter_context(socket.create_connection(running.address, timeout=20))
            wire.sendall(head("Content-Length: 100000") + b"x")
        answer = ask(running.address, head("Content-Length: 5", LAST) + b"hello")
    assert answer.endswith(b"\r\n\r\n5")


def test_what_all_send_together_has_a_limit_and_room_is_given_back(settings: Any, running: Running) -> None:
    settings.MOST_SPOOLED_MB = 3
    two_mb = bytes(2 * 1024 * 1024)
    with socket.create_connection(running.address, timeout=20) as first:
        first.sendall(head("Content-Length: 2097153", LAST) + two_mb)
        answers = [ask(running.address, head("Content-Length: 2097152", LAST) + two_mb, end=True)]
        first.sendall(b"x")
        answers.append(b"".join(iter(lambda: first.recv(65536), b"")))
    refused = [answer for answer in answers if status(answer) == 503]  # whoever came to the limit, perhaps both
    assert refused
    assert all(b"\r\nRetry-After: 60\r\n" in answer for answer in refused)
    for _ in range(3):
        answer = ask(running.address, head("Content-Length: 2097152", LAST) + two_mb)
        assert answer.endswith(b"\r\n\r\n2097152")


def test_a_sender_who_goes_away_gives_its_room_back(settings: Any, running: Running) -> None:
    settings.MOST_SPOOLED_MB = 3
    two_mb = bytes(2 * 1024 * 1024)
    for _ in range(4):
        ask(running.address, head("Content-Length: 2097153", LAST) + two_mb, end=True)
    answer = ask(running.address, head("Content-Length: 2097152", LAST) + two_mb)
    assert answer.endswith(b"\r\n\r\n2097152")


_SERVER = """
import re
from pathlib import Path
import django
django.setup()
from gateway import web_server

def application(environ, start_response):
    if environ["PATH_INFO"] == "/peak":
        # Not getrusage: its peak begins with that of the process that started this one.
        said = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1].encode()
    else:
        taken = 0
        while piece := environ["wsgi.input"].read(65536):
            taken += len(piece)
        said = b"%d" % taken
    start_response("200 OK", [("Content-Length", str(len(said)))])
    return [said]

server = web_server.create(application, host="127.0.0.1", port=0)
print(server.effective_port, flush=True)
server.run()
"""


class Process(NamedTuple):
    """The server in a process of its own, whose memory is nobody else's; GET /peak says its peak in KB."""

    address: Address
    pid: int


@pytest.fixture
def process() -> Iterator[Process]:
    impatient = {"GATEWAY_SENDER_GRACE_S": "2", "GATEWAY_SLOWEST_SENDER_KB_S": "200"}
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "gateway.settings", **impatient}
    with subprocess.Popen([sys.executable, "-c", _SERVER], stdout=subprocess.PIPE, env=environment) as child:
        assert child.stdout is not None
        yield Process(("127.0.0.1", int(child.stdout.readline())), child.pid)
        child.terminate()


def peak_kb(address: Address) -> int:
    return int(ask(address, head(LAST, start="GET /peak HTTP/1.1")).rpartition(b"\r\n")[2])


def test_large_bodies_wait_on_disk_not_in_memory(process: Process) -> None:
    before = peak_kb(process.address)
    size = 25 * 1024 * 1024
    piece = bytes(1024 * 1024)
    with ExitStack() as open_sockets:
        wires = [open_sockets.enter_context(socket.create_connection(process.address, timeout=60)) for _ in range(8)]
        for at, wire in enumerate(wires):
            wire.sendall(head("Transfer-Encoding: chunked" if at % 2 else f"Content-Length: {size}", LAST))
        for _ in range(25):
            for at, wire in enumerate(wires):
                wire.sendall(b"100000\r\n" + piece + b"\r\n" if at % 2 else piece)
        for at, wire in enumerate(wires):
            if at % 2:
                wire.sendall(b"0\r\n\r\n")
            assert b"".join(iter(partial(wire.recv, 65536), b"")).endswith(b"\r\n\r\n%d" % size)
    grown_mb = (peak_kb(process.address) - before) / 1024
    assert grown_mb < 50


def test_a_chunked_body_without_end_is_refused_in_little_memory(process: Process) -> None:
    before = peak_kb(process.address)
    with socket.create_connection(process.address, timeout=60) as wire:
        wire.sendall(head("Transfer-Encoding: chunked"))
        chunk = b"100000\r\n" + bytes(1024 * 1024) + b"\r\n"
        for _ in range(102):
            wire.sendall(chunk)
        answer = b"".join(iter(lambda: wire.recv(65536), b""))
    assert status(answer) == 413
    assert (peak_kb(process.address) - before) / 1024 < 50


def test_time_in_which_the_server_itself_stood_still_is_nobodys_slowness(process: Process) -> None:
    with socket.create_connection(process.address, timeout=60) as wire:
        wire.sendall(head("Expect: 100-continue", "Content-Length: 100000", LAST))
        assert wire.recv(65536).startswith(b"HTTP/1.1 100")  # it has begun
        os.kill(process.pid, signal.SIGSTOP)
        wire.sendall(bytes(100_000))
        threading.Event().wait(4)  # longer than the grace, and than the loop ever waits
        os.kill(process.pid, signal.SIGCONT)
        assert b"".join(iter(lambda: wire.recv(65536), b"")).endswith(b"\r\n\r\n100000")
