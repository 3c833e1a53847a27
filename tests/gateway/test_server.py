"""What the gateway says when it starts, and which settings do not let it."""

from __future__ import annotations

import ipaddress
import os
import subprocess
import sys
from typing import Any

import pytest

from gateway.doctor import Role
from gateway.server import announce

NOBODY = "GATEWAY_TLS is 1 and GATEWAY_TRUSTED_PROXIES names nobody: no request will count as secure."


@pytest.mark.django_db
def test_a_tls_proxy_that_is_not_named_is_said_at_the_start(settings: Any) -> None:
    settings.BEHIND_TLS, settings.TRUSTED_PROXIES = True, ()
    assert any(NOBODY in line for line in announce(Role.UP))
    settings.TRUSTED_PROXIES = (ipaddress.ip_network("10.0.0.5"),)
    assert not any(NOBODY in line for line in announce(Role.UP))


@pytest.mark.django_db
def test_what_it_runs_on_is_said_at_the_start(settings: Any) -> None:
    settings.CELERY_BROKER_URL = "memory://localhost/"
    assert announce(Role.UP)[1] == "No broker: work of this process begins at once, that of others is found within 5 s."
    settings.CELERY_BROKER_URL = "amqp://user:password@broker.example:5672/gateway"
    assert announce(Role.UP)[1] == "Broker amqp."


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("GATEWAY_TRUSTED_PROXIES", "10.0.0.5,proxy.example", "'proxy.example' does not appear to be an IPv4 or IPv6"),
        ("GATEWAY_TRUSTED_PROXIES", "10.0.0.5/8", "10.0.0.5/8 has host bits set. Say addresses or networks by commas"),
        ("GATEWAY_CLIENT_CERT_HEADER", "Client Cert", "GATEWAY_CLIENT_CERT_HEADER is 'Client Cert'; say the name of"),
        ("GATEWAY_SLOWEST_SENDER_KB_S", "0", "GATEWAY_SLOWEST_SENDER_KB_S is 0; it must be at least 0.001"),
    ],
)
def test_a_setting_of_the_web_side_that_makes_no_sense_stops_the_start(name: str, value: str, said: str) -> None:
    command = [sys.executable, "-c", "import gateway.settings"]
    ended = subprocess.run(command, env={**os.environ, name: value}, capture_output=True, text=True, check=False)
    assert ended.returncode != 0
    assert said in ended.stderr
