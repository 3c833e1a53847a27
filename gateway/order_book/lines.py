"""Which line of an order a supplier means, and how its numbers are written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final

from django.db import connection

from edi_maps.canonical import ProductId
from gateway import statements
from gateway.models import Order, OrderLine

#: The columns keep 14 digits before the point and 6 after it, SQLite 15 in all.
_LIMIT: Final = Decimal(10) ** 14
_STEP: Final = Decimal("0.000001")
_DIGITS: Final = 15

#: One item number under several names: GTIN-8, -12, -13 and -14 differ by leading zeros only.
_GTIN_KINDS: Final = frozenset({"gtin", "upc", "ean"})


#: Kinds that describe an item and do not name it: two items may have them in common.
_DESCRIBES: Final = frozenset(
    {"colour", "size", "revision", "serial", "lot", "buyer_style", "vendor_style", "product_code"}
)


class LineFinder:
    """Finds the lines of one order for one document.

    A line number counts before everything else, with or without leading zeros. Only a document that names none is matched
    by product id; the same item on several lines is then taken in their order, each line once.
    """

    def __init__(self, lines: Sequence[OrderLine]) -> None:
        self._lines = lines
        self._by_number = {line_key(line.line_number): line for line in lines}
        self._taken: set[int] = set()

    def find(self, line_number: str | None, product_ids: Sequence[ProductId]) -> OrderLine | None:
        if line_number and line_number.strip():
            return self._by_number.get(line_key(line_number))
        wanted = item_keys(product_ids)
        for line in self._lines:
            if not line.deleted and line.pk not in self._taken and wanted & item_keys(ids_of(line)):
                self._taken.add(line.pk)
                return line
        return None


def line_key(number: str) -> str:
    """A line number as it is compared: ``0010`` is ``10``."""
    return number.strip().upper().lstrip("0") or "0"


def item_keys(product_ids: Iterable[ProductId]) -> set[tuple[str, str]]:
    """Product ids that name an item, as they are compared."""
    return {_item_key(product) for product in product_ids if product.kind not in _DESCRIBES and product.value.strip()}


def _item_key(product: ProductId) -> tuple[str, str]:
    value = product.value.strip().upper()
    return ("gtin", value.lstrip("0")) if product.kind in _GTIN_KINDS else (product.kind, value)


def ids_of(line: OrderLine) -> tuple[ProductId, ...]:
    return tuple(ProductId(kind=entry["kind"], value=entry["value"]) for entry in line.product_ids)


def other_item(line: OrderLine, product_ids: Sequence[ProductId]) -> bool:
    """True when the ids contradict the line's: kinds in common, and not one of them with the same value."""
    ours, theirs = item_keys(ids_of(line)), item_keys(product_ids)
    common = {kind for kind, _ in ours} & {kind for kind, _ in theirs}
    return bool(common) and not ours & theirs


def same_unit(one: str | None, other: str | None) -> bool:
    """Units are compared as sent; a unit that was not said is the one ordered."""
    return not one or not other or one.strip().upper() == other.strip().upper()


def plain(number: Decimal | None) -> str:
    """``100``, ``0.5``: no exponent, no idle zeros; empty when there is none."""
    if number is None:
        return ""
    number = Decimal(0) if number == 0 else number.normalize()
    return str(number) if abs(number.adjusted()) > 30 else f"{number:f}"


def storable(number: Decimal | None) -> Decimal | None:
    """The number as the columns keep it, None when they cannot hold it exactly."""
    if number is None or abs(number) >= _LIMIT:
        return None
    rounded = number.quantize(_STEP)
    return rounded if len(rounded.normalize().as_tuple().digits) <= _DIGITS else None


def lines_of(order: Order) -> list[OrderLine]:
    """The lines of an order in their order; of one that is held, those that were read with it."""
    return _LINES.all(order=order.pk) if order.held_lines is None else order.held_lines


_LINES: Final = statements.Query(lambda: OrderLine.objects.filter(order_id=statements.Given("order")).order_by("pk"))


def save_lines(lines: Sequence[OrderLine], fields: Sequence[str]) -> None:
    """Write these fields of lines that exist, whose order is locked, and nothing else of them.

    ``bulk_update`` compiles a CASE for every field and takes many times as long.
    """
    columns = [field for field in OrderLine._meta.concrete_fields if field.name in fields]
    written = [
        [*(column.get_db_prep_save(getattr(line, column.attname), connection) for column in columns), line.pk]
        for line in lines
    ]
    if not written:
        return
    names = [str(column.column) for column in columns]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            arrays = ", ".join(f"%s::{column.cast_db_type(connection)}[]" for column in [*columns, OrderLine._meta.pk])
            setting = ", ".join(f"{name} = said.{name}" for name in names)
            # reviewed SQL: names of columns are the model's, values are bound
            cursor.execute(
                f"UPDATE gateway_orderline SET {setting} FROM unnest({arrays}) AS said({', '.join(names)}, id)"  # noqa: S608
                " WHERE gateway_orderline.id = said.id",
                [list(values) for values in zip(*written, strict=True)],
            )
        else:
            setting = ", ".join(f"{name} = %s" for name in names)
            # reviewed SQL: as above
            cursor.executemany(f"UPDATE gateway_orderline SET {setting} WHERE id = %s", written)  # noqa: S608
