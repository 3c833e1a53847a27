"""Any octets, of any type, in any wrapping, arrive as they were; and another program finds the same octets signed."""

from __future__ import annotations

import base64
import zlib
from dataclasses import replace

from asn1crypto import cms
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway.transports.as2 import Outgoing, build_message, receive
from partners.profiles import CertificateRef
from tests.gateway.as2.conftest import EDI, Link
from tests.gateway.as2.handmade import Openssl

QUIET = [HealthCheck.function_scoped_fixture]
PAYLOADS = st.one_of(
    st.binary(max_size=500),
    st.text(alphabet="ISA*~\r\n\t -=_.:;\"'\0é€", max_size=200).map(str.encode),
    st.binary(min_size=1, max_size=60).map(lambda octets: octets * 3000),
)
TYPES = st.from_regex(
    r'(application|text|image|x-any)/[A-Za-z0-9.+-]{1,20}(; ?[a-z]{1,8}=("[ !#-\[\]-~]{0,12}"|[A-Za-z0-9-]{1,8})){0,2}',
    fullmatch=True,
).filter(lambda text: "pkcs7-mime" not in text)
WRAPPINGS = st.fixed_dictionaries(
    {
        "signed": st.booleans(),
        "encrypted": st.booleans(),
        "compressed": st.booleans(),
        "compressed_after_signing": st.booleans(),
        "digest": st.sampled_from(["sha256", "sha384", "sha512"]),
        "cipher": st.sampled_from(["aes128_cbc", "aes192_cbc", "aes256_cbc", "aes128_gcm", "aes192_gcm", "aes256_gcm"]),
    }
)
NAMES = st.one_of(st.none(), st.text(min_size=1, max_size=40))


def built(link: Link, payload: bytes, content_type: str, name: str | None, wrapping) -> tuple[Link, Outgoing]:
    agreed = link.agreeing(**wrapping)
    sent = build_message(
        payload, terms=agreed.supplier, message_id="f@boltco", content_type=content_type, file_name=name
    )
    return agreed, sent


@settings(max_examples=300, deadline=None, suppress_health_check=QUIET)
@given(payload=PAYLOADS, content_type=TYPES, name=NAMES, wrapping=WRAPPINGS)
@example(payload=b"", content_type="text/plain", name=None, wrapping={"signed": False, "encrypted": False})
@example(payload=b"\r\n.\r\n--", content_type="text/plain; charset=utf-8", name=".", wrapping={"compressed": True})
def test_any_octets_of_any_type_in_any_wrapping_arrive_as_they_were(link: Link, payload, content_type, name, wrapping):
    agreed, sent = built(link, payload, content_type, name, wrapping)
    got = receive(sent.headers, sent.body, agreed.buyer)
    assert (got.payload, got.content_type) == (payload, content_type)
    assert got.mic == sent.digests[got.mic_algorithm]


@settings(max_examples=40, deadline=None, suppress_health_check=QUIET)
@given(payload=PAYLOADS, content_type=TYPES, name=NAMES, wrapping=WRAPPINGS)
def test_openssl_finds_the_same_octets_signed(
    link: Link, openssl: Openssl, supplier_key, buyer_key, payload, content_type, name, wrapping
):
    _agreed, sent = built(link, payload, content_type, name, wrapping | {"signed": True})
    entity = f"Content-Type: {sent.headers['Content-Type']}\r\n\r\n".encode() + sent.body
    if wrapping["encrypted"]:
        entity = openssl.decrypt(sent.body, buyer_key)
    if b"smime-type=compressed-data" in entity.partition(b"\r\n\r\n")[0]:
        entity = inflated(entity.partition(b"\r\n\r\n")[2])
    covered, signature = taken_apart(entity)
    assert verified(openssl, covered, signature, supplier_key) == covered == sent.covered
    document = covered
    if wrapping["compressed"] and not wrapping["compressed_after_signing"]:
        document = inflated(covered.partition(b"\r\n\r\n")[2])
    head, _blank, octets = document.partition(b"\r\n\r\n")
    assert head.startswith(f"Content-Type: {content_type}\r\nContent-Transfer-Encoding: binary".encode())
    assert octets == payload


def test_openssl_reads_the_whole_message_by_itself(link: Link, openssl: Openssl, supplier_key, buyer_key):
    """From the ciphertext to the document, with its own MIME parser, which cuts lines and joins them by CRLF."""
    sent = build_message(EDI, terms=link.supplier, message_id="f@boltco", file_name="855.edi")
    opened = openssl.decrypt(sent.body, buyer_key)
    arguments = ("-verify", "-inform", "SMIME", "-purpose", "any", "-CAfile", openssl.pem(supplier_key)[0])
    assert openssl.output(*arguments, content=opened) == sent.covered


def test_an_altered_octet_is_noticed_by_openssl_too(link: Link, openssl: Openssl, supplier_key):
    """So that agreement with it means something."""
    sent = build_message(EDI, terms=replace(link.supplier, encrypted=False), message_id="f@boltco", file_name=None)
    entity = f"Content-Type: {sent.headers['Content-Type']}\r\n\r\n".encode() + sent.body
    covered, signature = taken_apart(entity)
    assert openssl.verifies(covered, signature, supplier_key)
    assert not openssl.verifies(covered.replace(b"*40*EA", b"*90*EA"), signature, supplier_key)


def inflated(blob: bytes) -> bytes:
    """By Python's zlib and asn1crypto: openssl is mostly built without zlib."""
    return zlib.decompress(cms.ContentInfo.load(blob)["content"]["encap_content_info"]["content"].native)


def taken_apart(entity: bytes) -> tuple[bytes, bytes]:
    """What was signed, and the signature, of a multipart/signed of ours."""
    head, _blank, body = entity.partition(b"\r\n\r\n")
    boundary = b"--" + head.rpartition(b'boundary="')[2].partition(b'"')[0]
    _before, covered, signature, _after = body.split(boundary)
    return covered[2:-2], base64.b64decode(signature.partition(b"\r\n\r\n")[2])


def verified(openssl: Openssl, covered: bytes, signature: bytes, signer: CertificateRef) -> bytes:
    """What openssl says was signed."""
    stored = openssl.file("covered.bin", covered)
    arguments = ("-verify", "-binary", "-inform", "DER", "-content", stored, "-purpose", "any")
    return openssl.output(*arguments, "-CAfile", openssl.pem(signer)[0], content=signature)
