"""A document in words: every segment with the names of its elements, findings where they belong, and what was made of it.

The same ``Page`` is written as text for a terminal and as HTML without scripts. What a partner sent is shown, never obeyed:
control characters appear as ``\\x1b``, and in HTML everything is escaped.
"""

from edi_maps.x12.explain.html import PAGE_LIMITS, as_html, policy
from edi_maps.x12.explain.page import (
    UNLIMITED,
    ElementLine,
    Limits,
    Page,
    Section,
    SegmentLine,
    explain,
    explain_set,
    visible,
)
from edi_maps.x12.explain.text import as_text

__all__ = [
    "PAGE_LIMITS",
    "UNLIMITED",
    "ElementLine",
    "Limits",
    "Page",
    "Section",
    "SegmentLine",
    "as_html",
    "as_text",
    "explain",
    "explain_set",
    "policy",
    "visible",
]
