"""The one Celery task: a queue's name in, nothing out. It says "look now"; what there is to do is in the rows."""

from __future__ import annotations

from celery import shared_task

from gateway.bell import bell


@shared_task(name="gateway.work")
def work(queue: str) -> None:
    """Wake the hands of this process for one queue. They find the work, and do it, without the broker."""
    bell.hear(queue)
