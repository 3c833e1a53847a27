"""A second opinion by pyx12: its verdict and its errors as plain data, whatever it is given."""

import logging

import pytest

from edi_maps.x12.stock import MAX_BYTES, SecondOpinion, StockError, second_opinion

from .documents import FIXTURES


def fixture(name: str) -> bytes:
    return (FIXTURES / f"{name}.edi").read_bytes()


@pytest.mark.parametrize("name", ["850_store_order", "850_5010", "855_partial_backorder", "856_pick_and_pack"])
def test_a_good_document_is_accepted_without_an_error(name):
    assert second_opinion(fixture(name)) == SecondOpinion(accepted=True, errors=())


def test_an_error_has_its_place_its_code_and_the_words_of_pyx12():
    data = fixture("850_store_order").replace(b"*EA*", b"*EACH*", 1)
    [error] = second_opinion(data).errors
    assert (error.segment, error.element, error.code, error.value) == ("PO1", 3, "5", "EACH")
    assert (error.group, error.set) == ("101", "0001")
    assert error.position == data[: data.index(b"*EACH*")].count(b"~") - 1
    assert 'Data element "Unit" (PO103) is too long' in error.words


def test_an_error_of_a_trailer_is_not_lost():
    data = fixture("850_store_order")
    count = data.partition(b"SE*")[2].partition(b"*")[0]
    [error] = second_opinion(data.replace(b"SE*" + count, b"SE*99")).errors
    assert (error.segment, error.code, error.set) == ("ST", "4", "0001")


def test_where_pyx12_fails_there_is_no_verdict_but_a_reason():
    opinion = second_opinion(fixture("850_store_order").replace(b"GE*1*", b"GE*A*"))
    assert opinion.accepted is None
    assert opinion.errors[-1] == StockError(
        code="", words="pyx12 failed: ValueError invalid literal for int() with base 10: 'A'"
    )


def test_a_version_pyx12_does_not_read_is_refused_with_a_word():
    assert second_opinion(fixture("850_store_order").replace(b"*00401*", b"*00402*")) == SecondOpinion(
        accepted=False, errors=(StockError(code="", words="refused without a word"),)
    )


def test_no_opinion_is_asked_for_on_a_document_that_would_take_long():
    opinion = second_opinion(fixture("850_store_order") + b" " * MAX_BYTES)
    assert opinion.accepted is None
    assert "not asked" in opinion.errors[0].words


def test_a_document_cut_off_anywhere_gets_an_opinion():
    data = fixture("855_partial_backorder")
    for end in range(0, len(data), 7):
        opinion = second_opinion(data[:end])
        assert opinion.accepted or opinion.errors


def test_what_a_document_holds_is_not_logged(caplog):
    with caplog.at_level(logging.DEBUG):
        second_opinion(fixture("850_seven_faults"))
    assert caplog.records == []
