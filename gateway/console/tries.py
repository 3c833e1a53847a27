"""Deliveries with their tries, for the pages that show them."""

from __future__ import annotations

from django.db.models import QuerySet

from gateway import outbox
from gateway.models import Delivery


def with_tries(deliveries: QuerySet[Delivery]) -> list[tuple[Delivery, list[outbox.Try]]]:
    return [(delivery, outbox.tries(delivery)) for delivery in deliveries.select_related("entry").order_by("pk")]
