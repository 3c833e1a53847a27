"""Seals: one digest over what may not change in a row any more. The audit trail notes it, so that a later change shows."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from django.db import models

from gateway.models.fields import storable

#: Before it stood a bare digest, see ``Transmission.bears``.
_VERSION: Final = "2"


def seal_of(row: models.Model, columns: Iterable[str]) -> str:
    """Version, colon and SHA-256, hex, over these columns as they are in ``row``: the same before it is written and after."""
    return f"{_VERSION}:{digest({name: getattr(row, name) for name in columns})}"


def digest(values: Any) -> str:
    """SHA-256, hex, over data as the database gives it back."""
    text = _encoded(values)
    if "\\u0000" in text:  # seldom; most rows need not be gone through value by value
        text = _encoded(storable(values))
    return hashlib.sha256(text.encode()).hexdigest()


def _encoded(values: Any) -> str:
    return json.dumps(values, sort_keys=True, separators=(",", ":"), default=_plain)


def _plain(value: object) -> str:
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="microseconds")
        case uuid.UUID():
            return value.hex
    raise TypeError(f"a {type(value).__name__} has no place in a seal")
