"""997, 999 and TA1 from a supplier find the documents of ours they speak of, and ours go out as agreed."""

from __future__ import annotations

import pytest

from edi_maps import x12
from gateway.models import Document, Event, ExceptionCase, Interchange, Transmission
from partners import onboarding
from tests.gateway.pipeline.conftest import poll_erp

pytestmark = pytest.mark.django_db

HEADER = (
    "ISA*00*          *00*          *ZZ*ACMEEDI        *ZZ*PLANTEDI       *261120*1012*U*00401*{control:09d}*0*P*>~"
)


def sent_by_acme(*segments: str, control: int = 9, code: str = "997", version: str = "004010") -> bytes:
    """An interchange of one acknowledgment."""
    group = f"GS*FA*ACMEEDI*PLANTEDI*20261120*1012*{control}*X*{version}~ST*{code}*0001~"
    body = "".join(f"{segment}~" for segment in segments)
    end = f"SE*{len(segments) + 2}*0001~GE*1*{control}~IEA*1*{control:09d}~"
    return f"{HEADER.format(control=control)}{group}{body}{end}".encode()


def ta1s(*segments: str, control: int = 9) -> bytes:
    return f"{HEADER.format(control=control)}{'~'.join(segments)}~IEA*0*{control:09d}~".encode()


@pytest.fixture
def ours(connection, erp, acme, drain):
    """The document of an order ACME has received over AS2."""
    erp.release()
    poll_erp()
    drain()
    return Document.objects.get(direction="outbound")


@pytest.fixture
def says(acme, take, drain):
    """Receive what ACME says, each time in a message of its own."""
    count = iter(range(1, 100))

    def message(payload: bytes) -> None:
        take(payload, partner=acme, message_id=f"m{next(count)}")
        drain()

    return message


def acknowledged(document: Document) -> str:
    document.refresh_from_db()
    return document.acknowledged


def position_of(segment: str, document: Document) -> int:
    (part,) = x12.scan(document.transmission.payload.content)
    return next(one.position for one in part.groups[0].sets[0].segments if one.id == segment)


def test_a_999_is_filed_like_a_997(ours, says):
    answer = [f"AK1*PO*{ours.group_control}*005010", f"AK2*850*{ours.set_control}", "IK5*A", "AK9*A*1*1*1"]
    says(sent_by_acme(*answer, code="999", version="005010X231A1"))
    assert acknowledged(ours) == "accepted"
    assert Document.objects.get(code="999").type == "functional_acknowledgment"
    assert not ExceptionCase.objects.exists()


def test_a_refusal_tells_which_element_of_ours_and_why(ours, says):
    at = position_of("PO1", ours)
    refusal = [f"AK3*PO1*{at}**8", "AK4*2*330*7", "AK5*R*5", "AK9*R*1*1*0"]
    says(sent_by_acme(f"AK1*PO*{ours.group_control}", f"AK2*850*{ours.set_control}", *refusal))
    assert acknowledged(ours) == "rejected"
    case = ExceptionCase.objects.get()
    assert (case.reason, case.document, case.order) == ("functional_ack_rejected", ours, ours.order)
    words = (
        f"PO102 (segment {at}): the partner found fault with Quantity ordered ('100'): "
        "the code is not one they accept (AK403 7)."
    )
    assert case.summary == f"ACME cannot read our 850 {ours.number}: {words}"
    assert case.detail["why"] == "AK5 R 5, AK9 R"
    (found,) = case.detail["findings"]
    assert (found["text"], found["segment"], found["position"], found["element"]) == (words, "PO1", at, 2)


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (["AK5*A", "AK9*A*1*1*1"], "accepted"),
        (["AK5*E*5", "AK9*E*1*1*1"], "accepted_with_errors"),
        (["AK5*A", "AK9*R*1*1*0*4"], "rejected"),
        (["AK5*R", "AK9*P*2*2*1"], "rejected"),
        (["AK5*A", "AK9*P*2*2*1"], "accepted"),
        (["AK9*A*1*1*1"], "accepted"),
        (["AK5*M", "AK9*M*1*1*0"], "rejected"),
        (["AK5*A"], "accepted"),
    ],
)
def test_the_group_and_the_set_have_their_say(ours, says, verdicts, expected):
    says(sent_by_acme(f"AK1*PO*{ours.group_control}", f"AK2*850*{ours.set_control}", *verdicts))
    assert acknowledged(ours) == expected
    assert [case.reason for case in ExceptionCase.objects.all()] == ["functional_ack_rejected"] * (
        expected == "rejected"
    )


def test_of_a_group_partly_accepted_a_set_not_listed_is_counted_out(ours, says):
    says(sent_by_acme(f"AK1*PO*{ours.group_control}", "AK2*850*0099", "AK5*R*5", "AK9*P*2*2*1"))
    assert acknowledged(ours) == "accepted"


@pytest.mark.parametrize(
    "verdicts",
    [["AK9*P*2*2*1"], [], ["AK2*850*{set}", "AK5*P", "AK9*P*1*1*1"]],
    ids=["partly, without saying which", "cut short", "partly one set"],
)
def test_an_acknowledgment_that_leaves_open_what_became_of_ours_asks_a_person(ours, says, verdicts):
    said = [verdict.format(set=ours.set_control) for verdict in verdicts]
    says(sent_by_acme(f"AK1*PO*{ours.group_control}", *said))
    assert acknowledged(ours) == ""
    case = ExceptionCase.objects.get()
    assert case.reason == "functional_ack_rejected"
    assert case.detail["why"].startswith("The acknowledgment does not say what became of the document: ")


def test_a_refusal_taken_back_settles_its_case(ours, says):
    head = [f"AK1*PO*{ours.group_control}", f"AK2*850*{ours.set_control}"]
    says(sent_by_acme(*head, "AK5*R*5", "AK9*R*1*1*0", control=9))
    says(sent_by_acme(*head, "AK5*A", "AK9*A*1*1*1", control=10))
    assert acknowledged(ours) == "accepted"
    case = ExceptionCase.objects.get()
    assert (case.state, case.resolution) == ("resolved", "settled")


def test_control_numbers_are_matched_whatever_their_zeros(ours, says):
    says(
        sent_by_acme(
            f"AK1*PO*{ours.group_control.zfill(9)}", f"AK2*850*{int(ours.set_control):09d}", "AK5*A", "AK9*A*1*1*1"
        )
    )
    assert acknowledged(ours) == "accepted"


@pytest.mark.parametrize(
    ("payload", "what"),
    [
        (sent_by_acme("AK1*PO*4711", "AK2*850*0001", "AK5*A", "AK9*A*1*1*1"), "group PO 4711"),
        (sent_by_acme("AK1*PR*4711", "AK9*A*1*1*1", code="999", version="005010"), "group PR 4711"),
        (ta1s("TA1*000004711*261120*1010*A*000"), "interchange 000004711"),
        (ta1s("TA1*4711*261120*1010*R*023"), "interchange 000004711"),
    ],
    ids=["997", "999", "TA1", "TA1 that rejects"],
)
def test_an_acknowledgment_of_nothing_we_sent_is_told_once(ours, says, payload, what):
    says(payload)
    says(payload.replace(b"000000009", b"000000010"))
    case = ExceptionCase.objects.get()
    assert (case.reason, case.team, case.occurrences) == ("acknowledgment_unmatched", "operations", 2)
    assert case.summary == f"ACME acknowledges {what}, which we did not send to them"
    assert Event.objects.filter(name="acknowledgment.unmatched").count() == 2
    assert acknowledged(ours) == ""


def test_a_set_we_did_not_send_in_a_group_we_sent_is_told_too(ours, says):
    answer = [f"AK2*850*{ours.set_control}", "AK5*A", "AK2*850*0777", "AK5*R*5", "AK9*P*2*2*1"]
    says(sent_by_acme(f"AK1*PO*{ours.group_control}", *answer))
    assert acknowledged(ours) == "accepted"
    case = ExceptionCase.objects.get()
    assert case.summary == (
        f"ACME acknowledges 850 0777 of group PO {ours.group_control}, which we did not send to them"
    )


def test_many_ta1s_in_one_interchange_are_one_case(ours, says):
    says(ta1s(*(f"TA1*{number:09d}*261120*1010*R*015" for number in range(5_000, 7_000))))
    case = ExceptionCase.objects.get()
    assert (case.occurrences, len(case.detail["control_numbers"])) == (1, 500)


def test_another_partners_acknowledgment_is_not_about_ours(ours, says, castra):
    Document.objects.filter(pk=ours.pk).update(partner=castra)
    says(sent_by_acme(f"AK1*PO*{ours.group_control}", f"AK2*850*{ours.set_control}", "AK5*R*5", "AK9*R*1*1*0"))
    assert acknowledged(ours) == ""
    assert ExceptionCase.objects.get().reason == "acknowledgment_unmatched"


def test_a_number_used_again_is_the_newest_one(ours, says):
    newer = Document.objects.create(
        direction="outbound",
        channel="as2",
        partner=ours.partner,
        type="purchase_order",
        format="x12",
        code="850",
        group_code="PO",
        group_control=ours.group_control,
        set_control=ours.set_control,
    )
    says(sent_by_acme(f"AK1*PO*{ours.group_control}", "AK9*A*1*1*1"))
    assert (acknowledged(newer), acknowledged(ours)) == ("accepted", "")


def test_a_ta1_says_in_words_why_it_refuses_our_interchange(ours, says):
    says(ta1s(f"TA1*{ours.interchange.control_number}*261120*1010*R*006"))
    assert acknowledged(ours) == "rejected"
    case = ExceptionCase.objects.get()
    assert case.detail["why"] == "TA1 R 006"
    assert case.summary.endswith("they do not know the sender (TA105 006).")
    event = Event.objects.get(name="interchange.acknowledged")
    assert (event.transmission, event.data) == (ours.transmission, {"status": "R", "note": "006"})


def test_a_ta1_that_accepts_says_nothing_of_the_order(ours, says):
    says(ta1s(f"TA1*{ours.interchange.control_number}*261120*1010*E*021"))
    assert acknowledged(ours) == ""
    assert Event.objects.get(name="interchange.acknowledged").data == {"status": "E", "note": "021"}
    assert not ExceptionCase.objects.exists()


def test_an_acknowledgment_in_a_refused_interchange_is_not_filed_and_comes_again(ours, says):
    whole = sent_by_acme(f"AK1*PO*{ours.group_control}", f"AK2*850*{ours.set_control}", "AK5*A", "AK9*A*1*1*1")
    says(whole.partition(b"IEA")[0])
    assert acknowledged(ours) == ""
    (answered,) = x12.read(Transmission.objects.filter(direction="outbound").last().payload.content)
    assert answered.acknowledgments[0].elements[4:] == ["R", "023"]
    assert Document.objects.filter(direction="outbound").last().code == "TA1"
    says(whole)
    assert acknowledged(ours) == "accepted"
    says(whole)
    assert [row.verdict for row in Interchange.objects.filter(direction="inbound").order_by("pk")] == [
        "rejected",
        "accepted",
        "accepted",
    ]
    assert ExceptionCase.objects.last().reason == "interchange_repeated"


# -- what we answer


def an_855(number: str, control: int = 1) -> bytes:
    body = f"BAK*00*AC*{number}*20261116~PO1*10*100*EA~ACK*IA*100*EA~CTT*1~"
    return (
        f"{HEADER.format(control=control)}GS*PR*ACMEEDI*PLANTEDI*20261120*1012*{control}*X*004010~ST*855*0001~{body}"
        f"SE*6*0001~GE*1*{control}~IEA*1*{control:09d}~"
    ).encode()


@pytest.mark.parametrize(
    ("kind", "code", "version", "segments"),
    [
        ("full", "997", "004010", ["AK1*PR*1", "AK2*855*0001", "AK5*A", "AK9*A*1*1*1"]),
        ("group", "997", "004010", ["AK1*PR*1", "AK9*A*1*1*1"]),
        ("999", "999", "005010", ["AK1*PR*1*004010", "AK2*855*0001", "IK5*A", "AK9*A*1*1*1"]),
    ],
)
def test_the_partner_gets_the_acknowledgment_agreed_on(ours, acme, says, kind, code, version, segments):
    onboarding.set_up({"code": "ACME", "x12": {"functional_ack": kind}})
    says(an_855(ours.number))
    document = Document.objects.filter(direction="outbound").last()
    assert (document.code, document.version, document.type) == (code, version, "functional_acknowledgment")
    (answered,) = x12.read(document.transmission.payload.content)
    assert ["*".join(one.elements) for one in answered.groups[0].sets[0].segments][1:-1] == segments


def test_a_partner_who_wants_no_acknowledgment_gets_none(ours, acme, says):
    onboarding.set_up({"code": "ACME", "x12": {"functional_ack": "none"}})
    says(an_855(ours.number).replace(b"*0*P*>", b"*1*P*>"))
    assert Document.objects.filter(direction="outbound").count() == 1
