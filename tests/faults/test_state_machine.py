"""A few walks of the state machine (layer 2); ``make faults`` walks more."""

from __future__ import annotations

import logging

import pytest
from django.conf import settings

from tests.faults.state_machine import walk

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        not settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"),
        reason="walks are on SQLite in memory; crash points and soaks are on PostgreSQL too",
    ),
]


def test_whatever_happens_in_whatever_order_the_outbox_keeps_its_rules(caplog):
    caplog.set_level(logging.CRITICAL, "gateway")
    walk(examples=15)
