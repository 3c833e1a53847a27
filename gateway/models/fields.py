"""What partners' text needs before a database takes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from django.db import models


def storable(value: Any) -> Any:
    """The same text or JSON-ready data with every NUL replaced: PostgreSQL keeps it nowhere, and partners do send it.

    Raw bytes are kept as they came, in blobs; this is about what is read out of them.
    """
    if isinstance(value, str):
        return value.replace("\0", "\N{REPLACEMENT CHARACTER}")
    if isinstance(value, Mapping):
        return {storable(str(name)): storable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [storable(item) for item in value]
    return value


class StorableJSONField(models.JSONField):
    """JSON that any of our databases takes, whatever a partner wrote."""

    def get_prep_value(self, value: Any) -> Any:
        # Seldom is there one, and to look for it in the text is much quicker than to go through value by value.
        if not isinstance(value, _PLAIN) or "\\u0000" in json.dumps(value, default=str):
            value = storable(value)
        return super().get_prep_value(value)


_PLAIN: Final = (dict, list, str)
