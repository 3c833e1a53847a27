"""The Celery application: an alarm clock. What ``celery -A gateway worker`` starts is a worker of ours that Celery rings for.

A wake-up through the broker is a courtesy. The worker looks for due rows by itself every few seconds, so a broker that is gone,
flushed or half-open costs one interval and nothing else, and there is no scheduler to lose.
"""

from __future__ import annotations

import os
from typing import Any, Final

from celery import Celery, bootsteps

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")

_POOLS: Final = ("celery.concurrency.solo", "celery.concurrency.thread")


class Hands(bootsteps.StartStopStep):
    """The worker's own threads, which find and do the work (gateway/worker.py)."""

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self._worker: Any = None
        if self.include_if(parent) and parent.pool_cls.__module__ not in _POOLS:
            raise SystemExit(
                "Use -P solo (the default) or -P threads. A task of ours only wakes the threads that do the work; the "
                "processes of prefork have none, and the green threads of eventlet and gevent would be stopped by them. "
                "More at the same time: GATEWAY_HANDS, or more workers."
            )

    def include_if(self, parent: Any) -> bool:
        """Not in a controller that only listens for a process which has its worker already."""
        return not getattr(parent, "only_listens", False)

    def start(self, parent: Any) -> None:
        from django.core.management import CommandError

        from gateway.doctor import Role, refuse_unfit  # Django is set up by now
        from gateway.models import DeliveryKind
        from gateway.worker import Worker

        try:
            refuse_unfit(Role.WORKER)
        except CommandError as unfit:
            raise SystemExit(str(unfit)) from unfit  # Celery ends with these words instead of a stack
        heard = parent.app.amqp.queues.consume_from  # what -Q leaves
        self._worker = Worker(kinds=[kind for kind in DeliveryKind if any(name.endswith(f".{kind}") for name in heard)])
        if parent.use_eventloop:
            # A loop that waits for its broker looks up only when something happens: every second something does, so that
            # a stop is noticed.
            parent.timer.call_repeatedly(1.0, lambda: None)
        self._worker.start()

    def stop(self, parent: Any) -> None:
        if self._worker is not None:
            self._worker.stop()

    terminate = stop


app = Celery("gateway")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["gateway"])
app.steps["worker"].add(Hands)
