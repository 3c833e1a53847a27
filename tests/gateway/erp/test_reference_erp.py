"""The reference ERP at its own doors: what it makes of bad requests, bad files and bad arguments."""

from __future__ import annotations

import json
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.core.management import CommandError, call_command

from gateway.erp.reference.ledger import Ledger
from gateway.erp.reference.problems import Problem
from tests import prepared
from tests.gateway.erp.counterpart import ReferenceProcess, order_record


@pytest.fixture
def http(reference_erp: ReferenceProcess) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {reference_erp.token}"}
    with httpx.Client(base_url=reference_erp.base_url, headers=headers, trust_env=False) as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/", b"", 404, "no_such_route"),
        ("GET", "/v1/everything", b"", 404, "no_such_route"),
        ("POST", "/v1/changes", b"{}", 404, "no_such_route"),
        ("GET", "/v1/changes?limit=0", b"", 400, "malformed"),
        ("GET", "/v1/changes?limit=²", b"", 400, "malformed"),
        ("GET", "/v1/snapshot?page=-1", b"", 400, "malformed"),
        ("GET", "/v1/orders/%00%ff", b"", 404, "unknown_order"),
        ("GET", "/v1/ship-notices/none", b"", 404, "unknown_document"),
        ("POST", "/v1/changes/settle", b'{"tokens": "1"}', 422, "invalid"),
        ("POST", "/v1/changes/settle", b'{"tokens": ["\\ud800"]}', 422, "invalid"),
        ("PUT", "/v1/ship-notices/k", b"{", 400, "malformed"),
        ("PUT", "/v1/ship-notices/k", b"[]", 400, "malformed"),
        ("PUT", "/v1/ship-notices/k", b"\xff", 400, "malformed"),
        ("PUT", "/v1/ship-notices/k", b'{"a":' * 100_000, 400, "malformed"),
        ("PUT", "/v1/ship-notices/k", b'{"quantity": NaN}', 400, "malformed"),
        ("PUT", "/v1/ship-notices/k", b"{}", 422, "invalid"),
        ("PUT", "/v1/ship-notices/k", b'{"record": {"shipment_number": "\\ud800"}}', 422, "invalid"),
        ("PUT", "/v1/ship-notices/" + "k" * 256, b"{}", 422, "invalid"),
        ("PUT", "/v1/ship-notices/%00", b"{}", 422, "invalid"),
        ("POST", "/admin/release", b'{"company": 1}', 422, "invalid"),
        ("POST", "/admin/orders/none/change", b'{"record": {"number": "1", "lines": []}}', 422, "invalid"),
        ("POST", "/admin/orders/none/cancel", b"", 404, "unknown_order"),
        ("POST", "/admin/faults", b'{"kind": ["down"]}', 422, "invalid"),
        ("POST", "/admin/faults", b'{"kind": "down", "count": 0}', 422, "invalid"),
        ("POST", "/admin/faults", b'{"kind": "down", "routes": ["sbumit"]}', 422, "invalid"),
        ("POST", "/admin/faults", b'{"kind": "slow", "seconds": "long"}', 422, "invalid"),
        ("POST", "/admin/faults", b'{"kind": "down", "probability": 2}', 422, "invalid"),
        ("POST", "/admin/faults", b'{"kind": "down", "seed": {}}', 422, "invalid"),
    ],
)
def test_a_bad_request_gets_a_problem_document(http, method, path, body, status, code):
    answer = http.request(method, path, content=body)
    problem = answer.json()
    assert (answer.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["detail"]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ({"line_number": "10", "quantity": 100}, "quantity 100 must be a positive decimal number, as a text"),
        ({"line_number": "10", "quantity": "0"}, "quantity"),
        ({"line_number": "10", "quantity": "-1"}, "quantity"),
        ({"line_number": "10", "quantity": "Infinity"}, "quantity"),
        ({"line_number": "10", "quantity": "1e999999"}, "quantity"),
        ({"quantity": "1"}, "line_number"),
    ],
)
def test_an_order_whose_lines_cannot_be_counted_is_not_released(http, line, complaint):
    record = {**order_record("bad"), "lines": [line]}
    answer = http.post("/admin/release", json={"company": "C", "supplier_number": "S", "record": record})
    assert answer.status_code == 422
    assert complaint in answer.json()["detail"]


def test_an_order_is_released_once(http, reference_erp):
    placed = reference_erp.release()
    body = {"company": placed.company, "supplier_number": "S-100", "record": order_record(placed.number)}
    assert http.post("/admin/release", json=body).json()["code"] == "order_exists"


def test_two_plants_may_have_an_order_of_the_same_number(http):
    for company in ("NORTH", "SOUTH"):
        body = {"company": company, "supplier_number": "S-1", "record": order_record("SAME-1")}
        assert http.post("/admin/release", json=body).json()["order_key"] == f"{company}:SAME-1"


def test_a_shipment_in_another_unit_is_refused(http, reference_erp):
    placed = reference_erp.release()
    item = {"order_number": placed.number, "order_line": "10", "quantity": "1", "unit": "CA"}
    record = {"type": "ship_notice", "shipment_number": "U1", "items": [item]}
    body = {"company": placed.company, "supplier_number": placed.supplier_number, "record": record}
    assert http.put("/v1/ship-notices/unit-1", json=body).json()["code"] == "unit_mismatch"


def test_one_shipment_for_two_orders_is_posted_to_both_or_to_neither(http, reference_erp):
    first, second = reference_erp.release("10"), reference_erp.release("10")

    def notice(quantity: str) -> dict[str, Any]:
        items = [
            {"order_number": order.number, "order_line": "10", "quantity": amount}
            for order, amount in ((first, "10"), (second, quantity))
        ]
        record = {"type": "ship_notice", "shipment_number": "TWO", "items": items}
        return {"company": "PLANT1", "supplier_number": "S-100", "record": record}

    assert http.put("/v1/ship-notices/two-a", json=notice("11")).json()["code"] == "over_delivery"
    assert http.put("/v1/ship-notices/two-b", json=notice("10")).status_code == 201
    [effect] = [effect for effect in http.get("/admin/effects").json() if effect["key"] == "two-b"]
    assert sorted(effect["order_numbers"]) == sorted([first.number, second.number])
    assert effect["applications"] == 1


def test_a_document_stays_readable_as_it_came(http, reference_erp):
    placed = reference_erp.release()
    record = {"type": "order_acknowledgment", "order_number": placed.number, "disposition": "accepted", "lines": []}
    body = {"company": placed.company, "supplier_number": placed.supplier_number, "record": record}
    http.put("/v1/acknowledgments/read-1", json=body)
    assert http.get("/v1/acknowledgments/read-1").json()["record"] == record


@pytest.mark.parametrize("path", ["/v1/changes", "/admin/effects", "/nowhere"])
@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer wrong", "Basic dXNlcjpwYXNz", b"Bearer \xe9"])
def test_every_door_asks_for_the_token(reference_erp, path, authorization):
    answer = httpx.get(reference_erp.base_url + path, headers={"Authorization": authorization}, trust_env=False)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"PUT /v1/ship-notices/k HTTP/1.1\r\nHost: erp\r\nTransfer-Encoding: chunked\r\n\r\n", b"411"),
        (b"PUT /v1/ship-notices/k HTTP/1.1\r\nHost: erp\r\nContent-Length: -5\r\n\r\n", b"411"),
        (b"PUT /v1/ship-notices/k HTTP/1.1\r\nHost: erp\r\nContent-Length: 99999999\r\n\r\n", b"413"),
        (b"GET //[ HTTP/1.1\r\nHost: erp\r\nConnection: close\r\n\r\n", b"401"),
        (b"BREW /v1/coffee HTTP/1.1\r\nHost: erp\r\n\r\n", b"501"),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", b"400"),
    ],
)
def test_a_request_that_is_hardly_http_is_answered_and_hung_up(reference_erp, request_head, status):
    with socket.create_connection(("127.0.0.1", reference_erp.port), timeout=10) as connection:
        connection.sendall(request_head)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert status in answer


def test_the_admin_door_is_shut_to_other_machines(tmp_path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: it only picks our own address
        except OSError:
            pytest.skip("this machine has no address but loopback")
        address = probe.getsockname()[0]
    erp = ReferenceProcess(tmp_path)
    erp.start("--host", "0.0.0.0")  # noqa: S104  # all addresses are what is tested
    try:
        headers = {"Authorization": f"Bearer {erp.token}"}
        for path, status in (("/v1/changes", 200), ("/admin/effects", 403)):
            answer = httpx.get(f"http://{address}:{erp.port}{path}", headers=headers, trust_env=False)
            assert answer.status_code == status
    finally:
        erp.close()


def test_a_fault_befalls_only_the_routes_and_the_number_of_calls_it_was_asked_for(http):
    http.post("/admin/faults", json={"kind": "busy_429", "count": 2, "routes": ["changes"]})
    assert http.get("/v1/snapshot").status_code == 200
    assert [http.get("/v1/changes").status_code for _ in range(3)] == [429, 429, 200]
    assert http.get("/admin/faults").json() == []


def test_a_seed_makes_chance_repeatable(http):
    def run() -> list[int]:
        fault = {"kind": "error_500", "count": None, "routes": ["snapshot"], "probability": 0.5, "seed": 7}
        http.post("/admin/faults", json=fault)
        statuses = [http.get("/v1/snapshot").status_code for _ in range(20)]
        http.delete("/admin/faults")
        return statuses

    first = run()
    assert set(first) == {200, 500}
    assert run() == first


def test_the_journal_names_what_was_asked_what_came_of_it_and_what_went_wrong(http, reference_erp):
    placed = reference_erp.release()
    record = {"type": "order_acknowledgment", "order_number": placed.number, "disposition": "accepted", "lines": []}
    body = {"company": placed.company, "supplier_number": placed.supplier_number, "record": record}
    for fault in ("down", "lose_answer"):
        reference_erp.misbehave(fault, routes=["submit"])
        with pytest.raises(httpx.RemoteProtocolError):
            http.put("/v1/acknowledgments/journal-1", json=body)
    http.put("/v1/acknowledgments/journal-1", json=body)
    http.put("/v1/acknowledgments/journal-1", json={**body, "company": "OTHER"})
    assert reference_erp.requests("journal-1") == [
        ("not done", "down"),
        ("201 done", "lose_answer"),
        ("200 done", ""),
        ("409 key_reused", ""),
    ]


def test_journal_and_applications_cannot_be_rewritten(tmp_path):
    ledger = Ledger(tmp_path / "erp.sqlite3")
    ledger.note("submit", "k", "not done", "down")
    ledger.close()
    with sqlite3.connect(tmp_path / "erp.sqlite3") as database:
        for statement in ("UPDATE journal SET outcome = '201 done'", "DELETE FROM journal"):
            with pytest.raises(sqlite3.IntegrityError, match="append only"):
                database.execute(statement)
    database.close()


def test_a_refused_document_leaves_no_trace_but_its_journal_entry(tmp_path):
    ledger = Ledger(tmp_path / "erp.sqlite3")
    body = {
        "company": "C",
        "supplier_number": "S",
        "record": {"shipment_number": "1", "items": [{"order_number": "9"}]},
    }
    with pytest.raises(Problem, match="unknown_order"):
        ledger.submit("ship_notice", "k", body, fault="", later=False)
    assert ledger.effects() == []
    assert [entry["outcome"] for entry in ledger.journal(0, 10)] == ["422 unknown_order"]
    ledger.close()


# -- the command


def test_a_seed_file_is_released_once_however_often_it_is_named(tmp_path):
    seed = tmp_path / "orders.json"
    orders = [{"company": "C", "supplier_number": "S", "record": order_record(number)} for number in ("1", "2")]
    seed.write_text(json.dumps(orders))
    erp = ReferenceProcess(tmp_path)
    try:
        for _ in range(2):
            erp.start("--seed", str(seed))
            headers = {"Authorization": f"Bearer {erp.token}"}
            changes = httpx.get(f"{erp.base_url}/v1/changes", headers=headers, trust_env=False).json()
            assert [change["order_key"] for change in changes] == ["C:1", "C:2"]
            erp.kill()
    finally:
        erp.close()


def test_the_token_file_is_only_ours_to_read(reference_erp):
    token_file = reference_erp.database.with_name("erp.sqlite3.token")
    assert token_file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("arguments", "files", "complaint"),
    [
        (["--port", "70000"], {}, "port must be 0-65535"),
        (["--host", "no.such.host.invalid"], {}, "Errno"),
        (["--token-file", "empty"], {"empty": ""}, "empty holds no token"),
        (["--seed", "missing.json"], {}, "missing.json"),
        (["--seed", "s.json"], {"s.json": "{"}, "s.json is not JSON"),
        (["--seed", "s.json"], {"s.json": "{}"}, "must hold a list of orders"),
        (["--seed", "s.json"], {"s.json": '[{"company": "C"}]'}, "order 0: supplier_number must be a text"),
        (["--database", "noise"], {"noise": "this is no database at all\n" * 99}, "noise cannot be used"),
        (["--database", "no/such/folder/e.sqlite3"], {}, "No such file or directory"),
    ],
)
def test_arguments_that_cannot_work_are_refused_in_words(tmp_path, monkeypatch, arguments, files, complaint):
    monkeypatch.chdir(tmp_path)
    for name, content in files.items():
        Path(name).write_text(content)
    with pytest.raises(CommandError, match=complaint):
        call_command("reference_erp", "--database", "e.sqlite3", "--port", "0", *arguments)


def test_a_port_that_is_taken_is_said_in_one_line(reference_erp, tmp_path):
    port = str(reference_erp.port)
    result = prepared.here().run(
        "manage.py", "reference_erp", "--database", str(tmp_path / "e.sqlite3"), "--port", port
    )
    assert result.returncode == 1
    assert result.stderr.startswith("CommandError: ")
    assert "Address already in use" in result.stderr
    assert result.stderr.count("\n") == 1
