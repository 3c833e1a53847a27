"""Tracing: spans where somebody collects them, with ids and nothing else; without a collector, nothing."""

from __future__ import annotations

import json
import os
from typing import Any

from tests.prepared import Prepared

COLLECTED = """
import json
from django.test import Client
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from gateway import tracing

kept = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(kept))
trace.set_tracer_provider(provider)

try:
    with tracing.span("try erp", delivery=7, document=None):
        tracing.tell(outcome="retry")
        raise ValueError("7341.99 EUR")
except ValueError:
    pass
Client().get("/v1/nowhere?price=7341.99")
Client().get("/healthz")
print(json.dumps([json.loads(span.to_json()) for span in kept.get_finished_spans()]))
"""


def spans(**environment: str) -> list[dict[str, Any]]:
    with Prepared({**os.environ, "DJANGO_SETTINGS_MODULE": "gateway.settings", **environment}) as started:
        found: list[dict[str, Any]] = json.loads(started.printed("-c", COLLECTED))
    return found


def test_a_try_and_a_request_at_a_door_are_spans_of_ids_alone() -> None:
    tried, asked = spans(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")
    assert (tried["name"], asked["name"]) == ("try erp", "door rest")
    assert tried["attributes"] == {"gateway.delivery": 7, "gateway.outcome": "retry"}
    assert tried["status"] == {"status_code": "ERROR", "description": "ValueError"}
    assert asked["attributes"].keys() == {"gateway.request", "gateway.status"}
    assert "7341.99" not in json.dumps([tried, asked])


def test_without_a_collector_there_are_no_spans() -> None:
    assert spans(OTEL_EXPORTER_OTLP_ENDPOINT="") == []
