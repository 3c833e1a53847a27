"""Who we are towards partners."""

from __future__ import annotations

from django.db import models

from partners.models.grammar import (
    validate_as2_name,
    validate_group_id,
    validate_isa_id,
    validate_isa_qualifier,
    validate_url,
)


class OwnIdentity(models.Model):
    """One face of ours: the names we use on AS2 and in X12 envelopes. Most companies have one."""

    name = models.CharField(max_length=100, unique=True, help_text="What we call this identity, e.g. Main plant.")
    as2_name = models.CharField(
        "our AS2 name",
        max_length=128,
        unique=True,
        validators=[validate_as2_name],
        help_text="AS2-From of what we send, AS2-To of what we get. 1 to 128 printable ASCII characters; upper and lower "
        "case differ. Partners enter it on their side: changing it later breaks their link.",
    )
    as2_url = models.CharField(
        "our AS2 address",
        max_length=500,
        blank=True,
        validators=[validate_url],
        help_text="Where partners reach our AS2 door from outside, e.g. https://b2b.example.com/as2/. Needed for receipts "
        "that come later; give it to partners in any case.",
    )
    isa_qualifier = models.CharField(
        "our ISA qualifier",
        max_length=2,
        default="ZZ",
        validators=[validate_isa_qualifier],
        help_text="ISA05 of what we send: ZZ mutually defined, 01 DUNS, 12 telephone number …",
    )
    isa_id = models.CharField(
        "our ISA identifier",
        max_length=15,
        validators=[validate_isa_id],
        help_text="ISA06 of what we send, 2 to 15 characters, without padding.",
    )
    group_id = models.CharField(
        "our group identifier",
        max_length=15,
        blank=True,
        validators=[validate_group_id],
        help_text="GS02 of what we send. Empty: the same as the ISA identifier.",
    )
    active = models.BooleanField(
        default=True, help_text="Off: new partners are no longer connected to it, and its AS2 name is no longer ours."
    )

    class Meta:
        verbose_name = "own identity"
        verbose_name_plural = "own identities"
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["isa_qualifier", "isa_id"],
                name="own_identity_isa",
                violation_error_message="Another own identity has this ISA qualifier and identifier.",
            )
        ]

    def __str__(self) -> str:
        return self.name


def only_own_identity() -> int | None:
    """The key of our only active identity: the default of a new link. None when there is none or a choice."""
    keys = OwnIdentity.objects.filter(active=True).values_list("pk", flat=True)[:2]
    return keys[0] if len(keys) == 1 else None
