"""Bytes to records and verdicts."""

import gc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edi_maps.canonical import OrderAcknowledgment, PurchaseOrder, ShipNotice
from edi_maps.findings import Severity, Verdict
from edi_maps.x12 import read
from tests.services import CORPUS

from .documents import FIXTURES, ORDER, codes, document, interchange, transaction_set, wire


def sets(data, **terms):
    return [one for part in read(data, **terms) for group in part.groups for one in group.sets]


@pytest.mark.parametrize(
    ("name", "kind", "lines"),
    [
        ("850_store_order", PurchaseOrder, 2),
        ("850_5010", PurchaseOrder, 2),
        ("855_partial_backorder", OrderAcknowledgment, 2),
    ],
)
def test_a_good_document_becomes_its_record(name, kind, lines):
    (one,) = sets((FIXTURES / f"{name}.edi").read_bytes())
    assert (one.verdict, one.findings) == (Verdict.ACCEPTED, [])
    assert isinstance(one.record, kind)
    assert one.type == one.record.type
    assert len(one.record.lines) == lines


def test_a_ship_notice_keeps_every_carton_with_its_own_order():
    (one,) = sets((FIXTURES / "856_tares_children_not_adjacent.edi").read_bytes())
    assert isinstance(one.record, ShipNotice)
    assert {(item.order_number, str(item.quantity)) for item in one.record.items} == {
        ("PO-4711", "80"),
        ("PO-4712", "36"),
    }


def test_one_bad_set_does_not_hold_its_neighbours():
    found = sets((FIXTURES / "855_one_of_three_refused.edi").read_bytes())
    assert [one.verdict for one in found] == [Verdict.ACCEPTED, Verdict.REJECTED, Verdict.ACCEPTED]


def test_a_rejected_set_still_has_its_record():
    (one,) = sets((FIXTURES / "850_seven_faults.edi").read_bytes())
    assert one.verdict is Verdict.REJECTED
    assert isinstance(one.record, PurchaseOrder)
    assert one.record.number == "PO-4720"


def test_a_relaxed_code_warns_instead_of_rejecting():
    data = document(*ORDER).replace(b"SE*5*", b"SE*9*")
    assert sets(data)[0].verdict is Verdict.REJECTED
    (one,) = sets(data, relaxed=frozenset({"segment_count"}))
    assert (one.verdict, one.findings[0].severity) == (Verdict.ACCEPTED_WITH_ERRORS, Severity.WARNING)


@pytest.mark.parametrize(
    ("old", "new"), [(b"IEA*1*000000101~\n", b""), (b"GE*1*101", b"GE*1*102"), (b"GE*1*101", b"GE*2*101")]
)
def test_a_broken_envelope_takes_its_sets_along(old, new):
    (one,) = sets(document(*ORDER).replace(old, new))
    assert (one.verdict, one.findings) == (Verdict.REJECTED, [])
    assert one.record is not None


def test_a_set_in_a_group_of_another_kind_is_refused_unless_relaxed():
    data = wire(interchange(*transaction_set(*ORDER), group="IN"))
    assert codes(sets(data)[0].findings) == ["set_not_in_group"]
    assert sets(data, relaxed=frozenset({"set_not_in_group"}))[0].verdict is Verdict.ACCEPTED_WITH_ERRORS


def test_what_an_approximate_guide_dislikes_is_a_warning():
    body = ["BEG*00*SA*PO-1**950924", "PO1*1*5*EAX"]
    (one,) = sets(document(*body, version="003040"))
    assert one.verdict is Verdict.ACCEPTED_WITH_ERRORS
    assert codes(one.findings) == ["version_approximate", "element_long"]
    assert sets(document(*body))[0].verdict is Verdict.REJECTED


def test_without_a_record_there_is_nothing_to_accept():
    lenient = frozenset({"element_missing", "record_incomplete"})
    (one,) = sets(document("BEG*00*SA***20260924", "PO1*1*5*EA"), relaxed=lenient)
    assert (one.record, one.verdict) == (None, Verdict.REJECTED)


def test_a_set_without_a_guide_is_refused_in_words():
    (one,) = sets(document(*ORDER).replace(b"ST*850", b"ST*820"))
    assert codes(one.findings) == ["set_not_supported"]
    assert (one.record, one.verdict) == (None, Verdict.REJECTED)


def test_the_collector_runs_again_after_a_large_document():
    data = document("BEG*00*SA*PO-1**20260924", *["PO1*1*5*EA"] * 10_000)
    assert gc.isenabled()
    assert len(sets(data)) == 1
    assert gc.isenabled()


GOOD = [path.read_bytes() for path in sorted(FIXTURES.glob("*.edi"))]
PIECES = [b"", b"~", b"*", b"\n", b"ISA*", b"ST*856*1~", b"\xff", b"9", b"HL*1**I~", b">", b"-", b"\x00"]


@settings(max_examples=250, deadline=None)
@given(st.sampled_from(GOOD), st.lists(st.tuples(st.integers(0, 1_800), st.sampled_from(PIECES)), max_size=6))
def test_no_damage_raises_and_every_set_has_a_verdict(data, edits):
    for at, piece in edits:
        data = data[:at] + piece + data[at + 1 :]
    for one in sets(data):
        assert one.verdict is not None
        assert (one.verdict is Verdict.REJECTED) or one.segments[-1].id == "SE"


FILES = sorted(path for path in CORPUS.rglob("*") if path.parent.name[:3] in ("x12", "mal", "mix")) if CORPUS else []


@pytest.mark.skipif(not FILES, reason="no folder of sample documents (GATEWAY_CORPUS)")
def test_every_sample_document_is_read_and_judged():
    for path in FILES:
        data = path.read_bytes()
        for part in read(data):
            assert part.findings or part.groups or part.acknowledgments
            for group in part.groups:
                for one in group.sets:
                    assert one.verdict is not None, path
                    for segment in one.segments:
                        assert data[segment.offset :].startswith(segment.id.encode("latin-1")), path


@pytest.mark.skipif(not FILES, reason="no folder of sample documents (GATEWAY_CORPUS)")
def test_nearly_every_sample_order_and_answer_gives_a_record_with_lines():
    missed = []
    files = [path for path in FILES if path.parent.name in ("x12-850", "x12-855", "x12-856")]
    for path in files:
        found = sets(path.read_bytes())
        holds_lines = [one for one in found if {"PO1", "LIN"} & {segment.id for segment in one.segments}]
        for one in holds_lines:
            lines = one.record and (one.record.items if isinstance(one.record, ShipNotice) else one.record.lines)
            if not lines:
                missed.append((path.name, codes(one.findings)))
    assert len(missed) <= len(files) * 0.05, missed
