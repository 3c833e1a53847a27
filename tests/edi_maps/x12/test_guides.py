"""The map directory: made from its source, loaded and obeyed by stock pyx12. What makes a guide sound, its linter tells."""

import random
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edi_maps.findings import Verdict
from edi_maps.x12 import acknowledge, read, reply_envelope, structure
from edi_maps.x12.guides.generate import documents
from edi_maps.x12.stock import GUIDES, second_opinion

from .documents import FIXTURES

GOOD = [
    "850_store_order",
    "850_5010",
    "855_partial_backorder",
    "856_pick_and_pack",
    "860_several_actions",
    "865_accepted_with_changes",
    "830_weekly_forecast",
    "830_cumulative_by_pattern",
    "862_just_in_time",
    "862_by_pattern",
    "846_stock_report",
    "846_stock_by_location",
]


@pytest.mark.parametrize("name", sorted(documents()))
def test_the_files_are_those_the_source_makes(name):
    assert (GUIDES / name).read_text(encoding="utf-8") == documents()[name]


def test_no_file_is_left_over():
    assert {path.name for path in GUIDES.glob("*.xml")} == set(documents())


@pytest.fixture(scope="module")
def x12valid(tmp_path_factory):
    """What pyx12's own command answers on our documents: its verdicts by file, and the folder with the 997s it writes."""
    folder = tmp_path_factory.mktemp("x12valid")
    good = [*GOOD, "997_of_a_good_order"]
    for name in (*GOOD, "850_seven_faults"):
        shutil.copy(FIXTURES / f"{name}.edi", folder)
    [order] = read((FIXTURES / "850_store_order.edi").read_bytes())
    envelope = reply_envelope(order, interchange_number=1, group_number=1, at=datetime(2026, 11, 20, tzinfo=UTC))
    (folder / "997_of_a_good_order.edi").write_bytes(acknowledge(order, envelope))
    files = [f"{name}.edi" for name in (*good, "850_seven_faults")]
    command = [str(Path(sys.executable).with_name("x12valid")), "-m", str(GUIDES), *files]
    done = subprocess.run(command, cwd=folder, env={"HOME": str(folder)}, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr  # whatever it finds: it hands "True, all read" to sys.exit
    return dict(re.findall(r"^(\S+): (OK|Failure)$", done.stderr, re.MULTILINE)), folder


@pytest.mark.parametrize("name", [*GOOD, "997_of_a_good_order"])
def test_stock_x12valid_accepts_our_good_documents_by_our_guides(x12valid, name):
    verdicts, _ = x12valid
    assert verdicts[f"{name}.edi"] == "OK"


def test_stock_x12valid_refuses_a_bad_document_and_acknowledges_both(x12valid):
    verdicts, folder = x12valid
    assert verdicts["850_seven_faults.edi"] == "Failure"
    assert "AK5*R*" in (folder / "850_seven_faults.edi.997").read_text()
    assert "AK5*A~" in (folder / "850_store_order.edi.997").read_text()


def damaged(seed: int) -> bytes:
    """One of our good documents with one element replaced, one segment dropped, doubled or moved."""
    choice = random.Random(seed)
    path = FIXTURES / choice.choice(["850_store_order.edi", "855_partial_backorder.edi"])
    lines = path.read_text(encoding="latin-1").split("~\n")[:-1]
    at = choice.randrange(3, len(lines) - 3)
    elements = lines[at].split("*")
    match choice.randrange(5):
        case 0:
            del lines[at]
        case 1:
            lines.insert(at, lines[at])
        case 2:
            lines[at], lines[at + 1] = lines[at + 1], lines[at]
        case _:
            number = choice.randrange(1, len(elements))
            elements[number] = choice.choice(
                ["", "X", "20261301", "-", "1.5", "ABCDEFGHIJKLMNOPQRSTUVWXYZ" * 5, "20261130"]
            )
            lines[at] = "*".join(elements).rstrip("*")
    trailer = next(number for number, line in enumerate(lines) if line.startswith("SE*"))
    lines[trailer] = f"SE*{trailer - 1}*0001"
    return ("~\n".join(lines) + "~\n").encode("latin-1")


@pytest.mark.parametrize("seed", range(60))
def test_stock_pyx12_comes_to_the_same_verdict_on_damaged_documents(seed):
    data = damaged(seed)
    ours = [one.verdict for group in read(data)[0].groups for one in group.sets]
    assert second_opinion(data).accepted == (ours != [Verdict.REJECTED]), data


@pytest.mark.parametrize("version", ["004010", "005010"])
@pytest.mark.parametrize("code", ["824", "830", "846", "850", "855", "856", "860", "862", "865", "997"])
def test_every_set_has_a_guide_in_every_version(code, version):
    guide = structure.guide(code, version)
    assert guide is not None
    assert guide.start.id == "ST"
    assert "SE" in guide.identifiers


@pytest.mark.parametrize(
    ("sent", "read_by"),
    [
        ("004010", "004010"),
        ("004010VICS", "004010"),
        ("005010X222", "005010"),
        ("002001", "004010"),
        ("003040", "004010"),
        ("004060", "004010"),
        ("007040VICS", "005010"),
        ("00403", "004010"),
        ("", "004010"),
    ],
)
def test_other_versions_are_read_by_the_nearest_guide(sent, read_by):
    assert structure.nearest_version("850", sent) == read_by


def test_there_is_no_guide_for_a_set_nobody_described():
    assert structure.nearest_version("820", "004010") is None
    assert structure.guide("820", "004010") is None


def test_a_ship_notice_has_one_node_for_each_level():
    guide = structure.guide("856", "004010")
    assert guide is not None
    assert set(guide.levels) == {"S", "O", "T", "P", "I"}
    assert {node.depth for node in guide.levels.values()} == {1}


def test_elements_and_codes_can_be_named():
    element = structure.data_element("PO1", 2)
    assert element is not None
    assert (element.number, element.kind) == ("330", "R")
    assert structure.code_meaning("ACK", 1, "IB") == "back-ordered"
    assert structure.code_meaning("RCD", 11, "02") == structure.code_meaning("BRA", 6, "02") == "short"
    assert structure.segment_name("ZZZ") is None
