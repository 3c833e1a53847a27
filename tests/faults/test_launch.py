"""The launcher: what it starts are processes like any other, and it keeps its answers apart."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.launch import Launcher
from tests.faults.programs import HarnessError


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    folder = tmp_path_factory.mktemp("launcher")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GATEWAY_", "DATABASE_"))}
    environment |= {"DJANGO_SETTINGS_MODULE": "tests.faults.settings", "GATEWAY_DATA_DIR": str(folder)}
    launcher = Launcher(environment, log=folder / "launch.log")
    yield launcher
    launcher.close()


def test_what_a_program_says_comes_back_and_is_in_its_log(launcher: Launcher, tmp_path: Path) -> None:
    log = tmp_path / "said.log"
    assert "gateway" in launcher.run(["manage.py", "diffsettings"], log=log)
    assert "gateway" in log.read_text()


def test_a_program_that_fails_is_named_with_what_it_said(launcher: Launcher, tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="no-such-command"):
        launcher.run(["manage.py", "no-such-command"], log=tmp_path / "log")


def test_a_program_dies_of_its_own_kill_and_the_next_one_starts(launcher: Launcher, tmp_path: Path) -> None:
    first = launcher.start(["-m", "http.server", "--bind", "127.0.0.1", "0"], tmp_path / "log")
    second = launcher.start(["-m", "http.server", "--bind", "127.0.0.1", "0"], tmp_path / "log")
    assert first.pid != second.pid
    first.kill()
    assert first.wait(10) == -signal.SIGKILL
    assert second.poll() is None
    second.kill()
    assert second.wait(10) == -signal.SIGKILL


def test_an_answer_nobody_waited_for_is_not_taken_for_the_next_one(launcher: Launcher, tmp_path: Path) -> None:
    program = launcher.start(["-m", "http.server", "--bind", "127.0.0.1", "0"], tmp_path / "log")
    launcher.ask_and_leave(ended=program.pid)
    assert program.poll() is None
    program.kill()
    assert program.wait(10) == -signal.SIGKILL
