"""The audit trail: what happened, in order; rows are added and never changed."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from gateway.models.fields import StorableJSONField


class Event(models.Model):
    """One business event. The timeline of an order is the events that name it."""

    at = models.DateTimeField(default=timezone.now, db_index=True)
    name = models.CharField(max_length=48)  #: a key of events.EVENTS
    correlation_id = models.UUIDField(null=True, db_index=True)
    actor = models.CharField(max_length=150, blank=True)
    partner = models.ForeignKey("partners.TradingPartner", models.PROTECT, null=True, related_name="+")
    order = models.ForeignKey("gateway.Order", models.PROTECT, null=True, related_name="events")
    transmission = models.ForeignKey("gateway.Transmission", models.PROTECT, null=True, related_name="+")
    document = models.ForeignKey("gateway.Document", models.PROTECT, null=True, related_name="+")
    delivery = models.ForeignKey("gateway.Delivery", models.PROTECT, null=True, related_name="+")
    case = models.ForeignKey("gateway.ExceptionCase", models.PROTECT, null=True, related_name="+")
    data = StorableJSONField(default=dict)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.name} at {self.at:%Y-%m-%d %H:%M:%S}"
