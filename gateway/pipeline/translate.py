"""Translate: a stored transmission becomes documents, each with its own verdict, and the acknowledgment goes back.

One bad transaction set does not hold its neighbours. The sets of an interchange are read and written some at a time, so that
memory does not grow with their number; one transaction holds everything that follows from a transmission. What a usual message
holds is read before that transaction begins.
"""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeVar

from django.db import transaction
from django.db.models import Q

from edi_maps import formats, x12
from edi_maps.findings import Finding, Verdict, finding, verdict_of
from gateway import archives, exception_queue, outbox, statements, states
from gateway.models import Document, DocumentState, Interchange, Transmission, TransmissionState
from gateway.models.fields import storable
from gateway.pipeline import acknowledged, dispatch
from gateway.pipeline.judge import Reading, judge
from partners import directory
from partners.profiles import Direction, FunctionalAck, Profile

if TYPE_CHECKING:
    from edi_maps.canonical import CanonicalRecord

log = logging.getLogger(__name__)

#: Transaction sets written at once, and bytes of them: many enough for few statements, few enough to be held.
SETS_AT_ONCE: Final = 200
BYTES_AT_ONCE: Final = 1024 * 1024

#: Between two lines in the log about a translation that takes its time.
PROGRESS_EVERY_S: Final = 10.0

_T = TypeVar("_T")


def run(claim: outbox.Claim, *, now: datetime, clock: Callable[[], float] = time.monotonic) -> None:
    """Handle one claimed delivery of kind ``translate``.

    Args:
        clock: seconds, for saying now and then how far it is.

    Raises:
        outbox.Fenced: the claim was lost; nothing was written.
    """
    transmission = claim.delivery.transmission
    if transmission is None or transmission.payload is None:
        raise ValueError(f"{claim.delivery} names no stored payload")
    profile = directory.profile(transmission.partner_id)
    data = transmission.payload.content
    if transmission.format == "x12":
        interchanges, progress = _begun(_read(data, profile)), _Progress(transmission, len(data), clock)
        with transaction.atomic():
            outbox.hold(claim)
            _translate_x12(transmission, profile, interchanges, progress, now=now)
            _answered(claim, transmission)
    else:
        reading = formats.read(transmission.format, data, sheet=transmission.sheet)
        with transaction.atomic():
            outbox.hold(claim)
            document = _document(transmission, type=reading.type or "")
            judge(
                [Reading(document=document, record=reading.record, findings=reading.findings, verdict=reading.verdict)],
                profile,
            )
            _answered(claim, transmission)


# -- reading


@dataclass(frozen=True, slots=True, kw_only=True)
class _ReadSet:
    """A transaction set as read, with what it has itself only until the next one is read."""

    group: x12.Group
    position: int  #: in its group
    set: x12.TransactionSet
    record: CanonicalRecord | None
    acknowledgment: x12.FunctionalAcknowledgment | None


_Chunks = Iterator[list[_ReadSet]]


def _read(data: bytes, profile: Profile) -> Iterator[tuple[x12.Interchange, _Chunks]]:
    """The interchanges of a message; of each the first sets are read with it, the others when they are asked for."""
    for interchange, sets in x12.in_two_passes(partial(io.BytesIO, data), relaxed=profile.x12.relaxed):
        yield interchange, _begun(_chunks(sets))


def _chunks(sets: Iterator[x12.SetEnd]) -> _Chunks:
    chunk: list[_ReadSet] = []
    size = 0
    for _, group, one in sets:
        place = len(group.sets) - 1
        chunk.append(
            _ReadSet(group=group, position=place, set=one, record=one.record, acknowledgment=one.acknowledgment)
        )
        size += one.end - one.start
        if len(chunk) >= SETS_AT_ONCE or size >= BYTES_AT_ONCE:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _begun(items: Iterator[_T]) -> Iterator[_T]:
    """The same items; the first is made at once, and not kept once it is given."""
    first = list(islice(items, 1))

    def all_of_them() -> Iterator[_T]:
        if first:
            yield first.pop()
        yield from items

    return all_of_them()


class _Progress:
    """Says in the log how far a translation is that takes its time."""

    def __init__(self, transmission: Transmission, size_bytes: int, clock: Callable[[], float]) -> None:
        self._transmission, self._size_bytes, self._clock = transmission, size_bytes, clock
        self._sets, self._told_at = 0, clock()

    def passed(self, chunk: Sequence[_ReadSet]) -> None:
        self._sets += len(chunk)
        if (at := self._clock()) - self._told_at >= PROGRESS_EVERY_S:
            self._told_at = at
            log.info(
                "transmission=%s translating: %s sets, %s of %s bytes",
                self._transmission.pk,
                self._sets,
                chunk[-1].set.end,
                self._size_bytes,
            )


# -- writing


def _translate_x12(
    transmission: Transmission,
    profile: Profile,
    interchanges: Iterator[tuple[x12.Interchange, _Chunks]],
    progress: _Progress,
    *,
    now: datetime,
) -> None:
    """Write down what is read: interchange and document rows, cases, the functional acknowledgment."""
    for index, (interchange, chunks) in enumerate(interchanges):
        row = _interchange(transmission, profile, interchange)
        repeat = _repeat(row, interchange)
        refusal = repeat or _foreign_sender(profile, interchange)
        taken = refusal is None and row.verdict != Verdict.REJECTED
        if refusal is not None:
            # Among the findings of the interchange it becomes the TA1 that tells the sender so.
            interchange.findings.append(refusal)
        for chunk in chunks:
            documents = [_document_of(one, transmission, row) for one in chunk]
            if repeat is not None:
                Document.objects.bulk_create(documents)
                note = {"reason": "interchange repeated"}
                states.advance_all(documents, DocumentState.REJECTED, notes=[note] * len(documents))
            else:
                _take(chunk, documents, profile, interchange, refused=refusal is not None, taken=taken)
            progress.passed(chunk)
        if interchange.acknowledgments and taken:
            said = map(x12.read_interchange_acknowledgment, interchange.acknowledgments)
            acknowledged.by_ta1s(transmission, profile, said)
        if repeat is not None:
            _tell_of_repeat(row, profile)
        elif not interchange.groups and not interchange.acknowledgments:
            _unreadable(transmission, profile, interchange)
        kind = profile.x12.functional_ack
        if kind is not FunctionalAck.NONE:
            code = "999" if kind is FunctionalAck.IMPLEMENTATION else "997"
            dispatch.functional_acknowledgment(
                profile,
                partial(x12.acknowledge, interchange, code=code, detail=kind is not FunctionalAck.GROUP),
                answered=transmission,
                key=f"997:{transmission.uid}:{index}",
                now=now,
            )


def _take(
    chunk: Sequence[_ReadSet],
    documents: Sequence[Document],
    profile: Profile,
    interchange: x12.Interchange,
    *,
    refused: bool,
    taken: bool,
) -> None:
    """File what acknowledges, judge the rest. A refused interchange takes all its sets along."""
    readings = []
    for one, document in zip(chunk, documents, strict=True):
        if one.acknowledgment is not None and taken:
            document.save()
            acknowledged.by_997(document, profile, one.acknowledgment)
        else:
            readings.append(
                Reading(
                    document=document,
                    record=one.record,
                    findings=one.set.findings,
                    verdict=Verdict.REJECTED if refused else one.set.verdict or Verdict.REJECTED,
                    around=[*interchange.findings, *one.group.findings],
                )
            )
    judge(readings, profile)


def _answered(claim: outbox.Claim, transmission: Transmission) -> None:
    if transmission.state == TransmissionState.STORED:
        states.advance(transmission, TransmissionState.ANSWERED)
    outbox.finish(claim)


def _document(transmission: Transmission, *, type: str) -> Document:
    """A document of this transmission, not in the database yet."""
    return Document(
        direction=Direction.INBOUND,
        channel=transmission.channel,
        partner_id=transmission.partner_id,
        transmission=transmission,
        correlation_id=transmission.correlation_id,
        format=transmission.format,
        type=type,
    )


def _document_of(one: _ReadSet, transmission: Transmission, interchange: Interchange) -> Document:
    document = _document(transmission, type=one.set.type or "")
    document.interchange = interchange
    document.position = one.position
    document.code = storable(one.set.code[:8])
    document.version = storable(one.group.version[:16])
    document.group_code = storable(one.group.functional_id[:4])
    document.group_control = storable(one.group.control_number[:20])
    document.set_control = storable(one.set.control_number[:20])
    return document


def _interchange(transmission: Transmission, profile: Profile, read: x12.Interchange) -> Interchange:
    """Keep the envelope; ``repeats`` names the first one that used its numbers."""
    ends = {
        "direction": Direction.INBOUND,
        "sender": storable(f"{read.sender_qualifier}:{read.sender_id}"[:40]),
        "receiver": storable(f"{read.receiver_qualifier}:{read.receiver_id}"[:40]),
        "control_number": storable(read.control_number[:20]),
    }
    verdict, findings = verdict_of(read.findings), [found.as_dict() for found in read.findings]
    known = read.has_header and bool(read.control_number)
    same = _SAME_NUMBERS.all(partner=profile.id, own=transmission.pk, **ends) if known else []
    own = next((one for one in same if one.transmission_id == transmission.pk), None)
    if own is not None:
        # The message is read anew, perhaps on other terms.
        own.verdict, own.findings = verdict, findings
        own.save(update_fields=["verdict", "findings"])
        return own
    row = Interchange(
        transmission=transmission,
        partner_id=profile.id,
        usage=storable(read.usage[:1]),
        repeats=next((one for one in same if one.repeats_id is None), None),
        verdict=verdict,
        findings=findings,
        **ends,
    )
    statements.insert(row)
    return row


#: The interchange that was the first with these numbers, and that of this message.
_SAME_NUMBERS: Final = statements.Query(
    lambda: Interchange.objects.filter(
        Q(transmission_id=statements.Given("own")) | Q(repeats=None),
        partner_id=statements.Given("partner"),
        direction=statements.Given("direction"),
        sender=statements.Given("sender"),
        receiver=statements.Given("receiver"),
        control_number=statements.Given("control_number"),
    ).order_by("pk")
)


def _repeat(row: Interchange, read: x12.Interchange) -> Finding | None:
    again = finding("interchange_repeated", segment="ISA", element=13, offset=read.start, value=read.control_number)
    if read.has_header and row.control_number:
        key = archives.interchange_key(row.partner_id, row.sender, row.receiver, row.control_number)
        if archives.under(key):
            return again
    first = row.repeats
    if first is None:
        return None
    taken = first.repeated_by.filter(pk__lt=row.pk).exclude(verdict=Verdict.REJECTED)
    if first.verdict == Verdict.REJECTED and not taken.exists():
        return None  # what was refused is to come again, corrected, and mostly under its old number
    return again


def _tell_of_repeat(row: Interchange, profile: Profile) -> None:
    first = row.repeats
    exception_queue.open_case(
        "interchange_repeated",
        summary=f"{profile.code} sent interchange {row.control_number} again in another message",
        fingerprint=f"interchange_repeated:{profile.id}:{row.sender}:{row.control_number}",
        detail={"first": str(first.transmission.uid) if first else "", "again": str(row.transmission.uid)},
        partner_id=profile.id,
        transmission=row.transmission,
    )


def _foreign_sender(profile: Profile, interchange: x12.Interchange) -> Finding | None:
    """A finding when the ISA names another sender than the partner that sent it: S34, posing as somebody else."""
    sent, ours = interchange.sender_id.strip(), profile.x12.their_id.strip()
    if not interchange.sender_id or (interchange.sender_qualifier, sent) == (profile.x12.their_qualifier, ours):
        return None
    return finding(
        "sender_mismatch",
        segment="ISA",
        element=6,
        offset=interchange.start,
        value=f"{interchange.sender_qualifier}:{sent}",
        expected=f"{profile.x12.their_qualifier}:{ours}",
    )


def _unreadable(transmission: Transmission, profile: Profile, interchange: x12.Interchange) -> None:
    """An interchange without a single transaction set: nothing will be applied, so a person must know."""
    found = next(iter(interchange.findings), None)
    exception_queue.open_case(
        "unreadable_message",
        summary=f"{profile.code} sent an interchange we cannot read: {found.text if found else 'it is empty'}"[:255],
        fingerprint=f"unreadable_message:{transmission.uid}",
        detail={"findings": [one.as_dict() for one in interchange.findings]},
        partner_id=profile.id,
        transmission=transmission,
    )
