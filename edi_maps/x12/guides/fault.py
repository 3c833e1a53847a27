"""What a linter has to say."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing wrong with a guide or a map sheet; as text a line for whoever has to mend it."""

    file: str
    rule: str  #: one word for the rule that is broken
    words: str
    place: str = ""  #: within the file: loops down to the segment, or the block of a sheet

    def __str__(self) -> str:
        where = f"{self.file} {self.place}" if self.place else self.file
        return f"{where}: {self.words} [{self.rule}]"
