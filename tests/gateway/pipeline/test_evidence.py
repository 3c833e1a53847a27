"""What ``manage.py as2 verify-receipt`` proves from stored rows, and that it notices every change of them."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from gateway.models import Blob, Event, Transmission
from gateway.transports import as2
from partners.models import As2Link, Certificate, OwnIdentity, PrivateKey, TradingPartner
from partners.profiles import Algorithms
from tests.certificates import make_identity
from tests.gateway.pipeline.conftest import send_over_as2
from tests.gateway.stored import overwrite
from tests.gateway.tampering import unguarded
from tests.services import need

pytestmark = pytest.mark.django_db

DOCUMENT = b"ISA*00*          *00*          *ZZ*PLANTEDI~ST*850*0001~\r\nSE*2*0001~\nIEA*1*000000042~" + bytes(
    range(256)
)


# -- givens


@pytest.fixture
def ours(acme: TradingPartner, supplier):
    """A message of ours as the outbox sends it, with the receipt ACME gave."""

    def sent(**terms: object) -> Transmission:
        As2Link.objects.update(**terms)
        return send_over_as2(acme, DOCUMENT)

    return sent


@pytest.fixture
def theirs(acme: TradingPartner, supplier, client: Client):
    """A message of ACME that came through the door, with the receipt we gave."""

    def received(
        payload: bytes = DOCUMENT, *, terms=supplier.terms, attachments=(), **headers: str | None
    ) -> Transmission:
        made = as2.build_message(
            payload, terms=terms, message_id="<m1@acme.example>", file_name="855.edi", attachments=attachments
        )
        changed = {**made.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        kept = {name: value for name, value in changed.items() if value is not None}
        content_type = kept.pop("Content-Type")
        answer = client.generic("POST", "/as2", made.body, content_type=content_type, headers=kept)
        assert answer.status_code in {200, 204}
        return Transmission.objects.get(message_id="<m1@acme.example>")

    return received


def verify(named: object, *options: object) -> tuple[int, str]:
    """Exit code and what was printed."""
    out = StringIO()
    try:
        call_command("as2", "verify-receipt", str(named), *map(str, options), stdout=out)
    except SystemExit as ended:
        return ended.code, out.getvalue()  # type: ignore[return-value]  # the command ends with numbers
    except CommandError as error:
        return error.returncode, str(error)
    return 0, out.getvalue()


def failed(printed: str) -> list[str]:
    return [line[2:] for line in printed.splitlines() if line.startswith("✘")]


def flip(row: Transmission, part: str, at: float) -> None:
    """Change one byte of a part where it is stored."""
    blob = getattr(row, part)
    data = bytearray(blob.found)
    data[int(at * (len(data) - 1))] ^= 1
    overwrite(blob.sha256, bytes(data))


# -- a message of ours


def test_a_receipted_message_is_proved_step_by_step(ours) -> None:
    row = ours()
    code, printed = verify(row.pk)
    assert (code, failed(printed)) == (0, [])
    assert printed.count("✔") == 9
    assert f"The receipt names this message, {row.message_id}" in printed
    assert "acme.example" in printed
    assert f"it received exactly these {len(DOCUMENT)} bytes" in printed


def test_a_message_is_found_by_number_uid_and_message_id_with_and_without_brackets(ours) -> None:
    row = ours()
    names = [row.pk, row.uid, row.message_id, row.message_id.strip("<>")]
    assert {verify(name)[1].splitlines()[0] for name in names} == {verify(row.pk)[1].splitlines()[0]}


@pytest.mark.parametrize(
    "terms",
    [
        {"compressed": True},
        {"encrypted": False},
        {"signed": False},
        {"signed": False, "encrypted": False},
        {"signed": False, "encrypted": False, "compressed": True},
        {"cipher": "aes256_gcm", "digest": "sha512", "key_transport": "oaep_sha256", "signature_scheme": "pss"},
        {"compressed": True, "compressed_after_signing": True},
        {"algorithms": "legacy", "cipher": "des_ede3_cbc", "digest": "sha1"},
    ],
    ids=lambda terms: " ".join(f"{name}={value}" for name, value in terms.items()),
)
def test_every_way_to_protect_a_message_can_be_proved(ours, supplier, terms) -> None:
    loose = replace(supplier.terms, signed=False, encrypted=False, algorithms=Algorithms.LEGACY)

    def taken(headers, body):
        got = as2.receive(headers, body, loose)
        assert got.payload == DOCUMENT
        mdn = as2.build_mdn(headers, terms=loose, mic=(got.mic, got.mic_algorithm), text="Taken.")
        return 200, mdn.headers, mdn.body

    supplier.answer = taken
    code, printed = verify(ours(**terms).pk)
    assert (code, failed(printed)) == (0, [])


@pytest.mark.parametrize("digest", ["sha1", "sha384", "sha512"])
def test_a_receipt_in_another_digest_than_was_asked_for_counts_and_proves_as_well(ours, supplier, digest) -> None:
    def taken(headers, body):
        entity = as2.detach(headers, body, supplier.terms).octets
        options = headers["Disposition-Notification-Options"].replace("sha-256", digest)
        asked = {**headers, "Disposition-Notification-Options": options}
        mdn = as2.build_mdn(
            asked,
            terms=replace(supplier.terms, algorithms=Algorithms.LEGACY),
            mic=(hashlib.new(digest, entity).digest(), digest),
            text="Taken.",
        )
        return 200, mdn.headers, mdn.body

    supplier.answer = taken
    row = ours(algorithms="legacy")
    assert (row.state, list(row.digests)) == ("receipted", ["sha256"])
    code, printed = verify(row.pk)
    assert (code, f"is that of the message ({digest} " in printed) == (0, True)


@pytest.mark.parametrize("at", [0.0, 0.3, 0.6, 1.0])
@pytest.mark.parametrize("part", ["raw", "payload", "covered", "answer"])
def test_one_changed_byte_of_our_message_or_its_receipt_is_noticed(ours, part: str, at: float) -> None:
    row = ours()
    flip(row, part, at)
    code, printed = verify(row.pk)
    assert code == 1
    assert "The stored bytes have the hashes they are kept under" in failed(printed)
    assert f"these have not: {part}" in printed


@pytest.mark.parametrize("part", ["headers", "answer_headers"])
def test_a_changed_header_of_our_message_or_its_receipt_is_noticed(ours, part: str) -> None:
    row = ours()
    kept = dict(getattr(row, part))
    for name in kept:
        Transmission.objects.filter(pk=row.pk).update(**{part: {**kept, name: kept[name] + "x"}})
        code, printed = verify(row.pk)
        assert (code, "but the audit trail noted others" in printed) == (1, True), name


def test_another_document_put_in_place_with_all_its_hashes_fails_by_the_receipt(ours) -> None:
    """Who can write every row still cannot sign for the partner."""
    row = ours()
    other = DOCUMENT.replace(b"000000042", b"000000043")
    covered = row.covered.content.replace(DOCUMENT, other)
    row.payload, row.covered = Blob.put(other), Blob.put(covered)
    row.digests = {name: base64.b64encode(hashlib.new(name, covered).digest()).decode() for name in row.digests}
    row.save()
    with unguarded():
        Event.objects.filter(transmission=row, name="transmission.receipted").update(data={"seal": row.seal()})
    code, printed = verify(row.pk)
    assert (code, failed(printed)) == (1, ["The receipt given by the partner proves that the message arrived"])
    assert "the MIC differs" in printed


def test_a_certificate_that_has_ended_since_still_proves_and_one_ended_before_does_not(ours, acme) -> None:
    row = ours()
    Certificate.objects.filter(partner=acme).update(active_until=timezone.now() + timedelta(seconds=1))
    assert verify(row.pk)[0] == 0
    Certificate.objects.filter(partner=acme).update(active_until=row.at - timedelta(days=1))
    code, printed = verify(row.pk)
    assert code == 1
    assert [line.partition(" on ")[0] for line in failed(printed)] == ["That certificate was valid and in use"]


def test_a_certificate_that_is_in_no_row_any_more_can_be_brought_along(
    ours, acme, their_key, our_key, tmp_path
) -> None:
    row = ours()
    Certificate.objects.filter(partner=acme).delete()
    code, printed = verify(row.pk)
    assert (code, failed(printed)[-1]) == (1, "The certificate that signed is here")
    assert "--certificate FILE" in printed
    right, wrong = tmp_path / "right.pem", tmp_path / "wrong.pem"
    right.write_bytes(their_key.certificate_pem)
    wrong.write_bytes(our_key.certificate_pem)
    assert verify(row.pk, "--certificate", right)[0] == 0
    assert verify(row.pk, "--certificate", wrong)[0] == 1
    assert verify(row.pk, "--certificate", tmp_path / "none.pem")[0] == 2


def test_an_unsigned_receipt_proves_nothing(ours, supplier) -> None:
    def unsigned(headers, body):
        got = as2.receive(headers, body, supplier.terms)
        plain = {name: value for name, value in headers.items() if name != "Disposition-Notification-Options"}
        mdn = as2.build_mdn(plain, terms=supplier.terms, mic=(got.mic, got.mic_algorithm), text="Taken.")
        return 200, mdn.headers, mdn.body

    supplier.answer = unsigned
    code, printed = verify(ours(signed_mdn=False).pk)
    assert (code, failed(printed)) == (1, ["The receipt is signed by the partner"])


def test_a_receipt_that_says_no_is_told_as_that(ours, supplier) -> None:
    def refused(headers, body):
        mdn = as2.build_mdn(
            headers, terms=supplier.terms, disposition=as2.Disposition.AUTHENTICATION_FAILED, mic=None, text="No."
        )
        return 200, mdn.headers, mdn.body

    supplier.answer = refused
    code, printed = verify(ours().pk)
    assert code == 1
    assert "but it says no: processed/error: authentication-failed" in printed


def test_a_message_without_a_receipt_is_not_proved(ours, supplier) -> None:
    supplier.answer = lambda headers, body: (200, {}, b"")
    code, printed = verify(ours().pk)
    assert code == 1
    assert "There is a receipt of the partner" in failed(printed)


def test_a_message_that_left_before_its_octets_were_kept_is_told_as_that(ours) -> None:
    row = ours()
    Transmission.objects.update(covered=None)
    code, printed = verify(row.pk)
    assert code == 1
    assert (
        "? What the digest in the receipt is over was kept\n    but the message left before the gateway kept it"
        in printed
    )


@pytest.mark.parametrize(
    "named", ["4711", "<nobody@nowhere>", "6f1d1c5e-7a0e-4f3e-9b60-0d5a1f1f6a11", "", "<>", "9" * 40]
)
def test_what_names_no_message_is_unusable(acme, named: str) -> None:
    code, said = verify(named)
    assert code == 2
    assert "No message is called" in said


def test_a_submission_over_rest_has_no_receipt_to_prove(castra) -> None:
    row = Transmission.objects.create(
        direction="inbound", channel="rest", partner=castra, format="canonical_json", raw=Blob.put(b"{}")
    )
    code, said = verify(row.pk)
    assert (code, "only AS2" in said) == (2, True)


def test_json_says_the_same_for_programs(ours) -> None:
    row = ours()
    flip(row, "covered", 0.5)
    code, printed = verify(row.pk, "--json")
    told = json.loads(printed)
    assert (code, told["proved"], told["message_id"]) == (1, False, row.message_id)
    assert {"held", "what", "why", "todo"} == next(step.keys() for step in told["steps"] if not step["held"])


# -- a message of a partner


def test_a_message_of_a_partner_is_proved_step_by_step(theirs) -> None:
    code, printed = verify(theirs().pk)
    assert (code, failed(printed)) == (0, [])
    assert "What came opens to the payload, byte for byte (encrypted aes256_cbc, signed sha256)" in printed
    assert "The receipt is signed by us, with" in printed
    assert f"exactly these {len(DOCUMENT)} bytes" in printed


@pytest.mark.parametrize("at", [0.0, 0.3, 0.6, 1.0])
@pytest.mark.parametrize("part", ["raw", "payload", "answer"])
def test_one_changed_byte_of_their_message_or_our_receipt_is_noticed(theirs, part: str, at: float) -> None:
    row = theirs()
    flip(row, part, at)
    code, printed = verify(row.pk)
    assert code == 1
    assert f"these have not: {part}" in printed


@pytest.mark.parametrize("part", ["headers", "answer_headers"])
def test_a_changed_header_of_their_message_or_our_receipt_is_noticed(theirs, part: str) -> None:
    row = theirs()
    kept = dict(getattr(row, part))
    for name in kept:
        Transmission.objects.filter(pk=row.pk).update(**{part: {**kept, name: kept[name] + "x"}})
        code, printed = verify(row.pk)
        assert (code, "but the audit trail noted others" in printed) == (1, True), name


def test_another_message_put_in_place_with_all_its_hashes_fails_by_the_signature(theirs, other_document) -> None:
    row = theirs()
    row.raw, row.payload = Blob.put(other_document), Blob.put(b"ISA*forged~")
    row.save()
    with unguarded():
        Event.objects.filter(transmission=row, name="transmission.stored").update(data={"seal": row.seal()})
    code, printed = verify(row.pk)
    assert (code, failed(printed)) == (1, ["What came opens and is in order"])


@pytest.fixture
def other_document(supplier, our_key) -> bytes:
    """Well encrypted for us, and signed by somebody who is not ACME: ourselves."""
    forger = replace(supplier.terms, our_signing=(our_key,))
    return as2.build_message(b"ISA*forged~", terms=forger, message_id="<m1@acme.example>", file_name=None).body


@pytest.mark.parametrize("lost", ["key", "keystore secret"])
def test_without_our_private_key_it_is_said_what_cannot_be_shown_any_more(theirs, lost: str, settings) -> None:
    row = theirs()
    if lost == "key":
        PrivateKey.objects.all().delete()
    else:
        settings.KEYSTORE_SECRET = "another secret of sufficient length, but wrong"
    code, printed = verify(row.pk)
    assert code == 1
    assert failed(printed) == []
    assert "? What came opens to the payload, and is signed by the partner" in printed
    assert "The receipt is signed by us, with" in printed


def test_a_message_without_a_receipt_asked_rests_on_its_signature(theirs) -> None:
    row = theirs(Disposition_Notification_To=None, Disposition_Notification_Options=None)
    code, printed = verify(row.pk)
    assert (code, failed(printed), "receipt" in printed.lower()) == (0, [], False)


def test_a_refused_message_is_not_proved_and_says_why_it_was_refused(theirs, supplier, our_key) -> None:
    code, printed = verify(theirs(terms=replace(supplier.terms, our_signing=(our_key,))).pk)
    assert (code, failed(printed)) == (1, ["We accepted the message"])
    assert "it was refused: the signer is none of the partner's certificates" in printed


def test_what_came_with_a_message_is_proved_with_it(theirs) -> None:
    drawing = as2.Attachment(content=b"%PDF-1.7", content_type="application/pdf", file_name="drawing.pdf")
    row = theirs(attachments=[drawing])
    code, printed = verify(row.belongings.get().pk)
    assert (code, failed(printed)) == (0, [])
    assert "What came with it is kept, byte for byte" in printed
    flip(row.belongings.get(), "raw", 0.5)
    assert failed(verify(row.pk)[1])[-1] == "What came with it is kept, byte for byte"


def test_a_receipt_of_ours_that_went_by_a_request_of_its_own_is_looked_at(theirs) -> None:
    As2Link.objects.update(url="https://as2.acme.example/in")
    row = theirs(Receipt_Delivery_Option="https://as2.acme.example/mdn")
    code, printed = verify(row.pk)
    assert (code, failed(printed)) == (0, [])
    assert "The receipt is signed by us, with" in printed
    receipt = row.belongings.get()
    assert verify(receipt.pk)[1] == printed
    for at in (0.0, 0.1, 0.5, 1.0):
        flip(receipt, "raw", at)
        code, printed = verify(row.pk)
        assert (code, f"these have not: mdn {receipt.pk}" in printed) == (1, True)


def test_a_changed_header_of_a_receipt_that_came_by_itself_is_noticed(ours, supplier, client: Client) -> None:
    row, receipt = _receipted_later(ours, supplier, client)
    receipt.headers = {**receipt.headers, "Date": "Thu, 01 Jan 1970 00:00:00 GMT"}
    receipt.save()
    code, printed = verify(row.pk)
    assert (code, f"the audit trail noted others for {receipt}" in printed) == (1, True)


def test_a_receipt_of_theirs_that_came_by_a_request_of_its_own_is_looked_at(ours, supplier, client: Client) -> None:
    row, receipt = _receipted_later(ours, supplier, client)
    code, printed = verify(row.pk)
    assert (code, failed(printed)) == (0, [])
    assert verify(receipt.pk)[1] == printed


def _receipted_later(ours, supplier, client: Client) -> tuple[Transmission, Transmission]:
    """A message of ours, not proved before its receipt came, and that receipt."""
    OwnIdentity.objects.update(as2_url="https://as2.plant.example/as2")
    supplier.answer = lambda headers, body: (204, {}, b"")
    row = ours(async_mdn=True)
    assert verify(row.pk)[0] == 1
    got = as2.receive(row.headers, row.raw.content, supplier.terms)
    mdn = as2.build_mdn(row.headers, terms=supplier.terms, mic=(got.mic, got.mic_algorithm), text="Taken.")
    headers = {name: value for name, value in mdn.headers.items() if name not in {"Content-Type", "Content-Length"}}
    client.generic("POST", "/as2", mdn.body, content_type=mdn.headers["Content-Type"], headers=headers)
    return row, row.belongings.get()


def test_a_signature_accepted_in_the_days_of_grace_is_said_to_be_that(theirs, acme, supplier) -> None:
    expired = make_identity("acme.example", days=30, now=timezone.now() - timedelta(days=40))
    Certificate.objects.create(partner=acme, certificate_pem=expired.certificate_pem.decode())
    As2Link.objects.update(expired_grace_days=30)
    code, printed = verify(theirs(terms=replace(supplier.terms, our_signing=(expired,))).pk)
    assert (code, "was accepted in its days of grace" in printed) == (0, True)


# -- for somebody else


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, text=True, timeout=30)


def commands(folder: Path) -> list[str]:
    """The commands of README.txt, as somebody would copy them."""
    text = (folder / "README.txt").read_text().replace("\\\n", " ")
    return [line.strip() for line in text.splitlines() if line.strip().startswith(("openssl", "grep"))]


@pytest.fixture
def _openssl() -> None:
    need(shutil.which("openssl"), "the openssl command: install OpenSSL")


@pytest.mark.usefixtures("_openssl")
def test_what_is_exported_proves_our_message_with_openssl_alone(ours, tmp_path: Path) -> None:
    code, printed = verify(ours(compressed=True).pk, "--export", tmp_path / "case")
    assert (code, "Written to" in printed) == (0, True)
    folder = tmp_path / "case"
    check, read, digest = (run(command, folder) for command in commands(folder))
    assert (check.returncode, "successful" in check.stderr) == (0, True)
    assert digest.stdout in read.stdout
    assert len(digest.stdout) == 44
    assert (folder / "payload.bin").read_bytes() == DOCUMENT
    for name in ("receipt-signed.bin", "covered.bin"):
        altered = bytearray((folder / name).read_bytes())
        altered[len(altered) // 2] ^= 1
        (folder / name).write_bytes(altered)
    check, _read, other = (run(command, folder) for command in commands(folder))
    assert check.returncode != 0
    assert other.stdout != digest.stdout


@pytest.mark.usefixtures("_openssl")
def test_what_is_exported_proves_their_message_with_openssl_alone(theirs, tmp_path: Path) -> None:
    row = theirs()
    assert verify(row.pk, "--export", tmp_path)[0] == 0
    check, digest = (run(command, tmp_path) for command in commands(tmp_path))
    assert (check.returncode, "successful" in check.stderr) == (0, True)
    assert digest.stdout == row.digests["sha256"]
    assert DOCUMENT in (tmp_path / "covered.bin").read_bytes()
    assert not [file for file in tmp_path.iterdir() if b"PRIVATE" in file.read_bytes()]


def test_nothing_is_exported_where_nothing_is_signed(ours, supplier, tmp_path: Path) -> None:
    supplier.answer = lambda headers, body: (200, {}, b"")
    code, said = verify(ours().pk, "--export", tmp_path / "case")
    assert (code, "no receipt to show" in said, (tmp_path / "case").exists()) == (2, True, False)
