"""The one door to pyas2lib, the independent implementation that plays our partners. It is GPL, and never our own engine.

Everything behind this door is untyped. pyas2lib writes decrypted payloads to its logger at DEBUG and tracebacks at ERROR;
both stay shut.
"""

from __future__ import annotations

import logging

from gateway.transports.as2 import oscrypto_standin

oscrypto_standin.install()

from pyas2lib import Mdn, Message, Organization, Partner, cms  # noqa: E402  # needs the stand-in in its place
from pyas2lib.exceptions import AS2Exception  # noqa: E402  # the same

logging.getLogger("pyas2lib").setLevel(logging.CRITICAL)

__all__ = ["AS2Exception", "Mdn", "Message", "Organization", "Partner", "cms"]
