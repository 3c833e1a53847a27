"""The chain: committed events, batch by batch, each batch naming the one before.

An event's leaf is the SHA-256 of one byte 1 and of a JSON array in ASCII without spaces, the names of objects sorted:

    [id, moment, name, correlation id, actor, partner, order, transmission, document, delivery, case, data]

Moments are microseconds since 1970, UTC; ids of rows are numbers, the correlation id its 32 hex digits, absent ones null; a
number with a fraction or an exponent, or beyond 15 digits, is the nearest double (RFC 8785 does the same), written as an integer
when it is one below 2^53. So it is the same in every database that holds the row.

A batch's digest is the SHA-256 of one byte 1, its sequence (8 bytes, big-endian), the digest before (32), the moment it was
sealed at (microseconds, 8) and its leaves, each the event's id (8) and digest (32), in ascending order of id.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.db import models, transaction
from django.db.models import Exists, OuterRef
from django.db.models.functions import Cast
from django.utils import timezone

from gateway.models import AuditBatch, Event, UnsealedEvent

#: In the order they are digested in. A new column of Event joins with a new version byte, or old events would no longer fit.
COLUMNS: Final = (
    "id",
    "at",
    "name",
    "correlation_id",
    "actor",
    "partner_id",
    "order_id",
    "transmission_id",
    "document_id",
    "delivery_id",
    "case_id",
    "data",
)
GENESIS: Final = "0" * 64
_VERSION: Final = b"\x01"
_ID_BYTES: Final = 8
LEAF_BYTES: Final = _ID_BYTES + 32
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_MOST_EXACT: Final = 2**53


class _OthersSeal(Exception):
    """Another sealer has taken some of these events."""


# -- sealing


def seal(most: int = 5000, *, now: datetime | None = None) -> int:
    """Put committed events that are in no batch into the next one.

    Events are read and digested before the transaction begins; nobody who adds events is held up. Of two sealers at once one
    seals, the other finds nothing.

    Args:
        most: events in the batch.

    Returns:
        How many events were sealed.
    """
    there = Exists(Event.objects.filter(pk=OuterRef("pk")))
    ids = list(UnsealedEvent.objects.filter(there).order_by("pk").values_list("pk", flat=True)[:most])
    if not ids:
        return 0
    leaves = b"".join(_leaf(number, digest) for number, digest in digests(ids))
    try:
        with transaction.atomic():
            _take(ids)
            _add(ids, leaves, now or timezone.now())
    except _OthersSeal:
        return 0
    return len(ids)


def seal_all(now: datetime | None = None, *, most: int = 5000) -> int:
    """Seal until nothing is left that was there when it began; returns how many events were sealed."""
    sealed, found = 0, UnsealedEvent.objects.count()
    while sealed < found and (one := seal(most, now=now)):
        sealed += one
    return sealed


def returned(event_ids: Iterable[int]) -> None:
    """Say of events that came back from an archive, in the transaction that adds them, that they are in the chain already."""
    UnsealedEvent.objects.filter(pk__in=list(event_ids)).delete()


def _take(ids: Sequence[int]) -> None:
    """Take these events for the batch at hand; whoever comes second does not wait for the first."""
    rows = UnsealedEvent.objects.filter(pk__in=ids)
    if len(rows.order_by("pk").select_for_update(skip_locked=True).values_list("pk", flat=True)) != len(ids):
        raise _OthersSeal
    rows.delete()


def _add(ids: Sequence[int], leaves: bytes, now: datetime) -> None:
    # Two sealers share events, or the later one has read after the earlier one's commit: it sees that head.
    head = AuditBatch.objects.order_by("-sequence").only("sequence", "digest").first()
    batch = AuditBatch(
        sequence=head.sequence + 1 if head else 1,
        previous=head.digest if head else GENESIS,
        leaves=leaves,
        events=len(ids),
        first_event=ids[0],
        last_event=ids[-1],
        sealed_at=now,
    )
    batch.digest = batch_digest(batch)
    batch.save(force_insert=True)


# -- digests


def digest_of(values: Mapping[str, Any]) -> bytes:
    """The digest of one event, 32 bytes.

    Args:
        values: its columns by the names in ``COLUMNS``, as ``Event.objects.values()`` gives them.
    """
    return _digest([values[name] for name in COLUMNS[:-1]], json.dumps(values["data"]))


def digests(ids: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    """Id and digest of these events as they are now, in ascending order of id; those that are not there are left out."""
    # As text: what numbers look like in it is for us to say, not for the driver.
    text = Cast("data", models.TextField())
    rows = Event.objects.filter(pk__in=ids).order_by("pk").values_list(*COLUMNS[:-1], text)
    for row in rows.iterator(chunk_size=1000):
        yield row[0], _digest(row[:-1], row[-1])


def batch_digest(batch: AuditBatch) -> str:
    """The digest a batch must have, in hex. Raises ValueError when its fields are not even of the right kind."""
    sealed_at = microseconds(batch.sealed_at).to_bytes(8, "big")
    head = _VERSION + batch.sequence.to_bytes(8, "big") + bytes.fromhex(batch.previous) + sealed_at
    return hashlib.sha256(head + bytes(batch.leaves)).hexdigest()


def microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _digest(columns: Sequence[Any], data: str) -> bytes:
    number, at, name, correlation, *others = columns
    values = [
        number,
        microseconds(at),
        name,
        None if correlation is None else correlation.hex,
        *others,
        json.loads(data, parse_float=_number, parse_int=_integer),
    ]
    return hashlib.sha256(_VERSION + json.dumps(values, sort_keys=True, separators=(",", ":")).encode()).digest()


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= 15 else _number(digits)


def _number(digits: str) -> int | float:
    value = float(digits)
    return int(value) if value.is_integer() and abs(value) < _MOST_EXACT else value


# -- leaves


def leaves_in(batch: AuditBatch) -> Iterator[tuple[int, bytes]]:
    """Id and digest of the events of a batch."""
    leaves = bytes(batch.leaves)  # bytes(): some drivers hand out memoryviews
    for start in range(0, len(leaves) - LEAF_BYTES + 1, LEAF_BYTES):
        yield (
            int.from_bytes(leaves[start : start + _ID_BYTES], "big"),
            leaves[start + _ID_BYTES : start + LEAF_BYTES],
        )


def leaf_of(event_id: int) -> bytes | None:
    """The digest an event was sealed with, 32 bytes; None: it is in no batch."""
    return leaves_of([event_id]).get(event_id)


def leaves_of(event_ids: Iterable[int]) -> dict[int, bytes]:
    """The digests these events were sealed with; those in no batch are left out."""
    wanted = sorted(set(event_ids))
    found: dict[int, bytes] = {}
    for number in wanted:
        if number not in found:
            around = _around(number)
            found.update((one, around[one]) for one in wanted if one in around)
    return found


def _around(event_id: int) -> Mapping[int, bytes]:
    """The leaves of the batch that this event is in; none when it is in no batch."""
    may_hold = AuditBatch.objects.filter(last_event__gte=event_id, first_event__lte=event_id)
    for batch in may_hold.order_by("last_event").iterator(chunk_size=1):
        leaves = list(leaves_in(batch))
        place = bisect_left(leaves, (event_id, b""))
        if place < len(leaves) and leaves[place][0] == event_id:
            return dict(leaves)
    return {}


def _leaf(number: int, digest: bytes) -> bytes:
    return number.to_bytes(_ID_BYTES, "big") + digest
