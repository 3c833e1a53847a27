"""What one acknowledgment says about each line of its order, with what it leaves unsaid filled in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
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
from gateway.models import Order, OrderLine, OrderState
from gateway.order_book import days
from gateway.order_book.amendments import changed_lines
from gateway.order_book.lines import LineFinder, line_key, lines_of, same_unit, storable

_S = LineStatus

#: What becomes of the quantity of a response. A status in none of these says nothing about quantities.
CONFIRMS: Final = frozenset(
    {
        _S.ACCEPTED,
        _S.ACCEPTED_WITH_CHANGES,
        _S.QUANTITY_CHANGED,
        _S.PRICE_CHANGED,
        _S.PRICE_PENDING,
        _S.DATE_CHANGED,
        _S.DATE_PENDING,
        _S.PARTIALLY_SHIPPED,
        _S.SUBSTITUTED,
        _S.SHIPPED,
    }
)
POSTPONES: Final = frozenset({_S.BACKORDERED, _S.ON_HOLD})
REFUSES: Final = frozenset({_S.REJECTED, _S.DELETED})

#: The header decides about the lines an acknowledgment does not name.
_REST_IS_ACCEPTED: Final = frozenset({Disposition.ACCEPTED, Disposition.EXCEPTIONS_ONLY})
#: "Received" is no decision; what we cannot read is none either.
DECIDES: Final = frozenset(Disposition) - {Disposition.RECEIVED, Disposition.OTHER}


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One response with what it left unsaid filled in."""

    status: LineStatus
    code: str = ""  #: as sent
    quantity: Decimal | None  #: None: it counts in another unit than the order, or is beyond what can be kept
    unit: str = ""
    price: Decimal | None = None
    date_kind: str | None = None
    on: date | None = None
    product_ids: tuple[canonical.ProductId, ...] = ()
    vague: bool = False  #: announces a change and does not say to what


@dataclass(slots=True, kw_only=True)
class LineAnswer:
    """All that one document says about one line of the order."""

    line: OrderLine
    said: list[Said] = field(default_factory=list)

    def quantity(self, statuses: Iterable[LineStatus]) -> Decimal:
        return sum((one.quantity or Decimal(0) for one in self.said if one.status in statuses), Decimal(0))


def read(order: Order, record: OrderAcknowledgment) -> tuple[list[LineAnswer], list[AcknowledgmentLine]]:
    """The answers by line of the order, and those that name no line of it."""
    lines = lines_of(order)
    finder = LineFinder(lines)
    answers: dict[int, LineAnswer] = {}
    strangers = []
    overall = days.promised(record.dates)
    for answer in record.lines:
        line = finder.find(answer.line_number, answer.product_ids)
        if line is None:
            strangers.append(answer)
            continue
        merged = answers.setdefault(line.pk, LineAnswer(line=line))
        merged.said += _filled_in(line, answer, record.disposition, overall)
    return list(answers.values()), strangers


def _filled_in(
    line: OrderLine, answer: AcknowledgmentLine, disposition: Disposition, overall: tuple[str, date] | None
) -> list[Said]:
    responses = answer.responses or _implied_response(disposition)
    if answer.action is LineAction.DELETE:  # to accept that a line is taken off the order is not to promise it
        responses = tuple(
            one.model_copy(update={"status": _S.DELETED}) if one.status in CONFIRMS else one for one in responses
        )
    whole = line.ordered if answer.quantity is None else answer.quantity
    quantities = _quantities(responses, whole)
    said = []
    for response, quantity in zip(responses, quantities, strict=True):
        unit = response.unit or answer.unit or ""
        comparable = same_unit(unit, line.unit) and quantity >= 0
        kind, on = (response.date_kind, response.on) if response.on else overall or (None, None)
        price = answer.unit_price if response.unit_price is None else response.unit_price
        said.append(
            Said(
                status=response.status,
                code=response.code or "",
                quantity=storable(quantity) if comparable else None,
                unit=unit,
                price=price,
                date_kind=kind,
                on=on,
                product_ids=response.product_ids or answer.product_ids,
                vague=_is_vague(response, answer, line, price),
            )
        )
    # "Part shipped, rest backordered" gives the part; the rest is what is missing to the order.
    partial = next((one for one in said if one.status is _S.PARTIALLY_SHIPPED), None)
    rest = line.ordered - sum((one.quantity or Decimal(0) for one in said), Decimal(0))
    if partial is not None and partial.quantity is not None and rest > 0:
        said.append(replace(partial, status=_S.BACKORDERED, quantity=rest, price=None, date_kind=None, on=None))
    return said


def agrees_to_deletion(answer: AcknowledgmentLine) -> bool:
    """Whether a line is answered as one that the order has no more."""
    refused = {response.status for response in answer.responses} <= REFUSES
    return answer.action is LineAction.DELETE or (bool(answer.responses) and refused)


def _implied_response(disposition: Disposition) -> tuple[canonical.LineResponse, ...]:
    """A line that is echoed without a response of its own gets the header's answer."""
    if disposition is Disposition.REJECTED:
        return (canonical.LineResponse(status=_S.REJECTED),)
    return (canonical.LineResponse(status=_S.ACCEPTED),) if disposition in DECIDES else ()


def _quantities(responses: Sequence[canonical.LineResponse], whole: Decimal) -> list[Decimal]:
    """What each response counts. What was left unsaid is the rest of the line, taken by the response that matters most."""
    rest = max(whole - sum((r.quantity for r in responses if r.quantity is not None), Decimal(0)), Decimal(0))
    silent = [index for index, r in enumerate(responses) if r.quantity is None]
    taker = next((index for index in silent if responses[index].status not in CONFIRMS), next(iter(silent), None))
    return [
        r.quantity if r.quantity is not None else rest if index == taker else Decimal(0)
        for index, r in enumerate(responses)
    ]


def _is_vague(
    response: canonical.LineResponse, answer: AcknowledgmentLine, line: OrderLine, price: Decimal | None
) -> bool:
    match response.status:
        case _S.QUANTITY_CHANGED:
            return response.quantity is None and answer.quantity in {None, line.ordered}
        case _S.PARTIALLY_SHIPPED:
            return response.quantity is None and answer.quantity in {None, line.ordered}
        case _S.PRICE_CHANGED:
            return price is None
        case _S.DATE_CHANGED:
            return response.on is None
    return False


def implied(order: Order, record: OrderAcknowledgment, named: set[int]) -> list[LineAnswer]:
    """The header's answer for the lines the document does not name.

    A header that accepts, above lines of its own, leaves alone what an earlier document said about the others.
    """
    if record.disposition in _REST_IS_ACCEPTED:
        status = _S.ACCEPTED
    elif record.disposition is Disposition.REJECTED:
        status = _S.REJECTED
    else:
        return []
    lines = [line for line in asked_about(order, record) if line.pk not in named]
    if record.disposition is Disposition.ACCEPTED and record.lines and not is_about_a_change(record):
        lines = [line for line in lines if not line.answered]
    kind, on = days.promised(record.dates) or (None, None)
    return [
        LineAnswer(line=line, said=[Said(status=status, quantity=line.ordered, date_kind=kind, on=on)])
        for line in lines
    ]


def is_about_a_change(record: OrderAcknowledgment) -> bool:
    """Whether a change is answered (865) and not the order as a whole."""
    return record.type == "change_acknowledgment"


def asked_about(order: Order, record: OrderAcknowledgment) -> list[OrderLine]:
    """The lines a document is expected to answer: all that are ordered, or those that changed since the supplier answered."""
    lines = [line for line in lines_of(order) if not line.deleted]
    if not is_about_a_change(record) or order.acknowledged_revision is None:
        return lines
    stands = order.revisions.get(number=order.revision)
    older = order.revisions.filter(number__lte=order.acknowledged_revision).exclude(fingerprint=stands.fingerprint)
    answered = older.order_by("-number").first()
    if answered is None:
        return lines
    before, after = canonical.load(answered.record), canonical.load(stands.record)
    if not (isinstance(before, PurchaseOrder) and isinstance(after, PurchaseOrder)):
        return lines
    changed = changed_lines(before, after)
    return [line for line in lines if not line.answered or line_key(line.line_number) in changed]


def revision_answered(order: Order, record: OrderAcknowledgment) -> int | None:
    """The revision an answer names, None when it names none.

    An answer to a change may name nothing but the change; those of ours are called by the revision they make.
    """
    named = record.change_sequence or ""
    if record.order_revision is not None or not (is_about_a_change(record) and named.isascii() and named.isdigit()):
        return record.order_revision
    ours = order.documents.filter(type="purchase_order_change", order_revision=int(named))
    return int(named) if ours.exists() else None


def is_stale(order: Order, revision: int | None) -> bool:
    """True when the supplier could have seen something else than what stands now.

    An echo of the ERP makes a revision the supplier was never told of, so an older number is stale only when a revision
    since then had another content.
    """
    if revision is None or revision >= order.revision:
        return False
    prints = dict(order.revisions.filter(number__gte=revision).values_list("number", "fingerprint"))
    return revision not in prints or any(found != prints[order.revision] for found in prints.values())


def answers_cancellation(order: Order, record: OrderAcknowledgment) -> bool:
    """A cancelled order is answered as a whole; an answer to a revision before is not about the cancellation."""
    if order.state != OrderState.CANCELLED:
        return False
    revision = revision_answered(order, record)
    return revision == order.revision or (revision is None and is_about_a_change(record))
