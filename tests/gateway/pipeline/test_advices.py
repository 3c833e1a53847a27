"""Application advices (824): a supplier is told why its document is not used, and what suppliers say of ours is filed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from edi_maps import x12
from edi_maps.canonical import ApplicationAdvice
from gateway.models import Delivery, Document, Event, ExceptionCase, Transmission
from gateway.pipeline import advise, decide, escalate
from partners import onboarding
from partners.models import choices
from tests.gateway.pipeline.conftest import poll_erp

pytestmark = pytest.mark.django_db


def interchange(group: str, code: str, body: str, *, control: int = 7) -> bytes:
    """One set of ACME's in an interchange, its group numbered as the interchange."""
    return (
        f"ISA*00*          *00*          *ZZ*ACMEEDI        *ZZ*PLANTEDI       *261120*1012*U*00401*{control:09d}*0*P*>~"
        f"GS*{group}*ACMEEDI*PLANTEDI*20261120*1012*{control}*X*004010~"
        f"ST*{code}*0001~{body}SE*{body.count('~') + 2}*0001~GE*1*{control}~IEA*1*{control:09d}~"
    ).encode()


def acknowledgment(number: str, quantity: str = "100", *, control: int = 7) -> bytes:
    body = (
        f"BAK*00*AC*{number}*20261116~PO1*10*100*EA*9.95**BP*VALVE-7~ACK*IA*{quantity}*EA~"
        "PO1*20*5.5*EA*9.95**BP*VALVE-7~ACK*IA*5.5*EA~CTT*2~"
    )
    return interchange("PR", "855", body, control=control)


def ship_notice(shipment: str, number: str, quantity: str) -> bytes:
    body = (
        f"BSN*00*{shipment}*20261118*0900~HL*1**S~HL*2*1*O~PRF*{number}~HL*3*2*I~LIN*10*BP*VALVE-7~SN1**{quantity}*EA~"
        "CTT*3~"
    )
    return interchange("SH", "856", body)


def advice(*segments: str, control: int = 7) -> bytes:
    return interchange("AG", "824", f"BGN*11*A-{control}*20261120*1012~{'~'.join(segments)}~", control=control)


@pytest.fixture
def order(connection, erp, acme, drain):
    """An order ACME has received over AS2."""
    placed = erp.release()
    poll_erp()
    drain()
    return placed


@pytest.fixture
def told(acme):
    """With ACME it is agreed that we send application advices."""
    agreement = {"document": "application_advice", "direction": "outbound", "channel": "as2", "format": "x12"}
    onboarding.set_up({"code": "ACME", "agreements": [agreement]})


@pytest.fixture
def telling(acme):
    """With ACME it is agreed that they send application advices."""
    agreement = {"document": "application_advice", "direction": "inbound", "channel": "as2", "format": "x12"}
    onboarding.set_up({"code": "ACME", "agreements": [agreement]})


def sent_advices() -> list[ApplicationAdvice]:
    """What we have said in 824s, as their receiver reads it."""
    rows = Transmission.objects.filter(direction="outbound", documents__code="824").order_by("pk")
    records = [x12.read(row.payload.content)[0].groups[0].sets[0].record for row in rows]
    return [record for record in records if isinstance(record, ApplicationAdvice)]


# -- what we tell


def test_a_discarded_answer_is_refused_in_an_824_with_the_difference_in_words(order, acme, told, take, drain):
    take(acknowledgment(order.number, "80"), partner=acme)
    drain()
    decide.discard(ExceptionCase.objects.get(), actor="ann")
    drain()
    [said] = sent_advices()
    [refusal] = said.advices
    assert (refusal.code, refusal.reference_kind, refusal.reference) == ("TR", "purchase_order", order.number)
    assert (refusal.group_control_number, refusal.set_control_number, refusal.set_code) == ("7", "0001", "855")
    [problem] = refusal.problems
    assert (problem.code, problem.value) == ("011", "80")
    case = ExceptionCase.objects.get()
    assert problem.words.startswith(case.detail["lines"][0]["text"])
    assert problem.words.endswith("Keep to the quantity of the order, or have the buyer change the order first.")
    row = Document.objects.get(code="824")
    assert (row.state, row.group_code, row.type) == ("relayed", "AG", "application_advice")
    assert row.order == Document.objects.get(code="855").order


def test_the_997_takes_what_the_824_refuses(order, acme, told, take, drain):
    take(acknowledgment(order.number, "80"), partner=acme)
    drain()
    decide.discard(ExceptionCase.objects.get(), actor="ann")
    drain()
    [answer] = Transmission.objects.filter(direction="outbound", documents__code="997")
    assert x12.read(answer.payload.content)[0].groups[0].sets[0].acknowledgment.status == "A"


def test_a_refusal_leaves_once(order, acme, told, take, drain):
    take(acknowledgment(order.number, "80"), partner=acme)
    drain()
    decide.discard(ExceptionCase.objects.get(), actor="ann")
    refused = Document.objects.get(code="855")
    with transaction.atomic():
        assert advise.refuse(refused, [], now=timezone.now()) is None
    assert Delivery.objects.filter(key=f"824:{refused.uid}").count() == 1


def test_what_a_person_notes_stays_in_the_house(order, acme, told, take, drain):
    take(acknowledgment(order.number, "80"), partner=acme)
    drain()
    decide.discard(ExceptionCase.objects.get(), actor="ann", note="They never learn.")
    assert b"learn" not in Transmission.objects.get(documents__code="824").payload.content


def test_without_an_agreement_nobody_is_told(order, acme, take, drain):
    take(acknowledgment(order.number, "80"), partner=acme)
    drain()
    decide.discard(ExceptionCase.objects.get(), actor="ann")
    assert sent_advices() == []


def test_what_the_997_refused_is_not_refused_again(order, acme, told, take, drain):
    take(interchange("PR", "855", f"BAK*00*XX*{order.number}*20261116~"), partner=acme)
    drain()
    decide.discard(ExceptionCase.objects.get(), actor="ann")
    assert sent_advices() == []


def test_a_partner_without_997s_is_told_by_824_what_breaks_its_guide(order, acme, told, take, drain):
    onboarding.set_up({"code": "ACME", "x12": {"functional_ack": "none"}})
    take(interchange("PR", "855", f"BAK*00*XX*{order.number}*20261116~"), partner=acme)
    drain()
    decide.discard(ExceptionCase.objects.get(), actor="ann")
    [problem] = sent_advices()[0].advices[0].problems
    assert (problem.segment, problem.position, problem.element, problem.value) == ("BAK", 2, 2, "XX")


def test_a_discarded_shipment_is_named_by_its_shipment_number(order, acme, told, take, drain):
    take(ship_notice("SHP-9", order.number, "101"), partner=acme)
    drain()
    decide.discard(ExceptionCase.objects.get(), actor="ann")
    [refusal] = sent_advices()[0].advices
    assert (refusal.reference_kind, refusal.reference, refusal.set_code) == ("shipment", "SHP-9", "856")
    assert "101 EA shipped, 100 of 100 are open" in refusal.problems[0].words


def test_an_answer_to_an_unknown_order_is_refused_by_the_number_it_named(acme, told, take, drain, settings):
    take(acknowledgment("NO-SUCH"), partner=acme)
    drain()
    escalate.sweep(now=timezone.now() + settings.PARK_FOR + timedelta(minutes=1))
    decide.discard(ExceptionCase.objects.get(), actor="ann")
    [problem] = sent_advices()[0].advices[0].problems
    assert (problem.code, problem.value) == ("011", "NO-SUCH")
    assert problem.words.startswith("NO-SUCH: there is no such order for this supplier.")


def test_a_document_nobody_agreed_on_is_told_without_what_is_ours_to_mend(order, acme, told, take, drain):
    acme.agreements.filter(document="ship_notice").delete()
    take(ship_notice("SHP-9", order.number, "10"), partner=acme)
    drain()
    decide.discard(ExceptionCase.objects.get(), actor="ann")
    [problem] = sent_advices()[0].advices[0].problems
    assert problem.words == "No agreement with this partner covers ship_notice by as2."


def test_a_refusal_that_cannot_be_written_is_a_case(order, acme, told, take, drain):
    onboarding.set_up({"code": "ACME", "x12": {"component": "-"}})
    take(acknowledgment("NO-SUCH"), partner=acme)
    drain()
    held = Document.objects.get(code="855")
    with transaction.atomic():
        assert advise.refuse(held, [], now=timezone.now()) is None
    case = ExceptionCase.objects.get(reason="advice_unwritable")
    assert "NO-SUCH" in case.detail["why"]
    assert sent_advices() == []


def test_the_page_says_before_a_discard_whether_the_supplier_is_told(order, acme, take, drain, admin_client):
    take(acknowledgment(order.number, "80"), partner=acme)
    drain()
    page = reverse("console:decision", args=[ExceptionCase.objects.get().pk, "discard"])
    assert "not told" in admin_client.get(page).content.decode()
    agreement = {"document": "application_advice", "direction": "outbound", "channel": "as2", "format": "x12"}
    onboarding.set_up({"code": "ACME", "agreements": [agreement]})
    assert "application advice (824)" in admin_client.get(page).content.decode()


# -- what they tell us


def ours() -> Document:
    return Document.objects.get(direction="outbound", code="850")


def test_their_824_that_refuses_our_order_is_a_case_with_their_words(order, acme, telling, take, drain):
    sent = ours()
    take(
        advice(
            f"OTI*TR*TN*NA*****{sent.group_control}*{sent.set_control}*850",
            "TED*007*Ship-to is*N1*6*4*67*DOCK 9",
            "NTE*ERN*not in our master data.",
        ),
        partner=acme,
    )
    drain()
    case = ExceptionCase.objects.get()
    assert (case.reason, case.document, case.order, case.team) == (
        "advice_rejected", sent, sent.order, "procurement"
    )  # fmt: skip
    assert case.summary.startswith(f"ACME refuses our 850 {order.number}: N104 (segment 6): the partner's system says:")
    [found] = case.detail["findings"]
    assert "data missing: Ship-to is not in our master data (sent: 'DOCK 9')" in found["text"]
    told = Event.objects.get(name="document.advised")
    assert (told.document, told.order) == (sent, sent.order)
    assert (told.data["status"], told.data["codes"]) == ("rejected", ["007"])
    assert Document.objects.get(code="824").state == "relayed"
    [answer] = Transmission.objects.filter(direction="outbound", documents__code="997")
    assert x12.read(answer.payload.content)[0].groups[0].sets[0].acknowledgment.functional_id == "AG"


@pytest.mark.parametrize(
    "names",
    ["OTI*TR*PO*{number}*******850", "OTI*TR*PO*{number}", "OTI*TR*TN*X-1*******850~REF*PO*{number}"],
)
def test_without_control_numbers_the_order_is_found_by_its_number(order, acme, telling, take, drain, names):
    take(advice(*names.format(number=order.number).split("~")), partner=acme)
    drain()
    case = ExceptionCase.objects.get()
    assert (case.reason, case.document) == ("advice_rejected", ours())
    assert "without a reason" in case.summary


def test_control_numbers_that_are_not_ours_fall_back_to_the_order_number(order, acme, telling, take, drain):
    take(advice(f"OTI*TA*PO*{order.number}*****99999*0001*850"), partner=acme)
    drain()
    assert Event.objects.get(name="document.advised").document == ours()
    assert not ExceptionCase.objects.exists()


def test_an_acceptance_is_an_event_and_settles_an_earlier_refusal(order, acme, telling, take, drain):
    take(advice(f"OTI*TR*PO*{order.number}", control=7), partner=acme, message_id="m1")
    take(advice(f"OTI*TA*PO*{order.number}", control=8), partner=acme, message_id="m2")
    drain()
    statuses = Event.objects.filter(name="document.advised").order_by("pk").values_list("data__status", flat=True)
    assert list(statuses) == ["rejected", "accepted"]
    assert ExceptionCase.objects.get().resolution == "settled"


def test_what_is_said_of_many_items_of_one_order_is_one_event_and_one_case(order, acme, telling, take, drain):
    take(
        advice(
            f"OTI*IA*PO*{order.number}",
            f"OTI*IR*PO*{order.number}",
            "TED*848*Unit of line 20",
            f"OTI*IR*PO*{order.number}",
            "TED*009*Day of line 30",
        ),
        partner=acme,
    )
    drain()
    case = ExceptionCase.objects.get()
    assert [found["text"].rpartition("says: ")[2] for found in case.detail["findings"]] == [
        "data not correct: Unit of line 20.",
        "date not valid: Day of line 30.",
    ]
    told = Event.objects.get(name="document.advised")
    assert (told.data["status"], told.data["codes"]) == ("rejected", ["009", "848"])


def test_an_advice_about_nothing_of_ours_is_a_case_that_says_so(order, acme, telling, take, drain):
    take(advice("OTI*TR*SI*SHP-1*******856", "TED*024*Gone"), partner=acme)
    drain()
    case = ExceptionCase.objects.get()
    assert case.reason == "advice_unmatched"
    assert case.summary == "ACME advises on a document we cannot find: 856, shipment, SHP-1"
    assert "another reason: Gone" in case.detail["findings"][0]["text"]
    assert not Event.objects.filter(name="document.advised").exists()


def test_an_advice_about_another_partners_order_is_not_matched(order, acme, telling, take, drain):
    Document.objects.filter(code="850").update(partner=onboarding.set_up({"code": "OTHER", "name": "Other"}))
    take(advice(f"OTI*TR*PO*{order.number}"), partner=acme)
    drain()
    assert ExceptionCase.objects.get().reason == "advice_unmatched"


def test_an_advice_nobody_agreed_on_is_taken_when_the_agreement_is_there(order, acme, take, drain):
    take(advice(f"OTI*TR*PO*{order.number}"), partner=acme)
    drain()
    case = ExceptionCase.objects.get()
    assert case.reason == "no_agreement"
    agreement = {"document": "application_advice", "direction": "inbound", "channel": "as2", "format": "x12"}
    onboarding.set_up({"code": "ACME", "agreements": [agreement]})
    decide.replay(case, actor="ann")
    drain()
    assert ExceptionCase.objects.get(state="open").reason == "advice_rejected"


def test_agreements_offer_the_application_advice():
    assert ("application_advice", "Application advice") in choices.documents()
