"""``manage.py demo``: the whole main job, as a newcomer runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.prepared import Prepared

ROOT = Path(__file__).parents[2]


@pytest.mark.own_sqlite
def test_the_demo_tells_the_main_job_and_ends_well(tmp_path):
    environment = {**os.environ, "GATEWAY_DATA_DIR": str(tmp_path)}
    ran = subprocess.run(
        [sys.executable, "manage.py", "demo", "--exit"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "each applied once" in ran.stdout
    assert ran.stderr == ""
    with Prepared(_elsewhere(tmp_path / "demo")) as prepared:
        assert prepared.run("manage.py", "audit", "checkpoint").returncode == 0
        trail = prepared.run("manage.py", "audit", "verify")
    assert (trail.returncode, trail.stdout.splitlines()[-1]) == (0, "Intact.")


def _elsewhere(folder: Path) -> dict[str, str]:
    """What the demo left is in a database file, wherever the suite has its own."""
    of_the_suite = {"DATABASE_URL", "GATEWAY_BROKER_URL"}
    environment = {name: value for name, value in os.environ.items() if name not in of_the_suite}
    return environment | {"DJANGO_SETTINGS_MODULE": "gateway.settings", "GATEWAY_DATA_DIR": str(folder)}
