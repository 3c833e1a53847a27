"""Read the envelope of X12: bytes to interchanges, functional groups, transaction sets and their segments.

Reading is lenient and never raises: whatever can be told apart is returned, and all that is wrong with the envelope is a
finding on the interchange, the group or the set it belongs to. Text is decoded as latin-1, so an index is a byte offset;
segments that are valid UTF-8 are then decoded as such.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from edi_maps.canonical import CanonicalRecord
from edi_maps.findings import Finding, Severity, Verdict, finding
from edi_maps.x12.acknowledgment_codes import interchange_note
from edi_maps.x12.received_acknowledgments import FunctionalAcknowledgment
from edi_maps.x12.segments import Delimiters, Loop, Segment

#: Bounds of one file. Above them reading stops with a finding, so that no input costs unbounded time or memory.
MAX_BYTES: Final = 32 * 1024 * 1024
MAX_SEGMENTS: Final = 250_000
MAX_INTERCHANGES: Final = 10_000
MAX_SETS: Final = 20_000  #: of one interchange
MAX_STRAYS: Final = 100  #: segments outside sets that get a finding of their own
MAX_SEGMENT_CHARACTERS: Final = 100_000
MAX_ELEMENTS: Final = 1_000

#: Characters of ISA01 to ISA16.
ISA_WIDTHS: Final = (2, 10, 2, 10, 2, 15, 2, 15, 6, 4, 1, 5, 9, 1, 1, 1)


@dataclass(slots=True, kw_only=True)
class TransactionSet:
    """One transaction set, ST to SE, and what reading made of it."""

    code: str  #: ST01, e.g. "856"
    control_number: str  #: ST02
    implementation: str = ""  #: ST03
    segments: list[Segment] = field(default_factory=list)  #: ST to SE, both included when sent
    findings: list[Finding] = field(default_factory=list)
    start: int = 0  #: byte offset of ST
    end: int = 0  #: byte offset behind the terminator of the last segment
    record: CanonicalRecord | None = None
    type: str | None = None  #: canonical type, e.g. "ship_notice"
    tree: Loop | None = None
    verdict: Verdict | None = None
    acknowledgment: FunctionalAcknowledgment | None = None  #: for a 997: what it says


@dataclass(slots=True, kw_only=True)
class Group:
    """One functional group, GS to GE."""

    functional_id: str = ""  #: GS01; '' when sets were sent without a group
    sender_id: str = ""
    receiver_id: str = ""
    date: str = ""
    time: str = ""
    control_number: str = ""  #: GS06
    version: str = ""  #: GS08 as sent, suffix included
    sets: list[TransactionSet] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    claimed_sets: str = ""  #: GE01 as sent; '' when there is no GE
    start: int = 0
    end: int = 0


@dataclass(slots=True, kw_only=True)
class Interchange:
    """One interchange, ISA to IEA. Identifiers are stripped of their padding."""

    delimiters: Delimiters = field(default_factory=Delimiters)
    sender_qualifier: str = ""
    sender_id: str = ""
    receiver_qualifier: str = ""
    receiver_id: str = ""
    date: str = ""  #: ISA09, YYMMDD
    time: str = ""  #: ISA10, HHMM
    control_number: str = ""  #: ISA13
    version: str = ""  #: ISA12
    usage: str = ""  #: ISA15: P production, T test
    wants_ta1: bool = False  #: ISA14 is 1
    groups: list[Group] = field(default_factory=list)
    acknowledgments: list[Segment] = field(default_factory=list)  #: TA1 segments, about interchanges of ours
    findings: list[Finding] = field(default_factory=list)
    note: str = "000"  #: TA105 a TA1 about this interchange would carry
    start: int = 0
    end: int = 0
    has_header: bool = True  #: False: the file starts at GS or ST, and there is nobody to acknowledge it to


def scan(data: bytes) -> list[Interchange]:
    """Split ``data`` into its interchanges, each read by its own delimiters.

    Returns:
        One interchange for every ISA; a file without any gives one interchange that says so, with the sets it
        holds when it starts at GS or ST. Only an empty list never comes back.
    """
    if len(data) > MAX_BYTES:
        return [_unreadable("too_large", limit=f"{MAX_BYTES} bytes")]
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return [_unreadable("unreadable", reason="it is UTF-16, X12 goes as ASCII, latin-1 or UTF-8")]
    text, place = _unwrapped(data.decode("latin-1"))
    interchanges: list[Interchange] = []
    budget = MAX_SEGMENTS
    at = 0
    while True:
        start = _next_header(text, at)
        if start < 0 or len(interchanges) >= MAX_INTERCHANGES or budget <= 0:
            break
        skipped = _content(text, at, start)
        reader = _Reader(text, start, place, budget)
        reader.read_interchange()
        if skipped:
            reader.interchange.findings.append(
                finding("bytes_outside_interchange", offset=place(at), count=skipped, value=None)
            )
        interchanges.append(reader.interchange)
        budget -= reader.segments
        at = reader.at
    if not interchanges:
        interchanges.append(_headless(text, place))
    elif start >= 0:
        interchanges[-1].findings.append(
            finding(
                "too_large", offset=place(start), limit=f"{MAX_INTERCHANGES} interchanges or {MAX_SEGMENTS} segments"
            )
        )
    elif rest := _content(text, at, len(text)):
        interchanges[-1].findings.append(finding("bytes_outside_interchange", offset=place(at), count=rest))
    for interchange in interchanges:
        interchange.note = interchange_note(interchange.findings)[1]
    return interchanges


# -- finding where an interchange starts and how it is delimited

_BLANKS: Final = " \t\r\n"
#: What may pad a file without meaning anything: blanks, NUL, the end-of-file mark of DOS, a byte order mark.
_PADDING: Final = _BLANKS + "\x00\x1a\xef\xbb\xbf"
_CONTROL_IDS: Final = frozenset({"ISA", "IEA", "GS", "GE", "ST", "SE", "TA1", "TA3", "ISB", "ISE"})


def _content(text: str, start: int, stop: int) -> int:
    """How many bytes of ``text[start:stop]`` are more than padding."""
    return len(text[start:stop].strip(_PADDING)) if start < stop else 0


_ISA: Final = re.compile(r"(?<![0-9A-Za-z])ISA(?=[^0-9A-Za-z \r\n])")


def _next_header(text: str, at: int) -> int:
    """Index of the next ISA segment from ``at`` on, -1 when there is none. "ISA" inside data is not one."""
    while found := _ISA.search(text, at):
        at = found.end()
        # Sixteen elements fill 106 bytes; 260 leaves room for padding that is too wide.
        if text.count(text[at], at, at + 260) >= 12:
            return found.start()
    return -1


def _may_delimit(character: str) -> bool:
    return bool(character) and not character.isalnum() and character not in " \r\n"


def _unwrapped(text: str) -> tuple[str, Callable[[int], int]]:
    """Undo a hard wrap at a fixed column that ignores segments, as mainframe jobs do at 79 or 80.

    Returns:
        The text, and the function from an index in it to the byte offset in the file.
    """
    at = _next_header(text, 0)
    first = re.compile(r"\r?\n").search(text, at) if at == 0 else None
    if first is None or not 40 <= first.start() < 105:
        return text, lambda index: index
    width, newline = first.start(), first.group()
    lines = text.split(newline)
    while lines and not lines[-1]:
        lines.pop()
    if len(lines) < 3 or any(len(line) != width for line in lines[:-1]) or len(lines[-1]) > width:
        return text, lambda index: index
    return "".join(lines), lambda index: index + index // width * len(newline)


@dataclass(slots=True)
class _Header:
    elements: list[str]  #: "ISA", then ISA01 … as far as sent, padding kept
    delimiters: Delimiters
    end: int  #: index behind the terminator
    findings: list[Finding]


def _header(text: str, at: int, offset: int) -> _Header:
    """Read the ISA segment at ``at`` with the delimiters it declares, by its fixed width or else by its separators."""
    separator = text[at + 3]
    fixed = text[at : at + 106]
    elements = fixed[:105].split(separator)
    if tuple(map(len, elements[1:])) == ISA_WIDTHS and "\n" not in fixed[:105]:
        component = elements[16]
        end = at + 106
        terminator = fixed[105:]
    else:
        elements, component, terminator, end = _loose_header(text, at, separator)
    findings: list[Finding] = []
    if terminator in {" ", "\r"} and (newline := re.compile(r" *\r?\n").match(text, end - 1)):
        terminator, end = "\n", newline.end()  # CR LF, or a blank in front of it, ends the lines of this file
    elif terminator >= "\xc2" and (tail := re.compile(r"[\x80-\xbf]{1,3}").match(text, end)):
        terminator, end = terminator + tail.group(), tail.end()  # one character of UTF-8
    for name, value, others in (
        ("element separator", separator, ()),
        ("segment terminator", terminator, (separator,)),
        ("component separator", component, (separator, terminator)),
    ):
        if name == "component separator" and (not value or value.isalnum()):
            continue  # ISA16 was left out, or is a placeholder: nothing in the interchange is composite
        if reason := _unfit(value, *others):
            findings.append(
                finding("delimiter_invalid", segment="ISA", offset=offset, which=name, value=value, reason=reason)
            )
    version = elements[12].strip() if len(elements) > 12 else ""
    repetition = elements[11].strip() if len(elements) > 11 else ""
    repeats = version.isdigit() and version >= "00402" and len(repetition) == 1 and _may_delimit(repetition)
    return _Header(
        elements,
        Delimiters(
            element=separator,
            segment=terminator,
            component=component,
            repetition=repetition if repeats and repetition not in (separator, component, terminator) else None,
        ),
        end,
        findings,
    )


def _unfit(value: str, *others: str) -> str:
    """Why a character cannot delimit, '' when it can."""
    if not value or value == " ":
        return "it is blank"
    if value.isalnum() and value.isascii():
        return "letters and digits are data"
    if value in {".", "-"}:
        return "it occurs in numbers"
    return "it is used for two things" if value in others else ""


def _loose_header(text: str, at: int, separator: str) -> tuple[list[str], str, str, int]:
    """Elements, component separator, terminator and end of an ISA that is not of fixed width.

    What follows gives the terminator away: it is what stands before the next GS, TA1, ISB, ST or IEA.
    """
    following = re.compile(rf"(?<![0-9A-Za-z])(?:GS|TA1|ISB|ST|IEA){re.escape(separator)}").search(
        text, at + 20, at + 600
    )
    stop = following.start() if following else min(len(text), at + 200)
    header = text[at:stop]
    body = header.rstrip(_BLANKS)
    pieces = body.split(separator)
    last = pieces[16] if len(pieces) > 16 else ""
    newline = "\n" if "\n" in header[len(body) :] else "\r" if "\r" in header[len(body) :] else ""
    if len(last) >= 2:
        terminator, component = last[1], last[0]
        if terminator >= "\xc2" and len(last) > 2:
            newline = ""
    elif len(last) == 1 and newline and not _ends_lines(text, stop, last):
        terminator, component = newline, last
    elif len(last) == 1:
        terminator, component = last, ""
    else:  # ISA16 was left out: the terminator sticks to the last element there is
        terminator = body[-1:] if not body[-1:].isalnum() and body[-1:] != separator else newline
        component = ""
        if terminator != newline:
            pieces[-1] = pieces[-1][:-1]
    pieces = [piece.replace("\r", "").replace("\n", "") for piece in pieces[:17]]
    if len(pieces) == 17:
        pieces[16] = component
    end = at + len(body)
    if terminator and terminator == newline:
        end = text.index(newline, end) + 1
    return pieces, component, terminator, end


def _ends_lines(text: str, at: int, character: str) -> bool:
    """Whether the line at ``at`` ends with ``character``: then that, not the newline, is the terminator."""
    return text[at : at + 200].partition("\n")[0].rstrip(_BLANKS).endswith(character)


# -- reading one interchange


class _Reader:
    """Reads one interchange from ``at`` on, and leaves ``at`` behind it."""

    def __init__(self, text: str, at: int, place: Callable[[int], int], budget: int) -> None:
        self.text = text
        self.at = at
        self.place = place
        self.budget = budget
        self.segments = 0
        self.interchange = Interchange(start=place(at), end=place(at))
        self.group: Group | None = None
        self.set: TransactionSet | None = None
        self.claimed_groups: str | None = None
        self.group_numbers: set[int | None] = set()
        self.set_numbers: set[str] = set()
        self.sets = 0
        self.strays = 0
        self.breaks = 0  #: segments with a line break inside
        self.first_break = 0

    def read_interchange(self) -> None:
        header = _header(self.text, self.at, self.interchange.start)
        interchange = self.interchange
        interchange.delimiters = header.delimiters
        interchange.findings += header.findings
        elements = header.elements + [""] * (17 - len(header.elements))
        values = [_decoded(element).strip(" \t\r\n\xa0") for element in elements]
        interchange.sender_qualifier, interchange.sender_id = values[5], values[6]
        interchange.receiver_qualifier, interchange.receiver_id = values[7], values[8]
        interchange.date, interchange.time = values[9], values[10]
        interchange.version, interchange.control_number = values[12], values[13]
        interchange.wants_ta1, interchange.usage = values[14] == "1", values[15]
        interchange.findings += _isa_findings(elements, values, interchange.start)
        self.segments += 1
        if any(found.code == "delimiter_invalid" for found in header.findings):
            self.at = stop if (stop := _next_header(self.text, header.end)) >= 0 else len(self.text)
        else:
            self.at = self.read_segments(header.end, self.interchange_end(header.end))
        self.finish()

    def interchange_end(self, at: int) -> int:
        """Index behind the IEA segment; without one, where the next ISA starts or the text ends."""
        text, delimiters = self.text, self.interchange.delimiters
        stop = at
        while (stop := _next_header(text, stop)) >= 0 and not self.starts_segment(stop) and text[stop - 1] != "\n":
            stop += 3
        stop = len(text) if stop < 0 else stop
        found = at
        while (found := text.find("IEA" + delimiters.element, found, stop)) >= 0:
            if self.starts_segment(found):
                end = text.find(delimiters.segment, found, stop)
                return stop if end < 0 else end + len(delimiters.segment)
            found += 4
        return stop

    def starts_segment(self, at: int) -> bool:
        before = self.text[max(0, at - 200) : at].rstrip(_BLANKS)
        terminator = self.interchange.delimiters.segment
        return before.endswith(terminator) or (terminator in _BLANKS and self.text[at - 1] in _BLANKS)

    def read_segments(self, at: int, stop: int) -> int:
        """Split ``text[at:stop]`` and file every segment; return ``stop``."""
        delimiters = self.interchange.delimiters
        terminator, separator = delimiters.segment, delimiters.element
        count = self.text.count(terminator, at, stop) + 1
        self.segments += count
        if count > self.budget:
            self.interchange.findings.append(
                finding("too_large", offset=self.place(at), limit=f"{MAX_SEGMENTS} segments in one file")
            )
            return stop
        chunk = self.text if at == 0 and stop == len(self.text) else self.text[at:stop]
        plain = chunk.isascii()
        # Where every line break follows a terminator, none is inside a segment.
        breaks = chunk.count("\n") + chunk.count("\r")
        tidy = sum(chunk.count(terminator + end) * len(end) for end in ("\n", "\r\n"))
        wrapped = breaks > tidy and terminator not in ("\n", "\r")
        blanks = "".join(blank for blank in _BLANKS if blank not in (separator, delimiters.component))
        width = len(terminator)
        for raw in chunk.split(terminator):
            offset = at
            at += len(raw) + width
            content = raw.strip(blanks)
            if not content:
                continue
            if len(content) != len(raw):
                offset += len(raw) - len(raw.lstrip(blanks))
            if not plain and not content.isascii():
                content = _decoded(content)
            if wrapped and ("\n" in content or "\r" in content):
                content = self.joined(content, separator, offset)
            elements = content.split(separator, MAX_ELEMENTS)
            segment = Segment(elements, 0, offset, content)
            if len(content) > MAX_ELEMENTS and (len(content) > MAX_SEGMENT_CHARACTERS or len(elements) > MAX_ELEMENTS):
                self.cut(segment)
            identifier = elements[0]
            if identifier in _CONTROL_IDS:
                self.control(identifier, segment, at)
                if self.sets > MAX_SETS:
                    break
            elif self.set is not None:
                segments = self.set.segments
                segments.append(segment)
                segment.position = len(segments)
            else:
                self.stray(segment)
        return stop

    def joined(self, content: str, separator: str, offset: int) -> str:
        """Take the line breaks out of a segment: none next to a separator, a blank inside text."""
        if not self.breaks:
            self.first_break = offset
        self.breaks += 1
        words = (re.sub(r"[ \t]*[\r\n]+[ \t]*", " ", element).strip() for element in content.split(separator))
        return separator.join(words)

    def cut(self, segment: Segment) -> None:
        """Keep the head of a segment that is too large and say so."""
        length = f"{len(segment.raw)} characters, {len(segment.elements)} elements or more"
        limit = f"{MAX_SEGMENT_CHARACTERS} characters or {MAX_ELEMENTS} elements"
        segment.elements = [element[:300] for element in segment.elements[:50]]
        segment.elements[0] = segment.elements[0][:20]
        segment.raw = self.interchange.delimiters.element.join(segment.elements)
        target = self.set.findings if self.set is not None else self.interchange.findings
        position = len(self.set.segments) + 1 if self.set is not None else None
        target.append(
            self.finding("segment_too_long", segment, position=position, value=None, length=length, limit=limit)
        )

    def finding(self, code: str, segment: Segment, element: int | None = None, **facts: Any) -> Finding:
        """A finding about a segment, with the value of the element named."""
        facts.setdefault("value", segment.get(element) if element else None)
        facts.setdefault("segment", segment.elements[0][:20])
        return finding(code, element=element, offset=self.place(segment.offset), **facts)

    def control(self, identifier: str, segment: Segment, end: int) -> None:
        if identifier == "ST":
            self.open_set(segment)
        elif identifier == "SE":
            self.close_set(segment, end)
        elif identifier == "GS":
            self.open_group(segment)
        elif identifier == "GE":
            self.close_group(segment, end)
        elif identifier == "IEA":
            self.close_interchange(segment, end)
        elif identifier == "TA1" and self.set is None:
            self.interchange.acknowledgments.append(segment)
        elif identifier == "ISA" or self.set is not None or self.group is not None:
            self.stray(segment)
        # ISB, ISE and TA3 between ISA and GS concern interchange services we do not take part in.

    def stray(self, segment: Segment) -> None:
        """A segment outside every set."""
        self.strays += 1
        if self.strays <= MAX_STRAYS:
            self.interchange.findings.append(self.finding("segment_outside_set", segment, value=segment.raw[:40]))

    def open_set(self, segment: Segment) -> None:
        self.end_set(segment.offset)
        if self.group is None:
            outside = self.finding("set_outside_group", segment)
            # The interchange may still be taken (TA1 E 022), but no set of it: nobody could tell which group it belongs to.
            self.interchange.findings.append(replace(outside, severity=Severity.WARNING))
            self.group = Group(start=self.place(segment.offset), findings=[outside])
            self.set_numbers.clear()
            self.interchange.groups.append(self.group)
        self.sets += 1
        if self.sets > MAX_SETS:
            limit = f"{MAX_SETS} transaction sets in one interchange"
            self.interchange.findings.append(self.finding("too_large", segment, limit=limit))
            return
        segment.position = 1
        self.set = TransactionSet(
            code=segment.get(1),
            control_number=segment.get(2),
            implementation=segment.get(3),
            segments=[segment],
            start=self.place(segment.offset),
        )
        here = self.set.findings
        if not re.fullmatch(r"[0-9A-Za-z]{3}", segment.get(1)):
            here.append(self.finding("set_code_missing", segment, 1, position=1))
        if not 4 <= len(segment.get(2)) <= 9:
            here.append(self.finding("set_control_number_invalid", segment, 2, position=1))
        elif segment.get(2) in self.set_numbers:
            here.append(self.finding("set_control_number_repeated", segment, 2, position=1))
        self.set_numbers.add(segment.get(2))
        self.group.sets.append(self.set)

    def close_set(self, segment: Segment, end: int) -> None:
        if self.set is None:
            return self.stray(segment)
        self.set.segments.append(segment)
        count = segment.position = len(self.set.segments)
        if _number(segment.get(1)) != count:
            self.set.findings.append(self.finding("segment_count", segment, 1, position=count, expected=count))
        if segment.get(2) != self.set.control_number:
            expected = self.set.control_number
            self.set.findings.append(
                self.finding("set_control_number_mismatch", segment, 2, position=count, expected=expected)
            )
        self.set.end = self.place(min(end, len(self.text)))
        self.set = None
        return None

    def end_set(self, at: int) -> None:
        """Close a set that has no SE."""
        if self.set is not None:
            self.set.findings.append(
                finding("set_trailer_missing", segment="SE", position=len(self.set.segments) + 1, offset=self.place(at))
            )
            self.set.end = self.place(at)
            self.set = None

    def open_group(self, segment: Segment) -> None:
        self.end_group(segment.offset)
        values = [element.strip() for element in segment.elements] + [""] * 9
        self.group = Group(
            functional_id=values[1],
            sender_id=values[2],
            receiver_id=values[3],
            date=values[4],
            time=values[5],
            control_number=values[6],
            version=values[8],
            start=self.place(segment.offset),
        )
        for element, (pattern, expected) in _GS_RULES.items():
            if not pattern.fullmatch(values[element]):
                self.interchange.findings.append(
                    self.finding("group_header_invalid", segment, element, expected=expected)
                )
        if not re.fullmatch(r"[0-9]{1,9}", values[6]):
            self.group.findings.append(self.finding("group_control_number_invalid", segment, 6))
        elif int(values[6]) in self.group_numbers:
            self.group.findings.append(self.finding("group_control_number_repeated", segment, 6))
        self.group_numbers.add(_number(values[6]))
        self.set_numbers.clear()
        self.interchange.groups.append(self.group)

    def close_group(self, segment: Segment, end: int) -> None:
        self.end_set(segment.offset)
        group = self.group
        if group is None:
            return self.stray(segment)
        group.claimed_sets = segment.get(1).strip()
        if _number(group.claimed_sets) != len(group.sets):
            group.findings.append(self.finding("set_count", segment, 1, expected=len(group.sets)))
        if not _same_number(segment.get(2), group.control_number):
            group.findings.append(
                self.finding("group_control_number_mismatch", segment, 2, expected=group.control_number)
            )
        group.end = self.place(min(end, len(self.text)))
        self.group = None
        return None

    def end_group(self, at: int) -> None:
        """Close a group that has no GE."""
        self.end_set(at)
        if self.group is not None:
            self.group.end = self.place(at)
            if self.group.functional_id:
                self.group.findings.append(finding("group_trailer_missing", segment="GE", offset=self.place(at)))
            self.group = None

    def close_interchange(self, segment: Segment, end: int) -> None:
        self.end_group(segment.offset)
        interchange = self.interchange
        if self.claimed_groups is not None or not interchange.has_header:
            return self.stray(segment)
        self.claimed_groups = segment.get(1).strip()
        count = sum(1 for group in interchange.groups if group.functional_id)
        # An interchange of TA1 alone counts 0 or 1; both are common.
        allowed = {0, 1} if interchange.acknowledgments and not count else {count}
        if _number(self.claimed_groups) not in allowed:
            interchange.findings.append(self.finding("group_count", segment, 1, expected=count))
        if not _same_number(segment.get(2), interchange.control_number):
            interchange.findings.append(
                self.finding("interchange_control_number_mismatch", segment, 2, expected=interchange.control_number)
            )
        if not interchange.groups and not interchange.acknowledgments:
            interchange.findings.append(self.finding("interchange_empty", segment))
        interchange.end = self.place(min(end, len(self.text)))
        return None

    def finish(self) -> None:
        """Say what the interchange lacks, once all its segments are read."""
        if self.place(len(self.text)) != len(self.text):  # the file was hard-wrapped
            for group in self.interchange.groups:
                for transaction_set in group.sets:
                    for segment in transaction_set.segments:
                        segment.offset = self.place(segment.offset)
        end = min(self.at, len(self.text))
        self.end_group(end)
        if self.claimed_groups is None:
            self.interchange.end = self.place(end)
            if self.interchange.has_header:
                self.interchange.findings.append(
                    finding("interchange_trailer_missing", segment="IEA", offset=self.place(end))
                )
        if self.breaks:
            self.interchange.findings.append(
                finding("line_break_in_segment", offset=self.place(self.first_break), count=self.breaks)
            )


_GS_RULES: Final = {
    1: (re.compile(r"[0-9A-Z]{2}"), "a functional identifier of two letters"),
    2: (re.compile(r".{1,15}"), "a sender code"),
    3: (re.compile(r".{1,15}"), "a receiver code"),
    4: (re.compile(r"(?:\d\d)?\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])", re.ASCII), "a date"),
    5: (re.compile(r"(?:[01]\d|2[0-3])[0-5]\d(?:[0-5]\d\d{0,2})?", re.ASCII), "a time"),
    7: (re.compile(r"[0-9A-Z]{1,2}"), "the code of the agency that keeps the standard, X"),
    8: (re.compile(r".{1,12}"), "a version"),
}

_ISA_RULES: Final = {
    9: (re.compile(r"\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])", re.ASCII), "a date, YYMMDD"),
    10: (re.compile(r"(?:[01]\d|2[0-3])[0-5]\d", re.ASCII), "a time, HHMM"),
    12: (re.compile(r"\d{5}", re.ASCII), "a version of five digits"),
    14: (re.compile(r"[01]"), "0 or 1"),
    15: (re.compile(r"[IPT]"), "P, T or I"),
}


def _isa_findings(elements: list[str], values: list[str], offset: int) -> list[Finding]:
    findings: list[Finding] = []
    for element, expected in enumerate(ISA_WIDTHS, start=1):
        if len(elements[element]) != expected:
            length = len(elements[element])
            findings.append(
                finding("isa_width", segment="ISA", element=element, offset=offset, length=length, expected=expected)
            )
            break  # one finding says it: when one element is off, the whole header is
    for element, (pattern, words) in _ISA_RULES.items():
        if not pattern.fullmatch(values[element]):
            findings.append(
                finding(
                    "isa_value", segment="ISA", element=element, offset=offset, value=values[element], expected=words
                )
            )
    if not re.fullmatch(r"[0-9]{1,9}", values[13]):
        findings.append(
            finding("interchange_control_number_invalid", segment="ISA", element=13, offset=offset, value=values[13])
        )
    return findings


def _decoded(text: str) -> str:
    """Latin-1 text as the UTF-8 it may be."""
    if text.isascii():
        return text
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return text


def _number(text: str) -> int | None:
    """A count or control number as the number it is: zeros in front do not matter. None: it is none."""
    text = text.strip()
    return int(text) if len(text) <= 20 and text.isascii() and text.isdigit() else None


def _same_number(one: str, other: str) -> bool:
    one, other = one.strip(), other.strip()
    return one == other or (_number(one) is not None and _number(one) == _number(other))


# -- files without an interchange


def _unreadable(code: str, **facts: Any) -> Interchange:
    return Interchange(has_header=False, findings=[finding(code, offset=0, **facts)])


_HEADLESS: Final = re.compile(
    r"(?:GS(?P<gs>[^0-9A-Za-z\s])(?:(?:(?!(?P=gs))[^\r\n])*(?P=gs)){7}[0-9A-Z]{0,12}"
    r"|ST(?P<st>[^0-9A-Za-z\s])[0-9A-Z]{2,6}(?:(?P=st)[0-9A-Za-z]{0,35}){1,2})"
    r" *(?P<end>\r?\n|\r|[^0-9A-Za-z\s])"
)


def _headless(text: str, place: Callable[[int], int]) -> Interchange:
    """Read a file that has no ISA: by the delimiters its first GS or ST shows, if it starts with one."""
    start = len(text) - len(text.lstrip(_PADDING))
    if start == len(text):
        return _unreadable("unreadable", reason="it is empty")
    found = _HEADLESS.match(text, start, start + 400)
    if found is None:
        return _unreadable("unreadable", reason="it has no ISA segment, nor does it start with GS or ST")
    reader = _Reader(text, start, place, MAX_SEGMENTS)
    terminator = "\r" if found["end"] == "\r" else found["end"][-1]
    separator = found["gs"] or found["st"]
    component = next(character for character in ">:^" if character not in (separator, terminator))
    reader.interchange.delimiters = Delimiters(element=separator, segment=terminator, component=component)
    reader.interchange.has_header = False
    reader.interchange.findings.append(
        finding("interchange_header_missing", offset=place(start), value=text[start : start + 12])
    )
    reader.at = reader.read_segments(start, len(text))
    reader.finish()
    return reader.interchange
