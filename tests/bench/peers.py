"""X12 libraries of another language, measured beside ours where they are installed.

    python -m tests.bench.peers        installs them, with npm, outside of the checkout

Of those one can get, none validates the sets of a supply chain: they cut segments and elements, no more.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

FOLDER: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "supplier-gateway" / "bench-peers"
_PROGRAM: Final = Path(__file__).with_suffix(".mjs")


@dataclass(frozen=True, slots=True)
class Peer:
    package: str
    version: str
    work: str  #: what it does with a document

    @property
    def name(self) -> str:
        return f"{self.package} {self.version}, {self.work}"

    def installed(self, folder: Path) -> bool:
        described = folder / "node_modules" / self.package / "package.json"
        return described.exists() and json.loads(described.read_bytes())["version"] == self.version


PEERS: Final = (
    Peer("node-x12", "1.7.1", "an object for every element, no validation"),
    Peer("x12-parser", "1.3.0", "segments as a stream, no validation"),
)


def segments_per_s(document: bytes, *, rounds: int = 2, folder: Path = FOLDER) -> Iterator[tuple[str, float]]:
    """What each installed peer does, and how fast, in CPU time of a process that has read the document once before.

    A peer that is not there, fails, or finds other segments than there are gives no figure; why stands on standard error.
    """
    with TemporaryDirectory() as place:
        file = Path(place, "document.edi")
        file.write_bytes(document)
        for peer in PEERS:
            if not (shutil.which("node") and peer.installed(folder)):
                _note(peer, "not installed, see python -m tests.bench.peers")
                continue
            command = ["node", *map(str, (_PROGRAM, peer.package, folder, file, rounds))]
            done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
            if done.returncode:
                _note(peer, done.stderr.strip()[-400:])
                continue
            said = json.loads(done.stdout)
            if said["segments"] != document.count(b"~"):
                _note(peer, f"{said['segments']} segments of {document.count(b'~')}")
                continue
            yield peer.name, said["segments"] / said["cpu_s"]


def _note(peer: Peer, words: str) -> None:
    sys.stderr.write(f"{peer.package} {peer.version}: {words}\n")


def install(folder: Path = FOLDER) -> None:
    """Fetch the peers from the npm registry.

    Raises:
        CalledProcessError: npm says why.
    """
    folder.mkdir(parents=True, exist_ok=True)
    packages = [f"{peer.package}@{peer.version}" for peer in PEERS]
    subprocess.run(["npm", "install", "--no-fund", "--no-audit", "--prefix", str(folder), *packages], check=True)


if __name__ == "__main__":
    install()
