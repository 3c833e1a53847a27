"""What a SignedData must say to be believed: each of these is a way to say something else to somebody else."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from hypothesis import given
from hypothesis import strategies as st

from gateway.transports.as2 import Rejected, UnusableTerms, der
from gateway.transports.as2.algorithms import DIGEST_ALGORITHMS, policy_of
from gateway.transports.as2.certificates import Identity, identity
from gateway.transports.as2.mime import Span
from gateway.transports.as2.signatures import sign, verify
from partners.profiles import Algorithms, CertificateRef
from tests.certificates import issued
from tests.gateway.as2.conftest import public
from tests.gateway.as2.handmade import with_head

SECURE = policy_of(Algorithms.SECURE)
LEGACY = policy_of(Algorithms.LEGACY)
CONTENT = with_head("application/edi-x12", b"ISA*00*~")
SHA256 = DIGEST_ALGORITHMS["sha256"]
RSA = der.joined(der.SEQUENCE, der.oid("1.2.840.113549.1.1.1"), der.NULL)
SHA256_WITH_RSA = der.joined(der.SEQUENCE, der.oid("1.2.840.113549.1.1.11"), der.NULL)
SHA512_WITH_RSA = der.joined(der.SEQUENCE, der.oid("1.2.840.113549.1.1.13"), der.NULL)


def attribute(dotted: str, *values: bytes) -> bytes:
    return der.joined(der.SEQUENCE, der.oid(dotted), der.joined(der.SET, *values))


def octets(content: bytes) -> bytes:
    return der.joined(der.OCTET_STRING, content)


CONTENT_TYPE = attribute("1.2.840.113549.1.9.3", der.OID_DATA)
MESSAGE_DIGEST = attribute("1.2.840.113549.1.9.4", octets(hashlib.sha256(CONTENT).digest()))
BOTH = CONTENT_TYPE + MESSAGE_DIGEST


def signed_data(
    signer: Identity,
    attributes: bytes | None = BOTH,
    *,
    over: bytes | None = None,
    digest: bytes = SHA256,
    method: bytes = RSA,
    content: bytes = der.joined(der.SEQUENCE, der.OID_DATA),
    beside: bytes = b"",
    unsigned: bytes = b"",
) -> bytes:
    """SignedData by somebody who writes whatever he likes and signs it properly.

    Args:
        attributes: one after the other; None: no signed attributes at all.
        over: what is signed instead of the attributes.
    """
    key = signer.private_key
    assert isinstance(key, rsa.RSAPrivateKey)
    value = key.sign(over or der.joined(der.SET, attributes or b""), padding.PKCS1v15(), hashes.SHA256())
    info = der.joined(
        der.SEQUENCE,
        der.integer(1),
        signer.issuer_and_serial,
        digest,
        der.joined(der.CONTEXT_0_CONSTRUCTED, attributes) if attributes is not None else b"",
        method,
        octets(value),
        unsigned,
    )
    data = der.joined(
        der.SEQUENCE, der.integer(1), der.joined(der.SET, digest), content, beside, der.joined(der.SET, info)
    )
    return der.joined(der.SEQUENCE, der.OID_SIGNED, der.joined(der.CONTEXT_0_CONSTRUCTED, data))


@pytest.fixture(scope="session")
def signer(supplier_key: CertificateRef) -> Identity:
    return identity(supplier_key)


@pytest.fixture(scope="session")
def pinned(supplier_key: CertificateRef) -> list[Identity]:
    return [identity(public(supplier_key))]


def refusal(signature: bytes, pinned: list[Identity], content: bytes = CONTENT) -> tuple[str, str]:
    with pytest.raises(Rejected) as caught:
        verify(Span.over(content), signature, pinned, LEGACY)
    return caught.value.disposition.rpartition(" ")[2], caught.value.why


# ------------------------------------------------------------------------------------------------- what is believed
def test_what_is_written_by_hand_is_good_unless_a_test_makes_it_bad(signer, pinned):
    good = verify(Span.over(CONTENT), signed_data(signer), pinned, SECURE)
    assert (good.signer, good.algorithm, bytes(good.octets)) == (pinned[0], "sha256", CONTENT)


@pytest.mark.parametrize(
    "more",
    [
        attribute("1.2.840.113549.1.9.5", der.time(datetime(1999, 12, 31, tzinfo=UTC))),
        attribute("1.2.840.113549.1.9.5", der.time(datetime(2099, 1, 1, tzinfo=UTC))),
        attribute("1.2.840.113549.1.9.5", der.joined(der.UTC_TIME, b"never")),
        attribute("1.2.840.113549.1.9.15", der.joined(der.SEQUENCE)),
        attribute("1.2.3.4.5", octets(b"unknown")),
    ],
    ids=["long ago", "in the future", "no time at all", "capabilities", "unknown"],
)
def test_other_attributes_are_no_matter(signer, pinned, more):
    assert verify(Span.over(CONTENT), signed_data(signer, BOTH + more), pinned, SECURE).signer is pinned[0]


def test_the_order_of_the_attributes_is_the_order_they_were_signed_in(signer, pinned):
    assert verify(Span.over(CONTENT), signed_data(signer, MESSAGE_DIGEST + CONTENT_TYPE), pinned, SECURE)
    swapped = signed_data(signer, MESSAGE_DIGEST + CONTENT_TYPE, over=der.joined(der.SET, BOTH))
    assert refusal(swapped, pinned)[1] == "the signature does not verify with the partner's key"


def test_attributes_of_indefinite_length_were_signed_in_their_definite_form(signer, pinned):
    definite = der.joined(der.CONTEXT_0_CONSTRUCTED, BOTH)
    value = signed_data(signer)
    streamed = b"\xa0\x80" + BOTH + b"\0\0"
    kind, wrapped = der.node(value).members()
    version, digests, content, infos = wrapped.members(der.CONTEXT_0_CONSTRUCTED)[0].members()
    info = infos.members(der.SET)[0].content.replace(definite, streamed)
    body = version.whole + digests.whole + content.whole + b"\x31\x80\x30\x80" + info + b"\0\0\0\0"
    rewritten = b"\x30\x80" + kind.whole + b"\xa0\x80\x30\x80" + body + b"\0\0\0\0\0\0"
    assert verify(Span.over(CONTENT), rewritten, pinned, SECURE).signer is pinned[0]


def test_unsigned_attributes_change_nothing(signer, pinned):
    unsigned = der.joined(der.CONTEXT_1_CONSTRUCTED, MESSAGE_DIGEST + attribute("1.2.3.4", octets(b"a time stamp")))
    assert verify(Span.over(CONTENT), signed_data(signer, unsigned=unsigned), pinned, SECURE)


# --------------------------------------------------------------------------------------------- what is not believed
@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        (CONTENT_TYPE, "no signed message-digest"),
        (MESSAGE_DIGEST, "no signed content-type of data"),
        (BOTH + CONTENT_TYPE, "a signed attribute is repeated"),
        (BOTH + MESSAGE_DIGEST, "a signed attribute is repeated"),
        (BOTH + attribute("1.2.3.4") + attribute("1.2.3.4"), "a signed attribute is repeated"),
        (CONTENT_TYPE + attribute("1.2.840.113549.1.9.4", octets(b"a"), octets(b"b")), "a signed attribute is repeated"),
        (CONTENT_TYPE + attribute("1.2.840.113549.1.9.4"), "a signed attribute is repeated"),
        (MESSAGE_DIGEST + attribute("1.2.840.113549.1.9.3", der.OID_SIGNED), "no signed content-type of data"),
        (CONTENT_TYPE + attribute("1.2.840.113549.1.9.4", der.integer(5)), "the message-digest is no octet string"),
        (CONTENT_TYPE + attribute("1.2.840.113549.1.9.4", b"\x24\x02\x04\x00"), "the message-digest is no octet string"),
        (BOTH + b"\0\0", "tag 0x00"),
        (BOTH[:-1], "truncated"),
    ],
    ids=str,
)  # fmt: skip
def test_attributes_that_say_too_little_or_too_much_are_refused(signer, pinned, attributes, why):
    told, seen = refusal(signed_data(signer, attributes), pinned)
    assert (told, why in seen) == ("authentication-failed", True)


@pytest.mark.parametrize("attributes", [None, b""], ids=["absent", "empty"])
def test_signed_attributes_must_be_there(signer, pinned, attributes):
    signature = signed_data(signer, attributes, over=CONTENT)
    assert refusal(signature, pinned) == ("insufficient-message-security", "no signed attributes")


def test_a_signature_over_attributes_is_none_over_a_content_that_looks_like_them(signer, pinned):
    """The forgery of draft-ietf-lamps-cms-euf-cma-signeddata: the attributes of a genuine message, shown as a content."""
    genuine = signed_data(signer)
    assert verify(Span.over(CONTENT), genuine, pinned, SECURE)
    shown = der.joined(der.SET, BOTH)
    without = signed_data(signer, None, over=shown)  # the same signature value: RSA PKCS #1 v1.5 has no chance in it
    assert genuine[-256:] == without[-256:]
    assert refusal(without, pinned, content=shown) == ("insufficient-message-security", "no signed attributes")


def test_we_never_sign_a_content_itself(signer):
    """Whoever does can be made to sign the attributes of a message that he never saw."""
    content = der.joined(der.SET, BOTH)
    signature = sign(hashlib.sha256(content).digest(), signer, algorithm="sha256", at=datetime.now(UTC))
    public_key = signer.public_key
    assert isinstance(public_key, rsa.RSAPublicKey)
    assert public_key.recover_data_from_signature(signature[-256:], padding.PKCS1v15(), hashes.SHA256()) != (
        hashlib.sha256(content).digest()
    )


def test_an_encapsulated_type_other_than_the_signed_one_is_refused(signer, pinned):
    signature = signed_data(signer, content=der.joined(der.SEQUENCE, der.OID_COMPRESSED))
    assert "signed content that is not data" in refusal(signature, pinned)[1]


def test_a_certificate_that_comes_along_is_not_trusted(stranger_key, pinned):
    stranger = identity(stranger_key)
    beside = der.joined(der.CONTEXT_0_CONSTRUCTED, stranger.certificate)
    told, why = refusal(signed_data(stranger, beside=beside), pinned)
    assert told == "authentication-failed"
    assert why.startswith("the signer is none of the partner's certificates")


def test_what_stands_where_certificates_belong_is_not_even_read(signer, pinned):
    beside = der.joined(der.CONTEXT_0_CONSTRUCTED, b"no certificate at all")
    assert verify(Span.over(CONTENT), signed_data(signer, beside=beside), pinned, SECURE)


# ------------------------------------------------------------------------------------------------------- algorithms
def protection(digest: bytes, method: bytes, tag: int = der.CONTEXT_1_CONSTRUCTED) -> bytes:
    value = der.joined(der.SEQUENCE, digest, bytes([tag]) + method[1:])
    return attribute("1.2.840.113549.1.9.52", value)


@pytest.mark.parametrize(
    ("digest", "method"),
    [
        (SHA256, RSA),
        (der.joined(der.SEQUENCE, der.oid("2.16.840.1.101.3.4.2.1")), RSA),
        (SHA256, der.joined(der.SEQUENCE, der.oid("1.2.840.113549.1.1.1"))),
    ],
    ids=["as they stand", "digest without NULL", "signature without NULL"],
)
def test_an_algorithm_protection_that_agrees_is_good(signer, pinned, digest, method):
    signature = signed_data(signer, BOTH + protection(digest, method))
    assert verify(Span.over(CONTENT), signature, pinned, SECURE)


@pytest.mark.parametrize(
    "stated",
    [
        protection(DIGEST_ALGORITHMS["sha512"], RSA),
        protection(SHA256, SHA256_WITH_RSA),
        protection(SHA256, RSA, tag=der.CONTEXT_2_CONSTRUCTED),
        attribute("1.2.840.113549.1.9.52", der.joined(der.SEQUENCE, SHA256)),
        attribute("1.2.840.113549.1.9.52", octets(b"")),
    ],
    ids=["another digest", "another signature", "for a MAC", "no signature", "no sequence"],
)
def test_an_algorithm_protection_that_differs_is_refused(signer, pinned, stated):
    told, why = refusal(signed_data(signer, BOTH + stated), pinned)
    assert (told, why.startswith("signature: ValueError")) == ("authentication-failed", True)


def test_the_name_of_the_scheme_may_hold_the_digest_but_no_other(signer, pinned):
    assert verify(Span.over(CONTENT), signed_data(signer, method=SHA256_WITH_RSA), pinned, SECURE)
    assert "sha512_rsa over sha256" in refusal(signed_data(signer, method=SHA512_WITH_RSA), pinned)[1]


@pytest.mark.parametrize("dotted", ["1.2.840.10040.4.3", "1.3.101.112", "1.2.3.4", "1.2.840.113549.1.1.7"])
def test_a_scheme_we_do_not_know_is_never_taken_for_another(signer, pinned, dotted):
    signature = signed_data(signer, method=der.joined(der.SEQUENCE, der.oid(dotted)))
    assert "signature: ValueError: signed by " in refusal(signature, pinned)[1]


def test_a_scheme_of_the_other_kind_of_key_does_not_verify(signer, pinned):
    ecdsa = der.joined(der.SEQUENCE, der.oid("1.2.840.10045.4.3.2"))
    assert (
        refusal(signed_data(signer, method=ecdsa), pinned)[1] == "the signature does not verify with the partner's key"
    )


@pytest.mark.parametrize("bits", [0, 8 * 20, 8 * 32, 8 * 222], ids=str)
def test_a_pss_signature_with_any_salt_is_good(signer, pinned, bits):
    fields = {"digest": "sha256", "mask": "sha256", "salt": bits // 8}
    assert verify(Span.over(CONTENT), pss_signed(signer, **fields), pinned, SECURE)


def pss_signed(
    signer: Identity, *, digest: str = "sha256", mask: str = "sha256", salt: int = 32, said: bytes | None = None
) -> bytes:
    """A signature by these parameters; ``said`` are others."""
    key = signer.private_key
    assert isinstance(key, rsa.RSAPrivateKey)
    known = {"sha1": hashes.SHA1(), "sha256": hashes.SHA256(), "sha512": hashes.SHA512()}  # noqa: S303
    value = key.sign(der.joined(der.SET, BOTH), padding.PSS(padding.MGF1(known[mask]), salt), hashes.SHA256())
    mgf = der.joined(der.SEQUENCE, der.oid("1.2.840.113549.1.1.8"), DIGEST_ALGORITHMS[mask])
    stated = der.joined(
        der.SEQUENCE,
        der.joined(der.CONTEXT_0_CONSTRUCTED, DIGEST_ALGORITHMS[digest]),
        der.joined(der.CONTEXT_1_CONSTRUCTED, mgf),
        der.joined(der.CONTEXT_2_CONSTRUCTED, der.integer(salt)),
    )
    method = der.joined(der.SEQUENCE, der.oid("1.2.840.113549.1.1.10"), stated if said is None else said)
    genuine = signed_data(signer, method=method)
    return genuine[:-256] + value


def parameters(*fields: bytes) -> bytes:
    return der.joined(der.SEQUENCE, *fields)


def test_a_pss_signature_without_parameters_means_the_digest_it_was_made_with(signer, pinned):
    """Nobody may leave them out, and pyas2lib does."""
    assert verify(Span.over(CONTENT), pss_signed(signer, said=b""), pinned, SECURE)


@pytest.mark.parametrize(
    ("signature", "why"),
    [
        ({"digest": "sha512"}, "another digest"),
        ({"said": parameters()}, "another digest"),
        ({"said": parameters(b"\xa2\x03\x02\x01\x20", b"\xa1\x00")}, "out of order"),
        ({"said": parameters(b"\xa2\x03\x02\x01\x20", b"\xa2\x03\x02\x01\x20")}, "out of order"),
        ({"said": parameters(b"\xa3\x03\x02\x01\x02")}, "another trailer"),
        ({"said": parameters(b"\xa4\x03\x02\x01\x02")}, "out of order"),
        ({"said": parameters(der.joined(der.CONTEXT_0_CONSTRUCTED, SHA256), b"\xa1\x04\x30\x02\x06\x00")}, "MGF1"),
    ],
    ids=str,
)  # fmt: skip
def test_a_pss_signature_that_says_something_else_of_itself_is_refused(signer, pinned, signature, why):
    told, seen = refusal(pss_signed(signer, **signature), pinned)
    assert (told, why in seen) == ("authentication-failed", True)


def test_a_pss_mask_of_sha1_is_for_legacy_links(signer, pinned):
    signature = pss_signed(signer, mask="sha1")
    assert verify(Span.over(CONTENT), signature, pinned, LEGACY)
    with pytest.raises(Rejected):
        verify(Span.over(CONTENT), signature, pinned, SECURE)


# ----------------------------------------------------------------------------------------------------------- our own
def test_a_scheme_nobody_offers_signs_nothing(signer):
    with pytest.raises(UnusableTerms, match="neither pkcs1v15 nor pss"):
        sign(b"", signer, algorithm="sha256", scheme="raw", at=datetime.now(UTC))


def test_a_partner_has_no_key_to_sign_with(pinned):
    with pytest.raises(UnusableTerms, match="no private key"):
        sign(b"", pinned[0], algorithm="sha256", at=datetime.now(UTC))


def test_a_renewed_certificate_with_the_old_name_and_number_may_have_a_key_of_another_kind(
    signer, supplier_key, pinned
):
    curve = ec.generate_private_key(ec.SECP256R1())
    both = [*pinned, identity(issued("boltco as2", pinned[0].serial, curve))]
    assert both[0].issuer_and_serial == both[1].issuer_and_serial
    digest = hashlib.sha256(CONTENT).digest()
    for at_work in (signer, both[1]):
        signature = sign(digest, at_work, algorithm="sha256", at=datetime.now(UTC))
        for order in (both, both[::-1]):
            assert verify(Span.over(CONTENT), signature, order, SECURE).signer.fingerprint == at_work.fingerprint


@pytest.mark.parametrize(("year", "tag"), [(1950, 0x17), (2026, 0x17), (2049, 0x17), (2050, 0x18)])
def test_the_time_of_signing_has_the_form_of_its_century(year, tag):
    written = der.time(datetime(year, 7, 1, 12, 30, 59, 999_999, tzinfo=UTC))
    assert (written[0], written[-13:]) == (tag, (f"{year}0701123059Z".encode())[-13:])


# ------------------------------------------------------------------------------------------------------------- noise
@given(st.binary(max_size=300))
def test_no_signature_of_noise_is_anything_but_refused(pinned, noise):
    for octets_that_came in (noise, der.joined(der.SEQUENCE, noise)):
        with pytest.raises(Rejected):
            verify(Span.over(CONTENT), octets_that_came, pinned, SECURE)


def test_a_pinned_certificate_is_needed_to_have_the_content_hashed_at_all(signer, stranger_key, pinned):
    """A digest that fits is not even looked at when the signature is somebody else's."""
    stranger = replace(identity(stranger_key), issuer_and_serial=signer.issuer_and_serial)
    assert refusal(signed_data(stranger), pinned)[1] == "the signature does not verify with the partner's key"
