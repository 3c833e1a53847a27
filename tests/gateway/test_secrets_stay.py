"""Secrets stay where they are (S65): keys, passwords, tokens, prices and addresses go through every door of a real gateway that logs
at DEBUG, good and bad, and none of them comes out in a log, a metric, a probe, the audit trail or what the doctor says.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway import metrics
from tests.acceptance.documents import interchange, order
from tests.acceptance.world import ROOT, World, until
from tests.certificates import make_identity

PRICE = "7341.997731"
ADDRESS = "Kanarienvogelweg 17"
PASSWORDS = {
    "staff password": "canary-staff-Pa55word",
    "wrong password": "canary-wrong-Pa55word",
    "next password": "canary-next-Pa55word",
    "proxy password": "canary-proxy-Pa55word",
    "new ERP token": "canary-erp-t0ken-of-the-admin",
    "metrics token": "canary-metrics-token-0123456789abcdef",
    "keystore secret": "canary-keystore-secret-0123456789abcdef",
    "django secret": "canary-django-secret-0123456789abcdef",
    "false API key": "sgw_live_canaryfalsekey0123456789",
}

#: Makes what no door makes: a staff login, keys of suppliers, a document that cannot be handled, whose error quotes it.
PREPARED = """
import sys, json, django
django.setup()
from django.contrib.auth.models import User
from django.db import transaction
from gateway import outbox
from gateway.models import DeliveryKind, Document, DocumentState
from partners.models import ApiKey, Certificate, TradingPartner
from partners.models.choices import ApiEnvironment
password, price, address = sys.argv[1:]
User.objects.create_superuser("kim", password=password)
ours = Certificate.objects.exclude(own_identity=None).get()
bolt = TradingPartner.objects.get(code="BOLTCO")
with transaction.atomic():
    document = Document.objects.create(
        direction="inbound", channel="rest", type="order_acknowledgment", format="canonical_json", number="1",
        partner=bolt, state=DocumentState.TRANSLATED, record={"type": "order_acknowledgment", "lines": f"{price} {address}"},
    )
    outbox.enqueue(DeliveryKind.APPLY, f"apply:{document.uid}", document=document)
print(json.dumps({
    "boltco": ApiKey.issue(bolt, ApiEnvironment.LIVE, label="canary")[1],
    "key": ours.private_key.reveal().decode(),
    "document": document.pk,
    "acme": TradingPartner.objects.get(code="ACME").pk,
}))
"""

#: Makes an order of CASTRA one that cannot be shown: whoever asks for it meets a defect whose error quotes it.
BROKEN = """
import sys, django
django.setup()
from gateway.models import Document
told = Document.objects.filter(partner__code="CASTRA", type="purchase_order")
assert told.update(record={"type": "purchase_order", "lines": sys.argv[1]})
"""

#: Everything the audit trail says, and how the broken document's delivery stands.
TRAIL = """
import json, django
django.setup()
from gateway.models import Event
print(json.dumps([[event.name, event.actor, event.data] for event in Event.objects.order_by("pk")]))
"""


class Form(HTMLParser):
    """The fields of a page as a browser would send them back."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self._select = self._textarea = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name = given.get("name") or ""
        match tag:
            case "input" if name and given.get("type") not in {"submit", "file"}:
                if given.get("type") not in {"checkbox", "radio"} or "checked" in given:
                    self.fields[name] = given.get("value") or ("on" if given.get("type") == "checkbox" else "")
            case "select":
                self._select = name
            case "option" if self._select and "selected" in given:
                self.fields[self._select] = given.get("value") or ""
            case "textarea":
                self._textarea = name
                self.fields[name] = ""
            case _:
                pass

    def handle_data(self, data: str) -> None:
        if self._textarea:
            self.fields[self._textarea] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "select":
            self._select = ""
        elif tag == "textarea":
            self._textarea = ""


class Place:
    """A gateway under test, whose output is apart from that of its counterparts."""

    def __init__(self, folder: Path) -> None:
        self.world = World(
            folder,
            GATEWAY_LOG_LEVEL="DEBUG",
            GATEWAY_POISON_AFTER="3",
            GATEWAY_METRICS_TOKEN=PASSWORDS["metrics token"],
            GATEWAY_KEYSTORE_SECRET=PASSWORDS["keystore secret"],
            GATEWAY_SECRET_KEY=PASSWORDS["django secret"],
        )
        self.log = folder / "gateway.log"
        self.made = json.loads(self.world.prepared.printed("-c", PREPARED, PASSWORDS["staff password"], PRICE, ADDRESS))
        self.world.gateway(log=self.log.name)
        self.world.listening(self.world.gateway_port)

    def client(self, key: str = "") -> httpx.Client:
        return self.world.client(self.world.gateway_port, {"Authorization": f"Bearer {key}"} if key else None)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def output(self) -> str:
        return self.log.read_text()[-3000:]

    def said(self, what: str) -> bool:
        return what in self.log.read_text()


@pytest.fixture
def place(django_db_setup: None, tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    try:
        _goes_through_every_door(made)
        yield made
    finally:
        made.world.close()


def _goes_through_every_door(place: Place) -> None:
    _staff(place)
    _rest(place)
    _portal_json(place)
    _as2(place)
    _worker(place)
    _defect(place)


def _rest(place: Place) -> None:
    world = place.world
    world.erp.post("/admin/release", json=order("70000001", "100023")).raise_for_status()
    api = place.client(world.api_key)
    until(lambda: api.get("/v1/purchase-orders").json().get("results"), "the order at CASTRA", otherwise=place.output)
    acknowledgment = {
        "type": "order_acknowledgment",
        "order_number": "70000001",
        "disposition": "accepted",
        "parties": [{"role": "seller", "name": "Castra", "address": {"lines": [ADDRESS]}}],
        "lines": [
            {
                "line_number": "1",
                "quantity": "10",
                "unit": "EA",
                "unit_price": PRICE,
                "responses": [{"status": "accepted", "quantity": "10", "unit": "EA"}],
            }
        ],
    }
    send = "/v1/acknowledgments"
    for _ in range(2):  # and once more: a repeat
        assert api.post(send, json=acknowledgment, headers={"Idempotency-Key": "good"}).status_code == 202
    bad = acknowledgment | {"lines": [{"line_number": 1, "unit_price": {PRICE: ADDRESS}}]}
    assert api.post(send, json=bad, headers={"Idempotency-Key": "bad"}).status_code in {400, 422}
    assert api.post(send, content=PRICE + ADDRESS, headers={"Idempotency-Key": "worse"}).status_code in {400, 415}
    assert place.client(PASSWORDS["false API key"]).get("/v1/purchase-orders").status_code == 401


def _portal_json(place: Place) -> None:
    bolt = place.client(place.made["boltco"])
    address = "/portal-json/v1/documents/acknowledgments"
    good = json.loads((ROOT / "gateway/demo/files/boltco_acknowledgment.json").read_text())
    good["items"][0]["unitPrice"] = PRICE
    good["supplier"]["name"] = ADDRESS
    answers = [
        bolt.post(address, json=good, headers={"Idempotency-Key": "p1"}).status_code,
        bolt.post(address, json=good | {"items": PRICE}, headers={"Idempotency-Key": "p2"}).status_code,
    ]
    assert answers[0] in {202, 422}
    assert answers[1] in {400, 422}


def _as2(place: Place) -> None:
    world = place.world
    good = interchange(901, "70000009").replace(b"*4.2*", f"*{PRICE}*".encode())
    good = good.replace(b"PO1*", f"N1*SE*Acme*92*100017~N3*{ADDRESS}~PO1*".encode(), 1).replace(b"SE*6*", b"SE*8*")
    accounts = []
    for name, data in {
        "good.edi": good,
        "broken.edi": good.replace(b"ACK*IA*10", f"ACK*{PRICE}*ten {ADDRESS}".encode()),
        "noise.edi": f"{PRICE} {ADDRESS}".encode() * 50,
    }.items():
        (world.folder / name).write_bytes(data)
        accounts.append(world.supplier.post("/control/send", json={"file": str(world.folder / name)}).json())
    assert [one["mdn_status"] for one in accounts] == ["processed"] * 3
    headers = {"AS2-From": "ACME-AS2", "AS2-To": "MERIDIAN-AS2", "AS2-Version": "1.2", "Message-ID": "<c@acme>"}
    headers |= {"Content-Type": "application/edi-x12", "Disposition-Notification-To": "x@acme.example"}
    door = place.client()
    assert door.post("/as2", content=good, headers=headers).status_code in {200, 400}
    assert door.post("/as2", content=good, headers=headers | {"AS2-From": "NOBODY"}).status_code == 403
    world.erp.post("/admin/release", json=order("70000002", "100017")).raise_for_status()
    world.erp.post("/admin/faults", json={"kind": "error_500", "routes": ["changes"]}).raise_for_status()
    # Through the proxy whose password staff entered: whoever listens there is no proxy.
    until(
        lambda: "partner" in place.world.prepared.printed("-c", _TRIED),
        "a try through the proxy",
        otherwise=place.output,
    )


#: The queues whose deliveries were tried and have an error.
_TRIED = """
import django
django.setup()
from gateway.models import Delivery
print(*Delivery.objects.exclude(last_error="").values_list("kind", flat=True))
"""


def _staff(place: Place) -> None:
    site = place.client()
    site.headers["Referer"] = str(site.base_url)
    signing_in = Form(site.get("/admin/login/").text).fields | {"username": "kim"}
    wrong = site.post("/admin/login/", data=signing_in | {"password": PASSWORDS["wrong password"]})
    assert wrong.status_code == 200
    assert site.post("/admin/login/", data=signing_in | {"password": PASSWORDS["staff password"]}).status_code == 302
    _changed(site, "/admin/gateway/erpconnection/1/change/", new_token=PASSWORDS["new ERP token"], adapter="rest_json")
    token = (place.world.folder / "erp.sqlite3.token").read_text().strip()
    _changed(site, "/admin/gateway/erpconnection/1/change/", new_token=token)
    _changed(
        site,
        f"/admin/partners/tradingpartner/{place.made['acme']}/change/",
        **{
            "as2-0-proxy_url": f"http://127.0.0.1:{place.world.erp_port}",
            "as2-0-proxy_user": "us",
            "as2-0-proxy_password": PASSWORDS["proxy password"],
        },
    )
    _changed(
        site,
        "/admin/password_change/",
        old_password=PASSWORDS["staff password"],
        new_password1=PASSWORDS["next password"],
        new_password2=PASSWORDS["next password"],
    )
    for page in ("", "?bytes=1", "annotated/"):
        site.get(f"/admin/console/documents/{place.made['document']}/{page}")
    for page in ("operations/", "queue/"):
        assert site.get(f"/admin/console/{page}").status_code == 200


def _changed(site: httpx.Client, address: str, **fields: str) -> None:
    """Change some fields of a page and send it back as a browser would."""
    page = site.get(address)
    assert page.status_code == 200, address
    form = Form(page.text).fields
    missing = fields.keys() - form.keys() - {"adapter"}
    assert not missing, sorted(form)
    answer = site.post(address, data=form | {name: value for name, value in fields.items() if name in form})
    assert answer.status_code == 302, re.findall(r"errorlist[^>]*>(.*?)</ul>", answer.text)[:5]


def _worker(place: Place) -> None:
    """The document that cannot be handled is tried until it is a dead letter; each time with a traceback."""
    until(lambda: place.said("the try failed"), "a traceback", otherwise=place.output)


def _defect(place: Place) -> None:
    place.world.prepared.printed("-c", BROKEN, f"{PRICE} {ADDRESS}")
    api = place.client(place.world.api_key)
    (found,) = api.get("/v1/purchase-orders").json()["results"]
    assert api.get(f"/v1/purchase-orders/{found['id']}").status_code == 500


@pytest.fixture
def canaries(place: Place) -> dict[str, str]:
    """What must not be seen, by what it is; of keys any line of them."""
    secrets = {"price": PRICE, "address": ADDRESS, **PASSWORDS}
    secrets |= {"CASTRA's API key": place.world.api_key, "BOLTCO's API key": place.made["boltco"]}
    secrets["ERP token"] = (place.world.folder / "erp.sqlite3.token").read_text().strip()
    secrets["Basic word of the proxy"] = base64.b64encode(f"us:{PASSWORDS['proxy password']}".encode()).decode()
    for whose, pem in {"our": place.made["key"], "ACME's": (place.world.folder / "acme.key").read_text()}.items():
        secrets |= {f"{whose} key, line {number}": line for number, line in enumerate(pem.split()) if len(line) > 40}
    return secrets


def leaks(text: str, canaries: dict[str, str]) -> list[str]:
    return [what for what, secret in canaries.items() if secret in text]


def test_none_of_them_comes_out_anywhere(place: Place, canaries: dict[str, str], subtests: pytest.Subtests) -> None:
    """One story of one gateway, looked at from all sides."""
    with subtests.test("log at DEBUG"):
        text = place.log.read_text()
        assert leaks(text, canaries) == []
        assert "BEGIN" not in text
    with subtests.test("log: one object a line, with the ids it is about"):
        lines = place.lines()
        assert any(line["message"].startswith("stored") and line.get("partner") == "ACME" for line in lines)
        failed = next(line for line in lines if line["message"] == "the try failed")
        assert failed.keys() >= {"queue", "delivery", "token", "document", "correlation_id", "errors"}
    with subtests.test("metrics, every figure of them"):
        scraper = place.client(PASSWORDS["metrics token"])
        until(lambda: "gateway_breaker_state{" in scraper.get("/metrics").text, "a system that failed once")
        answer = scraper.get("/metrics")
        assert leaks(answer.text, canaries) == []
        samples = {re.split(r"[{ ]", line)[0] for line in answer.text.splitlines() if line.startswith("gateway_")}
        shown = {re.sub(r"_(bucket|count|sum|created)$", "", name) for name in samples}
        assert set(metrics.METRICS) - shown == set()
    with subtests.test("probes"):
        door = place.client()
        assert leaks(door.get("/readyz").text + door.get("/healthz").text, canaries) == []
    with subtests.test("audit trail"):
        trail = json.loads(place.world.prepared.printed("-c", TRAIL))
        leaking = {
            (name, what) for name, actor, data in trail for what in leaks(f"{actor} {json.dumps(data)}", canaries)
        }
        assert leaking == set()
        assert len(trail) > 20
    with subtests.test("doctor"):
        told = place.world.prepared.run("manage.py", "doctor", "--json")
        assert told.stdout
        assert leaks(told.stdout + told.stderr, canaries) == []
    with subtests.test("message of a stranger with a key of its own"):
        assert leaks(place.log.read_text(), canaries | {"key in a message": _posed(place)}) == []


def _posed(place: Place) -> str:
    """Post as ACME, with a key of our own in the message; a line of it."""
    stranger = make_identity("ACME-AS2")
    assert stranger.private_key_pem is not None
    headers = {"AS2-From": "ACME-AS2", "AS2-To": "MERIDIAN-AS2", "AS2-Version": "1.2", "Message-ID": "<k@acme>"}
    headers |= {"Content-Type": "application/pkcs7-mime; smime-type=enveloped-data"}
    place.client().post("/as2", content=stranger.private_key_pem + PRICE.encode(), headers=headers)
    return stranger.private_key_pem.decode().split()[5]
