"""Servers that play a script, and the certificates of an authority nobody knows."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from partners.profiles import CertificateRef

Script = Callable[[socket.socket, threading.Event], None]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


def requested(connection: socket.socket, length: int) -> bytes:
    """Read one request whose body has this length."""
    received = b""
    while b"\r\n\r\n" not in received or len(received.partition(b"\r\n\r\n")[2]) < length:
        piece = connection.recv(65536)
        if not piece:
            break
        received += piece
    return received


class Server:
    """Plays one script for each connection."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/as2"

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                connection, _peer = self._listener.accept()
            except OSError:
                return
            with connection:
                try:
                    self._script(connection, self._over)
                except OSError:
                    continue

    def close(self) -> None:
        self._over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(timeout=10)


@pytest.fixture
def serve() -> Iterator[Callable[[Script], str]]:
    servers: list[Server] = []

    def start(script: Script) -> str:
        servers.append(Server(script))
        return servers[-1].url

    yield start
    for server in servers:
        server.close()


def says(answer: bytes) -> Script:
    def script(connection: socket.socket, _over: threading.Event) -> None:
        requested(connection, 5)
        connection.sendall(answer)

    return script


Serve = Callable[[Script], str]


# ------------------------------------------------------------------------------------------------------------------- TLS
class Authority:
    """Issues certificates for EC keys; ``parent`` makes it one between."""

    def __init__(self, name: str, parent: Authority | None = None) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = (parent or self)._sign(self.subject, self.key.public_key(), authority=True)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, *hosts: str, name: str = "as2.boltco.example", valid: bool = True) -> CertificateRef:
        """A certificate for these hosts or addresses with its key; not ``valid``: it ended yesterday."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        return _ref(self._sign(subject, key.public_key(), hosts=hosts, valid=valid), key)

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        *,
        hosts: tuple[str, ...] = (),
        authority: bool = False,
        valid: bool = True,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=3))
            .not_valid_after(now + timedelta(days=3 if valid else -1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if hosts:
            names = x509.SubjectAlternativeName([_general(host) for host in hosts])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self.key, hashes.SHA256())


def _general(host: str) -> x509.GeneralName:
    with suppress(ValueError):
        return x509.IPAddress(ipaddress.ip_address(host))
    return x509.DNSName(host)


def _ref(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> CertificateRef:
    return CertificateRef(
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
        certificate_pem=certificate.public_bytes(serialization.Encoding.PEM),
        private_key_pem=key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )


def self_signed(host: str) -> CertificateRef:
    """A certificate that is its own authority, as many AS2 servers have."""
    authority = Authority("alone")
    return _ref(authority._sign(authority.subject, authority.key.public_key(), hosts=(host,)), authority.key)


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority("Nobody's Authority")


@pytest.fixture
def secured(serve: Serve, tmp_path: Path) -> Callable[..., str]:
    """An https address whose server has this certificate and answers ``OK``; what it was sent goes to ``seen``."""

    def start(
        own: CertificateRef,
        *,
        chain: bytes = b"",
        clients: bytes = b"",
        version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
        seen: list[tuple[bytes, str | None, bytes | None]] | None = None,
    ) -> str:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.maximum_version = version
        file = tmp_path / "server.pem"
        file.write_bytes(own.certificate_pem + chain + (own.private_key_pem or b""))
        context.load_cert_chain(file)
        file.unlink()
        if clients:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=clients.decode())

        def script(connection: socket.socket, _over: threading.Event) -> None:
            with context.wrap_socket(connection, server_side=True) as wrapped:
                said = requested(wrapped, 5)
                if seen is not None and said:
                    seen.append((said, wrapped.version(), wrapped.getpeercert(binary_form=True)))
                wrapped.sendall(OK)

        return serve(script).replace("http:", "https:")

    return start
