"""The other sides of the demo: each a program in a process of its own, spoken to over loopback only.

They outlive a gateway that is killed, so that ``manage.py up`` can finish its work; the next demo ends those it finds.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from django.conf import settings

_READY_S: Final = 20.0


class NotReady(Exception):
    """A counterpart did not come up; the words hold what it printed."""


@dataclass(frozen=True, slots=True)
class Counterpart:
    """A running program and where it answers."""

    name: str
    process: subprocess.Popen[bytes]
    url: str

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start(name: str, arguments: Sequence[str], *, port: int, folder: Path) -> Counterpart:
    """Start ``manage.py`` with ``arguments`` and wait until it listens on ``port``.

    Raises:
        NotReady: it ended or did not listen in time.
    """
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603  # our own program, arguments made here
            [sys.executable, str(settings.BASE_DIR / "manage.py"), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in the terminal is for the gateway; it stops them in order
        )
    (folder / f"{name}.pid").write_text(str(process.pid))
    deadline = time.monotonic() + _READY_S
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            probe.settimeout(0.2)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return Counterpart(name, process, f"http://127.0.0.1:{port}")
        time.sleep(0.05)  # reviewed sleep: a command's own thread, waiting for a port
    process.kill()
    raise NotReady(f"{name} did not start:\n{log.read_text(errors='replace')[-2000:]}")


def end_leftovers(folder: Path) -> None:
    """End the counterparts an earlier demo left running in ``folder``, and nobody else's process."""
    for file in folder.glob("*.pid"):
        try:
            pid = int(file.read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            continue  # gone already, or a system without /proc: its ports are free ones anyway
        if str(folder).encode() in command:
            os.kill(pid, signal.SIGTERM)


def free_port(preferred: int) -> int:
    """``preferred`` when nobody listens there, else any free one."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise NotReady("no free port on 127.0.0.1")


class ReferenceErp:
    """What the demo asks of the reference ERP: release, change, and what arrived there."""

    def __init__(self, url: str, token: str) -> None:
        self._client = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=10, trust_env=False
        )

    def release(self, order: Mapping[str, Any]) -> None:
        self._post("/admin/release", order)

    def change(self, order_key: str, change: Mapping[str, Any]) -> None:
        self._post(f"/admin/orders/{order_key}/change", change)

    def effects(self) -> list[dict[str, Any]]:
        """Every document the ERP has taken; ``applications`` above 1 is a doubled effect."""
        effects: list[dict[str, Any]] = self._client.get("/admin/effects").raise_for_status().json()
        return effects

    def _post(self, path: str, body: Mapping[str, Any]) -> None:
        self._client.post(path, json=body).raise_for_status()


class As2Supplier:
    """What the demo asks of the AS2 supplier: send a file, and what it received."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=30, trust_env=False)

    def send(self, file: Path) -> dict[str, Any]:
        """Have it sign, encrypt and post ``file``; returns its own account. The receipt follows, see ``receipt``."""
        answer = self._client.post("/control/send", json={"file": str(file), "content_type": "application/edi-x12"})
        account: dict[str, Any] = answer.raise_for_status().json()
        return account

    def received(self) -> list[dict[str, Any]]:
        """The messages it took, oldest first: message_id, verdict, file …"""
        return [line for line in self._journal() if line["direction"] == "received" and line["file"] is not None]

    def receipt(self, message_id: str) -> dict[str, Any] | None:
        """What it thinks of the receipt that came for its message; None when none has come."""
        lines = (line for line in self._journal() if line["direction"] == "receipt")
        return next((line for line in lines if line["message_id"] == message_id), None)

    def _journal(self) -> list[dict[str, Any]]:
        lines: list[dict[str, Any]] = self._client.get("/control/journal").raise_for_status().json()
        return lines


def read_json(file: Path) -> Any:
    return json.loads(file.read_text("utf-8"))
