"""Application advices: what we say of a document we could read and do not use, and what a partner says so of ours.

The findings that hold a document become the problems of an 824, in the words a person reads on the screen; the problems of an
824 that came become findings again. Source: X12 004010, transaction set 824, element 647 (TED01).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from edi_maps.canonical import Advice, AdviceLevel, AdviceProblem, AdviceVerdict, ApplicationAdvice, Note
from edi_maps.findings import Actor, Finding, Severity, finding
from edi_maps.mapping import wrapped
from edi_maps.x12.latin_1 import in_latin_1
from edi_maps.x12.structure import code_meaning, data_element

#: Findings of one document that are told; more of them tell nobody anything.
MAX_PROBLEMS: Final = 200

#: What the business calls a document by, for OTI02: canonical type → kind of reference.
REFERENCE_KINDS: Final[Mapping[str, str]] = {
    "purchase_order": "purchase_order",
    "purchase_order_change": "purchase_order",
    "order_acknowledgment": "purchase_order",
    "change_acknowledgment": "purchase_order",
    "ship_notice": "shipment",
    "invoice": "invoice",
}

#: TED01 by the code of a finding, in the names of the sheet; all others are "another reason".
ERROR_KINDS: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ["segment_missing", "element_missing", "element_condition", "value_missing", "entry_incomplete"], "missing_data"
    ),
    **dict.fromkeys(["element_exclusion", "value_unpaired", "response_contradiction"], "invalid_combination"),
    **dict.fromkeys(["element_date", "value_not_date", "value_not_moment", "date_differs"], "invalid_date"),
    **dict.fromkeys(["segment_count", "set_count", "group_count"], "total_out_of_balance"),
    **dict.fromkeys(["set_control_number_repeated", "hl_id_repeated", "interchange_repeated"], "duplicate"),
    **dict.fromkeys(
        [
            *("order_unknown", "order_differs", "revision_differs", "line_differs", "item_differs"),
            *("quantity_differs", "unit_differs", "price_differs", "currency_differs"),
        ],
        "not_matching",
    ),
}

#: Widths of TED02, NTE02 and TED07.
_TEXT, _NOTE, _VALUE = 60, 80, 99

#: NTE01 of what did not fit into TED02.
_ERROR_NOTE: Final = "ERN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The document an advice is about: what its own business calls it, and the numbers it travelled under."""

    type: str  #: canonical type, e.g. "ship_notice"; '' when it could not be told
    number: str  #: of the order, the shipment, the invoice; '' when it could not be read
    set_code: str  #: ST01, e.g. "856"
    group_control_number: str = ""  #: GS06
    set_control_number: str = ""  #: ST02
    version: str = ""  #: GS08


def advise(findings: Sequence[Finding], refused: Refused, *, number: str, created_at: datetime) -> ApplicationAdvice:
    """Say that a document is refused, and why.

    Args:
        findings: what is wrong with it. Only errors are told, unless there are none.
        number: of the advice itself (BGN02), at most 30 characters, never used before with this partner.
        created_at: when it was decided.

    Returns:
        One advice of level transaction set, with a problem for each finding in their order.
    """
    told = [found for found in findings if found.severity is Severity.ERROR] or list(findings)
    if len(told) > MAX_PROBLEMS:
        told = [*told[:MAX_PROBLEMS], finding("findings_capped", count=MAX_PROBLEMS)]
    kind = REFERENCE_KINDS.get(refused.type, "transaction")
    group = _fitting("[0-9]{1,9}", refused.group_control_number)
    return ApplicationAdvice(
        number=number,
        created_at=created_at,
        advices=(
            Advice(
                verdict=AdviceVerdict.REJECTED,
                level=AdviceLevel.TRANSACTION_SET,
                code="TR",
                reference_kind=kind if refused.number else "transaction",
                reference=refused.number or refused.set_control_number or "NA",
                group_control_number=group,
                # X12 lets no set be named without its group.
                set_control_number=_fitting("[0-9A-Za-z]{4,9}", refused.set_control_number) if group else None,
                set_code=_fitting("[0-9A-Z]{3}", refused.set_code),
                version=_fitting("[0-9A-Z]{1,12}", refused.version),
                problems=tuple(_problem(found) for found in told),
            ),
        ),
    )


def in_words(found: Finding) -> str:
    """A finding as its sender reads it: what is wrong, and what to do where that is theirs to do."""
    return f"{found.text} {found.fix}" if found.actor is Actor.PARTNER else found.text


def findings_of(advice: Advice) -> list[Finding]:
    """What a partner's advice says is wrong with a document of ours, each problem at its place in that document.

    Never empty: a refusal without a reason says so.
    """
    severity = Severity.ERROR if refuses(advice) else Severity.WARNING
    found = [
        finding(
            "application_error",
            severity=severity,
            segment=problem.segment,
            position=problem.position,
            element=problem.element,
            component=problem.component,
            value=problem.value,
            reason=_reason(problem),
        )
        for problem in advice.problems
    ]
    found += [finding("application_error", severity=severity, reason=note.text.rstrip(".")) for note in advice.notes]
    return found or [finding("application_error", severity=severity, reason=f"{_verdict(advice)}, without a reason")]


def refuses(advice: Advice) -> bool:
    """Whether some of what was sent is not taken. What nobody agreed on a meaning for is no acceptance."""
    return advice.verdict not in {AdviceVerdict.ACCEPTED, AdviceVerdict.ACCEPTED_WITH_ERRORS}


def _fitting(pattern: str, sent: str) -> str | None:
    """What a partner sent, where it can be repeated in an element of ours."""
    return sent if re.fullmatch(pattern, sent, re.ASCII) else None


def _problem(found: Finding) -> AdviceProblem:
    element = data_element(found.segment, found.element) if found.segment and found.element else None
    if element is not None and found.component and found.component <= len(element.components):
        element = element.components[found.component - 1]
    text, *rest = _lines(in_words(found))
    return AdviceProblem(
        kind=ERROR_KINDS.get(found.code, "other_reason"),
        text=text,
        segment=found.segment,
        position=found.position,
        element=found.element,
        component=found.component if found.element else None,
        data_element=int(element.number) if element is not None and element.number.isdigit() else None,
        value=in_latin_1(found.value)[:_VALUE] if found.value else None,
        notes=tuple(Note(text=line, kind=_ERROR_NOTE) for line in rest),
    )


def _lines(words: str) -> Iterator[str]:
    """The words as they fit: the first line into TED02, the others into an NTE02 each."""
    first, *rest = wrapped(" ".join(in_latin_1(words).split()), _TEXT)
    yield first
    if rest:
        yield from wrapped(" ".join(rest), _NOTE)


def _reason(problem: AdviceProblem) -> str:
    """``data missing: Ship date (sent: '2026')``: the meaning of the code, the partner's own words, the value."""
    code = problem.code or problem.kind
    meaning = code_meaning("TED", 1, code) or f"code {code}"
    references = ", ".join(f"{one.kind} {one.value}" for one in problem.references)
    words = ": ".join(part for part in (meaning, problem.words.rstrip("."), references) if part)
    sent = f" (sent: {problem.value!r})" if problem.value else ""
    replaced = f" (taken as {problem.new_value!r})" if problem.new_value else ""
    return f"{words}{sent}{replaced}"


def _verdict(advice: Advice) -> str:
    return code_meaning("OTI", 1, advice.code) or f"verdict {advice.code}"
