"""What somebody sends who has nothing but our public certificate and means harm: costly to open, cheap to write."""

from __future__ import annotations

import zlib

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from gateway.transports.as2 import der
from tests.gateway.as2.handmade import COMPRESSED, SIGNED, with_head

_ZLIB = der.joined(der.SEQUENCE, der.oid("1.2.840.113549.1.9.16.3.8"))
_MB = 1024 * 1024


def sealed(content: bytes, certificate_pem: bytes) -> bytes:
    """Encrypted by another program than ours (AES-128-CBC, RSA PKCS #1 v1.5)."""
    builder = pkcs7.PKCS7EnvelopeBuilder().set_data(content)
    builder = builder.add_recipient(x509.load_pem_x509_certificate(certificate_pem))
    return builder.encrypt(Encoding.DER, [pkcs7.PKCS7Options.Binary])


def bomb(wire_bytes: int) -> bytes:
    """CompressedData of about this size that inflates, in good order, to some hundred times as much."""
    head, lines = b"Content-Type: application/edi-x12\r\n\r\n", (b"A" * 62 + b"\r\n") * (_MB // 64)
    stream = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    start = stream.compress(head) + stream.flush(zlib.Z_FULL_FLUSH)
    megabyte = stream.compress(lines) + stream.flush(zlib.Z_FULL_FLUSH)  # stands for itself, so it can be repeated
    times = max(1, wire_bytes // len(megabyte))
    check = zlib.adler32(head)
    for _ in range(times):
        check = zlib.adler32(lines, check)
    return compressed_data(b"\x78\xda" + start + megabyte * times + b"\x03\x00" + check.to_bytes(4, "big"))


def compressed_data(deflated: bytes) -> bytes:
    content = der.joined(der.SEQUENCE, der.OID_DATA, der.joined(0xA0, der.joined(der.OCTET_STRING, deflated)))
    return der.joined(
        der.SEQUENCE,
        der.OID_COMPRESSED,
        der.joined(0xA0, der.joined(der.SEQUENCE, b"\x02\x01\x00", _ZLIB, content)),
    )


def nested(depth: int) -> bytes:
    """A multipart in a multipart, and so on."""
    opening = "".join(f'Content-Type: multipart/signed; boundary="b{n}"\r\n\r\n--b{n}\r\n' for n in range(depth))
    closing = "".join(f"\r\n--b{n}--\r\n" for n in reversed(range(depth)))
    return f"{opening}Content-Type: text/plain\r\n\r\nhello{closing}".encode()


def contents(size: int) -> dict[str, bytes]:
    """MIME entities of about this size, by what is wrong with them, to be sealed."""
    once = with_head(COMPRESSED, bomb(size))
    twice = with_head(COMPRESSED, compressed_data(zlib.compress(once, 9)))
    return {
        "bomb": once,
        "bomb in a bomb": twice,
        "nested multiparts": nested(size // 70),
        "parts without end": with_head(SIGNED, b"--BB\r\n\r\nx\r\n" * (size // 11) + b"--BB--\r\n"),
        "lines that look like boundaries": with_head(SIGNED, b"\r\n--BBx" * (size // 7)),
        "blank lines": with_head(SIGNED, b"\r\n" * (size // 2)),
        "header lines": b"X: y\r\n" * (size // 6),
        "one long line": b"A" * size,
        "opened ASN.1 that is never closed": with_head(COMPRESSED, b"\x30\x80" * (size // 2)),
    }
