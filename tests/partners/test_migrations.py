"""The migrations of this app say what its models say."""

from __future__ import annotations

from io import StringIO

from django.core.management import call_command


def test_no_migration_is_missing(db):
    call_command("makemigrations", "partners", check=True, dry_run=True, stdout=StringIO())
