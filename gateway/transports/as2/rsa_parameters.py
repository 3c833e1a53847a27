"""The parameters of RSASSA-PSS and RSAES-OAEP, written in full and read with their defaults. Source: RFC 4055, sections 3, 4."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric import padding

from gateway.transports.as2 import der
from gateway.transports.as2.algorithms import DIGEST_ALGORITHMS, DIGESTS, DIGESTS_BY_OID

OID_PSS: Final = der.oid("1.2.840.113549.1.1.10")
OID_OAEP: Final = der.oid("1.2.840.113549.1.1.7")

_OID_MGF1: Final = der.oid("1.2.840.113549.1.1.8")
_OID_LABEL: Final = der.oid("1.2.840.113549.1.1.9")
_DEFAULT_DIGEST: Final = "sha1"
_DEFAULT_SALT_BYTES: Final = 20
_FIELD_0: Final = der.CONTEXT_0_CONSTRUCTED
_FIELD_1: Final = der.CONTEXT_1_CONSTRUCTED
_FIELD_2: Final = der.CONTEXT_2_CONSTRUCTED
_FIELD_3: Final = der.CONTEXT_3_CONSTRUCTED


# ---------------------------------------------------------------------------------------------------------- writing
def pss_algorithm(digest: str) -> bytes:
    """AlgorithmIdentifier of a PSS signature whose mask has the same digest and whose salt has its length."""
    salt = der.joined(_FIELD_2, der.integer(DIGESTS[digest].digest_size))
    return _algorithm(OID_PSS, digest, salt)


def oaep_algorithm(digest: str) -> bytes:
    """AlgorithmIdentifier of OAEP whose mask has the same digest, without a label."""
    return _algorithm(OID_OAEP, digest, b"")


def _algorithm(oid: bytes, digest: str, salt: bytes) -> bytes:
    if digest == _DEFAULT_DIGEST:  # DER leaves out what is the default, and SHA-1 is the default of everything here
        return der.joined(der.SEQUENCE, oid, der.joined(der.SEQUENCE))
    hashed_with = DIGEST_ALGORITHMS[digest]
    mask = der.joined(der.SEQUENCE, _OID_MGF1, hashed_with)
    stated = der.joined(der.SEQUENCE, der.joined(_FIELD_0, hashed_with), der.joined(_FIELD_1, mask), salt)
    return der.joined(der.SEQUENCE, oid, stated)


# ---------------------------------------------------------------------------------------------------------- reading
@dataclass(frozen=True, slots=True)
class PssParameters:
    """What a PSS signature says of itself."""

    digest: str
    mask_digest: str
    salt_bytes: int

    def padding(self) -> padding.PSS:
        return padding.PSS(padding.MGF1(DIGESTS[self.mask_digest]), self.salt_bytes)


def read_pss(parameters: bytes, *, signed_with: str) -> PssParameters:
    """Read the parameters of a PSS signature.

    Args:
        parameters: DER, empty when there are none.
        signed_with: the digest of the signature. Products that leave out the parameters, which nobody may, mean this one
            everywhere and a salt of its length.

    Raises:
        ValueError: malformed, or a digest or mask nobody uses.
    """
    if not parameters:
        return PssParameters(signed_with, signed_with, DIGESTS[signed_with].digest_size)
    fields = _fields(parameters, _FIELD_0, _FIELD_1, _FIELD_2, _FIELD_3)
    salt = der.number(fields[_FIELD_2]) if _FIELD_2 in fields else _DEFAULT_SALT_BYTES
    if _FIELD_3 in fields and der.number(fields[_FIELD_3]) != 1:
        raise ValueError("PSS with another trailer than the one there is")
    return PssParameters(_digest(fields.get(_FIELD_0)), _mask_digest(fields.get(_FIELD_1)), salt)


@dataclass(frozen=True, slots=True)
class OaepParameters:
    """What OAEP says of itself."""

    digest: str
    mask_digest: str
    label: bytes

    def padding(self) -> padding.OAEP:
        mask = padding.MGF1(DIGESTS[self.mask_digest])
        return padding.OAEP(mgf=mask, algorithm=DIGESTS[self.digest], label=self.label or None)


def read_oaep(parameters: bytes) -> OaepParameters:
    """Read the parameters of OAEP; no parameters at all are read as nothing but defaults.

    Args:
        parameters: DER, empty when there are none.

    Raises:
        ValueError: malformed, or a digest, mask or source of the label nobody uses.
    """
    if not parameters:
        return OaepParameters(_DEFAULT_DIGEST, _DEFAULT_DIGEST, b"")
    fields = _fields(parameters, _FIELD_0, _FIELD_1, _FIELD_2)
    label = b""
    if _FIELD_2 in fields:
        source, label = der.algorithm(fields[_FIELD_2])
        if source != _OID_LABEL:
            raise ValueError("OAEP with a label from elsewhere")
        label = der.octets_of(der.node(label)) if label else b""
    return OaepParameters(_digest(fields.get(_FIELD_0)), _mask_digest(fields.get(_FIELD_1)), label)


def _fields(parameters: bytes, *known: int) -> dict[int, der.Node]:
    """The optional fields that are there, each in its tag, in order and once."""
    found: dict[int, der.Node] = {}
    for field in der.node(parameters).members():
        if field.tag not in known or any(field.tag <= earlier for earlier in found):
            raise ValueError("RSA parameters out of order")
        (found[field.tag],) = der.nodes(field.content)
    return found


def _digest(algorithm: der.Node | None) -> str:
    if algorithm is None:
        return _DEFAULT_DIGEST
    return DIGESTS_BY_OID[der.algorithm(algorithm)[0]]


def _mask_digest(mask: der.Node | None) -> str:
    if mask is None:
        return _DEFAULT_DIGEST
    kind, parameters = der.algorithm(mask)
    if kind != _OID_MGF1:
        raise ValueError("another mask than MGF1")
    return _digest(der.node(parameters))
