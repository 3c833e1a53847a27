"""The gateway in one process: web server and worker, started together and stopped in order."""

from __future__ import annotations

import signal
import sqlite3
import threading
from types import FrameType
from typing import Final

from django.conf import settings
from django.db import connection

from gateway import web_server
from gateway.embedded import EmbeddedWorker
from gateway.wsgi import application

#: Below this SQLite may lose pages when several connections check-point at once (sqlite.org/wal.html#walresetbug).
_SAFE_SQLITE: Final = (3, 51, 3)


class Gateway:
    """Web server and worker of one process."""

    def __init__(self, host: str, port: int, *, threads: int = 8) -> None:
        self._worker = EmbeddedWorker()
        self._server = web_server.create(application, host=host, port=port, threads=threads)
        self.port: int = self._server.effective_port
        self._web = threading.Thread(target=self._server.run, name="web", daemon=True)
        self._end = threading.Event()

    def start(self) -> None:
        self._worker.start()
        self._web.start()

    def end_on_signals(self) -> None:
        """Let SIGINT and SIGTERM end ``wait`` instead of the process. Before ``start``, so that none is missed."""

        def end(number: int, frame: FrameType | None) -> None:
            self._end.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, end)

    def wait(self) -> None:
        """Serve until a signal, then stop in order."""
        self._end.wait()
        self.stop()

    def stop(self) -> None:
        self._server.close()
        self._worker.stop()


def mode() -> list[str]:
    """What this process runs on, and what that does not survive."""
    lines = [f"Database {connection.vendor}: {connection.settings_dict['NAME']}"]
    if connection.vendor == "sqlite" and sqlite3.sqlite_version_info < _SAFE_SQLITE:
        lines.append(
            f"  SQLite {sqlite3.sqlite_version} is older than 3.51.3: run one process on this file only, and back it up."
        )
    broker = str(settings.CELERY_BROKER_URL).partition("://")[0]
    lines.append(
        f"Broker in memory: work survives a restart, wake-ups do not (found again within {settings.POLL_S:g} s)."
        if broker == "memory"
        else f"Broker {broker}."
    )
    if settings.BEHIND_TLS and not settings.TRUSTED_PROXIES:
        lines.append("GATEWAY_TLS is 1 and GATEWAY_TRUSTED_PROXIES names nobody: no request will count as secure.")
    return lines
