"""The verdict can fail: of a run where all is well, each journal is doctored in turn, and the invariant that should sees it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.faults import verdict
from tests.faults.verdict import Evidence, Outcome


def transmission(id: int, message_id: str, state: str, **more: Any) -> dict[str, Any]:
    usual = {"direction": "inbound", "format": "x12", "partner": "ACME", "payload_sha256": f"sha-{id}", "mics": []}
    return {"id": id, "message_id": message_id, "state": state, **usual, **more}


def delivery(id: int, kind: str, key: str, **more: Any) -> dict[str, Any]:
    usual = {"state": "delivered", "document": None, "document__order": None, "transmission": None}
    return {"id": id, "kind": kind, "key": key, **usual, **more}


def document(id: int, type: str, number: str, transmission: int) -> dict[str, Any]:
    usual = {"state": "relayed", "direction": "inbound"}
    return {"id": id, "type": type, "number": number, "transmission": transmission, **usual}


def end(delivery: int, name: str, token: int) -> dict[str, Any]:
    return {
        "id": delivery * 10 + token,
        "delivery": delivery,
        "name": f"delivery.{name}",
        "token": token,
        "charged": True,
    }


def effect(key: str, kind: str) -> dict[str, Any]:
    return {"key": key, "kind": kind, "order_numbers": ["7001"], "applications": 1}


def promise(message_id: str, kind: str, id: int, mic: str) -> dict[str, Any]:
    facts = {"message_id": message_id, "kind": kind, "number": "7001", "supplier": "ACME"}
    return {**facts, "payload_sha256": f"sha-{id}", "mic": mic}


@pytest.fixture
def evidence() -> Evidence:
    """An order went out, was confirmed and shipped; one try on the way had no answer."""
    rows = {
        "transmissions": [
            transmission(1, "<m1>", "answered", mics=["mic1"]),
            transmission(2, "<m2>", "answered", mics=["mic2"]),
            transmission(3, "<out>", "receipted", direction="outbound"),
        ],
        "documents": [
            document(1, "order_acknowledgment", "7001", 1),
            document(2, "ship_notice", "S-7001", 2),
        ],
        "deliveries": [
            delivery(10, "erp", "key-1", document=1, document__order=5),
            delivery(11, "erp", "key-2", document=2, document__order=5),
            delivery(12, "partner", "send-3", transmission=3),
            delivery(13, "timer", "timer:poll", state="open"),
        ],
        "entries": [{"delivery": 13, "kind": "timer", "state": "pending", "crashes": 0}],
        "live_leases": 0,
        "cases": [],
        "ends": [end(10, "in_doubt", 1), end(10, "delivered", 2), end(11, "delivered", 1), end(12, "delivered", 1)],
        "unreadable_blobs": [],
        "tries": {"erp": 3, "partner": 3},
        "poison_after": 3,
    }
    return Evidence(
        rows=rows,
        promised=[promise("<m1>", "acknowledgment", 1, "mic1"), promise("<m2>", "ship_notice", 2, "mic2")],
        planned=[("acknowledgment", "7001"), ("ship_notice", "7001")],
        effects=[effect("key-1", "acknowledgment"), effect("key-2", "ship_notice")],
        erp_journal=[
            {"id": 1, "key": "key-1", "outcome": "201 done", "fault": "lose_answer"},
            {"id": 2, "key": "key-2", "outcome": "201 done", "fault": ""},
        ],
        received=[{"direction": "received", "message_id": "out", "file": "1-po.edi"}],
        left_behind={"not drained": 0},
    )


def broken(evidence: Evidence) -> dict[str, list[str]]:
    """What each invariant that does not hold says."""
    return {check.name: list(check.broken) for check in verdict.judge(evidence) if check.broken}


def without(evidence: Evidence, table: str, id: int) -> Evidence:
    return changed(evidence, table, [row for row in evidence.rows[table] if row["id"] != id])


def changed(evidence: Evidence, table: str, rows: object) -> Evidence:
    return replace(evidence, rows={**evidence.rows, table: rows})


def edited(evidence: Evidence, table: str, id: int, **facts: Any) -> Evidence:
    rows = evidence.rows[table]
    return changed(evidence, table, [{**row, **facts} if row["id"] == id else row for row in rows])


def test_a_run_in_which_nothing_was_lost_or_doubled_is_green(evidence):
    assert broken(evidence) == {}
    assert verdict.outcome(verdict.judge(evidence), void=[]) is Outcome.GREEN


def test_a_promise_without_a_row_is_lost(evidence):
    assert broken(without(evidence, "transmissions", 1))["I1"] == ["promised, no such row: ('ACME', '<m1>', 'sha-1')"]


def test_a_row_with_other_bytes_than_were_promised_is_lost_too(evidence):
    assert len(broken(edited(evidence, "transmissions", 1, payload_sha256="other"))["I1"]) == 2


def test_a_message_that_never_got_its_promise_is_noticed(evidence):
    assert "I1" in broken(replace(evidence, promised=evidence.promised[:1]))


def test_one_lost_and_one_too_many_do_not_cancel_out(evidence):
    swapped = edited(evidence, "transmissions", 1, message_id="<other>")
    assert len(broken(swapped)["I1"]) == 2


def test_work_that_stands_still_without_a_case_is_noticed(evidence):
    stuck = edited(evidence, "deliveries", 12, state="open")
    entry = {"delivery": 12, "kind": "partner", "state": "sending", "crashes": 0}
    assert broken(changed(stuck, "entries", [*evidence.rows["entries"], entry]))["I2"] == [
        "delivery 12 (partner) is open, queued: sending"
    ]


def test_a_dead_letter_with_a_case_is_where_it_should_be(evidence):
    dead = edited(evidence, "deliveries", 12, state="dead")
    case = {"id": 1, "reason": "dead_letter", "delivery": 12, "document": None, "transmission": 3}
    entry = {"delivery": 12, "kind": "partner", "state": "dead", "crashes": 0}
    settled = changed(changed(dead, "cases", [case]), "entries", [*evidence.rows["entries"], entry])
    assert "I2" not in broken(settled)
    assert "I2" in broken(changed(settled, "cases", []))


def test_a_document_that_waits_for_nobody_is_noticed(evidence):
    assert "I2" in broken(edited(evidence, "documents", 1, state="parked"))


def test_a_lease_that_lives_after_the_drain_is_noticed(evidence):
    assert "I2" in broken(changed(evidence, "live_leases", 1))


@pytest.mark.parametrize(
    "effects",
    [
        pytest.param([effect("key-1", "acknowledgment")], id="one is missing"),
        pytest.param(
            [effect("key-1", "acknowledgment"), effect("key-2", "ship_notice"), effect("key-9", "ship_notice")],
            id="one nobody ordered",
        ),
        pytest.param(
            [effect("key-1", "acknowledgment"), {**effect("key-2", "ship_notice"), "applications": 2}],
            id="one is applied twice",
        ),
    ],
)
def test_an_effect_too_many_or_too_few_is_noticed(evidence, effects):
    assert "I3" in broken(replace(evidence, effects=effects))


def test_one_document_that_took_effect_under_two_keys_is_doubled(evidence):
    again = delivery(14, "erp", "key-3", document=1, document__order=5)
    rows = changed(evidence, "deliveries", [*evidence.rows["deliveries"], again])
    doubled = replace(rows, effects=[*evidence.effects, effect("key-3", "acknowledgment")])
    assert "two effects for one document: ('acknowledgment', '7001')" in broken(doubled)["I3"]


def test_a_terminal_state_that_was_left_is_noticed(evidence):
    assert broken(replace(evidence, violations=[("gateway_delivery", 10, "delivered", "open")]))["I4"] == [
        "gateway_delivery 10: delivered → open"
    ]


def test_a_receipt_over_other_bytes_than_the_row_is_a_lie(evidence):
    assert "I5" in broken(edited(evidence, "transmissions", 1, mics=["other"]))


def test_a_message_counted_as_receipted_that_the_partner_never_took_is_a_lie(evidence):
    assert broken(replace(evidence, received=[]))["I5"] == ["counted as receipted, never taken: out"]


def test_a_message_the_partner_took_counts_as_receipted(evidence):
    assert "I5" in broken(edited(evidence, "transmissions", 3, state="sent"))


def test_bytes_that_are_gone_are_noticed(evidence):
    assert "I6" in broken(changed(evidence, "unreadable_blobs", [{"sha256": "abc", "why": "no such file"}]))
    assert "I6" in broken(replace(evidence, orphans=["abc"]))


def test_a_try_that_ended_twice_is_noticed(evidence):
    assert broken(changed(evidence, "ends", [*evidence.rows["ends"], end(10, "retry", 1)]))["I7"] == [
        "ended twice: 10, token 1"
    ]


def test_a_try_without_an_end_is_noticed(evidence):
    assert broken(changed(evidence, "ends", evidence.rows["ends"][1:]))["I7"] == ["a try without an end: 10: [2]"]


def test_a_delivery_that_was_delivered_twice_is_noticed(evidence):
    assert (
        "delivered twice: 11"
        in broken(changed(evidence, "ends", [*evidence.rows["ends"], end(11, "delivered", 2)]))["I7"]
    )


def test_an_audit_trail_that_does_not_verify_is_noticed(evidence):
    assert broken(replace(evidence, audit="batch 4 is not what was sealed"))["I7"] == [
        "audit: batch 4 is not what was sealed"
    ]


def test_effects_of_one_order_in_the_wrong_sequence_are_noticed(evidence):
    journal = [{**line, "id": 3 - line["id"]} for line in evidence.erp_journal]
    assert broken(replace(evidence, erp_journal=journal)) == {"I8": ["order 5: [11, 10]"]}


def test_more_tries_than_the_schedule_has_are_noticed(evidence):
    ends = [*(end(10, "retry", token) for token in range(1, 5)), end(10, "delivered", 5), *evidence.rows["ends"][2:]]
    assert broken(changed(evidence, "ends", ends)) == {"I9": ["tried too often: 10"]}


def test_more_crashes_in_a_row_than_poison_may_have_are_noticed(evidence):
    ends = [*(end(10, "crashed", token) for token in range(1, 5)), end(10, "delivered", 5), *evidence.rows["ends"][2:]]
    assert broken(changed(evidence, "ends", ends)) == {"I9": ["crashed too often: 10"]}


def test_what_is_buried_beside_a_document_that_kills_is_noticed_and_that_one_is_not(evidence):
    case = {"id": 1, "reason": "poison", "delivery": 10, "document": None, "transmission": None}
    dead = edited(edited(evidence, "deliveries", 10, state="dead"), "documents", 1, state="rejected")
    buried = changed(dead, "cases", [case])
    assert broken(buried)["I9"] == ["buried, though it kills nobody: 10"]
    kills = replace(buried, promised=[{**evidence.promised[0], "kind": "kills"}, *evidence.promised[1:]])
    assert "I9" not in broken(kills)


def test_what_is_left_behind_is_named(evidence):
    assert broken(replace(evidence, left_behind={"idle in transaction": 2})) == {"I10": ["idle in transaction: 2"]}


def test_a_run_whose_faults_met_too_little_is_void_and_never_green(evidence):
    assert verdict.outcome(verdict.judge(evidence), void=["3 process faults met work, 40 are needed"]) is Outcome.VOID


def test_a_void_run_that_lost_something_is_red(evidence):
    lost = verdict.judge(without(evidence, "transmissions", 1))
    assert verdict.outcome(lost, void=["3 process faults met work, 40 are needed"]) is Outcome.RED
