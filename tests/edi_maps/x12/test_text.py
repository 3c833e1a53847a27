"""Text as people and their systems write it: quotation marks, line breaks, any of the usual encodings."""

import pytest

from edi_maps.x12 import read
from edi_maps.x12.records import segments

from .documents import codes, document


def only_set(text):
    """An order whose buyer is called ``text``."""
    data = document("BEG*00*SA*PO-1**20260924", "N1*BY*@NAME@", "PO1*1*5*EA", "CTT*1")
    return read(data.replace(b"@NAME@", text))[0].groups[0].sets[0]


def name_of(text):
    return only_set(text).record.parties[0].name


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Müller & Söhne", "utf-8"),
        ("Müller & Söhne", "latin-1"),
        ("“Nut—Bolt” 5 €", "utf-8"),
        ("“Nut—Bolt” 5 €", "cp1252"),
        ("东方紧固件", "utf-8"),
    ],
)
def test_a_name_is_read_in_the_encoding_it_came_in(text, encoding):
    transaction_set = only_set(text.encode(encoding))
    assert transaction_set.record.parties[0].name == text
    assert transaction_set.findings == []


def test_what_no_encoding_explains_is_kept_as_it_came():
    assert name_of(b"BOLT\x9dCO") == "BOLT\x9dCO"


@pytest.mark.parametrize("text", ['5" PIPE', '"NORTH" PLANT', "O'HARA", "a mixed Case", "100% (of 2)"])
def test_quotation_marks_and_case_are_part_of_the_text(text):
    record = only_set(text.encode()).record
    assert record.parties[0].name == text
    assert ["N1", "BY", text] in segments(record, "004010")[2]


@pytest.mark.parametrize(
    "text",
    [b"NORTH\nPLANT", b"NORTH\r\n   PLANT", b"NORTH \n PLANT"],
    ids=["line feed", "indented", "between blanks"],
)
def test_a_line_break_inside_a_name_is_a_blank(text):
    assert name_of(text) == "NORTH PLANT"


def test_a_line_break_beside_a_separator_is_none():
    transaction_set = only_set(b"\nNORTH PLANT\n")
    assert transaction_set.record.parties[0].name == "NORTH PLANT"
    assert codes(transaction_set.findings) == []
