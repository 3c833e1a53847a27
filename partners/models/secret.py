"""Rows that hold a sealed secret, and the canary that proves the wrapping key is the right one."""

from __future__ import annotations

import uuid
from typing import ClassVar, Final, Self

from django.db import models, transaction

from partners import keystore
from partners.keystore import KeystoreError, Sealed


class SealedSecret(models.Model):
    """One secret as the keystore sealed it. Subclasses say what it is for; another app may have its own."""

    PURPOSE: ClassVar[str]

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    key_id = models.CharField(max_length=16, db_index=True, editable=False)
    wrapped_key = models.BinaryField(editable=False)
    ciphertext = models.BinaryField(editable=False)
    sealed_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.PURPOSE} (sealed with {self.key_id or 'no key yet'})"

    def seal(self, plaintext: bytes) -> None:
        """Put the secret into this row; the caller saves it.

        Raises:
            KeystoreError: the configured wrapping key is not the one this database was sealed with. Nothing is sealed,
                so that no second key creeps in.
        """
        KeystoreCanary.prove()
        self._take(keystore.seal(plaintext, purpose=self._purpose))

    def reveal(self) -> bytes:
        """The secret.

        Raises:
            KeystoreError: no configured key opens it, or the row was altered.
        """
        return keystore.unseal(self._sealed, purpose=self._purpose)

    def rewrap(self) -> None:
        """Wrap the data key with the current wrapping key; the caller saves."""
        self._take(keystore.rewrap(self._sealed, purpose=self._purpose))

    @property
    def _purpose(self) -> str:
        # With the row's id: a sealed value copied into another row does not open there.
        return f"{self.PURPOSE} {self.id}"

    @property
    def _sealed(self) -> Sealed:
        return Sealed(
            key_id=self.key_id, wrapped_key=bytes(self.wrapped_key), ciphertext=bytes(self.ciphertext)
        )  # bytes(): some drivers hand out memoryviews

    def _take(self, sealed: Sealed) -> None:
        self.key_id, self.wrapped_key, self.ciphertext = sealed.key_id, sealed.wrapped_key, sealed.ciphertext


class KeystoreCanary(SealedSecret):
    """The one row that opens only with the right wrapping key; made with the first secret."""

    PURPOSE = "canary"
    ID: Final = uuid.UUID(int=0)
    SONG: Final = b"the wrapping key is the right one"

    class Meta:
        verbose_name_plural = "keystore canaries"

    @classmethod
    def prove(cls) -> None:
        """Open the canary; make it when there is none.

        Raises:
            KeystoreError: it does not open with the configured key.
        """
        (cls.objects.filter(pk=cls.ID).first() or cls._first()).listen()

    def listen(self) -> None:
        """Hear the canary sing.

        Raises:
            KeystoreError: it does not open with the configured key, or sings something else.
        """
        if self.reveal() != self.SONG:
            raise KeystoreError("The keystore's canary opens to something else: its row was altered. Restore it.")

    @classmethod
    def _first(cls) -> Self:
        canary = cls(pk=cls.ID)
        canary._take(keystore.seal(cls.SONG, purpose=canary._purpose))
        # Two first secrets at once: the other's canary is as good, if it opens.
        cls.objects.bulk_create([canary], ignore_conflicts=True)
        return cls.objects.get(pk=cls.ID)


def sealed_models() -> list[type[SealedSecret]]:
    """Every table of sealed secrets, the canary's last: while others wait to be re-wrapped it still needs the old key."""
    kinds = [kind for kind in SealedSecret.__subclasses__() if not kind._meta.abstract]
    return sorted(kinds, key=lambda kind: (kind is KeystoreCanary, kind._meta.label))


def verify() -> None:
    """Make sure that the configured keys open what this database holds; writes nothing.

    Raises:
        KeystoreError: the canary does not open, or a secret was sealed with a key that is not configured.
    """
    if canary := KeystoreCanary.objects.filter(pk=KeystoreCanary.ID).first():
        canary.listen()
    known = keystore.known_key_ids()
    for model in sealed_models():
        if stranger := model._default_manager.exclude(key_id__in=known).first():
            raise KeystoreError(
                f"The database holds a secret ({stranger}), and no configured key has that id. Set "
                "GATEWAY_KEYSTORE_SECRET, or GATEWAY_KEYSTORE_OLD_SECRETS, to the secret it was sealed with."
            )


def rewrap_all() -> int:
    """Re-wrap every secret that an old key wrapped, row by row, while the gateway runs.

    Returns:
        How many rows were re-wrapped; 0 when called again.

    Raises:
        KeystoreError: a row opens with no configured key. What was done until then stays done.
    """
    current, done = keystore.current_key_id(), 0
    for model in sealed_models():
        rows = model._default_manager
        for pk in list(rows.exclude(key_id=current).values_list("pk", flat=True)):
            with transaction.atomic():
                row = rows.select_for_update().filter(pk=pk).exclude(key_id=current).first()
                if row is None:  # deleted, or done by somebody else
                    continue
                row.rewrap()
                row.save(update_fields=["key_id", "wrapped_key"])
                done += 1
    return done


def forget_lost() -> int:
    """Delete every secret, and the canary, that no configured key can open: their wrapping key is lost for good.

    Returns:
        How many rows were deleted.
    """
    known, gone = keystore.known_key_ids(), 0
    with transaction.atomic():
        for model in sealed_models():
            gone += model._default_manager.exclude(key_id__in=known).delete()[0]
    return gone
