"""The audit trail: events are chained into batches, the head of the chain is signed, and all rows can be held against it.

| here | its question |
|---|---|
| ``chain.py`` | what is the digest of an event, and which events are in which batch? |
| ``checkpoints.py`` | who has signed where the chain stood? |
| ``verify.py`` | is all of it as it was? |
| ``coverage.py`` | which columns of which rows does the trail speak for? |
"""

from gateway.audit.chain import digest_of, leaf_of, leaves_of, returned, seal, seal_all
from gateway.audit.checkpoints import checkpoint, rotate_key
from gateway.audit.verify import Fault, Outcome, verify

__all__ = [
    "Fault",
    "Outcome",
    "checkpoint",
    "digest_of",
    "leaf_of",
    "leaves_of",
    "returned",
    "rotate_key",
    "seal",
    "seal_all",
    "verify",
]
