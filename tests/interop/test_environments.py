"""How a peer's environment is made, and what is said when it cannot be."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.interop import environments
from tests.interop.environments import Environment, Unavailable
from tests.interop.peers import Peer, PeerError


@pytest.fixture
def lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one list of what is to be installed; environments are made beside it."""
    monkeypatch.setattr(environments, "HERE", tmp_path)
    monkeypatch.setattr(environments, "ROOT", tmp_path / "made")
    wanted = tmp_path / "wanted.txt"
    wanted.write_text("one==1\n")
    return wanted


def test_it_is_made_once_and_again_when_its_list_has_changed(lists: Path) -> None:
    made: list[str] = []
    environment = Environment("peer", ("wanted.txt",), lambda folder: made.append((folder / "wanted.txt").read_text()))
    environment.make()
    environment.make()
    lists.write_text("one==2\n")
    assert not environment.is_made
    environment.make()
    assert made == ["one==1\n", "one==2\n"]


def test_one_that_failed_is_not_taken_for_made(lists: Path) -> None:
    def fail(folder: Path) -> None:
        Path(folder, "half").touch()
        raise Unavailable("the registry does not answer")

    environment = Environment("peer", ("wanted.txt",), fail)
    with pytest.raises(Unavailable):
        environment.make()
    assert not environment.is_made


def test_without_node_it_says_what_to_install(lists: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda program: None)
    with pytest.raises(Unavailable, match="apt-get install nodejs npm"):
        Environment("libas2", ("wanted.txt",), environments._npm).make()


def test_what_an_installer_says_is_passed_on(lists: Path) -> None:
    with pytest.raises(Unavailable, match=r"sh -c .* failed with 3: no such version"):
        environments._run(["sh", "-c", "echo no such version >&2; exit 3"], lists.parent)


def test_a_peer_that_cannot_start_is_shown_with_its_words(tmp_path: Path) -> None:
    with pytest.raises(PeerError, match="FileNotFoundError"):
        Peer("pyas2lib", tmp_path)  # a folder without keys
