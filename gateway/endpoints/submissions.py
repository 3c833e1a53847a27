"""Submissions: a document that comes as JSON over HTTP, from its body to its stored answer, and what became of it.

REST and portal JSON differ in the shape of the body only. A submission is a transmission; its address is told with the
202, and three things can be asked there that are often confused: could we read it (``validation``), what does the order book
say to it (``business``; nothing to what answers no order), has the ERP got it (``delivery``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final

from django.http import HttpResponse
from rest_framework.request import Request

from edi_maps import formats, json_text
from edi_maps.canonical import CanonicalRecord
from edi_maps.findings import Actor, Finding, Severity, Verdict
from gateway.endpoints import observed
from gateway.endpoints.principal import caller_of
from gateway.endpoints.problems import CONTENT_TYPE as PROBLEM_JSON
from gateway.endpoints.problems import Problem, error, errors_of
from gateway.models import (
    CaseState,
    DeliveryKind,
    DeliveryState,
    Document,
    DocumentState,
    Transmission,
    TransmissionState,
)
from gateway.pipeline import receive
from gateway.pipeline.receive import Answer, Incoming
from partners.profiles import Agreement, Channel, Direction, Profile

#: The last element of the address → the canonical type that is sent there.
DOCUMENTS: Final = {
    "acknowledgments": "order_acknowledgment",
    "ship-notices": "ship_notice",
    "invoices": "invoice",
    "inventory-advices": "inventory_advice",
}
#: Checks that need the stored order book; run in the transaction that stores the submission, never for a repeat.
Precondition = Callable[[CanonicalRecord], None]

_KEY: Final = re.compile(r"[!-~](?:[ -~]{0,253}[!-~])?")
_UNKNOWN_FIELD: Final = "json_unknown_field"


def agreement_for(profile: Profile, document: str, direction: Direction, channel: Channel) -> Agreement:
    """The agreement under which this document goes over this channel.

    Raises:
        Problem: there is none (403).
    """
    agreement = profile.agreement(document, direction)
    if agreement is not None and agreement.channel is channel:
        return agreement
    elsewhere = f"; it is agreed on {agreement.channel}" if agreement else ""
    raise Problem("no-agreement", f"{document} on {channel} is not agreed with you{elsewhere}.")


def idempotency_key(request: Request) -> str:
    """The Idempotency-Key of a request, empty when it has none.

    Raises:
        Problem: it is longer than 255 characters or not printable (400).
    """
    key = request.headers.get("Idempotency-Key", "").strip()
    if key and not _KEY.fullmatch(key):
        raise Problem("idempotency-key-missing", "The Idempotency-Key is not 1 to 255 printable ASCII characters.")
    return key


def json_body(request: Request) -> bytes:
    """The body as it came.

    Raises:
        Problem: it is not announced as JSON (415), or empty (400).
    """
    media_type = (request.content_type or "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise Problem("unsupported-media-type", f"The body is announced as “{media_type or 'nothing'}”.")
    if not request.body:
        raise Problem("unreadable", "The body is empty.")
    return request.body


def submit(
    request: Request,
    *,
    agreement: Agreement,
    key: str,
    precondition: Precondition | None = None,
) -> HttpResponse:
    """Store a submission and answer it: 202 with its address, or why not.

    What cannot be accepted is kept too, with its answer, and shown to staff; its key stays free for the corrected repeat.

    Args:
        key: tells a repeat from a second submission; the whole answer of the first is given again.

    Raises:
        Problem: nothing was kept: the body is no JSON at all by its media type, or ``precondition`` does not hold.
    """
    caller, body = caller_of(request), json_body(request)
    profile = caller.profile
    incoming = Incoming(
        channel=agreement.channel,
        partner_id=profile.id,
        format=agreement.format,
        sheet=agreement.sheet,
        message_id=key,
        raw=body,
        payload=body,
        content_type=request.content_type,
        headers={name: request.headers[name] for name in _KEPT_HEADERS if name in request.headers},
        evidence={"api_key": caller.prefix},
    )
    known = receive.look_up(incoming)
    if again := receive.repeated(incoming, known):
        return _given(again)
    what = f"{agreement.document.replace('_', ' ')} by {agreement.channel.replace('_', ' ')}"
    try:
        reading = formats.read(agreement.format, body, sheet=agreement.sheet)
    except LookupError as gone:
        problem = Problem("map-unusable", "We have no usable map of your JSON.")
        summary = f"The map of {profile.code} for {what} is missing: {gone}"
        return _refused(request, incoming, problem, reason="terms_unusable", summary=summary)
    if problem_found := _problem_in(body, reading, agreement.document):
        summary = f"{profile.code} sent {what} that cannot be accepted"
        return _refused(request, incoming, problem_found, reason="unreadable_message", summary=summary)
    try:
        return _given(receive.receive(incoming, _acceptance(agreement, reading, precondition), known))
    except receive.Conflict as conflict:
        words = f"The key “{key}” belongs to another body."
        problem = Problem("idempotency-key-reused", words, first=f"/v1/submissions/{conflict.first}")
        summary = f"{profile.code} used an Idempotency-Key again for other content"
        return _refused(request, incoming, problem, reason="id_conflict", summary=summary)


#: What may matter later about how it was sent; never Authorization or cookies.
_KEPT_HEADERS: Final = ("Content-Type", "Idempotency-Key", "If-Match", "User-Agent")


def _refused(request: Request, incoming: Incoming, problem: Problem, *, reason: str, summary: str) -> HttpResponse:
    observed.refused(request.path, problem.slug)
    answer = Answer(status=problem.status_code, headers={"Content-Type": PROBLEM_JSON}, body=problem.body(request.path))
    places = [f"{one.get('pointer', 'body')}: {one['detail']}" for one in problem.errors[:20]]
    receive.refuse(incoming, answer, reason=reason, summary=summary, why="\n".join([problem.text, *places]))
    return _http(answer)


def _acceptance(
    agreement: Agreement, reading: formats.Reading, precondition: Precondition | None
) -> Callable[[Transmission], Answer]:
    def make(row: Transmission) -> Answer:
        if precondition is not None and reading.record is not None:
            precondition(reading.record)
        document = {
            "id": str(row.uid),
            "document": agreement.document,
            "state": "received",
            "findings": [found.as_dict() for found in reading.findings],
            "url": _address(row),
        }
        headers = {"Content-Type": "application/json", "Location": _address(row), "Retry-After": "1"}
        return Answer(status=202, headers=headers, body=json.dumps(document, ensure_ascii=False).encode())

    return make


def _problem_in(body: bytes, reading: formats.Reading, document: str) -> Problem | None:
    """What keeps a body, as read, from being accepted as ``document``; None when nothing does."""
    if reading.record is not None and reading.verdict is not Verdict.REJECTED:
        if reading.record.type == document:
            return None
        wrong = f"This address takes {document}, the body is {reading.record.type}."
        return Problem("invalid-document", wrong, errors=[error("wrong_type", wrong, pointer="#/type")])
    wrong_places = [found for found in reading.findings if found.severity is Severity.ERROR]
    parsed, unreadable = json_text.parse(body)
    if unreadable or not isinstance(parsed, dict):
        slug = "unreadable"
    elif any(found.code == _UNKNOWN_FIELD for found in wrong_places):
        slug = "unknown-fields"
    else:
        slug = "invalid-document"
    return Problem(slug, _in_words(wrong_places), errors=errors_of(reading.findings))


def _in_words(findings: list[Finding]) -> str:
    if len(findings) == 1:
        return findings[0].text
    return f"{len(findings)} places are wrong; the first: {findings[0].text}" if findings else "It holds no document."


def _given(accepted: receive.Accepted) -> HttpResponse:
    response = _http(accepted.answer)
    if accepted.repeated:
        response["Idempotency-Replayed"] = "true"
    return response


def _http(answer: Answer) -> HttpResponse:
    return HttpResponse(answer.body, status=answer.status, headers=dict(answer.headers))


def _address(row: Transmission) -> str:
    return f"/v1/submissions/{row.uid}"


# -- what became of it


def standing(row: Transmission) -> dict[str, Any]:
    """Everything the sender may know of one submission, derived from the rows as they are now."""
    document = row.documents.exclude(state=DocumentState.REPLAYED).order_by("-pk").first()
    validation, business, delivery = _validation(row, document), _business(document), _delivery(document)
    return {
        "id": str(row.uid),
        "document": document.type if document else None,
        "number": document.number if document else None,
        "idempotency_key": row.message_id,
        "received_at": row.at.isoformat(),
        "state": _state(row, validation, business, delivery),
        "validation": validation,
        "business": business,
        "delivery": delivery,
    }


def _state(row: Transmission, validation: dict[str, Any], business: dict[str, Any], delivery: dict[str, Any]) -> str:
    """The three axes in one word."""
    if delivery["state"] == "delivered":
        return "posted"
    if validation["verdict"] == Verdict.REJECTED or business["state"] in ("rejected", "discarded"):
        return "rejected"
    if validation["verdict"] == Verdict.ACCEPTED_WITH_ERRORS:
        return "accepted_with_notes"
    if validation["verdict"] == Verdict.ACCEPTED:
        return "accepted"
    return "received" if row.state == TransmissionState.RECEIVED else "validating"


def _validation(row: Transmission, document: Document | None) -> dict[str, Any]:
    if row.state == TransmissionState.REFUSED:
        said = (
            json.loads(row.answer.content)
            if row.answer and row.answer_headers.get("Content-Type") == PROBLEM_JSON
            else {}
        )
        return {"verdict": Verdict.REJECTED, "findings": said.get("errors", []), "problem": said.get("type")}
    if document is None:
        return {"verdict": "pending", "findings": []}
    return {"verdict": document.verdict or "pending", "findings": document.findings}


#: What the order book judges.
_ANSWERS: Final = frozenset({"order_acknowledgment", "change_acknowledgment", "ship_notice"})

#: State of the document → what the order book says to it, in words, and who acts next.
_BUSINESS: Final = {
    DocumentState.RECEIVED: ("pending", "It waits to be checked against the order.", Actor.NOBODY),
    DocumentState.TRANSLATED: ("pending", "It waits to be checked against the order.", Actor.NOBODY),
    DocumentState.PARKED: ("waiting", "We do not have its order yet; it waits for it.", Actor.NOBODY),
    DocumentState.HELD: ("held", "It differs from the order; the buyer decides.", Actor.BUYER),
    DocumentState.APPLIED: ("accepted", "It is in the order book.", Actor.NOBODY),
    DocumentState.RELAYED: ("accepted", "It is in the order book.", Actor.NOBODY),
    DocumentState.REJECTED: ("rejected", "It goes no further; see validation.", Actor.PARTNER),
    DocumentState.DISCARDED: (
        "discarded",
        "It says what an earlier one said, or the buyer decided against it.",
        Actor.PARTNER,
    ),
}

#: The same of a document that answers no order, where it is another thing.
_UNJUDGED: Final = {
    **dict.fromkeys(
        (DocumentState.RECEIVED, DocumentState.TRANSLATED, DocumentState.RELAYED),
        ("none", "The order book has nothing to say to it; it goes to the ERP as it is.", Actor.NOBODY),
    ),
    DocumentState.HELD: ("held", "We must find out which of our ERPs it is for.", Actor.OPERATOR),
}


def _business(document: Document | None) -> dict[str, Any]:
    if document is None:
        return {"state": "pending", "detail": "It has not been read yet.", "actor": Actor.NOBODY}
    words = _BUSINESS if document.type in _ANSWERS else _BUSINESS | _UNJUDGED
    state, detail, actor = words[DocumentState(document.state)]
    answer: dict[str, Any] = {"state": state, "detail": detail, "actor": actor}
    if document.parked_until is not None and state == "waiting":
        answer["until"] = document.parked_until.isoformat()
    if state == "held" and (case := document.cases.filter(state=CaseState.OPEN).order_by("pk").first()):
        answer["reason"] = case.reason
    if document.order is not None:
        answer["order"] = f"/v1/purchase-orders/{document.order.uid}"
    return answer


#: State of the delivery → what the sender is told of it, and who acts next.
_DELIVERY: Final = {
    DeliveryState.OPEN: ("pending", Actor.NOBODY),
    DeliveryState.DELIVERED: ("delivered", Actor.NOBODY),
    DeliveryState.DEAD: ("failed", Actor.OPERATOR),
    DeliveryState.CANCELLED: ("cancelled", Actor.BUYER),
}


def _delivery(document: Document | None) -> dict[str, Any]:
    """To the ERP: the least advanced of the document's deliveries, there may be one for each company."""
    rows = list(document.deliveries.filter(kind=DeliveryKind.ERP).order_by("pk")) if document else []
    if not rows:
        return {"state": "none", "actor": Actor.NOBODY}
    order = list(_DELIVERY)
    worst = max(
        rows, key=lambda row: order.index(DeliveryState(row.state)) if row.state != DeliveryState.DELIVERED else -1
    )
    state, actor = _DELIVERY[DeliveryState(worst.state)]
    answer: dict[str, Any] = {"state": state, "actor": actor}
    if state == "delivered":
        answer["references"] = [row.result for row in rows if row.result]
        answer["at"] = max(row.finished_at for row in rows if row.finished_at).isoformat()
    return answer
