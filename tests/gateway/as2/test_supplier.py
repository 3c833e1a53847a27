"""The supplier program in a process of its own, trading with our engine over real HTTP on loopback."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from waitress.server import create_server

from gateway.transports.as2 import Mdn, Rejected, Verdict, build_mdn, build_message, read_mdn, receive
from gateway.transports.as2 import supplier as supplier_program
from gateway.transports.as2.names import quoted
from gateway.transports.as2.supplier import Journal
from gateway.transports.http import HttpAnswer, post
from partners.profiles import As2Terms, HttpTerms
from tests import prepared
from tests.acceptance.world import until
from tests.gateway.as2.conftest import EDI, Link


@dataclass
class Gateway:
    """The smallest door our engine can have: a WSGI application that keeps payloads in a list.

    What is posted to another path than ``/as2`` is a receipt and kept as it came. A receipt that is wanted by a request of its
    own is kept for the test to send.
    """

    terms: As2Terms
    payloads: list[bytes] = field(default_factory=list)
    receipts: Queue[tuple[dict[str, str], bytes]] = field(default_factory=Queue)
    owed: Queue[tuple[str, Mdn]] = field(default_factory=Queue)  #: address, receipt

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        headers = {key[5:].replace("_", "-"): value for key, value in environ.items() if key.startswith("HTTP_")}
        headers["Content-Type"] = environ["CONTENT_TYPE"]
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        if environ["PATH_INFO"] != "/as2":
            self.receipts.put((headers, body))
            start_response("200 OK", [("Content-Length", "0")])
            return []
        try:
            got = receive(headers, body, self.terms)
            self.payloads.append(got.payload)
            mdn = build_mdn(headers, terms=self.terms, mic=(got.mic, got.mic_algorithm), text="stored")
        except Rejected as rejected:
            mdn = build_mdn(headers, terms=self.terms, disposition=rejected.disposition, mic=None, text="no")
        if address := headers.get("RECEIPT-DELIVERY-OPTION"):
            self.owed.put((address, mdn))
            start_response("204 No Content", [])
            return []
        start_response("200 OK", list(mdn.headers.items()))
        return [mdn.body]


@pytest.fixture(scope="module")
def gateway(link: Link) -> Iterator[tuple[Gateway, int]]:
    application = Gateway(link.buyer)
    server = create_server(application, host="127.0.0.1", port=0, threads=2)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    yield application, server.effective_port
    server.close()
    thread.join(timeout=10)


@dataclass(frozen=True)
class Running:
    address: str  #: http://host:port
    folder: Path
    terms: As2Terms  #: the buyer's, with the supplier's address

    def control(self, path: str, order: object) -> HttpAnswer:
        headers = {"Content-Type": "application/json"}
        return post(f"{self.address}/control/{path}", headers, json.dumps(order).encode(), HttpTerms())

    def journal(self) -> list[dict[str, Any]]:
        file = self.folder / "data/journal.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@contextmanager
def running(link: Link, gateway_port: int, pem_folder: Path, folder: Path, **further: str) -> Iterator[Running]:
    configuration = folder / "boltco.json"
    configuration.write_text(
        json.dumps(
            {
                "as2_name": "boltco",
                "key": str(pem_folder / "supplier.key.pem"),
                "certificate": str(pem_folder / "supplier.crt.pem"),
                "peer_as2_name": "ACME BUYING",
                "peer_signing_certificate": str(pem_folder / "buyer.crt.pem"),
                "peer_url": f"http://127.0.0.1:{gateway_port}/as2",
                "listen": "127.0.0.1:0",
                "data": "data",
                **further,
            }
        )
    )
    output, errors = folder / "stdout.txt", folder / "stderr.txt"
    output.write_text("")
    process = prepared.here().begin(
        "manage.py", "as2_supplier", "--config", str(configuration), log=output, errors=errors
    )

    def first_line() -> str:
        line, end, _ = output.read_text().partition("\n")
        return line if end else ""

    line = until(first_line, "a supplier that listens", otherwise=errors.read_text)
    assert line.startswith("supplier boltco listens on http://127.0.0.1:"), line
    address = line.split()[-1].removesuffix("/as2")
    try:
        yield Running(address, folder, replace(link.buyer, url=f"{address}/as2"))
    finally:
        process.terminate()
        assert (process.wait(), output.read_text(), errors.read_text()) == (0, f"{line}\n", "")


@pytest.fixture(scope="module")
def supplier(link: Link, gateway: tuple[Gateway, int], pem_folder: Path, tmp_path_factory) -> Iterator[Running]:
    with running(link, gateway[1], pem_folder, tmp_path_factory.mktemp("supplier")) as program:
        yield program


def test_an_order_arrives_and_its_receipt_proves_it(supplier: Running):
    sent = build_message(EDI, terms=supplier.terms, message_id="po-100@acme", file_name="850 für boltco.edi")
    answer = post(supplier.address + "/as2", sent.headers, sent.body, HttpTerms())
    receipt = read_mdn(
        answer.headers, answer.body, message_id=sent.message_id, digests=sent.digests, terms=supplier.terms
    )
    assert (answer.status, receipt.verdict) == (200, Verdict.DELIVERED)
    line = next(line for line in supplier.journal() if line["message_id"] == "po-100@acme")
    assert line["verdict"] == "processed"
    assert (supplier.folder / "data/inbox" / line["file"]).read_bytes() == EDI


def test_a_repeat_gets_the_first_receipt_and_no_second_file(supplier: Running):
    sent = build_message(EDI, terms=supplier.terms, message_id="po-101@acme", file_name="850.edi")
    first = post(supplier.address + "/as2", sent.headers, sent.body, HttpTerms())
    files = sorted((supplier.folder / "data/inbox").iterdir())
    again = post(supplier.address + "/as2", sent.headers, sent.body, HttpTerms())
    assert again.body == first.body
    assert sorted((supplier.folder / "data/inbox").iterdir()) == files


def test_another_message_under_a_used_id_is_no_delivery(supplier: Running):
    receipts = []
    for payload in (b"first", b"second"):
        sent = build_message(payload, terms=supplier.terms, message_id="po-102@acme", file_name=None)
        answer = post(supplier.address + "/as2", sent.headers, sent.body, HttpTerms())
        receipts.append(
            read_mdn(
                answer.headers, answer.body, message_id=sent.message_id, digests=sent.digests, terms=supplier.terms
            )
        )
    assert [receipt.verdict for receipt in receipts] == [Verdict.DELIVERED, Verdict.INVALID]
    assert "duplicate-document" in receipts[1].text


def test_the_supplier_sends_and_believes_our_receipt(supplier: Running, gateway: tuple[Gateway, int], tmp_path: Path):
    file = tmp_path / "855.edi"
    file.write_bytes(EDI)
    answer = supplier.control("send", {"file": str(file)})
    outcome = json.loads(answer.body)
    assert (answer.status, outcome["http_status"], outcome["mdn_status"], outcome["mic_matched"]) == (
        200,
        200,
        "processed",
        True,
    )
    assert gateway[0].payloads[-1] == EDI
    assert supplier.journal()[-1]["message_id"] == outcome["message_id"]


def test_a_receipt_asked_for_at_an_address_comes_there_and_to_a_repeat_once_more(
    supplier: Running, gateway: tuple[Gateway, int]
):
    terms = replace(supplier.terms, async_mdn=True, our_url=f"http://127.0.0.1:{gateway[1]}/receipts")
    sent = build_message(EDI, terms=terms, message_id="po-104@acme", file_name="850.edi")
    came = []
    for _ in range(2):
        answer = post(supplier.address + "/as2", sent.headers, sent.body, HttpTerms())
        assert answer.status == 202
        came.append(gateway[0].receipts.get(timeout=30))
    receipt = read_mdn(*came[0], message_id=sent.message_id, digests=sent.digests, terms=terms)
    assert receipt.verdict is Verdict.DELIVERED
    assert came[0][1] == came[1][1]


def test_a_receipt_goes_to_the_partners_own_server_only(supplier: Running):
    terms = replace(supplier.terms, async_mdn=True, our_url="http://127.0.0.1:9/receipts")
    sent = build_message(EDI, terms=terms, message_id="po-105@acme", file_name="850.edi")
    assert post(supplier.address + "/as2", sent.headers, sent.body, HttpTerms()).status == 400


def test_the_supplier_asks_for_its_receipts_at_an_address_and_believes_them_after_a_restart(
    link: Link, gateway: tuple[Gateway, int], pem_folder: Path, tmp_path: Path
):
    file = tmp_path / "855.edi"
    file.write_bytes(EDI)
    asked = {"mdn": "async", "receipt_address": "http://supplier.example/receipts"}
    with running(link, gateway[1], pem_folder, tmp_path, **asked) as program:
        outcome = json.loads(program.control("send", {"file": str(file)}).body)
    assert (outcome["http_status"], outcome["mdn_status"]) == (204, None)
    address, mdn = gateway[0].owed.get(timeout=30)
    assert address == asked["receipt_address"]
    with running(link, gateway[1], pem_folder, tmp_path, **asked) as program:
        assert post(program.address + "/receipts", mdn.headers, mdn.body, HttpTerms()).status == 200
        taken = program.journal()[-1]
    assert (taken["direction"], taken["message_id"]) == ("receipt", outcome["message_id"])
    assert (taken["mdn_status"], taken["mic_matched"]) == ("processed", True)


def test_a_receipt_for_no_message_of_the_supplier_is_said(supplier: Running, link: Link):
    headers = {"AS2-From": quoted("ACME BUYING"), "AS2-To": "boltco", "Message-ID": "<never@boltco>"}
    asking = {"AS2-From": "boltco", "AS2-To": quoted("ACME BUYING"), "Message-ID": "<never@boltco>"}
    mdn = build_mdn(asking, terms=link.buyer, mic=None, text="stored")
    assert post(supplier.address + "/receipts", {**mdn.headers, **headers}, mdn.body, HttpTerms()).status == 404


def test_a_file_that_is_not_there_is_said(supplier: Running):
    answer = supplier.control("send", {"file": "/nowhere/855.edi"})
    assert (answer.status, b"FileNotFoundError" in answer.body) == (400, True)


def test_no_key_is_written_down(supplier: Running):
    sent = build_message(EDI, terms=supplier.terms, message_id="po-103@acme", file_name="850.edi")
    post(supplier.address + "/as2", sent.headers, sent.body, HttpTerms())
    written = [file.read_bytes() for file in (supplier.folder / "data").rglob("*") if file.is_file()]
    assert written
    assert not any(b"PRIVATE KEY" in content for content in written)


def test_the_journal_can_be_asked_for(supplier: Running):
    connection = http.client.HTTPConnection(supplier.address.removeprefix("http://"), timeout=30)
    connection.request("GET", "/control/journal")
    assert json.loads(connection.getresponse().read()) == supplier.journal()
    connection.close()


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/as2", {}, 403),
        ("/as2", {"AS2-From": "ACME BUYING", "AS2-To": "boltco"}, 400),
        ("/as2", {"AS2-From": "somebody", "AS2-To": "boltco", "Message-ID": "<x@y>"}, 403),
        ("/control/send", {"Content-Type": "text/plain"}, 415),
        ("/receipts", {}, 403),
        ("/receipts", {"AS2-From": "ACME BUYING", "AS2-To": "boltco"}, 404),
        ("/elsewhere", {}, 404),
    ],
)
def test_nonsense_gets_a_plain_answer(supplier: Running, path, headers, status):
    answer = post(supplier.address + path, {"Content-Type": "text/plain"} | headers, b"hello", HttpTerms())
    assert answer.status == status


def test_a_broken_configuration_ends_with_one_sentence(tmp_path: Path):
    file = tmp_path / "broken.json"
    file.write_text('{"as2_name": "boltco"}')
    done = prepared.here().run("manage.py", "as2_supplier", "--config", str(file))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"CommandError: {file}: peer_as2_name must be a text\n"


def test_receipts_by_a_request_of_their_own_need_an_address(tmp_path: Path):
    file = tmp_path / "no_address.json"
    texts = ("as2_name", "peer_as2_name", "peer_url", "key", "certificate", "peer_signing_certificate", "data")
    file.write_text(json.dumps(dict.fromkeys(texts, "x") | {"listen": "127.0.0.1:0", "mdn": "async"}))
    with pytest.raises(supplier_program.ConfigurationError, match="receipt_address must be a text, as mdn is async"):
        supplier_program.read_configuration(file)


def test_the_journal_survives_a_crash_in_the_middle_of_a_line(tmp_path: Path):
    def record(journal: Journal, message_id: str, payload: bytes | None) -> bytes:
        return journal.received(
            message_id=message_id,
            body_sha256="0" * 64,
            verdict="processed" if payload else "processed/error",
            mic=None,
            payload=payload,
            name="850.edi",
            mdn=b"receipt for " + message_id.encode(),
        )

    before = Journal(tmp_path)
    record(before, "1@acme", b"first")
    record(before, "2@acme", None)
    with (tmp_path / "journal.jsonl").open("ab") as file:
        file.write(b'{"number": 3, "direction": "rece')
    after = Journal(tmp_path)
    assert [line["message_id"] for line in after.lines()] == ["1@acme", "2@acme"]
    assert after.accepted("2@acme") is None
    assert record(after, "1@acme", b"again") == b"receipt for 1@acme"
    record(after, "3@acme", b"third")
    assert [line["number"] for line in Journal(tmp_path).lines()] == [1, 2, 3]
    assert sorted(file.name for file in (tmp_path / "inbox").iterdir()) == ["000001-850.edi", "000003-850.edi"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [("../../etc/passwd", "etc-passwd"), ("850 für.edi", "850-f-r.edi"), ("..", "payload.bin"), (None, "payload.bin")],
)
def test_a_name_from_outside_names_no_place(given, kept):
    assert supplier_program._file_name(given) == kept
