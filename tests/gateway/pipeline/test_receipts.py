"""Receipts that come by a request of their own: in time, early, late, twice, forged."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import DatabaseError, OperationalError, connection
from django.test import Client
from django.utils import timezone

from gateway import outbox
from gateway.models import (
    Delivery,
    DeliveryKind,
    Document,
    Event,
    ExceptionCase,
    QueueEntry,
    Transmission,
)
from gateway.pipeline import decide, escalate, receipts, receive, relay, send
from gateway.pipeline.receive import Answer, Incoming
from gateway.transports import as2
from gateway.transports.as2 import independent
from partners import directory, onboarding
from partners.models import As2Link, TradingPartner
from partners.profiles import Channel, Profile
from tests.certificates import make_identity
from tests.gateway.pipeline.conftest import poll_erp
from tests.gateway.pipeline.mdns import (
    arrive,
    ask_for_later_receipts,
    mdn_of,
    receipt_for,
    sent,
    taken,
    try_once,
)
from tests.gateway.queue_rows import due_in, lease_runs_out, make_due

pytestmark = pytest.mark.django_db


@pytest.fixture
def order(connection, erp, acme, supplier):
    """An order for ACME, due; ACME gives its receipts later."""
    ask_for_later_receipts()
    supplier.answer = taken
    placed = erp.release()
    poll_erp()
    return placed


def delivery() -> Delivery:
    return Delivery.objects.get(kind="partner")


def standing() -> tuple[str, str, str]:
    """Message, delivery, document."""
    return sent().state, delivery().standing, Document.objects.get(direction="outbound").state


WAITING = ("sent", "in_doubt", "translated")
ARRIVED = ("receipted", "delivered", "relayed")


def mdns(**where: Any) -> list[Transmission]:
    return list(Transmission.objects.filter(format="mdn", **where).order_by("pk"))


def profile_of(code: str) -> Profile:
    return directory.profile(TradingPartner.objects.get(code=code).pk)


def cases(**where: Any) -> list[str]:
    return list(ExceptionCase.objects.filter(**where).order_by("pk").values_list("reason", flat=True))


# ---------------------------------------------------------------------------------------------------------- in time
@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (204, {}, b""),
        (202, {}, b""),
        (200, {"Content-Type": "text/html"}, b"<p>Thank you"),
        (200, {"Content-Type": "multipart/report; report-type=disposition-notification; boundary=b"}, b"--b--"),
    ],
)
def test_a_message_that_was_taken_waits_for_its_receipt(order, supplier, status, headers, body):
    supplier.answer = lambda *_: (status, headers, body)
    try_once()
    assert standing() == WAITING
    assert sent().answer_status == status
    [(asked, _)] = supplier.received
    assert asked["Receipt-Delivery-Option"] == "https://as2.plant.example/as2"
    assert timedelta(minutes=75) < due_in(pk=delivery().pk) <= timedelta(minutes=76)
    assert outbox.claim(DeliveryKind.PARTNER, "another") is None


def test_its_receipt_settles_it(order, supplier, their_key):
    try_once()
    mdn = mdn_of(supplier)
    assert arrive(mdn).status == 200
    assert standing() == ARRIVED
    message, [kept] = sent(), mdns()
    assert (kept.state, kept.direction, kept.about, kept.raw.content) == ("stored", "inbound", message, mdn.body)
    assert kept.correlation_id == message.correlation_id
    assert (message.answer.content, message.answer_headers) == (mdn.body, mdn.headers)
    assert message.evidence == {
        "signed_with": message.evidence["signed_with"],
        "encrypted_for": [their_key.fingerprint],
        "receipt_signer": their_key.fingerprint,
        "mic_algorithm": "sha256",
    }
    assert delivery().result == message.message_id
    assert cases() == []


@pytest.mark.parametrize("brackets", ["<{}>", "{}", " <{}> "])
def test_it_may_name_the_message_with_or_without_brackets(order, supplier, brackets):
    try_once()
    headers, body = supplier.received[0]
    named = headers | {"Message-ID": brackets.format(headers["Message-ID"].strip("<>")).strip()}
    received = as2.receive(headers, body, supplier.terms)
    arrive(as2.build_mdn(named, terms=supplier.terms, mic=(received.mic, received.mic_algorithm), text="Taken."))
    assert standing() == ARRIVED


def test_a_receipt_by_pyas2lib_settles_it(order, supplier, their_key, our_key):
    try_once()
    key = (their_key.private_key_pem or b"") + their_key.certificate_pem
    acme = independent.Organization(as2_name="ACME-AS2", sign_key=key, decrypt_key=key, domain="acme.example")
    plant = independent.Partner(
        as2_name="PLANT-AS2",
        verify_cert=our_key.certificate_pem,
        encrypt_cert=our_key.certificate_pem,
        sign=True,
        encrypt=True,
        mdn_mode="ASYNC",
        mdn_digest_alg="sha256",
    )
    headers, body = supplier.received[0]
    wire = "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode() + b"\r\n" + body
    status, _, mdn = independent.Message().parse(
        wire, find_org_cb=lambda _name: acme, find_partner_cb=lambda _name: plant
    )
    assert (status, mdn.mdn_mode, mdn.mdn_url) == ("processed", "ASYNC", "https://as2.plant.example/as2")
    arrive(as2.Mdn(headers={name: " ".join(value.split()) for name, value in mdn.headers.items()}, body=mdn.content))
    assert standing() == ARRIVED


def test_a_receipt_in_the_answer_counts_although_one_was_asked_for_later(order, supplier):
    def at_once(headers, body):
        mdn = receipt_for(headers, body, supplier.terms)
        return 200, mdn.headers, mdn.body

    supplier.answer = at_once
    try_once()
    assert standing() == ARRIVED
    assert mdns() == []


def test_the_next_revision_waits_for_the_receipt_of_the_first(order, erp, supplier):
    erp.change(order, "120")
    poll_erp()
    make_due()
    relay.work(DeliveryKind.PARTNER, "test")
    assert len(supplier.received) == 1
    arrive(mdn_of(supplier))
    relay.work(DeliveryKind.PARTNER, "test")
    assert len(supplier.received) == 2
    assert [row.standing for row in Delivery.objects.order_by("pk")] == ["delivered", "in_doubt"]


# ------------------------------------------------------------------------------------------------------------ a "no"
def test_a_receipt_that_rejects_makes_a_dead_letter_and_a_person_sends_it_anew(order, supplier):
    try_once()
    arrive(mdn_of(supplier, disposition="processed/error: decryption-failed"))
    assert standing() == ("rejected", "dead", "translated")
    [case] = ExceptionCase.objects.all()
    assert (case.reason, case.delivery) == ("receipt_rejected", delivery())
    assert case.detail["partner_says"] == "Said by ACME."
    escalate.sweep(now=timezone.now())
    assert cases() == ["receipt_rejected"]
    decide.retry(case, actor="ann")
    try_once()
    arrive(mdn_of(supplier, place=1))
    rejected, anew = Transmission.objects.filter(direction="outbound").order_by("pk")
    assert (rejected.state, anew.state) == ("rejected", "receipted")
    assert rejected.message_id != anew.message_id
    assert (anew.about, list(rejected.belongings.exclude(format="mdn"))) == (rejected, [anew])
    history = Event.objects.filter(correlation_id=rejected.correlation_id, name__startswith="transmission.")
    assert {rejected.pk, anew.pk} <= set(history.values_list("transmission", flat=True))
    assert history.get(transmission=anew, name="transmission.prepared").data["sends_again"] == str(rejected.uid)


# ------------------------------------------------------------------------------------------------- it does not come
def test_an_overdue_receipt_is_a_case_and_the_same_bytes_are_sent_again(order, supplier):
    try_once()
    try_once()
    first, again = supplier.received
    assert first == again
    assert standing() == WAITING
    assert cases(state="open") == ["receipt_overdue"]
    assert Event.objects.filter(name="receipt.overdue", transmission=sent()).count() == 1
    try_once()
    assert ExceptionCase.objects.get().occurrences == 2
    arrive(mdn_of(supplier))
    assert standing() == ARRIVED
    assert ExceptionCase.objects.get().resolution == "settled"


def test_closing_its_case_gives_nothing_up(order, supplier):
    try_once()
    try_once()
    decide.close(ExceptionCase.objects.get(), actor="ann")
    assert standing() == WAITING


def test_a_try_that_failed_is_not_overdue_once_more(order, supplier):
    try_once()
    supplier.answer = lambda *_: (503, {}, b"")
    try_once()
    try_once()
    assert Event.objects.filter(name="receipt.overdue").count() == 1
    assert ExceptionCase.objects.get().occurrences == 1


def test_resends_keep_the_time_agreed_and_the_pauses_of_the_schedule(order, supplier):
    As2Link.objects.update(mdn_timeout_minutes=30, retry_minutes="10, 20, 40, 80")
    waits = []
    for _ in range(5):
        try_once()
        waits.append(round(due_in(pk=delivery().pk).total_seconds() / 60))
    assert waits == [30, 30, 30, 40, 80]


def used_up(supplier: Any) -> None:
    """Every try was taken, and no receipt came."""
    As2Link.objects.update(retry_minutes="5, 10")
    for _ in range(4):
        try_once()
    assert len(supplier.received) == 3


def test_without_any_receipt_it_becomes_a_dead_letter_with_its_case(order, supplier):
    used_up(supplier)
    assert standing() == ("sent", "dead", "translated")
    escalate.sweep(now=timezone.now())
    assert cases(state="open") == ["partner_unreachable"]
    assert "no receipt came" in ExceptionCase.objects.get(state="open").summary


def test_a_receipt_that_comes_after_giving_up_counts_and_frees_the_lane(order, erp, supplier):
    erp.change(order, "120")
    poll_erp()
    used_up(supplier)
    escalate.sweep(now=timezone.now())
    arrive(mdn_of(supplier))
    first, second = Delivery.objects.order_by("pk")
    assert (first.state, first.transmission.state) == ("delivered", "receipted")
    assert cases(state="open") == []
    make_due()
    relay.work(DeliveryKind.PARTNER, "test")
    second.refresh_from_db()
    assert second.standing == "in_doubt"


def test_a_rejection_that_comes_after_giving_up_is_a_case_of_its_own(order, supplier):
    used_up(supplier)
    escalate.sweep(now=timezone.now())
    arrive(mdn_of(supplier, disposition="processed/error: integrity-check-failed"))
    assert standing() == ("rejected", "dead", "translated")
    assert cases(state="open") == ["receipt_rejected"]


def test_a_receipt_for_what_a_person_closed_says_that_they_have_it(order, supplier):
    used_up(supplier)
    escalate.sweep(now=timezone.now())
    decide.close(ExceptionCase.objects.get(state="open"), actor="ann")
    arrive(mdn_of(supplier))
    assert standing() == ("receipted", "cancelled", "relayed")


# ------------------------------------------------------------------------------------------------------- once more
def test_the_same_receipt_again_changes_nothing(order, supplier):
    try_once()
    mdn = mdn_of(supplier)
    for _ in range(30):
        assert arrive(mdn).status == 200
    assert arrive(mdn_of(supplier)).status == 200  # signed anew: other bytes, the same verdict
    assert standing() == ARRIVED
    assert len(mdns()) == 1
    assert Event.objects.filter(name="receipt.ignored").count() == receipts.MOST_OF_A_MESSAGE
    assert cases() == []


@pytest.mark.parametrize(
    ("first", "second", "state"),
    [
        ("processed", "processed/error: decryption-failed", ARRIVED),
        ("processed/error: decryption-failed", "processed", ("rejected", "dead", "translated")),
    ],
)
def test_a_receipt_that_contradicts_the_first_is_kept_and_decides_nothing(order, supplier, first, second, state):
    try_once()
    arrive(mdn_of(supplier, disposition=first))
    contradiction = mdn_of(supplier, disposition=second)
    for _ in range(3):
        assert arrive(contradiction).status == 200
    assert standing() == state
    assert [row.state for row in mdns(about=sent())] == ["stored", "stored"]
    assert mdns()[1].raw.content == contradiction.body
    [case] = ExceptionCase.objects.filter(reason="receipt_contradicts")
    assert (case.occurrences, case.transmission) == (1, mdns()[1])


def test_a_partner_that_goes_on_contradicting_fills_nothing(order, supplier):
    try_once()
    arrive(mdn_of(supplier))
    for _ in range(receipts.MOST_OF_A_MESSAGE + 5):
        arrive(mdn_of(supplier, disposition="processed/error: decryption-failed"))
    assert len(mdns()) == receipts.MOST_OF_A_MESSAGE


# ------------------------------------------------------------------------------------- forged, foreign and malformed
def without_mic(supplier: Any) -> as2.Mdn:
    headers, _ = supplier.received[0]
    return as2.build_mdn(headers, terms=supplier.terms, mic=None, text="Taken.")


def signed_by_a_stranger(supplier: Any) -> as2.Mdn:
    stranger = make_identity("acme.example")
    headers, body = supplier.received[0]
    received = as2.receive(headers, body, supplier.terms)
    forged = replace(supplier.terms, our_signing=(stranger,))
    return as2.build_mdn(headers, terms=forged, mic=(received.mic, received.mic_algorithm), text="Taken.")


def unsigned(supplier: Any) -> as2.Mdn:
    headers, body = supplier.received[0]
    received = as2.receive(headers, body, supplier.terms)
    plain = {name: value for name, value in headers.items() if name != "Disposition-Notification-Options"}
    return as2.build_mdn(plain, terms=supplier.terms, mic=(received.mic, received.mic_algorithm), text="Taken.")


def altered(supplier: Any) -> as2.Mdn:
    mdn = mdn_of(supplier)
    return as2.Mdn(headers=mdn.headers, body=mdn.body.replace(b"processed", b"Processed", 1))


@pytest.mark.parametrize("make", [without_mic, signed_by_a_stranger, unsigned, altered])
def test_a_receipt_that_proves_nothing_changes_nothing_and_the_message_goes_on_waiting(order, supplier, make):
    try_once()
    due = delivery().entry.due_at
    mdn = make(supplier)
    answer = arrive(mdn)
    assert standing() == WAITING
    assert delivery().entry.due_at == due
    [kept] = mdns()
    assert (kept.state, kept.about, kept.raw.content) == ("refused", sent(), mdn.body)
    [case] = ExceptionCase.objects.all()
    assert (case.reason, case.transmission) == ("receipt_unmatched", kept)
    assert case.detail["why"] == kept.reason != ""
    assert arrive(mdn_of(supplier)) == answer  # who sends it learns nothing
    assert standing() == ARRIVED


def test_a_receipt_that_proves_nothing_is_refused_after_the_message_is_settled_too(order, supplier):
    try_once()
    arrive(mdn_of(supplier))
    arrive(without_mic(supplier))
    assert standing() == ARRIVED
    assert [row.state for row in mdns()] == ["stored", "refused"]


@pytest.mark.parametrize("message_id", ["<nobody@plant.example>", "<>", "\u00e9", "x" * 900])
def test_a_receipt_for_nothing_of_ours_is_kept_and_answered_like_any_other(order, supplier, message_id):
    try_once()
    mdn = mdn_of(supplier)
    profile = profile_of("ACME")
    incoming = Incoming(channel=Channel.AS2, partner_id=profile.id, format="mdn", raw=mdn.body, headers=mdn.headers)
    assert receipts.arrived(incoming, profile, message_id) == receipts.arrived(incoming, profile, sent().message_id)
    assert [(row.state, row.about) for row in mdns()] == [("refused", None), ("stored", sent())]
    assert cases() == ["receipt_unmatched"]


def test_another_partner_cannot_settle_it(order, supplier, their_key):
    """Even with the right signature and MIC: the pair of names decides whose messages a receipt can be for."""
    onboarding.set_up(
        {
            "code": "OTHER",
            "name": "Other",
            "state": "live",
            "as2": {"their_name": "OTHER-AS2", "url": supplier.url},
            "certificates": [{"certificate": make_identity("other.example").certificate_pem.decode()}],
        }
    )
    try_once()
    mdn = mdn_of(supplier)
    other = profile_of("OTHER")
    assert other.as2 is not None
    other = replace(other, as2=replace(other.as2, their_signing=profile_of("ACME").as2.their_signing))
    incoming = Incoming(channel=Channel.AS2, partner_id=other.id, format="mdn", raw=mdn.body, headers=mdn.headers)
    receipts.arrived(incoming, other, sent().message_id)
    assert standing() == WAITING
    assert [(row.state, row.partner.code, row.about) for row in mdns()] == [("refused", "OTHER", None)]


def test_a_receipt_from_another_pair_of_names_is_for_nothing_of_ours(order, supplier):
    try_once()
    As2Link.objects.update(their_name="ACME-NEW")
    arrive(mdn_of(supplier))
    assert standing() == WAITING
    assert cases() == ["receipt_unmatched"]


def test_a_receipt_must_be_signed_when_the_message_as_it_left_asked_for_that(order, supplier):
    try_once()
    As2Link.objects.update(signed_mdn=False)
    arrive(unsigned(supplier))
    assert standing() == WAITING
    assert cases() == ["receipt_unmatched"]


def test_a_receipt_may_be_unsigned_when_the_message_as_it_left_asked_for_no_signature(order, supplier):
    As2Link.objects.update(signed_mdn=False)
    try_once()
    As2Link.objects.update(signed_mdn=True)
    arrive(mdn_of(supplier))
    assert standing() == ARRIVED
    assert sent().evidence["receipt_signer"] is None


def test_whoever_floods_us_with_receipts_fills_nothing(order, supplier):
    try_once()
    forged = without_mic(supplier)
    answers = [arrive(forged) for _ in range(receipts.REFUSED_AN_HOUR + 10)]
    assert {answer.status for answer in answers} == {200}
    assert len(mdns()) == receipts.REFUSED_AN_HOUR
    assert ExceptionCase.objects.get().occurrences == receipts.REFUSED_AN_HOUR
    arrive(mdn_of(supplier))
    assert standing() == ARRIVED


def test_a_receipt_as_long_as_a_book_is_not_kept(order, supplier):
    try_once()
    mdn = mdn_of(supplier)
    assert arrive(as2.Mdn(headers=mdn.headers, body=mdn.body + b" " * receipts.MAX_BYTES)).status == 413
    assert mdns() == []


def test_its_own_id_takes_none_from_a_message_to_come(order, supplier, take):
    try_once()
    mdn = mdn_of(supplier)
    arrive(mdn)
    profile = profile_of("ACME")
    message = Incoming(
        channel=Channel.AS2,
        partner_id=profile.id,
        format="x12",
        message_id=mdn.headers["Message-ID"],
        raw=b"ISA",
        payload=b"ISA",
    )
    assert not receive.receive(message, lambda row: Answer(status=200)).repeated


def test_what_cannot_be_stored_is_not_taken(order, supplier):
    try_once()

    def full(execute, sql, params, many, context):
        if sql.startswith("INSERT") and "gateway_event" in sql:
            raise OperationalError("database or disk is full")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(full), pytest.raises(DatabaseError):
        arrive(mdn_of(supplier))
    assert standing() == WAITING
    assert mdns() == []
    arrive(mdn_of(supplier))
    assert standing() == ARRIVED


# ------------------------------------------------------------------------- while a worker sends, and several at once
def in_a_thread(work: Callable[[], object]) -> None:
    """Do it as another request would: with a connection of its own, before this one goes on."""

    def run() -> None:
        try:
            work()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(run).result(timeout=60)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("answer", [(204, {}, b""), (500, {}, b""), (404, {}, b""), None])
def test_a_receipt_that_comes_before_our_post_returns_counts_whatever_the_answer(order, supplier, answer):
    def early(headers, body):
        in_a_thread(lambda: arrive(mdn_of(supplier)))
        return answer

    supplier.answer = early
    try_once()
    assert standing() == ARRIVED
    assert len(mdns()) == 1
    assert [one.outcome for one in outbox.tries(delivery())] == ["delivered"]
    escalate.sweep(now=timezone.now())
    assert cases() == []


@pytest.mark.django_db(transaction=True)
def test_it_comes_through_the_door_while_our_post_still_runs(order, supplier):
    answers: list[int] = []

    def post(mdn: as2.Mdn) -> None:
        headers = {name: value for name, value in mdn.headers.items() if name != "Content-Type"}
        kind = mdn.headers["Content-Type"]
        answers.append(Client().generic("POST", "/as2", mdn.body, content_type=kind, headers=headers).status_code)

    def early(headers, body):
        in_a_thread(lambda: post(mdn_of(supplier)))
        return 202, {}, b""

    supplier.answer = early
    try_once()
    assert answers == [200]
    assert standing() == ARRIVED


@pytest.mark.django_db(transaction=True)
def test_a_rejection_that_comes_before_our_post_returns_ends_the_tries(order, supplier):
    def early(headers, body):
        in_a_thread(lambda: arrive(mdn_of(supplier, disposition="processed/error: decryption-failed")))
        return 204, {}, b""

    supplier.answer = early
    try_once()
    assert standing() == ("rejected", "dead", "translated")
    escalate.sweep(now=timezone.now())
    assert cases() == ["receipt_rejected"]


@pytest.mark.django_db(transaction=True)
def test_a_receipt_in_the_answer_that_contradicts_an_earlier_one_decides_nothing(order, supplier):
    def both(headers, body):
        in_a_thread(lambda: arrive(mdn_of(supplier)))
        mdn = mdn_of(supplier, disposition="processed/error: decryption-failed")
        return 200, mdn.headers, mdn.body

    supplier.answer = both
    try_once()
    assert standing() == ARRIVED
    assert [row.state for row in mdns()] == ["stored", "stored"]
    assert cases() == ["receipt_contradicts"]


@pytest.mark.django_db(transaction=True)
def test_when_the_worker_died_the_next_one_finds_the_receipt_and_sends_nothing(order, supplier):
    make_due()
    claim = outbox.claim(DeliveryKind.PARTNER, "dies")
    assert claim is not None

    class Killed(BaseException):
        pass

    post = send.post

    def posts_and_dies(*args, **kwargs):
        post(*args, **kwargs)
        raise Killed

    def early(headers, body):
        in_a_thread(lambda: arrive(mdn_of(supplier)))
        return 204, {}, b""

    supplier.answer = early
    with pytest.MonkeyPatch.context() as patched, pytest.raises(Killed):
        patched.setattr(send, "post", posts_and_dies)
        relay.handle(claim, now=timezone.now())
    assert standing() == ("receipted", "sending", "relayed")
    lease_runs_out()
    relay.work(DeliveryKind.PARTNER, "the next")
    assert standing() == ARRIVED
    assert len(supplier.received) == 1


def test_a_receipt_that_came_while_the_last_worker_was_dying_leaves_no_dead_letter(order, supplier):
    try_once()
    make_due()
    assert outbox.claim(DeliveryKind.PARTNER, "dies") is not None
    QueueEntry.objects.update(crashes=settings.POISON_AFTER - 1)
    arrive(mdn_of(supplier))
    assert standing() == ("receipted", "sending", "relayed")
    lease_runs_out()
    assert outbox.claim(DeliveryKind.PARTNER, "the next") is None
    assert escalate.sweep(now=timezone.now()) == 0
    assert standing() == ARRIVED
    assert cases() == []


@pytest.mark.django_db(transaction=True)
def test_a_receipt_settles_what_a_dead_worker_held_and_the_paused_worker_changes_nothing(order, supplier):
    def slow(headers, body):
        lease_runs_out()
        connection.close()
        in_a_thread(lambda: arrive(mdn_of(supplier)))
        return 500, {}, b""

    supplier.answer = slow
    try_once()
    assert standing() == ARRIVED
    assert outbox.claim(DeliveryKind.PARTNER, "another") is None


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("second", ["processed", "processed/error: decryption-failed"])
def test_of_two_receipts_at_once_one_counts(order, supplier, second):
    try_once()
    both = [mdn_of(supplier), mdn_of(supplier, disposition=second)]
    gate = threading.Barrier(2)
    answers: list[int] = []

    def post(mdn: as2.Mdn) -> None:
        gate.wait(timeout=30)
        answers.append(arrive(mdn).status)
        connection.close()

    threads = [threading.Thread(target=post, args=(mdn,)) for mdn in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert answers == [200, 200]
    contradict = second != "processed"
    assert len(mdns(state="stored")) == 1 + contradict
    assert cases(reason="receipt_contradicts") == ["receipt_contradicts"] * contradict
    state, settled, _ = standing()
    assert (state, settled) in {("receipted", "delivered"), ("rejected", "dead")}
    assert sent().answer.content == mdns()[0].raw.content
