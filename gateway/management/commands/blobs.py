"""``manage.py blobs``: the raw bytes outside the database."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Sum
from django.utils import timezone

from gateway import blob_store, blob_upkeep
from gateway.models import Blob

#: Exit codes.
SOUND: Final = 0
FAULTY: Final = 1
UNUSABLE: Final = 2

_TOLD_EVERY: Final = 1000


class Command(BaseCommand):
    help = "Look after the raw bytes outside the database. Exit 0 in order, 1 something is wrong, 2 the store cannot be used."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        verify = "read everything: every row has its bytes, unchanged, and all bytes have their row"
        actions.add_parser("verify", help=verify)
        collect = actions.add_parser("collect", help="remove what nothing names; the gateway does so daily by itself")
        collect.add_argument("--dry-run", action="store_true", help="only say what would go")
        move = actions.add_parser(
            "move",
            help="move bytes from the rows of earlier releases into the store, while the gateway runs; may be cut off and "
            "run again. PostgreSQL gives the room back after VACUUM FULL gateway_blob, SQLite after VACUUM",
        )
        move.add_argument("--dry-run", action="store_true", help="only say how much there is to move")
        move.add_argument(
            "--to-database",
            action="store_true",
            help="the other way round, to go back to a release without a store: stop the gateway first. The store stays as it is",
        )

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        do = {"verify": self.verify, "collect": self.collect, "move": self.move}[action]
        try:
            outcome = do(**options)
        except blob_store.StoreError as error:
            raise CommandError(str(error), returncode=UNUSABLE) from error
        if outcome:
            sys.exit(outcome)

    def verify(self, **_: Any) -> int:
        wrong = 0
        for fault in blob_upkeep.faults(timezone.now(), tell=self._so_far):
            self.stdout.write(str(fault))
            wrong += 1
        self.stdout.write(f"{Blob.objects.count()} blobs in {blob_store.store()}, {wrong} faults.")
        return FAULTY if wrong else SOUND

    def collect(self, *, dry_run: bool, **_: Any) -> int:
        done = blob_upkeep.collect(timezone.now(), dry_run=dry_run, tell=self.stdout.write)
        self.stdout.write(
            f"{'Would remove' if dry_run else 'Removed'} {done.rows} rows that nothing names and {done.blobs} blobs without "
            f"a row" + ("." if dry_run else f", and saw to {done.begun} files that were never finished.")
        )
        return SOUND

    def move(self, *, dry_run: bool, to_database: bool, **_: Any) -> int:
        there, here = "the database", str(blob_store.store())
        if to_database:
            there, here = here, there
        rows = Blob.objects.filter(data__isnull=to_database)
        count, size_bytes = rows.count(), rows.aggregate(sum=Sum("size_bytes"))["sum"] or 0
        self.stdout.write(f"{count} blobs, {size_bytes / 1e6:.1f} MB, to move from {there} to {here}.")
        if dry_run:
            return SOUND
        wrong = moved = 0
        for fault in blob_upkeep.move(to_database=to_database):
            if fault:
                self.stdout.write(str(fault))
                wrong += 1
            else:
                moved += 1
                if moved % _TOLD_EVERY == 0:
                    self._so_far(moved)
        self.stdout.write(f"{moved} moved, {wrong} left where they are.")
        return FAULTY if wrong else SOUND

    def _so_far(self, done: int) -> None:
        self.stderr.write(f"{done} …")
