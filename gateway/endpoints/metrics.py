"""GET /metrics: every figure of ``gateway.metrics``, for Prometheus.

For the addresses of ``GATEWAY_METRICS_FROM`` and whoever has ``GATEWAY_METRICS_TOKEN``; for everybody else there is nothing here.
The rows are read at most every five seconds, however often it is asked, by one thread; each process shows the same of them.
"""

from __future__ import annotations

import hmac
import ipaddress
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from django.conf import settings
from django.db import Error as DatabaseError
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from gateway import heartbeats, vitals
from gateway.endpoints import health, proxies
from gateway.metrics import METRICS, REGISTRY
from gateway.models import EntryState
from gateway.vitals import BreakerState
from partners import expiry

#: Seconds for which what was read from the rows holds.
HOLDS_S: Final = 5.0

#: A figure with the values of its labels.
Sample = tuple[tuple[str, ...], float]


@never_cache
@require_safe
def scrape(request: HttpRequest) -> HttpResponse:
    """GET /metrics, for those who may."""
    if not may_read(request):
        raise Http404
    return HttpResponse(ROWS.exposition() + generate_latest(REGISTRY), content_type=CONTENT_TYPE_LATEST)


def may_read(request: HttpRequest) -> bool:
    """Whether the caller is at an address that may, or brings the token."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if settings.METRICS_TOKEN and scheme.lower() == "bearer":
        return hmac.compare_digest(token.strip().encode(), settings.METRICS_TOKEN.encode())
    if proxies.came_by_stranger(request):
        return False  # by a proxy we were not told of, which stands at one of our own addresses
    try:
        address = ipaddress.ip_address(proxies.client_address(request))
    except ValueError:
        return False
    return any(address in network for network in settings.METRICS_FROM)


class Rows(Collector):
    """What is read from the rows, kept for a while."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._reading = threading.Lock()
        self._kept: tuple[float, bytes] | None = None

    def forget(self) -> None:
        """Read anew the next time."""
        self._kept = None

    def exposition(self) -> bytes:
        """In the text form of Prometheus."""
        kept = self._kept
        if kept is not None and self._clock() - kept[0] < HOLDS_S:
            return kept[1]
        # Who comes while another reads gets what that one finds; the first of all waits for it.
        if not self._reading.acquire(blocking=kept is None):
            return kept[1] if kept is not None else b""
        try:
            text: bytes = generate_latest(self)
            self._kept = (self._clock(), text)
        finally:
            self._reading.release()
        return text

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Every figure of the rows; of a database that does not answer, that it does not."""
        yield _family(
            "gateway_ready", [((part,), float(why == health.OK)) for part, why in health.READINESS.parts().items()]
        )
        try:
            found = [_family(name, samples) for read in _READ for name, samples in read()]
        except DatabaseError:
            yield _family("gateway_database_up", [((), 0.0)])
            return
        yield _family("gateway_database_up", [((), 1.0)])
        yield from found


Figures = Iterator[tuple[str, Sequence[Sample]]]


def _queues() -> Figures:
    found = vitals.queues()
    yield (
        "gateway_queue_entries",
        [((one.kind, state), float(one.entries.get(state, 0))) for one in found for state in EntryState],
    )
    yield "gateway_queue_overdue_seconds", [((one.kind,), one.overdue_s) for one in found]
    yield "gateway_queue_oldest_seconds", [((one.kind,), one.oldest_s) for one in found]


#: As the metric says it.
_BREAKER: Final = {BreakerState.CLOSED: 0.0, BreakerState.HALF_OPEN: 1.0, BreakerState.OPEN: 2.0}


def _breakers() -> Figures:
    found = vitals.breakers()
    yield "gateway_breaker_state", [((one.remote,), _BREAKER[one.state]) for one in found]
    yield "gateway_breaker_open_seconds", [((one.remote,), one.not_closed_s) for one in found]


def _cases() -> Figures:
    found = vitals.cases()
    yield "gateway_cases_open", [((reason,), float(count)) for reason, count in sorted(found.by_reason.items())]
    yield "gateway_cases_overdue", [((), float(found.overdue))]


def _audit() -> Figures:
    found = vitals.seal()
    yield "gateway_audit_unsealed_events", [((), float(found.unsealed))]
    yield "gateway_audit_unsealed_seconds", [((), found.oldest_s)]


def _loops() -> Figures:
    found = heartbeats.all_beats()
    kinds = sorted({one.loop for one in found})
    yield (
        "gateway_heartbeat_seconds",
        [((kind,), max(one.age_s for one in found if one.loop == kind)) for kind in kinds],
    )
    counts = [
        ((kind, state), float(sum(one.loop == kind and one.silent is silent for one in found)))
        for kind in kinds
        for state, silent in (("alive", False), ("silent", True))
    ]
    yield "gateway_loops", counts


def _certificates() -> Figures:
    soonest: dict[tuple[str, ...], float] = {}
    now = timezone.now()
    for one in expiry.unreplaced(now):
        owner = "ours" if one.partner is None else "partner"
        labels = (owner, one.role, (one.partner or "") if settings.METRICS_PARTNERS else "")
        days = (one.not_after - now).total_seconds() / 86_400
        soonest[labels] = min(days, soonest.get(labels, days))
    yield "gateway_certificate_days", sorted(soonest.items())


_READ: Final[tuple[Callable[[], Figures], ...]] = (_queues, _breakers, _cases, _audit, _loops, _certificates)


def _family(name: str, samples: Iterable[Sample]) -> GaugeMetricFamily:
    metric = METRICS[name]
    family = GaugeMetricFamily(name, metric.help, labels=metric.labels)
    for labels, value in samples:
        family.add_metric(labels, value)
    return family


ROWS: Final = Rows()
