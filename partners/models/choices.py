"""The values a column may take, as callables: a new value is one line in ``profiles`` or ``canonical``, no migration."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final, get_args

from edi_maps.canonical import CanonicalRecord
from partners.profiles import Algorithms, Channel, Direction, FunctionalAck, PartnerState

Choices = list[tuple[str, str]]


class CertificateRole(StrEnum):
    SIGN = "sign"
    ENCRYPT = "encrypt"
    BOTH = "both"  #: sign and encrypt
    TLS = "tls"  #: client certificate of an HTTPS request

    def serves(self, purpose: CertificateRole) -> bool:
        """Whether a certificate with this role is one for ``purpose``."""
        return self is purpose or (self is CertificateRole.BOTH and purpose is not CertificateRole.TLS)


class ApiEnvironment(StrEnum):
    """A test key never touches live data, nor the reverse."""

    LIVE = "live"
    TEST = "test"


class ControlNumberKind(StrEnum):
    INTERCHANGE = "interchange"  #: ISA13
    GROUP = "group"  #: GS06
    SET = "set"  #: ST02


#: Which forms a document can have on a channel. The first is the usual one.
FORMATS_ON: Final[dict[Channel, tuple[str, ...]]] = {
    Channel.AS2: ("x12",),
    Channel.REST: ("canonical_json", "x12"),
    Channel.PORTAL_JSON: ("portal_json",),
    Channel.WEB: ("canonical_json",),
}

_LABELS: Final = {
    "as2": "AS2",
    "rest": "REST API",
    "portal_json": "Portal JSON",
    "web": "Web pages",
    "x12": "X12",
    "canonical_json": "Canonical JSON",
    "inbound": "They send it to us",
    "outbound": "We send it to them",
    "full": "Every transaction set (997 with AK2 to AK5)",
    "group": "The group only (997 with AK1 and AK9)",
    "999": "Every transaction set (999, always in 005010)",
    "none": "None",
    "both": "Sign and encrypt",
    "tls": "TLS client",
    "modern": "Modern: AES-GCM, OAEP, SHA-256 and better",
    "secure": "Secure: AES, SHA-256 and better",
    "legacy": "Legacy: 3DES and SHA-1 as well",
    "sha1": "SHA-1 (legacy)",
    "sha256": "SHA-256",
    "sha384": "SHA-384",
    "sha512": "SHA-512",
    "aes128_cbc": "AES-128-CBC",
    "aes192_cbc": "AES-192-CBC",
    "aes256_cbc": "AES-256-CBC",
    "aes128_gcm": "AES-128-GCM",
    "aes192_gcm": "AES-192-GCM",
    "aes256_gcm": "AES-256-GCM",
    "des_ede3_cbc": "3DES (legacy)",
    "pkcs1v15": "PKCS #1 v1.5",
    "pss": "PSS",
    "oaep_sha1": "OAEP with SHA-1",
    "oaep_sha256": "OAEP with SHA-256",
    "oaep_sha384": "OAEP with SHA-384",
    "oaep_sha512": "OAEP with SHA-512",
    "P": "P: production",
    "T": "T: test",
    "I": "I: information",
}


def _labelled(values: Iterable[str]) -> Choices:
    return [(str(value), _LABELS.get(value, value.replace("_", " ").capitalize())) for value in values]


def partner_states() -> Choices:
    return _labelled(PartnerState)


def channels() -> Choices:
    return _labelled(FORMATS_ON)


def formats() -> Choices:
    return _labelled(dict.fromkeys(name for names in FORMATS_ON.values() for name in names))


def directions() -> Choices:
    return _labelled(Direction)


def documents() -> Choices:
    """Every canonical document type there is."""
    return _labelled(
        name for record in get_args(CanonicalRecord) for name in get_args(record.model_fields["type"].annotation)
    )


def functional_acks() -> Choices:
    return _labelled(FunctionalAck)


def digests() -> Choices:
    return _labelled(("sha256", "sha384", "sha512", "sha1"))


def ciphers() -> Choices:
    return _labelled(
        ("aes128_cbc", "aes192_cbc", "aes256_cbc", "aes128_gcm", "aes192_gcm", "aes256_gcm", "des_ede3_cbc")
    )


def algorithms() -> Choices:
    return _labelled(Algorithms)


def signature_schemes() -> Choices:
    return _labelled(("pkcs1v15", "pss"))


def key_transports() -> Choices:
    return _labelled(("pkcs1v15", "oaep_sha1", "oaep_sha256", "oaep_sha384", "oaep_sha512"))


def as2_versions() -> Choices:
    return _labelled(("1.2", "1.3"))


def usages() -> Choices:
    return _labelled(("P", "T", "I"))


def certificate_roles() -> Choices:
    return _labelled(CertificateRole)


def api_environments() -> Choices:
    return _labelled(ApiEnvironment)


def control_number_kinds() -> Choices:
    return _labelled(ControlNumberKind)
