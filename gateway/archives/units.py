"""What leaves together: a message with all that hangs on it, and when that is over.

A unit is what foreign keys tie together: message, receipts and attachments, interchanges, documents, deliveries, cases, events,
promises. What refers to one of these leaves with it, a new table too, without being named here. Orders do not tie: one that
is still open would keep everything its supplier ever sent in the same interchange with it. An order leaves by itself when
nothing that stays refers to it, at the latest with its last document.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, Final, TypeVar

from django.apps import apps
from django.db.models import DateTimeField, ForeignKey, Model, Q

from gateway.models import (
    ArchivedRow,
    CaseState,
    Delivery,
    DeliveryState,
    Document,
    DocumentState,
    Event,
    ExceptionCase,
    LegalHold,
    Order,
    OrderLine,
    OrderRevision,
    OrderState,
    QueueEntry,
    QueueLane,
    Transmission,
    TransmissionState,
    UnsealedEvent,
)

#: Rows of one table, by primary key.
Rows = dict[type[Model], dict[int, Model]]

#: They refer to what leaves and stay: the hot rows, which say that something is not over, and what is remembered.
_STAY: Final = frozenset({QueueEntry, QueueLane, ArchivedRow})
#: What makes up an order beside itself.
_OF_ORDER: Final = (OrderRevision, OrderLine, LegalHold, ExceptionCase, Event)
#: Moments at which something happened; the others are plans.
_HAPPENED: Final = frozenset({"at", "created_at", "finished_at", "opened_at", "resolved_at", "began_at", "ended_at"})
_OVER: Final[Mapping[type[Model], frozenset[str]]] = {
    # Whatever waits in these for a delivery has an open one, which is looked at too.
    Transmission: frozenset(set(TransmissionState) - {TransmissionState.RECEIVED}),
    Document: frozenset(
        {
            DocumentState.RELAYED,
            DocumentState.REJECTED,
            DocumentState.DISCARDED,
            DocumentState.REPLAYED,
            # A person closed its delivery: it goes no further.
            DocumentState.TRANSLATED,
            DocumentState.APPLIED,
        }
    ),
    Delivery: frozenset({DeliveryState.DELIVERED, DeliveryState.CANCELLED}),
    ExceptionCase: frozenset({CaseState.RESOLVED}),
}
_AT_ONCE: Final = 500  #: keys in one IN list

_M = TypeVar("_M", bound=Model)


@dataclass(slots=True)
class Unit:
    """What hangs together, and the orders it is about."""

    rows: Rows
    orders: set[int] = field(default_factory=set)

    def __len__(self) -> int:
        return sum(map(len, self.rows.values()))

    def of(self, model: type[_M]) -> list[_M]:
        return [row for row in self.rows.get(model, {}).values() if isinstance(row, model)]


@cache
def models() -> tuple[type[Model], ...]:
    """The tables of a unit, parents before what refers to them."""
    found: list[type[Model]] = [Transmission]
    for model in found:
        for relation in model._meta.get_fields(include_hidden=True):
            source = relation.related_model if relation.one_to_many or relation.one_to_one else None
            if isinstance(source, type) and source not in _STAY and source not in found:
                found.append(source)
    return tuple(found)


@cache
def book() -> tuple[type[Model], ...]:
    """The tables of an order, in the order in which they are written."""
    return (Order, OrderRevision, OrderLine, LegalHold)


def everything() -> tuple[type[Model], ...]:
    """Every table whose rows leave, in the order in which they are written."""
    return (*book(), *models())


@cache
def _ties() -> tuple[tuple[type[Model], str, type[Model]], ...]:
    """Foreign keys between tables of a unit: table, column, the table it refers to."""
    return tuple(
        (model, column.attname, column.related_model)
        for model in models()
        for column in model._meta.concrete_fields
        if isinstance(column, ForeignKey)
        and isinstance(column.related_model, type)
        and column.related_model in models()
    )


def units(transmissions: Collection[int], documents: Collection[int] = ()) -> list[Unit]:
    """The units these rows belong to, whole."""
    return _apart(_closure({Transmission: set(transmissions), Document: set(documents)}))


def _closure(wanted: dict[type[Model], set[int]]) -> Rows:
    found: Rows = {model: {} for model in models()}
    while any(wanted.values()):
        fresh: Rows = {model: _fetch(model, "pk", keys - found[model].keys()) for model, keys in wanted.items()}
        wanted = defaultdict(set)
        for model, rows in fresh.items():
            found[model].update(rows)
        for model, column, target in _ties():
            wanted[target] |= {
                key for row in fresh.get(model, {}).values() if (key := getattr(row, column)) is not None
            }
            if fresh.get(target):
                wanted[model] |= _referring(model, column, fresh[target])
        for model in wanted:
            wanted[model] -= found[model].keys()
    return found


def _fetch(model: type[Model], column: str, keys: Iterable[int]) -> dict[int, Model]:
    found: dict[int, Model] = {}
    for some in _portions(keys):
        found.update({row.pk: row for row in model._base_manager.filter(**{f"{column}__in": some})})
    return found


def _referring(model: type[Model], column: str, keys: Iterable[int]) -> set[int]:
    found: set[int] = set()
    for some in _portions(keys):
        found.update(model._base_manager.filter(**{f"{column}__in": some}).values_list("pk", flat=True))
    return found


def _portions(keys: Iterable[int]) -> Iterator[list[int]]:
    ordered = sorted(keys)
    for start in range(0, len(ordered), _AT_ONCE):
        yield ordered[start : start + _AT_ONCE]


def _apart(found: Rows) -> list[Unit]:
    """Rows that hang together, in one unit each; in the order of their first message."""
    leader: dict[tuple[type[Model], int], tuple[type[Model], int]] = {}

    def lead(node: tuple[type[Model], int]) -> tuple[type[Model], int]:
        while (upper := leader.setdefault(node, node)) != node:
            leader[node] = leader[upper]
            node = upper
        return node

    for model, column, target in _ties():
        for key, row in found[model].items():
            if (other := getattr(row, column)) is not None:
                leader[lead((model, key))] = lead((target, other))
    made: dict[tuple[type[Model], int], Unit] = {}
    for model in models():
        for key in sorted(found[model]):
            row = found[model][key]
            unit = made.setdefault(lead((model, key)), Unit(rows={}))
            unit.rows.setdefault(model, {})[key] = row
            if (order := getattr(row, "order_id", None)) is not None:
                unit.orders.add(order)
    _add_orders_of_lines(made.values())
    return list(made.values())


def _add_orders_of_lines(made: Iterable[Unit]) -> None:
    """Promises and shipments name a line."""
    said = [
        (unit, row.line_id)
        for unit in made
        for rows in unit.rows.values()
        for row in rows.values()
        if hasattr(row, "line_id")
    ]
    orders: dict[int, int] = {}
    for some in _portions({line for _, line in said}):
        orders.update(OrderLine.objects.filter(pk__in=some).values_list("pk", "order_id"))
    for unit, line in said:
        unit.orders.add(orders[line])


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgment:
    """What keeps rows from leaving, looked up once for many units."""

    partner_id: int
    before: datetime
    entries: frozenset[int]  #: deliveries that are in a queue
    unsealed: frozenset[int]  #: events that are not yet in the audit trail's chain
    orders: Mapping[int, str]  #: of each order, why what it is about stays; empty: it is over

    def why_stays(self, unit: Unit) -> str:
        """Why a unit stays, in words; empty when it may leave."""
        partners = {
            row.partner_id for rows in unit.rows.values() for row in rows.values() if hasattr(row, "partner_id")
        }
        if partners - {self.partner_id, None}:
            return "it is about several partners"
        for model, over in _OVER.items():
            for row in unit.rows.get(model, {}).values():
                state: str = getattr(row, "state", "")
                if state not in over:
                    return f"{row._meta.verbose_name} {row.pk} is {state}"
        if self.entries & unit.rows.get(Delivery, {}).keys():
            return "it waits in a queue"
        if newest(unit.rows) >= self.before:
            return "it is too young"
        if self.unsealed & unit.rows.get(Event, {}).keys():
            return "an event of it is not yet sealed"
        return next((why for order in sorted(unit.orders) if (why := self.orders[order])), "")


def judgment(found: Collection[Unit], *, partner_id: int, before: datetime) -> Judgment:
    """Everything that decides whether ``found`` may leave: nothing open, nothing held, nothing younger than ``before``."""
    orders = {order for unit in found for order in unit.orders}
    deliveries = {key for unit in found for key in unit.rows.get(Delivery, {})}
    events = {key for unit in found for key in unit.rows.get(Event, {})}
    return Judgment(
        partner_id=partner_id,
        before=before,
        entries=frozenset(_referring(QueueEntry, "delivery_id", deliveries)),
        unsealed=frozenset(_referring(UnsealedEvent, "event_id", events)),
        orders=why_orders_stay(orders, before=before),
    )


def why_orders_stay(keys: Collection[int], *, before: datetime) -> dict[int, str]:
    """Of each order, why it and what it is about stays; empty when it is over."""
    rows = _fetch(Order, "pk", keys)
    held: set[int] = set()
    open_lines: set[int] = set()
    for some in _portions(keys):
        held.update(
            key
            for key in LegalHold.objects.filter(order__in=some, ended_at=None).values_list("order_id", flat=True)
            if key is not None
        )
        open_lines.update(line.order_id for line in OrderLine.objects.filter(order__in=some) if line.open)
    return {
        key: _why_order_stays(row, before, held=key in held, open_lines=key in open_lines)
        for key, row in rows.items()
        if isinstance(row, Order)
    }


def _why_order_stays(order: Order, before: datetime, *, held: bool, open_lines: bool) -> str:
    if held:
        return f"{order} is under a legal hold"
    if order.updated_at >= before:
        return f"{order} is too young"
    if order.state == OrderState.OPEN and (order.acknowledged_revision or 0) < order.revision:
        return f"{order} is not answered"
    if order.state == OrderState.OPEN and open_lines:
        return f"{order} is not shipped"
    return ""


def orders_that_leave(keys: Collection[int], leaving: Rows, *, before: datetime) -> Rows:
    """Of these orders, those to which nothing refers that stays once ``leaving`` has left: each whole."""
    free = {key for key, why in why_orders_stay(keys, before=before).items() if not why}
    found: Rows = {model: {} for model in (*book(), *models())}
    for model, column in _about_orders():
        for some in _portions(set(free)):
            for row in model._base_manager.filter(**{f"{column}__in": some}):
                if row.pk in leaving.get(model, {}) or model in book():
                    continue
                if model not in _OF_ORDER or not _is_of_nothing_else(row):
                    free.discard(_order_of(row, column))
    # A case of the order alone has a history and events of its own.
    alone = _closure({ExceptionCase: set(), Event: set()} | _own(free, leaving))
    unsealed = _referring(UnsealedEvent, "event_id", alone[Event])
    stuck = {
        row.order_id
        for model in (ExceptionCase, Event)
        for row in alone[model].values()
        if (isinstance(row, ExceptionCase) and row.state != CaseState.RESOLVED)
        or (isinstance(row, Event) and row.pk in unsealed)
    }
    if stuck:
        free = {key for key in free if key not in stuck}
        alone = _closure({ExceptionCase: set(), Event: set()} | _own(free, leaving))
    for model, rows in alone.items():
        found[model].update(rows)
    found[Order] = _fetch(Order, "pk", free)
    for model in (OrderRevision, OrderLine, LegalHold):
        found[model] = _fetch(model, "order_id", free)
    return found


def _own(orders: Collection[int], leaving: Rows) -> dict[type[Model], set[int]]:
    return {
        model: _referring(model, "order_id", orders) - leaving.get(model, {}).keys() for model in (ExceptionCase, Event)
    }


@cache
def _about_orders() -> tuple[tuple[type[Model], str], ...]:
    """What refers to an order, by itself or by a line."""
    direct = [
        (model, column.attname)
        for model in apps.get_app_config("gateway").get_models()
        for column in model._meta.concrete_fields
        if isinstance(column, ForeignKey) and column.related_model is Order
    ]
    by_line = [
        (model, f"{column.name}__order_id")
        for model in apps.get_app_config("gateway").get_models()
        for column in model._meta.concrete_fields
        if isinstance(column, ForeignKey) and column.related_model is OrderLine
    ]
    return (*direct, *by_line)


def _order_of(row: Any, column: str) -> int:
    key: int = row.line.order_id if column.startswith("line__") else getattr(row, column)
    return key


def _is_of_nothing_else(row: Model) -> bool:
    """Whether an event or a case is about an order and nothing that leaves by itself."""
    ties = {column for model, column, target in _ties() if model is type(row) and target is not ExceptionCase}
    return all(getattr(row, column) is None for column in ties)


def newest(rows: Rows) -> datetime:
    """When something last happened to them."""
    moments: list[datetime] = [
        moment
        for model, some in rows.items()
        for column in model._meta.concrete_fields
        if isinstance(column, DateTimeField) and column.name in _HAPPENED
        for row in some.values()
        if (moment := getattr(row, column.attname)) is not None
    ]
    return max(moments)


def is_held(partner_id: int) -> bool:
    """Whether everything of this partner is under a legal hold."""
    return LegalHold.objects.filter(Q(partner_id=partner_id), ended_at=None).exists()
