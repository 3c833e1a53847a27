"""The terms of a partner beside its AS2 link: how X12 is written, how closely an order is answered."""

from __future__ import annotations

from decimal import Decimal

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from partners.models import choices
from partners.models.grammar import (
    validate_delimiter,
    validate_finding_codes,
    validate_group_id,
    validate_isa_id,
    validate_isa_qualifier,
    validate_version_suffix,
    validate_x12_version,
)
from partners.models.identity import OwnIdentity, only_own_identity
from partners.models.partner import TradingPartner
from partners.profiles import FunctionalAck


class X12Terms(models.Model):
    """Who the partner is in an X12 envelope, how we write for it and how strictly we read it."""

    partner = models.OneToOneField(TradingPartner, models.CASCADE, related_name="x12")
    own_identity = models.ForeignKey(
        OwnIdentity,
        models.PROTECT,
        related_name="+",
        default=only_own_identity,
        verbose_name="we are",
        help_text="Which of our identities stands in the envelopes.",
    )
    their_qualifier = models.CharField(
        "their ISA qualifier",
        max_length=2,
        default="ZZ",
        validators=[validate_isa_qualifier],
        help_text="ISA05 of what they send: ZZ mutually defined, 01 DUNS, 12 telephone number …",
    )
    their_id = models.CharField(
        "their ISA identifier",
        max_length=15,
        validators=[validate_isa_id],
        help_text="ISA06 of what they send, 2 to 15 characters, without padding.",
    )
    their_group_id = models.CharField(
        "their group identifier",
        max_length=15,
        blank=True,
        validators=[validate_group_id],
        help_text="GS02 of what they send. Empty: the same as the ISA identifier.",
    )
    version = models.CharField(
        max_length=6,
        default="004010",
        validators=[validate_x12_version],
        help_text="The X12 version we write, e.g. 004010.",
    )
    version_suffix = models.CharField(
        max_length=6,
        blank=True,
        validators=[validate_version_suffix],
        help_text="What follows the version in GS08, e.g. VICS. Mostly empty.",
    )
    element = models.CharField("element separator", max_length=1, default="*", validators=[validate_delimiter])
    segment = models.CharField("segment terminator", max_length=1, default="~", validators=[validate_delimiter])
    component = models.CharField("component separator", max_length=1, default=">", validators=[validate_delimiter])
    repetition = models.CharField(
        "repetition separator",
        max_length=1,
        default="^",
        validators=[validate_delimiter],
        help_text="Used from version 00402 on.",
    )
    newline_after_segment = models.BooleanField(
        default=False, help_text="One segment a line: easier on the eye, and some translators insist on it."
    )
    usage = models.CharField("usage indicator", max_length=1, choices=choices.usages, default="P", help_text="ISA15.")
    functional_ack = models.CharField(
        "functional acknowledgment",
        max_length=8,
        choices=choices.functional_acks,
        default=FunctionalAck.FULL.value,
        help_text="What we answer to their groups and expect for ours.",
    )
    relaxed = models.JSONField(
        "relaxed rules",
        default=list,
        blank=True,
        validators=[validate_finding_codes],
        help_text="Findings that only warn for this partner instead of rejecting the document.",
    )

    class Meta:
        verbose_name = "X12 terms"
        verbose_name_plural = "X12 terms"
        constraints = [
            models.UniqueConstraint(
                fields=["their_qualifier", "their_id"],
                name="x12_terms_their_isa",
                violation_error_message="Another partner has this ISA qualifier and identifier; one sender, one partner.",
            )
        ]

    def __str__(self) -> str:
        return f"{self.their_qualifier}/{self.their_id}"

    def clean(self) -> None:
        """Refuse delimiters that cannot be told apart, or that an identifier holds.

        Raises:
            ValidationError: with the character and where it clashes.
        """
        delimiters = [self.element, self.segment, self.component, self.repetition]
        if len(set(delimiters)) != len(delimiters):
            raise ValidationError(
                f"The four separators {' '.join(delimiters)} must differ, or no reader can tell them apart."
            )
        for name in ("their_id", "their_group_id"):
            if clash := set(getattr(self, name)) & set(delimiters):
                raise ValidationError(
                    {name: f"It holds {' '.join(sorted(clash))}, which is a separator; choose another separator."}
                )


class AckTerms(models.Model):
    """How soon and how closely the partner must answer an order; what lies within needs no person."""

    partner = models.OneToOneField(TradingPartner, models.CASCADE, related_name="ack")
    due_after_hours = models.PositiveIntegerField(
        "answer due after hours",
        default=24,
        validators=[MinValueValidator(1), MaxValueValidator(24 * 90)],
        help_text="From our order to their acknowledgment. Later than that, somebody is told.",
    )
    quantity_tolerance_percent = models.DecimalField(
        max_digits=5,
        decimal_places=2,
        default=Decimal(0),
        validators=[MinValueValidator(0), MaxValueValidator(100)],
        help_text="How far a promised quantity may lie from the ordered one; 0 is exact.",
    )
    price_tolerance_percent = models.DecimalField(
        max_digits=5,
        decimal_places=2,
        default=Decimal(0),
        null=True,
        blank=True,
        validators=[MinValueValidator(0), MaxValueValidator(100)],
        help_text="How far a confirmed unit price may lie from the ordered one; 0 is exact, empty: never compared.",
    )
    days_early = models.PositiveIntegerField(
        default=0, validators=[MaxValueValidator(365)], help_text="A promise may lie this many days before the wish."
    )
    days_late = models.PositiveIntegerField(
        default=0, validators=[MaxValueValidator(365)], help_text="A promise may lie this many days after the wish."
    )

    class Meta:
        verbose_name = "acknowledgment terms"
        verbose_name_plural = "acknowledgment terms"

    def __str__(self) -> str:
        return f"within {self.due_after_hours} h, ± {self.quantity_tolerance_percent} %"
