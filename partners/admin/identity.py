"""The pages of our own identities."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters

from partners.admin.certificates import OwnCertificateInline
from partners.keystore import KeystoreError
from partners.models import CertificateRole, OwnIdentity
from partners.onboarding import make_own_certificate, own_as2_certificates

#: What partners need to install our next certificate before we sign with it.
NOTICE: Final = timedelta(days=30)


@admin.register(OwnIdentity)
class OwnIdentityAdmin(admin.ModelAdmin):
    list_display = ["name", "as2_name", "isa", "active", "signs_until"]
    search_fields = ["name", "as2_name", "isa_id"]
    list_filter = ["active"]
    inlines = [OwnCertificateInline]
    actions = ["make_certificate"]
    fieldsets = [
        (None, {"fields": ["name", "active"]}),
        ("On AS2", {"fields": ["as2_name", "as2_url"]}),
        ("In X12 envelopes", {"fields": ["isa_qualifier", "isa_id", "group_id"]}),
    ]

    # An error report must not quote a private key that was pasted into the form.
    @method_decorator(sensitive_post_parameters())
    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return super().changeform_view(request, *args, **kwargs)

    def has_delete_permission(self, request: HttpRequest, obj: OwnIdentity | None = None) -> bool:
        """Not with certificates: they prove what was signed with them, so such an identity is switched off instead."""
        return super().has_delete_permission(request, obj) and (obj is None or not obj.certificates.exists())

    @admin.display(description="ISA")
    def isa(self, identity: OwnIdentity) -> str:
        return f"{identity.isa_qualifier}/{identity.isa_id}"

    @admin.display(description="we can sign until")
    def signs_until(self, identity: OwnIdentity) -> str:
        """The end of the last certificate with a key, or that there is none."""
        now = timezone.now()
        signing = own_as2_certificates(identity, now=now).exclude(role=CertificateRole.ENCRYPT)
        last = signing.order_by("-not_after").first()
        return f"{last.not_after:%Y-%m-%d}" if last else "no key: make one"

    @admin.action(description="Make a key and certificate", permissions=["change"])
    def make_certificate(self, request: HttpRequest, queryset: QuerySet[OwnIdentity]) -> None:
        """Make a pair for each; where one is in use already, the new one signs after partners had time to install it."""
        now = timezone.now()
        for identity in queryset:
            in_use = own_as2_certificates(identity, now=now).exists()
            try:
                made = make_own_certificate(identity, now=now, active_from=now + NOTICE if in_use else None)
            except KeystoreError as error:
                self.message_user(request, str(error), messages.ERROR)
                return
            when = f"from {made.active_from:%Y-%m-%d} on" if made.active_from else "from now on"
            until = "before that day" if made.active_from else "now: they verify with it and encrypt for it"
            self.message_user(
                request,
                f"{identity}: made {made}. It signs {when} and decrypts at once. Copy the certificate from the page of {identity} "
                f"and send it to the partners {until}.",
                messages.SUCCESS,
            )
