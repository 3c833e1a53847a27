"""What may leave the tables, and what must not: archives by month, and legal holds."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone


class LegalHold(models.Model):
    """Nothing of this partner, or of this order, is archived while the hold lasts, whatever the retention says."""

    partner = models.ForeignKey("partners.TradingPartner", models.PROTECT, null=True, blank=True, related_name="+")
    order = models.ForeignKey("gateway.Order", models.PROTECT, null=True, blank=True, related_name="+")
    reason = models.TextField(help_text="Why, and who may end it, e.g. the file number of the dispute.")
    placed_by = models.CharField(max_length=150, editable=False)
    placed_at = models.DateTimeField(default=timezone.now, editable=False)
    ended_by = models.CharField(max_length=150, blank=True, editable=False)
    ended_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(partner__isnull=False, order__isnull=True) | Q(partner__isnull=True, order__isnull=False),
                name="hold_on_one_thing",
                violation_error_message="Hold either a partner or an order.",
            )
        ]

    def __str__(self) -> str:
        return f"hold on {self.order or self.partner}"


class Archive(models.Model):
    """One file of finished work that left the tables: a partner's exchanges of one month, with their bytes."""

    partner = models.ForeignKey("partners.TradingPartner", models.PROTECT, related_name="+")
    month = models.DateField()  #: its first day
    part = models.PositiveIntegerField(default=1)  #: of that partner and month; what was held goes into a later one
    sha256 = models.CharField(max_length=64)  #: of the file, in the blob store
    size_bytes = models.PositiveBigIntegerField()
    rows = models.JSONField(default=dict)  #: model → how many
    events = models.BinaryField()  #: ids of the audit events in it, 8 bytes each, ascending
    made_at = models.DateTimeField(default=timezone.now)
    restored_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["partner", "month", "part"], name="archive_once")]

    def __str__(self) -> str:
        return f"archive of {self.partner_id}, {self.month:%Y-%m}, part {self.part}"


class ArchivedRow(models.Model):
    """What stays of a row that left: enough to know it again when it is repeated, and to say which archive has it."""

    archive = models.ForeignKey(Archive, models.PROTECT, related_name="left")
    model = models.CharField(max_length=16)  #: "transmission", "interchange", "document", "exceptioncase" or "order"
    row_id = models.BigIntegerField()  #: its primary key
    uid = models.UUIDField(null=True)
    order_id = models.BigIntegerField(null=True)  #: of a document, the order it was about
    #: SHA-256, hex, of what must not come twice, see ``archives/traces.py``; null: it may.
    key = models.CharField(max_length=64, null=True)
    content = models.CharField(max_length=64, blank=True)  #: SHA-256, hex, of what it said under that key
    facts = models.JSONField(null=True)  #: of a message, what its repeat is compared with and how it was answered
    answer = models.ForeignKey("gateway.Blob", models.PROTECT, null=True, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["model", "row_id"], name="archived_row_once")]
        indexes = [
            models.Index(fields=["key"], condition=Q(key__isnull=False), name="archived_row_key"),
            models.Index(fields=["uid"], condition=Q(uid__isnull=False), name="archived_row_uid"),
            models.Index(fields=["order_id"], condition=Q(order_id__isnull=False), name="archived_row_order"),
        ]

    def __str__(self) -> str:
        return f"{self.model} {self.row_id}, archived"


class ArchivingNow(models.Model):
    """There only inside the transaction that archives: the database lets events be deleted while it sees such a row."""

    def __str__(self) -> str:
        return "archiving"
