"""The TA1, 997 and 999 we write, whatever was sent, and what partners' say about ours. Defect by defect: ``test_verdicts``."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edi_maps.findings import Severity, Verdict, finding
from edi_maps.x12 import (
    Delimiters,
    Envelope,
    Group,
    Interchange,
    TransactionSet,
    acknowledge,
    functional_acknowledgment,
    read,
    read_interchange_acknowledgment,
    reply_envelope,
    scan,
)
from edi_maps.x12.acknowledgments import MAX_ERRORS, MAX_ERRORS_OF_A_SET
from edi_maps.x12.reader import stream
from edi_maps.x12.received_acknowledgments import (
    ElementError,
    FunctionalAcknowledgment,
    SegmentError,
    SetAcknowledgment,
)

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


def test_in_005010_the_version_and_the_guide_are_repeated():
    data = (FIXTURES / "850_5010.edi").read_bytes().replace(b"ST*850*0001", b"ST*850*0001*005010X9")
    assert answer(data, version="005010")[:2] == ["AK1*PO*102*005010", "AK2*850*0001*005010X9"]
    assert answer(data, version="004010")[:2] == ["AK1*PO*102", "AK2*850*0001"]
    assert answer(data.replace(b"X9", b"-9"), version="005010")[1] == "AK2*850*0001"


def test_what_a_stranger_sent_cannot_break_the_answer():
    data = changed("ST*850*0001", "ST*8|0*00|1").replace(b"BEG*00", b"BEG*|:\x07")
    marks = Delimiters(element="|", segment="~", component=":")
    for part in read(data):
        sent = acknowledge(part, envelope(delimiters=marks))
        assert sent is not None
        assert codes(scan(sent)[0].groups[0].sets[0].findings) == []


def test_an_address_beyond_latin_1_is_repeated_nowhere():
    in_windows = wire(GOOD).replace(b"KELDERCO       ", b"KELDERCO\x91      ").replace(b"*KELDERCO*", b"*KELDER\x91*")
    with pytest.raises(ValueError, match=r"receiver_id: .* does not fit its element"):
        reply_envelope(read(in_windows)[0], interchange_number=1, group_number=1, at=AT)
    [group_only] = read(wire(GOOD).replace(b"*KELDERCO*", b"*KELDER\x91*"))
    reply = reply_envelope(group_only, interchange_number=1, group_number=1, at=AT)
    assert (reply.receiver_id, reply.receiver_group_id) == ("KELDERCO", "")
    assert acknowledge(group_only, reply).startswith(b"ISA*")


def test_the_reply_goes_back_where_the_interchange_came_from():
    reply = reply_envelope(read(wire(GOOD))[0], interchange_number=1, group_number=1, at=AT)
    assert (reply.sender_id, reply.receiver_id, reply.version) == ("NORTHMILL", "KELDERCO", "004010")


# -- whatever bytes arrive

#: Two interchanges with other separators: orders, answers of which one is refused, acknowledgments, 005010.
TRAFFIC = b"".join(
    [
        wire(
            [
                ISA.replace("*0*P*>", "*1*P*>"),
                *interchange(*transaction_set(*ORDER), *transaction_set(*ORDER, number="0002"), sets=2)[1:-1],
                "GS*FA*KELDERCO*NORTHMILL*20260924*1030*102*X*004010",
                *transaction_set("AK1*PO*9", "AK9*A*1*1*1", code="997"),
                "GE*1*102",
                "IEA*2*000000101",
            ]
        ),
        (FIXTURES / "855_one_of_three_refused.edi").read_bytes().replace(b"*", b"|"),
        (FIXTURES / "850_5010.edi").read_bytes(),
    ]
)
PIECES = [
    *(b"", b"~", b"*", b">", b"^", b"|", b"\n", b"\x00", b"\xff", b"\xc3\xa9", b"9", b"00", b"X", b" ", b"-1"),
    *(
        b"ISA*",
        b"~GS*PO*A*B*20260924*1030*7*X*004010~",
        b"~ST*850*1~",
        b"~SE*5*0001~",
        b"~GE*9999999*101~",
        b"~IEA*1*1~",
    ),
    *(b"~TA1*000000001*260924*1030*A*000~", b"~LS*X~", b"~LE*X~", b"A" * 120, b"~Q*1~"),
]
edits = st.lists(st.tuples(st.integers(0, len(TRAFFIC)), st.integers(0, 12), st.sampled_from(PIECES)), max_size=8)


def damaged(edits):
    data = TRAFFIC
    for at, length, piece in edits:
        data = data[:at] + piece + data[at + length :]
    return data


@settings(max_examples=250, deadline=None)
@given(edits, st.sampled_from(["997", "999"]), st.booleans())
def test_every_interchange_that_can_be_addressed_is_answered_in_good_x12(edits, code, detail):
    for number, part in enumerate(read(damaged(edits)), start=1):
        if not part.has_header:
            continue
        try:
            reply = reply_envelope(part, interchange_number=number, group_number=number, at=AT)
        except ValueError as nobody:
            assert "sender" in str(nobody) or "receiver" in str(nobody)
            continue
        sent = acknowledge(part, reply, code=code, detail=detail)
        if sent is None:
            # Silence is right about acknowledgments alone.
            assert {group.functional_id for group in part.groups} <= {"FA"}
            assert part.groups or part.acknowledgments
            continue
        (received,) = read(sent)
        assert codes(received.findings) == []
        assert len(received.acknowledgments) <= 1
        answered = [group for group in part.groups if group.functional_id not in ("", "FA")]
        acknowledged = [one for group in received.groups for one in group.sets]
        assert acknowledged == [] or len(acknowledged) == len(answered)
        assert acknowledged or received.acknowledgments
        for group, one in zip(answered, acknowledged, strict=False):
            assert (one.code, codes(one.findings), one.verdict) == (code, [], Verdict.ACCEPTED)
            the_counts_are_right(group, one.acknowledgment)


def the_counts_are_right(group, said):
    """AK902 claimed, AK903 received, AK904 accepted, and AK901 as they add up."""
    assert said.received == len(group.sets)
    claimed = int(group.claimed_sets) if group.claimed_sets.isascii() and group.claimed_sets.isdigit() else None
    assert said.claimed == (claimed if claimed is not None and claimed <= 999_999 else len(group.sets))
    refused = any(found.severity is Severity.ERROR for found in group.findings)
    good = [one for one in group.sets if not any(found.severity is Severity.ERROR for found in one.findings)]
    assert said.accepted == (0 if refused else len(good))
    if said.status == "P":
        assert 0 < said.accepted < said.received
    elif said.status == "R":
        assert said.accepted == 0
    else:
        assert said.accepted == said.received
    by_status = [one.status for one in said.sets]
    if len(by_status) == len(group.sets):
        assert by_status.count("R") == len(group.sets) - len(good)


def test_a_999_names_the_order_line_an_error_stands_in():
    faulty = document(ORDER[0], "PO1*10*5*EA", "PO1*20*ten*EA", "SDQ*EA*92*S1*five", "CTT*2")
    (part,) = read(faulty)
    sent = acknowledge(part, envelope(newline_after_segment=True), code="999")
    assert sent is not None
    assert sent.decode().split("~\n")[1:-3] == [
        "GS*FA*NORTHMILL*KELDERCO*20261130*0905*42*X*005010",
        "ST*999*0001",
        "AK1*PO*101*004010",
        "AK2*850*0001",
        "IK3*PO1*4**8",
        "CTX*PO101>20",
        "IK4*2*330*6*ten",
        "IK3*SDQ*5**8",
        "CTX*PO101>20",
        "IK4*4*380*6*five",
        "IK5*R*5",
        "AK9*R*1*1*0",
        "SE*12*0001",
    ]


def with_findings(*findings, segments=()):
    one = TransactionSet(code="850", control_number="0001")
    one.findings = list(findings)
    return Group(functional_id="PO", control_number="101", version="005010", sets=[one], claimed_sets="1")


def errors_of(group, version):
    body = functional_acknowledgment(group, version=version)
    return ["*".join(segment).replace("\x1f", ">") for segment in body if segment[0] == "AK4"]


@pytest.mark.parametrize(
    ("facts", "in_004010", "in_005010"),
    [
        ({"code": "element_repeat", "element": 1, "repetition": 3}, "AK4*1*128*3*x", "AK4*1>>3*128*12*x"),
        ({"code": "element_extra", "element": 4}, "AK4*4**3*x", "AK4*4**13*x"),
        ({"code": "element_extra", "element": 9}, "AK4*9**3*x", "AK4*9**3*x"),
        ({"code": "element_code", "element": 4, "component": 1}, "AK4*4>1*128*7*x", "AK4*4>1*128*7*x"),
        ({"code": "element_extra", "element": 700}, "AK4*99**3*x", "AK4*99**3*x"),
    ],
    ids=["repetitions", "components", "elements", "component", "no two digits"],
)
def test_what_is_too_many_has_a_code_of_its_own_from_005010_on(facts, in_004010, in_005010):
    group = with_findings(finding(segment="REF", position=3, value="x", **facts))
    assert errors_of(group, "004010") == [in_004010]
    assert errors_of(group, "005010") == [in_005010]


def test_a_repetition_too_many_is_pointed_at():
    isa = ISA.replace("*U*00401", "*^*00501")
    body = [ORDER[0], "REF*IA*1^2^3", *ORDER[1:]]
    data = wire(interchange(*transaction_set(*body), version="005010", isa=isa))
    assert [line for line in answer(data, version="005010") if line[:3] in ("AK3", "AK4")] == [
        "AK3*REF*3**8",
        "AK4*2>>2*127*12*1^2^3",
    ]


def test_a_set_that_was_read_as_a_stream_is_answered_alike():
    data = document(ORDER[0], "PO1*1*ten*EA", "CTT*1")
    (whole,) = read(data)
    *_, streamed = stream(data)
    assert isinstance(streamed, Interchange)
    assert acknowledge(streamed, envelope()) == acknowledge(whole, envelope())


def test_a_group_number_used_twice_has_a_code_of_its_own_from_005010_on():
    group = with_findings()
    group.findings = [finding("group_control_number_repeated", segment="GS", element=6)]
    assert functional_acknowledgment(group, version="004010")[-1] == ["AK9", "R", "1", "1", "0", "6"]
    assert functional_acknowledgment(group, version="005010")[-1] == ["AK9", "R", "1", "1", "0", "19"]


@pytest.mark.parametrize(
    ("value", "copied"),
    [
        ("two\nlines\x1b[0m", "two lines [0m"),
        ("5 € für Łódź", "5 ? für ?ód?"),
        ("x" * 200, "x" * 99),
        ("\u00a0  ", ""),
        ("€" * 200, "?" * 99),
    ],
)
def test_the_copy_of_bad_data_can_be_written(value, copied):
    group = with_findings(finding("element_code", segment="BEG", position=2, element=1, value=value))
    assert functional_acknowledgment(group)[3] == ["AK4", "1", "353", "7", copied]


def test_errors_are_told_up_to_a_bound():
    many = [finding("segment_unknown", segment="ZZZ", position=position) for position in range(2, 200)]
    body = functional_acknowledgment(with_findings(*many))
    assert [segment[0] for segment in body].count("AK3") == MAX_ERRORS_OF_A_SET
    group = with_findings()
    group.sets = [with_findings(*many).sets[0] for _ in range(120)]
    body = functional_acknowledgment(group)
    assert [segment[0] for segment in body].count("AK3") == MAX_ERRORS
    assert [segment for segment in body if segment[0] == "AK5"] == [["AK5", "R", "5"]] * 120
    assert body[-1] == ["AK9", "R", "1", "120", "0"]


@pytest.mark.parametrize("separator", ["A", " ", ".", "~"])
def test_the_reply_takes_separators_of_ours_when_theirs_cannot_be_written_with(separator):
    part = read(wire(GOOD))[0]
    part.delimiters = Delimiters(element=separator, segment="~", component="")
    assert reply_envelope(part, interchange_number=1, group_number=1, at=AT).delimiters == Delimiters()


# -- what partners say about ours


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
                        loop="PO1",
                        elements=(
                            ElementError(position=2, number="330", code="6", value="ten"),
                            ElementError(position=5, component=1, number="355", code="7", value="XX"),
                        ),
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


def test_a_999_is_read_with_its_context():
    lines = interchange(
        *transaction_set(
            "AK1*PO*77*005010",
            "AK2*850*0001",
            "IK3*PO1*6*LDT*8",
            "CTX*PO101>10",
            "IK4*5>1>2*355*12*XX",
            "CTX*SITUATIONAL TRIGGER*PO1*6**4",
            "IK5*R*5*I5",
            "AK9*R*1*1*0",
            code="999",
        ),
        group="FA",
        version="005010X231A1",
    )
    one = read(wire(lines))[0].groups[0].sets[0]
    assert (codes(one.findings), one.verdict) == ([], Verdict.ACCEPTED)
    assert one.acknowledgment.sets[0] == SetAcknowledgment(
        code="850",
        control_number="0001",
        status="R",
        codes=("5", "I5"),
        errors=(
            SegmentError(
                segment="PO1",
                position=6,
                code="8",
                loop="LDT",
                context=("PO101>10",),
                elements=(
                    ElementError(
                        position=5,
                        component=1,
                        repetition=2,
                        number="355",
                        code="12",
                        value="XX",
                        context=("SITUATIONAL TRIGGER*PO1*6**4",),
                    ),
                ),
            ),
        ),
    )
