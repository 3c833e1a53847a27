"""Where the counters of X12 control numbers stand."""

from __future__ import annotations

from django.db import models

from partners.models import choices
from partners.models.partner import TradingPartner


class ControlNumber(models.Model):
    """The last control number given out to one partner; ``partners.control_numbers`` is its only writer."""

    partner = models.ForeignKey(TradingPartner, models.CASCADE, related_name="control_numbers")
    kind = models.CharField(max_length=12, choices=choices.control_number_kinds)
    last = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["partner", "kind"], name="control_number_once")]

    def __str__(self) -> str:
        return f"{self.kind} {self.last}"
