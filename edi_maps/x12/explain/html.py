"""The page as one HTML document: no script, nothing fetched, everything escaped.

Three panes show a set: the bytes as they came, the segments in words, the record that was made of them. Every value is a link to
where else it stands, and all its places are marked together when one of them is followed.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from html import escape
from itertools import islice
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from edi_maps.findings import Actor, Finding, Severity, Verdict
from edi_maps.x12.explain.page import (
    NAME,
    ElementLine,
    Limits,
    Page,
    Section,
    SegmentLine,
    opinion_lines,
    verdict_words,
    visible,
)
from edi_maps.x12.provenance import CONCLUDED

#: What a page shows at most, so that the largest file gives one that a phone can open.
PAGE_LIMITS: Final = Limits(of_segment=60, of_set=1_000, of_page=2_000, sections=1_000)
MAX_CHARACTERS: Final = 500  #: of one value
MAX_FIELDS: Final = 5_000  #: of one record
MAX_ALL_FIELDS: Final = 10_000  #: of all records
MAX_ENTRIES: Final = 500  #: of one list in a record
MAX_LISTED: Final = 100  #: findings in the summary at the top, and sets in the contents
MAX_ADDRESS: Final = 200  #: characters of the address of a field
MAX_LINKS: Final = 3  #: fields named beside one element

_SEVERITIES: Final = {Severity.ERROR: "Error", Severity.WARNING: "Warning", Severity.NOTE: "Note"}
_WHO: Final = {
    Actor.PARTNER: "For the sender of the document.",
    Actor.BUYER: "For the buyer.",
    Actor.OPERATOR: "For whoever runs the gateway.",
    Actor.NOBODY: "Nothing needs to be done.",
}


def as_html(page: Page) -> str:
    """The page for a browser, to be kept as a file or served under its own ``policy``."""
    writer = _Writer()
    body = [writer.section(section) for section in page.sections]
    title = escape(visible(page.title))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy()}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{title}</title>\n<style>{style()}</style>\n</head>\n<body>\n"
        f"<header>\n<h1>{title}</h1>\n{_summary(page, writer)}</header>\n"
        f"<main>\n{''.join(body)}</main>\n<footer>{_LEGEND}</footer>\n</body>\n</html>\n"
    )


@cache
def style() -> str:
    """The style sheet of every page."""
    return (Path(__file__).parent / "page.css").read_text(encoding="utf-8") + "".join(_mark_rules())


@cache
def policy() -> str:
    """The Content-Security-Policy of every page: nothing is let in but its style, by the hash of it."""
    style_hash = b64encode(sha256(style().encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{style_hash}'; base-uri 'none'; form-action 'none'"


#: All places of one value bear its number, a class for each digit, so that CSS alone can tell which belong together: the digits of
#: the place that was followed are set on the root, and a place is marked as far as the product of its five comparisons goes.
_DIGITS: Final = "vwxyz"


def _mark_rules() -> Iterator[str]:
    for place in _DIGITS:
        for digit in range(10):
            name = f"{place}{digit}"
            yield f":root:has(.{name}:target){{--{name}:1}}.{name}{{--{place}:var(--{name},0)}}\n"


def _marked(number: int) -> str:
    """The classes of the place of a value."""
    return " ".join(["e", *map("".join, zip(_DIGITS, f"{number % 100_000:05d}", strict=True))])


_LEGEND: Final = (
    "<p>Every value leads to where else it stands: from the bytes to its element, from the element to its field in the record, "
    "and back. <code>\\r</code> and <code>\\n</code> stand for the ends of lines, <code>\\x1b</code> and the like for other "
    "characters that cannot be shown.</p>"
)


# -- the top of the page


def _summary(page: Page, writer: _Writer) -> str:
    sets = [section for section in page.sections if section.level == 3]
    counts = [
        f'<span class="verdict {verdict or "open"}">{number} {verdict_words(verdict)}</span>'
        for verdict in (Verdict.REJECTED, Verdict.ACCEPTED_WITH_ERRORS, Verdict.ACCEPTED, None)
        if (number := sum(section.verdict is verdict for section in sets))
    ]
    parts = [f'<p class="counts">{_counted(len(sets), "transaction set")} {" ".join(counts)}</p>\n']
    if page.left_out:
        parts.append(
            f'<p class="cut">{_counted(page.left_out, "more transaction set")} not shown: the page is full.</p>\n'
        )
    if writer.findings:
        parts.append(_findings_listed(writer.findings))
    if len(sets) > 1:
        parts.append(_contents(page))
    return "".join(parts)


def _findings_listed(findings: Sequence[tuple[str, Finding, str]]) -> str:
    titles = {title for _, _, title in findings}
    order = [*_SEVERITIES]
    ranked = sorted(findings, key=lambda entry: order.index(entry[1].severity))
    items = []
    for anchor, found, title in ranked[:MAX_LISTED]:
        where = f" <small>{_text(title)}</small>" if len(titles) > 1 else ""
        items.append(
            f'<li class="{found.severity}"><strong>{_SEVERITIES[found.severity]}</strong> '
            f'<span><a href="#{anchor}">{_text(found.text)}</a>{where}</span></li>\n'
        )
    more = len(ranked) - MAX_LISTED
    rest = f'<p class="cut">{more:,} more are not listed here; each stands at its place.</p>\n' if more > 0 else ""
    head = '<section aria-labelledby="findings"><h2 id="findings">What was found</h2>'
    return f'{head}\n<ul class="found">\n{"".join(items)}</ul>\n{rest}</section>\n'


def _contents(page: Page) -> str:
    rows: list[str] = []
    between, number = "", 0
    for section in page.sections:
        if section.level == 1:
            facts = dict(section.facts)
            between = f"{facts['from']} → {facts['to']}"
        if section.level == 3:
            number += 1
            if number <= MAX_LISTED:
                rows.append(
                    f'<tr><th scope="row"><a href="#set{number}">{_text(section.title)}</a></th>'
                    f"<td>{_text(section.name)}</td><td>{_text(between)}</td><td>{_badge(section.verdict)}</td></tr>\n"
                )
    more = number - MAX_LISTED
    rest = f'<p class="cut">{more:,} more sets follow.</p>\n' if more > 0 else ""
    head = "".join(f'<th scope="col">{name}</th>' for name in ("Set", "Document", "From and to", "Verdict"))
    return (
        '<nav aria-labelledby="contents"><h2 id="contents">Contents</h2>\n<div class="wide"><table class="contents">\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{''.join(rows)}</tbody>\n</table></div>\n{rest}</nav>\n"
    )


# -- sections


@dataclass(slots=True)
class _Writer:
    """Writes the sections, and remembers what the top of the page must know of them."""

    findings: list[tuple[str, Finding, str]] = field(
        default_factory=list
    )  #: with their anchors and what they are about
    title: str = ""  #: of the section at hand
    sections: int = 0
    sets: int = 0
    room: int = MAX_ALL_FIELDS  #: for fields
    values: int = 0  #: elements numbered so far, see ``_marked``

    def section(self, section: Section) -> str:
        tag = f"h{section.level + 1}"
        name, badge = "", ""
        self.title = section.title
        self.sections += 1
        key = f"i{self.sections}"
        if section.level == 3:
            self.sets += 1
            key = str(self.sets)
            name = f' id="set{key}"'
            badge = f" {_badge(section.verdict)}"
        document = f' <span class="name">{_text(section.name)}</span>' if section.name else ""
        facts = "".join(
            f"<div><dt>{escape(fact)}</dt><dd>{_text(value)}</dd></div>" for fact, value in section.facts if value
        )
        parts = [
            f'<section class="level{section.level}"{name}>\n<{tag}>{_text(section.title)}{document}{badge}</{tag}>\n',
            f"<dl>{facts}</dl>\n",
        ]
        if section.findings:
            items = "".join(f"<li {self.finding(found)}</li>\n" for found in section.findings)
            parts.append(f'<ul class="whole">\n{items}</ul>\n')
        if section.segments or section.record is not None:
            parts.append(_Panes(self, section, key).html())
        elif section.total:
            parts.append(f'<p class="cut">{_counted(section.total, "segment")} not shown.</p>\n')
        if section.opinion is not None:
            head, *errors = opinion_lines(section.opinion)
            items = "".join(f"<li>{_text(error)}</li>" for error in errors)
            parts.append(f"<aside><h5>{escape(head)}</h5>\n<ol>{items}</ol></aside>\n")
        parts.append("</section>\n")
        return "".join(parts)

    def finding(self, found: Finding) -> str:
        """Attributes and content of the element that shows a finding, which is for the caller to open and close."""
        anchor = f"f{len(self.findings) + 1}"
        self.findings.append((anchor, found, self.title))
        fix = "" if found.severity is Severity.NOTE else f' <span class="fix">{_text(found.fix)}</span>'
        who = f' <span class="who">{_WHO[found.actor]}</span>' if found.severity is not Severity.NOTE else ""
        return (
            f'id="{anchor}" class="finding {found.severity}"><strong>{_SEVERITIES[found.severity]}</strong> '
            f"{_text(found.text)}{fix}{who} <code>{escape(found.code)}</code>"
        )


@dataclass(frozen=True, slots=True)
class _Row:
    """A line of a record: a value, the heading of what stands in it, or (without an address) how much is left out."""

    address: str
    name: str
    depth: int
    value: Any = None
    heads: bool = False


class _Panes:
    """One set, three ways."""

    def __init__(self, writer: _Writer, section: Section, key: str) -> None:
        self.writer = writer
        self.section = section
        self.key = key
        self.rows = [*_record_rows(section.record, min(writer.room, MAX_FIELDS))] if section.record is not None else []
        writer.room -= min(writer.room, len(self.rows))
        #: Where in the page the fields that are shown stand; an address nobody could read is replaced by a number.
        self.fields = {
            row.address: f"{key}/{quote(row.address) if len(row.address) <= MAX_ADDRESS else number}"
            for number, row in enumerate(self.rows)
        }
        self.positions = {segment.position for segment in section.segments if segment.wire}
        self.numbers: dict[tuple[int, int], int] = {}  #: of the elements that are shown
        for segment in section.segments:
            for element in segment.elements:
                writer.values += 1
                self.numbers[segment.position, element.number] = writer.values

    def html(self) -> str:
        panes = []
        if self.section.segments:
            panes = [
                self.pane("As it came", "raw", self.raw()),
                self.pane("In words", "words", self.words()),
            ]
        if self.rows:
            panes.append(self.pane("The record", "record", self.record()))
        return f'<div class="panes">\n{"".join(panes)}</div>\n'

    def pane(self, title: str, kind: str, content: str) -> str:
        name = f"{kind}{self.key}"
        return (
            f'<section class="pane {kind}"><h5 id="{name}">{title}</h5>\n'
            f'<div class="scroll" tabindex="0" role="region" aria-labelledby="{name}">\n{content}</div></section>\n'
        )

    def lines(self) -> Iterator[tuple[SegmentLine | None, int]]:
        """The segments; None with their number where some are left out."""
        next_one = 1
        for segment in self.section.segments:
            if segment.wire and segment.position > next_one:
                yield None, segment.position - next_one
            yield segment, 0
            next_one = segment.position + 1 if segment.wire else next_one
        if next_one <= self.section.total:
            yield None, self.section.total + 1 - next_one

    # -- the bytes

    def raw(self) -> str:
        return f'<ol class="wire">\n{"".join(self.raw_line(segment, cut) for segment, cut in self.lines())}</ol>\n'

    def raw_line(self, segment: SegmentLine | None, cut: int) -> str:
        if segment is None:
            return f'<li class="cut">{_counted(cut, "segment")} not shown</li>\n'
        if not segment.wire:
            return ""
        elements = {element.number: element for element in segment.elements}
        identifier, *pieces = segment.pieces
        separator = escape(self.section.separator)
        written = "".join(
            separator + (self.raw_element(segment, elements[number], piece) if number in elements else _text(piece))
            for number, piece in enumerate(pieces, start=1)
        )
        more = f" <small>… {_counted(segment.left_out, 'more element')}</small>" if segment.left_out else ""
        bad = ' class="bad"' if _is_bad(segment) else ""
        return (
            f'<li{bad}><a class="n" href="#{self.key}.{segment.position}">{segment.position}</a>'
            f"<code><b>{_text(identifier)}</b>{written}{more}{_line_ends(segment.end)}</code></li>\n"
        )

    def raw_element(self, segment: SegmentLine, element: ElementLine, text: str) -> str:
        place = f"{self.key}.{segment.position}.{element.number}"
        said = f"{element.reference[:20]} {element.name}".rstrip()
        return (
            f'<a id="r{place}" class="{self.marked(segment.position, element.number)}" href="#{place}" '
            f'title="{escape(said)}">{_text(text)}</a>'
        )

    def marked(self, position: int, element: int) -> str:
        return _marked(self.numbers[position, element])

    # -- in words

    def words(self) -> str:
        head = "".join(f'<th scope="col">{name}</th>' for name in ("Element", "Name", "Value", "Field"))
        bodies = "".join(self.segment(segment, cut) for segment, cut in self.lines())
        return f"<table>\n<thead><tr>{head}</tr></thead>\n{bodies}</table>\n"

    def segment(self, segment: SegmentLine | None, cut: int) -> str:
        if segment is None:
            return f'<tbody class="cut"><tr><td colspan="4">{_counted(cut, "segment")} not shown</td></tr></tbody>\n'
        depth = f"d{min(segment.depth, 8)}"
        if not segment.wire:
            name = f"{_text(segment.id)} {escape(segment.name)}".rstrip()
            head = f'<tr class="head"><th scope="rowgroup" colspan="4">{name} <small>missing here</small></th></tr>\n'
            return f'<tbody class="missing {depth}">\n{head}{self.found(segment.findings)}</tbody>\n'
        head = (
            f'<tr class="head" id="{self.key}.{segment.position}"><th scope="rowgroup" colspan="4"><b>{_text(segment.id)}</b> '
            f"{escape(segment.name) or 'Unknown segment'} "
            f"<small>segment {segment.position}, byte {segment.offset}</small></th></tr>\n"
        )
        waiting = sorted(segment.findings, key=lambda found: found.element or 0)
        rows = []
        for element in segment.elements:
            rows.append(self.found([found for found in waiting if (found.element or 0) < element.number]))
            waiting = [found for found in waiting if (found.element or 0) >= element.number]
            rows.append(self.element(segment, element))
        rows.append(self.found(waiting))
        bad = " bad" if _is_bad(segment) else ""
        return f'<tbody class="{depth}{bad}">\n{head}{"".join(rows)}</tbody>\n'

    def found(self, findings: Sequence[Finding]) -> str:
        return "".join(f'<tr><td colspan="4" {self.writer.finding(found)}</td></tr>\n' for found in findings)

    def element(self, segment: SegmentLine, element: ElementLine) -> str:
        place = f"{self.key}.{segment.position}.{element.number}"
        meaning = f' <span class="meaning">{_text(element.meaning)}</span>' if element.meaning else ""
        return (
            f'<tr id="{place}" class="{self.marked(segment.position, element.number)}">'
            f'<th scope="row"><a href="#r{place}">{_text(element.reference)}</a></th>'
            f"<td>{escape(element.name) or '?'}</td><td>{_text(element.value)}{meaning}</td>"
            f"<td>{self.fields_of(element)}</td></tr>\n"
        )

    def fields_of(self, element: ElementLine) -> str:
        if element.ignored:
            return f'<span class="quiet">{escape(element.ignored)}</span>'
        fields = element.fields or element.about
        links = [self.field_link(address) for address in fields[:MAX_LINKS]]
        if len(fields) > MAX_LINKS:
            links.append(f"and {len(fields) - MAX_LINKS} more")
        told = '<span class="quiet">tells the meaning of</span> ' if element.about and not element.fields else ""
        return told + ", ".join(links)

    def field_link(self, address: str) -> str:
        words = _breakable(address)
        return f'<a href="#{self.fields[address]}">{words}</a>' if address in self.fields else words

    # -- the record

    def record(self) -> str:
        head = "".join(f'<th scope="col">{name}</th>' for name in ("Field", "Value", "From"))
        rows = "".join(map(self.row, self.rows))
        return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n"

    def row(self, row: _Row) -> str:
        depth = f"d{min(row.depth, 8)}"
        if not row.address:
            return f'<tr class="cut {depth}"><td colspan="3">{escape(row.name)}</td></tr>\n'
        name = _breakable(row.name)
        if row.heads:
            return f'<tr class="head {depth}" id="{self.fields[row.address]}"><th scope="row" colspan="3">{name}</th></tr>\n'
        places = self.section.provenance.fields.get(row.address, ()) if self.section.provenance is not None else ()
        shown = [(position, element) for position, element, _ in places if (position, element) in self.numbers]
        mark = f" {self.marked(*shown[0])}" if shown else ""
        return (
            f'<tr class="{depth}{mark}" id="{self.fields[row.address]}"><th scope="row">{name}</th>'
            f"<td>{_value(row.value)}</td><td>{self.came_from(row, places, shown)}</td></tr>\n"
        )

    def came_from(
        self, row: _Row, places: Sequence[tuple[int, int, int | None]], shown: Sequence[tuple[int, int]]
    ) -> str:
        if not places:
            reason = next((words for pattern, words in CONCLUDED if pattern.fullmatch(row.address)), "")
            return f'<span class="quiet">{escape(reason)}</span>'
        provenance = self.section.provenance
        links = []
        for position, element, component in places[:MAX_LINKS]:
            identifier = visible(provenance.identifier(position)[:20]) if provenance is not None else ""
            number = f"{element:02d}" if element else ""
            words = escape(f"{identifier}{number}" + (f"-{component}" if component else ""))
            if not element and position in self.positions:
                words = f'<a href="#{self.key}.{position}">{words}</a>'
            elif (position, element) in shown:
                words = (
                    f'<a class="{self.marked(position, element)}" href="#{self.key}.{position}.{element}">{words}</a>'
                )
            links.append(words)
        return ", ".join(links) + (f" and {len(places) - MAX_LINKS} more" if len(places) > MAX_LINKS else "")


def _record_rows(record: Mapping[str, Any], most: int) -> Iterator[_Row]:
    """The lines of a record, down to the limit of what is shown."""
    rows = _below(record, "", 0)
    yield from islice(rows, most)
    if next(rows, None) is not None:
        yield _Row(
            "", "The rest of the record is not shown." if most else "The record is not shown: the page is full.", 0
        )


def _below(data: Mapping[str, Any] | Sequence[Any], above: str, depth: int) -> Iterator[_Row]:
    steps = sorted(data.items(), key=_rank) if isinstance(data, Mapping) else enumerate(data)
    for number, (step, value) in enumerate(steps):
        if number == MAX_ENTRIES:
            yield _Row("", f"{len(data) - number:,} more are not shown.", depth)
            return
        address = f"{above}/{step}" if above else str(step)
        if isinstance(value, list) and value and all(isinstance(entry, dict | list) for entry in value):
            # Named by its entries alone, as their addresses are.
            for index, entry in enumerate(value):
                if index == MAX_ENTRIES:
                    yield _Row("", f"{step}: {len(value) - index:,} more are not shown.", depth)
                    break
                yield _Row(f"{address}/{index}", f"{step}/{index}", depth, heads=True)
                yield from _below(entry, f"{address}/{index}", depth + 1)
        elif isinstance(value, dict | list):
            yield _Row(address, str(step), depth, heads=True)
            yield from _below(value, address, depth + 1)
        else:
            yield _Row(address, str(step), depth, value)


def _rank(entry: tuple[str, Any]) -> tuple[bool, bool, bool]:
    """A record begins with what it is, its own values stand before what is nested in it, and what nobody has a name for comes last."""
    name, value = entry
    return name == "extra", isinstance(value, dict | list), name != "type"


# -- words


def _text(text: str) -> str:
    """Text from the document, or about it, fit for a page."""
    shown = visible(text[:MAX_CHARACTERS])
    more = len(text) - MAX_CHARACTERS
    return escape(shown) + (f" <small>… {more:,} more characters</small>" if more > 0 else "")


def _breakable(name: str) -> str:
    """A name or an address, which may be broken between its words."""
    shown = escape(visible(name[:MAX_ADDRESS])) + ("…" if len(name) > MAX_ADDRESS else "")
    return re.sub(r"(?<=_)|(?<=/)(?=[a-z])", "<wbr>", shown)


def _value(value: Any) -> str:
    is_name = isinstance(value, str) and len(value) <= MAX_ADDRESS and NAME.fullmatch(value)
    return _breakable(value) if is_name else _text(str(value))


def _line_ends(text: str) -> str:
    return escape(visible(text[:20]).replace("\\x0d", "\\r").replace("\\x0a", "\\n"))


def _badge(verdict: Verdict | None) -> str:
    return f'<span class="verdict {verdict or "open"}">{verdict_words(verdict)}</span>'


def _counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _is_bad(segment: SegmentLine) -> bool:
    return any(found.severity is Severity.ERROR for found in segment.findings)
