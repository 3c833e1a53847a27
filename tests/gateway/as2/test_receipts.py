"""A receipt says "delivered" only when the partner's key says so, about our message, with a MIC that agrees."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from asn1crypto import cms

from gateway.transports.as2 import (
    Outgoing,
    Receipt,
    Verdict,
    build_mdn,
    build_message,
    original_message_id,
    read_mdn,
    receive,
)
from gateway.transports.as2.names import unquoted
from tests.cost import cpu_at_most
from tests.gateway.as2.conftest import EDI, Link
from tests.gateway.as2.handmade import Openssl, headers, signed

NOBODY = cms.ContentInfo(
    {
        "content_type": "signed_data",
        "content": {
            "version": "v1",
            "digest_algorithms": [],
            "encap_content_info": {"content_type": "data"},
            "signer_infos": [],
        },
    }
).dump()
SIGNED_TYPE = 'multipart/signed; protocol="application/pkcs7-signature"; micalg=sha-256; boundary="BB"'


@pytest.fixture(scope="module")
def order(link: Link) -> Outgoing:
    """A message of ours to boltco."""
    return build_message(EDI, terms=link.buyer, message_id="po-1@acme", file_name=None)


def mic_line(order: Outgoing, algorithm: str = "sha256", label: str = "sha-256") -> str:
    return f"Received-Content-MIC: {base64.b64encode(order.digests[algorithm]).decode()}, {label}\r\n"


def report(disposition: str, mic: str = "", message_id: str = "<po-1@acme>", notifications: int = 1) -> bytes:
    """A multipart/report as a partner may write it."""
    notification = (
        "--RR\r\nContent-Type: message/disposition-notification\r\n\r\nReporting-UA: boltco\r\n"
        "Original-Recipient: rfc822; boltco\r\nFinal-Recipient: rfc822; boltco\r\n"
        f"Original-Message-ID: {message_id}\r\n"
        f"Disposition: automatic-action/MDN-sent-automatically; {disposition}\r\n{mic}\r\n"
    )
    return (
        'Content-Type: multipart/report; report-type=disposition-notification; boundary="RR"\r\n\r\n'
        "--RR\r\nContent-Type: text/plain\r\n\r\nSee below.\r\n" + notification * notifications + "--RR--\r\n"
    ).encode()


@pytest.fixture
def judged(link: Link, order: Outgoing) -> Callable[..., Receipt]:
    def judge(body: bytes, content_type: str = SIGNED_TYPE, **terms: Any) -> Receipt:
        return read_mdn(
            {"content-type": content_type},
            body,
            message_id="po-1@acme",
            digests=order.digests,
            terms=replace(link.buyer, **terms),
        )

    return judge


@pytest.fixture
def by_boltco(openssl: Openssl, supplier_key, judged) -> Callable[..., Receipt]:
    """Judge a report that boltco really signed."""

    def judge(content: bytes, **terms: Any) -> Receipt:
        receipt: Receipt = judged(signed(content, openssl.sign(content, supplier_key)), **terms)
        return receipt

    return judge


# ---------------------------------------------------------------------------------------------------------- honest
@pytest.mark.parametrize(
    ("algorithm", "label"), [("sha1", "sha1"), ("sha256", "SHA-256"), ("sha384", "sha384"), ("sha512", "sha2-512")]
)
def test_a_mic_in_any_digest_we_kept_proves_delivery(by_boltco, order, algorithm, label):
    got = by_boltco(report("processed", mic_line(order, algorithm, label)))
    assert (got.verdict, got.mic_algorithm) == (Verdict.DELIVERED, algorithm)


@pytest.mark.parametrize(
    "alter",
    [
        lambda text: text.replace(b"; processed", b"; Processed"),
        lambda text: text.replace(b"MIC: ", b"MIC:\r\n ").replace(b", sha", b",\r\n\tsha"),
        lambda text: re.sub(
            rb"(?m)^(Original-Message-ID|Disposition|Received-Content-MIC):", lambda m: m[0].lower(), text
        ),
        lambda text: text.replace(b"<po-1@acme>", b"po-1@acme"),
        lambda text: text.replace(b"message/disposition-notification", b"Message/Disposition-Notification"),
    ],
)
def test_unusual_spellings_of_an_honest_receipt_are_read(by_boltco, order, alter):
    assert by_boltco(alter(report("processed", mic_line(order)))).verdict is Verdict.DELIVERED


def test_a_warning_with_the_right_mic_is_a_delivery_with_a_word(by_boltco, order):
    got = by_boltco(report("processed/warning: duplicate-document", mic_line(order)))
    assert (got.verdict, got.text) == (Verdict.WARNING, "processed/warning: duplicate-document")


def test_a_delivery_with_words_beside_it_is_a_warning(by_boltco, order):
    got = by_boltco(report("processed", mic_line(order) + "Warning: the file name was changed\r\n"))
    assert (got.verdict, got.text) == (Verdict.WARNING, "processed (the file name was changed)")


def test_the_words_of_a_no_are_told_wherever_they_stand(by_boltco):
    fields = "Error: no key\r\n fits\r\nerror: ask\x07 EDI\r\nFailure: 17\r\n"
    got = by_boltco(report("processed/error", fields))
    assert (got.verdict, got.text) == (Verdict.REJECTED, "processed/error (no key fits; ask EDI; 17)")
    assert got.explanation == "See below."


def test_a_partners_words_are_cleaned_and_cut(by_boltco, order):
    words = b"a\x1b[31m\xe2\x80\xaeb\r\n" + b"n" * 9_000
    got = by_boltco(report("processed", mic_line(order)).replace(b"See below.", words))
    assert got.verdict is Verdict.DELIVERED
    assert got.explanation == "a [31m b " + "n" * 991


def test_words_that_cannot_be_read_cost_no_receipt(by_boltco, order):
    broken = report("processed", mic_line(order)).replace(
        b"text/plain\r\n", b"text/plain\r\nContent-Transfer-Encoding: base64\r\n", 1
    )
    got = by_boltco(broken)
    assert (got.verdict, got.explanation) == (Verdict.DELIVERED, "")


def test_a_disposition_without_its_mode_is_read(by_boltco, order):
    bare = report("processed", mic_line(order)).replace(b"automatic-action/MDN-sent-automatically; ", b"")
    assert by_boltco(bare).verdict is Verdict.DELIVERED


@pytest.mark.parametrize(
    "disposition",
    [
        "processed/error: decryption-failed",
        "processed/Error: authentication-failed",
        "failed/failure: sender-equals-receiver",
        "failed/Failure: unsupported format",
        "processed/error",
        "processed/warning, error: two at once",
        "failed",
    ],
)
def test_a_signed_no_is_final(by_boltco, disposition):
    got = by_boltco(report(disposition))
    assert (got.verdict, got.text) == (Verdict.REJECTED, disposition)


def test_a_signed_receipt_with_another_mic_says_something_else_arrived(by_boltco, order):
    for spelling in ("processed", "Processed", "processed/warning: x"):
        got = by_boltco(report(spelling, "Received-Content-MIC: AAAA, sha-256\r\n"))
        assert (got.verdict, "MIC differs" in got.text) == (Verdict.REJECTED, True)


def test_an_unsigned_receipt_counts_when_the_terms_ask_for_no_more(judged, order):
    head, _blank, body = report("processed", mic_line(order)).partition(b"\r\n\r\n")
    content_type = head.decode().removeprefix("Content-Type: ")
    assert judged(body, content_type, signed_mdn=False).verdict is Verdict.DELIVERED
    got = judged(body, content_type)
    assert (got.verdict, got.text) == (Verdict.INVALID, "a signed MDN was asked for; unsigned, it says: processed")


# ---------------------------------------------------------------------------------------------------------- forged
def test_a_signature_by_nobody_proves_nothing(judged, order):
    for content in (report("processed", mic_line(order)), report("processed"), report("processed/error: x")):
        assert judged(signed(content, NOBODY)).verdict is Verdict.INVALID


def test_a_stranger_proves_nothing(openssl, stranger_key, judged, order):
    content = report("processed", mic_line(order))
    assert judged(signed(content, openssl.sign(content, stranger_key))).verdict is Verdict.INVALID


def test_a_report_beside_the_signed_part_is_not_read(openssl, supplier_key, judged, order):
    """The partner's own signature over anything, and our forgery next to it."""
    genuine = report("processed/error: decryption-failed", message_id="<other@acme>")
    body = signed(genuine, openssl.sign(genuine, supplier_key))
    forged = report("processed", mic_line(order))
    first, second = (
        b"--BB\r\n" + forged + b"\r\n--BB\r\n",
        b"\r\n--BB\r\n" + forged + b"\r\n--BB\r\nContent-Type: application/pkcs7",
    )
    for wrapped in (
        body.replace(b"--BB\r\n", first, 1),
        body.replace(b"\r\n--BB\r\nContent-Type: application/pkcs7", second, 1),
        body + forged,
        body.replace(b"--RR--", b"--RR--\r\n" + forged, 1),
    ):
        assert judged(wrapped).verdict is Verdict.INVALID


def test_two_notifications_in_one_report_prove_nothing(by_boltco, order):
    assert by_boltco(report("processed", mic_line(order), notifications=2)).verdict is Verdict.INVALID
    assert by_boltco(report("processed", mic_line(order), notifications=0)).verdict is Verdict.INVALID


@pytest.mark.parametrize(
    "mic",
    [
        "",
        "Received-Content-MIC: , sha-256\r\n",
        "Received-Content-MIC: AAAA, md5\r\n",
        "Received-Content-MIC: AAAA\r\n",
        "Received-Content-MIC: !!!!, sha-256\r\n",
    ],
)
def test_processed_without_a_usable_mic_is_no_delivery(by_boltco, mic):
    assert by_boltco(report("processed", mic)).verdict is Verdict.INVALID


def test_a_field_that_stands_there_twice_proves_nothing(by_boltco, order):
    twice = report("processed", mic_line(order) + mic_line(order))
    assert by_boltco(twice).verdict is Verdict.INVALID
    assert by_boltco(report("processed", mic_line(order) + "Disposition: x; processed\r\n")).verdict is Verdict.INVALID


def test_a_receipt_for_another_message_proves_nothing(by_boltco, order):
    got = by_boltco(report("processed", mic_line(order), message_id="<po-2@acme>"))
    assert (got.verdict, got.text) == (Verdict.INVALID, "the MDN is for another message")


def test_a_disposition_altered_after_signing_is_noticed(link: Link, order: Outgoing):
    terms = link.supplier
    got = receive(order.headers, order.body, terms)
    mdn = build_mdn(order.headers, terms=terms, mic=(got.mic, got.mic_algorithm), text="ok")
    altered = mdn.body.replace(b"; processed\r\n", b"; processed/error: decryption-failed\r\n")
    assert altered != mdn.body
    receipt = read_mdn(mdn.headers, altered, message_id="po-1@acme", digests=order.digests, terms=link.buyer)
    assert receipt.verdict is Verdict.INVALID


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/html", b"<h1>Service temporarily unavailable</h1>"),
        ("", b""),
        ("multipart/signed; boundary=x", b"zz"),
        (
            "multipart/report; boundary=x",
            b"--x\r\nContent-Type: message/disposition-notification\r\n\r\nDisposition: x\r\n--x--",
        ),
        ("multipart/report", b"--\r\n\r\n----"),
    ],
)
def test_an_answer_that_is_no_mdn_proves_nothing(judged, content_type, body):
    assert judged(body, content_type, signed_mdn=False).verdict is Verdict.INVALID


# -------------------------------------------------------------------------------------- which message is it about
def test_a_receipt_that_comes_by_its_own_request_names_its_message(link: Link, order: Outgoing):
    for options in (order.headers, {**order.headers, "Disposition-Notification-Options": ""}):
        mdn = build_mdn(options, terms=link.supplier, mic=None, text="ok")
        assert original_message_id(mdn.headers, mdn.body) == "<po-1@acme>"


@pytest.mark.parametrize("signature", [b"garbage", NOBODY])
def test_whose_signature_it_is_does_not_matter_for_the_name(signature):
    assert (
        original_message_id({"content-TYPE": SIGNED_TYPE.replace("multipart/signed", "Multipart/SIGNED")}, b"") is None
    )
    body = signed(report("processed").replace(b"multipart/report", b"Multipart/Report"), signature)
    assert original_message_id({"content-TYPE": SIGNED_TYPE}, body) == "<po-1@acme>"


def test_a_whole_receipt_in_base64_is_read(link: Link, openssl, supplier_key, order):
    content = report("processed", mic_line(order))
    body = base64.encodebytes(signed(content, openssl.sign(content, supplier_key)))
    request = {"Content-Type": SIGNED_TYPE, "Content-Transfer-Encoding": "base64"}
    assert original_message_id(request, body) == "<po-1@acme>"
    got = read_mdn(request, body, message_id="po-1@acme", digests=order.digests, terms=link.buyer)
    assert got.verdict is Verdict.DELIVERED


@pytest.mark.parametrize(
    "report_type", ["", "; report-type=disposition-notification", '; Report-Type="Disposition-Notification"']
)
def test_the_kind_of_report_may_be_left_out(report_type):
    _head, _blank, body = report("processed").partition(b"\r\n\r\n")
    assert original_message_id({"Content-Type": f"multipart/report{report_type}; boundary=RR"}, body) == "<po-1@acme>"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("", b""),
        ("application/edi-x12", report("processed")),
        ("application/pkcs7-mime", b"\x30\x80"),
        ("multipart/report; report-type=delivery-status; boundary=RR", report("processed").partition(b"\r\n\r\n")[2]),
        ("multipart/signed", b""),
        (SIGNED_TYPE, b""),
        (SIGNED_TYPE, b"--BB--\r\n"),
        (SIGNED_TYPE, signed(b"Content-Type: application/edi-x12\r\n\r\n" + EDI, b"")),
        (SIGNED_TYPE, signed(b"Content-Type: text/plain\r\n\r\nno\r\n--BB\r\n" + report("processed"), b"")),
        (SIGNED_TYPE, signed(b"Content-Type: a\r\nContent-Type: multipart/report\r\n\r\n", b"")),
        ("multipart/\u20ac", b""),
    ],
)
def test_a_message_is_no_receipt(content_type, body):
    assert original_message_id({"Content-Type": content_type}, body) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--RR--",
        report("processed", notifications=0).partition(b"\r\n\r\n")[2],
        report("processed", notifications=2).partition(b"\r\n\r\n")[2],
        report("processed").replace(b"Original-Message-ID", b"X-Other").partition(b"\r\n\r\n")[2],
        report("processed", message_id="a\0b").partition(b"\r\n\r\n")[2],
        report("processed", message_id="<" + "x" * 300 + ">").partition(b"\r\n\r\n")[2],
        report("processed", message_id="ä").partition(b"\r\n\r\n")[2],
        report("processed", "Original-Message-ID: <2@acme>\r\n").partition(b"\r\n\r\n")[2],
    ],
)
def test_a_receipt_that_names_no_message_is_still_a_receipt(body):
    content_type = "multipart/report; report-type=disposition-notification; boundary=RR"
    assert original_message_id({"Content-Type": content_type}, body) == ""


def test_a_large_message_is_not_searched_for_what_it_is():
    """Only its beginning is looked at; the 64 MB behind would cost tens of milliseconds each."""
    body = signed(b"Content-Type: application/edi-x12\r\n\r\n" + b"\r\n--BBx" * (8 * 1024 * 1024), b"")
    with cpu_at_most(5):
        for _message in range(100):
            assert original_message_id({"Content-Type": SIGNED_TYPE}, body) is None


# ------------------------------------------------------------------------------------------------------------- ours
def test_names_go_back_swapped_in_the_spelling_they_came_in(link: Link):
    request = headers("text/plain", as2_from='"bolt co"', as2_to="ACME BUYING", message_id="no-brackets@boltco")
    mdn = build_mdn(request, terms=link.buyer, mic=None, text="ok")
    assert (mdn.headers["AS2-From"], mdn.headers["AS2-To"]) == ("ACME BUYING", '"bolt co"')
    assert b"\r\nOriginal-Message-ID: no-brackets@boltco\r\n" in mdn.body
    assert unquoted(mdn.headers["AS2-To"], "AS2-To") == "bolt co"
    assert mdn.headers["Content-Length"] == str(len(mdn.body))


@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
def test_the_first_digest_asked_for_makes_both_mic_and_signature(link: Link, digest):
    sent = build_message(EDI, terms=link.supplier, message_id="m@boltco", file_name=None)
    request = sent.headers | {
        "Disposition-Notification-Options": "signed-receipt-protocol=optional, pkcs7-signature; "
        f"signed-receipt-micalg=optional, md5, {digest.upper()}, sha256"
    }
    got = receive(request, sent.body, link.buyer)
    mdn = build_mdn(request, terms=link.buyer, mic=(got.mic, got.mic_algorithm), text="ok")
    assert got.mic_algorithm == digest
    assert f"micalg={digest.upper()};" in mdn.headers["Content-Type"]
    assert f"{base64.b64encode(sent.digests[digest]).decode()}, {digest.upper()}\r\n".encode() in mdn.body
    receipt = read_mdn(mdn.headers, mdn.body, message_id="m@boltco", digests=sent.digests, terms=link.supplier)
    assert (receipt.verdict, receipt.mic_algorithm) == (Verdict.DELIVERED, digest)


def test_openssl_verifies_our_receipt(link: Link, openssl: Openssl, buyer_key):
    mdn = build_mdn(headers("text/plain"), terms=link.buyer, mic=(b"\0" * 32, "sha256"), text="Größe\nund mehr")
    boundary = mdn.headers["Content-Type"].rpartition('boundary="')[2].rstrip('"').encode()
    _before, content, signature, _after = mdn.body.split(b"--" + boundary)
    content = content.removeprefix(b"\r\n").removesuffix(b"\r\n")
    assert openssl.verifies(content, base64.b64decode(signature.partition(b"\r\n\r\n")[2]), buyer_key)
    assert b"Gr??e\r\nund mehr" in content


@pytest.mark.parametrize(
    ("disposition", "field"),
    [
        ("processed", None),
        ("processed/error: authentication-failed", b"Error"),
        ("processed/warning: duplicate-document", b"Warning"),
        ("failed/failure: unsupported MIC-algorithms", b"Failure"),
    ],
)
def test_the_reason_stands_in_the_field_of_its_kind_too(link: Link, disposition, field):
    mdn = build_mdn(
        headers("text/plain"), terms=link.buyer, disposition=disposition, mic=None, text="Why.\nWhat to do."
    )
    found = re.findall(rb"\r\n(Error|Warning|Failure): Why. What to do.\r\n", mdn.body)
    assert found == ([field] if field else [])
    assert mdn.body.count(b"Content-Type: ") == 3 + mdn.body.count(b"multipart/")  # text, notification, signature


def test_no_line_of_ours_is_folded_or_too_long(link: Link):
    asked = headers("text/plain", message_id="<" + "x" * 200 + "@boltco>", as2_from="b" * 128)
    mdn = build_mdn(asked, terms=link.buyer, disposition="processed/error: x", mic=None, text="long " * 1000)
    assert max(len(line) for line in mdn.body.split(b"\r\n")) <= 998
    assert not any(line.startswith((b" ", b"\t")) for line in mdn.body.split(b"\r\n"))
    assert not any("\r" in value or "\n" in value for value in mdn.headers.values())


def test_a_no_is_signed_as_much_as_a_yes(link: Link, order: Outgoing):
    mdn = build_mdn(order.headers, terms=link.supplier, disposition="processed/error: x", mic=None, text="Because.")
    got = read_mdn(mdn.headers, mdn.body, message_id="po-1@acme", digests=order.digests, terms=link.buyer)
    assert (got.verdict, got.text, got.explanation) == (Verdict.REJECTED, "processed/error: x (Because.)", "Because.")
    assert got.signer_fingerprint == link.supplier.our_signing[0].fingerprint


def test_an_unsigned_receipt_is_given_when_no_signature_is_asked(link: Link):
    for options in (None, "signed-receipt-protocol=optional, pgp-signature"):
        request = headers("text/plain", disposition_notification_options=options)
        mdn = build_mdn(request, terms=link.buyer, mic=None, text="ok")
        assert mdn.headers["Content-Type"].startswith("multipart/report;")
