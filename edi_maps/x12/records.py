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
    * N9 without text, and NTE, come back as REF and as N9 with its text;
    * of ``extra``, whole parts that no ``keep`` row of the sheet names can only be read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from edi_maps.canonical import CanonicalRecord, Disposition, LineResponse, LineStatus
from edi_maps.findings import Finding, finding
from edi_maps.mapping import grouped
from edi_maps.x12 import ship_notices
from edi_maps.x12.composition import Writer
from edi_maps.x12.extraction import Reader
from edi_maps.x12.map_sheets import document, mapped, root_block, set_of, sheet
from edi_maps.x12.segments import Loop, Segment


def build(tree: Loop, set_code: str, version: str, component: str = "") -> tuple[CanonicalRecord | None, list[Finding]]:
    """Make the canonical record that one transaction set describes. Never raises: what is wrong becomes findings.

    Args:
        tree: the set as the guide sees it: header and footer segments at the root, loops N1, N9, PO1, HL … below.
        set_code: ST01.
        version: GS08; all versions are read by the same rows.
        component: the component separator, to keep composite elements apart under ``extra``.

    Returns:
        The record, None when the set has no sheet or lacks what identifies it, and one finding for every value that could
        not be used. All else is read.
    """
    if set_code not in mapped():
        return None, [finding("no_map_sheet", segment="ST", position=1, element=1, value=set_code)]
    reader = Reader(component)
    if set_code == "856":
        return ship_notices.read(tree, reader), reader.findings
    data: dict[str, Any] = {}
    left = reader.read(root_block(set_code), tree, data)
    if conclude := _CONCLUSIONS.get(set_code):
        conclude(data, tree, reader)
    return document(set_code, data, left, tree, reader), reader.findings


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
    settings = sheet(set_code).settings
    data: dict[str, Any] = record.model_dump(exclude_none=True)
    writer = Writer(version)
    if set_code == "856":
        ship_notices.write(data, writer)
    else:
        if counted := settings.get("count"):
            data.setdefault("totals", {}).setdefault("line_count", len(data.get(counted, ())))
        writer.write(root_block(set_code), data, grouped(data.get("extra", {})), "")
    return str(settings["functional_id"]), set_code, writer.segments


# -- 855


def _conclude_acknowledgment(data: dict[str, Any], tree: Loop, reader: Reader) -> None:
    """Draw what an acknowledgment leaves unsaid, and notice where it contradicts itself.

    Lines that come back without any ACK in an acceptance are accepted as they stand. That conclusion has no ``code``.
    """
    disposition = data.get("disposition")
    lines = data.get("lines", ())
    if disposition is Disposition.ACCEPTED and not any(line.responses for line in lines):
        data["lines"] = [
            line.model_copy(
                update={
                    "responses": (
                        LineResponse.model_construct(
                            status=LineStatus.ACCEPTED, quantity=line.quantity, unit=line.unit
                        ),
                    )
                }
            )
            for line in lines
        ]
    elif disposition in (Disposition.ACCEPTED, Disposition.REJECTED):
        other = LineStatus.REJECTED if disposition is Disposition.ACCEPTED else LineStatus.ACCEPTED
        if any(response.status is other for line in lines for response in line.responses):
            bak = next(iter(tree.all("BAK")), Segment(["BAK"]))
            reader.problem("response_contradiction", bak, 2, other.value, expected=disposition.value)


#: What a document of a kind leaves to its reader: called with the values read, the tree and the reader, before the record is made.
_CONCLUSIONS: Final[dict[str, Callable[[dict[str, Any], Loop, Reader], None]]] = {"855": _conclude_acknowledgment}
