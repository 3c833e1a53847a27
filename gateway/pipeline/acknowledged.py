"""Acknowledged: what a partner's 997 or TA1 says is filed under the documents of ours it speaks of."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

from edi_maps import x12
from edi_maps.findings import Verdict
from gateway import events, exception_queue, states
from gateway.models import Document, DocumentState, Interchange, Transmission
from partners.profiles import Direction, Profile

#: AK501, AK901 and TA104 → our words. P (partly accepted) says nothing of a set it does not list.
_STATUS: Final = {
    "A": Verdict.ACCEPTED,
    "E": Verdict.ACCEPTED_WITH_ERRORS,
    "R": Verdict.REJECTED,
    "M": Verdict.REJECTED,
    "W": Verdict.REJECTED,
    "X": Verdict.REJECTED,
}


def by_997(document: Document, profile: Profile, read: x12.FunctionalAcknowledgment) -> None:
    """File a 997 that came as ``document``: ours are found by group and set control number."""
    document.verdict = Verdict.ACCEPTED
    document.type = "functional_acknowledgment"
    document.save(update_fields=["verdict", "type"])
    states.advance(document, DocumentState.TRANSLATED)
    ours = Document.objects.filter(
        partner_id=profile.id,
        direction=Direction.OUTBOUND,
        group_code=read.functional_id,
        group_control=_plain(read.group_control_number),
    )
    by_set = {_plain(one.control_number): one for one in read.sets}
    for sent in ours:
        one = by_set.get(_plain(sent.set_control))
        errors = [asdict(error) for error in one.errors] if one else []
        _mark(sent, profile, one.status if one else read.status, document.transmission, {"errors": errors})
    states.advance(document, DocumentState.RELAYED)


def by_ta1(transmission: Transmission, profile: Profile, read: x12.InterchangeAcknowledgment) -> None:
    """File a TA1. Only a rejection says something of the documents inside; acceptance is the 997's to say."""
    if _STATUS.get(read.status) is not Verdict.REJECTED:
        return
    sent_in = Interchange.objects.filter(
        partner_id=profile.id, direction=Direction.OUTBOUND, control_number=read.control_number.zfill(9)
    )
    for sent in Document.objects.filter(interchange__in=sent_in):
        _mark(sent, profile, read.status, transmission, {"why": f"TA1 {read.status} {read.note}"})


def _mark(
    sent: Document, profile: Profile, code: str, transmission: Transmission | None, detail: dict[str, Any]
) -> None:
    status = _STATUS.get(code)
    if status is None:
        return
    sent.acknowledged = status
    sent.save(update_fields=["acknowledged"])
    events.record("document.acknowledged", document=sent, transmission=transmission, status=status)
    if status is Verdict.REJECTED:
        exception_queue.open_case(
            "functional_ack_rejected",
            summary=f"{profile.code} cannot read our {sent.code} {sent.number}",
            fingerprint=f"functional_ack_rejected:{sent.uid}",
            detail=detail,
            partner_id=profile.id,
            document=sent,
            order=sent.order,
            transmission=transmission,
        )


def _plain(control_number: str) -> str:
    """Control numbers are equal as numbers, however they are padded."""
    return control_number.lstrip("0") or "0"
