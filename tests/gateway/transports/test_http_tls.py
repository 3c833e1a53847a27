"""A POST over TLS trusts whom its terms say, shows what they say, and says what is wrong."""

from __future__ import annotations

import hashlib
import ssl
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.transports import tls
from gateway.transports.errors import InDoubt, Unreachable
from gateway.transports.http import post
from partners.profiles import CertificateRef, HttpTerms
from tests.gateway.transports.conftest import Authority, Serve, requested, self_signed

Secured = Callable[..., str]
Seen = list[tuple[bytes, str | None, bytes | None]]
BODY = b"hello"


def test_an_authority_of_the_link_is_trusted_and_tls_1_3_is_spoken(secured: Secured, authority: Authority) -> None:
    seen: Seen = []
    url = secured(authority.issue("127.0.0.1"), seen=seen)
    assert post(url, {}, BODY, HttpTerms(authorities_pem=authority.pem)).body == b"hi"
    assert [version for _, version, _ in seen] == ["TLSv1.3"]


def test_tls_1_2_is_spoken_where_there_is_no_newer_and_nothing_older(secured: Secured, authority: Authority) -> None:
    terms = HttpTerms(authorities_pem=authority.pem)
    seen: Seen = []
    post(secured(authority.issue("127.0.0.1"), version=ssl.TLSVersion.TLSv1_2, seen=seen), {}, BODY, terms)
    assert [version for _, version, _ in seen] == ["TLSv1.2"]
    for each in (terms, HttpTerms(), HttpTerms(verify_tls=False)):
        assert tls.context(each).minimum_version is ssl.TLSVersion.TLSv1_2


def test_the_links_authorities_stand_instead_of_the_systems(authority: Authority) -> None:
    assert len(tls.context(HttpTerms(authorities_pem=authority.pem)).get_ca_certs()) == 1


def test_words_around_the_authorities_do_no_harm(secured: Secured, authority: Authority) -> None:
    pem = "Wurzelzertifikat für Tests\n".encode() + authority.pem
    assert post(secured(authority.issue("127.0.0.1")), {}, BODY, HttpTerms(authorities_pem=pem)).status == 200


def test_a_self_signed_certificate_is_trusted_when_it_is_an_authority_of_the_link(secured: Secured) -> None:
    own = self_signed("127.0.0.1")
    url = secured(own)
    assert post(url, {}, BODY, HttpTerms(authorities_pem=own.certificate_pem)).status == 200
    with pytest.raises(Unreachable, match="is for another host"):
        post(url.replace("127.0.0.1", "localhost"), {}, BODY, HttpTerms(authorities_pem=own.certificate_pem))


def test_one_certificate_of_a_chain_is_enough(secured: Secured, authority: Authority) -> None:
    between = Authority("Between", authority)
    own = between.issue("127.0.0.1")
    for trusted in (own.certificate_pem, between.pem, authority.pem):
        assert post(secured(own, chain=between.pem), {}, BODY, HttpTerms(authorities_pem=trusted)).status == 200


def test_anybody_is_trusted_where_the_terms_say_so(secured: Secured, authority: Authority) -> None:
    own = authority.issue("elsewhere.example", valid=False)
    assert post(secured(own), {}, BODY, HttpTerms(verify_tls=False)).body == b"hi"


# ------------------------------------------------------------------------------------------------------ what is wrong
def test_an_unknown_authority_is_said_with_the_names_of_the_certificate(secured: Secured, authority: Authority) -> None:
    seen: Seen = []
    url = secured(authority.issue("127.0.0.1"), seen=seen)
    with pytest.raises(Unreachable) as refused:
        post(url, {"Subject": "secret"}, BODY, HttpTerms())
    text = str(refused.value)
    assert "127.0.0.1 (CN=as2.boltco.example; for 127.0.0.1; issued by CN=Nobody's Authority; until 20" in text
    assert "comes from an authority we do not know: put that authority into the link's own authorities" in text
    assert seen == []  # not even by the look at its certificate


@pytest.mark.parametrize(
    ("hosts", "valid", "said"),
    [
        (("as2.elsewhere.example",), True, "for as2.elsewhere.example; .* is for another host: "),
        ((), True, "for no host; .* is for another host: "),
        (("127.0.0.1",), False, "has expired: its owner must renew it"),
    ],
    ids=["another host", "no host", "expired"],
)
def test_what_is_wrong_with_a_certificate_is_said(
    secured: Secured, authority: Authority, hosts: tuple[str, ...], valid: bool, said: str
) -> None:
    url = secured(authority.issue(*hosts, valid=valid))
    with pytest.raises(Unreachable, match=said):
        post(url, {}, BODY, HttpTerms(authorities_pem=authority.pem))


def test_a_self_signed_certificate_nobody_named_says_where_to_put_it(secured: Secured) -> None:
    with pytest.raises(Unreachable, match="is self-signed: put it into the link's own authorities"):
        post(secured(self_signed("127.0.0.1")), {}, BODY, HttpTerms())


def test_names_a_stranger_wrote_are_cleaned_and_cut(secured: Secured, authority: Authority) -> None:
    hosts = tuple(f"as{number}.elsewhere.example" for number in range(100))
    with pytest.raises(Unreachable) as refused:
        post(secured(authority.issue(*hosts, name="bad\x1b[31m\nname")), {}, BODY, HttpTerms())
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 1000


def test_what_speaks_no_tls_is_said(serve: Serve) -> None:
    def script(connection, _over) -> None:
        connection.recv(100)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with pytest.raises(Unreachable, match=r"127\.0\.0\.1: TLS failed: WRONG_VERSION_NUMBER"):
        post(serve(script).replace("http:", "https:"), {}, BODY, HttpTerms())


def test_a_handshake_that_never_ends_is_unreachable_in_time(serve: Serve) -> None:
    def script(_connection, over) -> None:
        over.wait(20)

    with pytest.raises(Unreachable, match="no TLS in time"):
        post(serve(script).replace("http:", "https:"), {}, BODY, HttpTerms(), timeout_s=0.2)


@pytest.mark.parametrize("pem", [b"nonsense", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_authorities_that_are_none_are_said(pem: bytes) -> None:
    with pytest.raises(Unreachable, match="authorities are not certificates"):
        post("https://127.0.0.1:9/", {}, BODY, HttpTerms(authorities_pem=pem))


# ------------------------------------------------------------------------------------------------ a certificate of ours
@pytest.fixture
def ours(authority: Authority) -> CertificateRef:
    return authority.issue(name="gateway.plant.example")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_our_certificate_is_shown_to_a_server_that_asks(
    secured: Secured, authority: Authority, ours: CertificateRef, version: ssl.TLSVersion
) -> None:
    seen: Seen = []
    url = secured(authority.issue("127.0.0.1"), clients=authority.pem, version=version, seen=seen)
    terms = HttpTerms(authorities_pem=authority.pem, presents_certificate=True, client_certificate=ours)
    assert post(url, {}, BODY, terms).status == 200
    ((_, _, shown),) = seen
    assert shown is not None and hashlib.sha256(shown).hexdigest() == ours.fingerprint


@pytest.mark.parametrize(
    ("version", "told", "said"),
    [
        (ssl.TLSVersion.TLSv1_2, Unreachable, "it wants a TLS client certificate of ours, or has older TLS only"),
        (ssl.TLSVersion.TLSv1_3, InDoubt, "the server refuses our TLS client certificate or wants one"),
    ],
    ids=["1.2 asks before", "1.3 asks after the first bytes"],
)
def test_a_server_that_wants_our_certificate_is_understood(
    secured: Secured, authority: Authority, version: ssl.TLSVersion, told: type[Exception], said: str
) -> None:
    url = secured(authority.issue("127.0.0.1"), clients=authority.pem, version=version)
    with pytest.raises(told, match=said):
        post(url, {}, BODY, HttpTerms(authorities_pem=authority.pem))


def test_a_certificate_of_ours_that_is_missing_is_said_before_anything_is_sent() -> None:
    with pytest.raises(Unreachable, match="asks for a TLS certificate of ours, and none is in use"):
        post("https://127.0.0.1:9/", {}, BODY, HttpTerms(presents_certificate=True))


def test_our_key_is_on_disk_sealed_only_and_only_for_a_moment(
    ours: CertificateRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    loads, written = ssl.SSLContext.load_cert_chain, []

    def load(self: ssl.SSLContext, file: str, password: str) -> None:
        written.append((Path(file).read_bytes(), stat.S_IMODE(Path(file).stat().st_mode)))
        loads(self, file, password=password)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", load)
    tls.context(HttpTerms(client_certificate=ours))
    ((content, mode),) = written
    assert b"BEGIN ENCRYPTED PRIVATE KEY" in content and b"BEGIN PRIVATE KEY" not in content
    assert mode == 0o600
    assert list(tmp_path.iterdir()) == []


def test_a_key_that_is_none_is_said_without_its_bytes(ours: CertificateRef, authority: Authority) -> None:
    other = authority.issue().private_key_pem
    for key in (b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n", other, None):
        broken = CertificateRef(fingerprint=ours.fingerprint, certificate_pem=ours.certificate_pem, private_key_pem=key)
        with pytest.raises(Unreachable, match="client certificate") as refused:
            post("https://127.0.0.1:9/", {}, BODY, HttpTerms(client_certificate=broken))
        assert "c2VjcmV0" not in repr(refused.value)
        assert refused.value.__cause__ is not None and "c2VjcmV0" not in repr(refused.value.__cause__)


# --------------------------------------------------------------------------------------------------- name and password
def test_name_and_password_go_along_at_once(serve: Serve) -> None:
    seen: list[bytes] = []

    def script(connection, _over) -> None:
        seen.append(requested(connection, 5))
        connection.sendall(b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n")

    assert post(serve(script), {}, BODY, HttpTerms(user="plänt", password="s:ü")).status == 401
    assert b"\r\nAuthorization: Basic cGzDpG50OnM6w7w=\r\n" in seen[0]
    assert len(seen) == 1


def test_a_name_with_a_colon_is_refused_and_no_text_has_the_password() -> None:
    for terms in (HttpTerms(user="a:b", password="geheim"), HttpTerms(user="a", password="geheim")):
        with pytest.raises(Unreachable) as refused:
            post("http://127.0.0.1:9/", {}, BODY, terms)
        assert "geheim" not in repr(refused.value) + repr(terms)


def test_credentials_in_an_address_are_refused_unquoted() -> None:
    with pytest.raises(Unreachable, match="fields of their own") as refused:
        post("http://name:geheim@127.0.0.1:9/", {}, BODY, HttpTerms())
    assert "geheim" not in str(refused.value)
