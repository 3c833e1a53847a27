"""Ship notices: the levels of the hierarchy make packages and items, and packages and items make levels.

Reading takes any shape; writing gives shipment, orders, packages and items.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from edi_maps.canonical import CanonicalRecord, Mark
from edi_maps.mapping import Maker, grouped
from edi_maps.x12.composition import Writer
from edi_maps.x12.extraction import Reader
from edi_maps.x12.map_sheets import document, sheet
from edi_maps.x12.segments import Loop


@dataclass(slots=True)
class _Place:
    """Where in the hierarchy a level stands: its order and its package."""

    order: dict[str, Any] | None = None
    inherited: dict[str, Any] = field(default_factory=dict)  #: what items take over from the order
    package: dict[str, Any] | None = None
    item: dict[str, Any] | None = None


#: Level code → the block of the sheet that reads and writes the level.
_BLOCKS: Final = {"S": "shipment", "O": "order", "T": "package", "P": "package", "I": "item"}

#: What an order level says about the items below it.
_OF_ORDER: Final = ("order_number", "order_revision", "release_number", "store")

#: Roles whose identifier at order level names the store, the most specific first.
_STORE_ROLES: Final = ("mark_for", "marked_party", "buyer")

_ITEM_SEGMENTS: Final = frozenset({"LIN", "SN1", "SLN", "PRF", "PID", "DTM"})


class NoticeBuilding:
    """Any shape of hierarchy: a package belongs to the nearest package above it, an item to the nearest order above it and to
    the nearest package above it, or else to the first one below it.

    What a level says of itself is read as soon as the level is complete; how levels belong together, when all are there.
    """

    def __init__(self, component: str, *, traced: bool) -> None:
        self.reader = Reader(component, traced=traced)

    def take(self, loop: Loop) -> bool:
        if loop.id != "HL":
            return False
        block = _BLOCKS.get(loop.level)
        if block in (None, "shipment") or (block == "package" and _names_item(loop)):
            return False  # a package that names its item must know whether items stand below it
        self.reader.within(loop)
        loop.content = _read(self.reader, sheet("856").blocks[block], loop)
        if block == "package":
            _take_sscc(loop.content, loop, self.reader)
        return True

    def finish(self, tree: Loop) -> CanonicalRecord | None:
        reader, blocks = self.reader, sheet("856").blocks
        reader.within(tree)
        data: dict[str, Any] = {}
        left: dict[str, Any] = {}
        reader.fill(blocks["header"], _only(tree, {"BSN"}), data, left)
        reader.fill(blocks["totals"], _only(tree, {"CTT"}), data, left)
        shipment = Loop(
            "HL",
            [segment for segment in tree.segments if segment[0] not in {"BSN", "CTT"}],
            [],
            [loop for loop in tree.loops if loop.id not in {"HL", "CTT"}],
        )
        orders: list[dict[str, Any]] = []
        packages: list[dict[str, Any]] = []
        items: list[dict[str, Any]] = []
        waiting = [(loop, _Place()) for loop in reversed(tree.loops) if loop.id == "HL"]
        while waiting:
            level, place = waiting.pop()
            match level.level:
                case "S":
                    shipment.segments += level.segments
                    shipment.loops += [loop for loop in level.loops if loop.id != "HL"]
                case "O":
                    order = _content(reader, level)
                    _name_store(reader, order)
                    orders.append(order)
                    inherited: dict[str, Any] = {name: order[name] for name in _OF_ORDER if name in order}
                    place = _Place(order, inherited, place.package)
                case "T" | "P":
                    place = _package(reader, level, place, packages, items)
                case "I":
                    item = _placed(reader, _content(reader, level), place)
                    items.append(item)
                    if level.loops:
                        place = _Place(place.order, place.inherited, place.package, item)
                case _:
                    kept: dict[str, Any] = {}
                    inner = [loop for loop in level.loops if loop.id != "HL"]
                    reader.keep(Loop("HL", level.segments, level.positions, inner), kept)
                    owner = place.item or place.package or place.order
                    target = left if owner is None else owner.setdefault("extra", {})
                    before = target.setdefault("HL", [])
                    if reader.traced:
                        if owner is not None:
                            reader.source(owner).inner["extra"] = target
                        for number in range(len(kept["HL"])):
                            spots = reader.source(kept).values.get(f"HL/{number}", [])
                            reader.source(target).values[f"HL/{len(before) + number}"] = spots
                    before.extend(kept["HL"])
            if level.loops:
                waiting.extend((loop, place) for loop in reversed(level.loops) if loop.id == "HL")
        reader.fill(blocks["shipment"], shipment, data, left)
        _fill(reader, data, orders, packages, items)
        return document("856", data, left, tree, reader)


def _only(tree: Loop, wanted: set[str]) -> Loop:
    return Loop(
        "",
        [segment for segment in tree.segments if segment[0] in wanted],
        [],
        [loop for loop in tree.loops if loop.id in wanted],
    )


def _read(reader: Reader, block: Any, scope: Loop) -> dict[str, Any]:
    data: dict[str, Any] = {}
    if reader.traced and block.name == "package":
        reader.source(data).note("level", scope.segments[0], 3)
    if left := reader.read(block, scope, data):
        _name_second_marks(reader, data, left)
    if left:
        data["extra"] = left
        if reader.traced:
            reader.source(data).inner["extra"] = left
    return data


def _name_second_marks(reader: Reader, data: dict[str, Any], left: dict[str, Any]) -> None:
    """Make marks of what MAN04 to MAN06 say: a segment has room for two, and writing gives each its own."""
    for place in [address.removesuffix("MAN05") for address in left if re.fullmatch(r"marks/\d+/MAN05", address)]:
        if f"{place}MAN04" not in left:
            continue
        cells = [cell for part in sheet("856").blocks["mark"].order for cell in getattr(part, "cells", ())]
        addresses = {f"{place}MAN{cell.keys[0] + 3:02d}": cell for cell in cells}
        there = {address: cell for address, cell in addresses.items() if address in left}
        if not all(isinstance(left[address], str) for address in there):
            continue  # components, where no mark has any
        mark: dict[str, Any] = {}
        for address, cell in there.items():
            name, value = cell.path[0], left.pop(address)
            mark[name] = value if cell.decode is None else cell.decode(value)
            if reader.traced:
                reader.source(mark).values[name] = reader.source(left).values.pop(address, [])
        if reader.traced:
            reader.source(data).inner[f"marks/{len(data['marks'])}"] = mark
        data["marks"].append(Mark(**mark))


def _content(reader: Reader, level: Loop) -> dict[str, Any]:
    """What a level says of itself, read already or not."""
    if level.content is None:
        level.content = _read(reader, sheet("856").blocks[_BLOCKS[level.level]], level)
    content: dict[str, Any] = level.content
    return content


def _name_store(reader: Reader, order: dict[str, Any]) -> None:
    parties = order.get("parties", ())
    places = {party.role: place for place, party in reversed([*enumerate(parties)]) if party.id}
    if (place := next((places[role] for role in _STORE_ROLES if role in places), None)) is not None:
        order["store"] = parties[place].id
        if reader.traced:
            source = reader.source(order)
            source.values["store"] = reader.source(source.inner[f"parties/{place}"]).values.get("id", [])


def _placed(reader: Reader, item: dict[str, Any], place: _Place) -> dict[str, Any]:
    if "order_number" not in item:
        item |= place.inherited
        if reader.traced and place.order is not None:
            said = reader.source(place.order).values
            reader.source(item).values.update({name: said[name] for name in place.inherited if name in said})
    if place.package is not None:
        item["package_id"] = place.package["id"]
    return item


def _package(
    reader: Reader, level: Loop, place: _Place, packages: list[dict[str, Any]], items: list[dict[str, Any]]
) -> _Place:
    """Read a tare or pack. One that holds a single item may name it itself instead of having an item level."""
    blocks = sheet("856").blocks
    inner = None
    if level.content is not None:
        package = level.content
    else:
        scope = level
        if place.item is None and _names_item(level) and not any(loop.level == "I" for loop in _levels_below(level)):
            scope = Loop(
                "HL",
                [segment for segment in level.segments if segment[0] not in _ITEM_SEGMENTS],
                [],
                [loop for loop in level.loops if loop.id not in _ITEM_SEGMENTS],
            )
            inner = Loop(
                "HL",
                [segment for segment in level.segments if segment[0] in _ITEM_SEGMENTS],
                [],
                [loop for loop in level.loops if loop.id in _ITEM_SEGMENTS],
            )
        package = _read(reader, blocks["package"], scope)
        _take_sscc(package, level, reader)
    package["id"] = str(len(packages) + 1)
    package["level"] = "tare" if level.level == "T" else "pack"
    if place.package is not None:
        package["parent_id"] = place.package["id"]
    packages.append(package)
    if place.item is not None:
        if "package_id" not in place.item:
            place.item["package_id"] = package["id"]
        else:
            place.item.setdefault("extra", {}).setdefault("packages", []).append(package["id"])
    below = _Place(place.order, place.inherited, package)
    if inner is not None:
        items.append(_placed(reader, _read(reader, blocks["item"], inner), below))
    return below


def _names_item(level: Loop) -> bool:
    return any(segment[0] in {"LIN", "SN1"} for segment in level.segments)


def _levels_below(level: Loop) -> Iterator[Loop]:
    waiting = [loop for loop in level.loops if loop.id == "HL"]
    while waiting:
        loop = waiting.pop()
        yield loop
        waiting.extend(child for child in loop.loops if child.id == "HL")


def _take_sscc(package: dict[str, Any], level: Loop, reader: Reader) -> None:
    """Move the first SSCC from the marks to ``sscc``; one whose MAN says more stays among the marks as well."""
    marks = package.get("marks", ())
    for index, mark in enumerate(marks):
        if mark.kind == "sscc" and (number := sscc_of(mark.value)):
            package["sscc"] = number
            segment = next(
                segment for segment in level.segments if len(segment) > 2 and segment[2].strip() == mark.value
            )
            if not valid_sscc(number):
                reader.problem("sscc_check_digit", segment, 2, mark.value)
            stays = mark.last is not None or any(address.startswith("marks/") for address in package.get("extra", {}))
            if not stays:
                del marks[index]
            if reader.traced:
                source = reader.source(package)
                source.note("sscc", segment, 2)
                reader.qualifiers.append((segment, [(1, 2)]))
                if not stays:
                    entries = [source.inner.pop(f"marks/{place}") for place in range(len(marks) + 1)]
                    del entries[index]
                    source.inner.update({f"marks/{place}": entry for place, entry in enumerate(entries)})
            return


def sscc_of(mark: str) -> str | None:
    """The 18 digits of an SSCC as marked: bare, or behind the application identifier 00 or (00). None: it is none.

    >>> sscc_of("00106141411234567897")
    '106141411234567897'
    """
    found = re.fullmatch(r"(?:00|\(00\))?([0-9]{18})", mark.replace(" ", ""))
    return found[1] if found else None


def valid_sscc(number: str) -> bool:
    """Whether the last of the 18 digits is the check digit of the others: weights 3, 1, 3 … from the left, modulo 10.

    >>> valid_sscc("106141411234567897")
    True
    """
    total = sum(int(digit) * (3 if index % 2 == 0 else 1) for index, digit in enumerate(number[:17]))
    return (10 - total % 10) % 10 == int(number[17])


def _fill(
    reader: Reader,
    data: dict[str, Any],
    orders: list[dict[str, Any]],
    packages: list[dict[str, Any]],
    items: list[dict[str, Any]],
) -> None:
    """Give the notice its orders, packages and items. An order is named only where it says more than its items do."""
    told = [order for order in orders if order.keys() - set(_OF_ORDER)]
    if len(told) < len(orders):
        known = {_key(item) for item in items}
        told = [order for order in orders if order.keys() - set(_OF_ORDER) or _key(order) not in known]
    for item in items:
        if "order_number" not in item:
            for told_by in (item, data):
                if (place := _order_in(told_by)) is not None:
                    item["order_number"] = told_by["references"][place].value
                    if reader.traced:
                        reference = reader.source(told_by).inner[f"references/{place}"]
                        reader.source(item).values["order_number"] = reader.source(reference).values.get("value", [])
                    break
    blocks = sheet("856").blocks
    for name, block_name, entries in (
        ("orders", "order", told),
        ("packages", "package", packages),
        ("items", "item", items),
    ):
        maker: Maker | None = blocks[block_name].maker
        if entries and maker is not None:
            if reader.traced:
                reader.source(data).inner.update({f"{name}/{place}": entry for place, entry in enumerate(entries)})
            made: list[Any] = data.setdefault(name, entries)
            for place, entry in enumerate(entries):  # one after the other: of many items there are never two of each
                made[place] = maker.make(entry)


def _order_in(values: dict[str, Any]) -> int | None:
    """Which of the references is the order number."""
    references = values.get("references", ())
    return next((place for place, each in enumerate(references) if each.kind == "purchase_order" and each.value), None)


# -- writing

#: Levels of packages within packages that are written. Nobody stacks deeper; a chain of parents that goes on is a circle.
MAX_NESTING: Final = 20

_OrderKey = tuple[Any, ...]  #: the values of ``_OF_ORDER``


@dataclass(slots=True, eq=False)
class _Level:
    """One HL to be written."""

    code: str
    values: dict[str, Any]
    rank: float  #: position of its first item in the notice; what has no items comes last
    children: list[_Level] = field(default_factory=list)


class _Hierarchy:
    """Writes a ship notice as shipment, orders, packages and items.

    A package whose items are of one order stands below that order; one that mixes orders stands above them.
    """

    def __init__(self, data: dict[str, Any]) -> None:
        self._data = data
        self._told = {_key(order): order for order in reversed(data.get("orders", ()))}
        self._opened: set[_OrderKey] = set()  #: orders that have got a level
        packages = data.get("packages", ())
        self._parents: dict[str, str | None] = {package["id"]: package.get("parent_id") for package in packages}
        if len(self._parents) != len(packages):
            raise ValueError("packages: an id occurs twice")
        self._packages: dict[str | None, list[dict[str, Any]]] = {}
        self._items: dict[str | None, list[tuple[int, dict[str, Any]]]] = {}
        #: by package: the orders of all it holds, and the first of its items
        self._orders: dict[str, set[_OrderKey]] = {package_id: set() for package_id in self._parents}
        self._ranks: dict[str, float] = dict.fromkeys(self._parents, float("inf"))
        for package in packages:
            self._ancestors(package["id"], "packages")
            self._packages.setdefault(package.get("parent_id"), []).append(package)
        for rank, item in enumerate(data.get("items", ())):
            self._items.setdefault(item.get("package_id"), []).append((rank, item))
            for package_id in self._ancestors(item.get("package_id"), "items"):
                self._orders[package_id].add(_key(item))
                self._ranks[package_id] = min(self._ranks[package_id], rank)

    def _ancestors(self, package_id: str | None, field_name: str) -> list[str]:
        """The package and all it stands in, from the inside out."""
        chain: list[str] = []
        while package_id is not None:
            if package_id not in self._parents:
                raise ValueError(f"{field_name}: {package_id!r} is no package of this notice")
            chain.append(package_id)
            if len(chain) > MAX_NESTING:
                raise ValueError(f"packages: {package_id!r} stands in itself, or more than {MAX_NESTING} deep")
            package_id = self._parents[package_id]
        return chain

    def levels(self) -> list[tuple[int, int, _Level]]:
        """The levels in the order they are written, each with its number and its parent's (0: none)."""
        root = _Level("S", self._data, 0, self._contents(None, None))
        root.children += [
            _Level("O", order, 0) for key, order in reversed(self._told.items()) if key not in self._opened
        ]
        numbered: list[tuple[int, int, _Level]] = []
        waiting = [(0, root)]
        while waiting:
            parent, level = waiting.pop()
            numbered.append((len(numbered) + 1, parent, level))
            waiting.extend((len(numbered), child) for child in reversed(level.children))
        return numbered

    def _contents(self, package_id: str | None, order: _OrderKey | None) -> list[_Level]:
        """What stands directly in a package (None: in the shipment), below ``order`` or below none yet."""
        levels: list[_Level] = []
        opened: dict[_OrderKey, _Level] = {}

        def add(level: _Level, key: _OrderKey | None) -> None:
            if order is not None or key is None or key[0] is None:
                levels.append(level)
                return
            if key not in opened:
                self._opened.add(key)
                opened[key] = _Level("O", self._told.get(key) or _order_of(key), level.rank)
                levels.append(opened[key])
            opened[key].rank = min(opened[key].rank, level.rank)
            opened[key].children.append(level)

        for package in self._packages.get(package_id, ()):
            held = self._orders[package["id"]]
            key = next(iter(held)) if len(held) == 1 else None
            code = "T" if package["level"] == "tare" else "P"
            inside = self._contents(package["id"], order or (key if key and key[0] is not None else None))
            add(_Level(code, _marked(package), self._ranks[package["id"]], inside), key)
        for rank, item in self._items.get(package_id, ()):
            add(_Level("I", item, rank), _key(item))
        for level in opened.values():
            level.children.sort(key=_rank)
        return sorted(levels, key=_rank)


def _key(values: dict[str, Any]) -> _OrderKey:
    return tuple(map(values.get, _OF_ORDER))


def _rank(level: _Level) -> float:
    return level.rank


def _order_of(key: _OrderKey) -> dict[str, Any]:
    order = {name: value for name, value in zip(_OF_ORDER, key, strict=True) if value is not None}
    if store := order.get("store"):
        order["parties"] = ({"role": "buyer", "id_type": "assigned_by_buyer", "id": store},)
    return order


def _marked(package: dict[str, Any]) -> dict[str, Any]:
    """The package with its SSCC among the marks."""
    marks = package.get("marks", ())
    number = package.get("sscc")
    if number is None or any(mark["kind"] == "sscc" and sscc_of(mark["value"]) == number for mark in marks):
        return package
    return package | {"marks": ({"kind": "sscc", "value": f"00{number}"}, *marks)}


def _name_of(level: _Level) -> str:
    """Where in the record a level comes from, to stand before the field that cannot be written."""
    match level.code:
        case "I":
            return f"items.{level.rank}."
        case "T" | "P":
            return f"packages[{level.values['id']}]."
        case "O":
            return f"orders[{level.values.get('order_number', '')}]."
    return ""


def write(data: dict[str, Any], writer: Writer) -> None:
    blocks = sheet("856").blocks
    extra = grouped(data.get("extra", {}))
    writer.write(blocks["header"], data, extra, "")
    levels = _Hierarchy(data).levels()
    for number, parent, level in levels:
        writer.segments.append(["HL", str(number), str(parent or ""), level.code, "1" if level.children else "0"])
        own = extra if level.code == "S" else grouped(level.values.get("extra", {}))
        writer.prefix = _name_of(level)
        writer.write(blocks[_BLOCKS[level.code]], level.values, own, "")
    writer.prefix = ""
    totals = {"line_count": len(levels)} | data.get("totals", {})
    writer.write(blocks["totals"], {"totals": totals}, extra, "")
