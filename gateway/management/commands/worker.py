"""``manage.py worker``: the work alone; web servers are processes of their own."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from gateway import metrics
from gateway.doctor import Role
from gateway.models import DeliveryKind
from gateway.server import announce, workers


class Command(BaseCommand):
    help = "Run a worker: it finds what is due and does it, with a broker to ring for it or without. The database is not migrated."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--hands", type=int, help=f"pieces of work done at the same time (default: GATEWAY_HANDS, {settings.HANDS})"
        )
        parser.add_argument("--metrics-port", type=int, help="show what this process counts at /metrics of this port")
        parser.add_argument(
            "--metrics-host",
            default="127.0.0.1",
            help="address for it, that only Prometheus reaches (default: this machine)",
        )
        parser.add_argument("--queues", help=f"by commas, of: {', '.join(DeliveryKind)} (default: all)")

    def handle(self, *args: Any, **options: Any) -> None:
        hands = options["hands"]
        if hands is not None and hands < 1:
            raise CommandError(f"--hands is {hands}; it must be at least 1.")
        for line in announce(Role.WORKER):
            self.stdout.write(line)
        if options["metrics_port"] is not None:
            port = metrics.serve(options["metrics_port"], options["metrics_host"])
            self.stdout.write(f"Metrics on http://{options['metrics_host']}:{port}/metrics")
        process = workers(hands=hands, kinds=_kinds(options["queues"]))
        process.end_on_signals()
        process.start()
        self.stdout.write("Working.  (Ctrl-C ends)")
        self.stdout.flush()
        process.wait()
        self.stdout.write("Stopped; what was under way goes on in another worker, or at the next start.")


def _kinds(named: str | None) -> list[DeliveryKind] | None:
    if named is None:
        return None
    try:
        return [DeliveryKind(name.strip()) for name in named.split(",")]
    except ValueError as error:
        raise CommandError(f"--queues: {error}; there are: {', '.join(DeliveryKind)}") from error
