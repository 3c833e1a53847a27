"""Legal holds in the admin: placed with a reason, ended, never changed, never deleted; each in the audit trail."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from gateway import archives
from gateway.models import ErpConnection, Event, LegalHold, Order
from tests.gateway.rows import a_partner

pytestmark = pytest.mark.django_db

ADD = "admin:gateway_legalhold_add"
LIST = "admin:gateway_legalhold_changelist"


@pytest.fixture
def order() -> Order:
    return an_order("1000")


def an_order(company: str) -> Order:
    erp, _ = ErpConnection.objects.get_or_create(code="ERP1", defaults={"base_url": "https://erp.example/"})
    return Order.objects.create(
        connection=erp, company=company, number="4711", erp_key=f"{company}/4711", partner=a_partner(), revision=1
    )


def signed_in(*permissions: str) -> Client:
    user = User.objects.create_user("kim", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def site() -> Client:
    return signed_in("add_legalhold", "view_legalhold", "change_legalhold")


def test_a_hold_on_an_order_says_who_placed_it_when_and_why(site, order):
    answer = site.post(reverse(ADD), {"number": "4711", "reason": "Dispute 7, ends with Ms Hale."})
    assert answer.status_code == 302
    hold = LegalHold.objects.get()
    assert (hold.order, hold.partner, hold.placed_by) == (order, None, "kim")
    event = Event.objects.get(name="hold.placed")
    assert (event.order, event.actor, event.partner, event.data) == (order, "kim", order.partner, {"hold": hold.pk})


def test_a_hold_on_a_partner_holds_all_of_it(site):
    partner = a_partner()
    site.post(reverse(ADD), {"partner": partner.pk, "reason": "Audit."})
    assert LegalHold.objects.get().partner == partner
    assert Event.objects.get(name="hold.placed").partner == partner


@pytest.mark.parametrize(
    ("entered", "said"),
    [
        ({"reason": "x"}, "Hold either a partner or an order."),
        ({"number": "4711", "partner": "PARTNER", "reason": "x"}, "Hold either a partner or an order."),
        ({"number": "4711"}, "This field is required."),
        ({"number": "9", "reason": "x"}, "There is no such order."),
        ({"number": "4711", "company": "9", "reason": "x"}, "There is no such order."),
        ({"number": "47\x0011", "reason": "x"}, "Null characters are not allowed."),
    ],
)
def test_what_cannot_be_held_is_said(site, order, entered, said):
    values = {name: order.partner_id if value == "PARTNER" else value for name, value in entered.items()}
    page = site.post(reverse(ADD), values)
    assert said in page.content.decode()
    assert not LegalHold.objects.exists()


def test_of_several_orders_of_one_number_the_company_says_which(site, order):
    other = an_order("2000")
    assert "There are several" in site.post(reverse(ADD), {"number": "4711", "reason": "x"}).content.decode()
    site.post(reverse(ADD), {"number": "4711", "company": "2000", "reason": "x"})
    assert LegalHold.objects.get().order == other


def test_a_hold_is_ended_once_by_somebody_with_a_name(site, order):
    hold = archives.hold(LegalHold(order=order, reason="x"), actor="ann")
    for _ in range(2):
        site.post(reverse(LIST), {"action": "end", "_selected_action": [hold.pk]})
    hold.refresh_from_db()
    assert hold.ended_by == "kim"
    assert hold.ended_at is not None
    assert Event.objects.filter(name="hold.ended").count() == 1


def test_a_hold_is_never_changed_or_deleted(site, order):
    hold = archives.hold(LegalHold(order=order, reason="x"), actor="ann")
    address = reverse("admin:gateway_legalhold_change", args=[hold.pk])
    assert site.post(address, {"reason": "y"}).status_code == 403
    assert site.post(reverse("admin:gateway_legalhold_delete", args=[hold.pk]), {"post": "yes"}).status_code == 403
    assert "x" in site.get(address).content.decode()
    hold.refresh_from_db()
    assert hold.reason == "x"


def test_who_may_only_look_neither_places_nor_ends(order):
    site = signed_in("view_legalhold")
    hold = archives.hold(LegalHold(order=order, reason="x"), actor="ann")
    assert site.post(reverse(ADD), {"number": "4711", "reason": "x"}).status_code == 403
    site.post(reverse(LIST), {"action": "end", "_selected_action": [hold.pk]})
    hold.refresh_from_db()
    assert hold.ended_at is None
    assert LegalHold.objects.count() == 1
