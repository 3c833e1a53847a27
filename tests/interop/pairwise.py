"""Rows in which every two values that may meet do meet: all pairs instead of all combinations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import combinations, product

Row = dict[str, str]
#: Values that are to meet in one row.
Meeting = frozenset[tuple[str, str]]


def rows(
    parameters: Mapping[str, Sequence[str]], possible: Callable[[Row], bool], more: Sequence[Mapping[str, str]] = ()
) -> list[Row]:
    """Choose rows greedily until each feasible pair of values is in one; the same rows on every machine.

    Args:
        parameters: name → values.
        possible: is False for a row, or part of one, that cannot be; more values never make it True again.
        more: values that are to meet in one row beyond pairs; what cannot be is left out.
    """
    used: Counter[tuple[str, str]] = Counter()
    every = [
        frozenset(zip(names, values, strict=True))
        for names in combinations(parameters, 2)
        for values in product(*(parameters[name] for name in names))
    ]
    wanted = [*(frozenset(meeting.items()) for meeting in more), *every]
    missing = {meeting: None for meeting in wanted if _completed(dict(meeting), parameters, possible, (), used)}
    out = []
    while missing:
        row = _completed(dict(next(iter(missing))), parameters, possible, missing, used)
        if row is None:
            raise ValueError("what was feasible is so no longer: possible() does not depend on the row alone")
        for meeting in [meeting for meeting in missing if meeting <= row.items()]:
            del missing[meeting]
        used.update(row.items())
        out.append({name: row[name] for name in parameters})
    return out


def _completed(
    row: Row,
    parameters: Mapping[str, Sequence[str]],
    possible: Callable[[Row], bool],
    wanted: Collection[Meeting],
    used: Counter[tuple[str, str]],
) -> Row | None:
    """``row`` with a value for every parameter: at each step the one that brings most pairs, of equals the least used."""
    if not possible(row):
        return None
    name = next((name for name in parameters if name not in row), None)
    if name is None:
        return row

    def merit(value: str) -> tuple[int, int]:
        return sum(frozenset({(name, value), item}) in wanted for item in row.items()), -used[(name, value)]

    for value in sorted(parameters[name], key=merit, reverse=True):
        if (complete := _completed({**row, name: value}, parameters, possible, wanted, used)) is not None:
            return complete
    return None
