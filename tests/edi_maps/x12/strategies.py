"""Full, realistic records, within what X12 can carry and in the form that reading gives them.

The form: list positions and identifiers as ``records.py`` documents them (packages numbered in the order of the hierarchy, items
in the order of the document, the SSCC apart from the marks, totals that say their count).
"""

from datetime import UTC, date, datetime
from decimal import Decimal

from hypothesis import strategies as st

from edi_maps.canonical import (
    AcknowledgmentLine,
    Address,
    Carrier,
    Contact,
    Destination,
    Disposition,
    LineResponse,
    LineStatus,
    Mark,
    Note,
    OrderAcknowledgment,
    OrderKind,
    OrderLine,
    Package,
    Packaging,
    Party,
    ProductId,
    PurchaseOrder,
    Purpose,
    Reference,
    Schedule,
    ShipNotice,
    ShippedItem,
    ShippedOrder,
    Term,
    Totals,
    Weight,
)

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def maybe(strategy):
    return st.none() | strategy


def listed(strategy, most=3):
    return st.lists(strategy, max_size=most).map(tuple)


def text(longest, alphabet=LETTERS + " -./&,'()#+éüß"):
    """What people write: no leading, trailing or double blanks, which carry no meaning on the wire."""
    return st.text(alphabet, min_size=1, max_size=longest).map(lambda raw: " ".join(raw.split()) or "x")


def code(longest, shortest=1):
    return st.text(LETTERS + "-", min_size=shortest, max_size=longest)


def number(most=999_999, places=3):
    return st.decimals(min_value=0, max_value=most, places=places, allow_nan=False, allow_infinity=False)


def quantity():
    return st.one_of(st.integers(1, 99_999).map(Decimal), number(9_999, 2).filter(bool))


def day():
    return st.dates(min_value=date(2000, 1, 1), max_value=date(2069, 12, 31))


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
    Note, kind=st.sampled_from(["ZZ", "L1", "AH"]), text=st.lists(text(264), min_size=1, max_size=3).map("\n".join)
)

ADDRESS = st.builds(
    Address,
    lines=st.lists(text(55), min_size=1, max_size=4).map(tuple),
    city=maybe(text(30).map(lambda city: city + "xx"[: max(0, 2 - len(city))])),
    region=maybe(st.sampled_from(["MI", "TX", "BY"])),
    postal_code=maybe(st.from_regex(r"[0-9]{5}", fullmatch=True)),
    country=maybe(st.sampled_from(["US", "DE", "MX"])),
)
CONTACT = st.builds(
    Contact,
    role=st.sampled_from(["buyer", "information", "receiving"]),
    name=maybe(text(60)),
    phone=maybe(st.from_regex(r"\+?[0-9]{7,14}", fullmatch=True)),
    email=maybe(st.just("dock@example.com")),
)


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


@st.composite
def schedule(draw):
    return Schedule(quantity=draw(quantity()), unit=draw(UNIT), date_kind=draw(DATE_KIND), on=draw(day()))


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
    packaging=maybe(
        st.builds(
            Packaging, units_per_pack=st.integers(1, 9999).map(Decimal), size=st.integers(1, 99).map(Decimal), unit=UNIT
        )
    ),
    parties=listed(party(), 2),
)


@st.composite
def purchase_order(draw):
    lines = draw(st.lists(ORDER_LINE, min_size=1, max_size=4))
    scac = draw(maybe(st.sampled_from(["ABCD", "NORT"])))
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
        carrier=Carrier(scac=scac, mode="motor", routing="Via the north gate") if scac else None,
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
    unit_price=maybe(number()),
    product_ids=st.lists(PRODUCT_ID, max_size=10).map(tuple),
    description=maybe(DESCRIPTION),
    responses=st.lists(response(), min_size=1, max_size=4).map(tuple),
)


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
        seller_reference=draw(maybe(code(30))),
        currency=draw(maybe(st.sampled_from(["USD", "EUR"]))),
        parties=draw(listed(party())),
        dates=draw(DATES),
        references=draw(listed(REFERENCE)),
        notes=draw(listed(NOTE, 2)),
        totals=Totals(line_count=len(lines)),
        lines=tuple(lines),
    )


def sscc(serial):
    body = f"1061414{serial:010d}"
    total = sum(int(digit) * (3 if index % 2 == 0 else 1) for index, digit in enumerate(body))
    return body + str(-total % 10)


WEIGHT = st.builds(
    Weight, value=number(9_999, 1).filter(bool), unit=st.sampled_from(["LB", "KG"]), kind=maybe(st.just("gross"))
)


class Shipment:
    """Grows one hierarchy, numbering as reading does."""

    def __init__(self, draw):
        self.draw, self.packages, self.items = draw, [], []

    def package(self, level, parent):
        draw = self.draw
        number = len(self.packages) + 1
        made = Package(
            id=str(number),
            parent_id=parent,
            level=level,
            marks=draw(
                listed(st.builds(Mark, kind=st.sampled_from(["carrier_package", "case_code"]), value=code(48)), 2)
            ),
            sscc=sscc(number) if draw(st.booleans()) else None,
            type=draw(maybe(st.sampled_from(["CTN25", "PLT94"]))),
            weight=draw(maybe(WEIGHT)),
        )
        self.packages.append(made)
        return made.id

    def fill(self, package_id, **order):
        draw = self.draw
        for _ in range(draw(st.integers(1, 3))):
            self.items.append(
                ShippedItem(
                    **order,
                    order_line=draw(maybe(code(20))),
                    quantity=draw(quantity()),
                    unit=draw(UNIT),
                    ordered_quantity=draw(maybe(quantity())),
                    product_ids=tuple(draw(st.lists(PRODUCT_ID, min_size=1, max_size=10))),
                    package_id=package_id,
                    lots=draw(listed(code(30), 2)),
                    serials=draw(listed(code(30), 2)),
                    references=draw(listed(REFERENCE, 2)),
                    description=draw(maybe(DESCRIPTION)),
                )
            )


@st.composite
def ship_notice(draw):
    shipment = Shipment(draw)
    orders = []
    for index in range(draw(st.integers(1, 3))):
        told = draw(st.booleans())
        store = f"{index:04d}" if told else None
        order = {
            "order_number": f"PO-{index}",
            "order_revision": draw(maybe(st.integers(0, 99))),
            "release_number": draw(maybe(code(30))),
            "store": store,
        }
        if told:
            buyer = Party(role="buyer", id=store, id_type="assigned_by_buyer")
            orders.append(
                ShippedOrder(
                    **order,
                    ordered_on=draw(maybe(day())),
                    parties=(buyer,),
                    references=draw(listed(REFERENCE)),
                    dates=draw(DATES),
                )
            )
        shape = draw(st.sampled_from(["I", "PI", "TI", "TPI"]))
        if shape == "I":
            shipment.fill(None, **order)
        for _ in range(0 if shape == "I" else draw(st.integers(1, 2))):
            outer = shipment.package("tare" if shape[0] == "T" else "pack", None)
            if shape == "TPI":
                for _ in range(draw(st.integers(1, 2))):
                    shipment.fill(shipment.package("pack", outer), **order)
            else:
                shipment.fill(outer, **order)
    levels = 1 + len({item.order_number for item in shipment.items}) + len(shipment.packages) + len(shipment.items)
    scac = draw(maybe(st.just("ABCD")))
    return ShipNotice(
        shipment_number=draw(code(30, 2)),
        purpose=draw(st.sampled_from([Purpose.ORIGINAL, Purpose.REPLACE, Purpose.CANCEL])),
        created_at=datetime.fromtimestamp(draw(st.integers(946_684_800, 3_155_673_600)), UTC),
        structure=draw(maybe(st.sampled_from(["0001", "0004"]))),
        dates=draw(DATES),
        carrier=Carrier(
            scac=scac, mode="motor", routing="North", tracking_number="PRO-1", bill_of_lading="BOL-9", trailer="T100"
        )
        if scac
        else None,
        parties=draw(listed(party())),
        references=draw(listed(REFERENCE)),
        weight=draw(maybe(WEIGHT)),
        orders=tuple(orders),
        packages=tuple(shipment.packages),
        items=tuple(shipment.items),
        totals=Totals(line_count=levels, packages=draw(maybe(st.integers(1, 999)))),
    )
