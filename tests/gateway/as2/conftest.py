"""Keys made once a session, and both ends of one link: the buyer "ACME BUYING" and the supplier "boltco"."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from partners.profiles import As2Terms, CertificateRef
from tests.certificates import make_identity
from tests.gateway.as2.handmade import Openssl
from tests.services import need

EDI = (
    b"ISA*00*          *00*          *ZZ*BOLTCO         *ZZ*ACMEBUYING     *261101*0815*U*00401*000000042*0*T*>~\r\n"
    b"GS*PR*BOLTCO*ACMEBUYING*20261101*0815*42*X*004010~\r\nST*855*0001~\r\nBAK*00*AC*4500018231*20261030~\r\n"
    b"PO1*1*40*EA*3.15**BP*M8-40-ZN~\r\nACK*IA*40*EA~\r\nCTT*1~\r\nSE*6*0001~\r\nGE*1*42~\r\nIEA*1*000000042~\r\n"
)


@dataclass(frozen=True)
class Link:
    """The same link as each side's terms say it."""

    buyer: As2Terms  #: the buyer's view: ours
    supplier: As2Terms  #: the supplier's view

    def agreeing(self, **changes: Any) -> Link:
        return Link(replace(self.buyer, **changes), replace(self.supplier, **changes))


def public(ref: CertificateRef) -> CertificateRef:
    return replace(ref, private_key_pem=None)


@pytest.fixture(scope="session")
def buyer_key() -> CertificateRef:
    return make_identity("as2.acme-buying.example")


@pytest.fixture(scope="session")
def supplier_key() -> CertificateRef:
    return make_identity("boltco as2")


@pytest.fixture(scope="session")
def stranger_key() -> CertificateRef:
    return make_identity("nobody.example")


@pytest.fixture(scope="session")
def expired_key() -> CertificateRef:
    return make_identity("boltco as2", days=30, now=datetime.now(UTC) - timedelta(days=400))


@pytest.fixture(scope="session")
def link(buyer_key: CertificateRef, supplier_key: CertificateRef) -> Link:
    def view(us: str, them: str, ours: CertificateRef, theirs: CertificateRef) -> As2Terms:
        return As2Terms(
            our_name=us,
            their_name=them,
            url="http://127.0.0.1:9/as2",
            our_signing=(ours,),
            our_decryption=(ours,),
            their_signing=(public(theirs),),
            their_encryption=(public(theirs),),
        )

    return Link(
        view("ACME BUYING", "boltco", buyer_key, supplier_key), view("boltco", "ACME BUYING", supplier_key, buyer_key)
    )


@pytest.fixture(scope="session")
def pem_folder(
    tmp_path_factory: pytest.TempPathFactory, buyer_key: CertificateRef, supplier_key: CertificateRef
) -> Iterator[Path]:
    """Certificates and keys as files, for programs that want files; removed after the session."""
    folder = tmp_path_factory.mktemp("keys")
    folder.chmod(0o700)
    for name, ref in (("buyer", buyer_key), ("supplier", supplier_key)):
        (folder / f"{name}.crt.pem").write_bytes(ref.certificate_pem)
        (folder / f"{name}.key.pem").write_bytes(ref.private_key_pem or b"")
    yield folder
    for file in folder.iterdir():
        file.unlink()


@pytest.fixture(scope="session")
def openssl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Openssl]:
    program = shutil.which("openssl")
    need(program, "the openssl command: install OpenSSL")
    folder = tmp_path_factory.mktemp("openssl")
    folder.chmod(0o700)
    yield Openssl(program or "", folder)
    for file in folder.iterdir():
        file.unlink()
