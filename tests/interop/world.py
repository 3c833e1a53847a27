"""A live row: our door at an address of the row's kind, and what the peer is told of the agreement."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tests.interop.cases import Case
from tests.interop.credentials import Credentials
from tests.interop.door import ALGORITHMS
from tests.interop.peers import Peer, Terms
from tests.interop.tls_front import in_front_of

#: Where the TLS server in front of our door is: what it says of a client's certificate is believed.
LOOPBACK: Final = ipaddress.ip_network("127.0.0.0/8")


@contextmanager
def address(case: Case, served: tuple[str, int], keys: Credentials) -> Iterator[str]:
    """Where our door is for this row: behind a TLS server of the row's kind, or as it is."""
    if case.transport == "http":
        yield f"http://127.0.0.1:{served[1]}/as2"
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(keys.folder / ("tls-self.pem" if case.transport == "https-self" else "tls-server.pem"))
    if case.transport == "mtls":
        context.load_verify_locations(keys.folder / "tls-client-authority.pem")
        context.verify_mode = ssl.CERT_REQUIRED
    with in_front_of(served, context) as port:
        yield f"https://127.0.0.1:{port}/as2"


def peer_terms(case: Case, url: str, peer: Peer, **wrong: str) -> Terms:
    """The row as the peer is told it; ``wrong`` names other terms, such as another ``key``."""
    ours = ALGORITHMS[case.algorithms]
    return Terms(
        url=url,
        receipt_url=peer.url(case.transport),
        signed=case.is_signed,
        encrypted=case.is_encrypted,
        compression=case.compression,
        receipt=case.receipt,
        digest=ours["digest"],
        cipher=ours["cipher"],
        oaep_hash="SHA-256" if case.algorithms == "oaep" else "",
        trusted={"http": "", "https-self": "tls-self.pem"}.get(case.transport, "tls-authority.pem"),
        client="tls-client.pem" if case.transport == "mtls" else "",
        **wrong,
    )
