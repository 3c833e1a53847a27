"""The reference ERP as a child process: one that tests share, and one for the test that kills it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.gateway.erp.counterpart import ReferenceProcess


@pytest.fixture(scope="session")
def shared_reference_erp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReferenceProcess]:
    process = ReferenceProcess(tmp_path_factory.mktemp("erp"))
    process.start()
    yield process
    process.close()
    assert process.complaints.read_text() == "", "the reference ERP complained"


@pytest.fixture
def reference_erp(shared_reference_erp: ReferenceProcess) -> ReferenceProcess:
    """The shared one, with no fault left over from the test before."""
    shared_reference_erp.behave()
    return shared_reference_erp


@pytest.fixture
def own_reference_erp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReferenceProcess]:
    process = ReferenceProcess(tmp_path_factory.mktemp("own-erp"))
    process.start()
    yield process
    process.close()
    assert process.complaints.read_text() == "", "the reference ERP complained"
