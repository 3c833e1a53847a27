"""Translate: a stored transmission becomes documents, each with its own verdict, and the acknowledgment goes back.

One bad transaction set does not hold its neighbours. Reading is pure and happens before the transaction; the transaction
holds everything that follows from it.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Final

from django.db import transaction

from edi_maps import canonical, formats, x12
from edi_maps.findings import Finding, Severity, Verdict, finding, verdict_of
from gateway import exception_queue, outbox, states
from gateway.models import DeliveryKind, Document, DocumentState, Interchange, Transmission, TransmissionState
from gateway.models.fields import storable
from gateway.pipeline import acknowledged, advised, dispatch
from partners import directory
from partners.profiles import Direction, FunctionalAck, Profile

if TYPE_CHECKING:
    from edi_maps.canonical import CanonicalRecord

#: Documents suppliers send us and the order book understands.
APPLICABLE: Final = frozenset({"order_acknowledgment", "change_acknowledgment", "ship_notice"})


def run(claim: outbox.Claim, *, now: datetime) -> None:
    """Handle one claimed delivery of kind ``translate``.

    Raises:
        outbox.Fenced: the claim was lost; nothing was written.
    """
    transmission = claim.delivery.transmission
    if transmission is None or transmission.payload is None:
        raise ValueError(f"{claim.delivery} names no stored payload")
    profile = directory.profile(transmission.partner_id)
    data = transmission.payload.content
    if transmission.format == "x12":
        interchanges = x12.read(data, relaxed=profile.x12.relaxed)
        with transaction.atomic():
            translate_x12(transmission, profile, interchanges, now=now)
            _answered(claim, transmission)
    else:
        reading = formats.read(transmission.format, data, sheet=transmission.sheet)
        with transaction.atomic():
            document = _document(transmission, type=reading.type or "")
            judge(document, profile, reading.record, list(reading.findings), reading.verdict)
            _answered(claim, transmission)


def translate_x12(
    transmission: Transmission, profile: Profile, interchanges: list[x12.Interchange], *, now: datetime
) -> None:
    """Write down what was read: interchange and document rows, cases, the functional acknowledgment."""
    for index, interchange in enumerate(interchanges):
        row = _interchange(transmission, profile, interchange)
        repeat = _repeat(row, interchange)
        refusal = repeat or _foreign_sender(profile, interchange)
        taken = refusal is None and row.verdict != Verdict.REJECTED
        if refusal is not None:
            # Among the findings of the interchange it becomes the TA1 that tells the sender so.
            interchange.findings.append(refusal)
        for group in interchange.groups:
            for position, read_set in enumerate(group.sets):
                document = _document(
                    transmission,
                    type=read_set.type or "",
                    interchange=row,
                    code=read_set.code[:8],
                    version=group.version[:16],
                    position=position,
                    group_code=group.functional_id[:4],
                    group_control=group.control_number[:20],
                    set_control=read_set.control_number[:20],
                )
                if repeat is not None:
                    states.advance(document, DocumentState.REJECTED, note={"reason": "interchange repeated"})
                elif read_set.acknowledgment is not None and taken:
                    acknowledged.by_997(document, profile, read_set.acknowledgment)
                else:
                    around = [*interchange.findings, *group.findings]
                    verdict = Verdict.REJECTED if refusal else read_set.verdict or Verdict.REJECTED
                    judge(document, profile, read_set.record, read_set.findings, verdict, around)
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


def _answered(claim: outbox.Claim, transmission: Transmission) -> None:
    if transmission.state == TransmissionState.STORED:
        states.advance(transmission, TransmissionState.ANSWERED)
    outbox.finish(claim)


def _document(
    transmission: Transmission,
    *,
    type: str,
    interchange: Interchange | None = None,
    code: str = "",
    version: str = "",
    position: int = 0,
    group_code: str = "",
    group_control: str = "",
    set_control: str = "",
) -> Document:
    return Document.objects.create(
        direction=Direction.INBOUND,
        channel=transmission.channel,
        partner_id=transmission.partner_id,
        transmission=transmission,
        correlation_id=transmission.correlation_id,
        format=transmission.format,
        type=type,
        interchange=interchange,
        code=storable(code),
        version=storable(version),
        position=position,
        group_code=storable(group_code),
        group_control=storable(group_control),
        set_control=storable(set_control),
    )


def judge(
    document: Document,
    profile: Profile,
    record: CanonicalRecord | None,
    findings: list[Finding],
    verdict: Verdict,
    around: list[Finding] | None = None,
) -> None:
    """Give a document its verdict, and the work or the case that follows from it.

    ``around`` are findings about the envelope, shown with the document's own.
    """
    document.record = None if record is None else canonical.dump(record)
    document.number = storable("" if record is None else record.business_number[:64])
    document.order_revision = getattr(record, "order_revision", None)
    if record is not None and verdict is not Verdict.REJECTED and not _covered(profile, record.type, document.channel):
        findings = [*findings, finding("no_agreement", value=f"{record.type} by {document.channel}")]
        verdict = Verdict.REJECTED
    document.findings = [found.as_dict() for found in [*findings, *(around or [])]]
    document.verdict = verdict
    document.save(update_fields=["record", "number", "order_revision", "findings", "verdict"])
    if verdict is Verdict.REJECTED or record is None:
        states.advance(document, DocumentState.REJECTED, note={"findings": len(findings)})
        exception_queue.open_case(
            "no_agreement" if findings and findings[-1].code == "no_agreement" else "document_rejected",
            summary=_rejection(document, profile, [*findings, *(around or [])]),
            fingerprint=f"document_rejected:{document.uid}",
            detail={"findings": document.findings},
            partner_id=profile.id,
            document=document,
            transmission=document.transmission,
        )
        return
    states.advance(document, DocumentState.TRANSLATED, note={"verdict": verdict})
    if record.type in APPLICABLE:
        outbox.enqueue(
            DeliveryKind.APPLY, f"apply:{document.uid}", document=document, lanes=apply_lanes(document, record)
        )
    elif isinstance(record, canonical.ApplicationAdvice):
        advised.by_824(document, profile, record)


def apply_lanes(document: Document, record: CanonicalRecord) -> list[str]:
    """One lane per order: of one order one document at a time is applied, in the order they came."""
    if isinstance(record, canonical.OrderAcknowledgment):
        numbers = {record.order_number}
    elif isinstance(record, canonical.ShipNotice):
        numbers = {item.order_number or "" for item in record.items}
    else:
        numbers = {document.number}
    return [f"apply:{document.partner_id}:{number[:100]}" for number in numbers if number]


def _covered(profile: Profile, document_type: str, channel: str) -> bool:
    agreement = profile.agreement(document_type, Direction.INBOUND)
    return agreement is not None and agreement.channel == channel


def _rejection(document: Document, profile: Profile, findings: list[Finding]) -> str:
    first = next((found for found in findings if found.severity is Severity.ERROR), None)
    words = first.text if first else "it holds no record we can read"
    return f"{document.code or document.type or 'Document'} {document.number} of {profile.code}: {words}"[:255]


def _interchange(transmission: Transmission, profile: Profile, read: x12.Interchange) -> Interchange:
    """Keep the envelope; ``repeats`` names the first one that used its numbers."""
    ends = {
        "direction": Direction.INBOUND,
        "sender": storable(f"{read.sender_qualifier}:{read.sender_id}"[:40]),
        "receiver": storable(f"{read.receiver_qualifier}:{read.receiver_id}"[:40]),
        "control_number": storable(read.control_number[:20]),
    }
    verdict, findings = verdict_of(read.findings), [found.as_dict() for found in read.findings]
    same = Interchange.objects.filter(partner_id=profile.id, **ends).order_by("pk")
    known = read.has_header and bool(read.control_number)
    if known and (own := same.filter(transmission=transmission).first()):
        # The message is read anew, perhaps on other terms.
        own.verdict, own.findings = verdict, findings
        own.save(update_fields=["verdict", "findings"])
        return own
    return Interchange.objects.create(
        transmission=transmission,
        partner_id=profile.id,
        usage=storable(read.usage[:1]),
        repeats=same.filter(repeats=None).first() if known else None,
        verdict=verdict,
        findings=findings,
        **ends,
    )


def _repeat(row: Interchange, read: x12.Interchange) -> Finding | None:
    first = row.repeats
    if first is None:
        return None
    taken = first.repeated_by.filter(pk__lt=row.pk).exclude(verdict=Verdict.REJECTED)
    if first.verdict == Verdict.REJECTED and not taken.exists():
        return None  # what was refused is to come again, corrected, and mostly under its old number
    return finding("interchange_repeated", segment="ISA", element=13, offset=read.start, value=read.control_number)


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
