"""What is asked all the time stays quick when the tables are long: by an index, never by reading a table that only grows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from edi_maps import x12
from gateway import archives, outbox
from gateway.models import DeliveryKind, Document, Order, Transmission
from gateway.pipeline import acknowledged, apply, escalate, forward, receive
from gateway.pipeline.receive import Incoming
from partners import directory
from partners.models import ApiKey, TradingPartner
from partners.profiles import Channel, Direction
from tests.gateway.growth import grow

pytestmark = pytest.mark.django_db

#: Tables that only grow; the others are as long as what is open, or as the list of partners.
GROWING = [
    "archivedrow",
    "caseentry",
    "delivery",
    "document",
    "event",
    "exceptioncase",
    "interchange",
    "order",
    "orderline",
    "orderrevision",
    "promise",
    "shippedquantity",
    "transmission",
]


@pytest.fixture(scope="module")
def grown(django_db_setup: None, django_db_blocker: Any) -> Iterator[TradingPartner]:
    """A long-lived gateway, for all tests of this module; undone at its end."""
    with django_db_blocker.unblock():
        undo = transaction.atomic()
        undo.__enter__()
        try:
            grow(50_000 if connection.vendor == "postgresql" else 5_000)
            yield TradingPartner.objects.get(code="GROWN7")  # which has every twentieth of all
        finally:
            transaction.set_rollback(True)
            undo.__exit__(None, None, None)


def of(partner: TradingPartner, direction: str) -> Document:
    return next(
        row
        for row in Document.objects.filter(direction=direction, pk__lt=2000).order_by("-pk")
        if row.partner == partner
    )


def read_api(partner: TradingPartner, address: str) -> Any:
    key = ApiKey(partner=partner, label="t", env="live")
    secret = key.new_secret()
    key.save()
    answer = Client().get(address, headers={"Authorization": f"Bearer {secret}"})
    assert answer.status_code == 200, answer.content
    return answer


def staff(address: str) -> Any:
    client = Client()
    client.force_login(User.objects.get_or_create(username="kim", is_staff=True, is_superuser=True)[0])
    answer = client.get(address)
    assert answer.status_code == 200
    return answer


def message(partner: TradingPartner) -> Incoming:
    return Incoming(
        channel=Channel.AS2, partner_id=partner.pk, format="x12", message_id="<new@x>", raw=b"new", payload=b"new"
    )


def a_997(group: str) -> x12.FunctionalAcknowledgment:
    """As much of one as is asked for."""
    return x12.FunctionalAcknowledgment(functional_id="PR", group_control_number=group, status="A")


def admin_list(name: str, query: str = "") -> Callable[[TradingPartner], object]:
    return lambda partner: staff(reverse(f"admin:gateway_{name}_changelist") + query)


#: What is asked → how.
ASKED: dict[str, Callable[[TradingPartner], object]] = {
    "claim": lambda partner: [outbox.claim(kind, "test") for kind in DeliveryKind],
    "what is due": lambda partner: outbox.due_kinds(),
    "sweep": lambda partner: escalate.sweep(now=timezone.now()),
    "receive": lambda partner: receive.receive(message(partner), lambda row: receive.Answer(status=200)),
    "receive again": lambda partner: receive.repeated(message(partner)),
    "an answer that repeats": lambda partner: apply._repeats_the_last(
        of(partner, "inbound"), [row for row in [of(partner, "inbound").order] if row is not None]
    ),
    "an invoice that repeats": lambda partner: forward._repeats_an_earlier(of(partner, "inbound")),
    "the order a document names": lambda partner: apply.orders_of(of(partner, "outbound")),
    "parked documents of an order": lambda partner: apply.wake_parked(
        Order.objects.get(number="P107", partner=partner)
    ),
    "what a 997 is about": lambda partner: acknowledged._sent_in_group(
        directory.profile(partner.pk), a_997(of(partner, "outbound").group_control)
    ),
    "what a receipt is about": lambda partner: Transmission.objects.filter(
        partner=partner, direction=Direction.OUTBOUND, message_id="<4001@x>"
    ).first(),
    "orders of a supplier": lambda partner: read_api(partner, "/v1/purchase-orders"),
    "one order of a supplier": lambda partner: read_api(
        partner, f"/v1/purchase-orders/{Order.objects.filter(partner=partner).order_by('pk').last().uid}"
    ),
    "changed orders of a supplier": lambda partner: read_api(
        partner, "/v1/purchase-orders?updated_since=2026-01-02T00:00:00Z&limit=10"
    ),
    "exception queue": lambda partner: staff(reverse("console:queue")),
    "resolved cases": lambda partner: staff(reverse("console:queue") + "?state=resolved"),
    "an order's page": lambda partner: staff(reverse("console:order", args=[1007])),
    "a message's page": lambda partner: staff(reverse("console:transmission", args=[2007])),
    "a document's page": lambda partner: staff(reverse("console:document", args=[2007])),
    **{
        f"the admin's list: {name}": admin_list(name)
        for name in ("transmission", "interchange", "document", "delivery", "order", "event", "archive", "legalhold")
    },
    **{
        f"the admin's search: {name}": admin_list(name, f"?q={term}")
        for name, term in (
            ("transmission", "<4001@x>"),
            ("document", "P107"),
            ("delivery", "k4001"),
            ("order", "P107"),
            ("event", "P107"),
            ("interchange", "4001"),
        )
    },
    "archive, the first part": lambda partner: archives.run(
        timezone.now(), partner=partner, before=datetime(2026, 2, 1, tzinfo=UTC).date(), dry=True
    ),
    "where an archived row is": lambda partner: archives.by_row(Document, 100000007),
}


@pytest.mark.parametrize("name", ASKED)
def test_no_table_that_only_grows_is_read_from_end_to_end(grown, name):
    asked: list[tuple[str, Any]] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if not many and re.match("SELECT|UPDATE|DELETE|WITH", sql):
            asked.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        ASKED[name](grown)
    read = {f"{table}: {sql}" for sql, params in asked for table in read_whole(sql, params) if table in GROWING}
    assert asked
    assert not read


def read_whole(sql: str, params: Any) -> list[str]:
    """The tables of ours that a statement reads from end to end."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", params)
            [[[plan]]] = cursor.fetchall()
            return [*scanned(plan["Plan"])]
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}", params)
        steps = [row[3] for row in cursor.fetchall()]
        if "WHERE" not in sql and "LIMIT" in sql and not any("TEMP B-TREE" in step for step in steps):
            return []  # in the order of the table, as far as the page goes
        found = [re.match(r"SCAN (?:\S+ AS )?(\S+)$", step) for step in steps]
        return [name[1].strip('"').removeprefix("gateway_") for name in found if name]


def scanned(node: dict[str, Any]) -> Iterator[str]:
    if node["Node Type"] == "Seq Scan":
        yield node["Relation Name"].removeprefix("gateway_")
    for part in node.get("Plans", ()):
        yield from scanned(part)
