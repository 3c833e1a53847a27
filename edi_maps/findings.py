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
    repetition: int | None = None  #: of an element that may be repeated, first = 1
    offset: int | None = None  #: byte offset in the file
    value: str | None = None  #: as sent
    pointer: str | None = None  #: JSON pointer, for documents that are JSON

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready; absent places are left out."""
        return {name: value for name, value in asdict(self).items() if value is not None}


_E, _W, _N = Severity.ERROR, Severity.WARNING, Severity.NOTE

#: code → words. One entry is all it takes to add a finding; keep the sections in the order a document is read.
CATALOGUE: Final[dict[str, Message]] = {
    # -- the file and its envelope
    "unreadable": Message(
        severity=_E,
        text="{where}: this is not a document we can read: {reason}.",
        fix="Send the document in the format agreed for this channel.",
    ),
    # -- X12 interchange: ISA to IEA
    "too_large": Message(
        severity=_E,
        text="{where}: more than {limit}, so we stopped reading.",
        fix="Split the file into several interchanges.",
    ),
    "interchange_header_missing": Message(
        severity=_E,
        text="{where}: there is no ISA segment; the file starts with {value}.",
        fix="Wrap the document in an interchange: ISA, GS, ST … SE, GE, IEA.",
    ),
    "isa_width": Message(
        severity=_W,
        text="{where} has {length} characters where the fixed-width header has {expected}; we read it by its separators.",
        fix="Pad the elements of the ISA with blanks to their fixed width; the segment has 106 bytes with its terminator.",
    ),
    "isa_value": Message(
        severity=_W,
        text="{where}: {value!r} is not {expected}.",
        fix="Correct the element of the ISA segment.",
    ),
    "delimiter_invalid": Message(
        severity=_E,
        text="{where}: the {which} is {value!r}: {reason}.",
        fix="Use four different characters that are neither letters, digits nor blanks and never occur in the data.",
    ),
    "bytes_outside_interchange": Message(
        severity=_W,
        text="{where}: {count} bytes stand outside any interchange and were passed over.",
        fix="Send nothing before ISA and nothing after IEA.",
    ),
    "line_break_in_segment": Message(
        severity=Severity.NOTE,
        text="{where}: {count} segments were wrapped over several lines; the line breaks were taken out.",
        fix="End a line only after a segment terminator.",
    ),
    "interchange_control_number_invalid": Message(
        severity=_E,
        text="{where}: the interchange control number is {value!r}, not nine digits.",
        fix="Number your interchanges with nine digits in ISA13.",
    ),
    "interchange_control_number_mismatch": Message(
        severity=_W,
        text="{where} says {value!r}, the header ISA13 says {expected!r}.",
        fix="Repeat the control number of ISA13 in IEA02.",
    ),
    "group_count": Message(
        severity=_W,
        text="{where} counts {value!r} functional groups, we found {expected}.",
        fix="Count the GS segments of the interchange in IEA01.",
    ),
    "interchange_trailer_missing": Message(
        severity=_E,
        text="{where}: the interchange has no IEA segment; the file may be cut off.",
        fix="Send the whole file again, to its IEA segment.",
    ),
    "interchange_empty": Message(
        severity=_W,
        text="{where}: the interchange holds no functional group.",
        fix="Send an interchange only when there is something in it.",
    ),
    "set_outside_group": Message(
        severity=_E,
        text="{where}: a transaction set starts outside a functional group (no GS before it).",
        fix="Put the transaction set between GS and GE.",
    ),
    "segment_outside_set": Message(
        severity=_W,
        text="{where}: {value!r} stands where no such segment can stand.",
        fix="Send only ISA, TA1, GS, GE and IEA outside transaction sets, each in its place.",
    ),
    # -- X12 functional group: GS to GE
    "group_header_invalid": Message(
        severity=_W,
        text="{where}: {value!r} is not {expected}.",
        fix="Fill all eight elements of the GS segment.",
    ),
    "group_not_supported": Message(
        severity=_E,
        text="{where}: we do not take functional groups of kind {value!r}.",
        fix="Agree the document with us first, or correct GS01.",
    ),
    "version_not_supported": Message(
        severity=_E,
        text="{where}: {value!r} is not a version of X12.",
        fix="Send the version agreed, for example 004010, in GS08.",
    ),
    "version_approximate": Message(
        severity=Severity.NOTE,
        text="{where}: we have no guide for version {value!r} and read it by the guide for {expected}.",
        fix="Nothing, unless something was read wrongly; the agreed versions avoid the doubt.",
        actor=Actor.NOBODY,
    ),
    "group_control_number_invalid": Message(
        severity=_E,
        text="{where}: the group control number is {value!r}, not one to nine digits.",
        fix="Number your functional groups with one to nine digits in GS06.",
    ),
    "group_control_number_repeated": Message(
        severity=_E,
        text="{where}: the group control number {value!r} was used before in this interchange.",
        fix="Give every functional group a number of its own.",
    ),
    "group_control_number_mismatch": Message(
        severity=_E,
        text="{where} says {value!r}, the header GS06 says {expected!r}.",
        fix="Repeat the control number of GS06 in GE02.",
    ),
    "set_count": Message(
        severity=_E,
        text="{where} counts {value!r} transaction sets, we found {expected}.",
        fix="Count the ST segments of the group in GE01.",
    ),
    "group_trailer_missing": Message(
        severity=_E,
        text="{where}: the functional group has no GE segment.",
        fix="Close every functional group with GE.",
    ),
    # -- X12 transaction set: ST to SE
    "set_code_missing": Message(
        severity=_E,
        text="{where}: the transaction set does not say what it is ({value!r}).",
        fix="Send the three digits of the transaction set in ST01, for example 855.",
    ),
    "set_not_supported": Message(
        severity=_E,
        text="{where}: we have no guide for transaction set {value!r}.",
        fix="Agree the document with us first, or correct ST01.",
    ),
    "set_not_in_group": Message(
        severity=_E,
        text="{where}: a {value} does not belong into a functional group {expected!r}.",
        fix="Send each kind of transaction set in a group of its own kind: PO 850, PR 855, SH 856.",
    ),
    "set_control_number_invalid": Message(
        severity=_E,
        text="{where}: the control number of the transaction set is {value!r}, not four to nine characters.",
        fix="Number the sets of a group with four to nine digits in ST02.",
    ),
    "set_control_number_repeated": Message(
        severity=_E,
        text="{where}: the control number {value!r} was used before in this functional group.",
        fix="Give every transaction set of a group a number of its own.",
    ),
    "set_control_number_mismatch": Message(
        severity=_E,
        text="{where} says {value!r}, the header ST02 says {expected!r}.",
        fix="Repeat the control number of ST02 in SE02.",
    ),
    "segment_count": Message(
        severity=_E,
        text="{where} counts {value!r} segments, we found {expected} from ST to SE.",
        fix="Count the segments of the set in SE01, ST and SE included.",
    ),
    "set_trailer_missing": Message(
        severity=_E,
        text="{where}: the transaction set has no SE segment; it may be cut off.",
        fix="Close every transaction set with SE.",
    ),
    "findings_capped": Message(
        severity=Severity.NOTE,
        text="Only the first {count} findings of this transaction set are listed.",
        fix="Correct these first and send the document again.",
    ),
    # -- X12 segments and elements
    "segment_unknown": Message(
        severity=_E,
        text="{where}: {value!r} is not a segment we know.",
        fix="Leave the segment out, or correct its identifier.",
    ),
    "segment_not_in_set": Message(
        severity=_E,
        text="{where}: a {segment} segment does not belong into this transaction set.",
        fix="Leave the segment out.",
    ),
    "segment_unexpected": Message(
        severity=_E,
        text="{where}: a {segment} segment may not stand here{after}.",
        fix="Keep the segments in the order of the guide.",
    ),
    "segment_missing": Message(
        severity=_E,
        text="{where}: the segment is required before this place and was not sent.",
        fix="Add the segment.",
    ),
    "segment_repeat": Message(
        severity=_E,
        text="{where}: the segment is repeated more than {limit} times.",
        fix="Send at most {limit} of these segments in a row.",
    ),
    "segment_too_long": Message(
        severity=_E,
        text="{where}: the segment has {length}, more than {limit}; the rest was not read.",
        fix="Check that every segment ends with the segment terminator.",
    ),
    "loop_repeat": Message(
        severity=_E,
        text="{where}: the {segment} loop is repeated more than {limit} times.",
        fix="Send at most {limit} of these loops.",
    ),
    "element_missing": Message(
        severity=_E,
        text="{where}: {name} is required and was not sent.",
        fix="Fill the element.",
    ),
    "element_condition": Message(
        severity=_E,
        text="{where}: {name} must be sent {condition}.",
        fix="Send the elements that belong together, or none of them.",
    ),
    "element_exclusion": Message(
        severity=_E,
        text="{where}: only one of {condition} may be sent.",
        fix="Send one of these elements only.",
    ),
    "element_extra": Message(
        severity=_E,
        text="{where}: the segment has more elements than the {limit} it may have.",
        fix="Leave out what stands after the last element of the guide.",
    ),
    "element_repeat": Message(
        severity=_E,
        text="{where}: {name} has more repetitions than the {limit} it may have.",
        fix="Send at most {limit} repetitions of the element.",
    ),
    "element_short": Message(
        severity=_E,
        text="{where}: {value!r} is shorter than the {limit} characters of {name}.",
        fix="Send at least {limit} characters.",
    ),
    "element_long": Message(
        severity=_E,
        text="{where}: {value!r} is longer than the {limit} characters of {name}.",
        fix="Send at most {limit} characters.",
    ),
    "element_characters": Message(
        severity=_E,
        text="{where}: {name} holds characters that are not allowed: {value!r}.",
        fix="Leave out control characters.",
    ),
    "element_number": Message(
        severity=_E,
        text="{where}: {value!r} is not a number, as {name} must be.",
        fix="Send digits, with at most one leading minus and, where allowed, one decimal point.",
    ),
    "element_code": Message(
        severity=_E,
        text="{where}: {value!r} is not a code we accept for {name}.",
        fix="Use one of: {codes}.",
    ),
    "element_date": Message(
        severity=_E,
        text="{where}: {value!r} is not a date.",
        fix="Send {name} as CCYYMMDD, for example 20260924.",
    ),
    "element_time": Message(
        severity=_E,
        text="{where}: {value!r} is not a time.",
        fix="Send {name} as HHMM or HHMMSS, from 0000 to 2359.",
    ),
    # -- X12 hierarchy: the HL segments of a ship notice
    "hl_id_missing": Message(
        severity=_E,
        text="{where}: the level has no number.",
        fix="Number the HL segments of a set in HL01, starting with 1.",
    ),
    "hl_id_repeated": Message(
        severity=_E,
        text="{where}: the level number {value!r} was used before in this set.",
        fix="Give every HL segment a number of its own.",
    ),
    "hl_parent_missing": Message(
        severity=_W,
        text="{where}: a level {value!r} does not name its parent; we placed it by its order.",
        fix="Name the parent level in HL02.",
    ),
    "hl_parent_unknown": Message(
        severity=_E,
        text="{where}: no level {value!r} stands before this one; we placed the level by its order.",
        fix="Name in HL02 the HL01 of a level that was sent before.",
    ),
    "hl_parent_level": Message(
        severity=_W,
        text="{where}: a level {value!r} does not belong under {expected}.",
        fix="Nest shipment, order, tare, pack and item as agreed.",
    ),
    "hl_cycle": Message(
        severity=_E,
        text="{where}: the level names itself as its parent.",
        fix="Name in HL02 the level above.",
    ),
    "hl_level_unknown": Message(
        severity=_W,
        text="{where}: {value!r} is not a level we know; it was kept.",
        fix="Use S shipment, O order, T tare, P pack, I item.",
    ),
    "hl_depth": Message(
        severity=_E,
        text="{where}: the levels are nested deeper than {limit}.",
        fix="Nest at most {limit} levels.",
    ),
    # -- X12 values: what the elements mean
    "no_map_sheet": Message(
        severity=_N,
        text="{where}: transaction set {value} is read by structure only; it becomes no record.",
        fix="Nothing to do, unless this document was meant to be processed: then say so to the operator.",
        actor=Actor.NOBODY,
    ),
    "value_not_number": Message(
        severity=_E,
        text="{where}: '{value}' is not a number.",
        fix="Send digits with at most one decimal point and a sign, no thousands separators, no units.",
    ),
    "value_not_integer": Message(
        severity=_E,
        text="{where}: '{value}' is not a whole number.",
        fix="Send a whole number in digits.",
    ),
    "value_not_date": Message(
        severity=_E,
        text="{where}: '{value}' is not a date.",
        fix="Send the date in the agreed form; in X12 that is CCYYMMDD.",
    ),
    "value_not_time": Message(
        severity=_E,
        text="{where}: '{value}' is not a time of day.",
        fix="Send the time in the agreed form; in X12 that is HHMM, in 24 hours.",
    ),
    "value_not_moment": Message(
        severity=_E,
        text="{where}: '{value}' is not a date with a time.",
        fix="Send date and time in the agreed form; in X12 that is CCYYMMDD and HHMM.",
    ),
    "value_missing": Message(
        severity=_E,
        text="{where}: {expected} is missing, and without it the document cannot be used.",
        fix="Send {expected}.",
    ),
    "value_unpaired": Message(
        severity=_W,
        text="{where}: '{value}' stands without its qualifier or its value, so it was not used.",
        fix="Send qualifier and value together, or neither.",
    ),
    "entry_incomplete": Message(
        severity=_W,
        text="{where}: {expected} is missing, so this entry was not used.",
        fix="Send {expected}, or leave the whole entry out.",
    ),
    "sscc_check_digit": Message(
        severity=_W,
        text="{where}: the check digit of SSCC '{value}' is wrong.",
        fix="Print and send SSCC-18 numbers with the check digit computed over their first 17 digits.",
    ),
    "response_contradiction": Message(
        severity=_W,
        text="{where}: the acknowledgment says '{expected}' as a whole, but answers a line with '{value}'.",
        fix="Let the status of the acknowledgment agree with the statuses of its lines.",
    ),
    # -- X12 acknowledgments: what a partner found wrong with a document of ours
    "refused_envelope": Message(
        severity=_E,
        text="{where}: the partner found fault with our envelope: {reason}.",
        fix="Compare the partner's X12 terms with what they expect, mend them and send the document again.",
        actor=Actor.OPERATOR,
    ),
    "refused_set": Message(
        severity=_E,
        text="{where}: the partner refused the transaction set: {reason}.",
        fix="Look at the other findings; without any, ask the partner what they could not read.",
        actor=Actor.OPERATOR,
    ),
    "refused_segment": Message(
        severity=_E,
        text="{where}: the partner found fault with {name}{shown}: {reason}.",
        fix="Compare the segment with the partner's guide.",
        actor=Actor.OPERATOR,
    ),
    "refused_element": Message(
        severity=_E,
        text="{where}: the partner found fault with {name}{shown}: {reason}.",
        fix="Compare the element with the partner's guide, then mend the order or the partner's terms.",
        actor=Actor.OPERATOR,
    ),
    # -- X12 application advice: what a partner's system says of a document of ours that it could read
    "application_error": Message(
        severity=_E,
        text="{where}: the partner's system says: {reason}.",
        fix="Mend it where the document comes from and have it sent again, or settle it with the partner.",
        actor=Actor.BUYER,
    ),
    # -- against the order book: why a document that could be read is not used
    "order_unknown": Message(
        severity=_E,
        text="{value}: there is no such order for this supplier.",
        fix="Check the order number, and answer or ship only orders that reached you.",
    ),
    "order_ambiguous": Message(
        severity=_E,
        text="{reason}",
        fix="Name the buyer or the ship-to, so that it can be told whose order is meant.",
    ),
    "order_differs": Message(severity=_E, text="{reason}", fix="Check with the buyer how the order stands."),
    "revision_differs": Message(severity=_E, text="{reason}", fix="Answer the order as it stands now."),
    "line_differs": Message(
        severity=_E, text="{reason}", fix="Answer every line once, by the number the order gives it."
    ),
    "item_differs": Message(severity=_E, text="{reason}", fix="Name the item as the order does."),
    "status_differs": Message(
        severity=_E,
        text="{reason}",
        fix="Say of every line whether it is accepted, changed or rejected, and agree it first.",
    ),
    "quantity_differs": Message(
        severity=_E, text="{reason}", fix="Keep to the quantity of the order, or have the buyer change the order first."
    ),
    "unit_differs": Message(severity=_E, text="{reason}", fix="Count in the unit of the order."),
    "price_differs": Message(
        severity=_E, text="{reason}", fix="Keep to the price of the order, or have the buyer change the order first."
    ),
    "currency_differs": Message(severity=_E, text="{reason}", fix="Use the currency of the order."),
    "date_differs": Message(
        severity=_E, text="{reason}", fix="Keep to the day of the order, or have the buyer change the order first."
    ),
    "shipment_differs": Message(
        severity=_E,
        text="{reason}",
        fix="Give every shipment a number of its own, and send a correction as a replacement of the first notice.",
    ),
    "package_differs": Message(severity=_E, text="{reason}", fix="Give every package a serial number of its own."),
    "document_discarded": Message(
        severity=_E,
        text="The buyer has decided not to use this document.",
        fix="Settle with the buyer what is to be sent.",
    ),
    # -- JSON
    "json_syntax": Message(
        severity=_E,
        text="The document is not JSON: {reason}.",
        fix="Send one JSON object in UTF-8.",
    ),
    "json_limit": Message(
        severity=_E,
        text="The document is beyond what is read: {reason}.",
        fix="Send smaller documents; one business document each.",
    ),
    "json_duplicate_key": Message(
        severity=_E,
        text="{where}: the key occurs more than once in one object, so it cannot be told what is meant.",
        fix="Send every key once.",
    ),
    "json_type": Message(
        severity=_E,
        text="{where}: {expected} was expected here.",
        fix="Send {expected}.",
    ),
    "json_value": Message(
        severity=_E,
        text="{where}: {reason}.",
        fix="Correct this value.",
    ),
    "json_unknown_key": Message(
        severity=_N,
        text="{where}: this key is not known; it was kept, but not used.",
        fix="Leave it out, or have it added to the map sheet if it matters.",
        actor=Actor.NOBODY,
    ),
    "json_unknown_field": Message(
        severity=_E,
        text="{where}: there is no such field.",
        fix="Correct its name or leave it out; nothing that is said is dropped in silence.",
    ),
    "document_not_expected": Message(
        severity=_E,
        text="The document is of type '{value}', which does not come this way.",
        fix="Send it to where such documents are expected.",
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
    "interchange_repeated": Message(
        severity=_E,
        text="{where}: interchange {value} was received before, in another message; nothing of this one is used.",
        fix="If the content is new, send it under a new interchange control number.",
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
        facts: the places (``segment``, ``position``, ``element``, ``component``, ``repetition``, ``offset``, ``value``,
            ``pointer``) and whatever else the templates of the message name, e.g. ``expected``.
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


_PLACES: Final = ("segment", "position", "element", "component", "repetition", "offset", "value", "pointer")


class _Words(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "?"


def _where(places: dict[str, Any]) -> str:
    """``BEG02 (segment 2)``, ``#/lines/0/quantity`` or ``byte 17``: the place as a person would say it."""
    if places["segment"]:
        element = f"{places['element']:02d}" if places["element"] else ""
        component = f"-{places['component']}" if places["component"] else ""
        repetition = f", repetition {places['repetition']}" if places["repetition"] else ""
        position = f" (segment {places['position']}{repetition})" if places["position"] else ""
        return f"{places['segment']}{element}{component}{position}"
    if places["pointer"]:
        return str(places["pointer"])
    return f"byte {places['offset']}" if places["offset"] is not None else "the document"
