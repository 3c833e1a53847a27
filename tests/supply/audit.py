"""``python -m tests.supply.audit``: known vulnerabilities of every version in the lock, by pip-audit, asked of OSV.

Exit 0: none, or all of them accepted in ``accepted.toml``. Exit 1: there are others, or an acceptance has run out or says too little.
Where the database of vulnerabilities cannot be asked it says "not run" and why, and that is exit 0, or 1 with REQUIRE_AUDIT=1.

Source: security's S80.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
ACCEPTED: Final = Path(__file__).with_name("accepted.toml")
LOCKS: Final = ("requirements.lock", "requirements-s3.lock", "requirements-dev.lock")
PIP_AUDIT: Final = "pip-audit==2.10.1"
#: No acceptance lasts longer: by then there is a fixed version, or another library.
LONGEST: Final = timedelta(days=184)
_LEAST_REASON: Final = 20
_PATIENCE_S: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    package: str
    id: str
    reason: str
    reviewed: date
    until: date


class NotRun(Exception):
    """The audit could not be made; ``str()`` says why."""


def read(text: str) -> list[Accepted]:
    """The entries of ``accepted.toml``.

    Raises:
        ValueError: an entry lacks a field, has another, or a reason that is none.
    """
    entries = []
    for raw in tomllib.loads(text).get("accepted", []):
        try:
            entry = Accepted(**raw)
        except TypeError as error:
            raise ValueError(f"accepted.toml: {raw.get('id', 'an entry')}: {error}") from None
        if len(entry.reason) < _LEAST_REASON:
            raise ValueError(f"accepted.toml: {entry.id}: say in a sentence why it does not reach us")
        if not entry.reviewed < entry.until <= entry.reviewed + LONGEST:
            raise ValueError(f"accepted.toml: {entry.id}: until must be after reviewed, half a year at most")
        entries.append(entry)
    return entries


def objections(report: Mapping[str, Any], accepted: Sequence[Accepted], today: date) -> list[str]:
    """What stands against the lock.

    Args:
        report: pip-audit's JSON.
    """
    open_entries = {(entry.package.lower(), entry.id): entry for entry in accepted}
    said = [
        f"{entry.id} of {entry.package}: accepted until {entry.until} only" for entry in accepted if entry.until < today
    ]
    used = set()
    for package in report["dependencies"]:
        if "skip_reason" in package:
            said.append(f"{package['name']}: not looked at: {package['skip_reason']}")
        for found in package.get("vulns", []):
            names = {(package["name"].lower(), name) for name in (found["id"], *found.get("aliases", []))}
            if mine := names & open_entries.keys():
                used |= mine
                continue
            fixed = ", ".join(found.get("fix_versions", [])) or "no version yet"
            said.append(f"{package['name']} {package['version']}: {found['id']}, fixed in {fixed}")
    said += [f"{name} of {package}: accepted, and not found any more" for package, name in open_entries.keys() - used]
    return said


def ask(lock: Path, folder: Path) -> Mapping[str, Any]:
    """pip-audit's report about a lock; nothing is resolved or installed, the lock says it all.

    Raises:
        NotRun: it cannot be installed, or cannot ask.
    """
    program = folder / "bin" / "pip-audit"
    try:
        if not program.exists():
            venv.create(folder, with_pip=True)
            subprocess.run(
                [
                    folder / "bin" / "python",
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--disable-pip-version-check",
                    PIP_AUDIT,
                ],
                check=True,
                capture_output=True,
                timeout=_PATIENCE_S,
            )
        options = ["--vulnerability-service", "osv", "--format", "json", "--aliases", "on", "--progress-spinner", "off"]
        options += ["--timeout", "10", "--disable-pip", "--require-hashes", "--requirement", str(lock)]
        done = subprocess.run([program, *options], capture_output=True, text=True, timeout=_PATIENCE_S, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        raise NotRun(f"{PIP_AUDIT} could not be installed or did not end ({type(error).__name__})") from error
    if not done.stdout.startswith("{"):
        raise NotRun((done.stderr.strip().splitlines() or [f"pip-audit ended with {done.returncode}"])[-1])
    report: Mapping[str, Any] = json.loads(done.stdout)
    return report


def main() -> int:
    try:
        accepted = read(ACCEPTED.read_text("utf-8"))
    except ValueError as error:
        print(error)  # noqa: T201  # the output is the point
        return 1
    try:
        packages = [one for lock in LOCKS for one in ask(ROOT / lock, ROOT / "var" / "audit")["dependencies"]]
    except NotRun as error:
        print(f"The audit for known vulnerabilities was not run, because: {error}")  # noqa: T201  # the same
        return int(os.environ.get("REQUIRE_AUDIT") == "1")
    against = sorted(set(objections({"dependencies": packages}, accepted, datetime.now(UTC).date())))
    versions = {(one["name"], one.get("version")) for one in packages}
    for line in against:
        print(line)  # noqa: T201  # the same
    print(f"{len(versions)} versions asked about, {len(accepted)} accepted entries, {len(against)} objections.")  # noqa: T201
    return 1 if against else 0


if __name__ == "__main__":
    sys.exit(main())
