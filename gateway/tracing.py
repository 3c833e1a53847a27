"""Tracing: a span for each request at a door and for each try, where somebody collects them; else nothing at all.

On when ``OTEL_EXPORTER_OTLP_ENDPOINT`` is set and the packages ``opentelemetry-sdk`` and ``opentelemetry-exporter-otlp-proto-http``
are installed; everything else is OpenTelemetry's own environment (``OTEL_SERVICE_NAME``, ``OTEL_TRACES_SAMPLER``, …). A provider
that is there already, by ``opentelemetry-instrument`` for one, is used as it is. Attributes are ids, never contents.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from opentelemetry.trace import Tracer

log = logging.getLogger(__name__)


def span(name: str, **ids: str | int | None) -> AbstractContextManager[None]:
    """The span of a piece of work; an exception that leaves it is noted by its class alone.

    Args:
        ids: become attributes ``gateway.<name>``; None is left out.
    """
    tracer = _tracer()
    return nullcontext() if tracer is None else _spanned(tracer, name, ids)


def tell(**ids: str | int | None) -> None:
    """Add ids to the span that is open, should there be one."""
    if _tracer() is not None:
        from opentelemetry import trace

        trace.get_current_span().set_attributes(_attributes(ids))


@contextmanager
def _spanned(tracer: Tracer, name: str, ids: dict[str, str | int | None]) -> Iterator[None]:
    from opentelemetry.trace import Status, StatusCode

    # The words and the frames of an exception may hold contents, so the library does not get to note it.
    with tracer.start_as_current_span(
        name, attributes=_attributes(ids), record_exception=False, set_status_on_exception=False
    ) as opened:
        try:
            yield
        except Exception as error:
            opened.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise


def _attributes(ids: dict[str, str | int | None]) -> dict[str, str | int]:
    return {f"gateway.{name}": value for name, value in ids.items() if value is not None}


@cache
def _tracer() -> Tracer | None:
    if not os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return None
    try:
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
    except ImportError:
        log.warning("OTEL_EXPORTER_OTLP_ENDPOINT is set, and opentelemetry-sdk is not installed: no spans")
        return None
    if not isinstance(trace.get_tracer_provider(), TracerProvider):
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError:
            log.warning(
                "OTEL_EXPORTER_OTLP_ENDPOINT is set, and opentelemetry-exporter-otlp-proto-http is not installed: no spans"
            )
            return None
        provider = TracerProvider()
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        trace.set_tracer_provider(provider)
    return trace.get_tracer("gateway")
