"""The canonical records: what business documents say, whatever they arrived as.

Names in JSON are the attribute names. Quantities and prices are decimal strings, days ``YYYY-MM-DD``, moments RFC 3339
with a zone. Absent means *not said*. What the wire had and the record has no name for is kept under ``extra``.
Business keys: an order is (ERP connection, company, number); answers name the order revision they answer.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from edi_maps.canonical.application_advice import (
    Advice,
    AdviceLevel,
    AdviceProblem,
    AdviceVerdict,
    ApplicationAdvice,
)
from edi_maps.canonical.inventory_advice import InventoryAdvice, InventoryItem, StockQuantity
from edi_maps.canonical.invoice import (
    Invoice,
    InvoiceCharge,
    InvoiceKind,
    InvoiceLine,
    InvoiceTotals,
)
from edi_maps.canonical.orders import (
    AcknowledgmentLine,
    ChangeLine,
    Component,
    Disposition,
    LineAction,
    LineResponse,
    LineStatus,
    OrderAcknowledgment,
    OrderKind,
    OrderLine,
    PurchaseOrder,
    PurchaseOrderChange,
    SalesRequirement,
)
from edi_maps.canonical.parts import (
    SCHEMA_VERSION,
    Address,
    Carrier,
    Characteristic,
    Charge,
    Contact,
    Destination,
    Document,
    Freight,
    Mark,
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
    TimeOfDay,
    Totals,
    Volume,
    Weight,
)
from edi_maps.canonical.receiving_advice import Condition, Discrepancy, ReceivedLine, ReceivingAdvice
from edi_maps.canonical.schedules import (
    Authorization,
    CalledOffItem,
    CalledOffQuantity,
    DeliveryPattern,
    PatternedQuantities,
    PlannedItem,
    PlannedQuantity,
    PlanningSchedule,
    ShippedQuantity,
    ShippingSchedule,
    TimedQuantity,
)
from edi_maps.canonical.ship_notice import Load, Package, ShipNotice, ShippedItem, ShippedOrder

__all__ = [
    "SCHEMA_VERSION",
    "AcknowledgmentLine",
    "Address",
    "Advice",
    "AdviceLevel",
    "AdviceProblem",
    "AdviceVerdict",
    "ApplicationAdvice",
    "Authorization",
    "CalledOffItem",
    "CalledOffQuantity",
    "CanonicalRecord",
    "Carrier",
    "ChangeLine",
    "Characteristic",
    "Charge",
    "Component",
    "Condition",
    "Contact",
    "DeliveryPattern",
    "Destination",
    "Discrepancy",
    "Disposition",
    "Document",
    "Freight",
    "InventoryAdvice",
    "InventoryItem",
    "Invoice",
    "InvoiceCharge",
    "InvoiceKind",
    "InvoiceLine",
    "InvoiceTotals",
    "LineAction",
    "LineResponse",
    "LineStatus",
    "Load",
    "Mark",
    "Measurement",
    "Note",
    "Number",
    "OrderAcknowledgment",
    "OrderKind",
    "OrderLine",
    "Package",
    "Packaging",
    "Party",
    "PatternedQuantities",
    "PlannedItem",
    "PlannedQuantity",
    "PlanningSchedule",
    "Price",
    "ProductId",
    "PurchaseOrder",
    "PurchaseOrderChange",
    "Purpose",
    "ReceivedLine",
    "ReceivingAdvice",
    "Record",
    "Reference",
    "SalesRequirement",
    "Schedule",
    "ShipNotice",
    "ShippedItem",
    "ShippedOrder",
    "ShippedQuantity",
    "ShippingSchedule",
    "StockQuantity",
    "Tax",
    "Term",
    "TimeOfDay",
    "TimedQuantity",
    "Totals",
    "Volume",
    "Weight",
    "dump",
    "load",
    "load_json",
]

CanonicalRecord = (
    PurchaseOrder
    | PurchaseOrderChange
    | OrderAcknowledgment
    | ShipNotice
    | ApplicationAdvice
    | PlanningSchedule
    | ShippingSchedule
    | InventoryAdvice
    | ReceivingAdvice
    | Invoice
)

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
