"""The ERP port: eight operations and five ways to fail, whatever stands behind them.

ErpError
├── Transient     nothing was done, or "later"            back off; no person
├── InDoubt       it left and no usable answer came       ``find`` first, send again only if that says no
├── Permanent     the same bytes would fail again         dead letter at once, in the ERP's own words
├── NeedsHuman    the ERP asks a question                 exception case
└── AuthFailed    stop the whole connection               no automatic retry: it may lock the account

Every write carries a key made when the document was accepted. Values are absolute and a document is sent whole, so that
twice equals once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal, Protocol

from pydantic import Field

from edi_maps.canonical import CanonicalRecord, OrderAcknowledgment, PurchaseOrder


class ErpError(Exception):
    """Base of the five. ``str()`` is for the person who opens the case: the ERP's own words, at most 400 characters."""


class Transient(ErpError):
    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class InDoubt(ErpError):
    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Permanent(ErpError):
    pass


class NeedsHuman(ErpError):
    pass


class AuthFailed(ErpError):
    pass


class ChangeKind(StrEnum):
    RELEASE = "release"
    CHANGE = "change"
    CANCEL = "cancel"
    DOCUMENT = "document"  #: not an order: a schedule, a receiving advice … is to go to its supplier


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An order, or another document for a supplier, was released or changed and not yet settled."""

    token: str  #: settles this change
    order_key: str  #: the ERP's own key, for ``load``; of a document for ``document``
    revision: int
    kind: ChangeKind


@dataclass(frozen=True, slots=True, kw_only=True)
class ErpOrder:
    """An order as it stands in the ERP now: the whole of it."""

    order_key: str
    company: str  #: plant or company code; part of the business key
    supplier_number: str
    revision: int
    cancelled: bool
    record: PurchaseOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class ErpDocument:
    """A document the ERP has released for a supplier and that is no order, as it stands now."""

    document_key: str
    company: str
    supplier_number: str
    revision: int  #: counts up when it is released again
    record: Annotated[CanonicalRecord, Field(discriminator="type")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One document for the ERP."""

    key: str  #: idempotency key, made when the document was accepted, at most 255 characters
    company: str  #: '' when the document does not say whose it is
    supplier_number: str
    record: CanonicalRecord

    @property
    def kind(self) -> str:
        """What the ERP files it under: ``acknowledgment`` whatever it answers, otherwise its canonical type."""
        return "acknowledgment" if isinstance(self.record, OrderAcknowledgment) else self.record.type


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    state: Literal["done", "pending"]  #: pending: ask ``outcome`` later
    erp_ref: str | None
    replayed: bool  #: the ERP had this key already


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    state: Literal["pending", "done", "refused"]
    erp_ref: str | None = None
    lines: tuple[tuple[str, str], ...] = ()  #: (line number, '' or the ERP's reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFact:
    """One line of a reconciliation page."""

    order_key: str
    company: str
    number: str
    revision: int
    supplier_number: str
    open: bool
    acknowledged_keys: tuple[str, ...] = ()
    shipped_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    native_key: bool  #: the ERP refuses a second document with our key
    async_submit: bool  #: accepted is not done
    full_replace: bool  #: an acknowledgment replaces all earlier lines
    lot: bool
    sscc: bool
    outbox: bool  #: ``changes`` needs no time cursor
    cancel_ship_notice: bool
    verify_by_read: bool
    max_page: int


class ErpPort(Protocol):
    def changes(self, limit: int) -> Sequence[Change]: ...
    def load(self, order_key: str) -> ErpOrder: ...
    def document(self, document_key: str) -> ErpDocument: ...
    def settle(self, tokens: Sequence[str]) -> None: ...  # after our commit, never before
    def submit(self, submission: Submission) -> Submitted: ...
    def outcome(self, kind: str, key: str) -> Outcome: ...
    def find(self, kind: str, key: str) -> str | None: ...
    def snapshot(self, page: int) -> Sequence[OrderFact]: ...  # page 0, 1, …; an empty page is the end
    def capabilities(self) -> Capabilities: ...
