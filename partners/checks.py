"""What must be true before the gateway starts."""

from __future__ import annotations

from collections.abc import Sequence

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error
from django.db import DatabaseError

from partners.keystore import KeystoreError
from partners.models.secret import verify


def keystore_opens(app_configs: Sequence[AppConfig] | None, **kwargs: object) -> list[CheckMessage]:
    """Refuse to start with a wrapping key that does not open the secrets in the database."""
    try:
        verify()
    except KeystoreError as error:
        return [
            Error(
                str(error),
                hint="Start with the secret of the environment this database comes from; nothing was overwritten. Only "
                "if it is lost for good: manage.py keystore_rotate --forget-lost deletes what it sealed; then make new "
                "keys and send partners the certificates.",
                id="partners.E001",
            )
        ]
    except DatabaseError:
        return []  # no tables yet, or no database: migrate and the connection itself say so better
    return []
