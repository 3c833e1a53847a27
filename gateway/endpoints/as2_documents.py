"""Documents: what an opened AS2 message holds, which of it is X12, and who proved to have sent it."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from typing import Any, Final

from gateway.pipeline.receive import FILE, Attachment, Incoming
from gateway.transports import as2
from partners.profiles import As2Terms

#: What says it is X12, or whatever both sides agreed on, which here is X12. Source: RFC 1767.
_X12_TYPES: Final = frozenset({"application/edi-x12", "application/edi-consent"})
_BEGINNING: Final = re.compile(rb"\s*ISA")


def opened(incoming: Incoming, received: as2.Received, terms: As2Terms) -> Incoming:
    """``incoming`` with its documents.

    The first document is the message and is translated, unless another one is X12 and the first is not: a covering letter.
    Whatever else is X12 is translated too, and the rest is kept as it is.
    """
    attachments = [
        Attachment(
            format="x12" if _is_x12(part.content_type, part.content) else FILE,
            payload=part.content,
            content_type=part.content_type,
            file_name=part.file_name or "",
        )
        for part in received.attachments
    ]
    is_letter = any(part.format == "x12" for part in attachments) and not _is_x12(
        received.content_type, received.payload
    )
    return replace(
        incoming,
        format=FILE if is_letter else "x12",
        payload=received.payload,
        content_type=received.content_type,
        file_name=received.file_name or "",
        digests={received.mic_algorithm: base64.b64encode(received.mic).decode()},
        evidence=_evidence(received, terms),
        attachments=attachments,
    )


def _is_x12(content_type: str, content: bytes) -> bool:
    """By its media type, or, as many senders know only application/octet-stream, by how it begins."""
    return content_type.partition(";")[0].strip().lower() in _X12_TYPES or _BEGINNING.match(content) is not None


def _evidence(received: as2.Received, terms: As2Terms) -> dict[str, Any]:
    """Which certificates were used, and for what layers, the outermost first."""
    evidence: dict[str, Any] = {
        "signer": received.signer_fingerprint,
        "decrypted_with": received.decrypted_with,
        "layers": [f"{layer.kind} {layer.algorithm}" for layer in received.layers],
    }
    if any(ref.expired for ref in terms.their_signing if ref.fingerprint == received.signer_fingerprint):
        evidence["signer_expired"] = True
    return evidence
