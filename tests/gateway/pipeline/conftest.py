"""A buyer with a real (reference) ERP in another process, a supplier on AS2 with an HTTP server of its own, one on REST."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from gateway import outbox
from gateway.models import Blob, DeliveryKind, ErpConnection, Transmission
from gateway.pipeline import receive, relay, release
from gateway.pipeline.receive import Answer, Incoming
from gateway.transports import as2
from partners import directory, onboarding
from partners.models import TradingPartner
from partners.profiles import As2Terms, CertificateRef, Channel
from tests.certificates import make_identity
from tests.gateway.erp.counterpart import ReferenceProcess
from tests.gateway.queue_rows import make_due


@pytest.fixture(scope="session")
def our_key() -> CertificateRef:
    return make_identity("plant.example")


@pytest.fixture(scope="session")
def their_key() -> CertificateRef:
    return make_identity("acme.example")


@pytest.fixture(scope="session")
def _erp_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReferenceProcess]:
    process = ReferenceProcess(tmp_path_factory.mktemp("pipeline-erp"))
    process.start()
    yield process
    process.close()


@pytest.fixture
def erp(_erp_process: ReferenceProcess) -> ReferenceProcess:
    """The ERP in its own process, with every change of the test before settled and no fault left."""
    _erp_process.behave()
    return _erp_process


@pytest.fixture
def connection(db: None, erp: ReferenceProcess) -> ErpConnection:
    row = ErpConnection.objects.create(code="main", base_url=erp.base_url)
    row.set_token(erp.token)
    port = release.port_of(row)
    while changes := port.changes(100):
        port.settle([change.token for change in changes])
    return row


class SupplierServer(ThreadingHTTPServer):
    """Answers each POST by ``answer``, which a test sets; keeps what came."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: list[tuple[dict[str, str], bytes]] = []
        self.terms: As2Terms  #: the link as ACME sees it, for tests that make answers of their own
        self.answer: Callable[[dict[str, str], bytes], tuple[int, dict[str, str], bytes] | None]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/as2"


class _Handler(BaseHTTPRequestHandler):
    server: SupplierServer

    def do_POST(self) -> None:
        headers, body = dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((headers, body))
        made = self.server.answer(headers, body)
        if made is None:
            self.close_connection = True  # the answer is lost on the way
            return
        status, answer_headers, answer_body = made
        self.send_response(status)
        for name, value in (answer_headers | {"Content-Length": str(len(answer_body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer_body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def supplier(their_key: CertificateRef, our_key: CertificateRef) -> Iterator[SupplierServer]:
    """ACME's AS2 server: takes what is signed and encrypted for it and says so in a signed receipt."""
    server = SupplierServer()
    terms = As2Terms(
        our_name="ACME-AS2",
        their_name="PLANT-AS2",
        url=None,
        our_signing=(their_key,),
        our_decryption=(their_key,),
        their_signing=(our_key,),
        their_encryption=(our_key,),
    )

    def processed(headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        received = as2.receive(headers, body, terms)
        mdn = as2.build_mdn(headers, terms=terms, mic=(received.mic, received.mic_algorithm), text="Taken.")
        return 200, mdn.headers, mdn.body

    server.answer = processed
    server.terms = terms
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def send_over_as2(partner: TradingPartner, document: bytes) -> Transmission:
    """A message of ours as the outbox sends it, with whatever answer the partner's server gave."""
    row = Transmission.objects.create(
        direction="outbound",
        channel="as2",
        partner=partner,
        state="prepared",
        format="x12",
        content_type="application/edi-x12",
        file_name="850.edi",
        raw=Blob.put(document),
        payload=Blob.put(document),
    )
    with transaction.atomic():
        outbox.enqueue(DeliveryKind.PARTNER, f"partner:{row.uid}", transmission=row)
    make_due()
    relay.work(DeliveryKind.PARTNER, "test", most=1)
    row.refresh_from_db()
    return row


def _agreements(channel: str, format: str) -> list[dict[str, str]]:
    return [
        {"document": document, "direction": direction, "channel": channel, "format": format}
        for document, direction in (
            ("purchase_order", "outbound"),
            ("order_acknowledgment", "inbound"),
            ("ship_notice", "inbound"),
        )
    ]


@pytest.fixture
def acme(db: None, supplier: SupplierServer, our_key: CertificateRef, their_key: CertificateRef) -> TradingPartner:
    onboarding.own_identity(
        {
            "name": "Plant",
            "as2_name": "PLANT-AS2",
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
    return onboarding.set_up(
        {
            "code": "ACME",
            "name": "ACME Castings",
            "state": "live",
            "supplier_numbers": ["S-100"],
            "x12": {"their_qualifier": "ZZ", "their_id": "ACMEEDI"},
            "as2": {"their_name": "ACME-AS2", "url": supplier.url},
            "agreements": _agreements("as2", "x12"),
            "certificates": [{"certificate": their_key.certificate_pem.decode(), "role": "both"}],
        }
    )


@pytest.fixture
def castra(db: None) -> TradingPartner:
    return onboarding.set_up(
        {
            "code": "CASTRA",
            "name": "Castra",
            "state": "live",
            "supplier_numbers": ["S-200"],
            "agreements": _agreements("rest", "canonical_json"),
        }
    )


@pytest.fixture
def drain() -> Callable[[], None]:
    """Handle what is due until nothing is, as a worker would; what waits for its time goes on waiting."""

    def all_due() -> None:
        while kinds := outbox.due_kinds():
            for kind in kinds:
                if relay.work(kind, "test") == 0:
                    return  # due, but its lane is not free

    return all_due


@pytest.fixture
def take(castra: TradingPartner) -> Callable[..., Any]:
    """Receive one message of a partner, as a door does after it knows who sent it."""

    def message(payload: bytes, *, partner: TradingPartner | None = None, message_id: str = "m1") -> Any:
        profile = directory.profile((partner or castra).pk)
        channel, format = (Channel.AS2, "x12") if profile.as2 else (Channel.REST, "canonical_json")
        incoming = Incoming(
            channel=channel,
            partner_id=profile.id,
            format=format,
            message_id=message_id,
            raw=payload,
            payload=payload,
        )
        return receive.receive(incoming, lambda row: Answer(status=202, body=str(row.uid).encode()))

    return message


def poll_erp() -> int:
    """One turn of every ERP."""
    running = ErpConnection.objects.filter(active=True, blocked_reason="")
    return sum(release.poll(one, now=timezone.now()) for one in running)


__all__ = ["DeliveryKind", "SupplierServer", "poll_erp"]
