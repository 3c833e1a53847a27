"""One thing an operator should know, and how much it matters."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Final


class Severity(StrEnum):
    OK = "ok"  #: nothing to say; no finding has it
    NOTE = "note"  #: as it is, by decision or by nature; good to know
    WARNING = "warning"  #: works now, and will hurt
    ERROR = "error"  #: does not work, or loses something: refuses the start where it is cheap to see


#: Worst first.
SEVERITIES: Final = (Severity.ERROR, Severity.WARNING, Severity.NOTE, Severity.OK)


class Role(StrEnum):
    """Which process asks; some things are wrong in one of them only."""

    UP = "up"  #: web and worker in one process
    WEB = "web"
    WORKER = "worker"
    DOCTOR = "doctor"

    @property
    def is_one_of_several(self) -> bool:
        return self in (Role.WEB, Role.WORKER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    check: str  #: its stable name, for scripts: ``database.migrations``
    severity: Severity
    where: str  #: setting, file, row or process
    what: str
    why: str  #: why it matters
    remedy: str  #: what to do

    def text(self) -> str:
        """Three lines for a terminal."""
        return f"{self.severity.upper()} {self.check} ({self.where})\n  {self.what} {self.why}\n  → {self.remedy}"

    def as_dict(self) -> dict[str, str]:
        return asdict(self)
