"""Certificates on a page: uploaded or pasted, private keys written but never shown."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.core.files import File
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest
from django.utils import timezone

from partners import certificates
from partners.certificates import LARGEST_FILE_BYTES, CertificateError, PrivateKey
from partners.keystore import KeystoreError
from partners.models import Certificate, KeystoreCanary


class WriteOnlyTextarea(forms.Textarea):
    """Takes a secret and never gives it back, not even when the form is shown again with an error."""

    def format_value(self, value: Any) -> str:
        return ""


class CertificateTextarea(forms.Textarea):
    """Shows a certificate; a private key pasted here by mistake is refused and not shown again."""

    def format_value(self, value: Any) -> str | None:
        shown: str | None = super().format_value(value)
        return "" if shown and "PRIVATE KEY" in shown else shown


class CertificateForm(forms.ModelForm):
    """One certificate, from a file or pasted. It cannot be exchanged later: a new certificate is a new row."""

    upload = forms.FileField(
        label="Certificate file",
        required=False,
        help_text="As they sent it: .cer, .crt, .der or .pem. Or paste it below.",
    )

    class Meta:
        model = Certificate
        fields = ["upload", "certificate_pem", "role", "active_from", "active_until"]
        widgets = {"certificate_pem": CertificateTextarea(attrs={"rows": 4, "cols": 70})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        stored = self.instance.pk is not None
        self.fields["certificate_pem"].required = stored
        self.fields["certificate_pem"].disabled = self.fields["upload"].disabled = stored

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean() or self.cleaned_data
        upload: File[bytes] | None = cleaned.get("upload")
        if upload is not None:
            try:
                # Whether it is one for AS2 the row's own check says, which knows its role.
                cleaned["certificate_pem"] = certificates.read(_bounded(upload), for_tls=True).pem
            except CertificateError as error:
                cleaned["certificate_pem"] = ""
                self.add_error("upload", str(error))
        elif not cleaned.get("certificate_pem") and "certificate_pem" not in self.errors:
            self.add_error("certificate_pem", "Choose a certificate file, or paste the certificate here.")
        return cleaned


class OwnCertificateForm(CertificateForm):
    """One of our certificates with its private key."""

    key_upload = forms.FileField(
        label="Private key file", required=False, help_text="PEM or DER. Or paste it below. It is sealed, never shown."
    )
    private_key = forms.CharField(
        required=False, strip=False, widget=WriteOnlyTextarea(attrs={"rows": 4, "cols": 70, "autocomplete": "off"})
    )
    key_password = forms.CharField(
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="If the key file has one. It is used once and not kept.",
    )

    class Meta(CertificateForm.Meta):
        pass

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._key: PrivateKey | None = None
        if self.instance.pk is not None and self.instance.sealed_key is not None:
            for name in ("key_upload", "private_key", "key_password"):
                self.fields[name].disabled = True
            self.fields["private_key"].help_text = "The key of this certificate is here, sealed."

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean() or self.cleaned_data
        upload: File[bytes] | None = cleaned.get("key_upload")
        try:
            # Popped: what is not kept cannot be shown, logged or put into an error report.
            pasted = cleaned.pop("private_key", "").encode("ascii", "replace")
            password = cleaned.pop("key_password", "")
            given = _bounded(upload) if upload is not None else pasted
            if given:
                self._key = certificates.read_private_key(given, password=password)
                self._check_key(self._key, cleaned.get("certificate_pem") or "")
            elif self.instance.pk is None:
                self.add_error("private_key", "Our own certificate is of no use without its private key: add the key.")
        except (CertificateError, KeystoreError) as error:
            self.add_error("private_key", str(error))
        return cleaned

    def save(self, commit: bool = True) -> Any:
        certificate = super().save(commit)
        if self._key is not None and commit:
            certificate.keep_private_key(self._key)
        return certificate

    def _check_key(self, key: PrivateKey, pem: str) -> None:
        KeystoreCanary.prove()
        if pem and not certificates.belong_together(
            certificates.read(pem.encode("ascii", "replace"), for_tls=True), key
        ):
            raise CertificateError(
                "The private key does not belong to this certificate. Send the key the certificate was made from."
            )


class CertificateFormSet(BaseInlineFormSet):
    def clean(self) -> None:
        """Refuse the same certificate twice on one page; the rows themselves know only what is stored.

        Raises:
            ValidationError: naming the certificate.
        """
        super().clean()
        seen: set[str] = set()
        for form in self.forms:
            fingerprint = form.instance.fingerprint
            if not fingerprint or form in self.deleted_forms:
                continue
            if fingerprint in seen:
                raise ValidationError(f"The certificate {form.instance.subject} is here twice; keep one of the two.")
            seen.add(fingerprint)


class CertificateInline(admin.StackedInline):
    """The certificates of a partner."""

    model = Certificate
    form = CertificateForm
    formset = CertificateFormSet
    extra = 0
    can_delete = False  # it proves what was signed with it; "we use it until" ends it
    readonly_fields = ["validity", "subject", "algorithm", "fingerprint"]
    classes = ["collapse"]
    verbose_name_plural = "Certificates: theirs. For a roll-over add the new one beside the old"

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """Everything, what can be entered first."""
        return [*self.form.base_fields, *self.readonly_fields]

    @admin.display(description="validity")
    def validity(self, certificate: Certificate) -> str:
        """From when to when, and how many days are left."""
        if certificate._state.adding:
            return "shown when saved"
        now = timezone.now()
        span = f"{certificate.not_before:%Y-%m-%d} to {certificate.not_after:%Y-%m-%d}"
        if certificate.active_until is not None and certificate.active_until <= now:
            return f"{span} (ended on {certificate.active_until:%Y-%m-%d}: refused)"
        return f"{span} ({days_left((certificate.not_after - now).days)})"


class OwnCertificateInline(CertificateInline):
    """Our certificates, with their keys."""

    form = OwnCertificateForm
    classes: list[str] = []
    verbose_name_plural = (
        "Certificates: ours. To make a new pair, tick this identity in the list and choose 'Make a key and certificate'"
    )


def days_left(days: int) -> str:
    """``12 days left``, ``expired 3 days ago``."""
    if days < 0:
        return f"expired {-days} {'day' if days == -1 else 'days'} ago"
    return f"{days} {'day' if days == 1 else 'days'} left"


def _bounded(upload: File[bytes]) -> bytes:
    data: bytes = upload.read(LARGEST_FILE_BYTES + 1)
    return data
