"""Acknowledged: what a partner's 997, 999 or TA1 says is filed under the documents of ours it speaks of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from edi_maps import x12
from edi_maps.findings import Finding, Verdict
from edi_maps.x12 import refusals
from edi_maps.x12.received_acknowledgments import SetAcknowledgment
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

#: Control numbers of one message that are looked up and shown; more than that nobody means.
_MOST: Final = 500


def by_997(document: Document, profile: Profile, read: x12.FunctionalAcknowledgment) -> None:
    """File a 997 or 999 that came as ``document``: ours are found by group and set control number together."""
    document.verdict = Verdict.ACCEPTED
    document.type = "functional_acknowledgment"
    document.save(update_fields=["verdict", "type"])
    states.advance(document, DocumentState.TRANSLATED)
    ours = _sent_in_group(profile, read)
    by_set = {_plain(one.control_number): one for one in read.sets}
    for sent in ours:
        _file(sent, profile, document.transmission, read, by_set.pop(_plain(sent.set_control), None))
    group = f"group {read.functional_id[:2]} {read.group_control_number[:9]}"
    strangers = [f"{one.code[:3]} {one.control_number[:9]} of {group}" for one in by_set.values()]
    if not ours:
        _unmatched(profile, document.transmission, group, strangers)
    elif strangers:
        _unmatched(profile, document.transmission, strangers[0], strangers[1:])
    states.advance(document, DocumentState.RELAYED)


def by_ta1s(transmission: Transmission, profile: Profile, read: Iterable[x12.InterchangeAcknowledgment]) -> None:
    """File the TA1s of one interchange. Only a rejection says something of the documents inside; acceptance is the 997's."""
    said = {one.control_number.zfill(9): one for one in read}
    numbers = list(said)[:_MOST]
    rows = Interchange.objects.filter(
        partner_id=profile.id, direction=Direction.OUTBOUND, control_number__in=numbers
    ).order_by("pk")
    for number, sent in {row.control_number: row for row in rows.select_related("transmission")}.items():
        one = said.pop(number)
        events.record("interchange.acknowledged", transmission=sent.transmission, status=one.status, note=one.note[:3])
        if _STATUS.get(one.status) is Verdict.REJECTED:
            why = f"TA1 {one.status} {one.note}"
            for document in Document.objects.filter(interchange=sent):
                _mark(document, Verdict.REJECTED, transmission)
                _reject(document, profile, transmission, why, [refusals.note_in_words(one)])
    if said:
        first, *others = said
        _unmatched(profile, transmission, f"interchange {first[:20]}", [number[:20] for number in others])


def _sent_in_group(profile: Profile, read: x12.FunctionalAcknowledgment) -> list[Document]:
    """The documents of ours in the group a 997 speaks of; of several groups under one number the newest."""
    sent = Document.objects.filter(
        partner_id=profile.id,
        direction=Direction.OUTBOUND,
        group_code=read.functional_id,
        group_control=_plain(read.group_control_number),
    ).order_by("pk")
    newest = sent.last()
    return [] if newest is None else list(sent.filter(interchange=newest.interchange))


def _file(
    sent: Document,
    profile: Profile,
    transmission: Transmission | None,
    read: x12.FunctionalAcknowledgment,
    about: SetAcknowledgment | None,
) -> None:
    """What a 997 says about one document of ours."""
    status = _status(read, about)
    fingerprint = _fingerprint(sent)
    if status is not None:
        _mark(sent, status, transmission)
    if status in (Verdict.ACCEPTED, Verdict.ACCEPTED_WITH_ERRORS):
        exception_queue.settle(fingerprint, note="A later acknowledgment accepts the document.")
        return
    said = " ".join(("AK5", about.status, *about.codes)) if about else "no AK5"
    why = f"{said}, {' '.join(('AK9', read.status, *read.codes))}"
    if status is None:
        why = f"The acknowledgment does not say what became of the document: {why}"
    _reject(sent, profile, transmission, why, refusals.in_words(read, about, _segments(sent)))


def _status(read: x12.FunctionalAcknowledgment, about: SetAcknowledgment | None) -> Verdict | None:
    """What became of one set of ours, None when the acknowledgment leaves it open.

    A refused group takes its sets along, whatever is said of them. Of a group partly accepted, a set that is not listed was
    accepted when the listed ones are all that was refused.
    """
    group = _STATUS.get(read.status)
    if group is Verdict.REJECTED:
        return group
    if about is not None and about.status:
        return _STATUS.get(about.status)
    if read.status == "P" and about is None and read.received is not None and read.accepted is not None:
        refused = sum(_STATUS.get(one.status) is Verdict.REJECTED for one in read.sets)
        return Verdict.ACCEPTED if refused == read.received - read.accepted else None
    return group


def _mark(sent: Document, status: Verdict, transmission: Transmission | None) -> None:
    sent.acknowledged = status
    sent.save(update_fields=["acknowledged"])
    events.record("document.acknowledged", document=sent, transmission=transmission, status=status)


def _reject(
    sent: Document, profile: Profile, transmission: Transmission | None, why: str, findings: list[Finding]
) -> None:
    """A case for whoever must see that the partner gets the document in a form it can read."""
    first = f": {findings[0].text}" if findings else ""
    exception_queue.open_case(
        "functional_ack_rejected",
        summary=f"{profile.code} cannot read our {sent.code} {sent.number}{first}",
        fingerprint=_fingerprint(sent),
        detail={"why": why, "findings": [found.as_dict() for found in findings]},
        partner_id=profile.id,
        document=sent,
        order=sent.order,
        transmission=transmission,
    )


def _segments(sent: Document) -> list[x12.Segment]:
    """A document of ours as it went out, segment by segment; empty when it is not X12."""
    payload = sent.transmission.payload if sent.transmission is not None else None
    if payload is None:
        return []
    for interchange in x12.scan(payload.content):
        for group in interchange.groups:
            for one in group.sets:
                if _plain(one.control_number) == _plain(sent.set_control):
                    return one.segments
    return []


def _unmatched(profile: Profile, transmission: Transmission | None, what: str, others: list[str]) -> None:
    """Nothing of ours has these numbers: said once, for as long as nobody has looked at it."""
    numbers = [what, *others][:_MOST]
    events.record("acknowledgment.unmatched", transmission=transmission, partner_id=profile.id, numbers=numbers)
    exception_queue.open_case(
        "acknowledgment_unmatched",
        summary=f"{profile.code} acknowledges {what}, which we did not send to them",
        fingerprint=f"acknowledgment_unmatched:{profile.id}:{what}",
        detail={"control_numbers": numbers},
        partner_id=profile.id,
        transmission=transmission,
    )


def _fingerprint(sent: Document) -> str:
    return f"functional_ack_rejected:{sent.uid}"


def _plain(control_number: str) -> str:
    """Control numbers are equal as numbers, however they are padded."""
    return control_number.lstrip("0") or "0"
