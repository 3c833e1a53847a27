"""S70, S71, S72: what a dump gives away, keys that change while a process signs, and a start with the wrong one."""

from __future__ import annotations

import base64
import json
import logging
import shutil
import sqlite3
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from django.apps import apps
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import NoReverseMatch, reverse
from psycopg import sql

from gateway.models import ErpConnection
from partners import onboarding
from partners.models import Certificate, OwnIdentity, PrivateKey
from tests.certificates import make_identity
from tests.gateway.installation import Installation
from tests.services import need

Install = Callable[..., Installation]

OURS = make_identity("plant")
TOKEN = "erp-token-" + uuid.uuid4().hex
FIRST = "the-first-wrapping-secret-of-sufficient-length"
SECOND = "the-second-wrapping-secret-of-sufficient-length"
IDENTITY = {
    "name": "Main plant",
    "as2_name": "PLANT AS2",
    "isa_qualifier": "ZZ",
    "isa_id": "PLANTEDI",
    "certificates": [
        {"certificate": OURS.certificate_pem.decode(), "private_key": (OURS.private_key_pem or b"").decode()}
    ],
}
SET_UP = f"""
import json, sys
from gateway.models import ErpConnection
from partners import onboarding
onboarding.own_identity(json.loads(sys.stdin.read()))
ErpConnection.objects.create(code="erp1", base_url="https://erp.example/").set_token({TOKEN!r})
"""
#: Opens our key and signs with it, each time anew, until its input ends; says when it has begun and how often it was.
SIGNER = """
import sys, threading
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from partners.models import PrivateKey
end, signed = threading.Event(), 0
threading.Thread(target=lambda: (sys.stdin.read(), end.set()), daemon=True).start()
while not end.is_set():
    row = PrivateKey.objects.select_related("certificate").get()
    public = x509.load_pem_x509_certificate(row.certificate.certificate_pem.encode()).public_key()
    signature = load_pem_private_key(row.reveal(), None).sign(b"a message", padding.PKCS1v15(), hashes.SHA256())
    public.verify(signature, b"a message", padding.PKCS1v15(), hashes.SHA256())
    signed += 1
    print(row.key_id, flush=True)
"""


def traces() -> dict[str, bytes]:
    """What must be nowhere: our private key in each form that opens it, its numbers, the ERP's token."""
    pem = OURS.private_key_pem or b""
    key = load_pem_private_key(pem, None)
    assert isinstance(key, rsa.RSAPrivateKey)
    numbers = key.private_numbers()
    old = key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    found = {
        "a marker of PEM": b"PRIVATE KEY-----",
        "the body of the PEM": pem.splitlines()[5],
        "the DER": old[40:104],
        "the exponent": numbers.d.to_bytes(256, "big")[:64],
        "a prime": numbers.p.to_bytes(128, "big")[:64],
        "the other prime": numbers.q.to_bytes(128, "big")[:64],
        "a prime in digits": str(numbers.p)[:60].encode(),
        "the token": TOKEN.encode(),
        "the token in base64": base64.b64encode(TOKEN.encode())[:40],
    }
    return found | {f"{what}, in hex": value.hex().encode() for what, value in found.items()}


TRACES = traces()


def seen_in(text: bytes) -> list[str]:
    return [what for what, value in TRACES.items() if value in text]


def set_up(installation: Installation) -> Installation:
    installation.migrated().python(SET_UP, given=json.dumps(IDENTITY))
    return installation


def test_what_is_looked_for_would_be_found() -> None:
    assert seen_in((OURS.private_key_pem or b"") + TOKEN.encode()) == [
        "a marker of PEM",
        "the body of the PEM",
        "the token",
    ]


@pytest.mark.own_sqlite
def test_s70_a_copy_of_the_sqlite_file_holds_no_key(install: Install, tmp_path: Path) -> None:
    set_up(install(tmp_path, GATEWAY_KEYSTORE_SECRET=FIRST))
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    database = [file for file in files if file.name.startswith("gateway.sqlite3")]  # and its log
    assert any(b"BEGIN CERTIFICATE" in file.read_bytes() for file in database)
    assert {file.name: seen for file in files if (seen := seen_in(file.read_bytes()))} == {}
    assert not any(FIRST.encode() in file.read_bytes() for file in files)


@pytest.fixture
def own_database() -> Iterator[str]:
    need(connection.vendor == "postgresql", "PostgreSQL: set DATABASE_URL")
    need(shutil.which("pg_dump"), "pg_dump: install PostgreSQL's client")
    given = connection.settings_dict
    server = f"postgres://{given['USER']}:{given['PASSWORD']}@{given['HOST'] or '127.0.0.1'}:{given['PORT'] or 5432}"
    name = f"keys_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as owner:
        owner.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield f"{server}/{name}"
        finally:
            owner.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def test_s70_a_dump_of_postgresql_holds_no_key(own_database: str, install: Install, tmp_path: Path) -> None:
    set_up(install(tmp_path, GATEWAY_KEYSTORE_SECRET=FIRST, DATABASE_URL=own_database))
    dump = subprocess.run(["pg_dump", own_database], capture_output=True, check=True).stdout
    assert b"BEGIN CERTIFICATE" in dump
    assert seen_in(dump) == []
    assert FIRST.encode() not in dump


@pytest.mark.own_sqlite
def test_s71_keys_are_wrapped_anew_while_a_process_signs(install: Install, tmp_path: Path) -> None:
    former = set_up(install(tmp_path, GATEWAY_KEYSTORE_SECRET=FIRST))
    both = install(tmp_path, GATEWAY_KEYSTORE_SECRET=SECOND, GATEWAY_KEYSTORE_OLD_SECRETS=FIRST)
    with both.begin_python(SIGNER) as signer:  # its input ends with the block, and so does it
        assert signer.stdout is not None
        before = [signer.stdout.readline() for _ in range(5)]
        rotated = both.run("keystore_rotate")
        assert rotated.returncode == 0, rotated.stderr
        after = next(line for line in islice(signer.stdout, 10_000) if line != before[0])  # it goes on under the other
        rest, errors = signer.communicate("", timeout=60)
    assert (signer.returncode, errors) == (0, "")
    assert {*before} == {before[0]}
    assert {*rest.split()} <= {after.strip()}
    assert install(tmp_path, GATEWAY_KEYSTORE_SECRET=SECOND).run("doctor").returncode == 0
    examined = former.run("doctor")
    assert (examined.returncode, "ERROR secrets.keystore" in examined.stdout) == (1, True)


def secrets_of(folder: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(folder / "gateway.sqlite3")) as database:
        tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        sealed = [
            name
            for name in sorted(tables)
            if "wrapped_key" in str(list(database.execute(f"PRAGMA table_info({name})")))
        ]
        return [(name, *row) for name in sealed for row in database.execute(f"SELECT * FROM {name} ORDER BY 1")]  # noqa: S608


@pytest.mark.own_sqlite
def test_s72_a_wrong_key_refuses_the_start_and_overwrites_nothing(
    install: Install, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    set_up(install(tmp_path, GATEWAY_KEYSTORE_SECRET=FIRST))
    before = secrets_of(tmp_path)
    assert len(before) >= 3  # key, token, canary
    wrong = install(tmp_path, GATEWAY_KEYSTORE_SECRET=SECOND, GATEWAY_SHARE_SQLITE="1")
    for command in ("up", "web", "worker"):
        with subtests.test(command):
            refused = wrong.run(command)
            assert refused.returncode != 0
            assert "no configured key has that id" in refused.stderr
            assert "othing was overwritten" in refused.stderr
            assert seen_in((refused.stdout + refused.stderr).encode()) == []
            assert not {FIRST, SECOND} & set((refused.stdout + refused.stderr).splitlines())
            assert secrets_of(tmp_path) == before


@pytest.mark.django_db
def test_s72_no_page_repr_or_log_line_shows_a_key(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        onboarding.own_identity(IDENTITY)
        erp = ErpConnection.objects.create(code="erp1", base_url="https://erp.example/")
        erp.set_token(TOKEN)
        key = PrivateKey.objects.get()
        shown = [repr(key), str(key), repr(erp), repr(Certificate.objects.get()), repr(vars(OwnIdentity.objects.get()))]
        client.force_login(User.objects.create_superuser("staff", "staff@plant.example", "swordfish"))
        pages = 0
        for model in apps.get_models():
            row = model._default_manager.order_by("pk").first()
            for page, arguments in (("changelist", []), ("change", [row.pk] if row else None)):
                try:
                    address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=arguments)
                except NoReverseMatch:
                    continue
                answer = client.get(address, follow=True)
                assert answer.status_code == 200
                shown.append(answer.content.decode())
                pages += 1
        shown += [client.get(path).content.decode() for path in ("/healthz", "/readyz", "/metrics")]
    assert pages > 10
    assert seen_in("\n".join(shown).encode()) == []
    assert seen_in(caplog.text.encode()) == []
