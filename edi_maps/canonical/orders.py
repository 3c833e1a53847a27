"""Purchase orders, their changes, and what suppliers answer to either."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Literal

from pydantic import JsonValue

from edi_maps.canonical.parts import (
    Carrier,
    Destination,
    Document,
    Note,
    Number,
    Packaging,
    Party,
    ProductId,
    Purpose,
    Record,
    Reference,
    Schedule,
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
    """What a change does to one line."""

    ADD = "add"
    DELETE = "delete"
    CHANGE_QUANTITY = "change_quantity"
    CHANGE_PRICE = "change_price"
    CHANGE_DATE = "change_date"
    REPLACE = "replace"
    NONE = "none"


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


class OrderLine(Record):
    line_number: str | None = None
    quantity: Number | None = None
    unit: str | None = None
    unit_price: Number | None = None
    price_basis: str | None = None
    product_ids: tuple[ProductId, ...] = ()
    description: str | None = None
    dates: dict[str, date] = {}
    schedules: tuple[Schedule, ...] = ()
    destinations: tuple[Destination, ...] = ()
    references: tuple[Reference, ...] = ()
    notes: tuple[Note, ...] = ()
    packaging: Packaging | None = None
    parties: tuple[Party, ...] = ()
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
    dates: dict[str, date] = {}
    references: tuple[Reference, ...] = ()
    terms: tuple[Term, ...] = ()
    carrier: Carrier | None = None
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
    quantity_left: Number | None = None


class PurchaseOrderChange(_Order):
    type: Literal["purchase_order_change"] = "purchase_order_change"
    purpose: Purpose = Purpose.CHANGE
    change_sequence: str | None = None
    changed_on: date | None = None
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
    product_ids: tuple[ProductId, ...] = ()
    text: str | None = None


class AcknowledgmentLine(Record):
    line_number: str | None = None
    quantity: Number | None = None
    unit: str | None = None
    unit_price: Number | None = None
    product_ids: tuple[ProductId, ...] = ()
    description: str | None = None
    responses: tuple[LineResponse, ...] = ()
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
    seller_reference: str | None = None
    currency: str | None = None
    parties: tuple[Party, ...] = ()
    dates: dict[str, date] = {}
    references: tuple[Reference, ...] = ()
    notes: tuple[Note, ...] = ()
    lines: tuple[AcknowledgmentLine, ...] = ()
    totals: Totals | None = None

    @property
    def business_number(self) -> str:
        return self.order_number
