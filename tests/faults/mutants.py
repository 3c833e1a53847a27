"""Bugs to be put into the gateway: each breaks one of its rules, and a harness that lets one pass has a hole.

A bug is a few attributes of the real modules, set at the start of a process. Django must be set up before.

``python -m tests.faults.mutants [NAME…]`` puts in one after the other and says which layer caught it, and how; exit 1 when one was
not caught.
"""

from __future__ import annotations

import hashlib
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from django.db import DatabaseError

if TYPE_CHECKING:
    from tests.faults.crash_world import States

#: Of what object, which attribute, and what it is instead.
Change = tuple[Any, str, Any]


#: Of a soak in which nothing moves any more for so long a bug has been caught.
_STALLED_S: Final = 20.0


class Layer(StrEnum):
    """The layer that must catch it. Others may as well."""

    CRASH_POINTS = "crash points"
    STATE_MACHINE = "state machine"
    SOAK = "soak"


@dataclass(frozen=True, slots=True)
class Mutant:
    name: str
    breaks: str  #: which rule
    layer: Layer
    changes: Callable[[], Sequence[Change]]
    story: str = "answer"  #: in which the crash points catch it
    on: str = "sqlite"  #: the database of the soak that catches it

    def apply(self) -> None:
        """Put it in, for as long as this process lives."""
        for owner, name, instead in self.changes():
            setattr(owner, name, instead)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Put it in, and take it out again."""
        changes = self.changes()
        were = [(owner, name, getattr(owner, name)) for owner, name, _instead in changes]
        try:
            for owner, name, instead in changes:
                setattr(owner, name, instead)
            yield
        finally:
            for owner, name, was in were:
                setattr(owner, name, was)


def _claim_with(old: str, new: str) -> list[Change]:
    """The claiming statement with other words in it."""
    from gateway import outbox

    words = {name: getattr(outbox, name) for name in ("_CLAIM", "_DUE", "_DUE_OR_ASIDE", "_ANY_REMOTE")}
    changed: list[Change] = [(outbox, name, text.replace(old, new)) for name, text in words.items() if old in text]
    if not changed:
        raise ValueError(f"the claiming statement has no {old!r} any more")
    return changed


# ------------------------------------------------------------------------------------------ caught by crash points
def _no_idempotency_key() -> list[Change]:
    from gateway.pipeline import relay

    make = relay._submission

    def new_each_time(delivery: Any, document: Any) -> Any:
        made = make(delivery, document)
        return replace(made, key=f"{made.key}-{secrets.token_hex(4)}")

    return [(relay, "_submission", new_each_time)]


def _early_acknowledgment() -> list[Change]:
    """As a queue does that forgets a message when it hands it out."""
    from gateway import outbox
    from gateway.models import DeliveryKind

    claim, finish = outbox.claim, outbox.finish

    def forgotten(kind: DeliveryKind, owner: str) -> Any:
        claimed = claim(kind, owner)
        if claimed is not None and kind != DeliveryKind.TIMER:
            finish(claimed)
        return claimed

    return [
        (outbox, "claim", forgotten),
        (outbox, "hold", lambda claimed: None),
        (outbox, "finish", lambda claimed, result="": None),
        (outbox, "retry", lambda claimed, error, **terms: True),
    ]


def _publish_only() -> list[Change]:
    """The work is told of after the commit, and is nowhere else."""
    from django.db import transaction

    from gateway import outbox

    queue = outbox._open

    def told_later(deliveries: Any, lanes: Any) -> None:
        transaction.on_commit(lambda: queue(deliveries, lanes))

    return [(outbox, "_open", told_later)]


def _new_message_id_on_retry() -> list[Change]:
    from gateway.models import DeliveryKind, Transmission
    from gateway.pipeline import relay

    send = relay._HANDLERS[DeliveryKind.PARTNER]

    def anew(claim: Any, *, now: Any) -> None:
        message = claim.delivery.transmission
        if message.state == "prepared":
            message.message_id = ""
            Transmission.objects.filter(pk=message.pk).update(message_id="")
            Transmission.objects.filter(pk=message.pk).update(uid=secrets.token_hex(16))
            message.refresh_from_db()
        send(claim, now=now)

    return [(relay, "_HANDLERS", {**relay._HANDLERS, DeliveryKind.PARTNER: anew})]


def _receipt_before_commit() -> list[Change]:
    """The answer is given first, and what it promises is stored when there is time."""
    from django.db import transaction

    from gateway import outbox
    from gateway.pipeline import receive

    store, claim = receive.receive, outbox.claim
    to_store: list[Callable[[], object]] = []

    def promise(incoming: Any, *others: Any) -> Any:
        with transaction.atomic():
            accepted = store(incoming, *others)
            transaction.set_rollback(True)
        to_store.append(partial(store, incoming, *others))
        return accepted

    def with_time(kind: Any, owner: str) -> Any:
        while to_store:
            to_store.pop()()
        return claim(kind, owner)

    return [(receive, "receive", promise), (outbox, "claim", with_time)]


def _bytes_after_commit() -> list[Change]:
    from django.db import transaction

    from gateway.blob_store.files import Files
    from gateway.models import Blob

    put = Files.put

    def later(self: Files, data: bytes) -> str:
        transaction.on_commit(lambda: put(self, data))
        return ""

    return [(Files, "put", later), (Blob, "prepare", staticmethod(lambda *contents: None))]


def _no_lease_expiry() -> list[Change]:
    return _claim_with("entry.due_at <= {now}", "entry.due_at <= {now} AND entry.state <> 'sending'")


# ---------------------------------------------------------------------------------------- caught by the state machine
def _no_fencing() -> list[Change]:
    from gateway import outbox
    from gateway.models import QueueEntry

    return [(outbox, "_mine", lambda claimed: QueueEntry.objects.filter(pk=claimed.delivery.pk))]


def _attempts_not_counted() -> list[Change]:
    return _claim_with("attempts = attempts + 1", "attempts = attempts + CASE state WHEN 'sending' THEN 0 ELSE 1 END")


def _crashes_forgotten() -> list[Change]:
    return _claim_with("THEN crashes + 1", "THEN 1")


def _looked_up_never() -> list[Change]:
    return _claim_with("doubtful OR state IN ('sending', 'in_doubt')", "doubtful")


def _lanes_ignored() -> list[Change]:
    return _claim_with("AND NOT {behind}", "")


def _lease_by_the_workers_clock() -> list[Change]:
    from django.conf import settings
    from django.utils import timezone

    from gateway import outbox
    from gateway.models import QueueEntry

    take = outbox._take

    def by_our_clock(*asked: Any) -> Any:
        if (taken := take(*asked)) is not None:
            QueueEntry.objects.filter(pk=taken[0]).update(due_at=timezone.now() + settings.LEASE)
        return taken

    return [(outbox, "_take", by_our_clock)]


def _check_then_insert() -> list[Change]:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX IF EXISTS transmission_once")
    return []


def _content_not_compared() -> list[Change]:
    from gateway.pipeline import receive

    return [(receive, "_equal", lambda incoming, digests, payloads: True)]


def _repeat_answered_anew() -> list[Change]:
    from gateway.pipeline import receive

    return [(receive, "stored_answer", lambda row: receive.Answer(status=202, body=secrets.token_bytes(8)))]


def _replay_of_what_is_over() -> list[Change]:
    from django.db import transaction

    from gateway import outbox
    from gateway.models import Delivery, QueueEntry

    def anything(delivery: Any, *, actor: str) -> None:
        with transaction.atomic():
            Delivery.objects.filter(pk=delivery.pk).update(state="open", finished_at=None)
            QueueEntry.objects.update_or_create(
                pk=delivery.pk,
                defaults={"kind": delivery.kind, "state": "pending", "remote": outbox.remote_of(delivery)},
            )

    return [(outbox, "revive", anything)]


def _parked_for_ever() -> list[Change]:
    from gateway.pipeline import apply, release

    return [(release, "wake_parked", lambda order: None), (apply, "wake_overlooked", lambda: 0)]


def _everybody_probes() -> list[Change]:
    from django.db.models.functions import Now

    from gateway import breakers
    from gateway.models import Breaker

    def take(remote: str) -> Any:
        return Breaker.objects.filter(remote=remote, open_until__lte=Now()).values_list("open_until", flat=True).first()

    return [(breakers, "take_probe", take)]


# ----------------------------------------------------------------------------------- caught by real processes alone
def _never_looked_for() -> list[Change]:
    """Work is done when somebody rings for it."""
    from gateway import outbox

    return [(outbox, "due_kinds", lambda: [])]


def _full_disk_not_noticed() -> list[Change]:
    from contextlib import suppress

    from gateway.blob_store import Full
    from gateway.blob_store.files import Files

    put = Files.put

    def as_if(self: Files, data: bytes) -> str:
        with suppress(Full):
            return put(self, data)
        return hashlib.sha256(data).hexdigest()

    return [(Files, "put", as_if)]


def _a_fault_is_the_end() -> list[Change]:
    """Hands and poll die of the first database that does not answer."""
    from gateway.worker import Worker

    def report(self: Worker, error: Exception) -> None:
        raise error

    return [(Worker, "_report", report)]


_C, _S, _P = Layer.CRASH_POINTS, Layer.STATE_MACHINE, Layer.SOAK
MUTANTS: Final = {
    one.name: one
    for one in (
        Mutant("no_idempotency_key", "the ERP gets the same key at every try", _C, _no_idempotency_key),
        Mutant("early_ack", "work stays in the queue until it is done", _C, _early_acknowledgment),
        Mutant("publish_only", "work is committed with what it is for", _C, _publish_only),
        Mutant("no_lease_expiry", "what a dead worker held is due again", _C, _no_lease_expiry),
        Mutant("new_message_id", "a repeat has the id of the first try", _C, _new_message_id_on_retry, "order"),
        Mutant("mdn_before_commit", "a receipt follows the commit", _C, _receipt_before_commit),
        Mutant("bytes_after_commit", "a row is committed after its bytes", _C, _bytes_after_commit),
        Mutant("no_fencing", "a late ending changes nothing", _S, _no_fencing),
        Mutant("attempts_not_counted", "a crash is an attempt", _S, _attempts_not_counted),
        Mutant("crashes_forgotten", "crashes in a row are counted", _S, _crashes_forgotten),
        Mutant("crash_not_doubted", "after a crash the ERP is asked first", _S, _looked_up_never),
        Mutant("lanes_ignored", "the effects of one order are in sequence", _S, _lanes_ignored),
        Mutant("workers_clock", "a lease runs by the database's clock", _S, _lease_by_the_workers_clock),
        Mutant("check_then_insert", "of two equal messages at once one is stored", _S, _check_then_insert),
        Mutant("content_not_compared", "one id, other content: refused", _S, _content_not_compared),
        Mutant("answered_anew", "a repeat gets the first answer", _S, _repeat_answered_anew),
        Mutant("replay_of_what_is_over", "what is over stays over", _S, _replay_of_what_is_over),
        Mutant("parked_for_ever", "what waits for its order is looked at when it comes", _S, _parked_for_ever),
        Mutant("everybody_probes", "one call at a time to what is left alone", _S, _everybody_probes),
        Mutant("never_looked_for", "what nobody rings for is found by looking", _P, _never_looked_for),
        Mutant("full_disk_unnoticed", "no room, no promise", _P, _full_disk_not_noticed),
        Mutant("a_fault_is_the_end", "a worker outlives its database", _P, _a_fault_is_the_end, on="postgresql"),
    )
}


# ----------------------------------------------------------------------------------------------------- catching them
def caught_by_crash_points(mutant: Mutant, states: States) -> str:
    """What the first broken run said; empty: it was not caught."""
    from tests.faults import crash_points

    options = crash_points.Options(on="sqlite", stories=(mutant.story,), mutant=mutant.name, until_broken=True)
    for result in crash_points.explore(options, states).broken:
        return f"{crash_points.in_words(result)}: {result.broken[0]}"
    return ""


def caught_by_the_machine(mutant: Mutant, *, examples: int = 100) -> str:
    """The same; the database of this process must be SQLite."""
    from tests.faults.state_machine import walk

    try:
        walk(examples=examples, shrink=False, mutant=mutant)
    except (AssertionError, DatabaseError) as broken:  # the latter: the database's own guards
        return str(broken).splitlines()[0]
    return ""


def caught_by_the_soak(mutant: Mutant) -> str:
    """What the first broken invariant of a small one said; empty: it was not caught."""
    from tests.faults import plan, soak

    options = soak.Options(
        on=mutant.on, broker="none", size=plan.SMALL, seed=7, mutant=mutant.name, stalled_s=_STALLED_S
    )
    report = soak.Soak(options, say=lambda line: None).run()
    if report.kept:
        shutil.rmtree(report.kept, ignore_errors=True)
    return next((f"{check.name}: {check.broken[0]}" for check in report.checks if check.broken), "")


def main(names: Sequence[str]) -> int:
    from tests.faults.crash_points import prepared

    survived = 0
    with prepared("sqlite") as states:
        for mutant in [MUTANTS[name] for name in names] or MUTANTS.values():
            began = time.monotonic()
            said = _caught(mutant, states)
            survived += not said
            outcome = f"caught by {mutant.layer}" if said else "SURVIVED"
            sys.stdout.write(f"  {mutant.name:24} {outcome:26} {time.monotonic() - began:5.1f} s  {said[:160]}\n")
            sys.stdout.flush()
    return 1 if survived else 0


def _caught(mutant: Mutant, states: States) -> str:
    if mutant.layer is Layer.CRASH_POINTS:
        return caught_by_crash_points(mutant, states)
    if mutant.layer is Layer.SOAK:
        return caught_by_the_soak(mutant)
    from tests.faults import crash_world

    said = states.folder / f"{mutant.name}.txt"
    folder = states.fresh("released", f"machine_{mutant.name}")
    # In a process of its own: this one stays without a connection, and without the bug.
    crash_world.in_child(lambda: said.write_text(caught_by_the_machine(mutant)))
    states.discard(folder)
    return said.read_text() if said.exists() else ""


if __name__ == "__main__":
    # Under its own name: the other layers have to find the same classes.
    from tests.faults import mutants

    sys.exit(mutants.main(sys.argv[1:]))
