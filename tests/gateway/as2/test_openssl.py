"""Second opinion: whatever the openssl command signs or encrypts we read, and it reads ours."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.transports.as2 import Layer, LayerKind, Outgoing, Rejected, build_message, receive
from partners.profiles import Algorithms
from tests.certificates import issued
from tests.gateway.as2.conftest import EDI, Link, public
from tests.gateway.as2.handmade import ENVELOPED, SIGNED, Openssl, headers, signed, with_head

ENTITY = with_head("application/edi-x12", EDI)
CIPHERS = {
    "aes-128-cbc": "aes128_cbc",
    "aes-192-cbc": "aes192_cbc",
    "aes-256-cbc": "aes256_cbc",
    "aes-128-gcm": "aes128_gcm",
    "aes-192-gcm": "aes192_gcm",
    "aes-256-gcm": "aes256_gcm",
}


def received(link: Link, body: bytes, content_type: str = SIGNED, **terms):
    return receive(headers(content_type), body, link.agreeing(**terms).buyer)


# ------------------------------------------------------------------------------------------------------- signatures
@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize(
    "options",
    [
        (),
        ("-nocerts",),
        ("-keyid",),
        ("-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:digest"),
        ("-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:max"),
        ("-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:0"),
        ("-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:33", "-keyopt", "rsa_mgf1_md:sha384"),
    ],
    ids=" ".join,
)
def test_signatures_of_openssl_are_good(link: Link, openssl: Openssl, supplier_key, digest, options):
    signature = openssl.sign(ENTITY, supplier_key, digest=digest, options=options)
    got = received(link, signed(ENTITY, signature), encrypted=False)
    assert (got.payload, got.signer_fingerprint) == (EDI, supplier_key.fingerprint)
    assert got.mic == hashlib.sha256(ENTITY).digest()  # asked for, whatever signed


@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("curve", [ec.SECP256R1, ec.SECP384R1, ec.SECP521R1])
def test_a_signature_with_an_elliptic_curve_key_is_good(link: Link, openssl: Openssl, curve, digest):
    ref = issued("boltco curve", 7, ec.generate_private_key(curve()))
    body = signed(ENTITY, openssl.sign(ENTITY, ref, digest=digest))
    got = received(link, body, encrypted=False, their_signing=(public(ref),))
    assert (got.payload, got.signer_fingerprint) == (EDI, ref.fingerprint)


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:digest"),  # all parameters are defaults
        ("-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:max"),
        ("-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_mgf1_md:sha256"),
    ],
    ids=" ".join,
)
def test_a_legacy_link_reads_sha1(link: Link, openssl: Openssl, supplier_key, options):
    signature = openssl.sign(ENTITY, supplier_key, digest="sha1", options=options)
    got = received(link, signed(ENTITY, signature), encrypted=False, algorithms=Algorithms.LEGACY)
    assert (got.payload, got.layers) == (EDI, (Layer(LayerKind.SIGNED, "sha1"),))


@pytest.mark.parametrize("digest", ["md5", "sha1", "sha224"])
@pytest.mark.parametrize("algorithms", [Algorithms.MODERN, Algorithms.SECURE])
def test_a_weak_digest_is_refused(link: Link, openssl: Openssl, supplier_key, digest, algorithms):
    body = signed(ENTITY, openssl.sign(ENTITY, supplier_key, digest=digest))
    with pytest.raises(Rejected, match=f"signed with the digest {digest}") as caught:
        received(link, body, encrypted=False, algorithms=algorithms)
    assert caught.value.disposition == "processed/error: insufficient-message-security"


@pytest.mark.parametrize("digest", ["md5", "sha224"])
def test_a_legacy_link_reads_nothing_weaker_than_sha1(link: Link, openssl: Openssl, supplier_key, digest):
    body = signed(ENTITY, openssl.sign(ENTITY, supplier_key, digest=digest))
    with pytest.raises(Rejected, match=f"signed with the digest {digest}"):
        received(link, body, encrypted=False, algorithms=Algorithms.LEGACY)


def test_a_signature_without_signed_attributes_is_refused(link: Link, openssl: Openssl, supplier_key):
    with pytest.raises(Rejected, match="no signed attributes"):
        received(link, signed(ENTITY, openssl.sign(ENTITY, supplier_key, options=("-noattr",))), encrypted=False)


def test_two_signers_are_refused_although_one_is_pinned(link: Link, openssl: Openssl, supplier_key, stranger_key):
    with pytest.raises(Rejected, match="2 signers"):
        received(link, signed(ENTITY, openssl.sign(ENTITY, supplier_key, stranger_key)), encrypted=False)


def test_after_a_roll_over_old_and_new_certificate_sign(link: Link, openssl: Openssl, supplier_key, stranger_key):
    pinned = (public(stranger_key), public(supplier_key))
    for ref in (supplier_key, stranger_key):
        got = received(link, signed(ENTITY, openssl.sign(ENTITY, ref)), encrypted=False, their_signing=pinned)
        assert got.signer_fingerprint == ref.fingerprint


def parts_of(sent: Outgoing) -> tuple[bytes, bytes]:
    """What a message signs, and the SignedData."""
    boundary = sent.headers["Content-Type"].rpartition('boundary="')[2].rstrip('"').encode()
    _before, entity, signature, _after = sent.body.split(b"--" + boundary)
    return entity.removeprefix(b"\r\n").removesuffix(b"\r\n"), base64.b64decode(signature.partition(b"\r\n\r\n")[2])


@pytest.mark.parametrize("digest", ["sha1", "sha256", "sha384", "sha512"])
@pytest.mark.parametrize("scheme", ["pkcs1v15", "pss"])
@pytest.mark.parametrize("compressed", [False, True])
def test_openssl_verifies_what_we_sign(link: Link, openssl: Openssl, supplier_key, digest, scheme, compressed):
    agreed = link.agreeing(
        algorithms=Algorithms.LEGACY, digest=digest, signature_scheme=scheme, encrypted=False, compressed=compressed
    )
    sent = build_message(EDI, terms=agreed.supplier, message_id="o@boltco", file_name="855.edi")
    content, blob = parts_of(sent)
    assert openssl.verifies(content, blob, supplier_key)
    assert not openssl.verifies(content + b" ", blob, supplier_key)
    assert sent.digests["sha512"] == hashlib.sha512(content).digest()


@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("curve", [ec.SECP256R1, ec.SECP384R1, ec.SECP521R1])
def test_openssl_verifies_what_our_elliptic_curve_signs(link: Link, openssl: Openssl, curve, digest):
    ref = issued("boltco curve", 9, ec.generate_private_key(curve()))
    terms = replace(link.supplier, encrypted=False, digest=digest, our_signing=(ref,))
    sent = build_message(EDI, terms=terms, message_id="o@boltco", file_name=None)
    content, blob = parts_of(sent)
    assert openssl.verifies(content, blob, ref)
    assert not openssl.verifies(content + b" ", blob, ref)


# ------------------------------------------------------------------------------------------------------- encryption
@pytest.mark.parametrize("cipher", CIPHERS)
@pytest.mark.parametrize("oaep", ["", "sha1", "sha224", "sha256", "sha384", "sha512"])
def test_what_openssl_encrypts_we_open(link: Link, openssl: Openssl, buyer_key, stranger_key, cipher, oaep):
    blob = openssl.encrypt(ENTITY, stranger_key, buyer_key, cipher=cipher, oaep=oaep)
    got = received(link, blob, ENVELOPED, signed=False)
    assert (got.payload, got.layers) == (EDI, (Layer(LayerKind.ENCRYPTED, CIPHERS[cipher]),))
    assert got.decrypted_with == buyer_key.fingerprint


@pytest.mark.parametrize(
    "options",
    [
        ("rsa_oaep_md:sha256", "rsa_mgf1_md:sha1"),  # what Java makes of OAEPWithSHA-256AndMGF1Padding
        ("rsa_oaep_md:sha1", "rsa_mgf1_md:sha512"),
        ("rsa_oaep_md:sha256", "rsa_oaep_label:6f72646572"),
        ("rsa_oaep_label:6f72646572",),
    ],
    ids=" ".join,
)
def test_oaep_is_read_by_the_parameters_it_carries(link: Link, openssl: Openssl, buyer_key, options):
    named = [part for option in ("rsa_padding_mode:oaep", *options) for part in ("-keyopt", option)]
    arguments = ("-encrypt", "-binary", "-outform", "DER", "-aes-256-gcm", "-recip", openssl.pem(buyer_key)[0])
    blob = openssl.output(*arguments, *named, content=ENTITY)
    assert received(link, blob, ENVELOPED, signed=False).payload == EDI


def test_of_ten_recipients_we_may_be_the_last(link: Link, openssl: Openssl, buyer_key):
    key = rsa.generate_private_key(65537, 2048)
    others = [issued("partner of boltco", number, key) for number in range(1, 10)]
    blob = openssl.encrypt(ENTITY, *others, buyer_key, cipher="aes-256-cbc", oaep="sha256")
    got = received(link, blob, ENVELOPED, signed=False)
    assert (got.payload, got.decrypted_with) == (EDI, buyer_key.fingerprint)


def test_a_recipient_who_agrees_on_a_key_is_passed_over(link: Link, openssl: Openssl, buyer_key):
    curve = issued("partner of boltco", 5, ec.generate_private_key(ec.SECP256R1()))
    blob = openssl.encrypt(ENTITY, curve, buyer_key, cipher="aes-256-cbc")
    assert received(link, blob, ENVELOPED, signed=False).payload == EDI
    for_him_alone = openssl.encrypt(ENTITY, curve, cipher="aes-256-cbc")
    with pytest.raises(Rejected, match="for none of our certificates"):
        received(link, for_him_alone, ENVELOPED, signed=False)


@pytest.mark.parametrize("options", [("-stream",), ("-keyid",), ("-stream", "-keyid")], ids=" ".join)
@pytest.mark.parametrize("size", [0, 1, 60_000])
def test_streamed_and_oddly_addressed_envelopes_are_opened(link: Link, openssl: Openssl, buyer_key, options, size):
    entity = with_head("application/octet-stream", EDI[:1] * size)
    blob = openssl.encrypt(entity, buyer_key, cipher="aes-256-cbc", options=options)
    assert received(link, blob, ENVELOPED, signed=False).payload == EDI[:1] * size


def test_the_old_key_opens_too(link: Link, openssl: Openssl, buyer_key, stranger_key):
    blob = openssl.encrypt(ENTITY, stranger_key, cipher="aes-128-cbc")
    got = received(link, blob, ENVELOPED, signed=False, our_decryption=(buyer_key, stranger_key))
    assert (got.payload, got.decrypted_with) == (EDI, stranger_key.fingerprint)


def test_a_renewed_certificate_with_the_old_name_and_number_does_not_hide_the_old_one(link, openssl, buyer_key):
    """One RecipientInfo names both; only one key opens it."""
    old = x509.load_pem_x509_certificate(buyer_key.certificate_pem)
    renewed = issued("as2.acme-buying.example", old.serial_number, rsa.generate_private_key(65537, 2048))
    for ref in (buyer_key, renewed):
        blob = openssl.encrypt(ENTITY, ref, cipher="aes-256-gcm")
        for ours in ((renewed, buyer_key), (buyer_key, renewed)):
            got = received(link, blob, ENVELOPED, signed=False, our_decryption=ours)
            assert (got.payload, got.decrypted_with) == (EDI, ref.fingerprint)


@pytest.mark.parametrize("oaep", ["", "sha256"])
@pytest.mark.parametrize("options", [(), ("-stream",)], ids=" ".join)
def test_a_legacy_link_reads_triple_des(link: Link, openssl: Openssl, buyer_key, oaep, options):
    blob = openssl.encrypt(ENTITY, buyer_key, cipher="des3", oaep=oaep, options=options)
    got = received(link, blob, ENVELOPED, signed=False, algorithms=Algorithms.LEGACY)
    assert (got.payload, got.layers) == (EDI, (Layer(LayerKind.ENCRYPTED, "des_ede3_cbc"),))


@pytest.mark.parametrize("algorithms", [Algorithms.MODERN, Algorithms.SECURE])
def test_triple_des_is_refused_before_a_key_is_used(link: Link, openssl: Openssl, buyer_key, algorithms):
    blob = openssl.encrypt(ENTITY, buyer_key, cipher="des3")
    terms = replace(link.buyer, our_decryption=(), algorithms=algorithms)
    with pytest.raises(Rejected, match="tripledes") as caught:
        receive(headers(ENVELOPED), blob, terms)
    assert caught.value.disposition == "processed/error: insufficient-message-security"


@pytest.mark.parametrize("cipher", [*CIPHERS.values(), "des_ede3_cbc"])
@pytest.mark.parametrize("transport", ["pkcs1v15", "oaep_sha1", "oaep_sha256", "oaep_sha384", "oaep_sha512"])
def test_openssl_opens_what_we_encrypt(link: Link, openssl: Openssl, buyer_key, cipher, transport):
    agreed = link.agreeing(algorithms=Algorithms.LEGACY, cipher=cipher, key_transport=transport, signed=False)
    sent = build_message(EDI, terms=agreed.supplier, message_id="e@boltco", file_name=None)
    plain = openssl.decrypt(sent.body, buyer_key)
    assert plain == ENTITY
    assert sent.digests["sha256"] == hashlib.sha256(plain).digest()


@pytest.mark.parametrize("transport", ["pkcs1v15", "oaep_sha256"])
@pytest.mark.parametrize("cipher", ["aes128_cbc", "aes256_gcm"])
def test_each_of_several_recipients_opens_what_we_encrypt(link, openssl, buyer_key, stranger_key, transport, cipher):
    theirs = (public(stranger_key), public(buyer_key))
    agreed = link.agreeing(signed=False, cipher=cipher, key_transport=transport, their_encryption=theirs)
    for everyone in (True, False):
        terms = replace(agreed.supplier, all_recipients=everyone)
        sent = build_message(EDI, terms=terms, message_id="e@boltco", file_name=None)
        assert openssl.decrypt(sent.body, stranger_key) == ENTITY
        assert sent.encrypted_for == tuple(ref.fingerprint for ref in theirs[: 2 if everyone else 1])
        if everyone:
            assert openssl.decrypt(sent.body, buyer_key) == ENTITY
            got = receive(sent.headers, sent.body, replace(link.buyer, signed=False))
            assert got.decrypted_with == buyer_key.fingerprint


OPENSSL_CIPHERS = {ours: theirs for theirs, ours in CIPHERS.items()} | {"des_ede3_cbc": "des3"}
TRANSPORTS = ["pkcs1v15", "oaep_sha1", "oaep_sha256", "oaep_sha384", "oaep_sha512"]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    payload=st.binary(max_size=300),
    cipher=st.sampled_from(sorted(OPENSSL_CIPHERS)),
    digest=st.sampled_from(["sha1", "sha256", "sha384", "sha512"]),
    scheme=st.sampled_from(["pkcs1v15", "pss"]),
    transport=st.sampled_from(TRANSPORTS),
)
def test_openssl_opens_and_verifies_any_payload_in_any_wrapping(
    link, openssl, buyer_key, supplier_key, payload, cipher, digest, scheme, transport
):
    agreed = link.agreeing(
        algorithms=Algorithms.LEGACY, cipher=cipher, digest=digest, signature_scheme=scheme, key_transport=transport
    )
    sent = build_message(payload, terms=agreed.supplier, message_id="h@boltco", file_name=None)
    inner = openssl.decrypt(sent.body, buyer_key)
    head, _blank, body = inner.partition(b"\r\n\r\n")
    content, blob = parts_of(replace(sent, headers={"Content-Type": head.decode()}, body=body))
    assert openssl.verifies(content, blob, supplier_key)
    assert content.partition(b"\r\n\r\n")[2] == payload
    # and the other way round
    options = ("-keyopt", "rsa_padding_mode:pss") if scheme == "pss" else ()
    signature = openssl.sign(content, supplier_key, digest=digest, options=options)
    theirs = openssl.encrypt(
        with_head(SIGNED, signed(content, signature)),
        buyer_key,
        cipher=OPENSSL_CIPHERS[cipher],
        oaep=transport.removeprefix("oaep_").removeprefix("pkcs1v15"),
    )
    got = receive(headers(ENVELOPED), theirs, agreed.buyer)
    assert (got.payload, got.mic) == (payload, hashlib.sha256(content).digest())


# ------------------------------------------------------------------------- the signed part, as products spell it
CRLF = b"ISA*00*\r\nGS*PR*\r\nIEA*1*\r\n"
LF, CR = CRLF.replace(b"\r\n", b"\n"), CRLF.replace(b"\r\n", b"\r")
TYPE = b"Content-Type: application/edi-x12\r\n"
BINARY = b"Content-Transfer-Encoding: binary\r\n"
RELATED = (
    b'Content-Type: multipart/related; boundary="RR"; type="application/edi-x12"\r\n\r\n--RR\r\n'
    b"Content-Type: application/edi-x12\r\n\r\nISA*00*~\r\n--RR\r\nContent-Type: image/png\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo=\r\n--RR--\r\n"
)
SPELLINGS = {
    "7bit": TYPE + b"Content-Transfer-Encoding: 7bit\r\n\r\n" + CRLF,
    "bare LF declared 7bit": TYPE + b"Content-Transfer-Encoding: 7bit\r\n\r\n" + LF,
    "bare LF declared binary": TYPE + BINARY + b"\r\n" + LF,
    "bare LF, nothing declared": TYPE + b"\r\n" + LF,
    "bare CR, nothing declared": TYPE + b"\r\n" + CR,
    "one long line": TYPE + b"\r\n" + b"ISA*00*~" * 400,
    "no blank behind the colon": b"Content-Type:application/edi-x12\r\n" + BINARY + b"\r\n" + CRLF,
    "two blanks behind the colon": b"Content-Type:  application/edi-x12\r\n" + BINARY + b"\r\n" + CRLF,
    "a tab behind the colon": b"Content-Type:\tapplication/edi-x12\r\n" + BINARY + b"\r\n" + CRLF,
    "a blank before the colon": b"Content-Type : application/edi-x12\r\n" + BINARY + b"\r\n" + CRLF,
    "folded with a tab": b'Content-Type: application/edi-x12;\r\n\tname="855.edi"\r\n' + BINARY + b"\r\n" + CRLF,
    "folded with blanks": b'Content-Type: application/edi-x12;\r\n    name="855.edi"\r\n\r\n' + CRLF,
    "folded, 7bit": b'Content-Type: application/edi-x12;\r\n name="a"\r\nContent-Transfer-Encoding: 7bit\r\n\r\n'
    + CRLF,
    "a header line of 400": b'Content-Type: application/edi-x12; name="' + b"n" * 400 + b'"\r\n\r\n' + CRLF,
    "blank at the end of a header": b"Content-Type: application/edi-x12 \r\n" + BINARY + b"\r\n" + CRLF,
    "lower-case field names": b"content-type: application/edi-x12\r\ncontent-transfer-encoding: binary\r\n\r\n" + LF,
    "Latin-1, 8bit": TYPE + b"Content-Transfer-Encoding: 8bit\r\n\r\n" + "Größe~\r\n".encode("latin-1"),
    "UTF-8, nothing declared": TYPE + b"\r\n" + "Größe~\r\n".encode(),
    "raw UTF-8 file name": TYPE + 'Content-Disposition: attachment; filename="für.edi"\r\n'.encode() + b"\r\n" + CRLF,
    "raw UTF-8 file name, binary": TYPE + 'Content-Disposition: x; filename="ü"\r\n'.encode() + BINARY + b"\r\n" + LF,
    "base64": TYPE + b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(CRLF).replace(b"\n", b"\r\n"),
    "quoted-printable": TYPE + b"Content-Transfer-Encoding: quoted-printable\r\n\r\nISA=3D00\r\n",
    "no newline at the end": TYPE + b"\r\nISA",
    "three newlines at the end": TYPE + b"\r\nISA\r\n\r\n\r\n",
    "CR at the end": TYPE + BINARY + b"\r\nISA\r",
    "nothing in it": TYPE + b"\r\n",
    "no header at all": b"\r\n" + CRLF,
    "all octets, binary": TYPE + BINARY + b"\r\n" + bytes(range(256)) * 8,
    "all octets, octet-stream": b"Content-Type: application/octet-stream\r\n\r\n" + bytes(range(256)) * 8,
    "all octets, nothing declared": TYPE + b"\r\n" + bytes(range(256)) * 8,
    "Binary with a capital": TYPE + b"Content-Transfer-Encoding: Binary\r\n\r\n" + LF,
    "multipart/related": RELATED,
    "text/plain": b"Content-Type: text/plain\r\n\r\n" + CRLF,
    "a line that begins with From": TYPE + b"\r\nFrom here\r\nto there\r\n",
    "a line that begins like the boundary": TYPE + b"\r\n--BBx\r\nISA\r\n--BB-\r\n",
}


DOCUMENTS = {RELATED: b"ISA*00*~", SPELLINGS["base64"]: CRLF, SPELLINGS["quoted-printable"]: b"ISA=00\r\n"}


def document_in(entity: bytes) -> bytes:
    if entity in DOCUMENTS:
        return DOCUMENTS[entity]
    return entity[2:] if entity.startswith(b"\r\n") else entity.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("entity", SPELLINGS.values(), ids=SPELLINGS)
def test_the_octets_that_came_are_what_is_verified(link: Link, openssl: Openssl, supplier_key, entity):
    got = received(link, signed(entity, openssl.sign(entity, supplier_key)), encrypted=False)
    assert got.payload == document_in(entity)
    assert got.mic == hashlib.sha256(entity).digest()


@pytest.mark.parametrize(
    "entity",
    [e for e in SPELLINGS.values() if b"binary" not in e.lower()],
    ids=[name for name, e in SPELLINGS.items() if b"binary" not in e.lower()],
)
def test_a_signature_over_the_canonical_form_is_good_and_that_form_is_read(link, openssl, supplier_key, entity):
    canonical = entity.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
    got = received(link, signed(entity, openssl.sign(canonical, supplier_key)), encrypted=False)
    assert got.payload == document_in(canonical)
    assert got.mic == hashlib.sha256(canonical).digest()


def test_a_surplus_line_end_before_the_boundary_is_forgiven(link: Link, openssl: Openssl, supplier_key):
    body = signed(ENTITY + b"\r\n", openssl.sign(ENTITY, supplier_key))
    assert received(link, body, encrypted=False).payload == EDI


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable"])
def test_a_transfer_encoding_is_undone_for_the_document_and_kept_for_the_hash(link, openssl, supplier_key, encoding):
    coded = {"base64": b"SVNBKjAwKg0K\r\n", "quoted-printable": b"ISA*00*=0D=0A"}[encoding]
    entity = TYPE + f"Content-Transfer-Encoding: {encoding}\r\n\r\n".encode() + coded
    got = received(link, signed(entity, openssl.sign(entity, supplier_key)), encrypted=False)
    assert (got.payload, got.mic) == (b"ISA*00*\r\n", hashlib.sha256(entity).digest())


def test_a_preamble_and_a_body_in_base64_are_read(link: Link, openssl: Openssl, supplier_key, buyer_key):
    entity = with_head(SIGNED, signed(ENTITY, openssl.sign(ENTITY, supplier_key), preamble=b"This is S/MIME.\r\n"))
    blob = base64.encodebytes(openssl.encrypt(entity, buyer_key, cipher="aes-256-cbc"))
    got = receive(headers(ENVELOPED, content_transfer_encoding="base64"), blob, link.buyer)
    assert got.payload == EDI


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    payload=st.binary(max_size=200),
    encoding=st.sampled_from([b"", b"Content-Transfer-Encoding: binary\r\n", b"content-transfer-encoding:8bit\r\n"]),
    blanks=st.text(alphabet=" \t", max_size=3),
)
def test_any_payload_signed_by_openssl_is_handed_on_as_it_was(link, openssl, supplier_key, payload, encoding, blanks):
    entity = b"Content-Type:" + blanks.encode() + b"application/edi-x12\r\n" + encoding + b"\r\n" + payload
    got = received(link, signed(entity, openssl.sign(entity, supplier_key)), encrypted=False)
    assert (got.payload, got.mic) == (payload, hashlib.sha256(entity).digest())
