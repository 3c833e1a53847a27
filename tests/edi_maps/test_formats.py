"""Formats by name, canonical JSON read strictly, and JSON that nobody should trust."""

import json
from datetime import date
from decimal import Decimal

import pytest

from edi_maps.canonical import OrderLine, PurchaseOrder
from edi_maps.findings import Verdict
from edi_maps.formats import read, write
from edi_maps.json_text import parse, pointer

ORDER = PurchaseOrder(
    number="1", ordered_on=date(2026, 11, 28), lines=(OrderLine(quantity=Decimal("1.50"), unit_price=Decimal("0.42")),)
)


def canonical(document):
    return read("canonical_json", json.dumps(document).encode())


def places(reading):
    return [(found.code, found.pointer) for found in reading.findings]


def test_canonical_json_reads_back_as_it_was_written():
    reading = read("canonical_json", write("canonical_json", ORDER))
    assert (reading.record, reading.type, reading.findings, reading.verdict) == (
        ORDER,
        "purchase_order",
        (),
        Verdict.ACCEPTED,
    )


def test_portal_json_goes_by_the_sheet():
    reading = read("portal_json", write("portal_json", ORDER, sheet="boltco"), sheet="boltco")
    assert reading.record == ORDER


def test_numbers_keep_every_digit():
    reading = read(
        "canonical_json", b'{"type":"purchase_order","number":"1","lines":[{"quantity":0.10000000000000000001}]}'
    )
    assert reading.record.lines[0].quantity == Decimal("0.10000000000000000001")


def test_all_errors_come_at_once_each_with_its_place():
    reading = canonical(
        {
            "type": "purchase_order",
            "number": 1,
            "kind": "rushed",
            "ordered_on": 20261128,
            "revision": True,
            "colour": "red",
            "lines": [{"quantity": True}, {"unit_price": "cheap"}, {"dates": {"requested_delivery": "12/14/2026"}}],
        }
    )
    assert reading.record is None
    assert reading.verdict is Verdict.REJECTED
    assert sorted(places(reading)) == [
        ("json_unknown_field", "#/colour"),
        ("json_value", "#/kind"),
        ("json_value", "#/lines/0/quantity"),
        ("json_value", "#/lines/2/dates/requested_delivery"),
        ("json_value", "#/number"),
        ("json_value", "#/ordered_on"),
        ("json_value", "#/revision"),
        ("value_not_number", "#/lines/1/unit_price"),
    ]


def test_a_missing_field_is_named():
    reading = canonical({"type": "order_acknowledgment", "order_number": "1"})
    [found] = reading.findings
    assert (found.code, found.pointer) == ("value_missing", "#/disposition")
    assert "disposition is missing" in found.text


def test_a_moment_needs_its_zone():
    reading = canonical({"type": "ship_notice", "shipment_number": "1", "created_at": "2026-11-30T14:15:00"})
    assert places(reading) == [("json_value", "#/created_at")]


@pytest.mark.parametrize("document", [{}, {"type": "invitation"}, {"type": 7}, {"type": None}])
def test_an_unknown_type_is_refused(document):
    assert places(canonical(document)) == [("document_not_expected", "#/type")]


@pytest.mark.parametrize("document", [[], "text", 7, None, True])
def test_a_document_is_one_object(document):
    assert places(canonical(document)) == [("json_type", "#")]


@pytest.mark.parametrize(
    ("data", "code", "place"),
    [
        (b"", "json_syntax", None),
        (b"{", "json_syntax", None),
        (b'{"a": 1,}', "json_syntax", None),
        (b'{"a": "\xff"}', "json_syntax", None),
        (b'{"a": 1}'.decode().encode("utf-16"), "json_syntax", None),
        (b"[" * 100_000, "json_limit", None),
        (b'{"a":' * 40 + b"1" + b"}" * 40, "json_limit", pointer(*["a"] * 32)),
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', "json_duplicate_key", "#/b/c"),
        (b'{"a": NaN}', "json_value", "#/a"),
        (b'{"a": [-Infinity]}', "json_value", "#/a/0"),
        (b'{"a": 1e999999999}', "json_value", "#/a"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "json_value", "#/a"),
        (b'{"a": 0.' + b"1" * 5_000 + b"}", "json_value", "#/a"),
        (b'{"a": "\\ud800"}', "json_value", "#/a"),
        (b'{"a": "\\u0000"}', "json_value", "#/a"),
        (b'{"\\u0000": 1}', "json_value", "#"),
        (b'{"a/b": {"c~d": NaN}}', "json_value", "#/a~1b/c~0d"),
        (b'"' + b"x" * (5 * 1024 * 1024) + b'"', "json_limit", None),
    ],
)
def test_json_that_means_nothing_is_refused_with_its_place(data, code, place):
    _, findings = parse(data)
    assert [(found.code, found.pointer) for found in findings] == [(code, place)]
    for format_name in ("canonical_json", "portal_json"):
        reading = read(format_name, data, sheet="boltco")
        assert reading.verdict is Verdict.REJECTED
        assert reading.findings == tuple(findings)


def test_a_byte_order_mark_and_line_breaks_in_text_are_harmless():
    assert parse(b'\xef\xbb\xbf{"a": "one\\ntwo"}') == ({"a": "one\ntwo"}, [])


def test_findings_are_bounded_however_much_is_wrong():
    assert len(parse(b"[" + b"NaN," * 10_000 + b"1]")[1]) == 200


def test_what_no_terms_may_name_is_a_lookup_error():
    with pytest.raises(LookupError, match="no format 'edifact' to read"):
        read("edifact", b"")
    with pytest.raises(LookupError, match="no format 'edifact' to write"):
        write("edifact", ORDER)
