"""The bell: rings that are heard, rings that nobody need hear, and brokers that do not take them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from gateway import bell as module
from gateway import metrics
from gateway.bell import Bell
from gateway.celery import app
from gateway.models import DeliveryKind
from tests.acceptance.world import until
from tests.gateway.brokers import PrivateRedis, Wire


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[PrivateRedis]:
    server = PrivateRedis(tmp_path).start()
    yield server
    server.kill()


@pytest.fixture
def use_broker(settings: Any) -> Iterator[Callable[[str], None]]:
    """``use_broker(url)``: from now on that is the broker, with queues of this test alone."""

    def use(url: str, prefix: str = "bell-test") -> None:
        settings.CELERY_BROKER_URL, settings.BROKER_PREFIX = url, prefix
        app.conf.update(broker_url=url, task_queues=[module.queue_of(kind) for kind in DeliveryKind])
        app.__dict__.pop("amqp", None)  # it keeps the queues it has once seen

    before = settings.CELERY_BROKER_URL, settings.BROKER_PREFIX
    yield use
    use(*before)


def rings(server: PrivateRedis, kind: str = "erp") -> int:
    with redis.Redis(port=server.port) as client:
        return int(client.llen(f"bell-test.{kind}"))


def lost() -> float:
    return metrics.REGISTRY.get_sample_value("gateway_wakeups_lost_total") or 0.0


def test_a_ring_goes_to_a_free_hand_of_this_process_and_not_to_the_broker(use_broker, own_redis):
    use_broker(own_redis.url)
    rung: list[DeliveryKind] = []

    def free(kind: DeliveryKind) -> bool:
        rung.append(kind)
        return True

    one = Bell()
    one.listen(free)
    one.ring("erp")
    assert rung == [DeliveryKind.ERP]
    one.listen(lambda kind: False)
    one.ring("partner")
    until(lambda: rings(own_redis, "partner") == 1, "the ring of the full process", within_s=10)
    assert rings(own_redis, "erp") == 0


def test_many_rings_while_the_bell_speaks_are_one(use_broker, own_redis, monkeypatch):
    use_broker(own_redis.url)
    speaking, go_on, publish = threading.Event(), threading.Event(), module._publish

    def slowly(*arguments: Any) -> None:
        speaking.set()
        go_on.wait(10)
        publish(*arguments)

    monkeypatch.setattr(module, "_publish", slowly)
    one = Bell()
    one.ring("erp")
    assert speaking.wait(10)
    for _ in range(100):
        one.ring("erp")
        one.ring("apply")
    go_on.set()
    until(lambda: rings(own_redis) == 2 and rings(own_redis, "apply") == 1, "three rings", within_s=10)


def test_rings_that_nobody_hears_do_not_pile_up(use_broker, own_redis, monkeypatch):
    use_broker(own_redis.url)
    monkeypatch.setattr(module, "_ENOUGH", 3)
    connection = module._connect()
    for _ in range(7):
        module._publish(connection, "erp")
    connection.release()
    assert rings(own_redis) == 3


def test_a_broker_that_never_answers_delays_nobody_and_is_left_alone_for_a_while(use_broker, monkeypatch, caplog):
    silent = Wire(("127.0.0.1", 1))
    silent.fall_silent()
    use_broker(f"redis://127.0.0.1:{silent.port}/0")
    before, one = lost(), Bell()
    began = time.monotonic()
    one.ring("erp")
    assert time.monotonic() - began < 0.5
    until(lambda: lost() == before + 1, "the ring given up", within_s=10)
    one.ring("erp")
    assert lost() == before + 2
    until(lambda: caplog.text.count("The broker was not reached") == 1, "one line about it", within_s=10)
    silent.cut()


def test_a_process_with_full_hands_passes_on_what_others_may_take_now_and_then(monkeypatch):
    names: list[str] = []
    one = Bell()
    monkeypatch.setattr(Bell, "publish", lambda self, queue: names.append(queue))
    for _ in range(50):
        one.pass_on(DeliveryKind.ERP)
    one.pass_on(DeliveryKind.APPLY)
    assert names == ["erp", "apply"]


def test_without_a_broker_nothing_is_published(settings):
    settings.CELERY_BROKER_URL = "memory://localhost/"
    one = Bell()
    one.ring("erp")
    assert one._thread is None
