"""What is written reads back as it was, and nothing in it is wrong."""

from datetime import UTC, datetime

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edi_maps.canonical import dump, load
from edi_maps.findings import Severity
from edi_maps.x12 import Delimiters, Envelope, read, write

from .strategies.advices import application_advice
from .strategies.changes import change_acknowledgment, purchase_order_change
from .strategies.inventories import inventory_advice
from .strategies.invoices import invoice
from .strategies.orders import order_acknowledgment, purchase_order
from .strategies.receipts import receiving_advice
from .strategies.schedules import planning_schedule, shipping_schedule
from .strategies.shipments import ship_notice

VERSIONS = st.sampled_from(["004010", "005010"])
FEW = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)


def envelope(version):
    return Envelope(
        sender_qualifier="ZZ",
        sender_id="NORTHPLANT",
        receiver_qualifier="ZZ",
        receiver_id="BOLTCO",
        interchange_number=1,
        group_number=1,
        version=version,
        delimiters=Delimiters(repetition="^"),
        at=datetime(2026, 11, 30, 9, 5, tzinfo=UTC),
    )


def assert_reads_back(record, version):
    [interchange] = read(write(record, envelope(version)))
    [transaction_set] = interchange.groups[0].sets
    wrong = [found.text for found in transaction_set.findings if found.severity is Severity.ERROR]
    assert wrong == []
    assert transaction_set.record == record
    assert load(dump(record)) == record


@FEW
@given(purchase_order(), VERSIONS)
def test_a_purchase_order_reads_back_as_it_was_written(record, version):
    assert_reads_back(record, version)


@FEW
@given(order_acknowledgment(), VERSIONS)
def test_an_acknowledgment_reads_back_as_it_was_written(record, version):
    assert_reads_back(record, version)


@FEW
@given(purchase_order_change(), VERSIONS)
def test_an_order_change_reads_back_as_it_was_written(record, version):
    assert_reads_back(record, version)


@FEW
@given(change_acknowledgment(), VERSIONS)
def test_an_answer_to_a_change_reads_back_as_it_was_written(record, version):
    assert_reads_back(record, version)


@FEW
@given(ship_notice(), VERSIONS)
def test_a_ship_notice_reads_back_as_it_was_written(record, version):
    assert_reads_back(record, version)


@FEW
@given(VERSIONS, st.data())
def test_an_application_advice_reads_back_as_it_was_written(version, data):
    assert_reads_back(data.draw(application_advice(version)), version)


@FEW
@given(planning_schedule(), VERSIONS)
def test_a_planning_schedule_reads_back_as_it_was_written(record, version):
    assert_reads_back(record, version)


@FEW
@given(shipping_schedule(), VERSIONS)
def test_a_shipping_schedule_reads_back_as_it_was_written(record, version):
    assert_reads_back(record, version)


@FEW
@given(inventory_advice(), VERSIONS)
def test_an_inventory_advice_reads_back_as_it_was_written(record, version):
    assert_reads_back(record, version)


@FEW
@given(receiving_advice(), VERSIONS)
def test_a_receiving_advice_reads_back_as_it_was_written(record, version):
    assert_reads_back(record, version)


@FEW
@given(invoice(), VERSIONS)
def test_an_invoice_reads_back_as_it_was_written(record, version):
    assert_reads_back(record, version)
