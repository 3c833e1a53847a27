"""A partner that must stand behind a TLS client certificate, as the trusted proxy in front tells of it."""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.http import HttpResponse

from gateway.models import Blob, ExceptionCase, Transmission
from partners import onboarding
from partners.models import As2Link, Certificate, TradingPartner
from partners.profiles import CertificateRef
from tests.gateway.endpoints.conftest import Message

Make = Callable[..., Message]
Post = Callable[[Message], HttpResponse]

pytestmark = pytest.mark.django_db

REFUSED = (403, b"A TLS client certificate agreed with us must stand before this message.\n")


@pytest.fixture
def acme(acme: TradingPartner, other_key: CertificateRef, settings: Any) -> TradingPartner:
    """ACME, which calls with a client certificate of its own, behind a proxy of ours."""
    settings.TRUSTED_PROXIES = (ipaddress.ip_network("127.0.0.1"),)
    certificates = [{"certificate": other_key.certificate_pem.decode(), "role": "tls"}]
    onboarding.set_up({"code": "ACME", "name": "ACME Castings", "certificates": certificates})
    As2Link.objects.update(demand_client_certificate=True)
    return acme


def said_by_the_proxy(ref: CertificateRef) -> str:
    der = x509.load_pem_x509_certificate(ref.certificate_pem).public_bytes(Encoding.DER)
    return f":{base64.b64encode(der).decode()}:"


def test_with_the_agreed_certificate_a_message_is_taken(
    acme: TradingPartner, other_key: CertificateRef, message: Make, post_as2: Post
) -> None:
    assert b"processed\r\n" in post_as2(message(Client_Cert=said_by_the_proxy(other_key))).content


def test_without_one_nothing_is_read_and_staff_are_told(acme: TradingPartner, message: Make, post_as2: Post) -> None:
    answer = post_as2(message())
    assert (answer.status_code, answer.content) == REFUSED
    assert (Transmission.objects.count(), Blob.objects.count()) == (0, 0)
    case = ExceptionCase.objects.get()
    assert (case.reason, case.partner) == ("refused_unread", acme)
    assert case.summary == "ACME must call with a client certificate and called without one"


def test_with_another_one_staff_see_which(
    acme: TradingPartner, their_key: CertificateRef, message: Make, post_as2: Post
) -> None:
    """Even the one that signs: a certificate counts for what it was agreed for."""
    answer = post_as2(message(Client_Cert=said_by_the_proxy(their_key)))
    assert (answer.status_code, answer.content) == REFUSED
    assert their_key.fingerprint in ExceptionCase.objects.get().summary


def test_nobody_but_a_trusted_proxy_is_believed(
    acme: TradingPartner, other_key: CertificateRef, message: Make, post_as2: Post, settings: Any
) -> None:
    settings.TRUSTED_PROXIES = ()
    answer = post_as2(message(Client_Cert=said_by_the_proxy(other_key)))
    assert (answer.status_code, answer.content) == REFUSED


def test_when_all_of_them_have_ended_nobody_gets_in(
    acme: TradingPartner, other_key: CertificateRef, message: Make, post_as2: Post
) -> None:
    Certificate.objects.filter(role="tls").delete()
    answer = post_as2(message(Client_Cert=said_by_the_proxy(other_key)))
    assert (answer.status_code, answer.content) == REFUSED


def test_a_stranger_is_told_nothing_of_it(acme: TradingPartner, message: Make, post_as2: Post) -> None:
    answer = post_as2(message(AS2_From="NOBODY"))
    assert (answer.status_code, answer.content) == (403, b"No trading partnership covers this message.\n")


def test_a_partner_without_such_an_agreement_needs_none(acme: TradingPartner, message: Make, post_as2: Post) -> None:
    As2Link.objects.update(demand_client_certificate=False)
    assert b"processed\r\n" in post_as2(message()).content
