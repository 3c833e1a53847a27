"""Onboarding from plain data: the same data twice is one result, and what is wrong is all said at once."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from partners import directory, onboarding
from partners.models import Certificate, OwnIdentity, TradingPartner
from partners.onboarding import OnboardingError
from partners.profiles import Direction, PartnerState
from tests.partners.conftest import NOW, pair, tls_only


def acme_spec(**more: Any) -> dict[str, Any]:
    return {
        "code": "ACME",
        "name": "ACME Castings",
        "state": "testing",
        "supplier_numbers": ["0000100020"],
        "x12": {"their_qualifier": "ZZ", "their_id": "ACMEEDI", "relaxed": ["no_agreement"]},
        "as2": {"their_name": "ACME-AS2", "url": "https://as2.acme.example/in", "compressed": True},
        "ack": {"due_after_hours": 48, "quantity_tolerance_percent": 2.5, "price_tolerance_percent": None},
        "agreements": [
            {"document": "purchase_order", "direction": "outbound", "channel": "as2"},
            {"document": "ship_notice", "direction": "inbound", "channel": "portal_json", "sheet": "acme"},
        ],
        "certificates": [{"certificate": pair("acme")[0], "active_from": "2027-02-01T00:00:00+01:00"}],
        **more,
    }


def problems(spec: dict[str, Any]) -> str:
    with pytest.raises(OnboardingError) as refused:
        onboarding.set_up(spec)
    return "\n".join(refused.value.problems)


def test_one_description_makes_a_whole_partner(plant):
    partner = onboarding.set_up(acme_spec())

    found = directory.profile(partner.pk, now=NOW)
    assert (found.code, found.state, found.supplier_numbers) == ("ACME", PartnerState.TESTING, ("0000100020",))
    assert found.x12.relaxed == {"no_agreement"}
    assert found.x12.our_id == "004512377"
    assert str(found.ack.quantity_tolerance) == "0.025"
    assert found.ack.price_tolerance is None
    order, notice = (
        found.agreement("purchase_order", Direction.OUTBOUND),
        found.agreement("ship_notice", Direction.INBOUND),
    )
    assert order is not None
    assert order.format == "x12"  # what the channel usually carries
    assert notice is not None
    assert (notice.format, notice.sheet) == ("portal_json", "acme")
    assert found.as2 is not None
    assert (found.as2.their_name, found.as2.compressed) == ("ACME-AS2", True)
    assert found.as2.their_encryption[0].certificate_pem == pair("acme")[0].encode()


def test_the_same_description_again_changes_nothing(plant):
    onboarding.set_up(acme_spec())

    outcome = onboarding.set_up_partner(acme_spec())

    assert (outcome.created, outcome.changes) == (False, ())


def test_only_what_differs_is_changed_and_said(plant):
    onboarding.set_up(acme_spec())

    outcome = onboarding.set_up_partner(
        {"code": "ACME", "state": "live", "as2": {"compressed": False}, "supplier_numbers": ["0000100021"]}
    )

    assert outcome.changes == (
        "~ trading partner state: 'testing' → 'live'",
        "+ supplier number 0000100021",
        "~ AS2 link compressed: True → False",
    )
    found = directory.by_code("ACME")
    assert found is not None
    assert found.supplier_numbers == ("0000100020", "0000100021")
    assert len(found.agreements) == 2


def test_everything_wrong_is_said_at_once_with_its_place_and_nothing_is_written(plant):
    said = problems(
        acme_spec(
            state="alive",
            colour="red",
            supplier_numbers=[100020],
            x12={"their_id": "A", "relaxed": ["no_such_rule"]},
            as2={"their_name": "ACME-AS2", "url": "ftp://acme.example", "timeout_s": 1.5},
            agreements=[{"document": "ship_notice", "direction": "inbound", "channel": "as2", "format": "portal_json"}],
            certificates=[{"certificate": "nonsense"}, {"certificate": pair("acme")[0], "active_from": "tomorrow"}],
        )
    )

    for line in (
        "ACME colour: no such name; there are ack, agreements, as2,",
        "ACME state: Value 'alive' is not a valid choice.",
        "ACME supplier_numbers[0].number: text is wanted, not 100020.",
        "ACME x12.their_id: An ISA identifier has 2 to 15 characters; 'A' has 1",
        "ACME x12.relaxed: No finding has the code no_such_rule",
        "ACME as2.timeout_s: a whole number is wanted, not 1.5.",
        "ACME agreements[0].format: AS2 cannot carry Portal JSON",
        "ACME certificates[0].certificate: This is not a certificate we can read.",
        "ACME certificates[1].active_from: 'tomorrow' is no moment with a zone",
    ):
        assert line in said
    assert not TradingPartner.objects.exists()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"code": "acme"}, "capital letters"),
        ({"code": None}, "code: text is wanted, not None"),
        ({"code": "A\x00"}, "cannot be stored"),
        ({"name": "\ud800"}, "cannot be stored"),
        ({"own_identity": "Moon base"}, "no identity named 'Moon base'"),
        ({"as2": "yes"}, "as2: an object with names and values is wanted"),
        ({"as2": {"their_name": "ACME-AS2", "signed": "yes"}}, "as2.signed: true or false is wanted, not 'yes'"),
        ({"ack": {"quantity_tolerance_percent": float("nan")}}, "ack.quantity_tolerance_percent:"),
        ({"ack": {"quantity_tolerance_percent": 101}}, "less than or equal to 100"),
        ({"ack": {"days_late": 10**30}}, "less than or equal to 365"),
        ({"agreements": {"document": "ship_notice"}}, "agreements: a list is wanted"),
        ({"agreements": ["ship_notice"]}, "agreements[0]: an object"),
        ({"agreements": [{"document": ["x"], "direction": "inbound"}]}, "agreements[0].document: text is wanted"),
        ({"certificates": [{"certificate": None}]}, "the PEM text of a certificate is wanted"),
        ({"certificates": [{"certificate": pair("acme")[0], "private_key": "x"}]}, "not a private key we can read"),
    ],
)
def test_no_odd_value_is_taken_for_another(plant, wrong, said):
    assert said in problems(acme_spec(**wrong))
    assert not TradingPartner.objects.exists()


AS2_TERMS = {
    "their_name": "ACME-AS2",
    "url": "https://as2.acme.example/in",
    "compressed": True,
    "compressed_after_signing": True,
    "algorithms": "legacy",
    "digest": "sha1",
    "cipher": "des_ede3_cbc",
    "signature_scheme": "pss",
    "key_transport": "oaep_sha1",
    "all_recipients": True,
    "as2_version": "1.2",
    "expired_grace_days": 30,
    "async_mdn": True,
    "mdn_timeout_minutes": 90,
    "retry_minutes": "5, 10",
    "receipt_origins": "https://mdn.acme.example\nhttps://mdn2.acme.example:8443",
    "present_client_certificate": True,
    "demand_client_certificate": True,
    "http_user": "plant",
    "proxy_url": "http://proxy.plant.example:3128",
    "proxy_user": "plant",
    "private_network": True,
}


def test_every_term_of_an_as2_link_has_its_name_in_the_file(plant):
    OwnIdentity.objects.update(as2_url="https://b2b.plant.example/as2/")
    spec = acme_spec(
        as2={
            **AS2_TERMS,
            "authorities_pem": pair("root")[0],
            "http_password": "open sesame",
            "proxy_password": "sesame",
        }
    )

    outcome = onboarding.set_up_partner(spec)

    row = outcome.row.as2
    assert {name: getattr(row, name) for name in AS2_TERMS} == AS2_TERMS
    assert row.authorities_pem == pair("root")[0]
    assert (row.http_password.reveal(), row.proxy_password.reveal()) == (b"open sesame", b"sesame")
    assert {"+ HTTP password", "+ proxy password"} <= set(outcome.changes)
    assert "sesame" not in repr(outcome)
    assert onboarding.set_up_partner(spec).changes == ()


@pytest.mark.parametrize(
    ("given", "changes", "left"),
    [
        ({}, (), "old"),
        ({"http_password": "old"}, (), "old"),
        ({"http_password": "new"}, ("~ HTTP password",), "new"),
        ({"http_password": None}, ("- HTTP password",), ""),
    ],
)
def test_a_password_stays_is_replaced_or_forgotten_as_the_file_says(plant, given, changes, left):
    partner = onboarding.set_up(acme_spec(as2={"their_name": "ACME-AS2", "http_user": "plant", "http_password": "old"}))

    outcome = onboarding.set_up_partner({"code": "ACME", "as2": given})

    assert outcome.changes == changes
    terms = directory.profile(partner.pk, now=NOW).as2
    assert terms is not None
    assert terms.http.password == left


@pytest.mark.parametrize("wrong", ["", 7, ["secret"], "nul\x00", "half\ud800"])
def test_what_is_no_password_is_refused_and_not_quoted(plant, wrong):
    said = problems(acme_spec(as2={"their_name": "ACME-AS2", "http_user": "plant", "http_password": wrong}))

    assert said == "ACME as2.http_password: text that is not empty is wanted, or null to forget the password."


def test_a_certificate_for_tls_alone_is_imported_for_tls_alone(plant):
    pem = tls_only("acme.example")

    said = problems(acme_spec(certificates=[{"certificate": pem}]))
    assert "ACME certificates[0].certificate: This is the certificate of a web server (TLS)" in said
    partner = onboarding.set_up(acme_spec(certificates=[{"certificate": pem, "role": "tls"}]))
    again = onboarding.set_up_partner(acme_spec(certificates=[{"certificate": pem}]))

    assert again.changes == ()
    assert partner.certificates.get().role == "tls"


def test_a_certificate_of_ours_for_tls_alone_is_none_to_sign_with(db):
    spec = {"name": "Main plant", "as2_name": "PLANT-AS2", "isa_id": "PLANT", "make_certificate": True}
    pem, key = pair("plant-tls")

    identity = onboarding.own_identity(
        {**spec, "certificates": [{"certificate": pem, "private_key": key.decode(), "role": "tls"}]}, now=NOW
    )

    assert sorted(identity.certificates.values_list("role", flat=True)) == ["both", "tls"]


def test_with_two_identities_the_description_must_name_one(plant):
    OwnIdentity.objects.create(name="Second plant", as2_name="PLANT2-AS2", isa_id="PLANT2")

    assert "name the one they deal with" in problems(acme_spec())
    assert onboarding.set_up(acme_spec(own_identity="Second plant")).as2.own_identity.name == "Second plant"


def test_a_name_pair_of_another_partner_is_explained(plant):
    onboarding.set_up(acme_spec())

    said = problems({"code": "BOLT", "name": "Bolt Company", "as2": {"their_name": "ACME-AS2"}})

    assert said == "BOLT as2: Another partner already uses this pair of AS2 names; a pair is one partner."


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    name=st.sampled_from(sorted(acme_spec())),
    column=st.sampled_from(
        ["", "their_id", "url", "relaxed", "retry_minutes", "receipt_origins", "authorities_pem", "http_password"]
    ),
    value=JSON,
)
def test_no_value_brings_the_importer_down(plant, name, column, value):
    spec = acme_spec()
    if column and isinstance(spec[name], dict):
        spec[name] = {**spec[name], column: value}
    else:
        spec[name] = value

    try:
        onboarding.set_up(spec)
    except OnboardingError as refused:
        assert all(refused.problems)
    TradingPartner.objects.all().delete()


def test_our_identity_is_set_up_with_a_key_of_its_own(db):
    spec = {"name": "Main plant", "as2_name": "PLANT-AS2", "isa_id": "PLANT", "make_certificate": True}
    identity = onboarding.own_identity(spec, now=NOW)

    again = onboarding.set_up_own_identity(spec, now=NOW)

    assert again.changes == ()
    made = Certificate.objects.get(own_identity=identity)
    assert made.not_after == datetime(2030, 2, 28, 12, 0, tzinfo=UTC)
    assert made.sealed_key is not None


def test_our_identity_is_set_up_with_a_key_that_exists(db):
    pem, key = pair("plant")
    identity = onboarding.own_identity(
        {
            "name": "Main plant",
            "as2_name": "PLANT-AS2",
            "isa_id": "PLANT",
            "certificates": [{"certificate": pem, "private_key": key.decode()}],
        }
    )

    stored = identity.certificates.get()
    assert stored.sealed_key is not None
    assert stored.sealed_key.reveal() == key


def test_the_key_of_another_certificate_sets_up_nothing(db):
    with pytest.raises(OnboardingError, match="does not belong to this certificate"):
        onboarding.own_identity(
            {
                "name": "Main plant",
                "as2_name": "PLANT-AS2",
                "isa_id": "PLANT",
                "certificates": [{"certificate": pair("plant")[0], "private_key": pair("acme")[1].decode()}],
            }
        )
    assert not OwnIdentity.objects.exists()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "partners.json"
    path.write_text(
        json.dumps(
            {
                "own_identities": [{"name": "Main plant", "as2_name": "PLANT-AS2", "isa_id": "PLANT"}],
                "partners": [acme_spec(), {"code": "BOLT", "name": "Bolt Company"}],
            }
        )
    )
    return path


def run(*arguments: object) -> str:
    out = StringIO()
    call_command("partner_import", *map(str, arguments), stdout=out)
    return out.getvalue()


def test_a_dry_run_says_what_would_change_and_writes_nothing(db, file):
    said = run(file, "--dry-run")

    assert "ACME (ACME Castings): new\n  + trading partner ACME (ACME Castings)\n  + supplier number 0000100020" in said
    assert said.endswith("3 new, 0 changed, 0 as they were. Dry run: nothing was written.\n")
    assert not TradingPartner.objects.exists()


def test_a_file_is_imported_once_however_often_it_is_run(db, file):
    assert run(file).endswith("3 new, 0 changed, 0 as they were. Written.\n")
    assert run(file).endswith("0 new, 0 changed, 3 as they were. Written.\n")
    assert directory.by_code("BOLT") is not None


def test_one_wrong_partner_keeps_the_whole_file_out(db, file):
    data = json.loads(file.read_text())
    data["partners"].append({"code": "CAST", "name": ""})
    file.write_text(json.dumps(data))

    with pytest.raises(CommandError, match=r"Nothing was written; 1 to mend:\nCAST name: This field cannot be blank."):
        run(file)
    assert not TradingPartner.objects.exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"7", "holds neither"),
        (b'{"suppliers": []}', "holds neither"),
        (b'{"partners": [7]}', "must be a list of objects"),
    ],
)
def test_a_file_that_is_something_else_is_explained(db, file, content, said):
    file.write_bytes(content)

    with pytest.raises(CommandError, match=said):
        run(file)


def test_a_file_that_is_not_there_is_explained(db, tmp_path):
    with pytest.raises(CommandError, match="cannot be read: No such file"):
        run(tmp_path / "nowhere.json")
