"""What can be wrong with something that claims to be AS2, and whom it is told.

As2Error
├── MalformedRequest   the headers do not name a message      HTTP 400, no MDN
├── Rejected           it does not meet the partner's terms   MDN with the disposition; staff see why
└── UnusableTerms      a certificate or key of the terms      staff must act; the partner did nothing wrong

**What a partner may learn.** Whoever holds one captured message can send it again in thousands of variants and listen to
our answers; a single answer that depends on the decrypted octets is enough to read the message byte by byte. So until a
good signature is found, every failure of decrypting, inflating, slicing or verifying has one disposition and one text
(``AUTHENTICATION_FAILED``). Apart from it stands only what a bystander can see without any key, such as a message that is
not encrypted at all (``INSUFFICIENT_MESSAGE_SECURITY``). Behind a good signature the answers are precise.
"""

from __future__ import annotations

from enum import StrEnum


class Disposition(StrEnum):
    """What an MDN says became of the message, as it stands behind the semicolon. Source: RFC 4130 section 7.5."""

    PROCESSED = "processed"
    AUTHENTICATION_FAILED = "processed/error: authentication-failed"
    DECOMPRESSION_FAILED = "processed/error: decompression-failed"
    INSUFFICIENT_MESSAGE_SECURITY = "processed/error: insufficient-message-security"
    INVALID_MESSAGE_ID = "processed/error: invalid-message-id"
    UNEXPECTED_PROCESSING_ERROR = "processed/error: unexpected-processing-error"
    UNSUPPORTED_MIC_ALGORITHMS = "failed/failure: unsupported MIC-algorithms"

    @property
    def explanation(self) -> str:
        """The sentence for a person, constant for each disposition."""
        return _EXPLANATIONS[self]


_EXPLANATIONS = {
    Disposition.PROCESSED: "The message was received and stored. This does not mean that its documents were accepted.",
    Disposition.AUTHENTICATION_FAILED: (
        "The message could not be opened and verified. It must be encrypted for our current certificate and signed "
        "with a certificate that is registered for you, and arrive unaltered."
    ),
    Disposition.DECOMPRESSION_FAILED: "The compressed part could not be inflated, or grows beyond the agreed size.",
    Disposition.INSUFFICIENT_MESSAGE_SECURITY: (
        "The message is not protected as agreed: encryption, signature, or both are missing, or the algorithms are others. "
        "Unless something else was agreed, they are AES, and SHA-256 or better."
    ),
    Disposition.INVALID_MESSAGE_ID: "A Message-ID has no spaces and no control characters.",
    Disposition.UNEXPECTED_PROCESSING_ERROR: "The content of the message could not be read.",
    Disposition.UNSUPPORTED_MIC_ALGORITHMS: "None of the digests asked for is supported; ask for SHA-256 or better.",
}


class As2Error(Exception):
    """Base of the three."""


class MalformedRequest(As2Error):
    """The request cannot be attributed to a message at all.

    Args:
        why: for our log; it quotes nothing the other side sent.
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Rejected(As2Error):
    """The message or MDN does not hold what the terms demand.

    Args:
        disposition: for the partner.
        why: for staff; never sent, never payload.
        salvaged: content of the innermost layer that was reached, for staff's quarantine only: nobody has proved who sent
            it. None when nothing was taken off, or when it is longer than the agreed size.
        mic: for the receipt, digest and its name, when the failure lies behind a good signature; None before one.
    """

    def __init__(
        self,
        disposition: Disposition,
        why: str,
        *,
        salvaged: bytes | None = None,
        mic: tuple[bytes, str] | None = None,
    ) -> None:
        super().__init__(why)
        self.disposition = disposition
        self.why = why
        self.salvaged = salvaged
        self.mic = mic


class UnusableTerms(As2Error):
    """A certificate or key that the terms need is missing, unreadable or of the wrong kind."""
