"""A back-up of a gateway that runs, and what is restored from it: everything, in agreement with itself."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest
from django.db import connection
from psycopg import sql

from tests.gateway.installation import Installation
from tests.services import need

Install = Callable[..., Installation]

SET_UP = """
from partners import onboarding
from partners.models import ApiKey
from partners.models.choices import ApiEnvironment
partner = onboarding.set_up({
    "code": "CASTRA", "name": "Castra", "state": "live",
    "agreements": [{"document": "order_acknowledgment", "direction": "inbound", "channel": "rest"}],
})
print(ApiKey.issue(partner, ApiEnvironment.LIVE)[1])
"""
ONE_BLOB = """
from django.db import transaction
from gateway.models import Blob
with transaction.atomic():
    Blob.put(b"the bytes of a message")
"""
#: Keys of accepted documents whose bytes can be read, and the parts of them that are told apart.
ACCEPTED = """
import json
from gateway.models import Transmission
print(json.dumps(sorted(json.loads(one.payload.content)["order_number"] for one in Transmission.objects.filter(direction="inbound"))))
"""


def acknowledgment(order_number: str) -> dict[str, object]:
    """Of an order that is not here yet: it is accepted, and waits."""
    line = {"line_number": "10", "responses": [{"status": "accepted", "quantity": "40"}]}
    return {"type": "order_acknowledgment", "order_number": order_number, "disposition": "accepted", "lines": [line]}


@contextmanager
def running(installation: Installation) -> Iterator[str]:
    """``manage.py up``; its address."""
    process = installation.begin("up", "--port", "0")
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if found := re.search(r"Listening on (http://[^/]+)/", line):
                break
        else:
            raise AssertionError(process.communicate()[1])
        yield found[1]
    finally:
        process.terminate()
        process.communicate(timeout=60)


class Supplier:
    """Posts one document after the other, and remembers which were accepted."""

    def __init__(self, address: str, secret: str) -> None:
        self.accepted: list[str] = []
        self.refused: list[str] = []
        self._end = threading.Event()
        self._client = httpx.Client(base_url=address, headers={"Authorization": f"Bearer {secret}"}, timeout=30)
        self._thread = threading.Thread(target=self._post)
        self._thread.start()

    def end(self) -> None:
        self._end.set()
        self._thread.join(60)
        self._client.close()

    def _post(self) -> None:
        while not self._end.wait(0.05):  # at leisure: what is made here is looked at again and again
            reference = uuid.uuid4().hex[:20]
            answer = self._client.post(
                "/v1/acknowledgments", json=acknowledgment(reference), headers={"Idempotency-Key": reference}
            )
            if answer.status_code == 202:
                self.accepted.append(reference)
            else:
                self.refused.append(answer.text)


def after(supplier: Supplier, more: int) -> None:
    """Wait until so many more documents were accepted."""
    wanted, pause, waited_s = len(supplier.accepted) + more, threading.Event(), 0.0
    while len(supplier.accepted) < wanted:
        assert waited_s < 60, supplier.refused
        pause.wait(0.05)
        waited_s += 0.05


def agrees(installation: Installation) -> None:
    """Doctor, blobs and audit trail have nothing against it."""
    for command in (["doctor"], ["blobs", "verify"], ["audit", "verify"]):
        done = installation.run(*command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"


def with_load(installation: Installation, act: Callable[[Supplier], None]) -> Supplier:
    secret = installation.migrated().python(SET_UP).strip()
    with running(installation) as address:
        supplier = Supplier(address, secret)
        try:
            after(supplier, 20)
            act(supplier)
            after(supplier, 10)
        finally:
            supplier.end()
    assert supplier.refused == []
    return supplier


@pytest.mark.own_sqlite
def test_a_back_up_under_load_is_restored_into_a_new_folder_and_agrees_with_itself(
    install: Install, tmp_path: Path
) -> None:
    folder, new = tmp_path / "backup", tmp_path / "new"
    installation = install(tmp_path / "var")
    before: list[str] = []

    def act(supplier: Supplier) -> None:
        before.extend(supplier.accepted)
        first = installation.run("backup", str(folder))
        assert first.returncode == 0, first.stderr
        after(supplier, 20)
        before.extend(supplier.accepted[len(before) :])
        again = installation.run("backup", str(folder))
        assert again.returncode == 0, again.stderr

    supplier = with_load(installation, act)

    manifest = json.loads((folder / "backup.json").read_text())
    assert manifest["blobs"] > manifest["new_blobs"] > 0  # the second took the new ones only
    kept = b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())
    secret = (tmp_path / "var" / "keystore-secret").read_bytes()
    assert secret not in kept
    assert {oct(file.stat().st_mode & 0o777) for file in folder.iterdir() if file.is_file()} == {"0o600"}

    shutil.copytree(folder / "blobs", new / "blobs")
    shutil.copy(folder / "gateway.sqlite3", new / "gateway.sqlite3")
    if (folder / "checkpoints.jsonl").exists():
        shutil.copy(folder / "checkpoints.jsonl", new / "checkpoints.jsonl")
    restored = install(new, GATEWAY_KEYSTORE_SECRET=secret.decode())
    agrees(restored)
    there = set(json.loads(restored.python(ACCEPTED)))
    assert set(before) <= there <= set(supplier.accepted)
    agrees(installation)


@pytest.mark.own_sqlite
def test_a_folder_of_a_back_up_that_failed_has_no_manifest_and_keeps_the_last_database(
    install: Install, tmp_path: Path
) -> None:
    folder = tmp_path / "backup"
    installation = install(tmp_path / "var").migrated()
    installation.python(ONE_BLOB)
    assert installation.run("backup", str(folder)).returncode == 0
    database = (folder / "gateway.sqlite3").read_bytes()
    victim = next(file for file in (tmp_path / "var" / "blobs").rglob("*") if file.is_file())
    victim.unlink()
    shutil.rmtree(folder / "blobs")
    failed = installation.run("backup", str(folder))
    assert (failed.returncode, "No backup was made: blob" in failed.stderr) == (1, True)
    assert not (folder / "backup.json").exists()
    assert (folder / "gateway.sqlite3").read_bytes() == database


@pytest.mark.own_sqlite
def test_a_damaged_database_does_not_take_the_place_of_a_good_copy(install: Install, tmp_path: Path) -> None:
    folder = tmp_path / "backup"
    installation = install(tmp_path / "var").migrated()
    assert installation.run("backup", str(folder)).returncode == 0
    good = (folder / "gateway.sqlite3").read_bytes()
    file = tmp_path / "var" / "gateway.sqlite3"
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        root = database.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'gateway_event_at_0a0e4b1f' OR "
            "(type = 'index' AND tbl_name = 'gateway_event') LIMIT 1"
        ).fetchone()[0]
    whole = bytearray(file.read_bytes())
    whole[(root - 1) * 4096 : root * 4096] = b"\xff" * 4096
    file.write_bytes(whole)
    failed = installation.run("backup", str(folder))
    assert (failed.returncode, "damaged" in failed.stderr) == (1, True)
    assert (folder / "gateway.sqlite3").read_bytes() == good
    assert not (folder / "backup.json").exists()


def test_a_dump_of_postgresql_under_load_is_restored_into_a_new_database(install: Install, tmp_path: Path) -> None:
    need(connection.vendor == "postgresql", "PostgreSQL: set DATABASE_URL")
    need(shutil.which("pg_dump") and shutil.which("pg_restore"), "pg_dump: install PostgreSQL's client")
    given = connection.settings_dict
    where = f"{given['HOST'] or '127.0.0.1'}:{given['PORT'] or 5432}"
    server = f"postgres://{given['USER']}:{given['PASSWORD']}@{where}"
    names = [f"backup_{uuid.uuid4().hex[:12]}" for _ in range(2)]
    with psycopg.connect(f"{server}/postgres", autocommit=True) as owner:
        for name in names:
            owner.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            _dump_and_restore(install, tmp_path, *(f"{server}/{name}" for name in names))
        finally:
            for name in names:
                owner.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _dump_and_restore(install: Install, tmp_path: Path, old: str, new: str) -> None:
    folder = tmp_path / "backup"
    installation = install(tmp_path / "var", DATABASE_URL=old)
    before: list[str] = []

    def act(supplier: Supplier) -> None:
        before.extend(supplier.accepted)
        made = installation.run("backup", str(folder))
        assert made.returncode == 0, made.stderr

    supplier = with_load(installation, act)
    subprocess.run(["pg_restore", "--no-owner", "--dbname", new, str(folder / "gateway.dump")], check=True)
    shutil.copytree(folder / "blobs", tmp_path / "new" / "blobs")
    secret = (tmp_path / "var" / "keystore-secret").read_text()
    restored = install(tmp_path / "new", DATABASE_URL=new, GATEWAY_KEYSTORE_SECRET=secret)
    agrees(restored)
    there = set(json.loads(restored.python(ACCEPTED)))
    assert set(before) <= there <= set(supplier.accepted)
