"""Application advices."""

from datetime import UTC, datetime
from functools import cache

from hypothesis import strategies as st

from edi_maps.canonical import (
    Advice,
    AdviceLevel,
    AdviceProblem,
    AdviceVerdict,
    ApplicationAdvice,
    Note,
    Purpose,
    Reference,
)

from .parts import CONTACT, DATES, REFERENCE, code, listed, maybe, party, text

VERDICTS = {
    "A": AdviceVerdict.ACCEPTED,
    "C": AdviceVerdict.ACCEPTED_WITH_ERRORS,
    "E": AdviceVerdict.ACCEPTED_WITH_ERRORS,
    "P": AdviceVerdict.PARTLY_ACCEPTED,
    "R": AdviceVerdict.REJECTED,
}
LEVELS = {
    "T": AdviceLevel.TRANSACTION_SET,
    "I": AdviceLevel.ITEM,
    "G": AdviceLevel.GROUP,
    "B": AdviceLevel.BATCH,
}
ERRORS = st.sampled_from(
    [("duplicate", "006"), ("missing_data", "007"), ("invalid_date", "009"), ("other_reason", "024"), ("817", "817")]
)
LINE = st.builds(Note, kind=maybe(st.sampled_from(["ERN", "ADD"])), text=text(80))
MOMENT = st.integers(946_684_800, 3_155_673_600).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


@cache
@st.composite
def problem(draw, version):
    kind, sent = draw(ERRORS)
    element = draw(maybe(st.integers(1, 99)))
    return AdviceProblem(
        kind=kind,
        code=sent,
        text=draw(maybe(text(60))),
        segment=draw(maybe(st.sampled_from(["BEG", "N1", "PO1"]))),
        position=draw(maybe(st.integers(1, 999_999))),
        element=element,
        component=draw(maybe(st.integers(1, 18))) if element and version >= "004050" else None,
        data_element=draw(maybe(st.integers(1, 9999))),
        value=draw(maybe(text(99))),
        new_value=draw(maybe(code(99))),
        notes=draw(listed(LINE)),
        references=draw(listed(st.builds(Reference, kind=st.just("IBP"), value=code(30), description=text(80)), 2)),
    )


@cache
@st.composite
def advice(draw, version):
    level, verdict = draw(st.sampled_from(sorted(LEVELS))), draw(st.sampled_from(sorted(VERDICTS)))
    numbered = draw(st.booleans())
    return Advice(
        verdict=VERDICTS[verdict],
        level=LEVELS[level],
        code=level + verdict,
        reference_kind=draw(st.sampled_from(["purchase_order", "shipment", "invoice", "transaction", "IX"])),
        reference=draw(code(30)),
        group_sender=draw(maybe(code(15, 2))),
        group_receiver=draw(maybe(code(15, 2))),
        grouped_at=draw(maybe(MOMENT)),
        group_control_number=str(draw(st.integers(1, 999_999_999))) if numbered else None,
        set_control_number=f"{draw(st.integers(1, 9999)):04d}" if numbered else None,
        set_code=draw(maybe(st.sampled_from(["850", "855", "856"]))),
        version=draw(maybe(st.sampled_from(["004010", "004010VICS"]))),
        dates=draw(DATES),
        references=draw(listed(REFERENCE)),
        contacts=draw(listed(CONTACT, 2)),
        notes=draw(listed(LINE, 2)),
        problems=draw(listed(problem(version))),
    )


@cache
@st.composite
def application_advice(draw, version):
    return ApplicationAdvice(
        number=draw(code(30)),
        purpose=draw(st.sampled_from([Purpose.ORIGINAL, Purpose.REPLACE, Purpose.CANCEL])),
        created_at=draw(MOMENT),
        reference=draw(maybe(code(30))),
        parties=draw(listed(party())),
        advices=tuple(draw(st.lists(advice(version), min_size=1, max_size=3))),
    )
