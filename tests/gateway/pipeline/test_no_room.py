"""Work that meets a full disk waits for room, however long that takes, and is not to blame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from gateway.models import Delivery, DeliveryKind, Document, QueueEntry
from gateway.pipeline import relay
from tests.gateway.pipeline.test_answers import ack_set, interchange
from tests.gateway.queue_rows import make_due

pytestmark = pytest.mark.django_db


def turns(count: int) -> None:
    """So many tries, each when it is due."""
    for _ in range(count):
        make_due()
        assert relay.work(DeliveryKind.TRANSLATE, "test", most=1) == 1


def test_a_message_whose_bytes_cannot_be_read_for_long_is_translated_when_they_can(
    acme, take, settings: Any, tmp_path: Path
) -> None:
    take(interchange(ack_set("PO-1")), partner=acme)
    where = settings.BLOBS
    (tmp_path / "blobs").touch()
    settings.BLOBS = f"file:{tmp_path}/blobs"
    turns(len(settings.RETRY_SCHEDULE_MIN["translate"]) + 5)
    assert QueueEntry.objects.get().attempts == 0
    assert "Not a directory" in Delivery.objects.get().last_error
    settings.BLOBS = where
    turns(1)
    assert Document.objects.filter(direction="inbound").count() == 1


def test_a_message_whose_bytes_are_lost_becomes_a_dead_letter_that_names_them(acme, take, settings: Any) -> None:
    row = take(interchange(ack_set("PO-1")), partner=acme).transmission
    settings.BLOBS = f"{settings.BLOBS}-of-another-gateway"
    turns(len(settings.RETRY_SCHEDULE_MIN["translate"]) + 1)
    delivery = Delivery.objects.get()
    assert delivery.state == "dead"
    assert f"blob {row.payload_id} is not in" in delivery.last_error


@pytest.fixture
def full_database() -> Iterator[Callable[[], None]]:
    """Lets the database grow by a few pages and no more, which is what SQLite makes of a full disk."""
    if connection.vendor != "sqlite":
        pytest.skip("only SQLite can be told to be full")

    def fill() -> None:
        with connection.cursor() as cursor:
            pages = cursor.execute("PRAGMA page_count").fetchone()[0]
            cursor.execute(f"PRAGMA max_page_count = {pages + 20}")

    yield fill
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA max_page_count = 1073741823")


def test_a_database_without_room_is_no_attempt(acme, take, full_database: Callable[[], None]) -> None:
    take(interchange(*(ack_set(f"PO-{number}") for number in range(200))), partner=acme)
    full_database()
    turns(1)
    assert "database or disk is full" in Delivery.objects.get().last_error
    assert QueueEntry.objects.get().attempts == 0
    assert Document.objects.count() == 0
