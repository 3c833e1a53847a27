"""The map directory: made from its source, valid by pyx12's schemas, loaded and obeyed by stock pyx12."""

import io
import logging
import random
from pathlib import Path

import pytest
import pyx12
from lxml import etree
from pyx12.map_if import load_map_file
from pyx12.params import params
from pyx12.x12n_document import x12n_document

from edi_maps.findings import Verdict
from edi_maps.x12 import read, structure
from edi_maps.x12.guides.generate import documents
from edi_maps.x12.stock import GUIDES

from .documents import FIXTURES

SCHEMAS = Path(pyx12.__file__).parent / "map"
MAPS = sorted(path.name for path in GUIDES.glob("[0-9]*.xml"))


@pytest.mark.parametrize("name", sorted(documents()))
def test_the_files_are_those_the_source_makes(name):
    assert (GUIDES / name).read_text(encoding="utf-8") == documents()[name]


def test_no_file_is_left_over():
    assert {path.name for path in GUIDES.glob("*.xml")} == set(documents())


@pytest.mark.parametrize(
    ("pattern", "schema"),
    [
        ("[0-9]*.xml", "map.v2.xsd"),
        ("x12.control.*.xml", "map.v2.xsd"),
        ("maps.xml", "maps.xsd"),
        ("codes.xml", "codes.xsd"),
        ("dataele.xml", "dataele.xsd"),
    ],
)
def test_every_file_is_valid_by_the_schema_of_its_kind(pattern, schema):
    rules = etree.XMLSchema(etree.parse(SCHEMAS / schema))
    files = list(GUIDES.glob(pattern))
    assert files
    for path in files:
        rules.assertValid(etree.parse(path))


@pytest.mark.parametrize("name", MAPS)
def test_stock_pyx12_loads_every_guide(name):
    assert load_map_file(name, params(), str(GUIDES)).id == name.partition(".")[0]


def pyx12_accepts(data: bytes) -> bool:
    logging.getLogger("pyx12").setLevel(logging.CRITICAL)
    text = data.decode("latin-1")
    return bool(x12n_document(params(), io.StringIO(text), io.StringIO(), None, None, map_path=str(GUIDES)))


@pytest.mark.parametrize(
    "name",
    [
        "824_order_taken_with_errors",
        "824_ship_notice_refused",
        "850_store_order",
        "850_5010",
        "855_partial_backorder",
        "856_pick_and_pack",
    ],
)
def test_stock_pyx12_accepts_our_good_documents(name):
    assert pyx12_accepts((FIXTURES / f"{name}.edi").read_bytes())


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
    assert pyx12_accepts(data) == (ours != [Verdict.REJECTED]), data


@pytest.mark.parametrize("name", ["850_seven_faults", "855_one_of_three_refused", "856_parent_unknown"])
def test_stock_pyx12_refuses_our_bad_documents(name):
    assert not pyx12_accepts((FIXTURES / f"{name}.edi").read_bytes())


@pytest.mark.parametrize("name", MAPS)
def test_siblings_have_names_of_their_own_and_start_with_a_required_segment(name):
    for loop in etree.parse(GUIDES / name).iter("loop"):
        loops = [child.get("xid") for child in loop.iterchildren("loop")]
        assert len(loops) == len(set(loops))
        first = min(loop.iterchildren(), key=lambda child: int(child.get("pos")))
        if loop.get("type") is None:
            assert (first.tag, first.get("usage"), first.get("max_use")) == ("segment", "R", "1")


@pytest.mark.parametrize("name", MAPS)
def test_codes_fit_their_elements_and_conditions_name_elements_there_are(name):
    widths = {row.get("ele_num"): row for row in etree.parse(GUIDES / "dataele.xml").iter("data_ele")}
    for segment in etree.parse(GUIDES / name).iter("segment"):
        elements = [child for child in segment if child.tag in ("element", "composite")]
        for element in segment.iter("element"):
            width = widths[element.get("data_ele")]
            for code in element.iter("code"):
                assert int(width.get("min_len", "")) <= len(code.text or "") <= int(width.get("max_len", ""))
        for rule in segment.iter("syntax"):
            text = rule.text or ""
            positions = [int(text[at : at + 2]) for at in range(1, len(text), 2)]
            assert max(positions) <= len(elements)


@pytest.mark.parametrize("version", ["004010", "005010"])
@pytest.mark.parametrize("code", ["824", "850", "855", "856", "997"])
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
    assert structure.segment_name("ZZZ") is None
