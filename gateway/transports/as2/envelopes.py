"""CMS EnvelopedData (AES-CBC) and AuthEnvelopedData (AES-GCM) with RSA recipients. Source: RFC 5652 section 6, RFC 5083."""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from asn1crypto import cms, core
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from gateway.transports.as2 import der
from gateway.transports.as2.algorithms import CIPHERS, CIPHERS_BY_OID, OAEP_DIGESTS, ContentCipher
from gateway.transports.as2.certificates import Identity
from gateway.transports.as2.der import Octets
from gateway.transports.as2.errors import Disposition, Rejected, UnusableTerms
from gateway.transports.as2.mime import Span

MAX_RECIPIENTS_BYTES: Final = 64 * 1024
#: RSA operations one message may cost.
MAX_KEYS_TRIED: Final = 8

_ZERO: Final = b"\x02\x01\x00"
_RSA: Final = der.joined(der.SEQUENCE, der.oid("1.2.840.113549.1.1.1"), b"\x05\x00")
_BLOCK: Final = 16
_TAG: Final = 16


# --------------------------------------------------------------------------------------------------------- encrypt
def encrypt(pieces: Iterable[Octets], recipient: Identity, *, cipher: str) -> list[Octets]:
    """Encrypt for one certificate, its key by RSA PKCS #1 v1.5: what every AS2 product reads.

    Raises:
        UnusableTerms: the certificate has no RSA key, or the cipher is none we offer.
    """
    if cipher not in CIPHERS:
        raise UnusableTerms(f"the cipher {cipher!r} is none of {', '.join(CIPHERS)}")
    if not isinstance(recipient.public_key, rsa.RSAPublicKey):
        raise UnusableTerms(f"certificate {recipient.fingerprint[:16]}…: we encrypt for RSA keys only")
    chosen = CIPHERS[cipher]
    key = os.urandom(chosen.key_bytes)
    recipients = der.joined(
        der.SET,
        der.joined(
            der.SEQUENCE,
            _ZERO,
            der.joined(der.SEQUENCE, recipient.issuer, core.Integer(recipient.serial).dump()),
            _RSA,
            der.joined(der.OCTET_STRING, recipient.public_key.encrypt(key, padding.PKCS1v15())),
        ),
    )
    return (
        _authenticated(pieces, key, chosen, recipients)
        if chosen.authenticated
        else _cbc(pieces, key, chosen, recipients)
    )


def _cbc(pieces: Iterable[Octets], key: bytes, cipher: ContentCipher, recipients: bytes) -> list[Octets]:
    vector = os.urandom(_BLOCK)
    encryptor = Cipher(algorithms.AES(key), modes.CBC(vector)).encryptor()
    blob: list[Octets] = []
    size = 0
    for piece in pieces:
        blob.append(encryptor.update(piece))
        size += len(piece)
    pad = _BLOCK - size % _BLOCK
    blob += [encryptor.update(bytes([pad]) * pad), encryptor.finalize()]
    algorithm = der.joined(der.SEQUENCE, cipher.oid, der.joined(der.OCTET_STRING, vector))
    content = der.element(der.SEQUENCE, der.OID_DATA, algorithm, *der.element(der.CONTEXT_0, *blob))
    data = der.element(der.SEQUENCE, _ZERO, recipients, *content)
    return der.element(der.SEQUENCE, der.OID_ENVELOPED, *der.element(der.CONTEXT_0_CONSTRUCTED, *data))


def _authenticated(pieces: Iterable[Octets], key: bytes, cipher: ContentCipher, recipients: bytes) -> list[Octets]:
    nonce = os.urandom(12)
    encryptor = Cipher(algorithms.AES(key), modes.GCM(nonce)).encryptor()
    blob: list[Octets] = [encryptor.update(piece) for piece in pieces]
    encryptor.finalize()
    # The length of the tag is said although RFC 5084 has a default: that default is 12.
    stated = der.joined(der.SEQUENCE, der.joined(der.OCTET_STRING, nonce), core.Integer(_TAG).dump())
    algorithm = der.joined(der.SEQUENCE, cipher.oid, stated)
    content = der.element(der.SEQUENCE, der.OID_DATA, algorithm, *der.element(der.CONTEXT_0, *blob))
    data = der.element(der.SEQUENCE, _ZERO, recipients, *content, der.joined(der.OCTET_STRING, encryptor.tag))
    return der.element(der.SEQUENCE, der.OID_AUTH_ENVELOPED, *der.element(der.CONTEXT_0_CONSTRUCTED, *data))


# --------------------------------------------------------------------------------------------------------- decrypt
@dataclass(frozen=True, slots=True)
class Opened:
    """What a key made of an envelope."""

    octets: Span
    cipher: str
    is_well_padded: bool = True  #: False: these are not the plain octets; refuse them, but not yet


def decrypt(buffer: memoryview, ours: Sequence[Identity]) -> Opened:
    """Undo an envelope. What the cipher may be is decided before a key is touched.

    A wrong CBC padding is no error here: whoever reads on finds garbage and fails as he would on any other garbage, in the
    same time, and only then looks at ``is_well_padded``. An error at this point would come sooner than all others, and
    that difference can be measured from outside.

    Raises:
        Rejected: ``INSUFFICIENT_MESSAGE_SECURITY`` for a cipher we do not accept, ``AUTHENTICATION_FAILED`` for
            everything else. A content key that cannot be right is replaced by a random one: a bad key is one more way to
            garbage.
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
        cipher, stated = _cipher(bytes(buffer[algorithm_at:blob_at]))
        if (kind == der.OID_AUTH_ENVELOPED) != cipher.authenticated:
            raise ValueError("GCM in EnvelopedData, or CBC in AuthEnvelopedData")
        segments = der.octet_string(buffer, blob_at, der.CONTEXT_0)
        key = _content_key(recipients, ours, cipher.key_bytes)
        if cipher.authenticated:
            associated, tag = _authentication(buffer, der.behind(buffer, content))
            return Opened(_opened_gcm(segments, key, stated, associated, tag), cipher.name)
        return _opened_cbc(segments, key, stated, cipher.name)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError) as exc:
        raise Rejected(
            Disposition.AUTHENTICATION_FAILED, f"decrypting: {type(exc).__name__}: {str(exc)[:200]}"
        ) from None
    except InvalidTag:
        raise Rejected(Disposition.AUTHENTICATION_FAILED, "decrypting: the GCM tag is wrong") from None


def _cipher(algorithm: bytes) -> tuple[ContentCipher, bytes]:
    """The cipher and its parameters, as DER."""
    start = der.inside(algorithm, 0, der.SEQUENCE)
    end = der.behind(algorithm, start)
    cipher = CIPHERS_BY_OID.get(algorithm[start:end])
    if cipher is None:
        name = core.ObjectIdentifier.load(algorithm[start:end]).dotted
        raise Rejected(
            Disposition.INSUFFICIENT_MESSAGE_SECURITY, f"encrypted with {cms.EncryptionAlgorithmId.map(name)}"
        )
    return cipher, algorithm[end:]


def _content_key(recipients: bytes, ours: Sequence[Identity], size: int) -> bytes:
    """The first key of the right length somebody encrypted for one of our certificates; a random one when there is none.

    All recipients of an envelope share one key. To try several, and see which of them opens it, would tell a sender who
    adds a key of his own whether the other one did.

    Raises:
        Rejected: no RecipientInfo names a certificate of ours, which anybody can see.
    """
    if len(recipients) > MAX_RECIPIENTS_BYTES:
        raise ValueError("too many recipients")
    unwrapped: list[bytes] = []
    for info in cms.RecipientInfos.load(recipients):
        if info.name != "ktri":
            continue
        for identity in ours:
            if identity.private_key is None or not _is_for(info.chosen["rid"], identity):
                continue
            if len(unwrapped) == MAX_KEYS_TRIED:
                raise ValueError("too many recipients name one of our certificates")
            unwrapped.append(_unwrapped(info.chosen, identity.private_key))
    if not unwrapped:
        raise Rejected(Disposition.AUTHENTICATION_FAILED, "it is encrypted for none of our certificates")
    return next((key for key in unwrapped if len(key) == size), os.urandom(size))


def _is_for(recipient_id: Any, identity: Identity) -> bool:
    if recipient_id.name == "issuer_and_serial_number":
        return identity.is_issued_as(recipient_id.chosen["issuer"], recipient_id.chosen["serial_number"].native)
    return identity.has_key_id(recipient_id.chosen.native)


def _unwrapped(info: Any, key: rsa.RSAPrivateKey) -> bytes:
    """Undo RSA key transport; empty when it cannot be undone.

    OpenSSL answers a bad PKCS #1 v1.5 padding with random octets instead of an error: there is nothing to listen to.
    """
    method = info["key_encryption_algorithm"]
    scheme: padding.AsymmetricPadding = padding.PKCS1v15()
    if method["algorithm"].native == "rsaes_oaep":
        stated = method["parameters"]
        hashed_with = OAEP_DIGESTS[stated["hash_algorithm"]["algorithm"].native]
        mask = OAEP_DIGESTS[stated["mask_gen_algorithm"]["parameters"]["algorithm"].native]
        scheme = padding.OAEP(mgf=padding.MGF1(mask()), algorithm=hashed_with(), label=None)
    try:
        return key.decrypt(info["encrypted_key"].native, scheme)
    except ValueError:
        return b""


def _opened_cbc(segments: list[memoryview], key: bytes, stated: bytes, cipher: str) -> Opened:
    _tag, length, at = der.header(stated, 0)
    decryptor = Cipher(algorithms.AES(key), modes.CBC(stated[at : at + (length or 0)])).decryptor()
    plain, size = _run(decryptor, segments)
    decryptor.finalize()
    if size == 0:
        raise ValueError("no content")
    pad = plain[size - 1]
    well_padded = 1 <= pad <= _BLOCK and hmac.compare_digest(bytes(plain[size - pad : size]), bytes([pad]) * pad)
    return Opened(Span(plain, 0, size - pad if well_padded else size), cipher, well_padded)


def _opened_gcm(segments: list[memoryview], key: bytes, stated: bytes, associated: bytes, tag: bytes) -> Span:
    _tag, length, at = der.header(stated, der.inside(stated, 0, der.SEQUENCE))
    mode = modes.GCM(stated[at : at + (length or 0)], tag, min_tag_length=12)
    decryptor = Cipher(algorithms.AES(key), mode).decryptor()
    decryptor.authenticate_additional_data(associated)
    plain, size = _run(decryptor, segments)
    decryptor.finalize()
    return Span(plain, 0, size)


def _run(decryptor: Any, segments: list[memoryview]) -> tuple[bytearray, int]:
    plain = bytearray(sum(len(segment) for segment in segments) + _BLOCK)
    view = memoryview(plain)
    size = 0
    for segment in segments:
        size += decryptor.update_into(segment, view[size:])
    return plain, size


def _authentication(buffer: memoryview, at: int) -> tuple[bytes, bytes]:
    """Associated data and tag behind the content; the attributes are authenticated as SET OF, not as [1]."""
    associated = b""
    if buffer[at] == der.CONTEXT_1_CONSTRUCTED:
        end = der.behind(buffer, at)
        associated, at = bytes([der.SET]) + bytes(buffer[at + 1 : end]), end
    tag = b"".join(der.octet_string(buffer, at))
    if len(tag) < 12:
        raise ValueError("a short GCM tag")
    return associated, tag
