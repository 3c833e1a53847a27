"""The state machines: one writer, one winner."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.db import transaction

from gateway import events, states
from gateway.models import CaseState, DeliveryState, DocumentState, Event, OrderState, TransmissionState
from tests.gateway.rows import a_document

ROOT = Path(__file__).parents[2]


@pytest.mark.django_db
def test_a_second_worker_loses_the_race():
    document = a_document()
    rival = type(document).objects.get(pk=document.pk)
    states.advance(document, DocumentState.TRANSLATED)
    with pytest.raises(states.StaleState):
        states.advance(rival, DocumentState.TRANSLATED)
    assert Event.objects.filter(name="document.translated").count() == 1


@pytest.mark.django_db
def test_an_arrow_that_is_not_there_is_refused():
    with pytest.raises(states.IllegalMove):
        states.advance(a_document(), DocumentState.RELAYED)


@pytest.mark.django_db
def test_many_documents_move_at_once_each_with_its_event():
    documents = [a_document(number=number) for number in "12"]
    states.advance_all(documents, DocumentState.TRANSLATED, notes=[{"verdict": "accepted"}, {"verdict": "rejected"}])
    assert [(one.state, type(one).objects.get(pk=one.pk).state) for one in documents] == [("translated",) * 2] * 2
    assert list(Event.objects.order_by("pk").values_list("name", "document", "partner", "data__verdict")) == [
        ("document.translated", documents[0].pk, documents[0].partner_id, "accepted"),
        ("document.translated", documents[1].pk, documents[1].partner_id, "rejected"),
    ]
    states.advance_all([], DocumentState.TRANSLATED, notes=[])


@pytest.mark.django_db
def test_when_one_of_many_has_moved_meanwhile_it_is_said():
    documents = [a_document(number=number) for number in "12"]
    states.advance(type(documents[0]).objects.get(pk=documents[0].pk), DocumentState.REJECTED)
    with pytest.raises(states.StaleState), transaction.atomic():
        states.advance_all(documents, DocumentState.TRANSLATED, notes=[{}, {}])
    with pytest.raises(states.IllegalMove):
        states.advance_all(documents, DocumentState.RELAYED, notes=[{}, {}])


def test_every_state_has_its_event():
    kinds = {"transmission": TransmissionState, "document": DocumentState, "delivery": DeliveryState}
    entered = {target for moves in states.MOVES.values() for targets in moves.values() for target in targets}
    for name, kind in {**kinds, "case": CaseState, "order": OrderState}.items():
        for state in kind:
            if state in entered and any(state in targets for targets in states.MOVES[_model(name)].values()):
                assert f"{name}.{state}" in events.EVENTS


def _model(name: str) -> type:
    return next(model for model, called in states._NAMES.items() if called == name)


def test_no_other_module_writes_a_state():
    """A field of a new row may be given; a row that exists is moved by ``states.advance``, an entry of the queue by the outbox."""
    writes = re.compile(r"\.state\s*=[^=]|\.update\([^)]*\bstate=")
    offenders = [
        f"{file.relative_to(ROOT)}:{number}"
        for folder in ("gateway", "partners")
        for file in sorted((ROOT / folder).rglob("*.py"))
        if file.name not in {"states.py", "outbox.py"} and "migrations" not in file.parts
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if writes.search(line) and "successor.state" not in line and "partner.state" not in line
    ]
    assert offenders == []
