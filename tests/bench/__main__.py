"""``python -m tests.bench [PREFIX]``: run the benches whose name starts so and print a JSON object a line.

The first line tells how fast and how busy the machine is at that moment; figures of different runs compare by it.
"""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from itertools import chain
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.bench import as2, as2_door, end_to_end, gateway, x12
from tests.bench.measure import Bench, Void, cpu_s, rounded

BENCHES: Final[dict[str, Bench]] = {
    **x12.BENCHES,
    **as2.BENCHES,
    **as2_door.BENCHES,
    **gateway.BENCHES,
    **end_to_end.benches(),
}
_STEPS: Final = 100_000


def calibration() -> str:
    """One line about the machine."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    signing, stepping = cpu_s(lambda: key.sign(b"calibration", padding.PKCS1v15(), hashes.SHA256()), _steps)
    facts = {
        "bench": "calibration",
        "value": rounded(1 / signing),
        "unit": "RSA-2048 signatures/s",
        "python_steps_per_s": rounded(_STEPS / stepping),
        "load_average": rounded(os.getloadavg()[0]),
        "cores": os.cpu_count(),
    }
    return json.dumps(facts)


def _steps() -> int:
    total = 0
    for step in range(_STEPS):
        total += step & 7
    return total


def lines(prefix: str) -> Iterator[str]:
    """A line for each result of the benches whose name starts with ``prefix``.

    Raises:
        Void: at the end, when a bench gave no figure; says which and why.
    """
    void = []
    for name, bench in BENCHES.items():
        if name.startswith(prefix):
            try:
                yield from (result.line() for result in bench())
            except Void as why:
                void.append(f"{name}: {why}")
    if void:
        raise Void("\n".join(void))


def main() -> None:
    parser = ArgumentParser(prog="python -m tests.bench", description="Measure, a JSON object a line.")
    parser.add_argument("prefix", nargs="?", default="", help=f"start of the names to run: {', '.join(BENCHES)}")
    prefix = parser.parse_args().prefix
    if not any(name.startswith(prefix) for name in BENCHES):
        parser.error(f"no name starts with {prefix!r}; there are {', '.join(BENCHES)}")
    try:
        for line in chain([calibration()], lines(prefix)):
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
    except Void as why:
        sys.exit(f"void: {why}")


if __name__ == "__main__":
    main()
