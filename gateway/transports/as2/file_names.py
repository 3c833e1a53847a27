"""What a sender calls a document, in the ways products write it, and how we write it. Source: RFC 2183, 2047, 2231, 6266."""

from __future__ import annotations

import re
from email.errors import MessageError
from email.header import decode_header
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from gateway.transports.as2.mime import Entity, parameters

MAX_FILE_NAME: Final = 255
#: Pieces of one name (RFC 2231 section 3); a header field has room for few more.
_MAX_PIECES: Final = 100

#: Character sets somebody may name. Python knows many more codecs, some of which are no character sets at all.
_CHARSETS: Final = re.compile(
    r"us-ascii|utf-?8|utf-16|iso-8859-\d{1,2}|(windows-|cp)125\d|koi8-[ru]|gb2312|gbk|gb18030|big5|shift_jis|euc-(jp|kr)",
    re.IGNORECASE,
)
_EXTENDED: Final = re.compile(rb"([A-Za-z0-9_.:-]*)'[^']*'(.*)", re.S)
_ENCODED_WORD: Final = re.compile(r"=\?[^? ]+\?[BbQq]\?[^? ]*\?=")


def content_disposition(file_name: str) -> str:
    """The header value that tells a file name: in ASCII for everybody, and exactly for who reads RFC 2231.

    >>> content_disposition("Maß.edi")
    'attachment; filename="Ma_.edi"; filename*=UTF-8\\'\\'Ma%C3%9F.edi'
    """
    plain = re.sub(r"[^ !#-\[\]-~]", "_", file_name)
    disposition = f'attachment; filename="{plain}"'
    if plain != file_name:
        disposition += f"; filename*=UTF-8''{quote(file_name, safe='')}"
    return disposition


def file_name(entity: Entity) -> str | None:
    """A label, never a path: without folders and control characters, at most ``MAX_FILE_NAME`` characters.

    A header that cannot be read costs the name, not the message.
    """
    try:
        disposition = parameters(entity.field(b"content-disposition"))
        content_type = parameters(entity.field(b"content-type"))
    except ValueError:
        return None
    name = _told(disposition, b"filename") or _told(content_type, b"name")
    name = re.split(r"[/\\]", "".join(character for character in name if character.isprintable()))[-1].strip()
    return name[:MAX_FILE_NAME] if name not in {"", ".", ".."} else None


def _told(said: dict[bytes, bytes], name: bytes) -> str:
    """A parameter in the first of its forms: ``name*``, ``name*0*`` and so on, ``name``. Empty when it is in none."""
    if extended := said.get(name + b"*"):
        charset, octets = _extended(extended)
        return _text(unquote_to_bytes(octets), charset)
    if pieces := _pieces(said, name):
        charset, first = _extended(pieces[0][0]) if pieces[0][1] else (b"", pieces[0][0])
        pieces[0] = (first, pieces[0][1])
        return _text(b"".join(unquote_to_bytes(piece) if coded else piece for piece, coded in pieces), charset)
    return _words(_text(said.get(name, b""), b""))


def _pieces(said: dict[bytes, bytes], name: bytes) -> list[tuple[bytes, bool]]:
    """``name*0``, ``name*1*`` and so on, each with whether it is percent-encoded, up to the first that is missing."""
    pieces: list[tuple[bytes, bool]] = []
    for number in range(_MAX_PIECES):
        plain = name + b"*%d" % number
        if plain in said:
            pieces.append((said[plain], False))
        elif plain + b"*" in said:
            pieces.append((said[plain + b"*"], True))
        else:
            break
    return pieces


def _extended(value: bytes) -> tuple[bytes, bytes]:
    """Character set and the rest of ``UTF-8'de'…``; some leave the front out."""
    match = _EXTENDED.fullmatch(value)
    return (match[1], match[2]) if match else (b"", value)


def _text(octets: bytes, charset: bytes) -> str:
    """In the character set it names; without one, or with one we do not know, UTF-8 or else Latin-1."""
    named = charset.decode("latin-1")
    for encoding in (named if _CHARSETS.fullmatch(named) else "utf-8", "utf-8"):
        try:
            return octets.decode(encoding)
        except (LookupError, ValueError):  # iso-8859-12 was never made
            continue
    return octets.decode("latin-1")


def _words(name: str) -> str:
    """Undo encoded words, which do not belong into a parameter and are sent in it all the same."""
    if not _ENCODED_WORD.search(name):
        return name
    try:
        decoded = decode_header(name)
    except (MessageError, ValueError):
        return name
    return "".join(
        _text(word, (charset or "").encode()) if isinstance(word, bytes) else word for word, charset in decoded
    )
