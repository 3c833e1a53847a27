"""What an order says as a whole."""

from .rows import HEAD, ORDER, ORDER_END, reads

BEGINNINGS = [
    reads(
        "a release of a blanket order",
        HEAD,
        "BEG*00*RL*PO-1*R-7*20260924*K-1",
        kind="release",
        release_number="R-7",
        contract_number="K-1",
    ),
    reads("a replacement of the whole order", HEAD, "BEG*05*SA*PO-1**20260924", purpose="replace"),
    reads("a cancellation", HEAD, "BEG*01*SA*PO-1**20260924", purpose="cancel"),
    reads(
        "the day one place further on, as in old versions",
        HEAD,
        "BEG*00*SA*PO-1***260924",
        written="BEG*00*SA*PO-1**20260924",
        versions=("003040",),
        found=("element_missing",),
        number="PO-1",
        ordered_on="2026-09-24",
    ),
]

CONDITIONS = [
    reads(
        "contacts of the order itself",
        ORDER,
        "PER*BD*PAT QUILL*TE*5550100*EM*pat@example.com*FX*5550199",
        contacts=[
            {"role": "buyer", "name": "PAT QUILL", "phone": "5550100", "email": "pat@example.com", "fax": "5550199"}
        ],
    ),
    reads("freight prepaid by the seller", ORDER, "FOB*PP", freight={"payment": "prepaid"}),
    reads(
        "freight collect, from a place",
        ORDER,
        "FOB*CC*OR*NORTH MILL",
        freight={"payment": "collect", "location_kind": "origin", "location": "NORTH MILL"},
    ),
    reads(
        "an Incoterm, with the place where title passes",
        ORDER,
        "FOB*DF*DE*HAMBURG*01*DAP*DE*HAMBURG*BY*FROM THE SHIP'S RAIL",
        freight={
            "payment": "as_agreed",
            "location_kind": "destination",
            "location": "HAMBURG",
            "terms": "DAP",
            "terms_list": "01",
            "title_location_kind": "destination",
            "title_location": "HAMBURG",
            "risk": "BY",
            "risk_description": "FROM THE SHIP'S RAIL",
        },
    ),
    reads("no back orders, please", ORDER, "CSH*N", requirements=[{"kind": "no_backorder"}]),
    reads(
        "ship complete, and not before the date",
        ORDER,
        "CSH*SC / CSH*P4***77*20261201",
        requirements=[{"kind": "ship_complete"}, {"kind": "do_not_ship_early", "account": "77", "on": "2026-12-01"}],
    ),
    reads(
        "a freight charge in cents",
        ORDER,
        "SAC*C*D240***1250**********FREIGHT",
        charges=[{"kind": "charge", "code": "D240", "amount": "12.50", "description": "FREIGHT"}],
    ),
    reads(
        "an allowance in percent, off the invoice",
        ORDER,
        "SAC*A*C310****Z*5*****02",
        charges=[
            {"kind": "allowance", "code": "C310", "percent": "5", "percent_basis": "Z", "settlement": "off_invoice"}
        ],
    ),
    reads(
        "a service by the agency's own code",
        ORDER,
        "SAC*N**VI*TC9901*********C40149",
        charges=[{"kind": "none", "agency": "VI", "agency_code": "TC9901", "reference": "C40149"}],
    ),
    reads(
        "terms of payment in words",
        ORDER,
        "ITD*05*3*2**10**30*****2% 10 DAYS, NET 30",
        terms=[
            {
                "kind": "05",
                "basis": "3",
                "discount_percent": "2",
                "discount_days": 10,
                "net_days": 30,
                "description": "2% 10 DAYS, NET 30",
            }
        ],
    ),
]

TRANSPORT = [
    reads(
        "a carrier by its SCAC, and how long it takes",
        ORDER,
        "TD5**2*ABCD*M*VIA NORTH*****CD*3*ND",
        carrier={
            "scac": "ABCD",
            "mode": "motor",
            "routing": "VIA NORTH",
            "transit_time": "3",
            "transit_unit": "calendar_days",
            "service": "ND",
        },
    ),
    reads("routing in words alone", ORDER, "TD5*****SEE ROUTING GUIDE", carrier={"routing": "SEE ROUTING GUIDE"}),
    reads(
        "how to pack all of it",
        ORDER,
        "PKG*F*68***PALLETS ONLY",
        packing=[{"form": "free", "kind": "68", "text": "PALLETS ONLY"}],
    ),
    reads(
        "a carrier by the buyer's own code",
        ORDER,
        "TD5*A*92*P3*M*BEST WAY",
        carrier={"id": "P3", "id_type": "assigned_by_buyer", "mode": "motor", "routing": "BEST WAY"},
        extra={"TD501": "A"},
    ),
]

REFERENCES = [
    reads(
        "a reference in words alone",
        ORDER,
        "REF*ZZ**PAINT SHOP",
        references=[{"kind": "mutual", "description": "PAINT SHOP"}],
    ),
    reads(
        "a reference that names two more",
        ORDER,
        "REF*DP*38*TOOLS*SD>12>ZA>7",
        references=[{"kind": "department", "value": "38", "description": "TOOLS"}],
        extra={"references/0/REF04": ["SD", "12", "ZA", "7"]},
    ),
    reads(
        "a day with its hour",
        ORDER,
        "DTM*002*20261214*0830*ET",
        dates={"requested_delivery": "2026-12-14"},
        extra={"dates/requested_delivery/DTM03": "0830", "dates/requested_delivery/DTM04": "ET"},
    ),
    reads(
        "a span of days",
        ORDER,
        "DTM*002****RD8*20261214-20261218",
        extra={"DTM": [["DTM", "002", "", "", "", "RD8", "20261214-20261218"]]},
    ),
    reads(
        "a tax on all of it",
        ORDER,
        "TXI*ST*4.12*8.25*VD*36160**3",
        taxes=[
            {
                "kind": "state_sales",
                "amount": "4.12",
                "percent": "8.25",
                "jurisdiction_kind": "VD",
                "jurisdiction": "36160",
            }
        ],
        extra={"taxes/0/TXI07": "3"},
    ),
    reads(
        "a number for the tax office, which has no field",
        ORDER,
        "TAX*77*SP*OH",
        extra={"TAX": [["TAX", "77", "SP", "OH"]]},
    ),
]

TEXTS = [
    reads(
        "a note under a heading",
        ORDER,
        "N9*L1*DELIVERY*NOTE / ¶GATE 3 ONLY",
        notes=[{"kind": "L1", "reference": "DELIVERY", "text": "GATE 3 ONLY"}],
    ),
    reads(
        "a note that refers to nothing",
        ORDER,
        "N9*L1**NOTE / ¶GATE 3 ONLY",
        notes=[{"kind": "L1", "text": "GATE 3 ONLY"}],
    ),
    reads(
        "a note in lines",
        ORDER,
        "N9*L1**RETURNS / ¶ASK FIRST / ¶THEN SEND",
        notes=[{"kind": "L1", "title": "RETURNS", "text": "ASK FIRST\nTHEN SEND"}],
    ),
    reads(
        "a note of old versions",
        ORDER,
        "NTE*SPH*CALL AHEAD",
        written="N9*SPH**NOTE / ¶CALL AHEAD",
        notes=[{"kind": "SPH", "text": "CALL AHEAD"}],
    ),
    reads(
        "a number without a text, where texts stand",
        ORDER,
        "N9*CT*K-77",
        written="REF*CT*K-77",
        references=[{"kind": "contract", "value": "K-77"}],
    ),
]

PARTIES = [
    reads(
        "a ship-to with a department, a number of its own and someone to call",
        ORDER,
        "N1*ST*NORTH PLANT*92*1003 / N2*GOODS IN*DOCK 4 / N3*1 MILL ROAD / N4*HOLLAND*MI*49423*US*DE*D4 / REF*DP*38 / PER*RE*A. DUTY*TE*5550101",
        parties=[
            {
                "role": "ship_to",
                "name": "NORTH PLANT",
                "more_names": ["GOODS IN", "DOCK 4"],
                "id": "1003",
                "id_type": "assigned_by_buyer",
                "address": {
                    "lines": ["1 MILL ROAD"],
                    "city": "HOLLAND",
                    "region": "MI",
                    "postal_code": "49423",
                    "country": "US",
                    "location_kind": "DE",
                    "location": "D4",
                },
                "references": [{"kind": "department", "value": "38"}],
                "contacts": [{"role": "receiving", "name": "A. DUTY", "phone": "5550101"}],
            }
        ],
    ),
    reads(
        "the store the goods are marked for",
        ORDER,
        "N1*MA**92*0417",
        parties=[{"role": "marked_party", "id": "0417", "id_type": "assigned_by_buyer"}],
    ),
]

TOTALS = [
    reads(
        "weight, volume and amount of the whole order",
        ORDER_END,
        "CTT*1*5*499*LB*12*CF / AMT*TT*884.06",
        totals={
            "line_count": 1,
            "hash_total": "5",
            "amount": "884.06",
            "weight": {"value": "499", "unit": "LB"},
            "volume": {"value": "12", "unit": "CF"},
        },
    ),
    reads(
        "the amount of the lines", ORDER_END, "CTT*1 / AMT*1*12.50", totals={"line_count": 1, "line_amount": "12.50"}
    ),
]
