"""A POST through a forward proxy: a tunnel for https, the whole address for http, and whose refusal it was."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.transports.errors import InDoubt, Unreachable
from gateway.transports.http import post
from partners.profiles import HttpTerms
from tests.gateway.transports.conftest import OK, Authority, Script, Serve, Server, requested, says

BODY = b"hello"


class Proxy:
    """A small forward proxy: CONNECT and absolute addresses, each to where it says."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []  #: of what it was asked
        self._server = Server(self._serve)
        self.address = self._server.url.removesuffix("/as2").removeprefix("http://")

    def terms(self, credentials: str = "", **more: object) -> HttpTerms:
        return HttpTerms(proxy_url=f"http://{credentials}{self.address}", timeout_s=5, **more)  # type: ignore[arg-type]  # by name

    def _serve(self, client: socket.socket, _over: threading.Event) -> None:
        said = b""
        while b"\r\n\r\n" not in said:
            if not (piece := client.recv(65536)):
                return
            said += piece
        head, _, rest = said.partition(b"\r\n\r\n")
        self.heads.append(head)
        method, target, _ = head.split(b"\r\n")[0].split(b" ")
        where = target if method == b"CONNECT" else target.removeprefix(b"http://").split(b"/")[0]
        host, _, port = where.rpartition(b":")
        with socket.create_connection((host.decode(), int(port)), timeout=5) as server:
            if method == b"CONNECT":
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                server.sendall(rest)
            else:
                server.sendall(said)
            back = threading.Thread(target=_carry, args=(server, client))
            back.start()
            _carry(client, server)
            back.join()

    def close(self) -> None:
        self._server.close()


def _carry(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)


def answers(answer: bytes) -> Script:
    """A proxy that says only this, whatever it is asked."""

    def script(connection: socket.socket, _over: threading.Event) -> None:
        requested(connection, 0)
        connection.sendall(answer)

    return script


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    running = Proxy()
    yield running
    running.close()


def test_https_goes_through_a_tunnel_that_shows_the_proxy_nothing(
    proxy: Proxy, secured: Callable[..., str], authority: Authority
) -> None:
    seen: list[tuple[bytes, str | None, bytes | None]] = []
    url = secured(authority.issue("127.0.0.1"), seen=seen)
    terms = proxy.terms("us:p%40ss@", authorities_pem=authority.pem, user="gateway", password="geheim")
    assert post(url, {"AS2-To": "BOLTCO"}, BODY, terms).body == b"hi"
    (head,) = proxy.heads
    assert head.startswith(f"CONNECT {url.removeprefix('https://').removesuffix('/as2')} HTTP/1.1\r\n".encode())
    assert b"Proxy-Authorization: Basic dXM6cEBzcw==" in head
    assert b"AS2-To" not in head and b"\r\nAuthorization" not in head
    ((said, _, _),) = seen
    assert said.startswith(b"POST /as2 HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"\r\nAuthorization: Basic" in said and b"Proxy-Authorization" not in said


def test_plain_http_is_asked_of_the_proxy_by_its_whole_address(proxy: Proxy, serve: Serve) -> None:
    url = serve(says(OK))
    assert post(url, {"AS2-To": "BOLTCO"}, BODY, proxy.terms("us:them@")).body == b"hi"
    (head,) = proxy.heads
    assert head.startswith(f"POST {url} HTTP/1.1\r\n".encode())
    assert b"\r\nProxy-Authorization: Basic dXM6dGhlbQ==\r\n" in head
    assert b"\r\nHost: " + url.removeprefix("http://").removesuffix("/as2").encode() + b"\r\n" in head


def test_the_servers_certificate_is_checked_through_the_tunnel(
    proxy: Proxy, secured: Callable[..., str], authority: Authority
) -> None:
    with pytest.raises(Unreachable, match=r"TLS certificate of 127\.0\.0\.1 comes from an authority we do not know"):
        post(secured(authority.issue("127.0.0.1")), {}, BODY, proxy.terms())
    assert len(proxy.heads) == 1


@pytest.mark.parametrize("url", ["http://as2.boltco.example/", "https://as2.boltco.example/"])
def test_a_proxy_that_wants_a_password_is_unreachable(serve: Serve, url: str) -> None:
    answer = b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n"
    terms = HttpTerms(proxy_url=serve(answers(answer)).removesuffix("/as2").replace("//", "//us:geheim@"))
    with pytest.raises(Unreachable, match=r"the proxy .*HTTP 407") as refused:
        post(url, {}, BODY, terms)
    assert "geheim" not in repr(refused.value) + repr(refused.value.__cause__) + repr(terms)


def test_a_tunnel_that_is_refused_is_unreachable_with_the_proxys_status(serve: Serve) -> None:
    proxy_url = serve(answers(b"HTTP/1.1 403 Not on the list\r\nContent-Length: 0\r\n\r\n")).removesuffix("/as2")
    with pytest.raises(Unreachable, match="the proxy refuses: HTTP 403 Not on the list"):
        post("https://as2.boltco.example/", {}, BODY, HttpTerms(proxy_url=proxy_url))


def hangs(_connection: socket.socket, over: threading.Event) -> None:
    over.wait(20)


@pytest.mark.parametrize("script", [answers(b""), answers(b"what?\r\n\r\n"), hangs], ids=["closes", "no HTTP", "hangs"])
def test_a_proxy_that_fails_before_the_tunnel_is_there_has_sent_nothing(serve: Serve, script: Script) -> None:
    terms = HttpTerms(proxy_url=serve(script).removesuffix("/as2"))
    with pytest.raises(Unreachable):
        post("https://as2.boltco.example/", {}, BODY, terms, timeout_s=0.5)


def test_a_proxy_that_fails_with_a_plain_request_in_hand_leaves_us_in_doubt(serve: Serve) -> None:
    terms = HttpTerms(proxy_url=serve(answers(b"")).removesuffix("/as2"))
    with pytest.raises(InDoubt):
        post("http://as2.boltco.example/", {}, BODY, terms)


def test_a_connection_that_ends_within_the_tunnel_leaves_us_in_doubt(
    proxy: Proxy, serve: Serve, tmp_path: Path, authority: Authority
) -> None:
    own = authority.issue("127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    (tmp_path / "server.pem").write_bytes(own.certificate_pem + (own.private_key_pem or b""))
    context.load_cert_chain(tmp_path / "server.pem")

    def script(connection: socket.socket, _over: threading.Event) -> None:
        with context.wrap_socket(connection, server_side=True) as wrapped:
            requested(wrapped, 5)

    with pytest.raises(InDoubt):
        post(serve(script).replace("http:", "https:"), {}, BODY, proxy.terms(authorities_pem=authority.pem))


def test_a_proxy_that_is_not_there_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Unreachable, match=f"127.0.0.1 port {port}: Connection refused"):
        post("https://as2.boltco.example/", {}, BODY, HttpTerms(proxy_url=f"http://127.0.0.1:{port}"))


@pytest.mark.parametrize(
    "proxy_url",
    [
        "us:geheim@127.0.0.1:1",
        "https://us:geheim@127.0.0.1:1",
        "http://us:geheim@",
        "http://us:geheim@h:x",
        "http://ü/",
    ],
)
def test_a_proxys_address_that_is_none_is_said_without_its_password(proxy_url: str) -> None:
    with pytest.raises(Unreachable, match="the address of the proxy is not one") as refused:
        post("https://as2.boltco.example/", {}, BODY, HttpTerms(proxy_url=proxy_url))
    assert "geheim" not in str(refused.value)


def test_an_ipv6_address_is_not_asked_of_a_proxy(proxy: Proxy) -> None:
    with pytest.raises(Unreachable, match="IPv6"):
        post("https://[::1]:9/", {}, BODY, proxy.terms())
    assert proxy.heads == []


def test_proxies_of_the_environment_are_not_used(proxy: Proxy, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://{proxy.address}")
    assert post(serve(says(OK)), {}, BODY, HttpTerms()).body == b"hi"
    assert proxy.heads == []
