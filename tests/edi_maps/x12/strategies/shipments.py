"""Ship notices."""

from datetime import UTC, datetime
from functools import cache

from hypothesis import strategies as st

from edi_maps.canonical import (
    Carrier,
    Package,
    Party,
    Purpose,
    ShipNotice,
    ShippedItem,
    ShippedOrder,
    Totals,
)

from .charges import charge
from .goods import CHARACTERISTIC, LOAD, MARK, PART, VOLUME, WEIGHT, freight, measurement, packaging
from .parts import CONTACT, DATES, DESCRIPTION, PRODUCT_ID, REFERENCE, UNIT, code, day, listed, maybe, party, quantity


def sscc(serial):
    body = f"1061414{serial:010d}"
    total = sum(int(digit) * (3 if index % 2 == 0 else 1) for index, digit in enumerate(body))
    return body + str(-total % 10)


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
            marks=draw(listed(MARK, 2)),
            sscc=sscc(number) if draw(st.booleans()) else None,
            type=draw(maybe(st.sampled_from(["CTN25", "PLT94"]))),
            weight=draw(maybe(WEIGHT)),
            packaging=draw(maybe(packaging())),
            measurements=draw(listed(measurement(), 1)),
            references=draw(listed(REFERENCE, 1)),
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
                    dates=draw(DATES),
                    references=draw(listed(REFERENCE, 2)),
                    description=draw(maybe(DESCRIPTION)),
                    characteristics=draw(listed(CHARACTERISTIC, 1)),
                    measurements=draw(listed(measurement(), 1)),
                    packaging=draw(maybe(packaging())),
                    loads=draw(listed(LOAD, 2)),
                    marks=draw(listed(MARK, 1)),
                    components=draw(listed(PART, 1)),
                    parties=draw(listed(party(), 1)),
                )
            )


@cache
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
            scac=scac,
            mode="motor",
            routing="North",
            tracking_number="PRO-1",
            bill_of_lading="BOL-9",
            trailer="T100",
            seal=draw(maybe(code(15, 2))),
        )
        if scac
        else None,
        parties=draw(listed(party())),
        references=draw(listed(REFERENCE)),
        contacts=draw(listed(CONTACT, 1)),
        freight=draw(maybe(freight())),
        weight=draw(maybe(WEIGHT)),
        volume=draw(maybe(VOLUME)),
        measurements=draw(listed(measurement(), 1)),
        charges=draw(listed(charge(), 1)),
        orders=tuple(orders),
        packages=tuple(shipment.packages),
        items=tuple(shipment.items),
        totals=Totals(line_count=levels, packages=draw(maybe(st.integers(1, 999)))),
    )
