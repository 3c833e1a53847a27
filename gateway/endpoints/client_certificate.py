"""The TLS client certificate of a caller, as the proxy in front that ended its TLS connection passes it on.

The handshake proved to the proxy that the caller has the key. Who the certificate belongs to, the partner's terms say: they pin
its fingerprint, so the proxy need not know its authority (nginx: ``ssl_verify_client optional_no_ca``).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
from typing import Final
from urllib.parse import unquote

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from django.conf import settings
from django.http import HttpRequest

from gateway.endpoints import proxies

log = logging.getLogger(__name__)

#: Longer ones are none: a certificate has 1 to 4 KB, and each form makes it half as long again at most.
_MOST_CHARACTERS: Final = 32 * 1024


def presented(request: HttpRequest) -> str | None:
    """SHA-256 (64 lower-case hex digits) of the certificate the caller presented to a trusted proxy.

    Three forms are told apart by themselves: ``:base64 of DER:`` (RFC 9440), PEM percent-encoded (nginx
    ``$ssl_client_escaped_cert``), base64 of DER (HAProxy ``ssl_c_der,base64``, Caddy).

    Returns:
        None: there is none, nobody we trust says so, or it is malformed, which is logged.
    """
    said = request.META.get(settings.CLIENT_CERT_META, "")
    if not said or not proxies.vouches(request):
        return None
    try:
        return hashlib.sha256(_der(said)).hexdigest()
    except ValueError as exc:
        name = settings.CLIENT_CERT_META.removeprefix("HTTP_").replace("_", "-").title()
        log.warning("the proxy's header %s holds no certificate: %s", name, exc)
        return None


def _der(said: str) -> bytes:
    """The certificate's own bytes: exactly one, whole.

    Raises:
        ValueError: it is none. The text quotes nothing of it.
    """
    if len(said) > _MOST_CHARACTERS:
        raise ValueError(f"it has {len(said)} characters")
    text = unquote(said)
    try:
        if text.startswith("-----BEGIN"):
            (certificate,) = x509.load_pem_x509_certificates(text.encode("ascii"))
        else:
            wrapped = text.startswith(":") and text.endswith(":") and len(text) > 1
            certificate = x509.load_der_x509_certificate(
                base64.b64decode(text[1:-1] if wrapped else text, validate=True)
            )
    except binascii.Error:
        raise ValueError("it is neither base64 nor PEM") from None
    except (ValueError, x509.InvalidVersion):
        raise ValueError("it is not one X.509 certificate") from None
    return certificate.public_bytes(serialization.Encoding.DER)
