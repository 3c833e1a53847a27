"""The brokers a soak runs on: none, a Redis of its own, or the RabbitMQ of this machine behind a line that can be cut.

The broker may lose whatever it likes: that costs time and nothing else, and this is what is shown here.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Final, Protocol

import redis

from tests.faults.network import Mode, Proxy, Switchboard
from tests.faults.programs import HarnessError, free_port, is_listening, until

_RABBIT_PORT: Final = 5672


class Broker(Protocol):
    name: str
    environment: dict[str, str]
    faults: tuple[str, ...]  #: what ``strike`` can do

    def strike(self, fault: str) -> None: ...

    def heal(self) -> None:
        """All lines work again."""

    def waiting(self) -> int:
        """Rings that nobody has heard."""

    def close(self) -> None: ...


class NoBroker:
    """The gateway finds its work by looking for it."""

    name = "none"
    faults: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.environment: dict[str, str] = {}

    def strike(self, fault: str) -> None:
        raise HarnessError(f"there is no broker to {fault}")

    def heal(self) -> None:
        """Nothing to heal."""

    def waiting(self) -> int:
        return 0

    def close(self) -> None:
        """Nothing to end."""


class Redis:
    """A server of its own, without a file: what is killed comes back empty."""

    name = "redis"
    faults: tuple[str, ...] = ("kill", "flush", "half_open", "cut")

    def __init__(self, folder: Path, switchboard: Switchboard) -> None:
        if not shutil.which("redis-server"):
            raise HarnessError("there is no redis-server")
        self._folder, self._port = folder, free_port()
        self._process = self._start()
        self._line: Proxy = switchboard.proxy([self._port])
        self.environment = {"GATEWAY_BROKER_URL": f"redis://127.0.0.1:{self._line.port}/0"}

    def _start(self) -> subprocess.Popen[bytes]:
        arguments = ["--port", str(self._port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self._folder)]
        with (self._folder / "redis.log").open("ab") as log:
            process = subprocess.Popen(["redis-server", *arguments], stdout=log, stderr=log, start_new_session=True)
        until(lambda: is_listening(self._port), "redis-server")
        return process

    def strike(self, fault: str) -> None:
        if fault == "kill":
            self._process.kill()
            self._process.wait()
            self._process = self._start()
        elif fault == "flush":
            with socket.create_connection(("127.0.0.1", self._port), timeout=5) as line:
                line.sendall(b"FLUSHALL\r\n")
                line.recv(16)
        else:
            self._line.switch(Mode.SWALLOW if fault == "half_open" else Mode.REFUSE)

    def heal(self) -> None:
        self._line.switch(Mode.PASS)

    def waiting(self) -> int:
        with redis.Redis(port=self._port) as server:
            lists = sum(int(server.llen(key)) for key in server.scan_iter(_type="list"))
            return lists + int(server.hlen("unacked"))

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


class RabbitMq:
    """The server of this machine, a virtual host of our own on it, and only our own line to it is cut."""

    name = "amqp"
    faults: tuple[str, ...] = ("half_open", "cut")

    def __init__(self, switchboard: Switchboard) -> None:
        if not is_listening(_RABBIT_PORT) or not shutil.which("rabbitmqctl"):
            raise HarnessError("there is no RabbitMQ we may make a virtual host on")
        self._vhost = f"soak-{os.getpid()}"
        self._ask("add_vhost", self._vhost)
        self._ask("set_permissions", "-p", self._vhost, "guest", ".*", ".*", ".*")
        self._line: Proxy = switchboard.proxy([_RABBIT_PORT])
        self.environment = {"GATEWAY_BROKER_URL": f"amqp://guest:guest@127.0.0.1:{self._line.port}/{self._vhost}"}

    def strike(self, fault: str) -> None:
        self._line.switch(Mode.SWALLOW if fault == "half_open" else Mode.REFUSE)

    def heal(self) -> None:
        self._line.switch(Mode.PASS)

    def waiting(self) -> int:
        return sum(int(count) for count in self._ask("-s", "list_queues", "-p", self._vhost, "messages").split())

    def close(self) -> None:
        self._ask("delete_vhost", self._vhost)

    @staticmethod
    def _ask(*arguments: str) -> str:
        asked = subprocess.run(["rabbitmqctl", "-q", *arguments], capture_output=True, text=True, timeout=60)
        if asked.returncode:
            raise HarnessError(f"rabbitmqctl {arguments[0]}: {asked.stderr.strip()[:200]}")
        return asked.stdout


def best() -> str:
    """The one to take on this machine when nobody says: RabbitMQ before Redis before none."""
    if is_listening(_RABBIT_PORT) and shutil.which("rabbitmqctl"):
        asked = subprocess.run(["rabbitmqctl", "-q", "list_vhosts"], capture_output=True, timeout=60)
        if not asked.returncode:  # we may ask it for a virtual host of our own
            return "amqp"
    return "redis" if shutil.which("redis-server") else "none"


def make(name: str, folder: Path, switchboard: Switchboard) -> Broker:
    """Raises HarnessError when this machine has none of that name."""
    if name == "redis":
        return Redis(folder, switchboard)
    if name == "amqp":
        return RabbitMq(switchboard)
    return NoBroker()
