"""Staff see who does not answer, and may have it tried at once."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from gateway import breakers
from gateway.models import Breaker, ErpConnection, Event
from tests.gateway.rows import a_partner

pytestmark = pytest.mark.django_db

LIST = "admin:gateway_breaker_changelist"


def somebody_who_may(*names: str) -> Client:
    user = User.objects.create_user("olga", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    client = Client()
    client.force_login(user)
    return client


def open_up(remote: str, why: str = "HTTP 503") -> Breaker:
    for _ in range(breakers.IN_A_ROW):
        breakers.failed(remote, why)
    return Breaker.objects.get(remote=remote)


def try_now(client: Client, row: Breaker) -> str:
    page = client.post(reverse(LIST), {"action": "try_now", "_selected_action": [row.pk]}, follow=True)
    return page.content.decode()


def test_the_list_names_whose_system_it_is_and_what_it_said():
    erp = ErpConnection.objects.create(code="PLANT7", base_url="https://erp.example/")
    open_up(breakers.erp(erp.pk), "The ERP could not be reached: <b>refused</b>")
    breakers.failed(breakers.as2(a_partner("BOLTCO").pk), "HTTP 503")
    page = somebody_who_may("view_breaker").get(reverse(LIST)).content.decode()
    assert page.index("PLANT7") < page.index("left alone") < page.index("BOLTCO") < page.index("answers")
    assert "could not be reached: &lt;b&gt;refused" in page


def test_who_may_change_breakers_has_a_system_tried_at_once():
    row = open_up(breakers.as2(a_partner().pk))
    assert "1 of 1 are tried at once" in try_now(somebody_who_may("view_breaker", "change_breaker"), row)
    assert breakers.take_probe(row.remote) is not None
    assert Event.objects.get(name="breaker.tried").actor == "olga"


def test_who_may_only_look_is_not_offered_it_and_cannot_do_it():
    row = open_up(breakers.as2(a_partner().pk))
    client = somebody_who_may("view_breaker")
    assert "try_now" not in client.get(reverse(LIST)).content.decode()
    try_now(client, row)
    assert breakers.take_probe(row.remote) is None


def test_nobody_adds_changes_or_deletes_one_by_hand(admin_client):
    row = open_up(breakers.as2(a_partner().pk))
    for name, arguments in [("add", []), ("delete", [row.pk])]:
        assert admin_client.get(reverse(f"admin:gateway_breaker_{name}", args=arguments)).status_code == 403
    page = admin_client.post(reverse("admin:gateway_breaker_change", args=[row.pk]), {"failures": 0})
    assert page.status_code == 403
