"""Allowances and charges."""

from functools import cache

from hypothesis import strategies as st

from edi_maps.canonical import Charge

from .parts import UNIT, code, maybe, number, text

KIND = st.sampled_from(["allowance", "charge", "service", "none"])
WHAT = st.sampled_from(["C310", "D240", "G830", "H850"])


@cache
@st.composite
def charge(draw, /, model=Charge, **more):
    percent = draw(maybe(number(99, 2)))
    agency_code = draw(maybe(code(10)))
    return model(
        kind=draw(KIND),
        code=draw(WHAT),
        agency="VI" if agency_code else None,
        agency_code=agency_code,
        amount=draw(number(9_999_999, 2)),
        percent=percent,
        percent_basis=draw(st.sampled_from(["1", "Z"])) if percent is not None else None,
        rate=draw(maybe(number(9_999, 3))),
        unit=draw(maybe(UNIT)),
        quantity=draw(maybe(number(9_999, 2))),
        settlement=draw(maybe(st.sampled_from(["off_invoice", "bill_back", "09"]))),
        reference=draw(maybe(code(30))),
        description=draw(maybe(text(80))),
        **{field: draw(strategy) for field, strategy in more.items()},
    )


CHARGE = charge()
