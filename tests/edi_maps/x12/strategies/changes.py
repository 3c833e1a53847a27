"""Order changes and their answers: orders and answers whose lines also say what the change does to them."""

from functools import cache

from hypothesis import strategies as st

from edi_maps.canonical import (
    AcknowledgmentLine,
    ChangeLine,
    Disposition,
    LineAction,
    OrderAcknowledgment,
    PurchaseOrderChange,
    Purpose,
)

from .orders import order_acknowledgment, purchase_order
from .parts import code, day, maybe, quantity

ACTION = st.sampled_from([action for action in LineAction if action is not LineAction.OTHER])


@cache
@st.composite
def purchase_order_change(draw):
    order = dict(draw(purchase_order()))
    changed = [
        ChangeLine(**dict(line), action=draw(ACTION), quantity_left=draw(maybe(quantity()))) for line in order["lines"]
    ]
    return PurchaseOrderChange(
        **order
        | {
            "type": "purchase_order_change",
            "purpose": draw(st.sampled_from([Purpose.CHANGE, Purpose.CANCEL, Purpose.REPLACE, Purpose.ORIGINAL])),
            "lines": tuple(changed),
        },
        change_sequence=draw(maybe(code(8))),
        changed_on=draw(maybe(day())),
        request_reference=draw(maybe(code(45))),
        seller_reference=draw(maybe(code(30))),
    )


@cache
@st.composite
def change_acknowledgment(draw):
    answer = dict(draw(order_acknowledgment()))
    answered = [
        AcknowledgmentLine(**dict(line) | {"action": draw(ACTION), "quantity_left": draw(maybe(quantity()))})
        for line in answer["lines"]
    ]
    return OrderAcknowledgment(
        **answer
        | {
            "type": "change_acknowledgment",
            "disposition": draw(st.sampled_from(list(Disposition))),
            "change_sequence": draw(maybe(code(8))),
            "changed_on": draw(maybe(day())),
            "lines": tuple(answered),
        }
    )
