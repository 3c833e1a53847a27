"""Which finding becomes which code of an acknowledgment: one table per element of the TA1 and the 997.

A 999 uses the codes of a 997. A finding absent from every table is never reported in an acknowledgment (a note, or our own
trouble). Sources: X12 004010, elements I18 (TA105), 720 (AK304), 723 (AK403), 718 (AK502) and 716 (AK905); 005010 adds a few
codes, see ``element_code`` and ``group_code``.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from edi_maps.findings import Finding, Severity

#: TA105 for a finding about the interchange as a whole.
INTERCHANGE_NOTES: Final[dict[str, str]] = {
    "interchange_control_number_mismatch": "001",
    "sender_mismatch": "006",
    "delimiter_invalid": "004",
    "interchange_control_number_invalid": "018",
    "group_count": "021",
    "set_outside_group": "022",
    "segment_outside_set": "022",
    "interchange_header_missing": "022",
    "interchange_trailer_missing": "023",
    "group_header_invalid": "024",
    "interchange_empty": "024",
    "too_large": "024",
    "segment_too_long": "024",
    "interchange_repeated": "025",
    "unreadable": "022",
}

#: TA105 for a wrong element of the ISA, by the number of the element.
ISA_NOTES: Final = (
    "",
    *["010", "011", "012", "013", "005", "006", "007", "008", "014", "015", "016", "017", "018", "019", "020", "027"],
)

#: AK905, a finding about the functional group; ``group_code`` knows what older versions have no code for.
GROUP: Final[dict[str, str]] = {
    "group_not_supported": "1",
    "version_not_supported": "2",
    "group_trailer_missing": "3",
    "group_control_number_mismatch": "4",
    "set_count": "5",
    "group_control_number_invalid": "6",
    "group_control_number_repeated": "19",
}

#: AK502, a finding about the transaction set as a whole.
TRANSACTION_SET: Final[dict[str, str]] = {
    "set_not_supported": "1",
    "set_not_in_group": "1",
    "set_trailer_missing": "2",
    "set_control_number_mismatch": "3",
    "segment_count": "4",
    "set_code_missing": "6",
    "set_control_number_invalid": "7",
    "set_control_number_repeated": "23",
}

#: AK304, a finding about a segment and its place.
SEGMENT: Final[dict[str, str]] = {
    "segment_unknown": "1",
    "segment_unexpected": "2",
    "segment_missing": "3",
    "loop_repeat": "4",
    "segment_repeat": "5",
    "segment_not_in_set": "6",
    "hl_depth": "7",
    "segment_too_long": "8",
}

#: AK403, a finding about an element or a component of it; ``element_code`` knows what older versions have no code for.
ELEMENT: Final[dict[str, str]] = {
    "element_missing": "1",
    "element_condition": "2",
    "element_extra": "3",
    "element_repeat": "12",
    "element_short": "4",
    "element_long": "5",
    "element_characters": "6",
    "element_number": "6",
    "element_code": "7",
    "element_date": "8",
    "element_time": "9",
    "element_exclusion": "10",
    "hl_id_missing": "1",
    "hl_id_repeated": "7",
    "hl_parent_unknown": "7",
    "hl_parent_level": "7",
    "hl_cycle": "7",
}


#: AK403 for a composite with too many components: the same finding as too many elements.
_TOO_MANY_COMPONENTS: Final = "13"

#: Codes that came with 005010, and what older versions say instead.
_OLDER_ELEMENT: Final = {"12": "3", "13": "3"}
_OLDER_GROUP: Final = {"19": "6"}


def element_code(found: Finding, version: str, *, composite: bool) -> str:
    """AK403 (IK403) for a finding about an element.

    Args:
        version: of the acknowledgment, six digits.
        composite: whether the element has components.
    """
    # A finding about the meaning of a value has no code of its own in X12; "invalid code value" comes nearest.
    code = _TOO_MANY_COMPONENTS if composite and found.code == "element_extra" else ELEMENT.get(found.code, "7")
    return _OLDER_ELEMENT.get(code, code) if version < "005010" else code


def group_code(found: Finding, version: str) -> str | None:
    """AK905 for a finding about the group, None when it is none."""
    code = GROUP.get(found.code)
    return _OLDER_GROUP.get(code, code) if code and version < "005010" else code


def interchange_note(findings: Collection[Finding]) -> tuple[str, str]:
    """TA104 and TA105 for the findings of one interchange: the first error speaks, else the first warning.

    Returns:
        ``("A", "000")`` when nothing is wrong; ``E`` when the interchange was taken in spite of the fault, ``R`` when not.
    """
    for severity, status in ((Severity.ERROR, "R"), (Severity.WARNING, "E")):
        here = [found for found in findings if found.severity is severity]
        # A wrong control structure says more than a header that was repaired.
        for note in (_control_note, _header_note):
            if noted := next((code for found in here if (code := note(found))), None):
                return status, noted
        if here and status == "R":
            return status, _CONTENT  # refused, whatever the reason: never silence
    return "A", "000"


#: TA105 "invalid content": for whatever has no note of its own.
_CONTENT: Final = "024"


def _control_note(found: Finding) -> str | None:
    return INTERCHANGE_NOTES.get(found.code)


def _header_note(found: Finding) -> str | None:
    return ISA_NOTES[found.element] if found.element and found.code in {"isa_width", "isa_value"} else None
