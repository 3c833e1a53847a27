"""``manage.py edi``: read, write, acknowledge and explain X12 files from the command line."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from django.core.management.base import BaseCommand, CommandError
from pydantic import ValidationError

from edi_maps import canonical, x12
from edi_maps.findings import Finding, Verdict, finding, verdict_of
from edi_maps.x12.explain import as_html, as_text, explain

if TYPE_CHECKING:
    from partners.profiles import Profile

#: Exit codes, the worst of all files.
ACCEPTED: Final = 0
REJECTED: Final = 1
UNREADABLE: Final = 2


class Command(BaseCommand):
    help = "Read, write, acknowledge or explain X12 documents. Nothing is stored and nothing is sent."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        read = actions.add_parser("read", help="one JSON line per transaction set: verdict, findings, record")
        read.add_argument("files", nargs="+", type=Path, metavar="FILE")
        read.add_argument("--partner", metavar="CODE", help="judge by this partner's terms")
        write = actions.add_parser("write", help="write a canonical record as X12 to standard output")
        write.add_argument("record", type=Path, metavar="RECORD.json")
        write.add_argument("--as", dest="set_code", required=True, metavar="SET", help="transaction set, e.g. 850")
        write.add_argument("--version", dest="x12_version", default=None, metavar="VERSION", help="e.g. 004010")
        write.add_argument("--partner", metavar="CODE", help="with this partner's addresses and separators")
        ack = actions.add_parser("ack", help="the TA1 and 997 (or 999) we would answer, to standard output")
        ack.add_argument("file", type=Path, metavar="FILE")
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
        outcome = actions[action](**options)
        if outcome:
            sys.exit(outcome)

    def read(self, *, files: list[Path], partner: str | None, **_: Any) -> int:
        relaxed = _profile(partner).x12.relaxed if partner else frozenset()
        worst = ACCEPTED
        for path in files:
            try:
                interchanges = x12.read(path.read_bytes(), relaxed=relaxed)
            except OSError as exc:
                self.line(_line(path, findings=[finding("unreadable", reason=exc.strerror or str(exc))]))
                worst = UNREADABLE
                continue
            for line in _lines(path, interchanges):
                self.line(line)
            worst = max(worst, _outcome(interchanges))
        return worst

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
        interchanges = x12.read(_bytes_of(file))
        now = datetime.now(UTC)
        for number, interchange in enumerate(interchanges, start=1):
            try:
                envelope = x12.reply_envelope(interchange, interchange_number=number, group_number=number, at=now)
                answer = x12.acknowledge(interchange, envelope, code=ack_code, detail=not group_only)
            except ValueError as exc:
                self.stderr.write(f"interchange {number} cannot be answered: {exc}")
                continue
            if answer is None:
                self.stderr.write(f"interchange {number}: nothing to answer")
            else:
                self.bytes(answer)
        return _outcome(interchanges)

    def explain(self, *, file: Path, html: Path | None, second_opinion: bool, **_: Any) -> int:
        data = _bytes_of(file)
        interchanges = x12.read(data)
        page = explain(str(file), interchanges, ask_about=data if second_opinion else None)
        if html is None:
            self.stdout.write(as_text(page), ending="")
        else:
            try:
                html.write_text(as_html(page), encoding="utf-8", errors="backslashreplace")
            except OSError as exc:
                raise CommandError(f"{html}: {exc.strerror}") from exc
        return _outcome(interchanges)

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
    try:
        return path.read_bytes()
    except OSError as exc:
        raise CommandError(f"{path}: {exc.strerror}", returncode=UNREADABLE) from exc


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


def _outcome(interchanges: list[x12.Interchange]) -> int:
    """The exit code for one file: 2 when there was no transaction set and no acknowledgment to read at all."""
    sets = [found for interchange in interchanges for group in interchange.groups for found in group.sets]
    if not sets and not any(interchange.acknowledgments for interchange in interchanges):
        return UNREADABLE
    envelopes = [found for interchange in interchanges for found in interchange.findings]
    envelopes += [found for interchange in interchanges for group in interchange.groups for found in group.findings]
    verdicts = {verdict_of(envelopes), *(found.verdict for found in sets)}
    return REJECTED if Verdict.REJECTED in verdicts else ACCEPTED


def _line(path: Path, findings: list[Finding], **facts: Any) -> dict[str, Any]:
    line: dict[str, Any] = dict.fromkeys(("interchange", "group", "set", "code", "version", "type"))
    line |= {"file": str(path), "verdict": verdict_of(findings), "record": None, **facts}
    order = ("file", "interchange", "group", "set", "code", "version", "type", "verdict")
    return {
        **{name: line[name] for name in order},
        "findings": [found.as_dict() for found in findings],
        "record": line["record"],
    }


def _lines(path: Path, interchanges: list[x12.Interchange]) -> Iterator[dict[str, Any]]:
    """One line per transaction set and TA1; before them one for an interchange or a group that has findings of its own."""
    for interchange in interchanges:
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
        for group in interchange.groups:
            place = {"interchange": number, "group": group.control_number or None, "version": group.version or None}
            if group.findings:
                yield _line(path, group.findings, **place)
            for transaction_set in group.sets:
                yield _set_line(path, transaction_set, place)


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
