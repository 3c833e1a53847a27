"""Advise: a partner is told in an 824 why a document of theirs that could be read is not used, in the words of the screen.

What could not be read, our functional acknowledgment has said already. Whether an 824 is wanted, its agreement says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from edi_maps import canonical, x12
from edi_maps.findings import CATALOGUE, Finding, Severity, finding
from edi_maps.x12 import application_advices
from gateway import exception_queue, order_book, states
from gateway.models import Delivery, Document, DocumentState, ExceptionCase
from gateway.pipeline import dispatch
from partners import directory
from partners.profiles import Agreement, Channel, Direction, FunctionalAck, PartnerState, Profile


def refuse(document: Document, findings: Sequence[Finding], *, now: datetime) -> Document | None:
    """Tell the sender of ``document`` that it is refused, in the transaction of that decision; a second time does nothing.

    Args:
        document: as the partner sent it.
        findings: why; see ``reasons``.

    Returns:
        The advice that leaves; None when none is agreed on, or the partner knows already.
    """
    agreed = _agreed(document)
    key = f"824:{document.uid}"
    if agreed is None or Delivery.objects.filter(key=key).exists():
        return None
    profile, agreement = agreed
    refused = application_advices.Refused(
        type=document.type,
        number=document.number,
        set_code=document.code,
        group_control_number=document.group_control,
        set_control_number=document.set_control,
        version=document.version,
    )
    record = application_advices.advise(findings, refused, number=f"ADV{document.pk}", created_at=now)
    envelope = dispatch.envelope_for(profile, now=now)
    try:
        data = x12.write(record, envelope)
    except ValueError as why:
        _unwritable(document, profile, str(why))
        return None
    advice = Document.objects.create(
        direction=Direction.OUTBOUND,
        channel=agreement.channel,
        partner_id=profile.id,
        order=document.order,
        type=record.type,
        format=agreement.format,
        code="824",
        version=profile.x12.version,
        number=record.number,
        record=canonical.dump(record),
        correlation_id=document.correlation_id,
    )
    states.advance(advice, DocumentState.TRANSLATED, note={"refuses": str(document.uid)})
    dispatch.send_x12(
        profile,
        data,
        envelope,
        documents=[advice],
        key=key,
        lanes=[],
        correlation_id=document.correlation_id,
    )
    return advice


def is_told(document: Document) -> bool:
    """Whether the sender of ``document`` would be told of its refusal."""
    return _agreed(document) is not None


def reasons(case: ExceptionCase) -> list[Finding]:
    """Why the document of a case is not used, as findings; what a person noted about it stays in the house."""
    document = case.document
    found = [_difference(line) for line in case.detail.get("lines", ())]
    if document is not None and case.reason == "order_unknown":
        found += [finding("order_unknown", value=number) for number in _unknown_orders(document)]
    elif case.reason == "order_ambiguous":
        found.append(finding("order_ambiguous", reason=case.detail.get("why", "")))
    if document is not None:
        found += [Finding(**(said | {"severity": Severity(said["severity"])})) for said in document.findings]
    if not any(one.severity is Severity.ERROR for one in found):
        found.append(finding("document_discarded"))
    return found


def _agreed(document: Document) -> tuple[Profile, Agreement] | None:
    """The partner and the agreement to say so by; None also where the partner knows already, or asks us by itself."""
    if document.direction != Direction.INBOUND or document.format != "x12":
        return None
    profile = directory.profile(document.partner_id)
    agreement = profile.agreement("application_advice", Direction.OUTBOUND)
    if agreement is None or agreement.channel is not Channel.AS2 or profile.state is PartnerState.SUSPENDED:
        return None
    return None if _told_already(document, profile) else (profile, agreement)


def _told_already(document: Document, profile: Profile) -> bool:
    """Whether our functional acknowledgment has refused the document. It knows nothing of agreements."""
    return profile.x12.functional_ack is not FunctionalAck.NONE and any(
        said["severity"] == Severity.ERROR and said["code"] != "no_agreement" for said in document.findings
    )


def _difference(line: dict[str, Any]) -> Finding:
    """One difference from the order book, as it stands in the detail of a case."""
    code = f"{line['field']}_differs"
    return finding(
        code if code in CATALOGUE else "order_differs",
        severity=Severity(line["severity"]),
        value=line.get("answered"),
        reason=line["text"],
    )


def _unknown_orders(document: Document) -> Iterator[str]:
    """The orders a document names that are not in the book."""
    record = canonical.load(document.record)
    for number in order_book.orders_of(record) if isinstance(record, canonical.ShipNotice) else [document.number]:
        try:
            if order_book.find(document.partner_id, number) is None:
                yield number
        except order_book.AmbiguousOrder:
            continue


def _unwritable(document: Document, profile: Profile, why: str) -> None:
    exception_queue.open_case(
        "advice_unwritable",
        summary=f"{profile.code} cannot be told that {document.code} {document.number} is refused: {why}",
        fingerprint=f"advice_unwritable:{document.uid}",
        detail={"why": why},
        document=document,
    )
