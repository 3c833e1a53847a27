"""What partners send beyond the plain case has its place in the guides: none of it is a reason to refuse a document."""

import pytest

from edi_maps.findings import Verdict
from edi_maps.x12 import read

from .documents import document

#: Each: what it is, the set, and its segments where partners put them.
ACCEPTED = [
    (
        "notes of old versions, before and after the line's own segments",
        "850",
        "BEG / NTE*ADD*HEADER / PO1 / NTE*SPH*LINE / SAC / NTE*SPH*LATE / TXI",
    ),
    ("a message to the party it stands under", "850", "BEG / N1 / MSG*KNOCK TWICE / PO1"),
    ("the parts of a name", "850", "BEG / N1 / IN2*05*ADLER / N3*1 ROAD / PO1"),
    ("a customs number of the goods", "850", "BEG / PO1 / DTM / TC2*J*5811.00.3000 / MSG*QUILTED"),
    ("an advertising date", "850", "BEG / ADV*ZZ*AA / DTM / MTX**SPRING CATALOG / PO1"),
    ("lead times between their brackets", "850", "BEG / PO1 / LS*LDT / LDT*AF*3*DA / QTY*38*5*EA / LE*LDT / N1"),
    ("dangerous goods", "856", "BSN / HL*1**S / LH1*EA*4*UN1263 / LH2*3*P / LH3*PAINT*S / LHR*AX*77 / PER / N1"),
    (
        "loads of equal containers, each with its labels",
        "856",
        "BSN / HL*1**S / HL*2*1*I / LIN / SN1 / CLD*6*266*PAT90 / REF*LS*S1 / CLD*1*4*PAT90 / N1",
    ),
    ("a vessel and its ports", "856", "BSN / HL*1**S / N1 / V1**NORTHERN STAR*NO*12E*ABCD / R4*L*UN*NOOSL / DTM"),
    (
        "a description after the answer it belongs to",
        "855",
        "BAK / PO1 / ACK / PID*F****BOLT / PO1 / ACK / PID*F****NUT / REF*ZZ**DISCONTINUED",
    ),
    ("a message under a party of an answer", "855", "BAK / N1 / MSG*CLOSED ON MONDAY / PO1 / ACK"),
]

#: What a segment says where the table above only names it.
PLAIN = {
    "BEG": "BEG*00*SA*PO-1**20260924",
    "BAK": "BAK*00*AC*PO-1*20260924",
    "BSN": "BSN*00*SHIP-1*20260924*1200",
    "PO1": "PO1*1*5*EA*2.5**VP*B-1",
    "ACK": "ACK*IA*5*EA",
    "LIN": "LIN**VP*B-1",
    "SN1": "SN1**5*EA",
    "SAC": "SAC*C*D240***500",
    "TXI": "TXI*ST*4",
    "DTM": "DTM*002*20261001",
    "N1": "N1*ST*NORTH DOCK",
    "PER": "PER*IC*A PERSON*TE*5550100",
}


@pytest.mark.parametrize("version", ["004010", "005010"])
@pytest.mark.parametrize(("code", "outline"), [row[1:] for row in ACCEPTED], ids=[row[0] for row in ACCEPTED])
def test_nothing_is_wrong_with(code, outline, version):
    segments = [PLAIN.get(segment, segment) for segment in outline.split(" / ")]
    [transaction_set] = read(document(*segments, code=code, version=version))[0].groups[0].sets
    assert transaction_set.findings == []
    assert transaction_set.verdict is Verdict.ACCEPTED
