"""Where an HL level hangs: under the level its HL02 names, and by order and level code when HL02 does not help.

The level codes nest in any of the shapes partners use (shipment-order-item, with tares and packs between, packs over orders,
items over packs). A wrong nesting is said, never refused: the tree is what the sender wrote.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from edi_maps.x12.segments import Loop

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
class Level(Loop):
    """One HL loop and where it hangs."""

    parent: Level | None = None
    depth: int = 0
    rank: int = -1


class Hierarchy:
    """The HL levels of one transaction set, placed one by one as they come."""

    def __init__(self, structure: str, report: Report) -> None:
        """
        Args:
            structure: BSN05 as sent.
            report: called with the code and facts of every finding.
        """
        self._report = report
        self._root = Level("")
        self._last = self._root
        self._by_number: dict[str, Level] = {}
        order = _ORDER.get(structure, _ORDER[""])
        self._ranks = {level: rank for rank, level in enumerate(order)}

    @property
    def levels(self) -> list[Loop]:
        """The outermost levels."""
        return self._root.loops

    def place(self, segment: list[str]) -> Level:
        """Open the level of an HL segment under its parent; the loop is returned empty."""
        number = segment[1] if len(segment) > 1 else ""
        named = segment[2] if len(segment) > 2 else ""
        level = segment[3] if len(segment) > 3 else ""
        rank = self._ranks.get(level)
        if rank is None:
            rank = len(self._ranks)
            if level:
                self._report("hl_level_unknown", {"element": 3, "value": level})
        parent = self._by_number.get(named) if named != number else None
        if parent is None:
            parent = self._parent(named, number, level, rank)
        if parent.depth >= MAX_DEPTH:
            self._report("hl_depth", {"limit": MAX_DEPTH})
            while parent.depth >= MAX_DEPTH and parent.parent is not None:
                parent = parent.parent
        above = parent.level
        allowed = ALLOWED.get(above)
        if allowed is not None and level not in allowed and level in self._ranks:
            place = repr(above) if above else "the transaction set itself"
            self._report("hl_parent_level", {"element": 3, "value": level, "expected": place})
        made = Level("HL", [], [], [], level, None, parent, parent.depth + 1, rank)
        parent.loops.append(made)
        self._last = made
        key = _key(number)
        if key in self._by_number:
            self._report("hl_id_repeated", {"element": 1, "value": number})
        if key:
            # Where numbers start again, a child means the level that had the number last.
            self._by_number[key] = made
        return made

    def _parent(self, named: str, number: str, level: str, rank: int) -> Level:
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

    def _by_order(self, rank: int) -> Level:
        """The innermost level still open that is further out than ``rank``."""
        above: Level | None = self._last
        while above is not None and above.rank >= rank:
            above = above.parent
        return above or self._root


def _key(number: str) -> str:
    """``0001`` and ``1`` are the same level."""
    return number.lstrip("0") or number
