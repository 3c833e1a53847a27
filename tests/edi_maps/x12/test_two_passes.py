"""A file in two passes: the same as the whole, each set with its final verdict when it comes, in flat memory."""

import io
import tracemalloc
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edi_maps.findings import Verdict
from edi_maps.x12 import FileChanged, acknowledge, in_two_passes, read, reply_envelope

from .documents import FIXTURES, GS, ISA, ORDER, codes, document, interchange, transaction_set, wire
from .test_acknowledgments import AT
from .test_stream import DAMAGE, many

FILES = sorted(FIXTURES.glob("*.edi"))


def whole(data):
    """What ``read`` says of every interchange, group and set, and what we answer."""
    return [
        (
            one.control_number,
            one.findings,
            [(group.control_number, group.findings) for group in one.groups],
            [(part.control_number, part.findings, part.verdict, part.record) for g in one.groups for part in g.sets],
            answer(one),
        )
        for one in read(data)
    ]


def in_parts(data):
    """The same by two passes."""
    seen = []
    for one, sets in in_two_passes(partial(io.BytesIO, data)):
        groups = [(group.control_number, [*group.findings]) for group in one.groups]
        found = [(part.control_number, [*part.findings], part.verdict, part.record) for _, _, part in sets]
        seen.append((one.control_number, one.findings, groups, found, answer(one)))
    return seen


def answer(interchange):
    try:
        return acknowledge(interchange, reply_envelope(interchange, interchange_number=1, group_number=1, at=AT))
    except ValueError as unanswerable:
        return str(unanswerable)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_two_passes_say_what_one_reading_says(path):
    assert in_parts(path.read_bytes()) == whole(path.read_bytes())


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(FILES), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 80), DAMAGE), min_size=1, max_size=4))
def test_of_a_damaged_file_too(path, damages):
    data = path.read_bytes()[:6000]
    for place, length, instead in damages:
        at = int(place * len(data))
        data = data[:at] + instead + data[at + length :]
    assert in_parts(data) == whole(data)


@pytest.mark.parametrize("old_and_new", [(b"IEA*1*000000101~\n", b""), (b"GE*2*101", b"GE*2*7")])
def test_the_sets_of_a_broken_envelope_are_rejected_from_the_first(old_and_new):
    data = wire(interchange(*transaction_set(*ORDER), *transaction_set(*ORDER, number="0002"), sets=2))
    for _, sets in in_two_passes(partial(io.BytesIO, data.replace(*old_and_new))):
        assert [one.set.verdict for one in sets] == [Verdict.REJECTED] * 2


def test_groups_keep_their_sets_apart():
    second = [GS.format(group="PO", version="004010").replace("*101*X", "*102*X"), *transaction_set(*ORDER), "GE*1*102"]
    lines = [ISA, GS.format(group="PO", version="003010"), *transaction_set(*ORDER), "GE*1*101", *second]
    for one, sets in in_two_passes(partial(io.BytesIO, wire([*lines, "IEA*2*000000101"]))):
        assert [(group.control_number, position) for _, group, _ in sets for position in [len(group.sets)]] == [
            ("101", 1),
            ("102", 1),
        ]
        assert [len(group.sets) for group in one.groups] == [1, 1]


def test_sets_nobody_asks_for_are_passed_over():
    data = document(*ORDER) + document(*ORDER).replace(b"000000101", b"000000102")
    assert [one.control_number for one, _ in in_two_passes(partial(io.BytesIO, data))] == ["000000101", "000000102"]


@pytest.mark.parametrize(
    "later",
    [b"", document(*ORDER)[:-20], b"\n" + document(*ORDER), document(*ORDER).replace(b"GS*", b" GS*")],
    ids=["emptied", "cut", "moved", "a group moved"],
)
def test_a_file_that_changes_between_the_passes_is_an_error(later):
    versions = iter([document(*ORDER), later])
    with pytest.raises(FileChanged):
        for _, sets in in_two_passes(lambda: io.BytesIO(next(versions))):
            list(sets)


def peak(count):
    tracemalloc.start()
    for _, sets in in_two_passes(partial(many, count)):
        for one in sets:
            assert one.set.record.number == "PO-1"
            one.group.sets.clear()
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return used


def test_memory_is_flat_when_the_sets_are_not_kept():
    peak(10)
    # Of every set its control number is remembered, twice: a repeated one is an error.
    assert (peak(3_000) - peak(1_000)) / 2_000 < 250


def test_what_the_group_claims_is_compared_with_what_came_though_nobody_kept_it():
    data = wire(interchange(*transaction_set(*ORDER), *transaction_set(*ORDER, number="0002"), sets=2))
    for one, sets in in_two_passes(partial(io.BytesIO, data)):
        for part in sets:
            part.group.sets.clear()
        assert [codes(group.findings) for group in one.groups] == [[]]
