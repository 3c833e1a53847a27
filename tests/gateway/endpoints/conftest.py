"""One buyer, a supplier on AS2, and the means to post what it would post."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
import waitress
from django.core.cache import cache
from django.db import connections
from django.http import HttpResponse
from django.test import Client
from waitress import wasyncore

from gateway.transports import as2
from gateway.wsgi import application
from partners import onboarding
from partners.models import OwnIdentity, TradingPartner
from partners.profiles import As2Terms, CertificateRef

ACK = (
    b"ISA*00*          *00*          *ZZ*ACMEEDI        *ZZ*PLANTEDI       *270301*0815*U*00401*000000042*0*P*>~"
    b"GS*PR*ACMEEDI*PLANTEDI*20270301*0815*42*X*004010~ST*855*0001~BAK*00*AD*4500018231*20270228~"
    b"PO1*10*40*EA*3.15**BP*M8-40-ZN~ACK*IA*40*EA~CTT*1~SE*6*0001~GE*1*42~IEA*1*000000042~"
)


class Message(NamedTuple):
    """One AS2 message as its sender posts it."""

    headers: dict[str, str]
    body: bytes


def _identity(name: str) -> CertificateRef:
    certificate, key = as2.make_certificate(name, days=30, now=datetime.now(UTC) - timedelta(days=1))
    return CertificateRef(fingerprint=as2.fingerprint(certificate), certificate_pem=certificate, private_key_pem=key)


@pytest.fixture(scope="session")
def our_key() -> CertificateRef:
    return _identity("as2.plant.example")


@pytest.fixture(scope="session")
def their_key() -> CertificateRef:
    return _identity("as2.acme.example")


@pytest.fixture(scope="session")
def other_key() -> CertificateRef:
    return _identity("nobody.example")


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
    server = waitress.create_server(application, map=sockets, host="127.0.0.1", port=0, threads=8)
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            wasyncore.loop(timeout=0.05, map=sockets, count=1)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield "127.0.0.1", server.effective_port
    finally:
        over.set()
        thread.join(timeout=10)
        server.task_dispatcher.shutdown()
        wasyncore.close_all(sockets)
