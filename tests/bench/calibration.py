"""How fast and how busy the machine is at this moment; figures of different runs compare by it.

A run that measures load also tells what the disk, PostgreSQL and a web server that does nothing manage, a second of each.
"""

from __future__ import annotations

import http.client
import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing, suppress
from tempfile import NamedTemporaryFile
from typing import Final

import psycopg
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.bench.measure import cpu_s, rounded
from tests.faults.databases import PostgreSQL
from tests.faults.programs import HarnessError, free_port, is_listening, until

_STEPS: Final = 100_000
_FOR_S: Final = 1.0
_CLIENTS: Final = 4
_BLOCK: Final = 4096
_BLOCKS: Final = 256
_HELLO: Final = """
import logging, sys, waitress
logging.disable()
def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"hello"]
waitress.serve(hello, host="127.0.0.1", port=int(sys.argv[1]), threads=4, _quiet=True)
"""


def line(*, load: bool) -> str:
    """As JSON. ``load``: of the disk, the database and the web server too, where this machine has them."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    signing, stepping = cpu_s(lambda: key.sign(b"calibration", padding.PKCS1v15(), hashes.SHA256()), _steps)
    facts: dict[str, object] = {
        "bench": "calibration",
        "value": rounded(1 / signing),
        "unit": "RSA-2048 signatures/s",
        "python_steps_per_s": rounded(_STEPS / stepping),
    }
    if load:
        facts["fdatasync_4k_per_s"] = rounded(_syncs_per_s())
        with suppress(HarnessError):  # no PostgreSQL here: those who need it say so
            facts["postgresql_commits_per_s"] = rounded(_commits_per_s())
        facts["hello_requests_per_s"] = rounded(_requests_per_s())
    facts |= {"load_average": rounded(os.getloadavg()[0]), "cores": os.cpu_count()}
    return json.dumps(facts)


def _steps() -> int:
    total = 0
    for step in range(_STEPS):
        total += step & 7
    return total


def _per_s(work: Callable[[], object], for_s: float) -> float:
    done, began = 0, time.perf_counter()
    while (took := time.perf_counter() - began) < for_s:
        work()
        done += 1
    return done / took


def _syncs_per_s() -> float:
    with NamedTemporaryFile() as file:
        file.truncate(_BLOCK * _BLOCKS)
        block = os.urandom(_BLOCK)

        def write() -> None:
            os.pwrite(file.fileno(), block, _BLOCK * (time.perf_counter_ns() % _BLOCKS))
            os.fdatasync(file.fileno())

        return _per_s(write, _FOR_S)


def _commits_per_s() -> float:
    """Rows inserted one by one by several clients."""
    with closing(PostgreSQL()) as server:
        server.query("CREATE TABLE calibration (id bigserial PRIMARY KEY, said text)")
        url = server.environment["DATABASE_URL"]
        with ProcessPoolExecutor(_CLIENTS, mp_context=multiprocessing.get_context("spawn")) as clients:
            return sum(clients.map(_commits_of_one, [url] * _CLIENTS, [_FOR_S] * _CLIENTS))


def _commits_of_one(url: str, for_s: float) -> float:
    with psycopg.connect(url, autocommit=True) as connection:
        insert = "INSERT INTO calibration (said) VALUES (%s)"
        return _per_s(lambda: connection.execute(insert, ["x" * 200]), for_s)


def _requests_per_s() -> float:
    port = free_port()
    server = subprocess.Popen([sys.executable, "-c", _HELLO, str(port)])
    try:
        until(lambda: is_listening(port), "a web server that says hello")
        with ThreadPoolExecutor(_CLIENTS) as clients:
            return sum(clients.map(_requests_of_one, [port] * _CLIENTS))
    finally:
        server.kill()
        server.wait()


def _requests_of_one(port: int) -> float:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as wire:

        def get() -> None:
            wire.request("GET", "/")
            wire.getresponse().read()

        return _per_s(get, _FOR_S)
