"""What must not pass, with real peers: each side refuses, and the other understands that it was refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.models import Delivery, DeliveryState, Transmission
from partners.profiles import CertificateRef
from tests.interop.cases import Case
from tests.interop.credentials import Credentials
from tests.interop.door import Door
from tests.interop.peers import Peer
from tests.interop.world import LOOPBACK, address, peer_terms

Start = Callable[[str], Peer]
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.parametrize("name", ["pyas2lib", "libas2", "django-pyas2"]),
]


def usual(name: str, way: str, *, protection: str = "both", transport: str = "http") -> Case:
    return Case(
        route=f"{name} {way}",
        algorithms="aes128",
        content="x12",
        protection=protection,
        receipt="signed",
        transport=transport,
        compression="none",
        size="10k",
    )


@pytest.fixture
def sending(served: tuple[str, int], door: Door, peers: Start, keys: Credentials) -> Callable[..., Transmission]:
    """Sends one document to a peer, with something wrong on our side or on theirs."""

    def send(case: Case, *, at_the_peer: dict[str, str] | None = None, **wrong: CertificateRef) -> Transmission:
        peer = peers(case.peer)
        with address(case, served, keys) as url:
            door.agree(case, their_url=peer.url(case.transport), our_url=url, **wrong)
            peer.agree(peer_terms(case, url, peer, **(at_the_peer or {})))
            return door.send(case.payload(), content_type=case.content_type, file_name="document.edi")

    return send


def test_a_signature_by_a_key_it_does_not_know(
    name: str, sending: Callable[..., Transmission], keys: Credentials
) -> None:
    row = sending(usual(name, "out", protection="signed"), our_key=keys.stranger)
    assert (row.state, row.deliveries.get().state) == ("rejected", DeliveryState.DEAD), row.reason


def test_a_message_encrypted_for_a_key_it_does_not_have(
    name: str, sending: Callable[..., Transmission], keys: Credentials
) -> None:
    row = sending(usual(name, "out"), their_encryption=keys.stranger)
    assert (row.state, row.deliveries.get().state) == ("rejected", DeliveryState.DEAD), row.reason


def test_a_receipt_signed_by_a_key_we_do_not_know(name: str, sending: Callable[..., Transmission]) -> None:
    row = sending(usual(name, "out", protection="signed"), at_the_peer={"key": "stranger.pem"})
    assert row.state in {"prepared", "sent"}
    assert row.deliveries.get().standing == "in_doubt"


def test_a_server_of_an_authority_we_do_not_know(
    name: str, sending: Callable[..., Transmission], keys: Credentials
) -> None:
    row = sending(usual(name, "out", transport="https-ca"), their_authority=keys.self_signed.ref)
    assert row.state == "prepared"
    assert "an authority we do not know" in row.deliveries.get().last_error


def test_a_message_signed_by_a_key_we_do_not_know(name: str, refused: Callable[..., None]) -> None:
    refused(usual(name, "in"), key="stranger.pem")


def test_a_message_altered_on_its_way_to_us(name: str, refused: Callable[..., None]) -> None:
    refused(usual(name, "in"), altered=True)


def test_a_client_that_is_not_the_partner(
    name: str,
    served: tuple[str, int],
    door: Door,
    peers: Start,
    keys: Credentials,
    file: Callable[[bytes], Path],
    settings: Any,
) -> None:
    """One peer cannot show a certificate and gets no further than the handshake; the others show one that is not pinned."""
    settings.TRUSTED_PROXIES = (LOOPBACK,)
    case, peer = usual(name, "in", transport="mtls"), peers(name)
    with address(case, served, keys) as url:
        door.agree(case, their_url=peer.url("mtls"), our_url=url, their_client=keys.other_client.ref)
        peer.agree(peer_terms(case, url, peer))
        sent = peer.ask("send", file=str(file(case.payload())), content_type=case.content_type, altered=False)
    assert sent["status"] in {403, None}
    assert not Transmission.objects.exists()


@pytest.fixture
def refused(
    served: tuple[str, int], door: Door, peers: Start, keys: Credentials, file: Callable[[bytes], Path]
) -> Callable[..., None]:
    """A peer sends what we must refuse, and understands our receipt."""

    def check(case: Case, *, key: str = "peer.pem", altered: bool = False) -> None:
        peer = peers(case.peer)
        with address(case, served, keys) as url:
            door.agree(case, their_url=peer.url(case.transport), our_url=url)
            peer.agree(peer_terms(case, url, peer, key=key))
            document = str(file(case.payload()))
            sent = peer.ask("send", file=document, content_type=case.content_type, altered=altered)
        row = door.received(sent["message_id"])
        assert row.state == "refused"  # what it held, if that could be read, is in quarantine with it
        assert not Delivery.objects.exists()
        assert "processed/error" in str(row.answer.content if row.answer else b"")
        assert sent["receipt"]["verdict"] != "processed", sent

    return check
