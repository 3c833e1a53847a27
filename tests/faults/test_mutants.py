"""The harness can fail: each bug that is put into the gateway is caught.

Here those that the state machine catches; ``make faults`` puts in all of them.
"""

from __future__ import annotations

import logging

import pytest
from django.conf import settings

from tests.faults.mutants import MUTANTS, Layer, caught_by_the_machine

IN_WALKS = sorted(name for name, mutant in MUTANTS.items() if mutant.layer is Layer.STATE_MACHINE)


@pytest.mark.skipif(
    not settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"), reason="walks are on SQLite in memory"
)
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", IN_WALKS)
def test_a_bug_that_is_put_in_is_caught(name, caplog):
    caplog.set_level(logging.CRITICAL, "gateway")
    assert caught_by_the_machine(MUTANTS[name])


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
