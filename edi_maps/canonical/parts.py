"""The parts records are made of: parties, references, quantities, and what every record has."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import suppress
from datetime import date, time
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue

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


def _without_zone(value: time) -> time:
    if value.tzinfo is not None:
        raise ValueError("a time of day without a zone is wanted: it is meant where the goods are")
    return value


#: A time of day that names no zone: it is meant where the goods are.
TimeOfDay = Annotated[time, AfterValidator(_without_zone)]


class Purpose(StrEnum):
    ORIGINAL = "original"
    REPLACE = "replace"
    CANCEL = "cancel"
    CHANGE = "change"
    CONFIRMATION = "confirmation"
    DUPLICATE = "duplicate"
    OTHER = "other"  #: the code as sent is under ``extra``


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
    reference: str | None = None  #: the number the text stands under
    title: str | None = None  #: the heading it stands under


class Contact(Record):
    role: str | None = None
    name: str | None = None
    phone: str | None = None
    email: str | None = None
    fax: str | None = None


class Address(Record):
    lines: tuple[str, ...] = ()
    city: str | None = None
    region: str | None = None
    postal_code: str | None = None
    country: str | None = None
    location_kind: str | None = None  #: what ``location`` is, as sent: X12 element 309, DE destination, RG region …
    location: str | None = None


class Party(Record):
    role: str  #: buyer, seller, ship_to, ship_from, bill_to, vendor, manufacturer, store …, or the code as sent
    name: str | None = None
    more_names: tuple[str, ...] = ()  #: a department, a person, the rest of a long name
    id: str | None = None
    id_type: str | None = None  #: assigned_by_buyer, assigned_by_seller, duns, duns4, gln …, or the code as sent
    address: Address | None = None
    references: tuple[Reference, ...] = ()
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


class Charge(Record):
    """What is added to or taken off the price of the goods: a charge, an allowance, a service."""

    kind: str  #: allowance, charge, service, promotion, none (neither is meant) …, or the code as sent
    code: str | None = None  #: what it is for, as sent: X12 element 1300, D240 freight, H850 tax …
    agency: str | None = None  #: whose list ``agency_code`` is of, as sent
    agency_code: str | None = None
    amount: Number | None = None  #: in the currency of the document; ``kind`` says which way
    percent: Number | None = None
    percent_basis: str | None = None  #: what the percentage is of, as sent
    rate: Number | None = None  #: per unit
    quantity: Number | None = None
    unit: str | None = None
    settlement: str | None = None  #: off_invoice, bill_back, credit_to_account …, or the code as sent
    reference: str | None = None
    description: str | None = None


class Price(Record):
    """One of several prices of the same goods: of a list, for a class of trade, from a quantity on."""

    kind: str | None = None  #: unit_cost, resale, suggested_retail, wholesale …, or the code as sent
    trade_class: str | None = None  #: who pays it, as sent: X12 element 687, RS resale, WS user …
    unit_price: Number | None = None
    quantity: Number | None = None  #: from this quantity on, or of it
    unit: str | None = None
    factor_kind: str | None = None  #: discount, selling …, or the code as sent
    factor: Number | None = None  #: what the price is multiplied by
    amount: Number | None = None
    basis: str | None = None  #: as ``price_basis`` of a line
    extra: dict[str, JsonValue] = {}


class Tax(Record):
    kind: str  #: sales, state, federal, goods_and_services, value_added …, or the code as sent
    amount: Number | None = None
    percent: Number | None = None
    taxable_amount: Number | None = None  #: what the percentage is of
    jurisdiction: str | None = None
    jurisdiction_kind: str | None = None  #: whose code ``jurisdiction`` is, as sent
    exemption: str | None = None  #: as sent
    tax_number: str | None = None


class Freight(Record):
    """Who pays the freight, and where goods and risk change hands."""

    payment: str | None = None  #: prepaid, prepaid_and_charged, collect, third_party …, or the code as sent
    location_kind: str | None = None  #: origin, destination …, or the code as sent
    location: str | None = None
    terms: str | None = None  #: EXW, FOB, DDP …
    terms_list: str | None = None  #: whose terms they are, as sent: X12 element 334, 01 Incoterms
    title_location_kind: str | None = None
    title_location: str | None = None  #: where the title passes
    risk: str | None = None  #: who bears the loss on the way, as sent: X12 element 54
    risk_description: str | None = None


class Carrier(Record):
    scac: str | None = None
    id: str | None = None  #: what the carrier is called by the list of ``id_type``, where it has no SCAC here
    id_type: str | None = None  #: as ``id_type`` of a party
    mode: str | None = None
    routing: str | None = None
    service: str | None = None
    transit_time: Number | None = None
    transit_unit: str | None = None  #: calendar_days, working_days, hours …, or the code as sent
    tracking_number: str | None = None
    bill_of_lading: str | None = None
    equipment: str | None = None  #: what ``trailer`` is where it is none, as sent: X12 element 40, CN container …
    trailer: str | None = None
    trailer_owner: str | None = None  #: the letters before the number
    seal: str | None = None


class Weight(Record):
    value: Number
    unit: str | None = None
    kind: str | None = None


class Volume(Record):
    value: Number
    unit: str | None = None


class Mark(Record):
    """What stands on a package."""

    kind: str  #: sscc, carrier_package, case_code …, or the code as sent
    value: str
    last: str | None = None  #: of a range that starts with ``value``


class Packaging(Record):
    """How goods are packed: ``units_per_pack`` inner packs of ``size`` ``unit`` each, as PO4 counts them."""

    units_per_pack: Number | None = None
    size: Number | None = None
    unit: str | None = None
    kind: str | None = None
    inner_packs: int | None = None
    weight: Weight | None = None  #: of one pack
    volume: Volume | None = None  #: of one pack
    length: Number | None = None
    width: Number | None = None
    height: Number | None = None
    dimension_unit: str | None = None


class Characteristic(Record):
    """A property of goods, or of how they are to be packed, in words, in a code, or in both."""

    kind: str | None = None  #: product, colour, vendor_size, packaging …, or the code as sent
    form: str | None = None  #: free (words), structured (a code), semi_structured (both), or the code as sent
    agency: str | None = None  #: whose list ``code`` is of, as sent
    code: str | None = None
    text: str | None = None


class Measurement(Record):
    """What was measured or is demanded: a width, a temperature, a range of weights."""

    category: str | None = None  #: dimensions, weights, temperature …, or the code as sent
    kind: str | None = None  #: length, width, gross_weight …, or the code as sent
    value: Number | None = None
    unit: str | None = None
    minimum: Number | None = None
    maximum: Number | None = None


class Totals(Record):
    line_count: int | None = None
    hash_total: Number | None = None
    amount: Number | None = None
    line_amount: Number | None = None  #: of the lines alone, without charges and taxes
    weight: Weight | None = None
    volume: Volume | None = None
    packages: int | None = None
    package_type: str | None = None  #: of all ``packages``, as sent


class Schedule(Record):
    quantity: Number
    unit: str | None = None
    recipient_role: str | None = None  #: as ``role`` of a party
    recipient: str | None = None  #: whom or where this part is for
    date_kind: str | None = None
    on: date | None = None
    at: TimeOfDay | None = None
    other_date_kind: str | None = None
    other_on: date | None = None  #: a second date of the same part: picked up on, delivered on


class Destination(Record):
    location: str
    quantity: Number
    unit: str | None = None


class Document(Record):
    """What a partner sends as one: every record of a ``type`` of its own."""

    schema_version: str = SCHEMA_VERSION
    extra: dict[str, JsonValue] = {}

    @property
    @abstractmethod
    def business_number(self) -> str:
        """What people call this document by: the number of the order, the shipment, the invoice …"""
