"""The supplier's side of the whole way: acknowledgments are made before the clock starts, posted, and judged after it stops.

All of it in a process of its own, so that it takes nothing from the interpreter of whoever measures.
"""

from __future__ import annotations

import http.client
import itertools
import multiprocessing
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Final

from gateway.transports.as2 import Outgoing, Verdict, build_message, read_mdn
from partners.profiles import As2Terms
from tests.bench import x12_documents
from tests.bench.measure import Void

SENDERS: Final = 8  #: that post as fast as they are taken
_PACED_SENDERS: Final = 64  #: enough that none is late because others wait
_TIMEOUT_S: Final = 60


@dataclass(frozen=True, slots=True)
class Posted:
    """One message that was taken, proved by its signed MDN."""

    number: str  #: of the order
    waited_s: float  #: from when it was to leave to the last byte of the MDN
    taken_at: float  #: time.time() at that moment


class Senders:
    """Close it."""

    def __init__(self, terms: As2Terms, lines: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._process = ProcessPoolExecutor(1, mp_context=context, initializer=_begin, initargs=(terms, lines))

    def make(self, numbers: Sequence[str]) -> None:
        """Have the acknowledgments of these orders ready."""
        self._process.submit(_make, numbers).result()

    def post(self, ports: Sequence[int], numbers: Sequence[str], *, per_second: float | None = None) -> list[Posted]:
        """Post what was made, in this order, evenly over these ports.

        Args:
            per_second: so many, whatever becomes of them; None: as fast as they are taken.

        Raises:
            Void: one was not taken.
        """
        return self._process.submit(_post_all, ports, numbers, per_second).result()

    def close(self) -> None:
        self._process.shutdown(cancel_futures=True)


# ------------------------------------------------------------------------------------------------- in the other process
@dataclass(slots=True)
class _Supplier:
    terms: As2Terms
    lines: int
    made: dict[str, Outgoing]  #: by number of the order


_here: Final[list[_Supplier]] = []


def _begin(terms: As2Terms, lines: int) -> None:
    _here.append(_Supplier(terms, lines, {}))


def _make(numbers: Sequence[str]) -> None:
    [supplier] = _here
    for number in numbers:
        supplier.made[number] = build_message(
            x12_documents.acknowledgment(number, supplier.lines),
            terms=supplier.terms,
            message_id=f"{number}@supplier",
            content_type="application/edi-x12",
            file_name=f"{number}.edi",
        )


def _post_all(ports: Sequence[int], numbers: Sequence[str], per_second: float | None) -> list[Posted]:
    [supplier] = _here
    start, turns, own = time.monotonic(), itertools.count(), threading.local()

    def connect() -> None:
        """Each thread keeps its connection; they take turns with the ports."""
        port = ports[next(turns) % len(ports)]
        own.wire = wires.enter_context(closing(http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)))

    def post(place: int) -> tuple[Posted, dict[str, str], bytes]:
        due = start + place / per_second if per_second else time.monotonic()
        time.sleep(max(0.0, due - time.monotonic()))
        message = supplier.made[numbers[place]]
        own.wire.request("POST", "/as2", body=message.body, headers=message.headers)
        answer = own.wire.getresponse()
        headers, body = dict(answer.getheaders()), answer.read()
        return Posted(numbers[place], time.monotonic() - due, time.time()), headers, body

    with ExitStack() as wires, ThreadPoolExecutor(_PACED_SENDERS if per_second else SENDERS, "sender", connect) as pool:
        answers = list(pool.map(post, range(len(numbers))))
    for posted, headers, body in answers:
        sent = supplier.made.pop(posted.number)
        said = read_mdn(headers, body, message_id=sent.message_id, digests=sent.digests, terms=supplier.terms)
        if said.verdict is not Verdict.DELIVERED:
            raise Void(f"a message was not taken: {said.text}")
    return [posted for posted, _, _ in answers]
