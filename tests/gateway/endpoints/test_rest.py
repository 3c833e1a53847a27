"""REST v1 as a supplier's developer meets it: orders, submissions, repeats, refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from django.db import OperationalError
from django.http import HttpResponse
from django.test import Client
from django.urls import get_resolver, resolve

from gateway import events, exception_queue, outbox, states
from gateway.endpoints.principal import FailedSignIns, PerKey
from gateway.models import Blob, Delivery, DeliveryKind, Document, ExceptionCase, Order, OrderLine, Transmission
from partners import onboarding
from partners.models import ApiKey, TradingPartner
from partners.models.choices import ApiEnvironment
from tests.gateway.endpoints.conftest import Api, Release

pytestmark = pytest.mark.django_db

ACK: dict[str, Any] = {
    "type": "order_acknowledgment",
    "order_number": "4500018231",
    "disposition": "accepted",
    "lines": [{"line_number": "10", "responses": [{"status": "accepted", "quantity": "40"}]}],
}
NOTICE: dict[str, Any] = {
    "type": "ship_notice",
    "shipment_number": "S-1",
    "items": [{"order_number": "4500018231", "order_line": "10", "quantity": "40", "unit": "EA"}],
}


def problem(answer: Any, status: int, slug: str) -> dict[str, Any]:
    assert (answer.status_code, answer["Content-Type"]) == (status, "application/problem+json"), answer.content
    said: dict[str, Any] = json.loads(answer.content)
    assert (said["type"], said["status"]) == (f"/problems/{slug}", status)
    assert {"title", "detail", "instance", "fix", "actor"} <= set(said)
    return said


def body(answer: HttpResponse) -> Any:
    return json.loads(answer.content)


# -- orders


def test_an_order_reads_as_it_was_sent_with_the_standing_of_each_line(castra: Api, release: Release) -> None:
    order = release("4500018231", revision=1)
    OrderLine.objects.filter(order=order).update(answered=True, confirmed="30", backordered="10", shipped="12.5")
    answer = castra.get(f"/v1/purchase-orders/{order.uid}")
    assert (answer.status_code, answer["ETag"]) == (200, '"po-4500018231-r1"')
    said = body(answer)
    assert (said["number"], said["company"], said["state"], said["revision"]) == ("4500018231", "1000", "open", 1)
    assert said["order"]["lines"][0]["product_ids"] == [{"kind": "buyer_part", "value": "M8-40-ZN"}]
    assert said["lines"] == [
        {
            "line_number": "10",
            "unit": "EA",
            "answered": True,
            "ordered": "40",
            "promised": "30",
            "backordered": "10",
            "refused": "0",
            "shipped": "12.5",
            "open": "27.5",
        }
    ]


def test_the_newest_revision_told_is_the_current_one_and_the_older_stay_readable(castra: Api, release: Release) -> None:
    order = release("4500018231", revision=1)
    release("4500018231", revision=3, quantity="60")
    said = body(castra.get(f"/v1/purchase-orders/{order.uid}"))
    assert (said["revision"], said["etag"], said["lines"][0]["ordered"]) == (3, '"po-4500018231-r3"', "60")
    listed = body(castra.get(said["revisions_url"]))["revisions"]
    assert [one["revision"] for one in listed] == [1, 3]
    first = castra.get(listed[0]["url"])
    assert first["ETag"] == '"po-4500018231-r1"'
    assert body(first)["order"]["lines"][0]["quantity"] == "40"
    problem(castra.get(f"{said['revisions_url']}/2"), 404, "not-found")


def test_an_order_that_left_as_a_change_is_read_whole(castra: Api, release: Release) -> None:
    order = release("4500018231", revision=1)
    release("4500018231", revision=2, quantity="60")
    change = {"type": "purchase_order_change", "number": "4500018231", "purpose": "change", "ordered_on": "2026-11-28"}
    Document.objects.filter(order_revision=2).update(type="purchase_order_change", record=change)
    said = body(castra.get(f"/v1/purchase-orders/{order.uid}"))
    assert (said["revision"], said["lines"][0]["ordered"]) == (2, "60")
    assert (said["order"]["type"], said["order"]["purpose"]) == ("purchase_order", "replace")
    newest = body(castra.get(f"{said['revisions_url']}/2"))["order"]
    assert newest["lines"][0]["quantity"] == "60"


def test_a_change_that_a_person_holds_is_not_the_suppliers_business_yet(castra: Api, release: Release) -> None:
    order = release("4500018231", revision=1)
    release("4500018231", revision=2, quantity="99", told=False)
    said = body(castra.get(f"/v1/purchase-orders/{order.uid}"))
    assert (said["revision"], said["lines"][0]["ordered"]) == (1, "40")
    assert len(body(castra.get(said["revisions_url"]))["revisions"]) == 1


def test_an_order_never_sent_does_not_exist(castra: Api, release: Release) -> None:
    order = release("4500018231", revision=1, told=False)
    problem(castra.get(f"/v1/purchase-orders/{order.uid}"), 404, "not-found")
    assert body(castra.get("/v1/purchase-orders"))["results"] == []


def test_a_number_used_by_two_companies_is_two_orders(castra: Api, release: Release) -> None:
    first, second = release("4500018231"), release("4500018231", company="2000")
    listed = body(castra.get("/v1/purchase-orders?number=4500018231"))["results"]
    assert {one["id"] for one in listed} == {str(first.uid), str(second.uid)}
    assert {one["company"] for one in listed} == {"1000", "2000"}


def test_filters_by_state_number_and_time(castra: Api, release: Release) -> None:
    release("4500018231")
    release("4500018232")
    release("4500018232", revision=2, purpose="cancel")

    def numbers(query: str) -> list[str]:
        return [one["number"] for one in body(castra.get(f"/v1/purchase-orders?{query}"))["results"]]

    assert numbers("state=open") == ["4500018231"]
    assert numbers("state=cancelled") == ["4500018232"]
    assert numbers("state=closed") == []
    assert numbers("number=4500018232") == ["4500018232"]
    assert numbers("number=%00") == []
    assert numbers("updated_since=2099-01-01T00:00:00Z") == []
    assert numbers("updated_since=2020-01-01T00:00:00+00:00") == ["4500018231", "4500018232"]


def test_pages_follow_each_other_without_loss_even_at_one_moment(castra: Api, release: Release) -> None:
    for number in range(7):
        release(f"45000{number}")
    Order.objects.update(updated_at="2027-03-01T12:00:00Z")
    seen, address = [], "/v1/purchase-orders?limit=3&state=open"
    while address:
        answer = castra.get(address)
        seen += [one["number"] for one in body(answer)["results"]]
        address = body(answer)["next"]
        assert address is None or answer["Link"] == f'<{address}>; rel="next"'
    assert seen == [f"45000{number}" for number in range(7)]


@pytest.mark.parametrize(
    "query",
    [
        "colour=red",
        "state=lost",
        "limit=0",
        "limit=201",
        "limit=x",
        "updated_since=yesterday",
        "cursor=abc",
        "cursor=%00",
    ],
)
def test_a_query_that_cannot_be_understood_is_refused_with_the_parameter(query: str, castra: Api) -> None:
    said = problem(castra.get(f"/v1/purchase-orders?{query}"), 400, "invalid-query")
    assert said["errors"][0]["parameter"] == query.partition("=")[0]


# -- submissions

INVOICE: dict[str, Any] = {"type": "invoice", "number": "INV-7", "invoiced_on": "2026-11-20"}
STOCK: dict[str, Any] = {
    "type": "inventory_advice",
    "number": "STOCK-7",
    "items": [{"quantities": [{"kind": "on_hand", "quantity": "150", "unit": "EA"}]}],
}


@pytest.mark.parametrize(("slug", "document"), [("acknowledgments", ACK), ("ship-notices", NOTICE)])
def test_a_good_submission_is_stored_with_its_work_and_its_address(
    slug: str, document: dict[str, Any], castra: Api
) -> None:
    answer = castra.post(f"/v1/{slug}", document, key="k1")
    assert answer.status_code == 202
    row = Transmission.objects.get()
    assert answer["Location"] == body(answer)["url"] == f"/v1/submissions/{row.uid}"
    assert (row.channel, row.format, row.message_id, row.state) == ("rest", "canonical_json", "k1", "stored")
    assert row.payload is not None and json.loads(row.payload.content) == document
    assert Delivery.objects.get().kind == "translate"
    assert ExceptionCase.objects.count() == 0
    standing = body(castra.get(answer["Location"]))
    assert (standing["state"], standing["validation"]["verdict"]) == ("validating", "pending")


@pytest.mark.parametrize(("slug", "document"), [("invoices", INVOICE), ("inventory-advices", STOCK)])
def test_what_answers_no_order_is_taken_where_it_is_agreed(slug: str, document: dict[str, Any], castra: Api) -> None:
    problem(castra.post(f"/v1/{slug}", document, key="k1"), 403, "no-agreement")
    agreement = {
        "document": document["type"],
        "direction": "inbound",
        "channel": "rest",
        "format": "canonical_json",
    }
    onboarding.set_up({"code": "CASTRA", "agreements": [agreement]})
    answer = castra.post(f"/v1/{slug}", document, key="k1")
    assert answer.status_code == 202
    assert body(castra.get(answer["Location"]))["state"] == "validating"
    problem(castra.post(f"/v1/{slug}", ACK, key="k2"), 422, "invalid-document")


def test_the_same_key_and_body_get_the_stored_answer(castra: Api) -> None:
    first, again = castra.post("/v1/acknowledgments", ACK, key="k1"), castra.post("/v1/acknowledgments", ACK, key="k1")
    assert (again.status_code, again.content, again["Location"]) == (202, first.content, first["Location"])
    assert "Idempotency-Replayed" not in first
    assert again["Idempotency-Replayed"] == "true"
    assert Transmission.objects.count() == 1


def test_the_same_key_with_another_body_is_refused_and_kept(castra: Api) -> None:
    first = castra.post("/v1/acknowledgments", ACK, key="k1")
    answer = castra.post("/v1/acknowledgments", {**ACK, "disposition": "rejected"}, key="k1")
    assert problem(answer, 422, "idempotency-key-reused")["first"] == first["Location"]
    assert sorted(Transmission.objects.values_list("state", flat=True)) == ["refused", "stored"]
    assert ExceptionCase.objects.get().reason == "id_conflict"


def test_two_partners_may_use_the_same_key(castra: Api, make_api: Callable[..., Api]) -> None:
    other = make_api("DELTA")
    assert castra.post("/v1/acknowledgments", ACK, key="k1").status_code == 202
    assert other.post("/v1/acknowledgments", ACK, key="k1").status_code == 202
    assert Transmission.objects.count() == 2


@pytest.mark.parametrize("key", [None, "", " ", "x" * 256, "a\tb", "schlüssel"])
def test_a_submission_without_a_usable_key_is_refused(key: str | None, castra: Api) -> None:
    problem(castra.post("/v1/acknowledgments", ACK, key=key), 400, "idempotency-key-missing")
    assert Transmission.objects.count() == 0


def test_every_wrong_place_is_told_at_once_and_the_body_is_kept(castra: Api) -> None:
    bad = {**ACK, "disposition": "perhaps", "lines": [{"line_number": "10", "quantity": "many"}]}
    said = problem(castra.post("/v1/acknowledgments", bad, key="k1"), 422, "invalid-document")
    assert {"#/disposition", "#/lines/0/quantity"} <= {one["pointer"] for one in said["errors"]}
    assert all({"code", "detail", "fix", "actor"} <= set(one) for one in said["errors"])
    row = Transmission.objects.get()
    assert (row.state, json.loads(row.raw.content)) == ("refused", bad)
    case = ExceptionCase.objects.get()
    assert (case.reason, case.occurrences) == ("unreadable_message", 1)
    castra.post("/v1/acknowledgments", bad, key="k1")
    case.refresh_from_db()
    assert case.occurrences == 2
    refused = body(castra.get(f"/v1/submissions/{row.uid}"))
    assert (refused["state"], refused["validation"]["problem"]) == ("rejected", "/problems/invalid-document")


def test_a_refused_submission_leaves_its_key_for_the_corrected_one(castra: Api) -> None:
    castra.post("/v1/acknowledgments", {**ACK, "disposition": "perhaps"}, key="k1")
    assert castra.post("/v1/acknowledgments", ACK, key="k1").status_code == 202


def test_unknown_fields_are_listed_not_dropped(castra: Api) -> None:
    said = problem(
        castra.post("/v1/acknowledgments", {**ACK, "supplier": "DELTA", "satus": "x"}, key="k1"), 400, "unknown-fields"
    )
    assert {one["pointer"] for one in said["errors"]} == {"#/supplier", "#/satus"}


def test_a_document_at_the_wrong_address_is_refused(castra: Api) -> None:
    said = problem(castra.post("/v1/ship-notices", ACK, key="k1"), 422, "invalid-document")
    assert said["errors"][0]["pointer"] == "#/type"


UNREADABLE = {
    "no JSON": b"ISA*00*",
    "cut off": b'{"type": "order_ackn',
    "not UTF-8": b'{"type": "\xff"}',
    "a name twice": json.dumps(ACK).encode()[:-1] + b', "order_number": "4500018299"}',
    "NaN": json.dumps(ACK).encode()[:-1] + b', "extra": {"x": NaN}}',
    "nested without end": b"[" * 1000 + b"]" * 1000,
    "a number of 10,000 digits": b'{"x": ' + b"9" * 10_000 + b"}",
    "a million values": json.dumps(ACK).encode()[:-2] + b"," + b"0," * 1_000_000 + b"0]}",
    "a list": b"[]",
    "nothing": b" ",
}


@pytest.mark.parametrize("data", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_a_body_that_is_no_unambiguous_json_is_400(data: bytes, castra: Api) -> None:
    answer = castra.post("/v1/acknowledgments", data, key="k1")
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json"), answer.content
    assert Transmission.objects.exclude(state="refused").count() == 0


def test_a_body_beyond_the_limit_is_413(castra: Api) -> None:
    problem(castra.post("/v1/acknowledgments", b"[" + b" " * 5 * 1024 * 1024 + b"]", key="k1"), 413, "too-large")
    assert Blob.objects.count() == 0


def test_a_body_that_is_not_announced_as_json_is_415(castra: Api) -> None:
    answer = castra.post("/v1/acknowledgments", b"{}", key="k1", content_type="text/xml")
    problem(answer, 415, "unsupported-media-type")


def test_what_is_not_agreed_on_this_channel_is_403(castra: Api) -> None:
    TradingPartner.objects.get(code="CASTRA").agreements.filter(document="ship_notice").update(
        channel="as2", format="x12"
    )
    said = problem(castra.post("/v1/ship-notices", NOTICE, key="k1"), 403, "no-agreement")
    assert "agreed on as2" in said["detail"]
    assert castra.post("/v1/acknowledgments", ACK, key="k1").status_code == 202


# -- If-Match


def test_an_answer_to_the_revision_it_names_is_taken(castra: Api, release: Release) -> None:
    release("4500018231", revision=2)
    answer = castra.post("/v1/acknowledgments", ACK, key="k1", if_match='"po-4500018231-r2"')
    assert answer.status_code == 202


@pytest.mark.parametrize(("slug", "document"), [("acknowledgments", ACK), ("ship-notices", NOTICE)])
def test_an_answer_to_an_old_revision_is_refused_with_both_revisions(
    slug: str, document: dict[str, Any], castra: Api, release: Release
) -> None:
    release("4500018231", revision=1)
    release("4500018231", revision=2, quantity="60")
    answer = castra.post(f"/v1/{slug}", document, key="k1", if_match='"po-4500018231-r1"')
    said = problem(answer, 412, "po-revision-changed")
    assert answer["ETag"] == said["current"]["etag"] == '"po-4500018231-r2"'
    assert said["yours"]["order"]["lines"][0]["quantity"] == "40"
    assert said["current"]["order"]["lines"][0]["quantity"] == "60"
    assert Transmission.objects.count() == 0


@pytest.mark.parametrize("if_match", ["*", '"po-4500018231-r1"', "nonsense"])
def test_an_order_we_do_not_have_matches_nothing(if_match: str, castra: Api) -> None:
    problem(castra.post("/v1/acknowledgments", ACK, key="k1", if_match=if_match), 412, "po-revision-changed")


def test_a_repeat_is_answered_though_the_order_has_changed_since(castra: Api, release: Release) -> None:
    release("4500018231", revision=1)
    first = castra.post("/v1/acknowledgments", ACK, key="k1", if_match='"po-4500018231-r1"')
    release("4500018231", revision=2)
    again = castra.post("/v1/acknowledgments", ACK, key="k1", if_match='"po-4500018231-r1"')
    assert (again.status_code, again.content) == (202, first.content)


# -- what becomes of a submission


def standing_of(castra: Api, move: Callable[[Document], None]) -> dict[str, Any]:
    address = castra.post("/v1/acknowledgments", ACK, key="k1")["Location"]
    row = Transmission.objects.get()
    document = Document.objects.create(
        direction="inbound",
        channel="rest",
        partner=row.partner,
        transmission=row,
        format="canonical_json",
        type="order_acknowledgment",
        number="4500018231",
        verdict="accepted",
    )
    states.advance(document, "translated")
    move(document)
    said: dict[str, Any] = body(castra.get(address))
    return {"state": said["state"], **{axis: said[axis]["state"] for axis in ("business", "delivery")}}


def test_a_held_document_waits_for_the_buyer(castra: Api) -> None:
    def hold(document: Document) -> None:
        states.advance(document, "held")
        exception_queue.open_case(
            "acknowledgment_differs", summary="30 of 40", fingerprint="differs", detail={"secret": 1}, document=document
        )

    assert standing_of(castra, hold) == {"state": "accepted", "business": "held", "delivery": "none"}
    business = body(castra.get(f"/v1/submissions/{Transmission.objects.get().uid}"))["business"]
    assert (business["reason"], business["actor"]) == ("acknowledgment_differs", "buyer")
    assert "secret" not in business


def test_a_discarded_document_is_rejected(castra: Api) -> None:
    def discard(document: Document) -> None:
        states.advance(document, "held")
        states.advance(document, "discarded")

    assert standing_of(castra, discard) == {"state": "rejected", "business": "discarded", "delivery": "none"}


def test_a_delivered_document_is_posted_with_the_erps_reference(castra: Api) -> None:
    def deliver(document: Document) -> None:
        states.advance(document, "applied")
        outbox.enqueue(DeliveryKind.ERP, "erp:1", document=document)
        claimed = outbox.claim(DeliveryKind.ERP, "test")
        assert claimed is not None
        outbox.finish(claimed, "5000000017")

    assert standing_of(castra, deliver) == {"state": "posted", "business": "accepted", "delivery": "delivered"}
    uid = Transmission.objects.get().uid
    assert body(castra.get(f"/v1/submissions/{uid}"))["delivery"]["references"] == ["5000000017"]


def test_of_two_deliveries_the_worse_is_told(castra: Api) -> None:
    def one_dead(document: Document) -> None:
        states.advance(document, "applied")
        for number in (1, 2):
            outbox.enqueue(DeliveryKind.ERP, f"erp:{number}", document=document)
            claimed = outbox.claim(DeliveryKind.ERP, "test")
            assert claimed is not None
            if number == 1:
                outbox.finish(claimed, "5000000017")
            else:
                outbox.bury(claimed, "the ERP says no")

    assert standing_of(castra, one_dead) == {"state": "accepted", "business": "accepted", "delivery": "failed"}


# -- a check without sending


def test_validate_lists_everything_and_keeps_nothing(castra: Api) -> None:
    answer = castra.post("/v1/validate", {**ACK, "disposition": "perhaps", "satus": "x"})
    assert answer.status_code == 200
    said = body(answer)
    assert said["verdict"] == "rejected"
    assert {"#/disposition", "#/satus"} <= {one["pointer"] for one in said["findings"]}
    assert body(castra.post("/v1/validate", ACK)) == {
        "verdict": "accepted",
        "document": "order_acknowledgment",
        "findings": [],
    }
    assert (Transmission.objects.count(), Blob.objects.count(), ExceptionCase.objects.count()) == (0, 0, 0)


# -- who calls

ROUTES = [
    ("GET", "/v1/purchase-orders"),
    ("GET", "/v1/purchase-orders/{order}"),
    ("GET", "/v1/purchase-orders/{order}/revisions"),
    ("GET", "/v1/purchase-orders/{order}/revisions/1"),
    ("POST", "/v1/acknowledgments"),
    ("POST", "/v1/ship-notices"),
    ("GET", "/v1/submissions/{submission}"),
    ("POST", "/v1/validate"),
    ("GET", "/portal-json/v1/orders"),
    ("GET", "/portal-json/v1/orders/{order}"),
    ("POST", "/portal-json/v1/documents/acknowledgments"),
    ("POST", "/portal-json/v1/documents/ship-notices"),
]


NO_KEYS = [None, "", "Bearer", "Bearer sgw_live_wrong", f"Bearer sgw_live_{'A' * 43}", "Basic c2dfOng="]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_no_route_answers_without_a_key_in_use(method: str, path: str, client: Client) -> None:
    nowhere = "00000000-0000-4000-8000-000000000000"
    for authorization in NO_KEYS:
        headers = {} if authorization is None else {"Authorization": authorization}
        answer = client.generic(method, path.format(order=nowhere, submission=nowhere), headers=headers)
        problem(answer, 401, "unauthenticated")
        assert answer["WWW-Authenticate"].startswith("Bearer")


def test_a_foreign_partner_finds_nothing_on_any_route(
    castra: Api, make_api: Callable[..., Api], release: Release
) -> None:
    order = release("4500018231")
    submission = castra.post("/v1/acknowledgments", ACK, key="k1")["Location"].rpartition("/")[2]
    foreign, portal = make_api("DELTA"), make_api("BOLTCO", channel="portal_json", sheet="boltco")
    for method, path in ROUTES:
        if "{" not in path or method != "GET":
            continue
        api = portal if path.startswith("/portal-json") else foreign
        problem(api.get(path.format(order=order.uid, submission=submission)), 404, "not-found")
    assert body(foreign.get("/v1/purchase-orders"))["results"] == []
    assert body(portal.get("/portal-json/v1/orders")) == []


def test_a_new_route_needs_its_row_above() -> None:
    nowhere = "00000000-0000-4000-8000-000000000000"
    walked = {resolve(path.format(order=nowhere, submission=nowhere)).route for _, path in ROUTES}
    assert {str(one.pattern) for one in get_resolver().url_patterns if "v1/" in str(one.pattern)} == walked


@pytest.mark.parametrize(
    ("state", "env", "slug"),
    [
        ("suspended", ApiEnvironment.LIVE, "partner-inactive"),
        ("draft", ApiEnvironment.TEST, "partner-inactive"),
        ("live", ApiEnvironment.TEST, "wrong-environment"),
        ("testing", ApiEnvironment.LIVE, "wrong-environment"),
    ],
)
def test_a_key_works_in_its_own_environment_only(
    state: str, env: ApiEnvironment, slug: str, make_api: Callable[..., Api]
) -> None:
    api = make_api("CASTRA", state=state, env=env)
    problem(api.get("/v1/purchase-orders"), 403, slug)
    problem(api.post("/v1/acknowledgments", ACK, key="k1"), 403, slug)
    assert Transmission.objects.count() == 0


def test_a_test_key_works_while_the_partnership_is_tested(make_api: Callable[..., Api]) -> None:
    api = make_api("CASTRA", state="testing", env=ApiEnvironment.TEST)
    assert api.post("/v1/acknowledgments", ACK, key="k1").status_code == 202


def test_a_partner_being_set_up_may_validate(make_api: Callable[..., Api]) -> None:
    assert make_api("CASTRA", state="draft", env=ApiEnvironment.TEST).post("/v1/validate", ACK).status_code == 200


def test_a_revoked_key_is_refused_at_once(castra: Api) -> None:
    assert castra.get("/v1/purchase-orders").status_code == 200
    ApiKey.objects.update(revoked_at="2020-01-01T00:00:00Z")
    problem(castra.get("/v1/purchase-orders"), 401, "unauthenticated")


def test_who_calls_too_often_is_told_when_to_go_on(castra: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PerKey, "THROTTLE_RATES", {"api_key": "3/minute"})
    for _ in range(3):
        assert castra.get("/v1/purchase-orders").status_code == 200
    answer = castra.get("/v1/purchase-orders")
    problem(answer, 429, "too-many-requests")
    assert 1 <= int(answer["Retry-After"]) <= 60


def test_who_guesses_keys_is_told_to_wait_but_a_good_key_from_there_still_works(
    castra: Api, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FailedSignIns, "THROTTLE_RATES", {"failed_sign_in": "2/minute"})
    wrong = {"Authorization": f"Bearer sgw_live_{'A' * 43}"}
    statuses = [client.get("/v1/purchase-orders", headers=wrong).status_code for _ in range(3)]
    assert statuses == [401, 401, 429]
    assert castra.get("/v1/purchase-orders").status_code == 200


# -- when something else is wrong


@pytest.mark.parametrize(
    ("method", "path", "status", "slug"),
    [
        ("GET", "/v1/nowhere", 404, "not-found"),
        ("GET", "/v1/purchase-orders/4500018231", 404, "not-found"),
        ("GET", "/portal-json/v2/orders", 404, "not-found"),
        ("DELETE", "/v1/purchase-orders", 405, "method-not-allowed"),
        ("GET", "/v1/acknowledgments", 405, "method-not-allowed"),
    ],
)
def test_wrong_addresses_and_methods_are_problems_too(
    method: str, path: str, status: int, slug: str, castra: Api
) -> None:
    problem(castra.call(method, path), status, slug)


def test_an_answer_nobody_can_read_is_406(castra: Api) -> None:
    problem(castra.call("GET", "/v1/purchase-orders", accept="text/csv"), 406, "not-acceptable")


def test_a_database_that_takes_nothing_is_503_and_nothing_is_promised(
    castra: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OperationalError("database or disk is full")

    monkeypatch.setattr(outbox, "enqueue", full)
    answer = castra.post("/v1/acknowledgments", ACK, key="k1")
    problem(answer, 503, "unavailable")
    assert answer["Retry-After"]
    assert Transmission.objects.count() == 0


def test_a_defect_is_told_without_its_inside(castra: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("the password is swordfish")

    monkeypatch.setattr(events, "record", broken)
    answer = castra.post("/v1/acknowledgments", ACK, key="k1")
    problem(answer, 500, "internal-error")
    assert b"swordfish" not in answer.content
    assert Transmission.objects.count() == 0


def test_no_log_line_holds_a_key_or_a_document(
    castra: Api, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("DEBUG")
    caplog.set_level("DEBUG", logger="django.request")
    castra.post("/v1/acknowledgments", {**ACK, "seller_reference": "SWORDFISH"}, key="k1")
    castra.post("/v1/acknowledgments", {**ACK, "seller_reference": "SWORDFISH", "disposition": "SWORDFISH"}, key="k2")
    monkeypatch.setattr(castra, "headers", {"Authorization": castra.headers["Authorization"] + "SWORDFISH"})
    castra.post("/v1/acknowledgments", ACK, key="k3")
    assert [one.message.partition(":")[0] for one in caplog.records] == ["stored"]  # who is refused is counted
    assert "SWORDFISH" not in caplog.text
    assert castra.headers["Authorization"].split("_")[-1][:20] not in caplog.text


# -- over real sockets


@pytest.mark.django_db(transaction=True)
def test_ten_posts_of_one_submission_at_once_are_one(served: tuple[str, int], castra: Api) -> None:
    def post(_: int) -> httpx.Response:
        return httpx.post(
            f"http://{served[0]}:{served[1]}/v1/acknowledgments",
            json=ACK,
            headers={**castra.headers, "Idempotency-Key": "k1"},
            timeout=20,
            trust_env=False,
        )

    with ThreadPoolExecutor(10) as callers:
        answers = list(callers.map(post, range(10)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.content for answer in answers}) == 1
    assert [answer.headers.get("Idempotency-Replayed") for answer in answers].count("true") == 9
    assert Transmission.objects.count() == 1
