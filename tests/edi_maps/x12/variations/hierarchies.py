"""The shapes of shipments: which item is of which order, and in what it is packed."""

from typing import Any

import pytest


def shape(name: str, levels: str, *items: str, found: tuple[str, ...] = ()) -> Any:
    """A row.

    Args:
        levels: number, parent and code of each HL as sent, ``"1::S 2:1:O"``; the orders are called O1, O2 … as they come, tares
            and packs T1, P1 …, items I1 …
        items: each item with its order and what it stands in from the inside out: ``"I1 of O1 in P1 in T1"``.
        found: codes of the findings, none of which keeps a level from its place.
    """
    return pytest.param(levels, list(items), found, id=name)


SHAPES = [
    shape("shipment, item", "1::S 2:1:I", "I1"),
    shape("shipment, order, item", "1::S 2:1:O 3:2:I 4:2:I", "I1 of O1", "I2 of O1"),
    shape("shipment, order, pack, item", "1::S 2:1:O 3:2:P 4:3:I", "I1 of O1 in P1"),
    shape("shipment, order, tare, item", "1::S 2:1:O 3:2:T 4:3:I", "I1 of O1 in T1"),
    shape("shipment, order, tare, pack, item", "1::S 2:1:O 3:2:T 4:3:P 5:4:I", "I1 of O1 in P1 in T1"),
    shape("shipment, tare, order, item", "1::S 2:1:T 3:2:O 4:3:I", "I1 of O1 in T1"),
    shape("shipment, order, item, pack", "1::S 2:1:O 3:2:I 4:3:P", "I1 of O1 in P1"),
    shape("shipment, tare, item, pack", "1::S 2:1:T 3:2:I 4:3:P", "I1 in T1"),
    shape("packs in packs", "1::S 2:1:O 3:2:P 4:3:P 5:4:I", "I1 of O1 in P2 in P1"),
    shape("two orders on one pallet", "1::S 2:1:T 3:2:O 4:3:I 5:2:O 6:5:I", "I1 of O1 in T1", "I2 of O2 in T1"),
    shape("loose items beside packed ones", "1::S 2:1:O 3:2:P 4:3:I 5:2:I", "I1 of O1 in P1", "I2 of O1"),
    shape("children far from their parents", "1::S 2:1:O 3:1:O 4:2:I 5:3:I 6:2:I", "I1 of O1", "I3 of O1", "I2 of O2"),
    shape("components below an item", "1::S 2:1:O 3:2:I 4:3:F", "I1 of O1"),
    shape("numbers with zeros", "0001::S 0002:0001:O 0003:0002:I", "I1 of O1"),
    shape("letters for numbers", "A::S B:A:O C:B:I", "I1 of O1"),
    shape("zero above the shipment", "1:0:S 2:1:O 3:2:I", "I1 of O1"),
    shape("no parents at all", "1::S 2::O 3::I 4::O 5::I", "I1 of O1", "I2 of O2", found=("hl_parent_missing",) * 4),
    shape("a parent that is not there", "1::S 2:1:O 3:9:I", "I1 of O1", found=("hl_parent_unknown",)),
    shape(
        "numbers that start again",
        "1::S 2:1:O 3:2:I 1::S 2:1:O 3:2:I",
        "I1 of O1",
        "I2 of O2",
        found=("hl_id_repeated",) * 3,
    ),
]
