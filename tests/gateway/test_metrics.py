"""Metrics: who may read them, what they say of the rows, what they cost, and that every name in use is in the one table."""

from __future__ import annotations

import ipaddress
import re
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.db import OperationalError, connection
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from gateway import events, heartbeats, metrics, vitals
from gateway.endpoints import metrics as door
from gateway.endpoints.health import READINESS
from gateway.models import (
    AuditBatch,
    Breaker,
    CaseState,
    Delivery,
    ExceptionCase,
    Heartbeat,
    QueueEntry,
    UnsealedEvent,
)
from tests.certificates import make_identity
from tests.gateway.rows import a_partner

TOKEN = "a-token-that-only-the-scraper-has"
ALERTS = Path(__file__).parents[2] / "gateway" / "deploy" / "alerts.yml"


@pytest.fixture(autouse=True)
def read_anew() -> Iterator[None]:
    door.ROWS.forget()
    READINESS.forget()
    yield
    door.ROWS.forget()
    READINESS.forget()


def scraped(client: Client) -> dict[str, float]:
    """Every sample of a scrape, by name and labels as they are written."""
    door.ROWS.forget()
    answer = client.get("/metrics")
    assert answer.status_code == 200
    lines = [line for line in answer.content.decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def an_entry(kind: str, state: str = "pending", *, due_s: float | None = 0, age_s: float = 0) -> QueueEntry:
    """Work that was made ``age_s`` ago and is due since ``due_s``; less than 0: in so many seconds."""
    now = timezone.now()
    made = now - timedelta(seconds=age_s)
    delivery = Delivery.objects.create(key=f"{kind}:{Delivery.objects.count()}", kind=kind, created_at=made)
    due = None if due_s is None else now - timedelta(seconds=due_s)
    entry, _ = QueueEntry.objects.update_or_create(
        delivery=delivery, defaults={"kind": kind, "state": state, "due_at": due}
    )
    return entry


def pem(name: str, *, days: int) -> str:
    return make_identity(name, days=days).certificate_pem.decode()


# -- who may


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("caller", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("10.7.0.9", {}, 200),
        ("192.0.2.1", {}, 404),
        ("192.0.2.1", {"Authorization": f"Bearer {TOKEN}"}, 200),
        ("192.0.2.1", {"Authorization": f"Bearer {TOKEN}x"}, 404),
        ("192.0.2.1", {"Authorization": "Bearer "}, 404),
        ("127.0.0.1", {"Authorization": "Bearer wrong"}, 404),
        ("127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}, 404),  # through a proxy that nobody told us of
        ("", {}, 404),
    ],
)
def test_only_who_may_finds_anything(settings: Any, caller: str, headers: dict[str, str], status: int) -> None:
    settings.METRICS_FROM = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("10.7.0.0/16"))
    settings.METRICS_TOKEN = TOKEN
    assert Client(REMOTE_ADDR=caller).get("/metrics", headers=headers).status_code == status


@pytest.mark.django_db
def test_without_a_token_set_an_empty_one_opens_nothing(settings: Any) -> None:
    settings.METRICS_TOKEN = ""
    answer = Client(REMOTE_ADDR="192.0.2.1").get("/metrics", headers={"Authorization": "Bearer "})
    assert answer.status_code == 404
    assert b"gateway_" not in answer.content


@pytest.mark.django_db
def test_who_may_not_sees_what_every_address_without_a_page_shows() -> None:
    stranger = Client(REMOTE_ADDR="192.0.2.1")
    assert stranger.get("/metrics").content == stranger.get("/nothing-here").content


# -- what they say of the rows


@pytest.mark.django_db
def test_a_queue_says_how_much_there_is_in_each_state_and_how_late_it_is(client: Client) -> None:
    an_entry("erp", due_s=90, age_s=3600)
    an_entry("erp", due_s=-300, age_s=7200)
    an_entry("erp", "in_doubt", due_s=-30)
    an_entry("erp", "dead", due_s=None, age_s=90_000)
    an_entry("partner", "sending", due_s=-60)
    found = scraped(client)
    assert found['gateway_queue_entries{queue="erp",state="pending"}'] == 2
    assert found['gateway_queue_entries{queue="erp",state="in_doubt"}'] == 1
    assert found['gateway_queue_entries{queue="erp",state="dead"}'] == 1
    assert found['gateway_queue_entries{queue="partner",state="sending"}'] == 1
    assert found['gateway_queue_entries{queue="translate",state="pending"}'] == 0
    assert 90 <= found['gateway_queue_overdue_seconds{queue="erp"}'] < 120
    assert found['gateway_queue_overdue_seconds{queue="partner"}'] == 0
    assert 3600 <= found['gateway_queue_oldest_seconds{queue="erp"}'] < 7300
    assert found['gateway_queue_oldest_seconds{queue="translate"}'] == 0


@pytest.mark.django_db
def test_a_breaker_is_closed_half_open_or_open(client: Client) -> None:
    now = timezone.now()
    Breaker.objects.create(remote="erp:1", failures=2)
    Breaker.objects.create(remote="as2:2", open_until=now - timedelta(seconds=1), opened_at=now - timedelta(hours=1))
    Breaker.objects.create(remote="as2:3", open_until=now + timedelta(minutes=5), opened_at=now)
    found = scraped(client)
    assert [found[f'gateway_breaker_state{{remote="{one}"}}'] for one in ("erp:1", "as2:2", "as2:3")] == [0, 1, 2]
    assert found['gateway_breaker_open_seconds{remote="erp:1"}'] == 0
    assert found['gateway_breaker_open_seconds{remote="as2:2"}'] >= 3600


@pytest.mark.django_db
def test_open_cases_are_counted_by_reason_and_those_past_their_time(client: Client) -> None:
    now = timezone.now()
    for number, (reason, state, hours) in enumerate(
        [
            ("erp_refused", "open", 1),
            ("erp_refused", "open", -1),
            ("id_conflict", "open", 1),
            ("id_conflict", "resolved", -1),
        ]
    ):
        ExceptionCase.objects.create(
            reason=reason,
            state=CaseState(state),
            fingerprint=str(number),
            team="edi",
            due_at=now + timedelta(hours=hours),
        )
    found = scraped(client)
    assert found['gateway_cases_open{reason="erp_refused"}'] == 2
    assert found['gateway_cases_open{reason="id_conflict"}'] == 1
    assert found["gateway_cases_overdue"] == 1


@pytest.mark.django_db
def test_events_that_are_not_sealed_are_counted_with_their_age(client: Client) -> None:
    old = events.record("case.opened", at=timezone.now() - timedelta(minutes=3))
    fresh = events.record("case.opened")
    UnsealedEvent.objects.exclude(pk__in=[old.pk, fresh.pk]).delete()
    for event in (old, fresh):
        UnsealedEvent.objects.get_or_create(event_id=event.pk)
    found = scraped(client)
    assert found["gateway_audit_unsealed_events"] == 2
    assert 180 <= found["gateway_audit_unsealed_seconds"] < 200


@pytest.mark.django_db
def test_loops_are_alive_or_silent(client: Client) -> None:
    heartbeats.beat("worker", 5)
    Heartbeat.objects.create(name="worker@elsewhere:1", loop="worker", every_s=5)
    Heartbeat.objects.filter(name="worker@elsewhere:1").update(at=Now() - timedelta(minutes=10))
    found = scraped(client)
    assert found['gateway_loops{loop="worker",state="alive"}'] == 1
    assert found['gateway_loops{loop="worker",state="silent"}'] == 1
    assert 600 <= found['gateway_heartbeat_seconds{loop="worker"}'] < 620


@pytest.mark.django_db
def test_the_first_certificate_to_expire_is_told_by_role_and_by_name_only_where_that_is_wanted(
    client: Client, settings: Any
) -> None:
    a_partner("ACME").certificates.create(certificate_pem=pem("acme", days=20), role="both")
    a_partner("BOLTCO").certificates.create(certificate_pem=pem("boltco", days=5), role="both")
    found = scraped(client)
    days = found['gateway_certificate_days{owner="partner",partner="",role="both"}']
    assert 4 < days <= 5
    assert not [name for name in found if "BOLTCO" in name]
    settings.METRICS_PARTNERS = True
    found = scraped(client)
    assert found['gateway_certificate_days{owner="partner",partner="BOLTCO",role="both"}'] == pytest.approx(
        days, abs=0.1
    )
    assert found['gateway_certificate_days{owner="partner",partner="ACME",role="both"}'] > 19


@pytest.mark.django_db
def test_a_certificate_that_has_its_successor_alarms_nobody(client: Client) -> None:
    partner = a_partner("ACME")
    for days in (3, 300):
        partner.certificates.create(certificate_pem=pem("acme", days=days), role="both")
    assert scraped(client)['gateway_certificate_days{owner="partner",partner="",role="both"}'] > 299


@pytest.mark.django_db
def test_a_database_that_does_not_answer_is_a_figure_and_not_an_error(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise OperationalError("connection refused by postgres://user:secret@db")

    monkeypatch.setattr(vitals, "queues", refuse)
    found = scraped(client)
    assert found["gateway_database_up"] == 0
    assert "gateway_wakeups_lost_total" in found


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("address", "door_name", "reason"),
    [
        ("/as2", "as2", "not_as2"),
        ("/v1/acknowledgments", "rest", "unauthenticated"),
        ("/portal-json/v1/orders", "portal_json", "unauthenticated"),
        ("/v1/nothing", "rest", "not-found"),
    ],
)
def test_what_a_door_refuses_is_counted_by_its_reason(
    client: Client, address: str, door_name: str, reason: str
) -> None:
    name = f'gateway_requests_refused_total{{door="{door_name}",reason="{reason}"}}'
    before = scraped(client).get(name, 0)
    client.post(address, data="{}", content_type="application/json")
    assert scraped(client)[name] == before + 1


# -- what they cost


@pytest.mark.django_db
def test_however_often_it_is_scraped_the_rows_are_read_once_in_five_seconds(client: Client) -> None:
    client.get("/metrics")
    with CaptureQueriesContext(connection) as asked:
        for _ in range(20):
            client.get("/metrics")
    assert len(asked) == 0


#: Tables that grow with every message, and are never to be walked through.
HISTORY = "delivery|event|transmission|document|interchange|exceptioncase|order|blob|auditbatch|archive"


@pytest.mark.django_db
def test_nothing_a_scrape_asks_walks_through_history(client: Client) -> None:
    an_entry("erp", due_s=90)
    UnsealedEvent.objects.get_or_create(event_id=events.record("case.opened").pk)
    AuditBatch.objects.create(
        sequence=1, previous="0" * 64, leaves=b"", events=0, first_event=1, last_event=1, digest="1"
    )
    with CaptureQueriesContext(connection) as asked:
        scraped(client)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")  # on tables this small it is always the cheapest
        for query in [one["sql"] for one in asked if one["sql"].startswith("SELECT")]:
            explain = "EXPLAIN " if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN "
            cursor.execute(explain + query.replace("%", "%%") if "%" in query else explain + query)
            plan = "\n".join(str(row[-1]) for row in cursor.fetchall())
            walked = re.findall(rf"(?:Seq Scan on|\bSCAN) gateway_(?:{HISTORY})\b.*", plan)
            assert walked == [], f"{query}\n{plan}"


# -- one table of names


def test_every_figure_a_process_counts_is_in_the_table_with_its_kind_and_labels() -> None:
    counted = {name: one for name, one in metrics.METRICS.items() if one.kind != "gauge"}
    found = {family.name: family for family in metrics.REGISTRY.collect() if family.name.startswith("gateway_")}
    assert {name.removesuffix("_total") for name in counted} == set(found)
    for name, one in counted.items():
        assert found[name.removesuffix("_total")].type == one.kind


def test_every_figure_is_explained_to_operators() -> None:
    page = (ALERTS.parents[1] / "README.md").read_text("utf-8")
    assert [name for name in metrics.METRICS if f"`{name}`" not in page] == []


def test_a_worker_shows_its_own_counts_over_http() -> None:
    port = metrics.serve(0)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        text = answer.read().decode()
    assert "gateway_tries_total" in text
    assert "process_resident_memory_bytes" in text


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_every_alert_says_what_to_do_and_asks_for_figures_there_are() -> None:
    found = rules()
    assert len({rule["alert"] for rule in found}) == len(found) >= 12
    for rule in found:
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert len(rule["annotations"]["summary"]) > 10
        assert rule["annotations"]["runbook"].endswith(".")
        names = {re.sub(r"_bucket$", "", name) for name in re.findall(r"\bgateway_\w+", rule["expr"])}
        assert names, rule["alert"]
        assert names <= set(metrics.METRICS), rule["alert"]


@pytest.mark.django_db
def test_where_all_is_sealed_nothing_is_behind() -> None:
    UnsealedEvent.objects.all().delete()
    assert vitals.seal() == vitals.Seal(unsealed=0, oldest_s=0.0, batch=None, sealed_at=None)
