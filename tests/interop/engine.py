"""The rows with the openssl command: it knows nothing of AS2, so MIME and receipts around its signatures are written here."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from gateway.transports.as2 import Verdict, build_mdn, build_message, new_message_id, read_mdn, receive
from partners.profiles import CertificateRef
from tests.gateway.as2.handmade import ENVELOPED, Openssl, signed, with_head
from tests.interop.cases import Case
from tests.interop.credentials import Credentials
from tests.interop.door import ALGORITHMS, terms
from tests.interop.peers import GATEWAY, PEER
from tests.services import need

CIPHERS = {
    "des_ede3_cbc": "des3",
    "aes128_cbc": "aes-128-cbc",
    "aes256_cbc": "aes-256-cbc",
    "aes256_gcm": "aes-256-gcm",
}
PSS = ("-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:digest")
MULTIPART = 'multipart/signed; protocol="application/pkcs7-signature"; micalg={}; boundary="BB"'
REPORT = (
    'Content-Type: multipart/report; report-type=disposition-notification; boundary="RR"\r\n\r\n'
    "--RR\r\nContent-Type: text/plain\r\n\r\nReceived.\r\n"
    "--RR\r\nContent-Type: message/disposition-notification\r\n\r\n"
    "Final-Recipient: rfc822; {recipient}\r\nOriginal-Message-ID: {message_id}\r\n"
    "Disposition: automatic-action/MDN-sent-automatically; processed\r\nReceived-Content-MIC: {mic}, {digest}\r\n\r\n--RR--\r\n"
)


def openssl(folder: Path) -> Openssl:
    program = shutil.which("openssl")
    need(program, "the openssl command: install OpenSSL")
    return Openssl(program or "", folder)


def sent(case: Case, keys: Credentials, folder: Path) -> None:
    """We build, openssl opens; a receipt that openssl signed is what we believe."""
    tool, agreed, digest = openssl(folder), terms(case, keys), ALGORITHMS[case.algorithms]["digest"]
    payload = case.payload()
    made = build_message(
        payload,
        terms=agreed,
        message_id=new_message_id(GATEWAY),
        content_type=case.content_type,
        file_name="document.edi",
    )
    entity = _entity(made.headers, made.body)
    if case.is_encrypted:
        entity = tool.decrypt(made.body, keys.peer)
    covered = entity if case.is_encrypted or case.is_signed else made.body
    if case.is_signed:
        covered, signature = _parts(entity)
        signer = agreed.our_signing[0]
        assert tool.verifies(covered, signature, signer)
        assert not tool.verifies(covered + b" ", signature, signer)
    assert (covered.partition(b"\r\n\r\n")[2] if covered is not made.body else covered) == payload
    mic = base64.b64encode(hashlib.new(digest, covered).digest()).decode()
    report = REPORT.format(recipient=PEER, message_id=made.message_id, mic=mic, digest=digest).encode()
    answer = _message(report, case.receipt == "signed", tool, case, keys)
    receipt = read_mdn(*answer, message_id=made.message_id, digests=made.digests, terms=agreed)
    signers = agreed.their_signing[0].fingerprint if case.receipt == "signed" else None
    assert (receipt.verdict, receipt.signer_fingerprint) == (Verdict.DELIVERED, signers), receipt.text


def received(case: Case, keys: Credentials, folder: Path) -> None:
    """Openssl signs and encrypts, we open; openssl verifies the receipt that we sign."""
    tool, agreed, ours = openssl(folder), terms(case, keys), ALGORITHMS[case.algorithms]
    payload = case.payload()
    covered = with_head(case.content_type, payload)
    described, body = _message(covered, case.is_signed, tool, case, keys)
    if case.is_encrypted:
        oaep = "sha256" if case.algorithms == "oaep" else ""
        entity = _entity(described, body)
        described = {"Content-Type": ENVELOPED}
        body = tool.encrypt(entity, keys.gateway, cipher=CIPHERS[ours["cipher"]], oaep=oaep)
    elif not case.is_signed:
        covered = payload
    headers = _request(described, case.receipt, ours["digest"])
    got = receive(headers, body, agreed)
    kinds = [str(layer.kind) for layer in got.layers]
    assert got.payload == payload
    assert kinds == ["encrypted"] * case.is_encrypted + ["signed"] * case.is_signed
    digest = "sha256" if case.receipt in {"none", "unsigned"} and not case.is_signed else ours["digest"]
    assert (got.mic_algorithm, got.mic) == (digest, hashlib.new(digest, covered).digest())
    if case.receipt == "none":
        assert got.receipt is None
        return
    mdn = build_mdn(headers, terms=agreed, mic=(got.mic, got.mic_algorithm), text="Stored.")
    report = _entity(mdn.headers, mdn.body)
    if case.receipt == "signed":
        report, signature = _parts(report)
        assert tool.verifies(report, signature, agreed.our_signing[0])
    assert b"Received-Content-MIC: " + base64.b64encode(got.mic) in report


def _message(
    entity: bytes, is_signed: bool, tool: Openssl, case: Case, keys: Credentials
) -> tuple[dict[str, str], bytes]:
    """An entity as the body of an HTTP message, signed by the peer or not, and the headers that describe it."""
    if not is_signed:
        head, _blank, body = entity.partition(b"\r\n\r\n")
        return dict(line.split(": ", 1) for line in head.decode().split("\r\n")), body
    digest = ALGORITHMS[case.algorithms]["digest"]
    key: CertificateRef = keys.peer_curve if case.algorithms == "ec" else keys.peer
    options = PSS if case.algorithms == "pss" else ()
    body = signed(entity, tool.sign(entity, key, digest=digest, options=options))
    return {"Content-Type": MULTIPART.format(digest)}, body


def _request(described: Mapping[str, str], receipt: str, digest: str) -> dict[str, str]:
    headers = {
        "AS2-Version": "1.2",
        "AS2-From": PEER,
        "AS2-To": GATEWAY,
        "Message-ID": new_message_id(PEER),
        **described,
    }
    if receipt != "none":
        headers["Disposition-Notification-To"] = "edi@peer.example"
    if receipt == "signed":
        options = f"signed-receipt-protocol=required, pkcs7-signature; signed-receipt-micalg=required, {digest}"
        headers["Disposition-Notification-Options"] = options
    return headers


def _entity(headers: Mapping[str, str], body: bytes) -> bytes:
    """With the headers that describe it, as it would stand inside another layer."""
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if name.lower().startswith("content-t"))
    return head.encode() + b"\r\n" + body


def _parts(entity: bytes) -> tuple[bytes, bytes]:
    """Of a multipart/signed: the content as signed, and the signature in DER."""
    boundary = re.search(rb'boundary="([^"]+)"', entity)
    assert boundary is not None
    _before, content, signature, _after = entity.split(b"--" + boundary[1])
    blob = base64.b64decode(signature.partition(b"\r\n\r\n")[2])
    return content.removeprefix(b"\r\n").removesuffix(b"\r\n"), blob
