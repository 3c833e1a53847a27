"""The order book's rows: what was ordered, promised and shipped, revision by revision."""

from __future__ import annotations

import uuid
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar, Final

from django.db import models, transaction
from django.utils import timezone

from gateway import statements
from gateway.models.seals import seal_of
from partners.models import SealedSecret


class OrderState(StrEnum):
    OPEN = "open"
    CANCELLED = "cancelled"
    CLOSED = "closed"


class ErpConnection(models.Model):
    """One ERP we are connected to."""

    code = models.SlugField(max_length=32, unique=True, help_text="Short name, part of every idempotency key.")
    adapter = models.CharField(
        max_length=32, default="rest_json", help_text="Which adapter of gateway/erp speaks to it."
    )
    base_url = models.URLField(
        max_length=255, help_text="Where its interface answers, e.g. https://erp.example/gateway"
    )
    active = models.BooleanField(default=True, help_text="Untick to stop reading from it and writing to it.")
    #: Set when the ERP refused our credentials: nothing is sent until a person clears it, tries could lock the account.
    blocked_reason = models.TextField(blank=True)
    polled_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = "ERP connection"

    def __str__(self) -> str:
        return self.code

    def set_token(self, token: str) -> None:
        """Keep the bearer token the ERP gave us, sealed; the connection must be saved already."""
        secret = ErpToken(connection=self)
        secret.seal(token.encode())
        with transaction.atomic():
            ErpToken.objects.filter(connection=self).delete()
            secret.save()  # a row of its own, so that ``sealed_at`` says since when we have it

    def token(self) -> str:
        """The bearer token. Raises ErpToken.DoesNotExist when none was entered, KeystoreError when it does not open."""
        token = _TOKEN.first(connection=self.pk)
        if token is None:
            raise ErpToken.DoesNotExist(f"{self} has no token")
        return token.reveal().decode()


class ErpToken(SealedSecret):
    """The bearer token of one ERP connection, sealed."""

    PURPOSE = "ERP token"

    connection = models.OneToOneField(ErpConnection, models.CASCADE, related_name="+", editable=False)


_TOKEN: Final = statements.Query(lambda: ErpToken.objects.filter(connection_id=statements.Given("connection")))


class Order(models.Model):
    """One purchase order. Its key is (connection, company, number)."""

    #: What suppliers' systems call it: several companies may have an order of the same number.
    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    connection = models.ForeignKey(ErpConnection, models.PROTECT, related_name="orders")
    company = models.CharField(max_length=32)
    number = models.CharField(max_length=64)
    erp_key = models.CharField(max_length=255)
    partner = models.ForeignKey("partners.TradingPartner", models.PROTECT, db_index=False, related_name="orders")
    state = models.CharField(max_length=16, default=OrderState.OPEN.value)
    revision = models.PositiveIntegerField()
    currency = models.CharField(max_length=3, blank=True)
    released_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(auto_now=True, db_index=True)
    ack_due_at = models.DateTimeField(null=True)  #: when the answer to the current revision is late
    acknowledged_revision = models.PositiveIntegerField(null=True)  #: the newest revision the supplier answered

    #: Its lines, where they were read with it for as long as it is held, see ``order_book.hold_with_lines``.
    held_lines: list[OrderLine] | None = None

    #: What an order is for good; what it says are its revisions.
    SEALED: ClassVar = ("uid", "connection_id", "company", "number", "partner_id", "released_at")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["connection", "company", "number"], name="order_once")]
        indexes = [
            models.Index(fields=["number", "partner"], name="order_by_number"),
            models.Index(fields=["partner", "updated_at"], name="order_of_partner"),
            models.Index(
                fields=["ack_due_at"],
                condition=models.Q(ack_due_at__isnull=False)
                & (models.Q(acknowledged_revision=None) | models.Q(acknowledged_revision__lt=models.F("revision"))),
                name="order_unanswered",
            ),
        ]

    def __str__(self) -> str:
        return f"order {self.number} ({self.company})"

    def seal(self) -> str:
        """The seal the audit trail notes when the order is released."""
        return seal_of(self, self.SEALED)


class OrderRevision(models.Model):
    """The whole order as the ERP released it at one revision; never changed."""

    order = models.ForeignKey(Order, models.PROTECT, related_name="revisions")
    number = models.PositiveIntegerField()
    record = models.JSONField()
    fingerprint = models.CharField(max_length=64)  #: of the buyer-owned fields: an equal one is an echo, not a change
    released_at = models.DateTimeField(default=timezone.now)

    SEALED: ClassVar = ("order_id", "number", "record", "fingerprint", "released_at")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["order", "number"], name="order_revision_once")]

    def __str__(self) -> str:
        return f"revision {self.number} of order {self.order_id}"

    def seal(self) -> str:
        """The seal the audit trail notes when it is kept."""
        return seal_of(self, self.SEALED)


class OrderLine(models.Model):
    """One line as it stands now: ordered by the newest revision, promised by the newest answer, shipped in sum."""

    order = models.ForeignKey(Order, models.PROTECT, related_name="lines")
    line_number = models.CharField(max_length=20)
    description = models.CharField(max_length=255, blank=True)
    product_ids = models.JSONField(default=list)
    unit = models.CharField(max_length=10, blank=True)
    ordered = models.DecimalField(max_digits=20, decimal_places=6)
    unit_price = models.DecimalField(max_digits=20, decimal_places=6, null=True)
    requested_on = models.DateField(null=True)
    deleted = models.BooleanField(default=False)  #: no longer in the newest revision
    answered = models.BooleanField(default=False)  #: the supplier said something about it
    confirmed = models.DecimalField(max_digits=20, decimal_places=6, default=Decimal(0))
    backordered = models.DecimalField(max_digits=20, decimal_places=6, default=Decimal(0))
    refused = models.DecimalField(max_digits=20, decimal_places=6, default=Decimal(0))
    promised_price = models.DecimalField(max_digits=20, decimal_places=6, null=True)
    promised_on = models.DateField(null=True)
    shipped = models.DecimalField(max_digits=20, decimal_places=6, default=Decimal(0))

    class Meta:
        constraints = [models.UniqueConstraint(fields=["order", "line_number"], name="order_line_once")]

    def __str__(self) -> str:
        return f"line {self.line_number} of order {self.order_id}"

    @property
    def open(self) -> Decimal:
        """Still to be shipped: ordered less shipped, never below zero; nothing when the line was deleted."""
        return Decimal(0) if self.deleted else max(self.ordered - self.shipped, Decimal(0))


class Promise(models.Model):
    """One answer of the supplier to one line, as said; the history behind ``OrderLine.confirmed``."""

    line = models.ForeignKey(OrderLine, models.PROTECT, related_name="promises")
    document = models.ForeignKey("gateway.Document", models.PROTECT, related_name="promises")
    position = models.PositiveIntegerField()
    status = models.CharField(max_length=24)
    code = models.CharField(max_length=8, blank=True)
    quantity = models.DecimalField(max_digits=20, decimal_places=6, null=True)
    unit_price = models.DecimalField(max_digits=20, decimal_places=6, null=True)
    on = models.DateField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["document", "line", "position"], name="promise_once")]

    def __str__(self) -> str:
        return f"{self.status} {self.quantity}"


class ShippedQuantity(models.Model):
    """What one ship notice says of one line; ``active`` falls when a newer notice replaces or cancels the shipment."""

    line = models.ForeignKey(OrderLine, models.PROTECT, related_name="shipments")
    document = models.ForeignKey("gateway.Document", models.PROTECT, related_name="shipments")
    position = models.PositiveIntegerField()
    shipment_number = models.CharField(max_length=64, db_index=True)
    quantity = models.DecimalField(max_digits=20, decimal_places=6)
    active = models.BooleanField(default=True)

    class Meta:
        verbose_name_plural = "shipped quantities"
        constraints = [models.UniqueConstraint(fields=["document", "line", "position"], name="shipped_once")]

    def __str__(self) -> str:
        return f"{self.quantity} in {self.shipment_number}"
