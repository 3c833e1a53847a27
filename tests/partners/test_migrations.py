"""The migrations of this app say what its models say, and rows that were there keep their terms."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from partners import directory
from partners.profiles import As2Terms, CertificateRef
from tests.partners.conftest import NOW, pair


def test_no_migration_is_missing(db):
    call_command("makemigrations", "partners", check=True, dry_run=True, stdout=StringIO())


@pytest.mark.django_db(transaction=True)
def test_a_link_from_before_the_as2_terms_does_what_it_did():
    latest = MigrationExecutor(connection).loader.graph.leaf_nodes()
    before = [("partners", "0001_trading_partners")]
    executor = MigrationExecutor(connection)
    executor.migrate(before)
    try:
        old = executor.loader.project_state(before).apps
        plant = old.get_model("partners", "OwnIdentity").objects.create(
            name="Plant", as2_name="PLANT-AS2", isa_id="PLANT"
        )
        acme = old.get_model("partners", "TradingPartner").objects.create(code="ACME", name="ACME", state="live")
        old.get_model("partners", "As2Link").objects.create(
            partner=acme, own_identity=plant, their_name="ACME-AS2", url="http://as2.acme.example/", cipher="aes128_cbc"
        )
        pem, _ = pair("acme")
        old.get_model("partners", "Certificate").objects.create(
            partner=acme,
            certificate_pem=pem,
            fingerprint="00",
            not_before=NOW - timedelta(days=1),
            not_after=NOW + timedelta(days=1),
        )
    finally:
        MigrationExecutor(connection).migrate(latest)

    ref = (CertificateRef(fingerprint="00", certificate_pem=pem.encode()),)
    assert directory.profile(acme.pk, now=NOW).as2 == As2Terms(
        our_name="PLANT-AS2",
        their_name="ACME-AS2",
        url="http://as2.acme.example/",
        cipher="aes128_cbc",
        their_signing=ref,
        their_encryption=ref,
    )
