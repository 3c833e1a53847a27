"""A worker that is killed at a chosen moment of sending: a program of its own, on the database of the test that runs it.

    python -m tests.gateway.pipeline.doomed_worker MOMENT

| moment | what is done by then |
|---|---|
| fixed | the bytes are committed; nothing was sent |
| posted | the partner has answered; nothing of that is known to the database |
| noting | the transaction that notes the receipt has written it, and is not committed |
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import django


def die(*_args: Any, **_keywords: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main(moment: str) -> None:
    django.setup()
    from gateway.models import DeliveryKind
    from gateway.pipeline import receipts, relay
    from gateway.transports import http

    match moment:
        case "fixed":
            http.post = die  # type: ignore[assignment]  # the end of this process
        case "posted":
            receipts.held = die  # type: ignore[assignment]  # the same
        case "noting":
            receipts.close = die  # type: ignore[assignment]  # the same
        case _:
            raise ValueError(f"no moment is called {moment}")
    relay.work(DeliveryKind.PARTNER, "doomed", most=1)


if __name__ == "__main__":
    main(sys.argv[1])
