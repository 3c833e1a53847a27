"""One exception case: both sides, what it means, and the decision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from gateway import outbox
from gateway.console.access import row_of, show, staff, staff_page
from gateway.console.inspection import findings_of, inspect
from gateway.console.queue import AssignForm
from gateway.exception_queue import REASONS, Choice, Reason
from gateway.models import CaseState, ExceptionCase
from gateway.pipeline import advise, decide
from partners.profiles import Direction

_DECISIONS: Final = {
    Choice.ACCEPT: decide.accept,
    Choice.REPLAY: decide.replay,
    Choice.DISCARD: decide.discard,
    Choice.RETRY: decide.retry,
    Choice.CLOSE: decide.close,
}

_DONE: Final[Mapping[Choice, str]] = {
    Choice.ACCEPT: "Accepted; it is on its way.",
    Choice.REPLAY: "Replayed; it is read anew.",
    Choice.DISCARD: "Discarded.",
    Choice.RETRY: "Tried again now.",
    Choice.CLOSE: "Closed.",
}

#: Parts of ``detail`` that have a place of their own on the page.
_PLACED: Final = frozenset({"lines", "findings", "why", "fix"})


class DecisionForm(forms.Form):
    note = forms.CharField(
        required=False,
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Why, and with whom it was agreed. It stays in the history of the case.",
    )


@require_safe
@staff_page("gateway.view_exceptioncase")
def page(request: HttpRequest, pk: int) -> HttpResponse:
    case = _case(pk)
    user = staff(request)
    may_decide = case.state == CaseState.OPEN and user.has_perm("gateway.change_exceptioncase")
    may_see_document = case.document is not None and user.has_perm("gateway.view_document")
    reason = REASONS.get(case.reason)
    return show(
        request,
        "console/case.html",
        title=case.summary,
        case=case,
        reason=reason,
        choices=[(choice, _effect(choice, case)) for choice in _choices(reason)] if may_decide else [],
        may_decide=may_decide,
        assign_form=AssignForm(initial={"owner": case.owner}),
        lines=_entries(case.detail.get("lines")),
        findings=findings_of(case.detail.get("findings")),
        facts=[(name.replace("_", " "), value) for name, value in case.detail.items() if name not in _PLACED],
        inspection=inspect(request, case.document) if case.document and may_see_document else None,
        attempts=outbox.tries(case.delivery) if case.delivery else [],
        history=case.history.all(),
        now=timezone.now(),
        here=request.path,
    )


@require_http_methods(["GET", "HEAD", "POST"])
@staff_page("gateway.change_exceptioncase")
def decision(request: HttpRequest, pk: int, choice: str) -> HttpResponse:
    """Ask once more, saying what will happen; then do it."""
    case = _case(pk)
    chosen = next((one for one in _choices(REASONS.get(case.reason)) if one == choice), None)
    if chosen is None:
        raise Http404(f"{choice} is not offered for {case.reason}")
    form = DecisionForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            _DECISIONS[chosen](case, actor=staff(request).get_username(), note=form.cleaned_data["note"])
        except decide.NotPossible as reason:
            messages.error(request, str(reason))
            return HttpResponseRedirect(reverse("console:case", args=[case.pk]))
        messages.success(request, f"{_DONE[chosen]} {case.summary}")
        return HttpResponseRedirect(reverse("console:queue"))
    return show(
        request,
        "console/decision.html",
        title=f"{chosen.capitalize()}: {case.summary}",
        case=case,
        choice=chosen,
        effect=_effect(chosen, case),
        form=form,
        lines=_entries(case.detail.get("lines")),
    )


def _case(pk: int) -> ExceptionCase:
    rows = ExceptionCase.objects.select_related(
        "partner", "owner", "order", "document__transmission__payload", "document__partner", "transmission", "delivery"
    )
    return row_of(rows, pk)


def _choices(reason: Reason | None) -> tuple[Choice, ...]:
    """A reason of a later or former release is still shown, and can be closed."""
    return reason.choices if reason else (Choice.CLOSE,)


def _effect(choice: Choice, case: ExceptionCase) -> str:
    """What will happen, in a sentence."""
    partner = case.partner.name if case.partner else "the partner"
    outbound = case.document is not None and case.document.direction == Direction.OUTBOUND
    match choice:
        case Choice.ACCEPT if outbound:
            return f"The document leaves for {partner} as it is."
        case Choice.ACCEPT:
            return "The answer goes into the order book as it is, and on to the ERP."
        case Choice.REPLAY if outbound:
            return f"The document is sent to {partner} by the agreements of today."
        case Choice.REPLAY if case.document is None and "order_key" in case.detail:
            return "The order is loaded from the ERP again and goes on from there."
        case Choice.REPLAY:
            return "The stored bytes are read again with the maps and terms of today. The partner sends nothing."
        case Choice.DISCARD if case.document is not None and advise.is_told(case.document):
            return (
                f"The document ends here: nothing of it reaches the order book or the ERP. {partner} is told so, with what "
                "is wrong, in an application advice (824). Its bytes are kept."
            )
        case Choice.DISCARD:
            return (
                "The document ends here: nothing of it reaches the order book, the ERP or the partner, and the partner is "
                "not told. Its bytes are kept."
            )
        case Choice.RETRY if case.reason == "receipt_rejected":
            return f"The same content leaves for {partner} as a new message, under a new message id."
        case Choice.RETRY if case.reason == "receipt_undeliverable":
            return f"The same receipt is sent at once to the address {partner} named, if that address is agreed by now."
        case Choice.RETRY if case.reason == "erp_auth_failed":
            return (
                "The connection is opened again and everything that waits for it is tried, with the token it has now."
            )
        case Choice.RETRY:
            return (
                "The delivery is tried again at once, the same bytes under the same key. What waits behind it follows."
            )
        case Choice.CLOSE if case.reason == "receipt_undeliverable":
            return f"The receipt is not sent. If {partner} sends its message again, it gets the receipt then."
        case Choice.CLOSE if case.reason == "receipt_overdue":
            return "The case leaves the queue. The message is sent again by its schedule until its receipt comes."
        case Choice.CLOSE if case.delivery is not None:
            return "The delivery is given up for good. What waits behind it goes on without it."
        case Choice.CLOSE:
            return "Nothing is sent and nothing changes; the case leaves the queue."


def _entries(value: object) -> list[dict[str, Any]]:
    """The dictionaries of a list; a case's detail is data of many writers, and the page must not fall over it."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
