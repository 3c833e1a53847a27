"""Digests are made when somebody asks, once, and only those a receipt may name."""

import hashlib

import pytest

from gateway.transports.as2 import Digests

OCTETS = b"ISA*what the receipt is about~"


def test_each_is_made_when_it_is_asked_for_and_once():
    pieces = iter([OCTETS])
    digests = Digests({"sha256": b"known"}, lambda: next(pieces))
    assert digests["sha256"] == b"known"
    assert digests["sha512"] == digests["sha512"] == hashlib.sha512(OCTETS).digest()
    assert list(pieces) == []


def test_all_that_a_receipt_may_name_are_there_and_no_others():
    digests = Digests({}, lambda: OCTETS)
    assert dict(digests) == {
        name: hashlib.new(name, OCTETS).digest() for name in ("sha1", "sha256", "sha384", "sha512")
    }
    assert len(digests) == 4
    assert ("sha1" in digests, "md5" in digests) == (True, False)
    with pytest.raises(KeyError):
        digests["md5"]
