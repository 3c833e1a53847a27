"""The digests, ciphers and key transports we know, and which of them a link may use, inbound and outbound alike.

Nothing weaker has an entry: MD5, RC2, RC4 and single DES cannot be switched on. 3DES and SHA-1 signatures need a legacy link.
Inside OAEP and as a digest a partner's receipt may name, SHA-1 is no weakness or not our choice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from asn1crypto import algos
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import BlockCipherAlgorithm
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from gateway.transports.as2 import der
from gateway.transports.as2.errors import UnusableTerms
from partners.profiles import Algorithms, As2Terms

# ---------------------------------------------------------------------------------------------------------- digests
#: What a signature, a MIC or a parameter of RSA may name and we can compute.
DIGESTS: Final[dict[str, hashes.HashAlgorithm]] = {
    "sha1": hashes.SHA1(),  # noqa: S303  # which link may sign with it, its policy says
    "sha224": hashes.SHA224(),
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
#: Their AlgorithmIdentifiers, parameters NULL: the form that every product reads.
DIGEST_ALGORITHMS: Final[dict[str, bytes]] = {
    name: algos.DigestAlgorithm({"algorithm": name}).dump() for name in DIGESTS
}
DIGESTS_BY_OID: Final = {
    der.node(der.node(identifier).content).whole: name for name, identifier in DIGEST_ALGORITHMS.items()
}
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
#: As MIME spells them (RFC 5751 section 3.4.3.2); SHA-1 as RFC 3851 and the products of its time do.
MICALG: Final = {"sha1": "sha1", "sha256": "sha-256", "sha384": "sha-384", "sha512": "sha-512"}


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


# ---------------------------------------------------------------------------------------------------------- ciphers
@dataclass(frozen=True, slots=True)
class ContentCipher:
    """One way to encrypt the content."""

    name: str
    key_bytes: int
    oid: bytes  #: DER
    algorithm: type[AES] | type[TripleDES]
    authenticated: bool = False  #: GCM, which is AuthEnvelopedData

    @property
    def block_bytes(self) -> int:
        return self.algorithm.block_size // 8

    def with_key(self, key: bytes) -> BlockCipherAlgorithm:
        return self.algorithm(key)


def _aes(name: str, key_bytes: int, last_arc: int) -> ContentCipher:
    oid = der.oid(f"2.16.840.1.101.3.4.1.{last_arc}")
    return ContentCipher(name, key_bytes, oid, AES, name.endswith("gcm"))


_ALL: Final = (
    _aes("aes128_cbc", 16, 2),
    _aes("aes128_gcm", 16, 6),
    _aes("aes192_cbc", 24, 22),
    _aes("aes192_gcm", 24, 26),
    _aes("aes256_cbc", 32, 42),
    _aes("aes256_gcm", 32, 46),
    ContentCipher("des_ede3_cbc", 24, der.oid("1.2.840.113549.3.7"), TripleDES),
)
CIPHERS: Final = {cipher.name: cipher for cipher in _ALL}
CIPHERS_BY_OID: Final = {cipher.oid: cipher for cipher in _ALL}

# --------------------------------------------------------------------------------------------------------- policies
#: How our RSA key signs; an EC key signs with ECDSA.
SIGNATURE_SCHEMES: Final = ("pkcs1v15", "pss")


@dataclass(frozen=True, slots=True)
class Policy:
    """What one link may use, whoever sends."""

    digests: tuple[str, ...]  #: of signatures and of the receipts we give
    ciphers: tuple[str, ...]
    key_transports: tuple[str, ...]

    def demand(self, terms: As2Terms) -> None:
        """Check what we are to send with.

        Raises:
            UnusableTerms: the terms ask for something the link does not allow or we do not know.
        """
        wanted: list[tuple[str, str, tuple[str, ...]]] = []
        if terms.signed:
            wanted += [
                ("digest", terms.digest, self.digests),
                ("signature scheme", terms.signature_scheme, SIGNATURE_SCHEMES),
            ]
        if terms.encrypted:
            wanted += [
                ("cipher", terms.cipher, self.ciphers),
                ("key transport", terms.key_transport, self.key_transports),
            ]
        for what, name, allowed in wanted:
            if name not in allowed:
                raise UnusableTerms(f"the {what} {name!r} is none of {', '.join(allowed)}, which this link allows")


_SHA2: Final = ("sha256", "sha384", "sha512")
_AES: Final = tuple(cipher.name for cipher in _ALL if cipher.algorithm is AES)
_GCM: Final = tuple(cipher.name for cipher in _ALL if cipher.authenticated)
_OAEP_SHA2: Final = tuple(f"oaep_{digest}" for digest in _SHA2)
#: In OAEP nothing rests on collisions, and SHA-1 is its default.
_ALL_TRANSPORTS: Final = ("pkcs1v15", "oaep_sha1", "oaep_sha224", *_OAEP_SHA2)

_POLICIES: Final = {
    Algorithms.MODERN: Policy(_SHA2, _GCM, _OAEP_SHA2),
    Algorithms.SECURE: Policy(_SHA2, _AES, _ALL_TRANSPORTS),
    Algorithms.LEGACY: Policy((*_SHA2, "sha1"), (*_AES, "des_ede3_cbc"), _ALL_TRANSPORTS),
}


def policy_of(algorithms: Algorithms) -> Policy:
    return _POLICIES[algorithms]
