"""Orders and their answers."""

from decimal import Decimal
from functools import cache

from hypothesis import strategies as st

from edi_maps.canonical import (
    AcknowledgmentLine,
    Carrier,
    Destination,
    Disposition,
    LineResponse,
    LineStatus,
    OrderAcknowledgment,
    OrderKind,
    OrderLine,
    PurchaseOrder,
    Purpose,
    Schedule,
    Totals,
)

from .charges import charge
from .goods import CHARACTERISTIC, COMPONENT, PACKING, REQUIREMENT, freight, measurement, packaging, price
from .parts import (
    CONTACT,
    DATE_KIND,
    DATES,
    DESCRIPTION,
    NOTE,
    PRODUCT_ID,
    REFERENCE,
    TERM,
    UNIT,
    clock,
    code,
    day,
    listed,
    maybe,
    number,
    party,
    quantity,
    text,
)


@cache
@st.composite
def schedule(draw):
    recipient, second = draw(maybe(text(60))), draw(maybe(day()))
    return Schedule(
        quantity=draw(quantity()),
        unit=draw(UNIT),
        recipient_role="ship_to" if recipient else None,
        recipient=recipient,
        date_kind=draw(DATE_KIND),
        on=draw(day()),
        at=draw(maybe(clock())),
        other_date_kind=draw(DATE_KIND) if second else None,
        other_on=second,
    )


ORDER_LINE = st.builds(
    OrderLine,
    line_number=code(20),
    quantity=quantity(),
    unit=UNIT,
    unit_price=number(),
    price_basis=maybe(st.sampled_from(["each", "contract", "list"])),
    product_ids=st.lists(PRODUCT_ID, max_size=10).map(tuple),
    description=maybe(DESCRIPTION),
    dates=DATES,
    schedules=listed(schedule()),
    destinations=listed(st.builds(Destination, location=code(17, 2), quantity=quantity(), unit=UNIT), 25),
    references=listed(REFERENCE),
    notes=listed(NOTE, 2),
    characteristics=listed(CHARACTERISTIC, 1),
    measurements=listed(measurement(), 1),
    prices=listed(price(), 1),
    charges=listed(charge(), 1),
    contacts=listed(CONTACT, 1),
    packaging=maybe(packaging()),
    packing=listed(PACKING, 1),
    parties=listed(party(), 2),
    components=listed(COMPONENT, 1),
)


@cache
@st.composite
def purchase_order(draw):
    lines = draw(st.lists(ORDER_LINE, min_size=1, max_size=4))
    return PurchaseOrder(
        number=draw(code(22)),
        revision=draw(maybe(st.integers(0, 99))),
        purpose=draw(st.sampled_from([purpose for purpose in Purpose if purpose is not Purpose.OTHER])),
        kind=draw(st.sampled_from([kind for kind in OrderKind if kind is not OrderKind.OTHER])),
        ordered_on=draw(day()),
        currency=draw(maybe(st.sampled_from(["USD", "EUR"]))),
        release_number=draw(maybe(code(30))),
        contract_number=draw(maybe(code(30))),
        parties=draw(listed(party())),
        dates=draw(DATES),
        references=draw(listed(REFERENCE)),
        terms=draw(listed(TERM, 2)),
        contacts=draw(listed(CONTACT, 2)),
        requirements=draw(listed(REQUIREMENT, 2)),
        charges=draw(listed(charge(), 2)),
        freight=draw(maybe(freight())),
        packing=draw(listed(PACKING, 2)),
        carrier=draw(
            st.sampled_from(
                [
                    None,
                    Carrier(routing="Any road"),
                    Carrier(scac="ABCD", mode="motor", transit_time=Decimal(3), transit_unit="calendar_days"),
                    Carrier(id="P3", id_type="assigned_by_buyer", routing="Via the north gate"),
                ]
            )
        ),
        notes=draw(listed(NOTE, 2)),
        totals=Totals(line_count=len(lines), hash_total=draw(maybe(number(99_999, 0))), amount=draw(maybe(number()))),
        lines=tuple(lines),
    )


STATUS = st.sampled_from(
    [
        (LineStatus.ACCEPTED, "IA"),
        (LineStatus.QUANTITY_CHANGED, "IQ"),
        (LineStatus.BACKORDERED, "IB"),
        (LineStatus.SUBSTITUTED, "IS"),
        (LineStatus.ON_HOLD, "IF"),
        (LineStatus.REJECTED, "R2"),
        (LineStatus.DATE_CHANGED, "DR"),
    ]
)


@cache
@st.composite
def response(draw):
    status, sent = draw(STATUS)
    promised = draw(st.booleans())
    return LineResponse(
        status=status,
        code=sent,
        quantity=draw(quantity()),
        unit=draw(UNIT),
        date_kind=draw(DATE_KIND) if promised else None,
        on=draw(day()) if promised else None,
        product_ids=tuple(draw(st.lists(PRODUCT_ID, max_size=10))),
    )


ACKNOWLEDGMENT_LINE = st.builds(
    AcknowledgmentLine,
    line_number=code(20),
    quantity=quantity(),
    unit=UNIT,
    unit_price=number(),
    price_basis=maybe(st.just("each")),
    product_ids=st.lists(PRODUCT_ID, max_size=10).map(tuple),
    description=maybe(DESCRIPTION),
    prices=listed(price(), 1),
    charges=listed(charge(), 1),
    dates=DATES,
    references=listed(REFERENCE, 2),
    schedules=listed(schedule(), 2),
    notes=listed(NOTE, 1),
    parties=listed(party(), 1),
    responses=st.lists(response(), min_size=1, max_size=4).map(tuple),
)


@cache
@st.composite
def order_acknowledgment(draw):
    lines = draw(st.lists(ACKNOWLEDGMENT_LINE, max_size=4))
    return OrderAcknowledgment(
        order_number=draw(code(22)),
        order_revision=draw(maybe(st.integers(0, 99))),
        release_number=draw(maybe(code(30))),
        contract_number=draw(maybe(code(30))),
        ordered_on=draw(day()),
        purpose=draw(st.sampled_from([Purpose.ORIGINAL, Purpose.CONFIRMATION])),
        disposition=draw(st.sampled_from([kind for kind in Disposition if kind is not Disposition.OTHER])),
        acknowledged_on=draw(maybe(day())),
        request_reference=draw(maybe(code(45))),
        seller_reference=draw(maybe(code(30))),
        currency=draw(maybe(st.sampled_from(["USD", "EUR"]))),
        parties=draw(listed(party())),
        dates=draw(DATES),
        references=draw(listed(REFERENCE)),
        notes=draw(listed(NOTE, 2)),
        totals=Totals(line_count=len(lines)),
        lines=tuple(lines),
    )
