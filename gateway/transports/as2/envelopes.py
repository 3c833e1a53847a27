"""CMS EnvelopedData (CBC) and AuthEnvelopedData (GCM) with RSA recipients. Source: RFC 5652 section 6, RFC 5083, RFC 8017."""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from asn1crypto import cms
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, modes

from gateway.transports.as2 import der
from gateway.transports.as2.algorithms import CIPHERS, CIPHERS_BY_OID, DIGESTS, ContentCipher, Policy
from gateway.transports.as2.certificates import Identity
from gateway.transports.as2.der import Octets
from gateway.transports.as2.errors import Disposition, Rejected, UnusableTerms
from gateway.transports.as2.mime import Span
from gateway.transports.as2.rsa_parameters import OID_OAEP, OaepParameters, oaep_algorithm, read_oaep

MAX_RECIPIENTS_BYTES: Final = 64 * 1024

_ZERO: Final = der.integer(0)
_OID_RSA: Final = der.oid("1.2.840.113549.1.1.1")
_PKCS1: Final = der.joined(der.SEQUENCE, _OID_RSA, der.NULL)
_TAG: Final = 16
_LEAST_TAG: Final = 12
_LARGEST_BLOCK: Final = max(cipher.block_bytes for cipher in CIPHERS.values())


# --------------------------------------------------------------------------------------------------------- encrypt
def encrypt(
    pieces: Iterable[Octets], recipients: Sequence[Identity], *, cipher: str, key_transport: str = "pkcs1v15"
) -> list[Octets]:
    """Encrypt for one or several certificates.

    Args:
        recipients: written in this order; there are products that try the first only.
        key_transport: "pkcs1v15", which every AS2 product reads, or "oaep_" and a digest.

    Raises:
        UnusableTerms: a certificate has no RSA key, or the cipher or key transport is none we know.
    """
    if cipher not in CIPHERS:
        raise UnusableTerms(f"the cipher {cipher!r} is none of {', '.join(CIPHERS)}")
    method, scheme = _transport_called(key_transport)
    chosen = CIPHERS[cipher]
    key = os.urandom(chosen.key_bytes)
    infos: list[bytes] = []
    for recipient in recipients:
        if not isinstance(recipient.public_key, rsa.RSAPublicKey):
            raise UnusableTerms(f"certificate {recipient.fingerprint[:16]}…: we encrypt for RSA keys only")
        wrapped = der.joined(der.OCTET_STRING, recipient.public_key.encrypt(key, scheme))
        infos.append(der.joined(der.SEQUENCE, _ZERO, recipient.issuer_and_serial, method, wrapped))
    named = der.joined(der.SET, *infos)
    return _authenticated(pieces, key, chosen, named) if chosen.authenticated else _cbc(pieces, key, chosen, named)


def _transport_called(name: str) -> tuple[bytes, padding.AsymmetricPadding]:
    """AlgorithmIdentifier and padding of a key transport."""
    if name == "pkcs1v15":
        return _PKCS1, padding.PKCS1v15()
    kind, _underscore, digest = name.partition("_")
    if kind != "oaep" or digest not in DIGESTS:
        raise UnusableTerms(f"the key transport {name!r} is neither pkcs1v15 nor oaep_ and a digest")
    return oaep_algorithm(digest), OaepParameters(digest, digest, b"").padding()


def _cbc(pieces: Iterable[Octets], key: bytes, cipher: ContentCipher, recipients: bytes) -> list[Octets]:
    block = cipher.block_bytes
    vector = os.urandom(block)
    encryptor = Cipher(cipher.with_key(key), modes.CBC(vector)).encryptor()
    content = list(pieces)
    pad = block - sum(len(piece) for piece in content) % block
    sealed, size = _run(encryptor, [*content, bytes([pad]) * pad])
    encryptor.finalize()
    algorithm = der.joined(der.SEQUENCE, cipher.oid, der.joined(der.OCTET_STRING, vector))
    blob = der.element(der.CONTEXT_0, memoryview(sealed)[:size])
    data = der.element(der.SEQUENCE, _ZERO, recipients, *der.element(der.SEQUENCE, der.OID_DATA, algorithm, *blob))
    return der.element(der.SEQUENCE, der.OID_ENVELOPED, *der.element(der.CONTEXT_0_CONSTRUCTED, *data))


def _authenticated(pieces: Iterable[Octets], key: bytes, cipher: ContentCipher, recipients: bytes) -> list[Octets]:
    nonce = os.urandom(12)
    encryptor = Cipher(cipher.with_key(key), modes.GCM(nonce)).encryptor()
    sealed, size = _run(encryptor, list(pieces))
    encryptor.finalize()
    # The length of the tag is said although RFC 5084 has a default: that default is 12.
    stated = der.joined(der.SEQUENCE, der.joined(der.OCTET_STRING, nonce), der.integer(_TAG))
    algorithm = der.joined(der.SEQUENCE, cipher.oid, stated)
    blob = der.element(der.CONTEXT_0, memoryview(sealed)[:size])
    content = der.element(der.SEQUENCE, der.OID_DATA, algorithm, *blob)
    data = der.element(der.SEQUENCE, _ZERO, recipients, *content, der.joined(der.OCTET_STRING, encryptor.tag))
    return der.element(der.SEQUENCE, der.OID_AUTH_ENVELOPED, *der.element(der.CONTEXT_0_CONSTRUCTED, *data))


# --------------------------------------------------------------------------------------------------------- decrypt
@dataclass(frozen=True, slots=True)
class Opened:
    """What a key made of an envelope."""

    octets: Span
    cipher: str
    opened_with: str  #: fingerprint of our certificate whose key did
    is_well_padded: bool = True  #: False: these are not the plain octets; refuse them, but not yet


def decrypt(buffer: memoryview, ours: Sequence[Identity], policy: Policy) -> Opened:
    """Undo an envelope. What the cipher and the key transport may be is decided before a key is touched.

    A wrong CBC padding is no error here: whoever reads on finds garbage and fails as he would on any other garbage, in the
    same time, and only then looks at ``is_well_padded``. An error at this point would come sooner than all others, and
    that difference can be measured from outside.

    Raises:
        Rejected: ``INSUFFICIENT_MESSAGE_SECURITY`` for a cipher or key transport the link does not allow,
            ``AUTHENTICATION_FAILED`` for everything else. A content key that cannot be right is replaced by a random one:
            a bad key is one more way to garbage.
    """
    try:
        kind, at = der.content_info(buffer)
        at = der.behind(buffer, der.inside(buffer, at, der.SEQUENCE))  # version
        if buffer[at] == der.CONTEXT_0_CONSTRUCTED:  # originator's certificates
            at = der.behind(buffer, at)
        content = der.behind(buffer, at)
        recipients = bytes(buffer[at:content])
        algorithm_at = der.behind(buffer, der.inside(buffer, content, der.SEQUENCE))  # content type
        blob_at = der.behind(buffer, algorithm_at)
        cipher, stated = _cipher(bytes(buffer[algorithm_at:blob_at]), policy)
        if (kind == der.OID_AUTH_ENVELOPED) != cipher.authenticated:
            raise ValueError("GCM in EnvelopedData, or CBC in AuthEnvelopedData")
        segments = der.octet_string(buffer, blob_at, der.CONTEXT_0)
        keys = _content_keys(recipients, ours, policy, cipher.key_bytes)
        if cipher.authenticated:
            associated, tag = _authentication(buffer, der.behind(buffer, content))
            return _opened_gcm(segments, keys, cipher, stated, associated, tag)
        return _opened_cbc(segments, keys, cipher, stated)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError) as exc:
        raise Rejected(
            Disposition.AUTHENTICATION_FAILED, f"decrypting: {type(exc).__name__}: {str(exc)[:200]}"
        ) from None


def _cipher(algorithm: bytes, policy: Policy) -> tuple[ContentCipher, der.Node]:
    """The cipher and its parameters."""
    oid, stated = der.algorithm(der.node(algorithm))
    cipher = CIPHERS_BY_OID.get(oid)
    if cipher is None or cipher.name not in policy.ciphers:
        name = cms.EncryptionAlgorithmId.map(der.dotted(oid))
        raise Rejected(Disposition.INSUFFICIENT_MESSAGE_SECURITY, f"encrypted with {name}")
    return cipher, der.node(stated)


@dataclass(frozen=True, slots=True)
class _ContentKey:
    """What the key of one of our certificates made of the encrypted content key."""

    octets: bytes
    opened_with: str  #: fingerprint of that certificate


def _content_keys(recipients: bytes, ours: Sequence[Identity], policy: Policy, size: int) -> list[_ContentKey]:
    """The keys of the right length that are encrypted for our certificates; a random one when there is none.

    Only the first recipient that is ours counts, although all of them share one content key: a sender who adds a key of
    his own behind a captured one, which he altered, would learn from our answer whether we fell back on his. Usually one
    certificate is meant. A renewed one may have kept issuer and serial number; then the one encrypted key is given to both.

    Raises:
        Rejected: no recipient names a certificate of ours, or by a key transport the link does not allow. Anybody can
            see both.
    """
    if len(recipients) > MAX_RECIPIENTS_BYTES:
        raise ValueError("too many recipients")
    for info in der.node(recipients).members(der.SET):
        if info.tag != der.SEQUENCE:  # key agreement and passwords carry tags of their own
            continue
        _version, recipient, method, wrapped = info.members()
        named = [identity for identity in ours if identity.is_named_by(recipient)]
        if named:
            break
    else:
        raise Rejected(Disposition.AUTHENTICATION_FAILED, "it is encrypted for none of our certificates")
    scheme = _transport(method, policy)
    keys = [_ContentKey(_unwrapped(wrapped, identity, scheme), identity.fingerprint) for identity in named]
    return [key for key in keys if len(key.octets) == size] or [_ContentKey(os.urandom(size), named[0].fingerprint)]


def _transport(method: der.Node, policy: Policy) -> padding.AsymmetricPadding:
    oid, parameters = der.algorithm(method)
    scheme: padding.AsymmetricPadding
    if oid == _OID_RSA:
        name, scheme = "pkcs1v15", padding.PKCS1v15()
    elif oid == OID_OAEP:
        oaep = read_oaep(parameters)
        # Whatever digest makes the mask: Java's is SHA-1 beside any other, and it need not withstand anything.
        name, scheme = f"oaep_{oaep.digest}", oaep.padding()
    else:
        name = cms.KeyEncryptionAlgorithmId.map(der.dotted(oid))
    if name not in policy.key_transports:
        raise Rejected(Disposition.INSUFFICIENT_MESSAGE_SECURITY, f"the content key is encrypted by {name}")
    return scheme


def _unwrapped(wrapped: der.Node, identity: Identity, scheme: padding.AsymmetricPadding) -> bytes:
    """Undo RSA key transport; empty when it cannot be undone.

    OpenSSL answers a bad PKCS #1 v1.5 padding with random octets instead of an error: there is nothing to listen to.
    """
    if not isinstance(identity.private_key, rsa.RSAPrivateKey):
        return b""
    try:
        return identity.private_key.decrypt(der.octets_of(wrapped), scheme)
    except ValueError:
        return b""


def _opened_cbc(segments: list[memoryview], keys: list[_ContentKey], cipher: ContentCipher, stated: der.Node) -> Opened:
    """What the first key makes that leaves a padding; what the first key makes when none does.

    There is more than one key only where two certificates of ours have one name, and hardly ever then: most often what the
    wrong one makes of a content key has another length.
    """
    opened = [_undone_cbc(segments, key, cipher, der.octets_of(stated)) for key in keys]
    return next((attempt for attempt in opened if attempt.is_well_padded), opened[0])


def _undone_cbc(segments: list[memoryview], key: _ContentKey, cipher: ContentCipher, vector: bytes) -> Opened:
    decryptor = Cipher(cipher.with_key(key.octets), modes.CBC(vector)).decryptor()
    plain, size = _run(decryptor, segments)
    decryptor.finalize()
    if size == 0:
        raise ValueError("no content")
    pad = plain[size - 1]
    well_padded = 1 <= pad <= cipher.block_bytes and hmac.compare_digest(
        bytes(plain[size - pad : size]), bytes([pad]) * pad
    )
    octets = Span(plain, 0, size - pad if well_padded else size)
    return Opened(octets, cipher.name, key.opened_with, well_padded)


def _opened_gcm(
    segments: list[memoryview],
    keys: list[_ContentKey],
    cipher: ContentCipher,
    stated: der.Node,
    associated: bytes,
    tag: bytes,
) -> Opened:
    mode = modes.GCM(der.octets_of(stated.members()[0]), tag, min_tag_length=_LEAST_TAG)
    for key in keys:
        decryptor = Cipher(cipher.with_key(key.octets), mode).decryptor()
        decryptor.authenticate_additional_data(associated)
        plain, size = _run(decryptor, segments)
        try:
            decryptor.finalize()
        except InvalidTag:
            continue
        return Opened(Span(plain, 0, size), cipher.name, key.opened_with)
    raise Rejected(Disposition.AUTHENTICATION_FAILED, "decrypting: the GCM tag is wrong")


def _run(cipher: Any, segments: Sequence[Octets]) -> tuple[bytearray, int]:
    """Run a cipher, either way, into one buffer, and say how much of it is used: its own buffers would double the memory."""
    out = bytearray(sum(len(segment) for segment in segments) + _LARGEST_BLOCK)
    view = memoryview(out)
    size = 0
    for segment in segments:
        size += cipher.update_into(segment, view[size:])
    return out, size


def _authentication(buffer: memoryview, at: int) -> tuple[bytes, bytes]:
    """Associated data and tag behind the content; the attributes are authenticated as SET OF, not as [1]."""
    associated = b""
    if buffer[at] == der.CONTEXT_1_CONSTRUCTED:
        end = der.behind(buffer, at)
        associated, at = bytes([der.SET]) + bytes(buffer[at + 1 : end]), end
    tag = b"".join(der.octet_string(buffer, at))
    if len(tag) < _LEAST_TAG:
        raise ValueError("a short GCM tag")
    return associated, tag
