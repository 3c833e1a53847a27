"""Problem documents (RFC 9457): one catalogue from slug to status, words, remedy and who acts next.

Every error a machine gets from us is one of these; ``error_handlers`` makes them of what others raise. ``type`` leads to a
page that explains it. 400 says we cannot read it, 422 that we read it and cannot accept it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from rest_framework.exceptions import APIException

from edi_maps.findings import Actor
from gateway.endpoints import observed

if TYPE_CHECKING:
    from edi_maps.findings import Finding

CONTENT_TYPE: Final = "application/problem+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of problem, as its page explains it."""

    status: HTTPStatus
    title: str
    cause: str
    fix: str
    actor: Actor = Actor.PARTNER


#: One entry is all it takes to add a problem. In the order a request meets them.
PROBLEMS: Final[Mapping[str, Kind]] = {
    # -- who calls
    "unauthenticated": Kind(
        status=HTTPStatus.UNAUTHORIZED,
        title="The request does not say who calls",
        cause="There is no API key, or it is wrong, expired or revoked. We do not say which.",
        fix="Send the header “Authorization: Bearer sgw_…” with a key that is in use. Your contact at the buyer issues keys.",
    ),
    "partner-inactive": Kind(
        status=HTTPStatus.FORBIDDEN,
        title="No documents are exchanged with you at present",
        cause="Your partnership is still being set up, or it is suspended. Nothing you sent was stored.",
        fix="Ask your contact at the buyer; send again when the partnership is active.",
        actor=Actor.BUYER,
    ),
    "wrong-environment": Kind(
        status=HTTPStatus.FORBIDDEN,
        title="This key is for the other environment",
        cause="Test keys work while a partnership is being tested, live keys once it is live; neither touches the other's documents.",
        fix="Use a key of the environment you are in: sgw_test_… or sgw_live_….",
    ),
    "no-agreement": Kind(
        status=HTTPStatus.FORBIDDEN,
        title="No agreement covers this document on this channel",
        cause="Each document type is exchanged on one agreed channel in one agreed form, and this is not it.",
        fix="Send it on the agreed channel, or ask your contact at the buyer to add the agreement.",
        actor=Actor.BUYER,
    ),
    "forbidden": Kind(
        status=HTTPStatus.FORBIDDEN,
        title="This is not allowed",
        cause="Your key is valid, but not for this.",
        fix="Ask your contact at the buyer.",
    ),
    "too-many-requests": Kind(
        status=HTTPStatus.TOO_MANY_REQUESTS,
        title="Too many requests",
        cause="More requests came in this minute than one key, or one address without a valid key, may make.",
        fix="Wait as many seconds as the header Retry-After says, then go on more slowly.",
    ),
    # -- what is asked for
    "not-found": Kind(
        status=HTTPStatus.NOT_FOUND,
        title="There is nothing here",
        cause="The address is wrong, or what it names is not yours.",
        fix="Use the addresses that our answers give you.",
    ),
    "archived": Kind(
        status=HTTPStatus.GONE,
        title="It was finished and has been archived",
        cause="Finished work leaves our tables after the time that was agreed; nothing of it is lost.",
        fix="Ask your contact at the buyer, and name the archive: it can be brought back.",
        actor=Actor.BUYER,
    ),
    "method-not-allowed": Kind(
        status=HTTPStatus.METHOD_NOT_ALLOWED,
        title="This address does not take that method",
        cause="For example a POST to something that can only be read.",
        fix="The header Allow lists the methods there are.",
    ),
    "not-acceptable": Kind(
        status=HTTPStatus.NOT_ACCEPTABLE,
        title="We cannot answer in that media type",
        cause="The header Accept leaves out JSON.",
        fix="Send “Accept: application/json”, or leave the header out.",
    ),
    "invalid-query": Kind(
        status=HTTPStatus.BAD_REQUEST,
        title="A query parameter is unknown or has no usable value",
        cause="A filter that is misspelt and ignored would give a wrong list, so it is refused.",
        fix="Correct the parameters listed under errors.",
    ),
    # -- what is sent
    "idempotency-key-missing": Kind(
        status=HTTPStatus.BAD_REQUEST,
        title="The header Idempotency-Key is missing or unusable",
        cause="Without a key a repeated request cannot be told from a second one.",
        fix="Send “Idempotency-Key: ” and 1 to 255 printable characters, new for each submission, the same for its repeats.",
    ),
    "idempotency-key-reused": Kind(
        status=HTTPStatus.UNPROCESSABLE_ENTITY,
        title="This Idempotency-Key was used for another body",
        cause="The first submission under this key counts; this one was kept for staff and goes no further.",
        fix="Send it under a key of its own. To correct an earlier submission, send the correction under a new key.",
    ),
    "unsupported-media-type": Kind(
        status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        title="We cannot read that media type here",
        cause="This address reads JSON.",
        fix="Send “Content-Type: application/json”.",
    ),
    "too-large": Kind(
        status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        title="The body is too large",
        cause="It is longer than this address takes.",
        fix="Send fewer items in one document.",
    ),
    "unreadable": Kind(
        status=HTTPStatus.BAD_REQUEST,
        title="The body cannot be read",
        cause="It is not JSON, or JSON that two readers could understand differently: a name twice, NaN, endless nesting.",
        fix="Correct the places listed under errors.",
    ),
    "unknown-fields": Kind(
        status=HTTPStatus.BAD_REQUEST,
        title="The body has fields we do not know",
        cause="A misspelt field that is ignored is a lost promise, so nothing unknown is dropped in silence.",
        fix="Correct or leave out the fields listed under errors.",
    ),
    "invalid-document": Kind(
        status=HTTPStatus.UNPROCESSABLE_ENTITY,
        title="The document has values we cannot accept",
        cause="It can be read, but something it must say is missing or cannot be true. Nothing was passed on.",
        fix="Correct every place listed under errors; all of them are listed. “POST /v1/validate” checks without sending.",
    ),
    "po-revision-changed": Kind(
        status=HTTPStatus.PRECONDITION_FAILED,
        title="The order has changed since you read it",
        cause="If-Match names a revision of the order that is not the current one. Both are in the answer.",
        fix="Read the current revision, decide anew, and answer that one.",
    ),
    # -- on our side
    "unavailable": Kind(
        status=HTTPStatus.SERVICE_UNAVAILABLE,
        title="We cannot store anything at the moment",
        cause="Nothing of this request was kept.",
        fix="Send the same request again, under the same Idempotency-Key, after the time Retry-After says.",
        actor=Actor.OPERATOR,
    ),
    "map-unusable": Kind(
        status=HTTPStatus.INTERNAL_SERVER_ERROR,
        title="Our map of your JSON cannot be used",
        cause="It is missing, or has no place or code for something that must be said.",
        fix="Nothing on your side: our operators mend the map. What you sent was kept for them; send it again afterwards.",
        actor=Actor.OPERATOR,
    ),
    "internal-error": Kind(
        status=HTTPStatus.INTERNAL_SERVER_ERROR,
        title="Something went wrong on our side",
        cause="A defect of the gateway; our staff can see it. If the request sent something, it may or may not have been kept.",
        fix="Send the same request again later; the same Idempotency-Key makes that safe.",
        actor=Actor.OPERATOR,
    ),
}


class Problem(APIException):
    """Raise it anywhere below a view; the caller gets the problem document.

    Args:
        slug: a key of ``PROBLEMS``.
        detail: what is wrong this time, in words that name the value at fault.
        errors: one entry per place, as ``error`` or ``errors_of`` make them.
        headers: further headers of the answer.
        members: further members of the document, JSON-ready.
    """

    def __init__(
        self,
        slug: str,
        detail: str,
        *,
        errors: Iterable[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(detail, slug)
        self.slug, self.kind = slug, PROBLEMS[slug]
        self.status_code = int(self.kind.status)
        self.text = detail
        self.errors = [dict(one) for one in errors]
        self.headers = dict(headers or {})
        self.members = members

    def document(self, instance: str) -> dict[str, Any]:
        """The members of the problem document; ``instance`` is the path that was asked."""
        document: dict[str, Any] = {
            "type": f"/problems/{self.slug}",
            "title": self.kind.title,
            "status": self.status_code,
            "detail": self.text,
            "instance": instance,
            "fix": self.kind.fix,
            "actor": self.kind.actor,
        }
        if self.errors:
            document["errors"] = self.errors
        return document | self.members

    def body(self, instance: str) -> bytes:
        return json.dumps(self.document(instance), ensure_ascii=False).encode()

    def response(self, instance: str) -> HttpResponse:
        """For those who answer without the REST framework."""
        observed.refused(instance, self.slug)
        body = self.body(instance)
        # Said here, because what fails before the views fails before the middleware that would say it.
        headers = {**self.headers, "Content-Length": str(len(body))}
        return HttpResponse(body, status=self.status_code, content_type=CONTENT_TYPE, headers=headers)


def error(code: str, detail: str, *, pointer: str | None = None, parameter: str | None = None) -> dict[str, str]:
    """One place that is wrong, in the body (JSON pointer as a URI fragment) or in the query."""
    places = {"pointer": pointer, "parameter": parameter}
    return {name: place for name, place in places.items() if place is not None} | {"code": code, "detail": detail}


def errors_of(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Findings as entries of ``errors``: the same words everywhere, ``text`` under the name RFC 9457 uses for it."""
    entries = []
    for found in findings:
        entry = found.as_dict()
        entry["detail"] = entry.pop("text")
        entries.append(entry)
    return entries


# -- the pages that ``type`` leads to


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """GET /problems/: every kind of problem."""
    return render(request, "endpoints/problems.html", {"problems": PROBLEMS.items()})


@require_safe
def page(request: HttpRequest, slug: str) -> HttpResponse:
    """GET /problems/<slug>: cause, remedy and who acts."""
    if slug not in PROBLEMS:
        raise Http404(slug)
    return render(request, "endpoints/problem.html", {"slug": slug, "kind": PROBLEMS[slug], "actor": _WHO[slug]})


#: Who acts next, as the page says it.
_WHO: Final = {
    slug: {
        Actor.PARTNER: "You, the one who calls.",
        Actor.BUYER: "The buyer's staff.",
        Actor.OPERATOR: "Our operators; you only need to try again.",
        Actor.NOBODY: "Nobody.",
    }[kind.actor]
    for slug, kind in PROBLEMS.items()
}
