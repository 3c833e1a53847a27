"""The slice of oscrypto that pyas2lib 1.4 calls, on ``cryptography``, put in its place before pyas2lib is imported.

oscrypto 1.3.0, the last release, reads OpenSSL's version with a pattern of one digit for each number and fails to import
on OpenSSL 3.0.10 and later; pyas2lib requires it. Neither library is edited. Left out are RC2, RC4 and DES, which OpenSSL 3
no longer has either: pyas2lib answers a message that uses them with "decryption-failed".
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from asn1crypto import pem
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives import padding as block_padding
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, CipherAlgorithm, algorithms, modes
from cryptography.hazmat.primitives.serialization import pkcs12

_HASHES: dict[str, Callable[[], hashes.HashAlgorithm]] = {
    "md5": hashes.MD5,
    "sha1": hashes.SHA1,
    "sha224": hashes.SHA224,
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}
_PKCS1 = padding.PKCS1v15()
_OAEP = padding.OAEP(mgf=padding.MGF1(hashes.SHA1()), algorithm=hashes.SHA1(), label=None)  # noqa: S303  # RFC 8017's default, all pyas2lib knows


class SignatureError(Exception):
    """A signature does not verify."""


class Certificate:
    """A certificate in both libraries' terms: pyas2lib reads ``asn1``, the functions below ``public_key``."""

    def __init__(self, der: bytes) -> None:
        self.asn1: Any = asn1_x509.Certificate.load(der)
        public_key = x509.load_der_x509_certificate(der).public_key()
        if not isinstance(public_key, rsa.RSAPublicKey):
            raise ValueError("only RSA certificates")
        self.public_key = public_key


class PrivateKey:
    def __init__(self, key: object) -> None:
        if not isinstance(key, rsa.RSAPrivateKey):
            raise ValueError("only RSA keys")
        self.key = key


# --------------------------------------------------------------------------------------------- oscrypto.asymmetric
def load_certificate(source: bytes) -> Certificate:
    if pem.detect(source):
        _name, _headers, source = pem.unarmor(source)
    return Certificate(source)


def load_private_key(source: bytes, password: str | None = None) -> PrivateKey:
    """Load PEM or DER; a password for a key that has none is ignored, as oscrypto does."""
    load = serialization.load_pem_private_key if pem.detect(source) else serialization.load_der_private_key
    try:
        return PrivateKey(load(source, password.encode() if password else None))
    except TypeError:
        return PrivateKey(load(source, None))
    except ValueError as exc:
        raise OSError(str(exc)) from exc  # what oscrypto raises, and pyas2lib catches


def load_pkcs12(
    source: bytes, password: str | None = None
) -> tuple[PrivateKey | None, Certificate | None, list[Certificate]]:
    """Load PKCS #12. pyas2lib tries this first on everything: a ValueError sends it on to PEM."""
    try:
        key, certificate, others = pkcs12.load_key_and_certificates(source, password.encode() if password else None)
    except ValueError as exc:
        if "password" in str(exc).lower():
            raise ValueError("Password provided is invalid") from exc  # the words pyas2lib compares with
        raise
    der = serialization.Encoding.DER
    return (
        PrivateKey(key) if key is not None else None,
        Certificate(certificate.public_bytes(der)) if certificate is not None else None,
        [Certificate(other.public_bytes(der)) for other in others],
    )


def rsa_pkcs1v15_encrypt(certificate: Certificate, data: bytes) -> bytes:
    return certificate.public_key.encrypt(data, _PKCS1)


def rsa_pkcs1v15_decrypt(private: PrivateKey, data: bytes) -> bytes:
    return private.key.decrypt(data, _PKCS1)


def rsa_oaep_encrypt(certificate: Certificate, data: bytes) -> bytes:
    return certificate.public_key.encrypt(data, _OAEP)


def rsa_oaep_decrypt(private: PrivateKey, data: bytes) -> bytes:
    return private.key.decrypt(data, _OAEP)


def rsa_pkcs1v15_sign(private: PrivateKey, data: bytes, digest: str) -> bytes:
    return private.key.sign(data, _PKCS1, _HASHES[digest]())


def rsa_pkcs1v15_verify(certificate: Certificate, signature: bytes, data: bytes, digest: str) -> None:
    _verify(certificate, signature, data, _PKCS1, _HASHES[digest]())


def rsa_pss_sign(private: PrivateKey, data: bytes, digest: str) -> bytes:
    algorithm = _HASHES[digest]()
    return private.key.sign(data, _pss(algorithm), algorithm)


def rsa_pss_verify(certificate: Certificate, signature: bytes, data: bytes, digest: str) -> None:
    algorithm = _HASHES[digest]()
    _verify(certificate, signature, data, _pss(algorithm), algorithm)


def _pss(algorithm: hashes.HashAlgorithm) -> padding.PSS:
    return padding.PSS(mgf=padding.MGF1(algorithm), salt_length=algorithm.digest_size)


def _verify(
    certificate: Certificate,
    signature: bytes,
    data: bytes,
    scheme: padding.AsymmetricPadding,
    algorithm: hashes.HashAlgorithm,
) -> None:
    try:
        certificate.public_key.verify(signature, data, scheme, algorithm)
    except InvalidSignature as exc:
        raise SignatureError("Signature is invalid") from exc


# ---------------------------------------------------------------------------------------------- oscrypto.symmetric
def _cbc_encrypt(cipher: Callable[[bytes], CipherAlgorithm], block: int) -> Callable[..., tuple[bytes, bytes]]:
    def encrypt(key: bytes, data: bytes, vector: bytes | None) -> tuple[bytes, bytes]:
        vector = vector or os.urandom(block)
        padder = block_padding.PKCS7(block * 8).padder()
        encryptor = Cipher(cipher(key), modes.CBC(vector)).encryptor()
        return vector, encryptor.update(padder.update(data) + padder.finalize()) + encryptor.finalize()

    return encrypt


def _cbc_decrypt(cipher: Callable[[bytes], CipherAlgorithm], block: int) -> Callable[..., bytes]:
    def decrypt(key: bytes, data: bytes, vector: bytes) -> bytes:
        decryptor = Cipher(cipher(key), modes.CBC(vector)).decryptor()
        unpadder = block_padding.PKCS7(block * 8).unpadder()
        return unpadder.update(decryptor.update(data) + decryptor.finalize()) + unpadder.finalize()

    return decrypt


# --------------------------------------------------------------------------------------------------------- install
def install() -> None:
    """Put the stand-in where ``import oscrypto`` looks."""
    asymmetric = _module(
        "oscrypto.asymmetric",
        Certificate=Certificate,
        PrivateKey=PrivateKey,
        SignatureError=SignatureError,
        load_certificate=load_certificate,
        load_private_key=load_private_key,
        load_pkcs12=load_pkcs12,
        rsa_pkcs1v15_encrypt=rsa_pkcs1v15_encrypt,
        rsa_pkcs1v15_decrypt=rsa_pkcs1v15_decrypt,
        rsa_oaep_encrypt=rsa_oaep_encrypt,
        rsa_oaep_decrypt=rsa_oaep_decrypt,
        rsa_pkcs1v15_sign=rsa_pkcs1v15_sign,
        rsa_pkcs1v15_verify=rsa_pkcs1v15_verify,
        rsa_pss_sign=rsa_pss_sign,
        rsa_pss_verify=rsa_pss_verify,
    )
    symmetric = _module(
        "oscrypto.symmetric",
        aes_cbc_pkcs7_encrypt=_cbc_encrypt(algorithms.AES, 16),
        aes_cbc_pkcs7_decrypt=_cbc_decrypt(algorithms.AES, 16),
        tripledes_cbc_pkcs5_encrypt=_cbc_encrypt(TripleDES, 8),
        tripledes_cbc_pkcs5_decrypt=_cbc_decrypt(TripleDES, 8),
    )
    util = _module("oscrypto.util", rand_bytes=os.urandom)
    _module("oscrypto", __path__=[], asymmetric=asymmetric, symmetric=symmetric, util=util)


def _module(name: str, **members: object) -> ModuleType:
    module = ModuleType(name, "Stand-in, see gateway.transports.as2.oscrypto_standin.")
    module.__dict__.update(members)
    sys.modules[name] = module
    return module
