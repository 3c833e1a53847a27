"""Finished work leaves the tables, and comes back: one file per partner, month and part.

The file is stored and read back first. Then one transaction looks at every row again, deletes them and writes the archive's
row: killed before its commit nothing has left, and the next run makes the same file. A part is so small that SQLite, which
has one writer at a time, is held for a moment only; what hangs together and is larger leaves at once.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Final, TypeVar

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import DateTimeField, Max, Min, Model, QuerySet, Sum

from gateway import audit, events, paging
from gateway.archives import files, traces, units
from gateway.archives.units import Rows
from gateway.blob_store import StoreError
from gateway.models import (
    Archive,
    ArchivedRow,
    ArchivingNow,
    Blob,
    Delivery,
    Document,
    Event,
    ExceptionCase,
    Order,
    Transmission,
)
from partners.models import TradingPartner

log = logging.getLogger(__name__)

#: What was restored is left alone for so long, then it leaves again; who needs it longer places a legal hold.
RESTORED_STAYS: Final = timedelta(days=30)
_ROOTS_AT_ONCE: Final = 50
_ROWS_A_PART: Final = 1000
_BYTES_A_PART: Final = 32 * 1024 * 1024
_KEYS_AT_ONCE: Final = 500

_K = TypeVar("_K", int, str)
_M = TypeVar("_M", bound=Model)

Tell = Callable[[str], None]


class ArchiveError(Exception):
    """An archive cannot be made or restored. The text says why and what to do."""


class _Changed(Exception):
    """What was about to leave is not what it was; it is looked at again by the next run."""


@dataclass(slots=True)
class Outcome:
    """What a run did, or would do."""

    archives: list[Archive] = field(default_factory=list)
    rows: Counter[str] = field(default_factory=Counter)
    stays: Counter[str] = field(default_factory=Counter)  #: why old work stays → how many units
    more: bool = False  #: the time was up before everything had left


@dataclass(slots=True)
class _Part:
    """What leaves in one file."""

    partner: TradingPartner
    month: date
    before: datetime
    transmissions: set[int] = field(default_factory=set)
    documents: set[int] = field(default_factory=set)
    orders: set[int] = field(default_factory=set)
    rows: Rows = field(default_factory=lambda: {model: {} for model in units.everything()})
    size_bytes: int = 0

    def __len__(self) -> int:
        return sum(map(len, self.rows.values()))

    def add(self, rows: Rows) -> None:
        for model, some in rows.items():
            self.rows[model].update(some)

    def lines(self) -> Iterator[bytes]:
        return files.lines_of(self.rows, units.everything())


def nobody(_text: str) -> None:
    """Tell nobody."""


def run(
    now: datetime,
    *,
    partner: TradingPartner | None = None,
    before: date | None = None,
    dry: bool = False,
    at_most: timedelta | None = None,
    tell: Tell = nobody,
) -> Outcome:
    """Let everything leave that may: finished, older than its partner's retention and not held.

    Args:
        partner: only this one's; all partners' when not given.
        before: the first day of a month; what is over since before it leaves, whatever the retention says.
        dry: only count.
        at_most: begin no further part after so long.
    """
    outcome, ends = Outcome(), time.monotonic() + at_most.total_seconds() if at_most else None
    for one in [partner] if partner else TradingPartner.objects.order_by("code"):
        limit = before or kept_since(one, now)
        if limit is None:
            continue
        if units.is_held(one.pk):
            tell(f"{one.code}: under a legal hold")
            outcome.stays["the partner is under a legal hold"] += 1
            continue
        for part in _parts(one, _midnight(limit), now, outcome):
            outcome.rows.update({model._meta.model_name or "": len(some) for model, some in part.rows.items() if some})
            if dry:
                continue
            try:
                archive = _leave(part, now)
            except (ArchiveError, StoreError, LookupError) as fault:
                # Of this part only: the others go on, and this one is tried again by the next run.
                log.error("partner=%s month=%s not archived: %s", one.code, f"{part.month:%Y-%m}", fault)
                outcome.stays["its bytes cannot be read, or its file not be kept"] += 1
                continue
            if archive is not None:
                outcome.archives.append(archive)
                tell(f"{archive}: {sum(archive.rows.values())} rows, {archive.size_bytes} bytes")
            if ends is not None and time.monotonic() > ends:
                outcome.more = True
                return outcome
    return outcome


def kept_since(partner: TradingPartner, now: datetime) -> date | None:
    """The first day of the oldest month that stays; None: everything stays for ever."""
    months = settings.KEEP_MONTHS if partner.keep_months is None else partner.keep_months
    if not months:
        return None
    count = now.astimezone(UTC).year * 12 + now.astimezone(UTC).month - 1 - months
    return date(count // 12, count % 12 + 1, 1)


# -- what leaves together in one file


def _parts(partner: TradingPartner, before: datetime, now: datetime, outcome: Outcome) -> Iterator[_Part]:
    month = _oldest(partner)
    while month is not None and _midnight(month) < before:
        following = _next(month)
        back = Archive.objects.filter(partner=partner, month=month, restored_at__gt=now - RESTORED_STAYS)
        if back.exists():
            outcome.stays["it was restored lately"] += 1
        else:
            yield from _parts_of_month(partner, month, before, outcome)
        month = following


def _parts_of_month(partner: TradingPartner, month: date, before: datetime, outcome: Outcome) -> Iterator[_Part]:
    part, seen = _Part(partner, month, before), set[int]()
    for transmissions, documents in _roots(partner, month):
        found = units.units([pk for pk in transmissions if pk not in seen], documents)
        seen.update(key for unit in found for key in unit.rows.get(Transmission, {}))
        judged = units.judgment(found, partner_id=partner.pk, before=before)
        for unit in found:
            if why := judged.why_stays(unit):
                outcome.stays[_kind_of(why)] += 1
                continue
            size_bytes = _bytes_of(unit.rows)
            if len(part) and (len(part) + len(unit) > _ROWS_A_PART or part.size_bytes + size_bytes > _BYTES_A_PART):
                yield _with_orders(part)
                part = _Part(partner, month, before)
            part.add(unit.rows)
            part.transmissions.update(unit.rows.get(Transmission, {}))
            part.documents.update(unit.rows.get(Document, {}))
            part.orders |= unit.orders
            part.size_bytes += size_bytes
    if len(part):
        yield _with_orders(part)
    for orders in _orders(partner, month):
        part = _with_orders(_Part(partner, month, before, orders=set(orders)))
        if len(part):
            yield part


def _with_orders(part: _Part) -> _Part:
    leaving = units.orders_that_leave(part.orders, part.rows, before=part.before)
    part.orders = set(leaving[Order])
    part.add(leaving)
    return part


def _roots(partner: TradingPartner, month: date) -> Iterator[tuple[list[int], list[int]]]:
    """Messages and documents without a message of one month, some at a time; rows that leave meanwhile do no harm."""
    span = {"at__gte": _midnight(month), "at__lt": _midnight(_next(month)), "partner": partner}
    for some in _walked(Transmission.objects.filter(**span).only("pk", "at")):
        yield some, []
    for some in _walked(Document.objects.filter(**span, transmission=None).only("pk", "at")):
        yield [], some


def _walked(rows: QuerySet[_M], moment: str = "at") -> Iterator[list[int]]:
    cursor, more = "", True
    while more:
        found = paging.page(rows, (moment, "pk"), size=_ROOTS_AT_ONCE, cursor=cursor)
        cursor, more = found.next, bool(found.next)
        yield [row.pk for row in found.rows]


def _orders(partner: TradingPartner, month: date) -> Iterator[list[int]]:
    rows = Order.objects.filter(
        partner=partner, updated_at__gte=_midnight(month), updated_at__lt=_midnight(_next(month))
    )
    return _walked(rows.only("pk", "updated_at"), "updated_at")


def _oldest(partner: TradingPartner) -> date | None:
    """The first day of the month of the oldest row that may leave."""
    moments = [
        Transmission.objects.filter(partner=partner).aggregate(oldest=Min("at"))["oldest"],
        Document.objects.filter(partner=partner, transmission=None).aggregate(oldest=Min("at"))["oldest"],
        Order.objects.filter(partner=partner).aggregate(oldest=Min("updated_at"))["oldest"],
    ]
    oldest = min((moment for moment in moments if moment is not None), default=None)
    return None if oldest is None else date(oldest.year, oldest.month, 1)


def _bytes_of(rows: Rows) -> int:
    total = 0
    for some in _portions(files.blobs_of(rows)):
        total += Blob.objects.filter(pk__in=some).aggregate(sum=Sum("size_bytes"))["sum"] or 0
    return total


def _kind_of(why: str) -> str:
    """The reason without the numbers, to count by."""
    return " ".join(word for word in why.split() if not any(letter.isdigit() for letter in word))


# -- leaving


def _leave(part: _Part, now: datetime) -> Archive | None:
    """Write the file, then delete the rows; None when they changed meanwhile."""
    blobs = files.blobs_of(part.rows)
    text = hashlib.sha256()
    for line in part.lines():
        text.update(line)
    head = files.Head(partner=part.partner.code, month=part.month)
    data = files.encode(head, part.lines(), blobs, _content)
    kept = Blob.put(data)
    if Blob.objects.get(pk=kept.pk).content != data:
        raise ArchiveError(
            f"the file of {part.partner.code}, {part.month:%Y-%m}, cannot be read back as it was written"
        )
    try:
        with transaction.atomic():
            return _delete(part, kept, text.hexdigest(), now)
    except (_Changed, IntegrityError) as why:
        log.info("partner=%s month=%s stays for now: %s", part.partner.code, part.month, why)
        return None


def _delete(part: _Part, kept: Blob, digest: str, now: datetime) -> Archive:
    _hold_still(part)
    again = _Part(part.partner, part.month, part.before, orders=set(part.orders))
    found = units.units(part.transmissions, part.documents)
    judged = units.judgment(found, partner_id=part.partner.pk, before=part.before)
    if units.is_held(part.partner.pk) or any(judged.why_stays(unit) for unit in found):
        raise _Changed("it may no longer leave")
    for unit in found:
        again.add(unit.rows)
    _with_orders(again)
    text = hashlib.sha256()
    for line in again.lines():
        text.update(line)
    if text.hexdigest() != digest:
        raise _Changed("something was written to it meanwhile")
    archive = Archive.objects.create(
        partner=part.partner,
        month=part.month,
        part=1 + (Archive.objects.filter(partner=part.partner, month=part.month).aggregate(n=Max("part"))["n"] or 0),
        sha256=kept.sha256,
        size_bytes=kept.size_bytes,
        rows={model._meta.model_name or "": len(some) for model, some in part.rows.items() if some},
        events=packed(part.rows[Event]),
        made_at=now,
    )
    remembered = list(traces.traces(part.rows))
    for trace in remembered:
        trace.archive = archive
    ArchivedRow.objects.bulk_create(remembered, batch_size=_KEYS_AT_ONCE)
    marker = ArchivingNow.objects.create()
    for model in reversed(units.everything()):
        for some in _portions(part.rows[model]):
            model._base_manager.filter(pk__in=some)._raw_delete(using=connection.alias)
    marker.delete()
    events.record(
        "archive.made",
        partner_id=part.partner.pk,
        archive=archive.pk,
        month=f"{part.month:%Y-%m}",
        part=archive.part,
        sha256=archive.sha256,
    )
    return archive


def _hold_still(part: _Part) -> None:
    """Lock what decides, and what could be written to; in the order of keys, so that two runs wait and do not lock up."""
    TradingPartner.objects.select_for_update(no_key=True).get(pk=part.partner.pk)
    for model in (Order, Transmission, Document, Delivery, ExceptionCase):
        for some in _portions(part.rows[model]):
            list(
                model._default_manager.select_for_update(no_key=True)
                .filter(pk__in=some)
                .order_by("pk")
                .values_list("pk", flat=True)
            )


def _content(sha256: str) -> bytes:
    return Blob.objects.get(pk=sha256).content


# -- coming back


def restore(archive: Archive, *, actor: str, now: datetime) -> int:
    """Put the rows of an archive back under their keys, with their bytes; returns how many.

    Raises:
        ArchiveError: it is back already, its file cannot be used, or what it refers to is in another archive.
    """
    if archive.restored_at is not None:
        raise ArchiveError(f"{archive} is back since {archive.restored_at:%Y-%m-%d %H:%M}.")
    rows: list[Model] = []
    try:
        for line in files.decode(_content(archive.sha256)):
            if line.model is None:
                Blob.put(line.content)
            else:
                rows.append(files.row_of(line))
    except files.Unusable as wrong:
        raise ArchiveError(f"The file of {archive} cannot be used: {wrong}. Compare it with a backup.") from wrong
    try:
        with transaction.atomic():
            if not Archive.objects.filter(pk=archive.pk, restored_at=None).update(restored_at=now):
                raise ArchiveError(f"{archive} is back already.")
            ArchivedRow.objects.filter(archive=archive).delete()
            for model in units.everything():
                _insert(model, [row for row in rows if type(row) is model])
            # Sealed they were before they left, and the leaf in the chain is still theirs.
            for some in _portions(unpacked(archive.events)):
                audit.returned(some)
            events.record(
                "archive.restored",
                actor=actor,
                partner_id=archive.partner_id,
                archive=archive.pk,
                sha256=archive.sha256,
            )
    except IntegrityError as wrong:
        raise ArchiveError(
            f"{archive} refers to rows that are not here. Restore the archives of the months around it first, the oldest "
            f"one to begin with. The database says: {wrong}"
        ) from wrong
    archive.restored_at = now
    return len(rows)


def _insert(model: type[Model], rows: list[Model]) -> None:
    stamped = [
        column.attname
        for column in model._meta.concrete_fields
        if isinstance(column, DateTimeField) and (column.auto_now or column.auto_now_add)
    ]
    values = [(row.pk, {name: getattr(row, name) for name in stamped}) for row in rows if stamped]
    model._base_manager.bulk_create(rows, batch_size=_KEYS_AT_ONCE)
    for pk, moments in values:  # which inserting sets to now
        model._base_manager.filter(pk=pk).update(**moments)


# -- looking


def verify(archive: Archive) -> list[str]:
    """What is wrong with an archive, each in a sentence; empty when its file is whole and says what the row says."""
    counted: Counter[str] = Counter()
    found: dict[int, bytes] = {}
    try:
        for line in files.decode(_content(archive.sha256)):
            if line.model is None:
                continue
            counted[line.model._meta.model_name or ""] += 1
            if line.model is Event:
                values = files.row_of(line).__dict__
                found[values["id"]] = audit.digest_of(values)
    except (files.Unusable, Blob.DoesNotExist, LookupError, StoreError) as wrong:
        return [f"{archive}: its file {archive.sha256[:12]}… cannot be used: {wrong}. Compare it with a backup."]
    faults = []
    if dict(counted) != archive.rows:
        faults.append(f"{archive}: its file holds {dict(counted)}, its row says {archive.rows}.")
    if sorted(found) != unpacked(archive.events):
        faults.append(f"{archive}: its file holds other audit events than its row lists.")
    leaves = audit.leaves_of(found)
    for event, digest in sorted(found.items()):
        if event not in leaves:
            faults.append(
                f"{archive}: event {event} is in no batch of the audit trail; it was put into the file later."
            )
        elif leaves[event] != digest:
            faults.append(f"{archive}: event {event} is not what the audit trail has sealed; the file was changed.")
    return faults


def packed(keys: Collection[int]) -> bytes:
    """Keys as ``Archive.events`` keeps them: 8 bytes each, big-endian, ascending."""
    return b"".join(key.to_bytes(8, "big") for key in sorted(keys))


def unpacked(keys: bytes | memoryview) -> list[int]:
    """Keys from ``packed``."""
    data = bytes(keys)
    return [int.from_bytes(data[start : start + 8], "big") for start in range(0, len(data), 8)]


def _portions(keys: Iterable[_K]) -> Iterator[list[_K]]:
    ordered = sorted(keys)
    for start in range(0, len(ordered), _KEYS_AT_ONCE):
        yield ordered[start : start + _KEYS_AT_ONCE]


def _next(month: date) -> date:
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
