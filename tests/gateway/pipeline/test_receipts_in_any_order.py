"""Whatever happens to one message in whatever order: the first valid receipt counts, for good, and nothing is sent after it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import outbox
from gateway.models import Blob, DeliveryKind, ExceptionCase, Transmission, TransmissionState
from gateway.pipeline import relay, send
from gateway.transports import as2
from tests.gateway.pipeline.conftest import SupplierServer
from tests.gateway.pipeline.mdns import arrive, ask_for_later_receipts, receipt_for, taken
from tests.gateway.queue_rows import lease_runs_out, make_due

pytestmark = pytest.mark.django_db

NO = "processed/error: decryption-failed"


class Killed(BaseException):
    """The worker's process ended."""


class Exchange:
    """One message of ours to ACME, and what may happen to it."""

    def __init__(self, supplier: SupplierServer, partner_id: int) -> None:
        self.supplier = supplier
        supplier.received.clear()
        blob = Blob.put(b"ISA*00*")
        with transaction.atomic():
            self.row = Transmission.objects.create(
                direction="outbound",
                channel="as2",
                partner_id=partner_id,
                format="x12",
                state=TransmissionState.PREPARED,
                content_type="application/edi-x12",
                file_name="850.edi",
                raw=blob,
                payload=blob,
            )
            self.delivery = outbox.enqueue(DeliveryKind.PARTNER, f"partner:{uuid.uuid4()}", transmission=self.row)
        self.first: str | None = None  #: the state the first valid receipt stands for

    def happen(self, step: str) -> None:
        sent_before, settled_before = len(self.supplier.received), self.first
        kind, _, what = step.partition(" ")
        getattr(self, f"_{kind}")(what)
        self.row.refresh_from_db()
        self.delivery.refresh_from_db()
        if settled_before:
            assert len(self.supplier.received) == sent_before, "sent although a receipt had settled it"
        assert (self.row.state if self.row.state in {"receipted", "rejected"} else None) == self.first
        assert len({(tuple(headers.items()), body) for headers, body in self.supplier.received}) <= 1

    def _sent(self, answer: str) -> None:
        """It is due, and a worker sends it."""
        self.supplier.answer = self._answers(answer)
        make_due(pk=self.delivery.pk)
        tried = relay.work(DeliveryKind.PARTNER, "worker", most=1)
        if tried and answer in {"yes", "no"} and self.first is None and self.supplier.received:
            self._settles(answer)

    def _dies(self, when: str) -> None:
        """A worker has it and is killed, and its lease runs out."""
        self.supplier.answer = taken

        def posts_and_dies(*args: Any, **keywords: Any) -> None:
            if when == "after":
                post(*args, **keywords)
            raise Killed

        post = send.post
        make_due(pk=self.delivery.pk)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(send, "post", posts_and_dies)
            try:
                relay.work(DeliveryKind.PARTNER, "doomed", most=1)
            except Killed:
                lease_runs_out(pk=self.delivery.pk)

    def _comes(self, what: str) -> None:
        """A receipt comes by a request of its own."""
        if not self.supplier.received:
            return
        assert arrive(self._mdn(what)).status == 200
        if what != "forged" and self.first is None:
            self._settles(what)

    def _person(self, _does: str) -> None:
        """Somebody has a dead letter tried again."""
        self.delivery.refresh_from_db()
        if self.delivery.state == "dead" and self.first is None:
            outbox.revive(self.delivery, actor="ann")

    def _settles(self, what: str) -> None:
        self.first = "receipted" if what == "yes" else "rejected"

    def _mdn(self, what: str) -> as2.Mdn:
        terms = self.supplier.terms
        headers, body = self.supplier.received[0]
        if what == "forged":
            return as2.build_mdn(headers, terms=terms, mic=None, text="Taken.")
        return receipt_for(headers, body, terms, "processed" if what == "yes" else NO)

    def _answers(self, what: str) -> Callable[[dict[str, str], bytes], tuple[int, dict[str, str], bytes] | None]:
        def answer(headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes] | None:
            match what:
                case "taken":
                    return taken(headers, body)
                case "busy":
                    return 503, {}, b""
                case "refused":
                    return 403, {}, b""
                case "lost":
                    return None
            mdn = self._mdn(what)
            return 200, mdn.headers, mdn.body

        return answer


STEPS = st.sampled_from(
    ["sent taken", "sent taken", "sent busy", "sent refused", "sent lost", "sent yes", "sent no",
     "comes yes", "comes no", "comes forged", "dies before", "dies after", "person retries"]
)  # fmt: skip


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, max_size=12), later=st.booleans())
def test_the_first_valid_receipt_counts_whatever_happens_in_whatever_order(acme, supplier, steps, later):
    with transaction.atomic():
        ask_for_later_receipts(async_mdn=later, retry_minutes="1, 1, 1, 1")
        exchange = Exchange(supplier, acme.pk)
        for step in steps:
            exchange.happen(step)
        # In the end there is one more try, should one be due: a receipt that came is never lost on a delivery.
        exchange.happen("sent busy")
        expected = {"receipted": {"delivered"}, "rejected": {"dead"}, None: {"pending", "in_doubt", "dead"}}
        assert exchange.delivery.standing in expected[exchange.first]
        overdue = ExceptionCase.objects.filter(reason="receipt_overdue", state="open")
        assert exchange.first is None or not overdue.exists()
        transaction.set_rollback(True)  # the next example has the table to itself
