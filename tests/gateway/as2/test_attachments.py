"""Several documents in one message (RFC 6362): each arrives as it was, and one MIC is over all of them."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import itertools
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.transports.as2 import Attachment, Received, Rejected, Verdict, build_mdn, build_message, read_mdn, receive
from tests.cost import cpu_at_most
from tests.gateway.as2.conftest import EDI, Link
from tests.gateway.as2.handmade import SIGNED, Openssl, headers, signed

DRAWING = Attachment(bytes(range(256)) * 3, "image/png", "M8-40.png")
LETTER = Attachment("Größe\n".encode(), "text/plain; charset=utf-8", "Bestätigung 1.txt")
NAMELESS = Attachment(b"", "application/octet-stream", None)
WRAPPINGS = [
    {"signed": signed, "encrypted": encrypted, "compressed": compression != "none", "compressed_after_signing": last}
    for signed, encrypted, (compression, last) in itertools.product(
        (True, False), (True, False), (("none", False), ("before", False), ("after", True))
    )
]
ROOT = b"Content-Type: application/edi-x12\r\nContent-Disposition: attachment; filename=855.edi\r\n\r\nISA*00*~"
PNG = b"Content-Type: image/png; name=a.png\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw0K\r\nGgo=\r\n"


def compound(*parts: bytes, kind: str = "related", more: str = "", end: bytes = b"--RR--\r\n") -> bytes:
    body = b"".join(b"--RR\r\n" + part + b"\r\n" for part in parts) + end
    return f'Content-Type: multipart/{kind}; boundary="RR"{more}\r\n\r\n'.encode() + body


@pytest.fixture
def signed_by_boltco(link: Link, openssl: Openssl, supplier_key) -> Any:
    def received(entity: bytes, **terms: Any) -> Received:
        body = signed(entity, openssl.sign(entity, supplier_key))
        return receive(headers(SIGNED), body, replace(link.buyer, encrypted=False, **terms))

    return received


# ------------------------------------------------------------------------------------------------------------- ours
@pytest.mark.parametrize("wrapping", WRAPPINGS, ids=str)
def test_every_document_arrives_as_it_was_and_one_mic_is_over_all(link: Link, wrapping):
    agreed = link.agreeing(**wrapping)
    sent = build_message(
        EDI,
        terms=agreed.supplier,
        message_id="a@boltco",
        content_type="application/edi-x12; charset=us-ascii",
        file_name="855.edi",
        attachments=(DRAWING, LETTER, NAMELESS),
    )
    got = receive(sent.headers, sent.body, agreed.buyer)
    assert (got.payload, got.content_type, got.file_name) == (EDI, "application/edi-x12; charset=us-ascii", "855.edi")
    assert got.attachments == (DRAWING, LETTER, NAMELESS)
    assert got.mic == sent.digests["sha256"] == hashlib.sha256(sent.covered).digest()
    mdn = build_mdn(sent.headers, terms=agreed.buyer, mic=(got.mic, got.mic_algorithm), text="stored")
    receipt = read_mdn(mdn.headers, mdn.body, message_id=sent.message_id, digests=sent.digests, terms=agreed.supplier)
    assert receipt.verdict is Verdict.DELIVERED


def test_the_type_of_the_root_is_told_in_front(link: Link):
    terms = replace(link.supplier, encrypted=False, signed=False)
    sent = build_message(EDI, terms=terms, message_id="t@boltco", file_name=None, attachments=(DRAWING,))
    assert sent.headers["Content-Type"].startswith('multipart/related; type="application/edi-x12"; boundary="=_')
    alone = build_message(EDI, terms=terms, message_id="t@boltco", file_name=None)
    assert alone.headers["Content-Type"] == "application/edi-x12"
    assert receive(alone.headers, alone.body, link.agreeing(encrypted=False, signed=False).buyer).attachments == ()


def test_openssl_verifies_the_whole_of_it(link: Link, openssl: Openssl, supplier_key):
    terms = replace(link.supplier, encrypted=False)
    sent = build_message(EDI, terms=terms, message_id="o@boltco", file_name=None, attachments=(DRAWING, LETTER))
    blob = base64.b64decode(sent.body.rpartition(b"filename=smime.p7s\r\n\r\n")[2].partition(b"--")[0])
    assert openssl.verifies(sent.covered, blob, supplier_key)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(contents=st.lists(st.one_of(st.binary(max_size=60), st.sampled_from([b"\r\n", b"--", b"\r\n--=_"])), max_size=6))
def test_any_bytes_arrive_in_any_number_of_documents(link: Link, contents):
    attachments = tuple(Attachment(content, "application/octet-stream", None) for content in contents)
    sent = build_message(EDI, terms=link.supplier, message_id="p@boltco", file_name=None, attachments=attachments)
    got = receive(sent.headers, sent.body, link.buyer)
    assert (got.payload, got.attachments) == (EDI, attachments)


def test_fifty_documents_are_sent_and_read_and_no_more(link: Link):
    sent = build_message(EDI, terms=link.supplier, message_id="n@boltco", file_name=None, attachments=[NAMELESS] * 49)
    assert len(receive(sent.headers, sent.body, link.buyer).attachments) == 49
    with pytest.raises(ValueError, match="at most 50 documents"):
        build_message(EDI, terms=link.supplier, message_id="n@boltco", file_name=None, attachments=[NAMELESS] * 50)


def test_an_attachment_cannot_break_a_header(link: Link):
    with pytest.raises(ValueError, match="printable"):
        build_message(
            EDI,
            terms=link.supplier,
            message_id="n@boltco",
            file_name=None,
            attachments=[Attachment(b"", "image/png\r\nX: y", None)],
        )


# ----------------------------------------------------------------------------------------------------------- theirs
@pytest.mark.parametrize("kind", ["related", "Related", "mixed"])
def test_a_transfer_encoding_is_undone_for_each_document_and_kept_for_the_hash(signed_by_boltco, kind):
    entity = compound(ROOT, PNG, kind=kind, more='; type="application/edi-x12"')
    got = signed_by_boltco(entity)
    assert (got.payload, got.content_type, got.file_name) == (b"ISA*00*~", "application/edi-x12", "855.edi")
    assert got.attachments == (Attachment(b"\x89PNG\r\n\x1a\n", "image/png; name=a.png", "a.png"),)
    assert got.mic == hashlib.sha256(entity).digest()


@pytest.mark.parametrize("start", ['"<root@boltco>"', "root@boltco"])
def test_the_root_may_be_named_instead_of_coming_first(signed_by_boltco, start):
    entity = compound(PNG, b"Content-ID: <root@boltco>\r\n" + ROOT, more=f"; start={start}")
    got = signed_by_boltco(entity)
    assert (got.payload, [other.file_name for other in got.attachments]) == (b"ISA*00*~", ["a.png"])


def test_a_root_that_is_named_and_missing_is_the_first(signed_by_boltco):
    assert signed_by_boltco(compound(ROOT, PNG, more='; start="<other>"')).payload == b"ISA*00*~"


def test_plain_text_in_front_of_the_first_document_is_skipped(signed_by_boltco):
    entity = compound(ROOT).replace(b"\r\n\r\n--RR", b"\r\n\r\nThis is a multipart message.\r\n--RR", 1)
    assert signed_by_boltco(entity).payload == b"ISA*00*~"


def test_a_multipart_inside_a_document_is_that_document(signed_by_boltco):
    inner = b"Content-Type: multipart/mixed; boundary=II\r\n\r\n--II\r\n\r\nx\r\n--II--\r\n"
    got = signed_by_boltco(compound(ROOT, inner))
    assert got.attachments == (Attachment(b"--II\r\n\r\nx\r\n--II--\r\n", "multipart/mixed; boundary=II", None),)


def test_without_signature_and_encryption_the_mic_is_over_the_body(link: Link):
    head, _blank, body = compound(ROOT, PNG).partition(b"\r\n\r\n")
    request = headers(head.decode().removeprefix("Content-Type: "))
    got = receive(request, body, replace(link.buyer, signed=False, encrypted=False))
    assert (got.payload, len(got.attachments), got.mic) == (b"ISA*00*~", 1, hashlib.sha256(body).digest())


@pytest.mark.parametrize(
    ("entity", "cause"),
    [
        (compound(ROOT, PNG, end=b""), "not closed"),
        (compound(ROOT, PNG, end=b"--RR--\r\nISA*more~"), "behind its end"),
        (compound(ROOT, *[PNG] * 50), "too many parts"),
        (compound(), "without a part"),
        (compound(ROOT, b"X: y"), "the header has no end"),
        (compound(ROOT, PNG.replace(b"iVBO", b"iVBO--")), "not base64"),
        (compound(ROOT, PNG.replace(b"Ggo=", b"Ggo")), "padding"),
        (compound(ROOT, b"Content-Type: a/b\r\n" + PNG), "content-type is repeated"),
        (compound(ROOT).replace(b'"RR"', b'""'), "without a usable boundary"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_message_that_cannot_be_taken_apart_is_refused_whole_and_kept_for_staff(signed_by_boltco, entity, cause):
    with pytest.raises(Rejected) as caught:
        signed_by_boltco(entity)
    assert str(caught.value.disposition) == "processed/error: unexpected-processing-error"
    assert cause in caught.value.why
    assert caught.value.salvaged == entity.partition(b"\r\n\r\n")[2]
    assert caught.value.mic == (hashlib.sha256(entity).digest(), "sha256")


# ---------------------------------------------------------------------------------------------------------- hostile
MB = 1024 * 1024


@pytest.mark.parametrize(
    "body",
    [
        b"--RR\r\n\r\nx\r\n" * 100_000 + b"--RR--\r\n",
        b"\r\n--RRx" * 3 * MB,
        b"\r\n" * 10 * MB,
        b"--RR\r\n" + b"X: y\r\n" * 3 * MB + b"\r\n\r\n--RR--\r\n",
        (b"--RR\r\n" + b"X: y\r\n" * 10_000 + b"\r\nx\r\n") * 50 + b"--RR--\r\n",
        b"--RR\r\nContent-Transfer-Encoding: base64\r\n\r\n" + b"A" * (20 * MB - 1) + b"\r\n--RR--\r\n",
        b"--RR\r\n\r\nx" + b"\r\n--RR" * 51,
    ],
    ids=lambda body: repr(body[:30]),
)
def test_a_multipart_made_to_be_costly_is_taken_or_refused_in_a_moment(link: Link, body):
    terms = replace(link.buyer, signed=False, encrypted=False)
    with cpu_at_most(2), contextlib.suppress(Rejected):
        receive(headers("multipart/related; boundary=RR"), body, terms)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pieces=st.lists(
        st.one_of(
            st.sampled_from([b"--RR", b"--RR\r\n", b"--RR--", b"\r\n", b"\r\n\r\n", b"Content-Type: a/b; name=x"]),
            st.sampled_from([b"Content-Transfer-Encoding: base64", b"Content-ID: <r>", b"QUJD", b"ISA*~"]),
            st.binary(max_size=8),
        ),
        max_size=20,
    ),
    start=st.sampled_from(
        ["", "; start=r", "; start=", '; start="<'],
    ),
)
def test_any_body_is_taken_apart_or_refused(link: Link, pieces, start):
    """And whatever is handed on stood there, or is what base64 stood there for."""
    body = b"".join(pieces)
    terms = replace(link.buyer, signed=False, encrypted=False)
    try:
        got = receive(headers(f"multipart/mixed; boundary=RR{start}"), body, terms)
    except Rejected as rejected:
        assert rejected.why
        return
    for content in (got.payload, *(other.content for other in got.attachments)):
        assert content in body or content.replace(b"ABC", b"QUJD") in b"".join(body.split())
    assert got.mic == hashlib.sha256(body).digest()


def test_of_altered_messages_none_loses_or_changes_a_document(link: Link):
    chance = random.Random(6362)
    agreed = link.agreeing(encrypted=False)
    sent = build_message(
        EDI, terms=agreed.supplier, message_id="z@boltco", file_name="855.edi", attachments=(DRAWING, LETTER)
    )
    accepted = 0
    for _round in range(400):
        altered = bytearray(sent.body)
        at = chance.randrange(len(altered))
        altered[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
        try:
            got = receive(sent.headers, bytes(altered), agreed.buyer)
        except Rejected:
            continue
        accepted += 1
        assert (got.payload, got.attachments, got.mic) == (EDI, (DRAWING, LETTER), sent.digests["sha256"])
    assert accepted < 100  # what is not covered: the header of the signature's own part
