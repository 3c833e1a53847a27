"""Planning and shipping schedules."""

from decimal import Decimal
from functools import cache

from hypothesis import strategies as st

from edi_maps.canonical import (
    Authorization,
    CalledOffItem,
    CalledOffQuantity,
    Carrier,
    DeliveryPattern,
    Destination,
    Packaging,
    PatternedQuantities,
    PlannedItem,
    PlannedQuantity,
    PlanningSchedule,
    Purpose,
    Reference,
    ShippedQuantity,
    ShippingSchedule,
    TimedQuantity,
    Totals,
)

from .parts import (
    CONTACT,
    DATE_KIND,
    DATES,
    DESCRIPTION,
    PRODUCT_ID,
    REFERENCE,
    UNIT,
    clock,
    code,
    day,
    listed,
    maybe,
    number,
    party,
    quantity,
)

PURPOSE = st.sampled_from([Purpose.ORIGINAL, Purpose.REPLACE, Purpose.CANCEL, Purpose.CHANGE])
BASIS = st.sampled_from(["delivery", "shipment", "consumption", "kanban", "AD"])
COUNTING = st.sampled_from(["discrete", "cumulative"])
NUMBER = code(30)
DESTINATION = st.builds(Destination, location=code(17, 2), quantity=quantity(), unit=UNIT)
PATTERN = {
    "days": st.sampled_from(["none", "monday_to_friday", "wednesday", "as_needed", "X", "SG"]),
    "shift": st.sampled_from(["none", "first", "morning", "any"]),
}
AUTHORIZATION = st.builds(
    Authorization,
    kind=st.sampled_from(["finished", "material", "labour", "GS"]),
    until=day(),
    quantity=quantity(),
    most=maybe(quantity()),
    since=maybe(day()),
)
TIMED = st.builds(TimedQuantity, quantity=quantity(), time=clock(), references=listed(REFERENCE, 2))


@cache
@st.composite
def wanted(draw, /, model, **more):
    """One quantity; a time stands with the kind of its date, and a reference with its number."""
    timed, told = draw(st.booleans()), draw(st.booleans())
    return model(
        quantity=draw(quantity()),
        certainty=draw(st.sampled_from(["immediate", "firm", "planned", "prototype", "E"])),
        bucket=draw(st.sampled_from(["day", "week", "month", "flexible", "X"])),
        on=draw(day()),
        until=draw(maybe(day())),
        date_kind=draw(DATE_KIND) if timed else None,
        time=draw(clock()) if timed else None,
        reference=Reference(kind=draw(st.sampled_from(["delivery_order", "KB", "release"])), value=draw(NUMBER))
        if told
        else None,
        destinations=draw(listed(DESTINATION, 12)),
        **{name: draw(strategy) for name, strategy in more.items()},
    )


@cache
@st.composite
def shipped(draw):
    dated = draw(st.booleans())
    return ShippedQuantity(
        kind=draw(st.sampled_from(["discrete", "cumulative", "07"])),
        quantity=draw(quantity()),
        date_kind=draw(DATE_KIND) if dated else None,
        on=draw(day()) if dated else None,
        time=draw(maybe(clock())) if dated else None,
        until=draw(maybe(day())),
        until_time=draw(maybe(clock())),
        references=draw(listed(REFERENCE)),
    )


@cache
@st.composite
def item(draw, /, model, **more):
    priced = draw(st.booleans())
    return model(
        line_number=draw(maybe(code(20))),
        product_ids=tuple(draw(st.lists(PRODUCT_ID, min_size=1, max_size=11))),
        order_number=draw(maybe(code(22))),
        order_line=draw(maybe(code(6))),
        release_number=draw(maybe(NUMBER)),
        contract_number=draw(maybe(NUMBER)),
        unit=draw(UNIT) if priced else draw(maybe(UNIT)),
        unit_price=draw(number()) if priced else None,
        price_basis=draw(maybe(st.sampled_from(["each", "contract"]))) if priced else None,
        packaging=draw(
            maybe(
                st.builds(
                    Packaging, units_per_pack=st.integers(1, 9999).map(Decimal), size=st.just(Decimal(1)), unit=UNIT
                )
            )
        ),
        references=draw(listed(REFERENCE)),
        contacts=draw(listed(CONTACT, 2)),
        shipped=draw(listed(shipped(), 2)),
        **{name: draw(strategy) for name, strategy in more.items()},
    )


PLANNED_ITEM = item(
    PlannedItem,
    description=maybe(DESCRIPTION),
    dates=DATES,
    parties=listed(party(), 2),
    authorizations=listed(AUTHORIZATION, 2),
    schedules=listed(wanted(PlannedQuantity)),
    patterns=listed(st.builds(PatternedQuantities, **PATTERN, schedules=listed(wanted(PlannedQuantity))), 2),
)
CALLED_OFF_ITEM = item(
    CalledOffItem,
    pattern=maybe(st.builds(DeliveryPattern, **PATTERN)),
    schedules=listed(wanted(CalledOffQuantity, dates=DATES, times=listed(TIMED))),
)


@cache
@st.composite
def planning_schedule(draw):
    items = draw(st.lists(PLANNED_ITEM, min_size=1, max_size=2))
    scac = draw(maybe(st.just("NORT")))
    return PlanningSchedule(
        number=draw(NUMBER),
        release_number=draw(maybe(NUMBER)),
        purpose=draw(PURPOSE),
        basis=draw(BASIS),
        counting=draw(COUNTING),
        issued_on=draw(day()),
        starts_on=draw(day()),
        ends_on=draw(maybe(day())),
        updated_on=draw(maybe(day())),
        order_number=draw(maybe(code(22))),
        contract_number=draw(maybe(NUMBER)),
        currency=draw(maybe(st.sampled_from(["USD", "EUR"]))),
        description=draw(maybe(DESCRIPTION)),
        references=draw(listed(REFERENCE)),
        contacts=draw(listed(CONTACT, 2)),
        carrier=Carrier(scac=scac, mode="motor", routing="Via the north gate") if scac else None,
        parties=draw(listed(party())),
        dates=draw(DATES),
        totals=Totals(line_count=len(items), hash_total=draw(maybe(number(99_999, 0)))),
        items=tuple(items),
    )


@cache
@st.composite
def shipping_schedule(draw):
    items = draw(st.lists(CALLED_OFF_ITEM, min_size=1, max_size=2))
    return ShippingSchedule(
        number=draw(NUMBER),
        release_number=draw(maybe(NUMBER)),
        forecast_number=draw(maybe(NUMBER)),
        purpose=draw(PURPOSE),
        basis=draw(BASIS),
        counting=draw(maybe(COUNTING)),
        issued_on=draw(day()),
        starts_on=draw(day()),
        ends_on=draw(day()),
        order_number=draw(maybe(code(22))),
        contract_number=draw(maybe(NUMBER)),
        parties=draw(listed(party())),
        dates=draw(DATES),
        totals=Totals(line_count=len(items)),
        items=tuple(items),
    )
