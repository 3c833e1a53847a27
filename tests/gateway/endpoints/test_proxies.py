"""What a proxy in front says of the caller, by real requests: believed from those we trust, unheard of from others."""

from __future__ import annotations

import base64
import http.client
import ipaddress
import json
import logging
from typing import Any
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import RequestFactory
from django.urls import path

from gateway.endpoints import proxies
from gateway.endpoints.client_certificate import presented
from partners.profiles import CertificateRef

pytestmark = pytest.mark.django_db(transaction=True)


def who(request: HttpRequest) -> HttpResponse:
    return JsonResponse(
        {
            "address": proxies.client_address(request),
            "certificate": presented(request),
            "secure": request.is_secure(),
            "headers": sorted(name for name in request.headers if name not in {"Host", "Accept-Encoding"}),
        }
    )


urlpatterns = [path("who", who)]


@pytest.fixture(autouse=True)
def _a_view_that_says_who_calls(settings: Any) -> None:
    settings.ROOT_URLCONF = __name__
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")


@pytest.fixture
def trusted(settings: Any) -> None:
    settings.TRUSTED_PROXIES = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("10.1.0.0/16"))


def asked(address: tuple[str, int], **headers: str) -> Any:
    connection = http.client.HTTPConnection(*address, timeout=20)
    try:
        connection.request("GET", "/who", headers={name.replace("_", "-"): value for name, value in headers.items()})
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def der(ref: CertificateRef) -> bytes:
    return x509.load_pem_x509_certificate(ref.certificate_pem).public_bytes(serialization.Encoding.DER)


def rfc9440(ref: CertificateRef) -> str:
    return f":{base64.b64encode(der(ref)).decode()}:"


# ------------------------------------------------------------------------------------------------------------ whose word
def test_from_anybody_else_these_headers_do_not_exist(served: tuple[str, int], their_key: CertificateRef) -> None:
    said = asked(
        served,
        Client_Cert=rfc9440(their_key),
        X_Forwarded_For="192.0.2.1",
        X_Forwarded_Proto="https",
        X_Forwarded_Host="elsewhere.example",
        X_Forwarded_Port="1",
        X_Forwarded_By="me",
        Forwarded="for=192.0.2.1",
    )
    assert said == {"address": "127.0.0.1", "certificate": None, "secure": False, "headers": []}


def test_a_trusted_proxy_says_who_calls_how_and_with_which_certificate(
    trusted: None, served: tuple[str, int], their_key: CertificateRef
) -> None:
    said = asked(served, Client_Cert=rfc9440(their_key), X_Forwarded_For="192.0.2.1", X_Forwarded_Proto="https")
    assert (said["address"], said["certificate"], said["secure"]) == ("192.0.2.1", their_key.fingerprint, True)


def test_a_trusted_proxy_that_says_nothing_is_the_caller(trusted: None, served: tuple[str, int]) -> None:
    said = asked(served)
    assert (said["address"], said["certificate"], said["secure"]) == ("127.0.0.1", None, False)


# ----------------------------------------------------------------------------------------------------------- certificates
def test_the_forms_proxies_write_a_certificate_in_are_told_apart(
    trusted: None, served: tuple[str, int], their_key: CertificateRef
) -> None:
    plain = base64.b64encode(der(their_key)).decode()
    for form in (f":{plain}:", plain, quote(plain), quote(their_key.certificate_pem.decode())):
        assert asked(served, Client_Cert=form)["certificate"] == their_key.fingerprint


def test_the_header_may_have_another_name(
    trusted: None, served: tuple[str, int], their_key: CertificateRef, settings: Any
) -> None:
    settings.CLIENT_CERT_META = "HTTP_X_SSL_CERT"
    assert asked(served, X_SSL_Cert=rfc9440(their_key))["certificate"] == their_key.fingerprint
    assert asked(served, Client_Cert=rfc9440(their_key))["certificate"] is None


@pytest.mark.parametrize(
    "form",
    [
        ":",
        "::",
        ":????:",
        ":AAAA:",
        "nonsense",
        "-----BEGIN CERTIFICATE-----",
        "-----BEGIN%20CERTIFICATE-----%0AAAAA%0A-----END%20CERTIFICATE-----%0A",
        "%FF%FE",
        ":" + "A" * 40_000 + ":",
    ],
    ids=lambda form: form[:20],
)
def test_what_is_no_certificate_is_none_and_logged_without_its_words(
    trusted: None, served: tuple[str, int], form: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "gateway.endpoints.client_certificate"):
        assert asked(served, Client_Cert=form)["certificate"] is None
    assert "the proxy's header Client-Cert holds no certificate: " in caplog.text
    assert form[:30] not in caplog.text or len(form) < 5


def test_two_certificates_are_none(
    trusted: None, served: tuple[str, int], their_key: CertificateRef, other_key: CertificateRef
) -> None:
    both = their_key.certificate_pem.decode() + other_key.certificate_pem.decode()
    assert asked(served, Client_Cert=quote(both))["certificate"] is None
    assert asked(served, Client_Cert=f"{rfc9440(their_key)}, {rfc9440(other_key)}")["certificate"] is None
    trailing = base64.b64encode(der(their_key) + b"\0").decode()
    assert asked(served, Client_Cert=f":{trailing}:")["certificate"] is None


# --------------------------------------------------------------------------------------------------------------- addresses
@pytest.mark.parametrize(
    ("forwarded_for", "caller"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("198.51.100.9, 192.0.2.1", "192.0.2.1"),  # the first is whatever the caller wrote
        ("198.51.100.9, 192.0.2.1, 10.1.0.7", "192.0.2.1"),
        ("198.51.100.9, 192.0.2.1, 10.1.0.7, 127.0.0.1", "192.0.2.1"),
        ("10.1.0.9, 10.1.0.7", "10.1.0.9"),
        ("192.0.2.1:5555", "192.0.2.1"),
        ("[2001:db8::7]:443", "2001:db8::7"),
        ("2001:db8::7", "2001:db8::7"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("unknown", "127.0.0.1"),
        ("192.0.2.1, unknown", "127.0.0.1"),
        ("192.0.2.1, _hidden, 10.1.0.7", "10.1.0.7"),
        ("192.0.2.1,", "127.0.0.1"),
        ("a" * 5000, "127.0.0.1"),
    ],
    ids=lambda text: text[:40],
)
def test_the_caller_is_the_last_hop_that_is_none_of_ours(
    trusted: None, served: tuple[str, int], forwarded_for: str, caller: str
) -> None:
    assert asked(served, X_Forwarded_For=forwarded_for)["address"] == caller


@pytest.mark.parametrize("peer", ["10.1.2.3", "::ffff:10.1.2.3"])
def test_an_ipv4_proxy_is_known_in_ipv6_clothes_too(trusted: None, peer: str) -> None:
    request = RequestFactory().get("/who", REMOTE_ADDR=peer, headers={"X-Forwarded-For": "192.0.2.1"})
    proxies.TrustedProxies(who)(request)
    assert proxies.client_address(request) == "192.0.2.1"


def test_a_caller_without_an_address_is_nobody_we_trust(trusted: None) -> None:
    request = RequestFactory().get("/who", REMOTE_ADDR="", headers={"X-Forwarded-For": "192.0.2.1"})
    proxies.TrustedProxies(who)(request)
    assert proxies.client_address(request) == ""
    assert not proxies.vouches(request)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::5", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_who_can_move_within_an_ipv6_network_is_one_caller(address, network):
    assert proxies.client_network(RequestFactory().get("/", REMOTE_ADDR=address)) == network
