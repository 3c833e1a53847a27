"""Makes problem documents of what other code raises: the REST framework, Django's routing, the database, or a defect."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from django.core.exceptions import DisallowedHost, PermissionDenied, RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from django.views import defaults
from drf_standardized_errors.handler import ExceptionHandler
from rest_framework import exceptions
from rest_framework.response import Response

from gateway.blob_store import StoreError
from gateway.endpoints import observed
from gateway.endpoints.problems import CONTENT_TYPE, Problem

#: Below these, whoever asks is a program and gets a problem document, even where no view answers.
MACHINE_PATHS: Final = ("/as2", "/v1/", "/portal-json/", "/healthz", "/readyz")
#: Seconds after which it makes sense to try again when the database did not answer.
RETRY_AFTER_S: Final = 30


class ProblemHandler(ExceptionHandler):
    """Turns whatever a view raised into its problem document; the library logs what nobody foresaw."""

    def convert_known_exceptions(self, exc: Exception) -> Exception:
        return _foreseen(exc) or exc

    def convert_unhandled_exceptions(self, exc: Exception) -> exceptions.APIException:
        return _foreseen(exc) or _defect()

    def format_exception(self, exc: exceptions.APIException) -> dict[str, Any]:
        request = self.context["request"]
        path, problem = request.path if request else "", _foreseen(exc) or _defect()
        observed.refused(path, problem.slug)
        return problem.document(path)

    def get_headers(self, exc: exceptions.APIException) -> dict[str, str]:
        return exc.headers if isinstance(exc, Problem) else {}

    def get_response(self, exc: exceptions.APIException, data: dict[str, Any]) -> Response:
        response = super().get_response(exc, data)
        response.content_type = CONTENT_TYPE
        return response


def _foreseen(exc: Exception) -> Problem | None:
    """The problem an exception stands for; None when nobody foresaw it."""
    if isinstance(exc, Problem):
        return exc
    if isinstance(exc, (OperationalError, InterfaceError)):
        return Problem(
            "unavailable", "The database does not take anything.", headers={"Retry-After": str(RETRY_AFTER_S)}
        )
    if isinstance(exc, StoreError):
        # Where we keep things is for the log only.
        return Problem("unavailable", "Nothing can be kept, or read.", headers={"Retry-After": str(RETRY_AFTER_S)})
    if isinstance(exc, (Http404, exceptions.NotFound)):
        return Problem("not-found", "There is nothing at this address for you.")
    if isinstance(exc, DisallowedHost):
        return Problem("unreadable", "This gateway does not answer to the name in the Host header.")
    if isinstance(exc, RequestDataTooBig):
        return Problem("too-large", "The body is longer than we take.")
    if isinstance(exc, UnreadablePostError):
        return Problem("unreadable", "The body ended before its announced length.")
    if isinstance(exc, PermissionDenied):
        return Problem("forbidden", "Your key does not allow this.")
    if isinstance(exc, exceptions.Throttled):
        wait_s = max(1, math.ceil(getattr(exc, "wait", None) or 1))
        return Problem("too-many-requests", f"Wait {wait_s} s.", headers={"Retry-After": str(wait_s)})
    if isinstance(exc, exceptions.APIException):
        slug = _SLUGS.get(exc.status_code, "internal-error")
        challenge = getattr(exc, "auth_header", None)
        return Problem(slug, str(exc.detail), headers={"WWW-Authenticate": challenge} if challenge else None)
    return None


#: What the REST framework itself raises, by status.
_SLUGS: Final[Mapping[int, str]] = {
    400: "unreadable",
    401: "unauthenticated",
    403: "forbidden",
    405: "method-not-allowed",
    406: "not-acceptable",
    415: "unsupported-media-type",
}


def _defect() -> Problem:
    return Problem("internal-error", "The request could not be finished.")


# -- where no view answers: Django's own error handlers, named in gateway.urls


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if not _by_machine(request):
        return defaults.bad_request(request, exception)
    return (_foreseen(exception) or Problem("unreadable", "The request cannot be read.")).response(request.path)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if not _by_machine(request):
        return defaults.page_not_found(request, exception)
    return Problem("not-found", "There is nothing at this address.").response(request.path)


def server_error(request: HttpRequest) -> HttpResponse:
    return _defect().response(request.path) if _by_machine(request) else defaults.server_error(request)


def _by_machine(request: HttpRequest) -> bool:
    return request.path.startswith(MACHINE_PATHS)
