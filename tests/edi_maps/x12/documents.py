"""X12 for tests, made from the segments that matter to the test."""

from pathlib import Path

from edi_maps.findings import Finding
from edi_maps.x12.structure import group_of

FIXTURES = Path(__file__).parents[2] / "fixtures" / "x12"

ISA = "ISA*00*          *00*          *ZZ*KELDERCO       *ZZ*NORTHMILL      *260924*1030*U*00401*000000101*0*P*>"
GS = "GS*{group}*KELDERCO*NORTHMILL*20260924*1030*101*X*{version}"

ORDER = ["BEG*00*SA*PO-1**20260924", "PO1*1*5*EA", "CTT*1"]


def transaction_set(*body: str, code: str = "850", number: str = "0001") -> list[str]:
    return [f"ST*{code}*{number}", *body, f"SE*{len(body) + 2}*{number}"]


def interchange(*lines: str, group: str = "PO", version: str = "004010", sets: int = 1, isa: str = ISA) -> list[str]:
    """ISA to IEA around the lines of ``sets`` transaction sets."""
    return [isa, GS.format(group=group, version=version), *lines, f"GE*{sets}*101", "IEA*1*000000101"]


def wire(lines: list[str], end: str = "~\n") -> bytes:
    return (end.join(lines) + end).encode("latin-1")


def document(*body: str, code: str = "850", version: str = "004010") -> bytes:
    """One set of these segments in an interchange without fault."""
    return wire(interchange(*transaction_set(*body, code=code), group=group_of(code) or "", version=version))


def places(findings: list[Finding]) -> list[tuple[str, str | None, int | None, int | None]]:
    return [(found.code, found.segment, found.position, found.element) for found in findings]


def codes(findings: list[Finding]) -> list[str]:
    return [found.code for found in findings]
