"""What an order says of one line."""

from .rows import LINE, LINES, reads

LINES_OF_ORDERS = [
    reads(
        "a line without its number, with gaps between the product numbers",
        LINES,
        "PO1**5*EA*2.50****BP*B-1***VN*V-1 / CTT*1",
        written="PO1**5*EA*2.50**BP*B-1*VN*V-1 / CTT*1",
        lines=[
            {
                "quantity": "5",
                "unit": "EA",
                "unit_price": "2.50",
                "product_ids": [{"kind": "buyer_part", "value": "B-1"}, {"kind": "vendor_part", "value": "V-1"}],
            }
        ],
    ),
    reads(
        "a price per hundred",
        LINES,
        "PO1*1*5*EA*2.50*HP*BP*B-1 / CTT*1",
        lines=[
            {
                "line_number": "1",
                "quantity": "5",
                "unit": "EA",
                "unit_price": "2.50",
                "price_basis": "HP",
                "product_ids": [{"kind": "buyer_part", "value": "B-1"}],
            }
        ],
    ),
    reads(
        "further prices: retail, and a discount as a factor",
        LINE,
        "CTP*RS*RTL*5.99*10*EA / CTP******DIS*0.57",
        prices=[
            {"trade_class": "RS", "kind": "retail", "unit_price": "5.99", "quantity": "10", "unit": "EA"},
            {"factor_kind": "discount", "factor": "0.57"},
        ],
    ),
    reads(
        "measurements, and the range they must be in",
        LINE,
        "MEA*PD*WD*61.5*IN / MEA*TE**20*CE*18*22",
        measurements=[
            {"category": "dimensions", "kind": "width", "value": "61.5", "unit": "IN"},
            {"category": "temperature", "value": "20", "unit": "CE", "minimum": "18", "maximum": "22"},
        ],
    ),
    reads(
        "a description over several segments",
        LINE,
        "PID*F****HEX BOLT / PID*F****ZINC PLATED",
        description="HEX BOLT\nZINC PLATED",
    ),
    reads(
        "colour and size in words",
        LINE,
        "PID*F*73***NIGHT BLUE / PID*F*91***XL / PID*F****T-SHIRT",
        description="T-SHIRT",
        characteristics=[
            {"form": "free", "kind": "vendor_colour", "text": "NIGHT BLUE"},
            {"form": "free", "kind": "buyer_size", "text": "XL"},
        ],
    ),
    reads(
        "a property by a code of a list",
        LINE,
        "PID*S*38*VI*G2",
        characteristics=[{"form": "structured", "kind": "grade", "agency": "VI", "code": "G2"}],
    ),
    reads(
        "marking of the single line",
        LINE,
        "PKG*S*35*ZZ*LABEL-B",
        packing=[{"form": "structured", "kind": "35", "agency": "ZZ", "code": "LABEL-B"}],
    ),
    reads(
        "six packs of four, with weight, volume and measure of a pack",
        LINE,
        "PO4*6*4*EA*CTN*G*12.5*LB*1.2*CF*12*10*8*IN*2",
        packaging={
            "units_per_pack": "6",
            "size": "4",
            "unit": "EA",
            "kind": "CTN",
            "inner_packs": 2,
            "weight": {"value": "12.5", "unit": "LB", "kind": "gross"},
            "volume": {"value": "1.2", "unit": "CF"},
            "length": "12",
            "width": "10",
            "height": "8",
            "dimension_unit": "IN",
        },
    ),
    reads(
        "someone to call about the line",
        LINE,
        "PER*EA*A. BUYER*TE*5550102",
        contacts=[{"role": "expediter", "name": "A. BUYER", "phone": "5550102"}],
    ),
    reads(
        "an allowance per piece on the line",
        LINE,
        "SAC*A*B280***2256***0.47*EA*48",
        charges=[
            {"kind": "allowance", "code": "B280", "amount": "22.56", "rate": "0.47", "unit": "EA", "quantity": "48"}
        ],
    ),
    reads(
        "partial deliveries, each with its day",
        LINE,
        "SCH*3*EA***002*20261214 / SCH*2*EA***002*20261221*0830",
        schedules=[
            {"quantity": "3", "unit": "EA", "date_kind": "requested_delivery", "on": "2026-12-14"},
            {"quantity": "2", "unit": "EA", "date_kind": "requested_delivery", "on": "2026-12-21", "at": "08:30:00"},
        ],
    ),
    reads(
        "a partial delivery to another dock, with the day it is picked up",
        LINE,
        "SCH*3*EA*ST*DOCK 4*002*20261214**118*20261210",
        schedules=[
            {
                "quantity": "3",
                "unit": "EA",
                "recipient_role": "ship_to",
                "recipient": "DOCK 4",
                "date_kind": "requested_delivery",
                "on": "2026-12-14",
                "other_date_kind": "pick_up",
                "other_on": "2026-12-10",
            }
        ],
    ),
    reads(
        "stores, more than one segment has room for",
        LINE,
        "SDQ*EA*92*001*1*002*1*003*1*004*1*005*1*006*1*007*1*008*1*009*1*010*1 / SDQ*EA*92*011*1*012*1",
        destinations=[
            {"location": "001", "quantity": "1", "unit": "EA"},
            {"location": "002", "quantity": "1", "unit": "EA"},
            {"location": "003", "quantity": "1", "unit": "EA"},
            {"location": "004", "quantity": "1", "unit": "EA"},
            {"location": "005", "quantity": "1", "unit": "EA"},
            {"location": "006", "quantity": "1", "unit": "EA"},
            {"location": "007", "quantity": "1", "unit": "EA"},
            {"location": "008", "quantity": "1", "unit": "EA"},
            {"location": "009", "quantity": "1", "unit": "EA"},
            {"location": "010", "quantity": "1", "unit": "EA"},
            {"location": "011", "quantity": "1", "unit": "EA"},
            {"location": "012", "quantity": "1", "unit": "EA"},
        ],
    ),
    reads(
        "another ship-to for one line",
        LINE,
        "N1*ST*SOUTH PLANT*92*1004",
        parties=[{"role": "ship_to", "name": "SOUTH PLANT", "id": "1004", "id_type": "assigned_by_buyer"}],
    ),
    reads(
        "an assortment and what is in it",
        LINE,
        "SLN*1**I*4*EA****BP*C-79*UP*4995 / PID*F****RED / SLN*2*1*O*2*EA*1.25*PE**VN*V-80",
        components=[
            {
                "id": "1",
                "relationship": "included",
                "quantity": "4",
                "unit": "EA",
                "description": "RED",
                "product_ids": [{"kind": "buyer_part", "value": "C-79"}, {"kind": "upc", "value": "4995"}],
            },
            {
                "id": "2",
                "parent_id": "1",
                "relationship": "information",
                "quantity": "2",
                "unit": "EA",
                "unit_price": "1.25",
                "price_basis": "each",
                "product_ids": [{"kind": "vendor_part", "value": "V-80"}],
            },
        ],
    ),
    reads(
        "a note on the line",
        LINE,
        "N9*AH*A7*NOTE / ¶WEAR GLOVES",
        notes=[{"kind": "AH", "reference": "A7", "text": "WEAR GLOVES"}],
    ),
    reads(
        "numbers with more zeros than they need, and separators at the end",
        LINES,
        "PO1*0008*10.0*EA*.0100***** / CTT*1",
        written="PO1*0008*10.0*EA*0.0100 / CTT*1",
        lines=[{"line_number": "0008", "quantity": "10.0", "unit": "EA", "unit_price": "0.0100"}],
    ),
    reads(
        "the same item on two lines",
        LINES,
        "PO1*1*5*EA***VN*B-1 / PO1*2*7*EA***VN*B-1 / CTT*2",
        lines=[
            {
                "line_number": "1",
                "quantity": "5",
                "unit": "EA",
                "product_ids": [{"kind": "vendor_part", "value": "B-1"}],
            },
            {
                "line_number": "2",
                "quantity": "7",
                "unit": "EA",
                "product_ids": [{"kind": "vendor_part", "value": "B-1"}],
            },
        ],
    ),
    reads(
        "a line without unit and price",
        LINES,
        "PO1*1*5****VN*B-1 / CTT*1",
        lines=[{"line_number": "1", "quantity": "5", "product_ids": [{"kind": "vendor_part", "value": "B-1"}]}],
    ),
    reads(
        "a description that says it is the product",
        LINE,
        "PID*F*08***HEX BOLT",
        written="PID*F****HEX BOLT",
        description="HEX BOLT",
    ),
    reads(
        "a text that stands by itself",
        LINE,
        "MSG*FIRST QUALITY / MSG*BLACK",
        written="N9*ZZ**NOTE / ¶FIRST QUALITY / N9*ZZ**NOTE / ¶BLACK",
        notes=[{"text": "FIRST QUALITY"}, {"text": "BLACK"}],
    ),
    reads("a tax on the line, of which it is exempt", LINE, "TXI*TX*****2", taxes=[{"kind": "all", "exemption": "2"}]),
    reads(
        "a unit with a factor in an assortment",
        LINE,
        "SLN*1**I*10*PC>21.1*1.5",
        components=[
            {
                "id": "1",
                "relationship": "included",
                "quantity": "10",
                "unit": "PC",
                "unit_price": "1.5",
                "extra": {"SLN05": ["", "21.1"]},
            }
        ],
    ),
    reads("conditions of sale, which have no field", LINE, "IT8*SC", extra={"IT8": [["IT8", "SC"]]}),
]

FAULTS = [
    reads(
        "a product number without its kind",
        LINES,
        "PO1*1*5*EA*2.5***B-1 / CTT*1",
        found=("element_condition", "value_unpaired"),
        lines=[{"line_number": "1", "quantity": "5", "unit": "EA", "unit_price": "2.5", "extra": {"PO107": "B-1"}}],
    ),
    reads(
        "a quantity in words",
        LINES,
        "PO1*1*TEN*EA / CTT*1",
        found=("element_number",),
        lines=[{"line_number": "1", "unit": "EA", "extra": {"PO102": "TEN"}}],
    ),
]
