"""What was exchanged, byte for byte and read; whoever looks at bytes is written down."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from gateway.console.access import row_of, show, staff_page
from gateway.console.inspection import MAX_SHOWN_BYTES, PARTS, content, inspect, record_view, text_of
from gateway.console.tries import with_tries
from gateway.models import Document, Transmission


@require_safe
@staff_page("gateway.view_document")
def page(request: HttpRequest, pk: int) -> HttpResponse:
    rows = Document.objects.select_related(
        "partner", "order", "transmission__payload", "transmission__raw", "interchange"
    )
    document = row_of(rows, pk)
    return show(
        request,
        "console/document.html",
        title=f"{document.type.replace('_', ' ').capitalize() or 'Document'} {document.number}",
        document=document,
        inspection=inspect(request, document),
        deliveries=with_tries(document.deliveries.all()),
        cases=document.cases.order_by("-pk"),
    )


@require_safe
@staff_page("gateway.view_transmission")
def message(request: HttpRequest, pk: int, part: str) -> HttpResponse:
    transmission, data = _opened(request, pk, part)
    return show(
        request,
        "console/message.html",
        title=f"Transmission {transmission.pk}, {PARTS[part]}",
        transmission=transmission,
        part=part,
        parts=[(name, words) for name, words in PARTS.items() if getattr(transmission, name) is not None],
        text=text_of(data),
        size_bytes=len(data),
        cut=len(data) > MAX_SHOWN_BYTES,
    )


@require_safe
@staff_page("gateway.view_transmission")
def download(request: HttpRequest, pk: int, part: str) -> HttpResponse:
    """The bytes as they are, under a name of ours: a partner's file name never reaches a header."""
    transmission, data = _opened(request, pk, part)
    return HttpResponse(
        data,
        content_type="application/octet-stream",
        headers={
            "Content-Disposition": f'attachment; filename="transmission-{transmission.pk}-{part}.bin"',
            "X-Content-Type-Options": "nosniff",
        },
    )


def _opened(request: HttpRequest, pk: int, part: str) -> tuple[Transmission, bytes]:
    if part not in PARTS:
        raise Http404(part)
    transmission = row_of(Transmission.objects.select_related("partner", "raw", "payload", "covered", "answer"), pk)
    data = content(transmission, part)
    if data is None:
        raise Http404(f"transmission {pk} has no {part}")
    record_view(request, transmission, part)
    return transmission, data
