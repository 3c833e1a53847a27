"""From findings to an 824 in words, and from a partner's 824 to findings."""

from datetime import UTC, datetime

import pytest

from edi_maps.canonical import Advice, AdviceProblem, Note, load
from edi_maps.findings import Severity, Verdict, finding
from edi_maps.x12 import read, write
from edi_maps.x12.application_advices import ERROR_KINDS, MAX_PROBLEMS, Refused, advise, findings_of, in_words, refuses
from tests.services import CORPUS, need

from .test_round_trip import envelope

SHIP_NOTICE = Refused(
    type="ship_notice",
    number="SH-4471",
    set_code="856",
    group_control_number="311",
    set_control_number="0002",
    version="004010VICS",
)
TOO_MUCH = finding(
    "quantity_differs",
    value="60",
    reason="Order 4500017, line 10: 60 EA shipped, 40 of 100 are open.",
)


def advice_on(*findings, refused=SHIP_NOTICE):
    return advise(findings, refused, number="ADV-1", created_at=datetime(2026, 11, 30, 9, 5, tzinfo=UTC))


def written(record, version="004010"):
    """The segments of the 824 between BGN and SE."""
    lines = write(record, envelope(version)).decode("latin-1").split("~")
    return lines[4:-4]


def test_a_refusal_names_the_document_by_both_its_names_and_says_why_in_words():
    assert written(advice_on(TOO_MUCH)) == [
        "OTI*TR*SI*SH-4471*****311*0002*856*004010VICS",
        "TED*011*Order 4500017, line 10: 60 EA shipped, 40 of 100 are open.*****60",
        "NTE*ERN*Keep to the quantity of the order, or have the buyer change the order first.",
    ]


def test_a_fault_with_a_place_is_told_with_its_place():
    no_code = finding(
        "element_code", segment="PO1", position=7, element=3, value="XX", name="Unit", codes="EA, KG", offset=211
    )
    [_, ted, *_] = written(advice_on(no_code))
    assert ted == "TED*024*PO103 (segment 7): 'XX' is not a code we accept for Unit.*PO1*7*3*355*XX"


@pytest.mark.parametrize(
    ("code", "sent"),
    [
        ("element_missing", "007"),
        ("element_exclusion", "012"),
        ("value_not_date", "009"),
        ("segment_count", "010"),
        ("order_unknown", "011"),
        ("set_control_number_repeated", "006"),
        ("document_discarded", "024"),
    ],
)
def test_the_error_code_fits_the_finding(code, sent):
    [_, ted, *_] = written(advice_on(finding(code)))
    assert ted.split("*")[1] == sent


def test_every_finding_with_a_code_of_its_own_is_in_the_catalogue():
    for code in ERROR_KINDS:
        finding(code)


def test_what_is_ours_to_mend_is_not_told_as_theirs():
    ours = finding("no_agreement", value="ship_notice by as2")
    theirs = finding("unit_differs", reason="Line 10 was ordered in EA and is answered in KG.")
    assert in_words(ours) == "No agreement with this partner covers ship_notice by as2."
    assert in_words(theirs) == "Line 10 was ordered in EA and is answered in KG. Count in the unit of the order."


def test_warnings_are_told_only_where_nothing_worse_is():
    warning = finding("package_differs", severity=Severity.WARNING, reason="Two packages bear one SSCC.")
    assert [problem.kind for problem in advice_on(TOO_MUCH, warning).advices[0].problems] == ["not_matching"]
    assert [problem.text for problem in advice_on(warning).advices[0].problems] == [
        "Two packages bear one SSCC. Give every package a serial"
    ]


def test_no_more_is_told_than_a_person_would_read():
    problems = advice_on(*[TOO_MUCH] * 3_000).advices[0].problems
    assert len(problems) == MAX_PROBLEMS + 1
    assert problems[-1].words.startswith(f"Only the first {MAX_PROBLEMS} findings")


@pytest.mark.parametrize("version", ["004010", "005010"])
@pytest.mark.parametrize("said", ["Preis 9 € – zu hoch " * 20, "a*b~c>d^e\n" * 30, "x" * 500, "漢字" * 90])
def test_any_words_and_values_fit_into_a_good_824(said, version):
    found = finding("element_code", segment="N1", position=4, element=2, value=said, name=said, codes=said)
    [interchange] = read(write(advice_on(found), envelope(version)))
    [one] = interchange.groups[0].sets
    assert one.verdict is Verdict.ACCEPTED, [found.text for found in one.findings]


def test_numbers_that_would_break_the_advice_are_left_out():
    odd = Refused(
        type="", number="", set_code="85", group_control_number="x1", set_control_number="0002", version="0" * 13
    )
    assert written(advice_on(TOO_MUCH, refused=odd))[0] == "OTI*TR*TN*0002"


def test_the_same_findings_make_the_same_advice():
    assert advice_on(TOO_MUCH) == advice_on(TOO_MUCH)


# -- what a partner says


def said_by_partner(**changes):
    return Advice(verdict="rejected", level="transaction_set", code="TR", **changes)


def test_a_partners_problem_becomes_a_finding_at_its_place_with_the_meaning_of_its_code():
    problem = AdviceProblem(
        kind="missing_data",
        code="007",
        text="Ship-to is",
        notes=(Note(text="not in our master data."),),
        segment="N1",
        position=6,
        element=4,
        value="DOCK 9",
    )
    [found] = findings_of(said_by_partner(problems=(problem,)))
    assert found.text == (
        "N104 (segment 6): the partner's system says: data missing: Ship-to is not in our master data (sent: 'DOCK 9')."
    )
    assert (found.segment, found.position, found.element, found.severity) == ("N1", 6, 4, Severity.ERROR)


def test_a_refusal_without_a_reason_says_so():
    [found] = findings_of(said_by_partner())
    assert found.text == "the document: the partner's system says: transaction set rejected, without a reason."


@pytest.mark.parametrize(
    ("verdict", "refused"),
    [
        ("accepted", False),
        ("accepted_with_errors", False),
        ("partly_accepted", True),
        ("rejected", True),
        ("other", True),
    ],
)
def test_only_what_is_taken_as_a_whole_is_no_refusal(verdict, refused):
    advice = Advice(verdict=verdict, level="item", code="IA", problems=(AdviceProblem(kind="007"),))
    assert refuses(advice) is refused
    assert findings_of(advice)[0].severity is (Severity.ERROR if refused else Severity.WARNING)


def test_a_code_nobody_listed_is_read_as_it_was_sent():
    record = load(
        {
            "type": "application_advice",
            "number": "1",
            "created_at": "2026-11-30T09:05:00Z",
            "advices": [
                {
                    "verdict": "rejected",
                    "level": "item",
                    "code": "IR",
                    "reference_kind": "IX",
                    "reference": "7",
                    "problems": [
                        {"kind": "817", "references": [{"kind": "IBP", "value": "E054", "description": "NA"}]}
                    ],
                }
            ],
        }
    )
    [interchange] = read(write(record, envelope("004010")))
    [one] = interchange.groups[0].sets
    [problem] = one.record.advices[0].problems
    assert (problem.kind, problem.code) == ("817", "817")
    [found] = findings_of(one.record.advices[0])
    assert found.text == "the document: the partner's system says: code 817: IBP E054."


def test_a_composite_place_is_written_where_the_version_has_one():
    found = finding("element_code", segment="PO1", position=7, element=6, component=2, value="X", name="it", codes="Y")
    places = {version: written(advice_on(found), version)[1].split("*")[5] for version in ("004010", "005010")}
    assert places == {"004010": "6", "005010": "6>2"}


# -- documents of the field


def test_the_advices_of_the_field_are_read_with_verdict_and_content():
    need(CORPUS, "GATEWAY_CORPUS names no folder of sample documents")
    assert CORPUS is not None
    read_well = {}
    for path in sorted((CORPUS / "x12-824").iterdir()):
        [interchange] = read(path.read_bytes())
        [one] = interchange.groups[0].sets
        record = one.record
        assert record is not None and record.advices, path.name
        assert all(advice.verdict != "other" and advice.reference for advice in record.advices), path.name
        read_well[path.name] = one.verdict is not Verdict.REJECTED
    # One sends dates of six digits and its version one element late, in 005010: read all the same, and refused.
    assert sum(read_well.values()) == len(read_well) - 1
