"""The directory: who somebody is, from whatever they are known by."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from pytest_django import DjangoAssertNumQueries

from partners import directory
from partners.models import (
    AckTerms,
    ApiEnvironment,
    ApiKey,
    As2Link,
    CertificateRole,
    DocumentAgreement,
    OwnIdentity,
    SupplierNumber,
    TradingPartner,
    X12Terms,
)
from partners.profiles import AckTerms as AckTermsSnapshot
from partners.profiles import Agreement, As2Terms, Channel, Direction, PartnerState, Profile
from partners.profiles import X12Terms as X12TermsSnapshot
from tests.partners.conftest import NOW, give_certificate, pair


@pytest.fixture
def linked(acme: TradingPartner, plant: OwnIdentity) -> TradingPartner:
    """ACME with everything: AS2, X12, terms, agreements, two supplier numbers."""
    SupplierNumber.objects.create(partner=acme, number="0000100020")
    SupplierNumber.objects.create(partner=acme, number="0000100021")
    X12Terms.objects.create(
        partner=acme,
        own_identity=plant,
        their_qualifier="ZZ",
        their_id="ACMEEDI",
        version_suffix="VICS",
        relaxed=["no_agreement"],
    )
    As2Link.objects.create(
        partner=acme, own_identity=plant, their_name="Acme AS2", url="https://as2.acme.example/in", max_megabytes=2
    )
    AckTerms.objects.create(
        partner=acme, due_after_hours=48, quantity_tolerance_percent="2.5", price_tolerance_percent=None, days_late=3
    )
    DocumentAgreement.objects.create(
        partner=acme, document="purchase_order", direction="outbound", channel="as2", format="x12"
    )
    return acme


def as2_terms(partner: TradingPartner) -> As2Terms:
    terms = directory.profile(partner.pk, now=NOW).as2
    assert terms is not None
    return terms


def test_a_profile_holds_every_term_of_the_partner(linked):
    found = directory.profile(linked.pk, now=NOW)

    assert found == Profile(
        id=linked.pk,
        code="ACME",
        name="ACME Castings",
        state=PartnerState.LIVE,
        supplier_numbers=("0000100020", "0000100021"),
        agreements=(
            Agreement(
                document="purchase_order", direction=Direction.OUTBOUND, channel=Channel.AS2, format="x12", sheet=""
            ),
        ),
        x12=X12TermsSnapshot(
            our_qualifier="01",
            our_id="004512377",
            their_qualifier="ZZ",
            their_id="ACMEEDI",
            version_suffix="VICS",
            relaxed=frozenset({"no_agreement"}),
        ),
        ack=AckTermsSnapshot(
            due_after=timedelta(hours=48), quantity_tolerance=Decimal("0.025"), price_tolerance=None, days_late=3
        ),
        as2=As2Terms(
            our_name="PLANT-AS2",
            their_name="Acme AS2",
            url="https://as2.acme.example/in",
            max_bytes=2 * 1024 * 1024,
        ),
    )


def test_a_partner_without_terms_has_the_defaults_of_a_profile(acme):
    assert directory.profile(acme.pk) == Profile(id=acme.pk, code="ACME", name="ACME Castings", state=PartnerState.LIVE)


def test_an_unknown_primary_key_raises(db):
    with pytest.raises(directory.UnknownPartner, match="4711"):
        directory.profile(4711)


@pytest.mark.parametrize(
    ("find", "known_by"),
    [
        (directory.by_code, ("ACME",)),
        (directory.by_as2_pair, ("PLANT-AS2", "Acme AS2")),
        (directory.by_isa, ("ZZ", "ACMEEDI")),
        (directory.by_isa, ("ZZ", "ACMEEDI        ")),
        (directory.by_supplier_number, ("0000100021",)),
    ],
)
def test_a_partner_is_found_by_every_name_it_has(linked, find, known_by):
    assert find(*known_by).id == linked.pk


@pytest.mark.parametrize(
    ("find", "unknown"),
    [
        (directory.by_code, ("acme",)),
        (directory.by_as2_pair, ("PLANT-AS2", "ACME AS2")),
        (directory.by_as2_pair, ("plant-as2", "Acme AS2")),
        (directory.by_isa, ("01", "ACMEEDI")),
        (directory.by_supplier_number, ("100021",)),
        (directory.by_as2_pair, ("PLANT-AS2", "Acme\x00AS2")),
        (directory.by_isa, ("ZZ", "ACME\udc80")),
    ],
)
def test_a_name_that_is_not_exactly_theirs_finds_nobody(linked, find, unknown):
    assert find(*unknown) is None


def test_a_retired_identity_of_ours_no_longer_receives(linked, plant):
    OwnIdentity.objects.filter(pk=plant.pk).update(active=False)

    assert directory.own_as2_names() == frozenset()
    assert directory.by_as2_pair("PLANT-AS2", "Acme AS2") is None


def test_a_suspended_partner_is_found_with_its_state(linked):
    TradingPartner.objects.filter(pk=linked.pk).update(state="suspended")

    found = directory.by_as2_pair("PLANT-AS2", "Acme AS2")

    assert found is not None
    assert found.state is PartnerState.SUSPENDED


def test_our_names_are_those_of_the_active_identities(plant):
    OwnIdentity.objects.create(name="Old plant", as2_name="OLD-AS2", isa_id="OLDPLANT", active=False)

    assert directory.own_as2_names() == {"PLANT-AS2"}


def test_certificates_go_to_what_they_are_for(linked, plant):
    ours = give_certificate(plant, "plant")
    signing = give_certificate(linked, "acme-sign", role=CertificateRole.SIGN)
    encrypting = give_certificate(linked, "acme-encrypt", role=CertificateRole.ENCRYPT)

    terms = as2_terms(linked)

    assert [ref.fingerprint for ref in terms.our_signing] == [ours.fingerprint]
    assert [ref.fingerprint for ref in terms.our_decryption] == [ours.fingerprint]
    assert [ref.fingerprint for ref in terms.their_signing] == [signing.fingerprint]
    assert [ref.fingerprint for ref in terms.their_encryption] == [encrypting.fingerprint]


def test_only_our_own_certificates_carry_a_private_key_and_never_show_it(linked, plant):
    give_certificate(plant, "plant")
    give_certificate(linked, "acme-sign")

    terms = as2_terms(linked)

    assert terms.our_signing[0].private_key_pem == pair("plant")[1]
    assert terms.their_signing[0].private_key_pem is None
    assert "PRIVATE" not in repr(terms)


def test_an_expired_certificate_is_left_out(linked):
    give_certificate(linked, "acme-sign")
    expiry = NOW + timedelta(days=335)

    before = directory.profile(linked.pk, now=expiry).as2
    after = directory.profile(linked.pk, now=expiry + timedelta(seconds=1)).as2

    assert before is not None
    assert len(before.their_signing) == 1
    assert after is not None
    assert after.their_signing == after.their_encryption == ()


def test_a_certificate_taken_out_of_use_is_refused_at_once(linked):
    give_certificate(linked, "acme-sign", active_until=NOW)

    terms = as2_terms(linked)

    assert terms.their_signing == terms.their_encryption == ()


def test_a_roll_over_accepts_both_and_switches_what_we_use_at_its_day(linked, plant):
    old = give_certificate(linked, "acme-sign")
    new = give_certificate(linked, "acme-new", active_from=NOW + timedelta(days=7))
    our_old = give_certificate(plant, "plant")
    our_new = give_certificate(plant, "plant-new", active_from=NOW + timedelta(days=7))

    before = directory.profile(linked.pk, now=NOW).as2
    after = directory.profile(linked.pk, now=NOW + timedelta(days=7)).as2

    assert before is not None
    assert {ref.fingerprint for ref in before.their_signing} == {old.fingerprint, new.fingerprint}
    assert {ref.fingerprint for ref in before.our_decryption} == {our_old.fingerprint, our_new.fingerprint}
    assert [ref.fingerprint for ref in before.their_encryption] == [old.fingerprint]
    assert [ref.fingerprint for ref in before.our_signing] == [our_old.fingerprint]
    assert after is not None
    assert after.their_encryption[0].fingerprint == new.fingerprint
    assert after.our_signing[0].fingerprint == our_new.fingerprint
    assert len(after.their_signing) == len(after.our_decryption) == 2


def test_a_profile_takes_four_queries_however_much_it_holds(
    linked, plant, django_assert_num_queries: DjangoAssertNumQueries
):
    for name in ("plant", "plant-new"):
        give_certificate(plant, name)
    for name in ("acme-sign", "acme-encrypt", "acme-new"):
        give_certificate(linked, name)

    with django_assert_num_queries(4):
        directory.by_as2_pair("PLANT-AS2", "Acme AS2", now=NOW)


def test_an_api_key_names_its_caller(acme):
    key, secret = ApiKey.issue(acme, ApiEnvironment.TEST)

    caller = directory.by_api_key(secret, now=NOW)

    assert caller is not None
    assert caller.profile.code == "ACME"
    assert (caller.env, caller.key_id, caller.prefix) == (ApiEnvironment.TEST, key.pk, key.prefix)
    assert secret.startswith(key.prefix)


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "sgw_live_",
        "sgw_live_" + "A" * 43,
        "sgw_test_" + "\x00" * 43,
        "sgw_live_\udc80",
        "Bearer sgw_live_" + "A" * 43,
        "sgw_live_" + "A" * 100_000,
    ],
)
def test_a_secret_that_is_none_of_ours_names_nobody(acme, wrong):
    assert directory.by_api_key(wrong) is None


def test_the_visible_prefix_alone_opens_nothing(acme):
    key, secret = ApiKey.issue(acme, ApiEnvironment.LIVE)

    assert directory.by_api_key(key.prefix + "A" * (len(secret) - len(key.prefix))) is None


def test_an_expired_key_names_nobody(acme):
    _, secret = ApiKey.issue(acme, ApiEnvironment.LIVE, expires_at=NOW)

    assert directory.by_api_key(secret, now=NOW - timedelta(seconds=1)) is not None
    assert directory.by_api_key(secret, now=NOW) is None


def test_a_revoked_key_names_nobody_from_the_next_call_on(acme):
    key, secret = ApiKey.issue(acme, ApiEnvironment.LIVE)
    ApiKey.objects.filter(pk=key.pk).update(revoked_at=NOW)

    assert directory.by_api_key(secret, now=NOW) is None


def test_the_last_use_of_a_key_is_written_once_a_minute(acme, django_assert_num_queries: DjangoAssertNumQueries):
    key, secret = ApiKey.issue(acme, ApiEnvironment.LIVE)

    with django_assert_num_queries(5):
        directory.by_api_key(secret, now=NOW)
    with django_assert_num_queries(4):
        directory.by_api_key(secret, now=NOW + timedelta(seconds=59))
    key.refresh_from_db()
    assert key.last_used_at == NOW

    directory.by_api_key(secret, now=NOW + timedelta(seconds=60))
    key.refresh_from_db()
    assert key.last_used_at == NOW + timedelta(seconds=60)


def test_the_database_holds_no_usable_key(acme):
    key, secret = ApiKey.issue(acme, ApiEnvironment.LIVE)

    assert secret not in str(ApiKey.objects.filter(pk=key.pk).values().get())
