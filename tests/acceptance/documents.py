"""Documents as the other sides make them: an order of the ERP, an 855 a supplier wrote by hand."""

from __future__ import annotations

from typing import Any


def order(number: str, supplier_number: str) -> dict[str, Any]:
    return {
        "company": "PLANT-01",
        "supplier_number": supplier_number,
        "record": {
            "type": "purchase_order",
            "number": number,
            "ordered_on": "2026-11-16",
            "currency": "USD",
            "lines": [
                {
                    "line_number": "1",
                    "quantity": "10",
                    "unit": "EA",
                    "unit_price": "4.20",
                    "product_ids": [{"kind": "buyer_part", "value": "MW-1"}],
                    "dates": {"requested_delivery": "2027-01-15"},
                }
            ],
        },
    }


def interchange(number: int, order_number: str) -> bytes:
    """The 855 a supplier writes by hand for one of these orders."""
    return (
        f"ISA*00*          *00*          *ZZ*ACMEFASTEN     *ZZ*MERIDIANMFG    *261120*1012*U*00401*{number:09d}*0*T*>~"
        f"GS*PR*ACMEFASTEN*MERIDIANMFG*20261120*1012*{number}*X*004010~ST*855*0001~"
        f"BAK*00*AD*{order_number}*20261116~PO1*1*10*EA*4.2**BP*MW-1~ACK*IA*10*EA*067*20270115~CTT*1~SE*6*0001~"
        f"GE*1*{number}~IEA*1*{number:09d}~"
    ).encode()
