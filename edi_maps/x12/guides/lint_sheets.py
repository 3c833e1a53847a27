"""Find rows of map sheets that no document can reach, and fields of canonical records that no row reaches."""

from __future__ import annotations

import functools
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Final

from lxml import etree
from pydantic import BaseModel

from edi_maps.mapping import (
    Block,
    Cell,
    Entries,
    Keep,
    Key,
    Part,
    Sheet,
    SheetError,
    Tag,
    Texts,
    Values,
    load,
    shape_of,
)
from edi_maps.x12.extraction import X12Wire
from edi_maps.x12.guides.fault import Fault

_Node = etree._Element

#: Fields that no row fills: the set says its type, and the schema its version.
_GIVEN: Final = frozenset({"type", "schema_version"})


def lint_sheets(directory: Path, guides: Mapping[tuple[str, str], _Node], groups: Mapping[str, str]) -> Iterator[Fault]:
    """The faults of every sheet ``NNN.toml`` of a directory.

    Args:
        directory: of the sheets.
        guides: the root of each map by set and version.
        groups: GS01 of each set.
    """
    known = _Scope(tuple(guides.values()), across_levels=True)
    for path in sorted(directory.glob("[0-9]*.toml")):
        versions = {version: root for (code, version), root in guides.items() if code == path.stem}
        if not versions:
            yield Fault(file=path.name, rule="guide", words=f"there is no guide for {path.stem}")
            continue
        try:
            sheet = load(path, X12Wire())
        except SheetError as exc:
            yield Fault(file=path.name, rule="sheet", words=str(exc))
            continue
        group = sheet.settings.get("functional_id")
        if group is not None and group != groups[path.stem]:
            words = f"functional_id is {group}, and the guide travels in {groups[path.stem]}"
            yield Fault(file=path.name, rule="guide", words=words)
        scopes = {version: _reached(sheet, root, _blocks_of_its_own(path)) for version, root in versions.items()}
        for name, block in sheet.blocks.items():
            by_version = {version: of[name] for version, of in scopes.items() if name in of}
            for rule, words in _block_faults(block, by_version, known) if by_version else ():
                yield Fault(file=path.name, place=name, rule=rule, words=words)


def _blocks_of_its_own(path: Path) -> list[str]:
    """The blocks that a sheet does not include from another."""
    return list(tomllib.loads(path.read_text(encoding="utf-8")).get("blocks", {}))


def _block_faults(block: Block, scopes: Mapping[str, list[_Scope]], known: _Scope) -> Iterator[tuple[str, str]]:
    for words in dict.fromkeys(_place_faults(block, scopes, known)):
        yield "place", words
    for words in _double_faults(block):
        yield "double", words
    for words in _half_faults(block):
        yield "half", words
    if not any(scope.across_levels for of in scopes.values() for scope in of):
        for words in _required_faults(block):
            yield "required", words


# -- what a block can see


@dataclass(frozen=True, slots=True)
class _Scope:
    """The part of a guide a block reads: a set, a loop or a segment."""

    nodes: tuple[_Node, ...]
    across_levels: bool = False  #: whether HL loops are looked into

    def segments(self, name: str, entered: frozenset[str] = frozenset()) -> list[_Node]:
        """The segments of a name, those in loops included that the block does not take as such."""
        return _content(self, entered).get(("segment", name), [])

    def parts(self, name: str, entered: frozenset[str]) -> list[_Node]:
        """The segments and the loops of a name."""
        return self.segments(name, entered) + _content(self, entered).get(("loop", name), [])


@functools.lru_cache(maxsize=1024)
def _content(scope: _Scope, entered: frozenset[str]) -> dict[tuple[str, str], list[_Node]]:
    """What a block sees that takes loops of the names ``entered``, by kind and name."""
    found: dict[tuple[str, str], list[_Node]] = defaultdict(list)
    waiting = list(scope.nodes)
    while waiting:
        node = waiting.pop()
        if node.tag == "segment":
            found["segment", node.get("xid", "")].append(node)
            continue
        own = node in scope.nodes
        if not own:
            found["loop", _loop_id(node)].append(node)
        if own or node.get("type") == "wrapper" or _loop_id(node) not in entered:
            waiting += [
                child for child in node.iterchildren("loop", "segment") if scope.across_levels or not _is_level(child)
            ]
    return found


def _is_level(node: _Node) -> bool:
    first = next(node.iterchildren("loop", "segment"), None)
    return first is not None and first.get("xid") == "HL"


def _loop_id(loop: _Node) -> str:
    return loop.get("xid", "").removesuffix("_LOOP")


def _reached(sheet: Sheet, root: _Node, own: Iterable[str]) -> dict[str, list[_Scope]]:
    """Where each block is used: as the first block leads to it, and what no block leads to anywhere.

    A module knows the scope of the latter, and fills fields of its own: the levels of a ship notice are such blocks.
    """
    sets = tuple(loop for loop in root.iter("loop") if loop.get("xid") == "ST_LOOP")
    found: dict[str, list[_Scope]] = defaultdict(list)
    _follow(sheet.blocks[sheet.settings["record"]], _Scope(sets), found)
    for name in own:
        if name not in found:
            _follow(sheet.blocks[name], _Scope(sets, across_levels=True), found)
    return found


def _follow(block: Block, scope: _Scope, found: dict[str, list[_Scope]]) -> None:
    if scope in found[block.name]:
        return
    found[block.name].append(scope)
    for part in block.order:
        if isinstance(part, Entries):
            for node in scope.parts(part.name, block.entered):
                _follow(part.block, _Scope((node,), scope.across_levels), found)


# -- every address exists


def _place_faults(block: Block, scopes: Mapping[str, list[_Scope]], known: _Scope) -> Iterator[str]:
    """Rows about a wire part that the guides do not have.

    What is written needs its place in every version it is written in. What is only read needs it in one, and what is kept in
    the guide of any set: old versions and careless partners have a segment where our guides have none.
    """
    for part in block.order:
        everywhere = part.writes and not isinstance(part, Keep)
        for name, key, versions in _addresses(part, scopes, everywhere):
            missing = [
                version
                for version in versions
                if not any(_has(scope, name, key, part, block.entered) for scope in scopes[version])
            ]
            if missing and (everywhere or not any(_has_element(segment, key) for segment in known.segments(name))):
                yield f"{_written(name, key)} has no place in the guide of {', '.join(missing)}"


def _addresses(
    part: Part, scopes: Mapping[str, object], everywhere: bool
) -> Iterator[tuple[str, Key | None, list[str]]]:
    versions = [version for version in scopes if not everywhere or part.written_in(version)]
    yield part.name, None, versions
    for name, key, _ in part.where:
        yield name, key, versions
    if isinstance(part, Texts):
        for key in part.keys:
            yield part.name, key, versions
    if isinstance(part, Values):
        for cell in part.cells:
            here = [version for version in versions if not cell.writes or cell.written_in(version)]
            for key in cell.keys:
                yield part.name, key, here
            for name, key, _ in cell.when:
                yield name, key, here
        if part.pairs is not None:
            for number in range(part.pairs.first, part.pairs.upto + 1):
                yield part.name, number, versions
            for key in part.pairs.shared.values():
                yield part.name, key, versions


def _has(scope: _Scope, name: str, key: Key | None, part: Part, entered: frozenset[str]) -> bool:
    if isinstance(part, Entries) and (key is not None or name != part.name):
        inner = _Scope(tuple(scope.parts(part.name, entered)), scope.across_levels)
        return any(_has_element(segment, key) for segment in inner.segments(name))
    if key is None:
        return bool(scope.parts(name, entered))
    return any(_has_element(segment, key) for segment in scope.segments(name, entered))


def _has_element(segment: _Node, key: Key | None) -> bool:
    if key is None:
        return True
    number, component = key if isinstance(key, tuple) else (key, None)
    elements = list(segment.iterchildren("element", "composite"))
    if not 1 <= number <= len(elements):
        return False
    found = elements[number - 1]
    return component is None or (found.tag == "composite" and component <= len(list(found.iterchildren("element"))))


def _written(name: str, key: Key | None) -> str:
    if key is None:
        return name
    number, component = key if isinstance(key, tuple) else (key, None)
    return f"{name}{number:02d}" if component is None else f"{name}{number:02d}-{component}"


# -- every field is filled, and written once


def _required_faults(block: Block) -> Iterator[str]:
    """Fields a record cannot be made without and no row reads, down to the records nested in it."""
    if block.maker is None:
        for name in ("key", "value"):
            if not any(path[:1] == (name,) for path in _read_paths(block)):
                yield f"no row fills {name}"
        return
    yield from _lacking(block.maker.model, _read_paths(block), "")
    for part in block.order:
        if isinstance(part, Values) and part.pairs is not None and part.pairs.maker is not None:
            filled = {*part.pairs.names, *part.pairs.shared}
            yield from _lacking(part.pairs.maker.model, [(name,) for name in filled], f"{part.pairs.field}.")


def _lacking(model: type[BaseModel], paths: Iterable[tuple[Any, ...]], prefix: str) -> Iterator[str]:
    below: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for first, *rest in filter(None, paths):
        below[first].append(tuple(rest))
    for name, info in model.model_fields.items():
        if name not in below:
            if info.is_required() and name not in _GIVEN:
                yield f"no row fills {prefix}{name}, which {model.__name__} must have"
        elif (inner := shape_of(info.annotation).model) is not None and all(below[name]):
            by_tag: dict[Any, list[tuple[Any, ...]]] = defaultdict(list)
            for path in below[name]:
                tag = path[0] if isinstance(path[0], Tag) else None
                by_tag[tag] += [(tag.attribute,), path[1:]] if tag else [path]
            for tag, inside in by_tag.items():
                yield from _lacking(inner, inside, f"{prefix}{name}[{tag.value}]." if tag else f"{prefix}{name}.")


def _read_paths(block: Block) -> list[tuple[Any, ...]]:
    """The fields rows fill when they read; of a list of entries just its name."""
    paths: list[tuple[Any, ...]] = []
    for part in block.order:
        if not part.reads:
            continue
        if isinstance(part, Values):
            paths += [cell.path for cell in part.cells if cell.reads and cell.path]
            paths += [(name,) for cell in part.cells for name in cell.implies]
            if part.pairs is not None:
                paths += [(field.removesuffix("[]"),) for field in part.pairs.into.values()]
                paths += [(part.pairs.field,)] if part.pairs.field else []
        elif isinstance(part, Texts):
            paths.append(part.field)
        elif isinstance(part, Entries):
            paths.append((part.field,))
    return paths


def _half_faults(block: Block) -> Iterator[str]:
    """Rows that fill a nested record without the field it must have: what they read would be lost.

    A unit says nothing without its quantity: the row of the unit holds only ``when`` the quantity is there.
    """
    cells = [
        (part, cell)
        for part in block.order
        if isinstance(part, Values) and part.reads
        for cell in part.cells
        if cell.reads and len(cell.path) > 1 and all(isinstance(step, str) for step in cell.path)
    ]
    for part, cell in cells:
        model = _model_at(block, cell.path[:-1])
        for name in [name for name, info in model.model_fields.items() if info.is_required()] if model else ():
            beside = [
                other.keys[0]
                for other_part, other in cells
                if other_part.name == part.name and other.path == (*cell.path[:-1], name)
            ]
            if cell.path[-1] != name and not any((part.name, key) == when[:2] for key in beside for when in cell.when):
                yield f"{_written(part.name, cell.keys[0])} is read where there may be no {'.'.join(cell.path[:-1])}.{name}"


def _model_at(block: Block, path: tuple[str, ...]) -> type[BaseModel] | None:
    """The nested record at a path; None for a dictionary."""
    model = block.maker.model if block.maker is not None else None
    for name in path:
        model = shape_of(model.model_fields[name].annotation).model if model is not None else None
    return model


def _double_faults(block: Block) -> Iterator[str]:
    """Two rows that write one field into one document, with nothing said that lets only one of them."""
    cells = [
        (part, cell)
        for part in block.order
        if isinstance(part, Values) and part.writes
        for cell in part.cells
        if cell.writes and cell.path
    ]
    for (part, cell), (other_part, other) in combinations(cells, 2):
        if cell.path == other.path and _together(part, cell, other_part, other):
            places = f"{_written(part.name, cell.keys[0])} and {_written(other_part.name, other.keys[0])}"
            yield f"{'.'.join(map(str, cell.path))} is written to {places}"


def _together(part: Part, cell: Cell, other_part: Part, other: Cell) -> bool:
    """Whether both rows may write into one document."""
    since = max(part.since, cell.since, other_part.since, other.since)
    until = min(filter(None, (part.until, cell.until, other_part.until, other.until)), default="")
    if until and since > until:
        return False
    if cell.when or other.when:
        return False  # it says beside what it may stand
    return not any(other.implies.get(name, value) != value for name, value in cell.implies.items())
