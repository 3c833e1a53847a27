"""Certificates and keys as the engine holds them: read once, named in every way CMS has, and never shown."""

from __future__ import annotations

import traceback
from dataclasses import replace
from unittest.mock import patch

import pytest
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa

from gateway.transports.as2 import Rejected, UnusableTerms, build_message, der, receive
from gateway.transports.as2.certificates import Identity, first_of, identity
from partners.profiles import CertificateRef
from tests.certificates import issued
from tests.gateway.as2.conftest import EDI, Link, public


@pytest.fixture(scope="module")
def curve_key() -> CertificateRef:
    return issued("curve", 21, ec.generate_private_key(ec.SECP256R1()))


# ------------------------------------------------------------------------------------------------------------ naming
def issuer_and_serial(issuer: bytes, serial: int) -> der.Node:
    return der.node(der.joined(der.SEQUENCE, issuer, der.integer(serial)))


def test_issuer_and_serial_number_name_a_certificate(buyer_key, stranger_key):
    ours, other = identity(buyer_key), identity(stranger_key)
    assert ours.is_named_by(issuer_and_serial(ours.issuer, ours.serial))
    assert not ours.is_named_by(issuer_and_serial(ours.issuer, other.serial))
    assert not ours.is_named_by(issuer_and_serial(other.issuer, ours.serial))


@pytest.mark.parametrize("tag", [12, 19, 20, 30], ids=["UTF8String", "PrintableString", "T61String", "BMPString"])
@pytest.mark.parametrize("spelled", ["as2.acme-buying.example", "AS2.Acme-Buying.EXAMPLE", " as2.acme-buying.example "])
def test_an_issuer_may_be_written_in_other_letters(buyer_key, tag, spelled):
    ours = identity(buyer_key)
    name = der.joined(tag, spelled.encode("utf-16-be" if tag == 30 else "ascii"))
    one = der.joined(der.SET, der.joined(der.SEQUENCE, der.oid("2.5.4.3"), name))
    written = der.joined(der.SEQUENCE, one)
    assert ours.is_named_by(issuer_and_serial(written, ours.serial))


def test_a_serial_number_may_have_its_first_bit_set():
    ref = issued("odd", 0xFFEEDDCC, rsa.generate_private_key(65537, 2048))
    ours = identity(ref)
    parsed = asn1_x509.Certificate.load(ours.certificate)
    assert ours.issuer_and_serial == issuer_and_serial(parsed.issuer.dump(), parsed.serial_number).whole
    assert ours.is_named_by(der.node(ours.issuer_and_serial))


def test_a_key_identifier_names_a_certificate(buyer_key, stranger_key):
    certificate = x509.load_pem_x509_certificate(buyer_key.certificate_pem)
    stated = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    named = der.node(der.joined(der.CONTEXT_0, stated))
    assert identity(buyer_key).is_named_by(named)
    assert not identity(stranger_key).is_named_by(named)
    assert not identity(buyer_key).is_named_by(der.node(der.joined(der.CONTEXT_0)))


@pytest.mark.parametrize("octets", [b"\x05\x00", b"\x30\x00", b"\x30\x02\x30\x00", b"\x30\x04\x30\x00\x02\x00"])
def test_what_is_no_identifier_is_an_error_and_no_name(buyer_key, octets):
    with pytest.raises(ValueError, match=r"tag|unpack|INTEGER"):
        identity(buyer_key).is_named_by(der.node(octets))


# --------------------------------------------------------------------------------------------------------- which keys
def test_an_elliptic_curve_key_of_ours_signs(link: Link, curve_key):
    supplier = replace(link.supplier, our_signing=(curve_key,))
    sent = build_message(EDI, terms=supplier, message_id="c@boltco", file_name=None)
    got = receive(sent.headers, sent.body, replace(link.buyer, their_signing=(public(curve_key),)))
    assert (got.payload, got.signer_fingerprint) == (EDI, sent.signed_with) == (EDI, curve_key.fingerprint)


def test_a_signature_of_an_elliptic_curve_is_not_taken_from_another_one(link: Link, curve_key):
    other = issued("curve", 21, ec.generate_private_key(ec.SECP256R1()))
    sent = build_message(EDI, terms=replace(link.supplier, our_signing=(other,)), message_id="c@boltco", file_name=None)
    with pytest.raises(Rejected, match="does not verify with the partner's key"):
        receive(sent.headers, sent.body, replace(link.buyer, their_signing=(public(curve_key),)))


def test_an_elliptic_curve_key_cannot_be_encrypted_for(link: Link, curve_key):
    with pytest.raises(UnusableTerms, match="we encrypt for RSA keys only"):
        build_message(
            EDI, terms=replace(link.supplier, their_encryption=(curve_key,)), message_id="c@boltco", file_name=None
        )


def with_key(
    ref: CertificateRef, key: ec.EllipticCurvePrivateKey | dsa.DSAPrivateKey | rsa.RSAPrivateKey
) -> CertificateRef:
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return replace(ref, private_key_pem=pem)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: ec.generate_private_key(ec.SECP256R1()), "belongs to another certificate"),
        (lambda: rsa.generate_private_key(65537, 2048), "belongs to another certificate"),
        (lambda: dsa.generate_private_key(2048), "neither RSA nor EC"),
    ],
    ids=["curve", "RSA", "DSA"],
)
def test_a_key_that_is_not_the_certificates_is_refused(buyer_key, curve_key, make, why):
    for ref in (buyer_key, curve_key):
        with pytest.raises(UnusableTerms, match=why):
            identity(with_key(ref, make()))


@pytest.mark.parametrize(
    "change",
    [
        {"certificate_pem": b""},
        {"certificate_pem": b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"},
        {"private_key_pem": b""},
        {"private_key_pem": b"-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n"},
    ],
    ids=str,
)
def test_what_cannot_be_read_is_refused_with_the_beginning_of_its_fingerprint(buyer_key, change):
    with pytest.raises(UnusableTerms, match=f"certificate {buyer_key.fingerprint[:16]}…: .*cannot be read"):
        identity(replace(buyer_key, **change))


def test_a_certificate_that_is_missing_is_named():
    with pytest.raises(UnusableTerms, match="our signing certificate is missing"):
        first_of((), "our signing certificate")


# ------------------------------------------------------------------------------------------------------- once, unseen
def test_a_key_is_read_and_checked_once_as_long_as_it_is_the_same():
    ref = issued("once", 4, rsa.generate_private_key(65537, 2048))
    with patch.object(serialization, "load_pem_private_key", wraps=serialization.load_pem_private_key) as load:
        first = identity(ref)
        assert identity(replace(ref)) is first  # equal terms, read anew from the database
        assert load.call_count == 1
        assert load.call_args.kwargs.get("unsafe_skip_rsa_key_validation", False) is False
        assert identity(public(ref)).private_key is None
        assert identity(public(ref)).fingerprint == first.fingerprint


def shown(something: object) -> list[str]:
    return [repr(something), str(something)]


def secrets_of(ref: CertificateRef) -> list[str]:
    """How a key could show: its PEM, a line of it, its numbers in either base."""
    pem = (ref.private_key_pem or b"").decode()
    key = serialization.load_pem_private_key(pem.encode(), None)
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.private_numbers()
        secret = [numbers.d, numbers.p, numbers.q]
    else:
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        secret = [key.private_numbers().private_value]
    return [
        "PRIVATE KEY",
        pem.splitlines()[1],
        *(f"{number:x}" for number in secret),
        *(str(number) for number in secret),
    ]


def test_a_key_never_shows(link: Link, buyer_key, curve_key):
    for ref in (buyer_key, curve_key):
        terms = replace(link.buyer, our_signing=(ref,), our_decryption=(buyer_key, ref))
        ours: Identity = identity(ref)
        texts = [text for thing in (ref, ours, [ours], {"key": ours}, terms) for text in shown(thing)]
        assert not [secret for secret in secrets_of(ref) for text in texts if secret in text]


@pytest.mark.parametrize("damage", [lambda pem: pem[:-60], lambda pem: pem.replace(b"A", b"B"), lambda pem: pem[40:]])
def test_a_damaged_key_does_not_show_in_the_error_either(buyer_key, damage):
    pem = damage(buyer_key.private_key_pem or b"")
    with pytest.raises(UnusableTerms) as caught:
        identity(replace(buyer_key, private_key_pem=pem))
    told = "".join(traceback.format_exception(caught.value))
    assert not [line for line in pem.decode().splitlines() if len(line) > 20 and line in told]
