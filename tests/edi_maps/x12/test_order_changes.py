"""Order changes (860) and what suppliers answer to them (865), in the ways partners say them."""

import pytest

from edi_maps.canonical import Disposition, LineAction, LineStatus, OrderAcknowledgment, PurchaseOrderChange, Purpose
from edi_maps.findings import Verdict
from edi_maps.x12 import read
from edi_maps.x12.records import segments
from tests.services import CORPUS

from .documents import codes, document


def only_set(*body, code):
    [transaction_set] = read(document(*body, code=code))[0].groups[0].sets
    return transaction_set


def change(*lines, bch="BCH*04*SA*PO-1**2*20261128*****20261130"):
    return only_set(bch, *lines, code="860").record


def answer(*lines, bca="BCA*00*AC*PO-1**2*20261128"):
    return only_set(bca, *lines, code="865").record


def written(record):
    return ["*".join(segment).rstrip("*") for segment in segments(record, "004010")[2]]


class TestChanges:
    @pytest.mark.parametrize(
        ("sent", "meant"),
        [
            ("AI", LineAction.ADD),
            ("DI", LineAction.DELETE),
            ("CA", LineAction.CHANGE),
            ("QI", LineAction.INCREASE_QUANTITY),
            ("QD", LineAction.DECREASE_QUANTITY),
            ("PC", LineAction.CHANGE_PRICE),
            ("PQ", LineAction.CHANGE_PRICE_AND_QUANTITY),
            ("PR", LineAction.CHANGE_PRICE_AND_DATE),
            ("CT", LineAction.CHANGE_DATE),
            ("RZ", LineAction.REPLACE),
            ("RS", LineAction.RESCHEDULE),
            ("RQ", LineAction.CHANGE_QUANTITY_AND_DATE),
            ("NC", LineAction.NONE),
        ],
    )
    def test_every_action_has_a_name_of_its_own_and_is_written_as_it_came(self, sent, meant):
        record = change(f"POC*1*{sent}*5*5*EA")
        assert record.lines[0].action is meant
        assert record.lines[0].extra == {}
        assert f"POC*1*{sent}*5*5*EA" in written(record)

    @pytest.mark.parametrize("sent", ["RM", "CB", "CG", "CF", "OA"])
    def test_an_action_that_shares_its_name_is_written_as_it_came(self, sent):
        record = change(f"POC*1*{sent}*5*5*EA")
        assert record.lines[0].extra == {"POC02": sent}
        assert f"POC*1*{sent}*5*5*EA" in written(record)

    def test_an_action_nobody_has_heard_of_is_refused(self):
        found = only_set("BCH*04*SA*PO-1***20261128", "POC*1*QQ*5*5*EA", code="860")
        assert (found.verdict, codes(found.findings)) == (Verdict.REJECTED, ["element_code"])

    def test_a_line_may_be_taken_off_by_a_number_among_the_ids_alone(self):
        line = change("POC*0001*DI******PL*1").lines[0]
        assert (line.line_number, line.action, line.quantity, line.unit) == ("0001", LineAction.DELETE, None, None)
        assert [(known.kind, known.value) for known in line.product_ids] == [("PL", "1")]

    def test_the_new_quantity_and_what_is_left_are_two_numbers(self):
        line = change("POC*1*QI*120*80*EA*0.5*PE*VP*V-1").lines[0]
        assert (line.quantity, line.quantity_left, line.unit, line.price_basis) == (120, 80, "EA", "each")

    def test_the_unit_is_the_first_component_of_a_composite_and_the_others_are_kept(self):
        record = change("POC*1*CA*5**EA>2*0.5")
        assert record.lines[0].unit == "EA"
        assert "POC*1*CA*5**EA\x1f2*0.5" in written(record)

    @pytest.mark.parametrize(
        ("sent", "meant"),
        [("01", Purpose.CANCEL), ("04", Purpose.CHANGE), ("05", Purpose.REPLACE), ("00", Purpose.ORIGINAL)],
    )
    def test_the_purpose_tells_a_cancellation_from_a_change(self, sent, meant):
        assert change(bch=f"BCH*{sent}*SA*PO-1***20261128").purpose is meant

    def test_a_purpose_without_a_name_is_other_and_written_as_it_came(self):
        record = change("POC*1*RZ*5*5*EA", bch="BCH*03*KN*PO-1**2*20261128")
        assert (record.purpose, record.extra["BCH01"]) == (Purpose.OTHER, "03")
        assert written(record)[0] == "BCH*03*KN*PO-1**2*20261128"

    def test_the_change_names_itself_and_the_revision_it_makes(self):
        record = change("REF*YB*3", bch="BCH*04*SA*PO-1*R7*2*20261128*RFQ-1*C-9*SO-5**20261130")
        assert (record.change_sequence, record.revision, record.release_number) == ("2", 3, "R7")
        assert (str(record.ordered_on), str(record.changed_on)) == ("2026-11-28", "2026-11-30")
        assert (record.request_reference, record.contract_number, record.seller_reference) == ("RFQ-1", "C-9", "SO-5")

    def test_a_change_says_of_header_and_line_what_an_order_says(self):
        record = change(
            "ITD*01*3*2**10**30",
            "N1*ST*North Works*92*NW1",
            "POC*1*CA*5*5*EA",
            "PID*F****Bearing, sealed",
            "SCH*5*EA***002*20270104",
            "N9*L1*Text",
            "MSG*packed dry",
        )
        assert (record.terms[0].net_days, record.parties[0].id) == (30, "NW1")
        line = record.lines[0]
        assert (line.description, str(line.schedules[0].on), line.notes[0].text) == (
            "Bearing, sealed",
            "2027-01-04",
            "packed dry",
        )

    def test_a_cancellation_needs_no_lines(self):
        found = only_set("BCH*01*SA*PO-1**2*20261128", "CTT*0", code="860")
        assert (found.verdict, found.findings, found.record.lines) == (Verdict.ACCEPTED, [], ())


class TestAnswers:
    @pytest.mark.parametrize(
        ("sent", "meant"),
        [
            ("AT", Disposition.ACCEPTED),
            ("AD", Disposition.ACCEPTED),
            ("AC", Disposition.ACCEPTED_WITH_CHANGES),
            ("RD", Disposition.REJECTED),
            ("RJ", Disposition.REJECTED),
            ("AK", Disposition.RECEIVED),
        ],
    )
    def test_the_header_decides_and_received_is_no_decision(self, sent, meant):
        assert answer(bca=f"BCA*00*{sent}*PO-1**2*20261128").disposition is meant

    def test_without_a_disposition_nothing_is_decided(self):
        record = answer("POC*1*QD*80*80*EA", bca="BCA*00**PO-1**2*20261128")
        assert (record.disposition, record.lines[0].responses) == (Disposition.OTHER, ())
        assert written(record)[0] == "BCA*00**PO-1**2*20261128"

    def test_it_names_the_change_it_answers(self):
        record = answer("REF*YB*3", bca="BCA*11*RJ*PO-1*R7*2*20261128*RFQ-1*C-9*SO-5*20261201*20261130")
        assert (record.type, record.order_revision, record.change_sequence) == ("change_acknowledgment", 3, "2")
        assert (str(record.acknowledged_on), str(record.changed_on)) == ("2026-12-01", "2026-11-30")
        assert (record.request_reference, record.contract_number, record.seller_reference) == ("RFQ-1", "C-9", "SO-5")

    def test_a_line_says_what_was_to_change_and_what_the_supplier_makes_of_it(self):
        line = answer("POC*1*QI*120*80*EA*1.5**VP*V-1", "ACK*IQ*100*EA*067*20261214").lines[0]
        assert (line.action, line.quantity, line.quantity_left) == (LineAction.INCREASE_QUANTITY, 120, 80)
        [said] = line.responses
        assert (said.status, said.quantity, said.date_kind) == (
            LineStatus.QUANTITY_CHANGED,
            100,
            "scheduled_delivery",
        )

    @pytest.mark.parametrize("header", ["AT", "AD"])
    def test_lines_without_a_response_are_accepted_by_an_acceptance_as_the_change_has_them(self, header):
        record = answer("POC*1*QI*120*80*EA", "POC*2*DI*0*0*EA", bca=f"BCA*00*{header}*PO-1**2*20261128")
        assert [(line.responses[0].status, line.responses[0].code) for line in record.lines] == [
            (LineStatus.ACCEPTED, None),
            (LineStatus.DELETED, None),
        ]

    @pytest.mark.parametrize("header", ["AK", "AC", "RD"])
    def test_lines_without_a_response_mean_nothing_otherwise(self, header):
        record = answer("POC*1*QI*120*80*EA", bca=f"BCA*00*{header}*PO-1**2*20261128")
        assert record.lines[0].responses == ()

    def test_to_reject_a_line_that_was_to_be_deleted_contradicts_no_acceptance(self):
        body = ("BCA*00*AD*PO-1**2*20261128", "POC*1*DI*0*0*EA", "ACK*IR*0*EA")
        assert only_set(*body, code="865").findings == []

    def test_an_acceptance_that_rejects_another_line_contradicts_itself(self):
        found = only_set("BCA*00*AD*PO-1**2*20261128", "POC*1*QI*9*9*EA", "ACK*IR*9*EA", code="865")
        assert [(one.code, one.segment, one.position) for one in found.findings] == [
            ("response_contradiction", "BCA", 2)
        ]

    def test_what_describes_a_line_may_stand_behind_its_responses(self):
        body = ("POC*1*CA*5*5*EA", "ACK*IA*5*EA", "PID*F****Bearing", "REF*ZZ*9", "QTY*01*5", "CTT*1")
        found = only_set("BCA*00*AC*PO-1**2*20261128", *body, code="865")
        assert (found.verdict, found.record.lines[0].description) == (Verdict.ACCEPTED, "Bearing")


SAMPLES = [path for code in ("860", "865") for path in sorted((CORPUS / f"x12-{code}").iterdir())] if CORPUS else []


@pytest.mark.skipif(not SAMPLES, reason="no folder of sample documents (GATEWAY_CORPUS)")
@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_a_sample_of_the_field_gives_its_order_number_and_every_line(path):
    found = [one for part in read(path.read_bytes()) for group in part.groups for one in group.sets]
    assert found
    for one in found:
        assert one.verdict is not None
        match one.record:
            case (
                PurchaseOrderChange(number=number, lines=lines) | OrderAcknowledgment(order_number=number, lines=lines)
            ):
                assert number == one.segments[1].get(3).strip()
                assert len(lines) == sum(segment.id == "POC" for segment in one.segments)
            case other:
                pytest.fail(f"{path.name} gives {other!r}")
