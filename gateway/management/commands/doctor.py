"""``manage.py doctor``: what is wrong with this installation, and what to do."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from gateway import doctor


class Command(BaseCommand):
    help = (
        "Look at configuration, libraries, database, clocks, broker, secrets, certificates, connections and work; say what is "
        "wrong, why, and what to do. Exit 0, or 1 when there is an error."
    )
    requires_system_checks = []  # it says the same of the keystore, and more, where the checks would stop it

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--json", action="store_true", help="one JSON object: verdict, and findings with all their fields"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        found = doctor.examine()
        verdict = doctor.worst(found)
        if options["json"]:
            self.stdout.write(json.dumps({"verdict": verdict, "findings": [one.as_dict() for one in found]}, indent=2))
        else:
            for one in found:
                self.stdout.write(one.text())
            self.stdout.write(_summary(found))
        if verdict is doctor.Severity.ERROR:
            sys.exit(1)


def _summary(found: list[doctor.Finding]) -> str:
    if not found:
        return "Nothing to say: everything that was looked at is in order."
    numbers = [(severity, sum(one.severity is severity for one in found)) for severity in doctor.Severity]
    return ", ".join(f"{number} {severity}{'s' if number > 1 else ''}" for severity, number in numbers if number)
