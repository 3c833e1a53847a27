"""What is wrong with this installation, and what to do: the checks of ``manage.py doctor`` and of every start.

A check is a function that yields findings; what is in order it does not mention. Those of ``_START`` are cheap and run
before ``up``, ``web`` and ``worker``; an error among them refuses the start. ``examine`` runs all of them.
No finding holds a secret: addresses are shown without their passwords.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from django.core.management import CommandError
from django.db import DatabaseError

from gateway.doctor import (
    broker,
    certificates,
    clocks,
    configuration,
    connections,
    database,
    folders,
    libraries,
    secrets_at_rest,
    work,
)
from gateway.doctor.findings import SEVERITIES, Finding, Role, Severity

__all__ = ["Finding", "Role", "Severity", "examine", "refuse_unfit", "worst"]

Check = Callable[[Role], Iterator[Finding]]

_START: Final[tuple[Check, ...]] = (
    libraries.floors,
    libraries.sqlite,
    configuration.web_side,
    configuration.names,
    configuration.processes,
    folders.private,
    database.answers,
    database.up_to_date,
    secrets_at_rest.open_with_our_keys,
    clocks.host,
)
_MORE: Final[tuple[Check, ...]] = (
    folders.room,
    folders.blobs,
    database.sound,
    database.postgresql,
    clocks.database,
    broker.answers,
    secrets_at_rest.kept_well,
    certificates.ending,
    connections.erps,
    connections.partners,
    work.dead_letters,
    work.overdue,
    work.breakers,
    work.loops,
)


def examine(role: Role = Role.DOCTOR) -> list[Finding]:
    """Every finding of every check, the worst first."""
    return _run(_START + _MORE, role)


def refuse_unfit(role: Role) -> list[Finding]:
    """Run the cheap checks before a start.

    Returns:
        What is no error, for the log.

    Raises:
        CommandError: there is an error; its text says all of them, as ``manage.py doctor`` does.
    """
    found = _run(_START, role)
    errors = [finding for finding in found if finding.severity is Severity.ERROR]
    if errors:
        raise CommandError("\n".join(["Not started:", *(finding.text() for finding in errors)]))
    return found


def worst(found: list[Finding]) -> Severity:
    return min((finding.severity for finding in found), key=SEVERITIES.index, default=Severity.OK)


def _run(checks: tuple[Check, ...], role: Role) -> list[Finding]:
    found: list[Finding] = []
    for check in checks:
        try:
            found.extend(check(role))
        except DatabaseError as error:
            if not any(finding.check.startswith("database.") for finding in found):
                found.append(database.unusable(f"{check.__module__.rpartition('.')[2]}.{check.__name__}", error))
    return sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))
