"""Canonical records from X12 trees, and X12 segments from canonical records.

The sheets (``sheets/*.toml``) say what each element means; here is only what a table cannot say: how the levels of a ship
notice make packages and items, and which conclusions a document leaves to its reader.

What does not survive writing and reading again, because the wire has no place for it:
    * a note without a kind comes back with kind ``ZZ``; text wraps at the width of its element; address lines are paired;
    * one SSCC per package stands in ``sscc`` and is written as ``GM`` with the application identifier ``00``;
    * several codes for one product id kind (BP, IN, CB, PI) are written as the first;
    * ship notices: times of a day are kept to the hundredth of a second, in UTC; packages are numbered 1, 2, 3 … in the order
      of the hierarchy; lots and serials are written as references; totals say the number of levels unless they say more;
      An item that several packs hold (packs below the item) names the first in ``package_id`` and the others under ``extra``,
      which cannot be written; an order read at an item or from a reference is written as an order level;
    * acknowledgments: a response's own ``text`` and ``unit_price`` have no element; the acceptance that is concluded for lines
      without ACK is written as ACK and comes back with its code;
    * receiving advices: of the quantities in question five a line; lots and serials are written as references;
    * invoices: the carrier of a line stays under ``extra``;
    * schedules: the order of an item is written as LIN pair PO, whichever of PO and ON it came as; UNT and J2X are written as UIT and
      PID; the reference of a quantity has no description; a time of day is kept to the hundredth of a second;
    * inventory advices: lots and serials of an item are written as references, those of one quantity stay under ``extra``;
    * N9 without text, and NTE, MSG and MTX by themselves, come back as REF and as N9 with its text; a description that calls itself
      the product (PID02 = 08) as one that does not; the second mark of a MAN in a segment of its own;
    * a component without a relationship comes back as included, a characteristic without a form as free text;
    * of ``extra``, whole parts that no ``keep`` row of the sheet names can only be read.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Final, Protocol

from edi_maps.canonical import (
    AcknowledgmentLine,
    CanonicalRecord,
    Disposition,
    LineAction,
    LineResponse,
    LineStatus,
)
from edi_maps.mapping import Entries, Part, grouped
from edi_maps.x12 import receiving_advices, ship_notices
from edi_maps.x12.composition import Origin, Writer
from edi_maps.x12.extraction import Reader
from edi_maps.x12.map_sheets import document, mapped, root_block, set_of, sheet
from edi_maps.x12.segments import Loop


class Building(Protocol):
    """Makes the record of one transaction set while its tree grows. Nothing here raises: what is wrong becomes findings."""

    @property
    def reader(self) -> Reader:
        """What has been found so far."""

    def take(self, loop: Loop) -> bool:
        """Read a loop that is complete; True when the tree can do without it, see ``validation.Take``."""

    def finish(self, tree: Loop) -> CanonicalRecord | None:
        """Read what ``take`` has left in the tree. None: the set lacks what identifies a record."""


class DocumentBuilding:
    """A document that is one block and what stands in it, as the sheet says."""

    def __init__(self, set_code: str, component: str, *, traced: bool) -> None:
        self.reader = Reader(component, traced=traced)
        self.data: dict[str, Any] = {}
        self._set_code = set_code
        self._block = root_block(set_code)
        self._plans = self.reader.plans(self._block)
        self._early = _early(set_code)
        self._left: dict[str, Any] = {}
        self._taken: set[Part] = set()

    def take(self, loop: Loop) -> bool:
        if loop.id not in self._early:
            return False
        self.reader.within(loop)
        if not self.reader.hand(self._plans[loop.id], loop, loop.segments[0], self.data, self._left, self._taken):
            self.reader.keep(loop, self._left)
        return True

    def finish(self, tree: Loop) -> CanonicalRecord | None:
        self.reader.within(tree)
        self.reader.walk(self._block, tree, self.data, self._left, self._taken)
        if conclude := _CONCLUSIONS.get(self._set_code):
            conclude(self.data, tree, self.reader)
        return document(self._set_code, self.data, self._left, tree, self.reader)


@cache
def _early(set_code: str) -> frozenset[str]:
    """Loops that may be read before the rest of the document: each fills lists that nothing else adds to."""
    block = root_block(set_code)
    by_field: dict[str, set[str]] = {}
    for part in block.order:
        for name in [part.field] if isinstance(part, Entries) else []:
            by_field.setdefault(name, set()).add(part.name)
    return frozenset(
        name
        for name, parts in block.parts.items()
        if name in block.entered and all(isinstance(part, Entries) and by_field[part.field] == {name} for part in parts)
    )


def building(set_code: str, component: str = "", *, traced: bool = False) -> Building | None:
    """What makes the record of a set.

    Args:
        set_code: ST01. All versions are read by the same rows.
        component: the component separator, to keep composite elements apart under ``extra``.
        traced: note where every value comes from.

    Returns:
        None when the set has no sheet.
    """
    if set_code not in mapped():
        return None
    if set_code == "856":
        return ship_notices.NoticeBuilding(component, traced=traced)
    return DocumentBuilding(set_code, component, traced=traced)


def segments(record: CanonicalRecord, version: str) -> tuple[str, str, list[list[str]]]:
    """Write a record as the body of a transaction set.

    Args:
        record: what to say.
        version: GS08 without its suffix, e.g. ``"004010"``.

    Returns:
        GS01, ST01 and the segments between ST and SE, identifier first.

    Raises:
        ValueError: there is no sheet for this record, it lacks what the set must have, or it says something that X12 has no
            code or no room for; names the field.
    """
    set_code = set_of(record.type)
    if set_code is None:
        raise ValueError(f"type: there is no X12 map sheet for {record.type!r}")
    writer = Writer(version)
    _write(record, set_code, writer)
    return str(sheet(set_code).settings["functional_id"]), set_code, writer.segments


def origins(record: CanonicalRecord, version: str) -> list[Origin]:
    """Where in the record each of the ``segments`` comes from; asked for when one of them cannot leave.

    Raises:
        ValueError: as for ``segments``.
    """
    writer = Writer(version, traced=True)
    _write(record, set_of(record.type) or "", writer)
    return writer.origins


def _write(record: CanonicalRecord, set_code: str, writer: Writer) -> None:
    data: dict[str, Any] = record.model_dump(exclude_none=True)
    if set_code == "856":
        ship_notices.write(data, writer)
    else:
        if counted := sheet(set_code).settings.get("count"):
            data.setdefault("totals", {}).setdefault("line_count", len(data.get(counted, ())))
        if prepare := _PREPARATIONS.get(set_code):
            prepare(data)
        writer.write(root_block(set_code), data, grouped(data.get("extra", {})), "")


# -- 855 and 865


def _conclude_acknowledgment(data: dict[str, Any], tree: Loop, reader: Reader) -> None:
    """Draw what an acknowledgment leaves unsaid, and notice where it contradicts itself.

    Lines that come back without any ACK in an acceptance are accepted as they stand; what a change takes off the order is
    gone. That conclusion has no ``code``.
    """
    disposition = data.get("disposition")
    lines = data.get("lines", ())
    if disposition is Disposition.ACCEPTED and not any(line.responses for line in lines):
        data["lines"] = [line.model_copy(update={"responses": (_as_it_stands(line),)}) for line in lines]
    elif disposition in (Disposition.ACCEPTED, Disposition.REJECTED):
        other = LineStatus.REJECTED if disposition is Disposition.ACCEPTED else LineStatus.ACCEPTED
        # "Rejected" to a line that was to be deleted agrees to that.
        if any(
            response.status is other
            for line in lines
            if line.action is not LineAction.DELETE
            for response in line.responses
        ):
            first = next(iter(tree.all("BAK") or tree.all("BCA")), ["BAK"])
            reader.problem("response_contradiction", first, 2, other.value, expected=disposition.value)


def _as_it_stands(line: AcknowledgmentLine) -> LineResponse:
    status = _UNLESS_ACCEPTED.get(line.action or LineAction.NONE, LineStatus.ACCEPTED)
    return LineResponse.model_construct(status=status, quantity=line.quantity, unit=line.unit)


_UNLESS_ACCEPTED: Final = {LineAction.DELETE: LineStatus.DELETED, LineAction.REJECT: LineStatus.REJECTED}


def _conclude_change_acknowledgment(data: dict[str, Any], tree: Loop, reader: Reader) -> None:
    """As of an order. BCA02 may be missing: then the seller asks for a change, or answers, and has decided nothing."""
    data.setdefault("disposition", Disposition.OTHER)
    _conclude_acknowledgment(data, tree, reader)


#: What a document of a kind leaves to its reader: called with the values read, the tree and the reader, before the record is made.
_CONCLUSIONS: Final[dict[str, Callable[[dict[str, Any], Loop, Reader], None]]] = {
    "855": _conclude_acknowledgment,
    "861": lambda data, _tree, reader: receiving_advices.conclude(data, reader),
    "865": _conclude_change_acknowledgment,
}

#: … and what is done to a record, as plain data, before it is written.
_PREPARATIONS: Final[dict[str, Callable[[dict[str, Any]], None]]] = {"861": receiving_advices.prepare}
