"""What is open moves into the narrow queue; the tries of the past move into the audit trail."""

from datetime import timedelta

from django.db import migrations

_AT_ONCE = 2000

_ENTRIES = """
INSERT INTO gateway_queueentry
    (delivery_id, kind, remote, state, due_at, waits, token, owner, claimed_at, attempts, crashes, doubtful)
SELECT id, kind,
    CASE kind WHEN 'erp' THEN 'erp:' || connection_id WHEN 'partner' THEN 'as2:' || partner_id
        WHEN 'receipt' THEN 'receipt:' || partner_id ELSE '' END,
    state, CASE state WHEN 'sending' THEN lease_until WHEN 'dead' THEN NULL ELSE due_at END,
    {false}, token, owner, NULL, attempts, crashes, doubtful
FROM gateway_delivery WHERE state IN ('pending', 'sending', 'in_doubt', 'dead')
"""
_LANES = """
INSERT INTO gateway_queuelane (entry_id, key)
SELECT lane.delivery_id, lane.key FROM gateway_deliverylane lane
JOIN gateway_queueentry entry ON entry.delivery_id = lane.delivery_id
"""
_OPEN = "UPDATE gateway_delivery SET state = 'open' WHERE state IN ('pending', 'sending', 'in_doubt')"

_BACK = """
UPDATE gateway_delivery SET (state, token, owner, lease_until, due_at, attempts, crashes, doubtful) = (
    SELECT entry.state, entry.token, entry.owner, CASE entry.state WHEN 'sending' THEN entry.due_at END,
        coalesce(entry.due_at, gateway_delivery.due_at), entry.attempts, entry.crashes, entry.doubtful
    FROM gateway_queueentry entry WHERE entry.delivery_id = gateway_delivery.id)
WHERE id IN (SELECT delivery_id FROM gateway_queueentry)
"""
_LANES_BACK = "INSERT INTO gateway_deliverylane (delivery_id, key) SELECT entry_id, key FROM gateway_queuelane"


# reviewed SQL of this module: constants


def fill(apps, editor):
    for statement in (_ENTRIES, _LANES, _OPEN):
        # reviewed SQL: constants of this module, the word for false put into them
        editor.execute(statement.format(false="false" if editor.connection.vendor == "postgresql" else "0"))
    attempt, event = apps.get_model("gateway", "Attempt"), apps.get_model("gateway", "Event")
    last = 0
    while rows := list(attempt.objects.filter(pk__gt=last).select_related("delivery").order_by("pk")[:_AT_ONCE]):
        event.objects.bulk_create(_tried(event, row) for row in rows)
        last = rows[-1].pk


def _tried(event, row):
    source = row.delivery.document or row.delivery.transmission
    return event(
        name="delivery.tried",
        at=row.ended_at or row.began_at + timedelta(microseconds=1),
        actor="gateway",
        delivery_id=row.delivery_id,
        document_id=row.delivery.document_id,
        transmission_id=row.delivery.transmission_id,
        partner_id=row.delivery.partner_id,
        correlation_id=source.correlation_id if source else None,
        data={
            "token": row.token,
            "owner": row.owner,
            "began": row.began_at.isoformat(),
            "outcome": row.outcome or "crashed",
            "detail": row.detail[:400],
        },
    )


def empty(apps, editor):
    for statement in (_BACK, _LANES_BACK, "DELETE FROM gateway_queuelane", "DELETE FROM gateway_queueentry"):
        editor.execute(statement)  # reviewed SQL: constants of this module


class Migration(migrations.Migration):
    dependencies = [
        ("gateway", "0004_audit_guards"),
    ]

    operations = [
        migrations.RunPython(fill, empty),
    ]
