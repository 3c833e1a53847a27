"""The harness says what it promises; how fast anything is, no test says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench import peers, x12_documents
from tests.bench.__main__ import BENCHES, lines, main
from tests.bench.measure import Result, Void, cpu_s, percentile


def test_a_prefix_runs_its_benches_and_prints_json_lines_behind_the_calibration():
    command = [sys.executable, "-m", "tests.bench", "x12.850.one"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    calibration, order = map(json.loads, done.stdout.splitlines())
    assert calibration.keys() == {"bench", "value", "unit", "python_steps_per_s", "load_average", "cores"}
    compared = {"peer", "peer_value", "ratio", "floor", "floor_value", "floor_ratio"}
    assert order.keys() == {"bench", "value", "unit", *compared}
    assert (order["bench"], order["unit"]) == ("x12.850.one", "ms")
    assert order["ratio"] == pytest.approx(order["peer_value"] / order["value"], rel=0.01)
    assert order["floor_ratio"] == pytest.approx(order["value"] / order["floor_value"], rel=0.01)


def test_a_prefix_of_no_bench_is_told_with_the_names_there_are(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench", "x13"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "'x13'" in said.err
    assert all(name in said.err.replace("\n", " ") for name in BENCHES)


def test_a_bench_without_a_figure_does_not_stop_the_others(monkeypatch):
    def void():
        yield from ()
        raise Void("the two sides differ")

    def sound():
        yield Result(bench="b.sound", value=1, unit="ms")

    monkeypatch.setattr("tests.bench.__main__.BENCHES", {"b.void": void, "b.sound": sound})
    printed = lines("b.")
    assert json.loads(next(printed))["bench"] == "b.sound"
    with pytest.raises(Void, match=r"^b\.void: the two sides differ$"):
        next(printed)


def test_of_a_rate_more_is_better_and_of_a_duration_less():
    rate = Result(bench="b", value=300, unit="segments/s", peer="p", peer_value=100, floor="f", floor_value=600)
    duration = Result(bench="b", value=2, unit="ms", peer="p", peer_value=6, floor="f", floor_value=1)
    for result in (rate, duration):
        fields = json.loads(result.line())
        assert (fields["ratio"], fields["floor_ratio"]) == (3, 2)


def test_further_peers_stand_in_a_list_of_their_own():
    line = Result(bench="b", value=300, unit="segments/s", peer="p", peer_value=100, peers=(("q", 600),)).line()
    assert json.loads(line)["peers"] == [{"peer": "q", "peer_value": 600, "ratio": 0.5}]


def test_a_peer_that_is_not_installed_gives_no_figure_and_a_note(tmp_path, capsys):
    assert list(peers.segments_per_s(b"ISA~", folder=tmp_path)) == []
    assert "node-x12 1.7.1: not installed" in capsys.readouterr().err


@pytest.mark.parametrize("peer", peers.PEERS, ids=lambda peer: peer.package)
def test_an_installed_peer_finds_every_segment(peer, capsys):
    if not peer.installed(peers.FOLDER):
        pytest.skip(f"no {peer.package}: python -m tests.bench.peers")
    rates = dict(peers.segments_per_s(x12_documents.order(20), rounds=1))
    assert rates[peer.name] > 0
    assert capsys.readouterr().err == ""


def test_what_does_not_apply_is_not_in_the_line():
    assert json.loads(Result(bench="b", value=1 / 3, unit="ms").line()) == {"bench": "b", "value": 0.3333, "unit": "ms"}


def test_works_are_measured_by_turns():
    turns: list[str] = []
    cpu_s(lambda: turns.append("a"), lambda: turns.append("b"), rounds=2, round_s=0)
    assert turns == ["a", "b"] * 3


def test_a_percentile_is_one_of_the_values():
    values = [float(value) for value in range(1, 21)]
    assert [percentile(values, share) for share in (0.0, 0.5, 0.95, 1.0)] == [1, 10, 19, 20]
