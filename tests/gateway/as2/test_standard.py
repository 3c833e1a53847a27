"""The statements of draft-ietf-ediint-rfc4130bis that are about the engine, a test for each; the number is the draft's section.

Those about HTTP status codes, unknown pairs of names, duplicates and asynchronous receipts through the door are in
``tests/gateway/endpoints``; about retries, resends and what stops them in ``tests/gateway/pipeline``; about TLS and addresses
in ``tests/gateway/transports``; about certificates, their dates and the notices before they expire in ``tests/partners``.
Not offered: AES-CCM (7.2, recommended), the exchange of certificates (9.2), AS2 Restart (5.5).
"""

from __future__ import annotations

import base64
import email
import hashlib
import itertools
import re
import tomllib
from dataclasses import replace
from email.message import Message
from pathlib import Path

import pytest

from gateway.transports.as2 import (
    Disposition,
    LayerKind,
    MalformedRequest,
    Mdn,
    Rejected,
    UnusableTerms,
    Verdict,
    build_mdn,
    build_message,
    original_message_id,
    read_mdn,
    receive,
    request_names,
    requested_receipt,
)
from gateway.transports.as2.features import PRODUCT
from gateway.transports.as2.names import bracketed, new_message_id
from partners.profiles import Algorithms, As2Terms
from tests.gateway.as2.conftest import EDI, Link, public
from tests.gateway.as2.handmade import SIGNED, headers, signed

EDIFACT = b"UNA:+.? 'UNB+UNOC:3+BOLTCO+ACME+261101:0815+1'UNZ+0+1'"
DOCUMENTS = {
    "application/EDI-X12": EDI,
    "application/EDIFACT": EDIFACT,
    "application/edi-consent": b"\x00\x01 as both agreed \xff\r\n",
    "application/xml": '<?xml version="1.0"?>\n<order n="Größe"/>\n'.encode(),
}
SIGNED_RECEIPT = "signed-receipt-protocol=required, pkcs7-signature; signed-receipt-micalg=required, "


def plain(link: Link) -> As2Terms:
    return replace(link.buyer, signed=False, encrypted=False)


def parts_of(mdn: Mdn) -> list[Message]:
    """The entities of an MDN as Python's own parser sees them, outermost first."""
    head = "".join(f"{name}: {value}\r\n" for name, value in mdn.headers.items())
    return list(email.message_from_bytes(head.encode() + b"\r\n" + mdn.body).walk())


def notification(mdn: Mdn) -> Message:
    (found,) = (part for part in parts_of(mdn) if part.get_content_type() == "message/disposition-notification")
    fields = found.get_payload(0)
    assert isinstance(fields, Message)
    return fields


# ------------------------------------------------------------------------------------------ 2.4, 4.2: permutations
@pytest.mark.parametrize("content_type", DOCUMENTS)
@pytest.mark.parametrize("receipt", ["no receipt", "unsigned receipt", "signed receipt"])
@pytest.mark.parametrize("compression", ["as it is", "compressed before", "compressed after"])
@pytest.mark.parametrize(
    ("is_signed", "is_encrypted"),
    list(itertools.product((True, False), repeat=2)),
    ids=lambda flag: "yes" if flag else "no",
)
def test_2_4_every_permutation_is_written_and_read(
    link: Link, is_signed, is_encrypted, compression, receipt, content_type
):
    """24 of them, with compression before and after the signature, for four kinds of document."""
    agreed = link.agreeing(
        signed=is_signed,
        encrypted=is_encrypted,
        compressed=compression != "as it is",
        compressed_after_signing=compression == "compressed after",
        signed_mdn=receipt == "signed receipt",
    )
    document = DOCUMENTS[content_type]
    sent = build_message(
        document, terms=agreed.supplier, message_id="p@boltco", content_type=content_type, file_name="document"
    )
    if receipt == "no receipt":
        del sent.headers["Disposition-Notification-To"]
    got = receive(sent.headers, sent.body, agreed.buyer)
    assert (got.payload, got.content_type, got.mic) == (document, content_type, sent.digests["sha256"])
    signature = [LayerKind.SIGNED] * is_signed
    order = {
        "as it is": signature,
        "compressed before": [*signature, LayerKind.COMPRESSED],
        "compressed after": [LayerKind.COMPRESSED, *signature],
    }[compression]
    assert [layer.kind for layer in got.layers] == [LayerKind.ENCRYPTED] * is_encrypted + order
    if receipt == "no receipt":
        assert got.receipt is None
        return
    mdn = build_mdn(sent.headers, terms=agreed.buyer, mic=(got.mic, got.mic_algorithm), text="Stored.")
    assert mdn.headers["Content-Type"].startswith("multipart/signed" if agreed.buyer.signed_mdn else "multipart/report")
    read = read_mdn(mdn.headers, mdn.body, message_id=sent.message_id, digests=sent.digests, terms=agreed.supplier)
    assert read.verdict is Verdict.DELIVERED


# -------------------------------------------------------------------------------------------- 5.2: transfer encoding
@pytest.mark.parametrize("encoding", [None, "", "binary", "8bit", "7bit", "Binary", "x-unknown"])
def test_5_2_the_http_transfer_encoding_may_be_missing_or_any(link: Link, encoding):
    got = receive(headers("application/edi-x12", content_transfer_encoding=encoding), EDI, plain(link))
    assert got.payload == EDI


def test_5_2_base64_over_http_is_undone_for_document_and_mic(link: Link):
    request = headers("application/edi-x12", content_transfer_encoding="Base64")
    got = receive(request, base64.encodebytes(EDI), plain(link))
    assert (got.payload, got.mic) == (EDI, hashlib.sha256(EDI).digest())


def test_5_2_a_body_that_says_base64_and_is_not_is_taken_as_it_is(link: Link):
    """Products repeat the header of the part inside, which HTTP knows nothing of."""
    request = headers("application/edi-x12", content_transfer_encoding="base64")
    assert receive(request, EDI, plain(link)).payload == EDI


@pytest.mark.parametrize(
    ("encoding", "coded"),
    [
        ("binary", EDI),
        ("8bit", EDI),
        ("base64", base64.encodebytes(EDI).replace(b"\n", b"\r\n")),
        ("quoted-printable", EDI.replace(b"\r\n", b"=0D=0A=\r\n")),
    ],
)
def test_5_2_a_transfer_encoding_inside_a_part_is_undone(link: Link, openssl, supplier_key, encoding, coded):
    entity = f"Content-Type: application/edi-x12\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n".encode() + coded
    body = signed(entity, openssl.sign(entity, supplier_key))
    assert receive(headers(SIGNED), body, replace(link.buyer, encrypted=False)).payload == EDI


def test_5_2_nothing_but_blanks_may_follow_the_end(link: Link, openssl, supplier_key):
    terms = replace(link.buyer, encrypted=False)
    entity = b"Content-Type: application/edi-x12\r\n\r\n" + EDI
    signature = openssl.sign(entity, supplier_key)
    assert receive(headers(SIGNED), signed(entity, signature, epilogue=b"\r\n \t\r\n"), terms).payload == EDI
    with pytest.raises(Rejected):
        receive(headers(SIGNED), signed(entity, signature, epilogue=b"x"), terms)


# ------------------------------------------------------------------------------------------------ 5.3.3: Message-ID
def test_5_3_3_our_message_ids_stand_in_brackets_and_are_short_and_ours():
    made = new_message_id('ACME "EU" BUYING' + "x" * 100)
    assert re.fullmatch(r"<[!-;=?-~]+@ACME-EU-BUYINGx+>", made)
    assert len(made) <= 255
    assert made != new_message_id('ACME "EU" BUYING' + "x" * 100)
    assert bracketed("a" * 253) == "<" + "a" * 253 + ">"
    with pytest.raises(ValueError, match="Message-ID"):
        bracketed("a" * 254)


@pytest.mark.parametrize("message_id", ["<a@boltco>", "a@boltco", "<>a<>@boltco", "<!#$%&'*+-/=?^_`{|}~@[1.2.3.4]>"])
def test_5_3_3_a_message_id_comes_back_octet_for_octet(link: Link, message_id):
    request = headers("application/edi-x12", message_id=message_id)
    assert receive(request, EDI, plain(link)).message_id == message_id
    mdn = build_mdn(request, terms=link.buyer, mic=None, text="ok")
    assert notification(mdn)["Original-Message-ID"] == message_id
    assert original_message_id(mdn.headers, mdn.body) == message_id


def test_5_3_3_spaces_in_a_message_id_are_an_error_of_that_name(link: Link):
    with pytest.raises(Rejected) as caught:
        receive(headers("application/edi-x12", message_id="<a b@boltco>"), EDI, plain(link))
    assert caught.value.disposition is Disposition.INVALID_MESSAGE_ID


@pytest.mark.parametrize("character", ["\t", "\x01", "\x7f", "\0", "\r\n"])
def test_5_3_3_a_message_id_with_controls_names_no_message_at_all(character):
    """The draft wants an MDN here; to repeat such octets in it would let a stranger write fields of ours."""
    with pytest.raises(MalformedRequest):
        request_names(headers("application/edi-x12", message_id=f"<a{character}b@boltco>"))


# ---------------------------------------------------------------------------------------------------- 6.1: versions
@pytest.mark.parametrize("version", [None, "1.0", "1.1", "1.2", "1.3", "1.9"])
def test_6_1_every_version_is_read_also_none(link: Link, version):
    assert receive(headers("application/edi-x12", as2_version=version), EDI, plain(link)).payload == EDI


@pytest.mark.parametrize("features", ["CEM", "multiple-attachments, CEM, AS2-Reliability", "x" * 500, ",;="])
def test_6_1_unknown_features_change_nothing(link: Link, features):
    assert receive(headers("application/edi-x12", ediint_features=features), EDI, plain(link)).payload == EDI


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_6_1_what_we_announce_is_what_we_do(link: Link, version):
    agreed = link.agreeing(as2_version=version)
    sent = build_message(EDI, terms=agreed.supplier, message_id="f@boltco", file_name=None)
    mdn = build_mdn(sent.headers, terms=agreed.buyer, mic=None, text="ok")
    for ours in (sent.headers, mdn.headers):
        assert (ours["AS2-Version"], ours["EDIINT-Features"]) == (version, "multiple-attachments")


def test_6_1_a_version_we_do_not_speak_is_not_announced(link: Link):
    with pytest.raises(UnusableTerms, match=r"'1\.4' is none of 1\.2, 1\.3"):
        build_message(EDI, terms=replace(link.buyer, as2_version="1.4"), message_id="v@acme", file_name=None)


def test_6_2_version_1_3_names_the_product_in_messages_and_receipts(link: Link):
    agreed = link.agreeing(as2_version="1.3")
    sent = build_message(EDI, terms=agreed.supplier, message_id="f@boltco", file_name=None)
    mdn = build_mdn(sent.headers, terms=agreed.buyer, mic=None, text="ok")
    assert sent.headers["AS2-Product"] == mdn.headers["AS2-Product"] == PRODUCT
    assert re.fullmatch(r"[a-z0-9-]+:[0-9]+\.[0-9]+(\.[0-9]+)?", PRODUCT)
    before = build_message(EDI, terms=link.supplier, message_id="f@boltco", file_name=None)
    assert "AS2-Product" not in before.headers


def test_6_2_the_product_is_of_the_version_that_is_released():
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text("utf-8"))["project"]
    assert f"{project['name']}:{project['version']}".startswith(PRODUCT + ".")


# ------------------------------------------------------------------------------------------------------- 6.3: names
@pytest.mark.parametrize(
    ("spelling", "answer"), [("boltco", "boltco"), ('"bolt co"', '"bolt co"'), ("bolt co", "bolt co"), ('"b"', '"b"')]
)
def test_6_3_the_names_of_a_receipt_are_the_requests_swapped_in_their_spelling(link: Link, spelling, answer):
    mdn = build_mdn(headers("text/plain", as2_from=spelling), terms=link.buyer, mic=None, text="ok")
    assert (mdn.headers["AS2-From"], mdn.headers["AS2-To"]) == ('"ACME BUYING"', answer)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("a", "a"),
        ("A" * 128, "A" * 128),
        ("a,b;c=(d)", "a,b;c=(d)"),
        ("<a@b>", "<a@b>"),
        ('" "', " "),
        ('"a, b"', "a, b"),
        ('"a\\"b"', 'a"b'),
        ('"a\\\\b"', "a\\b"),
    ],
)
def test_6_3_the_grammar_of_names_is_accepted_in_full(value, name):
    assert request_names(headers("text/plain", as2_from=value)).as2_from == name


# ----------------------------------------------------------------------------------------------- 7.1, 7.2: algorithms
@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("cipher", ["aes128_cbc", "aes256_cbc", "aes128_gcm", "aes256_gcm"])
def test_7_1_the_algorithms_that_must_and_should_be_there_are(link: Link, digest, cipher):
    agreed = link.agreeing(digest=digest, cipher=cipher)
    sent = build_message(EDI, terms=agreed.supplier, message_id="a@boltco", file_name=None)
    assert [layer.algorithm for layer in receive(sent.headers, sent.body, agreed.buyer).layers] == [cipher, digest]


@pytest.mark.parametrize("weak", [{"digest": "sha1"}, {"cipher": "des_ede3_cbc"}], ids=str)
def test_7_1_a_1_3_partner_never_gets_sha_1_or_3des(link: Link, weak):
    legacy = replace(link.buyer, algorithms=Algorithms.LEGACY, **weak)
    assert build_message(EDI, terms=legacy, message_id="w@acme", file_name=None).body
    with pytest.raises(UnusableTerms, match="which this link allows"):
        build_message(EDI, terms=replace(legacy, as2_version="1.3"), message_id="w@acme", file_name=None)


def test_7_1_nor_a_receipt_with_sha_1(link: Link):
    request = headers("text/plain", disposition_notification_options=SIGNED_RECEIPT + "sha1")
    legacy = replace(link.buyer, algorithms=Algorithms.LEGACY)
    assert "micalg=sha1;" in build_mdn(request, terms=legacy, mic=None, text="ok").headers["Content-Type"]
    strict = build_mdn(request, terms=replace(legacy, as2_version="1.3"), mic=None, text="ok")
    assert strict.headers["Content-Type"].startswith("multipart/report")


def test_7_1_nor_a_request_for_one(link: Link):
    """The digest of a link that does not sign is checked by nothing else."""
    legacy = replace(link.buyer, algorithms=Algorithms.LEGACY, signed=False, digest="sha1")
    for version, micalg in (("1.2", "sha1"), ("1.3", "sha-256")):
        sent = build_message(EDI, terms=replace(legacy, as2_version=version), message_id="w@acme", file_name=None)
        assert sent.headers["Disposition-Notification-Options"].endswith(f"=required, {micalg}")


def test_7_2_each_of_several_recipients_opens_the_message(link: Link, buyer_key, stranger_key):
    terms = replace(link.supplier, their_encryption=(public(stranger_key), public(buyer_key)), all_recipients=True)
    sent = build_message(EDI, terms=terms, message_id="r@boltco", file_name=None)
    for key in (buyer_key, stranger_key):
        got = receive(sent.headers, sent.body, replace(link.buyer, our_decryption=(key,)))
        assert (got.payload, got.decrypted_with) == (EDI, key.fingerprint)


# ------------------------------------------------------------------------------------------- 8.2, 8.3: what is asked
@pytest.mark.parametrize("value", ["edi@boltco.example", "", "ACME", "not an address at all; <", "http://x"])
def test_8_2_a_receipt_is_asked_for_by_the_presence_of_the_header_alone(value):
    assert requested_receipt(headers("text/plain", disposition_notification_to=value)) is not None
    assert requested_receipt(headers("text/plain", disposition_notification_to=None)) is None


def test_8_2_an_address_makes_the_receipt_asynchronous_and_its_absence_synchronous(link: Link):
    asked = requested_receipt(headers("text/plain", receipt_delivery_option="https://boltco.example/mdn"))
    assert asked is not None
    assert asked.delivery_url == "https://boltco.example/mdn"
    asked = requested_receipt(headers("text/plain"))
    assert asked is not None
    assert asked.delivery_url is None
    terms = replace(link.buyer, async_mdn=True, our_url="https://gateway.example/as2")
    sent = build_message(EDI, terms=terms, message_id="a@acme", file_name=None)
    assert sent.headers["Receipt-Delivery-Option"] == "https://gateway.example/as2"
    assert "Receipt-Delivery-Option" not in build_message(EDI, terms=link.buyer, message_id="a", file_name=None).headers


@pytest.mark.parametrize(
    ("asked", "used"),
    [
        ("sha256", "sha256"),
        ("sha-512, sha256", "sha512"),
        ("md5, sha1, x-new, SHA-384, sha256", "sha384"),
        (None, "sha256"),
    ],
)
def test_8_3_the_first_digest_listed_that_we_support_is_used_and_never_one_unlisted(link: Link, asked, used):
    options = None if asked is None else SIGNED_RECEIPT + asked
    request = headers("application/edi-x12", disposition_notification_options=options)
    got = receive(request, EDI, plain(link))
    assert (got.mic_algorithm, got.mic) == (used, hashlib.new(used, EDI).digest())


def test_8_3_when_none_is_supported_the_receipt_is_unsigned_and_says_so(link: Link):
    request = headers("application/edi-x12", disposition_notification_options=SIGNED_RECEIPT + "md5, x-new")
    with pytest.raises(Rejected) as caught:
        receive(request, EDI, plain(link))
    mdn = build_mdn(request, terms=link.buyer, disposition=caught.value.disposition, mic=None, text="No.")
    assert mdn.headers["Content-Type"].startswith("multipart/report")
    assert notification(mdn)["Disposition"].endswith("; failed/failure: unsupported MIC-algorithms")


def test_8_3_1_an_error_behind_a_good_signature_is_told_signed_and_with_the_mic(link: Link, openssl, supplier_key):
    entity = b"Content-Type: application/edi-x12\r\nContent-Transfer-Encoding: base64\r\n\r\n!"
    body = signed(entity, openssl.sign(entity, supplier_key))
    request = headers(SIGNED, disposition_notification_options=SIGNED_RECEIPT + "sha512")
    with pytest.raises(Rejected) as caught:
        receive(request, body, replace(link.buyer, encrypted=False))
    assert caught.value.mic == (hashlib.sha512(entity).digest(), "sha512")
    mdn = build_mdn(
        request, terms=link.buyer, disposition=caught.value.disposition, mic=caught.value.mic, text="It cannot be read."
    )
    digests = {"sha512": hashlib.sha512(entity).digest()}
    got = read_mdn(mdn.headers, mdn.body, message_id="handmade@boltco", digests=digests, terms=link.supplier)
    assert (got.verdict, got.signer_fingerprint) == (Verdict.REJECTED, link.buyer.our_signing[0].fingerprint)
    assert notification(mdn)["Received-Content-MIC"].endswith(", sha512")


@pytest.mark.parametrize("is_signed", [True, False])
def test_8_3_1_an_error_before_a_good_signature_is_told_signed_and_without_one(link: Link, stranger_key, is_signed):
    terms = replace(link.supplier, signed=is_signed, our_signing=(stranger_key,))
    sent = build_message(EDI, terms=terms, message_id="e@boltco", file_name=None)
    with pytest.raises(Rejected) as caught:
        receive(sent.headers, sent.body, link.buyer)
    disposition = caught.value.disposition
    mdn = build_mdn(
        sent.headers, terms=link.buyer, disposition=disposition, mic=caught.value.mic, text=disposition.explanation
    )
    assert mdn.headers["Content-Type"].startswith("multipart/signed")
    assert notification(mdn)["Received-Content-MIC"] is None
    assert notification(mdn)["Disposition"].endswith("; processed/error: authentication-failed")


# ------------------------------------------------------------------------------------------------ 8.4: what is given
@pytest.mark.parametrize("options", [None, SIGNED_RECEIPT + "sha-256"], ids=["unsigned", "signed"])
def test_8_4_a_receipt_is_a_report_of_two_parts_with_the_fields_that_must_be_there(link: Link, options):
    request = headers("text/plain", disposition_notification_options=options)
    mdn = build_mdn(request, terms=link.buyer, mic=(b"\0" * 32, "sha256"), text="Stored.")
    (report,) = (part for part in parts_of(mdn) if part.get_content_type() == "multipart/report")
    assert report.get_param("report-type") == "disposition-notification"
    inside = report.get_payload()
    assert isinstance(inside, list)
    assert [part.get_content_type() for part in inside] == ["text/plain", "message/disposition-notification"]
    fields = notification(mdn)
    assert fields["Final-Recipient"] == 'rfc822; "ACME BUYING"'
    assert fields["Original-Message-ID"] == "<handmade@boltco>"
    assert fields["Disposition"] == "automatic-action/MDN-sent-automatically; processed"
    assert fields["Received-Content-MIC"] == base64.b64encode(b"\0" * 32).decode() + ", sha-256"


@pytest.mark.parametrize("disposition", Disposition)
def test_8_4_failed_is_said_only_of_the_receipt_itself_and_every_no_is_explained(link: Link, disposition):
    kind, _slash, modifier = disposition.partition("/")
    level = modifier.partition(":")[0]
    allowed = {("processed", ""), ("processed", "error"), ("processed", "warning")}
    if disposition is Disposition.UNSUPPORTED_MIC_ALGORITHMS:
        allowed = {("failed", "failure")}
    assert (kind, level) in allowed
    mdn = build_mdn(
        headers("text/plain"), terms=link.buyer, disposition=disposition, mic=None, text=disposition.explanation
    )
    if level:
        assert notification(mdn)[level.title()] == disposition.explanation


# -------------------------------------------------------------------------------------------------- 8.4.3: reading
@pytest.mark.parametrize(
    ("disposition", "verdict"),
    [
        ("processed", Verdict.DELIVERED),
        ("PROCESSED", Verdict.DELIVERED),
        ("Processed", Verdict.DELIVERED),
        ("processed/warning: duplicate-document", Verdict.WARNING),
        ("processed/Warning: authentication-failed, processing continued", Verdict.WARNING),
        ("processed/error: unexpected-processing-error", Verdict.REJECTED),
        ("Processed/Error: Decryption-Failed", Verdict.REJECTED),
        ("processed/error", Verdict.REJECTED),
        ("failed/failure: sender-equals-receiver", Verdict.REJECTED),
        ("failed/Failure: unsupported format", Verdict.REJECTED),
        ("processed/error: some-new-modifier", Verdict.REJECTED),
        ("deleted", Verdict.INVALID),
        ("", Verdict.INVALID),
    ],
)
def test_8_4_3_dispositions_are_read_in_any_case_and_in_historic_forms(link: Link, disposition, verdict):
    terms = replace(link.supplier, signed_mdn=False)
    sent = build_message(EDI, terms=terms, message_id="d@boltco", file_name=None)
    mic = (sent.digests["sha256"], "sha256")
    mdn = build_mdn(sent.headers, terms=link.buyer, disposition=disposition, mic=mic, text="")
    got = read_mdn(mdn.headers, mdn.body, message_id="d@boltco", digests=sent.digests, terms=terms)
    assert got.verdict is verdict


@pytest.mark.parametrize("spelling", ["sha1", "sha-1", "SHA256", "sha-256", "sha2-256", "SHA-384", "sha512"])
def test_8_4_3_a_mic_in_any_spelling_of_a_digest_we_kept_is_compared(link: Link, spelling):
    terms = replace(link.supplier, signed_mdn=False)
    sent = build_message(EDI, terms=terms, message_id="d@boltco", file_name=None)
    name = re.sub("2-|-", "", spelling.lower())
    mdn = build_mdn(sent.headers, terms=link.buyer, mic=(sent.digests[name], "sha256"), text="")
    body = mdn.body.replace(b", sha-256\r\n", f" ,\r\n\t{spelling} \r\n".encode())
    assert body != mdn.body
    got = read_mdn(mdn.headers, body, message_id="d@boltco", digests=sent.digests, terms=terms)
    assert (got.verdict, got.mic_algorithm) == (Verdict.DELIVERED, name)
