"""``manage.py reference_erp``: the other side of the ERP contract, as a process of its own."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from gateway.erp.reference.server import serve


class Command(BaseCommand):
    help = "Run the reference ERP: an ERP that speaks our published contract, for rehearsals, tests and the demo."
    requires_system_checks = []  # it is not part of the gateway and starts however that is configured

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--database", type=Path, required=True, help="its SQLite file; made when missing")
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, required=True, help="0 takes a free one and prints it")
        parser.add_argument(
            "--token-file", type=Path, help="holds the bearer token; made when missing (default: DATABASE.token)"
        )
        parser.add_argument(
            "--seed", type=Path, help="JSON list of orders to release: {company, supplier_number, record}"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            serve(
                options["database"],
                host=options["host"],
                port=options["port"],
                token_file=options["token_file"],
                seed=options["seed"],
                announce=self._say,
            )
        except (OSError, OverflowError, ValueError) as error:
            raise CommandError(str(error)) from error

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
