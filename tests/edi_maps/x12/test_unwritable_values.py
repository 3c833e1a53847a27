"""Whatever a record says, it is written as a document we accept ourselves, or refused by the name of the field."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from edi_maps.canonical import load
from edi_maps.findings import Verdict
from edi_maps.x12 import Delimiters, read, write
from edi_maps.x12.map_sheets import mapped

from .documents import FIXTURES
from .test_round_trip import VERSIONS, envelope

#: The documents of the golden tests, by set.
RECORDS: dict[str, list[dict[str, Any]]] = {}
for path in sorted(FIXTURES.glob("*.json")):
    RECORDS.setdefault(path.name[:3], []).append(json.loads(path.read_text()))

DELIMITERS = st.sampled_from(
    [
        Delimiters(element="*", segment="~", component=">", repetition="^"),
        Delimiters(element="|", segment="\n", component="^", repetition=None),
        Delimiters(element="\x07", segment="\r", component="\x1f", repetition="\x1d"),
        Delimiters(element="\x1d", segment="\x1c", component=":", repetition="!"),
        Delimiters(element="+", segment="'", component="<", repetition="\\"),
    ]
)

#: What ends up in text fields: separators of any kind, what no terminal shows, what latin-1 lacks, too much of it, nothing.
TEXTS = st.one_of(
    st.text(alphabet="AZ*~>|^:+'<!\\\n\r\t\x00\x07\x1c\x1d\x1f\x7f\x85\xa0", min_size=1, max_size=8),
    st.text(max_size=8),
    st.sampled_from(["", " ", "x" * 300, "Ł" * 300, "🙂", "Ã¼", "~ISA*00*", "SE*1*0001~", "\ud800", "＊～", "½€"]),
)
NUMBERS = st.sampled_from(["1E+20", "-0.0000001", "123456789012345678901234567890", "0.005", "-1", "1E-7", "2.5"])


def leaves(value, path=()):
    """The places of all texts in a record that is plain data."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from leaves(item, (*path, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, (*path, index))
    elif isinstance(value, str) and path[-1] not in ("type", "schema_version"):
        yield path


def put(value, path, text):
    *steps, last = path
    for step in steps:
        value = value[step]
    value[last] = text


@st.composite
def spoiled(draw, code):
    """A record with one to three of its texts or numbers replaced by what nobody expects there."""
    data = draw(st.sampled_from(RECORDS[code]))
    for path in draw(st.lists(st.sampled_from(list(leaves(data))), min_size=1, max_size=3)):
        spoil = json.loads(json.dumps(data))
        put(spoil, path, draw(st.one_of(TEXTS, TEXTS, NUMBERS)))
        try:
            load(spoil)
        except ValidationError:
            continue  # dates, numbers and closed vocabularies are guarded by the record itself
        data = spoil
    return load(data)


def test_every_set_that_is_written_is_tried():
    assert RECORDS.keys() == mapped().keys()


@pytest.mark.parametrize("code", sorted(RECORDS))
def test_what_is_written_is_accepted_and_what_is_refused_is_named(code):
    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(spoiled(code), DELIMITERS, VERSIONS)
    def check(record, delimiters, version):
        try:
            data = write(record, replace(envelope(version), delimiters=delimiters))
        except ValueError as refused:
            named = re.match(r"[a-z_]+", str(refused))
            assert named and named[0] in type(record).model_fields, str(refused)
            return
        [interchange] = read(data)
        [one] = interchange.groups[0].sets
        assert one.verdict is not Verdict.REJECTED
        assert one.record.business_number == record.business_number.strip()

    check()
