"""The processes of the gateway: web server, worker, or both in one, started together and stopped in order."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable
from types import FrameType
from typing import Final, Protocol

from django.conf import settings
from django.db import connection

from gateway import doctor, heartbeats, web_server
from gateway.bell import has_broker
from gateway.doctor import Role
from gateway.ear import Ear
from gateway.models import DeliveryKind
from gateway.worker import Worker
from gateway.wsgi import application
from partners import directory

#: Seconds until a change of a partner's terms reaches every process: each step of a message asks for them.
_TERMS_S: Final = 1.0
#: Seconds a stop waits for the requests that are being answered.
_ANSWERED_S: Final = 5


class Part(Protocol):
    """Something of a process that runs in threads of its own."""

    def start(self) -> None: ...

    def stop(self) -> object: ...


class Process:
    """Parts, started in this order and stopped in the opposite one."""

    def __init__(self, *parts: Part) -> None:
        self._parts = parts
        self._end = threading.Event()

    def start(self) -> None:
        directory.remember_for(_TERMS_S)
        for part in self._parts:
            part.start()

    def end_on_signals(self) -> None:
        """Let SIGINT and SIGTERM end ``wait`` instead of the process. Before ``start``, so that none is missed."""

        def end(number: int, frame: FrameType | None) -> None:
            self._end.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, end)

    def wait(self) -> None:
        """Run until a signal, then stop in order."""
        self._end.wait()
        self.stop()

    def stop(self) -> None:
        for part in reversed(self._parts):
            part.stop()
        directory.remember_for(0)


class Web:
    """The web server: it takes in, and rings for whoever works."""

    def __init__(self, host: str, port: int, *, threads: int = 8) -> None:
        self._server = web_server.create(application, host=host, port=port, threads=threads)
        self.port: int = self._server.effective_port
        self._thread = threading.Thread(target=self._server.run, name="web", daemon=True)
        self._pulse = heartbeats.Pulse("web", {"port": self.port, "threads": threads})

    def start(self) -> None:
        self._thread.start()
        self._pulse.start()

    def stop(self) -> None:
        """Accept nothing else, answer what is being answered."""
        self._pulse.stop()
        self._server.close()
        self._server.task_dispatcher.shutdown(cancel_pending=True, timeout=_ANSWERED_S)


class Gateway(Process):
    """Web server and worker of one process."""

    def __init__(self, host: str, port: int, *, threads: int = 8) -> None:
        web = Web(host, port, threads=threads)
        self.port = web.port
        super().__init__(Worker(), Ear(), web)


def workers(*, hands: int | None = None, kinds: Iterable[DeliveryKind] | None = None) -> Process:
    """A process that only works."""
    chosen = None if kinds is None else list(kinds)
    return Process(Worker(hands=hands, kinds=chosen), Ear(chosen))


def announce(role: Role) -> list[str]:
    """What this process runs on, what that does not survive, and what else the doctor has to say.

    Raises:
        CommandError: something is wrong enough not to start.
    """
    findings = doctor.refuse_unfit(role)
    return [
        f"Database {connection.vendor}: {connection.settings_dict['NAME']}",
        f"Broker {str(settings.CELERY_BROKER_URL).partition('://')[0]}."
        if has_broker()
        else f"No broker: work of this process begins at once, that of others is found within {settings.POLL_S:g} s.",
        *(finding.text() for finding in findings),
    ]
