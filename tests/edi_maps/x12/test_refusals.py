"""A partner's codes become sentences about our own document."""

import pytest

from edi_maps.findings import Actor
from edi_maps.x12 import InterchangeAcknowledgment, read, refusals

from .documents import document, interchange, transaction_set, wire

SENT = (
    read(document("BEG*00*SA*PO-1**20260924", "N1*BY*North Mill", "PO1*10*5*EA", "SLN*1**I*5*EAX>2", "CTT*1"))[0]
    .groups[0]
    .sets[0]
    .segments
)


def words(*body, sent=SENT, code="997"):
    """What we make of an acknowledgment whose AK2 to AK5 are these."""
    lines = ["AK1*PO*77", "AK2*850*0001", *body]
    (one,) = read(wire(interchange(*transaction_set(*lines, code=code), group="FA")))[0].groups[0].sets
    said = one.acknowledgment
    assert said is not None
    return refusals.in_words(said, said.sets[0], sent)


@pytest.mark.parametrize(
    ("segments", "text"),
    [
        (
            ["AK3*PO1*4**8", "AK4*2*330*7"],
            "PO102 (segment 4): the partner found fault with Quantity ordered ('5'): "
            "the code is not one they accept (AK403 7).",
        ),
        (
            ["AK3*SLN*5**8", "AK4*5>1*355*5*EAX"],
            "SLN05-1 (segment 5): the partner found fault with Unit ('EAX'): it is too long (AK403 5).",
        ),
        (
            ["AK3*BEG*2**8", "AK4*4*328*1"],
            "BEG04 (segment 2): the partner found fault with Release number: it is required and missing (AK403 1).",
        ),
        (
            ["AK3*REF*3**3"],
            "REF (segment 3): the partner found fault with Reference: it is required and missing (AK304 3).",
        ),
        (
            ["AK3*N1*3**2"],
            "N1 (segment 3): the partner found fault with Party ('N1*BY*North Mill'): "
            "it is not expected at this place (AK304 2).",
        ),
        (
            ["AK3*N1*3**8"],
            "N1 (segment 3): the partner found fault with Party ('N1*BY*North Mill'): "
            "elements of it are in error (AK304 8).",
        ),
        (
            ["AK3*N1*3**99"],
            "N1 (segment 3): the partner found fault with Party ('N1*BY*North Mill'): their code for it is AK304 '99'.",
        ),
    ],
)
def test_an_error_names_the_element_and_shows_what_we_sent(segments, text):
    (found,) = words(*segments, "AK5*R*5", "AK9*R*1*1*0")
    assert found.text == text
    assert found.actor is Actor.OPERATOR
    assert found.position == int(segments[0].split("*")[2])


def test_a_999_speaks_of_the_partner_s_guide():
    (found,) = words("IK3*N1*3**I4", "CTX*PO101>10", "IK5*R*I5", "AK9*R*1*1*0", code="999")
    assert found.text.endswith("their guide does not use the segment (AK304 I4).")


def test_reasons_for_the_set_and_the_group_are_told_too():
    assert [found.text for found in words("AK5*R*4*5", "AK9*R*1*1*0*2")] == [
        "GS: the partner found fault with our envelope: they do not take this version (AK905 2).",
        "ST (segment 1): the partner refused the transaction set: the count of segments is wrong (AK502 4).",
        "ST (segment 1): the partner refused the transaction set: segments are in error (AK502 5).",
    ]


def test_a_refusal_without_a_reason_says_nothing():
    assert words("AK5*R", "AK9*R*1*1*0") == []


def test_a_place_that_is_not_ours_shows_nothing_of_ours():
    (found,) = words("AK3*PO1*3**8", "AK4*2*330*7*9", "AK5*R*5", "AK9*R*1*1*0")
    assert (found.value, found.offset) == ("9", None)
    (found,) = words("AK3*PO1*4**8", "AK4*2*330*7*9", "AK5*R*5", "AK9*R*1*1*0", sent=[])
    assert (found.value, found.offset) == ("9", None)


def test_a_ta1_is_told_in_words():
    said = InterchangeAcknowledgment(control_number="000000101", date="260924", time="1030", status="R", note="006")
    assert refusals.note_in_words(said).text == (
        "ISA: the partner found fault with our envelope: they do not know the sender (TA105 006)."
    )
