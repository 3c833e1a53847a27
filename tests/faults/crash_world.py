"""A small world to crash in: an ERP, a supplier on AS2, and three stories in which everything commits that works by itself.

The gateway of a story is one process with one hand, so that it does the same things in the same order each time. Its ERP and
its supplier are another process, which outlives it. A start state is a folder (and a database, on PostgreSQL) that is copied.

| story | what happens |
|---|---|
| order | the ERP has released an order: polled, written as 850, refused once by the supplier's server, sent, receipted |
| answer | an 855 with its receipt in the answer: to the order book, to the ERP, whose answer is lost once; 997 out; sealed |
| notice | an 856 whose receipt goes by a request of its own: the same way, and the receipt |
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import shutil
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, LiteralString, NoReturn

import psycopg
from django.conf import settings
from django.db import connection, connections
from django.test import Client
from django.utils import timezone
from psycopg import sql

from gateway import audit, blob_upkeep, outbox, timers
from gateway.erp.reference.faults import read_fault
from gateway.erp.reference.ledger import Ledger
from gateway.erp.reference.server import ReferenceErp
from gateway.models import DeliveryKind, ErpConnection, QueueEntry
from gateway.pipeline import relay
from gateway.transports.as2 import supplier
from partners import certificates
from partners.models import As2Link
from tests.faults import documents, evidence, verdict, world
from tests.faults.databases import PostgreSQL, Sqlite
from tests.faults.plan import NUMBERS, Supplier
from tests.faults.programs import HarnessError, free_port
from tests.faults.suppliers import OUR_AS2_NAME, As2Supplier, Job
from tests.gateway.queue_rows import lease_runs_out, make_due

NUMBER: Final = "71000001"  #: of the order that all is about
_TOKEN: Final = "0123456789abcdef-not-a-secret"
_ROUNDS: Final = 12  #: of a healthy gateway, until all that was begun is over
#: Kinds of work, in the order one hand takes them.
_KINDS: Final = (
    DeliveryKind.RECEIPT,
    DeliveryKind.PARTNER,
    DeliveryKind.ERP,
    DeliveryKind.APPLY,
    DeliveryKind.TRANSLATE,
)


@dataclass(frozen=True, slots=True)
class Story:
    name: str
    start: str  #: the state it begins in
    timers: tuple[str, ...]  #: that turn, by the beginning of their keys
    kind: str = ""  #: of the document its supplier sends; empty: none
    mdn: str = "sync"
    refused_once: bool = False  #: by the supplier's server
    lost_once: bool = False  #: the ERP's answer
    sent: tuple[str, ...] = ()  #: the sets the supplier has in the end, those of the start state included


STORIES: Final = {
    one.name: one
    for one in (
        Story("order", "released", ("timer:erp_poll",), refused_once=True, sent=("850",)),
        Story("answer", "ordered", ("timer:seal",), kind="acknowledgment", lost_once=True, sent=("850", "997")),
        Story("notice", "ordered", (), kind="ship_notice", mdn="async", sent=("850", "997")),
    )
}


# --------------------------------------------------------------------------------------------------- the other sides
@dataclass(frozen=True, slots=True)
class Ports:
    """Where the other sides listen."""

    erp: int
    supplier: int

    @property
    def erp_url(self) -> str:
        return f"http://127.0.0.1:{self.erp}"

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.supplier}"


class Others:
    """The ERP and the supplier's server: a process of their own that outlives the gateway's."""

    def __init__(self, folder: Path, ports: Ports, story: Story | None = None) -> None:
        listening, tell = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            _end_with(lambda: _serve(folder, ports, story, tell))
        os.close(tell)
        ready = os.read(listening, 1)
        os.close(listening)
        if not ready:
            raise HarnessError("the other sides did not start")

    def end(self) -> None:
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)


def _serve(folder: Path, ports: Ports, story: Story | None, tell: int) -> None:
    erp = ReferenceErp(("127.0.0.1", ports.erp), Ledger(folder / "erp.sqlite3"), _TOKEN)
    if story is not None and story.lost_once:
        erp.faults.add(read_fault({"kind": "lose_answer", "routes": ["submit"]}))
    threading.Thread(target=erp.serve_forever, daemon=True).start()
    side = _keys(folder)
    side.journal = supplier.Journal(folder / "supplier")
    server = _SupplierServer(ports.supplier, side, refuse_once=story is not None and story.refused_once)
    os.write(tell, b"!")
    server.serve_forever()


class _SupplierServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int, side: As2Supplier, *, refuse_once: bool) -> None:
        self.side, self.refusals = side, [503] if refuse_once else []
        super().__init__(("127.0.0.1", port), _Handler)

    def server_bind(self) -> None:
        # Not HTTPServer's: it asks the name service who we are.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = "127.0.0.1", int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A gateway that dies in the middle of a request is what this is about."""


class _Handler(BaseHTTPRequestHandler):
    server: _SupplierServer

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the journal is the log."""

    def do_POST(self) -> None:
        headers, body = list(self.headers.items()), self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/receipts":
            answer = self.server.side.take_receipt(headers, body)
        elif self.server.refusals:
            answer = supplier.Answer.plain(self.server.refusals.pop(), "not today")
        else:
            answer = self.server.side.receive(headers, body)
        self.send_response(answer.status)
        for name, value in {**answer.headers, "Content-Length": str(len(answer.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)


def _configuration(folder: Path, ports: Ports, *, mdn: str = "sync", data: str = "supplier") -> supplier.Configuration:
    return supplier.Configuration(
        as2_name="ACME-AS2",
        key=folder / "their.key",
        certificate=folder / "their.pem",
        peer_as2_name=OUR_AS2_NAME,
        peer_signing_certificate=folder / "our.pem",
        peer_encryption_certificate=folder / "our.pem",
        peer_url="http://localhost/as2",
        listen=f"127.0.0.1:{ports.supplier}",
        data=folder / data,
        mdn=mdn,
        receipt_address=f"{ports.origin}/receipts" if mdn == "async" else "",
    )


_sides: Final[list[As2Supplier]] = []


def _keys(folder: Path) -> As2Supplier:
    """The supplier with its keys, the same in all folders: a process that was forked from one that read them has them."""
    if not _sides:
        _sides.append(As2Supplier(_configuration(folder, Ports(0, 0), data="keys"), lambda _facts: None))
    return _sides[0]


# ------------------------------------------------------------------------------------------------------- databases
class Files:
    """Databases that are files in the folder of their state."""

    name = "sqlite"

    def use(self, folder: Path) -> None:
        """Let this process work on the database of a folder."""
        connections.close_all()
        connection.settings_dict["NAME"] = str(folder / "gateway.sqlite3")

    def copy(self, start: Path, folder: Path) -> None:
        """Nothing: it was copied with its folder."""

    def drop(self, folder: Path) -> None:
        """Nothing: it goes with its folder."""

    def watch(self, folder: Path) -> None:
        Sqlite(folder).watch_terminal_states()

    def close(self) -> None:
        """Nothing."""


class Server:
    """Databases of a PostgreSQL server of its own; each is called as its folder."""

    name = "postgresql"

    def __init__(self, server: PostgreSQL) -> None:
        self._server = server
        # Its clients die, it does not; a database is made and dropped for each of them.
        for setting in ("fsync", "full_page_writes"):
            self._ask("ALTER SYSTEM SET {} = off", setting)
        self._ask("SELECT pg_reload_conf()")

    def use(self, folder: Path) -> None:
        connections.close_all()
        connection.settings_dict["NAME"] = folder.name

    def copy(self, start: Path, folder: Path) -> None:
        self._ask("CREATE DATABASE {} TEMPLATE {}", folder.name, start.name)

    def drop(self, folder: Path) -> None:
        self._ask("DROP DATABASE {} WITH (FORCE)", folder.name)

    def watch(self, folder: Path) -> None:
        self._server.watch_terminal_states()

    def close(self) -> None:
        self._server.close()

    def _ask(self, statement: LiteralString, *names: str) -> None:
        dsn = f"host=127.0.0.1 port={self._server.port} user=postgres dbname=template1"
        with psycopg.connect(dsn, autocommit=True) as admin:
            admin.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


Databases = Files | Server


# ----------------------------------------------------------------------------------------------------- start states
class States:
    """The start states of all stories, and copies of them."""

    #: The first one is made in the database every PostgreSQL server has.
    _FIRST: Final = "postgres"

    def __init__(self, folder: Path, databases: Databases) -> None:
        self.folder, self.databases = folder, databases

    def build(self) -> None:
        """Make them: everybody is onboarded, then the order's story is lived."""
        ports = Ports(free_port(), free_port())
        first = self.folder / self._FIRST
        first.mkdir()
        # That a private key is sound is looked at once; it is done for every message otherwise.
        certificates.read_private_key = cache(certificates.read_private_key)
        self._enter(first)
        _onboard(first, ports)
        self.databases.watch(first)
        connections.close_all()
        self._copied(first, "released")
        self._copied(first, "ordered")
        self._live_through(self.folder / "ordered", STORIES["order"], ports)
        # Lived through by this process as well, so that those forked from it have read all guides and sheets.
        for story in STORIES.values():
            if story.start == "ordered":
                folder = self._copied(self.folder / "ordered", f"{story.name}_once")
                self._live_through(folder, story, ports)
                self.discard(folder)

    def _live_through(self, folder: Path, story: Story, ports: Ports) -> None:
        others = Others(folder, ports, story)
        try:
            self._enter(folder)
            heal(folder, story, ports)
            if found := broken(folder, story):
                raise HarnessError(f"{story.name} is not in order without a crash: {found}")
        finally:
            connections.close_all()
            others.end()

    def fresh(self, start: str, name: str) -> Path:
        """A copy of a start state, entered."""
        folder = self._copied(self.folder / start, name)
        self._enter(folder)
        return folder

    def discard(self, folder: Path) -> None:
        connections.close_all()
        self.databases.drop(folder)
        shutil.rmtree(folder)

    def moved(self, start: str, name: str, ports: Ports) -> None:
        """A start state like another, with the other sides elsewhere."""
        folder = self._copied(self.folder / start, name)
        self._enter(folder)
        ErpConnection.objects.update(base_url=ports.erp_url)
        As2Link.objects.update(url=f"{ports.origin}/as2")
        connections.close_all()

    def _copied(self, start: Path, name: str) -> Path:
        folder = self.folder / name
        shutil.copytree(start, folder)
        self.databases.copy(start, folder)
        return folder

    def _enter(self, folder: Path) -> None:
        self.databases.use(folder)
        settings.BLOBS = f"file:{folder / 'blobs'}"
        settings.CHECKPOINTS_FILE = folder / "checkpoints.jsonl"


def _onboard(folder: Path, ports: Ports) -> None:
    facts = {"as2_name": "ACME-AS2", "isa": "ACMEEDI", "certificate": "their.pem", "key": "their.key"}
    world.set_up(
        folder,
        {
            "erp_url": ports.erp_url,
            "erp_token": _TOKEN,
            "suppliers": {Supplier.AS2.value: {**facts, "url": f"{ports.origin}/as2"}},
        },
    )
    timers.ensure()
    ledger = Ledger(folder / "erp.sqlite3")
    ledger.release(documents.order(NUMBER, NUMBERS[Supplier.AS2]))
    ledger.close()
    for story in STORIES.values():
        if story.kind:
            _make_message(folder, ports, story)


def _make_message(folder: Path, ports: Ports, story: Story) -> None:
    """What the supplier will send, signed and encrypted once."""
    write = {"acknowledgment": documents.x12_acknowledgment, "ship_notice": documents.x12_ship_notice}[story.kind]
    payload = write(NUMBER, sender="ACMEEDI", control=1 + list(STORIES).index(story.name))
    side = As2Supplier(_configuration(folder, ports, mdn=story.mdn), lambda _facts: None)
    made = side.made(payload, f"{story.kind}.edi")
    # Before it leaves, as its receipt may come sooner than the answer.
    side.journal.note("sending", message_id=made["message_id"], mic=made["mic"])
    (folder / f"{story.name}.body").write_bytes(made.pop("body"))
    (folder / f"{story.name}.json").write_text(
        json.dumps({**made, "payload_sha256": hashlib.sha256(payload).hexdigest()})
    )


# ------------------------------------------------------------------------------------------------------ the gateway
def live(folder: Path, story: Story, ports: Ports) -> None:
    """One process: what comes is taken in, what is due is done, until nothing is; what failed is due again at once."""
    if story.kind and not promised(folder):
        post(folder, story, ports)
    _turn(story)
    while _work():
        make_due(kind__in=_KINDS)


def heal(folder: Path, story: Story, ports: Ports) -> None:
    """A healthy process after it: leases are cut short, the supplier repeats what it holds no receipt for.

    Raises:
        HarnessError: it is not over after many rounds.
    """
    for _ in range(_ROUNDS):
        lease_runs_out()
        make_due(kind__in=_KINDS)
        live(folder, story, ports)
        waiting = QueueEntry.objects.exclude(kind=DeliveryKind.TIMER).exclude(state="dead")
        turning = QueueEntry.objects.filter(kind=DeliveryKind.TIMER, state="sending")
        if not waiting.exists() and not turning.exists() and (not story.kind or promised(folder)):
            return
    raise HarnessError(f"not over after {_ROUNDS} rounds: {[(one.kind, one.state) for one in waiting]}")


def _turn(story: Story) -> None:
    waiting = QueueEntry.objects.filter(kind=DeliveryKind.TIMER, state="pending")
    for key in story.timers:
        waiting.update(due_at=timezone.now() + timedelta(days=1))  # however long the stories until now took
        make_due(delivery__key__startswith=key)
        if (claim := outbox.claim(DeliveryKind.TIMER, "one hand")) is not None:
            timers.run(claim, now=timezone.now())


def _work() -> int:
    """What one hand does until nothing is due; how many tries there were."""
    return sum(relay.work(kind, "one hand") for kind in _KINDS)


def post(folder: Path, story: Story, ports: Ports) -> None:
    """The supplier sends its message through the door, and notes when it holds the receipt."""
    made = json.loads((folder / f"{story.name}.json").read_text())
    headers = {**made["headers"], "Host": "localhost"}
    if story.mdn == "async":
        headers["Receipt-Delivery-Option"] = f"{ports.origin}/receipts"
    body = (folder / f"{story.name}.body").read_bytes()
    content_type = headers.pop("Content-Type", headers.pop("content-type", ""))
    answer = Client().generic("POST", "/as2", body, content_type=content_type, headers=headers)
    if story.mdn == "async":
        return
    job = Job(
        kind=story.kind,
        number=NUMBER,
        supplier=Supplier.AS2,
        repeats=0,
        path="/as2",
        headers={},
        body=b"",
        payload_sha256=made["payload_sha256"],
        message_id=made["message_id"],
        mic=made["mic"],
    )
    head = "".join(f"{name}: {value}\r\n" for name, value in answer.items()).encode("latin-1")
    if _keys(folder).is_proved(job, answer.status_code, head + b"\r\n" + answer.content):
        believe(folder, answer.content)


def promised(folder: Path) -> bool:
    """Whether the supplier holds the receipt for its message of this story."""
    if (folder / "promised.jsonl").exists():
        return True
    return any(line["direction"] == "receipt" and line["mic_matched"] for line in _journal(folder))


def _journal(folder: Path) -> list[dict[str, Any]]:
    return _lines(folder / "supplier" / "journal.jsonl")


def believe(folder: Path, receipt: bytes) -> None:
    """The supplier has a receipt in its hands and writes that down: from now on it sends this message no more."""
    with (folder / "promised.jsonl").open("a") as ledger:
        ledger.write(json.dumps({"receipt": hashlib.sha256(receipt).hexdigest()}) + "\n")
        ledger.flush()
        os.fsync(ledger.fileno())


def _lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


# ------------------------------------------------------------------------------------------------------ the verdict
def broken(folder: Path, story: Story) -> list[str]:
    """What a story left behind that it must not: the soak's invariants, and what only a story of one message can tell."""
    audit.seal_all()
    found: list[str] = []
    audit.verify(
        found=lambda fault: found.append(str(fault)),
        progress=lambda *_: None,
        checkpoints_file=settings.CHECKPOINTS_FILE,
    )
    later = timezone.now() + settings.BLOB_GRACE + timedelta(minutes=1)
    blob_upkeep.collect(later)
    ledger = Ledger(folder / "erp.sqlite3")
    made = json.loads((folder / f"{story.name}.json").read_text()) if story.kind else {}
    holds = {
        "supplier": Supplier.AS2.value,
        "kind": story.kind,
        "number": NUMBER,
        "message_id": made.get("message_id"),
        "payload_sha256": made.get("payload_sha256"),
        "mic": made.get("mic"),
    }
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, id, was, became FROM soak_violation")
        violations = cursor.fetchall()
    checks = verdict.judge(
        verdict.Evidence(
            rows=evidence.collect(),
            promised=[holds] if story.kind and promised(folder) else [],
            planned=[(story.kind, NUMBER)] if story.kind else [],
            effects=ledger.effects(),
            erp_journal=ledger.journal(0, 1000),
            received=_journal(folder),
            violations=violations,
            audit="; ".join(found),
            orphans=[str(fault) for fault in blob_upkeep.faults(later)],
        )
    )
    ledger.close()
    return [f"{check.name}: {line}" for check in checks for line in check.broken] + list(_one_of_each(folder, story))


def _one_of_each(folder: Path, story: Story) -> Iterator[str]:
    taken = [line for line in _journal(folder) if line["direction"] == "received" and line["file"]]
    sets = sorted(
        (folder / "supplier" / "inbox" / line["file"]).read_bytes().partition(b"~ST*")[2][:3] for line in taken
    )
    if sets != sorted(name.encode() for name in story.sent):
        yield f"the supplier has {sets}, and should have one each of {story.sent}"
    answers = {line["receipt"] for line in _lines(folder / "promised.jsonl")}
    if len(answers) > 1:
        yield "a repeat was answered with another receipt"


# --------------------------------------------------------------------------------------------------------- processes
#: PR_SET_PDEATHSIG of linux/prctl.h.
_SIGNAL_AT_PARENTS_DEATH: Final = 1


def _end_with(work: Callable[[], object]) -> NoReturn:
    """Do something and end this process: nothing of the one it was forked from is run again, and it does not outlive that."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SIGNAL_AT_PARENTS_DEATH, signal.SIGKILL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    code = 0
    try:
        work()
    except BaseException:  # noqa: BLE001  # the outer edge of a process
        traceback.print_exc()
        code = 1
    finally:
        os._exit(code)


def in_child(work: Callable[[], object]) -> int:
    """Do something in a process of its own; its exit code."""
    return wait_for(begin(work))


def begin(work: Callable[[], object]) -> int:
    """The same without waiting for it: the id of the process."""
    pid = os.fork()
    if pid == 0:
        _end_with(work)
    return pid


def wait_for(pid: int) -> int:
    """The exit code of a process, once it has ended."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
