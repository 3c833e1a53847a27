"""Every row of the phrase book in ``variations`` is read, and written, as it says."""

import pytest

from edi_maps.canonical import dump, load
from edi_maps.findings import Severity
from edi_maps.x12 import read
from edi_maps.x12.records import segments
from edi_maps.x12.segments import COMPONENT

from .documents import document
from .variations import answers, hierarchies, order_lines, orders, shipments

ROWS = [
    *(*orders.BEGINNINGS, *orders.CONDITIONS, *orders.TRANSPORT, *orders.REFERENCES, *orders.TEXTS, *orders.PARTIES),
    *(*orders.TOTALS, *order_lines.LINES_OF_ORDERS, *order_lines.FAULTS, *answers.ANSWERS),
    *(*shipments.SHIPMENTS, *shipments.PACKAGES, *shipments.ITEMS),
]


def laid_out(place, rows, version):
    """The segments of a whole set with the row in its place."""
    text = "MSG*" if version < "004030" else "MTX**"
    return place.around.replace("★", rows).replace("¶", text).split(" / ")


def only_set(place, rows, version):
    lines = laid_out(place, rows, version)
    [transaction_set] = read(document(*lines, code=place.code, version=version))[0].groups[0].sets
    return transaction_set


@pytest.mark.parametrize(("place", "rows", "written", "versions", "found", "said"), ROWS)
def test_we_read(place, rows, written, versions, found, said):
    for version in versions:
        transaction_set = only_set(place, rows, version)
        assert [each.code for each in transaction_set.findings if each.severity is not Severity.NOTE] == list(found)
        whole = part = dump(transaction_set.record)
        for step in place.path:
            part = part[step]
        assert {name: part.get(name, {}) for name in {"extra": {}} | said} == {"extra": {}} | said
        assert part is whole or "extra" not in whole


@pytest.mark.parametrize(("place", "rows", "written", "versions", "found", "said"), ROWS)
def test_we_write(place, rows, written, versions, found, said):
    for version in versions:
        record = load(dump(only_set(place, rows, version).record))
        lines = ["*".join(segment).replace(COMPONENT, ">") for segment in segments(record, version)[2]]
        assert lines == laid_out(place, written, version)


def notice(levels):
    """A ship notice of these levels: each says only what it is called."""
    lines = ["BSN*00*SHIP-1*20260924*1200"]
    named = {
        "S": [],
        "O": ["PRF*O{0}"],
        "T": ["MAN*CP*T{0}"],
        "P": ["MAN*CP*P{0}"],
        "I": ["LIN**VN*I{0}", "SN1**1*EA"],
        "F": ["LIN**VN*F{0}", "SN1**1*EA"],
    }
    count = dict.fromkeys(named, 0)
    for number, parent, code in (level.split(":") for level in levels.split()):
        count[code] += 1
        lines += [f"HL*{number}*{parent}*{code}", *(line.format(count[code]) for line in named[code])]
    [transaction_set] = read(document(*lines, code="856"))[0].groups[0].sets
    return transaction_set


@pytest.mark.parametrize(("levels", "items", "found"), hierarchies.SHAPES)
def test_items_are_of_their_order_and_in_their_package(levels, items, found):
    transaction_set = notice(levels)
    record = transaction_set.record
    inside = {package.id: (package.marks[0].value, package.parent_id) for package in record.packages}

    def told(item):
        words, package_id = item.product_ids[0].value, item.package_id
        words += f" of {item.order_number}" if item.order_number else ""
        while package_id:
            mark, package_id = inside[package_id]
            words += f" in {mark}"
        return words

    assert [told(item) for item in record.items] == items
    assert [each.code for each in transaction_set.findings] == list(found)
