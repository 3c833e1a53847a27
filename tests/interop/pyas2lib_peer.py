"""pyas2lib 1.4 as a peer: every layer, receipt and signature is its own; this program only carries them."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Callable
from http.server import HTTPServer
from pathlib import Path
from typing import Any

from gateway.transports.as2 import independent
from tests.interop import peer_program
from tests.interop.peer_program import Answer, Headers, altered, post, run, server_for

#: Our names of ciphers → pyas2lib's.
CIPHERS = {"des_ede3_cbc": "tripledes_192_cbc", "aes128_cbc": "aes_128_cbc", "aes256_cbc": "aes_256_cbc"}


class Pyas2libPeer(peer_program.Peer):
    def agree(self, terms: dict[str, Any]) -> None:
        super().agree(terms)
        own = self.pem(terms["key"])
        self.organization = independent.Organization(
            as2_name=terms["name"], sign_key=own, decrypt_key=own, mdn_url=terms["receipt_url"], domain="peer.example"
        )
        receipt = terms["receipt"]
        self.partner = independent.Partner(
            as2_name=terms["partner"],
            verify_cert=self.pem(terms["partner_certificate"]),
            encrypt_cert=self.pem(terms["partner_certificate"]),
            sign=terms["signed"],
            digest_alg=terms["digest"],
            encrypt=terms["encrypted"] and terms["compression"] != "after",  # then see _wrapped_after_signing
            enc_alg=CIPHERS[terms["cipher"]],
            compress=terms["compression"] == "before",
            mdn_mode={"none": None, "async": "ASYNC"}.get(receipt, "SYNC"),
            mdn_digest_alg=terms["digest"] if receipt in {"signed", "async"} else None,
            sign_alg=terms["signature_scheme"],
        )
        self.sent: dict[str, Any] = {}
        self.waiting: list[Any] = []

    def send(self, file: Path, content_type: str, is_altered: bool) -> dict[str, Any]:
        message = independent.Message(self.organization, self.partner)
        message.build(file.read_bytes(), filename=file.name, content_type=content_type)
        self.sent[message.message_id] = message
        described, body = _headers(message), message.content
        if self.terms["compression"] == "after":
            described, body = self._wrapped_after_signing(described, body)
        if is_altered:
            body = altered(body)
        status, headers, answer = self._post(self.terms["url"], described, body)
        receipt = None
        if status == 200 and self.terms["receipt"] in {"signed", "unsigned"}:
            receipt = self._judged(_wire(headers, answer))
        return {
            "message_id": f"<{message.message_id}>",
            "status": status,
            "mic": message.mic.decode() if message.mic else None,
            "receipt": receipt,
        }

    def _wrapped_after_signing(self, headers: dict[str, str], body: bytes) -> tuple[dict[str, str], bytes]:
        """Compressed, then encrypted: its own functions in an order it does not offer, but reads."""
        headers, body = _inside(headers, "compressed-data", body, independent.cms.compress_message)
        if self.terms["encrypted"]:
            certificate = self.partner.load_encrypt_cert()
            cipher = CIPHERS[self.terms["cipher"]]
            headers, body = _inside(
                headers,
                "enveloped-data",
                body,
                lambda entity: independent.cms.encrypt_message(entity, cipher, certificate),
            )
        return headers, body

    def server(self) -> HTTPServer:
        return server_for(self.receive)

    def receive(self, headers: Headers, body: bytes) -> Answer:
        wire = _wire(headers, body)
        if b"disposition-notification" in body[:4096] and self.sent:
            names = {name.lower(): value for name, value in headers}
            if re.match(r"multipart/(report|signed)", names.get("content-type", "")):
                verdict = self._judged(wire)
                if verdict["verdict"] != "failed/Failure":
                    self.receipts[f"<{verdict.pop('about')}>"] = verdict
                    return 200, [], b""
        message = independent.Message()
        status, (failure, _traceback), mdn = message.parse(
            wire,
            find_org_cb=lambda name: self.organization if name == self.terms["name"] else None,
            find_partner_cb=lambda name: self.partner if name == self.terms["partner"] else None,
            find_message_cb=lambda *_ids: False,
        )
        payload = message.content if failure is None else b""
        self.inbox[f"<{message.message_id}>"] = {
            "verdict": status if failure is None else f"{status}: {failure}",
            "sha256": hashlib.sha256(payload).hexdigest(),
            "size": len(payload),
            "mic": message.mic.decode() if message.mic else None,
        }
        if mdn is None:
            return 200, [], b""
        if mdn.mdn_mode == "ASYNC":
            self.waiting.append(mdn)
            return 200, [], b""
        return 200, list(_headers(mdn).items()), mdn.content

    def settle(self) -> list[int]:
        waiting, self.waiting = self.waiting, []
        return [self._post(mdn.mdn_url, _headers(mdn), mdn.content)[0] for mdn in waiting]

    def _judged(self, wire: bytes) -> dict[str, Any]:
        """Its verdict, and whether the MIC agrees: pyas2lib itself is content with an MDN that has none."""
        mdn = independent.Mdn()
        verdict, detail = mdn.parse(wire, find_message_cb=lambda message_id, _recipient: self.sent.get(message_id))
        mic = None
        for part in mdn.payload.walk() if mdn.payload is not None else []:
            if part.get_content_type() == "message/disposition-notification":
                mic = part.get_payload()[-1]["Received-Content-MIC"]
        message = self.sent.get(mdn.orig_message_id)
        agrees = None
        if mic is not None and message is not None and message.mic is not None:
            agrees = mic.partition(",")[0].strip().encode() == message.mic
        return {"about": mdn.orig_message_id, "verdict": verdict, "detail": detail, "mic_agrees": agrees}

    def _post(self, url: str, headers: dict[str, str], body: bytes) -> Answer:
        trusted, client = self.terms["trusted"], self.terms["client"]
        return post(
            url,
            headers,
            body,
            trusted=self.folder / trusted if trusted else None,
            client=self.folder / client if client else None,
        )


def _headers(built: Any) -> dict[str, str]:
    """Of a Message or Mdn; its folded lines are no HTTP of today."""
    return {name: re.sub(r"\r?\n[ \t]+", " ", value) for name, value in built.headers.items()}


def _inside(
    headers: dict[str, str], kind: str, body: bytes, wrapped: Callable[[bytes], bytes]
) -> tuple[dict[str, str], bytes]:
    """A message as the content of one more layer."""
    inner = {name: value for name, value in headers.items() if name.lower().startswith("content-t")}
    outer = {name: value for name, value in headers.items() if not name.lower().startswith("content-")}
    outer |= {
        "Content-Type": f"application/pkcs7-mime; smime-type={kind}; name=smime.p7m",
        "Content-Transfer-Encoding": "binary",
    }
    return outer, wrapped(_wire(list(inner.items()), body))


def _wire(headers: Headers, body: bytes) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in headers).encode("latin-1") + b"\r\n" + body


if __name__ == "__main__":
    run(Pyas2libPeer(Path(sys.argv[1])))
