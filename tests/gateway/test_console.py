"""The staff pages: what procurement sees and decides, who may, and what never reaches a browser as markup."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import transaction
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from edi_maps import canonical
from gateway import exception_queue, order_book, outbox, states
from gateway.exception_queue import REASONS
from gateway.models import (
    Blob,
    CaseState,
    Delivery,
    DeliveryKind,
    DeliveryState,
    Document,
    DocumentState,
    ErpConnection,
    ErpToken,
    Event,
    ExceptionCase,
    Order,
    QueueEntry,
    Transmission,
)
from gateway.pipeline import release
from partners.models import TradingPartner
from partners.profiles import AckTerms
from tests.gateway.rows import a_document

#: Markup, handlers, template syntax, a breakout of every kind of quote, and an override of the writing direction.
XSS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg/onload=alert(1)>",
    "javascript:alert(1)",
    "{{ 7|add:7 }}{% now 'Y' %}",
    "</pre></td><iframe src=//evil.example>",
    "\u202etxt.exe",
    "<a href='x' style='x'>&lt;b&gt;&amp;",
]
NASTY = " ".join(XSS)

EDI = (
    "ISA*00*          *00*          *ZZ*ACME           *ZZ*OURS           *260302*1200*U*00401*000000007*0*P*>~"
    "GS*PR*ACME*OURS*20260302*1200*7*X*004010~"
    "ST*855*0001~BAK*00*AC*4711*20260301~PO1*10*100*EA*2.5**BP*B-77~ACK*IB*20*EA~CTT*1~SE*6*0001~"
    "ST*855*0002~BAK*00*AD*4712*20260301~CTT*0~SE*4*0002~"
    "GE*2*7~IEA*1*000000007~"
)


# -- givens


@pytest.fixture
def partner(db):
    return TradingPartner.objects.create(code="ACME", name="Acme Castings", state="live")


@pytest.fixture
def order(partner):
    erp = ErpConnection.objects.create(code="ERP1", base_url="https://erp.example/")
    record = canonical.load(
        {
            "type": "purchase_order",
            "number": "4711",
            "currency": "EUR",
            "lines": [
                {
                    "line_number": "10",
                    "quantity": "100",
                    "unit": "EA",
                    "unit_price": "2.50",
                    "description": "Bracket",
                    "product_ids": [{"kind": "buyer_part", "value": "B-77"}],
                    "dates": {"requested_delivery": "2026-04-10"},
                }
            ],
        }
    )
    assert isinstance(record, canonical.PurchaseOrder)
    with transaction.atomic():
        return order_book.release(
            connection=erp,
            company="1000",
            number="4711",
            erp_key="1000:4711",
            revision=1,
            cancelled=False,
            record=record,
            partner_id=partner.pk,
            ack_due_at=timezone.now() + timedelta(hours=24),
            now=timezone.now() - timedelta(hours=3),
        ).order


@pytest.fixture
def document(order):
    message = Transmission.objects.create(
        direction="inbound",
        channel="as2",
        partner=order.partner,
        format="x12",
        message_id="<855-1@acme.example>",
        raw=Blob.put(b"\x30\x82wrapped"),
        payload=Blob.put(EDI.encode()),
        answer=Blob.put(b"an MDN"),
    )
    record = {
        "type": "order_acknowledgment",
        "schema_version": "1",
        "order_number": "4711",
        "disposition": "exceptions_only",
        "lines": [
            {
                "line_number": "10",
                "responses": [
                    {"status": "accepted", "quantity": "80"},
                    {"status": "backordered", "quantity": "20", "code": "IB"},
                ],
            }
        ],
    }
    row = Document.objects.create(
        direction="inbound",
        channel="as2",
        partner=order.partner,
        transmission=message,
        correlation_id=message.correlation_id,
        order=order,
        type="order_acknowledgment",
        format="x12",
        code="855",
        group_control="7",
        set_control="0001",
        number="4711",
        record=record,
        findings=[
            {
                "code": "x",
                "severity": "warning",
                "segment": "ACK",
                "element": 1,
                "position": 4,
                "text": "ACK01 says IB.",
                "fix": "Send another code.",
                "actor": "partner",
            }
        ],
    )
    states.advance(row, DocumentState.TRANSLATED)
    return row


@pytest.fixture
def case(document):
    """A backorder that waits for procurement, as the pipeline holds it."""
    record = canonical.load(document.record)
    assert isinstance(record, canonical.OrderAcknowledgment)
    with transaction.atomic():
        states.advance(document, DocumentState.HELD)
        differences = order_book.compare_acknowledgment(document.order, record, AckTerms())
        return exception_queue.open_case(
            "acknowledgment_differs",
            summary="ACME answers order 4711 with a backorder",
            fingerprint="acknowledgment_differs:1",
            detail={"lines": [one.as_dict() for one in differences], "findings": document.findings},
            document=document,
        )


def opened(reason: str, **more: Any) -> ExceptionCase:
    more.setdefault("summary", f"about {reason}")
    with transaction.atomic():
        return exception_queue.open_case(reason, fingerprint=f"{reason}:{ExceptionCase.objects.count()}", **more)


def person(name: str, *permissions: str) -> User:
    user = User.objects.create_user(name, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return user


def browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def boss(db):
    return User.objects.create_superuser("kim")


@pytest.fixture
def site(boss):
    return browser(boss)


def text(response: Any) -> str:
    body: str = response.content.decode()
    return body


def words(response: Any) -> str:
    """What a reader sees."""
    return html.unescape(" ".join(re.sub(r"<[^>]+>", " ", text(response)).split()))


class _Markup(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.offences: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        if tag in {"iframe", "object", "embed", "style", "base"} or (tag == "script" and not names.get("src")):
            self.offences.append(tag)
        self.offences += [name for name in names if name.startswith("on") or name == "style"]
        self.offences += [value for value in names.values() if value and value.lower().startswith("javascript:")]


def markup_offences(response: Any) -> list[str]:
    parser = _Markup()
    parser.feed(text(response))
    return parser.offences


# -- the queue


def test_an_empty_queue_says_that_nothing_waits(site):
    assert "Nothing waits for you" in words(site.get(reverse("console:queue")))


def test_the_queue_shows_what_is_due_first(site, partner):
    late = opened("ack_late", partner_id=partner.pk, now=timezone.now() - timedelta(days=3))
    soon = opened("signature_refused", partner_id=partner.pk)
    page = site.get(reverse("console:queue"))
    assert [row.pk for row in page.context["found"].rows] == [late.pk, soon.pk]
    assert "overdue" in words(page)
    assert "Supplier has not answered in time" in words(page)


def test_the_queue_is_narrowed_by_every_filter(site, boss, partner):
    mine = opened("ack_late", partner_id=partner.pk, now=timezone.now() - timedelta(days=3))
    exception_queue.assign(mine, boss, actor="kim")
    theirs = opened("poison")
    done = opened("poison", summary="done")
    exception_queue.resolve(done, "closed", actor="kim")

    def shown(**query: str) -> list[int]:
        return [row.pk for row in site.get(reverse("console:queue"), query).context["found"].rows]

    assert shown(owner="me") == [mine.pk]
    assert shown(owner="nobody") == [theirs.pk]
    assert shown(owner=str(boss.pk)) == [mine.pk]
    assert shown(team="operations") == [theirs.pk]
    assert shown(reason="poison") == [theirs.pk]
    assert shown(partner=str(partner.pk)) == [mine.pk]
    assert shown(due="overdue") == [mine.pk]
    assert shown(state="resolved") == [done.pk]
    assert len(shown(state="all")) == 3


@pytest.mark.parametrize(
    "query", ["team=x", "owner=x", "owner=99", "partner=abc", "page=x", "page=99", "state='", "due=1"]
)
def test_a_filter_nobody_offers_is_no_error(site, partner, query):
    opened("poison")
    assert site.get(f"{reverse('console:queue')}?{query}").status_code == 200


def test_a_filter_without_a_match_says_so(site, partner):
    opened("poison")
    assert "Nothing matches" in words(site.get(reverse("console:queue"), {"due": "overdue"}))


def test_many_cases_are_given_to_a_person_at_once(site, partner):
    lee = person("lee", "view_exceptioncase")
    cases = [opened("poison"), opened("ack_late")]
    done = opened("poison")
    exception_queue.resolve(done, "closed", actor="kim")
    page = site.post(
        reverse("console:assign"),
        {"case": [*(str(one.pk) for one in cases), str(done.pk)], "owner": lee.pk, "note": "Your plant."},
        follow=True,
    )
    assert "2 cases assigned to lee." in words(page)
    assert "1 not assigned: resolved meanwhile." in words(page)
    assert {one.owner for one in ExceptionCase.objects.filter(state="open")} == {lee}
    assert cases[0].history.last().note == "To lee. Your plant."


def test_a_case_can_be_given_back_to_the_team(site, boss, partner):
    one = opened("poison")
    exception_queue.assign(one, boss, actor="kim")
    site.post(reverse("console:assign"), {"case": one.pk, "owner": "", "note": ""})
    one.refresh_from_db()
    assert one.owner is None


@pytest.mark.parametrize("given", [{"owner": ""}, {"case": "abc", "owner": ""}, {"case": "1", "owner": "9999"}])
def test_an_assignment_that_makes_no_sense_changes_nothing(site, partner, given):
    one = opened("poison")
    assert "Nothing was assigned" in words(site.post(reverse("console:assign"), given, follow=True))
    assert one.history.count() == 1


@pytest.mark.parametrize("back", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "/\\evil.example"])
def test_after_assigning_nobody_is_sent_elsewhere(site, back):
    assert site.post(reverse("console:assign"), {"back": back})["Location"] == reverse("console:queue")


# -- a case


def test_a_case_shows_both_sides_in_words_and_who_acts_next(site, case):
    page = words(site.get(reverse("console:case", args=[case.pk])))
    assert "Line 10: 20 of 100 EA backordered, 80 confirmed." in page
    assert "ACK01 says IB." in page
    assert "Next to act: the supplier" in page
    assert REASONS["acknowledgment_differs"].runbook.split(".")[0] in page


def test_a_case_offers_what_its_reason_offers(site, case):
    page = text(site.get(reverse("console:case", args=[case.pk])))
    for choice in ("accept", "replay", "discard"):
        assert reverse("console:decision", args=[case.pk, choice]) in page
    for choice in ("retry", "close"):
        assert reverse("console:decision", args=[case.pk, choice]) not in page
        assert site.get(reverse("console:decision", args=[case.pk, choice])).status_code == 404


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_has_a_page_and_says_what_each_choice_does(site, partner, reason):
    one = opened(reason, partner_id=partner.pk, detail={"why": "the ERP's own words", "message_id": "<1@x>"})
    page = site.get(reverse("console:case", args=[one.pk]))
    assert REASONS[reason].title in words(page)
    assert "the ERP's own words" in words(page)
    assert [choice for choice, _ in page.context["choices"]] == list(REASONS[reason].choices)
    assert all(effect in words(page) for _, effect in page.context["choices"])


def test_a_reason_of_another_release_can_still_be_closed(site, partner):
    one = opened("poison")
    ExceptionCase.objects.filter(pk=one.pk).update(reason="long_gone", detail={"lines": "no list", "findings": 5})
    assert "long_gone" in words(site.get(reverse("console:queue")))
    assert "long_gone" in words(site.get(reverse("console:case", args=[one.pk])))
    site.post(reverse("console:decision", args=[one.pk, "close"]))
    one.refresh_from_db()
    assert one.resolution == "closed"


def test_asking_changes_nothing(site, case):
    page = site.get(reverse("console:decision", args=[case.pk, "accept"]))
    assert "The answer goes into the order book as it is, and on to the ERP." in words(page)
    case.refresh_from_db()
    assert case.state == CaseState.OPEN


def test_accepting_puts_the_answer_into_the_order_book_with_a_name_and_a_note(site, case):
    page = site.post(
        reverse("console:decision", args=[case.pk, "accept"]), {"note": "Agreed with plant 2."}, follow=True
    )
    assert "Accepted; it is on its way." in words(page)
    case.refresh_from_db()
    assert (case.resolution, case.history.last().actor, case.history.last().note) == (
        "accepted",
        "kim",
        "Agreed with plant 2.",
    )
    line = case.order.lines.get()
    assert (line.confirmed, line.backordered) == (80, 20)
    assert Delivery.objects.filter(kind="erp", document=case.document).exists()
    assert case.document.approved_by == "kim"


def test_discarding_ends_the_document(site, case):
    site.post(reverse("console:decision", args=[case.pk, "discard"]))
    case.refresh_from_db()
    assert (case.resolution, case.document.state) == ("discarded", DocumentState.DISCARDED)
    assert not case.order.lines.get().answered


def test_replaying_reads_the_stored_bytes_again(site, case):
    site.post(reverse("console:decision", args=[case.pk, "replay"]))
    case.refresh_from_db()
    assert (case.resolution, case.document.state) == ("replayed", DocumentState.REPLAYED)
    assert case.document.successors.count() == 1


def test_retrying_makes_a_dead_letter_due_again(site, partner):
    delivery = dead_letter(partner)
    one = opened("erp_refused", delivery=delivery)
    site.post(reverse("console:decision", args=[one.pk, "retry"]))
    delivery.refresh_from_db()
    one.refresh_from_db()
    assert (delivery.standing, one.resolution) == ("pending", "retried")


def dead_letter(partner: TradingPartner) -> Delivery:
    with transaction.atomic():
        outbox.enqueue(DeliveryKind.ERP, "erp:1", document=a_document(partner=partner))
    claim = outbox.claim(DeliveryKind.ERP, "one")
    assert claim is not None
    outbox.bury(claim, "no")
    return claim.delivery


def test_closing_gives_a_dead_letter_up(site, partner):
    delivery = dead_letter(partner)
    one = opened("erp_refused", delivery=delivery)
    assert "given up for good" in words(site.get(reverse("console:decision", args=[one.pk, "close"])))
    site.post(reverse("console:decision", args=[one.pk, "close"]))
    delivery.refresh_from_db()
    one.refresh_from_db()
    assert (delivery.state, one.resolution) == (DeliveryState.CANCELLED, "closed")


def test_what_is_not_possible_is_said_in_words(site, partner):
    one = opened("erp_refused")
    page = site.post(reverse("console:decision", args=[one.pk, "retry"]), follow=True)
    assert "This case has no delivery to try again." in words(page)
    one.refresh_from_db()
    assert one.state == CaseState.OPEN


def test_of_two_people_the_second_is_told(site, case):
    site.post(reverse("console:decision", args=[case.pk, "discard"]))
    page = site.post(reverse("console:decision", args=[case.pk, "accept"]), follow=True)
    assert "resolved meanwhile" in words(page)
    case.refresh_from_db()
    assert case.resolution == "discarded"


def test_a_resolved_case_offers_nothing_and_keeps_its_history(site, case):
    exception_queue.resolve(case, "discarded", actor="lee", note="Called them.")
    page = site.get(reverse("console:case", args=[case.pk]))
    assert page.context["choices"] == []
    assert "Called them." in words(page)


def test_a_note_without_end_is_refused_in_words(site, case):
    page = site.post(reverse("console:decision", args=[case.pk, "discard"]), {"note": "x" * 2001})
    assert "at most 2000 characters" in words(page)
    case.refresh_from_db()
    assert case.state == CaseState.OPEN


# -- who may

PAGES = ["queue", "case", "decision", "order", "document", "transmission", "message", "download"]


def _address(name: str, case: ExceptionCase) -> str:
    transmission = case.document.transmission_id if case.document else 0
    arguments: dict[str, list[Any]] = {
        "queue": [],
        "case": [case.pk],
        "decision": [case.pk, "discard"],
        "order": [case.order_id],
        "document": [case.document_id],
        "transmission": [transmission],
        "message": [transmission, "payload"],
        "download": [transmission, "payload"],
    }
    return reverse(f"console:{name}", args=arguments[name])


@pytest.mark.parametrize("name", PAGES)
def test_strangers_are_sent_to_sign_in(case, name):
    answer = Client().get(_address(name, case))
    assert (answer.status_code, answer["Location"].split("?")[0]) == (302, "/admin/login/")


@pytest.mark.parametrize("name", PAGES)
def test_a_login_that_is_not_staff_is_sent_to_sign_in(case, name):
    user = User.objects.create_user("supplier")
    user.user_permissions.set(Permission.objects.all())
    assert browser(user).get(_address(name, case)).status_code == 302


@pytest.mark.parametrize("name", PAGES)
def test_staff_without_the_permission_is_refused(case, name):
    assert browser(person("lee")).get(_address(name, case)).status_code == 403


def test_who_may_only_look_sees_no_button_and_cannot_act(case):
    site = browser(person("lee", "view_exceptioncase"))
    page = site.get(reverse("console:case", args=[case.pk]))
    assert (page.context["choices"], page.context["may_decide"]) == ([], False)
    assert "Ordered and answered" in words(page)
    assert site.post(reverse("console:decision", args=[case.pk, "discard"])).status_code == 403
    assert site.post(reverse("console:assign"), {"case": case.pk, "owner": ""}).status_code == 403
    case.refresh_from_db()
    assert case.state == CaseState.OPEN


def test_bytes_need_a_permission_of_their_own(case):
    site = browser(person("lee", "view_exceptioncase", "view_document"))
    page = text(site.get(reverse("console:case", args=[case.pk]), {"bytes": "1"}))
    assert "PO1*10" not in page
    assert not Event.objects.filter(name="payload.viewed").exists()


def test_a_decision_without_the_csrf_token_is_refused(boss, case):
    site = Client(enforce_csrf_checks=True)
    site.force_login(boss)
    assert site.post(reverse("console:decision", args=[case.pk, "discard"])).status_code == 403
    assert site.post(reverse("console:assign"), {"case": case.pk}).status_code == 403


@pytest.mark.parametrize("name", ["queue", "case", "order"])
def test_pages_that_show_take_no_post(site, case, name):
    assert site.post(_address(name, case)).status_code == 405


# -- bytes


def test_bytes_are_shown_when_asked_for_and_that_is_recorded(site, case):
    address = reverse("console:case", args=[case.pk])
    assert "PO1*10" not in text(site.get(address))
    assert not Event.objects.filter(name="payload.viewed").exists()
    page = words(site.get(address, {"bytes": "1"}))
    assert "ST*855*0001~BAK*00*AC*4711*20260301~PO1*10*100*EA*2.5**BP*B-77~" in page
    assert "4712" not in page, "a neighbour in the same message is not this document"
    event = Event.objects.get(name="payload.viewed")
    assert (event.actor, event.document, event.transmission) == ("kim", case.document, case.document.transmission)


def test_a_finding_stands_at_its_segment(site, document):
    page = site.get(reverse("console:document", args=[document.pk]), {"bytes": "1"})
    wrong = [row for row in page.context["inspection"].segments if row.findings]
    assert [(row.position, row.id, row.findings[0].text) for row in wrong] == [(4, "ACK", "ACK01 says IB.")]


def test_every_value_of_a_document_can_be_followed_on_a_page_of_its_own(site, document):
    inspected = site.get(reverse("console:document", args=[document.pk]))
    address = reverse("console:annotated", args=[document.pk])
    assert f'href="{address}"' in text(inspected)
    assert not Event.objects.filter(name="payload.viewed").exists()
    page = site.get(address)
    assert 'href="#1/lines/0/responses/0/status"' in text(page)
    assert "4712" not in words(page), "a neighbour in the same message is not this document"
    assert "ACK01 says IB." in words(page), "what was found is what is stored"
    assert "script" not in text(page)
    assert page["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")
    event = Event.objects.get(name="payload.viewed")
    assert (event.actor, event.document) == ("kim", document)


def test_nothing_a_partner_wrote_is_markup_on_the_page_of_values(site, document):
    document.transmission.payload = Blob.put(EDI.replace("B-77", "".join(XSS)).encode())
    document.transmission.save()
    page = site.get(reverse("console:annotated", args=[document.pk]))
    assert markup_offences(page) == ["style"], "its own, which its policy lets in by its hash"
    assert "<script>alert" not in text(page)


def test_a_page_of_values_needs_the_permission_for_bytes_and_a_document_of_segments(site, document):
    address = reverse("console:annotated", args=[document.pk])
    assert browser(person("lee", "view_exceptioncase", "view_document")).get(address).status_code == 403
    Document.objects.filter(pk=document.pk).update(format="portal_json")
    assert site.get(address).status_code == 404


def test_a_document_that_is_not_x12_is_shown_whole(site, document):
    document.transmission.payload = Blob.put(b'{"hello": "\xc3\xa4"}')
    document.transmission.save()
    Document.objects.filter(pk=document.pk).update(format="portal_json")
    assert "hello" in words(site.get(reverse("console:document", args=[document.pk]), {"bytes": "1"}))


@pytest.mark.parametrize("data", [b"", b"\x00\xff\xfe", b"ISA", b"ISA*" * 50, bytes(range(256)) * 10])
def test_bytes_that_are_no_document_are_shown_all_the_same(site, document, data):
    document.transmission.payload = Blob.put(data)
    document.transmission.save()
    assert site.get(reverse("console:document", args=[document.pk]), {"bytes": "1"}).status_code == 200


def test_a_long_message_is_cut_on_screen(site, document):
    document.transmission.payload = Blob.put(b"x" * 300_000)
    document.transmission.save()
    page = site.get(reverse("console:document", args=[document.pk]), {"bytes": "1"})
    assert "Cut off here" in words(page)
    assert len(page.content) < 200_000


@pytest.mark.parametrize(
    ("part", "shown"), [("raw", "‹U+0002›wrapped"), ("payload", "BAK*00*AC"), ("answer", "an MDN")]
)
def test_each_part_of_a_message_is_shown_and_recorded(site, document, part, shown):
    document.transmission.raw = Blob.put(b"\x02wrapped")
    document.transmission.save()
    page = site.get(reverse("console:message", args=[document.transmission.pk, part]))
    assert shown in words(page)
    assert Event.objects.get(name="payload.viewed").data == {"part": part}


def test_a_download_has_a_name_of_ours_and_is_recorded(site, document):
    Transmission.objects.update(file_name='../../x"\r\nSet-Cookie: a=b')
    answer = site.get(reverse("console:download", args=[document.transmission.pk, "payload"]))
    assert answer.content == EDI.encode()
    assert answer["Content-Type"] == "application/octet-stream"
    assert re.fullmatch(r'attachment; filename="transmission-\d+-payload\.bin"', answer["Content-Disposition"])
    assert Event.objects.filter(name="payload.viewed").count() == 1


@pytest.mark.parametrize("part", ["headers", "payload "])
def test_a_part_that_is_not_there_is_not_found(site, document, part):
    Transmission.objects.update(answer=None)
    transmission = document.transmission.pk
    assert site.get(f"/admin/console/transmissions/{transmission}/{part}/").status_code == 404
    assert site.get(reverse("console:message", args=[transmission, "answer"])).status_code == 404


# -- what partners write stays text


def test_nothing_a_partner_wrote_is_markup_on_any_page(site, document):
    nasty = {"a": NASTY, NASTY: [NASTY]}
    Transmission.objects.update(
        message_id=NASTY[:900],
        file_name=NASTY[:200],
        content_type=NASTY[:200],
        headers={NASTY: NASTY},
        reason=NASTY,
        payload=Blob.put(EDI.replace("B-77", "".join(XSS)).encode()),
    )
    Document.objects.update(
        number=XSS[0], record=nasty, findings=[{"text": NASTY, "fix": NASTY, "actor": NASTY, "segment": NASTY}]
    )
    Order.objects.update(number=XSS[0])
    document.order.lines.update(description=NASTY[:200], unit="<b>", product_ids=[{"kind": NASTY, "value": NASTY}])
    document.refresh_from_db()
    one = opened(
        "erp_refused",
        summary=NASTY,
        document=document,
        detail={
            "lines": [
                {"line": NASTY, "field": NASTY, "ordered": NASTY, "answered": NASTY, "text": NASTY, "severity": '"x'}
            ],
            "findings": document.findings,
            "why": NASTY,
            "fix": NASTY,
            NASTY: NASTY,
        },
    )
    exception_queue.assign(one, None, actor=XSS[0], note=NASTY)
    transmission = document.transmission.pk
    for address in (
        reverse("admin:index"),
        reverse("console:queue"),
        reverse("console:case", args=[one.pk]) + "?bytes=1",
        reverse("console:decision", args=[one.pk, "close"]),
        reverse("console:order", args=[document.order.pk]) + "?all=1",
        reverse("console:document", args=[document.pk]) + "?bytes=1",
        reverse("console:message", args=[transmission, "payload"]),
        reverse("console:transmission", args=[transmission]) + "?proof=1",
        reverse("admin:gateway_event_changelist"),
        reverse("admin:gateway_document_changelist"),
    ):
        page = site.get(address)
        assert page.status_code == 200, address
        assert markup_offences(page) == [], address
        assert "<script>alert" not in text(page), address
        assert "77" + "2026" not in text(page), "template syntax of a partner was run"


def test_an_override_of_the_writing_direction_is_visible(site, document):
    Document.objects.update(record={"a": "\u202etxt.exe"})
    assert "‹U+202E›txt.exe" in text(site.get(reverse("console:document", args=[document.pk])))


def test_the_browser_is_told_to_run_nothing_of_others(site, case):
    policy = site.get(reverse("console:case", args=[case.pk]))["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy


# -- the order


def test_an_order_shows_what_is_ordered_promised_shipped_and_open(site, document):
    record = canonical.load(document.record)
    notice = canonical.load(
        {
            "type": "ship_notice",
            "shipment_number": "S-1",
            "items": [{"order_number": "4711", "order_line": "10", "quantity": "30", "unit": "EA"}],
        }
    )
    assert isinstance(record, canonical.OrderAcknowledgment)
    assert isinstance(notice, canonical.ShipNotice)
    with transaction.atomic():
        order_book.apply_acknowledgment(document.order, record, document, now=timezone.now())
        order_book.apply_ship_notice(notice, document, [document.order], now=timezone.now())
    page = site.get(reverse("console:order", args=[document.order.pk]))
    [row] = page.context["lines"]
    assert (row.confirmed_width, row.shipped_width, row.state) == (96, 36, "backordered")
    assert (row.ordered, row.confirmed, row.shipped, row.open, row.price) == ("100", "80", "30", "70", "2.50")
    assert "20 later" in words(page)


def test_the_timeline_has_three_lanes_with_gaps_and_links(site, case):
    page = site.get(reverse("console:order", args=[case.order.pk]))
    moments = {moment.event.name: moment for moment in page.context["moments"]}
    assert moments["order.released"].lane == "erp"
    assert moments["document.held"].links == [("855", reverse("console:document", args=[case.document.pk]))]
    assert ("case", reverse("console:case", args=[case.pk])) in moments["case.opened"].links
    assert "delivery.sending" not in moments
    assert 'class="lane-erp"' in text(page)


def test_the_timeline_knows_the_message_that_came_before_its_order_was_known(site, document):
    states.advance(document.transmission, "stored")
    moments = site.get(reverse("console:order", args=[document.order.pk])).context["moments"]
    [stored] = [moment for moment in moments if moment.event.name == "transmission.stored"]
    assert stored.event.data["seal"] == document.transmission.seal()
    assert "seal" not in stored.facts


def test_what_came_from_the_supplier_arrives_in_the_lane_of_the_erp(site, document):
    states.advance(document, DocumentState.RELAYED)
    [moment] = [
        moment
        for moment in site.get(reverse("console:order", args=[document.order.pk])).context["moments"]
        if moment.event.name == "document.relayed"
    ]
    assert (moment.title, moment.lane) == ("Arrived in the ERP", "erp")


def test_a_revision_says_what_it_changed(site, order):
    first = order.revisions.get()
    record = {**first.record, "lines": [{**first.record["lines"][0], "quantity": "120"}]}
    order.revisions.create(number=2, record=record, fingerprint="x")
    page = words(site.get(reverse("console:order", args=[order.pk])))
    assert "Line 10: quantity 100 → 120" in page


def test_a_late_answer_is_marked(site, order):
    Order.objects.update(ack_due_at=timezone.now() - timedelta(hours=1))
    assert "late since" in words(site.get(reverse("console:order", args=[order.pk])))
    Order.objects.update(acknowledged_revision=1)
    assert "given to this revision" in words(site.get(reverse("console:order", args=[order.pk])))


def test_a_long_history_is_cut_at_the_oldest_end(site, order):
    Event.objects.bulk_create(Event(name="order.shipped", order=order, data={"n": n}) for n in range(450))
    page = site.get(reverse("console:order", args=[order.pk]))
    assert len(page.context["moments"]) == 400
    assert page.context["moments"][-1].event.data == {"n": 449}
    assert "Older events" in words(page)
    older = site.get(reverse("console:order", args=[order.pk]), {"before": page.context["older"]})
    shown = [moment.event.data.get("n") for moment in older.context["moments"]]
    assert shown[-50:] == list(range(50))
    assert "The newest events" in words(older)
    again = site.get(reverse("console:order", args=[order.pk]), {"before": "nonsense"})
    assert "names no part of this timeline" in words(again)


def test_an_order_is_closed_by_hand_and_opened_again(site, order):
    at = [reverse(f"console:{name}", args=[order.pk]) for name in ("close_order", "open_order_again", "order")]
    Order.objects.update(ack_due_at=timezone.now() - timedelta(hours=1))
    assert "It is closed." in words(site.post(at[0], follow=True))
    assert "Nothing was changed: the order is closed by now." in words(site.post(at[0], follow=True))
    page = words(site.get(at[2]))
    assert "closed, revision 1" in page
    assert "late since" not in page
    assert "It is open again" in words(site.post(at[1], follow=True))
    done = Event.objects.filter(order=order, actor="kim").order_by("pk").values_list("name", flat=True)
    assert list(done) == ["order.closed", "order.open"]


def test_who_may_only_look_at_orders_closes_none(order):
    reader = browser(person("vera", "view_order"))
    assert b"close/" not in reader.get(reverse("console:order", args=[order.pk])).content
    assert reader.post(reverse("console:close_order", args=[order.pk])).status_code == 403
    assert Order.objects.get(pk=order.pk).state == "open"


def test_the_order_page_does_not_ask_more_the_longer_the_history(site, order, django_assert_max_num_queries):
    Event.objects.bulk_create(Event(name="order.shipped", order=order) for _ in range(300))
    with django_assert_max_num_queries(25):
        site.get(reverse("console:order", args=[order.pk]))


# -- the admin

MODELS = ["transmission", "interchange", "document", "delivery", "order", "erpconnection", "exceptioncase", "event"]


@pytest.mark.parametrize("model", MODELS)
def test_every_kind_of_row_has_a_list(site, case, model):
    address = reverse(f"admin:gateway_{model}_changelist")
    assert site.get(address, follow=True).status_code == 200
    assert site.get(address, {"q": "4711"}, follow=True).status_code == 200


@pytest.mark.parametrize("model", [model for model in MODELS if model != "erpconnection"])
def test_what_the_machinery_wrote_is_not_added_or_deleted_by_hand(site, case, model):
    assert site.get(reverse(f"admin:gateway_{model}_add")).status_code == 403
    assert site.post(reverse(f"admin:gateway_{model}_delete", args=[1]), {"post": "yes"}).status_code in {302, 403}
    assert ExceptionCase.objects.filter(pk=case.pk).exists()
    assert Event.objects.exists()


def test_an_event_cannot_be_changed_or_deleted_even_by_the_boss(site, case):
    event = Event.objects.first()
    address = reverse("admin:gateway_event_change", args=[event.pk])
    assert site.get(address).status_code == 200
    assert site.post(address, {"name": "order.closed"}).status_code == 403
    assert site.post(reverse("admin:gateway_event_delete", args=[event.pk]), {"post": "yes"}).status_code == 403


@pytest.mark.parametrize(("model", "name"), [("order", "order"), ("document", "document"), ("exceptioncase", "case")])
def test_rows_with_a_page_of_their_own_lead_there(site, case, model, name):
    pk = {"order": case.order_id, "document": case.document_id, "exceptioncase": case.pk}[model]
    answer = site.get(reverse(f"admin:gateway_{model}_change", args=[pk]))
    assert answer["Location"] == reverse(f"console:{name}", args=[pk])
    assert site.get(reverse(f"admin:gateway_{model}_change", args=[999_999]), follow=True).status_code == 200


def test_a_token_goes_in_and_never_comes_out(site, order):
    erp = order.connection
    address = reverse("admin:gateway_erpconnection_change", args=[erp.pk])
    form = {"adapter": "rest_json", "base_url": "https://erp.example/", "active": "on", "blocked_reason": ""}
    assert site.post(address, {**form, "new_token": "s3cret-token"}).status_code == 302
    assert erp.token() == "s3cret-token"
    assert "s3cret-token" not in text(site.get(address))
    site.post(address, {**form, "new_token": ""})
    assert erp.token() == "s3cret-token"
    assert ErpToken.objects.count() == 1


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("base_url", "https://erp.example/?page=1", "without query"),
        ("new_token", "two words", "printable ASCII without spaces"),
        ("new_token", "", "enter the token it gave us"),
        ("adapter", "telepathy", "telepathy is not one of the available choices"),
    ],
)
def test_a_connection_that_could_never_work_is_refused_with_the_reason(site, field, value, said):
    form = {"code": "new", "adapter": "rest_json", "base_url": "https://erp.example/", "new_token": "s3cret-token"}
    answer = site.post(reverse("admin:gateway_erpconnection_add"), {**form, "active": "on", field: value})
    assert said in text(answer)
    assert not ErpConnection.objects.filter(code="new").exists()


def test_a_block_is_cleared_and_the_code_stays(site, order):
    ErpConnection.objects.update(blocked_reason="401")
    address = reverse("admin:gateway_erpconnection_change", args=[order.connection.pk])
    form = {"code": "OTHER", "adapter": "rest_json", "base_url": "https://erp.example/", "active": "on"}
    site.post(address, {**form, "blocked_reason": "", "new_token": ""})
    erp = ErpConnection.objects.get()
    assert (erp.code, erp.blocked_reason) == ("ERP1", "")


@pytest.mark.parametrize("stopped", [{"blocked_reason": "401"}, {"active": False}])
def test_what_waited_for_a_connection_is_due_when_a_person_opens_it(site, order, stopped):
    with transaction.atomic():
        waits = outbox.enqueue(DeliveryKind.ERP, "k", erp=order.connection)
    QueueEntry.objects.filter(pk=waits.pk).update(due_at=Now() + timedelta(hours=1))
    ErpConnection.objects.update(**stopped)
    address = reverse("admin:gateway_erpconnection_change", args=[order.connection.pk])
    form = {"adapter": "rest_json", "base_url": "https://erp.example/", "active": "on", "blocked_reason": ""}
    site.post(address, {**form, "new_token": ""})
    assert outbox.claim(DeliveryKind.ERP, "one") is not None


def test_a_new_token_opens_the_connection_again(site, order):
    release.block(order.connection, "401", since=timezone.now())
    blocked = ErpConnection.objects.get().blocked_reason
    address = reverse("admin:gateway_erpconnection_change", args=[order.connection.pk])
    form = {"adapter": "rest_json", "base_url": "https://erp.example/", "active": "on", "blocked_reason": blocked}
    site.post(address, {**form, "new_token": "an0ther-token"})
    assert ErpConnection.objects.get().blocked_reason == ""
    assert ExceptionCase.objects.get(reason="erp_auth_failed").resolution == "settled"


def test_the_first_page_leads_to_the_queue(site):
    assert reverse("console:queue") in text(site.get(reverse("admin:index")))
