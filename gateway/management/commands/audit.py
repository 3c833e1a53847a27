"""``manage.py audit``: seal the audit trail, sign it, and hold everything against it."""

from __future__ import annotations

import json
import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from gateway import audit
from gateway.audit import Fault, Outcome, checkpoints
from partners.keystore import KeystoreError

#: Exit codes.
INTACT: Final = 0
TAMPERED: Final = 1
UNCHECKED: Final = 2

_PROGRESS_EVERY_S: Final = 5.0
_VERIFY: Final = """\
Works everything out anew from the first batch to the last: links, signatures, each event, the rows that events speak of, and
all bytes. What the chain alone cannot show, that its end was cut off or all of it made anew, is shown by the checkpoints kept
outside the database. Changes nothing, and may run while the gateway does.

Exit code: 0 intact, 1 something was changed, 2 something could not be checked.
"""


class Command(BaseCommand):
    help = "Seal the audit trail, sign it, and find what was changed behind it."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        verify = actions.add_parser(
            "verify",
            help="is everything as it was?",
            description=_VERIFY,
            formatter_class=RawDescriptionHelpFormatter,
        )
        verify.add_argument(
            "--checkpoints",
            type=Path,
            metavar="FILE",
            help="a copy of the checkpoints kept elsewhere; else GATEWAY_CHECKPOINTS",
        )
        verify.add_argument(
            "--since", type=int, default=1, metavar="SEQ", help="from this batch on, with the rows its events name"
        )
        verify.add_argument("--no-blobs", action="store_false", dest="blobs", help="do not read the bytes of messages")
        verify.add_argument(
            "--json", action="store_true", dest="as_json", help="JSON, one object a line, instead of text"
        )
        actions.add_parser("seal", help="put what is in no batch yet into batches")
        actions.add_parser("checkpoint", help="seal and sign; print the line to send elsewhere")
        actions.add_parser("rotate-key", help="sign with the key in use a last time, then make the next")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        work = {
            "verify": self.verify,
            "seal": self.seal,
            "checkpoint": self.checkpoint,
            "rotate-key": self.rotate_key,
        }[action]
        try:
            outcome = work(**options)
        except KeystoreError as wrong:
            raise CommandError(str(wrong), returncode=UNCHECKED) from wrong
        except DatabaseError as wrong:
            raise CommandError(f"The database cannot be used: {wrong}", returncode=UNCHECKED) from wrong
        except OSError as wrong:
            raise CommandError(f"{wrong.filename}: {wrong.strerror}", returncode=UNCHECKED) from wrong
        if outcome:
            sys.exit(outcome)

    def verify(self, *, checkpoints: Path | None, since: int, blobs: bool, as_json: bool, **_: Any) -> int:
        began = time.monotonic()
        told_at = began

        def found(fault: Fault) -> None:
            self.stdout.write(json.dumps(_as_data(fault)) if as_json else _in_words(fault))

        def progress(what: str, done: int, total: int) -> None:
            nonlocal told_at
            if (now := time.monotonic()) - told_at >= _PROGRESS_EVERY_S:
                told_at = now
                self.stderr.write(f"{what}: {done} of {total}, {now - began:.0f} s")

        outcome = audit.verify(
            found=found,
            progress=progress,
            checkpoints_file=checkpoints or settings.CHECKPOINTS_FILE,
            since=since,
            blobs=blobs,
        )
        if as_json:
            self.stdout.write(json.dumps(_summary(outcome)))
        else:
            self.stdout.write("\n".join(_conclusion(outcome)))
        return TAMPERED if outcome.tampered else UNCHECKED if outcome.unchecked else INTACT

    def seal(self, **_: Any) -> int:
        self.stdout.write(f"{audit.seal_all()} events sealed.")
        return INTACT

    def checkpoint(self, **_: Any) -> int:
        audit.seal_all()
        made = audit.checkpoint()
        if made is None:
            raise CommandError("Nothing has happened yet that could be signed.", returncode=UNCHECKED)
        self.stdout.write(checkpoints.line(made))
        return INTACT

    def rotate_key(self, **_: Any) -> int:
        audit.seal_all()
        self.stdout.write(audit.rotate_key().public_key.strip())
        return INTACT


def _as_data(fault: Fault) -> dict[str, Any]:
    return asdict(fault) | {"since": None if fault.since is None else fault.since.isoformat()}


def _in_words(fault: Fault) -> str:
    mark = "✘" if fault.tampered else "?"
    since = f"\n    It was in order on {fault.since:%Y-%m-%d %H:%M:%S} UTC." if fault.since else ""
    return f"{mark} {fault.table} {fault.id}: {fault.what}.{since}\n    {fault.todo}"


def _result(outcome: Outcome) -> str:
    return "tampered" if outcome.tampered else "unchecked" if outcome.unchecked else "intact"


def _summary(outcome: Outcome) -> dict[str, Any]:
    return {
        "result": _result(outcome),
        "tampered": outcome.tampered,
        "unchecked": outcome.unchecked,
        "counts": outcome.counts,
        "unsealed": outcome.unsealed,
        "notes": outcome.notes,
    }


def _conclusion(outcome: Outcome) -> list[str]:
    words = {
        "tampered": f"Not intact: {outcome.tampered} faults.",
        "unchecked": f"Nothing wrong was found, and {outcome.unchecked} things could not be checked.",
        "intact": "Intact.",
    }
    counted = ", ".join(f"{count} {what}" for what, count in outcome.counts.items() if count)
    bare = ", ".join(f"{count} {what}" for what, count in outcome.unsealed.items() if count)
    lines = [
        *outcome.notes,
        f"Without a seal (not there yet, or from before there were seals): {bare}." if bare else "",
    ]
    return [
        line
        for line in [*lines, f"Looked at: {counted or 'nothing, there is nothing'}.", words[_result(outcome)]]
        if line
    ]
