"""What suppliers answer."""

from .rows import ANSWER, ANSWER_LINE, reads

ANSWERS = [
    reads(
        "the terms the seller sells at", ANSWER, "ITD*05*3*****45", terms=[{"kind": "05", "basis": "3", "net_days": 45}]
    ),
    reads(
        "who answers, and how the goods will come",
        ANSWER,
        "PER*SR*SAL*TE*5550103 / FOB*PC / SAC*C*D240***900 / TD5**2*ABCD*M",
        contacts=[{"role": "sales", "name": "SAL", "phone": "5550103"}],
        freight={"payment": "prepaid_and_charged"},
        charges=[{"kind": "charge", "code": "D240", "amount": "9.00"}],
        carrier={"scac": "ABCD", "mode": "motor"},
    ),
    reads(
        "the seller's own word for an answer",
        ANSWER_LINE,
        "ACK*IB*5*EA*067*20261214*BACK ORDERED",
        responses=[
            {
                "status": "backordered",
                "code": "IB",
                "quantity": "5",
                "unit": "EA",
                "date_kind": "scheduled_delivery",
                "on": "2026-12-14",
                "reference": "BACK ORDERED",
            }
        ],
    ),
    reads(
        "references, days and charges of a line answered",
        ANSWER_LINE,
        "REF*ZZ**DISCONTINUED / SAC*C*G830***500 / DTM*067*20261214 / ACK*IA*5*EA",
        references=[{"kind": "mutual", "description": "DISCONTINUED"}],
        dates={"scheduled_delivery": "2026-12-14"},
        charges=[{"kind": "charge", "code": "G830", "amount": "5.00"}],
    ),
    reads(
        "the seller's own schedule",
        ANSWER_LINE,
        "ACK*IA*5*EA / SCH*3*EA***068*20261201 / SCH*2*EA***068*20261215",
        schedules=[
            {"quantity": "3", "unit": "EA", "date_kind": "scheduled_ship", "on": "2026-12-01"},
            {"quantity": "2", "unit": "EA", "date_kind": "scheduled_ship", "on": "2026-12-15"},
        ],
    ),
]
