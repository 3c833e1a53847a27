"""Which of a document's days is the one wanted, the one promised, and whether they agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Final, Literal

from edi_maps import canonical
from gateway.order_book.lines import plain
from partners.profiles import AckTerms

Family = Literal["delivery", "shipment"]

#: A day the buyer wants something on, best first: part of its name, then the family it belongs to.
_WANTED: Final = ("request", "requir", "deliver", "arriv", "ship", "pick")
#: Days that limit or describe, but are not the day something is wanted on.
_NOT_WANTED: Final = ("cancel", "before", "effective", "expire", "promis", "schedul", "estimat", "expected", "confirm")
_PROMISED: Final = ("promis", "schedul", "estimat", "expected", "confirm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A quantity and its day."""

    on: date
    quantity: Decimal
    family: Family | None


def family(kind: str | None) -> Family | None:
    """Whether a day is one of arrival or of departure, None when its name does not tell."""
    if kind is None:
        return None
    if any(word in kind for word in ("deliver", "arriv", "receiv")):
        return "delivery"
    return "shipment" if any(word in kind for word in ("ship", "pick", "depart")) else None


def wanted(dates: Mapping[str, date]) -> tuple[str, date] | None:
    """The day something is requested for, with its name; a plain day before the end of a window."""
    for limits in (("after", *_NOT_WANTED), _NOT_WANTED):
        for word in _WANTED:
            for kind, on in dates.items():
                if word in kind and not any(limit in kind for limit in limits):
                    return kind, on
    return None


def promised(dates: Mapping[str, date]) -> tuple[str, date] | None:
    """The day promised for the whole document, with its name."""
    return next(((kind, on) for kind, on in dates.items() if any(word in kind for word in _PROMISED)), None)


def required(line: canonical.OrderLine, order: canonical.PurchaseOrder) -> tuple[Due, ...]:
    """What is wanted when, earliest first: the line's schedules, else its day, else the order's."""
    schedules = [
        Due(on=schedule.on, quantity=schedule.quantity, family=family(schedule.date_kind))
        for schedule in line.schedules
        if schedule.on is not None
    ]
    if schedules:
        return tuple(sorted(schedules, key=lambda due: due.on))
    day = wanted(line.dates) or wanted(order.dates)
    if day is None:
        return ()
    kind, on = day
    return (Due(on=on, quantity=line.quantity or Decimal(0), family=family(kind)),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Off:
    """A promise outside the tolerance: the day wanted, the day said, and how to say it."""

    wanted: date
    said: date
    words: str


def off(wanted: Sequence[Due], said: Sequence[Due], terms: AckTerms, tolerance: Decimal) -> Iterator[Off]:
    """Promises that come too late or too early.

    Args:
        wanted: earliest first.
        said: promises with a day; one without a day is taken to be in time.
        tolerance: the quantity that may be missing or too much on a day of a schedule.
    """
    if len(wanted) == 1:
        yield from (found for promise in said if (found := _off_one(wanted[0], promise, terms)))
    elif wanted and said:
        found = _late(wanted, said, terms, tolerance) or _early(wanted, said, terms, tolerance)
        if found:
            yield found


def _off_one(due: Due, promise: Due, terms: AckTerms) -> Off | None:
    """Compare one promise with the one day wanted.

    Departure comes before arrival: one that leaves after the day it should arrive is late, and one that leaves before it
    is not early for that.
    """
    late = (promise.on - due.on).days
    arrives_against_departure = (due.family, promise.family) == ("shipment", "delivery")
    departs_against_arrival = (due.family, promise.family) == ("delivery", "shipment")
    if late > terms.days_late and not arrives_against_departure:
        return Off(wanted=due.on, said=promise.on, words=f"promised for {promise.on}, {_days(late)} after {due.on}")
    if -late > terms.days_early and not departs_against_arrival:
        return Off(wanted=due.on, said=promise.on, words=f"promised for {promise.on}, {_days(-late)} before {due.on}")
    return None


def _late(wanted: Sequence[Due], said: Sequence[Due], terms: AckTerms, tolerance: Decimal) -> Off | None:
    """The first day on which less is promised than is due by then; a shortage of the whole is not a matter of days."""
    whole = sum((promise.quantity for promise in said), Decimal(0))
    for due in wanted:
        owed = min(whole, sum((one.quantity for one in wanted if one.on <= due.on), Decimal(0)))
        limit = due.on + timedelta(days=terms.days_late)
        there = sum((promise.quantity for promise in said if promise.on <= limit), Decimal(0))
        if owed - there > tolerance:
            next_day = min(promise.on for promise in said if promise.on > limit)
            return Off(
                wanted=due.on,
                said=next_day,
                words=f"{plain(there)} promised by {due.on}, {plain(owed)} are due by then",
            )
    return None


def _early(wanted: Sequence[Due], said: Sequence[Due], terms: AckTerms, tolerance: Decimal) -> Off | None:
    """The first promise that brings more than is wanted by then."""
    for promise in sorted(said, key=lambda one: one.on):
        there = sum((one.quantity for one in said if one.on <= promise.on), Decimal(0))
        limit = promise.on + timedelta(days=terms.days_early)
        room = sum((due.quantity for due in wanted if due.on <= limit), Decimal(0))
        if there - room > tolerance:
            first = next((due.on for due in wanted if due.on > limit), promise.on)
            if first == promise.on:
                return None  # more than the whole order: a matter of quantity
            return Off(
                wanted=first,
                said=promise.on,
                words=f"{plain(there)} promised by {promise.on}, {plain(room)} wanted by then",
            )
    return None


def _days(count: int) -> str:
    return "1 day" if count == 1 else f"{count} days"
