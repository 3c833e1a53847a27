"""What a supplier, a warehouse or a consignment store has in stock, and what is under way."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import JsonValue

from edi_maps.canonical.parts import (
    Characteristic,
    Contact,
    Destination,
    Document,
    Measurement,
    Number,
    Party,
    Price,
    ProductId,
    Purpose,
    Record,
    Reference,
    Schedule,
    TimeOfDay,
    Totals,
)


class StockQuantity(Record):
    kind: str  #: on_hand, available, committed, in_transit, on_order, unusable …, or the code as sent
    quantity: Number | None = None
    unit: str | None = None
    dates: dict[str, date] = {}  #: such as ``available``, when it will be there
    schedules: tuple[Schedule, ...] = ()  #: further quantities with their days
    extra: dict[str, JsonValue] = {}


class InventoryItem(Record):
    line_number: str | None = None
    product_ids: tuple[ProductId, ...] = ()
    description: str | None = None
    characteristics: tuple[Characteristic, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    unit: str | None = None
    unit_price: Number | None = None
    price_basis: str | None = None
    currency: str | None = None
    prices: tuple[Price, ...] = ()
    dates: dict[str, date] = {}
    lots: tuple[str, ...] = ()
    serials: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()
    contacts: tuple[Contact, ...] = ()
    quantities: tuple[StockQuantity, ...] = ()
    locations: tuple[Destination, ...] = ()  #: how much of it lies where
    parties: tuple[Party, ...] = ()  #: whose it is and where it lies
    extra: dict[str, JsonValue] = {}


class InventoryAdvice(Document):
    """An 846."""

    type: Literal["inventory_advice"] = "inventory_advice"
    number: str
    purpose: Purpose = Purpose.ORIGINAL
    kind: str | None = (
        None  #: whose stock: seller, manufacturer, distributor, location, consignment …, or the code as sent
    )
    reported_on: date | None = None
    reported_at: TimeOfDay | None = None
    currency: str | None = None
    dates: dict[str, date] = {}
    references: tuple[Reference, ...] = ()
    contacts: tuple[Contact, ...] = ()
    parties: tuple[Party, ...] = ()
    items: tuple[InventoryItem, ...] = ()
    totals: Totals | None = None

    @property
    def business_number(self) -> str:
        return self.number
