"""Certificates that expire, from the sweep to the queue: one case each, brought up to date, closed when nobody need care."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from django.utils import timezone

from gateway.models import CaseState, Event, ExceptionCase
from gateway.pipeline import escalate
from partners import certificates
from partners.models import Certificate, OwnIdentity, TradingPartner

MADE = datetime(2027, 1, 1, 12, 0, tzinfo=UTC)
END = MADE + timedelta(days=365)


def days_before(days: float) -> datetime:
    return END - timedelta(days=days)


@cache
def pair(name: str, days: int) -> tuple[str, bytes]:
    return certificates.self_signed(name, now=MADE, valid_for=timedelta(days=days), bits=2048)


def give(owner: TradingPartner | OwnIdentity, name: str, *, days: int = 365, **more: object) -> Certificate:
    pem, key = pair(name, days)
    side = {"partner": owner} if isinstance(owner, TradingPartner) else {"own_identity": owner}
    certificate = Certificate.objects.create(certificate_pem=pem, **side, **more)
    if isinstance(owner, OwnIdentity):
        certificate.keep_private_key(certificates.read_private_key(key))
    return certificate


@pytest.fixture
def bolt(db: None) -> TradingPartner:
    return TradingPartner.objects.create(code="BOLT", name="Bolt Company", state="live")


@pytest.fixture
def plant(db: None) -> OwnIdentity:
    return OwnIdentity.objects.create(name="Main plant", as2_name="MAIN-AS2", isa_id="MAINPLANT")


def the_case() -> ExceptionCase:
    return ExceptionCase.objects.get(state=CaseState.OPEN)


def told() -> list[tuple[str, int]]:
    """The events of certificates in their order: what, and how many days were left."""
    return [
        (event.name, event.data["days"])
        for event in Event.objects.filter(name__startswith="certificate.").order_by("pk")
    ]


def test_each_day_is_an_event_and_all_of_them_are_one_case(bolt):
    certificate = give(bolt, "bolt")

    for day in (61, 60, 59.5, 30, 30, 14, 7, 7, 1):
        escalate.sweep(now=days_before(day))

    assert told() == [("certificate.expiring", day) for day in (60, 30, 14, 7, 1)]
    case = the_case()
    assert (case.reason, case.partner, case.occurrences) == ("certificate_expiring", bolt, 5)
    assert case.summary == (
        "Certificate CN=bolt of BOLT, to sign and encrypt, expires in 1 day: 2028-01-01. There is no successor."
    )
    event = Event.objects.filter(name="certificate.expiring").latest("pk")
    assert event.partner == bolt
    assert event.data["owner"] == "BOLT"
    assert event.data["fingerprint"] == certificate.fingerprint == case.detail["fingerprint"]


def test_an_expired_certificate_has_a_case_of_its_own_and_the_former_is_settled(bolt):
    give(bolt, "bolt")
    escalate.sweep(now=days_before(7))

    for day in (-0.5, -1, -30):
        escalate.sweep(now=days_before(day))

    assert told() == [("certificate.expiring", 7), ("certificate.expired", -1)]
    assert the_case().reason == "certificate_expired"
    assert "has expired: 2028-01-01" in the_case().summary
    former = ExceptionCase.objects.get(reason="certificate_expiring")
    assert (former.state, former.resolution) == (CaseState.RESOLVED, "settled")


def test_our_own_certificate_is_named_as_ours(plant):
    give(plant, "plant")

    escalate.sweep(now=days_before(14))

    assert "CN=plant of ours (Main plant)" in the_case().summary
    assert the_case().partner is None


def test_with_a_successor_here_there_is_an_event_and_no_case(bolt):
    give(bolt, "bolt")
    successor = give(bolt, "bolt-next", days=700, active_from=days_before(10))

    for day in (30, 7, -1):
        escalate.sweep(now=days_before(day))

    assert told() == [("certificate.expiring", 30), ("certificate.expiring", 7), ("certificate.expired", -1)]
    assert {event.data["successor"] for event in Event.objects.filter(name__startswith="certificate.")} == {
        successor.fingerprint
    }
    assert not ExceptionCase.objects.exists()


def test_an_open_case_says_that_a_successor_came_and_settles_when_it_is_in_use(bolt):
    give(bolt, "bolt")
    escalate.sweep(now=days_before(30))
    give(bolt, "bolt-next", days=700, active_from=days_before(10))

    escalate.sweep(now=days_before(14))
    assert "Its successor is here and used from 2027-12-22 on." in the_case().summary
    escalate.sweep(now=days_before(10))

    case = ExceptionCase.objects.get()
    assert (case.state, case.resolution) == (CaseState.RESOLVED, "settled")
    assert "is in use" in case.history.latest("pk").note


@pytest.mark.parametrize("day", [20, -20])
def test_ending_the_certificate_settles_its_case(bolt, day):
    certificate = give(bolt, "bolt")
    escalate.sweep(now=days_before(day))
    Certificate.objects.filter(pk=certificate.pk).update(active_until=days_before(day))

    escalate.sweep(now=days_before(day))

    case = ExceptionCase.objects.get()
    assert (case.resolution, case.history.latest("pk").note) == ("settled", "It was taken out of use.")


def test_a_case_that_a_person_closed_comes_back_with_the_next_day_only(bolt):
    give(bolt, "bolt")
    escalate.sweep(now=days_before(30))
    ExceptionCase.objects.update(state=CaseState.RESOLVED, resolved_at=timezone.now())

    escalate.sweep(now=days_before(20))
    assert not ExceptionCase.objects.filter(state=CaseState.OPEN).exists()
    escalate.sweep(now=days_before(14))

    assert "in 14 days" in the_case().summary
