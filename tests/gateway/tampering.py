"""Somebody who can write every row of the database and takes its guards away meanwhile, for tests of who notices."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction
from django.db.models import Model


@contextmanager
def unguarded() -> Iterator[None]:
    """Without the database's own guards; they are back afterwards."""
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL session_replication_role = replica")
            yield
            cursor.execute("SET LOCAL session_replication_role = origin")
            return
        cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
        guards = cursor.fetchall()
        for name, _ in guards:
            cursor.execute(f"DROP TRIGGER {name}")
        yield
        for _, sql in guards:
            cursor.execute(sql)


@contextmanager
def without_foreign_keys() -> Iterator[None]:
    """Rows may go that others refer to; outside a transaction. PostgreSQL minds no more than its guards do."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA foreign_keys = OFF")
        yield
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA foreign_keys = ON")


def change(row: Model | None, column: str | None, value: Any) -> None:
    """Set one column of a row to what the driver takes."""
    assert row is not None
    _execute(f'UPDATE {row._meta.db_table} SET "{column}" = %s WHERE {_key(row)} = %s', [value, row.pk])  # noqa: S608


def delete(row: Model | None) -> None:
    assert row is not None
    _execute(f"DELETE FROM {row._meta.db_table} WHERE {_key(row)} = %s", [row.pk])  # noqa: S608


def _execute(sql: str, values: list[Any]) -> None:
    with unguarded(), connection.cursor() as cursor:
        cursor.execute(sql, values)
        assert cursor.rowcount == 1


def _key(row: Model) -> str:
    return str(row._meta.pk.column)
