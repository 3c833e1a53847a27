"""Coverage: which columns of which rows the audit trail speaks for, and why it does not for the others.

A column is sealed (``SEALED`` of its model), the state, told by an event, or free for a reason. A table is here, or ``APART``
says why not. A column or a table without a decision fails a test.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from django.db import models

from gateway.events import EVENTS
from gateway.models import (
    CaseEntry,
    CaseState,
    Delivery,
    DeliveryState,
    Document,
    DocumentState,
    ExceptionCase,
    Order,
    OrderRevision,
    OrderState,
    Transmission,
    TransmissionState,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Rows that belong to a covered one and have their seals in its events."""

    model: type[models.Model]
    parent: str  #: its column that names the row it belongs to
    number: str  #: its column by which events name it, …
    number_key: str  #: … under this key of their data
    seal_key: str  #: key of its seal beside that
    sealed: tuple[str, ...]
    free: Mapping[str, str] = field(default_factory=dict)  #: column → why nothing speaks for it


@dataclass(frozen=True, slots=True, kw_only=True)
class Covered:
    """What the trail says of the rows of one table."""

    model: type[models.Model]
    column: str  #: of an event: which row it names
    moves: Mapping[str, str]  #: name of an event → the state it leads to
    first: frozenset[str]  #: states of a row that has not moved yet
    sealed: tuple[str, ...] = ()
    seals: Mapping[str, str] = field(default_factory=dict)  #: name of an event → the key of its data that has the seal
    told: Mapping[str, tuple[str, str]] = field(default_factory=dict)  #: column → event, and key of its data
    free: Mapping[str, str] = field(default_factory=dict)  #: column → why nothing speaks for it
    parts: tuple[Part, ...] = ()

    @property
    def events(self) -> frozenset[str]:
        """Names of all events that say something of such a row or its parts."""
        some = {name for name, _ in self.told.values()}.union(self.moves, self.seals)
        return frozenset(some.union(*(_named(self.column.removesuffix("_id")) for _ in self.parts)))


def _named(prefix: str) -> list[str]:
    return [name for name in EVENTS if name.startswith(f"{prefix}.")]


def _moves(prefix: str, states: Iterable[StrEnum], **former: str) -> dict[str, str]:
    """Its moves by their events; ``former`` maps states that older events name to what they are now."""
    return {f"{prefix}.{state}": str(state) for state in states} | {
        f"{prefix}.{was}": state for was, state in former.items()
    }


_KEY: Final = "events name the row by it"
_BY_ORDERS: Final = "worked out from revisions and answers, which are sealed"
_OF_TRYING: Final = "how the trying goes; every try is an event"

COVERED: Final = (
    Covered(
        model=Transmission,
        column="transmission_id",
        moves=_moves("transmission", TransmissionState),
        first=frozenset({TransmissionState.RECEIVED, TransmissionState.PREPARED}),
        sealed=Transmission.SEALED,
        seals=dict.fromkeys(_named("transmission"), "seal"),
        free={"id": _KEY, "evidence": "says where to look; `as2 verify-receipt` works all of it out anew"},
    ),
    Covered(
        model=Document,
        column="document_id",
        moves=_moves("document", DocumentState),
        first=frozenset({DocumentState.RECEIVED}),
        sealed=Document.SEALED,
        seals=dict.fromkeys(_named("document"), "seal") | {"transmission.prepared": "document_seal"},
        told={"acknowledged": ("document.acknowledged", "status")},
        free={
            "id": _KEY,
            "order_id": "worked out from the record, which is sealed",
            "parked_until": "a deadline; what comes of it is a move",
        },
    ),
    Covered(
        model=Delivery,
        column="delivery_id",
        moves=_moves("delivery", DeliveryState, pending="open", sending="open", in_doubt="open"),
        first=frozenset({DeliveryState.OPEN}),
        sealed=Delivery.SEALED,
        seals={f"delivery.{state}": "seal" for state in DeliveryState},
        free={
            "id": _KEY,
            "attempts": _OF_TRYING,
            "last_error": _OF_TRYING,
            "finished_at": "the moment of the event that says so",
        },
    ),
    Covered(
        model=ExceptionCase,
        column="case_id",
        moves=_moves("case", CaseState),
        first=frozenset({CaseState.OPEN}),
        told={
            "reason": ("case.opened", "reason"),
            "team": ("case.opened", "team"),
            "resolution": ("case.resolved", "resolution"),
        },
        free={
            "id": _KEY,
            "uid": "a name for addresses",
            **dict.fromkeys(
                ("summary", "detail", "occurrences", "due_at"),
                "says the newest of the same trouble, which may come again",
            ),
            "fingerprint": "by which the same trouble is known again",
            "owner_id": "whoever has it at the moment; each change is an entry",
            **dict.fromkeys(
                ("partner_id", "order_id", "document_id", "transmission_id", "delivery_id"),
                "where to look; the events of the case name the same",
            ),
            **dict.fromkeys(("opened_at", "resolved_at"), "the moments of the events that say so"),
        },
        parts=(
            Part(
                model=CaseEntry,
                parent="case_id",
                number="id",
                number_key="entry",
                seal_key="entry_seal",
                sealed=CaseEntry.SEALED,
            ),
        ),
    ),
    Covered(
        model=Order,
        column="order_id",
        moves=_moves("order", OrderState),
        first=frozenset({OrderState.OPEN}),
        sealed=Order.SEALED,
        seals={"order.released": "seal"},
        free={
            "id": _KEY,
            "erp_key": "by which the ERP is asked for it",
            **dict.fromkeys(("revision", "currency", "ack_due_at", "acknowledged_revision", "updated_at"), _BY_ORDERS),
        },
        parts=(
            Part(
                model=OrderRevision,
                parent="order_id",
                number="number",
                number_key="revision",
                seal_key="revision_seal",
                sealed=OrderRevision.SEALED,
                free={"id": "the order and its number name it"},
            ),
        ),
    ),
)

#: Tables without a part in this, and why.
APART: Final[Mapping[str, str]] = {
    "Event": "is the trail: each is a leaf of the chain",
    "UnsealedEvent": "is the trail: counted against events and leaves",
    "AuditBatch": "is the trail: the chain itself",
    "AuditKey": "is the trail: each must open, and fit its public key",
    "Checkpoint": "is the trail: signed",
    "Blob": "is checked by its own hash",
    "Interchange": "is read from a transmission, which is sealed with its bytes",
    "OrderLine": _BY_ORDERS,
    "Promise": _BY_ORDERS,
    "ShippedQuantity": _BY_ORDERS,
    "ErpConnection": "is configuration",
    "ErpToken": "is configuration, sealed by the keystore",
    "QueueEntry": "is what is to be done next; what was done is events",
    "QueueLane": "is what is to be done next; what was done is events",
    "Breaker": "is how a system outside behaves at the moment",
    "Heartbeat": "is how a process does at the moment",
    "Archive": "is checked with its file and the leaves of its events by `archive verify`",
    "ArchivedRow": "is read from an archive",
    "ArchivingNow": "has no row outside a transaction",
    "LegalHold": "is an instruction; placing and ending one are events",
}
