"""The Celery application, and the poll every worker brings along.

A wake-up through the broker is a courtesy. Each worker looks for due rows by itself every few seconds, so a broker that is
gone, flushed or half-open costs one interval and nothing else, and there is no scheduler to lose.
"""

from __future__ import annotations

import logging
import os
import random
import threading
from typing import Any

from celery import Celery, bootsteps

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")

log = logging.getLogger(__name__)


class Poll(bootsteps.StartStopStep):
    """A thread of the worker that runs ``gateway.tasks.sweep`` every ``settings.POLL_S`` seconds, with jitter."""

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="poll", daemon=True)

    def start(self, parent: Any) -> None:
        from gateway import tasks

        tasks.ending.clear()
        if parent.use_eventloop:
            # A loop that waits for its broker looks up only when something happens: every second something does, so that
            # a stop is noticed.
            parent.timer.call_repeatedly(1.0, lambda: None)
        self._thread.start()

    def stop(self, parent: Any) -> None:
        from gateway import tasks

        tasks.ending.set()
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    terminate = stop

    def _run(self) -> None:
        from django.conf import settings

        from gateway.tasks import sweep

        pause_s = 0.0  # the first look is at once: what a crash left behind need not wait
        while not self._stop.wait(pause_s):
            pause_s = settings.POLL_S * random.uniform(0.8, 1.2)  # noqa: S311  # jitter, not a secret
            try:
                sweep()
            except Exception:  # the outer edge of this thread: a database that is away comes back
                log.exception("poll failed; looking again in %.1f s", pause_s)


app = Celery("gateway")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["gateway"])
app.steps["worker"].add(Poll)
