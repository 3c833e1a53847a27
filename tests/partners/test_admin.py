"""The admin as procurement meets it: pages fetched, forms filled in and sent the way a browser sends them."""

from __future__ import annotations

import logging
import ssl
from datetime import timedelta
from functools import cache
from typing import Any
from urllib.parse import unquote, urlsplit

import lxml.html
import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from partners import certificates, directory
from partners.models import (
    ApiEnvironment,
    ApiKey,
    As2Link,
    Certificate,
    HttpPassword,
    KeystoreCanary,
    OwnIdentity,
    ProxyPassword,
    TradingPartner,
    X12Terms,
)
from partners.profiles import Channel, PartnerState
from tests.partners.conftest import pair

ADD = "/admin/partners/tradingpartner/add/"
LIST = "/admin/partners/tradingpartner/"
OURS = "/admin/partners/ownidentity/"
TODAY = timezone.now()


def certificate(name: str = "acme") -> str:
    return pair(name, made=TODAY, days=100)[0]


def private_key(name: str = "acme") -> str:
    return pair(name, made=TODAY, days=100)[1].decode()


def body_of(pem: str) -> str:
    """A piece of a key that no other text holds."""
    return pem[100:140]


def parsed(page: str) -> Any:  # lxml's types know nothing of forms
    return lxml.html.fromstring(page)


class Browser:
    """Fetches a page, fills in its form and sends what a browser would send."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.blank: dict[str, Any] = {}  # the empty row of each inline on the page opened last

    def open(self, url: str) -> dict[str, Any]:
        response = self.client.get(url)
        assert response.status_code == 200, response
        (form,) = (form for form in parsed(response.content.decode()).forms if form.get("id", "").endswith("_form"))
        values: dict[str, Any] = {}
        for name, value in form.form_values():
            values.setdefault(name, []).append(value)
        self.blank = {name: value for name, value in values.items() if "__prefix__" in name}
        return {name: value for name, value in values.items() if "__prefix__" not in name}

    def add_row(self, values: dict[str, Any], inline: str, **fields: object) -> None:
        """What the page's script does for "Add another": the empty row of an inline, then what a person enters."""
        index = int(values[f"{inline}-TOTAL_FORMS"][0])
        values[f"{inline}-TOTAL_FORMS"] = [str(index + 1)]
        start = f"{inline}-__prefix__-"
        blank = {name.removeprefix(start): value for name, value in self.blank.items() if name.startswith(start)}
        values.update({f"{inline}-{index}-{name}": value for name, value in (blank | fields).items()})

    def send(self, url: str, values: dict[str, Any]) -> str:
        response = self.client.post(url, {"_continue": "1", **values}, follow=True)
        assert response.status_code == 200, response
        return str(response.content.decode())


def errors(page: str) -> str:
    """All error texts of a page."""
    found = parsed(page)
    parts = [*found.find_class("errorlist"), *found.find_class("errornote")]
    return " ".join(part.text_content().strip() for part in parts)


def told(page: str) -> str:
    """All messages of a page."""
    return " ".join(part.text_content() for part in parsed(page).find_class("messagelist"))


@pytest.fixture
def browser(client: Client, db: None) -> Browser:
    client.force_login(User.objects.create_superuser("clerk"))
    return Browser(client)


@cache
def _empty_page(key_of_plant: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """What stands in the page of a new partner, and in the empty row of each inline; drawing it is what takes time."""
    client = Client()
    client.force_login(User.objects.get(username="clerk"))
    drawn = Browser(client)
    return drawn.open(ADD), drawn.blank


@pytest.fixture
def form(browser: Browser, plant: OwnIdentity) -> dict[str, Any]:
    """The empty page of a new partner, with its names filled in."""
    values, browser.blank = _empty_page(plant.pk)
    return values | {"code": "ACME", "name": "ACME Castings"}


def test_a_partner_with_all_its_terms_is_added_on_one_page(browser, form, plant):
    form["state"] = "testing"
    form["supplier_numbers-0-number"] = "0000100020"
    browser.add_row(form, "agreements", document="purchase_order", direction="outbound", channel="as2", format="x12")
    browser.add_row(form, "x12", their_id="ACMEEDI", relaxed=["no_agreement"])
    browser.add_row(form, "as2", their_name="ACME-AS2", url="https://as2.acme.example/in")
    browser.add_row(form, "certificates", certificate_pem=certificate())

    page = browser.send(ADD, form)

    assert errors(page) == ""
    found = directory.by_as2_pair("PLANT-AS2", "ACME-AS2")
    assert found is not None
    assert (found.code, found.state, found.supplier_numbers) == ("ACME", PartnerState.TESTING, ("0000100020",))
    assert found.agreements[0].channel is Channel.AS2
    assert found.x12.relaxed == {"no_agreement"}
    assert found.as2 is not None
    assert found.as2.their_encryption[0].certificate_pem == certificate().encode()
    assert "We have no key in use to sign" in told(page)  # the checklist of a partner that should work


def test_saving_a_partner_unchanged_changes_nothing(browser, acme, plant):
    X12Terms.objects.create(partner=acme, own_identity=plant, their_id="ACMEEDI", relaxed=["no_agreement"])
    As2Link.objects.create(partner=acme, own_identity=plant, their_name="ACME-AS2", url="https://acme.example")
    Certificate.objects.create(partner=acme, certificate_pem=certificate())
    ApiKey.issue(acme, ApiEnvironment.LIVE, label="warehouse")
    before = directory.profile(acme.pk)
    url = f"{LIST}{acme.pk}/change/"

    page = browser.send(url, browser.open(url))

    assert errors(page) == ""
    assert directory.profile(acme.pk) == before


@pytest.mark.same_anywhere
@pytest.mark.parametrize(
    ("inline", "row", "reason"),
    [
        (
            "agreements",
            {"document": "ship_notice", "direction": "inbound", "channel": "as2", "format": "portal_json"},
            "AS2 cannot carry Portal JSON",
        ),
        (
            "agreements",
            {"document": "ship_notice", "direction": "inbound", "channel": "portal_json", "format": "portal_json"},
            "name the map sheet",
        ),
        ("x12", {"their_id": "A"}, "2 to 15 characters"),
        ("x12", {"their_id": "ACME*1", "element": "*"}, "which is a separator"),
        ("x12", {"element": "~", "segment": "~"}, "must differ"),
        ("x12", {"their_qualifier": "Z"}, "exactly two characters"),
        ("as2", {"their_name": "ACMÉ"}, "printable ASCII"),
        ("as2", {"url": "ftp://acme.example"}, "neither http:// nor https://"),
        ("as2", {"url": "https://"}, "names no host"),
        ("as2", {"url": "https://me:pw@acme.example"}, "user name or password"),
        ("as2", {"url": "https://[acme"}, "is not an address"),
        ("as2", {"digest": "sha1"}, "SHA-1 can be broken"),
        ("as2", {"cipher": "des_ede3_cbc"}, "3DES can be broken"),
        ("as2", {"algorithms": "modern", "key_transport": "oaep_sha256"}, "choose an AES-GCM cipher"),
        ("as2", {"algorithms": "modern", "cipher": "aes256_gcm"}, "choose an OAEP one with it"),
        (
            "as2",
            {"algorithms": "modern", "cipher": "aes256_gcm", "key_transport": "oaep_sha1"},
            "choose an OAEP one with it",
        ),
        ("as2", {"algorithms": "legacy", "as2_version": "1.3"}, "knows no legacy algorithms"),
        ("as2", {"compressed_after_signing": "on"}, "tick signed and compressed too"),
        ("as2", {"async_mdn": "on"}, "Enter our AS2 address on the page of Main plant"),
        ("as2", {"mdn_timeout_minutes": "0"}, "greater than or equal to 1"),
        ("as2", {"mdn_timeout_minutes": "10081"}, "less than or equal to 10080"),
        ("as2", {"expired_grace_days": "91"}, "less than or equal to 90"),
        ("as2", {"retry_minutes": "5, ten"}, "'ten' is no pause"),
        ("as2", {"receipt_origins": "https://mdn.acme.example/in"}, "more than scheme, host and port"),
        ("as2", {"proxy_url": "socks5://proxy:1080"}, "neither http:// nor https://"),
        ("as2", {"authorities_pem": "hello"}, "not a certificate we can read"),
        ("as2", {"http_user": "a:b"}, "neither a colon"),
        ("as2", {"http_user": "plant", "url": "http://acme.example"}, "use an https:// address"),
        ("as2", {"http_password": "open sesame"}, "user name that goes with the password"),
        ("as2", {"proxy_user": "plant"}, "There is no proxy to give it to"),
        ("certificates", {"role": "both", "certificate_pem": "hello"}, "not a certificate we can read"),
        (
            "certificates",
            {"role": "both", "active_from_0": "2027-01-01", "active_from_1": "00:00"},
            "paste the certificate",
        ),
        ("api_keys", {"label": "", "env": "test"}, "This field is required"),
    ],
)
def test_a_wrong_entry_is_explained_at_its_place(browser, form, plant, inline, row, reason):
    usual = {
        "x12": {"their_id": "ACMEEDI"},
        "as2": {"their_name": "ACME-AS2"},
    }
    browser.add_row(form, inline, **usual.get(inline, {}) | row)

    page = browser.send(ADD, form)

    assert reason in errors(page)
    assert not TradingPartner.objects.exists()


@pytest.mark.same_anywhere
def test_a_code_in_small_letters_is_explained(browser, form):
    page = browser.send(ADD, form | {"code": "acme"})

    assert "capital letters" in errors(page)


def test_the_same_agreement_twice_on_one_page_is_explained(browser, form):
    for channel in ("rest", "web"):
        browser.add_row(
            form,
            "agreements",
            document="ship_notice",
            direction="inbound",
            channel=channel,
            format="canonical_json",
        )

    page = browser.send(ADD, form)

    assert "duplicate" in errors(page)
    assert not TradingPartner.objects.exists()


def test_a_supplier_number_of_another_partner_is_explained(browser, form, acme):
    acme.supplier_numbers.create(number="0000100020")

    page = browser.send(ADD, form | {"code": "BOLT", "supplier_numbers-0-number": "0000100020"})

    assert "already belongs to a partner" in errors(page)


def test_the_same_certificate_twice_on_one_page_is_explained(browser, form):
    for role in ("sign", "encrypt"):
        browser.add_row(form, "certificates", role=role, certificate_pem=certificate())

    page = browser.send(ADD, form)

    assert "is here twice" in errors(page)
    assert not TradingPartner.objects.exists()


def test_a_certificate_that_is_there_already_is_explained(browser, acme):
    Certificate.objects.create(partner=acme, certificate_pem=certificate())
    url = f"{LIST}{acme.pk}/change/"
    values = browser.open(url)
    browser.add_row(values, "certificates", role="sign", certificate_pem=certificate())

    page = browser.send(url, values)

    assert "already here" in errors(page)


def test_whoever_changes_the_certificate_we_encrypt_for_is_told_at_once(browser, acme, plant):
    As2Link.objects.create(partner=acme, own_identity=plant, their_name="ACME-AS2", url="https://acme.example")
    Certificate.objects.create(partner=acme, certificate_pem=certificate())
    page = f"{LIST}{acme.pk}/change/"

    def add(name: str, **fields: object) -> str:
        values = browser.open(page)
        browser.add_row(values, "certificates", certificate_pem=certificate(name), role="both", **fields)
        return told(browser.send(page, values))

    later = (TODAY + timedelta(days=20)).date().isoformat()
    assert "encrypted for" not in add("in-twenty-days", active_from_0=later, active_from_1="00:00")
    assert "encrypted for CN=at-once" in add("at-once")
    As2Link.objects.update(all_recipients=True)
    assert "encrypted for" not in add("beside-the-others")


def test_a_certificate_file_in_der_is_read(browser, form):
    der = ssl.PEM_cert_to_DER_cert(certificate())
    browser.add_row(form, "certificates", role="both", upload=SimpleUploadedFile("acme.cer", der))

    page = browser.send(ADD, form)

    assert errors(page) == ""
    assert Certificate.objects.get().certificate_pem == certificate()


@pytest.mark.same_anywhere
def test_a_private_key_in_place_of_a_certificate_is_refused_and_not_shown_again(browser, form):
    browser.add_row(form, "certificates", role="both", certificate_pem=private_key())

    page = browser.send(ADD, form)

    assert "holds a private key" in errors(page)
    assert body_of(private_key()) not in page


@pytest.mark.same_anywhere
def test_a_file_that_is_no_certificate_is_explained(browser, form):
    browser.add_row(form, "certificates", role="both", upload=SimpleUploadedFile("acme.cer", b"\x00" * 100_000))

    page = browser.send(ADD, form)

    assert "a certificate has a few thousand" in errors(page)


def test_an_api_key_is_shown_once_and_then_on_no_page(browser, acme):
    url = f"{LIST}{acme.pk}/change/"
    values = browser.open(url)
    browser.add_row(values, "api_keys", label="Warehouse", env="test")

    page = browser.send(url, values)

    secret = next(word for word in told(page).split() if word.startswith("sgw_test_")).rstrip(":")
    caller = directory.by_api_key(secret)
    assert caller is not None
    assert caller.env is ApiEnvironment.TEST
    random_part = secret[len(caller.prefix) :]
    for again in (url, LIST, f"{LIST}{acme.pk}/history/"):
        assert random_part not in browser.client.get(again).content.decode()


LINK = {
    "their_name": "ACME-AS2",
    "url": "https://as2.acme.example/in",
    "http_user": "plant",
    "proxy_url": "http://proxy.plant.example:3128",
    "proxy_user": "plant",
}
PASSWORD = "correct horse battery staple"


@pytest.mark.parametrize("kind", ["http_password", "proxy_password"])
def test_a_password_is_taken_replaced_and_forgotten_and_never_shown_or_logged(browser, form, plant, kind, caplog):
    caplog.set_level(logging.DEBUG)
    browser.add_row(form, "as2", **LINK, **{kind: PASSWORD})
    pages = [browser.send(ADD, form)]
    partner = TradingPartner.objects.get()
    url = f"{LIST}{partner.pk}/change/"

    def password() -> str:
        found = directory.profile(partner.pk).as2
        assert found is not None
        proxy = unquote(urlsplit(found.http.proxy_url).password or "")
        return found.http.password if kind == "http_password" else proxy

    assert password() == PASSWORD
    pages.append(browser.send(url, browser.open(url)))
    assert password() == PASSWORD  # saved unchanged
    pages.append(browser.send(url, browser.open(url) | {f"as2-0-{kind}": " a space first"}))
    assert password() == " a space first"
    pages.append(browser.send(url, browser.open(url) | {f"as2-0-forget_{kind}": "on"}))
    assert password() == ""
    pages += [browser.client.get(f"{LIST}{partner.pk}/history/").content.decode()]
    said = [*pages, caplog.text]
    assert not [text for text in said if PASSWORD in text or "a space first" in text]
    assert [errors(page) for page in pages if errors(page)] == []


@pytest.mark.same_anywhere
def test_a_password_beside_a_wrong_entry_is_not_shown_again(browser, form, plant):
    browser.add_row(form, "as2", **LINK | {"url": "nowhere"}, http_password=PASSWORD)

    page = browser.send(ADD, form)

    assert "neither http://" in errors(page)
    assert PASSWORD not in page


def test_a_wrong_wrapping_key_stores_no_password(browser, form, plant, settings):
    KeystoreCanary.prove()
    browser.add_row(form, "as2", **LINK, http_password=PASSWORD)
    settings.KEYSTORE_SECRET = "another secret of sufficient length, but wrong"

    page = browser.send(ADD, form)

    assert "no configured key has that id" in errors(page)
    assert not TradingPartner.objects.exists()


@pytest.mark.same_anywhere
def test_a_private_key_among_the_authorities_is_refused_and_not_shown_again(browser, form, plant):
    browser.add_row(form, "as2", **LINK, authorities_pem=private_key())

    page = browser.send(ADD, form)

    assert "holds a private key" in errors(page)
    assert body_of(private_key()) not in page


@pytest.mark.same_anywhere
def test_a_beginner_sees_five_entries_of_a_link_and_the_rest_is_folded(browser, acme, plant):
    As2Link.objects.create(partner=acme, own_identity=plant, their_name="ACME-AS2")

    page = parsed(browser.client.get(f"{LIST}{acme.pk}/change/").content.decode())

    (row,) = (element for element in page.iter("div") if element.get("id") == "as2-0")
    entries = [e for e in row.xpath(".//input[not(@type='hidden')]|.//select|.//textarea") if e.get("name")]
    open_ones = [e.get("name").removeprefix("as2-0-") for e in entries if not e.xpath("ancestor::details")]
    assert [name for name in open_ones if name != "DELETE"] == [
        "own_identity",
        "their_name",
        "url",
        "signed",
        "encrypted",
    ]
    assert [heading.text_content().strip() for heading in row.iter("summary")] == [
        "Protection",
        "Receipts",
        "Retries and limits",
        "Network",
    ]


@pytest.mark.same_anywhere
def test_a_group_with_a_mistake_in_it_is_open(browser, form, plant):
    browser.add_row(form, "as2", their_name="ACME-AS2", retry_minutes="soon")

    page = parsed(browser.send(ADD, form))

    (wrong,) = (field for field in page.iter("input") if field.get("name") == "as2-0-retry_minutes")
    assert not wrong.xpath("ancestor::details[not(@open)]")


def test_a_certificate_cannot_be_deleted_only_ended(browser, acme, plant):
    Certificate.objects.create(partner=acme, certificate_pem=certificate())
    url = f"{LIST}{acme.pk}/change/"
    values = browser.open(url)
    assert "certificates-0-DELETE" not in values

    day, time = timezone.localtime().strftime("%Y-%m-%d %H:%M:%S").split()
    page = browser.send(
        url,
        values
        | {
            "certificates-0-DELETE": "on",
            "certificates-0-active_until_0": day,
            "certificates-0-active_until_1": time,
        },
    )

    assert errors(page) == ""
    assert "refused" in page
    assert "never deleted, because it proves old messages" in page
    assert Certificate.objects.count() == 1
    assert not Certificate.objects.accepted(timezone.now()).exists()


def test_an_identity_with_certificates_cannot_be_deleted(browser, plant):
    delete = f"{OURS}{plant.pk}/delete/"
    assert browser.client.get(delete).status_code == 200
    Certificate.objects.create(own_identity=plant, certificate_pem=certificate())

    browser.client.post(OURS, {"action": "delete_selected", "_selected_action": [plant.pk], "post": "yes"})

    assert browser.client.post(delete, {"post": "yes"}).status_code == 403
    assert OwnIdentity.objects.filter(pk=plant.pk).exists()


def test_no_page_holds_a_key_or_a_password(browser, acme, plant):
    link = As2Link.objects.create(partner=acme, own_identity=plant, **LINK, present_client_certificate=True)
    link.keep_password(HttpPassword, PASSWORD)
    link.keep_password(ProxyPassword, PASSWORD)
    for name, role in (("ours", "both"), ("ours-tls", "tls")):
        own = Certificate.objects.create(own_identity=plant, certificate_pem=certificate(name), role=role)
        own.keep_private_key(certificates.read_private_key(private_key(name).encode()))
    rows = {"tradingpartner": acme.pk, "ownidentity": plant.pk}
    urls = [
        f"/admin/partners/{model}/{page}"
        for model, pk in rows.items()
        for page in ("", "add/", f"{pk}/change/", f"{pk}/history/", f"{pk}/delete/")
    ]
    for url in (f"/admin/partners/{model}/{pk}/change/" for model, pk in rows.items()):
        assert errors(browser.send(url, browser.open(url))) == ""

    pages = "".join(browser.client.get(url).content.decode() for url in [*urls, "/admin/"])

    secrets = [PASSWORD, "PRIVATE KEY", body_of(private_key("ours")), body_of(private_key("ours-tls"))]
    assert [secret for secret in secrets if secret in pages] == []
    assert body_of(certificate("ours")) in pages  # the pages do show the certificates


def test_a_revoked_api_key_is_refused_and_stays_on_the_page(browser, acme):
    key, secret = ApiKey.issue(acme, ApiEnvironment.LIVE, label="Warehouse")
    url = f"{LIST}{acme.pk}/change/"

    page = browser.send(url, browser.open(url) | {"api_keys-0-revoke": "on"})

    assert directory.by_api_key(secret) is None
    assert key.prefix in page


def test_our_certificate_comes_with_its_key_and_the_key_is_never_shown(browser, plant):
    url = f"{OURS}{plant.pk}/change/"
    values = browser.open(url)
    browser.add_row(
        values, "certificates", role="both", certificate_pem=certificate(), private_key=private_key(), key_password=""
    )

    page = browser.send(url, values)

    assert errors(page) == ""
    key = Certificate.objects.get().sealed_key
    assert key is not None
    assert key.reveal() == private_key().encode()
    for again in (url, OURS, f"{OURS}{plant.pk}/history/"):
        assert "PRIVATE KEY" not in browser.client.get(again).content.decode()


@pytest.mark.same_anywhere
@pytest.mark.parametrize(
    ("key", "password", "reason"),
    [
        (lambda: "", "", "no use without its private key"),
        (lambda: "no key at all " * 20, "", "not a private key we can read"),
        (lambda: private_key("other"), "", "does not belong to this certificate"),
        (private_key, "needless", "leave the password empty"),
    ],
)
def test_a_wrong_private_key_is_explained_and_not_shown_again(browser, plant, key, password, reason):
    url = f"{OURS}{plant.pk}/change/"
    values = browser.open(url)
    browser.add_row(
        values, "certificates", role="both", certificate_pem=certificate(), private_key=key(), key_password=password
    )

    page = browser.send(url, values)

    assert reason in errors(page)
    assert not key() or body_of(key()) not in page
    assert "needless" not in page
    assert not Certificate.objects.exists()


def test_a_wrong_wrapping_key_stores_no_private_key(browser, plant, settings):
    Certificate.objects.create(own_identity=plant, certificate_pem=certificate("other")).keep_private_key(
        certificates.read_private_key(private_key("other").encode())
    )
    url = f"{OURS}{plant.pk}/change/"
    values = browser.open(url)
    browser.add_row(values, "certificates", role="both", certificate_pem=certificate(), private_key=private_key())
    settings.KEYSTORE_SECRET = "another secret of sufficient length, but wrong"

    page = browser.send(url, values)

    assert "no configured key has that id" in errors(page)
    assert Certificate.objects.count() == 1


def test_a_key_and_certificate_are_made_from_the_list(browser, plant):
    answer = browser.client.post(
        OURS, {"action": "make_certificate", "_selected_action": [plant.pk]}, follow=True
    ).content.decode()

    made = Certificate.objects.get()
    assert "signs from now on" in told(answer)
    assert made.sealed_key is not None
    assert made.algorithm == "RSA 3072"


def test_a_second_certificate_of_ours_signs_only_after_partners_had_notice(browser, plant):
    Certificate.objects.create(own_identity=plant, certificate_pem=certificate()).keep_private_key(
        certificates.read_private_key(private_key().encode())
    )

    browser.client.post(OURS, {"action": "make_certificate", "_selected_action": [plant.pk]})

    successor = Certificate.objects.latest("pk")
    assert successor.active_from is not None
    assert timedelta(days=29) < successor.active_from - timezone.now() <= timedelta(days=30)


def test_the_list_shows_channels_and_how_long_certificates_last(browser, acme):
    acme.agreements.create(document="ship_notice", direction="inbound", channel="rest", format="canonical_json")
    Certificate.objects.create(partner=acme, certificate_pem=certificate())

    page = browser.client.get(LIST).content.decode()

    assert "REST API" in page
    assert "99 days left" in page


@pytest.mark.parametrize("words", ["acme", "castings", "0000100020", "ACMEEDI", "acme-as2"])
def test_a_partner_is_found_by_any_of_its_names(browser, acme, plant, words):
    acme.supplier_numbers.create(number="0000100020")
    X12Terms.objects.create(partner=acme, own_identity=plant, their_id="ACMEEDI")
    As2Link.objects.create(partner=acme, own_identity=plant, their_name="ACME-AS2")
    TradingPartner.objects.create(code="BOLT", name="Bolt Company")

    page = browser.client.get(LIST, {"q": words}).content.decode()

    assert ">ACME<" in page
    assert ">BOLT<" not in page


@pytest.mark.parametrize("query", [{"state__exact": "live"}, {"agreements__channel__exact": "rest"}])
def test_the_list_is_filtered(browser, acme, query):
    acme.agreements.create(document="ship_notice", direction="inbound", channel="rest", format="canonical_json")
    TradingPartner.objects.create(code="BOLT", name="Bolt Company")

    page = browser.client.get(LIST, query).content.decode()

    assert ">ACME<" in page
    assert ">BOLT<" not in page


def test_the_list_takes_as_many_queries_for_thirty_partners_as_for_one(
    browser, django_assert_max_num_queries: DjangoAssertNumQueries
):
    for number in range(30):
        partner = TradingPartner.objects.create(code=f"P{number}", name="Partner")
        partner.agreements.create(document="ship_notice", direction="inbound", channel="rest", format="canonical_json")

    with django_assert_max_num_queries(8):
        browser.client.get(LIST)
