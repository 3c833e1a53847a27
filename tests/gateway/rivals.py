"""Another worker, for tests of who may have what."""

from __future__ import annotations

import threading

from django.db import OperationalError, connection

from gateway import outbox
from gateway.models import DeliveryKind


def rival_claim(kind: DeliveryKind) -> outbox.Claim | None:
    """What a worker with a connection of its own gets at this moment, without waiting for anybody."""
    found: list[outbox.Claim | None] = []

    def look() -> None:
        if connection.vendor == "sqlite":
            connection.cursor().execute("PRAGMA busy_timeout = 0")
        try:
            found.append(outbox.claim(kind, "rival"))
        except OperationalError:  # SQLite: somebody else writes
            found.append(None)
        connection.close()

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    return found[0]
