"""A document three ways: as it came, as segments, as the canonical record; what is wrong stands at its place."""

from __future__ import annotations

import json
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from django.http import HttpRequest

from edi_maps.x12 import envelope, structure
from gateway import events
from gateway.console.access import staff
from gateway.models import Document, Transmission

#: More is cut off on screen and can be downloaded.
MAX_SHOWN_BYTES: Final = 128 * 1024
#: Beyond this a message is not taken apart for a page.
MAX_PARSED_BYTES: Final = 2 * 1024 * 1024
_MAX_SEGMENTS: Final = 1_500

#: The parts of a message whose bytes are kept, and what each is.
PARTS: Final = {
    "raw": "as it was on the wire",
    "payload": "unwrapped",
    "covered": "what the receipt is about",
    "answer": "the answer",
}

#: Unicode categories: control, format, surrogate, private use.
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Co"})

_WHO: Final = {
    "partner": "the supplier",
    "buyer": "procurement",
    "operator": "operations",
    "nobody": "nobody",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundHere:
    """A finding as a person reads it."""

    text: str
    fix: str
    who: str  #: must act next
    severity: str
    place: str
    position: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentRow:
    position: int
    id: str
    name: str
    elements: list[tuple[str, str, str]]  #: reference, name, value
    findings: list[FoundHere]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    document: Document
    canonical: str  #: indented JSON, '' when there is no record
    findings: list[FoundHere]
    may_open: bool  #: the bytes are there and this person may see them
    may_annotate: bool  #: … and they are segments, which can be linked to the record
    opened: bool
    raw: str = ""
    cut: bool = False
    segments: list[SegmentRow] | None = None


def inspect(request: HttpRequest, document: Document) -> Inspection:
    """What a page shows of a document. The bytes come only when asked for (``?bytes=1``), and that is recorded."""
    transmission = document.transmission
    may_open = transmission is not None and staff(request).has_perm("gateway.view_transmission")
    found = findings_of(document.findings)
    closed = Inspection(
        document=document,
        canonical="" if document.record is None else visible(json.dumps(document.record, indent=2, ensure_ascii=False)),
        findings=found,
        may_open=may_open,
        may_annotate=may_open and document.format == "x12",
        opened=False,
    )
    if transmission is None or not may_open or request.GET.get("bytes") != "1":
        return closed
    record_view(request, transmission, "payload", document)
    data = content(transmission, "payload") or content(transmission, "raw") or b""
    segments = _segments(document, data, found) if document.format == "x12" else None
    shown = _own_bytes(document, data)
    return Inspection(
        document=document,
        canonical=closed.canonical,
        findings=found,
        may_open=True,
        may_annotate=segments is not None,
        opened=True,
        raw=text_of(shown),
        cut=len(shown) > MAX_SHOWN_BYTES,
        segments=segments,
    )


def content(transmission: Transmission, part: str) -> bytes | None:
    """The bytes of one part, None when there are none.

    Args:
        part: a key of ``PARTS``.
    """
    blob = {
        "raw": transmission.raw,
        "payload": transmission.payload,
        "covered": transmission.covered,
        "answer": transmission.answer,
    }[part]
    return None if blob is None else blob.content


def record_view(request: HttpRequest, transmission: Transmission, part: str, document: Document | None = None) -> None:
    """Write down who looked at the bytes of a message."""
    events.record(
        "payload.viewed",
        actor=staff(request).get_username(),
        transmission=transmission,
        document=document,
        part=part,
    )


def text_of(data: bytes) -> str:
    """Bytes as text for a screen: UTF-8 where it is, else one character a byte; nothing invisible stays invisible."""
    data = data[:MAX_SHOWN_BYTES]
    try:
        return visible(data.decode("utf-8"))
    except UnicodeDecodeError:
        return visible(data.decode("latin-1"))


def visible(text: str) -> str:
    """Control characters, direction overrides and other formats by their code points; line ends and tabs as they are."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible(character) for character in text.replace("\r\n", "\n"))


def _visible(character: str) -> str:
    if character in "\n\t" or unicodedata.category(character) not in _INVISIBLE:
        return character
    return f"‹U+{ord(character):04X}›"


def findings_of(findings: object) -> list[FoundHere]:
    """Stored findings in words; entries of another shape are left out."""
    if not isinstance(findings, list):
        return []
    return [_in_words(entry) for entry in findings if isinstance(entry, dict)]


def _in_words(entry: dict[str, Any]) -> FoundHere:
    position = entry.get("position")
    return FoundHere(
        text=visible(str(entry.get("text", entry.get("code", "")))),
        fix=visible(str(entry.get("fix", ""))),
        who=_WHO.get(str(entry.get("actor", "")), str(entry.get("actor", ""))),
        severity=str(entry.get("severity", "")),
        place=_place(entry),
        position=position if isinstance(position, int) else None,
    )


def _place(entry: dict[str, Any]) -> str:
    if pointer := entry.get("pointer"):
        return str(pointer)
    element = entry.get("element")
    segment = str(entry.get("segment", ""))
    name = f"{segment}{element:02d}" if isinstance(element, int) else segment
    position = entry.get("position")
    return f"{name}, segment {position}" if isinstance(position, int) else name


def own_set(document: Document, data: bytes) -> envelope.TransactionSet | None:
    """The document's own transaction set in the message it came in."""
    if len(data) > MAX_PARSED_BYTES:
        return None
    for interchange in envelope.scan(data):
        for group in interchange.groups:
            for position, found in enumerate(group.sets):
                if (group.control_number[:20], found.control_number[:20], position) == (
                    document.group_control,
                    document.set_control,
                    document.position,
                ):
                    return found
    return None


def _own_bytes(document: Document, data: bytes) -> bytes:
    found = own_set(document, data) if document.format == "x12" else None
    return data if found is None or found.end <= found.start else data[found.start : found.end]


def _segments(document: Document, data: bytes, findings: list[FoundHere]) -> list[SegmentRow] | None:
    found = own_set(document, data)
    if found is None:
        return None
    at: dict[int | None, list[FoundHere]] = defaultdict(list)
    for finding in findings:
        at[finding.position].append(finding)
    return [
        SegmentRow(
            position=segment.position,
            id=visible(segment.id),
            name=structure.segment_name(segment.id) or "",
            elements=list(_elements(segment.id, segment.elements)),
            findings=at[segment.position],
        )
        for segment in found.segments[:_MAX_SEGMENTS]
    ]


def _elements(segment: str, elements: list[str]) -> Iterator[tuple[str, str, str]]:
    for number, value in enumerate(elements[1:], start=1):
        if value:
            element = structure.data_element(segment, number)
            yield f"{visible(segment)}{number:02d}", element.name if element else "", visible(value)
