"""What a supplier bills: the goods at their price, what is added and taken off, and the total."""

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
    Tax,
    Term,
    Totals,
)


class InvoiceKind(StrEnum):
    """Whether the invoice asks for money (debit) or gives it back (credit), and on what occasion."""

    DEBIT = "debit"
    CREDIT = "credit"
    DEBIT_MEMO = "debit_memo"
    CREDIT_MEMO = "credit_memo"
    CREDIT_REQUEST = "credit_request"
    DROP_SHIP = "drop_ship"
    CONSOLIDATED = "consolidated"
    PARTIAL = "partial"
    FINAL = "final"
    PREPAID = "prepaid"
    CORRECTED = "corrected"
    DUPLICATE = "duplicate"
    MEMORANDUM = "memorandum"
    OTHER = "other"


class InvoiceCharge(Charge):
    taxes: tuple[Tax, ...] = ()


class InvoiceLine(Record):
    line_number: str | None = None
    order_number: str | None = None
    order_line: str | None = None
    quantity: Number | None = None
    unit: str | None = None
    unit_price: Number | None = None
    price_basis: str | None = None
    product_ids: tuple[ProductId, ...] = ()
    prices: tuple[Price, ...] = ()  #: beside ``unit_price``
    description: str | None = None
    characteristics: tuple[Characteristic, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    packaging: Packaging | None = None
    dates: dict[str, date] = {}
    references: tuple[Reference, ...] = ()
    terms: tuple[Term, ...] = ()
    taxes: tuple[Tax, ...] = ()
    charges: tuple[InvoiceCharge, ...] = ()
    parties: tuple[Party, ...] = ()
    extra: dict[str, JsonValue] = {}


class InvoiceTotals(Totals):
    """``amount`` is what the invoice comes to, all charges and taxes included."""

    discountable: Number | None = None  #: what the terms' discount is of
    discounted: Number | None = None  #: ``amount`` less the discount
    discount: Number | None = None
    shipped: Number | None = None  #: units
    shipped_unit: str | None = None


class Invoice(Document):
    type: Literal["invoice"] = "invoice"
    number: str
    purpose: Purpose | None = None
    kind: InvoiceKind | None = None
    invoiced_on: date | None = None
    order_number: str | None = None
    ordered_on: date | None = None
    release_number: str | None = None
    currency: str | None = None
    parties: tuple[Party, ...] = ()
    contacts: tuple[Contact, ...] = ()
    dates: dict[str, date] = {}
    references: tuple[Reference, ...] = ()
    terms: tuple[Term, ...] = ()
    freight: Freight | None = None
    carrier: Carrier | None = None
    notes: tuple[Note, ...] = ()
    lines: tuple[InvoiceLine, ...] = ()
    charges: tuple[InvoiceCharge, ...] = ()
    taxes: tuple[Tax, ...] = ()
    totals: InvoiceTotals | None = None

    @property
    def business_number(self) -> str:
        return self.number
