"""What one acknowledgment says about each line of its order, with what it leaves unsaid filled in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Final

from edi_maps import canonical
from edi_maps.canonical import AcknowledgmentLine, Disposition, LineStatus, OrderAcknowledgment
from gateway.models import Order, OrderLine, OrderState
from gateway.order_book import days
from gateway.order_book.lines import LineFinder, same_unit, storable

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
    lines = list(order.lines.order_by("pk"))
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
    lines = order.lines.filter(deleted=False).exclude(pk__in=named).order_by("pk")
    if record.disposition is Disposition.ACCEPTED and record.lines:
        lines = lines.filter(answered=False)
    kind, on = days.promised(record.dates) or (None, None)
    return [
        LineAnswer(line=line, said=[Said(status=status, quantity=line.ordered, date_kind=kind, on=on)])
        for line in lines
    ]


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
    return record.order_revision == order.revision or record.type == "change_acknowledgment"
