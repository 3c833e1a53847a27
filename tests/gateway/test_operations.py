"""The operations page: what an operator sees of the work, who may, and trying a system that was left alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from gateway import breakers, exception_queue, heartbeats
from gateway.models import Breaker, Delivery, ErpConnection, Event, Heartbeat, QueueEntry
from tests.gateway.rows import a_partner
from tests.gateway.test_console import browser, markup_offences, person, text, words

pytestmark = pytest.mark.django_db

NASTY = "<script>alert(1)</script>"


@pytest.fixture
def site() -> Client:
    return browser(User.objects.create_superuser("kim"))


def shown(site: Client) -> str:
    return words(site.get(reverse("console:operations")))


def an_entry(kind: str, state: str = "pending", *, due_s: float | None = 0, **delivery: Any) -> QueueEntry:
    row = Delivery.objects.create(key=f"{kind}:{Delivery.objects.count()}", kind=kind, **delivery)
    due = None if due_s is None else timezone.now() - timedelta(seconds=due_s)
    return QueueEntry.objects.update_or_create(delivery=row, defaults={"kind": kind, "state": state, "due_at": due})[0]


def an_open_breaker(remote: str, **fields: Any) -> Breaker:
    now = timezone.now()
    fields = {"open_until": now + timedelta(minutes=5), "opened_at": now - timedelta(minutes=20), **fields}
    return Breaker.objects.create(remote=remote, failures=5, **fields)


def test_a_gateway_that_has_done_nothing_yet_says_so_plainly(site: Client) -> None:
    page = shown(site)
    for sentence in (
        "None: nothing was given up.",
        "Every system we call has answered so far.",
        "Nothing has reported yet.",
        "No worker is alive.",
        "None yet: the first worker sets them.",
        "Last seal none yet",
        f"Version of this process {heartbeats.release()}",
    ):
        assert sentence in page


def test_a_queue_shows_its_numbers_and_how_late_it_is(site: Client) -> None:
    an_entry("erp", due_s=3 * 3600 + 61)
    an_entry("erp", "sending", due_s=-60)
    an_entry("erp", "in_doubt", due_s=-60)
    page = text(site.get(reverse("console:operations")))
    assert '<span class="tag alarm">3 h 1 min</span>' in page
    assert "erp 1 1 1 0 3 h 1 min" in shown(site)


def test_a_dead_letter_leads_to_its_case(site: Client) -> None:
    partner = a_partner()
    entry = an_entry("erp", "dead", due_s=None, partner=partner, last_error="The ERP says: no such order.")
    QueueEntry.objects.filter(pk=entry.pk).update(attempts=3)
    exception_queue.open_case(
        "erp_refused", summary="The ERP refuses 4711", fingerprint="x", delivery=entry.delivery, partner_id=partner.pk
    )
    case = entry.delivery.cases.get()
    page = site.get(reverse("console:operations"))
    assert (
        f'<a href="{reverse("console:case", args=[case.pk])}"><strong>erp</strong>: The ERP refuses 4711</a>'
        in text(page)
    )
    assert "ACME, 3 tries" in words(page)
    assert "The ERP says: no such order." in words(page)


def test_a_system_that_does_not_answer_is_named_with_its_error_and_its_next_try(site: Client) -> None:
    partner = a_partner()
    erp = ErpConnection.objects.create(code="S4-EAST", base_url="https://erp.example/")
    an_open_breaker(f"as2:{partner.pk}", last_error="connection refused")
    Breaker.objects.create(remote=f"erp:{erp.pk}", failures=1)
    page = shown(site)
    assert f"AS2 server of ACME as2:{partner.pk} stopped 20 min" in page
    assert "connection refused" in page
    assert f"ERP S4-EAST erp:{erp.pk} as usual" in page
    assert text(site.get(reverse("console:operations"))).count("Try now") == 1


def test_trying_now_ends_the_pause_and_is_in_the_audit_trail(site: Client) -> None:
    remote = f"as2:{a_partner().pk}"
    an_open_breaker(remote)
    page = site.post(reverse("console:try_now"), {"remote": remote}, follow=True)
    assert "AS2 server of ACME is tried with the next delivery that waits for it." in words(page)
    assert "being tried" in words(page)
    assert not breakers.may_call(remote)
    assert Event.objects.get(name="breaker.tried").actor == "kim"


@pytest.mark.parametrize("remote", ["as2:1", "nonsense", "", "as2:" + "9" * 50])
def test_what_is_not_stopped_cannot_be_tried(site: Client, remote: str) -> None:
    Breaker.objects.create(remote="as2:1", failures=1)
    page = site.post(reverse("console:try_now"), {"remote": remote}, follow=True)
    assert "Nothing to try" in words(page)
    assert not Event.objects.filter(name="breaker.tried").exists()


def test_loops_are_shown_with_what_they_say_and_a_silent_one_stands_out(site: Client) -> None:
    heartbeats.beat("worker", 5, {"hands": 4})
    Heartbeat.objects.create(name="worker@elsewhere:1", loop="worker", every_s=5, version="0.0.9")
    Heartbeat.objects.filter(name="worker@elsewhere:1").update(at=Now() - timedelta(minutes=10))
    page = shown(site)
    assert "hands 4" in page
    assert "worker@elsewhere:1 silent 10 min ago" in page
    assert f"running: 0.0.9, {heartbeats.release()}" in page
    assert "No worker is alive." not in page


def test_a_timer_whose_last_turn_failed_says_why(site: Client) -> None:
    an_entry("timer", due_s=-60, last_error="OSError: no space left")
    assert "timer:0 pending" in shown(site)
    assert "OSError: no space left" in shown(site)


def test_nothing_that_comes_from_outside_is_markup(site: Client) -> None:
    an_entry("erp", "dead", due_s=None, last_error=NASTY)
    an_open_breaker("as2:404", last_error=NASTY)
    heartbeats.beat("worker", 5, {NASTY: NASTY})
    page = site.get(reverse("console:operations"))
    assert markup_offences(page) == []
    assert "unsafe-inline" not in page["Content-Security-Policy"]


# -- who may


def test_strangers_sign_in_first_and_staff_need_the_permission() -> None:
    address = reverse("console:operations")
    assert Client().get(address).status_code == 302
    assert browser(person("lee")).get(address).status_code == 403
    assert browser(person("pat", "view_queueentry")).get(address).status_code == 200


def test_who_may_only_look_has_no_button_and_cannot_try() -> None:
    an_open_breaker("as2:7")
    site = browser(person("lee", "view_queueentry"))
    assert "Try now" not in text(site.get(reverse("console:operations")))
    assert site.post(reverse("console:try_now"), {"remote": "as2:7"}).status_code == 403


def test_the_first_page_leads_here(site: Client) -> None:
    assert reverse("console:operations") in text(site.get(reverse("admin:index")))
    outsider = User.objects.create_user("max", is_staff=True)
    outsider.user_permissions.set(Permission.objects.filter(codename="view_order"))
    assert reverse("console:operations") not in text(browser(outsider).get(reverse("admin:index")))
