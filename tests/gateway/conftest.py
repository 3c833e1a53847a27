"""For everything of the gateway: installations of a test's own, and keys.

One company's private keys serve hundreds of tests here; that they are sound is looked at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest

from partners import certificates
from tests.gateway.installation import Installation


@pytest.fixture(scope="session", autouse=True)
def each_private_key_is_checked_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(certificates, "read_private_key", cache(certificates.read_private_key))
        yield


@pytest.fixture
def install(django_db_setup: None) -> Iterator[Callable[..., Installation]]:
    """Make installations, by folder and environment."""
    with ExitStack() as made:

        def make(folder: Path, **environment: str) -> Installation:
            installation = Installation(folder, **environment)
            made.enter_context(installation.prepared)
            return installation

        yield make
