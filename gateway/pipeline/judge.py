"""Judge: what was read becomes document rows with their verdicts, and the work or the case that follows from each.

Many documents at once cost as many statements as one: an interchange may hold thousands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edi_maps import canonical
from edi_maps.findings import Finding, Severity, Verdict, finding
from gateway import exception_queue, outbox, states
from gateway.models import DeliveryKind, Document, DocumentState
from gateway.models.fields import storable
from gateway.pipeline import advised
from partners.profiles import Direction, Profile

if TYPE_CHECKING:
    from edi_maps.canonical import CanonicalRecord


@dataclass(slots=True, kw_only=True)
class Reading:
    """A document that is not in the database yet, and what was read for it."""

    document: Document
    record: CanonicalRecord | None
    findings: Sequence[Finding]
    verdict: Verdict
    around: Sequence[Finding] = ()  #: about the envelope, shown with the document's own

    @property
    def is_rejected(self) -> bool:
        return self.verdict is Verdict.REJECTED or self.record is None


def judge(readings: Sequence[Reading], profile: Profile) -> None:
    """Keep documents with their verdicts, and the work or the cases that follow, in the caller's transaction.

    A document that no agreement covers is rejected.
    """
    for reading in readings:
        _fill_in(reading, profile)
    states.begin_all([_first_move(reading) for reading in readings])
    for reading in readings:
        if reading.is_rejected:
            _tell_of_rejection(reading, profile)
    translated = [reading for reading in readings if not reading.is_rejected]
    outbox.enqueue_all(
        DeliveryKind.APPLY,
        [
            outbox.Work(
                key=f"apply:{reading.document.uid}",
                document=reading.document,
                lanes=apply_lanes(reading.document, reading.record),
            )
            for reading in translated
            if reading.record is not None and not isinstance(reading.record, canonical.ApplicationAdvice)
        ],
    )
    for reading in translated:
        if isinstance(reading.record, canonical.ApplicationAdvice):
            advised.by_824(reading.document, profile, reading.record)


def _first_move(reading: Reading) -> tuple[Document, str, Mapping[str, Any]]:
    if reading.is_rejected:
        return reading.document, DocumentState.REJECTED, {"findings": len(reading.findings)}
    return reading.document, DocumentState.TRANSLATED, {"verdict": reading.verdict}


def apply_lanes(document: Document, record: CanonicalRecord) -> list[str]:
    """One lane per order, or per number of what answers none: one document at a time is applied, in the order they came."""
    if isinstance(record, canonical.OrderAcknowledgment):
        numbers = {record.order_number}
    elif isinstance(record, canonical.ShipNotice):
        numbers = {item.order_number or "" for item in record.items}
    else:
        numbers = {document.number}
    return [f"apply:{document.partner_id}:{number[:100]}" for number in numbers if number]


def _fill_in(reading: Reading, profile: Profile) -> None:
    document, record = reading.document, reading.record
    document.record = None if record is None else canonical.dump(record)
    document.number = storable("" if record is None else record.business_number[:64])
    document.order_revision = getattr(record, "order_revision", None)
    if record is not None and not reading.is_rejected and not _covered(profile, record.type, document.channel):
        uncovered = finding("no_agreement", value=f"{record.type} by {document.channel}")
        reading.findings, reading.verdict = [*reading.findings, uncovered], Verdict.REJECTED
    document.findings = [found.as_dict() for found in [*reading.findings, *reading.around]]
    document.verdict = reading.verdict


def _tell_of_rejection(reading: Reading, profile: Profile) -> None:
    document, findings = reading.document, reading.findings
    exception_queue.open_case(
        "no_agreement" if findings and findings[-1].code == "no_agreement" else "document_rejected",
        summary=_rejection(document, profile, [*findings, *reading.around]),
        fingerprint=f"document_rejected:{document.uid}",
        detail={"findings": document.findings},
        partner_id=profile.id,
        document=document,
        transmission=document.transmission,
    )


def _covered(profile: Profile, document_type: str, channel: str) -> bool:
    agreement = profile.agreement(document_type, Direction.INBOUND)
    return agreement is not None and agreement.channel == channel


def _rejection(document: Document, profile: Profile, findings: list[Finding]) -> str:
    first = next((found for found in findings if found.severity is Severity.ERROR), None)
    words = first.text if first else "it holds no record we can read"
    return f"{document.code or document.type or 'Document'} {document.number} of {profile.code}: {words}"[:255]
