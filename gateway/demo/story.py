"""The story of the demo: an order leaves over real AS2, the answers come back three ways, the ERP knows.

Each step says what happened and how long it took; what is checked is what the other side holds, not what we believe.
"""

from __future__ import annotations

import platform
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx
from cryptography.hazmat.backends.openssl import backend as openssl
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.utils import timezone

from gateway.demo import company
from gateway.demo.company import FILES
from gateway.demo.counterparts import As2Supplier, Counterpart, ReferenceErp, free_port, read_json, start
from gateway.models import CaseState, Document, ExceptionCase, Order, OrderLine
from gateway.pipeline import decide
from gateway.server import Gateway

Found = TypeVar("Found")

#: Seconds any single effect may take to show.
_PATIENCE_S: Final = 20.0
_ACME, _CASTRA, _BOLTCO = "4500012345", "4500012346", "7700000815"


class StoryFailed(Exception):
    """A step did not have its effect; the words say which and what was there instead."""


class Story:
    """One run: everything started here is ended by ``end``."""

    def __init__(self, *, folder: Path, port: int, say: Callable[[str], None]) -> None:
        self._folder, self._say = folder, say
        self._port = free_port(port)
        self._url = f"http://127.0.0.1:{self._port}"
        self._counterparts: list[Counterpart] = []
        self._gateway: Gateway | None = None
        self._began = time.monotonic()

    def run(self) -> None:
        """Raises StoryFailed at the first step without its effect."""
        say = self._say
        say(f"Supplier Gateway demo: Python {platform.python_version()}, {openssl.openssl_version_text()}")
        say(f"Data in {self._folder}; after a kill -9 this finishes the work:")
        say(
            f"  GATEWAY_DATA_DIR={self._folder} GATEWAY_ERP_POLL_S=0.5 "
            f".venv/bin/python manage.py up --port {self._port}"
        )
        with self._step("database made, web server and worker started in this process"):
            call_command("migrate", interactive=False, verbosity=0)
        self._start_everything()
        self._order_leaves_over_as2()
        self._order_changes()
        self._backorder_is_settled_by_a_person()
        self._shipment_reaches_the_erp()
        self._rest_supplier()
        self._portal_supplier()
        self._repeats_and_bad_input()
        self._something_to_decide()
        self._nothing_lost_nothing_doubled()
        say(f"Story told in {time.monotonic() - self._began:.1f} s.")

    def stay(self) -> None:
        """Keep everything up to be looked at, until Ctrl-C."""
        password = secrets.token_urlsafe(9)
        get_user_model().objects.create_superuser("demo", password=password)
        order = Order.objects.get(number=_ACME)
        for line in (
            "",
            f"Look at it (staff account of this run only: user demo, password {password})",
            f"  what waits for a person      {self._url}/admin/console/queue/",
            f"  order {order.number}, timeline   {self._url}/admin/console/orders/{order.pk}/",
            f"  partners and their terms     {self._url}/admin/partners/tradingpartner/",
            f"  the API, as Castra           curl -H 'Authorization: Bearer {self._keys['CASTRA']}' "
            f"{self._url}/v1/purchase-orders",
        ):
            self._say(line)
        self._say("Ctrl-C ends it.")
        if self._gateway is not None:
            self._gateway.end_on_signals()
            self._gateway.wait()
            self._gateway = None

    def end(self) -> None:
        if self._gateway is not None:
            self._gateway.stop()
        for counterpart in self._counterparts:
            counterpart.stop()

    # -- the steps

    def _start_everything(self) -> None:
        with self._step("reference ERP started: its own process, its own database"):
            port = free_port(8081)
            database = self._folder / "erp.sqlite3"
            arguments = ["reference_erp", "--database", str(database), "--port", str(port)]
            erp = self._keep(start("reference-erp", arguments, port=port, folder=self._folder))
            token = (self._folder / "erp.sqlite3.token").read_text().strip()
            self._erp = ReferenceErp(erp.url, token)
        with self._step("two plants, three suppliers onboarded: ACME on AS2, CASTRA on REST, BOLTCO on portal JSON"):
            supplier_port = free_port(8082)
            self._keys = company.set_up(
                folder=self._folder,
                erp_url=erp.url,
                erp_token=token,
                supplier_url=f"http://127.0.0.1:{supplier_port}",
                now=timezone.now(),
            )
        with self._step("AS2 supplier started: another AS2 implementation (pyas2lib) in its own process"):
            config = company.supplier_config(
                folder=self._folder, port=supplier_port, gateway_url=self._url, mdn="async"
            )
            supplier = start(
                "as2-supplier", ["as2_supplier", "--config", str(config)], port=supplier_port, folder=self._folder
            )
            self._supplier = As2Supplier(self._keep(supplier).url)
        self._gateway = Gateway("127.0.0.1", self._port)
        self._gateway.start()

    def _order_leaves_over_as2(self) -> None:
        with self._step(
            f"order {_ACME} released by the ERP and received by ACME as 850: signed, encrypted, MDN verified"
        ):
            for order in read_json(FILES / "orders.json"):
                self._erp.release(order)
            self._until(lambda: self._inbox(1), "an 850 in ACME's inbox")
            sent = self._until(lambda: self._sent(1, state="relayed"), "a verified receipt for the 850")
        with self._step("997 of ACME: they can read it"):
            self._send("acme_997.edi")
            self._until(lambda: Document.objects.filter(pk=sent.pk, acknowledged="accepted").first(), "the 997 matched")

    def _order_changes(self) -> None:
        with self._step(
            "the ERP raises line 10 from 100 to 120; revision 2 is with ACME as 860: the changed line alone"
        ):
            self._erp.change(f"PLANT-01:{_ACME}", read_json(FILES / "acme_change.json"))
            self._until(lambda: self._sent(2, state="relayed"), "revision 2 receipted")
            self._inbox(2)

    def _backorder_is_settled_by_a_person(self) -> None:
        with self._step("855 of ACME: 25 of 40 pump housings promised, 15 backordered; a case opens for procurement"):
            self._send("acme_855.edi")
            case = self._until(
                lambda: ExceptionCase.objects.filter(
                    state=CaseState.OPEN, reason="acknowledgment_differs", order__number=_ACME
                ).first(),
                "an exception case about line 20",
            )
        self._say(f"          {case.summary}")
        with self._step("a buyer accepts it; the answer is in the ERP"):
            decide.accept(case, actor="demo", note="Agreed by telephone.")
            self._effect("acknowledgment", _ACME)

    def _shipment_reaches_the_erp(self) -> None:
        with self._step("856 of ACME: 2 cartons, 120 brackets and 25 housings; announced in the ERP"):
            self._send("acme_856.edi")
            self._effect("ship_notice", _ACME)
            lines = {line.line_number: line.open for line in OrderLine.objects.filter(order__number=_ACME)}
            self._check(str(lines["10"]) in {"0", "0.000000"}, f"line 10 is still open: {lines['10']}")
        with self._step(
            "997s for both went back; our receipts came to ACME by requests of their own, and it verified them"
        ):
            self._until(lambda: self._inbox(4), "two 997s in ACME's inbox")

    def _rest_supplier(self) -> None:
        with self._step("CASTRA lists its orders, acknowledges and ships over REST; the ERP has both"):
            with self._client("CASTRA") as api:
                self._until(lambda: api.get("/v1/purchase-orders").json().get("results"), "an order in the API")
                body = read_json(FILES / "castra_acknowledgment.json")
                first = api.post("/v1/acknowledgments", json=body, headers={"Idempotency-Key": "castra-ack-1"})
                self._check(first.status_code == 202, f"POST acknowledgment: {first.status_code} {first.text[:300]}")
                again = api.post("/v1/acknowledgments", json=body, headers={"Idempotency-Key": "castra-ack-1"})
                self._check(
                    again.headers.get("Idempotency-Replayed") == "true" and again.content == first.content,
                    "the repeat did not get the stored answer",
                )
                shipped = api.post(
                    "/v1/ship-notices",
                    json=read_json(FILES / "castra_ship_notice.json"),
                    headers={"Idempotency-Key": "castra-ship-1"},
                )
                self._check(shipped.status_code == 202, f"POST ship notice: {shipped.status_code} {shipped.text[:300]}")
            self._effect("acknowledgment", _CASTRA)
            self._effect("ship_notice", _CASTRA)

    def _portal_supplier(self) -> None:
        with self._step("BOLTCO's portal posts the JSON of its own shape, for plant 2; the ERP has both"):
            with self._client("BOLTCO") as api:
                self._until(lambda: api.get("/portal-json/v1/orders").json(), "an order for the portal")
                for slug, file in (
                    ("acknowledgments", "boltco_acknowledgment.json"),
                    ("ship-notices", "boltco_ship_notice.json"),
                ):
                    answer = api.post(
                        f"/portal-json/v1/documents/{slug}",
                        content=(FILES / file).read_bytes(),
                        headers={"Content-Type": "application/json"},
                    )
                    self._check(answer.status_code == 202, f"POST {slug}: {answer.status_code} {answer.text[:300]}")
            self._effect("acknowledgment", _BOLTCO)
            self._effect("ship_notice", _BOLTCO)

    def _repeats_and_bad_input(self) -> None:
        with self._step("ACME sends its 856 again in a new message: nothing is doubled, a case tells operations"):
            self._send("acme_856.edi")
            self._until(
                lambda: ExceptionCase.objects.filter(reason="interchange_repeated").first(), "a case about the repeat"
            )
        with self._step("an acknowledgment with wrong types is answered field by field"), self._client("CASTRA") as api:
            answer = api.post(
                "/v1/acknowledgments",
                json={"type": "order_acknowledgment", "order_number": 7, "lines": [{"quantity": "many"}]},
                headers={"Idempotency-Key": "castra-bad-1"},
            )
            self._check(
                answer.status_code in {400, 422}
                and answer.headers["Content-Type"].startswith("application/problem+json"),
                f"{answer.status_code} {answer.text[:300]}",
            )
        for error in answer.json()["errors"]:
            self._say(f"          {error['detail']}")

    def _something_to_decide(self) -> None:
        with self._step("CASTRA ships 30 bearing caps where 24 are ordered: held, for you to decide"):
            with self._client("CASTRA") as api:
                body = read_json(FILES / "castra_over_delivery.json")
                answer = api.post("/v1/ship-notices", json=body, headers={"Idempotency-Key": "castra-ship-2"})
                self._check(answer.status_code == 202, f"POST ship notice: {answer.status_code} {answer.text[:300]}")
            self._until(
                lambda: ExceptionCase.objects.filter(state=CaseState.OPEN, reason="ship_notice_differs").first(),
                "a case about the over-delivery",
            )

    def _nothing_lost_nothing_doubled(self) -> None:
        with self._step("the ERP's own journal: six documents, each applied once"):
            effects = self._erp.effects()
            wrong = [effect for effect in effects if effect["applications"] != 1]
            self._check(not wrong, f"doubled in the ERP: {wrong}")
            self._check(len(effects) == 6, f"{len(effects)} documents in the ERP, not 6")

    # -- what the steps are made of

    @contextmanager
    def _step(self, words: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        except StoryFailed as failed:
            raise StoryFailed(f"FAILED: {words}\n  {failed}") from failed
        except Exception as error:
            raise StoryFailed(f"FAILED: {words}\n  {type(error).__name__}: {error}") from error
        self._say(f"[{time.monotonic() - self._began:5.1f} s] {words}  ({(time.monotonic() - began) * 1000:.0f} ms)")

    def _until(self, look: Callable[[], Found | None], what: str) -> Found:
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            if found := look():
                return found
            time.sleep(0.02)  # reviewed sleep: the story's own thread, with a deadline
        raise StoryFailed(f"{what} did not come within {_PATIENCE_S:.0f} s; open cases: {self._open_cases()}")

    def _check(self, holds: bool, otherwise: str) -> None:
        if not holds:
            raise StoryFailed(otherwise)

    def _keep(self, counterpart: Counterpart) -> Counterpart:
        self._counterparts.append(counterpart)
        return counterpart

    def _client(self, code: str) -> httpx.Client:
        return httpx.Client(
            base_url=self._url, headers={"Authorization": f"Bearer {self._keys[code]}"}, timeout=20, trust_env=False
        )

    def _send(self, file: str) -> None:
        account = self._supplier.send(FILES / file)
        self._check(account["http_status"] == 204, f"ACME's AS2 could not send {file}: {account}")
        receipt = self._until(lambda: self._supplier.receipt(account["message_id"]), f"our receipt for {file} at ACME")
        self._check(
            receipt["mdn_status"] == "processed" and receipt["mic_matched"] is True,
            f"ACME's AS2 does not take our receipt for {file}: {receipt}",
        )

    def _inbox(self, at_least: int) -> list[dict[str, Any]]:
        received = self._supplier.received()
        return received if len(received) >= at_least else []

    def _sent(self, revision: int, *, state: str) -> Document | None:
        return Document.objects.filter(
            order__number=_ACME, direction="outbound", order_revision=revision, state=state
        ).first()

    def _effect(self, kind: str, number: str) -> dict[str, Any]:
        return self._until(
            lambda: next(
                (
                    effect
                    for effect in self._erp.effects()
                    if effect["kind"] == kind and number in effect["order_numbers"]
                ),
                None,
            ),
            f"{kind} of order {number} in the ERP",
        )

    def _open_cases(self) -> str:
        cases = ExceptionCase.objects.filter(state=CaseState.OPEN).values_list("summary", flat=True)
        return "; ".join(cases) or "none"
