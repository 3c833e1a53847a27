"""``manage.py edi`` as scripts see it: JSON lines, bytes and exit codes, never a traceback."""

import io
import json
import os
import subprocess
import sys
import threading
import tracemalloc
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from edi_maps.x12 import acknowledge, read, reply_envelope
from tests.edi_maps.x12.documents import FIXTURES, GS, ISA, ORDER, document, interchange, transaction_set, wire

ROOT = Path(__file__).parents[2]


def run(*arguments):
    """Standard output and exit code."""
    out, err = StringIO(), StringIO()
    try:
        call_command("edi", *map(str, arguments), stdout=out, stderr=err)
    except SystemExit as exc:
        return out.getvalue(), exc.code
    return out.getvalue(), 0


def lines(*arguments):
    out, code = run("read", *arguments)
    return [json.loads(line) for line in out.splitlines()], code


def test_read_gives_one_line_per_set_and_exit_code_0():
    (line,), code = lines(FIXTURES / "850_store_order.edi")
    assert code == 0
    assert list(line) == [
        *("file", "interchange", "group", "set", "code", "version", "type", "verdict", "findings", "record")
    ]
    assert (line["interchange"], line["group"], line["set"], line["code"]) == ("000000101", "101", "0001", "850")
    assert (line["version"], line["type"], line["verdict"]) == ("004010", "purchase_order", "accepted")
    assert line["record"]["number"] == "PO-4711"


def test_read_says_1_when_a_set_is_rejected_and_judges_each_by_itself():
    found, code = lines(FIXTURES / "855_one_of_three_refused.edi")
    assert ([line["verdict"] for line in found], code) == (["accepted", "rejected", "accepted"], 1)
    finding = found[1]["findings"][0]
    assert (finding["code"], finding["segment"], finding["position"], finding["element"], finding["value"]) == (
        *("element_code", "ACK", 4, 1),
        "XX",
    )
    assert finding["fix"].startswith("Use one of: AA, AC")


def test_a_broken_envelope_has_a_line_of_its_own(tmp_path):
    path = tmp_path / "cut.edi"
    path.write_bytes(document(*ORDER).replace(b"IEA*1*000000101~\n", b""))
    (envelope, one), code = lines(path)
    assert (envelope["code"], envelope["findings"][0]["code"], code) == (None, "interchange_trailer_missing", 1)
    assert (one["code"], one["verdict"]) == ("850", "rejected")


@pytest.mark.parametrize("content", [b"", b"hello", b"\x00\xff" * 100])
def test_read_says_2_when_there_is_nothing_to_read(tmp_path, content):
    path = tmp_path / "what.edi"
    path.write_bytes(content)
    (line,), code = lines(path)
    assert (line["code"], line["findings"][0]["code"], code) == (None, "unreadable", 2)


def test_a_file_that_is_not_there_is_a_line_and_the_others_are_read():
    found, code = lines("no-such-file.edi", FIXTURES / "850_store_order.edi")
    assert ([line["verdict"] for line in found], code) == (["rejected", "accepted"], 2)


def orders(count):
    sets = [line for number in range(1, count + 1) for line in transaction_set(*ORDER, number=f"{number:06d}")]
    return wire(interchange(*sets, sets=count))


def test_findings_about_a_group_come_before_its_sets(tmp_path):
    path = tmp_path / "groups.edi"
    groups = [(101, "ABC"), (102, "004010"), (103, "XYZ")]
    sets = [
        line
        for number, version in groups
        for line in (
            GS.format(group="PO", version=version).replace("*101*X", f"*{number}*X"),
            *([] if number == 103 else transaction_set(*ORDER)),
            f"GE*{0 if number == 103 else 1}*{number}",
        )
    ]
    path.write_bytes(wire([ISA, *sets, "IEA*3*000000101"]))
    found, code = lines(path)
    assert [(line["group"], line["code"], line["verdict"]) for line in found] == [
        ("101", None, "rejected"),
        ("101", "850", "rejected"),
        ("102", "850", "accepted"),
        ("103", None, "rejected"),
    ]
    assert code == 1


def test_every_set_of_a_cut_interchange_is_rejected_from_the_first_line(tmp_path):
    path = tmp_path / "cut.edi"
    path.write_bytes(orders(3).replace(b"IEA*1*000000101~\n", b""))
    found, _ = lines(path)
    assert [line["verdict"] for line in found] == ["rejected"] * 4
    assert [line["record"]["number"] for line in found[1:]] == ["PO-1"] * 3


def test_a_dash_is_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(orders(2))))
    found, code = lines("-")
    assert ([(line["file"], line["verdict"]) for line in found], code) == ([("-", "accepted")] * 2, 0)


def test_what_can_be_read_only_once_is_read_all_the_same(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(orders(2),))
    writer.start()
    found, code = lines(pipe)
    writer.join()
    assert ([line["verdict"] for line in found], code) == (["accepted"] * 2, 0)


def test_a_directory_is_a_line_too(tmp_path):
    (line,), code = lines(tmp_path)
    assert ("directory" in line["findings"][0]["text"].lower(), code) == (True, 2)


class Nowhere(StringIO):
    """Standard output that keeps nothing."""

    def write(self, text):
        return len(text)


def peak(path):
    tracemalloc.start()
    call_command("edi", "read", str(path), stdout=Nowhere())
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return used


def test_memory_does_not_grow_with_the_number_of_sets(tmp_path, monkeypatch):
    monkeypatch.setattr("edi_maps.x12.window.WINDOW", 4_096)  # far less than each of these files
    paths = [tmp_path / "few.edi", tmp_path / "more.edi", tmp_path / "most.edi"]
    for path, count in zip(paths, (10, 500, 2_000), strict=True):
        path.write_bytes(orders(count))
    peak(paths[0])
    # Of every set its control number is remembered, in both passes: a repeated one is an error.
    assert (peak(paths[2]) - peak(paths[1])) / 1_500 < 250


def test_a_reader_that_has_seen_enough_ends_it_without_a_word(tmp_path):
    path = tmp_path / "long.edi"
    path.write_bytes(orders(1_000))
    command = [sys.executable, "manage.py", "edi", "read", str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        first = json.loads(process.stdout.readline())
        process.stdout.close()
        complaints = process.stderr.read()
    assert (first["verdict"], complaints, process.returncode) == ("accepted", b"", 141)


def test_a_997_is_read_as_what_it_acknowledges(tmp_path):
    out, _ = run("ack", FIXTURES / "855_one_of_three_refused.edi")
    path = tmp_path / "ack.edi"
    path.write_text(out)
    (line,), code = lines(path)
    assert (line["type"], line["record"]["status"], code) == ("functional_acknowledgment", "P", 0)


def test_ack_answers_in_the_sender_s_separators():
    out, code = run("ack", FIXTURES / "850_seven_faults.edi")
    assert code == 1
    answer = read(out.encode("latin-1"))[0]
    assert (answer.receiver_id, answer.groups[0].functional_id) == ("NORTHMILL", "FA")
    assert "AK3*CUR*4**2~" in out


def test_ack_of_a_stream_is_the_answer_to_the_whole(monkeypatch):
    data = (FIXTURES / "850_seven_faults.edi").read_bytes() + orders(3).replace(b"101", b"102")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    out, code = run("ack", "-")
    now = datetime.now(UTC)
    whole = b"".join(
        acknowledge(one, reply_envelope(one, interchange_number=number, group_number=number, at=now)) or b""
        for number, one in enumerate(read(data), start=1)
    )
    assert code == 1
    assert [line for line in out.split("~") if line[:2] == "AK"] == [
        line for line in whole.decode("latin-1").split("~") if line[:2] == "AK"
    ]


def test_ack_answers_with_the_set_asked_for():
    out, _ = run("ack", FIXTURES / "850_seven_faults.edi", "--as", "999")
    assert "IK3*CUR*4**2~" in out
    assert read(out.encode("latin-1"))[0].groups[0].version == "005010"
    brief, _ = run("ack", FIXTURES / "850_seven_faults.edi", "--group-only")
    assert [line for line in brief.split("~") if line.startswith("AK")] == ["AK1*PO*103", "AK9*R*1*1*0"]


def test_write_reads_back_as_the_same_record(tmp_path):
    (line,), _ = lines(FIXTURES / "855_partial_backorder.edi")
    record = tmp_path / "answer.json"
    record.write_text(json.dumps(line["record"]))
    out, code = run("write", record, "--as", "855", "--version", "004010")
    written = tmp_path / "answer.edi"
    written.write_text(out)
    (again,), _ = lines(written)
    assert code == 0
    assert again["record"] == line["record"]


@pytest.mark.parametrize(
    ("content", "set_code", "words"),
    [
        ("not json", "850", "Expecting value"),
        ("{}", "850", "no canonical record"),
        ('{"type": "purchase_order"}', "850", "number"),
        (
            '{"type": "purchase_order", "number": "PO-1", "ordered_on": "2026-09-24"}',
            "856",
            "written as 850, not as 856",
        ),
        ("[" * 100_000, "850", "recursion"),
    ],
)
def test_write_refuses_in_words(tmp_path, content, set_code, words):
    record = tmp_path / "record.json"
    record.write_text(content)
    with pytest.raises(CommandError, match=words):
        run("write", record, "--as", set_code)


@pytest.mark.django_db
def test_a_partner_nobody_knows_is_said():
    with pytest.raises(CommandError, match="no trading partner has the code 'NOBODY'"):
        run("read", FIXTURES / "850_store_order.edi", "--partner", "NOBODY")


def test_explain_prints_the_document_in_words():
    out, code = run("explain", FIXTURES / "850_store_order.edi")
    assert code == 0
    assert "PO102 Quantity ordered: 120" in out


def test_explain_gives_the_second_opinion_when_asked_for_it():
    plain, _ = run("explain", FIXTURES / "850_seven_faults.edi")
    out, code = run("explain", FIXTURES / "850_seven_faults.edi", "--second-opinion")
    assert code == 1
    assert "pyx12 refuses" not in plain
    assert "pyx12 refuses this set\n   - ST: SE count of 99 for SE02=0001 is wrong. I count 10  [4]" in out


def test_explain_writes_a_page(tmp_path):
    page = tmp_path / "page.html"
    _, code = run("explain", FIXTURES / "850_seven_faults.edi", "--html", page)
    assert code == 1
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_explain_of_a_missing_file_is_an_error_in_words():
    with pytest.raises(CommandError, match="No such file"):
        run("explain", "no-such-file.edi")
