"""Advised: what a partner's 824 says is filed under the documents of ours it speaks of, and a refusal becomes a case."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, Final

from django.db.models import QuerySet

from edi_maps.canonical import Advice, ApplicationAdvice
from edi_maps.findings import Finding
from edi_maps.x12 import application_advices
from gateway import events, exception_queue, states
from gateway.models import Document, DocumentState
from partners.profiles import Direction, Profile

#: References beside the one an advice is about that name a document of ours by its number.
_NUMBERS: Final = frozenset({"purchase_order", "shipment", "invoice"})


def by_824(document: Document, profile: Profile, record: ApplicationAdvice) -> None:
    """File an 824 that came as ``document``: each document of ours it names gets one event, and one case when refused."""
    about: dict[int, list[Advice]] = {}
    ours: dict[int, Document] = {}
    strangers: list[Advice] = []
    for advice in record.advices:
        named = _named(profile, advice)
        for sent in named:
            ours[sent.pk] = sent
            about.setdefault(sent.pk, []).append(advice)
        if not named:
            strangers.append(advice)
    for key, sent in ours.items():
        _file(sent, profile, document, about[key])
    if strangers:
        _unmatched(profile, document, strangers)
    states.advance(document, DocumentState.RELAYED)


def _named(profile: Profile, advice: Advice) -> list[Document]:
    """The documents of ours an advice is about: by their control numbers, else the newest with the number it names."""
    sent = Document.objects.filter(partner_id=profile.id, direction=Direction.OUTBOUND).exclude(group_control="")
    if advice.set_code:
        sent = sent.filter(code=advice.set_code)
    return _by_control_numbers(sent, advice) or _by_number(sent, advice)


def _by_control_numbers(sent: QuerySet[Document], advice: Advice) -> list[Document]:
    if not advice.group_control_number:
        return []
    in_group = sent.filter(group_control=_plain(advice.group_control_number)).order_by("pk")
    # Should a counter ever have been set back, the newest set of a number is meant.
    by_set = {_plain(one.set_control): one for one in in_group}
    if not advice.set_control_number:
        return list(by_set.values())
    one = by_set.get(_plain(advice.set_control_number))
    return [one] if one is not None else []


def _by_number(sent: QuerySet[Document], advice: Advice) -> list[Document]:
    named = [advice.reference, *(one.value for one in advice.references if one.kind in _NUMBERS)]
    for number in filter(None, named):
        if newest := sent.filter(number=number[:64]).order_by("-pk").first():
            return [newest]
    return []


def _file(sent: Document, profile: Profile, document: Document, advices: Sequence[Advice]) -> None:
    refusing = [advice for advice in advices if application_advices.refuses(advice)]
    events.record(
        "document.advised",
        document=sent,
        transmission=document.transmission,
        status=(refusing or advices)[0].verdict,
        codes=sorted({problem.code or problem.kind for advice in advices for problem in advice.problems}),
        advice=str(document.uid),
    )
    fingerprint = f"advice_rejected:{sent.uid}"
    if not refusing:
        exception_queue.settle(fingerprint, note=f"Accepted by {document}.")
        return
    found = [one for advice in refusing for one in application_advices.findings_of(advice)]
    exception_queue.open_case(
        "advice_rejected",
        summary=f"{profile.code} refuses our {sent.code} {sent.number}: {found[0].text}",
        fingerprint=fingerprint,
        detail={"findings": _shown(found)},
        partner_id=profile.id,
        document=sent,
        order=sent.order,
        transmission=document.transmission,
    )


def _unmatched(profile: Profile, document: Document, advices: Sequence[Advice]) -> None:
    """What the partner speaks of is not ours to find: a person has to."""
    first = advices[0]
    names = ", ".join(filter(None, [first.set_code, first.reference_kind, first.reference, first.group_control_number]))
    exception_queue.open_case(
        "advice_unmatched",
        summary=f"{profile.code} advises on a document we cannot find: {names.replace('_', ' ')}",
        fingerprint=f"advice_unmatched:{document.uid}",
        detail={"findings": _shown(one for advice in advices for one in application_advices.findings_of(advice))},
        partner_id=profile.id,
        document=document,
        transmission=document.transmission,
    )


def _shown(found: Iterable[Finding]) -> list[dict[str, Any]]:
    """As many as a person would read."""
    return [one.as_dict() for one in islice(found, application_advices.MAX_PROBLEMS)]


def _plain(control_number: str) -> str:
    """Control numbers are equal as numbers, however they are padded."""
    return control_number.lstrip("0") or "0"
