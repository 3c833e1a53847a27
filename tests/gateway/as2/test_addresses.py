"""Which addresses an asynchronous receipt may go to."""

from __future__ import annotations

import pytest

from gateway.transports.as2.addresses import may_go_to, origin_of
from partners.profiles import As2Terms

TERMS = As2Terms(
    our_name="US",
    their_name="THEM",
    url="https://as2.bolt.example/in",
    receipt_origins=("https://mdn.bolt.example:8443", "http://192.0.2.7", "http://[2001:db8::7]:8080"),
)


@pytest.mark.parametrize(
    "address",
    [
        "https://as2.bolt.example/in",
        "https://as2.bolt.example",
        "https://as2.bolt.example:443/receipts?of=acme&n=1%20a",
        "HTTPS://AS2.BOLT.EXAMPLE/elsewhere",
        "https://as2.bolt.example?of=acme",
        "https://mdn.bolt.example:8443/",
        "http://192.0.2.7:80/mdn",
        "http://[2001:0db8:0::7]:8080/mdn",
    ],
)
def test_what_was_agreed_is_reached_whatever_the_path(address):
    assert may_go_to(TERMS, address)


@pytest.mark.parametrize(
    "address",
    [
        "http://as2.bolt.example/in",  # unprotected
        "https://as2.bolt.example:8443/in",
        "https://mdn.bolt.example/",  # listed with another port
        "https://bolt.example/in",
        "https://x.as2.bolt.example/in",
        "https://as2.bolt.example.evil.example/in",
        "https://evil.example/as2.bolt.example",
        "https://evil.example/?https://as2.bolt.example",
    ],
)
def test_another_origin_is_refused(address):
    assert origin_of(address) is not None
    assert not may_go_to(TERMS, address)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "as2.bolt.example",
        "//as2.bolt.example/in",
        "ftp://as2.bolt.example/in",
        "mailto:edi@as2.bolt.example",
        "file:///etc/passwd",
        "https:as2.bolt.example",
        "https:/as2.bolt.example",
        "https:///as2.bolt.example",
        "https://as2.bolt.example@evil.example/in",
        "https://user:word@as2.bolt.example/in",
        "https://evil.example\\@as2.bolt.example/in",
        "https://evil.example#@as2.bolt.example/in",
        "https://as2.bolt.example/in#part",
        "https://as2.bolt.example:/in",
        "https://as2.bolt.example:0443/in",
        "https://as2.bolt.example:0/in",
        "https://as2.bolt.example:65536/in",
        "https://as2.bolt.example:99999999/in",
        "https://as2.bolt.example./in",
        "https://.as2.bolt.example/in",
        "https://as2..bolt.example/in",
        "https://as2.bolt.example /in",
        " https://as2.bolt.example/in",
        "https://as2.bolt.example/in\r\nX: y",
        "https://as2.bolt.example/in\n",
        "https://as2.bolt.example/\x00",
        "https://as2.bolt.example/%zz",
        "https://as2.bolt.ex%61mple/in",
        "https://as2.bolt.exámple/in",
        "https://as2\uff0ebolt.example/in",  # a full-width full stop, a dot to some readers
        "https://as2\u3002bolt.example/in",
        "https://a\u017f2.bolt.example/in",  # a long s, an s to whoever folds case
        "https://a\u212a.example/in",
        "http://3221225991/mdn",  # 192.0.2.7 in one number
        "http://0xc0000207/mdn",
        "http://0300.0.2.7/mdn",
        "http://192.0.519/mdn",
        "http://192.0.2.7.5/mdn",
        "http://192.0.2.0x7/mdn",
        "http://192.0.2.007/mdn",
        "http://[2001:db8::7%25eth0]:8080/mdn",
        "http://[2001:db8::7/mdn",
        "http://[192.0.2.7]/mdn",
        "http://[::gg]/mdn",
        "https://" + "a" * 64 + ".example/",
        "https://" + "a." * 127 + "example/",
        "https://as2.bolt.example/" + "a" * 2000,
    ],
)
def test_an_odd_spelling_is_no_address_at_all(address):
    assert origin_of(address) is None
    assert not may_go_to(TERMS, address)


def test_without_an_address_of_the_partner_only_what_is_listed_counts():
    terms = As2Terms(our_name="US", their_name="THEM", url=None, receipt_origins=("https://mdn.bolt.example",))
    assert may_go_to(terms, "https://mdn.bolt.example/x")
    assert not may_go_to(terms, "https://as2.bolt.example/in")
    assert not may_go_to(As2Terms(our_name="US", their_name="THEM", url=None), "https://mdn.bolt.example/x")


def test_a_listed_origin_that_is_written_oddly_allows_nothing():
    terms = As2Terms(
        our_name="US", their_name="THEM", url=None, receipt_origins=("mdn.bolt.example", "https://u@h.example")
    )
    assert not may_go_to(terms, "mdn.bolt.example")
    assert not may_go_to(terms, "https://u@h.example")
    assert not may_go_to(terms, "https://h.example")


def test_an_endless_address_costs_nothing():
    assert origin_of("http://" + "a-" * 5_000_000) is None
    assert origin_of("http://" + "a-" * 900) is None
