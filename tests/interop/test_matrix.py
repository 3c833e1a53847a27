"""Every row of the matrix: a document exchanged, the same at both ends, and a receipt that its reader believes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.models import DeliveryKind, DeliveryState
from tests.interop import engine, peculiarities
from tests.interop.cases import CASES, Case
from tests.interop.credentials import Credentials
from tests.interop.door import ALGORITHMS, Door
from tests.interop.peers import Peer
from tests.interop.world import LOOPBACK, address, peer_terms

Start = Callable[[str], Peer]
Write = Callable[[bytes], Path]
Note = Callable[[str, object], None]
ENGINE = [case for case in CASES if case.transport == "engine"]
LIVE = [case for case in CASES if case.transport != "engine"]


@pytest.mark.parametrize("case", ENGINE, ids=lambda case: case.id)
def test_with_openssl(case: Case, keys: Credentials, tmp_path: Path) -> None:
    (engine.sent if case.is_outbound else engine.received)(case, keys, tmp_path)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("case", LIVE, ids=lambda case: case.id)
def test_live(
    case: Case,
    served: tuple[str, int],
    door: Door,
    peers: Start,
    keys: Credentials,
    file: Write,
    settings: Any,
    record_property: Note,
) -> None:
    settings.TRUSTED_PROXIES = (LOOPBACK,)
    peer = peers(case.peer)
    with address(case, served, keys) as url:
        door.agree(case, their_url=peer.url(case.transport), our_url=url)
        peer.agree(peer_terms(case, url, peer))
        if case.is_outbound:
            we_send(case, door, peer, record_property)
        else:
            we_receive(case, door, peer, file, record_property)


def we_send(case: Case, door: Door, peer: Peer, note: Note) -> None:
    payload = case.payload()
    row = door.send(payload, content_type=case.content_type, file_name="document.edi")
    got = peer.ask("inbox", message_id=row.message_id)
    whole = ("processed", len(payload), hashlib.sha256(payload).hexdigest())
    assert (got["verdict"], got["size"], got["sha256"]) == whole
    if got["mic"] is not None:
        assert got["mic"] in row.digests.values()
    if case.receipt == "async":
        assert row.state == "sent"
        assert peer.ask("settle")["statuses"] == [200]
        row.refresh_from_db()
    if peculiarities.names_no_mic(case):
        note("note", "it arrives; a receipt without a MIC proves nothing")
        assert row.state in {"prepared", "sent"}
    else:
        assert (row.state, row.deliveries.get().state) == ("receipted", DeliveryState.DELIVERED), row.reason


def we_receive(case: Case, door: Door, peer: Peer, file: Write, note: Note) -> None:
    payload = case.payload()
    sent = peer.ask("send", file=str(file(payload)), content_type=case.content_type, altered=False)
    assert sent["status"] in {200, 204}, sent
    row = door.received(sent["message_id"])
    expected = peculiarities.as_sent(case, payload)
    if expected != payload:
        note("note", "ok; the peer changed the ends of lines before it signed")
    assert row.payload is not None
    assert hashlib.sha256(row.payload.content).hexdigest() == hashlib.sha256(expected).hexdigest()
    assert row.evidence["layers"] == layers(case)
    if sent["mic"] is not None:
        assert sent["mic"] in row.digests.values()
    receipt = sent["receipt"]
    if case.receipt == "async":
        assert door.work(DeliveryKind.RECEIPT) == 1
        receipt = peer.ask("receipt", message_id=sent["message_id"])
    if case.receipt == "none":
        assert (receipt, row.answer) == (None, None) or (receipt, row.answer.content) == (None, b"")
    else:
        agrees = None if peculiarities.compares_no_mic(case) else True
        assert (receipt["verdict"], receipt["mic_agrees"]) == ("processed", agrees), receipt


def layers(case: Case) -> list[str]:
    """What we must have taken off, outermost first."""
    ours = ALGORITHMS[case.algorithms]
    encrypted = [f"encrypted {ours['cipher']}"] if case.is_encrypted else []
    signed = [f"signed {ours['digest']}"] if case.is_signed else []
    match case.compression:
        case "before":
            return [*encrypted, *signed, "compressed zlib"]
        case "after":
            return [*encrypted, "compressed zlib", *signed]
        case _:
            return [*encrypted, *signed]
