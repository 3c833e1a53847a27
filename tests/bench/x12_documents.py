"""X12 to measure with: invented, of any size, and the same whenever it is asked for."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Final

_ITEMS_PER_CARTON: Final = 4
_CARTONS_PER_ORDER: Final = 25


def ship_notice(items: int) -> bytes:
    """One 856 of shipment, orders, cartons and items: with 20,000 items about 116,000 segments."""
    chance, levels = random.Random(856), count(2)
    body = [
        *(
            "BSN*00*SHP0007731*20261118*0640*0001",
            "HL*1**S",
            "TD1*CTN25*5000****G*8120.5*LB",
            "TD5*B*2*HLGF*M*ROAD FREIGHT",
        ),
        *("REF*BM*BL550031", "REF*CN*PRO99102", "DTM*011*20261118", "DTM*017*20261121"),
        *(
            "N1*SF*ACME FASTENING*92*100017",
            "N4*DAYTON*OH*45402*US",
            "N1*ST*MERIDIAN WORKS 2*92*PLANT-02",
            "N4*RENO*NV*89501*US",
        ),
    ]
    order_level = carton_level = 0
    for item in range(items):
        carton, within = divmod(item, _ITEMS_PER_CARTON)
        if within == 0:
            order, within = divmod(carton, _CARTONS_PER_ORDER)
            if within == 0:
                order_level = next(levels)
                body += [f"HL*{order_level}*1*O", f"PRF*45{order:08d}***20261102", f"REF*DP*{order % 40:03d}"]
                body.append(f"N1*BY*LINE {order % 12}*92*L{order % 12:02d}")
            carton_level = next(levels)
            body += [f"HL*{carton_level}*{order_level}*P", "PO4*4*1*EA", f"MAN*GM*{_sscc(carton)}"]
        shipped = chance.randint(1, 99)
        body += [
            f"HL*{next(levels)}*{carton_level}*I",
            f"LIN*{item + 1}*BP*MW-{item % 5000:05d}*VP*AF{item:07d}*UP*{item:012d}",
            f"SN1*{item + 1}*{shipped}*EA**{shipped + chance.randint(0, 40)}*EA",
            f"PID*F****HEX BOLT ASSEMBLY, SERIES {item}",
            f"REF*LT*LOT{item % 613:04d}",
        ]
    body.append(f"CTT*{next(levels) - 1}")
    return _interchange("SH", "856", [body])


def orders(number: int) -> bytes:
    """One interchange of 850s of two to five lines: 2,000 orders are about 44,000 segments."""
    chance = random.Random(850)
    return _interchange("PO", "850", [_order(order, chance.randint(2, 5), chance) for order in range(1, number + 1)])


def write_orders(number: int, file: Path) -> int:
    """Write one interchange of 850s, whose 1,000,000 segments would be 28 MB, without ever holding it; how many segments it has."""
    chance = random.Random(850)
    head, tail = _envelope("PO", number)
    segments = len(head) + len(tail)
    with file.open("w", encoding="ascii") as out:
        out.writelines(f"{segment}~\n" for segment in head)
        for order in range(1, number + 1):
            lines = _set("850", order, _order(order, chance.randint(2, 5), chance))
            segments += len(lines)
            out.writelines(f"{segment}~\n" for segment in lines)
        out.writelines(f"{segment}~\n" for segment in tail)
    return segments


def order(lines: int) -> bytes:
    """One interchange with one 850."""
    return _interchange("PO", "850", [_order(1, lines, random.Random(850))])


def acknowledgment(number: str, lines: int) -> bytes:
    """One interchange with one 855 that accepts the whole order ``number``, which are digits; they number it as well."""
    body = [f"BAK*00*AD*{number}*20261116", "REF*DP*017", "N1*SE*ACME FASTENING*92*100017"]
    for line in range(1, lines + 1):
        body.append(f"PO1*{line}*{10 * line}*EA*4.2**BP*MW-{line:05d}*VP*AF{line:07d}")
        body.append(f"ACK*IA*{10 * line}*EA*067*20270115")
    control = int(number) % 10**9
    segments = [
        "ISA*00*          *00*          *ZZ*ACMEFASTEN     *ZZ*MERIDIANMFG    "
        f"*261118*0640*U*00401*{control:09d}*0*T*>",
        f"GS*PR*ACMEFASTEN*MERIDIANMFG*20261118*0640*{control}*X*004010",
        *_set("855", 1, [*body, f"CTT*{lines}"]),
        f"GE*1*{control}",
        f"IEA*1*{control:09d}",
    ]
    return "".join(f"{segment}~\n" for segment in segments).encode("ascii")


def _order(number: int, lines: int, chance: random.Random) -> list[str]:
    return [
        *(f"BEG*00*SA*45{number:08d}**20261116", "CUR*BY*USD", "REF*DP*017", "PER*BD*R. OKAFOR*TE*5550142"),
        *("ITD*01*3*2**30**60", "DTM*002*20270115", "DTM*010*20270108", "TD5*O*2*HLGF*M*ROAD FREIGHT"),
        *("N1*BY*MERIDIAN WORKS*92*PLANT-01", "N1*ST*MERIDIAN WORKS 2*92*PLANT-02"),
        *("N3*800 FOUNDRY ROAD", "N4*RENO*NV*89501*US"),
        *_order_lines(lines, chance),
        f"CTT*{lines}",
    ]


def _order_lines(lines: int, chance: random.Random) -> Iterator[str]:
    for line in range(1, lines + 1):
        price = f"{chance.randrange(1, 90_000) / 100:.2f}"
        yield f"PO1*{line}*{chance.randint(1, 500)}*EA*{price}*TE*BP*MW-{line:05d}*VP*AF{line:07d}*UP*{line:012d}"
        yield f"PID*F****HEX BOLT ASSEMBLY, SERIES {line}"


def _sscc(serial: int) -> str:
    """A GS1 serial shipping container code with its application identifier and check digit."""
    digits = f"09506000{serial:09d}"
    total = sum(int(digit) * (1 if place % 2 else 3) for place, digit in enumerate(digits))
    return f"00{digits}{-total % 10}"


def _interchange(functional_id: str, code: str, bodies: list[list[str]]) -> bytes:
    head, tail = _envelope(functional_id, len(bodies))
    sets = [segment for number, body in enumerate(bodies, 1) for segment in _set(code, number, body)]
    return "".join(f"{segment}~\n" for segment in (*head, *sets, *tail)).encode("ascii")


def _envelope(functional_id: str, sets: int) -> tuple[list[str], list[str]]:
    head = [
        "ISA*00*          *00*          *ZZ*MERIDIANMFG    *ZZ*ACMEFASTEN     *261118*0640*U*00401*000000001*0*T*>",
        f"GS*{functional_id}*MERIDIANMFG*ACMEFASTEN*20261118*0640*1*X*004010",
    ]
    return head, [f"GE*{sets}*1", "IEA*1*000000001"]


def _set(code: str, number: int, body: list[str]) -> list[str]:
    return [f"ST*{code}*{number:04d}", *body, f"SE*{len(body) + 2}*{number:04d}"]
