"""From every field to its bytes, and from every byte to its field."""

import re
from contextlib import suppress
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edi_maps.canonical import dump
from edi_maps.x12 import read, write
from edi_maps.x12.elements import read_clock, read_day, read_moment, read_number
from edi_maps.x12.map_sheets import sheet
from edi_maps.x12.provenance import CONCLUDED, Ignored, element_span, leaves, trace
from edi_maps.x12.segments import decoded
from edi_maps.x12.ship_notices import sscc_of
from tests.services import CORPUS

from .documents import FIXTURES, document
from .strategies.advices import application_advice
from .strategies.changes import change_acknowledgment, purchase_order_change
from .strategies.damage import damaged
from .strategies.inventories import inventory_advice
from .strategies.invoices import invoice
from .strategies.orders import order_acknowledgment, purchase_order
from .strategies.receipts import receiving_advice
from .strategies.schedules import planning_schedule, shipping_schedule
from .strategies.shipments import ship_notice
from .test_round_trip import FEW, VERSIONS, envelope

FEWER = settings(FEW, max_examples=15)

RECORDS = {
    "850": purchase_order,
    "855": order_acknowledgment,
    "860": purchase_order_change,
    "865": change_acknowledgment,
    "856": ship_notice,
    "830": planning_schedule,
    "862": shipping_schedule,
    "846": inventory_advice,
    "861": receiving_advice,
    "810": invoice,
}


def sets(data):
    return [(group.version, one) for interchange in read(data) for group in interchange.groups for one in group.sets]


def traced(data):
    [(version, one)] = sets(data)
    return trace(one, version)


def bytes_of(data, provenance, address):
    return [data[place.start : place.end].decode() for place in provenance.places(address)]


# -- what is found


ORDER = document(
    "BEG*00*SA*PO-1**20260924",
    "DTM*010*20261001",
    "N1*ST*Kelder Works*92*K7",
    "N3*Dock 4",
    "N4*Ghent**9000*BE",
    "PO1*1*5*EA*4.25**BP*NM-1001*VP*77",
    "CTT*1",
)


@pytest.mark.parametrize(
    ("address", "place", "text"),
    [
        ("number", (2, "BEG", 3), "PO-1"),
        ("ordered_on", (2, "BEG", 5), "20260924"),
        ("kind", (2, "BEG", 2), "SA"),
        ("dates/requested_ship", (3, "DTM", 2), "20261001"),
        ("parties/0/role", (4, "N1", 1), "ST"),
        ("parties/0/address/lines/0", (5, "N3", 1), "Dock 4"),
        ("parties/0/address/city", (6, "N4", 1), "Ghent"),
        ("lines/0/quantity", (7, "PO1", 2), "5"),
        ("lines/0/product_ids/1/kind", (7, "PO1", 8), "VP"),
        ("lines/0/product_ids/1/value", (7, "PO1", 9), "77"),
        ("totals/line_count", (8, "CTT", 1), "1"),
    ],
)
def test_a_field_leads_to_its_element_and_back(address, place, text):
    provenance = traced(ORDER)
    [found] = provenance.places(address)
    assert (found.position, found.segment, found.element) == place
    assert ORDER[found.start : found.end].decode() == text
    assert address in provenance.fields_at(found.position, found.element)
    assert provenance.place_at(found.start) == provenance.place_at(found.end - 1) == found


def test_what_the_record_has_no_name_for_leads_to_its_element_too():
    data = document("BEG*00*SA*PO-1**20260924**AC", "FOB*PP", "N1*ST*Kelder", "SI*TI*1*HM", "PO1*1*5*EA", "CTT*1")
    provenance = traced(data)
    assert bytes_of(data, provenance, "extra/BEG07") == ["AC"]
    kept = [address for address in provenance.fields if address.startswith("extra/parties")]
    assert [bytes_of(data, provenance, address) for address in kept] == [["SI"], ["TI"], ["1"], ["HM"]]


def test_a_component_is_told_from_its_neighbours():
    data = document("BEG*00*SA*PO-1**20260924", "PO1*1*5*EA", "SLN*1**I*2*KG>2*3", "CTT*1")
    provenance = traced(data)
    [unit] = provenance.places("lines/0/components/0/unit")
    assert (unit.element, unit.component, data[unit.start : unit.end]) == (5, 1, b"KG")
    [exponent] = [address for address in provenance.fields_at(4, 5) if "extra" in address]
    assert bytes_of(data, provenance, exponent) == ["2"]
    assert provenance.fields_at(4, 5, 1) == ("lines/0/components/0/unit",)
    assert provenance.place_at(unit.start) == unit


def test_a_text_of_several_segments_stands_in_all_of_them():
    data = document("BEG*00*SA*PO-1**20260924", "N9*ZZ*7", "MSG*one", "MSG*two", "PO1*1*5*EA", "CTT*1")
    provenance = traced(data)
    assert provenance.record["notes"][0]["text"] == "one\ntwo"
    assert bytes_of(data, provenance, "notes/0/text") == ["one", "two"]


def test_a_moment_stands_in_a_day_and_a_time():
    data = (FIXTURES / "856_pick_and_pack.edi").read_bytes()
    provenance = traced(data)
    assert [(place.segment, place.element) for place in provenance.places("created_at")] == [("BSN", 3), ("BSN", 4)]


def test_an_element_that_tells_what_others_mean_leads_to_them():
    provenance = traced(document("BEG*00*SA*PO-1**20260924", "DTM*010*20261001", "PO1*1*5*EA", "CTT*1"))
    assert provenance.fields_at(3, 1) == ()
    assert provenance.meanings[3, 1] == ("dates/requested_ship",)


def test_what_items_take_over_from_their_order_stands_at_the_order():
    data = (FIXTURES / "856_mixed_pallet.edi").read_bytes()
    provenance = traced(data)
    orders = [provenance.places(f"items/{number}/order_number") for number in range(2)]
    assert [[place.segment for place in places] for places in orders] == [["PRF"], ["PRF"]]


def test_what_is_concluded_stands_nowhere():
    provenance = traced((FIXTURES / "856_pick_and_pack.edi").read_bytes())
    assert provenance.record["packages"][1]["parent_id"] == "1"
    assert provenance.places("packages/1/parent_id") == ()
    assert provenance.places("packages/1/level")[0].segment == "HL"


def test_what_is_in_no_field_says_why():
    provenance = traced(document("BEG*00*SA*PO-1**20260924", "CUR*BY*USD", "PO1*1*5*EA", "CTT*1"))
    assert provenance.ignored[1, 2] is Ignored.ENVELOPE
    assert provenance.ignored[3, 1] is Ignored.CONSTANT


def test_a_set_without_a_guide_or_a_record_has_no_provenance():
    for data in (document("B3**1", code="210"), document("CTT*1"), document("AK9*A*1*1*1", code="997")):
        assert traced(data) is None


def test_what_an_acknowledgment_says_leads_to_its_elements_too():
    data = document(
        *["AK1*PO*88", "AK2*850*0001", "AK5*A", "AK2*850*0002"],
        *["AK3*PO1*7**8", "AK4*2*330*6*ten", "AK3*N1*9**3", "AK5*R*5*4", "AK9*P*2*2*1*1"],
        code="997",
    )
    provenance = traced(data)
    assert {address: bytes_of(data, provenance, address)[0] for address, _ in leaves(provenance.record)} == {
        address: str(value) for address, value in leaves(provenance.record)
    }
    assert provenance.places("sets/1/errors/0/elements/0/value")[0].position == 7
    assert provenance.places("sets/1/errors/1/segment")[0].position == 8
    assert provenance.places("sets/1/codes/1")[0].element == 3
    assert provenance.fields_at(10, 5) == ("codes/0",)


def test_what_tells_more_about_an_error_of_a_999_leads_to_its_elements():
    data = document(
        *["AK1*PO*88*005010", "AK2*850*0001", "IK3*N4*22**8", "CTX*SITUATIONAL TRIGGER*N4*22"],
        *["IK4*1*19*I9", "CTX*TWO", "CTX*THREE", "IK5*R*5", "AK9*R*1*1*0"],
        code="999",
    )
    provenance = traced(data)
    assert bytes_of(data, provenance, "sets/0/errors/0/context/0") == ["SITUATIONAL TRIGGER", "N4", "22"]
    assert bytes_of(data, provenance, "sets/0/errors/0/elements/0/context/1") == ["THREE"]
    assert bytes_of(data, provenance, "sets/0/status") == ["R"]


def test_only_what_is_asked_about_is_traced():
    data = (FIXTURES / "856_pick_and_pack.edi").read_bytes()
    [(version, one)] = sets(data)
    whole, part = trace(one, version), trace(one, version, range(1, 12))
    assert part.record == whole.record
    assert {address for address, places in whole.fields.items() if places[0][0] < 12} == set(part.fields)
    assert all(part.fields[address] == whole.fields[address] for address in part.fields)
    assert {place for place in whole.ignored if place[0] < 12} == set(part.ignored)


# -- bytes


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
@pytest.mark.parametrize("width", [61, 79, 80])
def test_a_hard_wrapped_file_is_addressed_by_its_own_bytes(width, newline):
    plain = ORDER.replace(b"\n", b"")
    wrapped = newline.join(plain[at : at + width] for at in range(0, len(plain), width))
    before, after = traced(plain), traced(wrapped)
    assert after.fields == before.fields
    for address in before.fields:
        [expected] = bytes_of(plain, before, address)
        [found] = after.places(address)
        text = wrapped[found.start : found.end]
        assert text.replace(newline, b"").decode() == expected
        assert not text.startswith(newline) and not text.endswith(newline)
        assert after.place_at(found.start) == found


def test_a_separator_counts_with_what_it_ends_and_a_terminator_with_nothing():
    provenance = traced(ORDER)
    start, end = provenance.spans[1]
    assert ORDER[start:end] == b"BEG*00*SA*PO-1**20260924"
    assert [provenance.place_at(start + at).element for at in (0, 2, 3, 4, 6, 7)] == [0, 0, 0, 1, 1, 2]
    assert provenance.place_at(end - 1).element == 5
    assert provenance.place_at(end) is None
    assert provenance.place_at(0) is None
    assert provenance.place_at(len(ORDER)) is None


def test_an_element_beyond_the_last_is_the_end_of_its_segment():
    [(_, one)] = sets(ORDER)
    assert element_span(one, 7, 30) == (one.spans()[6][1],) * 2
    with pytest.raises(IndexError):
        element_span(one, 10, 1)


# -- of everything


LEVELS = {"T": "tare", "P": "pack"}


def readings(text, set_code):
    """All that a text on the wire may mean in a record, as ``dump`` writes it: by some type, or by some table of its set."""
    yield from (text, sscc_of(text), LEVELS.get(text))
    yield from (table[text] for table in sheet(set_code).tables.values())
    for read_as in (read_day, read_clock):
        with suppress(ValueError):
            yield read_as(text).isoformat()
    with suppress(ValueError):
        number = read_number(text)
        yield from (str(number), int(number), f"{number.scaleb(-2):.2f}")  # SAC05 and its like are in cents


def reads_as(texts, value, set_code):
    texts = [re.sub(r"\s*[\r\n]+\s*", " ", text).strip() for text in texts]
    value = value.strip() if isinstance(value, str) else value
    if value == "\n".join(texts) or all(value in readings(text, set_code) for text in texts):
        return True
    return datetime.fromisoformat(value) == read_moment(tuple(texts))


def assert_complete(data):
    """Every value has its bytes, every element its value or a reason for having none, and both ways agree."""
    for version, one in sets(data):
        if one.record is None:
            continue
        provenance = trace(one, version)
        assert provenance.record == dump(one.record)
        for address, value in leaves(provenance.record):
            if address not in provenance.fields:
                assert value == "" or any(pattern.fullmatch(address) for pattern, _ in CONCLUDED), address
                continue
            places = provenance.places(address)
            texts = [decoded(data[place.start : place.end].decode("latin-1")) for place in places]
            assert reads_as(texts, value, one.code), (address, value, texts)
            assert all(address in provenance.fields_at(p.position, p.element, p.component) for p in places)
        assert_accounted_for(one, provenance)


def assert_accounted_for(one, provenance):
    for segment in one.segments:
        for element, text in enumerate(segment.elements[1:], start=1):
            here = (segment.position, element)
            found = [here in known for known in (provenance.elements, provenance.meanings, provenance.ignored)]
            assert any(found) or not text.strip(), (segment.raw, element)
            assert not (found[2] and any(found[:2])), (segment.raw, element)


@pytest.mark.parametrize("name", sorted(path.stem for path in FIXTURES.glob("*.edi")))
def test_every_value_of_a_sample_has_its_bytes_and_every_element_its_value(name):
    assert_complete((FIXTURES / f"{name}.edi").read_bytes())


@settings(FEW, max_examples=100)
@given(damaged(sorted(FIXTURES.glob("*.edi"))))
def test_whatever_happens_to_a_document_no_element_is_lost(data):
    for version, one in sets(data):
        if (provenance := trace(one, version)) is None or one.record is None:
            continue
        assert provenance.record == dump(one.record)
        assert_accounted_for(one, provenance)


@pytest.mark.skipif(CORPUS is None, reason="no folder of sample documents (GATEWAY_CORPUS)")
@pytest.mark.parametrize("code", ["850", "855", "860", "865", "856", "830", "862", "861", "810", "824"])
def test_every_element_of_sample_documents_of_the_field_is_accounted_for(code):
    assert CORPUS is not None
    for path in sorted((CORPUS / f"x12-{code}").iterdir()):
        assert_complete(path.read_bytes())


@pytest.mark.parametrize("strategy", RECORDS.values(), ids=RECORDS)
@FEWER
@given(data=st.data(), version=VERSIONS)
def test_every_value_of_a_record_has_its_bytes_and_every_element_its_value(strategy, data, version):
    assert_complete(write(data.draw(strategy()), envelope(version)))


@FEWER
@given(data=st.data(), version=VERSIONS)
def test_every_value_of_an_application_advice_has_its_bytes(data, version):
    assert_complete(write(data.draw(application_advice(version)), envelope(version)))
