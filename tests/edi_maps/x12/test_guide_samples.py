"""Samples made from a guide: the least it asks for and the most it allows."""

from datetime import UTC, datetime

import pytest

from edi_maps.findings import Verdict
from edi_maps.x12 import Envelope, envelop, read
from edi_maps.x12.guides.sample import least, most
from edi_maps.x12.map_sheets import mapped
from edi_maps.x12.stock import guide_map, map_rows

ROWS = [row for row in map_rows() if len(row.version) == 6 and (row.code in mapped() or row.functional_id == "FA")]


def ids(body):
    return [segment[0] for segment in body]


def test_the_least_is_what_is_required():
    body = least(guide_map("850.4010.xml"))
    assert ids(body) == ["BEG", "PO1"]
    assert body[0] == ["BEG", "00", "26", "PO-4711", "", "20261120"]


def test_the_most_has_every_segment_once_at_its_place():
    body = most(guide_map("997.4010.xml"))
    assert ids(body) == ["AK1", "AK2", "AK3", "AK4", "AK5", "AK9"]
    assert body[3][1].count("\x1f") == 2  # the position, with its components


def test_a_condition_is_met_in_both():
    [reference] = [segment for segment in most(guide_map("855.4010.xml")) if segment[0] == "QTY"][:1]
    assert (reference[2], reference[4:]) == ("1", [])  # QTY02 and QTY04 exclude each other
    [date] = [segment for segment in most(guide_map("850.4010.xml")) if segment[0] == "DTM"][:1]
    assert date == ["DTM", "002", "20261120", "1030", "ZZ", "D8", "20261120"]


def test_levels_are_numbered_and_name_their_parent():
    levels = [segment for segment in most(guide_map("856.4010.xml")) if segment[0] == "HL"]
    assert levels[0] == ["HL", "1", "", "S", "1"]
    assert levels[1] == ["HL", "2", "1", "O", "1"]
    assert [int(level[1]) for level in levels] == list(range(1, len(levels) + 1))
    assert levels[-1][4] == "0"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.file_name)
def test_the_most_is_read_whole(row):
    envelope = Envelope(
        sender_qualifier="ZZ",
        sender_id="SENDER",
        receiver_qualifier="ZZ",
        receiver_id="RECEIVER",
        interchange_number=1,
        group_number=1,
        version=row.version,
        at=datetime(2026, 11, 20, tzinfo=UTC),
    )
    [interchange] = read(envelop(row.functional_id, [(row.code, most(guide_map(row.file_name)))], envelope))
    [one] = interchange.groups[0].sets
    assert one.verdict is not Verdict.REJECTED, one.findings
    assert one.record is not None or one.acknowledgment is not None
