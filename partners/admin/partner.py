"""The pages of trading partners: list, and one page with all terms of a partner."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.widgets import FilteredSelectMultiple
from django.db.models import Max, Min, Prefetch, Q, QuerySet
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.html import format_html, format_html_join
from django.views.decorators.debug import sensitive_post_parameters

from edi_maps.findings import CATALOGUE
from partners import directory, readiness
from partners.admin.as2 import As2Inline
from partners.admin.certificates import CertificateInline, days_left
from partners.keystore import KeystoreError
from partners.models import (
    AckTerms,
    ApiKey,
    Certificate,
    DocumentAgreement,
    SupplierNumber,
    TradingPartner,
    X12Terms,
)
from partners.profiles import PartnerState


class SupplierNumberInline(admin.TabularInline):
    model = SupplierNumber
    extra = 1
    verbose_name_plural = "Supplier numbers: what the ERP calls them"


class AgreementForm(forms.ModelForm):
    class Meta:
        model = DocumentAgreement
        fields = ["document", "direction", "channel", "format", "sheet"]
        widgets = {"sheet": forms.TextInput(attrs={"size": 10})}  # the row of five fits a narrow screen


class AgreementInline(admin.TabularInline):
    model = DocumentAgreement
    form = AgreementForm
    extra = 0
    verbose_name_plural = "Documents: what is exchanged, which way and how"


class X12Form(forms.ModelForm):
    relaxed = forms.MultipleChoiceField(
        label="Relaxed rules",
        required=False,
        choices=lambda: [(code, f"{code}: {message.text}") for code, message in sorted(CATALOGUE.items())],
        widget=FilteredSelectMultiple("rules", is_stacked=False),
        help_text=X12Terms._meta.get_field("relaxed").help_text,
    )

    class Meta:
        model = X12Terms
        fields = "__all__"  # noqa: DJ007  # the inline's fieldsets below name the fields


class X12Inline(admin.StackedInline):
    model = X12Terms
    form = X12Form
    max_num = 1
    extra = 0
    verbose_name = "X12"
    fieldsets = [
        (
            None,
            {
                "description": "Who they are in an envelope, and how we write for them.",
                "fields": [
                    "own_identity",
                    ("their_qualifier", "their_id", "their_group_id"),
                    ("version", "version_suffix", "usage"),
                    "functional_ack",
                ],
            },
        ),
        (
            "Separators",
            {"fields": [("element", "segment", "component", "repetition"), "newline_after_segment"]},
        ),
        ("What we let pass", {"fields": ["relaxed"]}),
    ]


class AckInline(admin.StackedInline):
    model = AckTerms
    max_num = 1
    extra = 0
    verbose_name_plural = (
        "Answers to orders: what needs no person (without a row: 24 hours, exact quantity, price and day)"
    )
    fieldsets = [
        (
            None,
            {
                "description": "What needs no person. Without these terms: within 24 hours, quantity, price and day exact.",
                "fields": [
                    "due_after_hours",
                    ("quantity_tolerance_percent", "price_tolerance_percent"),
                    ("days_early", "days_late"),
                ],
            },
        )
    ]


class ApiKeyForm(forms.ModelForm):
    """A new key gets its secret when it is saved; an old one can only be renamed, given an end, or revoked."""

    revoke = forms.BooleanField(required=False, help_text="Refused from the next call on. This cannot be undone.")

    class Meta:
        model = ApiKey
        fields = ["label", "env", "expires_at", "revoke"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["label"].required = True  # without it an untouched row and a wanted key look the same
        stored = self.instance.pk is not None
        self.fields["env"].disabled = stored
        self.fields["revoke"].disabled = not stored or self.instance.revoked_at is not None
        self.secret = ""  #: of a key just made, to be shown once

    def save(self, commit: bool = True) -> Any:
        if self.instance.pk is None:
            self.secret = self.instance.new_secret()
        if self.cleaned_data.get("revoke") and self.instance.revoked_at is None:
            self.instance.revoked_at = timezone.now()
        return super().save(commit)


class ApiKeyInline(admin.TabularInline):
    model = ApiKey
    form = ApiKeyForm
    extra = 0
    can_delete = False  # a revoked key stays, so that old calls can be traced to it
    fields = ["label", "env", "prefix", "created_at", "last_used_at", "expires_at", "revoked_at", "revoke"]
    readonly_fields = ["prefix", "created_at", "last_used_at", "revoked_at"]
    verbose_name_plural = "API keys: the secret is shown once, after saving"


@admin.register(TradingPartner)
class TradingPartnerAdmin(admin.ModelAdmin):
    list_display = ["code", "name", "state", "channels", "certificate_expiry", "last_call"]
    list_filter = ["state", "agreements__channel", "agreements__document"]
    search_fields = ["code", "name", "supplier_numbers__number", "as2__their_name", "x12__their_id"]
    search_help_text = "Code, name, supplier number, AS2 name or ISA identifier"
    readonly_fields = ["still_missing", "created_at", "updated_at"]
    save_on_top = True
    inlines = [
        SupplierNumberInline,
        AgreementInline,
        X12Inline,
        As2Inline,
        CertificateInline,
        AckInline,
        ApiKeyInline,
    ]
    fieldsets = [
        (None, {"fields": ["code", "name", "state", "still_missing"]}),
        ("Notes and retention", {"fields": ["notes", "keep_months"]}),
        ("History", {"fields": [("created_at", "updated_at")], "classes": ["collapse"]}),
    ]

    # An error report must not quote a password that was entered into the form.
    @method_decorator(sensitive_post_parameters())
    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return super().changeform_view(request, *args, **kwargs)

    def get_queryset(self, request: HttpRequest) -> QuerySet[TradingPartner]:
        now = timezone.now()
        in_use = Q(certificates__active_until=None) | Q(certificates__active_until__gt=now)
        rows: QuerySet[TradingPartner] = super().get_queryset(request)
        return rows.annotate(
            last_key_use=Max("api_keys__last_used_at"),
            next_expiry=Min("certificates__not_after", filter=in_use & Q(certificates__not_before__lte=now)),
        ).prefetch_related(Prefetch("agreements", DocumentAgreement.objects.only("partner", "channel")))

    @admin.display(description="channels")
    def channels(self, partner: TradingPartner) -> str:
        names = sorted({agreement.get_channel_display() for agreement in partner.agreements.all()})
        return ", ".join(names) or "none yet"

    @admin.display(description="certificate", ordering="next_expiry")
    def certificate_expiry(self, partner: TradingPartner) -> str:
        """Days until the first certificate in use expires."""
        expiry: datetime | None = getattr(partner, "next_expiry", None)
        return "–" if expiry is None else days_left((expiry - timezone.now()).days)

    @admin.display(description="last API call", ordering="last_key_use")
    def last_call(self, partner: TradingPartner) -> datetime | None:
        used: datetime | None = getattr(partner, "last_key_use", None)
        return used

    @admin.display(description="still missing")
    def still_missing(self, partner: TradingPartner) -> str:
        """The onboarding checklist."""
        if partner._state.adding:
            return "Save once; what is missing then stands here."
        gaps = _gaps(partner)
        if not gaps:
            return "Nothing: documents can flow."
        return format_html("<ul>{}</ul>", format_html_join("", "<li>{}</li>", ((gap,) for gap in gaps)))

    def save_formset(
        self, request: HttpRequest, form: Any, formset: BaseInlineFormSet[Any, Any, Any], change: bool
    ) -> None:
        """Save the rows of one subject; show the secret of each API key just made."""
        super().save_formset(request, form, formset, change)
        for row in formset.forms:
            if isinstance(row, ApiKeyForm) and row.secret:
                self.message_user(
                    request,
                    f"The {row.instance.env} API key '{row.instance.label}' is {row.secret}: copy it now and hand it over "
                    "by a safe way. It is not kept and cannot be shown again.",
                    messages.WARNING,
                )

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save all subjects, then say what keeps a partner that should work from working, or may do so from now on."""
        before = _encrypted_for(form.instance)
        super().save_related(request, form, formsets, change)
        after = _encrypted_for(form.instance)
        if before and after and before != after:
            self.message_user(
                request,
                f"What we send is encrypted for {after} from now on, no more for {before}. If {form.instance.code} does not open "
                "with it yet, enter at that certificate the day we use it from, or tick 'encrypt for all their certificates'.",
                messages.WARNING,
            )
        if form.instance.state in (PartnerState.TESTING, PartnerState.LIVE):
            for gap in _gaps(form.instance):
                self.message_user(
                    request, f"{form.instance.code} is {form.instance.state}, but: {gap}", messages.WARNING
                )


def _gaps(partner: TradingPartner) -> list[str]:
    now = timezone.now()
    has_api_key = any(key.usable(now) for key in ApiKey.objects.filter(partner=partner, revoked_at=None))
    try:
        return readiness.gaps(directory.profile(partner.pk, now=now), has_api_key=has_api_key)
    except KeystoreError as error:
        return [str(error)]


def _encrypted_for(partner: TradingPartner) -> str:
    """Subject and fingerprint of the one certificate we encrypt for; empty when there is none, or several of theirs will do."""
    try:
        terms = directory.profile(partner.pk).as2
    except KeystoreError:
        return ""
    if terms is None or terms.all_recipients or not terms.their_encryption:
        return ""
    fingerprint = terms.their_encryption[0].fingerprint
    certificate = Certificate.objects.get(partner=partner, fingerprint=fingerprint)
    return f"{certificate.subject} ({fingerprint[:16]}…)"
