"""Seals secrets for the database: AES-256-GCM under a data key of their own, which a key from the settings wraps.

A database dump without ``settings.KEYSTORE_SECRET`` opens nothing. Rotation re-wraps the small data keys and leaves the
secrets as they are; meanwhile ``settings.KEYSTORE_OLD_SECRETS`` (a tuple, may be absent) still opens what the former
secret wrapped. What a secret is for goes in as associated data, so a sealed value moved to another row does not open.

The settings hold high-entropy secrets, not passwords: HKDF derives from them, nothing slows a guess down.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

LEAST_SECRET_LENGTH: Final = 32  #: characters; 32 of base64 are 192 bits
_NONCE_BYTES: Final = 12  # what GCM is specified for (NIST SP 800-38D, 8.2.2: random 96-bit nonces)


class KeystoreError(Exception):
    """A secret cannot be sealed or opened. ``str()`` says what to do; it never holds a byte of a secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A secret as the database keeps it. Both byte strings are nonce, ciphertext and tag."""

    key_id: str  #: which wrapping key opens ``wrapped_key``; says nothing about the key itself
    wrapped_key: bytes = field(repr=False)
    ciphertext: bytes = field(repr=False)


def seal(plaintext: bytes, *, purpose: str) -> Sealed:
    """Seal under the current wrapping key.

    Args:
        purpose: what the secret is for and whose it is; the same text opens it again.

    Raises:
        KeystoreError: ``settings.KEYSTORE_SECRET`` is too short.
    """
    key = _current()
    data_key = AESGCM.generate_key(bit_length=256)
    return Sealed(
        key_id=key.id,
        wrapped_key=_encrypt(key.bytes, data_key, purpose),
        ciphertext=_encrypt(data_key, plaintext, purpose),
    )


def unseal(sealed: Sealed, *, purpose: str) -> bytes:
    """Open a sealed secret.

    Raises:
        KeystoreError: no configured key opens it, it was altered, or it was sealed for another purpose.
    """
    return _decrypt(_data_key(sealed, purpose), sealed.ciphertext, purpose)


def rewrap(sealed: Sealed, *, purpose: str) -> Sealed:
    """The same secret with its data key wrapped by the current key; the ciphertext stays as it is.

    Raises:
        KeystoreError: as ``unseal``.
    """
    key = _current()
    wrapped_key = _encrypt(key.bytes, _data_key(sealed, purpose), purpose)
    return Sealed(key_id=key.id, wrapped_key=wrapped_key, ciphertext=sealed.ciphertext)


def current_key_id() -> str:
    """The id of the key that seals now."""
    return _current().id


def known_key_ids() -> frozenset[str]:
    """The ids of all keys that open: the current one and the old ones still configured."""
    return frozenset(key.id for key in _ring())


@dataclass(frozen=True, slots=True)
class _WrappingKey:
    id: str
    bytes: bytes = field(repr=False)


def _current() -> _WrappingKey:
    return next(_ring())


def _ring() -> Iterator[_WrappingKey]:
    yield _derive("KEYSTORE_SECRET", settings.KEYSTORE_SECRET)
    for old in getattr(settings, "KEYSTORE_OLD_SECRETS", ()):
        yield _derive("KEYSTORE_OLD_SECRETS", old)


@lru_cache(maxsize=8)
def _derive(setting: str, secret: str) -> _WrappingKey:
    if len(secret) < LEAST_SECRET_LENGTH:
        raise KeystoreError(
            f"{setting} holds a secret of {len(secret)} characters; at least {LEAST_SECRET_LENGTH} random ones are "
            "needed. Make one with: python -c 'import secrets; print(secrets.token_urlsafe(48))'"
        )

    def expand(label: bytes, length: int) -> bytes:
        return HKDF(algorithm=hashes.SHA256(), length=length, salt=None, info=label).derive(secret.encode())

    return _WrappingKey(expand(b"keystore key id", 8).hex(), expand(b"keystore wrapping key", 32))


def _data_key(sealed: Sealed, purpose: str) -> bytes:
    for key in _ring():
        if key.id == sealed.key_id:
            return _decrypt(key.bytes, sealed.wrapped_key, purpose)
    raise KeystoreError(
        f"A secret ({purpose}) is sealed with wrapping key {sealed.key_id}, and no configured key has that id. Set "
        "GATEWAY_KEYSTORE_SECRET, or GATEWAY_KEYSTORE_OLD_SECRETS, to the secret it was sealed with."
    )


def _encrypt(key: bytes, plaintext: bytes, purpose: str) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plaintext, purpose.encode())


def _decrypt(key: bytes, sealed: bytes, purpose: str) -> bytes:
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], purpose.encode())
    except (InvalidTag, ValueError):  # ValueError: shorter than a nonce, a cut-off column
        # From None: the chain would add nothing, and its frames hold keys.
        raise KeystoreError(
            f"A secret ({purpose}) does not open: its row was altered or copied from another. Restore it, or store the "
            "secret anew."
        ) from None
