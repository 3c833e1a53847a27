"""The known-bad list: each of these was accepted, or crashed, somewhere in the field. Here each is a rejection."""

from __future__ import annotations

import base64
import hashlib
import random
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from asn1crypto import cms
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.transports.as2 import Rejected, UnusableTerms, build_mdn, build_message, der, receive
from gateway.transports.as2.certificates import identity
from gateway.transports.as2.compression import compress
from gateway.transports.as2.envelopes import encrypt
from partners.profiles import As2Terms, CertificateRef
from tests.gateway.as2.conftest import EDI, Link, public
from tests.gateway.as2.handmade import COMPRESSED, ENVELOPED, SIGNED, headers, signed, with_head

ENTITY = with_head("application/edi-x12", EDI)
WEAK = "processed/error: insufficient-message-security"
UNIFORM = "processed/error: authentication-failed"


def refused(request: dict[str, str], body: bytes, terms: As2Terms) -> tuple[str, str]:
    """(what the partner is told, what staff see)"""
    with pytest.raises(Rejected) as caught:
        receive(request, body, terms)
    return str(caught.value.disposition), caught.value.why


def sent(link: Link, payload: bytes = EDI, **terms: Any) -> tuple[dict[str, str], bytes]:
    """A message from boltco on other terms than the buyer's."""
    message = build_message(payload, terms=replace(link.supplier, **terms), message_id="r@boltco", file_name=None)
    return message.headers, message.body


def seal(content: bytes, recipient: CertificateRef, cipher: str = "aes256_cbc") -> bytes:
    return b"".join(encrypt([content], [identity(public(recipient))], cipher=cipher))


def signature_over(content: bytes, signer: CertificateRef) -> bytes:
    """SignedData as the engine makes it, to be taken apart."""
    terms = As2Terms(our_name="a", their_name="b", url=None, encrypted=False, our_signing=(signer,))
    body = build_message(content, terms=terms, message_id="x@y", file_name=None).body
    return base64.b64decode(body.rpartition(b"filename=smime.p7s\r\n\r\n")[2].partition(b"--")[0])


def signed_by(signer: CertificateRef, payload: bytes = EDI) -> tuple[bytes, Any]:
    """The entity that build_message signs for this payload, and its SignedData, parsed."""
    return ENTITY.removesuffix(EDI) + payload, cms.ContentInfo.load(signature_over(payload, signer))


# ------------------------------------------------------------------------------------------ less than was agreed
@pytest.mark.parametrize(
    "terms",
    [
        {"signed": False, "encrypted": False},
        {"encrypted": False},
        {"signed": False, "encrypted": False, "compressed": True},
        {"encrypted": False, "compressed": True},
    ],
    ids=str,
)
def test_what_must_be_encrypted_and_is_not_is_refused(link: Link, terms):
    assert refused(*sent(link, **terms), link.buyer) == (WEAK, "the outermost layer is not encryption")


def test_signed_and_then_compressed_outermost_is_not_encryption(link: Link):
    request, body = sent(link, encrypted=False)
    blob = b"".join(compress([b"Content-Type: " + request["Content-Type"].encode() + b"\r\n\r\n", body]))
    told, why = refused(headers(COMPRESSED), blob, link.buyer)
    assert (told, why) == (WEAK, "the outermost layer is not encryption")
    assert receive(headers(COMPRESSED), blob, replace(link.buyer, encrypted=False)).payload == EDI


def test_encryption_inside_compression_or_signature_is_not_outermost(link: Link, buyer_key, supplier_key):
    inner = with_head(ENVELOPED, seal(ENTITY, buyer_key))
    terms = replace(link.buyer, encrypted=False)
    told, why = refused(headers(COMPRESSED), b"".join(compress([inner])), terms)
    assert (told, why) == (UNIFORM, "reading: ValueError: encryption inside another layer")


def test_what_must_be_signed_and_is_not_is_refused(link: Link):
    terms = replace(link.buyer, encrypted=False)
    assert refused(*sent(link, signed=False, encrypted=False), terms) == (WEAK, "it is not signed")


def test_a_missing_signature_inside_encryption_looks_like_every_other_failure_inside(link: Link):
    """Otherwise whoever can rewrite a captured first block has an oracle for the padding of all others."""
    assert refused(*sent(link, signed=False), link.buyer) == (UNIFORM, "it is not signed")


@pytest.mark.parametrize(
    ("dotted", "name"), [("1.2.840.113549.3.2", "rc2"), ("1.2.840.113549.3.4", "rc4"), ("1.2.3.4.5", "1.2.3.4.5")]
)
def test_a_cipher_we_do_not_accept_is_refused_by_its_name(link: Link, buyer_key, dotted, name):
    info = cms.ContentInfo.load(seal(ENTITY, buyer_key))
    info["content"]["encrypted_content_info"]["content_encryption_algorithm"] = {"algorithm": dotted}
    assert refused(headers(ENVELOPED), info.dump(force=True), link.buyer) == (WEAK, f"encrypted with {name}")


def test_gcm_inside_enveloped_data_is_no_cms(link: Link, buyer_key):
    blob = seal(ENTITY, buyer_key, "aes256_gcm")
    content = blob[der.header(blob, 0)[2] :].replace(der.OID_AUTH_ENVELOPED, der.OID_ENVELOPED, 1)
    told, why = refused(headers(ENVELOPED), der.joined(der.SEQUENCE, content), link.buyer)
    assert (told, why) == (UNIFORM, "decrypting: ValueError: GCM in EnvelopedData, or CBC in AuthEnvelopedData")


@pytest.mark.parametrize("micalgs", ["md5", "sha1", "md5, sha1", "sha3-256"])
def test_a_receipt_in_a_digest_we_do_not_use_is_never_signed(link: Link, micalgs):
    request, body = sent(link)
    request["Disposition-Notification-Options"] = (
        f"signed-receipt-protocol=required, pkcs7-signature; signed-receipt-micalg=required, {micalgs}"
    )
    told, _why = refused(request, body, link.buyer)
    assert told == "failed/failure: unsupported MIC-algorithms"
    mdn = build_mdn(request, terms=link.buyer, disposition=told, mic=None, text="no")
    assert mdn.headers["Content-Type"].startswith("multipart/report;")


# ------------------------------------------------------------------------------------------------------- signers
def test_a_signer_who_is_not_pinned_is_refused(link: Link, stranger_key):
    request, body = sent(link, our_signing=(stranger_key,))
    told, why = refused(request, body, link.buyer)
    assert told == UNIFORM
    serial = identity(stranger_key).serial
    assert why.startswith("the signer is none of the partner's certificates: it names one issued by Common Name: ")
    assert why.endswith(f"with the serial number {serial:x}")


def test_an_expired_certificate_is_refused_once_the_terms_drop_it(link: Link, expired_key):
    request, body = sent(link, our_signing=(expired_key,))
    assert receive(request, body, replace(link.buyer, their_signing=(public(expired_key),))).payload == EDI
    assert refused(request, body, link.buyer)[0] == UNIFORM


def test_a_new_certificate_with_another_key_under_the_pinned_name_is_refused(link: Link, supplier_key, stranger_key):
    """The identifier names the pinned certificate, the signature comes from another key."""
    entity, info = signed_by(stranger_key)
    known = identity(public(supplier_key))
    signer = info["content"]["signer_infos"][0]
    signer["sid"] = cms.SignerIdentifier(
        {
            "issuer_and_serial_number": {
                "issuer": cms.Name.load(known.issuer),
                "serial_number": known.serial,
            }
        }
    )
    told, why = refused(headers(SIGNED), signed(entity, info.dump(force=True)), replace(link.buyer, encrypted=False))
    assert (told, why) == (UNIFORM, "the signature does not verify with the partner's key")


def test_no_signer_at_all_is_refused(link: Link, supplier_key):
    entity, info = signed_by(supplier_key)
    info["content"]["signer_infos"] = []
    told, why = refused(headers(SIGNED), signed(entity, info.dump(force=True)), replace(link.buyer, encrypted=False))
    assert (told, why) == (UNIFORM, "signature: ValueError: 0 signers")


@pytest.mark.parametrize("number", range(4))
def test_signed_attributes_missing_or_doubled_are_refused(link: Link, supplier_key, number):
    entity, info = signed_by(supplier_key)
    signer = info["content"]["signer_infos"][0]
    by_type = {attribute["type"].native: attribute for attribute in signer["signed_attrs"]}
    kept = [
        [by_type["message_digest"]],
        [by_type["content_type"]],
        [by_type["content_type"], by_type["message_digest"], by_type["message_digest"]],
        [by_type["content_type"], by_type["content_type"], by_type["message_digest"]],
    ][number]
    attributes = cms.CMSAttributes(kept)
    signer["signed_attrs"] = attributes
    key = identity(supplier_key).private_key
    assert isinstance(key, rsa.RSAPrivateKey)
    signer["signature"] = key.sign(attributes.untag().dump(), padding.PKCS1v15(), hashes.SHA256())
    told, why = refused(headers(SIGNED), signed(entity, info.dump(force=True)), replace(link.buyer, encrypted=False))
    assert (told, why.startswith("signature: ValueError: ")) == (UNIFORM, True)


# ----------------------------------------------------------------------------------- what was signed is what is read
def test_a_payload_beside_the_signed_part_is_refused(link: Link, supplier_key):
    terms = replace(link.buyer, encrypted=False)
    _entity, info = signed_by(supplier_key)
    other = with_head("application/edi-x12", b"ISA*forged~")
    assert refused(headers(SIGNED), signed(other, info.dump()), terms)[0] == UNIFORM
    wrapped = signed(ENTITY, info.dump()).replace(b"--BB\r\n", b"--BB\r\n" + other + b"\r\n--BB\r\n", 1)
    assert refused(headers(SIGNED), wrapped, terms)[0] == UNIFORM


def test_octets_behind_the_closing_boundary_are_refused(link: Link, supplier_key):
    body = signed(ENTITY, signature_over(EDI, supplier_key), epilogue=b"ISA*more~")
    assert refused(headers(SIGNED), body, replace(link.buyer, encrypted=False))[0] == UNIFORM


def test_a_repeated_content_type_inside_the_signature_is_refused(link: Link, buyer_key, supplier_key, openssl):
    entity = b"Content-Type: text/plain\r\n" + ENTITY
    body = signed(entity, openssl.sign(entity, supplier_key))
    told, why = refused(headers(SIGNED), body, replace(link.buyer, encrypted=False))
    assert told == "processed/error: unexpected-processing-error"  # the signature is good: the answer is precise
    assert "content-type is repeated" in why


def test_moving_the_blank_line_does_not_change_what_is_read(link: Link, openssl, supplier_key):
    """The canonical form would verify; what is handed on is that form, not the rewritten one."""
    signed_form = b"Content-Type: application/edi-x12\r\n\r\nISA*1~\r\n\r\nISA*2~"
    rewritten = signed_form.replace(b"\r\n\r\nISA*1", b"\n\nISA*1")
    body = signed(rewritten, openssl.sign(signed_form, supplier_key))
    got = receive(headers(SIGNED), body, replace(link.buyer, encrypted=False))
    assert got.payload == b"ISA*1~\r\n\r\nISA*2~"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(min_value=0, max_value=1, exclude_max=True), bit=st.integers(min_value=0, max_value=7))
@pytest.mark.parametrize("cipher", [None, "aes256_cbc", "aes256_gcm"])
def test_an_altered_octet_is_refused_or_changes_nothing(link: Link, cipher, place, bit):
    request, body = sent(link, **({"cipher": cipher} if cipher else {"encrypted": False}))
    variant = bytearray(body)
    variant[int(place * len(body))] ^= 1 << bit
    try:
        got = receive(request, bytes(variant), replace(link.buyer, encrypted=cipher is not None))
    except Rejected as rejected:
        assert rejected.disposition in {UNIFORM, WEAK}
    else:  # it hit something no signature covers: a certificate beside the signature, the name of the signature's file
        assert (got.payload, got.mic) == (EDI, hashlib.sha256(ENTITY).digest())


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\orders\\855.edi", "855.edi"),
        ("..", None),
        ("/", None),
        ("a\r\nb\0.edi", "ab.edi"),
        ("Bestätigung 1.edi", "Bestätigung 1.edi"),
        ('a"b;c.edi', 'a"b;c.edi'),
        ("n" * 300, "n" * 255),
    ],
)
def test_a_file_name_is_a_label_without_folders_or_control_characters(link: Link, given_name, kept):
    message = build_message(EDI, terms=link.supplier, message_id="f@boltco", file_name=given_name)
    assert receive(message.headers, message.body, link.buyer).file_name == kept


# ------------------------------------------------------------------------------------------------ nothing to listen to
def test_every_variant_of_a_captured_message_gets_the_same_answer(link: Link):
    request, body = sent(link)
    answers: Counter[str] = Counter()
    for position in (len(body) - 17, len(body) - 1):
        for change in range(1, 256):
            variant = bytearray(body)
            variant[position] ^= change
            answers[refused(request, bytes(variant), link.buyer)[0]] += 1
    assert answers == {UNIFORM: 510}


def test_a_wrong_padding_shows_last_and_is_refused_even_when_nothing_else_is_wrong(link: Link):
    """No sooner than other failures, and no less."""
    for is_signed, cause in ((True, "closing boundary"), (False, "everything else is in order")):
        request, body = sent(link, signed=is_signed)
        variant = bytearray(body)
        variant[-17] ^= 0x80  # turns the last octet of the padding into one above 16
        told, why = refused(request, bytes(variant), replace(link.buyer, signed=is_signed))
        assert (told, "the padding is wrong" in why, cause in why) == (UNIFORM, True, True)


def test_a_key_of_the_sender_behind_a_captured_one_is_not_tried(link: Link, buyer_key):
    """Else an expensive answer under his own key would tell that the captured key did not open what he altered."""
    captured, his = (cms.ContentInfo.load(seal(ENTITY, buyer_key))["content"] for _message in range(2))
    key_of_captured, key_of_his = (content["recipient_infos"][0].dump() for content in (captured, his))

    def envelope(*recipients: bytes) -> bytes:
        data = der.joined(
            der.SEQUENCE, b"\2\1\0", der.joined(der.SET, *recipients), his["encrypted_content_info"].dump()
        )
        return der.joined(der.SEQUENCE, der.OID_ENVELOPED, der.joined(der.CONTEXT_0_CONSTRUCTED, data))

    terms = replace(link.buyer, signed=False)
    assert receive(headers(ENVELOPED), envelope(key_of_his), terms).payload == EDI
    assert refused(headers(ENVELOPED), envelope(key_of_captured, key_of_his), terms)[0] == UNIFORM


def test_random_ciphertexts_and_keys_get_the_same_answer(link: Link, buyer_key):
    chance = random.Random(20261120)  # a fixed sequence, so that a failure can be seen again
    request, body = sent(link)
    start = body.index(b"\x04\x82\x01\x00")  # the encrypted key of 256 octets
    answers: Counter[str] = Counter()
    for _round in range(500):
        noise = bytearray(body)
        noise[-1024:] = chance.randbytes(1024)
        answers[refused(request, bytes(noise), link.buyer)[0]] += 1
        noise = bytearray(body)
        noise[start + 4 : start + 260] = b"\0" + chance.randbytes(255)
        answers[refused(request, bytes(noise), link.buyer)[0]] += 1
    for plain in (
        chance.randbytes(4000),
        b"",
        b"\r\n" + EDI,
        ENTITY,
        with_head(SIGNED, b"--BB--"),
        with_head(COMPRESSED, b"0"),
    ):
        answers[refused(headers(ENVELOPED), seal(plain, buyer_key), link.buyer)[0]] += 1
    assert answers == {UNIFORM: 1006}


def test_a_message_for_somebody_else_is_told_apart_for_staff_only(link: Link, stranger_key):
    told, why = refused(headers(ENVELOPED), seal(ENTITY, stranger_key), link.buyer)
    assert (told, why) == (UNIFORM, "it is encrypted for none of our certificates")


@pytest.mark.parametrize(
    "body", [b"", b"\x30", b"\x30\x80" * 5000, b"\x30\x84\xff\xff\xff\xff", b"hello", bytes(range(256)) * 2]
)
@pytest.mark.parametrize(
    "content_type", [ENVELOPED, COMPRESSED, SIGNED, "", "multipart/signed", "multipart/signed; boundary="]
)
def test_garbage_is_refused(link: Link, content_type, body):
    told, _why = refused(headers(content_type), body, link.buyer)
    assert told in {UNIFORM, WEAK}
    assert refused(headers(content_type), body, replace(link.buyer, encrypted=False))[0] in {UNIFORM, WEAK}


def test_more_than_the_agreed_size_is_refused(link: Link):
    request, body = sent(link)
    told, why = refused(request, body, replace(link.buyer, max_bytes=1000))
    assert (told, why) == ("processed/error: unexpected-processing-error", f"{len(body)} octets where 1000 are agreed")


def test_a_header_that_only_names_the_file_costs_the_name_and_not_the_message(link: Link, openssl, supplier_key):
    entity = b'Content-Disposition: attachment; filename="a"; filename="b"\r\n' + ENTITY
    body = signed(entity, openssl.sign(entity, supplier_key))
    got = receive(headers(SIGNED), body, replace(link.buyer, encrypted=False))
    assert (got.payload, got.file_name) == (EDI, None)


# ------------------------------------------------------------------------------------------------ our own terms are bad
@pytest.mark.parametrize(
    "change",
    [
        {"our_signing": ()},
        {"their_encryption": ()},
        {"cipher": "tripledes"},
        {"digest": "sha1"},
        {"their_encryption": (CertificateRef(fingerprint="0" * 64, certificate_pem=b"not PEM"),)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_terms_that_cannot_be_kept_are_a_matter_for_staff(link: Link, change):
    with pytest.raises(UnusableTerms):
        build_message(EDI, terms=replace(link.buyer, **change), message_id="u@acme", file_name=None)


def test_a_key_of_another_certificate_is_not_used(link: Link, buyer_key, stranger_key):
    mixed = replace(buyer_key, private_key_pem=stranger_key.private_key_pem)
    with pytest.raises(UnusableTerms, match="belongs to another certificate"):
        build_message(EDI, terms=replace(link.buyer, our_signing=(mixed,)), message_id="u@acme", file_name=None)


@pytest.mark.parametrize("header", ["content_type", "subject"])
def test_nothing_of_ours_can_break_a_header(link: Link, header):
    broken: dict[str, Any] = {header: "x\r\nAS2-To: eve"}
    with pytest.raises(ValueError, match="printable"):
        build_message(EDI, terms=link.buyer, message_id="u@acme", file_name=None, **broken)


def test_no_key_shows_in_a_repr(link: Link, buyer_key):
    shown = repr(identity(buyer_key)) + repr(link.buyer)
    assert (b"PRIVATE" in (buyer_key.private_key_pem or b""), "PRIVATE" in shown) == (True, False)


# -------------------------------------------------------------------------------------------- what is left for staff
def salvaged(request: dict[str, str], body: bytes, terms: As2Terms) -> bytes | None:
    with pytest.raises(Rejected) as caught:
        receive(request, body, terms)
    assert caught.value.mic is None  # nothing here is behind a good signature
    return caught.value.salvaged


def test_what_was_decrypted_and_cannot_be_verified_is_kept(link: Link, stranger_key):
    assert salvaged(*sent(link, our_signing=(stranger_key,)), link.buyer) == EDI
    assert (
        salvaged(*sent(link, our_signing=(stranger_key,), compressed=True, compressed_after_signing=True), link.buyer)
        == EDI
    )
    assert salvaged(*sent(link, signed=False), link.buyer) == EDI
    assert (
        salvaged(*sent(link, our_signing=(stranger_key,), encrypted=False), replace(link.buyer, encrypted=False)) == EDI
    )


def test_what_was_not_opened_is_not_kept_twice(link: Link, stranger_key):
    assert salvaged(*sent(link, encrypted=False), link.buyer) is None
    assert salvaged(*sent(link, cipher="aes256_gcm", their_encryption=(public(stranger_key),)), link.buyer) is None
    plain = sent(link, encrypted=False, signed=False)
    assert salvaged(*plain, replace(link.buyer, encrypted=False)) is None


def test_what_cannot_be_read_is_kept_as_it_was_decrypted(link: Link, buyer_key):
    for plain in (b"ISA*no header~", b"Content-Transfer-Encoding: base64\r\n\r\nISA*no base64~"):
        got = salvaged(headers(ENVELOPED), seal(plain, buyer_key), link.buyer)
        assert got == plain.rpartition(b"\r\n\r\n")[2]


def test_no_more_is_kept_than_a_message_may_have(link: Link, buyer_key):
    entity = with_head(COMPRESSED, b"".join(compress([with_head("text/plain", b"0" * 200_000)])))
    for most, expected in ((100_000, None), (200_000, b"0" * 200_000)):
        assert salvaged(headers(ENVELOPED), seal(entity, buyer_key), replace(link.buyer, max_bytes=most)) == expected


def test_a_wrong_padding_leaves_as_much_to_store_as_a_good_one(link: Link):
    """Otherwise the time it takes to store it tells one from the other."""
    request, body = sent(link)
    kept = []
    for change in (0x80, 0):  # of the octet that becomes the padding's last one; unchanged, a signature fails instead
        variant = bytearray(body)
        variant[-17] ^= change
        kept.append(salvaged(request, bytes(variant), replace(link.buyer, their_signing=())))
    assert kept[1] == EDI
    assert kept[0] is not None
    assert EDI in kept[0]
