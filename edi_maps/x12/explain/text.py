"""The page for a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from edi_maps.findings import Finding, Severity
from edi_maps.x12.explain.page import Page, SegmentLine, opinion_lines, verdict_words, visible

_MARKS: Final = {Severity.ERROR: "!!", Severity.WARNING: " !", Severity.NOTE: " i"}


def as_text(page: Page) -> str:
    """The page as lines of text, without anything a terminal would act on."""
    lines = [visible(page.title)]
    for section in page.sections:
        title = section.title + (f": {verdict_words(section.verdict)}" if section.level == 3 else "")
        lines += ["", title, "=-."[section.level - 1] * len(title)]
        if section.name:
            lines.append(f"  {section.name}")
        lines += [f"  {name:<11} {value}" for name, value in section.facts if value]
        for found in section.findings:
            lines += _finding_lines(found, "  ")
        for segment in section.segments:
            lines += _segment_lines(segment)
        if section.opinion is not None:
            head, *errors = opinion_lines(section.opinion)
            lines += ["", f"  {head}", *(f"   - {error}" for error in errors)]
        if section.record is not None:
            record = json.dumps(section.record, indent=2, ensure_ascii=False)
            lines += ["", "  record", *(f"  {visible(line)}" for line in record.split("\n"))]
    return "\n".join(lines) + "\n"


def _segment_lines(segment: SegmentLine) -> Iterator[str]:
    indent = "  " * segment.depth
    if not segment.wire:
        yield f"   --  {indent}({segment.id} {segment.name})"
    else:
        yield f"{segment.position:5d}  {indent}{segment.wire}"
        yield f"       {indent}  {segment.name or 'unknown segment'}, byte {segment.offset}"
    for element in segment.elements:
        meaning = f" ({element.meaning})" if element.meaning else ""
        field = f"  -> {visible(', '.join(element.fields))}" if element.fields else ""
        yield f"       {indent}  {element.reference} {element.name or '?'}: {element.value}{meaning}{field}"
    for found in segment.findings:
        yield from _finding_lines(found, f"     {indent}  ")


def _finding_lines(found: Finding, indent: str) -> Iterator[str]:
    yield f"{indent}{_MARKS[found.severity]} {visible(found.text)}  [{found.code}]"
    if found.severity is not Severity.NOTE:
        yield f"{indent}   fix: {visible(found.fix)}"
