"""Legal holds: placed with a reason, ended, never changed and never deleted; each an event of the audit trail."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from gateway import events
from gateway.models import LegalHold
from partners.models import TradingPartner


def hold(row: LegalHold, *, actor: str) -> LegalHold:
    """Place a hold that is not saved yet: from this commit on nothing of its partner, or of its order, is archived."""
    with transaction.atomic():
        order = row.order
        partner_id = order.partner_id if order else row.partner_id
        # Whoever archives holds this row: either the hold is seen, or what it is about had left before.
        TradingPartner.objects.select_for_update(no_key=True).get(pk=partner_id or 0)
        if order is not None:
            order.refresh_from_db(fields=["number"])
        row.placed_by, row.placed_at = actor, timezone.now()
        row.save(force_insert=True)
        events.record("hold.placed", actor=actor, partner_id=partner_id, order=order, hold=row.pk)
    return row


def release(row: LegalHold, *, actor: str) -> bool:
    """End a hold; False when it had ended before."""
    with transaction.atomic():
        if not LegalHold.objects.filter(pk=row.pk, ended_at=None).update(ended_at=timezone.now(), ended_by=actor):
            return False
        order = row.order
        partner_id = order.partner_id if order else row.partner_id
        events.record("hold.ended", actor=actor, partner_id=partner_id, order=order, hold=row.pk)
    return True
