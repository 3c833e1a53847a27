"""The walk along the guide: one fault makes one finding, at its place, and nothing is lost."""

import pytest

from edi_maps.x12 import read, structure
from edi_maps.x12.envelope import scan
from edi_maps.x12.segments import Loop, cut
from edi_maps.x12.validation import MAX_FINDINGS, validate

from .documents import FIXTURES, document, places


def walk(data, code="850"):
    interchange = scan(data)[0]
    guide = structure.guide(code, "004010")
    assert guide is not None
    one = interchange.groups[0].sets[0]
    pieces = cut(one.text, interchange.delimiters)
    tree, findings = validate(pieces, guide, interchange.delimiters)
    assert sorted(position for position, _ in tree.everything()) == list(range(1, len(pieces) + 1))
    return tree, findings


def outline(loop: Loop) -> str:
    """A loop and those below it: PO1(PID SCH)."""
    below = " ".join(outline(child) for child in loop.loops)
    return (
        f"{loop.id}{loop.level and '=' + loop.level}({below})"
        if below
        else f"{loop.id}{loop.level and '=' + loop.level}"
    )


BEG = "BEG*00*SA*PO-1**20260924"


def test_the_loops_of_an_order_stand_under_each_other_as_the_guide_says():
    tree, findings = walk((FIXTURES / "850_store_order.edi").read_bytes())
    assert findings == []
    assert outline(tree) == "(SAC N9 N1 N1 PO1(SCH SCH) PO1 CTT)"
    assert [segment[0] for segment in tree.segments] == (
        ["ST", "BEG", "CUR", "REF", "REF", "PER", "FOB", "ITD", "DTM", "DTM", "TD5", "SE"]
    )
    assert [segment[0] for segment in tree.children("N1")[1].segments] == ["N1", "N3", "N4"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ([BEG, "PO1*1*5*EA", "CTT*1"], []),
        ([BEG, "DTM*010*20261001", "CUR*BY*USD", "PO1*1*5*EA"], [("segment_unexpected", "CUR", 4, None)]),
        (["CUR*BY*USD", "REF*DP*1", "PO1*1*5*EA"], [("segment_missing", "BEG", 2, None)]),
        ([BEG, "CTT*0"], [("segment_missing", "PO1", 3, None)]),
        ([BEG, "ZZZ*1", "PO1*1*5*EA"], [("segment_unknown", "ZZZ", 3, None)]),
        ([BEG, "BSN*00*1", "PO1*1*5*EA"], [("segment_not_in_set", "BSN", 3, None)]),
        ([BEG, "CUR*BY*USD", "CUR*BY*EUR", "PO1*1*5*EA"], [("segment_repeat", "CUR", 4, None)]),
        ([BEG, *["N1*BY*North Mill"] * 201, "PO1*1*5*EA"], [("loop_repeat", "N1", 203, None)]),
        ([BEG, "N3*12 Quarry Road", "PO1*1*5*EA"], [("segment_unexpected", "N3", 3, None)]),
        ([BEG, "PO1*1*5*EA", "PID*F****a", "PO4*1", "PID*F****b"], [("segment_unexpected", "PID", 6, None)]),
        ([BEG, "PO1*1*x*EA", "PO1*2*y*EA"], [("element_number", "PO1", 3, 2), ("element_number", "PO1", 4, 2)]),
        ([BEG, "PO1*1*5*EA", "CTT*1", "PO1*2*5*EA"], [("segment_unexpected", "PO1", 5, None)]),
    ],
)
def test_one_fault_makes_one_finding_at_its_segment(body, expected):
    assert places(walk(document(*body))[1]) == expected


def test_a_segment_out_of_order_is_filed_where_it_belongs():
    tree, _ = walk(document(BEG, "PO1*1*5*EA", "N1*ST*Toledo", "SAC*C*D240***100", "PO1*2*5*EA"))
    assert outline(tree) == "(PO1(N1 SAC) PO1)"


def test_a_segment_without_a_place_stays_where_the_reader_stands():
    tree, _ = walk(document(BEG, "PO1*1*5*EA", "ZZZ*kept", "PO1*2*5*EA"))
    assert [segment[0] for segment in tree.children("PO1")[0].segments] == ["PO1", "ZZZ"]


def test_an_offset_points_at_the_element():
    data = document(BEG, "PO1*1*ten*EA")
    offset = read(data)[0].groups[0].sets[0].findings[0].offset
    assert data[offset:].startswith(b"ten*EA")


def test_findings_are_capped_and_that_is_said():
    findings = walk(document(BEG, *["PO1*1*ten*EA"] * 500))[1]
    assert len(findings) == MAX_FINDINGS + 1
    assert findings[-1].code == "findings_capped"


def test_loops_far_beyond_their_limit_are_said_once():
    findings = walk(document(BEG, *["N1*BY*North Mill"] * 60_000, "PO1*1*5*EA"))[1]
    assert places(findings) == [("loop_repeat", "N1", 203, None)]


def test_a_set_without_trailer_still_says_what_else_is_missing():
    data = document("CUR*BY*USD").replace(b"SE*3*0001~\n", b"")
    assert places(walk(data)[1]) == [("segment_missing", "BEG", 2, None), ("segment_missing", "PO1", 3, None)]


HEAD = ["BSN*00*SHP-1*20261001*0830"]


def levels(*lines):
    return walk(document(*HEAD, *lines, code="856"), "856")


@pytest.mark.parametrize(
    ("lines", "shape"),
    [
        (["HL*1**S", "HL*2*1*O", "HL*3*2*I"], "(HL=S(HL=O(HL=I)))"),
        (["HL*1**S", "HL*2*1*O", "HL*3*2*T", "HL*4*3*P", "HL*5*4*I"], "(HL=S(HL=O(HL=T(HL=P(HL=I)))))"),
        (["HL*1**S", "HL*2*1*T", "HL*3*2*O", "HL*4*3*P", "HL*5*4*I"], "(HL=S(HL=T(HL=O(HL=P(HL=I)))))"),
        (["HL*1**S", "HL*2*1*P", "HL*3*2*O", "HL*4*3*I"], "(HL=S(HL=P(HL=O(HL=I))))"),
        (["HL*1**S", "HL*2*1*O", "HL*3*2*I", "HL*4*3*P"], "(HL=S(HL=O(HL=I(HL=P))))"),
        (["HL*1**S", "HL*2*1*I", "HL*3*1*I"], "(HL=S(HL=I HL=I))"),
        (["HL*1**S", "HL*2*1*O", "HL*3*1*O", "HL*4*2*I", "HL*5*3*I"], "(HL=S(HL=O(HL=I) HL=O(HL=I)))"),
        (["HL*1**S", "HL*2*1*O", "HL*3*2*P", "HL*4*2*I"], "(HL=S(HL=O(HL=P HL=I)))"),
        (["HL*0001**S", "HL*0002*1*O", "HL*A*2*P", "HL*B*A*I"], "(HL=S(HL=O(HL=P(HL=I))))"),
        (["HL*1*0*S", "HL*2*1*O"], "(HL=S(HL=O))"),
    ],
)
def test_any_shape_hangs_by_hl02_and_is_right(lines, shape):
    tree, findings = levels(*lines)
    assert (outline(tree), findings) == (shape, [])


@pytest.mark.parametrize(
    ("lines", "shape", "codes"),
    [
        (
            ["HL*1**S", "HL*2**O", "HL*3**P", "HL*4**I", "HL*5**P", "HL*6**O"],
            "(HL=S(HL=O(HL=P(HL=I) HL=P) HL=O))",
            ["hl_parent_missing"] * 5,
        ),
        (["HL*1**S", "HL*2*1*O", "HL*3*9*I"], "(HL=S(HL=O(HL=I)))", ["hl_parent_unknown"]),
        (["HL*1**S", "HL*2*2*O"], "(HL=S(HL=O))", ["hl_cycle"]),
        (["HL*1**S", "HL*2*1*O", "HL*2*1*O"], "(HL=S(HL=O HL=O))", ["hl_id_repeated"]),
        (["HL*1**S", "HL*2*1*I", "HL*3*2*O"], "(HL=S(HL=I(HL=O)))", ["hl_parent_level"]),
        (["HL*1**O"], "(HL=O)", ["hl_parent_level"]),
        (["HL*1**S", "HL*2*1*ZZ"], "(HL=S(HL=ZZ))", ["hl_level_unknown"]),
        ([], "", ["segment_missing"]),
    ],
)
def test_a_level_out_of_place_is_said_and_kept(lines, shape, codes):
    tree, findings = levels(*lines)
    assert (outline(tree), [found.code for found in findings]) == (shape, codes)


def test_without_hl02_the_order_of_the_levels_is_the_one_bsn05_names():
    header = "BSN*00*SHP-1*20261001*0830*0002"
    lines = ["HL*1**S", "HL*2**O", "HL*3**I", "HL*4**P", "HL*5**I"]
    tree, _ = walk(document(header, *lines, code="856"), "856")
    assert outline(tree) == "(HL=S(HL=O(HL=I(HL=P) HL=I)))"


def test_five_thousand_levels_below_each_other_stop_at_eight():
    chain = ["HL*1**S", *(f"HL*{number}*{number - 1}*T" for number in range(2, 5001))]
    tree, findings = levels(*chain)
    assert {found.code for found in findings} == {"hl_depth", "findings_capped"}
    depth = 0
    while tree.loops:
        tree, depth = tree.loops[-1], depth + 1
    assert depth == 8


def test_the_segments_of_a_level_stay_with_it():
    tree, _ = walk((FIXTURES / "856_tares_children_not_adjacent.edi").read_bytes(), "856")
    assert outline(tree) == "(HL=S(N1 N1 HL=O(HL=T(HL=P(HL=I))) HL=O(HL=T(HL=I))))"
    orders = tree.loops[0].children("HL")
    assert [order.all("PRF")[0][1] for order in orders] == ["PO-4711", "PO-4712"]
    assert orders[1].loops[0].loops[0].all("SN1")[0][2] == "36"
