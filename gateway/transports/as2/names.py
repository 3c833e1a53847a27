"""Who a request says it is from and for, and which message it says it is.

An AS2 name is 1 to 128 printable ASCII characters, compared case by case; in a header it stands in quotes when it holds a
space, a quote or a backslash. A Message-ID is echoed exactly as it came, with or without its angle brackets.

Servers join repeated headers with a comma, which is a legal character in both. ``alice, bob`` without quotes is therefore
taken for a repetition; a name that really holds comma and space must be quoted, as its space demands anyway.

Source: RFC 4130 sections 5.3.3 and 6.2.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.transports.as2.errors import MalformedRequest
from gateway.transports.as2.headers import bounded, is_printable, value_of

MAX_NAME: Final = 128
#: RFC 5322 allows lines of 998; nobody needs more than fits a database column.
MAX_MESSAGE_ID: Final = 255

_ATOM: Final = re.compile(r"[!#-\[\]-~]+")
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\["\\])+)"')
_ESCAPED: Final = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The two headers every AS2 request carries, a receipt as much as a message."""

    as2_from: str  #: unquoted
    as2_to: str  #: unquoted


@dataclass(frozen=True, slots=True, kw_only=True)
class Names(Pair):
    """The three headers every AS2 message carries."""

    message_id: str  #: as received, brackets and all


def request_pair(headers: Mapping[str, str]) -> Pair:
    """Read AS2-From and AS2-To, before anything else is looked at; a receipt may come without a Message-ID.

    Raises:
        MalformedRequest: one is missing, repeated, too long or not printable ASCII, or the headers as a whole are too
            many or too long.
    """
    bounded(headers)
    return Pair(
        as2_from=unquoted(_required(headers, "AS2-From"), "AS2-From"),
        as2_to=unquoted(_required(headers, "AS2-To"), "AS2-To"),
    )


def request_names(headers: Mapping[str, str]) -> Names:
    """Read AS2-From, AS2-To and Message-ID.

    Raises:
        MalformedRequest: one is missing, repeated, too long or not printable ASCII, or the headers as a whole are too
            many or too long.
    """
    pair = request_pair(headers)
    message_id = _message_id(_required(headers, "Message-ID"))
    return Names(as2_from=pair.as2_from, as2_to=pair.as2_to, message_id=message_id)


def quoted_twice(pair: Pair) -> Pair | None:
    """What was meant, when a name was put into quotes twice; None when none was.

    pyas2lib does that in the headers of its receipts to every name that needs quotes. A name may have quotes of its own, so
    the pair as it stands comes first.
    """
    names = [_QUOTED.fullmatch(name) for name in (pair.as2_from, pair.as2_to)]
    if not any(names):
        return None
    as2_from, as2_to = (
        _ESCAPED.sub(r"\1", match[1]) if match else name
        for match, name in zip(names, (pair.as2_from, pair.as2_to), strict=True)
    )
    return Pair(as2_from=as2_from, as2_to=as2_to)


def _required(headers: Mapping[str, str], name: str) -> str:
    value = value_of(headers, name)
    if not value:
        raise MalformedRequest(f"{name} is missing")
    if not is_printable(value):
        raise MalformedRequest(f"{name} is not printable ASCII")
    return value


def unquoted(value: str, what: str) -> str:
    """The AS2 name in a header value.

    Some products send a name with spaces without quotes; it is understood, unless it looks like two joined headers.

    Raises:
        MalformedRequest: no AS2 name has this form.

    >>> unquoted('"my company"', "AS2-From")
    'my company'
    """
    if value.startswith('"'):
        match = _QUOTED.fullmatch(value)
        if match is None:
            raise MalformedRequest(f"{what} is badly quoted")
        name = _ESCAPED.sub(r"\1", match[1])
    elif ", " in value:
        raise MalformedRequest(f"{what} is repeated")
    elif '"' in value or "\\" in value:
        raise MalformedRequest(f"{what} holds a quote or a backslash and is not quoted")
    else:
        name = value
    if not 1 <= len(name) <= MAX_NAME or not is_printable(name):
        raise MalformedRequest(f"{what} is not 1 to {MAX_NAME} printable ASCII characters")
    return name


def quoted(name: str) -> str:
    """The header value of an AS2 name, in quotes only when it needs them.

    Raises:
        ValueError: it is no AS2 name.

    >>> quoted("ACME"), quoted("my company")
    ('ACME', '"my company"')
    """
    if not 1 <= len(name) <= MAX_NAME or not is_printable(name):
        raise ValueError(f"an AS2 name is 1 to {MAX_NAME} printable ASCII characters: {name!r}")
    if _ATOM.fullmatch(name):
        return name
    return '"' + re.sub(r'(["\\])', r"\\\1", name) + '"'


def _message_id(value: str) -> str:
    if len(value) > MAX_MESSAGE_ID:
        raise MalformedRequest(f"Message-ID is longer than {MAX_MESSAGE_ID} characters")
    if re.search(r">[ \t]*,[ \t]*<", value):
        raise MalformedRequest("Message-ID is repeated")
    return value


def bracketed(message_id: str) -> str:
    """``message_id`` as we send it: in angle brackets, whether it was given with them or not.

    Raises:
        ValueError: it is empty, too long or holds a space or a control character.
    """
    bare = bare_id(message_id)
    if not re.fullmatch(r"[!-;=?-~]+", bare) or len(bare) + 2 > MAX_MESSAGE_ID:
        raise ValueError(f"not a Message-ID we may send: {message_id!r}")
    return f"<{bare}>"


def bare_id(message_id: str) -> str:
    """A Message-ID without blanks and brackets around it, for comparing."""
    return message_id.strip(" \t").removeprefix("<").removesuffix(">")


def new_message_id(our_name: str) -> str:
    """A Message-ID nobody has used, in brackets, its right side made from our AS2 name."""
    domain = re.sub(r"[^A-Za-z0-9.-]+", "-", our_name).strip("-.") or "gateway"
    return f"<{uuid.uuid4().hex}@{domain}>"
