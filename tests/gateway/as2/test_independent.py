"""Our engine and pyas2lib read each other, payload and MIC, both ways."""

from __future__ import annotations

import base64
import itertools
import subprocess
import sys
from typing import Any

import pytest

from gateway.transports.as2 import Rejected, Verdict, build_mdn, build_message, independent, read_mdn, receive
from partners.profiles import CertificateRef
from tests.gateway.as2.conftest import EDI, Link
from tests.gateway.as2.handmade import COMPRESSED, ENVELOPED, headers, with_head

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")  # pyas2lib, Python 3.12

WRAPPINGS = [
    pytest.param(signed, encrypted, compressed, id=f"{'S' * signed}{'E' * encrypted}{'C' * compressed}" or "plain")
    for signed, encrypted, compressed in itertools.product((True, False), repeat=3)
]


def test_pyas2lib_imports_in_a_fresh_interpreter():
    program = "from gateway.transports.as2 import independent; print(independent.Message.__module__)"
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "pyas2lib.as2\n", "")


class Pair:
    """pyas2lib's view of a link: itself as the supplier, us as its partner."""

    def __init__(self, supplier_key: CertificateRef, buyer_key: CertificateRef, **terms: Any) -> None:
        own = (supplier_key.private_key_pem or b"") + supplier_key.certificate_pem
        self.supplier = independent.Organization(as2_name="boltco", sign_key=own, decrypt_key=own, domain="boltco")
        agreed = {"sign": True, "encrypt": True, "digest_alg": "sha256", "enc_alg": "aes_256_cbc", "mdn_mode": "SYNC"}
        self.buyer = independent.Partner(
            as2_name="ACME BUYING",
            verify_cert=buyer_key.certificate_pem,
            encrypt_cert=buyer_key.certificate_pem,
            **(agreed | {"mdn_digest_alg": "sha256"} | terms),
        )

    def build(self, payload: bytes, content_type: str = "application/octet-stream") -> Any:
        message = independent.Message(self.supplier, self.buyer)
        message.build(payload, filename="855.edi", content_type=content_type)
        return message

    def parse(self, headers: dict[str, str], body: bytes) -> tuple[str, Any, Any]:
        """Status, message, MDN."""
        message = independent.Message()
        status, (failure, _trace), mdn = message.parse(
            wire(headers, body),
            find_org_cb=lambda name: self.supplier if name == "boltco" else None,
            find_partner_cb=lambda name: self.buyer if name == "ACME BUYING" else None,
        )
        return (status if failure is None else repr(failure)), message, mdn

    def judge(self, message: Any, headers: dict[str, str], body: bytes) -> tuple[str, str | None]:
        verdict: tuple[str, str | None] = independent.Mdn().parse(
            wire(headers, body),
            find_message_cb=lambda message_id, _who: message if message_id == message.message_id else None,
        )
        return verdict


def wire(headers: dict[str, str], body: bytes) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode("latin-1") + b"\r\n" + body


def unfolded(message: Any) -> dict[str, str]:
    return {name: " ".join(value.split()) for name, value in message.headers.items()}


@pytest.mark.parametrize(("signed", "encrypted", "compressed"), WRAPPINGS)
def test_we_read_what_pyas2lib_writes_and_it_believes_our_receipt(
    link: Link, supplier_key, buyer_key, signed, encrypted, compressed
):
    terms = link.agreeing(signed=signed, encrypted=encrypted).buyer
    pair = Pair(supplier_key, buyer_key, sign=signed, encrypt=encrypted, compress=compressed)
    message = pair.build(EDI)
    request = unfolded(message)
    got = receive(request, message.content, terms)
    assert (got.payload, got.file_name) == (EDI, "855.edi")
    if signed:
        assert base64.b64encode(got.mic) == message.mic
    mdn = build_mdn(request, terms=terms, mic=(got.mic, got.mic_algorithm), text="stored")
    assert pair.judge(message, mdn.headers, mdn.body) == ("processed", None)


@pytest.mark.parametrize(("signed", "encrypted", "compressed"), WRAPPINGS)
def test_pyas2lib_reads_what_we_write_and_we_believe_its_receipt(
    link: Link, supplier_key, buyer_key, signed, encrypted, compressed
):
    terms = link.agreeing(signed=signed, encrypted=encrypted, compressed=compressed).buyer
    pair = Pair(supplier_key, buyer_key, sign=signed, encrypt=encrypted, compress=compressed)
    sent = build_message(
        EDI, terms=terms, message_id="po-1@acme", content_type="application/octet-stream", file_name="850.edi"
    )
    status, message, mdn = pair.parse(sent.headers, sent.body)
    assert (status, message.content) == ("processed", EDI)
    receipt = read_mdn(unfolded(mdn), mdn.content, message_id=sent.message_id, digests=sent.digests, terms=terms)
    # pyas2lib names no MIC for a message that was not signed, and a receipt without a MIC proves nothing.
    assert receipt.verdict is (Verdict.DELIVERED if signed else Verdict.INVALID)


def test_pyas2lib_reads_what_we_compress_after_signing(link: Link, supplier_key, buyer_key):
    for encrypted in (True, False):
        terms = link.agreeing(encrypted=encrypted, compressed=True, compressed_after_signing=True).buyer
        sent = build_message(EDI, terms=terms, message_id="po-4@acme", file_name="850.edi")
        status, message, mdn = Pair(supplier_key, buyer_key, encrypt=encrypted).parse(sent.headers, sent.body)
        assert (status, message.content) == ("processed", EDI)
        receipt = read_mdn(unfolded(mdn), mdn.content, message_id=sent.message_id, digests=sent.digests, terms=terms)
        assert receipt.verdict is Verdict.DELIVERED


def test_we_read_what_pyas2lib_compresses_after_signing(link: Link, supplier_key, buyer_key):
    """Its sender knows the other order only, so its own pieces are put together in this one."""
    pair = Pair(supplier_key, buyer_key, encrypt=False)
    message = pair.build(EDI)
    signed = f"Content-Type: {unfolded(message)['Content-Type']}\r\n\r\n".encode() + message.content
    compressed = with_head(COMPRESSED, independent.cms.compress_message(signed))
    sealed = independent.cms.encrypt_message(compressed, "aes_256_cbc", pair.buyer.load_encrypt_cert())
    got = receive(headers(ENVELOPED), sealed, link.buyer)
    assert [layer.kind for layer in got.layers] == ["encrypted", "compressed", "signed"]
    assert (got.payload, base64.b64encode(got.mic)) == (EDI, message.mic)


@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize(("ours", "theirs"), [("aes128_cbc", "aes_128_cbc"), ("aes192_cbc", "aes_192_cbc")])
def test_algorithms_agree_both_ways(link: Link, supplier_key, buyer_key, digest, ours, theirs):
    terms = link.agreeing(digest=digest, cipher=ours).buyer
    pair = Pair(supplier_key, buyer_key, digest_alg=digest, mdn_digest_alg=digest, enc_alg=theirs)
    message = pair.build(EDI)
    got = receive(unfolded(message), message.content, terms)
    assert (got.payload, got.mic_algorithm) == (EDI, digest)
    sent = build_message(EDI, terms=terms, message_id="po-2@acme", file_name=None)
    status, message, mdn = pair.parse(sent.headers, sent.body)
    assert (status, message.content) == ("processed", EDI)
    receipt = read_mdn(unfolded(mdn), mdn.content, message_id=sent.message_id, digests=sent.digests, terms=terms)
    assert (receipt.verdict, receipt.mic_algorithm) == (Verdict.DELIVERED, digest)


def test_an_altered_message_of_ours_gets_a_negative_receipt_we_understand(link: Link, supplier_key, buyer_key):
    terms = link.agreeing(encrypted=False).buyer
    pair = Pair(supplier_key, buyer_key, encrypt=False)
    sent = build_message(EDI, terms=terms, message_id="po-3@acme", file_name=None)
    _status, _message, mdn = pair.parse(sent.headers, sent.body.replace(b"*40*EA", b"*90*EA"))
    receipt = read_mdn(unfolded(mdn), mdn.content, message_id=sent.message_id, digests=sent.digests, terms=terms)
    assert (receipt.verdict, receipt.text) == (Verdict.REJECTED, "processed/Error: authentication-failed")


def test_our_negative_receipt_is_understood(link: Link, supplier_key, buyer_key):
    pair = Pair(supplier_key, buyer_key, encrypt=False)
    message = pair.build(EDI)
    with pytest.raises(Rejected) as caught:
        receive(unfolded(message), message.content, link.buyer)
    mdn = build_mdn(
        unfolded(message), terms=link.buyer, disposition=caught.value.disposition, mic=None, text="not as agreed"
    )
    assert pair.judge(message, mdn.headers, mdn.body) == ("processed/error", "insufficient-message-security")


@pytest.mark.parametrize(
    "weak", [{"digest_alg": "md5"}, {"digest_alg": "sha1"}, {"enc_alg": "tripledes_192_cbc"}], ids=str
)
def test_weak_algorithms_are_refused_although_the_key_is_right(link: Link, supplier_key, buyer_key, weak):
    message = Pair(supplier_key, buyer_key, **weak).build(EDI)
    with pytest.raises(Rejected):
        receive(unfolded(message), message.content, link.buyer)
