"""Exhibits: an exchange as files, for somebody who has neither our database nor our programs.

Signed parts stand apart from their signatures, so that ``openssl`` can check one against the other, and ``README.txt`` has
the commands. No private key is ever written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from gateway.models import Transmission
from gateway.pipeline import evidence
from gateway.pipeline.evidence import Proof
from gateway.transports import as2
from gateway.transports.as2.proof import detach
from partners import history
from partners.history import KeptCertificate
from partners.profiles import Direction

_OURS: Final = """\
Message {message_id}
from {us} to {them}

{conclusion}

message.txt, message.bin   the request as it was posted, and its body
payload.bin                the document
covered.bin                the part of the message that the receipt is about; the document is in it
receipt.txt, receipt.bin   the answer with the receipt as it came, and its body
receipt-signed.bin         the part of the receipt that is signed
receipt.p7s                the signature over it (CMS, DER)
signer.pem                 the certificate that verifies it

The same without us:

1. The receipt was signed with the partner's certificate ("CMS Verification successful"):

   {verify}

2. This is the digest the receipt states, in its line Received-Content-MIC, for the message in its line Original-Message-ID:

   grep -a -i -E "^(Original-Message-ID|Received-Content-MIC|Disposition):" receipt-signed.bin

3. And this is the digest of the message:

   {digest}
"""

_THEIRS: Final = """\
Message {message_id}
from {them} to {us}

{conclusion}

message.txt, message.bin   the request as it came, and its body
payload.bin                the document
covered.bin                the part of the message that is signed, decrypted; the document is in it
message.p7s                the signature over it (CMS, DER)
signer.pem                 the partner's certificate, which verifies it

The same without us:

1. The message was signed with the partner's certificate ("CMS Verification successful"):

   {verify}

2. This is its digest, as our receipt states it (receipt.txt and receipt.bin, where a receipt was asked for):

   {digest}
"""


def write(proof: Proof, folder: Path, extra: Sequence[KeptCertificate] = ()) -> list[str]:
    """Write the files of one exchange into a folder, which is made.

    Returns:
        Their names.

    Raises:
        Unusable: it has no signature that holds, so that there is nothing to hand to anybody.
        OSError: they cannot be written.
    """
    row = proof.transmission
    ours = row.direction == Direction.OUTBOUND
    files = _of_ours(row, extra) if ours else _of_theirs(row, extra)
    facts = {
        "message_id": row.message_id,
        "us": row.headers.get("AS2-From" if ours else "AS2-To", ""),
        "them": row.headers.get("AS2-To" if ours else "AS2-From", ""),
        "conclusion": proof.conclusion,
        "verify": _verify("receipt" if ours else "message", "receipt-signed.bin" if ours else "covered.bin"),
        "digest": f"openssl dgst -{_algorithm(row)} -binary covered.bin | openssl base64 -A",
    }
    files["README.txt"] = (_OURS if ours else _THEIRS).format(**facts).encode()
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return sorted(files)


def _of_ours(row: Transmission, extra: Sequence[KeptCertificate]) -> dict[str, bytes]:
    receipt = evidence.receipt_of(row)
    if receipt is None or row.covered is None:
        raise evidence.Unusable(f"{row} has no receipt to show.")
    return {
        **_message(row),
        "covered.bin": row.covered.found,
        **_request("receipt", *receipt),
        **_signature("receipt", "receipt-signed.bin", *receipt, (), evidence.signers_of(row, extra)),
    }


def _of_theirs(row: Transmission, extra: Sequence[KeptCertificate]) -> dict[str, bytes]:
    theirs = evidence.signers_of(row, extra)
    files = _message(row) | _signature(
        "message", "covered.bin", row.headers, row.raw.found, history.own_certificates(), theirs
    )
    receipt = evidence.receipt_of(row)
    return files | (_request("receipt", *receipt) if receipt else {})


def _message(row: Transmission) -> dict[str, bytes]:
    payload = {"payload.bin": row.payload.found} if row.payload else {}
    return _request("message", row.headers, row.raw.found) | payload


def _request(name: str, headers: Mapping[str, str], body: bytes) -> dict[str, bytes]:
    lines = "".join(f"{field}: {value}\r\n" for field, value in headers.items())
    return {f"{name}.txt": lines.encode("utf-8"), f"{name}.bin": body}


def _signature(
    name: str,
    signed_name: str,
    headers: Mapping[str, str],
    body: bytes,
    ours: Sequence[KeptCertificate],
    theirs: Sequence[KeptCertificate],
) -> dict[str, bytes]:
    try:
        found = detach(headers, body, evidence.terms_of_then(ours, theirs, signed=False))
    except as2.As2Error as error:
        raise evidence.Unusable(f"There is no signature that holds: {error}") from None
    if found is None:
        raise evidence.Unusable(f"The {name} is not signed: there is nothing to hand to anybody.")
    signer = next(one for one in theirs if one.ref.fingerprint == found.signer_fingerprint)
    return {
        signed_name: found.octets,
        f"{name}.p7s": found.signature,
        "signer.pem": signer.ref.certificate_pem,
    }


def _verify(name: str, signed_name: str) -> str:
    # The certificate is trusted for itself, whoever issued it and whatever day it is: it was agreed with the partner.
    return (
        f"openssl cms -verify -binary -inform DER -in {name}.p7s -content {signed_name} \\\n"
        "     -certfile signer.pem -nointern -CAfile signer.pem -partial_chain -no_check_time -purpose any -out /dev/null"
    )


def _algorithm(row: Transmission) -> str:
    """Of the digest that both sides named."""
    receipt = evidence.receipt_of(row)
    said = receipt[1].decode("latin-1") if receipt else ""
    names: list[str] = [name for name, value in row.digests.items() if value in said]
    return (names or list(row.digests) or ["sha256"])[0]
