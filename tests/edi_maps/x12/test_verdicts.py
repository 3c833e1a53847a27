"""Every defect in an otherwise good order has exactly this TA1 and exactly this 997; never silence.

One table, the whole of it: what is wrong, the TA1 when ISA14 asks for one, the TA1 that is sent without being asked, and the 997.
Where products of the field answer otherwise, the row says what they answer and why we do not.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from edi_maps.findings import Verdict
from edi_maps.x12 import Envelope, acknowledge, read
from edi_maps.x12.stock import SecondOpinion, second_opinion

from .documents import codes, interchange, transaction_set, wire

BODY = [
    "BEG*00*SA*PO-1**20260924",
    "CUR*BY*USD",
    "DTM*010*20261001",
    "N1*BY*North Mill",
    "PO1*1*5*EA*9.95**VP*V-1",
    "CTT*1",
]
GOOD = interchange(*transaction_set(*BODY))

HEAD = "AK1*PO*101 AK2*850*0001"
FINE = f"{HEAD} AK5*A AK9*A*1*1*1"
REFUSED = "AK5*R*5 AK9*R*1*1*0"


def changed(old, new):
    """The good interchange with some characters exchanged."""
    assert any(old in line for line in GOOD)
    return wire([line.replace(old, new) for line in GOOD])


def without(*identifiers):
    return wire([line for line in GOOD if not line.startswith(identifiers)])


def order(*body):
    """The good interchange around another order."""
    return wire(interchange(*transaction_set(*body)))


def instead(old, *new):
    """The good interchange with one segment of its order replaced."""
    at = next(number for number, line in enumerate(BODY) if line.startswith(old))
    return order(*BODY[:at], *new, *BODY[at + 1 :])


def sets(*bodies, numbers=("0001", "0002", "0003")):
    lines = [
        line for number, body in zip(numbers, bodies, strict=False) for line in transaction_set(*body, number=number)
    ]
    return wire(interchange(*lines, sets=len(bodies)))


@dataclass(frozen=True, kw_only=True)
class Row:
    defect: str
    data: bytes
    asked: str = "A*000"  #: TA104 and TA105 when ISA14 is 1
    unasked: str = ""  #: … when it is 0; '' when no TA1 is sent then
    functional: str  #: the segments of the 997 that speak; '' when there is none
    decision: str = ""  #: what others answer, and why we do not


INTERCHANGE = [
    Row(defect="nothing wrong", data=wire(GOOD), functional=FINE),
    Row(
        defect="ISA02 and ISA04 too short",
        data=changed("*00*          *00*          *", "*00*  *00*  *"),
        asked="E*011",
        functional=FINE,
        decision="Others answer R 011. One file in nine comes with such a header, and its separators leave no doubt what it "
        "says: it is repaired, and said to whoever asks.",
    ),
    Row(
        defect="IEA02 differs from ISA13",
        data=changed("IEA*1*000000101", "IEA*1*000000999"),
        asked="E*001",
        unasked="E*001",
        functional=FINE,
        decision="Some answer R 001. Nothing is missing from the interchange, so it is taken, and the sender is told.",
    ),
    Row(
        defect="IEA01 miscounts the groups",
        data=changed("IEA*1*", "IEA*2*"),
        asked="E*021",
        unasked="E*021",
        functional=FINE,
    ),
    Row(defect="IEA missing", data=without("IEA"), asked="R*023", unasked="R*023", functional=""),
    Row(defect="ST without GS", data=without("GS", "GE"), asked="E*022", unasked="E*022", functional=""),
    Row(
        defect="no group",
        data=wire([GOOD[0], "IEA*0*000000101"]),
        asked="E*024",
        unasked="E*024",
        functional="",
    ),
    Row(
        defect="GS element missing",
        data=changed("GS*PO*KELDERCO", "GS*PO*"),
        asked="E*024",
        unasked="E*024",
        functional=FINE,
    ),
    Row(
        defect="ISA13 is no number",
        data=changed("000000101", "A00000101"),
        asked="R*018",
        unasked="R*018",
        functional="",
    ),
    Row(
        defect="the terminator is a letter",
        data=wire(GOOD).replace(b"~\n", b"A"),
        asked="R*004",
        unasked="R*004",
        functional="",
    ),
    Row(
        defect="ISA12 unknown",
        data=changed("*U*00401*", "*U*00999*"),
        functional=FINE,
        decision="Others answer R 017. ISA12 and GS08 disagree freely in the field; sets are read by GS08, and all that depends "
        "on ISA12 is whether elements repeat.",
    ),
    Row(defect="ISA12 is no version", data=changed("*U*00401*", "*U*4.010*"), asked="E*017", functional=FINE),
    Row(defect="ISA09 is no date", data=changed("*260924*1030*U", "*269924*1030*U"), asked="E*014", functional=FINE),
    Row(defect="ISA10 is no time", data=changed("*260924*1030*U", "*260924*2561*U"), asked="E*015", functional=FINE),
]

GROUP = [
    Row(
        defect="GE02 differs from GS06",
        data=changed("GE*1*101", "GE*1*102"),
        functional=f"{HEAD} AK5*A AK9*R*1*1*0*4",
    ),
    Row(
        defect="GE01 miscounts the sets",
        data=changed("GE*1*101", "GE*3*101"),
        functional=f"{HEAD} AK5*A AK9*R*3*1*0*5",
    ),
    Row(defect="GE missing", data=without("GE"), functional=f"{HEAD} AK5*A AK9*R*1*1*0*3"),
    Row(
        defect="GS06 is no number",
        data=changed("101*X*", "A1*X*").replace(b"GE*1*101", b"GE*1*A1"),
        functional="AK1*PO*0 AK2*850*0001 AK5*A AK9*R*1*1*0*6",
    ),
    Row(
        defect="GS06 used twice",
        data=wire([*GOOD[:-1], *GOOD[1:-1], "IEA*2*000000101"]),
        functional=f"{FINE} {HEAD} AK5*A AK9*R*1*1*0*6",
    ),
    Row(
        defect="GS01 unknown",
        data=changed("GS*PO*", "GS*QQ*"),
        functional="AK1*QQ*101 AK2*850*0001 AK5*R*1 AK9*R*1*1*0*1",
    ),
    Row(defect="GS08 unknown", data=changed("*X*004010", "*X*T"), functional=f"{HEAD} AK5*A AK9*R*1*1*0*2"),
]

SET = [
    Row(
        defect="ST01 does not fit GS01",
        data=changed("ST*850", "ST*855"),
        functional="AK1*PO*101 AK2*855*0001 AK5*R*1 AK9*R*1*1*0",
    ),
    Row(
        defect="ST01 unknown",
        data=changed("ST*850", "ST*898"),
        functional="AK1*PO*101 AK2*898*0001 AK5*R*1 AK9*R*1*1*0",
    ),
    Row(
        defect="ST01 missing",
        data=changed("ST*850", "ST*"),
        functional="AK1*PO*101 AK2*000*0001 AK5*R*6 AK9*R*1*1*0",
    ),
    Row(
        defect="ST02 too short",
        data=changed("*0001", "*1"),
        functional=f"{HEAD} AK3*ST*1**8 AK4*2*329*4*1 AK3*SE*8**8 AK4*2*329*4*1 AK5*R*5*7 AK9*R*1*1*0",
    ),
    Row(
        defect="ST02 used twice",
        data=sets(BODY, BODY, numbers=("0001", "0001")),
        functional=f"{HEAD} AK5*A AK2*850*0001 AK5*R*23 AK9*P*2*2*1",
    ),
    Row(defect="SE01 wrong", data=changed("SE*8*", "SE*9*"), functional=f"{HEAD} AK5*R*4 AK9*R*1*1*0"),
    Row(
        defect="SE01 and SE02 wrong",
        data=changed("SE*8*0001", "SE*9*0002"),
        functional=f"{HEAD} AK5*R*3*4 AK9*R*1*1*0",
    ),
    Row(defect="SE missing", data=without("SE"), functional=f"{HEAD} AK5*R*2 AK9*R*1*1*0"),
    Row(
        defect="one set of three refused",
        data=sets(BODY, ["BEG*ZZ*SA*PO-2**20260924", *BODY[1:]], BODY),
        functional=f"{HEAD} AK5*A AK2*850*0002 AK3*BEG*2**8 AK4*1*353*7*ZZ AK5*R*5 AK2*850*0003 AK5*A AK9*P*3*3*2",
    ),
]

SEGMENTS = [
    Row(
        defect="unexpected segment",
        data=order(BODY[0], BODY[2], BODY[1], *BODY[3:]),
        functional=f"{HEAD} AK3*CUR*4**2 {REFUSED}",
    ),
    Row(defect="required segment missing", data=order(*BODY[1:]), functional=f"{HEAD} AK3*BEG*2**3 {REFUSED}"),
    Row(
        defect="unknown segment",
        data=instead("CUR", "ZZZ*1"),
        functional=f"{HEAD} AK3*ZZZ*3**1 {REFUSED}",
    ),
    Row(
        defect="segment of another set",
        data=instead("CUR", "BSN*00*1*20260101*1200"),
        functional=f"{HEAD} AK3*BSN*3**6 {REFUSED}",
    ),
    Row(
        defect="segment over its maximum",
        data=instead("CUR", "CUR*BY*USD", "CUR*BY*EUR"),
        functional=f"{HEAD} AK3*CUR*4**5 {REFUSED}",
    ),
    Row(
        defect="loop over its maximum",
        data=instead("N1", *["N1*BY*North Mill"] * 201),
        functional=f"{HEAD} AK3*N1*205**4 {REFUSED}",
    ),
    Row(
        defect="fault inside a bounded loop",
        data=instead("CTT", "LS*LDT", "LDT*AF*x*DA", "LE*LDT", "CTT*1"),
        functional=f"{HEAD} AK3*LDT*8*LDT*8 AK4*2*380*6*x {REFUSED}",
    ),
]

ELEMENTS = [
    Row(
        defect="bad code and bad date",
        data=instead("BEG", "BEG*ZZ*SA*PO-1**2026-09-24"),
        functional=f"{HEAD} AK3*BEG*2**8 AK4*1*353*7*ZZ AK4*5*373*8*2026-09-24 {REFUSED}",
        decision="Some send code 5 for the date as well; what is no date has no length.",
    ),
    Row(
        defect="bad number",
        data=instead("PO1", "PO1*1*ten*EA"),
        functional=f"{HEAD} AK3*PO1*6**8 AK4*2*330*6*ten {REFUSED}",
    ),
    Row(
        defect="unit nobody knows",
        data=instead("PO1", "PO1*1*5*XX"),
        functional=FINE,
        decision="Others answer AK4 3*355*7*XX. Units differ by partner and are compared by meaning; a list here would refuse "
        "what a partner agreed with us yesterday.",
    ),
    Row(
        defect="bad time",
        data=instead("DTM", "DTM*010*20261001*2560"),
        functional=f"{HEAD} AK3*DTM*4**8 AK4*3*337*9*2560 {REFUSED}",
    ),
    Row(
        defect="element missing",
        data=instead("BEG", "BEG*00*SA***20260924"),
        functional=f"{HEAD} AK3*BEG*2**8 AK4*3*324*1 {REFUSED}",
    ),
    Row(
        defect="element missing because of another",
        data=instead("N1", "N1*BY*North Mill*92"),
        functional=f"{HEAD} AK3*N1*5**8 AK4*4*67*2 {REFUSED}",
    ),
    Row(
        defect="too many elements",
        data=instead("N1", "N1*BY*North Mill*92*17*98*BY*surplus"),
        functional=f"{HEAD} AK3*N1*5**8 AK4*7**3*surplus {REFUSED}",
    ),
    Row(
        defect="element too short",
        data=instead("N1", "N1*BY*North Mill", "N4*X"),
        functional=f"{HEAD} AK3*N4*6**8 AK4*1*19*4*X {REFUSED}",
    ),
    Row(
        defect="element too long",
        data=instead("PO1", "PO1*1*5*EACH"),
        functional=f"{HEAD} AK3*PO1*6**8 AK4*3*355*5*EACH {REFUSED}",
    ),
    Row(
        defect="control character",
        data=instead("N1", "N1*BY*North\x07Mill"),
        functional=f"{HEAD} AK3*N1*5**8 AK4*2*93*6*North Mill {REFUSED}",
    ),
    Row(
        defect="bad component",
        data=instead("CTT", "SLN*1**I*5*EAX>2", "CTT*1"),
        functional=f"{HEAD} AK3*SLN*7**8 AK4*5>1*355*5*EAX {REFUSED}",
    ),
    Row(
        defect="too many components",
        data=instead("CTT", "SLN*1**I*5*EA" + ">1>1>EA" * 5, "CTT*1"),
        functional=f"{HEAD} AK3*SLN*7**8 AK4*5**3*EA{' 1 1 EA' * 5} {REFUSED}",
    ),
    Row(
        defect="CTT01 and CTT02 do not add up",
        data=instead("CTT", "CTT*9*77"),
        functional=FINE,
    ),
    Row(
        defect="AMT*TT does not add up",
        data=instead("CTT", "CTT*1", "AMT*TT*1.00"),
        functional=FINE,
    ),
]

ROWS = [*INTERCHANGE, *GROUP, *SET, *SEGMENTS, *ELEMENTS]
every_defect = pytest.mark.parametrize("row", ROWS, ids=[row.defect for row in ROWS])


def answer(data, *, version="004010", **how):
    """What we answer, with the envelope of an answer."""
    (part,) = read(data)
    sent = acknowledge(
        part,
        Envelope(
            sender_qualifier="ZZ",
            sender_id="NORTHMILL",
            receiver_qualifier="ZZ",
            receiver_id="KELDERCO",
            interchange_number=7,
            group_number=42,
            version=version,
            at=datetime(2026, 11, 30, 9, 5, tzinfo=UTC),
        ),
        **how,
    )
    return b"" if sent is None else sent


def said(sent, *identifiers):
    return [line for line in sent.decode("latin-1").split("~") if line.startswith(identifiers)]


def asking(data):
    return data.replace(b"*0*P*>", b"*1*P*>")


@every_defect
def test_the_answer_is_exactly_this(row):
    functional = [f"AK{rest}".strip() for rest in row.functional.split("AK")[1:]]
    assert said(answer(row.data), "AK") == functional
    assert said(answer(asking(row.data)), "AK") == functional
    assert [note(line) for line in said(answer(row.data), "TA1")] == [row.unasked] * bool(row.unasked)
    assert [note(line) for line in said(answer(asking(row.data)), "TA1")] == [row.asked]


def note(ta1):
    """TA104 and TA105."""
    return ta1.split("*", 4)[4]


@every_defect
def test_the_999_says_the_same_in_its_own_segments(row):
    ours = {"AK3": "IK3", "AK4": "IK4", "AK5": "IK5"}
    functional = [ours.get(line[:3], line[:3]) + line[3:] for line in said(answer(row.data, version="005010"), "AK")]
    sent = answer(row.data, code="999")
    assert said(sent, "AK", "IK") == functional
    assert {line[:6] for line in said(sent, "ST")} <= {"ST*999"}
    assert {line[-9:] for line in said(sent, "GS")} <= {"*X*005010"}


@every_defect
def test_an_answer_about_the_group_alone_counts_the_same_and_gives_no_detail(row):
    full, brief = answer(row.data), answer(row.data, detail=False)
    assert said(brief, "AK1", "AK9", "TA1") == said(full, "AK1", "AK9", "TA1")
    assert said(brief, "AK3", "AK4") == []


@every_defect
@pytest.mark.parametrize("code", ["997", "999"])
def test_our_own_reader_accepts_every_answer(row, code):
    (received,) = read(answer(asking(row.data), code=code))
    assert codes(received.findings) == []
    assert len(received.acknowledgments) == 1
    acknowledged = [one for group in received.groups for one in group.sets]
    assert [codes(one.findings) for one in acknowledged] == [[] for _ in acknowledged]
    assert {one.verdict for one in acknowledged} <= {Verdict.ACCEPTED}


@every_defect
@pytest.mark.parametrize(("code", "version"), [("997", "004010"), ("997", "005010"), ("999", "005010")])
def test_stock_pyx12_accepts_every_answer(row, code, version):
    assert second_opinion(answer(row.data, code=code, version=version)) == SecondOpinion(accepted=True, errors=())


def test_the_interchange_behind_a_shifted_one_is_judged_on_its_own():
    shifted = asking(changed("*00*          *00*          *", "*00*  *00*  *"))
    first, second = read(shifted + asking(wire(GOOD)))
    assert (first.note, second.note) == ("011", "000")


def test_the_ta1_stands_between_isa_and_gs():
    sent = answer(asking(wire(GOOD))).decode().split("~")
    assert [line[:3] for line in sent] == [
        "ISA",
        "TA1",
        "GS*",
        "ST*",
        "AK1",
        "AK2",
        "AK5",
        "AK9",
        "SE*",
        "GE*",
        "IEA",
        "",
    ]
