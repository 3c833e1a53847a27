"""What the AS2 door answers, keeps and tells staff, for good messages and for every kind of bad one."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.db import OperationalError
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from gateway import outbox
from gateway.endpoints.as2_guard import FAILURES, HEARSAY, KEPT_BYTES, KEPT_FAILURES
from gateway.models import Blob, Delivery, Event, ExceptionCase, Transmission
from gateway.transports import as2
from partners.models import As2Link, Certificate, OwnIdentity, PrivateKey, TradingPartner
from partners.profiles import As2Terms, CertificateRef
from tests.gateway.endpoints.conftest import ACK, Message

Make = Callable[..., Message]
Post = Callable[[Message], HttpResponse]

pytestmark = pytest.mark.django_db


def receipt(answer: HttpResponse, sent: as2.Outgoing | None, terms: As2Terms) -> as2.Receipt:
    assert sent is not None
    return as2.read_mdn(
        dict(answer.items()), answer.content, message_id=sent.message_id, digests=sent.digests, terms=terms
    )


def cases() -> list[tuple[str, int]]:
    return list(ExceptionCase.objects.order_by("pk").values_list("reason", "occurrences"))


# -- a good message


def test_a_good_message_is_stored_with_its_work_and_its_signed_receipt(
    acme: TradingPartner, their_terms: As2Terms, post_as2: Post
) -> None:
    sent = as2.build_message(ACK, terms=their_terms, message_id="<m1@acme.example>", file_name="855.edi")
    answer = post_as2(Message(sent.headers, sent.body))
    assert answer.status_code == 200
    assert receipt(answer, sent, their_terms).verdict == as2.Verdict.DELIVERED
    row = Transmission.objects.get()
    assert (row.partner, row.channel, row.format, row.state) == (acme, "as2", "x12", "stored")
    assert (row.message_id, row.file_name) == ("<m1@acme.example>", "855.edi")
    assert row.raw.content == sent.body
    assert row.payload is not None and row.payload.content == ACK
    assert row.answer is not None and row.answer.content == answer.content
    assert row.digests == {"sha256": base64.b64encode(sent.digests["sha256"]).decode()}
    assert row.headers["AS2-From"] == "ACME-AS2"
    assert Delivery.objects.get().kind == "translate"
    assert cases() == []
    told = Event.objects.get(name="transmission.stored").data
    assert told["signer"] == their_terms.our_signing[0].fingerprint
    assert told["decrypted_with"] == their_terms.their_encryption[0].fingerprint
    assert told["layers"] == ["encrypted aes256_cbc", "signed sha256"]
    assert row.evidence == {name: told[name] for name in ("signer", "decrypted_with", "layers")}


def test_the_receipt_says_its_length_and_a_slash_more_is_no_redirect(
    acme: TradingPartner, message: Make, client: Client
) -> None:
    made = message()
    headers = {name: value for name, value in made.headers.items() if name != "Content-Type"}
    answer = client.generic("POST", "/as2/", made.body, content_type=made.headers["Content-Type"], headers=headers)
    assert answer.status_code == 200
    assert int(answer["Content-Length"]) == len(answer.content) > 0


def test_a_repeat_gets_the_stored_receipt_byte_for_byte(acme: TradingPartner, message: Make, post_as2: Post) -> None:
    same = message()
    first, again = post_as2(same), post_as2(same)
    assert again.content == first.content
    assert dict(again.items()) == dict(first.items())
    assert Transmission.objects.count() == 1


def test_a_repeat_that_was_encrypted_anew_is_a_repeat(acme: TradingPartner, message: Make, post_as2: Post) -> None:
    first, again = post_as2(message()), post_as2(message())
    assert again.content == first.content
    assert Transmission.objects.count() == 1


def test_a_repeat_is_answered_even_after_its_certificate_has_gone(
    acme: TradingPartner, message: Make, post_as2: Post
) -> None:
    same = message()
    first = post_as2(same)
    Certificate.objects.filter(partner=acme).delete()
    assert post_as2(same).content == first.content
    assert cases() == []


def test_an_id_is_the_same_with_and_without_its_brackets(acme: TradingPartner, message: Make, post_as2: Post) -> None:
    first = post_as2(message(Message_ID="m1@acme.example"))
    assert b"Original-Message-ID: m1@acme.example\r\n" in first.content
    again = post_as2(message(Message_ID="<m1@acme.example>"))
    assert again.content == first.content
    row = Transmission.objects.get()
    assert (row.message_id, row.headers["Message-ID"]) == ("<m1@acme.example>", "m1@acme.example")


def test_no_receipt_asked_no_receipt_given(acme: TradingPartner, message: Make, post_as2: Post) -> None:
    answer = post_as2(message(Disposition_Notification_To=None, Disposition_Notification_Options=None))
    assert (answer.status_code, answer.content, answer["Content-Length"]) == (200, b"", "0")
    assert Transmission.objects.get().state == "stored"


def test_an_unsigned_receipt_is_given_where_no_signature_is_asked(
    acme: TradingPartner, message: Make, post_as2: Post
) -> None:
    answer = post_as2(message(Disposition_Notification_Options=None))
    assert answer["Content-Type"].startswith("multipart/report")


def test_a_signature_under_a_certificate_in_its_days_of_grace_is_noted(
    acme: TradingPartner, their_terms: As2Terms, message: Make, post_as2: Post
) -> None:
    Certificate.objects.filter(partner=acme).update(not_after=timezone.now() - timedelta(days=3))
    assert b"authentication-failed" in post_as2(message()).content
    As2Link.objects.update(expired_grace_days=5)
    assert b"processed\r\n" in post_as2(message()).content
    row = Transmission.objects.get(state="stored")
    assert row.evidence["signer_expired"] is True
    assert Event.objects.get(name="transmission.stored").data["signer_expired"] is True


def test_cookies_and_credentials_are_not_kept(acme: TradingPartner, message: Make, post_as2: Post) -> None:
    post_as2(message(Authorization="Basic c2VjcmV0", Cookie="a=b"))
    assert {"Authorization", "Cookie"}.isdisjoint(Transmission.objects.get().headers)


# -- messages that are refused but kept


def test_other_content_under_a_used_id_is_refused_and_shown(
    acme: TradingPartner, message: Make, post_as2: Post
) -> None:
    post_as2(message())
    answer = post_as2(message(payload=ACK.replace(b"*40*EA*3.15", b"*41*EA*3.15")))
    assert answer.status_code == 200
    assert b"processed/error" in answer.content
    assert sorted(Transmission.objects.values_list("state", flat=True)) == ["refused", "stored"]
    assert cases() == [("id_conflict", 1)]


def _wrongly_signed(terms: As2Terms, other: CertificateRef) -> As2Terms:
    return replace(terms, our_signing=(other,))


def _for_somebody_else(terms: As2Terms, other: CertificateRef) -> As2Terms:
    return replace(terms, their_encryption=(other,))


def _unsigned(terms: As2Terms, other: CertificateRef) -> As2Terms:
    return replace(terms, signed=False)


def _unencrypted(terms: As2Terms, other: CertificateRef) -> As2Terms:
    return replace(terms, encrypted=False)


def _plain(terms: As2Terms, other: CertificateRef) -> As2Terms:
    return replace(terms, signed=False, encrypted=False)


@pytest.mark.parametrize(
    ("change", "disposition"),
    [
        (_wrongly_signed, b"authentication-failed"),
        (_for_somebody_else, b"authentication-failed"),
        (_unsigned, b"authentication-failed"),
        (_unencrypted, b"insufficient-message-security"),
        (_plain, b"insufficient-message-security"),
    ],
)
def test_a_message_below_the_terms_is_refused_kept_and_shown(
    change: Callable[[As2Terms, CertificateRef], As2Terms],
    disposition: bytes,
    acme: TradingPartner,
    other_key: CertificateRef,
    their_terms: As2Terms,
    message: Make,
    post_as2: Post,
) -> None:
    made = message(terms=change(their_terms, other_key))
    answer = post_as2(made)
    assert answer.status_code == 200
    assert b"processed/error: " + disposition in answer.content
    row = Transmission.objects.get()
    assert (row.state, row.raw.content) == ("refused", made.body)
    assert row.reason != ""
    assert Delivery.objects.count() == 0
    assert cases() == [("signature_refused", 1)]


def test_what_could_be_opened_of_a_refused_message_is_in_quarantine(
    acme: TradingPartner, other_key: CertificateRef, their_terms: As2Terms, message: Make, post_as2: Post
) -> None:
    post_as2(message(terms=_unsigned(their_terms, other_key)))
    row = Transmission.objects.get()
    assert (row.state, row.payload.content, row.reason) == ("refused", ACK, "it is not signed")
    assert Delivery.objects.count() == 0


def test_of_what_could_not_be_opened_there_is_nothing_in_quarantine(
    acme: TradingPartner, other_key: CertificateRef, their_terms: As2Terms, message: Make, post_as2: Post
) -> None:
    made = message()
    post_as2(Message(made.headers, b"garbage"))
    assert Transmission.objects.get().payload is None


def test_the_refused_message_keeps_no_id_so_its_correction_gets_in(
    acme: TradingPartner, other_key: CertificateRef, their_terms: As2Terms, message: Make, post_as2: Post
) -> None:
    post_as2(message(terms=_wrongly_signed(their_terms, other_key)))
    answer = post_as2(message())
    assert b"processed\r\n" in answer.content
    assert sorted(Transmission.objects.values_list("state", flat=True)) == ["refused", "stored"]


def test_the_same_fault_again_counts_its_case_up(
    acme: TradingPartner, other_key: CertificateRef, their_terms: As2Terms, message: Make, post_as2: Post
) -> None:
    for number in range(3):
        post_as2(message(f"<m{number}@acme.example>", terms=_wrongly_signed(their_terms, other_key)))
    assert cases() == [("signature_refused", 3)]


def test_garbage_without_a_receipt_asked_is_a_plain_400(acme: TradingPartner, message: Make, post_as2: Post) -> None:
    made = message(Disposition_Notification_To=None)
    answer = post_as2(Message(made.headers, b"garbage"))
    assert (answer.status_code, answer["Content-Type"]) == (400, "text/plain; charset=us-ascii")
    assert Transmission.objects.get().state == "refused"


def test_who_guesses_at_our_keys_is_told_to_wait(acme: TradingPartner, message: Make, post_as2: Post) -> None:
    made = message()
    for _ in range(20):
        assert post_as2(Message(made.headers, b"garbage")).status_code == 200
    answer = post_as2(Message(made.headers, b"garbage"))
    assert (answer.status_code, answer["Retry-After"]) == (429, str(FAILURES.per_s))
    assert Transmission.objects.count() == 20
    cache.clear()
    assert b"processed\r\n" in post_as2(made).content


def test_from_however_many_addresses_failures_fill_no_disk_and_keep_no_good_message_out(
    acme: TradingPartner, message: Make, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KEPT_FAILURES, "_most", 3)
    made = message()

    def post_from(address: str, body: bytes) -> HttpResponse:
        headers = {name: value for name, value in made.headers.items() if name != "Content-Type"}
        kind = made.headers["Content-Type"]
        answer = client.generic("POST", "/as2", body, content_type=kind, headers=headers, REMOTE_ADDR=address)
        assert isinstance(answer, HttpResponse)
        return answer

    said = [post_from(f"192.0.2.{number}", b"garbage").status_code for number in range(5)]
    assert said == [200, 200, 200, 429, 429]
    assert Transmission.objects.filter(state="refused").count() == 3
    assert b"processed\r\n" in post_from("192.0.2.99", made.body).content


@pytest.mark.parametrize("state", ["draft", "suspended"])
def test_a_partner_that_is_not_active_is_refused_and_told(
    state: str, acme: TradingPartner, message: Make, post_as2: Post
) -> None:
    TradingPartner.objects.update(state=state)
    answer = post_as2(message())
    assert b"processed/error: unknown-trading-relationship" in answer.content
    row = Transmission.objects.get()
    assert (row.state, Delivery.objects.count()) == ("refused", 0)
    assert row.payload is not None and row.payload.content == ACK
    assert cases() == [("partner_inactive", 1)]


def test_a_partner_in_testing_is_received(acme: TradingPartner, message: Make, post_as2: Post) -> None:
    TradingPartner.objects.update(state="testing")
    post_as2(message())
    assert Transmission.objects.get().state == "stored"


def test_without_a_key_of_ours_the_sender_is_asked_to_come_again(
    acme: TradingPartner, plant: OwnIdentity, message: Make, post_as2: Post
) -> None:
    made = message()
    Certificate.objects.filter(own_identity=plant).delete()
    answer = post_as2(made)
    assert (answer.status_code, answer["Retry-After"]) == (503, "60")
    assert Transmission.objects.get().state == "refused"
    assert cases() == [("terms_unusable", 1)]


def test_a_suspended_partner_does_not_fill_our_disks(
    acme: TradingPartner, message: Make, post_as2: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KEPT_FAILURES, "_most", 2)
    TradingPartner.objects.update(state="suspended")
    said = [post_as2(message(f"<m{number}@acme.example>")).status_code for number in range(4)]
    assert said == [200, 200, 429, 429]
    assert Transmission.objects.count() == 2


def test_while_a_key_of_ours_does_not_open_senders_are_asked_to_come_again(
    acme: TradingPartner, message: Make, post_as2: Post, caplog: pytest.LogCaptureFixture
) -> None:
    sealed = PrivateKey.objects.get()
    ciphertext = bytes(sealed.ciphertext)
    PrivateKey.objects.update(ciphertext=bytes([ciphertext[0] ^ 1]) + ciphertext[1:])
    answer = post_as2(message())
    assert (answer.status_code, answer["Retry-After"]) == (503, "60")
    assert b"cannot open messages" in answer.content
    assert [record for record in caplog.records if record.name == "gateway.endpoints.as2"]
    PrivateKey.objects.update(ciphertext=ciphertext)
    assert post_as2(message()).status_code == 200


def test_large_failures_fill_no_disk_either(
    acme: TradingPartner, message: Make, post_as2: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = message(payload=ACK + b" " * 100_000)
    monkeypatch.setattr(KEPT_BYTES, "_most", 2 * len(made.body) + 1)
    Certificate.objects.filter(partner=acme).delete()
    said = [post_as2(made).status_code for _ in range(4)]
    # Each counts twice, as it came and as it was opened: after the second the allowance is used up.
    assert said == [200, 200, 429, 429]
    assert Transmission.objects.count() == 2


def test_while_we_have_no_key_what_comes_is_kept_within_bounds_and_always_asked_to_come_again(
    acme: TradingPartner, plant: OwnIdentity, message: Make, post_as2: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KEPT_FAILURES, "_most", 2)
    made = message()
    Certificate.objects.filter(own_identity=plant).delete()
    assert {post_as2(made).status_code for _ in range(4)} == {503}
    assert Transmission.objects.count() == 2


# -- requests that leave nothing but an answer


BAD_REQUESTS = [
    ("AS2-From missing", {"AS2_From": None}, 400),
    ("AS2-To missing", {"AS2_To": None}, 400),
    ("Message-ID missing", {"Message_ID": None}, 400),
    ("AS2-From twice", {"AS2_From": "ACME-AS2, ACME-AS2"}, 400),
    ("Message-ID twice", {"Message_ID": "<a@b>, <c@d>"}, 400),
    ("AS2-From of 300 characters", {"AS2_From": "A" * 300}, 400),
    ("Message-ID of 300 characters", {"Message_ID": f"<{'a' * 300}@b>"}, 400),
    ("AS2-From with a line break", {"AS2_From": "ACME\r\nAS2"}, 400),
    ("Message-ID with NUL", {"Message_ID": "<a\0b@c>"}, 400),
    ("AS2-To not ASCII", {"AS2_To": "PLÄNT"}, 400),
    ("headers without end", {f"X_Filler_{number}": "x" for number in range(120)}, 400),
    ("a header of 9,000 characters", {"Subject": "x" * 9_000}, 400),
    ("badly quoted name", {"AS2_To": '"PLANT AS2'}, 400),
    ("asynchronous receipt", {"Receipt_Delivery_Option": "http://169.254.169.254/"}, 400),
]


@pytest.mark.parametrize(("headers", "status"), [row[1:] for row in BAD_REQUESTS], ids=[row[0] for row in BAD_REQUESTS])
def test_headers_that_name_no_message_are_answered_in_plain_text(
    headers: dict[str, str | None], status: int, acme: TradingPartner, message: Make, post_as2: Post
) -> None:
    answer = post_as2(message(**headers))
    assert (answer.status_code, answer["Content-Type"]) == (status, "text/plain; charset=us-ascii")
    assert (Transmission.objects.count(), Blob.objects.count()) == (0, 0)


def test_a_stranger_gets_one_constant_text_and_costs_one_case(
    acme: TradingPartner, message: Make, post_as2: Post
) -> None:
    stranger, wrong_door = message(AS2_From="NOBODY"), message(AS2_To="SOMEBODY ELSE")
    answers = {(one.status_code, one.content) for one in map(post_as2, [stranger, stranger, wrong_door])}
    assert answers == {(403, b"No trading partnership covers this message.\n")}
    assert (Transmission.objects.count(), Blob.objects.count()) == (0, 0)
    assert cases() == [("unknown_partner", 2), ("unknown_partner", 1)]


def test_upper_and_lower_case_tell_two_names_apart(acme: TradingPartner, message: Make, post_as2: Post) -> None:
    assert post_as2(message(AS2_From="acme-as2")).status_code == 403


def test_a_flood_of_strangers_ends_in_one_common_case_and_an_allowance(
    acme: TradingPartner, message: Make, post_as2: Post
) -> None:
    made = message()
    answers = {post_as2(Message({**made.headers, "AS2-From": f"N{n}"}, b"")).content for n in range(70)}
    assert answers == {b"No trading partnership covers this message.\n"}
    assert ExceptionCase.objects.count() == 51
    assert ExceptionCase.objects.get(fingerprint="unknown_partner:as2:others").occurrences == 10
    assert HEARSAY.used_up()


def test_a_message_longer_than_agreed_is_not_read(acme: TradingPartner, message: Make, post_as2: Post) -> None:
    made = message()
    answer = post_as2(Message(made.headers, b"x" * (1024 * 1024 + 1)))
    assert answer.status_code == 413
    assert Transmission.objects.count() == 0
    assert cases() == [("refused_unread", 1)]


def test_a_body_without_a_length_is_never_taken_for_an_empty_one(
    acme: TradingPartner, message: Make, client: Client
) -> None:
    made = message()
    headers = {name: value for name, value in made.headers.items() if name != "Content-Type"}
    answer = client.generic(
        "POST", "/as2", b"", content_type=made.headers["Content-Type"], headers=headers, CONTENT_LENGTH=""
    )
    assert answer.status_code == 411


def test_only_post_is_taken(client: Client) -> None:
    answer = client.get("/as2")
    assert (answer.status_code, answer["Allow"]) == (405, "POST")


# -- when nothing can be stored


def test_a_database_that_takes_nothing_is_never_answered_processed(
    acme: TradingPartner, message: Make, post_as2: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OperationalError("database or disk is full")

    made = message()
    monkeypatch.setattr(outbox, "enqueue", full)
    answer = post_as2(made)
    assert (answer.status_code, answer["Retry-After"]) == (503, "60")
    assert b"processed" not in answer.content
    assert Transmission.objects.count() == 0
    monkeypatch.undo()
    assert b"processed\r\n" in post_as2(made).content


def test_no_log_line_holds_a_payload_or_a_password(
    acme: TradingPartner, message: Make, post_as2: Post, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    caplog.set_level("DEBUG", logger="django.request")
    made = message(Authorization="Basic SWORDFISH")
    post_as2(made)
    post_as2(Message(made.headers, b"garbage"))
    post_as2(Message({**made.headers, "AS2-From": "NOBODY"}, b"garbage"))
    assert [one.message.partition(":")[0] for one in caplog.records] == ["stored"]  # who is refused is counted
    assert not any(secret in caplog.text for secret in ("SWORDFISH", "4500018231", "M8-40-ZN", "garbage"))


def test_padding_variants_of_a_captured_message_all_get_one_answer(
    acme: TradingPartner, message: Make, post_as2: Post
) -> None:
    """What an eavesdropper could learn from: the disposition and the text, which must not depend on the last byte."""
    made = message()
    said = set()
    for last in range(16):
        cache.clear()
        body = made.body[:-1] + bytes([made.body[-1] ^ (last + 1)])
        answer = post_as2(Message(made.headers, body))
        said.add(
            tuple(line for line in answer.content.splitlines() if line.startswith((b"Disposition:", b"The message")))
        )
    assert len(said) == 1
    assert Transmission.objects.filter(state="stored").count() == 0
