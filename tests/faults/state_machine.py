"""Layer 2: whatever workers, suppliers, the ERP and people do in whatever order, the outbox keeps its rules.

A Hypothesis state machine over the real receive, translate, apply, relay, outbox and breakers, which commit to a SQLite in
memory; each example begins with the same one. Three workers hold claims for as long as they like, and their clocks are an hour apart. Time passes by what it
makes due. Only the ERP is a stand-in, with a memory of what it applied; calls to partners are endings without a call.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from unittest import mock

from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils import timezone
from hypothesis import HealthCheck, Phase
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from edi_maps import canonical
from edi_maps.canonical import PurchaseOrder
from gateway import breakers, outbox, states
from gateway.erp.port import ErpOrder, InDoubt, Permanent, Submission, Submitted, Transient
from gateway.models import (
    Blob,
    Breaker,
    Delivery,
    DeliveryKind,
    DeliveryState,
    Document,
    ErpConnection,
    Event,
    Order,
    QueueEntry,
    QueueLane,
    Transmission,
)
from gateway.pipeline import receive, relay, release
from gateway.pipeline.receive import Answer, Incoming
from partners import onboarding
from partners.models import TradingPartner
from partners.profiles import Channel
from tests.faults import documents
from tests.faults.mutants import Mutant
from tests.gateway.queue_rows import lease_runs_out, make_due

_ENDS: Final = [f"delivery.{end}" for end in outbox.ENDS]
_OVER: Final = [DeliveryState.DELIVERED, DeliveryState.CANCELLED]
_KINDS: Final = (DeliveryKind.TRANSLATE, DeliveryKind.APPLY, DeliveryKind.ERP, DeliveryKind.PARTNER)
#: How far each worker's clock is off.
_SKEW: Final = (timedelta(0), timedelta(hours=1), timedelta(hours=-1))
_ROUNDS: Final = 60  #: until everything is over, when all is well again
_SLOW: Final = timedelta(seconds=30)  #: a machine may be

_now = timezone.now
_CODE: Final = "MACHINE"
_NUMBER: Final = "M-1"  #: of the supplier


class Erp:
    """Has a key once, as the contract says; does to each call what it is told to."""

    def __init__(self) -> None:
        self.mood = "well"
        self.applied: dict[str, int] = {}  #: how often, by key
        self.sequence: list[str] = []  #: of keys, as they were applied

    def find(self, kind: str, key: str) -> str | None:
        self._hinder()
        return f"ref-{key}" if key in self.applied else None

    def submit(self, submission: Submission) -> Submitted:
        self._hinder()
        if self.mood == "refuses":
            raise Permanent("422: not like this")
        replayed = self.apply(submission.key)
        if self.mood == "answer lost":
            raise InDoubt("no answer")
        return Submitted(state="done", erp_ref=f"ref-{submission.key}", replayed=replayed)

    def apply(self, key: str) -> bool:
        """Whether it was there already."""
        if key in self.applied:
            return True
        self.applied[key] = 1
        self.sequence.append(key)
        return False

    def _hinder(self) -> None:
        if self.mood == "down":
            raise Transient("503")
        if self.mood == "busy":
            raise Transient("429", retry_after_s=30)


@dataclass
class Held:
    """A claim in the hands of a worker."""

    claim: outbox.Claim
    kind: DeliveryKind


@dataclass
class Sent:
    """A message as its sender has it."""

    incoming: Incoming
    answer: bytes


class Gateway(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        _begin_anew()
        self.connection = ErpConnection.objects.get(code=_CODE)
        self.partner_id = TradingPartner.objects.get(code=_CODE).pk
        self.erp = Erp()
        self._patch = mock.patch.object(release, "port_of", lambda connection: self.erp)
        self._patch.start()
        self.held: list[Held] = []
        self.sent: list[Sent] = []
        self.charged: Counter[int] = Counter()  #: attempts of a delivery as they must stand
        self.crashes: Counter[int] = Counter()  #: in a row
        self.unsure: set[int] = set()  #: deliveries whose last try may have had its effect
        self.probed: set[str] = set()  #: remotes whose pause ended, and somebody has the right to try them since
        self.over: dict[int, str] = {}  #: deliveries that must stay as they are
        self.ended: Counter[tuple[int, int]] = Counter()  #: ends of each try, by delivery and token
        #: The last event that was looked at.
        self.seen = Event.objects.order_by("pk").values_list("pk", flat=True).last() or 0
        self.messages = 0
        self.failed = False

    @initialize(
        begins=st.sampled_from(
            ["with nothing", "answers wait", "answers are parked", "answers were parked", "messages wait"]
        )
    )
    def begin(self, begins: str) -> None:
        """So that what takes many steps to come to is where some examples begin."""
        if begins == "messages wait":
            self.send_to_partner()
            self.send_to_partner()
        if begins.startswith("answers"):
            if begins == "answers wait":
                self.release_order("1")
            self.receive("1", "acknowledgment", False)
            self.receive("1", "ship_notice", False)
            for kind in (DeliveryKind.TRANSLATE, DeliveryKind.APPLY):
                while self._claim(kind, 0):
                    self._handle(self.held.pop(), "well")
        if begins == "answers were parked":
            self.release_order("1")

    # -- suppliers and the ERP's buyers
    @rule(number=st.sampled_from("12"), kind=st.sampled_from(["acknowledgment", "ship_notice"]), twin=st.booleans())
    def receive(self, number: str, kind: str, twin: bool) -> None:
        """A message comes; with a twin, the same comes by another connection between the look and the insert."""
        self.messages += 1
        write = {"acknowledgment": documents.acknowledgment, "ship_notice": documents.ship_notice}[kind]
        body = json.dumps(write(f"7300000{number}")).encode()
        incoming = self._incoming(f"m{self.messages}", body)
        before = self._count_of(incoming)
        if twin:
            prepare, twins = receive._prepare, [incoming]

            def come_between(given: Incoming) -> None:
                prepare(given)
                while twins:
                    receive.receive(twins.pop(), _answer)

            with mock.patch.object(receive, "_prepare", come_between):
                accepted = receive.receive(incoming, _answer)
            assert accepted.repeated, "of two equal messages at once both were taken for the first"
        else:
            accepted = receive.receive(incoming, _answer)
            assert not accepted.repeated
        assert self._count_of(incoming) == before + 1, "of two equal messages at once both were stored"
        self.sent.append(Sent(incoming, accepted.answer.body))

    @precondition(lambda self: self.sent)
    @rule(place=st.integers(0, 99))
    def repeat(self, place: int) -> None:
        sent = self.sent[place % len(self.sent)]
        accepted = receive.receive(sent.incoming, _answer)
        assert accepted.repeated, "a repeat was stored as something new"
        assert accepted.answer.body == sent.answer, "a repeat was answered otherwise than the first time"

    @precondition(lambda self: self.sent)
    @rule(place=st.integers(0, 99))
    def conflict(self, place: int) -> None:
        sent = self.sent[place % len(self.sent)]
        other = self._incoming(sent.incoming.message_id, (sent.incoming.payload or b"") + b" ")
        try:
            receive.receive(other, _answer)
        except receive.Conflict:
            return
        raise AssertionError("one id was taken for two contents")

    @rule(number=st.sampled_from("12"))
    def release_order(self, number: str) -> None:
        """The order comes, or comes at its next revision."""
        found = documents.order(f"7300000{number}", _NUMBER)
        revision = Order.objects.filter(number=f"7300000{number}").values_list("revision", flat=True).first() or 0
        record = canonical.load(found["record"])
        assert isinstance(record, PurchaseOrder)
        order = ErpOrder(
            order_key=f"7300000{number}",
            company=found["company"],
            supplier_number=_NUMBER,
            revision=revision + 1,
            cancelled=False,
            record=record,
        )
        with transaction.atomic():
            release.take_in(self.connection, order, now=_now())

    @rule()
    def send_to_partner(self) -> None:
        self.messages += 1
        with transaction.atomic():
            row = Transmission.objects.create(
                direction="outbound",
                channel="as2",
                partner_id=self.partner_id,
                state="prepared",
                format="x12",
                raw=Blob.put(b"850"),
            )
            outbox.enqueue(
                DeliveryKind.PARTNER, f"partner:{row.uid}", transmission=row, lanes=[f"partner:{self.messages % 2}"]
            )

    # -- workers
    @rule(first=st.integers(0, len(_KINDS) - 1), worker=st.integers(0, 2))
    def claim(self, first: int, worker: int) -> None:
        """Whatever there is to do, if not of this kind then of another."""
        any(self._claim(kind, worker) for kind in (*_KINDS[first:], *_KINDS[:first]))

    @rule(first=st.integers(0, len(_KINDS) - 1))
    def two_claim(self, first: int) -> None:
        """Two at once find what is due of one kind."""
        make_due()
        any(self._claim(kind, 0) and (self._claim(kind, 1) or True) for kind in (*_KINDS[first:], *_KINDS[:first]))

    @precondition(lambda self: self.held)
    @rule(
        place=st.integers(0, 99),
        mood=st.sampled_from(["well", "well", "well", "down", "busy", "answer lost", "refuses"]),
    )
    def handle(self, place: int, mood: str) -> None:
        """A worker does what it claimed, perhaps long after its lease."""
        held = self.held.pop(place % len(self.held))
        if held.kind == DeliveryKind.PARTNER:
            self._end_of_a_send(held.claim, mood)
        else:
            self._handle(held, mood)

    @precondition(lambda self: self.held)
    @rule(place=st.integers(0, 99), applied=st.booleans())
    def crash(self, place: int, applied: bool) -> None:
        """A worker dies before, or after, the ERP has what it was handing over."""
        held = self.held.pop(place % len(self.held))
        if applied and held.kind == DeliveryKind.ERP and self._is_ours(held.claim):
            self.erp.apply(held.claim.delivery.key)

    @precondition(lambda self: self.held)
    @rule(place=st.integers(0, 99))
    def crash_and_come_again(self, place: int) -> None:
        """A worker dies, its lease runs out and another takes the same."""
        held = self.held[place % len(self.held)]
        self.crash(place, False)
        lease_runs_out(pk=held.claim.delivery.pk)
        self._claim(held.kind, 0)

    @precondition(lambda self: self.held)
    @rule(place=st.integers(0, 99), mood=st.sampled_from(["well", "answer lost", "refuses"]))
    def wake_too_late(self, place: int, mood: str) -> None:
        """A worker sleeps beyond its lease; another has taken the same when it goes on."""
        held = self.held[place % len(self.held)]
        lease_runs_out(pk=held.claim.delivery.pk)
        self._claim(held.kind, 1)
        self.handle(self.held.index(held), mood)

    @rule()
    def poll(self) -> None:
        outbox.set_aside()

    # -- time
    @rule()
    def leases_run_out(self) -> None:
        lease_runs_out()

    @rule()
    def time_passes(self) -> None:
        make_due()

    @rule()
    def a_pause_is_over(self) -> None:
        Breaker.objects.filter(open_until__isnull=False).update(open_until=Now() - timedelta(seconds=1))
        self.probed.clear()

    @rule(what=st.sampled_from(["erp", "as2"]), and_is_tried=st.booleans())
    def stops_answering(self, what: str, and_is_tried: bool) -> None:
        """A system fails until it is left alone; then perhaps two come to try it."""
        for _ in range(breakers.IN_A_ROW):
            breakers.failed(self._remote(what), "HTTP 503")
        if and_is_tried:
            self.a_pause_is_over()
            make_due()
            for worker in (0, 1):
                self._claim(breakers.kind_of(self._remote(what)), worker)

    # -- people, and receipts by a request of their own
    @rule(place=st.integers(0, 99))
    def replay(self, place: int) -> None:
        delivery = self._any(place, Delivery.objects.exclude(kind=DeliveryKind.TIMER))
        if delivery is None:
            return
        was = delivery.state
        try:
            outbox.revive(delivery, actor="somebody")
        except (states.IllegalMove, states.StaleState):
            assert was != DeliveryState.DEAD, "a dead letter cannot be revived"
            return
        assert was == DeliveryState.DEAD, f"what was {was} was revived"
        self.charged[delivery.pk] = self.crashes[delivery.pk] = 0

    @rule(place=st.integers(0, 99))
    def give_up(self, place: int) -> None:
        delivery = self._any(place, Delivery.objects.exclude(state__in=_OVER))
        if delivery is None:
            return
        try:
            outbox.cancel(delivery, actor="somebody")
        except (states.StaleState, states.IllegalMove):
            return
        self.over[delivery.pk] = DeliveryState.CANCELLED

    @rule(place=st.integers(0, 99), says_yes=st.booleans())
    def late_receipt(self, place: int, says_yes: bool) -> None:
        delivery = self._any(place, Delivery.objects.filter(kind=DeliveryKind.PARTNER))
        if delivery is None:
            return
        was = delivery.state
        to = DeliveryState.DELIVERED if says_yes else DeliveryState.DEAD
        if outbox.conclude(delivery, to, "the receipt came after all"):
            assert was not in _OVER, f"what was {was} became {to}"
            self.unsure.discard(delivery.pk)

    # -- what must hold, after each step
    @invariant()
    def each_try_ends_once(self) -> None:
        for event in Event.objects.filter(pk__gt=self.seen, name__in=_ENDS).order_by("pk"):
            assert event.delivery_id is not None
            self.seen = event.pk
            if "token" not in event.data:
                continue  # a receipt ended it, or a person
            tried = (event.delivery_id, event.data["token"])
            self.ended[tried] += 1
            assert self.ended[tried] == 1, f"delivery {tried[0]}: try {tried[1]} ended twice"

    @invariant()
    def what_is_over_stays_over(self) -> None:
        now_over = dict(Delivery.objects.filter(state__in=_OVER).values_list("pk", "state"))
        for pk, state in self.over.items():
            assert now_over.get(pk) == state, f"delivery {pk} was {state} and is {now_over.get(pk)}"
        self.over = now_over
        assert not QueueEntry.objects.filter(pk__in=now_over).exists(), "over, and in the queue"

    @invariant()
    def whatever_is_open_is_in_the_queue(self) -> None:
        astray = Delivery.objects.filter(entry__isnull=True).exclude(state__in=_OVER)
        assert not astray.exists(), f"open, and in no queue: {astray}"

    @invariant()
    def the_erp_has_each_once_and_in_sequence(self) -> None:
        rows = dict(Delivery.objects.filter(kind=DeliveryKind.ERP).values_list("key", "pk"))
        assert set(self.erp.applied) <= set(rows), "an effect nobody ordered"
        per_order: dict[int, list[int]] = {}
        orders = dict(Delivery.objects.filter(key__in=rows).values_list("key", "document__order_id"))
        for key in self.erp.sequence:
            per_order.setdefault(orders[key], []).append(rows[key])
        for order, pks in per_order.items():
            assert pks == sorted(pks), f"order {order}: its effects came as {pks}"

    def teardown(self) -> None:
        """All is well again: whatever was promised comes to its end."""
        try:
            if not self.failed:
                self._drain()
        finally:
            self._patch.stop()

    # -- inside
    def check_invariants(self, *given: Any, **named: Any) -> None:
        try:
            super().check_invariants(*given, **named)
        except BaseException:
            self.failed = True
            raise

    def _claim(self, kind: DeliveryKind, worker: int) -> bool:
        open_before = set(breakers.open_remotes())
        with mock.patch.object(timezone, "now", lambda: _now() + _SKEW[worker]):
            claim = outbox.claim(kind, f"worker {worker}")
        self._notice_the_buried(kind)
        if claim is None:
            return False
        pk, entry = claim.delivery.pk, QueueEntry.objects.get(pk=claim.delivery.pk)
        self._is_rightly_claimed(claim, entry, open_before)
        before = [held for held in self.held if held.claim.delivery.pk == pk]
        crashed = entry.crashes > 0
        if crashed:
            self.crashes[pk] += 1
            assert entry.crashes == self.crashes[pk], "a crash was not counted"
            assert claim.doubtful, "a try that ended without a word is not doubted"
        else:
            self.crashes[pk] = 0
            assert not before or all(held.claim.token < claim.token for held in before)
        assert claim.doubtful or pk not in self.unsure, "a try that may have had its effect is forgotten"
        self.charged[pk] += 1
        assert claim.attempts == self.charged[pk], f"try {claim.token} is counted as {claim.attempts}"
        self.held.append(Held(claim, kind))
        return True

    def _is_rightly_claimed(self, claim: outbox.Claim, entry: QueueEntry, open_before: set[str]) -> None:
        assert entry.due_at is not None
        off = abs(entry.due_at - (_now() + settings.LEASE))
        assert off < _SLOW, f"the lease is off by {off}: it runs by the clock of whoever claims"
        lanes = QueueLane.objects.filter(entry=entry).values("key")
        ahead = QueueLane.objects.filter(key__in=lanes, entry_id__lt=entry.pk)
        assert not ahead.exists(), f"delivery {entry.pk} overtook {ahead.first()} in its lane"
        if entry.remote in open_before:
            assert claim.probe is not None, f"{entry.remote} is left alone, and was called"
            assert entry.remote not in self.probed, f"two probes of {entry.remote} at once"
            self.probed.add(entry.remote)

    def _notice_the_buried(self, kind: DeliveryKind) -> None:
        """What a claim buried, instead of handing it out, died as often as the settings say."""
        dead = QueueEntry.objects.filter(kind=kind, state="dead", crashes__gte=settings.POISON_AFTER)
        for pk, attempts, crashes in dead.values_list("pk", "attempts", "crashes"):
            if self.crashes[pk] == crashes - 1:
                self.crashes[pk], self.charged[pk] = crashes, attempts

    def _handle(self, held: Held, mood: str) -> None:
        claim, pk = held.claim, held.claim.delivery.pk
        ours, before = self._is_ours(claim), self._standing(pk)
        self.erp.mood = mood
        relay.handle(claim, now=_now())
        self.erp.mood = "well"
        self.probed.discard(outbox.remote_of(claim.delivery))  # whatever it was: a call came back
        if ours:
            self._note_the_end(pk)
        else:
            assert self._standing(pk) == before, f"a late ending changed {before} to {self._standing(pk)}"

    def _end_of_a_send(self, claim: outbox.Claim, mood: str) -> None:
        pk = claim.delivery.pk
        ours, before = self._is_ours(claim), self._standing(pk)
        try:
            match mood:
                case "well":
                    outbox.finish(claim, "taken")
                case "answer lost":
                    outbox.retry(claim, "no answer", in_doubt=True)
                case "busy":
                    outbox.expect(claim, timedelta(minutes=5))
                case "refuses":
                    outbox.bury(claim, "refused")
                case _:
                    outbox.retry(claim, "503", in_doubt=claim.doubtful)
        except outbox.Fenced:
            assert not ours, "whoever holds a claim cannot end it"
        if ours:
            self._note_the_end(pk)
        else:
            assert self._standing(pk) == before, f"a late ending changed {before} to {self._standing(pk)}"
        outbox.end_probe(claim)
        if claim.probe is not None:
            self.probed.discard(claim.probe[0])

    def _note_the_end(self, pk: int) -> None:
        self.crashes[pk] = 0
        entry = QueueEntry.objects.filter(pk=pk).first()
        if entry is None:
            return
        assert entry.state != "sending", "a try ended, and its entry says it goes on"
        assert entry.attempts in {self.charged[pk], self.charged[pk] - 1}  # the latter: nobody's fault
        self.charged[pk] = entry.attempts
        if entry.state == "in_doubt":
            self.unsure.add(pk)

    def _drain(self) -> None:
        Breaker.objects.all().delete()
        self.held.clear()
        for _ in range(_ROUNDS):
            lease_runs_out()
            make_due()
            worked = 0
            for kind in _KINDS:
                while (claim := outbox.claim(kind, "the last one")) is not None:
                    worked += 1
                    if kind == DeliveryKind.PARTNER:
                        outbox.finish(claim)
                    else:
                        relay.handle(claim, now=_now())
            if not worked and not QueueEntry.objects.filter(state__in=["pending", "in_doubt", "sending"]).exists():
                break
        self.each_try_ends_once()
        self.the_erp_has_each_once_and_in_sequence()
        self._nothing_is_lost()

    def _nothing_is_lost(self) -> None:
        left = QueueEntry.objects.exclude(state="dead").exclude(kind=DeliveryKind.TIMER)
        blocked = QueueLane.objects.filter(entry__state="dead").values("key")
        left = left.exclude(lanes__key__in=blocked)
        assert not left.exists(), f"not over: {list(left.values_list('kind', 'state'))}"
        for sent in self.sent:
            digest = [self._count_of(sent.incoming)]
            assert digest == [1], "promised, and not there once"
        known = set(Order.objects.values_list("number", flat=True))
        for document in Document.objects.filter(partner_id=self.partner_id, state="parked"):
            number = document.number.removeprefix("S-")
            given_up = document.deliveries.filter(
                state__in=["dead", "cancelled"]
            ).exists() or document.deliveries.filter(entry__isnull=False)
            assert number not in known or given_up, f"{document} waits for an order that is here"
        done = Delivery.objects.filter(kind=DeliveryKind.ERP, state=DeliveryState.DELIVERED)
        lost = set(done.values_list("key", flat=True)) - set(self.erp.applied)
        assert not lost, f"delivered, and not in the ERP: {lost}"

    def _is_ours(self, claim: outbox.Claim) -> bool:
        return QueueEntry.objects.filter(pk=claim.delivery.pk, token=claim.token, state="sending").exists()

    def _standing(self, pk: int) -> object:
        """Everything about one delivery that a late ending must leave alone."""
        entry = QueueEntry.objects.filter(pk=pk).values("state", "token", "attempts", "due_at", "owner").first()
        delivery = Delivery.objects.filter(pk=pk).values("state", "result", "attempts", "last_error").first()
        return entry, delivery

    def _any(self, place: int, rows: Any) -> Delivery | None:
        found = list(rows.order_by("pk"))
        return found[place % len(found)] if found else None

    def _remote(self, what: str) -> str:
        return breakers.erp(self.connection.pk) if what == "erp" else breakers.as2(self.partner_id)

    def _count_of(self, incoming: Incoming) -> int:
        return Transmission.objects.filter(partner_id=self.partner_id, message_id=incoming.message_id).count()

    def _incoming(self, message_id: str, body: bytes) -> Incoming:
        return Incoming(
            channel=Channel.REST,
            partner_id=self.partner_id,
            format="canonical_json",
            message_id=message_id,
            raw=body,
            payload=body,
        )


def _answer(row: Transmission) -> Answer:
    return Answer(status=202, body=str(row.uid).encode())


_begin_with: Final[list[sqlite3.Connection]] = []


@contextmanager
def _in_memory(mutant: Mutant | None) -> Iterator[None]:
    """Let this process work in memory, on a copy of its database with what all examples begin with."""
    connection.ensure_connection()
    disk, start = connection.connection, _memory()
    disk.backup(start)
    connection.connection = start
    try:
        with mutant.applied() if mutant else nullcontext():
            furnish()
            connection.connection = _memory()
            _begin_with.append(start)
            yield
            connection.connection.close()
    finally:
        _begin_with.clear()
        start.close()
        connection.connection = disk


def _memory() -> sqlite3.Connection:
    made: sqlite3.Connection = connection.get_new_connection(
        {**connection.get_connection_params(), "database": ":memory:"}
    )
    made.isolation_level = None  # transactions are begun by Django, as on its own connections
    return made


def _begin_anew() -> None:
    _begin_with[0].backup(connection.connection)


def furnish() -> None:
    """The ERP and the supplier of all examples."""
    ErpConnection.objects.create(code=_CODE, base_url="http://127.0.0.1:9")
    onboarding.set_up(
        {
            "code": _CODE,
            "name": "Machine",
            "state": "live",
            "supplier_numbers": [_NUMBER],
            "agreements": [
                {"document": name, "direction": way, "channel": "rest", "format": "canonical_json", "sheet": ""}
                for name, way in (
                    ("purchase_order", "outbound"),
                    ("order_acknowledgment", "inbound"),
                    ("ship_notice", "inbound"),
                )
            ],
        }
    )


def walk(
    *, examples: int, steps: int = 40, shrink: bool = True, by_chance: bool = False, mutant: Mutant | None = None
) -> None:
    """So many examples of so many steps, on a copy of this database in memory. It must be SQLite.

    Args:
        shrink: make a failing one small, which takes a while.
        by_chance: others in each run; a failing one says how it is had again.
        mutant: the bug that is put in meanwhile.

    Raises:
        AssertionError: a rule was broken.
    """
    phases = [Phase.generate, *([Phase.shrink] if shrink else [])]
    with _in_memory(mutant):
        run_state_machine_as_test(
            Gateway,
            settings=hypothesis_settings(
                max_examples=examples,
                stateful_step_count=steps,
                phases=phases,
                derandomize=not by_chance,
                database=None,
                deadline=None,
                print_blob=True,
                suppress_health_check=list(HealthCheck),
            ),
        )
