"""What a test needs and a plain machine may not have: skipped with the reason, and a failure when REQUIRE_SERVICES=1."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

#: Sample documents of the field, collected outside the project; None when GATEWAY_CORPUS names no folder.
CORPUS = Path(os.environ["GATEWAY_CORPUS"]) if os.environ.get("GATEWAY_CORPUS") else None


def need(present: object, what: str) -> None:
    """Skip the test at hand unless ``present``; ``what`` says what is missing and how to provide it."""
    if present:
        return
    if os.environ.get("REQUIRE_SERVICES") == "1":
        pytest.fail(f"REQUIRE_SERVICES=1, and there is none: {what}")
    pytest.skip(what)
