"""How single values stand on the wire."""

from datetime import UTC, datetime, time

import pytest

from edi_maps.x12.elements import TYPES

CLOCK, MOMENT = TYPES["clock"], TYPES["moment"]


@pytest.mark.parametrize(
    ("sent", "meant"),
    [("0700", time(7)), ("235959", time(23, 59, 59)), ("1200305", time(12, 0, 30, 500_000)), ("0000", time())],
)
def test_a_time_of_day_is_read_to_the_hundredth_and_written_as_short_as_it_can_be(sent, meant):
    assert CLOCK.decode(sent) == meant
    assert CLOCK.encode(meant) == sent


@pytest.mark.parametrize("sent", ["7", "700", "07:00", "2460", "07000", "070000000", "٠٧٠٠"])
def test_what_is_no_time_of_day_is_refused(sent):
    with pytest.raises(ValueError):
        CLOCK.decode(sent)


def test_a_moment_without_a_time_is_midnight():
    assert MOMENT.decode(("20261130", "")) == datetime(2026, 11, 30, tzinfo=UTC)
    assert MOMENT.encode(datetime(2026, 11, 30, 9, 5, 7, 250_000, UTC)) == ("20261130", "09050725")
