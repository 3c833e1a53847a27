"""Where a POST may go: what counts is the address that is connected to, at the moment it is connected to."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from typing import Any

import pytest

from gateway.transports.errors import NotPublic, Unreachable
from gateway.transports.hosts import why_not_public
from gateway.transports.http import post
from partners.profiles import HttpTerms
from tests.gateway.transports.conftest import OK, Serve, requested, says

BODY = b"hello"
TERMS = HttpTerms(timeout_s=5)
PUBLIC, ALSO_PUBLIC = "93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("0.0.0.0", "unspecified"),  # noqa: S104  # not bound to
        ("0.1.2.3", "unspecified"),
        ("10.255.255.255", "private"),
        ("100.64.0.1", "shared by a carrier's customers"),
        ("100.127.255.255", "shared by a carrier's customers"),
        ("127.0.0.1", "loopback"),
        ("127.255.0.1", "loopback"),
        ("169.254.169.254", "link-local"),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private"),
        ("192.0.0.170", "reserved"),
        ("192.0.2.1", "for documentation"),
        ("192.168.0.1", "private"),
        ("198.19.255.255", "for benchmarks"),
        ("224.0.0.1", "multicast"),
        ("239.255.255.250", "multicast"),
        ("240.0.0.1", "reserved"),
        ("255.255.255.255", "reserved"),
        ("::", "unspecified"),
        ("::1", "loopback"),
        ("::127.0.0.1", "loopback (127.0.0.1)"),
        ("::ffff:10.0.0.1", "private (10.0.0.1)"),
        ("::ffff:169.254.169.254", "link-local (169.254.169.254)"),
        ("64:ff9b::10.0.0.1", "private (10.0.0.1)"),
        ("64:ff9b::7f00:1", "loopback (127.0.0.1)"),
        ("64:ff9b:1::5db8:d70e", "private"),
        ("100::1", "reserved"),
        ("2001:0:5db8:d70e::f5ff:fffe", "private (10.0.0.1)"),
        ("2001:0:a00:1::a247:28f1", "private (10.0.0.1)"),
        ("2001:2::1", "reserved"),
        ("2001:db8::1", "for documentation"),
        ("2002:a00:1::1", "private (10.0.0.1)"),
        ("2002:7f00:1::", "loopback (127.0.0.1)"),
        ("3fff::1", "for documentation"),
        ("4000::1", "reserved"),
        ("fc00::1", "private"),
        ("fd00:ec2::254", "private"),
        ("fe80::1", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("fec0::1", "private"),
        ("ff02::1", "multicast"),
    ],
)
def test_an_address_inside_is_not_public(address: str, why: str) -> None:
    assert why_not_public(ipaddress.ip_address(address)) == why


@pytest.mark.parametrize(
    "address",
    [
        PUBLIC,
        ALSO_PUBLIC,
        "1.1.1.1",
        "100.63.255.255",
        "100.128.0.0",
        "172.32.0.1",
        "192.0.1.0",
        "223.255.255.255",
        "2001:4860:4860::8888",
        f"::ffff:{PUBLIC}",
        f"64:ff9b::{PUBLIC}",
        "2002:5db8:d70e::1",
    ],
)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert why_not_public(ipaddress.ip_address(address)) is None


# ------------------------------------------------------------------------------------------------ while it is connected
class World:
    """Names that lead where a test says, and every connection that is tried."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: dict[str, list[list[str]]] = {}  #: for each time a name is asked, its addresses; the last stays
        self.asked: list[str] = []
        self.tried: list[str] = []
        self.stands_for: dict[str, tuple[str, int]] = {}  #: where a connection really ends
        self._resolve, self._connect = socket.getaddrinfo, socket.socket.connect
        monkeypatch.setattr(socket, "getaddrinfo", self._lookup)
        world = self

        def connect(opened: socket.socket, address: tuple[Any, ...]) -> None:
            world.tried.append(address[0])
            if address[0] not in world.stands_for:
                raise ConnectionRefusedError(111, "Connection refused")
            world._connect(opened, world.stands_for[address[0]])

        monkeypatch.setattr(socket.socket, "connect", connect)

    def _lookup(self, host: str, port: int, **how: Any) -> list[Any]:
        self.asked.append(host)
        if host not in self.names:
            return list(self._resolve(host, port, **how))
        times = self.names[host]
        addresses = times.pop(0) if len(times) > 1 else times[0]
        return [info for address in addresses for info in self._resolve(address, port, **how)]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def at(url: str) -> tuple[str, int]:
    host, _, port = url.removeprefix("http://").removesuffix("/as2").partition(":")
    return host, int(port)


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("127.0.0.1", "127.0.0.1 is loopback"),
        ("10.0.0.7", "10.0.0.7 is private"),
        ("169.254.169.254", "169.254.169.254 is link-local"),
        ("100.64.0.1", "100.64.0.1 is shared by a carrier's customers"),
        ("::ffff:127.0.0.1", "is loopback (127.0.0.1)"),
        ("64:ff9b::a00:7", "64:ff9b::a00:7 is private (10.0.0.7)"),
        ("fe80::1", "fe80::1 is link-local"),
    ],
)
def test_a_name_that_leads_inside_is_refused_before_any_connection(world: World, address: str, why: str) -> None:
    world.names["as2.bolt.example"] = [[address]]
    with pytest.raises(NotPublic) as refused:
        post("http://as2.bolt.example/mdn", {}, BODY, TERMS, public_only=True)
    assert str(refused.value).startswith("as2.bolt.example has no address on the public internet: ")
    assert str(refused.value).endswith(why)
    assert world.tried == []


@pytest.mark.parametrize(
    "spelling",
    [
        "127.0.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "0",
        "[::1]",
        "[::ffff:7f00:1]",
        "localhost",
    ],
)
def test_no_spelling_of_an_address_inside_gets_a_connection(serve: Serve, spelling: str) -> None:
    seen: list[bytes] = []

    def script(connection: socket.socket, _over: threading.Event) -> None:
        seen.append(requested(connection, 5))

    _, port = at(serve(script))
    with pytest.raises(NotPublic):
        post(f"http://{spelling}:{port}/mdn", {}, BODY, TERMS, public_only=True)
    assert seen == []


def test_a_name_that_leads_elsewhere_the_second_time_is_asked_once(world: World) -> None:
    world.names["as2.bolt.example"] = [[PUBLIC], ["127.0.0.1"]]
    with pytest.raises(Unreachable, match="Connection refused"):
        post("http://as2.bolt.example/mdn", {}, BODY, TERMS, public_only=True)
    assert world.asked == ["as2.bolt.example"]
    assert world.tried == [PUBLIC]


def test_of_several_addresses_only_public_ones_are_tried(world: World, serve: Serve) -> None:
    world.names["as2.bolt.example"] = [["10.0.0.7", ALSO_PUBLIC, "::1", PUBLIC]]
    url = serve(says(OK))
    world.stands_for[PUBLIC] = at(url)
    assert post("http://as2.bolt.example/mdn", {}, BODY, TERMS, public_only=True).body == b"hi"
    assert world.tried == [ALSO_PUBLIC, PUBLIC]


def test_the_server_is_still_asked_by_its_name(world: World, serve: Serve) -> None:
    world.names["as2.bolt.example"] = [[PUBLIC]]
    seen: list[bytes] = []

    def script(connection: socket.socket, _over: threading.Event) -> None:
        seen.append(requested(connection, 5))
        connection.sendall(OK)

    world.stands_for[PUBLIC] = at(serve(script))
    post("http://as2.bolt.example/mdn", {}, BODY, TERMS, public_only=True)
    assert b"\r\nHost: as2.bolt.example\r\n" in seen[0]


def test_a_redirect_inside_is_an_answer_and_not_followed(world: World, serve: Serve) -> None:
    world.names["as2.bolt.example"] = [[PUBLIC]]
    inside = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n"
    world.stands_for[PUBLIC] = at(serve(says(inside)))
    assert post("http://as2.bolt.example/mdn", {}, BODY, TERMS, public_only=True).status == 307
    assert world.tried == [PUBLIC]


def test_through_a_proxy_a_name_that_leads_inside_is_refused_here(world: World) -> None:
    world.names |= {"as2.bolt.example": [["10.0.0.7"]], "proxy.plant.example": [["10.0.0.1"]]}
    terms = HttpTerms(proxy_url="http://proxy.plant.example:3128")
    for url in ("http://as2.bolt.example/mdn", "https://as2.bolt.example/mdn"):
        with pytest.raises(NotPublic):
            post(url, {}, BODY, terms, public_only=True)
    assert world.tried == []


def test_the_proxy_itself_may_be_inside(world: World, serve: Serve) -> None:
    world.names |= {"as2.bolt.example": [[PUBLIC]], "proxy.plant.example": [["10.0.0.1"]]}
    world.stands_for["10.0.0.1"] = at(serve(says(OK)))
    terms = HttpTerms(proxy_url="http://proxy.plant.example:3128")
    assert post("http://as2.bolt.example/mdn", {}, BODY, terms, public_only=True).body == b"hi"
    assert world.tried == ["10.0.0.1"]


def test_an_address_inside_is_fine_where_the_terms_allow_it(serve: Serve) -> None:
    assert post(serve(says(OK)), {}, BODY, TERMS).body == b"hi"


# ---------------------------------------------------------------------------------------------------------- name and time
def test_the_next_address_is_tried_when_one_is_dead(world: World, serve: Serve) -> None:
    world.names["as2.bolt.example"] = [["10.0.0.7", "10.0.0.8"]]
    world.stands_for["10.0.0.8"] = at(serve(says(OK)))
    assert post("http://as2.bolt.example/as2", {}, BODY, TERMS).body == b"hi"
    assert world.tried == ["10.0.0.7", "10.0.0.8"]


def test_when_all_are_dead_each_is_named(world: World) -> None:
    world.names["as2.bolt.example"] = [["10.0.0.7", "fd00::8"]]
    with pytest.raises(Unreachable, match=r"10\.0\.0\.7 port 4080: Connection refused; fd00::8 port 4080: Connection"):
        post("http://as2.bolt.example:4080/as2", {}, BODY, TERMS)


@pytest.mark.parametrize("host", ["as2..example", "a" * 64 + ".example", "nobody.invalid"])
def test_a_name_that_leads_nowhere_is_unreachable(host: str) -> None:
    with pytest.raises(Unreachable, match=f"{host} has no address"):
        post(f"http://{host}/as2", {}, BODY, TERMS)


def test_a_resolver_that_says_nothing_does_not_stretch_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def silent(*_: object, **__: object) -> list[object]:
        over.wait(20)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", silent)
    begun = time.monotonic()
    with pytest.raises(Unreachable, match=r"nobody said in time which address as2\.bolt\.example has"):
        post("http://as2.bolt.example/as2", {}, BODY, TERMS, timeout_s=0.2)
    assert time.monotonic() - begun < 5
    over.set()
