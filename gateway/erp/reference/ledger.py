"""The books of the reference ERP: orders, changes not yet fetched and the documents suppliers sent, in one SQLite file.

Every write is one transaction that ends on the disk (BEGIN IMMEDIATE, WAL, synchronous FULL): what was answered
survives ``kill -9``. ``applications`` and ``journal`` only ever grow, by trigger; they are what a test for doubling asks.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final

from gateway.erp.reference.problems import Problem

# reviewed SQL of this module: constants; whatever a caller says is a parameter

Json = Mapping[str, object]

MAX_KEY: Final = 255

#: What suppliers' documents are kept under, and the member of the record that is their number. Those that name an order are
#: posted to it; the others are filed.
NUMBERS: Final = {
    "acknowledgment": "order_number",
    "ship_notice": "shipment_number",
    "invoice": "number",
    "inventory_advice": "number",
    "receiving_advice": "number",
}
_POSTED: Final = frozenset({"acknowledgment", "ship_notice"})

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS orders (
    id INTEGER PRIMARY KEY, order_key TEXT NOT NULL UNIQUE, company TEXT NOT NULL, number TEXT NOT NULL,
    supplier_number TEXT NOT NULL, revision INTEGER NOT NULL, state TEXT NOT NULL, record TEXT NOT NULL,
    UNIQUE (company, number));
CREATE TABLE IF NOT EXISTS issued (
    document_key TEXT PRIMARY KEY, company TEXT NOT NULL, supplier_number TEXT NOT NULL, revision INTEGER NOT NULL,
    record TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS changes (
    token INTEGER PRIMARY KEY AUTOINCREMENT, order_key TEXT NOT NULL, revision INTEGER NOT NULL, kind TEXT NOT NULL,
    settled INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS changes_pending ON changes (token) WHERE NOT settled;
CREATE TABLE IF NOT EXISTS documents (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, key TEXT NOT NULL, company TEXT NOT NULL, supplier_number TEXT NOT NULL,
    number TEXT NOT NULL, content TEXT NOT NULL, fingerprint TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'pending',
    reasons TEXT NOT NULL DEFAULT '[]', UNIQUE (kind, key));
CREATE INDEX IF NOT EXISTS documents_number ON documents (company, supplier_number, number);
CREATE TABLE IF NOT EXISTS postings (
    document_id INTEGER NOT NULL REFERENCES documents, order_id INTEGER NOT NULL REFERENCES orders, line_number TEXT,
    quantity TEXT, superseded_by INTEGER REFERENCES documents);
CREATE INDEX IF NOT EXISTS postings_order ON postings (order_id);
CREATE INDEX IF NOT EXISTS postings_document ON postings (document_id);
CREATE TABLE IF NOT EXISTS applications (
    id INTEGER PRIMARY KEY, document_id INTEGER NOT NULL REFERENCES documents, at TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS applications_document ON applications (document_id);
CREATE TABLE IF NOT EXISTS journal (
    id INTEGER PRIMARY KEY, at TEXT NOT NULL, request TEXT NOT NULL, key TEXT NOT NULL, outcome TEXT NOT NULL,
    fault TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS journal_key ON journal (key);
CREATE TRIGGER IF NOT EXISTS applied_stays BEFORE UPDATE ON applications BEGIN SELECT RAISE(ABORT, 'append only'); END;
CREATE TRIGGER IF NOT EXISTS applied_lasts BEFORE DELETE ON applications BEGIN SELECT RAISE(ABORT, 'append only'); END;
CREATE TRIGGER IF NOT EXISTS journal_stays BEFORE UPDATE ON journal BEGIN SELECT RAISE(ABORT, 'append only'); END;
CREATE TRIGGER IF NOT EXISTS journal_lasts BEFORE DELETE ON journal BEGIN SELECT RAISE(ABORT, 'append only'); END;
"""


class Ledger:
    """The books. Threads share one; one transaction runs at a time, as SQLite has it anyway."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, timeout=20, isolation_level=None, check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            self._db.execute(f"PRAGMA {pragma}")  # reviewed SQL: words from the line above
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        self._db.close()

    # -- what the buyer does

    def release(self, body: Json) -> dict[str, object]:
        """A new order: ``{company, supplier_number, record}``."""
        company, supplier_number = _text(body, "company"), _text(body, "supplier_number")
        record = _order_record(body)
        number = _text(record, "number")
        with self._transaction() as db:
            if db.execute("SELECT 1 FROM orders WHERE company = ? AND number = ?", (company, number)).fetchone():
                raise Problem(409, "order_exists", f"Order {number} of company {company} is released already.")
            order_key = f"{company}:{number}"
            db.execute(
                "INSERT INTO orders (order_key, company, number, supplier_number, revision, state, record) "
                "VALUES (?, ?, ?, ?, 1, 'open', ?)",
                (order_key, company, number, supplier_number, json.dumps(record)),
            )
            _announce(db, order_key, 1, "release")
            return _order(_by_key(db, order_key))

    def change(self, order_key: str, body: Json) -> dict[str, object]:
        """The order as it shall stand from now on, ``{record}``: one revision further."""
        record = _order_record(body)
        with self._transaction() as db:
            order = _still_open(_by_key(db, order_key))
            if record["number"] != order["number"]:
                raise Problem(422, "invalid", f"The order is {order['number']}; a change does not rename it.")
            db.execute(
                "UPDATE orders SET record = ?, revision = revision + 1 WHERE id = ?", (json.dumps(record), order["id"])
            )
            _announce(db, order_key, order["revision"] + 1, "change")
            return _order(_by_key(db, order_key))

    def cancel(self, order_key: str) -> dict[str, object]:
        with self._transaction() as db:
            order = _still_open(_by_key(db, order_key))
            db.execute("UPDATE orders SET state = 'cancelled', revision = revision + 1 WHERE id = ?", (order["id"],))
            _announce(db, order_key, order["revision"] + 1, "cancel")
            return _order(_by_key(db, order_key))

    def close_order(self, order_key: str) -> dict[str, object]:
        """Nothing more is expected. No event: the supplier is told nothing when a buyer closes the books."""
        with self._transaction() as db:
            order = _still_open(_by_key(db, order_key))
            db.execute("UPDATE orders SET state = 'closed' WHERE id = ?", (order["id"],))
            return _order(_by_key(db, order_key))

    def issue(self, body: Json) -> dict[str, object]:
        """A document for a supplier that is no order, ``{company, supplier_number, record}``; again: one revision further."""
        company, supplier_number = _text(body, "company"), _text(body, "supplier_number")
        record = _object(body, "record")
        document_key = f"{company}:{_text(record, 'type')}:{_text(record, 'number')}"
        with self._transaction() as db:
            db.execute(
                "INSERT INTO issued (document_key, company, supplier_number, revision, record) VALUES (?, ?, ?, 1, ?) "
                "ON CONFLICT (document_key) DO UPDATE SET revision = revision + 1, record = excluded.record",
                (document_key, company, supplier_number, json.dumps(record)),
            )
            issued = _issued(db, document_key)
            _announce(db, document_key, issued["revision"], "document")
            return _issue(issued)

    # -- what the gateway reads

    def changes(self, limit: int) -> list[dict[str, object]]:
        """The oldest changes nobody has settled, however often they were listed before."""
        with self._transaction() as db:
            rows = db.execute("SELECT * FROM changes WHERE NOT settled ORDER BY token LIMIT ?", (limit,)).fetchall()
        return [
            {"token": str(r["token"]), "order_key": r["order_key"], "revision": r["revision"], "kind": r["kind"]}
            for r in rows
        ]

    def settle(self, tokens: Sequence[str], fault: str) -> int:
        """How many of these were still pending; settling twice is no error."""
        with self._transaction() as db:
            count = sum(
                db.execute("UPDATE changes SET settled = 1 WHERE token = ? AND NOT settled", (token,)).rowcount
                for token in tokens
            )
            _journal(db, "settle", ",".join(tokens)[:MAX_KEY], f"200 {count} settled", fault)
            return count

    def order(self, order_key: str) -> dict[str, object]:
        with self._transaction() as db:
            return _order(_by_key(db, order_key))

    def document(self, document_key: str) -> dict[str, object]:
        with self._transaction() as db:
            return _issue(_issued(db, document_key))

    def snapshot(self, page: int, page_size: int) -> list[dict[str, object]]:
        with self._transaction() as db:
            rows = db.execute(
                "SELECT * FROM orders ORDER BY id LIMIT ? OFFSET ?", (page_size, page * page_size)
            ).fetchall()
            return [
                {
                    "order_key": row["order_key"],
                    "company": row["company"],
                    "number": row["number"],
                    "revision": row["revision"],
                    "supplier_number": row["supplier_number"],
                    "open": row["state"] == "open",
                    "acknowledged_keys": _posted_keys(db, row["id"], "acknowledgment"),
                    "shipped_keys": _posted_keys(db, row["id"], "ship_notice"),
                }
                for row in rows
            ]

    # -- what the gateway writes

    def submit(self, kind: str, key: str, body: Json, *, fault: str, later: bool) -> tuple[int, dict[str, object]]:
        """Take one document, once: status and receipt.

        Args:
            kind: one of ``NUMBERS``.
            key: the idempotency key.
            body: ``{company, supplier_number, record}``.
            fault: what will go wrong after the commit, for the journal.
            later: accept now, post when told to.
        """
        try:
            with self._transaction() as db:
                status, document = self._accept(db, kind, key, body, later=later)
                _journal(db, kind, key, f"{status} {document['state']}", fault)
        except Problem as problem:
            self.note(kind, key, f"{problem.status} {problem.code}", fault)
            raise
        return status, _receipt(document, replayed=status == 200)

    def note(self, request: str, key: str, outcome: str, fault: str) -> None:
        """Write down a request that changed nothing else."""
        with self._transaction() as db:
            _journal(db, request, key, outcome, fault)

    def receipt(self, kind: str, key: str) -> dict[str, object]:
        with self._transaction() as db:
            document = _document(db, kind, key)
        if document is None:
            raise Problem(404, "unknown_document", f"There is no {kind.replace('_', ' ')} with this key.")
        return {**_receipt(document, replayed=False), "record": json.loads(document["content"])["record"]}

    def post_pending(self) -> int:
        """Post what was accepted for later, in the order it came; each is done or refused by itself."""
        with self._transaction() as db:
            pending = db.execute("SELECT * FROM documents WHERE state = 'pending' ORDER BY id").fetchall()
            for document in pending:
                db.execute("SAVEPOINT document")
                try:
                    _post(db, document)
                except Problem as problem:
                    db.execute("ROLLBACK TO document")
                    reasons = problem.lines or (("", problem.detail),)
                    db.execute(
                        "UPDATE documents SET state = 'refused', reasons = ? WHERE id = ?",
                        (json.dumps(reasons), document["id"]),
                    )
                db.execute("RELEASE document")
        return len(pending)

    @staticmethod
    def _accept(db: sqlite3.Connection, kind: str, key: str, body: Json, *, later: bool) -> tuple[int, sqlite3.Row]:
        if not 0 < len(key) <= MAX_KEY or not key.isprintable():
            raise Problem(422, "invalid", f"A key has 1 to {MAX_KEY} printable characters.")
        content = json.dumps(body, sort_keys=True)
        fingerprint = hashlib.sha256(content.encode()).hexdigest()
        known = _document(db, kind, key)
        if known is not None:
            if known["fingerprint"] != fingerprint:
                raise Problem(409, "key_reused", "This key came before, with another content.")
            return 200, known
        record = _object(body, "record")
        number = _text(record, NUMBERS[kind])
        company = _text(body, "company") if kind in _POSTED or body.get("company") else ""
        db.execute(
            "INSERT INTO documents (kind, key, company, supplier_number, number, content, fingerprint) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (kind, key, company, _text(body, "supplier_number"), number, content, fingerprint),
        )
        document = _existing(_document(db, kind, key))
        if later:
            return 202, document
        _post(db, document)
        return 201, _existing(_document(db, kind, key))

    # -- what a test asks

    def effects(self) -> list[dict[str, object]]:
        """Every document taken, and how often it was applied: more than once is a doubled effect."""
        with self._transaction() as db:
            rows = db.execute(
                "SELECT d.*, (SELECT count(*) FROM applications a WHERE a.document_id = d.id) AS applications, "
                "(SELECT json_group_array(DISTINCT o.number) FROM postings p JOIN orders o ON o.id = p.order_id "
                " WHERE p.document_id = d.id) AS order_numbers FROM documents d ORDER BY d.id"
            ).fetchall()
        return [
            {
                "key": row["key"],
                "kind": row["kind"],
                "company": row["company"],
                "supplier_number": row["supplier_number"],
                "number": row["number"],
                "order_numbers": json.loads(row["order_numbers"]),
                "state": row["state"],
                "applications": row["applications"],
            }
            for row in rows
        ]

    def journal(self, after: int, limit: int) -> list[dict[str, object]]:
        """Every write request since entry ``after``, in the order they were decided."""
        with self._transaction() as db:
            rows = db.execute("SELECT * FROM journal WHERE id > ? ORDER BY id LIMIT ?", (after, limit)).fetchall()
        return [dict(row) for row in rows]

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # a full disk has rolled back already
                    self._db.execute("ROLLBACK")
                raise


# -- posting: the rules of the house


def _post(db: sqlite3.Connection, document: sqlite3.Row) -> None:
    """Apply one document to its orders, wholly or (Problem) not at all; file what answers none."""
    record = _object(json.loads(document["content"]), "record")
    if document["kind"] == "acknowledgment":
        _post_acknowledgment(db, document, record)
    elif document["kind"] == "ship_notice":
        _post_ship_notice(db, document, record)
    at = datetime.now(UTC).isoformat()
    db.execute("INSERT INTO applications (document_id, at) VALUES (?, ?)", (document["id"], at))
    db.execute("UPDATE documents SET state = 'done' WHERE id = ?", (document["id"],))


def _post_acknowledgment(db: sqlite3.Connection, document: sqlite3.Row, record: Json) -> None:
    order = _answered(db, document, _text(record, "order_number"), record.get("order_revision"))
    lines = _lines(order)
    for line in _objects(record, "lines"):
        _ordered(lines, line.get("line_number"), document["number"])
    db.execute("INSERT INTO postings (document_id, order_id) VALUES (?, ?)", (document["id"], order["id"]))


def _post_ship_notice(db: sqlite3.Connection, document: sqlite3.Row, record: Json) -> None:
    purpose = record.get("purpose", "original")
    if purpose in {"replace", "cancel"}:
        _supersede(db, document)
    elif purpose != "original":
        raise Problem(422, "invalid", f"A ship notice of purpose {purpose} is not posted.")
    items = [] if purpose == "cancel" else _objects(record, "items")
    if not items and purpose != "cancel":
        raise Problem(422, "invalid", "A ship notice needs items.")
    orders: dict[str, tuple[sqlite3.Row, dict[str, Json]]] = {}
    shipped: dict[tuple[int, str], Decimal] = {}
    for item in items:
        number = _text(item, "order_number")
        if number not in orders:
            order = _answered(db, document, number, item.get("order_revision"))
            orders[number] = order, _lines(order)
            shipped |= _shipped(db, order["id"])
        order, lines = orders[number]
        line = _ordered(lines, item.get("order_line"), number)
        if item.get("unit") and line.get("unit") and item["unit"] != line["unit"]:
            raise Problem(422, "unit_mismatch", f"Order {number}, line {line['line_number']} counts in {line['unit']}.")
        place = order["id"], str(line["line_number"])
        quantity = _quantity(item)
        shipped[place] = shipped.get(place, Decimal(0)) + quantity
        db.execute(
            "INSERT INTO postings (document_id, order_id, line_number, quantity) VALUES (?, ?, ?, ?)",
            (document["id"], order["id"], place[1], str(quantity)),
        )
    over = [
        (number, f"{shipped[order['id'], number]} shipped in all, {_quantity(line)} ordered")
        for order, lines in orders.values()
        for number, line in lines.items()
        if shipped.get((order["id"], number), Decimal(0)) > _quantity(line)
    ]
    if over:
        raise Problem(409, "over_delivery", "More is shipped than was ordered. Accept it?", lines=over)


def _supersede(db: sqlite3.Connection, document: sqlite3.Row) -> None:
    """Take back what earlier ship notices of this shipment posted: a correction is a whole document."""
    taken_back = db.execute(
        "UPDATE postings SET superseded_by = ? WHERE superseded_by IS NULL AND document_id IN "
        "(SELECT id FROM documents WHERE kind = 'ship_notice' AND company = ? AND supplier_number = ? AND number = ?)",
        (document["id"], document["company"], document["supplier_number"], document["number"]),
    ).rowcount
    if not taken_back:
        raise Problem(422, "unknown_shipment", f"There is no shipment {document['number']} to replace.")


def _answered(db: sqlite3.Connection, document: sqlite3.Row, number: str, revision: object) -> sqlite3.Row:
    """The order that a document answers, at the revision it names: an open one, or a cancelled one to acknowledge."""
    order: sqlite3.Row | None = db.execute(
        "SELECT * FROM orders WHERE company = ? AND supplier_number = ? AND number = ?",
        (document["company"], document["supplier_number"], number),
    ).fetchone()
    if order is None:
        raise Problem(422, "unknown_order", f"Company {document['company']} has no order {number} with this supplier.")
    answers_cancellation = document["kind"] == "acknowledgment" and order["state"] == "cancelled"
    if not (answers_cancellation and revision == order["revision"]):
        _still_open(order)
    if revision is not None and revision != order["revision"]:
        stands = order["revision"]
        raise Problem(409, "stale_revision", f"Order {number}: revision {revision} is answered, it stands at {stands}.")
    return order


def _still_open(order: sqlite3.Row) -> sqlite3.Row:
    if order["state"] != "open":
        raise Problem(409, "order_closed", f"Order {order['number']} is {order['state']}.")
    return order


def _ordered(lines: Mapping[str, Json], line_number: object, order_number: str) -> Json:
    if not isinstance(line_number, str) or line_number not in lines:
        raise Problem(422, "unknown_line", f"Order {order_number} has no line {line_number}.")
    return lines[line_number]


def _shipped(db: sqlite3.Connection, order_id: int) -> dict[tuple[int, str], Decimal]:
    rows = db.execute(
        "SELECT line_number, quantity FROM postings WHERE order_id = ? AND quantity NOT NULL AND superseded_by IS NULL",
        (order_id,),
    )
    shipped: dict[tuple[int, str], Decimal] = {}
    for row in rows:
        place = order_id, str(row["line_number"])
        shipped[place] = shipped.get(place, Decimal(0)) + Decimal(row["quantity"])
    return shipped


# -- rows


def _by_key(db: sqlite3.Connection, order_key: str) -> sqlite3.Row:
    row: sqlite3.Row | None = db.execute("SELECT * FROM orders WHERE order_key = ?", (order_key,)).fetchone()
    if row is None:
        raise Problem(404, "unknown_order", f"There is no order {order_key}.")
    return row


def _issued(db: sqlite3.Connection, document_key: str) -> sqlite3.Row:
    row: sqlite3.Row | None = db.execute("SELECT * FROM issued WHERE document_key = ?", (document_key,)).fetchone()
    if row is None:
        raise Problem(404, "unknown_document", f"There is no document {document_key}.")
    return row


def _document(db: sqlite3.Connection, kind: str, key: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = db.execute("SELECT * FROM documents WHERE kind = ? AND key = ?", (kind, key)).fetchone()
    return row


def _existing(row: sqlite3.Row | None) -> sqlite3.Row:
    if row is None:
        raise sqlite3.IntegrityError("a row written in this transaction is not there")
    return row


def _announce(db: sqlite3.Connection, order_key: str, revision: int, kind: str) -> None:
    db.execute("INSERT INTO changes (order_key, revision, kind) VALUES (?, ?, ?)", (order_key, revision, kind))


def _journal(db: sqlite3.Connection, request: str, key: str, outcome: str, fault: str) -> None:
    at = datetime.now(UTC).isoformat()
    db.execute(
        "INSERT INTO journal (at, request, key, outcome, fault) VALUES (?, ?, ?, ?, ?)",
        (at, request, key, outcome, fault),
    )


def _posted_keys(db: sqlite3.Connection, order_id: int, kind: str) -> list[str]:
    rows = db.execute(
        "SELECT DISTINCT d.id, d.key FROM postings p JOIN documents d ON d.id = p.document_id "
        "WHERE p.order_id = ? AND d.kind = ? ORDER BY d.id",
        (order_id, kind),
    )
    return [row["key"] for row in rows]


def _order(row: sqlite3.Row) -> dict[str, object]:
    return {
        "order_key": row["order_key"],
        "company": row["company"],
        "supplier_number": row["supplier_number"],
        "revision": row["revision"],
        "cancelled": row["state"] == "cancelled",
        "record": {**json.loads(row["record"]), "revision": row["revision"]},
    }


def _issue(row: sqlite3.Row) -> dict[str, object]:
    return {**dict(row), "record": json.loads(row["record"])}


def _receipt(document: sqlite3.Row, *, replayed: bool) -> dict[str, object]:
    prefix = {"acknowledgment": "OC", "ship_notice": "ID"}.get(document["kind"], "FD")
    return {
        "key": document["key"],
        "state": document["state"],
        "erp_ref": f"{prefix}{document['id']:08d}",
        "replayed": replayed,
        "lines": [{"line_number": number, "reason": reason} for number, reason in json.loads(document["reasons"])],
    }


def _lines(order: sqlite3.Row) -> dict[str, Json]:
    return {str(line["line_number"]): line for line in _objects(json.loads(order["record"]), "lines")}


# -- reading bodies


def _order_record(body: Json) -> Json:
    """The order in a body, fit to be answered: a number, and lines that can be told apart and counted."""
    record = _object(body, "record")
    _text(record, "number")
    numbers = [_text(line, "line_number") for line in _objects(record, "lines") if _quantity(line)]
    if not numbers or len(set(numbers)) != len(numbers):
        raise Problem(422, "invalid", "An order needs lines, each with a line_number of its own.")
    return record


def _object(body: Json, name: str) -> Json:
    value = body.get(name)
    if not isinstance(value, dict):
        raise Problem(422, "invalid", f"{name} must be an object.")
    return value


def _objects(body: Json, name: str) -> list[Json]:
    value = body.get(name, [])
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise Problem(422, "invalid", f"{name} must be a list of objects.")
    return value


def _text(body: Json, name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_KEY or not value.isprintable():
        raise Problem(422, "invalid", f"{name} must be a text of 1 to {MAX_KEY} printable characters.")
    return value


def _quantity(line: Json) -> Decimal:
    value = line.get("quantity")
    try:
        quantity = Decimal(value) if isinstance(value, str) and len(value) <= 30 else Decimal("NaN")
    except InvalidOperation:
        quantity = Decimal("NaN")
    if not quantity.is_finite() or quantity <= 0 or abs(quantity.adjusted()) > 30:
        raise Problem(422, "invalid", f"quantity {value!r} must be a positive decimal number, as a text.")
    return quantity
