"""What suppliers ship: the notice, its packages and the items in them."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import AwareDatetime, JsonValue

from edi_maps.canonical.orders import Component
from edi_maps.canonical.parts import (
    Carrier,
    Characteristic,
    Charge,
    Contact,
    Document,
    Freight,
    Mark,
    Measurement,
    Note,
    Number,
    Packaging,
    Party,
    ProductId,
    Purpose,
    Record,
    Reference,
    Totals,
    Volume,
    Weight,
)


class Load(Record):
    """Equal containers of one item: so many of them, with so much in each."""

    containers: int
    quantity: Number  #: in each
    packaging: str | None = None  #: as sent
    size: Number | None = None
    unit: str | None = None
    references: tuple[Reference, ...] = ()  #: the labels of the containers


class Package(Record):
    id: str
    parent_id: str | None = None
    level: Literal["tare", "pack"] = "pack"
    marks: tuple[Mark, ...] = ()
    sscc: str | None = None  #: 18 digits, without the application identifier
    type: str | None = None
    weight: Weight | None = None
    volume: Volume | None = None
    packaging: Packaging | None = None
    measurements: tuple[Measurement, ...] = ()
    references: tuple[Reference, ...] = ()
    extra: dict[str, JsonValue] = {}


class ShippedItem(Record):
    order_number: str | None = None
    order_line: str | None = None
    order_revision: int | None = None
    release_number: str | None = None
    quantity: Number | None = None
    unit: str | None = None
    quantity_to_date: Number | None = None  #: shipped of this order line so far, this shipment included
    ordered_quantity: Number | None = None
    status: str | None = None  #: as ``status`` of a response, or the code as sent
    product_ids: tuple[ProductId, ...] = ()
    store: str | None = None  #: whose goods these are when one order is shipped to several locations
    package_id: str | None = None
    lots: tuple[str, ...] = ()
    serials: tuple[str, ...] = ()
    dates: dict[str, date] = {}  #: lot_expiry, produced …: of all its lots
    references: tuple[Reference, ...] = ()
    description: str | None = None
    characteristics: tuple[Characteristic, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    packaging: Packaging | None = None
    loads: tuple[Load, ...] = ()
    marks: tuple[Mark, ...] = ()
    components: tuple[Component, ...] = ()
    parties: tuple[Party, ...] = ()
    extra: dict[str, JsonValue] = {}


class ShippedOrder(Record):
    """What a ship notice says about one order (and one ``store``) beyond the fields its items carry."""

    order_number: str | None = None
    order_revision: int | None = None
    release_number: str | None = None
    contract_number: str | None = None
    ordered_on: date | None = None
    store: str | None = None  #: id of the party the goods of this order level are for
    parties: tuple[Party, ...] = ()
    dates: dict[str, date] = {}
    references: tuple[Reference, ...] = ()
    extra: dict[str, JsonValue] = {}


class ShipNotice(Document):
    type: Literal["ship_notice"] = "ship_notice"
    shipment_number: str
    purpose: Purpose = Purpose.ORIGINAL
    created_at: AwareDatetime | None = None
    structure: str | None = None  #: BSN05 as sent, e.g. "0001"; often absent or untrue on the wire
    status: str | None = None  #: of what was ordered: complete, partial, partial_backorder …, or the code as sent
    dates: dict[str, date] = {}
    carrier: Carrier | None = None
    freight: Freight | None = None
    parties: tuple[Party, ...] = ()
    contacts: tuple[Contact, ...] = ()
    references: tuple[Reference, ...] = ()
    notes: tuple[Note, ...] = ()
    weight: Weight | None = None
    volume: Volume | None = None
    measurements: tuple[Measurement, ...] = ()
    charges: tuple[Charge, ...] = ()
    orders: tuple[ShippedOrder, ...] = ()
    packages: tuple[Package, ...] = ()
    items: tuple[ShippedItem, ...] = ()
    totals: Totals | None = None

    @property
    def business_number(self) -> str:
        return self.shipment_number
