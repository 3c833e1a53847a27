"""Every kind of answer an ERP or a proxy before it can give, and what it must lead to."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.erp.port import AuthFailed, ErpError, InDoubt, NeedsHuman, Permanent, Transient
from gateway.erp.rest_json import MAX_MESSAGE, NotThere, classify


def problem(code: str, detail: str = "In the ERP's words.", **members: Any) -> bytes:
    return json.dumps({"type": "about:blank", "title": "Refused", "code": code, "detail": detail, **members}).encode()


PROXY_PAGE = b"<html><head><title>504 Gateway Time-out</title></head></html>"

ERRORS = [  # status, headers, body, a write leads to, a read leads to
    (200, {}, PROXY_PAGE, InDoubt, Transient),
    (200, {}, b"", InDoubt, Transient),
    (200, {}, b"\xff\xfe\x00", InDoubt, Transient),
    (200, {}, b'{"quantity": NaN}', InDoubt, Transient),
    (200, {}, b"[" * 200_000, InDoubt, Transient),
    (200, {}, b'{"n": ' + b"9" * 5000 + b"}", InDoubt, Transient),
    (204, {}, b"", InDoubt, Transient),
    (302, {"Location": "/login"}, b"", Permanent, Permanent),
    (400, {}, problem("malformed"), Permanent, Permanent),
    (400, {}, b"SSS_SOMETHING_NEW", Permanent, Permanent),
    (401, {}, b"", AuthFailed, AuthFailed),
    (403, {}, problem("forbidden"), AuthFailed, AuthFailed),
    (404, {}, problem("unknown_order"), NotThere, NotThere),
    (404, {}, problem("unknown_document"), NotThere, NotThere),
    (404, {}, PROXY_PAGE, Permanent, Permanent),
    (405, {}, b"", Permanent, Permanent),
    (408, {}, b"", InDoubt, Transient),
    (409, {}, problem("question"), NeedsHuman, NeedsHuman),
    (409, {}, problem("over_delivery"), NeedsHuman, NeedsHuman),
    (409, {}, problem("order_closed"), NeedsHuman, NeedsHuman),
    (409, {}, problem("stale_revision"), NeedsHuman, NeedsHuman),
    (409, {}, problem("key_reused"), NeedsHuman, NeedsHuman),
    (409, {}, problem("something_new"), Permanent, Permanent),
    (409, {}, b"conflict", Permanent, Permanent),
    (413, {}, b"", Permanent, Permanent),
    (422, {}, problem("unknown_order"), Permanent, Permanent),
    (422, {}, problem("question"), Permanent, Permanent),
    (423, {}, problem("locked"), Transient, Transient),
    (429, {"Retry-After": "30"}, b"", Transient, Transient),
    (500, {}, b"", InDoubt, Transient),
    (500, {}, problem("over_delivery"), InDoubt, Transient),
    (502, {}, PROXY_PAGE, InDoubt, Transient),
    (503, {"Retry-After": "60"}, b"", InDoubt, Transient),
    (504, {}, b"", InDoubt, Transient),
    (599, {}, b"", InDoubt, Transient),
]


@pytest.mark.parametrize(("status", "headers", "body", "on_write", "on_read"), ERRORS)
def test_what_an_answer_leads_to(status, headers, body, on_write, on_read):
    for write, expected in ((True, on_write), (False, on_read)):
        with pytest.raises(ErpError) as raised:
            classify(status, headers, body, write=write)
        assert type(raised.value) is expected


@pytest.mark.parametrize("status", [200, 201, 202])
@pytest.mark.parametrize(("body", "decoded"), [(b"[]", []), (b'{"a": "1.50"}', {"a": "1.50"}), (b"null", None)])
def test_an_answer_that_is_json_is_handed_on(status, body, decoded):
    assert classify(status, {}, body, write=True) == decoded


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "30"}, 30),
        ({"retry-after": " 0 "}, 0),
        ({"Retry-After": "Fri, 20 Nov 2026 10:02:00 GMT", "Date": "Fri, 20 Nov 2026 10:00:00 GMT"}, 120),
        ({"Retry-After": "Fri, 20 Nov 2026 09:00:00 GMT", "Date": "Fri, 20 Nov 2026 10:00:00 GMT"}, 0),
        ({"Retry-After": "99999999"}, 8 * 3600),
        ({"Retry-After": "Fri, 20 Nov 2026 10:02:00 GMT"}, None),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "²"}, None),
        ({}, None),
    ],
)
def test_how_long_a_busy_erp_asks_us_to_wait(headers, seconds):
    with pytest.raises(Transient) as later:
        classify(429, headers, b"", write=True)
    assert later.value.retry_after_s == seconds
    with pytest.raises(InDoubt) as unclear:
        classify(503, headers, b"", write=True)
    assert unclear.value.retry_after_s == seconds


def test_the_words_are_the_erps_with_the_lines_it_names():
    body = problem("over_delivery", "Accept it?", lines=[{"line_number": "10", "reason": "120 of 100"}])
    with pytest.raises(NeedsHuman) as asked:
        classify(409, {}, body, write=True)
    assert str(asked.value) == "409 over_delivery: Accept it?; line 10: 120 of 100"


def test_words_without_a_problem_document_are_kept_as_they_are():
    with pytest.raises(Permanent) as refused:
        classify(400, {}, b"Item VALVE-7 is\r\n\tblocked.", write=True)
    assert str(refused.value) == "400: Item VALVE-7 is blocked."


def test_words_are_cut_and_cannot_write_on_a_terminal():
    said = "\x1b[2J\x07\u202ereversed\u202c " + "model description " * 5000
    with pytest.raises(Permanent) as refused:
        classify(422, {}, problem("invalid", said), write=True)
    assert len(str(refused.value)) == MAX_MESSAGE
    assert str(refused.value).isprintable()
    assert str(refused.value).startswith("422 invalid: [2Jreversed model")


answers = st.one_of(
    st.binary(max_size=200),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["code", "detail", "title", "lines", "reason"]), inner, max_size=4)
        ),
        max_leaves=8,
    ).map(lambda value: json.dumps(value).encode()),
)


@given(st.integers(100, 999), st.dictionaries(st.sampled_from(["Retry-After", "Date"]), st.text(max_size=30)), answers)
def test_whatever_comes_back_is_json_or_one_of_the_five(status, headers, body):
    for write in (True, False):
        try:
            classify(status, headers, body, write=write)
        except ErpError as error:
            assert len(str(error)) <= MAX_MESSAGE
            assert not (write and status >= 500 and not isinstance(error, InDoubt))
