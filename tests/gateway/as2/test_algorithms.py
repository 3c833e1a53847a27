"""What a link may use, inbound and outbound: modern, secure, legacy; and every choice it allows arrives."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from asn1crypto import cms
from django.core.exceptions import ValidationError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.transports.as2 import Rejected, UnusableTerms, Verdict, build_mdn, build_message, der, read_mdn, receive
from gateway.transports.as2.algorithms import MICALG, policy_of
from partners.models import As2Link
from partners.models import choices as offers
from partners.profiles import Algorithms, As2Terms, CertificateRef
from tests.gateway.as2.conftest import EDI, Link
from tests.gateway.as2.handmade import ENVELOPED, headers

WEAK = "processed/error: insufficient-message-security"
CBC = ("aes128_cbc", "aes192_cbc", "aes256_cbc")
GCM = ("aes128_gcm", "aes192_gcm", "aes256_gcm")
TRIPLE_DES = "des_ede3_cbc"
OAEP = ("oaep_sha256", "oaep_sha384", "oaep_sha512")
SHA2 = ("sha256", "sha384", "sha512")

#: By link: what may protect a message, and what may not although a weaker link, or nobody, allows it.
ALLOWED: list[tuple[Algorithms, str, tuple[str, ...]]] = [
    (Algorithms.MODERN, "cipher", GCM),
    (Algorithms.MODERN, "key_transport", OAEP),
    (Algorithms.MODERN, "digest", SHA2),
    (Algorithms.MODERN, "signature_scheme", ("pkcs1v15", "pss")),
    (Algorithms.SECURE, "cipher", (*CBC, *GCM)),
    (Algorithms.SECURE, "key_transport", ("pkcs1v15", "oaep_sha1", *OAEP)),
    (Algorithms.SECURE, "digest", SHA2),
    (Algorithms.SECURE, "signature_scheme", ("pkcs1v15", "pss")),
    (Algorithms.LEGACY, "cipher", (*CBC, *GCM, TRIPLE_DES)),
    (Algorithms.LEGACY, "key_transport", ("pkcs1v15", "oaep_sha1", *OAEP)),
    (Algorithms.LEGACY, "digest", (*SHA2, "sha1")),
    (Algorithms.LEGACY, "signature_scheme", ("pkcs1v15", "pss")),
]
FORBIDDEN: list[tuple[Algorithms, str, tuple[str, ...]]] = [
    (Algorithms.MODERN, "cipher", (*CBC, TRIPLE_DES)),
    (Algorithms.MODERN, "key_transport", ("pkcs1v15", "oaep_sha1")),
    (Algorithms.MODERN, "digest", ("sha1",)),
    (Algorithms.SECURE, "cipher", (TRIPLE_DES,)),
    (Algorithms.SECURE, "digest", ("sha1",)),
]
UNKNOWN = [("cipher", "rc2"), ("cipher", "des_cbc"), ("digest", "md5"), ("digest", "sha224"), ("digest", "")]
UNKNOWN += [("key_transport", "oaep_md5"), ("key_transport", ""), ("signature_scheme", "raw")]


def rows(table: list[tuple[Algorithms, str, tuple[str, ...]]]) -> list[tuple[Algorithms, str, str]]:
    return [(algorithms, term, choice) for algorithms, term, choices in table for choice in choices]


#: What every link allows, so that a test speaks of the one choice it makes.
BEST = {"cipher": "aes256_gcm", "key_transport": "oaep_sha256"}


def built(terms: As2Terms) -> tuple[dict[str, str], bytes]:
    message = build_message(EDI, terms=terms, message_id="a@boltco", file_name=None)
    return message.headers, message.body


# ---------------------------------------------------------------------------------------------------------- policies
@pytest.mark.parametrize(("algorithms", "term", "choice"), rows(ALLOWED))
def test_what_a_link_allows_is_sent_and_read(link: Link, algorithms, term, choice):
    agreed = link.agreeing(**(BEST | {term: choice}), algorithms=algorithms)
    assert receive(*built(agreed.supplier), agreed.buyer).payload == EDI


@pytest.mark.parametrize(("algorithms", "term", "choice"), rows(FORBIDDEN))
def test_what_a_link_forbids_is_not_sent(link: Link, algorithms, term, choice):
    with pytest.raises(UnusableTerms, match=f"{choice!r} is none of "):
        built(link.agreeing(**(BEST | {term: choice}), algorithms=algorithms).supplier)


@pytest.mark.parametrize(("term", "choice"), UNKNOWN)
@pytest.mark.parametrize("algorithms", Algorithms)
def test_what_we_do_not_know_is_not_sent(link: Link, algorithms, term, choice):
    with pytest.raises(UnusableTerms, match=f"{choice!r} is none of "):
        built(link.agreeing(**(BEST | {term: choice}), algorithms=algorithms).supplier)


@pytest.mark.parametrize(("algorithms", "term", "choice"), rows(FORBIDDEN))
def test_what_a_link_forbids_is_not_read(link: Link, algorithms, term, choice):
    legacy = link.agreeing(algorithms=Algorithms.LEGACY, signed_mdn=False, encrypted=term != "digest")
    weaker = legacy.agreeing(**(BEST | {term: choice}))
    request, body = built(weaker.supplier)
    assert receive(request, body, weaker.buyer).payload == EDI
    with pytest.raises(Rejected) as caught:
        receive(request, body, weaker.agreeing(algorithms=algorithms).buyer)
    assert caught.value.disposition == WEAK


@pytest.mark.parametrize("choice", [{"cipher": "aes256_cbc"}, {"cipher": TRIPLE_DES}, {"key_transport": "pkcs1v15"}])
def test_the_decision_needs_no_key(link: Link, choice):
    """A certificate whose key cannot even decrypt is enough to be told apart from a stranger's."""
    weaker = link.agreeing(**(BEST | choice), algorithms=Algorithms.LEGACY)
    request, body = built(weaker.supplier)
    without_keys = tuple(
        CertificateRef(fingerprint=ref.fingerprint, certificate_pem=ref.certificate_pem)
        for ref in link.buyer.our_decryption
    )
    with pytest.raises(Rejected) as caught:
        receive(request, body, link.agreeing(algorithms=Algorithms.MODERN, our_decryption=without_keys).buyer)
    assert caught.value.disposition == WEAK


def test_a_forbidden_digest_inside_encryption_looks_like_every_other_failure_inside(link: Link):
    weaker = link.agreeing(algorithms=Algorithms.LEGACY, digest="sha1", signed_mdn=False)
    with pytest.raises(Rejected, match="signed with the digest sha1") as caught:
        receive(*built(weaker.supplier), link.buyer)
    assert caught.value.disposition == "processed/error: authentication-failed"


@pytest.mark.parametrize(
    ("dotted", "name"),
    [
        ("1.3.14.3.2.7", "des"),
        ("1.2.840.113549.3.2", "rc2"),
        ("1.2.840.113549.3.4", "rc4"),
        ("1.2.840.113549.1.9.16.3.18", "1.2.840.113549.1.9.16.3.18"),
    ],
)
@pytest.mark.parametrize("algorithms", Algorithms)
def test_no_link_reads_what_is_broken_or_unknown(link: Link, dotted, name, algorithms):
    agreed = link.agreeing(**BEST, algorithms=algorithms)
    request, body = built(agreed.supplier)
    info = cms.ContentInfo.load(body)
    info["content"]["auth_encrypted_content_info"]["content_encryption_algorithm"] = {"algorithm": dotted}
    with pytest.raises(Rejected, match=f"encrypted with {name}$") as caught:
        receive(request, info.dump(force=True), agreed.buyer)
    assert caught.value.disposition == WEAK


@pytest.mark.parametrize("algorithms", Algorithms)
def test_a_key_transport_nobody_knows_is_refused_by_its_name(link: Link, algorithms):
    agreed = link.agreeing(**BEST, algorithms=algorithms, signed=False)
    _request, body = built(agreed.supplier)
    info = cms.ContentInfo.load(body)
    info["content"]["recipient_infos"][0].chosen["key_encryption_algorithm"] = {"algorithm": "1.2.3.4"}
    with pytest.raises(Rejected, match=r"the content key is encrypted by 1\.2\.3\.4") as caught:
        receive(headers(ENVELOPED), info.dump(force=True), agreed.buyer)
    assert caught.value.disposition == WEAK


def test_oaep_without_any_parameters_means_its_defaults(link: Link):
    agreed = link.agreeing(key_transport="oaep_sha1", signed=False)
    request, body = built(agreed.supplier)
    version, recipients, *rest = der.node(body).members()[1].members(der.CONTEXT_0_CONSTRUCTED)[0].members()
    number, recipient, method, wrapped = recipients.members(der.SET)[0].members()
    bare = der.joined(der.SEQUENCE, der.algorithm(method)[0])
    info = der.joined(der.SEQUENCE, number.whole, recipient.whole, bare, wrapped.whole)
    data = der.joined(der.SEQUENCE, version.whole, der.joined(der.SET, info), *(node.whole for node in rest))
    rewritten = der.joined(der.SEQUENCE, der.OID_ENVELOPED, der.joined(der.CONTEXT_0_CONSTRUCTED, data))
    assert receive(request, rewritten, agreed.buyer).payload == EDI


# ---------------------------------------------------------------------------------------------------------- receipts
def asked(*micalgs: str) -> dict[str, str]:
    options = f"signed-receipt-protocol=required, pkcs7-signature; signed-receipt-micalg=required, {', '.join(micalgs)}"
    return headers("application/edi-x12", disposition_notification_options=options)


@pytest.mark.parametrize(
    ("algorithms", "micalgs", "used", "spelled"),
    [
        (Algorithms.LEGACY, ("sha1", "sha256"), "sha1", "sha1"),
        (Algorithms.LEGACY, ("SHA-1",), "sha1", "SHA-1"),
        (Algorithms.LEGACY, ("md5", "sha1"), "sha1", "sha1"),
        (Algorithms.LEGACY, ("sha-256", "sha1"), "sha256", "sha-256"),
        (Algorithms.SECURE, ("sha1", "sha256"), "sha256", "sha256"),
        (Algorithms.SECURE, ("md5", "sha1", "sha2-512"), "sha512", "sha2-512"),
        (Algorithms.MODERN, ("sha1", "sha384"), "sha384", "sha384"),
    ],
)
def test_the_receipt_uses_the_first_digest_asked_for_that_the_link_allows(link, algorithms, micalgs, used, spelled):
    agreed = link.agreeing(signed=False, encrypted=False, algorithms=algorithms)
    request = asked(*micalgs)
    got = receive(request, EDI, agreed.buyer)
    assert got.mic_algorithm == used
    mdn = build_mdn(request, terms=agreed.buyer, mic=(got.mic, got.mic_algorithm), text="stored")
    assert f"micalg={spelled};" in mdn.headers["Content-Type"]
    digests = {used: got.mic}
    receipt = read_mdn(mdn.headers, mdn.body, message_id="handmade@boltco", digests=digests, terms=agreed.supplier)
    assert (receipt.verdict, receipt.mic_algorithm) == (Verdict.DELIVERED, used)


@pytest.mark.parametrize("algorithms", Algorithms)
def test_no_link_signs_a_receipt_in_md5(link: Link, algorithms):
    agreed = link.agreeing(signed=False, encrypted=False, algorithms=algorithms)
    with pytest.raises(Rejected) as caught:
        receive(asked("md5"), EDI, agreed.buyer)
    mdn = build_mdn(asked("md5"), terms=agreed.buyer, disposition=caught.value.disposition, mic=None, text="no")
    assert mdn.headers["Content-Type"].startswith("multipart/report;")


def test_a_receipt_signed_with_a_forbidden_digest_proves_nothing(link: Link):
    legacy = link.agreeing(signed=False, encrypted=False, algorithms=Algorithms.LEGACY)
    mdn = build_mdn(asked("sha1"), terms=legacy.buyer, mic=(b"", "sha1"), text="stored")
    receipt = read_mdn(mdn.headers, mdn.body, message_id="handmade@boltco", digests={}, terms=link.supplier)
    assert (receipt.verdict, receipt.text) == (Verdict.INVALID, "signed with the digest sha1")


def test_a_legacy_link_asks_for_its_receipt_in_the_digest_it_signs_with(link: Link):
    request, _body = built(link.agreeing(algorithms=Algorithms.LEGACY, digest="sha1").supplier)
    assert request["Disposition-Notification-Options"].endswith("signed-receipt-micalg=required, sha1")


# ---------------------------------------------------------------------------------------------------- what staff choose
def values(choices: list[tuple[str, str]]) -> list[str]:
    return [value for value, _label in choices]


def test_what_staff_may_enter_is_what_can_be_sent(link: Link):
    """Every combination the admin offers: it complains of exactly the ones that would fail later."""
    offered = itertools.product(
        Algorithms,
        values(offers.digests()),
        values(offers.ciphers()),
        values(offers.signature_schemes()),
        values(offers.key_transports()),
    )
    for combination in offered:
        chosen: dict[str, Any] = dict(
            zip(("algorithms", "digest", "cipher", "signature_scheme", "key_transport"), combination, strict=True)
        )
        complaint: Exception | None = None
        failure: Exception | None = None
        try:
            As2Link(own_identity=None, their_name="boltco", **chosen).clean()
        except ValidationError as error:
            complaint = error
        try:
            policy_of(combination[0]).demand(replace(link.buyer, **chosen))
        except UnusableTerms as error:
            failure = error
        assert (complaint is None) == (failure is None), (chosen, complaint, failure)


# ----------------------------------------------------------------------------------------------------- all together
def choices(algorithms: Algorithms) -> st.SearchStrategy[dict[str, Any]]:
    policy = policy_of(algorithms)
    return st.fixed_dictionaries(
        {
            "algorithms": st.just(algorithms),
            "cipher": st.sampled_from(policy.ciphers),
            "key_transport": st.sampled_from(policy.key_transports),
            "digest": st.sampled_from(policy.digests),
            "signature_scheme": st.sampled_from(("pkcs1v15", "pss")),
            "compressed": st.booleans(),
            "all_recipients": st.booleans(),
        }
    )


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(payload=st.binary(max_size=600), chosen=st.sampled_from(list(Algorithms)).flatmap(choices))
def test_any_payload_arrives_by_any_choice_of_any_link(link: Link, buyer_key, payload, chosen):
    agreed = link.agreeing(**chosen)
    sent = build_message(payload, terms=agreed.supplier, message_id="h@boltco", file_name=None)
    got = receive(sent.headers, sent.body, agreed.buyer)
    assert (got.payload, got.decrypted_with) == (payload, buyer_key.fingerprint)
    assert (got.mic, got.mic_algorithm) == (sent.digests[chosen["digest"]], chosen["digest"])
    mdn = build_mdn(sent.headers, terms=agreed.buyer, mic=(got.mic, got.mic_algorithm), text="stored")
    receipt = read_mdn(mdn.headers, mdn.body, message_id="h@boltco", digests=sent.digests, terms=agreed.supplier)
    assert (receipt.verdict, receipt.mic_algorithm) == (Verdict.DELIVERED, chosen["digest"])


def test_every_digest_of_a_policy_has_a_name_in_mime():
    assert {digest for algorithms in Algorithms for digest in policy_of(algorithms).digests} == set(MICALG)
