"""The rows: the truth of the gateway. Everything else may be lost and is found again from here."""

from gateway.models.audit import Event
from gateway.models.deliveries import Attempt, Delivery, DeliveryKind, DeliveryLane, DeliveryState
from gateway.models.documents import Document, DocumentState
from gateway.models.exceptions import CaseEntry, CaseState, ExceptionCase
from gateway.models.orders import (
    ErpConnection,
    ErpToken,
    Order,
    OrderLine,
    OrderRevision,
    OrderState,
    Promise,
    ShippedQuantity,
)
from gateway.models.transmissions import Blob, Interchange, Transmission, TransmissionState

__all__ = [
    "Attempt",
    "Blob",
    "CaseEntry",
    "CaseState",
    "Delivery",
    "DeliveryKind",
    "DeliveryLane",
    "DeliveryState",
    "Document",
    "DocumentState",
    "ErpConnection",
    "ErpToken",
    "Event",
    "ExceptionCase",
    "Interchange",
    "Order",
    "OrderLine",
    "OrderRevision",
    "OrderState",
    "Promise",
    "ShippedQuantity",
    "Transmission",
    "TransmissionState",
]
