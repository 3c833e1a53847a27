"""Closing: an order of which nothing more is expected, because its ERP says so or a person does.

A closed order leaves the tables after its retention, however much of it is open; one that is open waits for its shipment. The
supplier is not told. What still comes for it is judged as before: a shipment is a difference, and a person's. A change by the
buyer opens it again, and so does the ERP what it had closed; what a person closed a person opens.

What is shipped whole is not closed for that: announced is not received. It leaves all the same, being over.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import count
from typing import Any, Final

from django.db import transaction

from gateway import breakers, states
from gateway.erp.port import AuthFailed, ErpError, OrderFact
from gateway.models import ErpConnection, Event, Order, OrderState
from gateway.order_book.lookup import hold
from gateway.pipeline import erp_calls, release

log = logging.getLogger(__name__)

_BY_ERP: Final = {"reason": "erp"}


def by_hand(order: Order, to: OrderState, *, actor: str, now: datetime) -> bool:
    """Close an open order, or open a closed one; False when it is neither by now."""
    return _move(order, OrderState.OPEN if to is OrderState.CLOSED else OrderState.CLOSED, to, now, actor=actor)


def ask(connection: ErpConnection, *, now: datetime, is_over: Callable[[], bool] = lambda: False) -> int | None:
    """Close what one ERP has closed, and open what it has opened again.

    Args:
        is_over: asked before each page; when it says so the rest is left to the next turn.

    Returns:
        How many orders that were; None when it could not be asked to the end.
    """
    moved = 0
    try:
        port = release.port_of(connection)
        for page in count():
            if is_over() or not breakers.may_call(breakers.erp(connection.pk)):
                log.warning("erp=%s not asked what is closed from page %d on", connection.code, page)
                return None
            with erp_calls.watched(connection.pk):
                facts = port.snapshot(page)
            if not facts:
                return moved
            moved += _follow(connection, facts, now)
    except AuthFailed as refused:
        release.block(connection, str(refused), since=now)
    except ErpError as error:
        log.warning("erp=%s not asked what is closed: %s", connection.code, error)
    return None


def _follow(connection: ErpConnection, facts: Sequence[OrderFact], now: datetime) -> int:
    said = {(fact.company, fact.number): fact.open for fact in facts}
    rows = Order.objects.filter(connection=connection, number__in={number for _, number in said})
    moved = 0
    for order in rows.exclude(state=OrderState.CANCELLED):
        is_open = said.get((order.company, order.number))
        if order.state == OrderState.OPEN and is_open is False:
            moved += _move(order, OrderState.OPEN, OrderState.CLOSED, now, note=_BY_ERP)
        elif order.state == OrderState.CLOSED and is_open is True and _closed_by_erp(order):
            moved += _move(order, OrderState.CLOSED, OrderState.OPEN, now, note=_BY_ERP)
    return moved


def _closed_by_erp(order: Order) -> bool:
    last = Event.objects.filter(order=order, name="order.closed").order_by("-pk").first()
    return last is not None and last.data.get("reason") == _BY_ERP["reason"]


def _move(order: Order, before: OrderState, to: OrderState, now: datetime, **said: Any) -> bool:
    """One order, as it stands when nobody else writes it; False when it is not as ``before`` by then."""
    with transaction.atomic():
        hold([order])
        if order.state != before:
            return False
        states.advance(order, to, updated_at=now, **said)
    return True
