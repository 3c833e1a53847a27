"""Which map sheet belongs to which transaction set and to which canonical type."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any, Final

from edi_maps.canonical import CanonicalRecord
from edi_maps.mapping import Block, Sheet, Values, load
from edi_maps.x12.extraction import Reader, X12Wire
from edi_maps.x12.segments import Loop

SHEETS: Final = Path(__file__).parent / "sheets"


@cache
def sheet(set_code: str) -> Sheet:
    """The compiled sheet of a transaction set; loaded once per process.

    Beside what ``edi_maps.mapping`` tells, a sheet for X12 says with ``type`` which canonical type the set is written for, with
    ``functional_id`` its GS01, and with ``count`` the list whose length CTT01 gives when the record does not say.
    """
    return load(SHEETS / f"{set_code}.toml", X12Wire())


@cache
def mapped() -> dict[str, str]:
    """The transaction sets that have a map sheet, and the canonical type of each: ``{"850": "purchase_order"}``."""
    types = {
        path.stem: tomllib.loads(path.read_text(encoding="utf-8")).get("type")
        for path in sorted(SHEETS.glob("[0-9]*.toml"))
    }
    return {code: kind for code, kind in types.items() if kind is not None}


def set_of(canonical_type: str) -> str | None:
    """ST01 of the set a canonical type is written as, None when there is none."""
    return next((code for code, kind in mapped().items() if kind == canonical_type), None)


@cache
def root_block(set_code: str) -> Block:
    """The block a transaction set of this kind starts with."""
    found = sheet(set_code)
    return found.blocks[found.settings["record"]]


def document(
    set_code: str, data: dict[str, Any], left: dict[str, Any], tree: Loop, reader: Reader
) -> CanonicalRecord | None:
    """Make the record itself, or say which of the fields that identify it are missing."""
    block = root_block(set_code)
    maker = block.maker
    if maker is None:
        return None
    if (kind := _written_type(set_code)) is not None:
        data["type"] = kind
    if not maker.required <= data.keys():
        places = {
            cell.path[0]: (part.name, cell.keys[0])
            for part in block.order
            if isinstance(part, Values)
            for cell in part.cells
            if cell.path
        }
        for name in sorted(maker.required.difference(data)):
            segment_id, element = places.get(name, ("ST", 1))
            segment = next(iter(tree.all(segment_id)), [segment_id])
            reader.problem("value_missing", segment, element, None, expected=name.replace("_", " "))
        return None
    if left:
        data["extra"] = left
    if reader.traced:
        reader.root = data
        reader.source(data).inner["extra"] = left
    record: CanonicalRecord = maker.make(data)
    return record


@cache
def _written_type(set_code: str) -> str | None:
    """The canonical type of a set where its record does not say it by itself, as two sets may share one record."""
    maker, kind = root_block(set_code).maker, mapped()[set_code]
    return None if maker is None or maker.model.model_fields["type"].default == kind else kind
