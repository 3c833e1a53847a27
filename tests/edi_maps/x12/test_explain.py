"""A document in words, as text and as a page."""

from html.parser import HTMLParser

from edi_maps.x12 import read
from edi_maps.x12.explain import as_html, as_text, explain, visible

from .documents import FIXTURES, document


def page(data):
    return explain("orders.edi", read(data))


def test_a_finding_stands_under_its_segment_with_its_remedy():
    lines = as_text(page((FIXTURES / "850_seven_faults.edi").read_bytes())).splitlines()
    at = next(number for number, line in enumerate(lines) if "PO1*1*ten" in line)
    below = "\n".join(lines[at : at + 10])
    assert "PO102 Quantity ordered: ten" in below
    assert "!! PO102 (segment 6): 'ten' is not a number" in below
    assert "fix: Send digits" in below


def test_codes_are_put_into_words():
    text = as_text(page((FIXTURES / "855_partial_backorder.edi").read_bytes()))
    assert "ACK01 Line status: IB (back-ordered)" in text
    assert "Transaction set 855 0001: accepted" in text
    assert '"type": "order_acknowledgment"' in text


def test_a_missing_segment_is_shown_where_it_should_stand():
    text = as_text(page(document("CUR*BY*USD", "PO1*1*5*EA")))
    assert text.index("(BEG Beginning of the purchase order)") < text.index("CUR*BY*USD")


def test_loops_are_indented():
    text = as_text(page((FIXTURES / "856_pick_and_pack.edi").read_bytes()))
    indents = {line[7:].lstrip(): len(line[7:]) - len(line[7:].lstrip()) for line in text.splitlines()}
    chain = [indents[f"HL*{level}"] for level in ("1**S*1", "2*1*O*1", "3*2*T*1", "4*3*P*1", "5*4*I*0")]
    assert chain == sorted(set(chain))


def test_control_characters_are_written_out_and_never_sent_to_the_terminal():
    text = as_text(page(document("BEG*00*SA*PO\x1b[2J\x07**20260924", "PO1*1*5*EA")))
    assert "PO\\x1b[2J\\x07" in text
    assert not any(character < " " and character != "\n" for character in text)
    assert visible("a\u202eb") == "a\\u202eb"


def test_a_file_that_is_no_document_says_so():
    assert "this is not a document we can read" in as_text(page(b"hello"))


def test_pyx12_is_asked_about_the_rejected_set_alone():
    data = (FIXTURES / "855_one_of_three_refused.edi").read_bytes()
    text = as_text(explain("answers.edi", read(data), ask_about=data))
    assert text.count("pyx12") == 1
    assert "pyx12 refuses this set\n   - ACK (segment 4): Segment ACK*XX not found." in text
    assert text.index("Transaction set 855 0002: rejected") < text.index("pyx12 refuses") < text.index("set 855 0003")


def test_pyx12_may_accept_what_we_refuse():
    data = document("BEG*00*SA*PO-1**20260924", "PO1*1*5*EA").removesuffix(b"IEA*1*000000101~\n")
    assert "pyx12 accepts this set\n" in as_text(explain("orders.edi", read(data), ask_about=data))


def test_what_pyx12_repeats_of_a_document_is_shown_and_never_obeyed():
    data = document("BEG*00*SA*PO-1**20260924", "PO1*1*\x1b[2J<b>*EA")
    page = explain("orders.edi", read(data), ask_about=data)
    assert "pyx12 refuses this set" in as_text(page)
    assert "\x1b" not in as_text(page) + as_html(page)
    assert "2J&lt;b&gt;" in as_html(page)
    assert "2J<b>" not in as_html(page)


def test_pyx12_is_asked_whatever_the_control_numbers_hold():
    data = document("BEG*00*SA*PO-1**20260924", "PO1*1*ten*EA").replace(b"*101*X*", b"*1\x911*X*")
    assert "pyx12 refuses this set" in as_text(explain("orders.edi", read(data), ask_about=data))


def test_there_is_nothing_to_ask_about_sets_without_an_interchange():
    data = b"ST*850*0001~BEG*00*SA*PO-1**2026~SE*3*0001~"
    assert "pyx12" not in as_text(explain("orders.edi", read(data), ask_about=data))


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def test_the_page_escapes_everything_and_runs_nothing():
    hostile = '<script>alert(1)</script>" onload="x'
    data = document(f"BEG*00*SA*{hostile}**20260924", f"N1*BY*{hostile}", "PO1*1*<b>*EA", f"{hostile}*x")
    html = as_html(explain(hostile, read(data)))
    tags = Tags()
    tags.feed(html)
    names = {tag for tag, _ in tags.found}
    assert not names & {"script", "img", "link", "iframe", "form", "object", "base"}
    assert not any(name.startswith("on") or name == "style" for _, attributes in tags.found for name in attributes)
    assert all(attributes["href"].startswith("#") for tag, attributes in tags.found if tag == "a")
    assert "&lt;script&gt;" in html


def test_the_page_holds_what_the_text_holds():
    html = as_html(page((FIXTURES / "856_parent_unknown.edi").read_bytes()))
    assert "no level &#x27;9&#x27; stands before this one" in html
