"""Time passes for what is in the queue, without waiting."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models.functions import Now
from django.utils import timezone

from gateway.models import EntryState, QueueEntry


def make_due(**of: Any) -> None:
    """Whatever waits for its time is due now."""
    waiting = QueueEntry.objects.filter(state__in=[EntryState.PENDING, EntryState.IN_DOUBT], **of)
    waiting.update(due_at=Now() - timedelta(seconds=1))


def lease_runs_out(**of: Any) -> None:
    """Whatever a worker holds is claimable again."""
    QueueEntry.objects.filter(state=EntryState.SENDING, **of).update(due_at=Now() - timedelta(seconds=1))


def due_in(**of: Any) -> timedelta:
    """How long until what waits is due."""
    due_at = QueueEntry.objects.get(**of).due_at
    assert due_at is not None
    return due_at - timezone.now()
