"""Verify: everything the trail speaks for is worked out anew and held against it, from the first batch to the last.

Memory does not grow with the tables. Nothing is locked and nobody is held up: what seems wrong while others work is looked at
once more before it is said.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from django.db import models
from django.db.models import Exists, OuterRef

from gateway.audit import chain, checkpoints
from gateway.audit.coverage import COVERED, Covered, Part
from gateway.blob_store import Damaged, Missing, Unreachable
from gateway.models import Archive, AuditBatch, AuditKey, Blob, Checkpoint, Event, Transmission, UnsealedEvent
from partners.keystore import KeystoreError

_RESTORE: Final = "Compare it with a backup from before and find out who wrote to the database."
_BATCHES_AT_ONCE: Final = 20
_IDS_AT_ONCE: Final = 10_000
_ROWS_AT_ONCE: Final = 500
#: How often a row that others are working on is read again until what is read fits together.
_LOOKS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is not as the trail says."""

    table: str
    id: str
    what: str
    since: datetime | None = None  #: it was in order at this moment
    todo: str = _RESTORE
    tampered: bool = True  #: False: it could not be looked at


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What was looked at, and what came of it. The faults themselves were given to ``found``, one by one."""

    tampered: int = 0
    unchecked: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    unsealed: Counter[str] = field(default_factory=Counter)  #: rows of a table that have no seal
    notes: list[str] = field(default_factory=list)


def verify(
    *,
    found: Callable[[Fault], None],
    progress: Callable[[str, int, int], None],
    checkpoints_file: Path,
    since: int = 1,
    blobs: bool = True,
) -> Outcome:
    """Check chain, checkpoints, events, rows and blobs.

    Args:
        found: is given each fault as it is found.
        progress: is told now and then: of what, how many are done, of how many.
        checkpoints_file: the checkpoints that were kept outside the database.
        since: sequence of the first batch to look at; of the rows those that events from there on name.
        blobs: also read all bytes.
    """
    run = _Run(found, progress, since)
    run.keys()
    run.chain()
    run.file(checkpoints_file)
    run.loose_events()
    for covered in COVERED:
        run.rows(covered)
    if blobs:
        run.blobs()
    return run.outcome


class _Ids:
    """A set of ids, one bit each."""

    def __init__(self) -> None:
        self._pages: dict[int, bytearray] = {}

    def add(self, number: int) -> bool:
        """Whether it is new."""
        page = self._pages.setdefault(number >> 16, bytearray(8192))
        place, bit = (number & 0xFFFF) >> 3, 1 << (number & 7)
        new = not page[place] & bit
        page[place] |= bit
        return new

    def __contains__(self, number: int) -> bool:
        page = self._pages.get(number >> 16)
        return page is not None and bool(page[(number & 0xFFFF) >> 3] & 1 << (number & 7))


class _Archived:
    """Which events have left for an archive; of few archives at a time the ids are held."""

    def __init__(self) -> None:
        self._ranges: dict[int, tuple[int, int]] = {}
        self._held: dict[int, frozenset[int]] = {}

    def among(self, ids: Collection[int]) -> frozenset[int]:
        """Those of these events that an archive lists."""
        self._learn()
        low, high = min(ids), max(ids)
        near = {key for key, (first, last) in self._ranges.items() if first <= high and last >= low}
        for key in self._held.keys() - near:
            del self._held[key]
        for key in near - self._held.keys():
            listed = Archive.objects.values_list("events", flat=True).get(pk=key)
            self._held[key] = frozenset(_numbers(bytes(listed)))
        return frozenset().union(*(self._held[key].intersection(ids) for key in near))

    def _learn(self) -> None:
        # Archives are made while this goes on.
        for key, listed in Archive.objects.exclude(pk__in=list(self._ranges)).values_list("pk", "events").iterator():
            numbers = bytes(listed)
            if numbers:
                self._ranges[key] = (int.from_bytes(numbers[:8], "big"), int.from_bytes(numbers[-8:], "big"))


class _Run:
    def __init__(self, found: Callable[[Fault], None], progress: Callable[[str, int, int], None], since: int) -> None:
        self.outcome = Outcome()
        self._found, self._progress, self._since = found, progress, since
        self._sealed = _Ids()
        self._archived = _Archived()
        self._keys: set[str] = set()
        self._from_event = 0  #: events below are not looked at

    def _say(self, fault: Fault) -> None:
        if fault.tampered:
            self.outcome.tampered += 1
        else:
            self.outcome.unchecked += 1
        self._found(fault)

    def _not(self, table: str, id: object, what: str, **more: Any) -> None:
        self._say(Fault(table=table, id=str(id), what=what, **more))

    # -- keys and checkpoints

    def keys(self) -> None:
        """Whose word counts: keys whose private part is sealed here."""
        for key in AuditKey.objects.order_by("made_at"):
            try:
                ours = checkpoints.is_ours(key)
            except KeystoreError as wrong:
                why = f"the key does not open, so nobody can say whether it is ours: {wrong}"
                todo = "Run this where the gateway runs, with its GATEWAY_KEYSTORE_SECRET."
                self._not("gateway_auditkey", key.pk, why, todo=todo, tampered=False)
                ours = True
            if ours:
                self._keys.add(checkpoints.name_of(key))
            else:
                self._not("gateway_auditkey", key.pk, "its public key is not that of the private one sealed with it")
        self.outcome.counts["keys"] = len(self._keys)

    def _signed(self, made: Mapping[str, Any], table: str, id: object) -> bool:
        """Whether a checkpoint is signed with a key of ours."""
        statement, signature = made.get("statement"), made.get("signature")
        if not isinstance(statement, dict) or not checkpoints.is_signed(statement, str(signature)):
            self._not(table, id, "its signature is not that of the key it names; somebody changed it")
        elif statement["key"] not in self._keys:
            self._not(table, id, f"it is signed with a key that is none of ours: {statement['key']}")
        else:
            return True
        return False

    def file(self, path: Path) -> None:
        """Every line of the file is a word about a batch that must still be there as it was."""
        try:
            lines = path.read_bytes().split(b"\n")
        except FileNotFoundError:
            if Checkpoint.objects.exists():
                why = "there is no such file; whether the end of the chain was cut off cannot be seen"
                todo = "Name the file, or a copy of it, with --checkpoints."
                self._not("checkpoints file", path, why, todo=todo, tampered=False)
            else:
                self.outcome.notes.append("Nothing has been signed yet: see `audit checkpoint`.")
            return
        except OSError as wrong:
            self._not("checkpoints file", path, f"it cannot be read: {wrong.strerror}", tampered=False)
            return
        if lines.pop():
            self.outcome.notes.append(f"The last line of {path} is cut off, as a crash leaves it; it was not counted.")
        head = AuditBatch.objects.order_by("-sequence").values_list("sequence", flat=True).first() or 0
        for number, text in enumerate(lines, start=1):
            self._line(f"{path}, line {number}", text, head)
        self.outcome.counts["checkpoints in the file"] = len(lines)

    def _line(self, place: str, text: bytes, head: int) -> None:
        try:
            made = json.loads(text)
        except ValueError:
            made = None
        if not isinstance(made, dict):
            self._not("checkpoints file", place, "it is no checkpoint; somebody changed it")
            return
        if not self._signed(made, "checkpoints file", place):
            return
        statement = made["statement"]
        sequence, at = statement["sequence"], datetime.fromisoformat(statement["at"])
        digest = AuditBatch.objects.filter(sequence=sequence).values_list("digest", flat=True).first()
        if sequence > head:
            missing = f"{head + 1} to {sequence}" if sequence > head + 1 else str(sequence)
            why = f"signed that there are {sequence} batches, and the chain ends at {head}: missing is {missing}"
            self._not("gateway_auditbatch", missing, f"{place} has {why}", since=at)
        elif digest is None:
            self._not("gateway_auditbatch", sequence, f"{place} has signed it, and it is missing", since=at)
        elif digest != statement["digest"]:
            why = "another digest: the chain was made anew from some batch up to this one on"
            self._not("gateway_auditbatch", sequence, f"{place} has signed {why}", since=at)

    # -- the chain

    def chain(self) -> None:
        """Links, leaves and the events themselves."""
        batches = AuditBatch.objects.order_by("sequence")
        total = batches.count()
        before = batches.filter(sequence__lt=self._since).last()
        digest = before.digest if before else chain.GENESIS
        sequence = before.sequence if before else 0
        events: int | None = 0 if before is None else None  # so many so far, when that is known
        while page := list(batches.filter(sequence__gt=sequence)[:_BATCHES_AT_ONCE]):
            signed = Checkpoint.objects.in_bulk([batch.pk for batch in page], field_name="batch_id")
            for batch in page:
                if batch.sequence != sequence + 1:
                    gap = f"{sequence + 1} to {batch.sequence - 1}"
                    self._not("gateway_auditbatch", gap, "they are missing", since=batch.sealed_at)
                elif batch.previous != digest:
                    why = "it names another batch before it than there is: that one, or this one, was put in its place"
                    self._not("gateway_auditbatch", batch.sequence, why)
                self._batch(batch)
                events = None if events is None else events + batch.events
                if made := signed.get(batch.sequence):
                    self._checkpoint(made, batch, events)
                digest, sequence = batch.digest, batch.sequence
                self.outcome.counts["batches"] += 1
            self._progress("batches", self.outcome.counts["batches"], total)
        for made in Checkpoint.objects.filter(batch_id__gt=sequence).order_by("batch_id"):
            why = f"checkpoint {made.pk} has signed it, and it is missing: the end of the chain was cut off"
            self._not("gateway_auditbatch", made.batch_id, why, since=made.at)
        if sequence:
            last = Checkpoint.objects.order_by("-batch_id").first()
            if last is None or last.batch_id < sequence:
                so_far = f"batch {last.batch_id}, {last.at:%Y-%m-%d %H:%M} UTC" if last else "no batch"
                self.outcome.notes.append(f"Signed up to {so_far}; the chain ends at batch {sequence}.")

    def _batch(self, batch: AuditBatch) -> None:
        leaves = dict(chain.leaves_in(batch))
        ids = list(leaves)
        whole = len(bytes(batch.leaves)) == len(ids) * chain.LEAF_BYTES == batch.events * chain.LEAF_BYTES
        ends = (batch.first_event, batch.last_event) == ((ids[0], ids[-1]) if ids else None)
        if not whole or not ends or sorted(ids) != ids or _digest_of(batch) != batch.digest:
            why = "its sequence, moment, events or leaves are not those it was sealed with"
            self._not("gateway_auditbatch", batch.sequence, why, since=batch.sealed_at)
        if not ids:
            return
        if not self._from_event and self._since > 1:
            self._from_event = ids[0]
        for number in ids:
            if not self._sealed.add(number):
                why = f"it is in batch {batch.sequence} and in an earlier one; a sealer seals none twice"
                self._not("gateway_event", number, why, since=batch.sealed_at)
        now = dict(chain.digests(ids))
        for number in now.keys() & leaves.keys():
            if now[number] != leaves[number]:
                why = f"it is not what was sealed in batch {batch.sequence}; one of its columns was changed"
                self._not("gateway_event", number, why, since=batch.sealed_at)
        self.outcome.counts["events"] += len(now)
        if gone := leaves.keys() - now.keys():
            archived = self._archived.among(gone)
            self.outcome.counts["events in archives"] += len(archived)
            for number in sorted(gone - archived):
                why = f"it was sealed in batch {batch.sequence}, and is neither there nor in an archive: it was deleted"
                self._not("gateway_event", number, why, since=batch.sealed_at)

    def _checkpoint(self, made: Checkpoint, batch: AuditBatch, events: int | None) -> None:
        self.outcome.counts["checkpoints"] += 1
        if not self._signed({"statement": made.statement, "signature": made.signature}, "gateway_checkpoint", made.pk):
            return
        said = (made.statement["sequence"], made.statement["digest"])
        if said != (batch.sequence, batch.digest) or events not in (None, made.statement["events"]):
            why = f"it has signed another batch {batch.sequence}, or other ones before it: the chain was made anew"
            self._not("gateway_checkpoint", made.pk, why, since=made.at)

    def loose_events(self) -> None:
        """Events that came into the table behind the trigger, and such as were gone before they were sealed."""
        events, last, done = Event.objects.order_by("pk"), self._from_event - 1, 0
        total = events.filter(pk__gt=last).count()
        while ids := list(events.filter(pk__gt=last).values_list("pk", flat=True)[:_IDS_AT_ONCE]):
            last, done = ids[-1], done + len(ids)
            loose = [number for number in ids if number not in self._sealed]
            waiting = set(UnsealedEvent.objects.filter(pk__in=loose).values_list("pk", flat=True))
            # What is in neither may have been sealed since the chain was read, or before the first batch that was.
            unknown = set(loose) - waiting
            for number in sorted(unknown - chain.leaves_of(unknown).keys()):
                why = "no batch has it and it does not wait to be sealed: it was put in behind the gateway's back"
                self._not("gateway_event", number, why)
            self.outcome.counts["events not sealed yet"] += len(waiting)
            self._progress("events", done, total)
        there = Exists(Event.objects.filter(pk=OuterRef("pk")))
        for number in UnsealedEvent.objects.filter(~there).values_list("pk", flat=True).iterator():
            self._not("gateway_event", number, "it was written, and deleted before it was sealed")

    # -- rows

    def rows(self, covered: Covered) -> None:
        """Each row of a table against what the trail says of it."""
        table, name = covered.model._meta.db_table, str(covered.model._meta.verbose_name_plural)
        rows = covered.model._default_manager.order_by("pk")
        if self._since > 1:
            named = Event.objects.filter(pk__gte=self._from_event, **{f"{covered.column}__isnull": False})
            rows = rows.filter(pk__in=named.values(covered.column))
        total, last, done = rows.count(), 0, 0
        while page := {row.pk: row for row in rows.filter(pk__gt=last)[:_ROWS_AT_ONCE]}:
            last, done = max(page), done + len(page)
            told = _told(covered, page)
            for key, row in page.items():
                if any(_faults(covered, row, told[key])):
                    self._look_again(covered, key)
                if covered.sealed and not any(one.seal for one in told[key]):
                    self.outcome.unsealed[name] += 1
            for part in covered.parts:
                self._parts(covered, part, told)
            self._progress(name, done, total)
        self.outcome.counts[name] = done
        there = Exists(covered.model._default_manager.filter(pk=OuterRef(covered.column)))
        lost = Event.objects.filter(~there, pk__gte=self._from_event, **{f"{covered.column}__isnull": False})
        for key, at in (
            lost.values_list(covered.column).annotate(at=models.Max("at")).order_by(covered.column).iterator()
        ):
            self._not(table, key, "events name it, and it is not there: it was deleted", since=at)

    def _look_again(self, covered: Covered, key: int) -> None:
        """Say the faults of a row that others may have written to meanwhile: its events, the row, and the same events again."""
        for _ in range(_LOOKS):
            before = _told(covered, [key])[key]
            row = covered.model._default_manager.filter(pk=key).first()
            faults = [] if row is None else list(_faults(covered, row, before))
            if not faults:
                return
            if _told(covered, [key])[key] == before:
                for fault in faults:
                    self._say(fault)
                return

    def _parts(self, covered: Covered, part: Part, told: Mapping[int, Sequence[_Told]]) -> None:
        """Rows that belong to those of a page, against their seals."""
        table, name = part.model._meta.db_table, str(part.model._meta.verbose_name_plural)
        noted = {
            (key, one.data[part.number_key]): one
            for key, events in told.items()
            for one in events
            if part.seal_key in one.data
        }
        rows = part.model._default_manager.filter(**{f"{part.parent}__in": list(told)}).order_by("pk")
        for row in rows.iterator():
            self.outcome.counts[name] += 1
            one = noted.pop((getattr(row, part.parent), getattr(row, part.number)), None)
            if one is None:
                self.outcome.unsealed[name] += 1
            elif one.data[part.seal_key] != _seal(row):
                self._not(table, row.pk, _changed(part.sealed, one.event), since=one.at)
        for (key, number), one in noted.items():
            if covered.model._default_manager.filter(pk=key).exists():
                owner = f"{covered.model._meta.verbose_name} {key}"
                named = number if part.number == "id" else f"{number} of {owner}"
                self._not(table, named, f"event {one.event} of {owner} has its seal, and it is missing", since=one.at)

    # -- bytes

    def blobs(self) -> None:
        """All bytes against the hashes they are kept under."""
        rows = Blob.objects.order_by("pk")
        total, last, done = rows.count(), "", 0
        while page := list(rows.filter(pk__gt=last).values_list("pk", flat=True)[:_ROWS_AT_ONCE]):
            for key in page:
                if not self._blob(key):
                    return
            last, done = page[-1], done + len(page)
            self._progress("blobs", done, total)
        self.outcome.counts["blobs"] = done
        for column in ("raw_id", "payload_id", "covered_id", "answer_id"):
            there = Exists(Blob.objects.filter(pk=OuterRef(column)))
            lost = Transmission.objects.filter(~there, **{f"{column}__isnull": False})
            for key, sha256 in lost.values_list("pk", column).iterator():
                self._not("gateway_blob", sha256, f"transmission {key} names it ({column}), and it is not there")

    def _blob(self, key: str) -> bool:
        """Check one; False when the store cannot be asked at all."""
        blob = Blob.objects.filter(pk=key).first()
        if blob is None:  # archived meanwhile
            return True
        restore = "Put the bytes back from a backup; they have this hash."
        try:
            content = blob.content
        except Unreachable as wrong:
            self._not(
                "gateway_blob", key, f"the blob store cannot be asked: {wrong}", todo="Try again.", tampered=False
            )
            return False
        except (Missing, Damaged, LookupError) as wrong:
            self._not("gateway_blob", key, str(wrong), todo=restore)
            return True
        if hashlib.sha256(content).hexdigest() != key:
            self._not("gateway_blob", key, "its bytes have another hash: they were changed", todo=restore)
        elif len(content) != blob.size_bytes:
            self._not("gateway_blob", key, f"it has {len(content)} bytes, its row says {blob.size_bytes}")
        return True


@dataclass(frozen=True, slots=True)
class _Told:
    """What one event says of a row."""

    event: int
    at: datetime
    name: str
    seal: str
    data: Mapping[str, Any]


def _told(covered: Covered, keys: Iterable[int]) -> Mapping[int, Sequence[_Told]]:
    """What the trail says of rows, in the order it was said."""
    column = covered.column
    events = Event.objects.filter(**{f"{column}__in": list(keys)}, name__in=covered.events).order_by("pk")
    said: dict[int, list[_Told]] = defaultdict(list)
    for key in keys:
        said[key] = []
    for key, number, at, name, data in events.values_list(column, "pk", "at", "name", "data"):
        said[key].append(_Told(number, at, name, str(data.get(covered.seals.get(name, ""), "")), data))
    return said


def _faults(covered: Covered, row: Any, said: Sequence[_Told]) -> Iterator[Fault]:
    """What is not with a row as the trail says."""
    table = row._meta.db_table
    moved = next((one for one in reversed(said) if one.name in covered.moves), None)
    if moved is None and row.state not in covered.first:
        yield Fault(table=table, id=str(row.pk), what=f"its state is {row.state}, and no event says it got there")
    elif moved is not None and row.state != covered.moves[moved.name]:
        what = f"its state is {row.state}; by event {moved.event} it is {covered.moves[moved.name]}"
        yield Fault(table=table, id=str(row.pk), what=what, since=moved.at)
    sealed = next((one for one in reversed(said) if one.seal), None)
    if sealed is not None and not _bears(row, sealed.seal):
        what = _changed(covered.sealed, sealed.event)
        yield Fault(table=table, id=str(row.pk), what=what, since=sealed.at)
    for column, (name, key) in covered.told.items():
        last = next((one for one in reversed(said) if one.name == name and key in one.data), None)
        if last is not None and getattr(row, column) != last.data[key]:
            what = f"its {column} is {getattr(row, column)!r}; by event {last.event} it is {last.data[key]!r}"
            yield Fault(table=table, id=str(row.pk), what=what, since=last.at)
        elif last is None and getattr(row, column):
            what = f"its {column} is {getattr(row, column)!r}, and no event says so"
            yield Fault(table=table, id=str(row.pk), what=what)


def _changed(columns: Sequence[str], event: int) -> str:
    return f"it is not what event {event} has sealed; changed is one of {', '.join(columns)}"


def _bears(row: Any, noted: str) -> bool:
    return row.bears(noted) if isinstance(row, Transmission) else _seal(row) == noted


def _seal(row: Any) -> str:
    return str(row.seal())


def _digest_of(batch: AuditBatch) -> str:
    try:
        return chain.batch_digest(batch)
    except (ValueError, OverflowError):  # a field that is not even of its kind
        return ""


def _numbers(packed: bytes) -> Iterator[int]:
    return (int.from_bytes(packed[place : place + 8], "big") for place in range(0, len(packed), 8))
