"""The gateway dies at every commit and every call of three stories, and nothing is lost or doubled (layer 1)."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from typing import Any, Final

import pytest

from tests.faults.programs import ROOT

#: Modules that begin transactions in none of the stories, and why they need not.
ELSEWHERE: Final = {
    "gateway.archives.holds": "a person's own act, one transaction",
    "gateway.archives.leave": "cut off at every statement in test_archives",
    "gateway.audit.checkpoints": "one row, made again at the next turn",
    "gateway.blob_upkeep": "removes what nothing names; cut off in test_blob_upkeep",
    "gateway.endpoints.as2_guard": "cases about strangers, one transaction each",
    "gateway.exception_queue": "what a person settles, one transaction each",
    "gateway.models.orders": "a token a person enters, one transaction",
    "gateway.models.transmissions": "inside the transaction of whoever stores bytes",
    "gateway.pipeline.closing": "one order, one transaction; the ERP is asked again at its next turn",
    "gateway.pipeline.decide": "what a person decides, one transaction each",
    "gateway.pipeline.escalate": "looks again at its next turn; nothing of it leaves the database",
    "gateway.timers": "makes rows that are missing, at each poll",
    "partners.management.commands.partner_import": "a person's own act, one transaction",
    "partners.models.secret": "a person's own act, one transaction",
    "partners.onboarding": "a person's own act, one transaction",
}


@pytest.fixture(scope="module")
def explored() -> dict[str, Any]:
    """Dies everywhere once, on files, with two deaths at a time."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.faults.crash_points"], cwd=ROOT, capture_output=True, text=True, timeout=400
    )
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr[-4000:]}"
    facts: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return facts


def test_whatever_commit_or_call_a_process_dies_at_nothing_is_lost_or_doubled(explored):
    assert explored["broken"] == 0
    assert explored["deaths"] > 70


def test_every_module_that_begins_a_transaction_is_died_in(explored):
    begins = {
        ".".join(file.relative_to(ROOT).with_suffix("").parts)
        for package in ("gateway", "partners")
        for file in (ROOT / package).rglob("*.py")
        if _begins_transactions(file.read_text())
    }
    assert begins - set(explored["modules"]) == set(ELSEWHERE)


def _begins_transactions(source: str) -> bool:
    return any(
        isinstance(node, ast.Attribute) and node.attr == "atomic" and isinstance(node.value, ast.Name)
        for node in ast.walk(ast.parse(source))
    )
