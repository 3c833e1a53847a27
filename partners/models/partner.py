"""Trading partners, what the ERP calls them, and which documents are exchanged with them."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import models

from partners.models import choices
from partners.models.grammar import validate_partner_code
from partners.profiles import Channel, PartnerState


class TradingPartner(models.Model):
    """A supplier we have terms with."""

    code = models.CharField(
        max_length=32,
        unique=True,
        validators=[validate_partner_code],
        help_text="Short, for screens, commands and logs: capital letters, digits, '-' and '_', e.g. ACME.",
    )
    name = models.CharField(max_length=200, help_text="As it should appear on screens, e.g. ACME Castings Ltd.")
    state = models.CharField(
        max_length=16,
        choices=choices.partner_states,
        default=PartnerState.DRAFT.value,
        db_index=True,
        help_text="Draft: being set up, nothing is exchanged. Testing: exchanged, marked as test. Live: for real. "
        "Suspended: everything is refused until it is live again.",
    )
    notes = models.TextField(blank=True, help_text="Contacts, agreements by telephone, anything the next person needs.")
    keep_months = models.PositiveSmallIntegerField(
        "retention in months",
        null=True,
        blank=True,
        help_text="How long finished documents stay in the tables before they are archived. Empty: as set for all partners.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["code"]

    def __str__(self) -> str:
        return f"{self.code} ({self.name})"


class SupplierNumber(models.Model):
    """What the ERP calls a partner. One partner may have several: one per plant, or after a merger."""

    partner = models.ForeignKey(TradingPartner, models.CASCADE, related_name="supplier_numbers")
    number = models.CharField(
        max_length=40,
        unique=True,
        help_text="Exactly as the ERP has it, leading zeros included. It belongs to one partner only.",
        error_messages={"unique": "This supplier number already belongs to a partner; search for it in the list."},
    )

    class Meta:
        ordering = ["number"]

    def __str__(self) -> str:
        return self.number


class DocumentAgreement(models.Model):
    """One document type in one direction: that it is exchanged at all, by which channel and in which form."""

    partner = models.ForeignKey(TradingPartner, models.CASCADE, related_name="agreements")
    document = models.CharField(max_length=40, choices=choices.documents)
    direction = models.CharField(max_length=10, choices=choices.directions)
    channel = models.CharField(
        max_length=16, choices=choices.channels, help_text="How it travels. Each document may use another channel."
    )
    format = models.CharField(
        max_length=20,
        choices=choices.formats,
        help_text="AS2 carries X12, the portal its own JSON, REST canonical JSON or X12, web pages canonical JSON.",
    )
    sheet = models.CharField(
        "map sheet",
        max_length=64,
        blank=True,
        help_text="For portal JSON only: the name of the partner's shape, e.g. boltco.",
    )

    class Meta:
        ordering = ["direction", "document"]
        constraints = [
            models.UniqueConstraint(
                fields=["partner", "document", "direction"],
                name="agreement_once",
                violation_error_message="This partner already has an agreement for this document in this direction; "
                "change that one.",
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_document_display()}, {self.get_direction_display().lower()}"

    def clean(self) -> None:
        """Refuse a form the channel cannot carry, and a map sheet that is missing or has no use.

        Raises:
            ValidationError: by field, with the forms that fit.
        """
        if self.channel not in choices.FORMATS_ON or not self.format:
            return  # the field's own error says it
        fitting = choices.FORMATS_ON[Channel(self.channel)]
        if self.format not in fitting:
            raise ValidationError(
                {
                    "format": f"{self.get_channel_display()} cannot carry {self.get_format_display()}; "
                    f"choose {' or '.join(fitting)}, or another channel."
                }
            )
        if self.format == "portal_json" and not self.sheet:
            raise ValidationError(
                {"sheet": "Portal JSON differs by partner: name the map sheet of this partner's shape."}
            )
        if self.format != "portal_json" and self.sheet:
            raise ValidationError({"sheet": f"{self.get_format_display()} uses no map sheet by name; leave it empty."})
