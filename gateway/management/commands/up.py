"""``manage.py up``: the gateway in one process, web server and worker."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand

from gateway.doctor import Role
from gateway.server import Gateway, announce


class Command(BaseCommand):
    help = "Run the gateway in one process: web server and worker."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--threads", type=int, default=8, help="requests served at once")
        parser.add_argument("--no-migrate", action="store_true", help="do not bring the database up to date first")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["no_migrate"]:
            call_command("migrate", interactive=False, verbosity=0)
        for line in announce(Role.UP):
            self.stdout.write(line)
        gateway = Gateway(options["host"], options["port"], threads=options["threads"])
        gateway.end_on_signals()
        gateway.start()
        if not get_user_model().objects.filter(is_staff=True).exists():
            self.stdout.write("No staff account yet: python manage.py createsuperuser")
        self.stdout.write(f"Listening on http://{options['host']}:{gateway.port}/admin/  (Ctrl-C ends)")
        self.stdout.flush()
        gateway.wait()
        self.stdout.write("Stopped; what was under way goes on at the next start.")
