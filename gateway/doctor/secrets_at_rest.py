"""Secrets at rest: do our keys open them, and are the keys kept as they should be?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from gateway.doctor.findings import Finding, Role, Severity
from partners import keystore
from partners.keystore import KeystoreError
from partners.models.secret import sealed_models, verify


def open_with_our_keys(role: Role) -> Iterator[Finding]:
    """The canary, and that no secret needs a key we do not have."""
    try:
        verify()
    except KeystoreError as error:
        yield Finding(
            check="secrets.keystore",
            severity=Severity.ERROR,
            where="GATEWAY_KEYSTORE_SECRET",
            what=str(error),
            why="Without it no message is signed or opened. Nothing was overwritten.",
            remedy="Start with the secret of the environment this database comes from. Only if it is lost for good: "
            "manage.py keystore_rotate --forget-lost.",
        )


def kept_well(role: Role) -> Iterator[Finding]:
    """A database and the key to it should not be in one backup."""
    file = Path(settings.DATA_DIR) / "keystore-secret"
    if file.exists() and file.read_text("ascii").strip() == settings.KEYSTORE_SECRET:
        yield Finding(
            check="secrets.beside",
            severity=Severity.NOTE,
            where=str(file),
            what="The secret that opens all others lies in the data folder.",
            why="Whoever copies the folder has database and key; whoever loses it has lost both.",
            remedy="Keep a copy of it elsewhere. Better: GATEWAY_KEYSTORE_SECRET from a store of secrets, and delete the file.",
        )
    if settings.KEYSTORE_OLD_SECRETS:
        current = keystore.current_key_id()
        waiting = sum(model._default_manager.exclude(key_id=current).count() for model in sealed_models())
        yield Finding(
            check="secrets.rotation",
            severity=Severity.WARNING if waiting else Severity.NOTE,
            where="GATEWAY_KEYSTORE_OLD_SECRETS",
            what=f"A rotation is under way: {waiting} secrets still need a former key."
            if waiting
            else "No secret needs a former key any more.",
            why="A former key that was given away still opens them." if waiting else "It is one key too many.",
            remedy="manage.py keystore_rotate" if waiting else "Unset GATEWAY_KEYSTORE_OLD_SECRETS.",
        )
