"""Heartbeats: who is alive, who fell silent, who is forgotten."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from gateway import heartbeats
from gateway.models import Heartbeat
from tests.acceptance.world import until

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def a_fresh_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeats, "_known", set())


def quiet_for(seconds: float, name: str = "") -> None:
    Heartbeat.objects.filter(name=name or heartbeats.name_of("worker")).update(at=Now() - timedelta(seconds=seconds))


def an_old_row(name: str, *, quiet_s: float, loop: str = "worker") -> None:
    Heartbeat.objects.create(name=name, loop=loop, every_s=5, at=timezone.now())
    quiet_for(quiet_s, name)


def test_a_loop_that_beats_is_alive_and_says_what_it_does() -> None:
    heartbeats.beat("worker", 5, {"hands": 4})
    (one,) = heartbeats.all_beats()
    assert (one.name, one.loop, one.detail) == (f"worker@{os.uname().nodename}:{os.getpid()}", "worker", {"hands": 4})
    assert one.version == heartbeats.release() != ""
    assert one.age_s < 5
    assert heartbeats.silent() == []


def test_each_beat_renews_one_row() -> None:
    heartbeats.beat("worker", 5)
    quiet_for(14)
    began = Heartbeat.objects.get().started_at
    heartbeats.beat("worker", 5, {"tries": 2})
    row = Heartbeat.objects.get()
    assert row.started_at == began
    assert row.detail == {"tries": 2}
    assert heartbeats.all_beats()[0].age_s < 5


@pytest.mark.parametrize(("seconds", "is_silent"), [(10, False), (20, True)])
def test_a_loop_is_silent_when_it_missed_three_beats(seconds: float, is_silent: bool) -> None:
    heartbeats.beat("worker", 5)
    quiet_for(seconds)
    assert bool(heartbeats.silent()) is is_silent


def test_who_says_goodbye_is_not_missed() -> None:
    heartbeats.beat("worker", 5)
    heartbeats.beat("web", 5)
    heartbeats.gone("worker")
    assert [one.loop for one in heartbeats.all_beats()] == ["web"]


def test_the_first_beat_of_a_process_takes_away_what_a_killed_one_of_its_host_left() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    host = os.uname().nodename
    an_old_row(f"worker@{host}:{ended.pid}", quiet_s=60)
    an_old_row(f"worker@{host}:{os.getppid()}", quiet_s=60)  # its process lives: it hangs
    an_old_row("worker@elsewhere:1", quiet_s=60)
    heartbeats.beat("worker", 5)
    assert {one.name for one in heartbeats.silent()} == {f"worker@{host}:{os.getppid()}", "worker@elsewhere:1"}


def test_a_process_that_gets_the_name_of_an_earlier_one_begins_anew() -> None:
    Heartbeat.objects.create(name=heartbeats.name_of("worker"), loop="worker", every_s=5)
    Heartbeat.objects.update(started_at=Now() - timedelta(days=3))
    heartbeats.beat("worker", 5)
    assert Heartbeat.objects.get().started_at > timezone.now() - timedelta(minutes=1)


def test_what_was_silent_for_an_hour_is_forgotten_but_for_the_last_of_its_kind() -> None:
    an_old_row("worker@a:1", quiet_s=7200)
    an_old_row("worker@b:1", quiet_s=7300)
    an_old_row("worker@c:1", quiet_s=1800)
    an_old_row("web@a:2", quiet_s=9000, loop="web")
    assert heartbeats.forget() == 2
    assert [one.name for one in heartbeats.all_beats()] == ["web@a:2", "worker@c:1"]


@pytest.mark.django_db(transaction=True)
def test_a_part_without_a_loop_has_a_pulse_until_it_stops() -> None:
    pulse = heartbeats.Pulse("web", {"threads": 8})
    pulse.start()
    until(lambda: heartbeats.all_beats(), "its first beat", within_s=10)
    assert heartbeats.all_beats()[0].detail == {"threads": 8}
    pulse.stop()
    assert heartbeats.all_beats() == []


def test_who_has_ended_is_known_only_where_its_number_means_the_same() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    ours = heartbeats.owner()
    of_the_dead = ours.replace(f":{os.getpid()}:", f":{ended.pid}:")
    assert heartbeats.is_gone(of_the_dead)
    assert not heartbeats.is_gone(ours)
    elsewhere = of_the_dead.rpartition(":")[0]
    assert not heartbeats.is_gone(f"{elsewhere}:0123456789ab")  # another container, or another machine of this name
    assert not heartbeats.is_gone(elsewhere)  # claimed by an earlier release
    assert not heartbeats.is_gone("")


def test_where_the_system_does_not_say_which_one_it_is_nobody_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    monkeypatch.setattr(heartbeats, "_kernel", lambda: "")
    assert not heartbeats.is_gone(f"host:{ended.pid}:1:")
