"""Messages put together by hand, so that a test can write what no sane product would."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

from partners.profiles import CertificateRef

ENVELOPED = "application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m"
COMPRESSED = "application/pkcs7-mime; smime-type=compressed-data; name=smime.p7z"
SIGNED = 'multipart/signed; protocol="application/pkcs7-signature"; micalg=sha-256; boundary="BB"'


def headers(content_type: str, **changes: str | None) -> dict[str, str]:
    """The headers of a request from boltco; ``as2_to=None`` leaves that one out."""
    out: dict[str, str | None] = {
        "AS2-Version": "1.2",
        "AS2-From": "boltco",
        "AS2-To": '"ACME BUYING"',
        "Message-ID": "<handmade@boltco>",
        "Disposition-Notification-To": "edi@boltco.example",
        "Disposition-Notification-Options": (
            "signed-receipt-protocol=optional, pkcs7-signature; signed-receipt-micalg=optional, sha-256"
        ),
        "Content-Type": content_type,
    }
    lower = {name.lower(): name for name in out}
    for name, value in changes.items():
        dashed = name.replace("_", "-")
        out[lower.get(dashed, dashed)] = value
    return {name: value for name, value in out.items() if value is not None}


def signed(entity: bytes, signature: bytes, *, preamble: bytes = b"", epilogue: bytes = b"") -> bytes:
    """The body of a multipart/signed with the boundary BB."""
    encoded = base64.encodebytes(signature).replace(b"\n", b"\r\n")
    return (
        preamble
        + b"--BB\r\n"
        + entity
        + b"\r\n--BB\r\nContent-Type: application/pkcs7-signature; name=smime.p7s\r\n"
        + b"Content-Transfer-Encoding: base64\r\n\r\n"
        + encoded
        + b"\r\n--BB--\r\n"
        + epilogue
    )


def with_head(content_type: str, body: bytes) -> bytes:
    """A binary MIME entity."""
    return f"Content-Type: {content_type}\r\nContent-Transfer-Encoding: binary\r\n\r\n".encode() + body


class Openssl:
    """The openssl command line, with one signer's and one recipient's files."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program = program
        self._folder = folder

    def file(self, name: str, content: bytes) -> str:
        path = self._folder / name
        path.write_bytes(content)
        return str(path)

    def pem(self, ref: CertificateRef) -> tuple[str, str]:
        """Paths of certificate and key."""
        name = ref.fingerprint[:12]
        return self.file(f"{name}.crt.pem", ref.certificate_pem), self.file(
            f"{name}.key.pem", ref.private_key_pem or b""
        )

    def run(self, *arguments: str, content: bytes) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([self._program, "cms", *arguments], input=content, capture_output=True, timeout=30)

    def output(self, *arguments: str, content: bytes) -> bytes:
        done = self.run(*arguments, content=content)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def sign(
        self, content: bytes, *signers: CertificateRef, digest: str = "sha256", options: tuple[str, ...] = ()
    ) -> bytes:
        named = [part for ref in signers for part in ("-signer", self.pem(ref)[0], "-inkey", self.pem(ref)[1])]
        return self.output("-sign", "-binary", "-outform", "DER", "-md", digest, *named, *options, content=content)

    def verifies(self, content: bytes, signature: bytes, signer: CertificateRef) -> bool:
        stored = self.file("content.bin", content)
        arguments = ("-verify", "-binary", "-inform", "DER", "-content", stored, "-purpose", "any", "-out", "/dev/null")
        return self.run(*arguments, "-CAfile", self.pem(signer)[0], content=signature).returncode == 0

    def encrypt(
        self, content: bytes, *recipients: CertificateRef, cipher: str, options: tuple[str, ...] = (), oaep: str = ""
    ) -> bytes:
        key_options = ("-keyopt", "rsa_padding_mode:oaep", "-keyopt", f"rsa_oaep_md:{oaep}") if oaep else ()
        named = [part for ref in recipients for part in ("-recip", self.pem(ref)[0], *key_options)]
        return self.output("-encrypt", "-binary", "-outform", "DER", f"-{cipher}", *options, *named, content=content)

    def decrypt(self, blob: bytes, recipient: CertificateRef) -> bytes:
        certificate, key = self.pem(recipient)
        return self.output("-decrypt", "-binary", "-inform", "DER", "-recip", certificate, "-inkey", key, content=blob)
