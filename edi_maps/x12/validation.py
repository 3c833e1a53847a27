"""Walk one transaction set along its guide: a tree of loops, and every departure from the guide as a finding.

Lenient to the last segment: what stands in the wrong place is filed where it belongs, or else where the reader stands, and the
walk goes on from there, so that one fault makes one finding.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Final

from edi_maps.findings import Finding, finding
from edi_maps.x12.hierarchy import Hierarchy
from edi_maps.x12.segment_rules import Fault, compile_pattern, faults
from edi_maps.x12.segments import Delimiters, Loop, Segment
from edi_maps.x12.structure import Edge, Guide, SegmentNode, segment_name

#: Findings of one set that are listed; a bad guide on the other side would otherwise make thousands.
MAX_FINDINGS: Final = 100

#: HL levels of one set; a shipment of 100,000 cartons is a train.
MAX_LEVELS: Final = 100_000

#: Called with every loop of the root, and every HL level, as soon as the walk has left it: True when it has been read and the tree
#: can do without it (an HL level: without its own segments and loops).
Take = Callable[[Loop], bool]


def validate(
    pieces: Sequence[str],
    guide: Guide,
    delimiters: Delimiters,
    *,
    short_dates: bool = False,
    padded: bool = True,
    most: int = MAX_FINDINGS,
    take: Take | None = None,
) -> tuple[Loop, list[Finding]]:
    """Read the segments of one set, ST to SE, by ``guide``.

    Args:
        pieces: the segments as ``segments.cut`` returns them.
        short_dates: dates of six digits are allowed (versions before 004010).
        padded: elements may have blanks around them, which are taken off in the tree.
        most: findings that are listed.
        take: takes loops out of the tree while it grows, so that a set of any length is never held as a whole.

    Returns:
        The root loop, which holds every segment given but for what ``take`` took, and the findings in the order of the segments.
        Findings say the position of their segment; the byte offset is for the caller to add, who knows the file.
    """
    walk = _Walk(guide, delimiters, short_dates, most, take)
    walk.run(pieces, padded=padded)
    return walk.root, walk.findings


class _Walk:
    def __init__(self, guide: Guide, delimiters: Delimiters, short_dates: bool, most: int, take: Take | None) -> None:
        self.guide = guide
        self.delimiters = delimiters
        self.short_dates = short_dates
        self.most = most
        self.take = take
        self.levels = 0
        self.root = Loop("")
        self.stack = [self.root]
        self.findings: list[Finding] = []
        self.hierarchy: Hierarchy | None = None
        self.position = 0
        self.segment: list[str] = [""]
        self.counts: dict[tuple[int, str], int] = {}  #: loops so far, by parent and kind
        self.seen: dict[str, int] = {}  #: loops of the root so far, by kind

    def run(self, pieces: Sequence[str], *, padded: bool) -> None:
        """The hot loop: per good segment one look-up for the place and one match for the content."""
        patterns = _patterns(self.guide, self.delimiters, self.short_dates)
        separator = self.delimiters.element
        stack = self.stack
        top = self.root
        node = self.guide.start
        levels = self.guide.levels
        edges = node.edges
        uses = 0
        position = 0
        for piece in pieces:
            position += 1
            elements = piece.split(separator)
            identifier = elements[0]
            if padded:
                elements = [identifier, *(element.strip() for element in elements[1:])]
            edge = edges.get(identifier)
            if edge is None or (identifier == "HL" and levels):
                self.position, self.segment = position, elements
                if identifier == "HL" and levels:
                    top, node = self.open_level(elements, edge)
                elif identifier != "ST" or position > 1:
                    step = self.unexpected(node, identifier)
                    if step is None:
                        top.segments.append(elements)
                        top.positions.append(position)
                        continue
                    node = step.target
                    top = self.follow(step)
                edges = node.edges
                uses = 1
            else:
                if edge.others:
                    edge = edge.choose(elements[1] if len(elements) > 1 else "")
                if edge.plain:
                    uses = 1
                else:
                    if edge.missing:
                        self.position, self.segment = position, elements
                        self.report_missing(edge.missing)
                    opens = edge.opens
                    if opens is not None:
                        keep = edge.keep
                        if keep:
                            del stack[keep + 1 :]
                            parent = stack[keep]
                            top = Loop(opens.id, [], [], [])
                            parent.loops.append(top)
                            stack.append(top)
                            if len(parent.loops) > opens.repeat:
                                self.position, self.segment = position, elements
                                self.check_repeat(parent, opens.id, opens.repeat)
                        else:
                            self.leave()
                            top = Loop(opens.id, [], [], [])
                            stack.append(top)
                            count = self.seen[opens.id] = self.seen.get(opens.id, 0) + 1
                            if count == opens.repeat + 1:
                                self.position, self.segment = position, elements
                                self.report("loop_repeat", limit=opens.repeat)
                        uses = 1
                    elif edge.target is node:
                        uses += 1
                        if uses == node.max_use + 1:
                            self.position, self.segment = position, elements
                            self.report("segment_repeat", limit=node.max_use)
                    else:
                        if not edge.keep:
                            self.leave()
                        del stack[edge.keep + 1 :]
                        top = stack[-1]
                        uses = 1
                node = edge.target
                edges = node.edges
            top.segments.append(elements)
            top.positions.append(position)
            match = patterns[node.index] or self.pattern(patterns, node)
            if match(piece) is None:
                self.position, self.segment = position, elements
                if len(self.findings) > self.most:
                    continue  # to say what is wrong would cost more than there is to say
                for fault in faults(
                    node, Segment(piece.split(separator)), self.delimiters, short_dates=self.short_dates
                ):
                    self.report_fault(fault)
        self.position, self.segment = position + 1, [""]
        if node.id != "SE" and position and (closing := edges.get("SE")):
            self.report_missing(closing.missing)
        self.leave()
        if self.hierarchy is not None:
            self.root.loops += self.hierarchy.levels

    def pattern(self, patterns: list[_Match | None], node: SegmentNode) -> _Match:
        match = compile_pattern(node, self.delimiters, short_dates=self.short_dates)
        patterns[node.index] = match
        return match

    def leave(self) -> None:
        """Close the loop of the root that is open, if any: it is complete."""
        if len(self.stack) == 1:
            return
        loop = self.stack[1]
        del self.stack[1:]
        taken = self.take is not None and self.take(loop)
        if loop.id == "HL" and self.hierarchy is not None:
            if taken:  # its place in the hierarchy stays
                loop.segments, loop.positions = _TAKEN, _TAKEN_AT
                loop.loops.clear()  # levels below come later
        elif not taken:
            self.root.loops.append(loop)

    def open_level(self, segment: list[str], edge: Edge | None) -> tuple[Loop, SegmentNode]:
        if self.hierarchy is None:
            header = next((header for header in self.root.segments if header[0] == "BSN"), [])
            self.hierarchy = Hierarchy(header[5] if len(header) > 5 else "", self.report_level)
        if edge is None:
            self.report("segment_unexpected", after=" after the totals")
        elif edge.missing:
            self.report_missing(edge.missing)
        self.levels += 1
        if self.levels > MAX_LEVELS:
            if self.levels == MAX_LEVELS + 1:
                self.report("too_large", limit=f"{MAX_LEVELS} levels in one set")
            return self.stack[-1], self.guide.levels.get(segment[3] if len(segment) > 3 else "") or self.guide.start
        self.leave()
        loop = self.hierarchy.place(segment)
        self.stack.append(loop)
        self.seen["HL"] = 1
        levels = self.guide.levels
        return loop, levels.get(loop.level) or next(reversed(levels.values()))

    def unexpected(self, node: SegmentNode, identifier: str) -> Edge | None:
        """Say that no such segment may come here, and find the place it belongs to."""
        if identifier in self.guide.identifiers:
            self.report("segment_unexpected", after=f" after {node.id}")
            return node.recover.get(identifier)
        if segment_name(identifier):
            self.report("segment_not_in_set")
        else:
            self.report("segment_unknown", value=identifier[:20], segment=identifier[:3].strip() or None)
        return None

    def follow(self, edge: Edge) -> Loop:
        if not edge.keep:
            self.leave()
        del self.stack[edge.keep + 1 :]
        if edge.opens is not None:
            loop = Loop(edge.opens.id)
            if edge.keep:
                self.stack[-1].loops.append(loop)
            else:
                self.seen[loop.id] = self.seen.get(loop.id, 0) + 1
            self.stack.append(loop)
        return self.stack[-1]

    def check_repeat(self, parent: Loop, identifier: str, limit: int) -> None:
        """Count the loops of one kind, but only from where there are more loops of any kind than it may have."""
        key = (id(parent), identifier)
        if key in self.counts:
            self.counts[key] += 1
        else:
            self.counts[key] = sum(loop.id == identifier for loop in parent.loops)
        if self.counts[key] == limit + 1:
            self.report("loop_repeat", limit=limit)

    # -- findings

    def report(self, code: str, **facts: Any) -> None:
        if len(self.findings) >= self.most:
            if len(self.findings) == self.most:
                self.findings.append(finding("findings_capped", count=self.most))
            return
        facts.setdefault("segment", self.segment[0])
        self.findings.append(finding(code, position=self.position, **facts))

    def report_level(self, code: str, facts: dict[str, Any]) -> None:
        self.report(code, **facts)

    def report_fault(self, fault: Fault) -> None:
        code, facts = fault
        self.report(code, **facts)

    def report_missing(self, missing: tuple[str, ...]) -> None:
        if len(self.findings) > self.most:
            return  # looking would cost more than there is to say
        for identifier in missing:
            seen = any(segment[0] == identifier for loop in self.stack for segment in loop.segments)
            if (
                not seen
                and identifier not in self.seen
                and not any(child.id == identifier for loop in self.stack for child in loop.loops)
            ):
                self.report("segment_missing", segment=identifier)


#: What is left of the segments of a level that has been taken; of many levels one.
_TAKEN: Final[list[list[str]]] = []
_TAKEN_AT: Final[list[int]] = []

_Match = Callable[[str], object]


@functools.lru_cache(maxsize=64)
def _patterns(guide: Guide, delimiters: Delimiters, short_dates: bool) -> list[_Match | None]:
    """The tests of a guide by node, made when first needed. Delimiters come from outside, so the cache is bounded."""
    return [None] * len(guide.nodes)
