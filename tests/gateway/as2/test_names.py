"""Who a request is from, for, and which message: the first thing read, and the first thing refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.transports.as2 import MalformedRequest, Names, Rejected, receive, request_names, requested_receipt
from gateway.transports.as2.algorithms import policy_of
from gateway.transports.as2.names import Pair, bracketed, quoted, quoted_twice, request_pair, unquoted
from partners.profiles import Algorithms
from tests.gateway.as2.conftest import EDI, Link
from tests.gateway.as2.handmade import headers

PLAIN = "application/edi-x12"


def test_names_are_read_in_any_spelling_of_the_header():
    request = {"as2-FROM": " boltco ", "AS2-To": '"ACME \\"EU\\" BUYING"', "message-id": "<1@boltco>"}
    assert request_names(request) == Names(as2_from="boltco", as2_to='ACME "EU" BUYING', message_id="<1@boltco>")


def test_a_message_id_without_brackets_stays_as_it_is():
    assert request_names(headers(PLAIN, message_id="1@boltco")).message_id == "1@boltco"


def test_a_name_with_spaces_is_understood_without_quotes():
    assert request_names(headers(PLAIN, as2_to="ACME BUYING")).as2_to == "ACME BUYING"


def test_a_name_in_quotes_twice_is_understood_second():
    """As pyas2lib writes it in a receipt."""
    pair = request_pair({"AS2-From": '"\\"BOLT CO\\""', "AS2-To": "ACME"})
    assert pair == Pair(as2_from='"BOLT CO"', as2_to="ACME")
    assert quoted_twice(pair) == Pair(as2_from="BOLT CO", as2_to="ACME")
    assert quoted_twice(Pair(as2_from='BOLT "EU" CO', as2_to="ACME BUYING")) is None


@pytest.mark.parametrize("name", ["as2_from", "as2_to", "message_id"])
@pytest.mark.parametrize(
    "value",
    [None, "", "  ", "x" * 300, "bol\r\ntco", "bol\ntco", "bol\rtco", "bol\0tco", "bóltco", "boltço\x80", "bol\x7ftco"],
    ids=repr,
)
def test_a_missing_overlong_or_unprintable_name_is_malformed(name, value):
    with pytest.raises(MalformedRequest):
        request_names(headers(PLAIN, **{name: value}))


@pytest.mark.parametrize(
    "value", ['"', '""', '"a', 'a"', 'a"b', "a\\b", '"a"b"', '"a\\"', '"a\\nb"', '"a", "b"', "a, b"]
)
def test_a_badly_quoted_or_joined_name_is_malformed(value):
    with pytest.raises(MalformedRequest):
        request_names(headers(PLAIN, as2_from=value))


def test_repeated_headers_are_malformed():
    with pytest.raises(MalformedRequest, match="repeated"):
        request_names(headers(PLAIN) | {"AS2-FROM": "boltco"})
    with pytest.raises(MalformedRequest, match="repeated"):
        request_names(headers(PLAIN, message_id="<1@boltco>, <2@boltco>"))


def test_too_many_or_too_long_headers_are_malformed():
    with pytest.raises(MalformedRequest, match="more than"):
        request_names(headers(PLAIN) | {f"X-{n}": "v" for n in range(10_000)})
    with pytest.raises(MalformedRequest, match="longer"):
        request_names(headers(PLAIN) | {"X-Long": "v" * 9_000})


@pytest.mark.parametrize("message_id", ["<1 2@boltco>", "<>", "< >"])
def test_a_message_id_nobody_may_use_is_rejected_with_that_reason(link: Link, message_id):
    with pytest.raises(Rejected) as caught:
        receive(headers(PLAIN, message_id=message_id), EDI, link.agreeing(signed=False, encrypted=False).buyer)
    assert caught.value.disposition == "processed/error: invalid-message-id"


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=128))
def test_every_name_survives_its_header(name):
    assert unquoted(quoted(name), "AS2-To") == name


@pytest.mark.parametrize("name", ["", "x" * 129, "bóltco", "a\nb"])
def test_we_do_not_send_a_name_that_is_none(name):
    with pytest.raises(ValueError, match="AS2 name"):
        quoted(name)


def test_our_message_ids_go_out_in_brackets():
    assert bracketed("1@acme") == bracketed("<1@acme>") == "<1@acme>"


@pytest.mark.parametrize("message_id", ["", "<>", "a b@acme", "a\r\nX: y", "ä@acme", "a" * 254, "a<b>"])
def test_we_do_not_send_a_message_id_that_is_none(message_id):
    with pytest.raises(ValueError, match="Message-ID"):
        bracketed(message_id)


@pytest.mark.parametrize(
    ("options", "signed", "digest"),
    [
        ("signed-receipt-protocol=optional, pkcs7-signature; signed-receipt-micalg=optional, sha-256", True, "sha256"),
        (
            "signed-receipt-micalg=required,SHA512,sha1;signed-receipt-protocol=required,PKCS7-Signature;",
            True,
            "sha512",
        ),
        (
            "Signed-Receipt-Protocol=optional,\r\n\tpkcs7-signature; signed-receipt-micalg=optional, md5, sha2-384",
            True,
            "sha384",
        ),
        ("signed-receipt-protocol=optional, pkcs7-signature", True, "sha256"),
        ("signed-receipt-protocol=optional, pgp-signature; signed-receipt-micalg=optional, md5, sha1", False, None),
        (";;=;,", False, "sha256"),
        (None, False, "sha256"),
    ],
)
def test_receipt_options_come_in_any_order_and_spelling(options, signed, digest):
    asked = requested_receipt(headers(PLAIN, disposition_notification_options=options))
    assert asked is not None
    assert (asked.signed, asked.digest(policy_of(Algorithms.SECURE))) == (signed, digest)


def test_without_disposition_notification_to_nothing_is_asked():
    assert requested_receipt(headers(PLAIN, disposition_notification_to=None)) is None
