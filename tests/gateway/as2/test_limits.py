"""Whatever bytes come: one exception, bounded time, bounded memory."""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.transports.as2 import MalformedRequest, Rejected, Verdict, build_mdn, build_message, der, read_mdn, receive
from gateway.transports.as2.certificates import identity
from gateway.transports.as2.compression import MAX_RATIO, MIN_INFLATED_BYTES, compress, inflate
from gateway.transports.as2.envelopes import encrypt
from partners.profiles import Algorithms
from tests.cost import cpu_at_most
from tests.gateway.as2.conftest import EDI, Link, public
from tests.gateway.as2.handmade import COMPRESSED, ENVELOPED, SIGNED, headers, with_head

MB = 1024 * 1024


def sealed(content: bytes, recipient) -> bytes:
    return b"".join(encrypt([content], [identity(public(recipient))], cipher="aes128_cbc"))


def refused_in_a_moment(request: dict[str, str], body: bytes, terms) -> None:
    with cpu_at_most(1), pytest.raises(Rejected):
        receive(request, body, terms)


# ---------------------------------------------------------------------------------------------------------- inflate
BOMB = """
import resource, sys, time, zlib
from gateway.transports.as2 import Rejected, der, receive
from gateway.transports.as2.compression import compress
from partners.profiles import As2Terms
from tests.gateway.as2.handmade import COMPRESSED, headers, with_head

terms = As2Terms(our_name="ACME BUYING", their_name="boltco", url=None, signed=False, encrypted=False)
stream = zlib.compressobj(9)
flat = stream.compress(b"Content-Type: application/edi-x12\\r\\n\\r\\n") + stream.flush(zlib.Z_FULL_FLUSH)
megabyte = stream.compress(bytes(1 << 20)) + stream.flush(zlib.Z_FULL_FLUSH)  # stands for itself, so it can be repeated
flat += 1024 * megabyte

def blob(data):
    inner = der.joined(0x30, der.OID_DATA, der.joined(0xA0, der.joined(4, data)))
    algorithm = der.joined(0x30, der.oid("1.2.840.113549.1.9.16.3.8"))
    return der.joined(0x30, der.OID_COMPRESSED, der.joined(0xA0, der.joined(0x30, b"\\x02\\x01\\x00", algorithm, inner)))

once = blob(flat)
twice = b"".join(compress([with_head(COMPRESSED, once)]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
cpu = time.process_time()
said = []
for body in (once, twice):
    try:
        receive(headers(COMPRESSED), body, terms)
    except Rejected as rejected:
        said.append(rejected.why.partition(":")[0])
print(said, len(once) // 1024, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024,
      time.process_time() - cpu < 1)
"""


def test_a_gigabyte_in_a_megabyte_costs_neither_memory_nor_time():
    done = subprocess.run([sys.executable, "-c", BOMB], capture_output=True, text=True, timeout=60, check=True)
    said, wire_kb, grown_mb, quick = done.stdout.replace("', '", "';'").split()
    assert (said, quick) == ("['inflating';'reading']", "True")
    assert int(wire_kb) < 1100
    assert int(grown_mb) < 150


def test_what_compresses_well_and_is_small_is_no_bomb(link: Link):
    agreed = link.agreeing(compressed=True)
    payload = b"PO1*1*40*EA*3.15**BP*M8-40-ZN~\r\n" * 30_000
    sent = build_message(payload, terms=agreed.supplier, message_id="c@boltco", file_name=None)
    assert len(payload) > MAX_RATIO * len(sent.body)
    assert len(payload) < MIN_INFLATED_BYTES
    assert receive(sent.headers, sent.body, agreed.buyer).payload == payload


@pytest.mark.parametrize("size", [MB - 1, MB, MB + 1, 3 * MB - 258, 3 * MB, 5 * MB + 7])
def test_what_inflates_to_whole_pieces_loses_nothing_at_their_edges(size: int):
    content = b"".join(b"PO1*%06d*40*EA*3.15~" % number for number in range(size // 21 + 1))[:size]
    blob = b"".join(compress([content]))
    assert inflate(memoryview(blob), max_bytes=8 * MB) == content


# ---------------------------------------------------------------------------------------------------------- slicing
def nested(depth: int) -> bytes:
    opening = "".join(f'Content-Type: multipart/signed; boundary="b{n}"\r\n\r\n--b{n}\r\n' for n in range(depth))
    closing = "".join(f"\r\n--b{n}--\r\n" for n in reversed(range(depth)))
    return f"{opening}Content-Type: text/plain\r\n\r\nhello{closing}".encode()


@pytest.mark.parametrize(
    "entity",
    [
        nested(2000),
        b"Content-Type: multipart/signed; boundary=q\r\n\r\n" + b"--q\r\n\r\nx\r\n" * 100_000 + b"--q--\r\n",
        b"Content-Type: multipart/signed; boundary=q\r\n\r\n" + b"\r\n" * 10 * MB,
        b"Content-Type: multipart/signed; boundary=q\r\n\r\n" + b"\r\n--qx" * 3 * MB,
        b"Content-Type: multipart/signed; boundary=-\r\n\r\n" + b"-" * 20 * MB,
        b"Content-Type: multipart/signed; boundary=q\r\n\r\n--q\r\n" + b"X: y\r\n" * MB + b"\r\n--q\r\n\r\n--q--",
        b"Content-Type: multipart/signed" + b"; a=b" * 10_000 + b"\r\n\r\nx",
        b"Content-Type: multipart/signed; " + b";" * 60_000 + b"\r\n\r\nx",
        b"X: y\r\n" * 3 * MB,
        b"A" * 20 * MB,
        b"Content-Type: multipart/signed; boundary=q\r\n\r\n--q\r\n\r\nx\r\n--q\r\n\r\n"
        + b"0\x80" * 30_000
        + b"\r\n--q--",
    ],
    ids=lambda entity: repr(entity[:40]),
)
def test_hostile_content_inside_encryption_is_refused_in_a_moment(link: Link, buyer_key, entity):
    blob = sealed(entity, buyer_key)
    refused_in_a_moment(headers(ENVELOPED), blob, replace(link.buyer, max_bytes=64 * MB))


@pytest.mark.parametrize(
    "blob",
    [
        b"\x30\x80" * 5 * MB,
        b"\x30\x80" + der.OID_ENVELOPED + b"\xa0\x80\x30\x80\x02\x01\x00\x31\x80" + b"\x05\x00" * 5 * MB,
        b"\x30\x84\x01\x00\x00\x00" + b"\x06\x00" * 5 * MB,
    ],
    ids=["opened and never closed", "endless recipients", "wrong length"],
)
def test_hostile_asn1_is_refused_in_a_moment(link: Link, blob):
    refused_in_a_moment(headers(ENVELOPED), blob, link.buyer)


def test_an_octet_string_in_a_million_pieces_is_refused_in_a_moment(link: Link, openssl, buyer_key):
    blob = openssl.encrypt(with_head("text/plain", b"x" * 100), buyer_key, cipher="aes-128-cbc", options=("-stream",))
    at = blob.index(b"\xa0\x80\x04")
    hostile = blob[: at + 2] + b"\x04\x01x" * MB + b"\0" * 10
    refused_in_a_moment(headers(ENVELOPED), hostile, link.buyer)


# ------------------------------------------------------------------------------------------------------------- fuzz
def mutated(octets: bytes, chance: random.Random) -> bytes:
    out = bytearray(octets)
    for _change in range(chance.choice((1, 1, 2, 8))):
        at = chance.randrange(len(out))
        match chance.randrange(7):
            case 0:
                out[at] ^= 1 << chance.randrange(8)
            case 1:
                out[at] = chance.choice((0, 0x80, 0xFF, 0x30, 0x04, 0x7F, 13, 10))
            case 2:
                del out[at : at + chance.randrange(1, 64)]
            case 3:
                out[at:at] = chance.randbytes(chance.randrange(1, 32))
            case 4:
                other = chance.randrange(len(out))
                out[at:at] = out[other : other + chance.randrange(1, 200)]
            case 5:
                del out[at:]
            case 6:
                out[at : at + 2] = b"\r\n"
        out = out or bytearray(b"0")
    return bytes(out)


WRAPPINGS = [
    {"encrypted": False},
    {"encrypted": False, "compressed": True},
    {},
    {"cipher": "aes256_gcm", "compressed": True},
    {"signed": False, "compressed": True, "encrypted": False},
    {"signed": False},
    {"signature_scheme": "pss", "key_transport": "oaep_sha256", "cipher": "aes128_gcm"},
    {"algorithms": Algorithms.LEGACY, "digest": "sha1", "key_transport": "oaep_sha1", "cipher": "des_ede3_cbc"},
]


@pytest.mark.parametrize("wrapping", WRAPPINGS, ids=str)
def test_of_mutated_messages_none_is_accepted_altered_and_only_rejections_escape(link: Link, wrapping):
    chance = random.Random(str(wrapping))
    agreed = link.agreeing(**wrapping)
    sent = build_message(EDI, terms=agreed.supplier, message_id="z@boltco", file_name="855.edi")
    for _round in range(600):
        request = dict(sent.headers)
        if chance.random() < 0.1:
            name = chance.choice(list(request))
            request[name] = mutated(request[name].encode(), chance).decode("latin-1")
        try:
            got = receive(request, mutated(sent.body, chance), agreed.buyer)
        except (Rejected, MalformedRequest):
            continue
        assert got.payload == EDI or not agreed.buyer.signed


def test_of_mutated_receipts_none_proves_anything_else(link: Link):
    chance = random.Random(7)
    sent = build_message(EDI, terms=link.buyer, message_id="z@acme", file_name=None)
    got = receive(sent.headers, sent.body, link.supplier)
    mdn = build_mdn(sent.headers, terms=link.supplier, mic=(got.mic, got.mic_algorithm), text="ok")
    verdicts = {
        read_mdn(
            mdn.headers, mutated(mdn.body, chance), message_id="z@acme", digests=sent.digests, terms=link.buyer
        ).verdict
        for _round in range(1500)
    }
    assert verdicts <= {Verdict.DELIVERED, Verdict.INVALID}


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content_type=st.one_of(st.text(max_size=60), st.sampled_from([ENVELOPED, COMPRESSED, SIGNED])),
    extra=st.dictionaries(
        st.sampled_from(["Content-Transfer-Encoding", "Content-Disposition", "AS2-Version"]), st.text(max_size=20)
    ),
    body=st.binary(max_size=300),
    strict=st.booleans(),
)
def test_any_request_is_received_or_rejected(link: Link, content_type, extra, body, strict):
    terms = link.buyer if strict else link.agreeing(signed=False, encrypted=False).buyer
    try:
        receive(headers(content_type) | extra, body, terms)
    except (Rejected, MalformedRequest) as refusal:
        assert refusal.why


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content_type=st.text(max_size=60), body=st.binary(max_size=300))
def test_any_answer_is_judged(link: Link, content_type, body):
    got = read_mdn({"Content-Type": content_type}, body, message_id="z@acme", digests={}, terms=link.buyer)
    assert got.verdict is Verdict.INVALID
