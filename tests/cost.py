"""What hostile input may cost, for tests."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def cpu_at_most(seconds: float) -> Iterator[None]:
    """What is done inside costs this process less CPU time than that.

    The collector passes over what was there before: in a process that has run thousands of tests it would be most of the cost.
    """
    gc.freeze()
    begun = time.process_time()
    yield
    spent = time.process_time() - begun
    assert spent < seconds
