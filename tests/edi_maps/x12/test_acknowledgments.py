"""Every defect has its verdict: the TA1 and the 997 partners expect, and what theirs say about ours."""

from datetime import UTC, datetime

import pytest

from edi_maps.findings import Verdict
from edi_maps.x12 import (
    Delimiters,
    Envelope,
    acknowledge,
    functional_acknowledgment,
    read,
    read_interchange_acknowledgment,
    reply_envelope,
    scan,
)
from edi_maps.x12.received_acknowledgments import FunctionalAcknowledgment, SegmentError, SetAcknowledgment

from .documents import FIXTURES, ISA, ORDER, codes, document, interchange, transaction_set, wire

AT = datetime(2026, 11, 30, 9, 5, tzinfo=UTC)
GOOD = interchange(*transaction_set(*ORDER))


def envelope(**terms):
    return Envelope(
        **{
            "sender_qualifier": "ZZ",
            "sender_id": "NORTHMILL",
            "receiver_qualifier": "ZZ",
            "receiver_id": "KELDERCO",
            "interchange_number": 7,
            "group_number": 42,
            "at": AT,
            **terms,
        }
    )


def answer(data, **terms):
    """The segments we answer with that say something, over all interchanges."""
    said = []
    for part in read(data):
        sent = acknowledge(part, envelope(**terms))
        said += [] if sent is None else sent.decode("latin-1").split("~")
    return [line for line in said if line[:2] in ("TA", "AK")]


def changed(old, new):
    return wire([line.replace(old, new) for line in GOOD])


def without(identifier):
    return wire([line for line in GOOD if not line.startswith(identifier)])


def ta1(data):
    return [line.split("*", 4)[4] for line in answer(data) if line.startswith("TA1")]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (wire(GOOD), []),
        (changed("*0*P*>", "*1*P*>"), ["A*000"]),
        (changed("IEA*1*000000101", "IEA*1*000000999"), ["E*001"]),
        (changed("IEA*1*", "IEA*2*"), ["E*021"]),
        (wire([line for line in GOOD if not line.startswith(("GS", "GE"))]), ["E*022"]),
        (changed("GS*PO*KELDERCO", "GS*PO*"), ["E*024"]),
        (without("IEA"), ["R*023"]),
        (changed("000000101", "A00000101"), ["R*018"]),
        (changed("GE*1*101", "GE*1*102"), []),
        (wire(GOOD).replace(b"~\n", b"A"), ["R*004"]),
        (changed("*00*          *00*", "*00*  *00*"), []),
        (changed("*00*          *00*", "*00*  *00*").replace(b"*0*P*>", b"*1*P*>"), ["E*011"]),
    ],
    ids=[
        "fine",
        "asked for",
        "control numbers differ",
        "group count",
        "set without group",
        "GS element missing",
        "cut off",
        "control number",
        "group control number only",
        "terminator",
        "width, not asked",
        "width, asked",
    ],
)
def test_the_ta1_says_what_is_wrong_with_the_interchange(data, expected):
    assert ta1(data) == expected


def test_the_interchange_after_a_shifted_one_is_judged_on_its_own():
    shifted = changed("*00*          *00*", "*00*  *00*").replace(b"*0*P*>", b"*1*P*>")
    assert ta1(shifted + changed("*0*P*>", "*1*P*>")) == ["E*011", "A*000"]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (wire(GOOD), ["AK2*850*0001", "AK5*A", "AK9*A*1*1*1"]),
        (changed("GE*1*101", "GE*1*102"), ["AK2*850*0001", "AK5*A", "AK9*R*1*1*0*4"]),
        (changed("GE*1*101", "GE*3*101"), ["AK2*850*0001", "AK5*A", "AK9*R*3*1*0*5"]),
        (without("GE"), ["AK2*850*0001", "AK5*A", "AK9*R*1*1*0*3"]),
        (changed("GS*PO*", "GS*QQ*"), ["AK2*850*0001", "AK5*R*1", "AK9*R*1*1*0*1"]),
        (changed("*X*004010", "*X*T"), ["AK2*850*0001", "AK5*A", "AK9*R*1*1*0*2"]),
        (changed("SE*5*", "SE*9*"), ["AK2*850*0001", "AK5*R*4", "AK9*R*1*1*0"]),
        (changed("SE*5*0001", "SE*9*0002"), ["AK2*850*0001", "AK5*R*3*4", "AK9*R*1*1*0"]),
        (without("SE"), ["AK2*850*0001", "AK5*R*2", "AK9*R*1*1*0"]),
        (changed("ST*850", "ST*820"), ["AK2*820*0001", "AK5*R*1", "AK9*R*1*1*0"]),
        (changed("ST*850", "ST*855"), None),
        (
            wire(interchange(*transaction_set(*ORDER), *transaction_set(*ORDER), sets=2)),
            ["AK2*850*0001", "AK5*A", "AK2*850*0001", "AK5*R*23", "AK9*P*2*2*1"],
        ),
    ],
    ids=[
        "fine",
        "GE02",
        "GE01",
        "no GE",
        "GS01",
        "GS08",
        "SE01",
        "SE01 and SE02",
        "no SE",
        "ST01",
        "ST01 against GS01",
        "ST02 repeated",
    ],
)
def test_the_997_says_what_is_wrong_with_a_group_and_its_sets(data, expected):
    said = answer(data)
    assert said[0].startswith("AK1*")
    if expected is None:
        assert "AK5*R*1" in "~".join(said)
    else:
        assert said[1:] == expected


BEG = "BEG*00*SA*PO-1**20260924"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ([BEG, "DTM*010*20261001", "CUR*BY*USD", "PO1*1*5*EA"], ["AK3*CUR*4**2"]),
        (["PO1*1*5*EA"], ["AK3*BEG*2**3"]),
        ([BEG, "ZZZ*1", "PO1*1*5*EA"], ["AK3*ZZZ*3**1"]),
        ([BEG, "CUR*BY*USD", "CUR*BY*EUR", "PO1*1*5*EA"], ["AK3*CUR*4**5"]),
        ([BEG, *["N1*BY*North Mill"] * 201, "PO1*1*5*EA"], ["AK3*N1*203**4"]),
        (
            ["BEG*ZZ*SA*PO-1**2026-09-24", "PO1*1*ten*EA"],
            ["AK3*BEG*2**8", "AK4*1*353*7*ZZ", "AK4*5*373*8*2026-09-24", "AK3*PO1*3**8", "AK4*2*330*6*ten"],
        ),
        ([BEG, "N1*BY", "PO1*1*5*EA"], ["AK3*N1*3**8", "AK4*2*93*2"]),
        ([BEG, "PO1*1*5*EA", "SLN*1**I*5*EAX"], ["AK3*SLN*4**8", "AK4*5>1*355*5*EAX"]),
    ],
)
def test_each_faulty_segment_and_element_has_its_code(body, expected):
    said = answer(document(*body))
    assert said[2:-2] == expected
    assert said[-2:] == ["AK5*R*5", "AK9*R*1*1*0"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "850_seven_faults",
            "AK1*PO*103 AK2*850*0001 AK3*BEG*2**8 AK4*1*353*7*ZZ AK4*5*373*8*2026-09-24 AK3*CUR*4**2 AK3*N1*5**8 "
            "AK4*2*93*2 AK3*PO1*6**8 AK4*2*330*6*ten AK3*ZZZ*7**1 AK3*PID*8**8 AK4*4*751*2 AK5*R*4*5 AK9*R*1*1*0",
        ),
        (
            "855_one_of_three_refused",
            "AK1*PR*202 AK2*855*0001 AK5*A AK2*855*0002 AK3*ACK*4**8 AK4*1*668*7*XX AK5*R*5 AK2*855*0003 AK5*A AK9*P*3*3*2",
        ),
        (
            "856_parent_unknown",
            "AK1*SH*303 AK2*856*0001 AK3*HL*7**8 AK4*2*734*7*9 AK5*R*5 AK9*R*1*1*0",
        ),
        ("855_partial_backorder", "AK1*PR*201 AK2*855*0001 AK5*A AK9*A*1*1*1"),
        ("856_tares_children_not_adjacent", "AK1*SH*302 AK2*856*0001 AK5*A AK9*A*1*1*1"),
    ],
)
def test_our_samples_get_exactly_this_997(name, expected):
    assert answer((FIXTURES / f"{name}.edi").read_bytes()) == expected.split(" ")


def test_without_detail_ak1_and_ak9_suffice_unless_part_was_refused():
    def brief(name):
        group = read((FIXTURES / f"{name}.edi").read_bytes())[0].groups[0]
        return ["*".join(segment) for segment in functional_acknowledgment(group, detail=False)]

    assert brief("855_partial_backorder") == ["AK1*PR*201", "AK9*A*1*1*1"]
    assert brief("855_one_of_three_refused") == ["AK1*PR*202", "AK2*855*0002", "AK5*R*5", "AK9*P*3*3*2"]


def test_the_answer_is_an_interchange_of_its_own():
    part = read(changed("*0*P*>", "*1*P*>"))[0]
    assert acknowledge(part, envelope(newline_after_segment=True)) == (
        b"ISA*00*          *00*          *ZZ*NORTHMILL      *ZZ*KELDERCO       *261130*0905*U*00401*000000007*0*P*>~\n"
        b"TA1*000000101*260924*1030*A*000~\n"
        b"GS*FA*NORTHMILL*KELDERCO*20261130*0905*42*X*004010~\n"
        b"ST*997*0001~\nAK1*PO*101~\nAK2*850*0001~\nAK5*A~\nAK9*A*1*1*1~\nSE*6*0001~\nGE*1*42~\nIEA*1*000000007~\n"
    )


def test_a_refused_interchange_gets_a_ta1_alone():
    sent = acknowledge(read(without("IEA"))[0], envelope())
    assert sent is not None
    assert [part.groups for part in scan(sent)] == [[]]
    assert codes(scan(sent)[0].findings) == []
    assert read_interchange_acknowledgment(scan(sent)[0].acknowledgments[0]).note == "023"


def test_an_acknowledgment_is_never_acknowledged():
    sent = acknowledge(read(wire(GOOD))[0], envelope())
    assert sent is not None
    received = read(sent)[0]
    assert received.groups[0].sets[0].verdict is Verdict.ACCEPTED
    assert acknowledge(received, envelope()) is None
    with pytest.raises(ValueError, match="never"):
        functional_acknowledgment(received.groups[0], detail=True)
    alone = wire([ISA.replace("*0*P*>", "*1*P*>"), "TA1*000000055*260924*1030*R*001", "IEA*0*000000101"])
    assert acknowledge(read(alone)[0], envelope()) is None


def test_a_file_without_isa_has_nobody_to_answer():
    assert acknowledge(read(wire(transaction_set(*ORDER)))[0], envelope()) is None


def test_in_005010_the_version_is_repeated():
    said = answer((FIXTURES / "850_5010.edi").read_bytes(), version="005010")
    assert said[0] == "AK1*PO*102*005010"


def test_what_a_stranger_sent_cannot_break_the_answer():
    data = changed("ST*850*0001", "ST*8|0*00|1").replace(b"BEG*00", b"BEG*|:\x07")
    marks = Delimiters(element="|", segment="~", component=":")
    for part in read(data):
        sent = acknowledge(part, envelope(delimiters=marks))
        assert sent is not None
        assert codes(scan(sent)[0].groups[0].sets[0].findings) == []


def test_the_reply_goes_back_where_the_interchange_came_from():
    reply = reply_envelope(read(wire(GOOD))[0], interchange_number=1, group_number=1, at=AT)
    assert (reply.sender_id, reply.receiver_id, reply.version) == ("NORTHMILL", "KELDERCO", "004010")


def read_997(*body):
    lines = interchange(*transaction_set(*body, code="997"), group="FA")
    return read(wire(lines))[0].groups[0].sets[0].acknowledgment


def test_a_997_about_ours_is_read_with_its_reasons():
    assert read_997(
        "AK1*PO*77",
        "AK2*850*0001",
        "AK5*A",
        "AK2*850*0002",
        "AK3*PO1*6*PO1*8",
        "AK4*2*330*6*ten",
        "AK4*5>1*355*7*XX",
        "AK5*R*4*5",
        "AK9*P*2*2*1",
    ) == FunctionalAcknowledgment(
        functional_id="PO",
        group_control_number="77",
        status="P",
        claimed=2,
        received=2,
        accepted=1,
        sets=(
            SetAcknowledgment(code="850", control_number="0001", status="A"),
            SetAcknowledgment(
                code="850",
                control_number="0002",
                status="R",
                codes=("4", "5"),
                errors=(
                    SegmentError(
                        segment="PO1",
                        position=6,
                        code="8",
                        elements=((2, None, "6", "ten"), (5, 1, "7", "XX")),
                    ),
                ),
            ),
        ),
    )


def test_a_997_about_the_group_alone_is_enough():
    said = read_997("AK1*PO*77", "AK9*A*3*3*3")
    assert said is not None
    assert (said.status, said.accepted, said.sets) == ("A", 3, ())


def test_a_997_cut_short_is_read_as_far_as_it_goes():
    said = read_997("AK1*PO*77", "AK2*850*0001")
    assert said is not None
    assert (said.status, said.claimed, said.sets[0].status) == ("", None, "")
    assert read_997("AK9*A*1*1*1") is None
