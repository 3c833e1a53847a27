"""Somebody who can write every row of the database and takes its guards away meanwhile, for tests of who notices."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction

#: Triggers by name, with their tables. Each refuses something, or notes it.
GUARDS = {
    "gateway_event_added": "gateway_event",
    "gateway_event_kept": "gateway_event",
    "gateway_auditbatch_kept": "gateway_auditbatch",
}


@contextmanager
def unguarded() -> Iterator[None]:
    """Without the guards of the audit trail; they are back afterwards."""
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            for table in set(GUARDS.values()):
                cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            yield
            if connection.needs_rollback:
                return
            for table in set(GUARDS.values()):
                cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
                cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
            return
        cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
        kept = [(name, sql) for name, sql in cursor.fetchall() if name in GUARDS]
        for name, _ in kept:
            cursor.execute(f"DROP TRIGGER {name}")
        yield
        for _, sql in kept:
            cursor.execute(sql)


def execute(sql: str, values: Sequence[Any] = ()) -> int:
    """Run one statement behind everybody's back, guards or not; returns how many rows it wrote."""
    assert re.match(r"(UPDATE|DELETE|INSERT)\b", sql)
    with unguarded(), connection.cursor() as cursor:
        cursor.execute(sql, values)
        return int(cursor.rowcount)
