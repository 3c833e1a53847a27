"""Purchase orders, their changes, and what suppliers answer to either."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Literal

from pydantic import JsonValue

from edi_maps.canonical.parts import (
    Carrier,
    Characteristic,
    Charge,
    Contact,
    Destination,
    Document,
    Freight,
    Measurement,
    Note,
    Number,
    Packaging,
    Party,
    Price,
    ProductId,
    Purpose,
    Record,
    Reference,
    Schedule,
    Tax,
    Term,
    Totals,
)


class OrderKind(StrEnum):
    STANDALONE = "standalone"
    BLANKET = "blanket"
    RELEASE = "release"
    DROP_SHIP = "drop_ship"
    RUSH = "rush"
    OTHER = "other"


class LineAction(StrEnum):
    """What a change does to one line. Whatever its name, the line says how it stands from now on."""

    ADD = "add"
    DELETE = "delete"
    CHANGE = "change"  #: what of it, the line itself says
    CHANGE_QUANTITY = "change_quantity"  #: up or down is not said
    INCREASE_QUANTITY = "increase_quantity"
    DECREASE_QUANTITY = "decrease_quantity"
    CHANGE_PRICE = "change_price"
    CHANGE_PRICE_AND_QUANTITY = "change_price_and_quantity"
    CHANGE_PRICE_AND_DATE = "change_price_and_date"
    CHANGE_QUANTITY_AND_DATE = "change_quantity_and_date"
    CHANGE_PRICE_QUANTITY_AND_DATE = "change_price_quantity_and_date"
    CHANGE_DATE = "change_date"
    CHANGE_TERMS = "change_terms"
    CHANGE_CHARGES = "change_charges"
    RESCHEDULE = "reschedule"
    REPLACE = "replace"
    REPLACE_DATES = "replace_dates"
    REPLACE_ITEM = "replace_item"
    REPLACE_CARRIER = "replace_carrier"
    TRANSFER = "transfer"
    REJECT = "reject"  #: the change asked for is refused
    NONE = "none"
    OTHER = "other"  #: the code as sent is under ``extra``


class Disposition(StrEnum):
    """What the supplier says to the order as a whole. ``received`` is no decision yet, never an acceptance."""

    ACCEPTED = "accepted"
    ACCEPTED_WITH_CHANGES = "accepted_with_changes"
    EXCEPTIONS_ONLY = "exceptions_only"  #: accepted, but for what its lines say (855 BAK02 = AE)
    REJECTED = "rejected"
    RECEIVED = "received"
    OTHER = "other"


class LineStatus(StrEnum):
    ACCEPTED = "accepted"
    ACCEPTED_WITH_CHANGES = "accepted_with_changes"
    QUANTITY_CHANGED = "quantity_changed"
    PRICE_CHANGED = "price_changed"
    PRICE_PENDING = "price_pending"
    DATE_CHANGED = "date_changed"
    DATE_PENDING = "date_pending"
    BACKORDERED = "backordered"
    PARTIALLY_SHIPPED = "partially_shipped"
    SUBSTITUTED = "substituted"
    ON_HOLD = "on_hold"
    REJECTED = "rejected"
    DELETED = "deleted"
    SHIPPED = "shipped"
    OTHER = "other"


class SalesRequirement(Record):
    """A condition of the whole sale: how back orders are handled, what may take the place of what."""

    kind: str | None = None  #: no_backorder, backorder, ship_complete …, or the code as sent
    substitution: str | None = None  #: as sent: X12 element 566
    amount: Number | None = None  #: not to be exceeded
    account: str | None = None
    on: date | None = None
    agency: str | None = None  #: whose list ``service`` is of, as sent
    service: str | None = None


class Component(Record):
    """What a line is made of: an item of an assortment, a part of a kit, an option, a substitute."""

    id: str | None = None
    parent_id: str | None = None  #: the component this one is part of; None: of the line itself
    relationship: str | None = None  #: included, added, deleted, substituted, information, or the code as sent
    quantity: Number | None = None
    unit: str | None = None
    unit_price: Number | None = None
    price_basis: str | None = None
    product_ids: tuple[ProductId, ...] = ()
    description: str | None = None
    characteristics: tuple[Characteristic, ...] = ()
    dates: dict[str, date] = {}
    references: tuple[Reference, ...] = ()
    notes: tuple[Note, ...] = ()
    parties: tuple[Party, ...] = ()
    charges: tuple[Charge, ...] = ()
    prices: tuple[Price, ...] = ()
    extra: dict[str, JsonValue] = {}


class OrderLine(Record):
    line_number: str | None = None
    quantity: Number | None = None
    unit: str | None = None
    unit_price: Number | None = None
    price_basis: str | None = None
    product_ids: tuple[ProductId, ...] = ()
    description: str | None = None
    characteristics: tuple[Characteristic, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    prices: tuple[Price, ...] = ()
    charges: tuple[Charge, ...] = ()
    taxes: tuple[Tax, ...] = ()
    dates: dict[str, date] = {}
    schedules: tuple[Schedule, ...] = ()
    destinations: tuple[Destination, ...] = ()
    references: tuple[Reference, ...] = ()
    contacts: tuple[Contact, ...] = ()
    notes: tuple[Note, ...] = ()
    packaging: Packaging | None = None
    packing: tuple[Characteristic, ...] = ()  #: how it is to be packed and marked
    parties: tuple[Party, ...] = ()
    components: tuple[Component, ...] = ()
    extra: dict[str, JsonValue] = {}


class _Order(Document):
    number: str
    revision: int | None = None
    purpose: Purpose = Purpose.ORIGINAL
    kind: OrderKind | None = None
    ordered_on: date | None = None
    currency: str | None = None
    release_number: str | None = None
    contract_number: str | None = None
    parties: tuple[Party, ...] = ()
    contacts: tuple[Contact, ...] = ()
    dates: dict[str, date] = {}
    references: tuple[Reference, ...] = ()
    terms: tuple[Term, ...] = ()
    requirements: tuple[SalesRequirement, ...] = ()
    charges: tuple[Charge, ...] = ()
    taxes: tuple[Tax, ...] = ()
    freight: Freight | None = None
    carrier: Carrier | None = None
    packing: tuple[Characteristic, ...] = ()  #: how all of it is to be packed and marked
    notes: tuple[Note, ...] = ()
    totals: Totals | None = None

    @property
    def business_number(self) -> str:
        return self.number


class PurchaseOrder(_Order):
    type: Literal["purchase_order"] = "purchase_order"
    lines: tuple[OrderLine, ...] = ()


class ChangeLine(OrderLine):
    action: LineAction = LineAction.NONE
    quantity_left: Number | None = None  #: of the new quantity, what is still to come


class PurchaseOrderChange(_Order):
    type: Literal["purchase_order_change"] = "purchase_order_change"
    purpose: Purpose = Purpose.CHANGE
    change_sequence: str | None = None  #: the buyer's number of this change to the order
    changed_on: date | None = None
    request_reference: str | None = None
    seller_reference: str | None = None
    lines: tuple[ChangeLine, ...] = ()


class LineResponse(Record):
    """One answer to one order line; several together add up to the ordered quantity unless some are rejected."""

    status: LineStatus
    code: str | None = None  #: as sent
    quantity: Number | None = None
    unit: str | None = None
    unit_price: Number | None = None
    date_kind: str | None = None
    on: date | None = None
    reference: str | None = None  #: the seller's own word or number for this answer
    product_ids: tuple[ProductId, ...] = ()
    text: str | None = None


class AcknowledgmentLine(Record):
    line_number: str | None = None
    action: LineAction | None = None  #: in an answer to a change: what the change does to the line
    quantity: Number | None = None
    quantity_left: Number | None = None  #: in an answer to a change: what is still to come
    unit: str | None = None
    unit_price: Number | None = None
    price_basis: str | None = None
    product_ids: tuple[ProductId, ...] = ()
    description: str | None = None
    characteristics: tuple[Characteristic, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    prices: tuple[Price, ...] = ()
    charges: tuple[Charge, ...] = ()
    dates: dict[str, date] = {}
    references: tuple[Reference, ...] = ()
    responses: tuple[LineResponse, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    notes: tuple[Note, ...] = ()
    parties: tuple[Party, ...] = ()
    components: tuple[Component, ...] = ()
    extra: dict[str, JsonValue] = {}


class OrderAcknowledgment(Document):
    """An 855, or an 865 as ``change_acknowledgment``."""

    type: Literal["order_acknowledgment", "change_acknowledgment"] = "order_acknowledgment"
    order_number: str
    order_revision: int | None = None
    release_number: str | None = None
    contract_number: str | None = None
    ordered_on: date | None = None
    purpose: Purpose = Purpose.ORIGINAL
    disposition: Disposition
    acknowledged_on: date | None = None
    change_sequence: str | None = None  #: the buyer's number of the change that is answered
    changed_on: date | None = None  #: the day of the change that is answered
    request_reference: str | None = None
    seller_reference: str | None = None
    currency: str | None = None
    parties: tuple[Party, ...] = ()
    contacts: tuple[Contact, ...] = ()
    dates: dict[str, date] = {}
    references: tuple[Reference, ...] = ()
    terms: tuple[Term, ...] = ()
    charges: tuple[Charge, ...] = ()
    freight: Freight | None = None
    carrier: Carrier | None = None
    notes: tuple[Note, ...] = ()
    lines: tuple[AcknowledgmentLine, ...] = ()
    totals: Totals | None = None

    @property
    def business_number(self) -> str:
        return self.order_number
