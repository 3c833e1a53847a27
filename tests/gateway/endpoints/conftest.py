"""One buyer, suppliers on AS2, REST and portal JSON, and the means to post what they would post."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import pytest
from django.core.cache import cache
from django.db import connections, transaction
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from waitress import wasyncore

from edi_maps import canonical
from gateway import order_book, states, web_server
from gateway.models import Document, ErpConnection, Order
from gateway.transports import as2
from gateway.wsgi import application
from partners import onboarding
from partners.models import ApiKey, OwnIdentity, TradingPartner
from partners.models.choices import ApiEnvironment
from partners.profiles import As2Terms, CertificateRef
from tests.certificates import make_identity

ACK = (
    b"ISA*00*          *00*          *ZZ*ACMEEDI        *ZZ*PLANTEDI       *270301*0815*U*00401*000000042*0*P*>~"
    b"GS*PR*ACMEEDI*PLANTEDI*20270301*0815*42*X*004010~ST*855*0001~BAK*00*AD*4500018231*20270228~"
    b"PO1*10*40*EA*3.15**BP*M8-40-ZN~ACK*IA*40*EA~CTT*1~SE*6*0001~GE*1*42~IEA*1*000000042~"
)


class Message(NamedTuple):
    """One AS2 message as its sender posts it."""

    headers: dict[str, str]
    body: bytes


@pytest.fixture(scope="session")
def our_key() -> CertificateRef:
    return make_identity("as2.plant.example")


@pytest.fixture(scope="session")
def their_key() -> CertificateRef:
    return make_identity("as2.acme.example")


@pytest.fixture(scope="session")
def other_key() -> CertificateRef:
    return make_identity("nobody.example")


@pytest.fixture(autouse=True)
def _no_allowance_is_used_up() -> None:
    cache.clear()


@pytest.fixture
def plant(db: None, our_key: CertificateRef) -> OwnIdentity:
    return onboarding.own_identity(
        {
            "name": "Main plant",
            "as2_name": "PLANT AS2",
            "isa_qualifier": "ZZ",
            "isa_id": "PLANTEDI",
            "certificates": [
                {
                    "certificate": our_key.certificate_pem.decode(),
                    "private_key": (our_key.private_key_pem or b"").decode(),
                }
            ],
        }
    )


@pytest.fixture
def acme(plant: OwnIdentity, their_key: CertificateRef) -> TradingPartner:
    return onboarding.set_up(
        {
            "code": "ACME",
            "name": "ACME Castings",
            "state": "live",
            "x12": {"their_qualifier": "ZZ", "their_id": "ACMEEDI"},
            "as2": {"their_name": "ACME-AS2", "max_megabytes": 1},
            "agreements": [{"document": "order_acknowledgment", "direction": "inbound", "channel": "as2"}],
            "certificates": [{"certificate": their_key.certificate_pem.decode()}],
        }
    )


@pytest.fixture(scope="session")
def their_terms(our_key: CertificateRef, their_key: CertificateRef) -> As2Terms:
    """The link as ACME sees it: theirs is ours."""
    return As2Terms(
        our_name="ACME-AS2",
        their_name="PLANT AS2",
        url=None,
        our_signing=(their_key,),
        our_decryption=(their_key,),
        their_signing=(our_key,),
        their_encryption=(our_key,),
    )


@pytest.fixture
def message(their_terms: As2Terms) -> Callable[..., Message]:
    """A message of ACME; each call signs and encrypts anew."""

    def make(
        message_id: str = "<m1@acme.example>",
        payload: bytes = ACK,
        *,
        terms: As2Terms = their_terms,
        **headers: str | None,
    ) -> Message:
        made = as2.build_message(payload, terms=terms, message_id=message_id, file_name="855.edi")
        changed = {**made.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return Message({name: value for name, value in changed.items() if value is not None}, made.body)

    return make


@pytest.fixture
def post_as2(client: Client) -> Callable[[Message], HttpResponse]:
    def post(message: Message) -> HttpResponse:
        headers = {name: value for name, value in message.headers.items() if name != "Content-Type"}
        answer = client.generic(
            "POST", "/as2", message.body, content_type=message.headers.get("Content-Type", ""), headers=headers
        )
        assert isinstance(answer, HttpResponse)
        return answer

    return post


@pytest.fixture
def served(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    """Host and port of the gateway behind waitress, as ``manage.py up`` serves it."""
    # A connection per request: none is left open in a server thread when the test's database goes.
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)
    sockets: dict[int, object] = {}
    server = web_server.create(application, host="127.0.0.1", port=0, sockets=sockets)
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            wasyncore.loop(timeout=0.05, map=sockets, count=1, use_poll=True)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield "127.0.0.1", server.effective_port
    finally:
        over.set()
        thread.join(timeout=10)
        server.task_dispatcher.shutdown()
        wasyncore.close_all(sockets)


class Api:
    """A supplier's program with its key."""

    def __init__(self, partner: TradingPartner, secret: str) -> None:
        self.partner = partner
        self.headers = {"Authorization": f"Bearer {secret}"}

    def call(self, method: str, path: str, *, accept: str = "application/json", **more: Any) -> HttpResponse:
        headers = {**self.headers, "Accept": accept, **more.pop("headers", {})}
        answer = Client(raise_request_exception=False).generic(method, path, headers=headers, **more)
        assert isinstance(answer, HttpResponse)
        return answer

    def get(self, path: str) -> HttpResponse:
        return self.call("GET", path)

    def post(
        self,
        path: str,
        document: object,
        *,
        key: str | None = None,
        if_match: str | None = None,
        content_type: str = "application/json",
    ) -> HttpResponse:
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        wanted = {"Idempotency-Key": key, "If-Match": if_match}
        headers = {name: value for name, value in wanted.items() if value is not None}
        return self.call("POST", path, data=data, content_type=content_type, headers=headers)


@pytest.fixture
def make_api(db: None) -> Callable[..., Api]:
    def make(
        code: str,
        *,
        channel: str = "rest",
        sheet: str = "",
        state: str = "live",
        env: ApiEnvironment = ApiEnvironment.LIVE,
    ) -> Api:
        documents = [
            ("purchase_order", "outbound"),
            ("order_acknowledgment", "inbound"),
            ("ship_notice", "inbound"),
        ]
        partner = onboarding.set_up(
            {
                "code": code,
                "name": code.title(),
                "state": state,
                "agreements": [
                    {"document": document, "direction": direction, "channel": channel, "sheet": sheet}
                    for document, direction in documents
                ],
            }
        )
        _, secret = ApiKey.issue(partner, env)
        return Api(partner, secret)

    return make


@pytest.fixture
def castra(make_api: Callable[..., Api]) -> Api:
    return make_api("CASTRA")


class Release(Protocol):
    def __call__(
        self,
        number: str,
        *,
        revision: int = 1,
        quantity: str = "40",
        company: str = "1000",
        purpose: str = "original",
        told: bool = True,
    ) -> Order: ...


@pytest.fixture
def release(castra: Api) -> Release:
    """Brings an order of CASTRA into the book at a revision; ``told``: it has left for the supplier."""
    erp = ErpConnection.objects.create(code="erp1", base_url="http://127.0.0.1:9")

    def make(
        number: str,
        *,
        revision: int = 1,
        quantity: str = "40",
        company: str = "1000",
        purpose: str = "original",
        told: bool = True,
    ) -> Order:
        record = canonical.load(
            {
                "type": "purchase_order",
                "number": number,
                "revision": revision,
                "purpose": purpose,
                "currency": "EUR",
                "lines": [
                    {
                        "line_number": "10",
                        "quantity": quantity,
                        "unit": "EA",
                        "unit_price": "3.15",
                        "product_ids": [{"kind": "buyer_part", "value": "M8-40-ZN"}],
                    }
                ],
            }
        )
        assert isinstance(record, canonical.PurchaseOrder)
        with transaction.atomic():
            order = order_book.release(
                connection=erp,
                company=company,
                number=number,
                erp_key=f"{company}/{number}",
                revision=revision,
                cancelled=purpose == "cancel",
                record=record,
                partner_id=castra.partner.pk,
                ack_due_at=None,
                now=timezone.now(),
            ).order
            document = Document.objects.create(
                direction="outbound",
                channel="rest",
                partner=castra.partner,
                order=order,
                type="purchase_order",
                format="canonical_json",
                number=number,
                order_revision=revision,
                record=canonical.dump(record),
            )
            states.advance(document, "translated")
            states.advance(document, "relayed" if told else "held")
        return order

    return make
