"""``manage.py partner_import FILE.json``: set up many partners at once, all or none."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from partners.onboarding import OnboardingError, Outcome, set_up_own_identity, set_up_partner


class Command(BaseCommand):
    help = (
        'Set up trading partners from a file: {"own_identities": […], "partners": […]}, as partners/onboarding.py shows. '
        "What the file names is made or changed, the rest stays as it is. If anything is wrong nothing is written."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE.json")
        parser.add_argument("--dry-run", action="store_true", help="say what would change and write nothing")

    def handle(self, *args: object, file: Path, dry_run: bool, **options: object) -> None:
        """Write all of the file or nothing, and say what changed.

        Raises:
            CommandError: the file cannot be read, or something in it is wrong.
        """
        data = _read(file)
        problems: list[str] = []
        counts = {"new": 0, "changed": 0, "as they were": 0}
        with transaction.atomic():
            for name, set_up in _SECTIONS.items():
                for spec in data.get(name, []):
                    try:
                        outcome = set_up(spec)
                    except OnboardingError as error:
                        problems += error.problems
                    else:
                        counts[self._say(outcome)] += 1
            if problems:
                raise CommandError("\n".join([f"Nothing was written; {len(problems)} to mend:", *problems]))
            if dry_run:
                transaction.set_rollback(True)
        told = ", ".join(f"{count} {what}" for what, count in counts.items())
        self.stdout.write(f"{told}. {'Dry run: nothing was written.' if dry_run else 'Written.'}")

    def _say(self, outcome: Outcome[Any]) -> str:
        """Print one outcome and return under which heading it counts."""
        what = "as they were" if not outcome.changes else "new" if outcome.created else "changed"
        self.stdout.write(f"{outcome.row}: {'no change' if what == 'as they were' else what}")
        for change in outcome.changes:
            self.stdout.write(f"  {change}")
        return what


_SECTIONS: dict[str, Callable[[Mapping[str, Any]], Outcome[Any]]] = {
    "own_identities": set_up_own_identity,
    "partners": set_up_partner,
}


def _read(file: Path) -> dict[str, list[dict[str, Any]]]:
    try:
        data = json.loads(file.read_text("utf-8"))
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:  # not UTF-8, not JSON, or nested without end
        raise CommandError(f"{file} is not JSON: {error}.") from error
    if isinstance(data, list):
        data = {"partners": data}
    if not isinstance(data, dict) or set(data) - set(_SECTIONS):
        raise CommandError(f"{file} holds neither a list of partners nor an object with {' and '.join(_SECTIONS)}.")
    for name, items in data.items():
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise CommandError(f"{file}: {name} must be a list of objects.")
    return data
