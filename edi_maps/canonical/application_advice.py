"""What a business system says about a document it was sent: taken, taken with errors, or refused, and why."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Literal

from pydantic import AwareDatetime, JsonValue

from edi_maps.canonical.parts import Contact, Document, Note, Party, Purpose, Record, Reference


class AdviceVerdict(StrEnum):
    ACCEPTED = "accepted"
    ACCEPTED_WITH_ERRORS = "accepted_with_errors"  #: or with data of ours changed; ``code`` says which
    PARTLY_ACCEPTED = "partly_accepted"
    REJECTED = "rejected"
    OTHER = "other"


class AdviceLevel(StrEnum):
    """How much of what was sent the verdict is about."""

    TRANSACTION_SET = "transaction_set"
    ITEM = "item"
    GROUP = "group"
    BATCH = "batch"
    OTHER = "other"


class AdviceProblem(Record):
    """One thing that was found wrong, with its place in the document that was sent."""

    kind: str  #: missing_data, invalid_date, not_matching … or the code as sent
    code: str | None = None  #: as sent
    text: str | None = None  #: up to 60 characters on the wire; what does not fit goes on in ``notes``
    segment: str | None = None
    position: int | None = None  #: of the segment in its transaction set, ST = 1
    element: int | None = None
    component: int | None = None
    data_element: int | None = None  #: number in the data element dictionary, e.g. 353
    value: str | None = None  #: what was sent and is wrong
    new_value: str | None = None  #: what they put in its place
    notes: tuple[Note, ...] = ()
    references: tuple[Reference, ...] = ()  #: to codes of an industry's or partner's own list
    extra: dict[str, JsonValue] = {}

    @property
    def words(self) -> str:
        """All that is said of it in words, on one line."""
        return " ".join(part for part in (self.text, *(note.text for note in self.notes)) if part)


class Advice(Record):
    """The verdict on one document, or on one part of it.

    Which document is meant is said twice, by what its own business calls it (``reference_kind`` and ``reference``) and by the
    control numbers it travelled under; either may be absent.
    """

    verdict: AdviceVerdict
    level: AdviceLevel
    code: str  #: verdict and level as they stand on the wire, e.g. "TR"
    reference_kind: str | None = None  #: purchase_order, shipment, invoice … or the code as sent
    reference: str | None = None
    group_sender: str | None = None
    group_receiver: str | None = None
    grouped_at: AwareDatetime | None = None
    group_control_number: str | None = None
    set_control_number: str | None = None
    set_code: str | None = None  #: what was sent, e.g. "855"
    version: str | None = None
    dates: dict[str, date] = {}
    references: tuple[Reference, ...] = ()
    contacts: tuple[Contact, ...] = ()
    notes: tuple[Note, ...] = ()
    problems: tuple[AdviceProblem, ...] = ()
    extra: dict[str, JsonValue] = {}


class ApplicationAdvice(Document):
    """An 824. Beyond a functional acknowledgment, which says that a document could be read, it says whether it can be used."""

    type: Literal["application_advice"] = "application_advice"
    number: str
    purpose: Purpose = Purpose.ORIGINAL
    created_at: AwareDatetime | None = None
    reference: str | None = None  #: of the message that is answered, as its sender called it
    parties: tuple[Party, ...] = ()
    advices: tuple[Advice, ...] = ()

    @property
    def business_number(self) -> str:
        return self.number
