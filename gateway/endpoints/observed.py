"""Observed: each request at a door has an id of its own in every line it causes, and a span where somebody collects them."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Final

from django.http import HttpRequest, HttpResponseBase

from gateway import logs, tracing

#: Where a path begins → the door, as logs, spans and metrics call it.
DOORS: Final = {"as2": "as2", "v1": "rest", "portal-json": "portal_json", "admin": "admin"}


class Observed:
    """Middleware: an id for the request, kept by what it causes until it is answered."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        door = door_of(request)
        if door is None:
            return self._get_response(request)
        request_id = uuid.uuid4().hex
        with logs.bound(request=request_id), tracing.span(f"door {door}", request=request_id):
            response = self._get_response(request)
            tracing.tell(status=response.status_code)
            return response


def door_of(request: HttpRequest) -> str | None:
    """Which door a request came to; None: one that only probes and browsers' odds and ends use."""
    return DOORS.get(request.path.lstrip("/").partition("/")[0])
