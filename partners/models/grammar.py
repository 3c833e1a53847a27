"""How the names and addresses of partners are spelled; each refusal names the rule and where it comes from."""

from __future__ import annotations

import re
from ipaddress import ip_address
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
_PAUSE: Final = re.compile(r"\A\d{1,5}(\.\d{1,3})?\Z", re.ASCII)
_LONGEST_PAUSE_MINUTES: Final = 7 * 24 * 60
_MOST_PAUSES: Final = 30
_MOST_ORIGINS: Final = 50
_HOST_NAME: Final = re.compile(
    r"\A(?=.{1,253}\Z)[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?)*\Z"
)
_NUMBER: Final = re.compile(r"\A([0-9]+|0x[0-9a-f]*)\Z")
_USUAL_PORT: Final = {"http": 80, "https": 443}


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


def retry_minutes(text: str) -> tuple[float, ...]:
    """The pauses that a text like ``5, 10, 20.5`` names, in minutes; empty for an empty text.

    Raises:
        ValidationError: with the pause that is none, or that there are too many.
    """
    pauses = [pause.strip() for pause in text.split(",")] if text.strip() else []
    for pause in pauses:
        if not _PAUSE.match(pause) or not 0 < float(pause) <= _LONGEST_PAUSE_MINUTES:
            raise ValidationError(
                f"{pause!r} is no pause: write minutes, more than 0 and up to {_LONGEST_PAUSE_MINUTES}, with commas "
                "between them, e.g. 5, 10, 20, 40."
            )
    if len(pauses) > _MOST_PAUSES:
        raise ValidationError(f"There are {len(pauses)} pauses; {_MOST_PAUSES} at most.")
    return tuple(map(float, pauses))


def validate_retry_minutes(value: str) -> None:
    """See ``retry_minutes``."""
    retry_minutes(value)


def origins(text: str) -> tuple[str, ...]:
    """The origins that a text names, one a line, each as ``scheme://host:port`` with its port written out.

    >>> origins("https://MDN.example.com")
    ('https://mdn.example.com:443',)

    Raises:
        ValidationError: with the line that is none, or that there are too many.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > _MOST_ORIGINS:
        raise ValidationError(f"There are {len(lines)} lines; {_MOST_ORIGINS} at most.")
    return tuple(dict.fromkeys(map(_origin, lines)))


def validate_origins(value: str) -> None:
    """See ``origins``."""
    origins(value)


def validate_proxy_url(value: str) -> None:
    """A proxy is ``http://host:port`` and no more.

    Raises:
        ValidationError: with what is wrong.
    """
    _origin(value)
    if urlsplit(value).scheme != "http":
        raise ValidationError(
            f"{value!r} is no address of a proxy: write http://host:port; TLS goes through it untouched."
        )


def validate_http_user(value: str) -> None:
    """RFC 7617, 2: a user name of HTTP Basic holds no colon and no control character.

    Raises:
        ValidationError: it does.
    """
    if ":" in value or not value.isprintable():
        raise ValidationError("A user name holds neither a colon nor a control character (RFC 7617).")


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


def _origin(value: str) -> str:
    validate_url(value)
    parts = urlsplit(value)
    if parts.path or parts.query or "?" in value:
        raise ValidationError(f"{value!r} is more than scheme, host and port: write e.g. https://mdn.example.com:8443.")
    if parts.port == 0:
        raise ValidationError(f"{value!r} names port 0; ports are 1 to 65535.")
    return f"{parts.scheme}://{_host(parts.hostname or '', value)}:{parts.port or _USUAL_PORT[parts.scheme]}"


def _host(host: str, value: str) -> str:
    try:
        address = ip_address(host)
    except ValueError:
        # A host that ends in digits but is no plain address (127.1, 0x7f000001) leads elsewhere than it looks.
        if not _HOST_NAME.match(host) or _NUMBER.match(host.rpartition(".")[2]):
            raise ValidationError(f"{value!r}: {host!r} is neither a host name nor an IP address.") from None
        return host
    return f"[{address}]" if address.version == 6 else str(address)


def _refuse_unprintable(value: str, what: str) -> None:
    if not _PRINTABLE.match(value):
        bad = sorted({character for character in value if not " " <= character <= "~"})
        raise ValidationError(f"{what} holds only printable ASCII; {', '.join(map(ascii, bad)) or 'nothing'} is not.")


def _refuse_outer_spaces(value: str, what: str) -> None:
    if value != value.strip(" "):
        raise ValidationError(f"{what} neither begins nor ends with a space; {value!r} does.")
