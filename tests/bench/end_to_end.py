"""The whole way: an 855 of 20 lines over AS2, signed, encrypted, answered by a signed MDN, and on into the ERP.

``manage.py web`` and ``manage.py worker`` on a PostgreSQL of their own, with a broker. They, the database, the broker, the ERP
and the supplier share the processors of one machine. What counts is what the supplier can prove and what the ERP's books say.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from statistics import fmean, harmonic_mean, linear_regression
from typing import Final

from tests.bench.as2 import link
from tests.bench.company import LINES
from tests.bench.measure import Bench, Result, machine_busy_s, percentile
from tests.bench.senders import Posted, Senders
from tests.bench.site import Gateway, Site, Spent, find_broker, site

WARM_UP: Final = 24  #: posted first and not counted
AT_ONCE: Final = 400  #: posted as fast as they are taken
ROUND: Final = 150  #: the same, where set-ups are compared by turns
ROUNDS: Final = 3
PACED_S: Final = 10.0
PACES: Final = (10, 25)  #: messages/s
SUSTAINED: Final = 40  #: messages/s
SUSTAINED_S: Final = 20.0
_FLAT: Final = 0.02  #: of the messages that come, so many may stay in the queue
_SAMPLE_S: Final = 0.5
#: On SQLite, in one process.
EMBEDDED: Final = 160


@dataclass(frozen=True, slots=True)
class Burst:
    """What became of messages that were posted as fast as they were taken."""

    accepted_per_s: float
    into_erp_per_s: float
    each: Spent  #: for one message
    busy: float  #: share of all processors of the machine, whoever used them


@dataclass(slots=True)
class Depth:
    """How many deliveries were open, and when (s)."""

    at: list[float] = field(default_factory=list)
    waiting: list[int] = field(default_factory=list)

    def slope(self) -> float:
        """Deliveries/s that stay, over the second half: the first fills the pipe."""
        half = len(self.at) // 2
        return linear_regression(self.at[half:], self.waiting[half:]).slope


class Way:
    """A site with its supplier's senders."""

    def __init__(self, found: Site, senders: Senders) -> None:
        self.site, self._senders = found, senders

    def warm_up(self, gateway: Gateway) -> None:
        self._post(gateway, WARM_UP)

    def burst(self, gateway: Gateway, count: int) -> Burst:
        numbers = self.site.take(count)
        self._senders.make(numbers)
        before, busy_s, began = gateway.spent(), machine_busy_s(), time.time()
        posted = self._senders.post(gateway.ports, numbers)
        ended = gateway.wait_for(numbers)
        accepted_s, into_erp_s = max(one.taken_at for one in posted) - began, max(ended.values()) - began
        busy = (machine_busy_s() - busy_s) / (time.time() - began) / (os.cpu_count() or 1)
        return Burst(count / accepted_s, count / into_erp_s, (gateway.spent() - before) / count, busy)

    def paced(self, gateway: Gateway, per_second: float, seconds: float) -> tuple[list[float], list[float], Depth]:
        """Seconds to the MDN and from there to the ERP, of each message; how much was open meanwhile."""
        numbers = self.site.take(round(per_second * seconds))
        self._senders.make(numbers)
        with _watched(gateway) as depth:
            posted = self._senders.post(gateway.ports, numbers, per_second=per_second)
        # A queue that grew is emptied all the same: how much it grew is a figure, too.
        applied = gateway.wait_for(numbers, within_s=120 + 5 * seconds)
        return [one.waited_s for one in posted], _into_erp(posted, applied), depth

    def _post(self, gateway: Gateway, count: int) -> None:
        numbers = self.site.take(count)
        self._senders.make(numbers)
        self._senders.post(gateway.ports, numbers)
        gateway.wait_for(numbers)


def _into_erp(posted: Sequence[Posted], applied: dict[str, float]) -> list[float]:
    return [max(0.0, applied[one.number] - one.taken_at) for one in posted]


@contextmanager
def _watched(gateway: Gateway) -> Iterator[Depth]:
    depth, over = Depth(), threading.Event()

    def look() -> None:
        while not over.wait(_SAMPLE_S):
            depth.at.append(time.monotonic())
            depth.waiting.append(gateway.waiting())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield depth
    finally:
        over.set()
        thread.join()


@contextmanager
def _way(orders: int, *, on_sqlite: bool = False) -> Iterator[Way]:
    with site(orders, on_sqlite=on_sqlite) as found, closing(Senders(link().supplier, LINES)) as senders:
        yield Way(found, senders)


# ---------------------------------------------------------------------------------------------------------- the benches
def as2_to_erp(sustained_s: float = SUSTAINED_S) -> Iterator[Result]:
    """Throughput and cost with work waiting; times at a pace; whether the queue stays flat at the sustained rate."""
    broker = find_broker()
    orders = WARM_UP + AT_ONCE + round(sum(PACES) * PACED_S + SUSTAINED * sustained_s)
    with _way(orders) as way:
        gateway = way.site.gateway("one", broker=broker)
        way.warm_up(gateway)
        burst = way.burst(gateway, AT_ONCE)
        yield from _cost("e2e.as2_to_erp", burst)
        for pace in PACES:
            mdns, into_erp, _ = way.paced(gateway, pace, PACED_S)
            yield from _times(f"e2e.as2_to_erp.{pace}_per_s", mdns, into_erp)
        mdns, into_erp, depth = way.paced(gateway, SUSTAINED, sustained_s)
        name = f"e2e.as2_to_erp.{SUSTAINED}_per_s"
        yield from _times(name, mdns, into_erp)
        yield Result(bench=f"{name}.most_waiting", value=max(depth.waiting), unit="open deliveries")
        yield Result(
            bench=f"{name}.queue_slope",
            value=depth.slope(),
            unit="deliveries/s that stay, of what comes",
            floor="what counts as flat",
            floor_value=_FLAT * SUSTAINED,
        )


def two_of_each() -> Iterator[Result]:
    """Two web servers and two workers beside one of each, by turns."""
    broker = find_broker()
    with _way(2 * (WARM_UP + ROUNDS * ROUND)) as way:
        one = way.site.gateway("one", broker=broker)
        two = way.site.gateway("two", webs=2, workers=2, broker=broker)
        of_one, of_two = _by_turns(way, one, two)
    yield Result(
        bench="e2e.two_of_each",
        value=of_two.per_s,
        unit="messages/s",
        peer="one web and one worker",
        peer_value=of_one.per_s,
    )
    yield Result(
        bench="e2e.two_of_each.busy",
        value=100 * of_two.busy,
        unit="% of all processors",
        peer="one web and one worker",
        peer_value=100 * of_one.busy,
    )


def no_broker() -> Iterator[Result]:
    """The same without a broker: the worker finds its work by looking for it."""
    broker = find_broker()
    with _way(2 * (WARM_UP + ROUNDS * ROUND) + round(PACES[0] * PACED_S)) as way:
        rung, unrung = way.site.gateway("rung", broker=broker), way.site.gateway("unrung")
        with_broker, without = (turns.per_s for turns in _by_turns(way, rung, unrung))
        mdns, into_erp, _ = way.paced(unrung, PACES[0], PACED_S)
    yield Result(bench="e2e.no_broker", value=without, unit="messages/s", peer="with a broker", peer_value=with_broker)
    yield from _times(f"e2e.no_broker.{PACES[0]}_per_s", mdns, into_erp)


def embedded() -> Iterator[Result]:
    """``manage.py up`` on SQLite."""
    with _way(WARM_UP + EMBEDDED + round(PACES[0] * PACED_S), on_sqlite=True) as way:
        gateway = way.site.gateway("embedded")
        way.warm_up(gateway)
        burst = way.burst(gateway, EMBEDDED)
        yield Result(bench="e2e.sqlite.as2", value=burst.into_erp_per_s, unit="messages/s")
        yield Result(bench="e2e.sqlite.as2.cpu", value=burst.each.web_s * 1e3, unit="ms of the gateway's CPU a message")
        mdns, into_erp, _ = way.paced(gateway, PACES[0], PACED_S)
        yield from _times(f"e2e.sqlite.as2.{PACES[0]}_per_s", mdns, into_erp)
        yield Result(bench="e2e.sqlite.as2.locked", value=gateway.lock_errors(), unit="lock errors")


@dataclass(frozen=True, slots=True)
class Turns:
    """All rounds of one set-up together."""

    per_s: float  #: messages into the ERP
    busy: float  #: as in Burst, the mean


def _by_turns(way: Way, *gateways: Gateway) -> list[Turns]:
    for gateway in gateways:
        way.warm_up(gateway)
    rounds = [[way.burst(gateway, ROUND) for gateway in gateways] for _ in range(ROUNDS)]
    return [
        Turns(harmonic_mean([one.into_erp_per_s for one in each]), fmean(one.busy for one in each))
        for each in zip(*rounds, strict=True)
    ]


def _cost(name: str, burst: Burst) -> Iterator[Result]:
    yield Result(bench=name, value=burst.into_erp_per_s, unit="messages/s")
    yield Result(bench=f"{name}.accepted", value=burst.accepted_per_s, unit="messages/s")
    each = burst.each
    for who, seconds in (
        ("web", each.web_s),
        ("worker", each.worker_s),
        ("database", each.database_s),
        ("broker", each.broker_s),
        ("erp", each.erp_s),
    ):
        yield Result(bench=f"{name}.cpu.{who}", value=seconds * 1e3, unit="ms of CPU a message")
    yield Result(bench=f"{name}.commits", value=each.commits, unit="transactions that write a message")


def _times(name: str, mdns: Sequence[float], into_erp: Sequence[float]) -> Iterator[Result]:
    for share in (0.95, 0.99):
        yield Result(bench=f"{name}.mdn.p{share * 100:.0f}", value=percentile(mdns, share) * 1e3, unit="ms")
    yield Result(bench=f"{name}.accept_to_erp.p95", value=percentile(into_erp, 0.95) * 1e3, unit="ms")


def benches(minutes: float | None = None) -> dict[str, Bench]:
    """Args:
    minutes: how long the sustained rate is sustained; None: seconds.
    """
    sustained_s = SUSTAINED_S if minutes is None else minutes * 60
    return {
        "e2e.as2_to_erp": partial(as2_to_erp, sustained_s),
        "e2e.two_of_each": two_of_each,
        "e2e.no_broker": no_broker,
        "e2e.sqlite.as2": embedded,
    }
