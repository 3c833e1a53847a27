"""The broker: does it take a connection within a bound? Without it work is found by the poll, a few seconds later."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from django.conf import settings

from gateway.celery import app
from gateway.doctor.findings import Finding, Role, Severity

_PATIENCE_S: Final = 4


def answers(role: Role) -> Iterator[Finding]:
    if settings.CELERY_BROKER_URL.startswith("memory:"):
        return
    began = time.monotonic()
    with app.connection_for_write() as connection:
        try:
            connection.ensure_connection(max_retries=1, timeout=_PATIENCE_S)
        except Exception as error:  # noqa: BLE001  # whatever it is, by whichever broker's library: it is no connection
            yield Finding(
                check="broker.answers",
                severity=Severity.WARNING,
                where=shown(settings.CELERY_BROKER_URL),
                what=f"It took no connection within {time.monotonic() - began:.1f} s ({type(error).__name__}).",
                why=f"Nothing is lost; every step of a document waits for a poll, {settings.POLL_S:g} s at most.",
                remedy="See whether it runs, and GATEWAY_BROKER_URL.",
            )


def shown(url: str) -> str:
    """An address without user and password.

    >>> shown("amqp://gateway:hush@rabbit:5672/b2b")
    'amqp://rabbit:5672/b2b'
    """
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
