"""The onboarding checklist: each thing that keeps documents from flowing is one sentence."""

from __future__ import annotations

from dataclasses import replace

import pytest

from partners.profiles import (
    Agreement,
    As2Terms,
    CertificateRef,
    Channel,
    Direction,
    HttpTerms,
    PartnerState,
    Profile,
    X12Terms,
)
from partners.readiness import gaps

CERTIFICATE = (CertificateRef(fingerprint="00", certificate_pem=b""),)
AS2 = As2Terms(
    our_name="PLANT-AS2",
    their_name="ACME-AS2",
    url="https://as2.acme.example/in",
    our_signing=CERTIFICATE,
    our_decryption=CERTIFICATE,
    their_signing=CERTIFICATE,
    their_encryption=CERTIFICATE,
)
ORDER = Agreement(document="purchase_order", direction=Direction.OUTBOUND, channel=Channel.AS2, format="x12")
NOTICE = Agreement(document="ship_notice", direction=Direction.INBOUND, channel=Channel.AS2, format="x12")
REST = Agreement(document="ship_notice", direction=Direction.INBOUND, channel=Channel.REST, format="canonical_json")
READY = Profile(
    id=1,
    code="ACME",
    name="ACME Castings",
    state=PartnerState.DRAFT,
    supplier_numbers=("100020",),
    agreements=(ORDER, NOTICE),
    x12=X12Terms(our_id="PLANT", their_id="ACMEEDI"),
    as2=AS2,
)


def test_a_partner_with_everything_lacks_nothing():
    assert gaps(READY, has_api_key=False) == []


@pytest.mark.parametrize(
    ("profile", "missing"),
    [
        (replace(READY, supplier_numbers=()), "No supplier number"),
        (replace(READY, agreements=()), "No document agreement"),
        (replace(READY, x12=X12Terms()), "no X12 terms"),
        (replace(READY, as2=None), "no AS2 link"),
        (replace(READY, as2=replace(AS2, url=None)), "their address is empty"),
        (replace(READY, as2=replace(AS2, their_signing=())), "verifies signatures"),
        (replace(READY, as2=replace(AS2, their_encryption=())), "encrypt to"),
        (replace(READY, as2=replace(AS2, our_signing=())), "no key in use to sign"),
        (replace(READY, as2=replace(AS2, our_decryption=())), "no key to decrypt"),
        (replace(READY, as2=replace(AS2, http=HttpTerms(presents_certificate=True))), "add one for TLS"),
        (replace(READY, as2=replace(AS2, async_mdn=True)), "enter our AS2 address"),
        (replace(READY, as2=replace(AS2, their_tls=())), "upload the one they present"),
        (replace(READY, as2=replace(AS2, http=HttpTerms(user="plant"))), "the password is empty"),
        (replace(READY, agreements=(REST,)), "no usable API key"),
    ],
)
def test_each_thing_missing_is_one_sentence(profile, missing):
    (sentence,) = gaps(profile, has_api_key=False)

    assert missing in sentence


def test_a_link_with_all_its_certificates_and_addresses_lacks_nothing():
    http = HttpTerms(presents_certificate=True, client_certificate=CERTIFICATE[0], user="plant", password="secret")
    as2 = replace(AS2, http=http, their_tls=CERTIFICATE, async_mdn=True, our_url="https://b2b.plant.example/as2/")

    assert gaps(replace(READY, as2=as2), has_api_key=False) == []


def test_a_partner_that_only_sends_needs_no_address():
    assert gaps(replace(READY, agreements=(NOTICE,), as2=replace(AS2, url=None)), has_api_key=False) == []


def test_a_rest_partner_with_a_key_is_ready():
    assert gaps(replace(READY, agreements=(REST,), as2=None, x12=X12Terms()), has_api_key=True) == []
