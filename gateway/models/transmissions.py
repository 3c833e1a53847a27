"""What came or went over a transport, bytes as they were, and the interchanges found inside."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import ClassVar, Self

from django.db import connection, models, transaction
from django.utils import timezone

from gateway import blob_store
from gateway.models.fields import StorableJSONField, storable
from gateway.models.seals import seal_of


class TransmissionState(StrEnum):
    RECEIVED = "received"  #: raw bytes are kept, nothing more is promised
    STORED = "stored"  #: accepted: duplicate key taken, work queued, answer made
    ANSWERED = "answered"  #: translated; what it said is in documents, functional acknowledgment included
    REFUSED = "refused"  #: failed at the door; kept for staff, holds no duplicate key
    PREPARED = "prepared"  #: ours: bytes and Message-ID fixed before the first try
    SENT = (
        "sent"  #: ours: taken by the partner's server; of a message the receipt is awaited, of a receipt nothing more
    )
    RECEIPTED = "receipted"  #: ours: a valid receipt says the partner has it
    REJECTED = "rejected"  #: ours: the partner's receipt says no


class Blob(models.Model):
    """Bytes under their own SHA-256; written once, never changed."""

    sha256 = models.CharField(max_length=64, primary_key=True)
    size_bytes = models.PositiveBigIntegerField()
    #: Null: in the blob store, where everything new goes; bytes from before there was one stay here until they are moved.
    data = models.BinaryField(null=True)

    def __str__(self) -> str:
        return f"{self.sha256[:12]}… ({self.size_bytes} bytes)"

    @staticmethod
    def prepare(*contents: bytes) -> None:
        """Put bytes into the store ahead of the transaction that keeps them, so that it does not wait for the disk.

        Raises:
            blob_store.StoreError: they are not there.
        """
        store = blob_store.store()
        for data in contents:
            store.put(data)

    @classmethod
    def put(cls, data: bytes) -> Self:
        """Keep ``data``; the same bytes are kept once, whoever else keeps them at this moment.

        Raises:
            blob_store.StoreError: they are not there, and the transaction is to be rolled back.
        """
        return cls.put_all([data])[0]

    @classmethod
    def put_all(cls, contents: Sequence[bytes]) -> list[Self]:
        """The same of several, in one statement; rows in the order of ``contents``.

        First the rows, then the bytes, and the commit after both: a collector that removes bytes without a row holds that row
        meanwhile. So it is done with them before we look whether they are there, or it waits until our rows are committed.
        """
        store = blob_store.store()
        rows = [cls(sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data)) for data in contents]
        with transaction.atomic(savepoint=False):
            cls._hold({row.sha256: row for row in rows})
            for data in {row.sha256: data for row, data in zip(rows, contents, strict=True)}.values():
                store.put(data)
        return rows

    @classmethod
    def _hold(cls, rows: Mapping[str, Self]) -> None:
        """Have these rows, by their names, in a way that nobody can take them away before the end of this transaction."""
        if connection.vendor != "postgresql":  # SQLite: nobody else writes until then
            cls.objects.bulk_create(rows.values(), ignore_conflicts=True)
            return
        names = sorted(rows)  # all in one order: of two who keep the same bytes none waits for the other in a circle
        with connection.cursor() as cursor:
            while True:
                # reviewed SQL: a constant, hashes and sizes are parameters
                cursor.execute(
                    "INSERT INTO gateway_blob (sha256, size_bytes) SELECT * FROM unnest(%s::text[], %s::bigint[])"
                    " ON CONFLICT DO NOTHING",
                    [names, [rows[name].size_bytes for name in names]],
                )
                if cursor.rowcount == len(names):
                    return
                # As a foreign key would hold them at the commit; what was collected meanwhile is not among them.
                # reviewed SQL: a constant, hashes are parameters
                cursor.execute("SELECT sha256 FROM gateway_blob WHERE sha256 = ANY(%s) FOR KEY SHARE", [names])
                held = {name for (name,) in cursor.fetchall()}
                names = [name for name in names if name not in held]
                if not names:
                    return

    @property
    def content(self) -> bytes:
        """The bytes, as they were put.

        Raises:
            blob_store.StoreError: they cannot be had, or are not what was put; it names them.
        """
        if self.data is None:
            return blob_store.store().get(self.sha256)
        return blob_store.checked(self.sha256, bytes(self.data), "the database")

    @property
    def found(self) -> bytes:
        """The bytes as they are found, whatever was put, for whoever looks at them as evidence; none where there are none."""
        try:
            return self.content
        except blob_store.Damaged as damaged:
            return damaged.data
        except blob_store.Missing:
            return b""


class Transmission(models.Model):
    """One thing received or sent over a transport."""

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    correlation_id = models.UUIDField(default=uuid.uuid4, db_index=True, editable=False)
    direction = models.CharField(max_length=8)  #: partners.profiles.Direction
    channel = models.CharField(max_length=16)
    partner = models.ForeignKey(
        "partners.TradingPartner", models.PROTECT, db_index=False, related_name="transmissions"
    )  #: found by transmission_of_partner
    state = models.CharField(max_length=16, default=TransmissionState.RECEIVED.value)
    message_id = models.CharField(max_length=998, blank=True)  #: AS2 Message-ID or REST Idempotency-Key
    format = models.CharField(max_length=16)  #: "x12", "portal_json", "canonical_json"; "mdn"; "file": kept as it is
    sheet = models.CharField(max_length=32, blank=True)  #: for portal_json: whose shape
    content_type = models.CharField(max_length=255, blank=True)
    file_name = models.CharField(max_length=255, blank=True)  #: metadata only, never a path
    headers = StorableJSONField(default=dict)
    raw = models.ForeignKey(Blob, models.PROTECT, related_name="+")  #: as it was on the wire
    payload = models.ForeignKey(Blob, models.PROTECT, related_name="+", null=True)  #: unwrapped; null: never got so far
    #: Ours, over AS2: exactly what the MIC of the receipt is over, for proving years later what was received.
    covered = models.ForeignKey(Blob, models.PROTECT, related_name="+", null=True)
    digests = models.JSONField(default=dict)  #: algorithm → base64 of what the MIC covers
    #: How it was protected and by whose certificate: fingerprints and names of algorithms, see ``pipeline/evidence.py``.
    evidence = StorableJSONField(default=dict)
    #: The message this belongs to: of a receipt what it is for, of an attachment what it came in, of a message sent anew by a
    #: person the one that was rejected.
    about = models.ForeignKey("self", models.PROTECT, related_name="belongings", null=True)
    answer_status = models.PositiveSmallIntegerField(null=True)
    answer_headers = StorableJSONField(default=dict)
    answer = models.ForeignKey(Blob, models.PROTECT, related_name="+", null=True)
    reason = models.TextField(blank=True)  #: why it was refused or rejected, for staff
    at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        constraints = [
            # Refused ones are left out: a corrected repeat under the same id must get in, and a stranger must not burn it.
            models.UniqueConstraint(
                fields=["partner", "channel", "message_id"],
                condition=models.Q(direction="inbound") & ~models.Q(state="refused") & ~models.Q(message_id=""),
                name="transmission_once",
            )
        ]
        indexes = [
            models.Index(fields=["partner", "at"], name="transmission_of_partner"),
            models.Index(fields=["message_id"], name="transmission_by_message_id"),
        ]

    def __str__(self) -> str:
        return f"transmission {self.pk} ({self.channel} {self.direction})"

    #: What would be shown in a dispute: who, when, ids, headers and digests; the bytes by their own hashes.
    SEALED: ClassVar = (
        "uid",
        "correlation_id",
        "direction",
        "channel",
        "partner_id",
        "message_id",
        "format",
        "sheet",
        "content_type",
        "file_name",
        "headers",
        "raw_id",
        "payload_id",
        "covered_id",
        "digests",
        "about_id",
        "answer_status",
        "answer_headers",
        "answer_id",
        "reason",
        "at",
    )

    def seal(self) -> str:
        """The seal the audit trail notes with every state: a later change of this row does not pass for what was exchanged."""
        return seal_of(self, self.SEALED)

    def bears(self, noted: str) -> bool:
        """Whether the row is as it was when this seal was noted."""
        return noted == (self.seal() if ":" in noted else self._first_seal())

    def _first_seal(self) -> str:
        """The seal as it was noted until there was a trail that is sealed itself: over less."""
        shown = {
            "message_id": self.message_id,
            "headers": self.headers,
            "raw": self.raw_id,
            "payload": self.payload_id,
            "covered": self.covered_id,
            "digests": self.digests,
            "answer_status": self.answer_status,
            "answer_headers": self.answer_headers,
            "answer": self.answer_id,
        }
        return hashlib.sha256(json.dumps(storable(shown), sort_keys=True).encode()).hexdigest()


class Interchange(models.Model):
    """One ISA…IEA of a transmission, in or out."""

    transmission = models.ForeignKey(Transmission, models.PROTECT, related_name="interchanges")
    partner = models.ForeignKey("partners.TradingPartner", models.PROTECT, db_index=False, related_name="interchanges")
    direction = models.CharField(max_length=8)
    sender = models.CharField(max_length=40)  #: qualifier:id
    receiver = models.CharField(max_length=40)
    control_number = models.CharField(max_length=20)
    usage = models.CharField(max_length=1, blank=True)
    verdict = models.CharField(max_length=24, blank=True)
    findings = StorableJSONField(default=list)
    repeats = models.ForeignKey("self", models.PROTECT, null=True, related_name="repeated_by")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["partner", "direction", "sender", "receiver", "control_number"],
                condition=models.Q(repeats__isnull=True) & ~models.Q(control_number=""),
                name="interchange_once",
            )
        ]
        indexes = [models.Index(fields=["control_number"], name="interchange_by_number")]

    def __str__(self) -> str:
        return f"interchange {self.control_number} {self.sender} → {self.receiver}"
