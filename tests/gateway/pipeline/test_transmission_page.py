"""The page of a message: an AS2 exchange in plain words, for staff who may see it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils.html import escape

from gateway.models import Event, Transmission
from gateway.transports import as2
from partners.models import As2Link, Certificate, OwnIdentity, TradingPartner
from tests.gateway.pipeline.conftest import send_over_as2
from tests.gateway.stored import overwrite

pytestmark = pytest.mark.django_db

DOCUMENT = b"ISA*a document of no great length~"


@pytest.fixture
def site(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("kim"))
    return client


@pytest.fixture
def theirs(acme: TradingPartner, supplier):
    def received(*, terms=supplier.terms, **headers: str) -> Transmission:
        made = as2.build_message(DOCUMENT, terms=terms, message_id="<m1@acme.example>", file_name="855.edi")
        sent = made.headers | {name.replace("_", "-"): value for name, value in headers.items()}
        content_type = sent.pop("Content-Type")
        Client().generic("POST", "/as2", made.body, content_type=content_type, headers=sent)
        return Transmission.objects.get(direction="inbound")

    return received


@pytest.fixture
def ours(acme: TradingPartner, supplier) -> Transmission:
    return send_over_as2(acme, DOCUMENT)


def shown(site: Client, row: Transmission, more: str = "") -> str:
    page = site.get(reverse("console:transmission", args=[row.pk]) + more)
    assert page.status_code == 200
    return page.content.decode()


def fact(page: str, label: str) -> str:
    """What stands behind a label."""
    return page.partition(f"<dt>{label}</dt><dd>")[2].partition("</dd>")[0]


def test_a_message_of_a_partner_says_who_signed_and_what_opened_it(site, theirs, acme, their_key, our_key) -> None:
    row = theirs()
    page = shown(site, row)
    owner = OwnIdentity.objects.get()
    signer, opener = fact(page, "Signed by the partner with"), fact(page, "Opened with our certificate")
    assert their_key.fingerprint[:16] in signer
    assert reverse("admin:partners_tradingpartner_change", args=[acme.pk]) in signer
    assert our_key.fingerprint[:16] in opener
    assert reverse("admin:partners_ownidentity_change", args=[owner.pk]) in opener
    assert fact(page, "Layers, the outermost first") == "encrypted aes256_cbc, signed sha256"
    assert fact(page, "Receipt asked for") == "signed, in the answer"
    assert fact(page, "Receipt given").startswith("processed")
    assert escape(row.message_id) in page
    assert row.seal() not in page


def test_a_message_of_ours_says_whom_it_was_encrypted_for_and_what_the_receipt_said(site, ours, their_key) -> None:
    page = shown(site, ours)
    assert their_key.fingerprint[:16] in fact(page, "Encrypted for the partner’s")
    assert "acme.example" in fact(page, "Receipt signed with")
    assert fact(page, "Receipt that came").startswith("processed")


def test_a_receipt_of_its_own_is_among_what_belongs_to_the_message_and_leads_back(site, theirs) -> None:
    As2Link.objects.update(url="https://as2.acme.example/in")
    row = theirs(Receipt_Delivery_Option="https://as2.acme.example/mdn")
    receipt = row.belongings.get()
    page = shown(site, row)
    assert reverse("console:transmission", args=[receipt.pk]) in fact(page, "Receipt")
    assert "https://as2.acme.example/mdn" in fact(page, "Receipt asked for")
    assert reverse("console:transmission", args=[row.pk]) in fact(shown(site, receipt), "Belongs to")


def test_a_refused_message_says_why_and_its_quarantine_is_looked_at_on_record(site, theirs, supplier, our_key) -> None:
    row = theirs(terms=replace(supplier.terms, our_signing=(our_key,)))
    page = shown(site, row)
    assert escape("the signer is none of the partner's certificates") in page
    assert DOCUMENT.decode() not in page
    address = reverse("console:message", args=[row.pk, "payload"])
    assert address in page
    assert Event.objects.filter(name="payload.viewed").count() == 0
    assert DOCUMENT.decode() in site.get(address).content.decode()
    assert Event.objects.get(name="payload.viewed").actor == "kim"


def test_the_proof_is_worked_out_when_it_is_asked_for(site, ours) -> None:
    assert "✔" not in shown(site, ours)
    assert "Proved: ACME has said" in shown(site, ours, "?proof=1")
    overwrite(ours.covered_id, b"altered")
    page = shown(site, ours, "?proof=1")
    assert "✘" in page
    assert "these have not: covered" in page


def test_bytes_that_cannot_be_read_are_named_on_the_page_that_asks_for_them(site, theirs) -> None:
    row = theirs()
    overwrite(row.payload_id, b"altered")
    for address in (
        reverse("console:message", args=[row.pk, "payload"]),
        reverse("console:download", args=[row.pk, "payload"]),
    ):
        answer = site.get(address)
        assert answer.status_code == 503
        assert f"blob {row.payload_id} in " in answer.content.decode()
    assert Event.objects.filter(name="payload.viewed").count() == 0


def test_a_certificate_that_is_in_no_row_any_more_is_named_by_its_fingerprint(site, theirs, their_key) -> None:
    row = theirs()
    Certificate.objects.filter(fingerprint=their_key.fingerprint).delete()
    signer = fact(shown(site, row), "Signed by the partner with")
    assert their_key.fingerprint[:16] in signer
    assert "in no row any more" in signer


def test_headers_with_control_characters_are_shown_and_not_obeyed(site, theirs) -> None:
    row = theirs()
    row.headers = {"Subject": "<script>\u202etxt.exe\x07"}
    row.save()
    page = shown(site, row)
    assert "&lt;script&gt;‹U+202E›txt.exe‹U+0007›" in page


def test_nobody_sees_it_without_the_permission(theirs) -> None:
    row, client = theirs(), Client()
    address = reverse("console:transmission", args=[row.pk])
    assert client.get(address).status_code == 302
    person = User.objects.create_user("lee", is_staff=True)
    client.force_login(person)
    assert client.get(address).status_code == 403
    person.user_permissions.add(Permission.objects.get(codename="view_transmission"))
    assert client.get(address).status_code == 200


def test_the_admins_list_leads_there_and_filters_by_state(site, theirs) -> None:
    row = theirs()
    address = reverse("admin:gateway_transmission_change", args=[row.pk])
    assert site.get(address)["Location"] == reverse("console:transmission", args=[row.pk])
    listed = reverse("admin:gateway_transmission_changelist")
    assert escape(row.message_id) in site.get(listed, {"state": "stored"}).content.decode()
    assert escape(row.message_id) not in site.get(listed, {"state": "refused"}).content.decode()
