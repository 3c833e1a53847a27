"""The soak: the whole gateway as real processes, between suppliers, an ERP, a database and a broker that fail by plan.

Load and faults run together; then everything is healed, the gateway drains, and what all sides wrote down is judged. What is
reported are faults that met work in flight: a fault that met nothing shows nothing.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import sqlite3
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx

from tests.faults import brokers, poison, verdict
from tests.faults.databases import Database, PostgreSQL, Sqlite
from tests.faults.disks import SmallDisk
from tests.faults.documents import order
from tests.faults.launch import Launcher
from tests.faults.network import Mode, Proxy, Switchboard
from tests.faults.plan import NUMBERS, Fault, Plan, Size, Supplier, draw
from tests.faults.programs import HarnessError, Program, free_port, is_listening, until, write_whole

LEASE_S: Final = 3.0
ERP_MEAN_S: Final = 0.02  #: an ERP is never instant, and faults need something to meet
_OUTAGE_S: Final = 4.0  #: of the ERP, of a partner's server, of the line to the broker
_AWAY_S: Final = 15.0  #: after a crash, until a program that starts finds its database in order
_AWAKE_S: Final = 2.0  #: after a pause, until what was under way has come to its end
_FIRES_WITHIN_S: Final = 3.0  #: so long a fault waits for a process that holds work
_SETTLED_S: Final = 5.0
_TICK_S: Final = 0.05
_HANDS: Final = 4  #: of each process; there are two cores
_MOST_RSS_MB: Final = 400  #: of one process, whatever it was sent
_BEATS_S: Final = 10.0  #: twice as long as a part of a process says nothing when all is well
_WARM_S: Final = 20.0  #: of a life: by then everything has been done once
_LONG_LIFE_S: Final = 50.0  #: the life of a process that tells whether it grows
_MOST_GROWTH: Final = 1.1
_KB_A_MESSAGE: Final = 128  #: of raw bytes, four times what it takes
_STALLED_S: Final = 90.0  #: when nothing has moved for so long, nothing will
_MOST_BEGUN: Final = 60  #: messages whose senders have no answer yet
_MOST_OPEN: Final = 150  #: deliveries that are open
_SLOW_S: Final = 4.5  #: an answer of the ERP that outlasts the lease

#: What the ERP does to so much of what it is asked; on top of it come outages.
ERP_FAULTS: Final = {
    "error_500": 0.06,
    "lose_answer": 0.04,
    "garbage": 0.015,
    "busy_429": 0.02,
    "late_500": 0.01,
    "slow": 0.004,
}
#: To reads, which change nothing, less of it.
_READS: Final = ["changes", "load", "settle", "find"]
_READ_SHARE: Final = 0.02

_OWNER: Final = re.compile(r":(\d+):")
_FENCED: Final = re.compile("is no longer ours|is somebody else's by now")
_LOCKED: Final = re.compile("database is locked")
#: Everything still open but dead letters, and what waits for its order; timers turn for ever.
_OPEN: Final = (
    "SELECT (SELECT count(*) FROM gateway_queueentry WHERE state <> 'dead' AND kind <> 'timer')"
    " + (SELECT count(*) FROM gateway_document WHERE state = 'parked')"
)
_BEATS: Final = "SELECT name, at FROM gateway_heartbeat"
_PARTS: Final = {"web": ("web",), "worker": ("worker",), "timers": ("worker",), "up": ("web", "worker")}
_HELD: Final = "SELECT owner, kind FROM gateway_queueentry WHERE state = 'sending'"
#: Work that reaches outside: of a process that sleeps through its lease only these results can come too late. The other
#: kinds keep their row locked while they work.
_OUTSIDE: Final = frozenset({"erp", "partner", "receipt"})
_EVERY: Final = frozenset({"translate", "apply", *_OUTSIDE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    on: str  #: "sqlite" or "postgresql"
    broker: str  #: "none", "redis" or "amqp"
    size: Size
    seed: int
    mutant: str = ""
    stalled_s: float = _STALLED_S
    keep: Path | None = None  #: where the journals of the run stay; None: of a red one only, in a folder that is named


@dataclass
class Report:
    """One run, for people and programs."""

    outcome: verdict.Outcome
    facts: dict[str, Any]
    checks: list[verdict.Check]
    kept: Path | None = None

    def as_json(self) -> str:
        checks = {check.name: {"looked_at": check.looked_at, "broken": len(check.broken)} for check in self.checks}
        return json.dumps({"outcome": self.outcome, **self.facts, "invariants": checks})

    def table(self) -> Iterator[str]:
        for check in self.checks:
            yield f"  {check.name:4} {'broken' if check.broken else 'holds':7} {check.looked_at:>7}  {check.says}"
            yield from (f"         {line[:200]}" for line in check.broken[:8])
            if len(check.broken) > 8:
                yield f"         … and {len(check.broken) - 8} more"
        for reason in self.facts["void"]:
            yield f"  void: {reason}"
        if self.kept:
            yield f"  journals in {self.kept}"
        yield f"  {self.outcome}"


class Soak:
    """One run, from an empty folder to a verdict."""

    def __init__(self, options: Options, *, say: Callable[[str], None]) -> None:
        self._o, self._say = options, say
        self._folder = Path(tempfile.mkdtemp(prefix="soak-"))
        self._chance = random.Random(options.seed)
        self._fired: Counter[str] = Counter()
        self._met: Counter[str] = Counter()
        self._counted_at, self._open_now = 0.0, 0
        self._stood_still_s: defaultdict[str, float] = defaultdict(float)  #: the plan's clock, by why
        self._crashed_at = -_AWAY_S  #: monotonic: when the database did, the last time
        self._heal_at: list[tuple[float, Callable[[], None]]] = []

    def run(self) -> Report:
        """Raises HarnessError when the harness itself fails: that is no verdict."""
        with ExitStack() as self._stack:
            self._build()
            plan = draw(
                self._o.seed,
                self._o.size,
                crashable=isinstance(self._database, PostgreSQL),
                strikable=bool(self._broker.faults),
                fillable=self._disk is not None,
            )
            self._announce(plan)
            self._start(plan)
            self._load(plan)
            drained = self._drain()
            report = self._judge(plan, drained)
        self._clean_up(report)
        return report

    # -- building up

    def _build(self) -> None:
        folder = self._folder
        self._switchboard = Switchboard()
        self._stack.callback(self._switchboard.close)
        self._disk: SmallDisk | None = None
        if self._o.size.full_disks:
            try:
                self._disk = SmallDisk(
                    folder / "blobs", megabytes=max(64, self._o.size.messages * _KB_A_MESSAGE // 1024)
                )
                self._stack.callback(self._disk.close)
            except HarnessError as why:
                self._say(f"skipped: a full disk ({why})")
        self._database: Database = Sqlite(folder) if self._o.on == "sqlite" else PostgreSQL()
        self._stack.callback(self._database.close)
        self._broker = brokers.make(self._o.broker, folder, self._switchboard)
        self._stack.callback(self._broker.close)
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("GATEWAY_", "DATABASE_"))},
            **self._database.environment,
            **self._broker.environment,
            "DJANGO_SETTINGS_MODULE": "tests.faults.settings",
            "FAULTS_LEASE_S": str(LEASE_S),
            "GATEWAY_DATA_DIR": str(folder),
            "GATEWAY_ERP_POLL_S": "0.5",
            "GATEWAY_POLL_S": "1" if self._o.broker == "none" else "2",
            "GATEWAY_HANDS": str(_HANDS),
            "GATEWAY_POISON_AFTER": "8",  # kills, pauses and crashes are not the fault of the row they meet
            "GATEWAY_REQUESTS_PER_MINUTE": "1000000",
            # A call whose process was killed counts until its lease ends, and a process is killed every two seconds.
            "GATEWAY_ERP_CALLS_AT_ONCE": "8",
            "GATEWAY_SENDS_AT_ONCE": "4",
            "GATEWAY_LOG_LEVEL": "WARNING",
            "GATEWAY_LOG_FORMAT": "line",
        }
        self._launcher = self._launch()
        self._programs = self._gateway_programs()
        self._door = self._switchboard.proxy([program.port for program in self._programs if program.port])
        self._others()

    def _launch(self, mutant: str = "") -> Launcher:
        launcher = Launcher(self._environment, log=self._folder / "launch.log", mutant=mutant)
        self._stack.callback(launcher.close)
        return launcher

    def _gateway_programs(self) -> list[Program]:
        launcher = self._launcher
        if self._o.mutant:
            # The bug goes into the gateway only: what judges it must be as it is.
            launcher = self._launch(self._o.mutant)

        def program(name: str, role: str, *arguments: str, port: int = 0) -> Program:
            listening = ["--port", str(port)] if port else []
            log = self._folder / f"{name}.log"
            command = ["manage.py", *arguments, *listening]
            return Program(name, role, command, self._environment, log, port, begin=launcher.start)

        # Timers come last in a worker that has other work: the orders of the ERP would wait behind what waits for them.
        timers = program("timers", "timers", "worker", "--queues", "timer", "--hands", "2")
        if self._o.on == "sqlite":
            return [
                program("up", "up", "up", "--no-migrate", port=free_port()),
                program("worker", "worker", "worker"),
                timers,
            ]
        size = self._o.size
        # The last of each is not killed.
        webs = [program(f"web-{number}", "web", "web", port=free_port()) for number in range(1, size.webs + 1)]
        workers = [program(f"worker-{number}", "worker", "worker") for number in range(1, size.workers + 1)]
        for several in (webs, workers):
            several[-1].spared = len(several) > 1
        return [*webs, *workers, timers]

    def _others(self) -> None:
        """The ERP and the suppliers, as programs of their own, each behind a line of the harness."""
        folder, erp_port = self._folder, free_port()
        self._erp_program = self._other(
            "erp", ["manage.py", "reference_erp", "--database", str(folder / "erp.sqlite3"), "--port", str(erp_port)]
        )
        self._erp_program.start()
        until(lambda: is_listening(erp_port), "the reference ERP")
        token = (folder / "erp.sqlite3.token").read_text().strip()
        self._erp_line = self._switchboard.proxy([erp_port], delay_s=ERP_MEAN_S, seed=self._o.seed)
        self._erp = httpx.Client(
            base_url=f"http://127.0.0.1:{erp_port}",
            headers={"Authorization": f"Bearer {token}"},
            timeout=30,
            trust_env=False,
        )
        self._stack.callback(self._erp.close)
        self._supplier_lines: dict[str, Proxy] = {}
        on_as2 = {}
        for code, mdn in ((Supplier.AS2.value, "sync"), (Supplier.AS2_ASYNC.value, "async")):
            port = free_port()
            line = self._supplier_lines[code] = self._switchboard.proxy([port])
            on_as2[code] = {
                "as2_name": f"{code}-AS2",
                "isa": f"{code}EDI",
                "port": port,
                "url": f"http://127.0.0.1:{line.port}/as2",
                "mdn": mdn,
                "receipt_address": f"http://127.0.0.1:{line.port}/receipts",
                "key": f"{code}.key",
                "certificate": f"{code}.pem",
            }
        facts = {"erp_url": f"http://127.0.0.1:{self._erp_line.port}", "erp_token": token, "suppliers": on_as2}
        (folder / "world.json").write_text(json.dumps(facts))
        api_key = self._launcher.run(["-m", "tests.faults.world", str(folder)], log=folder / "world.log")
        self._config = {
            "suppliers": on_as2,
            "our_certificate": "our.pem",
            "door": self._door.port,
            "api_key": api_key,
            "seed": self._o.seed,
        }
        self._database.watch_terminal_states()
        self._suppliers = self._other("suppliers", ["-m", "tests.faults.suppliers", str(folder / "suppliers.json")])

    def _other(self, name: str, arguments: list[str]) -> Program:
        begin = self._launcher.start if arguments[0] == "manage.py" else None
        program = Program(name, name, arguments, self._environment, self._folder / f"{name}.log", begin=begin)
        self._stack.callback(program.kill)
        return program

    def _announce(self, plan: Plan) -> None:
        counts = Counter(fault.kind for fault in plan.faults)
        self._say(
            f"soak: seed {plan.seed}, {len(plan.messages)} messages to come and {len(plan.releases)} orders in "
            f"{plan.lasts_s:.0f} s on {self._o.on}, broker {self._broker.name}; "
            f"lease {LEASE_S:g} s, schedules in seconds; load average {os.getloadavg()[0]:.2f}"
            + (f"; mutant {self._o.mutant}" if self._o.mutant else "")
        )
        self._say("  faults: " + ", ".join(f"{count} × {kind}" for kind, count in sorted(counts.items())))
        self._say("  schedule: " + " ".join(f"{fault.at_s:.1f}:{fault.kind}" for fault in plan.faults))

    def _start(self, plan: Plan) -> None:
        self._config["messages"] = [
            {name: getattr(message, name) for name in ("at_s", "kind", "number", "supplier", "repeats", "control")}
            for message in plan.messages
        ]
        (self._folder / "suppliers.json").write_text(json.dumps(self._config))
        self._suppliers.start()
        for program in self._programs:
            self._stack.callback(program.kill)
            program.start()
        until(
            lambda: all(is_listening(program.port) for program in self._programs if program.port), "the gateway's door"
        )
        until((self._folder / "suppliers.ready").exists, "the suppliers' messages", within_s=300)
        self._set_erp_faults()

    def _all_programs(self) -> list[Program]:
        return [*self._programs, self._erp_program, self._suppliers]

    # -- load and faults

    def _load(self, plan: Plan) -> None:
        """Play the plan. Its clock stands still while the gateway is behind, so that the load outlasts the faults anywhere."""
        releases, faults = list(plan.releases), list(plan.faults)
        began = last = time.monotonic()
        clock_s = 0.0
        next_look, overdue_since = 20.0, 0.0
        moved, progress = began, (0, 0)
        while True:
            now = time.monotonic()
            standing = self._standing()
            overdue = bool(faults) and faults[0].at_s <= clock_s
            if why := "a fault that waits for work" if overdue else self._behind(standing):
                self._stood_still_s[why] += now - last
            else:
                clock_s += min(now - last, 0.25)
                write_whole(self._folder / "clock", f"{clock_s:.3f}")
            last = now
            while releases and releases[0].at_s <= clock_s:
                one = releases.pop(0)
                self._erp.post("/admin/release", json=order(one.number, NUMBERS[one.supplier])).raise_for_status()
            if overdue:
                overdue_since = overdue_since or now
                if self._fire(faults[0], patient=now - overdue_since < _FIRES_WITHIN_S):
                    faults.pop(0)
                    overdue_since = 0.0
            self._tend()
            if not self._suppliers.is_running:
                raise HarnessError("the suppliers' program has ended; see suppliers.log")
            if now - began > next_look:
                next_look += 10.0
                self._note_memory()
            if not releases and not faults and not standing["unpromised"] and not standing["left"]:
                break
            if progress != (standing["unpromised"], len(faults)):
                moved, progress = now, (standing["unpromised"], len(faults))
            if now - moved > self._o.stalled_s:
                self._say(f"  nothing moves any more: {standing}, {len(faults)} faults to come")
                break
            time.sleep(_TICK_S)
        self._load_s = time.monotonic() - began

    def _behind(self, standing: dict[str, Any]) -> str:
        """What waits for the gateway more than it should have at a time; empty: nothing does."""
        now = time.monotonic()
        if now > self._counted_at + 0.5:
            self._counted_at = now
            with suppress(HarnessError):
                self._open_now = int(self._database.query(_OPEN)[0][0])
        if int(standing["begun"]) > _MOST_BEGUN:
            return "senders without an answer"
        return "open deliveries" if self._open_now > _MOST_OPEN else ""

    def _tend(self) -> None:
        """Wake what was paused long enough, start what has ended, mend what was cut long enough."""
        now = time.monotonic()
        for program in self._programs:
            if program.paused_until and program.paused_until <= now:
                program.resume()
            if (code := program.has_ended()) is not None:
                if now - program.started_at < _AWAY_S and now - self._crashed_at < _AWAY_S:
                    # It began while its database was away and says so: whoever supervises it starts it again.
                    self._fired["start without a database"] += 1
                elif code == poison.EXIT:
                    self._met["deaths of poison"] += 1
                else:
                    program.ends.append(code)
                program.start()
        due = [heal for at, heal in self._heal_at if at <= now]
        self._heal_at = [(at, heal) for at, heal in self._heal_at if at > now]
        for heal in due:
            heal()

    def _standing(self) -> dict[str, Any]:
        try:
            standing: dict[str, Any] = json.loads((self._folder / "standing.json").read_text())
        except FileNotFoundError:
            standing = {"unpromised": 1, "begun": 0, "left": 1}
        return standing

    def _fire(self, fault: Fault, *, patient: bool) -> bool:
        """Let it happen, at best while it meets work; False: not yet."""
        strike = {
            "kill": self._kill,
            "pause": self._pause,
            "crash": self._crash,
            "cut": self._cut,
            "strike": self._strike,
            "erp_outage": self._erp_outage,
            "partner_outage": self._partner_outage,
            "full_disk": self._full_disk,
        }[fault.kind]
        met = strike(patient)
        if met is None:
            return False
        self._fired[fault.kind] += 1
        self._met[fault.kind] += met
        return True

    def _target(
        self, roles: set[str], patient: bool, kinds: frozenset[str] = _EVERY, *, to_kill: bool = False
    ) -> tuple[Program, bool] | None:
        """A running process of these roles, at best one that holds work, and whether it does; None: wait for one that does."""
        able = [one for one in self._programs if one.role in roles and one.is_running and not self._sleeps(one)]
        if to_kill:
            able = [one for one in able if not one.spared]
        self._chance.shuffle(able)
        holders = self._holders(kinds)
        for program in able:
            if program.pid in holders or (kinds is _EVERY and self._door.waiting.get(program.port, 0) > 0):
                return program, True
        # Who has just been started gets a chance to take something on first.
        settled = [one for one in able if time.monotonic() - one.started_at > _SETTLED_S]
        return None if patient or not settled else (settled[0], False)

    @staticmethod
    def _sleeps(program: Program) -> bool:
        """Whether it is paused, or has just been, so that its late results are still to come: no fault may hide another."""
        return bool(program.paused_until) or time.monotonic() - program.resumed_at < _AWAKE_S

    def _holders(self, kinds: frozenset[str] = _EVERY) -> set[int]:
        """Processes that hold a claim of these kinds at this moment."""
        try:
            owners = [str(owner) for owner, kind in self._database.query(_HELD) if kind in kinds]
        except HarnessError:
            return set()
        return {int(found[1]) for owner in owners if (found := _OWNER.search(owner))}

    def _kill(self, patient: bool) -> bool | None:
        if (found := self._target({"web", "worker", "up"}, patient, to_kill=True)) is None:
            return None
        program, _asked = found
        pid, answering = program.pid, self._door.waiting.get(program.port, 0) > 0
        program.kill()
        # What it held stays its own until the lease ends: now nothing of that can end any more.
        met = answering or pid in self._holders()
        self._fired[f"kill of {program.role}"] += met
        program.start()
        return met

    def _pause(self, patient: bool) -> bool | None:
        if (found := self._target({"worker", "up"}, patient, _OUTSIDE)) is None:
            return None
        program, _asked = found
        pause_s = LEASE_S * self._chance.uniform(1.5, 2.0)
        fenced = _count(program.log, _FENCED)
        program.pause(pause_s)
        met = program.pid in self._holders(_OUTSIDE)
        if patient and not met:
            program.resume()  # what it held was over before it stopped
            program.resumed_at = 0.0
            return None

        def look() -> None:
            self._met["late results fenced off after a pause"] += _count(program.log, _FENCED) - fenced

        self._heal_at.append((time.monotonic() + pause_s + _AWAKE_S, look))
        return met

    def _crash(self, patient: bool) -> bool | None:
        if any(self._sleeps(program) for program in self._programs):
            return None  # it would cut the line on which a late result is to come
        met = bool(self._holders()) or any(self._door.waiting.values())
        if patient and not met:
            return None
        self._crashed_at = time.monotonic()
        self._database.crash()
        return met

    def _cut(self, patient: bool) -> bool | None:
        self._crashed_at = time.monotonic()  # to a program that starts it is one
        try:
            met = self._database.terminate_backend()
        except HarnessError:
            met = False
        return None if patient and not met else met

    def _strike(self, patient: bool) -> bool | None:
        fault = self._broker.faults[self._fired["strike"] % len(self._broker.faults)]
        self._broker.strike(fault)
        if fault in {"half_open", "cut"}:
            self._heal_at.append((time.monotonic() + _OUTAGE_S, self._broker.heal))
        self._fired[f"strike: {fault}"] += 1
        return True

    def _erp_outage(self, patient: bool) -> bool | None:
        self._erp_line.switch(Mode.REFUSE)
        turned_away = self._erp_line.turned_away

        def heal() -> None:
            self._erp_line.switch(Mode.PASS)
            self._met["calls during an ERP outage"] += self._erp_line.turned_away - turned_away

        self._heal_at.append((time.monotonic() + _OUTAGE_S, heal))
        return True

    def _partner_outage(self, patient: bool) -> bool | None:
        line = self._supplier_lines[self._chance.choice(sorted(self._supplier_lines))]
        line.switch(Mode.REFUSE)
        self._heal_at.append((time.monotonic() + _OUTAGE_S, lambda: line.switch(Mode.PASS)))
        return True

    def _full_disk(self, patient: bool) -> bool | None:
        if self._disk is None:
            raise HarnessError("there is no disk that could be full")
        self._disk.fill()
        self._heal_at.append((time.monotonic() + _OUTAGE_S, self._disk.empty))
        return True

    def _set_erp_faults(self) -> None:
        # Dice of its own for each: the same ones would let what is rarer never happen.
        for place, (kind, share) in enumerate(ERP_FAULTS.items()):
            self._set_erp_fault(kind, share, ["submit"], self._o.seed + place)
        self._set_erp_fault("error_500", _READ_SHARE, _READS, self._o.seed + len(ERP_FAULTS))

    def _set_erp_fault(self, kind: str, share: float, routes: list[str], seed: int) -> None:
        fault = {"kind": kind, "count": None, "routes": routes, "probability": share, "seed": seed}
        self._erp.post("/admin/faults", json={**fault, "seconds": _SLOW_S if kind == "slow" else 1}).raise_for_status()

    def _note_memory(self) -> None:
        for program in self._programs:
            program.note_memory()

    # -- after the load

    def _drain(self) -> bool:
        """Outages end, the ERP goes on as it is; True when nothing is open any more, False when nothing moves any more."""
        for _at, heal in self._heal_at:
            heal()
        self._heal_at.clear()
        self._broker.heal()
        for program in self._programs:
            if program.paused_until:
                program.resume()
        began = moved = time.monotonic()
        empty, least = 0, 10**9
        while time.monotonic() - moved < self._o.stalled_s:
            self._tend()
            with suppress(HarnessError):
                # Thrice in a row: between a commit and the next one's work there is nothing open for a moment.
                open_now = int(self._database.query(_OPEN)[0][0]) + self._unread_changes()
                empty = empty + 1 if open_now == 0 else 0
                if open_now < least:
                    least, moved = open_now, time.monotonic()
            if empty >= 3:
                break
            time.sleep(0.3)
        self._drain_s = time.monotonic() - began
        return empty >= 3

    def _unread_changes(self) -> int:
        """Orders that were released and that the gateway has not taken in."""
        with closing(sqlite3.connect(self._folder / "erp.sqlite3")) as books:
            return int(books.execute("SELECT count(*) FROM changes WHERE NOT settled").fetchone()[0])

    def _judge(self, plan: Plan, drained: bool) -> Report:
        folder = self._folder
        left = {
            "not drained": int(not drained),
            "messages not promised": int(self._standing()["unpromised"]),
            # The gateway still runs, and its timers have transactions of a moment: only what stays is left.
            "idle in transaction": self._left_of(self._database.idle_in_transaction),
            "locks somebody waits for": self._left_of(self._database.blocked),
            "rings nobody has heard": self._left_of(self._broker.waiting),
            "answers other than asked for": _lines(folder / "odd_answers.jsonl"),
            "parts of processes that say nothing": self._left_of(self._silent, within_s=_BEATS_S),
        }
        for program in self._programs:
            program.note_memory()
            left[f"exit code of {program.name}"] = abs(program.stop())
            left[f"{program.name} ended by itself"] = len(program.ends)
            left[f"{program.name} over {_MOST_RSS_MB} MB"] = int(program.peak_rss_kb > _MOST_RSS_MB * 1024)
            if grown := program.growth(warm_s=_WARM_S, least_s=_LONG_LIFE_S):
                left[f"{program.name} grew from {grown[0]} to {grown[1]} KB"] = int(grown[1] > grown[0] * _MOST_GROWTH)
        left["connections of processes that are gone"] = self._left_of(self._database.connections)
        left["database broken"] = int(self._database.check() != "ok")
        left["database is locked, in the logs"] = self._logged(_LOCKED)
        self._suppliers.stop()
        rows_file = folder / "rows.json"
        self._launcher.run(["-m", "tests.faults.evidence", str(rows_file)], log=folder / "evidence.log", within_s=600)
        rows = json.loads(rows_file.read_text())
        evidence = verdict.Evidence(
            rows=rows,
            promised=_read_lines(folder / "promised.jsonl"),
            planned=[(message.kind, message.number) for message in plan.messages],
            effects=self._erp.get("/admin/effects", timeout=120).json(),
            erp_journal=list(self._erp_journal()),
            received=[
                line
                for code in self._supplier_lines
                for line in _read_lines(folder / f"supplier-{code}" / "journal.jsonl")
            ],
            violations=self._database.query("SELECT name, id, was, became FROM soak_violation"),
            audit=rows["verified"]["audit"],
            left_behind=left,
            orphans=[rows["verified"]["bytes"]] if rows["verified"]["bytes"] else [],
        )
        (folder / "effects.json").write_text(json.dumps(evidence.effects))
        (folder / "erp_journal.json").write_text(json.dumps(evidence.erp_journal))
        checks = verdict.judge(evidence)
        facts = self._facts(plan, evidence)
        return Report(verdict.outcome(checks, facts["void"]), facts, checks)

    def _silent(self) -> int:
        """Web servers and workers without a beat of late, although their processes run."""
        lately = datetime.now(UTC) - timedelta(seconds=_BEATS_S)
        beating = {str(name) for name, at in self._database.query(_BEATS) if _moment(at) > lately}
        parts = {(part, program.pid) for program in self._programs for part in _PARTS[program.role]}
        host = os.uname().nodename
        return sum(f"{part}@{host[:80]}:{pid}" not in beating for part, pid in parts)

    @staticmethod
    def _left_of(count: Callable[[], int], within_s: float = 5.0) -> int:
        """What is left of it when it had time to go."""
        deadline = time.monotonic() + within_s
        while (left := count()) and time.monotonic() < deadline:
            time.sleep(0.1)
        return left

    def _facts(self, plan: Plan, evidence: verdict.Evidence) -> dict[str, Any]:
        size = self._o.size
        erp_faults = Counter(str(line["fault"]) for line in evidence.erp_journal if line["fault"])
        partner_faults = Counter(line["kind"] for line in _read_lines(self._folder / "misbehaved.jsonl"))
        fenced = self._logged(_FENCED)
        process_faults = sum(self._met[kind] for kind in ("kill", "pause", "crash"))
        sent = [
            row for row in evidence.rows["transmissions"] if row["direction"] == "outbound" and row["format"] != "mdn"
        ]
        void = []
        if (messages := len(evidence.promised) + len(sent)) < size.messages:
            void.append(f"{messages} messages, {size.messages} are needed")
        if process_faults < size.least_process_faults:
            void.append(f"{process_faults} process faults met work, {size.least_process_faults} are needed")
        if size.poison and not self._met["deaths of poison"]:
            void.append("documents that kill their reader came, and killed nobody")
        if (met := erp_faults.total()) < size.least_erp_faults:
            void.append(f"{met} calls of the ERP went wrong, {size.least_erp_faults} are needed")
        if self._met["pause"] and not self._met["late results fenced off after a pause"]:
            void.append("processes were paused beyond their lease, and no late result was fenced off")
        return {
            "on": self._o.on,
            "broker": self._broker.name,
            "mutant": self._o.mutant or None,
            "seed": self._o.seed,
            "messages": messages,
            "received": len(evidence.promised),
            "sent": len(sent),
            "orders": len(plan.releases),
            "load_s": round(self._load_s, 1),
            "drain_s": round(self._drain_s, 1),
            "clock_stood_still_s": {why: round(seconds, 1) for why, seconds in self._stood_still_s.items()},
            "fired": dict(self._fired),
            "met_work": dict(self._met),
            "process_faults_met_work": process_faults,
            "erp_faults_met_work": dict(erp_faults),
            "partner_faults": dict(partner_faults),
            "results_fenced_off": fenced,
            "tries_crashed": sum(event["name"] == "delivery.crashed" for event in evidence.rows["ends"]),
            "open_cases": dict(Counter(case["reason"] for case in evidence.rows["cases"])),
            "answers": self._standing().get("tries", {}),
            "accept_to_erp_s": _spread(_latencies(evidence)),
            "cpu_s": {
                **{program.name: round(program.cpu_until_now_s(), 1) for program in self._all_programs()},
                "database": round(self._database.cpu_s(), 1),
            },
            "rss_mb": {program.name: program.peak_rss_kb // 1024 for program in self._programs},
            "rss_kb_warm_and_last": {
                program.name: program.growth(warm_s=_WARM_S, least_s=_LONG_LIFE_S) for program in self._programs
            },
            "load_average": round(os.getloadavg()[0], 2),
            "void": void,
        }

    def _erp_journal(self) -> Iterator[dict[str, Any]]:
        after = 0
        while page := self._erp.get("/admin/journal", params={"after": after}, timeout=60).json():
            yield from page
            after = page[-1]["id"]

    def _logged(self, words: re.Pattern[str]) -> int:
        return sum(_count(program.log, words) for program in self._programs)

    def _clean_up(self, report: Report) -> None:
        kept = self._o.keep
        if kept is not None:
            shutil.copytree(self._folder, kept, dirs_exist_ok=True)
        elif report.outcome is verdict.Outcome.RED:
            report.kept = self._folder
            return
        report.kept = kept
        shutil.rmtree(self._folder, ignore_errors=True)


def _latencies(evidence: verdict.Evidence) -> list[float]:
    """Seconds from the moment a message was accepted to its effect in the ERP; of those that waited for no order."""
    applied: dict[str, datetime] = {}
    for line in evidence.erp_journal:
        if str(line["outcome"]).startswith("201"):
            applied.setdefault(line["key"], datetime.fromisoformat(line["at"]))
    accepted = {
        row["id"]: datetime.fromisoformat(row["at"]) for row in evidence.rows["transmissions"] if not row["was_parked"]
    }
    came = {row["id"]: row["transmission"] for row in evidence.rows["documents"]}
    return [
        (applied[row["key"]] - accepted[came[row["document"]]]).total_seconds()
        for row in evidence.rows["deliveries"]
        if row["kind"] == "erp" and row["key"] in applied and came.get(row["document"]) in accepted
    ]


def _moment(at: datetime | str) -> datetime:
    """As a database gives it."""
    return datetime.fromisoformat(at).replace(tzinfo=UTC) if isinstance(at, str) else at


def _spread(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    return (
        {name: round(ordered[int(share * (len(ordered) - 1))], 2) for name, share in shares.items()} if ordered else {}
    )


def _read_lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def _count(log: Path, words: re.Pattern[str]) -> int:
    """Lines of a log with these words; timers turn again anyway and do not count."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return sum("timer" not in line and words.search(line) is not None for line in lines)


def _lines(file: Path) -> int:
    return len(_read_lines(file))


def soak(options: Options) -> Report:
    """Run it and print what a reader needs."""

    def say(line: str) -> None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    report = Soak(options, say=say).run()
    for line in report.table():
        say(line)
    say(report.as_json())
    return report
