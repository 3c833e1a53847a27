"""Finished work leaves the tables whole, is known again when it is repeated, and comes back as it was."""

from __future__ import annotations

import json
from datetime import date, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, models, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from gateway import archives, audit
from gateway.archives import files, leave, units
from gateway.blob_store import Full
from gateway.models import (
    Archive,
    ArchivedRow,
    ArchivingNow,
    Blob,
    Delivery,
    Document,
    Event,
    ExceptionCase,
    LegalHold,
    Order,
    QueueEntry,
    Transmission,
)
from gateway.pipeline import receive
from partners import onboarding
from partners.models import ApiKey, TradingPartner
from tests.gateway.pipeline.conftest import poll_erp
from tests.gateway.pipeline.test_answers import acknowledgment
from tests.gateway.rows import a_partner

pytestmark = pytest.mark.django_db

TOMORROW = (timezone.now() + timedelta(days=40)).date().replace(day=1)


@pytest.fixture
def order(connection, erp, castra):
    """An order for CASTRA, in the book."""
    onboarding.set_up({"code": "CASTRA", "supplier_numbers": ["S-100"]})
    placed = erp.release()
    poll_erp()
    return placed


@pytest.fixture
def done(order, take, drain):
    """The order answered and shipped whole, relayed to the ERP, sealed: nothing of it is open."""
    take(acknowledgment(order.number))
    drain()
    items = [
        {"order_number": order.number, "order_line": line, "quantity": quantity, "unit": "EA"}
        for line, quantity in (("10", "100"), ("20", "5.5"))
    ]
    take(json.dumps({"type": "ship_notice", "shipment_number": "S1", "items": items}).encode(), message_id="m2")
    drain()
    audit.seal_all()
    return Order.objects.get()


def leave_now(**more) -> leave.Outcome:
    """As if everything so far were of a month that is over."""
    return archives.run(timezone.now(), before=TOMORROW, **more)


def as_rows() -> dict[str, list[dict[str, object]]]:
    """Every row that may leave, column by column."""
    return {model._meta.label: list(model._base_manager.order_by("pk").values()) for model in units.everything()}


def of_the_trail(rows: dict[str, list[dict[str, object]]]) -> list[object]:
    return [row["id"] for row in rows["gateway.Event"]]


# -- leaving and coming back


def test_finished_work_leaves_in_one_file_with_its_order(done):
    outcome = leave_now()
    [archive] = outcome.archives
    assert not Transmission.objects.exists()
    assert not Document.objects.exists()
    assert not Order.objects.exists()
    assert archive.rows["order"] == 1
    assert archive.rows["document"] == 3
    assert set(Event.objects.values_list("name", flat=True)) == {"archive.made"}
    assert not ArchivingNow.objects.exists()


def test_what_is_restored_is_equal_in_every_column(done):
    before = as_rows()
    blobs = {row.pk: row.content for row in Blob.objects.all()}
    [archive] = leave_now().archives
    archives.restore(archive, actor="ann", now=timezone.now())
    after = as_rows()
    added = [row for row in after["gateway.Event"] if row["id"] not in of_the_trail(before)]
    assert [row["name"] for row in added] == ["archive.made", "archive.restored"]
    after["gateway.Event"] = [row for row in after["gateway.Event"] if row not in added]
    assert after == before
    assert {row.pk: row.content for row in Blob.objects.filter(pk__in=blobs)} == blobs
    assert not ArchivedRow.objects.exists()


def test_bytes_that_are_gone_from_the_store_come_back_with_the_archive(done, settings, tmp_path):
    [archive] = leave_now().archives
    kept = Blob.objects.get(pk=archive.sha256).content
    settings.BLOBS = f"file:{tmp_path}"
    Blob.put(kept)
    archives.restore(archive, actor="ann", now=timezone.now())
    assert b"order_acknowledgment" in Transmission.objects.get(message_id="m1").raw.content


def test_what_was_restored_stays_for_a_month_and_then_leaves_again(done):
    [archive] = leave_now().archives
    archives.restore(archive, actor="ann", now=timezone.now())
    audit.seal_all()
    assert leave_now().stays["it was restored lately"] == 1
    later = timezone.now() + timedelta(days=31)
    [again] = archives.run(later, before=TOMORROW).archives
    assert (again.part, again.rows) == (2, archive.rows)


def test_an_archive_is_restored_once(done):
    [archive] = leave_now().archives
    archives.restore(archive, actor="ann", now=timezone.now())
    with pytest.raises(archives.ArchiveError, match="is back since"):
        archives.restore(archive, actor="ann", now=timezone.now())


def test_equal_rows_make_an_equal_file_whenever_it_is_made(done, monkeypatch):
    made: list[str] = []

    class PowerCut(Exception):
        pass

    def cut(part, kept, digest, now):
        made.append(kept.sha256)
        raise PowerCut

    for _ in range(2):
        with monkeypatch.context() as patch, pytest.raises(PowerCut):
            patch.setattr(leave, "_delete", cut)
            leave_now()
    assert Transmission.objects.count() == 2
    [archive] = leave_now().archives
    assert made == [archive.sha256, archive.sha256]


@pytest.mark.parametrize("statement", range(0, 60, 3))
def test_cut_off_at_any_statement_nothing_has_left_or_all_of_it(done, statement):
    before = as_rows()

    class PowerCut(Exception):
        pass

    left = statement

    def cut(execute, sql, params, many, context):
        nonlocal left
        if sql.startswith(("INSERT", "DELETE", "UPDATE")):
            if left == 0:
                raise PowerCut
            left -= 1
        return execute(sql, params, many, context)

    try:
        with transaction.atomic(), connection.execute_wrapper(cut):
            leave_now()
    except PowerCut:
        assert as_rows() == before
        assert not Archive.objects.exists()
        leave_now()
    assert not Transmission.objects.exists()
    assert Archive.objects.count() == 1


def test_what_cannot_be_kept_stays_and_does_not_stop_the_others(done, monkeypatch):
    def full(data: bytes) -> Blob:
        raise Full("no room")

    with monkeypatch.context() as patch:
        patch.setattr(Blob, "put", full)
        outcome = leave_now()
    assert outcome.stays["its bytes cannot be read, or its file not be kept"] == 1
    assert Transmission.objects.count() == 2
    assert len(leave_now().archives) == 1


def test_what_is_written_to_while_the_file_is_made_stays_for_the_next_run(done, monkeypatch):
    put = Blob.put

    def slow(data: bytes) -> Blob:
        Document.objects.filter(type="ship_notice").update(acknowledged="accepted")
        return put(data)

    monkeypatch.setattr(Blob, "put", slow)
    assert leave_now().archives == []
    assert Transmission.objects.count() == 2
    monkeypatch.undo()
    assert len(leave_now().archives) == 1


def test_many_messages_leave_in_parts(castra, take, monkeypatch):
    monkeypatch.setattr(leave, "_ROWS_A_PART", 20)
    monkeypatch.setattr(leave, "_ROOTS_AT_ONCE", 3)
    for number in range(10):
        take(b"{}", message_id=f"n{number}")
    QueueEntry.objects.all().delete()
    Delivery.objects.update(state="cancelled")
    audit.seal_all()
    outcome = leave_now()
    assert [archive.part for archive in outcome.archives] == list(range(1, len(outcome.archives) + 1))
    assert len(outcome.archives) > 1
    assert not Transmission.objects.exists()


# -- what stays


def stays(**more) -> list[str]:
    outcome = leave_now(**more)
    assert outcome.archives == []
    return sorted(outcome.stays)


def test_an_order_that_is_not_answered_stays_with_its_documents(order):
    audit.seal_all()
    assert stays() == ["order is not answered"]


def test_an_order_that_is_not_shipped_stays_with_its_answer(order, take, drain):
    take(acknowledgment(order.number))
    drain()
    audit.seal_all()
    assert stays() == ["order is not shipped"]


def test_what_waits_for_a_person_stays(order, take, drain):
    take(acknowledgment(order.number, quantity="80"))
    drain()
    audit.seal_all()
    assert any("is held" in why for why in stays())


def test_what_waits_in_a_queue_stays(castra, take):
    take(b"{}")
    audit.seal_all()
    assert len(stays()) == 1


def test_what_is_not_sealed_stays(done):
    message = Transmission.objects.earliest("pk")
    Event.objects.create(name="payload.viewed", transmission=message)
    assert leave_now().stays["an event of it is not yet sealed"] == 1
    assert Transmission.objects.get() == message
    assert Order.objects.exists()
    audit.seal_all()
    leave_now()
    assert not Order.objects.exists()


def test_a_hold_on_the_order_keeps_all_of_it(done):
    LegalHold.objects.create(order=done, reason="dispute 7", placed_by="ann")
    assert stays() == ["order is under a legal hold"]


def test_a_hold_on_the_partner_keeps_everything_of_it(done):
    hold = LegalHold.objects.create(partner=done.partner, reason="dispute 7", placed_by="ann")
    assert stays() == ["the partner is under a legal hold"]
    LegalHold.objects.filter(pk=hold.pk).update(ended_at=timezone.now(), ended_by="ann")
    assert len(leave_now().archives) == 1


def test_a_hold_that_comes_while_the_file_is_made_keeps_it(done, monkeypatch):
    put = Blob.put

    def slow(data: bytes) -> Blob:
        LegalHold.objects.create(order=done, reason="dispute 7", placed_by="ann")
        return put(data)

    monkeypatch.setattr(Blob, "put", slow)
    assert leave_now().archives == []
    assert Order.objects.exists()


def test_what_is_younger_than_the_retention_stays(done, settings):
    settings.KEEP_MONTHS = 1
    assert archives.run(timezone.now()).archives == []
    later = timezone.now() + timedelta(days=75)
    assert len(archives.run(later).archives) == 1


def test_without_retention_everything_stays_for_ever(done):
    assert archives.run(timezone.now() + timedelta(days=36500)).archives == []


def test_a_partner_may_keep_longer_or_for_ever(done, settings):
    settings.KEEP_MONTHS = 1
    now = timezone.now() + timedelta(days=75)
    TradingPartner.objects.update(keep_months=0)
    assert archives.run(now).archives == []
    TradingPartner.objects.update(keep_months=60)
    assert archives.run(now).archives == []
    TradingPartner.objects.update(keep_months=2)
    assert archives.kept_since(TradingPartner.objects.get(), now) is not None


def test_the_retention_counts_whole_months(castra):
    castra.keep_months = 13
    assert archives.kept_since(castra, timezone.now().replace(year=2027, month=1, day=31)) == date(2025, 12, 1)


def test_a_dry_run_counts_and_changes_nothing(done):
    before = as_rows()
    outcome = leave_now(dry=True)
    assert (outcome.archives, outcome.rows["document"]) == ([], 3)
    assert as_rows() == before


def test_every_table_that_refers_to_what_leaves_leaves_too_or_stays_for_a_reason():
    names = {model.__name__ for model in units.everything()} | {model.__name__ for model in units._STAY}
    for model in units.everything():
        for relation in model._meta.get_fields(include_hidden=True):
            if isinstance(relation, models.ManyToOneRel):
                assert relation.related_model.__name__ in names, relation


# -- known again


def test_a_repeat_of_an_archived_message_gets_the_first_answer(done, take, drain):
    first = Transmission.objects.get(message_id="m1")
    leave_now()
    again = take(acknowledgment(done.number))
    assert again.repeated
    assert again.answer.body == str(first.uid).encode()
    assert not Transmission.objects.exists()


def test_other_content_under_an_archived_id_is_a_conflict(done, take):
    leave_now()
    with pytest.raises(receive.Conflict):
        take(acknowledgment(done.number, quantity="80"))


def test_an_answer_to_an_archived_order_is_a_case_that_names_the_archive(done, take, drain):
    [archive] = leave_now().archives
    take(acknowledgment(done.number), message_id="m9")
    drain()
    case = ExceptionCase.objects.get()
    assert case.reason == "order_unknown"
    assert f"archive {archive.pk}" in case.summary


def test_an_archived_order_that_the_erp_names_again_is_a_case_and_no_new_order(done, order, erp):
    [archive] = leave_now().archives
    erp.change(order, "120")
    poll_erp()
    assert not Order.objects.exists()
    case = ExceptionCase.objects.get()
    assert case.reason == "order_unusable"
    assert f"archive {archive.pk}" in case.summary


# -- checked


def test_every_archive_is_what_its_row_and_the_audit_trail_say(done, capsys):
    leave_now()
    call_command("archive", "verify")
    assert "1 archives read, 0 of them" in capsys.readouterr().out


def test_an_event_that_was_changed_in_the_file_is_named(done, capsys):
    [archive] = leave_now().archives
    lines = list(files.decode(Blob.objects.get(pk=archive.sha256).content))
    rows: units.Rows = {model: {} for model in units.everything()}
    for line in lines:
        if line.model is not None:
            row = files.row_of(line)
            rows[line.model][row.pk] = row
    event = min(rows[Event])
    setattr(rows[Event][event], "actor", "somebody else")  # noqa: B010  # a row of any table
    head = files.Head(partner="CASTRA", month=archive.month)
    forged = files.encode(head, files.lines_of(rows, units.everything()), [], leave._content)
    Archive.objects.filter(pk=archive.pk).update(sha256=Blob.put(forged).sha256)
    with pytest.raises(SystemExit):
        call_command("archive", "verify")
    assert f"event {event} is not what the audit trail has sealed" in capsys.readouterr().out


def test_a_file_that_is_cut_off_is_named(done):
    [archive] = leave_now().archives
    cut = Blob.objects.get(pk=archive.sha256).content[:-40]
    Archive.objects.filter(pk=archive.pk).update(sha256=Blob.put(cut).sha256)
    archive.refresh_from_db()
    [fault] = archives.verify(archive)
    assert "cut off or damaged" in fault
    with pytest.raises(archives.ArchiveError, match="cut off"):
        archives.restore(archive, actor="ann", now=timezone.now())


# -- the command


def test_the_command_archives_lists_shows_and_restores(done, capsys):
    call_command("archive", "--before", f"{timezone.now():%Y-%m}", "--dry-run")
    leave_now()
    [archive] = Archive.objects.all()
    call_command("archive", "list")
    assert f"{archive.pk}: CASTRA" in capsys.readouterr().out
    call_command("archive", "show", str(archive.pk))
    shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {one["row"] for one in shown} >= {"order", "transmission", "event"}
    call_command("archive", "restore", str(archive.pk))
    assert Order.objects.exists()


@pytest.mark.parametrize(
    "arguments", [["--before", "soon"], ["--before", "9000-01"], ["--partner", "NOBODY"], ["show"], ["restore", "7"]]
)
def test_what_the_command_cannot_do_it_says(db, arguments):
    with pytest.raises(CommandError):
        call_command("archive", *arguments)


# -- what a person sees of it


@pytest.mark.parametrize(
    ("page", "model"),
    [("transmission", Transmission), ("document", Document), ("order", Order), ("annotated", Document)],
)
def test_the_page_of_what_left_says_where_it_is(done, admin_client, page, model):
    pk = model.objects.earliest("pk").pk
    address = reverse(f"console:{page}", args=[pk])
    assert admin_client.get(address).status_code in (200, 404)
    [archive] = leave_now().archives
    answer = admin_client.get(address)
    assert answer.status_code == 410
    assert f"manage.py archive restore {archive.pk}" in answer.content.decode()
    assert admin_client.get(reverse(f"console:{page}", args=[pk + 999])).status_code == 404


def test_the_admin_says_where_it_is(done, admin_client):
    pk = Transmission.objects.earliest("pk").pk
    [archive] = leave_now().archives
    answer = admin_client.get(reverse("admin:gateway_transmission_change", args=[pk]), follow=True)
    assert f"is in archive {archive.pk}" in answer.content.decode()
    assert admin_client.get(reverse("admin:gateway_archive_change", args=[archive.pk])).status_code == 200


def test_an_order_that_stays_says_where_its_documents_are(done, admin_client):
    LegalHold.objects.create(order=done, reason="r", placed_by="ann")
    [archive] = [
        *leave_now().archives,
        *[Archive.objects.create(partner=done.partner, month=TOMORROW, sha256="0" * 64, size_bytes=1, events=b"")],
    ]
    ArchivedRow.objects.create(archive=archive, model="document", row_id=1, order_id=done.pk)
    answer = admin_client.get(reverse("console:order", args=[done.pk]))
    assert f"are in archive {archive.pk}" in answer.content.decode()


def test_a_supplier_is_told_that_it_is_archived_and_a_stranger_is_not(done):
    order, submission = done.uid, Transmission.objects.earliest("pk").uid
    key, other = (ApiKey(partner=partner, label="t", env="live") for partner in (done.partner, a_partner("OTHER")))
    secret, strange = key.new_secret(), other.new_secret()
    key.save()
    other.save()
    [archive] = leave_now().archives
    for address in (f"/v1/purchase-orders/{order}", f"/v1/submissions/{submission}"):
        told = Client().get(address, headers={"Authorization": f"Bearer {secret}"})
        assert (told.status_code, told.json()["type"]) == (410, "/problems/archived")
        assert f"archive {archive.pk}" in told.json()["detail"]
        assert Client().get(address, headers={"Authorization": f"Bearer {strange}"}).status_code == 404
