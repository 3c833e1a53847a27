"""Translate, apply and relay to the ERP: a supplier's answer on its whole way, and every way it can go wrong."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from edi_maps import x12
from gateway.models import (
    Delivery,
    DeliveryKind,
    Document,
    ErpConnection,
    ExceptionCase,
    Interchange,
    Order,
    OrderLine,
    Transmission,
)
from gateway.pipeline import apply, decide, escalate, relay, release
from partners import onboarding
from tests.gateway.erp.counterpart import order_record
from tests.gateway.pipeline.conftest import poll_erp
from tests.gateway.queue_rows import make_due

pytestmark = pytest.mark.django_db


def acknowledgment(number: str, *, quantity: str = "100", **changes) -> bytes:
    answered = {"status": "accepted", "quantity": quantity, "unit": "EA"}
    rest = {"status": "accepted", "quantity": "5.5", "unit": "EA"}
    record = {
        "type": "order_acknowledgment",
        "order_number": number,
        "disposition": "accepted",
        "lines": [
            {"line_number": "10", "quantity": quantity, "unit": "EA", "responses": [answered]},
            {"line_number": "20", "quantity": "5.5", "unit": "EA", "responses": [rest]},
        ],
    }
    return json.dumps(record | changes).encode()


def ship_notice(number: str, *, quantity: str = "60", shipment: str = "S1") -> bytes:
    item = {"order_number": number, "order_line": "10", "quantity": quantity, "unit": "EA"}
    return json.dumps({"type": "ship_notice", "shipment_number": shipment, "items": [item]}).encode()


def interchange(*sets: str, control: int = 1, sender: str = "ACMEEDI") -> bytes:
    """An interchange of one 855 group, its sets numbered from 1."""
    written = "".join(
        f"ST*855*{number:04d}~{body}SE*{body.count('~') + 2}*{number:04d}~" for number, body in enumerate(sets, 1)
    )
    return (
        f"ISA*00*          *00*          *ZZ*{sender:<15}*ZZ*PLANTEDI       *261120*1012*U*00401*{control:09d}*0*P*>~"
        f"GS*PR*{sender}*PLANTEDI*20261120*1012*{control}*X*004010~{written}"
        f"GE*{len(sets)}*{control}~IEA*1*{control:09d}~"
    ).encode()


def ack_set(number: str, quantity: str = "100") -> str:
    return (
        f"BAK*00*AC*{number}*20261116~PO1*10*100*EA*9.95**BP*VALVE-7~ACK*IA*{quantity}*EA~"
        "PO1*20*5.5*EA*9.95**BP*VALVE-7~ACK*IA*5.5*EA~CTT*2~"
    )


@pytest.fixture
def order(connection, erp, castra):
    """An order for CASTRA, in the book."""
    onboarding.set_up({"code": "CASTRA", "supplier_numbers": ["S-100"]})
    placed = erp.release()
    poll_erp()
    return placed


@pytest.fixture
def acme_order(connection, erp, acme, drain):
    """An order ACME has received over AS2."""
    placed = erp.release()
    poll_erp()
    drain()
    return placed


def of_erp() -> Delivery:
    return Delivery.objects.get(kind="erp")


def again() -> None:
    make_due(kind="erp")
    relay.work(DeliveryKind.ERP, "test", most=1)


def test_an_answer_within_tolerance_reaches_the_erp_without_a_person(order, erp, take, drain):
    take(acknowledgment(order.number))
    drain()
    assert erp.applications(of_erp().key) == 1
    assert Document.objects.get(direction="inbound").state == "relayed"
    assert Order.objects.get().acknowledged_revision == 1
    assert not ExceptionCase.objects.exists()


def test_a_difference_waits_for_a_person_with_both_sides_shown(order, erp, take, drain):
    take(acknowledgment(order.number, quantity="80"))
    drain()
    case = ExceptionCase.objects.get()
    assert case.reason == "acknowledgment_differs"
    line = next(one for one in case.detail["lines"] if one["field"] == "quantity")
    assert (line["line"], line["ordered"], line["answered"]) == ("10", "100", "80")
    assert not Delivery.objects.filter(kind="erp").exists()
    assert OrderLine.objects.get(line_number="10").confirmed == 0


def test_an_accepted_difference_goes_on_to_the_erp_once(order, erp, take, drain):
    take(acknowledgment(order.number, quantity="80"))
    drain()
    case = ExceptionCase.objects.get()
    decide.accept(case, actor="ann", note="by telephone")
    with pytest.raises(decide.NotPossible):
        decide.accept(case, actor="bob")
    drain()
    assert erp.applications(of_erp().key) == 1
    assert OrderLine.objects.get(line_number="10").confirmed == 80
    assert [entry.action for entry in case.history.all()] == ["opened", "accepted"]


def test_a_discarded_answer_changes_nothing(order, take, drain):
    take(acknowledgment(order.number, quantity="80"))
    drain()
    decide.discard(ExceptionCase.objects.get(), actor="ann")
    drain()
    assert Document.objects.get(direction="inbound").state == "discarded"
    assert not Delivery.objects.filter(kind="erp").exists()


def test_after_wider_terms_a_replay_passes(order, erp, take, drain):
    take(acknowledgment(order.number, quantity="99"))
    drain()
    onboarding.set_up({"code": "CASTRA", "ack": {"quantity_tolerance_percent": "2"}})
    decide.replay(ExceptionCase.objects.get(), actor="ann")
    drain()
    assert sorted(Document.objects.filter(direction="inbound").values_list("state", flat=True)) == [
        "relayed",
        "replayed",
    ]
    assert erp.applications(of_erp().key) == 1


def test_an_answer_before_its_order_waits_and_then_goes_on(connection, erp, castra, take, drain):
    onboarding.set_up({"code": "CASTRA", "supplier_numbers": ["S-100"]})
    placed = erp.release()
    take(acknowledgment(placed.number))
    drain()
    assert Document.objects.get().state == "parked"
    poll_erp()
    drain()
    assert Document.objects.get(direction="inbound").state == "relayed"
    assert erp.applications(of_erp().key) == 1


def test_an_answer_parked_in_the_moment_its_order_is_made_is_found_by_the_sweep(
    connection, erp, castra, take, drain, monkeypatch
):
    onboarding.set_up({"code": "CASTRA", "supplier_numbers": ["S-100"]})
    placed = erp.release()
    take(acknowledgment(placed.number))
    drain()
    monkeypatch.setattr(release, "wake_parked", lambda order: None)  # its transaction did not see the parked one
    poll_erp()
    drain()
    assert Document.objects.get(direction="inbound").state == "parked"
    escalate.sweep(now=timezone.now())
    escalate.sweep(now=timezone.now())
    drain()
    assert Document.objects.get(direction="inbound").state == "relayed"
    assert erp.applications(of_erp().key) == 1
    assert not ExceptionCase.objects.exists()


def test_what_waits_for_long_does_not_keep_the_sweep_from_what_was_just_overlooked(
    connection, erp, castra, take, drain, monkeypatch
):
    onboarding.set_up({"code": "CASTRA", "supplier_numbers": ["S-100"]})
    monkeypatch.setattr(apply, "_PARKED_AT_ONCE", 1)
    placed = erp.release()
    take(acknowledgment("no-such-order"), message_id="m1")
    take(acknowledgment(placed.number), message_id="m2")
    drain()
    monkeypatch.setattr(release, "wake_parked", lambda order: None)
    poll_erp()
    escalate.sweep(now=timezone.now())
    drain()
    states = Document.objects.filter(direction="inbound").order_by("pk").values_list("state", flat=True)
    assert list(states) == ["parked", "relayed"]


def test_an_answer_to_an_order_nobody_knows_is_a_case_after_its_deadline(castra, take, drain, settings):
    take(acknowledgment("no-such-order"))
    drain()
    escalate.sweep(now=timezone.now())
    assert not ExceptionCase.objects.exists()
    escalate.sweep(now=timezone.now() + settings.PARK_FOR + timedelta(minutes=1))
    escalate.sweep(now=timezone.now() + settings.PARK_FOR + timedelta(minutes=1))
    case = ExceptionCase.objects.get()
    assert (case.reason, case.occurrences) == ("order_unknown", 1)
    assert Document.objects.get().state == "held"


def test_the_same_answer_in_a_new_message_has_no_second_effect(order, erp, take, drain):
    take(acknowledgment(order.number), message_id="m1")
    take(acknowledgment(order.number), message_id="m2")
    drain()
    assert sorted(Document.objects.filter(direction="inbound").values_list("state", flat=True)) == [
        "discarded",
        "relayed",
    ]
    assert Delivery.objects.filter(kind="erp").count() == 1


def test_the_same_difference_again_waits_in_the_case_that_is_open(order, take, drain):
    take(acknowledgment(order.number, quantity="80"), message_id="m1")
    take(acknowledgment(order.number, quantity="80"), message_id="m2")
    drain()
    assert ExceptionCase.objects.count() == 1
    assert sorted(Document.objects.filter(direction="inbound").values_list("state", flat=True)) == ["discarded", "held"]


def test_the_same_words_after_a_change_are_the_answer_to_the_change(order, erp, take, drain):
    onboarding.set_up({"code": "CASTRA", "ack": {"quantity_tolerance_percent": "50"}})
    take(acknowledgment(order.number), message_id="m1")
    drain()
    erp.change(order, "120")
    poll_erp()
    take(acknowledgment(order.number), message_id="m2")
    drain()
    assert Order.objects.get().acknowledged_revision == 2
    assert Delivery.objects.filter(kind="erp", state="delivered").count() == 2


def two_companies(erp, number: str) -> None:
    for company in ("PLANT-A", "PLANT-B"):
        body = {"company": company, "supplier_number": "S-100", "record": order_record(number)}
        erp.admin("POST", "release", body)
    poll_erp()


def test_an_order_number_of_two_companies_is_told_apart_by_the_parties_of_the_answer(order, erp, take, drain):
    two_companies(erp, "DOUBLE-1")
    take(acknowledgment("DOUBLE-1", parties=[{"role": "ship_to", "id": "PLANT-B"}]))
    drain()
    assert of_erp().company == "PLANT-B"
    assert of_erp().standing == "delivered"


def test_an_order_number_of_two_companies_that_nobody_names_waits_for_a_person(order, erp, take, drain):
    two_companies(erp, "DOUBLE-2")
    take(acknowledgment("DOUBLE-2"))
    drain()
    assert ExceptionCase.objects.get().reason == "order_ambiguous"
    assert not Delivery.objects.filter(kind="erp").exists()


def test_a_second_other_answer_replaces_the_first_in_order(order, erp, take, drain):
    onboarding.set_up({"code": "CASTRA", "ack": {"quantity_tolerance_percent": "50"}})
    take(acknowledgment(order.number, quantity="90"), message_id="m1")
    take(acknowledgment(order.number, quantity="95"), message_id="m2")
    drain()
    assert OrderLine.objects.get(line_number="10").confirmed == 95
    assert [erp.applications(row.key) for row in Delivery.objects.filter(kind="erp")] == [1, 1]


def test_a_shipment_reaches_the_erp_and_closes_what_it_ships(order, erp, take, drain):
    take(ship_notice(order.number))
    drain()
    assert erp.applications(of_erp().key) == 1
    assert OrderLine.objects.get(line_number="10").open == 40


def test_more_than_is_open_waits_for_a_person(order, take, drain):
    take(ship_notice(order.number, quantity="101"))
    drain()
    assert ExceptionCase.objects.get().reason == "ship_notice_differs"
    assert OrderLine.objects.get(line_number="10").shipped == 0


def test_a_change_after_shipment_is_not_sent_in_silence(order, erp, take, drain):
    take(ship_notice(order.number))
    drain()
    erp.change(order, "150")
    poll_erp()
    assert ExceptionCase.objects.get().reason == "change_after_ship"
    assert Document.objects.filter(direction="outbound").last().state == "held"
    decide.accept(ExceptionCase.objects.get(), actor="ann")
    assert Document.objects.filter(direction="outbound").last().state == "relayed"


def test_a_late_answer_is_a_case_that_settles_itself_when_it_comes(order, take, drain):
    late = timezone.now() + timedelta(days=3)
    escalate.sweep(now=late)
    escalate.sweep(now=late)
    case = ExceptionCase.objects.get()
    assert (case.reason, case.occurrences) == ("ack_late", 1)
    take(acknowledgment(order.number))
    drain()
    case.refresh_from_db()
    assert (case.state, case.resolution) == ("resolved", "settled")


# -- the ERP misbehaves


@pytest.mark.parametrize("fault", ["lose_answer", "late_500", "garbage"])
def test_an_erp_that_did_it_and_did_not_say_so_is_asked_before_anything_is_sent_again(order, erp, take, drain, fault):
    take(acknowledgment(order.number))
    erp.misbehave(fault, routes=["submit"])
    drain()
    assert of_erp().standing == "in_doubt"
    again()
    assert of_erp().standing == "delivered"
    assert erp.applications(of_erp().key) == 1
    assert len(erp.requests(of_erp().key)) == 1


@pytest.mark.parametrize("fault", ["down", "error_500", "busy_429"])
def test_an_erp_that_did_nothing_gets_it_again(order, erp, take, drain, fault):
    take(acknowledgment(order.number))
    erp.misbehave(fault, routes=["submit"])
    drain()
    assert of_erp().standing in {"pending", "in_doubt"}
    again()
    assert of_erp().standing == "delivered"
    assert erp.applications(of_erp().key) == 1


def test_a_fault_of_ours_after_the_erp_took_it_is_looked_up_too(order, erp, take, drain, monkeypatch):
    arrived = relay._arrived_in_erp

    def fails_once(*arguments):
        monkeypatch.setattr(relay, "_arrived_in_erp", arrived)
        raise OSError("disk full")

    monkeypatch.setattr(relay, "_arrived_in_erp", fails_once)
    take(acknowledgment(order.number))
    drain()
    assert of_erp().standing == "in_doubt"
    again()
    assert of_erp().standing == "delivered"
    assert len(erp.requests(of_erp().key)) == 1


def test_an_erp_that_refuses_makes_a_case_in_its_own_words_and_a_retry_ends_it(order, erp, take, drain):
    take(acknowledgment(order.number))
    erp.misbehave("reject", routes=["submit"])
    drain()
    case = ExceptionCase.objects.get()
    assert (case.reason, of_erp().standing) == ("erp_refused", "dead")
    decide.retry(case, actor="ann")
    drain()
    assert of_erp().standing == "delivered"
    assert Document.objects.get(direction="inbound").state == "relayed"


def test_a_dead_letter_holds_the_next_document_of_its_order_and_no_other(order, erp, take, drain):
    take(acknowledgment(order.number), message_id="m1")
    erp.misbehave("reject", routes=["submit"])
    drain()
    take(ship_notice(order.number), message_id="m2")
    other = erp.release()
    poll_erp()
    take(acknowledgment(other.number), message_id="m3")
    drain()
    states = {row.document.number: row.standing for row in Delivery.objects.filter(kind="erp")}
    assert states == {order.number: "dead", "S1": "pending", other.number: "delivered"}
    decide.close(ExceptionCase.objects.get(), actor="ann")
    drain()
    assert Delivery.objects.get(kind="erp", document__number="S1").state == "delivered"


def test_a_stopped_connection_charges_no_attempt(order, take, drain):
    take(acknowledgment(order.number))
    ErpConnection.objects.update(active=False)
    drain()
    assert (of_erp().standing, of_erp().entry.attempts) == ("pending", 0)


def test_an_asynchronous_erp_is_asked_until_it_has_decided(order, erp, take, drain):
    take(acknowledgment(order.number))
    erp.misbehave("later", routes=["submit"])
    drain()
    assert of_erp().standing == "in_doubt"
    erp.post_pending()
    again()
    assert of_erp().standing == "delivered"
    assert erp.applications(of_erp().key) == 1


# -- X12


def test_an_855_is_applied_and_acknowledged(acme_order, acme, erp, take, drain, supplier):
    take(interchange(ack_set(acme_order.number)), partner=acme)
    drain()
    assert erp.applications(of_erp().key) == 1
    sent = Transmission.objects.filter(direction="outbound").last()
    (answered,) = x12.read(sent.payload.content)
    acknowledgment_read = answered.groups[0].sets[0].acknowledgment
    assert (acknowledgment_read.status, acknowledgment_read.functional_id) == ("A", "PR")
    assert sent.state == "receipted"


def test_one_bad_set_does_not_hold_its_neighbours(acme_order, acme, erp, take, drain):
    bad = "BAK*00*ZZZ*~CTT*0~"
    take(interchange(bad, ack_set(acme_order.number)), partner=acme)
    drain()
    assert erp.applications(of_erp().key) == 1
    assert ExceptionCase.objects.get().reason == "document_rejected"
    (answered,) = x12.read(Transmission.objects.filter(direction="outbound").last().payload.content)
    read = answered.groups[0].sets[0].acknowledgment
    assert (read.status, [one.status for one in read.sets]) == ("P", ["R", "A"])


def test_a_repeated_interchange_is_not_applied_twice(acme_order, acme, erp, take, drain):
    take(interchange(ack_set(acme_order.number)), partner=acme, message_id="m1")
    take(interchange(ack_set(acme_order.number)), partner=acme, message_id="m2")
    drain()
    assert Delivery.objects.filter(kind="erp").count() == 1
    assert ExceptionCase.objects.get().reason == "interchange_repeated"
    assert Interchange.objects.filter(direction="inbound", repeats__isnull=False).count() == 1


def test_a_repeated_interchange_with_new_content_is_taken_when_a_person_says_so(acme_order, acme, erp, take, drain):
    take(interchange(ack_set(acme_order.number)), partner=acme, message_id="m1")
    drain()
    other = erp.release()
    poll_erp()
    take(interchange(ack_set(other.number)), partner=acme, message_id="m2")
    drain()
    assert Delivery.objects.filter(kind="erp").count() == 1
    decide.replay(ExceptionCase.objects.get(), actor="ann", note="Their counter was reset.")
    drain()
    assert set(Delivery.objects.filter(kind="erp").values_list("document__number", "state")) == {
        (acme_order.number, "delivered"),
        (other.number, "delivered"),
    }


def test_a_message_read_anew_is_not_its_own_repeat(acme, take, drain):
    take(b"ISA*00*", partner=acme)
    drain()
    decide.replay(ExceptionCase.objects.get(), actor="ann")
    drain()
    assert [case.reason for case in ExceptionCase.objects.filter(state="open")] == ["unreadable_message"]
    assert not Interchange.objects.exclude(repeats=None).exists()


def test_a_partner_cannot_pose_as_another_inside_the_envelope(acme_order, acme, take, drain):
    take(interchange(ack_set(acme_order.number), sender="OTHERCO"), partner=acme)
    drain()
    document = Document.objects.get(direction="inbound")
    assert document.state == "rejected"
    assert "sender_mismatch" in {found["code"] for found in document.findings}
    assert not Delivery.objects.filter(kind="erp").exists()


def test_their_997_is_filed_under_our_order(acme_order, acme, take, drain):
    ours = Document.objects.get(direction="outbound")
    take(
        b"ISA*00*          *00*          *ZZ*ACMEEDI        *ZZ*PLANTEDI       *261120*1012*U*00401*000000009*0*P*>~"
        b"GS*FA*ACMEEDI*PLANTEDI*20261120*1012*9*X*004010~ST*997*0001~"
        + f"AK1*PO*{ours.group_control}~AK2*850*{ours.set_control}~AK5*R*5~AK9*R*1*1*0~".encode()
        + b"SE*6*0001~GE*1*9~IEA*1*000000009~",
        partner=acme,
    )
    drain()
    ours.refresh_from_db()
    assert ours.acknowledged == "rejected"
    assert ExceptionCase.objects.get().reason == "functional_ack_rejected"
    assert Transmission.objects.filter(direction="outbound").count() == 1  # a 997 is never acknowledged


def test_their_ta1_that_rejects_our_interchange_is_a_case_about_our_order(acme_order, acme, take, drain):
    ours = Document.objects.get(direction="outbound")
    take(
        b"ISA*00*          *00*          *ZZ*ACMEEDI        *ZZ*PLANTEDI       *261120*1012*U*00401*000000009*0*P*>~"
        + f"TA1*{ours.interchange.control_number}*261120*1010*R*006~".encode()
        + b"IEA*0*000000009~",
        partner=acme,
    )
    drain()
    ours.refresh_from_db()
    assert ours.acknowledged == "rejected"
    assert ExceptionCase.objects.get().detail["why"] == "TA1 R 006"
    assert Transmission.objects.filter(direction="outbound").count() == 1


@pytest.mark.parametrize("payload", [b"", b"hello", b"ISA*00*", b"\x00\xff" * 50, b"{}"])
def test_bytes_that_are_no_interchange_end_in_a_case_and_are_kept(acme, take, drain, payload):
    take(payload, partner=acme)
    drain()
    assert Transmission.objects.get(direction="inbound").state == "answered"
    assert ExceptionCase.objects.get().reason == "unreadable_message"
    assert Transmission.objects.get(direction="inbound").payload.content == payload


@pytest.mark.parametrize(
    "payload",
    [b"", b"[]", b'{"type": "ship_notice", "items": 7}', b'{"type": "order_acknowledgment", "lines": [{"x": 1}]}'],
)
def test_json_that_is_no_record_ends_in_a_case_with_every_place(castra, take, drain, payload):
    take(payload)
    drain()
    document = Document.objects.get()
    assert document.state == "rejected"
    assert document.findings
    assert ExceptionCase.objects.get().document == document


def test_a_document_no_agreement_covers_is_not_applied(order, castra, take, drain):
    castra.agreements.filter(document="ship_notice").delete()
    take(ship_notice(order.number))
    drain()
    assert ExceptionCase.objects.get().reason == "no_agreement"
    assert OrderLine.objects.get(line_number="10").shipped == 0
