"""The nearest that latin-1, the alphabet X12 travels in, has for the characters of other alphabets."""

from __future__ import annotations

import unicodedata
from typing import Final


def in_latin_1(text: str) -> str:
    """``text`` as it can be written: whoever fits a text into an element counts these characters."""
    return text if text.isascii() else "".join(each if each <= "\xff" else _nearest(each) for each in text)


def _nearest(character: str) -> str:
    """What latin-1 has for a character beyond it: its usual substitute, the letter without its accent, or ``?``."""
    plain = unicodedata.normalize("NFKD", character).encode("latin-1", errors="ignore").decode("latin-1")
    return _SUBSTITUTES.get(character) or plain or "?"


_SUBSTITUTES: Final = {
    "‐": "-",
    "‑": "-",
    "–": "-",
    "—": "-",
    "−": "-",
    "‘": "'",
    "’": "'",
    "“": '"',
    "”": '"',
    "€": "EUR",
    "Ł": "L",
    "ł": "l",
}
