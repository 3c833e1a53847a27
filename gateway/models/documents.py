"""One business document each, as translated, with what was wrong with it and where it stands."""

from __future__ import annotations

import uuid
from enum import StrEnum
from typing import ClassVar

from django.db import models
from django.utils import timezone

from gateway.models.fields import StorableJSONField
from gateway.models.seals import seal_of


class DocumentState(StrEnum):
    RECEIVED = "received"
    TRANSLATED = "translated"  #: canonical record made, verdict known
    PARKED = "parked"  #: waits for its order, with a deadline
    APPLIED = "applied"  #: checked against the order book, its effects are in it
    RELAYED = "relayed"  #: where it was going has it
    HELD = "held"  #: a person must decide
    REJECTED = "rejected"  #: broke its guide or terms; the partner was told
    DISCARDED = "discarded"  #: a person decided against it
    REPLAYED = "replayed"  #: a person had it read anew; the successor goes on


class Document(models.Model):
    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    correlation_id = models.UUIDField(default=uuid.uuid4, db_index=True)
    direction = models.CharField(max_length=8)
    channel = models.CharField(max_length=16)
    partner = models.ForeignKey("partners.TradingPartner", models.PROTECT, db_index=False, related_name="documents")
    transmission = models.ForeignKey("gateway.Transmission", models.PROTECT, null=True, related_name="documents")
    interchange = models.ForeignKey("gateway.Interchange", models.PROTECT, null=True, related_name="documents")
    order = models.ForeignKey("gateway.Order", models.PROTECT, null=True, related_name="documents")
    successor_of = models.ForeignKey("self", models.PROTECT, null=True, related_name="successors")
    state = models.CharField(max_length=16, default=DocumentState.RECEIVED.value)
    type = models.CharField(max_length=32)  #: canonical type, "functional_acknowledgment", or "" when unreadable
    format = models.CharField(max_length=16)
    code = models.CharField(max_length=8, blank=True)  #: X12 transaction set
    version = models.CharField(max_length=16, blank=True)
    position = models.PositiveIntegerField(default=0)  #: in its transmission
    group_code = models.CharField(max_length=4, blank=True)  #: GS01
    group_control = models.CharField(max_length=20, blank=True)
    set_control = models.CharField(max_length=20, blank=True)
    number = models.CharField(max_length=64, blank=True, db_index=True)  #: order number, or shipment number
    order_revision = models.PositiveIntegerField(null=True)
    record = StorableJSONField(null=True)
    findings = StorableJSONField(default=list)
    verdict = models.CharField(max_length=24, blank=True)
    parked_until = models.DateTimeField(null=True)
    approved_by = models.CharField(max_length=150, blank=True)  #: who accepted the differences that held it
    #: What the partner's functional acknowledgment said about a document of ours: "", accepted, accepted_with_errors, rejected.
    acknowledged = models.CharField(max_length=24, blank=True)
    at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        indexes = [
            models.Index(fields=["partner", "direction", "group_control", "set_control"], name="document_controls"),
            models.Index(fields=["state", "parked_until"], name="document_parked"),
            models.Index(fields=["partner", "at"], name="document_of_partner"),
        ]

    #: What was said, by whom and where it came or went. Whoever changes one of these notes the seal anew.
    SEALED: ClassVar = (
        "uid",
        "correlation_id",
        "direction",
        "channel",
        "partner_id",
        "transmission_id",
        "interchange_id",
        "successor_of_id",
        "type",
        "format",
        "code",
        "version",
        "position",
        "group_code",
        "group_control",
        "set_control",
        "number",
        "order_revision",
        "record",
        "findings",
        "verdict",
        "approved_by",
        "at",
    )

    def __str__(self) -> str:
        return f"{self.code or self.type} {self.number} (document {self.pk})"

    def seal(self) -> str:
        """The seal the audit trail notes with every state, and when it is written for its partner."""
        return seal_of(self, self.SEALED)
