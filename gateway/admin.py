"""The rows in the admin: to look at. Only an ERP connection is edited here; what a person decides has pages of its own."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import BigIntegerField, Case, Count, F, Model, OuterRef, QuerySet, Subquery, Value, When
from django.db.models.functions import Cast, StrIndex, Substr
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from edi_maps.findings import Verdict
from gateway import archives, breakers, outbox
from gateway.change_lists import Paged, one_of
from gateway.events import EVENTS
from gateway.models import (
    Archive,
    Breaker,
    CaseState,
    Delivery,
    DeliveryKind,
    DeliveryState,
    Document,
    DocumentState,
    ErpConnection,
    Event,
    ExceptionCase,
    Interchange,
    LegalHold,
    Order,
    OrderState,
    Transmission,
    TransmissionState,
)
from gateway.pipeline import release
from partners.keystore import KeystoreError
from partners.models import TradingPartner, choices
from partners.profiles import Channel, Direction

admin.site.site_header = "Supplier Gateway"
admin.site.site_title = "Supplier Gateway"
admin.site.index_title = "What waits, what moves, and who with"
admin.site.index_template = "console/index.html"
admin.site.site_url = None  # there is no other site for staff


class LookOnly(admin.ModelAdmin):
    """Rows the machinery writes: nobody adds, changes or deletes them by hand."""

    show_full_result_count = False  # one count of a large table is enough

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


def _link(address: str, row: object) -> SafeString:
    return format_html('<a href="{}">{}</a>', address, row)


@admin.register(Transmission)
class TransmissionAdmin(Paged, LookOnly):
    list_display = ["at", "partner", "direction", "channel", "state", "format", "message_id"]
    list_filter = [
        "at",
        one_of("direction", Direction),
        one_of("channel", Channel),
        one_of("state", TransmissionState),
        "partner",
    ]
    list_select_related = ["partner"]
    search_fields = ["message_id", "uid"]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return _instead(self, request, object_id, "console:transmission")


@admin.register(Interchange)
class InterchangeAdmin(Paged, LookOnly):
    list_display = ["at", "partner", "direction", "control_number", "sender", "receiver", "verdict", "repeats"]
    list_filter = ["at", one_of("direction", Direction), one_of("verdict", Verdict), "partner"]
    list_select_related = ["partner", "repeats"]
    search_fields = ["control_number"]


@admin.register(Document)
class DocumentAdmin(Paged, LookOnly):
    list_display = ["at", "partner", "direction", "type", "number", "order_revision", "state", "verdict"]
    list_filter = [
        "at",
        one_of("direction", Direction),
        one_of("type", [*(name for name, _ in choices.documents()), "functional_acknowledgment"]),
        one_of("state", DocumentState),
        one_of("verdict", Verdict),
        "partner",
    ]
    list_select_related = ["partner"]
    search_fields = ["number", "uid"]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return _instead(self, request, object_id, "console:document")


@admin.register(Delivery)
class DeliveryAdmin(Paged, LookOnly):
    list_display = ["created_at", "kind", "standing", "partner", "connection", "due_at", "last_error"]
    list_filter = [one_of("kind", DeliveryKind), one_of("state", DeliveryState), "partner", "connection"]
    list_select_related = ["partner", "connection", "entry"]
    search_fields = ["key"]

    @admin.display(description="due")
    def due_at(self, row: Delivery) -> datetime | None:
        entry = getattr(row, "entry", None)
        return entry.due_at if entry else None


@admin.register(Order)
class OrderAdmin(Paged, LookOnly):
    list_display = [
        "number",
        "company",
        "partner",
        "state",
        "revision",
        "answered",
        "ack_due_at",
        "open_cases",
        "updated_at",
    ]
    list_filter = ["updated_at", one_of("state", OrderState), "partner", "connection"]
    list_select_related = ["partner"]
    search_fields = ["number"]
    paged_by = ("-updated_at", "-pk")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Order]:
        rows: QuerySet[Order] = super().get_queryset(request)
        waiting = ExceptionCase.objects.filter(order=OuterRef("pk"), state=CaseState.OPEN).order_by()
        return rows.annotate(cases_open=Subquery(waiting.values("order").annotate(count=Count("pk")).values("count")))

    @admin.display(description="answered", boolean=True)
    def answered(self, row: Order) -> bool:
        return row.acknowledged_revision is not None and row.acknowledged_revision >= row.revision

    @admin.display(description="open cases")
    def open_cases(self, row: Order) -> int:
        return getattr(row, "cases_open", 0) or 0

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return _instead(self, request, object_id, "console:order")


class ErpConnectionForm(forms.ModelForm):
    """The token goes in and never comes out."""

    adapter = forms.ChoiceField(
        choices=lambda: [(name, name) for name in release.adapters()],
        help_text="What speaks to it; rest_json is every ERP that implements our published contract.",
    )
    base_url = forms.URLField(
        label="Address", assume_scheme="https", help_text=ErpConnection._meta.get_field("base_url").help_text
    )
    new_token = forms.CharField(
        required=False,
        strip=True,
        max_length=4000,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text="The bearer token the ERP gave us. It is sealed and never shown again; empty keeps the one that is there.",
    )

    class Meta:
        model = ErpConnection
        fields = ["code", "adapter", "base_url", "active", "blocked_reason"]
        help_texts = {
            "blocked_reason": "Set when the ERP refused our credentials. A new token empties it; empty it yourself when the ERP "
            "takes the old one again."
        }

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        token = given.get("new_token") or ""
        if self.instance.pk is None and not token:
            self.add_error("new_token", "The ERP lets nobody in without one: enter the token it gave us.")
        elif {"adapter", "base_url"} <= given.keys():
            wrong = release.what_could_never_work(
                code=given.get("code") or self.instance.code,
                adapter=given["adapter"],
                base_url=given["base_url"],
                token=token or "kept",
            )
            if wrong:
                self.add_error("new_token" if "token" in wrong else "base_url", wrong)
        return given


@admin.register(ErpConnection)
class ErpConnectionAdmin(admin.ModelAdmin):
    form = ErpConnectionForm
    fields = ["code", "adapter", "base_url", "new_token", "active", "blocked_reason", "polled_at"]
    list_display = ["code", "adapter", "base_url", "active", "is_open", "polled_at"]
    readonly_fields = ["polled_at"]

    @admin.display(description="open", boolean=True)
    def is_open(self, row: ErpConnection) -> bool:
        return row.active and not row.blocked_reason

    def get_readonly_fields(self, request: HttpRequest, obj: ErpConnection | None = None) -> list[str]:
        # The code is part of every idempotency key sent so far.
        return ["polled_at", "code"] if obj else ["polled_at"]

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False  # its orders and their history name it; it can be made inactive

    def save_model(self, request: HttpRequest, obj: ErpConnection, form: ErpConnectionForm, change: bool) -> None:
        super().save_model(request, obj, form, change)
        token = form.cleaned_data.get("new_token")
        if not token:
            if self.is_open(obj) and {"active", "blocked_reason"}.intersection(form.changed_data):
                release.resume(obj)
            return
        try:
            release.renew_token(obj, token, actor=request.user.get_username())
        except KeystoreError as error:
            self.message_user(request, f"The token was not kept: {error}", messages.ERROR)


@admin.register(Breaker)
class BreakerAdmin(LookOnly):
    """Which systems outside do not answer, since when, and when they are asked again."""

    list_display = ["who", "remote", "state", "opened_at", "open_until", "failures", "last_error", "changed_at"]
    list_filter = [("open_until", admin.EmptyFieldListFilter)]
    search_fields = ["remote", "last_error"]
    ordering = [F("open_until").desc(nulls_last=True), "remote"]
    actions = ["try_now"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Breaker]:
        rows: QuerySet[Breaker] = super().get_queryset(request)
        number = Cast(Substr("remote", StrIndex("remote", Value(":")) + 1), BigIntegerField())
        erps = ErpConnection.objects.filter(pk=OuterRef("number")).values("code")
        partners = TradingPartner.objects.filter(pk=OuterRef("number")).values("code")
        of_erp = When(remote__startswith="erp:", then=Subquery(erps))
        return rows.annotate(number=number).annotate(who=Case(of_erp, default=Subquery(partners)))

    @admin.display(description="system of", ordering="who")
    def who(self, row: Breaker) -> str:
        return getattr(row, "who", None) or ""

    @admin.display(description="state")
    def state(self, row: Breaker) -> str:
        if row.open_until is None:
            return "answers"
        return "left alone" if row.good_probes == 0 else f"on trial: {row.good_probes} good"

    def has_try_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("gateway.change_breaker")

    @admin.action(description="Try these systems now", permissions=["try"])
    def try_now(self, request: HttpRequest, chosen: QuerySet[Breaker]) -> None:
        tried = [row for row in chosen if breakers.probe_now(row.remote, actor=request.user.get_username())]
        for kind in {breakers.kind_of(row.remote) for row in tried}:
            outbox.wake_on_commit(kind)
        self.message_user(
            request, f"{len(tried)} of {len(chosen)} are tried at once, or as soon as something is to go there."
        )


@admin.register(ExceptionCase)
class ExceptionCaseAdmin(LookOnly):
    """Cases have pages of their own; the admin's list leads there."""

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        # The permission of the decisions; there is no form here that would use it.
        return request.user.has_perm("gateway.change_exceptioncase")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return HttpResponseRedirect(reverse("console:queue"))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return _instead(self, request, object_id, "console:case")


@admin.register(Event)
class EventAdmin(Paged, LookOnly):
    list_display = ["at", "title", "actor", "partner", "order", "about"]
    list_filter = ["at", one_of("name", EVENTS), "partner"]
    list_select_related = ["partner", "order", "document", "case", "transmission"]
    search_fields = ["correlation_id", "order__number"]

    @admin.display(description="what")
    def title(self, row: Event) -> str:
        kind = EVENTS.get(row.name)
        return kind.title if kind else row.name

    @admin.display(description="about")
    def about(self, row: Event) -> SafeString | str:
        if row.case is not None:
            return _link(reverse("console:case", args=[row.case.pk]), row.case)
        if row.document is not None:
            return _link(reverse("console:document", args=[row.document.pk]), row.document)
        if row.transmission is not None:
            return _link(reverse("admin:gateway_transmission_change", args=[row.transmission.pk]), row.transmission)
        return ""


class LegalHoldForm(forms.ModelForm):
    number = forms.CharField(
        label="Order number",
        required=False,
        help_text="To hold one order only; with several of a number name the company.",
    )
    company = forms.CharField(required=False)

    class Meta:
        model = LegalHold
        fields = ["partner", "reason"]

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        number = (given.get("number") or "").strip()
        if bool(number) == bool(given.get("partner")):
            raise forms.ValidationError("Hold either a partner or an order.")
        if not number:
            return given
        rows = Order.objects.filter(number=number)
        if given.get("company"):
            rows = rows.filter(company=given["company"])
        found = list(rows[:2])
        if len(found) != 1:
            self.add_error("number", "There is no such order." if not found else "There are several; name the company.")
        else:
            self.instance.order = found[0]
        return given


@admin.register(LegalHold)
class LegalHoldAdmin(Paged, admin.ModelAdmin):
    """What must not leave the tables. A hold is placed with its reason, and ended; it is never changed or deleted."""

    form = LegalHoldForm
    list_display = ["placed_at", "partner", "order", "reason", "placed_by", "ended_at", "ended_by"]
    list_filter = [("ended_at", admin.EmptyFieldListFilter), "partner"]
    list_select_related = ["partner", "order"]
    actions = ["end"]

    def get_fields(self, request: HttpRequest, obj: LegalHold | None = None) -> Any:
        if obj is None:
            return ["partner", "number", "company", "reason"]
        return ["partner", "order", "reason", "placed_by", "placed_at", "ended_by", "ended_at"]

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is None:
            kwargs["fields"] = ["partner", "reason"]
        return super().get_form(request, obj, change, **kwargs)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_end_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("gateway.change_legalhold")

    def save_model(self, request: HttpRequest, obj: LegalHold, form: LegalHoldForm, change: bool) -> None:
        held = archives.hold(obj, actor=request.user.get_username())
        self.log_change(request, held, "Placed")

    @admin.action(description="End these holds", permissions=["end"])
    def end(self, request: HttpRequest, chosen: QuerySet[LegalHold]) -> None:
        ended = sum(archives.release(row, actor=request.user.get_username()) for row in chosen)
        self.message_user(request, f"{ended} {'hold' if ended == 1 else 'holds'} ended.")


@admin.register(Archive)
class ArchiveAdmin(Paged, LookOnly):
    list_display = ["month", "partner", "part", "size_bytes", "made_at", "restored_at", "sha256"]
    list_filter = ["partner", "month"]
    list_select_related = ["partner"]
    search_fields = ["sha256"]
    fields = ["partner", "month", "part", "sha256", "size_bytes", "rows", "made_at", "restored_at"]


def _instead(page: LookOnly, request: HttpRequest, object_id: str, name: str) -> HttpResponse:
    """To the page a row has of its own; to the list, with a word, when there is no such row."""
    row = page.get_object(request, object_id)
    if row is not None:
        return HttpResponseRedirect(reverse(name, args=[row.pk]))
    archive = archives.by_row(page.model, int(object_id)) if object_id.isdecimal() and len(object_id) < 19 else None
    where = f"It has left the tables and is in archive {archive.pk}." if archive else ""
    page.message_user(request, f"There is no {page.opts.verbose_name} {object_id}. {where}".strip(), messages.WARNING)
    return HttpResponseRedirect(reverse("admin:index"))
