"""Damage documents by the thousand, on all cores, and give what came of each."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Final

from tests.fuzz import defects
from tests.fuzz.mutations import mutated
from tests.fuzz.sources import Source, sources
from tests.fuzz.verdicts import Outcome, broken_promises, judged

#: Documents a process takes at a time.
_CHUNK: Final = 100


def outcome(source: Source, seed: str) -> Outcome:
    """Damage one document and say what both engines make of it. Never raises."""
    mutation, data = mutated(source.data, seed)
    try:
        case = judged(data)
        result = Outcome(source.name, mutation, seed, case.accepted, case.opinion.accepted)
        result.wrong += broken_promises(case)
        if case.accepted != case.opinion.accepted:
            for words, name in defects.explanations(case):
                if name is None:
                    result.wrong.append(f"explained by nothing: {words}")
                elif name not in result.defects:
                    result.defects.append(name)
            if not result.defects and not result.wrong:
                result.wrong.append("the verdicts differ, and neither side says why")
    except Exception:  # noqa: BLE001 - an exception is what this looks for
        return Outcome(source.name, mutation, seed, False, None, [], [traceback.format_exc()])
    return result


_sources: list[Source] = []


def _prepare() -> None:
    _sources[:] = sources()


def _some(seeds: range, seed: int) -> list[Outcome]:
    if not _sources:
        _prepare()
    return [outcome(_sources[number % len(_sources)], f"{seed}-{number}") for number in seeds]


def outcomes(count: int, seed: int, *, processes: int) -> Iterator[Outcome]:
    """The outcomes of mutants 0 to ``count``, in their order."""
    chunks = [range(start, min(start + _CHUNK, count)) for start in range(0, count, _CHUNK)]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_prepare) as pool:
        for some in pool.map(_some, chunks, [seed] * len(chunks)):
            yield from some
