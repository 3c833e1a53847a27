"""Read X12: bytes to interchanges whose sets carry a canonical record, findings and a verdict.

Lenient reading, strict verdicts: a record is made of whatever can be read, and the verdict says whether it may be used.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, BinaryIO, Final

from edi_maps.findings import Finding, Severity, Verdict, finding, verdict_of
from edi_maps.x12 import records
from edi_maps.x12.acknowledgment_codes import interchange_note
from edi_maps.x12.collector import LARGE, collection_paused
from edi_maps.x12.envelope import Group, Interchange, SetEnd, TransactionSet, events
from edi_maps.x12.provenance import element_span
from edi_maps.x12.received_acknowledgments import ACKNOWLEDGMENTS, read_functional_acknowledgment
from edi_maps.x12.segments import cut
from edi_maps.x12.structure import Guide, group_of, guide, nearest_version
from edi_maps.x12.validation import MAX_FINDINGS as MOST
from edi_maps.x12.validation import validate

#: Before this version dates had six digits.
_EIGHT_DIGIT_DATES: Final = "004010"

#: Findings about the sets of one interchange that are listed; beyond, each set tells its first.
MAX_FINDINGS: Final = 10_000


def read(data: bytes, *, relaxed: frozenset[str] = frozenset()) -> list[Interchange]:
    """Read every transaction set in ``data``.

    Args:
        data: a file as it came; anything, of any size.
        relaxed: codes of findings that are warnings for this partner, not errors.

    Returns:
        The interchanges of ``envelope.scan``, never none, each set with ``verdict``, and with ``record``, ``type`` and
        ``acknowledgment`` as far as there are any. Findings about an interchange or a group stand there; an error among them
        rejects every set inside.
    """
    with collection_paused(len(data)):
        return [event for event in _read(data, relaxed) if isinstance(event, Interchange)]


def stream(source: bytes | BinaryIO, *, relaxed: frozenset[str] = frozenset()) -> Iterator[SetEnd | Interchange]:
    """Read the transaction sets of a file one by one, in memory that does not grow with their number.

    Args:
        source: the file as bytes, or open for reading in binary mode, of any length.
        relaxed: as for ``read``.

    Yields:
        Every transaction set when its last segment has been read. The set has its record until the next one is asked for; then
        its interchange keeps of it what an acknowledgment needs. And every interchange when it is complete: only then are the
        verdicts of its sets final, for a broken envelope takes all of them along.
    """
    for event in _read(source, relaxed):
        yield event
        if isinstance(event, SetEnd):
            event.set.release()


def _read(source: bytes | BinaryIO, relaxed: frozenset[str]) -> Iterator[SetEnd | Interchange]:
    listed = 0
    for event in events(source):
        if isinstance(event, SetEnd):
            most = MOST if listed < MAX_FINDINGS else 1
            if len(event.set.text) < LARGE:
                _read_set(event.set, event.group, relaxed, most)
            else:
                with collection_paused(len(event.set.text)):
                    _read_set(event.set, event.group, relaxed, most)
            listed += len(event.set.findings)
        else:
            finish(event, relaxed)
            listed = 0
        yield event


def finish(interchange: Interchange, relaxed: frozenset[str]) -> None:
    """Judge the envelope, and the sets by it: an interchange is atomic, though each of its sets keeps its record."""
    interchange.findings = list(_softened(interchange.findings, relaxed))
    interchange.note = interchange_note(interchange.findings)[1]
    broken = verdict_of(interchange.findings) is Verdict.REJECTED
    for group in interchange.groups:
        _judge_group(group)
        group.findings = list(_softened(group.findings, relaxed))
        if broken or verdict_of(group.findings) is Verdict.REJECTED:
            for transaction_set in group.sets:
                transaction_set.verdict = Verdict.REJECTED


def _judge_group(group: Group) -> None:
    """Whether we take groups of this kind and version at all."""
    if not group.functional_id:
        return  # sets without a group; that is said already
    if not re.match(r"\d{3}", group.version):
        group.findings.append(
            finding("version_not_supported", segment="GS", element=8, offset=group.start, value=group.version)
        )
    if group.functional_id not in _GROUPS:
        group.findings.append(
            finding("group_not_supported", segment="GS", element=1, offset=group.start, value=group.functional_id)
        )


#: Functional identifiers of the supply chain, whether there is a guide for their sets or not.
_GROUPS: Final = frozenset(
    {"PO", "PR", "SH", "PC", "CA", "PS", "SS", "RC", "AG", "IN", "IB", "FA", "TX", "RA", "SC", "RS"}
)


def _read_set(transaction_set: TransactionSet, group: Group, relaxed: frozenset[str], most: int) -> None:
    code = transaction_set.code
    structural: list[Finding] = []
    meaning: list[Finding] = []
    here = [*transaction_set.findings]
    place: dict[str, Any] = {
        "segment": "ST",
        "position": 1,
        "element": 1,
        "offset": transaction_set.start,
        "value": code,
    }
    rules, expected_group = _rules(code, group.version)
    if rules is None:
        transaction_set.pieces = None
    if code in ACKNOWLEDGMENTS:
        transaction_set.acknowledgment = read_functional_acknowledgment(transaction_set.segments)
    if rules is not None:
        if group.functional_id and group.functional_id != expected_group:
            here.append(finding("set_not_in_group", **place, expected=group.functional_id))
        structural, meaning = _walk(transaction_set, rules, group.version, most)
        if group.version[:6] != rules.version and group.version:
            # A guide for another version is a good reader and a poor judge.
            structural = [_warning(found) for found in structural]
            here.append(
                finding("version_approximate", segment="ST", position=1, value=group.version, expected=rules.version)
            )
    elif code not in ACKNOWLEDGMENTS and not any(found.code == "set_code_missing" for found in here):
        here.append(finding("set_not_supported", **place))
    if structural or meaning:
        # What the guide refused already need not be refused once more for its meaning.
        structural = list(_softened(structural, relaxed))
        refused = {
            (found.position, found.element, found.component)
            for found in structural
            if found.element and found.severity is Severity.ERROR
        }
        meaning = [found for found in meaning if (found.position, found.element, found.component) not in refused]
        here += _placed([*structural, *sorted(meaning, key=_position)], transaction_set)
    transaction_set.findings = list(_softened(here, relaxed))
    transaction_set.verdict = verdict_of(transaction_set.findings) if here else Verdict.ACCEPTED
    if transaction_set.record is None and code not in ACKNOWLEDGMENTS:
        transaction_set.verdict = Verdict.REJECTED  # whatever the findings say, there is nothing to accept


@functools.lru_cache(maxsize=1024)
def _rules(code: str, version: str) -> tuple[Guide | None, str | None]:
    """The guide to read a set by, and the group it belongs in."""
    nearest = nearest_version(code, version)
    return (None, None) if nearest is None else (guide(code, nearest), group_of(code))


def _walk(
    transaction_set: TransactionSet, rules: Guide, version: str, most: int
) -> tuple[list[Finding], list[Finding]]:
    """Check a set against its guide and make its record in the same pass; what is wrong with its structure and its meaning."""
    code, delimiters = transaction_set.code, transaction_set.delimiters
    short_dates = bool(version) and version[:6] < _EIGHT_DIGIT_DATES
    building = None if code in ACKNOWLEDGMENTS else records.building(code, delimiters.component)
    take = None if building is None else building.take
    if building is not None and most < MOST:
        building.reader.most = most
    pieces, transaction_set.pieces = transaction_set.pieces, None
    if pieces is None:
        pieces = cut(transaction_set.text, delimiters)
    tree, structural = validate(
        pieces, rules, delimiters, short_dates=short_dates, padded=transaction_set.padded, most=most, take=take
    )
    del pieces  # of a long set they take as much as its record will
    if building is None:
        missing = (
            []
            if code in ACKNOWLEDGMENTS
            else [finding("no_map_sheet", segment="ST", position=1, element=1, value=code)]
        )
        return structural, missing
    transaction_set.record = building.finish(tree)
    if transaction_set.record is not None:
        transaction_set.type = transaction_set.record.type
    return structural, building.reader.findings


def _placed(findings: Iterable[Finding], transaction_set: TransactionSet) -> Iterator[Finding]:
    """The findings with the byte they are about."""
    spans = transaction_set.spans()
    for found in findings:
        if not found.position or found.offset is not None or not spans:
            yield found
        elif found.position > len(spans):
            yield replace(found, offset=spans[-1][1])
        elif not found.element:
            yield replace(found, offset=spans[found.position - 1][0])
        else:
            yield replace(
                found, offset=element_span(transaction_set, found.position, found.element, found.component, spans)[0]
            )


def _position(found: Finding) -> int:
    return found.position or 0


def _softened(findings: Iterable[Finding], relaxed: frozenset[str]) -> Iterator[Finding]:
    for found in findings:
        yield _warning(found) if found.code in relaxed else found


def _warning(found: Finding) -> Finding:
    return replace(found, severity=Severity.WARNING) if found.severity is Severity.ERROR else found
