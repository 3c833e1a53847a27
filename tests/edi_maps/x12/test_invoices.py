"""Invoices: amounts in cents, charges with their taxes, lines of several orders."""

from datetime import date
from decimal import Decimal

import pytest

from edi_maps.canonical import Invoice, InvoiceCharge, InvoiceKind, InvoiceLine, InvoiceTotals, Tax
from edi_maps.findings import Verdict
from edi_maps.x12 import read, write
from tests.services import CORPUS, need

from .documents import document
from .test_golden import only_set
from .test_round_trip import envelope


def read_invoice(*body):
    one = only_set(document("BIG*20261130*INV-1", *body, code="810"))
    assert isinstance(one.record, Invoice)
    return one.record


def invoice(**fields):
    fields.setdefault("totals", InvoiceTotals(amount=Decimal("480.65")))
    return Invoice(number="INV-1", invoiced_on=date(2026, 11, 30), **fields)


def segments(record):
    return write(record, envelope("004010")).decode("latin-1").split("~")[3:-4]


def test_totals_are_in_cents_and_prices_are_not():
    record = read_invoice("IT1*1*3*EA*160.2", "TDS*48060*-5*48065*0")
    assert record.lines[0].unit_price == Decimal("160.2")
    assert record.totals == InvoiceTotals(
        amount=Decimal("480.60"),
        discountable=Decimal("-0.05"),
        discounted=Decimal("480.65"),
        discount=Decimal(0),
    )


@pytest.mark.parametrize(("amount", "sent"), [("480.65", "48065"), ("480", "48000"), ("-0.5", "-50"), ("0", "0")])
def test_an_amount_is_written_in_cents(amount, sent):
    assert f"TDS*{sent}" in segments(invoice(totals=InvoiceTotals(amount=Decimal(amount))))


def test_a_total_of_less_than_a_cent_is_refused():
    with pytest.raises(ValueError, match=r"totals\.amount: 1\.005 has more than 2 decimals"):
        write(invoice(totals=InvoiceTotals(amount=Decimal("1.005"))), envelope("004010"))


def test_an_invoice_without_its_total_cannot_be_written():
    with pytest.raises(ValueError, match=r"totals\.amount is needed for TDS01"):
        write(invoice(totals=None), envelope("004010"))


def test_a_total_with_a_decimal_point_is_read_as_meant_and_refused():
    one = only_set(document("BIG*20261130*INV-1", "TDS*480.65", code="810"))
    assert one.record.totals.amount == Decimal("480.65")
    assert [(found.code, found.segment, found.element) for found in one.findings] == [("element_number", "TDS", 1)]


def test_a_tax_stands_with_what_it_is_on():
    record = read_invoice(
        *("IT1*1*3*EA*10", "TXI*ST*2.1*7", "SAC*C*D240***1500", "TXI*ST*1.05*7"),
        *("TDS*4815", "TXI*ST*3.15*7", "SAC*A*C310***300", "TXI*ST*-.21*7"),
    )
    [line] = record.lines
    assert [tax.amount for tax in line.taxes] == [Decimal("2.1")]
    assert [tax.amount for charge in line.charges for tax in charge.taxes] == [Decimal("1.05")]
    assert [tax.amount for tax in record.taxes] == [Decimal("3.15")]
    assert [tax.amount for charge in record.charges for tax in charge.taxes] == [Decimal("-0.21")]


def test_charges_and_taxes_are_written_with_what_they_belong_to():
    freight = InvoiceCharge(
        kind="charge", code="D240", amount=Decimal(15), taxes=(Tax(kind="value_added", percent=Decimal(19)),)
    )
    line = InvoiceLine(line_number="1", quantity=Decimal(3), unit="EA", unit_price=Decimal(10), charges=(freight,))
    assert segments(invoice(lines=(line,), charges=(freight,)))[1:] == [
        *("IT1*1*3*EA*10", "SAC*C*D240***1500", "TXI*VA**19"),
        *("TDS*48065", "SAC*C*D240***1500", "TXI*VA**19", "CTT*1"),
    ]


@pytest.mark.parametrize(
    ("sent", "kind"),
    [("DI", InvoiceKind.DEBIT), ("CN", InvoiceKind.CREDIT), ("CR", InvoiceKind.CREDIT_MEMO), ("N6", InvoiceKind.OTHER)],
)
def test_the_kind_is_named_and_its_code_survives(sent, kind):
    one = only_set(document(f"BIG*20261130*INV-1*****{sent}", "TDS*100", code="810"))
    assert one.verdict is Verdict.ACCEPTED
    assert one.record.kind is kind
    assert segments(one.record)[0] == f"BIG*20261130*INV-1*****{sent}"


def test_a_line_names_its_order_by_a_pair_or_by_a_reference():
    first, second, third = read_invoice(
        *("IT1*1*1*EA*1**BP*A*PO*PO-1*PL*3", "IT1*2*1*EA*1**BP*B", "REF*PO*PO-2"),
        *("IT1*3*1*EA*1**PO*PO-3", "REF*PO*PO-4", "TDS*300"),
    ).lines
    assert (first.order_number, first.order_line) == ("PO-1", "3")
    assert second.order_number == "PO-2"
    assert (third.order_number, third.extra) == ("PO-3", {"REF(PO)02": "PO-4"})


def test_every_invoice_of_the_field_is_accepted_with_its_number_and_its_lines():
    need(CORPUS, "GATEWAY_CORPUS names no folder of sample documents")
    assert CORPUS is not None
    for path in sorted((CORPUS / "x12-810").iterdir()):
        for group in read(path.read_bytes())[0].groups:
            for one in group.sets:
                assert one.verdict is Verdict.ACCEPTED, (path.name, one.findings)
                assert isinstance(one.record, Invoice)
                assert one.record.number and one.record.totals, path.name
                # CTT01 counts the lines, in all of them.
                assert len(one.record.lines) == one.record.totals.line_count, path.name
