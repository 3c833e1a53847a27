"""Find what is wrong with a map directory before a document does: a line for every fault.

    python -m edi_maps.x12.guides.lint [DIRECTORY]

pyx12 loads nearly anything and our compiler believes what it reads, so a guide with a slip in it refuses good documents or lets
bad ones through, and says nothing. Here are the rules both rely on. How the map sheets fit their guides, ``lint_sheets`` says.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Final

from lxml import etree

from edi_maps.findings import Severity
from edi_maps.x12.envelope import scan
from edi_maps.x12.guides import lint_sheets, sample
from edi_maps.x12.guides.fault import Fault
from edi_maps.x12.map_sheets import SHEETS
from edi_maps.x12.segments import cut
from edi_maps.x12.stock import GUIDES, SCHEMAS, MapRow, guide_map, map_rows, second_opinion
from edi_maps.x12.structure import compiled
from edi_maps.x12.validation import validate
from edi_maps.x12.writer import Envelope, envelop

_Node = etree._Element

#: Beside the maps, what a directory must hold: pyx12 falls back to no other.
_SCHEMA_OF: Final = {"maps.xml": "maps.xsd", "codes.xml": "codes.xsd", "dataele.xml": "dataele.xsd"}
_CONTROL: Final = ("x12.control.00401.xml", "x12.control.00501.xml")


def lint(directory: Path = GUIDES, sheets: Path = SHEETS) -> list[Fault]:
    """All faults of a map directory and of the map sheets written for it, in the order of the files."""
    faults = [fault for name in sorted((*_SCHEMA_OF, *_CONTROL)) for fault in _file_faults(directory, name)]
    if faults:
        return faults  # whatever else is wrong follows from it
    widths = _widths(directory)
    for name in _CONTROL:
        faults += _structure_faults(name, _root(directory, name), widths)
    rows = [row for row in map_rows(directory) if len(row.version) == 6]
    for name in sorted({row.file_name for row in map_rows(directory)}):
        here = list(_file_faults(directory, name))
        if not here:
            here += _structure_faults(name, _root(directory, name), widths)
            for row in rows if not here else ():
                if row.file_name == name:
                    here += _behaviour_faults(directory, row)
        faults += here
    named = {row.file_name for row in map_rows(directory)}
    for path in sorted(directory.glob("[0-9]*.xml")):
        if path.name not in named:
            faults.append(Fault(file=path.name, rule="index", words="no row of maps.xml names it"))
    if not faults:
        guides = {(row.code, row.version): _root(directory, row.file_name) for row in rows}
        groups = {row.code: row.functional_id for row in rows}
        faults += lint_sheets.lint_sheets(sheets, guides, groups)
    return faults


# -- files


def _file_faults(directory: Path, name: str) -> Iterator[Fault]:
    """Whether the file is there and is what pyx12's schema for its kind says."""
    schema = etree.XMLSchema(etree.parse(SCHEMAS / _SCHEMA_OF.get(name, "map.v2.xsd")))
    try:
        schema.assertValid(etree.parse(directory / name))
    except OSError:
        yield Fault(file=name, rule="file", words="there is no such file")
    except etree.XMLSyntaxError as exc:
        yield Fault(file=name, rule="schema", words=str(exc))
    except etree.DocumentInvalid:
        for error in schema.error_log:  # type: ignore[attr-defined]  # lxml-stubs leaves it out
            yield Fault(file=name, rule="schema", words=f"line {error.line}: {error.message}")


def _root(directory: Path, name: str) -> _Node:
    return etree.parse(directory / name).getroot()


def _widths(directory: Path) -> dict[str, tuple[int, int]]:
    """Characters an element has at least and at most, by its number."""
    return {
        row.get("ele_num", ""): (int(row.get("min_len", "")), int(row.get("max_len", "")))
        for row in _root(directory, "dataele.xml").iter("data_ele")
    }


# -- structure


def _structure_faults(name: str, root: _Node, widths: dict[str, tuple[int, int]]) -> Iterator[Fault]:
    for loop in root.iter("loop"):
        for rule, words in (*_sibling_faults(loop), *_start_faults(loop), *_forgiven_faults(loop)):
            yield Fault(file=name, place=_path(loop), rule=rule, words=words)
    for segment in root.iter("segment"):
        for rule, words in (*_element_faults(segment, widths), *_syntax_faults(segment)):
            yield Fault(file=name, place=_path(segment), rule=rule, words=words)


def _path(node: _Node) -> str:
    steps = [node, *node.iterancestors("loop")]
    return "/".join(step.get("xid", "") for step in reversed(steps) if step.get("xid") not in {"ISA_LOOP", "GS_LOOP"})


def _sibling_faults(loop: _Node) -> Iterator[tuple[str, str]]:
    children = list(loop.iterchildren("loop", "segment"))
    for identifier, times in Counter(child.get("xid", "") for child in children if child.tag == "loop").items():
        if times > 1:
            yield "siblings", f"{times} loops are called {identifier}"
    for first, second in pairwise(children):
        if _pos(second) < _pos(first):
            yield "order", f"{second.get('xid')} stands behind {first.get('xid')} and has a smaller pos"
    starts = [(child.get("xid", ""), start) for child in children if (start := _first_segment(child)) is not None]
    for number, (identifier, start) in enumerate(starts):
        for other, other_start in starts[:number]:
            if start.get("xid") == other_start.get("xid") and not _may_stand_beside(start, other_start):
                words = f"{other} and {identifier} begin with {start.get('xid')} and differ, but not where pyx12 looks"
                yield "qualifier", words


def _first_segment(node: _Node) -> _Node | None:
    """The segment a child of a loop begins with; None for a wrapper, which begins with any of its own."""
    if node.tag == "segment":
        return node
    if node.get("type") == "wrapper":
        return None
    first = min(node.iterchildren("loop", "segment"), key=_pos, default=None)
    return None if first is None else _first_segment(first)


def _may_stand_beside(one: _Node, other: _Node) -> bool:
    """Whether two siblings are one segment at two places, or told apart by codes that pyx12 goes by."""
    codes, other_codes = _qualifier(one), _qualifier(other)
    if codes and other_codes and not codes & other_codes:
        return True
    return _description(one) == _description(other)


def _description(segment: _Node) -> list[tuple[str, str | None, list[str]]]:
    return [
        (element.get("data_ele", ""), element.get("usage"), sorted(_codes(element)))
        for element in segment.iterchildren("element", "composite")
    ]


def _qualifier(segment: _Node) -> set[str]:
    """The values of the one element by which pyx12 tells segments of one identifier apart; empty when there is none."""
    elements = list(segment.iterchildren("element", "composite"))
    identifier, first = segment.get("xid"), elements[0] if elements else None
    if identifier == "HL":
        return _codes(elements[2]) if len(elements) > 2 else set()
    if identifier == "ENT":
        return _codes(elements[1]) if len(elements) > 1 else set()
    if first is not None and first.tag == "composite":
        return _codes(next(first.iterchildren("element"), None))
    return _codes(first) if first is not None and first.get("usage") == "R" else set()


def _codes(element: _Node | None) -> set[str]:
    return set() if element is None else {code.text or "" for code in element.iter("code")}


def _start_faults(loop: _Node) -> Iterator[tuple[str, str]]:
    children = sorted(loop.iterchildren("loop", "segment"), key=_pos)
    if not children:
        yield "start", "an empty loop"
    elif loop.get("type") != "wrapper":
        first = children[0]
        if (first.tag, first.get("usage"), first.get("max_use")) != ("segment", "R", "1"):
            yield "start", f"it begins with {first.get('xid')}, which is not a segment required once"
        if len(children) > 1 and children[1].get("pos") == first.get("pos"):
            yield "start", f"{first.get('xid')} and {children[1].get('xid')} share the first place"


def _forgiven_faults(loop: _Node) -> Iterator[tuple[str, str]]:
    """Required segments pyx12 would not miss: it forgives one whose pos is that of the segment that comes instead."""
    for segment in list(loop.iterchildren("segment"))[1:]:
        inner = loop
        for outer in loop.iterancestors("loop") if segment.get("usage") == "R" else ():
            for other in outer.iterchildren("segment"):
                if other.get("pos") == segment.get("pos") and _pos(other) > _pos(inner):
                    yield (
                        "order",
                        f"{segment.get('xid')} has the pos of {other.get('xid')}, which may come in its stead",
                    )
            inner = outer


def _pos(node: _Node) -> int:
    return int(node.get("pos", ""))


def _element_faults(segment: _Node, widths: dict[str, tuple[int, int]]) -> Iterator[tuple[str, str]]:
    for parent in (segment, *segment.iterchildren("composite")):
        children = list(parent.iterchildren("element", "composite"))
        if [child.get("seq", "").lstrip("0") for child in children] != [str(at + 1) for at in range(len(children))]:
            yield "order", f"the elements of {parent.get('xid')} are not numbered 1, 2, 3 …"
    for element in segment.iter("element"):
        place, number = element.get("xid"), element.get("data_ele", "")
        if number not in widths:
            yield "element", f"{place}: dataele.xml does not know data element {number}"
            continue
        least, most = widths[number]
        for code in sorted(_codes(element)):
            if not least <= len(code) <= most:
                yield "codes", f"{place}: the code {code!r} does not fit data element {number}, {least} to {most} wide"


def _syntax_faults(segment: _Node) -> Iterator[tuple[str, str]]:
    count = len(list(segment.iterchildren("element", "composite")))
    for rule in segment.iter("syntax"):
        text = rule.text or ""
        numbers = [int(text[at : at + 2]) for at in range(1, len(text), 2)]
        if not all(1 <= number <= count for number in numbers):
            yield "syntax", f"{text} names an element the segment does not have; there are {count}"
        if len(set(numbers)) < len(numbers):
            yield "syntax", f"{text} names an element twice"


# -- behaviour: the map loads, and what it describes is accepted


def _behaviour_faults(directory: Path, row: MapRow) -> Iterator[Fault]:
    try:
        stock = guide_map(row.file_name, directory)
        guide = compiled(row.code, row.version, stock)
    except Exception as exc:  # noqa: BLE001 - pyx12 raises whatever comes its way
        yield Fault(file=row.file_name, rule="load", words=f"stock pyx12 does not load it: {type(exc).__name__} {exc}")
        return
    for name, body in (("least", sample.least(stock)), ("most", sample.most(stock))):
        if not body:
            yield Fault(file=row.file_name, rule="sample", words=f"the {name} it asks for is an empty set")
            continue
        data = envelop(row.functional_id, [(row.code, body)], _envelope(row.version))
        interchange = scan(data)[0]
        [one] = interchange.groups[0].sets
        for found in validate(cut(one.text, interchange.delimiters), guide, interchange.delimiters)[1]:
            if found.severity is Severity.ERROR:
                words = f"we refuse a sample of the {name} it asks for: {found.text}"
                yield Fault(file=row.file_name, rule="sample", words=words)
        opinion = second_opinion(data, directory)
        if not opinion.accepted:
            error = opinion.errors[0]
            words = f"stock pyx12 refuses a sample of the {name} it asks for: segment {error.position}: {error.words}"
            yield Fault(file=row.file_name, rule="sample", words=words)


def _envelope(version: str) -> Envelope:
    return Envelope(
        sender_qualifier="ZZ",
        sender_id="SENDER",
        receiver_qualifier="ZZ",
        receiver_id="RECEIVER",
        interchange_number=1,
        group_number=1,
        version=version,
        at=datetime(2026, 11, 20, 10, 30, tzinfo=UTC),
    )


def main(arguments: list[str]) -> int:
    """Print the faults; how many there are decides the exit code."""
    faults = lint(Path(arguments[0])) if arguments else lint()
    for fault in faults:
        sys.stdout.write(f"{fault}\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
