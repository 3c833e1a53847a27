"""What the harness knows of a process by looking at it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.faults.programs import Program, cpu_seconds


@pytest.fixture
def program() -> Program:
    return Program("one", "worker", [], {}, Path(os.devnull), started_at=time.monotonic())


def test_growth_is_told_of_a_long_life_from_when_it_was_warm(program: Program) -> None:
    program.rss_kb_by_age = [(1.0, 50), (21.0, 100), (40.0, 160), (60.0, 120)]
    assert program.growth(warm_s=20, least_s=50) == (100, 120)
    assert program.growth(warm_s=20, least_s=70) is None
    program.rss_kb_by_age = [(1.0, 50)]
    assert program.growth(warm_s=20, least_s=0) is None


def test_cpu_is_counted_and_a_process_that_is_gone_has_none() -> None:
    began = cpu_seconds(os.getpid())
    deadline = time.process_time() + 0.1
    while time.process_time() < deadline:
        pass
    assert cpu_seconds(os.getpid()) > began
    assert cpu_seconds(2**22 + 1) == 0
