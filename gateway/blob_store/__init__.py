"""Where raw bytes are: outside the database, each under its own SHA-256, written once and never changed.

``settings.BLOBS`` says where: ``file:<folder>``, or ``s3://<bucket>/<prefix>`` for any server that speaks S3. A row that names
bytes is committed after they are safe; what is here without a row is what a crash left, and is collected later.
"""

from __future__ import annotations

from functools import cache

from django.conf import settings

from gateway.blob_store.files import Files
from gateway.blob_store.store import Damaged, Full, Missing, Store, StoreError, Unreachable, checked

__all__ = ["Damaged", "Full", "Missing", "Store", "StoreError", "Unreachable", "checked", "of", "store"]


def store() -> Store:
    """The store this gateway is set to."""
    return of(settings.BLOBS)


@cache
def of(address: str) -> Store:
    """The store at an address, see ``GATEWAY_BLOBS``.

    Raises:
        ValueError: no store is written like this; the text says what is wrong.
        Unreachable: what it needs is not installed.
    """
    scheme, _colon, rest = address.partition(":")
    match scheme:
        case "file" if rest:
            return Files(rest)
        case "s3":
            from gateway.blob_store.s3 import Bucket  # boto3 is there where a bucket is

            return Bucket.at(address)
        case _:
            raise ValueError(f"{address!r} is no blob store; say file:<folder> or s3://<bucket>/<prefix>?endpoint=…")
