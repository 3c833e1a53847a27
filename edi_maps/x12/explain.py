"""A document in words: every segment with the names of its elements, findings where they belong, and what was made of it.

The same ``Page`` is written as text for a terminal and as HTML without scripts. What a partner sent is shown, never obeyed:
control characters appear as ``\\x1b``, and in HTML everything is escaped.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from html import escape

from edi_maps import canonical
from edi_maps.findings import Finding, Severity, Verdict
from edi_maps.x12.envelope import Group, Interchange, TransactionSet
from edi_maps.x12.reader import tree
from edi_maps.x12.segments import Loop, Segment
from edi_maps.x12.stock import SecondOpinion, second_opinion
from edi_maps.x12.structure import code_meaning, data_element, segment_name


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementLine:
    """One filled element."""

    reference: str  #: e.g. "PO102"
    name: str  #: '' when no guide has it
    value: str  #: fit to be shown
    meaning: str = ""  #: of a code


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentLine:
    """One segment, or, with ``wire`` empty, one that is missing."""

    position: int
    offset: int
    depth: int  #: how many loops it stands in
    id: str
    name: str
    wire: str  #: as it came, fit to be shown
    elements: tuple[ElementLine, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """An interchange, a group or a transaction set: a heading, what is wrong with it as a whole, and its segments."""

    title: str
    level: int  #: 1 interchange, 2 group, 3 set
    facts: tuple[tuple[str, str], ...] = ()
    findings: tuple[Finding, ...] = ()
    segments: tuple[SegmentLine, ...] = ()
    opinion: SecondOpinion | None = None  #: of pyx12, where it was asked
    record: str = ""  #: the canonical record as JSON, '' when there is none


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    title: str
    sections: tuple[Section, ...] = field(default=())


def explain(title: str, interchanges: Iterable[Interchange], *, ask_about: bytes | None = None) -> Page:
    """Make the page for a file.

    Args:
        title: what to call the file.
        interchanges: as ``reader.read`` returns them.
        ask_about: the file itself: pyx12 is asked for its opinion on every set that is rejected.
    """
    return Page(title=title, sections=tuple(_sections(interchanges, ask_about)))


def visible(text: str) -> str:
    """``text`` on one line, with whatever a terminal would act on written out."""
    return "".join(character if character.isprintable() else _escaped(character) for character in text)


def _escaped(character: str) -> str:
    return f"\\x{ord(character):02x}" if ord(character) < 256 else f"\\u{ord(character):04x}"


def _sections(interchanges: Iterable[Interchange], ask_about: bytes | None) -> Iterator[Section]:
    for interchange in interchanges:
        marks = interchange.delimiters
        separators = f"element {visible(marks.element)}  component {visible(marks.component) or 'none'}"
        if marks.repetition:
            separators += f"  repetition {visible(marks.repetition)}"
        yield Section(
            title=f"Interchange {visible(interchange.control_number) or 'without a number'}",
            level=1,
            facts=(
                ("from", visible(f"{interchange.sender_qualifier} {interchange.sender_id}".strip())),
                ("to", visible(f"{interchange.receiver_qualifier} {interchange.receiver_id}".strip())),
                ("date", visible(f"{interchange.date} {interchange.time}".strip())),
                ("version", visible(interchange.version)),
                ("separators", f"{separators}  segment {visible(marks.segment)}"),
                ("bytes", f"{interchange.start} to {interchange.end}"),
            ),
            findings=tuple(interchange.findings),
            segments=tuple(_segment_line(segment, 0, ()) for segment in interchange.acknowledgments),
        )
        for group in interchange.groups:
            yield _group_section(group)
            for transaction_set in group.sets:
                opinion = None
                if ask_about is not None and transaction_set.verdict is Verdict.REJECTED:
                    opinion = _opinion(ask_about, interchange, group, transaction_set)
                yield _set_section(transaction_set, group.version, opinion)


def _opinion(data: bytes, interchange: Interchange, group: Group, one: TransactionSet) -> SecondOpinion | None:
    """What pyx12 says about a set in an interchange of its own, so that nothing else counts; None when it has no header."""
    if not (interchange.has_header and group.functional_id):
        return None
    marks = interchange.delimiters
    trailers = (("GE", "1", group.control_number), ("IEA", "1", interchange.control_number))
    return second_opinion(
        data[interchange.start : interchange.groups[0].start]
        + data[group.start : group.sets[0].start]
        + data[one.start : one.end]
        + "".join(marks.element.join(trailer) + marks.segment for trailer in trailers).encode(
            "latin-1", errors="replace"
        )
    )


def _group_section(group: Group) -> Section:
    return Section(
        title=f"Functional group {visible(group.functional_id)} {visible(group.control_number)}".rstrip(),
        level=2,
        facts=(
            ("from", visible(group.sender_id)),
            ("to", visible(group.receiver_id)),
            ("version", visible(group.version)),
            ("sets", str(len(group.sets))),
        ),
        findings=tuple(group.findings),
    )


def _set_section(transaction_set: TransactionSet, version: str, opinion: SecondOpinion | None) -> Section:
    segments = transaction_set.segments
    count = len(segments)
    here: dict[int, list[Finding]] = {}  # at the segment itself
    before: dict[int, list[Finding]] = {}  # about a segment that should stand there
    whole: list[Finding] = []
    for found in transaction_set.findings:
        if found.position is None:
            whole.append(found)
        elif found.code == "segment_missing" or (found.position > count and found.segment):
            before.setdefault(min(found.position, count + 1), []).append(found)
        elif found.position <= count:
            here.setdefault(found.position, []).append(found)
        else:
            whole.append(found)
    loops = tree(transaction_set, version)
    depths = {} if loops is None else _depths(loops)
    lines: list[SegmentLine] = []
    for segment in segments:
        lines += _missing_lines(before.get(segment.position, ()), segment.offset)
        lines.append(_segment_line(segment, depths.get(segment.position, 0), here.get(segment.position, ())))
    lines += _missing_lines(before.get(count + 1, ()), transaction_set.end)
    record = ""
    if transaction_set.record is not None:
        record = json.dumps(canonical.dump(transaction_set.record), indent=2, ensure_ascii=False)
    elif transaction_set.acknowledgment is not None:
        record = json.dumps(asdict(transaction_set.acknowledgment), indent=2, ensure_ascii=False)
    verdict = (transaction_set.verdict or "not judged").replace("_", " ")
    return Section(
        title=f"Transaction set {visible(transaction_set.code)} {visible(transaction_set.control_number)}: {verdict}",
        level=3,
        facts=(("segments", str(count)), ("bytes", f"{transaction_set.start} to {transaction_set.end}")),
        findings=tuple(whole),
        segments=tuple(lines),
        opinion=opinion,
        record=record,
    )


def _depths(loop: Loop, depth: int = 0) -> dict[int, int]:
    depths = dict.fromkeys(loop.positions, depth)
    for child in loop.loops:
        depths |= _depths(child, depth + 1)
    return depths


def _missing_lines(findings: Sequence[Finding], offset: int) -> Iterator[SegmentLine]:
    for found in findings:
        identifier = found.segment or ""
        yield SegmentLine(
            position=found.position or 0,
            offset=offset,
            depth=0,
            id=visible(identifier),
            name=segment_name(identifier) or "",
            wire="",
            elements=(),
            findings=(found,),
        )


def _segment_line(segment: Segment, depth: int, findings: Sequence[Finding]) -> SegmentLine:
    elements = []
    for number, value in enumerate(segment.elements[1:], start=1):
        if not value:
            continue
        described = data_element(segment.id, number)
        elements.append(
            ElementLine(
                reference=f"{visible(segment.id)}{number:02d}",
                name=described.name if described is not None else "",
                value=visible(value),
                meaning=code_meaning(segment.id, number, value) or "",
            )
        )
    return SegmentLine(
        position=segment.position,
        offset=segment.offset,
        depth=depth,
        id=visible(segment.id),
        name=segment_name(segment.id) or "",
        wire=visible(segment.raw),
        elements=tuple(elements),
        findings=tuple(findings),
    )


def _opinion_lines(opinion: SecondOpinion) -> Iterator[str]:
    verdicts = {True: "pyx12 accepts this set", False: "pyx12 refuses this set", None: "pyx12 comes to no verdict"}
    yield verdicts[opinion.accepted]
    for error in opinion.errors:
        place = f"{error.segment}{error.element:02d}" if error.element else error.segment
        if error.component:
            place += f"-{error.component}"
        if error.position:
            place += f" (segment {error.position})"
        said = f"{place}: {error.words}" if place else error.words
        yield visible(f"{said}  [{error.code}]" if error.code else said)


# -- as text

_MARKS = {Severity.ERROR: "!!", Severity.WARNING: " !", Severity.NOTE: " i"}


def as_text(page: Page) -> str:
    """The page for a terminal."""
    lines = [visible(page.title)]
    for section in page.sections:
        lines += ["", section.title, "=-."[section.level - 1] * len(section.title)]
        lines += [f"  {name:<11} {value}" for name, value in section.facts if value]
        for found in section.findings:
            lines += _finding_lines(found, "  ")
        for segment in section.segments:
            lines += _segment_text(segment)
        if section.opinion is not None:
            head, *errors = _opinion_lines(section.opinion)
            lines += ["", f"  {head}", *(f"   - {error}" for error in errors)]
        if section.record:
            lines += ["", "  record", *(f"  {line}" for line in visible_lines(section.record))]
    return "\n".join(lines) + "\n"


def visible_lines(text: str) -> list[str]:
    return [visible(line) for line in text.split("\n")]


def _segment_text(segment: SegmentLine) -> Iterator[str]:
    indent = "  " * segment.depth
    if not segment.wire:
        yield f"   --  {indent}({segment.id} {segment.name})"
    else:
        yield f"{segment.position:5d}  {indent}{segment.wire}"
        yield f"       {indent}  {segment.name or 'unknown segment'}, byte {segment.offset}"
    for element in segment.elements:
        meaning = f" ({element.meaning})" if element.meaning else ""
        yield f"       {indent}  {element.reference} {element.name or '?'}: {element.value}{meaning}"
    for found in segment.findings:
        yield from _finding_lines(found, f"     {indent}  ")


def _finding_lines(found: Finding, indent: str) -> Iterator[str]:
    yield f"{indent}{_MARKS[found.severity]} {visible(found.text)}  [{found.code}]"
    if found.severity is not Severity.NOTE:
        yield f"{indent}   fix: {visible(found.fix)}"


# -- as HTML

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:70em;margin:2em auto;padding:0 1em;color:#1b1f24}"
    "h1,h2,h3{line-height:1.2}h3{margin-top:2em}code,pre{font:13px/1.5 ui-monospace,monospace}"
    "pre{background:#f4f6f8;padding:1em;overflow:auto}ol{list-style:none;padding:0}"
    "li{border-left:3px solid #d6dbe0;margin:.4em 0;padding:.1em .8em}li.bad{border-color:#b3261e}"
    "table{border-collapse:collapse;font-size:13px;color:#454c54}td{padding:0 1em 0 0;vertical-align:top}"
    ".place{color:#6b737c;font-size:12px}.error{color:#b3261e}.warning{color:#8a5300}.note{color:#3c5a80}"
    "dl{display:grid;grid-template-columns:8em auto;gap:0 1em;font-size:13px}dd{margin:0}"
)


def as_html(page: Page) -> str:
    """The page as one HTML document: no script, no link to anywhere, everything escaped."""
    title = escape(visible(page.title))
    parts = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
    ]
    for section in page.sections:
        tag = f"h{min(section.level + 1, 3)}"
        parts.append(f"<{tag}>{escape(section.title)}</{tag}>\n<dl>")
        parts += [f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in section.facts if value]
        parts.append("</dl>\n")
        parts += [_finding_html(found) for found in section.findings]
        if section.segments:
            parts += ["<ol>\n", *(_segment_html(segment) for segment in section.segments), "</ol>\n"]
        if section.opinion is not None:
            head, *errors = _opinion_lines(section.opinion)
            items = "".join(f"<li>{escape(error)}</li>" for error in errors)
            parts.append(f"<h4>{escape(head)}</h4>\n<ol>{items}</ol>\n")
        if section.record:
            record = "\n".join(visible_lines(section.record))
            parts.append(f"<pre>{escape(record)}</pre>\n")
    parts.append("</body>\n</html>\n")
    return "".join(parts)


def _segment_html(segment: SegmentLine) -> str:
    style = ' class="bad"' if any(found.severity is Severity.ERROR for found in segment.findings) else ""
    head = (
        f"<code>{escape(segment.wire)}</code><br>"
        if segment.wire
        else f"<code>({escape(segment.id)} is missing)</code> "
    )
    place = f"segment {segment.position}, byte {segment.offset}" if segment.wire else ""
    rows = "".join(
        f"<tr><td>{escape(element.reference)}</td><td>{escape(element.name)}</td>"
        f"<td>{escape(element.value)}</td><td>{escape(element.meaning)}</td></tr>"
        for element in segment.elements
    )
    table = f"<table>{rows}</table>" if rows else ""
    findings = "".join(_finding_html(found) for found in segment.findings)
    name = escape(segment.name or "unknown segment")
    return (
        f'<li{style} style="margin-left:{segment.depth * 1.5}em">{head}<b>{name}</b> '
        f'<span class="place">{place}</span>{table}{findings}</li>\n'
    )


def _finding_html(found: Finding) -> str:
    fix = "" if found.severity is Severity.NOTE else f" <i>{escape(visible(found.fix))}</i>"
    return f'<p class="{found.severity}">{escape(visible(found.text))}{fix} <code>{escape(found.code)}</code></p>'
