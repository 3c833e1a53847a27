"""Control numbers: each once, in order, without a gap, whoever asks at the same time."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from partners import control_numbers
from partners.models import ControlNumber, TradingPartner
from tests.prepared import Prepared
from tests.services import need

RIVALS = """
import json
from concurrent.futures import ThreadPoolExecutor
from django.core.management import call_command
from django.db import transaction
from partners.control_numbers import allocate
from partners.models import TradingPartner

call_command("migrate", "partners", verbosity=0)
acme = TradingPartner.objects.create(code="ACME", name="ACME")

def take(_):
    with transaction.atomic():
        return allocate(acme.pk, "interchange")

with ThreadPoolExecutor(4) as rivals:
    print(json.dumps(list(rivals.map(take, range(60)))))
"""


def test_numbers_begin_at_one_and_have_no_gap(acme):
    assert [control_numbers.allocate(acme.pk, "interchange") for _ in range(3)] == [1, 2, 3]


def test_partners_and_kinds_count_by_themselves(acme):
    bolt = TradingPartner.objects.create(code="BOLT", name="Bolt Company")
    control_numbers.allocate(acme.pk, "interchange")

    assert control_numbers.allocate(acme.pk, "group") == 1
    assert control_numbers.allocate(acme.pk, "set") == 1
    assert control_numbers.allocate(bolt.pk, "interchange") == 1


def test_after_the_largest_comes_one(acme):
    ControlNumber.objects.create(partner=acme, kind="interchange", last=999_999_998)

    assert [control_numbers.allocate(acme.pk, "interchange") for _ in range(2)] == [999_999_999, 1]


def test_a_number_of_a_rolled_back_document_is_given_out_again(acme):
    control_numbers.allocate(acme.pk, "interchange")
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        control_numbers.allocate(acme.pk, "interchange")
        1 / 0  # noqa: B018  # the document could not be written

    assert control_numbers.allocate(acme.pk, "interchange") == 2


def test_a_kind_that_x12_does_not_count_is_refused(acme):
    with pytest.raises(ValueError, match="envelope"):
        control_numbers.allocate(acme.pk, "envelope")  # type: ignore[arg-type]  # what the types forbid


@pytest.mark.django_db(transaction=True)
def test_outside_a_transaction_no_number_is_given_out():
    acme = TradingPartner.objects.create(code="ACME", name="ACME Castings")

    with pytest.raises(RuntimeError, match="outside a transaction"):
        control_numbers.allocate(acme.pk, "interchange")
    assert not ControlNumber.objects.exists()


def test_rivals_on_a_file_database_get_different_numbers_without_a_gap(tmp_path):
    environment = {
        **os.environ,
        "GATEWAY_DATA_DIR": str(tmp_path),
        "DATABASE_URL": f"sqlite:///{tmp_path / 'rivals.sqlite3'}",
        "DJANGO_SETTINGS_MODULE": "gateway.settings",
    }

    with Prepared(environment) as prepared:
        numbers = prepared.printed("-c", RIVALS)

    assert sorted(json.loads(numbers)) == list(range(1, 61))


@pytest.mark.django_db(transaction=True)
def test_rivals_on_postgresql_get_different_numbers_without_a_gap():
    need(connection.vendor == "postgresql", "PostgreSQL: set DATABASE_URL")
    acme = TradingPartner.objects.create(code="ACME", name="ACME Castings")

    def take(_: int) -> int:
        try:
            with transaction.atomic():
                return control_numbers.allocate(acme.pk, "interchange")
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as rivals:
        assert sorted(rivals.map(take, range(200))) == list(range(1, 201))
