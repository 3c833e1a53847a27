"""The directory: who somebody is, from whatever they are known by."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace

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
    HttpPassword,
    OwnIdentity,
    ProxyPassword,
    SupplierNumber,
    TradingPartner,
    X12Terms,
)
from partners.profiles import AckTerms as AckTermsSnapshot
from partners.profiles import (
    Agreement,
    Algorithms,
    As2Terms,
    CertificateRef,
    Channel,
    Direction,
    HttpTerms,
    PartnerState,
    Profile,
)
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


def as2_terms(partner: TradingPartner, now: datetime = NOW) -> As2Terms:
    terms = directory.profile(partner.pk, now=now).as2
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


def test_every_term_of_an_as2_link_reaches_the_profile(linked, plant):
    OwnIdentity.objects.update(as2_url="https://b2b.plant.example/as2/")
    authority = pair("authority")[0]
    As2Link.objects.update(
        signed=False,
        encrypted=False,
        compressed=True,
        compressed_after_signing=True,
        algorithms="modern",
        digest="sha512",
        cipher="aes192_gcm",
        signature_scheme="pss",
        key_transport="oaep_sha256",
        all_recipients=True,
        as2_version="1.3",
        signed_mdn=False,
        async_mdn=True,
        mdn_timeout_minutes=90,
        retry_minutes="5, 10,20.5",
        receipt_origins="https://MDN.acme.example\n\n  http://10.0.0.7:8080\n",
        private_network=True,
        timeout_s=7,
        verify_tls=False,
        authorities_pem=authority,
        http_user="plant",
        proxy_url="http://proxy.plant.example:3128",
    )
    As2Link.objects.get().keep_password(HttpPassword, "grüße: 1")

    assert as2_terms(linked) == As2Terms(
        our_name="PLANT-AS2",
        their_name="Acme AS2",
        url="https://as2.acme.example/in",
        signed=False,
        encrypted=False,
        compressed=True,
        compressed_after_signing=True,
        algorithms=Algorithms.MODERN,
        digest="sha512",
        cipher="aes192_gcm",
        signature_scheme="pss",
        key_transport="oaep_sha256",
        all_recipients=True,
        as2_version="1.3",
        signed_mdn=False,
        async_mdn=True,
        our_url="https://b2b.plant.example/as2/",
        mdn_timeout=timedelta(minutes=90),
        retry_minutes=(5.0, 10.0, 20.5),
        receipt_origins=("https://mdn.acme.example:443", "http://10.0.0.7:8080"),
        private_network=True,
        http=HttpTerms(
            timeout_s=7.0,
            verify_tls=False,
            authorities_pem=authority.encode(),
            proxy_url="http://proxy.plant.example:3128",
            user="plant",
            password="grüße: 1",
        ),
        max_bytes=2 * 1024 * 1024,
    )
    assert "grüße" not in repr(as2_terms(linked))


def test_a_password_without_a_user_name_is_not_sent(linked):
    As2Link.objects.get().keep_password(HttpPassword, "secret")

    assert as2_terms(linked).http.password == ""


@pytest.mark.parametrize(
    ("password", "url"),
    [
        ("p@ss:/wört", "http://plant%20x:p%40ss%3A%2Fw%C3%B6rt@proxy.plant.example:3128"),
        (None, "http://plant%20x:@proxy.plant.example:3128"),
    ],
)
def test_a_proxy_is_told_who_we_are_and_nobody_else(linked, password, url):
    As2Link.objects.update(proxy_url="http://proxy.plant.example:3128", proxy_user="plant x")
    if password:
        As2Link.objects.get().keep_password(ProxyPassword, password)

    terms = as2_terms(linked)

    assert terms.http.proxy_url == url
    assert "w%C3%B6rt" not in repr(terms)


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


SWITCH = NOW + timedelta(days=7)
#: Before the new one is used, and after the old one expired.
BEFORE, LATER = NOW, NOW + timedelta(days=340)


def fingerprints(refs: tuple[CertificateRef, ...]) -> list[str]:
    return [ref.fingerprint for ref in refs]


def test_their_roll_over_accepts_both_and_encrypts_to_the_new_one_from_its_day(linked):
    old = give_certificate(linked, "acme").fingerprint
    new = give_certificate(linked, "acme-new", days=700, active_from=SWITCH).fingerprint

    seen = {
        now: (set(fingerprints(terms.their_signing)), fingerprints(terms.their_encryption)[0])
        for now in (BEFORE, SWITCH - timedelta(seconds=1), SWITCH, LATER)
        if (terms := as2_terms(linked, now))
    }

    assert seen == {
        BEFORE: ({old, new}, old),
        SWITCH - timedelta(seconds=1): ({old, new}, old),
        SWITCH: ({old, new}, new),
        LATER: ({new}, new),
    }


def test_our_roll_over_decrypts_with_both_and_signs_with_the_new_one_from_its_day(linked, plant):
    old = give_certificate(plant, "plant").fingerprint
    new = give_certificate(plant, "plant-new", days=700, active_from=SWITCH).fingerprint

    seen = {
        now: (set(fingerprints(terms.our_decryption)), fingerprints(terms.our_signing)[0])
        for now in (BEFORE, SWITCH - timedelta(seconds=1), SWITCH, LATER)
        if (terms := as2_terms(linked, now))
    }

    assert seen == {
        BEFORE: ({old, new}, old),
        SWITCH - timedelta(seconds=1): ({old, new}, old),
        SWITCH: ({old, new}, new),
        LATER: ({new}, new),
    }
    assert all(ref.private_key_pem for ref in as2_terms(linked, SWITCH).our_decryption)


def test_in_the_overlap_all_recipients_are_both_the_new_one_first(linked):
    old = give_certificate(linked, "acme").fingerprint
    new = give_certificate(linked, "acme-new", days=700, active_from=SWITCH).fingerprint

    assert fingerprints(as2_terms(linked, BEFORE).their_encryption) == [old]
    assert fingerprints(as2_terms(linked, SWITCH).their_encryption) == [new, old]
    assert fingerprints(as2_terms(linked, LATER).their_encryption) == [new]


EXPIRED = NOW + timedelta(days=335, seconds=1)  #: a second after the end of what ``give_certificate`` gives


@pytest.mark.parametrize(
    ("grace", "days_later", "accepted"), [(0, 0, False), (3, 0, True), (3, 2.9, True), (3, 3, False), (90, 89, True)]
)
def test_an_expired_certificate_of_theirs_is_accepted_within_the_days_of_grace_and_marked(
    linked, grace, days_later, accepted
):
    ref = give_certificate(linked, "acme").fingerprint
    As2Link.objects.update(expired_grace_days=grace)

    terms = as2_terms(linked, EXPIRED + timedelta(days=days_later))

    expected = [(ref, True)] if accepted else []
    assert [(found.fingerprint, found.expired) for found in terms.their_signing] == expected
    assert [(found.fingerprint, found.expired) for found in terms.their_encryption] == expected


def test_a_valid_certificate_is_not_marked_as_expired(linked):
    give_certificate(linked, "acme")
    As2Link.objects.update(expired_grace_days=30)

    assert [ref.expired for ref in as2_terms(linked, NOW).their_signing] == [False]


def test_an_expired_certificate_encrypts_only_when_there_is_no_other(linked):
    expired = give_certificate(linked, "acme", active_from=NOW).fingerprint  # taken into use last
    As2Link.objects.update(expired_grace_days=30)
    valid = give_certificate(linked, "acme-new", days=700, active_from=NOW - timedelta(days=9)).fingerprint

    terms = as2_terms(linked, EXPIRED)

    assert fingerprints(terms.their_encryption) == [valid]
    assert set(fingerprints(terms.their_signing)) == {expired, valid}


def test_grace_is_for_theirs_never_for_ours(linked, plant):
    give_certificate(plant, "plant")
    As2Link.objects.update(expired_grace_days=90)

    terms = as2_terms(linked, EXPIRED)

    assert terms.our_signing == terms.our_decryption == ()


def test_a_certificate_that_was_ended_has_no_grace(linked):
    give_certificate(linked, "acme", active_until=EXPIRED)
    As2Link.objects.update(expired_grace_days=90)

    assert as2_terms(linked, EXPIRED).their_signing == ()


def test_a_tls_certificate_is_for_tls_alone(linked, plant):
    theirs = give_certificate(linked, "acme-tls", role=CertificateRole.TLS)
    ours = give_certificate(plant, "plant-tls", role=CertificateRole.TLS)
    As2Link.objects.update(demand_client_certificate=True, present_client_certificate=True)

    terms = as2_terms(linked)

    assert terms.our_signing == terms.our_decryption == terms.their_signing == terms.their_encryption == ()
    assert terms.their_tls is not None
    assert fingerprints(terms.their_tls) == [theirs.fingerprint]
    assert terms.http.client_certificate is not None
    assert terms.http.client_certificate.fingerprint == ours.fingerprint
    assert terms.http.client_certificate.private_key_pem == pair("plant-tls")[1]


def test_a_tls_certificate_is_neither_presented_nor_asked_for_unless_the_link_says_so(linked, plant):
    give_certificate(linked, "acme-tls", role=CertificateRole.TLS)
    give_certificate(plant, "plant-tls", role=CertificateRole.TLS)

    terms = as2_terms(linked)

    assert terms.their_tls is None
    assert terms.http.client_certificate is None
    assert not terms.http.presents_certificate


def test_when_the_last_client_certificate_has_ended_nobody_gets_in(linked):
    give_certificate(linked, "acme-tls", role=CertificateRole.TLS)
    As2Link.objects.update(demand_client_certificate=True)

    assert as2_terms(linked, EXPIRED).their_tls == ()


def test_our_client_certificate_rolls_over_on_its_day(linked, plant):
    old = give_certificate(plant, "plant-tls", role=CertificateRole.TLS)
    new = give_certificate(plant, "plant-tls-new", role=CertificateRole.TLS, active_from=SWITCH)
    As2Link.objects.update(present_client_certificate=True)

    presented = [as2_terms(linked, now).http.client_certificate for now in (BEFORE, SWITCH)]

    assert [ref and ref.fingerprint for ref in presented] == [old.fingerprint, new.fingerprint]


def test_a_profile_takes_six_queries_however_much_it_holds(
    linked, plant, django_assert_num_queries: DjangoAssertNumQueries
):
    for name in ("plant", "plant-new"):
        give_certificate(plant, name)
    for name in ("acme-sign", "acme-encrypt", "acme-new"):
        give_certificate(linked, name)
    As2Link.objects.update(http_user="plant")
    As2Link.objects.get().keep_password(HttpPassword, "secret")
    As2Link.objects.get().keep_password(ProxyPassword, "secret")

    with django_assert_num_queries(6):
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

    with django_assert_num_queries(6):
        directory.by_api_key(secret, now=NOW)
    with django_assert_num_queries(5):
        directory.by_api_key(secret, now=NOW + timedelta(seconds=59))
    key.refresh_from_db()
    assert key.last_used_at == NOW

    directory.by_api_key(secret, now=NOW + timedelta(seconds=60))
    key.refresh_from_db()
    assert key.last_used_at == NOW + timedelta(seconds=60)


def test_the_database_holds_no_usable_key(acme):
    key, secret = ApiKey.issue(acme, ApiEnvironment.LIVE)

    assert secret not in str(ApiKey.objects.filter(pk=key.pk).values().get())


def test_a_serving_process_asks_once_a_moment_and_sees_a_change_after_it(acme, monkeypatch, django_assert_num_queries):
    clock = [100.0]
    monkeypatch.setattr(directory, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    directory.remember_for(1.0)
    try:
        first = directory.profile(acme.pk)
        TradingPartner.objects.filter(pk=acme.pk).update(state="suspended")
        with django_assert_num_queries(0):
            assert directory.profile(acme.pk) is first
        clock[0] += 1.1
        assert directory.profile(acme.pk).state == "suspended"
        assert directory.profile(acme.pk, now=NOW) is not directory.profile(acme.pk, now=NOW)
    finally:
        directory.remember_for(0)
    TradingPartner.objects.filter(pk=acme.pk).update(state="live")
    assert directory.profile(acme.pk).state == "live"
