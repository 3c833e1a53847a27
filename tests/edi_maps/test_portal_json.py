"""Partner JSON, in the shape of an invented portal."""

import json
from datetime import UTC, date, datetime, time
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edi_maps.canonical import (
    Carrier,
    Disposition,
    LineStatus,
    Note,
    OrderLine,
    Party,
    ProductId,
    PurchaseOrder,
    PurchaseOrderChange,
    Schedule,
    dump,
    load,
)
from edi_maps.findings import Severity
from edi_maps.portal_json import read, shapes, write
from edi_maps.portal_json.documents import JsonWire

CONFIRMATION = {
    "messageType": "ORDER_CONFIRMATION",
    "orderNumber": 4500017001,
    "orderRevision": 2,
    "orderDate": "11/28/2026",
    "status": "CONFIRMED_WITH_CHANGES",
    "confirmedOn": "11/30/2026",
    "salesOrder": "SO-99812",
    "supplier": {"code": "200417", "name": "Boltco", "fax": None},
    "items": [
        {
            "position": 10,
            "material": "NP-M8X40",
            "supplierSku": "BC-0840",
            "orderedQty": "1200",
            "uom": "EA",
            "unitPrice": 0.42,
            "confirmations": [
                {"status": "CONFIRMED", "qty": 700, "uom": "EA", "promisedDate": "12/14/2026"},
                {
                    "status": "BACKORDER",
                    "qty": "500",
                    "uom": "EA",
                    "shipDate": "01/04/2027",
                    "comment": "Zinc line down",
                },
            ],
        }
    ],
}

DISPATCH = {
    "messageType": "DISPATCH_ADVICE",
    "dispatchNumber": "DN-5501",
    "function": "NEW",
    "createdAt": "2026-12-12T14:15:00Z",
    "shipDate": "12/12/2026",
    "eta": "12/14/2026",
    "carrier": {"scac": "NRTH", "mode": "ROAD", "trackingNumber": "PRO-99120"},
    "handlingUnits": [
        {"id": "P1", "type": "PALLET", "sscc": "106141400000000010", "grossWeight": {"value": 412.5, "unit": "LB"}},
        {"id": "C1", "parentId": "P1", "type": "CRATE"},
    ],
    "goods": [
        {
            "orderNumber": "4500017001",
            "position": "10",
            "shippedQty": 500,
            "uom": "EA",
            "handlingUnit": "C1",
            "lots": ["H-2211", "H-2212"],
        }
    ],
}


def read_json(document):
    record, findings = read(json.dumps(document).encode(), "boltco")
    if record is not None:
        assert load(dump(record)) == record
    return record, findings


def changed(document, **changes):
    return {**document, **changes}


def test_a_confirmation_becomes_an_acknowledgment():
    record, findings = read_json(CONFIRMATION)
    assert findings == []
    assert (record.order_number, record.order_revision, record.ordered_on) == ("4500017001", 2, date(2026, 11, 28))
    assert record.disposition is Disposition.ACCEPTED_WITH_CHANGES
    assert record.parties == (Party(role="vendor", id="200417", name="Boltco"),)
    [line] = record.lines
    assert (line.line_number, line.quantity, line.unit_price) == ("10", 1200, Decimal("0.42"))
    assert line.product_ids == (
        ProductId(kind="buyer_part", value="NP-M8X40"),
        ProductId(kind="vendor_part", value="BC-0840"),
    )
    assert [(each.status, each.code, each.quantity, each.date_kind, each.on, each.text) for each in line.responses] == [
        (LineStatus.ACCEPTED, "CONFIRMED", 700, "promised_delivery", date(2026, 12, 14), None),
        (LineStatus.BACKORDERED, "BACKORDER", 500, "promised_ship", date(2027, 1, 4), "Zinc line down"),
    ]


def test_a_dispatch_advice_becomes_a_ship_notice():
    record, findings = read_json(DISPATCH)
    assert findings == []
    assert record.created_at == datetime(2026, 12, 12, 14, 15, tzinfo=UTC)
    assert record.dates == {"shipped": date(2026, 12, 12), "expected_delivery": date(2026, 12, 14)}
    assert record.carrier == Carrier(scac="NRTH", mode="motor", tracking_number="PRO-99120")
    assert [(package.id, package.parent_id, package.level) for package in record.packages] == [
        ("P1", None, "tare"),
        ("C1", "P1", "pack"),
    ]
    assert record.packages[1].extra == {"type": "CRATE"}
    assert record.packages[0].weight.value == Decimal("412.5")
    assert (record.items[0].package_id, record.items[0].lots) == ("C1", ("H-2211", "H-2212"))


@pytest.mark.parametrize("document", [CONFIRMATION, DISPATCH], ids=["confirmation", "dispatch"])
def test_what_was_read_is_written_and_read_again(document):
    record, _ = read_json(document)
    assert read(write(record, "boltco"), "boltco") == (record, [])


def test_an_order_is_written_in_the_shape_of_the_portal():
    order = PurchaseOrder(
        number="4500017001",
        revision=2,
        kind="rush",
        ordered_on=date(2026, 11, 28),
        currency="USD",
        dates={"requested_delivery": date(2026, 12, 14)},
        parties=(Party(role="ship_to", id="1003", name="North Plant"),),
        notes=(Note(kind="L1", text="Gate 3"),),
        lines=(
            OrderLine(
                line_number="10",
                quantity=Decimal(1200),
                unit="EA",
                unit_price=Decimal("0.420"),
                product_ids=(ProductId(kind="buyer_part", value="NP-M8X40"),),
                schedules=(Schedule(quantity=Decimal("0.1"), date_kind="requested_delivery", on=date(2026, 12, 14)),),
            ),
        ),
    )
    assert json.loads(write(order, "boltco")) == {
        "messageType": "ORDER",
        "orderNumber": "4500017001",
        "orderRevision": 2,
        "function": "NEW",
        "orderType": "RUSH",
        "orderDate": "11/28/2026",
        "currency": "USD",
        "requestedDate": "12/14/2026",
        "partners": [{"role": "ship_to", "code": "1003", "name": "North Plant"}],
        "remarks": [{"kind": "L1", "text": "Gate 3"}],
        "items": [
            {
                "position": "10",
                "material": "NP-M8X40",
                "qty": 1200,
                "uom": "EA",
                "unitPrice": 0.42,
                "schedule": [{"qty": 0.1, "date": "12/14/2026"}],
            }
        ],
    }
    assert read(write(order, "boltco"), "boltco") == (order, [])


def test_a_number_that_json_would_round_is_written_as_text():
    order = PurchaseOrder(number="1", lines=(OrderLine(unit_price=Decimal("0.12345678901234567890")),))
    assert json.loads(write(order, "boltco"))["items"][0]["unitPrice"] == "0.12345678901234567890"


def test_unknown_keys_are_kept_said_and_written_back():
    document = changed(CONFIRMATION, clerk={"name": "Ada"}, supplier={"code": "1", "vat": "DE1"})
    record, findings = read_json(document)
    assert [(found.code, found.severity, found.pointer) for found in findings] == [
        ("json_unknown_key", Severity.NOTE, "#/supplier/vat"),
        ("json_unknown_key", Severity.NOTE, "#/clerk"),
    ]
    assert record.extra == {"supplier.vat": "DE1", "clerk": {"name": "Ada"}}
    written = json.loads(write(record, "boltco"))
    assert written["supplier"] == {"code": "1", "vat": "DE1"}
    assert written["clerk"] == {"name": "Ada"}


@pytest.mark.parametrize(
    ("change", "code", "pointer"),
    [
        ({"orderDate": "2026-11-28"}, "value_not_date", "#/orderDate"),
        ({"orderDate": 20261128}, "json_type", "#/orderDate"),
        ({"orderRevision": "two"}, "value_not_integer", "#/orderRevision"),
        ({"orderRevision": True}, "json_type", "#/orderRevision"),
        ({"salesOrder": {"no": 1}}, "json_type", "#/salesOrder"),
        ({"items": "none"}, "json_type", "#/items"),
        ({"items": [7]}, "json_type", "#/items/0"),
        ({"items": [{"orderedQty": "1,200"}]}, "value_not_number", "#/items/0/orderedQty"),
        (
            {"items": [{"confirmations": [{"status": "CONFIRMED", "qty": []}]}]},
            "json_type",
            "#/items/0/confirmations/0/qty",
        ),
        ({"items": [{"confirmations": [{"qty": 1}]}]}, "entry_incomplete", "#/items/0/confirmations/0"),
        ({"orderNumber": None}, "value_missing", "#/orderNumber"),
        ({"status": ""}, "value_missing", "#/status"),
        ({"supplier": 7}, "json_unknown_key", "#/supplier"),
    ],
)
def test_a_bad_value_is_one_finding_with_its_pointer(change, code, pointer):
    _, findings = read_json(changed(CONFIRMATION, **change))
    assert [(found.code, found.pointer) for found in findings] == [(code, pointer)]


def test_what_is_bad_is_kept_and_the_rest_is_read():
    record, _ = read_json(changed(CONFIRMATION, orderDate="soon", items=[7, {"position": 20, "orderedQty": "x"}]))
    assert record.extra == {"orderDate": "soon", "items": [7]}
    assert (record.lines[0].line_number, record.lines[0].extra) == ("20", {"orderedQty": "x"})


@pytest.mark.parametrize("document", [{}, {"messageType": "INVOICE"}, {"messageType": 7}])
def test_a_document_of_another_type_is_refused(document):
    record, findings = read_json(document)
    assert record is None
    assert [found.code for found in findings] == ["document_not_expected"]


def test_an_unknown_status_is_other_and_written_back_as_sent():
    record, _ = read_json(changed(CONFIRMATION, status="MAYBE"))
    assert record.disposition is Disposition.OTHER
    assert json.loads(write(record, "boltco"))["status"] == "MAYBE"


def test_what_the_shape_has_no_sheet_for_is_refused():
    with pytest.raises(LookupError, match="no map sheet for purchase_order_change"):
        write(PurchaseOrderChange(number="1"), "boltco")
    with pytest.raises(LookupError, match="no portal JSON shape 'nutco'; there are boltco"):
        read(b"{}", "nutco")
    assert shapes() == ["boltco"]


def test_findings_are_bounded_however_much_is_wrong():
    record, findings = read_json(changed(CONFIRMATION, **{f"key{number}": number for number in range(5_000)}))
    assert len(findings) == 200
    assert len(record.extra) == 5_000


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from([CONFIRMATION, DISPATCH]), st.data())
def test_no_value_anywhere_breaks_the_reader(document, data):
    broken = json.loads(json.dumps(document))
    here = broken
    while True:
        key = data.draw(st.sampled_from(sorted(here) if isinstance(here, dict) else range(len(here))))
        if isinstance(here[key], dict | list) and here[key] and data.draw(st.booleans()):
            here = here[key]
            continue
        here[key] = data.draw(JUNK)
        break
    record, _ = read(json.dumps(broken).encode(), "boltco")
    if record is not None:
        assert load(dump(record)) == record
        write(record, "boltco")


@pytest.mark.parametrize(("sent", "meant"), [("07:00", time(7)), ("23:59:30", time(23, 59, 30))])
def test_a_time_of_day_stands_as_text(sent, meant):
    clock = JsonWire().types["clock"]
    assert clock.decode is not None
    assert clock.decode(sent) == meant
    assert clock.encode(meant) == sent


@pytest.mark.parametrize(("sent", "refused"), [("07:00Z", ValueError), ("7 a.m.", ValueError), (700, TypeError)])
def test_what_names_a_zone_or_no_time_is_no_time_of_day(sent, refused):
    decode = JsonWire().types["clock"].decode
    assert decode is not None
    with pytest.raises(refused):
        decode(sent)
