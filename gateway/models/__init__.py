"""The rows: the truth of the gateway. Everything else may be lost and is found again from here."""

from gateway.models.audit import AuditBatch, AuditKey, Checkpoint, Event, UnsealedEvent
from gateway.models.deliveries import Delivery, DeliveryKind, DeliveryState
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
from gateway.models.queue import Breaker, EntryState, Heartbeat, QueueEntry, QueueLane
from gateway.models.retention import Archive, ArchivedRow, ArchivingNow, LegalHold
from gateway.models.transmissions import Blob, Interchange, Transmission, TransmissionState

__all__ = [
    "Archive",
    "ArchivedRow",
    "ArchivingNow",
    "AuditBatch",
    "AuditKey",
    "Blob",
    "Breaker",
    "CaseEntry",
    "CaseState",
    "Checkpoint",
    "Delivery",
    "DeliveryKind",
    "DeliveryState",
    "Document",
    "DocumentState",
    "EntryState",
    "ErpConnection",
    "ErpToken",
    "Event",
    "ExceptionCase",
    "Heartbeat",
    "Interchange",
    "LegalHold",
    "Order",
    "OrderLine",
    "OrderRevision",
    "OrderState",
    "Promise",
    "QueueEntry",
    "QueueLane",
    "ShippedQuantity",
    "Transmission",
    "TransmissionState",
    "UnsealedEvent",
]
