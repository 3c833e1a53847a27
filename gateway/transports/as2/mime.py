"""MIME entities as slices of the octets that came, and as pieces of the octets that go.

Nothing is parsed and written again: what is hashed, decrypted and handed on is what arrived. Header fields are read from
slices, boundaries are searched in place, and a boundary counts only at the start of a line.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import quopri
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from gateway.transports.as2.der import Octets
from gateway.transports.as2.headers import value_of

MAX_HEAD_BYTES: Final = 64 * 1024
MAX_FIELD_BYTES: Final = 8 * 1024
MAX_BOUNDARY: Final = 256
#: Lines that begin like a boundary and are none, before we give up on a body.
MAX_NEAR_MISSES: Final = 10_000
_BLANK_LINE: Final = b"\r\n\r\n"
_FOLD: Final = re.compile(rb"\r\n[ \t]+")


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a buffer."""

    buffer: bytes | bytearray
    start: int
    end: int

    @classmethod
    def over(cls, buffer: bytes | bytearray) -> Span:
        return cls(buffer, 0, len(buffer))

    @property
    def view(self) -> memoryview:
        return memoryview(self.buffer)[self.start : self.end]

    def find(self, needle: bytes, start: int) -> int:
        return self.buffer.find(needle, start, self.end)

    def starts_with(self, prefix: bytes, at: int) -> bool:
        return at + len(prefix) <= self.end and self.buffer.startswith(prefix, at)

    def __bytes__(self) -> bytes:
        return bytes(self.view)


@dataclass(frozen=True, slots=True)
class Entity:
    """Header fields and body, with the octets both stand in."""

    head: bytes  #: the header lines, each with its CRLF; empty when there are none
    body: Span
    whole: Span  #: head, blank line and body

    @classmethod
    def read(cls, whole: Span) -> Entity:
        """Split at the first blank line.

        Raises:
            ValueError: there is none within ``MAX_HEAD_BYTES``.
        """
        if whole.starts_with(b"\r\n", whole.start):
            return cls(b"", Span(whole.buffer, whole.start + 2, whole.end), whole)
        limit = min(whole.end, whole.start + MAX_HEAD_BYTES)
        end = whole.buffer.find(_BLANK_LINE, whole.start, limit)
        if end < 0:
            raise ValueError("MIME: the header has no end")
        head = bytes(whole.buffer[whole.start : end + 2])
        return cls(head, Span(whole.buffer, end + len(_BLANK_LINE), whole.end), whole)

    @classmethod
    def of_http(cls, headers: Mapping[str, str], body: bytes) -> Entity:
        """The body of a request or an answer: only these three headers describe it, and no signature protects them.

        HTTP needs no transfer encoding. Some products use base64 all the same, which is undone here; others repeat the
        header of the part inside, and their body is no base64.

        Raises:
            MalformedRequest: one of the headers is repeated or too long.
        """
        head = b""
        span = Span.over(body)
        for name in ("Content-Type", "Content-Transfer-Encoding", "Content-Disposition"):
            value = value_of(headers, name)
            if name == "Content-Transfer-Encoding" and value is not None and value.lower() == "base64":
                with contextlib.suppress(ValueError):
                    span = Span.over(_from_base64(span))
            elif value is not None:
                head += f"{name}: {value}\r\n".encode("latin-1")
        return cls(head, span, span)

    def field(self, name: bytes) -> bytes:
        return field(self.head, name)

    @property
    def media_type(self) -> bytes:
        """``type/subtype`` in lower case; empty when there is no Content-Type."""
        return media_type(self.field(b"content-type"))

    @property
    def transfer_encoding(self) -> bytes:
        return self.field(b"content-transfer-encoding").lower()

    def content(self) -> bytes | bytearray:
        """The body with its Content-Transfer-Encoding undone. Hashes never use this.

        Raises:
            ValueError: it says base64 and is not.
        """
        how = self.transfer_encoding
        if how == b"base64":
            return _from_base64(self.body)
        if how == b"quoted-printable":
            return quopri.decodestring(bytes(self.body))
        if self.body.start == 0 and self.body.end == len(self.body.buffer):
            return self.body.buffer
        return bytes(self.body)


def _from_base64(span: Span) -> bytes:
    """Decode, and let nothing fall under the table: the decoder skips whatever is not of its alphabet.

    Raises:
        ValueError: it is not base64 from beginning to end.
    """
    decoded = binascii.a2b_base64(span.view)
    blanks = sum(span.buffer.count(blank, span.start, span.end) for blank in (b"\r", b"\n", b" ", b"\t"))
    if span.end - span.start - blanks != (len(decoded) + 2) // 3 * 4:
        raise ValueError("MIME: not base64")
    return decoded


# ---------------------------------------------------------------------------------------------------- header fields
def field(head: bytes, name: bytes) -> bytes:
    """One header field, unfolded and trimmed; empty when absent.

    Raises:
        ValueError: it stands there twice (which of the two counts is what forgers play with) or is too long.
    """
    found = fields(head, name)
    if not found:
        return b""
    if len(found) > 1:
        raise ValueError(f"MIME: {name.decode('ascii', 'replace')} is repeated")
    if len(found[0]) > MAX_FIELD_BYTES:
        raise ValueError(f"MIME: {name.decode('ascii', 'replace')} is too long")
    return found[0]


def fields(head: bytes, name: bytes) -> list[bytes]:
    """All header fields of a name that may be repeated, unfolded and trimmed."""
    return [_FOLD.sub(b" ", value).strip(b" \t") for value in _named(name).findall(head)]


@lru_cache(maxsize=64)
def _named(name: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"(?im)^" + re.escape(name) + rb"[ \t]*:((?:[^\r\n]|\r\n[ \t])*)")


def media_type(content_type: bytes) -> bytes:
    return content_type.partition(b";")[0].strip().lower()


_PARAMETER: Final = re.compile(rb';[ \t]*(?:([^=;\s"]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^;"]*)))?[ \t]*', re.S)


def parameters(value: bytes) -> dict[bytes, bytes]:
    """The parameters of a structured header value, names in lower case, quotes undone.

    Raises:
        ValueError: one stands there twice.

    >>> parameters(b'multipart/signed; boundary="a;b"; micalg=sha-256')
    {b'boundary': b'a;b', b'micalg': b'sha-256'}
    """
    out: dict[bytes, bytes] = {}
    position = value.find(b";")
    while position >= 0 and (match := _PARAMETER.match(value, position)):
        name, in_quotes, bare = match[1], match[2], match[3]
        if name is not None:
            if name.lower() in out:
                raise ValueError("MIME: a parameter is repeated")
            # Only what must be escaped is unescaped: C:\orders\850.edi is sent as it stands.
            unescaped = bare.strip() if in_quotes is None else re.sub(rb'\\(["\\])', rb"\1", in_quotes)
            out[name.lower()] = unescaped
        position = value.find(b";", match.end())
    return out


# -------------------------------------------------------------------------------------------------------- multipart
@dataclass(frozen=True, slots=True)
class Multipart:
    parts: tuple[Span, ...]
    epilogue: Span | None  #: what follows the closing boundary; None when the body was never closed


def split(body: Span, boundary: bytes, *, most: int) -> Multipart:
    """Cut a multipart body at its boundary lines.

    Raises:
        ValueError: no usable boundary, no part, more than ``most`` parts, or a body made to look like boundaries.
    """
    if not 1 <= len(boundary) <= MAX_BOUNDARY:
        raise ValueError("MIME: multipart without a usable boundary")
    delimiter = b"--" + boundary
    parts: list[Span] = []
    begin: int | None = None  # of the part we are in
    at = body.start if body.starts_with(delimiter, body.start) else _next_line(body, delimiter, body.start)
    for _miss in range(MAX_NEAR_MISSES):
        if at < 0:
            break
        line = at + len(delimiter)
        rest = bytes(body.buffer[line : min(line + 128, body.end)])
        match = re.match(rb"(--)?[ \t]*(?:\r\n|\Z)", rest)
        if match is None:  # a line that only begins like the boundary
            at = _next_line(body, delimiter, line)
            continue
        if begin is not None:
            parts.append(Span(body.buffer, begin, max(begin, at - 2)))
            if len(parts) > most:
                raise ValueError("MIME: too many parts")
        if match[1]:
            return Multipart(tuple(parts), Span(body.buffer, line + match.end(), body.end))
        begin = line + match.end()
        at = _next_line(body, delimiter, begin)
    else:
        raise ValueError("MIME: too many lines that look like the boundary")
    if begin is None:
        raise ValueError("MIME: the boundary does not occur")
    return Multipart((*parts, Span(body.buffer, begin, body.end)), None)


def _next_line(body: Span, delimiter: bytes, start: int) -> int:
    """Offset of the next line that begins with ``delimiter``, -1 when there is none."""
    at = body.find(b"\r\n" + delimiter, start)
    return at + 2 if at >= 0 else -1


def signed_parts(body: Span, boundary: bytes) -> tuple[Span, Span]:
    """The signed entity and the signature entity of a multipart/signed.

    Raises:
        ValueError: not exactly two parts, not closed, or anything but blanks behind the end (RFC 4130 section 5.2.1
            wants a null epilogue; octets that nobody verifies must not be there to play with).
    """
    multipart = split(body, boundary, most=2)
    if len(multipart.parts) != 2 or multipart.epilogue is None:
        raise ValueError("MIME: multipart/signed has two parts and a closing boundary")
    if bytes(multipart.epilogue).strip(b" \t\r\n"):
        raise ValueError("MIME: octets behind the closing boundary")
    return multipart.parts[0], multipart.parts[1]


# ---------------------------------------------------------------------------------------------------------- writing
@dataclass(frozen=True, slots=True)
class Part:
    """An entity to send: header fields in order, the body in pieces."""

    fields: tuple[tuple[str, str], ...]
    body: Sequence[Octets]

    def octets(self) -> list[Octets]:
        """The pieces of the whole entity: what a signature or a digest is over."""
        head = "".join(f"{name}: {value}\r\n" for name, value in self.fields)
        return [head.encode("ascii") + b"\r\n", *self.body]


def multipart_signed(signed: Iterable[Octets], signature: bytes, *, micalg: str) -> Part:
    """multipart/signed around the exact octets that were signed."""
    boundary = new_boundary()
    encoded = base64.encodebytes(signature).replace(b"\n", b"\r\n")
    # Without the disposition some receivers decode the signature as text and destroy it.
    tail = (
        b"\r\n--%s\r\nContent-Type: application/pkcs7-signature; name=smime.p7s; smime-type=signed-data\r\n"
        b"Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=smime.p7s\r\n\r\n%s\r\n--%s--\r\n"
    ) % (boundary, encoded, boundary)
    content_type = (
        f'multipart/signed; protocol="application/pkcs7-signature"; micalg={micalg}; boundary="{boundary.decode()}"'
    )
    return Part((("Content-Type", content_type),), [b"--" + boundary + b"\r\n", *signed, tail])


def new_boundary() -> bytes:
    """128 random bits: no content holds it by chance, and nobody can guess it while writing one."""
    return b"=_" + secrets.token_hex(16).encode()
