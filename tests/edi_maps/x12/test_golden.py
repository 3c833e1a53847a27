"""Documents beside the records they mean: ``tests/fixtures/x12``."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edi_maps.canonical import dump, load
from edi_maps.x12 import Delimiters, Envelope, read, write

FIXTURES = Path(__file__).parents[2] / "fixtures" / "x12"
NAMES = sorted(path.stem for path in FIXTURES.glob("*.json"))

#: We write the same meaning in another shape: reading these is what they are for.
WRITTEN_OTHERWISE = {
    "855_accepted_as_sent",  # lines without ACK are accepted; we say so with ACK
    "856_items_hold_their_packs",  # packages below items; we write items below packages
    "856_cartons_name_their_item",  # cartons without an item level; we write one
    "830_old_unit_and_description",  # UNT and J2X; we write UIT and PID
    "862_daily_pull",  # UNT
    "846_stock_by_location",  # lots and serials among the identifiers of the item; we write references
}
#: … and one item in two packs can only be said by packs below the item, and a conclusion has no code until it is written.
NOT_THE_SAME_AGAIN = {"855_accepted_as_sent", "856_items_hold_their_packs"}


def only_set(data):
    [interchange] = read(data)
    [group] = interchange.groups
    [transaction_set] = group.sets
    return transaction_set


def envelope_of(name):
    """The envelope of all our documents: only who writes to whom, and the version, differ."""
    group = (FIXTURES / f"{name}.edi").read_text().splitlines()[1].rstrip("~").split("*")
    ours = group[2] == "NORTHPLANT"
    return Envelope(
        sender_qualifier="ZZ" if ours else "01",
        sender_id="NORTHPLANT" if ours else "555000111",
        receiver_qualifier="01" if ours else "ZZ",
        receiver_id="555000111" if ours else "NORTHPLANT",
        interchange_number=417,
        group_number=88,
        version=group[8],
        delimiters=Delimiters(repetition="^"),
        newline_after_segment=True,
        at=datetime(2026, 11, 30, 9, 5, tzinfo=UTC),
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_document_reads_as_its_record(name):
    transaction_set = only_set((FIXTURES / f"{name}.edi").read_bytes())
    assert transaction_set.findings == []
    assert dump(transaction_set.record) == json.loads((FIXTURES / f"{name}.json").read_text())


@pytest.mark.parametrize("name", [name for name in NAMES if name not in WRITTEN_OTHERWISE])
def test_the_record_is_written_as_its_document(name):
    record = load(json.loads((FIXTURES / f"{name}.json").read_text()))
    assert write(record, envelope_of(name)).decode() == (FIXTURES / f"{name}.edi").read_text()


@pytest.mark.parametrize("name", [name for name in NAMES if name not in NOT_THE_SAME_AGAIN])
def test_what_is_written_reads_back_as_it_was(name):
    record = load(json.loads((FIXTURES / f"{name}.json").read_text()))
    assert only_set(write(record, envelope_of(name))).record == record
