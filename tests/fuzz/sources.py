"""Documents worth damaging: interchanges that we or pyx12 accept as they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from edi_maps.x12 import acknowledge, read, reply_envelope, scan
from edi_maps.x12.stock import second_opinion
from tests.fuzz.mutations import Wire, version_in_place
from tests.fuzz.verdicts import accepted_by_us
from tests.services import CORPUS

FIXTURES: Final = Path(__file__).parents[1] / "fixtures" / "x12"

#: Longer documents say nothing more and take pyx12 far longer.
_LONGEST: Final = 6_000


@dataclass(frozen=True, slots=True)
class Source:
    name: str
    data: bytes


def sources() -> list[Source]:
    """Our fixtures, and of the sample documents, where there are any, those there is a guide for."""
    return [source for source in _all() if _worth_it(source.data)]


def _all() -> Iterator[Source]:
    for path in sorted(FIXTURES.glob("*.edi")):
        data = path.read_bytes()
        yield Source(path.name, data)
        yield Source(f"answer to {path.name}", _answer(data))
    for path in sorted(CORPUS.glob("x12-*/*")) if CORPUS is not None else ():
        yield Source(f"{path.parent.name}/{path.name}", path.read_bytes())


def _answer(data: bytes) -> bytes:
    """Our 997; nothing for what is accepted as it is, whose answer says as good as nothing."""
    interchange = read(data)[0]
    if accepted_by_us(data):
        return b""
    at = datetime(2026, 11, 20, 10, 30, tzinfo=UTC)
    return acknowledge(interchange, reply_envelope(interchange, interchange_number=1, group_number=1, at=at)) or b""


def _worth_it(data: bytes) -> bool:
    if len(data) > _LONGEST or not version_in_place(data) or not Wire.of(data).is_whole():
        return False
    opinion = second_opinion(data)
    if opinion.accepted is None or len(scan(data)) > 1:
        return False
    return opinion.accepted or accepted_by_us(data)
