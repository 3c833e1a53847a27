"""AS2: CPU time for one message, beside pyas2lib and beside the bare cryptography that no engine can do without."""

from __future__ import annotations

import hashlib
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from statistics import median
from tempfile import NamedTemporaryFile
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway.transports.as2 import (
    Outgoing,
    Rejected,
    build_mdn,
    build_message,
    independent,
    receive,
)
from partners.profiles import As2Terms, CertificateRef
from tests.bench.measure import Bench, Result, Void, cost, cpu_s
from tests.certificates import make_identity
from tests.gateway.as2 import hostile

#: By the end of the bench's name: bytes of the document, and rounds. pyas2lib takes a second or two for the largest.
SIZES: Final = {"10k": (10_000, 5), "1m": (1_000_000, 3), "20m": (20_000_000, 1)}
BUYER: Final = "MERIDIAN-AS2"
SUPPLIER: Final = "ACME-AS2"
_PKCS1: Final = padding.PKCS1v15()
_SHA256: Final = hashes.SHA256()


# ---------------------------------------------------------------------------------------------------- the two sides
@dataclass(frozen=True)
class Link:
    """A buyer and a supplier with keys of their own; signed SHA-256, encrypted AES-256-CBC, signed MDN."""

    buyer_key: rsa.RSAPrivateKey
    supplier_key: rsa.RSAPrivateKey
    buyer: As2Terms  #: the buyer's view
    supplier: As2Terms  #: the supplier's view
    peer_buyer: Any  #: the buyer as pyas2lib's organization
    peer_supplier: Any  #: the supplier as pyas2lib's organization
    peer_of_buyer: Any  #: the supplier as partner of that buyer
    peer_of_supplier: Any  #: the buyer as partner of that supplier


@cache
def link() -> Link:
    """Made once: keys take longer than everything measured here."""
    buyer, supplier = (make_identity(name) for name in (BUYER, SUPPLIER))
    return Link(
        buyer_key=_private(buyer),
        supplier_key=_private(supplier),
        buyer=_terms(BUYER, SUPPLIER, buyer, supplier),
        supplier=_terms(SUPPLIER, BUYER, supplier, buyer),
        peer_buyer=_organization(BUYER, buyer),
        peer_supplier=_organization(SUPPLIER, supplier),
        peer_of_buyer=_partner(SUPPLIER, supplier),
        peer_of_supplier=_partner(BUYER, buyer),
    )


def _private(ref: CertificateRef) -> rsa.RSAPrivateKey:
    key = load_pem_private_key(ref.private_key_pem or b"", password=None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


def _terms(us: str, them: str, ours: CertificateRef, theirs: CertificateRef) -> As2Terms:
    public = CertificateRef(fingerprint=theirs.fingerprint, certificate_pem=theirs.certificate_pem)
    return As2Terms(
        our_name=us,
        their_name=them,
        url=None,
        our_signing=(ours,),
        our_decryption=(ours,),
        their_signing=(public,),
        their_encryption=(public,),
    )


def _organization(name: str, ref: CertificateRef) -> Any:
    own = (ref.private_key_pem or b"") + ref.certificate_pem
    return independent.Organization(as2_name=name, sign_key=own, decrypt_key=own, domain=name.lower())


def _partner(name: str, ref: CertificateRef) -> Any:
    return independent.Partner(
        as2_name=name,
        verify_cert=ref.certificate_pem,
        encrypt_cert=ref.certificate_pem,
        sign=True,
        digest_alg="sha256",
        encrypt=True,
        enc_alg="aes_256_cbc",
        mdn_mode="SYNC",
        mdn_digest_alg="sha256",
    )


def document(size: int) -> bytes:
    """Lines of an order, cut at ``size`` bytes; they end in CRLF, the one form pyas2lib never changes."""
    chance = random.Random(4130)
    lines = [
        b"PO1*%d*%d*EA*%d**VP*K-%07d~\r\n" % (number, *(chance.randrange(1, most) for most in (999, 99, 10**7)))
        for number in range(1000)
    ]
    block = b"".join(lines)
    return (block * (size // len(block) + 1))[: size - 2] + b"\r\n"


# ----------------------------------------------------------------------------------------------------------- receive
def receiving(label: str) -> Iterator[Result]:
    """Decrypt, verify, and answer with a signed MDN."""
    size, rounds = SIZES[label]
    payload = document(size)
    sent = build_message(payload, terms=link().supplier, message_id="bench@acme", file_name="855.edi")
    wire = _wire(sent)
    if _received(sent).payload != payload or _received_by_pyas2lib(wire) != payload:
        raise Void("the document did not arrive as it was sent")
    ours, peer, floor = cpu_s(
        partial(_received, sent), partial(_received_by_pyas2lib, wire), _receiving_floor(size), rounds=rounds
    )
    yield Result(
        bench=f"as2.receive.{label}",
        value=ours * 1e3,
        unit="ms",
        peer="pyas2lib parse with signed MDN",
        peer_value=peer * 1e3,
        floor="RSA decrypt, verify and sign, AES and SHA-256 of the document",
        floor_value=floor * 1e3,
    )


def _received(sent: Outgoing) -> Any:
    terms = link().buyer
    got = receive(sent.headers, sent.body, terms)
    build_mdn(sent.headers, terms=terms, mic=(got.mic, got.mic_algorithm), text="The document is stored.")
    return got


def _received_by_pyas2lib(wire: bytes) -> bytes:
    message = independent.Message()
    _status, (failure, _trace), mdn = message.parse(
        wire, find_org_cb=lambda _name: link().peer_buyer, find_partner_cb=lambda _name: link().peer_of_buyer
    )
    if failure is not None or mdn is None:
        raise Void(f"pyas2lib refuses the message: {failure!r}")
    content: bytes = message.content
    return content


def _receiving_floor(size: int) -> Callable[[], object]:
    own, partner = link().buyer_key, link().supplier_key.public_key()
    content_key = own.public_key().encrypt(bytes(32), _PKCS1)
    signature = link().supplier_key.sign(b"attributes", _PKCS1, _SHA256)
    blocks = bytes(size // 16 * 16)

    def floor() -> None:
        own.decrypt(content_key, _PKCS1)
        Cipher(algorithms.AES(bytes(32)), modes.CBC(bytes(16))).decryptor().update(blocks)
        hashlib.sha256(blocks).digest()
        partner.verify(signature, b"attributes", _PKCS1, _SHA256)
        own.sign(b"attributes", _PKCS1, _SHA256)

    return floor


# -------------------------------------------------------------------------------------------------------------- send
def sending(label: str) -> Iterator[Result]:
    """Sign and encrypt a document."""
    size, rounds = SIZES[label]
    payload = document(size)
    sent = _built_by_pyas2lib(payload)
    headers = {name: " ".join(value.split()) for name, value in sent.headers.items()}
    if receive(headers, sent.content, link().buyer).payload != payload:
        raise Void("the document did not arrive as pyas2lib sent it")
    ours, peer, floor = cpu_s(
        partial(build_message, payload, terms=link().supplier, message_id="bench@acme", file_name="855.edi"),
        partial(_built_by_pyas2lib, payload),
        _sending_floor(size),
        rounds=rounds,
    )
    yield Result(
        bench=f"as2.send.{label}",
        value=ours * 1e3,
        unit="ms",
        peer="pyas2lib build",
        peer_value=peer * 1e3,
        floor="RSA sign and encrypt, AES and SHA-256 of the document",
        floor_value=floor * 1e3,
    )


def _built_by_pyas2lib(payload: bytes) -> Any:
    message = independent.Message(link().peer_supplier, link().peer_of_supplier)
    message.build(
        payload,
        filename="855.edi",
        subject="Business documents",
        content_type="application/edi-x12",
        disposition_notification_to=SUPPLIER,
    )
    return message


def _sending_floor(size: int) -> Callable[[], object]:
    own, partner = link().supplier_key, link().buyer_key.public_key()
    blocks = bytes(size // 16 * 16)

    def floor() -> None:
        hashlib.sha256(blocks).digest()
        own.sign(b"attributes", _PKCS1, _SHA256)
        content_key = os.urandom(32)
        partner.encrypt(content_key, _PKCS1)
        Cipher(algorithms.AES(content_key), modes.CBC(bytes(16))).encryptor().update(blocks)

    return floor


# ------------------------------------------------------------------------------------------------------------ memory
def receiving_memory(label: str) -> Iterator[Result]:
    """Resident memory that receiving and receipting one message takes, the message itself included."""
    size, _rounds = SIZES[label]
    sent = build_message(document(size), terms=link().supplier, message_id="bench@acme", file_name="855.edi")
    with NamedTemporaryFile() as file:
        file.write(_wire(sent))
        file.flush()
        ours, peer = (
            cost(work, file.name, link().buyer).grown_mb * 2**20 / size
            for work in (_receive_file, _receive_file_by_pyas2lib)
        )
    yield Result(
        bench=f"as2.receive.{label}.memory",
        value=ours,
        unit="× the document",
        peer="pyas2lib parse with signed MDN",
        peer_value=peer,
        floor="the message as it came, and the document",
        floor_value=2,
    )


def _wire(sent: Outgoing) -> bytes:
    """As it stands on the wire, headers first."""
    head = "".join(f"{name}: {value}\r\n" for name, value in sent.headers.items()).encode("latin-1")
    return head + b"\r\n" + sent.body


def _receive_file(path: str, terms: As2Terms) -> object:
    with Path(path).open("rb") as file:
        lines = iter(lambda: file.readline().rstrip(b"\r\n").decode("latin-1"), "")
        headers = {name: value for name, _colon, value in (line.partition(": ") for line in lines)}
        body = file.read()
    got = receive(headers, body, terms)
    return got, build_mdn(headers, terms=terms, mic=(got.mic, got.mic_algorithm), text="The document is stored.")


def _receive_file_by_pyas2lib(path: str, terms: As2Terms) -> object:
    return _parsed_by_pyas2lib(Path(path).read_bytes(), terms)


def _parsed_by_pyas2lib(wire: bytes, terms: As2Terms) -> object:
    us, them = _organization(BUYER, terms.our_decryption[0]), _partner(SUPPLIER, terms.their_signing[0])
    message = independent.Message()
    return message, message.parse(wire, find_org_cb=lambda _name: us, find_partner_cb=lambda _name: them)


# --------------------------------------------------------------------------------------------------- hostile requests
def hostile_requests() -> Iterator[Result]:
    """What a stranger can make one request of 1 MB cost who has nothing but our public certificate: the worst of several."""
    terms = link().buyer
    certificate = terms.our_decryption[0].certificate_pem
    costs = [
        cost(_refused, hostile.sealed(content, certificate), terms) for content in hostile.contents(1_000_000).values()
    ]
    tenth = hostile.sealed(hostile.contents(100_000)["bomb"], certificate)
    peer = cost(_parsed_by_pyas2lib, _wire_of(tenth), terms)
    for name, unit, ours, theirs in (
        ("as2.unauthenticated.1m", "s", max(one.cpu_s for one in costs), peer.cpu_s),
        ("as2.unauthenticated.1m.memory", "MB", max(one.grown_mb for one in costs), peer.grown_mb),
    ):
        # At the whole size it takes 11 GB, which not every machine has.
        yield Result(bench=name, value=ours, unit=unit, peer="pyas2lib, a bomb of a tenth", peer_value=theirs)


def _refused(body: bytes, terms: As2Terms) -> None:
    try:
        receive(_HOSTILE, body, terms)
    except Rejected:
        return
    raise Void("a hostile message was accepted")


_HOSTILE: Final = {
    "AS2-Version": "1.2",
    "AS2-From": SUPPLIER,
    "AS2-To": BUYER,
    "Message-ID": "<hostile@bench>",
    "Disposition-Notification-To": SUPPLIER,
    "Content-Type": "application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m",
}


def _wire_of(body: bytes) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in _HOSTILE.items()).encode() + b"\r\n" + body


# ----------------------------------------------------------------------------------------------------- one answer in time
def uniform_answers() -> Iterator[Result]:
    """How far apart in time the refusals of a captured message are: with other last bytes, and with other ciphertexts."""
    sent = build_message(document(10_000), terms=link().supplier, message_id="bench@acme", file_name="855.edi")
    chance = random.Random(16)
    last = [sent.body[:-1] + bytes([byte]) for byte in range(256) if byte != sent.body[-1]]
    other = [sent.body[:-9_000] + chance.randbytes(9_000) for _ in last]
    took: dict[str, list[float]] = {"last": [], "other": []}
    for one, two in zip(last, other, strict=True):
        for name, body in (("last", one), ("other", two)):
            took[name].append(min(_refusal_s(sent.headers, body) for _ in range(3)))
    slow, fast = sorted((median(took["last"]), median(took["other"])), reverse=True)
    yield Result(
        bench="as2.uniform.10k",
        value=slow * 1e3,
        unit="ms, the slower median",
        floor="the faster median",
        floor_value=fast * 1e3,
    )


def _refusal_s(headers: dict[str, str], body: bytes) -> float:
    """CPU seconds to refuse a message and sign the receipt that says so."""
    terms, began = link().buyer, time.process_time()
    try:
        receive(headers, body, terms)
    except Rejected as rejected:
        build_mdn(
            headers, terms=terms, disposition=rejected.disposition, mic=None, text=rejected.disposition.explanation
        )
        return time.process_time() - began
    raise Void("an altered message was accepted")


BENCHES: Final[dict[str, Bench]] = {
    **{f"as2.receive.{label}": partial(receiving, label) for label in SIZES},
    **{f"as2.send.{label}": partial(sending, label) for label in SIZES},
    "as2.receive.20m.memory": partial(receiving_memory, "20m"),
    "as2.unauthenticated.1m": hostile_requests,
    "as2.uniform.10k": uniform_answers,
}
