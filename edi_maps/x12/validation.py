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
from edi_maps.x12.segment_rules import Fault, compile_pattern, faults, loose_rules, rules_hold
from edi_maps.x12.segments import Delimiters, Loop, Segment
from edi_maps.x12.structure import Edge, Guide, SegmentNode, segment_name

#: Findings of one set that are listed; a bad guide on the other side would otherwise make thousands.
MAX_FINDINGS: Final = 100


def validate(
    segments: Sequence[Segment], guide: Guide, delimiters: Delimiters, *, short_dates: bool = False
) -> tuple[Loop, list[Finding]]:
    """Read the segments of one set, ST to SE, by ``guide``.

    Args:
        short_dates: dates of six digits are allowed (versions before 004010).

    Returns:
        The root loop, which holds every segment given, and the findings in the order of the segments.
    """
    walk = _Walk(guide, delimiters, short_dates)
    walk.run(segments)
    return walk.root, walk.findings


class _Walk:
    def __init__(self, guide: Guide, delimiters: Delimiters, short_dates: bool) -> None:
        self.guide = guide
        self.delimiters = delimiters
        self.short_dates = short_dates
        self.root = Loop("")
        self.stack = [self.root]
        self.findings: list[Finding] = []
        self.hierarchy: Hierarchy | None = None
        self.segment = Segment([""])
        self.counts: dict[tuple[int, str], int] = {}  #: loops so far, by parent and kind

    def run(self, segments: Sequence[Segment]) -> None:
        """The hot loop: per good segment one look-up for the place and one match for the content."""
        patterns = _patterns(self.guide, self.delimiters, self.short_dates)
        stack = self.stack
        top = self.root
        node = self.guide.start
        levels = self.guide.levels
        uses = 0
        for segment in segments:
            elements = segment.elements
            identifier = elements[0]
            edges = node.edges.get(identifier)
            if identifier == "HL" and levels:
                self.segment = segment
                top, target = self.open_level(segment, edges)
                uses = 1
            elif edges is None:
                self.segment = segment
                if identifier == "ST" and segment.position == 1:
                    target = node
                else:
                    step = self.unexpected(node, identifier)
                    if step is None:
                        top.segments.append(segment)
                        continue
                    target = step.target
                    top = self.follow(step)
                    uses = 1
            else:
                edge = edges[0] if len(edges) == 1 else _choose(edges, segment)
                target = edge.target
                if edge.missing:
                    self.segment = segment
                    self.report_missing(edge.missing)
                opens = edge.opens
                if opens is not None:
                    del stack[edge.keep + 1 :]
                    parent = stack[-1]
                    top = Loop(opens.id, [], [])
                    parent.loops.append(top)
                    stack.append(top)
                    if len(parent.loops) > opens.repeat:
                        self.segment = segment
                        self.check_repeat(parent, opens.id, opens.repeat)
                    uses = 1
                else:
                    if edge.keep + 1 != len(stack):
                        del stack[edge.keep + 1 :]
                        top = stack[-1]
                    if target is node:
                        uses += 1
                        if uses == target.max_use + 1:
                            self.segment = segment
                            self.report("segment_repeat", limit=target.max_use)
                    else:
                        uses = 1
            node = target
            top.segments.append(segment)
            match, rules = patterns[node.index] or self.pattern(patterns, node)
            if match(segment.raw) is None or (rules and not rules_hold(rules, elements)):
                self.segment = segment
                for fault in faults(node, segment, self.delimiters, short_dates=self.short_dates):
                    self.report_fault(fault)
        if node.id != "SE" and segments:
            self.end(node, segments[-1])

    def pattern(self, patterns: list[_Test | None], node: SegmentNode) -> _Test:
        match = compile_pattern(node, self.delimiters, short_dates=self.short_dates)
        test = patterns[node.index] = (match, loose_rules(node))
        return test

    def open_level(self, segment: Segment, edges: tuple[Edge, ...] | None) -> tuple[Loop, SegmentNode]:
        if self.hierarchy is None:
            structure = next((header.get(5) for header in self.root.segments if header.id == "BSN"), "")
            self.hierarchy = Hierarchy(self.root, structure, self.report_level)
        if edges and edges[0].missing:
            self.report_missing(edges[0].missing)
        elif edges is None:
            self.report("segment_unexpected", after=" after the totals")
        loop = self.hierarchy.place(segment)
        self.stack[1:] = [loop]
        levels = self.guide.levels
        return loop, levels.get(segment.get(3)) or next(reversed(levels.values()))

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
        del self.stack[edge.keep + 1 :]
        if edge.opens is not None:
            loop = Loop(edge.opens.id)
            self.stack[-1].loops.append(loop)
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

    def end(self, node: SegmentNode, last: Segment) -> None:
        """A set without SE: what else it should have had."""
        closing = node.edges.get("SE")
        if closing:
            self.segment = Segment([""], last.position + 1, last.offset + len(last.raw))
            self.report_missing(closing[0].missing)

    # -- findings

    def report(self, code: str, **facts: Any) -> None:
        if len(self.findings) >= MAX_FINDINGS:
            if len(self.findings) == MAX_FINDINGS:
                self.findings.append(finding("findings_capped", count=MAX_FINDINGS))
            return
        facts.setdefault("segment", self.segment.elements[0])
        self.findings.append(finding(code, position=self.segment.position, offset=self.segment.offset, **facts))

    def report_level(self, code: str, facts: dict[str, Any]) -> None:
        self.report(code, **facts)

    def report_fault(self, fault: Fault) -> None:
        code, facts = fault
        number = facts["element"]
        # The byte where the element starts; exact for text of one byte a character.
        start = sum(len(element) + 1 for element in self.segment.elements[:number])
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(
                finding(
                    code,
                    segment=self.segment.elements[0],
                    position=self.segment.position,
                    offset=self.segment.offset + min(start, len(self.segment.raw)),
                    **facts,
                )
            )
        else:
            self.report(code, **facts)

    def report_missing(self, missing: tuple[str, ...]) -> None:
        if len(self.findings) > MAX_FINDINGS:
            return  # looking would cost more than there is to say
        for identifier in missing:
            seen = any(segment.elements[0] == identifier for loop in self.stack for segment in loop.segments)
            if not seen and not any(child.id == identifier for loop in self.stack for child in loop.loops):
                self.report("segment_missing", segment=identifier)


_Test = tuple[Callable[[str], object], tuple[tuple[str, tuple[int, ...]], ...]]


@functools.lru_cache(maxsize=64)
def _patterns(guide: Guide, delimiters: Delimiters, short_dates: bool) -> list[_Test | None]:
    """The tests of a guide by node, made when first needed. Delimiters come from outside, so the cache is bounded."""
    return [None] * len(guide.nodes)


def _choose(edges: tuple[Edge, ...], segment: Segment) -> Edge:
    """Among places for one identifier the first whose qualifiers hold the value of element 1."""
    value = segment.get(1)
    return next((edge for edge in edges if not edge.qualifiers or value in edge.qualifiers), edges[0])
