"""The quantities in question of an 861: five times quantity, unit and condition side by side in RCD, which no row can say.

The sheet leaves RCD06 to RCD20 under ``extra`` of the line; reading makes them its discrepancies, writing puts them back.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from edi_maps.canonical import Condition, Discrepancy, ReceivedLine
from edi_maps.mapping import Codes
from edi_maps.x12.elements import read_number, write_number
from edi_maps.x12.extraction import Reader
from edi_maps.x12.map_sheets import sheet

#: Where the quantities in question stand; unit and condition follow each.
_QUANTITIES: Final = (6, 9, 12, 15, 18)


def conclude(data: dict[str, Any], reader: Reader) -> None:
    """Move the quantities in question of every line from its ``extra`` to its discrepancies.

    Args:
        data: the fields of the advice, its lines made already.
        reader: who read them, and knows where they stood if it was told to note that.
    """
    if "lines" in data:
        data["lines"] = [_with_discrepancies(line) for line in data["lines"]]
        if reader.traced:
            for number in range(len(data["lines"])):
                _note_discrepancies(reader, reader.source(data).inner[f"lines/{number}"])


def _note_discrepancies(reader: Reader, entry: dict[str, Any]) -> None:
    if "extra" not in entry:
        return
    left, source = entry["extra"], reader.source(entry)
    places = reader.source(left).values
    for number, at in enumerate(at for at in _QUANTITIES if _discrepancy_at(left, at)):
        for field, element in (("quantity", at), ("unit", at + 1), ("condition", at + 2), ("code", at + 2)):
            for segment, _, _ in places.get(_address(element), ()):
                # A unit with an exponent is a composite, its first component the unit.
                component = 1 if isinstance(left[_address(element)], list) else None
                source.note(f"discrepancies/{number}/{field}", segment, element, component)


def prepare(data: dict[str, Any]) -> None:
    """Move the discrepancies of every line to its ``extra``, from where they are written.

    Args:
        data: the whole advice, as ``model_dump`` gives it.

    Raises:
        ValueError: a line has more than five, or one of them a condition that has no code; names the field.
    """
    conditions = _conditions()
    for number, line in enumerate(data.get("lines", ())):
        found = line.get("discrepancies", ())
        if len(found) > len(_QUANTITIES):
            raise ValueError(f"lines.{number}.discrepancies: {len(found)} do not fit, {len(_QUANTITIES)} do")
        extra = line.setdefault("extra", {})
        for index, (at, discrepancy) in enumerate(zip(_QUANTITIES, found, strict=False)):
            code = discrepancy.get("code")
            if code is None or conditions[code] != discrepancy["condition"]:
                code = conditions.code(discrepancy["condition"])
            if code is None:
                raise ValueError(f"lines.{number}.discrepancies.{index}.code is needed for RCD{at + 2:02d}")
            quantity = discrepancy.get("quantity")
            values = (write_number(quantity) if quantity is not None else "", discrepancy.get("unit", ""), code)
            for element, value in enumerate(values, at):
                if value and not _says(extra.get(_address(element)), value):
                    extra[_address(element)] = value


@cache
def _conditions() -> Codes:
    """The code table of element 412."""
    return sheet("861").tables["condition"].typed(Condition)


def _with_discrepancies(line: ReceivedLine) -> ReceivedLine:
    left = dict(line.extra)
    found = []
    for at in _QUANTITIES:
        if discrepancy := _discrepancy_at(left, at):
            found.append(discrepancy)
            for element in (at, at + 1, at + 2):
                if isinstance(left.get(_address(element)), str):  # a unit with an exponent stays, nobody else says it
                    del left[_address(element)]
    return line.model_copy(update={"discrepancies": tuple(found), "extra": left}) if found else line


def _discrepancy_at(left: dict[str, Any], at: int) -> Discrepancy | None:
    """The quantity in question that starts at element ``at``. None: there is none, or what stands there is no number, which is
    found already, and stays where it is."""
    quantity, unit, code = (left.get(_address(element)) for element in range(at, at + 3))
    if not isinstance(code, str):
        return None
    try:
        amount = read_number(quantity) if quantity is not None else None
    except (ValueError, TypeError):
        return None
    base = unit[0] if isinstance(unit, list) and unit else unit
    return Discrepancy(quantity=amount, unit=base, condition=_conditions()[code], code=code)


def _address(element: int) -> str:
    return f"RCD{element:02d}"


def _says(sent: Any, value: str) -> bool:
    """Whether what is under extra says ``value`` already, and more."""
    return isinstance(sent, list) and sent[:1] == [value]
