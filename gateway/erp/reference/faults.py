"""Misbehaviour on request: which of the next calls go wrong, and how."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from gateway.erp.reference.problems import Problem

#: What a fault may be limited to: the operations of ``/v1``.
OPERATIONS: Final = frozenset({"changes", "settle", "load", "submit", "find", "snapshot"})


class FaultKind(StrEnum):
    DOWN = "down"  #: the connection is dropped, nothing was done
    SLOW = "slow"  #: the call waits ``seconds``, then everything is done as usual
    BUSY_429 = "busy_429"  #: 429, Retry-After ``seconds``; nothing was done
    ERROR_500 = "error_500"  #: 500; nothing was done
    REJECT = "reject"  #: 422 in the ERP's own words; nothing was done
    LATER = "later"  #: a document is accepted with 202 and posted by POST /admin/post
    LOSE_ANSWER = "lose_answer"  #: done and committed, then the connection is dropped
    LATE_500 = "late_500"  #: done and committed, then 500
    GARBAGE = "garbage"  #: done and committed, then 200 with a page of a proxy


@dataclass(slots=True)
class Fault:
    kind: FaultKind
    count: int | None  #: how often it still happens; None: until cleared
    operations: frozenset[str] = OPERATIONS
    seconds: float = 1.0
    probability: float = 1.0
    dice: random.Random = field(default_factory=random.Random)


class FaultBox:
    """The faults that wait to happen. They live in memory: a restart is a recovery."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()

    def listing(self) -> list[dict[str, object]]:
        with self._lock:
            return [{"kind": f.kind, "count": f.count, "routes": sorted(f.operations)} for f in self._faults]

    def draw(self, operation: str) -> Fault | None:
        """The fault that befalls this call: the oldest that applies and whose dice say so."""
        with self._lock:
            for fault in self._faults:
                if operation in fault.operations and fault.dice.random() < fault.probability:
                    if fault.count is not None:
                        fault.count -= 1
                        if fault.count == 0:
                            self._faults.remove(fault)
                    return fault
        return None


def read_fault(body: Mapping[str, object]) -> Fault:
    """The fault that a POST /admin/faults describes.

    Raises:
        Problem: 422 with the member that cannot be meant.
    """
    kind = body.get("kind")
    if not isinstance(kind, str) or kind not in set(FaultKind):
        raise Problem(422, "invalid", f"kind must be one of {', '.join(FaultKind)}.")
    count = body.get("count", 1)
    if count is not None and (not isinstance(count, int) or count < 1):
        raise Problem(422, "invalid", "count must be a whole number from 1, or null for: until cleared.")
    operations = body.get("routes", sorted(OPERATIONS))
    if not isinstance(operations, list) or not operations or not OPERATIONS.issuperset(map(str, operations)):
        raise Problem(422, "invalid", f"routes must be a list of {', '.join(sorted(OPERATIONS))}.")
    seconds, probability = _number(body, "seconds", 600), _number(body, "probability", 1)
    seed = body.get("seed")
    if seed is not None and not isinstance(seed, int | str):
        raise Problem(422, "invalid", "seed must be a number or a text.")
    dice = random.Random(seed)  # noqa: S311  # chance on request, repeatable by its seed; nothing secret
    return Fault(FaultKind(kind), count, frozenset(map(str, operations)), seconds, probability, dice)


def _number(body: Mapping[str, object], name: str, most: float) -> float:
    value = body.get(name, 1.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise Problem(422, "invalid", f"{name} must be a number from 0 to {most:g}.")
    return float(value)
