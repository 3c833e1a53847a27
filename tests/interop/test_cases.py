"""The list of rows leaves nothing out: counted against every combination there is."""

from __future__ import annotations

from itertools import combinations, product

import pytest

from tests.interop import pairwise
from tests.interop.cases import CAPABILITIES, CASES, PARAMETERS, possible

ROWS = [{name: getattr(case, name) for name in PARAMETERS} for case in CASES]


def test_every_two_values_that_can_meet_do_meet_in_a_row() -> None:
    every = (dict(zip(PARAMETERS, values, strict=True)) for values in product(*PARAMETERS.values()))
    feasible = {pair for row in every if possible(row) for pair in combinations(row.items(), 2)}
    assert feasible - {pair for row in ROWS for pair in combinations(row.items(), 2)} == set()


@pytest.mark.parametrize("route", [route for route in PARAMETERS["route"] if not route.startswith("openssl")])
def test_every_peer_has_the_usual_exchange_with_each_signed_receipt(route: str) -> None:
    receipts = {row["receipt"] for row in ROWS if (row["route"], row["protection"]) == (route, "both")}
    assert receipts >= {"signed", "async"}


def test_no_row_asks_a_peer_for_what_it_cannot_do() -> None:
    assert [row for row in ROWS if row["size"] in PARAMETERS["size"] and not possible(row)] == []
    assert set(CAPABILITIES) == set(PARAMETERS["route"])


def test_rows_have_names_of_their_own() -> None:
    assert len({case.id for case in CASES}) == len(CASES)


def test_what_can_never_meet_is_left_out_and_costs_no_row() -> None:
    parameters = {"a": ("1", "2"), "b": ("1", "2"), "c": ("1", "2")}
    rows = pairwise.rows(parameters, lambda row: (row.get("a"), row.get("b")) != ("1", "1"))
    assert {(row["a"], row["b"]) for row in rows} == {("1", "2"), ("2", "1"), ("2", "2")}
    assert len(rows) < 2 * 2 * 2 - 2


def test_three_values_meet_where_that_is_asked_for() -> None:
    parameters = {"a": ("1", "2"), "b": ("1", "2"), "c": ("1", "2")}
    more = [{"a": a, "b": "2", "c": "2"} for a in ("1", "2")]
    rows = pairwise.rows(parameters, lambda row: True, more)
    assert all(meeting in rows for meeting in more)
