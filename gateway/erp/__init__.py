"""Records out, changes in: one adapter per ERP behind the port of ``gateway.erp.port``."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

from gateway.erp.endpoint import ErpEndpoint
from gateway.erp.port import ErpPort
from gateway.erp.rest_json import RestJsonErp

__all__ = ["ADAPTERS", "ErpEndpoint", "connect"]

#: Adapter name, as a connection's settings spell it → what makes the port.
ADAPTERS: Final[Mapping[str, Callable[[ErpEndpoint], ErpPort]]] = {
    "rest_json": RestJsonErp,
}


def connect(adapter: str, endpoint: ErpEndpoint) -> ErpPort:
    """The port to the ERP at ``endpoint``; nothing is sent yet.

    The same settings give the same port, which threads may share: its connections are kept open between calls.

    Raises:
        ValueError: there is no adapter of this name.
    """
    return _connect(adapter, endpoint, os.getpid())


@lru_cache(maxsize=64)
def _connect(adapter: str, endpoint: ErpEndpoint, process_id: int) -> ErpPort:
    # By process: a forked worker that used its parent's sockets would read the answers to somebody else's requests.
    if adapter not in ADAPTERS:
        raise ValueError(f"There is no ERP adapter {adapter!r}; known: {', '.join(sorted(ADAPTERS))}.")
    return ADAPTERS[adapter](endpoint)
