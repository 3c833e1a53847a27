"""Formats by name: which codec turns bytes into a canonical record, and a record into bytes.

X12 is not among the readers here: one interchange holds many documents with an envelope of their own, see ``edi_maps.x12``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from pydantic import ValidationError

from edi_maps import canonical, portal_json
from edi_maps.canonical import CanonicalRecord
from edi_maps.findings import Finding, Verdict, finding, verdict_of
from edi_maps.json_text import MAX_FINDINGS, parse, pointer


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What came of reading one document."""

    type: str | None  #: canonical type, e.g. "ship_notice"; None when that cannot be told
    record: CanonicalRecord | None
    findings: tuple[Finding, ...]
    verdict: Verdict


def read(format_name: str, data: bytes, *, sheet: str = "") -> Reading:
    """Read one document.

    Args:
        format_name: a key of ``READERS``.
        data: the document as it came; anything, of any size.
        sheet: for ``portal_json`` the partner's shape.

    Raises:
        LookupError: no such format or shape. A fault in our terms; a fault in the document is a finding.
    """
    if format_name not in READERS:
        raise LookupError(f"no format {format_name!r} to read; there are {', '.join(READERS)}")
    record, findings = READERS[format_name](data, sheet)
    return Reading(
        type=record.type if record is not None else None,
        record=record,
        findings=tuple(findings),
        # Without a record there is nothing to accept, whatever the findings say.
        verdict=verdict_of(findings) if record is not None else Verdict.REJECTED,
    )


def write(format_name: str, record: CanonicalRecord, *, sheet: str = "") -> bytes:
    """Write one document.

    Raises:
        LookupError: no such format or shape, or the shape has no such document.
        ValueError: the record says something the format has no way to say, or lacks what it demands.
    """
    if format_name not in WRITERS:
        raise LookupError(f"no format {format_name!r} to write; there are {', '.join(WRITERS)}")
    return WRITERS[format_name](record, sheet)


def _read_canonical(data: bytes, _sheet: str) -> tuple[CanonicalRecord | None, list[Finding]]:
    parsed, findings = parse(data)
    if findings:
        return None, findings
    if not isinstance(parsed, dict):
        return None, [finding("json_type", pointer="#", expected="one object")]
    try:
        # As JSON, because only there pydantic takes dates as text and yet no text as a number or number as a date.
        return canonical.load_json(json.dumps(parsed, default=_as_text)), []
    except ValidationError as exc:
        return None, [_finding(error) for error in exc.errors(include_url=False, include_context=False)[:MAX_FINDINGS]]


def _as_text(value: Decimal) -> str:
    return str(value)


def _finding(error: Any) -> Finding:
    """One error of pydantic in our words. The first step of its place is the type of the record, which JSON has not."""
    steps = error["loc"][1:]
    match error["type"]:
        case "missing":
            return finding("value_missing", pointer=pointer(*steps), expected=str(steps[-1]).replace("_", " "))
        case "extra_forbidden":
            return finding("json_unknown_field", pointer=pointer(*steps))
        case "union_tag_invalid" | "union_tag_not_found":
            return finding("document_not_expected", pointer="#/type", value=str(error["input"].get("type", ""))[:80])
        case "is_instance_of":
            return finding("value_not_number", pointer=pointer(*steps), value=str(error["input"])[:80])
    value = error["input"]
    shown = str(value)[:80] if isinstance(value, str | int | float) else None
    return finding(
        "json_value", pointer=pointer(*steps), value=shown, reason=error["msg"].removeprefix("Value error, ")
    )


def _read_portal(data: bytes, sheet: str) -> tuple[CanonicalRecord | None, list[Finding]]:
    return portal_json.read(data, sheet)


def _write_canonical(record: CanonicalRecord, _sheet: str) -> bytes:
    return json.dumps(canonical.dump(record), ensure_ascii=False, indent=1).encode()


def _write_portal(record: CanonicalRecord, sheet: str) -> bytes:
    return portal_json.write(record, sheet)


#: A format is added here, and in a module or package of its own.
READERS: Final[dict[str, Callable[[bytes, str], tuple[CanonicalRecord | None, list[Finding]]]]] = {
    "canonical_json": _read_canonical,
    "portal_json": _read_portal,
}
WRITERS: Final[dict[str, Callable[[CanonicalRecord, str], bytes]]] = {
    "canonical_json": _write_canonical,
    "portal_json": _write_portal,
}
