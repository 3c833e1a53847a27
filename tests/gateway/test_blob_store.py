"""What every blob store does, whether it is a folder or a bucket; and what only a folder can show."""

from __future__ import annotations

import errno
import hashlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest

from gateway import blob_store
from gateway.blob_store import Damaged, Missing, Store, Unreachable
from gateway.blob_store.files import Files

DATA = b"ISA*00*          *00*"
NAME = hashlib.sha256(DATA).hexdigest()
ABSENT = "0" * 64


def yes() -> bool:
    return True


def no() -> bool:
    return False


# -- a folder and a bucket alike


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    """An S3 server, as a program of its own; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and server.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a store in a bucket of its own."""
    for name, value in {"AWS_ACCESS_KEY_ID": "us", "AWS_SECRET_ACCESS_KEY": "our secret"}.items():
        monkeypatch.setenv(name, value)
    name = f"gateway-{os.urandom(6).hex()}"
    boto3.client("s3", endpoint_url=s3_server, region_name="us-east-1").create_bucket(Bucket=name)
    return f"s3://{name}/blobs?endpoint={s3_server}&region=us-east-1"


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return blob_store.of(request.getfixturevalue("bucket") if request.param == "bucket" else f"file:{tmp_path}/blobs")


def test_what_was_put_comes_back_under_its_hash(store: Store) -> None:
    assert store.put(DATA) == NAME
    assert store.get(NAME) == DATA
    assert b"".join(store.pieces(NAME)) == DATA


def test_nothing_at_all_can_be_kept_too(store: Store) -> None:
    assert store.get(store.put(b"")) == b""


def test_large_bytes_are_read_in_pieces(store: Store) -> None:
    data = os.urandom(3 * 2**20)
    pieces = list(store.pieces(store.put(data)))
    assert b"".join(pieces) == data
    assert max(map(len, pieces)) <= 2**20


def test_equal_bytes_are_kept_once(store: Store) -> None:
    store.put(DATA)
    store.put(DATA)
    assert list(store.walk()) == [NAME]


def test_everything_is_walked_in_the_order_of_the_names(store: Store) -> None:
    names = [store.put(b"%d" % number) for number in range(20)]
    assert list(store.walk()) == sorted(names)


def test_an_empty_store_has_nothing_to_walk_or_to_tidy(store: Store) -> None:
    assert list(store.walk()) == []
    assert store.tidy(datetime.now(UTC)) == 0


def test_it_is_known_when_something_was_put(store: Store) -> None:
    store.put(DATA)
    at = store.put_at(NAME)
    assert at is not None
    assert abs(datetime.now(UTC) - at) < timedelta(minutes=1)
    assert store.put_at(ABSENT) is None


def test_what_is_not_there_is_named(store: Store) -> None:
    with pytest.raises(Missing, match=f"blob {ABSENT} is not in "):
        store.get(ABSENT)
    with pytest.raises(Missing, match=ABSENT):
        list(store.pieces(ABSENT))


def test_what_is_removed_is_gone(store: Store) -> None:
    store.put(DATA)
    assert store.remove(NAME, still_garbage=yes)
    assert list(store.walk()) == []
    with pytest.raises(Missing):
        store.get(NAME)
    assert not store.remove(NAME, still_garbage=yes)


def test_what_turns_out_to_be_wanted_stays(store: Store) -> None:
    store.put(DATA)
    assert not store.remove(NAME, still_garbage=no)
    assert store.get(NAME) == DATA


def test_the_probe_leaves_nothing_behind(store: Store) -> None:
    store.probe()
    assert list(store.walk()) == []


# -- a folder


@pytest.fixture
def folder(tmp_path: Path) -> Files:
    return Files(tmp_path / "blobs")


def path_of(folder: Files) -> Path:
    return folder.folder / NAME[:2] / NAME[2:4] / NAME


def test_the_name_of_a_file_is_its_hash_in_two_levels_of_folders(folder: Files) -> None:
    folder.put(DATA)
    assert path_of(folder).read_bytes() == DATA
    assert path_of(folder).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("found", [b"", DATA[:-1], DATA + b"~", DATA.replace(b"00", b"01")])
def test_damaged_bytes_are_named_and_never_given(folder: Files, found: bytes) -> None:
    folder.put(DATA)
    path_of(folder).write_bytes(found)
    said = f"blob {NAME} in {folder} is damaged: {len(found)} bytes with SHA-256 {hashlib.sha256(found).hexdigest()}"
    with pytest.raises(Damaged, match=said) as caught:
        folder.get(NAME)
    assert caught.value.data == found
    with pytest.raises(Damaged, match=said):
        list(folder.pieces(NAME))


def test_whoever_puts_damaged_bytes_again_mends_them(folder: Files) -> None:
    folder.put(DATA)
    path_of(folder).write_bytes(b"something else")
    folder.put(DATA)
    assert folder.get(NAME) == DATA


def test_what_is_there_is_not_written_again_and_counts_as_put_now(folder: Files) -> None:
    folder.put(DATA)
    before = path_of(folder).stat().st_ino
    os.utime(path_of(folder), (0, 0))
    folder.put(DATA)
    assert path_of(folder).stat().st_ino == before
    at = folder.put_at(NAME)
    assert at is not None
    assert at.year > 1970


def test_a_file_that_cannot_be_written_whole_leaves_nothing(folder: Files) -> None:
    """A child may write files of 100 bytes at most: the operating system cuts the second one off in the middle."""
    script = f"""
import resource
from gateway.blob_store import Full
from gateway.blob_store.files import Files
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
store = Files({str(folder.folder)!r})
store.put(bytes(50))
try:
    store.put(bytes(5000))
except Full as full:
    print(full)
"""
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert said == f"{folder}: {os.strerror(errno.EFBIG)}\n"
    assert list(folder.walk()) == [hashlib.sha256(bytes(50)).hexdigest()]
    assert list((folder.folder / "new").iterdir()) == []


def test_where_no_folder_can_be_made_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unreachable, match="Not a directory"):
        Files(tmp_path / "file" / "blobs").put(DATA)


def test_what_a_crashed_writer_began_goes_when_it_is_old(folder: Files) -> None:
    folder.put(DATA)
    begun = folder.folder / "new" / "begun"
    begun.write_bytes(b"half")
    assert folder.tidy(datetime.now(UTC) - timedelta(hours=1)) == 0
    os.utime(begun, (0, 0))
    assert folder.tidy(datetime.now(UTC) - timedelta(hours=1)) == 1
    assert list(folder.walk()) == [NAME]


def test_what_a_collector_had_in_its_hand_when_it_died_is_still_read_and_is_put_back(folder: Files) -> None:
    folder.put(DATA)
    aside = folder.folder / "trash" / NAME
    aside.parent.mkdir()
    path_of(folder).rename(aside)
    assert folder.get(NAME) == DATA
    assert folder.tidy(datetime.now(UTC)) == 1
    assert path_of(folder).read_bytes() == DATA
    assert not aside.exists()


def test_bytes_put_while_they_were_set_aside_are_neither_lost_nor_doubled(folder: Files) -> None:
    folder.put(DATA)

    def meanwhile() -> bool:
        folder.put(DATA)
        return True

    assert folder.remove(NAME, still_garbage=meanwhile)
    assert folder.get(NAME) == DATA
    assert list((folder.folder / "trash").iterdir()) == []


def test_a_collector_that_fails_puts_back_what_it_set_aside(folder: Files) -> None:
    folder.put(DATA)

    def fails() -> bool:
        raise RuntimeError("the database is gone")

    with pytest.raises(RuntimeError):
        folder.remove(NAME, still_garbage=fails)
    assert folder.get(NAME) == DATA
    assert list((folder.folder / "trash").iterdir()) == []


@pytest.mark.parametrize("name", ["", "../../etc/passwd", NAME.upper(), NAME + "0"])
def test_nothing_but_a_hash_is_a_name(folder: Files, name: str) -> None:
    with pytest.raises(ValueError, match="is no SHA-256"):
        folder.get(name)


# -- a bucket


def test_damaged_bytes_in_a_bucket_are_named_and_mended_by_the_next_put(bucket: str, s3_server: str) -> None:
    store = blob_store.of(bucket)
    store.put(DATA)
    name = bucket.removeprefix("s3://").partition("/")[0]
    client = boto3.client("s3", endpoint_url=s3_server, region_name="us-east-1")
    client.put_object(Bucket=name, Key=f"blobs/{NAME}", Body=b"something else")
    with pytest.raises(Damaged, match=f"blob {NAME} in s3://{name}/blobs/ is damaged: 14 bytes"):
        store.get(NAME)
    store.put(DATA)
    assert store.get(NAME) == DATA


def test_a_bucket_that_is_not_there_is_said(s3_server: str, bucket: str) -> None:
    store = blob_store.of(f"s3://nobody/blobs?endpoint={s3_server}&region=us-east-1")
    with pytest.raises(Unreachable, match="s3://nobody/blobs/: NoSuchBucket"):
        store.put(DATA)


def test_a_server_that_is_not_there_is_said_within_seconds(bucket: str) -> None:
    store = blob_store.of("s3://bucket/blobs?endpoint=http://127.0.0.1:9&region=us-east-1")
    began = time.monotonic()
    with pytest.raises(Unreachable, match="Could not connect to the endpoint URL"):
        store.put(DATA)
    assert time.monotonic() - began < 15


# -- addresses


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("ftp://host/blobs", "is no blob store"),
        ("file:", "is no blob store"),
        ("s3:///blobs", "say s3://<bucket>/<prefix>"),
        ("s3://key:secret@bucket/blobs", "credentials come by AWS_ACCESS_KEY_ID"),
        ("s3://bucket/blobs?retion=eu", "a bucket has no retion"),
    ],
)
def test_an_address_that_is_none_is_refused_with_the_reason(address: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        blob_store.of(address)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("ftp://host/blobs", "GATEWAY_BLOBS begins with 'ftp'; say file:/folder, or s3://"),
        ("file:blobs", "GATEWAY_BLOBS names a folder from nowhere"),
    ],
)
def test_a_setting_that_makes_no_sense_stops_the_start(value: str, said: str) -> None:
    command = [sys.executable, "-c", "import gateway.settings"]
    environment = {**os.environ, "GATEWAY_BLOBS": value}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode != 0
    assert said in ended.stderr


def test_a_bucket_without_its_library_stops_the_start_and_says_what_to_install() -> None:
    blind = (
        "import importlib.util as u; known = u.find_spec; "
        "u.find_spec = lambda name, *more: None if name == 'boto3' else known(name, *more); import gateway.settings"
    )
    environment = {**os.environ, "GATEWAY_BLOBS": "s3://bucket/blobs"}
    ended = subprocess.run([sys.executable, "-c", blind], env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode != 0
    assert "boto3 is not installed: pip install -r requirements-s3.txt" in ended.stderr
