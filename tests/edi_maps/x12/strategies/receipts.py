"""Receiving advices."""

from functools import cache

from hypothesis import strategies as st

from edi_maps.canonical import Carrier, Condition, Discrepancy, Mark, Purpose, ReceivedLine, ReceivingAdvice, Totals

from .charges import CHARGE
from .goods import WEIGHT
from .parts import DATES, DESCRIPTION, PRODUCT_ID, REFERENCE, UNIT, code, day, listed, maybe, number, party, quantity

CONDITION = st.sampled_from(
    [
        (Condition.DAMAGED, "01"),
        (Condition.SHORT, "02"),
        (Condition.OVER_RETURNED, "12"),
        (Condition.GOOD, "07"),
        (Condition.OTHER, "99"),
    ]
)


@cache
@st.composite
def discrepancy(draw):
    condition, sent = draw(CONDITION)
    return Discrepancy(quantity=draw(maybe(quantity())), unit=draw(maybe(UNIT)), condition=condition, code=sent)


@cache
@st.composite
def received_line(draw):
    returned = draw(maybe(quantity()))
    shipped = draw(maybe(quantity()))
    ids = draw(st.lists(PRODUCT_ID, max_size=10))
    return ReceivedLine(
        line_number=draw(maybe(code(20))),
        order_number=draw(maybe(code(22))),
        order_line=draw(maybe(code(20))) if ids else None,
        received=draw(quantity()),
        unit=draw(UNIT),
        returned=returned,
        returned_unit=draw(UNIT) if returned is not None else None,
        shipped=shipped,
        shipped_unit=draw(UNIT) if shipped is not None else None,
        received_to_date=draw(maybe(number())),
        discrepancies=draw(listed(discrepancy(), 5)),
        product_ids=tuple(ids),
        description=draw(maybe(DESCRIPTION)),
        lots=draw(listed(code(30), 2)),
        serials=draw(listed(code(30), 2)),
        marks=draw(listed(st.builds(Mark, kind=st.sampled_from(["sscc", "case_code"]), value=code(48)), 2)),
        dates=draw(DATES),
        references=draw(listed(REFERENCE, 2)),
        charges=draw(listed(CHARGE, 2)),
        parties=draw(listed(party(), 2)),
    )


@cache
@st.composite
def receiving_advice(draw):
    lines = draw(st.lists(received_line(), max_size=4))
    scac = draw(maybe(st.just("ABCD")))
    ordered = draw(maybe(code(22)))
    return ReceivingAdvice(
        number=draw(code(30)),
        purpose=draw(st.sampled_from([Purpose.ORIGINAL, Purpose.REPLACE, Purpose.CANCEL])),
        kind=draw(st.sampled_from(["from_the_dock", "posted", "3"])),
        condition=draw(maybe(st.sampled_from([Condition.GOOD, Condition.SHORT]))),
        created_on=draw(day()),
        received_on=draw(maybe(day())),
        shipment_number=draw(maybe(code(30))),
        order_number=ordered,
        release_number=draw(maybe(code(30))) if ordered else None,
        ordered_on=draw(maybe(day())) if ordered else None,
        contract_number=draw(maybe(code(30))) if ordered else None,
        currency=draw(maybe(st.sampled_from(["USD", "EUR"]))),
        parties=draw(listed(party())),
        dates=draw(DATES),
        references=draw(listed(REFERENCE)),
        carrier=Carrier(
            scac=scac, mode="motor", routing="North", tracking_number="PRO-1", bill_of_lading="BOL-9", trailer="T100"
        )
        if scac
        else None,
        weight=draw(maybe(WEIGHT)),
        lines=tuple(lines),
        totals=Totals(line_count=len(lines), packages=draw(maybe(st.integers(1, 999)))),
    )
