"""Where a supplier's acknowledgment differs from its order, by the partner's tolerances."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final

from edi_maps import canonical
from edi_maps.canonical import (
    AcknowledgmentLine,
    Disposition,
    LineAction,
    LineStatus,
    OrderAcknowledgment,
    PurchaseOrder,
)
from edi_maps.findings import Severity
from gateway import statements
from gateway.models import Order, OrderRevision, OrderState
from gateway.order_book import days
from gateway.order_book.differences import Difference
from gateway.order_book.lines import line_key, other_item, plain, same_unit
from gateway.order_book.readings import (
    CONFIRMS,
    POSTPONES,
    REFUSES,
    LineAnswer,
    answers_cancellation,
    asked_about,
    is_about_a_change,
    is_stale,
    read,
    revision_answered,
)
from partners.profiles import AckTerms

_S = LineStatus


def compare_acknowledgment(order: Order, record: OrderAcknowledgment, terms: AckTerms) -> list[Difference]:
    """What differs between the order as it stands now and the supplier's answer, by the partner's tolerances.

    Reads only. The header's differences come first, then those of each line. What lies within a tolerance is not mentioned
    for quantity, price and day; a backorder or rejection within the quantity tolerance is a warning.
    """
    found = list(_header_differences(order, record, terms))
    if answers_cancellation(order, record):
        return found
    answers, strangers = read(order, record)
    found += [_unknown_line(order, answer) for answer in strangers]
    wanted = _wanted(order)
    for answer in answers:
        found += _line_differences(answer, record, wanted.get(line_key(answer.line.line_number), ()), terms)
    found += _silence(order, record, answers)
    return found


def _header_differences(order: Order, record: OrderAcknowledgment, terms: AckTerms) -> Iterator[Difference]:
    revision = revision_answered(order, record)
    if is_stale(order, revision):
        yield Difference(
            field="revision",
            ordered=str(order.revision),
            answered=str(revision),
            text=f"The supplier answers revision {revision}; the order stands at revision {order.revision}.",
        )
    elif revision is not None and revision > order.revision:
        yield Difference(
            field="revision",
            ordered=str(order.revision),
            answered=str(revision),
            text=f"The supplier answers revision {revision}, which was never released; the order stands at {order.revision}.",
        )
    if order.state == OrderState.CANCELLED and not answers_cancellation(order, record):
        yield Difference(
            field="order",
            ordered="cancelled",
            answered=record.disposition.value,
            text="The order was cancelled; the supplier's answer does not know of it.",
            severity=Severity.WARNING if record.disposition is Disposition.REJECTED else Severity.ERROR,
        )
        return
    yield from _disposition_differences(order, record)
    if terms.price_tolerance is not None and record.currency and order.currency and record.currency != order.currency:
        yield Difference(
            field="currency",
            ordered=order.currency,
            answered=record.currency,
            text=f"The supplier answers in {record.currency}, the order is in {order.currency}.",
        )


def _disposition_differences(order: Order, record: OrderAcknowledgment) -> Iterator[Difference]:
    statuses = {
        response.status
        for line in record.lines
        if line.action is not LineAction.DELETE  # to refuse a line that is taken off the order agrees to that
        for response in line.responses
    }
    cancelled = order.state == OrderState.CANCELLED
    what = "cancellation" if cancelled else "change" if is_about_a_change(record) else "order"
    match record.disposition:
        case Disposition.REJECTED:
            yield Difference(
                field="status",
                ordered="",
                answered="rejected",
                text=f"The supplier rejects the {what} as a whole.",
            )
            if statuses & CONFIRMS:
                yield Difference(
                    field="status",
                    answered="rejected",
                    text=f"The answer contradicts itself: the {what} is rejected as a whole, yet lines are accepted.",
                )
        case Disposition.ACCEPTED if statuses & REFUSES and not cancelled:
            yield Difference(
                field="status",
                answered="accepted",
                text=f"The answer contradicts itself: the {what} is accepted as it is, yet lines are rejected.",
            )
        case Disposition.ACCEPTED_WITH_CHANGES if not record.lines and order.state == OrderState.OPEN:
            yield Difference(
                field="status",
                answered="accepted_with_changes",
                text="The supplier accepts with changes and does not say which.",
            )
        case Disposition.RECEIVED:
            yield Difference(
                field="status",
                answered="received",
                text=f"The supplier has received the {what} and decided nothing yet.",
                severity=Severity.NOTE,
            )
        case Disposition.OTHER:
            yield Difference(
                field="status",
                answered="other",
                text="The supplier's answer has a type nobody agreed on a meaning for.",
            )


def _unknown_line(order: Order, answer: AcknowledgmentLine) -> Difference:
    name = answer.line_number or ", ".join(f"{one.kind} {one.value}" for one in answer.product_ids) or "without a name"
    return Difference(
        line=answer.line_number or None,
        field="line",
        answered=name,
        text=f"The supplier answers line {name}; order {order.number} has no such line.",
    )


def _silence(order: Order, record: OrderAcknowledgment, answers: Sequence[LineAnswer]) -> Iterator[Difference]:
    """Lines without an answer, where the header's does not cover them."""
    if record.disposition is not Disposition.ACCEPTED_WITH_CHANGES or not record.lines:
        return
    named = {answer.line.pk for answer in answers}
    for line in asked_about(order, record):
        if line.pk in named:
            continue
        yield Difference(
            line=line.line_number,
            field="line",
            ordered=plain(line.ordered),
            text=f"Line {line.line_number} is not answered, and the supplier accepts the order only with changes.",
        )


def _line_differences(
    answer: LineAnswer, record: OrderAcknowledgment, wanted: tuple[days.Due, ...], terms: AckTerms
) -> Iterator[Difference]:
    line = answer.line
    if line.deleted:
        if not {said.status for said in answer.said} <= REFUSES:
            yield Difference(
                line=line.line_number,
                field="line",
                ordered="deleted",
                answered=plain(answer.quantity(CONFIRMS)),
                text=f"Line {line.line_number} was deleted from the order; the supplier still answers it.",
            )
        return
    if record.disposition is Disposition.REJECTED and {said.status for said in answer.said} <= REFUSES:
        return  # the header has said so
    yield from _status_differences(answer)
    yield from _item_differences(answer)
    if foreign := next((said.unit for said in answer.said if not same_unit(said.unit, line.unit)), None):
        yield Difference(
            line=line.line_number,
            field="unit",
            ordered=line.unit,
            answered=foreign,
            text=f"Line {line.line_number} was ordered in {line.unit} and is answered in {foreign}.",
        )
        return  # quantities and unit prices of two units say nothing side by side
    yield from _quantity_differences(answer, terms)
    yield from _price_differences(answer, terms)
    yield from _day_differences(answer, wanted, terms)


def _status_differences(answer: LineAnswer) -> Iterator[Difference]:
    number = answer.line.line_number
    for said in answer.said:
        code = f" (code {said.code})" if said.code else ""
        words = {
            _S.OTHER: f"Line {number} is answered with a code nobody agreed on a meaning for{code}.",
            _S.ON_HOLD: f"Line {number} is on hold at the supplier's{code}.",
            _S.DATE_PENDING: f"Line {number}: the supplier will name the day later{code}.",
        }
        if text := words.get(said.status):
            yield Difference(line=number, field="status", answered=said.status.value, text=text)
        elif said.vague:
            what = said.status.value.replace("_", " ")
            yield Difference(
                line=number,
                field="status",
                answered=said.status.value,
                text=f"Line {number} is answered with “{what}”{code} without saying to what.",
            )


def _item_differences(answer: LineAnswer) -> Iterator[Difference]:
    line = answer.line
    for said in answer.said:
        substituted = said.status is _S.SUBSTITUTED
        if substituted or other_item(line, said.product_ids):
            ours = ", ".join(f"{entry['kind']} {entry['value']}" for entry in line.product_ids)
            theirs = ", ".join(f"{one.kind} {one.value}" for one in said.product_ids)
            does = "substitutes another item" if substituted else "answers with another item"
            yield Difference(
                line=line.line_number,
                field="item",
                ordered=ours,
                answered=theirs,
                text=f"Line {line.line_number}: the supplier {does}: {theirs or 'not named'} instead of {ours or '?'}.",
            )
            return


def _quantity_differences(answer: LineAnswer, terms: AckTerms) -> Iterator[Difference]:
    line, number = answer.line, answer.line.line_number
    allowed = line.ordered * terms.quantity_tolerance
    confirmed, later, refused = (answer.quantity(statuses) for statuses in (CONFIRMS, POSTPONES, REFUSES))
    if any(said.quantity is None for said in answer.said):
        yield Difference(
            line=number,
            field="quantity",
            ordered=plain(line.ordered),
            text=f"Line {number} is answered with a number that is no quantity.",
        )
        return
    for quantity, happens in ((refused, "rejected"), (later, "backordered")):
        if quantity:
            when = _days_said(answer, POSTPONES) if happens == "backordered" else ""
            yield Difference(
                line=number,
                field="quantity",
                ordered=plain(line.ordered),
                answered=plain(confirmed),
                text=f"Line {number}: {plain(quantity)} of {plain(line.ordered)} {line.unit} {happens}{when}, "
                f"{plain(confirmed)} confirmed.",
                severity=Severity.ERROR if quantity > allowed else Severity.WARNING,
            )
    # A rejection need not be counted out, so after one only too much is worth a word.
    total = confirmed + later + refused
    short = line.ordered - total
    if not answer.said or (-short if refused or short < 0 else short) <= allowed:
        return
    if len(answer.said) == 1:
        text = f"Line {number}: {plain(confirmed)} {line.unit} confirmed instead of {plain(line.ordered)}."
    else:
        text = f"Line {number}: the answers add up to {plain(total)} {line.unit}, ordered are {plain(line.ordered)}."
    yield Difference(line=number, field="quantity", ordered=plain(line.ordered), answered=plain(total), text=text)


def _price_differences(answer: LineAnswer, terms: AckTerms) -> Iterator[Difference]:
    line, number = answer.line, answer.line.line_number
    if terms.price_tolerance is None:
        return
    if any(said.status is _S.PRICE_PENDING for said in answer.said):
        yield Difference(
            line=number,
            field="price",
            ordered=plain(line.unit_price),
            text=f"Line {number}: the supplier will name the price later.",
        )
        return
    if line.unit_price is None:
        return
    allowed = line.unit_price * terms.price_tolerance
    for price in dict.fromkeys(
        said.price for said in answer.said if said.status in CONFIRMS and said.price is not None
    ):
        if abs(price - line.unit_price) > allowed:
            yield Difference(
                line=number,
                field="price",
                ordered=plain(line.unit_price),
                answered=plain(price),
                text=f"Line {number} is answered at a unit price of {plain(price)}, ordered at {plain(line.unit_price)}.",
            )


def _wanted(order: Order) -> dict[str, tuple[days.Due, ...]]:
    """Line → what is wanted when, by the revision that stands now."""
    [standing] = _REVISION.all(order=order.pk, number=order.revision)
    ordered = canonical.load(standing.record)
    if not isinstance(ordered, PurchaseOrder):
        return {}
    return {line_key(line.line_number or ""): days.required(line, ordered) for line in ordered.lines}


_REVISION: Final = statements.Query(
    lambda: OrderRevision.objects.filter(order_id=statements.Given("order"), number=statements.Given("number"))
)


def _day_differences(answer: LineAnswer, wanted: tuple[days.Due, ...], terms: AckTerms) -> Iterator[Difference]:
    number = answer.line.line_number
    promised = [
        days.Due(on=said.on, quantity=said.quantity or Decimal(0), family=days.family(said.date_kind))
        for said in answer.said
        if said.on is not None and said.status in CONFIRMS
    ]
    for off in days.off(wanted, promised, terms, answer.line.ordered * terms.quantity_tolerance):
        yield Difference(
            line=number,
            field="date",
            ordered=off.wanted.isoformat(),
            answered=off.said.isoformat(),
            text=f"Line {number}: {off.words}.",
        )


def _days_said(answer: LineAnswer, statuses: frozenset[LineStatus]) -> str:
    said = sorted({one.on for one in answer.said if one.status in statuses and one.on is not None})
    return f" until {said[-1].isoformat()}" if said else ""
