"""What there is to show of a file: its interchanges, groups and sets, segment by segment, with their findings and records."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from edi_maps import canonical
from edi_maps.findings import Finding, Verdict
from edi_maps.x12.collector import collection_paused
from edi_maps.x12.envelope import Group, Interchange, TransactionSet, bounded
from edi_maps.x12.provenance import Provenance, segment_text, trace
from edi_maps.x12.refusals import ELEMENT_REASONS, GROUP_REASONS, NOTES, SEGMENT_REASONS, SET_REASONS
from edi_maps.x12.segments import Segment, cut, decoded
from edi_maps.x12.stock import SecondOpinion, second_opinion
from edi_maps.x12.structure import Guide, code_meaning, data_element, guide, nearest_version, segment_name
from edi_maps.x12.validation import validate

#: Segments of one set whose values are followed into the record. Beyond, a set is read all the same.
MAX_TRACED: Final = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementLine:
    """One filled element."""

    number: int
    reference: str  #: e.g. "PO102"
    name: str  #: '' when no guide has it
    value: str  #: fit to be shown
    meaning: str = ""  #: of a code
    fields: tuple[str, ...] = ()  #: addresses in the record: what it is the value of
    about: tuple[str, ...] = ()  #: … what it tells the meaning of
    ignored: str = ""  #: why it is in no field


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentLine:
    """One segment, or, with ``wire`` empty, one that is missing."""

    position: int
    offset: int
    depth: int  #: how many loops it stands in
    id: str
    name: str
    wire: str  #: fit to be shown, line breaks inside closed up
    elements: tuple[ElementLine, ...]
    findings: tuple[Finding, ...]
    left_out: int = 0  #: elements that are not shown, behind the others
    pieces: tuple[str, ...] = ()  #: as it came, cut at the separators, fit to be shown
    end: str = ""  #: what stands behind it up to the next, fit to be shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """An interchange, a group or a transaction set: a heading, what is wrong with it as a whole, and its segments."""

    title: str
    level: int  #: 1 interchange, 2 group, 3 set
    name: str = ""  #: what kind of document a set is, and its number in business
    facts: tuple[tuple[str, str], ...] = ()
    findings: tuple[Finding, ...] = ()
    segments: tuple[SegmentLine, ...] = ()
    total: int = 0  #: segments there are, shown or not
    separator: str = ""  #: between elements
    opinion: SecondOpinion | None = None  #: of pyx12, where it was asked
    record: Mapping[str, Any] | None = None  #: the canonical record, or what an acknowledgment says, as JSON has it
    provenance: Provenance | None = None  #: of the record, for the segments that are shown
    verdict: Verdict | None = None  #: of a set


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    title: str
    sections: tuple[Section, ...]
    left_out: int = 0  #: sets that are not shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much of a file is shown. Beyond, a set is shown if there are findings about it, and of a set the segments they are about."""

    of_segment: int  #: elements of one segment
    of_set: int  #: segments of one set
    of_page: int  #: segments of all sets
    sections: int  #: interchanges, groups and sets; beyond, nothing is shown


#: The whole file.
UNLIMITED: Final = Limits(of_segment=2**31, of_set=2**31, of_page=2**31, sections=2**31)


def explain(
    title: str,
    interchanges: Iterable[Interchange],
    *,
    ask_about: bytes | None = None,
    limits: Limits = UNLIMITED,
) -> Page:
    """Make the page for a file.

    Args:
        title: what to call the file.
        interchanges: as ``reader.read`` returns them.
        ask_about: the file itself: pyx12 is asked for its opinion on every set that is rejected.
        limits: how much of it to show.
    """
    builder = _Builder(ask_about, limits)
    for interchange in interchanges:
        builder.add(interchange)
    return Page(title=title, sections=tuple(builder.sections), left_out=builder.left_out)


def explain_set(title: str, transaction_set: TransactionSet, version: str, *, limits: Limits = UNLIMITED) -> Page:
    """Make the page for one transaction set alone, with the findings it has.

    Args:
        title: what to call it.
        transaction_set: its text included.
        version: GS08 of its group.
        limits: how much of it to show.
    """
    return Page(title=title, sections=(_set_section(transaction_set, version, None, limits),))


def visible(text: str) -> str:
    """``text`` on one line, with whatever a terminal would act on written out."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escaped(character) for character in text)


def _escaped(character: str) -> str:
    return f"\\x{ord(character):02x}" if ord(character) < 256 else f"\\u{ord(character):04x}"


class _Builder:
    """Makes the sections of a file, as far as there is room."""

    def __init__(self, ask_about: bytes | None, limits: Limits) -> None:
        self.ask_about = ask_about
        self.limits = limits
        self.sections: list[Section] = []
        self.left_out = 0
        self.room = limits.of_page

    def add(self, interchange: Interchange) -> None:
        if not self.is_full:
            self.sections.append(_interchange_section(interchange, self.limits))
        for group in interchange.groups:
            if not self.is_full:
                self.sections.append(_group_section(group))
            for transaction_set in group.sets:
                if self.is_full or not (self.room or transaction_set.findings):
                    self.left_out += 1
                    continue
                opinion = None
                if self.ask_about is not None and transaction_set.verdict is Verdict.REJECTED:
                    opinion = _opinion(self.ask_about, interchange, group, transaction_set)
                limits = replace(self.limits, of_set=min(self.room, self.limits.of_set))
                with collection_paused(len(transaction_set.text)):
                    section = _set_section(transaction_set, group.version, opinion, limits)
                self.room -= min(self.room, len(section.segments))
                self.sections.append(section)

    @property
    def is_full(self) -> bool:
        return len(self.sections) >= self.limits.sections


def _interchange_section(interchange: Interchange, limits: Limits) -> Section:
    marks = interchange.delimiters
    separators = f"element {visible(marks.element)}  component {visible(marks.component) or 'none'}"
    if marks.repetition:
        separators += f"  repetition {visible(marks.repetition)}"
    return Section(
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
        segments=tuple(
            _segment_line(replace(segment, position=number), (), limits, pieces=segment.raw.split(marks.element))
            for number, segment in enumerate(interchange.acknowledgments[: limits.of_set], start=1)
        ),
        total=len(interchange.acknowledgments),
        separator=visible(marks.element),
    )


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


def _set_section(
    transaction_set: TransactionSet, version: str, opinion: SecondOpinion | None, limits: Limits
) -> Section:
    wire = _Wire(transaction_set)
    here: dict[int, list[Finding]] = {}  # at the segment itself
    before: dict[int, list[Finding]] = {}  # about a segment that should stand there
    whole: list[Finding] = []
    for found in transaction_set.findings:
        if found.position is None:
            whole.append(found)
        elif found.code == "segment_missing" or (found.position > wire.count and found.segment):
            before.setdefault(min(found.position, wire.count + 1), []).append(found)
        elif found.position <= wire.count:
            here.setdefault(found.position, []).append(found)
        else:
            whole.append(found)
    shown = [
        number for number in range(1, wire.count + 1) if number <= limits.of_set or number in here or number in before
    ]
    nearest = nearest_version(transaction_set.code, version)
    rules = None if nearest is None else guide(transaction_set.code, nearest)
    depths = {} if rules is None else wire.depths(rules, shown)
    provenance = trace(transaction_set, version, {*shown[:MAX_TRACED]})
    record = None
    if provenance is not None:
        record = provenance.record
    elif transaction_set.record is not None:
        record = canonical.dump(transaction_set.record)
    lines: list[SegmentLine] = []
    for position in shown:
        segment = wire.segment(position)
        lines += _missing_lines(before.get(position, ()), segment.offset)
        lines.append(
            _segment_line(
                segment,
                here.get(position, ()),
                limits,
                depth=depths.get(position, 0),
                pieces=wire.pieces(position),
                end=wire.behind(position),
                provenance=provenance,
            )
        )
    lines += _missing_lines(before.get(wire.count + 1, ()), transaction_set.end)
    number = "" if transaction_set.record is None else transaction_set.record.business_number
    return Section(
        title=f"Transaction set {visible(transaction_set.code)} {visible(transaction_set.control_number)}".rstrip(),
        level=3,
        name=visible(f"{rules.name if rules is not None else ''} {number}".strip()),
        facts=(
            ("segments", str(wire.count)),
            ("bytes", f"{transaction_set.start} to {transaction_set.end}"),
            ("lines", "" if transaction_set.place is None else "wrapped at a fixed width, joined here"),
        ),
        findings=tuple(whole),
        segments=tuple(lines),
        total=wire.count,
        separator=visible(transaction_set.delimiters.element),
        opinion=opinion,
        record=record,
        provenance=provenance,
        verdict=transaction_set.verdict,
    )


class _Wire:
    """The segments of a set by their position, as they are read and as they came."""

    def __init__(self, transaction_set: TransactionSet) -> None:
        self.set = transaction_set
        self.read = bounded(cut(transaction_set.text, transaction_set.delimiters), transaction_set.delimiters)
        self.spans = transaction_set.spans()
        self.count = len(self.read)

    def segment(self, position: int) -> Segment:
        piece = self.read[position - 1]
        elements = piece.split(self.set.delimiters.element)
        return Segment(elements, position, self.spans[position - 1][0], piece)

    def pieces(self, position: int) -> list[str]:
        """A segment as it came, cut at its separators, the identifier first."""
        _, text = segment_text(self.set, *self.spans[position - 1])
        return decoded(text).split(self.set.delimiters.element)

    def behind(self, position: int) -> str:
        """What stands between a segment and the next."""
        end = self.set.end if position == self.count else self.spans[position][0]
        return segment_text(self.set, self.spans[position - 1][1], end)[1]

    def depths(self, rules: Guide, wanted: Sequence[int]) -> dict[int, int]:
        """How many loops each segment that is wanted stands in; that is told by those before it."""
        if not wanted:
            return {}
        loops, _ = validate(self.read[: wanted[-1]], rules, self.set.delimiters)
        depths: dict[int, int] = {}
        waiting = [(loops, 0)]
        while waiting:
            loop, depth = waiting.pop()
            depths.update(dict.fromkeys(loop.positions, depth))
            waiting.extend((child, depth + 1) for child in loop.loops)
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


def _segment_line(
    segment: Segment,
    findings: Sequence[Finding],
    limits: Limits,
    *,
    pieces: Sequence[str],
    depth: int = 0,
    end: str = "",
    provenance: Provenance | None = None,
) -> SegmentLine:
    return SegmentLine(
        position=segment.position,
        offset=segment.offset,
        depth=depth,
        id=visible(segment.id),
        name=segment_name(segment.id) or "",
        wire=visible(segment.raw),
        elements=tuple(
            _element_line(segment, number, value, provenance)
            for number, value in enumerate(segment.elements[1 : limits.of_segment + 1], start=1)
            if value
        ),
        findings=tuple(findings),
        left_out=max(0, len(pieces) - 1 - limits.of_segment),
        pieces=tuple(map(visible, pieces[: limits.of_segment + 1])),
        end=end,
    )


def _element_line(segment: Segment, number: int, value: str, provenance: Provenance | None) -> ElementLine:
    described = data_element(segment.id, number)
    place = (segment.position, number)
    fields: tuple[str, ...] = ()
    about: tuple[str, ...] = ()
    meaning = code_meaning(segment.id, number, value) or _REASONS.get(f"{segment.id}{number:02d}", {}).get(value, "")
    ignored = ""
    if provenance is not None:
        fields, about = provenance.elements.get(place, ()), provenance.meanings.get(place, ())
        ignored = provenance.ignored.get(place, "")
        if not meaning and described is not None and described.kind in {"ID", ""}:
            meaning = _meaning(value, fields, about, provenance)
    return ElementLine(
        number=number,
        reference=f"{visible(segment.id)}{number:02d}",
        name=described.name if described is not None else "",
        value=visible(value),
        meaning=meaning,
        fields=fields,
        about=about,
        ignored=ignored,
    )


#: What acknowledgments answer, by the place of the code.
_REASONS: Final[Mapping[str, Mapping[str, str]]] = {
    "TA105": NOTES,
    "AK304": SEGMENT_REASONS,
    "IK304": SEGMENT_REASONS,
    "AK403": ELEMENT_REASONS,
    "IK403": ELEMENT_REASONS,
    **{f"{segment}{number:02d}": SET_REASONS for segment in ("AK5", "IK5") for number in range(2, 7)},
    **{f"AK9{number:02d}": GROUP_REASONS for number in range(5, 10)},
}

#: Names of the records: of fields, of kinds, of roles.
NAME: Final = re.compile(r"[a-z]+(?:_[a-z0-9]+)*")


def _meaning(value: str, fields: Sequence[str], about: Sequence[str], provenance: Provenance) -> str:
    """What a code came to in the record, if that is a name: the value of a field, or the key that its value stands under."""
    for address in fields:
        said = provenance.values.get(address)
        if isinstance(said, str) and said != value and NAME.fullmatch(said):
            return said.replace("_", " ")
    for address in about:
        above, _, key = address.rpartition("/")
        if above.endswith("dates") and NAME.fullmatch(key):
            return key.replace("_", " ")
    return ""


def verdict_words(verdict: Verdict | None) -> str:
    return "not judged" if verdict is None else verdict.replace("_", " ")


def opinion_lines(opinion: SecondOpinion) -> Iterator[str]:
    """What pyx12 says: its verdict, then its errors, fit to be shown."""
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
