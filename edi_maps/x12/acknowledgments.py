"""Functional and interchange acknowledgments as we write them: what we say about a partner's interchange.

A 997 says "we could read it" (or not, and where), set by set; a 999 says the same in the segments of 005010, with the business
unit an error stands in; a TA1 says it of one envelope. None of them accepts an order. Whatever a stranger sent, the answer is
good X12: what it repeats is cut, filled up and cleaned until it fits its element.

Source: X12 004010, transaction set 997 and segment TA1; 005010 adds AK103, AK203 and transaction set 999.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from edi_maps.findings import Finding, Severity
from edi_maps.x12.acknowledgment_codes import (
    ELEMENT,
    GROUP,
    INTERCHANGE_NOTES,
    SEGMENT,
    TRANSACTION_SET,
    element_code,
    group_code,
    interchange_note,
)
from edi_maps.x12.envelope import Group, Interchange, TransactionSet
from edi_maps.x12.received_acknowledgments import count
from edi_maps.x12.segments import COMPONENT, Delimiters, cut
from edi_maps.x12.structure import data_element, nearest_version
from edi_maps.x12.writer import Envelope, envelop

#: Errors of one set, and of one acknowledgment, that are told segment by segment; beyond them AK5 says that there are more.
MAX_ERRORS_OF_A_SET: Final = 100
MAX_ERRORS: Final = 10_000

#: AK502: the transaction set is not supported, or not in this group.
_NOT_SUPPORTED: Final = "1"

#: Segments that begin what a person would call the thing in error, and the element that names it: CTX01 of a 999.
BUSINESS_UNITS: Final = {
    **{"BEG": 3, "BAK": 3, "BSN": 2, "BCH": 3, "BCA": 3, "BGN": 2, "BIG": 2, "BRA": 1, "BFR": 2, "BSS": 2},
    **{"PO1": 1, "POC": 1, "HL": 1, "LIN": 1, "RCD": 1, "OTI": 3, "IT1": 1},
}


@dataclass(frozen=True, slots=True)
class _Dialect:
    """The names one acknowledgment has for what both say."""

    segment: str
    element: str
    verdict: str
    context: bool  #: CTX names the business unit


_DIALECTS: Final = {
    "997": _Dialect("AK3", "AK4", "AK5", context=False),
    "999": _Dialect("IK3", "IK4", "IK5", context=True),
}


def functional_acknowledgment(
    group: Group, *, code: str = "997", detail: bool = True, version: str = "004010"
) -> list[list[str]]:
    """The body of the acknowledgment of one group, between ST and SE, by the verdicts its sets carry.

    Args:
        code: the transaction set to write, 997 or 999.
        detail: AK2 to AK5 for every set, with AK3 and AK4 for its faults. Without, AK1 and AK9 suffice, unless only part of
            the group was accepted: then the sets that were not are named, or nobody would know which.
        version: of the acknowledgment, six digits; from 005010 on it repeats the versions it answers (AK103, AK203).

    Raises:
        ValueError: the group acknowledges itself (FA): answering would never end.
        KeyError: no such acknowledgment.
    """
    if group.functional_id == "FA":
        raise ValueError("a group of acknowledgments is never acknowledged")
    writer = _Writer(_DIALECTS[code], version)
    statuses = [_set_status(transaction_set) for transaction_set in group.sets]
    codes = writer.group_codes(group)
    refused = any(found.code in GROUP and found.severity is Severity.ERROR for found in group.findings)
    accepted = 0 if refused else sum(status != "R" for status in statuses)
    if accepted == 0 and (refused or statuses):
        status = "R"
    elif accepted < len(statuses):
        status = "P"
    else:
        status = "E" if "E" in statuses or codes else "A"
    body = [writer.group_header(group)]
    for transaction_set, set_status in zip(group.sets, statuses, strict=True):
        if detail or (status == "P" and set_status == "R"):
            body += writer.set_answer(transaction_set, set_status, detail=detail)
    body.append(["AK9", status, _claimed(group), str(len(group.sets)), str(accepted), *codes])
    return body


def interchange_acknowledgment(interchange: Interchange) -> list[str]:
    """The TA1 segment for an interchange. A number, date or time that cannot be repeated is told as zeros."""
    status, note = interchange_note(interchange.findings)
    number = count(interchange.control_number) or 0
    date = interchange.date if re.fullmatch(r"[0-9]{6}", interchange.date) else "000000"
    time = interchange.time if re.fullmatch(r"[0-9]{4}", interchange.time) else "0000"
    return ["TA1", f"{number:09d}", date, time, status, note]


def acknowledge(
    interchange: Interchange, envelope: Envelope, *, code: str = "997", detail: bool = True
) -> bytes | None:
    """Everything we answer to one interchange, as one interchange: a TA1 when due, and a 997 or 999 for each of its groups.

    A TA1 is due when the sender asks for one, when the interchange is refused, and when its control structure is wrong though
    it was taken. A refused interchange gets no 997. Acknowledgments are not acknowledged.

    Args:
        interchange: as ``read`` returns it, with a verdict on every set.
        envelope: addressed to the sender, with control numbers of our own. A 999 is written in 005010 at least.
        code: the transaction set to answer with, 997 or 999.
        detail: see ``functional_acknowledgment``.

    Returns:
        None when nothing is to be said, or nobody is known to say it to.
    """
    if not interchange.has_header:
        return None
    if code == "999" and envelope.version < "005010":
        envelope = replace(envelope, version="005010")
    status, _ = interchange_note(interchange.findings)
    structural = any(
        found.code in INTERCHANGE_NOTES and found.severity is not Severity.NOTE for found in interchange.findings
    )
    only_acknowledges = bool(interchange.acknowledgments) and not interchange.groups
    due = (interchange.wants_ta1 or structural or status == "R") and not only_acknowledges
    answers = [interchange_acknowledgment(interchange)] if due else []
    sets: list[tuple[str, list[list[str]]]] = []
    if status != "R":
        for group in interchange.groups:
            if group.functional_id not in {"", "FA"}:
                body = functional_acknowledgment(group, code=code, detail=detail, version=envelope.version)
                sets.append((code, _writable(body, envelope.delimiters)))
    if not answers and not sets:
        return None
    return envelop("FA", sets, envelope, acknowledgments=answers)


def _writable(body: list[list[str]], delimiters: Delimiters) -> list[list[str]]:
    """The body without the context that holds a separator: cut into pieces it would name another line, or break the set."""
    marks = {delimiters.element, delimiters.segment, delimiters.component, delimiters.repetition}
    return [segment for segment in body if segment[0] != "CTX" or not marks & set(segment[1])]


def reply_envelope(interchange: Interchange, *, interchange_number: int, group_number: int, at: datetime) -> Envelope:
    """An envelope back to the sender of an interchange, in the version and with the separators it used.

    For answers outside any agreement; between partners the profile says how we write.

    Raises:
        ValueError: the interchange does not say who sent it to whom in a way that can be addressed.
    """
    group = next((group for group in interchange.groups if group.functional_id), Group())
    delimiters = _usable(interchange.delimiters)
    return Envelope(
        sender_qualifier=interchange.receiver_qualifier,
        sender_id=interchange.receiver_id,
        sender_group_id=_group_address(group.receiver_id, delimiters),
        receiver_qualifier=interchange.sender_qualifier,
        receiver_id=interchange.sender_id,
        receiver_group_id=_group_address(group.sender_id, delimiters),
        interchange_number=interchange_number,
        group_number=group_number,
        version=nearest_version("997", group.version) or "004010",
        usage=interchange.usage if interchange.usage in {"P", "T", "I"} else "P",
        delimiters=delimiters,
        at=at,
    )


def _usable(theirs: Delimiters) -> Delimiters:
    """The sender's separators as far as one can write with them; ours when its two main ones are not fit for it."""
    if not (_separates(theirs.element) and _separates(theirs.segment)) or theirs.element == theirs.segment:
        return Delimiters()
    taken = [theirs.element, theirs.segment]
    component = theirs.component if _separates(theirs.component) and theirs.component not in taken else ""
    component = component or next(mark for mark in ">:^" if mark not in taken)
    repetition = theirs.repetition if theirs.repetition not in [*taken, component] else None
    return Delimiters(element=theirs.element, segment=theirs.segment, component=component, repetition=repetition)


def _separates(mark: str) -> bool:
    return len(mark) == 1 and not mark.isalnum() and mark not in " .-"


def _group_address(address: str, delimiters: Delimiters) -> str:
    """GS02 or GS03 to answer to; '', that is as in the ISA, when theirs cannot be repeated."""
    marks = {delimiters.element, delimiters.segment, delimiters.component, delimiters.repetition}
    repeats = len(address) <= 15 and address.isprintable() and max(address, default="") <= "\xff"
    return address if repeats and not marks & set(address) else ""


def _claimed(group: Group) -> str:
    """AK902: what GE01 claims, or what there is when it claims nothing that fits."""
    claimed = count(group.claimed_sets)
    return str(len(group.sets) if claimed is None or claimed > 999_999 else claimed)


def _set_status(transaction_set: TransactionSet) -> str:
    """AK501: what the findings of the set itself amount to. What is wrong with its group is said in AK9."""
    if any(found.severity is Severity.ERROR for found in transaction_set.findings):
        return "R"
    told = any(found.severity is Severity.WARNING and _has_code(found) for found in transaction_set.findings)
    return "E" if told else "A"


def _has_code(found: Finding) -> bool:
    return found.code in TRANSACTION_SET or found.code in SEGMENT or found.code in ELEMENT


class _Writer:
    """Writes the segments of one acknowledgment, in one of the two dialects."""

    def __init__(self, dialect: _Dialect, version: str) -> None:
        self.dialect = dialect
        self.version = version
        self.room = MAX_ERRORS

    def group_header(self, group: Group) -> list[str]:
        number = group.control_number if count(group.control_number) is not None else "0"
        return ["AK1", _fitted(group.functional_id, 2, 2), number, *self.version_told(group.version, 12)]

    def version_told(self, theirs: str, longest: int) -> list[str]:
        """AK103 and AK203, from 005010 on: as sent, or not at all when that cannot be repeated."""
        told = self.version >= "005010" and theirs and _plain(theirs, longest) == theirs
        return [theirs] if told else []

    def group_codes(self, group: Group) -> list[str]:
        said = [group_code(found, self.version) for found in group.findings if found.severity is not Severity.NOTE]
        return sorted({code for code in said if code is not None}, key=int)[:5]

    def set_answer(self, transaction_set: TransactionSet, status: str, *, detail: bool) -> Iterator[list[str]]:
        """AK2 to AK5 for one set."""
        code, number = _fitted(transaction_set.code, 3, 3), _fitted(transaction_set.control_number, 4, 9)
        yield ["AK2", code, number, *self.version_told(transaction_set.implementation, 35)]
        codes = {
            TRANSACTION_SET[found.code]
            for found in transaction_set.findings
            if found.code in TRANSACTION_SET and found.severity is not Severity.NOTE
        }
        # A set that is not taken at all has no place its segments could be wrong at.
        errors = [] if _NOT_SUPPORTED in codes else list(self.errors(transaction_set))
        if detail and len(errors) <= self.room:
            self.room -= len(errors)
            yield from errors
        if errors or (status == "R" and not codes):
            codes.add("5")
        yield [self.dialect.verdict, status, *sorted(codes, key=int)[:5]]

    def errors(self, transaction_set: TransactionSet) -> Iterator[list[str]]:
        """AK3 and AK4 in the order of the segments; the faulty elements of one segment stand under one AK3."""
        places: dict[tuple[int, str], list[Finding]] = {}
        for found in transaction_set.findings:
            # What a value means is not the 997's business, unless it is the reason why the set was refused.
            told = found.severity is Severity.ERROR or (found.severity is Severity.WARNING and _has_code(found))
            # Without a position there is nothing to point at; AK5 says that the set is in error.
            if told and found.code not in TRANSACTION_SET and found.segment and found.position:
                places.setdefault((found.position, found.segment), []).append(found)
        if not places:
            return
        told_places = sorted(places)[:MAX_ERRORS_OF_A_SET]
        positions = {position for position, _ in told_places}
        around = _surroundings(transaction_set, positions, units=self.dialect.context)
        for place in told_places:
            position, segment = place
            loop, unit = around[position]
            elements = [found for found in places[place] if found.code not in SEGMENT and found.element]
            codes = sorted({SEGMENT[found.code] for found in places[place] if found.code in SEGMENT}, key=int)
            if elements and "8" not in codes:
                codes.append("8")
            for code in codes:
                yield [self.dialect.segment, _fitted(segment, 2, 3), str(position), _plain(loop, 6), code]
                if self.dialect.context and unit:
                    yield ["CTX", unit]
            yield from self.element_errors(elements)

    def element_errors(self, elements: Sequence[Finding]) -> Iterator[list[str]]:
        """One AK4 for each place, the first finding speaks."""
        by_place: dict[tuple[int, int, int], Finding] = {}
        for found in elements:
            by_place.setdefault((found.element or 0, found.component or 0, found.repetition or 0), found)
        for place in sorted(by_place)[:99]:
            yield self.element_error(by_place[place])

    def element_error(self, found: Finding) -> list[str]:
        element = data_element(found.segment or "", found.element or 0)
        composite = element is not None and bool(element.components)
        if element is not None and found.component:
            part = found.component - 1
            element = element.components[part] if part < len(element.components) else None
        # Two digits is all there is room for; only in a segment that never was one are there more.
        place = [f"{min(found.element or 1, 99)}", f"{min(found.component, 99)}" if found.component else ""]
        if self.version >= "005010" and found.repetition:
            place.append(str(min(found.repetition, 9999)))
        number = element.number if element is not None and element.number.isdigit() else ""
        code = element_code(found, self.version, composite=composite)
        return [self.dialect.element, COMPONENT.join(place).rstrip(COMPONENT), number, code, _copy(found.value or "")]


def _surroundings(
    transaction_set: TransactionSet, positions: Collection[int], *, units: bool
) -> dict[int, tuple[str, str]]:
    """What stands around the segments at ``positions``, in one pass over the text of the set.

    Args:
        units: whether the business unit is asked for.

    Returns:
        By position LS01 of the innermost bounded loop (LS to LE) that is open there, for AK303, and the last document number,
        line or level named up to there, as ``PO101:10``, for CTX01; '' where there is none.
    """
    separator = transaction_set.delimiters.element
    found: dict[int, tuple[str, str]] = {}
    loops: list[str] = []
    unit = ""
    last = max(positions)
    if units or f"LS{separator}" in transaction_set.text:
        for position, piece in enumerate(cut(transaction_set.text, transaction_set.delimiters), start=1):
            identifier, _, rest = piece.partition(separator)
            number = BUSINESS_UNITS.get(identifier)
            if number is not None and (
                value := _copy("".join(rest.split(separator, number)[number - 1 : number]))[:35]
            ):
                unit = f"{identifier}{number:02d}{COMPONENT}{value}"
            if identifier == "LE" and loops:
                loops.pop()
            if position in positions:
                found[position] = (loops[-1] if loops else "", unit)
            if identifier == "LS":
                loops.append(rest)
            if position == last:
                break
    # What is missing behind the last segment.
    return {position: found.get(position, (loops[-1] if loops else "", unit)) for position in positions}


def _copy(value: str) -> str:
    """AK404, AK4's copy of the bad data: 99 characters of it, on one line and within latin-1."""
    readable = "".join(
        character if " " <= character <= "~" or "\xa1" <= character <= "\xff" else " " if character < "\xa1" else "?"
        for character in value[:99]
    )
    return readable.strip()


def _plain(text: str, longest: int) -> str:
    """What a stranger sent, fit to be repeated in an element of ours: no separator of any interchange survives."""
    return re.sub(r"[^0-9A-Za-z]", "", text)[:longest]


def _fitted(text: str, least: int, most: int) -> str:
    """``text`` as a code or number of ours can be: zeros in front make up for what is missing."""
    return _plain(text, most).rjust(least, "0")
