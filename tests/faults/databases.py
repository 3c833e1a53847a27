"""The databases a soak runs on, as the harness sees them: where they are, what they hold, how they crash.

What the harness asks of the rows goes through here in plain SQL, so that nothing of the gateway's own code stands between.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final, Protocol

import psycopg

from tests.faults.programs import HarnessError, cpu_seconds, free_port

#: States that are never left, by table.
TERMINAL: Final = {
    "gateway_delivery": ("delivered", "cancelled"),
    "gateway_transmission": ("answered", "refused", "receipted", "rejected"),
    "gateway_document": ("relayed", "rejected", "discarded", "replayed"),
}
_NOTE: Final = "INSERT INTO soak_violation VALUES ('TABLE', OLD.id, OLD.state, NEW.state)"
_VIOLATIONS: Final = "CREATE TABLE soak_violation (name text, id bigint, was text, became text)"


class Database(Protocol):
    name: str
    environment: dict[str, str]

    def watch_terminal_states(self) -> None:
        """From now on the database itself notes every row that leaves a terminal state, in ``soak_violation``."""

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Rows. Raises HarnessError while the database is away."""

    def crash(self) -> None:
        """As in a power cut of the server's processes, and up again."""

    def terminate_backend(self) -> bool:
        """Cut one connection in the middle of a transaction; False: there was none."""

    def idle_in_transaction(self) -> int:
        """Connections that hold a transaction open and do nothing."""

    def blocked(self) -> int:
        """Locks that somebody waits for."""

    def connections(self) -> int:
        """Of others than the harness."""

    def cpu_s(self) -> float:
        """Of its own processes, until now; what is left after a crash is not counted twice."""

    def check(self) -> str:
        """ "ok", or what the database says is broken."""

    def close(self) -> None: ...


class Sqlite:
    """The file in the data folder."""

    name = "sqlite"

    def __init__(self, folder: Path) -> None:
        self._file = folder / "gateway.sqlite3"
        self.environment = {"DATABASE_URL": f"sqlite:///{self._file}", "GATEWAY_SHARE_SQLITE": "1"}

    def watch_terminal_states(self) -> None:
        with closing(self._connect()) as connection:
            connection.execute(_VIOLATIONS)
            for table, states in TERMINAL.items():
                named = ", ".join(f"'{state}'" for state in states)
                note = _NOTE.replace("TABLE", table)
                connection.execute(
                    f"CREATE TRIGGER soak_{table} AFTER UPDATE OF state ON {table} "
                    f"WHEN OLD.state IN ({named}) AND NEW.state <> OLD.state BEGIN {note}; END"
                )

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        try:
            with closing(self._connect()) as connection:
                return connection.execute(statement).fetchall()
        except sqlite3.OperationalError as error:
            raise HarnessError(str(error)) from error

    def crash(self) -> None:
        raise HarnessError("SQLite has no server to crash")

    def terminate_backend(self) -> bool:
        return False

    def idle_in_transaction(self) -> int:
        """1 when somebody still holds the write lock."""
        try:
            with closing(sqlite3.connect(self._file, timeout=2, isolation_level=None)) as connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
        except sqlite3.OperationalError:
            return 1
        return 0

    def blocked(self) -> int:
        return 0

    def connections(self) -> int:
        return 0

    def cpu_s(self) -> float:
        return 0.0  # it has none

    def check(self) -> str:
        return str(self.query("PRAGMA integrity_check")[0][0])

    def close(self) -> None:
        """Nothing: the file goes with its folder."""

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._file, timeout=20, isolation_level=None)


class PostgreSQL:
    """A server of its own in a temporary folder; as root it runs as the system user ``postgres``."""

    name = "postgresql"

    def __init__(self) -> None:
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        self._cpu_before_s = 0.0  #: of servers that crashed
        found = binaries()
        if found is None:
            raise HarnessError("no PostgreSQL binaries: name their folder with PGBIN")
        self._bin = found
        self._as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        # Not in the folder of the run: the server's user must be able to enter every folder above its own.
        self._folder = Path(tempfile.mkdtemp(prefix="soak-pg-", dir="/tmp" if self._as_user else None))  # noqa: S108
        self._folder.chmod(0o755)
        if self._as_user:
            shutil.chown(self._folder, "postgres", "postgres")
        self._data, self.port = self._folder / "data", free_port()
        self._dsn = f"host=127.0.0.1 port={self.port} user=postgres dbname=postgres connect_timeout=3"
        self.environment = {"DATABASE_URL": f"postgres://postgres@127.0.0.1:{self.port}/postgres"}
        try:
            self._run("initdb", "-D", str(self._data), "-U", "postgres", "-A", "trust", "--no-sync")
            options = f"port={self.port}\nlisten_addresses='127.0.0.1'\nunix_socket_directories='{self._folder}'\n"
            with (self._data / "postgresql.conf").open("a") as file:
                file.write(f"\n{options}max_connections=200\n")
            self._start()
        except BaseException:
            self.close()
            raise

    def watch_terminal_states(self) -> None:
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            connection.execute(_VIOLATIONS)
            for table, states in TERMINAL.items():
                named = ", ".join(f"'{state}'" for state in states)
                note = _NOTE.replace("TABLE", table)
                for statement in (
                    f"CREATE FUNCTION soak_{table}() RETURNS trigger LANGUAGE plpgsql "
                    f"AS $$ BEGIN {note}; RETURN NEW; END $$",
                    f"CREATE TRIGGER soak_{table} AFTER UPDATE OF state ON {table} FOR EACH ROW "
                    f"WHEN (OLD.state IN ({named}) AND NEW.state <> OLD.state) EXECUTE FUNCTION soak_{table}()",
                ):
                    connection.execute(statement)

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        try:
            if self._connection is None:
                self._connection = psycopg.connect(self._dsn, autocommit=True)
            cursor = self._connection.execute(statement)
            return cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            self._hang_up()
            raise HarnessError(str(error)) from error

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def crash(self) -> None:
        self._hang_up()
        self._cpu_before_s = self.cpu_s()
        self._run("pg_ctl", "-D", str(self._data), "-m", "immediate", "-w", "stop")
        self._start()

    def terminate_backend(self) -> bool:
        cut = self.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid() AND xact_start IS NOT NULL ORDER BY random() LIMIT 1"
        )
        return bool(cut)

    def idle_in_transaction(self) -> int:
        rows = self.query("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'")
        return int(rows[0][0])

    def blocked(self) -> int:
        return int(self.query("SELECT count(*) FROM pg_locks WHERE NOT granted")[0][0])

    def connections(self) -> int:
        rows = self.query(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return int(rows[0][0])

    def cpu_s(self) -> float:
        server = self.pid
        children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
        ended = cpu_seconds(server, ended_children=True)
        return self._cpu_before_s + ended + sum(cpu_seconds(int(child)) for child in children)

    def check(self) -> str:
        return "ok"

    @property
    def pid(self) -> int:
        """The server's first process, whose children are all others."""
        return int((self._data / "postmaster.pid").read_text().split()[0])

    def close(self) -> None:
        self._hang_up()
        with suppress(HarnessError):
            self._run("pg_ctl", "-D", str(self._data), "-m", "immediate", "-w", "stop")
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self) -> None:
        self._run("pg_ctl", "-D", str(self._data), "-l", str(self._folder / "log"), "-w", "start")

    def _run(self, program: str, *arguments: str) -> None:
        # Its output goes to a file: a pipe would stay open as long as the server it starts.
        with (self._folder / "ctl.log").open("ab") as log:
            ended = subprocess.run(
                [*self._as_user, str(self._bin / program), *arguments], stdout=log, stderr=log, cwd=self._folder
            )
        if ended.returncode:
            raise HarnessError(f"{program} ended with {ended.returncode}")


def binaries() -> Path | None:
    """The folder of initdb and pg_ctl: $PGBIN, or what pg_config says, or where distributions put them."""
    places = [Path(os.environ["PGBIN"])] if os.environ.get("PGBIN") else []
    if config := shutil.which("pg_config"):
        said = subprocess.run([config, "--bindir"], capture_output=True, text=True)
        places.append(Path(said.stdout.strip()))
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if all(_is_there(place, name) for name in _NEEDED)), None)


_NEEDED: Final[Sequence[str]] = ("initdb", "pg_ctl", "postgres")


def _is_there(place: Path, name: str) -> bool:
    return os.access(place / name, os.X_OK)
