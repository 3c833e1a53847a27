"""What is remembered of what left: whether something repeats it, and which archive has it.

| of | it must not come twice under | remembered besides |
|---|---|---|
| a message of a partner | partner, channel, Message-ID or Idempotency-Key | digests of its content; the answer it got |
| an interchange of a partner | partner, both ends, control number | |
| a document of a partner that answers no order | partner, type, its number | the digest of what it said |
| an order | partner, its number | whose it is in which ERP |
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator
from typing import Any, Final

from django.db.models import Model, QuerySet

from gateway import statements
from gateway.archives.units import Rows
from gateway.models import (
    Archive,
    ArchivedRow,
    Document,
    DocumentState,
    ExceptionCase,
    Interchange,
    Order,
    Transmission,
    TransmissionState,
)
from partners.profiles import Direction

_REMEMBERED: Final[tuple[type[Model], ...]] = (Transmission, Interchange, Document, ExceptionCase, Order)


def traces(rows: Rows) -> Iterator[ArchivedRow]:
    """What is to be remembered of rows that leave; ``archive`` is not set yet."""
    for model in _REMEMBERED:
        for row in rows.get(model, {}).values():
            trace = ArchivedRow(model=model._meta.model_name or "", row_id=row.pk, uid=getattr(row, "uid", None))
            match row:
                case Transmission():
                    _of_message(trace, row, rows)
                case Interchange() if row.direction == Direction.INBOUND and row.control_number:
                    if row.verdict != "rejected":  # what was refused is to come again, under its old number
                        trace.key = interchange_key(row.partner_id, row.sender, row.receiver, row.control_number)
                case Document():
                    trace.order_id = row.order_id
                    if row.direction == Direction.INBOUND and row.state == DocumentState.RELAYED and row.record:
                        trace.key = document_key(row.partner_id, row.type, row.number)
                        trace.content = _digest(row.record)
                case Order():
                    trace.order_id = row.pk
                    trace.key = order_key(row.partner_id, row.number)
                    trace.facts = {"connection": row.connection_id, "company": row.company}
            yield trace


def _of_message(trace: ArchivedRow, row: Transmission, rows: Rows) -> None:
    if row.direction != Direction.INBOUND or row.state == TransmissionState.REFUSED or not row.message_id:
        return
    attachments = sorted(
        (
            other
            for other in rows[Transmission].values()
            if isinstance(other, Transmission) and other.about_id == row.pk
        ),
        key=lambda other: other.pk,
    )
    trace.key = message_key(row.partner_id, row.channel, row.message_id)
    trace.answer_id = row.answer_id
    trace.facts = {
        "raw": row.raw_id,
        "digests": row.digests,
        "payloads": [
            row.payload_id,
            *(other.payload_id for other in attachments if other.direction == Direction.INBOUND),
        ],
        "status": row.answer_status,
        "headers": row.answer_headers,
    }


def message_key(partner_id: int, channel: str, message_id: str) -> str:
    return _digest(["message", partner_id, channel, message_id])


def interchange_key(partner_id: int, sender: str, receiver: str, control_number: str) -> str:
    return _digest(["interchange", partner_id, sender, receiver, control_number])


def document_key(partner_id: int, document_type: str, number: str) -> str:
    return _digest(["document", partner_id, document_type, number])


def order_key(partner_id: int, number: str) -> str:
    return _digest(["order", partner_id, number.strip()])


def says_the_same(trace: ArchivedRow, record: Any) -> bool:
    """Whether an archived document said what ``record`` says."""
    return trace.content == _digest(record)


def under(key: str) -> ArchivedRow | None:
    """The newest of what left under ``key``."""
    return _UNDER.first(key=key)


_UNDER: Final = statements.Query(
    lambda: (
        ArchivedRow.objects.select_related("archive", "answer")
        .filter(key=statements.Given("key"))
        .order_by("-row_id")[:1]
    )
)


def by_uid(model: type[Model], uid: uuid.UUID) -> Archive | None:
    """The archive that has the row others call by ``uid``."""
    return _archive(ArchivedRow.objects.filter(uid=uid, model=model._meta.model_name))


def by_row(model: type[Model], pk: int) -> Archive | None:
    """The archive that has the row with this primary key."""
    return _archive(ArchivedRow.objects.filter(row_id=pk, model=model._meta.model_name))


def about_order(pk: int) -> list[Archive]:
    """The archives that have documents of an order, oldest month first."""
    keys = ArchivedRow.objects.filter(order_id=pk).order_by().values_list("archive_id", flat=True).distinct()
    return list(Archive.objects.filter(pk__in=list(keys)).select_related("partner").order_by("month", "part"))


def _archive(rows: QuerySet[ArchivedRow]) -> Archive | None:
    found = rows.select_related("archive__partner").first()
    return found.archive if found else None


def _digest(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()
