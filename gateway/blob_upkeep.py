"""Upkeep of raw bytes: what nothing names any more goes, what is named is there and whole, what is elsewhere moves.

Bytes come before the commit that names them, so a crash leaves bytes without a row; and rows that left for an archive leave
theirs behind. Both go after a grace. Against a put of the same bytes at the same moment stands the row: a put has it from
before it looks for the bytes until its commit, and so has the collector while it removes them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import chain, islice
from typing import Final

from django.apps import apps
from django.conf import settings
from django.db import IntegrityError, models, transaction
from django.db.models import Q

from gateway import blob_store
from gateway.blob_store import Store, StoreError
from gateway.models import Archive, Blob

log = logging.getLogger(__name__)

_PORTION: Final = 500


@dataclass(frozen=True, slots=True)
class Collected:
    """What was removed, or would be."""

    rows: int  #: that nothing named any more
    blobs: int  #: bytes without a row
    begun: int  #: files that were never finished


@dataclass(frozen=True, slots=True)
class Fault:
    sha256: str
    what: str  #: what is wrong, and what to do

    def __str__(self) -> str:
        return f"{self.sha256}: {self.what}"


def collect(now: datetime, *, dry_run: bool = False, tell: Callable[[str], None] = lambda line: None) -> Collected:
    """Remove what no row names, when it was last put longer ago than ``settings.BLOB_GRACE``.

    Args:
        tell: gets a line for each thing that goes.

    Raises:
        StoreError: the store cannot be used; what was done until then stays so.
    """
    store, before = blob_store.store(), now - settings.BLOB_GRACE
    rows = blobs = 0
    for some in _pages(Blob.objects.all()):
        free = [name for name in _unnamed(some) if _is_old(store, name, before)]
        for name in free if dry_run else _forget(free, store, before):
            tell(f"{name}: nothing names its row")
            rows += 1
    for some in _portions(store.walk()):
        for name in _without_row(some):
            if _is_old(store, name, before) and (dry_run or _remove(name, store, before)):
                tell(f"{name}: bytes without a row")
                blobs += 1
    begun = 0 if dry_run else store.tidy(before)
    if rows or blobs or begun:
        log.info("blobs collected: %d rows, %d without a row, %d never finished", rows, blobs, begun)
    return Collected(rows, blobs, begun)


def faults(now: datetime, *, tell: Callable[[int], None] = lambda done: None) -> Iterator[Fault]:
    """Read everything and name what is wrong: bytes that are gone or changed, and bytes that nothing names.

    Args:
        tell: gets the number of rows that were looked at, now and then.
    """
    store, before = blob_store.store(), now - settings.BLOB_GRACE
    done = 0
    for some in _pages(Blob.objects.all()):
        rows = Blob.objects.filter(pk__in=some).annotate(elsewhere=Q(data__isnull=True)).order_by("pk")
        for name, size_bytes, elsewhere in rows.values_list("pk", "size_bytes", "elsewhere"):
            wrong = _wrong(store, name, size_bytes) if elsewhere else _wrong_in_row(name, size_bytes)
            # What left for an archive meanwhile is no fault.
            if wrong and Blob.objects.filter(pk=name).exists():
                yield Fault(name, f"{wrong}. {_named_by(name)}: restore it from a backup")
        done += len(some)
        tell(done)
    for name, archive in Archive.objects.order_by("pk").values_list("sha256", "pk"):
        if not Blob.objects.filter(pk=name).exists():
            yield Fault(name, f"archive {archive} names it, and it has no row: restore both from a backup")
    for some in _portions(store.walk()):
        for name in _without_row(some):
            if _is_old(store, name, before):
                yield Fault(name, "no row names it: `manage.py blobs collect` removes it")


def move(*, to_database: bool = False) -> Iterator[Fault | None]:
    """Bring the bytes of all rows into the store, or back, one row after the other, while the gateway runs.

    Yields:
        For each row: None when its bytes are moved, else why they stay where they are.
    """
    store = blob_store.store()
    for name in chain.from_iterable(_pages(Blob.objects.filter(data__isnull=to_database))):
        blob = Blob.objects.filter(pk=name).first()
        if blob is None:  # collected meanwhile
            continue
        try:
            data = blob.content
            if not to_database:
                store.put(data)
            Blob.objects.filter(pk=name).update(data=data if to_database else None)
        except (blob_store.Missing, blob_store.Damaged) as wrong:
            yield Fault(name, f"{wrong}. {_named_by(name)}: restore it from a backup")
        else:
            yield None


# -- what names a blob


@cache
def _names() -> tuple[tuple[type[models.Model], str], ...]:
    """Every column that names a blob: the foreign keys, and what archives say of their files."""
    keys = [
        (model, field.attname)
        for model in apps.get_models()
        for field in model._meta.concrete_fields
        if isinstance(field, models.ForeignKey) and field.related_model is Blob
    ]
    return *keys, (Archive, "sha256")


def _unnamed(names: Iterable[str]) -> list[str]:
    left = set(names)
    for model, column in _names():
        if left:
            left -= set(model._default_manager.filter(**{f"{column}__in": left}).values_list(column, flat=True))
    return sorted(left)


def _named_by(name: str) -> str:
    rows = [
        f"{model._meta.verbose_name} {pk} ({column.removesuffix('_id')})"
        for model, column in _names()
        for pk in model._default_manager.filter(**{column: name}).order_by("pk").values_list("pk", flat=True)[:5]
    ]
    return f"Named by {', '.join(rows)}" if rows else "Nothing names it"


def _without_row(names: list[str]) -> list[str]:
    known = set(Blob.objects.filter(pk__in=names).values_list("pk", flat=True))
    return [name for name in names if name not in known]


# -- removing


def _is_old(store: Store, name: str, before: datetime) -> bool:
    at = store.put_at(name)
    return at is None or at < before


def _forget(names: list[str], store: Store, before: datetime) -> list[str]:
    """Delete those of these rows that nothing names, and that nobody is putting; which ones that were."""
    with transaction.atomic():
        locked = Blob.objects.select_for_update(skip_locked=True).filter(pk__in=names)
        held = list(locked.order_by("pk").values_list("pk", flat=True))
        # Asked once more: whoever put them and was done before they were held is seen now, the others wait.
        free = [name for name in _unnamed(held) if _is_old(store, name, before)]
        Blob.objects.filter(pk__in=free).only("pk").delete()
    return free


def _remove(name: str, store: Store, before: datetime) -> bool:
    """Remove bytes without a row; whether they went."""

    def is_held() -> bool:
        # Asked of the transaction itself: without its connection the row is gone, and somebody may have put the bytes since.
        return Blob.objects.filter(pk=name).exists()

    try:
        with transaction.atomic():
            Blob(sha256=name, size_bytes=0).save(force_insert=True)
            gone = _is_old(store, name, before) and store.remove(name, still_garbage=is_held)
            transaction.set_rollback(True)
    except IntegrityError:  # somebody has put them, and committed
        return False
    return gone


# -- looking


def _wrong(store: Store, name: str, size_bytes: int) -> str:
    try:
        found = sum(map(len, store.pieces(name)))
    except (blob_store.Missing, blob_store.Damaged) as wrong:
        return str(wrong)
    return "" if found == size_bytes else f"its row says {size_bytes} bytes, and there are {found}"


def _wrong_in_row(name: str, size_bytes: int) -> str:
    blob = Blob.objects.filter(pk=name).first()
    try:
        found = size_bytes if blob is None else len(blob.content)
    except StoreError as wrong:
        return str(wrong)
    return "" if found == size_bytes else f"its row says {size_bytes} bytes, and there are {found}"


def _pages(rows: models.QuerySet[Blob]) -> Iterator[list[str]]:
    """The names of these rows in order, some at a time; each time it is asked anew what there is."""
    last = ""
    while some := list(rows.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:_PORTION]):
        yield some
        last = some[-1]


def _portions(names: Iterable[str]) -> Iterator[list[str]]:
    source = iter(names)
    while some := list(islice(source, _PORTION)):
        yield some
