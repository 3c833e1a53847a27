"""The two probes: does the process live, and can it do its work."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connections
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from django.db.models.functions import Now
from django.test import Client

from gateway import heartbeats
from gateway.endpoints import health
from gateway.endpoints.health import READINESS, Readiness
from gateway.models import Heartbeat
from partners.models.secret import KeystoreCanary


@pytest.fixture(autouse=True)
def looked_at_anew() -> Iterator[None]:
    READINESS.forget()
    yield
    READINESS.forget()


def reasons(client: Client) -> dict[str, str]:
    """The parts that are not as they should be, of a gateway that is not ready."""
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (503, "not ready")
    return {part: reason for part, reason in answer.json()["parts"].items() if reason != "ok"}


def test_a_living_process_says_so_without_asking_the_database(client: Client) -> None:
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "alive"})


@pytest.mark.django_db
def test_ready_when_every_part_is_as_it_should_be(client: Client) -> None:
    heartbeats.beat("worker", 5)
    answer = client.get("/readyz")
    parts = dict.fromkeys(["database", "migrations", "keystore", "blob_store", "workers"], "ok")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready", "parts": parts})


@pytest.mark.django_db
def test_not_ready_while_a_migration_is_missing(client: Client) -> None:
    MigrationRecorder.Migration.objects.filter(app="gateway").order_by("-pk")[:1].get().delete()
    assert reasons(client) == {"migrations": "1 are not applied; run “manage.py migrate”"}


@pytest.mark.django_db
def test_not_ready_when_the_database_does_not_answer_and_its_words_are_not_told(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **more: object) -> None:
        raise OperationalError("connection refused by postgres://user:secret@db")

    monkeypatch.setattr(connections["default"], "ensure_connection", refuse)
    monkeypatch.setattr(MigrationExecutor, "__init__", refuse)
    found = reasons(client)
    assert found["database"] == found["migrations"] == "it cannot be used (OperationalError)"


@pytest.mark.django_db
def test_not_ready_when_the_keystore_does_not_open(client: Client, settings: Any) -> None:
    KeystoreCanary.prove()
    settings.KEYSTORE_SECRET = "another secret, as long as it has to be"
    assert reasons(client) == {
        "keystore": "a secret does not open with the configured key; “manage.py doctor” says which"
    }


@pytest.mark.django_db
def test_not_ready_when_the_blob_store_takes_nothing(client: Client, settings: Any, tmp_path: Path) -> None:
    (tmp_path / "blobs").write_text("a file where the folder should be")
    settings.BLOBS = f"file:{tmp_path / 'blobs'}"
    assert reasons(client) == {"blob_store": "it cannot be used (Unreachable)"}


@pytest.mark.django_db
def test_that_every_worker_has_fallen_silent_is_told_and_sends_no_supplier_away(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("worker@a:1", "worker@b:1"):
        Heartbeat.objects.create(name=name, loop="worker", every_s=5)
    Heartbeat.objects.update(at=Now() - timedelta(minutes=2))
    answer = client.get("/readyz")
    said = answer.json()["parts"]["workers"]
    assert (answer.status_code, said) == (200, "none has been heard of lately; what comes in is kept, and waits")
    assert caplog.records == [], "anybody may ask, so an answer is no line in the log"
    heartbeats.beat("worker", 5)
    READINESS.forget()
    assert client.get("/readyz").status_code == 200


def test_probes_are_read_only_and_not_cached(client: Client) -> None:
    assert client.post("/healthz").status_code == 405
    assert "no-store" in client.get("/healthz")["Cache-Control"]


# -- how often


class CountedReadiness(Readiness):
    """Readiness whose one part waits until it may answer."""

    def __init__(self, clock: Any) -> None:
        super().__init__(clock)
        self.looks = 0
        self.may_answer = threading.Event()
        self.asked = threading.Event()
        self.may_answer.set()

    def _looks(self) -> Any:
        def look() -> None:
            self.looks += 1
            self.asked.set()
            assert self.may_answer.wait(10)

        return {"database": look}


def test_however_often_it_is_asked_the_parts_are_looked_at_once_in_five_seconds() -> None:
    now = [100.0]
    readiness = CountedReadiness(lambda: now[0])
    for _ in range(50):
        assert readiness.parts() == {"database": "ok"}
    assert readiness.looks == 1
    now[0] += health.HOLDS_S
    readiness.parts()
    assert readiness.looks == 2


def test_while_one_look_hangs_nobody_else_waits_for_it() -> None:
    now = [100.0]
    readiness = CountedReadiness(lambda: now[0])
    readiness.parts()
    now[0] += 10
    readiness.may_answer.clear()
    readiness.asked.clear()
    first = threading.Thread(target=readiness.parts)
    first.start()
    assert readiness.asked.wait(10)
    assert readiness.parts() == {"database": "ok"}, "the last verdict, while it is young enough"
    now[0] += 60
    assert readiness.parts() == {"database": "it has not answered for a while"}
    readiness.may_answer.set()
    first.join(10)
    assert readiness.parts() == {"database": "ok"}
