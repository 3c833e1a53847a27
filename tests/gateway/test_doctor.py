"""What ``manage.py doctor`` finds, and what of it refuses a start with the same words."""

from __future__ import annotations

import ipaddress
import json
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.backends.openssl import backend as openssl
from django.core.management import CommandError, call_command
from django.db import connection, connections
from django.utils import timezone

from gateway import doctor, events
from gateway.doctor import (
    broker,
    certificates,
    clocks,
    configuration,
    database,
    folders,
    libraries,
    secrets_at_rest,
    work,
)
from gateway.doctor import (
    connections as connections_check,
)
from gateway.doctor.findings import Finding, Role, Severity
from gateway.models import Breaker, Delivery, DeliveryKind, ErpConnection, Event, Heartbeat, QueueEntry
from partners.models import As2Link, Certificate, OwnIdentity, TradingPartner
from partners.models.choices import CertificateRole
from tests.certificates import make_identity
from tests.gateway.installation import Installation
from tests.gateway.rows import a_partner
from tests.services import need

Install = Callable[..., Installation]


def said(found: Iterator[Finding]) -> dict[str, Severity]:
    """Severity by the name of the check."""
    return {one.check: one.severity for one in found}


# -- libraries


@pytest.mark.parametrize(("version", "refused"), [((6, 0, 9), True), ((6, 1, 0), False), ((6, 2, 0), False)])
def test_an_lxml_that_reads_our_files_for_strangers_is_an_error(
    version: tuple[int, ...], refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libraries, "lxml_version", lambda: version)
    assert said(libraries.floors(Role.UP)).get("libraries.lxml") == (Severity.ERROR if refused else None)


def test_the_lxml_that_is_installed_will_do() -> None:
    assert libraries.lxml_version() >= libraries.LEAST_LXML


@pytest.mark.parametrize(
    ("role", "shared", "version", "severity"),
    [
        (Role.UP, False, (3, 40, 1), Severity.WARNING),
        (Role.WEB, False, (3, 51, 2), Severity.ERROR),
        (Role.WORKER, False, (3, 40, 1), Severity.ERROR),
        (Role.WORKER, True, (3, 40, 1), Severity.WARNING),
        (Role.WEB, False, (3, 51, 3), None),
    ],
)
def test_several_processes_on_an_old_sqlite_need_somebody_s_word(
    role: Role,
    shared: bool,
    version: tuple[int, ...],
    severity: Severity | None,
    monkeypatch: pytest.MonkeyPatch,
    settings: Any,
) -> None:
    settings.SHARE_SQLITE = shared
    monkeypatch.setattr(connection, "vendor", "sqlite")
    monkeypatch.setattr(libraries, "sqlite_version", lambda: version)
    assert said(libraries.sqlite(role)).get("libraries.sqlite") == severity


def test_an_openssl_that_tells_wrong_padding_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(openssl), "openssl_version_text", lambda self: "OpenSSL 3.0.19 27 Jan 2026")
    assert said(libraries.floors(Role.DOCTOR))["libraries.openssl"] == Severity.WARNING


# -- configuration


@pytest.mark.parametrize(
    ("changed", "check", "severity"),
    [
        ({"DEBUG": True}, "configuration.debug", Severity.WARNING),
        ({"ALLOWED_HOSTS": ["*"]}, "configuration.hosts", Severity.WARNING),
        ({"BEHIND_TLS": True, "ALLOWED_HOSTS": ["localhost"]}, "configuration.hosts", Severity.WARNING),
        ({"BEHIND_TLS": True, "TRUSTED_PROXIES": ()}, "configuration.proxies", Severity.WARNING),
        ({"TRUSTED_PROXIES": (ipaddress.ip_network("10.0.0.5"),)}, "configuration.tls", Severity.NOTE),
        ({"LEASE": timedelta(seconds=10)}, "configuration.lease", Severity.WARNING),
    ],
)
def test_settings_that_do_not_go_together_are_said(
    changed: dict[str, object], check: str, severity: Severity, settings: Any
) -> None:
    settings.DEBUG = False
    before = said(configuration.web_side(Role.UP))
    for name, value in changed.items():
        setattr(settings, name, value)
    assert check not in before
    assert said(configuration.web_side(Role.UP))[check] == severity


def test_a_misspelt_setting_is_named_with_the_one_that_was_meant() -> None:
    found = list(configuration.unknown({"GATEWAY_HOST": "b2b.example.com", "GATEWAY_POLL_S": "5", "HOME": "/root"}))
    assert [(one.where, one.severity) for one in found] == [("GATEWAY_HOST", Severity.WARNING)]
    assert found[0].remedy == "Say GATEWAY_HOSTS, or remove it."


def test_a_broker_in_memory_is_explained_to_one_of_several_processes(settings: Any) -> None:
    settings.CELERY_BROKER_URL, settings.POLL_S = "memory://localhost/", 5
    (found,) = configuration.processes(Role.WORKER)
    assert found.severity is Severity.NOTE
    assert "Nothing is lost" in found.why
    assert "within 5 s" in found.why
    assert list(configuration.processes(Role.UP)) == []


# -- folders


def test_a_secret_others_can_read_refuses_the_start(settings: Any, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path
    secret = tmp_path / "keystore-secret"
    secret.write_text("x" * 64)
    secret.chmod(0o600)
    assert said(folders.private(Role.UP)) == {}
    secret.chmod(0o640)
    assert said(folders.private(Role.UP)) == {"folders.secrets": Severity.ERROR}


def test_a_data_folder_everybody_can_write_to_refuses_the_start(settings: Any, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path
    tmp_path.chmod(0o777)
    assert said(folders.private(Role.UP)) == {"folders.data": Severity.ERROR}


def test_a_disk_that_is_filling_up_is_said_before_it_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "LITTLE_ROOM_BYTES", 2**62)
    assert said(folders.room(Role.DOCTOR))["folders.room"] == Severity.WARNING
    monkeypatch.setattr(folders, "NO_ROOM_BYTES", 2**62)
    assert said(folders.room(Role.DOCTOR))["folders.room"] == Severity.ERROR


def test_a_blob_store_that_takes_nothing_is_an_error(settings: Any, tmp_path: Path) -> None:
    settings.BLOBS = f"file:{tmp_path / 'blobs'}"
    assert said(folders.blobs(Role.DOCTOR)) == {}
    (tmp_path / "a file").write_text("in the way")
    settings.BLOBS = f"file:{tmp_path / 'a file' / 'blobs'}"
    assert said(folders.blobs(Role.DOCTOR)) == {"folders.blobs": Severity.ERROR}


# -- database


@pytest.mark.own_sqlite
def test_a_database_that_is_not_there_is_one_error_without_its_password(install: Install, tmp_path: Path) -> None:
    away = install(tmp_path, DATABASE_URL="postgres://gateway:hush@127.0.0.1:1/gateway").run("doctor", "--json")
    about_it = [one for one in json.loads(away.stdout)["findings"] if one["check"].startswith("database.")]
    assert away.returncode == 1
    assert [one["where"] for one in about_it] == ["PostgreSQL gateway at 127.0.0.1:1"]
    assert "hush" not in away.stdout + away.stderr


@pytest.mark.own_sqlite
def test_a_start_is_refused_with_the_words_of_the_doctor(
    install: Install, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    installation = install(tmp_path, GATEWAY_SHARE_SQLITE="1")
    examined = installation.run("doctor")
    assert examined.returncode == 1
    about_it = examined.stdout.partition("ERROR database.migrations")[2].split("\n")[1]
    for command in (["up", "--no-migrate"], ["web"], ["worker"]):
        with subtests.test(command[0]):
            refused = installation.run(*command)
            assert refused.returncode == 1
            assert about_it in refused.stderr


def test_a_database_one_release_ahead_is_a_warning(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO django_migrations (app, name, applied) VALUES ('gateway', '9999_later', '2027-01-01')"
        )
    (found,) = database.up_to_date(Role.WORKER)
    assert (found.severity, "gateway.9999_later" in found.what) == (Severity.WARNING, True)


@pytest.mark.own_sqlite
def test_a_damaged_sqlite_file_is_found(install: Install, tmp_path: Path) -> None:
    installation = install(tmp_path).migrated()
    assert "database." not in installation.run("doctor").stdout
    installation.python("from django.db import connection as c; c.cursor().execute('PRAGMA wal_checkpoint(TRUNCATE)')")
    file = tmp_path / "gateway.sqlite3"
    whole = bytearray(file.read_bytes())
    half = len(whole) // 2 // 4096 * 4096
    whole[half : half + 40 * 4096] = b"\xff" * 40 * 4096
    file.write_bytes(whole)
    examined = installation.run("doctor")
    assert examined.returncode == 1
    assert "ERROR database.damaged" in examined.stdout


@pytest.mark.django_db(transaction=True)
def test_a_transaction_that_stays_open_is_named_with_its_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    need(connection.vendor == "postgresql", "PostgreSQL: set DATABASE_URL")
    monkeypatch.setattr(database, "_LONG_TRANSACTION_S", 0)
    other = connections.create_connection("default")
    try:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            pid = cursor.fetchone()[0]
        found = {one.check: one for one in database.postgresql(Role.DOCTOR)}
        assert f"pg_terminate_backend({pid})" in found["database.long-transaction"].remedy
    finally:
        other.rollback()
        other.close()
    assert "database.long-transaction" not in said(database.postgresql(Role.DOCTOR))


# -- clocks


def test_a_clock_that_was_never_set_refuses_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timezone, "now", lambda: datetime(1970, 1, 1, tzinfo=UTC))
    assert said(clocks.host(Role.UP)) == {"clocks.unset": Severity.ERROR}


def test_a_clock_behind_what_has_happened_is_said(db: None) -> None:
    assert said(clocks.host(Role.UP)) == {}
    Event.objects.create(name=next(iter(events.EVENTS)), at=timezone.now() + timedelta(hours=2))
    assert said(clocks.host(Role.UP)) == {"clocks.back": Severity.WARNING}


def test_a_clock_apart_from_the_database_s_is_said(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    need(connection.vendor == "postgresql", "PostgreSQL: set DATABASE_URL")
    assert said(clocks.database(Role.DOCTOR)) == {}
    real = timezone.now
    monkeypatch.setattr(timezone, "now", lambda: real() + timedelta(seconds=30))
    assert said(clocks.database(Role.DOCTOR)) == {"clocks.database": Severity.WARNING}
    monkeypatch.setattr(timezone, "now", lambda: real() - timedelta(hours=1))
    assert said(clocks.database(Role.DOCTOR)) == {"clocks.database": Severity.ERROR}


# -- broker


@pytest.mark.own_sqlite
def test_a_broker_that_says_nothing_or_is_away_is_a_warning_within_a_bound(install: Install, tmp_path: Path) -> None:
    asks = "from gateway.doctor import broker\nfor one in broker.answers('doctor'): print(one.severity, one.where)"
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.create_server(("127.0.0.1", 0)) as away:
        addresses = [f"127.0.0.1:{one.getsockname()[1]}/0" for one in (silent, away)]
        away.close()
        urls = [f"{scheme}://gateway:hush@{address}" for scheme in ("amqp", "redis") for address in addresses]
        with ThreadPoolExecutor() as all_at_once:
            said = list(all_at_once.map(lambda url: install(tmp_path, GATEWAY_BROKER_URL=url).python(asks), urls))
    assert said == [f"warning {scheme}://{address}\n" for scheme in ("amqp", "redis") for address in addresses]


def test_an_address_is_shown_without_its_password() -> None:
    assert broker.shown("amqps://gateway:hu@sh@rabbit:5671/b2b") == "amqps://rabbit:5671/b2b"


# -- certificates


def certificate(owner: OwnIdentity | TradingPartner, name: str, days: int, made_days_ago: int = 0) -> Certificate:
    made = make_identity(name, days=days + made_days_ago, now=timezone.now() - timedelta(days=made_days_ago))
    side = {"own_identity": owner} if isinstance(owner, OwnIdentity) else {"partner": owner}
    return Certificate.objects.create(role=CertificateRole.BOTH, certificate_pem=made.certificate_pem.decode(), **side)


def test_a_partner_s_certificate_is_said_before_and_after_it_expires(db: None) -> None:
    acme = a_partner()
    certificate(acme, "acme", days=90)
    assert said(certificates.ending(Role.DOCTOR)) == {}
    bolt = a_partner("BOLT")
    certificate(bolt, "bolt", days=10)
    assert said(certificates.ending(Role.DOCTOR)) == {"certificates.ending": Severity.WARNING}
    nuts = a_partner("NUTS")
    certificate(nuts, "nuts", days=-3, made_days_ago=30)
    found = {one.where.split(",")[0]: one.severity for one in certificates.ending(Role.DOCTOR)}
    assert found == {"partner NUTS": Severity.ERROR, "partner BOLT": Severity.WARNING}


def test_a_certificate_with_a_successor_is_a_note(db: None) -> None:
    acme = a_partner()
    certificate(acme, "acme", days=10)
    certificate(acme, "acme-new", days=400)
    assert said(certificates.ending(Role.DOCTOR)) == {"certificates.ending": Severity.NOTE}


# -- connections and work


def test_what_is_wrong_with_an_erp_connection_is_said(db: None) -> None:
    erp = ErpConnection.objects.create(code="SAP", base_url="http://erp.example/gateway")
    assert said(connections_check.erps(Role.DOCTOR)) == {"connections.erp": Severity.ERROR}  # no token
    erp.set_token("a-token-of-the-erp")
    assert said(connections_check.erps(Role.DOCTOR)) == {"connections.erp-plain": Severity.WARNING}
    ErpConnection.objects.update(base_url="https://erp.example/gateway")
    assert said(connections_check.erps(Role.DOCTOR)) == {}
    ErpConnection.objects.update(blocked_reason="401 Unauthorized")
    assert said(connections_check.erps(Role.DOCTOR)) == {"connections.erp-blocked": Severity.ERROR}
    ErpConnection.objects.update(active=False)
    assert said(connections_check.erps(Role.DOCTOR)) == {}


def test_what_a_live_partner_lacks_is_said_as_on_its_page(db: None) -> None:
    acme = a_partner()
    ours = OwnIdentity.objects.create(name="Plant", as2_name="PLANT", isa_qualifier="01", isa_id="004512377")
    As2Link.objects.create(partner=acme, own_identity=ours, their_name="ACME-AS2")
    found = [(one.where, one.what) for one in connections_check.partners(Role.DOCTOR)]
    assert ("partner ACME", "No supplier number.") in found


def queued(key: str, **fields: Any) -> QueueEntry:
    delivery = Delivery.objects.create(key=key, kind=DeliveryKind.ERP)
    return QueueEntry.objects.create(**{"delivery": delivery, "kind": DeliveryKind.ERP, "remote": "erp:1", **fields})


def test_dead_letters_are_counted_by_queue(db: None) -> None:
    for key in ("one", "two"):
        queued(key, state="dead", due_at=None)
    (found,) = work.dead_letters(Role.DOCTOR)
    assert (found.where, found.what[:14]) == ("queue erp", "2 dead letters")


def test_work_that_nobody_takes_up_is_said_unless_its_system_is_left_alone(db: None) -> None:
    queued("now", due_at=timezone.now())
    assert said(work.overdue(Role.DOCTOR)) == {}
    queued("late", due_at=timezone.now() - timedelta(hours=1))
    assert said(work.overdue(Role.DOCTOR)) == {"work.overdue": Severity.WARNING}
    Breaker.objects.create(remote="erp:1", failures=5, open_until=timezone.now() + timedelta(minutes=1))
    assert said(work.overdue(Role.DOCTOR)) == {}
    assert said(work.breakers(Role.DOCTOR)) == {"work.left-alone": Severity.WARNING}


def test_a_loop_that_fell_silent_is_named(db: None) -> None:
    now = timezone.now()
    Heartbeat.objects.create(name="worker@one:1", loop="worker", every_s=5, at=now)
    Heartbeat.objects.create(name="worker@two:2", loop="worker", every_s=5, at=now - timedelta(minutes=3))
    assert [one.where for one in work.loops(Role.DOCTOR)] == ["worker@two:2"]


# -- the whole of it


@pytest.mark.own_sqlite
def test_a_new_installation_is_in_order_and_says_so_to_a_program(install: Install, tmp_path: Path) -> None:
    examined = install(tmp_path).migrated().run("doctor", "--json")
    report = json.loads(examined.stdout)
    assert (examined.returncode, report["verdict"] in {"note", "warning"}) == (0, True)
    assert {frozenset(one) for one in report["findings"]} == {
        frozenset({"check", "severity", "where", "what", "why", "remedy"})
    }


def test_errors_come_first_and_make_the_exit(db: None, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.KEYSTORE_OLD_SECRETS = ("a former wrapping secret, of sufficient length",)
    monkeypatch.setattr(libraries, "lxml_version", lambda: (6, 0, 0))
    found = doctor.examine()
    assert next(one.check for one in found) == "libraries.lxml"
    assert "secrets.rotation" in {one.check for one in found}
    with pytest.raises(SystemExit) as ended:
        call_command("doctor")
    assert ended.value.code == 1
    with pytest.raises(CommandError, match=r"Not started:\nERROR libraries\.lxml \(lxml 6\.0\.0\)"):
        doctor.refuse_unfit(Role.UP)


def test_a_former_key_that_nothing_needs_any_more_is_a_note(db: None, settings: Any) -> None:
    settings.KEYSTORE_OLD_SECRETS = ("a former wrapping secret, of sufficient length",)
    assert said(secrets_at_rest.kept_well(Role.DOCTOR))["secrets.rotation"] == Severity.NOTE
