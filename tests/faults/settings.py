"""The gateway's own settings with its waiting times made short: a soak of minutes has to see what takes hours in the field.

Only durations differ; every rule is that of ``gateway.settings``.
"""

from __future__ import annotations

import os
from datetime import timedelta

from gateway.settings import *  # noqa: F403  # these are the settings

LEASE = timedelta(seconds=float(os.environ.get("FAULTS_LEASE_S", "3")))
RETRY_SCHEDULE_MIN = {
    kind: [min(pause, 0.01 * 2**place) for place, pause in enumerate(schedule)]
    for kind, schedule in RETRY_SCHEDULE_MIN.items()  # noqa: F405
}
BREAKER_PAUSE_S, BREAKER_MOST_S = 0.5, 5.0
RETRIES_PER_MINUTE = 3000  # as many more as the pauses are shorter
CELERY_TASK_DEFAULT_QUEUE = os.environ.get("FAULTS_QUEUE", "gateway")
