"""A slice of the fuzz for every run of the suite, and that it can fail."""

from __future__ import annotations

import pytest

from tests.fuzz import defects, verdicts
from tests.fuzz.mutations import mutated
from tests.fuzz.run import outcome
from tests.fuzz.sources import FIXTURES, Source

SLICE = [
    Source(name, (FIXTURES / f"{name}.edi").read_bytes())
    for name in ("850_store_order", "855_partial_ship", "856_pick_and_pack", "856_items_hold_their_packs")
]
ORDER = SLICE[0]


@pytest.mark.parametrize("seed", range(10))
def test_every_difference_between_us_and_pyx12_has_a_name(seed):
    found = [outcome(SLICE[number % len(SLICE)], f"slice-{number}") for number in range(seed, 400, 10)]
    assert [(one.source, one.mutation, one.seed, one.wrong) for one in found if one.wrong] == []


def test_the_same_seed_does_the_same_damage():
    assert mutated(ORDER.data, "7") == mutated(ORDER.data, "7")
    assert len({mutated(ORDER.data, str(seed)) for seed in range(50)}) > 40


def test_a_difference_without_a_name_is_told(monkeypatch):
    monkeypatch.setattr(defects, "REFUSALS", ())
    found = [outcome(ORDER, str(seed)) for seed in range(40)]
    assert any("explained by nothing" in line for one in found for line in one.wrong)


def test_an_exception_of_our_engine_is_told(monkeypatch):
    def fail(_data):
        raise LookupError("no such thing")

    monkeypatch.setattr(verdicts, "read", fail)
    assert "LookupError: no such thing" in outcome(ORDER, "1").wrong[0]


def test_an_answer_with_a_fault_is_told(monkeypatch):
    monkeypatch.setattr(verdicts, "acknowledge", lambda *_: ORDER.data.replace(b"SE*", b"SE*9"))
    assert any("our acknowledgment has a fault" in line for line in outcome(ORDER, "1").wrong)
