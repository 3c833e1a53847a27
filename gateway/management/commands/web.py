"""``manage.py web``: the web server alone; workers are processes of their own."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from gateway.doctor import Role
from gateway.server import Process, Web, announce


class Command(BaseCommand):
    help = "Run the web server alone: it takes in and answers; `manage.py worker` does the work. The database is not migrated."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--threads", type=int, default=8, help="requests served at once")

    def handle(self, *args: Any, **options: Any) -> None:
        for line in announce(Role.WEB):
            self.stdout.write(line)
        web = Web(options["host"], options["port"], threads=options["threads"])
        process = Process(web)
        process.end_on_signals()
        process.start()
        self.stdout.write(f"Listening on http://{options['host']}:{web.port}/admin/  (Ctrl-C ends)")
        self.stdout.flush()
        process.wait()
        self.stdout.write("Stopped.")
