"""A Celery worker inside this process: how the gateway runs on one machine without a broker."""

from __future__ import annotations

import os
import threading
from typing import Any, Final

from celery.worker import WorkController, state

from gateway import tasks
from gateway.celery import app

#: Seconds until a worker that has not begun to consume is a fault.
_READY_S: Final = 20
#: Seconds a stop waits for the tasks that run; what is cut off then goes on at the next start.
_STOPPED_S: Final = 15


class EmbeddedWorker:
    """Start once in each serving process, after any fork: threads do not survive one."""

    def __init__(self, concurrency: int = 4) -> None:
        self._ready = threading.Event()
        app.finalize()
        app.set_default()
        ready = self._ready

        class Worker(WorkController):
            # The bare controller sends no worker_ready signal.
            def on_consumer_ready(self, consumer: Any) -> None:
                ready.set()

        self._worker = Worker(
            app=app,
            hostname=f"embedded@{os.getpid()}",
            pool_cls="threads",
            concurrency=concurrency,
            without_heartbeat=True,
            without_mingle=True,
            without_gossip=True,
        )
        self._thread = threading.Thread(target=self._worker.start, name="embedded-worker", daemon=True)

    def start(self) -> None:
        """Raises RuntimeError when the worker does not begin to consume in time."""
        self._thread.start()
        if not self._ready.wait(_READY_S):
            raise RuntimeError(f"the embedded worker did not start within {_READY_S} seconds")

    def stop(self) -> None:
        """Let what is under way end, begin nothing else."""
        # Before anything waits: a task goes on as long as something is due, and Python waits for it at the exit.
        tasks.ending.set()
        if self._worker.use_eventloop:  # type: ignore[attr-defined]  # set when its pool and broker are known
            # A socket to a broker is closed by the thread that reads it: two that do wait for each other for minutes.
            state.should_stop = os.EX_OK  # type: ignore[assignment]  # the types know its first value only
        else:
            self._worker.stop()
        self._thread.join(timeout=_STOPPED_S)
        state.should_stop = None
