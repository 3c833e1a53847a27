"""How single values stand on the wire."""

from datetime import UTC, datetime, time
from decimal import Decimal

import pytest

from edi_maps.x12.elements import TYPES, type_at
from edi_maps.x12.guides.tables import element_at, elements_of

CLOCK, MOMENT = TYPES["clock"], TYPES["moment"]
AMOUNT = type_at("number", "SAC", 5)


def read(kind, sent):
    assert kind.decode is not None
    return kind.decode(sent)


@pytest.mark.parametrize(
    ("sent", "meant"),
    [("0700", time(7)), ("235959", time(23, 59, 59)), ("1200305", time(12, 0, 30, 500_000)), ("0000", time())],
)
def test_a_time_of_day_is_read_to_the_hundredth_and_written_as_short_as_it_can_be(sent, meant):
    assert read(CLOCK, sent) == meant
    assert CLOCK.encode(meant) == sent


@pytest.mark.parametrize("sent", ["7", "700", "07:00", "2460", "07000", "070000000", "٠٧٠٠"])
def test_what_is_no_time_of_day_is_refused(sent):
    with pytest.raises(ValueError):
        read(CLOCK, sent)


def test_a_moment_without_a_time_is_midnight():
    assert read(MOMENT, ("20261130", "")) == datetime(2026, 11, 30, tzinfo=UTC)
    assert MOMENT.encode(datetime(2026, 11, 30, 9, 5, 7, 250_000, UTC)) == ("20261130", "09050725")


@pytest.mark.parametrize(
    ("sent", "amount"),
    [
        ("41119", "411.19"),
        ("5", "0.05"),
        ("0", "0.00"),
        ("-1500", "-15.00"),
        ("123456789012345", "1234567890123.45"),
        ("000300", "3.00"),
    ],
)
def test_the_last_two_digits_of_an_n2_element_are_cents(sent, amount):
    assert str(read(AMOUNT, sent)) == amount


@pytest.mark.parametrize(
    ("amount", "sent"),
    [
        ("411.19", "41119"),
        ("0.05", "5"),
        ("-0.05", "-5"),
        ("0", "0"),
        ("15", "1500"),
        ("15.500", "1550"),
        ("1E+3", "100000"),
        ("1234567890123.45", "123456789012345"),
    ],
)
def test_an_amount_is_written_in_cents(amount, sent):
    assert AMOUNT.encode(Decimal(amount)) == sent


def test_an_amount_of_less_than_a_cent_is_refused_not_rounded():
    with pytest.raises(ValueError, match=r"1\.005 has more than 2 decimals"):
        AMOUNT.encode(Decimal("1.005"))


def test_a_decimal_point_that_is_sent_after_all_stands_where_it_stands():
    assert read(AMOUNT, "411.19") == Decimal("411.19")


@pytest.mark.parametrize("sent", ["ten", "1,5", "4 1", "--5", "1e3"])
def test_what_is_no_number_is_no_amount(sent):
    with pytest.raises(ValueError, match=sent):
        read(AMOUNT, sent)


def test_the_element_says_whether_decimals_are_implied():
    assert type_at("number", "PO1", 2) is TYPES["number"]
    assert type_at("integer", "CTT", 1) is TYPES["integer"]
    assert type_at("text", "SAC", 5) is TYPES["text"]
    assert type_at("number", "ZZZ", 1) is TYPES["number"]


def test_a_table_tells_the_element_at_a_place():
    element = element_at("CTP", 5, 1)
    assert element is not None
    assert (element.number, element.kind) == ("355", "ID")
    assert element_at("PO1", 26) is None
    assert element_at("PO1", 0) is None
    assert [element.number for element in elements_of("PO1")[4:9]] == ["639", "235", "234", "235", "234"]
    assert elements_of("ZZZ") == ()
