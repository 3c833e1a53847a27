"""A database to begin with: what migrations make is made once, for the suite itself, and copied for each gateway a test has.

``django_db_setup`` in ``tests/conftest.py`` keeps a copy of the suite's own database as soon as that is made: a file of SQLite, a
template on a server of PostgreSQL. Who wants one asks for that fixture; where there is none, migrations run as ever. Of several
processes of one run the first migrates, and the others' own databases begin as copies of its copy.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO

import psycopg
from django.db import connection
from psycopg import sql

#: What was kept, by kind of database: the path of a file, the name of a template.
_kept: dict[str, str] = {}
#: The file that says where the first copy is, for as long as this process is the one to make it.
_turn: list[IO[str]] = []


def begun(folder: Path) -> bool:
    """Copy what another process has kept to where this one's database belongs; False: it is our turn to migrate, others wait.

    Args:
        folder: one that all processes of the run have.
    """
    turn = (folder / "migrated").open("a+")
    fcntl.flock(turn, fcntl.LOCK_EX)
    turn.seek(0)
    copy, ours = turn.read(), str(connection.creation._get_test_db_name())  # type: ignore[attr-defined]  # of every backend
    if not copy or not _copied(copy, ours):
        _turn.append(turn)
        return False
    turn.close()
    return True


def _copied(copy: str, ours: str) -> bool:
    if connection.vendor == "sqlite":
        shutil.copyfile(copy, ours)
        return True
    drop_on_server(_server(), ours)
    try:
        make_on_server(_server(), ours, template=copy)
    except psycopg.errors.InvalidCatalogName:  # whoever made it has ended
        return False
    return True


@contextmanager
def kept(folder: Path) -> Iterator[None]:
    """Keep a copy of the suite's database as it is now, until the end of the block."""
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
    _kept[connection.vendor] = copy
    while _turn:
        with _turn.pop() as turn:
            turn.truncate(0)
            turn.write(copy)
    try:
        yield
    finally:
        del _kept[connection.vendor]
        if connection.vendor == "postgresql":
            drop_on_server(_server(), copy)


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


def drop_on_server(server: str, name: str) -> None:
    with psycopg.connect(_house(server), autocommit=True) as there:
        there.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _server() -> str:
    return os.environ["DATABASE_URL"]


def _house(server: str) -> str:
    """The database every server has, which nobody copies."""
    return f"{server.rpartition('/')[0]}/postgres"
