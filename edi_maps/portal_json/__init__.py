"""Partner JSON: the shapes of supplier portals, read into canonical records and written from them by map sheets.

A folder of ``sheets`` is one partner's shape: a sheet per document, named after the canonical type it maps. ``told_by`` in a
sheet says which keys tell its document from the others, ``days``, ``moments`` and ``numbers`` how values are written.

What does not survive writing and reading again: whatever the shape has no key for. A sheet names what it takes of a list by
kind (``product_ids[vendor_part]``); entries of other kinds are not written. A supplier's own keys that no row knows come back
as they were: they are kept under ``extra``, and a note says so.
"""

from __future__ import annotations

import json
import tomllib
from functools import cache
from pathlib import Path
from typing import Any, Final

from edi_maps import mapping
from edi_maps.canonical import CanonicalRecord
from edi_maps.findings import Finding, finding
from edi_maps.json_text import parse
from edi_maps.portal_json.documents import JsonWire, Reader, Writer

SHEETS: Final = Path(__file__).parent / "sheets"


def shapes() -> list[str]:
    """The partner shapes there are, by the names that ``read`` and ``write`` take."""
    return sorted(folder.name for folder in SHEETS.iterdir() if folder.is_dir())


def read(data: bytes, sheet: str) -> tuple[CanonicalRecord | None, list[Finding]]:
    """Make the canonical record that a partner's JSON describes. Bad documents become findings, never exceptions.

    Args:
        data: one JSON object, UTF-8.
        sheet: the partner's shape, e.g. ``"boltco"``.

    Returns:
        The record, None when the document is unreadable or lacks what identifies it, and one finding for every value that
        could not be used, each with its JSON pointer. Keys without a home are kept under ``extra``, with a note.

    Raises:
        LookupError: there is no such shape; that is a fault in the partner's terms, not in the document.
    """
    known = _shape(sheet)
    parsed, findings = parse(data)
    if findings:
        return None, findings
    if not isinstance(parsed, dict):
        return None, [finding("json_type", pointer="#", expected="one object")]
    for candidate in known.values():
        if all(parsed.get(key) == value for key, value in candidate.settings["told_by"].items()):
            return _record(candidate, parsed)
    keys = sorted({key for candidate in known.values() for key in candidate.settings["told_by"]})
    told = ", ".join(f"{key} {parsed.get(key)!r}" for key in keys)[:120]
    return None, [finding("document_not_expected", pointer="#", value=told)]


def write(record: CanonicalRecord, sheet: str) -> bytes:
    """Write a record in a partner's JSON.

    Raises:
        LookupError: there is no such shape, or it has no sheet for this type of record.
        ValueError: the record lacks what this shape must have, or says something it has no code for.
    """
    known = _shape(sheet)
    if record.type not in known:
        raise LookupError(f"{sheet} has no map sheet for {record.type}")
    blocks = known[record.type]
    data: dict[str, Any] = record.model_dump(exclude_none=True)
    made = Writer().write(blocks.blocks[blocks.settings["record"]], data, mapping.grouped(data.get("extra", {})))
    return json.dumps(made, ensure_ascii=False, indent=1).encode()


@cache
def _shape(sheet: str) -> dict[str, mapping.Sheet]:
    """The compiled sheets of one partner shape, by canonical type."""
    if sheet not in shapes():
        raise LookupError(f"no portal JSON shape {sheet!r}; there are {', '.join(shapes())}")
    return {
        path.stem: load_sheet(path)
        for path in sorted((SHEETS / sheet).glob("*.toml"))
        if path.stem not in {"codes", "common"}
    }


def load_sheet(path: Path) -> mapping.Sheet:
    """Read, check and compile one sheet.

    Raises:
        SheetError: what is wrong, and where.
    """
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
        wire = JsonWire(**{name: settings[name] for name in ("days", "moments", "numbers") if name in settings})
    except (OSError, ValueError) as exc:
        raise mapping.SheetError(f"{path.name}: {exc}") from exc
    loaded = mapping.load(path, wire)
    if not isinstance(loaded.settings.get("told_by"), dict):
        raise mapping.SheetError(f"{path.name}: told_by must say how this document is told from others")
    return loaded


def _record(blocks: mapping.Sheet, parsed: dict[str, Any]) -> tuple[CanonicalRecord | None, list[Finding]]:
    block = blocks.blocks[blocks.settings["record"]]
    reader = Reader()
    values: dict[str, Any] = {}
    left = reader.read(block, parsed, values)
    maker = block.maker
    if maker is None:
        return None, reader.findings
    for name in mapping.missing(maker, values):
        reader.problem("value_missing", (_place_of(block, name),), expected=name.replace("_", " "))
    if mapping.missing(maker, values):
        return None, reader.findings
    if left:
        values["extra"] = left
    record: CanonicalRecord = maker.make(values)
    return record, reader.findings


def _place_of(block: mapping.Block, name: str) -> str:
    """The key that should have held a canonical field."""
    for part in block.order:
        if isinstance(part, mapping.Values):
            for cell in part.cells:
                if cell.path[:1] == (name,):
                    return ".".join((part.name, *cell.keys[0]))
    return name
