"""The bell: after a commit, tell whoever can work that a queue has work. Losing a ring costs one poll interval.

A ring goes to a free hand of this process, when there is one, and else over the broker to the workers that listen. A thread
of its own speaks to the broker, so that a request is never delayed: the names of queues wait for it in a set, each name once,
and it gives up on a broker that does not answer within a second or two.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from django.conf import settings
from kombu import Connection, Exchange, Queue
from kombu.exceptions import KombuError

from gateway import metrics, outbox
from gateway.celery import app
from gateway.models import DeliveryKind

log = logging.getLogger(__name__)

#: Seconds until a broker that accepts no connection, or does not answer on one, is given up.
_CONNECT_S: Final = 1.0
_ANSWER_S: Final = 2.0
#: Seconds between two rings of the same queue: whoever heard the first is looking already.
_REST_S: Final = 0.2
#: Seconds without a try after one failed.
_QUIET_S: Final = 5.0
#: Rings in one queue of the broker, beyond which more of them tell nobody anything.
_ENOUGH: Final = 50
#: A ring that nobody heard for so long is worth nothing: every worker has polled since.
_TTL_S: Final = 60
#: Rings for one queue that a process with busy hands passes on are so many seconds apart.
_PASS_ON_S: Final = 0.2

#: Whether a free hand of this process takes work of a queue; set by the worker that runs in this process.
Listener = Callable[[DeliveryKind], bool]


class Bell:
    """One for each process."""

    def __init__(self) -> None:
        self._listener: Listener | None = None
        self._names: set[str] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._quiet_until = 0.0
        self._passed_on: dict[DeliveryKind, float] = {}

    def listen(self, listener: Listener | None) -> None:
        """Ask ``listener`` first from now on; None: this process has no hands any more."""
        self._listener = listener

    def ring(self, queue: str) -> None:
        """Say that ``queue`` has work. Never waits, never raises."""
        if not self.hear(queue):
            self.publish(queue)

    def hear(self, queue: str) -> bool:
        """A ring reached this process; True when a hand of it is free to come."""
        return self._listener is not None and self._listener(DeliveryKind(queue))

    def pass_on(self, kind: DeliveryKind) -> None:
        """All hands here are full and ``kind`` has more work: other workers may want it."""
        now = time.monotonic()
        if now - self._passed_on.get(kind, 0.0) >= _PASS_ON_S:
            self._passed_on[kind] = now
            self.publish(kind)

    def publish(self, queue: str) -> None:
        """Ring over the broker, soon, when there is one."""
        if has_broker():
            with self._changed:
                if time.monotonic() < self._quiet_until:
                    metrics.WAKEUPS_LOST.inc()
                    return
                self._names.add(queue)
                if self._thread is None or not self._thread.is_alive():
                    self._thread = threading.Thread(target=self._speak, name="bell", daemon=True)
                    self._thread.start()
                self._changed.notify()

    def _speak(self) -> None:
        connection: Connection | None = None
        while True:
            with self._changed:
                while not self._names:
                    self._changed.wait()
                names, self._names = sorted(self._names), set()
            try:
                connection = connection or _connect()
                while names:
                    _publish(connection, names[-1])
                    names.pop()
                time.sleep(_REST_S)  # reviewed sleep: the thread that rings, and nobody waits for it
            except Exception as error:  # noqa: BLE001  # whatever a broker does, rings are all that is lost; it is logged
                if connection is not None:
                    _drop(connection)
                    connection = None
                self._give_up(len(names), error)

    def _give_up(self, count: int, error: Exception) -> None:
        with self._changed:
            metrics.WAKEUPS_LOST.inc(count + len(self._names))
            self._names.clear()
            self._quiet_until = time.monotonic() + _QUIET_S
        log.warning(
            "The broker was not reached (%s: %s); work is found by the poll, every %g s.",
            type(error).__name__,
            error,
            settings.POLL_S,
            exc_info=None if isinstance(error, KombuError | OSError) else error,
        )


def has_broker() -> bool:
    """Whether there is a broker outside this process."""
    return not str(settings.CELERY_BROKER_URL).startswith("memory:")


def queue_of(kind: DeliveryKind, *, told: Callable[[str, int, int], None] | None = None) -> Queue:
    """The broker's queue for one kind; ``told(name, waiting, listeners)`` after it was declared.

    On RabbitMQ a quorum queue. There, and wherever else the broker can, what waits too long or is too much goes by itself.
    """
    name = f"{settings.BROKER_PREFIX}.{kind}"
    arguments = {
        "x-queue-type": "quorum",
        "x-overflow": "drop-head",
        "x-max-length": _ENOUGH,
        "x-message-ttl": _TTL_S * 1000,
    }
    return Queue(name, Exchange(""), routing_key=name, queue_arguments=arguments, on_declared=told)


def set_up() -> None:
    """Tell Celery of the queues, and have every commit that makes work ring."""
    app.conf.task_queues = [queue_of(kind) for kind in DeliveryKind]
    outbox.on_due(lambda queue: bell.ring(queue))


def _connect() -> Connection:
    """Raises what the transport does when nobody answers in time."""
    connection: Connection = app.connection_for_write(
        connect_timeout=_CONNECT_S,
        transport_options={"socket_connect_timeout": _CONNECT_S, "socket_timeout": _ANSWER_S},
    )
    connection.ensure_connection(max_retries=0)
    if connection.transport.driver_type == "amqp":
        # Else a broker that stands still is waited for until the system gives up, which takes many minutes.
        connection.connection.sock.settimeout(_ANSWER_S)
    return connection


def _publish(connection: Connection, name: str) -> None:
    waiting = 0

    def told(queue: str, messages: int, listeners: int) -> None:
        nonlocal waiting
        waiting = messages

    # Declared each time: it is there after a flush too, its answer proves that somebody is there, and says what waits.
    queue_of(DeliveryKind(name), told=told)(connection.default_channel).declare()
    if waiting < _ENOUGH:
        with app.amqp.Producer(connection.default_channel) as producer:
            app.send_task(
                "gateway.work",
                args=(name,),
                queue=f"{settings.BROKER_PREFIX}.{name}",
                producer=producer,
                retry=False,
                ignore_result=True,
            )


def _drop(connection: Connection) -> None:
    """Close without a word to a broker that may not answer it."""
    try:
        connection.collect(socket_timeout=_CONNECT_S)
    except Exception:  # half of it may be closed already; what is left goes with the object
        log.debug("the connection to the broker could not be closed", exc_info=True)


bell = Bell()


def _after_fork() -> None:
    """Threads and held locks do not survive a fork: the child has a bell of its own."""
    fresh: dict[str, Any] = Bell().__dict__
    bell.__dict__.update(fresh)


os.register_at_fork(after_in_child=_after_fork)
