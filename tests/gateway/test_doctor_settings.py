"""A wrong setting stops the start and is named, with its value and what to say instead; no secret is repeated."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = ROOT / "gateway" / "settings.py"
NAMES = set(re.findall(r"""["'](GATEWAY_[A-Z0-9_]+|DATABASE_URL)["']""", SETTINGS.read_text("utf-8")))

WRONG = [
    ("GATEWAY_DATA_DIR", "/dev/null", r"GATEWAY_DATA_DIR /dev/null cannot be made, or written to: "),
    ("GATEWAY_DATA_DIR", "/proc", r"GATEWAY_DATA_DIR /proc cannot be made, or written to: "),
    ("GATEWAY_DEBUG", "yes", r"GATEWAY_DEBUG is 'yes'; say 1 or 0\."),
    ("GATEWAY_TLS", "on", r"GATEWAY_TLS is 'on'; say 1 or 0\."),
    ("GATEWAY_SHARE_SQLITE", "true", r"GATEWAY_SHARE_SQLITE is 'true'; say 1 or 0\."),
    ("GATEWAY_PREPARE", "no", r"GATEWAY_PREPARE is 'no'; say 1 or 0\."),
    ("GATEWAY_HOSTS", "https://b2b.example.com", r"GATEWAY_HOSTS: 'https://b2b.example.com' is no host name. Say names"),
    ("GATEWAY_HOSTS", "b2b.example.com:8000", r"GATEWAY_HOSTS: 'b2b.example.com:8000' is no host name\. Say names"),
    ("GATEWAY_HOSTS", " , ", r"GATEWAY_HOSTS is empty: no request would be answered\. Say names by commas"),
    ("GATEWAY_TRUSTED_ORIGINS", "b2b.example.com", r"GATEWAY_TRUSTED_ORIGINS: 'b2b.example.com' is no origin\. Say scheme"),
    ("GATEWAY_TRUSTED_PROXIES", "10.0.0.5/8", r"GATEWAY_TRUSTED_PROXIES: 10.0.0.5/8 has host bits set\. Say addresses"),
    ("GATEWAY_CLIENT_CERT_HEADER", "X_Cert:", r"GATEWAY_CLIENT_CERT_HEADER is 'X_Cert:'; say the name of a header"),
    ("GATEWAY_SENDER_GRACE_S", "5s", r"GATEWAY_SENDER_GRACE_S is '5s'; say a number\."),
    ("GATEWAY_SLOWEST_SENDER_KB_S", "0", r"GATEWAY_SLOWEST_SENDER_KB_S is 0; it must be at least 0\.001\."),
    ("GATEWAY_MOST_SPOOLED_MB", "100", r"GATEWAY_MOST_SPOOLED_MB is 100; it must be at least 101\."),
    ("DATABASE_URL", "mysql://u:hush@db/gateway", r"DATABASE_URL begins with 'mysql'; say postgres://user:password@host"),
    ("DATABASE_URL", "gateway.sqlite3", r"DATABASE_URL is no address; say postgres://user:password@host"),
    ("DATABASE_URL", "postgres://u:hush@db:hush/gateway", r"DATABASE_URL has a port that is no number"),
    ("DATABASE_URL", "postgres://u:hush@db", r"DATABASE_URL names no database; say postgres://user:password@host"),
    ("DATABASE_URL", "sqlite:///:memory:", r"DATABASE_URL names no database; say postgres://"),
    ("GATEWAY_BROKER_URL", "filesystem://", r"GATEWAY_BROKER_URL: kombu's filesystem broker .* Leave it unset \(memory\)"),
    ("GATEWAY_BROKER_URL", "sqs://key:hush@", r"GATEWAY_BROKER_URL begins with 'sqs'; say amqp://user:password@host"),
    ("GATEWAY_BROKER_URL", "rabbit", r"GATEWAY_BROKER_URL is no address; say amqp://user:password@host"),
    ("GATEWAY_BROKER_PREFIX", "two words", r"GATEWAY_BROKER_PREFIX is 'two words'; say a word of letters, digits"),
    ("GATEWAY_BLOBS", "blobs", r"GATEWAY_BLOBS is no address; say file:/folder, or s3://bucket/prefix"),
    ("GATEWAY_BLOBS", "file:blobs", r"GATEWAY_BLOBS names a folder from nowhere; say the whole path: file:/srv"),
    ("GATEWAY_BLOBS", "ftp://u:hush@host/", r"GATEWAY_BLOBS begins with 'ftp'; say file:/folder, or s3://bucket/prefix"),
    ("GATEWAY_BLOB_GRACE_H", "0", r"GATEWAY_BLOB_GRACE_H is 0; it must be at least 1\."),
    ("GATEWAY_CHECKPOINTS", "/nowhere/at/all", r"GATEWAY_CHECKPOINTS is /nowhere/at/all; say a file in a folder"),
    ("GATEWAY_KEEP_MONTHS", "ever", r"GATEWAY_KEEP_MONTHS is 'ever'; say a number\."),
    ("GATEWAY_HANDS", "0", r"GATEWAY_HANDS is 0; it must be at least 1\."),
    ("GATEWAY_ERP_CALLS_AT_ONCE", "0", r"GATEWAY_ERP_CALLS_AT_ONCE is 0; it must be at least 1\."),
    ("GATEWAY_BREAKER_PAUSE_S", "0", r"GATEWAY_BREAKER_PAUSE_S is 0; it must be at least 0\.1\."),
    ("GATEWAY_BREAKER_MOST_S", "20", r"GATEWAY_BREAKER_MOST_S is 20; it must be at least 30"),
    ("GATEWAY_RETRIES_PER_MINUTE", "0", r"GATEWAY_RETRIES_PER_MINUTE is 0; it must be at least 1\."),
    ("GATEWAY_METRICS_FROM", "prometheus", r"GATEWAY_METRICS_FROM: 'prometheus' does not appear to be .* Say addresses"),
    ("GATEWAY_METRICS_TOKEN", "hush", r"GATEWAY_METRICS_TOKEN has 4 characters; at least 32 random ones"),
    ("GATEWAY_METRICS_PARTNERS", "no", r"GATEWAY_METRICS_PARTNERS is 'no'; say 1 or 0\."),
    ("GATEWAY_LOG_FORMAT", "xml", r"GATEWAY_LOG_FORMAT is 'xml'; say json or line\."),
    ("GATEWAY_LEASE_S", "4", r"GATEWAY_LEASE_S is 4; it must be at least 5\."),
    ("GATEWAY_LEASE_S", "inf", r"GATEWAY_LEASE_S is inf; it must be at least 5\."),
    ("GATEWAY_POLL_S", "nan", r"GATEWAY_POLL_S is nan; it must be at least 0\.1\."),
    ("GATEWAY_ERP_POLL_S", "0", r"GATEWAY_ERP_POLL_S is 0; it must be at least 0\.1\."),
    ("GATEWAY_PARK_HOURS", "-1", r"GATEWAY_PARK_HOURS is -1; it must be at least 0\."),
    ("GATEWAY_POISON_AFTER", "0", r"GATEWAY_POISON_AFTER is 0; it must be at least 1\."),
    ("GATEWAY_SENDS_AT_ONCE", "two", r"GATEWAY_SENDS_AT_ONCE is 'two'; say a number\."),
    ("GATEWAY_ERP_CALLS_AT_ONCE", "0", r"GATEWAY_ERP_CALLS_AT_ONCE is 0; it must be at least 1\."),
    ("GATEWAY_REQUESTS_PER_MINUTE", "0", r"GATEWAY_REQUESTS_PER_MINUTE is 0; it must be at least 1\."),
    ("GATEWAY_LOG_LEVEL", "loud", r"GATEWAY_LOG_LEVEL is 'loud'; say DEBUG, INFO, WARNING, ERROR or CRITICAL\."),
    ("GATEWAY_SECRET_KEY", "hush", r"GATEWAY_SECRET_KEY has 4 characters; at least 32 random ones .* Make one with: "),
    ("GATEWAY_KEYSTORE_SECRET", "hush" * 7, r"GATEWAY_KEYSTORE_SECRET has 28 characters; at least 32 random ones"),
    ("GATEWAY_KEYSTORE_OLD_SECRETS", "hush", r"GATEWAY_KEYSTORE_OLD_SECRETS has 4 characters; at least 32 random"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "said"), WRONG)
def test_a_wrong_value_stops_the_start_and_is_said(
    name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GATEWAY_DATA_DIR", str(tmp_path))
    monkeypatch.setenv(name, value)
    with pytest.raises(ImproperlyConfigured, match=said) as refused:
        runpy.run_path(str(SETTINGS))
    assert "hush" not in str(refused.value)


def test_every_setting_has_a_wrong_value_here() -> None:
    assert NAMES - {name for name, _, _ in WRONG} == set()


def test_a_secret_kept_in_a_file_that_was_cut_off_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GATEWAY_DATA_DIR", str(tmp_path))
    (tmp_path / "keystore-secret").write_text("hush")
    with pytest.raises(ImproperlyConfigured, match=r"from .*keystore-secret, has 4 characters") as refused:
        runpy.run_path(str(SETTINGS))
    assert "hush" not in str(refused.value)


def test_the_command_line_says_it_in_one_line() -> None:
    ended = subprocess.run(
        [sys.executable, "manage.py", "doctor"],
        cwd=ROOT,
        env={**os.environ, "GATEWAY_LEASE_S": "4"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr == "The configuration is wrong. GATEWAY_LEASE_S is 4; it must be at least 5.\n"
