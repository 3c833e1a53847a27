"""A soak of seconds: the harness itself works, on the database the suite runs on, and finds nothing lost and nothing doubled."""

from __future__ import annotations

import itertools
import os

from tests.faults.databases import binaries
from tests.faults.plan import CI, TINY, Supplier, draw
from tests.faults.soak import Options, Soak
from tests.faults.verdict import Outcome


def test_a_small_soak_under_kills_is_green():
    on = "postgresql" if os.environ.get("DATABASE_URL", "").startswith("postgres") and binaries() else "sqlite"
    said: list[str] = []
    report = Soak(Options(on=on, broker="none", size=TINY, seed=3), say=said.append).run()
    assert report.outcome is Outcome.GREEN, "\n".join([*said, *report.table(), report.as_json()])
    assert "seed 3" in said[0]


def test_the_plan_of_a_seed_is_always_the_same():
    assert draw(3, CI, crashable=True, strikable=True) == draw(3, CI, crashable=True, strikable=True)
    assert draw(4, CI, crashable=True, strikable=True) != draw(3, CI, crashable=True, strikable=True)


def test_some_answers_come_before_their_order_and_some_shipments_before_their_confirmation():
    plan = draw(3, CI, crashable=True, strikable=True)
    released = {release.number: release.at_s for release in plan.releases}
    at = {(message.kind, message.number): message.at_s for message in plan.messages}
    early = [number for number in released if at["acknowledgment", number] < released[number]]
    shipped_first = [number for number in released if at["ship_notice", number] < at["acknowledgment", number]]
    assert len(early) > 50
    assert len(shipped_first) > 50


def test_the_load_outlasts_the_faults_and_every_supplier_has_a_share():
    plan = draw(3, CI, crashable=True, strikable=True)
    assert max(fault.at_s for fault in plan.faults) < plan.lasts_s
    assert {message.supplier for message in plan.messages} == set(Supplier)


def test_database_crashes_stay_rarer_than_the_longest_pause():
    crashes = [fault.at_s for fault in draw(3, CI, crashable=True, strikable=True).faults if fault.kind == "crash"]
    assert min(later - sooner for sooner, later in itertools.pairwise(crashes)) > 6
