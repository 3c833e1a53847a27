"""The audit trail: what happened, in order; rows are added, sealed in batches and never changed."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from gateway.models.fields import StorableJSONField
from partners.models import SealedSecret


class Event(models.Model):
    """One business event. The timeline of an order is the events that name it."""

    at = models.DateTimeField(default=timezone.now, db_index=True)
    name = models.CharField(max_length=48)  #: a key of events.EVENTS
    correlation_id = models.UUIDField(null=True, db_index=True)
    actor = models.CharField(max_length=150, blank=True)
    partner = models.ForeignKey(
        "partners.TradingPartner", models.PROTECT, db_index=False, null=True, related_name="+"
    )  #: no index: nothing asks for a partner's events, and every event would pay for it
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


class UnsealedEvent(models.Model):
    """An event that is in no batch yet. A trigger of the database adds it with the event, the sealer takes it away.

    Ids are given before a transaction commits, so "all up to this id" would miss what commits late; these rows miss nothing.
    """

    event_id = models.BigIntegerField(primary_key=True)

    def __str__(self) -> str:
        return f"event {self.event_id}"


class AuditBatch(models.Model):
    """Committed events chained into the audit trail: one link of the hash chain."""

    sequence = models.BigIntegerField(primary_key=True)  #: 1, 2, 3 …, no gap
    previous = models.CharField(max_length=64)  #: digest of the batch before; of the first 64 zeros
    #: For each event its id (8 bytes, big-endian) and its SHA-256 (32 bytes), in ascending order of id.
    leaves = models.BinaryField()
    events = models.PositiveIntegerField()
    first_event = models.BigIntegerField()  #: lowest id among the leaves; where it is looked for
    last_event = models.BigIntegerField()  #: highest id among the leaves
    #: SHA-256, hex, over sequence, previous, leaves and the moment, see ``gateway/audit/chain.py``.
    digest = models.CharField(max_length=64, unique=True)
    sealed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name_plural = "audit batches"
        indexes = [models.Index(fields=["last_event"], name="batch_of_event")]

    def __str__(self) -> str:
        return f"batch {self.sequence}, {self.digest[:12]}…"


class AuditKey(SealedSecret):
    """The private key that signs checkpoints, sealed; the public one is in every checkpoint."""

    PURPOSE = "audit key"

    public_key = models.TextField()  #: Ed25519, PEM
    made_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)


class Checkpoint(models.Model):
    """A signed word about the head of the chain; a copy is kept outside the database, so that cutting the chain shows."""

    batch = models.OneToOneField(AuditBatch, models.PROTECT, related_name="checkpoint")
    #: What is signed: sequence and digest of the batch, how many events so far, the moment, the public key (base64, 32 bytes).
    statement = models.JSONField()
    signature = models.TextField()  #: base64, Ed25519 over the statement as canonical JSON
    at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"checkpoint at batch {self.batch_id}"
