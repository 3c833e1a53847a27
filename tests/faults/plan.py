"""What a soak does and when: which documents, in which order, and which faults, all drawn from one seed.

The seed fixes the plan, not how real processes interleave: of a red run the journals are what is kept.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from tests.faults import poison


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much of everything; the bars say when a run proves something."""

    messages: int  #: from suppliers and to them, receipts not counted
    per_second: float  #: from suppliers, so that the load outlasts the faults
    kills: int  #: of web and worker processes
    pauses: int  #: longer than a lease
    crashes: int  #: of the database, where it has a server
    cuts: int  #: of a connection to the database in the middle of a transaction
    strikes: int  #: at the broker
    outages: int  #: of the ERP, and as many of a partner's server
    full_disks: int  #: of the disk for raw bytes, where one can be had
    poison: int  #: documents that kill their reader, and as many that hang it
    least_process_faults: int
    least_erp_faults: int
    webs: int = 2  #: processes, where the database has a server
    workers: int = 3


CI: Final = Size(
    messages=2000,
    per_second=22,
    kills=36,
    pauses=12,
    crashes=4,
    cuts=8,
    strikes=5,
    outages=2,
    full_disks=2,
    poison=1,
    least_process_faults=40,
    least_erp_faults=150,
)
NIGHTLY: Final = Size(
    messages=10_000,
    per_second=22,
    kills=190,
    pauses=50,
    crashes=20,
    cuts=40,
    strikes=20,
    outages=6,
    full_disks=6,
    poison=4,
    least_process_faults=150,
    least_erp_faults=900,
)
TINY: Final = Size(
    messages=24,
    per_second=8,
    kills=2,
    pauses=0,
    crashes=0,
    cuts=0,
    strikes=0,
    outages=0,
    full_disks=0,
    poison=0,
    least_process_faults=1,
    least_erp_faults=1,
    webs=1,
    workers=2,
)


#: Enough to show one bug.
SMALL: Final = replace(
    TINY, messages=60, per_second=12, kills=4, crashes=1, full_disks=1, least_process_faults=0, least_erp_faults=0
)


class Supplier(StrEnum):
    """Who sends, and how."""

    REST = "CASTRA"
    AS2 = "ACME"  #: receipts in the answer
    AS2_ASYNC = "BOLTCO"  #: receipts by a request of their own


NUMBERS: Final = {Supplier.REST: "100023", Supplier.AS2: "100017", Supplier.AS2_ASYNC: "100031"}
#: Of a hundred orders so many are with whom.
_SHARES: Final = {Supplier.REST: 76, Supplier.AS2: 16, Supplier.AS2_ASYNC: 8}
#: What an order makes of messages: its answers, and over AS2 the order itself and a 997 for each answer.
_MESSAGES: Final = {Supplier.REST: 2, Supplier.AS2: 5, Supplier.AS2_ASYNC: 5}
_REPEATED: Final = 0.10
_COPIED: Final = 0.03  #: of the messages over AS2: the same interchange once more, as a message of its own
_COPIED_AFTER_S: Final = 3.0
_FIVE_AT_ONCE: Final = 0.01
_BROKEN: Final = 0.001
_SHUFFLE: Final = 50  #: messages that may pass one another


@dataclass(frozen=True, slots=True)
class Release:
    """One order leaves the ERP."""

    at_s: float  #: since the start
    number: str
    supplier: Supplier


@dataclass(frozen=True, slots=True)
class Message:
    """One document a supplier sends, until it holds our word that we have it."""

    at_s: float
    kind: str  #: "acknowledgment", "ship_notice"; one of ``NO_DOCUMENTS`` is none at all
    number: str
    supplier: Supplier
    repeats: int  #: sent so often again, although it was answered; more than one of them: all at once
    control: int  #: of its interchange; a copy has that of its original


#: What looks like no document to anybody, and what our reader cannot bear.
NO_DOCUMENTS: Final = frozenset({"noise", poison.KILLS, poison.HANGS})


@dataclass(frozen=True, slots=True)
class Fault:
    at_s: float
    kind: str  #: "kill", "pause", "crash", "cut", "strike", "erp_outage", "partner_outage", "full_disk"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    seed: int
    size: Size
    releases: list[Release]
    messages: list[Message]
    faults: list[Fault]

    @property
    def lasts_s(self) -> float:
        """Until the last message is sent for the first time."""
        return max(message.at_s for message in self.messages)


def draw(seed: int, size: Size, *, crashable: bool, strikable: bool, fillable: bool = False) -> Plan:
    """The whole plan of one run.

    Args:
        crashable: the database has a server.
        strikable: there is a broker.
        fillable: the disk for raw bytes is one of its own.
    """
    chance = random.Random(seed)
    pace = 1 / size.per_second
    releases: list[Release] = []
    messages: list[Message] = []
    expected = 0
    while expected < size.messages:
        number = f"{70_000_000 + len(releases)}"
        supplier = chance.choices(list(_SHARES), list(_SHARES.values()))[0]
        at_s = 2 * len(releases) * pace
        releases.append(Release(at_s, number, supplier))
        expected += _MESSAGES[supplier]
        for turn, kind in enumerate(("acknowledgment", "ship_notice")):
            # Around their order's release and each other, by so many messages: some come before their order, some
            # ship before they confirm.
            shuffled = at_s + (turn + chance.uniform(-_SHUFFLE / 4, _SHUFFLE * 3 / 4)) * pace
            one = Message(max(0.0, shuffled), kind, number, supplier, _repeats(chance), len(messages) + 1)
            messages.append(one)
            if supplier is not Supplier.REST and chance.random() < _COPIED:
                messages.append(replace(one, at_s=one.at_s + _COPIED_AFTER_S, repeats=0))
    for place in range(max(1, round(size.messages * _BROKEN))):
        at_s = chance.uniform(0, 2 * len(releases) * pace)
        messages.append(Message(at_s, "noise", f"noise-{place}", Supplier.AS2, 0, 0))
    for place in range(size.poison):
        for kind in (poison.KILLS, poison.HANGS):
            # Early: to be tried often enough takes its time.
            at_s = len(releases) * pace * (place + chance.random()) / size.poison
            messages.append(Message(at_s, kind, f"{kind}-{place}", Supplier.AS2, 0, 0))
    messages.sort(key=lambda message: message.at_s)
    lasts_s = messages[-1].at_s
    counts = {
        "kill": size.kills + (0 if crashable else size.crashes),
        "pause": size.pauses,
        "crash": size.crashes if crashable else 0,
        "cut": size.cuts if crashable else 0,
        "strike": size.strikes if strikable else 0,
        "erp_outage": size.outages,
        "partner_outage": size.outages,
        "full_disk": size.full_disks if fillable else 0,
    }
    faults = sorted(_faults(chance, counts, lasts_s), key=lambda fault: fault.at_s)
    return Plan(seed=seed, size=size, releases=releases, messages=messages, faults=faults)


def _repeats(chance: random.Random) -> int:
    drawn = chance.random()
    return 5 if drawn < _FIVE_AT_ONCE else 1 if drawn < _REPEATED else 0


def _faults(chance: random.Random, counts: Mapping[str, int], lasts_s: float) -> Iterator[Fault]:
    """Each kind spread evenly over the run, every one a little off its place: database crashes stay rarer than pauses."""
    for kind, count in counts.items():
        for place in range(count):
            yield Fault(lasts_s * (place + chance.uniform(0.25, 0.75)) / count, kind)
