"""``python -m tests.faults.launch [--mutant NAME] COMMAND…``: ``manage.py COMMAND…``, with one bug put in first.

How the harness shows that it can fail: a gateway that breaks one of its rules must not pass the soak.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

import django
from django.core.management import execute_from_command_line


def main(arguments: list[str]) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.faults.settings")
    if arguments[:1] == ["--mutant"]:
        _, name, *arguments = arguments
        django.setup()  # a mutant patches modules, which need their models
        import_module("tests.faults.mutants").MUTANTS[name].apply()
    execute_from_command_line(["manage.py", *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])
