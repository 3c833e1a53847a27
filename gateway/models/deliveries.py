"""The outbox: one row hands one thing to one consumer (translator, order book, ERP or partner), and stays as its record."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from django.db import models
from django.utils import timezone

from gateway.models.seals import seal_of


class DeliveryKind(StrEnum):
    """The consumer. Also the name of the queue."""

    TRANSLATE = "translate"  #: a stored transmission, to documents
    APPLY = "apply"  #: a translated document, to the order book
    ERP = "erp"  #: an applied document, to the ERP
    PARTNER = "partner"  #: a prepared transmission, to the partner
    RECEIPT = "receipt"  #: an asynchronous MDN, to the partner
    TIMER = "timer"  #: the next turn of something that is done again and again


class DeliveryState(StrEnum):
    OPEN = "open"  #: where it stands is its ``entry`` in the queue
    DELIVERED = "delivered"
    DEAD = "dead"  #: given up; blocks its own lanes until a person acts
    CANCELLED = "cancelled"  #: a person closed it


class Delivery(models.Model):
    key = models.CharField(max_length=255, unique=True)  #: idempotency key, made with the work, never when it is sent
    kind = models.CharField(max_length=16)
    state = models.CharField(max_length=16, default=DeliveryState.OPEN.value)
    transmission = models.ForeignKey("gateway.Transmission", models.PROTECT, null=True, related_name="deliveries")
    document = models.ForeignKey("gateway.Document", models.PROTECT, null=True, related_name="deliveries")
    partner = models.ForeignKey("partners.TradingPartner", models.PROTECT, null=True, related_name="+")
    connection = models.ForeignKey("gateway.ErpConnection", models.PROTECT, null=True, related_name="+")
    company = models.CharField(
        max_length=32, blank=True
    )  #: for the ERP: whose orders of the document this one is about
    attempts = models.PositiveIntegerField(default=0)  #: tries that were charged, known when it is over
    last_error = models.TextField(blank=True)
    result = models.CharField(max_length=255, blank=True)  #: the consumer's own reference
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)

    #: What was handed to whom under which key, and the reference the consumer gave for it.
    SEALED: ClassVar = (
        "key",
        "kind",
        "transmission_id",
        "document_id",
        "partner_id",
        "connection_id",
        "company",
        "result",
        "created_at",
    )

    class Meta:
        verbose_name_plural = "deliveries"

    def __str__(self) -> str:
        return f"{self.kind} delivery {self.pk}"

    def seal(self) -> str:
        """The seal the audit trail notes with every state."""
        return seal_of(self, self.SEALED)

    @property
    def standing(self) -> str:
        """Where it stands, for people: its state, or while it is open that of its entry in the queue."""
        if self.state != DeliveryState.OPEN:
            return self.state
        entry = getattr(self, "entry", None)
        return entry.state if entry is not None else self.state
