"""The whole AS2 door, as ``manage.py up`` serves it on SQLite: HTTP in, opened, committed, signed MDN out.

The gateway is a program of its own and does its other work meanwhile; whoever posts shares its processors.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from gateway.transports.as2 import Outgoing, Verdict, build_message, read_mdn
from tests.bench.as2 import BUYER, SUPPLIER, link
from tests.bench.measure import Bench, Result, Void, percentile, program_cpu_s

MESSAGES: Final = 400  #: posted as fast as they are taken, by SENDERS at a time
SENDERS: Final = 4
AT_LEISURE: Final = 60  #: posted one after the other
WARM_UP: Final = 10  #: posted first and not counted: keys are parsed once in a process
DRIPPERS: Final = 50  #: connections that send a byte a second and never finish
_ROOT: Final = Path(__file__).parents[2]
_WITHIN_S: Final = 60
_SET_UP: Final = """
import json, sys, django
django.setup()
from django.core.management import call_command
from partners import onboarding
call_command("migrate", interactive=False, verbosity=0)
identity, partner = json.load(sys.stdin)
onboarding.own_identity(identity)
onboarding.set_up(partner)
"""


def door() -> Iterator[Result]:
    """Throughput with several senders at once; then how long one sender waits for its MDN."""
    with _gateway() as (port, program):
        _post_all(port, [_message(-number) for number in range(1, WARM_UP + 1)])
        sent = [_message(number) for number in range(MESSAGES + AT_LEISURE)]
        began, cpu_before_s = time.monotonic(), program_cpu_s(program)
        with ThreadPoolExecutor(SENDERS) as senders:
            list(senders.map(lambda some: _post_all(port, some), [sent[i:MESSAGES:SENDERS] for i in range(SENDERS)]))
        yield Result(bench="as2.door.10k", value=MESSAGES / (time.monotonic() - began), unit="messages/s")
        cpu_s = (program_cpu_s(program) - cpu_before_s) / MESSAGES
        yield Result(bench="as2.door.10k.cpu", value=cpu_s * 1e3, unit="ms of the gateway's CPU a message")
        yield Result(
            bench="as2.door.10k.p95", value=percentile(_post_all(port, sent[MESSAGES:]), 0.95) * 1e3, unit="ms"
        )


def slow_senders() -> Iterator[Result]:
    """How long one sender waits for its MDN while others drip."""
    with _gateway() as (port, _program):
        _post_all(port, [_message(-number) for number in range(1, WARM_UP + 1)])
        sent = [_message(number) for number in range(2 * AT_LEISURE)]
        idle = percentile(_post_all(port, sent[:AT_LEISURE]), 0.95)
        with _drippers(port):
            beside = percentile(_post_all(port, sent[AT_LEISURE:]), 0.95)
    yield Result(
        bench="as2.slow_senders.p95",
        value=beside * 1e3,
        unit="ms",
        floor="the same while nobody drips",
        floor_value=idle * 1e3,
    )


# --------------------------------------------------------------------------------------------------------- the gateway
@contextmanager
def _gateway() -> Iterator[tuple[int, int]]:
    """Port and process id of a gateway that knows the supplier of ``link``."""
    with TemporaryDirectory() as folder, socket.socket() as probe, (Path(folder) / "output.log").open("wb") as log:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
        probe.close()
        environment = {
            **{name: value for name, value in os.environ.items() if name != "DATABASE_URL"},
            "GATEWAY_DATA_DIR": folder,
            "GATEWAY_LOG_LEVEL": "ERROR",
            "DJANGO_SETTINGS_MODULE": "gateway.settings",
        }
        subprocess.run(
            [sys.executable, "-c", _SET_UP], cwd=_ROOT, env=environment, check=True, input=_partners().encode()
        )
        program = subprocess.Popen(
            [sys.executable, "manage.py", "up", "--port", str(port)], cwd=_ROOT, env=environment, stdout=log, stderr=log
        )
        try:
            _until_listening(port, program)
            yield port, program.pid
        finally:
            program.kill()
            program.wait()


def _partners() -> str:
    ours, theirs = link().buyer.our_signing[0], link().buyer.their_signing[0]
    own = {"certificate": ours.certificate_pem.decode(), "private_key": (ours.private_key_pem or b"").decode()}
    return json.dumps(
        [
            {"name": "Plant", "as2_name": BUYER, "isa_qualifier": "ZZ", "isa_id": "PLANTEDI", "certificates": [own]},
            {
                "code": "ACME",
                "name": "ACME Castings",
                "state": "live",
                "x12": {"their_qualifier": "ZZ", "their_id": "ACMEEDI"},
                "as2": {"their_name": SUPPLIER},
                "agreements": [{"document": "order_acknowledgment", "direction": "inbound", "channel": "as2"}],
                "certificates": [{"certificate": theirs.certificate_pem.decode()}],
            },
        ]
    )


def _until_listening(port: int, program: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _WITHIN_S
    while program.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise Void("the gateway does not start")


# -------------------------------------------------------------------------------------------------------- the senders
def _message(number: int) -> Outgoing:
    """10 KB that are no X12: beside the door the gateway only finds that out."""
    content = f"%PDF-1.7 drawing {number:08d}\n".encode() + bytes(10_000)
    return build_message(
        content,
        terms=link().supplier,
        message_id=f"{number}@bench",
        content_type="application/pdf",
        file_name="drawing.pdf",
    )


def _post_all(port: int, messages: Sequence[Outgoing]) -> list[float]:
    """Seconds from the first byte of each message to the last of its MDN, which must prove the delivery."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_WITHIN_S)
    waited, answers = [], []
    for message in messages:
        began = time.perf_counter()
        connection.request("POST", "/as2", body=message.body, headers=message.headers)
        answer = connection.getresponse()
        answers.append((message, dict(answer.getheaders()), answer.read()))
        waited.append(time.perf_counter() - began)
    connection.close()
    for message, headers, body in answers:
        said = read_mdn(headers, body, message_id=message.message_id, digests=message.digests, terms=link().supplier)
        if said.verdict is not Verdict.DELIVERED:
            raise Void(f"a message was not taken: {said.text}")
    return waited


@contextmanager
def _drippers(port: int) -> Iterator[None]:
    """Connections whose requests never end, each with another byte every second."""
    over = threading.Event()
    with ExitStack() as open_sockets:
        wires = [open_sockets.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(DRIPPERS)]
        for wire in wires:
            wire.sendall(b"POST /as2 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n")

        def drip() -> None:
            while not over.wait(1):
                for wire in wires:
                    wire.send(b"x")

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


BENCHES: Final[dict[str, Bench]] = {"as2.door": door, "as2.slow_senders": slow_senders}
