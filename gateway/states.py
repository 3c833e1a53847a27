"""The state machines, and the only code that writes a ``state``.

Transmission  received → stored → answered | refused          (in)
              prepared → sent → receipted | rejected          (out)
Document      received → translated → applied → relayed; parked, held, rejected; discarded, replayed
Delivery      open → delivered | cancelled; open ⇄ dead → delivered | cancelled   (where an open one stands: outbox.py)
Case          open → resolved                    Order   open ⇄ cancelled, open ⇄ closed → cancelled
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from django.db import models

from gateway import events, statements
from gateway.models import (
    CaseState,
    Delivery,
    DeliveryState,
    Document,
    DocumentState,
    ExceptionCase,
    Order,
    OrderState,
    Transmission,
    TransmissionState,
)

Stateful = Transmission | Document | Delivery | ExceptionCase | Order

_T, _D, _V = TransmissionState, DocumentState, DeliveryState

MOVES: Final[Mapping[type[models.Model], Mapping[str, frozenset[str]]]] = {
    Transmission: {
        _T.RECEIVED: frozenset({_T.STORED, _T.REFUSED}),
        _T.STORED: frozenset({_T.ANSWERED}),
        _T.PREPARED: frozenset({_T.SENT, _T.RECEIPTED, _T.REJECTED}),
        _T.SENT: frozenset({_T.RECEIPTED, _T.REJECTED}),
    },
    Document: {
        _D.RECEIVED: frozenset({_D.TRANSLATED, _D.REJECTED}),
        _D.TRANSLATED: frozenset({_D.APPLIED, _D.PARKED, _D.HELD, _D.REJECTED, _D.RELAYED, _D.DISCARDED}),
        _D.PARKED: frozenset({_D.TRANSLATED, _D.HELD, _D.DISCARDED, _D.REPLAYED}),
        _D.APPLIED: frozenset({_D.RELAYED}),
        _D.HELD: frozenset({_D.TRANSLATED, _D.DISCARDED, _D.REPLAYED}),
        _D.REJECTED: frozenset({_D.REPLAYED, _D.DISCARDED}),
    },
    Delivery: {
        # A receipt that comes by a request of its own settles a delivery nobody holds at that moment.
        _V.OPEN: frozenset({_V.DELIVERED, _V.DEAD, _V.CANCELLED}),
        _V.DEAD: frozenset({_V.OPEN, _V.DELIVERED, _V.CANCELLED}),
    },
    ExceptionCase: {CaseState.OPEN: frozenset({CaseState.RESOLVED})},
    Order: {
        OrderState.OPEN: frozenset({OrderState.CANCELLED, OrderState.CLOSED}),
        OrderState.CANCELLED: frozenset({OrderState.OPEN}),  # the buyer may take a cancellation back
        OrderState.CLOSED: frozenset({OrderState.OPEN, OrderState.CANCELLED}),
    },
}


class IllegalMove(Exception):
    """The state machine has no such arrow."""


class StaleState(Exception):
    """Somebody else moved the row since it was read; what was about to be done is theirs now."""


def advance(
    row: Stateful,
    to: str,
    *,
    actor: str = "gateway",
    note: Mapping[str, Any] | None = None,
    **also: Any,
) -> None:
    """Move ``row`` to ``to`` by one conditional UPDATE and record the event: of two workers one wins.

    Args:
        note: data of the event: ids, codes and counts.
        also: other fields written by the same UPDATE.

    Raises:
        IllegalMove: ``MOVES`` has no such arrow.
        StaleState: the row has left the state this object was read in.
    """
    if to not in MOVES[type(row)].get(row.state, frozenset()):
        raise IllegalMove(f"{row}: {row.state} → {to}")
    if not statements.move(row, {"state": to, **also}, only_if={"state": row.state}):
        raise StaleState(f"{row} is no longer {row.state}")
    sealed: dict[str, Any] = {"seal": row.seal()} if isinstance(row, Transmission | Document | Delivery) else {}
    events.record(f"{_NAMES[type(row)]}.{to}", actor=actor, **_reference(row), **sealed, **(note or {}))


def begin(
    row: Transmission | Document, to: str, *, actor: str = "gateway", note: Mapping[str, Any] | None = None
) -> None:
    """Insert a row that makes its first move in the transaction it is born in: one INSERT, and the event of its state.

    Raises:
        IllegalMove: no row of its kind begins in that state.
    """
    _be_born(row, to)
    statements.insert(row)
    events.record(f"{_NAMES[type(row)]}.{to}", actor=actor, seal=row.seal(), **_reference(row), **(note or {}))


def begin_all(moves: Sequence[tuple[Document, str, Mapping[str, Any]]], *, actor: str = "gateway") -> None:
    """As ``begin``, of many documents in few statements, in the order given.

    Args:
        moves: each document with its first state and the data of its event.
    """
    for document, to, _ in moves:
        _be_born(document, to)
    statements.insert_all([document for document, _, _ in moves])
    for state in dict.fromkeys(to for _, to, _ in moves):
        told = [(document, {"seal": document.seal(), **note}) for document, to, note in moves if to == state]
        events.record_all(f"document.{state}", [one for one, _ in told], [note for _, note in told], actor=actor)


def _be_born(row: Transmission | Document, to: str) -> None:
    if to not in MOVES[type(row)]["received"]:
        raise IllegalMove(f"{row}: nothing begins as {to}")
    row.state = to


def advance_all(
    documents: Sequence[Document], to: str, *, notes: Sequence[Mapping[str, Any]], actor: str = "gateway"
) -> None:
    """Move documents that are all in one state, as ``advance`` moves one, by one UPDATE for all.

    Args:
        notes: data of the event of each, in the same order.

    Raises:
        IllegalMove: ``MOVES`` has no such arrow.
        StaleState: one of them has left its state; the caller's transaction must not go on.
    """
    if not documents:
        return
    [state] = {document.state for document in documents}
    if to not in MOVES[Document].get(state, frozenset()):
        raise IllegalMove(f"{len(documents)} documents: {state} → {to}")
    rows = Document.objects.filter(pk__in=[document.pk for document in documents], state=state)
    if rows.update(state=to) != len(documents):
        raise StaleState(f"not all of {len(documents)} documents are {state}")
    for document in documents:
        document.state = to
    sealed = [{**note, "seal": document.seal()} for document, note in zip(documents, notes, strict=True)]
    events.record_all(f"document.{to}", documents, sealed, actor=actor)


_NAMES: Final = {
    Transmission: "transmission",
    Document: "document",
    Delivery: "delivery",
    ExceptionCase: "case",
    Order: "order",
}


def _reference(row: Stateful) -> dict[str, Any]:
    return {_NAMES[type(row)]: row}
