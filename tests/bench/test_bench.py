"""The harness says what it promises; how fast anything is, no test says."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from edi_maps import x12
from edi_maps.findings import Verdict
from gateway.transports.as2 import build_mdn, receive
from tests.bench import as2, calibration, end_to_end, peers, x12_documents
from tests.bench.__main__ import BENCHES, lines, main
from tests.bench.measure import Result, Void, cpu_s, percentile
from tests.bench.senders import Senders


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


def test_a_bench_without_a_figure_does_not_stop_the_others():
    def void():
        yield from ()
        raise Void("the two sides differ")

    def sound():
        yield Result(bench="b.sound", value=1, unit="ms")

    printed = lines("b.", {"b.void": void, "b.sound": sound})
    assert json.loads(next(printed))["bench"] == "calibration"
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


def test_a_run_that_measures_load_tells_of_the_disk_and_the_web_server_too(monkeypatch):
    monkeypatch.setattr(calibration, "_FOR_S", 0.05)
    said = json.loads(calibration.line(load=True))
    assert said["fdatasync_4k_per_s"] > 0
    assert said["hello_requests_per_s"] > 0


def test_an_acknowledgment_of_the_whole_way_is_in_order():
    [interchange] = x12.read(x12_documents.acknowledgment("100000001", 20))
    [one] = interchange.groups[0].sets
    assert one.verdict is Verdict.ACCEPTED
    assert one.findings == []
    assert (one.record.order_number, len(one.record.lines)) == ("100000001", 20)


def test_each_message_is_posted_once_and_its_mdn_proved():
    numbers = [f"{number:09d}" for number in range(100_000_001, 100_000_009)]
    with _taker() as (port, taken), closing(Senders(as2.link().supplier, lines=2)) as senders:
        senders.make(numbers)
        posted = senders.post([port], numbers, per_second=40)
    assert [one.number for one in posted] == numbers
    assert sorted(taken) == [f"<{number}@supplier>" for number in numbers]


def test_a_queue_that_grows_has_a_slope():
    depth = end_to_end.Depth(at=[0, 1, 2, 3, 4, 5, 6, 7], waiting=[0, 9, 30, 50, 50, 52, 54, 56])
    assert depth.slope() == pytest.approx(2)


@contextmanager
def _taker():
    """A door that takes every message and answers with its signed MDN; its port, and the Message-IDs that came."""
    taken = []

    class Door(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            taken.append(self.headers["Message-ID"])
            headers, terms = dict(self.headers), as2.link().buyer
            got = receive(headers, body, terms)
            answer = build_mdn(headers, terms=terms, mic=(got.mic, got.mic_algorithm), text="Taken.")
            self.send_response(200)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_):
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port, taken
    finally:
        server.shutdown()
        server.server_close()
