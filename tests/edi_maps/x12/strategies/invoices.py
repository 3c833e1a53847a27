"""Invoices."""

from functools import cache

from hypothesis import strategies as st

from edi_maps.canonical import (
    Carrier,
    Invoice,
    InvoiceCharge,
    InvoiceKind,
    InvoiceLine,
    InvoiceTotals,
    Purpose,
    Tax,
    Weight,
)

from .charges import charge
from .parts import (
    DATES,
    DESCRIPTION,
    NOTE,
    PRODUCT_ID,
    REFERENCE,
    TERM,
    UNIT,
    code,
    day,
    listed,
    maybe,
    number,
    party,
    quantity,
)


@cache
@st.composite
def tax(draw):
    jurisdiction = draw(maybe(code(10)))
    return Tax(
        kind=draw(st.sampled_from(["state_sales", "goods_and_services", "value_added", "ZZ"])),
        amount=draw(number()),
        percent=draw(maybe(number(99, 3))),
        taxable_amount=draw(maybe(number(999_999, 2))),
        jurisdiction=jurisdiction,
        jurisdiction_kind=draw(st.sampled_from(["VD", "CC"])) if jurisdiction else None,
        exemption=draw(maybe(st.just("2"))),
        tax_number=draw(maybe(code(20))),
    )


CHARGE = charge(InvoiceCharge, taxes=listed(tax(), 2))
CENTS = number(9_999_999, 2)

INVOICE_LINE = st.builds(
    InvoiceLine,
    line_number=maybe(code(20)),
    order_number=maybe(code(22)),
    order_line=maybe(code(20)),
    quantity=quantity(),
    unit=UNIT,
    unit_price=number(),
    price_basis=maybe(st.sampled_from(["each", "contract"])),
    product_ids=st.lists(PRODUCT_ID, max_size=8).map(tuple),
    description=maybe(DESCRIPTION),
    dates=DATES,
    references=listed(REFERENCE, 2),
    terms=listed(TERM, 1),
    taxes=listed(tax(), 2),
    charges=listed(CHARGE, 2),
    parties=listed(party(), 2),
)


@cache
@st.composite
def invoice(draw):
    lines = draw(st.lists(INVOICE_LINE, max_size=4))
    shipped = draw(maybe(quantity()))
    weight = draw(maybe(number(9_999, 1).filter(bool)))
    scac = draw(maybe(st.just("ABCD")))
    return Invoice(
        number=draw(code(22)),
        purpose=draw(maybe(st.sampled_from([Purpose.ORIGINAL, Purpose.CANCEL]))),
        kind=draw(maybe(st.sampled_from([kind for kind in InvoiceKind if kind is not InvoiceKind.OTHER]))),
        invoiced_on=draw(day()),
        order_number=draw(maybe(code(22))),
        ordered_on=draw(maybe(day())),
        release_number=draw(maybe(code(30))),
        currency=draw(maybe(st.sampled_from(["USD", "EUR"]))),
        parties=draw(listed(party())),
        dates=draw(DATES),
        references=draw(listed(REFERENCE)),
        terms=draw(listed(TERM, 2)),
        carrier=Carrier(scac=scac, mode="motor", routing="North", tracking_number="PRO-1", bill_of_lading="BOL-9")
        if scac
        else None,
        notes=draw(listed(NOTE, 2)),
        lines=tuple(lines),
        charges=draw(listed(CHARGE, 2)),
        taxes=draw(listed(tax(), 2)),
        totals=InvoiceTotals(
            line_count=len(lines),
            hash_total=draw(maybe(number(9_999, 1))),
            amount=draw(CENTS),
            discountable=draw(maybe(CENTS)),
            discounted=draw(maybe(CENTS)),
            discount=draw(maybe(CENTS)),
            shipped=shipped,
            shipped_unit=draw(UNIT) if shipped is not None else None,
            weight=Weight(value=weight, unit="LB") if weight is not None else None,
        ),
    )
