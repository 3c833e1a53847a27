"""The AS2 link on a partner's page: five entries for most partners, everything else in groups that open when needed."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin

from partners.admin.certificates import CertificateTextarea
from partners.keystore import KeystoreError
from partners.models import LINK_PASSWORDS, As2Link, KeystoreCanary


def _password_field(label: str) -> forms.CharField:
    return forms.CharField(
        label=label,
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password", "class": "vTextField"}),
        help_text="It is sealed, never shown. Empty: it stays as it is.",
    )


class As2Form(forms.ModelForm):
    """The terms of the link, and the passwords their server and the proxy ask for, which go in and never out."""

    http_password = _password_field("Password")
    forget_http_password = forms.BooleanField(label="Forget the password", required=False)
    proxy_password = _password_field("Password at the proxy")
    forget_proxy_password = forms.BooleanField(label="Forget the password at the proxy", required=False)

    class Meta:
        model = As2Link
        fields = "__all__"  # noqa: DJ007  # the inline's fieldsets below name the fields
        widgets = {
            "authorities_pem": CertificateTextarea(attrs={"rows": 4, "cols": 70}),
            "receipt_origins": forms.Textarea(attrs={"rows": 3, "cols": 60}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._passwords: dict[str, str] = {}
        for name, (kind, _) in LINK_PASSWORDS.items():
            kept = self.instance.pk is not None and kind.objects.filter(link=self.instance).exists()
            self.fields[f"forget_{name}"].disabled = not kept
            if kept:
                self.fields[name].help_text = "One is here, sealed. Enter another to replace it."

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean() or self.cleaned_data
        for name, (_, user) in LINK_PASSWORDS.items():
            # Popped: what is not kept here cannot be shown, logged or put into an error report.
            if password := cleaned.pop(name, ""):
                self._passwords[name] = password
                self._check_password(name, user, cleaned)
        return cleaned

    def save(self, commit: bool = True) -> Any:
        link = super().save(commit)
        for name, (kind, _) in LINK_PASSWORDS.items():
            if commit and name in self._passwords:
                link.keep_password(kind, self._passwords[name])
            elif commit and self.cleaned_data.get(f"forget_{name}"):
                kind.objects.filter(link=link).delete()
        return link

    def _check_password(self, name: str, user: str, cleaned: dict[str, Any]) -> None:
        if not cleaned.get(user) and user not in self.errors:
            self.add_error(user, "Enter the user name that goes with the password.")
        if cleaned.get(f"forget_{name}"):
            self.add_error(f"forget_{name}", "Either enter another password or forget the one there is.")
        try:
            KeystoreCanary.prove()
        except KeystoreError as error:
            self.add_error(name, str(error))


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
                    "proxy_user",
                    "proxy_password",
                    "forget_proxy_password",
                    "private_network",
                ],
                "classes": ["collapse"],
            },
        ),
    ]
