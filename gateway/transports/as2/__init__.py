"""AS2: a byte-exact engine that never parses an octet and writes it again.

This is the whole interface; the modules behind it are one idea each. ``independent`` and ``supplier`` stand apart: there
pyas2lib, another implementation, plays the other side.
"""

from gateway.transports.as2.digests import Digests
from gateway.transports.as2.errors import As2Error, Disposition, MalformedRequest, Rejected, UnusableTerms
from gateway.transports.as2.mdn import Mdn, Receipt, Verdict, build_mdn, original_message_id, read_mdn
from gateway.transports.as2.message import Layer, LayerKind, Outgoing, Received, build_message, receive
from gateway.transports.as2.names import Names, Pair, bare_id, new_message_id, quoted_twice, request_names, request_pair
from gateway.transports.as2.proof import Detached, detach
from gateway.transports.as2.receipts import ReceiptRequest, requested_receipt
from gateway.transports.as2.related import Attachment

__all__ = [
    "As2Error",
    "Attachment",
    "Detached",
    "Digests",
    "Disposition",
    "Layer",
    "LayerKind",
    "MalformedRequest",
    "Mdn",
    "Names",
    "Outgoing",
    "Pair",
    "Receipt",
    "ReceiptRequest",
    "Received",
    "Rejected",
    "UnusableTerms",
    "Verdict",
    "bare_id",
    "build_mdn",
    "build_message",
    "detach",
    "new_message_id",
    "original_message_id",
    "quoted_twice",
    "read_mdn",
    "receive",
    "request_names",
    "request_pair",
    "requested_receipt",
]
