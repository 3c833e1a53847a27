"""A gateway that has run for a long time: tables filled by the database itself, a few statements for any number of rows."""

from __future__ import annotations

from django.db import connection

from gateway.models import Archive, Blob, ErpConnection
from partners.models import TradingPartner

_SERIES = {
    "postgresql": "generate_series(1, {many}) AS s(n)",
    "sqlite": "(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {many}) SELECT n FROM s) AS s",
}
_MOMENT = {
    "postgresql": "timestamptz '2026-01-01' + n * interval '1 minute'",
    "sqlite": "datetime('2026-01-01', n || ' minutes')",
}
_UUID = {
    "postgresql": "md5('{salt}' || n)::uuid",
    "sqlite": "printf('{salt}%030x', n)",
}
_TRUE = {"postgresql": "true", "sqlite": "1"}

#: Order n has document 2n - 1, an order that left, and 2n, its answer; each came or went in a message of its own.
_ROWS = {
    "order": """
        INSERT INTO gateway_order (id, uid, connection_id, company, number, erp_key, partner_id, state, revision, currency,
            released_at, updated_at, ack_due_at, acknowledged_revision)
        SELECT n, {a}, {erp}, '1000', 'P' || n, 'K' || n, {of_order}, 'open', 1, 'EUR', {at}, {at}, NULL, 1
        FROM {orders}""",
    "orderrevision": """
        INSERT INTO gateway_orderrevision (id, order_id, number, record, fingerprint, released_at)
        SELECT n, n, 1, '{{"type": "purchase_order", "number": "1", "lines": []}}', '', {at} FROM {orders}""",
    "orderline": """
        INSERT INTO gateway_orderline (id, order_id, line_number, description, product_ids, unit, ordered, deleted, answered,
            confirmed, backordered, refused, shipped)
        SELECT n, n, '10', '', '[]', 'EA', 1, {false}, {true}, 1, 0, 0, 1 FROM {orders}""",
    "transmission": """
        INSERT INTO gateway_transmission (id, uid, correlation_id, direction, channel, partner_id, state, message_id, format,
            sheet, content_type, file_name, headers, raw_id, payload_id, digests, evidence, answer_headers, reason, at)
        SELECT n, {b}, {b}, CASE n % 2 WHEN 0 THEN 'inbound' ELSE 'outbound' END, 'as2', {of_document},
            CASE n % 2 WHEN 0 THEN 'answered' ELSE 'receipted' END, '<' || n || '@x>', 'x12', '', '', '', '{{}}', '{blob}',
            '{blob}', '{{}}', '{{}}', '{{}}', '', {at}
        FROM {documents}""",
    "interchange": """
        INSERT INTO gateway_interchange (id, transmission_id, partner_id, direction, sender, receiver, control_number, usage,
            verdict, findings, at)
        SELECT n, n, {of_document}, CASE n % 2 WHEN 0 THEN 'inbound' ELSE 'outbound' END, 'ZZ:A', 'ZZ:B', '' || n, 'P', 'accepted',
            '[]', {at}
        FROM {documents}""",
    "document": """
        INSERT INTO gateway_document (id, uid, correlation_id, direction, channel, partner_id, transmission_id, interchange_id,
            order_id, state, type, format, code, version, position, group_code, group_control, set_control, number,
            order_revision, record, findings, verdict, approved_by, acknowledged, at)
        SELECT n, {c}, {b}, CASE n % 2 WHEN 0 THEN 'inbound' ELSE 'outbound' END, 'as2', {of_document}, n, n, (n + 1) / 2, 'relayed',
            CASE n % 2 WHEN 0 THEN 'order_acknowledgment' ELSE 'purchase_order' END, 'x12', '855', '004010', 0, 'PR', '' || n,
            '0001', 'P' || ((n + 1) / 2), 1, '{{"type": "purchase_order", "number": "1", "purpose": "original", "lines": []}}',
            '[]', 'accepted', '', '', {at}
        FROM {documents}""",
    "delivery": """
        INSERT INTO gateway_delivery (id, key, kind, state, transmission_id, document_id, partner_id, company, attempts,
            last_error, result, created_at, finished_at)
        SELECT n, 'k' || n, CASE n % 2 WHEN 0 THEN 'erp' ELSE 'partner' END, 'delivered', CASE n % 2 WHEN 1 THEN n END,
            CASE n % 2 WHEN 0 THEN n END, {of_document}, '', 1, '', '', {at}, {at}
        FROM {documents}""",
    "exceptioncase": """
        INSERT INTO gateway_exceptioncase (id, uid, reason, state, summary, detail, fingerprint, occurrences, team, partner_id,
            order_id, document_id, transmission_id, opened_at, due_at, resolved_at, resolution)
        SELECT n, {d}, 'ack_late', 'resolved', 's', '{{}}', 'f' || n, 1, 'procurement', {of_order}, n, 2 * n, 2 * n, {at}, {at},
            {at}, 'settled'
        FROM {orders}""",
    "caseentry": """
        INSERT INTO gateway_caseentry (id, case_id, at, actor, action, note) SELECT n, n, {at}, 'ann', 'opened', '' FROM {orders}""",
    "promise": """
        INSERT INTO gateway_promise (id, line_id, document_id, position, status, code) SELECT n, n, 2 * n, 0, 'accepted', 'IA'
        FROM {orders}""",
    "shippedquantity": """
        INSERT INTO gateway_shippedquantity (id, line_id, document_id, position, shipment_number, quantity, active)
        SELECT n, n, 2 * n, 0, 'S' || n, 1, {true} FROM {orders}""",
    "event": """
        INSERT INTO gateway_event (id, at, name, correlation_id, actor, partner_id, order_id, transmission_id, document_id,
            delivery_id, data)
        SELECT n, {at}, 'delivery.delivered', {b}, 'gateway', {of_event}, (n + 7) / 8, (n + 3) / 4, (n + 3) / 4, (n + 3) / 4,
            '{{}}'
        FROM {events}""",
    "archivedrow": """
        INSERT INTO gateway_archivedrow (archive_id, model, row_id, uid, key, content)
        SELECT {archive}, 'document', 100000000 + n, {e}, 'x' || n, '' FROM {documents}""",
}


def grow(documents: int, *, partners: int = 20) -> None:
    """``documents`` documents of half as many orders, four events each; the database knows its figures afterwards."""
    vendor = connection.vendor
    erp = ErpConnection.objects.create(code="GROWN", base_url="https://erp.example/")
    made = [TradingPartner.objects.create(code=f"GROWN{number}", name="G", state="live") for number in range(partners)]
    blob = Blob.put(b"grown")
    archive = Archive.objects.create(partner=made[0], month="2025-01-01", sha256=blob.sha256, size_bytes=1, events=b"")
    facts = {
        "at": _MOMENT[vendor],
        "erp": erp.pk,
        "of_order": f"{made[0].pk} + n % {partners}",
        "of_document": f"{made[0].pk} + (n + 1) / 2 % {partners}",
        "of_event": f"{made[0].pk} + (n + 7) / 8 % {partners}",
        "blob": blob.sha256,
        "archive": archive.pk,
        "true": _TRUE[vendor],
        "false": "false" if vendor == "postgresql" else "0",
        "orders": _SERIES[vendor].format(many=documents // 2),
        "documents": _SERIES[vendor].format(many=documents),
        "events": _SERIES[vendor].format(many=documents * 4),
        **{name: _UUID[vendor].format(salt=f"{number:02x}") for number, name in enumerate("abcde", 10)},
    }
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM gateway_queueentry")
        cursor.execute("DELETE FROM gateway_delivery")
        for statement in _ROWS.values():
            cursor.execute(statement.format(**facts))
        cursor.execute("DELETE FROM gateway_unsealedevent")
        if vendor == "postgresql":
            for table in set(_ROWS) - {"archivedrow"}:  # where its keys went on by themselves
                name = f"gateway_{table}"
                highest = f"(SELECT max(id) FROM {name})"  # noqa: S608  # the names are ours
                cursor.execute(f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), {highest})")
        connection.check_constraints()  # once, and not at the end of every test
        if vendor == "postgresql":  # SQLite's figures know no rare values, and nobody has them made
            cursor.execute("ANALYZE")
