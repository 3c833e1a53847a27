"""The page of a file for a browser: everything linked, nothing run, within bounds."""

import base64
import hashlib
import itertools
import re
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest

from edi_maps.x12 import read
from edi_maps.x12.explain import PAGE_LIMITS, as_html, explain
from edi_maps.x12.explain.html import style

from .documents import FIXTURES, ISA, ORDER, document, interchange, transaction_set, wire

VOID = {"meta", "br", "wbr"}


class Element:
    def __init__(self, tag, attributes, above):
        self.tag, self.attributes, self.above = tag, attributes, above
        self.below, self.words = [], []

    @property
    def text(self):
        return "".join(self.words)

    def all(self, tag):
        """The elements below with this tag, in their order."""
        for each in self.below:
            if each.tag == tag:
                yield each
            yield from each.all(tag)


class Parsed(HTMLParser):
    """A page as a tree; every element knows all the text in it."""

    def __init__(self, html):
        super().__init__()
        self.root = self.at = Element("", {}, None)
        self.ids = {}
        self.repeated = []
        self.feed(html)
        assert self.at is self.root, f"<{self.at.tag}> is not closed"

    def handle_starttag(self, tag, attributes):
        element = Element(tag, dict(attributes), self.at)
        self.at.below.append(element)
        if (name := element.attributes.get("id")) is not None:
            self.repeated += [name] if name in self.ids else []
            self.ids[name] = element
        if tag not in VOID:
            self.at = element

    def handle_endtag(self, tag):
        assert self.at.tag == tag, f"</{tag}> ends <{self.at.tag}>"
        self.at = self.at.above

    def handle_data(self, data):
        above = self.at
        while above is not None:
            above.words.append(data)
            above = above.above

    def linked(self, element):
        """What the links in an element lead to."""
        return [self.ids[link.attributes["href"][1:]] for link in element.all("a")]


def page(data, limits=PAGE_LIMITS):
    return as_html(explain("orders.edi", read(data), limits=limits))


def parsed(data, **limits):
    return Parsed(page(data, **limits))


def of(name):
    return parsed((FIXTURES / f"{name}.edi").read_bytes())


ACKNOWLEDGMENT = document(
    "AK1*PO*88", "AK2*850*0001", "AK3*PO1*7**8", "AK4*2*330*6*ten", "AK5*R*5", "AK9*R*1*1*0", code="997"
)


# -- both ways


def test_an_element_leads_to_its_field_and_the_field_back():
    tree = parsed(document("BEG*00*SA*PO-1**20260924", "PO1*1*5*EA", "CTT*1"))
    quantity, field = tree.ids["1.3.2"], tree.ids["1/lines/0/quantity"]
    assert quantity.text == "PO102Quantity ordered5lines/0/quantity"
    assert field in tree.linked(quantity)
    assert field.text == "quantity5PO102"
    assert tree.linked(field) == [quantity]


def test_the_bytes_lead_to_their_element_and_the_element_back():
    tree = parsed(document("BEG*00*SA*PO-1**20260924", "PO1*1*5*EA", "CTT*1"))
    bytes_, element = tree.ids["r1.3.2"], tree.ids["1.3.2"]
    assert (bytes_.text, bytes_.attributes["href"]) == ("5", "#1.3.2")
    assert bytes_ in tree.linked(element)


def test_all_places_of_a_value_bear_the_same_number():
    tree = of("856_mixed_pallet")
    order = tree.ids["1/items/0/order_number"]
    [element] = tree.linked(order)
    number = element.attributes["class"]
    assert set(number.split()) <= set(order.attributes["class"].split())
    assert tree.ids["r" + element.attributes["id"]].attributes["class"] == number
    assert [other for other in tree.ids.values() if other.attributes.get("class") == number and other.tag == "tr"] == [
        element
    ]


def test_the_style_marks_what_bears_the_number_that_was_followed():
    assert ":root:has(.v3:target){--v3:1}.v3{--v:var(--v3,0)}" in style()


@pytest.mark.parametrize("name", sorted(path.stem for path in FIXTURES.glob("*.edi")))
def test_every_link_of_a_sample_leads_somewhere_on_its_page(name):
    tree = of(name)
    assert tree.repeated == []
    links = [link.attributes["href"] for link in tree.root.all("a")]
    assert links
    assert [link for link in links if link[1:] not in tree.ids] == []


@pytest.mark.parametrize("name", ["850_standard_order", "856_pick_and_pack", "830_stores", "861_short_and_damaged"])
def test_every_value_of_the_record_says_where_it_came_from(name):
    rows = [
        row
        for name, row in of(name).ids.items()
        if row.tag == "tr" and "/" in name and "head" not in row.attributes["class"]
    ]
    assert len(rows) > 20
    assert [row.text for row in rows if not list(row.below)[-1].text] == []


def test_what_an_acknowledgment_says_is_linked_and_put_into_words():
    tree = parsed(ACKNOWLEDGMENT)
    said = tree.ids["1/sets/0/errors/0/elements/0/code"]
    assert said.text == "code6AK403"
    [element] = tree.linked(said)
    assert "6 it holds a character that is not allowed" in element.text


def test_interchange_acknowledgments_have_places_of_their_own():
    about = ["TA1*000000417*260924*1030*A*000", "TA1*000000418*260924*1030*R*006"]
    tree = parsed(wire([ISA, *about, *interchange(*transaction_set(*ORDER))[1:]]))
    assert tree.repeated == []
    assert tree.ids["i1.2.5"].text == "TA105Interchange note006 they do not know the sender"
    assert "not shown" not in tree.root.text


# -- findings


def test_a_finding_stands_at_its_element_and_the_top_of_the_page_leads_to_it():
    tree = of("850_seven_faults")
    top = tree.ids["findings"].above
    [link] = [link for link in top.all("a") if "'ten' is not a number" in link.text]
    finding = tree.ids[link.attributes["href"][1:]]
    assert finding.text.startswith("Error PO102 (segment 6): 'ten' is not a number")
    assert "Send digits" in finding.text
    assert "For the sender of the document." in finding.text
    rows = list(finding.above.above.all("tr"))
    assert rows[rows.index(finding.above) - 1] is tree.ids["1.6.2"]


def test_the_top_says_which_set_a_finding_is_about_when_there_are_several():
    broken = transaction_set("BEG*00*SA*PO-1**2026", *ORDER[1:], number="0002")
    other = transaction_set(ORDER[0], "PO1*1*x*EA", ORDER[2], number="0003")
    tree = parsed(wire(interchange(*transaction_set(*ORDER), *broken, *other, sets=3)))
    listed = [each.text for each in tree.ids["findings"].above.all("li")]
    assert listed[0].endswith("is not a date. Transaction set 850 0002")
    assert listed[1].endswith("must be. Transaction set 850 0003")


def test_every_finding_is_listed_at_the_top_and_shown_once():
    tree = of("850_seven_faults")
    listed = [link.attributes["href"][1:] for link in tree.ids["findings"].above.all("a")]
    shown = [name for name, element in tree.ids.items() if "finding" in element.attributes.get("class", "").split()]
    assert sorted(listed) == sorted(shown)
    assert len(shown) == 8


def test_a_segment_that_is_missing_has_a_row_where_it_should_stand():
    tree = parsed(document("CUR*BY*USD", "PO1*1*5*EA"))
    [row] = [row for row in tree.root.all("tr") if "missing here" in row.text]
    assert row.text.startswith("BEG Beginning of the purchase order")


def test_a_file_that_is_no_document_has_a_page_that_says_so():
    assert "this is not a document we can read" in page(b"hello")


# -- as it came


def test_the_bytes_are_shown_as_they_came_with_what_cannot_be_seen_written_out():
    data = document("BEG*00*SA*PO\x1b[2J-1**20260924", "PO1*1* 5 *EA", "CTT*1").replace(b"~\n", b"~\r\n")
    lines = [line.text for line in next(parsed(data).root.all("ol")).all("code")]
    assert lines[1:3] == ["BEG*00*SA*PO\\x1b[2J-1**20260924~\\r\\n", "PO1*1* 5 *EA~\\r\\n"]


def test_a_hard_wrapped_file_says_that_its_lines_are_joined():
    plain = document(*ORDER).replace(b"\n", b"")
    tree = parsed(b"\n".join(plain[at : at + 80] for at in range(0, len(plain), 80)))
    assert "wrapped at a fixed width, joined here" in tree.ids["set1"].text
    assert next(tree.root.all("li")).text == "1ST*850*0001~"


def test_what_a_partner_sent_never_becomes_part_of_the_page():
    hostile = "\"><script>alert(1)</script><a href='http://x'>&lt;"
    data = document(f"BEG*00*SA*{hostile}", f"{hostile}*{hostile}", f"N1*{hostile}*{hostile}", "PO1*1*5*EA")
    tree = Parsed(as_html(explain(hostile, read(data), limits=PAGE_LIMITS)))
    tags = {element.tag for element in tree.ids.values()} | {each.tag for each in tree.root.all("a")}
    assert not list(tree.root.all("script"))
    assert tags <= {"a", "td", "tr", "li", "h2", "h5", "section"}
    assert all(link.attributes["href"].startswith("#") for link in tree.root.all("a"))
    assert hostile in tree.root.text


# -- the strictest policy


def test_the_policy_lets_in_this_style_alone():
    html = page(document(*ORDER))
    [content] = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    [policy] = re.findall(r'Content-Security-Policy" content="([^"]*)"', html)
    digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert "url(" not in content
    assert "@import" not in content


def test_nothing_on_the_page_needs_more_than_that():
    tree = of("850_seven_faults")
    every = [
        element for tag in ("div", "table", "tr", "td", "th", "li", "a", "section") for element in tree.root.all(tag)
    ]
    assert not [element for element in every if "style" in element.attributes]
    assert not [name for element in every for name in element.attributes if name.startswith("on")]
    assert not [tag for tag in ("script", "img", "link", "iframe", "object", "form") if list(tree.root.all(tag))]


# -- for everybody


def test_headings_step_down_one_at_a_time():
    levels = [
        int(level) for level in re.findall(r"<h([1-6])", page((FIXTURES / "855_one_of_three_refused.edi").read_bytes()))
    ]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_every_table_header_says_what_it_heads():
    headers = list(of("856_pick_and_pack").root.all("th"))
    assert {header.attributes.get("scope") for header in headers} == {"col", "row", "rowgroup"}


def test_what_scrolls_can_be_reached_and_has_a_name():
    tree = of("856_pick_and_pack")
    scrolling = [each for each in tree.root.all("div") if each.attributes.get("class") == "scroll"]
    assert len(scrolling) == 3
    for each in scrolling:
        assert each.attributes["tabindex"] == "0"
        assert tree.ids[each.attributes["aria-labelledby"]].tag == "h5"


def test_a_verdict_and_a_severity_are_words_not_only_colours():
    tree = of("850_seven_faults")
    verdicts = [each.text for each in tree.root.all("span") if "verdict" in each.attributes.get("class", "")]
    assert verdicts == ["1 rejected", "rejected"]
    assert {strong.text for strong in tree.root.all("strong")} == {"Error"}


def luminance(colour):
    """How bright a colour is, by WCAG 2."""
    channels = [int(channel, 16) / 255 for channel in re.findall("..", colour[1:])]
    red, green, blue = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(scheme):
    rules = style().split("@media (prefers-color-scheme: dark)")[scheme == "dark"]
    colours = dict(reversed(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", rules.split("* {")[0])))
    pairs = [(text, back) for text in ("text", "quiet", "link", "note", "error") for back in ("back", "panel")]
    pairs += [(kind, f"{kind}-back") for kind in ("error", "warning", "note", "good")]
    pairs += [(text, f"{kind}-back") for text in ("text", "quiet", "link") for kind in ("error", "warning", "note")]
    for text, back in pairs:
        darker, lighter = sorted([luminance(colours[text]), luminance(colours[back])])
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, (text, back)


# -- large files


def test_a_long_set_says_what_is_left_out_and_shows_what_is_wrong_anyway():
    lines = [f"PO1*{number}*{'x' if number == 3000 else 5}*EA" for number in range(1, 4001)]
    tree = parsed(document(ORDER[0], *lines, "CTT*4000"))
    cuts = [each.text for each in tree.root.all("li") if each.attributes.get("class") == "cut"]
    assert cuts == ["2,001 segments not shown", "1,002 segments not shown"]
    assert "1.3002.2" in tree.ids
    assert "1.1000.2" in tree.ids
    assert "1.1001.2" not in tree.ids
    assert "lines: 3,500 more are not shown." in tree.root.text


def test_of_many_sets_those_with_findings_are_shown_when_the_page_is_full():
    sets = [transaction_set(*ORDER, number=f"{number:04d}") for number in range(1, 601)]
    sets[550] = transaction_set("BEG*00*SA*PO-1**2026", *ORDER[1:], number="0551")
    tree = parsed(wire(interchange(*itertools.chain(*sets), sets=600)))
    shown = [heading.text for heading in tree.root.all("h4")]
    assert len(shown) == 401
    assert shown[-1].startswith("Transaction set 850 0551")
    assert "199 more transaction sets not shown: the page is full." in tree.root.text
    assert "1 rejected" in tree.root.text


def test_many_sets_with_findings_make_no_endless_page():
    lines = [f"PO1*{number}*5*EA*4.25**BP*NM-{number}" for number in range(1, 21)]
    sets = [transaction_set("BEG*00*SA*PO-1**2026", *lines, number=f"{number:04d}") for number in range(1, 401)]
    html = page(wire(interchange(*itertools.chain(*sets), sets=400)))
    assert len(html) < 8_000_000
    assert "The record is not shown: the page is full." in html
    assert "Transaction set 850 0400" in html


@pytest.mark.parametrize(
    "segment",
    ["N" * 90_000, f"ZZZ*{'x' * 90_000}", "ZZZ" + "*x" * 900, f"N1*ST*{'>' * 90_000}", f"REF*ZZ*{'/' * 5_000}"],
    ids=["a long name", "a long value", "many elements", "many components", "long addresses"],
)
def test_hostile_segments_make_no_hostile_page(segment):
    data = document(ORDER[0], *[segment] * 50, *ORDER[1:])
    html = page(data)
    assert len(html) < 3_000_000
    tree = Parsed(html)
    assert [unquote(name) for name in tree.ids if len(name) > 1_000] == []
