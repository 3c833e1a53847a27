"""Gives out X12 control numbers: each once per partner and kind, in order, without a gap."""

from __future__ import annotations

from typing import Final, Literal

from django.db import transaction

from partners.models import ControlNumber, ControlNumberKind

Kind = Literal["interchange", "group", "set"]

LARGEST: Final = 999_999_999  #: ISA13 has nine digits; GS06 and ST02 have no more


def allocate(partner_id: int, kind: Kind) -> int:
    """Take the next control number, 1 to 999999999 and then 1 again.

    The counter stays locked until the caller's transaction ends, so two writers for one partner queue up, and a rolled
    back document gives its number back.

    Raises:
        RuntimeError: called outside a transaction; the number could be used without its document being stored.
        ValueError: no such kind.
    """
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("control_numbers.allocate() outside a transaction: number and document are stored together")
    kind = ControlNumberKind(kind).value
    taken = _step(partner_id, kind)
    if taken is None:
        ControlNumber.objects.bulk_create([ControlNumber(partner_id=partner_id, kind=kind)], ignore_conflicts=True)
        taken = _step(partner_id, kind)
    if taken is None:
        raise RuntimeError(f"partner {partner_id} is gone")
    return taken


def _step(partner_id: int, kind: str) -> int | None:
    """The next number; None when there is no counter yet."""
    with transaction.get_connection().cursor() as cursor:
        # reviewed SQL: the UPDATE takes the row's lock, reads the newest value and returns it. Values are bound.
        cursor.execute(
            "UPDATE partners_controlnumber SET last = CASE WHEN last >= %s THEN 1 ELSE last + 1 END "
            "WHERE partner_id = %s AND kind = %s RETURNING last",
            [LARGEST, partner_id, kind],
        )
        row = cursor.fetchone()
    return None if row is None else int(row[0])
