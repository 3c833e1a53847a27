"""Certificates that expire: on which days that is announced, of which, and when nobody need care any more."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from partners import expiry
from partners.models import CertificateRole, OwnIdentity, TradingPartner
from tests.partners.conftest import NOW, give_certificate

END = NOW + timedelta(days=335)  #: of every certificate that ``give_certificate`` gives


def days_before(days: float) -> datetime:
    return END - timedelta(days=days)


def announced(now: datetime) -> list[tuple[str, int]]:
    """What a sweep at ``now`` announces: owner and day."""
    found = expiry.expiring(now)
    assert all(expiry.announce(certificate) for certificate in found)
    return [(certificate.owner, certificate.threshold) for certificate in found]


def test_each_day_is_announced_once(acme):
    give_certificate(acme, "acme")
    days = (90, 60.1, 60, 59, 30, 30, 29.9, 14, 13, 7, 6, 1, 0.5, 0, -0.1, -1, -100)

    told = [(day, announced(days_before(day))) for day in days]

    assert [(day, found) for day, found in told if found] == [
        (60, [("ACME", 60)]),
        (30, [("ACME", 30)]),
        (14, [("ACME", 14)]),
        (7, [("ACME", 7)]),
        (1, [("ACME", 1)]),
        (-0.1, [("ACME", 0)]),
    ]


def test_after_weeks_without_a_sweep_the_nearest_day_alone_is_announced(acme):
    give_certificate(acme, "acme")

    assert announced(days_before(10)) == [("ACME", 14)]
    assert announced(days_before(-20)) == [("ACME", 0)]
    assert announced(days_before(-20)) == []


def test_of_two_sweeps_at_once_one_announces(acme):
    give_certificate(acme, "acme")
    (one,), (two,) = expiry.expiring(days_before(30)), expiry.expiring(days_before(30))

    assert (expiry.announce(one), expiry.announce(two)) == (True, False)


@pytest.mark.parametrize("role", list(CertificateRole))
def test_certificates_of_every_role_are_announced_ours_too(acme, plant, role):
    give_certificate(acme, "acme", role=role)
    give_certificate(plant, "plant", role=role)

    found = expiry.expiring(days_before(7))

    assert {(one.owner, one.partner_id, one.role) for one in found} == {
        ("ACME", acme.pk, role),
        ("Main plant", None, role),
    }


def test_what_is_not_in_use_is_not_announced(acme, plant):
    give_certificate(acme, "acme", active_until=days_before(100))
    keyless = give_certificate(plant, "plant")
    keyless.private_key.delete()
    draft = TradingPartner.objects.create(code="BOLT", name="Bolt", state="draft")
    give_certificate(draft, "bolt")
    retired = OwnIdentity.objects.create(name="Old plant", as2_name="OLD-AS2", isa_id="OLDPLANT", active=False)
    give_certificate(retired, "old")

    assert expiry.expiring(days_before(7)) == []


def test_a_partner_that_goes_live_is_announced_then(acme):
    give_certificate(acme, "acme")
    TradingPartner.objects.update(state="suspended")
    assert announced(days_before(30)) == []

    TradingPartner.objects.update(state="live")

    assert announced(days_before(20)) == [("ACME", 30)]


def successor_of(partner: TradingPartner, now: datetime) -> expiry.Successor | None:
    first = expiry.expiring(now)[0]
    assert first.partner_id == partner.pk
    return first.successor


def test_a_successor_is_named_with_the_day_it_takes_over(acme):
    give_certificate(acme, "acme")
    switch = days_before(3)
    new = give_certificate(acme, "acme-next", days=700, active_from=switch)

    assert successor_of(acme, days_before(7)) == expiry.Successor(fingerprint=new.fingerprint, used_from=switch)
    assert successor_of(acme, days_before(2)) == expiry.Successor(fingerprint=new.fingerprint, used_from=None)


def test_a_certificate_of_both_roles_may_have_two_successors(acme):
    give_certificate(acme, "acme")
    give_certificate(acme, "acme-sign", days=700, role=CertificateRole.SIGN)
    assert successor_of(acme, days_before(7)) is None

    give_certificate(acme, "acme-encrypt", days=700, role=CertificateRole.ENCRYPT)

    assert successor_of(acme, days_before(7)) is not None


@pytest.mark.parametrize(
    "other",
    [
        {"role": CertificateRole.SIGN},
        {"role": CertificateRole.TLS},
        {"active_from": END + timedelta(days=1)},
        {"active_until": END - timedelta(days=1)},
    ],
    ids=["signs only", "for TLS only", "begins too late", "ends too soon"],
)
def test_what_does_not_take_over_in_time_is_no_successor(acme, other):
    give_certificate(acme, "acme")
    give_certificate(acme, "acme-next", days=700, **other)

    assert successor_of(acme, days_before(7)) is None


def test_one_that_expires_with_it_and_one_of_another_partner_are_no_successors(acme):
    bolt = TradingPartner.objects.create(code="BOLT", name="Bolt", state="live")
    give_certificate(acme, "acme")
    give_certificate(acme, "acme-twin")
    give_certificate(bolt, "bolt", days=700)

    assert [one.successor for one in expiry.expiring(days_before(7))] == [None, None]


def test_nobody_need_care_once_it_is_ended_or_replaced(acme):
    now = days_before(7)
    waiting = give_certificate(acme, "acme", role=CertificateRole.SIGN)
    ended = give_certificate(acme, "acme-old", role=CertificateRole.ENCRYPT, active_until=now)
    replaced = give_certificate(acme, "acme-tls", role=CertificateRole.TLS)
    give_certificate(acme, "acme-tls-next", role=CertificateRole.TLS, days=700)
    give_certificate(acme, "acme-next", role=CertificateRole.SIGN, days=700, active_from=now + timedelta(days=1))

    reasons = expiry.settled([waiting.pk, ended.pk, replaced.pk, 4711], now)

    assert set(reasons) == {ended.pk, replaced.pk, 4711}
    assert reasons[ended.pk] == "It was taken out of use."
    assert "is in use" in reasons[replaced.pk]


def test_a_sweep_takes_two_queries_however_many_certificates_there_are(acme, django_assert_num_queries):
    for name in ("acme", "acme-old", "acme-tls", "acme-next"):
        give_certificate(acme, name)

    with django_assert_num_queries(2):
        assert len(expiry.expiring(days_before(7))) == 4
