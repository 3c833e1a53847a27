"""Inventory advices (846): read under an agreement, with every quantity."""

from __future__ import annotations

import pytest

from edi_maps import canonical
from gateway.models import Document, ExceptionCase
from partners import onboarding
from partners.models import choices

pytestmark = pytest.mark.django_db

STOCK = (
    b"ISA*00*          *00*          *ZZ*ACMEEDI        *ZZ*PLANTEDI       *261120*1012*U*00401*000000007*0*P*>~"
    b"GS*IB*ACMEEDI*PLANTEDI*20261120*1012*7*X*004010~ST*846*0001~BIA*00*SI*INV-7*20261120*1012~"
    b"LIN**BP*VALVE-7*VN*A-7~QTY*33*150*EA~QTY*IQ*40*EA~CTT*1~SE*7*0001~GE*1*7~IEA*1*000000007~"
)
AGREEMENT = {"document": "inventory_advice", "direction": "inbound", "channel": "as2", "format": "x12"}


def test_an_agreed_inventory_advice_is_kept_with_its_quantities(connection, acme, take, drain):
    onboarding.set_up({"code": "ACME", "agreements": [AGREEMENT]})
    take(STOCK, partner=acme)
    drain()
    row = Document.objects.get(code="846")
    assert (row.state, row.type, row.number, row.verdict) == ("relayed", "inventory_advice", "INV-7", "accepted")
    [item] = canonical.load(row.record).items
    assert [(stock.kind, str(stock.quantity)) for stock in item.quantities] == [
        ("available", "150"),
        ("in_transit", "40"),
    ]
    assert not ExceptionCase.objects.exists()


def test_without_an_agreement_it_becomes_a_case(acme, take, drain):
    take(STOCK, partner=acme)
    drain()
    assert Document.objects.get(code="846").state == "rejected"
    assert ExceptionCase.objects.get().reason == "no_agreement"


def test_agreements_offer_schedules_and_inventory_advices():
    offered = dict(choices.documents())
    assert offered["planning_schedule"] == "Planning schedule"
    assert offered["shipping_schedule"] == "Shipping schedule"
    assert offered["inventory_advice"] == "Inventory advice"
