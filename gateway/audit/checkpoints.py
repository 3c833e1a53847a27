"""Checkpoints: a signed word about where the chain stood, kept as a row and in a file outside the database.

Whoever can write every row can make a new chain, or cut the end off this one. They cannot sign it: the private key opens with
the keystore's secret only. And a line of the file names a batch that must still be there.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Sum
from django.utils import timezone

from gateway.models import AuditBatch, AuditKey, Checkpoint

#: Bytes; ours have some 350.
_LONGEST_LINE: Final = 4096


def checkpoint(now: datetime | None = None) -> Checkpoint | None:
    """Sign the head of the chain, unless that is done already, and have it in the file too.

    Returns:
        The newest checkpoint; None while nothing has been sealed.

    Raises:
        KeystoreError: the key does not open, or none can be sealed.
        OSError: the file cannot be written. The row is kept; the next call writes the line.
    """
    head = AuditBatch.objects.order_by("-sequence").only("sequence", "digest").first()
    if head is None:
        return None
    made = Checkpoint.objects.filter(batch=head).first() or _sign(head, now or timezone.now())
    path = Path(settings.CHECKPOINTS_FILE)
    if _last_line(path) != line(made):
        _append(path, line(made))
    return made


def line(made: Checkpoint) -> str:
    """A checkpoint as one line of the file."""
    return canonical({"statement": made.statement, "signature": made.signature})


def rotate_key(now: datetime | None = None) -> AuditKey:
    """Sign what there is with the key in use, end it and make the next; what it signed stays verifiable."""
    now = now or timezone.now()
    checkpoint(now)
    with transaction.atomic():
        AuditKey.objects.filter(ended_at=None).update(ended_at=now)
        return _make_key(now)


def is_signed(statement: Mapping[str, Any], signature: str) -> bool:
    """Whether the signature is that of the key the statement names."""
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(str(statement.get("key", ""))))
        key.verify(base64.b64decode(signature), canonical(statement).encode())
    except (InvalidSignature, ValueError):
        return False
    return True


def name_of(key: AuditKey) -> str:
    """A key as statements name it: base64 of its 32 public bytes."""
    public = load_pem_public_key(key.public_key.encode())
    return base64.b64encode(public.public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()


def is_ours(key: AuditKey) -> bool:
    """Whether the private key sealed in this row is that of its public one.

    Raises:
        KeystoreError: it does not open with the configured secret.
    """
    return _public_pem(_private(key)) == key.public_key


def canonical(value: Any) -> str:
    """JSON that is the same for the same data: ASCII, no spaces, the names sorted."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _sign(head: AuditBatch, now: datetime) -> Checkpoint:
    key = AuditKey.objects.filter(ended_at=None).order_by("made_at", "pk").first() or _make_key(now)
    statement = {
        "sequence": head.sequence,
        "digest": head.digest,
        "events": _events_until(head),
        "at": now.astimezone(UTC).isoformat(timespec="microseconds"),
        "key": name_of(key),
    }
    signature = base64.b64encode(_private(key).sign(canonical(statement).encode())).decode()
    try:
        with transaction.atomic():
            return Checkpoint.objects.create(batch=head, statement=statement, signature=signature, at=now)
    except IntegrityError:
        # Another process signed the same head at this moment; its word is as good.
        return Checkpoint.objects.get(batch=head)


def _events_until(head: AuditBatch) -> int:
    before = Checkpoint.objects.filter(batch_id__lt=head.sequence).order_by("-batch_id").first()
    batches = AuditBatch.objects.filter(sequence__lte=head.sequence)
    if before is not None:
        batches = batches.filter(sequence__gt=before.batch_id)
    return (before.statement["events"] if before else 0) + (batches.aggregate(sum=Sum("events"))["sum"] or 0)


def _make_key(now: datetime) -> AuditKey:
    private = Ed25519PrivateKey.generate()
    key = AuditKey(public_key=_public_pem(private), made_at=now)
    key.seal(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    key.save(force_insert=True)
    return key


def _private(key: AuditKey) -> Ed25519PrivateKey:
    private = load_pem_private_key(key.reveal(), password=None)
    if not isinstance(private, Ed25519PrivateKey):
        raise TypeError(f"{key} holds a key of another kind")
    return private


def _public_pem(private: Ed25519PrivateKey) -> str:
    return private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _last_line(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _LONGEST_LINE))
            return file.read().rpartition(b"\n")[0].rpartition(b"\n")[2].decode("ascii", "replace")
    except FileNotFoundError:
        return ""


def _append(path: Path, text: str) -> None:
    """Add one line and have it on the disk. What a crash left of one is taken away: it was never promised to anybody."""
    with path.open("ab+") as file:
        whole = file.tell()
        file.seek(max(0, whole - _LONGEST_LINE))
        end = file.read()
        if end and not end.endswith(b"\n"):
            file.truncate(whole - len(end) + end.rfind(b"\n") + 1)
        file.write(f"{text}\n".encode())
        file.flush()
        os.fsync(file.fileno())
