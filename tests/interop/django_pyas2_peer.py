"""django-pyas2 1.2 as a peer: its own views, models and command in one process, in an environment of its own.

    python -m tests.interop.django_pyas2_peer FOLDER_OF_KEYS STAND_IN_FOR_OSCRYPTO

It answers the questions that ``peer_program`` describes, and imports nothing else of ours but the stand-in, by its path.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import sys
import types
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers import algorithms

from tests.interop import peer_program
from tests.interop.peer_program import altered

FOLDER = Path(sys.argv[1])
DATA = FOLDER / "django-pyas2"
shutil.rmtree(DATA, ignore_errors=True)  # of one that ended
DATA.mkdir()


def stand_in_for_oscrypto(path: str) -> None:
    """As ``gateway.transports.as2.oscrypto_standin`` does; this cryptography is from before 3DES became "decrepit"."""
    for name in ("cryptography.hazmat.decrepit", "cryptography.hazmat.decrepit.ciphers"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules["cryptography.hazmat.decrepit.ciphers.algorithms"] = algorithms
    specification = importlib.util.spec_from_file_location("oscrypto_standin", path)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    module.install()


stand_in_for_oscrypto(sys.argv[2])

import django  # noqa: E402  # after the stand-in, as everything below
from django.conf import settings  # noqa: E402

settings.configure(
    SECRET_KEY="only for tests",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    MEDIA_ROOT=str(DATA),  # peculiarity: with DATA_DIR it answers 400 after the row is saved
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    STATIC_URL="static/",
    LOGGING_CONFIG=None,
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(DATA / "db.sqlite3"),
            "OPTIONS": {"timeout": 20, "init_command": "PRAGMA synchronous=OFF;"},
        }
    },
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
        "pyas2",
    ],
)
django.setup()

from django.core.management import call_command  # noqa: E402
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.urls import path  # noqa: E402
from pyas2 import settings as pyas2_settings  # noqa: E402
from pyas2.models import Mdn, Message, Organization, Partner, PrivateKey, PublicCertificate  # noqa: E402
from pyas2.views import ReceiveAs2Message  # noqa: E402
from pyas2lib import Message as Pyas2libMessage  # noqa: E402

urlpatterns = [path("as2", ReceiveAs2Message.as_view())]

#: Our names of ciphers → pyas2lib's.
CIPHERS = {"des_ede3_cbc": "tripledes_192_cbc", "aes128_cbc": "aes_128_cbc", "aes256_cbc": "aes_256_cbc"}


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Nothing: standard output is for answers."""


class DjangoPyas2Peer(peer_program.Peer):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        call_command("migrate", verbosity=0)
        self.application = get_wsgi_application()
        self.mics: dict[str, bytes | None] = {}

    def server(self) -> ThreadedWSGIServer:
        server = ThreadedWSGIServer(("127.0.0.1", 0), _QuietHandler)
        server.set_app(self.application)
        return server

    def agree(self, terms: dict[str, Any]) -> None:
        super().agree(terms)
        for table in (Mdn, Message, Partner, Organization, PrivateKey, PublicCertificate):
            table.objects.all().delete()
        key = PrivateKey(name=terms["key"], key=self.pem(terms["key"]), key_pass="")
        key.save()
        certificate = PublicCertificate(
            name=terms["partner_certificate"], certificate=self.pem(terms["partner_certificate"])
        )
        certificate.save()
        receipt = terms["receipt"]
        self.organization = Organization.objects.create(
            name=terms["name"], as2_name=terms["name"], signature_key=key, encryption_key=key
        )
        self.partner = Partner.objects.create(
            name=terms["partner"],
            as2_name=terms["partner"],
            target_url=terms["url"],
            signature=terms["digest"] if terms["signed"] else None,
            signature_cert=certificate,
            encryption=CIPHERS[terms["cipher"]] if terms["encrypted"] else None,
            encryption_cert=certificate,
            compress=terms["compression"] == "before",
            mdn=receipt != "none",
            mdn_mode={"none": None, "async": "ASYNC"}.get(receipt, "SYNC"),
            mdn_sign=terms["digest"] if receipt in {"signed", "async"} else None,
        )
        pyas2_settings.MDN_URL = terms["receipt_url"]
        # What requests trusts beside the system's authorities; django-pyas2 has no setting for it.
        if terms["trusted"]:
            os.environ["REQUESTS_CA_BUNDLE"] = str(self.folder / terms["trusted"])
        else:
            os.environ.pop("REQUESTS_CA_BUNDLE", None)

    def send(self, file: Path, content_type: str, is_altered: bool) -> dict[str, Any]:
        """As its page for sending does, with a content type of its choice."""
        data = file.read_bytes()
        built = Pyas2libMessage(sender=self.organization.as2org, receiver=self.partner.as2partner)
        built.build(data, filename=file.name, content_type=content_type)
        self.mics[built.message_id] = built.mic
        row, _file = Message.objects.create_from_as2message(
            as2message=built, payload=data, filename=file.name, direction="OUT", status="P"
        )
        row.send_message(built.headers, altered(built.content) if is_altered else built.content)
        return {
            "message_id": f"<{built.message_id}>",
            "status": None if row.status == "R" else 200,
            "detail": row.detailed_status,
            "mic": built.mic.decode() if built.mic else None,
            "receipt": self._receipt(row) if self.terms["receipt"] in {"signed", "unsigned"} else None,
        }

    def answer(self, question: dict[str, Any]) -> dict[str, Any]:
        if question["do"] not in {"inbox", "receipt"}:
            return super().answer(question)
        row = Message.objects.get(message_id=question["message_id"].strip("<>"))
        if question["do"] == "receipt":
            return self._receipt(row)
        payload = row.payload.read()
        return {
            "verdict": "processed" if row.status == "S" else f"{row.status}: {row.detailed_status}",
            "sha256": hashlib.sha256(payload).hexdigest(),
            "size": len(payload),
            "mic": None,
        }

    def settle(self) -> list[int]:
        waiting = list(Mdn.objects.filter(status="P"))
        with Path(os.devnull).open("w") as nowhere:
            call_command("manageas2server", async_mdns=True, stdout=nowhere)
        # Peculiarity: it marks a receipt as sent whatever the answer was, so that all it can tell is this.
        return [200 if Mdn.objects.get(pk=mdn.pk).status == "S" else 0 for mdn in waiting]

    def _receipt(self, row: Any) -> dict[str, Any]:
        """Its verdict, and whether the MIC agrees: it keeps none of what it sends, so that every MDN passes."""
        mdn = Mdn.objects.filter(message=row).first()
        agrees = None
        mic = self.mics.get(row.message_id)
        if mdn is not None and mic is not None:
            named = [
                line for line in mdn.payload.read().splitlines() if line.lower().startswith(b"received-content-mic")
            ]
            agrees = named[0].partition(b":")[2].partition(b",")[0].strip() == mic if named else None
        verdict = {"S": "processed", "P": "waiting"}.get(row.status, f"{row.status}: {row.detailed_status}")
        return {"verdict": verdict, "mic_agrees": agrees}


if __name__ == "__main__":
    peer_program.run(DjangoPyas2Peer(FOLDER))
