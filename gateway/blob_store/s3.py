"""The blob store in a bucket of anything that speaks S3: ``<prefix>/<sha256>``.

Credentials come as they do for every program that uses AWS: ``AWS_ACCESS_KEY_ID`` and its kin. A bucket cannot set something
aside while it is looked at once more, as ``files`` does: let it keep versions, and even what a collector of a gateway that
lost its database at the wrong moment removes can be had back.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final, Self
from urllib.parse import parse_qsl, urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from gateway.blob_store.store import PIECE_BYTES, Full, Missing, Unreachable, checked, checked_pieces

#: A put may run inside a transaction: it must end soon, one way or the other.
_LIMITS: Final = {"connect_timeout": 2, "read_timeout": 10, "retries": {"mode": "standard", "max_attempts": 3}}
_ABSENT: Final = frozenset({"404", "NoSuchKey", "NotFound"})
#: As MinIO, Ceph and others say it.
_NO_ROOM: Final = frozenset({"507", "InsufficientStorage", "QuotaExceeded", "XMinioStorageFull", "XMinioQuotaExceeded"})
_PARAMETERS: Final = frozenset({"endpoint", "region"})


class Bucket:
    """A ``Store`` in a bucket that is there already."""

    def __init__(self, bucket: str, prefix: str, *, endpoint: str | None = None, region: str | None = None) -> None:
        self._bucket, self._prefix = bucket, f"{prefix}/" if prefix else ""
        self._client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name=region,
            config=Config(
                **_LIMITS,
                s3={"addressing_style": "path"} if endpoint else {},
                # Of the sums that boto3 adds by itself, servers other than Amazon's know not all.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    @classmethod
    def at(cls, address: str) -> Self:
        """The bucket at ``s3://<bucket>/<prefix>?endpoint=…&region=…``.

        Raises:
            ValueError: the address cannot be read.
        """
        parts = urlsplit(address)
        parameters = dict(parse_qsl(parts.query, strict_parsing=True)) if parts.query else {}
        if unknown := parameters.keys() - _PARAMETERS:
            raise ValueError(f"a bucket has no {', '.join(sorted(unknown))}; it has endpoint and region")
        if not parts.hostname or "@" in parts.netloc:
            raise ValueError("say s3://<bucket>/<prefix>; credentials come by AWS_ACCESS_KEY_ID")
        return cls(parts.netloc, parts.path.strip("/"), **parameters)

    def __str__(self) -> str:
        return f"s3://{self._bucket}/{self._prefix}"

    def put(self, data: bytes) -> str:
        digest = hashlib.sha256(data)
        sha256 = digest.hexdigest()
        wanted = base64.b64encode(digest.digest()).decode()
        head = self._head(sha256, ChecksumMode="ENABLED")
        if head is None or head["ContentLength"] != len(data) or head.get("ChecksumSHA256", wanted) != wanted:
            with self._explained():
                # A server that knows the sum refuses what was damaged on its way.
                self._client.put_object(Bucket=self._bucket, Key=self._key(sha256), Body=data, ChecksumSHA256=wanted)
        return sha256

    def get(self, sha256: str) -> bytes:
        with self._explained():
            data: bytes = self._body(sha256).read()
        return checked(sha256, data, str(self))

    def pieces(self, sha256: str) -> Iterator[bytes]:
        with self._explained():
            yield from checked_pieces(sha256, self._body(sha256).iter_chunks(PIECE_BYTES), str(self))

    def put_at(self, sha256: str) -> datetime | None:
        head = self._head(sha256)
        return None if head is None else head["LastModified"]

    def remove(self, sha256: str, *, still_garbage: Callable[[], bool]) -> bool:
        if self._head(sha256) is None or not still_garbage():
            return False
        with self._explained():
            self._client.delete_object(Bucket=self._bucket, Key=self._key(sha256))
        return True

    def walk(self) -> Iterator[str]:
        with self._explained():
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix)
            for page in pages:
                names = (one["Key"].removeprefix(self._prefix) for one in page.get("Contents", ()))
                yield from (name for name in names if len(name) == 64)

    def tidy(self, before: datetime) -> int:
        return 0  # an upload that was not finished is nothing in a bucket

    def probe(self) -> None:
        key = f"{self._prefix}probe"
        with self._explained():
            self._client.put_object(Bucket=self._bucket, Key=key, Body=b"probe")
            self._client.delete_object(Bucket=self._bucket, Key=key)

    def _key(self, sha256: str) -> str:
        return f"{self._prefix}{sha256}"

    def _head(self, sha256: str, **how: str) -> Mapping[str, Any] | None:
        """What the bucket says of a name without its bytes; None: it is not there."""
        with self._explained():
            try:
                head: Mapping[str, Any] = self._client.head_object(Bucket=self._bucket, Key=self._key(sha256), **how)
            except ClientError as error:
                if error.response["Error"]["Code"] in _ABSENT:
                    return None
                raise
        return head

    def _body(self, sha256: str) -> Any:
        try:
            return self._client.get_object(Bucket=self._bucket, Key=self._key(sha256))["Body"]
        except ClientError as error:
            if error.response["Error"]["Code"] in _ABSENT:
                raise Missing(sha256, str(self)) from error
            raise

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """What the server says, or what kept us from it, as what it means for who puts or gets."""
        try:
            yield
        except ClientError as error:
            code = error.response["Error"]["Code"]
            raise (Full if code in _NO_ROOM else Unreachable)(f"{self}: {code}") from error
        except BotoCoreError as error:
            raise Unreachable(f"{self}: {error}") from error
