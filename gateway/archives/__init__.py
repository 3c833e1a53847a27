"""Archives: finished work leaves the tables by month, each partner's in its own files, and comes back when it is wanted."""

from gateway.archives.holds import hold, release
from gateway.archives.leave import ArchiveError, Outcome, kept_since, restore, run, unpacked, verify
from gateway.archives.traces import (
    about_order,
    by_row,
    by_uid,
    document_key,
    interchange_key,
    message_key,
    order_key,
    says_the_same,
    under,
)

__all__ = [
    "ArchiveError",
    "Outcome",
    "about_order",
    "by_row",
    "by_uid",
    "document_key",
    "hold",
    "interchange_key",
    "kept_since",
    "message_key",
    "order_key",
    "release",
    "restore",
    "run",
    "says_the_same",
    "under",
    "unpacked",
    "verify",
]
