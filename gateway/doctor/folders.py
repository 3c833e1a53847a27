"""The data folder: is it ours alone, writable, local, and is there room?"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from django.conf import settings
from django.db import connection

from gateway import blob_store
from gateway.blob_store import StoreError
from gateway.doctor.findings import Finding, Role, Severity

#: Free bytes below which documents are refused soon, and below which a person should look.
NO_ROOM_BYTES: Final = 100 * 1024 * 1024
LITTLE_ROOM_BYTES: Final = 2 * 1024 * 1024 * 1024
_SECRET_FILES: Final = ("keystore-secret", "django-secret-key")
#: Where SQLite's locks and shared memory do not work as it needs them.
_NETWORKS: Final = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "glusterfs", "ceph"})


def private(role: Role) -> Iterator[Finding]:
    """Who else may read or write what only we should."""
    folder = Path(settings.DATA_DIR)
    for name in _SECRET_FILES:
        file = folder / name
        if file.exists() and stat.S_IMODE(file.stat().st_mode) & 0o077:
            yield Finding(
                check="folders.secrets",
                severity=Severity.ERROR,
                where=str(file),
                what=f"Others than its owner may read or change it (mode {stat.S_IMODE(file.stat().st_mode):o}).",
                why="It opens private keys or sessions.",
                remedy=f"chmod 600 {file}, and if others had it: a new secret (keystore_rotate for the keystore's).",
            )
    if stat.S_IMODE(folder.stat().st_mode) & stat.S_IWOTH:
        yield Finding(
            check="folders.data",
            severity=Severity.ERROR,
            where=str(folder),
            what="Everybody on this machine may write to it.",
            why="Whoever does can replace database and secrets.",
            remedy=f"chmod 750 {folder}",
        )
    elif not os.access(folder, os.W_OK):
        yield Finding(
            check="folders.data",
            severity=Severity.ERROR,
            where=str(folder),
            what="This process may not write to it.",
            why="Database, temporary files and secrets are there.",
            remedy="Give it to the user the gateway runs as, or set GATEWAY_DATA_DIR.",
        )
    if connection.vendor == "sqlite":
        kind = _file_system(Path(connection.settings_dict["NAME"]).resolve().parent)
        if kind in _NETWORKS:
            yield Finding(
                check="folders.network",
                severity=Severity.ERROR,
                where=connection.settings_dict["NAME"],
                what=f"The SQLite file is on {kind}.",
                why="Its locks do not hold there: the file is damaged sooner or later.",
                remedy="Put it on a local disk (GATEWAY_DATA_DIR), or use PostgreSQL (DATABASE_URL).",
            )


def room(role: Role) -> Iterator[Finding]:
    """Free space for the database and for bodies on their way in."""
    wanted_bytes = int(settings.MOST_SPOOLED_MB * 1024 * 1024)
    for where, least_bytes in (
        (Path(settings.DATA_DIR), LITTLE_ROOM_BYTES),
        (Path(tempfile.gettempdir()), wanted_bytes),
    ):
        free_bytes = shutil.disk_usage(where).free
        if free_bytes < least_bytes:
            yield Finding(
                check="folders.room",
                severity=Severity.ERROR if free_bytes < NO_ROOM_BYTES else Severity.WARNING,
                where=str(where),
                what=f"{free_bytes // 1024**2} MB are free.",
                why="On a full disk every document is answered with 503 until there is room again.",
                remedy="Make room, archive finished months, or move the folder (GATEWAY_DATA_DIR, TMPDIR).",
            )


def blobs(role: Role) -> Iterator[Finding]:
    """Whether what arrives can be kept where it is to be kept."""
    try:
        blob_store.store().probe()
    except (ValueError, StoreError) as error:
        yield Finding(
            check="folders.blobs",
            severity=Severity.ERROR,
            where="GATEWAY_BLOBS",
            what=f"{error}.",
            why="Nothing can be accepted: every document is answered with 503.",
            remedy="See that the folder or the bucket is there, writable and has room.",
        )


def _file_system(folder: Path) -> str:
    """The type of the file system a folder is on, as Linux says it; empty elsewhere."""
    mounts = Path("/proc/self/mounts")
    if not mounts.exists():
        return ""
    rows = [line.split(" ") for line in mounts.read_text("utf-8", "replace").splitlines()]
    points = {
        row[1].replace("\\040", " "): row[2] for row in rows if len(row) > 2
    }  # of two on one point the later counts
    under = [point for point in points if folder.is_relative_to(point)]
    return points[max(under, key=len)] if under else ""
