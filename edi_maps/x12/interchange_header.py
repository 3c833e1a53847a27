"""The header of an interchange: where an ISA stands, which separators it declares, and what is wrong with it.

A header that is not of fixed width is read by its separators; what follows it gives the terminator away.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from edi_maps.findings import Finding, finding
from edi_maps.x12.segments import BLANKS, Delimiters

#: Characters of ISA01 to ISA16.
ISA_WIDTHS: Final = (2, 10, 2, 10, 2, 15, 2, 15, 6, 4, 1, 5, 9, 1, 1, 1)

_ISA: Final = re.compile(r"(?<![0-9A-Za-z])ISA(?=[^0-9A-Za-z \r\n])")


def next_header(text: str, at: int) -> int:
    """Index of the next ISA segment from ``at`` on, -1 when there is none. "ISA" inside data is not one."""
    while found := _ISA.search(text, at):
        if is_header(text, found.start()):
            return found.start()
        at = found.end()
    return -1


def is_header(text: str, at: int) -> bool:
    """Whether the ISA at ``at`` starts a header: sixteen elements fill 106 bytes, 260 leaves room for padding that is too wide."""
    separator = text[at + 3 : at + 4]
    return bool(separator) and not separator.isalnum() and text.count(separator, at, at + 260) >= 12


def _may_delimit(character: str) -> bool:
    return bool(character) and not character.isalnum() and character not in " \r\n"


@dataclass(slots=True)
class Header:
    """An ISA segment as it was read."""

    elements: list[str]  #: "ISA", then ISA01 … as far as sent, padding kept
    delimiters: Delimiters
    end: int  #: index behind the terminator
    findings: list[Finding]


def header_at(text: str, at: int, offset: int) -> Header:
    """Read the ISA segment at ``at`` with the delimiters it declares, by its fixed width or else by its separators."""
    separator = text[at + 3]
    fixed = text[at : at + 106]
    elements = fixed[:105].split(separator)
    if tuple(map(len, elements[1:])) == ISA_WIDTHS and "\n" not in fixed[:105]:
        component = elements[16]
        end = at + 106
        terminator = fixed[105:]
    else:
        elements, component, terminator, end = _loose_header(text, at, separator)
    findings: list[Finding] = []
    if terminator in {" ", "\r"} and (newline := re.compile(r" *\r?\n").match(text, end - 1)):
        terminator, end = "\n", newline.end()  # CR LF, or a blank in front of it, ends the lines of this file
    elif terminator >= "\xc2" and (tail := re.compile(r"[\x80-\xbf]{1,3}").match(text, end)):
        terminator, end = terminator + tail.group(), tail.end()  # one character of UTF-8
    for name, value, others in (
        ("element separator", separator, ()),
        ("segment terminator", terminator, (separator,)),
        ("component separator", component, (separator, terminator)),
    ):
        if name == "component separator" and (not value or value.isalnum()):
            continue  # ISA16 was left out, or is a placeholder: nothing in the interchange is composite
        if reason := _unfit(value, *others):
            findings.append(
                finding("delimiter_invalid", segment="ISA", offset=offset, which=name, value=value, reason=reason)
            )
    version = elements[12].strip() if len(elements) > 12 else ""
    repetition = elements[11].strip() if len(elements) > 11 else ""
    repeats = version.isdigit() and version >= "00402" and len(repetition) == 1 and _may_delimit(repetition)
    return Header(
        elements,
        Delimiters(
            element=separator,
            segment=terminator,
            component=component,
            repetition=repetition if repeats and repetition not in (separator, component, terminator) else None,
        ),
        end,
        findings,
    )


def _unfit(value: str, *others: str) -> str:
    """Why a character cannot delimit, '' when it can."""
    if not value or value == " ":
        return "it is blank"
    if value.isalnum() and value.isascii():
        return "letters and digits are data"
    if value in {".", "-"}:
        return "it occurs in numbers"
    return "it is used for two things" if value in others else ""


def _loose_header(text: str, at: int, separator: str) -> tuple[list[str], str, str, int]:
    """Elements, component separator, terminator and end of an ISA that is not of fixed width.

    What follows gives the terminator away: it is what stands before the next GS, TA1, ISB, ST or IEA.
    """
    following = re.compile(rf"(?<![0-9A-Za-z])(?:GS|TA1|ISB|ST|IEA){re.escape(separator)}").search(
        text, at + 20, at + 600
    )
    stop = following.start() if following else min(len(text), at + 200)
    header = text[at:stop]
    body = header.rstrip(BLANKS)
    pieces = body.split(separator)
    last = pieces[16] if len(pieces) > 16 else ""
    newline = "\n" if "\n" in header[len(body) :] else "\r" if "\r" in header[len(body) :] else ""
    if len(last) >= 2:
        terminator, component = last[1], last[0]
        if terminator >= "\xc2" and len(last) > 2:
            newline = ""
    elif len(last) == 1 and newline and not _ends_lines(text, stop, last):
        terminator, component = newline, last
    elif len(last) == 1:
        terminator, component = last, ""
    else:  # ISA16 was left out: the terminator sticks to the last element there is
        terminator = body[-1:] if not body[-1:].isalnum() and body[-1:] != separator else newline
        component = ""
        if terminator != newline:
            pieces[-1] = pieces[-1][:-1]
    pieces = [piece.replace("\r", "").replace("\n", "") for piece in pieces[:17]]
    if len(pieces) == 17:
        pieces[16] = component
    end = at + len(body)
    if terminator and terminator == newline:
        end = text.index(newline, end) + 1
    return pieces, component, terminator, end


def _ends_lines(text: str, at: int, character: str) -> bool:
    """Whether the line at ``at`` ends with ``character``: then that, not the newline, is the terminator."""
    return text[at : at + 200].partition("\n")[0].rstrip(BLANKS).endswith(character)


_ISA_RULES: Final = {
    9: (re.compile(r"\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])", re.ASCII), "a date, YYMMDD"),
    10: (re.compile(r"(?:[01]\d|2[0-3])[0-5]\d", re.ASCII), "a time, HHMM"),
    12: (re.compile(r"\d{5}", re.ASCII), "a version of five digits"),
    14: (re.compile(r"[01]"), "0 or 1"),
    15: (re.compile(r"[IPT]"), "P, T or I"),
}


def isa_findings(elements: list[str], values: list[str], offset: int) -> list[Finding]:
    """What is wrong with the elements of an ISA, as sent and without their padding; ``offset``: where it starts."""
    findings: list[Finding] = []
    for element, expected in enumerate(ISA_WIDTHS, start=1):
        if len(elements[element]) != expected:
            length = len(elements[element])
            findings.append(
                finding("isa_width", segment="ISA", element=element, offset=offset, length=length, expected=expected)
            )
            break  # one finding says it: when one element is off, the whole header is
    for element, (pattern, words) in _ISA_RULES.items():
        if not pattern.fullmatch(values[element]):
            findings.append(
                finding(
                    "isa_value", segment="ISA", element=element, offset=offset, value=values[element], expected=words
                )
            )
    if not re.fullmatch(r"[0-9]{1,9}", values[13]):
        findings.append(
            finding("interchange_control_number_invalid", segment="ISA", element=13, offset=offset, value=values[13])
        )
    return findings
