"""The hot rows: what is not over yet, narrow and apart from history. A finished delivery has none of them."""

from __future__ import annotations

from enum import StrEnum

from django.db import models
from django.utils import timezone


class EntryState(StrEnum):
    PENDING = "pending"
    SENDING = "sending"  #: claimed, until ``due_at``
    IN_DOUBT = "in_doubt"  #: sent, no usable answer: looked up before it is sent again
    DEAD = "dead"  #: given up; blocks its own lanes until a person acts


class QueueEntry(models.Model):
    """Where one open delivery stands in its queue."""

    delivery = models.OneToOneField("gateway.Delivery", models.CASCADE, primary_key=True, related_name="entry")
    kind = models.CharField(max_length=16)  #: DeliveryKind, as its delivery's: the name of the queue
    #: The system outside that it goes to, e.g. ``erp:3`` or ``as2:17``, see ``breakers.py``; empty: it stays inside.
    remote = models.CharField(max_length=32, blank=True)
    state = models.CharField(max_length=16, default=EntryState.PENDING.value)
    #: Claimable from this moment on, by the database's clock. Of a claimed one that is the end of its lease: nobody has to
    #: rescue anything. Null: a dead letter, or one that waits for its lane.
    due_at = models.DateTimeField(null=True, default=timezone.now)
    #: Set aside: until ``due_at`` at the latest, for its remote; without one, for those before it in its lanes.
    waits = models.BooleanField(default=False)
    token = models.PositiveIntegerField(default=0)  #: fencing: an ending with an older token changes nothing
    owner = models.CharField(max_length=100, blank=True)
    claimed_at = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    crashes = models.PositiveIntegerField(default=0)  #: tries in a row that ended without a word
    doubtful = models.BooleanField(default=False)  #: an earlier try may have had its effect

    class Meta:
        verbose_name_plural = "queue entries"
        indexes = [
            models.Index(
                fields=["kind", "due_at", "delivery"], condition=models.Q(due_at__isnull=False), name="entry_due"
            ),
            models.Index(fields=["remote"], condition=models.Q(state="sending"), name="entry_sending"),
            models.Index(fields=["delivery"], condition=models.Q(state="dead"), name="entry_dead"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} entry of delivery {self.delivery_id}"


class QueueLane(models.Model):
    """Entries that share a lane, all of one kind, are handed over one at a time, oldest first."""

    entry = models.ForeignKey(QueueEntry, models.CASCADE, related_name="lanes")
    key = models.CharField(max_length=200)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["key", "entry"], name="queue_lane_once")]

    def __str__(self) -> str:
        return self.key


class Breaker(models.Model):
    """How one system outside has been answering: all processes that speak to it read and write this row.

    Its row is written by failures and by the successes soon after them; while all is well it is not touched.
    """

    remote = models.CharField(max_length=32, primary_key=True)  #: as in QueueEntry
    failures = models.PositiveIntegerField(default=0)  #: in a row
    recent = models.PositiveIntegerField(default=0)  #: the last 20 calls, newest in the lowest bit; 1 is a failure
    #: Null: closed, calls go out. Else nothing is sent, but for one probe when this moment has come.
    open_until = models.DateTimeField(null=True)
    opened_at = models.DateTimeField(null=True)  #: null exactly when ``open_until`` is
    closed_at = models.DateTimeField(
        null=True
    )  #: the last time; one that opens again soon after goes on with its pauses
    pause_s = models.FloatField(
        default=0
    )  #: the last one, before jitter and the remote's own wish; the next is twice that
    good_probes = models.PositiveSmallIntegerField(default=0)  #: in a row, while open
    next_retry_at = models.DateTimeField(null=True)  #: retries are budgeted: not before this moment
    last_error = models.TextField(blank=True)
    changed_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.remote


class Heartbeat(models.Model):
    """One loop of one process that says it is alive; rows of processes that ended are deleted by them, or later."""

    name = models.CharField(max_length=150, primary_key=True)  #: what loop, host and process
    loop = models.CharField(max_length=32)  #: "web", "worker", …
    version = models.CharField(max_length=32, blank=True)
    started_at = models.DateTimeField(default=timezone.now)
    at = models.DateTimeField(default=timezone.now)
    every_s = models.FloatField()  #: its interval: older than three of them is not alive
    detail = models.JSONField(default=dict)  #: counts and ids, for the operator

    def __str__(self) -> str:
        return self.name
