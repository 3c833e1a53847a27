"""The ear: hears what other processes ring over the broker, for the hands of this one.

Its thread may hang, die or find no broker for weeks: the hands and the poll never wait for it.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterable
from typing import Any, Final

from celery.worker import WorkController, state
from celery.worker.consumer import Consumer as StockConsumer
from django.conf import settings

from gateway import bell
from gateway.celery import app
from gateway.models import DeliveryKind

log = logging.getLogger(__name__)

#: Seconds between two tries to listen at all, e.g. to a broker that refuses our password.
_AGAIN_S: Final = 5.0
_STOP_S: Final = 2.0
_CONSUMER: Final = "celery.worker.consumer"


class Consumer(StockConsumer):
    """Celery's, and nothing of it but listening: no talk among workers, no remote control, no delayed tasks."""

    class Blueprint(StockConsumer.Blueprint):  # type: ignore[valid-type, misc]  # the types have it as a variable
        default_steps = [
            f"{_CONSUMER}.connection:Connection",
            f"{_CONSUMER}.tasks:Tasks",
            f"{_CONSUMER}.consumer:Evloop",
        ]

    def __init__(self, on_task_request: Any, **kwargs: Any) -> None:
        quiet = {"without_mingle": True, "without_gossip": True, "without_heartbeat": True}
        super().__init__(on_task_request, **{**kwargs, "worker_options": {**kwargs.get("worker_options", {}), **quiet}})


class Ear:
    """Start it after any fork, beside a worker. Does nothing where there is no broker outside this process."""

    def __init__(self, kinds: Iterable[DeliveryKind] | None = None) -> None:
        self._queues = [f"{settings.BROKER_PREFIX}.{kind}" for kind in (kinds or DeliveryKind)]
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="ear", daemon=True)

    def start(self) -> None:
        if bell.has_broker():
            app.finalize()
            app.set_default()
            self._thread.start()

    def stop(self) -> None:
        """Listen no more. A broker that does not let go in time is left to the end of the process."""
        self._ending.set()
        if self._thread.is_alive():
            # By the thread that reads the socket: if another closes it, the two wait for each other for minutes.
            state.should_stop = os.EX_OK  # type: ignore[assignment]  # the types know its first value only
            self._thread.join(_STOP_S)
            if not self._thread.is_alive():
                state.should_stop = None

    def _listen(self) -> None:
        while not self._ending.is_set():
            try:
                _Controller(
                    app=app, hostname=f"ear@{os.getpid()}", pool_cls="solo", concurrency=1, queues=self._queues
                ).start()
            except Exception:  # the outer edge of this thread
                log.exception("the ear fell off; listening again in %g s", _AGAIN_S)
            self._ending.wait(_AGAIN_S)


class _Controller(WorkController):
    only_listens = True

    def on_consumer_ready(self, consumer: Any) -> None:
        log.info("listening to the broker")
        if self.use_eventloop:  # type: ignore[attr-defined]  # set when its pool and broker are known
            # It looks up only when something happens: every second something does, so that a stop is noticed.
            self.timer.call_repeatedly(1.0, lambda: None)  # type: ignore[union-attr]  # set by then
