"""Logs: one line each, ids in every one, nothing of what an error failed on, and nobody waits for them."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pydantic
import pytest
from django.db import DataError, OperationalError

from gateway import logs, metrics
from tests.prepared import Prepared

PRICE = "7341.99"


def record_of(message: str, *args: object, error: BaseException | None = None) -> logging.LogRecord:
    caught: Any = (type(error), error, error.__traceback__) if error else None
    return logging.LogRecord("gateway.pipeline.relay", logging.INFO, __file__, 1, message, args, caught)


def line_of(message: str, *args: object, error: BaseException | None = None) -> dict[str, Any]:
    line: dict[str, Any] = json.loads(logs.Json().format(record_of(message, *args, error=error)))
    return line


def raised(error: Exception) -> Exception:
    try:
        raise error
    except type(error) as caught:
        return caught


def test_a_line_is_one_json_object_with_its_moment_level_and_ids() -> None:
    with logs.bound(correlation_id="c-1", delivery=7):
        logs.bind(partner="ACME", transmission=None, message_id="")
        line = line_of("tried %s", 3)
    assert line.pop("at").endswith("Z")
    assert line == {
        "level": "INFO",
        "logger": "gateway.pipeline.relay",
        "message": "tried 3",
        "correlation_id": "c-1",
        "delivery": 7,
        "partner": "ACME",
    }


def test_ids_end_with_their_block() -> None:
    with logs.bound(delivery=7):
        with logs.bound(document=8):
            assert logs.ids() == {"delivery": 7, "document": 8}
        assert logs.ids() == {"delivery": 7}
    assert logs.ids() == {}


@pytest.mark.parametrize("form", [logs.Json(), logs.Line()])
@pytest.mark.parametrize("hostile", ['\n{"level": "ERROR"}', "\r\x1b[31m", "\u2028\u202e\x00", "\x85\x9b"])
def test_what_a_stranger_wrote_cannot_begin_a_line_or_steer_a_terminal(form: logging.Formatter, hostile: str) -> None:
    with logs.bound(message_id=hostile):
        line = form.format(record_of("came: %s", hostile))
    assert len(line.splitlines()) == 1
    assert line.isprintable()


def test_a_long_message_is_cut() -> None:
    assert len(line_of("x" * 1_000_000)["message"]) == 2000


def test_an_unforeseen_error_is_told_by_class_and_places_without_its_words() -> None:
    class Terms(pydantic.BaseModel):
        price: int

    with pytest.raises(pydantic.ValidationError) as caught:
        Terms.model_validate({"price": PRICE})
    line = json.dumps(line_of("failed", error=caught.value))
    assert PRICE not in line
    assert "ValidationError" in line
    assert "test_logs.py" in line


def test_the_words_of_what_led_to_an_error_are_left_out_too() -> None:
    try:
        try:
            raise ValueError(PRICE)
        except ValueError as first:
            raise RuntimeError("while pricing " + PRICE) from first
    except RuntimeError as error:
        line = line_of("failed", error=error)
    assert [one["error"].partition(" at ")[0] for one in line["errors"]] == ["RuntimeError", "ValueError"]
    assert PRICE not in json.dumps(line)


def test_an_error_among_the_arguments_is_told_the_same_way() -> None:
    assert line_of("order=%s: %s", 3, raised(DataError(PRICE)))["message"] == "order=3: DataError"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "ConnectionRefusedError: [Errno 111] Connection refused"),
        (OperationalError("database is locked"), "OperationalError: database is locked"),
        (DataError(f"invalid input: {PRICE}"), "DataError"),
    ],
)
def test_the_words_of_the_system_are_shown_and_those_about_values_are_not(error: Exception, said: str) -> None:
    assert logs.told(raised(error)) == said


def test_a_line_whose_words_do_not_fit_its_values_is_counted_and_harms_nobody() -> None:
    handler = logs.Unhurried()
    handler.setFormatter(logs.Json())
    before = lost()
    handler.handle(record_of("%d", PRICE))
    assert lost() == before + 1


@pytest.fixture
def stuck_reader() -> Iterator[tuple[int, int]]:
    """A pipe that nobody reads."""
    out, into = os.pipe()
    yield out, into
    os.close(into)


def test_work_does_not_wait_for_a_reader_that_has_stopped(stuck_reader: tuple[int, int]) -> None:
    handler = logs.Unhurried(stuck_reader[1], most=100)
    handler.setFormatter(logs.Json())
    before, began = lost(), time.monotonic()
    for number in range(2000):  # more than the pipe and the queue hold
        handler.handle(record_of("%s " + "x" * 500, number))
    assert time.monotonic() - began < 5
    assert lost() - before > 1000
    os.close(stuck_reader[0])
    handler.flush()  # what it still has to write is lost before the next test counts


def test_a_full_disk_costs_lines_and_no_work() -> None:
    with open("/dev/full", "wb", buffering=0) as full:  # noqa: PTH123  # a device
        handler = logs.Unhurried(full.fileno())
        handler.setFormatter(logs.Json())
        before = lost()
        handler.handle(record_of("said"))
        handler.flush()
        assert lost() == before + 1


def test_what_was_said_last_is_written_before_the_process_ends() -> None:
    said = output("import logging; [logging.getLogger('gateway').info('line %s', n) for n in range(500)]")
    assert [json.loads(line)["message"] for line in said] == [f"line {number}" for number in range(500)]


LOUD = [
    "pyas2lib",
    "httpcore.http11",
    "httpx",
    "django.db.backends",
    "django.template",
    "celery.worker",
    "kombu",
    "redis",
]


def test_what_libraries_write_below_a_warning_no_setting_lets_through() -> None:
    loud = f"import logging; [logging.getLogger(name).info('payload') for name in {LOUD!r}]"
    assert output(loud, GATEWAY_LOG_LEVEL="DEBUG", GATEWAY_DEBUG="1") == []
    ours = "import logging; [logging.getLogger(name).debug('ours') for name in ('gateway.x', 'partners', 'edi_maps.y')]"
    assert len(output(ours, GATEWAY_LOG_LEVEL="DEBUG")) == 3
    assert output(ours) == []


def test_the_form_can_be_chosen_and_a_wrong_one_stops_the_start() -> None:
    said = output("import logging; logging.getLogger('gateway').info('here')", GATEWAY_LOG_FORMAT="line")
    assert said[0].endswith(" INFO gateway here")
    command = [sys.executable, "-c", "import gateway.settings"]
    environment = {**os.environ, "GATEWAY_LOG_FORMAT": "xml"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode != 0
    assert "GATEWAY_LOG_FORMAT is 'xml'; say json or line." in ended.stderr


def lost() -> float:
    return metrics.REGISTRY.get_sample_value("gateway_log_lines_lost_total") or 0.0


def output(code: str, **environment: str) -> list[str]:
    with Prepared({**os.environ, "DJANGO_SETTINGS_MODULE": "gateway.settings", **environment}) as started:
        ended = started.run("-c", code)
    assert ended.returncode == 0, ended.stderr
    return ended.stderr.splitlines()


def test_ids_keep_numbers_and_clean_the_rest() -> None:
    with logs.bound(delivery=5, price=Decimal("1.5"), message_id="<a\nb>"):
        assert logs.ids() == {"delivery": 5, "price": "1.5", "message_id": "<a?b>"}
