"""``python -m tests.fuzz [--count N] [--seed S]``: damage documents, compare two engines, account for every difference."""

from __future__ import annotations

import os
import sys
import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterable
from typing import Final

from tests.fuzz.defects import ALL
from tests.fuzz.run import outcomes
from tests.fuzz.verdicts import Outcome

#: How many of the things that are wrong are shown.
_SHOWN: Final = 40
_LINES: Final = 5  #: of each


def report(results: Iterable[Outcome], count: int) -> int:
    """Print progress, the defects and how often each was met, and what is wrong; how many outcomes are wrong."""
    tally: Counter[tuple[bool, bool | None]] = Counter()
    hits: Counter[str] = Counter()
    wrong: list[Outcome] = []
    started = time.monotonic()
    for number, result in enumerate(results, start=1):
        tally[result.ours, result.theirs] += 1
        hits.update(result.defects)
        if result.wrong:
            wrong.append(result)
        if number % 1_000 == 0 or number == count:
            _say(f"{number:6d} of {count}, {len(wrong)} wrong, {time.monotonic() - started:.0f} s")
    _say("\nour verdict and that of pyx12:")
    words = {True: "accepted", False: "rejected", None: "no verdict"}
    for (ours, theirs), times in sorted(tally.items(), key=str):
        _say(f"{times:7d}  {words[ours]}, {words[theirs]}")
    _say("\nwhere they differ, by defect:")
    for name, sentence in ALL.items():
        _say(f"{hits[name]:7d}  {name:<4} {sentence}")
    for result in wrong[:_SHOWN]:
        _say(f"\n{result.source} after {result.mutation}, seed {result.seed}:")
        _say("\n".join(f"  {line}" for line in result.wrong[:_LINES]))
    return len(wrong)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    parser = ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=20_000, help="how many damaged documents")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    found = outcomes(arguments.count, arguments.seed, processes=arguments.processes)
    wrong = report(found, arguments.count)
    sys.exit(f"\n{wrong} documents with something wrong" if wrong else 0)


if __name__ == "__main__":
    main()
