"""``manage.py edi``: read, write, acknowledge and explain X12 files from the command line."""

from __future__ import annotations

import json
import os
import shutil
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from django.core.management.base import BaseCommand, CommandError
from pydantic import ValidationError

from edi_maps import canonical, x12
from edi_maps.findings import Finding, Verdict, finding, verdict_of
from edi_maps.x12.explain import PAGE_LIMITS, UNLIMITED, as_html, as_text, explain

if TYPE_CHECKING:
    from partners.profiles import Profile

#: Exit codes, the worst of all files.
ACCEPTED: Final = 0
REJECTED: Final = 1
UNREADABLE: Final = 2
#: What a shell reports of a program that a closed pipe ended: 128 and SIGPIPE.
PIPE_CLOSED: Final = 141

#: The file name that means standard input.
STANDARD_INPUT: Final = Path("-")

_READ: Final = """\
One JSON line for each transaction set, as soon as it is read: verdict, findings, record. Lines with findings about an
interchange or a group come before its sets. A file is gone through twice, its envelopes first and then its sets, so that
the verdict of every line is final though an envelope may turn out broken at its end; memory does not grow with the file.
What can be read only once, such as a pipe, is kept in a temporary file meanwhile.

Exit code: 0 all accepted, 1 something rejected, 2 something unreadable.
"""


class Command(BaseCommand):
    help = "Read, write, acknowledge or explain X12 documents. Nothing is stored and nothing is sent."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        read = actions.add_parser(
            "read",
            help="one JSON line per transaction set: verdict, findings, record",
            description=_READ,
            formatter_class=RawDescriptionHelpFormatter,
        )
        read.add_argument("files", nargs="+", type=Path, metavar="FILE", help="- is standard input")
        read.add_argument("--partner", metavar="CODE", help="judge by this partner's terms")
        write = actions.add_parser("write", help="write a canonical record as X12 to standard output")
        write.add_argument("record", type=Path, metavar="RECORD.json")
        write.add_argument("--as", dest="set_code", required=True, metavar="SET", help="transaction set, e.g. 850")
        write.add_argument("--version", dest="x12_version", default=None, metavar="VERSION", help="e.g. 004010")
        write.add_argument("--partner", metavar="CODE", help="with this partner's addresses and separators")
        ack = actions.add_parser("ack", help="the TA1 and 997 (or 999) we would answer, to standard output")
        ack.add_argument("file", type=Path, metavar="FILE", help="- is standard input")
        ack.add_argument("--as", dest="ack_code", choices=("997", "999"), default="997", help="with which set (997)")
        ack.add_argument("--group-only", action="store_true", help="AK1 and AK9 only, no detail of each set")
        show = actions.add_parser("explain", help="the document in words, findings where they belong")
        show.add_argument("file", type=Path, metavar="FILE")
        show.add_argument("--html", type=Path, metavar="OUT", help="write an HTML page instead")
        show.add_argument(
            "--second-opinion", action="store_true", help="ask pyx12 too about every set that is rejected"
        )

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        actions: dict[str, Callable[..., int]] = {
            "read": self.read,
            "write": self.write,
            "ack": self.ack,
            "explain": self.explain,
        }
        try:
            outcome = actions[action](**options)
            self.stdout.flush()
        except BrokenPipeError:
            # Whoever reads has seen enough. Nothing is left for Python to write, and to complain about, when it ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            outcome = PIPE_CLOSED
        if outcome:
            sys.exit(outcome)

    def read(self, *, files: list[Path], partner: str | None, **_: Any) -> int:
        relaxed = _profile(partner).x12.relaxed if partner else frozenset()
        return max([self.read_file(path, relaxed) for path in files])

    def read_file(self, path: Path, relaxed: frozenset[str]) -> int:
        outcome = _Outcome()
        try:
            with _readable_twice(path) as open_file:
                for interchange, sets in x12.in_two_passes(open_file, relaxed=relaxed):
                    outcome.add_envelope(interchange)
                    for line in _lines(path, interchange, outcome.counted(sets)):
                        self.line(line)
        except BrokenPipeError:
            raise
        except (OSError, x12.FileChanged) as exc:
            reason = getattr(exc, "strerror", None) or str(exc)
            self.line(_line(path, findings=[finding("unreadable", reason=reason)]))
            return UNREADABLE
        return outcome.code

    def line(self, data: dict[str, Any]) -> None:
        self.stdout.write(json.dumps(data, ensure_ascii=True))

    def write(self, *, record: Path, set_code: str, x12_version: str | None, partner: str | None, **_: Any) -> int:
        envelope = _envelope(_profile(partner) if partner else None, x12_version)
        try:
            loaded = canonical.load(json.loads(record.read_bytes()))
            if (written_as := x12.set_of(loaded.type)) != set_code:
                raise CommandError(f"{record}: a {loaded.type} is written as {written_as}, not as {set_code}")
            data = x12.write(loaded, envelope)
        except OSError as exc:
            raise CommandError(f"{record}: {exc.strerror}") from exc
        except ValidationError as exc:
            faults = "; ".join(
                f"{'/'.join(str(step) for step in error['loc'])}: {error['msg']}" for error in exc.errors()[:20]
            )
            raise CommandError(f"{record} is no canonical record: {faults}") from exc
        except (ValueError, RecursionError) as exc:  # not JSON, or nothing X12 can say
            raise CommandError(f"{record}: {exc}") from exc
        self.bytes(data)
        return ACCEPTED

    def ack(self, *, file: Path, ack_code: str, group_only: bool, **_: Any) -> int:
        now, number, outcome = datetime.now(UTC), 0, _Outcome()
        with _readable(file) as source:
            for event in x12.stream(source):
                if isinstance(event, x12.SetEnd):
                    continue  # its verdict is final with its interchange
                number += 1
                outcome.add(event)
                try:
                    envelope = x12.reply_envelope(event, interchange_number=number, group_number=number, at=now)
                    answer = x12.acknowledge(event, envelope, code=ack_code, detail=not group_only)
                except ValueError as exc:
                    self.stderr.write(f"interchange {number} cannot be answered: {exc}")
                    continue
                if answer is None:
                    self.stderr.write(f"interchange {number}: nothing to answer")
                else:
                    self.bytes(answer)
        return outcome.code

    def explain(self, *, file: Path, html: Path | None, second_opinion: bool, **_: Any) -> int:
        data = _bytes_of(file)
        interchanges = x12.read(data)
        limits = UNLIMITED if html is None else PAGE_LIMITS
        page = explain(str(file), interchanges, ask_about=data if second_opinion else None, limits=limits)
        if html is None:
            self.stdout.write(as_text(page), ending="")
        else:
            try:
                html.write_text(as_html(page), encoding="utf-8", errors="backslashreplace")
            except OSError as exc:
                raise CommandError(f"{html}: {exc.strerror}") from exc
        outcome = _Outcome()
        for interchange in interchanges:
            outcome.add(interchange)
        return outcome.code

    def bytes(self, data: bytes) -> None:
        """Put out bytes as they are; a text stream would change newlines and encode separators."""
        stream = getattr(self.stdout, "buffer", None)
        if stream is None:
            self.stdout.write(data.decode("latin-1"), ending="")
        else:
            self.stdout.flush()
            stream.write(data)
            stream.flush()


def _bytes_of(path: Path) -> bytes:
    with _readable(path) as source:
        return source.read()


@contextmanager
def _readable(path: Path) -> Iterator[BinaryIO]:
    """A file or standard input, open for reading in binary mode."""
    if path == STANDARD_INPUT:
        yield sys.stdin.buffer
        return
    try:
        file = path.open("rb")
    except OSError as exc:
        raise CommandError(f"{path}: {exc.strerror}", returncode=UNREADABLE) from exc
    with file:
        yield file


@contextmanager
def _readable_twice(path: Path) -> Iterator[Callable[[], BinaryIO]]:
    """What opens a file at its beginning, again and again.

    Raises:
        OSError: it cannot be read.
    """
    if path != STANDARD_INPUT and path.is_file():
        yield lambda: path.open("rb")
        return
    with NamedTemporaryFile() as kept:
        if path == STANDARD_INPUT:
            shutil.copyfileobj(sys.stdin.buffer, kept)
        else:
            with path.open("rb") as pipe:
                shutil.copyfileobj(pipe, kept)
        kept.flush()
        copy = Path(kept.name)
        yield lambda: copy.open("rb")


def _profile(code: str) -> Profile:
    from partners import directory  # the command works without a database as long as no partner is named

    found = directory.by_code(code)
    if found is None:
        raise CommandError(f"no trading partner has the code {code!r}")
    return found


def _envelope(profile: Profile | None, version: str | None) -> x12.Envelope:
    """Addresses and separators of the partner's terms. The control numbers are 1: nothing is sent, so none is used up."""
    try:
        if profile is None:
            return x12.Envelope(
                sender_qualifier="ZZ",
                sender_id="SENDER",
                receiver_qualifier="ZZ",
                receiver_id="RECEIVER",
                interchange_number=1,
                group_number=1,
                version=version or "004010",
                at=datetime.now(UTC),
            )
        terms = profile.x12
        return x12.Envelope(
            sender_qualifier=terms.our_qualifier,
            sender_id=terms.our_id,
            sender_group_id=terms.our_group_id,
            receiver_qualifier=terms.their_qualifier,
            receiver_id=terms.their_id,
            receiver_group_id=terms.their_group_id,
            interchange_number=1,
            group_number=1,
            version=version or terms.version,
            version_suffix=terms.version_suffix,
            usage=terms.usage,
            delimiters=x12.Delimiters(
                element=terms.element,
                segment=terms.segment,
                component=terms.component,
                repetition=terms.repetition or None,
            ),
            newline_after_segment=terms.newline_after_segment,
            at=datetime.now(UTC),
        )
    except ValueError as exc:
        raise CommandError(f"cannot address the document: {exc}") from exc


class _Outcome:
    """The exit code for one file: 2 when there was no transaction set and no acknowledgment to read at all."""

    def __init__(self) -> None:
        self.any = self.rejected = False

    @property
    def code(self) -> int:
        return UNREADABLE if not self.any else REJECTED if self.rejected else ACCEPTED

    def add(self, interchange: x12.Interchange) -> None:
        self.add_envelope(interchange)
        for group in interchange.groups:
            for transaction_set in group.sets:
                self.add_set(transaction_set)

    def add_envelope(self, interchange: x12.Interchange) -> None:
        self.any |= bool(interchange.acknowledgments)
        around = [interchange.findings, *(group.findings for group in interchange.groups)]
        self.rejected |= Verdict.REJECTED in map(verdict_of, around)

    def add_set(self, transaction_set: x12.TransactionSet) -> None:
        self.any = True
        self.rejected |= transaction_set.verdict is Verdict.REJECTED

    def counted(self, sets: Iterable[x12.SetEnd]) -> Iterator[x12.SetEnd]:
        """The same sets, each taken into account as it passes."""
        for one in sets:
            self.add_set(one.set)
            yield one


def _line(path: Path, findings: list[Finding], **facts: Any) -> dict[str, Any]:
    line: dict[str, Any] = dict.fromkeys(("interchange", "group", "set", "code", "version", "type"))
    line |= {"file": str(path), "verdict": verdict_of(findings), "record": None, **facts}
    order = ("file", "interchange", "group", "set", "code", "version", "type", "verdict")
    return {
        **{name: line[name] for name in order},
        "findings": [found.as_dict() for found in findings],
        "record": line["record"],
    }


def _lines(path: Path, interchange: x12.Interchange, sets: Iterable[x12.SetEnd]) -> Iterator[dict[str, Any]]:
    """One line per transaction set and TA1; before them one for an interchange or a group that has findings of its own."""
    number = interchange.control_number or None
    if interchange.findings:
        yield _line(path, interchange.findings, interchange=number, version=interchange.version or None)
    for segment in interchange.acknowledgments:
        said = x12.read_interchange_acknowledgment(segment)
        yield _line(
            path,
            [],
            interchange=number,
            code="TA1",
            version=interchange.version or None,
            type="interchange_acknowledgment",
            record=asdict(said),
        )
    groups = iter(interchange.groups)
    reached: x12.Group | None = None
    for one in sets:
        while reached is not one.group:
            reached = next(groups)
            yield from _group_lines(path, number, reached)
        yield _set_line(path, one.set, _place(number, one.group))
        one.group.sets.clear()
    for group in groups:
        yield from _group_lines(path, number, group)


def _group_lines(path: Path, interchange: str | None, group: x12.Group) -> Iterator[dict[str, Any]]:
    if group.findings:
        yield _line(path, group.findings, **_place(interchange, group))


def _place(interchange: str | None, group: x12.Group) -> dict[str, Any]:
    return {"interchange": interchange, "group": group.control_number or None, "version": group.version or None}


def _set_line(path: Path, transaction_set: x12.TransactionSet, place: dict[str, Any]) -> dict[str, Any]:
    record: dict[str, Any] | None = None
    kind = transaction_set.type
    if transaction_set.record is not None:
        record = canonical.dump(transaction_set.record)
    elif transaction_set.acknowledgment is not None:
        kind, record = "functional_acknowledgment", asdict(transaction_set.acknowledgment)
    return _line(
        path,
        transaction_set.findings,
        **place,
        set=transaction_set.control_number or None,
        code=transaction_set.code or None,
        type=kind,
        verdict=transaction_set.verdict,
        record=record,
    )
