"""Read X12 whole: bytes to interchanges whose sets carry a tree, a canonical record, findings and a verdict.

Lenient reading, strict verdicts: a record is made of whatever can be read, and the verdict says whether it may be used.
"""

from __future__ import annotations

import gc
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

from edi_maps.findings import Finding, Severity, Verdict, finding, verdict_of
from edi_maps.x12 import records
from edi_maps.x12.acknowledgment_codes import interchange_note
from edi_maps.x12.envelope import Group, Interchange, TransactionSet, scan
from edi_maps.x12.received_acknowledgments import read_functional_acknowledgment
from edi_maps.x12.structure import group_of, guide, nearest_version
from edi_maps.x12.validation import validate

#: Sets that acknowledge: they make no canonical record and are never acknowledged themselves.
ACKNOWLEDGMENTS: Final = frozenset({"997", "999"})

#: Before this version dates had six digits.
_EIGHT_DIGIT_DATES: Final = "004010"


def read(data: bytes, *, relaxed: frozenset[str] = frozenset()) -> list[Interchange]:
    """Read every transaction set in ``data``.

    Args:
        data: a file as it came; anything, of any size.
        relaxed: codes of findings that are warnings for this partner, not errors.

    Returns:
        The interchanges of ``envelope.scan``, never none, each set with ``verdict``, and with ``tree``, ``record``, ``type``
        and ``acknowledgment`` as far as there are any. Findings about an interchange or a group stand there; an error among
        them rejects every set inside.
    """
    with _collection_paused(len(data)):
        interchanges = scan(data)
        for interchange in interchanges:
            interchange.findings = list(_softened(interchange.findings, relaxed))
            interchange.note = interchange_note(interchange.findings)[1]
            for group in interchange.groups:
                _judge_group(group)
                group.findings = list(_softened(group.findings, relaxed))
                for transaction_set in group.sets:
                    _read_set(transaction_set, group, interchange, relaxed)
    return interchanges


class _Pause:
    """How many readers want the collector off, and whether it was on before the first of them."""

    lock = threading.Lock()
    readers = 0
    was_on = True


@contextmanager
def _collection_paused(size: int) -> Iterator[None]:
    """Keep the cyclic collector from walking a large document again and again while it grows.

    Nothing read here is cyclic garbage, and the limits of ``envelope`` bound it; with the collector running, a ship notice
    of 100,000 segments takes five times as long. Small documents leave it alone.
    """
    if size < 65_536:
        yield
        return
    with _Pause.lock:
        if _Pause.readers == 0:
            _Pause.was_on = gc.isenabled()
            gc.disable()
        _Pause.readers += 1
    try:
        yield
    finally:
        with _Pause.lock:
            _Pause.readers -= 1
            if _Pause.readers == 0 and _Pause.was_on:
                gc.enable()


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


def _read_set(transaction_set: TransactionSet, group: Group, interchange: Interchange, relaxed: frozenset[str]) -> None:
    code = transaction_set.code
    structural: list[Finding] = []
    meaning: list[Finding] = []
    here = [*transaction_set.findings]
    start = transaction_set.segments[0]
    place: dict[str, Any] = {"segment": "ST", "position": 1, "element": 1, "offset": start.offset, "value": code}
    version = nearest_version(code, group.version)
    if code in ACKNOWLEDGMENTS:
        transaction_set.acknowledgment = read_functional_acknowledgment(transaction_set.segments)
    if version is not None and (rules := guide(code, version)) is not None:
        if group.functional_id and group.functional_id != group_of(code):
            here.append(finding("set_not_in_group", **place, expected=group.functional_id))
        short_dates = bool(group.version) and group.version[:6] < _EIGHT_DIGIT_DATES
        transaction_set.tree, structural = validate(
            transaction_set.segments, rules, interchange.delimiters, short_dates=short_dates
        )
        if group.version[:6] != version and group.version:
            # A guide for another version is a good reader and a poor judge.
            structural = [_warning(found) for found in structural]
            here.append(finding("version_approximate", segment="ST", position=1, value=group.version, expected=version))
        if code not in ACKNOWLEDGMENTS:
            transaction_set.record, meaning = records.build(
                transaction_set.tree, code, group.version, interchange.delimiters.component
            )
    elif code not in ACKNOWLEDGMENTS and not any(found.code == "set_code_missing" for found in here):
        here.append(finding("set_not_supported", **place))
    if transaction_set.record is not None:
        transaction_set.type = transaction_set.record.type
    # What the guide refused already need not be refused once more for its meaning.
    structural = list(_softened(structural, relaxed))
    refused = {
        (found.position, found.element, found.component)
        for found in structural
        if found.element and found.severity is Severity.ERROR
    }
    meaning = [found for found in meaning if (found.position, found.element, found.component) not in refused]
    transaction_set.findings = list(_softened([*here, *structural, *meaning], relaxed))
    # The whole interchange is atomic: a broken envelope takes its sets along, though each keeps its record.
    envelope_errors = (found for found in (*interchange.findings, *group.findings) if found.severity is Severity.ERROR)
    transaction_set.verdict = verdict_of((*transaction_set.findings, *envelope_errors))
    if transaction_set.record is None and code not in ACKNOWLEDGMENTS:
        transaction_set.verdict = Verdict.REJECTED  # whatever the findings say, there is nothing to accept


def _softened(findings: Iterable[Finding], relaxed: frozenset[str]) -> Iterator[Finding]:
    for found in findings:
        yield _warning(found) if found.code in relaxed else found


def _warning(found: Finding) -> Finding:
    return replace(found, severity=Severity.WARNING) if found.severity is Severity.ERROR else found
