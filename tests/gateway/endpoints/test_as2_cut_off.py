"""The AS2 door when the process or its database ends in the middle: nothing of a message is there, or all of it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from django.core.cache import cache
from django.db import OperationalError, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.http import HttpResponse

from gateway.endpoints import as2 as door
from gateway.models import Blob, Delivery, Event, ExceptionCase, Transmission
from gateway.transports import as2
from partners.models import As2Link, TradingPartner
from partners.profiles import As2Terms, CertificateRef
from tests.gateway.endpoints.conftest import ACK, Message

Post = Callable[[Message], HttpResponse]

pytestmark = pytest.mark.django_db(transaction=True)

DRAWING = as2.Attachment(b"%PDF-1.7", "application/pdf", "drawing.pdf")
SECOND = as2.Attachment(ACK.replace(b"000000042", b"000000043"), "application/edi-x12", "second.edi")
THERE = "https://as2.acme.example/mdn"


def rows() -> dict[str, int]:
    return {model.__name__: model.objects.count() for model in (Transmission, Blob, Delivery, Event, ExceptionCase)}


NOTHING = {"Transmission": 0, "Blob": 0, "Delivery": 0, "Event": 0, "ExceptionCase": 0}


@contextmanager
def gone_after(statements: int) -> Iterator[None]:
    """The database takes so many statements and not one more."""
    taken = 0

    def execute(run: Callable[..., Any], *statement: Any) -> Any:
        nonlocal taken
        taken += 1
        if taken > statements:
            raise OperationalError("the server closed the connection unexpectedly")
        return run(*statement)

    with connection.execute_wrapper(execute):
        yield


@pytest.fixture
def acme(acme: TradingPartner) -> TradingPartner:
    As2Link.objects.update(url="https://as2.acme.example/in")
    return acme


@pytest.fixture
def good(their_terms: As2Terms) -> Message:
    """Three documents, and a receipt by a request of its own: as much as one message can set going."""
    made = as2.build_message(
        ACK, terms=their_terms, message_id="<m1@acme.example>", file_name="855.edi", attachments=[SECOND, DRAWING]
    )
    return Message({**made.headers, "Receipt-Delivery-Option": THERE}, made.body)


@pytest.fixture
def bad(their_terms: As2Terms, other_key: CertificateRef) -> Message:
    terms = replace(their_terms, our_signing=(other_key,))
    made = as2.build_message(ACK, terms=terms, message_id="<m1@acme.example>", file_name="855.edi")
    return Message({**made.headers, "Receipt-Delivery-Option": THERE}, made.body)


def test_at_every_statement_a_good_message_is_there_whole_or_not_at_all(
    acme: TradingPartner, good: Message, post_as2: Post
) -> None:
    for statements in count():
        with gone_after(statements):
            answer = post_as2(good)
        if answer.status_code == 204:
            break
        assert (answer.status_code, rows()) == (503, NOTHING), statements
    assert statements > 15
    assert (Transmission.objects.count(), Delivery.objects.count()) == (4, 3)


def test_at_every_statement_a_refused_message_is_there_with_its_case_or_not_at_all(
    acme: TradingPartner, bad: Message, post_as2: Post
) -> None:
    for statements in count():
        cache.clear()  # who fails often is told to wait
        with gone_after(statements):
            answer = post_as2(bad)
        if answer.status_code == 204:
            break
        assert (answer.status_code, rows()) == (503, NOTHING), statements
    assert statements > 15
    assert (Transmission.objects.count(), Delivery.objects.count(), ExceptionCase.objects.count()) == (2, 1, 1)


def test_a_commit_that_fails_is_not_answered_processed(
    acme: TradingPartner, good: Message, post_as2: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: BaseDatabaseWrapper) -> None:
        raise OperationalError("could not write to file: no space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(BaseDatabaseWrapper, "_commit", fails)
        assert post_as2(good).status_code == 503
    assert rows() == NOTHING
    assert post_as2(good).status_code == 204


def test_a_process_that_dies_between_commit_and_answer_has_the_answer_still(
    acme: TradingPartner, message: Callable[..., Message], post_as2: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = message()

    def dies(*args: object, **kwargs: object) -> None:
        raise SystemExit("killed")

    with monkeypatch.context() as killed:
        killed.setattr(door, "HttpResponse", dies)
        with pytest.raises(SystemExit):
            post_as2(made)
    stored = Transmission.objects.get()
    answer = post_as2(made)
    assert (answer.status_code, answer.content) == (200, stored.answer.content)
    assert b"processed\r\n" in answer.content
    assert (Transmission.objects.count(), Delivery.objects.count()) == (1, 1)
