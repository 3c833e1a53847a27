"""JSON from outside: bytes to plain data, with every reason not to trust it told by its place.

Numbers become ``Decimal`` or ``int``, never float. What JSON as such allows but no business document means is refused: one key
twice, NaN and Infinity, numbers of absurd size, text that is no Unicode or holds control characters, nesting without end.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

from edi_maps.findings import Finding, finding

MAX_BYTES: Final = 5 * 1024 * 1024
MAX_DEPTH: Final = 32
#: A ship notice of 20,000 items passes; a list of two million zeros would cost gigabytes to refuse one by one.
MAX_VALUES: Final = 300_000
MAX_FINDINGS: Final = 200  #: of one document; nobody reads more, and each costs memory
MAX_DIGITS: Final = 30


class _Doubled(dict[str, Any]):
    """An object that had some key more than once."""

    keys_doubled: frozenset[str] = frozenset()


class _Unfit:
    """Stands where a number stood that cannot be used."""

    def __init__(self, text: str) -> None:
        self.text = text[:40]


def parse(data: bytes) -> tuple[Any, list[Finding]]:
    """Decode a document.

    Returns:
        The data (None when it cannot be decoded at all) and the findings; any finding is an error, and then the data must
        not be used.
    """
    if len(data) > MAX_BYTES:
        return None, [finding("json_limit", reason=f"it has more than {MAX_BYTES // 1024 // 1024} MB")]
    try:
        text = data.decode("utf-8-sig")
        parsed = json.loads(
            text, parse_float=_decimal, parse_int=_integer, parse_constant=_Unfit, object_pairs_hook=_object
        )
    except UnicodeDecodeError as exc:
        return None, [finding("json_syntax", reason=f"byte {exc.start} is not UTF-8", offset=exc.start)]
    except json.JSONDecodeError as exc:
        return None, [
            finding("json_syntax", reason=f"line {exc.lineno}, column {exc.colno}: {exc.msg}", offset=exc.pos)
        ]
    except RecursionError:
        return None, [finding("json_limit", reason=f"it nests deeper than {MAX_DEPTH} levels")]
    findings: list[Finding] = []
    for found in _unfit(parsed):
        findings.append(found)
        if len(findings) == MAX_FINDINGS:
            break
    return parsed, findings


def pointer(*steps: str | int) -> str:
    """A JSON pointer as a URI fragment: ``#/lines/0/quantity``."""
    return "#" + "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in steps)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) == len(pairs):
        return made
    doubled = _Doubled(made)
    names = [name for name, _ in pairs]
    doubled.keys_doubled = frozenset(name for name in made if names.count(name) > 1)
    return doubled


def _decimal(text: str) -> Decimal | _Unfit:
    value = Decimal(text) if len(text) <= 2 * MAX_DIGITS else None
    if value is None or not -MAX_DIGITS <= value.adjusted() <= MAX_DIGITS or len(value.as_tuple().digits) > MAX_DIGITS:
        return _Unfit(text)
    return value


def _integer(text: str) -> int | _Unfit:
    return int(text) if len(text) <= MAX_DIGITS else _Unfit(text)


def _unfit(parsed: Any) -> Iterator[Finding]:
    values = 0
    waiting: list[tuple[str, Any, int]] = [("#", parsed, 1)]
    while waiting:
        place, value, depth = waiting.pop()
        if isinstance(value, dict | list):
            if depth > MAX_DEPTH:
                yield finding("json_limit", pointer=place, reason=f"it nests deeper than {MAX_DEPTH} levels")
                return
            values += len(value)
            if values > MAX_VALUES:
                yield finding("json_limit", reason=f"it holds more than {MAX_VALUES} values")
                return
            if isinstance(value, _Doubled):
                for name in sorted(value.keys_doubled):
                    yield finding("json_duplicate_key", pointer=place + pointer(name)[1:])
            inner = value.items() if isinstance(value, dict) else enumerate(value)
            for step, below in inner:
                if isinstance(step, str) and not _is_text(step):
                    yield finding("json_value", pointer=place, reason="a key holds control characters or is no Unicode")
                elif not isinstance(below, bool | int | Decimal | None):
                    waiting.append((place + pointer(step)[1:], below, depth + 1))
        elif isinstance(value, _Unfit):
            yield finding(
                "json_value", pointer=place, value=value.text, reason=f"{value.text} is not a number we can use"
            )
        elif isinstance(value, str) and not _is_text(value):
            yield finding("json_value", pointer=place, reason="the text holds control characters or is no Unicode")


def _is_text(text: str) -> bool:
    if text.isprintable():
        return True
    return not any(
        (character < " " and character not in "\t\n\r") or character == "\x7f" or "\ud800" <= character <= "\udfff"
        for character in text
    )
