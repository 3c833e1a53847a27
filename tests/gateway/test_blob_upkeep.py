"""What goes from the blob store and what stays, whoever does what at the same moment; what is wrong with it is named."""

from __future__ import annotations

import hashlib
import os
import random
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from gateway import blob_store, blob_upkeep
from gateway.blob_store.files import Files
from gateway.models import Archive, Blob, Transmission
from partners.models import TradingPartner
from tests.gateway.rows import a_partner
from tests.gateway.stored import file_of, overwrite
from tests.services import need

DATA = b"an orphan"
NAME = hashlib.sha256(DATA).hexdigest()
#: How long a test waits for another thread before it is a failure.
WITHIN_S = 20


@pytest.fixture(autouse=True)
def store(settings: Any, tmp_path: Path) -> blob_store.Store:
    """An empty store."""
    settings.BLOBS = f"file:{tmp_path}/blobs"
    return blob_store.store()


@pytest.fixture
def castra(db: None) -> TradingPartner:
    return a_partner("CASTRA")


def aged(name: str) -> str:
    """As if put two days ago."""
    then = (datetime.now(UTC) - timedelta(days=2)).timestamp()
    os.utime(file_of(name), (then, then))
    return name


def orphan(data: bytes = DATA) -> str:
    return aged(blob_store.store().put(data))


def transmission(partner: TradingPartner, data: bytes, **fields: Any) -> Transmission:
    return Transmission.objects.create(
        direction="inbound", channel="rest", partner=partner, format="file", raw=Blob.put(data), **fields
    )


def blobs(*arguments: str) -> tuple[int, list[str]]:
    """Exit code and lines of ``manage.py blobs``."""
    out = StringIO()
    try:
        call_command("blobs", *arguments, stdout=out, stderr=StringIO())
    except SystemExit as ended:
        return int(str(ended.code)), out.getvalue().splitlines()
    except CommandError as error:
        return error.returncode, [str(error)]
    return 0, out.getvalue().splitlines()


def names() -> list[str]:
    return list(blob_store.store().walk())


# -- what goes and what stays


@pytest.mark.django_db
def test_what_a_crash_left_goes_after_a_day_and_not_before(store: blob_store.Store) -> None:
    old, young = orphan(), store.put(b"a put that is not committed yet")
    assert blob_upkeep.collect(timezone.now()) == blob_upkeep.Collected(rows=0, blobs=1, begun=0)
    assert names() == [young]
    assert old != young


def test_what_a_row_names_stays_however_old(castra: TradingPartner) -> None:
    row = transmission(castra, b"raw", payload=Blob.put(b"payload"), answer=Blob.put(b"answer"), covered=Blob.put(b"c"))
    kept = sorted(aged(str(name)) for name in (row.raw_id, row.payload_id, row.answer_id, row.covered_id))
    assert blob_upkeep.collect(timezone.now()) == blob_upkeep.Collected(rows=0, blobs=0, begun=0)
    assert names() == kept


def test_bytes_of_rows_that_left_go_with_their_row(castra: TradingPartner) -> None:
    row = transmission(castra, DATA)
    aged(NAME)
    Transmission.objects.filter(pk=row.pk).delete()
    assert blob_upkeep.collect(timezone.now()) == blob_upkeep.Collected(rows=1, blobs=1, begun=0)
    assert (names(), Blob.objects.count()) == ([], 0)


def test_the_file_of_an_archive_stays(castra: TradingPartner) -> None:
    kept = Blob.put(b"an archive")
    Archive.objects.create(
        partner=castra, month=datetime(2020, 1, 1, tzinfo=UTC).date(), sha256=kept.pk, size_bytes=10, events=b""
    )
    aged(kept.pk)
    blob_upkeep.collect(timezone.now())
    assert names() == [kept.pk]
    assert Blob.objects.filter(pk=kept.pk).exists()


@pytest.mark.django_db
def test_a_row_that_was_put_a_moment_ago_waits_for_what_will_name_it() -> None:
    Blob.put(DATA)
    assert blob_upkeep.collect(timezone.now()).rows == 0
    aged(NAME)
    Blob.put(DATA)
    assert blob_upkeep.collect(timezone.now()).rows == 0


@pytest.mark.django_db
def test_a_dry_run_says_what_would_go_and_removes_nothing() -> None:
    orphan()
    assert blobs("collect", "--dry-run") == (
        0,
        [f"{NAME}: bytes without a row", "Would remove 0 rows that nothing names and 1 blobs without a row."],
    )
    assert names() == [NAME]
    assert blobs("collect") == (
        0,
        [
            f"{NAME}: bytes without a row",
            "Removed 0 rows that nothing names and 1 blobs without a row, and saw to 0 files that were never finished.",
        ],
    )
    assert names() == []


@pytest.mark.django_db
def test_a_store_that_cannot_be_used_is_no_verdict(settings: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings.BLOBS = f"file:{tmp_path}/file/blobs"
    code, said = blobs("collect")
    assert (code, said) == (2, [f"{tmp_path}/file/blobs: Not a directory"])


# -- a put and a collector at the same moment


class Pausing:
    """The store, with a stop while a collector has bytes set aside, or right before."""

    def __init__(self, inner: blob_store.Store, *, before: bool = False) -> None:
        self._inner, self._before = inner, before
        self.reached, self.go_on = threading.Event(), threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def _pause(self) -> None:
        self.reached.set()
        assert self.go_on.wait(WITHIN_S)

    def remove(self, sha256: str, *, still_garbage: Callable[[], bool]) -> bool:
        def asked() -> bool:
            if not self._before:
                self._pause()
            return still_garbage()

        if self._before:
            self._pause()
        return self._inner.remove(sha256, still_garbage=asked)


class Doing(threading.Thread):
    """Something in a thread with a database connection of its own; ``finished`` gives its result or raises its error."""

    def __init__(self, what: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._what = what
        self._result: Any = None
        self._error: Exception | None = None
        self.backend = 0  #: process id at the server, of PostgreSQL
        self.start()

    def run(self) -> None:
        try:
            if connection.vendor == "postgresql":
                connection.ensure_connection()
                self.backend = connection.connection.info.backend_pid
            self._result = self._what()
        except Exception as error:  # noqa: BLE001  # raised where it is asked for
            self._error = error
        finally:
            connection.close()

    def finished(self) -> Any:
        self.join(WITHIN_S)
        assert not self.is_alive()
        if self._error:
            raise self._error
        return self._result


@pytest.fixture
def pausing(store: blob_store.Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Pausing]]:
    """Makes the collector, and nobody else, work with a store that stops."""
    made: list[Pausing] = []

    def make(**how: bool) -> Pausing:
        made.append(Pausing(store, **how))
        monkeypatch.setattr(blob_store, "store", lambda: made[-1])
        return made[-1]

    yield make
    for one in made:
        one.go_on.set()


def put(data: bytes = DATA) -> None:
    """As a message that is received: its bytes, then what names them, in one commit."""
    with transaction.atomic():
        partner = TradingPartner.objects.get(code="CASTRA")
        transmission(partner, data)


def is_kept(data: bytes = DATA) -> bool:
    row = Blob.objects.get(pk=hashlib.sha256(data).hexdigest())
    return row.content == data and blob_store.store().put_at(row.pk) is not None


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("before", [True, False], ids=["before it is set aside", "while it is set aside"])
def test_a_put_waits_for_the_collector_that_has_its_bytes_in_hand(
    castra: TradingPartner, pausing: Callable[..., Pausing], before: bool
) -> None:
    orphan()
    stop = pausing(before=before)
    collector = Doing(lambda: blob_upkeep.collect(timezone.now()))
    assert stop.reached.wait(WITHIN_S)
    supplier = Doing(put)
    supplier.join(0.3)
    assert supplier.is_alive()
    stop.go_on.set()
    assert collector.finished().blobs == 1
    supplier.finished()
    assert is_kept()


@pytest.mark.django_db(transaction=True)
def test_a_collector_waits_for_the_put_that_has_the_row(castra: TradingPartner) -> None:
    orphan()
    has_put, commit = threading.Event(), threading.Event()

    def put_slowly() -> None:
        with transaction.atomic():
            put()
            aged(NAME)  # so that nothing but the row stands against the collector
            has_put.set()
            assert commit.wait(WITHIN_S)

    supplier = Doing(put_slowly)
    assert has_put.wait(WITHIN_S)
    collector = Doing(lambda: blob_upkeep.collect(timezone.now()))
    collector.join(0.3)
    assert collector.is_alive()
    commit.set()
    supplier.finished()
    assert collector.finished().blobs == 0
    assert is_kept()


@pytest.mark.django_db(transaction=True)
def test_what_is_collected_between_its_preparation_and_its_commit_is_written_again(castra: TradingPartner) -> None:
    Blob.prepare(DATA)
    aged(NAME)
    assert blob_upkeep.collect(timezone.now()).blobs == 1
    put()
    assert is_kept()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("before", [True, False], ids=["before it is set aside", "while it is set aside"])
def test_a_collector_whose_connection_is_cut_while_it_is_paused_takes_nothing_away(
    castra: TradingPartner, pausing: Callable[..., Pausing], before: bool
) -> None:
    need(connection.vendor == "postgresql", "PostgreSQL: set DATABASE_URL")
    orphan()
    stop = pausing(before=before)
    collector = Doing(lambda: blob_upkeep.collect(timezone.now()))
    assert stop.reached.wait(WITHIN_S)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, %s)", [collector.backend, 1000 * WITHIN_S])
    Doing(put).finished()
    stop.go_on.set()
    with pytest.raises((DatabaseError, psycopg.Error)):
        collector.finished()
    assert is_kept()


@pytest.mark.django_db(transaction=True)
def test_a_known_row_that_is_being_put_again_is_not_taken_away(castra: TradingPartner) -> None:
    Blob.put(DATA)
    aged(NAME)
    has_put, commit = threading.Event(), threading.Event()

    def put_slowly() -> None:
        with transaction.atomic():
            put()
            aged(NAME)
            has_put.set()
            assert commit.wait(WITHIN_S)

    supplier = Doing(put_slowly)
    assert has_put.wait(WITHIN_S)
    collector = Doing(lambda: blob_upkeep.collect(timezone.now()))
    if connection.vendor == "postgresql":  # it passes by what is held; on SQLite it waits
        assert collector.finished().rows == 0
    commit.set()
    supplier.finished()
    assert collector.finished().rows == 0
    assert is_kept()


@pytest.mark.django_db(transaction=True)
def test_senders_and_collectors_that_never_rest_lose_nothing(
    castra: TradingPartner, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three keep the same few bytes and let them go, two collect without any grace: what is named is there, always."""
    settings.BLOB_GRACE = timedelta(0)
    monkeypatch.setattr(Files, "tidy", lambda *_: 0)  # the least grace there is, an hour, is what a writer relies on
    contents = [b"content %d" % number for number in range(3)]
    over = threading.Event()

    def send(seed: int) -> int:
        chance = random.Random(seed)
        kept = 0
        for _ in range(25):
            data = chance.choice(contents)
            if chance.random() < 0.5:
                Blob.prepare(data)
            with transaction.atomic():
                row = transmission(castra, data)
            assert Blob.objects.get(pk=row.raw_id).content == data
            kept += 1
            row.delete()
        return kept

    def collect() -> int:
        gone = 0
        while not over.is_set():
            done = blob_upkeep.collect(timezone.now() + timedelta(minutes=1))
            gone += done.rows + done.blobs
        return gone

    collectors = [Doing(collect) for _ in range(2)]
    senders = [Doing(lambda seed=seed: send(seed)) for seed in range(3)]  # type: ignore[misc]  # bound now
    try:
        for sender in senders:
            sender.join(60)
    finally:
        over.set()
    assert [sender.finished() for sender in senders] == [25] * 3
    assert sum(collector.finished() for collector in collectors) > 0


# -- what is wrong


@pytest.mark.django_db
def test_a_sound_store_is_said_to_be(castra: TradingPartner) -> None:
    transmission(castra, DATA)
    assert blobs("verify") == (0, [f"1 blobs in {blob_store.store()}, 0 faults."])


def test_each_fault_is_named_with_what_names_it(castra: TradingPartner) -> None:
    missing, damaged, short = (transmission(castra, data) for data in (b"missing", b"damaged", b"short"))
    file_of(missing.raw_id).unlink()
    overwrite(damaged.raw_id, b"something else")
    Blob.objects.filter(pk=short.raw_id).update(size_bytes=7)
    left = orphan(b"left over")
    code, said = blobs("verify")
    where = blob_store.store()
    other = hashlib.sha256(b"something else").hexdigest()
    assert code == 1
    assert sorted(said[:-1]) == sorted(
        [
            f"{missing.raw_id}: blob {missing.raw_id} is not in {where}."
            f" Named by transmission {missing.pk} (raw): restore it from a backup",
            f"{damaged.raw_id}: blob {damaged.raw_id} in {where} is damaged: 14 bytes with SHA-256 {other}."
            f" Named by transmission {damaged.pk} (raw): restore it from a backup",
            f"{short.raw_id}: its row says 7 bytes, and there are 5."
            f" Named by transmission {short.pk} (raw): restore it from a backup",
            f"{left}: no row names it: `manage.py blobs collect` removes it",
        ]
    )
    assert said[-1] == f"3 blobs in {where}, 4 faults."


@pytest.mark.django_db
def test_bytes_that_are_still_in_their_row_are_looked_at_too() -> None:
    Blob.objects.create(sha256=NAME, size_bytes=len(DATA), data=DATA)
    assert blobs("verify")[0] == 0
    Blob.objects.update(data=b"an orphaN")
    code, said = blobs("verify")
    assert (code, said[0].startswith(f"{NAME}: blob {NAME} in the database is damaged: 9 bytes")) == (1, True)


def test_an_archive_whose_file_has_no_row_is_named(castra: TradingPartner) -> None:
    archive = Archive.objects.create(
        partner=castra, month=datetime(2020, 1, 1, tzinfo=UTC).date(), sha256=NAME, size_bytes=9, events=b""
    )
    assert blobs("verify")[1][0] == (
        f"{NAME}: archive {archive.pk} names it, and it has no row: restore both from a backup"
    )


# -- from the rows into the store, and back


@pytest.fixture
def of_old(castra: TradingPartner) -> list[Blob]:
    """Bytes as earlier releases kept them."""
    rows = [
        Blob(sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data), data=data)
        for data in (b"one", b"two", os.urandom(70_000))
    ]
    return Blob.objects.bulk_create(rows)


def test_bytes_of_earlier_releases_are_read_where_they_are(of_old: list[Blob]) -> None:
    assert [Blob.objects.get(pk=row.pk).content for row in of_old] == [row.data for row in of_old]


def test_they_move_into_the_store_and_back(of_old: list[Blob]) -> None:
    where = blob_store.store()
    assert blobs("move", "--dry-run") == (0, [f"3 blobs, 0.1 MB, to move from the database to {where}."])
    assert names() == []
    assert blobs("move")[1][-1] == "3 moved, 0 left where they are."
    assert names() == sorted(row.pk for row in of_old)
    assert not Blob.objects.filter(data__isnull=False).exists()
    assert [Blob.objects.get(pk=row.pk).content for row in of_old] == [row.data for row in of_old]
    assert blobs("move")[1] == [
        f"0 blobs, 0.0 MB, to move from the database to {where}.",
        "0 moved, 0 left where they are.",
    ]
    assert blobs("move", "--to-database")[1][-1] == "3 moved, 0 left where they are."
    assert not Blob.objects.filter(data__isnull=True).exists()
    assert [Blob.objects.get(pk=row.pk).content for row in of_old] == [row.data for row in of_old]


def test_a_move_that_was_cut_off_goes_on_where_it_was(of_old: list[Blob]) -> None:
    assert next(blob_upkeep.move()) is None
    assert Blob.objects.filter(data__isnull=False).count() == 2
    assert blobs("move")[1][-1] == "2 moved, 0 left where they are."


def test_what_is_damaged_stays_where_it_is_and_is_named(of_old: list[Blob]) -> None:
    Blob.objects.filter(pk=of_old[0].pk).update(data=b"One")
    code, said = blobs("move")
    assert code == 1
    assert said[1].startswith(f"{of_old[0].pk}: blob {of_old[0].pk} in the database is damaged: 3 bytes")
    assert said[-1] == "2 moved, 1 left where they are."
    assert bytes(Blob.objects.get(pk=of_old[0].pk).data or b"") == b"One"


def test_what_is_put_again_while_it_is_still_in_its_row_is_in_both_places(of_old: list[Blob]) -> None:
    Blob.put(b"one")
    assert names() == [hashlib.sha256(b"one").hexdigest()]
    assert blobs("verify")[0] == 0
