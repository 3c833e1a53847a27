"""One damaged document under both engines: what each says, what went wrong with ours, and which defects explain a difference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from typing import Final

from edi_maps import canonical
from edi_maps.canonical import CanonicalRecord
from edi_maps.findings import Finding, Severity, Verdict
from edi_maps.x12 import Interchange, TransactionSet, acknowledge, read, reply_envelope, stream
from edi_maps.x12.explain import as_html, as_text, explain
from edi_maps.x12.stock import SecondOpinion, StockError, second_opinion

#: More findings than these about one transaction set or one envelope help nobody.
MOST_FINDINGS: Final = 1_500

_NOW: Final = datetime(2026, 11, 20, 10, 30, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Case:
    """A document and what both engines say about it."""

    data: bytes
    interchanges: list[Interchange]
    opinion: SecondOpinion

    @property
    def accepted(self) -> bool:
        """Whether we accept it: it holds transaction sets, none is rejected, and no interchange or group is broken."""
        sets = list(self.sets())
        return bool(sets) and all(one.verdict is not Verdict.REJECTED for one in sets) and not any(self.errors())

    def sets(self) -> Iterator[TransactionSet]:
        for interchange in self.interchanges:
            for group in interchange.groups:
                yield from group.sets

    def findings(self) -> Iterator[Finding]:
        """Everything we find."""
        for interchange in self.interchanges:
            yield from interchange.findings
            for group in interchange.groups:
                yield from group.findings
                for one in group.sets:
                    yield from one.findings

    def set_of(self, error: StockError) -> TransactionSet | None:
        """The transaction set an error of pyx12 is about, where its numbers tell it."""
        return next(
            (
                one
                for interchange in self.interchanges
                for group in interchange.groups
                for one in group.sets
                if (group.control_number, one.control_number) == (error.group.strip(), error.set.strip())
            ),
            None,
        )

    def raw(self, one: TransactionSet | None, position: int | None) -> list[str]:
        """The elements of a segment exactly as sent, the identifier first; empty when there is none at that position."""
        segments = one.segments if one is not None else []
        if one is None or not position or position > len(segments):
            return []
        text = self.data[segments[position - 1].offset :].decode("latin-1")
        return text.partition(one.delimiters.segment)[0].split(one.delimiters.element)

    def warns(self, *codes: str) -> bool:
        """Whether we say one of these without rejecting for it."""
        return any(found.code in codes and found.severity is not Severity.ERROR for found in self.findings())

    def errors(self) -> Iterator[Finding]:
        """What makes us reject."""
        return (found for found in self.findings() if found.severity is Severity.ERROR)


def accepted_by_us(data: bytes) -> bool:
    return Case(data, read(data), SecondOpinion(accepted=None, errors=())).accepted


def judged(data: bytes) -> Case:
    """Ask both engines."""
    return Case(data, read(data), second_opinion(data))


# -- what our engine owes whatever it is given


def broken_promises(case: Case) -> Iterator[str]:
    """What is wrong with our own answer, in words. Exceptions are for the caller to catch."""
    size = len(case.data)
    for interchange in case.interchanges:
        yield from _too_much("the interchange", interchange.findings)
        for group in interchange.groups:
            yield from _too_much("the group", group.findings)
            for one in group.sets:
                yield from _too_much(f"set {one.control_number}", one.findings)
                if one.verdict is None:
                    yield f"set {one.control_number} has no verdict"
                if one.record is not None and canonical.load(canonical.dump(one.record)) != one.record:
                    yield f"the record of set {one.control_number} does not survive JSON"
    for found in case.findings():
        if found.offset is not None and not 0 <= found.offset <= size:
            yield f"{found.code} is about byte {found.offset} of {size}"
    if _streamed(case.data) != ([one.record for one in case.sets()], [one.verdict for one in case.sets()]):
        yield "read set by set it says something else"
    page = explain("document", case.interchanges, ask_about=case.data)
    if not as_text(page) or not as_html(page):
        yield "there is nothing to show"
    for number, interchange in enumerate(case.interchanges, start=1):
        yield from _answer_faults(interchange, number)


def _streamed(data: bytes) -> tuple[list[CanonicalRecord | None], list[Verdict | None]]:
    """The records and the verdicts of a file that is never held as a whole."""
    records: list[CanonicalRecord | None] = []
    verdicts: list[Verdict | None] = []
    for event in stream(BytesIO(data)):
        if isinstance(event, Interchange):
            verdicts += [one.verdict for group in event.groups for one in group.sets]
        else:
            records.append(event.set.record)
    return records, verdicts


def _too_much(whose: str, findings: list[Finding]) -> Iterator[str]:
    if len(findings) > MOST_FINDINGS:
        yield f"{len(findings)} findings about {whose}"


def _answer_faults(interchange: Interchange, number: int) -> Iterator[str]:
    """What we answer must be without fault in our own eyes."""
    try:
        envelope = reply_envelope(interchange, interchange_number=number, group_number=number, at=_NOW)
    except ValueError:
        return  # there is nobody to answer to
    answer = acknowledge(interchange, envelope)
    if answer is None:
        return
    for found in Case(answer, read(answer), SecondOpinion(accepted=None, errors=())).errors():
        yield f"our acknowledgment has a fault: {found.text}"


# -- the differences


@dataclass(slots=True)
class Outcome:
    """What came of one damaged document."""

    source: str
    mutation: str
    seed: str
    ours: bool
    theirs: bool | None
    defects: list[str] = field(default_factory=list)  #: names of those that explain the difference, each once
    wrong: list[str] = field(default_factory=list)  #: what is not as it should be
