"""Celery's own command starts a worker of ours, in the process and threads it finds; processes that would have no hands are refused."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from celery import concurrency
from celery.bin.worker import WorkersPool, worker
from click import Context

from gateway.celery import Hands, app


@pytest.mark.parametrize("pool", ["prefork", "processes"])
def test_a_pool_of_processes_is_refused_before_it_begins_with_words_that_say_what_to_do(pool):
    with pytest.raises(SystemExit, match=r"Use -P solo \(the default\) or -P threads.*processes of prefork have none"):
        Hands(SimpleNamespace(pool_cls=concurrency.get_implementation(pool)))


def test_the_refusal_is_a_step_of_every_worker_that_celery_starts():
    assert Hands in app.steps["worker"]


@pytest.mark.parametrize("module", ["celery.concurrency.eventlet", "celery.concurrency.gevent", "of.somebody.else"])
def test_so_is_every_pool_our_threads_were_never_seen_in(module):
    pool = type("TaskPool", (), {"__module__": module})
    with pytest.raises(SystemExit, match="Use -P solo"):
        Hands(SimpleNamespace(pool_cls=pool))


@pytest.mark.parametrize("pool", ["solo", "threads"])
def test_these_are_taken(pool):
    Hands(SimpleNamespace(pool_cls=concurrency.get_implementation(pool)))


def test_who_asks_the_command_for_prefork_gets_the_pool_of_the_settings():
    """Celery cannot tell its default from the wish for it, and takes what is configured: nobody gets processes unawares."""
    context = Context(worker, obj=SimpleNamespace(app=app))
    chosen = WorkersPool().convert("prefork", None, context)
    assert chosen.__module__ == "celery.concurrency.solo"


def test_an_ear_beside_a_worker_has_no_hands_of_its_own():
    assert not Hands(SimpleNamespace(only_listens=True, pool_cls=object)).include_if(SimpleNamespace(only_listens=True))
