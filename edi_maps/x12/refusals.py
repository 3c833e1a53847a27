"""What a partner could not read, said about our own document: the codes of a 997, 999 or TA1 as findings at their place.

The codes and positions of an acknowledgment mean nothing without the document they speak of. Here both come together: every
finding names the element, shows what we sent there and says in words what the partner holds against it.

Source: X12 elements 715 to 724 and I18; 005010, elements 618, 620 and 621, whose codes beginning with I speak of the partner's
guide instead of the standard.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from edi_maps.findings import Finding, finding
from edi_maps.x12.received_acknowledgments import (
    ElementError,
    FunctionalAcknowledgment,
    InterchangeAcknowledgment,
    SegmentError,
    SetAcknowledgment,
)
from edi_maps.x12.segments import Segment
from edi_maps.x12.structure import data_element, segment_name

#: TA105.
NOTES: Final = {
    "000": "nothing is wrong with it",
    "001": "the control numbers in header and trailer differ",
    "002": "they do not take this standard",
    "003": "they do not take this version of the envelope",
    "004": "the segment terminator cannot be used",
    "005": "the sender's qualifier is not one they accept",
    "006": "they do not know the sender",
    "007": "the receiver's qualifier is not one they accept",
    "008": "they do not know the receiver by this identifier",
    "009": "the receiver is not theirs",
    "010": "the authorization qualifier is not one they accept",
    "011": "the authorization information is wrong",
    "012": "the security qualifier is not one they accept",
    "013": "the security information is wrong",
    "014": "the date is not valid",
    "015": "the time is not valid",
    "016": "the standards identifier is not valid",
    "017": "they do not take this version",
    "018": "the control number is not valid",
    "019": "the request for an acknowledgment is not valid",
    "020": "the test indicator is not one they accept",
    "021": "the count of groups is wrong",
    "022": "the control segments are out of order",
    "023": "it ends too early",
    "024": "its content is not valid, mostly a group header",
    "025": "the control number was used before",
    "026": "the element separator cannot be used",
    "027": "the component separator cannot be used",
}

#: AK905.
GROUP_REASONS: Final = {
    "1": "they do not take groups of this kind",
    "2": "they do not take this version",
    "3": "the group has no trailer",
    "4": "the control numbers in header and trailer of the group differ",
    "5": "the count of transaction sets is wrong",
    "6": "the control number of the group is not valid",
    "19": "the control number of the group was used before in the interchange",
}

#: AK502, IK502.
SET_REASONS: Final = {
    "1": "they do not take this transaction set",
    "2": "it has no trailer",
    "3": "the control numbers in header and trailer differ",
    "4": "the count of segments is wrong",
    "5": "segments are in error",
    "6": "the code of the transaction set is missing or not valid",
    "7": "its control number is missing or not valid",
    "18": "they do not take this version of the guide",
    "23": "its control number was used before in the group",
    "I5": "segments break their guide",
    "I6": "they do not take this guide",
}

#: AK304, IK304.
SEGMENT_REASONS: Final = {
    "1": "they do not know the segment",
    "2": "it is not expected at this place",
    "3": "it is required and missing",
    "4": "the loop occurs too often",
    "5": "the segment occurs too often",
    "6": "it does not belong to this transaction set",
    "7": "it is out of order",
    "8": "elements of it are in error",
    "I4": "their guide does not use the segment",
    "I6": "their guide requires the segment in this case",
    "I7": "the loop occurs less often than their guide requires",
    "I8": "the segment occurs less often than their guide requires",
    "I9": "their guide does not use the loop in this case",
}

#: AK403, IK403.
ELEMENT_REASONS: Final = {
    "1": "it is required and missing",
    "2": "it is required because of another element, and missing",
    "3": "there are too many elements",
    "4": "it is too short",
    "5": "it is too long",
    "6": "it holds a character that is not allowed",
    "7": "the code is not one they accept",
    "8": "it is not a date",
    "9": "it is not a time",
    "10": "it may not be sent together with another element",
    "12": "it is repeated too often",
    "13": "it has too many components",
    "I6": "their guide does not use this code",
    "I9": "their guide requires it in this case",
    "I10": "their guide does not use the element",
    "I11": "it is repeated less often than their guide requires",
    "I12": "it does not have the form their guide requires",
    "I13": "their guide does not use it in this case",
}


def in_words(said: FunctionalAcknowledgment, about: SetAcknowledgment | None, sent: Sequence[Segment]) -> list[Finding]:
    """What an acknowledgment holds against one transaction set of ours.

    Args:
        said: the 997 or 999.
        about: the part of it that speaks of the set; None when only the group is spoken of.
        sent: the set as it went out, ST to SE; empty when it cannot be had.

    Returns:
        Findings about our document, at our own segments; empty when it gives no reason.
    """
    findings = [
        finding("refused_envelope", segment="GS", reason=_reason(GROUP_REASONS, code, "AK905")) for code in said.codes
    ]
    if about is not None:
        # "Segments are in error" is what the segments themselves say better.
        codes = [code for code in about.codes if code not in {"5", "I5"} or not about.errors]
        place: dict[str, Any] = {"segment": "ST", "position": 1}
        findings += [finding("refused_set", **place, reason=_reason(SET_REASONS, code, "AK502")) for code in codes]
        for error in about.errors:
            findings += _about_segment(error, sent)
    return findings


def note_in_words(said: InterchangeAcknowledgment) -> Finding:
    """What a TA1 holds against an interchange of ours."""
    return finding("refused_envelope", segment="ISA", reason=_reason(NOTES, said.note, "TA105"))


def _about_segment(error: SegmentError, sent: Sequence[Segment]) -> Iterator[Finding]:
    ours = _our_segment(error, sent)
    if error.code != "8" or not error.elements:
        # What is missing has no segment of ours to show; the one at its place is what follows.
        shown = ours if error.code not in {"3", "I6"} else None
        yield finding(
            "refused_segment",
            segment=error.segment,
            position=error.position,
            offset=ours.offset if ours else None,
            value=shown.raw[:200] if shown else None,
            name=segment_name(error.segment) or "the segment",
            shown=f" ({shown.raw[:200]!r})" if shown else "",
            reason=_reason(SEGMENT_REASONS, error.code, "AK304"),
        )
    for element in error.elements:
        yield _about_element(error, element, ours)


def _about_element(error: SegmentError, wrong: ElementError, ours: Segment | None) -> Finding:
    described = data_element(error.segment, wrong.position or 0) if wrong.position else None
    if described is not None and wrong.component and wrong.component <= len(described.components):
        described = described.components[wrong.component - 1]
    # Of a composite their copy shows the one component that is meant.
    whole = ours.get(wrong.position) if ours is not None and wrong.position else ""
    value = wrong.value or whole if wrong.component else whole or wrong.value
    return finding(
        "refused_element",
        segment=error.segment,
        position=error.position,
        element=wrong.position,
        component=wrong.component,
        repetition=wrong.repetition,
        offset=ours.offset if ours else None,
        value=value[:200] or None,
        name=described.name if described is not None else "the element",
        shown=f" ({value[:200]!r})" if value else "",
        reason=_reason(ELEMENT_REASONS, wrong.code, "AK403"),
    )


def _our_segment(error: SegmentError, sent: Sequence[Segment]) -> Segment | None:
    """The segment of ours an error speaks of, None when theirs and ours do not agree on what stands there."""
    if error.position is None or not 0 < error.position <= len(sent):
        return None
    ours = sent[error.position - 1]
    return ours if ours.id == error.segment or error.code in {"3", "I6"} else None


def _reason(words: dict[str, str], code: str, reference: str) -> str:
    if not code:
        return "they do not say why"
    return f"{words[code]} ({reference} {code})" if code in words else f"their code for it is {reference} {code!r}"
