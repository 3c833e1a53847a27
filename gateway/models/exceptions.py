"""Exception cases: what a person must decide, whose it is, until when, and what became of it."""

from __future__ import annotations

import uuid
from enum import StrEnum
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone

from gateway.models.fields import StorableJSONField
from gateway.models.seals import seal_of


class CaseState(StrEnum):
    OPEN = "open"
    RESOLVED = "resolved"


class ExceptionCase(models.Model):
    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    reason = models.CharField(max_length=40, db_index=True)  #: a key of exception_queue.REASONS
    state = models.CharField(max_length=16, default=CaseState.OPEN.value)
    summary = models.CharField(max_length=255)
    #: What the decision needs: findings, and per line both sides (ordered | answered).
    detail = StorableJSONField(default=dict)
    fingerprint = models.CharField(max_length=200)  #: the same trouble again counts up instead of opening a second case
    occurrences = models.PositiveIntegerField(default=1)
    team = models.CharField(max_length=40)  #: who answers for it until a person takes it
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="cases")
    partner = models.ForeignKey("partners.TradingPartner", models.PROTECT, null=True, related_name="cases")
    order = models.ForeignKey("gateway.Order", models.PROTECT, null=True, related_name="cases")
    document = models.ForeignKey("gateway.Document", models.PROTECT, null=True, related_name="cases")
    transmission = models.ForeignKey("gateway.Transmission", models.PROTECT, null=True, related_name="cases")
    delivery = models.ForeignKey("gateway.Delivery", models.PROTECT, null=True, related_name="cases")
    opened_at = models.DateTimeField(default=timezone.now)
    due_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True)
    resolution = models.CharField(max_length=24, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["fingerprint"], condition=models.Q(state="open"), name="case_open_once")
        ]
        indexes = [models.Index(fields=["state", "due_at"], name="case_due")]

    def __str__(self) -> str:
        return f"case {self.pk}: {self.summary}"


class CaseEntry(models.Model):
    """One line of a case's history; only ever added."""

    case = models.ForeignKey(ExceptionCase, models.CASCADE, related_name="history")
    at = models.DateTimeField(default=timezone.now)
    actor = models.CharField(max_length=150)
    action = models.CharField(max_length=24)
    note = models.TextField(blank=True)

    SEALED: ClassVar = ("id", "case_id", "at", "actor", "action", "note")

    class Meta:
        ordering = ["id"]
        verbose_name_plural = "case entries"

    def __str__(self) -> str:
        return f"{self.action} by {self.actor}"

    def seal(self) -> str:
        """The seal the audit trail notes with what it is about; repetitions of a case have none."""
        return seal_of(self, self.SEALED)
