"""Documents of the soak as the other sides make them: orders of the ERP, answers of the suppliers, each with two lines."""

from __future__ import annotations

from typing import Any, Final

LINES: Final = (("1", "10"), ("2", "25"))  #: line number, quantity
OUR_ID: Final = "SOAKWORKS"
DAY: Final = "2027-01-15"


def order(number: str, supplier_number: str) -> dict[str, Any]:
    lines = [
        {
            "line_number": line,
            "quantity": quantity,
            "unit": "EA",
            "unit_price": "4.20",
            "product_ids": [{"kind": "buyer_part", "value": f"MW-{line}"}],
            "dates": {"requested_delivery": DAY},
        }
        for line, quantity in LINES
    ]
    record = {"type": "purchase_order", "number": number, "ordered_on": "2026-11-16", "currency": "USD", "lines": lines}
    return {"company": "PLANT-01", "supplier_number": supplier_number, "record": record}


def acknowledgment(number: str) -> dict[str, Any]:
    """The whole order is accepted, in the gateway's own JSON."""
    lines = [
        {
            "line_number": line,
            "quantity": quantity,
            "unit": "EA",
            "responses": [{"status": "accepted", "quantity": quantity, "unit": "EA", "on": DAY}],
        }
        for line, quantity in LINES
    ]
    return {"type": "order_acknowledgment", "order_number": number, "disposition": "accepted", "lines": lines}


def ship_notice(number: str) -> dict[str, Any]:
    """The whole order is on its way."""
    items = [
        {"order_number": number, "order_line": line, "quantity": quantity, "unit": "EA"} for line, quantity in LINES
    ]
    return {"type": "ship_notice", "shipment_number": f"S-{number}", "items": items}


def x12_acknowledgment(number: str, *, sender: str, control: int) -> bytes:
    """The same as an 855."""
    body = [f"BAK*00*AD*{number}*20261116"]
    for line, quantity in LINES:
        body += [f"PO1*{line}*{quantity}*EA*4.2**BP*MW-{line}", f"ACK*IA*{quantity}*EA*067*20270115"]
    return _interchange("PR", "855", [*body, f"CTT*{len(LINES)}"], sender=sender, control=control)


def x12_ship_notice(number: str, *, sender: str, control: int) -> bytes:
    """The same as an 856."""
    body = [
        f"BSN*00*S-{number}*20261120*1530*0001",
        "HL*1**S",
        "DTM*011*20261120",
        "HL*2*1*O",
        f"PRF*{number}***20261116",
    ]
    for place, (line, quantity) in enumerate(LINES, 3):
        body += [f"HL*{place}*2*I", f"LIN*{line}*BP*MW-{line}", f"SN1**{quantity}*EA"]
    return _interchange("SH", "856", [*body, f"CTT*{len(LINES) + 2}"], sender=sender, control=control)


def _interchange(group: str, code: str, body: list[str], *, sender: str, control: int) -> bytes:
    segments = [
        f"ISA*00*          *00*          *ZZ*{sender:15}*ZZ*{OUR_ID:15}*261120*1012*U*00401*{control:09d}*0*T*>",
        f"GS*{group}*{sender}*{OUR_ID}*20261120*1012*{control}*X*004010",
        f"ST*{code}*0001",
        *body,
        f"SE*{len(body) + 2}*0001",
        f"GE*1*{control}",
        f"IEA*1*{control:09d}",
    ]
    return "".join(f"{segment}~" for segment in segments).encode()
