"""DER out and BER in, around blobs that are never copied.

Writing: an element is a list of pieces, its header first; lists nest by unpacking and are joined once, at the socket.
Reading: a walk by offset over one buffer, every bound checked. Senders that stream use BER (indefinite lengths, octet
strings in segments), so both are read; the number of steps is bounded whatever the buffer says.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, NamedTuple, TypeAlias

from asn1crypto import core

Octets: TypeAlias = bytes | memoryview

SEQUENCE: Final = 0x30
SET: Final = 0x31
INTEGER: Final = 0x02
OCTET_STRING: Final = 0x04
OBJECT_IDENTIFIER: Final = 0x06
UTC_TIME: Final = 0x17
GENERALIZED_TIME: Final = 0x18
NULL: Final = b"\x05\x00"
CONTEXT_0: Final = 0x80
CONTEXT_0_CONSTRUCTED: Final = 0xA0
CONTEXT_1_CONSTRUCTED: Final = 0xA1
CONTEXT_2_CONSTRUCTED: Final = 0xA2
CONTEXT_3_CONSTRUCTED: Final = 0xA3

#: Steps of one walk. A streaming sender cuts 25 MB into 25,000 pieces of 1,000 octets.
MAX_STEPS: Final = 100_000
MAX_DEPTH: Final = 16
_END: Final = b"\0\0"


def oid(dotted: str) -> bytes:
    encoded: bytes = core.ObjectIdentifier(dotted).dump()
    return encoded


# ---------------------------------------------------------------------------------------------------------- writing
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


def integer(value: int) -> bytes:
    return joined(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def time(at: datetime) -> bytes:
    """A Time to the second: UTCTime until 2049, as CMS wants it. Source: RFC 5652 section 11.3."""
    moment = at.astimezone(UTC)
    if moment.year < 2050:
        return joined(UTC_TIME, moment.strftime("%y%m%d%H%M%SZ").encode())
    return joined(GENERALIZED_TIME, moment.strftime("%Y%m%d%H%M%SZ").encode())


# ------------------------------------------------------------------------------------------------- reading in place
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


# ------------------------------------------------------------------------------------------------ small structures
class Node(NamedTuple):
    """One element of a structure so small that a copy of it costs nothing."""

    tag: int
    content: bytes  #: without the mark that ends an indefinite length
    whole: bytes  #: as it came

    def members(self, tag: int = SEQUENCE) -> list[Node]:
        """What is in it, when it has this tag."""
        if self.tag != tag:
            raise ValueError(f"ASN.1: tag {self.tag:#04x} where {tag:#04x} belongs")
        return nodes(self.content)


def node(octets: bytes, at: int = 0) -> Node:
    """The element at ``at``."""
    tag, length, content = header(octets, at)
    if length is not None:
        return Node(tag, octets[content : content + length], octets[at : content + length])
    end = behind(octets, at)
    return Node(tag, octets[content : end - len(_END)], octets[at:end])


def nodes(octets: bytes) -> list[Node]:
    """The elements these octets are made of, with nothing between or behind them.

    Raises:
        ValueError: one of them is truncated or longer than the octets.
    """
    found: list[Node] = []
    at = 0
    while at < len(octets):
        found.append(node(octets, at))
        at += len(found[-1].whole)
    return found


def algorithm(identifier: Node) -> tuple[bytes, bytes]:
    """OID and parameters of an AlgorithmIdentifier, each as it stands there; no parameters is the same as NULL."""
    kind, *parameters = identifier.members()
    if kind.tag != OBJECT_IDENTIFIER or len(parameters) > 1:
        raise ValueError("ASN.1: no AlgorithmIdentifier")
    return kind.whole, parameters[0].whole if parameters and parameters[0].whole != NULL else b""


def dotted(object_identifier: bytes) -> str:
    """An OID in figures, for people."""
    figures: str = core.ObjectIdentifier.load(object_identifier).dotted
    return figures


def number(integer: Node) -> int:
    """The value of an INTEGER."""
    if integer.tag != INTEGER or not integer.content:
        raise ValueError("ASN.1: no INTEGER")
    return int.from_bytes(integer.content, "big", signed=True)


def octets_of(octets: Node) -> bytes:
    """The value of an OCTET STRING, in one piece or in segments."""
    return b"".join(octet_string(memoryview(octets.whole), 0))
