"""``manage.py up``: the gateway in one process, web, worker and sweeps."""

from __future__ import annotations

import signal
import sqlite3
import threading
from argparse import ArgumentParser
from types import FrameType
from typing import Any

import waitress
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import connection

from gateway.embedded import EmbeddedWorker
from gateway.wsgi import application

#: Below this SQLite may lose pages when several connections check-point at once (sqlite.org/wal.html#walresetbug).
_SAFE_SQLITE = (3, 51, 3)


class Command(BaseCommand):
    help = "Run the gateway in one process: web server, worker and sweeps."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--threads", type=int, default=8, help="requests served at once")
        parser.add_argument("--no-migrate", action="store_true", help="do not bring the database up to date first")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["no_migrate"]:
            call_command("migrate", interactive=False, verbosity=0)
        for line in mode():
            self.stdout.write(line)
        gateway = Gateway(options["host"], options["port"], threads=options["threads"])
        gateway.start()
        if not get_user_model().objects.filter(is_staff=True).exists():
            self.stdout.write("No staff account yet: python manage.py createsuperuser")
        self.stdout.write(f"Listening on http://{options['host']}:{gateway.port}/admin/  (Ctrl-C ends)")
        self.stdout.flush()
        gateway.wait()
        self.stdout.write("Stopped; what was under way goes on at the next start.")


class Gateway:
    """Web server and worker of one process."""

    def __init__(self, host: str, port: int, *, threads: int = 8) -> None:
        self._worker = EmbeddedWorker()
        # waitress takes a thread only when the whole body is there: slow senders cost a socket, not a thread.
        self._server = waitress.create_server(
            application,
            host=host,
            port=port,
            threads=threads,
            connection_limit=1000,
            max_request_body_size=64 * 1024 * 1024,
            ident="supplier-gateway",
        )
        self.port: int = self._server.effective_port
        self._web = threading.Thread(target=self._server.run, name="web", daemon=True)
        self._end = threading.Event()

    def start(self) -> None:
        self._worker.start()
        self._web.start()

    def wait(self) -> None:
        """Serve until SIGINT or SIGTERM, then stop in order."""

        def end(number: int, frame: FrameType | None) -> None:
            self._end.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, end)
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
    return lines
