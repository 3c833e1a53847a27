"""What a usual message costs the database: statements of the door and of each step, counted. One more is to be meant."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection as database
from django.test.utils import CaptureQueriesContext

from gateway.models import DeliveryKind, Document
from gateway.pipeline import relay
from partners import directory
from tests.gateway.pipeline.conftest import poll_erp
from tests.gateway.pipeline.test_answers import ack_set, interchange

pytestmark = pytest.mark.django_db(transaction=True)

#: Statements but BEGIN and COMMIT. The 997 of a translation is among its own: it is written with it.
USUAL = {"the door": 8, "translate": 27, "apply": 23, "erp": 13}


@pytest.fixture
def profiles_remembered() -> Iterator[None]:
    """As in every process that serves."""
    directory.remember_for(60)
    yield
    directory.remember_for(0)


@pytest.fixture
def asked() -> Callable[..., int]:
    def count(step: Callable[..., Any], *arguments: Any) -> int:
        with CaptureQueriesContext(database) as queries:
            step(*arguments)
        return sum(not query["sql"].startswith(("BEGIN", "COMMIT")) for query in queries.captured_queries)

    return count


def test_a_usual_answer_takes_so_many_statements_at_each_step(
    connection, erp, acme, take, asked, drain, profiles_remembered
):
    def answer(number: str, control: int) -> dict[str, int]:
        message = interchange(ack_set(number), control=control)
        found = {"the door": asked(lambda: take(message, partner=acme, message_id=f"m{control}"))}
        for kind in (DeliveryKind.TRANSLATE, DeliveryKind.APPLY, DeliveryKind.ERP):
            found[kind.value] = asked(one_of, kind)
        return found

    def one_of(kind: DeliveryKind) -> None:
        assert relay.work(kind, "test", most=1) == 1

    placed = [erp.release() for _ in range(2)]
    poll_erp()
    drain()
    _, usual = (answer(order.number, control) for control, order in enumerate(placed, 1))
    assert usual == USUAL
    assert [document.state for document in Document.objects.filter(code="855")] == ["relayed"] * 2
