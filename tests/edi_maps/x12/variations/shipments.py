"""What ship notices say of a shipment, its packages and items."""

from .rows import ITEM, PACK, SHIPMENT, reads

SHIPMENTS = [
    reads(
        "pallets and cartons, weight and volume of the shipment",
        SHIPMENT,
        "TD1*CTN25*6****G*280*LB*12*CF",
        totals={"line_count": 1, "packages": 6, "package_type": "CTN25"},
        weight={"value": "280", "unit": "LB", "kind": "gross"},
        volume={"value": "12", "unit": "CF"},
    ),
    reads(
        "everything ordered is on this truck",
        SHIPMENT,
        "TD5**2*ABCD*M*NORTH*CC",
        carrier={"scac": "ABCD", "mode": "motor", "routing": "NORTH"},
        status="complete",
    ),
    reads(
        "a trailer, whose it is, and its seal",
        SHIPMENT,
        "TD3*TL*ABCD*5671******S-99",
        carrier={"trailer": "5671", "trailer_owner": "ABCD", "seal": "S-99"},
    ),
    reads(
        "the dock to call, freight and a fuel charge",
        SHIPMENT,
        "PER*SH*DOCK*TE*5550104 / FOB*CC / SAC*C*F050***1800",
        contacts=[{"role": "shipping", "name": "DOCK", "phone": "5550104"}],
        freight={"payment": "collect"},
        charges=[{"kind": "charge", "code": "F050", "amount": "18.00"}],
    ),
    reads(
        "measurements of the whole load",
        SHIPMENT,
        "MEA*PD*HT*415*CM",
        measurements=[{"category": "dimensions", "kind": "height", "value": "415", "unit": "CM"}],
    ),
    reads(
        "a container in place of a trailer",
        SHIPMENT,
        "TD3*CN*MOLU*5671238",
        carrier={"equipment": "CN", "trailer": "5671238", "trailer_owner": "MOLU"},
    ),
]

PACKAGES = [
    reads(
        "several marks, one of them a range",
        PACK,
        "MAN*CP*1Z999AA1 / MAN*UC*0001*0009",
        marks=[
            {"kind": "carrier_package", "value": "1Z999AA1"},
            {"kind": "case_code", "value": "0001", "last": "0009"},
        ],
    ),
    reads(
        "a package measured and weighed, with a number of its own",
        PACK,
        "PO4*1*12*EA*CTN**10*KG*0.02*CR*40*30*20*CM / MEA*WT*G*10.4*KG / REF*WS*417",
        packaging={
            "units_per_pack": "1",
            "size": "12",
            "unit": "EA",
            "kind": "CTN",
            "weight": {"value": "10", "unit": "KG"},
            "volume": {"value": "0.02", "unit": "CR"},
            "length": "40",
            "width": "30",
            "height": "20",
            "dimension_unit": "CM",
        },
        measurements=[{"category": "weights", "kind": "gross_weight", "value": "10.4", "unit": "KG"}],
        references=[{"kind": "WS", "value": "417"}],
    ),
    reads(
        "two marks in one segment",
        PACK,
        "MAN*UC*0001*0009*CP*1Z999AA1",
        written="MAN*UC*0001*0009 / MAN*CP*1Z999AA1",
        marks=[
            {"kind": "case_code", "value": "0001", "last": "0009"},
            {"kind": "carrier_package", "value": "1Z999AA1"},
        ],
    ),
    reads(
        "an SSCC and the number of the carrier",
        PACK,
        "MAN*GM*00106141411234567897**CP*1Z999AA1",
        written="MAN*GM*00106141411234567897 / MAN*CP*1Z999AA1",
        sscc="106141411234567897",
        marks=[{"kind": "carrier_package", "value": "1Z999AA1"}],
    ),
]

ITEMS = [
    reads(
        "a lot with the days it was made and lasts",
        ITEM,
        "LIN*1*BP*B-1 / SN1**5*EA / REF*LT*L-17 / DTM*405*20260801 / DTM*208*20280801",
        lots=["L-17"],
        dates={"produced": "2026-08-01", "lot_expiry": "2028-08-01"},
    ),
    reads(
        "shipped so far, and what was ordered",
        ITEM,
        "LIN*1*BP*B-1 / SN1**5*EA*32*40*EA**AC",
        quantity="5",
        unit="EA",
        quantity_to_date="32",
        ordered_quantity="40",
        status="shipped",
    ),
    reads(
        "six containers of 266 each, and their labels",
        ITEM,
        "LIN*1*BP*B-1 / SN1**1596*EA / CLD*6*266*PAT90 / REF*LS*S1001",
        loads=[
            {"containers": 6, "quantity": "266", "packaging": "PAT90", "references": [{"kind": "LS", "value": "S1001"}]}
        ],
    ),
    reads(
        "who made it",
        ITEM,
        "LIN*1*BP*B-1 / SN1**5*EA / N1*MF*BOLT WORKS",
        parties=[{"role": "manufacturer", "name": "BOLT WORKS"}],
    ),
    reads(
        "how the item is packed, and a mark on every piece",
        ITEM,
        "LIN*1*BP*B-1 / SN1**5*EA / PO4*1*5*EA / MAN*CA*BOX-1",
        packaging={"units_per_pack": "1", "size": "5", "unit": "EA"},
        marks=[{"kind": "shipper_package", "value": "BOX-1"}],
    ),
    reads(
        "the parts of a kit",
        ITEM,
        "LIN*1*BP*B-1 / SN1**5*EA / SLN*1**I*2*EA****VN*V-9",
        components=[
            {
                "id": "1",
                "relationship": "included",
                "quantity": "2",
                "unit": "EA",
                "product_ids": [{"kind": "vendor_part", "value": "V-9"}],
            }
        ],
    ),
    reads(
        "lots and serial numbers beside the product number",
        ITEM,
        "LIN*1*BP*B-1*LT*L-17*SN*S-1 / SN1**1*EA",
        written="LIN*1*BP*B-1 / SN1**1*EA / REF*LT*L-17 / REF*SE*S-1",
        product_ids=[{"kind": "buyer_part", "value": "B-1"}],
        lots=["L-17"],
        serials=["S-1"],
    ),
]
