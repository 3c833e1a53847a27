"""Inventory advices."""

from functools import cache

from hypothesis import strategies as st

from edi_maps.canonical import (
    Destination,
    InventoryAdvice,
    InventoryItem,
    Price,
    Purpose,
    Schedule,
    StockQuantity,
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

STOCK = st.decimals(min_value=-9_999, max_value=99_999, places=2)
SCHEDULE = st.builds(Schedule, quantity=quantity(), unit=UNIT, date_kind=DATE_KIND, on=day())
STOCK_QUANTITY = st.builds(
    StockQuantity,
    kind=st.sampled_from(["on_hand", "available", "in_transit", "on_order", "minimum_stock", "AJ"]),
    quantity=STOCK,
    unit=maybe(UNIT),
    dates=DATES,
    schedules=listed(SCHEDULE),
)
CURRENCY = maybe(st.sampled_from(["USD", "EUR"]))


@cache
@st.composite
def price(draw):
    """A quantity stands with its unit, and a basis with the kind of price."""
    graded = draw(st.booleans())
    return Price(
        kind=draw(st.sampled_from(["unit_cost", "suggested_retail", "resale", "ALT"])),
        unit_price=draw(number()),
        quantity=draw(quantity()) if graded else None,
        unit=draw(UNIT) if graded else None,
        basis=draw(maybe(st.sampled_from(["each", "contract"]))),
    )


@cache
@st.composite
def inventory_item(draw):
    priced = draw(st.booleans())
    return InventoryItem(
        line_number=draw(maybe(code(20))),
        product_ids=tuple(draw(st.lists(PRODUCT_ID, min_size=1, max_size=15))),
        description=draw(maybe(DESCRIPTION)),
        unit=draw(UNIT) if priced else draw(maybe(UNIT)),
        unit_price=draw(number()) if priced else None,
        price_basis=draw(maybe(st.just("each"))) if priced else None,
        currency=draw(CURRENCY),
        prices=draw(listed(price())),
        dates=draw(DATES),
        lots=draw(listed(code(30))),
        serials=draw(listed(code(30))),
        references=draw(listed(REFERENCE)),
        contacts=draw(listed(CONTACT, 2)),
        quantities=draw(listed(STOCK_QUANTITY)),
        locations=draw(listed(st.builds(Destination, location=code(17, 2), quantity=quantity(), unit=UNIT), 25)),
        parties=draw(listed(party(), 2)),
    )


@cache
@st.composite
def inventory_advice(draw):
    items = draw(st.lists(inventory_item(), min_size=1, max_size=3))
    return InventoryAdvice(
        number=draw(code(30)),
        purpose=draw(st.sampled_from([Purpose.ORIGINAL, Purpose.REPLACE])),
        kind=draw(st.sampled_from(["seller", "manufacturer", "location", "CO"])),
        reported_on=draw(day()),
        reported_at=draw(maybe(clock())),
        currency=draw(CURRENCY),
        dates=draw(DATES),
        references=draw(listed(REFERENCE)),
        contacts=draw(listed(CONTACT, 2)),
        parties=draw(listed(party())),
        items=tuple(items),
        totals=Totals(line_count=len(items)),
    )
