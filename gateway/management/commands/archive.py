"""``manage.py archive``: finished work leaves the tables for files by partner and month, is shown, checked and brought back."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from datetime import UTC, date, datetime
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from gateway import archives
from gateway.archives import files
from gateway.models import Archive, Blob
from partners.models import TradingPartner

WRONG: Final = 1  #: exit code of ``verify`` when an archive is not what it should be

_HELP: Final = """\
Without an action: everything that is finished and older than its partner's retention leaves the tables, into one file for each
partner, month and part. Nothing open leaves, and nothing under a legal hold. Killed anywhere it is simply run again.

  list             the archives there are
  show ID          the rows of one, as JSON lines
  verify           reads every file, and holds its events against the audit trail; exit code 1 when one is not as it was
  restore ID       the rows come back under their keys; they stay for 30 days, or as long as a legal hold lasts
"""


class Command(BaseCommand):
    help = _HELP

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        return super().create_parser(prog_name, subcommand, formatter_class=RawDescriptionHelpFormatter, **kwargs)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", nargs="?", default="run", choices=["run", "list", "show", "verify", "restore"])
        parser.add_argument("id", nargs="?", type=int, help="number of an archive, for show and restore")
        parser.add_argument("--dry-run", action="store_true", help="count what would leave, and why the rest stays")
        parser.add_argument("--partner", metavar="CODE", help="only this partner's")
        parser.add_argument(
            "--before", metavar="YYYY-MM", help="what was over before this month leaves, whatever the retention says"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        {
            "run": self._run,
            "list": self._list,
            "show": self._show,
            "verify": self._verify,
            "restore": self._restore,
        }[options["action"]](options)

    def _run(self, options: dict[str, Any]) -> None:
        outcome = archives.run(
            timezone.now(),
            partner=_partner(options["partner"]),
            before=_month(options["before"]),
            dry=options["dry_run"],
            tell=lambda text: print(text, file=sys.stderr, flush=True),
        )
        rows = ", ".join(f"{count} {name}" for name, count in sorted(outcome.rows.items())) or "nothing"
        print(f"{'Would leave' if options['dry_run'] else f'{len(outcome.archives)} archives'}: {rows}.")
        for why, count in outcome.stays.most_common():
            print(f"{count} stay: {why}")

    def _list(self, options: dict[str, Any]) -> None:
        rows = Archive.objects.select_related("partner").order_by("partner__code", "month", "part")
        if options["partner"]:
            rows = rows.filter(partner=_partner(options["partner"]))
        for row in rows.iterator(chunk_size=500):
            back = f", restored {row.restored_at:%Y-%m-%d}" if row.restored_at else ""
            print(
                f"{row.pk}: {row.partner.code} {row.month:%Y-%m} part {row.part}, {sum(row.rows.values())} rows, "
                f"{row.size_bytes} bytes, {row.sha256}{back}"
            )

    def _show(self, options: dict[str, Any]) -> None:
        archive = _archive(options["id"])
        try:
            for line in files.decode(Blob.objects.get(pk=archive.sha256).content):
                if line.model is not None:
                    print(json.dumps({"row": line.model._meta.model_name, **line.columns}, ensure_ascii=False))
        except files.Unusable as wrong:
            raise CommandError(f"{archive}: {wrong}") from wrong

    def _verify(self, options: dict[str, Any]) -> None:
        partner, count, wrong = _partner(options["partner"]), 0, 0
        rows = Archive.objects.filter(partner=partner) if partner else Archive.objects.all()
        for row in rows.order_by("pk").iterator(chunk_size=100):
            faults = archives.verify(row)
            for fault in faults:
                print(fault)
            count, wrong = count + 1, wrong + bool(faults)
        print(f"{count} archives read, {wrong} of them not as they should be.")
        if wrong:
            sys.exit(WRONG)

    def _restore(self, options: dict[str, Any]) -> None:
        archive = _archive(options["id"])
        try:
            count = archives.restore(archive, actor="command line", now=timezone.now())
        except archives.ArchiveError as wrong:
            raise CommandError(str(wrong)) from wrong
        print(f"{count} rows of {archive} are back. They stay for 30 days, or as long as a legal hold on them lasts.")


def _archive(pk: int | None) -> Archive:
    found = Archive.objects.select_related("partner").filter(pk=pk or 0).first()
    if found is None:
        raise CommandError("There is no such archive; `archive list` names all." if pk else "Say the archive's number.")
    return found


def _partner(code: str | None) -> TradingPartner | None:
    if not code:
        return None
    found = TradingPartner.objects.filter(code=code).first()
    if found is None:
        raise CommandError(f"There is no partner {code!r}.")
    return found


def _month(text: str | None) -> date | None:
    if not text:
        return None
    try:
        day = datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC).date()
    except ValueError:
        raise CommandError(f"{text!r} is no month; say it as 2027-03.") from None
    if day > timezone.now().date():
        raise CommandError(f"{text} is still to come; only what is over can leave.")
    return day
