"""How goods are described, measured, priced, packed and sent."""

from decimal import Decimal
from functools import cache

from hypothesis import strategies as st

from edi_maps.canonical import (
    Characteristic,
    Component,
    Freight,
    Load,
    Mark,
    Measurement,
    Packaging,
    Price,
    SalesRequirement,
    Volume,
    Weight,
)

from .charges import charge
from .parts import (
    DATES,
    DESCRIPTION,
    NOTE,
    PRODUCT_ID,
    REFERENCE,
    UNIT,
    code,
    day,
    listed,
    maybe,
    number,
    quantity,
    text,
)

WEIGHT = st.builds(
    Weight, value=number(9_999, 1).filter(bool), unit=st.sampled_from(["LB", "KG"]), kind=maybe(st.just("gross"))
)
VOLUME = st.builds(Volume, value=number(9_999, 1).filter(bool), unit=st.sampled_from(["CF", "CR"]))

CHARACTERISTIC = st.builds(
    Characteristic,
    form=st.just("free"),
    kind=st.sampled_from(["vendor_colour", "vendor_size", "buyer_colour", "buyer_size"]),
    text=text(80),
) | st.builds(
    Characteristic,
    form=st.just("structured"),
    kind=st.just("grade"),
    agency=st.sampled_from(["VI", "ZZ"]),
    code=code(12),
)
PACKING = st.builds(Characteristic, form=st.just("free"), kind=maybe(st.sampled_from(["35", "66"])), text=text(80))


@cache
@st.composite
def measurement(draw):
    least = draw(maybe(number(99, 1)))
    return Measurement(
        category=draw(maybe(st.sampled_from(["dimensions", "weights", "temperature"]))),
        kind=draw(maybe(st.sampled_from(["length", "width", "gross_weight"]))),
        value=draw(number(9_999, 2)),
        unit=draw(UNIT),
        minimum=least,
        maximum=None if least is None else least + 5,
    )


@cache
@st.composite
def price(draw):
    counted = draw(st.booleans())
    return Price(
        kind=draw(st.sampled_from(["unit_cost", "retail", "suggested_retail", "catalog"])),
        trade_class=draw(maybe(st.sampled_from(["RS", "WS"]))),
        unit_price=draw(number()),
        quantity=draw(quantity()) if counted else None,
        unit=draw(UNIT) if counted else None,
        basis=draw(maybe(st.sampled_from(["each", "contract"]))),
    )


@cache
@st.composite
def packaging(draw):
    weight, volume = draw(maybe(WEIGHT)), draw(maybe(VOLUME))
    sides = draw(maybe(st.tuples(quantity(), quantity(), quantity())))
    length, width, height = sides or (None, None, None)
    return Packaging(
        units_per_pack=draw(st.integers(1, 9999).map(Decimal)),
        size=draw(st.integers(1, 99).map(Decimal)),
        unit=draw(UNIT),
        kind=draw(st.sampled_from(["CTN25", "PLT94"])),
        inner_packs=draw(maybe(st.integers(1, 99))),
        weight=weight,
        volume=volume,
        length=length,
        width=width,
        height=height,
        dimension_unit="IN" if sides else None,
    )


@cache
@st.composite
def freight(draw):
    place, terms = draw(maybe(text(80))), draw(maybe(st.sampled_from(["EXW", "DAP"])))
    return Freight(
        payment=draw(st.sampled_from(["prepaid", "collect", "third_party"])),
        location_kind="origin" if place else None,
        location=place,
        terms=terms,
        terms_list="01" if terms else None,
    )


REQUIREMENT = st.builds(
    SalesRequirement,
    kind=st.sampled_from(["no_backorder", "ship_complete", "do_not_ship_early"]),
    account=maybe(code(35)),
    on=maybe(day()),
)
COMPONENT = st.builds(
    Component,
    id=code(20),
    parent_id=maybe(code(20)),
    relationship=st.sampled_from(["included", "substituted", "information"]),
    quantity=quantity(),
    unit=UNIT,
    unit_price=number(),
    price_basis=maybe(st.just("each")),
    product_ids=st.lists(PRODUCT_ID, max_size=10).map(tuple),
    description=maybe(DESCRIPTION),
    characteristics=listed(CHARACTERISTIC, 1),
    dates=DATES,
    references=listed(REFERENCE, 1),
    notes=listed(NOTE, 1),
    charges=listed(charge(), 1),
    prices=listed(price(), 1),
)
#: A component of a ship notice, where nothing may follow SLN.
PART = st.builds(
    Component,
    id=code(20),
    relationship=st.just("included"),
    quantity=quantity(),
    unit=UNIT,
    product_ids=st.lists(PRODUCT_ID, max_size=10).map(tuple),
)
MARK = st.builds(Mark, kind=st.sampled_from(["carrier_package", "case_code"]), value=code(48), last=maybe(code(48)))
LOAD = st.builds(
    Load,
    containers=st.integers(1, 999),
    quantity=quantity(),
    packaging=maybe(st.just("PAT90")),
    references=listed(REFERENCE, 2),
)
