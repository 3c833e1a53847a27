"""S80, S81: what is installed is what was locked, byte for byte; what is known against it is said, or accepted with a reason."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import sys
import zipfile
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from tests.supply import audit

ROOT = Path(__file__).resolve().parents[1]
LOCKS = {"requirements.lock", "requirements-s3.lock", "requirements-dev.lock"}
#: Lock → what it was made from.
SOURCES = {
    "requirements.lock": ["requirements.txt"],
    "requirements-s3.lock": ["requirements.txt", "requirements-s3.txt"],
    "requirements-dev.lock": ["requirements.txt", "requirements-s3.txt", "requirements-dev.txt"],
}


def entries(lock: str) -> dict[str, list[str]]:
    """``name==version`` → its hashes; several where systems or Pythons need several."""
    text = re.sub(r"#.*", "", (ROOT / lock).read_text("utf-8")).replace("\\\n", " ")
    found = {}
    for line in filter(str.strip, text.splitlines()):
        requirement, *hashes = re.split(r"\s--hash=sha256:", line)
        found[requirement.partition(";")[0].strip()] = [one.strip() for one in hashes]
    return found


def required(source: str) -> list[str]:
    lines = (line.partition("#")[0].strip() for line in (ROOT / source).read_text("utf-8").splitlines())
    return [
        re.sub(r"\[.*?\]", "", line).lower().replace("_", "-") for line in lines if line and not line.startswith("-r")
    ]


@pytest.mark.parametrize("lock", sorted(LOCKS))
def test_every_version_in_a_lock_is_exact_and_has_its_hashes(lock: str) -> None:
    found = entries(lock)
    assert len(found) > 40
    assert all(re.fullmatch(r"[a-z0-9-]+(\[[a-z0-9,-]+\])?==\S+", name) for name in found)
    assert all(hashes and all(re.fullmatch(r"[0-9a-f]{64}", one) for one in hashes) for hashes in found.values())


@pytest.mark.parametrize("lock", sorted(LOCKS))
def test_a_lock_holds_what_is_required_and_make_lock_was_not_forgotten(lock: str) -> None:
    locked = {re.sub(r"\[.*?\]", "", name) for name in entries(lock)}
    wanted = {one for source in SOURCES[lock] for one in required(source)}
    assert all("==" in one for one in wanted), "every requirement is exact"
    assert wanted - {name.lower() for name in locked} == set(), "run: make lock"


def test_the_locks_agree_with_each_other() -> None:
    everything = entries("requirements-dev.lock")
    for lock in LOCKS:
        assert entries(lock).items() <= everything.items()


@pytest.mark.parametrize("lock", sorted(LOCKS))
def test_a_lock_names_no_place_to_install_from(lock: str) -> None:
    assert not re.search(r"://|--(extra-)?index|--find-links|--trusted", (ROOT / lock).read_text("utf-8"))


def test_what_is_installed_here_is_what_is_locked() -> None:
    locked = dict(name.split("==") for name in entries("requirements-dev.lock"))
    for name in ("django", "celery", "lxml", "cryptography", "psycopg", "pydantic", "httpx", "waitress"):
        assert metadata.version(name) == locked[name]


def a_wheel(folder: Path) -> tuple[Path, str]:
    """A package of nothing, built here, and its hash."""
    wheel = folder / "nothing-1.0-py3-none-any.whl"
    description = "Metadata-Version: 2.1\nName: nothing\nVersion: 1.0\n"
    kind = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files = {"nothing.py": "", "nothing-1.0.dist-info/METADATA": description, "nothing-1.0.dist-info/WHEEL": kind}
    with zipfile.ZipFile(wheel, "w") as archive:
        record = ""
        for name, text in files.items():
            archive.writestr(name, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            record += f"{name},sha256={digest},{len(text)}\n"
        archive.writestr("nothing-1.0.dist-info/RECORD", record + "nothing-1.0.dist-info/RECORD,,\n")
    return wheel, hashlib.sha256(wheel.read_bytes()).hexdigest()


def test_a_changed_hash_and_a_missing_one_fail_the_install_as_make_env_does_it(tmp_path: Path) -> None:
    recipe = (ROOT / "Makefile").read_text("utf-8")
    installing = re.search(r"python -m pip install (.*--require-hashes) -r requirements-dev\.lock\n", recipe)
    assert installing is not None
    _, digest = a_wheel(tmp_path)
    changed = ("0" if digest[0] != "0" else "1") + digest[1:]

    def install(line: str) -> subprocess.CompletedProcess[str]:
        lock = tmp_path / "test.lock"
        lock.write_text(line + "\n")
        where = ["--no-index", "--find-links", str(tmp_path), "--target", str(tmp_path / "there")]
        command = [sys.executable, "-m", "pip", "install", *installing[1].split(), "-r", str(lock), *where]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    refused = install(f"nothing==1.0 --hash=sha256:{changed}")
    assert (refused.returncode != 0, "DO NOT MATCH THE HASHES" in refused.stderr) == (True, True)
    without = install("nothing==1.0")
    assert (without.returncode != 0, "Hashes are required" in without.stderr) == (True, True)
    assert not (tmp_path / "there").exists()
    assert install(f"nothing==1.0 --hash=sha256:{digest}").returncode == 0


# -- S80

TODAY = date(2027, 3, 1)
GOOD = """
[[accepted]]
package = "Example"
id = "CVE-2027-1"
reason = "we never call the function it is in"
reviewed = 2027-02-01
until = 2027-04-30
"""


def report(*vulnerabilities: dict[str, Any]) -> dict[str, Any]:
    """As pip-audit 2.10 writes it."""
    example = {"name": "example", "version": "1.0", "vulns": list(vulnerabilities)}
    return {"dependencies": [{"name": "other", "version": "2.0", "vulns": []}, example], "fixes": []}


ONE = {"id": "PYSEC-2027-9", "fix_versions": ["1.1"], "aliases": ["CVE-2027-1"], "description": "…"}


def test_a_known_vulnerability_is_an_objection() -> None:
    assert audit.objections(report(ONE), [], TODAY) == ["example 1.0: PYSEC-2027-9, fixed in 1.1"]
    assert audit.objections(report(), [], TODAY) == []


def test_one_that_was_accepted_by_any_of_its_names_is_none_until_its_day() -> None:
    accepted = audit.read(GOOD)
    assert audit.objections(report(ONE), accepted, TODAY) == []
    assert audit.objections(report(ONE), accepted, date(2027, 5, 1)) == [
        "CVE-2027-1 of Example: accepted until 2027-04-30 only"
    ]


def test_an_acceptance_nothing_needs_any_more_has_to_go() -> None:
    assert audit.objections(report(), audit.read(GOOD), TODAY) == [
        "CVE-2027-1 of example: accepted, and not found any more"
    ]


def test_what_could_not_be_looked_at_is_an_objection() -> None:
    skipped = {"dependencies": [{"name": "local", "skip_reason": "not on PyPI"}]}
    assert audit.objections(skipped, [], TODAY) == ["local: not looked at: not on PyPI"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("reason = ", "# reason = "), "missing 1 required keyword-only argument: 'reason'"),
        (("we never call the function it is in", "fine"), "say in a sentence"),
        (("2027-04-30", "2028-04-30"), "half a year at most"),
    ],
)
def test_an_acceptance_without_a_reason_and_a_date_is_refused(change: tuple[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        audit.read(GOOD.replace(*change))


def test_the_accepted_entries_of_this_project_can_be_read() -> None:
    assert isinstance(audit.read(audit.ACCEPTED.read_text("utf-8")), list)


def test_an_audit_that_cannot_ask_says_that_it_was_not_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "var" / "audit" / "bin" / "pip-audit"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\necho 'ConnectionError: no such host' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(audit, "ROOT", tmp_path)
    monkeypatch.delenv("REQUIRE_AUDIT", raising=False)
    assert audit.main() == 0
    assert "was not run, because: ConnectionError: no such host" in capsys.readouterr().out
    monkeypatch.setenv("REQUIRE_AUDIT", "1")
    assert audit.main() == 1
