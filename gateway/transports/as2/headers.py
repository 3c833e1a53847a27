"""Read and check HTTP header values, which are the other side's text until a rule has accepted them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from gateway.transports.as2.errors import MalformedRequest

MAX_HEADERS: Final = 100
MAX_HEADER_BYTES: Final = 8 * 1024

_FOLD: Final = re.compile(r"\r?\n[ \t]+")
_BREAK: Final = re.compile(r"[\r\n\0]")
_PRINTABLE: Final = re.compile(r"[ -~]*")


def value_of(headers: Mapping[str, str], name: str) -> str | None:
    """The value of a header, found in any spelling, unfolded and trimmed; None when it is absent.

    Raises:
        MalformedRequest: it stands there twice, is longer than ``MAX_HEADER_BYTES`` or holds CR, LF or NUL.
    """
    wanted = name.lower()
    found = [value for key, value in headers.items() if len(key) == len(wanted) and key.lower() == wanted]
    if not found:
        return None
    if len(found) > 1:
        raise MalformedRequest(f"{name} is repeated")
    value = _FOLD.sub(" ", found[0]).strip(" \t")
    if len(value) > MAX_HEADER_BYTES:
        raise MalformedRequest(f"{name} is longer than {MAX_HEADER_BYTES} characters")
    if _BREAK.search(value):
        raise MalformedRequest(f"{name} holds a line break or NUL")
    return value


def bounded(headers: Mapping[str, str]) -> None:
    """Raise MalformedRequest when there are more or longer headers than anyone needs."""
    if len(headers) > MAX_HEADERS:
        raise MalformedRequest(f"more than {MAX_HEADERS} headers")
    if any(len(name) + len(value) > MAX_HEADER_BYTES for name, value in headers.items()):
        raise MalformedRequest(f"a header longer than {MAX_HEADER_BYTES} characters")


def is_printable(text: str) -> bool:
    """True for ASCII from space to tilde only: what may stand in a header without any encoding."""
    return _PRINTABLE.fullmatch(text) is not None


def printable(text: str, what: str) -> str:
    """``text`` for a header we write.

    Raises:
        ValueError: it would break the header, or needs an encoding.
    """
    if not is_printable(text):
        raise ValueError(f"{what} must be printable ASCII: {text!r}")
    return text
