"""One difference between what was ordered and what a supplier answered, in words and with both sides."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from edi_maps.findings import Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What a person compares. An error waits for a decision; a warning or a note is only said."""

    field: str  #: quantity, unit, price, currency, date, item, status, line, revision, order, shipment, package
    text: str  #: a whole sentence, for the screen
    line: str | None = None  #: as the order numbers it, or as sent when the order has no such line; None: the document
    ordered: str | None = None
    answered: str | None = None
    order: str | None = None  #: the order's number, where one document answers several
    severity: Severity = Severity.ERROR

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready; what does not apply is left out."""
        return {name: value for name, value in asdict(self).items() if value is not None}
