"""What goes in comes out: payload and MIC, for every way to wrap a message and any bytes."""

from __future__ import annotations

import hashlib
import itertools
import zlib
from dataclasses import replace

import pytest
from asn1crypto import cms
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.transports.as2 import LayerKind, Verdict, build_mdn, build_message, read_mdn, receive
from tests.gateway.as2.conftest import EDI, Link

CIPHERS = ("aes128_cbc", "aes192_cbc", "aes256_cbc", "aes128_gcm", "aes192_gcm", "aes256_gcm")
TYPES = ("application/edi-x12", "application/octet-stream", "text/plain", "application/xml; charset=utf-8", "text/csv")
COMBINATIONS = [
    {"signed": signed, "encrypted": encrypted, "compressed": compressed, "compressed_after_signing": last}
    for signed, encrypted, compressed, last in itertools.product((True, False), repeat=4)
    if compressed or not last
]


@pytest.mark.parametrize("wrapping", COMBINATIONS, ids=str)
def test_every_wrapping_arrives_with_the_mic_we_kept(link: Link, wrapping):
    agreed = link.agreeing(**wrapping)
    sent = build_message(EDI, terms=agreed.supplier, message_id="a@boltco", file_name="855.edi")
    got = receive(sent.headers, sent.body, agreed.buyer)
    assert (got.payload, got.file_name, got.content_type) == (EDI, "855.edi", "application/edi-x12")
    assert got.mic == sent.digests[got.mic_algorithm]
    assert {layer.kind for layer in got.layers} == {kind for kind in LayerKind if wrapping[kind.value]}
    mdn = build_mdn(sent.headers, terms=agreed.buyer, mic=(got.mic, got.mic_algorithm), text="stored")
    receipt = read_mdn(mdn.headers, mdn.body, message_id=sent.message_id, digests=sent.digests, terms=agreed.supplier)
    assert receipt.verdict is Verdict.DELIVERED


@pytest.mark.parametrize("last", [True, False])
def test_what_is_compressed_is_a_zlib_stream_of_what_the_mic_is_over_or_of_what_is_signed(link: Link, last):
    """Python's zlib and asn1crypto for openssl, which is mostly built without zlib."""
    terms = replace(link.supplier, encrypted=False, compressed=True, compressed_after_signing=last)
    sent = build_message(EDI, terms=terms, message_id="z@boltco", file_name=None)
    blob = sent.body if last else sent.covered.partition(b"\r\n\r\n")[2]
    info = cms.ContentInfo.load(blob, strict=True)
    assert (info["content_type"].native, info["content"]["version"].native) == ("compressed_data", "v0")
    inside = zlib.decompress(info["content"]["encap_content_info"]["content"].native)
    kind = b"multipart/signed;" if last else b"application/edi-x12\r\n"
    assert inside.startswith(b"Content-Type: " + kind)
    assert (sent.covered in inside) == last
    assert hashlib.sha256(sent.covered).digest() == sent.digests["sha256"]


@pytest.mark.parametrize("cipher", CIPHERS)
@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
def test_every_cipher_and_digest_we_offer_is_read(link: Link, cipher: str, digest: str):
    agreed = link.agreeing(cipher=cipher, digest=digest)
    sent = build_message(EDI, terms=agreed.supplier, message_id="b@boltco", file_name=None)
    got = receive(sent.headers, sent.body, agreed.buyer)
    assert [layer.algorithm for layer in got.layers] == [cipher, digest]
    assert (got.payload, got.mic, got.mic_algorithm) == (EDI, sent.digests[digest], digest)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    payload=st.one_of(
        st.binary(max_size=400),
        st.text(alphabet="ISA*~\r\n-=_ \0é", max_size=200).map(str.encode),
        st.sampled_from([b"", b"\r\n", b"\r\n\r\n", b"--", b"--\r\n", b"\n\r", b"From me\r\n", b"x" * 70_000]),
    ),
    wrapping=st.sampled_from(COMBINATIONS),
    cipher=st.sampled_from(CIPHERS),
    content_type=st.sampled_from(TYPES),
)
def test_any_bytes_of_any_type_arrive_as_they_were(link: Link, payload, wrapping, cipher, content_type):
    agreed = link.agreeing(cipher=cipher, **wrapping)
    sent = build_message(
        payload, terms=agreed.supplier, message_id="p@boltco", content_type=content_type, file_name="any.bin"
    )
    got = receive(sent.headers, sent.body, agreed.buyer)
    assert got.payload == payload
    assert got.content_type == content_type
    assert got.mic == sent.digests[got.mic_algorithm]
