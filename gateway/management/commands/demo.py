"""``manage.py demo``: the main job for real, step by step, in a data folder of its own."""

from __future__ import annotations

import os
import shutil
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

#: Says that this process already runs in the demo's own folder.
_IN_FOLDER: Final = "GATEWAY_DEMO"


class Command(BaseCommand):
    help = "Run the main job for real on this machine, say each step, and stay up to be looked at."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--exit", action="store_true", help="end after the story; non-zero if a step failed")
        parser.add_argument("--port", type=int, default=8000, help="another free one is taken when it is in use")

    def handle(self, *args: Any, **options: Any) -> None:
        if os.environ.get(_IN_FOLDER) != "1":
            self._run_in_own_folder()
        from gateway.demo.story import Story, StoryFailed

        story = Story(folder=settings.DATA_DIR, port=options["port"], say=self._say)
        try:
            story.run()
            if not options["exit"]:
                story.stay()
        except StoryFailed as failed:
            raise CommandError(str(failed)) from failed
        finally:
            story.end()

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()

    def _run_in_own_folder(self) -> None:
        """Start again with a fresh data folder and the built-in queue: a demo never touches the real data."""
        folder = Path(settings.DATA_DIR) / "demo"
        from gateway.demo.counterparts import end_leftovers

        end_leftovers(folder)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        environment = {
            name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "GATEWAY_BROKER_URL"}
        }
        environment |= {
            _IN_FOLDER: "1",
            "GATEWAY_DATA_DIR": str(folder),
            "GATEWAY_ERP_POLL_S": "0.5",
            "GATEWAY_POLL_S": "1",
            "GATEWAY_LOG_LEVEL": environment.get("GATEWAY_LOG_LEVEL", "ERROR"),
        }
        os.execve(sys.executable, [sys.executable, *sys.argv], environment)  # noqa: S606  # no shell, our own arguments
