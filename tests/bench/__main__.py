"""``python -m tests.bench [PREFIX]``: run the benches whose name starts so and print a JSON object a line.

The first line tells how fast and how busy the machine is at that moment; figures of different runs compare by it.
"""

from __future__ import annotations

import signal
import sys
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from typing import Final

from tests.bench import as2, as2_door, calibration, end_to_end, gateway, growth, queue_claim, x12
from tests.bench.measure import Bench, Void

BENCHES: Final[dict[str, Bench]] = {
    **x12.BENCHES,
    **as2.BENCHES,
    **as2_door.BENCHES,
    **gateway.BENCHES,
    **end_to_end.benches(),
    **queue_claim.BENCHES,
    **growth.BENCHES,
}
#: Starts of the names of benches that measure load.
_LOAD: Final = ("as2.door", "as2.slow", "e2e.", "queue.", "growth.")


def lines(prefix: str, benches: Mapping[str, Bench]) -> Iterator[str]:
    """A line for each result of the benches whose name starts with ``prefix``, behind one about the machine.

    Raises:
        Void: at the end, when a bench gave no figure; says which and why.
    """
    chosen = {name: bench for name, bench in benches.items() if name.startswith(prefix)}
    yield calibration.line(load=any(name.startswith(_LOAD) for name in chosen))
    void = []
    for name, bench in chosen.items():
        try:
            yield from (result.line() for result in bench())
        except Void as why:
            void.append(f"{name}: {why}")
    if void:
        raise Void("\n".join(void))


def main() -> None:
    parser = ArgumentParser(prog="python -m tests.bench", description="Measure, a JSON object a line.")
    parser.add_argument("prefix", nargs="?", default="", help=f"start of the names to run: {', '.join(BENCHES)}")
    parser.add_argument("--minutes", type=float, help="how long e2e.as2_to_erp keeps up its rate (default: seconds)")
    asked = parser.parse_args()
    prefix, benches = asked.prefix, {**BENCHES, **(end_to_end.benches(asked.minutes) if asked.minutes else {})}
    if not any(name.startswith(prefix) for name in BENCHES):
        parser.error(f"no name starts with {prefix!r}; there are {', '.join(BENCHES)}")
    try:
        for line in lines(prefix, benches):
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
    except Void as why:
        sys.exit(f"void: {why}")


if __name__ == "__main__":
    # So that whatever was started ends too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    main()
