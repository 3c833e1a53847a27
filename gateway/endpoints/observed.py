"""Observed: each request at a door has an id of its own in every line it causes, and a span where somebody collects them.

What a door refuses is counted by its reason, a word of ours; a line for each would let strangers fill the log.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Final

from django.http import HttpRequest, HttpResponseBase

from gateway import logs, metrics, tracing

#: Where a path begins → the door, as logs, spans and metrics call it.
DOORS: Final = {"as2": "as2", "v1": "rest", "portal-json": "portal_json", "admin": "admin"}


class Observed:
    """Middleware: an id for the request, kept by what it causes until it is answered."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        door = door_of(request.path)
        if door is None:
            return self._get_response(request)
        request_id = uuid.uuid4().hex
        with logs.bound(request=request_id), tracing.span(f"door {door}", request=request_id):
            response = self._get_response(request)
            tracing.tell(status=response.status_code)
            return response


def door_of(path: str) -> str | None:
    """Which door an address belongs to; None: probes, and browsers' odds and ends."""
    return DOORS.get(path.lstrip("/").partition("/")[0])


def refused(path: str, reason: str) -> None:
    """Count a request that was refused.

    Args:
        reason: a word of ours, out of a short list.
    """
    metrics.REFUSED.labels(door_of(path) or "other", reason).inc()
