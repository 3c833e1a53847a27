"""Paging by position: a page begins behind the last row of the one before, however many rows came or went meanwhile.

An offset counts rows anew for every page: slow far down, and a row that is added on top shows one of the rows before twice.
The position is the values a list is ordered by, the last of them unique, so that the index they stand in finds the page.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, TypeVar

from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet

_LONGEST: Final = 500  #: characters of a cursor
_M = TypeVar("_M", bound=Model)


class BadCursor(ValueError):
    """This is none of our cursors for this list."""

    def __init__(self) -> None:
        super().__init__("not one of our cursors; begin again without it")


@dataclass(frozen=True, slots=True)
class Page(Generic[_M]):
    """A stretch of a list."""

    rows: list[_M]
    next: str  #: cursor of what follows; '' at the end


def page(rows: QuerySet[_M], by: Sequence[str], *, size: int, cursor: str = "") -> Page[_M]:
    """The first ``size`` rows behind ``cursor``, in one query that counts nothing.

    Args:
        by: columns that are never null, ``-`` before one for the other way round; the last one is unique.
        cursor: of the page before; empty for the first.

    Raises:
        BadCursor: it is not from this list.
    """
    if cursor:
        rows = rows.filter(_behind(rows.model, by, cursor))
    found = list(rows.order_by(*by)[: size + 1])
    more = len(found) > size
    return Page(found[:size], _cursor(found[size - 1], by) if more else "")


def _behind(model: type[Model], by: Sequence[str], cursor: str) -> Q:
    """Behind a position: (a, b) > (x, y) is a ≥ x and (a > x or b > y), which an index on (a, b) can begin at."""
    behind, names = Q(), [name.removeprefix("-") for name in by]
    ways = ["lt" if name.startswith("-") else "gt" for name in by]
    for name, way, value in reversed(list(zip(names, ways, _values(model, names, cursor), strict=True))):
        strictly = Q(**{f"{name}__{way}": value})
        behind = Q(**{f"{name}__{way}e": value}) & (strictly | behind) if behind else strictly
    return behind


def _values(model: type[Model], names: Sequence[str], cursor: str) -> list[Any]:
    try:
        padded = cursor[:_LONGEST] + "=" * (-len(cursor[:_LONGEST]) % 4)
        said = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        if not isinstance(said, list) or len(said) != len(names):
            raise BadCursor
        return [_value(model, name, value) for name, value in zip(names, said, strict=True)]
    except (ValueError, binascii.Error, RecursionError, ValidationError, TypeError, OverflowError):
        raise BadCursor from None


def _value(model: type[Model], name: str, said: Any) -> Any:
    if type(said) not in (str, int) or (isinstance(said, str) and not said.isprintable()):
        raise BadCursor
    column = model._meta.pk if name == "pk" else model._meta.get_field(name)
    value = column.to_python(said)  # type: ignore[union-attr]  # a position is of columns, not of relations
    if isinstance(value, datetime) and value.tzinfo is None:
        raise BadCursor
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise BadCursor
    return value


def _cursor(row: Model, by: Sequence[str]) -> str:
    values = [getattr(row, name.removeprefix("-")) for name in by]
    said = [value.isoformat() if isinstance(value, datetime) else value for value in values]
    return base64.urlsafe_b64encode(json.dumps(said, separators=(",", ":")).encode()).decode().rstrip("=")
