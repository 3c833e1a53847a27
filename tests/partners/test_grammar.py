"""How pauses, origins and proxies are written: what is read, and what is refused with the rule."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st

from partners.models import grammar


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("", ()), ("  ", ()), ("5", (5.0,)), (" 5 ,10,\t20.5 ", (5.0, 10.0, 20.5)), ("0.001, 10080", (0.001, 10080.0))],
)
def test_pauses_are_read(text, minutes):
    assert grammar.retry_minutes(text) == minutes


@pytest.mark.parametrize(
    "text",
    ["0", "-5", "5,", ",", "5;10", "5 10", "nan", "inf", "1e3", "10081", "0.0001", "٥", "5,,10", ",".join(["5"] * 31)],
)
def test_what_is_no_pause_is_refused(text):
    with pytest.raises(ValidationError, match=r"no pause|30 at most"):
        grammar.retry_minutes(text)


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("", ()),
        ("https://MDN.example.com", ("https://mdn.example.com:443",)),
        ("HTTP://10.0.0.7:8080\r\n\r\n", ("http://10.0.0.7:8080",)),
        (
            "https://a.example\n https://a.example:443 \nhttps://b.example",
            ("https://a.example:443", "https://b.example:443"),
        ),
        ("https://[2001:DB8:0::1]:8443", ("https://[2001:db8::1]:8443",)),
    ],
)
def test_origins_are_read_one_a_line_with_the_port_written_out(text, origins):
    assert grammar.origins(text) == origins


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("mdn.example.com", "neither http:// nor https://"),
        ("ftp://mdn.example.com", "neither http:// nor https://"),
        ("https://", "names no host"),
        ("https://mdn.example.com/", "more than scheme, host and port"),
        ("https://mdn.example.com/in", "more than scheme, host and port"),
        ("https://mdn.example.com?x", "more than scheme, host and port"),
        ("https://a.example,https://b.example", "not an address|more than scheme"),
        ("https://me:pw@mdn.example.com", "user name or password"),
        ("https://mdn.example.com#x", "'#'"),
        ("https://mdn.exämple.com", "outside ASCII"),
        ("https://mdn.example.com:0", "port 0"),
        ("https://mdn.example.com:70000", "is not an address"),
        ("https://*.example.com", "neither a host name nor an IP address"),
        ("https://127.1", "neither a host name nor an IP address"),
        ("https://0x7f000001", "neither a host name nor an IP address"),
        ("https://2130706433", "neither a host name nor an IP address"),
        ("https://mdn.example.com.", "neither a host name nor an IP address"),
    ],
)
def test_what_is_no_origin_is_refused_with_the_rule(line, reason):
    with pytest.raises(ValidationError, match=reason):
        grammar.origins(f"https://good.example\n{line}")


def test_there_are_fifty_origins_at_most():
    with pytest.raises(ValidationError, match="51 lines"):
        grammar.origins("\n".join(f"https://a{number}.example" for number in range(51)))


def test_a_proxy_is_http_host_and_port():
    grammar.validate_proxy_url("http://proxy.example:3128")
    for wrong in (
        "https://proxy.example:3128",
        "http://proxy.example:3128/",
        "http://me:pw@proxy.example:3128",
        "proxy:3128",
    ):
        with pytest.raises(ValidationError):
            grammar.validate_proxy_url(wrong)


@pytest.mark.parametrize("wrong", ["a:b", "a\r\nX: y", "tab\t"])
def test_a_user_name_that_would_end_early_is_refused(wrong):
    with pytest.raises(ValidationError, match="RFC 7617"):
        grammar.validate_http_user(wrong)


@given(text=st.text() | st.text(alphabet="https://[]:.@%#,\n0123456789abcdef"))
def test_no_text_brings_the_readers_down_and_what_they_read_they_read_again(text):
    for read in (grammar.origins, lambda text: tuple(map(str, grammar.retry_minutes(text)))):
        try:
            found = read(text)
        except ValidationError:
            continue
        assert read(("\n" if read is grammar.origins else ",").join(found)) == found
