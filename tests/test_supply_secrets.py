"""S84: a secret is found in whatever it is planted, by its place and without being repeated; what is kept here holds none."""

from __future__ import annotations

import base64
import io
import secrets
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs12

from tests.certificates import make_identity
from tests.supply import secret_scan

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, form: PrivateFormat) -> bytes:
    return key.private_bytes(Encoding.PEM, form, NoEncryption())


def der(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, form: PrivateFormat) -> bytes:
    return key.private_bytes(Encoding.DER, form, NoEncryption())


def sealed_pem() -> bytes:
    protection = serialization.BestAvailableEncryption(b"swordfish")
    return RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection)


def random_word(size_bytes: int) -> str:
    return "aZ9" + secrets.token_urlsafe(size_bytes)  # one in some thousands would have no digit


PLANTED = {
    "a PEM key": pem(RSA, PrivateFormat.PKCS8),
    "a PEM key of old": pem(RSA, PrivateFormat.TraditionalOpenSSL),
    "a PEM key on a curve": pem(EC, PrivateFormat.TraditionalOpenSSL),
    "an OpenSSH key": pem(ed25519.Ed25519PrivateKey.generate(), PrivateFormat.OpenSSH),
    "a PEM key with a pass phrase": sealed_pem(),
    "a PEM key with the line ends of Windows": pem(RSA, PrivateFormat.PKCS8).replace(b"\n", b"\r\n"),
    "a PEM key in JSON": pem(RSA, PrivateFormat.PKCS8).replace(b"\n", b"\\n"),
    "a PEM key in Python": b'KEY = "' + pem(EC, PrivateFormat.PKCS8).replace(b"\n", b'\\n"\n    "') + b'"',
    "a DER key": der(RSA, PrivateFormat.PKCS8),
    "a DER key of old": der(RSA, PrivateFormat.TraditionalOpenSSL),
    "a DER key on a curve": der(EC, PrivateFormat.PKCS8),
    "a DER key on a curve of old": der(EC, PrivateFormat.TraditionalOpenSSL),
    "a key store": pkcs12.serialize_key_and_certificates(b"us", RSA, None, None, NoEncryption()),
    "a kept secret": random_word(48).encode() + b"\n",
    "an assigned secret": f'GATEWAY_KEYSTORE_SECRET="{random_word(48)}"'.encode(),
    "a secret in YAML": f"  api_key: {random_word(32)}\n".encode(),
    "a password in an address": b"DATABASE_URL=postgres://gateway" + f":{secrets.token_hex(6)}@db/gateway".encode(),
    "a token of a service": b"AKIA" + base64.b32encode(secrets.token_bytes(10)),
    "a customer's address": b"NM1*BY*1*DOE~PER*IC*Jane Doe*EM*jane.doe" + b"@" + b"acme-castings.com~",
}


@pytest.mark.parametrize("what", PLANTED)
def test_a_planted_secret_is_found_at_its_line(what: str) -> None:
    planted = PLANTED[what]
    alone = secret_scan.scan(planted, "file")
    assert alone[0].line == 1
    assert str(alone[0]).startswith("file:1: a ")
    assert planted[-20:].decode("latin-1") not in str(alone[0])
    if what not in {"a kept secret", "a key store"}:  # these are whole files
        assert secret_scan.scan(b"first\nsecond\n" + planted, "file")[0].line == 3


@pytest.mark.parametrize("compression", ["", "gz", "xz"])
def test_an_archive_is_looked_into(compression: str) -> None:
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("gateway/static/key.pem", PLANTED["a PEM key"])
        archive.writestr("gateway/__init__.py", "")
    image = io.BytesIO()
    with tarfile.open(fileobj=image, mode=f"w:{compression}") as outer:  # type: ignore[call-overload]  # a mode in parts
        member = tarfile.TarInfo("layer/gateway.whl")
        member.size = len(wheel.getvalue())
        outer.addfile(member, io.BytesIO(wheel.getvalue()))
    found = secret_scan.scan(image.getvalue(), "image.tar")
    assert [one.path for one in found] == ["image.tar!layer/gateway.whl!gateway/static/key.pem"]


def test_what_belongs_to_nobody_is_let_be() -> None:
    certificate = make_identity("plant").certificate_pem
    prose = (
        b'assert b"-----BEGIN PRIVATE KEY-----" not in dump\n'
        b"amqp://guest:guest@127.0.0.1:5672//\npostgres://user:password@host/name\n"
        b"mail buyer@plant.example or a@example.com\nsha256:" + secrets.token_hex(32).encode() + b"\n"
        b"password = settings.PASSWORD\nGATEWAY_KEYSTORE_SECRET: ${GATEWAY_KEYSTORE_SECRET:?make one}\n"
    )
    assert secret_scan.scan(certificate, "certificate") == []
    assert secret_scan.scan(prose, "prose") == []


def test_everything_that_is_kept_here_is_clean() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.supply.secret_scan"],
        cwd=secret_scan.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_folder_is_walked_and_what_is_found_is_the_exit(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "server.key").write_bytes(PLANTED["a PEM key"])
    assert secret_scan.main([str(tmp_path)]) == 1
    (tmp_path / "deep" / "server.key").unlink()
    assert secret_scan.main([str(tmp_path)]) == 0
