"""Keep Python's cyclic garbage collector off large documents while they are read."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

#: Bytes from which on the collector is paused.
LARGE: Final = 65_536


class _Pause:
    """How many readers want the collector off, and whether it was on before the first of them."""

    lock = threading.Lock()
    readers = 0
    was_on = True


@contextmanager
def collection_paused(size: int) -> Iterator[None]:
    """Keep the cyclic collector from walking a large document again and again while it grows.

    Nothing read here is cyclic garbage, and the limits of ``envelope`` bound it; with the collector running, a ship notice
    of 100,000 segments takes five times as long. Small documents leave it alone.
    """
    if size < LARGE:
        yield
        return
    with _Pause.lock:
        if _Pause.readers == 0:
            _Pause.was_on = gc.isenabled()
            gc.disable()
        _Pause.readers += 1
    try:
        yield
    finally:
        with _Pause.lock:
            _Pause.readers -= 1
            if _Pause.readers == 0 and _Pause.was_on:
                if not gc.get_freeze_count():
                    # What has been read is old at once: the collector need not find out by walking it.
                    gc.freeze()
                    gc.unfreeze()
                gc.enable()
