"""DER out and BER in, around blobs that are never copied.

Writing: an element is a list of pieces, its header first; lists nest by unpacking and are joined once, at the socket.
Reading: a walk by offset over one buffer, every bound checked. Senders that stream use BER (indefinite lengths, octet
strings in segments), so both are read; the number of steps is bounded whatever the buffer says.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from asn1crypto import core

Octets: TypeAlias = bytes | memoryview

SEQUENCE: Final = 0x30
SET: Final = 0x31
OCTET_STRING: Final = 0x04
CONTEXT_0: Final = 0x80
CONTEXT_0_CONSTRUCTED: Final = 0xA0
CONTEXT_1_CONSTRUCTED: Final = 0xA1

#: Steps of one walk. A streaming sender cuts 25 MB into 25,000 pieces of 1,000 octets.
MAX_STEPS: Final = 100_000
MAX_DEPTH: Final = 16
_END: Final = b"\0\0"


def oid(dotted: str) -> bytes:
    encoded: bytes = core.ObjectIdentifier(dotted).dump()
    return encoded


OID_DATA: Final = oid("1.2.840.113549.1.7.1")
OID_SIGNED: Final = oid("1.2.840.113549.1.7.2")
OID_ENVELOPED: Final = oid("1.2.840.113549.1.7.3")
OID_COMPRESSED: Final = oid("1.2.840.113549.1.9.16.1.9")
OID_AUTH_ENVELOPED: Final = oid("1.2.840.113549.1.9.16.1.23")


def element(tag: int, *pieces: Octets) -> list[Octets]:
    """The pieces of one element, its tag and length in front."""
    length = sum(len(piece) for piece in pieces)
    if length < 0x80:
        return [bytes((tag, length)), *pieces]
    encoded = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return [bytes((tag, 0x80 | len(encoded))) + encoded, *pieces]


def joined(tag: int, *pieces: Octets) -> bytes:
    """One small element as bytes."""
    return b"".join(element(tag, *pieces))


def header(buffer: Octets, at: int) -> tuple[int, int | None, int]:
    """Tag, length (None when indefinite) and offset of the content of the element at ``at``.

    Raises:
        ValueError: it is truncated or of a form CMS does not use.
    """
    if at + 2 > len(buffer):
        raise ValueError("ASN.1: truncated")
    tag, length, content = buffer[at], buffer[at + 1], at + 2
    if tag & 0x1F == 0x1F:
        raise ValueError("ASN.1: high tag number")
    if length == 0x80:
        if not tag & 0x20:
            raise ValueError("ASN.1: indefinite length of a primitive element")
        return tag, None, content
    if length & 0x80:
        size = length & 0x7F
        if size > 8 or content + size > len(buffer):
            raise ValueError("ASN.1: bad length")
        length, content = int.from_bytes(buffer[content : content + size], "big"), content + size
    if content + length > len(buffer):
        raise ValueError("ASN.1: truncated")
    return tag, length, content


def behind(buffer: Octets, at: int) -> int:
    """Offset behind the element at ``at``."""
    _tag, length, position = header(buffer, at)
    if length is not None:
        return position + length
    depth = 1
    for _step in range(MAX_STEPS):
        if buffer[position : position + 2] == _END:
            position, depth = position + 2, depth - 1
            if depth == 0:
                return position
            continue
        _tag, length, content = header(buffer, position)
        if length is None:
            depth += 1
            if depth > MAX_DEPTH:
                raise ValueError("ASN.1: nested too deep")
        position = content + (length or 0)
    raise ValueError("ASN.1: too many elements")


def inside(buffer: Octets, at: int, tag: int) -> int:
    """Offset of the content of the element at ``at``, which must have this tag."""
    found, _length, content = header(buffer, at)
    if found != tag:
        raise ValueError(f"ASN.1: tag {found:#04x} where {tag:#04x} belongs")
    return content


def octet_string(buffer: memoryview, at: int, tag: int = OCTET_STRING) -> list[memoryview]:
    """The content of an OCTET STRING, in one piece or in the segments of a streaming sender.

    Args:
        tag: of its primitive form; the constructed form has bit 0x20 set.
    """
    found, length, content = header(buffer, at)
    if found & ~0x20 != tag:
        raise ValueError(f"ASN.1: tag {found:#04x} where an octet string belongs")
    if not found & 0x20:
        return [buffer[content : content + (length or 0)]]
    segments: list[memoryview] = []
    position, end = content, None if length is None else content + length
    while (bytes(buffer[position : position + 2]) != _END) if end is None else (position < end):
        segment_tag, segment_length, segment = header(buffer, position)
        if segment_tag != OCTET_STRING or segment_length is None:
            raise ValueError("ASN.1: not a segment of an octet string")
        if len(segments) == MAX_STEPS:
            raise ValueError("ASN.1: too many segments")
        segments.append(buffer[segment : segment + segment_length])
        position = segment + segment_length
    return segments


def content_info(buffer: Octets) -> tuple[bytes, int]:
    """Type (DER of the OID) and offset of the content of a CMS ContentInfo."""
    start = inside(buffer, 0, SEQUENCE)
    end = behind(buffer, start)
    return bytes(buffer[start:end]), inside(buffer, end, CONTEXT_0_CONSTRUCTED)
