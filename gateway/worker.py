"""The worker: threads that claim what is due and handle it, and one that looks for it every few seconds.

A ring (``bell.py``) only says that a queue may have work: it sets the queue awake, and it sleeps again when a claim finds
nothing. The poll sets every queue awake that has due work, whoever rang or did not. So a broker that is gone, flushed or
half-open costs latency and nothing else, and there is no scheduler to lose.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import timedelta
from typing import Final

from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections, connections
from django.utils import timezone

from gateway import audit, heartbeats, outbox, timers
from gateway.bell import bell
from gateway.models import DeliveryKind
from gateway.pipeline import relay
from partners.keystore import KeystoreError

log = logging.getLogger(__name__)

#: What is furthest on its way comes first: what was begun is ended before anything new begins.
ORDER: Final = (
    DeliveryKind.RECEIPT,
    DeliveryKind.PARTNER,
    DeliveryKind.ERP,
    DeliveryKind.APPLY,
    DeliveryKind.TRANSLATE,
    DeliveryKind.TIMER,
)
#: A queue that no hand came to for so long goes before all others.
_PATIENCE_S: Final = 2.0
#: Seconds between the tries of a hand whose database does not answer.
_BACKOFF_S: Final = (0.0, 0.5, 1.0, 2.0, 5.0)
#: So much later than due an alarm goes, so that the database finds it due as well.
_SLACK_S: Final = 0.01
#: What may have killed a process waits so many seconds, at most, until this one does nothing else, and keeps it from beginning
#: anything else as long.
_ALONE_S: Final = 3.0
#: So long after a process began, or met such a thing, it claims one piece of work at a time.
_WARY_S: Final = 30.0
#: A hand that is at one piece of work for so many leases hangs.
_HANGS_AFTER: Final = 2
#: Seconds a stop waits for what is under way. What is cut off then is found again by its lease.
_STOP_S: Final = 10.0


def _alone_s() -> float:
    return min(_ALONE_S, settings.LEASE.total_seconds() / 4)


class Worker:
    """The hands of one process, and its poll. Start it after any fork: threads do not survive one."""

    def __init__(self, *, hands: int | None = None, kinds: Iterable[DeliveryKind] | None = None) -> None:
        """Args:
        hands: pieces of work done at the same time; ``settings.HANDS`` when not said.
        kinds: of work; all when not said.
        """
        self._count = hands or settings.HANDS
        wanted = set(DeliveryKind) if kinds is None else set(kinds)
        self._kinds = [kind for kind in ORDER if kind in wanted]
        self._changed = threading.Condition()
        self._awake: dict[DeliveryKind, float] = {}  # since when it waits for a hand
        self._rings: dict[DeliveryKind, int] = dict.fromkeys(self._kinds, 0)
        self._turns: list[float] = []  # when timers of which this worker had the last turn are due
        self._idle = 0
        self._sooner = threading.Event()  # a turn was added, or the worker ends
        self._ending = threading.Event()
        self._troubled = False
        self._beat_due = 0.0
        self._hands: list[threading.Thread] = []
        self._busy: dict[threading.Thread, tuple[float, outbox.Claim]] = {}  # what a hand is at, since when
        self._hung: list[threading.Thread] = []  # hands that others have replaced
        self._over = threading.Condition()  # some hand has ended what it was at
        self._claiming = threading.Lock()
        self._wary_until = time.monotonic() + _WARY_S
        self._alone: outbox.Claim | None = None  # what is tried while nothing else begins, until
        self._alone_until = 0.0
        self._poll = threading.Thread(target=self._look_again_and_again, name="poll", daemon=True)

    def start(self) -> None:
        bell.listen(self.wake)
        self._fill_up()
        self._poll.start()

    def stop(self, within_s: float = _STOP_S) -> bool:
        """Begin nothing else and let what is under way end; False when something did not in time."""
        bell.listen(None)
        with self._changed:
            self._ending.set()
            self._changed.notify_all()
        self._sooner.set()
        deadline = time.monotonic() + within_s
        threads = [thread for thread in (*self._hands, self._poll) if thread.ident is not None]
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        busy = [thread.name for thread in (*threads, *self._hung) if thread.is_alive()]
        if busy:
            log.warning("still under way after %g s, found again by their leases: %s", within_s, ", ".join(busy))
        self._seal()
        return not busy

    def _seal(self) -> None:
        """Leave the audit trail sealed and signed; when that cannot be, the next process does it."""
        if DeliveryKind.TIMER not in self._rings:
            return
        try:
            audit.seal_all()
            audit.checkpoint()
        except (DatabaseError, KeystoreError, OSError) as error:
            log.warning("the audit trail was not signed at the end: %s", error)
        finally:
            close_old_connections()

    def wake(self, kind: DeliveryKind) -> bool:
        """Say that ``kind`` may have work; True when a free hand comes for it."""
        if kind not in self._rings:
            return False
        with self._changed:
            self._rings[kind] += 1
            self._awake.setdefault(kind, time.monotonic())
            free = self._idle > 0 and not self._ending.is_set()
            self._changed.notify()
        return free

    # -- the hands

    def _fill_up(self) -> None:
        """As many hands as there should be: one that died is replaced, and one that hangs, which ends when it does not any more."""
        self._let_go_of_the_hung()
        self._hands = [hand for hand in self._hands if hand.is_alive() and hand not in self._hung]
        for _ in range(self._count - len(self._hands)):
            hand = threading.Thread(target=self._work, name="hand", daemon=True)
            hand.start()
            self._hands.append(hand)

    def _let_go_of_the_hung(self) -> None:
        self._hung = [hand for hand in self._hung if hand.is_alive()]
        now = time.monotonic()
        for hand, (since, claim) in list(self._busy.items()):
            # The turns of timers have leases of their own, of hours.
            if claim.delivery.kind == DeliveryKind.TIMER or hand in self._hung:
                continue
            if now - since > _HANGS_AFTER * settings.LEASE.total_seconds():
                self._hung.append(hand)
                log.critical("a hand hangs at %s for %.0f s; another takes its place", claim.delivery, now - since)

    def _work(self) -> None:
        owner = heartbeats.owner()
        faults = 0
        try:
            while (chosen := self._next()) is not None:
                try:
                    self._handle_one(*chosen, owner)
                    faults = 0
                except Exception as error:  # noqa: BLE001  # the outer edge of a hand: logged, and the lease ends
                    self._report(error)
                    self._ending.wait(_BACKOFF_S[min(faults, len(_BACKOFF_S) - 1)])
                    faults += 1
        except BaseException:
            log.critical("a hand died; another takes its place at the next poll", exc_info=True)
        finally:
            connections.close_all()

    def _next(self) -> tuple[DeliveryKind, int] | None:
        """Wait for a queue that is awake; None when the worker is ending."""
        with self._changed:
            self._idle += 1
            try:
                while not self._ending.is_set() and threading.current_thread() not in self._hung:
                    if (kind := self._choose()) is not None:
                        self._awake[kind] = time.monotonic()
                        return kind, self._rings[kind]
                    self._changed.wait()
            finally:
                self._idle -= 1
        return None

    def _choose(self) -> DeliveryKind | None:
        if not self._awake:
            return None
        longest = min(self._awake, key=self._awake.__getitem__)
        if time.monotonic() - self._awake[longest] > _PATIENCE_S:
            return longest
        return next(kind for kind in self._kinds if kind in self._awake)

    def _handle_one(self, kind: DeliveryKind, rings: int, owner: str) -> None:
        close_old_connections()
        claim = self._claim(kind, owner)
        self._recovered()
        if claim is None:
            self._sleep(kind, rings)
            return
        self._share(kind)
        if kind is DeliveryKind.TIMER:
            with self._at(claim):
                self._set_alarm(timers.run(claim, now=timezone.now()))
        elif claim.crashes:
            self._handle_alone(claim)
        else:
            self._handle(claim, owner)

    def _handle(self, claim: outbox.Claim, owner: str) -> None:
        """And the steps that follow from it, each a claim of its own, as long as this hand may go on."""
        step: outbox.Claim | None = claim
        while step is not None:
            with self._at(step), outbox.going_on(owner, self._kinds, self._may_go_on) as hand:
                relay.handle(step, now=timezone.now())
            step = hand.claim()

    def _may_go_on(self) -> bool:
        alone = self._alone is not None and time.monotonic() < self._alone_until
        return not (self._ending.is_set() or alone or threading.current_thread() in self._hung)

    def _claim(self, kind: DeliveryKind, owner: str) -> outbox.Claim | None:
        wary = time.monotonic() < self._wary_until
        with self._claiming if wary else nullcontext():
            # Nothing begins beside what is tried alone: should that kill us, nothing else is to be counted as killing.
            if wary:
                with self._over:
                    self._over.wait_for(lambda: self._alone is None, max(0.0, self._alone_until - time.monotonic()))
                if self._ending.is_set():  # since it began to wait
                    return None
            claim = outbox.claim(kind, owner)
            if claim is not None and claim.crashes and kind is not DeliveryKind.TIMER:
                now = time.monotonic()
                self._alone, self._alone_until, self._wary_until = claim, now + _alone_s(), now + _WARY_S
        return claim

    def _handle_alone(self, claim: outbox.Claim) -> None:
        """Try what was under way when a process died while this one does nothing else: of all that was, one piece is to blame."""
        try:
            with self._over:
                self._over.wait_for(lambda: not self._busy, _alone_s())
            with self._at(claim):
                relay.handle(claim, now=timezone.now())
        finally:
            with self._over:
                if self._alone is claim:
                    self._alone = None
                    self._over.notify_all()

    @contextmanager
    def _at(self, claim: outbox.Claim) -> Iterator[None]:
        """Say what this hand is at."""
        hand = threading.current_thread()
        self._busy[hand] = time.monotonic(), claim
        try:
            yield
        finally:
            with self._over:
                del self._busy[hand]
                self._over.notify_all()

    def _sleep(self, kind: DeliveryKind, rings: int) -> None:
        """Nothing was due; unless somebody rang since then, nothing is."""
        with self._changed:
            if self._rings[kind] == rings:
                self._awake.pop(kind, None)

    def _share(self, kind: DeliveryKind) -> None:
        """Where something was due more may be: another hand looks, here or in another process."""
        with self._changed:
            free = self._idle > 0
            self._changed.notify()
        if not free:
            bell.pass_on(kind)

    # -- the poll

    def _look_again_and_again(self) -> None:
        next_look = time.monotonic()  # the first is at once: what a crash left behind need not wait
        while self._wait_until(next_look):
            next_look = time.monotonic() + settings.POLL_S * random.uniform(0.8, 1.2)  # noqa: S311  # jitter, not a secret
            try:
                self._look()
            except Exception as error:  # noqa: BLE001  # the outer edge of this thread: logged, and it looks again
                self._report(error)
        with suppress(DatabaseError):
            heartbeats.gone("worker")
        connections.close_all()

    def _look(self) -> None:
        self._fill_up()
        close_old_connections()
        self._beat()
        if DeliveryKind.TIMER in self._rings:
            timers.ensure()
        outbox.end_leases(heartbeats.is_gone)
        outbox.set_aside()
        for kind in outbox.due_kinds():
            self.wake(kind)
        self._recovered()

    def _wait_until(self, moment: float) -> bool:
        """Wake the timers whose turn comes until then; False when the worker is ending."""
        while not self._ending.is_set():
            self._sooner.clear()
            now = time.monotonic()
            with self._changed:
                due = any(one <= now for one in self._turns)
                self._turns = [one for one in self._turns if one > now]
                next_turn = min(self._turns, default=moment)
            if due:
                self.wake(DeliveryKind.TIMER)
            if now >= moment:
                return True
            self._sooner.wait(min(moment, next_turn) - now)
        return False

    def _set_alarm(self, after: timedelta | None) -> None:
        """Be there for the next turn of a timer. Another worker finds it when this one is gone by then."""
        if after is not None:
            with self._changed:
                self._turns.append(time.monotonic() + after.total_seconds() + _SLACK_S)
            self._sooner.set()

    def _beat(self) -> None:
        now = time.monotonic()
        if now >= self._beat_due:
            every_s = max(heartbeats.EVERY_S, settings.POLL_S * 1.2)
            heartbeats.beat("worker", every_s, {"hands": self._count, "idle": self._idle})
            self._beat_due = now + heartbeats.EVERY_S

    # -- the database

    def _report(self, error: Exception) -> None:
        if not isinstance(error, DatabaseError | InterfaceError):
            log.error("a piece of work ended with a fault nobody foresaw", exc_info=error)
        elif not self._troubled:
            self._troubled = True
            log.error("The database does not answer; looking again. %s: %s", type(error).__name__, error)

    def _recovered(self) -> None:
        if self._troubled:
            self._troubled = False
            log.warning("The database answers again.")
