"""``manage.py as2_supplier --config FILE.json``: a supplier in a process of its own, on pyas2lib, without our database."""

from __future__ import annotations

import signal
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError


class Command(BaseCommand):
    help = "Play a supplier that speaks AS2 through pyas2lib (GPL), for rehearsals and interoperability tests."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--config", type=Path, required=True, metavar="FILE.json")

    def handle(self, *args: Any, config: Path, **options: Any) -> None:
        # Here, not above: every other command does without pyas2lib.
        from gateway.transports.as2 import supplier

        try:
            program = supplier.Supplier(supplier.read_configuration(config))
            supplier.serve(program, announce=lambda line: print(line, flush=True), until=self._on_signal)
        except (supplier.ConfigurationError, OSError) as exc:
            raise CommandError(str(exc)) from exc

    @staticmethod
    def _on_signal(stop: Callable[[], None]) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_arguments: stop())
