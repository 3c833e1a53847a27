"""Documents that kill their reader, or hang it: none is known that does, so the reader gets a weakness first.

What must come of one is a dead letter with its case, after as many deaths as are allowed, and nothing else: what stood beside it
arrives like everything.
"""

from __future__ import annotations

import os
import threading
from typing import Any, Final

KILLS: Final = "kills"
HANGS: Final = "hangs"
EXIT: Final = 86  #: how a process ends that has read the first


def document(kind: str) -> bytes:
    return f"POISON that {kind}\r\n".encode()


def weaken() -> None:
    """From now on these documents do in this process what they are called after."""
    from gateway.pipeline import translate

    read = translate._read

    def weak(data: bytes, *terms: Any) -> Any:
        if data == document(KILLS):
            os._exit(EXIT)
        if data == document(HANGS):
            threading.Event().wait()
        return read(data, *terms)

    vars(translate)["_read"] = weak
