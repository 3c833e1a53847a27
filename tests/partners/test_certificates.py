"""Certificates and keys: what is refused says why, what is made can be used."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st

from partners import certificates, directory
from partners.certificates import CertificateError
from partners.models import As2Link, Certificate
from tests.partners.conftest import NOW, give_certificate, pair


def signed_by(key, *, usage: list[x509.ObjectIdentifier] | None = None) -> bytes:
    """A certificate for any kind of key."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "odd")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
    )
    if usage:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usage), critical=False)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.PEM)


def weak_rsa() -> bytes:
    return signed_by(rsa.generate_private_key(65537, 1024))  # noqa: S505  # weak on purpose


def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def test_a_certificate_says_what_it_is():
    facts = certificates.read(pair("acme")[0].encode())

    assert facts.subject == "CN=acme"
    assert facts.algorithm == "RSA 2048"
    assert facts.not_before == datetime(2027, 1, 29, 12, 0, tzinfo=UTC)  # a day earlier: clocks differ
    assert facts.not_after == datetime(2028, 1, 30, 12, 0, tzinfo=UTC)
    assert len(facts.fingerprint) == 64


def test_pem_with_text_around_it_and_der_are_the_same_certificate():
    pem = pair("acme")[0]

    readings = [
        certificates.read(form)
        for form in (
            pem.encode(),
            b"subject=CN=acme\r\n" + pem.replace("\n", "\r\n").encode(),
            ssl.PEM_cert_to_DER_cert(pem),
        )
    ]

    assert {facts.pem for facts in readings} == {pem}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (lambda: b"", "not a certificate we can read"),
        (lambda: b"hello", "not a certificate we can read"),
        (lambda: b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "not a certificate we can read"),
        (lambda: b"\x30\x82" + b"\x00" * 70_000, "a certificate has a few thousand"),
        (lambda: pair("acme")[0].encode() * 2, "holds 2 certificates"),
        (lambda: pair("acme")[1], "holds a private key"),
        (weak_rsa, "1024 bits, which can be broken"),
        (lambda: signed_by(ec.generate_private_key(ec.SECP256K1())), "curve secp256k1 is not supported"),
        (lambda: signed_by(ed25519.Ed25519PrivateKey.generate()), "neither RSA nor an elliptic curve"),
        (lambda: signed_by(ec_key(), usage=[ExtendedKeyUsageOID.SERVER_AUTH]), "certificate of a web server"),
    ],
)
def test_what_cannot_be_a_partners_certificate_is_refused_with_the_reason(data, reason):
    with pytest.raises(CertificateError, match=reason):
        certificates.read(data())


@given(st.binary(max_size=300))
def test_no_bytes_bring_the_reader_down(data):
    for attempt in (data, b"-----BEGIN CERTIFICATE-----\n" + data):
        with pytest.raises(CertificateError):
            certificates.read(attempt)
        with pytest.raises(CertificateError):
            certificates.read_private_key(attempt)


@cache
def der_key() -> bytes:
    return certificates.read_private_key(pair("acme")[1]).private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@given(at=st.integers(min_value=0, max_value=500), to=st.integers(min_value=0, max_value=255))
@pytest.mark.filterwarnings("ignore:Parsed a serial number")  # of a certificate that is odd, not wrong
def test_a_certificate_or_key_with_a_wrong_byte_is_read_or_refused_but_raises_nothing_else(at, to):
    for read, good in (
        (certificates.read, ssl.PEM_cert_to_DER_cert(pair("acme")[0])),
        (certificates.read_private_key, der_key()),
    ):
        with suppress(CertificateError):
            read(good[:at] + bytes([to]) + good[at + 1 :])


def test_a_damaged_private_key_is_refused_before_openssl_ponders_over_it():
    position = der_key().index(b"\x02\x81\x81") + 10  # within the first prime

    with pytest.raises(CertificateError, match="do not belong together"):
        certificates.read_private_key(der_key()[:position] + b"\x00\x00" + der_key()[position + 2 :])


def test_a_certificate_for_tls_and_mail_is_accepted():
    usage = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.EMAIL_PROTECTION]

    assert certificates.read(signed_by(ec_key(), usage=usage)).algorithm == "EC secp256r1"


def test_a_tls_certificate_is_one_for_tls_and_for_nothing_else(acme):
    pem = signed_by(ec_key(), usage=[ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])

    assert certificates.read(pem, for_tls=True).algorithm == "EC secp256r1"
    Certificate(partner=acme, certificate_pem=pem.decode(), role="tls").full_clean()
    with pytest.raises(ValidationError, match="certificate of a web server"):
        Certificate(partner=acme, certificate_pem=pem.decode(), role="sign").full_clean()


def test_a_weak_key_is_none_for_tls_either():
    with pytest.raises(CertificateError, match="1024 bits, which can be broken"):
        certificates.read(weak_rsa(), for_tls=True)


def test_authorities_are_kept_as_plain_pem_each_once():
    one, two = pair("root")[0], signed_by(ec_key()).decode()

    kept = certificates.read_authorities(f"subject=root\r\n{one}{two}# and again\n{one}".encode())

    assert kept == one + two


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (lambda: b"hello", "not a certificate we can read"),
        (lambda: b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "not a certificate we can read"),
        (lambda: pair("root")[0].encode() + pair("root")[1], "holds a private key"),
        (lambda: pair("root")[0].encode() * 60, "certificates have a few thousand"),
    ],
)
def test_what_is_no_list_of_authorities_is_refused_with_the_reason(data, reason):
    with pytest.raises(CertificateError, match=reason):
        certificates.read_authorities(data())


def test_an_elliptic_curve_key_of_ours_signs(acme, plant):
    key = ec_key()
    ours = Certificate(own_identity=plant, certificate_pem=signed_by(key).decode(), role="sign")
    ours.full_clean()
    ours.save()
    As2Link.objects.create(partner=acme, own_identity=plant, their_name="ACME-AS2")

    ours.keep_private_key(key)

    terms = directory.profile(acme.pk, now=NOW).as2
    assert terms is not None
    assert [ref.fingerprint for ref in terms.our_signing] == [ours.fingerprint]
    assert terms.our_decryption == ()


def test_a_private_key_with_a_password_is_read():
    key = certificates.read_private_key(pair("acme")[1])
    locked = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"open")
    )

    assert certificates.to_pem(certificates.read_private_key(locked, password="open")) == pair("acme")[1]
    with pytest.raises(CertificateError, match="encrypted: give its password"):
        certificates.read_private_key(locked)
    with pytest.raises(CertificateError, match="or its password is wrong"):
        certificates.read_private_key(locked, password="shut")


def test_a_private_key_of_another_kind_is_refused():
    key = dsa.generate_private_key(2048).private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )

    with pytest.raises(CertificateError, match="neither RSA nor an elliptic curve"):
        certificates.read_private_key(key)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl program")
def test_openssl_signs_and_encrypts_with_what_we_make(tmp_path):
    pem, key = certificates.self_signed("PLANT AS2", now=datetime.now(UTC), valid_for=timedelta(days=2), bits=2048)
    (tmp_path / "c.pem").write_text(pem)
    (tmp_path / "k.pem").write_bytes(key)
    (tmp_path / "m").write_bytes(b"ISA*00*")

    def openssl(*arguments: str) -> bytes:
        return subprocess.run(["openssl", "cms", *arguments], cwd=tmp_path, check=True, capture_output=True).stdout

    openssl(
        "-sign",
        "-binary",
        "-in",
        "m",
        "-signer",
        "c.pem",
        "-inkey",
        "k.pem",
        "-nodetach",
        "-outform",
        "DER",
        "-out",
        "s",
    )
    openssl("-encrypt", "-binary", "-aes256", "-in", "m", "-outform", "DER", "-out", "e", "c.pem")

    # Without -purpose any: openssl checks that the certificate is meant for S/MIME.
    assert openssl("-verify", "-binary", "-inform", "DER", "-in", "s", "-CAfile", "c.pem") == b"ISA*00*"
    assert openssl("-decrypt", "-inform", "DER", "-in", "e", "-recip", "c.pem", "-inkey", "k.pem") == b"ISA*00*"


def test_a_partners_private_key_is_not_kept(acme):
    theirs = give_certificate(acme, "acme")

    with pytest.raises(CertificateError, match="no business here"):
        theirs.keep_private_key(certificates.read_private_key(pair("acme")[1]))


def test_the_private_key_of_another_certificate_is_not_kept(plant):
    ours = give_certificate(plant, "plant")

    with pytest.raises(CertificateError, match="does not belong"):
        ours.keep_private_key(certificates.read_private_key(pair("plant-new")[1]))


def test_a_key_that_cannot_encrypt_is_accepted_for_signing_only(acme):
    pem = signed_by(ec_key()).decode()

    Certificate(partner=acme, certificate_pem=pem, role="sign").full_clean()
    with pytest.raises(ValidationError, match="can sign but not encrypt"):
        Certificate(partner=acme, certificate_pem=pem, role="both").full_clean()


@pytest.mark.parametrize(
    ("dates", "reason"),
    [
        ({"active_from": NOW, "active_until": NOW}, "ends before it begins"),
        ({"active_from": NOW + timedelta(days=900)}, "has expired by then"),
    ],
)
def test_dates_of_use_that_cannot_be_are_explained(acme, dates, reason):
    with pytest.raises(ValidationError, match=reason):
        Certificate(partner=acme, certificate_pem=pair("acme")[0], **dates).full_clean()


def test_a_certificate_belongs_to_one_side_only(acme, plant):
    with pytest.raises(ValidationError, match="certificate_one_owner"):
        Certificate(partner=acme, own_identity=plant, certificate_pem=pair("acme")[0]).full_clean()
