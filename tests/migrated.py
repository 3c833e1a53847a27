"""A database to begin with: what migrations make is made once, for the suite itself, and copied for each gateway a test has.

``django_db_setup`` in ``tests/conftest.py`` keeps a copy of the suite's own database as soon as that is made: a file of SQLite, a
template on a server of PostgreSQL. Who wants one asks for that fixture; where there is none, migrations run as ever. Of several
processes of one run the first migrates; the others' own databases are copies of its copy, and the last one takes it away.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import psycopg
import pytest
from django.db import connection
from psycopg import sql

if TYPE_CHECKING:
    from django.db.backends.base.operations import BaseDatabaseOperations

#: What was kept, by kind of database: the path of a file, the name of a template.
_kept: dict[str, str] = {}
#: What all processes of a run write down under its lock: the copy, and how many have it.
_shared: list[IO[str]] = []


def begun(folder: Path) -> bool:
    """Copy what another process has kept to where ours belongs; False: it is our turn to migrate, and the others wait.

    Args:
        folder: one that all processes of the run have.
    """
    shared = (folder / "migrated.json").open("a+")
    _shared.append(shared)
    fcntl.flock(shared, fcntl.LOCK_EX)
    shared.seek(0)
    copy, users = json.loads(shared.read() or "[null, 0]")
    if not users:
        return False
    ours = str(connection.creation._get_test_db_name())  # type: ignore[attr-defined]  # every backend has it
    if connection.vendor == "sqlite":
        shutil.copyfile(copy, ours)
    else:
        drop_on_server(_server(), ours)
        make_on_server(_server(), ours, template=copy)
    _kept[connection.vendor] = copy
    _noted(shared, copy, users + 1)
    return True


@contextmanager
def kept(folder: Path) -> Iterator[None]:
    """Keep a copy of the suite's database as it is now, if there is none, until the end of the block."""
    copy = _kept.setdefault(connection.vendor, "") or _made(folder)
    _kept[connection.vendor] = copy
    yield
    del _kept[connection.vendor]
    others = 0
    for shared in _shared:
        fcntl.flock(shared, fcntl.LOCK_EX)
        shared.seek(0)
        others = json.loads(shared.read())[1] - 1
        _noted(shared, copy, others)
        shared.close()
    if connection.vendor == "postgresql" and not others:
        drop_on_server(_server(), copy)


def _made(folder: Path) -> str:
    if connection.vendor == "sqlite":
        copy = str(folder / "migrated.sqlite3")
        connection.ensure_connection()
        with closing(sqlite3.connect(copy)) as file:
            connection.connection.backup(file)
    else:
        copy = f"migrated_{os.getpid()}"
        suite = connection.settings_dict
        connection.close()  # nobody may be connected to what is copied
        make_on_server(_server(), copy, template=str(suite["NAME"]))
    for shared in _shared:
        _noted(shared, copy, 1)
    return copy


def _noted(shared: IO[str], copy: str, users: int) -> None:
    """Write it down, and let the others have a look."""
    shared.truncate(0)
    shared.write(json.dumps([copy, users]))
    shared.flush()
    fcntl.flock(shared, fcntl.LOCK_UN)


def file_in(folder: Path) -> bool:
    """Lay a migrated SQLite database into the data folder of a gateway; False: there is none to copy."""
    if copy := _kept.get("sqlite"):
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(copy, folder / "gateway.sqlite3")
    return bool(copy)


def make_on_server(server: str, name: str, *, template: str = "") -> None:
    """Make a database, a migrated one where there is one to copy.

    Args:
        server: the address of any database on it.
    """
    template = template or _kept.get("postgresql", "template1")
    with psycopg.connect(_house(server), autocommit=True) as there:
        there.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*map(sql.Identifier, (name, template))))
        # The server does not die in any test that has one of these.
        there.execute(sql.SQL("ALTER DATABASE {} SET synchronous_commit = off").format(sql.Identifier(name)))


@contextmanager
def emptied_by_delete() -> Iterator[None]:
    """Tests that commit leave empty tables; on PostgreSQL by DELETE, which is done at once where TRUNCATE makes a hundred files anew.

    The guards of the audit trail let nothing be deleted; a superuser may do without them.
    """
    with pytest.MonkeyPatch.context() as patch:
        if connection.vendor == "postgresql" and _is_superuser():
            patch.setattr(type(connection.ops), "sql_flush", _deletes)
        yield


def _is_superuser() -> bool:
    with psycopg.connect(_house(_server())) as there:
        row = there.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
    return bool(row and row[0])


def _deletes(
    ops: BaseDatabaseOperations, style: object, tables: Sequence[str], *, reset_sequences: bool, allow_cascade: bool
) -> list[str]:
    if reset_sequences or allow_cascade:
        raise NotImplementedError("no test has asked for it")
    role = "PERFORM set_config('session_replication_role', '{}', true);"
    deletes = "".join(f"DELETE FROM {ops.quote_name(table)};" for table in tables)  # noqa: S608  # tables of our models
    return [f"DO $$ BEGIN {role.format('replica')} {deletes} {role.format('origin')} END $$"]


def drop_on_server(server: str, name: str) -> None:
    with psycopg.connect(_house(server), autocommit=True) as there:
        there.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _server() -> str:
    return os.environ["DATABASE_URL"]


def _house(server: str) -> str:
    """The database every server has, which nobody copies."""
    return f"{server.rpartition('/')[0]}/postgres"
