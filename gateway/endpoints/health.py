"""Health: does the process live (/healthz), and can it do its work (/readyz).

/readyz says of each part whether it is as it should be, and why not; it is ready as long as what comes in can be kept. That no
worker is heard of is told and is the operator's alarm: what comes in waits for one, and suppliers need not be sent away. Strangers may ask, so it names no address and no error's
words, and however often it is asked the parts are looked at once in five seconds, by one thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from django.db import Error as DatabaseError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from gateway import blob_store, heartbeats
from gateway.models import Heartbeat
from partners.keystore import KeystoreError
from partners.models import secret

#: Seconds for which a verdict holds.
HOLDS_S: Final = 5.0
#: Seconds for which it is given while a new one is being worked out: a database that hangs must not hold every thread.
_STILL_GIVEN_S: Final = 60.0


class NotReady(Exception):
    """A part is not as it should be; the words are for anybody."""


@never_cache
@require_safe
def alive(request: HttpRequest) -> JsonResponse:
    """GET /healthz: 200 as long as the process answers at all; it asks nobody else."""
    return JsonResponse({"status": "alive"})


@never_cache
@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """GET /readyz: 200 when what comes in can be kept, else 503; each part with ``ok`` or the reason."""
    parts = READINESS.parts()
    if all(reason == OK for part, reason in parts.items() if part != _WORKERS):
        return JsonResponse({"status": "ready", "parts": parts})
    return JsonResponse({"status": "not ready", "parts": parts}, status=503)


OK: Final = "ok"
_WORKERS: Final = "workers"


@dataclass(frozen=True, slots=True)
class _Verdict:
    parts: Mapping[str, str]
    at: float


class Readiness:
    """The parts of this process's readiness, looked at now and then."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._looking = threading.Lock()
        self._last: _Verdict | None = None
        self._migrated = False

    def forget(self) -> None:
        """Look anew the next time."""
        self._last, self._migrated = None, False

    def parts(self) -> Mapping[str, str]:
        """By part, ``ok`` or why it is not."""
        last = self._last
        if last is not None and self._clock() - last.at < HOLDS_S:
            return last.parts
        if not self._looking.acquire(blocking=False):
            if last is not None and self._clock() - last.at < _STILL_GIVEN_S:
                return last.parts
            return {"database": "it has not answered for a while"}
        try:
            found = {name: _reason(look) for name, look in self._looks().items()}
            self._last = _Verdict(found, self._clock())
        finally:
            self._looking.release()
        return found

    def _looks(self) -> dict[str, Callable[[], None]]:
        return {
            "database": _database,
            "migrations": self._migrations,
            "keystore": secret.verify,
            "blob_store": _blob_store,
            _WORKERS: _workers,
        }

    def _migrations(self) -> None:
        if self._migrated:
            return  # nobody takes migrations back under a process that runs
        executor = MigrationExecutor(connection)
        if missing := executor.migration_plan(executor.loader.graph.leaf_nodes()):
            raise NotReady(f"{len(missing)} are not applied; run “manage.py migrate”")
        self._migrated = True


READINESS: Final = Readiness()


def _reason(look: Callable[[], None]) -> str:
    try:
        look()
    except NotReady as error:
        return str(error)
    except KeystoreError:
        return "a secret does not open with the configured key; “manage.py doctor” says which"
    except (DatabaseError, blob_store.StoreError) as error:
        return f"it cannot be used ({type(error).__name__})"
    return OK


def _database() -> None:
    connection.ensure_connection()
    Heartbeat.objects.exists()


def _blob_store() -> None:
    blob_store.store().probe()


def _workers() -> None:
    """Where there have been workers, one of them must be alive; a set-up that never had one is not judged by that."""
    workers = [one for one in heartbeats.all_beats() if one.loop == "worker"]
    if workers and all(one.silent for one in workers):
        raise NotReady("none has been heard of lately; what comes in is kept, and waits")
