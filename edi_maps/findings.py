"""What can be wrong with a document: one catalogue from code to words, remedy and who must act.

A finding is data. The same finding becomes a line of a 997 or 824, an entry of a problem document, a row in the exception
queue and a sentence on a screen; nobody writes a second text for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final


class Severity(StrEnum):
    ERROR = "error"  #: rejects the document unless the partner's terms say otherwise
    WARNING = "warning"  #: accepted, and said
    NOTE = "note"


class Actor(StrEnum):
    """Who must act next."""

    PARTNER = "partner"
    BUYER = "buyer"
    OPERATOR = "operator"
    NOBODY = "nobody"


class Verdict(StrEnum):
    ACCEPTED = "accepted"
    ACCEPTED_WITH_ERRORS = "accepted_with_errors"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One row of the catalogue. ``text`` and ``fix`` are templates over the facts of the finding."""

    severity: Severity
    text: str
    fix: str
    actor: Actor = Actor.PARTNER


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing wrong, with its place. What does not apply is None."""

    code: str
    severity: Severity
    text: str
    fix: str
    actor: Actor
    segment: str | None = None  #: segment id, e.g. "PO1"
    position: int | None = None  #: of the segment in its transaction set, ST = 1
    element: int | None = None
    component: int | None = None
    offset: int | None = None  #: byte offset in the file
    value: str | None = None  #: as sent
    pointer: str | None = None  #: JSON pointer, for documents that are JSON

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready; absent places are left out."""
        return {name: value for name, value in asdict(self).items() if value is not None}


_E, _W = Severity.ERROR, Severity.WARNING

#: code → words. One entry is all it takes to add a finding; keep the sections in the order a document is read.
CATALOGUE: Final[dict[str, Message]] = {
    # -- the file and its envelope
    "unreadable": Message(
        severity=_E,
        text="{where}: this is not a document we can read: {reason}.",
        fix="Send the document in the format agreed for this channel.",
    ),
    # -- partner and agreement
    "unknown_partner": Message(
        severity=_E,
        text="No trading partner is known by {value}.",
        fix="Check the identifier, or add it to the partner's identities.",
        actor=Actor.OPERATOR,
    ),
    "sender_mismatch": Message(
        severity=_E,
        text="{where}: the document says it comes from {value}, but it was sent by {expected}.",
        fix="Send only documents of your own under your own identifiers.",
    ),
    "no_agreement": Message(
        severity=_E,
        text="No agreement with this partner covers {value}.",
        fix="Add a document agreement for it, or ask the partner to stop sending it.",
        actor=Actor.OPERATOR,
    ),
}


def finding(code: str, *, severity: Severity | None = None, **facts: Any) -> Finding:
    """Make a finding from its code.

    Args:
        code: a key of the catalogue; an unknown one is a programming error and raises KeyError.
        severity: overrules the catalogue (a partner's terms may soften or harden a rule).
        facts: the places (``segment``, ``position``, ``element``, ``component``, ``offset``, ``value``, ``pointer``) and
            whatever else the templates of the message name, e.g. ``expected``.
    """
    message = CATALOGUE[code]
    places = {name: facts.get(name) for name in _PLACES}
    where = _where(places)
    words = {"where": where, **{name: "" if value is None else value for name, value in facts.items()}}
    return Finding(
        code=code,
        severity=severity or message.severity,
        text=message.text.format_map(_Words(words)),
        fix=message.fix.format_map(_Words(words)),
        actor=message.actor,
        **places,
    )


def verdict_of(findings: Iterable[Finding]) -> Verdict:
    """Rejected when one finding is an error, accepted with errors when one is a warning."""
    severities = {found.severity for found in findings}
    if Severity.ERROR in severities:
        return Verdict.REJECTED
    return Verdict.ACCEPTED_WITH_ERRORS if Severity.WARNING in severities else Verdict.ACCEPTED


_PLACES: Final = ("segment", "position", "element", "component", "offset", "value", "pointer")


class _Words(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "?"


def _where(places: dict[str, Any]) -> str:
    """``BEG02 (segment 2)``, ``#/lines/0/quantity`` or ``byte 17``: the place as a person would say it."""
    if places["segment"]:
        element = f"{places['element']:02d}" if places["element"] else ""
        component = f"-{places['component']}" if places["component"] else ""
        position = f" (segment {places['position']})" if places["position"] else ""
        return f"{places['segment']}{element}{component}{position}"
    if places["pointer"]:
        return str(places["pointer"])
    return f"byte {places['offset']}" if places["offset"] is not None else "the document"
