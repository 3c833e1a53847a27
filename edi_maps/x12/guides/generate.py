"""Write the guides, in pyx12's map format (version 2 of its schema), from the tables in ``source/``.

    python -m edi_maps.x12.guides.generate [DIRECTORY]

A segment is described once in ``segments.toml`` and stands at many places of many sets; pyx12 wants it written out at each.

A set is a file of its own, ``sets/850.toml``: ``name``, ``group`` (GS01), ``versions`` when not in all of ``VERSIONS``, and its
outline in the parts ``header``, ``detail`` and ``footer``. One line is one segment: identifier, usage (R required, S optional),
how often at most. ``+`` starts a loop: its own segment comes first and once, what is indented under it follows. The order of the
lines is the order on the wire; ``|`` allows a segment at the place of the line before it, in any order. A set with HL segments
has instead of a detail a ``level``, what may follow HL at every level, and ``shapes``, the nesting written out for stock pyx12.
A set ``like`` another takes over the parts it does not tell itself, with the lines exchanged that ``instead`` names, indent
and all: ``{ "BEG R 1" = "BCH R 1" }``.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape, quoteattr

from edi_maps.x12.guides.tables import code_lists, numbers, table

HERE: Final = Path(__file__).parent

#: GS08 → ISA12, the versions there are guides for.
VERSIONS: Final = {"004010": "00401", "005010": "00501"}
#: Suffixes of GS08 that mean the same structure: pyx12 finds a guide by the whole GS08.
SUFFIXES: Final = ("", "VICS", "UCS")

#: Stands in a list of codes that is not complete.
_ANY: Final = "*"

_HEAD: Final = (
    '<?xml version="1.0" encoding="utf-8"?>\n<!-- Made by edi_maps.x12.guides.generate; change source/*.toml. -->\n'
)


def documents() -> dict[str, str]:
    """Every file of the map directory: name → text."""
    tables = {name: table(name) for name in ("elements", "segments")}
    tables["codes"], tables["sets"] = code_lists(), _sets()
    writer = _Writer(tables)
    files = {"dataele.xml": writer.data_elements(), "codes.xml": writer.code_sets(), "maps.xml": writer.index()}
    for version, icvn in VERSIONS.items():
        files[f"x12.control.{icvn}.xml"] = writer.control(version)
        for code in writer.sets_of(version):
            files[file_name(code, version)] = writer.transaction(code, version)
    return files


def file_name(code: str, version: str) -> str:
    """``850.4010.xml`` for ("850", "004010")."""
    return f"{code}.{int(version)}.xml"


def _sets() -> dict[str, dict[str, Any]]:
    """Transaction set → what its file says, with all it takes over from another."""
    told = {
        path.stem: tomllib.loads(path.read_text(encoding="utf-8"))
        for path in sorted((HERE / "source" / "sets").glob("*.toml"))
    }
    for code, guide in told.items():
        if "like" not in guide:
            continue
        other, exchanged = told[guide["like"]], guide.get("instead", {})
        parts = {part: other[part].splitlines() for part in ("header", "detail", "footer")}
        for part, lines in parts.items():
            guide.setdefault(part, "\n".join(exchanged.get(line, line) for line in lines))
        if unknown := exchanged.keys() - {line for lines in parts.values() for line in lines}:
            raise ValueError(f"set {code}: {sorted(unknown)} are no lines of set {guide['like']}")
    return told


@dataclass(slots=True)
class _Line:
    """One line of an outline: a segment, or the loop it starts."""

    segment: str
    usage: str
    most: str
    starts_loop: bool
    beside: bool  #: stands at the place of the line before it
    children: list[_Line] = field(default_factory=list)


_LINE: Final = re.compile(r"(?P<indent> *)(?P<mark>[+|]*)(?P<id>[A-Z][A-Z0-9]{1,2}) (?P<usage>[RS]) (?P<most>\d+|>1)")


def _outline(text: str) -> list[_Line]:
    """Parse the lines of one part of a set."""
    top: list[_Line] = []
    levels = [top]
    for row in text.strip("\n").splitlines():
        found = _LINE.fullmatch(row)
        if found is None:
            raise ValueError(f"cannot read the line {row!r} of a set")
        depth = len(found["indent"]) // 2
        line = _Line(found["id"], found["usage"], found["most"], "+" in found["mark"], "|" in found["mark"])
        del levels[depth + 1 :]
        levels[depth].append(line)
        levels.append(line.children)
    return top


def _shapes(text: str) -> list[tuple[str, Any]]:
    """``S(O(I)I)`` as [("S", [("O", [("I", [])]), ("I", [])])]."""
    stack: list[list[tuple[str, Any]]] = [[]]
    for character in text:
        if character == "(":
            stack.append(stack[-1][-1][1])
        elif character == ")":
            stack.pop()
        else:
            stack[-1].append((character, []))
    return stack[0]


class _Writer:
    def __init__(self, tables: dict[str, dict[str, Any]]) -> None:
        self.elements: dict[str, str] = tables["elements"]
        self.segments: dict[str, Any] = tables["segments"]["segments"]
        self.composites: dict[str, Any] = tables["segments"]["composites"]
        self.sets: dict[str, Any] = tables["sets"]
        self.codes: dict[str, list[str]] = {place: list(meanings) for place, meanings in tables["codes"].items()}

    def sets_of(self, version: str) -> list[str]:
        """The transaction sets that have a guide in ``version``."""
        return [code for code, guide in self.sets.items() if version in guide.get("versions", VERSIONS)]

    # -- the files beside the guides

    def data_elements(self) -> str:
        rows = []
        for number, description in self.elements.items():
            kind, least, most, name = description.split(" ", 3)
            kind = "AN" if kind == "TX" else kind
            width = f'min_len="{least}" max_len="{most}"'
            rows.append(f'  <data_ele ele_num="{number}" data_type="{kind}" {width} name={quoteattr(name)}/>\n')
        return f"{_HEAD}<data_elements>\n{''.join(rows)}</data_elements>\n"

    def code_sets(self) -> str:
        """pyx12 demands the file and one entry in it; our code lists stand with their elements."""
        entry = "<id>none</id><name>No shared lists</name><version><code>none</code></version>"
        return f"{_HEAD}<codesets>\n  <codeset>{entry}</codeset>\n</codesets>\n"

    def index(self) -> str:
        rows = []
        for version, icvn in VERSIONS.items():
            rows.append(f'  <version icvn="{icvn}">\n')
            for code in self.sets_of(version):
                for suffix in SUFFIXES:
                    row = f'<map vriic="{version}{suffix}" fic="{self.sets[code]["group"]}" abbr="{code}">'
                    rows.append(f"    {row}{file_name(code, version)}</map>\n")
            rows.append("  </version>\n")
        return f"{_HEAD}<maps>\n{''.join(rows)}</maps>\n"

    # -- the guides

    def control(self, version: str) -> str:
        return self.envelope("X12", "Interchange and group", version, "")

    def transaction(self, code: str, version: str) -> str:
        guide = self.sets[code]
        body = self.segment("ST", 10, "R", "1", codes={"ST01": [code]})
        for number, part in enumerate(("header", "detail", "footer"), start=1):
            if part == "detail" and "level" in guide:
                children = "".join(self.levels(_outline(guide["level"]), _shapes(guide["shapes"]), 10, 2))
                usage = "R"
            elif part in guide:
                outline = _outline(guide[part])
                children = "".join(self.lines(outline, 10, 1))
                # A part is as optional as all that is in it.
                usage = "R" if any(line.usage == "R" for line in outline) else "S"
            else:
                continue
            body += _loop(part.upper(), part.title(), number * 100, usage, "1", children, ' type="wrapper"')
        body += self.segment("SE", 900, "R", "1")
        return self.envelope(
            code, guide["name"], version, _loop("ST_LOOP", "Set", 20, "R", ">1", body, ' type="explicit"')
        )

    def envelope(self, code: str, name: str, version: str, body: str) -> str:
        group = self.segment("GS", 10, "R", "1") + body + self.segment("GE", 30, "R", "1")
        interchange = (
            # pyx12 learns the version of a guide from the one code ISA12 may have.
            self.segment("ISA", 10, "R", "1", codes={"ISA12": [VERSIONS[version]]})
            + self.segment("TA1", 20, "S", "1")
            + _loop("GS_LOOP", "Group", 30, "S", ">1", group, ' type="explicit"')
            + self.segment("IEA", 40, "R", "1")
        )
        loop = _loop("ISA_LOOP", "Interchange", 1, "R", ">1", interchange, ' type="explicit"')
        return f'{_HEAD}<transaction xid="{code}">\n<name>{escape(name)}</name>\n{loop}</transaction>\n'

    def lines(self, outline: list[_Line], start: int, depth: int) -> Iterator[str]:
        """The lines from place ``start`` on; ``depth`` counts the loops around them.

        The depth is the last digit of every place: pyx12 forgives a required segment that is missing when the one that comes
        instead has the same place, in whatever loop.
        """
        place = start + depth - 10
        for line in outline:
            place += 0 if line.beside else 10
            if line.starts_loop:
                first = self.segment(line.segment, 11 + depth, "R", "1")
                children = first + "".join(self.lines(line.children, 20, depth + 1))
                name = self.segments[line.segment]["name"]
                yield _loop(f"{line.segment}_LOOP", name, place, line.usage, line.most, children)
            else:
                yield self.segment(line.segment, place, line.usage, line.most)

    def levels(self, outline: list[_Line], shapes: list[tuple[str, Any]], start: int, depth: int) -> Iterator[str]:
        """The HL loops written out for each shape, as deep as the shape goes."""
        for place, (level, below) in enumerate(shapes):
            first = self.segment("HL", 10 + depth, "R", "1", codes={"HL03": [level]})
            segments = first + "".join(self.lines(outline, 20, depth))
            children = "".join(self.levels(outline, below, 5000, depth + 1))
            most = "1" if level == "S" else ">1"
            usage = "R" if level == "S" else "S"
            yield _loop(f"HL{level}_LOOP", f"Level {level}", start + place, usage, most, segments + children)

    def segment(
        self, identifier: str, place: int, usage: str, most: str, codes: dict[str, list[str]] | None = None
    ) -> str:
        described = self.segments[identifier]
        parts = [f"<syntax>{rule}</syntax>" for rule in described.get("syntax", ())]
        for number, element in enumerate(numbers(described["elements"]), start=1):
            parts.append(self.element(f"{identifier}{number:02d}", element, number, codes or {}))
        return (
            f'<segment xid="{identifier}" name={quoteattr(described["name"])} usage="{usage}" pos="{place:04d}"'
            f" max_use={quoteattr(most)}>{''.join(parts)}</segment>\n"
        )

    def element(self, place: str, element: str, number: int, codes: dict[str, list[str]]) -> str:
        required = "R" if element.endswith("!") else "S"
        element = element.rstrip("!")
        if element.startswith("{"):
            composite = self.composites[element.strip("{}")]
            parts = "".join(
                self.element(f"{place}-{position:02d}", component, position, codes)
                for position, component in enumerate(composite["elements"].split(), start=1)
            )
            return (
                f'<composite xid="{place}" data_ele="{composite["number"]}" name={quoteattr(composite["name"])}'
                f' usage="{required}" seq="{number:02d}" repeat="{composite.get("repeat", 1)}">{parts}</composite>'
            )
        name = self.elements[element].split(" ", 3)[3]
        head = f'xid="{place}" data_ele="{element}" name={quoteattr(name)} usage="{required}" seq="{number:02d}"'
        allowed = codes.get(place) or self.codes.get(place)
        if not allowed or _ANY in allowed:
            return f"<element {head}/>"
        listed = "".join(f"<code>{escape(code)}</code>" for code in allowed)
        return f"<element {head}><valid_codes>{listed}</valid_codes></element>"


def _loop(identifier: str, name: str, place: int, usage: str, most: str, children: str, attributes: str = "") -> str:
    return (
        f'<loop xid="{identifier}" name={quoteattr(name)} usage="{usage}" pos="{place:04d}" repeat={quoteattr(most)}'
        f"{attributes}>\n{children}</loop>\n"
    )


def main(directory: Path) -> None:
    """Write the map directory."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in documents().items():
        (directory / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
