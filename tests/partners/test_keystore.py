"""The keystore: what is sealed opens with the right key only, and keys are changed while the gateway runs."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.core.management.base import SystemCheckError
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from partners import certificates, directory, keystore
from partners.checks import keystore_opens
from partners.keystore import KeystoreError, Sealed
from partners.models import (
    As2Link,
    Certificate,
    HttpPassword,
    KeystoreCanary,
    OwnIdentity,
    PrivateKey,
    TradingPartner,
)
from tests.partners.conftest import give_certificate, pair

FIRST = "the first wrapping secret, of sufficient length"
SECOND = "the second wrapping secret, of sufficient length"
THIRD = "the third wrapping secret, of sufficient length"


@pytest.fixture(autouse=True)
def first_secret(settings):
    settings.KEYSTORE_SECRET, settings.KEYSTORE_OLD_SECRETS = FIRST, ()


@pytest.fixture
def sealed(plant: OwnIdentity) -> Certificate:
    """A certificate of ours whose key is sealed with the first secret."""
    return give_certificate(plant, "plant")


@given(plaintext=st.binary(max_size=5000), purpose=st.text(st.characters(exclude_categories=["Cs"])))
def test_what_is_sealed_opens_again(plaintext, purpose):
    assert keystore.unseal(keystore.seal(plaintext, purpose=purpose), purpose=purpose) == plaintext


def test_sealing_twice_shares_nothing():
    one, two = (keystore.seal(b"the same", purpose="test") for _ in range(2))

    assert one.wrapped_key != two.wrapped_key
    assert one.ciphertext != two.ciphertext


@given(at=st.integers(min_value=0, max_value=10_000), part=st.sampled_from(["wrapped_key", "ciphertext"]))
def test_no_altered_byte_goes_unnoticed(at, part):
    sealed = keystore.seal(b"a private key", purpose="test")
    columns = {"wrapped_key": bytearray(sealed.wrapped_key), "ciphertext": bytearray(sealed.ciphertext)}
    columns[part][at % len(columns[part])] ^= 1

    with pytest.raises(KeystoreError, match="does not open"):
        keystore.unseal(
            Sealed(key_id=sealed.key_id, **{name: bytes(value) for name, value in columns.items()}), purpose="test"
        )


def test_a_cut_off_column_is_explained():
    sealed = keystore.seal(b"a private key", purpose="test")

    with pytest.raises(KeystoreError, match="does not open"):
        keystore.unseal(
            Sealed(key_id=sealed.key_id, wrapped_key=sealed.wrapped_key, ciphertext=b"short"), purpose="test"
        )


def test_a_secret_does_not_open_for_another_purpose():
    sealed = keystore.seal(b"a private key", purpose="private key 1")

    with pytest.raises(KeystoreError, match="copied from another"):
        keystore.unseal(sealed, purpose="private key 2")


def test_a_short_secret_is_refused(settings):
    settings.KEYSTORE_SECRET = "swordfish"

    with pytest.raises(KeystoreError, match="9 characters; at least 32") as refused:
        keystore.seal(b"a private key", purpose="test")
    assert "swordfish" not in str(refused.value)


def test_a_database_dump_holds_no_private_key(sealed):
    with connection.cursor() as cursor:
        cursor.execute("SELECT key_id, wrapped_key, ciphertext FROM partners_privatekey")
        dump = b"".join(value.encode() if isinstance(value, str) else bytes(value) for value in cursor.fetchone())

    assert len(dump) > 1000
    assert b"PRIVATE KEY" not in dump
    assert pair("plant")[1][100:120] not in dump


PASSWORD = "correct horse battery staple"


@pytest.fixture
def sealed_password(acme: TradingPartner, plant: OwnIdentity) -> HttpPassword:
    """A password for a partner's server, sealed with the first secret."""
    link = As2Link.objects.create(partner=acme, own_identity=plant, their_name="ACME-AS2", http_user="plant")
    link.keep_password(HttpPassword, PASSWORD)
    return HttpPassword.objects.get()


def test_a_database_dump_holds_no_password_and_nothing_about_it_shows_one(sealed_password):
    dump = repr([bytes(sealed_password.wrapped_key), bytes(sealed_password.ciphertext)])
    terms = directory.profile(sealed_password.link.partner_id).as2

    shown = f"{dump} {sealed_password!r} {sealed_password} {sealed_password.link!r} {terms!r}"

    assert PASSWORD not in shown
    assert terms is not None
    assert terms.http.password == PASSWORD


def test_another_password_replaces_the_former(sealed_password):
    sealed_password.link.keep_password(HttpPassword, "another")

    assert HttpPassword.objects.get().reveal() == b"another"


def test_a_password_copied_to_another_row_does_not_open(sealed_password, plant):
    other = TradingPartner.objects.create(code="BOLT", name="Bolt")
    link = As2Link.objects.create(partner=other, own_identity=plant, their_name="BOLT-AS2")
    link.keep_password(HttpPassword, "another")
    stolen = HttpPassword.objects.filter(pk=sealed_password.pk).values("key_id", "wrapped_key", "ciphertext").get()
    HttpPassword.objects.filter(link=link).update(**stolen)

    with pytest.raises(KeystoreError, match="copied from another"):
        HttpPassword.objects.get(link=link).reveal()


def test_rotation_finds_the_password(sealed_password, settings):
    settings.KEYSTORE_SECRET, settings.KEYSTORE_OLD_SECRETS = SECOND, (FIRST,)
    assert HttpPassword.objects.get().reveal() == PASSWORD.encode()  # both open meanwhile

    call_command("keystore_rotate", stdout=StringIO())

    settings.KEYSTORE_OLD_SECRETS = ()
    assert keystore_opens(None) == []
    assert HttpPassword.objects.get().reveal() == PASSWORD.encode()


def test_a_password_of_an_unknown_key_refuses_the_start(sealed_password):
    HttpPassword.objects.update(key_id="0123456789abcdef")

    assert "HTTP password (sealed with 0123456789abcdef)" in keystore_opens(None)[0].msg


def test_nothing_about_a_secret_shows_its_bytes(sealed):
    row = sealed.private_key

    shown = f"{row!r} {row} {row._sealed!r} {keystore._current()!r}"

    assert "PRIVATE" not in shown
    assert repr(bytes(row.ciphertext)) not in shown
    assert repr(keystore._current().bytes) not in shown


def test_a_sealed_key_copied_to_another_row_does_not_open(sealed, plant):
    other = give_certificate(plant, "plant-new")
    stolen = PrivateKey.objects.filter(certificate=sealed).values("key_id", "wrapped_key", "ciphertext").get()
    PrivateKey.objects.filter(certificate=other).update(**stolen)

    with pytest.raises(KeystoreError, match="copied from another"):
        PrivateKey.objects.get(certificate=other).reveal()


def test_deleting_a_certificate_deletes_its_private_key(sealed):
    sealed.delete()

    assert not PrivateKey.objects.exists()


def test_an_empty_database_starts_with_any_secret(db):
    assert keystore_opens(None) == []


def test_the_right_secret_starts(sealed):
    assert keystore_opens(None) == []


def test_a_wrong_secret_refuses_the_start_and_says_what_to_do(sealed, settings):
    settings.KEYSTORE_SECRET = SECOND

    with pytest.raises(SystemCheckError, match=r"no configured key has that id.*\n.*nothing was overwritten"):
        call_command("check")


def test_a_wrong_secret_seals_and_overwrites_nothing(sealed, settings, plant):
    before = list(PrivateKey.objects.values()), list(KeystoreCanary.objects.values())
    settings.KEYSTORE_SECRET = SECOND

    with pytest.raises(KeystoreError):
        sealed.keep_private_key(certificates.read_private_key(pair("plant")[1]))

    assert (list(PrivateKey.objects.values()), list(KeystoreCanary.objects.values())) == before


def test_a_canary_that_sings_another_song_refuses_the_start(sealed):
    canary = KeystoreCanary.objects.get()
    canary._take(keystore.seal(b"another song", purpose=canary._purpose))
    canary.save()

    assert "canary opens to something else" in keystore_opens(None)[0].msg


def test_a_secret_of_an_unknown_key_refuses_the_start_though_the_canary_sings(sealed):
    PrivateKey.objects.update(key_id="0123456789abcdef")

    assert "0123456789abcdef" in keystore_opens(None)[0].msg


def test_the_check_waits_for_the_tables(db):
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE partners_keystorecanary RENAME TO not_there_yet")

    assert keystore_opens(None) == []


def test_while_secrets_change_old_and_new_both_open(sealed, settings):
    settings.KEYSTORE_SECRET, settings.KEYSTORE_OLD_SECRETS = SECOND, (FIRST,)

    assert keystore_opens(None) == []
    assert PrivateKey.objects.get().reveal() == pair("plant")[1]


def test_rotation_leaves_the_new_secret_alone_sufficient(sealed, settings):
    ciphertext = PrivateKey.objects.get().ciphertext
    settings.KEYSTORE_SECRET, settings.KEYSTORE_OLD_SECRETS = SECOND, (FIRST,)
    out = StringIO()

    call_command("keystore_rotate", stdout=out)

    settings.KEYSTORE_OLD_SECRETS = ()
    assert keystore_opens(None) == []
    assert PrivateKey.objects.get().reveal() == pair("plant")[1]
    assert PrivateKey.objects.get().ciphertext == ciphertext  # only its data key was wrapped anew
    assert out.getvalue().startswith("2 secrets re-wrapped")  # the key and the canary


def test_rotating_again_changes_nothing(sealed):
    out = StringIO()

    call_command("keystore_rotate", stdout=out)

    assert out.getvalue().startswith("0 secrets re-wrapped")


def test_rotation_without_the_old_secret_changes_nothing_and_says_why(sealed, settings):
    before = PrivateKey.objects.values().get()
    settings.KEYSTORE_SECRET, settings.KEYSTORE_OLD_SECRETS = SECOND, (THIRD,)

    with pytest.raises(CommandError, match="GATEWAY_KEYSTORE_OLD_SECRETS"):
        call_command("keystore_rotate")

    assert PrivateKey.objects.values().get() == before


def test_a_rotation_that_stopped_half_way_is_finished_by_the_next(sealed, plant, settings):
    give_certificate(plant, "plant-new")
    settings.KEYSTORE_SECRET, settings.KEYSTORE_OLD_SECRETS = SECOND, (FIRST,)
    done = PrivateKey.objects.get(certificate=sealed)
    done.rewrap()
    done.save()

    call_command("keystore_rotate", stdout=StringIO())

    settings.KEYSTORE_OLD_SECRETS = ()
    assert {key.reveal() for key in PrivateKey.objects.all()} == {pair("plant")[1], pair("plant-new")[1]}


def test_a_lost_secret_is_given_up_only_when_told_so(sealed, settings, plant):
    settings.KEYSTORE_SECRET = SECOND
    out = StringIO()

    call_command("keystore_rotate", "--forget-lost", stdout=out)

    assert out.getvalue().startswith("2 secrets deleted")
    assert keystore_opens(None) == []
    sealed.refresh_from_db()
    sealed.keep_private_key(certificates.read_private_key(pair("plant")[1]))
