"""One company's private keys serve hundreds of tests here; that they are sound is looked at once."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest

from partners import certificates


@pytest.fixture(scope="session", autouse=True)
def each_private_key_is_checked_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(certificates, "read_private_key", cache(certificates.read_private_key))
        yield
