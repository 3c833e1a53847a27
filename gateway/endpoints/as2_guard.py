"""The guard of the AS2 door: what the headers alone decide, before a body is touched.

    names → partner → client certificate → earlier failures → address of the receipt → length

Nothing here proves who sent the request. What staff are told of it is hearsay, so it costs a bounded number of rows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from django.db import transaction
from django.http import HttpRequest

from gateway import exception_queue
from gateway.endpoints import proxies
from gateway.endpoints.allowance import Allowance
from gateway.endpoints.client_certificate import presented
from gateway.models import CaseState, ExceptionCase
from gateway.pipeline.receive import Answer
from gateway.transports import as2
from gateway.transports.as2.addresses import may_go_to
from partners import directory
from partners.profiles import As2Terms, Profile

#: What unproven headers may cost us in rows; beyond it they get the same answer and leave no trace.
HEARSAY: Final = Allowance("as2-hearsay", most=60, per_s=60)
#: Failed messages in one partner's name from one address: whoever guesses at our keys needs thousands.
FAILURES: Final = Allowance("as2-failures", most=20, per_s=600)
#: Failed messages in one partner's name that are kept, wherever they come from: strangers are not to fill our disks. What is
#: not kept is answered 429; a good message is taken all the same.
KEPT_FAILURES: Final = Allowance("as2-kept-failures", most=200, per_s=3600)
#: The same in bytes, as they came and as far as they could be opened.
KEPT_BYTES: Final = Allowance("as2-kept-bytes", most=256 * 1024 * 1024, per_s=3600)
#: So many pairs of names nobody has may each have a case; those beyond share one.
MOST_STRANGERS: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request of a known pair: what it asks for, and on what terms it is judged."""

    headers: Mapping[str, str]
    receipt: as2.ReceiptRequest | None  #: None: no receipt is wanted
    profile: Profile
    terms: As2Terms
    length: int  #: of the body as announced, bytes
    source: str  #: partner and network it came from, for allowances

    @property
    def receipt_to(self) -> str:
        """Where an asynchronous receipt is wanted, and may go; empty: the receipt is wanted in the answer, or none is."""
        return (self.receipt.delivery_url or "") if self.receipt is not None else ""


class TurnedAway(Exception):
    """The request goes no further; ``answer`` says why, as far as the sender may know, ``reason`` counts it for us."""

    def __init__(self, answer: Answer, reason: str) -> None:
        super().__init__(f"HTTP {answer.status}: {reason}")
        self.answer, self.reason = answer, reason


def admit(request: HttpRequest) -> Exchange:
    """The exchange a request begins.

    Raises:
        TurnedAway: it begins none.
    """
    if request.method != "POST":
        raise TurnedAway(text(405, "This address takes AS2 messages by POST.", Allow="POST"), "method")
    headers = dict(request.headers)
    try:
        pair, receipt = as2.request_pair(headers), as2.requested_receipt(headers)
    except as2.MalformedRequest as malformed:
        raise TurnedAway(not_as2(malformed), "not_as2") from None
    profile = _partner(pair)
    if profile is None or profile.as2 is None:
        _tell_of_stranger(pair)
        raise TurnedAway(text(403, "No trading partnership covers this message."), "unknown_partner")
    source = f"{profile.id}:{proxies.client_network(request)}"
    _demand_client_certificate(profile, profile.as2, presented(request))
    if FAILURES.used_up(source):
        raise TurnedAway(too_many(FAILURES), "too_many_failures")
    _demand_agreed_address(profile, profile.as2, receipt)
    return Exchange(
        headers=headers,
        receipt=receipt,
        profile=profile,
        terms=profile.as2,
        length=_agreed_length(profile, profile.as2, headers),
        source=source,
    )


def _partner(pair: as2.Pair) -> Profile | None:
    """Whose pair of names it is, as it stands or as it was meant."""
    for names in (pair, as2.quoted_twice(pair)):
        if names is not None and (profile := directory.by_as2_pair(our_name=names.as2_to, their_name=names.as2_from)):
            return profile
    return None


def _demand_client_certificate(profile: Profile, terms: As2Terms, fingerprint: str | None) -> None:
    if terms.their_tls is None or fingerprint in {ref.fingerprint for ref in terms.their_tls}:
        return
    came = f"with the client certificate {fingerprint}, which is not agreed" if fingerprint else "without one"
    summary = f"{profile.code} must call with a client certificate and called {came}"
    _hearsay("refused_unread", summary, f"refused_unread:{profile.id}:tls", profile.id)
    raise TurnedAway(
        text(403, "A TLS client certificate agreed with us must stand before this message."), "client_certificate"
    )


def _demand_agreed_address(profile: Profile, terms: As2Terms, receipt: as2.ReceiptRequest | None) -> None:
    if receipt is None or receipt.delivery_url is None or may_go_to(terms, receipt.delivery_url):
        return
    summary = f"{profile.code} wants its receipts at an address that is not agreed: {_shown(receipt.delivery_url)}"
    _hearsay("receipt_address", summary, f"receipt_address:{profile.id}", profile.id)
    words = "Receipt-Delivery-Option names an address that is not agreed for you. Have us enter it, or leave the header out."
    raise TurnedAway(text(400, words), "receipt_address")


def _agreed_length(profile: Profile, terms: As2Terms, headers: Mapping[str, str]) -> int:
    length = headers.get("Content-Length", "")
    if not (length.isascii() and length.isdigit() and len(length) <= 12):
        # A server that does not unpack chunked bodies hands over none, and an empty message must never be acknowledged.
        raise TurnedAway(text(411, "The length of the body is not known. Send Content-Length."), "length_unknown")
    if int(length) > terms.max_bytes:
        summary = f"{profile.code} sends more than the {terms.max_bytes} bytes agreed"
        _hearsay("refused_unread", summary, f"refused_unread:{profile.id}:size", profile.id)
        raise TurnedAway(text(413, f"A message may have {terms.max_bytes} bytes."), "too_large")
    return int(length)


# -- what staff are told


def _tell_of_stranger(pair: as2.Pair) -> None:
    """Of a pair of names that is nobody's: a mistyped identifier looks like this too."""
    if HEARSAY.used_up():
        return
    names = f"{pair.as2_from} → {pair.as2_to}"
    fingerprint = f"unknown_partner:as2:{names}"
    open_now = ExceptionCase.objects.filter(reason="unknown_partner", state=CaseState.OPEN)
    if open_now.count() >= MOST_STRANGERS and not open_now.filter(fingerprint=fingerprint).exists():
        names, fingerprint = "many pairs of names", "unknown_partner:as2:others"
    _hearsay("unknown_partner", f"An AS2 message from somebody we do not know: {names}", fingerprint)


def _hearsay(reason: str, summary: str, fingerprint: str, partner_id: int | None = None) -> None:
    """Open or count up a case for what only headers say, within an allowance: anybody can send headers."""
    if HEARSAY.used_up():
        return
    HEARSAY.use()
    with transaction.atomic():
        exception_queue.open_case(reason, summary=summary, fingerprint=fingerprint, partner_id=partner_id)


def _shown(address: str) -> str:
    """An address out of a header, fit to be looked at: short, printable, without user, password and query."""
    bare = re.sub(r"//[^/?#]*@", "//", re.split(r"[?#]", address)[0])
    return "".join(mark if " " <= mark <= "~" else "?" for mark in bare)[:160]


# -- answers


def text(status: int, words: str, **headers: str) -> Answer:
    """An answer in one plain sentence."""
    headers = {"Content-Type": "text/plain; charset=us-ascii", **headers}
    return Answer(status=status, headers=headers, body=f"{words}\n".encode("ascii"))


def too_many(failures: Allowance) -> Answer:
    return text(429, "Too many messages failed. Wait, then send again.", **{"Retry-After": str(failures.per_s)})


def not_as2(malformed: as2.MalformedRequest) -> Answer:
    return text(400, f"This is not an AS2 message: {malformed.why}.")
