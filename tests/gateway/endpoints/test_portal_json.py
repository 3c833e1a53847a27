"""The portal's JSON door: BOLTCO's own shape in and out, under the same rules as REST."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.http import HttpResponse

from gateway.models import Delivery, Document, ExceptionCase, Order, Transmission
from partners.models import TradingPartner
from tests.gateway.endpoints.conftest import Api, Release

pytestmark = pytest.mark.django_db

CONFIRMATION: dict[str, Any] = {
    "messageType": "ORDER_CONFIRMATION",
    "orderNumber": "4500018231",
    "status": "CONFIRMED",
    "items": [
        {
            "position": "10",
            "orderedQty": 40,
            "uom": "PCE",
            "confirmations": [{"status": "OK", "qty": 40, "promisedDate": "03/01/2027"}],
        }
    ],
}
ACKNOWLEDGMENTS = "/portal-json/v1/documents/acknowledgments"


@pytest.fixture
def boltco(make_api: Callable[..., Api]) -> Api:
    return make_api("BOLTCO", channel="portal_json", sheet="boltco")


def body(answer: HttpResponse) -> Any:
    return json.loads(answer.content)


def test_a_confirmation_in_their_shape_is_stored_as_it_came(boltco: Api) -> None:
    answer = boltco.post(ACKNOWLEDGMENTS, CONFIRMATION)
    assert answer.status_code == 202, answer.content
    row = Transmission.objects.get()
    assert (row.channel, row.format, row.sheet, row.state) == ("portal_json", "portal_json", "boltco", "stored")
    assert json.loads(row.raw.content) == CONFIRMATION
    assert Delivery.objects.get().kind == "translate"
    assert body(boltco.get(answer["Location"]))["state"] == "validating"


def test_without_a_key_the_content_is_its_own(boltco: Api) -> None:
    first, again = boltco.post(ACKNOWLEDGMENTS, CONFIRMATION), boltco.post(ACKNOWLEDGMENTS, CONFIRMATION)
    assert (again.content, again["Idempotency-Replayed"]) == (first.content, "true")
    other = boltco.post(ACKNOWLEDGMENTS, {**CONFIRMATION, "status": "DECLINED"})
    assert "Idempotency-Replayed" not in other
    assert Transmission.objects.count() == 2


def test_with_a_key_the_key_counts(boltco: Api) -> None:
    first = boltco.post(ACKNOWLEDGMENTS, CONFIRMATION, key="k1")
    assert boltco.post(ACKNOWLEDGMENTS, CONFIRMATION, key="k2").content != first.content
    answer = boltco.post(ACKNOWLEDGMENTS, {**CONFIRMATION, "status": "DECLINED"}, key="k1")
    assert (answer.status_code, body(answer)["type"]) == (422, "/problems/idempotency-key-reused")


def test_pointers_lead_into_their_own_json(boltco: Api) -> None:
    bad = {
        "messageType": "ORDER_CONFIRMATION",
        "status": "CONFIRMED",
        "items": [{"position": "10", "orderedQty": "many", "confirmations": [{"promisedDate": "2027-03-01"}]}],
    }
    answer = boltco.post(ACKNOWLEDGMENTS, bad)
    said = body(answer)
    assert (answer.status_code, answer["Content-Type"], said["type"]) == (
        422,
        "application/problem+json",
        "/problems/invalid-document",
    )
    pointers = {one["pointer"] for one in said["errors"]}
    assert {"#/orderNumber", "#/items/0/orderedQty", "#/items/0/confirmations/0/promisedDate"} <= pointers
    assert Transmission.objects.get().state == "refused"
    assert ExceptionCase.objects.get().reason == "unreadable_message"


def test_a_key_of_theirs_that_we_do_not_know_is_kept_and_said(boltco: Api) -> None:
    answer = boltco.post(ACKNOWLEDGMENTS, {**CONFIRMATION, "mood": "sunny"})
    assert answer.status_code == 202
    assert [(one["code"], one["pointer"]) for one in body(answer)["findings"]] == [("json_unknown_key", "#/mood")]


@pytest.mark.parametrize("data", [b"{", b'{"messageType": "INVOICE"}', b"[]", b'{"messageType": NaN}'])
def test_what_is_none_of_their_documents_is_refused(data: bytes, boltco: Api) -> None:
    answer = boltco.post(ACKNOWLEDGMENTS, data)
    assert (answer.status_code in (400, 422), answer["Content-Type"]) == (True, "application/problem+json")
    assert Transmission.objects.get().state == "refused"


def test_a_confirmation_at_the_address_of_ship_notices_is_refused(boltco: Api) -> None:
    answer = boltco.post("/portal-json/v1/documents/ship-notices", CONFIRMATION)
    assert (answer.status_code, body(answer)["type"]) == (422, "/problems/invalid-document")


def test_a_rest_partner_has_no_portal_and_the_portal_no_rest(castra: Api, boltco: Api) -> None:
    for answer in (
        castra.post(ACKNOWLEDGMENTS, CONFIRMATION),
        castra.get("/portal-json/v1/orders"),
        boltco.post("/v1/acknowledgments", {}, key="k1"),
    ):
        assert (answer.status_code, body(answer)["type"]) == (403, "/problems/no-agreement")
    assert Transmission.objects.count() == 0


def test_orders_read_in_their_shape(boltco: Api, release: Release) -> None:
    order = release("4500018231", revision=2)
    partner = TradingPartner.objects.get(code="BOLTCO")
    Order.objects.update(partner=partner)
    Document.objects.update(partner=partner)
    listed = body(boltco.get("/portal-json/v1/orders"))
    assert [(one["id"], one["revision"], one["etag"]) for one in listed] == [(str(order.uid), 2, '"po-4500018231-r2"')]
    answer = boltco.get(listed[0]["url"])
    assert answer["ETag"] == '"po-4500018231-r2"'
    assert body(answer) == listed[0]["order"]
    assert body(answer)["orderNumber"] == "4500018231"
    assert "order_number" not in body(answer)


def test_an_order_that_cannot_be_written_is_listed_and_says_who_acts(boltco: Api, release: Release) -> None:
    order = release("4500018231")
    partner = TradingPartner.objects.get(code="BOLTCO")
    Order.objects.update(partner=partner)
    partner.agreements.update(sheet="mapped-no-more")
    (entry,) = body(boltco.get("/portal-json/v1/orders"))
    assert (entry["id"], entry["order"], entry["problem"]["type"]) == (str(order.uid), None, "/problems/map-unusable")
    answer = boltco.get(entry["url"])
    assert (answer.status_code, body(answer)["actor"]) == (500, "operator")


def test_pages_are_linked_by_header(boltco: Api, release: Release) -> None:
    for number in range(3):
        release(f"45000{number}")
    partner = TradingPartner.objects.get(code="BOLTCO")
    Order.objects.update(partner=partner)
    first = boltco.get("/portal-json/v1/orders?limit=2")
    assert len(body(first)) == 2
    following = first["Link"].removeprefix("<").partition(">")[0]
    last = boltco.get(following)
    assert len(body(last)) == 1
    assert "Link" not in last


def test_a_map_that_is_gone_is_our_fault_and_shown_to_staff(boltco: Api) -> None:
    boltco.partner.agreements.update(sheet="mapped-no-more")
    answer = boltco.post(ACKNOWLEDGMENTS, CONFIRMATION)
    assert (answer.status_code, body(answer)["type"], body(answer)["actor"]) == (
        500,
        "/problems/map-unusable",
        "operator",
    )
    assert Transmission.objects.get().state == "refused"
    assert ExceptionCase.objects.get().reason == "terms_unusable"
