"""Brokers that may be broken: a Redis of our own, a wire that can be cut or fall silent, and one that never answers."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

import redis

from tests.services import need


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class PrivateRedis:
    """A Redis server that keeps nothing on disk, on a port that stays the same through its deaths."""

    def __init__(self, folder: Path) -> None:
        need(shutil.which("redis-server"), "redis-server, for a broker that is killed: apt-get install redis-server")
        self._folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        self._process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with suppress(redis.ConnectionError), self._client() as client:
                client.ping()
                return self
        raise AssertionError("the private Redis does not answer")

    def flush(self) -> None:
        with self._client() as client:
            client.flushall()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _client(self) -> redis.Redis:
        return redis.Redis(port=self.port)


class Wire:
    """A TCP connection to a service, through us: it can be cut, and it can fall silent without a word."""

    def __init__(self, to: tuple[str, int]) -> None:
        self._to = to
        self._silent = threading.Event()
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._accept = threading.Thread(target=self._take, args=(self._listener,), daemon=True)
        self._accept.start()

    def fall_silent(self) -> None:
        """From now on connections are accepted, and not a byte passes in either direction."""
        self._silent.set()

    def speak(self) -> None:
        """Bytes pass again, on new connections; what was open while it was silent is cut."""
        self._silent.clear()
        self._cut_open()

    def cut(self) -> None:
        """As if the service had died: what is open ends, and nobody listens."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accept.join(5)
        self._cut_open()

    def mend(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._accept = threading.Thread(target=self._take, args=(self._listener,), daemon=True)
        self._accept.start()

    def _take(self, listener: socket.socket) -> None:
        with suppress(OSError):  # it was closed
            while True:
                near, _ = listener.accept()
                with self._lock:
                    self._open.append(near)
                if not self._silent.is_set():
                    self._join(near)

    def _join(self, near: socket.socket) -> None:
        far = socket.create_connection(self._to)
        with self._lock:
            self._open.append(far)
        for source, target in ((near, far), (far, near)):
            threading.Thread(target=self._pass, args=(source, target), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):  # either end was closed
            while data := source.recv(65536):
                if not self._silent.is_set():
                    target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _cut_open(self) -> None:
        with self._lock:
            ends, self._open = self._open, []
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
