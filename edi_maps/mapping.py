"""The map-sheet engine: one row says where a value stands on the wire and which canonical field it is, for both directions.

A sheet is a TOML file of *blocks*. A block maps one wire scope (a transaction set, a loop, a JSON object) to one canonical
record class, row by row; reading goes by what the wire holds, writing by the order of the rows. Which type a value has is
never said in a sheet: the canonical field already says it.

    record = "header"                                  # the block a document starts with
    codes = "codes.toml"                               # code tables, see ``Codes``
    include = ["parties.toml"]                         # more blocks

    [blocks.header]
    model = "PurchaseOrder"
    rows = [
      { at = "BEG03", field = "number" },
      { at = "BEG02", field = "kind", codes = "order_kind", default = "standalone" },
      { at = "REF02", where = { REF01 = "YB" }, field = "revision" },
      { each = "REF", field = "references", block = "reference" },
      { each = "DTM", map = "dates", block = "date" },
      { keep = ["FOB", "SAC"] },
    ]

A block whose records come again and again in the same words, such as parties, may say ``repeats = true``: what is read once is
then shared, as records never change.

Rows
    ``at``      one value. ``field`` is dotted for nested records (``carrier.scac``) and takes one entry of a list by its kind
                in brackets (``product_ids[vendor_part]``). ``codes`` names a table; ``const`` is written whenever the
                segment is, and expected on reading; beside a ``field`` it is what stands where the record says nothing.
                ``default`` is written when the record does not say; ``required`` refuses to write without it. ``at`` may be
                a list for a moment that is split over two elements. With ``when = { TD502 = "2" }`` the row holds only
                beside that value; of several such rows for one element the first that has a value is written.
                ``implies`` sets further fields when the value is there, and the value is written only when they say so.
    ``each``    every occurrence becomes one entry of the list ``field``, or of the dictionary ``map``, whose block then fills
                ``key`` and ``value``.
    ``texts``   every occurrence adds its values (``from``) to a list of texts, or to one text with a line per value. ``width``
                wraps what is written.
    ``pairs``   qualifier and value side by side, repeated up to ``upto``: entries of ``field`` made of the two names in
                ``names``, with ``shared`` values that stand once for all of them; ``into`` sends some qualifiers to fields
                of their own (a trailing ``[]`` appends), on reading only when ``field`` is there too, but for those that
                ``written`` lists: they follow the other pairs. ``required`` refuses to write the segment without any.
    ``keep``    wire parts without a home that are written back here.
    ``rows``    stands for the rows listed under that name in the table ``rows`` of this sheet or of one it includes, where
                several blocks have them in common: ``{ rows = "order_header" }``.

Every other row may have ``where`` (only this occurrence: a value, a list of values, ``*`` anything, ``#`` a whole number, ``""``
nothing; single values are written), ``only`` (``read`` or ``write``) and ``since``/``until`` (versions it is written in; all
are read). Of several rows for one wire part the first that fits takes it.

Extra
    What no row takes is kept under ``extra`` of the record at hand, never dropped: whole parts by name, single values by
    address, below the entry they belong to: ``{"FOB": [["FOB", "PP"]], "BEG07": "AC", "parties/1/N405": "RG"}``. Single
    values are written back where they stood, whole parts where a ``keep`` row says so; the rest can only be read.

A table with ``unknown`` is a closed vocabulary: other codes read as that name. Whenever writing the name would give another
code than the one sent, the code as sent is kept under ``extra`` and written back, as long as the field still says the same.
"""

from __future__ import annotations

import functools
import re
import tomllib
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, time
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, Final, Protocol

from pydantic import AwareDatetime, BaseModel

from edi_maps import canonical

#: Below a wire part, where a value stands: element (and component) numbers for X12, the rest of a path for JSON.
Key = Any

#: One condition: the value at (name, key) is one of these; '*' any, '#' a whole number, '' none.
Condition = tuple[str, Key, frozenset[str]]


class SheetError(Exception):
    """A map sheet is wrong; says which file, block and row."""


class Codes(dict[str, Any]):
    """One code table: wire code → canonical name when subscripted, and back by ``code``. Unlisted codes pass as sent.

    In TOML a table lists the wire codes of each name; the first is the one that is written::

        [order_kind]
        unknown = "other"
        names = { standalone = ["SA", "NE"], blanket = ["BK"] }
    """

    def __init__(self, names: Mapping[str, Sequence[str]], unknown: str | None, width: int) -> None:
        super().__init__({code: name for name, codes in names.items() for code in codes})
        self._codes: dict[str, str] = {name: codes[0] for name, codes in names.items() if codes}
        self._unknown: Any = unknown
        self._pass = re.compile(rf"[A-Z0-9]{{1,{width}}}") if width else re.compile(r".+")
        self.closed = unknown is not None

    def returns(self, code: str) -> bool:
        """Whether writing the name of ``code`` gives ``code`` again."""
        return self._codes.get(self[code]) == code

    def __missing__(self, code: str) -> Any:
        stripped = code.strip()
        if stripped != code and stripped in self:
            return self[stripped]
        return stripped if self._unknown is None else self._unknown

    def code(self, name: str) -> str | None:
        """The wire code of ``name``; None for the name that stands for all other codes.

        Raises:
            ValueError: the name is neither in the table nor shaped like a wire code.
        """
        if (code := self._codes.get(name)) is not None:
            return code
        if name == self._unknown:
            return None
        if self.closed or not self._pass.fullmatch(name):
            raise ValueError(f"{name!r} has no code here")
        return name

    def typed(self, enum: type[Enum]) -> Codes:
        """The same table with the members of ``enum`` for names."""
        table = Codes({}, None, 0)
        table.update({code: enum(name) for code, name in self.items()})
        table._codes, table._pass, table.closed = self._codes, self._pass, self.closed
        table._unknown = None if self._unknown is None else enum(self._unknown)
        return table


@dataclass(frozen=True, slots=True)
class ValueType:
    """How values of one canonical type are read from and written to one kind of wire."""

    decode: Callable[[Any], Any] | None  #: raises ValueError; None: as it is
    encode: Callable[[Any], Any]
    finding: str = "value_wrong"  #: what it is called when ``decode`` refuses
    expected: str = "text"  #: in the words of a finding


class Wire(Protocol):
    """What the engine asks of a kind of wire when it loads a sheet."""

    def type_at(self, kind: str, name: str, key: Key) -> ValueType:
        """How a text, number, integer, day, clock (a time of day) or moment stands at this place of the wire."""

    def address(self, at: str) -> tuple[str, Key]:
        """Split an address into the part it names and the key within; ValueError when it is none."""

    def prepare(self, part: Part) -> None:
        """Refuse a part this wire cannot have; give the others their label."""

    def plan(self, parts: Sequence[Part]) -> Any:
        """Lay out for quick reading the parts of one name, in their order."""


# -- what rows are compiled to


@dataclass(slots=True, eq=False)
class Cell:
    """One ``at`` row."""

    keys: tuple[Key, ...]  #: more than one for a moment in two elements
    path: tuple[Any, ...]  #: steps into the record: names and ``Tag``; empty for a constant
    type: ValueType
    codes: Codes | None = None
    const: str | None = None
    default: Any = None
    required: bool = False
    when: tuple[Condition, ...] = ()
    implies: Mapping[str, Any] = field(default_factory=dict)
    again: bool = False  #: an earlier row fills the same field: this one only where that found nothing
    since: str = ""
    until: str = ""
    reads: bool = True
    writes: bool = True

    def written_in(self, version: str) -> bool:
        return self.writes and self.since <= version and (not self.until or version <= self.until)

    def encode(self, value: Any) -> Any:
        return self.codes.code(value) if self.codes is not None else self.type.encode(value)

    @property
    def decode(self) -> Callable[[Any], Any] | None:
        return self.codes.__getitem__ if self.codes is not None else self.type.decode


@dataclass(frozen=True, slots=True)
class Tag:
    """The step into a list that takes the entry whose ``attribute`` is ``value``."""

    attribute: str
    value: str


@dataclass(slots=True, eq=False)
class Pairs:
    """One ``pairs`` row."""

    first: int
    upto: int
    field: str | None
    names: tuple[str, str]
    codes: Codes | None
    type: ValueType  #: of the second name
    shared: Mapping[str, Key]
    into: Mapping[str, str]
    written: tuple[str, ...]  #: qualifiers of ``into`` that are written after the entries of ``field``
    maker: Maker | None
    required: bool


@dataclass(slots=True, eq=False)
class Part:
    """Consecutive rows about one wire part; a subclass says what becomes of it."""

    name: str
    where: tuple[Condition, ...] = ()
    since: str = ""
    until: str = ""
    reads: bool = True
    writes: bool = True
    label: str = ""  #: how its single values are addressed under extra; the wire may make it say more than the name

    def written_in(self, version: str) -> bool:
        return self.writes and self.since <= version and (not self.until or version <= self.until)


@dataclass(slots=True, eq=False)
class Values(Part):
    """Taken once; its values become fields of the record at hand."""

    cells: list[Cell] = field(default_factory=list)
    pairs: Pairs | None = None


@dataclass(slots=True, eq=False)
class Entries(Part):
    field: str = ""
    block: Block = None  # type: ignore[assignment]  # blocks may refer to later blocks: set when all are known
    as_map: bool = False


@dataclass(slots=True, eq=False)
class Texts(Part):
    field: tuple[Any, ...] = ()
    keys: tuple[Key, ...] = ()
    width: int = 0
    is_list: bool = False
    is_last: bool = False  #: no later row of the block would take this wire part


@dataclass(slots=True, eq=False)
class Keep(Part):
    pass


class Maker:
    """Makes canonical records of values that have their types already, without validating them a second time.

    The engine takes every value through the type of its field, so validation would only find what the engine has found: it
    costs more than all the rest of reading. ``load(dump(record)) == record`` is what the tests hold this to.
    """

    def __init__(self, model: type[BaseModel]) -> None:
        self.model = model
        fields = model.model_fields
        self.required = frozenset(name for name, info in fields.items() if info.is_required())
        self.has_extra = "extra" in fields
        #: All fields in their order; what is required is in the values and replaces its place holder.
        self._template = {name: None if info.is_required() else info.default for name, info in fields.items()}
        self._fresh = tuple(name for name, default in self._template.items() if isinstance(default, dict))
        self.names = set(fields)
        kinds = {name: shape_of(info.annotation) for name, info in fields.items()}
        #: What becomes of the values of some fields: lists become tuples, dictionaries records.
        self._finish: dict[str, Callable[[Any], Any]] = {
            name: _entries(kind.model) if kind.many else _nested(kind.model)
            for name, kind in kinds.items()
            if kind.many or kind.model is not None
        }
        #: Makes a record of a value for every field, which the caller gives away.
        self.make_whole = self._constructor()
        # Nothing to turn into a tuple, a record or a dictionary of its own: most of the many small records of a document.
        flat = not (self._finish or self._fresh)
        #: Makes the record of these values.
        self.make: Callable[[dict[str, Any]], Any] = self._make_flat() if flat else self._make

    def _constructor(self) -> Callable[[dict[str, Any]], Any]:
        # What is looked up once more for every record costs as much as making it.
        model, names = self.model, self.names
        new, set_state, set_fields, set_extra, set_private = _NEW, _SET_STATE, _SET_FIELDS, _SET_EXTRA, _SET_PRIVATE

        def make_whole(state: dict[str, Any]) -> Any:
            record = new(model)
            set_state(record, state)
            # Shared by all records of the class: they are frozen, and a copy takes a copy of it.
            set_fields(record, names)
            set_extra(record, None)
            set_private(record, None)
            return record

        return make_whole

    def _make_flat(self) -> Callable[[dict[str, Any]], Any]:
        template, make_whole = self._template, self.make_whole
        return lambda values: make_whole(template | values)

    def _make(self, values: dict[str, Any]) -> Any:
        state = self._template | values
        finish = self._finish
        for name, value in values.items():
            if name in finish:
                state[name] = finish[name](value)
        for name in self._fresh:
            if name not in values:
                state[name] = {}
        return self.make_whole(state)


def _entries(model: type[BaseModel] | None) -> Callable[[list[Any]], tuple[Any, ...]]:
    """What makes a list the tuple of a record, and what is still a dictionary in it a record itself."""
    if model is None:
        return tuple
    maker = Maker(model)

    def finished(entries: list[Any]) -> tuple[Any, ...]:
        if dict in map(type, entries):
            return tuple(maker.make(entry) if type(entry) is dict else entry for entry in entries)
        return tuple(entries)

    return finished


def _nested(model: type[BaseModel] | None) -> Callable[[dict[str, Any]], Any]:
    """What makes a dictionary a record in a record."""
    maker = Maker(model) if model is not None else None

    def finished(values: dict[str, Any]) -> Any:
        # Without what it is about, which was refused and is a finding, the rest says nothing.
        return maker.make(values) if maker is not None and maker.required <= values.keys() else None

    return finished


#: The slots of a pydantic model, set directly: half the time of making a record goes into looking them up by name.
_NEW: Final = object.__new__
_SET_STATE: Final = BaseModel.__dict__["__dict__"].__set__
_SET_FIELDS: Final = BaseModel.__dict__["__pydantic_fields_set__"].__set__
_SET_EXTRA: Final = BaseModel.__dict__["__pydantic_extra__"].__set__
_SET_PRIVATE: Final = BaseModel.__dict__["__pydantic_private__"].__set__


@dataclass(slots=True, eq=False)
class Block:
    name: str
    maker: Maker | None  #: None for the key and value of a ``map``
    order: list[Part] = field(default_factory=list)  #: as written
    parts: dict[str, tuple[Part, ...]] = field(default_factory=dict)  #: by wire name, as read
    plans: dict[str, Any] = field(default_factory=dict)  #: what the wire has laid out of ``parts``
    entered: frozenset[str] = frozenset()  #: wire names that are loops to the sheet, not just wrappers
    repeats: bool = False  #: the same comes again and again


@dataclass(frozen=True, slots=True)
class Sheet:
    blocks: Mapping[str, Block]
    settings: Mapping[str, Any]  #: the other top-level keys of the file
    tables: Mapping[str, Codes]  #: the code tables its rows may name


# -- what the canonical fields say


@dataclass(frozen=True, slots=True)
class Shape:
    """What an annotation comes down to."""

    kind: str  #: text, number, integer, day, clock, moment, record or other
    many: bool = False
    mapping: bool = False
    model: type[BaseModel] | None = None
    enum: type[Enum] | None = None
    choices: frozenset[str] = frozenset()  #: all it may say, when that is limited


_KINDS: Final[dict[Any, str]] = {
    str: "text",
    Decimal: "number",
    int: "integer",
    date: "day",
    time: "clock",
    AwareDatetime: "moment",
}


def shape_of(annotation: Any) -> Shape:
    """Look through ``X | None``, ``Annotated``, ``tuple[X, ...]`` and ``dict[str, X]``."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return shape_of(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return shape_of(next(kind for kind in typing.get_args(annotation) if kind is not type(None)))
    if origin is tuple:
        inner = shape_of(typing.get_args(annotation)[0])
        return Shape(inner.kind, many=True, model=inner.model)
    if origin is dict:
        return Shape(shape_of(typing.get_args(annotation)[1]).kind, mapping=True)
    if origin is typing.Literal:
        return Shape("text", choices=frozenset(typing.get_args(annotation)))
    if isinstance(annotation, type):
        if issubclass(annotation, BaseModel):
            return Shape("record", model=annotation)
        if issubclass(annotation, Enum):
            return Shape("text", enum=annotation, choices=frozenset(member.value for member in annotation))
    return Shape(_KINDS.get(annotation, "other"))


def put(values: dict[str, Any], path: Sequence[Any], value: Any) -> None:
    """Set ``value`` at ``path``, making the nested dictionaries and tagged entries on the way."""
    here: Any = values
    for step, following in zip(path, (*path[1:], None), strict=True):
        if isinstance(step, Tag):
            entry = next((entry for entry in here if entry.get(step.attribute) == step.value), None)
            if entry is None:
                entry = {step.attribute: step.value}
                here.append(entry)
            here = entry
        elif following is None:
            here[step] = value
        else:
            here = here.setdefault(step, [] if isinstance(following, Tag) else {})


def take(values: Mapping[str, Any], path: Sequence[Any]) -> Any:
    """The value at ``path``, None when any step of it is absent."""
    here: Any = values
    for step in path:
        if isinstance(step, Tag):
            here = next((entry for entry in here if entry.get(step.attribute) == step.value), None)
        else:
            here = here.get(step)
        if here is None:
            return None
    return here


def wrapped(text: str, width: int) -> list[str]:
    """The lines of ``text``, none longer than ``width`` (0: any length), broken at a blank where there is one."""
    lines: list[str] = []
    for line in text.split("\n"):
        while width and len(line) > width:
            cut = line.rfind(" ", 1, width + 1)
            cut = cut if cut > 0 else width
            lines.append(line[:cut])
            line = line[cut:].lstrip(" ")
        lines.append(line)
    return lines


# -- loading


def load(path: Path, wire: Wire) -> Sheet:
    """Read, check and compile one sheet.

    Raises:
        SheetError: the file, block and row, and what is wrong there.
    """
    return _Loader(path, wire).sheet()


_FIELD = re.compile(r"([a-z_]+)(?:\[([A-Za-z0-9_]+)\])?")
_ROW_KEYS: Final = {
    "at": {"field", "codes", "const", "default", "required", "when", "implies"},
    "each": {"field", "map", "block"},
    "texts": {"field", "from", "width"},
    "pairs": {"field", "upto", "names", "codes", "shared", "into", "written", "required"},
    "keep": set[str](),
}
_COMMON_KEYS: Final = {"where", "only", "since", "until"}


class _Loader:
    def __init__(self, path: Path, wire: Wire) -> None:
        self.path, self.wire = path, wire
        self.place = path.name
        self.source = self._toml(path)
        self.tables = self._codes(self.source.get("codes"))
        self.raw: dict[str, dict[str, Any]] = {}
        self.shared: dict[str, list[dict[str, Any]]] = {}
        for source in (*(self._toml(path.parent / name) for name in self.source.get("include", [])), self.source):
            self.raw |= source.get("blocks", {})
            self.shared |= source.get("rows", {})
        self.blocks: dict[str, Block] = {}

    def sheet(self) -> Sheet:
        for name, block in self.raw.items():
            self.blocks[name] = Block(name, self._maker(name, block), repeats=block.get("repeats", False))
        for name, block in self.raw.items():
            self._fill(self.blocks[name], block)
        settings = {
            key: value for key, value in self.source.items() if key not in {"blocks", "rows", "codes", "include"}
        }
        if (first := settings.get("record")) not in self.blocks:
            raise SheetError(f"{self.path.name}: record = {first!r} is not a block of this sheet")
        return Sheet(self.blocks, settings, self.tables)

    def _toml(self, path: Path) -> dict[str, Any]:
        try:
            return tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, tomllib.TOMLDecodeError) as exc:
            raise SheetError(f"{path.name}: {exc}") from exc

    def _codes(self, name: str | None) -> dict[str, Codes]:
        if name is None:
            return {}
        tables = {}
        for table, content in self._toml(self.path.parent / name).items():
            self.place = f"{name}, table {table!r}"
            names = content.get("names")
            if not isinstance(names, dict) or set(content) - {"names", "unknown", "width"}:
                raise self._wrong("a table has names, and may have unknown and width")
            listed = [code for codes in names.values() for code in codes]
            if double := {code for code in listed if listed.count(code) > 1}:
                raise self._wrong(f"{sorted(double)} stand for more than one name")
            tables[table] = Codes(names, content.get("unknown"), content.get("width", 3))
        return tables

    def _wrong(self, what: str) -> SheetError:
        return SheetError(f"{self.place}: {what}")

    def _maker(self, name: str, block: dict[str, Any]) -> Maker | None:
        self.place = f"{self.path.name}, block {name!r}"
        if not isinstance(block.get("rows"), list) or set(block) - {"rows", "model", "repeats"}:
            raise self._wrong("a block has rows, a model and repeats, and nothing else")
        if (wanted := block.get("model")) is None:
            return None
        model = getattr(canonical, wanted, None)
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            raise self._wrong(f"{wanted!r} is not a canonical record")
        return _maker_of(model)

    def _fill(self, block: Block, raw: dict[str, Any]) -> None:
        written: dict[str, str] = {}
        for number, row in enumerate(self._spelled_out(raw["rows"]), 1):
            self.place = f"{self.path.name}, block {block.name!r}, row {number}"
            kind = next((kind for kind in _ROW_KEYS if kind in row), "")
            if not kind:
                raise self._wrong(f"one of {', '.join(_ROW_KEYS)} must say what the row is about")
            if strange := set(row) - _ROW_KEYS[kind] - _COMMON_KEYS - {kind}:
                raise self._wrong(f"{', '.join(sorted(strange))}: not a key of a row with {kind!r}")
            if row.get("only", "read") not in {"read", "write"}:
                raise self._wrong("only is 'read' or 'write'")
            try:
                getattr(self, f"_{kind}")(block, row)
            except (KeyError, ValueError, TypeError, AttributeError) as exc:
                raise self._wrong(f"{exc.args[0] if exc.args else exc} ({row})") from exc
            target = str(row.get("field") or row.get("map"))
            if kind in {"each", "texts"} and row.get("only") != "read":
                if target in written and not (row.get("since") or row.get("until")):
                    raise self._wrong(f"{target} is written by row {written[target]} already")
                written[target] = str(number)
        by_name: dict[str, list[Part]] = {}
        for part in block.order:
            if part.reads and not isinstance(part, Keep):
                by_name.setdefault(part.name, []).append(part)
            part.label = part.name
            self.wire.prepare(part)
        for parts in by_name.values():
            if isinstance(parts[-1], Texts):
                parts[-1].is_last = True
        block.parts = {name: tuple(parts) for name, parts in by_name.items()}
        block.plans = {name: self.wire.plan(parts) for name, parts in by_name.items()}
        kept = {part.name for part in block.order if isinstance(part, Keep)}
        # A loop that no row reads from is kept as it came: what stands in it is not said of the record at hand.
        block.entered = frozenset(part.name for part in block.order if isinstance(part, Entries)) | (
            kept - by_name.keys()
        )

    def _spelled_out(self, rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """The rows with those that are shared in the place of their name."""
        for row in rows:
            if "rows" not in row:
                yield row
            elif row["rows"] in self.shared and len(row) == 1:
                yield from self._spelled_out(self.shared[row["rows"]])
            else:
                raise self._wrong(
                    f"{row}: a row with 'rows' names rows that several blocks share, and says nothing else"
                )

    def _common(self, row: dict[str, Any]) -> dict[str, Any]:
        only = row.get("only")
        return {
            "where": self._conditions(row.get("where", {})),
            "since": row.get("since", ""),
            "until": row.get("until", ""),
            "reads": only != "write",
            "writes": only != "read",
        }

    def _conditions(self, raw: Mapping[str, Any]) -> tuple[Condition, ...]:
        return tuple(
            (*self.wire.address(at), frozenset([wanted] if isinstance(wanted, str) else wanted))
            for at, wanted in raw.items()
        )

    def _values(self, block: Block, name: str, row: dict[str, Any]) -> Values:
        """The part this row belongs to: that of the row before when it is about the same wire part."""
        where = self._conditions(row.get("where", {}))
        last = block.order[-1] if block.order else None
        if isinstance(last, Values) and last.name == name and last.where == where and last.pairs is None:
            return last
        part = Values(name, where)
        block.order.append(part)
        return part

    def _at(self, block: Block, row: dict[str, Any]) -> None:
        places = [self.wire.address(at) for at in ([row["at"]] if isinstance(row["at"], str) else row["at"])]
        if len({name for name, _ in places}) != 1:
            raise ValueError("a row is about one wire part")
        codes = self._table(row)
        steps, shape = self._field(block, row["field"]) if "field" in row else ((), Shape("text"))
        if "field" not in row and "const" not in row:
            raise ValueError("neither field nor const")
        if shape.choices and (codes is None or not codes.closed or not set(codes.values()) <= shape.choices):
            raise ValueError(f"{row['field']} needs a table with unknown, and no names but {sorted(shape.choices)}")
        if codes is not None and shape.enum is not None:
            codes = codes.typed(shape.enum)
        for implied in row.get("implies", {}):
            self._field(block, implied)
        cell = Cell(
            keys=tuple(key for _, key in places),
            path=steps,
            type=self.wire.type_at(shape.kind, *places[0]),
            codes=codes,
            const=row.get("const"),
            default=row.get("default"),
            required=row.get("required", False),
            when=self._conditions(row.get("when", {})),
            implies=row.get("implies", {}),
            **{key: value for key, value in self._common(row).items() if key != "where"},
        )
        cell.again = bool(steps) and any(
            isinstance(part, Values)
            and (
                any(other.path == steps for other in part.cells)
                or (part.pairs is not None and steps[0] in part.pairs.into.values())
            )
            for part in block.order
        )
        self._values(block, places[0][0], row).cells.append(cell)

    def _each(self, block: Block, row: dict[str, Any]) -> None:
        inner = self.blocks[row["block"]]
        name = row.get("map") or row["field"]
        _, shape = self._field(block, name)
        if "map" in row:
            if not shape.mapping or inner.maker is not None:
                raise ValueError(f"{name} is no dictionary, or {inner.name} has a model")
        elif not shape.many or inner.maker is None or inner.maker.model is not shape.model:
            raise ValueError(f"{name} is not a list of what block {inner.name!r} makes")
        part = Entries(row["each"], **self._common(row), field=name, block=inner, as_map="map" in row)
        block.order.append(part)

    def _texts(self, block: Block, row: dict[str, Any]) -> None:
        steps, shape = self._field(block, row["field"])
        keys = []
        for at in row["from"]:
            name, key = self.wire.address(at)
            if name != row["texts"]:
                raise ValueError(f"{at} does not stand in {row['texts']}")
            keys.append(key)
        part = Texts(
            row["texts"],
            **self._common(row),
            field=steps,
            keys=tuple(keys),
            width=row.get("width", 0),
            is_list=shape.many,
        )
        block.order.append(part)

    def _pairs(self, block: Block, row: dict[str, Any]) -> None:
        name, first = self.wire.address(row["pairs"])
        end, upto = self.wire.address(row["upto"])
        if end != name or (upto - first) % 2 == 0:
            raise ValueError(f"{row['pairs']} to {row['upto']} are no pairs")
        target: str | None = row.get("field")
        maker, names, kind = None, ("", ""), "text"
        if target is not None:
            _, shape = self._field(block, target)
            if not shape.many or shape.model is None:
                raise ValueError(f"{target} is not a list of records")
            maker = _maker_of(shape.model)
            names = (row["names"][0], row["names"][1])
            kind = shape_of(shape.model.model_fields[names[1]].annotation).kind
        for into in row.get("into", {}).values():
            self._field(block, into.removesuffix("[]"))
        written = tuple(row.get("written", ()))
        if strange := [qualifier for qualifier in written if row.get("into", {}).get(qualifier, "[]").endswith("[]")]:
            raise ValueError(f"{', '.join(strange)}: only what goes into one field can be written")
        part = self._values(block, name, row)
        part.pairs = Pairs(
            first=first,
            upto=upto,
            field=target,
            names=names,
            codes=self._table(row),
            type=self.wire.type_at(kind, name, first + 1),
            shared={name: self.wire.address(at)[1] for name, at in row.get("shared", {}).items()},
            into=row.get("into", {}),
            written=written,
            maker=maker,
            required=row.get("required", False),
        )

    def _keep(self, block: Block, row: dict[str, Any]) -> None:
        block.order.extend(Keep(name, **self._common(row)) for name in row["keep"])

    def _table(self, row: dict[str, Any]) -> Codes | None:
        if "codes" not in row:
            return None
        if row["codes"] not in self.tables:
            raise ValueError(f"no code table {row['codes']!r}")
        return self.tables[row["codes"]]

    def _field(self, block: Block, dotted: str) -> tuple[tuple[Any, ...], Shape]:
        """The steps to a canonical field and what it holds; ValueError when the model has no such field."""
        if block.maker is None:
            if dotted not in {"key", "value"}:
                raise ValueError(f"{dotted}: a map has key and value")
            return (dotted,), Shape("text" if dotted == "key" else "day")
        model: type[BaseModel] | None = block.maker.model
        steps: list[Any] = []
        shape = Shape("other")
        for step in dotted.split("."):
            found = _FIELD.fullmatch(step)
            if shape.mapping:
                steps.append(step)
                shape = Shape(shape.kind)
                continue
            if found is None or model is None or found[1] not in model.model_fields:
                raise ValueError(f"{dotted}: {model.__name__ if model else step} has no field {step!r}")
            steps.append(found[1])
            shape = shape_of(model.model_fields[found[1]].annotation)
            model = shape.model
            if found[2]:
                steps.append(Tag("role" if model and "role" in model.model_fields else "kind", found[2]))
                shape = Shape("record", model=model)
        return tuple(steps), shape


@functools.cache
def _maker_of(model: type[BaseModel]) -> Maker:
    return Maker(model)


def grouped(extra: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """``extra`` by the entry it belongs to: ``{"": {"BEG07": "AC"}, "parties/1": {"N405": "RG"}}``."""
    groups: dict[str, dict[str, Any]] = {}
    for address, value in extra.items():
        below, _, name = address.rpartition("/")
        groups.setdefault(below, {})[name] = value
    return groups


def missing(maker: Maker, values: Iterable[str]) -> list[str]:
    """The required fields that ``values`` does not have."""
    return sorted(maker.required.difference(values))
