"""``manage.py backup DIR``: database, raw bytes and checkpoints, while the gateway runs."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
from argparse import ArgumentParser
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.utils import timezone

from gateway import blob_store, heartbeats
from gateway.blob_store import Store, StoreError
from gateway.models import Archive, Blob

SQLITE: Final = "gateway.sqlite3"
POSTGRESQL: Final = "gateway.dump"
BLOBS: Final = "blobs"
CHECKPOINTS: Final = "checkpoints.jsonl"
#: Written last: a folder without it is no backup, or one that was not finished.
MANIFEST: Final = "backup.json"
#: What libpq takes from our DATABASE_URL beside host, port, user and name.
_LIBPQ: Final = frozenset({"sslmode", "sslrootcert", "sslcert", "sslkey", "service", "options"})


class Command(BaseCommand):
    help = (
        "Copy database, raw bytes and checkpoints into a folder, while the gateway runs. Into the same folder again: only new "
        "bytes are copied. The keystore's secret is not in it: keep that elsewhere, and not beside a backup."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path, metavar="DIR")
        parser.add_argument(
            "--no-blobs", action="store_true", help="the bytes are in a bucket that is backed up by itself"
        )

    def handle(self, *args: Any, folder: Path, **options: Any) -> None:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            (folder / MANIFEST).unlink(missing_ok=True)
            manifest = self._back_up(folder, with_blobs=not options["no_blobs"])
        except (OSError, StoreError, sqlite3.Error) as error:
            raise CommandError(f"No backup was made: {error}") from error
        _write(folder / MANIFEST, json.dumps(manifest, indent=2).encode())
        self.stdout.write(
            f"{folder}: {manifest['database']}, {manifest['blobs']} blobs of which {manifest['new_blobs']} are new. "
            "The keystore's secret is not in it."
        )

    def _back_up(self, folder: Path, *, with_blobs: bool) -> dict[str, object]:
        # Every row of the copy has its bytes: they were stored before its commit, and go a day after it has gone at the
        # earliest. Those of rows that an archive takes out while we copy are found by the first round, new ones by the second.
        target = blob_store.of(f"file:{folder / BLOBS}") if with_blobs else None
        new = _copy_blobs(target) if target else 0
        name = _copy_sqlite(folder) if connection.vendor == "sqlite" else _dump_postgresql(folder)
        new += _copy_blobs(target) if target else 0
        checkpoints = Path(settings.CHECKPOINTS_FILE)
        if checkpoints.exists():
            _write(folder / CHECKPOINTS, checkpoints.read_bytes())
        return {
            "made_at": timezone.now().isoformat(timespec="seconds"),
            "release": heartbeats.release(),
            "database": name,
            "sha256": _sha256(folder / name),
            "blobs": sum(1 for _ in target.walk()) if target else 0,
            "new_blobs": new,
        }


def _copy_blobs(target: Store) -> int:
    """Copy what rows name and ``target`` has not; each is checked against its name. How many there were."""
    source, copied = blob_store.store(), 0
    for sha256 in _named():
        if target.put_at(sha256) is None:
            target.put(source.get(sha256))
            copied += 1
    return copied


def _named() -> Iterator[str]:
    rows = Blob.objects.filter(data=None).values_list("sha256", flat=True)
    return chain(rows.iterator(), Archive.objects.values_list("sha256", flat=True).iterator())


def _copy_sqlite(folder: Path) -> str:
    """A consistent copy of the file by SQLite itself, in one read transaction; writers go on meanwhile."""
    new = folder / f".{SQLITE}.new"
    new.unlink(missing_ok=True)
    connection.ensure_connection()
    copy = sqlite3.connect(new)
    try:
        connection.connection.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")  # reviewed SQL: a constant; so that the copy is one file
        if (said := copy.execute("PRAGMA quick_check").fetchone()[0]) != "ok":  # reviewed SQL: a constant
            raise CommandError(f"The database is damaged: {said}. No backup was made; restore the last one.")
    finally:
        copy.close()
    return _take_place(new, SQLITE)


def _dump_postgresql(folder: Path) -> str:
    """``pg_dump`` in its own format: one snapshot, for ``pg_restore``."""
    given = connection.settings_dict
    new = folder / f".{POSTGRESQL}.new"
    words = {"dbname": given["NAME"], "host": given["HOST"], "port": given["PORT"], "user": given["USER"]}
    words |= {key: value for key, value in given["OPTIONS"].items() if key in _LIBPQ}
    conninfo = " ".join(f"{key}='{_quoted(str(value))}'" for key, value in words.items() if value)
    options = ["--format=custom", "--no-owner", "--file", str(new), "--dbname", conninfo]
    # The password goes by the environment: command lines are seen by everybody on the machine.
    environment = {**os.environ, **({"PGPASSWORD": given["PASSWORD"]} if given["PASSWORD"] else {})}
    program = shutil.which("pg_dump")
    if program is None:
        raise CommandError(
            "pg_dump is not installed here; it comes with PostgreSQL's client, of the server's version at least."
        )
    done = subprocess.run(  # noqa: S603  # a list, no shell
        [program, *options], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise CommandError(f"No backup was made: {done.stderr.strip()}")
    return _take_place(new, POSTGRESQL)


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")


def _take_place(new: Path, name: str) -> str:
    new.chmod(0o600)
    with new.open("rb") as file:
        os.fsync(file.fileno())
    new.replace(new.with_name(name))
    return name


def _write(path: Path, data: bytes) -> None:
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(data)
    _take_place(new, path.name)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
