"""Reads, checks and makes X.509 certificates and private keys; every refusal says what is wrong and what to send instead."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LEAST_RSA_BITS: Final = 2048
MOST_RSA_BITS: Final = 8192
LARGEST_FILE_BYTES: Final = 64 * 1024  #: a certificate is 1 to 4 KB; more is another file
_CURVES: Final = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class CertificateError(ValueError):
    """A certificate or key that cannot be used. ``str()`` is for the person who uploaded it; it holds no key bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFacts:
    """What a certificate says about itself."""

    pem: str
    fingerprint: str  #: SHA-256 of the DER form, 64 lower-case hex digits
    subject: str  #: RFC 4514, e.g. "CN=acme-as2,O=ACME"
    serial_number: str  #: hex, as most tools show it
    not_before: datetime
    not_after: datetime
    algorithm: str  #: "RSA 2048", "EC secp256r1"
    can_encrypt: bool  #: AS2 encrypts to RSA keys; elliptic curves only sign
    public_key: PublicKey = field(repr=False)


def read(data: bytes, *, for_tls: bool = False) -> CertificateFacts:
    """Read one certificate, PEM or DER.

    Args:
        for_tls: it identifies a client of HTTPS; otherwise it is for AS2 messages, which a web server's is not.

    Raises:
        CertificateError: not one certificate, a key too weak or of a kind AS2 does not use, or made for TLS only.
    """
    with _malformed_refused():
        certificate = _parse(data)
        if not for_tls:
            _refuse_tls_only(certificate)
        return _facts(certificate)


def read_authorities(data: bytes) -> str:
    """Read the certificates of one or more authorities (PEM), or of a server that signed its own.

    Returns:
        The same as plain PEM, without the text around it and without repetitions.

    Raises:
        CertificateError: not a list of certificates.
    """
    _refuse_too_large(data, "certificates")
    _refuse_private_key(data)
    with _malformed_refused():
        found = dict.fromkeys(
            certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")
            for certificate in x509.load_pem_x509_certificates(data)
            if certificate.public_key() is not None  # decoded only now; a malformed one raises
        )
        return "".join(found)


def read_private_key(data: bytes, *, password: str = "") -> PrivateKey:
    """Read one private key, PEM or DER, with its password if it has one.

    Raises:
        CertificateError: no private key, wrong password, or too weak.
    """
    _refuse_too_large(data, "a private key")
    key = _load_private_key(data, password, checked=False)
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise CertificateError("The private key is neither RSA nor an elliptic curve. Use RSA with 2048 bits or more.")
    _checked_algorithm(key.public_key())
    if isinstance(key, rsa.RSAPrivateKey):
        # OpenSSL's own check may take hours over numbers that do not belong together, so ours comes first.
        _refuse_incoherent(key.private_numbers())
        _load_private_key(data, password, checked=True)
    return key


def to_pem(key: PrivateKey) -> bytes:
    """The private key as unencrypted PKCS#8 PEM, the form the keystore seals."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def belong_together(certificate: CertificateFacts, key: PrivateKey) -> bool:
    """Whether the private key is the one of the certificate."""
    return certificate.public_key == key.public_key()


def self_signed(name: str, *, now: datetime, valid_for: timedelta, bits: int = 3072) -> tuple[str, bytes]:
    """Make an RSA key and a self-signed certificate for it, fit to sign and to decrypt AS2 messages.

    Args:
        name: common name, 1 to 64 characters; partners see it.
        now: the certificate is valid from a day before, because partners' clocks differ.

    Returns:
        The certificate (PEM text) and the private key (PKCS#8 PEM).
    """
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + valid_for)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        # RFC 4130bis, 9.1: a self-signed certificate has a subject alternative name.
        .add_extension(x509.SubjectAlternativeName([x509.DirectoryName(subject)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii"), to_pem(key)


def _load_private_key(data: bytes, password: str, *, checked: bool) -> object:
    load = serialization.load_pem_private_key if b"-----BEGIN" in data else serialization.load_der_private_key
    secret = password.encode() or None
    try:
        return load(data, secret, unsafe_skip_rsa_key_validation=not checked)
    except TypeError:  # how cryptography says "encrypted, no password" and "password, not encrypted"
        raise CertificateError(
            "The private key is encrypted: give its password."
            if secret is None
            else "A password was given, but the private key is not encrypted: leave the password empty."
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        # From None, and no word of the cause: it may quote the input.
        raise CertificateError(
            "This is not a private key we can read, or its password is wrong. Send PEM (it begins with "
            "'-----BEGIN PRIVATE KEY-----') or PKCS#8 in DER."
        ) from None


def _refuse_incoherent(numbers: rsa.RSAPrivateNumbers) -> None:
    """Source: RFC 8017, 3.2, how the numbers of an RSA private key hang together."""
    p, q, public = numbers.p, numbers.q, numbers.public_numbers
    coherent = (
        p > 2
        and q > 2
        and p * q == public.n
        and numbers.d * public.e % math.lcm(p - 1, q - 1) == 1
        and numbers.dmp1 == numbers.d % (p - 1)
        and numbers.dmq1 == numbers.d % (q - 1)
        and numbers.iqmp * q % p == 1
    )
    if not coherent:
        raise CertificateError("The private key is damaged: its numbers do not belong together. Export it again.")


def _refuse_too_large(data: bytes, what: str) -> None:
    if len(data) > LARGEST_FILE_BYTES:
        has = "have" if what.endswith("s") else "has"
        raise CertificateError(f"The file has {len(data):,} bytes; {what} {has} a few thousand. Send only that.")


def _refuse_private_key(data: bytes) -> None:
    if b"PRIVATE KEY-----" in data:
        raise CertificateError(
            "This holds a private key. A certificate alone is wanted here; if a partner sent you its private key, "
            "ask for a new pair: the old one is no longer private."
        )


@contextmanager
def _malformed_refused() -> Iterator[None]:
    try:
        yield
    except CertificateError:
        raise
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension):
        # Much of a certificate is decoded only when it is asked for, so any of the questions may find it malformed.
        raise CertificateError(
            "This is not a certificate we can read. Send X.509 as PEM (it begins with '-----BEGIN CERTIFICATE-----') "
            "or DER (.cer, .crt), with an RSA key; not a PKCS#7 or PKCS#12 container."
        ) from None


def _parse(data: bytes) -> x509.Certificate:
    _refuse_too_large(data, "a certificate")
    _refuse_private_key(data)
    if b"-----BEGIN" not in data:
        return x509.load_der_x509_certificate(data)
    found = x509.load_pem_x509_certificates(data)
    if len(found) != 1:
        raise CertificateError(
            f"The file holds {len(found)} certificates. Send only the partner's own (the leaf), without its issuers."
        )
    return found[0]


def _facts(certificate: x509.Certificate) -> CertificateFacts:
    public_key = certificate.public_key()
    if not isinstance(public_key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise CertificateError(
            "The certificate's key is neither RSA nor an elliptic curve, and AS2 partners cannot use it. "
            "Ask for a certificate with an RSA key of 2048 bits or more."
        )
    algorithm = _checked_algorithm(public_key)
    return CertificateFacts(
        pem=certificate.public_bytes(serialization.Encoding.PEM).decode("ascii"),
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
        subject=certificate.subject.rfc4514_string(),
        serial_number=f"{certificate.serial_number:x}",
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        algorithm=algorithm,
        can_encrypt=isinstance(public_key, rsa.RSAPublicKey),
        public_key=public_key,
    )


def _checked_algorithm(key: PublicKey) -> str:
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < LEAST_RSA_BITS:
            raise CertificateError(
                f"The RSA key has {key.key_size} bits, which can be broken. Ask for one of {LEAST_RSA_BITS} bits or more."
            )
        if key.key_size > MOST_RSA_BITS:
            raise CertificateError(
                f"The RSA key has {key.key_size} bits; each message would take seconds. Ask for 2048 to {MOST_RSA_BITS}."
            )
        return f"RSA {key.key_size}"
    if not isinstance(key.curve, _CURVES):
        raise CertificateError(
            f"The elliptic curve {key.curve.name} is not supported. Ask for P-256, P-384, P-521 or RSA."
        )
    return f"EC {key.curve.name}"


def _refuse_tls_only(certificate: x509.Certificate) -> None:
    try:
        usage = set(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        return
    mail = {ExtendedKeyUsageOID.EMAIL_PROTECTION, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    if ExtendedKeyUsageOID.SERVER_AUTH in usage and not usage & mail:
        raise CertificateError(
            "This is the certificate of a web server (TLS), not one for AS2 messages: its key sits on every server of "
            "that name. Ask the partner for its AS2 certificate, often a self-signed one."
        )


def _key_usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=True,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
