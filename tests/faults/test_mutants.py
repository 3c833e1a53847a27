"""The harness can fail: each bug that is put into the gateway is caught.

Here those that crash points and the state machine catch; ``make faults ARGS=mutants`` puts in those that only a soak does, too.
"""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest
from django.conf import settings

from tests.faults.mutants import MUTANTS, Layer, caught_by_the_machine
from tests.faults.programs import ROOT

IN_WALKS = sorted(name for name, mutant in MUTANTS.items() if mutant.layer is Layer.STATE_MACHINE)


@pytest.mark.skipif(
    not settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"), reason="walks are on SQLite in memory"
)
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", IN_WALKS)
def test_a_bug_that_is_put_in_is_caught(name, caplog):
    caplog.set_level(logging.CRITICAL, "gateway")
    assert caught_by_the_machine(MUTANTS[name])


@pytest.mark.own_sqlite
def test_bugs_that_show_where_a_process_dies_are_caught():
    names = [name for name, mutant in MUTANTS.items() if mutant.layer is Layer.CRASH_POINTS]
    program = [sys.executable, "-m", "tests.faults.mutants", *names]
    ran = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr[-4000:]}"


@pytest.mark.parametrize("name", sorted(set(MUTANTS) - set(IN_WALKS)))
def test_a_bug_is_taken_out_again(name):
    """And what it changes is still there to be changed."""
    mutant = MUTANTS[name]
    were = [getattr(owner, attribute) for owner, attribute, _ in mutant.changes()]
    with mutant.applied():
        now = [getattr(owner, attribute) for owner, attribute, _ in mutant.changes()]
        assert all(one is not other for one, other in zip(now, were, strict=True))
    assert [getattr(owner, attribute) for owner, attribute, _ in mutant.changes()] == were


def test_there_are_enough_of_them():
    assert len(MUTANTS) >= 12
