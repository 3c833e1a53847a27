"""``python -m tests.supply.secret_scan [PATH…]``: no private key, password or customer's data in what we keep and hand out.

Without a path it looks at every file of the checkout that git has or would take. A folder is walked, an archive (zip, wheel, tar,
also compressed, and archives inside) is looked into, so what was built can be scanned as well. Test keys are made when tests run.
What is found is named by file and line, never repeated.

Source: security's S84.
"""

from __future__ import annotations

import io
import math
import re
import subprocess
import sys
import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]

#: A marker alone is how code and prose speak of keys; with a body behind it, however it is wrapped or escaped, it is one.
_PEM: Final = re.compile(
    rb"-----BEGIN [A-Z0-9 ]{0,20}PRIVATE KEY(?: BLOCK)?-----(?:\s|\\[nr]|[\"'+,]){1,20}[A-Za-z0-9+/:=,. -]{32}"
)
#: The head of PrivateKeyInfo (RFC 5208): version 0 and an algorithm; of RSAPrivateKey and ECPrivateKey: version and first field.
_DER: Final = re.compile(
    rb"\x30\x82..\x02\x01\x00\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01"
    rb"|\x30\x82..\x02\x01\x00\x02\x82[\x01-\x04][\x00\x01]\x00"
    rb"|\x30\x81.\x02\x01\x00\x30[\x10\x13]\x06\x07\x2a\x86\x48\xce\x3d\x02\x01"
    rb"|\x30\x77\x02\x01\x01\x04\x20",
    re.DOTALL,
)
#: PKCS #12, whose first content is data (RFC 7292): there is a key in it, or there was no need for one.
_PKCS12: Final = re.compile(
    rb"\A\x30[\x80-\x84].{0,4}?\x02\x01\x03\x30.{1,5}?\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07", re.DOTALL
)
_TOKENS: Final = re.compile(
    rb"(?<![A-Za-z0-9])(?:"
    rb"(?:AKIA|ASIA)[A-Z0-9]{16}"
    rb"|gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{60,}"
    rb"|glpat-[A-Za-z0-9_-]{20,}|xox[abprs]-[A-Za-z0-9-]{20,}|sk_live_[A-Za-z0-9]{20,}|pypi-[A-Za-z0-9_-]{50,}|npm_[A-Za-z0-9]{36}"
    rb"|eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{20,}"
    rb")(?![A-Za-z0-9])"
)
_IN_URL: Final = re.compile(rb"[a-z][a-z0-9+.-]{1,20}://[^\s/:@\"'<>{}]{0,64}:([^\s/@\"'<>{}$]{1,64})@")
_ASSIGNED: Final = re.compile(
    rb"(?i)(?:password|passwd|passphrase|secret|api_?key|token|private_?key)[a-z_]{0,20}[\"']?\s{0,3}[:=]\s{0,3}[\"']?([A-Za-z0-9+/_=-]{24,120})(?![A-Za-z0-9+/_=(.-])"
)
#: A file that is one random word: how the data folder keeps secrets.
_ONE_WORD: Final = re.compile(rb"\s*[A-Za-z0-9_=+/-]{32,128}\s*")
_MAIL: Final = re.compile(
    rb"(?<![A-Za-z0-9._%+/=-])[A-Za-z0-9._%+-]{1,64}@((?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,10})(?![A-Za-z0-9.@-])"
)

#: Passwords of examples and of services on this machine only.
_EXAMPLE_PASSWORDS: Final = frozenset(
    word.encode()
    for word in (
        "guest",
        "password",
        "secret",
        "s3cret",
        "hush",
        "hu",
        "geheim",
        "pass",
        "pw",
        "word",
        "p%40ss%3a%2fw%c3%b6rt",
        ".",
        "…",
    )
)
#: Names that belong to nobody (RFC 2606, 6761).
_NOBODY: Final = re.compile(
    rb"(?:^|\.)(?:example\.(?:com|org|net)|example|test|invalid|localhost|local)$", re.IGNORECASE
)
#: Bits a character: words and code stay below, random text of this length does not.
_RANDOM_BITS: Final = 4.2
_MOST_DEPTH: Final = 3


@dataclass(frozen=True, slots=True)
class Found:
    path: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}"


def scan(data: bytes, path: str, *, depth: int = 0) -> list[Found]:
    """What should not be in one file, or in the archive that it is."""
    if depth < _MOST_DEPTH and (members := list(_members(data, path))):
        return [found for name, member in members for found in scan(member, name, depth=depth + 1)]
    return [Found(path, data.count(b"\n", 0, at) + 1, what) for at, what in sorted(_look(data))]


def scan_path(path: Path) -> list[Found]:
    """One file, or every file of a folder."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    return [found for file in files for found in scan(file.read_bytes(), str(file))]


def _look(data: bytes) -> Iterator[tuple[int, str]]:
    for pattern, what in ((_PEM, "a private key"), (_DER, "a private key (DER)"), (_TOKENS, "a token of a service")):
        for match in pattern.finditer(data):
            yield match.start(), what
    if _PKCS12.match(data[:64]):
        yield 0, "a key store (PKCS #12)"
    if _ONE_WORD.fullmatch(data[:256]) and _is_random(data.strip()):
        yield 0, "a file that is one random word"
    for match in _IN_URL.finditer(data):
        if match[1].lower() not in _EXAMPLE_PASSWORDS:
            yield match.start(), "a password in an address"
    for match in _ASSIGNED.finditer(data):
        if _is_random(match[1]):
            yield match.start(), "a random word where a secret would be"
    for match in _MAIL.finditer(data):
        if not _NOBODY.search(match[1]):
            yield match.start(), "a mail address that may be somebody's"


def _is_random(word: bytes) -> bool:
    """Whether it has the variety of random characters, and more than one kind of them."""
    kinds = sum(bool(re.search(kind, word)) for kind in (rb"[a-z]", rb"[A-Z]", rb"[0-9]"))
    counts = Counter(word)
    bits = -sum(count / len(word) * math.log2(count / len(word)) for count in counts.values())
    return kinds == 3 and bits >= min(_RANDOM_BITS, math.log2(len(word)) - 0.7)


def _members(data: bytes, path: str) -> Iterator[tuple[str, bytes]]:
    if data[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            yield from ((f"{path}!{name}", archive.read(name)) for name in archive.namelist() if not name.endswith("/"))
    elif data[257:262] == b"ustar" or data[:2] == b"\x1f\x8b" or data[:3] == b"BZh" or data[:6] == b"\xfd7zXZ\x00":
        try:
            with tarfile.open(fileobj=io.BytesIO(data)) as archive:
                for member in archive:
                    if (file := archive.extractfile(member)) is not None:
                        yield f"{path}!{member.name}", file.read()
        except tarfile.ReadError:
            return  # compressed, and no archive


def _of_the_checkout() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    return [file for name in listed.stdout.split(b"\0") if name and (file := ROOT / name.decode()).is_file()]


def main(arguments: list[str]) -> int:
    paths = [Path(argument) for argument in arguments] or _of_the_checkout()
    found = [one for path in paths for one in scan_path(path)]
    for one in found:
        print(one)  # noqa: T201  # the output is the point
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
