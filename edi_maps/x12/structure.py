"""The guides as the engine walks them: which segment may follow which, and what each may hold.

pyx12 loads the XML (see ``stock``); here it becomes a graph. Every segment node has one edge for each identifier that may come next, and the
edge knows how many loops end, which loop begins and which required segments would be skipped. Loops of the guide that only
group others (``HEADER``, ``DETAIL``, ``FOOTER``) vanish. The written-out HL loops of a guide fold into one node per level:
where a level hangs is told by HL02 (see ``hierarchy``), not by the guide.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field, replace
from typing import Final

from edi_maps.x12.guides import tables
from edi_maps.x12.stock import composite_if, element_if, guide_map, loop_if, map_if, map_rows, segment_if

#: As many as the guide writes ">1".
UNLIMITED: Final = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """What one element, or one component of a composite, may hold."""

    name: str
    number: str  #: of the data element, e.g. "353"; what AK402 repeats
    kind: str  #: AN, ID, DT, TM, R, N0 to N9, B; '' for a composite
    least: int = 1  #: characters; of a number, digits
    most: int = 1
    required: bool = False
    repeat: int = 1  #: how often at most, between repetition separators (from 00402 on)
    codes: frozenset[str] = frozenset()  #: empty: any
    components: tuple[Element, ...] = ()


@dataclass(slots=True, kw_only=True, eq=False)
class LoopNode:
    """A loop of the guide that is a loop of the tree."""

    id: str  #: without ``_LOOP``
    repeat: int


@dataclass(slots=True, kw_only=True, eq=False)
class SegmentNode:
    """A segment at its place in the guide."""

    id: str
    name: str
    index: int  #: among the nodes of its guide
    max_use: int
    elements: tuple[Element, ...]
    rules: tuple[tuple[str, tuple[int, ...]], ...]  #: relational conditions: P R E C L with the elements they tie
    depth: int  #: how many loops of the tree it stands in, the root not counted
    # The nodes of a guide point at each other: printing one must not print them all.
    edges: dict[str, Edge] = field(default_factory=dict, repr=False)  #: what may come next, by identifier
    recover: dict[str, Edge] = field(default_factory=dict, repr=False)  #: what came too late, where it belongs


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Edge:
    """One step of the walk."""

    target: SegmentNode
    keep: int  #: how many loops of the tree stay open
    opens: LoopNode | None  #: the loop that begins with the target
    missing: tuple[str, ...]  #: required segments this step passes over
    #: values of element 1 that tell the target from another of the same identifier; empty: any
    qualifiers: frozenset[str]
    plain: bool = False  #: no loop begins or ends, nothing is missing, and the target is another segment
    others: tuple[Edge, ...] = ()  #: where the identifier has several places: this one and all of them, in their order

    def choose(self, value: str) -> Edge:
        """Among the places for one identifier the first whose qualifiers hold the value of element 1."""
        return next((edge for edge in self.others if not edge.qualifiers or value in edge.qualifiers), self)


@dataclass(slots=True, kw_only=True, eq=False)
class Guide:
    """The structure of one transaction set in one version."""

    code: str  #: "856"
    version: str  #: "004010"
    name: str
    start: SegmentNode  #: ST
    nodes: list[SegmentNode] = field(repr=False)
    identifiers: frozenset[str] = field(repr=False)  #: of every segment that has a place in the set
    levels: dict[str, SegmentNode] = field(
        repr=False
    )  #: for a set with HL segments: level code → the HL of that level; else empty


@functools.cache
def guide(code: str, version: str) -> Guide | None:
    """The guide for a transaction set, by the exact version it was written for; None when there is none."""
    name = _index().get((code, version))
    return None if name is None else compiled(code, version, guide_map(name))


def compiled(code: str, version: str, source: map_if) -> Guide:
    """One map of pyx12 as a guide of ours.

    Raises:
        TypeError: it is not built as maps are.
    """
    return _Compiler(code, version, source).compile()


@functools.cache
def nearest_version(code: str, version: str) -> str | None:
    """The version whose guide fits ``version`` best: the last one before it, else the first there is.

    Args:
        version: GS08 as sent, suffix included: six digits first, in older or careless files fewer.

    Returns:
        None when there is no guide for the set at all.
    """
    known = sorted(of for name, of in _index() if name == code)
    digits = (found.group() if (found := re.match(r"\d{3,6}", version)) else "").ljust(6, "0")
    earlier = [of for of in known if of <= digits]
    return earlier[-1] if earlier else known[0] if known else None


def data_element(segment: str, number: int) -> tables.Element | None:
    """Element ``number`` of a segment, wherever the segment stands: for acknowledgments and explanations."""
    return tables.element_at(segment, number)


def code_meaning(segment: str, number: int, code: str) -> str | None:
    """What a code means at its place, in words; None when it is not one of those that split documents by meaning."""
    return tables.code_lists().get(f"{segment}{number:02d}", {}).get(code)


def segment_name(segment: str) -> str | None:
    """What the segment is called; None when no guide knows it."""
    described = tables.table("segments")["segments"].get(segment)
    return described["name"] if described else None


def group_of(code: str) -> str | None:
    """GS01 of the groups a transaction set travels in; None when there is no guide for it."""
    return _groups().get(code)


# -- loading


@functools.cache
def _index() -> dict[tuple[str, str], str]:
    return {(row.code, row.version): row.file_name for row in map_rows() if len(row.version) == 6}


@functools.cache
def _groups() -> dict[str, str]:
    return {row.code: row.functional_id for row in map_rows()}


_Key = tuple[int, ...]


@dataclass(slots=True, eq=False)
class _Step:
    """One thing that may stand in a loop."""

    key: _Key  #: steps of equal key may come in any order
    required: bool
    item: SegmentNode | _Place

    @property
    def segment(self) -> SegmentNode:
        """The segment that begins the step."""
        return self.item if isinstance(self.item, SegmentNode) else self.item.steps[0].segment


@dataclass(slots=True, eq=False)
class _Place:
    """A loop of the tree with what may stand in it, in order. The first step of a loop is the segment that starts it."""

    parent: _Place | None
    key: _Key
    node: LoopNode | None  #: None: the root
    depth: int
    steps: list[_Step] = field(default_factory=list)


class _Compiler:
    """Turns one map of pyx12 into a ``Guide``."""

    def __init__(self, code: str, version: str, source: map_if) -> None:
        self.code = code
        self.version = version
        self.source = source
        self.places: dict[SegmentNode, tuple[_Place, _Key]] = {}
        self.levels: dict[str, SegmentNode] = {}

    def compile(self) -> Guide:
        top = self.source.getnodebypath("/ISA_LOOP/GS_LOOP/ST_LOOP")
        if not isinstance(top, loop_if):
            raise TypeError(f"{self.code} {self.version}: ST_LOOP is not a loop")
        root = _Place(None, (), None, 0)
        self.fill(root, top, (), required=True)
        for node in self.places:
            node.edges = self.edges(node)
            node.recover = self.recover(node)
        return Guide(
            code=self.code,
            version=self.version,
            name=self.source.name or self.code,
            start=root.steps[0].segment,
            nodes=list(self.places),
            identifiers=frozenset(node.id for node in self.places),
            levels=self.levels,
        )

    def fill(self, place: _Place, source: loop_if, prefix: _Key, *, required: bool) -> None:
        """Take over the children of ``source``; loops that only group are dissolved into ``place``."""
        for position in sorted(source.pos_map):
            key = (*prefix, position)
            for child in source.pos_map[position]:
                wanted = required and child.usage == "R"
                if isinstance(child, segment_if):
                    place.steps.append(_Step(key, wanted, self.segment(child, place, key)))
                elif not isinstance(child, loop_if):
                    raise TypeError(f"{self.code} {self.version}: {child.id} is neither loop nor segment")
                elif child.type == "wrapper":
                    self.fill(place, child, key, required=wanted)
                elif _level_of(child) is None:
                    place.steps.append(_Step(key, wanted, self.loop(child, place, key, _loop_id(child))))
                elif place.node is None:
                    self.hang_levels(child, place, key, required=wanted)
        place.steps.sort(key=lambda step: step.key)

    def loop(self, source: loop_if, parent: _Place, key: _Key, identifier: str) -> _Place:
        place = _Place(parent, key, LoopNode(id=identifier, repeat=source.get_max_repeat()), parent.depth + 1)
        self.fill(place, source, (), required=True)
        return place

    def hang_levels(self, source: loop_if, root: _Place, key: _Key, *, required: bool) -> None:
        """Take each level of an HL hierarchy once, however often and deep the guide writes it out."""
        level = _level_of(source)
        if level is not None and level not in self.levels:
            place = self.loop(source, root, key, "HL")
            self.levels[level] = place.steps[0].segment
            root.steps.append(_Step(key, required, place))
        for position in sorted(source.pos_map):
            for child in source.pos_map[position]:
                if isinstance(child, loop_if) and _level_of(child) is not None:
                    self.hang_levels(child, root, key, required=False)

    def segment(self, source: segment_if, place: _Place, key: _Key) -> SegmentNode:
        elements = [_element(child) for child in source.children]
        if source.id == "HL":
            # The code told pyx12 the levels apart; here any level is read, and the hierarchy judges it.
            elements[2] = replace(elements[2], codes=frozenset())
        node = SegmentNode(
            id=source.id or "",
            name=source.name or "",
            index=len(self.places),
            max_use=source.get_max_repeat(),
            elements=tuple(elements),
            rules=tuple((rule[0], tuple(rule[1:])) for rule in source.syntax),
            depth=place.depth,
        )
        self.places[node] = (place, key)
        return node

    def edges(self, node: SegmentNode) -> dict[str, Edge]:
        """What may follow ``node``: the rest of its loop, the loop once more, then the same one loop further out."""
        found: dict[str, list[Edge]] = {}
        missing: list[str] = []
        place: _Place | None
        place, key = self.places[node]
        while place is not None:
            passed: list[_Step] = []
            for step in place.steps:
                if step.key < key or step.item is place.steps[0].item:
                    continue
                # Steps at one place may come in any order, so none of them is skipped by another.
                skipped = [other.segment.id for other in passed if other.required and other.key < step.key]
                found.setdefault(step.segment.id, []).append(_edge(step, (*missing, *skipped)))
                if step.key > key:
                    passed.append(step)
            missing += [step.segment.id for step in passed if step.required]
            if place.node is not None:
                again = _Step(place.key, False, place)
                found.setdefault(again.segment.id, []).append(_edge(again, tuple(missing)))
            key, place = place.key, place.parent
        return {identifier: _first(node, edges) for identifier, edges in found.items()}

    def recover(self, node: SegmentNode) -> dict[str, Edge]:
        """Where a segment belongs that comes too late: the innermost open loop that had a place for it."""
        found: dict[str, Edge] = {}
        place: _Place | None
        place, key = self.places[node]
        while place is not None:
            for step in place.steps[1:]:
                if step.key < key and step.segment.id not in node.edges:
                    found.setdefault(step.segment.id, _edge(step, ()))
            key, place = place.key, place.parent
        return found


def _first(node: SegmentNode, edges: list[Edge]) -> Edge:
    """The first of the edges that lead from ``node`` to segments of one identifier; it knows the others."""
    marked = tuple(
        replace(
            edge,
            plain=not (edge.missing or edge.opens) and edge.target.depth == node.depth and edge.target is not node,
        )
        for edge in edges
    )
    first = marked[0]
    # Without qualifiers of its own the first place takes all there is.
    return replace(first, others=marked) if len(marked) > 1 and first.qualifiers else first


def _edge(step: _Step, missing: tuple[str, ...]) -> Edge:
    target = step.segment
    opens = step.item.node if isinstance(step.item, _Place) else None
    first = target.elements[0] if target.elements else None
    qualified = first is not None and first.kind == "ID" and first.required
    return Edge(
        target=target,
        keep=target.depth - (opens is not None),
        opens=opens,
        missing=missing,
        qualifiers=first.codes if first is not None and qualified else frozenset(),
    )


def _loop_id(source: loop_if) -> str:
    return (source.id or "").removesuffix("_LOOP")


def _level_of(source: loop_if) -> str | None:
    """The level code of a loop that starts with HL, None for any other loop."""
    first = source.get_first_seg()
    if first is None or first.id != "HL":
        return None
    codes = first.children[2]
    return codes.valid_codes[0] if isinstance(codes, element_if) and codes.valid_codes else None


def _element(source: element_if | composite_if) -> Element:
    if isinstance(source, composite_if):
        return Element(
            name=source.name or "",
            number=source.data_ele or "",
            kind="",
            required=source.usage == "R",
            repeat=_repeat(source),
            components=tuple(_element(child) for child in source.children),
        )
    described = source.root.data_elements.get_by_elem_num(source.data_ele)
    return Element(
        name=source.name or described["name"] or "",
        number=source.data_ele or "",
        kind=described["data_type"] or "AN",
        least=described["min_len"],
        most=described["max_len"],
        required=source.usage == "R",
        repeat=_repeat(source),
        codes=frozenset(code for code in source.valid_codes if code is not None),
    )


def _repeat(source: element_if | composite_if) -> int:
    """How often an element may stand; what the guide does not limit is ``>1``."""
    said = str(getattr(source, "repeat", None) or 1)
    return int(said) if said.isdigit() else UNLIMITED
