"""Metrics: every figure the gateway tells its operators, by name, and those that a process counts by itself.

What can be read from the rows is read at the scrape (``endpoints/metrics.py``), so it is right for any number of processes and
survives all of them. What only a process knows, it counts here; each process shows its own counts, and Prometheus adds them up.
No label holds a name out of a message, and none a partner's unless ``GATEWAY_METRICS_PARTNERS`` says so.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One figure as a reader of it needs to know it."""

    help: str
    labels: tuple[str, ...] = ()
    kind: str = "gauge"  #: "gauge", read from the rows; "counter" or "histogram", counted by each process


#: Every figure there is. Unit in the name; a counter's name ends in _total.
METRICS: Final[dict[str, Metric]] = {
    # -- from the rows, at the scrape
    "gateway_database_up": Metric(help="1 when the rows could be read for this scrape, else 0 and none of the others."),
    "gateway_ready": Metric(help="1 when this part of /readyz is as it should be, else 0.", labels=("part",)),
    "gateway_queue_entries": Metric(
        help="Open deliveries by queue and state: pending, sending, in_doubt, dead.", labels=("queue", "state")
    ),
    "gateway_queue_overdue_seconds": Metric(
        help="How long the oldest due work of a queue has been due; 0: nothing is.", labels=("queue",)
    ),
    "gateway_queue_oldest_seconds": Metric(
        help="Age of the oldest work of a queue that is neither finished nor given up; 0: there is none.",
        labels=("queue",),
    ),
    "gateway_breaker_state": Metric(
        help="Whether we call a system outside: 0 yes (closed), 1 one probe (half open), 2 no (open).",
        labels=("remote",),
    ),
    "gateway_breaker_open_seconds": Metric(
        help="For how long a breaker has not been closed; 0: it is.", labels=("remote",)
    ),
    "gateway_cases_open": Metric(help="Open exception cases by reason.", labels=("reason",)),
    "gateway_cases_overdue": Metric(help="Open exception cases past their due time."),
    "gateway_audit_unsealed_events": Metric(help="Events in no batch of the audit trail yet; counted up to 100,000."),
    "gateway_audit_unsealed_seconds": Metric(help="Age of the oldest event that is not sealed; 0: all are."),
    "gateway_heartbeat_seconds": Metric(
        help="Time since the last beat of the loop of a kind that has been quiet for longest.", labels=("loop",)
    ),
    "gateway_loops": Metric(
        help="Loops of a kind: alive, or silent for three of their intervals.", labels=("loop", "state")
    ),
    "gateway_certificate_days": Metric(
        help="Days until the first certificate of a role expires that has no successor; partner is empty unless enabled.",
        labels=("owner", "role", "partner"),
    ),
    # -- counted by each process
    "gateway_tries_total": Metric(
        help="Tries by queue and how they ended: delivered, taken, retry, in_doubt, dead, crashed; of timers again, failed.",
        labels=("queue", "outcome"),
        kind="counter",
    ),
    "gateway_try_seconds": Metric(help="Time from a claim to the end of its try.", labels=("queue",), kind="histogram"),
    "gateway_claims_fenced_total": Metric(
        help="Results dropped because the claim had become somebody else's.", kind="counter"
    ),
    "gateway_messages_stored_total": Metric(
        help="Messages taken in and committed, repeats not counted.", labels=("channel",), kind="counter"
    ),
    "gateway_messages_repeated_total": Metric(
        help="Repeats of stored messages that got the stored answer.", labels=("channel",), kind="counter"
    ),
    "gateway_requests_refused_total": Metric(
        help="Requests the doors refused, by door and reason.", labels=("door", "reason"), kind="counter"
    ),
    "gateway_as2_answer_seconds": Metric(
        help="Time from a whole AS2 message to its signed receipt, or to the word that one will come.",
        kind="histogram",
    ),
    "gateway_wakeups_lost_total": Metric(
        help="Wake-ups the broker did not take; the work is found by the next poll.", kind="counter"
    ),
    "gateway_log_lines_lost_total": Metric(
        help="Log lines dropped because their reader is too slow, or they could not be written.", kind="counter"
    ),
}

#: Of this process alone, without what others add to the library's own registry.
REGISTRY: Final = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)

#: Seconds: a receipt takes milliseconds, a partner's server minutes.
_TRY_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_ANSWER_S: Final = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10)


def _counter(name: str) -> Counter:
    metric = METRICS[name]
    return Counter(name, metric.help, metric.labels, registry=REGISTRY)


def _histogram(name: str, buckets: tuple[float, ...]) -> Histogram:
    metric = METRICS[name]
    return Histogram(name, metric.help, metric.labels, registry=REGISTRY, buckets=buckets)


TRIES: Final = _counter("gateway_tries_total")
TRY_SECONDS: Final = _histogram("gateway_try_seconds", _TRY_S)
FENCED: Final = _counter("gateway_claims_fenced_total")
STORED: Final = _counter("gateway_messages_stored_total")
REPEATED: Final = _counter("gateway_messages_repeated_total")
REFUSED: Final = _counter("gateway_requests_refused_total")
AS2_ANSWER_SECONDS: Final = _histogram("gateway_as2_answer_seconds", _ANSWER_S)
WAKEUPS_LOST: Final = _counter("gateway_wakeups_lost_total")
LOG_LINES_LOST: Final = _counter("gateway_log_lines_lost_total")


@contextmanager
def timed_try(queue: str) -> Iterator[None]:
    """Count the seconds of one try, however it ends."""
    began = time.perf_counter()
    try:
        yield
    finally:
        TRY_SECONDS.labels(queue).observe(time.perf_counter() - began)


def serve(port: int, host: str = "127.0.0.1") -> int:
    """Show what this process counts over HTTP, for one that has no web server of its own; returns the port.

    Args:
        port: 0 lets the system choose.
        host: an address that only Prometheus reaches: nobody is asked who they are.

    Raises:
        OSError: the port is taken.
    """
    server, _ = start_http_server(port, addr=host, registry=REGISTRY)
    return int(server.server_port)
