"""The database: does it answer, has it every migration, is it sound, can it clean up behind the queues?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, NotSupportedError, connection
from django.db.migrations.executor import MigrationExecutor

from gateway.doctor.findings import Finding, Role, Severity

#: A transaction open for so long keeps every dead row of the queues from being cleaned up.
_LONG_TRANSACTION_S: Final = 600
#: Dead rows in the hot table beyond which claims become slow.
_MANY_DEAD_ROWS: Final = 100_000
_QUEUE_TABLE: Final = "gateway_queueentry"
#: What SQLite says when it stumbles over a damaged page before anybody asked.
_DAMAGE: Final = ("malformed", "not a database")


def name() -> str:
    """Which database, without the password."""
    settings = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"SQLite {settings['NAME']}"
    return f"PostgreSQL {settings['NAME']} at {settings['HOST'] or 'this machine'}:{settings['PORT'] or 5432}"


def unusable(check: str, error: Exception) -> Finding:
    """What a check says that the database did not let run."""
    said = str(error).strip().partition("\n")[0]
    if any(sign in said for sign in _DAMAGE):
        return damaged(said)
    return Finding(
        check=f"database.{check}",
        severity=Severity.ERROR,
        where=name(),
        what=f"It could not be asked ({type(error).__name__}: {said}).",
        why="Nothing is accepted, relayed or sent without it.",
        remedy="manage.py migrate, if it is new or the gateway is; else see whether it runs, and DATABASE_URL.",
    )


def damaged(said: str) -> Finding:
    return Finding(
        check="database.damaged",
        severity=Severity.ERROR,
        where=name(),
        what=f"It is damaged: {said}.",
        why="Rows may be lost, and more may be with every write.",
        remedy="Stop the gateway, keep the file, restore the last backup (gateway/deploy/README.md).",
    )


def answers(role: Role) -> Iterator[Finding]:
    try:
        connection.ensure_connection()
    except NotSupportedError as error:  # Django itself says which versions it takes
        yield Finding(
            check="database.version",
            severity=Severity.ERROR,
            where=name(),
            what=f"{error}.",
            why="What an older one lacks is found out in the middle of work.",
            remedy="Upgrade the server.",
        )
    except (DatabaseError, ImproperlyConfigured) as error:
        yield unusable("answers", error)


def up_to_date(role: Role) -> Iterator[Finding]:
    executor = MigrationExecutor(connection)
    missing = [migration for migration, _ in executor.migration_plan(executor.loader.graph.leaf_nodes())]
    if missing:
        yield Finding(
            check="database.migrations",
            severity=Severity.ERROR,
            where=name(),
            what=f"{len(missing)} migrations are not applied, the first is {missing[0]}.",
            why="Tables or columns this release needs are not there.",
            remedy="manage.py migrate; the processes of the release before go on meanwhile.",
        )
    known = {key for key in executor.loader.disk_migrations if key[0] in {"gateway", "partners"}}
    applied = {key for key in executor.loader.applied_migrations if key[0] in {"gateway", "partners"}}
    if newer := sorted(applied - known):
        yield Finding(
            check="database.newer",
            severity=Severity.WARNING,
            where=name(),
            what=f"It has migrations this release does not know: {', '.join('.'.join(key) for key in newer[:3])}.",
            why="A newer release is being rolled out, or was; one release back is fine, more is not.",
            remedy="Go on with the roll-out, or see “Going back” in gateway/deploy/README.md.",
        )


def sound(role: Role) -> Iterator[Finding]:
    """SQLite's own word about its file; reads all of it."""
    if connection.vendor != "sqlite":
        return
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA journal_mode")  # reviewed SQL: a constant
        mode = cursor.fetchone()[0]
        cursor.execute("PRAGMA quick_check(3)")  # reviewed SQL: a constant
        said = [row[0] for row in cursor.fetchall()]
    if mode != "wal":
        yield Finding(
            check="database.journal",
            severity=Severity.ERROR,
            where=name(),
            what=f"Its journal mode is {mode}, not WAL.",
            why="Readers and the writer lock each other out.",
            remedy="Put the file on a local disk; another program that has it open may have set it so.",
        )
    if said != ["ok"]:
        yield damaged("; ".join(said))


def postgresql(role: Role) -> Iterator[Finding]:
    """Whether dead rows of the queues are cleaned up: what slows claims down over months."""
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('server_version'), current_setting('autovacuum')"
        )  # reviewed SQL: a constant
        version, autovacuum = cursor.fetchone()
        # reviewed SQL: a constant
        cursor.execute(
            "SELECT pid, coalesce(application_name, ''), state, extract(epoch FROM now() - xact_start) FROM pg_stat_activity"
            " WHERE datname = current_database() AND xact_start IS NOT NULL AND pid <> pg_backend_pid()"
            " ORDER BY xact_start LIMIT 1"
        )
        oldest = cursor.fetchone()
        # reviewed SQL: a constant with one parameter
        cursor.execute("SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = %s", [_QUEUE_TABLE])
        dead = cursor.fetchone()
    if autovacuum != "on":
        yield Finding(
            check="database.autovacuum",
            severity=Severity.WARNING,
            where=f"{name()}, version {version}",
            what="autovacuum is off.",
            why="Dead rows pile up in the queues, and every claim reads them.",
            remedy="autovacuum = on in postgresql.conf.",
        )
    if oldest is not None and oldest[3] > _LONG_TRANSACTION_S:
        yield Finding(
            check="database.long-transaction",
            severity=Severity.WARNING,
            where=f"{name()}, backend {oldest[0]} {oldest[1]}".rstrip(),
            what=f"A transaction has been open for {oldest[3] / 60:.0f} minutes ({oldest[2]}).",
            why="No row that died since can be cleaned up: claims of work become slower with every minute.",
            remedy=f"End it where it comes from, or: SELECT pg_terminate_backend({oldest[0]});",
        )
    if dead is not None and dead[0] > _MANY_DEAD_ROWS:
        yield Finding(
            check="database.dead-rows",
            severity=Severity.WARNING,
            where=f"{name()}, {_QUEUE_TABLE}",
            what=f"{dead[0]:,} dead rows wait to be cleaned up.",
            why="Every claim of work reads past them.",
            remedy=f"Look for long transactions, then VACUUM {_QUEUE_TABLE};",
        )
