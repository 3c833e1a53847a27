"""Envelopes: who may open them, and that whoever cannot learns nothing from our answer, whichever key failed and how."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from gateway.transports.as2 import Rejected, UnusableTerms, build_message, der, receive
from gateway.transports.as2.algorithms import CIPHERS, policy_of
from gateway.transports.as2.certificates import Identity, identity
from gateway.transports.as2.envelopes import Opened, decrypt, encrypt
from partners.profiles import Algorithms, As2Terms, CertificateRef
from tests.certificates import issued
from tests.gateway.as2.conftest import EDI, Link, public
from tests.gateway.as2.handmade import ENVELOPED, headers, with_head

LEGACY = policy_of(Algorithms.LEGACY)
ENTITY = with_head("application/edi-x12", EDI)
UNIFORM = "processed/error: authentication-failed"
CBC = sorted(name for name, cipher in CIPHERS.items() if not cipher.authenticated)
GCM = sorted(name for name, cipher in CIPHERS.items() if cipher.authenticated)
TRANSPORTS = ("pkcs1v15", "oaep_sha1", "oaep_sha256")


def sealed(*recipients: CertificateRef, cipher: str = "aes256_cbc", transport: str = "pkcs1v15") -> bytes:
    ours = [identity(public(ref)) for ref in recipients]
    return b"".join(encrypt([ENTITY], ours, cipher=cipher, key_transport=transport))


def opened(blob: bytes, *ours: CertificateRef) -> Opened:
    return decrypt(memoryview(blob), [identity(ref) for ref in ours], LEGACY)


def taken_apart(blob: bytes) -> tuple[bytes, list[der.Node], list[bytes]]:
    """Type, recipients and the rest of an envelope."""
    kind, wrapped = der.node(blob).members()
    _version, recipients, *rest = wrapped.members(der.CONTEXT_0_CONSTRUCTED)[0].members()
    return kind.whole, recipients.members(der.SET), [node.whole for node in rest]


def put_together(kind: bytes, recipients: list[bytes], rest: list[bytes]) -> bytes:
    data = der.joined(der.SEQUENCE, der.integer(0), der.joined(der.SET, *recipients), *rest)
    return der.joined(der.SEQUENCE, kind, der.joined(der.CONTEXT_0_CONSTRUCTED, data))


def with_content_key(recipient: der.Node, encrypted: bytes) -> bytes:
    version, name, method, _wrapped = recipient.members()
    content_key = der.joined(der.OCTET_STRING, encrypted)
    return der.joined(der.SEQUENCE, version.whole, name.whole, method.whole, content_key)


def told(blob: bytes, terms: As2Terms) -> str:
    with pytest.raises(Rejected) as caught:
        receive(headers(ENVELOPED), blob, terms)
    return str(caught.value.disposition)


# ------------------------------------------------------------------------------------------------------------ who opens
@pytest.mark.parametrize("cipher", [*CBC, *GCM])
@pytest.mark.parametrize("place", [0, 1, 9])
def test_we_may_stand_anywhere_among_the_recipients(buyer_key, stranger_key, cipher, place):
    others = [stranger_key] * 9
    blob = sealed(*others[:place], buyer_key, *others[place:], cipher=cipher)
    got = opened(blob, buyer_key)
    assert (bytes(got.octets), got.cipher, got.opened_with) == (ENTITY, cipher, buyer_key.fingerprint)


def test_of_two_recipients_that_are_both_ours_the_first_opens(buyer_key, stranger_key):
    for first, second in ((buyer_key, stranger_key), (stranger_key, buyer_key)):
        got = opened(sealed(first, second), buyer_key, stranger_key)
        assert (bytes(got.octets), got.opened_with) == (ENTITY, first.fingerprint)


@cache
def renewed(ref: CertificateRef, bits: int = 2048) -> CertificateRef:
    """A certificate with the same issuer and serial number and another key."""
    return issued("as2.acme-buying.example", identity(ref).serial, rsa.generate_private_key(65537, bits))


@pytest.mark.parametrize("bits", [2048, 3072])
@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("cipher", ["aes256_cbc", "aes128_gcm", "des_ede3_cbc"])
def test_a_certificate_and_the_one_it_renews_may_have_one_name(buyer_key, bits, transport, cipher):
    new = renewed(buyer_key, bits)
    for meant in (buyer_key, new):
        blob = mistakable(lambda meant=meant: sealed(meant, cipher=cipher, transport=transport), 0, buyer_key, new)
        for ours in ((buyer_key, new), (new, buyer_key)):
            got = opened(blob, *ours)
            assert (bytes(got.octets), got.opened_with) == (ENTITY, meant.fingerprint)


def mistakable(seal: Any, key_bytes: int, *ours: CertificateRef) -> bytes:
    """An envelope of which each of these keys makes a content key of this length; 0: of which only one does."""
    while True:
        blob = seal()
        wrapped = der.octets_of(taken_apart(blob)[1][0].members()[3])
        lengths = [length_of_key(identity(ref), wrapped) for ref in ours]
        if (key_bytes and lengths == [key_bytes] * len(ours)) or (not key_bytes and len(set(lengths)) == len(lengths)):
            return bytes(blob)


def length_of_key(ours: Identity, wrapped: bytes) -> int:
    key = ours.private_key
    assert isinstance(key, rsa.RSAPrivateKey)
    try:
        return len(key.decrypt(wrapped, padding.PKCS1v15()))
    except ValueError:  # the other key is longer
        return -1


@pytest.mark.parametrize(("cipher", "fewest"), [("aes256_gcm", 3), ("aes256_cbc", 1)])
def test_what_the_wrong_key_makes_of_a_content_key_may_even_have_its_length(buyer_key, cipher, fewest):
    """One of 246 times. In CBC one of 256 of those leaves a padding too, hence three of them here."""
    new = renewed(buyer_key)
    blobs = [mistakable(lambda: sealed(buyer_key, cipher=cipher), 32, buyer_key, new) for _message in range(3)]
    got = [opened(blob, new, buyer_key) for blob in blobs]
    right = [one for one in got if one.opened_with == buyer_key.fingerprint and bytes(one.octets) == ENTITY]
    assert len(right) >= fewest


def test_an_elliptic_curve_of_ours_opens_nothing_and_hides_nothing(buyer_key):
    curve = issued("as2.acme-buying.example", identity(buyer_key).serial, ec.generate_private_key(ec.SECP256R1()))
    assert bytes(opened(sealed(buyer_key), curve, buyer_key).octets) == ENTITY
    with pytest.raises(UnusableTerms, match="RSA keys only"):
        sealed(curve)


@pytest.mark.parametrize("call", [{"cipher": "rc2"}, {"transport": "oaep_md5"}, {"transport": "raw"}], ids=str)
def test_what_we_do_not_know_encrypts_nothing(buyer_key, call):
    with pytest.raises(UnusableTerms):
        sealed(buyer_key, **call)


def test_a_key_identifier_of_a_certificate_without_one_is_the_usual_digest_of_its_key(buyer_key):
    bare = issued("old software", 3, rsa.generate_private_key(65537, 2048))
    kind, recipients, rest = taken_apart(sealed(bare))
    version, _name, method, wrapped = recipients[0].members()
    by_key = der.joined(der.CONTEXT_0, identity(bare).subject_key_id)
    info = der.joined(der.SEQUENCE, version.whole, by_key, method.whole, wrapped.whole)
    assert bytes(opened(put_together(kind, [info], rest), buyer_key, bare).octets) == ENTITY


def test_a_content_key_in_segments_is_read(buyer_key):
    kind, recipients, rest = taken_apart(sealed(buyer_key))
    version, name, method, wrapped = recipients[0].members()
    halves = der.joined(der.OCTET_STRING, wrapped.content[:128]), der.joined(der.OCTET_STRING, wrapped.content[128:])
    info = der.joined(der.SEQUENCE, version.whole, name.whole, method.whole, b"\x24\x80", *halves, b"\0\0")
    assert bytes(opened(put_together(kind, [info], rest), buyer_key).octets) == ENTITY


# ------------------------------------------------------------------------------------------------ nothing to listen to
def broken_keys(blob: bytes, ours: CertificateRef) -> Iterator[tuple[str, bytes]]:
    """The same content under content keys that are wrong in every way there is."""
    chance = random.Random(17)
    kind, (recipient, *_others), rest = taken_apart(blob)
    key = identity(ours).public_key
    assert isinstance(key, rsa.RSAPublicKey)
    public_numbers = key.public_numbers()

    def raw(block: bytes) -> bytes:
        return pow(int.from_bytes(block, "big"), public_numbers.e, public_numbers.n).to_bytes(256, "big")

    def noise(length: int) -> bytes:
        return bytes(chance.randrange(1, 256) for _octet in range(length))

    blocks = {
        "a wrong key of the right length": b"\0\2" + noise(221) + b"\0" + bytes(range(32)),
        "a wrong key that is shorter": b"\0\2" + noise(237) + b"\0" + bytes(16),
        "a key of no octets": b"\0\2" + noise(253) + b"\0",
        "no end of the padding": b"\0\2" + noise(254),
        "the padding of a signature": b"\0\1" + b"\xff" * 221 + b"\0" + bytes(32),
        "a padding too short": b"\0\2" + noise(7) + b"\0" + noise(246),
        "no leading zero": b"\1\2" + noise(221) + b"\0" + bytes(32),
        "noise": b"\0" + noise(255),
    }
    for name, block in blocks.items():
        yield name, put_together(kind, [with_content_key(recipient, raw(block))], rest)
    for name, octets in {"zero": bytes(256), "too long a number": b"\xff" * 256, "too short": noise(255)}.items():
        yield name, put_together(kind, [with_content_key(recipient, octets)], rest)


@pytest.mark.parametrize("signed", [True, False], ids=["signed", "not signed"])
@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("cipher", ["aes256_cbc", "des_ede3_cbc", "aes256_gcm"])
def test_every_broken_content_key_gets_the_same_answer(link: Link, buyer_key, stranger_key, cipher, transport, signed):
    """S17. With one key of ours and with three, the right one first or last."""
    terms = link.agreeing(algorithms=Algorithms.LEGACY, signed=signed).buyer
    other = renewed(buyer_key)
    for ours in ((buyer_key,), (buyer_key, other, stranger_key), (stranger_key, other, buyer_key)):
        answers = Counter(
            told(blob, replace(terms, our_decryption=ours))
            for _name, blob in broken_keys(sealed(buyer_key, cipher=cipher, transport=transport), buyer_key)
        )
        assert answers == {UNIFORM: 11}


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("cipher", CBC)
def test_a_bad_rsa_padding_takes_the_path_of_a_wrong_content_key(buyer_key, stranger_key, cipher, transport):
    """S17: all of the content is decrypted, with octets nobody knows, and nothing is said about it here."""
    blob = sealed(buyer_key, cipher=cipher, transport=transport)
    made = [opened(broken, stranger_key, buyer_key) for _name, broken in broken_keys(blob, buyer_key)]
    assert {len(one.octets.buffer) for one in made} == {len(opened(blob, buyer_key).octets.buffer)}
    assert len({bytes(one.octets)[:64] for one in made}) == 11
    assert {one.opened_with for one in made} == {buyer_key.fingerprint}


def test_what_staff_see_of_a_broken_content_key_is_what_they_see_of_altered_content(link: Link, buyer_key):
    causes = Counter[str]()
    for _name, blob in broken_keys(sealed(buyer_key), buyer_key):
        with pytest.raises(Rejected) as caught:
            receive(headers(ENVELOPED), blob, link.buyer)
        causes[caught.value.why.partition(":")[2].partition(":")[0].strip()] += 1
    # Garbage ends like a padding one of 256 times.
    assert causes["the padding is wrong"] >= 8


def test_implicit_rejection_is_there():
    """What we rely on: RSA answers a bad padding with octets that depend on the ciphertext alone, never with an error."""
    key = rsa.generate_private_key(65537, 2048)
    chance = random.Random(3218)
    lengths = set()
    for _round in range(50):
        noise = b"\0" + chance.randbytes(255)
        answers = {key.decrypt(noise, padding.PKCS1v15()) for _again in range(3)}
        assert len(answers) == 1
        lengths.add(len(answers.pop()))
    assert len(lengths) > 20


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_key_of_the_sender_behind_an_altered_one_is_never_used(link: Link, buyer_key, transport):
    """Else our answer under his key would tell how the altered one failed: Bleichenbacher's question, or Manger's."""
    kind, mine, rest = taken_apart(sealed(buyer_key, transport=transport))
    terms = replace(link.buyer, signed=False)
    assert receive(headers(ENVELOPED), put_together(kind, [mine[0].whole], rest), terms).payload == EDI
    captured = sealed(buyer_key, transport=transport)
    for _name, blob in broken_keys(captured, buyer_key):
        altered = taken_apart(blob)[1][0].whole
        assert told(put_together(kind, [altered, mine[0].whole], rest), terms) == UNIFORM


@pytest.mark.parametrize("cipher", CBC)
def test_every_last_octet_of_a_captured_message_gets_the_same_answer(link: Link, cipher):
    """S16, for 3DES as well."""
    agreed = link.agreeing(algorithms=Algorithms.LEGACY, cipher=cipher)
    sent = build_message(EDI, terms=agreed.supplier, message_id="r@boltco", file_name=None)
    block = CIPHERS[cipher].block_bytes
    answers = Counter[str]()
    for position in (len(sent.body) - 1, len(sent.body) - 1 - block):
        for change in range(1, 256):
            variant = bytearray(sent.body)
            variant[position] ^= change
            answers[told(bytes(variant), agreed.buyer)] += 1
    assert answers == {UNIFORM: 510}


def test_a_captured_message_under_the_name_of_another_cipher_gets_the_same_answer(link: Link, buyer_key):
    """GCM shown as CBC, AES-192 as 3DES: content that one cipher protects is not to be tried on another with profit."""
    terms = link.agreeing(algorithms=Algorithms.LEGACY).buyer
    for cipher, shown_as in (
        ("aes256_gcm", "aes256_cbc"),
        ("aes192_cbc", "des_ede3_cbc"),
        ("des_ede3_cbc", "aes192_cbc"),
    ):
        _kind, recipients, rest = taken_apart(sealed(buyer_key, cipher=cipher))
        content_type, _algorithm, octets = der.node(rest[0]).members()
        vector = bytes(CIPHERS[shown_as].block_bytes)
        algorithm = der.joined(der.SEQUENCE, CIPHERS[shown_as].oid, der.joined(der.OCTET_STRING, vector))
        whole_blocks = octets.content[: len(octets.content) // 16 * 16]
        blob = der.joined(der.SEQUENCE, content_type.whole, algorithm, der.joined(der.CONTEXT_0, whole_blocks))
        assert told(put_together(der.OID_ENVELOPED, [recipients[0].whole], [blob]), terms) == UNIFORM


# ----------------------------------------------------------------------------------------------------- bounded work
def test_thousands_of_recipients_cost_little(link: Link, buyer_key):
    """All of them with our serial number, so that each issuer is compared."""
    kind, recipients, rest = taken_apart(sealed(buyer_key))
    version, _name, method, _wrapped = recipients[0].members()
    issuer = b"\x30\x0d\x31\x0b\x30\x09\x06\x03\x55\x04\x03\x0c\x02no"
    name = der.joined(der.SEQUENCE, issuer, der.integer(identity(buyer_key).serial))
    info = der.joined(der.SEQUENCE, version.whole, name, method.whole, der.joined(der.OCTET_STRING, b""))
    many = [info] * (60_000 // len(info))
    assert cpu_seconds_to_refuse(put_together(kind, many, rest), link.buyer) < 2


def test_an_issuer_of_thousands_of_names_costs_little(link: Link, buyer_key):
    kind, recipients, rest = taken_apart(sealed(buyer_key))
    version, _name, method, wrapped = recipients[0].members()
    issuer = der.joined(der.SEQUENCE, b"\x31\x0b\x30\x09\x06\x03\x55\x04\x03\x0c\x02no" * 4500)
    name = der.joined(der.SEQUENCE, issuer, der.integer(identity(buyer_key).serial))
    info = der.joined(der.SEQUENCE, version.whole, name, method.whole, wrapped.whole)
    assert cpu_seconds_to_refuse(put_together(kind, [info], rest), link.buyer) < 2


def cpu_seconds_to_refuse(blob: bytes, terms: As2Terms) -> float:
    begun = time.process_time()
    assert told(blob, terms) == UNIFORM
    return time.process_time() - begun


def test_more_recipients_than_anybody_has_are_refused_unread(link: Link, buyer_key):
    kind, recipients, rest = taken_apart(sealed(buyer_key))
    with pytest.raises(Rejected, match="too many recipients"):
        receive(headers(ENVELOPED), put_together(kind, [recipients[0].whole] * 300, rest), link.buyer)
