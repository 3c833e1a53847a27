"""The outbox: one row hands one thing to one consumer (translator, order book, ERP or partner), one row a try."""

from __future__ import annotations

from enum import StrEnum

from django.db import models
from django.utils import timezone


class DeliveryKind(StrEnum):
    """The consumer. Also the name of the queue."""

    TRANSLATE = "translate"  #: a stored transmission, to documents
    APPLY = "apply"  #: a translated document, to the order book
    ERP = "erp"  #: an applied document, to the ERP
    PARTNER = "partner"  #: a prepared transmission, to the partner
    RECEIPT = "receipt"  #: an asynchronous MDN, to the partner


class DeliveryState(StrEnum):
    PENDING = "pending"
    SENDING = "sending"  #: claimed; an expired lease makes it claimable again
    IN_DOUBT = "in_doubt"  #: sent, no usable answer: looked up before it is sent again
    DELIVERED = "delivered"
    DEAD = "dead"  #: given up; blocks its own lane until a person acts
    CANCELLED = "cancelled"  #: a person closed it


#: A delivery in one of these keeps younger ones of its lanes waiting.
OPEN_STATES = (DeliveryState.PENDING, DeliveryState.SENDING, DeliveryState.IN_DOUBT, DeliveryState.DEAD)


class Delivery(models.Model):
    key = models.CharField(max_length=255, unique=True)  #: idempotency key, made with the work, never when it is sent
    kind = models.CharField(max_length=16)
    state = models.CharField(max_length=16, default=DeliveryState.PENDING.value)
    transmission = models.ForeignKey("gateway.Transmission", models.PROTECT, null=True, related_name="deliveries")
    document = models.ForeignKey("gateway.Document", models.PROTECT, null=True, related_name="deliveries")
    partner = models.ForeignKey("partners.TradingPartner", models.PROTECT, null=True, related_name="+")
    connection = models.ForeignKey("gateway.ErpConnection", models.PROTECT, null=True, related_name="+")
    company = models.CharField(
        max_length=32, blank=True
    )  #: for the ERP: whose orders of the document this one is about
    due_at = models.DateTimeField(default=timezone.now)
    token = models.PositiveIntegerField(default=0)  #: fencing: a finish with an older token changes nothing
    owner = models.CharField(max_length=100, blank=True)
    lease_until = models.DateTimeField(null=True)  #: by the database's clock
    attempts = models.PositiveIntegerField(default=0)
    crashes = models.PositiveIntegerField(default=0)  #: tries that ended without a word
    doubtful = models.BooleanField(default=False)  #: an earlier try may have had its effect
    last_error = models.TextField(blank=True)
    result = models.CharField(max_length=255, blank=True)  #: the consumer's own reference
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "deliveries"
        indexes = [
            models.Index(
                fields=["kind", "due_at"],
                condition=models.Q(state__in=["pending", "sending", "in_doubt"]),
                name="delivery_due",
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} delivery {self.pk}"


class DeliveryLane(models.Model):
    """Deliveries that share a lane are handed over one at a time, oldest first."""

    delivery = models.ForeignKey(Delivery, models.CASCADE, related_name="lanes")
    key = models.CharField(max_length=200)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["key", "delivery"], name="delivery_lane_once")]

    def __str__(self) -> str:
        return self.key


class Attempt(models.Model):
    """One try, written when it began; ``outcome`` stays empty when the worker never came back."""

    delivery = models.ForeignKey(Delivery, models.CASCADE, related_name="tries")
    token = models.PositiveIntegerField()
    owner = models.CharField(max_length=100)
    began_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=16, blank=True)  #: delivered, taken, retry, in_doubt, dead
    detail = models.TextField(blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["delivery", "token"], name="attempt_once")]

    def __str__(self) -> str:
        return f"try {self.token} of delivery {self.delivery_id}"
