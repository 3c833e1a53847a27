"""What the gateway's rows say when all is over: ``python -m tests.faults.evidence OUT.json``, with the run's environment.

Only facts; ``verdict`` judges them. The bytes of each message are read and hashed anew.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any, Final

import django

#: How a try ends for which its delivery is not to blame: a full disk uses up no schedule.
_WANT_OF_ROOM: Final = re.compile("Full: ")


def collect() -> dict[str, Any]:
    from django.conf import settings
    from django.db.models.functions import Now

    from gateway.blob_store.store import StoreError
    from gateway.models import Blob, Delivery, Document, Event, ExceptionCase, QueueEntry, Transmission

    hashes = {}
    unreadable = []
    for blob in Blob.objects.iterator():
        try:
            hashes[blob.pk] = hashlib.sha256(blob.content).hexdigest()
        except StoreError as error:
            unreadable.append({"sha256": blob.pk, "why": str(error)})
    transmissions = Transmission.objects.select_related("partner").order_by("pk")
    parked = set(Event.objects.filter(name="document.parked").values_list("document__transmission_id", flat=True))
    ends = Event.objects.filter(delivery__isnull=False, name__startswith="delivery.").order_by("pk")
    return {
        "transmissions": [
            {
                "id": row.pk,
                "direction": row.direction,
                "format": row.format,
                "partner": row.partner.code,
                "state": row.state,
                "message_id": row.message_id,
                "payload_sha256": hashes.get(row.payload_id or "", ""),
                "mics": sorted(row.digests.values()),
                "at": row.at.isoformat(),
                "was_parked": row.pk in parked,
            }
            for row in transmissions
        ],
        "documents": list(Document.objects.values("id", "type", "state", "number", "direction", "transmission")),
        "deliveries": [
            {**row, "created_at": row["created_at"].isoformat()}
            for row in Delivery.objects.values(
                "id", "key", "kind", "state", "document", "document__order", "transmission", "created_at"
            )
        ],
        "entries": [
            {"delivery": row.delivery_id, "kind": row.kind, "state": row.state, "crashes": row.crashes}
            for row in QueueEntry.objects.all()
        ],
        "live_leases": QueueEntry.objects.filter(state="sending", due_at__gt=Now()).exclude(kind="timer").count(),
        "cases": list(
            ExceptionCase.objects.filter(state="open").values("id", "reason", "delivery", "document", "transmission")
        ),
        "ends": [
            {
                "id": row.pk,
                "delivery": row.delivery_id,
                "name": row.name,
                "token": row.data.get("token"),
                "charged": not _WANT_OF_ROOM.match(str(row.data.get("detail", ""))),
            }
            for row in ends
        ],
        "unreadable_blobs": unreadable,
        "tries": {kind: len(schedule) + 1 for kind, schedule in settings.RETRY_SCHEDULE_MIN.items()},
        "poison_after": settings.POISON_AFTER,
    }


def verified() -> dict[str, str]:
    """What the gateway's own commands find wrong with its audit trail and its bytes; empty: nothing."""
    from django.test import override_settings

    with override_settings(BLOB_GRACE=timedelta()):  # nothing runs any more: what no row names is left over
        return {
            "audit": _complaints("audit", "seal") or _complaints("audit", "verify"),
            "bytes": _complaints("blobs", "collect") or _complaints("blobs", "verify"),
        }


def _complaints(*command: str) -> str:
    """The end of what a command said that did not end with 0."""
    from django.core.management import CommandError, call_command

    said = StringIO()
    try:
        call_command(*command, stdout=said, stderr=said)
    except CommandError as error:
        return f"{' '.join(command)}: {error}"
    except SystemExit as end:
        return f"{' '.join(command)}: {said.getvalue().strip()[-600:]}" if end.code else ""
    return ""


if __name__ == "__main__":
    django.setup()
    Path(sys.argv[1]).write_text(json.dumps({"verified": verified(), **collect()}))
