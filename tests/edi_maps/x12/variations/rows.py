"""One row, and the places its segments may stand at."""

from typing import Any, NamedTuple

import pytest


class Place(NamedTuple):
    """Where the segments of a row stand, and which part of the record is looked at."""

    code: str
    around: str  #: the set, ★ for the segments of the row
    path: tuple[str | int, ...] = ()


HEAD = Place("850", "★ / PO1*1*5*EA / CTT*1")
ORDER = Place("850", "BEG*00*SA*PO-1**20260924 / ★ / PO1*1*5*EA / CTT*1")
ORDER_END = Place("850", "BEG*00*SA*PO-1**20260924 / PO1*1*5*EA / ★")
LINES = Place("850", "BEG*00*SA*PO-1**20260924 / ★")
LINE = Place("850", "BEG*00*SA*PO-1**20260924 / PO1*1*5*EA*2.5 / ★ / CTT*1", ("lines", 0))
ANSWER = Place("855", "BAK*00*AC*PO-1*20260924 / ★ / PO1*1*5*EA / ACK*IA*5*EA / CTT*1")
ANSWER_LINE = Place("855", "BAK*00*AC*PO-1*20260924 / PO1*1*5*EA*2.5 / ★ / CTT*1", ("lines", 0))

_NOTICE = "BSN*00*SHIP-1*20260924*1200 / HL*1**S"
SHIPMENT = Place("856", f"{_NOTICE}*0 / ★ / CTT*1")
PACK = Place(
    "856",
    f"{_NOTICE}*1 / HL*2*1*O*1 / PRF*PO-1 / HL*3*2*P*1 / ★ / HL*4*3*I*0 / LIN**VN*B-1 / SN1**5*EA / CTT*4",
    ("packages", 0),
)
ITEM = Place("856", f"{_NOTICE}*1 / HL*2*1*O*1 / PRF*PO-1 / HL*3*2*I*0 / ★ / CTT*3", ("items", 0))


def reads(
    name: str,
    place: Place,
    segments: str,
    *,
    written: str | None = None,
    versions: tuple[str, ...] = ("004010", "005010"),
    found: tuple[str, ...] = (),
    **said: Any,
) -> Any:
    """A row.

    Args:
        name: what is special, in words.
        segments: between slashes; ¶ is a text as the version has it, in MSG or MTX.
        written: how we say the same, where that is otherwise.
        versions: GS08.
        found: codes of the findings, none of which keeps the record from being read.
        said: the values of the record at the place, as ``dump`` gives them; ``extra`` where there is a rest.
    """
    return pytest.param(place, segments, segments if written is None else written, versions, found, said, id=name)
