"""Sending to a partner: which outcomes are tried again, when, and always as the same bytes under the same id."""

from __future__ import annotations

import os
import signal
from datetime import timedelta
from email.utils import format_datetime
from urllib.parse import quote

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from gateway import outbox
from gateway.models import Breaker, Delivery, DeliveryKind, Event, ExceptionCase, QueueEntry
from gateway.pipeline import decide, escalate, relay, send
from partners import onboarding
from partners.models import As2Link, OwnIdentity
from tests.certificates import make_identity
from tests.gateway.pipeline.conftest import poll_erp
from tests.gateway.pipeline.mdns import ask_for_later_receipts, sent, taken, try_once
from tests.gateway.queue_rows import due_in, lease_runs_out, make_due
from tests.prepared import Prepared

pytestmark = pytest.mark.django_db


@pytest.fixture
def order(connection, erp, acme, supplier):
    """An order for ACME, due."""
    placed = erp.release()
    poll_erp()
    return placed


def delivery() -> Delivery:
    return Delivery.objects.get(kind="partner")


def minutes_until_due() -> float:
    return due_in(pk=delivery().pk).total_seconds() / 60


# ------------------------------------------------------------------------------------------------------ few at a time
def test_a_server_that_hangs_holds_up_few_workers(order, erp, castra, settings):
    settings.SENDS_AT_ONCE = 1
    erp.release()
    poll_erp()
    first, second = Delivery.objects.filter(kind="partner").order_by("pk")
    make_due()
    claim = outbox.claim(DeliveryKind.PARTNER, "one")
    assert claim is not None and claim.delivery == first
    assert outbox.claim(DeliveryKind.PARTNER, "another") is None
    QueueEntry.objects.filter(pk=second.pk).update(remote=f"as2:{castra.pk}")
    assert getattr(outbox.claim(DeliveryKind.PARTNER, "another"), "delivery", None) == second


def test_a_server_that_fails_at_once_is_tried_with_the_next_message(order, erp, monkeypatch):
    erp.release()
    poll_erp()
    make_due()
    monkeypatch.setattr(send, "post", lambda *_, **__: send.Setback(why="connection refused", broken=True, hung=True))
    assert relay.work(DeliveryKind.PARTNER, "one") == 2


# ------------------------------------------------------------------------------------------------------ the schedule
def test_a_partners_own_schedule_replaces_that_of_the_house(order, supplier):
    As2Link.objects.update(retry_minutes="30, 60")
    supplier.answer = lambda *_: (503, {}, b"")
    try_once()
    assert 23 < minutes_until_due() < 37
    try_once()
    assert 47 < minutes_until_due() < 73
    try_once()
    assert delivery().standing == "dead"


def test_pauses_are_spread_so_that_not_everybody_comes_at_once(order, supplier):
    As2Link.objects.update(retry_minutes=", ".join(["100"] * 12))
    supplier.answer = lambda *_: (503, {}, b"")
    pauses = set()
    for _ in range(12):
        Breaker.objects.all().delete()  # it would be left alone after the fifth
        try_once()
        assert 79 < minutes_until_due() < 121
        pauses.add(round(minutes_until_due(), 3))
    assert len(pauses) > 6


@pytest.mark.parametrize("status", [408, 425, 429, 503])
def test_a_partner_that_says_when_to_come_again_is_obeyed(order, supplier, status):
    supplier.answer = lambda *_: (status, {"Retry-After": "7200"}, b"")
    try_once()
    assert 118 < minutes_until_due() < 122


def test_when_to_come_again_may_be_said_as_a_date(order, supplier):
    at = timezone.now() + timedelta(hours=3)
    supplier.answer = lambda *_: (503, {"Retry-After": format_datetime(at, usegmt=True)}, b"")
    try_once()
    assert 178 < minutes_until_due() < 182


@pytest.mark.parametrize(
    ("said", "at_most"),
    [("31536000", 24 * 60), ("9" * 400, 24 * 60), ("Fri, 31 Dec 9999 23:59:59 GMT", 24 * 60), ("-5", 1), ("soon", 1),
     ("\u00b2", 1), ("Mon, 99 Foo 2026", 1), ("Thu, 01 Jan 1970 00:00:00 GMT", 1)],
)  # fmt: skip
def test_an_absurd_wish_for_the_next_try_is_bounded_or_ignored(order, supplier, said, at_most):
    supplier.answer = lambda *_: (503, {"Retry-After": said}, b"")
    try_once()
    assert minutes_until_due() < at_most + 1


def test_terms_that_cannot_be_used_send_nothing_and_are_tried_again_when_they_may_be_mended(order, supplier):
    ask_for_later_receipts()
    OwnIdentity.objects.update(as2_url="")
    try_once()
    assert (delivery().standing, sent().message_id, supplier.received) == ("pending", "", [])
    assert "our own AS2 address is missing" in delivery().last_error
    OwnIdentity.objects.update(as2_url="https://as2.plant.example/as2")
    try_once()
    assert len(supplier.received) == 1


# ------------------------------------------------------------------------------------------------------- final answers
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_its_dead_letter_says_where_it_pointed(order, supplier, status):
    where = supplier.url.replace("/as2", "/elsewhere")
    supplier.answer = lambda *_: (status, {"Location": where}, b"")
    try_once()
    assert len(supplier.received) == 1
    escalate.sweep(now=timezone.now())
    assert delivery().standing == "dead"
    assert where in ExceptionCase.objects.get().detail["why"]


def test_a_redirect_to_nowhere_is_final_too(order, supplier):
    supplier.answer = lambda *_: (304, {}, b"")
    try_once()
    assert delivery().standing == "dead"
    assert "elsewhere" in delivery().last_error


@pytest.mark.parametrize("status", [401, 407])
def test_a_server_that_wants_credentials_is_not_bothered_again_and_its_dead_letter_says_so(order, supplier, status):
    supplier.answer = lambda *_: (status, {"WWW-Authenticate": "Basic realm=x"}, b"")
    try_once()
    assert delivery().standing == "dead"
    assert "name and password" in delivery().last_error


@pytest.mark.parametrize("status", [400, 403, 404, 410, 413, 415, 451])
def test_a_refusal_is_final(order, supplier, status):
    supplier.answer = lambda *_: (status, {}, b"")
    try_once()
    assert (delivery().standing, len(supplier.received)) == ("dead", 1)
    assert str(status) in delivery().last_error


def test_a_dead_letter_that_dies_again_is_told_again(order, supplier):
    supplier.answer = lambda *_: (404, {}, b"")
    try_once()
    escalate.sweep(now=timezone.now())
    decide.retry(ExceptionCase.objects.get(), actor="ann")
    try_once()
    escalate.sweep(now=timezone.now())
    escalate.sweep(now=timezone.now())
    assert ExceptionCase.objects.filter(state="open").count() == 1
    assert supplier.received[0] == supplier.received[1]


# ------------------------------------------------------------------------------------------------------ the same bytes
def test_terms_and_certificates_of_later_tries_change_no_byte(order, supplier, their_key, acme):
    answers = supplier.answer
    supplier.answer = lambda *_: (503, {}, b"")
    try_once()
    As2Link.objects.update(
        cipher="aes128_cbc", digest="sha512", compressed=True, signed_mdn=False, all_recipients=True, as2_version="1.3"
    )
    ask_for_later_receipts()
    newer = make_identity("acme.example")
    onboarding.set_up(
        {
            "code": "ACME",
            "certificates": [
                {"certificate": ref.certificate_pem.decode(), "role": "both"} for ref in (their_key, newer)
            ],
        }
    )
    supplier.answer = answers
    try_once()
    first, again = supplier.received
    assert first == again
    assert sent().state == "receipted"


@pytest.fixture(scope="module")
def on_this_database(django_db_setup):
    """Programs that share database and blobs with the tests."""
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "gateway.settings",
        "DATABASE_URL": database_url(),
        "GATEWAY_BLOBS": settings.BLOBS,
    }
    with Prepared(environment) as prepared:
        yield prepared


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("moment", "received"), [("fixed", 0), ("posted", 1), ("noting", 1)])
@pytest.mark.parametrize("later", [False, True], ids=["sync", "async"])
def test_kill_nine_while_sending_and_the_next_worker_sends_the_same_bytes(
    order, supplier, on_this_database, moment, received, later
):
    if later:
        ask_for_later_receipts()
        supplier.answer = taken
    make_due()
    done = on_this_database.run("-m", "tests.gateway.pipeline.doomed_worker", moment)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(supplier.received) == received
    fixed = sent()
    assert (fixed.state, delivery().standing, fixed.answer) == ("prepared", "sending", None)
    assert fixed.message_id
    As2Link.objects.update(cipher="aes128_cbc", digest="sha512")
    assert relay.work(DeliveryKind.PARTNER, "too early") == 0
    lease_runs_out()
    assert relay.work(DeliveryKind.PARTNER, "the next") == 1
    assert [body for _, body in supplier.received] == [fixed.raw.content] * (received + 1)
    assert {headers["Message-ID"] for headers, _ in supplier.received} == {fixed.message_id}
    assert sent().state == ("sent" if later else "receipted")
    assert [one.outcome for one in outbox.tries(delivery())] == [
        "crashed",
        "taken" if later else "delivered",
    ]
    assert Event.objects.filter(name="receipt.overdue").count() == 0


def database_url() -> str:
    """The database of this test, for another process."""
    at = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{at['NAME']}"
    user = quote(str(at["USER"])) + (f":{quote(str(at['PASSWORD']))}" if at["PASSWORD"] else "")
    return f"postgres://{user}@{at['HOST'] or 'localhost'}:{at['PORT'] or 5432}/{at['NAME']}"
