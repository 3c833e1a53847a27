"""``python -m tests.faults.walks [--examples N] [--by-chance]``: the state machine, as long as one likes. Exit 0 green, 1 red."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser
from typing import Final

from tests.faults.crash_points import prepared

STEPS: Final = 40


def main() -> int:
    parser = ArgumentParser(prog="python -m tests.faults.walks", description=__doc__)
    parser.add_argument("--examples", type=int, default=150)
    parser.add_argument(
        "--by-chance", action="store_true", help="others in each run; a failing one says how to have it again"
    )
    asked = parser.parse_args()
    with prepared("sqlite") as states:
        from tests.faults.crash_world import in_child
        from tests.faults.state_machine import walk

        began = time.monotonic()
        states.fresh("released", "walks")
        red = in_child(lambda: walk(examples=asked.examples, steps=STEPS, by_chance=asked.by_chance))
    took_s = time.monotonic() - began
    chosen = "by chance" if asked.by_chance else "the same in every run"
    verdict = "RED" if red else "GREEN"
    sys.stdout.write(f"{asked.examples} examples of {STEPS} steps, {chosen}, in {took_s:.0f} s: {verdict}\n")
    return red


if __name__ == "__main__":
    sys.exit(main())
