"""Where an HL level hangs: under the level its HL02 names, and by order and level code when HL02 does not help.

The level codes nest in any of the shapes partners use (shipment-order-item, with tares and packs between, packs over orders,
items over packs). A wrong nesting is said, never refused: the tree is what the sender wrote.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from edi_maps.x12.segments import Loop, Segment

#: Levels below each other, at most. Real shipments use five.
MAX_DEPTH: Final = 8

#: Which levels may hang under which; "" is the set itself. F is a component of an item.
ALLOWED: Final[dict[str, frozenset[str]]] = {
    "": frozenset("S"),
    "S": frozenset("OTPI"),
    "O": frozenset("TPI"),
    "T": frozenset("TOPI"),
    "P": frozenset("OPI"),
    "I": frozenset("TPIF"),
    "F": frozenset("TPF"),
}

#: BSN05 → the order of the levels from the outside in; without it, or with another code, the first row.
_ORDER: Final = {"": "SOTPIF", "0002": "SOITPF", "0003": "STPOIF"}

#: (code, facts): a finding about the HL segment at hand.
Report = Callable[[str, dict[str, Any]], None]


@dataclass(slots=True, eq=False)
class _Level:
    loop: Loop
    parent: _Level | None
    depth: int
    rank: int


class Hierarchy:
    """The HL levels of one transaction set, placed one by one as they come."""

    def __init__(self, root: Loop, structure: str, report: Report) -> None:
        """
        Args:
            root: takes the outermost levels.
            structure: BSN05 as sent.
            report: called with the code and facts of every finding.
        """
        self._report = report
        self._root = _Level(root, None, 0, -1)
        self._last = self._root
        self._by_number: dict[str, _Level] = {}
        order = _ORDER.get(structure, _ORDER[""])
        self._ranks = {level: rank for rank, level in enumerate(order)}

    def place(self, segment: Segment) -> Loop:
        """Open the level of an HL segment under its parent; the loop is returned empty."""
        number, level = segment.get(1), segment.get(3)
        rank = self._ranks.get(level, len(self._ranks))
        if level and level not in self._ranks:
            self._report("hl_level_unknown", {"element": 3, "value": level})
        parent = self._parent(segment, number, level, rank)
        if parent.depth >= MAX_DEPTH:
            self._report("hl_depth", {"limit": MAX_DEPTH})
            while parent.depth >= MAX_DEPTH and parent.parent is not None:
                parent = parent.parent
        above = parent.loop.level
        if level in self._ranks and above in ALLOWED and level not in ALLOWED[above]:
            place = repr(above) if above else "the transaction set itself"
            self._report("hl_parent_level", {"element": 3, "value": level, "expected": place})
        loop = Loop("HL", [], [], level)
        parent.loop.loops.append(loop)
        self._last = _Level(loop, parent, parent.depth + 1, rank)
        key = _key(number)
        if key in self._by_number:
            self._report("hl_id_repeated", {"element": 1, "value": number})
        if key:
            # Where numbers start again, a child means the level that had the number last.
            self._by_number[key] = self._last
        return loop

    def _parent(self, segment: Segment, number: str, level: str, rank: int) -> _Level:
        named = segment.get(2)
        if named and named == number:
            self._report("hl_cycle", {"element": 2, "value": named})
        elif named:
            if (found := self._by_number.get(_key(named))) is not None:
                return found
            if self._last is self._root and not named.strip("0"):
                return self._root  # "0" over the first level: there is none above
            self._report("hl_parent_unknown", {"element": 2, "value": named})
        elif self._last is self._root or rank == 0:
            return self._root
        else:
            self._report("hl_parent_missing", {"element": 2, "value": level})
        return self._by_order(rank)

    def _by_order(self, rank: int) -> _Level:
        """The innermost level still open that is further out than ``rank``."""
        above: _Level | None = self._last
        while above is not None and above.rank >= rank:
            above = above.parent
        return above or self._root


def _key(number: str) -> str:
    """``0001`` and ``1`` are the same level."""
    return number.lstrip("0") or number
