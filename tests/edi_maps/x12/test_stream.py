"""A file as a stream: set by set, the same as the whole, in memory that does not grow with the number of sets."""

import io
import random
import tracemalloc
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edi_maps.findings import Verdict
from edi_maps.x12.envelope import Interchange, SetEnd, events, scan
from edi_maps.x12.reader import read, stream

from .documents import FIXTURES, ORDER, codes, document, interchange, transaction_set, wire

FILES = sorted(FIXTURES.glob("*.edi"))


class Trickle(io.BytesIO):
    """A file that comes in small pieces of any length."""

    def __init__(self, data, seed):
        super().__init__(data)
        self.chance = random.Random(seed)

    def read(self, size=-1):
        return super().read(self.chance.choice([1, 7, 50, 300]))


def seen(interchange):
    """All there is to an interchange, its sets down to the single segment."""
    bare = [[replace(one, findings=[], place=None, pieces=None) for one in group.sets] for group in interchange.groups]
    segments = [one.segments for group in interchange.groups for one in group.sets]
    found = [one.findings for group in interchange.groups for one in [group, *group.sets]]
    return replace(interchange, groups=[replace(group, sets=[]) for group in interchange.groups]), bare, segments, found


def interchanges(source):
    return [event for event in events(source) if isinstance(event, Interchange)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_in_pieces_is_the_file(path):
    data = path.read_bytes()
    assert [seen(one) for one in interchanges(Trickle(data, 1))] == [seen(one) for one in scan(data)]


DAMAGE = st.sampled_from(
    [b"", b"~", b"\n", b"ISA*", b"~ST*850*0001~", b"~SE*1*1~", b"IEA*1*1~", b"~GS*PO~", b" ", b"\xff", b"*", b"\x00"]
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.sampled_from(FILES),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 80), DAMAGE), min_size=1, max_size=4),
    st.integers(0, 99),
)
def test_a_damaged_file_in_pieces_is_the_damaged_file(path, damages, seed):
    data = path.read_bytes()[:6000]
    for place, length, instead in damages:
        at = int(place * len(data))
        data = data[:at] + instead + data[at + length :]
    assert [seen(one) for one in interchanges(Trickle(data, seed))] == [seen(one) for one in scan(data)]


def test_interchanges_with_separators_of_their_own_follow_each_other():
    first = wire(interchange(*transaction_set(*ORDER)))
    second = first.replace(b"*", b"|").replace(b"~", b"!")
    found = interchanges(Trickle(first + b"\r\n" + second, 3))
    assert [(one.delimiters.element, one.delimiters.segment) for one in found] == [("*", "~"), ("|", "!")]
    assert [one.findings for one in found] == [[], []]


def test_a_hard_wrapped_file_in_pieces_is_read_by_its_bytes():
    data = document(*ORDER).replace(b"\n", b"")
    wrapped = b"\n".join(data[at : at + 80] for at in range(0, len(data), 80))
    [whole], [pieces] = scan(wrapped), interchanges(Trickle(wrapped, 5))
    assert seen(whole)[2:] == seen(pieces)[2:]
    beg = whole.groups[0].sets[0].segments[1]
    assert wrapped[beg.offset :].startswith(b"BEG")


def many(count):
    """One interchange of ``count`` orders, as a file that is never there as a whole."""

    class Orders(io.RawIOBase):
        def __init__(self):
            start = wire(interchange(*transaction_set(*ORDER)))
            self.head, self.tail = start[: start.index(b"ST*")], start[start.index(b"GE*") :]
            self.parts = self.content()

        def content(self):
            yield self.head
            for number in range(1, count + 1):
                yield wire(transaction_set(*ORDER, number=f"{number:06d}"))
            yield self.tail.replace(b"GE*1", b"GE*%d" % count)

        def read(self, _size=-1):
            return b"".join(part for part, _ in zip(self.parts, range(200), strict=False))

    return Orders()


def peak(count):
    tracemalloc.start()
    for event in stream(many(count)):
        assert isinstance(event, Interchange) or event.set.record.number == "PO-1"
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return used


def test_a_set_costs_memory_only_while_it_is_read():
    peak(10)
    # What stays of a set is what the acknowledgment says of it.
    assert (peak(3_000) - peak(1_000)) / 2_000 < 800


def test_a_set_has_its_record_until_the_next_is_asked_for():
    reading = stream(many(2))
    first = next(reading)
    assert isinstance(first, SetEnd)
    assert first.set.record.number == "PO-1"
    next(reading)
    assert (first.set.record, first.set.text) == (None, "")
    assert first.set.verdict is Verdict.ACCEPTED


def test_the_verdict_of_a_set_is_final_with_its_interchange():
    data = document(*ORDER).replace(b"IEA*1", b"IEA*7")
    verdicts = [event.set.verdict for event in stream(data) if isinstance(event, SetEnd)]
    [whole] = [event for event in stream(data) if isinstance(event, Interchange)]
    assert verdicts == [Verdict.ACCEPTED]
    assert codes(whole.findings) == ["group_count"]
    assert [one.verdict for one in whole.groups[0].sets] == [one.verdict for one in read(data)[0].groups[0].sets]
