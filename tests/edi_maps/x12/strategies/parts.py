"""Values and the parts that records share.

What is drawn again and again is made once: to look through a strategy costs Hypothesis more than to draw from it.
"""

from datetime import date, time
from decimal import Decimal
from functools import cache

from hypothesis import strategies as st

from edi_maps.canonical import (
    Address,
    Contact,
    Note,
    Party,
    ProductId,
    Reference,
    Term,
)

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


@cache
def maybe(strategy):
    return st.none() | strategy


@cache
def listed(strategy, most=3):
    return st.lists(strategy, max_size=most).map(tuple)


@cache
def text(longest, alphabet=LETTERS + " -./&,'()#+éüß"):
    """What people write: no leading, trailing or double blanks, which carry no meaning on the wire."""
    return st.text(alphabet, min_size=1, max_size=longest).map(lambda raw: " ".join(raw.split()) or "x")


@cache
def code(longest, shortest=1):
    return st.text(LETTERS + "-", min_size=shortest, max_size=longest)


@cache
def number(most=999_999, places=3):
    return st.decimals(min_value=0, max_value=most, places=places, allow_nan=False, allow_infinity=False)


@cache
def quantity():
    return st.one_of(st.integers(1, 99_999).map(Decimal), number(9_999, 2).filter(bool))


@cache
def day():
    return st.dates(min_value=date(2000, 1, 1), max_value=date(2069, 12, 31))


@cache
def clock():
    return st.builds(time, st.integers(0, 23), st.integers(0, 59), st.integers(0, 59) | st.just(0))


UNIT = st.sampled_from(["EA", "CA", "KG", "PC", "DZ"])
ID_KIND = st.sampled_from(
    ["buyer_part", "vendor_part", "manufacturer_part", "gtin", "upc", "ean", "isbn", "sku", "colour", "VS"]
)
DATE_KIND = st.sampled_from(
    [
        "requested_delivery",
        "requested_ship",
        "cancel_after",
        "ship_not_before",
        "promised_delivery",
        "shipped",
        "expected_delivery",
    ]
)
REFERENCE_KIND = st.sampled_from(
    ["department", "vendor_number", "promotion", "contract", "packing_list", "invoice", "customer_order"]
)

PRODUCT_ID = st.builds(ProductId, kind=ID_KIND, value=code(48))
REFERENCE = st.builds(Reference, kind=REFERENCE_KIND, value=code(30), description=maybe(text(80)))
DATES = st.dictionaries(DATE_KIND, day(), max_size=4)
# 80 is the width of PID05; a line longer than its element comes back as two.
DESCRIPTION = st.lists(text(80), min_size=1, max_size=3).map("\n".join)
NOTE = st.builds(
    Note,
    kind=st.sampled_from(["ZZ", "L1", "AH"]),
    text=st.lists(text(264), min_size=1, max_size=3).map("\n".join),
    reference=maybe(code(30)),
    title=maybe(text(45)),
)

ADDRESS = st.builds(
    Address,
    lines=st.lists(text(55), min_size=1, max_size=4).map(tuple),
    city=maybe(text(30).map(lambda city: city + "xx"[: max(0, 2 - len(city))])),
    region=maybe(st.sampled_from(["MI", "TX", "BY"])),
    postal_code=maybe(st.from_regex(r"[0-9]{5}", fullmatch=True)),
    country=maybe(st.sampled_from(["US", "DE", "MX"])),
    location_kind=st.just("DE"),
    location=maybe(code(30)),
)
CONTACT = st.builds(
    Contact,
    role=st.sampled_from(["buyer", "information", "receiving"]),
    name=maybe(text(60)),
    phone=maybe(st.from_regex(r"\+?[0-9]{7,14}", fullmatch=True)),
    email=maybe(st.just("dock@example.com")),
    fax=maybe(st.from_regex(r"[0-9]{7,14}", fullmatch=True)),
)


@cache
@st.composite
def party(draw, roles=("buyer", "seller", "ship_to", "ship_from", "bill_to", "vendor", "manufacturer")):
    named = draw(st.booleans())
    return Party(
        role=draw(st.sampled_from(roles)),
        name=draw(text(60)) if named else draw(maybe(text(60))),
        id=(identifier := draw(code(17, 2)) if not named else draw(maybe(code(17, 2)))),
        id_type=draw(st.sampled_from(["duns", "assigned_by_buyer", "assigned_by_seller", "gln"]))
        if identifier
        else None,
        address=draw(maybe(ADDRESS)),
        more_names=draw(listed(text(60), 2)),
        references=draw(listed(REFERENCE, 1)),
        contacts=draw(listed(CONTACT, 2)),
    )


TERM = st.builds(
    Term,
    kind=st.sampled_from(["01", "05", "14"]),
    basis=maybe(st.sampled_from(["1", "3"])),
    discount_percent=number(99, 2),
    discount_days=st.integers(1, 999),
    net_days=st.integers(1, 999),
    description=maybe(text(80)),
)
