"""A peer as a test sees it: a child process that answers questions by line and speaks AS2 on ports of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from tests.interop import environments

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
#: As both sides call themselves and each other; one has a space, so that it stands in quotes.
GATEWAY: Final = "PLANT-AS2"
PEER: Final = "PEER AS2"
_ANSWER_WITHIN_S: Final = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The link as the peer sees it; algorithms by our names."""

    url: str  #: of our door
    receipt_url: str  #: where it takes asynchronous receipts
    signed: bool
    encrypted: bool
    compression: str  #: "none"; "before" or "after" signing
    receipt: str  #: "none", "unsigned", "signed", "async"
    digest: str = "sha256"
    cipher: str = "aes256_cbc"
    signature_scheme: str = "rsassa_pkcs1v15"  #: by the name of pyas2lib
    oaep_hash: str = ""  #: "SHA-256" …; empty: what the peer does by itself
    trusted: str = ""  #: file of certificates our server's must come from; empty: the system's
    client: str = ""  #: file of the certificate and key it shows to our server
    name: str = PEER
    partner: str = GATEWAY
    key: str = "peer.pem"
    partner_certificate: str = "gateway.pem"


class PeerError(Exception):
    """The peer has no answer; the text is its own."""


class Peer:
    """One running peer program."""

    def __init__(self, name: str, folder: Path) -> None:
        """Start it.

        Raises:
            environments.Unavailable: its environment is not there.
            PeerError: it ended instead of listening.
        """
        command, surroundings = _command(name, folder)
        self.name = name
        self._log = Path(folder, f"{name}.log").open("w+b")  # noqa: SIM115  # closed by close()
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **surroundings},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        try:
            self.ports: dict[str, int] = self._read()["ports"]
        except BaseException:
            self.close()
            raise

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def url(self, transport: str) -> str:
        scheme = "http" if transport == "http" else "https"
        return f"{scheme}://127.0.0.1:{self.ports[transport]}/as2"

    def agree(self, terms: Terms) -> None:
        self.ask("agree", terms=asdict(terms))

    def ask(self, do: str, **more: Any) -> dict[str, Any]:
        """One question, one answer.

        Raises:
            PeerError: it failed, ended, or took too long.
        """
        if self._process.stdin is None:
            raise PeerError(f"{self.name} takes no questions")
        self._process.stdin.write(json.dumps({"do": do, **more}) + "\n")
        self._process.stdin.flush()
        answer = self._read()
        if "error" in answer:
            raise PeerError(f"{self.name}: {answer['error']}\n{self._said()}")
        return answer

    def close(self) -> None:
        """End it by ending its input, and by force when that does not help."""
        try:
            self._process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
        self._log.close()

    def _read(self) -> dict[str, Any]:
        overdue = threading.Timer(_ANSWER_WITHIN_S, self._process.kill)  # the end of its output is the end of the wait
        overdue.start()
        try:
            line = next((line for line in self._process.stdout or () if line.startswith("{")), "")  # Node warns first
        finally:
            overdue.cancel()
        if not line:
            raise PeerError(f"{self.name} ended, or gave no answer within {_ANSWER_WITHIN_S:.0f} s:\n{self._said()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _said(self) -> str:
        self._log.seek(0)
        return self._log.read().decode(errors="replace")[-3000:]


def _command(name: str, folder: Path) -> tuple[list[str], dict[str, str]]:
    """How a peer is started, and what its environment has beside ours."""
    match name:
        case "pyas2lib":
            return [sys.executable, "-m", "tests.interop.pyas2lib_peer", str(folder)], {}
        case "libas2":
            _demand(environments.LIBAS2)
            modules = str(environments.LIBAS2.folder / "node_modules")
            program = str(HERE / "libas2_peer.cjs")
            return ["node", *_opening_pkcs1(), program, str(folder)], {"NODE_PATH": modules}
        case "django-pyas2":
            _demand(environments.DJANGO_PYAS2)
            python = str(environments.DJANGO_PYAS2.folder / "bin" / "python")
            stand_in = str(ROOT / "gateway/transports/as2/oscrypto_standin.py")
            return [python, "-m", "tests.interop.django_pyas2_peer", str(folder), stand_in], {}
        case _:
            raise ValueError(f"there is no peer {name!r}")


def _opening_pkcs1() -> list[str]:
    """The option without which Node 18 and 20 open no RSA PKCS #1 v1.5; others do not know it and need none."""
    option = "--security-revert=CVE-2023-46809"
    known = subprocess.run(["node", option, "--eval", "0"], capture_output=True, timeout=60).returncode == 0
    return [option] if known else []


def _demand(environment: environments.Environment) -> None:
    if not environment.is_made:
        raise environments.Unavailable(f"the {environment.name} peer is not installed: make interop-env")
