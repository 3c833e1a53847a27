"""Gives out X12 control numbers: each once per partner and kind, in order, without a gap."""

from __future__ import annotations

from typing import Final, Literal

from django.db import transaction
from django.db.models import Case, F, Value, When

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
    counter = ControlNumber.objects.filter(partner_id=partner_id, kind=ControlNumberKind(kind))
    # The UPDATE itself takes the row's lock and reads the newest value: nothing to lose between a read and a write.
    step = Case(When(last__gte=LARGEST, then=Value(1)), default=F("last") + 1)
    if not counter.update(last=step):
        ControlNumber.objects.bulk_create([ControlNumber(partner_id=partner_id, kind=kind)], ignore_conflicts=True)
        counter.update(last=step)
    return counter.values_list("last", flat=True).get()
