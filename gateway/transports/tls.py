"""TLS towards a partner's server: what we trust, what we show of ourselves, and what a failure means."""

from __future__ import annotations

import secrets
import ssl
import tempfile
from functools import lru_cache
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from partners.profiles import CertificateRef, HttpTerms

#: What a person can do about a certificate, by OpenSSL's number of what is wrong with it (openssl-verification-options(1)).
_REMEDIES: Final = {
    9: "is not valid yet: compare the clocks, or wait",
    10: "has expired: its owner must renew it",
    18: "is self-signed: put it into the link's own authorities, after comparing its fingerprint",
    19: "comes from an authority we do not know: put that authority into the link's own authorities",
    20: "comes from an authority we do not know: put that authority into the link's own authorities",
    21: "comes from an authority we do not know, or its server sends no intermediate certificates",
    62: "is for another host: correct the address, or its owner must get one for this name",
    64: "is for another host: give the address by a name of the certificate",
}
#: OpenSSL's word in an alert after which our own certificate is what the other side does not like.
_ALERTS_ABOUT_OURS: Final = (
    "CERTIFICATE_REQUIRED",
    "BAD_CERTIFICATE",
    "UNSUPPORTED_CERTIFICATE",
    "CERTIFICATE_REVOKED",
    "CERTIFICATE_EXPIRED",
    "CERTIFICATE_UNKNOWN",
    "UNKNOWN_CA",
    "ACCESS_DENIED",
)


class UnusableTls(ValueError):
    """The authorities or the client certificate of the terms cannot be used. ``str()`` holds no key bytes."""


def context(terms: HttpTerms) -> ssl.SSLContext:
    """How we talk TLS under these terms: 1.2 or newer, their certificates checked, ours shown where there is one.

    Made once for the same terms. The system's authorities are read when it is made, so a change of theirs needs a restart.

    Raises:
        UnusableTls: see there.
    """
    if terms.presents_certificate and terms.client_certificate is None:
        raise UnusableTls("the partner's server asks for a TLS certificate of ours, and none is in use")
    return _context(terms.verify_tls, terms.authorities_pem, terms.client_certificate)


@lru_cache(maxsize=256)
def _context(verify: bool, authorities_pem: bytes, client: CertificateRef | None) -> ssl.SSLContext:
    made = ssl.create_default_context(cadata=_authorities(authorities_pem)) if verify else _trusting_anybody()
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.set_alpn_protocols(["http/1.1"])
    if verify and authorities_pem:
        # What the link names is trusted as it stands: an authority, one between, or the server's own certificate.
        made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        # Companies' own authorities often lack key identifiers, which newer Pythons demand by default.
        made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if client is not None:
        _show(made, client)
    return made


def unverified_context() -> ssl.SSLContext:
    """To see which certificate a server has: shows nothing of ours, trusts nobody. Nothing is to be sent by it."""
    return _trusting_anybody()


def _trusting_anybody() -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    return made


def _authorities(pem: bytes) -> bytes | None:
    if not pem:
        return None
    try:
        return b"".join(
            certificate.public_bytes(serialization.Encoding.DER) for certificate in x509.load_pem_x509_certificates(pem)
        )
    except ValueError as exc:
        raise UnusableTls("the link's own authorities are not certificates in PEM") from exc


def _show(made: ssl.SSLContext, client: CertificateRef) -> None:
    """Give the context our certificate and key, which OpenSSL takes from a file only.

    The key is written under a pass phrase that nobody but this call ever had, into a file only we can read that is gone when
    this returns: what a crash leaves behind opens nothing.
    """
    if client.private_key_pem is None:
        raise UnusableTls("the client certificate has no private key")
    phrase = secrets.token_bytes(32).hex()
    try:
        sealed = serialization.load_pem_private_key(client.private_key_pem, None).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(phrase.encode()),
        )
        with tempfile.NamedTemporaryFile(prefix="client-certificate-", suffix=".pem") as file:
            file.write(client.certificate_pem.rstrip() + b"\n" + sealed)
            file.flush()
            made.load_cert_chain(file.name, password=phrase)
    except (ValueError, TypeError, ssl.SSLError):
        # From None: the cause may quote what it could not read.
        raise UnusableTls(f"the client certificate {client.fingerprint[:16]} and its key cannot be used") from None


def why_not_verified(error: ssl.SSLCertVerificationError, host: str, certificate: bytes | None) -> str:
    """What is wrong with a server's certificate and what to do, for a person.

    Args:
        certificate: the one it showed, DER; None when we could not look.
    """
    remedy = _REMEDIES.get(error.verify_code, f"is not accepted: {error.verify_message}")
    return f"the TLS certificate of {host}{_described(certificate)} {remedy}"


def why_failed(error: OSError) -> str:
    """Any other failure of TLS, for a person."""
    reason = getattr(error, "reason", None) or str(error)
    if isinstance(error, ssl.SSLError) and "ALERT" in reason and any(word in reason for word in _ALERTS_ABOUT_OURS):
        return f"the server refuses our TLS client certificate or wants one ({reason})"
    if "ALERT_HANDSHAKE_FAILURE" in reason:
        return f"the server ends the handshake: it wants a TLS client certificate of ours, or has older TLS only ({reason})"
    return f"TLS failed: {reason}"


def _described(certificate: bytes | None) -> str:
    """Names, issuer and end of a certificate a stranger made, at most a line of it."""
    if certificate is None:
        return ""
    try:
        read = x509.load_der_x509_certificate(certificate)
        subject, issuer = read.subject.rfc4514_string(), read.issuer.rfc4514_string()
        try:
            names = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            also = ", ".join(
                [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]
            )
        except x509.ExtensionNotFound:
            also = ""
        until = f"{read.not_valid_after_utc:%Y-%m-%d}"
    except (
        ValueError,
        UnsupportedAlgorithm,
        x509.InvalidVersion,
        x509.DuplicateExtension,
    ):  # much of a certificate is decoded only when it is asked for
        return " (which is malformed)"
    return f" ({_clean(subject)}; for {_clean(also) or 'no host'}; issued by {_clean(issuer)}; until {until})"


def _clean(text: str) -> str:
    shown = "".join(mark if mark.isprintable() else "?" for mark in text[:200])
    return shown if len(text) <= 200 else f"{shown}…"
