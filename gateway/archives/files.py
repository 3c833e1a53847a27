"""The file of an archive: gzip over lines of JSON, a head, then every row with its columns, then the bytes they name.

Equal rows make equal files: no clock, no random order, no name of a host is in one. What ran out of power half way makes the
same file again.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.db.models import ForeignKey, JSONField, Model

from gateway.archives.units import Rows
from gateway.models import Blob

FORMAT: Final = 1
_COMPRESSION: Final = 6


class Unusable(Exception):
    """The file of an archive cannot be used. The text says what is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The first line of a file."""

    partner: str  #: its code
    month: date  #: its first day


def lines_of(rows: Rows, order: Iterable[type[Model]]) -> Iterator[bytes]:
    """One line a row, tables in ``order``, each by primary key."""
    for model in order:
        for _, row in sorted(rows.get(model, {}).items()):
            columns = {column.attname: _plain(getattr(row, column.attname)) for column in model._meta.concrete_fields}
            yield _line({"row": model._meta.model_name, "columns": columns})


def blobs_of(rows: Rows) -> list[str]:
    """The bytes that rows name, each once."""
    return sorted(
        {
            key
            for model, some in rows.items()
            for column in model._meta.concrete_fields
            if isinstance(column, ForeignKey) and column.related_model is Blob
            for row in some.values()
            if (key := getattr(row, column.attname)) is not None
        }
    )


def encode(head: Head, lines: Iterable[bytes], blobs: Iterable[str], content: Callable[[str], bytes]) -> bytes:
    """The file.

    Args:
        content: gives the bytes of a blob; asked for one at a time.
    """
    made = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=_COMPRESSION, fileobj=made, mtime=0) as file:
        file.write(_line({"archive": FORMAT, "partner": head.partner, "month": f"{head.month:%Y-%m}"}))
        for line in lines:
            file.write(line)
        for sha256 in blobs:
            file.write(_line({"blob": sha256, "base64": base64.b64encode(content(sha256)).decode()}))
    return made.getvalue()


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a file: a row or some bytes."""

    model: type[Model] | None
    columns: Mapping[str, Any]
    sha256: str = ""
    content: bytes = b""


def decode(data: bytes) -> Iterator[Line]:
    """What is in a file, line by line, after its head.

    Raises:
        Unusable: it is cut off or changed, or holds a table or column that this release does not know.
    """
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
        try:
            head = json.loads(next(file, b"{}"))
            if head.get("archive") != FORMAT:
                raise Unusable(f"it is of format {head.get('archive')!r}, and this release reads {FORMAT}")
            for text in file:
                yield _read(json.loads(text))
        except (EOFError, OSError, ValueError) as error:
            raise Unusable(f"it is cut off or damaged: {error}") from error


def _read(found: dict[str, Any]) -> Line:
    if "blob" in found:
        content = base64.b64decode(found["base64"], validate=True)
        if hashlib.sha256(content).hexdigest() != found["blob"]:
            raise Unusable(f"the bytes of {found['blob']} have another SHA-256")
        return Line(None, {}, found["blob"], content)
    try:
        model = apps.get_model("gateway", found["row"])
    except LookupError:
        raise Unusable(f"it holds rows of {found['row']!r}, a table this release does not have") from None
    return Line(model, found["columns"])


def row_of(line: Line) -> Model:
    """The row of a line, not in the database.

    Raises:
        Unusable: it has a column that this release does not know.
    """
    if line.model is None:
        raise TypeError("these are bytes")
    values = {}
    for name, value in line.columns.items():
        try:
            column = line.model._meta.get_field(name.removesuffix("_id") if name not in _names(line.model) else name)
        except FieldDoesNotExist:
            raise Unusable(f"{line.model._meta.model_name} has no column {name!r} in this release") from None
        values[name] = value if value is None or isinstance(column, JSONField) else _back(column, value)
    return line.model(**values)


def _names(model: type[Model]) -> set[str]:
    return {column.name for column in model._meta.concrete_fields}


def _back(column: Any, value: Any) -> Any:
    return column.target_field.to_python(value) if isinstance(column, ForeignKey) else column.to_python(value)


def _plain(value: Any) -> Any:
    """As JSON has it."""
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat()
        case date():
            return value.isoformat()
        case Decimal():
            return f"{value.normalize():f}"  # the databases differ in the zeros behind the point
        case uuid.UUID():
            return str(value)
        case _:
            return value


def _line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode() + b"\n"
