"""An X12 document with every value linked: its bytes, its segments in words, its record. The page of ``edi explain``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from edi_maps.findings import Actor, Finding, Severity, Verdict
from edi_maps.x12.explain import PAGE_LIMITS, as_html, explain_set, policy
from gateway.console.access import row_of, staff_page
from gateway.console.inspection import content, own_set, record_view
from gateway.models import Document


@require_safe
@staff_page("gateway.view_transmission")
def page(request: HttpRequest, pk: int) -> HttpResponse:
    rows = Document.objects.select_related("transmission__payload", "transmission__raw")
    document = row_of(rows, pk)
    if document.format != "x12":
        raise Http404(f"document {pk} is no X12")
    transmission, found = document.transmission, None
    if transmission is not None:
        found = own_set(document, content(transmission, "payload") or content(transmission, "raw") or b"")
    if transmission is None or found is None:
        raise Http404(f"document {pk} cannot be taken apart")
    record_view(request, transmission, "payload", document)
    found.findings = [*_findings(document.findings)]
    found.verdict = Verdict(document.verdict) if document.verdict else None
    title = f"{document.code} {document.number}".rstrip()
    html = as_html(explain_set(title, found, document.version, limits=PAGE_LIMITS))
    return HttpResponse(html, headers={"Content-Security-Policy": f"{policy()}; frame-ancestors 'none'"})


def _findings(stored: Any) -> Iterator[Finding]:
    """Stored findings as they were, by the terms of their day; entries of another shape are left out."""
    for entry in stored if isinstance(stored, list) else ():
        try:
            severity, actor = Severity(entry["severity"]), Actor(entry["actor"])
            yield Finding(**{**entry, "severity": severity, "actor": actor})
        except (KeyError, TypeError, ValueError):
            continue
