"""The AS2 link on a partner's page: five entries for most partners, everything else in groups that open when needed."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin

from partners.admin.certificates import CertificateTextarea
from partners.keystore import KeystoreError
from partners.models import As2Link, HttpPassword, KeystoreCanary


class As2Form(forms.ModelForm):
    """The terms of the link, and the password their server asks for, which goes in and never out."""

    http_password = forms.CharField(
        label="Password",
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="It is sealed, never shown. Empty: it stays as it is.",
    )
    forget_http_password = forms.BooleanField(label="Forget the password", required=False)

    class Meta:
        model = As2Link
        fields = "__all__"  # noqa: DJ007  # the inline's fieldsets below name the fields
        widgets = {
            "authorities_pem": CertificateTextarea(attrs={"rows": 4, "cols": 70}),
            "receipt_origins": forms.Textarea(attrs={"rows": 3, "cols": 60}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._password = ""
        kept = HttpPassword.objects.filter(link=self.instance.pk).first() if self.instance.pk else None
        self.fields["forget_http_password"].disabled = kept is None
        if kept is not None:
            self.fields["http_password"].help_text = "One is here, sealed. Enter another to replace it."

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean() or self.cleaned_data
        # Popped: what is not kept here cannot be shown, logged or put into an error report.
        self._password = cleaned.pop("http_password", "")
        if self._password and not cleaned.get("http_user"):
            self.add_error("http_user", "Enter the user name that goes with the password.")
        if self._password and cleaned.get("forget_http_password"):
            self.add_error("forget_http_password", "Either enter another password or forget the one there is.")
        if self._password:
            try:
                KeystoreCanary.prove()
            except KeystoreError as error:
                self.add_error("http_password", str(error))
        return cleaned

    def save(self, commit: bool = True) -> Any:
        link = super().save(commit)
        if commit and self._password:
            link.keep_http_password(self._password)
        elif commit and self.cleaned_data.get("forget_http_password"):
            HttpPassword.objects.filter(link=link).delete()
        return link


class As2Inline(admin.StackedInline):
    model = As2Link
    form = As2Form
    max_num = 1
    extra = 0
    verbose_name = "AS2"
    fieldsets = [
        (
            None,
            {
                "description": "Enough for most partners. What is ticked we demand of them and do ourselves.",
                "fields": ["own_identity", "their_name", "url", "signed", "encrypted"],
            },
        ),
        (
            "Protection",
            {
                "description": "Algorithms and certificates. Change something here only when the partner asks for it.",
                "fields": [
                    "algorithms",
                    "digest",
                    "signature_scheme",
                    "cipher",
                    "key_transport",
                    "compressed",
                    "compressed_after_signing",
                    "all_recipients",
                    "expired_grace_days",
                    "as2_version",
                ],
                "classes": ["collapse"],
            },
        ),
        (
            "Receipts",
            {
                "description": "What we ask of them for our messages, and where ours for theirs may go.",
                "fields": ["signed_mdn", "async_mdn", "mdn_timeout_minutes", "receipt_origins"],
                "classes": ["collapse"],
            },
        ),
        (
            "Retries and limits",
            {
                "description": "When their server does not answer, and how large a message of theirs may be.",
                "fields": ["retry_minutes", "timeout_s", "max_megabytes"],
                "classes": ["collapse"],
            },
        ),
        (
            "Network",
            {
                "description": "How our requests reach their server, and what theirs must show. Their server's certificate "
                "is not the AS2 certificate.",
                "fields": [
                    "verify_tls",
                    "authorities_pem",
                    "http_user",
                    "http_password",
                    "forget_http_password",
                    "present_client_certificate",
                    "demand_client_certificate",
                    "proxy_url",
                    "private_network",
                ],
                "classes": ["collapse"],
            },
        ),
    ]
