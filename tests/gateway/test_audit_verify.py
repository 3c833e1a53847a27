"""``audit verify`` against somebody who can write every row: whatever is changed behind the gateway's back is named."""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection, models, transaction

from edi_maps import canonical
from gateway import audit, events, exception_queue, order_book, states
from gateway.audit import chain, checkpoints
from gateway.audit.coverage import APART, COVERED, Covered
from gateway.models import (
    AuditBatch,
    AuditKey,
    Blob,
    Checkpoint,
    Delivery,
    DeliveryState,
    Document,
    DocumentState,
    ErpConnection,
    Event,
    ExceptionCase,
    Interchange,
    Order,
    OrderRevision,
    Transmission,
    TransmissionState,
)
from tests.gateway.rows import a_document, a_partner
from tests.gateway.stored import file_of, overwrite
from tests.gateway.tampering import change, delete, unguarded, without_foreign_keys

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


# -- givens


@pytest.fixture(autouse=True)
def kept_outside(tmp_path: Path, settings: Any) -> Path:
    settings.CHECKPOINTS_FILE = tmp_path / "checkpoints.jsonl"
    return tmp_path / "checkpoints.jsonl"


def an_exchange(code: str) -> None:
    """An order, a message that answers it, what it said, and a case a person settled: each with its events."""
    partner = a_partner(code)
    erp, _ = ErpConnection.objects.get_or_create(code=code.lower(), defaults={"base_url": "https://erp.example/"})
    record = canonical.load(
        {"type": "purchase_order", "number": code, "lines": [{"line_number": "1", "quantity": "5", "unit": "EA"}]}
    )
    assert isinstance(record, canonical.PurchaseOrder)
    with transaction.atomic():
        order = order_book.release(
            connection=erp,
            company="1000",
            number=code,
            erp_key=f"1000:{code}",
            revision=1,
            cancelled=False,
            record=record,
            partner_id=partner.pk,
            ack_due_at=None,
            now=NOON,
        ).order
        message = Transmission.objects.create(
            direction="inbound",
            channel="as2",
            partner=partner,
            format="x12",
            message_id=f"<1@{code}>",
            headers={"AS2-From": code},
            raw=Blob.put(f"on the wire, {code}".encode()),
            payload=Blob.put(f"ISA*{code}~".encode()),
            answer=Blob.put(f"receipt for {code}".encode()),
        )
        states.advance(message, TransmissionState.STORED)
        states.advance(message, TransmissionState.ANSWERED)
        document = a_document(partner=partner, order=order, transmission=message, record={"order_number": "4711"})
        states.advance(document, DocumentState.TRANSLATED)
        document.acknowledged = "accepted"
        document.save()
        events.record("document.acknowledged", document=document, status="accepted")
        states.advance(document, DocumentState.HELD)
        delivery = Delivery.objects.create(key=f"erp:{code}", kind="erp", document=document, connection=erp)
        states.advance(delivery, DeliveryState.DELIVERED, result="4711-1")
        case = exception_queue.open_case(
            "order_unknown", summary="Who?", fingerprint=f"order_unknown:{code}", document=document, now=NOON
        )
        exception_queue.resolve(case, "accepted", actor="ann", note="It is ours.", now=NOON)


@pytest.fixture
def exchanges(db: None) -> None:
    """Two, of two partners, sealed in three batches and signed twice."""
    an_exchange("ACME")
    audit.seal_all(NOON, most=6)
    audit.checkpoint(NOON)
    an_exchange("OTHER")
    audit.seal_all(NOON + timedelta(minutes=1))
    audit.checkpoint(NOON + timedelta(minutes=1))


def spare_rows() -> None:
    """One more of each table that others refer to, of which nothing is told yet."""
    partner = a_partner("SPARE")
    erp = ErpConnection.objects.create(code="spare", base_url="https://erp.example/")
    message = Transmission.objects.create(
        direction="inbound", channel="as2", partner=partner, format="x12", raw=Blob.put(b"spare")
    )
    Interchange.objects.create(transmission=message, partner=partner, direction="inbound")
    document = a_document(partner=partner)
    order = Order.objects.create(connection=erp, company="1", number="spare", erp_key="", partner=partner, revision=1)
    ExceptionCase.objects.create(reason="order_unknown", fingerprint="spare", team="edi", due_at=NOON, order=order)
    Delivery.objects.create(key="spare", kind="erp", document=document)


def verify(*options: Any) -> tuple[int, list[dict[str, Any]], dict[str, Any]]:
    """Exit code, faults and summary."""
    out = StringIO()
    code = 0
    try:
        call_command("audit", "verify", "--json", *map(str, options), stdout=out)
    except SystemExit as exit:
        assert isinstance(exit.code, int)
        code = exit.code
    *faults, summary = map(json.loads, out.getvalue().splitlines())
    return code, faults, summary


def named(faults: list[dict[str, Any]]) -> set[tuple[str, str]]:
    return {(fault["table"], fault["id"]) for fault in faults}


# -- what is in order


def test_what_nobody_changed_is_intact(exchanges):
    code, faults, summary = verify()
    assert (code, faults) == (0, [])
    assert summary["result"] == "intact"
    assert summary["counts"] | {"blobs": 6, "transmissions": 2, "documents": 2, "orders": 2} == summary["counts"]
    assert summary["counts"]["events"] == Event.objects.count()
    assert (summary["counts"]["batches"], summary["counts"]["checkpoints in the file"]) == (3, 2)
    assert (summary["notes"], [name for name, count in summary["unsealed"].items() if count]) == ([], [])


def test_it_is_said_in_words_too(exchanges, capsys):
    call_command("audit", "verify")
    assert capsys.readouterr().out.splitlines()[-1] == "Intact."
    change(Order.objects.order_by("pk").first(), "number", "4712")
    with pytest.raises(SystemExit, match="1"):
        call_command("audit", "verify")
    *told, conclusion = capsys.readouterr().out.splitlines()
    first = Order.objects.order_by("pk").first()
    assert f"✘ gateway_order {first.pk}: it is not what event" in told[0]
    assert "It was in order on " in told[1]
    assert conclusion == "Not intact: 1 faults."


def test_a_new_gateway_is_intact(db):
    assert verify()[:2] == (0, [])


def test_what_is_not_sealed_yet_is_no_fault(exchanges):
    events.record("payload.viewed", partner_id=a_partner().pk)
    code, _, summary = verify()
    assert (code, summary["counts"]["events not sealed yet"]) == (0, 1)


def test_rows_from_before_there_were_seals_are_counted_and_are_no_fault(exchanges):
    old = a_document(number="0815")
    events.record("document.translated", document=old)
    Document.objects.filter(pk=old.pk).update(state="translated")
    code, _, summary = verify()
    assert (code, summary["unsealed"]) == (0, {"documents": 1})


def test_a_seal_of_a_transmission_from_a_former_release_still_counts(exchanges):
    row = Transmission.objects.first()
    with unguarded():
        for event in Event.objects.filter(transmission=row, data__has_key="seal"):
            Event.objects.filter(pk=event.pk).update(data=event.data | {"seal": row._first_seal()})
    _, faults, _ = verify()
    assert ("gateway_transmission", str(row.pk)) not in named(faults)
    change(row, "message_id", "another")
    assert ("gateway_transmission", str(row.pk)) in named(verify()[1])


def test_the_end_alone_can_be_verified(exchanges):
    first, other = Order.objects.order_by("pk")
    change(first, "number", "9")
    assert verify("--since", 3, "--no-blobs")[:2] == (0, [])
    change(other, "number", "9")
    assert named(verify("--since", 3)[1]) == {("gateway_order", str(other.pk))}


# -- every column of every covered row


def _of_each_column() -> Iterator[Any]:
    for covered in COVERED:
        for column in [*covered.sealed, "state", *covered.told]:
            yield pytest.param(covered.model, column, id=f"{covered.model.__name__}.{column}")
        for part in covered.parts:
            for column in part.sealed:
                if column not in ("id", part.number) and (column != part.parent or part.number == "id"):
                    yield pytest.param(part.model, column, id=f"{part.model.__name__}.{column}")


@pytest.mark.parametrize(("model", "column"), list(_of_each_column()))
def test_a_changed_column_is_found_and_its_row_named(exchanges, model, column):
    spare_rows()
    row = model.objects.order_by("pk").first()
    field = next(one for one in model._meta.concrete_fields if one.attname == column)
    change(row, field.column, _another(field, getattr(row, column)))
    code, faults, _ = verify()
    assert code == 1
    assert (model._meta.db_table, str(row.pk)) in named(faults)


def _another(field: models.Field[Any, Any], value: Any) -> Any:
    """A value the database takes in its place, as the driver wants it."""
    if field.is_relation:
        return field.related_model._default_manager.exclude(pk=value).order_by("-pk")[0].pk
    match field:
        case models.JSONField():
            return json.dumps({"forged": True})
        case models.UUIDField():
            return field.get_db_prep_value(uuid.UUID(int=99), connection)
        case models.DateTimeField():
            return field.get_db_prep_value((value or NOON) + timedelta(microseconds=1), connection)
        case models.IntegerField():
            return (value or 0) + 1
    return "forged"[: field.max_length]


def test_every_column_and_every_table_has_its_decision():
    decided = set()
    for covered in COVERED:
        parts = [(part.model, part.sealed, part.free) for part in covered.parts]
        own = (*covered.sealed, "state", *covered.told)
        for model, sealed, free in [(covered.model, own, covered.free), *parts]:
            columns = {field.attname for field in model._meta.concrete_fields}
            assert sorted([*sealed, *free]) == sorted(columns), model.__name__
            decided.add(model.__name__)
    assert decided | APART.keys() == {model.__name__ for model in apps.get_app_config("gateway").get_models()}
    assert not decided & APART.keys()


def test_what_nobody_tells_of_did_not_happen(exchanges):
    unheard = a_document(number="0815")
    Document.objects.filter(pk=unheard.pk).update(state="relayed", acknowledged="accepted")
    faults = [fault["what"] for fault in verify()[1]]
    assert faults == [
        "its state is relayed, and no event says it got there",
        "its acknowledged is 'accepted', and no event says so",
    ]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("covered", COVERED, ids=lambda covered: covered.model.__name__)
def test_a_deleted_row_is_missed(exchanges, covered: Covered):
    row = covered.model._default_manager.first()
    with without_foreign_keys():
        delete(row)
        assert (covered.model._meta.db_table, str(row.pk)) in named(verify()[1])


@pytest.mark.parametrize("model", [part.model for covered in COVERED for part in covered.parts])
def test_a_deleted_part_is_missed(exchanges, model):
    row = model.objects.first()
    delete(row)
    code, [fault], _ = verify()
    assert (code, fault["table"]) == (1, model._meta.db_table)
    assert "has its seal, and it is missing" in fault["what"]


def test_a_revision_moved_to_another_order_or_number_is_missed(exchanges):
    row = OrderRevision.objects.first()
    change(row, "number", 2)
    code, [fault], _ = verify()
    assert (code, fault["table"], fault["id"]) == (1, "gateway_orderrevision", f"1 of order {row.order_id}")


# -- events


@pytest.mark.parametrize("column", [field.attname for field in Event._meta.concrete_fields if not field.primary_key])
def test_a_changed_column_of_an_event_is_found_and_the_event_named(exchanges, column):
    spare_rows()
    event = Event.objects.filter(name="document.held").first()
    field = next(one for one in Event._meta.concrete_fields if one.attname == column)
    change(event, field.column, _another(field, getattr(event, column)))
    code, faults, _ = verify()
    assert code == 1
    assert ("gateway_event", str(event.pk)) in named(faults)


def test_a_deleted_event_is_missed(exchanges):
    event = Event.objects.filter(name="document.acknowledged").first()
    delete(event)
    code, faults, _ = verify()
    assert (code, ("gateway_event", str(event.pk)) in named(faults)) == (1, True)
    assert "neither there nor in an archive: it was deleted" in faults[0]["what"]


def test_an_event_deleted_before_it_was_sealed_is_missed(exchanges):
    event = events.record("payload.viewed", partner_id=a_partner().pk)
    delete(event)
    code, [fault], _ = verify()
    assert (code, fault["id"]) == (1, str(event.pk))
    assert fault["what"] == "it was written, and deleted before it was sealed"


def test_a_forged_event_is_in_no_batch(exchanges):
    with unguarded():
        forged = events.record("payload.viewed", partner_id=a_partner().pk)
    code, [fault], _ = verify()
    assert (code, fault["table"], fault["id"]) == (1, "gateway_event", str(forged.pk))


# -- the chain


@pytest.mark.parametrize("column", ["previous", "leaves", "events", "first_event", "last_event", "digest", "sealed_at"])
def test_a_changed_batch_is_named(exchanges, column):
    field = next(one for one in AuditBatch._meta.concrete_fields if one.name == column)
    batch = AuditBatch.objects.get(pk=2)
    changed = {"previous": "1" * 64, "digest": "2" * 64, "leaves": bytes(batch.leaves)[:-1] + b"\0"}.get(column)
    changed = _another(field, getattr(batch, column)) if changed is None else changed
    change(batch, column, changed)
    code, faults, _ = verify()
    assert (code, ("gateway_auditbatch", "2") in named(faults)) == (1, True)


def test_a_batch_that_is_missing_is_named(exchanges):
    delete(Checkpoint.objects.get(batch_id=2))
    delete(AuditBatch.objects.get(pk=2))
    code, faults, _ = verify()
    assert (code, ("gateway_auditbatch", "2 to 2") in named(faults)) == (1, True)


def test_an_end_that_was_cut_off_shows_by_the_file(exchanges):
    """Batches, checkpoints and events: all that came after the first batch is gone without a trace in the database."""
    gone = [number for batch in AuditBatch.objects.filter(pk__gt=2) for number, _ in chain.leaves_in(batch)]
    with unguarded():
        Checkpoint.objects.filter(batch_id__gt=2).delete()
        AuditBatch.objects.filter(pk__gt=2).delete()
        Event.objects.filter(pk__in=gone).delete()
    code, faults, _ = verify("--no-blobs")
    assert (code, faults[0]["id"]) == (1, "3")
    assert "has signed that there are 3 batches, and the chain ends at 2" in faults[0]["what"]


def test_a_chain_made_anew_does_not_fit_what_was_signed(exchanges, kept_outside):
    """Who has the database and not the key: a change in the first batch, and every digest after it recomputed."""
    event = Event.objects.order_by("pk").first()
    change(event, "actor", "nobody")
    _make_the_chain_anew()
    code, faults, _ = verify()
    assert code == 1
    assert {table for table, _ in named(faults)} == {"gateway_checkpoint", "gateway_auditbatch"}
    assert all("made anew" in fault["what"] for fault in faults)
    assert str(kept_outside) in " ".join(fault["what"] for fault in faults)


def test_a_chain_made_anew_and_signed_with_another_key_shows(exchanges, kept_outside):
    change(Event.objects.order_by("pk").first(), "actor", "nobody")
    _make_the_chain_anew()
    forger = Ed25519PrivateKey.generate()
    name = base64.b64encode(forger.public_key().public_bytes_raw()).decode()
    lines = []
    for made in Checkpoint.objects.order_by("pk"):
        made.statement |= {"digest": AuditBatch.objects.get(pk=made.batch_id).digest, "key": name}
        made.signature = base64.b64encode(forger.sign(checkpoints.canonical(made.statement).encode())).decode()
        made.save()
        lines.append(checkpoints.line(made))
    kept_outside.write_text("".join(f"{line}\n" for line in lines))
    code, faults, _ = verify()
    assert code == 1
    assert len(faults) == 4
    assert all("none of ours" in fault["what"] for fault in faults)


def _make_the_chain_anew() -> None:
    previous = chain.GENESIS
    with unguarded():
        for batch in AuditBatch.objects.order_by("sequence"):
            now = chain.digests([number for number, _ in chain.leaves_in(batch)])
            batch.leaves = b"".join(number.to_bytes(8, "big") + digest for number, digest in now)
            batch.previous = previous
            batch.digest = previous = chain.batch_digest(batch)
            batch.save()


def test_an_event_in_two_batches_shows(exchanges):
    first = AuditBatch.objects.get(pk=1)
    again = AuditBatch(
        sequence=4,
        previous=AuditBatch.objects.get(pk=3).digest,
        leaves=bytes(first.leaves)[: chain.LEAF_BYTES],
        events=1,
        first_event=first.first_event,
        last_event=first.first_event,
        sealed_at=NOON,
    )
    again.digest = chain.batch_digest(again)
    again.save()
    code, [fault], _ = verify()
    assert (code, fault["id"]) == (1, str(first.first_event))


# -- checkpoints


def test_a_checkpoint_is_made_once_for_a_head_and_its_line_is_what_is_printed(exchanges, kept_outside, capsys):
    assert audit.checkpoint() == audit.checkpoint()
    call_command("audit", "checkpoint")
    lines = kept_outside.read_text().splitlines()
    assert capsys.readouterr().out.splitlines() == [lines[-1]]
    assert len(lines) == Checkpoint.objects.count() == 2
    last = json.loads(lines[-1])
    assert last["statement"]["events"] == Event.objects.count()
    assert last["statement"]["at"] == "2026-03-02T12:01:00.000000+00:00"


def test_nothing_is_signed_before_anything_happened(db):
    assert audit.checkpoint() is None
    with pytest.raises(CommandError, match="Nothing has happened yet"):
        call_command("audit", "checkpoint")


def test_a_line_that_was_not_written_is_written_later(exchanges, kept_outside):
    kept_outside.unlink()
    audit.checkpoint()
    assert len(kept_outside.read_text().splitlines()) == 1


def test_a_line_cut_off_by_a_crash_is_told_of_and_the_next_takes_its_place(exchanges, kept_outside):
    whole = kept_outside.read_bytes()
    kept_outside.write_bytes(whole + whole[:40])
    code, _, summary = verify()
    assert (code, len(summary["notes"])) == (0, 1)
    events.record("payload.viewed", partner_id=a_partner().pk)
    audit.seal_all()
    audit.checkpoint()
    assert kept_outside.read_bytes().startswith(whole)
    assert (verify()[0], len(kept_outside.read_text().splitlines())) == (0, 3)


@pytest.mark.parametrize("part", ['"sequence":', '"events":', '"at":"'])
def test_a_changed_line_of_the_file_is_named(exchanges, kept_outside, part):
    kept_outside.write_text(kept_outside.read_text().replace(part, part + "9", 1))
    code, faults, _ = verify()
    assert (code, faults[0]["id"]) == (1, f"{kept_outside}, line 1")


def test_a_changed_checkpoint_row_is_named(exchanges):
    made = Checkpoint.objects.order_by("pk").first()
    made.statement["events"] += 1
    made.save()
    assert named(verify()[1]) == {("gateway_checkpoint", str(made.pk))}


def test_without_the_file_the_end_cannot_be_checked(exchanges, kept_outside):
    kept_outside.rename(kept_outside.with_name("copy"))
    code, [fault], summary = verify()
    assert (code, summary["result"], fault["tampered"]) == (2, "unchecked", False)
    assert verify("--checkpoints", kept_outside.with_name("copy"))[0] == 0


def test_keys_change_and_what_the_old_one_signed_stays_verifiable(exchanges, kept_outside, capsys):
    call_command("audit", "rotate-key")
    assert capsys.readouterr().out.startswith("-----BEGIN PUBLIC KEY-----")
    events.record("payload.viewed", partner_id=a_partner().pk)
    call_command("audit", "checkpoint")
    assert len({json.loads(line)["statement"]["key"] for line in kept_outside.read_text().splitlines()}) == 2
    assert verify()[:2] == (0, [])


def test_a_key_that_does_not_open_leaves_it_open_whose_word_it_is(exchanges, settings):
    settings.KEYSTORE_SECRET = "another secret, long enough to be one"
    code, faults, _ = verify()
    assert (code, [fault["table"] for fault in faults]) == (2, ["gateway_auditkey"])


def test_a_public_key_put_in_place_of_ours_shows(exchanges):
    forger = Ed25519PrivateKey.generate()
    AuditKey.objects.update(public_key=checkpoints._public_pem(forger))
    assert ("gateway_auditkey", str(AuditKey.objects.get().pk)) in named(verify()[1])


# -- bytes


def test_a_flipped_byte_of_a_blob_is_named(exchanges):
    sha256 = hashlib.sha256(b"ISA*ACME~").hexdigest()
    overwrite(sha256, b"ISA*ACMF~")
    try:
        code, [fault], _ = verify()
    finally:
        overwrite(sha256, b"ISA*ACME~")
    assert (code, fault["table"], fault["id"]) == (1, "gateway_blob", sha256)


def test_bytes_kept_in_the_database_are_read_too(exchanges):
    sha256 = hashlib.sha256(b"ISA*ACME~").hexdigest()
    Blob.objects.filter(pk=sha256).update(data=b"ISA*ACMF~")
    assert named(verify()[1]) == {("gateway_blob", sha256)}


def test_missing_bytes_are_named(exchanges):
    sha256 = hashlib.sha256(b"ISA*OTHER~").hexdigest()
    file_of(sha256).unlink()
    assert named(verify()[1]) == {("gateway_blob", sha256)}


@pytest.mark.django_db(transaction=True)
def test_a_deleted_blob_row_is_missed(exchanges):
    sha256 = hashlib.sha256(b"ISA*OTHER~").hexdigest()
    with without_foreign_keys():
        delete(Blob.objects.get(pk=sha256))
        assert named(verify()[1]) == {("gateway_blob", sha256)}


def test_a_wrong_size_is_named(exchanges):
    sha256 = hashlib.sha256(b"ISA*OTHER~").hexdigest()
    change(Blob.objects.get(pk=sha256), "size_bytes", 7)
    assert named(verify()[1]) == {("gateway_blob", sha256)}
