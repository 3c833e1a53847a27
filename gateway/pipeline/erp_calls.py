"""Calls to an ERP: how each ended says how the ERP is, whatever the call was about."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from gateway import breakers, outbox
from gateway.erp.port import InDoubt, NeedsHuman, Permanent, Transient


@contextmanager
def watched(connection_id: int) -> Iterator[None]:
    """Count what is called within as one call to the ERP; what it raises goes on to the caller.

    A refusal of one document is an answer like any other. Refused credentials say nothing here: they block the connection.
    """
    remote = breakers.erp(connection_id)
    began = time.monotonic()
    try:
        yield
    except (Transient, InDoubt) as error:
        breakers.failed(remote, str(error), took_s=time.monotonic() - began, retry_after_s=error.retry_after_s)
        raise
    except (Permanent, NeedsHuman):
        _answered(remote, began)
        raise
    else:
        _answered(remote, began)


def _answered(remote: str, began: float) -> None:
    if breakers.succeeded(remote, took_s=time.monotonic() - began):
        outbox.wake_on_commit(breakers.kind_of(remote))
