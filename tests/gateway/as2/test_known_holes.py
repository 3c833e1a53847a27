"""What another implementation let through, or fell over: rows S1 to S23 of the list, by number, each refused here by rule.

S10, S19 and S22 are decided by the door, which knows what came before and whom it trusts (``tests/gateway/endpoints``); here
stands what it relies on. Wider tests of the same things are in ``test_rejections``, ``test_receipts`` and ``test_limits``.
"""

from __future__ import annotations

import base64
import random
import re
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from asn1crypto import cms

from gateway.transports.as2 import (
    Disposition,
    MalformedRequest,
    Outgoing,
    Receipt,
    Rejected,
    Verdict,
    build_mdn,
    build_message,
    der,
    original_message_id,
    read_mdn,
    receive,
    request_names,
    requested_receipt,
)
from partners.profiles import As2Terms
from tests.cost import cpu_at_most
from tests.gateway.as2.conftest import EDI, Link, public
from tests.gateway.as2.handmade import COMPRESSED, ENVELOPED, SIGNED, Openssl, headers, signed, with_head

MB = 1024 * 1024
ENTITY = with_head("application/edi-x12", EDI)
WEAK = "processed/error: insufficient-message-security"
UNIFORM = "processed/error: authentication-failed"
REPORT = (
    b'Content-Type: multipart/report; report-type=disposition-notification; boundary="RR"\r\n\r\n--RR\r\n'
    b"Content-Type: message/disposition-notification\r\n\r\nOriginal-Message-ID: <po-1@acme>\r\n"
    b"Disposition: automatic-action/MDN-sent-automatically; %s\r\n%s\r\n--RR--\r\n"
)
#: Usual figures are milliseconds; what these bounds catch is work that grows out of hand.
CPU_S = 1.0


def refused(request: dict[str, str], body: bytes, terms: As2Terms) -> str:
    """What the partner is told, after bounded work."""
    with cpu_at_most(CPU_S), pytest.raises(Rejected) as caught:
        receive(request, body, terms)
    return str(caught.value.disposition)


def sent(link: Link, **terms: Any) -> tuple[dict[str, str], bytes]:
    """A message from boltco on other terms than the buyer's."""
    message = build_message(EDI, terms=replace(link.supplier, **terms), message_id="r@boltco", file_name=None)
    return message.headers, message.body


def without_signers(signature: bytes) -> bytes:
    info = cms.ContentInfo.load(signature)
    info["content"]["signer_infos"] = []
    return bytes(info.dump(force=True))


@pytest.fixture(scope="module")
def order(link: Link) -> Outgoing:
    """A message of ours to boltco."""
    return build_message(EDI, terms=link.buyer, message_id="po-1@acme", file_name=None)


def report(disposition: bytes, *fields: bytes) -> bytes:
    return REPORT % (disposition, b"".join(field + b"\r\n" for field in fields))


def mic(order: Outgoing, algorithm: str = "sha256", spelling: str = "sha-256") -> bytes:
    return b"Received-Content-MIC: %s, %s" % (base64.b64encode(order.digests[algorithm]), spelling.encode())


@pytest.fixture
def judged(link: Link, order: Outgoing) -> Callable[..., Receipt]:
    def judge(body: bytes, content_type: str = SIGNED) -> Receipt:
        request = {"Content-Type": content_type}
        return read_mdn(request, body, message_id="po-1@acme", digests=order.digests, terms=link.buyer)

    return judge


@pytest.fixture
def by_boltco(openssl: Openssl, supplier_key, judged) -> Callable[[bytes], Receipt]:
    """Judge a report that boltco really signed."""
    return lambda content: judged(signed(content, openssl.sign(content, supplier_key)))


# --------------------------------------------------------------------------------------------------------- receipts
@pytest.mark.parametrize("disposition", [b"processed", b"processed/error: decryption-failed"])
def test_s1_a_receipt_signed_by_nobody_proves_nothing(judged, openssl, supplier_key, order, disposition):
    content = report(disposition, mic(order))
    got = judged(signed(content, without_signers(openssl.sign(content, supplier_key))))
    assert (got.verdict, got.text) == (Verdict.INVALID, "signature: ValueError: 0 signers")


def test_s2_a_report_beside_the_part_that_was_signed_is_not_read(judged, openssl, supplier_key, order):
    genuine = b"Content-Type: text/plain\r\n\r\nanything boltco ever signed"
    body = signed(genuine, openssl.sign(genuine, supplier_key))
    forged = report(b"processed", mic(order))
    closing = b"--BB--\r\n"
    wrappings = [
        body.replace(b"--BB\r\n", b"--BB\r\n" + forged + b"\r\n--BB\r\n", 1),
        body.replace(b"\r\n--BB\r\n", b"\r\n--BB\r\n" + forged + b"\r\n--BB\r\n", 1),
        body.replace(closing, b"--BB\r\n" + forged + b"\r\n" + closing),
        body + forged,
        forged + body,
    ]
    assert [judged(wrapped).verdict for wrapped in wrappings] == [Verdict.INVALID] * 5


def test_s3_a_signed_yes_without_a_mic_is_no_receipt(by_boltco):
    got = by_boltco(report(b"processed"))
    assert (got.verdict, got.text) == (Verdict.INVALID, "no usable Received-Content-MIC beside: processed")


def test_s4_a_mic_counts_in_any_digest_we_kept_folded_and_whatever_the_case_of_the_disposition(by_boltco, order):
    in_sha512 = report(b"processed", mic(order, "sha512", "sha512"))
    folded = report(b"processed", mic(order).replace(b": ", b":\r\n ").replace(b", ", b",\r\n\t"))
    assert [by_boltco(content).verdict for content in (in_sha512, folded)] == [Verdict.DELIVERED] * 2
    wrong = report(b"Processed", b"Received-Content-MIC: " + base64.b64encode(b"\0" * 32) + b", sha-256")
    got = by_boltco(wrong)
    assert (got.verdict, "MIC differs" in got.text) == (Verdict.REJECTED, True)


def test_s5_an_unsigned_or_altered_receipt_proves_nothing(judged, by_boltco, openssl, supplier_key, order):
    content = report(b"processed", mic(order))
    head, _blank, bare = content.partition(b"\r\n\r\n")
    assert judged(bare, head.decode().removeprefix("Content-Type: ")).verdict is Verdict.INVALID
    body = signed(content, openssl.sign(content, supplier_key))
    assert judged(body).verdict is Verdict.DELIVERED
    assert judged(body.replace(b"; processed\r\n", b"; processed/error: x\r\n")).verdict is Verdict.INVALID


# --------------------------------------------------------------------------------------------------------- messages
@pytest.mark.parametrize(
    ("less", "answer"),
    [
        ({"signed": False, "encrypted": False}, WEAK),
        ({"encrypted": False}, WEAK),
        ({"signed": False}, UNIFORM),
        ({"signed": False, "encrypted": False, "compressed": True}, WEAK),
    ],
    ids=["plain", "signed only", "encrypted only", "compressed only"],
)
def test_s6_a_strict_partner_gets_no_less_through(link: Link, less, answer):
    assert refused(*sent(link, **less), link.buyer) == answer


def test_s7_signed_then_compressed_outermost_is_not_encrypted(link: Link):
    request, body = sent(link, encrypted=False, compressed=True, compressed_after_signing=True)
    assert refused(request, body, link.buyer) == WEAK
    assert refused(headers(COMPRESSED.replace("pkcs7", "x-pkcs7")), body, link.buyer) == WEAK


def test_s8_another_signer_and_another_recipient_are_refused(link: Link, stranger_key):
    assert refused(*sent(link, our_signing=(stranger_key,)), link.buyer) == UNIFORM
    assert refused(*sent(link, their_encryption=(public(stranger_key),)), link.buyer) == UNIFORM


def test_s9_a_certificate_the_terms_no_longer_hold_signs_nothing(link: Link, expired_key):
    """Which certificates count today is decided where the terms are made."""
    request, body = sent(link, our_signing=(expired_key,))
    with pytest.raises(Rejected) as caught:
        receive(request, body, link.buyer)
    assert caught.value.disposition == UNIFORM
    assert caught.value.why.startswith("the signer is none of the partner's certificates")


def test_s10_a_repeat_is_recognisable_by_its_id_and_mic(link: Link):
    """The door answers it with the first receipt, octet for octet."""
    request, body = sent(link)
    first, again = (receive(request, body, link.buyer) for _time in range(2))
    assert (first.message_id, first.mic) == (again.message_id, again.mic)


def test_s11_the_same_ciphertext_under_a_new_id_has_the_same_content(link: Link):
    """No signature covers the id. What can be compared is the content, which the door does."""
    request, body = sent(link)
    first = receive(request, body, link.buyer)
    again = receive(request | {"Message-ID": "<new@boltco>"}, body, link.buyer)
    assert (first.payload, first.mic) == (again.payload, again.mic)
    assert first.message_id != again.message_id


@pytest.mark.parametrize("digest", ["md5", "sha1"])
def test_s12_a_weak_digest_is_refused_and_never_signs_a_receipt(link: Link, openssl, supplier_key, digest):
    body = signed(ENTITY, openssl.sign(ENTITY, supplier_key, digest=digest))
    assert refused(headers(SIGNED), body, replace(link.buyer, encrypted=False)) == WEAK
    request, body = sent(link)
    request["Disposition-Notification-Options"] = (
        f"signed-receipt-protocol=required, pkcs7-signature; signed-receipt-micalg=required, {digest}"
    )
    assert refused(request, body, link.buyer) == "failed/failure: unsupported MIC-algorithms"
    mdn = build_mdn(request, terms=link.buyer, disposition=UNIFORM, mic=None, text="no")
    assert mdn.headers["Content-Type"].startswith("multipart/report;")


@pytest.mark.parametrize(
    "dotted", ["1.2.840.113549.3.2", "1.2.840.113549.3.4", "1.3.14.3.2.7"], ids=["rc2", "rc4", "des"]
)
def test_s12_a_weak_cipher_is_refused_before_a_key_is_used(link: Link, openssl, buyer_key, dotted):
    info = cms.ContentInfo.load(openssl.encrypt(ENTITY, buyer_key, cipher="aes-128-cbc"))
    info["content"]["encrypted_content_info"]["content_encryption_algorithm"] = {"algorithm": dotted}
    without_keys = replace(link.buyer, our_decryption=())
    assert refused(headers(ENVELOPED), info.dump(force=True), without_keys) == WEAK
    assert refused(headers(ENVELOPED), openssl.encrypt(ENTITY, buyer_key, cipher="des3"), without_keys) == WEAK


BOMB = """
import resource, sys, time
from gateway.transports.as2 import Rejected, receive
from partners.profiles import As2Terms, CertificateRef
from tests.gateway.as2.handmade import ENVELOPED, headers

certificate, key, sealed = (open(name, "rb").read() for name in sys.argv[1:])
ours = CertificateRef(fingerprint="0" * 64, certificate_pem=certificate, private_key_pem=key)
terms = As2Terms(our_name="ACME BUYING", their_name="boltco", url=None, our_decryption=(ours,))
before, cpu = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
try:
    receive(headers(ENVELOPED), sealed, terms)
except Rejected as rejected:
    print(rejected.disposition)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
print(time.process_time() - cpu < 1)
"""


def bomb() -> bytes:
    """A megabyte that inflates to a gigabyte."""
    stream = zlib.compressobj(9)
    flat = stream.compress(b"Content-Type: application/edi-x12\r\n\r\n") + stream.flush(zlib.Z_FULL_FLUSH)
    flat += 1024 * (stream.compress(bytes(MB)) + stream.flush(zlib.Z_FULL_FLUSH))  # a megabyte stands for itself
    inner = der.joined(der.SEQUENCE, der.OID_DATA, der.joined(0xA0, der.joined(der.OCTET_STRING, flat)))
    algorithm = der.joined(der.SEQUENCE, der.oid("1.2.840.113549.1.9.16.3.8"))
    data = der.joined(der.SEQUENCE, b"\x02\x01\x00", algorithm, inner)
    return der.joined(der.SEQUENCE, der.OID_COMPRESSED, der.joined(0xA0, data))


def test_s13_a_bomb_sealed_with_our_public_certificate_costs_neither_memory_nor_time(openssl, buyer_key):
    sealed = openssl.encrypt(with_head(COMPRESSED, bomb()), public(buyer_key), cipher="aes-128-cbc")
    files = [*openssl.pem(buyer_key), openssl.file("bomb.der", sealed)]
    done = subprocess.run([sys.executable, "-c", BOMB, *files], capture_output=True, text=True, timeout=60, check=True)
    told, grown_mb, quick = done.stdout.splitlines()
    assert (told, quick) == (UNIFORM, "True")
    assert int(grown_mb) < 150


def test_s14_variants_of_a_captured_message_all_get_one_answer(link: Link):
    request, body = sent(link)
    answers = Counter(
        refused(request, body[:-1] + bytes([last]), link.buyer) for last in range(256) if last != body[-1]
    )
    assert answers == {UNIFORM: 255}


def test_s15_an_altered_rsa_block_gets_the_answer_of_a_wrong_content_key(link: Link):
    chance = random.Random(15)
    request, body = sent(link)
    start = body.index(b"\x04\x82\x01\x00") + 4  # the encrypted key of 256 octets
    for _time in range(50):
        altered = body[:start] + b"\0" + chance.randbytes(255) + body[start + 256 :]
        assert refused(request, altered, link.buyer) == UNIFORM


@pytest.mark.parametrize("cut", [0, 1, 50, 1000, -1, -16, -17])
def test_s16_garbage_nothing_and_half_a_message_are_refused(link: Link, cut):
    request, body = sent(link)
    assert refused(request, body[:cut], link.buyer) in {UNIFORM, WEAK}
    assert refused(request, random.Random(cut).randbytes(1000), link.buyer) in {UNIFORM, WEAK}


@pytest.mark.parametrize(
    "changes",
    [
        {"as2_to": None},
        {"as2_from": None},
        {"as2_from": "b\xf6ltco"},
        {"message_id": "<b\xf6ltco>"},
        {"message_id": "<b\udcf6ltco>"},
    ],
    ids=repr,
)
def test_s17_headers_that_name_no_message_are_malformed_and_nothing_else_escapes(link: Link, changes):
    request = headers(SIGNED, **changes)
    for read in (
        lambda: receive(request, b"", link.buyer),
        lambda: build_mdn(request, terms=link.buyer, mic=None, text=""),
    ):
        with pytest.raises(MalformedRequest):
            read()


@pytest.mark.parametrize(
    "options",
    [
        "signed-receipt-micalg=optional, sha256; signed-receipt-protocol=optional, pkcs7-signature;",
        "signed-receipt-protocol=optional,pkcs7-signature;;signed-receipt-micalg=optional,sha-256;",
        " ; =; signed-receipt-protocol ; signed-receipt-micalg=",
        "signed-receipt-micalg=optional, no-such",
        "=" * 8000,
        ";" * 8000,
    ],
    ids=lambda value: value[:30],
)
def test_s17_receipt_options_in_any_form_are_read_or_refused(link: Link, options):
    request, body = sent(link)
    request["Disposition-Notification-Options"] = options
    with cpu_at_most(CPU_S):
        try:
            assert receive(request, body, link.buyer).payload == EDI
        except Rejected as rejected:
            assert rejected.disposition is Disposition.UNSUPPORTED_MIC_ALGORITHMS
        assert build_mdn(request, terms=link.buyer, mic=None, text="").body


def test_s17_thousands_of_multiparts_in_each_other_are_refused(link: Link, openssl, buyer_key):
    depth = range(5000)
    nested = "".join(f'Content-Type: multipart/signed; boundary="b{n}"\r\n\r\n--b{n}\r\n' for n in depth).encode()
    outermost, _blank, body = nested.partition(b"\r\n\r\n")
    terms = replace(link.buyer, encrypted=False)
    assert refused(headers(outermost.decode().removeprefix("Content-Type: ")), body, terms) == UNIFORM
    assert refused(headers(ENVELOPED), openssl.encrypt(nested, buyer_key, cipher="aes-128-cbc"), link.buyer) == UNIFORM
    related = nested.replace(b"/signed", b"/related")
    terms = replace(link.buyer, signed=False, encrypted=False)
    got = receive(headers("multipart/related; boundary=b"), b"--b\r\n" + related + b"\r\n--b--\r\n", terms)
    assert (got.payload, got.attachments) == (
        related.partition(b"\r\n\r\n")[2],
        (),
    )  # taken apart once, not 5,000 times


@pytest.mark.parametrize("lines", [3_000, 10_000])
def test_s18_a_flood_of_headers_is_refused_in_a_moment(link: Link, openssl, buyer_key, lines):
    flood = {f"X-{number}": "v" for number in range(lines)}
    with cpu_at_most(CPU_S), pytest.raises(MalformedRequest):
        request_names(headers(SIGNED) | flood)
    inside = b"".join(f"X-{number}: {'v' * 20}\r\n".encode() for number in range(lines)) + b"\r\n"
    assert refused(headers(ENVELOPED), openssl.encrypt(inside, buyer_key, cipher="aes-128-cbc"), link.buyer) == UNIFORM


def test_s18_twenty_megabytes_of_line_breaks_inside_encryption_are_refused_in_a_moment(link: Link, openssl, buyer_key):
    for inside in (b"\r\n" * 10 * MB, with_head(SIGNED, b"\r\n" * 10 * MB), with_head(SIGNED, b"\n\r" * 10 * MB)):
        blob = openssl.encrypt(inside, buyer_key, cipher="aes-128-cbc")
        assert refused(headers(ENVELOPED), blob, link.buyer) == UNIFORM


def test_s19_where_a_receipt_is_wanted_is_told_to_the_door_as_it_stands():
    """The engine posts nothing; the door holds the address against the partner's list."""
    asked = requested_receipt(headers(SIGNED, receipt_delivery_option="http://169.254.169.254/latest"))
    assert asked is not None
    assert asked.delivery_url == "http://169.254.169.254/latest"


def test_s20_a_message_without_a_signer_is_refused_by_rule(link: Link, openssl, supplier_key):
    body = signed(ENTITY, without_signers(openssl.sign(ENTITY, supplier_key)))
    with pytest.raises(Rejected) as caught:
        receive(headers(SIGNED), body, replace(link.buyer, encrypted=False))
    assert (caught.value.disposition, caught.value.why) == (UNIFORM, "signature: ValueError: 0 signers")


def test_s21_a_message_without_an_id_is_malformed(link: Link):
    request, body = sent(link)
    del request["Message-ID"]
    with pytest.raises(MalformedRequest, match="Message-ID is missing"):
        receive(request, body, link.buyer)


def test_s22_a_stranger_who_uses_a_partners_next_id_changes_nothing(link: Link, stranger_key):
    """The engine remembers nothing; the door records an id only with a message that was accepted."""
    request, body = sent(link)
    assert refused(*sent(link, our_signing=(stranger_key,)), link.buyer) == UNIFORM  # the same id
    assert receive(request, body, link.buyer).payload == EDI
    assert original_message_id(request, body) is None


@pytest.mark.parametrize("name", ["../../etc/passwd", "..\\..\\etc\\passwd", "/etc/passwd", "a\\../passwd"])
def test_s23_a_file_name_is_never_a_path(link: Link, openssl, supplier_key, name):
    escaped = re.sub(r"\\", r"\\\\", name)
    entity = f'Content-Disposition: attachment; filename="{escaped}"\r\n'.encode() + ENTITY
    body = signed(entity, openssl.sign(entity, supplier_key))
    assert receive(headers(SIGNED), body, replace(link.buyer, encrypted=False)).file_name == "passwd"
