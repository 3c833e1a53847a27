"""Health: does the process live (/healthz), and can it do its work (/readyz)."""

from __future__ import annotations

from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe


@never_cache
@require_safe
def alive(request: HttpRequest) -> JsonResponse:
    """GET /healthz: 200 as long as the process answers at all; it asks nobody else."""
    return JsonResponse({"status": "alive"})


@never_cache
@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """GET /readyz: 200 when the database answers and has every migration, else 503 with the reason."""
    reason = _reason_against()
    if reason:
        return JsonResponse({"status": "not ready", "reason": reason}, status=503)
    return JsonResponse({"status": "ready"})


def _reason_against() -> str:
    try:
        executor = MigrationExecutor(connection)  # reads the table of applied migrations, so the database answers
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except Error as error:
        return f"the database does not answer ({type(error).__name__})"
    if missing:
        return f"{len(missing)} migrations are not applied; run “manage.py migrate”"
    return ""
