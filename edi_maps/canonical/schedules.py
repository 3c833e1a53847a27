"""What buyers will want and when: planning schedules that look ahead, shipping schedules that are exact to the hour.

A schedule is per item, not an order: what is firm in it is called off from an order that stands already.
"""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import JsonValue

from edi_maps.canonical.parts import (
    Carrier,
    Characteristic,
    Contact,
    Destination,
    Document,
    Freight,
    Measurement,
    Number,
    Packaging,
    Party,
    Price,
    ProductId,
    Purpose,
    Record,
    Reference,
    TimeOfDay,
    Totals,
)


class PlannedQuantity(Record):
    """How much, how surely and when. Of a cumulative schedule it is the total that shall have been delivered by then."""

    quantity: Number
    certainty: str | None = None  #: immediate, firm, planned, pilot, prototype …, or the code as sent
    bucket: str | None = None  #: the period that begins ``on``: day, week, month, flexible …, or the code as sent
    on: date | None = None
    until: date | None = None  #: where the period does not follow from its name
    date_kind: str | None = None  #: of ``on`` and ``time``, when they say another thing than the schedule's ``basis``
    time: TimeOfDay | None = None
    reference: Reference | None = None  #: what calls for it, such as a delivery order or a kanban card
    destinations: tuple[Destination, ...] = ()
    extra: dict[str, JsonValue] = {}


class TimedQuantity(Record):
    """A part of a day's quantity, at its hour."""

    quantity: Number
    time: TimeOfDay | None = None
    references: tuple[Reference, ...] = ()
    extra: dict[str, JsonValue] = {}


class CalledOffQuantity(PlannedQuantity):
    dates: dict[str, date] = {}
    times: tuple[TimedQuantity, ...] = ()


class DeliveryPattern(Record):
    """On which days, and when on them, deliveries are expected."""

    days: str  #: none, monday_to_friday, monday …, as_needed, or the code as sent
    shift: str | None = None  #: none, first, second, third, morning, afternoon, any, or the code as sent
    extra: dict[str, JsonValue] = {}


class PatternedQuantities(DeliveryPattern):
    """Quantities that are delivered by one pattern."""

    schedules: tuple[PlannedQuantity, ...] = ()


class ShippedQuantity(Record):
    """What the buyer has counted as shipped or received so far, for the supplier to compare."""

    kind: str | None = None  #: discrete: of one delivery; cumulative: since the count began; or the code as sent
    quantity: Number | None = None
    date_kind: str | None = None  #: shipped, received, cumulative_start …
    on: date | None = None
    time: TimeOfDay | None = None
    until: date | None = None
    until_time: TimeOfDay | None = None
    references: tuple[Reference, ...] = ()
    extra: dict[str, JsonValue] = {}


class Authorization(Record):
    """What the supplier may make or buy ahead at the buyer's risk."""

    kind: str  #: finished (labour and material), material, labour …, or the code as sent
    until: date | None = None
    quantity: Number | None = None  #: cumulative from ``since`` on
    most: Number | None = None  #: the greatest cumulative quantity
    since: date | None = None
    extra: dict[str, JsonValue] = {}


class _ScheduledItem(Record):
    line_number: str | None = None
    product_ids: tuple[ProductId, ...] = ()
    order_number: str | None = None  #: the order it is called off from
    order_line: str | None = None
    release_number: str | None = None
    contract_number: str | None = None
    unit: str | None = None
    unit_price: Number | None = None
    price_basis: str | None = None
    packaging: Packaging | None = None
    references: tuple[Reference, ...] = ()
    contacts: tuple[Contact, ...] = ()
    shipped: tuple[ShippedQuantity, ...] = ()
    extra: dict[str, JsonValue] = {}


class PlannedItem(_ScheduledItem):
    """One item at one place: for several places to ship to, the item comes several times."""

    description: str | None = None
    characteristics: tuple[Characteristic, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    prices: tuple[Price, ...] = ()
    dates: dict[str, date] = {}
    parties: tuple[Party, ...] = ()
    authorizations: tuple[Authorization, ...] = ()
    schedules: tuple[PlannedQuantity, ...] = ()
    patterns: tuple[PatternedQuantities, ...] = ()

    @property
    def all_schedules(self) -> tuple[PlannedQuantity, ...]:
        """The quantities without a pattern, then those of each pattern."""
        return (*self.schedules, *(one for pattern in self.patterns for one in pattern.schedules))


class CalledOffItem(_ScheduledItem):
    pattern: DeliveryPattern | None = None
    schedules: tuple[CalledOffQuantity, ...] = ()


class _Schedule(Document):
    number: str | None = None
    release_number: str | None = None
    purpose: Purpose = Purpose.ORIGINAL
    basis: str | None = None  #: what its dates mean: delivery, shipment, consumption, kanban …, or the code as sent
    counting: str | None = None  #: discrete: each quantity for itself; cumulative: all of them since the count began
    issued_on: date | None = None
    starts_on: date | None = None
    ends_on: date | None = None
    order_number: str | None = None
    contract_number: str | None = None
    parties: tuple[Party, ...] = ()
    dates: dict[str, date] = {}
    totals: Totals | None = None

    @property
    def business_number(self) -> str:
        return self.number or self.release_number or ""


class PlanningSchedule(_Schedule):
    """A forecast, as far as it is firm a release (830). It has a number, a release number or both."""

    type: Literal["planning_schedule"] = "planning_schedule"
    updated_on: date | None = None
    currency: str | None = None
    description: str | None = None
    references: tuple[Reference, ...] = ()
    contacts: tuple[Contact, ...] = ()
    freight: Freight | None = None
    carrier: Carrier | None = None
    items: tuple[PlannedItem, ...] = ()


class ShippingSchedule(_Schedule):
    """What to deliver in the next days, to the hour (862). It refines the planning schedule and does not replace it."""

    type: Literal["shipping_schedule"] = "shipping_schedule"
    forecast_number: str | None = None  #: the planning schedule it refines
    items: tuple[CalledOffItem, ...] = ()
