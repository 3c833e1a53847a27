"""Functional and interchange acknowledgments as we write them: what we say about a partner's interchange.

A 997 says "we could read it" (or not, and where), set by set; a TA1 says the same of one envelope. Neither accepts an order.
Source: X12 004010, transaction set 997 and segment TA1; 005010 adds AK103 and AK203.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime

from edi_maps.findings import Finding, Severity
from edi_maps.x12.acknowledgment_codes import (
    ELEMENT,
    GROUP,
    INTERCHANGE_NOTES,
    SEGMENT,
    TRANSACTION_SET,
    interchange_note,
)
from edi_maps.x12.envelope import Group, Interchange, TransactionSet
from edi_maps.x12.received_acknowledgments import count
from edi_maps.x12.segments import COMPONENT, Delimiters
from edi_maps.x12.structure import data_element, nearest_version
from edi_maps.x12.writer import Envelope, envelop


def functional_acknowledgment(group: Group, *, detail: bool, with_version: bool = False) -> list[list[str]]:
    """The body of the 997 for one group, between ST and SE, by the verdicts its sets carry.

    Args:
        detail: AK2 to AK5 for every set, with AK3 and AK4 for its faults. Without, AK1 and AK9 suffice, unless only part of
            the group was accepted: then the sets that were not are named, or nobody would know which.
        with_version: fill AK103 (and AK203), as 005010 does.

    Raises:
        ValueError: the group acknowledges itself (FA): answering would never end.
    """
    if group.functional_id == "FA":
        raise ValueError("a group of acknowledgments is never acknowledged")
    statuses = [_set_status(transaction_set) for transaction_set in group.sets]
    group_codes = _codes(group.findings, GROUP)
    refused = any(found.code in GROUP and found.severity is Severity.ERROR for found in group.findings)
    accepted = 0 if refused else sum(status != "R" for status in statuses)
    if accepted == 0 and (refused or statuses):
        status = "R"
    elif accepted < len(statuses):
        status = "P"
    else:
        status = "E" if "E" in statuses or group_codes else "A"
    version = [_plain(group.version, 12)] if with_version and group.version else []
    body = [["AK1", _plain(group.functional_id, 2), _plain(group.control_number, 9), *version]]
    for transaction_set, set_status in zip(group.sets, statuses, strict=True):
        if detail or (status == "P" and set_status == "R"):
            body += _set_answer(transaction_set, set_status, detail=detail, with_version=with_version)
    claimed = count(group.claimed_sets)
    counts = [str(len(group.sets) if claimed is None else claimed), str(len(group.sets)), str(accepted)]
    body.append(["AK9", status, *counts, *group_codes[:5]])
    return body


def interchange_acknowledgment(interchange: Interchange) -> list[str]:
    """The TA1 segment for an interchange."""
    status, note = interchange_note(interchange.findings)
    number = count(interchange.control_number) or 0
    return ["TA1", f"{number:09d}", _plain(interchange.date, 6), _plain(interchange.time, 4), status, note]


def acknowledge(interchange: Interchange, envelope: Envelope, *, detail: bool = True) -> bytes | None:
    """Everything we answer to one interchange, as one interchange: a TA1 when due, and a 997 for each of its groups.

    A TA1 is due when the sender asks for one, when the interchange is refused, and when its control structure is wrong though
    it was taken. A refused interchange gets no 997. Acknowledgments are not acknowledged.

    Args:
        interchange: as ``read`` returns it, with a verdict on every set.
        envelope: addressed to the sender, with control numbers of our own.
        detail: see ``functional_acknowledgment``.

    Returns:
        None when nothing is to be said, or nobody is known to say it to.
    """
    if not interchange.has_header:
        return None
    status, _ = interchange_note(interchange.findings)
    structural = any(
        found.code in INTERCHANGE_NOTES and found.severity is not Severity.NOTE for found in interchange.findings
    )
    only_acknowledges = bool(interchange.acknowledgments) and not interchange.groups
    due = (interchange.wants_ta1 or structural) and not only_acknowledges
    answers = [interchange_acknowledgment(interchange)] if due else []
    sets: list[tuple[str, list[list[str]]]] = []
    if status != "R":
        for group in interchange.groups:
            if group.functional_id not in {"", "FA"}:
                with_version = envelope.version >= "005010"
                body = functional_acknowledgment(group, detail=detail, with_version=with_version)
                sets.append(("997", body))
    if not answers and not sets:
        return None
    return envelop("FA", sets, envelope, acknowledgments=answers)


def reply_envelope(interchange: Interchange, *, interchange_number: int, group_number: int, at: datetime) -> Envelope:
    """An envelope back to the sender of an interchange, in the version and with the separators it used.

    For answers outside any agreement; between partners the profile says how we write.

    Raises:
        ValueError: the interchange does not say who sent it to whom in a way that can be addressed.
    """
    group = next((group for group in interchange.groups if group.functional_id), Group())
    theirs = interchange.delimiters
    usable = all(len(mark) == 1 for mark in (theirs.element, theirs.segment, theirs.component))
    return Envelope(
        sender_qualifier=interchange.receiver_qualifier,
        sender_id=interchange.receiver_id,
        sender_group_id=group.receiver_id,
        receiver_qualifier=interchange.sender_qualifier,
        receiver_id=interchange.sender_id,
        receiver_group_id=group.sender_id,
        interchange_number=interchange_number,
        group_number=group_number,
        version=nearest_version("997", group.version) or "004010",
        usage=interchange.usage if interchange.usage in {"P", "T", "I"} else "P",
        delimiters=theirs if usable else Delimiters(),
        at=at,
    )


def _set_status(transaction_set: TransactionSet) -> str:
    """AK501: what the findings of the set itself amount to. What is wrong with its group is said in AK9."""
    severities = {found.severity for found in transaction_set.findings if _reported(found)}
    if Severity.ERROR in {found.severity for found in transaction_set.findings}:
        return "R"
    return "E" if Severity.WARNING in severities else "A"


def _reported(found: Finding) -> bool:
    known = found.code in TRANSACTION_SET or found.code in SEGMENT or found.code in ELEMENT
    return known and found.severity is not Severity.NOTE


def _codes(findings: Iterable[Finding], table: dict[str, str]) -> list[str]:
    """The codes of a table that the findings call for, each once, in their order."""
    codes = {table[found.code] for found in findings if found.code in table and found.severity is not Severity.NOTE}
    return sorted(codes, key=int)


def _set_answer(
    transaction_set: TransactionSet, status: str, *, detail: bool, with_version: bool
) -> Iterator[list[str]]:
    """AK2 to AK5 for one set."""
    implementation = [_plain(transaction_set.implementation, 35)] if with_version else []
    yield ["AK2", _plain(transaction_set.code, 3), _plain(transaction_set.control_number, 9), *implementation]
    errors = list(_segment_errors(transaction_set.findings))
    if detail:
        yield from errors
    codes = _codes(transaction_set.findings, TRANSACTION_SET)
    if errors or (status == "R" and not codes):
        codes = sorted({*codes, "5"}, key=int)
    yield ["AK5", status, *codes[:5]]


def _segment_errors(findings: Iterable[Finding]) -> Iterator[list[str]]:
    """AK3 and AK4 in the order of the segments; the faulty elements of one segment stand under one AK3."""
    places: dict[tuple[int, str], list[Finding]] = {}
    for found in findings:
        # What a value means is not the 997's business, unless it is the reason why the set was refused.
        told = found.severity is Severity.ERROR or _reported(found)
        if told and found.code not in TRANSACTION_SET and found.segment:
            places.setdefault((found.position or 0, found.segment), []).append(found)
    for (position, segment), here in sorted(places.items()):
        if position == 0:
            continue  # without a position there is nothing to point at; AK5 says that the set is in error
        elements = [found for found in here if found.code not in SEGMENT and found.element]
        for found in here:
            if found.code in SEGMENT:
                yield ["AK3", _plain(segment, 3), str(position), "", SEGMENT[found.code]]
        if elements:
            yield ["AK3", _plain(segment, 3), str(position), "", "8"]
            by_place: dict[tuple[int | None, int | None], Finding] = {}
            for found in elements:
                by_place.setdefault((found.element, found.component), found)
            for _, found in sorted(by_place.items(), key=lambda item: (item[0][0] or 0, item[0][1] or 0)):
                yield _element_error(found)


def _element_error(found: Finding) -> list[str]:
    element = data_element(found.segment or "", found.element or 0)
    if element is not None and found.component and found.component <= len(element.components):
        element = element.components[found.component - 1]
    place = f"{found.element}{COMPONENT}{found.component}" if found.component else str(found.element)
    number = element.number if element is not None and element.number.isdigit() else ""
    # A finding about the meaning of a value has no code of its own in X12; "invalid code value" comes nearest.
    code = ELEMENT.get(found.code, "7")
    copy = [found.value[:99]] if found.value else []
    return ["AK4", place, number, code, *copy]


def _plain(text: str, longest: int) -> str:
    """What a stranger sent, fit to be repeated in an element of ours: no separator of any interchange survives."""
    return re.sub(r"[^0-9A-Za-z]", "", text)[:longest]
