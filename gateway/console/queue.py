"""The exception queue: the first page of whoever settles exceptions."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from gateway import exception_queue, paging, states
from gateway.console.access import show, staff, staff_page
from gateway.exception_queue import REASONS, Team
from gateway.models import CaseState, ExceptionCase
from partners.models import TradingPartner

_PER_PAGE = 50


class QueueFilter(forms.Form):
    """What part of the queue to show; every field may be left open, and a wrong value is no filter."""

    state = forms.ChoiceField(
        required=False, choices=[("", "Open"), (CaseState.RESOLVED, "Resolved"), ("all", "Open and resolved")]
    )
    team = forms.ChoiceField(required=False, choices=[("", "Any"), *((team, team.capitalize()) for team in Team)])
    owner = forms.ChoiceField(required=False)
    reason = forms.ChoiceField(
        required=False, choices=[("", "Any"), *((name, reason.title) for name, reason in REASONS.items())]
    )
    partner = forms.ModelChoiceField(TradingPartner.objects.none(), required=False, empty_label="Any")
    due = forms.ChoiceField(required=False, choices=[("", "Any time"), ("overdue", "Overdue")])

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        owners = [(str(user.pk), user.get_username()) for user in assignable()]
        self._field("owner").choices = [("", "Anybody"), ("me", "Me"), ("nobody", "Nobody yet"), *owners]
        partner = self.fields["partner"]
        if isinstance(partner, forms.ModelChoiceField):
            has_cases = Exists(ExceptionCase.objects.filter(partner=OuterRef("pk")))
            partner.queryset = TradingPartner.objects.filter(has_cases)

    def _field(self, name: str) -> forms.ChoiceField:
        field = self.fields[name]
        if not isinstance(field, forms.ChoiceField):
            raise TypeError(name)
        return field

    def rows(self, user: User, now: datetime) -> QuerySet[ExceptionCase]:
        self.is_valid()
        wanted = self.cleaned_data
        rows = ExceptionCase.objects.select_related("partner", "order", "owner")
        if wanted.get("state") != "all":
            rows = rows.filter(state=wanted.get("state") or CaseState.OPEN)
        for name in ("team", "reason", "partner"):
            if wanted.get(name):
                rows = rows.filter(**{name: wanted[name]})
        match wanted.get("owner"):
            case None | "":
                pass
            case "me":
                rows = rows.filter(owner=user)
            case "nobody":
                rows = rows.filter(owner=None)
            case pk:
                rows = rows.filter(owner=pk)
        if wanted.get("due"):
            rows = rows.filter(due_at__lt=now)
        return rows


class AssignForm(forms.Form):
    owner = forms.ModelChoiceField(User.objects.none(), required=False, empty_label="the team (nobody in person)")
    note = forms.CharField(required=False, max_length=2000)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        owner = self.fields["owner"]
        if isinstance(owner, forms.ModelChoiceField):
            owner.queryset = assignable()


def assignable() -> QuerySet[User]:
    return User.objects.filter(is_active=True, is_staff=True).order_by("username")


@require_safe
@staff_page("gateway.view_exceptioncase")
def page(request: HttpRequest) -> HttpResponse:
    now = timezone.now()
    form = QueueFilter(request.GET)
    rows, cursor = form.rows(staff(request), now), request.GET.get("after", "")
    try:
        found = paging.page(rows, ("state", "due_at", "pk"), size=_PER_PAGE, cursor=cursor)
    except paging.BadCursor:
        messages.warning(request, "The address names no page of this list; this is the first.")
        cursor, found = "", paging.page(rows, ("state", "due_at", "pk"), size=_PER_PAGE)
    query = request.GET.copy()
    query.pop("after", None)
    return show(
        request,
        "console/queue.html",
        title="Exception queue",
        form=form,
        found=found,
        paged=bool(cursor),
        cases=[(case, REASONS[case.reason].title if case.reason in REASONS else case.reason) for case in found.rows],
        query=query.urlencode(),
        filtered=any(request.GET.get(name) for name in form.fields),
        counts=_counts(staff(request), now),
        now=now,
        assign_form=AssignForm(),
        here=request.get_full_path(),
    )


@require_POST
@staff_page("gateway.change_exceptioncase")
def assign(request: HttpRequest) -> HttpResponse:
    """Give one or many cases to a person, or back to their team."""
    form = AssignForm(request.POST)
    keys = [int(key) for key in request.POST.getlist("case") if key.isascii() and key.isdigit()][:_PER_PAGE]
    if not form.is_valid():
        messages.error(request, "Nothing was assigned: choose a person from the list.")
    elif not keys:
        messages.warning(request, "Nothing was assigned: tick at least one case.")
    else:
        _assign(request, keys, form.cleaned_data["owner"], form.cleaned_data["note"])
    back = request.POST.get("back", "")
    safe = url_has_allowed_host_and_scheme(back, allowed_hosts=None)
    return HttpResponseRedirect(back if safe and back.startswith("/") else reverse("console:queue"))


def _assign(request: HttpRequest, keys: list[int], owner: User | None, note: str) -> None:
    given = 0
    for case in ExceptionCase.objects.filter(pk__in=keys, state=CaseState.OPEN):
        try:
            exception_queue.assign(case, owner, actor=staff(request).get_username(), note=note)
        except states.StaleState:
            continue  # resolved since the page was drawn; said below
        given += 1
    to = owner.get_username() if owner else "the team"
    if given:
        messages.success(request, f"{given} {'case' if given == 1 else 'cases'} assigned to {to}.")
    if given < len(keys):
        messages.warning(request, f"{len(keys) - given} not assigned: resolved meanwhile.")


def _counts(user: User, now: datetime) -> dict[str, int]:
    return ExceptionCase.objects.filter(state=CaseState.OPEN).aggregate(
        open=Count("pk"),
        mine=Count("pk", filter=Q(owner=user)),
        nobody=Count("pk", filter=Q(owner=None)),
        overdue=Count("pk", filter=Q(due_at__lt=now)),
    )
