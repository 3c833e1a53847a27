"""Was anything lost or doubled? The invariants I1 to I10 over what all sides wrote down, as sets; no function here touches anything.

A check names what breaks it, so that a red run says where to look. Counts would not do: one too many and one too few cancel out.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from tests.faults.plan import NO_DOCUMENTS

Row = Mapping[str, Any]

#: Each try ends with exactly one of these.
ENDS: Final = frozenset(
    {
        "delivery.delivered",
        "delivery.retry",
        "delivery.in_doubt",
        "delivery.taken",
        "delivery.dead",
        "delivery.crashed",
    }
)
_ERP_KINDS: Final = {"order_acknowledgment": "acknowledgment", "ship_notice": "ship_notice"}
_TIMER: Final = "timer"


class Outcome(StrEnum):
    GREEN = "GREEN"
    RED = "RED"
    VOID = "VOID"  #: too few faults met work: the run proves nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What each side wrote down."""

    rows: Row  #: the gateway's own, see ``evidence``
    promised: Sequence[Row]  #: a line for each message whose sender holds our word
    planned: Sequence[tuple[str, str]]  #: kind and number of each message that was to be sent
    effects: Sequence[Row]  #: the documents the ERP has
    erp_journal: Sequence[Row]  #: every write request the ERP got, in order
    received: Sequence[Row]  #: what the suppliers' own journals say of our messages
    violations: Sequence[Sequence[Any]] = ()  #: rows that left a terminal state, from the database's own trigger
    audit: str = ""  #: what the audit says is wrong; empty: nothing
    left_behind: Mapping[str, int] = field(default_factory=dict)  #: what should be 0 after the drain, by name
    orphans: Sequence[str] = ()  #: blobs nobody refers to, after they were collected


@dataclass(frozen=True, slots=True)
class Check:
    """One invariant: how much was looked at, and what breaks it."""

    name: str
    says: str
    looked_at: int
    broken: tuple[str, ...]


def judge(evidence: Evidence) -> list[Check]:
    """All ten, in order."""
    return [check(evidence) for check in CHECKS]


def promised_is_kept(e: Evidence) -> Check:
    kept = {
        (row["partner"], row["message_id"], row["payload_sha256"]) for row in _inbound(e) if row["state"] != "refused"
    }
    promised = {(line["supplier"], line["message_id"], line["payload_sha256"]) for line in e.promised}
    sent = {(line["kind"], line["number"]) for line in e.promised}
    return Check(
        "I1",
        "promised to a partner = received rows, with the same bytes",
        len(promised),
        tuple(
            [
                *_listed("promised, no such row", promised - kept),
                *_listed("a row that was never promised", kept - promised),
                *_listed("never promised, however often sent", set(e.planned) - sent),
            ]
        ),
    )


def all_is_over(e: Evidence) -> Check:
    in_case = {
        name: {case[name] for case in e.rows["cases"]} - {None} for name in ("delivery", "document", "transmission")
    }
    broken = []
    for row in _inbound(e):
        if row["state"] not in {"answered", "refused"} and row["id"] not in in_case["transmission"]:
            broken.append(f"transmission {row['id']} is {row['state']}")
    over = {"relayed", "rejected", "discarded", "replayed"}
    for row in e.rows["documents"]:
        if row["direction"] == "inbound" and row["state"] not in over and row["id"] not in in_case["document"]:
            broken.append(f"document {row['id']} ({row['type']} {row['number']}) is {row['state']}, without a case")
    entries = {row["delivery"]: row for row in e.rows["entries"]}
    for row in _work(e):
        entry = entries.get(row["id"])
        if row["state"] in {"delivered", "cancelled"}:
            if entry:
                broken.append(f"delivery {row['id']} is {row['state']} and still queued")
        elif row["id"] not in in_case["delivery"] or (entry and entry["state"] != "dead"):
            stands = entry["state"] if entry else "nowhere"
            broken.append(f"delivery {row['id']} ({row['kind']}) is {row['state']}, queued: {stands}")
    broken += _listed("live leases after the drain", range(e.rows["live_leases"]))
    return Check("I2", "everything is in one terminal state, or an open case", len(_work(e)), tuple(broken))


def effects_are_single(e: Evidence) -> Check:
    keys = [row["key"] for row in e.effects]
    ours = {row["key"]: row for row in e.rows["deliveries"] if row["kind"] == "erp"}
    delivered = {key for key, row in ours.items() if row["state"] == "delivered"}
    in_case = {case["document"] for case in e.rows["cases"]}
    excused = {(row["type"], row["number"]) for row in e.rows["documents"] if row["id"] in in_case}
    there = {(row["kind"], number) for row in e.effects for number in row["order_numbers"]}
    wanted = {(line["kind"], line["number"]) for line in e.promised if line["kind"] not in NO_DOCUMENTS}
    excuses = {(_ERP_KINDS.get(type, type), number.removeprefix("S-")) for type, number in excused}
    return Check(
        "I3",
        "each effect in the ERP belongs to one delivery, each delivery has one effect, each promise its own",
        len(keys),
        tuple(
            [
                *_listed("an effect nobody ordered", set(keys) - set(ours)),
                *_listed("delivered, no effect", delivered - set(keys)),
                *_listed("the same key twice", {key for key, count in Counter(keys).items() if count > 1}),
                *_listed("applied not once", {row["key"] for row in e.effects if row["applications"] != 1}),
                *_listed(
                    "two effects for one document",
                    {what for what, count in _per_document(e).items() if count > 1},
                ),
                *_listed("promised, not in the ERP", wanted - there - excuses),
                *_listed("in the ERP, never promised", there - wanted),
            ]
        ),
    )


def terminal_states_are_final(e: Evidence) -> Check:
    return Check(
        "I4",
        "no row ever leaves a terminal state",
        len(e.rows["deliveries"]) + len(e.rows["documents"]) + len(e.rows["transmissions"]),
        tuple(f"{name} {id}: {was} → {became}" for name, id, was, became in e.violations),
    )


def receipts_are_true(e: Evidence) -> Check:
    mics = {(row["partner"], row["message_id"]): row["mics"] for row in _inbound(e) if row["state"] != "refused"}
    over_as2 = [line for line in e.promised if line["mic"]]
    lies = {
        line["message_id"]
        for line in over_as2
        if line["mic"] not in mics.get((line["supplier"], line["message_id"]), [])
    }
    took = {_bare(line) for line in e.received if line["direction"] == "received" and line["file"]}
    refused = {_bare(line) for line in e.received if line["direction"] == "refused"}
    outbound = [row for row in e.rows["transmissions"] if row["direction"] == "outbound" and row["format"] != "mdn"]
    receipted = {_bare(row) for row in outbound if row["state"] == "receipted"}
    rejected = {_bare(row) for row in outbound if row["state"] == "rejected"}
    in_case = {case["transmission"] for case in e.rows["cases"]}
    open_case = {_bare(row) for row in outbound if row["id"] in in_case}
    return Check(
        "I5",
        "each receipt we gave has a row with the same digest; each we count was really given to us",
        len(over_as2) + len(outbound),
        tuple(
            [
                *_listed("a receipt without a row of that digest", lies),
                *_listed("counted as receipted, never taken", receipted - took),
                *_listed("counted as rejected, never refused", rejected - refused),
                *_listed("taken by the partner, not receipted", took - receipted - rejected - open_case),
            ]
        ),
    )


def bytes_are_there(e: Evidence) -> Check:
    missing = {row["id"] for row in e.rows["transmissions"] if row["state"] != "prepared" and not row["payload_sha256"]}
    mdns = {row["id"] for row in e.rows["transmissions"] if row["format"] == "mdn"}
    refused = {row["id"] for row in e.rows["transmissions"] if row["state"] == "refused"}
    return Check(
        "I6",
        "every row has its bytes, and no bytes stay without a row",
        len(e.rows["transmissions"]),
        tuple(
            [
                *_listed("unreadable", (blob["sha256"] for blob in e.rows["unreadable_blobs"])),
                *_listed("a transmission without its payload", missing - mdns - refused),
                *_listed("orphan after collecting", e.orphans),
            ]
        ),
    )


def each_try_ends_once(e: Evidence) -> Check:
    ends: dict[int, Counter[int]] = defaultdict(Counter)
    finished: Counter[int] = Counter()
    work = {row["id"] for row in _work(e)}
    for event in e.rows["ends"]:
        if event["delivery"] not in work:
            continue  # the turns of a timer leave no trace
        if event["name"] == "delivery.delivered":
            finished[event["delivery"]] += 1
        if event["name"] in ENDS and event["token"] is not None:
            ends[event["delivery"]][event["token"]] += 1
    twice = [
        f"{delivery}, token {token}"
        for delivery, tokens in ends.items()
        for token, count in tokens.items()
        if count > 1
    ]
    gaps = [
        f"{delivery}: {sorted(tokens)}"
        for delivery, tokens in ends.items()
        if set(tokens) != set(range(1, max(tokens) + 1))
    ]
    over = {row["id"] for row in _work(e) if row["state"] == "delivered"}
    return Check(
        "I7",
        "each try has one end, nothing is delivered twice, the audit trail is whole",
        sum(sum(tokens.values()) for tokens in ends.values()),
        tuple(
            [
                *_listed("ended twice", twice),
                *_listed("a try without an end", gaps),
                *_listed("delivered twice", {delivery for delivery, count in finished.items() if count > 1}),
                *_listed("delivered without an event", over - set(finished)),
                *([f"audit: {e.audit}"] if e.audit else []),
            ]
        ),
    )


def effects_are_in_sequence(e: Evidence) -> Check:
    place: dict[str, int] = {}
    for line in e.erp_journal:
        if str(line["outcome"]).startswith("201"):
            place.setdefault(line["key"], line["id"])
    by_order: dict[int, list[Row]] = defaultdict(list)
    for row in e.rows["deliveries"]:
        if row["kind"] == "erp" and row["document__order"] is not None and row["key"] in place:
            by_order[row["document__order"]].append(row)
    broken = []
    for order, rows in by_order.items():
        arrived = [row["id"] for row in sorted(rows, key=lambda row: place[row["key"]])]
        if arrived != sorted(arrived):
            broken.append(f"order {order}: {arrived}")
    return Check("I8", "the effects of one order are in sequence", len(by_order), tuple(broken))


def tries_are_limited(e: Evidence) -> Check:
    charged: Counter[int] = Counter()
    crashes: dict[int, int] = defaultdict(int)
    worst: dict[int, int] = defaultdict(int)
    for event in e.rows["ends"]:
        if event["name"] == "delivery.crashed":
            crashes[event["delivery"]] += 1
            worst[event["delivery"]] = max(worst[event["delivery"]], crashes[event["delivery"]])
        elif event["name"] in ENDS:
            crashes[event["delivery"]] = 0
            charged[event["delivery"]] += event["charged"] and event["name"] in {"delivery.retry", "delivery.in_doubt"}
    kinds = {row["id"]: row["kind"] for row in _work(e)}
    limits = e.rows["tries"]
    deadly = {line["message_id"] for line in e.promised if line["kind"] in NO_DOCUMENTS}
    poisonous = {row["id"] for row in e.rows["transmissions"] if row["message_id"] in deadly}
    came = {row["id"]: row["transmission"] for row in e.rows["documents"]}
    of = {row["id"]: row["transmission"] or came.get(row["document"]) for row in e.rows["deliveries"]}
    buried = {case["delivery"] for case in e.rows["cases"] if case["reason"] == "poison"}
    return Check(
        "I9",
        "no delivery is tried more often than its schedule says, nor after its last crash",
        len(kinds),
        tuple(
            [
                *_listed(
                    "tried too often",
                    {id for id, count in charged.items() if id in kinds and count > limits.get(kinds[id], count)},
                ),
                *_listed("buried, though it kills nobody", {id for id in buried if of.get(id) not in poisonous}),
                *_listed(
                    "crashed too often",
                    {id for id, count in worst.items() if id in kinds and count > e.rows["poison_after"]},
                ),
            ]
        ),
    )


def nothing_is_left_behind(e: Evidence) -> Check:
    return Check(
        "I10",
        "drained: no locks, no open transactions, nothing queued, every process ends when told",
        len(e.left_behind),
        tuple(f"{name}: {count}" for name, count in e.left_behind.items() if count),
    )


CHECKS: Final = (
    promised_is_kept,
    all_is_over,
    effects_are_single,
    terminal_states_are_final,
    receipts_are_true,
    bytes_are_there,
    each_try_ends_once,
    effects_are_in_sequence,
    tries_are_limited,
    nothing_is_left_behind,
)


def outcome(checks: Iterable[Check], void: Sequence[str]) -> Outcome:
    """RED as soon as one invariant is broken: a void run that lost something has lost it all the same."""
    if any(check.broken for check in checks):
        return Outcome.RED
    return Outcome.VOID if void else Outcome.GREEN


def _inbound(e: Evidence) -> list[Row]:
    """Messages that came; receipts for messages of ours are none."""
    return [row for row in e.rows["transmissions"] if row["direction"] == "inbound" and row["format"] != "mdn"]


def _work(e: Evidence) -> list[Row]:
    """All deliveries that come to an end; timers turn for ever."""
    return [row for row in e.rows["deliveries"] if row["kind"] != _TIMER]


def _per_document(e: Evidence) -> Counter[tuple[str, str]]:
    return Counter((row["kind"], number) for row in e.effects for number in row["order_numbers"])


def _bare(row: Row) -> str:
    """A Message-ID without its brackets: some journals keep them."""
    return str(row["message_id"]).strip("<>")


def _listed(what: str, found: Iterable[object]) -> Iterator[str]:
    yield from (f"{what}: {one}" for one in sorted(found, key=str))
