"""How the names and addresses of partners are spelled; each refusal names the rule and where it comes from."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator

from edi_maps.findings import CATALOGUE

validate_partner_code: Final = RegexValidator(
    r"\A[A-Z0-9][A-Z0-9_-]{0,31}\Z",
    "A partner code has 1 to 32 capital letters, digits, '-' or '_' and begins with a letter or digit, e.g. ACME-01.",
)
validate_isa_qualifier: Final = RegexValidator(
    r"\A[A-Z0-9]{2}\Z",
    "An ISA qualifier (ISA05, ISA07) has exactly two characters, e.g. ZZ (mutually defined), 01 (DUNS), 12 (telephone).",
)
validate_x12_version: Final = RegexValidator(
    r"\A00[3-8]\d{3}\Z", "An X12 version has six digits, e.g. 004010 or 005010; what follows it belongs in the suffix."
)
validate_version_suffix: Final = RegexValidator(
    r"\A[A-Z0-9]{1,6}\Z",
    "A version suffix has 1 to 6 capital letters or digits, e.g. VICS or UCS (GS08 has 12 in all).",
)

_PRINTABLE: Final = re.compile(r"\A[ -~]+\Z")


def validate_as2_name(value: str) -> None:
    """RFC 4130, 6.2: 1 to 128 printable ASCII characters, case-sensitive.

    Raises:
        ValidationError: with the characters at fault.
    """
    if len(value) > 128:
        raise ValidationError(f"An AS2 name has at most 128 characters; this one has {len(value)} (RFC 4130, 6.2).")
    _refuse_unprintable(value, "An AS2 name")
    _refuse_outer_spaces(value, "An AS2 name")


def validate_isa_id(value: str) -> None:
    """ISA06 and ISA08: 2 to 15 printable ASCII characters; the padding is ours to add.

    Raises:
        ValidationError: with what is wrong.
    """
    _refuse_outer_spaces(value, "An ISA identifier")
    if not 2 <= len(value) <= 15:
        raise ValidationError(f"An ISA identifier has 2 to 15 characters; {value!r} has {len(value)} (ISA06, ISA08).")
    _refuse_unprintable(value, "An ISA identifier")


def validate_group_id(value: str) -> None:
    """GS02 and GS03: 2 to 15 printable ASCII characters.

    Raises:
        ValidationError: with what is wrong.
    """
    _refuse_outer_spaces(value, "A group identifier")
    if not 2 <= len(value) <= 15:
        raise ValidationError(f"A group identifier has 2 to 15 characters; {value!r} has {len(value)} (GS02, GS03).")
    _refuse_unprintable(value, "A group identifier")


def validate_delimiter(value: str) -> None:
    """A delimiter is one character that cannot occur in a value.

    Raises:
        ValidationError: longer, alphanumeric, a space, or not ASCII.
    """
    if len(value) != 1 or not value.isascii() or value.isalnum() or value == " ":
        raise ValidationError(f"{value!r} cannot separate: use one ASCII character that is no letter, digit or space.")


def validate_url(value: str) -> None:
    """Where we post to: http or https, a host, and no credentials in it.

    Raises:
        ValidationError: with the part that is wrong.
    """
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValidationError(f"{value!r} is not an address: {error}.") from error
    if parts.scheme not in ("http", "https"):
        raise ValidationError(f"{value!r} begins with neither http:// nor https://; AS2 runs over nothing else.")
    if not host:
        raise ValidationError(f"{value!r} names no host, e.g. https://as2.example.com/receive.")
    if parts.username is not None or parts.password is not None:
        raise ValidationError("The address holds a user name or password; it would be shown and logged. Leave it out.")
    if parts.fragment or not _PRINTABLE.match(value) or " " in value:
        raise ValidationError(f"{value!r} holds a space, a '#' or a character outside ASCII; write it percent-encoded.")


def validate_finding_codes(value: object) -> None:
    """A list of codes that the catalogue of findings knows.

    Raises:
        ValidationError: with the unknown codes.
    """
    if not isinstance(value, list) or not all(isinstance(code, str) for code in value):
        raise ValidationError('A list of finding codes is wanted, e.g. ["unreadable"].')
    if unknown := sorted(set(value) - set(CATALOGUE)):
        raise ValidationError(
            f"No finding has the code {', '.join(unknown)}; see the catalogue in edi_maps/findings.py."
        )


def _refuse_unprintable(value: str, what: str) -> None:
    if not _PRINTABLE.match(value):
        bad = sorted({character for character in value if not " " <= character <= "~"})
        raise ValidationError(f"{what} holds only printable ASCII; {', '.join(map(ascii, bad)) or 'nothing'} is not.")


def _refuse_outer_spaces(value: str, what: str) -> None:
    if value != value.strip(" "):
        raise ValidationError(f"{what} neither begins nor ends with a space; {value!r} does.")
