"""The canonical records: what a purchase order, an acknowledgment and a ship notice say, whatever they arrived as.

Names in JSON are the attribute names. Quantities and prices are decimal strings, days ``YYYY-MM-DD``, moments RFC 3339
with a zone. Absent means *not said*. What the wire had and the record has no name for is kept under ``extra``.
Business keys: an order is (ERP connection, company, number); answers name the order revision they answer.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import date
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, TypeAdapter

SCHEMA_VERSION: Final = "1"


def _exact(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("a number is wanted, not true or false")
    if isinstance(value, float):
        raise ValueError(f'write it as text, e.g. "{value}": a number with a fraction may have lost digits already')
    if isinstance(value, str | int):
        # Here and not in pydantic, which takes no text for a number when it reads strictly; what is none, it refuses.
        with suppress(InvalidOperation):
            return Decimal(value)
    return value


#: A finite decimal, from text, an integer or a Decimal; a float may have lost digits before we saw it.
Number = Annotated[Decimal, BeforeValidator(_exact), Field(allow_inf_nan=False, max_digits=30)]


class Purpose(StrEnum):
    ORIGINAL = "original"
    REPLACE = "replace"
    CANCEL = "cancel"
    CHANGE = "change"
    CONFIRMATION = "confirmation"
    DUPLICATE = "duplicate"
    OTHER = "other"  #: the code as sent is under ``extra``


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


class Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=False)


class ProductId(Record):
    kind: str  #: buyer_part, vendor_part, manufacturer_part, gtin, upc, ean, isbn, sku …, or the code as sent
    value: str


class Reference(Record):
    kind: str
    value: str | None = None
    description: str | None = None


class Note(Record):
    text: str
    kind: str | None = None


class Contact(Record):
    role: str | None = None
    name: str | None = None
    phone: str | None = None
    email: str | None = None


class Address(Record):
    lines: tuple[str, ...] = ()
    city: str | None = None
    region: str | None = None
    postal_code: str | None = None
    country: str | None = None


class Party(Record):
    role: str  #: buyer, seller, ship_to, ship_from, bill_to, vendor, manufacturer, store …, or the code as sent
    name: str | None = None
    id: str | None = None
    id_type: str | None = None  #: assigned_by_buyer, assigned_by_seller, duns, duns4, gln …, or the code as sent
    address: Address | None = None
    contacts: tuple[Contact, ...] = ()


class Term(Record):
    """Terms of payment."""

    kind: str | None = None
    basis: str | None = None
    discount_percent: Number | None = None
    discount_due_on: date | None = None
    discount_days: int | None = None
    net_due_on: date | None = None
    net_days: int | None = None
    description: str | None = None


class Carrier(Record):
    scac: str | None = None
    mode: str | None = None
    routing: str | None = None
    service: str | None = None
    tracking_number: str | None = None
    bill_of_lading: str | None = None
    trailer: str | None = None


class Weight(Record):
    value: Number
    unit: str | None = None
    kind: str | None = None


class Packaging(Record):
    units_per_pack: Number | None = None
    size: Number | None = None
    unit: str | None = None
    kind: str | None = None


class Totals(Record):
    line_count: int | None = None
    hash_total: Number | None = None
    amount: Number | None = None
    packages: int | None = None


class Schedule(Record):
    quantity: Number
    unit: str | None = None
    date_kind: str | None = None
    on: date | None = None


class Destination(Record):
    location: str
    quantity: Number
    unit: str | None = None


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


class _Document(Record):
    schema_version: str = SCHEMA_VERSION
    extra: dict[str, JsonValue] = {}


class _Order(_Document):
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


class OrderAcknowledgment(_Document):
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


class Mark(Record):
    kind: str
    value: str


class Package(Record):
    id: str
    parent_id: str | None = None
    level: Literal["tare", "pack"] = "pack"
    marks: tuple[Mark, ...] = ()
    sscc: str | None = None  #: 18 digits, without the application identifier
    type: str | None = None
    weight: Weight | None = None
    extra: dict[str, JsonValue] = {}


class ShippedItem(Record):
    order_number: str | None = None
    order_line: str | None = None
    order_revision: int | None = None
    release_number: str | None = None
    quantity: Number | None = None
    unit: str | None = None
    ordered_quantity: Number | None = None
    product_ids: tuple[ProductId, ...] = ()
    store: str | None = None  #: whose goods these are when one order is shipped to several locations
    package_id: str | None = None
    lots: tuple[str, ...] = ()
    serials: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()
    description: str | None = None
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


class ShipNotice(_Document):
    type: Literal["ship_notice"] = "ship_notice"
    shipment_number: str
    purpose: Purpose = Purpose.ORIGINAL
    created_at: AwareDatetime | None = None
    structure: str | None = None  #: BSN05 as sent, e.g. "0001"; often absent or untrue on the wire
    dates: dict[str, date] = {}
    carrier: Carrier | None = None
    parties: tuple[Party, ...] = ()
    references: tuple[Reference, ...] = ()
    notes: tuple[Note, ...] = ()
    weight: Weight | None = None
    orders: tuple[ShippedOrder, ...] = ()
    packages: tuple[Package, ...] = ()
    items: tuple[ShippedItem, ...] = ()
    totals: Totals | None = None


CanonicalRecord = PurchaseOrder | PurchaseOrderChange | OrderAcknowledgment | ShipNotice

_ADAPTER: TypeAdapter[CanonicalRecord] = TypeAdapter(Annotated[CanonicalRecord, Field(discriminator="type")])


def load(data: object) -> CanonicalRecord:
    """Make the record that ``data`` (decoded JSON, told apart by ``type``) describes.

    Raises:
        pydantic.ValidationError: every wrong field at once, each with its place.
    """
    return _ADAPTER.validate_python(data)


def load_json(text: str | bytes) -> CanonicalRecord:
    """Make the record that a JSON document describes, strictly: dates are text, text is no number, true is not 1.

    Raises:
        pydantic.ValidationError: every wrong field at once, each with its place.
    """
    return _ADAPTER.validate_json(text, strict=True)


def dump(record: CanonicalRecord) -> dict[str, Any]:
    """The record as JSON-ready data; what was not said is left out, an empty list like an absent one."""
    data: dict[str, Any] = _said(_ADAPTER.dump_python(record, mode="json", exclude_none=True))
    return data


def _said(value: Any) -> Any:
    """``value`` without the empty lists and objects in it; what is under ``extra`` stays as it came."""
    if isinstance(value, dict):
        return {
            name: item if name == "extra" else _said(item) for name, item in value.items() if item != [] and item != {}
        }
    return [_said(item) for item in value] if isinstance(value, list) else value
