"""The digests and ciphers we know, by the names the terms, CMS and MIME give them.

Nothing weaker has an entry: MD5, RC2, RC4 and 3DES cannot be switched on. SHA-1 appears in two places where it is no
weakness or not our choice: inside OAEP, and as a digest a partner's receipt may name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from asn1crypto import core
from cryptography.hazmat.primitives import hashes

#: What a signature or a MIC of ours uses, and what a partner's signature must use.
SECURE_DIGESTS: Final[dict[str, type[hashes.HashAlgorithm]]] = {
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}
#: Hash of RSA-OAEP, where nothing rests on collisions.
OAEP_DIGESTS: Final[dict[str, type[hashes.HashAlgorithm]]] = {"sha1": hashes.SHA1, **SECURE_DIGESTS}
#: Kept for everything we send, because a receipt may name any of them.
RECEIPT_DIGESTS: Final = ("sha1", "sha256", "sha384", "sha512")

_SPELLINGS: Final = {
    "sha1": "sha1",
    "sha-1": "sha1",
    "sha256": "sha256",
    "sha-256": "sha256",
    "sha2-256": "sha256",
    "sha384": "sha384",
    "sha-384": "sha384",
    "sha2-384": "sha384",
    "sha512": "sha512",
    "sha-512": "sha512",
    "sha2-512": "sha512",
}
#: As MIME spells them (RFC 5751 section 3.4.3.2).
MICALG: Final = {"sha1": "sha-1", "sha256": "sha-256", "sha384": "sha-384", "sha512": "sha-512"}


def digest_called(spelling: str) -> str | None:
    """Our name of a digest somebody spelled his way; None when we do not know it.

    >>> digest_called(" SHA-256"), digest_called("md5")
    ('sha256', None)
    """
    return _SPELLINGS.get(spelling.strip().lower())


def digest_of(algorithm: str, pieces: Iterable[bytes | memoryview]) -> bytes:
    """Digest over the pieces as if they were joined."""
    state = hashlib.new(algorithm, usedforsecurity=algorithm != "sha1")
    for piece in pieces:
        state.update(piece)
    return state.digest()


@dataclass(frozen=True, slots=True)
class ContentCipher:
    """One way to encrypt the content."""

    name: str
    key_bytes: int
    oid: bytes  #: DER
    authenticated: bool  #: GCM, which is AuthEnvelopedData


def _aes(name: str, key_bytes: int, last_arc: int) -> ContentCipher:
    oid = core.ObjectIdentifier(f"2.16.840.1.101.3.4.1.{last_arc}").dump()
    return ContentCipher(name, key_bytes, oid, name.endswith("gcm"))


_ALL: Final = (
    _aes("aes128_cbc", 16, 2),
    _aes("aes128_gcm", 16, 6),
    _aes("aes192_cbc", 24, 22),
    _aes("aes192_gcm", 24, 26),
    _aes("aes256_cbc", 32, 42),
    _aes("aes256_gcm", 32, 46),
)
CIPHERS: Final = {cipher.name: cipher for cipher in _ALL}
CIPHERS_BY_OID: Final = {cipher.oid: cipher for cipher in _ALL}
