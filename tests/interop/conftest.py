"""Peers and keys made once a run, and the table of rows at the end of a run of this folder alone: ``make interop``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.core.cache import cache

from tests.gateway.endpoints.conftest import served  # noqa: F401  # a fixture
from tests.interop import credentials, environments
from tests.interop.cases import PARAMETERS, SIZES
from tests.interop.credentials import Credentials
from tests.interop.door import Door
from tests.interop.peers import Peer


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Credentials]:
    folder = tmp_path_factory.mktemp("interop")
    folder.chmod(0o700)
    yield credentials.make(folder)
    for file in folder.glob("*.pem"):
        file.unlink()


@pytest.fixture(scope="session")
def peers(keys: Credentials) -> Iterator[Callable[[str], Peer]]:
    """A running peer by its name, started when first asked for; without its environment the test is skipped, or fails."""
    running: dict[str, Peer] = {}

    def get(name: str) -> Peer:
        if name in running and not running[name].is_running:
            running.pop(name).close()
        if name not in running:
            try:
                running[name] = Peer(name, keys.folder)
            except environments.Unavailable as exc:
                if os.environ.get("REQUIRE_INTEROP") == "1":
                    pytest.fail(f"REQUIRE_INTEROP=1, and {exc}")
                pytest.skip(str(exc))
        return running[name]

    yield get
    for peer in running.values():
        peer.close()


@pytest.fixture
def door(keys: Credentials, db: None) -> Door:
    cache.clear()  # no allowance is used up by another test
    return Door(keys)


@pytest.fixture
def file(tmp_path: Path) -> Callable[[bytes], Path]:
    """Something to send, as a file."""

    def write(payload: bytes) -> Path:
        path = tmp_path / "document.edi"
        path.write_bytes(payload)
        return path

    return write


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print every row with its result. In a run of everything nobody loads this file where reports are gathered."""
    reports = {
        report.nodeid: report
        for outcome in ("passed", "failed", "error", "skipped")
        for report in terminalreporter.getreports(outcome)
    }
    matrix = [(*_values(nodeid), _result(report)) for nodeid, report in reports.items() if "test_matrix.py" in nodeid]
    refusals = [_refusal(nodeid, _result(report)) for nodeid, report in reports.items() if "test_refusals.py" in nodeid]
    for title, rows in (("rows of the matrix", sorted(matrix, key=_place)), ("refusals", sorted(refusals))):
        if rows:
            terminalreporter.section(f"{len(rows)} {title}")
        for row in rows:
            widths = [max(len(each[at]) for each in rows) for at in range(len(row))]
            padded = [value.ljust(width) for value, width in zip(row, widths, strict=True)]
            terminalreporter.write_line("  ".join(padded).rstrip())


def _values(nodeid: str) -> list[str]:
    return nodeid.rpartition("[")[2].removesuffix("]").split(", ")


def _place(row: tuple[str, ...]) -> list[int]:
    """In the order of the parameters' values."""
    known = [[*values, *SIZES] for values in PARAMETERS.values()]
    return [values.index(value) for values, value in zip(known, row, strict=False)]


def _refusal(nodeid: str, result: str) -> tuple[str, ...]:
    """The peer, what is refused, and how that went."""
    test, _bracket, peer = nodeid.rpartition("::")[2].partition("[")
    return peer.removesuffix("]"), test.removeprefix("test_").replace("_", " "), result


def _result(report: pytest.TestReport) -> str:
    if report.passed:
        return str(dict(report.user_properties).get("note", "ok"))
    if report.skipped:
        return (report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)).lower()
    return f"FAILED: {str(getattr(report.longrepr, 'reprcrash', report.longrepr)).splitlines()[0][:120]}"
