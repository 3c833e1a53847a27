"""The one door to pyx12: its loader reads our guides, and its validator gives a second opinion on an interchange.

pyx12 is run as it comes. What it says is handed on as plain data; what it does on the way (exceptions where an answer is due,
the maps parsed anew for every document, a log with documents in it) stays behind this door.
"""

from __future__ import annotations

import functools
import io
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, SimpleNamespace
from typing import Any, Final

import pyx12
from pyx12 import x12n_document as pipeline
from pyx12.error_handler import err_handler
from pyx12.map_if import composite_if, element_if, load_map_file, loop_if, map_if, segment_if
from pyx12.map_index import map_index
from pyx12.params import ParamsBase

__all__ = [
    "GUIDES",
    "MAX_BYTES",
    "SCHEMAS",
    "MapRow",
    "SecondOpinion",
    "StockError",
    "composite_if",
    "element_if",
    "guide_map",
    "loop_if",
    "map_if",
    "map_rows",
    "second_opinion",
    "segment_if",
]

#: The map directory.
GUIDES: Final = Path(__file__).parent / "guides"

#: Where pyx12 keeps the schemas of such a directory: ``maps.xsd``, ``map.v2.xsd`` …
SCHEMAS: Final = Path(pyx12.__file__).parent / "map"

#: Above this size no opinion is asked for: pyx12 validates some 12,000 segments/s, far fewer where much is wrong.
MAX_BYTES: Final = 512 * 1024

#: Defaults only: pyx12's other parameters read a file in the home of whoever runs this.
_PARAMETERS: Final = ParamsBase()

# It logs every error with the value that is wrong; documents do not belong into logs.
logging.getLogger("pyx12").setLevel(logging.CRITICAL)


# -- loading


@dataclass(frozen=True, slots=True, kw_only=True)
class MapRow:
    """One row of the map index: which file holds the guide of a set in a version."""

    code: str  #: ST01
    version: str  #: GS08, suffix included
    functional_id: str  #: GS01
    file_name: str


@functools.cache
def guide_map(file_name: str, directory: Path = GUIDES) -> map_if:
    """A guide as pyx12's tree, loaded once per process: shared, so never to be changed.

    Raises:
        OSError: there is no such file.
        Exception: it is no map; pyx12 raises whatever comes its way.
    """
    return load_map_file(file_name, _PARAMETERS, str(directory))


@functools.cache
def map_rows(directory: Path = GUIDES) -> tuple[MapRow, ...]:
    """The rows of ``maps.xml``, in its order."""
    return tuple(
        MapRow(
            code=row["abbr"] or "",
            version=row["vriic"] or "",
            functional_id=row["fic"] or "",
            file_name=row["map_file"] or "",
        )
        for row in _index(str(directory)).maps
    )


@functools.cache
def _index(directory: str) -> map_index:
    return map_index(directory)


# -- validating


@dataclass(frozen=True, slots=True, kw_only=True)
class StockError:
    """One thing pyx12 finds wrong, in its own words."""

    code: str  #: as an acknowledgment of that level carries it (TA105, AK905, AK502, AK304, AK403); '' when none does
    words: str
    group: str = ""  #: GS06, '' outside of groups
    set: str = ""  #: ST02, '' outside of transaction sets
    segment: str = ""  #: identifier, '' when it is about the whole
    position: int | None = None  #: of the segment in its set, ST = 1
    element: int | None = None
    component: int | None = None
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondOpinion:
    """What stock pyx12 says about an interchange."""

    accepted: bool | None  #: None: it came to no verdict; the last of ``errors`` says why
    errors: tuple[StockError, ...]


def second_opinion(data: bytes, directory: Path = GUIDES) -> SecondOpinion:
    """Validate one interchange with stock pyx12 and our guides: some 4 ms for a small order. Never raises.

    Args:
        data: ISA to IEA. Of several interchanges pyx12 reads all by the delimiters of the first.
        directory: a map directory, complete: pyx12 falls back to no other.
    """
    if len(data) > MAX_BYTES:
        too_large = StockError(code="", words=f"more than {MAX_BYTES} bytes: pyx12 is not asked")
        return SecondOpinion(accepted=None, errors=(too_large,))
    found = err_handler()
    try:
        accepted: bool | None = _pipeline(found)(
            _PARAMETERS, io.StringIO(data.decode("latin-1")), None, None, map_path=str(directory)
        )
    except Exception as exc:  # noqa: BLE001 - whatever it stumbles over is its answer
        failure = StockError(code="", words=f"pyx12 failed: {type(exc).__name__} {exc}".rstrip())
        return SecondOpinion(accepted=None, errors=(*_errors(found), failure))
    errors = tuple(_errors(found))
    if not accepted and not errors:
        errors = (StockError(code="", words="refused without a word"),)
    return SecondOpinion(accepted=accepted, errors=errors)


def _pipeline(found: err_handler) -> FunctionType:
    """pyx12's own validation, with the maps we have loaded already (45 ms of the 49 an order takes) and our list of errors."""
    names = vars(pyx12) | {
        "map_if": SimpleNamespace(load_map_file=_loaded_map, segment_if=segment_if),
        "map_index": SimpleNamespace(map_index=_index),
        "error_handler": SimpleNamespace(err_handler=lambda: found),
    }
    stock = pipeline.x12n_document
    return FunctionType(
        stock.__code__, vars(pipeline) | {"pyx12": SimpleNamespace(**names)}, argdefs=stock.__defaults__
    )


def _loaded_map(file_name: str, _parameters: ParamsBase, directory: str) -> map_if:
    return guide_map(file_name, Path(directory))


def _errors(found: err_handler) -> Iterator[StockError]:
    """Everything in pyx12's tree of errors, in the order of the document."""
    for interchange in found.children:
        yield from _own(interchange, "ISA")
        for group in interchange.children:
            place = {"group": group.gs_control_num or ""}
            yield from _own(group, "GS", **place)
            for transaction_set in group.children:
                place["set"] = transaction_set.trn_set_control_num or ""
                yield from _own(transaction_set, "ST", **place)
                for segment in transaction_set.children:
                    yield from _own(segment, segment.seg_id or "", position=segment.seg_count, **place)


def _own(node: Any, segment: str, **place: Any) -> Iterator[StockError]:
    """The errors of one node, then those of its elements. A header's node has those of its trailer too."""
    for code, words, *value in node.errors:
        yield StockError(code=code, words=words, segment=segment, value="".join(filter(None, value)), **place)
    for element in node.elements:
        for code, words, value in element.errors:
            yield StockError(
                code=code,
                words=words,
                segment=segment,
                element=element.ele_pos,
                component=element.subele_pos,
                value=value or "",
                **place,
            )
