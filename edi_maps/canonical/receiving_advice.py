"""What a buyer received of a shipment: how much, in which condition, and what goes back."""

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
    Document,
    Mark,
    Measurement,
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


class Condition(StrEnum):
    """What is said of goods that came, or did not come."""

    GOOD = "good"
    DAMAGED = "damaged"
    SHORT = "short"
    OVER = "over"
    OVER_RETURNED = "over_returned"
    QUALITY = "quality"
    WRONG_PRODUCT = "wrong_product"
    WRONG_CONTAINER = "wrong_container"
    REJECTED = "rejected"
    ON_HOLD = "on_hold"
    SCRAPPED = "scrapped"
    CUMULATIVE_ADJUSTED = "cumulative_adjusted"  #: the supplier is to adjust what it says it has shipped so far
    NOT_RECEIVED = "not_received"  #: a ship notice is needed first
    WITHOUT_SHIP_NOTICE = "without_ship_notice"  #: received and processed, though no ship notice matches
    UNPROCESSED = "unprocessed"  #: received, but not processed: no ship notice matches
    OTHER = "other"


class Discrepancy(Record):
    """A quantity in question, and why."""

    quantity: Number | None = None  #: None: all there is
    unit: str | None = None
    condition: Condition
    code: str | None = None  #: as sent


class ReceivedLine(Record):
    line_number: str | None = None
    order_number: str | None = None
    order_line: str | None = None
    release_number: str | None = None
    received: Number | None = None  #: received or accepted
    unit: str | None = None
    returned: Number | None = None
    returned_unit: str | None = None
    shipped: Number | None = None
    shipped_unit: str | None = None
    received_to_date: Number | None = None
    discrepancies: tuple[Discrepancy, ...] = ()
    product_ids: tuple[ProductId, ...] = ()
    description: str | None = None
    characteristics: tuple[Characteristic, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    packaging: Packaging | None = None
    lots: tuple[str, ...] = ()
    serials: tuple[str, ...] = ()
    marks: tuple[Mark, ...] = ()
    dates: dict[str, date] = {}
    references: tuple[Reference, ...] = ()
    charges: tuple[Charge, ...] = ()
    parties: tuple[Party, ...] = ()
    extra: dict[str, JsonValue] = {}


class ReceivingAdvice(Document):
    type: Literal["receiving_advice"] = "receiving_advice"
    number: str
    purpose: Purpose = Purpose.ORIGINAL
    kind: str | None = None  #: from_the_dock, posted, or the code as sent
    condition: Condition | None = None  #: of the whole
    created_on: date | None = None
    received_on: date | None = None
    shipment_number: str | None = None  #: of the ship notice
    order_number: str | None = None  #: when one order says it for all lines
    release_number: str | None = None
    contract_number: str | None = None
    ordered_on: date | None = None
    currency: str | None = None
    parties: tuple[Party, ...] = ()
    contacts: tuple[Contact, ...] = ()
    dates: dict[str, date] = {}
    references: tuple[Reference, ...] = ()
    carrier: Carrier | None = None
    weight: Weight | None = None
    volume: Volume | None = None
    measurements: tuple[Measurement, ...] = ()
    lines: tuple[ReceivedLine, ...] = ()
    totals: Totals | None = None

    @property
    def business_number(self) -> str:
        return self.number
