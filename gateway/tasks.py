"""Celery tasks: queue names in, nothing out. They say "look now"; what there is to do is in the rows."""

from __future__ import annotations

import logging
import os
import threading
from typing import Final

from celery import shared_task
from django.db import close_old_connections
from django.utils import timezone
from kombu.exceptions import KombuError

from gateway import outbox
from gateway.models import DeliveryKind
from gateway.pipeline import escalate, relay, release

log = logging.getLogger(__name__)

#: Set while this process ends: what is under way is finished, nothing else is begun.
ending: Final = threading.Event()


@shared_task(name="gateway.work")
def work(queue: str) -> None:
    """Handle what is due in one queue."""
    close_old_connections()
    relay.work(DeliveryKind(queue), owner(), is_ending=ending.is_set)


@shared_task(name="gateway.sweep")
def sweep() -> None:
    """Look for what is due without having been rung for: retries, expired leases, deadlines, changes in the ERP."""
    close_old_connections()
    now = timezone.now()
    release.poll_all(now=now)
    escalate.sweep(now=now)
    for kind in outbox.due_kinds():
        relay.work(kind, owner(), is_ending=ending.is_set)


def ring(queue: str) -> None:
    """Tell a worker that ``queue`` has work. Best effort: the rows are found by the next poll anyway."""
    try:
        work.apply_async(args=(queue,), retry=False, ignore_result=True)
    except (KombuError, OSError) as error:  # the broker is allowed to be gone
        log.warning("queue=%s broker not reached: %s", queue, error)


def owner() -> str:
    """Who holds a claim: this process and thread."""
    return f"{os.uname().nodename}:{os.getpid()}:{threading.get_ident()}"[:100]


outbox.on_due(ring)
