"""Every list, page by page, while rows are added between the pages: nothing twice, nothing missed, nothing counted."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from hypothesis import given
from hypothesis import strategies as st

from gateway import change_lists, paging
from gateway.models import (
    Archive,
    Blob,
    Delivery,
    Document,
    ErpConnection,
    Event,
    ExceptionCase,
    Interchange,
    LegalHold,
    Order,
    Transmission,
)
from partners import onboarding
from partners.models import ApiKey, TradingPartner

pytestmark = pytest.mark.django_db

DAY = datetime(2027, 3, 1, tzinfo=UTC)
#: How many rows a list starts with; three pages of the longest.
MANY = 230


@pytest.fixture
def castra() -> TradingPartner:
    return onboarding.set_up(
        {
            "code": "CASTRA",
            "name": "Castra",
            "state": "live",
            "agreements": [
                {
                    "document": "purchase_order",
                    "direction": "outbound",
                    "channel": "portal_json",
                    "format": "portal_json",
                    "sheet": "boltco",
                }
            ],
        }
    )


# -- one row of each list


def an_order(partner: TradingPartner, number: int) -> Order:
    erp, _ = ErpConnection.objects.get_or_create(code="ERP1", defaults={"base_url": "https://erp.example/"})
    order = Order.objects.create(
        connection=erp, company="1000", number=f"{number}", erp_key=f"{number}", partner=partner, revision=1
    )
    Document.objects.create(
        direction="outbound",
        channel="rest",
        partner=partner,
        order=order,
        state="relayed",
        type="purchase_order",
        format="canonical_json",
        number=f"{number}",
        order_revision=1,
        record={
            "type": "purchase_order",
            "number": f"{number}",
            "purpose": "original",
            "revision": 1,
            "ordered_on": "2027-03-01",
            "lines": [{"line_number": "10", "quantity": "1", "unit": "EA"}],
        },
    )
    return order


def a_case(partner: TradingPartner, number: int) -> ExceptionCase:
    # Two of them always at the same moment: a position needs more than that.
    due = DAY + timedelta(hours=number // 2)
    return ExceptionCase.objects.create(
        reason="ack_late",
        summary=f"{number}",
        fingerprint=uuid.uuid4().hex,
        team="procurement",
        due_at=due,
        partner=partner,
    )


def a_message(partner: TradingPartner, number: int) -> Transmission:
    return Transmission.objects.create(
        direction="inbound",
        channel="as2",
        partner=partner,
        state="answered",
        format="x12",
        message_id=f"<{number}@{uuid.uuid4()}>",
        raw=Blob.put(b"x"),
    )


def an_interchange(partner: TradingPartner, number: int) -> Interchange:
    message = a_message(partner, number)
    return Interchange.objects.create(
        transmission=message,
        partner=partner,
        direction="inbound",
        sender="a",
        receiver="b",
        control_number=uuid.uuid4().hex[:9],
    )


def a_document(partner: TradingPartner, number: int) -> Document:
    return Document.objects.create(
        direction="inbound", channel="as2", partner=partner, type="invoice", format="x12", number=f"{number}"
    )


#: List → makes one more row of it.
ADMIN: dict[str, Callable[[TradingPartner, int], Any]] = {
    "transmission": a_message,
    "interchange": an_interchange,
    "document": a_document,
    "order": an_order,
    "delivery": lambda partner, number: Delivery.objects.create(key=uuid.uuid4().hex, kind="erp", partner=partner),
    "event": lambda partner, number: Event.objects.create(name="order.open", partner=partner),
    "legalhold": lambda partner, number: LegalHold.objects.create(partner=partner, reason="r", placed_by="ann"),
    "archive": lambda partner, number: Archive.objects.create(
        partner=partner, month=DAY.date(), part=number + 1, sha256="0" * 64, size_bytes=1, events=b""
    ),
}


# -- every list, from the first page to the last


def keys_on(html: str, pattern: str) -> list[str]:
    return re.findall(pattern, html)


def walk(
    get: Callable[[str], Any],
    start: str,
    keys: Callable[[Any], list[Any]],
    following: Callable[[Any], str],
    add: Callable[[], Any],
) -> list[Any]:
    """What a list shows while one more row is added between any two pages; no query counts or skips rows."""
    seen: list[Any] = []
    address, pages = start, 0
    while address:
        with CaptureQueriesContext(
            connection,
        ) as asked:
            page = get(address)
        assert page.status_code == 200, page.content[:500]
        for query in asked.captured_queries:
            assert " OFFSET " not in query["sql"], query["sql"]
            assert not counts_a_table(query["sql"]), query["sql"]
        seen += keys(page)
        address, pages = following(page), pages + 1
        assert pages < 20
        add()
    assert pages > 2
    return seen


def counts_a_table(sql: str) -> bool:
    """Whether a statement counts rows of a table that only grows, without a condition that makes them few."""
    history = "transmission|interchange|document|delivery|event|archive|legalhold|order"
    return bool(re.match(rf'SELECT COUNT\(.*FROM "gateway_({history})"(?!.*WHERE)', sql, re.DOTALL))


def next_link(page: Any) -> str:
    found = re.search(r'<([^>]+)>; rel="next"', page.headers.get("Link", ""))
    return found[1] if found else ""


@pytest.mark.parametrize("name", ["purchase-orders", "portal"])
def test_a_list_of_orders_misses_none_and_repeats_none(castra, name):
    key = ApiKey(partner=castra, label="t", env="live")
    secret = key.new_secret()
    key.save()
    numbers = iter(range(10_000))
    made = [an_order(castra, next(numbers)) for _ in range(17)]
    paths = {"purchase-orders": "/v1/purchase-orders?limit=5", "portal": "/portal-json/v1/orders?limit=5"}

    def get(address: str) -> Any:
        return Client().get(address, headers={"Authorization": f"Bearer {secret}"})

    def keys(page: Any) -> list[str]:
        body = page.json()
        return [one["id"] for one in (body if isinstance(body, list) else body["results"])]

    left = iter(range(3))

    def add() -> None:
        if next(left, None) is not None:
            made.append(an_order(castra, next(numbers)))

    seen = walk(get, paths[name], keys, next_link, add)
    assert seen == [str(order.uid) for order in made]


def test_every_admin_list_of_a_growing_table_is_paged_by_position():
    growing = {
        model._meta.model_name for model, page in admin.site._registry.items() if isinstance(page, change_lists.Paged)
    }
    assert growing == set(ADMIN)


@pytest.mark.parametrize("name", ADMIN)
def test_an_admin_list_misses_none_and_repeats_none(castra, admin_client, name):
    made = [ADMIN[name](castra, number) for number in range(MANY)]
    first = [str(row.pk) for row in reversed(made)]
    numbers = iter(range(MANY, 10_000))

    def following(page: Any) -> str:
        address = page.context["cl"].following
        return f"{start}{address}" if address else ""

    start = reverse(f"admin:gateway_{name}_changelist")
    seen = walk(
        admin_client.get,
        start,
        lambda page: [str(row.pk) for row in page.context["cl"].result_list],
        following,
        lambda: ADMIN[name](castra, next(numbers)),
    )
    assert seen == first


def test_the_exception_queue_misses_none_and_repeats_none(castra, admin_client):
    made = [a_case(castra, number) for number in range(130)]
    numbers = iter(range(0, 10_000, 7))

    def following(page: Any) -> str:
        after = page.context["found"].next
        return f"{start}?after={after}" if after else ""

    start = reverse("console:queue")
    seen = walk(
        admin_client.get,
        start,
        lambda page: [row.pk for row in page.context["found"].rows],
        following,
        lambda: a_case(castra, next(numbers)),
    )
    assert [pk for pk in seen if pk in {row.pk for row in made}] == [row.pk for row in made]
    assert len(seen) == len(set(seen))


def test_the_timeline_of_an_order_misses_none_and_repeats_none(castra, admin_client):
    order = an_order(castra, 1)
    made = [Event(name="order.shipped", order=order, data={"n": number}) for number in range(900)]
    Event.objects.bulk_create(made)

    def following(page: Any) -> str:
        older = page.context["older"]
        return f"{start}?before={older}" if older else ""

    start = reverse("console:order", args=[order.pk])
    seen = walk(
        admin_client.get,
        start,
        lambda page: [one.event.data["n"] for one in reversed(page.context["moments"]) if one.event.data],
        following,
        lambda: Event.objects.create(name="order.shipped", order=order),
    )
    assert seen == list(reversed(range(900)))


# -- every address that shows a list is one of those above


def addresses(resolver: Any = None, before: str = "") -> Iterator[str]:
    for entry in (resolver or get_resolver()).url_patterns:
        if isinstance(entry, URLResolver):
            yield from addresses(entry, f"{before}{entry.pattern}")
        elif isinstance(entry, URLPattern):
            yield f"{before}{entry.pattern}"


def test_every_address_that_may_show_a_list_is_known_here():
    ours = {one for one in addresses() if one.startswith(("v1/", "portal-json/", "admin/console/", "admin/gateway/"))}
    one_thing = {one for one in ours if "<" in one}
    lists = {
        "v1/purchase-orders",
        "portal-json/v1/orders",
        "admin/console/queue/",
        *(f"admin/gateway/{name}/" for name in ADMIN),
    }
    # Not lists of rows that grow: what is sent here, forms, how it stands now, few rows, and the cases, whose list is the queue.
    others = {one for one in ours if one.endswith(("add/", "assign/", "try/", "operations/", "v1/validate"))}
    few = {f"admin/gateway/{name}/" for name in ("erpconnection", "breaker", "exceptioncase")}
    assert ours - one_thing - others - few == lists


# -- cursors


@pytest.mark.parametrize(
    "cursor", ["", "x", "=", "W10", "WyJ4Il0", "bnVsbA", "e30", "WzEsMl0", "WzFlOTk5XQ", "A" * 10_000, "\0", "é"]
)
def test_a_cursor_that_is_not_ours_is_said_so(castra, admin_client, cursor):
    rows = Transmission.objects.all()
    if cursor:
        with pytest.raises(paging.BadCursor):
            paging.page(rows, ("-at", "-pk"), size=1, cursor=cursor)
    else:
        assert paging.page(rows, ("-at", "-pk"), size=1).next == ""
    answer = admin_client.get(reverse("admin:gateway_transmission_changelist"), {"p": cursor}, follow=True)
    assert answer.status_code == 200
    assert admin_client.get(reverse("console:queue"), {"after": cursor}).status_code == 200


def test_a_wrong_cursor_in_rest_is_a_problem(castra):
    key = ApiKey(partner=castra, label="t", env="live")
    secret = key.new_secret()
    key.save()
    answer = Client().get("/v1/purchase-orders?cursor=WyJ4Il0", headers={"Authorization": f"Bearer {secret}"})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["parameter"] == "cursor"


@given(st.text(max_size=80))
def test_no_text_is_an_error_of_ours(text):
    try:
        str(paging.page(Transmission.objects.none(), ("-at", "-pk"), size=1, cursor=text))
    except paging.BadCursor:
        return


@pytest.mark.parametrize("ways", [("at", "pk"), ("-at", "-pk"), ("at", "-pk"), ("-at", "pk")])
def test_equal_moments_are_told_apart_both_ways(castra, ways):
    for number in range(12):
        row = a_message(castra, number)
        Transmission.objects.filter(pk=row.pk).update(at=DAY + timedelta(days=number // 4))
    rows, cursor, seen = Transmission.objects.all(), "", []
    while True:
        page = paging.page(rows, ways, size=5, cursor=cursor)
        seen += [row.pk for row in page.rows]
        if not (cursor := page.next):
            break
    assert seen == list(rows.order_by(*ways).values_list("pk", flat=True))


# -- searching and filtering


def test_the_admin_searches_whole_values_and_no_part_of_one(castra, admin_client):
    message, _ = a_message(castra, 1), a_message(castra, 2)
    address = reverse("admin:gateway_transmission_changelist")

    def found(term: str) -> list[int]:
        with CaptureQueriesContext(connection) as asked:
            page = admin_client.get(address, {"q": term})
        assert not any("LIKE" in query["sql"].upper() for query in asked.captured_queries)
        return [row.pk for row in page.context["cl"].result_list]

    assert found(message.message_id) == [message.pk]
    assert found(f" {message.uid} ") == [message.pk]
    assert found(message.message_id[:-2]) == []
    assert found("\x07") == []


def test_events_are_found_by_the_number_of_their_order(castra, admin_client):
    order = an_order(castra, 4711)
    event = Event.objects.create(name="order.open", order=order)
    page = admin_client.get(reverse("admin:gateway_event_changelist"), {"q": "4711"})
    assert [row.pk for row in page.context["cl"].result_list] == [event.pk]


@pytest.mark.parametrize("name", ADMIN)
def test_a_filter_asks_no_table_for_its_choices(castra, admin_client, name):
    ADMIN[name](castra, 1)
    with CaptureQueriesContext(connection) as asked:
        admin_client.get(reverse(f"admin:gateway_{name}_changelist"))
    assert not any("SELECT DISTINCT" in query["sql"] for query in asked.captured_queries)


def test_an_order_shows_how_many_cases_of_it_are_open(castra, admin_client):
    order = an_order(castra, 1)
    for state in ("open", "open", "resolved"):
        ExceptionCase.objects.create(
            reason="ack_late", summary="s", fingerprint=uuid.uuid4().hex, team="t", due_at=DAY, order=order, state=state
        )
    [row] = admin_client.get(reverse("admin:gateway_order_changelist")).context["cl"].result_list
    assert row.cases_open == 2


@pytest.fixture
def admin_client(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("kim"))
    return client


def test_addresses_of_pages_stay_on_this_host(castra, admin_client):
    for number in range(120):
        a_document(castra, number)
    page = admin_client.get(reverse("admin:gateway_document_changelist"), {"q": ""})
    assert not urlsplit(page.context["cl"].following).netloc
