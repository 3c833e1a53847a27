"""Read the envelope of X12: bytes to interchanges, functional groups, transaction sets and their segments.

Reading is lenient and never raises: whatever can be told apart is returned, and all that is wrong with the envelope is a
finding on the interchange, the group or the set it belongs to. Text is decoded as latin-1, so an index is a byte offset;
segments that are valid UTF-8 are then decoded as such.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO, Final, NamedTuple

from edi_maps.canonical import CanonicalRecord
from edi_maps.findings import Finding, Severity, Verdict, finding
from edi_maps.x12.acknowledgment_codes import interchange_note
from edi_maps.x12.interchange_header import header_at, is_header, isa_findings, next_header
from edi_maps.x12.received_acknowledgments import FunctionalAcknowledgment
from edi_maps.x12.segments import (
    BLANKS,
    MAX_ELEMENTS,
    MAX_SEGMENT_CHARACTERS,
    Delimiters,
    Segment,
    cut,
    decoded,
    is_padded,
    places,
    tidy_end,
)
from edi_maps.x12.window import MAX_BYTES, PADDING, Window, content

#: Bounds of one file. Above them reading stops with a finding, so that no input costs unbounded time or memory.
MAX_SEGMENTS: Final = 250_000  #: of one transaction set
MAX_INTERCHANGES: Final = 10_000
MAX_SETS: Final = 100_000  #: of one interchange
MAX_GROUPS: Final = 10_000  #: of one interchange; of TA1 as many
MAX_STRAYS: Final = 100  #: segments outside sets that get a finding of their own


@dataclass(slots=True, kw_only=True)
class TransactionSet:
    """One transaction set, ST to SE, and what reading made of it."""

    code: str  #: ST01, e.g. "856"
    control_number: str  #: ST02
    implementation: str = ""  #: ST03
    findings: list[Finding] = field(default_factory=list)
    start: int = 0  #: byte offset of ST
    end: int = 0  #: byte offset behind the terminator of the last segment
    delimiters: Delimiters = field(default_factory=Delimiters)
    text: str = ""  #: ST to SE as they came, in latin-1: an index is a byte
    pieces: list[str] | None = None  #: the text cut into segments, between the scanner and the reader only
    padded: bool = True  #: elements may have blanks around them
    place: Callable[[int], int] | None = (
        None  #: from an index in ``text`` to a byte offset, when the file was hard-wrapped
    )
    record: CanonicalRecord | None = None
    type: str | None = None  #: canonical type, e.g. "ship_notice"
    verdict: Verdict | None = None
    acknowledgment: FunctionalAcknowledgment | None = None  #: for a 997: what it says

    @property
    def segments(self) -> list[Segment]:
        """ST to SE, both included when sent; cut anew from the text each time."""
        pieces = bounded(self.pieces if self.pieces is not None else cut(self.text, self.delimiters), self.delimiters)
        spans = self.spans()
        return [
            Segment(piece.split(self.delimiters.element), position, spans[position - 1][0], piece)
            for position, piece in enumerate(pieces, start=1)
        ]

    def spans(self) -> list[tuple[int, int]]:
        """The byte offset of every segment in the file, and of its end."""
        found = places(self.text, self.delimiters)
        if self.place is None:
            return [(self.start + start, self.start + end) for start, end in found]
        return [(self.place(start), self.place(end - 1) + 1) for start, end in found]

    def release(self) -> None:
        """Let go of all but what an acknowledgment needs: of a set that is not too long, the text its findings are about."""
        if not self.findings or len(self.text) > MAX_SEGMENT_CHARACTERS:
            self.text = ""
        self.pieces, self.record, self.acknowledgment = None, None, None


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
    interchanges = []
    for event in events(data):
        if isinstance(event, Interchange):
            interchanges.append(event)
        else:
            event.set.pieces = None
    return interchanges


class SetEnd(NamedTuple):
    """A transaction set is complete; its group and its interchange are not yet."""

    interchange: Interchange
    group: Group
    set: TransactionSet


def events(source: bytes | BinaryIO) -> Iterator[SetEnd | Interchange]:
    """Go through the envelopes of a file: every transaction set as soon as its last segment has been read, and every
    interchange when it is complete.

    Of a file that is read as a stream no more is held than its longest transaction set and a window around it.

    Args:
        source: the file as bytes (up to ``MAX_BYTES``), or open for reading in binary mode, of any length.
    """
    yield from _Scanner(source).events()


# -- reading


@functools.lru_cache(maxsize=64)
def _controls(delimiters: Delimiters) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Where the segments of the envelope start: behind any terminator, and right here."""
    terminator = re.escape(delimiters.segment)
    blanks = f"[{re.escape(BLANKS)}]*"
    follows = f"(?=[{re.escape(delimiters.element + BLANKS)}]|{terminator}|\\Z)"
    identifiers = f"(ISA|IEA|ISB|ISE|GS|GE|ST|SE|TA1|TA3){follows}"
    return re.compile(f"{terminator}{blanks}{identifiers}"), re.compile(blanks + identifiers)


_NEW_LINE: Final = re.compile(r"\n(ISA)(?=[^0-9A-Za-z \r\n])")


class _Scanner:
    """Reads the interchanges of a file one after the other."""

    def __init__(self, source: bytes | BinaryIO) -> None:
        self.too_large = isinstance(source, bytes) and len(source) > MAX_BYTES
        self.window = Window(b"" if self.too_large else source)
        self.last: Interchange | None = None  #: complete, but for what may be found behind it
        self.count = 0

    def events(self) -> Iterator[SetEnd | Interchange]:
        if self.too_large:
            yield _unreadable("too_large", limit=f"{MAX_BYTES} bytes")
            return
        window = self.window
        if window.text[:2] in ("\xff\xfe", "\xfe\xff"):
            yield _unreadable("unreadable", reason="it is UTF-16, X12 goes as ASCII, latin-1 or UTF-8")
            return
        at, skipped, skipped_at = 0, 0, window.offset(0)
        while True:
            start = next_header(window.text, at)
            if start < 0 and not window.complete:
                # A header may begin in the last bytes and go on in the next ones.
                keep = max(at, len(window.text) - 260)
                if self.last is None and not self.count and _HEADLESS.match(window.text.lstrip(PADDING)):
                    keep = 0
                    if len(window.text) > MAX_BYTES:
                        break
                skipped += content(window.text, at, keep)
                window.more(keep)
                at = 0 if keep else at
                continue
            if start >= 0 and not window.complete and len(window.text) - start < 1_000:
                skipped += content(window.text, at, start)
                window.more(start)
                at = 0
                continue
            stop = start if start >= 0 else len(window.text)
            skipped += content(window.text, at, stop)
            if self.last is not None:
                if start < 0 and skipped:
                    self.last.findings.append(finding("bytes_outside_interchange", offset=skipped_at, count=skipped))
                if start >= 0 and self.count >= MAX_INTERCHANGES:
                    limit = f"{MAX_INTERCHANGES} interchanges"
                    self.last.findings.append(finding("too_large", offset=window.offset(start), limit=limit))
                    start = -1
                yield self.finished(self.last)
                self.last = None
            if start < 0:
                break
            reader = _Reader(window, start)
            self.count += 1
            yield from reader.read_interchange()
            if skipped:
                reader.interchange.findings.append(
                    finding("bytes_outside_interchange", offset=skipped_at, count=skipped, value=None)
                )
            self.last = reader.interchange
            at, skipped, skipped_at = reader.at, 0, window.offset(reader.at)
        if not self.count:
            reader_or_none = _headless(window)
            if isinstance(reader_or_none, Interchange):
                yield reader_or_none
            else:
                yield from reader_or_none.read_headless()
                yield self.finished(reader_or_none.interchange)

    @staticmethod
    def finished(interchange: Interchange) -> Interchange:
        interchange.note = interchange_note(interchange.findings)[1]
        return interchange


class _Reader:
    """Reads one interchange from ``at`` on, and leaves ``at`` behind it."""

    def __init__(self, window: Window, at: int) -> None:
        self.window = window
        self.at = at
        self.interchange = Interchange(start=window.offset(at), end=window.offset(at))
        self.group: Group | None = None
        self.set: TransactionSet | None = None
        self.set_at = 0  #: where in the window the open set starts
        self.lost = False  #: the open set is too long to be held
        self.ready: SetEnd | None = None  #: a set that is complete and not yet handed out
        self.closed = False  #: IEA has come
        self.over = False  #: there is more than we read
        self.looked_at = ""  #: the text that has been looked at, see ``look``
        self.tidy_until = 0
        self.end = ""
        self.padded = True
        self.claimed_groups: str | None = None
        self.group_numbers: set[int | None] = set()
        self.set_numbers: set[str] = set()
        self.sets = 0
        self.sets_in_group = 0  #: whoever reads along may take them out of the group
        self.strays = 0
        self.breaks = 0  #: segments with a line break inside
        self.first_break = 0

    def read_interchange(self) -> Iterator[SetEnd]:
        header = header_at(self.window.text, self.at, self.interchange.start)
        interchange = self.interchange
        interchange.delimiters = header.delimiters
        interchange.findings += header.findings
        elements = header.elements + [""] * (17 - len(header.elements))
        values = [decoded(element).strip(" \t\r\n\xa0") for element in elements]
        interchange.sender_qualifier, interchange.sender_id = values[5], values[6]
        interchange.receiver_qualifier, interchange.receiver_id = values[7], values[8]
        interchange.date, interchange.time = values[9], values[10]
        interchange.version, interchange.control_number = values[12], values[13]
        interchange.wants_ta1, interchange.usage = values[14] == "1", values[15]
        interchange.findings += isa_findings(elements, values, interchange.start)
        self.at = header.end
        if any(found.code == "delimiter_invalid" for found in header.findings):
            self.skip()
        else:
            yield from self.read_segments()
        self.finish()

    def read_headless(self) -> Iterator[SetEnd]:
        """Read on from GS or ST: there is no header."""
        yield from self.read_segments()
        self.finish()

    def skip(self) -> None:
        """Pass over an interchange whose separators cannot be: to where the next one starts."""
        while (stop := next_header(self.window.text, self.at)) < 0 and not self.window.complete:
            self.window.more(max(self.at, len(self.window.text) - 260))
            self.at = 0
        self.at = stop if stop >= 0 else len(self.window.text)

    def read_segments(self) -> Iterator[SetEnd]:
        """File every segment up to IEA, the next ISA or the end; the text of a set is passed over in one go."""
        window, terminator = self.window, self.interchange.delimiters.segment
        found = self.next_control(self.at, here=True)
        while found is not None and not (found[1] == "ISA" and is_header(window.text, found.start(1))):
            start = found.start(1)
            end = window.text.find(terminator, start)
            end = end if end >= 0 else len(window.text)
            behind = min(end + len(terminator), len(window.text))
            if self.set is None:
                self.between(start)
            self.control(found[1], self.segment(start, end), behind)
            if self.set is None:
                self.at = behind
            if self.ready is not None:
                yield self.ready
                self.ready = None
            if self.closed:
                return
            if self.over:
                self.skip()
                return
            found = self.next_control(end)
        stop = len(window.text) if found is None else found.start(1)
        if self.set is None:
            self.between(stop)
        self.end_group(stop)
        self.at = stop
        if self.ready is not None:
            yield self.ready

    def next_control(self, search: int, *, here: bool = False) -> re.Match[str] | None:
        """The next segment of the envelope behind a terminator at or behind ``search``, with all of it in the window.

        ``here``: it may also start at ``search`` itself.
        """
        window, terminator = self.window, self.interchange.delimiters.segment
        behind_any, at_once = _controls(self.interchange.delimiters)
        while True:
            found = (at_once.match(window.text, search) if here else None) or behind_any.search(window.text, search)
            # A new interchange may also start on a line of its own, behind one that broke off in a segment.
            line = window.text.find("\nISA", search, found.start() if found else len(window.text))
            if line >= 0 and (header := _NEW_LINE.match(window.text, line)) is not None:
                found = header
            if window.complete:
                return found
            if found is None:
                last = window.text.rfind(terminator, search)
                search, here = max(search, last), here and last < 0
            elif (end := window.text.find(terminator, found.start(1))) >= 0 and len(window.text) - end > 300:
                return found
            else:
                here, search = here and found.start() == search, found.start()
            if self.set is None and self.at < search:
                self.between(search)
            keep = self.at if self.set is None else self.set_at
            if self.set is not None and search - keep > MAX_BYTES:
                self.lost = True  # nobody waits for the end of such a set, but its trailer is still looked for
                keep = search
            keep = min(keep, search)
            window.more(keep)
            search, self.at, self.set_at = search - keep, max(0, self.at - keep), max(0, self.set_at - keep)

    def segment(self, start: int, end: int) -> Segment:
        """A segment of the envelope itself."""
        delimiters = self.interchange.delimiters
        raw = self.window.text[start:end]
        if end - start > MAX_ELEMENTS or not raw.isascii() or raw[-1] in BLANKS or "\n" in raw or "\r" in raw:
            raw = bounded(cut(raw, delimiters), delimiters)[0]
        return Segment(raw.split(delimiters.element), 0, start, raw)  # an index yet, see ``finding``

    def between(self, stop: int) -> None:
        """What stands outside every set, from ``at`` to ``stop``."""
        if self.at < stop:
            delimiters = self.interchange.delimiters
            # What is listed of it is listed from its beginning.
            text = self.window.text[self.at : min(stop, self.at + MAX_STRAYS * MAX_ELEMENTS)]
            if self.strays < MAX_STRAYS and text.strip(BLANKS + delimiters.segment):
                pieces = bounded(cut(text, delimiters), delimiters)
                for piece, (start, _) in zip(pieces[:MAX_STRAYS], places(text, delimiters), strict=False):
                    self.stray(Segment(piece.split(delimiters.element), 0, self.at + start, piece))
            self.at = stop

    def whole_set(self, stop: int) -> list[str]:
        """Hand out the open set, which ends at ``stop``; its segments."""
        transaction_set, group, text = self.set, self.group, self.window.text[self.set_at : stop]
        if transaction_set is None or group is None:
            return []
        delimiters = self.interchange.delimiters
        transaction_set.end = self.window.offset(stop)
        if self.lost or text.count(delimiters.segment) > MAX_SEGMENTS:
            limit = f"{MAX_SEGMENTS} segments or {MAX_BYTES} bytes in one set"
            transaction_set.findings.append(
                finding("too_large", segment="ST", position=1, offset=transaction_set.start, limit=limit)
            )
            text, self.lost = "", False
        if self.window.place is not None:
            at, to_byte = self.set_at, self.window.place
            transaction_set.place = lambda index: to_byte(at + index)
        transaction_set.text = text
        if self.looked_at is not self.window.text or stop > self.tidy_until:
            self.look(self.set_at)
        if self.end and stop <= self.tidy_until:
            pieces = text.removesuffix(self.end).removesuffix(delimiters.segment).split(self.end) if text else []
            transaction_set.padded = self.padded
        else:
            pieces = cut(text, delimiters)
            if delimiters.segment not in "\r\n" and ("\n" in text or "\r" in text):
                self.note_breaks(text)
        if len(text) > MAX_ELEMENTS:
            self.note_long(transaction_set, pieces)
        transaction_set.pieces = pieces
        self.ready = SetEnd(self.interchange, group, transaction_set)
        self.set = None
        self.at = stop
        return pieces

    def look(self, at: int) -> None:
        """See once for many sets whether the text from ``at`` to the end of the interchange can be cut without a closer look."""
        text, delimiters = self.window.text, self.interchange.delimiters
        trailer = text.find(f"IEA{delimiters.element}", at)
        until = trailer if trailer >= 0 else text.rfind(delimiters.segment, at) + len(delimiters.segment)
        region = text[at:until]
        self.looked_at, self.tidy_until = text, until
        self.end = tidy_end(region, delimiters.segment) or ""
        self.padded = not self.end or is_padded(region, delimiters)

    def note_breaks(self, text: str) -> None:
        """Count the segments with a line break inside: it was none of theirs."""
        terminator = self.interchange.delimiters.segment
        tidy = sum(text.count(terminator + end) * len(end) for end in ("\n", "\r\n"))
        if text.count("\n") + text.count("\r") == tidy:
            return
        blanks = BLANKS.replace(self.interchange.delimiters.element, "")
        at = self.set_at
        for piece in text.split(terminator):
            content = piece.strip(blanks)
            if "\n" in content or "\r" in content:
                if not self.breaks:
                    self.first_break = self.window.offset(at + len(piece) - len(piece.lstrip(blanks)))
                self.breaks += 1
            at += len(piece) + len(terminator)

    def note_long(self, transaction_set: TransactionSet, pieces: list[str]) -> None:
        """Keep the heads of segments that are too large and say so."""
        separator = self.interchange.delimiters.element
        if max(map(len, pieces), default=0) <= MAX_ELEMENTS:
            return
        limit = f"{MAX_SEGMENT_CHARACTERS} characters or {MAX_ELEMENTS} elements"
        spans: list[tuple[int, int]] = []
        for number, piece in enumerate(pieces):
            if _is_long(piece, separator):
                spans = spans or transaction_set.spans()
                pieces[number] = _head(piece, separator)
                length = f"{len(piece)} characters, {piece.count(separator) + 1} elements"
                transaction_set.findings.append(
                    finding(
                        "segment_too_long",
                        segment=pieces[number].split(separator, 1)[0],
                        position=number + 1,
                        offset=spans[number][0],
                        length=length,
                        limit=limit,
                    )
                )

    def finding(self, code: str, segment: Segment, element: int | None = None, **facts: Any) -> Finding:
        """A finding about a segment, with the value of the element named."""
        facts.setdefault("value", segment.get(element) if element else None)
        facts.setdefault("segment", segment.elements[0][:20])
        return finding(code, element=element, offset=self.window.offset(segment.offset), **facts)

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
        elif self.set is not None:
            return  # what is none of the envelope's here is the guide's to judge
        elif identifier == "TA1" and len(self.interchange.acknowledgments) >= MAX_GROUPS:
            self.stop_at(segment, f"{MAX_GROUPS} TA1 segments in one interchange")
        elif identifier == "TA1":
            self.interchange.acknowledgments.append(replace(segment, offset=self.window.offset(segment.offset)))
        elif identifier == "ISA" or self.group is not None:
            self.stray(segment)
        # ISB, ISE and TA3 between ISA and GS concern interchange services we do not take part in.

    def stop_at(self, segment: Segment, limit: str) -> None:
        """Read no further: the rest of the interchange is passed over."""
        self.over = True
        self.interchange.findings.append(self.finding("too_large", segment, limit=limit))

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
            self.group = Group(start=self.window.offset(segment.offset), findings=[outside])
            self.set_numbers.clear()
            self.sets_in_group = 0
            self.interchange.groups.append(self.group)
        self.sets += 1
        if self.sets > MAX_SETS:
            return self.stop_at(segment, f"{MAX_SETS} transaction sets in one interchange")
        self.set_at = segment.offset
        self.set = TransactionSet(
            code=sys.intern(segment.get(1)[:6]),
            control_number=segment.get(2),
            implementation=segment.get(3),
            delimiters=self.interchange.delimiters,
            start=self.window.offset(segment.offset),
        )
        here = self.set.findings
        if not _SET_CODE.fullmatch(segment.get(1)):
            here.append(self.finding("set_code_missing", segment, 1, position=1))
        if not 4 <= len(segment.get(2)) <= 9:
            here.append(self.finding("set_control_number_invalid", segment, 2, position=1))
        elif segment.get(2) in self.set_numbers:
            here.append(self.finding("set_control_number_repeated", segment, 2, position=1))
        self.set_numbers.add(segment.get(2))
        self.group.sets.append(self.set)
        self.sets_in_group += 1
        return None

    def close_set(self, segment: Segment, end: int) -> None:
        if self.set is None:
            return self.stray(segment)
        closing = self.set
        count = len(self.whole_set(end))
        if _number(segment.get(1)) != count and closing.text:
            closing.findings.append(self.finding("segment_count", segment, 1, position=count, expected=count))
        if segment.get(2) != closing.control_number:
            expected = closing.control_number
            closing.findings.append(
                self.finding("set_control_number_mismatch", segment, 2, position=count, expected=expected)
            )
        return None

    def end_set(self, at: int) -> None:
        """Close a set that has no SE."""
        if self.set is not None:
            closing = self.set
            count = len(self.whole_set(at))
            offset = self.window.offset(at)
            closing.findings.append(finding("set_trailer_missing", segment="SE", position=count + 1, offset=offset))

    def open_group(self, segment: Segment) -> None:
        self.end_group(segment.offset)
        if len(self.interchange.groups) >= MAX_GROUPS:
            return self.stop_at(segment, f"{MAX_GROUPS} groups in one interchange")
        values = [element.strip() for element in segment.elements] + [""] * 9
        self.group = Group(
            functional_id=values[1],
            sender_id=values[2],
            receiver_id=values[3],
            date=values[4],
            time=values[5],
            control_number=values[6],
            version=values[8],
            start=self.window.offset(segment.offset),
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
        self.sets_in_group = 0
        self.interchange.groups.append(self.group)
        return None

    def close_group(self, segment: Segment, end: int) -> None:
        self.end_set(segment.offset)
        group = self.group
        if group is None:
            return self.stray(segment)
        group.claimed_sets = segment.get(1).strip()
        if _number(group.claimed_sets) != self.sets_in_group:
            group.findings.append(self.finding("set_count", segment, 1, expected=self.sets_in_group))
        if not _same_number(segment.get(2), group.control_number):
            group.findings.append(
                self.finding("group_control_number_mismatch", segment, 2, expected=group.control_number)
            )
        group.end = self.window.offset(min(end, len(self.window.text)))
        self.group = None
        return None

    def end_group(self, at: int) -> None:
        """Close a group that has no GE."""
        self.end_set(at)
        if self.group is not None:
            self.group.end = self.window.offset(at)
            if self.group.functional_id:
                self.group.findings.append(
                    finding("group_trailer_missing", segment="GE", offset=self.window.offset(at))
                )
            self.group = None

    def close_interchange(self, segment: Segment, end: int) -> None:
        self.end_group(segment.offset)
        interchange = self.interchange
        if not interchange.has_header:
            return self.stray(segment)
        self.closed = True
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
        interchange.end = self.window.offset(min(end, len(self.window.text)))
        return None

    def finish(self) -> None:
        """Say what the interchange lacks, once all its segments are read."""
        end = min(self.at, len(self.window.text))
        self.end_group(end)
        if self.claimed_groups is None:
            self.interchange.end = self.window.offset(end)
            if self.interchange.has_header:
                self.interchange.findings.append(
                    finding("interchange_trailer_missing", segment="IEA", offset=self.window.offset(end))
                )
        if self.breaks:
            self.interchange.findings.append(
                finding("line_break_in_segment", offset=self.first_break, count=self.breaks)
            )


_SET_CODE: Final = re.compile(r"[0-9A-Za-z]{3}")

_GS_RULES: Final = {
    1: (re.compile(r"[0-9A-Z]{2}"), "a functional identifier of two letters"),
    2: (re.compile(r".{1,15}"), "a sender code"),
    3: (re.compile(r".{1,15}"), "a receiver code"),
    4: (re.compile(r"(?:\d\d)?\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])", re.ASCII), "a date"),
    5: (re.compile(r"(?:[01]\d|2[0-3])[0-5]\d(?:[0-5]\d\d{0,2})?", re.ASCII), "a time"),
    7: (re.compile(r"[0-9A-Z]{1,2}"), "the code of the agency that keeps the standard, X"),
    8: (re.compile(r".{1,12}"), "a version"),
}


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


def _headless(window: Window) -> Interchange | _Reader:
    """A file that has no ISA: an interchange that says why it cannot be read, or else the reader for it, with the delimiters that
    its first GS or ST shows."""
    text = window.text
    start = len(text) - len(text.lstrip(PADDING))
    if start == len(text) and not window.base:
        return _unreadable("unreadable", reason="it is empty")
    found = None if window.base else _HEADLESS.match(text, start, start + 400)
    if found is None:
        return _unreadable("unreadable", reason="it has no ISA segment, nor does it start with GS or ST")
    reader = _Reader(window, start)
    terminator = "\r" if found["end"] == "\r" else found["end"][-1]
    separator = found["gs"] or found["st"]
    component = next(character for character in ">:^" if character not in (separator, terminator))
    reader.interchange.delimiters = Delimiters(element=separator, segment=terminator, component=component)
    reader.interchange.has_header = False
    reader.interchange.findings.append(
        finding("interchange_header_missing", offset=window.offset(start), value=text[start : start + 12])
    )
    return reader


def bounded(pieces: list[str], delimiters: Delimiters) -> list[str]:
    """The same segments, the head alone of those that are too long."""
    separator = delimiters.element
    return [_head(piece, separator) if _is_long(piece, separator) else piece for piece in pieces]


def _is_long(piece: str, separator: str) -> bool:
    size = len(piece)
    return size > MAX_ELEMENTS and (size > MAX_SEGMENT_CHARACTERS or piece.count(separator) > MAX_ELEMENTS)


def _head(piece: str, separator: str) -> str:
    identifier, *elements = piece[:20_000].split(separator, 50)[:50]
    return separator.join([identifier[:20], *(element[:300] for element in elements)])
