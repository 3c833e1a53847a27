"""``python -m tests.faults.crash_points``: die at every commit and every call, one after the other, and lose nothing.

No place in the gateway knows of this. A doomed process counts its commits, its writes outside transactions, the requests it
sends, the answers it gives, the files it names and its rings, and ends itself with ``os._exit(137)`` right before or right after the chosen one. A
healthy process then finds what it left, and the invariants of ``verdict`` must hold.

What a process does between two points touches nothing but itself. So dying right before one is dying right after the one before
it, and after a ring is after its commit, unless a point was overlooked; ``--both`` does not rely on that.
"""

from __future__ import annotations

import gc
import inspect
import json
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

import django
import httpcore

from tests.faults.databases import PostgreSQL
from tests.faults.programs import ROOT, HarnessError, free_port

if TYPE_CHECKING:
    from tests.faults.crash_world import Ports, States, Story

KILLED: Final = 137
#: A lease that does not run out while the machine is slow; nothing that a doomed process would say is of interest.
_ENVIRONMENT: Final = {
    "DJANGO_SETTINGS_MODULE": "tests.faults.settings",
    "FAULTS_LEASE_S": "60",
    "GATEWAY_LOG_LEVEL": "CRITICAL",
}
_WRITES: Final = ("INSERT", "UPDATE", "DELETE")
_OURS: Final = (str(ROOT / "gateway"), str(ROOT / "partners"))
#: What others reach the outside through: a point is named after them.
_PLUMBING: Final = (
    "gateway.blob_store",
    "gateway.models",
    "gateway.states",
    "gateway.events",
    "gateway.transports.http",
)


# --------------------------------------------------------------------------------------------------------- points
@dataclass(frozen=True, slots=True)
class Death:
    number: int  #: of the point, from 1
    after: bool  #: else before


@dataclass
class Points:
    """Counts the points of this process, names them, and ends it at one."""

    death: Death | None = None
    names: list[str] = field(default_factory=list)
    modules: set[str] = field(default_factory=set)  #: that began a transaction or wrote
    _seen: int = 0  #: rows that were changed until the last commit
    _counted: int = 0  #: rows that were changed, where the connection itself does not count them
    _rang: bool = False  #: since the last commit

    @contextmanager
    def _point(self, kind: str) -> Iterator[None]:
        self.names.append(f"{kind} in {_place(outermost=kind == 'request') or 'the door'}")
        here = self.death is not None and self.death.number == len(self.names)
        if here and self.death and not self.death.after:
            os._exit(KILLED)
        try:
            yield
        finally:  # what failed, as a call whose answer is lost, has happened too
            if here:
                os._exit(KILLED)

    def watch(self) -> None:
        """From now on, in this process."""
        from django.db import connection, transaction
        from django.db.backends.base.base import BaseDatabaseWrapper

        from gateway import outbox
        from tests.faults import crash_world

        commit, rollback = BaseDatabaseWrapper.commit, BaseDatabaseWrapper.rollback
        request, replace = httpcore.ConnectionPool.handle_request, pathlib.Path.replace
        begin, believe = transaction.Atomic.__enter__, crash_world.believe

        def counted_commit(wrapper: Any) -> None:
            if not changed():
                commit(wrapper)  # a claim that found nothing
                return
            self._rang = False
            with self._point("commit"):
                commit(wrapper)

        def changed() -> bool:
            """Whether rows were changed since this was asked the last time."""
            before, self._seen = self._seen, getattr(connection.connection, "total_changes", self._counted)
            return self._seen != before

        def clean_rollback(wrapper: Any) -> None:
            rollback(wrapper)
            changed()

        def execute(run: Callable[..., Any], statement: str, given: Any, many: bool, context: Mapping[str, Any]) -> Any:
            if not statement.lstrip().upper().startswith(_WRITES):
                return run(statement, given, many, context)
            if not _place():
                result = run(statement, given, many, context)  # the harness itself, e.g. time that passes
                changed()
                return result
            self.modules.add(_module_of_place())
            if connection.in_atomic_block:
                result = run(statement, given, many, context)
                self._counted += max(context["cursor"].rowcount, 0)
                return result
            with self._point("write"):
                result = run(statement, given, many, context)
                changed()
                return result

        def counted_request(pool: Any, asked: Any) -> Any:
            with self._point("request"):
                return request(pool, asked)

        def counted_replace(path: Path, target: Any) -> Path:
            if not Path(target).parent.is_dir():
                return replace(path, target)  # which fails, and comes again
            with self._point("file"):
                return replace(path, target)

        def noted_begin(block: Any) -> None:
            self.modules.add(_module_of_place())
            begin(block)

        def counted_answer(folder: Path, receipt: bytes) -> None:
            with self._point("answer"):
                believe(folder, receipt)

        def ring(queue: str) -> None:
            # More rings after the same commit are the same place.
            if not self._rang:
                self._rang = True
                with self._point("ring"):
                    pass

        for owner, name, instead in (
            (BaseDatabaseWrapper, "commit", counted_commit),
            (BaseDatabaseWrapper, "rollback", clean_rollback),
            (httpcore.ConnectionPool, "handle_request", counted_request),
            (pathlib.Path, "replace", counted_replace),
            (transaction.Atomic, "__enter__", noted_begin),
            (crash_world, "believe", counted_answer),
        ):
            setattr(owner, name, instead)
        connection.execute_wrappers.append(execute)
        outbox.on_due(ring)


def _frames() -> Iterator[FrameType]:
    """The gateway's own frames, from the innermost outwards; of generators and local functions only who runs them."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        code = frame.f_code
        is_own = code.co_filename.startswith(_OURS) and not code.co_flags & inspect.CO_GENERATOR
        if is_own and "<locals>" not in code.co_qualname and not _name(frame).startswith(_PLUMBING):
            yield frame
        frame = frame.f_back


def _name(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _place(*, outermost: bool = False) -> str:
    """Module and function a point is named after; empty: the harness itself does it.

    Args:
        outermost: of the functions of one module that call each other, the one that is called from elsewhere.
    """
    frames = list(_frames())
    if not frames:
        return ""
    chosen = frames[0]
    if outermost:
        for frame in frames:
            if _name(frame) != _name(chosen):
                break
            chosen = frame
    return f"{_name(chosen).partition('.')[2]}.{chosen.f_code.co_qualname}"


def _module_of_place() -> str:
    return next((_name(frame) for frame in _frames()), "")


# ------------------------------------------------------------------------------------------------------------ runs
@dataclass(frozen=True, slots=True)
class Result:
    """One death and what came of it."""

    story: str
    point: str  #: its number and name; empty: nobody died
    after: bool
    broken: list[str]


_NUMBERS: Final = count()


class Lane:
    """Runs one at a time, with other sides at addresses of its own."""

    def __init__(self, states: States) -> None:
        from tests.faults.crash_world import Ports

        self._states, self._number, self._runs = states, next(_NUMBERS), 0
        self.ports = Ports(free_port(), free_port())
        for start in ("released", "ordered"):
            states.moved(start, f"{start}_{self._number}", self.ports)

    def points(self, story: Story, mutant: str = "") -> tuple[list[str], list[str], Result]:
        """The points of a story in which nobody dies, the modules that wrote, and what was broken all the same."""
        folder, _code = self._run(story, None, mutant)
        seen = json.loads((folder / "points.json").read_text())
        alive = Result(story.name, "", False, self._verdict(folder))
        self._states.discard(folder)
        return seen["names"], seen["modules"], alive

    @property
    def results(self) -> Path:
        """Where its process writes what came of its share."""
        return self._states.folder / f"results_{self._number}.jsonl"

    def die(self, story: Story, point: str, death: Death, mutant: str = "") -> Result:
        folder, code = self._run(story, death, mutant)
        broken = self._verdict(folder)
        if code != KILLED:
            broken = [f"the doomed process ended with {code} instead of dying", *broken]
        self._states.discard(folder)
        return Result(story.name, f"{death.number} {point}", death.after, broken)

    def _run(self, story: Story, death: Death | None, mutant: str = "") -> tuple[Path, int]:
        from tests.faults import crash_world

        self._runs += 1
        folder = self._states.fresh(f"{story.start}_{self._number}", f"{story.name}_{self._number}_{self._runs}")
        others = crash_world.Others(folder, self.ports, story)
        try:
            code = crash_world.in_child(lambda: _doomed(folder, story, self.ports, death, mutant))
            crash_world.in_child(lambda: _healthy(folder, story, self.ports, mutant))
        finally:
            others.end()
        return folder, code

    def _verdict(self, folder: Path) -> list[str]:
        found = folder / "broken.json"
        broken: list[str] = json.loads(found.read_text()) if found.exists() else ["the healthy process failed"]
        return broken


def _doomed(folder: Path, story: Story, ports: Ports, death: Death | None, mutant: str) -> None:
    from tests.faults.crash_world import live

    _mutate(mutant)
    points = Points(death)
    points.watch()
    live(folder, story, ports)
    (folder / "points.json").write_text(json.dumps({"names": points.names, "modules": sorted(points.modules)}))


def _healthy(folder: Path, story: Story, ports: Ports, mutant: str) -> None:
    from tests.faults.crash_world import broken, heal

    _mutate(mutant)
    try:
        heal(folder, story, ports)
        found = broken(folder, story)
    except Exception as failed:  # noqa: BLE001  # whatever a crash did to the healthy one is the verdict
        found = [f"{type(failed).__name__}: {failed}"]
    (folder / "broken.json").write_text(json.dumps(found))


def _mutate(mutant: str) -> None:
    if mutant:
        from tests.faults.mutants import MUTANTS

        MUTANTS[mutant].apply()


# ------------------------------------------------------------------------------------------------------------ all
@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    on: str  #: "sqlite" or "postgresql"
    both: bool = False  #: die before each point as well
    lanes: int = 2  #: runs at the same time
    mutant: str = ""
    stories: tuple[str, ...] = ()  #: empty: all
    until_broken: bool = False  #: stop at the first that is


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    points: dict[str, list[str]]  #: of each story
    modules: list[str]  #: that wrote
    results: list[Result]

    @property
    def broken(self) -> list[Result]:
        return [result for result in self.results if result.broken]


def explore(options: Options, states: States) -> Report:
    """Die everywhere."""
    from tests.faults.crash_world import STORIES

    stories = [story for name, story in STORIES.items() if not options.stories or name in options.stories]
    first = Lane(states)
    points, modules, results = {}, set(), []
    for story in stories:
        points[story.name], wrote, alive = first.points(story, options.mutant)
        modules |= set(wrote)
        results.append(alive)
    if any(result.broken for result in results):
        return Report(points=points, modules=sorted(modules), results=results)
    jobs = [
        (story, name, Death(number, after))
        for story in stories
        for number, name in enumerate(points[story.name], 1)
        for after in (False, True)
        # A ring changes nothing that outlasts the process: after it is after the commit it tells of.
        if options.both or number == 1 or (after and not name.startswith("ring"))
    ]
    if options.until_broken:  # where most comes to light comes first
        jobs.sort(key=lambda job: [job[1].startswith(kind) for kind in ("request", "answer", "commit")], reverse=True)
    lanes = [first, *(Lane(states) for _ in range(1, options.lanes))]
    return Report(points=points, modules=sorted(modules), results=_in_lanes(lanes, jobs, options))


def _in_lanes(lanes: list[Lane], jobs: list[tuple[Story, str, Death]], options: Options) -> list[Result]:
    """Each lane in a process of its own, with its share of the jobs."""
    from tests.faults.crash_world import begin, wait_for

    files = [lane.results for lane in lanes]
    found = files[0].with_suffix(".broken")

    def run(lane: Lane, share: list[tuple[Story, str, Death]], file: Path) -> None:
        with file.open("w") as results:
            for story, name, death in share:
                result = lane.die(story, name, death, options.mutant)
                results.write(json.dumps(asdict(result)) + "\n")
                results.flush()
                if result.broken:
                    found.touch()
                if options.until_broken and found.exists():
                    return

    shares = [jobs[number :: len(lanes)] for number in range(len(lanes))]
    children = [begin(partial(run, lane, share, file)) for lane, share, file in zip(lanes, shares, files, strict=True)]
    running = list(children)
    try:
        while running:
            if wait_for(running[0]):
                raise HarnessError("a lane failed")
            running.pop(0)
    finally:
        for child in running:
            with suppress(ProcessLookupError):  # one that failed has been waited for
                os.kill(child, signal.SIGKILL)
    return [Result(**json.loads(line)) for file in files for line in file.read_text().splitlines()]


@contextmanager
def prepared(on: str) -> Iterator[States]:
    """The start states in a folder of their own. Once in a process, which has not read its settings yet.

    Forks follow: this process has one thread and no connection when it is left.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the folder goes, and the server
    folder = Path(tempfile.mkdtemp(prefix="crash-points-"))
    server = PostgreSQL() if on == "postgresql" else None
    database = server.environment if server else {"DATABASE_URL": f"sqlite:///{folder / 'none.sqlite3'}"}
    for name in [name for name in os.environ if name.startswith("GATEWAY_")]:
        del os.environ[
            name
        ]  # whatever the suite runs on: a broker would be a thread, and threads do not survive a fork
    os.environ.update(_ENVIRONMENT, GATEWAY_DATA_DIR=str(folder / "data"), **database)
    try:
        django.setup()
        from tests.faults.crash_world import Files, Server, States

        states = States(folder, Server(server) if server else Files())
        states.build()
        gc.freeze()  # forks share what is there as long as nobody touches it
        yield states
    finally:
        if server:
            server.close()
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    asked = _parser().parse_args()
    began = time.monotonic()
    with prepared(asked.on) as states:
        options = Options(on=asked.on, both=asked.both, lanes=asked.lanes, stories=tuple(asked.story))
        report = explore(options, states)
    for line in table(report):
        sys.stdout.write(f"{line}\n")
    facts = {
        "on": asked.on,
        "points": {story: len(names) for story, names in report.points.items()},
        "deaths": len(report.results),
        "broken": len(report.broken),
        "modules": report.modules,
        "took_s": round(time.monotonic() - began, 1),
    }
    sys.stdout.write(f"{json.dumps(facts)}\n")
    return 1 if report.broken else 0


def table(report: Report) -> Iterator[str]:
    """Every point with what came of dying there."""
    outcomes: dict[tuple[str, str], list[str]] = {}
    for result in report.results:
        word = f"{'after' if result.after else 'before'} {'BROKEN' if result.broken else 'ok'}"
        outcomes.setdefault((result.story, result.point), []).append(word)
    for story, names in report.points.items():
        for number, name in enumerate(names, 1):
            said = ", ".join(sorted(outcomes.get((story, f"{number} {name}"), ["not tried"]), reverse=True))
            yield f"  {story:7} {number:>3}  {name:58} {said}"
    for result in report.broken:
        yield f"{result.story}: {in_words(result)}"
        yield from (f"    {line[:300]}" for line in result.broken[:8])


def in_words(result: Result) -> str:
    """Where it died."""
    return f"died {'after' if result.after else 'before'} {result.point}" if result.point else "lived"


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m tests.faults.crash_points", description=__doc__)
    parser.add_argument("--on", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--both", action="store_true", help="die before each point as well as after it")
    parser.add_argument("--lanes", type=int, default=2, help="deaths at the same time")
    parser.add_argument("--story", action="append", default=[], help="only this one; may be repeated")
    return parser


if __name__ == "__main__":
    sys.exit(main())
