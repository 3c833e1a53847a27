"""``python -m tests.faults [LAYER]``: prove that nothing is lost and nothing doubled, or show what was.

| layer | what |
|---|---|
| crash-points | dies before and after every commit and every call of three stories, on each database |
| walks | a state machine takes steps in any order |
| soak | real processes under load are killed and cut off: SQLite without a broker, PostgreSQL with one |
| mutants | bugs are put in, and must be caught |

Without a word it runs the first three, on everything this machine has. Exit 0 green, 1 red, 2 void.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from tests.faults import brokers
from tests.faults.databases import binaries
from tests.faults.plan import CI, NIGHTLY, Size
from tests.faults.programs import ROOT, HarnessError
from tests.faults.soak import Options, soak
from tests.faults.verdict import Outcome

_EXIT: Final = {Outcome.GREEN: 0, Outcome.RED: 1, Outcome.VOID: 2}


def main() -> int:
    # So that whatever was started ends too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    asked = _parser().parse_args()
    if asked.layer == "mutants":
        return _mutants(asked)
    codes = [_LAYERS[layer](asked) for layer in ([asked.layer] if asked.layer else _LAYERS)]
    # Red outranks void: something was lost.
    return 1 if 1 in codes else max(codes)


def _crash_points(asked: Namespace) -> int:
    return max(_program("crash_points", "--both", "--on", on) for on, _broker in _settings(asked))


def _walks(asked: Namespace) -> int:
    return _program("walks", *(["--examples", "5000", "--by-chance"] if asked.nightly else []))


def _mutants(asked: Namespace) -> int:
    return _program("mutants", *([asked.mutant] if asked.mutant else []))


def _program(name: str, *arguments: str) -> int:
    """One of the other layers, in a process that has read no settings yet."""
    sys.stdout.flush()
    return 1 if subprocess.run([sys.executable, "-m", f"tests.faults.{name}", *arguments], cwd=ROOT).returncode else 0


def _soak(asked: Namespace) -> int:
    size = NIGHTLY if asked.nightly else CI
    if asked.messages:
        size = _scaled(size, asked.messages)
    codes = []
    for on, broker in _settings(asked):
        options = Options(on=on, broker=broker, size=size, seed=asked.seed, mutant=asked.mutant, keep=asked.keep)
        try:
            codes.append(_EXIT[soak(options).outcome])
        except HarnessError as failed:
            sys.stderr.write(f"the harness failed, which is no verdict: {failed}\n")
            codes.append(2)
    return 1 if 1 in codes else max(codes, default=0)


#: In this order; bugs are put in only when that is asked for.
_LAYERS: Final = {"crash-points": _crash_points, "walks": _walks, "soak": _soak}


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("layer", nargs="?", choices=[*_LAYERS, "mutants"])
    parser.add_argument("--on", choices=["sqlite", "postgresql"], help="default: both, as far as this machine has them")
    parser.add_argument(
        "--broker", choices=["none", "redis", "amqp"], help="default: none on SQLite, else what there is"
    )
    parser.add_argument("--messages", type=int, default=0, help="other than the size says; faults in proportion")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--nightly", action="store_true", help="10,000 messages instead of 2,000")
    parser.add_argument("--mutant", default="", help="put this bug into the gateway first: the run must turn red")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave journals and logs there")
    return parser


def _settings(asked: Namespace) -> Iterator[tuple[str, str]]:
    """Database and broker of each run; what is left out is said."""
    have_pg = binaries() is not None
    for on in [asked.on] if asked.on else ["sqlite", "postgresql"]:
        if on == "postgresql" and not have_pg:
            sys.stdout.write("skipped: PostgreSQL, whose binaries are not here; name their folder with PGBIN\n")
            continue
        broker = asked.broker or ("none" if on == "sqlite" else brokers.best())
        if on == "postgresql" and broker == "none" and not asked.broker:
            sys.stdout.write("no broker on this machine: workers find their work by looking for it\n")
        yield on, broker


def _scaled(size: Size, messages: int) -> Size:
    """The same in small or large: at least one of each fault there is."""
    share = messages / size.messages
    names = ("kills", "pauses", "crashes", "cuts", "strikes", "outages", "full_disks", "poison")
    counts = {name: max(1, round(getattr(size, name) * share)) for name in names if getattr(size, name)}
    bars = {name: round(getattr(size, name) * share) for name in ("least_process_faults", "least_erp_faults")}
    return replace(size, messages=messages, **counts, **bars)


if __name__ == "__main__":
    sys.exit(main())
